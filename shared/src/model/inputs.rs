//! A ranker's inputs as they are kept: small, and shared between copies.

use std::sync::Arc;

/// What a ranker is told of one track: values in steps of 1/2048 between -16 and 16, of which all but the first few may be
/// a choice of one among several, which is kept as its place. A copy shares the values.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    values: Arc<[i16]>,
    // All inputs, and the one after `values` that is 1; `NONE` where there is none.
    width: u16,
    mark: u16,
}

impl Inputs {
    /// Of values of which those from `dense` on are 0, but for one at most, which is 1.
    ///
    /// # Panics
    /// Where they are not, or there are more than 65,534.
    pub fn new(values: &[f32], dense: usize) -> Self {
        assert!(values.len() < usize::from(NONE), "inputs are numbered by 16 bits");
        let (named, choice) = values.split_at(dense.min(values.len()));
        let mark = choice.iter().position(|&value| value == 1.0);
        let others = choice.iter().filter(|&&value| value != 0.0).count();
        assert_eq!(others, usize::from(mark.is_some()), "one of the choice is 1, the others 0");
        Self {
            values: named.iter().map(|value| (value * STEPS).round() as i16).collect(),
            width: values.len() as u16,
            mark: mark.map_or(NONE, |at| (named.len() + at) as u16),
        }
    }

    /// The number of inputs.
    pub fn len(&self) -> usize {
        usize::from(self.width)
    }

    /// Whether there is none, as of what is only counted.
    pub fn is_empty(&self) -> bool {
        self.width == 0
    }

    /// One input.
    pub fn get(&self, input: usize) -> f32 {
        match self.values.get(input) {
            Some(&value) => f32::from(value) / STEPS,
            None => f32::from(u8::from(self.mark() == Some(input))),
        }
    }

    /// All inputs.
    pub fn to_vec(&self) -> Vec<f32> {
        (0..self.len()).map(|input| self.get(input)).collect()
    }

    /// How many are values of their own, before those of the choice.
    pub fn dense(&self) -> usize {
        self.values.len()
    }

    /// The input of the choice that is 1.
    pub fn mark(&self) -> Option<usize> {
        (self.mark != NONE).then_some(usize::from(self.mark))
    }

    /// Writes the values before the choice.
    pub fn write(&self, to: &mut [f32]) {
        to.iter_mut().zip(&*self.values).for_each(|(to, &value)| *to = f32::from(value) * (1.0 / STEPS));
    }
}

impl Default for Inputs {
    fn default() -> Self {
        Self::new(&[], 0)
    }
}

impl From<Vec<f32>> for Inputs {
    fn from(values: Vec<f32>) -> Self {
        Self::new(&values, values.len())
    }
}

// A power of two, so that going there and back loses nothing more. Features stay below 10.
const STEPS: f32 = 2048.0;
const NONE: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_to_half_a_step() {
        let values = [0.3f32, -7.77, 15.9, 0.0, 0.0, 1.0, 0.0];
        let inputs = Inputs::new(&values, 4);
        assert_eq!((inputs.len(), inputs.dense(), inputs.mark()), (7, 4, Some(5)));
        assert!(inputs.to_vec().iter().zip(values).all(|(a, b)| (a - b).abs() <= 0.5 / STEPS));
        assert_eq!(Inputs::new(&inputs.to_vec(), 4), inputs, "the same once more");
        assert_eq!(Inputs::new(&[0.0; 3], 1).mark(), None);
        // What is too large is held at the ends, and what is no number is nothing.
        let wild = Inputs::from(vec![1e9, -1e9, f32::NAN]);
        assert!(wild.get(0) > 15.9 && wild.get(1) == -16.0 && wild.get(2) == 0.0);
        assert!(Inputs::default().is_empty());
    }

    #[test]
    #[should_panic(expected = "one of the choice is 1")]
    fn a_choice_is_of_one() {
        Inputs::new(&[0.5, 1.0, 1.0], 1);
    }
}

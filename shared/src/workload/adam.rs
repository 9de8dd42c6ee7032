//! Adam (Kingma and Ba 2015) that knows the noise in its gradients.

use crate::math;

/// The coordinator's optimiser over the mean of the devices' gradients.
#[derive(Clone, Debug)]
pub(super) struct Adam {
    // Running means of the gradient and of its square.
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: i32,
    rate: f64,
    rounds: usize,
}

impl Adam {
    /// For so many parameters. Steps grow smaller over the `rounds`, down to a twentieth of `rate`.
    pub(super) fn new(parameters: usize, rate: f64, rounds: usize) -> Self {
        Self { mean: vec![0.0; parameters], square: vec![0.0; parameters], steps: 0, rate, rounds }
    }

    /// Steps taken.
    pub(super) fn steps(&self) -> usize {
        self.steps as usize
    }

    /// Moves the parameters by a sum of gradients over `devices`, in each value of which there is noise of this `deviation`.
    pub(super) fn step<'a>(
        &mut self,
        parameters: impl Iterator<Item = &'a mut f32>,
        sum: &[f64],
        deviation: f64,
        devices: f64,
    ) {
        self.steps += 1;
        let devices = devices.max(1.0);
        // What the squares owe to the noise is known, and taken off (Tang, Shpilevskiy and Lécuyer 2024).
        let noise = math::powi(deviation / devices, 2);
        let (first, second) = (1.0 - math::powi(MEAN_DECAY, self.steps), 1.0 - math::powi(SQUARE_DECAY, self.steps));
        let rate = self.rate * (1.0 - f64::from(self.steps - 1) / self.rounds.max(1) as f64).max(LEAST_STEP);
        for (((parameter, mean), square), sum) in parameters.zip(&mut self.mean).zip(&mut self.square).zip(sum) {
            let g = sum / devices;
            *mean += (1.0 - MEAN_DECAY) * (g - *mean);
            *square += (1.0 - SQUARE_DECAY) * (g * g - *square);
            let length = (*square / second - noise).max(FLOOR_IN_NOISE * noise).sqrt() + LEAST_LENGTH;
            *parameter -= (rate * (*mean / first) / length) as f32;
        }
    }
}

const MEAN_DECAY: f64 = 0.9;
const SQUARE_DECAY: f64 = 0.99;
const LEAST_LENGTH: f64 = 1e-6;
// A coordinate that is all noise moves like one whose length is this share of it, not like one of length 0.
const FLOOR_IN_NOISE: f64 = 1.0;
const LEAST_STEP: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    // Two steps by hand: the first is of length `rate` whatever the gradient, noise shortens it.
    #[test]
    fn steps_by_hand() {
        let (mut clear, mut parameters) = (Adam::new(2, 0.1, 2), [1.0f32, 0.0]);
        clear.step(parameters.iter_mut(), &[8.0, -4.0], 0.0, 4.0);
        assert!((parameters[0] - 0.9).abs() < 1e-6 && (parameters[1] - 0.1).abs() < 1e-6, "{parameters:?}");
        // Half the rate; the means are both of two equal gradients.
        clear.step(parameters.iter_mut(), &[8.0, -4.0], 0.0, 4.0);
        assert!((parameters[0] - 0.85).abs() < 1e-6 && clear.steps() == 2, "{parameters:?}");
        let (mut noisy, mut parameters) = (Adam::new(1, 0.1, 2), [0.0f32]);
        // Noise of 4 on a mean of 2: the square of 4 is less than its noise of 16, which is what steps are measured by.
        noisy.step(parameters.iter_mut(), &[8.0], 16.0, 4.0);
        assert!((parameters[0] + 0.1 * 2.0 / 4.0).abs() < 1e-6, "{parameters:?}");
    }
}

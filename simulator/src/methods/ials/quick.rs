//! The same factorisation for choosing among settings: each row is improved by a few steps of conjugate gradients from
//! where it stands (Takács, Pilászy and Tikk 2011) instead of being solved, in single precision. What is chosen is then
//! trained exactly.

use super::{Ials, IalsSettings, Sides, start};
use crate::population::Population;
use ndarray::Array2;
use rayon::prelude::*;
use sordino_shared::linalg::{dot_f32, gram};

/// The examples and the start that every setting is tried from.
pub struct QuickIals {
    data: Sides,
    listeners: Array2<f32>,
    tracks: Array2<f32>,
}

impl QuickIals {
    /// Before any setting.
    pub fn new(population: &Population, d: usize, seed: u64) -> Self {
        let (listeners, tracks) = start(population, d, seed);
        let single = |side: Array2<f64>| side.mapv(|value| value as f32);
        Self { data: Sides::new(population), listeners: single(listeners), tracks: single(tracks) }
    }

    /// What a setting gives.
    pub fn train(&self, settings: IalsSettings) -> Ials {
        let (mut listeners, mut tracks) = (self.listeners.clone(), self.tracks.clone());
        for _ in 0..settings.iterations {
            half(&mut listeners, &tracks, &self.data.rows, settings);
            half(&mut tracks, &listeners, &self.data.columns, settings);
        }
        half(&mut listeners, &tracks, &self.data.rows, settings);
        let double = |side: Array2<f32>| side.mapv(f64::from);
        Ials { listeners: double(listeners), tracks: double(tracks) }
    }
}

// Improves one side given the other.
fn half(target: &mut Array2<f32>, other: &Array2<f32>, rows: &[Vec<(usize, f64)>], settings: IalsSettings) {
    let d = other.ncols();
    let shared = (gram(other.mapv(f64::from).view()) * settings.background).mapv(|value| value as f32);
    let shared = shared.as_slice().expect("row order");
    let other = (other.as_slice().expect("row order"), other.nrows());
    target.as_slice_mut().expect("row order").par_chunks_mut(d).zip(rows).for_each_init(
        || [(); 3].map(|()| vec![0.0; d]),
        |room, (x, row)| {
            let count: f64 = row.iter().map(|&(_, confidence)| confidence).sum();
            let ridge = settings.ridge * (count + settings.background * other.1 as f64);
            descend(x, &System { shared, other: other.0, row, ridge: ridge as f32 }, room);
        },
    );
}

// A row's normal equations: (a0 Y'Y + sum c y y' + ridge) x = sum c y.
struct System<'a> {
    shared: &'a [f32],
    other: &'a [f32],
    row: &'a [(usize, f64)],
    ridge: f32,
}

impl System<'_> {
    fn of(&self, index: usize, d: usize) -> &[f32] {
        &self.other[index * d..(index + 1) * d]
    }

    // out = A p
    fn apply(&self, p: &[f32], out: &mut [f32]) {
        let d = p.len();
        out.iter_mut().zip(p).for_each(|(out, p)| *out = self.ridge * p);
        for (line, &p) in self.shared.chunks_exact(d).zip(p) {
            add(out, p, line);
        }
        for &(index, confidence) in self.row {
            let y = self.of(index, d);
            add(out, confidence as f32 * dot_f32(y, p), y);
        }
    }
}

fn descend(x: &mut [f32], system: &System<'_>, [residual, direction, image]: &mut [Vec<f32>; 3]) {
    let d = x.len();
    system.apply(x, image);
    residual.iter_mut().zip(&*image).for_each(|(r, &image)| *r = -image);
    system.row.iter().for_each(|&(index, confidence)| add(residual, confidence as f32, system.of(index, d)));
    direction.copy_from_slice(residual);
    let mut length = dot_f32(residual, residual);
    for _ in 0..STEPS {
        if length < SMALL {
            return;
        }
        system.apply(direction, image);
        let step = length / dot_f32(direction, image);
        add(x, step, direction);
        add(residual, -step, image);
        let next = dot_f32(residual, residual);
        let keep = next / length;
        direction.iter_mut().zip(&*residual).for_each(|(p, &r)| *p = r + keep * *p);
        length = next;
    }
}

fn add(to: &mut [f32], factor: f32, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, &what)| *to += factor * what);
}

// As many as the authors of the method take.
const STEPS: usize = 3;
// A residual that single precision cannot tell from nothing.
const SMALL: f32 = 1e-20;

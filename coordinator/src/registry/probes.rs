//! Questions with known answers, for devices to ask a version before it serves.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sordino_shared::model::{Model, Solver};
use sordino_shared::random::below;
use sordino_shared::registry::Probe;
use sordino_shared::secagg::digest;

/// A stranger and some listeners who like a few tracks each, drawn from the model's own hash. An answer is given only where the best track is so
/// far ahead that no processor's rounding changes it.
pub(super) fn probes(bytes: &[u8], model: &Model) -> Vec<Probe> {
    let mut rng = ChaCha8Rng::from_seed(digest(bytes));
    let tracks = model.tracks() as u64;
    let histories = (0..LISTENERS).map(|_| history(tracks, &mut rng)).collect::<Vec<_>>();
    let (mut solver, mut scores) = (Solver::default(), Vec::new());
    let ask = |history: Vec<u32>| {
        let mut probe = Probe { history, best: None };
        let best = probe.ask(model, &mut solver, &mut scores);
        probe.best = best.filter(|&best| is_clear(&probe, best, &scores));
        probe
    };
    std::iter::once(Vec::new()).chain(histories).map(ask).collect()
}

fn history(tracks: u64, rng: &mut impl Rng) -> Vec<u32> {
    let mut history: Vec<u32> = (0..LIKED.min(tracks)).map(|_| below(rng, tracks) as u32).collect();
    history.sort_unstable();
    history.dedup();
    history
}

fn is_clear(probe: &Probe, best: u32, scores: &[f32]) -> bool {
    let others = (0..scores.len() as u32).filter(|track| *track != best && !probe.history.contains(track));
    let second = others.map(|track| scores[track as usize]).fold(f32::NEG_INFINITY, f32::max);
    let best = scores[best as usize];
    best - second > CLEAR * best.abs().max(second.abs())
}

const LISTENERS: usize = 8;
const LIKED: u64 = 5;
// A hundred thousand times the rounding of one operation.
const CLEAR: f32 = 1e-2;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::math;

    #[test]
    fn answers_are_the_models_own_and_ties_have_none() {
        let clear = Model::Popularity((0..40).map(|track| math::powi(1.5, track) as f32).collect());
        let asked = probes(&clear.to_bytes(), &clear);
        assert_eq!(asked.len(), LISTENERS + 1);
        for probe in &asked {
            let best = (0..40u32).rev().find(|track| !probe.history.contains(track));
            assert_eq!(probe.best, best);
        }
        let flat = Model::Popularity(vec![1.0; 40]);
        assert!(probes(&flat.to_bytes(), &flat).iter().all(|probe| probe.best.is_none()));
        assert_eq!(probes(&clear.to_bytes(), &clear), asked, "the same again");
    }
}

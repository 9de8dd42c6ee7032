//! Versions of the model on a device: some are kept, one serves. A new one serves once it has passed the self-test; one that fails three
//! times within a day gives way to the one before, asking nobody; and none is brought in that is older than what was good for all.
//!
//! A machine without I/O: the device verifies signatures and bytes, keeps the files, and stores [`Keeper::to_bytes`].

use crate::event::Timestamp;
use serde::{Deserialize, Serialize};
use sordino_shared::model::{Model, Solver};
use sordino_shared::registry::Probe;
use thiserror::Error;

/// A version that is on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its release counter, which only grows.
    pub counter: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// What a device knows of its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeper {
    // Ascending by counter; all have passed their tests.
    kept: Vec<Kept>,
    serving: Option<u64>,
    // The highest counter that was ever good for all: none below it is brought in again.
    floor: u64,
    // Versions that did not pass, or failed too often: they never serve here.
    refused: Vec<u64>,
    failures: Vec<Timestamp>,
    // Whether the device has fallen back, or refused a version, since that was last told.
    has_fallen_back: bool,
}

/// Why a version is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is older than what was good for all once.
    #[error("version {offered} is older than version {floor}, which was good for all: this device does not go back")]
    Older {
        /// Its counter.
        offered: u64,
        /// The highest that was good for all.
        floor: u64,
    },
    /// The self-test found something.
    #[error("the model does not pass its self-test: {0}")]
    SelfTest(Fault),
    /// What was stored cannot be read.
    #[error("what is stored of the device's versions cannot be read: {0}")]
    Stored(String),
}

/// What a self-test finds.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes that are no model.
    #[error("its bytes are no model: {0}")]
    Unreadable(String),
    /// It needs a newer program.
    #[error("it needs runtime {wanted}, and this program has {runtime}: update the application")]
    Newer {
        /// By what is signed.
        wanted: u32,
        /// This program's.
        runtime: u32,
    },
    /// Scores that are no finite numbers.
    #[error("a score is no finite number")]
    NotFinite,
    /// All tracks alike.
    #[error("all tracks score alike")]
    Constant,
    /// Another answer to a known question.
    #[error("a known listener is given track {found} first, not track {expected}")]
    Unexpected {
        /// By the manifest.
        expected: u32,
        /// By this device.
        found: u32,
    },
    /// Too slow.
    #[error("a list takes {took_ms} ms, and {most_ms} are allowed")]
    Slow {
        /// Milliseconds of the slowest list.
        took_ms: u64,
        /// Milliseconds allowed.
        most_ms: u64,
    },
}

/// Tries a model on known listeners. `clock_ms` is the host's monotonic clock.
///
/// # Errors
/// The first [`Fault`] that is found.
pub fn self_test(
    model: &Model,
    probes: &[Probe],
    most_ms: u64,
    mut clock_ms: impl FnMut() -> u64,
) -> Result<(), Fault> {
    let (mut solver, mut scores) = (Solver::default(), Vec::new());
    for probe in probes {
        let start = clock_ms();
        let best = probe.ask(model, &mut solver, &mut scores);
        let took_ms = clock_ms().saturating_sub(start);
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(Fault::NotFinite);
        }
        // Popularity may have drowned in noise, which harms nobody; embeddings that tell nothing apart are broken.
        if model.dimensions() > 0 && scores.windows(2).all(|pair| pair[0] == pair[1]) {
            return Err(Fault::Constant);
        }
        if let (Some(expected), Some(found)) = (probe.best, best)
            && expected != found
        {
            return Err(Fault::Unexpected { expected, found });
        }
        if took_ms > most_ms {
            return Err(Fault::Slow { took_ms, most_ms });
        }
    }
    Ok(())
}

impl Keeper {
    /// The version that serves; `None` where none does.
    pub fn current(&self) -> Option<&Kept> {
        self.kept.iter().find(|kept| Some(kept.counter) == self.serving)
    }

    /// The versions on the device, ascending.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Whether a version is on the device.
    pub fn has(&self, counter: u64) -> bool {
        self.kept.iter().any(|kept| kept.counter == counter)
    }

    /// Whether a version did not pass its test here, or failed too often.
    pub fn has_refused(&self, counter: u64) -> bool {
        self.refused.contains(&counter)
    }

    /// Whether a version is to be loaded.
    pub fn wants(&self, counter: u64) -> bool {
        !self.has(counter) && !self.has_refused(counter) && counter >= self.floor
    }

    /// The models are erased. What was good for all stays known, and so does what was refused.
    pub fn forget(&mut self) {
        (self.kept, self.serving) = (Vec::new(), None);
        self.failures.clear();
    }

    /// Keeps a version that was verified and tested; it does not serve yet.
    ///
    /// # Errors
    /// [`Error::Older`] for one below what was good for all, [`Error::SelfTest`] where the test found something: it is not tried again.
    pub fn keep(&mut self, version: Kept, test: Result<(), Fault>) -> Result<(), Error> {
        if version.counter < self.floor {
            return Err(Error::Older { offered: version.counter, floor: self.floor });
        }
        if let Err(fault) = test {
            self.refuse(version.counter);
            return Err(Error::SelfTest(fault));
        }
        self.kept.retain(|kept| kept.counter != version.counter);
        self.kept.push(version);
        self.kept.sort_by_key(|kept| kept.counter);
        Ok(())
    }

    /// Lets the version serve that the registry names for this device, where `good` is the one for all; `None` lets none serve. What is not
    /// here, or was refused, gives way to the good one, and that to the newest before it.
    ///
    /// # Errors
    /// [`Error::Older`] where what is good for all has gone back: then all stays as it is.
    pub fn serve(&mut self, wanted: Option<u64>, good: Option<u64>) -> Result<(), Error> {
        if let Some(good) = good {
            if good < self.floor {
                return Err(Error::Older { offered: good, floor: self.floor });
            }
            self.floor = good;
        }
        let served = wanted.and_then(|wanted| {
            let usable = |counter: &u64| self.has(*counter) && !self.has_refused(*counter);
            let older = || self.kept.iter().rev().map(|kept| kept.counter).find(|of| *of < wanted && usable(of));
            Some(wanted).filter(usable).or_else(|| good.filter(usable)).or_else(older)
        });
        if served != self.serving {
            self.serving = served;
            self.failures.clear();
        }
        Ok(())
    }

    /// Lets go of what is neither among these nor serves; gives what was let go.
    pub fn retain(&mut self, counters: &[u64]) -> Vec<u64> {
        let serving = self.serving;
        let stays = |kept: &Kept| counters.contains(&kept.counter) || Some(kept.counter) == serving;
        let gone = self.kept.iter().filter(|kept| !stays(kept)).map(|kept| kept.counter).collect();
        self.kept.retain(stays);
        gone
    }

    /// Notes that the version that serves did not load, or took the application down. With the third within 24 hours the newest of the
    /// others serves that is older, if there is one: returns whether that has just happened.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        // A clock that was put back makes no failure older than it is.
        self.failures.retain(|&at| now.seconds_since(at).abs() < DAY_SECONDS);
        self.failures.push(now);
        let Some(serving) = self.serving.filter(|_| self.failures.len() >= MOST_FAILURES) else { return false };
        let others = self.kept.iter().rev().map(|kept| kept.counter);
        let Some(other) = others.into_iter().find(|of| *of < serving && !self.has_refused(*of)) else { return false };
        self.refuse(serving);
        self.serving = Some(other);
        self.failures.clear();
        true
    }

    fn refuse(&mut self, counter: u64) {
        self.has_fallen_back = true;
        self.refused.push(counter);
        let old = self.refused.len().saturating_sub(MOST_REFUSED);
        self.refused.drain(..old);
    }

    /// Whether the device has fallen back or refused a version since this was last asked: for its private report.
    pub fn take_fallback(&mut self) -> bool {
        std::mem::take(&mut self.has_fallen_back)
    }

    /// What is to be stored, after every change and before anything is done with it.
    pub fn to_bytes(&self) -> Vec<u8> {
        toml::to_string(self).expect("every field has a form in TOML").into_bytes()
    }

    /// From what was stored.
    ///
    /// # Errors
    /// [`Error::Stored`]: a device that does not know its counters takes no version, rather than an old one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|e| Error::Stored(e.to_string()))?;
        toml::from_str(text).map_err(|e| Error::Stored(e.to_string().trim().to_owned()))
    }
}

const MOST_FAILURES: usize = 3;
const MOST_REFUSED: usize = 64;
const DAY_SECONDS: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use sordino_shared::model::{EmbeddingModel, Hyperparameters};

    fn version(counter: u64) -> Kept {
        Kept { counter, sha256: format!("{counter:064x}") }
    }

    fn hours(hours: i64) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000 + hours * 3600)
    }

    // All of these are on the device, and the last serves all.
    fn with(counters: &[u64]) -> Keeper {
        let mut keeper = Keeper::default();
        for &counter in counters {
            keeper.keep(version(counter), Ok(())).expect("newer");
            keeper.serve(Some(counter), Some(counter)).expect("newer");
        }
        keeper
    }

    fn serves(keeper: &Keeper) -> Option<u64> {
        keeper.current().map(|kept| kept.counter)
    }

    #[test]
    fn what_was_good_for_all_is_the_floor() {
        let mut keeper = with(&[3, 5]);
        assert_eq!(keeper.keep(version(4), Ok(())), Err(Error::Older { offered: 4, floor: 5 }));
        assert_eq!(keeper.serve(Some(3), Some(3)), Err(Error::Older { offered: 3, floor: 5 }));
        assert_eq!(serves(&keeper), Some(5));
        // A candidate above it may come and go.
        keeper.keep(version(7), Ok(())).expect("newer");
        keeper.serve(Some(7), Some(5)).expect("allowed");
        assert_eq!(serves(&keeper), Some(7));
        keeper.serve(Some(5), Some(5)).expect("allowed");
        assert_eq!(serves(&keeper), Some(5));
        // The one before is on the device still, and may serve where the operator is in a hurry; so may none.
        keeper.serve(Some(3), Some(5)).expect("it is here");
        assert_eq!(serves(&keeper), Some(3));
        keeper.serve(None, Some(5)).expect("allowed");
        assert_eq!(serves(&keeper), None);
        keeper.serve(Some(9), Some(5)).expect("allowed");
        assert_eq!(serves(&keeper), Some(5), "one that is not here gives way to the good one");
        assert_eq!(keeper.retain(&[5, 7]), [3]);
        keeper.serve(Some(3), Some(5)).expect("allowed");
        assert_eq!(serves(&keeper), Some(5), "what is gone from the device does not come back");
        assert!(!keeper.wants(3) && !keeper.wants(7) && keeper.wants(8));
    }

    #[test]
    fn three_failures_in_a_day_bring_the_one_before() {
        let mut keeper = with(&[1, 2]);
        assert!(!keeper.failed(hours(0)) && !keeper.failed(hours(10)));
        assert!(!keeper.failed(hours(25)), "the first is more than a day ago");
        assert!(!keeper.take_fallback());
        assert!(keeper.failed(hours(30)));
        assert_eq!(serves(&keeper), Some(1));
        assert!(keeper.take_fallback() && !keeper.take_fallback(), "told once");
        // Whatever the registry says, it does not serve here again.
        keeper.serve(Some(2), Some(2)).expect("allowed");
        assert_eq!(serves(&keeper), Some(1));
        // With nothing before it a version goes on, however often it fails.
        assert!((0..9).all(|at| !keeper.failed(hours(31 + at))));
        assert_eq!(serves(&keeper), Some(1));
    }

    #[test]
    fn what_does_not_pass_its_test_does_not_serve_and_is_not_tried_again() {
        let mut keeper = with(&[1]);
        assert_eq!(keeper.keep(version(2), Err(Fault::Constant)), Err(Error::SelfTest(Fault::Constant)));
        keeper.serve(Some(2), Some(1)).expect("allowed");
        assert_eq!(serves(&keeper), Some(1));
        assert!(!keeper.wants(2) && keeper.has_refused(2));
        assert!(keeper.take_fallback());
        let stored = keeper.to_bytes();
        assert_eq!(Keeper::from_bytes(&stored).expect("its own bytes"), keeper);
        assert!(Keeper::from_bytes(&stored[..stored.len() / 2]).is_err());
        assert!(Keeper::from_bytes(&[0xff]).is_err());
    }

    #[test]
    fn what_was_erased_may_be_taken_again_and_nothing_older() {
        let mut keeper = with(&[3, 5]);
        keeper.forget();
        assert_eq!((keeper.current(), keeper.kept()), (None, [].as_slice()));
        assert!(!keeper.wants(4) && keeper.wants(5));
        // A version that was refused is not asked for again by way of erasing.
        assert!(keeper.keep(version(6), Err(Fault::Constant)).is_err());
        keeper.forget();
        assert!(!keeper.wants(6) && keeper.wants(7));
    }

    #[test]
    fn tests_find_what_is_wrong() {
        let good = Model::Popularity(vec![1.0, 5.0, 3.0]);
        let probes = [Probe { history: vec![], best: Some(1) }, Probe { history: vec![1], best: Some(2) }];
        assert_eq!(self_test(&good, &probes, 5, || 0), Ok(()));
        let test = |weights: Vec<f32>| self_test(&Model::Popularity(weights), &probes, 5, || 0);
        assert_eq!(test(vec![1.0, f32::NAN, 3.0]), Err(Fault::NotFinite));
        let flat = EmbeddingModel::new(Array2::zeros((3, 2)), vec![2.0; 3], Hyperparameters::default());
        assert_eq!(self_test(&Model::Embedding(flat), &probes, 5, || 0), Err(Fault::Constant));
        assert_eq!(self_test(&Model::Popularity(vec![2.0; 3]), &[], 5, || 0), Ok(()));
        assert_eq!(test(vec![9.0, 5.0, 3.0]), Err(Fault::Unexpected { expected: 1, found: 0 }));
        let mut time = 0;
        let slow = self_test(&good, &probes, 5, || {
            time += 8;
            time
        });
        assert_eq!(slow, Err(Fault::Slow { took_ms: 8, most_ms: 5 }));
    }
}

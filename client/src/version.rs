//! Versions of the model on a device: two are kept, one serves. A new one serves once it has passed the self-test; one that fails three
//! times within a day gives way to the one before, asking nobody; and none that is older than the newest ever seen is taken.
//!
//! A machine without I/O: the host verifies signatures and bytes, keeps the files, and stores [`Keeper::to_bytes`].

use crate::event::Timestamp;
use serde::{Deserialize, Serialize};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Example, Model, Solver};
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
    current: Option<Kept>,
    previous: Option<Kept>,
    // The highest counter ever seen, installed or not.
    highest: u64,
    failures: Vec<Timestamp>,
    // Whether the listener's device has fallen back, or refused a version, since that was last told.
    has_fallen_back: bool,
}

/// Why a version is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is older than what was seen already, or the same.
    #[error(
        "version {offered} is not newer than version {highest}, which this device has seen: older ones are not taken"
    )]
    Older {
        /// Its counter.
        offered: u64,
        /// The highest seen.
        highest: u64,
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

/// A question whose answer is known: it comes with the version, signed as the version is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// A listener's tracks; none for a stranger.
    pub history: Vec<u32>,
    /// The track that scores highest for it, among those outside the history; `None` where nobody knows beforehand.
    pub best: Option<u32>,
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
        let mut history: Vec<Example> =
            probe.history.iter().map(|&track| Example { track: TrackId(track), confidence: 1.0 }).collect();
        history.retain(|example| example.track.row() < model.tracks());
        history.sort_by_key(|example| example.track);
        let start = clock_ms();
        model.score(&history, &mut solver, &mut scores);
        let took_ms = clock_ms().saturating_sub(start);
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(Fault::NotFinite);
        }
        // Popularity may have drowned in noise, which harms nobody; embeddings that tell nothing apart are broken.
        if model.dimensions() > 0 && scores.windows(2).all(|pair| pair[0] == pair[1]) {
            return Err(Fault::Constant);
        }
        let candidates = (0..scores.len() as u32).filter(|track| !probe.history.contains(track));
        let best = candidates.max_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]).then(b.cmp(&a)));
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
    /// The version that serves.
    pub fn current(&self) -> Option<&Kept> {
        self.current.as_ref()
    }

    /// The version before it, which stays on the device.
    pub fn previous(&self) -> Option<&Kept> {
        self.previous.as_ref()
    }

    /// Whether a version of this number would be taken.
    pub fn wants(&self, counter: u64) -> bool {
        counter > self.highest
    }

    /// The models are erased. The newest may be taken again where it was the one that served, and none that is older.
    pub fn forget(&mut self) {
        if self.current.take().is_some_and(|current| current.counter == self.highest) {
            self.highest -= 1;
        }
        self.previous = None;
        self.failures.clear();
    }

    /// Takes a version that was verified and tested; the one that served is kept.
    ///
    /// # Errors
    /// [`Error::Older`] for a counter that is not above all that were seen, [`Error::SelfTest`] where the test found something: then
    /// what serves goes on, and the counter is seen all the same, so that the version is not tried again.
    pub fn install(&mut self, version: Kept, test: Result<(), Fault>) -> Result<(), Error> {
        if version.counter <= self.highest {
            return Err(Error::Older { offered: version.counter, highest: self.highest });
        }
        self.highest = version.counter;
        if let Err(fault) = test {
            self.has_fallen_back = true;
            return Err(Error::SelfTest(fault));
        }
        self.previous = self.current.replace(version);
        self.failures.clear();
        Ok(())
    }

    /// Notes that the version that serves did not load, or took the application down. With the third within 24 hours the version before it
    /// serves, if there is one: returns whether that has just happened.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        // A clock that was put back makes no failure older than it is.
        self.failures.retain(|&at| now.seconds_since(at).abs() < DAY_SECONDS);
        self.failures.push(now);
        if self.failures.len() < MOST_FAILURES || self.previous.is_none() {
            return false;
        }
        // What failed is not kept: a second fall would have nowhere to go but back to it.
        self.current = self.previous.take();
        self.failures.clear();
        self.has_fallen_back = true;
        true
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

    fn with(counters: &[u64]) -> Keeper {
        let mut keeper = Keeper::default();
        counters.iter().for_each(|&counter| keeper.install(version(counter), Ok(())).expect("newer"));
        keeper
    }

    #[test]
    fn nothing_older_is_ever_taken() {
        let mut keeper = with(&[3, 5]);
        for counter in [0, 3, 4, 5] {
            assert_eq!(keeper.install(version(counter), Ok(())), Err(Error::Older { offered: counter, highest: 5 }));
        }
        // After a fall the older one serves, and still nothing older is taken.
        for hour in 0..3 {
            keeper.failed(hours(hour));
        }
        assert_eq!(keeper.current(), Some(&version(3)));
        assert!(keeper.install(version(5), Ok(())).is_err() && keeper.install(version(4), Ok(())).is_err());
        assert_eq!(keeper.install(version(6), Ok(())), Ok(()));
        assert_eq!((keeper.current(), keeper.previous()), (Some(&version(6)), Some(&version(3))));
    }

    #[test]
    fn three_failures_in_a_day_bring_the_one_before() {
        let mut keeper = with(&[1, 2]);
        assert!(!keeper.failed(hours(0)) && !keeper.failed(hours(10)));
        assert!(!keeper.failed(hours(25)), "the first is more than a day ago");
        assert!(!keeper.take_fallback());
        assert!(keeper.failed(hours(30)));
        assert_eq!((keeper.current(), keeper.previous()), (Some(&version(1)), None));
        assert!(keeper.take_fallback() && !keeper.take_fallback(), "told once");
        // With nothing before it a version goes on, however often it fails.
        assert!((0..9).all(|at| !keeper.failed(hours(31 + at))));
        assert_eq!(keeper.current(), Some(&version(1)));
    }

    #[test]
    fn what_does_not_pass_its_test_does_not_serve_and_is_not_tried_again() {
        let mut keeper = with(&[1]);
        assert_eq!(keeper.install(version(2), Err(Fault::Constant)), Err(Error::SelfTest(Fault::Constant)));
        assert_eq!(keeper.current(), Some(&version(1)));
        assert!(keeper.install(version(2), Ok(())).is_err());
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
        assert_eq!((keeper.current(), keeper.previous()), (None, None));
        assert!(!keeper.wants(4) && keeper.wants(5));
        assert_eq!(keeper.install(version(5), Ok(())), Ok(()));
        // A version that was refused is not asked for again by way of erasing.
        assert!(keeper.install(version(6), Err(Fault::Constant)).is_err());
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

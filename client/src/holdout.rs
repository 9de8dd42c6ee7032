//! Stage: hold out. In: [`Labelled`]. Out: [`Split`]. On the device; what is held out never trains.

use crate::event::Timestamp;
use crate::example::Labelled;
use serde::{Deserialize, Serialize};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Example;
use sordino_shared::random::mix;

/// How test tracks are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holdout {
    /// The latest track is the test, the one before it the validation. Where times say nothing, a hash orders them.
    LeaveOneOut {
        /// Whether times are to be used.
        dated: bool,
    },
    /// Tracks first liked at or after `test_from` are the test; at or after `validation_from`, the validation.
    Time {
        /// Start of the validation span.
        validation_from: Timestamp,
        /// Start of the test span.
        test_from: Timestamp,
    },
    /// Tracks first liked at or after `test_from` are the test; of the others, a hash of (device, track) puts a tenth into the
    /// validation, so that what is learnt is up to date.
    Next {
        /// Start of the test span.
        test_from: Timestamp,
    },
    /// A hash of (device, track) puts a tenth of the tracks into the test and a tenth into the validation.
    Hash,
}

/// A device's tracks, split. Each part ascends by track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// What may train.
    pub train: Vec<Example>,
    /// What settings are chosen by.
    pub validation: Vec<TrackId>,
    /// What is reported.
    pub test: Vec<TrackId>,
}

impl Holdout {
    /// Splits a device's examples. `salt` is the device's own: the same device always gets the same split.
    pub fn split(&self, labelled: &[Labelled], salt: u64) -> Split {
        match *self {
            Self::LeaveOneOut { dated } => leave_one_out(labelled, salt, dated),
            Self::Time { validation_from, test_from } => divide(labelled, |l| {
                if l.time >= test_from {
                    Part::Test
                } else if l.time >= validation_from {
                    Part::Validation
                } else {
                    Part::Train
                }
            }),
            Self::Next { test_from } => divide(labelled, |l| match tenth(l, salt) {
                _ if l.time >= test_from => Part::Test,
                1 => Part::Validation,
                _ => Part::Train,
            }),
            Self::Hash => divide(labelled, |l| match tenth(l, salt) {
                0 => Part::Test,
                1 => Part::Validation,
                _ => Part::Train,
            }),
        }
    }
}

enum Part {
    Train,
    Validation,
    Test,
}

fn tenth(labelled: &Labelled, salt: u64) -> u64 {
    mix(salt, HASH_STREAM, u64::from(labelled.example.track.0)) % 10
}

fn leave_one_out(labelled: &[Labelled], salt: u64, dated: bool) -> Split {
    // Two to hold out and one to learn from, or the device only trains.
    if labelled.len() < 3 {
        return divide(labelled, |_| Part::Train);
    }
    let order = |l: &Labelled| {
        let hash = mix(salt, ORDER_STREAM, u64::from(l.example.track.0));
        // Equal times are common in rating sets; the track's key breaks them, never the order of a file.
        if dated { (l.time.0, u64::from(l.example.track.0)) } else { (0, hash) }
    };
    let mut by_time: Vec<&Labelled> = labelled.iter().collect();
    by_time.sort_by_key(|l| order(l));
    let test = by_time[by_time.len() - 1].example.track;
    let validation = by_time[by_time.len() - 2].example.track;
    divide(labelled, |l| match l.example.track {
        track if track == test => Part::Test,
        track if track == validation => Part::Validation,
        _ => Part::Train,
    })
}

fn divide(labelled: &[Labelled], part: impl Fn(&Labelled) -> Part) -> Split {
    let mut split = Split::default();
    for l in labelled {
        match part(l) {
            Part::Train => split.train.push(l.example),
            Part::Validation => split.validation.push(l.example.track),
            Part::Test => split.test.push(l.example.track),
        }
    }
    split
}

const HASH_STREAM: u64 = 1;
const ORDER_STREAM: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labelled(times: &[i64]) -> Vec<Labelled> {
        let item = |(i, &t): (usize, &i64)| Labelled {
            example: Example { track: TrackId(i as u32), confidence: 1.0 },
            time: Timestamp(t),
        };
        times.iter().enumerate().map(item).collect()
    }

    #[test]
    fn the_latest_is_the_test() {
        let split = Holdout::LeaveOneOut { dated: true }.split(&labelled(&[5, 9, 1, 7]), 3);
        assert_eq!((split.test, split.validation), (vec![TrackId(1)], vec![TrackId(3)]));
        assert_eq!(split.train.len(), 2);
    }

    #[test]
    fn ties_are_broken_by_track_and_short_histories_only_train() {
        let split = Holdout::LeaveOneOut { dated: true }.split(&labelled(&[4, 4, 4]), 3);
        assert_eq!(split.test, vec![TrackId(2)]);
        assert!(Holdout::LeaveOneOut { dated: true }.split(&labelled(&[1, 2]), 3).test.is_empty());
    }

    proptest! {
        #[test]
        fn every_track_is_in_one_part(times in prop::collection::vec(0i64..50, 0..40), salt in any::<u64>()) {
            let time = Holdout::Time { validation_from: Timestamp(20), test_from: Timestamp(35) };
            let next = Holdout::Next { test_from: Timestamp(35) };
            let leave = [true, false].map(|dated| Holdout::LeaveOneOut { dated });
            for holdout in leave.into_iter().chain([time, next, Holdout::Hash]) {
                let split = holdout.split(&labelled(&times), salt);
                let mut all: Vec<u32> = split.train.iter().map(|e| e.track.0).collect();
                all.extend(split.validation.iter().chain(&split.test).map(|t| t.0));
                all.sort_unstable();
                prop_assert_eq!(all, (0..times.len() as u32).collect::<Vec<_>>());
            }
        }
    }
}

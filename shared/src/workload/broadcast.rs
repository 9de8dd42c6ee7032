//! What every device of a round loads: the device's half of its workload, as bytes whose hash the round's terms carry.

use super::comparison::Advantage;
use super::factors::Regression;
use super::popularity::Plays;
use super::subspace::Projection;
use super::{Device, DeviceHalf, Statistics};
use crate::bytes::{self, Reader, put_f32s, put_f64s};
use crate::model::{Hyperparameters, Model};
use crate::plan::BlockLayout;
use crate::rollout::{MetricsRound, paid_as, rollout_of};
use ndarray::Array2;
use rand_core::Rng;

/// The device's half of one of the workloads of a training.
#[derive(Clone, Debug)]
pub enum Broadcast {
    /// Of [`super::Popularity`].
    Popularity(Plays),
    /// Of [`super::Subspace`].
    Subspace(Projection),
    /// Of [`super::Factors`].
    Factors(Regression),
    /// Of [`super::Comparison`].
    Comparison(Advantage),
    /// Of a rollout.
    Rollout(MetricsRound),
}

impl Broadcast {
    /// The number of tracks; 0 where it is about none.
    pub fn tracks(&self) -> usize {
        match self {
            Self::Popularity(half) => half.tracks,
            Self::Subspace(half) => half.damping.len(),
            Self::Factors(half) => half.model.tracks(),
            Self::Comparison(half) => half.model.tracks(),
            Self::Rollout(_) => 0,
        }
    }

    /// Whether it belongs to a task of this name: a rollout's round to the task of that rollout alone, any other to a task that is none of a
    /// rollout. A device joins no round of which this does not hold: it would be paid for under another's name.
    pub fn is_of(&self, task: &str) -> bool {
        let rollout = match self {
            Self::Rollout(round) => Some(round.rollout.as_str()),
            _ => None,
        };
        rollout_of(task) == rollout
    }

    /// The number under which ledgers have its round, which has this number in its task: the same, but in a rollout the stage's.
    pub fn paid_as(&self, round: u64) -> u64 {
        match self {
            Self::Rollout(round) => paid_as(round.stage),
            _ => round,
        }
    }

    /// A name and a kind, then numbers, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = NAME.to_vec();
        let number = |bytes: &mut Vec<u8>, number: usize| bytes.extend_from_slice(&(number as u64).to_le_bytes());
        match self {
            Self::Popularity(half) => {
                number(&mut bytes, 0);
                number(&mut bytes, half.tracks);
                put_f64s(&mut bytes, &half.hyperparameters.to_array());
            }
            Self::Subspace(half) => {
                number(&mut bytes, 1);
                number(&mut bytes, half.damping.len());
                number(&mut bytes, half.basis.ncols());
                put_f32s(&mut bytes, &half.damping);
                put_f32s(&mut bytes, &half.basis);
            }
            Self::Factors(half) => {
                number(&mut bytes, 2);
                put_f64s(&mut bytes, &[half.listener_clip]);
                bytes.extend_from_slice(&Model::Embedding(half.model.clone()).to_bytes());
            }
            Self::Comparison(half) => {
                number(&mut bytes, 3);
                let model = half.model.to_bytes();
                number(&mut bytes, model.len());
                bytes.extend_from_slice(&model);
                bytes.extend_from_slice(&half.baseline.to_bytes());
            }
            Self::Rollout(round) => {
                number(&mut bytes, 4);
                number(&mut bytes, round.stage);
                number(&mut bytes, round.rollout.len());
                bytes.extend_from_slice(round.rollout.as_bytes());
            }
        }
        bytes
    }

    /// Reads [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`bytes::Error`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::new(bytes, NAME)?;
        let broadcast = match reader.number()? {
            0 => {
                let tracks = reader.number()?;
                // A catalogue that no vector of a round could hold.
                if !(1..=MOST_TRACKS).contains(&tracks) {
                    return Err(bytes::Error::Number);
                }
                Self::Popularity(Plays { tracks, hyperparameters: Hyperparameters::from_slice(&reader.f64s(4)?)? })
            }
            1 => {
                let (tracks, d) = (reader.number()?, reader.number()?);
                let damping = reader.f32s(tracks)?;
                let basis = reader.f32s(tracks.checked_mul(d).ok_or(bytes::Error::Length)?)?;
                let basis = Array2::from_shape_vec((tracks, d), basis).map_err(|_| bytes::Error::Length)?;
                Self::Subspace(Projection { basis, damping })
            }
            2 => {
                let listener_clip = reader.f64s(1)?[0];
                let Model::Embedding(model) = Model::from_bytes(reader.rest())? else {
                    return Err(bytes::Error::Kind);
                };
                if listener_clip <= 0.0 {
                    return Err(bytes::Error::Number);
                }
                Self::Factors(Regression { model, listener_clip })
            }
            3 => {
                let length = reader.number()?;
                let model = Model::from_bytes(reader.take(length)?)?;
                let baseline = Model::from_bytes(reader.rest())?;
                if model.tracks() != baseline.tracks() {
                    return Err(bytes::Error::Number);
                }
                Self::Comparison(Advantage { model, baseline })
            }
            4 => {
                let (stage, length) = (reader.number()?, reader.number()?);
                if length > MOST_NAME {
                    return Err(bytes::Error::Length);
                }
                let rollout = String::from_utf8(reader.take(length)?.to_vec()).map_err(|_| bytes::Error::Kind)?;
                Self::Rollout(MetricsRound { rollout, stage })
            }
            _ => return Err(bytes::Error::Kind),
        };
        reader.end()?;
        Ok(broadcast)
    }
}

impl DeviceHalf for Broadcast {
    fn layout(&self) -> Vec<BlockLayout> {
        match self {
            Self::Popularity(half) => half.layout(),
            Self::Subspace(half) => half.layout(),
            Self::Factors(half) => half.layout(),
            Self::Comparison(half) => half.layout(),
            Self::Rollout(half) => half.layout(),
        }
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        match self {
            Self::Popularity(half) => half.contribute(device, rng),
            Self::Subspace(half) => half.contribute(device, rng),
            Self::Factors(half) => half.contribute(device, rng),
            Self::Comparison(half) => half.contribute(device, rng),
            Self::Rollout(half) => half.contribute(device, rng),
        }
    }
}

const NAME: &[u8; 8] = b"SRDBCST1";
const MOST_TRACKS: usize = 1 << 28;
const MOST_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::model::{EmbeddingModel, Example};
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn broadcasts() -> Vec<Broadcast> {
        let table = Array2::from_shape_fn((6, 2), |(i, k)| (i as f32 - 2.5) * (k as f32 + 0.5));
        let model = EmbeddingModel::new(table.clone(), vec![1.0; 6], Hyperparameters::default());
        vec![
            Broadcast::Popularity(Plays { tracks: 6, hyperparameters: Hyperparameters::default() }),
            Broadcast::Subspace(Projection { basis: table, damping: vec![0.5; 6] }),
            Broadcast::Factors(Regression { model: model.clone(), listener_clip: 0.9 }),
            Broadcast::Comparison(Advantage {
                model: Model::Embedding(model),
                baseline: Model::Popularity(vec![6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
            }),
            Broadcast::Rollout(MetricsRound { rollout: "spring".into(), stage: 2 }),
        ]
    }

    // A device that loaded the bytes makes the vector that the coordinator's own half would make.
    #[test]
    fn a_rollouts_round_is_of_its_own_task_and_paid_by_the_stage() {
        let metrics = Broadcast::Rollout(MetricsRound { rollout: "spring".into(), stage: 2 });
        let plays = Broadcast::Popularity(Plays { tracks: 4, hyperparameters: Hyperparameters::default() });
        for (task, of_rollout, of_training) in
            [("rollout-spring", true, false), ("rollout-autumn", false, false), ("spring", false, true)]
        {
            assert_eq!((metrics.is_of(task), plays.is_of(task)), (of_rollout, of_training), "{task}");
        }
        assert_eq!((metrics.paid_as(17), plays.paid_as(17)), (3, 17));
    }

    #[test]
    fn what_is_loaded_contributes_the_same() {
        let examples = [1, 4].map(|t| Example { track: TrackId(t), confidence: 1.5 });
        for broadcast in broadcasts() {
            let again = Broadcast::from_bytes(&broadcast.to_bytes()).expect("its own bytes");
            let contribute = |half: &Broadcast| {
                let mut workspace = Workspace::default();
                let device = Device { examples: &examples, held_out: &[TrackId(2)], ..workspace.device() };
                half.contribute(device, &mut ChaCha8Rng::seed_from_u64(1))
            };
            assert_eq!(contribute(&again), contribute(&broadcast));
            assert_eq!((again.layout(), again.tracks()), (broadcast.layout(), broadcast.tracks()));
        }
    }

    #[test]
    fn spoilt_bytes_are_refused() {
        for broadcast in broadcasts() {
            let bytes = broadcast.to_bytes();
            for length in 0..bytes.len() {
                assert!(Broadcast::from_bytes(&bytes[..length]).is_err(), "{length}");
            }
            let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
            assert!(Broadcast::from_bytes(&longer).is_err());
        }
    }
}

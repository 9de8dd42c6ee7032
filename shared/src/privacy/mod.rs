//! The private sum: clip, round, noise, add, decode; and what it costs.

pub mod accountant;
mod adaptive;
mod clip;
mod encode;
pub mod ledger;
mod noise;
mod rotation;
pub mod rounded;
mod sum;

pub use adaptive::{AdaptiveClip, CountTooExact, vector_noise_multiplier};
pub use clip::Clipped;
pub use encode::{IntegerBlock, Rounded, decode};
pub use noise::{
    DeviceGenerator, Law, Mechanism, NoiseError, Noised, Sampler, SamplerKind, Samplers, central_release,
    largest_exact_variance, skellam_tail,
};
pub use sum::Sum;

use serde::{Deserialize, Serialize};

/// Who adds the noise, and so against whom the epsilon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Devices add shares of discrete Gaussian noise under a mask: holds against the coordinator too.
    Secure,
    /// The coordinator is trusted to add the noise: holds against readers of the model only.
    Central,
    /// As `Central`, with noise that is correlated over the rounds of a task (matrix factorisation): holds against readers
    /// of the models only, all of them together.
    CentralMf,
    /// Each device adds all the noise by itself: holds with no trust in anybody.
    Local,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Secure, Self::Central, Self::CentralMf, Self::Local];

    /// The mode's name in files and text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Central => "central",
            Self::CentralMf => "central-mf",
            Self::Local => "local",
        }
    }

    /// Whether the coordinator sees exact sums and is trusted to add the noise.
    pub fn trusts_coordinator(self) -> bool {
        matches!(self, Self::Central | Self::CentralMf)
    }

    /// The neighbouring relation that a claim in this mode is made for.
    pub fn adjacency(self) -> Adjacency {
        match self {
            Self::Secure | Self::Central | Self::CentralMf => Adjacency::ZeroOut,
            Self::Local => Adjacency::ReplaceOne,
        }
    }
}

/// Which data sets count as neighbours. Always of devices, never of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjacency {
    /// One device's vector is replaced by zeros: the sensitivity is the clip.
    ZeroOut,
    /// One device's vector is replaced by any other: the sensitivity is twice the clip.
    ReplaceOne,
}

impl Adjacency {
    /// Sensitivity in clips.
    pub fn factor(self) -> f64 {
        match self {
            Self::ZeroOut => 1.0,
            Self::ReplaceOne => 2.0,
        }
    }
}

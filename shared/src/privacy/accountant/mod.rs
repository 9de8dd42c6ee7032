//! What a history of releases costs: pure functions, the same on the device, at the coordinator and in the simulator.
//!
//! - [`gaussian`]: compositions of *continuous* Gaussians, exactly (Balle and Wang 2018).
//! - [`zcdp`]: concentrated DP (Bun and Steinke 2016), which discrete Gaussian sums satisfy, and its conversion
//!   (Canonne, Kamath and Steinke 2020).
//! - [`distributed`]: what sums of devices' discrete Gaussian or Skellam noise cost.
//! - [`loss`]: privacy loss distributions, tight for compositions of anything.
//! - [`renyi`]: Renyi divergences, a check beside them and the bound for sampling without replacement.
//! - [`calibrate`]: the noise for a wanted epsilon.
//! - [`correlated`]: sensitivities of noise that is correlated over rounds.
//!
//! Each returns an epsilon that is never below the true one of the mechanism it is stated for. [`Claim`] is what a training
//! claims.

pub mod calibrate;
pub mod correlated;
pub mod distributed;
pub mod gaussian;
pub mod loss;
pub mod renyi;
pub mod zcdp;

use super::{Adjacency, Mechanism, Mode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A target (epsilon, delta) that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    epsilon: f64,
    delta: f64,
}

/// Why a target makes no sense.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// Epsilon is not a positive finite number.
    #[error("epsilon must be a positive number, not {0}: try 2")]
    Epsilon(f64),
    /// Delta is not inside (0, 1).
    #[error("delta must lie between 0 and 1, not {0}: try 1e-6")]
    Delta(f64),
}

impl Target {
    /// Checks that epsilon is positive and finite and delta inside (0, 1).
    pub fn new(epsilon: f64, delta: f64) -> Result<Self, Error> {
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(Error::Epsilon(epsilon));
        }
        if !(delta > 0.0 && delta < 1.0) {
            return Err(Error::Delta(delta));
        }
        Ok(Self { epsilon, delta })
    }

    /// The target's epsilon.
    pub fn epsilon(self) -> f64 {
        self.epsilon
    }

    /// The target's delta.
    pub fn delta(self) -> f64 {
        self.delta
    }

    /// The largest rho whose conversion stays within the target.
    ///
    /// All modes add discrete noise, so all are accounted this way; the continuous curve would be an estimate.
    pub fn rho(self, mechanism: Mechanism) -> f64 {
        match mechanism {
            Mechanism::DiscreteGaussian => zcdp::rho(self.epsilon, self.delta),
            Mechanism::Skellam => zcdp::rho_at_integer_orders(self.epsilon, self.delta),
        }
    }
}

/// A privacy claim in words and numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Epsilon that the claim is made with, by zCDP.
    pub epsilon: f64,
    /// The claim's delta.
    pub delta: f64,
    /// The zCDP budget spent by one device over all releases.
    pub rho: f64,
    /// What the same noise would cost were it continuous (Balle and Wang): a lower figure, not claimed.
    pub epsilon_if_continuous: f64,
    /// The neighbouring relation.
    pub adjacency: Adjacency,
    /// Against whom.
    pub mode: Mode,
}

impl Claim {
    /// The claim for a device that has spent `rho` in all. The samplers' distance from their law, which adds less than
    /// 1e-20 to delta, is the ledger's to account for.
    pub fn new(rho: f64, delta: f64, mode: Mode, mechanism: Mechanism) -> Self {
        let noise_multiplier = (0.5 / rho).sqrt();
        Self {
            epsilon: match mechanism {
                Mechanism::DiscreteGaussian => zcdp::epsilon(rho, delta),
                Mechanism::Skellam => zcdp::epsilon_at_integer_orders(rho, delta),
            },
            delta,
            rho,
            epsilon_if_continuous: gaussian::epsilon(&[noise_multiplier], delta),
            adjacency: mode.adjacency(),
            mode,
        }
    }
}

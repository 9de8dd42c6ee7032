//! Degree and threshold of the graph, from what is assumed about the devices (docs/protocol.md, section 3).
//!
//! The method is that of `graph_parameter_finder.cc` in Google's `fcp/secagg`, after Bell et al. (2020), with the bits
//! of security as a parameter.

use crate::math;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a round assumes about its devices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// sigma: the assumption about neighbours fails with probability at most 2^-sigma a round.
    pub security_bits: u32,
    /// gamma: the largest share of the cohort that colludes with the coordinator.
    pub colluding: f64,
    /// delta: the largest share of the cohort that drops out.
    pub dropping: f64,
}

impl Default for Assumptions {
    /// 2^-64, 10 % colluding, 10 % dropping.
    fn default() -> Self {
        Self { security_bits: 64, colluding: 0.1, dropping: 0.1 }
    }
}

/// What the coordinator may do beyond reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    /// It shows every device the same survivors.
    Curious,
    /// It may show different survivors to different devices. What rounds are planned for.
    SemiMalicious,
}

/// How many neighbours a device has, and how many of them together can open one of its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degree {
    /// k: neighbours of each device.
    pub neighbours: u32,
    /// t: shares that open a secret.
    pub threshold: u32,
}

/// Why there is no graph.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// Shares outside what the protocol is for.
    #[error("colluding and dropping shares must be at least 0, below 1/3 and 1/2, not {colluding} and {dropping}")]
    Shares {
        /// gamma.
        colluding: f64,
        /// delta.
        dropping: f64,
    },
    /// Too few or too many bits of security.
    #[error("security must be 40 to 128 bits, not {0}")]
    Security(u32),
    /// Too few devices to hide one among them.
    #[error("a masked sum needs at least {LEAST_DEVICES} devices, not {0}")]
    TooFew(u32),
    /// No degree below n - 1 passes.
    #[error("no graph of {0} devices is safe under these assumptions: assume less collusion or drop-out")]
    NoGraph(u32),
}

impl Assumptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Shares`], [`Error::Security`].
    pub fn check(&self) -> Result<(), Error> {
        if !(40..=128).contains(&self.security_bits) {
            return Err(Error::Security(self.security_bits));
        }
        let fits = |share: f64, most: f64| share >= 0.0 && share < most;
        if !fits(self.colluding, 1.0 / 3.0) || !fits(self.dropping, 0.5) {
            return Err(Error::Shares { colluding: self.colluding, dropping: self.dropping });
        }
        Ok(())
    }

    /// floor(gamma n): devices of a cohort of `devices` that may collude.
    pub fn colluders(&self, devices: u32) -> u32 {
        ((self.colluding + ROUNDING) * f64::from(devices)).floor() as u32
    }

    /// ceil((1 - delta) n): devices of a cohort of `devices` that are sure to stay.
    pub fn staying(&self, devices: u32) -> u32 {
        ((1.0 - self.dropping - ROUNDING) * f64::from(devices)).ceil() as u32
    }

    /// w: how many of any k/2 consecutive places on the ring must be survivors, so that an honest one is among them. More
    /// than w - 1 of them collude with probability at most 2^-(sigma + 1), for all places together: the order on the ring
    /// is drawn after the roster is fixed.
    pub fn least_in_window(&self, devices: u32, neighbours: u32) -> u32 {
        let log_failure = -f64::from(self.security_bits + 1) * std::f64::consts::LN_2 - math::ln(f64::from(devices));
        most_above(devices, self.colluders(devices), neighbours / 2, log_failure) + 1
    }

    /// Degree and threshold for a cohort: the complete graph up to [`LARGEST_COMPLETE`] devices, a Harary graph above.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn degree(&self, devices: u32) -> Result<Degree, Error> {
        self.check()?;
        #[cfg(test)]
        if let Some(degree) = tests::FORCED.get() {
            return Ok(degree);
        }
        match devices {
            0..LEAST_DEVICES => Err(Error::TooFew(devices)),
            // Each survivor's other neighbours must be enough.
            LEAST_DEVICES..=LARGEST_COMPLETE if complete(devices).threshold < self.staying(devices) => {
                Ok(complete(devices))
            }
            LEAST_DEVICES..=LARGEST_COMPLETE => Err(Error::NoGraph(devices)),
            _ => self.harary(devices, Adversary::SemiMalicious),
        }
    }

    /// The least degree of a Harary graph that is connected, private and correct, and its least threshold.
    ///
    /// # Errors
    /// [`Error::NoGraph`] where none below n - 1 and 2,048 is.
    pub fn harary(&self, devices: u32, adversary: Adversary) -> Result<Degree, Error> {
        let n = devices;
        let (corrupt, staying) = (self.colluders(n), self.staying(n));
        let bad = corrupt + ((self.dropping + ROUNDING) * f64::from(n)).floor() as u32;
        let log_failure = -f64::from(self.security_bits + 1) * std::f64::consts::LN_2;
        let log_incorrect = -CORRECTNESS_BITS * std::f64::consts::LN_2;
        let each = math::ln(f64::from(n));
        for k in (2..n.saturating_sub(1).min(MOST_NEIGHBOURS)).step_by(2) {
            if log_disconnected(n, k, bad) >= log_failure {
                continue;
            }
            let neighbours = most_above(n, corrupt, k, log_failure - each);
            let least = match adversary {
                Adversary::Curious => neighbours,
                // ceil((t1 + k - 1.25) / 2): with one more, two views of the survivors cannot both gather the shares.
                Adversary::SemiMalicious => ((f64::from(neighbours + k) - 1.25) / 2.0).ceil() as u32,
            };
            if least_at(n, staying, k, log_incorrect - each) > least {
                return Ok(Degree { neighbours: k, threshold: (least + 1).max(2) });
            }
        }
        Err(Error::NoGraph(n))
    }
}

/// The complete graph: everybody is everybody's neighbour, and the threshold is the least t with 2t > k + c for every
/// number c < n/3 of colluders, so that two views of the survivors cannot both gather t shares.
fn complete(n: u32) -> Degree {
    let neighbours = n - 1;
    let colluders = n.div_ceil(3) - 1;
    Degree { neighbours, threshold: (neighbours + colluders) / 2 + 1 }
}

/// ln of a bound on the probability that bad devices cut the ring: two gaps of k/2 of them, a union over pairs of
/// places.
fn log_disconnected(n: u32, k: u32, bad: u32) -> f64 {
    if k > bad {
        return f64::NEG_INFINITY;
    }
    let pairs = f64::from(n) * f64::from(n - k - 1) / 2.0;
    math::ln(pairs) + log_falling(bad, k) - log_falling(n, k)
}

/// Least t with Pr[X > t] <= e^log_probability, X the marked among k drawn without replacement.
fn most_above(n: u32, marked: u32, k: u32, log_probability: f64) -> u32 {
    let mut tail = 0.0;
    // From the small end, so that no digit of the tail is lost.
    for t in (0..=k.min(marked)).rev() {
        tail += math::exp(log_mass(n, marked, k, t));
        if tail > math::exp(log_probability) {
            return t;
        }
    }
    0
}

/// Least t with Pr[Y <= t] >= e^log_probability.
fn least_at(n: u32, marked: u32, k: u32, log_probability: f64) -> u32 {
    let mut cumulative = 0.0;
    for t in 0..=k {
        cumulative += math::exp(log_mass(n, marked, k, t));
        if cumulative >= math::exp(log_probability) {
            return t;
        }
    }
    k
}

/// ln Pr[X = x] of the hypergeometric law.
fn log_mass(n: u32, marked: u32, drawn: u32, x: u32) -> f64 {
    if x > marked || drawn - x > n - marked {
        return f64::NEG_INFINITY;
    }
    log_choose(marked, x) + log_choose(n - marked, drawn - x) - log_choose(n, drawn)
}

fn log_choose(n: u32, k: u32) -> f64 {
    log_falling(n, k) - log_factorial(k)
}

/// ln of n (n-1) ... (n-k+1).
fn log_falling(n: u32, k: u32) -> f64 {
    log_factorial(n) - log_factorial(n - k)
}

fn log_factorial(n: u32) -> f64 {
    math::lgamma(f64::from(n) + 1.0)
}

/// Cohorts below this have nothing to hide one device among.
pub const LEAST_DEVICES: u32 = 3;
/// Up to here everybody is everybody's neighbour.
pub const LARGEST_COMPLETE: u32 = 256;
// No graph is looked for beyond this, so that no offer, signed or not, keeps a device busy. The tables need 888.
const MOST_NEIGHBOURS: u32 = 2048;
// As in the reference: shares times n are whole numbers in decimal that floats may miss.
const ROUNDING: f64 = 1e-14;
// A round of honest devices fails for lack of shares with probability at most 2^-20.
const CORRECTNESS_BITS: f64 = 20.0;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    thread_local! {
        /// A sparse graph over few devices, which no assumption gives, for trying every pattern of drop-out on it.
        pub(in crate::secagg) static FORCED: std::cell::Cell<Option<Degree>> = const { std::cell::Cell::new(None) };
    }

    fn found(n: u32, colluding: f64, dropping: f64, security_bits: u32, adversary: Adversary) -> (u32, u32) {
        let degree = Assumptions { security_bits, colluding, dropping }.harary(n, adversary).expect("a graph");
        (degree.neighbours, degree.threshold)
    }

    #[test]
    fn the_published_vectors() {
        for (n, expected) in [(100, (16, 11)), (1000, (52, 37)), (10_000, (62, 44))] {
            assert_eq!(found(n, 0.05, 0.05, 40, Adversary::SemiMalicious), expected);
        }
    }

    // The table of tests/vectors/graph.json was computed by another implementation.
    #[test]
    fn the_design_point() {
        let degree = Assumptions::default().degree(1000).expect("a graph");
        assert_eq!(degree, Degree { neighbours: 112, threshold: 80 });
    }

    #[test]
    fn the_complete_graph_withstands_two_views() {
        for n in LEAST_DEVICES..=LARGEST_COMPLETE {
            let Degree { neighbours, threshold } = Assumptions::default().degree(n).expect("a graph");
            let colluders = n.div_ceil(3) - 1;
            assert!(3 * colluders < n);
            assert!(2 * threshold > neighbours + colluders && 2 * (threshold - 1) <= neighbours + colluders);
            // A third may drop but one: a survivor's other neighbours still are enough.
            assert!(threshold <= neighbours && neighbours - threshold + 1 >= n / 3, "{n}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = Assumptions::default();
        assert_eq!(good.degree(2), Err(Error::TooFew(2)));
        assert!(Assumptions { colluding: 0.34, ..good }.degree(100).is_err());
        assert!(Assumptions { dropping: f64::NAN, ..good }.degree(100).is_err());
        assert_eq!(Assumptions { security_bits: 39, ..good }.degree(100), Err(Error::Security(39)));
        let much = Assumptions { colluding: 0.33, dropping: 0.49, ..good };
        assert_eq!(much.degree(300), Err(Error::NoGraph(300)));
        // However many devices an offer speaks of, the search ends.
        assert_eq!(much.degree(u32::MAX), Err(Error::NoGraph(u32::MAX)));
        assert_eq!(Assumptions { dropping: 0.4, ..good }.degree(100), Err(Error::NoGraph(100)));
    }
}

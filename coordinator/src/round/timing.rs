//! What an operator says of rounds: when they happen, and what is assumed of the devices.

use super::Deadlines;
use serde::{Deserialize, Serialize};
use sordino_shared::secagg::Assumptions;

/// When rounds happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Seconds from the end of one round to the opening of the next.
    pub pause_seconds: u32,
    /// Seconds for keys.
    pub advertise_seconds: u32,
    /// Seconds for shares.
    pub share_seconds: u32,
    /// Seconds for vectors.
    pub upload_seconds: u32,
    /// Seconds for signatures.
    pub agree_seconds: u32,
    /// Seconds for the shares that open the sum.
    pub unmask_seconds: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pause_seconds: 3600,
            advertise_seconds: 600,
            share_seconds: 120,
            upload_seconds: 600,
            agree_seconds: 120,
            unmask_seconds: 120,
        }
    }
}

impl Timing {
    /// How long each step may take.
    pub fn deadlines(&self) -> Deadlines {
        let ms = |seconds: u32| i64::from(seconds) * 1000;
        Deadlines {
            advertise_ms: ms(self.advertise_seconds),
            share_ms: ms(self.share_seconds),
            upload_ms: ms(self.upload_seconds),
            agree_ms: ms(self.agree_seconds),
            unmask_ms: ms(self.unmask_seconds),
        }
    }

    /// Whether each step has some time.
    pub fn has_time(&self) -> bool {
        let t = self;
        ![t.advertise_seconds, t.share_seconds, t.upload_seconds, t.agree_seconds, t.unmask_seconds].contains(&0)
    }
}

/// What is assumed of the devices of a round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// The largest share that colludes with the coordinator.
    pub colluding: f64,
    /// The largest share that drops out.
    pub dropping: f64,
    /// Bits of security of the graph of neighbours.
    pub security_bits: u32,
    /// How many devices a round is offered to, for each one that it takes.
    pub over_selection: f64,
}

impl Default for Trust {
    fn default() -> Self {
        Self { colluding: 0.1, dropping: 0.1, security_bits: 64, over_selection: 1.3 }
    }
}

impl Trust {
    /// The same, as the protocol has it.
    pub fn assumptions(&self) -> Assumptions {
        Assumptions { security_bits: self.security_bits, colluding: self.colluding, dropping: self.dropping }
    }

    /// The share of a round's devices whose noise counts.
    pub fn honest_fraction(&self) -> f64 {
        1.0 - self.colluding - self.dropping
    }

    /// Devices to offer a round to.
    pub fn offered(&self, devices: u32) -> u32 {
        (f64::from(devices) * self.over_selection).ceil() as u32
    }
}

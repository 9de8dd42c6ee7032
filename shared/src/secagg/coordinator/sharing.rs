//! Step 1: shares come in (docs/protocol.md, 2.4).

use super::{Abandoned, Cohort, Error, Step, Uploading};
use crate::secagg::messages::{Bits, Deal, Shares};
use crate::secagg::transcript::Hash;
use serde::{Deserialize, Serialize};

/// Shares come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    cohort: Cohort,
    dealt: Vec<Option<Dealt>>,
}

/// What a device dealt: the hash of its seed, and for each slot the shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dealt {
    pub(super) seed_hash: Hash,
    pub(super) deals: Vec<Deal>,
}

/// Shares that hold by themselves.
pub struct CheckedShares {
    position: u32,
    dealt: Dealt,
}

impl Sharing {
    pub(super) fn new(cohort: Cohort) -> Self {
        let dealt = vec![None; cohort.members.len()];
        Self { cohort, dealt }
    }

    /// Roster and graph.
    pub fn cohort(&self) -> &Cohort {
        &self.cohort
    }

    /// Whether the device at this position has dealt.
    pub fn has(&self, position: u32) -> bool {
        self.dealt.get(position as usize).is_some_and(Option::is_some)
    }

    /// Devices that have dealt.
    pub fn devices(&self) -> u32 {
        self.dealt.iter().flatten().count() as u32
    }

    /// Signature and number of shares.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn check(&self, shares: Shares) -> Result<CheckedShares, Error> {
        let Shares { context, position, seed_hash, signature, deals } = shares;
        let statement = || Shares::statement(&self.cohort.scope, position, &seed_hash, &deals);
        self.cohort.check(&context, position, statement, &signature)?;
        if deals.len() != self.cohort.graph.degree().neighbours as usize {
            let device = self.cohort.device(position);
            return Err(Error::Malformed { device, why: "there is not one share for each neighbour" });
        }
        Ok(CheckedShares { position, dealt: Dealt { seed_hash, deals } })
    }

    /// Takes the shares. The same ones may come again.
    ///
    /// # Errors
    /// [`Error::Contradiction`].
    pub fn record(&mut self, checked: CheckedShares) -> Result<(), Error> {
        let slot = &mut self.dealt[checked.position as usize];
        match slot {
            Some(known) if *known == checked.dealt => Ok(()),
            Some(_) => Err(Error::Contradiction(self.cohort.device(checked.position))),
            None => {
                *slot = Some(checked.dealt);
                Ok(())
            }
        }
    }

    /// Settles U2: those that dealt, without any that has too few live neighbours to open a secret among them. Nobody has
    /// a mask with such a device yet, so leaving it out costs nothing.
    ///
    /// # Errors
    /// [`Abandoned::TooFew`].
    pub fn close(self) -> Result<Uploading, Abandoned> {
        let Self { cohort, mut dealt } = self;
        let mut alive: Bits = dealt.iter().map(Option::is_some).collect();
        loop {
            let short = |&position: &u32| {
                let neighbours = cohort.graph.neighbours(position).filter(|&other| alive.contains(other));
                (neighbours.count() as u32) < cohort.threshold()
            };
            let short: Vec<u32> = alive.iter().filter(short).collect();
            if short.is_empty() {
                break;
            }
            for position in short {
                alive.remove(position);
                dealt[position as usize] = None;
            }
        }
        let (found, least) = (alive.count(), cohort.min_survivors);
        if found < least {
            return Err(Abandoned::TooFew { step: Step::Share, found, least });
        }
        Ok(Uploading::new(cohort, dealt, alive))
    }
}

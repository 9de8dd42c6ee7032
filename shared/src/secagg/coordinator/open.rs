//! The masks are taken off the sum, on all cores (docs/protocol.md, 2.9).

use super::{Abandoned, Device, Step, Unmasking};
use crate::plan::RoundPlan;
use crate::privacy::Sum;
use crate::secagg::keys::{RoundKey, self_mask_key};
use crate::secagg::lanes::{Lanes, Sign};
use crate::secagg::mask::{MaskKey, MaskedSum};
use crate::secagg::messages::{Secret, seed_hash};
use crate::secagg::shamir::combine;
use rayon::prelude::*;

/// A round that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The sum over the survivors.
    pub sum: Sum,
    /// Devices whose shares were complained of, and by whom. One of each pair lies; a dealer with more complaints than
    /// there can be colluding neighbours is the liar itself.
    pub disputes: Vec<(Device, Vec<Device>)>,
}

/// A secret that was opened.
enum Found {
    Own(MaskKey),
    Masking(RoundKey),
}

/// A mask that is still on the sum.
enum Mask<'a> {
    Own(&'a MaskKey),
    /// Of a device that dropped out, with a survivor.
    Pair {
        gone: u32,
        key: &'a RoundKey,
        survivor: u32,
    },
}

impl Unmasking {
    /// Opens the sum. The result is the same on any number of threads: masks are added modulo 2^b.
    ///
    /// # Errors
    /// [`Abandoned`]; then the sum stays masked.
    pub fn open(self, mut sum: MaskedSum, plan: &RoundPlan) -> Result<Outcome, Abandoned> {
        let cohort = &self.frozen.cohort;
        let of_plan = plan.values() == cohort.shape.values as usize && plan.bits() == cohort.shape.bits;
        if sum.shape() != cohort.shape || !of_plan {
            return Err(Abandoned::OtherShape);
        }
        let alive: Vec<u32> = self.frozen.alive.iter().collect();
        let opened = alive.par_iter().map(|&position| self.secret(position).map(|found| (position, found)));
        let found = opened.collect::<Result<Vec<(u32, Found)>, Abandoned>>()?;
        let masks: Vec<Mask<'_>> = found.iter().flat_map(|(position, found)| self.masks(*position, found)).collect();
        let total = masks
            .par_iter()
            .with_min_len(LEAST_PIECE)
            .fold(|| Lanes::zeros(cohort.shape), |lanes, mask| self.take_off(lanes, mask))
            .reduce_with(|mut lanes, other| {
                lanes.merge(&other);
                lanes
            });
        if let Some(total) = total {
            sum.lanes_mut().merge(&total);
        }
        let survivors = self.frozen.survivors.count() as usize;
        Ok(Outcome { sum: sum.into_sum(plan, survivors), disputes: self.disputes() })
    }

    /// The one secret of a live device that is opened, held against what the device advertised.
    fn secret(&self, position: u32) -> Result<Found, Abandoned> {
        let cohort = &self.frozen.cohort;
        let (shares, least) = (&self.shares[position as usize], cohort.threshold());
        let device = cohort.device(position);
        if shares.len() < least as usize {
            return Err(Abandoned::Closed { step: Step::Unmask, device, found: shares.len() as u32, least });
        }
        let context = &cohort.scope.context;
        let scalar = combine(shares.iter().map(|(slot, share)| (*slot as usize, share)))
            .map_err(|_| Abandoned::FalseDealer(device))?;
        let pledge = self.frozen.pledges[position as usize].as_ref().expect("live devices dealt");
        let found = match self.wanted(position) {
            Some(Secret::Own) if seed_hash(context, &scalar) == pledge.seed_hash => {
                Some(Found::Own(self_mask_key(&scalar, context)))
            }
            Some(Secret::Masking) => Some(RoundKey::of_scalar(&scalar, context))
                .filter(|key| key.public() == cohort.members[position as usize].masking_key)
                .map(Found::Masking),
            _ => None,
        };
        found.ok_or(Abandoned::FalseDealer(device))
    }

    fn masks<'a>(&'a self, position: u32, found: &'a Found) -> Vec<Mask<'a>> {
        match found {
            Found::Own(key) => vec![Mask::Own(key)],
            Found::Masking(key) => {
                let neighbours = self.frozen.cohort.graph.neighbours(position);
                let survivors = neighbours.filter(|&neighbour| self.frozen.survivors.contains(neighbour));
                survivors.map(|survivor| Mask::Pair { gone: position, key, survivor }).collect()
            }
        }
    }

    fn take_off(&self, mut lanes: Lanes, mask: &Mask<'_>) -> Lanes {
        match mask {
            Mask::Own(key) => lanes.add_mask(key, Sign::Minus),
            Mask::Pair { gone, key, survivor } => {
                let cohort = &self.frozen.cohort;
                let agreed = key.agree(&cohort.members[*survivor as usize].masking_key);
                let agreed = agreed.expect("keys of low order were refused when they were advertised");
                let mask = agreed.mask_key(&cohort.scope, *gone, *survivor);
                lanes.add_mask(&mask, Sign::of(*survivor, *gone).opposite());
            }
        }
        lanes
    }

    fn disputes(&self) -> Vec<(Device, Vec<Device>)> {
        let cohort = &self.frozen.cohort;
        let complaints = self.complaints.iter().enumerate().filter(|(_, holders)| !holders.is_empty());
        complaints
            .map(|(dealer, holders)| {
                (cohort.device(dealer as u32), holders.iter().map(|&holder| cohort.device(holder)).collect())
            })
            .collect()
    }
}

// A piece has lanes of its own: below this many masks they cost more than they save.
const LEAST_PIECE: usize = 64;

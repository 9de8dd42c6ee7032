//! Step 2: shares go out, masked vectors come in (docs/protocol.md, 2.5 and 2.6).

use super::sharing::Dealt;
use super::{Abandoned, Agreeing, Cohort, Error, Step};
use crate::secagg::messages::{Behind, Bits, Delivery, ReceivedUpload, Upload};
use crate::secagg::transcript::{Hash, hash};
use serde::{Deserialize, Serialize};

/// Vectors come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploading {
    cohort: Cohort,
    dealt: Vec<Option<Dealt>>,
    alive: Bits,
    // The hash of each vector that was taken.
    taken: Vec<Option<Hash>>,
}

/// An upload that may be added to the sum, once.
#[derive(Clone, Debug)]
pub struct Checked<'a> {
    position: u32,
    digest: Hash,
    packed: Behind<'a>,
}

impl Checked<'_> {
    /// Whose it is.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// Hash of the packed vector: what a receipt names.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// The packed vector.
    pub fn packed(&self) -> &[u8] {
        self.packed.bytes()
    }
}

impl Uploading {
    pub(super) fn new(cohort: Cohort, dealt: Vec<Option<Dealt>>, alive: Bits) -> Self {
        let taken = vec![None; cohort.members.len()];
        Self { cohort, dealt, alive, taken }
    }

    /// Roster and graph.
    pub fn cohort(&self) -> &Cohort {
        &self.cohort
    }

    /// U2.
    pub fn alive(&self) -> &Bits {
        &self.alive
    }

    /// R1': the shares that are meant for a device; `None` if it is not in U2.
    pub fn delivery_for(&self, position: u32) -> Option<Delivery> {
        if !self.alive.contains(position) {
            return None;
        }
        let graph = &self.cohort.graph;
        let mut alive = Bits::none(graph.degree().neighbours);
        let mut deals = Vec::new();
        for (slot, neighbour) in graph.neighbours(position).enumerate() {
            let back = graph.slot(neighbour, position).expect("the graph is symmetric");
            if let Some(dealt) = &self.dealt[neighbour as usize] {
                alive.insert(slot as u32);
                deals.push(dealt.deals[back].clone());
            }
        }
        Some(Delivery { context: self.cohort.scope.context, alive, deals })
    }

    /// Length, signature, and that the device is in U2.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn check<'a>(&self, upload: ReceivedUpload<'a>) -> Result<Checked<'a>, Error> {
        let ReceivedUpload { context, position, signature, packed } = upload;
        let device = self.cohort.device(position);
        if !self.alive.contains(position) {
            return Err(Error::NoPart(device));
        }
        if !self.cohort.shape.takes(packed.bytes()) {
            return Err(Error::Malformed { device, why: "the vector has another length or spare bits" });
        }
        let digest = hash(packed.bytes());
        let statement = || Upload::statement(&self.cohort.scope, position, &digest);
        self.cohort.check(&context, position, statement, &signature)?;
        Ok(Checked { position, digest, packed })
    }

    /// Marks the device as in the sum: `true` if the vector is to be added now, `false` if it had been added before.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for another vector of the same device.
    pub fn record(&mut self, checked: &Checked<'_>) -> Result<bool, Error> {
        match self.taken[checked.position as usize] {
            Some(known) if known == checked.digest => Ok(false),
            Some(_) => Err(Error::Contradiction(self.cohort.device(checked.position))),
            None => {
                self.taken[checked.position as usize] = Some(checked.digest);
                Ok(true)
            }
        }
    }

    /// Takes what a store says of vectors that were added: position and digest. Positions outside of U2 are not there.
    ///
    /// # Panics
    /// If a store says what it cannot have been told: a device that has no part, or two vectors of one device.
    pub fn restore(&mut self, receipts: impl IntoIterator<Item = (u32, Hash)>) {
        for (position, digest) in receipts {
            assert!(self.alive.contains(position), "receipts are of devices in U2");
            let known = self.taken[position as usize].replace(digest);
            assert!(known.is_none_or(|known| known == digest), "a device has one vector in the sum");
        }
    }

    /// Freezes U3.
    ///
    /// # Errors
    /// [`Abandoned`] if too few are left, or too few of any device's neighbours.
    pub fn close(self) -> Result<Agreeing, Abandoned> {
        let Self { cohort, dealt, alive, taken } = self;
        let survivors: Bits = taken.iter().map(Option::is_some).collect();
        let (found, least) = (survivors.count(), cohort.min_survivors);
        if found < least {
            return Err(Abandoned::TooFew { step: Step::Upload, found, least });
        }
        cohort.check_openable(&alive, &survivors, Step::Upload)?;
        if cohort.graph.is_cut(&survivors, cohort.least_in_window) {
            return Err(Abandoned::Cut);
        }
        Ok(Agreeing::new(cohort, dealt, alive, survivors))
    }
}

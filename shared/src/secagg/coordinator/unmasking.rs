//! Step 4: shares come in that open the sum (docs/protocol.md, 2.8).

use super::agreeing::{Frozen, Signed};
use super::{Cohort, Error};
use crate::secagg::messages::{Answer, Opened, Quorum, Secret, Survivors, commitment};
use crate::secagg::transcript::Hash;
use serde::{Deserialize, Serialize};

/// Shares come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmasking {
    pub(super) frozen: Frozen,
    signatures: Vec<Option<Signed>>,
    answered: Vec<bool>,
    // By dealer: slot and share of the one secret that is opened. No more of them than the threshold.
    pub(super) shares: Vec<Vec<(u32, Hash)>>,
    // By dealer: who complained of its shares.
    pub(super) complaints: Vec<Vec<u32>>,
}

/// An answer whose every share is the one that was dealt.
pub struct CheckedAnswer(Answer);

impl Unmasking {
    pub(super) fn new(frozen: Frozen, signatures: Vec<Option<Signed>>) -> Self {
        let n = frozen.cohort.members.len();
        Self {
            frozen,
            signatures,
            answered: vec![false; n],
            shares: vec![Vec::new(); n],
            complaints: vec![Vec::new(); n],
        }
    }

    /// Roster and graph.
    pub fn cohort(&self) -> &Cohort {
        &self.frozen.cohort
    }

    /// R2' again, for a device that lost it.
    pub fn survivors(&self) -> Survivors {
        Survivors { context: self.frozen.cohort.scope.context, devices: self.frozen.survivors.clone() }
    }

    /// Whether the device at this position has answered.
    pub fn has(&self, position: u32) -> bool {
        self.answered.get(position as usize).is_some_and(|answered| *answered)
    }

    /// Devices that have answered.
    pub fn devices(&self) -> u32 {
        self.answered.iter().filter(|answered| **answered).count() as u32
    }

    /// What answers are signed over.
    #[cfg(test)]
    pub(in crate::secagg) fn bound(&self) -> (crate::secagg::keys::Scope, Hash) {
        (self.frozen.cohort.scope, self.frozen.survivors_hash)
    }

    /// R3': as many of the neighbours' signatures as the threshold asks for; `None` for a device that has not signed, or
    /// has too few neighbours that did.
    pub fn quorum_for(&self, position: u32) -> Option<Quorum> {
        self.signatures.get(position as usize)?.as_ref()?;
        let threshold = self.frozen.cohort.threshold() as usize;
        let neighbours = self.frozen.cohort.graph.neighbours(position).enumerate();
        let signed = |(slot, neighbour): (usize, u32)| {
            self.signatures[neighbour as usize].as_ref().map(|signed| (slot as u32, signed.0))
        };
        let signatures: Vec<_> = neighbours.filter_map(signed).take(threshold).collect();
        let context = self.frozen.cohort.scope.context;
        (signatures.len() == threshold).then_some(Quorum { context, signatures })
    }

    /// Signature, that each share is of the one secret that is opened, and that it is the one that was dealt.
    ///
    /// # Errors
    /// [`enum@Error`]; one wrong share spoils the answer and names its sender.
    pub fn check(&self, answer: Answer) -> Result<CheckedAnswer, Error> {
        let Frozen { cohort, survivors_hash, .. } = &self.frozen;
        let device = cohort.device(answer.position);
        if self.signatures.get(answer.position as usize).is_none_or(Option::is_none) {
            return Err(Error::NoPart(device));
        }
        let statement = || Answer::statement(&cohort.scope, answer.position, survivors_hash, &answer.opened);
        cohort.check(&answer.context, answer.position, statement, &answer.signature)?;
        if answer.opened.len() != cohort.graph.degree().neighbours as usize {
            return Err(Error::Malformed { device, why: "there is not one entry for each neighbour" });
        }
        for (dealer, opened) in cohort.graph.neighbours(answer.position).zip(&answer.opened) {
            match (self.wanted(dealer), opened) {
                (None, Opened::Nothing) | (Some(_), Opened::Complaint) => {}
                (Some(wanted), Opened::Share(secret, share)) if wanted == *secret => {
                    if !self.was_dealt(dealer, answer.position, *secret, share) {
                        return Err(Error::WrongShare { device, dealer: cohort.device(dealer) });
                    }
                }
                _ => return Err(Error::Malformed { device, why: "a share is missing, or of the wrong secret" }),
            }
        }
        Ok(CheckedAnswer(answer))
    }

    /// Takes the answer. It may come again.
    pub fn record(&mut self, checked: CheckedAnswer) {
        let CheckedAnswer(answer) = checked;
        if std::mem::replace(&mut self.answered[answer.position as usize], true) {
            return;
        }
        let Frozen { cohort, .. } = &self.frozen;
        for (dealer, opened) in cohort.graph.neighbours(answer.position).zip(&answer.opened) {
            let shares = &mut self.shares[dealer as usize];
            match opened {
                Opened::Share(_, share) if shares.len() < cohort.threshold() as usize => {
                    let slot = cohort.graph.slot(dealer, answer.position).expect("the graph is symmetric");
                    shares.push((slot as u32, *share));
                }
                Opened::Complaint => self.complaints[dealer as usize].push(answer.position),
                _ => {}
            }
        }
    }

    /// Whether there are shares enough to open the sum.
    pub fn ready(&self) -> bool {
        let threshold = self.frozen.cohort.threshold() as usize;
        self.frozen.alive.iter().all(|position| self.shares[position as usize].len() >= threshold)
    }

    /// Which secret of a dealer is opened: its own seed if it survived, its masking key if it dropped out.
    pub(super) fn wanted(&self, dealer: u32) -> Option<Secret> {
        let Frozen { alive, survivors, .. } = &self.frozen;
        match (alive.contains(dealer), survivors.contains(dealer)) {
            (false, _) => None,
            (true, true) => Some(Secret::Own),
            (true, false) => Some(Secret::Masking),
        }
    }

    fn was_dealt(&self, dealer: u32, holder: u32, secret: Secret, share: &Hash) -> bool {
        let Frozen { cohort, pledges, .. } = &self.frozen;
        let (Some(pledge), Some(slot)) = (&pledges[dealer as usize], cohort.graph.slot(dealer, holder)) else {
            return false;
        };
        commitment(&cohort.scope, dealer, slot, secret, share) == *pledge.commitments[slot].of(secret)
    }
}

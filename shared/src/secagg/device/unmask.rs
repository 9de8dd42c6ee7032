//! Steps 3 and 4: the survivors are agreed on and the sum is opened (docs/protocol.md, 2.7 and 2.8).

use super::record::{Record, Unsaved};
use super::{Held, Neighbourhood, Refusal};
use crate::secagg::identity::Identity;
use crate::secagg::messages::{Agreement, Answer, Bits, Opened, Quorum, Secret, Survivors};
use std::collections::BTreeSet;

/// The device has signed the survivors that it was shown, and no others.
#[cfg_attr(test, derive(Clone))]
pub struct Agreed {
    pub(super) neighbourhood: Neighbourhood,
    pub(super) alive: Bits,
    pub(super) held: Vec<Option<Held>>,
    pub(super) survivors: Bits,
    pub(super) agreement: Agreement,
}

impl Agreed {
    /// The same signature again, for a coordinator that did not get it.
    ///
    /// # Errors
    /// [`Refusal::OtherSurvivors`] if it now shows others.
    pub fn again(&self, survivors: &Survivors) -> Result<Agreement, Refusal> {
        self.neighbourhood.of_round(&survivors.context)?;
        if survivors.devices != self.survivors {
            return Err(Refusal::OtherSurvivors);
        }
        Ok(self.agreement.clone())
    }

    /// The signature that was given, for sending it again.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// The most signatures that a quorum can hold.
    pub fn neighbours(&self) -> u32 {
        self.neighbourhood.neighbours.len() as u32
    }

    /// Step 4: once as many neighbours as could open a secret have signed the same survivors, gives out one share for
    /// each neighbour: of its own seed if it survived, of its masking key if it dropped out, **never both**.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn unmask(self, quorum: &Quorum, identity: &Identity) -> Result<Unsaved<Answered, Answer>, Refusal> {
        self.check(quorum)?;
        let Self { neighbourhood, alive, held, survivors, .. } = self;
        let opened: Vec<Opened> = neighbourhood
            .neighbours
            .iter()
            .zip(&held)
            .enumerate()
            .map(|(slot, (neighbour, held))| match held {
                _ if !alive.contains(slot as u32) => Opened::Nothing,
                None => Opened::Complaint,
                Some(held) if survivors.contains(neighbour.position) => Opened::Share(Secret::Own, *held.own),
                Some(held) => Opened::Share(Secret::Masking, *held.masking),
            })
            .collect();
        let hash = Survivors::hash(&neighbourhood.scope(), &survivors);
        let signature =
            identity.sign(&Answer::statement(&neighbourhood.scope(), neighbourhood.place.position, &hash, &opened));
        let answer =
            Answer { context: neighbourhood.place.context, position: neighbourhood.place.position, signature, opened };
        let record = Record::answered(&neighbourhood, &answer);
        Ok(Unsaved::new(Answered { answer: answer.clone() }, answer, record))
    }

    fn check(&self, quorum: &Quorum) -> Result<(), Refusal> {
        let neighbourhood = &self.neighbourhood;
        neighbourhood.of_round(&quorum.context)?;
        let hash = Survivors::hash(&neighbourhood.scope(), &self.survivors);
        let mut signers = BTreeSet::new();
        for (slot, signature) in &quorum.signatures {
            let slot = *slot as usize;
            let neighbour = neighbourhood.neighbours.get(slot).ok_or(Refusal::Malformed("a signer is no neighbour"))?;
            if !self.survivors.contains(neighbour.position) || !signers.insert(slot) {
                return Err(Refusal::Malformed("a signer is no survivor, or signs twice"));
            }
            let statement = Agreement::statement(&neighbourhood.scope(), neighbour.position, &hash);
            if !neighbourhood.identity(slot)?.signed(&statement, signature) {
                return Err(Refusal::Disagreement { slot });
            }
        }
        let found = signers.len() as u32;
        if found < neighbourhood.place.threshold {
            return Err(Refusal::NoQuorum { found, least: neighbourhood.place.threshold });
        }
        Ok(())
    }
}

/// The device has given out its shares. What is left of the round is that answer.
#[cfg_attr(test, derive(Clone))]
pub struct Answered {
    pub(super) answer: Answer,
}

impl Answered {
    /// The same answer again, whatever is asked.
    pub fn again(&self) -> &Answer {
        &self.answer
    }
}

//! Step 3: the survivors sign who they are (docs/protocol.md, 2.7).

use super::sharing::Dealt;
use super::{Abandoned, Cohort, Error, Step, Unmasking};
use crate::secagg::identity::SignatureBytes;
use crate::secagg::keys::byte_array;
use crate::secagg::messages::{Agreement, Bits, Commitments, Survivors};
use crate::secagg::transcript::Hash;
use serde::{Deserialize, Serialize};

/// Signatures over the survivors come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreeing {
    pub(super) frozen: Frozen,
    pub(super) signatures: Vec<Option<Signed>>,
}

/// What is fixed once vectors are: U2, U3, and what opened secrets are checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frozen {
    pub(super) cohort: Cohort,
    pub(super) alive: Bits,
    pub(super) survivors: Bits,
    pub(super) survivors_hash: Hash,
    pub(super) pledges: Vec<Option<Pledge>>,
}

/// What a device is held to: the hash of its seed, and for each slot the commitments to its shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pledge {
    pub(super) seed_hash: Hash,
    pub(super) commitments: Vec<Commitments>,
}

/// A device's signature over the survivors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed(#[serde(with = "byte_array")] pub(super) SignatureBytes);

/// A signature that holds.
pub struct CheckedAgreement {
    position: u32,
    signature: SignatureBytes,
}

impl Agreeing {
    pub(super) fn new(cohort: Cohort, dealt: Vec<Option<Dealt>>, alive: Bits, survivors: Bits) -> Self {
        let pledge = |dealt: Dealt| Pledge {
            seed_hash: dealt.seed_hash,
            commitments: dealt.deals.into_iter().map(|deal| deal.commitments).collect(),
        };
        let pledges = dealt.into_iter().map(|dealt| dealt.map(pledge)).collect();
        let survivors_hash = Survivors::hash(&cohort.scope, &survivors);
        let signatures = vec![None; cohort.members.len()];
        Self { frozen: Frozen { cohort, alive, survivors, survivors_hash, pledges }, signatures }
    }

    /// Roster and graph.
    pub fn cohort(&self) -> &Cohort {
        &self.frozen.cohort
    }

    /// Whether the device at this position has signed.
    pub fn has(&self, position: u32) -> bool {
        self.signatures.get(position as usize).is_some_and(Option::is_some)
    }

    /// Devices that have signed.
    pub fn devices(&self) -> u32 {
        self.signatures.iter().flatten().count() as u32
    }

    /// R2': U3, the same for everybody.
    pub fn survivors(&self) -> Survivors {
        Survivors { context: self.frozen.cohort.scope.context, devices: self.frozen.survivors.clone() }
    }

    /// The signature, and that the device is in U3.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn check(&self, agreement: &Agreement) -> Result<CheckedAgreement, Error> {
        let Agreement { context, position, signature } = *agreement;
        let Frozen { cohort, survivors, survivors_hash, .. } = &self.frozen;
        if !survivors.contains(position) {
            return Err(Error::NoPart(cohort.device(position)));
        }
        let statement = || Agreement::statement(&cohort.scope, position, survivors_hash);
        cohort.check(&context, position, statement, &signature)?;
        Ok(CheckedAgreement { position, signature })
    }

    /// Takes the signature. Ed25519 signatures need not be unique, so the first counts and others change nothing.
    pub fn record(&mut self, checked: &CheckedAgreement) {
        self.signatures[checked.position as usize].get_or_insert(Signed(checked.signature));
    }

    /// Goes on with those that signed.
    ///
    /// # Errors
    /// [`Abandoned::Closed`] if too few of any device's neighbours did.
    pub fn close(self) -> Result<Unmasking, Abandoned> {
        let signers: Bits = self.signatures.iter().map(Option::is_some).collect();
        self.frozen.cohort.check_openable(&self.frozen.alive, &signers, Step::Agree)?;
        Ok(Unmasking::new(self.frozen, self.signatures))
    }
}

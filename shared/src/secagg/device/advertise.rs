//! Step 0: the terms are checked and keys are advertised (docs/protocol.md, 2.1 to 2.3).

use super::Refusal;
use super::roster::Trusted;
use super::share::Shared;
use crate::plan::RoundPlan;
use crate::secagg::finder::Assumptions;
use crate::secagg::identity::{Certificate, Identity, PublicIdentity};
use crate::secagg::keys::RoundKey;
use crate::secagg::messages::{Advertisement, Offer, Roster, Shares};
use crate::secagg::shamir::uniform;
use crate::secagg::terms::Terms;
use crate::secagg::transcript::Hash;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// What a device asks of a round before it takes part. The ledger asks for the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whose certificates and graphs it accepts.
    pub authority: PublicIdentity,
    /// Whose plans it accepts.
    pub operator: PublicIdentity,
    /// The fewest devices whose sum it lets be opened.
    pub least_survivors: u32,
    /// The fewest bits of security of the graph.
    pub least_security_bits: u32,
    /// The least share of colluding devices that a round must withstand.
    pub least_colluding: f64,
    /// The most that the round may cost if nobody's noise but this device's own is in the sum, as zCDP rho.
    pub most_rho_alone: f64,
}

impl Policy {
    /// At least 8 survivors, 2^-40, 5 % colluding; no limit on what is left when everybody else colludes.
    pub fn new(authority: PublicIdentity, operator: PublicIdentity) -> Self {
        Self {
            authority,
            operator,
            least_survivors: 8,
            least_security_bits: 40,
            least_colluding: 0.05,
            most_rho_alone: f64::INFINITY,
        }
    }

    fn check(&self, terms: &Terms, plan: &RoundPlan) -> Result<(), Refusal> {
        let assumed = terms.assumptions();
        let at_least = |name, least: f64, found: f64| {
            if found >= least { Ok(()) } else { Err(Refusal::Policy { name, least, found }) }
        };
        at_least("a number of survivors", self.least_survivors.into(), terms.min_survivors().into())?;
        at_least("bits of security", self.least_security_bits.into(), assumed.security_bits.into())?;
        at_least("a colluding share", self.least_colluding, assumed.colluding)?;
        let alone = plan.rho_with(1);
        at_least("noise of its own, as 1/rho,", 1.0 / self.most_rho_alone, 1.0 / alone)
    }
}

/// A device in a round: its identity and the certificate of it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its key pair.
    pub identity: &'a Identity,
    /// What the authority says about it.
    pub certificate: &'a Certificate,
}

/// What a device holds when it joins a round: the offer, and what it holds the offer against.
#[derive(Clone, Copy, Debug)]
pub struct Joining<'a> {
    /// The signed terms.
    pub offer: &'a Offer,
    /// The plan that the device made itself.
    pub plan: &'a RoundPlan,
    /// Hash of the model that the device has loaded.
    pub model: Hash,
    /// What it asks of a round.
    pub policy: &'a Policy,
    /// Who it is.
    pub member: Member<'a>,
}

/// The device has keys for the round and has advertised them.
#[cfg_attr(test, derive(Clone))]
pub struct Advertised {
    terms: Terms,
    context: Hash,
    authority: PublicIdentity,
    secrets: Secrets,
    own: Advertisement,
}

/// What a device makes for one round: c's and s's secret keys, r_s and r_b. Wiped on drop.
#[cfg_attr(test, derive(Clone))]
pub(in crate::secagg) struct Secrets {
    pub(in crate::secagg) sealing: RoundKey,
    pub(in crate::secagg) masking: RoundKey,
    pub(in crate::secagg) masking_scalar: Zeroizing<Hash>,
    pub(in crate::secagg) own_scalar: Zeroizing<Hash>,
}

impl Secrets {
    fn generate(context: &Hash, rng: &mut impl CryptoRng) -> Self {
        let sealing = RoundKey::generate(rng);
        let masking_scalar = Zeroizing::new(uniform(rng).to_bytes());
        let own_scalar = Zeroizing::new(uniform(rng).to_bytes());
        let masking = RoundKey::of_scalar(&masking_scalar, context);
        Self { sealing, masking, masking_scalar, own_scalar }
    }
}

/// Checks the offer against the plan and the model that the device holds and against its policy, and makes keys.
///
/// # Errors
/// [`Refusal`]; then nothing was made.
pub fn advertise(
    joining: Joining<'_>,
    now: i64,
    rng: &mut impl CryptoRng,
) -> Result<(Advertised, Advertisement), Refusal> {
    let Joining { offer, plan, model, policy, member } = joining;
    let assumptions =
        Assumptions { security_bits: offer.security_bits, colluding: offer.colluding, dropping: offer.dropping };
    let terms = Terms::new(&offer.task, offer.round, plan, model, assumptions)?;
    if offer.plan != terms.plan() {
        return Err(Refusal::OtherPlan);
    }
    if offer.model != terms.model() {
        return Err(Refusal::OtherModel);
    }
    if !terms.signed(&policy.operator, &offer.signature) {
        return Err(Refusal::Unsigned);
    }
    policy.check(&terms, plan)?;
    let own_key = member.identity.public().bytes() == member.certificate.key;
    if !own_key || !member.certificate.holds(&policy.authority, now) {
        return Err(Refusal::OwnCertificate);
    }
    let context = terms.context();
    let secrets = Secrets::generate(&context, rng);
    let (sealing_key, masking_key) = (secrets.sealing.public(), secrets.masking.public());
    let signature = member.identity.sign(&Advertisement::statement(&context, &sealing_key, &masking_key));
    let own = Advertisement { certificate: *member.certificate, sealing_key, masking_key, signature };
    let authority = policy.authority.clone();
    let state = Advertised { terms, context, authority, secrets, own: own.clone() };
    Ok((state, own))
}

impl Advertised {
    #[cfg(test)]
    pub(in crate::secagg) fn inspect_secrets<T>(&self, see: impl FnOnce(&Secrets) -> T) {
        let Self { secrets, terms: _, context: _, authority: _, own: _ } = self;
        see(secrets);
    }

    /// ctx of the round.
    pub fn context(&self) -> Hash {
        self.context
    }

    /// Step 1: checks the roster and deals shares of both secrets to the neighbours.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn share(
        self,
        roster: &Roster,
        identity: &Identity,
        now: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Shared, Shares), Refusal> {
        let trusted = Trusted { terms: &self.terms, context: self.context, authority: &self.authority, now };
        let (neighbourhood, peers) = trusted.neighbourhood(roster, &self.own)?;
        Shared::deal(self.terms, neighbourhood, peers, self.secrets, identity, rng)
    }
}

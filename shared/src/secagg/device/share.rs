//! Step 1: shares are dealt and received (docs/protocol.md, 2.4 and 2.5).

use super::advertise::Secrets;
use super::{Held, Neighbourhood, Peer, Ready, Refusal};
use crate::secagg::identity::Identity;
use crate::secagg::keys::{Agreed as AgreedKey, RoundKey, open, seal};
use crate::secagg::messages::{Commitments, Deal, Delivery, Secret, Shares, commitment, seed_hash};
use crate::secagg::shamir::Polynomial;
use crate::secagg::terms::Terms;
use crate::secagg::transcript::Hash;
use curve25519_dalek::Scalar;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The device has dealt its shares.
#[cfg_attr(test, derive(Clone))]
pub struct Shared {
    terms: Terms,
    neighbourhood: Neighbourhood,
    peers: Vec<Peer>,
    masking: RoundKey,
    own_scalar: Zeroizing<Hash>,
    // By slot: what the pair agreed for encryption.
    agreed: Vec<AgreedKey>,
}

impl Shared {
    pub(super) fn deal(
        terms: Terms,
        neighbourhood: Neighbourhood,
        peers: Vec<Peer>,
        secrets: Secrets,
        identity: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Shares), Refusal> {
        let Secrets { sealing, masking, masking_scalar, own_scalar } = secrets;
        let (scope, position) = (neighbourhood.scope(), neighbourhood.place.position);
        let masking_shares = Polynomial::new(&scalar(&masking_scalar), neighbourhood.place.threshold, rng);
        let own_shares = Polynomial::new(&scalar(&own_scalar), neighbourhood.place.threshold, rng);
        let mut agreed = Vec::with_capacity(neighbourhood.neighbours.len());
        let mut deals = Vec::with_capacity(neighbourhood.neighbours.len());
        for (slot, (neighbour, peer)) in neighbourhood.neighbours.iter().zip(&peers).enumerate() {
            let pair = sealing.agree(&peer.sealing_key).ok_or(Refusal::LowOrder { slot })?;
            let (of_masking, of_own) = (masking_shares.share(slot), own_shares.share(slot));
            let mut both = Zeroizing::new([0; 64]);
            both[..32].copy_from_slice(&*of_masking);
            both[32..].copy_from_slice(&*of_own);
            let key = pair.sealing_key(&scope, position, neighbour.position);
            let commit = |secret, share| commitment(&scope, position, slot, secret, share);
            deals.push(Deal {
                sealed: seal(&key, &both, &scope, position, neighbour.position),
                commitments: Commitments {
                    masking: commit(Secret::Masking, &of_masking),
                    own: commit(Secret::Own, &of_own),
                },
            });
            agreed.push(pair);
        }
        let seed_hash = seed_hash(&neighbourhood.place.context, &own_scalar);
        let signature = identity.sign(&Shares::statement(&scope, position, &seed_hash, &deals));
        let shares = Shares { context: neighbourhood.place.context, position, seed_hash, signature, deals };
        Ok((Self { terms, neighbourhood, peers, masking, own_scalar, agreed }, shares))
    }

    #[cfg(test)]
    pub(in crate::secagg) fn masking_key(&self) -> RoundKey {
        self.masking.clone()
    }

    #[cfg(test)]
    pub(in crate::secagg) fn sealing_key(
        &self,
        slot: usize,
        scope: &crate::secagg::keys::Scope,
        from: u32,
        to: u32,
    ) -> Zeroizing<Hash> {
        self.agreed[slot].sealing_key(scope, from, to)
    }

    #[cfg(test)]
    pub(in crate::secagg) fn inspect_secrets(&self, see: impl FnOnce(&RoundKey, &Zeroizing<Hash>, &[AgreedKey])) {
        let Self { masking, own_scalar, agreed, terms: _, neighbourhood: _, peers: _ } = self;
        see(masking, own_scalar, agreed);
    }

    /// The most shares that a delivery can hold.
    pub fn neighbours(&self) -> u32 {
        self.neighbourhood.neighbours.len() as u32
    }

    /// Takes the neighbours' shares. One that cannot be opened, or is not what its dealer committed to, is noted and
    /// complained of when the sum is opened; the round goes on with the others, if they are enough.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn receive(self, delivery: &Delivery) -> Result<Ready, Refusal> {
        let Self { terms, neighbourhood, peers, masking, own_scalar, agreed } = self;
        neighbourhood.of_round(&delivery.context)?;
        let alive = &delivery.alive;
        if alive.places() as usize != neighbourhood.neighbours.len() || alive.count() as usize != delivery.deals.len() {
            return Err(Refusal::Malformed("the shares delivered are not one for each live neighbour"));
        }
        let mut held: Vec<Option<Held>> = vec![None; neighbourhood.neighbours.len()];
        let mut masks = Vec::with_capacity(delivery.deals.len());
        for (slot, deal) in alive.iter().zip(&delivery.deals) {
            let slot = slot as usize;
            held[slot] = take(&neighbourhood, slot, &peers[slot], &agreed[slot], deal);
            let pair = masking.agree(&peers[slot].masking_key).ok_or(Refusal::LowOrder { slot })?;
            let other = neighbourhood.neighbours[slot].position;
            masks.push((pair.mask_key(&neighbourhood.scope(), neighbourhood.place.position, other), other));
        }
        // Neighbours that were shown another roster deal what cannot be opened here.
        let found = held.iter().flatten().count() as u32;
        if found < neighbourhood.place.threshold {
            return Err(Refusal::TooFewAlive { found, least: neighbourhood.place.threshold });
        }
        Ok(Ready { terms, alive: alive.clone(), neighbourhood, own_scalar, masks, held })
    }
}

/// The shares that a neighbour dealt, if they are what it committed to.
fn take(neighbourhood: &Neighbourhood, slot: usize, peer: &Peer, agreed: &AgreedKey, deal: &Deal) -> Option<Held> {
    let scope = neighbourhood.scope();
    let (from, to) = (neighbourhood.neighbours[slot].position, neighbourhood.place.position);
    let opened = open(&agreed.sealing_key(&scope, from, to), &deal.sealed, &scope, from, to)?;
    let (mut masking, mut own) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    masking.copy_from_slice(&opened[..32]);
    own.copy_from_slice(&opened[32..]);
    let committed = |secret, share: &Hash| {
        commitment(&scope, from, peer.reverse_slot as usize, secret, share) == *deal.commitments.of(secret)
    };
    (committed(Secret::Masking, &masking) && committed(Secret::Own, &own)).then_some(Held { masking, own })
}

fn scalar(bytes: &Hash) -> Scalar {
    Scalar::from_bytes_mod_order(*bytes)
}

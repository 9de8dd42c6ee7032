//! Step 2: the vector is masked and sent (docs/protocol.md, 2.6).

use super::record::{Record, Unsaved};
use super::{Agreed, Held, Neighbourhood, Refusal};
use crate::privacy::Noised;
use crate::secagg::identity::Identity;
use crate::secagg::keys::self_mask_key;
use crate::secagg::lanes::Sign;
use crate::secagg::mask::{MaskKey, Masked};
use crate::secagg::messages::{Agreement, Bits, Survivors, Upload};
use crate::secagg::terms::Terms;
use crate::secagg::transcript::{Hash, hash};
use zeroize::Zeroizing;

/// The device has everything that its masks are made of.
#[cfg_attr(test, derive(Clone))]
pub struct Ready {
    pub(super) terms: Terms,
    pub(super) neighbourhood: Neighbourhood,
    pub(super) alive: Bits,
    pub(super) own_scalar: Zeroizing<Hash>,
    // Keys with live neighbours, and the neighbours' positions.
    pub(super) masks: Vec<(MaskKey, u32)>,
    pub(super) held: Vec<Option<Held>>,
}

impl Ready {
    /// Masks the vector. After this the keys of the masks are gone: no second vector can be sent under them.
    ///
    /// # Errors
    /// [`Refusal::OtherShape`] if the vector is of another plan.
    pub fn mask(self, noised: &Noised, identity: &Identity) -> Result<Unsaved<Uploaded, Upload>, Refusal> {
        let Self { neighbourhood, alive, own_scalar, masks, held, .. } = self;
        let (expected, found) = (neighbourhood.place.values as usize, noised.blocks().iter().map(Vec::len).sum());
        if found != expected {
            return Err(Refusal::OtherShape { expected, found });
        }
        let own = self_mask_key(&own_scalar, &neighbourhood.place.context);
        let pairs = masks.iter().map(|(key, other)| (key, Sign::of(neighbourhood.place.position, *other)));
        let masked = Masked::new(noised, neighbourhood.shape(), std::iter::once((&own, Sign::Plus)).chain(pairs));
        let signature = identity.sign(&Upload::statement(
            &neighbourhood.scope(),
            neighbourhood.place.position,
            &hash(masked.packed()),
        ));
        let upload = Upload::new(neighbourhood.place.context, neighbourhood.place.position, signature, masked);
        let state = Uploaded { neighbourhood, alive, held };
        let record = Record::uploaded(&state, &upload.to_frame());
        Ok(Unsaved::new(state, upload, record))
    }

    #[cfg(test)]
    pub(in crate::secagg) fn inspect_secrets(
        &self,
        see: impl FnOnce(&Zeroizing<Hash>, &[(MaskKey, u32)], &[Option<Held>]),
    ) {
        let Self { own_scalar, masks, held, terms: _, neighbourhood: _, alive: _ } = self;
        see(own_scalar, masks, held);
    }

    /// The terms that the vector has to keep to.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }
}

/// The device has sent its vector and waits to hear whose are in the sum.
#[cfg_attr(test, derive(Clone))]
pub struct Uploaded {
    pub(super) neighbourhood: Neighbourhood,
    pub(super) alive: Bits,
    pub(super) held: Vec<Option<Held>>,
}

impl Uploaded {
    /// By slot: the shares of the masking key and of the own seed.
    #[cfg(test)]
    pub(in crate::secagg) fn held_shares(&self) -> Vec<Option<(Hash, Hash)>> {
        self.held.iter().map(|held| held.as_ref().map(|held| (*held.masking, *held.own))).collect()
    }

    /// The most devices that a set of survivors can be about.
    pub fn devices(&self) -> u32 {
        self.neighbourhood.place.devices
    }

    /// Step 3: signs the set of survivors, if the device can accept it. It signs one set a round, whatever happens.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn agree(self, survivors: &Survivors, identity: &Identity) -> Result<Unsaved<Agreed, Agreement>, Refusal> {
        let Self { neighbourhood, alive, held } = self;
        neighbourhood.of_round(&survivors.context)?;
        neighbourhood.check_survivors(&survivors.devices, &alive)?;
        let hash = Survivors::hash(&neighbourhood.scope(), &survivors.devices);
        let signature =
            identity.sign(&Agreement::statement(&neighbourhood.scope(), neighbourhood.place.position, &hash));
        let agreement =
            Agreement { context: neighbourhood.place.context, position: neighbourhood.place.position, signature };
        let state =
            Agreed { neighbourhood, alive, held, survivors: survivors.devices.clone(), agreement: agreement.clone() };
        let record = Record::agreed(&state);
        Ok(Unsaved::new(state, agreement, record))
    }
}

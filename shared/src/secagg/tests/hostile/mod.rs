//! A coordinator that does what it likes, with two of eight devices on its side. Every attack ends in the refusal of the
//! device that it is aimed at, and what that device has sent stays uniform to everything that the coordinator has learnt.

mod opening;
mod roster;

use super::*;
use crate::math;
use crate::secagg::coordinator::Cohort;
use crate::secagg::keys::{RoundKey, Scope, self_mask_key};
use crate::secagg::lanes::{Lanes, Sign};
use crate::secagg::merkle::{self, Tree};
use crate::secagg::messages::{Bits, Delivery, Opened, Quorum, Roster, Secret, Survivors};
use crate::secagg::shamir::combine;
use crate::secagg::{Shape, plan_digest};
use crate::wire;

const N: usize = 8;
const VICTIM: usize = 0;
const CORRUPT: [usize; 2] = [6, 7];
const VALUES: usize = 4096;

fn world() -> World {
    World::new(N, 2, VALUES, None)
}

/// What the coordinator knows: the corrupt devices' keys, and every share that it has seen.
#[derive(Clone)]
struct Adversary {
    scope: Scope,
    keys: Vec<(usize, RoundKey)>,
    shares: BTreeMap<(u32, u8), BTreeMap<usize, Hash>>,
    members: Vec<Advertisement>,
    cohort: Cohort,
}

impl Adversary {
    fn new(coordinator: &Sharing, shared: &[(Shared, Shares)]) -> Self {
        let roster = coordinator.cohort().roster_for(0);
        let hash = Roster::hash(&roster.context, roster.devices, &roster.root);
        Self {
            scope: Scope { context: roster.context, roster: hash },
            keys: CORRUPT.iter().map(|&device| (device, shared[device].0.masking_key())).collect(),
            shares: BTreeMap::new(),
            members: roster.members,
            cohort: coordinator.cohort().clone(),
        }
    }

    /// A corrupt device tells all that it holds.
    fn told(&mut self, device: usize, held: &[Option<(Hash, Hash)>]) {
        let dealers: Vec<u32> = self.cohort.graph().neighbours(device as u32).collect();
        for (dealer, held) in dealers.into_iter().zip(held) {
            let Some((masking, own)) = held else { continue };
            self.learn(dealer, device, Secret::Masking, *masking);
            self.learn(dealer, device, Secret::Own, *own);
        }
    }

    fn answered(&mut self, answer: &Answer) {
        let dealers: Vec<u32> = self.cohort.graph().neighbours(answer.position).collect();
        for (dealer, opened) in dealers.into_iter().zip(&answer.opened) {
            if let Opened::Share(secret, share) = opened {
                self.learn(dealer, answer.position as usize, *secret, *share);
            }
        }
    }

    fn learn(&mut self, dealer: u32, holder: usize, secret: Secret, share: Hash) {
        let slot = self.cohort.graph().slot(dealer, holder as u32).expect("neighbours");
        self.shares.entry((dealer, secret as u8)).or_default().insert(slot, share);
    }

    fn opened(&self, dealer: u32, secret: Secret) -> Option<Hash> {
        let shares = self.shares.get(&(dealer, secret as u8))?;
        let enough = shares.len() >= self.cohort.graph().degree().threshold as usize;
        enough.then(|| *combine(shares.iter().map(|(slot, share)| (*slot, share))).expect("good shares"))
    }

    /// Takes every mask off the victim's upload that can be computed.
    fn best_guess(&self, frame: &[u8], world: &World) -> Vec<i64> {
        let received = ReceivedUpload::from_frame(frame, world.terms.shape()).expect("an upload");
        let mut lanes = Lanes::zeros(world.terms.shape());
        assert!(lanes.add_packed(received.packed()));
        let victim = VICTIM as u32;
        let context = &self.scope.context;
        if let Some(seed) = self.opened(victim, Secret::Own) {
            lanes.add_mask(&self_mask_key(&seed, context), Sign::Minus);
        }
        let own_key = self.opened(victim, Secret::Masking);
        for other in 1..N as u32 {
            let corrupt = self.keys.iter().find(|(device, _)| *device == other as usize);
            let known = |scalar: Hash| RoundKey::of_scalar(&scalar, context);
            let agreed = if let Some(own) = own_key {
                known(own).agree(&self.members[other as usize].masking_key)
            } else if let Some((_, key)) = corrupt {
                key.agree(&self.members[VICTIM].masking_key)
            } else {
                self.opened(other, Secret::Masking)
                    .map(known)
                    .and_then(|key| key.agree(&self.members[VICTIM].masking_key))
            };
            if let Some(agreed) = agreed {
                lanes.add_mask(&agreed.mask_key(&self.scope, victim, other), Sign::of(victim, other).opposite());
            }
        }
        let sum = Sum::from_residues(&world.plan, 1, lanes.residues());
        world.residues(&sum)
    }

    fn assert_uniform(&self, frame: &[u8], world: &World) {
        let guess = self.best_guess(frame, world);
        let plain = world.plain_sum([VICTIM as u32].into_iter());
        for bit in 0..world.plan.bits() {
            let ones = guess.iter().zip(&plain).filter(|(g, p)| (**g ^ **p) >> bit & 1 == 1).count() as f64;
            let half = VALUES as f64 / 2.0;
            let chi = math::powi(ones - half, 2) / (half / 2.0);
            assert!(chi < 33.0, "one degree of freedom, p = 1e-8: {chi} at bit {bit}");
        }
    }
}

fn refused<T>(result: Result<T, Refusal>) -> Refusal {
    result.err().expect("a refusal")
}

/// A roster for the victim over other advertisements, with a root that fits.
fn roster_of(members: Vec<Advertisement>, context: Hash, position: u32) -> Roster {
    let tree = Tree::new(members.iter().map(|member| merkle::leaf(&member.to_bytes())).collect());
    let devices = members.len() as u32;
    Roster { context, devices, position, root: tree.root(), draw: None, members, proof: Vec::new() }
}

/// Shows the victim a roster that was changed, and gives its refusal.
fn shown(change: impl FnOnce(&mut World, &mut Roster)) -> Refusal {
    let mut world = World::new(N, 2, 3, None);
    let (coordinator, mut devices) = world.advertised();
    let mut roster = coordinator.cohort().roster_for(VICTIM as u32);
    change(&mut world, &mut roster);
    let roster = Roster::from_frame(&roster.to_frame(), N as u32 + 4).expect("its own form");
    let mut rng = world.device_rng();
    refused(devices.swap_remove(VICTIM).share(&roster, &world.identities[VICTIM], NOW, &mut rng))
}

fn rebuilt(roster: &mut Roster, change: impl FnOnce(&mut Vec<Advertisement>)) {
    let mut members = std::mem::take(&mut roster.members);
    change(&mut members);
    *roster = roster_of(members, roster.context, roster.position);
}

/// Signs advertised keys as a corrupt device can.
fn resign(world: &World, device: usize, context: &Hash, advertisement: &mut Advertisement) {
    let statement = Advertisement::statement(context, &advertisement.sealing_key, &advertisement.masking_key);
    advertisement.signature = world.identities[device].sign(&statement);
}

//! A coordinator that does what it likes, with two of eight devices on its side. Every attack ends in the refusal of the
//! device that it is aimed at, and what that device has sent stays uniform to everything that the coordinator has learnt.

use super::*;
use crate::secagg::coordinator::Cohort;
use crate::secagg::keys::{RoundKey, Scope, self_mask_key};
use crate::secagg::mask::{Lanes, Sign};
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
        assert!(lanes.add_packed(received.packed));
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
            let chi = (ones - half).powi(2) / (half / 2.0);
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

#[test]
fn changed_terms_are_refused() {
    let mut world = world();
    let mut rng = world.device_rng();
    let mut asked = |world: &World, offer: &Offer, plan: &RoundPlan, model: Hash, policy: &Policy| {
        refused(device::advertise(offer, plan, model, policy, world.member(VICTIM), NOW, &mut rng).map(|_| ()))
    };
    let policy = world.policy();
    let offer = world.offer.clone();
    let other_plan = plan(N, 3, VALUES);
    assert_eq!(asked(&world, &offer, &other_plan, MODEL, &policy), Refusal::OtherPlan);
    let old_signature = Offer { plan: plan_digest(&other_plan), ..offer.clone() };
    assert_eq!(asked(&world, &old_signature, &other_plan, MODEL, &policy), Refusal::Unsigned);
    assert_eq!(asked(&world, &offer, &world.plan, [8; 32], &policy), Refusal::OtherModel);
    let replayed = Offer { round: 2, ..offer.clone() };
    assert_eq!(asked(&world, &replayed, &world.plan, MODEL, &policy), Refusal::Unsigned);
    let weaker = Offer { security_bits: 39, ..offer.clone() };
    assert!(matches!(asked(&world, &weaker, &world.plan, MODEL, &policy), Refusal::Terms(_)));
    let foreign = world.terms.offer(&Identity::generate(&mut world.rng));
    assert_eq!(asked(&world, &foreign, &world.plan, MODEL, &policy), Refusal::Unsigned);
    for stricter in [
        Policy { least_survivors: 9, ..policy.clone() },
        Policy { least_security_bits: 64, ..policy.clone() },
        Policy { least_colluding: 0.1, ..policy.clone() },
        Policy { most_rho_alone: 0.01, ..policy.clone() },
    ] {
        assert!(matches!(asked(&world, &offer, &world.plan, MODEL, &stricter), Refusal::Policy { .. }));
    }
    let elsewhere = Policy { authority: world.planner.public(), ..policy };
    assert_eq!(asked(&world, &offer, &world.plan, MODEL, &elsewhere), Refusal::OwnCertificate);
}

#[test]
fn swapped_keys_and_invented_devices_are_refused() {
    let swapped = shown(|world, roster| {
        let mine = RoundKey::generate(&mut world.rng).public();
        rebuilt(roster, |members| members[3].masking_key = mine);
    });
    assert_eq!(swapped, Refusal::AdvertisedKeys { slot: 2 });
    // Keys signed by an identity that the authority does not know.
    let invented = shown(|world, roster| {
        let context = roster.context;
        let foreign = Authority::new(Identity::generate(&mut world.rng), BTreeMap::new());
        rebuilt(roster, |members| {
            members[3].certificate = foreign.certify(&world.identities[3].public(), NOW);
            resign(world, 3, &context, &mut members[3]);
        });
    });
    assert_eq!(invented, Refusal::Certificate { slot: 2 });
    let expired = shown(|world, roster| {
        let certificate = world.authority.certify(&world.identities[3].public(), NOW - 1);
        rebuilt(roster, |members| members[3].certificate = certificate);
    });
    assert_eq!(expired, Refusal::Certificate { slot: 2 });
}

#[test]
fn common_and_weak_keys_are_refused() {
    let change = |change: fn(&mut Vec<Advertisement>)| {
        shown(|world, roster| {
            let context = roster.context;
            rebuilt(roster, |members| {
                change(members);
                resign(world, 7, &context, &mut members[7]);
            });
        })
    };
    assert_eq!(change(|members| members[7].sealing_key = members[6].sealing_key), Refusal::CommonKeys);
    assert_eq!(change(|members| members[7].masking_key = members[VICTIM].masking_key), Refusal::CommonKeys);
    assert_eq!(change(|members| members[7].masking_key = members[7].sealing_key), Refusal::CommonKeys);
    assert_eq!(change(|members| members[7].sealing_key = [0; 32]), Refusal::LowOrder { slot: 6 });
    // One identity twice, so that one corrupt device counts for two.
    let twice = shown(|world, roster| {
        let context = roster.context;
        rebuilt(roster, |members| {
            members[6] = members[7].clone();
            members[6].sealing_key = [9; 32];
            members[6].masking_key = [10; 32];
            resign(world, 7, &context, &mut members[6]);
        });
    });
    assert_eq!(twice, Refusal::CommonKeys);
    // A weak masking key is met when the masks are agreed.
    let mut world = World::new(N, 2, 3, None);
    let (coordinator, mut devices) = world.advertised();
    let mut roster = coordinator.cohort().roster_for(VICTIM as u32);
    let context = roster.context;
    rebuilt(&mut roster, |members| {
        members[7].masking_key = [0; 32];
        resign(&world, 7, &context, &mut members[7]);
    });
    let mut rng = world.device_rng();
    let roster_hash = Roster::hash(&roster.context, roster.devices, &roster.root);
    let scope = Scope { context, roster: roster_hash };
    let mut dealt = Vec::new();
    let mut victim = None;
    for device in 0..7usize {
        let roster = Roster { position: device as u32, ..roster.clone() };
        let state = devices.remove(0);
        let (state, shares) = state.share(&roster, &world.identities[device], NOW, &mut rng).expect("not met yet");
        assert_eq!(shares.context, scope.context);
        victim = victim.or(Some(state));
        dealt.push(shares);
    }
    let mut alive = Bits::none(7);
    let mut deals = Vec::new();
    for slot in 0..6u32 {
        alive.insert(slot);
        deals.push(dealt[slot as usize + 1].deals[6 - slot as usize].clone());
    }
    // Among the dead it does no harm; among the living it is refused.
    let honest = Delivery { context, alive: alive.clone(), deals: deals.clone() };
    assert!(victim.clone().expect("a device").receive(&honest).is_ok());
    alive.insert(6);
    deals.push(deals[0].clone());
    assert_eq!(
        refused(victim.expect("a device").receive(&Delivery { context, alive, deals })),
        Refusal::LowOrder { slot: 6 }
    );
}

#[test]
fn forged_rosters_are_refused() {
    assert_eq!(shown(|_, roster| roster.context[0] ^= 1), Refusal::OtherRound);
    assert_eq!(shown(|_, roster| roster.position = 3), Refusal::OwnEntry);
    assert!(matches!(shown(|_, roster| roster.position = 8), Refusal::RosterSize { .. }));
    assert!(matches!(shown(|_, roster| roster.devices = 9), Refusal::RosterSize { .. }));
    assert!(matches!(shown(|_, roster| roster.devices = 7), Refusal::Neighbours(_)));
    assert!(matches!(shown(|_, roster| roster.root[0] ^= 1), Refusal::Neighbours(_)));
    assert!(matches!(shown(|_, roster| drop(roster.members.pop())), Refusal::Neighbours(_)));
    assert!(matches!(shown(|_, roster| roster.proof.push([0; 32])), Refusal::Neighbours(_)));
    let too_small = shown(|_, roster| {
        rebuilt(roster, |members| members.truncate(1));
        roster.devices = 1;
    });
    assert!(matches!(too_small, Refusal::RosterSize { found: 1, .. }));
    // The victim's keys of an earlier try, as a replayed roster has them.
    let replayed = shown(|world, roster| {
        let (_, earlier) = world.advertise(VICTIM);
        rebuilt(roster, |members| members[VICTIM] = earlier);
    });
    assert_eq!(replayed, Refusal::OwnEntry);
}

#[test]
fn chosen_graphs_are_refused() {
    let degree = Some(Degree { neighbours: 4, threshold: 3 });
    let ask = |change: &dyn Fn(&mut World, &Sharing, &mut Roster)| {
        let mut world = World::new(N, 2, 3, degree);
        let (coordinator, mut devices) = world.advertised();
        let mut roster = coordinator.cohort().roster_for(VICTIM as u32);
        change(&mut world, &coordinator, &mut roster);
        let mut rng = world.device_rng();
        let result = devices.swap_remove(VICTIM).share(&roster, &world.identities[VICTIM], NOW, &mut rng);
        FORCED.set(None);
        refused(result.map(|_| ()))
    };
    let fair = |_: &mut World, _: &Sharing, roster: &mut Roster| roster.draw = None;
    assert_eq!(ask(&fair), Refusal::Undrawn);
    let own_draw = |world: &mut World, _: &Sharing, roster: &mut Roster| {
        let hash = Roster::hash(&roster.context, roster.devices, &roster.root);
        let mut mine = Authority::new(Identity::generate(&mut world.rng), BTreeMap::new());
        roster.draw = Some(mine.draw(&roster.context, &hash).expect("the first"));
    };
    assert_eq!(ask(&own_draw), Refusal::Undrawn);
    // The authority's signature over another roster, of which there may be many for another context.
    let other_roster = |world: &mut World, _: &Sharing, roster: &mut Roster| {
        roster.draw = Some(world.authority.draw(&[1; 32], &[2; 32]).expect("the first"));
    };
    assert_eq!(ask(&other_roster), Refusal::Undrawn);
    // The neighbours of another place, with a proof that holds for them.
    let other_place = |_: &mut World, coordinator: &Sharing, roster: &mut Roster| {
        let other = coordinator.cohort().roster_for(1);
        roster.members = other.members;
        roster.proof = other.proof;
    };
    assert!(matches!(ask(&other_place), Refusal::Neighbours(_)));
}

#[test]
fn few_or_spoilt_shares_are_refused() {
    let mut world = World::new(N, 2, 3, None);
    let (mut coordinator, shared) = world.shared();
    let states: Vec<Shared> = shared.iter().map(|(state, _)| state.clone()).collect();
    for (_, shares) in shared {
        coordinator.record(coordinator.check(shares).expect("good")).expect("the first");
    }
    let coordinator = coordinator.close().expect("enough");
    let good = coordinator.delivery_for(VICTIM as u32).expect("alive");
    let ask = |change: &dyn Fn(&mut Delivery)| {
        let mut delivery = good.clone();
        change(&mut delivery);
        states[VICTIM].clone().receive(&delivery).map(|_| ())
    };
    assert_eq!(ask(&|_| ()), Ok(()));
    assert_eq!(ask(&|d| d.context[0] ^= 1), Err(Refusal::OtherRound));
    // Four of seven are fewer than the threshold of five.
    let cut = |d: &mut Delivery| {
        (4..7).for_each(|slot| d.alive.remove(slot));
        d.deals.truncate(4);
    };
    assert_eq!(ask(&cut), Err(Refusal::TooFewAlive { found: 4, least: 5 }));
    // Shares of another pair, of another roster, or changed, cannot be opened: enough of them end the round.
    let turned = |d: &mut Delivery| d.deals.rotate_left(1);
    assert_eq!(ask(&turned), Err(Refusal::TooFewAlive { found: 0, least: 5 }));
    let changed = |d: &mut Delivery| d.deals[..3].iter_mut().for_each(|deal| deal.sealed[70] ^= 1);
    assert_eq!(ask(&changed), Err(Refusal::TooFewAlive { found: 4, least: 5 }));
    let uncommitted = |d: &mut Delivery| d.deals[..3].iter_mut().for_each(|deal| deal.commitments.own[0] ^= 1);
    assert_eq!(ask(&uncommitted), Err(Refusal::TooFewAlive { found: 4, least: 5 }));
    let missing = |d: &mut Delivery| drop(d.deals.pop());
    assert!(matches!(ask(&missing), Err(Refusal::Malformed(_))));
    let longer = |d: &mut Delivery| d.alive = Bits::none(9);
    assert!(matches!(ask(&longer), Err(Refusal::Malformed(_))));
}

// Half of the devices are shown a roster in which one of the others' entries differs. The halves cannot open each
// other's shares.
#[test]
fn forked_rosters_end_in_refusals() {
    let mut world = World::new(N, 2, 3, None);
    let (coordinator, devices) = world.advertised();
    let honest = coordinator.cohort().roster_for(VICTIM as u32);
    let (_, other_keys) = world.advertise(7);
    let mut forked = honest.clone();
    rebuilt(&mut forked, |members| members[7] = other_keys);
    let mut shared = Vec::new();
    for (device, state) in devices.into_iter().enumerate().take(7) {
        let view = if device < 4 { &honest } else { &forked };
        let roster = Roster { position: device as u32, ..view.clone() };
        let mut rng = world.device_rng();
        shared.push(state.share(&roster, &world.identities[device], NOW, &mut rng).expect("each view is consistent"));
    }
    let dealt: Vec<Shares> = shared.iter().map(|(_, shares)| shares.clone()).collect();
    for (device, (state, _)) in shared.into_iter().enumerate() {
        let mut alive = Bits::none(7);
        let mut deals = Vec::new();
        for (slot, other) in (device + 1..device + 8).map(|at| at % 8).enumerate() {
            if other < 7 {
                alive.insert(slot as u32);
                deals.push(dealt[other].deals[(device + 8 - other) % 8 - 1].clone());
            }
        }
        let refusal = refused(state.receive(&Delivery { context: honest.context, alive, deals }));
        assert!(matches!(refusal, Refusal::TooFewAlive { least: 5, .. }), "{refusal}");
    }
}

// Devices that were given different models have different contexts: keys advertised under one are not signed for the
// other, and masks between them would not cancel.
#[test]
fn devices_with_different_models_cannot_meet() {
    let refusal = shown(|world, roster| {
        let other = terms(&world.plan, 1, [8; 32]);
        let offer = other.offer(&world.planner);
        let (policy, mut rng) = (world.policy(), world.device_rng());
        let (state, advertisement) =
            device::advertise(&offer, &world.plan, [8; 32], &policy, world.member(3), NOW, &mut rng)
                .expect("consistent for itself");
        assert_ne!(state.context(), roster.context);
        rebuilt(roster, |members| members[3] = advertisement);
    });
    assert_eq!(refusal, Refusal::AdvertisedKeys { slot: 2 });
    let shape = Shape { values: 1 << 12, bits: 20 };
    let mut lanes = Lanes::zeros(shape);
    let (one, other) = (RoundKey::from_secret(&[1; 32]), RoundKey::from_secret(&[2; 32]));
    let key = |own: &RoundKey, peer: Hash, model| {
        let scope = Scope { context: terms(&plan(8, 2, 3), 1, model).context(), roster: [0; 32] };
        own.agree(&peer).expect("good keys").mask_key(&scope, 0, 1)
    };
    lanes.add_mask(&key(&one, other.public(), [1; 32]), Sign::of(0, 1));
    lanes.add_mask(&key(&other, one.public(), [2; 32]), Sign::of(1, 0));
    for bit in 0..20 {
        let ones = lanes.residues().filter(|r| r >> bit & 1 == 1).count() as f64;
        assert!((ones - 2048.0).powi(2) / 1024.0 < 33.0, "bit {bit}");
    }
}

#[test]
fn survivor_sets_that_cannot_be_are_refused() {
    let mut world = world();
    let (sharing, shared) = world.shared();
    let adversary = Adversary::new(&sharing, &shared);
    // Device 5 deals no shares.
    let mut coordinator = sharing;
    for (_, shares) in shared.iter().filter(|(_, shares)| shares.position != 5) {
        coordinator.record(coordinator.check(shares.clone()).expect("good")).expect("the first");
    }
    let mut coordinator = coordinator.close().expect("enough");
    let delivery = coordinator.delivery_for(VICTIM as u32).expect("alive");
    let ready = shared[VICTIM].0.clone().receive(&delivery).expect("good");
    let mut sum = MaskedSum::new(world.terms.shape());
    let (state, frame) = world.upload(VICTIM, ready, &mut coordinator, &mut sum);
    let context = world.terms.context();
    let of = |members: &[u32]| {
        let mut devices = Bits::none(N as u32);
        members.iter().for_each(|&member| devices.insert(member));
        Survivors { context, devices }
    };
    let ask = |survivors: &Survivors| refused(state.clone().agree(survivors, &world.identities[VICTIM]).map(|_| ()));
    assert_eq!(ask(&of(&[0])), Refusal::TooFewSurvivors { survivors: 1, least: 2 });
    assert_eq!(ask(&of(&[1, 2, 3, 4])), Refusal::LeftOut);
    assert!(matches!(ask(&of(&[0, 1, 2, 3, 5])), Refusal::SurvivorSet(_)));
    let elsewhere = Survivors { context: [0; 32], ..of(&[0, 1, 2, 3]) };
    assert_eq!(ask(&elsewhere), Refusal::OtherRound);
    let longer = Survivors { context, devices: Bits::new(9, vec![0xff, 1]).expect("nine") };
    assert!(matches!(ask(&longer), Refusal::SurvivorSet(_)));
    adversary.assert_uniform(&frame, &world);
}

/// Everything of a round up to the uploads, with what the corrupt devices tell.
fn before_agreement(world: &mut World) -> (Vec<Uploaded>, Adversary, Vec<u8>) {
    let (mut coordinator, shared) = world.shared();
    let mut adversary = Adversary::new(&coordinator, &shared);
    let mut states = Vec::new();
    for (state, shares) in shared {
        coordinator.record(coordinator.check(shares).expect("good")).expect("the first");
        states.push(state);
    }
    let mut coordinator = coordinator.close().expect("enough");
    let mut sum = MaskedSum::new(world.terms.shape());
    let (mut uploaded, mut frames) = (Vec::new(), Vec::new());
    for (device, state) in states.into_iter().enumerate() {
        let ready = state.receive(&coordinator.delivery_for(device as u32).expect("alive")).expect("good");
        let (state, frame) = world.upload(device, ready, &mut coordinator, &mut sum);
        if CORRUPT.contains(&device) {
            adversary.told(device, &state.held_shares());
        }
        uploaded.push(state);
        frames.push(frame);
    }
    (uploaded, adversary, frames.swap_remove(VICTIM))
}

// The victim is in the set that some are shown and not in the set that the others are shown, for every way of splitting
// the honest devices. The corrupt ones sign both sets and tell both shares.
#[test]
fn two_views_of_the_survivors_never_open_a_vector() {
    let mut world = world();
    let (uploaded, adversary, frame) = before_agreement(&mut world);
    let context = world.terms.context();
    let all = Bits::new(8, vec![0b1111_1111]).expect("eight");
    let without = Bits::new(8, vec![0b1111_1110]).expect("eight");
    let mut silent = 0;
    for split in 0u32..1 << 5 {
        let mut adversary = adversary.clone();
        let view =
            |device: usize| if device == VICTIM || split >> (device.max(1) - 1) & 1 == 1 { &all } else { &without };
        let mut agreed = Vec::new();
        let mut signatures: Vec<BTreeMap<bool, Agreement>> = vec![BTreeMap::new(); N];
        for device in 0..6 {
            let survivors = Survivors { context, devices: view(device).clone() };
            let unsaved = uploaded[device].clone().agree(&survivors, &world.identities[device]);
            let (state, agreement) = saved(unsaved.expect("each view may be"));
            signatures[device].insert(*view(device) == all, agreement);
            agreed.push(state);
        }
        for device in CORRUPT {
            for devices in [&all, &without] {
                let survivors = Survivors { context, devices: devices.clone() };
                let (_, agreement) =
                    saved(uploaded[device].clone().agree(&survivors, &world.identities[device]).expect("corrupt"));
                signatures[device].insert(*devices == all, agreement);
            }
        }
        let mut views = [0, 0];
        for (device, state) in agreed.into_iter().enumerate() {
            let own = *view(device) == all;
            let neighbours = adversary.cohort.graph().neighbours(device as u32).enumerate();
            let gathered: Vec<_> = neighbours
                .filter(|&(_, other)| view(device).contains(other))
                .filter_map(|(slot, other)| Some((slot as u32, signatures[other as usize].get(&own)?.signature)))
                .collect();
            // Also with the others' signatures mixed in, which are over the other set.
            let mixed: Vec<_> = adversary
                .cohort
                .graph()
                .neighbours(device as u32)
                .enumerate()
                .filter(|&(_, other)| view(device).contains(other))
                .filter_map(|(slot, other)| Some((slot as u32, signatures[other as usize].values().next()?.signature)))
                .collect();
            if mixed != gathered {
                let refusal = refused(
                    state.clone().unmask(&Quorum { context, signatures: mixed }, &world.identities[device]).map(|_| ()),
                );
                assert!(matches!(refusal, Refusal::Disagreement { .. }), "{refusal}");
            }
            match state.unmask(&Quorum { context, signatures: gathered }, &world.identities[device]) {
                Ok(unsaved) => {
                    views[usize::from(own)] += 1;
                    adversary.answered(&saved(unsaved).1);
                }
                Err(Refusal::NoQuorum { least: 5, .. }) => {}
                Err(refusal) => panic!("{refusal}"),
            }
        }
        assert!(views[0] == 0 || views[1] == 0, "both views were opened: {split:b}");
        silent += u32::from(views == [0, 0]);
        adversary.assert_uniform(&frame, &world);
    }
    assert!(silent > 5, "near halves nobody answers at all: {silent}");
}

// Without this the tests above could pass because the guess never succeeds.
#[test]
fn the_guess_succeeds_where_both_secrets_are_open() {
    let mut world = world();
    let (uploaded, mut adversary, frame) = before_agreement(&mut world);
    for (device, state) in uploaded.iter().enumerate().take(4).skip(1) {
        adversary.told(device, &state.held_shares());
    }
    assert_eq!(adversary.best_guess(&frame, &world), world.plain_sum([VICTIM as u32].into_iter()));
}

#[test]
fn forged_quorums_are_refused() {
    let mut world = world();
    let (coordinator, agreed, ..) = world.agreed();
    let good = coordinator.quorum_for(VICTIM as u32).expect("a quorum");
    let ask = |change: &dyn Fn(&mut Quorum)| {
        let mut quorum = good.clone();
        change(&mut quorum);
        agreed[VICTIM].clone().unmask(&quorum, &world.identities[VICTIM]).map(|_| ())
    };
    assert_eq!(ask(&|_| ()), Ok(()));
    assert_eq!(ask(&|q| q.context[1] ^= 1), Err(Refusal::OtherRound));
    assert_eq!(ask(&|q| q.signatures.truncate(4)), Err(Refusal::NoQuorum { found: 4, least: 5 }));
    assert!(matches!(ask(&|q| q.signatures[1] = q.signatures[0]), Err(Refusal::Malformed(_))));
    assert!(matches!(ask(&|q| q.signatures[0].0 = 99), Err(Refusal::Malformed(_))));
    assert_eq!(ask(&|q| q.signatures[2].1[5] ^= 1), Err(Refusal::Disagreement { slot: 2 }));
    // One device's signature in another's place.
    assert_eq!(ask(&|q| q.signatures[2].1 = q.signatures[3].1), Err(Refusal::Disagreement { slot: 2 }));
}

// Every message that a device reads, cut, lengthened and announced longer than it may be.
#[test]
fn frames_of_other_lengths_are_refused() {
    let mut world = World::new(N, 2, 3, None);
    let (coordinator, ..) = world.agreed();
    let roster = coordinator.cohort().roster_for(0).to_frame();
    let quorum = coordinator.quorum_for(0).expect("a quorum").to_frame();
    let survivors = Survivors { context: [1; 32], devices: Bits::none(8) }.to_frame();
    let offer = world.offer.to_frame();
    type Read = fn(&[u8]) -> Option<wire::Error>;
    let readers: [(Vec<u8>, Read); 4] = [
        (offer, |frame| Offer::from_frame(frame).err()),
        (roster, |frame| Roster::from_frame(frame, 8).err()),
        (survivors, |frame| Survivors::from_frame(frame, 8).err()),
        (quorum, |frame| Quorum::from_frame(frame, 7).err()),
    ];
    for (frame, read) in readers {
        assert_eq!(read(&frame), None);
        for length in 0..frame.len() {
            assert!(read(&frame[..length]).is_some());
        }
        assert!(read(&[&frame[..], &[0]].concat()).is_some());
        let mut announced = frame.clone();
        announced[15] = 0x7f;
        assert!(matches!(read(&announced), Some(wire::Error::TooLong { .. })));
    }
}

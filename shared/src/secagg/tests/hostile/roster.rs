//! Before the roster is accepted: terms, keys, graph.

use super::*;
use crate::math;
use crate::secagg::{AlreadyDrawn, Wanted};

#[test]
fn changed_terms_are_refused() {
    let mut world = world();
    let mut rng = world.device_rng();
    let mut asked = |world: &World, offer: &Offer, plan: &RoundPlan, model: Hash, policy: &Policy| {
        refused(
            device::advertise(Joining { offer, plan, model, policy, member: world.member(VICTIM) }, NOW, &mut rng)
                .map(|_| ()),
        )
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
    let elsewhere = Policy { authority: world.operator.public(), ..policy };
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
    assert!(matches!(shown(|_, roster| roster.members.truncate(7)), Refusal::Neighbours(_)));
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
        let wanted = Wanted { round: world.terms.round_id(), context: roster.context, roster: hash };
        roster.draw = Some(mine.draw(&wanted).expect("the first"));
    };
    assert_eq!(ask(&own_draw), Refusal::Undrawn);
    // The authority's signature over another roster, or over this one in the name of another round, of which there may be many.
    for is_other in [true, false] {
        let elsewhere = |world: &mut World, _: &Sharing, roster: &mut Roster| {
            let hash = Roster::hash(&roster.context, roster.devices, &roster.root);
            let wanted =
                Wanted { round: [1; 32], context: roster.context, roster: if is_other { [2; 32] } else { hash } };
            roster.draw = Some(world.authority.draw(&wanted).expect("the first"));
        };
        assert_eq!(ask(&elsewhere), Refusal::Undrawn);
    }
    // Terms that hardly differ are of the same round, which has been drawn.
    let again = |world: &mut World, _: &Sharing, roster: &mut Roster| {
        let wanted = Wanted { round: world.terms.round_id(), context: [1; 32], roster: [2; 32] };
        assert_eq!(world.authority.draw(&wanted), Err(AlreadyDrawn));
        roster.draw = None;
    };
    assert_eq!(ask(&again), Refusal::Undrawn);
    // The neighbours of another place, with a proof that holds for them.
    let other_place = |_: &mut World, coordinator: &Sharing, roster: &mut Roster| {
        let other = coordinator.cohort().roster_for(1);
        roster.members = other.members;
        roster.proof = other.proof;
    };
    assert!(matches!(ask(&other_place), Refusal::Neighbours(_)));
}

// Devices that were given different models have different contexts: keys advertised under one are not signed for the
// other, and masks between them would not cancel.
#[test]
fn devices_with_different_models_cannot_meet() {
    let refusal = shown(|world, roster| {
        let other = terms(&world.plan, 1, [8; 32]);
        let offer = other.offer(&world.operator);
        let (policy, mut rng) = (world.policy(), world.device_rng());
        let (state, advertisement) = device::advertise(
            Joining { offer: &offer, plan: &world.plan, model: [8; 32], policy: &policy, member: world.member(3) },
            NOW,
            &mut rng,
        )
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
        assert!(math::powi(ones - 2048.0, 2) / 1024.0 < 33.0, "bit {bit}");
    }
}

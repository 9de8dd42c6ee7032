//! Devices that lie: they are named, and their harm ends at their own vector.

use super::*;
use crate::secagg::coordinator::{Abandoned, Error, Outcome};
use crate::secagg::keys::{RoundKey, Scope, seal};
use crate::secagg::messages::{Deal, Opened, Roster, Secret, commitment};
use crate::secagg::transcript::hash;

const LIAR: usize = 3;

fn scope(coordinator: &Sharing) -> Scope {
    let roster = coordinator.cohort().roster_for(0);
    Scope { context: roster.context, roster: Roster::hash(&roster.context, roster.devices, &roster.root) }
}

#[test]
fn wrong_shares_name_their_sender_and_the_round_goes_on() {
    let mut world = World::new(8, 2, 5, None);
    let (mut coordinator, agreed, sum, _) = world.agreed();
    for (device, state) in agreed.into_iter().enumerate() {
        let answer = world.answer(device, state, &coordinator).expect("a quorum");
        if device != LIAR {
            coordinator.record(coordinator.check(answer).expect("good"));
            continue;
        }
        type Lie = fn(&mut Vec<Opened>);
        let lies: [Lie; 5] = [
            |opened| opened[2] = Opened::Share(Secret::Own, [1; 32]),
            |opened| opened.swap(0, 1),
            |opened| opened[2] = Opened::Nothing,
            |opened| opened[2] = Opened::Share(Secret::Masking, [1; 32]),
            |opened| opened.truncate(6),
        ];
        for (number, lie) in lies.iter().enumerate() {
            let mut answer = answer.clone();
            lie(&mut answer.opened);
            // Changed on the way it is not even signed; signed by the liar it names it.
            assert!(matches!(coordinator.check(answer.clone()), Err(Error::Signature(_))));
            answer.signature = sign_answer(&world, &coordinator, &answer);
            let error = coordinator.check(answer).err().expect("a lie");
            assert_eq!(error.culprit().map(|device| device.position), Some(LIAR as u32), "{error}");
            assert_eq!(matches!(error, Error::WrongShare { .. }), number < 2, "{error}");
        }
    }
    let outcome = coordinator.open(sum, &world.plan).expect("seven others answered");
    assert_eq!(world.residues(&outcome.sum), world.plain_sum(0..8));
}

fn sign_answer(world: &World, coordinator: &Unmasking, answer: &Answer) -> [u8; 64] {
    let (scope, survivors) = coordinator.bound();
    world.identities[LIAR].sign(&Answer::statement(&scope, answer.position, &survivors, &answer.opened))
}

/// The liar's shares replaced, signed by itself.
fn dealt_by_liar(change: impl Fn(&Scope, usize, u32, &mut Deal, &Shared)) -> (World, Sharing, Vec<Shared>) {
    let mut world = World::new(8, 2, 5, None);
    let (mut coordinator, shared) = world.shared();
    let scope = scope(&coordinator);
    let mut states = Vec::new();
    for (device, (state, mut shares)) in shared.into_iter().enumerate() {
        if device == LIAR {
            let neighbours: Vec<u32> = coordinator.cohort().graph().neighbours(LIAR as u32).collect();
            for (slot, deal) in shares.deals.iter_mut().enumerate() {
                change(&scope, slot, neighbours[slot], deal, &state);
            }
            let statement = Shares::statement(&scope, shares.position, &shares.seed_hash, &shares.deals);
            shares.signature = world.identities[LIAR].sign(&statement);
        }
        coordinator.record(coordinator.check(shares).expect("signed")).expect("the first");
        states.push(state);
    }
    (world, coordinator, states)
}

/// The rest of the round; one device may be gone before its upload.
fn finish(world: &World, coordinator: Sharing, states: Vec<Shared>, gone: Option<usize>) -> Result<Outcome, Abandoned> {
    let mut coordinator = coordinator.close()?;
    let mut sum = MaskedSum::new(world.terms.shape());
    let mut uploaded = Vec::new();
    for (device, state) in states.into_iter().enumerate() {
        let ready = state.receive(&coordinator.delivery_for(device as u32).expect("alive")).expect("good enough");
        if gone != Some(device) {
            uploaded.push((device, world.upload(device, ready, &mut coordinator, &mut sum).0));
        }
    }
    let mut coordinator = coordinator.close()?;
    let survivors = coordinator.survivors();
    let mut agreed = Vec::new();
    for (device, state) in uploaded {
        let (state, agreement) = saved(state.agree(&survivors, &world.identities[device]).expect("good"));
        coordinator.record(&coordinator.check(&agreement).expect("good"));
        agreed.push((device, state));
    }
    let mut coordinator = coordinator.close()?;
    for (device, state) in agreed {
        let answer = world.answer(device, state, &coordinator).expect("a quorum");
        coordinator.record(coordinator.check(answer).expect("good"));
    }
    coordinator.open(sum, &world.plan)
}

// To two neighbours: they complain, the other five are enough, and the dispute is told.
#[test]
fn garbage_shares_are_complained_of() {
    let (world, coordinator, states) = dealt_by_liar(|_, slot, _, deal, _| {
        if slot < 2 {
            deal.sealed = [9; 80];
        }
    });
    let outcome = finish(&world, coordinator, states, None).expect("five are enough");
    assert_eq!(world.residues(&outcome.sum), world.plain_sum(0..8));
    let (dealer, holders) = &outcome.disputes[0];
    assert_eq!((outcome.disputes.len(), dealer.position, holders.len()), (1, LIAR as u32, 2));
    assert_eq!(holders.iter().map(|h| h.position).collect::<Vec<_>>(), vec![4, 5]);
}

// To all neighbours: its secret cannot be opened, the round is lost, and it is named.
#[test]
fn a_device_that_deals_garbage_to_all_is_named() {
    let (world, coordinator, states) = dealt_by_liar(|_, _, _, deal, _| deal.sealed = [9; 80]);
    match finish(&world, coordinator, states, None) {
        Err(Abandoned::Closed { device, found: 0, .. }) => assert_eq!(device.position, LIAR as u32),
        other => panic!("{other:?}"),
    }
}

// Shares that hold against its commitments, of secrets that are not the ones that it masks with: found when one is opened,
// its own seed or, if it is gone by then, its masking key.
#[test]
fn a_false_dealer_is_named() {
    for gone in [None, Some(LIAR)] {
        let (world, coordinator, states) = dealt_falsely();
        match finish(&world, coordinator, states, gone) {
            Err(Abandoned::FalseDealer(device)) => assert_eq!(device.position, LIAR as u32),
            other => panic!("{other:?}"),
        }
    }
}

fn dealt_falsely() -> (World, Sharing, Vec<Shared>) {
    dealt_by_liar(|scope, slot, neighbour, deal, state| {
        let mut both = [0; 64];
        both[..8].copy_from_slice(&hash(&[slot as u8])[..8]);
        both[32..40].copy_from_slice(&hash(&[slot as u8])[8..16]);
        let (mut masking, mut own) = ([0; 32], [0; 32]);
        masking.copy_from_slice(&both[..32]);
        own.copy_from_slice(&both[32..]);
        let liar = LIAR as u32;
        deal.sealed = seal(&state.sealing_key(slot, scope, liar, neighbour), &both, scope, liar, neighbour);
        deal.commitments.masking = commitment(scope, liar, slot, Secret::Masking, &masking);
        deal.commitments.own = commitment(scope, liar, slot, Secret::Own, &own);
    })
}

#[test]
fn two_vectors_of_one_device_are_refused() {
    let mut world = World::new(8, 2, 5, None);
    let (mut coordinator, ready) = world.ready();
    let state = &ready[LIAR];
    let shape = world.terms.shape();
    let mut sum = MaskedSum::new(shape);
    let (_, first) = world.upload(LIAR, state.clone(), &mut coordinator, &mut sum);
    let (_, other) = saved(state.clone().mask(&world.vector(1), &world.identities[LIAR]).expect("a vector"));
    let frame = other.to_frame();
    let received = ReceivedUpload::from_frame(frame.as_slice(), shape).expect("its own form");
    let checked = coordinator.check(received).expect("good by itself");
    assert!(matches!(coordinator.record(&checked), Err(Error::Contradiction(device)) if device.position == 3));
    // In another's name, cut, or with bits beyond its last value.
    let received = ReceivedUpload::from_frame(first.as_slice(), shape).expect("its own form");
    let stolen = ReceivedUpload { position: 4, ..received.clone() };
    assert!(matches!(coordinator.check(stolen), Err(Error::Signature(device)) if device.position == 4));
    assert!(matches!(coordinator.check(ReceivedUpload { position: 99, ..received.clone() }), Err(Error::NoPart(_))));
    let cut = ReceivedUpload { packed: received.packed.cut(), ..received.clone() };
    assert!(matches!(coordinator.check(cut), Err(Error::Malformed { .. })));
    let replayed = ReceivedUpload { context: [3; 32], ..received };
    assert!(coordinator.check(replayed).is_err());
}

// A vector over the whole range moves the sum by itself and no further: the modulus is no bound on it, and nothing that it
// holds can spoil what the others sent.
#[test]
fn a_bad_vector_harms_no_more_than_its_own_place() {
    let mut world = World::new(8, 2, 64, None);
    let (mut coordinator, ready) = world.ready();
    let mut sum = MaskedSum::new(world.terms.shape());
    let wild = Noised::of_blocks(vec![(0..64).map(|i| i64::MAX - i * i64::from(u32::MAX)).collect()]);
    let mut uploaded = Vec::new();
    for (device, state) in ready.into_iter().enumerate() {
        if device != LIAR {
            uploaded.push(world.upload(device, state, &mut coordinator, &mut sum).0);
            continue;
        }
        let (state, upload) = saved(state.mask(&wild, &world.identities[LIAR]).expect("any values"));
        let frame = upload.to_frame();
        let checked = coordinator
            .check(ReceivedUpload::from_frame(frame.as_slice(), world.terms.shape()).expect("its own form"))
            .expect("nothing can be seen");
        assert_eq!(coordinator.record(&checked), Ok(true));
        sum.add(&checked);
        uploaded.push(state);
    }
    let mut coordinator = coordinator.close().expect("enough");
    let survivors = coordinator.survivors();
    let mut agreed = Vec::new();
    for (device, state) in uploaded.into_iter().enumerate() {
        let (state, agreement) = saved(state.agree(&survivors, &world.identities[device]).expect("good"));
        coordinator.record(&coordinator.check(&agreement).expect("good"));
        agreed.push(state);
    }
    let mut coordinator = coordinator.close().expect("enough");
    for (device, state) in agreed.into_iter().enumerate() {
        let answer = world.answer(device, state, &coordinator).expect("a quorum");
        coordinator.record(coordinator.check(answer).expect("good"));
    }
    let outcome = coordinator.open(sum, &world.plan).expect("enough");
    let mut expected = Sum::new(&world.plan);
    (0..8).filter(|&d| d != LIAR).for_each(|device| expected.add(&world.vector(device)));
    expected.add(&wild);
    assert_eq!(world.residues(&outcome.sum), world.residues(&expected));
}

#[test]
fn what_a_coordinator_takes_in_is_checked() {
    let mut world = World::new(8, 2, 5, None);
    let mut coordinator = Advertising::new(&world.terms, &world.authority.public());
    let (state, good) = world.advertise(LIAR);
    let context = state.context();
    let error = |coordinator: &Advertising, advertisement: &Advertisement, now| {
        coordinator.check(&context, advertisement.clone(), now).err()
    };
    assert_eq!(coordinator.check(&[0; 32], good.clone(), NOW).err(), Some(Error::OtherRound));
    assert_eq!(error(&coordinator, &good, NOW + 1), Some(Error::Certificate));
    let signed = |mut changed: Advertisement| {
        let statement = Advertisement::statement(&context, &changed.sealing_key, &changed.masking_key);
        changed.signature = world.identities[LIAR].sign(&statement);
        changed
    };
    let unsigned = Advertisement { sealing_key: [5; 32], ..good.clone() };
    assert!(matches!(error(&coordinator, &unsigned, NOW), Some(Error::Keys(_))));
    let weak = signed(Advertisement { masking_key: [0; 32], ..good.clone() });
    assert_eq!(error(&coordinator, &weak, NOW), Some(Error::Keys("of low order")));
    let checked = |coordinator: &Advertising, advertisement: &Advertisement| {
        coordinator.check(&context, advertisement.clone(), NOW).expect("good by itself")
    };
    let taken = checked(&coordinator, &good);
    coordinator.record(taken).expect("a free place");
    let again = checked(&coordinator, &good);
    assert_eq!(coordinator.record(again), Ok(()));
    let other = signed(Advertisement { masking_key: RoundKey::from_secret(&[5; 32]).public(), ..good.clone() });
    let other = checked(&coordinator, &other);
    assert!(matches!(coordinator.record(other), Err(Error::Keys(_))));
    assert_eq!(coordinator.devices(), 1);
}

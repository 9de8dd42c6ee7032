//! From the shares to the opening: what devices are told of each other.

use super::*;

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
    let missing = |d: &mut Delivery| d.deals.truncate(6);
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

// A coordinator knows the ring. By leaving out two stretches of it, few devices in all, it would get the sums of the two
// arcs between them, each with the noise of its own devices alone.
#[test]
fn survivors_that_cut_the_ring_are_refused() {
    let degree = Degree { neighbours: 4, threshold: 3 };
    let mut world = World::new(12, 4, 3, Some(degree));
    let (mut coordinator, ready) = world.ready();
    let graph = coordinator.cohort().graph().clone();
    // Around the ring: a neighbour at slot 0 is the next one.
    let ring: Vec<u32> = std::iter::successors(Some(0), |&at| graph.neighbours(at).next()).take(12).collect();
    let mut sum = MaskedSum::new(world.terms.shape());
    let states: Vec<Uploaded> = ready
        .into_iter()
        .enumerate()
        .map(|(device, state)| world.upload(device, state, &mut coordinator, &mut sum).0)
        .collect();
    let without = |gone: &[usize]| {
        let mut devices = Bits::none(12);
        (0..12).filter(|at| !gone.contains(at)).for_each(|at| devices.insert(ring[at]));
        Survivors { context: world.terms.context(), devices }
    };
    let ask = |gone: &[usize]| states[0].clone().agree(&without(gone), &world.identities[0]).map(|_| ());
    assert_eq!(ask(&[2, 3, 7, 8]), Err(Refusal::Cut));
    assert_eq!(ask(&[3, 4, 10, 11]), Err(Refusal::Cut));
    // As many, without two bare stretches: a chain all around, or one arc.
    assert_eq!(ask(&[2, 4, 6, 8]), Ok(()));
    assert_eq!(ask(&[5, 6, 7]), Ok(()));
    FORCED.set(None);
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

/// What the victim says to a quorum with the signature of a device that is not among its survivors.
fn forged_without(outside: u32) -> Refusal {
    let mut world = world();
    let (uploaded, adversary, _) = before_agreement(&mut world);
    let mut devices = Bits::none(N as u32);
    (0..N as u32).filter(|&at| at != outside).for_each(|at| devices.insert(at));
    let survivors = Survivors { context: world.terms.context(), devices };
    let (state, _) =
        saved(uploaded[VICTIM].clone().agree(&survivors, &world.identities[VICTIM]).expect("good survivors"));
    let hash = Survivors::hash(&adversary.scope, &survivors.devices);
    let neighbours = adversary.cohort.graph().neighbours(VICTIM as u32).enumerate().skip(2);
    let sign = |(slot, at): (usize, u32)| {
        (slot as u32, world.identities[at as usize].sign(&Agreement::statement(&adversary.scope, at, &hash)))
    };
    let quorum = Quorum { context: survivors.context, signatures: neighbours.map(sign).collect() };
    refused(state.unmask(&quorum, &world.identities[VICTIM]).map(|_| ()))
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
    // A signature that holds, of a colluding device that is no survivor.
    let gone = forged_without(7);
    assert!(matches!(gone, Refusal::Malformed(_)), "{gone}");
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

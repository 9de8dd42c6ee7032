//! Crashes of a device at each point where it writes, and of the coordinator between any two messages.

use super::*;
use crate::secagg::coordinator::Round;
use crate::secagg::device::{Answered, RecordError, Resumed, resume};
use crate::wire;

/// The one record that a device keeps of a round.
#[derive(Default)]
struct Disk(Vec<u8>);

impl Disk {
    fn write(&mut self, record: &[u8]) -> Result<(), Infallible> {
        self.0 = record.to_vec();
        Ok(())
    }

    fn uploaded(&self) -> (Uploaded, Vec<u8>) {
        match resume(&self.0).expect("a record") {
            Resumed::Uploaded(state, frame) => (state, frame),
            _ => panic!("another state"),
        }
    }

    fn agreed(&self) -> Agreed {
        match resume(&self.0).expect("a record") {
            Resumed::Agreed(state) => state,
            _ => panic!("another state"),
        }
    }

    fn answered(&self) -> Answered {
        match resume(&self.0).expect("a record") {
            Resumed::Answered(state) => state,
            _ => panic!("another state"),
        }
    }
}

// A device that restarts after each write says the same again, and nothing else.
#[test]
fn a_device_goes_on_after_every_crash() {
    let mut world = World::new(8, 2, 5, None);
    let (mut coordinator, mut ready) = world.ready();
    let mut disk = Disk::default();
    let first = ready.remove(0);
    let unsaved = first.mask(&world.vector(0), &world.identities[0]).expect("a vector");
    let (_, upload) = unsaved.save(|record| disk.write(record)).expect("written");
    // Crash. The same bytes go out again, twice over, and count once.
    let (state, again) = disk.uploaded();
    assert_eq!(upload.to_frame(), again);
    let mut sum = MaskedSum::new(world.terms.shape());
    let received = ReceivedUpload::from_frame(again.as_slice(), world.terms.shape()).expect("its own form");
    let checked = coordinator.check(received).expect("good");
    assert_eq!(coordinator.record(&checked), Ok(true));
    assert_eq!(coordinator.record(&checked), Ok(false));
    sum.add(&checked);
    let mut others = Vec::new();
    for (device, state) in ready.into_iter().enumerate() {
        others.push(world.upload(device + 1, state, &mut coordinator, &mut sum).0);
    }
    let mut coordinator = coordinator.close().expect("vectors enough");
    let survivors = coordinator.survivors();
    let unsaved = state.agree(&survivors, &world.identities[0]).expect("good survivors");
    let (_, agreement) = unsaved.save(|record| disk.write(record)).expect("written");
    // Crash. Other survivors are refused, the same get the same signature.
    let state = disk.agreed();
    let mut fewer = survivors.clone();
    fewer.devices.remove(3);
    assert_eq!(state.again(&fewer), Err(Refusal::OtherSurvivors));
    assert_eq!(state.again(&survivors), Ok(agreement.clone()));
    coordinator.record(&coordinator.check(&agreement).expect("good"));
    for (device, state) in others.into_iter().enumerate() {
        let (_, agreement) = saved(state.agree(&survivors, &world.identities[device + 1]).expect("good survivors"));
        coordinator.record(&coordinator.check(&agreement).expect("good"));
    }
    let coordinator = coordinator.close().expect("signatures enough");
    let quorum = coordinator.quorum_for(0).expect("a quorum");
    let unsaved = state.unmask(&quorum, &world.identities[0]).expect("a quorum");
    let (_, answer) = unsaved.save(|record| disk.write(record)).expect("written");
    // Crash. There is nothing left but the answer.
    assert_eq!(*disk.answered().again(), answer);
    assert!(disk.0.len() < answer.to_frame().len() + 256, "held shares are gone from the record");
    assert!(coordinator.check(answer).is_ok());
}

#[test]
fn what_cannot_be_written_is_not_sent() {
    let mut world = World::new(4, 2, 5, None);
    let (_, mut ready) = world.ready();
    let unsaved = ready.remove(0).mask(&world.vector(0), &world.identities[0]).expect("a vector");
    assert!(unsaved.save(|_| Err("disk full")).is_err());
}

// Cut or changed anywhere, a record is refused: a damaged share would make an honest device look like a liar.
#[test]
fn damaged_records_are_refused() {
    let mut world = World::new(5, 2, 2, None);
    let (coordinator, states, _, _) = world.uploaded();
    let mut disk = Disk::default();
    let unsaved = states[0].clone().agree(&coordinator.survivors(), &world.identities[0]).expect("good");
    unsaved.save(|record| disk.write(record)).expect("written");
    for length in 0..disk.0.len() {
        assert_eq!(resume(&disk.0[..length]).err(), Some(RecordError::Damaged));
    }
    for at in 0..disk.0.len() {
        let mut damaged = disk.0.clone();
        damaged[at] ^= 0x41;
        assert_eq!(resume(&damaged).err(), Some(RecordError::Damaged));
    }
}

#[test]
fn a_coordinator_goes_on_after_every_crash() {
    fn reloaded(round: Round) -> Round {
        let back: Round = wire::restore(&wire::snapshot(&round)).expect("its own form");
        assert_eq!(back, round);
        back
    }
    macro_rules! crash {
        ($phase:ident, $state:expr) => {
            match reloaded(Round::$phase($state)) {
                Round::$phase(state) => state,
                _ => unreachable!(),
            }
        };
    }
    let mut world = World::new(6, 2, 4, Some(Degree { neighbours: 4, threshold: 3 }));
    let mut advertising = Advertising::new(&world.terms, &world.authority.public());
    let mut advertised = Vec::new();
    for device in 0..6 {
        let (state, keys) = world.advertise(device);
        advertising.record(advertising.check(&state.context(), keys, NOW).expect("good")).expect("a place");
        advertising = crash!(Advertising, advertising);
        advertised.push(state);
    }
    let drawing = crash!(Drawing, advertising.close().expect("enough"));
    let draw = world.authority.draw(&drawing.wanted().expect("a sparse one")).expect("the first");
    let mut sharing = crash!(Sharing, drawing.open(Some(draw)).expect("the authority's graph"));
    let shared: Vec<(Shared, Shares)> = advertised
        .into_iter()
        .enumerate()
        .map(|(device, state)| {
            let (roster, mut rng) = (sharing.cohort().roster_for(device as u32), world.device_rng());
            state.share(&roster, &world.identities[device], NOW, &mut rng).expect("a good roster")
        })
        .collect();
    for (_, shares) in &shared[..5] {
        sharing.record(sharing.check(shares.clone()).expect("good")).expect("the first");
        sharing = crash!(Sharing, sharing);
    }
    let mut uploading = crash!(Uploading, sharing.close().expect("enough"));
    let mut sum = MaskedSum::new(world.terms.shape());
    let mut states = Vec::new();
    for (device, (state, _)) in shared.into_iter().enumerate().take(5) {
        let ready = state.receive(&uploading.delivery_for(device as u32).expect("alive")).expect("good");
        states.push(world.upload(device, ready, &mut uploading, &mut sum).0);
        uploading = crash!(Uploading, uploading);
    }
    let mut agreeing = crash!(Agreeing, uploading.close().expect("enough"));
    let survivors = agreeing.survivors();
    let mut agreed = Vec::new();
    for (device, state) in states.into_iter().enumerate() {
        let (state, agreement) = saved(state.agree(&survivors, &world.identities[device]).expect("good"));
        agreeing.record(&agreeing.check(&agreement).expect("good"));
        agreeing = crash!(Agreeing, agreeing);
        agreed.push(state);
    }
    let mut unmasking = crash!(Unmasking, agreeing.close().expect("enough"));
    for (device, state) in agreed.into_iter().enumerate() {
        let answer = world.answer(device, state, &unmasking).expect("a quorum");
        unmasking.record(unmasking.check(answer).expect("good"));
        unmasking = crash!(Unmasking, unmasking);
    }
    let mut again = MaskedSum::new(sum.shape());
    assert!(again.add_packed(&sum.to_packed()));
    let outcome = unmasking.open(again, &world.plan).expect("shares enough");
    assert_eq!(world.residues(&outcome.sum), world.plain_sum(0..5));
    FORCED.set(None);
}

// By types: every field that is secret is of a type that wipes itself. A field that is added must be put into one of the
// patterns, or this does not compile.
#[test]
fn secrets_are_wiped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let mut world = World::new(3, 2, 2, None);
    let (advertised, _) = world.advertise(0);
    advertised.inspect_secrets(|secrets| {
        let crate::secagg::device::Secrets { sealing, masking, masking_scalar, own_scalar } = secrets;
        (wiped(sealing), wiped(masking), wiped(masking_scalar), wiped(own_scalar))
    });
    let (_, shared) = world.shared();
    shared[0].0.inspect_secrets(|masking, own_scalar, agreed| {
        wiped(masking);
        wiped(own_scalar);
        agreed.iter().for_each(wiped);
    });
    let (_, ready) = world.ready();
    ready[0].inspect_secrets(|own_scalar, masks, held| {
        wiped(own_scalar);
        masks.iter().for_each(|(key, _)| wiped(key));
        held.iter().flatten().for_each(|held| held.inspect_secrets(|masking, own| (wiped(masking), wiped(own))));
    });
    wiped(&crate::secagg::shamir::Polynomial::new(&curve25519_dalek::Scalar::ONE, 3, &mut world.device_rng()));
    wiped(&world.identities[0]);
}

//! A round with its devices in memory: what is told, to whom, when; and that a restart changes none of it.

use super::*;
use crate::store::Entry;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sordino_shared::control::{Code, Reject, Step};
use sordino_shared::model::Hyperparameters;
use sordino_shared::privacy::{Noised, Samplers, Sum, decode};
use sordino_shared::secagg::device::{
    self, Advertised, Agreed, Joining, Member, Policy, Ready, Refusal, Shared, Unsaved, Uploaded,
};
use sordino_shared::secagg::messages::{Delivery, Quorum, Roster, Survivors};
use sordino_shared::secagg::{Authority, Certificate, MaskedSum, digest};
use sordino_shared::workload::{Contribution, Popularity, Workspace};
use std::collections::BTreeMap;

const DEVICES: usize = 6;

/// Devices, and those whom they trust.
struct World {
    operator: Identity,
    authority: Authority,
    identities: Vec<Identity>,
    certificates: Vec<Certificate>,
    broadcast: Broadcast,
    // The store's part: receipts and partial sums.
    receipts: Vec<Entry>,
    partials: Vec<Vec<u8>>,
}

fn rng(stream: u64, device: usize) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(stream * 1000 + device as u64)
}

impl World {
    fn new() -> Self {
        let authority = Authority::new(Identity::generate(&mut rng(1, 0)), BTreeMap::new());
        let identities: Vec<Identity> = (0..DEVICES).map(|device| Identity::generate(&mut rng(2, device))).collect();
        let certificates = identities.iter().map(|identity| authority.certify(&identity.public(), 1000)).collect();
        let workload = Popularity::new(9, Hyperparameters::default());
        Self {
            operator: Identity::generate(&mut rng(3, 0)),
            authority,
            identities,
            certificates,
            broadcast: Broadcast::Popularity(workload.device().clone()),
            receipts: Vec::new(),
            partials: Vec::new(),
        }
    }

    fn open(&self, now: i64) -> Live {
        let setting = Setting {
            task: "task".into(),
            number: 1,
            step: 0,
            plan: PlanTerms {
                cohort: DEVICES as u32,
                honest_fraction: 0.5,
                rho: 0.1,
                rotation_seed: 0,
                least_rotated: 0,
                skellam: false,
            },
            assumptions: Assumptions { security_bits: 40, colluding: 0.1, dropping: 0.2 },
            offered: 8,
            deadlines: Deadlines { advertise_ms: 10, share_ms: 20, upload_ms: 30, agree_ms: 40, unmask_ms: 50 },
        };
        let bytes = self.broadcast.to_bytes();
        let download = Download { digest: digest(&bytes), length: bytes.len() as u64 };
        let authority = self.authority.public();
        Live::open(setting, (&self.broadcast, download), &self.operator, &authority, now).expect("a round")
    }

    fn key(&self, device: usize) -> Hash {
        self.identities[device].public().bytes()
    }

    fn advertise(&self, live: &Live, device: usize) -> (Advertised, Vec<u8>) {
        let policy = Policy { least_survivors: 2, ..Policy::new(self.authority.public(), self.operator.public()) };
        let joining = Joining {
            offer: &live.assigned().offer,
            plan: live.plan(),
            model: live.assigned().broadcast.digest,
            policy: &policy,
            member: Member { identity: &self.identities[device], certificate: &self.certificates[device] },
        };
        let (state, keys) = device::advertise(joining, 0, &mut rng(4, device)).expect("good terms");
        let frame = keys.to_frame(&state.context());
        (state, frame)
    }

    fn vector(&self, live: &Live, device: usize) -> Noised {
        let mut workspace = Workspace::default();
        let view = workspace.device();
        let mut chance = rng(5, device);
        let contribution = Contribution::new(&self.broadcast, live.plan(), view, &mut chance);
        contribution.noised(&Samplers::new(live.plan()).expect("samplers"), &mut chance)
    }

    /// A device's message is heard; an upload goes to the store, as the flush does it.
    fn hear(&mut self, live: &mut Live, device: usize, frame: &[u8]) -> Result<(), Reject> {
        match live.check(&self.key(device), &mut frame.to_vec(), 0)? {
            Heard::Upload(checked) => {
                let entry = Entry { position: checked.position(), digest: checked.digest() };
                if !self.receipts.contains(&entry) {
                    let mut sum = MaskedSum::new(live.terms().shape());
                    sum.add(&checked);
                    self.partials.push(sum.to_packed());
                    self.receipts.push(entry);
                    live.count(1);
                }
                Ok(())
            }
            heard => live.record(heard),
        }
    }

    fn told(&self, live: &Live, device: usize, step: Step) -> Vec<u8> {
        match live.outcome(&self.key(device), step) {
            Outcome::Frame(frame) => frame,
            other => panic!("{device} is told nothing at {step:?}: {other:?}"),
        }
    }

    fn refused(&self, live: &Live, device: usize, step: Step) -> Code {
        match live.outcome(&self.key(device), step) {
            Outcome::Reject(reject) => reject.code,
            other => panic!("{other:?}"),
        }
    }

    /// Whatever is due, as a driver does it, and over a restart each time.
    fn go_on(&mut self, live: &mut Live, now: i64) {
        match live.decide(now).expect("something is due") {
            Decision::Advance(next) => {
                let (phase, state) = (next.phase(), next.to_bytes());
                live.apply(next, now);
                *live = self.restarted(live, phase, state, now);
            }
            Decision::Draw(wanted) => {
                let draw = wanted.map(|wanted| self.authority.draw(&wanted).expect("one roster"));
                let Decision::Advance(next) = live.drawn(draw) else { panic!("it is drawn") };
                let (phase, state) = (next.phase(), next.to_bytes());
                live.apply(next, now);
                *live = self.restarted(live, phase, state, now);
            }
            Decision::Freeze => live.freeze(&self.receipts.clone(), now),
            Decision::Open => panic!("the test opens"),
            Decision::Abandon(reason) => live.end(Some(reason), now),
        }
    }

    fn restarted(&self, live: &Live, phase: Phase, state: Vec<u8>, now: i64) -> Live {
        let row = RoundRow {
            context: live.context(),
            task: "task".into(),
            number: 1,
            step: 0,
            setting: Vec::new(),
            phase,
            state,
            opened: 0,
            changed: 0,
            note: String::new(),
        };
        self.open(now).restore(&row, &self.receipts).expect("its own row")
    }
}

fn saved<S, M>(unsaved: Result<Unsaved<S, M>, Refusal>) -> (S, M) {
    unsaved.expect("an honest coordinator").save(|_| Ok::<(), ()>(())).expect("kept")
}

/// Each step's devices, `there` of them.
fn shared(world: &mut World, live: &mut Live, devices: impl Iterator<Item = usize>) -> Vec<(usize, Shared)> {
    let advertised: Vec<(usize, Advertised)> = devices
        .map(|device| {
            let (state, frame) = world.advertise(live, device);
            world.hear(live, device, &frame).expect("good keys");
            assert_eq!(live.outcome(&world.key(device), Step::Roster), Outcome::Wait);
            (device, state)
        })
        .collect();
    world.go_on(live, 10);
    world.go_on(live, 10);
    assert_eq!(live.phase(), Phase::Sharing);
    let mut dealt = Vec::new();
    for (device, state) in advertised {
        let roster = Roster::from_frame(&world.told(live, device, Step::Roster), DEVICES as u32).expect("its form");
        assert_eq!(world.refused(live, device, Step::Delivery), Code::SendAgain, "nothing was heard yet");
        let (state, shares) =
            state.share(&roster, &world.identities[device], 0, &mut rng(6, device)).expect("a good roster");
        world.hear(live, device, &shares.to_frame()).expect("good shares");
        dealt.push((device, state));
    }
    world.go_on(live, 30);
    dealt
}

fn ready(world: &World, live: &Live, dealt: Vec<(usize, Shared)>) -> Vec<(usize, Ready)> {
    let receive = |(device, state): (usize, Shared)| {
        let delivery = world.told(live, device, Step::Delivery);
        (device, state.receive(&Delivery::from_frame(&delivery, DEVICES as u32).expect("its form")).expect("good"))
    };
    dealt.into_iter().map(receive).collect()
}

fn uploaded(world: &mut World, live: &mut Live, ready: Vec<(usize, Ready)>) -> Vec<(usize, Uploaded)> {
    let mut sent = Vec::new();
    for (device, state) in ready {
        let (state, upload) = saved(state.mask(&world.vector(live, device), &world.identities[device]));
        let frame = upload.to_frame();
        world.hear(live, device, &frame).expect("a good vector");
        world.hear(live, device, &frame).expect("the same again");
        assert_eq!(live.outcome(&world.key(device), Step::Survivors), Outcome::Wait);
        sent.push((device, state));
    }
    sent
}

fn agreed(world: &mut World, live: &mut Live, sent: Vec<(usize, Uploaded)>) -> Vec<(usize, Agreed)> {
    let mut signed = Vec::new();
    for (device, state) in sent {
        let survivors = world.told(live, device, Step::Survivors);
        let survivors = Survivors::from_frame(&survivors, DEVICES as u32).expect("its form");
        let (state, agreement) = saved(state.agree(&survivors, &world.identities[device]));
        world.hear(live, device, &agreement.to_frame()).expect("a good signature");
        signed.push((device, state));
    }
    signed
}

// One device drops out after its shares; a restart lies between any two phases; everybody is told the same again.
#[test]
fn a_round_goes_through_restarts_and_gives_the_sum() {
    let (mut world, mut live) = (World::new(), World::new().open(0));
    let dealt = shared(&mut world, &mut live, 0..DEVICES);
    let mut ready = ready(&world, &live, dealt);
    let gone = ready.pop().expect("the last").0;
    let sent = uploaded(&mut world, &mut live, ready);
    assert!(live.decide(59).is_none(), "the one that is missing has time until its deadline");
    world.go_on(&mut live, 60);
    assert_eq!(live.phase(), Phase::Frozen);
    assert_eq!(world.refused(&live, gone, Step::Survivors), Code::TooLate);
    let signed = agreed(&mut world, &mut live, sent);
    world.go_on(&mut live, 60);
    assert_eq!(live.phase(), Phase::Unmasking);
    for (device, state) in signed {
        // Lost on the way: the survivors are told again, the same.
        assert!(matches!(live.outcome(&world.key(device), Step::Survivors), Outcome::Frame(_)));
        let quorum = Quorum::from_frame(&world.told(&live, device, Step::Quorum), DEVICES as u32).expect("its form");
        let (_, answer) = saved(state.unmask(&quorum, &world.identities[device]));
        world.hear(&mut live, device, &answer.to_frame()).expect("good shares");
    }
    assert!(matches!(live.decide(60), Some(Decision::Open)));
    let opened = live.opened(&world.partials).expect("it opens");
    let mut expected = Sum::new(live.plan());
    (0..DEVICES).filter(|device| *device != gone).for_each(|device| expected.add(&world.vector(&live, device)));
    assert_eq!((opened.sum, opened.devices), (decode(&expected, live.plan()), DEVICES - 1));
    live.end(None, 61);
    assert!(matches!(live.outcome(&world.key(0), Step::Done), Outcome::Frame(_)));
    assert_eq!(world.refused(&live, 0, Step::Quorum), Code::TooLate);
}

// What a message says of its sender is held against the connection, at every step.
#[test]
fn nobody_speaks_for_another_device() {
    let (mut world, mut live) = (World::new(), World::new().open(0));
    let stolen = |world: &mut World, live: &mut Live, frame: &[u8]| {
        world.hear(live, 1, frame).expect_err("another device's message").code
    };
    let (_, keys) = world.advertise(&live, 0);
    assert_eq!(stolen(&mut world, &mut live, &keys), Code::Invalid);
    let (mut later, mut own) = (World::new(), World::new().open(0));
    let dealt = shared(&mut later, &mut own, 0..DEVICES);
    // Shares are closed by now: a world that stands before it.
    let advertised: Vec<_> = (0..DEVICES).map(|device| world.advertise(&live, device)).collect();
    for (device, (_, frame)) in advertised.iter().enumerate() {
        world.hear(&mut live, device, frame).expect("good keys");
    }
    world.go_on(&mut live, 10);
    world.go_on(&mut live, 10);
    let (state, _) = advertised.into_iter().next().expect("the first");
    let roster = Roster::from_frame(&world.told(&live, 0, Step::Roster), DEVICES as u32).expect("its form");
    let (_, shares) = state.share(&roster, &world.identities[0], 0, &mut rng(6, 0)).expect("a good roster");
    assert_eq!(stolen(&mut world, &mut live, &shares.to_frame()), Code::Invalid);
    // From here on in the other one.
    let mut ready = ready(&later, &own, dealt);
    let rest = ready.split_off(1);
    let (device, state) = ready.pop().expect("the first");
    let (state, upload) = saved(state.mask(&later.vector(&own, device), &later.identities[device]));
    assert_eq!(stolen(&mut later, &mut own, &upload.to_frame()), Code::Invalid);
    later.hear(&mut own, 0, &upload.to_frame()).expect("its own");
    let mut sent = uploaded(&mut later, &mut own, rest);
    sent.insert(0, (device, state));
    later.go_on(&mut own, 60);
    let survivors = Survivors::from_frame(&later.told(&own, 0, Step::Survivors), DEVICES as u32).expect("its form");
    let (_, state) = sent.remove(0);
    let (state, agreement) = saved(state.agree(&survivors, &later.identities[0]));
    assert_eq!(stolen(&mut later, &mut own, &agreement.to_frame()), Code::Invalid);
    later.hear(&mut own, 0, &agreement.to_frame()).expect("its own");
    agreed(&mut later, &mut own, sent);
    later.go_on(&mut own, 60);
    let quorum = Quorum::from_frame(&later.told(&own, 0, Step::Quorum), DEVICES as u32).expect("its form");
    let (_, answer) = saved(state.unmask(&quorum, &later.identities[0]));
    assert_eq!(stolen(&mut later, &mut own, &answer.to_frame()), Code::Invalid);
}

#[test]
fn too_few_give_the_round_up_and_everybody_hears_it() {
    let (mut world, mut live) = (World::new(), World::new().open(0));
    assert!(live.decide(9).is_none());
    let (_, keys) = world.advertise(&live, 0);
    world.hear(&mut live, 0, &keys).expect("good keys");
    assert_eq!(world.refused(&live, 1, Step::Roster), Code::SendAgain);
    assert_eq!(world.refused(&live, 0, Step::Quorum), Code::Invalid, "too early");
    world.go_on(&mut live, 10);
    assert_eq!(live.phase(), Phase::Abandoned);
    assert_eq!(world.refused(&live, 0, Step::Roster), Code::Abandoned);
    assert_eq!(live.check(&world.key(1), &mut keys.clone(), 0).map(|_| ()).expect_err("over").code, Code::Abandoned);
}

// A freeze that leaves too few ends the round, and computing it again from the same receipts does too.
#[test]
fn a_freeze_of_too_few_gives_the_round_up() {
    let (mut world, mut live) = (World::new(), World::new().open(0));
    let dealt = shared(&mut world, &mut live, 0..DEVICES);
    let mut ready = ready(&world, &live, dealt);
    ready.truncate(2);
    uploaded(&mut world, &mut live, ready);
    world.go_on(&mut live, 60);
    assert_eq!((live.phase(), live.given_up_for().is_some()), (Phase::Abandoned, true));
}

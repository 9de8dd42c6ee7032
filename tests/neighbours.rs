//! What leaves a device does not depend on what was listened to: devices with any history and with none take part in every kind of
//! round alike, also where a machine seems to be at work, and whatever of their tracks the coordinator's catalogue has.

use sordino_client::device::{Device, Settings};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use sordino_client::part::{Part, Progress};
use sordino_client::quic::{self, Credentials, Line, Visit, check_in, enrol_device};
use sordino_coordinator::server::now;
use sordino_coordinator::store::Store;
use sordino_device::swarm::CLIENT;
use sordino_shared::control::CheckIn;
use sordino_shared::ids::TrackId;
use sordino_shared::privacy::ledger;
use sordino_shared::secagg::Identity;
use sordino_shared::wire::{Kind, kind_of};
use sordino_tests::phone::Phone;
use sordino_tests::trial::{self, Trial};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

const TRACKS: u32 = 60;
// Devices of each history.
const EACH: usize = 3;

fn played(track: u32, seconds_ago: i64, listened: f32) -> PlaybackEvent {
    let event = PlaybackEvent::new(TrackId(track), Timestamp(now() - seconds_ago * 1000), EventKind::Play);
    PlaybackEvent { seconds_listened: Some(listened), track_seconds: Some(200.0), ..event }
}

/// Histories that differ in all that a device looks at.
fn histories() -> Vec<(&'static str, Vec<PlaybackEvent>)> {
    let uneven = |i: i64| 3600 * i + (i * i * 7919) % 977;
    let person = |tracks: u32, count: i64| {
        (1..=count).map(|i| played((i * 31) as u32 % tracks, uneven(i), 180.0)).collect::<Vec<_>>()
    };
    let machine = |first: u32| (1..=40).map(|i| played(first + i as u32, i * 180, 170.0)).collect::<Vec<_>>();
    vec![
        ("nothing", Vec::new()),
        ("a person", person(TRACKS, 30)),
        ("years", person(TRACKS, 4000)),
        ("another catalogue", (1..=30).map(|i| played(TRACKS + i as u32, uneven(i), 180.0)).collect()),
        ("a machine", machine(0)),
        ("a machine in another catalogue", machine(TRACKS)),
    ]
}

/// All that a device sent in a round, as an observer has it: kinds and sizes in their order, questions for an outcome aside, whose
/// number is the others' speed. Before its vector it waits so that the time from the delivery on is the same for all.
async fn take_part(device: &mut Device<Phone>, line: &Line) -> Option<((String, u64), Vec<(Kind, usize)>)> {
    let asked = CheckIn::new(&device.federation().population, CLIENT);
    let assigned = loop {
        match check_in(line, &asked).await.expect("an answer") {
            Visit::Round(assigned) => break assigned,
            Visit::Later(_) if is_over(device) => return None,
            Visit::Later(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let broadcast = line.fetch(&assigned.broadcast, 1 << 28).await.expect("loaded");
    let mut part = Part::join(&assigned, &broadcast, device).expect("it joins");
    let mut sent: Vec<(Kind, usize)> = Vec::new();
    loop {
        let request = part.request();
        let message = (kind_of(&request).expect("a frame"), request.len());
        if message.0 != Kind::Ask && sent.last() != Some(&message) {
            sent.push(message);
        }
        let frame = line.exchange(&request, Part::most_payload).await.expect("an answer");
        let is_delivery = kind_of(&frame).expect("a frame") == Kind::Delivery;
        match part.take(&frame, device).expect("nobody leaves") {
            Progress::Over => return Some(((assigned.offer.task.clone(), assigned.offer.round), sent)),
            Progress::Send => {
                assert!(!is_delivery, "a vector that is sent as soon as it is made tells how long that took")
            }
            Progress::Wait(ms) => {
                assert!(!is_delivery || ms <= 1000, "{ms}");
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
        }
    }
}

fn is_over(device: &Device<Phone>) -> bool {
    device.balance().releases == ROUNDS
}

// Popularity, two rounds of embeddings, the comparison.
const ROUNDS: usize = 4;

#[test]
fn what_leaves_a_device_is_the_same_whatever_was_listened_to() {
    let histories = histories();
    let devices = EACH * histories.len();
    let trial = Trial::new(|config| config.limits.connections_per_address = 4096);
    trial.task(&format!(
        "name = \"evening\"\nworkload = \"embedding\"\n[catalogue]\ntracks = {TRACKS}\n[privacy]\nepsilon = 30.0\ndelta = 1e-6\n\
         [cohort]\ndevices = {devices}\n[training]\ndimensions = 4\nrounds = 2\nseed = 5\nleast_rotated = 256\n[schedule]\n\
         pause_seconds = 0\nadvertise_seconds = 60\nshare_seconds = 60\nupload_seconds = 60\nagree_seconds = 60\nunmask_seconds = 60\n"
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let sent = trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let mut living = JoinSet::new();
        for (number, token) in trial.tokens(devices).into_iter().enumerate() {
            let (name, events) = histories[number / EACH].clone();
            let settings = Settings { ledger: ledger::Policy::new(30.0, 1e-6), ..Settings::default() };
            let folder = folder.path().join(number.to_string());
            let mut device = Device::open(&folder, federation.clone(), settings, Phone::default()).expect("a device");
            let recorded = device.record(&events).expect("recorded");
            assert!(recorded.is_whole() && recorded.kept == events.len(), "{name}: {recorded:?}");
            let is_withheld = device.learning(TRACKS as usize).expect("a store").withheld.is_some();
            assert_eq!(is_withheld, name.contains("machine"), "{name}");
            let endpoint = endpoint.clone();
            living.spawn(async move {
                enrol_device(&mut device, &endpoint, token, Vec::new()).await.expect("enrolled");
                let credentials = Credentials {
                    identity: Identity::from_secret(&device.identity().secret()),
                    enrolled: device.enrolled().expect("enrolled").clone(),
                };
                let line = Line::new(&endpoint, device.federation(), Some(&credentials)).expect("a line");
                let mut rounds = BTreeMap::new();
                while let Some((round, sent)) = take_part(&mut device, &line).await {
                    rounds.insert(round, sent);
                }
                (name, rounds, device.balance())
            });
        }
        let sent = living.join_all().await;
        server.stop().await;
        sent
    });
    let (_, rounds, balance) = &sent[0];
    assert_eq!(rounds.len(), ROUNDS);
    for (name, other, spent) in &sent {
        assert_eq!(other, rounds, "{name}: what was sent");
        assert_eq!(spent, balance, "{name}: what was paid");
    }
    let counted: Vec<u64> = trial.store().aggregates("evening").expect("sums").iter().map(|sum| sum.devices).collect();
    assert_eq!(counted, vec![devices as u64; ROUNDS], "everybody is in every sum");
}

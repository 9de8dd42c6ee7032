//! A broken version on its way through a fleet, over QUIC: it is taken back by itself, and every device ends on the good one.

use sordino_client::device::{Device, Settings};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use sordino_client::quic::{self, enrol_device, visit_once};
use sordino_coordinator::rollout::book::{self, Course, Order};
use sordino_coordinator::rollout::controller::{Actor, verify};
use sordino_coordinator::rollout::{Event, Input, Policy, Verdict};
use sordino_coordinator::server::now;
use sordino_coordinator::store::{self, Store};
use sordino_device::swarm::CLIENT;
use sordino_shared::ids::TrackId;
use sordino_shared::model::Model;
use sordino_shared::privacy::ledger;
use sordino_tests::phone::Phone;
use sordino_tests::trial::{self, Trial};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const DEVICES: usize = 500;
const TRACKS: u32 = 60;

/// Everybody hears the three best tracks of the version that serves: likes the first half of all tracks, but for one of three plays, and skips the
/// others.
fn listen(device: &mut Device<Phone>) {
    let Ok(recommender) = device.recommender() else { return };
    let kind = |place: usize, track: TrackId| match track.0 < TRACKS / 2 && place < 2 {
        true => EventKind::Play,
        false => EventKind::Skip,
    };
    let best = recommender.top(3, |_| true).into_iter().enumerate();
    let events: Vec<PlaybackEvent> =
        best.map(|(place, (track, _))| PlaybackEvent::new(track, Timestamp(now()), kind(place, track))).collect();
    device.record(&events).expect("recorded");
}

/// What the fleet does, as far as a test may know it.
#[derive(Default)]
struct Fleet {
    // The version that each device serves.
    serving: Vec<AtomicU64>,
    // Devices that have ever served this version.
    served: [AtomicU32; 8],
    over: AtomicBool,
}

async fn live(mut device: Device<Phone>, endpoint: quinn::Endpoint, number: usize, fleet: Arc<Fleet>) -> Device<Phone> {
    while !fleet.over.load(Ordering::Relaxed) {
        if let Err(error) = visit_once(&mut device, &endpoint, CLIENT).await {
            tracing::debug!(%error, number, "a visit ended early");
        }
        let counter = device.versions().expect("a store").current().map_or(0, |kept| kept.counter);
        if fleet.serving[number].swap(counter, Ordering::Relaxed) != counter {
            fleet.served[counter as usize].fetch_add(1, Ordering::Relaxed);
        }
        listen(&mut device);
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
    device
}

fn everybody() -> Actor {
    Actor { name: "anna".into(), may_promote: true, may_abort: true, may_skip: true }
}

/// One stage of a half, three looks, and noise that a fleet of this size can bear.
fn policy(name: &str, margins: &str) -> Policy {
    let text = format!(
        "name = '{name}'\ncontributing = 0.9\nnoise = 4.0\nleast_devices = 40\nreport_hours = 0\n\
         watched = ['slow', 'crash', 'load_failure', 'return', 'worst_skip_rate', 'ndcg']\n\
         margins = {{ {margins} }}\n[[stages]]\nshare = 500000\nlooks = 3\ndwell_hours = 0\n\
         [holdback]\nshare = 50000\ndays = 1\n[cohort]\ndropping = 0.2\nsecurity_bits = 40\nover_selection = 1.5\n\
         [schedule]\npause_seconds = 0\nadvertise_seconds = 6\nshare_seconds = 20\nupload_seconds = 20\nagree_seconds = 20\n\
         unmask_seconds = 20\n"
    );
    toml::from_str(&text).expect("a policy")
}

/// A popularity model whose best track is the first, or the last.
fn model(reversed: bool) -> Model {
    let weight = |track: u32| if reversed { track } else { TRACKS - track } as f32;
    Model::Popularity((0..TRACKS).map(|track| 1.0 + weight(track)).collect())
}

async fn until(what: &str, served: impl Fn() -> Vec<usize>, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{what} did not come in two minutes: versions serve {:?} devices", served());
}

#[test]
fn a_broken_version_is_taken_back_by_itself_and_a_good_one_goes_through() {
    let trial = Trial::new(|config| {
        config.registry.automatic = false;
        config.limits.connections_per_address = 4096;
    });
    let good = trial.sign(&model(false));
    book::serve_all(&mut trial.store(), good, "the first version", now()).expect("the first serves at once");
    let start = |policy: &Policy, counter: u64| {
        trial.office().sign_rollout(policy, counter, &trial.people(), now()).expect("signed");
        let order = Order::new(policy.clone(), counter, DEVICES).expect("a fleet that can be judged");
        book::start(&mut trial.store(), &order, Input::Start(everybody()), now()).expect("started");
    };
    let course = |name: &str| Course::load(&trial.store(), name).expect("a rollout");
    let fleet = Arc::new(Fleet { serving: (0..DEVICES).map(|_| AtomicU64::new(0)).collect(), ..Fleet::default() });
    let all = || {
        (0..8)
            .map(|counter| fleet.serving.iter().filter(|of| of.load(Ordering::Relaxed) == counter).count())
            .collect::<Vec<_>>()
    };
    let serving = |counter: u64| fleet.serving.iter().filter(|of| of.load(Ordering::Relaxed) == counter).count();
    let devices = trial::run_within(Duration::from_secs(400), async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let mut living = JoinSet::new();
        for (number, token) in trial.tokens(DEVICES).into_iter().enumerate() {
            let settings = Settings { ledger: ledger::Policy::new(9.0, 1e-6), ..Settings::default() };
            let folder = trial.path().join("devices").join(number.to_string());
            let mut device = Device::open(&folder, federation.clone(), settings, Phone::default()).expect("a device");
            let (endpoint, fleet) = (endpoint.clone(), fleet.clone());
            living.spawn(async move {
                enrol_device(&mut device, &endpoint, token, Vec::new()).await.expect("enrolled");
                live(device, endpoint, number, fleet).await
            });
        }
        until("the first version", all, || serving(good) == DEVICES).await;

        let broken = trial.sign(&model(true));
        start(&policy("broken", "skip_rate = 0.2"), broken);
        let begun = std::time::Instant::now();
        until("the end of the broken version", all, || !course("broken").is_under_way()).await;
        let taken_back = begun.elapsed().as_secs_f64();
        until("the good version on every device", all, || serving(good) == DEVICES).await;
        let back = begun.elapsed().as_secs_f64();
        println!("taken back after {taken_back:.1} s, the good version on every device after {back:.1} s");
        let treated = fleet.served[broken as usize].load(Ordering::Relaxed);
        assert!((150..=350).contains(&treated), "about half of the fleet had it: {treated}");

        let better = trial.sign(&model(false));
        start(&policy("better", "skip_rate = 0.4"), better);
        until("the end of the better version", all, || !course("better").is_under_way()).await;
        let kept_back = || serving(better) + serving(good) == DEVICES && serving(better) > DEVICES * 85 / 100;
        until("the better version on every device but those kept back", all, kept_back).await;
        fleet.over.store(true, Ordering::Relaxed);
        let devices = living.join_all().await;
        server.stop().await;
        devices
    });
    // By itself, at a look, for the harm that it did; and every verdict follows from the stored sums.
    let broken = course("broken");
    let Some(Event::Aborted { who: None, why, .. }) = broken.events.last() else {
        panic!("{:?}", broken.events.last())
    };
    assert!(why.contains("skip rate"), "{why}");
    let looks = |course: &Course, verdict: Verdict| {
        let is = |event: &&Event| matches!(event, Event::Looked { decision, .. } if decision.verdict == verdict);
        course.events.iter().filter(is).count()
    };
    assert_eq!((looks(&broken, Verdict::Breach), looks(&broken, Verdict::Pass)), (1, 0));
    let better = course("better");
    assert!(looks(&better, Verdict::Pass) >= 1 && looks(&better, Verdict::Breach) == 0);
    for course in [&broken, &better] {
        let again = verify(&course.order.policy, course.order.devices, &course.events).expect("it follows");
        assert_eq!(again.phase(), course.controller.phase());
    }
    let mut store = trial.store();
    store::verify(&store.audit().expect("a log")).expect("an unbroken chain");
    // What a device said of a stage it said once, and paid for once; the population pays for one contribution a stage.
    let rho = policy("any", "").rho();
    for device in &devices {
        let balance = device.balance();
        assert!(balance.releases <= 2 && balance.rho <= 2.0 * rho + 1e-9, "{balance:?}");
    }
    // Under the same keys: no device has paid for what its population has not, nor twice for what that has paid once.
    let paid =
        |history: ledger::History| -> Vec<_> { history.spends().map(|of| (of.task.clone(), of.round)).collect() };
    let population = paid(sordino_coordinator::budget::history(trial.path(), "default").expect("its ledger"));
    for number in 0..DEVICES {
        let folder = trial.path().join("devices").join(number.to_string());
        let own = paid(ledger::History::read(&folder.join("ledger")).expect("its ledger"));
        let is_once = |key: &&(String, u64)| own.iter().filter(|other| other == key).count() == 1;
        assert!(own.iter().all(|key| population.contains(key)) && own.iter().all(|key| is_once(&key)), "{own:?}");
    }
    let balance = trial.balance();
    assert!(balance.releases == 2 && balance.rho > 1.9 * rho && balance.rho < 2.1 * rho, "{balance:?}");
    // A version that was taken back is burnt: it cannot be started again, nor served.
    let refused = book::serve_all(&mut store, broken.order.candidate, "again", now()).expect_err("older").to_string();
    assert!(refused.contains("not newer"), "{refused}");
}

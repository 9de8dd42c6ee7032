//! A device with its folder, as an application has it, in a round with others.

use sordino_client::device::{Device, Host, Settings};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use sordino_client::part::{self, Part, Progress};
use sordino_client::participation;
use sordino_client::quic::{self, Line, Visited, Why, enrol_device, visit_once};
use sordino_coordinator::rollout::book;
use sordino_coordinator::server::now;
use sordino_coordinator::store::Store;
use sordino_device::swarm::{CLIENT, run};
use sordino_shared::control::{Federation, Step};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Model;
use sordino_shared::privacy::ledger::{self, Policy, Refusal};
use sordino_shared::registry::{Choice, Mode, Probe, Serving, VersionInfo};
use sordino_tests::phone::Phone;
use sordino_tests::trial::{self, ONE_ROUND_NAME, Oracle, Trial, join, one_round};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

const DEVICES: usize = 12;

fn open(folder: &Path, federation: &Federation, phone: &Phone) -> Device<Phone> {
    Device::open(folder, federation.clone(), Settings::default(), phone.clone()).expect("a device")
}

fn listening() -> Vec<PlaybackEvent> {
    let now = now();
    (0..6)
        .map(|i| PlaybackEvent::new(TrackId(i), Timestamp(now - 3_600_000 * (i64::from(i) + 1)), EventKind::Like))
        .collect()
}

#[test]
fn a_device_takes_part_and_recommends() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES));
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Phone::default());
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let mut device = open(folder.path(), &federation, &phone);
        device.record(&listening()).expect("recorded");
        let refused = visit_once(&mut device, &endpoint, CLIENT).await.expect_err("not yet");
        assert!(refused.to_string().contains("not enrolled"), "{refused}");
        let tokens = trial.tokens(2);
        enrol_device(&mut device, &endpoint, tokens[0], Vec::new()).await.expect("enrolled");
        drop(device);
        // The host's word counts.
        let mut device = open(folder.path(), &federation, &phone);
        phone.in_use.store(true, Ordering::Relaxed);
        let visited = visit_once(&mut device, &endpoint, CLIENT).await;
        assert!(matches!(visited, Ok(Visited::Later(_, Why::Host("the device is in use")))), "{visited:?}");
        phone.in_use.store(false, Ordering::Relaxed);
        let mut others = Oracle::new(DEVICES).vectors();
        others.truncate(DEVICES - 1);
        let (swarm, others) = trial.devices(&federation, others).await;
        let (seen, _) = watch::channel(None);
        let (visited, _) =
            tokio::join!(visit_once(&mut device, &endpoint, CLIENT), run(&swarm, &federation, others, &seen));
        assert!(
            matches!(visited, Ok(Visited::Done { ref task, round: 1, .. }) if task == ONE_ROUND_NAME),
            "{visited:?}"
        );
        assert!(device.records().expect("records").is_empty(), "nothing of the round is left");
        assert!(device.rest().expect("a rest") > 0, "once a day");
        let visited = visit_once(&mut device, &endpoint, CLIENT).await;
        assert!(matches!(visited, Ok(Visited::Later(_, Why::Rests))), "{visited:?}");
        let balance = device.balance();
        assert!(balance.releases == 1 && balance.epsilon > 1.0 && balance.epsilon <= 4.0, "{balance:?}");
        // A day and a half before its certificate is over the device has the next one.
        let first = device.enrolled().expect("enrolled").clone();
        visit_once(&mut device, &endpoint, CLIENT).await.expect("a visit");
        assert_eq!(device.enrolled(), Some(&first), "not yet");
        // Certificates count in whole seconds: one of the same second would be the same.
        tokio::time::sleep(Duration::from_millis(1_001)).await;
        phone.ahead_ms.store(11 * 12 * 3_600_000, Ordering::Relaxed);
        visit_once(&mut device, &endpoint, CLIENT).await.expect("a visit");
        let renewed = device.enrolled().expect("enrolled").clone();
        assert!(renewed.certificate.not_after > first.certificate.not_after);
        assert!(renewed.certificate.holds(&federation.authority.0, phone.now()));
        phone.ahead_ms.store(0, Ordering::Relaxed);
        // The new certificate is good for connections too. Another training waits for devices, and this one rests.
        trial.task(&one_round(DEVICES).replace(ONE_ROUND_NAME, "another"));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let visited = visit_once(&mut device, &endpoint, CLIENT).await;
        assert!(matches!(visited, Ok(Visited::Later(_, Why::Rests))), "{visited:?}");
        server.stop().await;
    });
    assert_eq!(trial.store().aggregates(ONE_ROUND_NAME).expect("a sum")[0].devices, DEVICES as u64);
    let federation = trial.federation("127.0.0.1:1".parse().expect("an address"));
    let mut device = open(folder.path(), &federation, &phone);
    // It came for the version, though it had trained: the same that the coordinator has.
    let version = trial.store().versions().expect("versions").pop().expect("a version");
    let digest = device.model_digest().expect("a store").expect("a model");
    assert_eq!(sordino_shared::control::hexadecimal(&digest), version.digest);
    let ranked = device.recommend(20).expect("a model");
    assert_eq!(ranked.len(), DEVICES - 6, "without the six that were heard");
    assert!(ranked.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    assert_eq!(device.export().expect("events"), listening_as(&device));
    device.erase().expect("erased");
    assert!(device.export().expect("events").is_empty() && device.recommend(3).is_err());
    assert_eq!(device.balance().releases, 1, "what was spent stays spent");
    drop(device);
    // A ledger that is gone is not begun afresh.
    std::fs::remove_file(folder.path().join("ledger")).expect("removed");
    assert!(Device::open(folder.path(), federation, Settings::default(), phone).is_err());
}

// A place in a roster is not taken by a device that cannot pay: the others would wait for it in vain.
#[test]
fn who_cannot_pay_says_so_before_the_roster() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES));
    let oracle = Oracle::new(DEVICES);
    let folder = tempfile::tempdir().expect("a folder");
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let settings = Settings { ledger: Policy::new(0.1, 1e-6), ..Settings::default() };
        let mut device = Device::open(folder.path(), federation.clone(), settings, Phone::default()).expect("a device");
        enrol_device(&mut device, &endpoint, trial.tokens(1)[0], Vec::new()).await.expect("enrolled");
        let refused = visit_once(&mut device, &endpoint, CLIENT).await.expect_err("too dear");
        let quic::Error::Part(part::Error::Participation(participation::Error::Ledger(refused))) = refused else {
            panic!("{refused}")
        };
        assert!(matches!(refused, ledger::Error::Refused(Refusal::Overspent { .. })), "{refused}");
        assert!(device.balance().releases == 0 && device.rest().expect("a store") == 0);
        // With it there would be one too many for the round.
        let (swarm, others) = trial.devices(&federation, oracle.vectors()).await;
        let (seen, _) = watch::channel(None);
        run(&swarm, &federation, others, &seen).await.expect("it ends");
        server.stop().await;
    });
    assert!(oracle.holds(&trial.store()), "the others' sum");
}

fn listening_as(device: &Device<Phone>) -> Vec<PlaybackEvent> {
    let events = device.export().expect("events");
    assert!(events.len() == 6 && events.iter().all(|event| event.kind == EventKind::Like));
    events
}

// A device that is restarted after its upload goes on from its record, and says nothing else than before.
#[test]
fn a_restarted_device_goes_on_from_its_record() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES));
    let oracle = Oracle::new(DEVICES);
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let (endpoint, mut devices) = trial.devices(&federation, oracle.vectors()).await;
        let mut restarted = devices.pop().expect("a device");
        let line = Line::new(&endpoint, &federation, Some(restarted.credentials())).expect("a line");
        let going_on = async {
            let mut part = join(&line, &mut restarted).await;
            // The process ends at every step from the upload on, before the answer comes and after it.
            let mut restarts = 0;
            loop {
                let frame = line.exchange(&part.request(), Part::most_payload).await.expect("an answer");
                if part.take(&frame, &mut restarted).expect("it goes on") == Progress::Over {
                    break;
                }
                if part.step() >= Step::Survivors && restarts < 8 {
                    restarts += 1;
                    let (context, record) = restarted.records().iter().next().expect("a record");
                    part = Part::resume(*context, record).expect("its own record");
                }
            }
            assert!(restarts >= 3, "{restarts}");
        };
        let (seen, _) = watch::channel(None);
        let (others, ()) = tokio::join!(run(&endpoint, &federation, devices, &seen), going_on);
        others.expect("it ends");
        // Also of a round that is long over the same is told.
        let (context, step) = (trial.store().rounds(ONE_ROUND_NAME, 1).expect("a round")[0].context, Step::Done);
        let ask = sordino_shared::control::Ask { context, step }.to_frame();
        let told = line.exchange(&ask, Part::most_payload).await.expect("an answer");
        assert!(sordino_shared::control::Done::from_frame(&told).is_ok());
        server.stop().await;
    });
    assert!(oracle.holds(&trial.store()));
}

#[test]
fn a_device_keeps_two_versions_and_falls_back_by_itself() {
    let trial = Trial::new(|_| ());
    let federation = trial.federation("127.0.0.1:1".parse().expect("an address"));
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Phone::default());
    let version = |best: usize| {
        let weights = (0..30).map(|track| if track == best { 9.0 } else { track as f32 / 30.0 }).collect();
        Model::Popularity(weights).to_bytes()
    };
    let info = |counter: u64| VersionInfo { release_counter: counter, ..VersionInfo::default() };
    let serve = |device: &mut Device<Phone>, counter: u64, before: Option<u64>| {
        let keep = vec![counter];
        device.settle(&Choice { serve: Some(counter), good: Some(counter), keep, spare: before, place: None })
    };
    let first = |device: &mut Device<Phone>| device.recommend(1).expect("a model")[0].0;
    let mut device = open(folder.path(), &federation, &phone);
    assert!(device.keep_version(&info(4), &version(10)).expect("a store"));
    serve(&mut device, 4, None).expect("it is here");
    assert!(device.keep_version(&info(7), &version(20)).expect("a store"));
    assert_eq!(first(&mut device), TrackId(10), "what is kept does not serve yet");
    serve(&mut device, 7, Some(4)).expect("it is here");
    assert_eq!(first(&mut device), TrackId(20));
    assert!(!device.keep_version(&info(5), &version(5)).expect("a store"), "older than what was good");
    assert!(serve(&mut device, 4, None).is_err(), "what is good does not go back");
    // Bytes that are no model are noted and not tried again; so is a version that needs a newer program, and one that answers a known
    // question otherwise.
    assert!(!device.keep_version(&info(8), b"SORDINO2 and no more").expect("a store"));
    assert!(!device.keep_version(&VersionInfo { min_runtime: 99, ..info(9) }, &version(3)).expect("a store"));
    let probes = vec![Probe { history: vec![1], best: Some(4) }];
    assert!(!device.keep_version(&VersionInfo { probes, ..info(10) }, &version(3)).expect("a store"));
    let versions = device.versions().expect("a store");
    assert!([8, 9, 10].iter().all(|counter| versions.has_refused(*counter)));
    serve(&mut device, 7, Some(4)).expect("it is here");
    assert_eq!(first(&mut device), TrackId(20));
    assert!(!device.model_failed().expect("a store") && !device.model_failed().expect("a store"));
    drop(device);
    // A restart forgets nothing of it.
    let mut device = open(folder.path(), &federation, &phone);
    assert!(device.model_failed().expect("a store"), "the third within a day");
    assert_eq!(first(&mut device), TrackId(10));
    assert!(device.versions().expect("a store").take_fallback());
    assert!((0..9).all(|_| !device.model_failed().expect("a store")), "there is nothing before it any more");
    device.erase().expect("erased");
    assert!(device.model().expect("a store").is_none());
    assert!(!device.versions().expect("a store").wants(8), "what was refused stays so");
    assert!(device.keep_version(&info(11), &version(3)).expect("a store"));
    serve(&mut device, 11, None).expect("it is here");
    assert_eq!(first(&mut device), TrackId(3));
    // The switch for emergencies: the application ranks by itself.
    device.settle(&Choice { serve: None, good: Some(11), keep: vec![11], spare: None, place: None }).expect("allowed");
    assert!(matches!(device.recommend(1), Err(sordino_client::device::Error::SwitchedOff)));
}

// What is taken back is taken back from devices in use too; they load nothing.
#[test]
fn news_reach_a_device_that_is_in_use() {
    let trial = Trial::new(|config| config.registry.automatic = false);
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Phone::default());
    let model = |best: usize| Model::Popularity((0..9).map(|track| f32::from(u8::from(track == best))).collect());
    let [first, second] = [1, 2].map(|best| trial.sign(&model(best)));
    let serve = |counter: u64| book::serve_all(&mut trial.store(), counter, "a test", now()).expect("newer");
    let mode = |mode: Mode| {
        let change = |serving: &mut Serving| {
            serving.mode = mode;
            Ok(())
        };
        book::change_serving(&mut trial.store(), "a test", now(), change).expect("changed");
    };
    serve(first);
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let mut device = open(folder.path(), &federation, &phone);
        enrol_device(&mut device, &endpoint, trial.tokens(1)[0], Vec::new()).await.expect("enrolled");
        // The server sees within a second what other processes have changed.
        async fn comes(device: &mut Device<Phone>, endpoint: &quinn::Endpoint, expected: Option<u64>) -> bool {
            for _ in 0..40 {
                visit_once(device, endpoint, CLIENT).await.expect("a visit");
                if device.versions().expect("a store").current().map(|kept| kept.counter) == expected {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            false
        }
        assert!(comes(&mut device, &endpoint, Some(first)).await);
        phone.in_use.store(true, Ordering::Relaxed);
        serve(second);
        assert!(!comes(&mut device, &endpoint, Some(second)).await, "nothing is loaded while it is in use");
        phone.in_use.store(false, Ordering::Relaxed);
        assert!(comes(&mut device, &endpoint, Some(second)).await);
        phone.in_use.store(true, Ordering::Relaxed);
        mode(Mode::Before);
        assert!(comes(&mut device, &endpoint, Some(first)).await, "the version before is here");
        mode(Mode::Baseline);
        assert!(comes(&mut device, &endpoint, None).await);
        assert!(matches!(device.recommend(1), Err(sordino_client::device::Error::SwitchedOff)));
        mode(Mode::Good);
        assert!(comes(&mut device, &endpoint, Some(second)).await);
        server.stop().await;
    });
}

//! A row of the store that cannot be read stops nothing but itself: a coordinator starts, publishes and lists beside it, and a command ends it.

use sordino_client::device::{Device, Settings};
use sordino_client::quic::{self, enrol_device, visit_once};
use sordino_coordinator::rollout::book;
use sordino_coordinator::server::now;
use sordino_coordinator::store::{Store, TaskRow, TaskState};
use sordino_device::swarm::CLIENT;
use sordino_shared::model::Model;
use sordino_tests::phone::Phone;
use sordino_tests::trial::{self, ONE_ROUND_NAME, Trial, one_round};
use std::process::Command;
use std::time::Duration;

fn row(name: &str, text: &str) -> TaskRow {
    TaskRow { name: name.into(), text: text.into(), seed: 1, state: TaskState::Running, why: None }
}

fn model(best: u32) -> Model {
    Model::Popularity((0..60).map(|track| if track == best { 9.0 } else { 1.0 + track as f32 / 100.0 }).collect())
}

/// Whether a command ends well, and what it says.
fn told(trial: &Trial, words: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator-under-test"));
    let output = command.args(words).arg(trial.path()).env_remove("SORDINO_TOKEN").output().expect("a program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

fn works(trial: &Trial, words: &[&str]) -> String {
    let (is_well, text) = told(trial, words);
    assert!(is_well, "{words:?}: {text}");
    text
}

#[test]
fn a_task_of_a_rollouts_name_stops_nothing() {
    let trial = Trial::new(|config| config.registry.automatic = false);
    let first = trial.sign(&model(3));
    book::serve_all(&mut trial.store(), first, "the first version", now()).expect("the first serves at once");
    // As an earlier program took it, and one that nobody can read.
    let text = one_round(4);
    let of_rollout = text.replace(ONE_ROUND_NAME, "rollout-x");
    trial.store().add_task(&row("rollout-x", &of_rollout), now()).expect("as it was once");
    trial.store().add_task(&row("rollout-y", "?"), now()).expect("a row");
    trial.task(&text);
    // One that can be read, and that asks the device of this test for nothing.
    trial.store().set_task(ONE_ROUND_NAME, TaskState::Paused, Some("a trial"), now()).expect("it is there");
    let ended = TaskRow { state: TaskState::Cancelled, ..row("rollout-z", "workload = \"rollout\"\nmoons = 2") };
    trial.store().add_task(&ended, now()).expect("a row");
    trial.store().set_task("rollout-y", TaskState::Cancelled, None, now()).expect("it is there");

    trial::run_within(Duration::from_secs(120), async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let folder = trial.path().join("device");
        let mut device = Device::open(&folder, federation, Settings::default(), Phone::default()).expect("a device");
        enrol_device(&mut device, &endpoint, trial.tokens(1)[0], Vec::new()).await.expect("enrolled");
        // It goes on publishing: also what is decided while it runs.
        for counter in [first, trial.sign(&model(5))] {
            if counter != first {
                book::serve_all(&mut trial.store(), counter, "another", now()).expect("nothing is under way");
            }
            let serves =
                |device: &Device<Phone>| device.versions().expect("a store").current().map(|kept| kept.counter);
            while serves(&device) != Some(counter) {
                visit_once(&mut device, &endpoint, CLIENT).await.expect("a visit");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        // What holds the ledger keeps others from taking tasks away.
        let (is_well, text) = told(&trial, &["task", "remove", "rollout-x"]);
        assert!(!is_well && text.contains("stop that one first"), "{text}");
        let view = serde_json::to_string(&server.hub().view()).expect("JSON");
        for name in ["rollout-x", "rollout-y", "rollout-z"] {
            assert!(view.contains(name), "the page names {name}: {view}");
        }
        server.stop().await;
    });
    // Once the server has let go of its ledger.
    assert_eq!(trial.balance().releases, 0);
    lists_name_it_and_go_on(&trial);
    takes_it_away(&trial);
}

fn lists_name_it_and_go_on(trial: &Trial) {
    let text = works(trial, &["task", "list"]);
    assert!(text.contains("a trial") && text.contains("sordino-coordinator task remove rollout-x"), "{text}");
    let text = works(trial, &["rollout", "list"]);
    assert!(
        text.contains("rollout-y cannot be read") && text.contains("moons") && !text.contains("rollout-x"),
        "{text}"
    );
    let text = works(trial, &["status"]);
    assert!(
        text.contains("task one-round: paused") && text.contains("task rollout-y: cancelled, and cannot"),
        "{text}"
    );
    let text = works(trial, &["rollout", "status", "--json"]);
    assert!(text.contains("\"unreadable\":[\"rollout-y"), "{text}");
    assert!(works(trial, &["budget", "show"]).contains("task rollout-x cannot be read and opens no round"));
    // The log is whole, and what cannot be made again is named behind what can.
    let (is_well, text) = told(trial, &["audit", "verify"]);
    assert!(
        !is_well
            && text.contains("unbroken")
            && text.contains("2 rollouts do not follow")
            && text.contains("rollout-z"),
        "{text}"
    );
}

fn takes_it_away(trial: &Trial) {
    works(trial, &["task", "remove", "rollout-x"]);
    assert!(!works(trial, &["task", "list"]).contains("rollout-x"));
    for (of, why) in [("rollout-x", "no task"), ("rollout-y", "a rollout's")] {
        let (is_well, text) = told(trial, &["task", "remove", of]);
        assert!(!is_well && text.contains(why), "{of}: {text}");
    }
    works(trial, &["task", "remove", ONE_ROUND_NAME]);
    // Its name is free again, and no task takes a rollout's.
    let file = trial.path().join("task.toml");
    let add = |text: &str| {
        std::fs::write(&file, text).expect("a file");
        told(trial, &["task", "add", &file.display().to_string()])
    };
    let (is_well, text) = add(&one_round(4));
    assert!(is_well, "{text}");
    let (is_well, text) = add(&one_round(4).replace(ONE_ROUND_NAME, "rollout-x"));
    assert!(!is_well && text.contains("choose another"), "{text}");
}

//! The coordinator killed before and after every durable write of a round, under devices that go on: nothing that was
//! acknowledged is lost, nothing is counted twice, the survivors never change.
//!
//! The oracle: every device's vector is known beforehand (from a seed), and every device comes through every crash. So the
//! opened sum must be the sum of all of them, to the last bit; one vector lost or counted twice gives another one.

use sordino_client::part::Part;
use sordino_client::quic::{self, Line};
use sordino_coordinator::store::{Store, verify};
use sordino_device::swarm::run_over;
use sordino_tests::trial::{ONE_ROUND_NAME, Oracle, Trial, join, one_round, run, up_to_the_upload};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::watch;

const DEVICES: usize = 12;

/// What came of a round.
#[derive(Debug, PartialEq)]
enum Came {
    /// The sum is that of every device, once, and was paid for once.
    Right,
    /// It is not.
    Wrong,
}

/// One round under a coordinator that dies where `die` says, and is started again until it is through.
fn round(die: Option<&str>, plant: Option<&str>, task: &str) -> (Came, Vec<String>) {
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let trial = Trial::new(|config| config.listen.address.set_port(port));
    trial.task(task);
    let oracle = Oracle::new(DEVICES);
    let mut child = start(&trial, die, plant);
    run(async {
        let federation = trial.federation(format!("127.0.0.1:{port}").parse().expect("an address"));
        let playing = async {
            let (endpoint, devices) = trial.devices(&federation, oracle.vectors()).await;
            let line = |credentials: &quic::Credentials| {
                let line = Line::new(&endpoint, &federation, Some(credentials))?;
                Ok(line.keep_alive(Duration::from_millis(100)))
            };
            let (seen, _) = watch::channel(None);
            run_over(devices, &seen, &federation.population, line).await
        };
        let again = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if child.try_wait().expect("a process").is_some() {
                    // Its heir does not die, but has the same bug.
                    child = start(&trial, None, plant);
                }
            }
        };
        tokio::select! {
            result = playing => drop(result.expect("it ends")),
            () = again => unreachable!("it goes on"),
        }
    });
    child.kill().and_then(|()| child.wait()).expect("a process");
    let store = trial.store();
    verify(&store.audit().expect("a log")).expect("an unbroken log");
    let rounds = store.rounds(ONE_ROUND_NAME, 9).expect("rounds");
    let right = oracle.holds(&store);
    let frozen = store.audit().expect("a log").iter().filter(|row| row.what.contains("frozen")).count();
    assert!(frozen <= rounds.len(), "the survivors are fixed once a round");
    // Paid before deliveries went out, and not again after a crash. A planted bug may lose so many that another round is begun.
    let releases = trial.balance().releases;
    assert!(plant.is_some() || releases == 1, "a round is paid for once, not {releases} times");
    let right = right && releases == 1;
    let writes = std::fs::read_to_string(trial.path().join("writes")).unwrap_or_default();
    (if right { Came::Right } else { Came::Wrong }, writes.lines().map(str::to_owned).collect())
}

fn start(trial: &Trial, die: Option<&str>, plant: Option<&str>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator-under-test"));
    command.arg(trial.path()).stdout(Stdio::null());
    for (name, value) in [("DIE_AT", die), ("PLANT", plant)] {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    if die.is_none() {
        command.env("COUNT", "1");
    }
    command.spawn().expect("the coordinator under test")
}

/// A round in which one device sends its vector only after the survivors were fixed without it and the coordinator was
/// killed: whether it ended well without it.
fn late(plant: Option<&str>) -> bool {
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let trial = Trial::new(|config| config.listen.address.set_port(port));
    trial.task(
        &one_round(DEVICES)
            .replace("upload_seconds = 60", "upload_seconds = 4")
            .replace("agree_seconds = 60", "agree_seconds = 4"),
    );
    let oracle = Oracle::of_the_first(DEVICES - 1, DEVICES);
    let mut child = start(&trial, Some("before:advance to unmasking"), plant);
    let (restarted, mut restart) = watch::channel(false);
    run(async {
        let federation = trial.federation(format!("127.0.0.1:{port}").parse().expect("an address"));
        let (endpoint, mut devices) = trial.devices(&federation, oracle.vectors()).await;
        let line = |credentials: &quic::Credentials| {
            let line = Line::new(&endpoint, &federation, Some(credentials))?;
            Ok(line.keep_alive(Duration::from_millis(100)))
        };
        let mut straggler = devices.pop().expect("a device");
        let straggling = async {
            let line = line(straggler.credentials()).expect("a line");
            let mut part = join(&line, &mut straggler).await;
            up_to_the_upload(&line, &mut part, &mut straggler).await;
            restart.wait_for(|restarted| *restarted).await.expect("it is restarted");
            let answer = line.exchange(&part.request(), Part::most_payload).await.expect("an answer");
            let _ = part.take(&answer, &mut straggler);
        };
        let (seen, _) = watch::channel(None);
        let playing = run_over(devices, &seen, &federation.population, line);
        let again = async {
            while child.try_wait().expect("a process").is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            child = start(&trial, None, plant);
            restarted.send_replace(true);
        };
        // With the bug the round is given up and another one begins, in which the straggler is missing.
        let all = async { tokio::join!(playing, straggling, again) };
        let _ = tokio::time::timeout(Duration::from_secs(25), all).await;
    });
    child.kill().and_then(|()| child.wait()).expect("a process");
    oracle.holds(&trial.store())
}

// Whoever was told the survivors was told them for good.
#[test]
fn the_survivors_never_change() {
    assert!(late(None), "a vector that comes too late is in no sum");
    assert!(!late(Some("volatile")), "a freeze that is not durable is found");
}

/// Every durable write of a round and of what comes of it.
const WRITES: [&str; 9] = [
    "open_round",
    "advance to drawing",
    "advance to sharing",
    "advance to collecting",
    "flush",
    "freeze",
    "advance to unmasking",
    "finish",
    // The version that came of it serves.
    "change",
];

#[test]
fn a_killed_coordinator_loses_nothing_and_counts_nothing_twice() {
    let (came, writes) = round(None, None, &one_round(DEVICES));
    assert_eq!(came, Came::Right);
    let missed: Vec<&String> = writes.iter().filter(|write| !WRITES.contains(&write.as_str())).collect();
    assert!(missed.iter().all(|write| *write == "set_task"), "a write is not among those to die at: {missed:?}");
    for write in WRITES {
        assert!(writes.iter().any(|written| written == write), "{write}: {writes:?}");
        for when in ["before", "after"] {
            let start = std::time::Instant::now();
            let (came, _) = round(Some(&format!("{when}:{write}")), None, &one_round(DEVICES));
            println!("killed {when} {write}: {came:?}, {:.1} s", start.elapsed().as_secs_f64());
            assert_eq!(came, Came::Right, "killed {when} {write}");
        }
    }
}

// The oracle has teeth: both bugs that a store of contributions can have are found. Not every schedule shows them, so that there
// are several tries: a vector that was acknowledged too early may be written in time, and a device that comes back only after the
// freeze meets its receipt.
#[test]
fn planted_bugs_are_found() {
    let found =
        |die: &str, plant: &str, task: &str| (0..8).any(|_| round(Some(die), Some(plant), task).0 == Came::Wrong);
    // Whoever is lost by the first bug is waited for in vain.
    let hasty = one_round(DEVICES).replace("upload_seconds = 60", "upload_seconds = 2");
    assert!(found("before:freeze", "early", &hasty), "acknowledged before the commit");
    // The answer is lost with the process, so the devices send the same vector again.
    assert!(found("after:flush", "twice", &one_round(DEVICES)), "no duplicate check");
}

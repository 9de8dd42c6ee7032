//! How much the coordinator takes, on this machine, its load generator included.
//!
//! `server_load ingest [DEVICES] [TRACKS] [AT ONCE]`: masked uploads made durable, against a bare QUIC sink that reads the same
//! frames from the same devices and answers each; in turn, in one run. `server_load hold [CONNECTIONS]`: connections held, the
//! server in a process of its own, and check-ins at 200 a second over them. `server_load restart [RECEIPTS]`: from the start
//! of the process to the first answer, with that many receipts in the store.

use sordino_client::part::{Part, Progress};
use sordino_client::quic::{self, Line, check_in};
use sordino_coordinator::store::{Entry, Phase, RoundRow, Store};
use sordino_device::swarm::{CLIENT, Light};
use sordino_shared::control::{CheckIn, Receipt};
use sordino_shared::secagg::digest;
use sordino_shared::wire::Preamble;
use sordino_tests::trial::{Oracle, Trial, bare_server, join, one_round, up_to_the_upload};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some("ingest") => runtime.block_on(ingest(number(1, 500), number(2, 170_000), number(3, 64))),
        Some("hold") => runtime.block_on(hold(number(1, 10_000))),
        Some("restart") => runtime.block_on(restart(number(1, 1_000_000))),
        _ => println!("server_load ingest [DEVICES] [TRACKS] [AT ONCE] | hold [CONNECTIONS] | restart [RECEIPTS]"),
    }
}

/// Devices up to the point where their masked vectors are ready to be sent.
async fn ingest(devices: usize, tracks: usize, at_once: usize) {
    let gate = Arc::new(Semaphore::new(at_once));
    let trial = Trial::new(|config| config.limits.hold_seconds = 25);
    let task = one_round(devices).replace(&format!("tracks = {devices}"), &format!("tracks = {tracks}"));
    trial.task(&task.replace("_seconds = 60", "_seconds = 600"));
    let server = trial.serve().await;
    let federation = trial.federation(server.address().expect("a port"));
    let (endpoint, lights) = trial.devices(&federation, Oracle::new(devices).vectors()).await;
    let mut joining = JoinSet::new();
    for light in lights {
        let line = Line::new(&endpoint, &federation, Some(light.credentials())).expect("a line");
        joining.spawn(async move {
            let mut light = light;
            let mut part = join(&line, &mut light).await;
            up_to_the_upload(&line, &mut part, &mut light).await;
            (line, light, part)
        });
    }
    let ready: Vec<(Line, Light, Part)> = joining.join_all().await;
    let bytes: usize = ready.iter().map(|(_, _, part)| part.request().len()).sum();
    println!("{devices} uploads of {:.0} kB, {at_once} at once", bytes as f64 / devices as f64 / 1e3);
    let received = Arc::new(AtomicUsize::new(0));
    let counted = received.clone();
    let sink = bare_server(&trial, move |frame| {
        assert!(frame.len() > Preamble::BYTES);
        counted.fetch_add(1, Ordering::Relaxed);
        Receipt { context: [0; 32], digest: [0; 32] }.to_frame()
    });
    let sink_address = sink.local_addr().expect("a port");
    // Connections first, so that the frames alone are timed.
    let mut to_sink = Vec::new();
    for (_, light, part) in &ready {
        let line = Line::new(&endpoint, &federation, Some(light.credentials())).expect("a line").to(sink_address);
        line.hold().await.expect("a connection");
        to_sink.push((line, part.request()));
    }
    let bare = async |lines: Vec<(Line, Vec<u8>)>| {
        let start = Spent::now();
        let mut sending = JoinSet::new();
        for (line, frame) in lines {
            let gate = gate.clone();
            sending.spawn(async move {
                let _turn = gate.acquire().await.expect("never closed");
                line.exchange(&frame, Part::most_payload).await.expect("an answer")
            });
        }
        sending.join_all().await;
        start.elapsed()
    };
    let first = bare(to_sink.clone()).await;
    let start = Spent::now();
    let mut sending = JoinSet::new();
    for (line, mut light, mut part) in ready {
        let gate = gate.clone();
        sending.spawn(async move {
            let _turn = gate.acquire().await.expect("never closed");
            let frame = line.exchange(&part.request(), Part::most_payload).await.expect("an answer");
            assert_eq!(part.take(&frame, &mut light).expect("a receipt"), Progress::Send);
        });
    }
    sending.join_all().await;
    let durable = start.elapsed();
    let second = bare(to_sink).await;
    assert!(received.load(Ordering::Relaxed) >= 2 * devices);
    let rate = |spent: &Spent| bytes as f64 / spent.clock.as_secs_f64() / 1e6;
    let show = |name: &str, spent: &Spent| {
        let uploads = devices as f64 / spent.clock.as_secs_f64();
        println!("{name}  {:.1} MB/s, {uploads:.0} uploads/s, {:.2} s of the processor", rate(spent), spent.processor);
    };
    show("bare sink   ", &first);
    show("made durable", &durable);
    show("bare sink   ", &second);
    println!("ratio         {:.2}", rate(&durable) / ((rate(&first) + rate(&second)) / 2.0));
}

/// What something took: by the clock, and of the processor's time, all threads together.
struct Spent {
    clock: Duration,
    processor: f64,
}

struct Since(Instant, f64);

impl Spent {
    fn now() -> Since {
        Since(Instant::now(), processor())
    }
}

impl Since {
    fn elapsed(&self) -> Spent {
        Spent { clock: self.0.elapsed(), processor: processor() - self.1 }
    }
}

/// Seconds of the processor that this process has used.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name may hold spaces; what is behind it does not.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    // Fields 14 and 15 of proc(5); the system counts in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

/// The server in a process of its own, so that its memory can be read.
fn server(trial: &Trial) -> Child {
    let path = std::env::current_exe().expect("this program");
    let beside = path.parent().and_then(|folder| folder.parent()).expect("a folder").join("sordino-coordinator");
    let child = Command::new(beside).arg("serve").arg(trial.path()).arg("--log").arg("warn").spawn();
    child.expect("target/release/sordino-coordinator, which `cargo build --release` makes")
}

fn memory_mb(child: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") / 1024.0
}

fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

async fn hold(connections: usize) {
    let port = free_port();
    let trial = Trial::new(|config| {
        config.listen.address.set_port(port);
        config.limits.connections = connections + 100;
        config.limits.connections_per_address = connections + 100;
    });
    let mut child = server(&trial);
    let federation = trial.federation(format!("127.0.0.1:{port}").parse().expect("an address"));
    let vectors = (0..connections).flat_map(|_| Oracle::new(1).vectors()).collect();
    let start = Instant::now();
    let (endpoint, devices) = trial.devices(&federation, vectors).await;
    println!("{connections} devices enrolled in {:.1} s", start.elapsed().as_secs_f64());
    let before = memory_mb(&child);
    let start = Instant::now();
    let mut lines = Vec::with_capacity(connections);
    let gate = Arc::new(Semaphore::new(64));
    let mut connecting = JoinSet::new();
    for device in &devices {
        let line = Line::new(&endpoint, &federation, Some(device.credentials())).expect("a line");
        lines.push(line.clone());
        let gate = gate.clone();
        connecting.spawn(async move {
            let _place = gate.acquire().await.expect("never closed");
            line.hold().await.expect("a connection");
        });
    }
    connecting.join_all().await;
    println!("{connections} authenticated connections in {:.1} s", start.elapsed().as_secs_f64());
    let mut times = Vec::new();
    let mut asking = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for line in lines.iter().take(2000) {
        tick.tick().await;
        let line = line.clone();
        asking.spawn(async move {
            let start = Instant::now();
            let asked = CheckIn::new("default", CLIENT);
            check_in(&line, &asked).await.expect("an answer");
            start.elapsed()
        });
    }
    times.extend(asking.join_all().await);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("check-ins at 200 a second: median {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99));
    println!("server: {:.0} MB before, {:.0} MB with all of them held", before, memory_mb(&child));
    child.kill().and_then(|()| child.wait()).expect("a process");
}

async fn restart(receipts: usize) {
    let port = free_port();
    let trial = Trial::new(|config| config.listen.address.set_port(port));
    let mut store = trial.store();
    let per_round = 10_000;
    for round in 0..receipts.div_ceil(per_round) as u64 {
        let context = digest(&round.to_le_bytes());
        let row = RoundRow {
            context,
            task: "earlier".into(),
            number: round + 1,
            step: round,
            setting: Vec::new(),
            phase: Phase::Collecting,
            state: Vec::new(),
            opened: 0,
            changed: 0,
            note: String::new(),
        };
        store.open_round(&row).expect("a round");
        let entries: Vec<Entry> =
            (0..per_round as u32).map(|position| Entry { position, digest: digest(&position.to_le_bytes()) }).collect();
        store.flush(&context, &entries, &mut |_| vec![0]).expect("receipts");
        store.abandon(&context, "", 0).expect("over");
    }
    drop(store);
    trial.task(&one_round(100));
    let federation = trial.federation(format!("127.0.0.1:{port}").parse().expect("an address"));
    let endpoint = quic::endpoint().expect("a port");
    let start = Instant::now();
    let mut child = server(&trial);
    let line = Line::new(&endpoint, &federation, None).expect("a line");
    while line.hold().await.is_err() {}
    println!("{receipts} receipts: serving after {:.2} s", start.elapsed().as_secs_f64());
    child.kill().and_then(|()| child.wait()).expect("a process");
}

//! Peers that break the rules over real connections: each gets its typed refusal or is cut off, the server goes on, and the
//! round of honest devices beside them ends with the right sum.

use quinn::Connection;
use rand_core::Rng;
use sordino_client::quic::{self, Credentials, Error, Line, check_in};
use sordino_device::swarm::{CLIENT, Light, run};
use sordino_shared::control::{Ask, CheckIn, Code, Federation, Fetch, Reject, Step};
use sordino_shared::wire::{self, Kind};
use sordino_tests::rng;
use sordino_tests::trial::{self, Oracle, Trial, bare_server, join, one_round};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const DEVICES: usize = 12;

/// A connection without any of the client's manners.
async fn raw(endpoint: &quinn::Endpoint, federation: &Federation, credentials: Option<&Credentials>) -> Connection {
    let line = Line::new(endpoint, federation, credentials).expect("a line");
    line.raw().await.expect("a connection")
}

/// Sends these bytes as one request.
async fn send(connection: &Connection, bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    // A server that does not want them stops the stream: its answer comes all the same.
    let _ = send.write_all(bytes).await;
    let _ = send.finish();
    receive.read_to_end(1 << 20).await.ok()
}

async fn refusal(connection: &Connection, bytes: &[u8]) -> Option<Code> {
    let answer = send(connection, bytes).await?;
    (wire::kind_of(&answer) == Ok(Kind::Reject)).then(|| Reject::from_frame(&answer).expect("its own form").code)
}

fn check_in_frame() -> Vec<u8> {
    CheckIn::new("default", CLIENT).to_frame()
}

async fn stranger(trial: &Trial, federation: &Federation) -> (quinn::Endpoint, Light) {
    let vectors = Oracle::new(1).vectors();
    let (endpoint, mut devices) = trial.devices(federation, vectors).await;
    (endpoint, devices.pop().expect("a device"))
}

#[test]
fn each_fault_gets_its_refusal() {
    let trial = Trial::new(|config| config.limits.grace_seconds = 1);
    trial.task(&one_round(DEVICES));
    let oracle = Oracle::new(DEVICES);
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let (endpoint, liar) = stranger(&trial, &federation).await;
        // Without a certificate nothing but enrolment is heard.
        let nobody = raw(&endpoint, &federation, None).await;
        assert_eq!(refusal(&nobody, &check_in_frame()).await, Some(Code::NotEnrolled));
        let known = raw(&endpoint, &federation, Some(liar.credentials())).await;
        let changed = |at: usize, byte: u8| {
            let mut frame = check_in_frame();
            frame[at] = byte;
            frame
        };
        assert_eq!(refusal(&known, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, Some(Code::Malformed));
        assert_eq!(refusal(&known, &changed(4, 2)).await, Some(Code::Version), "a client of the next version");
        assert_eq!(refusal(&known, &changed(5, Kind::Roster as u8)).await, Some(Code::Malformed), "a server's message");
        assert_eq!(refusal(&known, &changed(5, 99)).await, Some(Code::Malformed));
        assert_eq!(refusal(&known, &changed(11, 0xff)).await, Some(Code::Limit), "a header of 4 GiB");
        assert_eq!(refusal(&known, &changed(15, 0x7f)).await, Some(Code::Limit), "a payload of 2 GiB");
        let unknown = Fetch { digest: [9; 32], offset: 0 }.to_frame();
        assert_eq!(refusal(&known, &unknown).await, Some(Code::UnknownModel));
        let elsewhere = Ask { context: [9; 32], step: Step::Roster }.to_frame();
        assert_eq!(refusal(&known, &elsewhere).await, Some(Code::UnknownRound));
        let other = CheckIn::new("others", CLIENT).to_frame();
        assert_eq!(refusal(&known, &other).await, Some(Code::Invalid));
        // Another device's keys, sent in one's own name, are not taken; nor is one's own message in another round.
        let (_, mut victim) = stranger(&trial, &federation).await;
        let line = Line::new(&endpoint, &federation, Some(victim.credentials())).expect("a line");
        let part = join(&line, &mut victim).await;
        assert_eq!(refusal(&known, &part.request()).await, Some(Code::Invalid), "a replay by somebody else");
        let mut moved = part.request();
        moved[16] ^= 1;
        assert_eq!(refusal(&known, &moved).await, Some(Code::UnknownRound), "a replay into another round");
        // A revoked device is refused within the time of the settings.
        let key = liar.credentials().identity.public().bytes();
        assert!(trial.authority().revoke(&key, "a liar", 0).expect("no fault"));
        let start = Instant::now();
        while refusal(&known, &check_in_frame()).await != Some(Code::Revoked) {
            assert!(start.elapsed() < Duration::from_secs(10), "it is still heard");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Whoever sends a byte a second is cut off, and holds nothing up.
        let slow = raw(&endpoint, &federation, Some(victim.credentials())).await;
        let (mut stream, _receive) = slow.open_bi().await.expect("a stream");
        stream.write_all(&check_in_frame()[..20]).await.expect("sent");
        let start = Instant::now();
        slow.closed().await;
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        // And honest devices are served as if nothing had been.
        let (endpoint, devices) = trial.devices(&federation, oracle.vectors()).await;
        let (seen, _) = watch::channel(None);
        run(&endpoint, &federation, devices, &seen).await.expect("it ends");
        let refused = server.hub().view().refused;
        for code in [Code::Malformed, Code::Version, Code::Limit, Code::NotEnrolled, Code::Revoked] {
            assert!(refused.contains_key(code.name()), "{refused:?}");
        }
        server.stop().await;
    });
    assert!(oracle.holds(&trial.store()));
}

#[test]
fn rubbish_beside_a_round_harms_nobody() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES));
    let oracle = Oracle::new(DEVICES);
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let (endpoint, devices) = trial.devices(&federation, oracle.vectors()).await;
        let (rubbish, liar) = stranger(&trial, &federation).await;
        let known = raw(&rubbish, &federation, Some(liar.credentials())).await;
        let flood = async {
            let mut chance = rng(4);
            for number in 0..2000u32 {
                let mut frame = check_in_frame();
                let at = chance.next_u32() as usize % frame.len();
                frame[at] ^= (chance.next_u32() as u8).max(1);
                frame.truncate(1 + chance.next_u32() as usize % 200);
                frame.extend((0..chance.next_u32() % 64).map(|_| number as u8));
                // Whatever comes back, the connection is still there.
                let _ = send(&known, &frame).await;
            }
            assert_eq!(known.close_reason(), None, "rubbish is answered, not punished");
        };
        let (seen, _) = watch::channel(None);
        let (result, ()) = tokio::join!(run(&endpoint, &federation, devices, &seen), flood);
        result.expect("it ends");
        server.stop().await;
    });
    assert!(oracle.holds(&trial.store()));
}

// An old device and a server of the next version, and a server that answers with another message than was asked for.
#[test]
fn a_device_says_what_it_does_not_understand() {
    let trial = Trial::new(|_| ());
    trial::run(async {
        let later = |frame: &[u8]| {
            let mut answer = frame.to_vec();
            answer[4] = 2;
            answer
        };
        for (answer, expected) in [
            (Box::new(later) as Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>, wire::Error::Version(2)),
            (Box::new(<[u8]>::to_vec), wire::Error::Unexpected(Kind::CheckIn as u8)),
            (Box::new(|_: &[u8]| b"HTTP/1.1 400 Bad Request".to_vec()), wire::Error::NoFrame),
        ] {
            let server = bare_server(&trial, answer);
            let federation = trial.federation(server.local_addr().expect("a port"));
            let endpoint = quic::endpoint().expect("a port");
            let line = Line::new(&endpoint, &federation, None).expect("a line");
            let asked = CheckIn::new("default", CLIENT);
            match check_in(&line, &asked).await.expect_err("no answer that it knows") {
                Error::Frame(error) => assert_eq!(error, expected),
                other => panic!("{other}"),
            }
        }
    });
}

// Under a flood of handshakes an address proves itself first; devices do, and are served.
#[test]
fn under_load_addresses_prove_themselves() {
    let trial = Trial::new(|config| config.limits.handshakes = 0);
    trial.task(&one_round(DEVICES));
    let oracle = Oracle::new(DEVICES);
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let (endpoint, devices) = trial.devices(&federation, oracle.vectors()).await;
        let (seen, _) = watch::channel(None);
        run(&endpoint, &federation, devices, &seen).await.expect("it ends");
        let hub = server.hub();
        let metrics = hub.metrics.text(&hub.view());
        let retries =
            metrics.lines().find_map(|line| line.strip_prefix("sordino_quic_handshakes_total{result=\"retry\"} "));
        let retries: usize = retries.expect("a line").parse().expect("a number");
        assert!(retries >= DEVICES, "{retries}");
        server.stop().await;
    });
    assert!(oracle.holds(&trial.store()));
}

// More connections than an address may have are refused, and room is given back.
#[test]
fn an_address_has_so_many_connections() {
    let trial = Trial::new(|config| config.limits.connections_per_address = 5);
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let endpoint = quic::endpoint().expect("a port");
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(raw(&endpoint, &federation, None).await);
        }
        let line = Line::new(&endpoint, &federation, None).expect("a line");
        assert!(line.raw().await.is_err(), "a sixth");
        held.pop().expect("one of them").close(0u32.into(), b"");
        let start = Instant::now();
        while line.raw().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "its room was not given back");
        }
        server.stop().await;
    });
}

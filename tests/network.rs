//! A network that loses, delays, doubles and reorders what goes through it: the round ends with the right sum all the same.

use rand_core::Rng;
use sordino_client::quic::{self, Line};
use sordino_device::swarm::run_over;
use sordino_shared::control::{Chunk, Code, Download, Fetch, MOST_CHUNK, Reject};
use sordino_shared::random::{below, unit_f64};
use sordino_shared::secagg::digest;
use sordino_tests::rng;
use sordino_tests::trial::{Oracle, Trial, bare_server, one_round, run};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;

const DEVICES: usize = 16;

/// What happens to datagrams.
#[derive(Clone, Copy)]
struct Faults {
    lost: f64,
    doubled: f64,
    delayed: f64,
    most_delay_ms: u64,
}

/// Between clients and a server; one socket towards the server for each client, as an address translator has.
async fn relay(server: SocketAddr, faults: Faults, seed: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a port"));
    let address = front.local_addr().expect("an address");
    let lost = Arc::new(AtomicU64::new(0));
    let counted = lost.clone();
    tokio::spawn(async move {
        let mut chance = rng(seed);
        let mut backs: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut buffer = vec![0; 65_536];
        while let Ok((length, client)) = front.recv_from(&mut buffer).await {
            let back = match backs.get(&client) {
                Some(back) => back.clone(),
                None => {
                    let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a port"));
                    back.connect(server).await.expect("loopback");
                    backs.insert(client, back.clone());
                    tokio::spawn(backwards(back.clone(), front.clone(), client, faults, seed + 1, counted.clone()));
                    back
                }
            };
            for (datagram, delay) in suffer(&buffer[..length], faults, &mut chance, &counted) {
                let back = back.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = back.send(&datagram).await;
                });
            }
        }
    });
    (address, lost)
}

async fn backwards(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    faults: Faults,
    seed: u64,
    lost: Arc<AtomicU64>,
) {
    let mut chance = rng(seed);
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = back.recv(&mut buffer).await {
        for (datagram, delay) in suffer(&buffer[..length], faults, &mut chance, &lost) {
            let front = front.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = front.send_to(&datagram, client).await;
            });
        }
    }
}

fn suffer(datagram: &[u8], faults: Faults, chance: &mut impl Rng, lost: &AtomicU64) -> Vec<(Vec<u8>, Duration)> {
    if unit_f64(chance) < faults.lost {
        lost.fetch_add(1, Ordering::Relaxed);
        return Vec::new();
    }
    let copies = 1 + usize::from(unit_f64(chance) < faults.doubled);
    (0..copies)
        .map(|_| {
            let late = unit_f64(chance) < faults.delayed;
            let delay = if late { below(chance, faults.most_delay_ms + 1) } else { 0 };
            (datagram.to_vec(), Duration::from_millis(delay))
        })
        .collect()
}

// A load that broke off goes on from where it was, also with another connection; what does not have its hash is let go.
#[test]
fn an_interrupted_load_goes_on() {
    let trial = Trial::new(|_| ());
    let whole: Vec<u8> = (0..MOST_CHUNK * 3 + 5).map(|at| (at / 7) as u8).collect();
    let download = Download { digest: digest(&whole), length: whole.len() as u64 };
    run(async {
        let offsets: Arc<Mutex<Vec<u64>>> = Arc::default();
        let serve = |breaks_at: u64, spoilt: bool| {
            let (mut bytes, offsets) = (whole.clone(), offsets.clone());
            bytes[MOST_CHUNK * 3] ^= u8::from(spoilt);
            bare_server(&trial, move |frame| {
                let fetch = Fetch::from_frame(frame).expect("a request");
                offsets.lock().expect("no panic").push(fetch.offset);
                if fetch.offset >= breaks_at {
                    return Reject::new(Code::UnknownModel, "gone").to_frame();
                }
                Chunk::of(&bytes, &fetch).to_frame()
            })
        };
        let line = |server: &quinn::Endpoint| {
            let federation = trial.federation(server.local_addr().expect("a port"));
            Line::new(&quic::endpoint().expect("a port"), &federation, None).expect("a line")
        };
        let mut loaded = Vec::new();
        let first = serve(MOST_CHUNK as u64 * 2, false);
        assert!(line(&first).fetch_into(&download, &mut loaded, 1 << 30).await.is_err());
        assert_eq!(loaded.len(), MOST_CHUNK * 2);
        let spoilt = serve(u64::MAX, true);
        let mut other = loaded.clone();
        let result = line(&spoilt).fetch_into(&download, &mut other, 1 << 30).await;
        assert!(matches!(result, Err(quic::Error::Hash)) && other.is_empty());
        offsets.lock().expect("no panic").clear();
        let second = serve(u64::MAX, false);
        line(&second).fetch_into(&download, &mut loaded, 1 << 30).await.expect("the rest");
        assert_eq!(*offsets.lock().expect("no panic"), [MOST_CHUNK as u64 * 2, MOST_CHUNK as u64 * 3]);
        assert_eq!(loaded, whole);
        // More than the device takes is not even asked for.
        assert!(line(&second).fetch(&download, 1000).await.is_err());
        assert_eq!(offsets.lock().expect("no panic").len(), 2);
    });
}

#[test]
fn a_bad_network_changes_nothing_but_the_time() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES));
    let oracle = Oracle::new(DEVICES);
    run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let (endpoint, devices) = trial.devices(&federation, oracle.vectors()).await;
        let faults = Faults { lost: 0.1, doubled: 0.05, delayed: 0.3, most_delay_ms: 40 };
        let (relay, lost) = relay(server.address().expect("a port"), faults, 5).await;
        let line =
            |credentials: &quic::Credentials| Ok(Line::new(&endpoint, &federation, Some(credentials))?.to(relay));
        let (seen, _) = watch::channel(None);
        run_over(devices, &seen, &federation.population, line).await.expect("it ends");
        assert!(lost.load(Ordering::Relaxed) > 20, "the network was bad");
        server.stop().await;
    });
    assert!(oracle.holds(&trial.store()));
}

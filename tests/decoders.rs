//! Every decoder on every frame of the test vectors, whole, cut, changed and mixed: refused or taken, never a panic.
//!
//! The same functions are fuzz targets (`tests/fuzz`), where a fuzzer looks for the bytes.

#[path = "fuzz/src/decoders.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets' crate has them public")]
mod decoders;

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use sordino_shared::control::{
    Announced, Ask, Assigned, CheckIn, Chunk, Code, Done, Download, Enrol, Enrolled, Fetch, PlanTerms, Receipt, Reject,
    Renew, RetryAfter, Step, Wait,
};
use sordino_shared::model::{Hyperparameters, Model, Ranker, Tower};
use sordino_shared::registry::{Root, sign_root};
use sordino_shared::secagg::messages::Offer;
use sordino_shared::secagg::{Certificate, Identity};
use sordino_shared::workload::{Broadcast, Popularity};
use std::collections::BTreeSet;

fn frames() -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/round.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors")).expect("JSON");
    let mut frames = Vec::new();
    collect(&vectors, &mut frames);
    assert!(frames.len() > 30, "every message is among them");
    frames.extend(around());
    frames
}

/// A frame of each message around a round, and what is loaded.
fn around() -> Vec<Vec<u8>> {
    let download = Download { digest: [4; 32], length: 99 };
    let plan = PlanTerms {
        cohort: 100,
        honest_fraction: 0.8,
        rho: 0.1,
        rotation_seed: 7,
        least_rotated: 1024,
        skellam: false,
    };
    let offer = Offer {
        task: "embeddings".into(),
        round: 3,
        plan: [1; 32],
        model: [2; 32],
        security_bits: 40,
        colluding: 0.1,
        dropping: 0.1,
        signature: [3; 64],
    };
    let certificate = Certificate { key: [1; 32], not_after: 5, signature: [2; 64] };
    vec![
        CheckIn { declines: vec!["rollout-spring".into()], ..CheckIn::new("phones", "1.0") }.to_frame(),
        Assigned {
            plan,
            broadcast: download,
            registry: Some(Announced { timestamp: download, roots: vec![download; 3] }),
            offer,
        }
        .to_frame(),
        RetryAfter { min_ms: 3, max_ms: 70_000, registry: None }.to_frame(),
        Fetch { digest: [4; 32], offset: 300 }.to_frame(),
        Chunk { digest: [4; 32], offset: 2, total: 5, bytes: b"abc" }.to_frame(),
        Receipt { context: [6; 32], digest: [7; 32] }.to_frame(),
        Ask { context: [6; 32], step: Step::Quorum }.to_frame(),
        Wait { after_ms: 200 }.to_frame(),
        Done { context: [6; 32] }.to_frame(),
        Enrol { token: [5; 32], request: vec![1, 2, 3], attestation: vec![4] }.to_frame(),
        Enrolled { certificate, x509: vec![7; 50] }.to_frame(),
        Renew { request: vec![9; 20] }.to_frame(),
        Reject::new(Code::Busy, "come again").to_frame(),
        Broadcast::Popularity(Popularity::new(30, Hyperparameters::default()).device().clone()).to_bytes(),
        Model::Popularity(vec![1.0, 0.5]).to_bytes(),
        Ranker::new(3, &[2], &mut ChaCha8Rng::seed_from_u64(1)).to_bytes(),
        Tower::new(&Array2::from_elem((4, 2), 0.5)).to_bytes(),
        root(),
    ]
}

/// A registry's root, signed by its one person.
fn root() -> Vec<u8> {
    let person = Identity::from_secret(&[1; 32].into());
    sign_root(&Root::of(1, &[person.public()], 1, &person.public(), 4_000_000_000_000), &[&person])
}

fn collect(value: &Value, frames: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.starts_with("5352444e") => {
            let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
            frames.push((0..text.len()).step_by(2).map(byte).collect());
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, frames)),
        Value::Object(map) => map.values().for_each(|value| collect(value, frames)),
        _ => {}
    }
}

/// The decoders that take these bytes.
fn all(bytes: &[u8]) -> Vec<&'static str> {
    decoders::ALL.iter().filter(|(_, decode)| decode(bytes)).map(|(name, _)| *name).collect()
}

#[test]
fn whole_and_cut_frames() {
    let mut takers = BTreeSet::new();
    for frame in frames() {
        let took = all(&frame);
        takers.extend(took.iter().copied());
        // A cut frame is nobody's.
        assert!((0..frame.len()).all(|length| all(&frame[..length]).is_empty()), "{took:?}");
    }
    // Each decoder has taken a frame that is its own; records, which no peer sends, are read back beside their code.
    takers.insert("record");
    let idle: Vec<&str> = decoders::ALL.iter().map(|(name, _)| *name).filter(|name| !takers.contains(name)).collect();
    assert!(idle.is_empty(), "{idle:?}");
}

#[test]
fn changed_and_mixed_frames() {
    let frames = frames();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..400_000 {
        let pick = |rng: &mut ChaCha8Rng, below: usize| rng.next_u32() as usize % below;
        let mut frame = frames[pick(&mut rng, frames.len())].clone();
        for _ in 0..1 + pick(&mut rng, 4) {
            let at = pick(&mut rng, frame.len().min(200));
            match pick(&mut rng, 5) {
                0 => frame[at] ^= 1 << pick(&mut rng, 8),
                1 => frame[at] = [0, 1, 0x7f, 0x80, 250, 251, 252, 253, 254, 255][pick(&mut rng, 10)],
                2 => drop(frame.drain(at..(at + 1 + pick(&mut rng, 40)).min(frame.len()))),
                3 => {
                    let other = &frames[pick(&mut rng, frames.len())];
                    frame.splice(at..at, other[..pick(&mut rng, other.len())].iter().copied());
                }
                // The lengths of the preamble, made to fit again.
                _ if frame.len() >= 16 => {
                    let header = u32::from_le_bytes([frame[8], frame[9], frame[10], frame[11]]) as usize;
                    let payload = (frame.len() - 16).saturating_sub(header) as u32;
                    frame[12..16].copy_from_slice(&payload.to_le_bytes());
                }
                _ => {}
            }
            if frame.is_empty() {
                break;
            }
        }
        let _ = all(&frame);
    }
}

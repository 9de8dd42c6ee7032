//! Every decoder on every frame of the test vectors, whole, cut, changed and mixed: refused or taken, never a panic.
//!
//! The same functions are fuzz targets (`tests/fuzz`), where a fuzzer looks for the bytes.

#[path = "fuzz/src/decoders.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets' crate has them public")]
mod decoders;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

fn frames() -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/round.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors")).expect("JSON");
    let mut frames = Vec::new();
    collect(&vectors, &mut frames);
    assert!(frames.len() > 30, "every message is among them");
    frames
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

fn all(bytes: &[u8]) {
    decoders::ALL.iter().for_each(|(_, decode)| decode(bytes));
}

#[test]
fn whole_and_cut_frames() {
    for frame in frames() {
        all(&frame);
        (0..frame.len()).for_each(|length| all(&frame[..length]));
    }
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
        all(&frame);
    }
}

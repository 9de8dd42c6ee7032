//! How fast a device's store records and reads 10,000 events, in milliseconds.
//!
//! `cargo run --release -p sordino-client --example store_speed`

use sordino_client::event::{EventKind, PlaybackEvent, Timestamp, TrackId};
use sordino_client::store::{Bounds, Keep, Store, Zeroizing};
use std::time::Instant;

const EVENTS: i64 = 10_000;
const TRIES: usize = 9;
const NOW: i64 = 1_700_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: Vec<PlaybackEvent> = (0..EVENTS)
        .map(|n| PlaybackEvent {
            event_id: n as u64 + 1,
            seconds_listened: Some(100.5),
            track_seconds: Some(200.0),
            ..PlaybackEvent::new(TrackId((n * 7 % 5000) as u32), Timestamp(NOW - n * 2_000_000), EventKind::Play)
        })
        .collect();
    let mut took: [Vec<f64>; 4] = Default::default();
    for _ in 0..TRIES {
        let folder = tempfile::tempdir()?;
        let mut store = Store::open(&folder.path().join("store"), &Zeroizing::new([1; 32]), Bounds::default())?;
        let mut timed = |place: usize, what: &mut dyn FnMut() -> Result<(), sordino_client::store::Error>| {
            let start = Instant::now();
            what()?;
            took[place].push(start.elapsed().as_secs_f64() * 1e3);
            Ok::<(), sordino_client::store::Error>(())
        };
        timed(0, &mut || store.record(&events, Timestamp(NOW), Keep::Good).map(|_| ()))?;
        timed(1, &mut || store.events().map(|all| assert_eq!(all.len(), events.len())))?;
        timed(2, &mut || store.record(&events, Timestamp(NOW), Keep::Good).map(|_| ()))?;
        timed(3, &mut || {
            for n in 0..100 {
                let event = PlaybackEvent::new(TrackId(n), Timestamp(NOW), EventKind::Like);
                store.record(&[event], Timestamp(NOW), Keep::Good)?;
            }
            Ok(())
        })?;
    }
    for (what, mut took) in ["record 10,000", "read 10,000", "record them again", "record 100 by one"].iter().zip(took)
    {
        took.sort_by(f64::total_cmp);
        println!("{what}: median {:.1}, least {:.1}", took[TRIES / 2], took[0]);
    }
    Ok(())
}

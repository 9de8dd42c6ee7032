//! What an application that embeds the device library writes: a host, a device, a token once,
//! events, visits, recommendations.
//!
//!     cargo run -p sordino-client --example embed -- federation.toml FOLDER [TOKEN]
//!
//! The first run takes the token that the operator made for this device; later ones find the device
//! as it was left. Run it as often as you like: the device keeps its key, enrols once, and keeps
//! each event once.
//!
//! `cargo build --profile device -p sordino-client --example embed` says how large the library is with QUIC, TLS and SQLite.

use sordino_client::device::Desk;
use sordino_client::prelude::*;
use std::path::{Path, PathBuf};

/// The phone, as its platform describes it.
struct Phone {
    // A phone keeps the secret where only this application can read it, and no backup goes: the key
    // chain of iOS (`kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly`), or a key of Android's key
    // store that seals it. A computer has neither: this one has a file that its owner alone can
    // read (0600), beside the device's folder.
    keys: Desk,
}

impl Host for Phone {
    // The platform's scheduler knows these three: `BGProcessingTask` of iOS with
    // `requiresExternalPower`, `Constraints` of Android's WorkManager. A computer on a desk is
    // always free.
    fn idle(&self) -> bool {
        self.keys.idle()
    }

    fn charging(&self) -> bool {
        self.keys.charging()
    }

    fn unmetered(&self) -> bool {
        self.keys.unmetered()
    }

    fn now(&self) -> i64 {
        self.keys.now()
    }

    fn load_secret(&self) -> Result<Option<Secret>, String> {
        self.keys.load_secret()
    }

    fn store_secret(&mut self, secret: &Secret) -> Result<(), String> {
        self.keys.store_secret(secret)
    }

    fn forget_secret(&mut self) -> Result<(), String> {
        self.keys.forget_secret()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (federation, folder, token) = match arguments.as_slice() {
        [federation, folder] => (federation, PathBuf::from(folder), None),
        [federation, folder, token] => (federation, PathBuf::from(folder), Some(token)),
        _ => return Err("embed FEDERATION.toml FOLDER [TOKEN]".into()),
    };
    // What the operator hands out goes into the application; nothing of it is secret.
    let federation = parse_federation(&std::fs::read_to_string(federation)?)?;
    let phone = Phone { keys: Desk::new(folder.with_extension("key")) };
    let now = phone.now();
    let mut device = Device::open(&folder, federation, Settings::default(), phone)?;
    // An update of the application that asks for more than the listener's phone allows goes on with
    // what it allows.
    if let Standing::Held { asked, .. } = device.standing() {
        println!("the settings ask for {asked}: ask the listener, then `rebase`");
    }

    // What was listened to, with the ids that the player gives: an event that comes twice is kept
    // once.
    let recorded = device.record(&history(now))?;
    println!("{} events kept, {} known already", recorded.kept, recorded.known);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoint = endpoint()?;
        if device.enrolled().is_none() {
            let token = token.and_then(|token| from_hexadecimal(token)).ok_or("a new device needs a token")?;
            // With what the platform says about the device (App Attest, Play Integrity), where the
            // operator asks for it.
            enrol_device(&mut device, &endpoint, token, Vec::new()).await?;
            println!("enrolled");
        }
        match visit_once(&mut device, &endpoint, "embed 1.0").await? {
            Visited::Done { task, round, .. } => println!("took part in round {round} of '{task}'"),
            Visited::Later(wait, why) => println!("{why}; again in {} s", wait.as_secs()),
        }
        endpoint.wait_idle().await;
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;

    match device.recommend(5) {
        Ok(list) => list.iter().for_each(|(track, score)| println!("play track {} ({score:.3})", track.0)),
        // Rank as the application does without a model, until one has come.
        Err(error) => println!("{error}"),
    }
    println!("{}", device.ledger());
    show(&folder);
    Ok(())
}

/// Three evenings: what a player knows at the end of each track.
fn history(now: i64) -> Vec<PlaybackEvent> {
    let day = 24 * 3_600_000;
    // The player's own times, which do not change from one start to the next: here those of
    // yesterday's midnight.
    let evening = now - now.rem_euclid(day) - day;
    let played = |number: u32, listened: f32| PlaybackEvent {
        event_id: PlaybackEvent::id_of(&format!("{}-{number}", evening / day)),
        seconds_listened: Some(listened),
        track_seconds: Some(200.0),
        context: Context::Playlist,
        ..PlaybackEvent::new(
            TrackId(number),
            Timestamp(evening - i64::from(number) * 240_000),
            if listened < 30.0 { EventKind::Skip } else { EventKind::Play },
        )
    };
    vec![played(0, 200.0), played(1, 12.0), played(2, 190.0), played(3, 200.0)]
}

fn show(folder: &Path) {
    println!("all of it is in {}", folder.display());
}

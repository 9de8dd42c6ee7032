//! What an application that embeds the device library writes: a host, a device, events, visits, recommendations.
//!
//! `cargo build --profile device -p sordino-client --example embed` says how large the library is with QUIC, TLS and SQLite.

use sordino_client::device::{Device, Host, Secret, Settings};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use sordino_client::quic::{endpoint, visit_once};
use sordino_shared::ids::TrackId;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The phone, as its platform describes it.
struct Phone {
    secret: Option<Secret>,
}

impl Host for Phone {
    fn idle(&self) -> bool {
        true
    }

    fn charging(&self) -> bool {
        true
    }

    fn unmetered(&self) -> bool {
        true
    }

    fn now(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
    }

    // The platform's key storage; here it lasts as long as the process.
    fn load_secret(&self) -> Result<Option<Secret>, String> {
        Ok(self.secret.clone())
    }

    fn store_secret(&mut self, secret: &Secret) -> Result<(), String> {
        self.secret = Some(secret.clone());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, federation, folder] = arguments.as_slice() else {
        println!("embed FEDERATION.toml FOLDER");
        return Ok(());
    };
    let federation = toml::from_str(&std::fs::read_to_string(federation)?)?;
    let phone = Phone { secret: None };
    let now = Timestamp(phone.now());
    let mut device = Device::open(Path::new(folder), federation, Settings::default(), phone)?;
    device.record(&[PlaybackEvent::new(TrackId(3), now, EventKind::Like)])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let visited = runtime.block_on(async { visit_once(&mut device, &endpoint()?, "embed 1.0").await });
    println!("{visited:?}");
    println!("{:?}", device.recommend(10));
    Ok(())
}

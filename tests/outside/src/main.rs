//! An application outside the workspace: it embeds a device, and names every type of other crates
//! that a public signature of `sordino-client` holds. That it compiles is the test;
//! `tests/outside.rs` holds its names against the signatures.

use sordino_client::device::{Desk, pretend_federation};
use sordino_client::prelude::*;
use std::path::Path;

/// What an application's own functions and fields have to say.
mod named {
    pub(crate) use sordino_client::label::TomlError;
    pub(crate) use sordino_client::quic::{Connection, Endpoint};
    pub(crate) use sordino_client::shared::control::{
        Announced, Assigned, CheckIn, Download, Enrolled, Federation, Reject, RetryAfter, Step,
    };
    pub(crate) use sordino_client::shared::evaluate::Habits;
    pub(crate) use sordino_client::shared::ids::TrackId;
    pub(crate) use sordino_client::shared::model::{EmbeddingModel, Example, Model, PlayBands, Shown, Solver};
    pub(crate) use sordino_client::shared::plan::RoundPlan;
    pub(crate) use sordino_client::shared::privacy::ledger::{Balance, History, Ledger, Policy, Refusal};
    pub(crate) use sordino_client::shared::privacy::{DeviceGenerator, NoiseError, Noised, Samplers};
    pub(crate) use sordino_client::shared::registry::{Choice, Freshness, Probe, Trusted, VersionInfo};
    pub(crate) use sordino_client::shared::secagg::device::{
        Advertised, Joining, Member, Ready, RecordError, Refusal as RoundRefusal, Shared, Unsaved, Uploaded,
    };
    pub(crate) use sordino_client::shared::secagg::messages::{Advertisement, Roster, Shares, Upload};
    pub(crate) use sordino_client::shared::secagg::{Hash, Identity};
    pub(crate) use sordino_client::shared::wire::Kind;
    pub(crate) use sordino_client::shared::workload::{Broadcast, Counted, Device, DeviceHalf, Shrinkage};
    pub(crate) use sordino_client::store::{DatabaseError, Zeroizing};
}

// Named once each; a name that is brought in and not used would be a warning.
type Names<'a> = (
    (named::TomlError, named::Connection, named::Endpoint, named::DatabaseError, named::Zeroizing<[u8; 32]>),
    (named::Announced, named::Assigned, named::CheckIn, named::Download, named::Enrolled, named::Federation),
    (named::Reject, named::RetryAfter, named::Step, named::Habits, named::TrackId, named::EmbeddingModel),
    (named::Example, named::Model, named::PlayBands, named::Shown, named::Solver, named::RoundPlan),
    (
        named::Balance,
        named::History,
        named::Ledger,
        named::Policy,
        named::Refusal,
        named::DeviceGenerator,
        named::NoiseError,
    ),
    (named::Noised, named::Samplers, named::Choice, named::Freshness, named::Probe, named::Trusted),
    (named::VersionInfo, named::Advertised, named::Joining<'a>, named::Member<'a>, named::Ready, named::RecordError),
    (named::RoundRefusal, named::Shared, named::Unsaved<named::Uploaded, named::Upload>, named::Advertisement),
    (named::Roster, named::Shares, named::Hash, named::Identity, named::Kind, named::Broadcast, named::Counted),
    (named::Device<'a>, named::Shrinkage),
);

fn bytes_of<T: named::DeviceHalf>() -> usize {
    std::mem::size_of::<T>()
}

/// What an application holds on to.
struct Jukebox {
    device: Device<Desk>,
    endpoint: Option<Endpoint>,
    recorded: Recorded,
    best: Vec<(TrackId, f32)>,
}

impl Jukebox {
    fn open(folder: &Path, federation: Federation) -> Result<Self, sordino_client::device::Error> {
        let settings = Settings { ledger: Policy::new(2.0, 1e-6), bounds: Bounds::default(), ..Settings::default() };
        let device = Device::open(folder, federation, settings, Desk::new(folder.join("secret.key")))?;
        Ok(Self { device, endpoint: None, recorded: Recorded::default(), best: Vec::new() })
    }

    fn listen(&mut self, track: TrackId, now: i64) -> Result<Option<Refused>, sordino_client::device::Error> {
        let event = PlaybackEvent {
            context: Context::Album,
            reason_end: Reason::TrackDone,
            ..PlaybackEvent::new(track, Timestamp(now), EventKind::Play)
        };
        self.recorded = self.device.record(&[event])?;
        Ok(self.recorded.refused.first().map(|(_, why)| *why))
    }

    async fn visit(&mut self, token: &str) -> Result<Visited, sordino_client::quic::Error> {
        let endpoint = self.endpoint.get_or_insert(endpoint()?).clone();
        if self.device.enrolled().is_none() {
            enrol_device(&mut self.device, &endpoint, from_hexadecimal(token).unwrap_or_default(), Vec::new()).await?;
        }
        let visited = visit_once(&mut self.device, &endpoint, "jukebox 1.0").await?;
        self.best = self.device.recommend(10)?;
        Ok(visited)
    }

    fn balance(&self) -> (Balance, bool) {
        (self.device.balance(), matches!(self.device.standing(), Standing::Held { .. }))
    }
}

fn main() {
    let folder = std::env::temp_dir().join("sordino-outside");
    let mut jukebox = Jukebox::open(&folder, pretend_federation()).expect("a device");
    let refused = jukebox.listen(TrackId(3), jukebox.device.budget().budget.epsilon as i64).expect("a store");
    // A future that is not driven: an application brings a runtime of its own.
    drop(jukebox.visit(&hexadecimal(&[0; 32])));
    println!("{refused:?} {:?} {} {}", jukebox.balance(), jukebox.best.len(), std::mem::size_of::<Option<Box<Names<'_>>>>());
    println!("{}", bytes_of::<named::Broadcast>());
}

//! A device: what an application embeds. It records events, takes part in rounds when the host allows it, and recommends.
//!
//! One process at a time has a device open ([`Device::open`]): it visits, pays and sends. Others
//! may open it beside that one ([`Device::open_beside`]) to record, recommend, export and show what
//! was spent.

mod budget;
mod clock;
mod day;
mod error;
mod files;
mod host;
#[cfg(test)]
mod office;
mod open;
mod pretend;
#[cfg(test)]
mod tests;
mod versions;

pub use budget::Standing;
pub use error::Error;
pub use files::write_whole;
pub use host::{Desk, Host, Secret};
pub use open::parse_federation;
pub use pretend::{Pretend, pretend_federation};

use crate::event::{EventKind, PlaybackEvent, Timestamp};
use crate::example::examples;
use crate::holdout::{Holdout, Split};
use crate::label::{LabelPolicy, label};
use crate::part::{self, Participant, Round};
use crate::participation;
use crate::quality::{BotVerdict, Checks, check};
use crate::retrieval::Recommender;
use crate::store::{self, Bounds, Keep, Recorded, Refused, Store};
use budget::Purse;
use clock::TIMES;
use sordino_shared::control::{Enrolled, Federation, from_hexadecimal};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Example;
use sordino_shared::privacy::ledger::{self, Balance};
use sordino_shared::registry::Freshness;
use sordino_shared::rollout::Cells;
use sordino_shared::secagg::device::{Member, Policy, Ready, Unsaved, Uploaded};
use sordino_shared::secagg::messages::Upload;
use sordino_shared::secagg::{Hash, Identity};
use sordino_shared::workload::{self, Broadcast};
use versions::{REGISTRY, VERSIONS};
use zeroize::Zeroizing;

/// What an application decides.
///
/// ```
/// use sordino_client::prelude::*;
/// // Two units of epsilon in the device's life, one training a week.
/// let settings = Settings { ledger: Policy::new(2.0, 1e-6), least_hours: 7 * 24, ..Settings::default() };
/// # assert_eq!(settings.least_survivors, 8);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may be spent. A device whose ledger allows less goes on with that: [`Device::standing`]
    /// says so.
    pub ledger: ledger::Policy,
    /// The fewest devices whose sum may be opened.
    pub least_survivors: u32,
    /// How much is kept.
    pub bounds: Bounds,
    /// Which events say what.
    pub labels: LabelPolicy,
    /// The least time from one training to the next, in hours.
    pub least_hours: u32,
}

impl Default for Settings {
    /// Epsilon 4 at delta 1e-6, 8 survivors, the default bounds and labels, at most one training a day.
    fn default() -> Self {
        Self {
            ledger: ledger::Policy::new(4.0, 1e-6),
            least_survivors: 8,
            bounds: Bounds::default(),
            labels: LabelPolicy::default(),
            least_hours: 24,
        }
    }
}

/// A device with its folder: open it, record what is listened to, let it visit its coordinator, and
/// ask it what to play.
pub struct Device<H> {
    host: H,
    settings: Settings,
    federation: Federation,
    identity: Identity,
    enrolled: Option<Enrolled>,
    policy: Policy,
    store: Store,
    purse: Purse,
    standing: Standing,
}

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Events.
    pub events: usize,
    /// Versions of the model.
    pub versions: usize,
}

/// What a device learns from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learning {
    /// What trains, ascending by track.
    pub train: Vec<Example>,
    /// What models are compared on.
    pub held_out: Vec<TrackId>,
    /// Why nothing is learnt from this device, where its events look made by a machine. It takes part as others do, with zeros.
    pub withheld: Option<String>,
}

impl<H: Host> Device<H> {
    /// Records events, durably: each once, however often and in whatever order they come, also
    /// after a crash. Those that can never count are refused, and the others kept.
    ///
    /// ```
    /// # use sordino_client::device::{Pretend, pretend_federation};
    /// use sordino_client::prelude::*;
    /// # let (folder, phone) = (tempfile::tempdir().unwrap(), Pretend::default());
    /// # let now = phone.now();
    /// # let mut device = Device::open(folder.path(), pretend_federation(), Settings::default(), phone)?;
    /// let liked = PlaybackEvent::new(TrackId(17), Timestamp(now), EventKind::Like);
    /// // A time in seconds, where milliseconds are meant.
    /// let wrong = PlaybackEvent::new(TrackId(18), Timestamp(now / 1000), EventKind::Like);
    /// let recorded = device.record(&[liked, wrong])?;
    /// assert_eq!((recorded.kept, recorded.refused.len()), (1, 1));
    /// assert_eq!(recorded.refused[0].1.to_string(), "its time is before 1990: times are in milliseconds since 1970");
    /// assert_eq!(device.record(&[liked])?.known, 1);
    /// # Ok::<(), sordino_client::device::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`enum@Error`]; then none was recorded.
    pub fn record(&mut self, events: &[PlaybackEvent]) -> Result<Recorded, Error> {
        Ok(self.store.record(events, Timestamp(self.host.now()), Keep::Good)?)
    }

    /// Records all of the events or, where one of them is refused, none.
    ///
    /// # Errors
    /// [`enum@Error`]; then none was recorded.
    pub fn record_all_or_none(&mut self, events: &[PlaybackEvent]) -> Result<Recorded, Error> {
        Ok(self.store.record(events, Timestamp(self.host.now()), Keep::AllOrNone)?)
    }

    /// Which of these events would be refused now, and why. None is recorded.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn refusals(&mut self, events: &[PlaybackEvent]) -> Result<Vec<(usize, Refused)>, Error> {
        // One that can never count goes along, so that in any case none is kept.
        let never = PlaybackEvent::new(TrackId(0), Timestamp(0), EventKind::Play);
        let mut refused = self.record_all_or_none(&[events, &[never]].concat())?.refused;
        refused.retain(|(place, _)| *place < events.len());
        Ok(refused)
    }

    /// Everything that was recorded, for the listener to take along.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn export(&self) -> Result<Vec<PlaybackEvent>, Error> {
        Ok(self.store.events()?)
    }

    /// Erases what was recorded and the models, and says how much that was. What the registry said
    /// last stays known, and the time, so that nothing older is believed. What was spent stays
    /// spent, so the ledger stays: also what was said of a rollout is not said again.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn erase(&mut self) -> Result<Erased, Error> {
        self.alone()?;
        let versions = self.forget_versions()?;
        let events = self.store.erase(&KEPT)?;
        Ok(Erased { events, versions })
    }

    /// What has been spent, and what is left.
    pub fn balance(&self) -> Balance {
        self.purse.history().balance()
    }

    /// What was spent and what for, and each change of the budget with its reason, in words for the
    /// listener.
    ///
    /// ```
    /// # use sordino_client::device::{Pretend, pretend_federation};
    /// use sordino_client::prelude::*;
    /// # let (folder, phone) = (tempfile::tempdir().unwrap(), Pretend::default());
    /// # let device = Device::open(folder.path(), pretend_federation(), Settings::default(), phone)?;
    /// assert!(device.ledger().starts_with("Nothing has been sent so far."));
    /// # Ok::<(), sordino_client::device::Error>(())
    /// ```
    pub fn ledger(&self) -> String {
        self.purse.history().in_words()
    }

    /// The best tracks for this listener now, of those that the model knows and the listener does not. In a rollout the device notes the list and
    /// the time that it took.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::SwitchedOff`].
    pub fn recommend(&mut self, most: usize) -> Result<Vec<(TrackId, f32)>, Error> {
        let start = self.host.now();
        let heard: std::collections::BTreeSet<TrackId> = self.store.events()?.iter().map(|event| event.track).collect();
        let list = self.recommender()?.top(most, |track| !heard.contains(&track));
        self.served(&list, self.host.now().saturating_sub(start))?;
        Ok(list)
    }

    /// The model with its index, for as many lists as the host likes. It knows what was recorded until now.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::SwitchedOff`].
    pub fn recommender(&self) -> Result<Recommender, Error> {
        let model = self.model()?.ok_or_else(|| self.no_model())?;
        let learning = self.learning(model.tracks())?;
        Ok(Recommender::new(model, &learning.train))
    }

    /// What the device learns from, in a catalogue of so many tracks.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn learning(&self, tracks: usize) -> Result<Learning, Error> {
        // Whether a machine is at work is told by all that was recorded: by what a catalogue has of it, whoever chooses the
        // catalogue could ask for each track in turn.
        let checks = Checks { tracks: usize::MAX, now: Timestamp(self.host.now()), dated: true };
        let (mut valid, _) = check(self.store.events()?, &checks);
        if let Some((rule, _)) = BotVerdict::of(&valid).broken.first() {
            return Ok(Learning { withheld: Some(format!("{rule:?}")), ..Learning::default() });
        }
        valid.retain(|valid| valid.event().track.row() < tracks);
        let labelled = examples(&label(&valid, &self.settings.labels), &self.settings.labels);
        // The device's own salt: nobody else can tell which tracks are held out.
        let salt = u64::from_le_bytes(self.salt());
        let Split { train, validation, .. } = Holdout::LeaveOneOut { dated: true }.split(&labelled, salt);
        Ok(Learning { train, held_out: validation, withheld: None })
    }

    /// Whether the host lets the device take part now; else what is in the way.
    pub fn may_take_part(&self) -> Result<(), &'static str> {
        let conditions = [
            (matches!(self.purse, Purse::Open(_)), "another process has the device and takes part for it"),
            (!matches!(self.standing, Standing::Paused { .. }), "the budget of the settings cannot be kept"),
            (self.host.idle(), "the device is in use"),
            (self.host.charging(), "the device is not being charged"),
            (self.host.unmetered(), "the network is metered"),
        ];
        conditions.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, reason)| Err(reason))
    }

    /// The device's key pair.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its certificate, if it is enrolled.
    pub fn enrolled(&self) -> Option<&Enrolled> {
        self.enrolled.as_ref()
    }

    /// Takes a certificate.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn set_enrolled(&mut self, enrolled: Enrolled) -> Result<(), Error> {
        self.alone()?;
        self.store.put(ENROLLED, &enrolled.to_frame())?;
        self.enrolled = Some(enrolled);
        Ok(())
    }

    /// What the application decided at the opening, and by [`Self::rebase`] since.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The federation that it belongs to.
    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// The hash of the model that it ranks with.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn model_digest(&self) -> Result<Option<Hash>, Error> {
        let versions = self.versions()?;
        Ok(versions.current().and_then(|kept| from_hexadecimal(&kept.sha256)))
    }

    /// What was loaded, or a part of it, the last time that something with this hash was.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn loaded(&self, digest: &Hash) -> Result<Vec<u8>, Error> {
        let kept = self.store.get(LOADED)?;
        Ok(kept.and_then(|kept| kept.strip_prefix(digest).map(<[u8]>::to_vec)).unwrap_or_default())
    }

    /// Keeps what was loaded of something with this hash, in the place of what was loaded before.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn keep_loaded(&mut self, digest: &Hash, bytes: &[u8]) -> Result<(), Error> {
        self.alone()?;
        Ok(self.store.put(LOADED, &[digest, bytes].concat())?)
    }

    /// Records of rounds that a restart interrupted.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn records(&self) -> Result<Vec<store::Record>, Error> {
        Ok(self.store.records()?)
    }

    /// Whether this process may visit: no other has the device open.
    ///
    /// # Errors
    /// [`Error::Beside`] where it was opened beside another.
    pub fn alone(&self) -> Result<(), Error> {
        match self.purse {
            Purse::Open(_) => Ok(()),
            Purse::Beside(_) => Err(Error::Beside),
        }
    }

    /// How long it has to wait until its next training, in milliseconds. A clock that was ahead at
    /// the last one and is right now costs no more than one whole wait, from now on.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn rest(&mut self) -> Result<i64, Error> {
        let last =
            self.store.get(LAST_TRAINING)?.and_then(|bytes| bytes.as_slice().try_into().ok().map(i64::from_le_bytes));
        let (now, least) = (self.host.now(), i64::from(self.settings.least_hours) * 3_600_000);
        let Some(last) = last else { return Ok(0) };
        if last > now && self.alone().is_ok() {
            self.store.put(LAST_TRAINING, &now.to_le_bytes())?;
        }
        Ok(last.min(now).saturating_add(least).saturating_sub(now).max(0))
    }

    fn salt(&self) -> [u8; 8] {
        let mut secret = Zeroizing::new(b"sordino holdout salt v1".to_vec());
        secret.extend_from_slice(self.identity.secret().as_slice());
        let mut salt = [0; 8];
        salt.copy_from_slice(&sordino_shared::secagg::digest(&secret)[..8]);
        salt
    }
}

impl<H: Host> Participant for Device<H> {
    fn member(&self) -> Member<'_> {
        let enrolled = self.enrolled.as_ref().expect("only an enrolled device is taken on");
        Member { identity: &self.identity, certificate: &enrolled.certificate }
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn now(&self) -> i64 {
        self.host.now()
    }

    fn would_pay(&self, round: &Round) -> Result<(), part::Error> {
        let refused = |refusal| participation::Error::Ledger(ledger::Error::Refused(refusal));
        Ok(round.invitation().check(self.purse.history()).map_err(refused)?)
    }

    fn steady_ms(&self) -> u64 {
        STEADY_MS
    }

    fn upload(&mut self, round: &Round, ready: Ready) -> Result<Unsaved<Uploaded, Upload>, part::Error> {
        let store = |error: Error| part::Error::Store(error.to_string());
        // Whether the device is in use was asked at the check-in and is not asked again: who leaves here tells that a listener
        // has come back, and little is left to do. A network that costs by volume is no matter of listening.
        if !self.host.unmetered() {
            return Err(part::Error::Interrupted("the network is metered now"));
        }
        if self.freshness().map_err(store)? == Freshness::Frozen {
            return Err(part::Error::Interrupted("the registry's word has been out of date for a week"));
        }
        let (mut learning, mut rollout) = (Learning::default(), Cells::default());
        match &round.broadcast {
            Broadcast::Rollout(metrics) => rollout = self.cells(metrics)?,
            broadcast => learning = self.learning(broadcast.tracks()).map_err(store)?,
        }
        // Where a machine is at work there is nothing to learn from, and zeros go out, paid for and noised: nobody but the
        // device knows.
        let Learning { train, held_out, .. } = &learning;
        let mut workspace = workload::Workspace::default();
        let device = workload::Device { examples: train, held_out, rollout, ..workspace.device() };
        let now = self.host.now();
        let ledger = self.purse.open_ledger().map_err(store)?;
        let upload = round.invitation().accept_masked(&round.broadcast, device, ledger, now, ready, &self.identity)?;
        // A rollout's round is no training, and asks for no rest.
        if !matches!(round.broadcast, Broadcast::Rollout(_)) {
            self.store.put(LAST_TRAINING, &now.to_le_bytes()).map_err(|error| store(error.into()))?;
        }
        Ok(upload)
    }

    fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), part::Error> {
        // A round goes on in one process alone: two of them could sign two sets of survivors.
        self.alone().map_err(|error| part::Error::Store(error.to_string()))?;
        self.store.save(context, record).map_err(|error| part::Error::Store(error.to_string()))
    }

    fn forget(&mut self, context: &Hash) -> Result<(), part::Error> {
        self.alone().map_err(|error| part::Error::Store(error.to_string()))?;
        self.store.forget(context).map_err(|error| part::Error::Store(error.to_string()))
    }
}

// Longer than it takes a phone to read and weigh as many events as are kept, to pay and to draw its noise.
pub(crate) const STEADY_MS: u64 = 1000;
// What the listener cannot erase: who the device is, and what keeps others from showing it the past again. None of it says anything of
// what was listened to.
const KEPT: [&str; 5] = [ENROLLED, LAST_TRAINING, VERSIONS, REGISTRY, TIMES];
const ENROLLED: &str = "enrolled";
const LOADED: &str = "loaded";
const LAST_TRAINING: &str = "last-training";

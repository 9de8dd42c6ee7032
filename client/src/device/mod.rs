//! A device: what an application embeds. It records events, takes part in rounds when the host allows it, and recommends.

mod day;
mod versions;

use crate::event::{PlaybackEvent, Timestamp};
use crate::example::examples;
use crate::holdout::{Holdout, Split};
use crate::label::{LabelPolicy, label};
use crate::masks;
use crate::part::{self, Participant, Round};
use crate::participation::Invitation;
use crate::quality::{BotVerdict, Checks, check};
use crate::retrieval::Recommender;
use crate::store::{self, Bounds, Store};
use crate::train::Randomness;
use sordino_shared::control::{Enrolled, Federation, from_hexadecimal};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Example;
use sordino_shared::privacy::ledger::{self, Balance, Ledger};
use sordino_shared::rollout::Cells;
use sordino_shared::secagg::device::{Member, Policy, Ready, Unsaved, Uploaded};
use sordino_shared::secagg::messages::Upload;
use sordino_shared::secagg::{Hash, Identity};
use sordino_shared::workload::{self, Broadcast};
use std::path::{Path, PathBuf};
use thiserror::Error;
use versions::{REGISTRY, VERSIONS};
use zeroize::Zeroizing;

/// A device's secret; wiped on drop.
pub type Secret = Zeroizing<[u8; 32]>;

/// What the application and its platform give.
pub trait Host: Send {
    /// Whether nobody uses the device now.
    fn idle(&self) -> bool;

    /// Whether it is being charged.
    fn charging(&self) -> bool;

    /// Whether the network costs nothing by volume.
    fn unmetered(&self) -> bool;

    /// The time, in milliseconds since 1970.
    fn now(&self) -> i64;

    /// The group that the application puts the device in, such as its testers, if any: an operator may pin a group to a version.
    fn group(&self) -> Option<String> {
        None
    }

    /// The device's secret from the platform's key storage, if it was put there.
    ///
    /// # Errors
    /// A sentence, where the storage cannot be read: then nothing is made anew.
    fn load_secret(&self) -> Result<Option<Secret>, String>;

    /// Puts the device's secret into the platform's key storage, once.
    ///
    /// # Errors
    /// A sentence.
    fn store_secret(&mut self, secret: &Secret) -> Result<(), String>;
}

/// What an application decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may be spent.
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

/// Why a device cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's key storage.
    #[error("the platform's key storage failed: {0}")]
    Keys(String),
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Randomness,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The folder.
    #[error("{path}: {fault}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// It has no certificate.
    #[error("this device is not enrolled: enrol it with a token")]
    NotEnrolled,
    /// There is no model yet.
    #[error("there is no model yet: let the device visit its coordinator first")]
    NoModel,
    /// The operator has switched learnt models off.
    #[error("the operator has switched learnt models off: rank as the application does without one")]
    SwitchedOff,
    /// The registry is not believed.
    #[error(transparent)]
    Registry(#[from] sordino_shared::registry::Error),
    /// What was kept cannot be read.
    #[error("what the device has kept cannot be read: {0}")]
    Kept(String),
}

/// A device with its folder.
pub struct Device<H> {
    host: H,
    settings: Settings,
    federation: Federation,
    identity: Identity,
    enrolled: Option<Enrolled>,
    policy: Policy,
    store: Store,
    ledger: Ledger,
}

/// What a device learns from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learning {
    /// What trains, ascending by track.
    pub train: Vec<Example>,
    /// What models are compared on.
    pub held_out: Vec<TrackId>,
    /// Why the device keeps its vectors to itself, where its events look made by a machine.
    pub withheld: Option<String>,
}

impl<H: Host> Device<H> {
    /// Opens the device in its folder, or makes it there: key, store and ledger.
    ///
    /// # Errors
    /// [`enum@Error`]. A device whose key or ledger was lost does not begin afresh by itself.
    pub fn open(folder: &Path, federation: Federation, settings: Settings, mut host: H) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|fault| Error::Folder { path: folder.to_owned(), fault })?;
        let (store_path, ledger_path) = (folder.join("store.sqlite"), folder.join("ledger"));
        let secret = match host.load_secret().map_err(Error::Keys)? {
            Some(secret) => secret,
            None if store_path.exists() => {
                return Err(Error::Keys(
                    "the device's secret is gone, but its store is not: erase the folder".to_owned(),
                ));
            }
            None => {
                let mut randomness = Randomness::from_operating_system().map_err(|_| Error::Randomness)?;
                let secret = masks::identity(&mut randomness).secret();
                host.store_secret(&secret).map_err(Error::Keys)?;
                secret
            }
        };
        let mut store = Store::open(&store_path, &secret, settings.bounds)?;
        let ledger = if store.get(HAS_LEDGER)?.is_some() {
            Ledger::open(&ledger_path, &settings.ledger)?
        } else {
            let ledger = Ledger::create(&ledger_path, settings.ledger.clone(), host.now())?;
            store.put(HAS_LEDGER, b"")?;
            ledger
        };
        let enrolled = store.get(ENROLLED)?.map(|frame| Enrolled::from_frame(&frame));
        let enrolled = enrolled.transpose().map_err(|error| Error::Kept(error.to_string()))?;
        let policy = Policy {
            least_survivors: settings.least_survivors,
            ..Policy::new(federation.authority.0.clone(), federation.operator.0.clone())
        };
        let identity = Identity::from_secret(&secret);
        Ok(Self { host, settings, federation, identity, enrolled, policy, store, ledger })
    }

    /// Records events, durably.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn record(&mut self, events: &[PlaybackEvent]) -> Result<(), Error> {
        Ok(self.store.record(events, Timestamp(self.host.now()))?)
    }

    /// Everything that was recorded, for the listener to take along.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn export(&self) -> Result<Vec<PlaybackEvent>, Error> {
        Ok(self.store.events()?)
    }

    /// Erases what was recorded and the models. What the registry said last stays known, so that nothing older is believed. What was spent
    /// stays spent, so the ledger stays.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn erase(&mut self) -> Result<(), Error> {
        self.forget_versions()?;
        Ok(self.store.erase(&[HAS_LEDGER, ENROLLED, LAST_TRAINING, VERSIONS, REGISTRY])?)
    }

    /// What has been spent, and what is left.
    pub fn balance(&self) -> Balance {
        self.ledger.balance()
    }

    /// The ledger in words.
    pub fn ledger(&self) -> String {
        self.ledger.in_words()
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
        let checks = Checks { tracks, now: Timestamp(self.host.now()), dated: true };
        let (valid, _) = check(self.store.events()?, &checks);
        if let Some((rule, _)) = BotVerdict::of(&valid).broken.first() {
            return Ok(Learning { withheld: Some(format!("{rule:?}")), ..Learning::default() });
        }
        let labelled = examples(&label(&valid, &self.settings.labels), &self.settings.labels);
        // The device's own salt: nobody else can tell which tracks are held out.
        let salt = u64::from_le_bytes(self.salt());
        let Split { train, validation, .. } = Holdout::LeaveOneOut { dated: true }.split(&labelled, salt);
        Ok(Learning { train, held_out: validation, withheld: None })
    }

    /// Whether the host lets the device take part now; else what is in the way.
    pub fn may_take_part(&self) -> Result<(), &'static str> {
        let conditions = [
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
        self.store.put(ENROLLED, &enrolled.to_frame())?;
        self.enrolled = Some(enrolled);
        Ok(())
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
        Ok(self.store.put(LOADED, &[digest, bytes].concat())?)
    }

    /// Records of rounds that a restart interrupted.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn records(&self) -> Result<Vec<store::Record>, Error> {
        Ok(self.store.records()?)
    }

    /// How long it has to wait until its next training, in milliseconds.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn rest(&self) -> Result<i64, Error> {
        let last =
            self.store.get(LAST_TRAINING)?.and_then(|bytes| bytes.as_slice().try_into().ok().map(i64::from_le_bytes));
        let least = i64::from(self.settings.least_hours) * 3_600_000;
        Ok(last.map_or(0, |last| (last.saturating_add(least)).saturating_sub(self.host.now()).clamp(0, least)))
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

    fn upload(&mut self, round: &Round, ready: Ready) -> Result<Unsaved<Uploaded, Upload>, part::Error> {
        let store = |error: Error| part::Error::Store(error.to_string());
        // What held at the check-in need not hold any more.
        self.may_take_part().map_err(part::Error::Interrupted)?;
        let (mut learning, mut rollout) = (Learning::default(), Cells::default());
        match &round.broadcast {
            Broadcast::Rollout(metrics) => rollout = self.cells(metrics)?,
            broadcast => learning = self.learning(broadcast.tracks()).map_err(store)?,
        }
        if let Some(reason) = learning.withheld {
            return Err(part::Error::Withheld(reason));
        }
        let Learning { train, held_out, .. } = &learning;
        let mut workspace = workload::Workspace::default();
        let device = workload::Device { examples: train, held_out, rollout, ..workspace.device() };
        let now = self.host.now();
        let invitation = Invitation { task: &round.task, round: round.number, plan: &round.plan };
        let upload =
            invitation.accept_masked(&round.broadcast, device, &mut self.ledger, now, ready, &self.identity)?;
        // A rollout's round is no training, and asks for no rest.
        if !matches!(round.broadcast, Broadcast::Rollout(_)) {
            self.store.put(LAST_TRAINING, &now.to_le_bytes()).map_err(|error| store(error.into()))?;
        }
        Ok(upload)
    }

    fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), part::Error> {
        self.store.save(context, record).map_err(|error| part::Error::Store(error.to_string()))
    }

    fn forget(&mut self, context: &Hash) -> Result<(), part::Error> {
        self.store.forget(context).map_err(|error| part::Error::Store(error.to_string()))
    }
}

const HAS_LEDGER: &str = "has-ledger";
const ENROLLED: &str = "enrolled";
const LOADED: &str = "loaded";
const LAST_TRAINING: &str = "last-training";

//! What a device believes of the registry: the last of each kind of metadata that passed every check (TUF, section 5).

use super::error::{Error, Role};
use super::metadata::{
    Delegations, FileMeta, Key, Listing, RoleKeys, Root, Target, Targets, check_fresh, read, read_trusted,
};
use super::serving::Serving;
use super::version::{RolloutTerms, VersionInfo, model_path, rollout_path};
use crate::control::{Download, from_hexadecimal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Metadata that passed every check, starting from the root that came with the application.
#[derive(Clone, Debug, PartialEq)]
pub struct Trusted {
    pub(super) root: Root,
    pub(super) timestamp: Option<Listing>,
    pub(super) snapshot: Option<Listing>,
    pub(super) targets: Option<Targets>,
    pub(super) rollout: Option<Targets>,
    pub(super) serving: Serving,
}

/// How it is stored: the values, whose signatures were checked when they came.
#[derive(Serialize, Deserialize)]
struct Stored {
    root: Root,
    timestamp: Option<Listing>,
    snapshot: Option<Listing>,
    targets: Option<Targets>,
    rollout: Option<Targets>,
    serving: Serving,
}

impl Trusted {
    /// From the root that came with the application. Its date is looked at by [`Self::freshness`], and by every look at the registry.
    ///
    /// # Errors
    /// [`enum@Error`]: it must be signed by its own keys.
    pub fn new(root: &[u8]) -> Result<Self, Error> {
        let unchecked: Root = read_trusted(root, Role::Root)?;
        let (of, keys) = unchecked.keys_of(Role::Root)?;
        let root = read(root, Role::Root, &of, keys)?;
        Ok(Self { root, timestamp: None, snapshot: None, targets: None, rollout: None, serving: Serving::default() })
    }

    /// The number of its root.
    pub fn root(&self) -> u64 {
        self.root.version
    }

    /// The number of the last targets that were believed; 0 before the first.
    pub fn targets(&self) -> u64 {
        self.targets.as_ref().map_or(0, |targets| targets.version)
    }

    /// What serves whom.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// A version that was signed, with where it is loaded from.
    pub fn version(&self, counter: u64) -> Option<(Download, VersionInfo)> {
        self.targets.as_ref()?.version_of(counter)
    }

    /// The counters of all versions that were signed, ascending.
    pub fn versions(&self) -> Vec<u64> {
        self.targets.as_ref().map(Targets::versions).unwrap_or_default()
    }

    /// What was signed of a rollout.
    pub fn rollout_terms(&self, name: &str) -> Option<RolloutTerms> {
        Some(self.targets.as_ref()?.rollout(name)?.1)
    }

    /// What is to be stored; the host's storage must keep it from others, as it keeps the device's key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { root, timestamp, snapshot, targets, rollout, serving } = self.clone();
        serde_json::to_vec(&Stored { root, timestamp, snapshot, targets, rollout, serving }).expect("words and numbers")
    }

    /// From what was stored.
    ///
    /// # Errors
    /// [`Error::Format`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| Error::Format(error.to_string()))?;
        let Stored { root, timestamp, snapshot, targets, rollout, serving } = stored;
        Ok(Self { root, timestamp, snapshot, targets, rollout, serving })
    }

    /// The next root: signed by enough keys of the one before it, and by enough of its own.
    pub(super) fn take_root(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (of, keys) = self.root.keys_of(Role::Root)?;
        let next: Root = read(bytes, Role::Root, &of, keys)?;
        let (of, keys) = next.keys_of(Role::Root)?;
        read::<Root>(bytes, Role::Root, &of, keys)?;
        if next.version != self.root.version + 1 {
            return Err(Error::RootOrder { offered: next.version, known: self.root.version });
        }
        // Whoever stole an online key may have raised the numbers beyond all reach: with new keys they begin anew.
        let changes = |role: Role| self.root.roles.get(role.name()) != next.roles.get(role.name());
        if changes(Role::Timestamp) || changes(Role::Snapshot) {
            (self.timestamp, self.snapshot) = (None, None);
        }
        // What was signed by keys that do not count any more is loaded and judged again.
        if changes(Role::Targets) {
            self.targets = None;
        }
        self.root = next;
        Ok(())
    }

    /// A timestamp; whether it is a new one.
    pub(super) fn take_timestamp(&mut self, bytes: &[u8], now: i64) -> Result<bool, Error> {
        check_fresh(&self.root, Role::Root, now)?;
        let (of, keys) = self.root.keys_of(Role::Timestamp)?;
        let offered: Listing = read(bytes, Role::Timestamp, &of, keys)?;
        let snapshot = listed(&offered, Role::Snapshot)?.version;
        if let Some(known) = &self.timestamp {
            not_older(Role::Timestamp, offered.version, known.version)?;
            not_older(Role::Snapshot, snapshot, listed(known, Role::Snapshot)?.version)?;
        }
        check_fresh(&offered, Role::Timestamp, now)?;
        let is_new = self.timestamp.as_ref() != Some(&offered);
        self.timestamp = Some(offered);
        Ok(is_new)
    }

    pub(super) fn take_snapshot(&mut self, bytes: &[u8], now: i64) -> Result<(), Error> {
        let expected = listed(self.timestamp.as_ref().expect("after its timestamp"), Role::Snapshot)?.clone();
        expected.check("snapshot", bytes)?;
        let (of, keys) = self.root.keys_of(Role::Snapshot)?;
        let offered: Listing = read(bytes, Role::Snapshot, &of, keys)?;
        same_version(Role::Snapshot, offered.version, &expected)?;
        for (name, known) in self.snapshot.iter().flat_map(|snapshot| &snapshot.meta) {
            let now =
                offered.meta.get(name).ok_or_else(|| Error::Mixed(format!("{name} is gone from the snapshot")))?;
            let role = if *name == Role::Rollout.file() { Role::Rollout } else { Role::Targets };
            not_older(role, now.version, known.version)?;
        }
        check_fresh(&offered, Role::Snapshot, now)?;
        self.snapshot = Some(offered);
        Ok(())
    }

    pub(super) fn take_targets(&mut self, bytes: &[u8], now: i64) -> Result<(), Error> {
        let expected = self.in_snapshot(Role::Targets)?.clone();
        expected.check("targets", bytes)?;
        let (of, keys) = self.root.keys_of(Role::Targets)?;
        let offered: Targets = read(bytes, Role::Targets, &of, keys)?;
        same_version(Role::Targets, offered.version, &expected)?;
        check_fresh(&offered, Role::Targets, now)?;
        self.targets = Some(offered);
        Ok(())
    }

    pub(super) fn take_rollout(&mut self, bytes: &[u8], now: i64) -> Result<(), Error> {
        let expected = self.in_snapshot(Role::Rollout)?.clone();
        expected.check("rollout", bytes)?;
        let (of, keys) = self.delegated()?;
        let offered: Targets = read(bytes, Role::Rollout, &of, keys)?;
        same_version(Role::Rollout, offered.version, &expected)?;
        check_fresh(&offered, Role::Rollout, now)?;
        self.rollout = Some(offered);
        Ok(())
    }

    pub(super) fn take_serving(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.serving_target()?.check(SERVING, bytes)?;
        self.serving = serde_json::from_slice(bytes).map_err(|error| Error::Format(error.to_string()))?;
        Ok(())
    }

    /// Where the document of what serves whom is loaded from.
    pub(super) fn serving_target(&self) -> Result<&Target, Error> {
        let rollout = self.rollout.as_ref().expect("after its metadata");
        rollout.targets.get(SERVING).ok_or_else(|| Error::Format("the rollout role says nothing of what serves".into()))
    }

    // The keys that the targets role has handed the rollout role to, for that one file.
    fn delegated(&self) -> Result<(RoleKeys, &BTreeMap<String, Key>), Error> {
        let targets = self.targets.as_ref().expect("after the targets");
        let Delegations { keys, roles } =
            targets.delegations.as_ref().ok_or_else(|| Error::Unsigned("a rollout role".into()))?;
        let of = roles.iter().find(|of| of.name == Role::Rollout.name() && of.paths.iter().any(|path| path == SERVING));
        let of = of.ok_or_else(|| Error::Unsigned("a rollout role".into()))?;
        Ok((RoleKeys { keyids: of.keyids.clone(), threshold: of.threshold }, keys))
    }

    pub(super) fn in_snapshot(&self, role: Role) -> Result<&FileMeta, Error> {
        listed(self.snapshot.as_ref().expect("after its snapshot"), role)
    }
}

impl Targets {
    /// A version that was signed, with where it is loaded from.
    pub fn version_of(&self, counter: u64) -> Option<(Download, VersionInfo)> {
        let target = self.targets.get(&model_path(counter))?;
        let info: VersionInfo = serde_json::from_value(target.custom.clone()?).ok()?;
        (info.release_counter == counter).then_some((target.download()?, info))
    }

    /// The counters of all versions that were signed, ascending.
    pub fn versions(&self) -> Vec<u64> {
        let paths = self.targets.keys();
        let mut counters: Vec<u64> = paths.filter_map(|path| path.strip_prefix("models/")?.parse().ok()).collect();
        counters.sort_unstable();
        counters
    }

    /// What was signed of a rollout, with where its policy is loaded from.
    pub fn rollout(&self, name: &str) -> Option<(Download, RolloutTerms)> {
        let target = self.targets.get(&rollout_path(name))?;
        Some((target.download()?, serde_json::from_value(target.custom.clone()?).ok()?))
    }

    /// The names of all rollouts that were signed.
    pub fn rollouts(&self) -> Vec<String> {
        self.targets.keys().filter_map(|path| Some(path.strip_prefix("rollouts/")?.to_owned())).collect()
    }
}

/// What people have signed elsewhere, as the server reads it: all roots from the first on, and the targets.
///
/// # Errors
/// [`enum@Error`]; what is out of date is believed, and devices are who refuse it.
pub fn read_offline(roots: &[Vec<u8>], targets: &[u8]) -> Result<(Root, Targets), Error> {
    let (first, later) = roots.split_first().ok_or_else(|| Error::Format("there is no root".into()))?;
    let mut trusted = Trusted::new(first)?;
    later.iter().try_for_each(|root| trusted.take_root(root))?;
    let (of, keys) = trusted.root.keys_of(Role::Targets)?;
    let targets = read(targets, Role::Targets, &of, keys)?;
    Ok((trusted.root, targets))
}

impl Target {
    fn download(&self) -> Option<Download> {
        Some(Download { digest: from_hexadecimal(&self.hashes.sha256)?, length: self.length })
    }

    fn check(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        FileMeta { version: 0, length: Some(self.length), hashes: Some(self.hashes.clone()) }.check(name, bytes)
    }

    pub(super) fn wanted(&self) -> Result<Download, Error> {
        self.download().ok_or_else(|| Error::Format("a hash has 64 hexadecimal digits".into()))
    }
}

impl FileMeta {
    pub(super) fn wanted(&self) -> Result<Download, Error> {
        let none = || Error::Format("metadata is loaded by its hash and length, which are not given".into());
        let digest = self.hashes.as_ref().and_then(|hashes| from_hexadecimal(&hashes.sha256)).ok_or_else(none)?;
        Ok(Download { digest, length: self.length.ok_or_else(none)? })
    }
}

pub(super) fn listed(of: &Listing, role: Role) -> Result<&FileMeta, Error> {
    of.meta.get(&role.file()).ok_or_else(|| Error::Mixed(format!("the {} does not name {role}", of.kind)))
}

fn not_older(role: Role, offered: u64, known: u64) -> Result<(), Error> {
    if offered < known { Err(Error::Older { role, offered, known }) } else { Ok(()) }
}

fn same_version(role: Role, version: u64, expected: &FileMeta) -> Result<(), Error> {
    if version == expected.version {
        return Ok(());
    }
    Err(Error::Mixed(format!("{role} {version} stands where {} was announced", expected.version)))
}

/// The rollout role's one file.
pub(super) const SERVING: &str = "serving.json";

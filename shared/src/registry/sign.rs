//! Writing metadata: root and targets by people, elsewhere; the rest by the server.

use super::error::{Error, Role};
use super::metadata::{
    Delegated, Delegations, FileMeta, Hashes, Key, Listing, RoleKeys, Root, SPECIFICATION, Target, Targets, time_text,
    write,
};
use super::serving::Serving;
use super::trusted::SERVING;
use super::version::{RolloutTerms, VersionInfo, model_path, rollout_path};
use crate::control::{Download, hexadecimal};
use crate::secagg::{Identity, PublicIdentity, digest};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a key is called in metadata.
pub fn key_id(key: &PublicIdentity) -> String {
    Key::of(key).id()
}

impl Root {
    /// A root: any `threshold` of `people` sign versions and the next root; `online` is the server's key.
    pub fn of(
        version: u64,
        people: &[PublicIdentity],
        threshold: usize,
        online: &PublicIdentity,
        expires: i64,
    ) -> Self {
        let keys = |keys: &[PublicIdentity]| keys.iter().map(key_id).collect::<Vec<_>>();
        let several = RoleKeys { keyids: keys(people), threshold };
        let one = RoleKeys { keyids: keys(std::slice::from_ref(online)), threshold: 1 };
        let roles =
            [(Role::Root, &several), (Role::Targets, &several), (Role::Snapshot, &one), (Role::Timestamp, &one)];
        Self {
            kind: Role::Root.name().into(),
            spec_version: SPECIFICATION.into(),
            version,
            expires: time_text(expires),
            consistent_snapshot: true,
            keys: people.iter().chain([online]).map(|key| (key_id(key), Key::of(key))).collect(),
            roles: roles.map(|(role, of)| (role.name().to_owned(), of.clone())).into(),
        }
    }

    // Whoever signs must be somebody whose signature counts.
    fn check_keys(&self, role: Role, keys: &[&Identity]) -> Result<(), Error> {
        let (of, _) = self.keys_of(role)?;
        let known = |key: &&&Identity| !of.keyids.contains(&key_id(&key.public()));
        keys.iter().find(known).map_or(Ok(()), |key| Err(Error::ForeignKey(key_id(&key.public()), role)))
    }

    /// What the server's key is called.
    pub fn online(&self) -> Option<String> {
        self.roles.get(Role::Timestamp.name())?.keyids.first().cloned()
    }

    /// The server's key.
    pub fn online_key(&self) -> Option<PublicIdentity> {
        self.keys.get(&self.online()?)?.public()
    }
}

/// Signs a root.
pub fn sign_root(root: &Root, keys: &[&Identity]) -> Vec<u8> {
    write(root, keys)
}

/// Signs versions and rollouts, by keys that the root names for it.
///
/// # Errors
/// [`Error::ForeignKey`], [`Error::Threshold`].
pub fn sign_targets(targets: &Targets, root: &Root, keys: &[&Identity]) -> Result<Vec<u8>, Error> {
    root.check_keys(Role::Targets, keys)?;
    let (of, _) = root.keys_of(Role::Targets)?;
    let distinct: std::collections::BTreeSet<_> = keys.iter().map(|key| key.public().bytes()).collect();
    if distinct.len() < of.threshold {
        return Err(Error::Threshold { role: Role::Targets, valid: distinct.len(), needed: of.threshold });
    }
    Ok(write(targets, keys))
}

impl Targets {
    /// With nothing in it yet; `online` may say what serves.
    pub fn empty(online: &PublicIdentity, expires: i64) -> Self {
        let id = key_id(online);
        let rollout = Delegated {
            name: Role::Rollout.name().into(),
            keyids: vec![id.clone()],
            threshold: 1,
            terminating: true,
            paths: vec![SERVING.into()],
        };
        Self {
            kind: Role::Targets.name().into(),
            spec_version: SPECIFICATION.into(),
            version: 1,
            expires: time_text(expires),
            targets: BTreeMap::new(),
            delegations: Some(Delegations { keys: [(id, Key::of(online))].into(), roles: vec![rollout] }),
        }
    }

    /// The next ones, with everything that is in these, and the server's key as the root has it now.
    #[must_use]
    pub fn next(&self, online: &PublicIdentity, expires: i64) -> Self {
        Self { version: self.version + 1, targets: self.targets.clone(), ..Self::empty(online, expires) }
    }

    /// Adds a version.
    pub fn add_version(&mut self, model: &Download, info: &VersionInfo) {
        let custom = serde_json::to_value(info).expect("words and whole numbers");
        self.add(model_path(info.release_counter), model, custom);
    }

    /// Adds a rollout with its policy's file.
    pub fn add_rollout(&mut self, name: &str, policy: &Download, terms: &RolloutTerms) {
        let custom = serde_json::to_value(terms).expect("words and whole numbers");
        self.add(rollout_path(name), policy, custom);
    }

    fn add(&mut self, path: String, file: &Download, custom: Value) {
        let hashes = Hashes { sha256: hexadecimal(&file.digest) };
        self.targets.insert(path, Target { length: file.length, hashes, custom: Some(custom) });
    }
}

/// What the server signs: each file, the last of them naming all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineFiles {
    /// What serves whom.
    pub serving: Vec<u8>,
    /// Metadata of it.
    pub rollout: Vec<u8>,
    /// Which metadata belongs together.
    pub snapshot: Vec<u8>,
    /// Which is the newest.
    pub timestamp: Vec<u8>,
}

/// Signs what serves whom, at a time. `version` is above all that were given to this before; `targets` is the file with its version.
pub fn sign_online(serving: &Serving, targets: (u64, &[u8]), version: u64, key: &Identity, now: i64) -> OnlineFiles {
    let serving = serde_json::to_vec(serving).expect("words and whole numbers");
    let target = Target {
        length: serving.len() as u64,
        hashes: Hashes { sha256: hexadecimal(&digest(&serving)) },
        custom: None,
    };
    let rollout = Targets {
        kind: Role::Targets.name().into(),
        spec_version: SPECIFICATION.into(),
        version,
        expires: time_text(now + SNAPSHOT_MS),
        targets: [(SERVING.to_owned(), target)].into(),
        delegations: None,
    };
    let rollout = write(&rollout, &[key]);
    let listing = |role: Role, expires: i64, meta: BTreeMap<String, FileMeta>| Listing {
        kind: role.name().into(),
        spec_version: SPECIFICATION.into(),
        version,
        expires: time_text(expires),
        meta,
    };
    let snapshot = listing(
        Role::Snapshot,
        now + SNAPSHOT_MS,
        [
            (Role::Targets.file(), FileMeta::of(targets.0, targets.1)),
            (Role::Rollout.file(), FileMeta::of(version, &rollout)),
        ]
        .into(),
    );
    let snapshot = write(&snapshot, &[key]);
    let timestamp = listing(
        Role::Timestamp,
        now + TIMESTAMP_MS,
        [(Role::Snapshot.file(), FileMeta::of(version, &snapshot))].into(),
    );
    OnlineFiles { timestamp: write(&timestamp, &[key]), serving, rollout, snapshot }
}

const SNAPSHOT_MS: i64 = 7 * 86_400_000;
const TIMESTAMP_MS: i64 = 86_400_000;

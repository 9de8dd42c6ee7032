//! The four kinds of metadata as they are written, and their signatures.

use super::canonical::canonical;
use super::error::{Error, Role};
use crate::control::{from_hexadecimal, hexadecimal};
use crate::secagg::{Identity, PublicIdentity, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A public key as metadata has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    keytype: String,
    scheme: String,
    keyval: KeyValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeyValue {
    public: String,
}

/// The keys of a role, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoleKeys {
    pub(super) keyids: Vec<String>,
    pub(super) threshold: usize,
}

/// Whose keys count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) version: u64,
    pub(super) expires: String,
    #[serde(default)]
    pub(super) consistent_snapshot: bool,
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) roles: BTreeMap<String, RoleKeys>,
}

/// One file of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMeta {
    pub(super) version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hashes: Option<Hashes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hashes {
    pub(super) sha256: String,
}

/// Timestamp and snapshot: other files' versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) version: u64,
    pub(super) expires: String,
    pub(super) meta: BTreeMap<String, FileMeta>,
}

/// Targets and rollout: files with what is signed about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) version: u64,
    pub(super) expires: String,
    pub(super) targets: BTreeMap<String, Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delegations: Option<Delegations>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) length: u64,
    pub(super) hashes: Hashes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delegations {
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) roles: Vec<Delegated>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delegated {
    pub(super) name: String,
    pub(super) keyids: Vec<String>,
    pub(super) threshold: usize,
    #[serde(default)]
    pub(super) terminating: bool,
    #[serde(default)]
    pub(super) paths: Vec<String>,
}

/// What all kinds have in common, as far as it matters here.
pub(super) trait Metadata: Serialize + DeserializeOwned {
    fn expires(&self) -> &str;
}

macro_rules! metadata {
    ($($kind:ty),*) => {$(
        impl Metadata for $kind {
            fn expires(&self) -> &str {
                &self.expires
            }
        }
    )*};
}

metadata!(Root, Listing, Targets);

impl Key {
    pub(super) fn of(key: &PublicIdentity) -> Self {
        let public = hexadecimal(&key.bytes());
        Self { keytype: "ed25519".into(), scheme: "ed25519".into(), keyval: KeyValue { public } }
    }

    /// Its name: the hash of its canonical form.
    pub(super) fn id(&self) -> String {
        let value = serde_json::to_value(self).expect("plain words");
        hexadecimal(&digest(&canonical(&value).expect("no numbers")))
    }

    pub(super) fn public(&self) -> Option<PublicIdentity> {
        let is_known = self.keytype == "ed25519" && self.scheme == "ed25519";
        from_hexadecimal(&self.keyval.public).filter(|_| is_known).and_then(|bytes| PublicIdentity::new(&bytes))
    }
}

impl Root {
    pub(super) fn keys_of(&self, role: Role) -> Result<(RoleKeys, &BTreeMap<String, Key>), Error> {
        let of = self.roles.get(role.name()).ok_or_else(|| Error::Format(format!("the root has no role {role}")))?;
        Ok((of.clone(), &self.keys))
    }

    /// Its version.
    pub fn number(&self) -> u64 {
        self.version
    }
}

impl Targets {
    /// Its version.
    pub fn number(&self) -> u64 {
        self.version
    }
}

impl FileMeta {
    pub(super) fn of(version: u64, bytes: &[u8]) -> Self {
        let hashes = Some(Hashes { sha256: hexadecimal(&digest(bytes)) });
        Self { version, length: Some(bytes.len() as u64), hashes }
    }

    /// Whether these are the bytes.
    pub(super) fn check(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if self.length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(Error::Length(name.to_owned()));
        }
        match &self.hashes {
            Some(hashes) if hashes.sha256 != hexadecimal(&digest(bytes)) => Err(Error::Hash(name.to_owned())),
            _ => Ok(()),
        }
    }
}

/// Metadata with its signatures, in its canonical form, so that it has one hash.
pub(super) fn write<T: Metadata>(metadata: &T, keys: &[&Identity]) -> Vec<u8> {
    let signed = serde_json::to_value(metadata).expect("plain words and numbers");
    let bytes = canonical(&signed).expect("metadata has whole numbers only");
    let signatures: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "keyid": Key::of(&key.public()).id(), "sig": hexadecimal(&key.sign_bytes(&bytes)) }))
        .collect();
    canonical(&json!({ "signatures": signatures, "signed": signed })).expect("metadata has whole numbers only")
}

/// Reads metadata and checks that enough of these keys have signed it. Every key counts once.
pub(super) fn read<T: Metadata>(
    bytes: &[u8],
    role: Role,
    of: &RoleKeys,
    keys: &BTreeMap<String, Key>,
) -> Result<T, Error> {
    let (signed, signatures) = open(bytes)?;
    let metadata: T = parse(&signed, role)?;
    let message = canonical(&signed)?;
    let counts = |(id, signature): &(String, String)| {
        let key = keys.get(id).filter(|key| of.keyids.contains(id) && key.id() == *id)?.public()?;
        let signature = signature_of(signature)?;
        key.signed_bytes(&message, &signature).then(|| key.bytes())
    };
    let valid: BTreeSet<_> = signatures.iter().filter_map(counts).collect();
    if of.threshold == 0 || valid.len() < of.threshold {
        return Err(Error::Threshold { role, valid: valid.len(), needed: of.threshold.max(1) });
    }
    Ok(metadata)
}

/// Reads metadata whose signatures were checked before, or that is the start of trust.
pub(super) fn read_trusted<T: Metadata>(bytes: &[u8], role: Role) -> Result<T, Error> {
    parse(&open(bytes)?.0, role)
}

fn open(bytes: &[u8]) -> Result<(Value, Vec<(String, String)>), Error> {
    #[derive(Deserialize)]
    struct Envelope {
        signatures: Vec<Signature>,
        signed: Value,
    }
    #[derive(Deserialize)]
    struct Signature {
        keyid: String,
        sig: String,
    }
    let format = |error: serde_json::Error| Error::Format(error.to_string());
    let Envelope { signatures, signed } = serde_json::from_slice(bytes).map_err(format)?;
    Ok((signed, signatures.into_iter().map(|s| (s.keyid, s.sig)).collect()))
}

fn parse<T: Metadata>(signed: &Value, role: Role) -> Result<T, Error> {
    // A delegated role's metadata has the type of targets.
    let kind = if role == Role::Rollout { Role::Targets.name() } else { role.name() };
    let text = |name: &str| signed.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("_type") != kind {
        return Err(Error::OtherRole { wanted: role, found: text("_type").to_owned() });
    }
    if !text("spec_version").starts_with("1.") {
        return Err(Error::Format(format!("specification '{}' is not known", text("spec_version"))));
    }
    T::deserialize(signed).map_err(|error| Error::Format(error.to_string()))
}

fn signature_of(text: &str) -> Option<[u8; 64]> {
    let (first, second) = text.split_at_checked(64)?;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&from_hexadecimal(first)?);
    signature[32..].copy_from_slice(&from_hexadecimal(second)?);
    Some(signature)
}

/// A time as metadata writes it: UTC, whole seconds.
pub fn time_text(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp(ms.div_euclid(1000), 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads [`time_text`], in milliseconds since 1970.
///
/// # Errors
/// [`Error::Format`].
pub fn time_of(text: &str) -> Result<i64, Error> {
    let time = chrono::DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_millis()).map_err(|_| Error::Format(format!("'{text}' is no time")))
}

/// Refuses what is out of date.
pub(super) fn check_fresh<T: Metadata>(metadata: &T, role: Role, now: i64) -> Result<(), Error> {
    let at = metadata.expires();
    if time_of(at)? <= now { Err(Error::Expired { role, at: at.to_owned() }) } else { Ok(()) }
}

pub(super) const SPECIFICATION: &str = "1.0.33";

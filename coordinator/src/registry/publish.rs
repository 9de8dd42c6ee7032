//! What the server signs: what serves whom, and that this is the newest word of all.

use super::{Error, Office};
use crate::files::write_whole;
use crate::server::{Models, SignedView};
use serde::{Deserialize, Serialize};
use sordino_shared::control::{Announced, hexadecimal};
use sordino_shared::registry::{Serving, key_id, sign_online};
use sordino_shared::secagg::{Hash, Identity, digest};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The registry as devices are told of it.
pub struct Published {
    folder: PathBuf,
    key: Identity,
    last: Mutex<Option<Last>>,
}

struct Last {
    serving: Serving,
    // Hash of the targets, and how many roots there were.
    signed: (Hash, usize),
    at: i64,
    announced: Announced,
    // What is signed, as people see it.
    shown: Arc<SignedView>,
}

/// What must be known after a restart.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    // The number that was given last.
    version: u64,
    // Hashes of the files of each of the last ones, the newest first: devices may be in the middle of loading them.
    files: Vec<Vec<String>>,
}

impl Published {
    /// Of the registry in this folder, signed by the server's own key.
    pub fn new(folder: &Path, key: Identity) -> Self {
        Self { folder: folder.to_owned(), key, last: Mutex::default() }
    }

    /// Where the registry is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What devices are told now.
    pub fn announced(&self) -> Option<Announced> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|last| last.announced.clone())
    }

    /// What serves, as devices are told.
    pub fn serving(&self) -> Option<Serving> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|last| last.serving.clone())
    }

    /// What is signed, as people see it.
    pub fn signed(&self) -> Arc<SignedView> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|last| last.shown.clone()).unwrap_or_default()
    }

    /// Signs what serves, if that, or what people have signed, has changed, or the last word is some hours old.
    ///
    /// # Errors
    /// [`enum@Error`]; devices are told what they were told before.
    pub fn publish(&self, models: &Models, serving: &Serving, now: i64) -> Result<(), Error> {
        let Some(signed) = Office::new(&self.folder).read()? else { return Ok(()) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let state = (digest(&signed.written), signed.roots.len());
        let is_told = |last: &Last| {
            last.signed == state && last.serving == *serving && now.saturating_sub(last.at) < AGAIN_AFTER_MS
        };
        if last.as_ref().is_some_and(is_told) {
            return Ok(());
        }
        if signed.root.online() != Some(key_id(&self.key.public())) {
            return Err(Error::Unfit("the registry's root names another key than this server's `online.key`".into()));
        }
        let put = |bytes: Vec<u8>| {
            models.put(bytes).map_err(|error| Error::Unfit(format!("the registry's files cannot be kept: {error}")))
        };
        let mut stored = self.stored();
        // Time stands in for a number that was lost with its file: devices take none that is lower than what they know.
        stored.version = (stored.version + 1).max(now.max(0) as u64 / 1000);
        let files = sign_online(serving, (signed.targets.number(), &signed.written), stored.version, &self.key, now);
        let shown = Arc::new(SignedView::of(&signed.targets));
        let mut of_this = Vec::new();
        for bytes in [files.serving, files.rollout, files.snapshot, signed.written] {
            of_this.push(hexadecimal(&put(bytes)?.digest));
        }
        let timestamp = put(files.timestamp)?;
        of_this.push(hexadecimal(&timestamp.digest));
        for file in Office::new(&self.folder).files()? {
            put(file)?;
        }
        let roots = signed.roots.into_iter().map(put).collect::<Result<_, _>>()?;
        stored.files.insert(0, of_this);
        let old = stored.files.split_off(stored.files.len().min(KEPT));
        self.store(&stored)?;
        let kept: std::collections::BTreeSet<&String> = stored.files.iter().flatten().collect();
        for hash in old.iter().flatten().filter(|hash| !kept.contains(hash)) {
            if let Some(hash) = sordino_shared::control::from_hexadecimal(hash) {
                models.remove(&hash);
            }
        }
        let announced = Announced { timestamp, roots };
        *last = Some(Last { serving: serving.clone(), signed: state, at: now, announced, shown });
        Ok(())
    }

    fn stored(&self) -> Stored {
        let text = std::fs::read_to_string(self.folder.join(ONLINE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn store(&self, stored: &Stored) -> Result<(), Error> {
        let (path, text) = (self.folder.join(ONLINE), serde_json::to_string(stored).expect("numbers and words"));
        write_whole(&path, text.as_bytes()).map_err(|fault| Error::File { path, fault })
    }
}

const ONLINE: &str = "online.json";
// The timestamp holds for a day.
const AGAIN_AFTER_MS: i64 = 6 * 3_600_000;
const KEPT: usize = 16;

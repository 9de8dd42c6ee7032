//! What people sign, on a machine of their own: whose keys count, versions, rollouts.

use super::Error;
use super::probes::probes;
use crate::authority::KeyFile;
use crate::files::write_whole;
use crate::rollout::Policy;
use crate::store::VersionRow;
use sordino_shared::control::{Download, hexadecimal};
use sordino_shared::model::{CardFigure, Model, ModelCard};
use sordino_shared::plain::{is_name, shown};
use sordino_shared::privacy::rounded;
use sordino_shared::registry::{
    RUNTIME, RolloutTerms, Root, StageTerms, Targets, VersionInfo, read_offline, sign_root, sign_targets,
};
use sordino_shared::secagg::{Identity, PublicIdentity, digest};
use std::path::{Path, PathBuf};

/// People's keys, a file each.
pub struct Keys;

impl Keys {
    /// Makes so many, `person-1.key` and so on.
    ///
    /// # Errors
    /// [`enum@Error`]; also where one is there already.
    pub fn create(folder: &Path, count: usize) -> Result<Vec<Identity>, Error> {
        std::fs::create_dir_all(folder).map_err(|fault| Error::File { path: folder.to_owned(), fault })?;
        (1..=count).map(|number| Ok(KeyFile::new(folder, &format!("person-{number}.key")).create()?)).collect()
    }

    /// Reads these files.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn load(files: &[PathBuf]) -> Result<Vec<Identity>, Error> {
        files.iter().map(|file| Ok(KeyFile::new(Path::new(""), &file.to_string_lossy()).load()?)).collect()
    }

    /// Reads all keys of a folder.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn load_all(folder: &Path) -> Result<Vec<Identity>, Error> {
        let failed = |fault| Error::File { path: folder.to_owned(), fault };
        let entries: Vec<_> = std::fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "key"));
        files.sort();
        Self::load(&files)
    }
}

/// The registry's folder, where people sign.
#[derive(Clone, Debug)]
pub struct Office(PathBuf);

/// What people have signed.
pub struct Signed {
    /// All roots, from the first on, as they were written.
    pub roots: Vec<Vec<u8>>,
    /// The last of them.
    pub root: Root,
    /// The targets as they were written.
    pub written: Vec<u8>,
    /// The same, read and checked.
    pub targets: Targets,
}

impl Office {
    /// In this folder.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Begins a registry: any `threshold` of these people sign, `online` is the server's key.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn init(&self, people: &[Identity], threshold: usize, online: &PublicIdentity, now: i64) -> Result<(), Error> {
        std::fs::create_dir_all(self.0.join(FILES)).map_err(|fault| Error::File { path: self.0.clone(), fault })?;
        let public: Vec<PublicIdentity> = people.iter().map(Identity::public).collect();
        let root = Root::of(1, &public, threshold, online, now + ROOT_MS);
        let keys: Vec<&Identity> = people.iter().collect();
        let targets = sign_targets(&Targets::empty(online, now + TARGETS_MS), &root, &keys)?;
        self.write(&root_file(1), &sign_root(&root, &keys))?;
        self.write(TARGETS, &targets)
    }

    /// What has been signed; `None` where no registry was begun.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn read(&self) -> Result<Option<Signed>, Error> {
        let roots: Vec<Vec<u8>> =
            (1..).map_while(|number| std::fs::read(self.0.join(root_file(number))).ok()).collect();
        if roots.is_empty() {
            return Ok(None);
        }
        let path = self.0.join(TARGETS);
        let written = std::fs::read(&path).map_err(|fault| Error::File { path, fault })?;
        let (root, targets) = read_offline(&roots, &written)?;
        Ok(Some(Signed { roots, root, written, targets }))
    }

    /// What has been signed.
    ///
    /// # Errors
    /// [`enum@Error`]; also where no registry was begun.
    pub fn begun(&self) -> Result<Signed, Error> {
        let none = || Error::Unfit(format!("there is no registry in {}: `init` begins one", self.0.display()));
        self.read()?.ok_or_else(none)
    }

    /// Signs a version under the next release counter, which it gives.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn sign_version(&self, version: &VersionRow, bytes: &[u8], keys: &[Identity], now: i64) -> Result<u64, Error> {
        let unreadable =
            |error: sordino_shared::bytes::Error| Error::Unfit(format!("the version is no model: {error}"));
        let model = Model::from_bytes(bytes).map_err(unreadable)?;
        let card = self.keep(card(version, &model).to_markdown().as_bytes())?;
        let about: serde_json::Value = serde_json::from_str(&version.about).unwrap_or_default();
        let number = |name: &str| about.get(name).and_then(serde_json::Value::as_f64).map(|value| value.to_string());
        let mut counter = 0;
        self.sign(keys, now, |targets| {
            counter = targets.versions().last().copied().unwrap_or(0) + 1;
            let info = VersionInfo {
                release_counter: counter,
                version: version.number,
                parent: version.parent,
                task: version.task.clone(),
                train_round: version.round,
                min_runtime: RUNTIME,
                dp_epsilon: number("epsilon"),
                dp_delta: number("delta"),
                plan: about.get("plan").and_then(serde_json::Value::as_str).map(str::to_owned),
                card: Some(hexadecimal(&card.digest)),
                probes: probes(bytes, &model),
            };
            targets.add_version(&Download { digest: digest(bytes), length: bytes.len() as u64 }, &info);
            Ok(())
        })?;
        Ok(counter)
    }

    /// Signs a rollout of the version with this release counter, under the policy's name and a salt of its own.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn sign_rollout(&self, policy: &Policy, counter: u64, keys: &[Identity], now: i64) -> Result<(), Error> {
        policy.check().map_err(|error| Error::Unfit(error.to_string()))?;
        let name = &policy.name;
        if !is_name(name, 48) {
            let reason =
                format!("name '{}' must have 1 to 48 letters, digits, dots, dashes or underscores", shown(name));
            return Err(Error::Unfit(reason));
        }
        let text = toml::to_string(policy).map_err(|error| Error::Unfit(error.to_string()))?;
        let file = self.keep(text.as_bytes())?;
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| crate::authority::Error::Randomness)?;
        let stages =
            policy.stages.iter().map(|stage| StageTerms { share: stage.share, shadow: stage.shadow }).collect();
        let (report_hours, worst_percent) = (policy.report_hours, policy.worst_percent);
        let terms = RolloutTerms { candidate: counter, salt: hexadecimal(&salt), stages, report_hours, worst_percent };
        self.sign(keys, now, |targets| {
            if targets.version_of(counter).is_none() {
                return Err(Error::Unfit(format!("there is no signed version {counter}: sign it first")));
            }
            if targets.rollout(name).is_some() {
                let reason = format!(
                    "there is a rollout '{name}' already: another attempt needs another name, and gets another salt"
                );
                return Err(Error::Unfit(reason));
            }
            targets.add_rollout(name, &file, &terms);
            Ok(())
        })
    }

    /// Signs what has been signed once more, for another month.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn renew(&self, keys: &[Identity], now: i64) -> Result<(), Error> {
        self.sign(keys, now, |_| Ok(()))
    }

    fn sign(
        &self,
        keys: &[Identity],
        now: i64,
        change: impl FnOnce(&mut Targets) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Signed { root, targets, .. } = self.begun()?;
        let online = root.online_key().ok_or_else(|| Error::Unfit("the root names no key of the server".into()))?;
        let mut next = targets.next(&online, now + TARGETS_MS);
        change(&mut next)?;
        self.write(TARGETS, &sign_targets(&next, &root, &keys.iter().collect::<Vec<_>>())?)
    }

    /// Changes whose keys count: `people` from now on, `online` for the server. `keys` are enough of the old people's and of the new ones'.
    ///
    /// # Errors
    /// [`enum@Error`]; the new root is tried before it is written.
    pub fn rotate(
        &self,
        people: &[PublicIdentity],
        threshold: usize,
        online: &PublicIdentity,
        keys: &[Identity],
        now: i64,
    ) -> Result<u64, Error> {
        let Signed { mut roots, root, targets, .. } = self.begun()?;
        let next = Root::of(root.number() + 1, people, threshold, online, now + ROOT_MS);
        let keys: Vec<&Identity> = keys.iter().collect();
        let new_people: Vec<&Identity> = keys.iter().filter(|key| people.contains(&key.public())).copied().collect();
        let targets = sign_targets(&targets.next(online, now + TARGETS_MS), &next, &new_people)?;
        let written = sign_root(&next, &keys);
        roots.push(written.clone());
        read_offline(&roots, &targets)?;
        self.write(TARGETS, &targets)?;
        self.write(&root_file(next.number()), &written)?;
        Ok(next.number())
    }

    /// A rollout's policy, if its file is what was signed.
    ///
    /// # Errors
    /// A sentence.
    pub fn policy(&self, targets: &Targets, name: &str) -> Result<Policy, String> {
        let (file, _) = targets.rollout(name).ok_or_else(|| format!("no rollout '{name}' is signed"))?;
        let path = self.0.join(FILES).join(hexadecimal(&file.digest));
        let bytes = std::fs::read(&path).map_err(|fault| format!("{}: {fault}", path.display()))?;
        if digest(&bytes) != file.digest {
            return Err(format!("{} is not what was signed", path.display()));
        }
        toml::from_str(&String::from_utf8_lossy(&bytes)).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Files beside what was signed: cards and policies.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn files(&self) -> Result<Vec<Vec<u8>>, Error> {
        let folder = self.0.join(FILES);
        let failed = |fault| Error::File { path: folder.clone(), fault };
        let entries = std::fs::read_dir(&folder).map_err(failed)?;
        entries.map(|entry| std::fs::read(entry?.path())).collect::<Result<_, _>>().map_err(failed)
    }

    fn keep(&self, bytes: &[u8]) -> Result<Download, Error> {
        let download = Download { digest: digest(bytes), length: bytes.len() as u64 };
        self.write(&format!("{FILES}/{}", hexadecimal(&download.digest)), bytes)?;
        Ok(download)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.0.join(name);
        write_whole(&path, bytes).map_err(|fault| Error::File { path, fault })
    }
}

// What the coordinator knows of a version; how good it is only devices know.
fn card(version: &VersionRow, model: &Model) -> ModelCard {
    let about: serde_json::Value = serde_json::from_str(&version.about).unwrap_or_default();
    let number = |name: &str| about.get(name).and_then(serde_json::Value::as_f64);
    let from = version.round.map_or_else(|| "imported".to_owned(), |round| format!("round {round}"));
    let privacy = match (number("epsilon"), number("delta")) {
        (Some(epsilon), Some(delta)) => vec![format!(
            "epsilon {} at delta {delta:e} for one device's whole data against the coordinator, over all rounds of the task",
            rounded::up(epsilon, 3)
        )],
        _ => vec!["not known: the version was not learnt here".to_owned()],
    };
    let metrics = about.get("verdict").and_then(|verdict| {
        let (value, deviation) = (verdict.get(0)?.as_f64()?, verdict.get(1)?.as_f64()?);
        let (low, high) = (value - 1.96 * deviation, value + 1.96 * deviation);
        let listeners = number("devices")? as usize;
        let value = sordino_shared::evaluate::Interval { mean: value, low, high, listeners };
        Some(CardFigure { name: "ahead of popularity, by a private comparison".into(), value })
    });
    ModelCard {
        model: match model.dimensions() {
            0 => format!("popularity of {} tracks", model.tracks()),
            dimensions => format!("embeddings of {} tracks, {dimensions} dimensions", model.tracks()),
        },
        sha256: version.digest.clone(),
        data: vec![format!("version {} of the task '{}', {from}", version.number, version.task)],
        labels: vec!["as the devices' own label policies say; the coordinator sees no labels".into()],
        metrics: metrics.into_iter().collect(),
        groups: Vec::new(),
        privacy,
        limits: vec![
            "its quality for groups of listeners is not known before a rollout has measured it".into(),
            "not for decisions about people: it ranks tracks".into(),
        ],
    }
}

fn root_file(number: u64) -> String {
    format!("root.{number}.json")
}

const TARGETS: &str = "targets.json";
const FILES: &str = "files";
const ROOT_MS: i64 = 365 * 86_400_000;
const TARGETS_MS: i64 = 30 * 86_400_000;

//! `model list|show|export|import`.

use super::words::Table;
use super::{At, print, time};
use crate::server::{Models, now};
use crate::store::{Store, VersionRow};
use anyhow::{Context, anyhow};
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use sordino_shared::model::Model;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists versions.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Shows a version's lineage and what is known of it.
    Show {
        /// Its number.
        number: u64,
        #[command(flatten)]
        at: At,
    },
    /// Writes a version's bytes to a file.
    Export {
        /// Its number.
        number: u64,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Adds a version from a file, after checking that it is a model.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { at } => {
                let mut table =
                    Table::new(&[">version", "made (UTC)", "task or file", "from", "SHA-256 begins", ">bytes"]);
                for version in at.store()?.versions()? {
                    let round = version.round.map_or_else(|| "imported".into(), |round| format!("round {round}"));
                    let digest = version.digest.get(..16).unwrap_or(&version.digest).to_owned();
                    let (number, length) = (version.number.to_string(), version.length.to_string());
                    table.row(vec![number, time(version.made), version.task, round, digest, length]);
                }
                match table.is_empty() {
                    true => print(&format!(
                        "no version yet: the first round of a task that is done makes one, and `sordino-coordinator model import FILE {}` \
                         brings one from elsewhere\n",
                        at.quoted()
                    )),
                    false => print(&table.to_string()),
                }
            }
            Self::Show { number, at } => print(&(serde_json::to_string_pretty(&find(&at, number)?)? + "\n")),
            Self::Export { number, file, at } => {
                let version = find(&at, number)?;
                std::fs::write(&file, load(&at, &version)?).with_context(|| file.display().to_string())?;
                print(&format!("version {number}: {} bytes in {}\n", version.length, file.display()));
            }
            Self::Import { file, at } => {
                let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
                let model = Model::from_bytes(&bytes).with_context(|| format!("{} is no model", file.display()))?;
                let mut store = at.store()?;
                let kept = Models::open(&at.folder().models())?.put(bytes)?;
                let about = serde_json::json!({ "tracks": model.tracks(), "dimensions": model.dimensions() });
                let version = VersionRow {
                    number: 0,
                    digest: hexadecimal(&kept.digest),
                    length: kept.length,
                    task: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                    round: None,
                    parent: None,
                    about: about.to_string(),
                    made: now(),
                };
                print(&format!("version {}\n", store.import(&version, now())?));
            }
        }
        Ok(())
    }
}

fn find(at: &At, number: u64) -> anyhow::Result<VersionRow> {
    let versions = at.store()?.versions()?;
    let version = versions.into_iter().find(|version| version.number == number);
    version.ok_or_else(|| {
        anyhow!("there is no version {number}: `sordino-coordinator model list {}` says which there are", at.quoted())
    })
}

fn load(at: &At, version: &VersionRow) -> anyhow::Result<Vec<u8>> {
    let digest = from_hexadecimal(&version.digest).ok_or_else(|| anyhow!("the version's hash is damaged"))?;
    let bytes = Models::open(&at.folder().models())?.get(&digest);
    bytes.map(|bytes| bytes.to_vec()).ok_or_else(|| anyhow!("the version's file is missing or damaged"))
}

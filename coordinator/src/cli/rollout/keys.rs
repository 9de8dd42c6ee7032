//! Who signs, and what: for machines of the operator's people.

use super::super::words::Table;
use super::super::{At, print};
use super::plan;
use crate::authority::KeyFile;
use crate::registry::{self, Office};
use crate::rollout::people::{People as Everybody, Right};
use crate::server::{Models, now};
use crate::store::Store;
use anyhow::{Context, anyhow};
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use sordino_shared::secagg::Identity;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Sign {
    /// Signs a version of the coordinator's under the next release counter. Sign an old version once more to bring its weights back.
    Version {
        /// Its number, as `model list` says.
        version: u64,
        #[command(flatten)]
        with: With,
    },
    /// Signs a rollout of a signed version: its policy, and the salt of its buckets.
    Rollout {
        /// The policy's file.
        policy: PathBuf,
        /// The version's release counter.
        #[arg(long)]
        version: u64,
        #[command(flatten)]
        with: With,
    },
    /// Signs everything once more, for another thirty days.
    Renew {
        #[command(flatten)]
        with: With,
    },
}

/// Whose keys.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct With {
    /// A person's key; as many as the registry's root asks for.
    #[arg(long = "key", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    at: At,
}

impl With {
    fn keys(&self) -> anyhow::Result<Vec<Identity>> {
        Ok(registry::Keys::load(&self.keys)?)
    }

    fn office(&self) -> Office {
        Office::new(&self.at.folder().registry())
    }
}

impl Sign {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Version { version, with } => {
                let rows = with.at.store()?.versions()?;
                let row = rows.into_iter().find(|row| row.number == version);
                let row =
                    row.ok_or_else(|| anyhow!("there is no version {version}: `model list` says which there are"))?;
                let digest = from_hexadecimal(&row.digest).context("the version's hash is damaged")?;
                let bytes = Models::open(&with.at.folder().models())?.get(&digest);
                let bytes = bytes.context("the version's file is missing or damaged")?;
                let counter = with.office().sign_version(&row, &bytes, &with.keys()?, now())?;
                print(&format!("version {version} is signed under the release counter {counter}\n"));
            }
            Self::Rollout { policy, version, with } => {
                let policy = plan::read(&policy)?;
                with.office().sign_rollout(&policy, version, &with.keys()?, now())?;
                print(&format!("the rollout '{}' of version {version} is signed\n", policy.name));
            }
            Self::Renew { with } => {
                with.office().renew(&with.keys()?, now())?;
                print("signed for another thirty days\n");
            }
        }
        Ok(())
    }
}

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Keys {
    /// Makes keys for people, a file each.
    New {
        /// Where.
        folder: PathBuf,
        /// How many.
        #[arg(long, default_value_t = 3)]
        count: usize,
    },
    /// Changes whose keys count: the new root is signed by enough of the old people and of the new ones.
    Rotate {
        /// A person's key that counts from now on.
        #[arg(long = "person", required = true)]
        people: Vec<PathBuf>,
        /// How many of them must sign.
        #[arg(long, default_value_t = 2)]
        threshold: usize,
        /// Makes a new key for the server as well: the old one was stolen, or lost.
        #[arg(long)]
        new_online: bool,
        #[command(flatten)]
        with: With,
    },
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::New { folder, count } => {
                let keys = registry::Keys::create(&folder, count)?;
                for (number, key) in (1..).zip(keys) {
                    print(&format!("person-{number}.key  {}\n", hexadecimal(&key.public().bytes())));
                }
            }
            Self::Rotate { people, threshold, new_online, with } => {
                let public: Vec<_> = registry::Keys::load(&people)?.iter().map(Identity::public).collect();
                // The server goes on with its old key until the root that names the new one is signed.
                let folder = &with.at.folder;
                let (old, next) = (folder.join("online.key"), folder.join("online.key.next"));
                let online = match new_online {
                    true if next.exists() => KeyFile::new(folder, "online.key.next").load()?,
                    true => KeyFile::new(folder, "online.key.next").create()?,
                    false => with.at.folder().online().load()?,
                };
                let number = with.office().rotate(&public, threshold, &online.public(), &with.keys()?, now())?;
                if new_online {
                    let aside = folder.join(format!("online.key.until-{}", now()));
                    std::fs::rename(&old, &aside).with_context(|| old.display().to_string())?;
                    std::fs::rename(&next, &old).with_context(|| next.display().to_string())?;
                }
                print(&format!("root {number} is signed; restart the server if its own key has changed\n"));
            }
        }
        Ok(())
    }
}

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum People {
    /// Adds a person and prints their token, once.
    Add {
        /// The name that the audit log gets.
        name: String,
        /// What they may do.
        #[arg(long = "right", required = true)]
        rights: Vec<Right>,
        #[command(flatten)]
        at: At,
    },
    /// Lists people with their rights.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Takes a person's token away.
    Remove {
        /// Who.
        name: String,
        #[command(flatten)]
        at: At,
    },
}

impl People {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { name, rights, at } => {
                at.store()?;
                let mut everybody = Everybody::load(&at.folder)?;
                let token = everybody.add(&name, &rights)?;
                everybody.store(&at.folder)?;
                print(&format!("{}\n", token.as_str()));
            }
            Self::List { at } => {
                at.check()?;
                let mut table = Table::new(&["person", "may"]);
                for person in Everybody::load(&at.folder)?.all() {
                    let rights: Vec<String> =
                        person.rights.iter().map(|right| format!("{right:?}").to_lowercase()).collect();
                    table.row(vec![person.name.clone(), rights.join(", ")]);
                }
                match table.is_empty() {
                    true => print(&format!(
                        "nobody yet: `sordino-coordinator rollout people add NAME --right promote {}` gives somebody a token\n",
                        at.quoted()
                    )),
                    false => print(&table.to_string()),
                }
            }
            Self::Remove { name, at } => {
                let mut everybody = Everybody::load(&at.folder)?;
                everybody.remove(&name)?;
                everybody.store(&at.folder)?;
            }
        }
        Ok(())
    }
}

//! `enrol token|revoke|list`.

use super::words::{Table, shown};
use super::{At, print, time};
use crate::authority::{Attestation, Authority};
use crate::config::Config;
use crate::server::now;
use crate::store::{Change, Store};
use sordino_shared::control::{from_hexadecimal, hexadecimal};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes tokens, one a line: each lets one device in, once.
    Token {
        /// How many.
        #[arg(long, default_value_t = 1)]
        count: usize,
        /// Days until a token that was not used is void.
        #[arg(long, default_value_t = 7)]
        days: u32,
        #[command(flatten)]
        at: At,
    },
    /// Shuts a device out for good; a running server knows within a minute.
    Revoke {
        /// The device's key, as `list` shows it.
        key: String,
        /// Why: kept with the device and in the audit log.
        #[arg(long, visible_alias = "reason", value_name = "REASON")]
        why: String,
        #[command(flatten)]
        at: At,
    },
    /// Lists devices, and until when their certificates hold.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Token { count, days, at } => {
                let until = now() + i64::from(days) * 86_400_000;
                let tokens = authority(&at)?.tokens(count, until)?;
                tokens.iter().for_each(|token| print(&(hexadecimal(token) + "\n")));
            }
            Self::Revoke { key, why, at } => {
                let device =
                    from_hexadecimal(&key).ok_or_else(|| anyhow::anyhow!("a key has 64 hexadecimal digits"))?;
                let found = authority(&at)?.revoke(&device, &why, now())?;
                anyhow::ensure!(
                    found,
                    "there is no device of this key that is not revoked already: `sordino-coordinator enrol list {}` shows all",
                    at.quoted()
                );
                let words = vec![format!("device {key}: revoked: {}", shown(&why))];
                at.store()?.change(&Change { words, ..Change::default() }, now())?;
                print(&format!("device {key} is revoked; a running server refuses it within a minute\n"));
            }
            Self::List { json, at } => {
                let devices = authority(&at)?.devices()?;
                if json {
                    print(&(serde_json::to_string(&devices)? + "\n"));
                    return Ok(());
                }
                let mut table = Table::new(&["key", "enrolled (UTC)", "certificate"]);
                for device in devices {
                    let state = device.revoked.map_or_else(
                        || format!("holds until {}", time(device.not_after)),
                        |why| format!("revoked: {why}"),
                    );
                    table.row(vec![device.key, time(device.enrolled), state]);
                }
                match table.is_empty() {
                    true => print(&format!(
                        "no device yet: `sordino-coordinator enrol token --count 10 {}` makes tokens for some\n",
                        at.quoted()
                    )),
                    false => print(&table.to_string()),
                }
            }
        }
        Ok(())
    }
}

fn authority(at: &At) -> anyhow::Result<Authority> {
    at.check()?;
    let config = Config::load(&at.folder)?;
    Ok(Authority::open(&at.folder().authority(), config.enrolment.certificate_days, Attestation::None)?)
}

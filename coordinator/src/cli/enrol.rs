//! `enrol token|revoke|list`.

use super::{At, print, time};
use crate::authority::{Attestation, Authority};
use crate::config::Config;
use crate::server::now;
use sordino_shared::control::{from_hexadecimal, hexadecimal};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes one-time tokens, one a line.
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
    /// Revokes a device for good; a running server knows within a minute.
    Revoke {
        /// The device's key, as `list` shows it.
        key: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        at: At,
    },
    /// Lists devices.
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
            Self::Revoke { key, reason, at } => {
                let device =
                    from_hexadecimal(&key).ok_or_else(|| anyhow::anyhow!("a key has 64 hexadecimal digits"))?;
                let found = authority(&at)?.revoke(&device, &reason, now())?;
                anyhow::ensure!(found, "there is no device of this key that is not revoked already");
            }
            Self::List { json, at } => {
                let devices = authority(&at)?.devices()?;
                if json {
                    print(&(serde_json::to_string(&devices)? + "\n"));
                    return Ok(());
                }
                for device in devices {
                    let state = device.revoked.map_or_else(
                        || format!("holds until {}", time(device.not_after)),
                        |why| format!("revoked: {why}"),
                    );
                    print(&format!("{}  enrolled {}  {state}\n", device.key, time(device.enrolled)));
                }
            }
        }
        Ok(())
    }
}

fn authority(at: &At) -> anyhow::Result<Authority> {
    let config = Config::load(&at.folder)?;
    Ok(Authority::open(&at.folder().authority(), config.enrolment.certificate_days, Attestation::None)?)
}

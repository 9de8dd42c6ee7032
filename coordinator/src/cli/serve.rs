//! `serve`.

use super::{At, print};
use crate::config::Config;
use crate::server::Server;
use std::io::IsTerminal;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    at: At,
    /// What is logged: `error`, `warn`, `info`, `debug`, or parts of it, as in `info,sordino_coordinator=debug`.
    #[arg(long, env = "SORDINO_LOG", default_value = "info")]
    log: String,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log)?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_writer(std::io::stderr)
            .with_ansi(coloured())
            .init();
        let store = Box::new(self.at.store()?);
        let config = Config::load(&self.at.folder)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let server = Server::start(&self.at.folder, config, store).await?;
            print(&format!("devices: udp {}\npage: http://{}/\n", server.address()?, server.admin()));
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("stopping");
            server.stop().await;
            Ok(())
        })
    }
}

// Colours are for people: not for files and pipes, and not for those who say so (no-color.org).
fn coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

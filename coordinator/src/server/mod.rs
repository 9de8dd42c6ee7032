//! The server: a thin shell around rounds and tasks. Sockets, clocks, threads and files are here, decisions are not.
//!
//! | what | where |
//! |---|---|
//! | connections, requests and their limits | `listen.rs`, `request.rs` |
//! | what everything shares; checking in | `hub.rs` |
//! | tasks and rounds under way, as requests see them | `served.rs` |
//! | messages of a round's steps, and what devices are told | `steps.rs` |
//! | opening rounds and moving them on, durably | `driver/` |
//! | batches of contributions into the store | `flush.rs` |
//! | the one thread that writes | `storage.rs` |
//! | when devices come back | `pace.rs` |
//! | what is loaded, by its hash | `models.rs` |
//! | what serves, and what people do to rollouts | `serving.rs` |
//! | what the operator sees | `view.rs`, `rollout_view.rs`, `version_view.rs`, `metrics.rs` |

mod driver;
mod flush;
mod hub;
mod listen;
pub mod metrics;
mod models;
mod pace;
mod request;
mod rollout_view;
mod served;
mod serving;
mod steps;
mod storage;
mod version_view;
mod view;

pub use hub::Hub;
pub use models::Models;
pub use rollout_view::{LookView, RolloutView, StageView};
pub use storage::Storage;
pub use version_view::{Advantage, SignedRollout, SignedVersion, SignedView, VersionView};
pub use view::{RoundView, TaskView, View};

use crate::authority::{self, Attestation, Authority, KeyFile, Pair};
use crate::config::Config;
use crate::files::write_whole;
use crate::ledger::PopulationLedgers;
use crate::registry::{Keys, Office, Published};
use crate::store::Store;
use sordino_shared::control::{Federation, PublicKey};
use sordino_shared::privacy::ledger::Policy;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Why the server does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A port cannot be had.
    #[error("{address} cannot be listened on: {fault}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        fault: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error("{path}: {fault}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// Certificates or keys cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] authority::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The population's ledger.
    #[error(transparent)]
    Ledger(#[from] sordino_shared::privacy::ledger::Error),
    /// The population's budget.
    #[error(transparent)]
    Budget(#[from] crate::budget::Error),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// What serves.
    #[error(transparent)]
    Serving(#[from] crate::rollout::book::Error),
    /// A task.
    #[error("task '{name}': {reason}")]
    Task {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Files in a coordinator's folder.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// The store.
    pub fn store(&self) -> PathBuf {
        self.0.join("coordinator.sqlite")
    }

    /// The authority's own folder.
    pub fn authority(&self) -> PathBuf {
        self.0.join("authority")
    }

    /// Models and what devices load for rounds.
    pub fn models(&self) -> PathBuf {
        self.0.join("models")
    }

    /// What an operator hands out to devices.
    pub fn federation(&self) -> PathBuf {
        self.0.join("federation.toml")
    }

    /// The key that signs terms.
    pub fn operator(&self) -> KeyFile {
        KeyFile::new(&self.0, "operator.key")
    }

    /// The key of the certificate that devices pin.
    pub fn ca(&self) -> KeyFile {
        KeyFile::new(&self.0, "ca.key")
    }

    /// The key of connections.
    pub fn tls(&self) -> KeyFile {
        KeyFile::new(&self.0, "tls.key")
    }

    /// The key that says what serves.
    pub fn online(&self) -> KeyFile {
        KeyFile::new(&self.0, "online.key")
    }

    /// The registry.
    pub fn registry(&self) -> PathBuf {
        self.0.join("registry")
    }

    /// Keys of the people who sign versions, until they are taken elsewhere.
    pub fn people(&self) -> PathBuf {
        self.0.join("people")
    }

    /// Reads what is handed out to devices.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn load_federation(&self) -> Result<Federation, Error> {
        let path = self.federation();
        let text = std::fs::read_to_string(&path).map_err(|fault| Error::File { path: path.clone(), fault })?;
        let invalid = |error: toml::de::Error| std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string());
        toml::from_str(&text).map_err(|error| Error::File { path, fault: invalid(error) })
    }
}

/// What a new coordinator is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its settings.
    pub config: Config,
    /// Host and port at which devices reach it.
    pub public: String,
    /// The name in its certificate.
    pub name: String,
}

impl Folder {
    /// Makes a coordinator's folder: keys, authority, ledger, store, and the settings last, so that a folder with settings
    /// is a whole one.
    ///
    /// # Errors
    /// [`enum@Error`]; also where there is one already.
    pub fn init(&self, setup: &Setup) -> Result<(), Error> {
        let file = |path: PathBuf| move |fault| Error::File { path, fault };
        let settings = self.0.join(crate::config::FILE);
        if settings.exists() {
            let exists = std::io::Error::new(
                std::io::ErrorKind::AlreadyExists,
                "there is a coordinator here already: it stays as it is; choose another folder",
            );
            return Err(file(settings)(exists));
        }
        std::fs::create_dir_all(self.authority()).map_err(file(self.authority()))?;
        let authority = Authority::init(&self.authority())?;
        let operator = self.operator().create()?.public();
        self.tls().create()?;
        let online = self.online().create()?.public();
        let people = Keys::create(&self.people(), PEOPLE)?;
        let office = Office::new(&self.registry());
        office.init(&people, SIGNERS, &online, now())?;
        let root = office.read()?.map(|signed| signed.roots[0].clone()).unwrap_or_default();
        let ca = Pair::authority(&self.ca().create()?, listen::CA_NAME)?;
        let federation = Federation {
            server: setup.public.clone(),
            name: setup.name.clone(),
            population: setup.config.listen.population.clone(),
            authority: PublicKey(authority),
            operator: PublicKey(operator),
            ca: ca.pem(),
            root: String::from_utf8(root).expect("JSON is text"),
        };
        let text = toml::to_string(&federation).expect("plain words and keys");
        write_whole(&self.federation(), text.as_bytes()).map_err(file(self.federation()))?;
        crate::store::SqliteStore::open(&self.store())?;
        let privacy = &setup.config.privacy;
        let policy = Policy::new(privacy.epsilon, privacy.delta);
        PopulationLedgers::new(&self.0).create(&setup.config.listen.population, policy, now())?;
        let text = toml::to_string(&setup.config).expect("plain settings");
        write_whole(&settings, text.as_bytes()).map_err(file(settings))
    }
}

/// A running server.
pub struct Server {
    hub: Arc<Hub>,
    endpoint: quinn::Endpoint,
    admin: SocketAddr,
}

impl Server {
    /// Starts a coordinator in its folder, over this store. What was under way goes on.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub async fn start(folder: &Path, config: Config, mut store: Box<dyn Store>) -> Result<Self, Error> {
        let folder = Folder(folder.to_owned());
        let attestation = match &config.enrolment.attestation {
            None => Attestation::None,
            Some(program) => Attestation::Program(program.clone()),
        };
        let authority = Authority::open(&folder.authority(), config.enrolment.certificate_days, attestation)?;
        let federation = folder.load_federation()?;
        let operator = folder.operator().load()?;
        let (ledgers, config) = crate::budget::open(&folder.0, config, &mut *store)?;
        let models = Models::open(&folder.models())?;
        let endpoint = listen::endpoint(&folder, &config, &federation, &authority)?;
        let published = Published::new(&folder.registry(), folder.online().load()?);
        let parts = hub::Parts {
            authority,
            operator,
            ledgers,
            models,
            published,
            people: folder.people(),
            folder: folder.0.clone(),
        };
        let hub = Arc::new(Hub::new(config.clone(), Storage::start(store), parts));
        hub.refresh().await?;
        hub.catch_up().await?;
        driver::start(&hub).await?;
        let admin = crate::admin::serve(&hub, config.listen.admin)
            .await
            .map_err(|fault| Error::Listen { address: config.listen.admin, fault })?;
        tokio::spawn(listen::accept(hub.clone(), endpoint.clone()));
        tokio::spawn(hub::keep_fresh(hub.clone()));
        Ok(Self { hub, endpoint, admin })
    }

    /// Where devices find it.
    ///
    /// # Errors
    /// Where the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Where the operator's page is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Everything that it knows.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Takes no more requests, lets those under way end, and closes.
    pub async fn stop(self) {
        self.hub.stop();
        self.endpoint.close(quinn::VarInt::from_u32(0), b"the coordinator stops");
        self.endpoint.wait_idle().await;
    }
}

// Any two of three people sign.
const PEOPLE: usize = 3;
const SIGNERS: usize = 2;

/// The time, in milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

//! A coordinator for a test, in a folder of its own, and devices whose vectors come from a seed.

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig, VarInt};
use sordino_client::part::{Error, Part, Round};
use sordino_client::quic::{Line, Visit, check_in};
use sordino_coordinator::authority::{Attestation, Authority, Pair, ed25519_pkcs8};
use sordino_coordinator::config::Config;
use sordino_coordinator::ledger::PopulationLedgers;
use sordino_coordinator::registry::{Keys, Office};
use sordino_coordinator::server::{Folder, Models, Server, Setup, now};
use sordino_coordinator::store::{Phase, SqliteStore, Store, TaskRow, TaskState, VersionRow};
use sordino_coordinator::task::TaskFile;
use sordino_coordinator::training::step_seed;
use sordino_device::swarm::{CLIENT, Light, Vectors, enrol};
use sordino_shared::control::{ALPN, CheckIn, Federation, hexadecimal};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Example, Model, Solver};
use sordino_shared::privacy::ledger::{self, Balance, Policy};
use sordino_shared::privacy::{Noised, Samplers, Sum, decode};
use sordino_shared::secagg::{Hash, Identity};
use sordino_shared::wire::Kind;
use sordino_shared::workload::{Device, Workspace};
use sordino_simulator::federation::seeded;
use sordino_simulator::population::Population;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A coordinator's folder.
pub struct Trial {
    folder: TempDir,
    /// Its settings.
    pub config: Config,
}

impl Trial {
    /// A folder with settings for a test on one machine, changed by `change`.
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let filter = std::env::var("SORDINO_LOG").unwrap_or_else(|_| "warn".into());
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
        // The first test of a process sets it up.
        let _ = logs.try_init();
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        (config.listen.address, config.listen.admin) = (anywhere, anywhere);
        config.limits.connections_per_address = config.limits.connections;
        config.enrolment.least_age_hours = 0;
        config.enrolment.refresh_seconds = 1;
        config.privacy.epsilon = 30.0;
        config.registry.automatic = true;
        change(&mut config);
        let setup = Setup { config: config.clone(), public: "127.0.0.1:1".into(), name: "sordino".into() };
        Folder(folder.path().to_owned()).init(&setup).expect("a folder of its own");
        Self { folder, config }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A handle on its store.
    pub fn store(&self) -> SqliteStore {
        SqliteStore::open(&Folder(self.path().to_owned()).store()).expect("a store")
    }

    /// Adds a task.
    pub fn task(&self, text: &str) {
        let file = TaskFile::parse(text).expect("a valid task");
        let seed = file.training.seed.expect("a test's task has a seed");
        let row = TaskRow { name: file.name, text: text.to_owned(), seed, state: TaskState::Running, why: None };
        self.store().add_task(&row, now()).expect("a new task");
    }

    /// Signs a model as the next version, by the people's keys; gives its release counter.
    pub fn sign(&self, model: &Model) -> u64 {
        self.sign_about(model, "{}")
    }

    /// The same, with what is known of it, as JSON.
    pub fn sign_about(&self, model: &Model, about: &str) -> u64 {
        let folder = Folder(self.path().to_owned());
        let bytes = model.to_bytes();
        let kept = Models::open(&folder.models()).expect("a folder").put(bytes.clone()).expect("kept");
        let mut version = VersionRow {
            number: 0,
            digest: hexadecimal(&kept.digest),
            length: kept.length,
            task: "test".into(),
            round: None,
            parent: None,
            about: about.into(),
            made: now(),
        };
        version.number = self.store().import(&version, now()).expect("a version");
        self.office().sign_version(&version, &bytes, &self.people(), now()).expect("signed")
    }

    /// Where people sign.
    pub fn office(&self) -> Office {
        Office::new(&Folder(self.path().to_owned()).registry())
    }

    /// Their keys.
    pub fn people(&self) -> Vec<Identity> {
        Keys::load_all(&Folder(self.path().to_owned()).people()).expect("keys")
    }

    /// Tokens for so many devices.
    pub fn tokens(&self, count: usize) -> Vec<Hash> {
        let folder = Folder(self.path().to_owned()).authority();
        let authority = Authority::open(&folder, 7, Attestation::None).expect("the authority");
        authority.tokens(count, now() + 3_600_000).expect("tokens")
    }

    /// The authority, as an operator's commands have it.
    pub fn authority(&self) -> Authority {
        Authority::open(&Folder(self.path().to_owned()).authority(), 7, Attestation::None).expect("the authority")
    }

    /// What its population has spent.
    pub fn balance(&self) -> Balance {
        let mut ledgers = PopulationLedgers::new(self.path());
        let policy = Policy::new(self.config.privacy.epsilon, self.config.privacy.delta);
        let ledger = when_let_go(|| match ledgers.open("default", &policy) {
            Err(ledger::Error::InUse(_)) => None,
            opened => Some(opened),
        });
        ledger.expect("its ledger");
        ledgers.balance("default").expect("it is open")
    }

    /// Starts the server in this process.
    pub async fn serve(&self) -> Server {
        Server::start(self.path(), self.config.clone(), Box::new(self.store())).await.expect("it starts")
    }

    /// What devices are handed out, for a server at this address.
    pub fn federation(&self, address: SocketAddr) -> Federation {
        let mut federation = Folder(self.path().to_owned()).load_federation().expect("its own file");
        federation.server = format!("127.0.0.1:{}", address.port());
        federation
    }

    /// Devices that are enrolled, one for each of `vectors`.
    pub async fn devices(&self, federation: &Federation, vectors: Vec<Vectors>) -> (quinn::Endpoint, Vec<Light>) {
        let endpoint = sordino_client::quic::endpoint().expect("a port");
        let tokens = self.tokens(vectors.len());
        let vectors: Vec<_> = vectors.into_iter().map(|v| std::sync::Mutex::new(Some(v))).collect();
        let take = |device: usize| vectors[device].lock().expect("no panic").take().expect("once");
        let devices = enrol(&endpoint, federation, &tokens, take).await.expect("everybody enrols");
        (endpoint, devices)
    }
}

/// Tries until a server that stopped has let go of its folder, which it does when its last thread has ended.
///
/// # Panics
/// Where it does not within half a minute.
pub fn when_let_go<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match attempt() {
            Some(done) => return done,
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(100)),
            None => panic!("the server has stopped and does not let go of its folder"),
        }
    }
}

/// A device checks in, loads what a round needs and joins it.
pub async fn join(line: &Line, device: &mut Light) -> Part {
    let asked = CheckIn::new("default", CLIENT);
    let assigned = loop {
        match check_in(line, &asked).await.expect("an answer") {
            Visit::Round(assigned) => break assigned,
            Visit::Later(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let broadcast = line.fetch(&assigned.broadcast, 1 << 28).await.expect("loaded");
    Part::join(&assigned, &broadcast, &*device).expect("it joins")
}

/// Takes a part as far as its vector, which is ready to be sent.
pub async fn up_to_the_upload(line: &Line, part: &mut Part, device: &mut Light) {
    while part.request().get(5) != Some(&(Kind::Upload as u8)) {
        let frame = line.exchange(&part.request(), Part::most_payload).await.expect("an answer");
        part.take(&frame, device).expect("it goes on");
    }
}

/// A QUIC server with the trial's certificate that reads whole frames and answers each as it is told.
pub fn bare_server(trial: &Trial, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Endpoint {
    let folder = Folder(trial.path().to_owned());
    let identity = folder.tls().load().expect("a key");
    let ca =
        Pair::authority(&folder.ca().load().expect("a key"), "sordino coordinator authority").expect("a certificate");
    let certificate = ca.server(&identity, "sordino").expect("a certificate").into();
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], ed25519_pkcs8(&identity).into())
        .expect("a certificate");
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("TLS 1.3")));
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(512 * 1024)).receive_window(VarInt::from_u32(1024 * 1024));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().expect("an address")).expect("a port");
    let (accepting, answer) = (endpoint.clone(), Arc::new(answer));
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                    let frame = receive.read_to_end(1 << 24).await.expect("a frame");
                    send.write_all(&answer(&frame)).await.expect("sent");
                    let _ = send.finish();
                }
            });
        }
    });
    endpoint
}

/// Runs a test's future, and fails it where it does not end: a federation that waits for nobody waits for good.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    run_within(LONGEST_TEST, test)
}

/// The same for a test that may take longer than others.
pub fn run_within<T>(longest: Duration, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let result = runtime.block_on(async { tokio::time::timeout(longest, test).await });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.expect("the test ends in time")
}

const LONGEST_TEST: Duration = Duration::from_secs(120);

/// A task of one round, of popularity: everything that a round does, and few numbers. Track i is device i's alone.
pub fn one_round(devices: usize) -> String {
    format!(
        "name = \"{ONE_ROUND_NAME}\"\nworkload = \"embedding\"\n[catalogue]\ntracks = {devices}\n[privacy]\nepsilon = 4.0\n\
         delta = 1e-6\n[cohort]\ndevices = {devices}\n[training]\nrounds = 0\ndimensions = 4\nseed = 3\n[schedule]\n\
         pause_seconds = 0\nadvertise_seconds = 60\nshare_seconds = 60\nupload_seconds = 60\nagree_seconds = 60\n\
         unmask_seconds = 60\n"
    )
}

/// The name of [`one_round`]'s task.
pub const ONE_ROUND_NAME: &str = "one-round";

/// Devices whose vectors are known beforehand: one-hot, under noise from a seed. What a round must give is their sum.
pub struct Oracle {
    devices: usize,
    survivors: usize,
    expected: Arc<Mutex<Option<Vec<Vec<f64>>>>>,
}

impl Oracle {
    /// So many devices.
    pub fn new(devices: usize) -> Self {
        Self::of_the_first(devices, devices)
    }

    /// So many devices, of which the first `survivors` are to be in the sum.
    pub fn of_the_first(survivors: usize, devices: usize) -> Self {
        Self { devices, survivors, expected: Arc::default() }
    }

    /// Their vectors.
    pub fn vectors(&self) -> Vec<Vectors> {
        let of_device = |device: usize| -> Vectors {
            let (expected, survivors) = (self.expected.clone(), self.survivors);
            Box::new(move |round: &Round| {
                // The reference adds in the clear, each device once.
                expected.lock().expect("no panic").get_or_insert_with(|| {
                    let mut reference = Sum::new(&round.plan);
                    (0..survivors).for_each(|device| reference.add(&one_hot(device, round).expect("a vector")));
                    decode(&reference, &round.plan)
                });
                one_hot(device, round)
            })
        };
        (0..self.devices).map(of_device).collect()
    }

    /// Whether one round was done, and its sum is that of every device that is to be in it, once.
    pub fn holds(&self, store: &impl Store) -> bool {
        let rounds = store.rounds(ONE_ROUND_NAME, 9).expect("rounds");
        let aggregates = store.aggregates(ONE_ROUND_NAME).expect("aggregates");
        let expected = self.expected.lock().expect("no panic");
        let (Some(expected), [aggregate], [round]) = (&*expected, aggregates.as_slice(), rounds.as_slice()) else {
            return false;
        };
        let receipts = store.receipts(&round.context).expect("receipts");
        aggregate.sum == *expected && receipts.len() == self.survivors && round.phase == Phase::Done
    }
}

fn one_hot(device: usize, round: &Round) -> Result<Noised, Error> {
    let samplers = Samplers::new(&round.plan).map_err(|error| Error::Participation(error.into()))?;
    let examples = [Example { track: TrackId(device as u32), confidence: 1.0 }];
    let mut workspace = Workspace::default();
    let view = Device { examples: &examples, ..workspace.device() };
    Ok(seeded(&round.broadcast, &round.plan, &samplers, view, step_seed(3, 0), device).0)
}

/// Vectors of a population's devices, from seeded generators, as the simulator draws them. For trainings in which no round
/// is given up, so that round n is step n - 1.
pub fn seeded_vectors(population: &Arc<Population>, seed: u64) -> Vec<Vectors> {
    let of_device = |device: usize| -> Vectors {
        let population = population.clone();
        let mut memory = Vec::new();
        Box::new(move |round: &Round| {
            let samplers = Samplers::new(&round.plan).map_err(|error| Error::Participation(error.into()))?;
            let (examples, held_out) = (population.train.of(device), population.validation.of(device));
            let mut solver = Solver::default();
            let view = Device { examples, held_out, ..Device::new(&mut memory, &mut solver) };
            let seed = step_seed(seed, round.number - 1);
            Ok(seeded(&round.broadcast, &round.plan, &samplers, view, seed, device).0)
        })
    };
    (0..population.devices()).map(of_device).collect()
}

//! The shell that carries a device's frames: QUIC, TLS 1.3 on both sides, the coordinator's authority pinned.
//!
//! One request is one stream: a frame out, a frame back. A request whose connection breaks is sent again on another one;
//! that is safe, since every request of the protocol may come again.

#[cfg(feature = "store")]
mod device;
mod enrol;
mod visit;
mod why;

#[cfg(feature = "store")]
pub use device::{enrol_device, visit_once};
pub use enrol::{Credentials, enrol, renew};
pub use visit::{Visit, Visited, check_in, drive, pause, refresh, visit};
pub use why::Why;

pub use quinn::{Connection, Endpoint};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, IdleTimeout, RecvStream, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sordino_shared::control::{ALPN, Chunk, Download, Federation, Fetch, MOST_CHUNK, Reject};
use sordino_shared::wire::{self, Kind, Preamble};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

/// Why nothing came back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The coordinator cannot be reached, or the connection broke and did not come back.
    #[error("the coordinator cannot be reached: {0}")]
    Unreachable(String),
    /// The answer cannot be read.
    #[error("the coordinator's answer cannot be read: {0}")]
    Frame(#[from] wire::Error),
    /// The coordinator refuses.
    #[error("the coordinator refuses: {0}")]
    Rejected(Reject),
    /// What was loaded is not what was asked for.
    #[error("what was loaded does not have the hash that was asked for")]
    Hash,
    /// The registry is not believed.
    #[error(transparent)]
    Registry(#[from] sordino_shared::registry::Error),
    /// The device itself.
    #[cfg(feature = "store")]
    #[error(transparent)]
    Device(#[from] crate::device::Error),
    /// The part in the round is over.
    #[error(transparent)]
    Part(#[from] crate::part::Error),
}

/// How to reach the coordinator of a federation, as one device.
#[derive(Clone)]
pub struct Line {
    endpoint: Endpoint,
    config: ClientConfig,
    address: SocketAddr,
    name: String,
    patience: Duration,
    held: Arc<tokio::sync::Mutex<Option<Connection>>>,
}

impl Line {
    /// A line over an endpoint that may be shared with others. Without credentials it is good for enrolling alone.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub fn new(endpoint: &Endpoint, federation: &Federation, credentials: Option<&Credentials>) -> Result<Self, Error> {
        let address =
            federation.server.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()).ok_or_else(|| {
                Error::Settings(format!("'{}' is no host and port that can be found", federation.server))
            })?;
        let config = client_config(federation, credentials)?;
        Ok(Self {
            endpoint: endpoint.clone(),
            config,
            address,
            name: federation.name.clone(),
            patience: PATIENCE,
            held: Arc::default(),
        })
    }

    /// To another address than the federation's, for relays.
    pub fn to(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// How often a connection that waits shows that it lives. A lost coordinator is noticed by it.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.config.transport_config(Arc::new(transport(interval)));
        self
    }

    /// How long it goes on trying to get one answer.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends a frame and gives what comes back. A broken connection is made anew, after waits that grow, until the line's
    /// patience is over.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Frame`].
    pub async fn exchange(&self, frame: &[u8], most: fn(Kind) -> Option<usize>) -> Result<Vec<u8>, Error> {
        let end = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let failed = match timeout(LONGEST_ANSWER, self.try_exchange(frame, most)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Broken::Frame(error))) => return Err(error.into()),
                Ok(Err(Broken::Connection(why))) => why,
                Err(_) => "no answer came in time".to_owned(),
            };
            self.hang_up().await;
            if Instant::now() + pause > end {
                return Err(Error::Unreachable(failed));
            }
            tracing::debug!(why = failed, "sending again");
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Loads what has this hash.
    ///
    /// # Errors
    /// As [`Self::fetch_into`].
    pub async fn fetch(&self, download: &Download, most: u64) -> Result<Vec<u8>, Error> {
        let mut loaded = Vec::new();
        self.fetch_into(download, &mut loaded, most).await?;
        Ok(loaded)
    }

    /// Goes on loading what has this hash, from where `loaded` ends; what came is in there also after an error. Bytes of
    /// another hash are let go.
    ///
    /// # Errors
    /// As [`Self::exchange`]; [`Error::Hash`], [`Error::Rejected`].
    pub async fn fetch_into(&self, download: &Download, loaded: &mut Vec<u8>, most: u64) -> Result<(), Error> {
        if download.length > most {
            let reason =
                format!("{} bytes are to be loaded, more than the {most} of this device's limit", download.length);
            return Err(Error::Settings(reason));
        }
        while (loaded.len() as u64) < download.length {
            let request = Fetch { digest: download.digest, offset: loaded.len() as u64 };
            let most = |kind| match kind {
                Kind::Chunk => Some(MOST_CHUNK),
                Kind::Reject => Some(0),
                _ => None,
            };
            let frame = self.exchange(&request.to_frame(), most).await?;
            if wire::kind_of(&frame)? == Kind::Reject {
                return Err(Error::Rejected(Reject::from_frame(&frame)?));
            }
            let chunk = Chunk::from_frame(&frame)?;
            let expected = (request.digest, request.offset, download.length);
            if (chunk.digest, chunk.offset, chunk.total) != expected || chunk.bytes.is_empty() {
                return Err(Error::Hash);
            }
            loaded.extend_from_slice(chunk.bytes);
        }
        if sordino_shared::secagg::digest(loaded) == download.digest {
            return Ok(());
        }
        loaded.clear();
        Err(Error::Hash)
    }

    /// Gives up the connection, if there is one.
    pub async fn hang_up(&self) {
        if let Some(connection) = self.held.lock().await.take() {
            connection.close(VarInt::from_u32(0), b"done");
        }
    }

    /// Opens the connection and holds it.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn hold(&self) -> Result<(), Error> {
        self.connection().await.map(|_| ()).map_err(Error::Unreachable)
    }

    /// A connection of one's own, beside the one that is held: for tests that send what no device sends.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn raw(&self) -> Result<Connection, Error> {
        let line = Self { held: Arc::default(), ..self.clone() };
        line.connection().await.map_err(Error::Unreachable)
    }

    async fn try_exchange(&self, frame: &[u8], most: fn(Kind) -> Option<usize>) -> Result<Vec<u8>, Broken> {
        let connection = self.connection().await.map_err(Broken::Connection)?;
        let (mut send, mut receive) = connection.open_bi().await.map_err(broken)?;
        send.write_all(frame).await.map_err(broken)?;
        send.finish().map_err(broken)?;
        read_frame(&mut receive, most).await
    }

    async fn connection(&self) -> Result<Connection, String> {
        let mut held = self.held.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| connection.close_reason().is_none()) {
            return Ok(connection.clone());
        }
        let connecting = self
            .endpoint
            .connect_with(self.config.clone(), self.address, &self.name)
            .map_err(|error| error.to_string())?;
        let connection = timeout(HANDSHAKE, connecting)
            .await
            .map_err(|_| "the handshake took too long".to_owned())?
            .map_err(|error| error.to_string())?;
        Ok(held.insert(connection).clone())
    }
}

/// An endpoint on any free port, for one device or for many.
///
/// # Errors
/// [`Error::Settings`] where no port can be had.
pub fn endpoint() -> Result<Endpoint, Error> {
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    Endpoint::client(any).map_err(|error| Error::Settings(format!("no UDP port can be had: {error}")))
}

enum Broken {
    Connection(String),
    Frame(wire::Error),
}

fn broken(error: impl std::fmt::Display) -> Broken {
    Broken::Connection(error.to_string())
}

/// Nothing is allocated before the preamble's lengths were held against the limits.
async fn read_frame(receive: &mut RecvStream, most: fn(Kind) -> Option<usize>) -> Result<Vec<u8>, Broken> {
    let mut preamble = [0; Preamble::BYTES];
    receive.read_exact(&mut preamble).await.map_err(broken)?;
    let (_, lengths) = Preamble::read_any(&preamble, most).map_err(Broken::Frame)?;
    let mut frame = vec![0; Preamble::BYTES + lengths.rest()];
    frame[..Preamble::BYTES].copy_from_slice(&preamble);
    receive.read_exact(&mut frame[Preamble::BYTES..]).await.map_err(broken)?;
    Ok(frame)
}

fn client_config(federation: &Federation, credentials: Option<&Credentials>) -> Result<ClientConfig, Error> {
    let settings = |error: &dyn std::fmt::Display| Error::Settings(format!("the federation's certificate: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(federation.ca.as_bytes()) {
        roots.add(certificate.map_err(|error| settings(&error))?).map_err(|error| settings(&error))?;
    }
    if roots.is_empty() {
        return Err(settings(&"there is none in it"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| settings(&error))?
        .with_root_certificates(roots);
    let mut tls = match credentials {
        None => builder.with_no_client_auth(),
        Some(credentials) => {
            let chain = vec![CertificateDer::from(credentials.enrolled.x509.clone())];
            let key = PrivatePkcs8KeyDer::from(credentials.identity.pkcs8().to_vec());
            builder.with_client_auth_cert(chain, key.into()).map_err(|error| settings(&error))?
        }
    };
    // Nothing that links one connection to the next, and no certificate that lives on in a ticket.
    tls.resumption = Resumption::disabled();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic = QuicClientConfig::try_from(tls).map_err(|error| settings(&error))?;
    let mut config = ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport(KEEP_ALIVE)));
    Ok(config)
}

fn transport(keep_alive: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .keep_alive_interval(Some(keep_alive))
        .stream_receive_window(VarInt::from_u32(512 * 1024))
        .receive_window(VarInt::from_u32(1024 * 1024))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    transport
}

/// Half to all of the pause, so that devices that lost the same coordinator do not come back together.
fn jittered(pause: Duration) -> Duration {
    let share = crate::random::unit();
    pause.mul_f64(0.5 + 0.5 * share)
}

/// What a device identity is called where X.509 wants a name.
const NOBODY: &str = "sordino device";

const PATIENCE: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(10);
// The coordinator holds a request for at most half of that before it answers that the step is not over.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const IDLE_MS: u32 = 60_000;

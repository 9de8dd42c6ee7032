//! The socket: who may connect, how many, and how a handshake ends.

use super::hub::Hub;
use super::request::serve;
use super::{Error, Folder};
use crate::authority::{Authority, Pair, device_of, ed25519_pkcs8};
use crate::config::Config;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use socket2::{Domain, Protocol, Socket, Type};
use sordino_shared::control::{ALPN, Federation};
use sordino_shared::secagg::{Identity, digest};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Binds the socket and sets up TLS: a certificate of ours that devices pin, certificates of the authority's from them. Who
/// has none may connect, to enrol and for nothing else.
pub(super) fn endpoint(
    folder: &Folder,
    config: &Config,
    federation: &Federation,
    authority: &Authority,
) -> Result<Endpoint, Error> {
    let tls = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let identity = folder.tls().load()?;
    let ca = Pair::authority(&folder.ca().load()?, CA_NAME)?;
    let certificate = CertificateDer::from(ca.server(&identity, &federation.name)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.ca().to_vec())).map_err(|error| tls(&error))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| tls(&error))?;
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], PrivateKeyDer::from(ed25519_pkcs8(&identity)))
        .map_err(|error| tls(&error))?;
    // No tickets and no early data: they would keep a revoked certificate alive and link one visit to the next.
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.max_early_data_size = 0;
    server.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(server).map_err(|error| tls(&error))?;
    let mut quic = ServerConfig::with_crypto(Arc::new(crypto));
    quic.transport_config(Arc::new(transport(config)));
    quic.max_incoming(MOST_INCOMING).incoming_buffer_size_total(8 << 20).incoming_buffer_size(1 << 16);
    let address = config.listen.address;
    let socket = socket(address).map_err(|fault| Error::Listen { address, fault })?;
    // The same after a restart, so that devices hear at once that their connections are gone.
    Endpoint::new(lasting(&identity), Some(quic), socket, Arc::new(TokioRuntime))
        .map_err(|fault| Error::Listen { address, fault })
}

/// Keys of the endpoint that last as long as the key of its connections.
fn lasting(identity: &Identity) -> EndpointConfig {
    let derived = |purpose: &str| {
        let mut secret = Zeroizing::new(purpose.as_bytes().to_vec());
        secret.extend_from_slice(identity.secret().as_slice());
        digest(&secret)
    };
    let reset = hmac::Key::new(hmac::HMAC_SHA256, &derived("sordino stateless reset v1"));
    let mut ids = [0; 8];
    ids.copy_from_slice(&derived("sordino connection ids v1")[..8]);
    let ids = u64::from_le_bytes(ids);
    let mut config = EndpointConfig::new(Arc::new(reset));
    // Ids of an earlier process must be known as ours, or its connections would get no reset.
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    config
}

/// With buffers that hold what comes while the other core is busy.
fn socket(address: SocketAddr) -> std::io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The system gives as much as it allows; less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn transport(config: &Config) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = VarInt::from_u32(config.limits.idle_seconds.saturating_mul(1000));
    transport
        .max_idle_timeout(Some(IdleTimeout::from(idle)))
        // What a connection may make us hold unread. At 100 ms there and back that is 10 Mbit/s, enough for a phone's upload.
        .stream_receive_window(VarInt::from_u32(128 * 1024))
        .receive_window(VarInt::from_u32(256 * 1024))
        .send_window(1024 * 1024)
        .max_concurrent_bidi_streams(VarInt::from_u32(4))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    transport
}

/// How many there are.
#[derive(Default)]
struct Counts {
    handshakes: AtomicUsize,
    connections: AtomicUsize,
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection's place in the counts, given back when it goes.
struct Place {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Place {
    fn take(counts: &Arc<Counts>, address: IpAddr, config: &Config) -> Option<Self> {
        let limits = &config.limits;
        let mut by_address = counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let here = by_address.get(&address).copied().unwrap_or(0);
        if here >= limits.connections_per_address || counts.connections.load(Ordering::Relaxed) >= limits.connections {
            return None;
        }
        by_address.insert(address, here + 1);
        counts.connections.fetch_add(1, Ordering::Relaxed);
        Some(Self { counts: counts.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.connections.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Takes connections until the endpoint is closed. Never waits for one of them.
pub(super) async fn accept(hub: Arc<Hub>, endpoint: Endpoint) {
    let counts = Arc::new(Counts::default());
    while let Some(incoming) = endpoint.accept().await {
        let busy = counts.handshakes.load(Ordering::Relaxed) >= hub.config.limits.handshakes;
        if busy && !incoming.remote_address_validated() {
            hub.metrics.handshake("retry");
            // It was not validated, so it can be asked to be.
            let _ = incoming.retry();
            continue;
        }
        let Some(place) = Place::take(&counts, incoming.remote_address().ip(), &hub.config) else {
            hub.metrics.handshake("refused");
            incoming.refuse();
            continue;
        };
        counts.handshakes.fetch_add(1, Ordering::Relaxed);
        let (hub, counts) = (hub.clone(), counts.clone());
        tokio::spawn(async move {
            let connection = shake(&hub, incoming).await;
            counts.handshakes.fetch_sub(1, Ordering::Relaxed);
            if let Some(connection) = connection {
                hub.metrics.connected(1);
                let device = identity(&connection);
                serve(&hub, &connection, device).await;
                hub.metrics.connected(-1);
            }
            drop(place);
        });
    }
}

async fn shake(hub: &Hub, incoming: Incoming) -> Option<Connection> {
    let limit = Duration::from_secs(hub.config.limits.handshake_seconds);
    let result = match incoming.accept() {
        Ok(connecting) => timeout(limit, connecting).await,
        Err(error) => Ok(Err(error)),
    };
    match result {
        Ok(Ok(connection)) => {
            hub.metrics.handshake("ok");
            Some(connection)
        }
        Ok(Err(error)) => {
            hub.metrics.handshake("failed");
            tracing::debug!(%error, "a handshake failed");
            None
        }
        Err(_) => {
            hub.metrics.handshake("slow");
            None
        }
    }
}

/// The key that the peer's certificate is of, if it has one; the chain was checked in the handshake.
fn identity(connection: &Connection) -> Option<sordino_shared::secagg::Hash> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    device_of(chain.first()?)
}

/// The name of the certificate that devices pin.
pub(super) const CA_NAME: &str = "sordino coordinator authority";
const MOST_INCOMING: usize = 4096;
const SOCKET_BUFFER: usize = 8 << 20;

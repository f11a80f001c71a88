//! QUIC as we use it: windows, timeouts, limits, sockets.
//!
//! A store listens on as many sockets as it is told to, and dials from one of its own, which
//! is bound to the wildcard address of both families. Dialling from a listening socket would
//! tie a link to one family and one interface; from the wildcard it survives a change of
//! networks, as the client's side of QUIC migrates.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig, TransportConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;

use super::outside::Outside;
use super::tls::{self, Admit, Former, Purpose};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::{
    HANDSHAKE_STREAMS, IDLE_TIMEOUT_MS, KEEP_ALIVE_MS, LINK_WINDOW_BYTES, MAX_HANDSHAKES,
    MAX_INCOMING_BYTES, MAX_LINK_STREAMS, STRANGER_WINDOW_BYTES, SYNC_WINDOW_BYTES,
};
use crate::txn::NodeKey;

/// A socket that accepts. To be called where a runtime is entered.
pub(super) fn listen(
    outside: &dyn Outside,
    key: &NodeKey,
    former: Former,
    admit: Admit,
    address: SocketAddr,
) -> Result<Endpoint> {
    let server = server(key, former, admit)?;
    outside.listener(address, endpoint(key), server).map_err(|error| cannot_bind(address, error))
}

/// The socket to dial from. To be called where a runtime is entered.
pub(super) fn dialler(outside: &dyn Outside) -> Result<Endpoint> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    outside.dialler().map_err(|error| cannot_bind(any, error))
}

/// For dialling `peer` and nobody else.
pub(super) fn client(key: &NodeKey, peer: NodeId, purpose: Purpose) -> Result<ClientConfig> {
    let tls = tls::client_config(key, peer, purpose)?;
    let crypto = QuicClientConfig::try_from(tls).map_err(no_cipher)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

fn server(key: &NodeKey, former: Former, admit: Admit) -> Result<ServerConfig> {
    let tls = tls::server_config(key, former, admit)?;
    let crypto = QuicServerConfig::try_from(tls).map_err(no_cipher)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(reserved()));
    config.max_incoming(2 * MAX_HANDSHAKES);
    config.incoming_buffer_size(MAX_INCOMING_BYTES);
    config.incoming_buffer_size_total(2 * MAX_HANDSHAKES as u64 * MAX_INCOMING_BYTES);
    Ok(config)
}

/// A peer's stream window is that of a collection in the session. The windows of the whole
/// connection are above what a session leaves unacknowledged: a tail can then neither keep
/// control from being written (priority orders what is written) nor from being read.
fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .keep_alive_interval(Some(Duration::from_millis(KEEP_ALIVE_MS)))
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS as u32).into()))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(HANDSHAKE_STREAMS))
        .stream_receive_window(VarInt::from_u32(SYNC_WINDOW_BYTES as u32))
        .receive_window(VarInt::from_u32(LINK_WINDOW_BYTES as u32))
        .send_window(LINK_WINDOW_BYTES as u64)
        .datagram_receive_buffer_size(None)
        .enable_segmentation_offload(!cfg!(target_os = "android"));
    config
}

/// For who has dialled us: enough for one message, until we know who it is and [`welcome`] it.
fn reserved() -> TransportConfig {
    let mut config = transport();
    config
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW_BYTES as u32));
    config
}

/// Gives a connection all the streams that a link needs, once the peer's key is known. QUIC takes
/// memory for each stream that may be opened: some hundreds of bytes times thousands, which are not
/// for whoever knocks.
pub(super) fn welcome(connection: &Connection) {
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(MAX_LINK_STREAMS as u32 + 1));
}

/// What QUIC may hold for a link, in each direction. What the peer was already told that it may send
/// stays allowed.
pub(super) fn set_windows(connection: &Connection, bytes: usize) {
    connection.set_receive_window(VarInt::from_u32(u32::try_from(bytes).unwrap_or(u32::MAX)));
    connection.set_send_window(bytes as u64);
}

/// A node that was killed and comes back at the same address tells its peers so by a
/// stateless reset: they connect anew at once instead of waiting for the idle timeout. For
/// this it must know its connection ids and their reset tokens again: they come of its key.
fn endpoint(key: &NodeKey) -> EndpointConfig {
    let reset_key = ResetKey(blake3::derive_key("littoral v1 stateless reset", &key.seed()));
    let cid_key = blake3::derive_key("littoral v1 connection ids", &key.seed());
    let cid_key = u64::from_be_bytes(cid_key[..8].try_into().expect("8 of 32 bytes"));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)));
    config
}

/// Makes reset tokens.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> std::result::Result<(), CryptoError> {
        let signature: [u8; 32] = signature.try_into().map_err(|_| CryptoError)?;
        match blake3::keyed_hash(&self.0, data) == blake3::Hash::from(signature) {
            true => Ok(()),
            false => Err(CryptoError),
        }
    }
}

fn cannot_bind(address: SocketAddr, error: std::io::Error) -> Error {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another process uses this port, choose another one",
        std::io::ErrorKind::AddrNotAvailable => "; this machine does not have this address",
        std::io::ErrorKind::PermissionDenied => "; take a port above 1023",
        _ => "",
    };
    Error::new(ErrorKind::Network, format!("could not open UDP {address}: {error}{advice}"))
        .with_source(error)
}

fn no_cipher(error: quinn::crypto::rustls::NoInitialCipherSuite) -> Error {
    Error::new(ErrorKind::Internal, "TLS lacks the cipher suite that QUIC begins with")
        .with_source(error)
}

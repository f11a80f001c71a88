//! QUIC as an attacker uses it: any key, or none, and whatever windows it likes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use littoral::NodeId;
use littoral::txn::NodeKey;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig, VarInt};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Long enough for anything that is to happen at all.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// How an attacker dials.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) key: Option<NodeKey>,
    pub(crate) protocol: &'static [u8],
    /// How many bytes it lets the node send on one stream, and how many streams open.
    pub(crate) window: u32,
    pub(crate) streams: u32,
}

impl Manner {
    pub(crate) fn with(key: NodeKey) -> Manner {
        Manner { key: Some(key), protocol: b"littoral/1", window: 4 << 20, streams: 9000 }
    }
}

/// A socket to dial from.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// Dials a node; how it went.
pub(crate) async fn dial(
    from: &Endpoint,
    to: SocketAddr,
    manner: &Manner,
) -> Result<Connection, ConnectionError> {
    let connecting = from.connect_with(config(manner), to, "littoral").unwrap();
    timeout(LONG, connecting).await.expect("an answer of any kind")
}

fn config(manner: &Manner) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(Arc::clone(&provider))));
    let mut tls = match &manner.key {
        None => builder.with_no_client_auth(),
        Some(key) => {
            let shown = AlwaysResolvesClientRawPublicKeys::new(certified(key, &provider));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
    };
    tls.alpn_protocols = vec![manner.protocol.to_vec()];
    tls.enable_sni = false;
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(Duration::from_secs(3)))
        .max_concurrent_uni_streams(VarInt::from_u32(manner.streams))
        .stream_receive_window(VarInt::from_u32(manner.window));
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(Arc::new(transport));
    config
}

fn certified(key: &NodeKey, provider: &CryptoProvider) -> Arc<CertifiedKey> {
    const SECRET: [u8; 16] =
        [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let secret = [&SECRET[..], &key.seed()].concat();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(secret));
    let secret = provider.key_provider.load_private_key(secret).unwrap();
    let public = [&PUBLIC[..], NodeId::as_bytes(&key.id())].concat();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], secret))
}

/// Speaks to whoever answers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Begins a handshake and leaves it there: what the caller says goes through a relay that passes
/// on its first packet, the node's demand to show its address and the answer to that, if it
/// `answers` at all, and nothing else. Holds it until dropped.
pub(crate) async fn begin_handshake(
    from: &Endpoint,
    to: SocketAddr,
    manner: Manner,
    answers: bool,
) -> Left {
    let relay = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let connecting = from.connect_with(config(&manner), relay.local_addr().unwrap(), "littoral");
    let connecting = connecting.unwrap();
    let task = tokio::spawn(async move {
        let _kept = connecting;
        let (mut packet, mut caller, mut left) = ([0; 2000], None, 1);
        loop {
            let Ok((length, at)) = relay.recv_from(&mut packet).await else { continue };
            let packet = &packet[..length];
            if at != to {
                caller = Some(at);
                if left > 0 && relay.send_to(packet, to).await.is_ok() {
                    left -= 1;
                }
                continue;
            }
            // A long header of type 3: the node wants to know whether the address is ours.
            let is_retry = packet.first().is_some_and(|first| first & 0xf0 == 0xf0);
            if let (true, true, Some(caller)) = (is_retry, answers, caller) {
                let _ = relay.send_to(packet, caller).await;
                left = 1;
            }
        }
    });
    Left(task)
}

/// A handshake that was left unfinished.
pub(crate) struct Left(tokio::task::JoinHandle<()>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.abort();
    }
}

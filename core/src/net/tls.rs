//! Who is at the other end: TLS 1.3 with Ed25519 raw public keys (RFC 7250) on both sides.
//!
//! A node's key is its identity, here as in signatures, so no X.509 is spoken: no names, no
//! dates, no authorities, and no parser for them.
//!
//! Invariants:
//! 1. Both sides prove their key in the handshake, or there is no connection.
//! 2. The server asks [`Admit`] for every handshake, *after* the peer has proved its key, so
//!    that a refused key in a report is one that really knocked.
//! 3. The client accepts exactly the key it was told, whoever answers.
//! 4. There are no session tickets and no 0-RTT, on either side: a resumed session is not
//!    asked for its key again, so a key no longer trusted could come back with an old ticket,
//!    and early data can be replayed. They would save one round trip of a link that lives for
//!    hours.
//! 5. The client says which key it expects, as a name that only who knows that key can tell
//!    ([`expecting`]): a node that has changed its key shows the former one to whoever knows no
//!    other, and so can tell it.
//! 6. The cryptography is named (`ring`), never the process's default: another library in
//!    the process may have set another, or two, which panics.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use quinn::crypto::rustls::HandshakeData;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig,
    SignatureScheme,
};

use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::txn::NodeKey;

/// What a connection is for. Both ends name it in the handshake; a change of the form of its
/// streams changes the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A link.
    Sync,
    /// The exchange by which a node joins, and nothing else.
    Join,
}

impl Purpose {
    /// Its name in the handshake.
    pub(super) const fn alpn(self) -> &'static [u8] {
        match self {
            Purpose::Sync => b"littoral/1",
            Purpose::Join => b"littoral-join/1",
        }
    }
}

/// Bytes of chance in the name that a client puts where others put the server's, and of a hash.
const NONCE_BYTES: usize = 8;
const EXPECTED_BYTES: usize = 16;

/// What a client puts where others put the server's name: which key it expects, so that only who
/// knows the key can tell, and no two are the same.
pub(super) fn expecting(key: &NodeId, random: u64) -> String {
    let nonce = random.to_be_bytes();
    BASE32_NOPAD.encode(&[&nonce[..], &expected(key, &nonce)].concat()).to_ascii_lowercase()
}

/// Whether a client said that it expects this key.
fn is_expected(name: &str, key: &NodeId) -> bool {
    let said = BASE32_NOPAD.decode(name.to_ascii_uppercase().as_bytes()).unwrap_or_default();
    match said.split_first_chunk::<NONCE_BYTES>() {
        Some((nonce, hash)) => hash == expected(key, nonce),
        None => false,
    }
}

fn expected(key: &NodeId, nonce: &[u8; NONCE_BYTES]) -> [u8; EXPECTED_BYTES] {
    let material = [&nonce[..], key.as_bytes()].concat();
    let hash = blake3::derive_key("littoral v1 expected key", &material);
    *hash.first_chunk().expect("16 of 32 bytes")
}

/// The key that the node had before, as long as it has it. Asked once per handshake.
pub(super) type Former = Arc<dyn Fn() -> Option<NodeKey> + Send + Sync>;

/// Whether a node that proved its key may come in. Asked once per handshake; must not block.
pub(super) type Admit = Arc<dyn Fn(&NodeId) -> bool + Send + Sync>;

/// For accepting: proves `key`, or the former one to who expects that, and lets in whom `admit`
/// says.
pub(super) fn server_config(key: &NodeKey, former: Former, admit: Admit) -> Result<ServerConfig> {
    let provider = provider();
    let present = certified(key, &provider)?;
    let resolver = OwnKeys { present, former, provider: Arc::clone(&provider) };
    let verifier = AdmittedClients { admit, provider: Arc::clone(&provider) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(broken)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = [Purpose::Sync, Purpose::Join].map(|p| p.alpn().to_vec()).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// For connecting: proves `key`, and accepts `peer` and nobody else.
pub(super) fn client_config(key: &NodeKey, peer: NodeId, purpose: Purpose) -> Result<ClientConfig> {
    let provider = provider();
    let resolver = AlwaysResolvesClientRawPublicKeys::new(certified(key, &provider)?);
    let verifier = PinnedServer { peer, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![purpose.alpn().to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = true;
    Ok(config)
}

/// The node at the other end, as the handshake has authenticated it.
pub(super) fn peer(connection: &quinn::Connection) -> Result<NodeId> {
    let identity = connection.peer_identity();
    let keys = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    match keys.as_deref().map(Vec::as_slice) {
        Some([key]) => node_of(key).map_err(broken),
        _ => Err(Error::new(ErrorKind::Network, "the peer has not proved a key")),
    }
}

/// Whether who has dialled us expects this key.
pub(super) fn expects(connection: &quinn::Connection, key: &NodeId) -> bool {
    let data = connection.handshake_data();
    let data = data.and_then(|any| any.downcast::<HandshakeData>().ok());
    data.and_then(|data| data.server_name).is_some_and(|name| is_expected(&name, key))
}

/// What a connection is for, as both ends have agreed.
pub(super) fn purpose(connection: &quinn::Connection) -> Purpose {
    let data = connection.handshake_data();
    let data = data.and_then(|any| any.downcast::<HandshakeData>().ok());
    match data.and_then(|data| data.protocol) {
        Some(name) if name == Purpose::Join.alpn() => Purpose::Join,
        _ => Purpose::Sync,
    }
}

/// What precedes the 32 bytes of an Ed25519 public key in its SubjectPublicKeyInfo (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What precedes the 32 bytes of an Ed25519 seed in its PKCS#8 (RFC 8410).
const SECRET_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified(key: &NodeKey, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
    let secret = [SECRET_PREFIX.as_slice(), &key.seed()].concat();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(secret));
    let secret = provider.key_provider.load_private_key(secret).map_err(broken)?;
    let public = [PUBLIC_PREFIX.as_slice(), key.id().as_bytes()].concat();
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], secret)))
}

fn node_of(spki: &CertificateDer<'_>) -> std::result::Result<NodeId, rustls::Error> {
    spki.strip_prefix(&PUBLIC_PREFIX)
        .and_then(|key| key.try_into().ok())
        .map(NodeId::from_bytes)
        .ok_or_else(|| CertificateError::BadEncoding.into())
}

fn verify_signature(
    provider: &CryptoProvider,
    message: &[u8],
    spki: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    let algorithms = &provider.signature_verification_algorithms;
    verify_tls13_signature_with_raw_key(message, &spki, dss, algorithms)
}

fn only_tls13() -> rustls::Error {
    rustls::Error::General("only TLS 1.3 is spoken".to_owned())
}

fn broken(error: rustls::Error) -> Error {
    Error::new(ErrorKind::Network, format!("TLS: {error}")).with_source(error)
}

/// Shows our key, or the former one.
struct OwnKeys {
    present: Arc<CertifiedKey>,
    former: Former,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKeys")
    }
}

impl ResolvesServerCert for OwnKeys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        let former = (self.former)().filter(|former| is_expected(name, &former.id()));
        match former {
            Some(former) => certified(&former, &self.provider).ok(),
            None => Some(Arc::clone(&self.present)),
        }
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Lets in the clients that [`Admit`] says.
struct AdmittedClients {
    admit: Admit,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AdmittedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdmittedClients")
    }
}

impl ClientCertVerifier for AdmittedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        spki: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        node_of(spki).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    /// The last step of a handshake: here the key is proved, and only then asked for.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let valid = verify_signature(&self.provider, message, spki, dss)?;
        match (self.admit)(&node_of(spki)?) {
            true => Ok(valid),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Accepts one server.
#[derive(Debug)]
struct PinnedServer {
    peer: NodeId,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        spki: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match node_of(spki)? == self.peer {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_signature(&self.provider, message, spki, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rustls::{ClientConnection, ServerConnection};

    use super::*;

    fn key(n: u8) -> NodeKey {
        NodeKey::from_seed([n; 32])
    }

    /// Lets in only `key(1)`, and notes whom it was asked for.
    fn gate() -> (Admit, Arc<Mutex<Vec<NodeId>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let admit = move |node: &NodeId| {
            noted.lock().unwrap().push(*node);
            *node == key(1).id()
        };
        (Arc::new(admit), asked)
    }

    fn no_gate() -> Admit {
        Arc::new(|_| panic!("asked for a key that was not proved"))
    }

    fn none() -> Former {
        Arc::new(|| None)
    }

    type Handshake = std::result::Result<(ClientConnection, ServerConnection), rustls::Error>;

    /// A handshake over two buffers, to its end or its first error.
    fn handshake(client: ClientConfig, server: ServerConfig) -> Handshake {
        let name = ServerName::try_from(expecting(&key(2).id(), 7)).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        while client.wants_write() || server.wants_write() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            bytes.clear();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok((client, server))
    }

    #[test]
    fn both_sides_prove_their_keys() {
        let (admit, asked) = gate();
        let server = server_config(&key(2), none(), admit).unwrap();
        let client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        let (client, server) = handshake(client, server).unwrap();
        assert!(!client.is_handshaking() && !server.is_handshaking());
        assert_eq!(node_of(&server.peer_certificates().unwrap()[0]).unwrap(), key(1).id());
        assert_eq!(node_of(&client.peer_certificates().unwrap()[0]).unwrap(), key(2).id());
        assert_eq!(client.alpn_protocol(), Some(Purpose::Sync.alpn()));
        assert_eq!(*asked.lock().unwrap(), [key(1).id()]);
    }

    /// The helper above says that it expects `key(2)`.
    #[test]
    fn a_former_key_is_shown_to_who_expects_it_and_to_nobody_else() {
        let former = || -> Former { Arc::new(|| Some(key(2))) };
        let server = server_config(&key(5), former(), gate().0).unwrap();
        let client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        let (client, _) = handshake(client, server).unwrap();
        assert_eq!(node_of(&client.peer_certificates().unwrap()[0]).unwrap(), key(2).id());
        let gone = server_config(&key(5), none(), gate().0).unwrap();
        let client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        assert!(handshake(client, gone).is_err());
        let other: Former = Arc::new(|| Some(key(6)));
        let server = server_config(&key(2), other, gate().0).unwrap();
        let client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        assert!(handshake(client, server).is_ok());
        let (a, b) = (expecting(&key(2).id(), 1), expecting(&key(2).id(), 2));
        assert!(a[16..] != b[16..] && is_expected(&a, &key(2).id()));
        assert!(!is_expected(&a, &key(3).id()) && !is_expected("", &key(2).id()));
    }

    #[test]
    fn an_unknown_key_is_refused_at_the_handshake_and_reported() {
        let (admit, asked) = gate();
        let server = server_config(&key(2), none(), admit).unwrap();
        let client = client_config(&key(3), key(2).id(), Purpose::Sync).unwrap();
        let error = handshake(client, server).unwrap_err();
        let refused = CertificateError::ApplicationVerificationFailure;
        assert_eq!(error, rustls::Error::InvalidCertificate(refused));
        assert_eq!(*asked.lock().unwrap(), [key(3).id()]);
    }

    #[test]
    fn a_server_with_another_key_is_refused() {
        let server = server_config(&key(4), none(), no_gate()).unwrap();
        let client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        let error = handshake(client, server).unwrap_err();
        let refused = CertificateError::ApplicationVerificationFailure;
        assert_eq!(error, rustls::Error::InvalidCertificate(refused));
    }

    /// A client that names a key in its place but can't sign with it.
    #[test]
    fn a_key_that_is_not_proved_is_refused_and_not_reported() {
        let server = server_config(&key(2), none(), no_gate()).unwrap();
        let mut client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        let honest = certified(&key(3), &provider()).unwrap();
        let claimed = [PUBLIC_PREFIX.as_slice(), key(1).id().as_bytes()].concat();
        let liar = CertifiedKey::new(vec![CertificateDer::from(claimed)], honest.key.clone());
        client.client_auth_cert_resolver =
            Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(liar)));
        let error = handshake(client, server).unwrap_err();
        let refused = CertificateError::BadSignature;
        assert_eq!(error, rustls::Error::InvalidCertificate(refused));
    }

    #[test]
    fn a_client_without_a_key_is_refused() {
        let server = server_config(&key(2), none(), no_gate()).unwrap();
        let verifier = PinnedServer { peer: key(2).id(), provider: provider() };
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        client.alpn_protocols = vec![Purpose::Sync.alpn().to_vec()];
        assert!(handshake(client, server).is_err());
    }

    /// Shows the same key as if it were a certificate.
    #[derive(Debug)]
    struct AsCertificate(Arc<CertifiedKey>);

    impl rustls::client::ResolvesClientCert for AsCertificate {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    #[test]
    fn certificates_are_not_spoken() {
        let server = server_config(&key(2), none(), no_gate()).unwrap();
        let mut client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        let shown = certified(&key(1), &provider()).unwrap();
        client.client_auth_cert_resolver = Arc::new(AsCertificate(shown));
        assert!(handshake(client, server).is_err());
    }

    #[test]
    fn another_protocol_is_refused() {
        let (admit, _) = gate();
        let server = server_config(&key(2), none(), admit).unwrap();
        let mut client = client_config(&key(1), key(2).id(), Purpose::Sync).unwrap();
        client.alpn_protocols = vec![b"littoral/2".to_vec()];
        assert_eq!(handshake(client, server).unwrap_err(), rustls::Error::NoApplicationProtocol);
    }

    #[test]
    fn keys_of_another_form_are_refused() {
        let good = [PUBLIC_PREFIX.as_slice(), &[7; 32]].concat();
        assert!(node_of(&CertificateDer::from(good.clone())).is_ok());
        assert!(node_of(&CertificateDer::from(good[..43].to_vec())).is_err());
        assert!(node_of(&CertificateDer::from([good, vec![0]].concat())).is_err());
        assert!(node_of(&CertificateDer::from(vec![7; 44])).is_err());
    }
}

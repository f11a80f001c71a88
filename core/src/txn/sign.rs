//! Node keys, hashes and signatures of transactions.
//!
//! A signature binds the network, the collection and every byte of the transaction, by way
//! of its hash: `BLAKE3-derive-key("littoral v1 transaction", network ‖ collection length,
//! 1 byte ‖ collection ‖ origin ‖ seq, 8 bytes big-endian ‖ content)`, where content is
//! `BLAKE3-derive-key("littoral v1 transaction content", transaction)`. What is signed is
//! that hash; so Ed25519 reads 32 bytes, not the transaction twice. The hash does not cover
//! the signature: the chain of an origin is fixed before its signatures are made.
//!
//! The content has a hash of its own so that a [`Proof`] of 96 bytes shows, without the
//! transaction, that its author signed one with this number and this hash: a vector that
//! names it need not be believed (rule 10: numbers prove nothing).

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use pkcs8::LineEnding;

use super::{Txn, codec};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, check_collection};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Which stores belong together. Stores of different networks do not sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkId(pub [u8; 16]);

impl NetworkId {
    /// The network with this name.
    pub fn named(name: &str) -> NetworkId {
        let hash = blake3::derive_key("littoral v1 network", name.as_bytes());
        NetworkId(hash[..16].try_into().expect("16 of 32 bytes"))
    }
}

/// Where a transaction belongs: its signature is valid there and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The network.
    pub network: NetworkId,
    /// The collection.
    pub collection: &'a str,
}

/// A node's secret key. Never shown by `Debug`.
#[derive(Clone)]
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// From 32 secret bytes.
    pub fn from_seed(seed: [u8; 32]) -> NodeKey {
        NodeKey(SigningKey::from_bytes(&seed))
    }

    /// The 32 secret bytes.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// As PEM, encrypted: PKCS #8, PBES2 with scrypt and AES-256-CBC.
    pub(crate) fn encrypted(&self, passphrase: &str) -> Result<String> {
        let text = self.0.to_pkcs8_encrypted_pem(passphrase.as_bytes(), LineEnding::LF);
        let text = text.map_err(|err| {
            Error::new(ErrorKind::Internal, format!("the key could not be encrypted: {err}"))
        })?;
        Ok(text.as_str().to_owned())
    }

    /// What [`NodeKey::encrypted`] wrote, or another program in that form; none if the passphrase
    /// is another.
    pub(crate) fn decrypted(text: &str, passphrase: &str) -> Option<NodeKey> {
        SigningKey::from_pkcs8_encrypted_pem(text, passphrase.as_bytes()).ok().map(NodeKey)
    }

    /// The public key.
    pub fn id(&self) -> NodeId {
        NodeId::from_bytes(self.0.verifying_key().to_bytes())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({:?})", self.id())
    }
}

/// Shows that an author signed a transaction, by its number and hash, without the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Hash of the transaction's bytes.
    pub content: Hash,
    /// The author's signature of the transaction's hash.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Proof {
    /// Of nothing.
    pub const NONE: Proof = Proof { content: Hash([0; 32]), signature: [0; SIGNATURE_BYTES] };

    /// Bytes of an encoded proof.
    pub const BYTES: usize = 32 + SIGNATURE_BYTES;

    /// Content, then signature.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..32].copy_from_slice(&self.content.0);
        out[32..].copy_from_slice(&self.signature);
        out
    }

    /// The reverse of [`Proof::to_bytes`].
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Proof {
        let (content, signature) = bytes.split_at(32);
        Proof {
            content: Hash(content.try_into().expect("32 of 96 bytes")),
            signature: signature.try_into().expect("64 of 96 bytes"),
        }
    }

    /// The hash of the transaction at `dot`, if its author signed it.
    pub fn check(&self, dot: &Dot, scope: Scope<'_>) -> Result<Hash> {
        let hash = hash(dot, &self.content, scope);
        check_signature(dot, &hash, &self.signature).map(|()| hash)
    }
}

/// A transaction with its hash and the bytes that are kept and sent.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What it says.
    pub txn: Arc<Txn>,
    /// Its hash.
    pub hash: Hash,
    /// Shows that its author signed a transaction with this number and hash.
    pub proof: Proof,
    /// Its bytes, signature at the end.
    pub bytes: Vec<u8>,
}

/// A transaction that lacks nothing but its signature. Its hash is fixed, so the next one of its
/// author can be built on it.
#[derive(Debug)]
pub(crate) struct Unsigned {
    pub(crate) txn: Arc<Txn>,
    pub(crate) hash: Hash,
    content: Hash,
    body: Vec<u8>,
}

impl Unsigned {
    /// What no reader would accept is not made: it would enter the author's own log, and end it.
    pub(crate) fn new(txn: Txn, scope: Scope<'_>) -> Result<Unsigned> {
        let body = codec::encode(&txn)?;
        codec::check(&body).map_err(|err| {
            let what = format!("the transaction would not be readable ({err}); please report it");
            Error::new(ErrorKind::Internal, what)
        })?;
        let content = content(&body);
        let hash = hash(&txn.dot, &content, scope);
        Ok(Unsigned { txn: Arc::new(txn), hash, content, body })
    }

    /// Bytes that it will have.
    pub(crate) fn len(&self) -> usize {
        self.body.len() + SIGNATURE_BYTES
    }

    /// Signs it with its author's key.
    pub(crate) fn sign(self, key: &NodeKey) -> Signed {
        let Unsigned { txn, hash, content, body: mut bytes } = self;
        debug_assert_eq!(txn.dot.origin.node, key.id());
        let signature = key.0.sign(&hash.0).to_bytes();
        bytes.extend_from_slice(&signature);
        Signed { txn, hash, proof: Proof { content, signature }, bytes }
    }
}

impl Signed {
    /// Signs `txn` with its author's key. What no reader would accept is not signed.
    pub fn sign(txn: Txn, scope: Scope<'_>, key: &NodeKey) -> Result<Signed> {
        Ok(Unsigned::new(txn, scope)?.sign(key))
    }

    /// Reads a transaction that came from outside: checks its signature, then its form. So only
    /// what its author has signed is taken for something of a later version.
    pub fn verify(bytes: Vec<u8>, scope: Scope<'_>) -> Result<Signed> {
        Verifier::new(scope).verify(bytes)
    }

    /// Hands out the ids of the documents that a transaction of our own log wrote, in order, without
    /// what it wrote. Gives the rest of it.
    pub(crate) fn trusted_ids(bytes: &[u8], each: impl FnMut(&str)) -> Result<Txn> {
        let (body, _) = split(bytes)?;
        codec::read_ids(body, each)
    }

    /// Reads a transaction from our own log, where it was checked before it was written.
    pub fn trusted(bytes: Vec<u8>, scope: Scope<'_>) -> Result<Signed> {
        let (body, signature) = split(&bytes)?;
        let proof = Proof { content: content(body), signature: *signature };
        let txn = Arc::new(codec::decode(body)?);
        let hash = hash(&txn.dot, &proof.content, scope);
        Ok(Signed { txn, hash, proof, bytes })
    }
}

/// Verifies many transactions of one collection. It keeps the key of the author it saw last: to
/// make one from its 32 bytes takes a tenth of a check.
pub(crate) struct Verifier<'a> {
    scope: Scope<'a>,
    last: Option<(NodeId, VerifyingKey)>,
}

impl<'a> Verifier<'a> {
    pub(crate) fn new(scope: Scope<'a>) -> Verifier<'a> {
        Verifier { scope, last: None }
    }

    /// As [`Signed::verify`].
    pub(crate) fn verify(&mut self, bytes: Vec<u8>) -> Result<Signed> {
        check_collection(self.scope.collection)?;
        let (body, signature) = split(&bytes)?;
        let dot = codec::peek_dot(body)?;
        if dot.origin.is_branch() {
            return Err(Error::bad_txn(format!("{dot} is signed under the name of a branch")));
        }
        let proof = Proof { content: content(body), signature: *signature };
        let hash = hash(&dot, &proof.content, self.scope);
        let last = self.last.take().filter(|(author, _)| *author == dot.origin.node);
        let key = last.map_or_else(|| verifying_key(&dot), |(_, key)| Ok(key))?;
        check_with(&key, &dot, &hash, signature)?;
        self.last = Some((dot.origin.node, key));
        let txn = Arc::new(codec::decode(body)?);
        Ok(Signed { txn, hash, proof, bytes })
    }
}

/// Signs the head of a snapshot, as the node that serves it.
pub(super) fn sign_snapshot(head: &[u8], scope: Scope<'_>, key: &NodeKey) -> [u8; SIGNATURE_BYTES] {
    key.0.sign(&snapshot_hash(head, scope).0).to_bytes()
}

/// Checks what [`sign_snapshot`] made.
pub(super) fn check_snapshot(
    head: &[u8],
    scope: Scope<'_>,
    server: &NodeId,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<()> {
    let hash = snapshot_hash(head, scope);
    VerifyingKey::from_bytes(server.as_bytes())
        .and_then(|key| key.verify_strict(&hash.0, &Signature::from_bytes(signature)))
        .map_err(|_| Error::bad_txn("the signature of a snapshot is wrong"))
}

fn snapshot_hash(head: &[u8], scope: Scope<'_>) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 snapshot");
    hasher.update(&scope.network.0);
    hasher.update(&[scope.collection.len() as u8]);
    hasher.update(scope.collection.as_bytes());
    hasher.update(head);
    Hash(*hasher.finalize().as_bytes())
}

/// Signs a statement of the roster; also gives its hash.
pub(super) fn sign_statement(
    body: &[u8],
    network: NetworkId,
    key: &NodeKey,
) -> (Hash, [u8; SIGNATURE_BYTES]) {
    let hash = statement_hash(body, network);
    (hash, key.0.sign(&hash.0).to_bytes())
}

/// Checks what [`sign_statement`] made, and gives the hash.
pub(super) fn check_statement(
    body: &[u8],
    network: NetworkId,
    issuer: &NodeId,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<Hash> {
    let hash = statement_hash(body, network);
    VerifyingKey::from_bytes(issuer.as_bytes())
        .and_then(|key| key.verify_strict(&hash.0, &Signature::from_bytes(signature)))
        .map_err(|_| Error::bad_txn("the signature of a statement of the roster is wrong"))?;
    Ok(hash)
}

/// Signs, as the heir of a member's rights, what a succession says before that signature.
pub(super) fn sign_heir(body: &[u8], network: NetworkId, heir: &NodeKey) -> [u8; SIGNATURE_BYTES] {
    heir.0.sign(&heir_hash(body, network).0).to_bytes()
}

/// Checks what [`sign_heir`] made.
pub(super) fn check_heir(
    body: &[u8],
    network: NetworkId,
    heir: &NodeId,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<()> {
    let hash = heir_hash(body, network);
    VerifyingKey::from_bytes(heir.as_bytes())
        .and_then(|key| key.verify_strict(&hash.0, &Signature::from_bytes(signature)))
        .map_err(|_| Error::bad_txn("the key that is to succeed another has not signed that"))
}

fn heir_hash(body: &[u8], network: NetworkId) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 heir");
    hasher.update(&network.0);
    hasher.update(body);
    Hash(*hasher.finalize().as_bytes())
}

/// What a statement is called, and what is signed of it.
pub(super) fn statement_hash(body: &[u8], network: NetworkId) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 roster");
    hasher.update(&network.0);
    hasher.update(body);
    Hash(*hasher.finalize().as_bytes())
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8; SIGNATURE_BYTES])> {
    bytes.split_last_chunk().ok_or_else(|| Error::bad_txn("a transaction ends too early"))
}

fn check_signature(dot: &Dot, hash: &Hash, signature: &[u8; SIGNATURE_BYTES]) -> Result<()> {
    check_with(&verifying_key(dot)?, dot, hash, signature)
}

fn verifying_key(dot: &Dot) -> Result<VerifyingKey> {
    VerifyingKey::from_bytes(dot.origin.node.as_bytes()).map_err(|_| wrong_signature(dot))
}

fn check_with(
    key: &VerifyingKey,
    dot: &Dot,
    hash: &Hash,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<()> {
    let checked = key.verify_strict(&hash.0, &Signature::from_bytes(signature));
    checked.map_err(|_| wrong_signature(dot))
}

fn wrong_signature(dot: &Dot) -> Error {
    Error::bad_txn(format!("the signature of transaction {dot} is wrong"))
}

/// The hash of the transaction at `dot` whose bytes without signature are `body`.
pub(crate) fn hash_of_body(dot: &Dot, body: &[u8], scope: Scope<'_>) -> Hash {
    hash(dot, &content(body), scope)
}

fn content(body: &[u8]) -> Hash {
    Hash(blake3::derive_key("littoral v1 transaction content", body))
}

fn hash(dot: &Dot, content: &Hash, scope: Scope<'_>) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 transaction");
    hasher.update(&scope.network.0);
    hasher.update(&[scope.collection.len() as u8]);
    hasher.update(scope.collection.as_bytes());
    hasher.update(&dot.origin.to_bytes());
    hasher.update(&dot.seq.to_be_bytes());
    hasher.update(&content.0);
    Hash(*hasher.finalize().as_bytes())
}

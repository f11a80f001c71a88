//! Node keys, hashes and signatures of transactions.
//!
//! A signature binds the network, the collection and every byte of the transaction, by way
//! of its hash: `BLAKE3-derive-key("littoral v1 transaction", network ‖ collection length,
//! 1 byte ‖ collection ‖ transaction)`. What is signed is that hash; so Ed25519 reads 32
//! bytes, not the transaction twice. The hash does not cover the signature: the chain of
//! an origin is fixed before its signatures are made.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::{Txn, codec};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, NodeId, check_collection};

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

/// A transaction with its hash and the bytes that are kept and sent.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What it says.
    pub txn: Txn,
    /// Its hash.
    pub hash: Hash,
    /// Its bytes, signature at the end.
    pub bytes: Vec<u8>,
}

impl Signed {
    /// Signs `txn` with its author's key. What no reader would accept is not signed: it would
    /// enter the author's own log, and end it.
    pub fn sign(txn: Txn, scope: Scope<'_>, key: &NodeKey) -> Result<Signed> {
        debug_assert_eq!(txn.dot.origin.node, key.id());
        let mut bytes = codec::encode(&txn)?;
        codec::decode(&bytes).map_err(|err| {
            let what = format!("the transaction would not be readable ({err}); please report it");
            Error::new(ErrorKind::Internal, what)
        })?;
        let hash = hash(&bytes, scope);
        bytes.extend_from_slice(&key.0.sign(&hash.0).to_bytes());
        Ok(Signed { txn, hash, bytes })
    }

    /// Reads a transaction that came from outside: checks its signature, then its form. So only
    /// what its author has signed is taken for something of a later version.
    pub fn verify(bytes: Vec<u8>, scope: Scope<'_>) -> Result<Signed> {
        check_collection(scope.collection)?;
        let (body, signature) = split(&bytes)?;
        let dot = codec::peek_dot(body)?;
        let hash = hash(body, scope);
        VerifyingKey::from_bytes(dot.origin.node.as_bytes())
            .and_then(|key| key.verify_strict(&hash.0, &Signature::from_bytes(signature)))
            .map_err(|_| Error::bad_txn(format!("the signature of transaction {dot} is wrong")))?;
        let txn = codec::decode(body)?;
        Ok(Signed { txn, hash, bytes })
    }

    /// Reads a transaction from our own log, where it was checked before it was written.
    pub fn trusted(bytes: Vec<u8>, scope: Scope<'_>) -> Result<Signed> {
        let (body, _) = split(&bytes)?;
        let (txn, hash) = (codec::decode(body)?, hash(body, scope));
        Ok(Signed { txn, hash, bytes })
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8; SIGNATURE_BYTES])> {
    bytes.split_last_chunk().ok_or_else(|| Error::bad_txn("a transaction ends too early"))
}

fn hash(body: &[u8], scope: Scope<'_>) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 transaction");
    hasher.update(&scope.network.0);
    hasher.update(&[scope.collection.len() as u8]);
    hasher.update(scope.collection.as_bytes());
    hasher.update(body);
    Hash(*hasher.finalize().as_bytes())
}

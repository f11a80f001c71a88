//! Names of things: nodes, origins, dots, vectors, collections, documents.
//!
//! Parsed once, at the edge; whoever holds one of these types holds a legal one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

use crate::error::{Error, Result};
use crate::limits::{MAX_COLLECTION_BYTES, MAX_ID_BYTES};

/// A node: its Ed25519 public key. Written as 52 lower-case base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// From the 32 bytes of an Ed25519 public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> NodeId {
        NodeId(bytes)
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first ten characters, for people.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for NodeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<NodeId> {
        BASE32_NOPAD
            .decode(text.trim().to_ascii_uppercase().as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(NodeId)
            .ok_or_else(|| {
                Error::invalid("a node key has 52 letters and digits (a to z, 2 to 7), as `littoral id` prints it")
            })
    }
}

/// Who writes: a node, and which incarnation of it. Dots are counted per origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The node's key.
    pub node: NodeId,
    /// 0 at first. When a node can't be sure that a dot is unused, it takes another one, by lot.
    pub incarnation: u32,
}

impl Origin {
    /// Incarnations are up to this: the highest bit says that it is the name of a branch.
    pub const LAST_INCARNATION: u32 = u32::MAX >> 1;

    /// The name of a branch: what `root` wrote from the transaction with the hash `first` on,
    /// where its history has forked. Nobody signs under such a name.
    pub fn of_branch(root: Origin, first: &Hash) -> Origin {
        let drawn = u32::from_be_bytes(first.0[..4].try_into().expect("4 of 32 bytes"));
        Origin { node: root.node, incarnation: drawn | !Origin::LAST_INCARNATION }
    }

    /// Whether it is the name of a branch.
    pub fn is_branch(&self) -> bool {
        self.incarnation > Origin::LAST_INCARNATION
    }

    /// Bytes of an encoded origin.
    pub const BYTES: usize = 36;

    /// Key, then incarnation, big-endian: byte order is the order of origins.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..32].copy_from_slice(self.node.as_bytes());
        out[32..].copy_from_slice(&self.incarnation.to_be_bytes());
        out
    }

    /// The reverse of [`Origin::to_bytes`].
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Origin {
        let (node, incarnation) = bytes.split_at(32);
        Origin {
            node: NodeId(node.try_into().expect("32 of 36 bytes")),
            incarnation: u32::from_be_bytes(incarnation.try_into().expect("4 of 36 bytes")),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation {
            0 => write!(f, "{}", self.node.short()),
            n if self.is_branch() => {
                write!(f, "{}~{:08x}", self.node.short(), n & Origin::LAST_INCARNATION)
            }
            n => write!(f, "{}.{n}", self.node.short()),
        }
    }
}

/// The number of a transaction among those of its origin in one collection; the first is 1.
pub type Seq = u64;

/// One transaction of one collection: who wrote it, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who wrote it.
    pub origin: Origin,
    /// Its number.
    pub seq: Seq,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.seq)
    }
}

/// BLAKE3 of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Bytes of a shortened hash, as vectors and dependencies carry it.
    pub const SHORT_BYTES: usize = 16;

    /// The first 16 bytes.
    pub fn short(&self) -> ShortHash {
        ShortHash(self.0[..Self::SHORT_BYTES].try_into().expect("16 of 32 bytes"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.short())
    }
}

/// The first 16 bytes of a [`struct@Hash`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortHash(pub [u8; 16]);

impl fmt::Debug for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0[..6]))
    }
}

/// The newest transaction of an origin: its number and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number; every one from 1 on is included.
    pub seq: Seq,
    /// Its hash, shortened.
    pub hash: ShortHash,
}

impl Head {
    /// Adds the entry of a vector that says this of `origin` to a digest.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher, origin: &Origin) {
        hasher.update(&origin.to_bytes());
        hasher.update(&self.seq.to_be_bytes());
        hasher.update(&self.hash.0);
    }
}

/// A version vector: of each origin the newest transaction included, without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vector(BTreeMap<Origin, Head>);

impl Vector {
    /// The vector that includes nothing.
    pub fn new() -> Vector {
        Vector::default()
    }

    /// The newest number included of `origin`; 0 if none.
    pub fn seq(&self, origin: &Origin) -> Seq {
        self.0.get(origin).map_or(0, |head| head.seq)
    }

    /// The newest transaction included of `origin`.
    pub fn head(&self, origin: &Origin) -> Option<Head> {
        self.0.get(origin).copied()
    }

    /// Whether the transaction at `dot` is included.
    pub fn covers(&self, dot: &Dot) -> bool {
        self.seq(&dot.origin) >= dot.seq
    }

    /// Whether everything included in `other` is included here.
    pub fn covers_all(&self, other: &Vector) -> bool {
        other.0.iter().all(|(origin, head)| self.seq(origin) >= head.seq)
    }

    /// Includes `origin` up to `head`, if that is newer.
    pub fn advance(&mut self, origin: Origin, head: Head) {
        let entry = self.0.entry(origin).or_insert(head);
        if head.seq > entry.seq {
            *entry = head;
        }
    }

    /// A vector of entries that are in the order of origins, each once: it takes about half the
    /// memory of one to which they are added one by one.
    pub(crate) fn of_ascending(entries: Vec<(Origin, Head)>) -> Vector {
        Vector(entries.into_iter().collect())
    }

    /// The entries, in the order of origins.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Origin, &Head)> {
        self.0.iter()
    }

    /// How many origins it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it includes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A digest that is equal exactly for equal vectors.
    pub fn digest(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("littoral v1 vector digest");
        self.0.iter().for_each(|(origin, head)| head.hash_into(&mut hasher, origin));
        Hash(*hasher.finalize().as_bytes())
    }
}

impl FromIterator<(Origin, Head)> for Vector {
    fn from_iter<I: IntoIterator<Item = (Origin, Head)>>(entries: I) -> Vector {
        let mut vector = Vector::new();
        for (origin, head) in entries {
            vector.advance(origin, head);
        }
        vector
    }
}

/// A place in this store's log. Grows with every transaction; meaningful only for this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Checks a collection's name: 1 to 128 bytes, letters, digits, `_`, `-` and `.`, not led by `.` or `-`.
pub fn check_collection(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > MAX_COLLECTION_BYTES {
        return Err(Error::invalid(format!(
            "a collection's name has 1 to {MAX_COLLECTION_BYTES} bytes; this one has {}",
            name.len()
        )));
    }
    if !name.chars().all(legal) || name.starts_with(['.', '-']) {
        return Err(Error::invalid(
            "a collection's name has letters, digits, '_', '-' and '.', and starts with none of '-' and '.'",
        ));
    }
    Ok(())
}

/// Checks a document's id: UTF-8, 1 to 512 bytes.
pub fn check_id(id: &str) -> Result<()> {
    match id.len() {
        0 => Err(Error::invalid("a document's id must not be empty")),
        n if n > MAX_ID_BYTES => Err(Error::limit(format!(
            "a document's id has at most {MAX_ID_BYTES} bytes; this one has {n}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_round_trip_as_text() {
        let id = NodeId([7; 32]);
        assert_eq!(id.to_string().len(), 52);
        assert_eq!(id.to_string().parse::<NodeId>().unwrap(), id);
        assert!("nonsense".parse::<NodeId>().is_err());
    }

    #[test]
    fn id_limits_are_inclusive() {
        assert!(check_id(&"x".repeat(512)).is_ok());
        assert!(check_id(&"x".repeat(513)).is_err());
        assert!(check_id("").is_err());
        assert!(check_collection(&"x".repeat(128)).is_ok());
        assert!(check_collection(&"x".repeat(129)).is_err());
        for bad in ["", "a b", ".hidden", "-x", "a/b", "ä"] {
            assert!(check_collection(bad).is_err(), "{bad:?}");
        }
    }
}

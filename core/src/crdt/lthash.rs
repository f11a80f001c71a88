//! A digest of a multiset that can be kept up to date one element at a time.
//!
//! LtHash (Bellare and Micciancio 1997; Lewi et al., "Securing Update Propagation with
//! Homomorphic Hashing", 2019) with 1,024 lanes of 16 bits over BLAKE3: adding an
//! element adds its 2,048 bytes lane by lane, removing subtracts them. Finding another
//! multiset with the same digest is a lattice problem; of a XOF of 256 bits folded by
//! XOR it would be linear algebra.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::id::Hash;

/// Worked out once, since it takes as long as hashing an element.
static ELEMENT: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("littoral v1 lthash"));

const LANES: usize = 1024;

/// The digest's state: 2 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct LtHash(Box<[u16; LANES]>);

impl LtHash {
    /// Bytes of the state.
    pub const BYTES: usize = 2 * LANES;

    /// The digest of nothing.
    pub fn new() -> LtHash {
        LtHash(Box::new([0; LANES]))
    }

    /// Adds an element, by its hash.
    pub fn add(&mut self, element: &Hash) {
        self.mix(element, u16::wrapping_add);
    }

    /// Removes an element that was added.
    pub fn remove(&mut self, element: &Hash) {
        self.mix(element, u16::wrapping_sub);
    }

    fn mix(&mut self, element: &Hash, op: impl Fn(u16, u16) -> u16) {
        let mut expanded = [0; Self::BYTES];
        blake3::Hasher::new_from_context_key(&ELEMENT)
            .update(&element.0)
            .finalize_xof()
            .fill(&mut expanded);
        // Pieces of a known size: else this is no loop of vectors, and takes longer than the hash.
        for (lane, bytes) in self.0.iter_mut().zip(expanded.as_chunks().0) {
            *lane = op(*lane, u16::from_le_bytes(*bytes));
        }
    }

    /// The digest, short.
    pub fn digest(&self) -> Hash {
        Hash(blake3::derive_key("littoral v1 lthash digest", &self.to_bytes()))
    }

    /// The state, to be stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0; Self::BYTES];
        for (bytes, lane) in out.chunks_exact_mut(2).zip(self.0.iter()) {
            bytes.copy_from_slice(&lane.to_le_bytes());
        }
        out
    }

    /// The reverse of [`LtHash::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<LtHash> {
        let mut state = LtHash::new();
        if bytes.len() != Self::BYTES {
            return None;
        }
        for (lane, bytes) in state.0.iter_mut().zip(bytes.chunks_exact(2)) {
            *lane = u16::from_le_bytes([bytes[0], bytes[1]]);
        }
        Some(state)
    }
}

impl Default for LtHash {
    fn default() -> LtHash {
        LtHash::new()
    }
}

impl std::fmt::Debug for LtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LtHash({:?})", self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_removing_undoes_adding() {
        let [a, b] = [Hash([1; 32]), Hash([2; 32])];
        let (mut x, mut y) = (LtHash::new(), LtHash::new());
        x.add(&a);
        x.add(&b);
        y.add(&b);
        y.add(&a);
        assert_eq!(x.digest(), y.digest());
        x.add(&a);
        assert_ne!(x.digest(), y.digest(), "twice is not once, nor never");
        x.remove(&a);
        x.remove(&b);
        x.remove(&a);
        assert_eq!(x, LtHash::new());
        assert_eq!(LtHash::from_bytes(&y.to_bytes()), Some(y));
    }
}

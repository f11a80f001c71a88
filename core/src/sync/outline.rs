//! Outlines: a long vector told by digests of its parts, so that only what differs travels.
//!
//! A vector has an entry for every origin that ever wrote, also for those long gone: a device
//! that was lost, a store that took another name after it was restored. So two sides that have
//! many in common and differ in few tell each other, in place of a vector:
//!
//! ```text
//!   who says what it holds                 who hears it
//!   Outline ───────────────────────────▶   compares it with what it holds itself
//!           ◀───────────────────────────   Pick      the buckets that differ
//!   Picked  ───────────────────────────▶   all others are as its own: a vector, as if by `Have`
//! ```
//!
//! An origin's bucket follows from its name alone. A bucket's digest has 16 bytes, so nobody can
//! make two that differ look alike; and the vector that is put together must have the digest that
//! the outline gave of the whole. Nothing is believed that a vector sent in full would not have
//! said, and nothing is left out of it: that is why origins need no end that somebody signs.
//!
//! Does not know: messages, the session.

use crate::id::{Hash, Head, Origin, ShortHash, Vector};
use crate::limits::MAX_OUTLINE_BUCKETS;

/// Entries in a bucket, about.
const BUCKET_ENTRIES: usize = 128;
/// Fewest buckets.
pub(super) const MIN_BUCKETS: usize = 4;

/// A vector in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Digest of the vector.
    pub vector: Hash,
    /// Digests of its buckets: a power of two of them, from 4 on.
    pub buckets: Vec<ShortHash>,
}

/// Whether so many buckets are legal.
pub(super) fn is_legal(buckets: usize) -> bool {
    buckets.is_power_of_two() && (MIN_BUCKETS..=MAX_OUTLINE_BUCKETS).contains(&buckets)
}

impl Outline {
    /// Of a vector, with as many buckets as suit its length.
    pub(super) fn of(vector: &Vector) -> Outline {
        let suited = (vector.len() / BUCKET_ENTRIES).next_power_of_two();
        let buckets = suited.clamp(MIN_BUCKETS, MAX_OUTLINE_BUCKETS);
        Outline { vector: vector.digest(), buckets: digests(vector, buckets) }
    }

    /// The buckets in which a vector differs from this one, ascending.
    pub(super) fn differing(&self, from: &Vector) -> Vec<u16> {
        let theirs = digests(from, self.buckets.len());
        let both = self.buckets.iter().zip(&theirs).enumerate();
        both.filter(|(_, (a, b))| a != b).map(|(at, _)| at as u16).collect()
    }
}

/// Digests of so many buckets of a vector.
fn digests(vector: &Vector, buckets: usize) -> Vec<ShortHash> {
    let mut entries: Vec<(usize, &Origin, &Head)> =
        vector.iter().map(|(origin, head)| (bucket(origin, buckets), origin, head)).collect();
    // Stable: within a bucket they stay in the order of origins.
    entries.sort_by_key(|(bucket, ..)| *bucket);
    let mut rest = entries.as_slice();
    let digests = (0..buckets).map(|bucket| {
        let of_it = rest.partition_point(|(of, ..)| *of == bucket);
        let (entries, later) = rest.split_at(of_it);
        rest = later;
        digest(entries)
    });
    digests.collect()
}

/// The entries of a vector in some of so many buckets.
pub(super) fn pick(vector: &Vector, buckets: usize, picks: &[u16]) -> Vector {
    entries(vector, buckets, |bucket| picks.binary_search(&bucket).is_ok()).collect()
}

/// A vector that is `base`, but for what is in these buckets.
pub(super) fn compose(base: &Vector, buckets: usize, picks: &[u16], picked: &Vector) -> Vector {
    let others = entries(base, buckets, |bucket| picks.binary_search(&bucket).is_err());
    others.chain(picked.iter().map(|(origin, head)| (*origin, *head))).collect()
}

fn entries(
    vector: &Vector,
    buckets: usize,
    wanted: impl Fn(u16) -> bool,
) -> impl Iterator<Item = (Origin, Head)> {
    let of = move |origin: &Origin| bucket(origin, buckets) as u16;
    let entries = vector.iter().filter(move |(origin, _)| wanted(of(origin)));
    entries.map(|(origin, head)| (*origin, *head))
}

/// Keys are as good as drawn; the incarnations of one node lie apart.
fn bucket(origin: &Origin, buckets: usize) -> usize {
    let key = origin.node.as_bytes();
    let spread = origin.incarnation.wrapping_mul(0x9e37_79b1) >> 16;
    let drawn = u32::from(u16::from_be_bytes([key[0], key[1]])) ^ spread;
    drawn as usize >> (16 - buckets.trailing_zeros())
}

fn digest(entries: &[(usize, &Origin, &Head)]) -> ShortHash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 vector bucket");
    entries.iter().for_each(|(_, origin, head)| head.hash_into(&mut hasher, origin));
    Hash(*hasher.finalize().as_bytes()).short()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::NodeId;

    fn vector(entries: &[(u16, u32, u64)]) -> Vector {
        let entry = |(node, incarnation, seq): &(u16, u32, u64)| {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&node.to_be_bytes());
            let origin = Origin { node: NodeId::from_bytes(key), incarnation: *incarnation };
            (origin, Head { seq: *seq, hash: ShortHash([*seq as u8; 16]) })
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn the_number_of_buckets_goes_by_the_length() {
        let long = |n: u32| (0..n).map(|n| ((n * 7919) as u16, n, 1)).collect::<Vec<_>>();
        for (entries, buckets) in [(0, 4), (512, 4), (600, 4), (700, 8), (10_000, 128)] {
            assert_eq!(Outline::of(&vector(&long(entries))).buckets.len(), buckets, "{entries}");
        }
        assert!([4, 8, MAX_OUTLINE_BUCKETS].into_iter().all(is_legal));
        assert!(![0, 1, 2, 5, 2 * MAX_OUTLINE_BUCKETS].into_iter().any(is_legal));
    }

    /// Of 10,000 origins, one of which has gone on, a fiftieth travels.
    #[test]
    fn little_travels_where_little_differs() {
        let entries: Vec<_> = (0..10_000u32).map(|n| ((n * 7919) as u16, n / 5, 1)).collect();
        let (ours, mut theirs) = (vector(&entries), entries);
        theirs[77].2 = 2;
        let theirs = vector(&theirs);
        let outline = Outline::of(&theirs);
        let picks = outline.differing(&ours);
        assert_eq!(picks.len(), 1);
        let picked = pick(&theirs, outline.buckets.len(), &picks);
        assert!(picked.len() < 200, "{}", picked.len());
        assert_eq!(compose(&ours, outline.buckets.len(), &picks, &picked), theirs);
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_what_was_told(
            ours in prop::collection::vec((any::<u16>(), 0u32..4, 1u64..4), 0..60),
            theirs in prop::collection::vec((any::<u16>(), 0u32..4, 1u64..4), 0..60),
            both in prop::collection::vec((any::<u16>(), 0u32..4, 1u64..4), 0..60),
            bits in 2u32..8,
        ) {
            let ours = vector(&[&both[..], &ours].concat());
            let theirs = vector(&[&both[..], &theirs].concat());
            let buckets = 1 << bits;
            let outline = Outline { vector: theirs.digest(), buckets: digests(&theirs, buckets) };
            let picks = outline.differing(&ours);
            prop_assert_eq!(picks.is_empty(), ours == theirs);
            let picked = pick(&theirs, buckets, &picks);
            let told = compose(&ours, buckets, &picks, &picked);
            prop_assert_eq!(told.digest(), outline.vector);
            prop_assert_eq!(told, theirs);
        }
    }
}

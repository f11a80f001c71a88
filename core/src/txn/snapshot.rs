//! Snapshots as they travel: the signed head of a view, spans of documents with their
//! digests, and the documents themselves.
//!
//! A snapshot is one view of one replica. It carries no signatures of authors over its
//! documents: the member that serves it signs its head, and each entry of the vector is
//! proven by its author (rules 8 and 10, promise 9). Pure: how a view is read, staged and
//! joined is the store's business, what is asked for when is the session's.
//!
//! | head | bytes |
//! | --- | --- |
//! | format | 1: `02` |
//! | branches | how forked origins are named: see [`branches`](super::branches) |
//! | vector | count; each: origin 36, seq 8 big-endian, proof 96; sorted |
//! | past | count; each: origin 36, count; each: first number, count, short hashes of that one and those after it; sorted, with a gap between |
//! | cells | 32: digest of the collection's cells |
//! | documents | 8, big-endian: how many the view shows |
//! | signature | 64: the server's, over `BLAKE3-derive-key("littoral v1 snapshot", network ‖ collection length, 1 byte ‖ collection ‖ all before)` |
//!
//! | document | bytes |
//! | --- | --- |
//! | origins | count; each 36: those that the row names, by number from 0 |
//! | row | the bytes of a [`Row`], flags zero |

use std::collections::BTreeMap;

use super::sign::{self, SIGNATURE_BYTES};
use super::{Branches, NodeKey, Proof, Scope};
use crate::crdt::{Flags, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, Origin, Seq, ShortHash};
use crate::limits::{MAX_SEQ, MAX_SNAPSHOT_CELLS_BYTES, MAX_VECTOR_ENTRIES, MAX_VIEW_HASHES};
use crate::wire::{Reader, put_uint};

const FORMAT: u8 = 2;

/// What a view holds of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The number of its newest transaction.
    pub seq: Seq,
    /// That transaction's hash.
    pub hash: Hash,
    /// Shows that the origin signed it.
    pub proof: Proof,
}

/// Hashes of some transactions of one origin, by number. Not proven: who serves a view is trusted
/// with them as with its documents.
pub type Past = BTreeMap<Seq, ShortHash>;

/// What a view is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewHead {
    /// How forked origins are named, and what authors had seen of them.
    pub branches: Branches,
    /// What was applied; without gaps.
    pub vector: BTreeMap<Origin, Newest>,
    /// Of origins in the vector, hashes of earlier transactions: so that who holds less of one can
    /// tell whether the view goes on from that.
    pub past: BTreeMap<Origin, Past>,
    /// The digest of the cells.
    pub cells: Hash,
    /// How many documents it shows: for people, and to plan with.
    pub documents: u64,
}

impl ViewHead {
    /// The head's bytes, signed by the node that serves the view.
    pub fn sign(&self, scope: Scope<'_>, key: &NodeKey) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.branches.encode(true));
        put_uint(&mut out, self.vector.len() as u64);
        for (origin, newest) in &self.vector {
            out.extend_from_slice(&origin.to_bytes());
            out.extend_from_slice(&newest.seq.to_be_bytes());
            out.extend_from_slice(&newest.proof.to_bytes());
        }
        self.put_past(&mut out);
        out.extend_from_slice(&self.cells.0);
        out.extend_from_slice(&self.documents.to_be_bytes());
        let signature = sign::sign_snapshot(&out, scope, key);
        out.extend_from_slice(&signature);
        out
    }

    /// Reads a head that `server` sent: checks its signature, and every proof.
    pub fn verify(bytes: &[u8], scope: Scope<'_>, server: &NodeId) -> Result<ViewHead> {
        let (body, signature): (&[u8], &[u8; SIGNATURE_BYTES]) = bytes
            .split_last_chunk()
            .ok_or_else(|| Error::bad_txn("the head of a snapshot ends too early"))?;
        sign::check_snapshot(body, scope, server, signature)?;
        let mut reader = Reader::new(body, "head of a snapshot");
        let format = reader.u8()?;
        if format < FORMAT {
            return Err(Error::bad_txn(format!(
                "a snapshot has format {format}, which is no longer read: upgrade Littoral on the node that serves it"
            )));
        }
        if format > FORMAT {
            return Err(Error::new(
                ErrorKind::FormatTooNew,
                format!(
                    "a snapshot has format {format}, this version knows format {FORMAT}; upgrade Littoral here"
                ),
            ));
        }
        let branches = Branches::read(&mut reader, Some(scope))?;
        let count = reader.count()?;
        if count > MAX_VECTOR_ENTRIES {
            return Err(reader.bad("more origins than a vector may have"));
        }
        let mut vector = BTreeMap::new();
        for _ in 0..count {
            let origin = Origin::from_bytes(&reader.array()?);
            if vector.last_key_value().is_some_and(|(last, _)| *last >= origin) {
                return Err(reader.bad("origins out of order"));
            }
            let seq = u64::from_be_bytes(reader.array()?);
            if seq == 0 || seq > MAX_SEQ {
                return Err(reader.bad("a transaction numbered 0, or higher than there are"));
            }
            let proof = Proof::from_bytes(&reader.array()?);
            let signed = branches.signed(&Dot { origin, seq });
            let signed = signed.ok_or_else(|| reader.bad("a branch that is not told"))?;
            let hash = proof.check(&signed, scope)?;
            vector.insert(origin, Newest { seq, hash, proof });
        }
        let past = read_past(&mut reader, &vector)?;
        let head = ViewHead {
            branches,
            vector,
            past,
            cells: Hash(reader.array()?),
            documents: u64::from_be_bytes(reader.array()?),
        };
        reader.end().map(|()| head)
    }

    fn put_past(&self, out: &mut Vec<u8>) {
        put_uint(out, self.past.len() as u64);
        for (origin, past) in &self.past {
            out.extend_from_slice(&origin.to_bytes());
            let mut runs: Vec<(Seq, Vec<&ShortHash>)> = Vec::new();
            for (seq, hash) in past {
                match runs.last_mut() {
                    Some((first, run)) if *first + run.len() as u64 == *seq => run.push(hash),
                    _ => runs.push((*seq, vec![hash])),
                }
            }
            put_uint(out, runs.len() as u64);
            for (first, run) in runs {
                put_uint(out, first);
                put_uint(out, run.len() as u64);
                run.iter().for_each(|hash| out.extend_from_slice(&hash.0));
            }
        }
    }

    /// Whether the view includes the transaction at `dot`.
    pub fn covers(&self, dot: &Dot) -> bool {
        self.vector.get(&dot.origin).is_some_and(|newest| newest.seq >= dot.seq)
    }
}

fn read_past(
    reader: &mut Reader<'_>,
    vector: &BTreeMap<Origin, Newest>,
) -> Result<BTreeMap<Origin, Past>> {
    let (mut all, mut room) = (BTreeMap::new(), MAX_VIEW_HASHES);
    for _ in 0..reader.count()? {
        let origin = Origin::from_bytes(&reader.array()?);
        let newest = vector.get(&origin).map_or(0, |newest| newest.seq);
        if all.last_key_value().is_some_and(|(last, _)| *last >= origin) {
            return Err(reader.bad("origins out of order"));
        }
        let (mut past, mut next) = (Past::new(), 1);
        for _ in 0..reader.count()? {
            let (first, count) = (reader.uint()?, reader.count()?);
            let end = first.saturating_add(count as u64);
            if first < next || count == 0 || end > newest || count > room {
                return Err(reader.bad("hashes out of order, of what is not there, or too many"));
            }
            room -= count;
            for seq in first..end {
                past.insert(seq, ShortHash(reader.array()?));
            }
            // What follows without a gap belongs to the same run.
            next = end + 1;
        }
        if past.is_empty() {
            return Err(reader.bad("an origin without hashes"));
        }
        all.insert(origin, past);
    }
    Ok(all)
}

/// One document of a view, on its way into staging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its id.
    pub id: String,
    /// Its row as it travels; `None` if the view has no such document.
    pub packed: Option<Vec<u8>>,
}

/// Neighbouring documents, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// From this id on; empty is from the first.
    pub start: String,
    /// Before this id; `None` is to the last.
    pub end: Option<String>,
}

/// How many documents lie in a span, and a digest of all their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanDigest {
    /// How many.
    pub rows: u64,
    /// The digest.
    pub digest: ShortHash,
}

/// Works out the digest of a span, document by document in the order of ids.
#[derive(Debug)]
pub struct SpanHasher {
    rows: u64,
    hasher: blake3::Hasher,
}

impl Default for SpanHasher {
    fn default() -> SpanHasher {
        SpanHasher { rows: 0, hasher: blake3::Hasher::new_derive_key("littoral v1 span") }
    }
}

impl SpanHasher {
    /// The next document, by the digest of its row.
    pub fn push(&mut self, document: &Hash) {
        self.rows += 1;
        self.hasher.update(&document.0);
    }

    /// How many were pushed.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest.
    pub fn finish(&self) -> SpanDigest {
        let digest = Hash(*self.hasher.finalize().as_bytes()).short();
        SpanDigest { rows: self.rows, digest }
    }
}

/// The bytes of one document's row, with the origins that it names.
pub fn pack(row: &Row) -> Vec<u8> {
    let mut numbers: BTreeMap<Origin, u32> =
        Row::origins_of(row.cells()).map(|origin| (origin, 0)).collect();
    let mut out = Vec::with_capacity(256);
    put_uint(&mut out, numbers.len() as u64);
    for (number, (origin, entry)) in (0..).zip(&mut numbers) {
        *entry = number;
        out.extend_from_slice(&origin.to_bytes());
    }
    out.extend(row.encode(Flags::default(), |origin| numbers[origin]));
    out
}

/// Reads what [`pack`] wrote. What the row means is checked by [`join::check`](crate::crdt::join::check).
pub fn unpack(bytes: &[u8]) -> Result<Row> {
    let mut reader = Reader::new(bytes, "document of a snapshot");
    let count = reader.count()?;
    let mut origins = Vec::new();
    for _ in 0..count {
        origins.push(Origin::from_bytes(&reader.array()?));
    }
    let origin_of = |number: u32| origins.get(number as usize).copied();
    Row::decode_at_most(reader.take_rest(), MAX_SNAPSHOT_CELLS_BYTES, origin_of)
}

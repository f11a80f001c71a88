//! Versions: what a reader had seen of a document.
//!
//! A [`Base`] is that, to write the difference to; a [`Version`] the same as opaque bytes, for
//! those who can't hand back the document. It holds the dots seen and a print of each field
//! shown, so that a stale copy can be put back without the store keeping old documents.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::crdt::key::{self, Slot};
use crate::crdt::{Body, Cell, Row, view};
use crate::error::{Error, Result};
use crate::id::{Dot, Origin, Seq};
use crate::limits::MAX_VERSION_LEAVES;
use crate::value::{Field, Fields, Value, codec};
use crate::wire::{Reader, put_int, put_uint};

const VERSION_FORMAT: u8 = 1;

/// What a reader had seen of a document, as opaque bytes to hand back with a `put`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version(Vec<u8>);

impl Version {
    /// The version of a document that `row` holds.
    pub fn of(row: &Row) -> Version {
        Base::of(row).to_version()
    }

    /// From the bytes that [`Version::as_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Version {
        Version(bytes.to_vec())
    }

    /// The bytes; empty is "I saw no document".
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a caller had seen of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    digest: [u8; 16],
    seen: BTreeMap<Origin, Seq>,
    /// Of each shown leaf, by the hash of its key, a print of its value; `None` if there were too many.
    pub(super) leaves: Option<BTreeMap<u64, u64>>,
    pub(super) rows: BTreeMap<(u64, Dot), (Seq, i128)>,
}

impl Base {
    /// What a reader of `row` sees.
    pub fn of(row: &Row) -> Base {
        Base { digest: digest(row), ..Base::of_part(row.cells()) }
    }

    /// What a reader of a part of a document sees. It can't be compared with the whole.
    pub(super) fn of_part(cells: &[impl Borrow<Cell>]) -> Base {
        let mut leaves = BTreeMap::new();
        if let Some(fields) = view::fields_of(cells) {
            each_leaf(&fields, &mut Vec::new(), &mut |key, print| {
                leaves.insert(short_hash(key), print);
            });
        }
        let cells = cells.iter().map(Borrow::borrow);
        let rows = cells.clone().filter_map(|cell: &Cell| match &cell.body {
            Body::Counter(counter) => {
                Some(((short_hash(&cell.key), cell.stamp.dot), (counter.seq, counter.total)))
            }
            Body::Put(_) => None,
        });
        Base {
            digest: [0; 16],
            seen: Row::seen_in(cells),
            leaves: Some(leaves),
            rows: rows.collect(),
        }
    }

    /// Whether `row` is exactly what was seen.
    pub fn is_current(&self, row: &Row) -> bool {
        self.digest == digest(row)
    }

    /// Whether it says nothing but what the document was: enough to compare, not to write to.
    pub(super) fn is_mere_print(&self) -> bool {
        self.leaves.is_none() && self.seen.is_empty()
    }

    pub(super) fn covers(&self, dot: &Dot) -> bool {
        self.seen.get(&dot.origin).is_some_and(|&seq| dot.seq <= seq)
    }

    pub(super) fn print(&self, key: &[u8]) -> Option<u64> {
        let leaves = self.leaves.as_ref()?;
        if leaves.is_empty() { None } else { leaves.get(&short_hash(key)).copied() }
    }

    pub(super) fn shows(&self, prefix: &[u8], slot: Slot) -> bool {
        self.print(&key::slot(prefix, slot)).is_some()
    }

    /// The opaque bytes of this.
    pub fn to_version(&self) -> Version {
        if self.digest == [0; 16] {
            return Version::default();
        }
        let mut out = vec![VERSION_FORMAT];
        out.extend_from_slice(&self.digest);
        // A version travels in a header of HTTP: what can't be said in one is only compared.
        let brief = self.seen.len().max(self.rows.len()) <= MAX_VERSION_LEAVES;
        let seen = self.seen.iter().filter(|_| brief);
        put_uint(&mut out, seen.clone().count() as u64);
        for (origin, seq) in seen {
            out.extend_from_slice(&origin.to_bytes());
            put_uint(&mut out, *seq);
        }
        let few = |leaves: &&BTreeMap<u64, u64>| brief && leaves.len() <= MAX_VERSION_LEAVES;
        match self.leaves.as_ref().filter(few) {
            None => out.push(0),
            Some(leaves) => {
                out.push(1);
                put_uint(&mut out, leaves.len() as u64);
                for (key, print) in leaves {
                    out.extend_from_slice(&key.to_be_bytes());
                    out.extend_from_slice(&print.to_be_bytes());
                }
            }
        }
        let rows = self.rows.iter().filter(|_| brief);
        put_uint(&mut out, rows.clone().count() as u64);
        for ((key, row), (seq, total)) in rows {
            out.extend_from_slice(&key.to_be_bytes());
            out.extend_from_slice(&row.origin.to_bytes());
            put_uint(&mut out, row.seq);
            put_uint(&mut out, *seq);
            put_int(&mut out, *total);
        }
        Version(out)
    }

    /// Reads a version that a caller hands back.
    pub fn from_version(version: &Version) -> Result<Base> {
        if version.0.is_empty() {
            return Ok(Base { leaves: Some(BTreeMap::new()), ..Base::default() });
        }
        read_version(&version.0).map_err(|_| {
            Error::invalid(
                "the document version is not one that this store gave out; read the document again",
            )
        })
    }
}

/// The print of a whole row; zero of an empty one.
fn digest(row: &Row) -> [u8; 16] {
    if row.is_empty() { [0; 16] } else { row.digest("").short().0 }
}

fn read_version(bytes: &[u8]) -> Result<Base> {
    let mut reader = Reader::new(bytes, "document version");
    if reader.u8()? != VERSION_FORMAT {
        return Err(reader.bad("an unknown format"));
    }
    let mut base = Base { digest: reader.array()?, ..Base::default() };
    for _ in 0..reader.count()? {
        base.seen.insert(Origin::from_bytes(&reader.array()?), reader.uint()?);
    }
    if reader.u8()? == 1 {
        let mut leaves = BTreeMap::new();
        for _ in 0..reader.count()? {
            leaves.insert(u64::from_be_bytes(reader.array()?), u64::from_be_bytes(reader.array()?));
        }
        base.leaves = Some(leaves);
    }
    for _ in 0..reader.count()? {
        let key = u64::from_be_bytes(reader.array()?);
        let row = Dot { origin: Origin::from_bytes(&reader.array()?), seq: reader.uint()? };
        base.rows.insert((key, row), (reader.uint()?, reader.int()?));
    }
    reader.end()?;
    Ok(base)
}

pub(super) fn short_hash(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("8 of 32 bytes"))
}

/// Calls `leaf` with the key and a print of every leaf that `fields` shows.
fn each_leaf(fields: &Fields, prefix: &mut Vec<u8>, leaf: &mut impl FnMut(&[u8], u64)) {
    leaf(&key::slot(prefix, Slot::MapMarker), 1);
    for (name, field) in fields {
        let len = prefix.len();
        key::push_field(prefix, name);
        match field {
            Field::Map(fields) => each_leaf(fields, prefix, leaf),
            Field::Value(value) => leaf(&key::slot(prefix, Slot::Register), print_of(value)),
            Field::Counter(sum) => leaf(&key::slot(prefix, Slot::Counter), *sum as u64),
            Field::Set(elements) => {
                leaf(&key::slot(prefix, Slot::SetMarker), 1);
                for element in elements {
                    leaf(&element_key(prefix, element), 1);
                }
            }
        }
        prefix.truncate(len);
    }
}

fn print_of(value: &Value) -> u64 {
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes);
    short_hash(&bytes)
}

pub(super) fn element_key(prefix: &[u8], element: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(element, &mut bytes);
    key::element(prefix, &bytes)
}

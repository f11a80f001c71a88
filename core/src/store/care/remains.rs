//! Remains: what can be read of a state that may be damaged.
//!
//! A table is read from both ends; where a page in between can't be read, the keys between are
//! searched for more, half by half, as long as that is worth it. Nothing read here is trusted:
//! whoever uses it checks it against proofs and digests, or says that it could not be checked.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableDatabase};

use super::look::{State, guarded};
use super::rows::bounds;
use crate::crdt::Row;
use crate::error::{Error, Result};
use crate::id::{NodeId, Origin, check_collection, check_id};
use crate::limits::RESCUE_PROBES;
use crate::store::Collections;
use crate::store::budget::{Budgets, LogBudget};
use crate::store::documents;
use crate::store::heads::Origins;
use crate::store::peers::{self, TrustedPeer};
use crate::store::roster;
use crate::store::tables::{self, Definition, HeadRow, VectorRow, db};
use crate::txn::roster::Roster;
use crate::txn::{Branches, NetworkId};

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// What is left of a state.
pub(super) struct Remains {
    read: ReadTransaction,
    origins: BTreeMap<u32, Origin>,
    /// The same, without holes, for who reads whole documents.
    numbers: Origins,
    /// Up to where the log is in it.
    pub(super) applied: u64,
    pub(super) collections: BTreeMap<String, Collection>,
    pub(super) peers: Option<Vec<TrustedPeer>>,
    pub(super) wanted: Option<Collections>,
    pub(super) budgets: BTreeMap<String, LogBudget>,
}

impl Remains {
    /// The roster, with all its statements checked.
    pub(super) fn roster(&self, network: NetworkId) -> Result<Option<Roster>> {
        guarded(|| roster::check(&self.read, network))
    }
}

/// What is left of a collection as a whole.
pub(super) struct Collection {
    pub(super) number: u32,
    pub(super) head: Option<HeadRow>,
    pub(super) vector: BTreeMap<Origin, VectorRow>,
    /// How forked origins are named.
    pub(super) branches: Branches,
}

type Each<'a> = &'a mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<()>;

impl Remains {
    /// Reads what can be read; an error if it is nothing.
    pub(super) fn of(state: &State) -> Result<Remains> {
        let read = guarded(|| state.get().begin_read().map_err(db))?;
        let mut remains = Remains {
            origins: BTreeMap::new(),
            numbers: Origins::default(),
            applied: 0,
            collections: BTreeMap::new(),
            peers: guarded(|| peers::list(&read)).ok(),
            wanted: guarded(|| peers::wanted(&read)).ok(),
            budgets: guarded(|| Budgets::stored(&read)).unwrap_or_default(),
            read,
        };
        remains.read_origins();
        remains.read_collections();
        let applied = guarded(|| tables::read(&remains.read, tables::META, tables::META_APPLIED));
        let applied = applied.ok().flatten().and_then(|bytes| tables::u64_of(&bytes).ok());
        remains.applied = applied.unwrap_or(0);
        Ok(remains)
    }

    fn read_origins(&mut self) {
        for (key, value) in self.all(tables::ORIGINS) {
            if let (Ok(number), Ok(origin)) = (tables::u32_of(&key), tables::origin_of(&value)) {
                self.origins.insert(number, origin);
            }
        }
        let next = self.origins.last_key_value().map_or(0, |(number, _)| number + 1);
        for number in 0..next {
            self.numbers.number_or_add(self.origin(number));
        }
    }

    fn read_collections(&mut self) {
        for (name, number) in self.all(tables::COLLECTIONS) {
            let name = String::from_utf8(name).ok().filter(|name| check_collection(name).is_ok());
            if let (Some(name), Ok(number)) = (name, tables::u32_of(&number)) {
                let (head, vector, branches) = (None, BTreeMap::new(), Branches::default());
                self.collections.insert(name, Collection { number, head, vector, branches });
            }
        }
        let (heads, vectors) = (self.all(tables::HEADS), self.all(tables::VECTORS));
        let branches = self.all(tables::BRANCHES);
        for collection in self.collections.values_mut() {
            let number = collection.number.to_be_bytes();
            let head = heads.iter().find(|(key, _)| *key == number);
            collection.head = head.and_then(|(_, value)| HeadRow::decode(value).ok());
            let named = branches.iter().find(|(key, _)| *key == number);
            let named = named.and_then(|(_, value)| Branches::decode(value, None).ok());
            collection.branches = named.unwrap_or_default();
            for (key, value) in vectors.iter().filter(|(key, _)| key.starts_with(&number)) {
                let origin = tables::u32_of(&key[4..]).ok().and_then(|n| self.origins.get(&n));
                if let (Some(origin), Ok(row)) = (origin, VectorRow::decode(value)) {
                    collection.vector.insert(*origin, row);
                }
            }
        }
    }

    /// The origins that are named anywhere.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.origins.values()
    }

    /// The origin with a number; for one whose row is gone, one that stands for it and is nobody.
    fn origin(&self, number: u32) -> Origin {
        let nobody = Origin { node: NodeId::from_bytes([0; 32]), incarnation: number };
        self.origins.get(&number).copied().unwrap_or(nobody)
    }

    /// One document, whole; an error if any of it can't be read.
    pub(super) fn document(&self, number: u32, id: &str) -> Result<Option<Row>> {
        guarded(|| documents::read(&self.read, &self.numbers, number, id))
    }

    /// All documents of a collection, whole; an error if any of them can't be read.
    pub(super) fn whole(
        &self,
        number: u32,
        each: &mut dyn FnMut(String, Row) -> Result<()>,
    ) -> Result<()> {
        let (start, end) = bounds(number);
        let gaps = self.sweep(tables::DOCUMENTS, &start, &end, &mut |key, value| {
            let id = tables::document_id(&key)?.to_owned();
            let row = match documents::is_head(&value) {
                true => self.document(number, &id)?.unwrap_or_default(),
                false => {
                    guarded(|| Row::decode(&value, |number| self.origins.get(&number).copied()))?
                }
            };
            each(id, row)
        })?;
        match gaps {
            0 => Ok(()),
            _ => Err(Error::corrupt("some documents can't be read")),
        }
    }

    /// All of a collection that can be read, each row and each run of a large document for itself.
    /// Gives how many places could not be read.
    pub(super) fn pieces(
        &self,
        number: u32,
        each: &mut dyn FnMut(&str, Row) -> Result<()>,
    ) -> Result<u64> {
        let (start, end) = bounds(number);
        let mut unread = 0;
        let mut piece = |id: Option<&str>, value: &[u8]| {
            let row = guarded(|| Row::decode(value, |number| Some(self.origin(number))));
            match (id.filter(|id| check_id(id).is_ok()), row) {
                (Some(id), Ok(row)) => each(id, row),
                _ => {
                    unread += 1;
                    Ok(())
                }
            }
        };
        let gaps = self.sweep(tables::DOCUMENTS, &start, &end, &mut |key, value| {
            // The head of a large document holds no cells.
            match documents::is_head(&value) {
                true => Ok(()),
                false => piece(tables::document_id(&key).ok(), &value),
            }
        })?;
        let more = self.sweep(tables::RUNS, &start, &end, &mut |key, value| {
            piece(documents::id_of_run(&key), &value)
        })?;
        Ok(gaps + more + unread)
    }

    /// What can be read of a small table.
    fn all(&self, definition: Definition) -> Vec<Entry> {
        let mut found = Vec::new();
        let _ = self.sweep(definition, &[], &[0xff; 256], &mut |key, value| {
            found.push((key, value));
            Ok(())
        });
        found
    }

    /// Gives the entries of a table between two keys that can be read, in no order, and how many
    /// gaps there are. An error is one of `each`.
    fn sweep(
        &self,
        definition: Definition,
        start: &[u8],
        end: &[u8],
        each: Each<'_>,
    ) -> Result<u64> {
        let (mut gaps, mut probes) = (0, 0);
        let mut open = vec![(start.to_vec(), end.to_vec())];
        while let Some((start, end)) = open.pop() {
            probes += 1;
            let Some(after) = self.scan(definition, &start, &end, false, each)? else { continue };
            let before = self.scan(definition, &after, &end, true, each)?;
            let before = before.unwrap_or_else(|| after.clone());
            match middle(&after, &before).filter(|_| probes < RESCUE_PROBES) {
                Some(middle) => open.extend([(after, middle.clone()), (middle, before)]),
                None => gaps += 1,
            }
        }
        Ok(gaps)
    }

    /// Reads from one end on. Gives the key where it could read no further; `None` if it came to
    /// the other end.
    fn scan(
        &self,
        definition: Definition,
        start: &[u8],
        end: &[u8],
        reverse: bool,
        each: Each<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let mut at = if reverse { end.to_vec() } else { start.to_vec() };
        if start >= end {
            return Ok(None);
        }
        let range = guarded(|| {
            let table = self.read.open_table(definition).map_err(db)?;
            table.range_owned::<&[u8]>(start..end).map_err(db)
        });
        let Ok(mut range) = range else { return Ok(Some(at)) };
        loop {
            let next = guarded(|| {
                let next = if reverse { range.next_back() } else { range.next() };
                let next = next.transpose().map_err(db)?;
                Ok(next.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
            });
            let (key, value) = match next {
                Ok(None) => return Ok(None),
                // Out of order, it is no key of this table.
                Ok(Some((key, value)))
                    if *start <= key[..] && key[..] < *end && {
                        if reverse { key < at } else { key >= at }
                    } =>
                {
                    (key, value)
                }
                _ => return Ok(Some(at)),
            };
            at = if reverse { key.clone() } else { [&key[..], &[0]].concat() };
            each(key, value)?;
        }
    }
}

/// A key between two others, about in the middle; `None` if they are neighbours, or so near that
/// it is not worth going on.
fn middle(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    if a >= b {
        return None;
    }
    let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let digits = |key: &[u8]| {
        (0..4).fold(0u64, |n, at| n << 8 | u64::from(key.get(shared + at).copied().unwrap_or(0)))
    };
    let (low, high) = (digits(a), digits(b));
    let half = low + (high - low) / 2;
    if half == low {
        return None;
    }
    let mut middle = a[..shared].to_vec();
    middle.extend_from_slice(&(half as u32).to_be_bytes());
    (&middle[..] > a && &middle[..] < b).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_middle_is_between(
            a in prop::collection::vec(any::<u8>(), 0..8),
            b in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            if let Some(middle) = middle(&a, &b) {
                prop_assert!(a < middle && middle < b);
            }
        }
    }
}

//! Salvage: values whose transactions are gone, written anew.
//!
//! A value belongs to the transaction that put it; without that transaction nobody may claim to hold
//! it, or replicas with equal vectors would hold different documents. So what is left of documents
//! and is covered by no transaction that the new store holds is written again, in transactions of
//! an incarnation of the node's key that exists for this alone: the same value at the same place with
//! the time it had, which clears nothing. Where a peer still has the original, the two stand side
//! by side as one value; where the peer has changed or deleted it since, it shows again, as a
//! conflict or as a document that is back: visible, and never the other way round.
//!
//! A counter is a sum, and its rows at a peer would count twice. So counters are written anew only
//! if nobody else can have them; else they are left out and told.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::crdt::key::{Slot, Step, field_name, step};
use crate::crdt::{Body, Cell, DocOps, Op};
use crate::error::Result;
use crate::id::{Dot, Hash, Origin, Seq, Vector};
use crate::limits::SYNC_BATCH_BYTES;
use crate::store::Store;
use crate::txn::{NodeKey, Scope, Signed, Txn};
use crate::value::Path;

/// About so much goes into one transaction.
const TXN_BYTES: usize = 1 << 20;

/// A counter that was not written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The collection.
    pub collection: String,
    /// The document.
    pub id: String,
    /// The counter.
    pub path: Path,
    /// What of it no transaction backs.
    pub value: i128,
}

/// How much was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    pub(super) documents: u64,
    pub(super) values: u64,
}

/// Writes anew what nothing backs, in one collection.
pub(super) struct Salvage<'a> {
    store: &'a Store,
    collection: &'a str,
    key: &'a NodeKey,
    origin: Origin,
    /// What the store holds: what this covers is backed.
    held: Vector,
    /// Nobody else can have the counters.
    alone: bool,
    newest: (Seq, Hash),
    signed: Vec<Vec<u8>>,
    signed_bytes: usize,
    /// The last document that was written to: parts of it come one after the other.
    last: String,
    pub(super) written: Written,
    pub(super) left_out: Vec<LeftOut>,
}

impl<'a> Salvage<'a> {
    pub(super) fn new(
        store: &'a Store,
        collection: &'a str,
        origin: Origin,
        alone: bool,
    ) -> Result<Salvage<'a>> {
        Ok(Salvage {
            store,
            collection,
            key: store.node_key(),
            origin,
            held: store.summary(collection)?.0,
            alone,
            newest: (0, Hash::default()),
            signed: Vec::new(),
            signed_bytes: 0,
            last: String::new(),
            written: Written::default(),
            left_out: Vec::new(),
        })
    }

    /// Writes anew what of these cells of a document nothing backs.
    pub(super) fn document(&mut self, id: &str, cells: &[Cell]) -> Result<()> {
        let bare = cells.iter().filter(|cell| !self.held.covers(&cell.stamp.dot));
        // A transaction puts one value at one place: siblings go into several.
        let mut by_time: BTreeMap<(Timestamp, u64), Vec<Op>> = BTreeMap::new();
        let mut counters: BTreeMap<&[u8], (i128, Timestamp)> = BTreeMap::new();
        let (mut before, mut sibling): (&[u8], u64) = (&[], 0);
        for cell in bare {
            sibling = if before == cell.key { sibling + 1 } else { 0 };
            before = &cell.key;
            match &cell.body {
                Body::Put(value) => {
                    let op = Op::Put { key: cell.key.clone(), value: value.clone() };
                    by_time.entry((cell.stamp.time, sibling)).or_default().push(op);
                }
                Body::Counter(row) if !row.is_settled() => {
                    let (sum, time) = counters.entry(&cell.key).or_default();
                    (*sum, *time) = (sum.saturating_add(row.value()), row.time.max(*time));
                }
                Body::Counter(_) => {}
            }
        }
        for (key, (value, time)) in counters {
            match self.alone {
                true => by_time.entry((time, 0)).or_default().push(add(key, value)),
                false => self.left_out.push(LeftOut {
                    collection: self.collection.to_owned(),
                    id: id.to_owned(),
                    path: path_of(key),
                    value,
                }),
            }
        }
        let values: usize = by_time.values().map(Vec::len).sum();
        if values > 0 {
            self.written.values += values as u64;
            self.written.documents += u64::from(self.last != id);
            id.clone_into(&mut self.last);
        }
        by_time.into_iter().try_for_each(|((time, _), ops)| self.ops(id, time, ops))
    }

    fn ops(&mut self, id: &str, time: Timestamp, ops: Vec<Op>) -> Result<()> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for op in ops {
            let size = 64
                + match &op {
                    Op::Put { key, value } => key.len() + value.len(),
                    _ => 256,
                };
            if bytes + size > TXN_BYTES && !part.is_empty() {
                self.sign(id, time, std::mem::take(&mut part))?;
                bytes = 0;
            }
            bytes += size;
            part.push(op);
        }
        if part.is_empty() { Ok(()) } else { self.sign(id, time, part) }
    }

    fn sign(&mut self, id: &str, time: Timestamp, mut ops: Vec<Op>) -> Result<()> {
        let (seq, prev) = (self.newest.0 + 1, self.newest.1);
        for op in &mut ops {
            if let Op::Add { birth, .. } = op {
                *birth = seq;
            }
        }
        let docs = vec![DocOps { id: id.to_owned(), ops }];
        let dot = Dot { origin: self.origin, seq };
        let txn = Txn { dot, prev, time, deps: Vec::new(), docs };
        let scope = Scope { network: self.store.network(), collection: self.collection };
        let signed = Signed::sign(txn, scope, self.key)?;
        self.newest = (seq, signed.hash);
        self.signed_bytes += signed.bytes.len();
        self.signed.push(signed.bytes);
        if self.signed_bytes >= SYNC_BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands over what was signed.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.signed_bytes = 0;
        let signed = std::mem::take(&mut self.signed);
        match signed.is_empty() {
            true => Ok(()),
            false => self.store.apply_remote(self.collection, signed).map(drop),
        }
    }

    /// How many transactions were written.
    pub(super) fn transactions(&self) -> u64 {
        self.newest.0
    }
}

/// A counter row of its own; its birth is filled in when it is signed.
fn add(key: &[u8], value: i128) -> Op {
    let by = value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    Op::Add { key: key.to_vec(), birth: 1, total: value, by, after: None }
}

/// Where a cell lies.
fn path_of(key: &[u8]) -> Path {
    let (mut names, mut at) = (Vec::new(), 0);
    while let Step::Field(component) = step(key, at) {
        names.push(field_name(component));
        at += component.len();
    }
    debug_assert!(matches!(step(key, at), Step::Slot(Slot::Counter, _)));
    Path::from(names)
}

/// What of a store's history could be replayed: of each collection and author the newest
/// transaction, as one after the other comes.
#[derive(Debug, Default)]
pub(super) struct Reach {
    newest: BTreeMap<(Arc<str>, Origin), (Seq, Hash)>,
}

impl Reach {
    /// Begins with what a store holds.
    pub(super) fn hold(&mut self, collection: &str, origin: Origin, seq: Seq, hash: Hash) {
        self.newest.insert((Arc::from(collection), origin), (seq, hash));
    }

    pub(super) fn seq(&self, collection: &str, origin: &Origin) -> Seq {
        let name: Arc<str> = Arc::from(collection);
        self.newest.get(&(name, *origin)).map_or(0, |(seq, _)| *seq)
    }

    /// Takes a transaction if it comes next and everything that it builds on is here.
    pub(super) fn take(&mut self, collection: &Arc<str>, signed: &Signed) -> bool {
        let Txn { dot, prev, deps, docs, .. } = &*signed.txn;
        let newest = |origin: &Origin| self.newest.get(&(collection.clone(), *origin)).copied();
        let (seq, hash) = newest(&dot.origin).unwrap_or_default();
        let here = |named: &Dot| newest(&named.origin).is_some_and(|(seq, _)| seq >= named.seq);
        let known = deps.iter().all(|dep| here(&Dot { origin: dep.origin, seq: dep.seq }));
        let named = docs.iter().flat_map(|doc| &doc.ops).all(|op| match op {
            Op::Clear { upto, .. } => {
                upto.iter().all(|dot| dot.origin == signed.txn.dot.origin || here(dot))
            }
            Op::Settle { row, seq, .. } => {
                row.origin == dot.origin || here(&Dot { origin: row.origin, seq: *seq })
            }
            Op::Put { .. } | Op::Add { .. } | Op::Continue { .. } => true,
        });
        let next = dot.seq == seq + 1 && *prev == hash && known && named;
        if next {
            self.newest.insert((collection.clone(), dot.origin), (dot.seq, signed.hash));
        }
        next
    }
}

//! Told: what the log tells of documents that some transactions touched.
//!
//! Who did what to a document is in the log alone: a row has no trace of what was removed. It is
//! read from a position on, twice: which documents the blamed transactions touched, and then all
//! that was done to these. Memory is bounded: documents are taken in the order of their names, as
//! many as fit, and the others by further passes. A snapshot that was joined, and a leaving, stand
//! in the log as barriers: what they changed it does not tell, and then nothing is said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::each_batch;
use crate::crdt::{Op, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Position};
use crate::limits::TRACE_BYTES;
use crate::store::feed::BEGINNING;
use crate::store::log::RecordKind;
use crate::store::pins::LogPin;
use crate::store::{Inner, Store};
use crate::txn::{Scope, Signed, Txn};

/// Bytes of log read at a time.
const READ_BYTES: usize = 256 << 10;

/// A document: collection and id.
pub(super) type Place = (String, String);
/// What was done to it: by which transaction, and whether that is blamed.
pub(super) type Deeds = Vec<(Stamp, bool, Vec<Op>)>;

/// A part of the log, held as long as this lives.
pub(super) struct Told {
    store: Store,
    from: Position,
    to: Position,
    _pin: LogPin,
    /// Bytes of operations that are held at a time.
    pub(super) room: usize,
}

fn pruned() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the log no longer holds all that came after the checkpoint, so who did what can't be told \
         any more: name a later checkpoint, or revert without an author what the diff shows to be \
         wrong, by collection, document or field",
    )
}

fn barrier(collection: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "collection '{collection}' came as a snapshot, or was left, after the checkpoint: the \
             log does not tell who did what there. Name a later checkpoint, or other collections, \
             or revert without an author, by document or field"
        ),
    )
}

/// Which transactions, of which documents.
pub(super) struct Asked<'a> {
    pub(super) collections: &'a dyn Fn(&str) -> bool,
    pub(super) is_blamed: &'a dyn Fn(&str, &Txn) -> bool,
    pub(super) is_asked: &'a dyn Fn(&str, &str) -> bool,
}

impl Told {
    /// What the log tells from one position on and before another.
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if it no longer reaches back so far.
    pub(super) fn open(store: &Store, from: Position, to: Position) -> Result<Told> {
        let inner = &store.inner;
        // What is applied and not durable is not read.
        if inner.reader.durable() < to {
            inner.flush()?;
        }
        let start = inner.reader.start();
        if from < start {
            return Err(pruned());
        }
        let from = if from == BEGINNING { start } else { from };
        let pin = inner.pin_log("all collections", from, "finding who did what");
        let pin = pin.map_err(|_| pruned())?;
        Ok(Told { store: store.clone(), from, to, _pin: pin, room: TRACE_BYTES })
    }

    /// Of documents after one, in order: those that blamed transactions touched, with all that was
    /// done to them. And whether there are more.
    pub(super) fn next(
        &self,
        asked: &Asked<'_>,
        after: Option<&Place>,
    ) -> Result<(BTreeMap<Place, Deeds>, bool)> {
        let (mut places, mut bytes, mut more) = (BTreeSet::new(), 0, false);
        self.each(asked.collections, &mut |name, txn| {
            if !(asked.is_blamed)(name, &txn) {
                return Ok(());
            }
            for doc in txn.docs.iter().filter(|doc| (asked.is_asked)(name, &doc.id)) {
                let place = (name.to_owned(), doc.id.clone());
                if after.is_some_and(|after| place <= *after) || places.contains(&place) {
                    continue;
                }
                bytes += size_of(&place);
                places.insert(place);
                while bytes > self.room && places.len() > 1 {
                    bytes -= places.pop_last().as_ref().map_or(0, size_of);
                    more = true;
                }
            }
            Ok(())
        })?;
        let (mut deeds, mut bytes) = (BTreeMap::<Place, Deeds>::new(), 0);
        self.each(asked.collections, &mut |name, txn| {
            let (stamp, blamed) = (txn.stamp(), (asked.is_blamed)(name, &txn));
            for doc in txn.docs {
                let place = (name.to_owned(), doc.id);
                if !places.contains(&place) {
                    continue;
                }
                bytes += weight(&doc.ops);
                deeds.entry(place).or_default().push((stamp, blamed, doc.ops));
                while bytes > self.room && deeds.len() > 1 {
                    let (last, all) = deeds.pop_last().expect("there are two");
                    bytes -= all.iter().map(|(.., ops)| weight(ops)).sum::<usize>();
                    // Nothing after it is looked at in this pass, or its beginning would lack.
                    drop(places.split_off(&last));
                    more = true;
                }
            }
            Ok(())
        })?;
        Ok((deeds, more))
    }

    /// All transactions of some collections, in the order of the log.
    fn each(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(&str, Txn) -> Result<()>,
    ) -> Result<()> {
        let inner: &Inner = &self.store.inner;
        let read = each_batch(&inner.reader, (self.from, self.to), READ_BYTES, |records| {
            for record in records {
                match record.kind {
                    _ if !wanted(&record.collection) => {}
                    RecordKind::Mark => {}
                    RecordKind::Barrier => return Err(barrier(&record.collection)),
                    RecordKind::Txn => {
                        let scope =
                            Scope { network: inner.network, collection: &record.collection };
                        let signed = Signed::trusted(record.bytes, scope)?;
                        let txn = std::sync::Arc::unwrap_or_clone(signed.txn);
                        each(&record.collection, txn)?;
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        match read {
            Err(_) if self.from < inner.reader.start() => Err(pruned()),
            read => read,
        }
    }
}

fn size_of(place: &Place) -> usize {
    place.0.len() + place.1.len() + 96
}

/// What operations take in memory, about.
fn weight(ops: &[Op]) -> usize {
    let of = |op: &Op| match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Clear { prefix, upto } => prefix.len() + upto.len() * std::mem::size_of::<Dot>(),
        Op::Add { key, .. } | Op::Continue { key, .. } | Op::Settle { key, .. } => key.len(),
    };
    ops.iter().map(|op| of(op) + std::mem::size_of::<Op>()).sum()
}

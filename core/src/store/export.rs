//! The export mark: up to where own transactions may have left this store.
//!
//! Of each collection a mark is kept, the number of the newest own transaction that was or may
//! have been handed to anyone. It is durable before that happens. After a restored backup it
//! tells what peers may know: they are told of nothing above it, so that who holds something else
//! there shows it; and the log keeps own transactions above it however long.
//!
//! A mark is a record of the log (see [`super::log`]), and so costs no sync of its own while a
//! collection is being read: the batch that appends an own transaction appends its mark, too,
//! for [`MARKS_AHEAD`] batches after own transactions were last read. What was not marked so is
//! marked when it is read: one append and one sync for all that is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::admission::Index;
use super::commit::lock;
use super::queue::Item;
use super::{Inner, Store};
use crate::error::{Error, Result};
use crate::id::{Dot, Seq};
use crate::wire::Reader;

/// How many batches carry a mark after own transactions were last read. More would count more
/// transactions as handed out that were written after the last peer had gone.
const MARKS_AHEAD: u32 = 16;

/// Which collections are being read, each with how many more batches are to carry a mark.
pub(super) type Readers = BTreeMap<Arc<str>, u32>;

/// A mark: own transactions of this incarnation up to this number may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) collection: Arc<str>,
    pub(super) incarnation: u32,
    pub(super) seq: Seq,
}

impl Mark {
    /// The contents of its record: incarnation 4, number 8, big-endian.
    pub(super) fn encode(&self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&self.incarnation.to_be_bytes());
        out[4..].copy_from_slice(&self.seq.to_be_bytes());
        out
    }

    pub(super) fn decode(collection: &str, bytes: &[u8]) -> Result<Mark> {
        let mut reader = Reader::new(bytes, "export mark");
        let read = |reader: &mut Reader<'_>| -> Result<Mark> {
            let incarnation = u32::from_be_bytes(reader.array()?);
            let seq = u64::from_be_bytes(reader.array()?);
            Ok(Mark { collection: Arc::from(collection), incarnation, seq })
        };
        let mark = read(&mut reader).and_then(|mark| reader.end().map(|()| mark));
        mark.map_err(|err| Error::corrupt(err.message()))
    }
}

impl Inner {
    /// The marks that go with own transactions among these, which are about to become durable.
    pub(super) fn marks_along(&self, items: &[Item]) -> Vec<Mark> {
        let mut readers = lock(&self.readers);
        let mut marks: BTreeMap<Arc<str>, Mark> = BTreeMap::new();
        for item in items.iter().filter(|_| !readers.is_empty()) {
            let dot = item.signed.txn.dot;
            if dot.origin.node == self.node && readers.contains_key(&item.collection) {
                let (collection, incarnation) = (item.collection.clone(), dot.origin.incarnation);
                let mark = Mark { collection, incarnation, seq: dot.seq };
                marks.insert(item.collection.clone(), mark);
            }
        }
        for collection in marks.keys() {
            if let Some(left) = readers.get_mut(collection) {
                *left -= 1;
                if *left == 0 {
                    readers.remove(collection);
                }
            }
        }
        marks.into_values().collect()
    }

    /// Notes that own transactions of a collection are being read.
    pub(super) fn note_reader(&self, collection: &str) {
        lock(&self.readers).insert(Arc::from(collection), MARKS_AHEAD);
    }

    /// Whether all of these may leave already.
    pub(super) fn are_exported(&self, collection: &str, dots: impl Iterator<Item = Dot>) -> bool {
        let heads = self.read_heads();
        let Some(head) = heads.named(collection) else { return true };
        let own = head.own_origin(self.node);
        dots.filter(|dot| dot.origin == own).all(|dot| dot.seq <= head.row.exported)
    }

    /// Own transactions that come from elsewhere have left, whatever the mark says: it may have
    /// been restored together with the store.
    pub(super) fn note_returned(&self, collection: &str, items: &[Item]) -> Result<()> {
        let own = |item: &&Item| item.signed.txn.dot.origin.node == self.node;
        if !items.iter().any(|item| own(&item)) {
            return Ok(());
        }
        let returned = {
            let database = self.database()?;
            let heads = self.read_heads();
            let Some(head) = heads.named(collection) else { return Ok(()) };
            let (present, index) = (head.own_origin(self.node), Index::new(&database));
            let mut newest = head.row.exported;
            for item in items.iter().filter(own) {
                let dot = item.signed.txn.dot;
                let new = dot.origin == present && dot.seq > newest;
                let hash = Some(item.signed.hash.short());
                if new && index.hash_at(&heads, collection, &dot)? == hash {
                    newest = dot.seq;
                }
            }
            newest
        };
        self.mark_through(collection, returned)
    }

    /// Marks all own transactions of a collection that are here now. Durable when it returns.
    pub(super) fn mark_exported(&self, collection: &str) -> Result<()> {
        self.mark_through(collection, Seq::MAX)
    }

    /// The same, of those up to a number.
    pub(super) fn mark_through(&self, collection: &str, newest: Seq) -> Result<()> {
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let mark = {
            let heads = self.read_heads();
            let Some(head) = heads.named(collection) else { return Ok(()) };
            let (seq, exported) = head.exports(self.node);
            let seq = seq.min(newest);
            if seq <= exported {
                return Ok(());
            }
            let incarnation = head.row.incarnation;
            Mark { collection: Arc::from(collection), incarnation, seq }
        };
        self.write(committer, &[], vec![mark], true).map_err(|err| self.poison(&err))
    }
}

impl Store {
    /// Marks all own transactions of a collection that are here now as handed out. To be called
    /// before they leave in another way than by [`Store::log_read`]: in a snapshot or a file.
    pub fn mark_exported(&self, collection: &str) -> Result<()> {
        self.inner.mark_exported(collection)
    }
}

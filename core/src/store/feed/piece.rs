//! What is told of a piece of the log, and shared by all who follow: which documents its
//! transactions wrote, and nothing of what they wrote.
//!
//! Many followers are at the same place, mostly at the end. Each of them reading for itself would
//! take, for each, the transactions as they lie in the log. So whoever comes first reads, those who
//! come meanwhile wait for that, and all hold the same piece until they have told it.
//!
//! Invariant: a piece begins where it was asked for and ends with a record. The log never changes,
//! so a piece that was read once is right for ever; it may be shorter than what there is by now.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::super::Inner;
use super::super::log::{LogRecord, RecordKind};
use super::super::snapshot::read_barrier;
use super::Change;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{Dot, Origin, Position};
use crate::limits::{FEED_SHARED_BYTES, FEED_SHARED_PIECES};
use crate::txn::Signed;

/// Bytes of log read at a time.
const READ_BYTES: usize = 256 << 10;

/// What is told of a piece of the log.
#[derive(Debug)]
pub(super) struct Piece {
    told: Vec<Told>,
    /// Where the next piece begins.
    pub(super) next: Position,
}

/// What is told of a transaction or a snapshot that was joined. It wrote at least one document.
#[derive(Debug)]
struct Told {
    start: Position,
    end: Position,
    collection: Arc<str>,
    dot: Dot,
    time: Timestamp,
    local: bool,
    ids: Ids,
}

/// Ids, one after the other.
#[derive(Debug, Default)]
struct Ids {
    text: String,
    ends: Vec<usize>,
}

impl Ids {
    fn push(&mut self, id: &str) {
        self.text.push_str(id);
        self.ends.push(self.text.len());
    }

    fn get(&self, at: usize) -> Option<&str> {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ends.get(at).map(|end| &self.text[begin..*end])
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

/// A place in a piece.
#[derive(Debug)]
pub(super) struct Reading {
    piece: Arc<Piece>,
    told: usize,
    at: usize,
}

impl Reading {
    pub(super) fn new(piece: Arc<Piece>) -> Reading {
        Reading { piece, told: 0, at: 0 }
    }

    /// The change at this place, the position of its transaction, and which one of it that is.
    pub(super) fn change(&self) -> Option<((Position, usize), Change)> {
        let told = self.piece.told.get(self.told)?;
        let id = told.ids.get(self.at)?.to_owned();
        let last = self.at + 1 == told.ids.ends.len();
        let position = if last { told.end } else { told.start };
        let collection = Arc::clone(&told.collection);
        let Told { dot, time, local, start, .. } = *told;
        let change = Change { position, collection, id, dot, time, local, values: None };
        Some(((start, self.at), change))
    }

    /// Where the transaction begins whose change is at this place.
    pub(super) fn start(&self) -> Option<Position> {
        self.piece.told.get(self.told).map(|told| told.start)
    }

    /// Goes on to the next change.
    pub(super) fn step(&mut self) {
        let Some(told) = self.piece.told.get(self.told) else { return };
        self.at += 1;
        if self.at == told.ids.ends.len() {
            (self.told, self.at) = (self.told + 1, 0);
        }
    }
}

impl Piece {
    /// Reads the log from a position on, up to where it is applied. `None` if there is nothing.
    fn read(inner: &Inner, from: Position, applied: Position) -> Result<Option<Piece>> {
        let mut piece = Piece { told: Vec::new(), next: from };
        let records = inner.reader.read(from, READ_BYTES)?;
        for record in records.iter().take_while(|record| record.end <= applied) {
            match record.kind {
                RecordKind::Txn => piece.push(inner, record)?,
                RecordKind::Barrier => piece.push_joined(record)?,
                RecordKind::Mark => {}
            }
            piece.next = record.end;
        }
        Ok((piece.next > from).then_some(piece))
    }

    fn push(&mut self, inner: &Inner, record: &LogRecord) -> Result<()> {
        let mut ids = Ids::default();
        let txn = Signed::trusted_ids(&record.bytes, |id| ids.push(id))?;
        let local = txn.dot.origin.node == inner.node;
        self.add(record, txn.dot, txn.time, local, ids);
        Ok(())
    }

    fn push_joined(&mut self, record: &LogRecord) -> Result<()> {
        if let Some((node, all)) = read_barrier(&record.bytes)? {
            let mut ids = Ids::default();
            all.iter().for_each(|id| ids.push(id));
            let dot = Dot { origin: Origin { node, incarnation: 0 }, seq: 0 };
            self.add(record, dot, Timestamp::default(), false, ids);
        }
        Ok(())
    }

    fn add(&mut self, record: &LogRecord, dot: Dot, time: Timestamp, local: bool, mut ids: Ids) {
        if ids.ends.is_empty() {
            return;
        }
        ids.text.shrink_to_fit();
        ids.ends.shrink_to_fit();
        let collection = match self.told.last() {
            Some(last) if *last.collection == record.collection => Arc::clone(&last.collection),
            _ => Arc::from(record.collection.as_str()),
        };
        let (start, end) = (record.position, record.end);
        self.told.push(Told { start, end, collection, dot, time, local, ids });
    }

    fn bytes(&self) -> usize {
        let ids: usize = self.told.iter().map(|told| told.ids.bytes()).sum();
        ids + self.told.capacity() * size_of::<Told>()
    }
}

/// The pieces that were read last.
#[derive(Debug, Default)]
pub(in crate::store) struct Pieces(Mutex<VecDeque<Arc<Slot>>>);

#[derive(Debug)]
struct Slot {
    from: Position,
    held: Mutex<Held>,
}

/// A piece, for as long as somebody reads it; a small one for longer.
#[derive(Debug, Default)]
struct Held {
    piece: Weak<Piece>,
    _small: Option<Arc<Piece>>,
}

impl Pieces {
    /// The piece from a position on. `None` if there is nothing.
    pub(super) fn piece(
        &self,
        inner: &Inner,
        from: Position,
        applied: Position,
    ) -> Result<Option<Arc<Piece>>> {
        let slot = self.slot(from);
        let mut held = lock(&slot.held);
        if let Some(piece) = held.piece.upgrade() {
            return Ok(Some(piece));
        }
        let Some(piece) = Piece::read(inner, from, applied)?.map(Arc::new) else {
            return Ok(None);
        };
        let small = (piece.bytes() <= FEED_SHARED_BYTES).then(|| Arc::clone(&piece));
        *held = Held { piece: Arc::downgrade(&piece), _small: small };
        Ok(Some(piece))
    }

    /// The log may be another one from now on.
    pub(in crate::store) fn forget(&self) {
        lock(&self.0).clear();
    }

    fn slot(&self, from: Position) -> Arc<Slot> {
        let mut slots = lock(&self.0);
        if let Some(slot) = slots.iter().find(|slot| slot.from == from) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot { from, held: Mutex::default() });
        slots.push_front(Arc::clone(&slot));
        slots.truncate(FEED_SHARED_PIECES);
        slot
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Store;

    fn put(store: &Store, transactions: std::ops::Range<usize>) {
        for n in transactions {
            let write = |txn: &mut crate::Transaction| {
                (0..3).try_for_each(|of| txn.set(["x", "y"][n % 2], &format!("{n}-{of}"), "n", 1))
            };
            store.write(write).unwrap();
        }
    }

    fn ids(changes: &mut super::super::Changes, most: usize) -> Vec<String> {
        let next = || changes.next(Duration::ZERO).unwrap();
        let told = std::iter::from_fn(next).take(most);
        told.map(|change| format!("{}/{}", change.collection, change.id)).collect()
    }

    #[test]
    fn those_who_follow_from_one_place_share_what_was_read_and_miss_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, 0..20);
        let since = Some(Position::default());
        let (mut first, mut second) = (store.changes(since), store.changes(since));
        let mut seen = ids(&mut first, 1);
        assert_eq!(ids(&mut second, 1), seen);
        let piece = |of: &super::super::Changes| Arc::clone(&of.reading.as_ref().unwrap().piece);
        assert!(Arc::ptr_eq(&piece(&first), &piece(&second)));
        // What comes meanwhile is in a piece of its own, and whoever comes later goes by both.
        put(&store, 20..25);
        seen.extend(ids(&mut first, usize::MAX));
        assert_eq!(seen.len(), 75);
        for n in [0, 10, 24] {
            assert_eq!(seen[n * 3 + 2], format!("{}/{n}-2", ["x", "y"][n % 2]));
        }
        let mut late = store.changes(since);
        assert_eq!(ids(&mut late, usize::MAX), seen);
        assert_eq!(late.position(), store.position());
        // Within a transaction one resumes at its beginning.
        let mut cut = store.changes(since);
        assert_eq!(ids(&mut cut, 4), seen[..4]);
        let mut resumed = store.changes(Some(cut.position()));
        assert_eq!(ids(&mut resumed, usize::MAX), seen[3..]);
    }

    #[test]
    fn a_large_piece_is_kept_only_while_somebody_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let name = "n".repeat(100);
        let write = |txn: &mut crate::Transaction| {
            (0..2000).try_for_each(|of| txn.set("x", &format!("{name}{of}"), "n", 1))
        };
        store.write(write).unwrap();
        let mut changes = store.changes(Some(Position::default()));
        assert_eq!(ids(&mut changes, 1).len(), 1);
        let piece = Arc::downgrade(&changes.reading.as_ref().unwrap().piece);
        assert!(piece.upgrade().is_some_and(|piece| piece.bytes() > FEED_SHARED_BYTES));
        assert_eq!(ids(&mut changes, usize::MAX).len(), 1999);
        assert!(piece.upgrade().is_none());
    }
}

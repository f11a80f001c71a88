//! Leaving a collection: its documents go from this store, and only from here.
//!
//! A dot is never reused: whoever takes the collection up again writes under a new
//! incarnation, so that it need not wait for its own old transactions to come back
//! (schedule S14). The state becomes durable at once and a barrier enters the log, so that
//! replay never crosses the leaving. Where there is a checkpoint, what it needs is kept as of any
//! other change: it goes with the checkpoint.

use super::commit::lock;
use super::feed;
use super::index;
use super::journal::{self, EventKind, NewEvent, conflicts};
use super::log::{NewRecord, RecordKind};
use super::snapshot::drop_staging;
use super::tables::{self, LazyTable, Tables, Writable, db, set};
use super::tape::{Keeper, Part, forget};
use super::transaction::PATIENCE;
use super::{Inner, Store};
use crate::error::Result;

impl Store {
    /// Drops a collection from this store: documents, vector and all. Peers keep theirs, and it
    /// comes back when it is synced or written again. What was written here and never reached
    /// a peer is lost. Checkpoints still show what was there: who wants it gone from the disk deletes
    /// them, too. Gives whether it was there.
    pub fn leave(&self, collection: &str) -> Result<bool> {
        self.inner.leave(collection)
    }

    /// How many transactions written here, in a collection, were never given to anyone: leaving
    /// it loses them.
    pub fn unsent(&self, collection: &str) -> u64 {
        let heads = self.inner.read_heads();
        let exports = heads.named(collection).map(|head| head.exports(self.inner.node));
        exports.map_or(0, |(newest, exported)| newest.saturating_sub(exported))
    }
}

impl Inner {
    /// The incarnation to write under in a collection that is not held. If that can't be read,
    /// nothing may be written: under a guess a dot would be used twice.
    pub(super) fn left_incarnation(&self, collection: &str) -> Result<u32> {
        let read = redb::ReadableDatabase::begin_read(&*self.database()?).map_err(db)?;
        tables::next_incarnation(&read, collection)
    }

    fn leave(&self, collection: &str) -> Result<bool> {
        let _gate = self.gate.enter(PATIENCE)?;
        // What is queued here goes before: it continues a history that ends with the leaving.
        self.flush()?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let Some(head) = self.read_heads().named(collection).cloned() else { return Ok(false) };
        let incarnation = self.unused_incarnation();
        let barrier = NewRecord { kind: RecordKind::Barrier, collection, bytes: b"left" };
        let end = committer.append_apart(barrier).map_err(|err| self.poison(&err))?;
        let mut drop_rows = || -> Result<()> {
            let txn = self.begin_write(true)?;
            let mut tables = Tables::open(&txn)?;
            set(&mut tables.left, collection.as_bytes(), &incarnation.to_be_bytes())?;
            let (start, stop) = (head.number.to_be_bytes(), (head.number + 1).to_be_bytes());
            let recording = self.read_heads().recording();
            let mut keeper = Keeper { table: &mut tables.former, recording };
            keeper.unset(Part::Collections, &mut tables.collections, collection.as_bytes())?;
            for (part, table) in [
                (Part::Heads, &tables.heads),
                (Part::Vectors, &tables.vectors),
                (Part::Branches, &tables.branches),
                (Part::Documents, &tables.documents),
                (Part::Runs, &tables.runs),
            ] {
                keeper.keep_all(part, table, &start, &stop)?;
            }
            for table in [
                &mut tables.heads,
                &mut tables.vectors,
                &mut tables.documents,
                &mut tables.runs,
                &mut tables.conflicts,
                &mut tables.settled,
                &mut tables.floor,
                &mut tables.transactions,
                &mut tables.hashes,
                &mut tables.forks,
                &mut tables.branches,
            ] {
                drop_range(table, &start, &stop)?;
            }
            forget(&mut tables, head.number)?;
            drop_staging(&mut tables.joins, &mut tables.staged, collection)?;
            set(&mut tables.meta, tables::META_APPLIED, &end.0.to_be_bytes())?;
            conflicts::leave(&mut tables, head.number, self.wall.now_ms())?;
            index::begin_anew(&txn, collection, &self.read_heads().indexes)?;
            feed::leave_values(&mut tables.change_values, head.number)?;
            let left = NewEvent::new(EventKind::Left).of(collection);
            journal::add(&mut tables.events, self.wall.now_ms(), &[left])?;
            drop(tables);
            committer.segments_mut().forget(collection);
            committer.save_segments(&txn)?;
            let mut heads = self.write_heads();
            txn.commit().map_err(db)?;
            heads.remove(collection);
            index::note_begun_anew(&mut heads.indexes, collection);
            heads.holds.remove(&head.number);
            heads.joining.remove(collection);
            heads.applied = end;
            Ok(())
        };
        drop_rows().map_err(|err| self.poison(&err))?;
        lock(&self.readers).remove(collection);
        self.announce();
        Ok(true)
    }
}

/// Removes all rows between two keys.
pub(super) fn drop_range(table: &mut LazyTable<'_>, start: &[u8], stop: &[u8]) -> Result<()> {
    table.opened()?.retain_in::<&[u8], _>(start..stop, |_, _| false).map_err(db)
}

//! The shadow: a state of its own, in which the log after a checkpoint is applied again.
//!
//! It begins as the past at the checkpoint, without what nothing touches: of the documents those of
//! which a row was kept since, those with a counter row that is settled (its origin's next
//! transaction takes it away), and those that a transaction of the log names. The latter two are
//! the same today as then, if nothing of them was kept. What stands for collections as a whole
//! (heads, vectors, branches) is all of then; origins keep their numbers, and collections that
//! begin get the same ones again, so that equal documents have equal bytes.
//!
//! Transactions go through the same waist as ever, in the order of the log. They were admitted
//! once, so they are not admitted again: what stands between is neither a barrier nor a fork
//! ([`replay`](super::replay) sees to that), so each continues what those before it left.
//!
//! Its tables are those of a state. Two that have no use in it list documents: *staged* those that
//! are in the shadow, *joins* those that differ from the state. It is in memory up to
//! [`ReplayOptions::memory_bytes`], then in a scratch directory; a write transaction is bounded, too.

use std::ops::ControlFlow;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    WriteTransaction,
};

use super::former::split_key;
use super::past::Moment;
use super::{Checkpoint, Part, ReplayOptions, each_batch};
use crate::crdt::{Body, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::COMMIT_BATCH_BYTES;
use crate::store::apply::Waist;
use crate::store::care::Scratch;
use crate::store::documents::{self, id_of_run, runs_prefix};
use crate::store::heads::Heads;
use crate::store::log::{LogReader, LogRecord, RecordKind};
use crate::store::tables::{self, Definition, LazyTable, Tables, db, set};
use crate::txn::{NetworkId, Scope, Signed};

/// The documents in a shadow, by collection number and id.
const LISTED: Definition = tables::STAGED;
/// Those that differ: name of the collection, `00`, id.
pub(super) const DIFFERING: Definition = tables::JOINS;

const CACHE_BYTES: usize = 16 << 20;

/// What a shadow is made of.
pub(super) struct Origin<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) moment: &'a Moment,
    /// The read transaction of the moment, and what its tables say.
    pub(super) read: &'a ReadTransaction,
    pub(super) heads: &'a Heads,
    pub(super) log: &'a LogReader,
    pub(super) node: NodeId,
    pub(super) network: NetworkId,
}

/// A state beside the state. The database is dropped before its directory.
pub(super) struct Shadow {
    pub(super) database: Database,
    pub(super) heads: Heads,
    _scratch: Option<Scratch>,
}

/// One that is being made.
struct Making<'a> {
    of: &'a Origin<'a>,
    database: Database,
    /// How many bytes may still be laid into it, if it is in memory.
    room: Option<u64>,
    /// Bytes laid into it by the write transaction under way.
    pending: usize,
}

impl Shadow {
    /// Makes one: in memory, or if that does not do in a scratch directory.
    pub(super) fn make(of: &Origin<'_>, how: &ReplayOptions) -> Result<Shadow> {
        let in_memory = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(InMemoryBackend::new())
            .map_err(db)?;
        let room = Some(how.memory_bytes);
        if let Some((database, heads)) =
            (Making { of, database: in_memory, room, pending: 0 }).run()?
        {
            return Ok(Shadow { database, heads, _scratch: None });
        }
        let scratch = Scratch::new(how.scratch.as_deref())?;
        let database = scratch.database(CACHE_BYTES)?;
        let making = Making { of, database, room: None, pending: 0 };
        let (database, heads) = making.run()?.expect("without a bound nothing is too large");
        Ok(Shadow { database, heads, _scratch: Some(scratch) })
    }
}

impl Making<'_> {
    /// Makes it; `None` if there was not room enough.
    fn run(mut self) -> Result<Option<(Database, Heads)>> {
        self.collections()?;
        if !(self.kept()? && self.settled()?) {
            return Ok(None);
        }
        let mut heads = Heads::load(&self.database, self.of.node)?;
        (heads.layout, heads.hashes) = (self.of.heads.layout, self.of.heads.hashes);
        match self.log(&mut heads)? {
            true => Ok(Some((self.database, heads))),
            false => Ok(None),
        }
    }

    /// Notes bytes laid into it; gives whether there was room.
    fn takes(&mut self, bytes: usize) -> bool {
        self.pending += bytes;
        match &mut self.room {
            None => true,
            Some(room) => match room.checked_sub(bytes as u64) {
                Some(rest) => {
                    *room = rest;
                    true
                }
                None => false,
            },
        }
    }

    /// All that stands for collections as a whole, as it was.
    fn collections(&self) -> Result<()> {
        let Origin { checkpoint, moment, read, heads, .. } = self.of;
        let txn = begin(&self.database)?;
        for definition in tables::ALL {
            txn.open_table(definition).map_err(db)?;
        }
        let table = |definition, key: &[u8], row: &[u8]| -> Result<()> {
            set(&mut txn.open_table(definition).map_err(db)?, key, row)
        };
        for entry in read.open_table(tables::ORIGINS).map_err(db)?.iter().map_err(db)? {
            let (key, row) = entry.map_err(db)?;
            table(tables::ORIGINS, key.value(), row.value())?;
        }
        for (part, definition) in [
            (Part::Collections, tables::COLLECTIONS),
            (Part::Heads, tables::HEADS),
            (Part::Vectors, tables::VECTORS),
            (Part::Branches, tables::BRANCHES),
        ] {
            let below = checkpoint.below.to_be_bytes();
            let end: &[u8] = if part == Part::Collections { &[0xff] } else { &below };
            for entry in moment.range(checkpoint.tag, part, &[], end, false)? {
                let (key, row) = entry?;
                table(definition, &key, &row)?;
            }
        }
        // To tell which transactions a forked history holds, those before the checkpoint are
        // asked for, too.
        let forked = heads.iter().filter(|head| !head.branches.is_empty());
        for head in forked {
            let (start, end) = (head.number.to_be_bytes(), (head.number + 1).to_be_bytes());
            for definition in [tables::TRANSACTIONS, tables::HASHES] {
                let rows = read.open_table(definition).map_err(db)?;
                for entry in rows.range(&start[..]..&end[..]).map_err(db)? {
                    let (key, row) = entry.map_err(db)?;
                    table(definition, key.value(), row.value())?;
                }
            }
        }
        table(tables::META, tables::META_NEXT_COLLECTION, &checkpoint.below.to_be_bytes())?;
        table(tables::META, tables::META_APPLIED, &checkpoint.position.0.to_be_bytes())?;
        txn.commit().map_err(db)
    }

    /// The documents of which a row was kept since.
    fn kept(&mut self) -> Result<bool> {
        let Origin { checkpoint, moment, .. } = self.of;
        let (start, end) = ([Part::Documents as u8], [Part::Runs as u8 + 1]);
        let rows = moment.former().range::<&[u8]>(&start[..]..&end[..]).map_err(db)?;
        let named = rows.map(|entry| {
            let (key, _) = entry.map_err(db)?;
            let (part, row, tag) = split_key(key.value())?;
            let id = match part {
                Part::Runs => id_of_run(&row).map(str::to_owned).ok_or_else(malformed)?,
                _ => tables::document_id(&row)?.to_owned(),
            };
            Ok((tag >= checkpoint.tag).then_some((number_in(&row)?, id)))
        });
        self.lay_all(named)
    }

    /// The documents with counter rows that wait for their origin to write again.
    fn settled(&mut self) -> Result<bool> {
        let table = self.of.read.open_table(tables::SETTLED).map_err(db)?;
        let named = table.iter().map_err(db)?.map(|entry| {
            let (key, _) = entry.map_err(db)?;
            let (id, ..) = tables::split_settled_key(key.value()).ok_or_else(malformed)?;
            Ok(Some((number_in(key.value())?, id.to_owned())))
        });
        self.lay_all(named)
    }

    fn lay_all(
        &mut self,
        named: impl Iterator<Item = Result<Option<(u32, String)>>>,
    ) -> Result<bool> {
        let below = self.of.checkpoint.below;
        let mut named = named.peekable();
        while named.peek().is_some() {
            self.pending = 0;
            let txn = begin(&self.database)?;
            let mut tables = Tables::open(&txn)?;
            while self.pending < COMMIT_BATCH_BYTES
                && let Some(next) = named.next().transpose()?
            {
                let Some((number, id)) = next.filter(|(number, _)| *number < below) else {
                    continue;
                };
                let bytes = self.of.lay(&mut tables, number, &id)?;
                if !self.takes(bytes) {
                    return Ok(false);
                }
            }
            drop(tables);
            txn.commit().map_err(db)?;
        }
        Ok(true)
    }

    /// Applies the log from the checkpoint on, up to the moment.
    fn log(&mut self, heads: &mut Heads) -> Result<bool> {
        let mut roomy = true;
        let (from, to) = (self.of.checkpoint.position, self.of.heads.applied);
        each_batch(self.of.log, (from, to), COMMIT_BATCH_BYTES, |records| {
            let txn = begin(&self.database)?;
            let mut waist = Waist::new(Tables::open(&txn)?, heads, self.of.node);
            let mut end = from;
            for record in records.iter().filter(|record| record.kind == RecordKind::Txn) {
                end = record.end;
                let bytes = self.of.apply(&mut waist, record)?;
                roomy &= self.takes(bytes);
                if !roomy {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let changes = waist.finish(end, None)?;
            txn.commit().map_err(db)?;
            changes.publish(heads, self.of.node);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(roomy)
    }
}

impl Origin<'_> {
    /// Applies the transaction in a record; gives how many bytes were laid into the shadow for it.
    fn apply(&self, waist: &mut Waist<'_, '_>, record: &LogRecord) -> Result<usize> {
        let scope = Scope { network: self.network, collection: &record.collection };
        let signed = Signed::trusted(record.bytes.clone(), scope).map_err(|err| {
            Error::corrupt(format!("the log at position {}: {err}", record.position))
        })?;
        let number = waist.begin(&record.collection)?;
        let mut bytes = record.bytes.len();
        for doc in &signed.txn.docs {
            bytes += self.lay(&mut waist.tables, number, &doc.id)?;
        }
        waist.apply(&record.collection, &signed, record.position)?;
        Ok(bytes)
    }

    /// Lays a document into the shadow as it was at the checkpoint, unless it is there; gives how
    /// many bytes that took.
    fn lay(&self, tables: &mut Tables<'_>, number: u32, id: &str) -> Result<usize> {
        let key = tables::document_key(number, id);
        if tables::get(&tables.staged, &key)?.is_some() {
            return Ok(0);
        }
        set(&mut tables.staged, &key, &[])?;
        let Checkpoint { tag, below, .. } = *self.checkpoint;
        // A collection that began later had nothing, whatever was kept of it for later checkpoints.
        if number >= below {
            return Ok(key.len());
        }
        let mut bytes = key.len();
        let Some(row) = self.moment.row(tag, Part::Documents, &key)? else { return Ok(bytes) };
        bytes += key.len() + row.len();
        set(&mut tables.documents, &key, &row)?;
        if !documents::is_head(&row) {
            self.note_settled(&mut tables.settled, number, id, &row)?;
            return Ok(bytes);
        }
        let start = runs_prefix(number, id);
        let end = [&start[..], &[0xff]].concat();
        for run in self.moment.range(tag, Part::Runs, &start, &end, false)? {
            let (key, row) = run?;
            bytes += key.len() + row.len();
            set(&mut tables.runs, &key, &row)?;
            self.note_settled(&mut tables.settled, number, id, &row)?;
        }
        Ok(bytes)
    }

    /// Lists the settled counter rows in a row.
    fn note_settled(
        &self,
        table: &mut LazyTable<'_>,
        number: u32,
        id: &str,
        row: &[u8],
    ) -> Result<()> {
        settled_in(&self.moment.decode(row)?, |origin, key, birth| {
            let origin = self.heads.origins.number(origin).ok_or_else(malformed)?;
            set(table, &tables::settled_key(number, origin, id, key, birth), &[])
        })
    }
}

/// The settled counter rows of a document or a part of one.
pub(super) fn settled_in(
    row: &Row,
    mut each: impl FnMut(&crate::id::Origin, &[u8], u64) -> Result<()>,
) -> Result<()> {
    for cell in row.cells() {
        if let Body::Counter(counter) = &cell.body
            && counter.is_settled()
        {
            each(&cell.stamp.dot.origin, &cell.key, cell.stamp.dot.seq)?;
        }
    }
    Ok(())
}

/// The collection number that a key begins with.
fn number_in(key: &[u8]) -> Result<u32> {
    tables::u32_of(key.get(..4).ok_or_else(malformed)?)
}

fn malformed() -> Error {
    Error::corrupt("a table of the state has a malformed key")
}

/// A write transaction of a shadow, which nothing of need be durable.
fn begin(database: &Database) -> Result<WriteTransaction> {
    let mut txn = database.begin_write().map_err(db)?;
    let none = txn.set_durability(Durability::None);
    none.map_err(|err| Error::new(ErrorKind::Internal, format!("the shadow: {err}")))?;
    Ok(txn)
}

impl Shadow {
    /// The documents in it, and itself as a moment that they are read in.
    pub(super) fn moment(&self) -> Result<(Listed, Arc<Moment>)> {
        let read = self.database.begin_read().map_err(db)?;
        let moment = Moment::open(&read, self.heads.origins.clone())?;
        Ok((read.open_table(LISTED).map_err(db)?, Arc::new(moment)))
    }

    pub(super) fn begin(&self) -> Result<WriteTransaction> {
        begin(&self.database)
    }
}

type Listed = ReadOnlyTable<&'static [u8], &'static [u8]>;

//! Hold: a collection shows what it did at a checkpoint, while nothing is undone.
//!
//! State, vector and log stay what they are, so nothing that peers know of is taken back, no dot is
//! ever used twice, and `resume` has nothing to bring back: it drops what was shown instead.
//! What is shown is the past at the checkpoint ([`past`](super::past)) with own operations laid over
//! it: those since the checkpoint, and those written while it is held. An own transaction that was
//! written before counts as what it was meant to come to: what it put and cleared replaces what
//! is shown at its places, since its author had seen all that the checkpoint shows. One that is
//! written while it is held was made over what is shown, so its operations say exactly what they do;
//! the waist applies them twice, to the state and to what is shown, in one redb transaction. Its
//! dependencies are those of the state (schedule S10), and additions to counters go by the own row
//! of the state, of which there is one.
//!
//! # Invariants
//! 1. Nothing here changes a row of the state, but for one record in the log that moves the change
//!    feed on: whoever follows it is told to read the documents anew.
//! 2. The checkpoint stays as long as something is held by it.
//! 3. What arrives from elsewhere while a collection is held enters the state, and is not shown. It
//!    is not exchanged with peers meanwhile; but that is for their sake, not for this to hold.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | held | collection number | `01`, tag of the checkpoint 8, `00`, or `01` if the collection began after it, wall time in ms 8, documents shown 8 |
//! | held rows | collection number, id | `00` not there, or `01` and a [`Row`], of large documents too: those that own operations touched |

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::former::{row_at, row_of, split_key, value};
use super::past::{Ends, KeptRow, Laid, Moment, Rows, Table};
use super::{Checkpoint, Part, each_batch, find};
use crate::crdt::key::{self, Slot};
use crate::crdt::{Body, Cell, Flags, Op, Row, Stamp, view};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{NodeId, Position};
use crate::store::collection::key_bounds;
use crate::store::commit::{Committer, lock};
use crate::store::document::Document;
use crate::store::documents::{self, runs_prefix};
use crate::store::export::Mark;
use crate::store::heads::{CollectionHead, Heads, Origins};
use crate::store::journal::{self, EventKind, NewEvent};
use crate::store::leave::drop_range;
use crate::store::log::{NewRecord, RecordKind};
use crate::store::rotation;
use crate::store::tables::{self, Tables, db, set, unset};
use crate::store::transaction::PATIENCE;
use crate::store::{Inner, ScanRange, Store};
use crate::txn::{Scope, Signed, peek_dot};
use crate::wire::Reader;

const VERSION: u8 = 1;
/// Bytes of log read at a time.
const READ_BYTES: usize = 256 << 10;

/// A collection that shows what it did at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The collection.
    pub collection: String,
    /// The checkpoint.
    pub label: String,
    /// Since when, by this node's clock, in milliseconds since 1970.
    pub since_ms: u64,
    /// How many documents it shows.
    pub documents: u64,
}

/// How a collection is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct HeldRow {
    pub(super) tag: u64,
    /// The collection began after the checkpoint, and so is held empty.
    pub(super) later: bool,
    pub(super) since_ms: u64,
    pub(in crate::store) documents: u64,
}

impl HeldRow {
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.push(u8::from(self.later));
        for number in [self.since_ms, self.documents] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out
    }

    pub(in crate::store) fn decode(bytes: &[u8]) -> Result<HeldRow> {
        let read = || -> Result<HeldRow> {
            let mut reader = Reader::new(bytes, "held collection");
            if reader.u8()? != VERSION {
                return Err(reader.bad("it has another version"));
            }
            let tag = u64::from_be_bytes(reader.array()?);
            let later = match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(reader.bad("it began neither before nor after")),
            };
            let since_ms = u64::from_be_bytes(reader.array()?);
            let documents = u64::from_be_bytes(reader.array()?);
            reader.end()?;
            Ok(HeldRow { tag, later, since_ms, documents })
        };
        read().map_err(|err| Error::corrupt(err.message()))
    }
}

/// A row, for fuzzing and golden bytes.
pub(in crate::store) fn sample_held() -> HeldRow {
    HeldRow { tag: 3, later: false, since_ms: 1_795_348_800_000, documents: 2 }
}

/// The collections that are held, by their numbers.
pub(in crate::store) type Holds = BTreeMap<u32, HeldRow>;

/// What is held.
pub(in crate::store) fn load_holds(read: &ReadTransaction) -> Result<Holds> {
    let mut holds = Holds::new();
    let Some(table) = tables::open_if_there(read, tables::HELD)? else { return Ok(holds) };
    for entry in table.iter().map_err(db)? {
        let (number, row) = entry.map_err(db)?;
        holds.insert(tables::u32_of(number.value())?, HeldRow::decode(row.value())?);
    }
    Ok(holds)
}

impl Store {
    /// Holds collections back: they show what they did at a checkpoint, and what this node itself
    /// has written since. Nothing is undone. Until [`Store::resume`] what others wrote is kept and
    /// not shown, reads and local writes go on over what is shown, and the collections are not
    /// exchanged with peers, who keep all that they have. `None` is all collections. Durable when
    /// this returns; a crash leaves either all of them held or none.
    ///
    /// What is written meanwhile is made over what is shown. Where somebody else had changed the
    /// same field, the two are a conflict once it is resumed: neither had seen the other.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// notes.set("n1", "title", "Tide table")?;
    /// store.checkpoint("before")?;
    /// // .. sync brings what looks wrong ..
    /// store.rollback_hold("before", Some(&["notes"]))?;
    /// assert_eq!(store.holds()[0].collection, "notes");
    /// store.resume(None)?;
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if there is no such checkpoint, or the log no
    /// longer holds what this node wrote since; [`UnknownCollection`](ErrorKind::UnknownCollection);
    /// [`InvalidInput`](ErrorKind::InvalidInput) if a collection is held already, was left since, or
    /// has forked since; I/O. After an error nothing is held that was not before.
    pub fn rollback_hold(&self, label: &str, collections: Option<&[&str]>) -> Result<Vec<Hold>> {
        self.inner.hold(label, collections)
    }

    /// Ends what [`Store::rollback_hold`] began, for one collection or for all: they show their
    /// state again, with what was written meanwhile in it, and are exchanged with peers. Gives
    /// which were held. Durable when this returns.
    pub fn resume(&self, collection: Option<&str>) -> Result<Vec<Hold>> {
        self.inner.resume(collection)
    }

    /// What is held, in the order of names.
    pub fn holds(&self) -> Vec<Hold> {
        let heads = self.inner.read_heads();
        let mut holds: Vec<Hold> =
            heads.holds.iter().filter_map(|(number, row)| hold_of(&heads, *number, row)).collect();
        holds.sort_by(|a, b| a.collection.cmp(&b.collection));
        holds
    }
}

fn hold_of(heads: &Heads, number: u32, row: &HeldRow) -> Option<Hold> {
    let label = heads.checkpoints.iter().find(|known| known.tag == row.tag)?.label.clone();
    let collection = heads.iter().find(|head| head.number == number)?.name.clone();
    Some(Hold { collection, label, since_ms: row.since_ms, documents: row.documents })
}

impl Inner {
    /// That a collection is not held, for what goes by the state and not by what is shown.
    pub(in crate::store) fn check_not_held(&self, collection: Option<&str>) -> Result<()> {
        let heads = self.read_heads();
        let held = heads.holds.iter().filter_map(|(number, row)| hold_of(&heads, *number, row));
        let mut held = held.filter(|hold| collection.is_none_or(|name| hold.collection == name));
        match held.next() {
            None => Ok(()),
            Some(Hold { collection, label, .. }) => Err(Error::invalid(format!(
                "collection '{collection}' is held back to checkpoint '{label}': resume it first"
            ))),
        }
    }

    fn hold(&self, label: &str, collections: Option<&[&str]>) -> Result<Vec<Hold>> {
        // No local write builds meanwhile, and none is queued: each is before, or made over what
        // is then shown.
        let _gate = self.gate.enter(PATIENCE)?;
        self.flush()?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let (checkpoint, chosen, origins) = {
            let heads = self.read_heads();
            let checkpoint = find(&heads.checkpoints, label)?.clone();
            let chosen = chosen(&heads, collections)?;
            (checkpoint, chosen, heads.origins.clone())
        };
        self.check_can_be_held(&checkpoint, &chosen)?;
        let mut holds = Holds::new();
        let txn = self.begin_write(true)?;
        let mut tables = Tables::open(&txn)?;
        for head in &chosen {
            let row = HeldRow {
                tag: checkpoint.tag,
                later: head.number >= checkpoint.below,
                since_ms: self.wall.now_ms(),
                documents: documents_at(&tables, &checkpoint, head.number)?,
            };
            holds.insert(head.number, row);
        }
        self.lay_own_over(&checkpoint, &chosen, &origins, &mut tables, &mut holds)?;
        for (number, row) in &holds {
            set(&mut tables.held, &number.to_be_bytes(), &row.encode())?;
        }
        let now_held = |heads: &mut Heads| heads.holds.extend(holds);
        let events: Vec<NewEvent> = chosen
            .iter()
            .map(|head| NewEvent::new(EventKind::Held).of(&head.name).saying(label))
            .collect();
        journal::add(&mut tables.events, self.wall.now_ms(), &events)?;
        drop(tables);
        self.cut_feed(committer, txn, &chosen, now_held)?;
        let heads = self.read_heads();
        let held = chosen.iter().filter_map(|head| {
            heads.holds.get(&head.number).and_then(|row| hold_of(&heads, head.number, row))
        });
        Ok(held.collect())
    }

    /// That what these collections showed at the checkpoint, and what was written here since, can
    /// be told.
    fn check_can_be_held(&self, checkpoint: &Checkpoint, chosen: &[CollectionHead]) -> Result<()> {
        if checkpoint.position < self.reader.start() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the log no longer holds what was written here since checkpoint '{}': name a \
                     later one, or read the past as it is",
                    checkpoint.label
                ),
            ));
        }
        let read = self.database()?.begin_read().map_err(db)?;
        let moment = Moment::open(&read, self.origins())?;
        for CollectionHead { name, number, branches, .. } in chosen {
            let was = moment.number(checkpoint.tag, name)?;
            if was.is_some_and(|was| was != *number) {
                return Err(Error::invalid(format!(
                    "collection '{name}' was left after checkpoint '{}', and is another since",
                    checkpoint.label
                )));
            }
            if !branches.is_empty() {
                return Err(Error::invalid(format!(
                    "a history in collection '{name}' has forked, so that what the checkpoint shows \
                     goes by other names: read the past as it is"
                )));
            }
        }
        Ok(())
    }

    /// Lays over what a checkpoint shows what this node has written since, in the order of the log.
    fn lay_own_over(
        &self,
        checkpoint: &Checkpoint,
        chosen: &[CollectionHead],
        origins: &Origins,
        tables: &mut Tables<'_>,
        holds: &mut Holds,
    ) -> Result<()> {
        let read = self.database()?.begin_read().map_err(db)?;
        let former = rotation::load(&read)?.map(|change| change.from);
        let is_own = |node: NodeId| node == self.node || Some(node) == former;
        let end = self.read_heads().applied;
        let range = (checkpoint.position, end);
        each_batch(&self.reader, range, READ_BYTES, |records| {
            for record in records {
                let head = chosen.iter().find(|head| head.name == record.collection);
                let (Some(head), RecordKind::Txn) = (head, record.kind) else { continue };
                // What comes before was of a collection of this name that was left.
                let counts = record.position >= head.row.since;
                if !counts || !is_own(peek_dot(&record.bytes)?.origin.node) {
                    continue;
                }
                let held = holds.get_mut(&head.number).expect("one of each chosen");
                let scope = Scope { network: self.network, collection: &record.collection };
                let txn = Signed::trusted(record.bytes, scope)?.txn;
                for doc in &txn.docs {
                    let mut place = Shown { tables, origins, number: head.number, id: &doc.id };
                    place.change(held, |row| replay(row, &doc.ops, &txn.stamp()))?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Commits, durably, what changes all that some collections show, and cuts the change feed there.
    /// For that the log gets a record of each, which comes after all that was shown before, and
    /// repeats what the marks say already.
    fn cut_feed(
        &self,
        committer: &mut Committer,
        txn: WriteTransaction,
        of: &[CollectionHead],
        publish: impl FnOnce(&mut Heads),
    ) -> Result<()> {
        let cut = || -> Result<()> {
            let mut end = Position::default();
            for head in of {
                let (_, seq) = head.exports(self.node);
                let (collection, incarnation) = (Arc::from(&head.name[..]), head.row.incarnation);
                let bytes = Mark { collection, incarnation, seq }.encode();
                let (kind, collection) = (RecordKind::Mark, &head.name[..]);
                end = committer.append_apart(NewRecord { kind, collection, bytes: &bytes })?;
            }
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            set(&mut meta, tables::META_FEED, &end.0.to_be_bytes())?;
            set(&mut meta, tables::META_APPLIED, &end.0.to_be_bytes())?;
            drop(meta);
            committer.save_segments(&txn)?;
            let mut heads = self.write_heads();
            txn.commit().map_err(db)?;
            publish(&mut heads);
            (heads.applied, heads.feed) = (end, end);
            heads.terms += 1;
            Ok(())
        };
        cut().map_err(|err| self.poison(&err))?;
        self.note_durable(committer);
        self.announce();
        Ok(())
    }

    fn resume(&self, collection: Option<&str>) -> Result<Vec<Hold>> {
        let _gate = self.gate.enter(PATIENCE)?;
        self.flush()?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let ended: Vec<(CollectionHead, Hold)> = {
            let heads = self.read_heads();
            let held = heads.iter().filter(|head| collection.is_none_or(|name| head.name == name));
            held.filter_map(|head| {
                let row = heads.holds.get(&head.number)?;
                Some((head.clone(), hold_of(&heads, head.number, row)?))
            })
            .collect()
        };
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let (ended, holds): (Vec<CollectionHead>, Vec<Hold>) = ended.into_iter().unzip();
        let txn = self.begin_write(true)?;
        let mut tables = Tables::open(&txn)?;
        for head in &ended {
            forget(&mut tables, head.number)?;
        }
        let none_held = |heads: &mut Heads| {
            heads.holds.retain(|number, _| ended.iter().all(|head| head.number != *number));
        };
        let events: Vec<NewEvent> = holds
            .iter()
            .map(|hold| NewEvent::new(EventKind::Resumed).of(&hold.collection).saying(&hold.label))
            .collect();
        journal::add(&mut tables.events, self.wall.now_ms(), &events)?;
        drop(tables);
        self.cut_feed(committer, txn, &ended, none_held)?;
        Ok(holds)
    }
}

/// The collections asked for, none of which is held yet.
fn chosen(heads: &Heads, collections: Option<&[&str]>) -> Result<Vec<CollectionHead>> {
    let Some(names) = collections else {
        let free = heads.iter().filter(|head| !heads.holds.contains_key(&head.number));
        let free: Vec<CollectionHead> = free.cloned().collect();
        return match free.is_empty() {
            true => Err(Error::invalid("there is no collection that is not held back already")),
            false => Ok(free),
        };
    };
    let names: BTreeSet<&str> = names.iter().copied().collect();
    let found = names.into_iter().map(|name| {
        let head = heads.named(name).ok_or_else(|| {
            let text = format!("there is no collection '{name}'");
            Error::new(ErrorKind::UnknownCollection, text)
        })?;
        match heads.holds.contains_key(&head.number) {
            true => Err(Error::invalid(format!(
                "collection '{name}' is held back already: resume it first"
            ))),
            false => Ok(head.clone()),
        }
    });
    found.collect()
}

/// Drops what is kept of a collection that is held.
pub(in crate::store) fn forget(tables: &mut Tables<'_>, number: u32) -> Result<()> {
    let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
    unset(&mut tables.held, &start)?;
    drop_range(&mut tables.held_rows, &start, &end)
}

fn documents_at(tables: &Tables<'_>, checkpoint: &Checkpoint, number: u32) -> Result<u64> {
    if number >= checkpoint.below {
        return Ok(0);
    }
    let key = number.to_be_bytes();
    let head = row_at(&tables.former, &tables.heads, checkpoint.tag, Part::Heads, &key)?;
    head.map_or(Ok(0), |head| tables::HeadRow::decode(&head).map(|head| head.documents))
}

/// A document of a collection that is held, in a transaction that writes.
pub(in crate::store) struct Shown<'a, 'txn> {
    pub(in crate::store) tables: &'a mut Tables<'txn>,
    pub(in crate::store) origins: &'a Origins,
    pub(in crate::store) number: u32,
    pub(in crate::store) id: &'a str,
}

impl Shown<'_, '_> {
    /// Changes it, and counts whether it is shown.
    pub(in crate::store) fn change(
        &mut self,
        held: &mut HeldRow,
        change: impl FnOnce(&mut Row),
    ) -> Result<()> {
        let mut row = self.row(held)?;
        let before = view::flags(&row).shown;
        change(&mut row);
        let after = view::flags(&row);
        held.documents += u64::from(after.shown);
        held.documents -= u64::from(before);
        let number_of = |origin: &crate::id::Origin| {
            self.origins.number(origin).expect("numbered when the state was changed")
        };
        let bytes = (!row.is_empty()).then(|| row.encode(after, number_of));
        let key = tables::document_key(self.number, self.id);
        set(&mut self.tables.held_rows, &key, &value(bytes.as_deref()))
    }

    fn row(&self, held: &HeldRow) -> Result<Row> {
        let key = tables::document_key(self.number, self.id);
        if let Some(kept) = self.tables.held_rows.get(&key[..]).map_err(db)? {
            return row_of(kept.value())?
                .map_or_else(|| Ok(Row::default()), |row| self.decode(row));
        }
        if held.later {
            return Ok(Row::default());
        }
        let Tables { former, documents, .. } = &*self.tables;
        match row_at(former, documents, held.tag, Part::Documents, &key)? {
            None => Ok(Row::default()),
            Some(row) if documents::is_head(&row) => self.runs(held.tag),
            Some(row) => self.decode(&row),
        }
    }

    fn decode(&self, row: &[u8]) -> Result<Row> {
        Row::decode(row, |number| self.origins.find(number))
    }

    /// The cells that a large document had at the checkpoint.
    fn runs(&self, tag: u64) -> Result<Row> {
        let Tables { former, runs, .. } = &*self.tables;
        let start = runs_prefix(self.number, self.id);
        let end = [&start[..], &[0xff]].concat();
        let mut found: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for run in runs.range(&start[..]..&end[..]).map_err(db)? {
            let (key, row) = run.map_err(db)?;
            found.insert(key.value().to_vec(), Some(row.value().to_vec()));
        }
        let mut kept = BTreeSet::new();
        let [first, last] = [&start, &end].map(|key| super::former::prefix(Part::Runs, key));
        for entry in former.range(&first[..]..&last[..]).map_err(db)? {
            let (key, row) = entry.map_err(db)?;
            let (_, run, at) = split_key(key.value())?;
            // Tags ascend: of those that count the lowest is wanted.
            if at >= tag && kept.insert(run.clone()) {
                found.insert(run, row_of(row.value())?.map(<[u8]>::to_vec));
            }
        }
        let mut cells = Vec::new();
        for row in found.into_values().flatten() {
            cells.extend(self.decode(&row)?.into_cells());
        }
        Ok(Row::of_cells(cells))
    }
}

/// Lays over a document what an own transaction did to it that had seen all that is there: what
/// it put and cleared replaces that.
fn replay(row: &mut Row, ops: &[Op], stamp: &Stamp) {
    for op in ops {
        let replaced = |cell: &Cell| match op {
            Op::Clear { prefix, .. } => cell.key.starts_with(prefix),
            Op::Put { key, .. } => match key::slot_of_key(key) {
                Slot::Register => cell.key.starts_with(&key::prefix(&key::path_of_key(key))),
                _ => cell.key == *key,
            },
            Op::Add { .. } | Op::Continue { .. } | Op::Settle { .. } => false,
        };
        let mut cells = std::mem::take(row).into_cells();
        cells.retain(|cell| {
            !matches!(cell.body, Body::Put(_)) || cell.stamp.dot == stamp.dot || !replaced(cell)
        });
        *row = Row::of_cells(cells);
        row.apply(op, stamp);
    }
}

/// What a collection that is held shows, at one moment.
pub(in crate::store) struct HeldView {
    moment: Moment,
    rows: Table,
    held: HeldRow,
    number: u32,
    /// Histories go by other names since.
    forked: bool,
}

impl HeldView {
    /// Of the moment of the heads; `None` if the collection is not held.
    pub(in crate::store) fn open(
        inner: &Inner,
        heads: &Heads,
        collection: &str,
    ) -> Result<Option<HeldView>> {
        if heads.holds.is_empty() {
            return Ok(None);
        }
        let Some(head) = heads.named(collection) else { return Ok(None) };
        let (number, forked) = (head.number, !head.branches.is_empty());
        let Some(held) = heads.holds.get(&number).copied() else { return Ok(None) };
        let read = inner.database()?.begin_read().map_err(db)?;
        let rows = read.open_table(tables::HELD_ROWS).map_err(db)?;
        let moment = Moment::open(&read, heads.origins.clone())?;
        Ok(Some(HeldView { moment, rows, held, number, forked }))
    }

    /// That what is written over it can be said.
    pub(in crate::store) fn check_writable(&self, collection: &str) -> Result<()> {
        match self.forked {
            false => Ok(()),
            true => Err(Error::invalid(format!(
                "a history in collection '{collection}' has forked since it is held back, so that \
                 nothing can be written over what it shows: resume it"
            ))),
        }
    }

    /// How a document is stored: a row, or the head of a large one.
    fn stored(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let key = tables::document_key(self.number, id);
        if let Some(kept) = self.rows.get(&key[..]).map_err(db)? {
            return row_of(kept.value()).map(|row| row.map(<[u8]>::to_vec));
        }
        match self.held.later {
            true => Ok(None),
            false => self.moment.row(self.held.tag, Part::Documents, &key),
        }
    }

    /// The cells that a document shows.
    pub(in crate::store) fn cells(&self, id: &str) -> Result<Row> {
        match self.stored(id)? {
            None => Ok(Row::default()),
            Some(row) if documents::is_head(&row) => {
                self.moment.cells(self.held.tag, self.number, id)
            }
            Some(row) => self.moment.decode(&row),
        }
    }

    /// Whether it shows a document, and in conflict.
    pub(in crate::store) fn flags(&self, id: &str) -> Result<Flags> {
        self.stored(id).map(|row| Flags::of(row.as_deref()))
    }

    /// A document, if it shows one.
    pub(in crate::store) fn get(
        &self,
        collection: &Arc<str>,
        id: &str,
    ) -> Result<Option<Document>> {
        let Some(row) = self.stored(id)? else { return Ok(None) };
        self.moment.document_at(self.held.tag, collection, self.number, id, &row)
    }

    /// The documents of a range.
    pub(in crate::store) fn scan(view: &Arc<HeldView>, range: &ScanRange) -> Result<HeldScan> {
        Ok(HeldScan { view: view.clone(), rows: view.rows(range)? })
    }

    fn rows(&self, range: &ScanRange) -> Result<HeldRows> {
        let (start, end) = key_bounds(self.number, range);
        let end = end.max(start.clone());
        let (tag, reverse) = (self.held.tag, range.reverse);
        let base = if self.held.later { &start } else { &end };
        let under = self.moment.range(tag, Part::Documents, &start, base, reverse)?;
        let over = self.rows.range_owned::<&[u8]>(&start[..]..&end[..]).map_err(db)?;
        Ok(Laid::new(under, Over { rows: Ends::new(over, reverse) }, reverse))
    }

    /// The documents that it shows in conflict, with their cells.
    pub(in crate::store) fn in_conflict(&self) -> Result<Vec<(String, Row)>> {
        let mut found = Vec::new();
        for entry in self.rows(&ScanRange::default())? {
            let (key, row) = entry?;
            if Flags::of(Some(&row)).in_conflict {
                let id = tables::document_id(&key)?;
                found.push((id.to_owned(), self.cells(id)?));
            }
        }
        Ok(found)
    }
}

/// What own operations made of documents.
pub(super) struct Over {
    rows: Ends,
}

impl Iterator for Over {
    type Item = Result<KeptRow>;

    fn next(&mut self) -> Option<Result<KeptRow>> {
        let entry = self.rows.next()?;
        Some(entry.and_then(|(key, row)| {
            Ok((key.value().to_vec(), row_of(row.value())?.map(<[u8]>::to_vec)))
        }))
    }
}

type HeldRows = Laid<Rows, Over>;

/// Documents that a held collection shows, one by one.
pub(in crate::store) struct HeldScan {
    view: Arc<HeldView>,
    rows: HeldRows,
}

impl HeldScan {
    /// The next document; none within it for what shows nothing.
    pub(in crate::store) fn step(
        &mut self,
        collection: &Arc<str>,
    ) -> Option<Result<Option<Document>>> {
        let entry = self.rows.next()?;
        Some(entry.and_then(|(key, row)| {
            if !Flags::of(Some(&row)).shown {
                return Ok(None);
            }
            let (view, id) = (&self.view, tables::document_id(&key)?);
            view.moment.document_at(view.held.tag, collection, view.number, id, &row)
        }))
    }
}

/// Examines what is held: that it can be read, that its checkpoint is there, and that as many
/// documents are shown as were counted.
pub(in crate::store) fn check_holds(
    read: &ReadTransaction,
    heads: &Heads,
    whole: bool,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let rows = read.open_table(tables::HELD_ROWS).map_err(db)?;
    for entry in rows.iter().map_err(db)? {
        let (key, row) = entry.map_err(db)?;
        let number = tables::u32_of(key.value().get(..4).unwrap_or_default())?;
        if !heads.holds.contains_key(&number) {
            wrong.push("a row is kept for a collection that is not held back".to_owned());
            break;
        }
        if let Some(row) = row_of(row.value())? {
            Row::decode(row, |number| heads.origins.find(number))?;
        }
    }
    for (number, held) in &heads.holds {
        if hold_of(heads, *number, held).is_none() {
            wrong.push("a collection is held back to a checkpoint that is not there".to_owned());
            continue;
        }
        if whole {
            let rows = read.open_table(tables::HELD_ROWS).map_err(db)?;
            let moment = Moment::open(read, heads.origins.clone())?;
            let view = HeldView { moment, rows, held: *held, number: *number, forked: false };
            let mut shown = 0;
            for entry in view.rows(&ScanRange::default())? {
                shown += u64::from(Flags::of(Some(&entry?.1)).shown);
            }
            if shown != held.documents {
                wrong.push(format!(
                    "a collection that is held back counts {} documents and shows {shown}",
                    held.documents
                ));
            }
        }
    }
    Ok(())
}

//! The waist: the one place that changes documents.
//!
//! A local write, a peer's transaction and a transaction that recovery reads from the log
//! all come through [`Waist::apply`], in one redb transaction a batch. It touches all that
//! a transaction touches, together: documents, conflicts, counts, digest, vector, index,
//! and the position up to which the log is applied. It decides nothing: what it is given
//! was admitted before ([`Admission`](super::admission::Admission)), and is in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redb::ReadableTable;

use super::branches::Parting;
use super::documents::{self, Change, Numbers, Writer};
use super::export::Mark;
use super::feed;
use super::hashes;
use super::heads::{CollectionHead, Heads, Origins};
use super::index;
use super::journal::conflicts::{self, Scene};
use super::journal::{self, ConflictCause, NewEvent, Tides};
use super::snapshot::save_before;
use super::tables::{self, HeadRow, IndexRow, Tables, VectorRow, Writable, db, set, unset};
use super::tape::{Holds, Keeper, Part, Recording, Shown};
use crate::clock::Timestamp;
use crate::crdt::layout::Layout;
use crate::crdt::{Batch, Cell, Effects, LtHash, Op, Row, Settled, Stamp};
use crate::error::{Error, Result};
use crate::id::{Dot, Hash, Head, NodeId, Origin, Position, Seq, ShortHash};
use crate::txn::branches::{Held, Place, Translated};
use crate::txn::snapshot::{Newest, ViewHead};
use crate::txn::{Branches, Signed, Txn};

/// One batch being applied, over the tables of one redb transaction.
pub(super) struct Waist<'txn, 'h> {
    pub(super) tables: Tables<'txn>,
    heads: &'h Heads,
    own: NodeId,
    changes: Changes,
    recording: Option<Recording>,
    noted: Option<Noted>,
    /// Keeps what documents held, for followers of changes.
    values: Option<feed::Recorder>,
    /// What indexes have of the document that is about to be changed.
    indexed: index::Before,
}

/// What is noted of a batch in the journal.
struct Noted {
    now_ms: u64,
    /// What is being applied.
    cause: ConflictCause,
    tides: Tides,
    events: Vec<NewEvent>,
}

/// What a batch changes in the heads, to be merged when its commit becomes visible.
#[derive(Debug, Default)]
pub(super) struct Changes {
    collections: BTreeMap<String, CollectionHead>,
    origins: Option<Origins>,
    applied: Option<Position>,
    /// What collections that are held back show.
    holds: Holds,
}

impl Changes {
    /// Makes the heads say what the tables now say.
    pub(super) fn publish(self, heads: &mut Heads, own: NodeId) {
        if let Some(origins) = self.origins {
            heads.origins = Arc::new(origins);
        }
        if let Some(applied) = self.applied {
            heads.applied = applied;
        }
        heads.holds.extend(self.holds);
        for (_, mut changed) in self.collections {
            let vector = std::mem::take(&mut changed.vector);
            let floor = std::mem::take(&mut changed.floor);
            let head = match heads.get_mut(changed.number) {
                Some(head) => {
                    (head.row, head.branches) = (changed.row, changed.branches);
                    head
                }
                None => {
                    heads.terms += u64::from(!heads.holds.is_empty());
                    heads.insert(changed)
                }
            };
            vector.into_iter().for_each(|(origin, row)| head.note(origin, row, own));
            // Readers know one that they hold by its place, so it is not touched for nothing.
            if !floor.is_empty() {
                let raised = Arc::make_mut(&mut head.floor);
                floor.iter().for_each(|(origin, newest)| raised.advance(*origin, *newest));
            }
        }
    }
}

impl<'txn, 'h> Waist<'txn, 'h> {
    pub(super) fn new(tables: Tables<'txn>, heads: &'h Heads, own: NodeId) -> Waist<'txn, 'h> {
        let recording = heads.recording();
        let (changes, noted, values) = (Changes::default(), None, None);
        let indexed = index::Before::default();
        Waist { tables, heads, own, changes, recording, noted, values, indexed }
    }

    /// Notes in the journal what happens, at this wall time. Who applies in a state beside the state
    /// does without.
    pub(super) fn noting(mut self, now_ms: u64) -> Waist<'txn, 'h> {
        let (cause, tides) = (ConflictCause::Unknown, Tides::default());
        self.noted = Some(Noted { now_ms, cause, tides, events: Vec::new() });
        self
    }

    /// Keeps what documents hold before and after each transaction, if the store does that. Only for
    /// what lies in the log for good at the positions given.
    pub(super) fn keeping_values(mut self) -> Waist<'txn, 'h> {
        self.values = (self.heads.change_values > 0).then(feed::Recorder::default);
        self
    }

    /// What is applied from here on, for the log of conflicts.
    pub(super) fn by(mut self, cause: ConflictCause) -> Waist<'txn, 'h> {
        self.noted.iter_mut().for_each(|noted| noted.cause = cause);
        self
    }

    /// Something happened that is to be noted with the batch.
    pub(super) fn happened(&mut self, event: NewEvent) {
        self.noted.iter_mut().for_each(|noted| noted.events.push(event.clone()));
    }

    /// Applies one transaction that was admitted and lies in the log at `position`.
    pub(super) fn apply(
        &mut self,
        collection: &str,
        signed: &Signed,
        position: Position,
    ) -> Result<()> {
        let number = self.open_collection(collection)?;
        let translated = self.translate(collection, signed)?;
        let txn = translated.as_ref().unwrap_or(&signed.txn);
        if let Some(noted) = &mut self.noted {
            noted.cause = ConflictCause::Written(txn.dot, txn.time);
        }
        self.drop_settled(collection, number, txn)?;
        for (at, doc) in txn.docs.iter().enumerate() {
            self.about_to_change(collection, number, &doc.id)?;
            let before = self.value_of(number, &doc.id)?;
            let (stamp, writer) = (txn.stamp(), self.writer(collection, number, &doc.id));
            let change = writer.apply(&doc.ops, &stamp)?;
            self.note(collection, number, &doc.id, change, Some(&doc.ops))?;
            if let Some(before) = before {
                self.keep_values((position, at), number, &doc.id, &before)?;
            }
        }
        if signed.txn.dot.origin.node == self.own {
            self.show(number, txn)?;
        }
        self.advance(collection, number, txn, signed, position)?;
        match translated {
            Some(_) => self.drop_ended(collection),
            None => Ok(()),
        }
    }

    /// The row of a document, if it is to be kept.
    fn value_of(&self, number: u32, id: &str) -> Result<Option<Vec<u8>>> {
        if self.values.is_none() || self.heads.holds.contains_key(&number) {
            return Ok(None);
        }
        let origins = self.changes.origins.as_ref().unwrap_or(&self.heads.origins);
        feed::Recorder::row(&self.tables.documents, &self.tables.runs, origins, number, id)
    }

    /// Keeps what a document held before and holds now.
    fn keep_values(
        &mut self,
        place: (Position, usize),
        number: u32,
        id: &str,
        before: &[u8],
    ) -> Result<()> {
        let after = self.value_of(number, id)?;
        let (Some(values), Some(after)) = (&mut self.values, after) else { return Ok(()) };
        values.keep(&mut self.tables.change_values, place, number, before, &after)
    }

    /// What is written here is shown, too, where a collection is held back: see
    /// [`tape`](super::tape).
    fn show(&mut self, number: u32, txn: &Txn) -> Result<()> {
        let held = self.changes.holds.get(&number).or_else(|| self.heads.holds.get(&number));
        let Some(mut held) = held.copied() else { return Ok(()) };
        for doc in &txn.docs {
            let origins = self.changes.origins.as_ref().unwrap_or(&self.heads.origins);
            let mut shown = Shown { tables: &mut self.tables, origins, number, id: &doc.id };
            shown.change(&mut held, |row| drop(row.apply_all(&doc.ops, &txn.stamp())))?;
        }
        self.changes.holds.insert(number, held);
        Ok(())
    }

    /// Notes up to where own transactions may have left: see [`export`](super::export).
    pub(super) fn mark(&mut self, mark: &Mark) -> Result<()> {
        // A mark may be of a collection that was left since, or of an earlier incarnation.
        if self.heads.named(&mark.collection).is_none()
            && !self.changes.collections.contains_key(&*mark.collection)
        {
            return Ok(());
        }
        self.open_collection(&mark.collection)?;
        let row = &mut self.head(&mark.collection).row;
        if row.incarnation == mark.incarnation {
            row.exported = row.exported.max(mark.seq);
        }
        Ok(())
    }

    /// Writes what the batch changed of the collections as a whole, and up to where the log is applied.
    /// The last batch applied begins at `batch`, if that is known.
    pub(super) fn finish(mut self, applied: Position, batch: Option<Position>) -> Result<Changes> {
        let (former, recording) = (&mut self.tables.former, self.recording);
        let mut keeper = Keeper { table: former, recording };
        let origins = self.changes.origins.as_ref().unwrap_or(&self.heads.origins);
        for head in self.changes.collections.values() {
            for (origin, row) in &head.vector {
                let origin = origins.number(origin).expect("numbered when its row was changed");
                let key = tables::origin_key(head.number, origin);
                let table = &mut self.tables.vectors;
                match row.seq {
                    0 => keeper.unset(Part::Vectors, table, &key).map(drop)?,
                    _ => keeper.set(Part::Vectors, table, &key, &row.encode())?,
                }
            }
            let key = head.number.to_be_bytes();
            keeper.set(Part::Heads, &mut self.tables.heads, &key, &head.row.encode())?;
            let before = self.heads.named(&head.name).map(|before| &before.branches);
            if before.is_none_or(|before| !Arc::ptr_eq(before, &head.branches))
                && !head.branches.is_empty()
            {
                let row = head.branches.encode(true);
                keeper.set(Part::Branches, &mut self.tables.branches, &key, &row)?;
            }
        }
        for (number, held) in &self.changes.holds {
            set(&mut self.tables.held, &number.to_be_bytes(), &held.encode())?;
        }
        set(&mut self.tables.meta, tables::META_APPLIED, &applied.0.to_be_bytes())?;
        if let Some(batch) = batch {
            set(&mut self.tables.meta, tables::META_BATCH, &batch.0.to_be_bytes())?;
        }
        if let Some(Noted { now_ms, tides, mut events, .. }) = self.noted {
            events.extend(tides.events());
            journal::add(&mut self.tables.events, now_ms, &events)?;
        }
        if let Some(values) = self.values {
            values.finish(&mut self.tables.change_values, self.heads.change_values)?;
        }
        self.changes.applied = Some(applied);
        Ok(self.changes)
    }

    /// The number of a collection; begins it if it is new.
    fn open_collection(&mut self, name: &str) -> Result<u32> {
        if let Some(head) = self.changes.collections.get(name) {
            return Ok(head.number);
        }
        let head = match self.heads.named(name) {
            Some(head) => CollectionHead {
                name: name.to_owned(),
                number: head.number,
                row: head.row.clone(),
                vector: BTreeMap::new(),
                floor: Arc::default(),
                branches: head.branches.clone(),
                fresh: BTreeMap::new(),
            },
            None => self.begin_collection(name)?,
        };
        let number = head.number;
        self.changes.collections.insert(name.to_owned(), head);
        Ok(number)
    }

    fn begin_collection(&mut self, name: &str) -> Result<CollectionHead> {
        let number = self.next_number()?;
        let left = tables::get(&self.tables.left, name.as_bytes())?;
        let incarnation = match left.or(tables::get(&self.tables.meta, tables::META_INCARNATION)?) {
            Some(bytes) => tables::u32_of(&bytes)?,
            None => 0,
        };
        let mut keeper = Keeper { table: &mut self.tables.former, recording: self.recording };
        let (table, key) = (&mut self.tables.collections, name.as_bytes());
        keeper.set(Part::Collections, table, key, &number.to_be_bytes())?;
        let row = HeadRow {
            documents: 0,
            conflicts: 0,
            transactions: 0,
            incarnation,
            since: self.heads.applied,
            exported: 0,
            cells: LtHash::new(),
        };
        let (vector, floor, fresh) = (BTreeMap::new(), Arc::default(), BTreeMap::new());
        let (name, branches) = (name.to_owned(), Arc::default());
        Ok(CollectionHead { name, number, row, vector, floor, branches, fresh })
    }

    /// A collection number that was never used.
    fn next_number(&mut self) -> Result<u32> {
        let next = match tables::get(&self.tables.meta, tables::META_NEXT_COLLECTION)? {
            Some(bytes) => tables::u32_of(&bytes)?,
            None => 0,
        };
        set(&mut self.tables.meta, tables::META_NEXT_COLLECTION, &(next + 1).to_be_bytes())?;
        Ok(next)
    }

    fn head(&mut self, collection: &str) -> &mut CollectionHead {
        self.changes.collections.get_mut(collection).expect("opened before it is changed")
    }

    fn origin_number(&mut self, origin: Origin) -> Result<u32> {
        self.numbers().number(origin)
    }

    fn numbers(&mut self) -> Numbers<'_, 'txn> {
        Numbers {
            table: &mut self.tables.origins,
            known: &self.heads.origins,
            changed: &mut self.changes.origins,
        }
    }

    /// A document, as the batch leaves it so far; empty if there is none.
    pub(super) fn row(&mut self, collection: &str, id: &str) -> Result<Row> {
        let number = self.open_collection(collection)?;
        self.read_row(number, id)
    }

    fn read_row(&self, number: u32, id: &str) -> Result<Row> {
        let origins = self.changes.origins.as_ref().unwrap_or(&self.heads.origins);
        documents::read_in(&self.tables.documents, &self.tables.runs, origins, number, id)
    }

    /// How documents are laid into rows.
    pub(super) fn layout(&self) -> Layout {
        self.heads.layout
    }

    /// What has to know a document as it was, before it is changed.
    fn about_to_change(&mut self, collection: &str, number: u32, id: &str) -> Result<()> {
        self.indexed = self.indexed_now(collection, number, id)?;
        self.save_before(collection, number, id)
    }

    /// The entries of a document in the indexes of its collection.
    fn indexed_now(&self, collection: &str, number: u32, id: &str) -> Result<index::Before> {
        let Some(indexes) = self.heads.indexes.get(collection) else {
            return Ok(index::Before::default());
        };
        let origins = self.changes.origins.as_ref().unwrap_or(&self.heads.origins);
        let (documents, runs) = (&self.tables.documents, &self.tables.runs);
        index::entries_now(indexes, &index::Rows { documents, runs, origins, number }, id)
    }

    /// Stages a document as it is, if its collection is being staged.
    fn save_before(&mut self, collection: &str, number: u32, id: &str) -> Result<()> {
        if !self.heads.joining.contains(collection) {
            return Ok(());
        }
        let row = self.read_row(number, id)?;
        save_before(&mut self.tables, collection, id, &row)
    }

    /// Joins the vector of a view. The log knows nothing of what it skips: so the floor rises.
    pub(super) fn join_vector(&mut self, collection: &str, view: &ViewHead) -> Result<()> {
        let number = self.open_collection(collection)?;
        if !view.branches.is_empty() {
            let held: BTreeMap<Origin, Seq> = view
                .vector
                .keys()
                .filter_map(|author| Some((*author, self.vector_row(collection, author)?.seq)))
                .collect();
            let more = |author: &Origin| {
                let theirs = view.vector.get(author).map_or(0, |newest| newest.seq);
                theirs > held.get(author).copied().unwrap_or(0)
            };
            Arc::make_mut(&mut self.head(collection).branches).join(&view.branches, more);
        }
        let rule = self.heads.hashes.of(view.vector.len());
        for (origin, newest) in &view.vector {
            let held = self.vector_row(collection, origin);
            let seq = held.map_or(0, |row| row.seq);
            if newest.seq <= seq {
                continue;
            }
            let acked = held.map_or(0, |row| row.acked);
            let Newest { hash, proof, .. } = *newest;
            let row = VectorRow { seq: newest.seq, hash, acked, proof };
            self.set_vector_row(collection, *origin, row)?;
            let whose = hashes::Whose(number, self.origin_number(*origin)?);
            let key = tables::origin_key(whose.0, whose.1);
            let floor = Head { seq: newest.seq, hash: hash.short() };
            set(&mut self.tables.floor, &key, &tables::encode_floor(&floor, &proof))?;
            let mut past = view.past.get(origin).cloned().unwrap_or_default();
            past.extend(held.filter(|row| row.seq > 0).map(|row| (row.seq, row.hash.short())));
            past.insert(newest.seq, hash.short());
            hashes::keep(self.tables.hashes.opened()?, whose, rule, newest.seq, &past)?;
            let head = self.head(collection);
            Arc::make_mut(&mut head.floor).advance(*origin, floor);
            head.row.transactions += newest.seq - seq;
        }
        Ok(())
    }

    /// Changes one document, and with it all that is kept about it.
    fn change(
        &mut self,
        collection: &str,
        number: u32,
        id: &str,
        batch: &Batch<'_>,
    ) -> Result<Effects> {
        self.about_to_change(collection, number, id)?;
        let change = self.writer(collection, number, id).change(batch)?;
        self.note(collection, number, id, change, None)
    }

    /// The number of a collection, which begins if it is new.
    pub(super) fn begin(&mut self, collection: &str) -> Result<u32> {
        self.open_collection(collection)
    }

    /// How forked origins are named from now on.
    pub(super) fn set_branches(&mut self, collection: &str, branches: Branches) {
        self.head(collection).branches = Arc::new(branches);
    }

    /// What is held of an origin beyond a fork gets the name of a branch: in vector and index. The
    /// cells are renamed apart. `at_end` is the last transaction before the fork.
    pub(super) fn rename(
        &mut self,
        collection: &str,
        parting: &Parting,
        at_end: VectorRow,
        newest: Seq,
    ) -> Result<()> {
        let number = self.open_collection(collection)?;
        let Dot { origin, seq: end } = parting.end();
        let (old, new) = (self.origin_number(origin)?, self.origin_number(parting.name())?);
        for seq in end + 1..=newest {
            let key = tables::transaction_key(number, old, seq);
            let entry = tables::get(&self.tables.transactions, &key)?
                .ok_or_else(|| Error::corrupt("the index of transactions has a gap"))?;
            unset(&mut self.tables.transactions, &key)?;
            let key = tables::transaction_key(number, new, seq - end);
            set(&mut self.tables.transactions, &key, &entry)?;
        }
        let whose = hashes::Whose(number, old);
        hashes::cut(self.tables.hashes.opened()?, whose, self.heads.hashes, end)?;
        for (id, rows) in self.settled_of(number, origin, old)? {
            for row in rows {
                let key = tables::settled_key(number, old, &id, &row.key, row.row.seq);
                unset(&mut self.tables.settled, &key)?;
            }
        }
        let Some(held) = self.vector_row(collection, &origin) else { return Ok(()) };
        let (seq, acked) = (held.seq - end, held.acked.saturating_sub(end));
        let branch = VectorRow { seq, acked, ..held };
        self.set_vector_row(collection, parting.name(), branch)?;
        if end > 0 {
            let at_end = VectorRow { acked: held.acked.min(end), ..at_end };
            return self.set_vector_row(collection, origin, at_end);
        }
        self.head(collection).vector.insert(origin, VectorRow::NOTHING);
        Ok(())
    }

    /// This node writes under another incarnation from now on.
    pub(super) fn take_incarnation(&mut self, collection: &str, incarnation: u32) -> Result<()> {
        self.open_collection(collection)?;
        let row = &mut self.head(collection).row;
        (row.incarnation, row.exported) = (incarnation, 0);
        // What was written under the former names is what the first transaction depends on.
        let own = self.own;
        let held = self.heads.named(collection).map(|head| head.vector.keys().copied());
        let former: Vec<Origin> = held.into_iter().flatten().filter(|o| o.node == own).collect();
        for origin in former {
            if let Some(row) = self.vector_row(collection, &origin).filter(|row| row.seq > 0) {
                self.set_vector_row(collection, origin, row)?;
            }
        }
        Ok(())
    }

    /// Makes `row` the whole content of a document, and keeps what is beside it in step.
    pub(super) fn replace(&mut self, collection: &str, id: &str, row: &Row) -> Result<()> {
        let number = self.open_collection(collection)?;
        self.about_to_change(collection, number, id)?;
        let change = self.writer(collection, number, id).replace(row)?;
        self.note(collection, number, id, change, None).map(drop)
    }

    fn writer<'a>(&'a mut self, collection: &str, number: u32, id: &'a str) -> Writer<'a, 'txn> {
        let head = self.changes.collections.get_mut(collection);
        Writer {
            documents: &mut self.tables.documents,
            runs: &mut self.tables.runs,
            keeper: Keeper { table: &mut self.tables.former, recording: self.recording },
            numbers: Numbers {
                table: &mut self.tables.origins,
                known: &self.heads.origins,
                changed: &mut self.changes.origins,
            },
            cells: &mut head.expect("opened before it is changed").row.cells,
            layout: self.heads.layout,
            meter: &self.heads.meter,
            number,
            id,
        }
    }

    /// Counts a change of a document, by these operations or as a whole, and lists it where it now
    /// belongs.
    fn note(
        &mut self,
        collection: &str,
        number: u32,
        id: &str,
        change: Change,
        ops: Option<&[Op]>,
    ) -> Result<Effects> {
        if let Some(indexes) = self.heads.indexes.get(collection) {
            let (before, after) =
                (std::mem::take(&mut self.indexed), self.indexed_now(collection, number, id)?);
            index::keep(&mut self.tables.index_entries, indexes, before, after)?;
        }
        let Change { before, after, effects } = change;
        let row = &mut self.head(collection).row;
        row.documents += u64::from(after.shown);
        row.documents -= u64::from(before.shown);
        row.conflicts += u64::from(after.in_conflict);
        row.conflicts -= u64::from(before.in_conflict);
        let key = || tables::document_key(number, id);
        match (before.in_conflict, after.in_conflict) {
            (false, true) => set(&mut self.tables.conflicts, &key(), &[])?,
            (true, false) => unset(&mut self.tables.conflicts, &key())?,
            _ => {}
        }
        if before.in_conflict != after.in_conflict {
            self.heads.meter.note_conflict(after.in_conflict);
        }
        if before.in_conflict || after.in_conflict {
            self.note_conflicts(collection, number, id, ops)?;
        }
        self.note_settled(number, id, &effects.settled)?;
        Ok(effects)
    }

    /// Brings the log of conflicts in step with a document that is in conflict, or was.
    fn note_conflicts(
        &mut self,
        collection: &str,
        number: u32,
        id: &str,
        ops: Option<&[Op]>,
    ) -> Result<()> {
        let Some(noted) = &mut self.noted else { return Ok(()) };
        let origins = self.changes.origins.as_ref().unwrap_or(&self.heads.origins);
        let (documents, runs) = (&self.tables.documents, &self.tables.runs);
        let mut fields = ops.and_then(conflicts::touched);
        let row = match &fields {
            None => documents::read_in(documents, runs, origins, number, id)?,
            Some(some) => {
                let (row, is_whole) =
                    documents::read_fields_in(documents, runs, origins, (number, id), some)?;
                fields = fields.filter(|_| !is_whole);
                row
            }
        };
        let (now_ms, cause, fields) = (noted.now_ms, noted.cause, fields.as_ref());
        let scene = Scene { collection, number, id, now_ms, cause, row: &row, fields };
        let (log, open) = (&mut self.tables.conflict_log, &mut self.tables.open_conflicts);
        let (arisen, ended) = conflicts::settle(log, open, &scene)?;
        noted.tides.note(collection, arisen, ended);
        Ok(())
    }

    fn note_settled(&mut self, number: u32, id: &str, settled: &[Settled]) -> Result<()> {
        for settled in settled {
            let origin = self.origin_number(settled.row.origin)?;
            let key = tables::settled_key(number, origin, id, &settled.key, settled.row.seq);
            set(&mut self.tables.settled, &key, &[])?;
        }
        Ok(())
    }

    /// A settled counter row goes when its origin writes anything after it has seen the
    /// settling: it will never add to it again. Dependencies are differences, so this
    /// transaction is the first to have seen exactly those that it names, and its author's
    /// own before it.
    fn drop_settled(&mut self, collection: &str, number: u32, txn: &Txn) -> Result<()> {
        let Some(origin) = self.heads_number(&txn.dot.origin) else { return Ok(()) };
        let seen = |dot: &Dot| match dot.origin == txn.dot.origin {
            true => dot.seq < txn.dot.seq,
            false => txn.deps.iter().any(|dep| dep.origin == dot.origin && dep.seq >= dot.seq),
        };
        for (id, rows) in self.settled_of(number, txn.dot.origin, origin)? {
            let batch = Batch::of_drops(&rows, &txn.stamp(), &seen);
            let waiting = self.change(collection, number, &id, &batch)?.waiting;
            for row in rows.iter().filter(|row| !waiting.contains(row)) {
                let key = tables::settled_key(number, origin, &id, &row.key, row.row.seq);
                unset(&mut self.tables.settled, &key)?;
            }
        }
        Ok(())
    }

    /// The transaction by the names used here, where an origin has forked.
    fn translate(&mut self, collection: &str, signed: &Signed) -> Result<Option<Txn>> {
        let branches = self.head(collection).branches.clone();
        if branches.is_empty() {
            return Ok(None);
        }
        let held = Applied { waist: self, collection };
        let Place::Next(dot) = branches.place(signed, &held)? else {
            return Err(Error::corrupt(
                "a transaction was admitted that does not continue the state",
            ));
        };
        let number = self.heads_collection(collection);
        let mut cells = |id: &str, key: &[u8]| -> Result<Vec<Cell>> {
            Ok(self.read_row(number, id)?.under(key).to_vec())
        };
        let Translated { txn, seen, .. } =
            branches.translate(&signed.txn, dot, &held, &mut cells)?;
        for (root, branch) in seen {
            if branches.seen(&dot.origin, &root) != Some(branch) {
                let known = Arc::make_mut(&mut self.head(collection).branches);
                known.note_seen(dot.origin, root, branch);
            }
        }
        Ok(Some(txn))
    }

    fn heads_collection(&self, collection: &str) -> u32 {
        self.changes.collections.get(collection).expect("opened before it is changed").number
    }

    /// Settled counter rows of an origin that ends at a fork go as soon as all of it is here and
    /// something after the fork: nobody adds to them again. That a fork is known of is not
    /// enough: another replica with the same vector may not know, and the cells are the same.
    /// To be called whenever the vector has moved, also by a join: one side may have had what
    /// settles a row, and the other what comes after the fork.
    pub(super) fn drop_ended(&mut self, collection: &str) -> Result<()> {
        let branches = self.head(collection).branches.clone();
        if branches.is_empty() {
            return Ok(());
        }
        let number = self.heads_collection(collection);
        let ended = branches.iter().map(|branch| branch.parent).collect::<BTreeSet<Origin>>();
        for origin in ended {
            let newest = self.vector_row(collection, &origin).map_or(0, |row| row.seq);
            let Some(origin_number) = self.heads_number(&origin) else { continue };
            let mut after = branches.children(&origin).map(|(name, _)| name);
            let begun = after.any(|name| self.has_begun(collection, &branches, name));
            if branches.cut(&origin) != Some(newest) || !begun {
                continue;
            }
            for (id, rows) in self.settled_of(number, origin, origin_number)? {
                let stamp = Stamp { dot: Dot { origin, seq: newest }, time: Timestamp::default() };
                let batch = Batch::of_drops(&rows, &stamp, &|_| true);
                self.change(collection, number, &id, &batch)?;
                for row in &rows {
                    let key =
                        tables::settled_key(number, origin_number, &id, &row.key, row.row.seq);
                    unset(&mut self.tables.settled, &key)?;
                }
            }
        }
        Ok(())
    }

    /// Whether something of a branch is here, or of one that has parted from it: one that parts at
    /// once has nothing of its own.
    fn has_begun(&self, collection: &str, branches: &Branches, name: &Origin) -> bool {
        self.vector_row(collection, name).is_some_and(|row| row.seq > 0)
            || branches.children(name).any(|(child, _)| self.has_begun(collection, branches, child))
    }

    /// The counter rows of an origin that are listed as settled, by document.
    fn settled_of(
        &self,
        number: u32,
        origin: Origin,
        origin_number: u32,
    ) -> Result<BTreeMap<String, Vec<Settled>>> {
        let start = tables::origin_key(number, origin_number);
        let end = (u64::from_be_bytes(start) + 1).to_be_bytes();
        let mut rows: BTreeMap<String, Vec<Settled>> = BTreeMap::new();
        for entry in self.tables.settled.range(&start[..]..&end[..]).map_err(db)? {
            let (key, _) = entry.map_err(db)?;
            let (id, cell, birth) = tables::split_settled_key(key.value()).ok_or_else(|| {
                Error::corrupt("the index of settled counters has a malformed key")
            })?;
            let row = Dot { origin, seq: birth };
            rows.entry(id.to_owned()).or_default().push(Settled { key: cell.to_vec(), row });
        }
        Ok(rows)
    }

    fn heads_number(&self, origin: &Origin) -> Option<u32> {
        self.changes.origins.as_ref().unwrap_or(&self.heads.origins).number(origin)
    }

    fn vector_row(&self, collection: &str, origin: &Origin) -> Option<VectorRow> {
        let changed =
            self.changes.collections.get(collection).and_then(|head| head.vector.get(origin));
        let before = || self.heads.named(collection).and_then(|head| head.vector.get(origin));
        changed.or_else(before).copied()
    }

    /// Changes a row of the vector, which is written once a batch, by [`Waist::finish`].
    fn set_vector_row(&mut self, collection: &str, origin: Origin, row: VectorRow) -> Result<()> {
        self.origin_number(origin)?;
        self.head(collection).vector.insert(origin, row);
        Ok(())
    }

    fn advance(
        &mut self,
        collection: &str,
        number: u32,
        txn: &Txn,
        signed: &Signed,
        position: Position,
    ) -> Result<()> {
        let Txn { dot, deps, .. } = txn;
        let acked = self.vector_row(collection, &dot.origin).map_or(0, |row| row.acked);
        let row = VectorRow { seq: dot.seq, hash: signed.hash, acked, proof: signed.proof };
        self.set_vector_row(collection, dot.origin, row)?;
        let node = self.own;
        let own = self.head(collection).own_origin(node);
        if dot.origin == own {
            for dep in deps {
                if let Some(mut row) = self.vector_row(collection, &dep.origin) {
                    row.acked = row.acked.max(dep.seq);
                    self.set_vector_row(collection, dep.origin, row)?;
                }
            }
        }
        let origin = self.origin_number(dot.origin)?;
        let key = tables::transaction_key(number, origin, dot.seq);
        let entry = IndexRow { position, hash: signed.hash.short() };
        set(&mut self.tables.transactions, &key, &entry.encode())?;
        self.head(collection).row.transactions += 1;
        Ok(())
    }
}

/// One collection as the batch leaves it so far, by what is in the tables.
struct Applied<'w, 'txn, 'h> {
    waist: &'w Waist<'txn, 'h>,
    collection: &'w str,
}

impl Held for Applied<'_, '_, '_> {
    fn newest(&self, origin: &Origin) -> (Seq, Hash) {
        let row = self.waist.vector_row(self.collection, origin);
        row.map_or((0, Hash::default()), |row| (row.seq, row.hash))
    }

    fn hash_at(&self, dot: &Dot) -> Result<Option<ShortHash>> {
        let (newest, hash) = self.newest(&dot.origin);
        if dot.seq >= newest {
            return Ok((dot.seq == newest && newest > 0).then(|| hash.short()));
        }
        let Some(origin) = self.waist.heads_number(&dot.origin) else { return Ok(None) };
        let number = self.waist.heads_collection(self.collection);
        let key = tables::transaction_key(number, origin, dot.seq);
        let tables = &self.waist.tables;
        if let Some(entry) = tables::get(&tables.transactions, &key)? {
            return Ok(Some(IndexRow::decode(&entry)?.hash));
        }
        let whose = hashes::Whose(number, origin);
        hashes::hash_at(&tables.hashes, whose, self.waist.heads.hashes, dot.seq)
    }
}

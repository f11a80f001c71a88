//! Changing a document: the runs that are touched are written anew, and no others.
//!
//! A batch of operations goes through a large document from its first key to its last. A run
//! that is touched is loaded, changed, cut where its content now says so ([`Layout`]), and
//! written; where its start is gone it joins the run before it. One run is in memory at a time, the
//! *tail*, so that what a batch removes need not fit into memory. Invariants, at the end of each
//! change: the rows of a document are those that [`Layout`] gives for its cells, whatever the
//! order in which these came; the collection's digest has exactly the digests of those rows;
//! the head's size, flags and count of places in conflict are exact.

use std::ops::Range;

use redb::ReadableTable;

use super::{Head, Meter, cells_between, decode, no_first_run, runs_between, runs_prefix};
use crate::crdt::key::{self, Slot};
use crate::crdt::layout::{run_key, size_of};
use crate::crdt::places::{Beside, Found, Kinds, Places};
use crate::crdt::{
    Batch, Cell, Changed, Effects, Flags, Fresh, Layout, LtHash, Op, Row, Stamp, places,
};
use crate::error::Result;
use crate::id::{Hash, Origin};
use crate::store::heads::Origins;
use crate::store::tables::{self, LazyTable, Writable, db, set};
use crate::store::tape::{Keeper, Part};

/// The numbers that stand for origins, in a transaction that may add some.
pub(in crate::store) struct Numbers<'a, 'txn> {
    pub(in crate::store) table: &'a mut LazyTable<'txn>,
    /// Those of the last commit.
    pub(in crate::store) known: &'a Origins,
    /// All of them, once one was added.
    pub(in crate::store) changed: &'a mut Option<Origins>,
}

impl Numbers<'_, '_> {
    fn origins(&self) -> &Origins {
        self.changed.as_ref().unwrap_or(self.known)
    }

    /// The number of `origin`; a new one if it has none.
    pub(in crate::store) fn number(&mut self, origin: Origin) -> Result<u32> {
        if let Some(number) = self.origins().number(&origin) {
            return Ok(number);
        }
        let origins = self.changed.get_or_insert_with(|| self.known.clone());
        let number = origins.number_or_add(origin);
        debug_assert_eq!(number as usize + 1, origins.len());
        set(self.table, &number.to_be_bytes(), &origin.to_bytes())?;
        Ok(number)
    }
}

/// One document, to be changed.
pub(in crate::store) struct Writer<'a, 'txn> {
    pub(in crate::store) documents: &'a mut LazyTable<'txn>,
    pub(in crate::store) runs: &'a mut LazyTable<'txn>,
    /// Keeps what rows were, where there are checkpoints.
    pub(in crate::store) keeper: Keeper<'a, 'txn>,
    pub(in crate::store) numbers: Numbers<'a, 'txn>,
    /// The digest of the collection's cells.
    pub(in crate::store) cells: &'a mut LtHash,
    pub(in crate::store) layout: Layout,
    pub(in crate::store) meter: &'a Meter,
    pub(in crate::store) number: u32,
    pub(in crate::store) id: &'a str,
}

/// What a change of a document did to what is kept about it.
pub(in crate::store) struct Change {
    pub(in crate::store) before: Flags,
    pub(in crate::store) after: Flags,
    pub(in crate::store) effects: Effects,
}

/// What is stored of a document.
enum Stored {
    One(Row, Flags),
    Runs(Head),
}

/// A run in memory: the cells from `key` on and before `end`.
struct Run {
    key: Vec<u8>,
    /// The key of the next run, which is stored; `None` if there is none.
    end: Option<Vec<u8>>,
    cells: Vec<Cell>,
    /// The digest of what is stored under its key.
    stored: Option<Hash>,
}

impl Writer<'_, '_> {
    /// Applies the operations of the transaction at `stamp`.
    pub(in crate::store) fn apply(mut self, ops: &[Op], stamp: &Stamp) -> Result<Change> {
        if let Some(fresh) = Fresh::of(ops, stamp)
            && let Some(change) = self.begin(&fresh)?
        {
            return Ok(change);
        }
        self.change(&Batch::of_ops(ops, stamp))
    }

    /// Writes a document that is new, in one look-up. Does nothing if it is there, or large.
    fn begin(&mut self, fresh: &Fresh<'_>) -> Result<Option<Change>> {
        if !self.layout.is_one_row(fresh.size()) {
            return Ok(None);
        }
        let (number, after) = (self.numbers.number(fresh.origin())?, fresh.flags());
        let (bytes, digest) = fresh.row(self.id, after, number);
        let key = tables::document_key(self.number, self.id);
        let documents = self.documents.opened()?;
        let there = documents.insert(&key[..], &bytes[..]).map_err(db)?;
        if let Some(there) = there.map(|there| there.value().to_vec()) {
            set(documents, &key, &there)?;
            return Ok(None);
        }
        self.keeper.keep(Part::Documents, &key, None)?;
        self.meter.note_written(bytes.len());
        self.cells.add(&digest);
        Ok(Some(Change { before: Flags::default(), after, effects: Effects::default() }))
    }

    /// Applies a batch.
    pub(in crate::store) fn change(mut self, batch: &Batch<'_>) -> Result<Change> {
        match self.stored()? {
            Stored::One(mut row, before) => {
                let stored = self.digest(row.cells());
                let effects = row.change(batch);
                let after = self.write_whole(row.into_cells(), stored, before)?;
                Ok(Change { before, after, effects })
            }
            Stored::Runs(head) => {
                self.keep_head(&head)?;
                let (head, effects) = self.change_runs(head, batch)?;
                Ok(Change { before: head.0.flags(), after: head.1.flags(), effects })
            }
        }
    }

    /// Makes `row` the whole content.
    pub(in crate::store) fn replace(mut self, row: &Row) -> Result<Change> {
        let (stored, before) = match self.stored()? {
            Stored::One(row, flags) => (self.digest(row.cells()), flags),
            Stored::Runs(head) => {
                self.keep_head(&head)?;
                self.remove_runs()?;
                (None, head.flags())
            }
        };
        // Its flags may be those of a head, so it is written also if it is empty.
        let after = self.write_whole(row.cells().to_vec(), stored, before)?;
        let effects = Effects { settled: row.settled(), ..Effects::default() };
        Ok(Change { before, after, effects })
    }

    fn stored(&self) -> Result<Stored> {
        let key = tables::document_key(self.number, self.id);
        let Some(bytes) = self.documents.get(&key[..]).map_err(db)? else {
            return Ok(Stored::One(Row::default(), Flags::default()));
        };
        self.meter.note_read();
        if let Some(head) = Head::decode(bytes.value())? {
            return Ok(Stored::Runs(head));
        }
        let row = decode(bytes.value(), self.numbers.origins())?;
        Ok(Stored::One(row, Flags::of(Some(bytes.value()))))
    }

    /// A large document of which only runs change is among those that changed, too.
    fn keep_head(&mut self, head: &Head) -> Result<()> {
        match self.keeper.recording {
            None => Ok(()),
            Some(_) => {
                let key = tables::document_key(self.number, self.id);
                self.keeper.keep(Part::Documents, &key, Some(&head.encode()))
            }
        }
    }

    fn digest(&self, cells: &[Cell]) -> Option<Hash> {
        (!cells.is_empty()).then(|| Row::digest_of(cells, self.id))
    }

    /// Writes a document that is in memory, in place of one row with the digest `stored`, or of
    /// none. Gives its flags.
    fn write_whole(
        &mut self,
        cells: Vec<Cell>,
        stored: Option<Hash>,
        before: Flags,
    ) -> Result<Flags> {
        let size = size_of(&cells);
        let (places, shown) = places::survey(&cells);
        let head = Head { shown, size, places };
        if self.layout.is_one_row(size) {
            let digest = self.digest(&cells);
            if stored.is_none() || stored != digest || before != head.flags() {
                self.exchange(stored, digest);
                self.write_one(&cells, head.flags())?;
            }
            return Ok(head.flags());
        }
        self.exchange(stored, None);
        let mut rest = cells;
        let mut key = Vec::new();
        while !rest.is_empty() {
            let others = rest.split_off(self.layout.first_run(&rest));
            self.write_run(&key, &rest)?;
            let digest = self.digest(&rest);
            self.exchange(None, digest);
            key = others.first().map(|cell| run_key(&cell.key).to_vec()).unwrap_or_default();
            rest = others;
        }
        self.write_head(&head)?;
        Ok(head.flags())
    }

    /// Puts the digest of a row that is written in the place of that of the row before.
    fn exchange(&mut self, before: Option<Hash>, after: Option<Hash>) {
        if before != after {
            before.iter().for_each(|digest| self.cells.remove(digest));
            after.iter().for_each(|digest| self.cells.add(digest));
        }
    }

    fn encode(&mut self, cells: &[Cell], flags: Flags) -> Result<Vec<u8>> {
        let mut numbered = None;
        for origin in Row::origins_of(cells) {
            if numbered != Some(origin) {
                self.numbers.number(origin)?;
                numbered = Some(origin);
            }
        }
        let origins = self.numbers.origins();
        let number = |origin: &Origin| origins.number(origin).expect("numbered just before");
        let bytes = Row::encode_cells(cells, flags, number);
        self.meter.note_written(bytes.len());
        Ok(bytes)
    }

    fn write_one(&mut self, cells: &[Cell], flags: Flags) -> Result<()> {
        let key = tables::document_key(self.number, self.id);
        if cells.is_empty() {
            return self.keeper.unset(Part::Documents, self.documents, &key);
        }
        let bytes = self.encode(cells, flags)?;
        self.keeper.set(Part::Documents, self.documents, &key, &bytes)
    }

    fn write_head(&mut self, head: &Head) -> Result<()> {
        let bytes = head.encode();
        self.meter.note_written(bytes.len());
        let key = tables::document_key(self.number, self.id);
        self.keeper.set(Part::Documents, self.documents, &key, &bytes)
    }

    fn key_of_run(&self, key: &[u8]) -> Vec<u8> {
        let mut at = runs_prefix(self.number, self.id);
        at.extend_from_slice(key);
        at
    }

    fn write_run(&mut self, key: &[u8], cells: &[Cell]) -> Result<()> {
        let bytes = self.encode(cells, Flags::default())?;
        let key = self.key_of_run(key);
        self.keeper.set(Part::Runs, self.runs, &key, &bytes)
    }

    /// Removes all runs; gives what they held, if it is small.
    fn remove_runs(&mut self) -> Result<()> {
        let mut next = Some(Vec::new());
        while let Some(key) = next {
            let run = self.load(&key)?;
            self.forget(&run)?;
            next = run.end;
        }
        Ok(())
    }

    /// Removes a run that is stored.
    fn forget(&mut self, run: &Run) -> Result<()> {
        self.exchange(run.stored, None);
        let key = self.key_of_run(&run.key);
        self.keeper.unset(Part::Runs, self.runs, &key)
    }

    /// Loads the run that holds `key`.
    fn load(&self, key: &[u8]) -> Result<Run> {
        let prefix = runs_prefix(self.number, self.id);
        let at = [&prefix, run_key(key)].concat();
        let found = self.runs.range(&prefix[..]..=&at[..]).map_err(db)?.next_back();
        let (found, bytes) = found.transpose().map_err(db)?.ok_or_else(no_first_run)?;
        self.load_at(&prefix, found.value(), bytes.value())
    }

    /// Loads the last run before that with the key `key`.
    fn load_before(&self, key: &[u8]) -> Result<Run> {
        let prefix = runs_prefix(self.number, self.id);
        let at = [&prefix, key].concat();
        let found = self.runs.range(&prefix[..]..&at[..]).map_err(db)?.next_back();
        let (found, bytes) = found.transpose().map_err(db)?.ok_or_else(no_first_run)?;
        self.load_at(&prefix, found.value(), bytes.value())
    }

    fn load_at(&self, prefix: &[u8], at: &[u8], bytes: &[u8]) -> Result<Run> {
        self.meter.note_read();
        let cells = decode(bytes, self.numbers.origins())?.into_cells();
        let (after, last) = ([at, &[0]].concat(), [prefix, &[0xff]].concat());
        let next = self.runs.range(&after[..]..&last[..]).map_err(db)?.next();
        let end =
            next.transpose().map_err(db)?.map(|(key, _)| key.value()[prefix.len()..].to_vec());
        let stored = self.digest(&cells);
        Ok(Run { key: at[prefix.len()..].to_vec(), end, cells, stored })
    }

    /// Applies a batch to a large document. Gives its head before and after.
    fn change_runs(&mut self, before: Head, batch: &Batch<'_>) -> Result<((Head, Head), Effects)> {
        let mut effects = Effects::default();
        let (mut places, mut grown) = (Places::default(), 0i64);
        let mut tail: Option<Run> = None;
        let mut at = Some(Vec::new());
        while let Some(from) = at
            && let Some(next) = batch.next(&from)
        {
            let mut run = self.load(next)?;
            let old_first = run.cells.first().map(|cell| cell.key.clone());
            grown -= size_of(&run.cells) as i64;
            let cells = std::mem::take(&mut run.cells);
            let mut changed = Vec::new();
            run.cells =
                batch.apply(cells, &run.key, run.end.as_deref(), &mut effects, Some(&mut changed));
            grown += size_of(&run.cells) as i64;
            at = run.end.clone();
            self.lay(&mut tail, run, old_first.as_deref(), &changed)?;
            let mut beside = BesideTail { writer: self, tail: &tail, batch };
            for changed in changed {
                places.step(&changed.key, changed.before, changed.after, &mut beside)?;
            }
        }
        let Found { delta, shown } =
            places.finish(&mut BesideTail { writer: self, tail: &tail, batch })?;
        self.end(&mut tail)?;
        let after = Head {
            shown: shown.unwrap_or(before.shown),
            size: before.size.saturating_add_signed(grown),
            places: before.places.saturating_add_signed(delta),
        };
        if self.layout.is_one_row(after.size) {
            self.join_to_one(after.flags())?;
        } else if after != before {
            self.write_head(&after)?;
        }
        Ok(((before, after), effects))
    }

    /// Puts a changed run behind the tail, cut where its content says so.
    fn lay(
        &mut self,
        tail: &mut Option<Run>,
        mut run: Run,
        old_first: Option<&[u8]>,
        changed: &[Changed],
    ) -> Result<()> {
        let cells = std::mem::take(&mut run.cells);
        self.fill_first(tail, &run.key)?;
        let waits = tail.as_ref().is_some_and(|tail| tail.cells.is_empty());
        let starts = run.key.is_empty()
            || (!waits
                && cells.first().is_some_and(|first| run_key(&first.key) == run.key)
                && self.layout.cuts_before(&cells));
        if starts {
            self.flush(tail.replace(run))?;
        } else {
            self.forget(&run)?;
            if tail.as_ref().is_none_or(|tail| tail.end.as_ref() != Some(&run.key)) {
                let before = self.load_before(&run.key)?;
                self.flush(tail.replace(before))?;
            }
            tail.as_mut().expect("just put there").end = run.end;
        }
        // Only what changed can be a new cut, and what was the document's first key.
        let touched = changed.iter().map(|changed| &changed.key[..]).chain(old_first);
        let mut cuts: Vec<usize> = touched
            .map(|key| cells.partition_point(|cell| run_key(&cell.key) < run_key(key)))
            .filter(|at| *at > 0 || !starts)
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts.retain(|at| self.layout.cuts_before(&cells[*at..]));
        let mut from = 0;
        let mut cells = cells.into_iter();
        for cut in cuts {
            let into = tail.as_mut().expect("there is a tail");
            into.cells.extend(cells.by_ref().take(cut - from));
            from = cut;
            if into.cells.is_empty() {
                continue;
            }
            let key = run_key(&cells.as_slice()[0].key).to_vec();
            let end = into.end.replace(key.clone());
            // What is stored under this key, if anything, was forgotten above.
            let next = Run { key, end, cells: Vec::new(), stored: None };
            self.flush(tail.replace(next))?;
        }
        tail.as_mut().expect("there is a tail").cells.extend(cells);
        Ok(())
    }

    /// The document's first run must not be empty while others follow: it takes in the one after
    /// it, if that is not the one with the key `coming`, which is about to be laid.
    fn fill_first(&mut self, tail: &mut Option<Run>, coming: &[u8]) -> Result<()> {
        let Some(first) = tail.as_mut().filter(|tail| tail.cells.is_empty()) else {
            return Ok(());
        };
        let Some(next) = first.end.clone().filter(|next| next != coming) else { return Ok(()) };
        let run = self.load(&next)?;
        self.forget(&run)?;
        (first.cells, first.end) = (run.cells, run.end);
        Ok(())
    }

    fn end(&mut self, tail: &mut Option<Run>) -> Result<()> {
        self.fill_first(tail, &[])?;
        self.flush(tail.take())
    }

    /// Writes a run, if it is not what is stored.
    fn flush(&mut self, run: Option<Run>) -> Result<()> {
        let Some(run) = run else { return Ok(()) };
        let digest = self.digest(&run.cells);
        if digest == run.stored {
            return Ok(());
        }
        if run.cells.is_empty() {
            return self.forget(&run);
        }
        self.write_run(&run.key, &run.cells)?;
        self.exchange(run.stored, digest);
        Ok(())
    }

    /// Makes one row of a document that has become small.
    fn join_to_one(&mut self, flags: Flags) -> Result<()> {
        let (origins, prefix) = (self.numbers.origins(), runs_prefix(self.number, self.id));
        let some = self.runs.range(&prefix[..]..&[&prefix[..], &[0xff]].concat()[..]);
        let cells = match some.map_err(db)?.next() {
            None => Vec::new(),
            Some(_) => {
                cells_between(self.runs, origins, self.number, self.id, &[], None, self.meter)?
            }
        };
        if !cells.is_empty() {
            self.remove_runs()?;
        }
        let digest = self.digest(&cells);
        self.exchange(None, digest);
        self.write_one(&cells, flags)
    }
}

/// What of a document being changed did not change: the tail, and all other runs as they are stored.
struct BesideTail<'a, 'w, 'txn> {
    writer: &'a Writer<'w, 'txn>,
    tail: &'a Option<Run>,
    batch: &'a Batch<'a>,
}

impl BesideTail<'_, '_, '_> {
    fn left(&self, cells: &[Cell], from: &[u8], to: &[u8]) -> bool {
        let start = cells.partition_point(|cell| &cell.key[..] < from);
        cells[start..]
            .iter()
            .take_while(|cell| &cell.key[..] < to)
            .any(|cell| cell.takes_part() && self.batch.left_alone(cell))
    }

    /// Whether the tail has all that lies between two keys.
    fn within_tail(&self, from: &[u8], to: &[u8]) -> bool {
        self.tail.as_ref().is_some_and(|tail| {
            &tail.key[..] <= from && tail.end.as_ref().is_none_or(|end| to <= &end[..])
        })
    }
}

impl Beside for BesideTail<'_, '_, '_> {
    type Error = crate::error::Error;

    fn live(&mut self, place: &[u8], tags: Range<u8>) -> Result<bool> {
        let [from, to] = [tags.start, tags.end].map(|tag| [place, &[tag]].concat());
        let (from, to) = (&from[..], &to[..]);
        if self.tail.as_ref().is_some_and(|tail| self.left(&tail.cells, from, to)) {
            return Ok(true);
        }
        if self.within_tail(from, to) {
            return Ok(false);
        }
        let Writer { runs, number, id, meter, numbers, .. } = self.writer;
        let prefix = runs_prefix(*number, id);
        for run in runs_between(*runs, &prefix, from, Some(to))? {
            let (key, bytes) = run.map_err(db)?;
            let stale =
                self.tail.as_ref().is_some_and(|tail| tail.key == key.value()[prefix.len()..]);
            if !stale {
                meter.note_read();
                let cells = Row::decode_between(bytes.value(), from, Some(to), |number| {
                    numbers.origins().find(number)
                })?;
                if self.left(&cells, from, to) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn registers(&mut self, place: &[u8]) -> Result<Kinds> {
        let key = &key::slot(place, Slot::Register)[..];
        let after = [key, &[0]].concat();
        let Writer { runs, number, id, meter, numbers, .. } = self.writer;
        let cells = match self.within_tail(key, &after) {
            true => {
                let cells = self.tail.iter().flat_map(|tail| &tail.cells);
                cells.filter(|cell| cell.key == key).cloned().collect()
            }
            false => {
                let origins = numbers.origins();
                cells_between(*runs, origins, *number, id, key, Some(&after), meter)?
            }
        };
        Ok(Kinds::of(key, &cells))
    }
}

//! Verification: what is kept beside the rows, worked out again from the rows alone.
//!
//! Counts, digest, the list of conflicts and the index of settled counter rows are kept up
//! to date with each change ([`apply`](super::apply)). This reads every row and says where
//! one of them has drifted, or where a row holds what its collection's vector does not
//! cover. It reads one moment, blocks no writer and repairs nothing.

use std::collections::BTreeSet;

use redb::{ReadTransaction, ReadableDatabase};

use super::documents::{self, Documents, Stored};
use super::heads::CollectionHead;
use super::tables::{self, db};
use super::{Inner, Store};
use crate::crdt::layout::{run_key, size_of};
use crate::crdt::{Body, Flags, LtHash, Row, join, places, view};
use crate::error::{Error, Result};
use crate::id::{Hash, Vector};

impl Store {
    /// Checks all that is kept beside the documents against the documents. Reads everything.
    /// Gives how many counter rows are settled and wait for their origin to write again.
    ///
    /// Errors: [`Corrupt`](crate::ErrorKind::Corrupt) with the collection and what differs.
    #[doc(hidden)]
    pub fn verify(&self) -> Result<u64> {
        let (heads, read) = {
            let heads = self.inner.read_heads();
            let read = self.inner.database()?.begin_read().map_err(db)?;
            (heads.iter().cloned().collect::<Vec<_>>(), read)
        };
        heads.iter().map(|head| Check::run(&self.inner, &read, head)).sum()
    }

    /// What is held of a collection at this moment, durable or not, and the digest of its
    /// cells: for tests, whose looking must not change anything. Peers are told what
    /// [`Store::summary`] says.
    #[doc(hidden)]
    pub fn held(&self, collection: &str) -> (Vector, Hash) {
        match self.inner.read_heads().named(collection) {
            Some(head) => (head.to_vector(), head.row.cells.digest()),
            None => (Vector::new(), LtHash::new().digest()),
        }
    }
}

/// What the rows of one collection say.
struct Check<'a> {
    inner: &'a Inner,
    head: &'a CollectionHead,
    documents: u64,
    runs: u64,
    cells: LtHash,
    conflicts: BTreeSet<Vec<u8>>,
    settled: BTreeSet<Vec<u8>>,
}

impl Check<'_> {
    fn run(inner: &Inner, read: &ReadTransaction, head: &CollectionHead) -> Result<u64> {
        let (conflicts, settled) = (BTreeSet::new(), BTreeSet::new());
        let mut check =
            Check { inner, head, documents: 0, runs: 0, cells: LtHash::new(), conflicts, settled };
        let (start, end) = (head.number.to_be_bytes(), (head.number + 1).to_be_bytes());
        let mut stored = documents::scan(read, inner.origins(), head.number, "")?;
        while let Some(document) = stored.step(false).transpose()? {
            check.document(&stored, &document)?;
        }
        let runs = read.open_table(tables::RUNS).map_err(db)?;
        let runs = runs.range(&start[..]..&end[..]).map_err(db)?.count();
        check
            .expect(runs as u64 == check.runs, "the table of runs: it holds some of no document")?;
        let keys = |definition: tables::Definition| -> Result<BTreeSet<Vec<u8>>> {
            let table = read.open_table(definition).map_err(db)?;
            let range = table.range(&start[..]..&end[..]).map_err(db)?;
            range.map(|entry| entry.map(|(key, _)| key.value().to_vec()).map_err(db)).collect()
        };
        check.compare(&keys(tables::CONFLICTS)?, &keys(tables::SETTLED)?)?;
        Ok(check.settled.len() as u64)
    }

    /// A document is laid into rows as its cells say.
    fn document(&mut self, all: &Documents, stored: &Stored) -> Result<()> {
        let id = stored.id()?;
        let row = all.row(stored)?;
        let (size, layout) = (size_of(row.cells()), self.inner.read_heads().layout);
        let Some(head) = stored.head()? else {
            self.expect(layout.is_one_row(size), "a document is one row and should be several")?;
            self.cells.add(&row.digest(id));
            return self.row(id, &row, stored.flags());
        };
        let places = places::survey(row.cells()).0;
        self.expect(!layout.is_one_row(size), "a document is several rows and should be one")?;
        self.expect(head.size == size, "the size of a large document")?;
        self.expect(head.places == places, "the count of places in conflict")?;
        let mut rest = row.cells();
        for (key, run) in all.runs(stored)? {
            let first = match rest.len() == row.cells().len() {
                true => &[][..],
                false => rest.first().map_or(&[][..], |cell| run_key(&cell.key)),
            };
            self.expect(key == first, "the key of a run")?;
            let (run_cells, others) = rest.split_at(layout.first_run(rest));
            self.expect(run.cells() == run_cells, "where a large document is cut")?;
            self.cells.add(&run.digest(id));
            self.runs += 1;
            rest = others;
        }
        self.expect(rest.is_empty(), "where a large document is cut")?;
        self.row(id, &row, stored.flags())
    }

    fn row(&mut self, id: &str, row: &Row, kept: Flags) -> Result<()> {
        let flags = view::flags(row);
        self.expect(!row.is_empty(), "a row without cells is stored")?;
        self.expect(flags == kept, "the flags of a row")?;
        self.expect(flags.shown == view::fields(row).is_some(), "whether a row is shown")?;
        let in_conflict = !view::conflicts(row).is_empty();
        self.expect(flags.in_conflict == in_conflict, "whether a row is in conflict")?;
        self.covered(row)?;
        self.documents += u64::from(flags.shown);
        if in_conflict {
            self.conflicts.insert(tables::document_key(self.head.number, id));
        }
        self.note_settled(id, row);
        Ok(())
    }

    /// A row names only transactions that the vector covers, and its cells are in order.
    fn covered(&self, row: &Row) -> Result<()> {
        let held = |origin, seq| self.head.vector.get(&origin).is_some_and(|row| row.seq >= seq);
        for (origin, seq) in row.seen() {
            self.expect(held(origin, seq), "the vector: a row holds a later transaction")?;
        }
        let order = |pair: &[crate::crdt::Cell]| {
            (&pair[0].key, pair[0].stamp.dot) < (&pair[1].key, pair[1].stamp.dot)
        };
        self.expect(row.cells().windows(2).all(order), "the order of a row's cells")?;
        self.expect(join::check(row, |_| true).is_ok(), "the form of a row's cells")
    }

    fn note_settled(&mut self, id: &str, row: &Row) {
        let origins = &self.inner.read_heads().origins;
        for cell in row.cells() {
            let Body::Counter(counter) = &cell.body else { continue };
            if counter.is_settled() {
                let origin = origins.number(&cell.stamp.dot.origin).unwrap_or(u32::MAX);
                let (number, birth) = (self.head.number, cell.stamp.dot.seq);
                self.settled.insert(tables::settled_key(number, origin, id, &cell.key, birth));
            }
        }
    }

    /// The index of settled rows may name some that are no longer settled; it lacks none.
    fn compare(&self, conflicts: &BTreeSet<Vec<u8>>, settled: &BTreeSet<Vec<u8>>) -> Result<()> {
        let row = &self.head.row;
        let transactions = self.head.vector.values().map(|row| row.seq).sum::<u64>();
        self.expect(row.documents == self.documents, "the count of documents")?;
        self.expect(row.conflicts == self.conflicts.len() as u64, "the count of conflicts")?;
        self.expect(row.transactions == transactions, "the count of transactions")?;
        self.expect(row.cells == self.cells, "the digest of the cells")?;
        self.expect(*conflicts == self.conflicts, "the list of documents in conflict")?;
        self.expect(settled.is_superset(&self.settled), "the index of settled counters")
    }

    fn expect(&self, holds: bool, what: &str) -> Result<()> {
        match holds {
            true => Ok(()),
            false => Err(Error::corrupt(format!(
                "collection '{}': {what} is not what its rows say",
                self.head.name
            ))),
        }
    }
}

//! Rows: what is kept beside the documents, worked out again from the documents alone.
//!
//! Counts, digest, the list of conflicts, the index of settled counter rows and the layout of large
//! documents are kept up to date with each change ([`apply`](crate::store::apply)). This reads
//! every document of a collection and says where one of them has drifted, or where a document
//! holds what the collection's vector does not cover. It reads one moment, blocks no writer and
//! repairs nothing. Memory is bounded by the largest document.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase};

use super::finding::{Finding, Findings, Level};
use super::look::{RESCUE, guarded};
use crate::crdt::layout::{run_key, size_of};
use crate::crdt::{Body, Cell, Flags, LtHash, Row, places, view};
use crate::error::{Error, Result};
use crate::id::{NodeId, Vector};
use crate::store::documents::{self, Documents, Stored};
use crate::store::heads::{CollectionHead, Heads};
use crate::store::tables::{self, db};
use crate::store::{Inner, Store};
use crate::txn::NetworkId;

/// What is examined: the state of a store at one moment.
pub(super) struct Subject<'a> {
    pub(super) read: &'a ReadTransaction,
    pub(super) heads: &'a Heads,
    pub(super) node: Option<NodeId>,
    pub(super) network: NetworkId,
}

/// What the documents of a collection are, counted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counted {
    pub(super) documents: u64,
    /// Counter rows that are settled and wait for their origin to write again.
    pub(super) settled: u64,
}

impl Store {
    /// Checks all that is kept beside the documents against the documents: the part of
    /// [`Store::verify`] that reads no log. Gives how many counter rows are settled and wait for
    /// their origin to write again.
    ///
    /// Errors: [`Corrupt`](crate::ErrorKind::Corrupt) with the first finding.
    #[doc(hidden)]
    pub fn check_rows(&self) -> Result<u64> {
        let (read, heads) = self.inner.moment()?;
        let (node, network) = (Some(self.inner.node), self.inner.network);
        let subject = Subject { read: &read, heads: &heads, node, network };
        let (mut findings, mut settled) = (Findings::default(), 0);
        for head in heads.iter() {
            settled += check(&subject, head, &mut findings, &mut |_| ())?.settled;
        }
        match findings.finish().0.first() {
            None => Ok(settled),
            Some(finding) => Err(Error::corrupt(finding.to_string())),
        }
    }

    /// What is held of a collection at this moment, durable or not, and the digest of its
    /// cells: for tests, whose looking must not change anything. Peers are told what
    /// [`Store::summary`] says.
    #[doc(hidden)]
    pub fn held(&self, collection: &str) -> (Vector, crate::id::Hash) {
        match self.inner.read_heads().named(collection) {
            Some(head) => (head.to_vector(), head.row.cells.digest()),
            None => (Vector::new(), LtHash::new().digest()),
        }
    }
}

impl Inner {
    /// The state at this moment, with the heads that its tables say.
    pub(super) fn moment(&self) -> Result<(ReadTransaction, Heads)> {
        let (read, layout) = {
            let heads = self.read_heads();
            (self.database()?.begin_read().map_err(db)?, heads.layout)
        };
        let mut heads = Heads::load_from(&read, self.node)?;
        heads.layout = layout;
        Ok((read, heads))
    }
}

/// Examines the documents of one collection. `each` hears of each of them.
pub(super) fn check(
    subject: &Subject<'_>,
    head: &CollectionHead,
    findings: &mut Findings,
    each: &mut dyn FnMut(u64),
) -> Result<Counted> {
    let listed = subject.read.open_table(tables::CONFLICTS).map_err(db)?;
    let settled = subject.read.open_table(tables::SETTLED).map_err(db)?;
    let (start, end) = bounds(head.number);
    let mut check = Check {
        subject,
        head,
        findings,
        counted: Counted::default(),
        runs: 0,
        unread: 0,
        cells: LtHash::new(),
        listed: listed.range_owned::<&[u8]>(&start[..]..&end[..]).map_err(db)?,
        next_listed: None,
        settled,
        conflicts: 0,
    };
    check.listed_next()?;
    let mut all = documents::scan(subject.read, subject.heads.origins.clone(), head.number, "")?;
    loop {
        match guarded(|| all.step(false).transpose()) {
            Ok(None) => break,
            Ok(Some(stored)) => {
                check.document(&all, &stored)?;
                each(check.counted.documents);
            }
            Err(err) => {
                check.unread += 1;
                let what = format!("the rest of its documents can't be read ({err})");
                check.find("documents-unreadable", what, RESCUE);
                break;
            }
        }
    }
    check.compare()
}

pub(super) fn bounds(number: u32) -> ([u8; 4], [u8; 4]) {
    (number.to_be_bytes(), (number + 1).to_be_bytes())
}

const DERIVED: &str = "the documents themselves are not concerned, but sync or counts go by this; \
     make a copy of the directory, then run `littoral rescue` from it into a new one";

type Keys = redb::OwnedRange<&'static [u8], &'static [u8]>;

/// What the documents of one collection say.
struct Check<'a> {
    subject: &'a Subject<'a>,
    head: &'a CollectionHead,
    findings: &'a mut Findings,
    counted: Counted,
    runs: u64,
    /// Documents that could not be read.
    unread: u64,
    cells: LtHash,
    conflicts: u64,
    /// The list of documents in conflict, in the order of documents.
    listed: Keys,
    next_listed: Option<Vec<u8>>,
    settled: redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Check<'_> {
    fn find(&mut self, code: &'static str, what: impl Into<String>, advice: &'static str) {
        let place = format!("collection '{}'", self.head.name);
        self.findings.push(Finding::new(Level::Damage, code, place, what, advice));
    }

    fn expect(&mut self, holds: bool, code: &'static str, what: &str) {
        if !holds {
            self.find(code, what, DERIVED);
        }
    }

    fn find_of(&mut self, id: &str, code: &'static str, what: &str, advice: &'static str) {
        let place = format!("collection '{}'", self.head.name);
        let finding = Finding::new(Level::Damage, code, place, what, advice);
        self.findings.push(Finding { document: Some(id.to_owned()), ..finding });
    }

    fn expect_of(&mut self, id: &str, holds: bool, code: &'static str, what: &str) {
        if !holds {
            self.find_of(id, code, what, DERIVED);
        }
    }

    fn listed_next(&mut self) -> Result<()> {
        let next = self.listed.next().transpose().map_err(db)?;
        self.next_listed = next.map(|(key, _)| key.value().to_vec());
        Ok(())
    }

    /// A document is laid into rows as its cells say.
    fn document(&mut self, all: &Documents, stored: &Stored) -> Result<()> {
        let Ok(id) = stored.id() else {
            self.unread += 1;
            self.find("document-id", "a document's id is not UTF-8", RESCUE);
            return Ok(());
        };
        let read = guarded(|| {
            let head = stored.head()?;
            let runs = head.map(|_| all.runs(stored)).transpose()?.unwrap_or_default();
            Ok((head, all.row(stored)?, runs))
        });
        let (large, row, runs) = match read {
            Ok(read) => read,
            Err(err) => {
                self.unread += 1;
                self.find_of(id, "document-unreadable", &format!("can't be read ({err})"), RESCUE);
                return Ok(());
            }
        };
        let (size, layout) = (size_of(row.cells()), self.subject.heads.layout);
        let Some(large) = large else {
            let what = "is one row and should be several";
            self.expect_of(id, layout.is_one_row(size), "layout", what);
            self.cells.add(&row.digest(id));
            return self.row(id, &row, stored.flags());
        };
        let places = places::survey(row.cells()).0;
        let what = "is several rows and should be one";
        self.expect_of(id, !layout.is_one_row(size), "layout", what);
        self.expect_of(id, large.size == size, "layout", "its size is not what its cells say");
        let what = "the count of its places in conflict is not what its cells say";
        self.expect_of(id, large.places == places, "conflict-places", what);
        let mut rest = row.cells();
        let mut fits = true;
        for (key, run) in runs {
            let first = match rest.len() == row.cells().len() {
                true => &[][..],
                false => rest.first().map_or(&[][..], |cell| run_key(&cell.key)),
            };
            let (run_cells, others) = rest.split_at(layout.first_run(rest));
            fits &= key == first && run.cells() == run_cells;
            self.cells.add(&run.digest(id));
            self.runs += 1;
            rest = others;
        }
        self.expect_of(id, fits && rest.is_empty(), "layout", "is not cut where its cells say");
        self.row(id, &row, stored.flags())
    }

    fn row(&mut self, id: &str, row: &Row, kept: Flags) -> Result<()> {
        let flags = view::flags(row);
        let in_conflict = !view::conflicts(row).is_empty();
        self.expect_of(id, !row.is_empty(), "row-empty", "is stored, and there is nothing in it");
        let shown = flags.shown == kept.shown && flags.shown == view::fields(row).is_some();
        let what = "whether it is shown is kept other than its cells say";
        self.expect_of(id, shown, "flag-shown", what);
        let same = flags.in_conflict == kept.in_conflict && flags.in_conflict == in_conflict;
        let what = "whether it is in conflict is kept other than its cells say";
        self.expect_of(id, same, "flag-conflict", what);
        self.covered(id, row);
        self.counted.documents += u64::from(flags.shown);
        self.conflicts += u64::from(in_conflict);
        self.compare_listed(id, in_conflict)?;
        self.compare_settled(id, row)
    }

    /// A row names only transactions that the vector covers, and its cells are in order.
    fn covered(&mut self, id: &str, row: &Row) {
        let vector = &self.head.vector;
        let held = |origin, seq| vector.get(&origin).is_some_and(|row| row.seq >= seq);
        let covered = row.seen().into_iter().all(|(origin, seq)| held(origin, seq));
        let what = "holds something of a transaction that the vector does not cover: sync would \
             take it for deleted, or bring it twice";
        if !covered {
            self.find_of(id, "vector-short", what, RESCUE);
        }
        let order =
            |pair: &[Cell]| (&pair[0].key, pair[0].stamp.dot) < (&pair[1].key, pair[1].stamp.dot);
        let ordered = row.cells().windows(2).all(order);
        self.expect_of(id, ordered, "row-order", "its cells are not in order");
    }

    /// The list of documents in conflict is in the order of documents, too.
    fn compare_listed(&mut self, id: &str, in_conflict: bool) -> Result<()> {
        let key = tables::document_key(self.head.number, id);
        while self.next_listed.as_ref().is_some_and(|listed| *listed < key) {
            self.stray_conflict();
            self.listed_next()?;
        }
        let listed = self.next_listed.as_ref() == Some(&key);
        match (listed, in_conflict) {
            (true, false) => self.stray_conflict(),
            (false, true) => {
                let what = "is in conflict, and the list of conflicts lacks it: nobody is shown it";
                self.find_of(id, "conflict-missing", what, DERIVED);
            }
            _ => {}
        }
        if listed { self.listed_next() } else { Ok(()) }
    }

    fn stray_conflict(&mut self) {
        let key = self.next_listed.clone().unwrap_or_default();
        let id = tables::document_id(&key).unwrap_or_default().to_owned();
        let what = "is listed as in conflict, and is not";
        self.find_of(&id, "conflict-stray", what, DERIVED);
    }

    /// The index of settled rows may name some that are no longer settled; it lacks none.
    fn compare_settled(&mut self, id: &str, row: &Row) -> Result<()> {
        let origins = Arc::clone(&self.subject.heads.origins);
        for cell in row.cells() {
            let Body::Counter(counter) = &cell.body else { continue };
            if !counter.is_settled() {
                continue;
            }
            self.counted.settled += 1;
            let origin = origins.number(&cell.stamp.dot.origin).unwrap_or(u32::MAX);
            let (number, birth) = (self.head.number, cell.stamp.dot.seq);
            let key = tables::settled_key(number, origin, id, &cell.key, birth);
            let indexed = self.settled.get(&key[..]).map_err(db)?.is_some();
            let what = "a counter row of it was reset, and the index of those lacks it: \
                 it would never go";
            self.expect_of(id, indexed, "settled-missing", what);
        }
        Ok(())
    }

    fn compare(mut self) -> Result<Counted> {
        while self.next_listed.is_some() {
            self.stray_conflict();
            self.listed_next()?;
        }
        if self.unread > 0 {
            // What follows would only say again that something is missing.
            return Ok(self.counted);
        }
        let runs = self.subject.read.open_table(tables::RUNS).map_err(db)?;
        let (start, end) = bounds(self.head.number);
        let runs = runs.range(&start[..]..&end[..]).map_err(db)?.count() as u64;
        let what = "the table of runs holds some of no document";
        self.expect(runs == self.runs, "run-stray", what);
        let row = &self.head.row;
        let transactions = self.head.vector.values().map(|row| row.seq).sum::<u64>();
        let counts = [
            ("count-documents", "documents", row.documents, self.counted.documents),
            ("count-conflicts", "documents in conflict", row.conflicts, self.conflicts),
            ("count-transactions", "transactions", row.transactions, transactions),
        ];
        for (code, noun, kept, counted) in counts {
            if kept != counted {
                let what = format!("the count of {noun} is {kept} and should be {counted}");
                self.find(code, what, DERIVED);
            }
        }
        let equal = row.cells == self.cells;
        let what = "the digest of its cells is not what its documents say: sync would take \
             equal replicas for different ones, or a snapshot for a wrong one";
        self.expect(equal, "digest", what);
        Ok(self.counted)
    }
}

//! Counter rows of an origin as they were at a mark, worked out from the log.
//!
//! An addition overwrites its row's sum and time, and a row that is settled goes with its
//! origin's next transaction. So what a row of the present incarnation was before the own
//! transactions above the mark is no longer in the state. It is in the log, if that reaches
//! back to the last addition at or before the mark: an addition carries its row whole.
//!
//! This follows the rules of [`Row`] and of the waist for these rows alone, with the own
//! transactions above the mark left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::crdt::{Body, Cell, CounterRow, Op, Row, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Seq};
use crate::txn::Txn;

/// A counter row of the origin: document, key, birth.
type Name = (String, Vec<u8>, Seq);

/// The rows of one origin, without what it wrote after a mark.
pub(super) struct RowsAtMark {
    origin: Origin,
    mark: Seq,
    rows: BTreeMap<Name, CounterRow>,
    /// The time of each row's birth, if the log holds it.
    births: BTreeMap<Name, crate::clock::Timestamp>,
    /// Rows that went for good, at or before the mark.
    gone: BTreeSet<Name>,
    /// Rows that were settled and whose additions the log does not hold.
    unknown: BTreeMap<Name, BTreeSet<Dot>>,
}

impl RowsAtMark {
    pub(super) fn new(origin: Origin, mark: Seq) -> RowsAtMark {
        let (rows, births) = (BTreeMap::new(), BTreeMap::new());
        let (gone, unknown) = (BTreeSet::new(), BTreeMap::new());
        RowsAtMark { origin, mark, rows, births, gone, unknown }
    }

    /// The next transaction of the log.
    pub(super) fn take(&mut self, txn: &Txn) {
        let own = txn.dot.origin == self.origin;
        if own && txn.dot.seq > self.mark {
            return;
        }
        if own {
            self.drop_settled(txn);
        }
        for doc in &txn.docs {
            for op in &doc.ops {
                match op {
                    Op::Add { key, birth, total, .. } if own => {
                        self.add((doc.id.clone(), key.clone(), *birth), *total, &txn.stamp());
                    }
                    Op::Settle { key, row, seq, total } if row.origin == self.origin => {
                        let name = (doc.id.clone(), key.clone(), row.seq);
                        self.settle(name, *seq, *total, txn.dot);
                    }
                    _ => {}
                }
            }
        }
    }

    fn add(&mut self, name: Name, total: i128, stamp: &Stamp) {
        let seq = stamp.dot.seq;
        if name.2 == seq {
            self.births.insert(name.clone(), stamp.time);
        }
        if self.gone.contains(&name) {
            return;
        }
        self.unknown.remove(&name);
        let row = self.rows.entry(name).or_insert(CounterRow {
            seq,
            time: stamp.time,
            total,
            settled_seq: 0,
            base: 0,
            settled_by: BTreeMap::new(),
            continues: None,
        });
        (row.seq, row.time, row.total) = (seq, stamp.time, total);
        row.settled_by.retain(|_, upto| *upto >= seq);
    }

    fn settle(&mut self, name: Name, seq: Seq, total: i128, by: Dot) {
        if self.gone.contains(&name) {
            return;
        }
        let Some(row) = self.rows.get_mut(&name) else {
            self.unknown.entry(name).or_default().insert(by);
            return;
        };
        (row.settled_seq, row.base) = (row.settled_seq, row.base).max((seq, total));
        if seq >= row.seq {
            let upto = row.settled_by.entry(by).or_insert(seq);
            *upto = seq.max(*upto);
        }
    }

    fn drop_settled(&mut self, txn: &Txn) {
        let seen = |dot: &Dot| match dot.origin == txn.dot.origin {
            true => dot.seq < txn.dot.seq,
            false => txn.deps.iter().any(|dep| dep.origin == dot.origin && dep.seq >= dot.seq),
        };
        let over = |row: &CounterRow| row.is_settled() && row.settled_by.keys().any(seen);
        let gone: Vec<Name> =
            self.rows.iter().filter(|(_, row)| over(row)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.rows.remove(&name);
            self.gone.insert(name);
        }
        self.unknown.retain(|_, by| !by.iter().any(seen));
    }

    /// The documents in which there were such rows.
    pub(super) fn documents(&self) -> impl Iterator<Item = &str> {
        let ids: BTreeSet<&str> =
            self.rows.keys().chain(self.unknown.keys()).map(|(id, ..)| id.as_str()).collect();
        ids.into_iter()
    }

    /// A document without what the origin wrote after the mark: what that has cleared is gone all
    /// the same, since whoever writes it again clears it again.
    pub(super) fn without(&self, id: &str, row: &Row) -> Result<Row> {
        let mut cells = Vec::new();
        let mut present = BTreeSet::new();
        for cell in row.cells() {
            let own = cell.stamp.dot.origin == self.origin;
            match &cell.body {
                _ if own && cell.stamp.dot.seq > self.mark => {}
                Body::Put(_) => cells.push(cell.clone()),
                Body::Counter(counter) if own => {
                    let name = (id.to_owned(), cell.key.clone(), cell.stamp.dot.seq);
                    let counter = self.at_mark(&name, counter)?;
                    cells.push(Cell { body: Body::Counter(counter), ..cell.clone() });
                    present.insert(name);
                }
                Body::Counter(counter) => {
                    let mut counter = counter.clone();
                    counter.settled_by.retain(|dot, _| !self.is_after(dot));
                    cells.push(Cell { body: Body::Counter(counter), ..cell.clone() });
                }
            }
        }
        for (name, counter) in self.rows.range((id.to_owned(), Vec::new(), 0)..) {
            if name.0 != id {
                break;
            }
            if !present.contains(name) {
                let time = *self.births.get(name).ok_or_else(unknown)?;
                let dot = Dot { origin: self.origin, seq: name.2 };
                let stamp = Stamp { dot, time };
                let body = Body::Counter(counter.clone());
                cells.push(Cell { key: name.1.clone(), stamp, body });
            }
        }
        match self.unknown.keys().any(|name| name.0 == id && !present.contains(name)) {
            true => Err(unknown()),
            false => Ok(Row::from_cells(cells)),
        }
    }

    fn is_after(&self, dot: &Dot) -> bool {
        dot.origin == self.origin && dot.seq > self.mark
    }

    /// What a row that is still there was at the mark.
    fn at_mark(&self, name: &Name, now: &CounterRow) -> Result<CounterRow> {
        let touched = now.seq > self.mark
            || now.settled_seq > self.mark
            || now.settled_by.keys().any(|dot| self.is_after(dot));
        if !touched {
            return Ok(now.clone());
        }
        let mut row = self.rows.get(name).cloned().ok_or_else(unknown)?;
        if now.settled_seq <= self.mark && !now.settled_by.keys().any(|dot| self.is_after(dot)) {
            // Settlings that the log does not hold any more are in what is there now.
            (row.settled_seq, row.base) =
                (row.settled_seq, row.base).max((now.settled_seq, now.base));
        }
        Ok(row)
    }
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::Forked,
        "the log no longer holds what a counter was before own additions that were not sent",
    )
}

//! Cells: the live puts and counter rows that a document is made of.
//!
//! Cells that share a key are a *group*: the siblings of one place, or the rows of one
//! counter. An operation changes each cell for itself, so a group is changed without looking
//! at any other: that is what lets a large document be changed in parts.

use std::collections::BTreeMap;

use super::key::{self, Slot};
use super::op::{Continued, Op, Stamp};
use crate::clock::Timestamp;
use crate::id::{Dot, Seq};

/// One live put or one counter row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Where in the document.
    pub key: Vec<u8>,
    /// The transaction that wrote it; of a counter row, the one that began it.
    pub stamp: Stamp,
    /// What it holds.
    pub body: Body,
}

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The canonical bytes of a register's value; empty for markers and elements.
    Put(Vec<u8>),
    /// A counter row; boxed, since most cells are puts and should be small.
    Counter(Box<CounterRow>),
}

/// What one origin added to a counter since the row's birth, and what of that was zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterRow {
    /// The origin's newest transaction that added.
    pub seq: Seq,
    /// Its time.
    pub time: Timestamp,
    /// The sum added.
    pub total: i128,
    /// Up to which transaction of the origin the row was seen when it was zeroed; 0 if never.
    pub settled_seq: Seq,
    /// The total seen then.
    pub base: i128,
    /// Who zeroed all of it, and up to which transaction of the origin. An honest author names
    /// the newest that added; who names a later one must not hide the others, or replicas
    /// would part over when the row goes.
    pub settled_by: BTreeMap<Dot, Seq>,
    /// If the row goes on, in one branch of a forked origin, from one begun before the fork: from
    /// which. It holds what the branch added.
    pub continues: Option<Continued>,
}

impl CounterRow {
    /// Whether everything in it was zeroed.
    pub fn is_settled(&self) -> bool {
        self.seq <= self.settled_seq
    }

    /// What it adds to the counter.
    pub fn value(&self) -> i128 {
        if self.is_settled() { 0 } else { self.total.saturating_sub(self.base) }
    }
}

impl Cell {
    /// What kind of cell it is.
    pub fn slot(&self) -> Slot {
        key::slot_of_key(&self.key)
    }

    /// Whether it takes part in what is shown.
    pub fn takes_part(&self) -> bool {
        self.is_live() && self.slot() != Slot::Unknown
    }

    /// Whether it holds something that was not zeroed.
    pub(crate) fn is_live(&self) -> bool {
        match &self.body {
            Body::Put(_) => true,
            Body::Counter(row) => !row.is_settled(),
        }
    }
}

/// What an operation did to the counter rows, for those who keep an index of settled ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The counter's key.
    pub key: Vec<u8>,
    /// The row.
    pub row: Dot,
}

/// Applies an operation that names one key to the cells at that key, which are in the order of
/// their dots. A clear is for [`kill`]. Gives the counter row that it settled in full, if it did.
pub(super) fn apply(cells: &mut Vec<Cell>, op: &Op, stamp: &Stamp) -> Option<Settled> {
    match op {
        Op::Put { key, value } => {
            let cell = Cell { key: key.clone(), stamp: *stamp, body: Body::Put(value.clone()) };
            match find(cells, &stamp.dot) {
                Ok(at) => cells[at] = cell,
                Err(at) => cells.insert(at, cell),
            }
            None
        }
        Op::Add { key, birth, total, .. } => {
            add(cells, key, *birth, *total, stamp, None);
            None
        }
        Op::Continue { key, from, by } => {
            add(cells, key, stamp.dot.seq, i128::from(*by), stamp, Some(*from));
            None
        }
        Op::Settle { key, row, seq, total } => settle(cells, key, row, *seq, *total, stamp.dot),
        Op::Clear { .. } => None,
    }
}

/// Whether a clear that has seen what `upto` tells kills `cell`.
pub(super) fn kill(cell: &Cell, upto: impl Fn(&Dot) -> bool) -> bool {
    matches!(cell.body, Body::Put(_)) && upto(&cell.stamp.dot)
}

fn find(cells: &[Cell], dot: &Dot) -> Result<usize, usize> {
    cells.binary_search_by(|cell| cell.stamp.dot.cmp(dot))
}

fn add(
    cells: &mut Vec<Cell>,
    key: &[u8],
    birth: Seq,
    total: i128,
    stamp: &Stamp,
    continues: Option<Continued>,
) {
    let born = Dot { origin: stamp.dot.origin, seq: birth };
    match find(cells, &born) {
        Ok(at) => {
            if let Body::Counter(row) = &mut cells[at].body {
                (row.seq, row.time, row.total) = (stamp.dot.seq, stamp.time, total);
                row.settled_by.retain(|_, upto| *upto >= row.seq);
            }
        }
        // Its author adds to a row that it has seen settled, and that so is gone everywhere.
        Err(_) if birth != stamp.dot.seq => {}
        Err(at) => {
            let row = CounterRow {
                seq: stamp.dot.seq,
                time: stamp.time,
                total,
                settled_seq: 0,
                base: 0,
                settled_by: BTreeMap::new(),
                continues,
            };
            let stamp = Stamp { dot: born, time: stamp.time };
            cells.insert(at, Cell { key: key.to_vec(), stamp, body: Body::Counter(Box::new(row)) });
        }
    }
}

/// A row that is covered and absent was settled and is gone already.
fn settle(
    cells: &mut [Cell],
    key: &[u8],
    born: &Dot,
    seq: Seq,
    total: i128,
    by: Dot,
) -> Option<Settled> {
    let at = find(cells, born).ok()?;
    let Body::Counter(row) = &mut cells[at].body else { return None };
    (row.settled_seq, row.base) = (row.settled_seq, row.base).max((seq, total));
    if seq >= row.seq {
        let upto = row.settled_by.entry(by).or_insert(seq);
        *upto = seq.max(*upto);
    }
    row.is_settled().then(|| Settled { key: key.to_vec(), row: *born })
}

/// Removes a counter row if it is settled by a transaction that `seen` knows. Gives whether it
/// is settled and stays.
pub(super) fn drop_settled(cells: &mut Vec<Cell>, born: &Dot, seen: impl Fn(&Dot) -> bool) -> bool {
    let Ok(at) = find(cells, born) else { return false };
    let Body::Counter(row) = &cells[at].body else { return false };
    let goes = row.is_settled() && row.settled_by.keys().any(seen);
    let stays = row.is_settled() && !goes;
    if goes {
        cells.remove(at);
    }
    stays
}

//! Joining two replicas' rows of one document, without the transactions between them.
//!
//! Rule 8 of the replication algebra. A cell that one side lacks is dead if that side's
//! vector covers its dot, and news if not: so nothing comes back that was deleted, and
//! nothing goes that the other side never saw. Sound only for whole views: the vector that
//! is given with a row must be all that the row's replica had applied when it was read, and
//! what is joined must become visible together with the vectors' join.
//!
//! Also here: what a row from elsewhere must satisfy, since no transaction vouches for it.

use std::cmp::Ordering;

use super::cell::{Body, Cell, CounterRow};
use super::key::{self, Slot};
use super::row::Row;
use crate::error::{Error, Result};
use crate::id::Dot;
use crate::limits::MAX_VALUE_BYTES;
use crate::value::codec;

/// One side of a join: a row, and which dots the vector covers that goes with it.
pub struct Side<'a, F: Fn(&Dot) -> bool> {
    /// The document's row; empty if there is none.
    pub row: &'a Row,
    /// Whether a transaction was applied there.
    pub covers: F,
}

/// The row of a replica that has applied what either side had.
pub fn join<A, B>(ours: &Side<'_, A>, theirs: &Side<'_, B>) -> Row
where
    A: Fn(&Dot) -> bool,
    B: Fn(&Dot) -> bool,
{
    let mut joined = Vec::with_capacity(ours.row.cells().len().max(theirs.row.cells().len()));
    let (mut left, mut right) = (ours.row.cells().iter(), theirs.row.cells().iter());
    let (mut a, mut b) = (left.next(), right.next());
    loop {
        let order = match (a, b) {
            (Some(a), Some(b)) => place(a).cmp(&place(b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Row::of_cells(joined),
        };
        if order == Ordering::Equal {
            joined.extend(a.zip(b).map(|(a, b)| join_cells(a, b)));
        } else if order == Ordering::Less {
            joined.extend(a.filter(|cell| !(theirs.covers)(&cell.stamp.dot)).cloned());
        } else {
            joined.extend(b.filter(|cell| !(ours.covers)(&cell.stamp.dot)).cloned());
        }
        if order != Ordering::Greater {
            a = left.next();
        }
        if order != Ordering::Less {
            b = right.next();
        }
    }
}

fn place(cell: &Cell) -> (&[u8], Dot) {
    (&cell.key, cell.stamp.dot)
}

fn join_cells(a: &Cell, b: &Cell) -> Cell {
    match (&a.body, &b.body) {
        (Body::Counter(x), Body::Counter(y)) => {
            Cell { body: Body::Counter(Box::new(join_counters(x, y))), ..a.clone() }
        }
        // One transaction puts one value at one place.
        _ => a.clone(),
    }
}

/// Each side holds a prefix of what the row's origin added, and some of the settlings.
fn join_counters(a: &CounterRow, b: &CounterRow) -> CounterRow {
    let newer = if a.seq >= b.seq { a } else { b };
    let (settled_seq, base) = (a.settled_seq, a.base).max((b.settled_seq, b.base));
    let mut settled_by = a.settled_by.clone();
    for (dot, upto) in &b.settled_by {
        let known = settled_by.entry(*dot).or_insert(*upto);
        *known = (*upto).max(*known);
    }
    settled_by.retain(|_, upto| *upto >= newer.seq);
    CounterRow { settled_seq, base, settled_by, ..newer.clone() }
}

/// Checks a row that came from elsewhere: order, limits, canonical values, and that it names
/// only what the vector that goes with it covers.
pub fn check(row: &Row, covers: impl Fn(&Dot) -> bool) -> Result<()> {
    let in_order = |pair: &[Cell]| place(&pair[0]) < place(&pair[1]);
    if !row.cells().windows(2).all(in_order) {
        return Err(bad("its cells are not sorted and unique"));
    }
    row.cells().iter().try_for_each(|cell| check_cell(cell, &covers))
}

fn check_cell(cell: &Cell, covers: &impl Fn(&Dot) -> bool) -> Result<()> {
    let dot = &cell.stamp.dot;
    if dot.seq == 0 || !covers(dot) {
        return Err(bad("it holds what its vector does not cover"));
    }
    match (&cell.body, key::check(&cell.key)?) {
        (Body::Counter(row), Slot::Counter) => check_counter(row, dot, covers),
        (Body::Counter(_), _) | (_, Slot::Counter) => Err(bad("a counter that is none")),
        (Body::Put(value), _) if value.len() > MAX_VALUE_BYTES => {
            Err(bad("a value over the limit"))
        }
        (Body::Put(value), Slot::Register) => codec::check_bytes(value).map(drop),
        (Body::Put(_), Slot::Unknown) => Ok(()),
        (Body::Put(value), _) if value.is_empty() => Ok(()),
        (Body::Put(_), _) => Err(bad("a marker or element with a value")),
    }
}

fn check_counter(row: &CounterRow, born: &Dot, covers: &impl Fn(&Dot) -> bool) -> Result<()> {
    let newest = Dot { seq: row.seq, ..*born };
    let settled = row.settled_by.iter();
    let known = settled.clone().all(|(dot, upto)| dot.seq > 0 && covers(dot) && *upto >= row.seq);
    match row.seq >= born.seq && covers(&newest) && known {
        true => Ok(()),
        false => Err(bad("a counter row that its vector does not cover")),
    }
}

fn bad(why: &str) -> Error {
    Error::bad_txn(format!("malformed document: {why}"))
}

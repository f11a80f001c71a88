//! Without: what a document would be if some transactions had not been written.
//!
//! The document is followed twice from one beginning through what the log tells of it: once with
//! all transactions, and once without those that are *blamed*. The first must come to what is
//! there, or the log does not tell all, and nothing is said. The second differs from it only at
//! keys that the blamed ones touched; of these it is taken, but where somebody else has changed
//! since what they did: there what is shown now is kept, or with force what it would have
//! been when they did it is taken. Of a counter each author's additions are its own: what blamed ones added
//! goes, whatever others add. It goes by zeroing their rows, as far as they were seen, and not by
//! adding the opposite, so that doing it twice is doing it once.
//!
//! Pure but for the errors: knows neither where the beginning nor where the operations come from.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Timestamp;
use crate::crdt::key::{self, Slot};
use crate::crdt::{Body, Cell, CounterRow, Op, Row, Stamp, view};
use crate::id::{Dot, Seq};
use crate::value::Path;

/// Who wrote something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenBy {
    /// The field; of a document as a whole, its root.
    pub path: Path,
    /// The transaction; its origin is the author.
    pub dot: Dot,
    /// When, by its author's clock.
    pub time: Timestamp,
}

/// A document on its two ways.
pub(super) struct Trace {
    then: Row,
    full: Row,
    without: Row,
    blamed: BTreeSet<Dot>,
    /// The keys that the blamed ones touched.
    touched: BTreeMap<Vec<u8>, Touched>,
    /// Who else cleared what a blamed one had put.
    cleared: BTreeMap<Vec<u8>, Stamp>,
    /// The beginning is what was there just before the first blamed one.
    at_first_blamed: bool,
}

/// What blamed ones did at a key.
#[derive(Default)]
struct Touched {
    /// The last of them that cleared something there.
    cleared: Option<Stamp>,
    /// They zeroed rows of a counter.
    zeroed: bool,
    /// What would have been there when the last of them touched it.
    was: Vec<Cell>,
}

/// A row of a counter that is to be zeroed, as far as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Zeroing {
    pub(super) path: Path,
    pub(super) row: Dot,
    pub(super) seq: Seq,
    pub(super) total: i128,
    /// What of it is from before, and stays; none if it was not there.
    pub(super) keep: Option<i128>,
}

/// What a document would be.
pub(super) struct Without {
    pub(super) row: Row,
    /// What others have changed since, and so is kept: who did.
    pub(super) kept: Vec<WrittenBy>,
    /// Rows of counters that go, or of which only a part stays.
    pub(super) zeroings: Vec<Zeroing>,
}

impl Trace {
    pub(super) fn new(then: Row, at_first_blamed: bool) -> Trace {
        Trace {
            full: then.clone(),
            without: then.clone(),
            then,
            blamed: BTreeSet::new(),
            touched: BTreeMap::new(),
            cleared: BTreeMap::new(),
            at_first_blamed,
        }
    }

    /// What there was at the beginning.
    pub(super) fn then(&self) -> &Row {
        &self.then
    }

    /// Follows the operations of one transaction.
    pub(super) fn apply(&mut self, ops: &[Op], stamp: &Stamp, blamed: bool) {
        if blamed {
            if self.at_first_blamed && self.blamed.is_empty() {
                (self.then, self.without) = (self.full.clone(), self.full.clone());
            }
            self.blamed.insert(stamp.dot);
        }
        for op in ops {
            match op {
                Op::Clear { prefix, upto } => self.note_clear(prefix, upto, stamp, blamed),
                Op::Put { key, .. }
                | Op::Add { key, .. }
                | Op::Continue { key, .. }
                | Op::Settle { key, .. } => {
                    if blamed {
                        self.touch(key).zeroed |= matches!(op, Op::Settle { .. });
                    }
                }
            }
        }
        self.full.apply_all(ops, stamp);
        if !blamed {
            self.without.apply_all(ops, stamp);
        }
    }

    fn touch(&mut self, key: &[u8]) -> &mut Touched {
        let here = self.without.under(key).iter().filter(|cell| cell.key == key);
        let was = here.cloned().collect();
        let touched = self.touched.entry(key.to_vec()).or_default();
        touched.was = was;
        touched
    }

    fn note_clear(&mut self, prefix: &[u8], upto: &[Dot], stamp: &Stamp, blamed: bool) {
        let covers = |dot: &Dot| upto.iter().any(|u| u.origin == dot.origin && dot.seq <= u.seq);
        let hit = |cell: &&Cell| {
            matches!(cell.body, Body::Put(_))
                && covers(&cell.stamp.dot)
                && (blamed || self.blamed.contains(&cell.stamp.dot))
        };
        let keys: Vec<Vec<u8>> =
            self.full.under(prefix).iter().filter(hit).map(|cell| cell.key.clone()).collect();
        for key in keys {
            if blamed {
                self.touch(&key).cleared = Some(*stamp);
            } else {
                self.cleared.insert(key, *stamp);
            }
        }
    }

    /// Whether what the operations come to is what is there; of a document whose beginning is
    /// known in part only, at the keys that blamed ones touched.
    pub(super) fn comes_to(&self, now: &Row, in_part: bool) -> bool {
        let counts =
            |cell: &&Cell| cell.is_live() && (!in_part || self.touched.contains_key(&cell.key));
        let live =
            |row: &'_ Row| -> Vec<Cell> { row.cells().iter().filter(counts).cloned().collect() };
        let is_same = |ours: &Cell, theirs: &Cell| {
            let held = match (&ours.body, &theirs.body) {
                (Body::Put(ours), Body::Put(theirs)) => ours == theirs,
                (Body::Counter(ours), Body::Counter(theirs)) => ours.value() == theirs.value(),
                _ => false,
            };
            held && ours.key == theirs.key && ours.stamp.dot == theirs.stamp.dot
        };
        let (ours, theirs) = (live(&self.full), live(now));
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| is_same(a, b))
    }

    /// The document as it would be, given what is there.
    pub(super) fn finish(&self, now: &Row, force: bool) -> Without {
        let [then, without, now] = [&self.then, &self.without, now].map(groups);
        let keys: BTreeSet<&[u8]> = now.keys().chain(without.keys()).copied().collect();
        let (mut cells, mut kept, mut zeroings) = (Vec::new(), Vec::new(), Vec::new());
        let mut keep = |key: &[u8], other: Stamp| {
            let path = key::path_of_key(key);
            kept.push(WrittenBy { path, dot: other.dot, time: other.time });
        };
        for key in keys {
            let [then, without, now] = [&then, &without, &now].map(|groups| at(groups, key));
            let was: Vec<&Cell>;
            let choice = match self.touched.get(key) {
                None => now,
                Some(touched) => {
                    was = touched.was.iter().collect();
                    match key::slot_of_key(key) {
                        Slot::Register | Slot::Element if values(now) == values(&was) => now,
                        Slot::Register | Slot::Element if force => &was,
                        Slot::Register | Slot::Element => match self.other(key, now, then) {
                            None if values(now) == values(without) => now,
                            None => without,
                            Some(other) => {
                                keep(key, other);
                                now
                            }
                        },
                        Slot::Counter if !touched.zeroed => {
                            zeroings.extend(self.zeroings(key, now, then));
                            without
                        }
                        Slot::Counter => match grown(now, &was, &self.blamed) {
                            None => without,
                            Some(_) if is_put_back(now, without, &was) => now,
                            Some(_) if force => &was,
                            Some(other) => {
                                keep(key, other);
                                now
                            }
                        },
                        Slot::Unknown => now,
                        Slot::MapMarker | Slot::SetMarker => without,
                    }
                }
            };
            cells.extend(choice.iter().copied().cloned());
        }
        kept.dedup_by(|a, b| a.path == b.path);
        Without { row: Row::from_cells(cells), kept, zeroings }
    }

    /// The rows of a counter to which blamed ones added.
    fn zeroings(&self, key: &[u8], now: &[&Cell], then: &[&Cell]) -> Vec<Zeroing> {
        let path = key::path_of_key(key);
        let origins: BTreeSet<_> = self.blamed.iter().map(|dot| dot.origin).collect();
        let rows = counters(now).filter(|(dot, row)| {
            let before = counters(then).find(|(known, _)| known == dot);
            let grew = before.is_none_or(|(_, before)| before.seq < row.seq);
            !row.is_settled() && grew && origins.contains(&dot.origin)
        });
        let zeroing = |(dot, row): (Dot, &CounterRow)| {
            let before = counters(then).find(|(known, _)| *known == dot);
            // What was zeroed since, by whomever, does not stay.
            let before = before.filter(|(_, before)| before.seq > row.settled_seq);
            let keep = before.map(|(_, before)| before.total.saturating_sub(row.base));
            Zeroing { path: path.clone(), row: dot, seq: row.seq, total: row.total, keep }
        };
        rows.map(zeroing).collect()
    }

    /// Who else has changed what is at a key since, or beside, the blamed ones.
    fn other(&self, key: &[u8], now: &[&Cell], then: &[&Cell]) -> Option<Stamp> {
        let is_other = |cell: &&&Cell| {
            let dot = cell.stamp.dot;
            !self.blamed.contains(&dot) && !then.iter().any(|cell| cell.stamp.dot == dot)
        };
        let put = now.iter().filter(is_other).map(|cell| cell.stamp).max_by_key(Stamp::rank);
        put.or_else(|| self.cleared.get(key).copied())
    }

    /// Who wrote, or removed, what is at and below a field, as far as a blamed one did.
    pub(super) fn written(&self, path: &Path, now: &Row) -> Option<WrittenBy> {
        let prefix = key::prefix(path);
        let there = view::newest(now.under(&prefix));
        let gone = || {
            let touched = self.touched.range(prefix.clone()..);
            let below = touched.take_while(|(key, _)| key.starts_with(&prefix));
            let stamp = below.filter_map(|(_, touched)| touched.cleared).max_by_key(Stamp::rank)?;
            Some((stamp.dot, stamp.time))
        };
        let (dot, time) = there.or_else(gone)?;
        Some(WrittenBy { path: path.clone(), dot, time })
    }
}

type Groups<'a> = BTreeMap<&'a [u8], Vec<&'a Cell>>;

/// The cells of a row by their keys.
fn groups(row: &Row) -> Groups<'_> {
    let mut groups = Groups::new();
    row.cells().iter().for_each(|cell| groups.entry(&cell.key).or_default().push(cell));
    groups
}

fn at<'a, 'g>(groups: &'g Groups<'a>, key: &[u8]) -> &'g [&'a Cell] {
    groups.get(key).map_or(&[], Vec::as_slice)
}

/// The rows of a counter, by what began them.
fn counters<'a>(cells: &[&'a Cell]) -> impl Iterator<Item = (Dot, &'a CounterRow)> {
    cells.iter().filter_map(|cell| match &cell.body {
        Body::Counter(row) => Some((cell.stamp.dot, &**row)),
        Body::Put(_) => None,
    })
}

fn sum(cells: &[&Cell]) -> i128 {
    counters(cells).map(|(_, row)| row.value()).fold(0, i128::saturating_add)
}

/// Whether somebody has put back what a counter was that had been zeroed: in a row of another, or
/// in one that it had.
fn is_put_back(now: &[&Cell], without: &[&Cell], was: &[&Cell]) -> bool {
    let known = |cell: &&&Cell| was.iter().any(|known| known.stamp.dot == cell.stamp.dot);
    let old: Vec<&Cell> = without.iter().filter(known).copied().collect();
    [sum(was), sum(&old)].contains(&sum(now))
}

/// Who else has added to a counter since.
fn grown(now: &[&Cell], then: &[&Cell], blamed: &BTreeSet<Dot>) -> Option<Stamp> {
    let others = counters(now).filter(|(dot, row)| {
        let before = counters(then).find(|(known, _)| known == dot);
        let newest = Dot { origin: dot.origin, seq: row.seq };
        !row.is_settled()
            && before.is_none_or(|(_, before)| before.seq < row.seq)
            && !blamed.contains(&newest)
    });
    let stamp = |(dot, row): (Dot, &CounterRow)| Stamp {
        dot: Dot { origin: dot.origin, seq: row.seq },
        time: row.time,
    };
    others.map(stamp).max_by_key(Stamp::rank)
}

/// What puts at one key hold.
fn values<'a>(cells: &[&'a Cell]) -> BTreeSet<&'a [u8]> {
    let value = |cell: &&'a Cell| match &cell.body {
        Body::Put(value) => Some(&value[..]),
        Body::Counter(_) => None,
    };
    cells.iter().filter_map(value).collect()
}

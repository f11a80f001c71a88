//! Batches: what one transaction does to one document, in the order of keys.
//!
//! An operation changes each cell for itself, so the operations of a transaction can be
//! applied key by key, to any part of a document at a time, and cost what they touch: not, one
//! after the other, the whole document each. Invariants: the operations on one key keep their
//! order; clears come before puts, since none names the transaction it is in (decoding
//! refuses that).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::cell::{self, Cell, Settled};
use super::op::{Op, Stamp};
use super::places::Kinds;
use crate::id::{Dot, Origin, Seq};

/// The changes of one transaction to one document.
pub struct Batch<'a> {
    stamp: Stamp,
    /// In the order of keys; those of one key in the order they were given.
    points: Vec<Point<'a>>,
    /// By prefix; of each origin the newest seen there.
    clears: BTreeMap<&'a [u8], BTreeMap<Origin, Seq>>,
    /// Whether the transaction's author had seen another, for dropping settled rows.
    seen: Option<&'a dyn Fn(&Dot) -> bool>,
}

/// A change at one key.
enum Point<'a> {
    Op(&'a [u8], &'a Op),
    Drop(&'a [u8], Dot),
}

impl<'a> Point<'a> {
    fn key(&self) -> &'a [u8] {
        match self {
            Point::Op(key, _) | Point::Drop(key, _) => key,
        }
    }
}

/// What a batch did.
#[derive(Debug, Default)]
pub struct Effects {
    /// Counter rows that it settled in full.
    pub settled: Vec<Settled>,
    /// Counter rows that it was to drop and that stay: settled, by none that was seen.
    pub waiting: Vec<Settled>,
    /// Every key that it touched, in order.
    pub changed: Vec<Changed>,
}

/// A key that a batch touched, and what takes part in what is shown there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The key.
    pub key: Vec<u8>,
    /// What was there.
    pub before: Kinds,
    /// What is there now.
    pub after: Kinds,
}

impl<'a> Batch<'a> {
    /// The operations of the transaction at `stamp`.
    pub fn of_ops(ops: &'a [Op], stamp: &Stamp) -> Batch<'a> {
        let mut batch =
            Batch { stamp: *stamp, points: Vec::new(), clears: BTreeMap::new(), seen: None };
        for op in ops {
            match op {
                Op::Put { key, .. } | Op::Add { key, .. } | Op::Settle { key, .. } => {
                    batch.points.push(Point::Op(key, op));
                }
                Op::Clear { prefix, upto } => {
                    let seen = batch.clears.entry(prefix).or_default();
                    for dot in upto {
                        let newest = seen.entry(dot.origin).or_default();
                        *newest = dot.seq.max(*newest);
                    }
                }
            }
        }
        batch.points.sort_by_key(Point::key);
        batch
    }

    /// The dropping of counter rows that are settled by a transaction that the author of the one
    /// at `stamp` had `seen`.
    pub fn of_drops(
        rows: &'a [Settled],
        stamp: &Stamp,
        seen: &'a dyn Fn(&Dot) -> bool,
    ) -> Batch<'a> {
        let mut points: Vec<Point<'a>> =
            rows.iter().map(|row| Point::Drop(&row.key, row.row)).collect();
        points.sort_by_key(Point::key);
        Batch { stamp: *stamp, points, clears: BTreeMap::new(), seen: Some(seen) }
    }

    /// The first place at or after `from` where it may change something.
    pub fn next(&self, from: &[u8]) -> Option<Vec<u8>> {
        if self.clears_over(from).next().is_some() {
            return Some(from.to_vec());
        }
        let at = self.points.partition_point(|point| point.key() < from);
        let point = self.points.get(at).map(Point::key);
        let clear = self
            .clears
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .next()
            .map(|(prefix, _)| *prefix);
        point.into_iter().chain(clear).min().map(<[u8]>::to_vec)
    }

    /// Whether a cell that is there after the batch was there before it, and the same.
    pub fn left_alone(&self, cell: &Cell) -> bool {
        self.points.binary_search_by(|point| point.key().cmp(&cell.key)).is_err()
    }

    /// Applies what lies between the keys `from` and `to` to `cells`, which are all that a
    /// document has there.
    pub fn apply(
        &self,
        cells: Vec<Cell>,
        from: &[u8],
        to: Option<&[u8]>,
        effects: &mut Effects,
    ) -> Vec<Cell> {
        let mut out = Vec::with_capacity(cells.len() + 1);
        let mut rest = cells.into_iter();
        let mut at = from.to_vec();
        while let Some(next) = self.next(&at).filter(|next| to.is_none_or(|to| &next[..] < to)) {
            let untouched = rest.as_slice().partition_point(|cell| cell.key < next);
            out.extend(rest.by_ref().take(untouched));
            let first = self.points.partition_point(|point| point.key() < &next[..]);
            let point = self.points.get(first).map(Point::key);
            let point = point.filter(|key| to.is_none_or(|to| *key < to));
            let cell = rest.as_slice().first().map(|cell| &cell.key[..]);
            let Some(key) = point.into_iter().chain(cell).min().map(<[u8]>::to_vec) else { break };
            let len = rest.as_slice().iter().take_while(|cell| cell.key == key).count();
            let group: Vec<Cell> = rest.by_ref().take(len).collect();
            out.extend(self.apply_group(&key, group, first, effects));
            at = key;
            at.push(0);
        }
        out.extend(rest);
        out
    }

    /// Applies what touches `key` to the cells there.
    fn apply_group(
        &self,
        key: &[u8],
        mut group: Vec<Cell>,
        first: usize,
        effects: &mut Effects,
    ) -> Vec<Cell> {
        let clears: Vec<&BTreeMap<Origin, Seq>> = self.clears_over(key).collect();
        let points = self.points[first..].iter().take_while(|point| point.key() == key);
        if clears.is_empty() && points.clone().next().is_none() {
            return group;
        }
        let before = Kinds::of(key, &group);
        let seen = |dot: &Dot| {
            clears.iter().any(|upto| upto.get(&dot.origin).is_some_and(|seq| dot.seq <= *seq))
        };
        group.retain(|cell| !cell::kill(cell, seen));
        for point in points {
            match point {
                Point::Op(_, op) => {
                    effects.settled.extend(cell::apply(&mut group, op, &self.stamp));
                }
                Point::Drop(key, born) => {
                    let seen = |dot: &Dot| self.seen.is_some_and(|seen| seen(dot));
                    if cell::drop_settled(&mut group, born, seen) {
                        effects.waiting.push(Settled { key: key.to_vec(), row: *born });
                    }
                }
            }
        }
        let after = Kinds::of(key, &group);
        effects.changed.push(Changed { key: key.to_vec(), before, after });
        group
    }

    /// The clears at or above `key`, from the longest prefix to the shortest.
    fn clears_over(&self, key: &[u8]) -> impl Iterator<Item = &BTreeMap<Origin, Seq>> {
        let mut within = Some(key.to_vec());
        std::iter::from_fn(move || {
            loop {
                let top = within.take()?;
                let (prefix, upto) = self
                    .clears
                    .range::<[u8], _>((Bound::Unbounded, Bound::Included(&top[..])))
                    .next_back()?;
                let shared = prefix.iter().zip(&top).take_while(|(a, b)| a == b).count();
                if shared == prefix.len() {
                    within = (shared > 0).then(|| top[..shared - 1].to_vec());
                    return Some(upto);
                }
                // No longer prefix of the key can be there: it would sort after this one.
                within = Some(top[..shared].to_vec());
            }
        })
    }
}

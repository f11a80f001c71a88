//! Batches: what one transaction does to one document, in the order of keys.
//!
//! An operation changes each cell for itself, so the operations of a transaction can be
//! applied key by key, to any part of a document at a time, and cost what they touch: not, one
//! after the other, the whole document each. Invariants: the operations on one key keep their
//! order; clears come before puts, since none names the transaction it is in (decoding
//! refuses that).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::cell::{self, Body, Cell, Settled};
use super::op::{Op, Stamp};
use super::places::Kinds;
use crate::id::{Dot, Origin, Seq};

/// The changes of one transaction to one document.
pub struct Batch<'a> {
    stamp: Stamp,
    /// In the order of keys; those of one key in the order they were given.
    points: Vec<Point<'a>>,
    /// By prefix.
    clears: BTreeMap<&'a [u8], Upto<'a>>,
    /// Whether the transaction's author had seen another, for dropping settled rows.
    seen: Option<&'a dyn Fn(&Dot) -> bool>,
}

/// A change at one key.
enum Point<'a> {
    Op(&'a [u8], &'a Op),
    Drop(&'a [u8], Dot),
}

/// Of each origin the newest that the clears of one prefix have seen.
enum Upto<'a> {
    Few(&'a [Dot]),
    Many(BTreeMap<Origin, Seq>),
}

/// So many dots are looked through one by one.
const FEW: usize = 8;

impl<'a> Upto<'a> {
    fn of(dots: &'a [Dot]) -> Upto<'a> {
        let mut upto = Upto::Few(dots);
        if dots.len() > FEW {
            upto.join(&[]);
        }
        upto
    }

    fn join(&mut self, dots: &'a [Dot]) {
        if let Upto::Few(few) = *self {
            *self = Upto::Many(BTreeMap::new());
            self.join(few);
        }
        let Upto::Many(seen) = self else { return };
        for dot in dots {
            let newest = seen.entry(dot.origin).or_default();
            *newest = dot.seq.max(*newest);
        }
    }

    fn covers(&self, dot: &Dot) -> bool {
        match self {
            Upto::Few(few) => {
                few.iter().any(|seen| seen.origin == dot.origin && dot.seq <= seen.seq)
            }
            Upto::Many(seen) => seen.get(&dot.origin).is_some_and(|seq| dot.seq <= *seq),
        }
    }
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
        let mut batch = Batch {
            stamp: *stamp,
            points: Vec::with_capacity(ops.len()),
            clears: BTreeMap::new(),
            seen: None,
        };
        for op in ops {
            match op {
                Op::Put { key, .. }
                | Op::Add { key, .. }
                | Op::Continue { key, .. }
                | Op::Settle { key, .. } => {
                    batch.points.push(Point::Op(key, op));
                }
                Op::Clear { prefix, upto } => match batch.clears.get_mut(&prefix[..]) {
                    Some(seen) => seen.join(upto),
                    None => drop(batch.clears.insert(prefix, Upto::of(upto))),
                },
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

    /// The first key at or after `from` where it may change something.
    pub fn next<'k>(&'k self, from: &'k [u8]) -> Option<&'k [u8]> {
        if self.clears_over(from).next().is_some() {
            return Some(from);
        }
        let at = self.points.partition_point(|point| point.key() < from);
        let point = self.points.get(at).map(Point::key);
        let after = (Bound::Included(from), Bound::Unbounded);
        let clear = self.clears.range::<[u8], _>(after).next().map(|(prefix, _)| *prefix);
        point.into_iter().chain(clear).min()
    }

    /// Whether a cell that is there after the batch was there before it, and the same.
    pub fn left_alone(&self, cell: &Cell) -> bool {
        self.points.binary_search_by(|point| point.key().cmp(&cell.key)).is_err()
    }

    /// Applies what lies between the keys `from` and `to` to `cells`, which are all that a
    /// document has there. Notes each key that it touched in `changed`, if that is wanted.
    pub fn apply(
        &self,
        cells: Vec<Cell>,
        from: &[u8],
        to: Option<&[u8]>,
        effects: &mut Effects,
        mut changed: Option<&mut Vec<Changed>>,
    ) -> Vec<Cell> {
        let mut out = Vec::with_capacity(cells.len() + self.points.len().min(cells.len() + 8));
        let mut rest = cells.into_iter();
        if rest.as_slice().is_empty() && changed.is_none() {
            self.apply_alone(from, to, effects, &mut out);
            return out;
        }
        let (mut at, mut group) = (from.to_vec(), Vec::new());
        while let Some(next) = self.next(&at).filter(|next| to.is_none_or(|to| *next < to)) {
            let untouched = rest.as_slice().partition_point(|cell| &cell.key[..] < next);
            let first = self.points.partition_point(|point| point.key() < next);
            out.extend(rest.by_ref().take(untouched));
            let point = self.points.get(first).map(Point::key);
            let point = point.filter(|key| to.is_none_or(|to| *key < to));
            let cell = rest.as_slice().first().map(|cell| &cell.key[..]);
            let Some(key) = point.into_iter().chain(cell).min() else { break };
            at.clear();
            at.extend_from_slice(key);
            let key = &at[..];
            let len = rest.as_slice().iter().take_while(|cell| cell.key == key).count();
            group.extend(rest.by_ref().take(len));
            let before = changed.is_some().then(|| Kinds::of(key, &group));
            if self.apply_group(key, &mut group, first, effects)
                && let (Some(changed), Some(before)) = (&mut changed, before)
            {
                let after = Kinds::of(key, &group);
                changed.push(Changed { key: key.to_vec(), before, after });
            }
            out.append(&mut group);
            at.push(0);
        }
        out.extend(rest);
        out
    }

    /// Applies what lies between the keys `from` and `to` where a document has nothing: clears do
    /// nothing there.
    fn apply_alone(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        effects: &mut Effects,
        out: &mut Vec<Cell>,
    ) {
        let mut at = self.points.partition_point(|point| point.key() < from);
        let mut group = Vec::new();
        while let Some(point) = self.points.get(at) {
            let key = point.key();
            if to.is_some_and(|to| key >= to) {
                return;
            }
            let same = self.points[at..].iter().take_while(|point| point.key() == key).count();
            match point {
                Point::Op(key, Op::Put { value, .. }) if same == 1 => out.push(Cell {
                    key: key.to_vec(),
                    stamp: self.stamp,
                    body: Body::Put(value.clone()),
                }),
                _ => {
                    self.apply_group(key, &mut group, at, effects);
                    out.append(&mut group);
                }
            }
            at += same;
        }
    }

    /// Applies what touches `key` to the cells there. Gives whether anything does.
    fn apply_group(
        &self,
        key: &[u8],
        group: &mut Vec<Cell>,
        first: usize,
        effects: &mut Effects,
    ) -> bool {
        let clears: Vec<&Upto<'_>> = self.clears_over(key).collect();
        let points = self.points[first..].iter().take_while(|point| point.key() == key);
        let mut touched = !clears.is_empty();
        group.retain(|cell| !cell::kill(cell, |dot| clears.iter().any(|upto| upto.covers(dot))));
        for point in points {
            touched = true;
            match point {
                Point::Op(_, op) => {
                    effects.settled.extend(cell::apply(group, op, &self.stamp));
                }
                Point::Drop(key, born) => {
                    let seen = |dot: &Dot| self.seen.is_some_and(|seen| seen(dot));
                    if cell::drop_settled(group, born, seen) {
                        effects.waiting.push(Settled { key: key.to_vec(), row: *born });
                    }
                }
            }
        }
        touched
    }

    /// The clears at or above `key`, from the longest prefix to the shortest.
    fn clears_over<'k>(&'k self, key: &'k [u8]) -> impl Iterator<Item = &'k Upto<'a>> {
        let mut within = (!self.clears.is_empty()).then_some(key);
        std::iter::from_fn(move || {
            loop {
                let top = within.take()?;
                let upto_top = (Bound::Unbounded, Bound::Included(top));
                let (prefix, upto) = self.clears.range::<[u8], _>(upto_top).next_back()?;
                let shared = prefix.iter().zip(top).take_while(|(a, b)| a == b).count();
                if shared == prefix.len() {
                    within = (shared > 0).then(|| &top[..shared - 1]);
                    return Some(upto);
                }
                // No longer prefix of the key can be there: it would sort after this one.
                within = Some(&top[..shared]);
            }
        })
    }
}

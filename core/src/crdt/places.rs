//! Places: how many of a document are in conflict, kept up to date by looking only at what
//! changed.
//!
//! A place is in conflict if it holds registers of different values or more than one kind (see
//! [`view`](super::view)); a map is held where a marker is or anything below is shown. A hidden
//! conflict lies below one that is shown, so a document is in conflict exactly if one of
//! its places is. A change at a key can change the state of its own place, and of a place above
//! only if all below that one came or went. Keys that changed come in order; what lies beside
//! them and did not change is asked for, only where it decides.

use std::ops::Range;

use super::cell::{Body, Cell};
use super::key::{self, Slot, Step};
use super::row::Flags;

/// What kinds a place holds; of a key, what its cells add to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    /// Different values of registers: none, one, or two and more.
    registers: u8,
    map: bool,
    set: bool,
    counter: bool,
}

/// What a place has beside the keys that changed.
pub trait Beside {
    /// What looking may fail with.
    type Error;
    /// Whether there may be anything.
    const MAY_BE: bool = true;
    /// Whether a cell that takes part in what is shown lies at or below `place`, behind one of
    /// these bytes, and did not change.
    fn live(&mut self, place: &[u8], tags: Range<u8>) -> Result<bool, Self::Error>;
    /// What the registers at `place`, none of which changed, add to it.
    fn registers(&mut self, place: &[u8]) -> Result<Kinds, Self::Error>;
}

/// Nothing.
struct Alone;

impl Beside for Alone {
    type Error = std::convert::Infallible;
    const MAY_BE: bool = false;

    fn live(&mut self, _: &[u8], _: Range<u8>) -> Result<bool, Self::Error> {
        Ok(false)
    }

    fn registers(&mut self, _: &[u8]) -> Result<Kinds, Self::Error> {
        Ok(Kinds::default())
    }
}

impl Kinds {
    /// What the cells at `key` add to their place.
    pub fn of(key: &[u8], cells: &[Cell]) -> Kinds {
        let live = cells.iter().any(Cell::is_live);
        match key::slot_of_key(key) {
            Slot::Register => Kinds { registers: different_values(cells), ..Kinds::default() },
            Slot::MapMarker => Kinds { map: live, ..Kinds::default() },
            Slot::SetMarker | Slot::Element => Kinds { set: live, ..Kinds::default() },
            Slot::Counter => Kinds { counter: live, ..Kinds::default() },
            Slot::Unknown => Kinds::default(),
        }
    }

    /// What one put at `key` adds to its place.
    pub(super) fn of_put(key: &[u8]) -> Kinds {
        let none = Kinds::default();
        match key::slot_of_key(key) {
            Slot::Register => Kinds { registers: 1, ..none },
            Slot::MapMarker => Kinds { map: true, ..none },
            Slot::SetMarker | Slot::Element => Kinds { set: true, ..none },
            Slot::Counter | Slot::Unknown => none,
        }
    }

    fn any(self) -> bool {
        self.registers > 0 || self.map || self.set || self.counter
    }

    fn in_conflict(self) -> bool {
        let kinds = [self.registers > 0, self.map, self.set, self.counter];
        self.registers > 1 || kinds.into_iter().filter(|kind| *kind).count() > 1
    }

    fn with(self, other: Kinds) -> Kinds {
        Kinds {
            registers: self.registers.max(other.registers),
            map: self.map || other.map,
            set: self.set || other.set,
            counter: self.counter || other.counter,
        }
    }
}

fn different_values(cells: &[Cell]) -> u8 {
    let mut values = cells.iter().filter_map(|cell| match &cell.body {
        Body::Put(value) => Some(value),
        Body::Counter(_) => None,
    });
    let Some(first) = values.next() else { return 0 };
    if values.all(|value| value == first) { 1 } else { 2 }
}

/// A walk over the keys that changed, in order.
#[derive(Debug)]
pub struct Places {
    path: Vec<u8>,
    stack: Vec<Node>,
    delta: i64,
    shown: Option<bool>,
}

/// A place on the way to the last key.
#[derive(Debug, Default)]
struct Node {
    /// Where in the path its own part ends.
    end: usize,
    before: Kinds,
    after: Kinds,
    registers_changed: bool,
}

impl Default for Places {
    fn default() -> Places {
        Places { path: Vec::new(), stack: vec![Node::default()], delta: 0, shown: None }
    }
}

/// What a walk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How many more places are in conflict.
    pub delta: i64,
    /// Whether the document is shown, if that changed.
    pub shown: Option<bool>,
}

impl Places {
    /// Goes on to `key`, where cells that added `before` now add `after`.
    pub fn step<B: Beside>(
        &mut self,
        key: &[u8],
        before: Kinds,
        after: Kinds,
        beside: &mut B,
    ) -> Result<(), B::Error> {
        while self.stack.len() > 1 && !key.starts_with(&self.path) {
            self.leave(beside)?;
        }
        let slot = loop {
            match key::step(key, self.path.len()) {
                Step::Field(component) => {
                    self.path.extend_from_slice(component);
                    self.stack.push(Node { end: self.path.len(), ..Node::default() });
                }
                Step::Slot(slot, _) => break slot,
            }
        };
        let node = self.stack.last_mut().expect("the root is left last");
        node.before = node.before.with(before);
        node.after = node.after.with(after);
        node.registers_changed |= slot == Slot::Register;
        Ok(())
    }

    /// Ends the walk.
    pub fn finish<B: Beside>(mut self, beside: &mut B) -> Result<Found, B::Error> {
        while !self.stack.is_empty() {
            self.leave(beside)?;
        }
        Ok(Found { delta: self.delta, shown: self.shown })
    }

    /// Leaves the innermost place: nothing more changed there or below.
    fn leave<B: Beside>(&mut self, beside: &mut B) -> Result<(), B::Error> {
        let Some(mut node) = self.stack.pop() else { return Ok(()) };
        if node.before != node.after {
            if B::MAY_BE {
                node.look_beside(&self.path, beside)?;
            }
            self.delta +=
                i64::from(node.after.in_conflict()) - i64::from(node.before.in_conflict());
        }
        match self.stack.last_mut() {
            Some(parent) => {
                parent.before.map |= node.before.any();
                parent.after.map |= node.after.any();
                self.path.truncate(parent.end);
            }
            None if node.before.any() != node.after.any() => self.shown = Some(node.after.any()),
            None => {}
        }
        Ok(())
    }
}

impl Node {
    /// Adds what did not change, as far as it matters: first whether a kind that came or went is
    /// also held by something else, then, if the place did change, all else.
    fn look_beside<B: Beside>(&mut self, path: &[u8], beside: &mut B) -> Result<(), B::Error> {
        self.look(path, beside, |before, after| before != after)?;
        if self.before != self.after {
            self.look(path, beside, |before, after| !before && !after)?;
            if !self.registers_changed {
                let registers = beside.registers(path)?;
                self.before = self.before.with(registers);
                self.after = self.after.with(registers);
            }
        }
        Ok(())
    }

    fn look<B: Beside>(
        &mut self,
        path: &[u8],
        beside: &mut B,
        wanted: impl Fn(bool, bool) -> bool,
    ) -> Result<(), B::Error> {
        let mut live = |ranges: &[(u8, u8)]| -> Result<bool, B::Error> {
            for (from, to) in ranges {
                if beside.live(path, *from..*to)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if wanted(self.before.map, self.after.map) && live(&key::MAP_TAGS)? {
            (self.before.map, self.after.map) = (true, true);
        }
        if wanted(self.before.set, self.after.set) && live(&key::SET_TAGS)? {
            (self.before.set, self.after.set) = (true, true);
        }
        if wanted(self.before.counter, self.after.counter) && live(&key::COUNTER_TAGS)? {
            (self.before.counter, self.after.counter) = (true, true);
        }
        Ok(())
    }
}

/// How many places of a document that holds `cells` are in conflict, and whether it is shown.
pub fn survey(cells: &[Cell]) -> (u64, bool) {
    let mut rest = cells;
    survey_kinds(std::iter::from_fn(|| {
        let first = rest.first()?;
        let (group, others) = rest.split_at(group_len(rest));
        rest = others;
        Some((&first.key[..], Kinds::of(&first.key, group)))
    }))
}

/// As [`survey`], by what the cells at each key add to its place; in the order of keys.
fn survey_kinds<'a>(keys: impl Iterator<Item = (&'a [u8], Kinds)>) -> (u64, bool) {
    let mut places = Places::default();
    for (key, kinds) in keys {
        let Ok(()) = places.step(key, Kinds::default(), kinds, &mut Alone);
    }
    let Ok(found) = places.finish(&mut Alone);
    (found.delta.unsigned_abs(), found.shown.unwrap_or(false))
}

/// How many of `cells` share the key of the first.
pub(super) fn group_len(cells: &[Cell]) -> usize {
    cells.iter().take_while(|cell| cell.key == cells[0].key).count()
}

/// The flags of a document that holds `cells`.
pub fn flags(cells: &[Cell]) -> Flags {
    to_flags(survey(cells))
}

/// As [`flags`], by what the cells at each key add to its place; in the order of keys.
pub(super) fn flags_of<'a>(keys: impl Iterator<Item = (&'a [u8], Kinds)>) -> Flags {
    to_flags(survey_kinds(keys))
}

fn to_flags((places, shown): (u64, bool)) -> Flags {
    Flags { shown, in_conflict: places > 0 }
}

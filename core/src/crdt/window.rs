//! Windows: the part of a document that somebody has read, and that alone.
//!
//! A window asks its source for ranges of keys as they are needed, so that reading or changing
//! one field of a large document does not read the document. Invariant: whatever is looked at or
//! changed is held; asking for what is not is a mistake of ours and panics, since an answer
//! from a part that was not read would be a wrong one. What a reader sees of a place depends on
//! more than the cells there only if kinds clash at it or above it; then all that lies below
//! the clash is read ([`Window::hold_place`], [`Window::hold_set`]).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::cell::{self, Cell};
use super::key::{self, Slot};
use super::op::{Op, Stamp};
use super::row::Row;
use super::view;
use crate::error::Result;
use crate::id::Dot;
use crate::value::{Field, Path, Value, codec};

/// Where the cells of a document come from.
pub trait Source {
    /// All cells from the key `from` on and before `to`, in order.
    fn between(&self, from: &[u8], to: Option<&[u8]>) -> Result<Vec<Cell>>;
}

/// Ranges of keys, without their ends; `None` is the end of all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

/// A document, as far as it was read.
pub struct Window {
    groups: BTreeMap<Vec<u8>, Vec<Cell>>,
    held: Ranges,
    /// Where more can be read; `None` if all is held.
    source: Option<Box<dyn Source + Send + Sync>>,
    /// The groups that changed since they were read, as they were.
    original: BTreeMap<Vec<u8>, Vec<Cell>>,
    /// Every scope is all there is: what a scope must come to the same as.
    #[cfg(test)]
    pub(crate) sees_all: bool,
}

impl Ranges {
    /// Adds a range.
    pub fn insert(&mut self, from: &[u8], to: Option<&[u8]>) {
        let (mut start, mut end) = (from.to_vec(), to.map(<[u8]>::to_vec));
        for (first, last) in self.touching(from, to) {
            self.0.remove(&first);
            start = start.min(first);
            end = end.zip(last).map(|(end, last)| end.max(last));
        }
        self.0.insert(start, end);
    }

    /// The parts of a range that are not in it.
    fn gaps(&self, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut gaps = Vec::new();
        let mut at = Some(from.to_vec());
        for (first, last) in self.touching(from, to) {
            let Some(from) = at else { break };
            if from < first {
                gaps.push((from.clone(), Some(first)));
            }
            at = last.map(|last| last.max(from));
        }
        if let Some(at) = at.filter(|at| to.is_none_or(|to| &at[..] < to)) {
            gaps.push((at, to.map(<[u8]>::to_vec)));
        }
        gaps
    }

    /// The ranges in it that overlap a range or border on it, in order.
    fn touching(&self, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let before = self.0.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(from))).next_back();
        let before = before.filter(|(_, end)| end.as_ref().is_none_or(|end| from <= &end[..]));
        let to = to.map_or(Bound::Unbounded, Bound::Included);
        let others = self.0.range::<[u8], _>((Bound::Included(from), to));
        before.into_iter().chain(others).map(|(from, to)| (from.clone(), to.clone())).collect()
    }

    /// Whether all of a range is in it.
    pub fn contains(&self, from: &[u8], to: Option<&[u8]>) -> bool {
        let before = self.0.range::<[u8], _>((Bound::Unbounded, Bound::Included(from))).next_back();
        before.is_some_and(|(_, end)| match (end, to) {
            (None, _) => true,
            (Some(end), Some(to)) => to <= &end[..],
            (Some(_), None) => false,
        })
    }
}

/// The first key after all that begin with `prefix`; `None` if there is none.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

impl Window {
    /// All of a document.
    pub fn whole(row: Row) -> Window {
        let mut window = Window {
            groups: BTreeMap::new(),
            held: Ranges::default(),
            source: None,
            original: BTreeMap::new(),
            #[cfg(test)]
            sees_all: false,
        };
        window.take_in(row.into_cells());
        window
    }

    /// Whether the document is held whole and has nothing.
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.groups.is_empty()
    }

    /// Nothing yet of the document at `source`.
    pub fn over(source: Box<dyn Source + Send + Sync>) -> Window {
        Window {
            groups: BTreeMap::new(),
            held: Ranges::default(),
            source: Some(source),
            original: BTreeMap::new(),
            #[cfg(test)]
            sees_all: false,
        }
    }

    fn take_in(&mut self, cells: Vec<Cell>) {
        for cell in cells {
            match self.groups.get_mut(&cell.key) {
                Some(group) => group.push(cell),
                None => {
                    self.groups.insert(cell.key.clone(), vec![cell]);
                }
            }
        }
    }

    // ---- what is held

    fn holds(&self, from: &[u8], to: Option<&[u8]>) -> bool {
        self.source.is_none() || self.held.contains(from, to)
    }

    /// Reads the cells from `from` on and before `to`, as far as that was not done.
    fn hold(&mut self, from: &[u8], to: Option<&[u8]>, scope: &mut Ranges) -> Result<()> {
        scope.insert(from, to);
        if self.holds(from, to) {
            return Ok(());
        }
        let source = self.source.as_ref().expect("a window without source holds all");
        let gaps = self.held.gaps(from, to);
        let read: Vec<Vec<Cell>> = gaps
            .iter()
            .map(|(from, to)| source.between(from, to.as_deref()))
            .collect::<Result<_>>()?;
        read.into_iter().for_each(|cells| self.take_in(cells));
        self.held.insert(from, to);
        Ok(())
    }

    /// Holds all.
    pub fn hold_all(&mut self) -> Result<()> {
        self.hold(&[], None, &mut Ranges::default())
    }

    /// Holds all at and below a prefix, and adds it to `scope`.
    pub fn hold_below(&mut self, prefix: &[u8], scope: &mut Ranges) -> Result<()> {
        self.hold(prefix, after(prefix).as_deref(), scope)
    }

    /// Holds what decides what is shown at the place `prefix` and may lie on the way to others:
    /// its own cells, and unless they say that it is a map and nothing else, all below it. Gives
    /// whether they say so.
    pub fn hold_place(&mut self, prefix: &[u8], scope: &mut Ranges) -> Result<bool> {
        let children = key::children(prefix);
        self.hold(prefix, Some(&children), scope)?;
        let is_map = self.is_only(prefix, &children, Slot::MapMarker);
        if !is_map {
            self.hold_below(prefix, scope)?;
        }
        Ok(is_map)
    }

    /// Holds the places from the document itself to the one that `path` lies in.
    pub fn hold_way(&mut self, path: &Path, scope: &mut Ranges) -> Result<()> {
        let mut prefix = Vec::new();
        let depth = path.depth().saturating_sub(1);
        for name in &path.names()[..depth] {
            self.hold_place(&prefix, scope)?;
            key::push_field(&mut prefix, name);
        }
        self.hold_place(&prefix, scope).map(drop)
    }

    /// Holds what decides what is shown at the place `prefix` if it is a set, but of its elements
    /// only the one with the key `element`; if it is not a set and nothing else, all.
    pub fn hold_set(&mut self, prefix: &[u8], element: &[u8], scope: &mut Ranges) -> Result<()> {
        let elements = key::slot(prefix, Slot::Element);
        self.hold(prefix, Some(&elements), scope)?;
        if self.is_only(prefix, &elements, Slot::SetMarker) {
            let (behind, end) = (after(&elements).expect("ends in a tag"), after(prefix));
            self.hold(&behind, end.as_deref(), scope)?;
            let others = self.between(&behind, end.as_deref()).any(Cell::takes_part);
            if !others {
                return self.hold_below(element, scope);
            }
        }
        self.hold_below(prefix, scope)
    }

    /// Whether of the cells from `prefix` on and before `to` those that take part in what is
    /// shown are all of one kind's marker, and there is one.
    fn is_only(&self, prefix: &[u8], to: &[u8], marker: Slot) -> bool {
        let mut live = self.between(prefix, Some(to)).filter(|cell| cell.takes_part()).peekable();
        live.peek().is_some() && live.all(|cell| cell.slot() == marker)
    }

    // ---- reading

    fn between<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl Iterator<Item = &'a Cell> + use<'a> {
        assert!(self.holds(from, to), "what is looked at was not read");
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        self.groups.range::<[u8], _>((Bound::Included(from), to)).flat_map(|(_, group)| group)
    }

    /// The cells at or below `prefix`, which is held.
    pub fn under<'a>(&'a self, prefix: &[u8]) -> impl Iterator<Item = &'a Cell> + use<'a> {
        self.between(prefix, after(prefix).as_deref())
    }

    /// The cells of `scope`, in order.
    pub fn part(&self, scope: &Ranges) -> Vec<&Cell> {
        #[cfg(test)]
        if self.sees_all {
            return self.all();
        }
        scope.0.iter().flat_map(|(from, to)| self.between(from, to.as_deref())).collect()
    }

    /// All cells of the document, which is held whole.
    pub fn all(&self) -> Vec<&Cell> {
        self.between(&[], None).collect()
    }

    /// The whole document, which is held.
    pub fn row(&self) -> Row {
        Row::of_cells(self.between(&[], None).cloned().collect())
    }

    /// What decides what is shown of the field at `path`: the places on the way to it and all at and
    /// below it.
    pub fn part_of_field(&mut self, path: &Path) -> Result<Vec<&Cell>> {
        let mut scope = Ranges::default();
        self.hold_way(path, &mut scope)?;
        self.hold_below(&key::prefix(path), &mut scope)?;
        Ok(self.part(&scope))
    }

    /// As [`Window::part_of_field`], of the elements of a set only `element`.
    pub fn part_of_set(&mut self, path: &Path, element: &Value) -> Result<Vec<&Cell>> {
        let mut scope = Ranges::default();
        self.hold_way(path, &mut scope)?;
        let (prefix, mut bytes) = (key::prefix(path), Vec::new());
        codec::encode(element, &mut bytes);
        self.hold_set(&prefix, &key::element(&prefix, &bytes), &mut scope)?;
        Ok(self.part(&scope))
    }

    /// The field at `path`.
    pub fn field(&mut self, path: &Path) -> Result<Option<Field>> {
        Ok(view::field_of(&self.part_of_field(path)?, path))
    }

    /// Whether the field at `path` is a set with this element.
    pub fn has(&mut self, path: &Path, element: &Value) -> Result<bool> {
        let field = view::field_of(&self.part_of_set(path, element)?, path);
        Ok(field.is_some_and(|field| field.as_set().is_some_and(|set| set.contains(element))))
    }

    // ---- changing

    /// Applies an operation of the transaction at `stamp` at or below `within`.
    pub fn apply(&mut self, op: &Op, stamp: &Stamp, within: &[u8]) {
        match op {
            Op::Put { key, .. }
            | Op::Add { key, .. }
            | Op::Continue { key, .. }
            | Op::Settle { key, .. } => {
                if key.starts_with(within) {
                    let end = [key, &[0][..]].concat();
                    assert!(self.holds(key, Some(&end)), "what is changed was not read");
                    self.change(key, |group| drop(cell::apply(group, op, stamp)));
                }
            }
            Op::Clear { prefix, upto } => {
                let prefix = match (within.starts_with(prefix), prefix.starts_with(within)) {
                    (true, _) => within,
                    (false, true) => prefix,
                    (false, false) => return,
                };
                let seen = |dot: &Dot| {
                    upto.iter().any(|seen| seen.origin == dot.origin && dot.seq <= seen.seq)
                };
                let killed = |cell: &&Cell| cell::kill(cell, seen);
                let mut keys: Vec<Vec<u8>> =
                    self.under(prefix).filter(killed).map(|cell| cell.key.clone()).collect();
                keys.dedup();
                for key in keys {
                    self.change(&key, |group| group.retain(|cell| !cell::kill(cell, seen)));
                }
            }
        }
    }

    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Vec<Cell>)) {
        let (mut new, known) = (Vec::new(), self.groups.get_mut(key));
        if !self.original.contains_key(key) {
            self.original.insert(key.to_vec(), known.as_deref().cloned().unwrap_or_default());
        }
        match known {
            Some(group) => {
                change(group);
                if group.is_empty() {
                    self.groups.remove(key);
                }
            }
            None => {
                change(&mut new);
                self.set(key, new);
            }
        }
    }

    fn set(&mut self, key: &[u8], group: Vec<Cell>) {
        if !group.is_empty() {
            self.groups.insert(key.to_vec(), group);
        }
    }

    /// Makes the cells at and below `prefix` what they were when they were read.
    pub fn restore(&mut self, prefix: &[u8]) {
        let to = after(prefix);
        let to = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(prefix), to);
        let groups: Vec<(Vec<u8>, Vec<Cell>)> = self
            .original
            .range::<[u8], _>(range)
            .map(|(key, group)| (key.clone(), group.clone()))
            .collect();
        for (key, group) in groups {
            self.groups.remove(&key);
            self.original.remove(&key);
            self.set(&key, group);
        }
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({} keys held of {:?})", self.groups.len(), self.held)
    }
}

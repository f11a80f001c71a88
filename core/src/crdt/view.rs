//! What a reader sees of a row: one winner everywhere, and the conflicts beside it.
//!
//! Every node of a document holds at most four kinds at once: a register, a map, a set, a
//! counter. The kind that holds the highest put is shown; of a register's siblings the
//! highest. "Highest" is (time, origin, seq), the same on every replica. Two candidates of
//! different value or kind at one place are a conflict; equal values are not. Cells of
//! unknown slots are never shown.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use super::cell::{Body, Cell};
use super::key::{self, Slot, Step};
use super::op::Stamp;
use super::places;
use super::row::{Flags, Row};
use crate::clock::Timestamp;
use crate::id::{Dot, Origin, Seq};
use crate::value::{Field, Fields, Path, Value, codec};

type Rank = (Timestamp, Origin, Seq);

/// A place where replicas wrote different things without having seen each other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The field.
    pub path: Path,
    /// What was written; the first is shown, the others follow from newest to oldest.
    pub candidates: Vec<Candidate>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it would show.
    pub field: Field,
    /// The transaction that wrote it; of a map, set or counter, the newest that wrote into it.
    pub dot: Dot,
    /// When, by its author's clock.
    pub time: Timestamp,
}

/// The document that `row` shows; `None` if it shows none.
pub fn fields(row: &Row) -> Option<Fields> {
    fields_of(row.cells())
}

/// As [`fields`], of a document that holds these cells.
pub fn fields_of(cells: &[impl Borrow<Cell>]) -> Option<Fields> {
    let mut walk = Walk { conflicts: None };
    match walk.node(cells, 0, &mut Path::root())?.field {
        Field::Map(fields) => Some(fields),
        _ => None,
    }
}

/// The field at `path` that `row` shows.
pub fn field(row: &Row, path: &Path) -> Option<Field> {
    field_of(row.cells(), path)
}

/// As [`field`], of a document that holds these cells.
pub fn field_of(cells: &[impl Borrow<Cell>], path: &Path) -> Option<Field> {
    let mut shown = fields_of(cells)?;
    let (last, way) = path.names().split_last()?;
    for name in way {
        match shown.remove(name)? {
            Field::Map(fields) => shown = fields,
            _ => return None,
        }
    }
    shown.remove(last)
}

/// The conflicts in `row`, in the order of their paths.
pub fn conflicts(row: &Row) -> Vec<FieldConflict> {
    let mut walk = Walk { conflicts: Some(Vec::new()) };
    walk.node(row.cells(), 0, &mut Path::root());
    let mut found = walk.conflicts.unwrap_or_default();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// What is worth knowing of `row` without building what it shows.
pub fn flags(row: &Row) -> Flags {
    places::flags(row.cells())
}

/// The cells that share a node, taken apart: its own by slot, and each child's run.
struct Node<'a, C> {
    registers: Vec<&'a Cell>,
    map_markers: Vec<&'a Cell>,
    set: Vec<&'a Cell>,
    counters: Vec<&'a Cell>,
    children: Vec<(&'a [u8], &'a [C])>,
}

impl<'a, C: Borrow<Cell>> Node<'a, C> {
    fn of(cells: &'a [C], at: usize) -> Node<'a, C> {
        let mut node = Node {
            registers: Vec::new(),
            map_markers: Vec::new(),
            set: Vec::new(),
            counters: Vec::new(),
            children: Vec::new(),
        };
        let mut rest = cells;
        while let Some(cell) = rest.first() {
            let cell: &Cell = cell.borrow();
            let taken = match key::step(&cell.key, at) {
                Step::Slot(slot, _) => {
                    match slot {
                        _ if !cell.is_live() => {}
                        Slot::Register => node.registers.push(cell),
                        Slot::MapMarker => node.map_markers.push(cell),
                        Slot::SetMarker | Slot::Element => node.set.push(cell),
                        Slot::Counter => node.counters.push(cell),
                        Slot::Unknown => {}
                    }
                    1
                }
                Step::Field(component) => {
                    let len = child_len(rest, at, component);
                    node.children.push((component, &rest[..len]));
                    len
                }
            };
            rest = &rest[taken..];
        }
        node
    }
}

/// How many of `cells` lie under the field `component` at `at`.
fn child_len(cells: &[impl Borrow<Cell>], at: usize, component: &[u8]) -> usize {
    cells.iter().take_while(|cell| (*cell).borrow().key[at..].starts_with(component)).count()
}

struct Walk {
    conflicts: Option<Vec<FieldConflict>>,
}

struct Shown {
    field: Field,
    rank: Rank,
}

impl Walk {
    fn node(&mut self, cells: &[impl Borrow<Cell>], at: usize, path: &mut Path) -> Option<Shown> {
        let node = Node::of(cells, at);
        let mut shown: Vec<Shown> = Vec::new();
        let inner = self.conflicts.as_ref().map_or(0, Vec::len);
        shown.extend(self.map(&node, at, path));
        let within_map = inner..self.conflicts.as_ref().map_or(0, Vec::len);
        shown.extend(set(&node.set, at));
        shown.extend(counter(&node.counters));
        shown.extend(registers(&node.registers));
        shown.sort_by_key(|side| std::cmp::Reverse(side.rank));
        if let Some(conflicts) = &mut self.conflicts {
            if shown.first().is_some_and(|top| !matches!(top.field, Field::Map(_))) {
                conflicts.drain(within_map);
            }
            if shown.len() > 1 {
                let candidates = shown.iter().map(Candidate::of).collect();
                conflicts.push(FieldConflict { path: path.clone(), candidates });
            }
        }
        shown.into_iter().next()
    }

    fn map(
        &mut self,
        node: &Node<'_, impl Borrow<Cell>>,
        at: usize,
        path: &mut Path,
    ) -> Option<Shown> {
        let mut rank = node.map_markers.iter().map(|cell| cell.stamp.rank()).max();
        let mut fields = Fields::new();
        for (component, cells) in &node.children {
            let name = key::field_name(component);
            path.push(name.clone());
            let child = self.node(cells, at + component.len(), path);
            path.pop();
            if let Some(child) = child {
                rank = rank.max(Some(highest(cells).unwrap_or(child.rank)));
                fields.insert(name, child.field);
            }
        }
        rank.map(|rank| Shown { field: Field::Map(fields), rank })
    }
}

/// The highest put at or below a node, whatever kind it is of.
fn highest(cells: &[impl Borrow<Cell>]) -> Option<Rank> {
    cells
        .iter()
        .map(Borrow::borrow)
        .filter(|cell| cell.is_live() && cell.slot() != Slot::Unknown)
        .map(cell_rank)
        .max()
}

/// Who wrote last into these cells, in the order in which siblings are shown, and when.
pub fn newest(cells: &[impl Borrow<Cell>]) -> Option<(Dot, Timestamp)> {
    highest(cells).map(|(time, origin, seq)| (Dot { origin, seq }, time))
}

fn cell_rank(cell: &Cell) -> Rank {
    match &cell.body {
        Body::Put(_) => cell.stamp.rank(),
        Body::Counter(row) => {
            let dot = Dot { origin: cell.stamp.dot.origin, seq: row.seq };
            Stamp { dot, time: row.time }.rank()
        }
    }
}

fn set(cells: &[&Cell], at: usize) -> Option<Shown> {
    let rank = cells.iter().map(|cell| cell.stamp.rank()).max()?;
    let elements: BTreeSet<Value> = cells
        .iter()
        .filter_map(|cell| match key::step(&cell.key, at) {
            Step::Slot(Slot::Element, content) => Some(key::element_value(content)),
            _ => None,
        })
        .collect();
    Some(Shown { field: Field::Set(elements), rank })
}

fn counter(cells: &[&Cell]) -> Option<Shown> {
    let rank = cells.iter().map(|cell| cell_rank(cell)).max()?;
    let sum = cells
        .iter()
        .map(|cell| match &cell.body {
            Body::Counter(row) => row.value(),
            Body::Put(_) => 0,
        })
        .fold(0i128, i128::saturating_add);
    Some(Shown { field: self::sum(sum), rank })
}

/// A counter of this sum.
pub(super) fn sum(sum: i128) -> Field {
    Field::Counter(sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// The value of a register. Values are checked before they enter a row; one that can't be read
/// is damage of the disk. Readers see its bytes, and verifying tells.
pub(super) fn value(bytes: &[u8]) -> Value {
    codec::decode(bytes).unwrap_or_else(|_| Value::Bytes(bytes.to_vec()))
}

/// One candidate for each distinct value, under its highest put.
fn registers(cells: &[&Cell]) -> Vec<Shown> {
    let mut values: BTreeMap<&[u8], Rank> = BTreeMap::new();
    for cell in cells {
        if let Body::Put(value) = &cell.body {
            let rank = values.entry(value).or_insert(cell.stamp.rank());
            *rank = cell.stamp.rank().max(*rank);
        }
    }
    values
        .into_iter()
        .map(|(value, rank)| Shown { field: Field::Value(self::value(value)), rank })
        .collect()
}

impl Candidate {
    fn of(shown: &Shown) -> Candidate {
        let (time, origin, seq) = shown.rank;
        Candidate { field: shown.field.clone(), dot: Dot { origin, seq }, time }
    }
}

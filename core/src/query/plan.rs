//! How an index helps with a query: which stretches of it to read, and whether they come in order.
//!
//! An index has an entry for each document: the keys of its paths, one after the other, and the id.
//! Where a path holds a set or an array there is one more entry for each element, with the key of
//! that element ([`ELEMENT`]) in the place of the whole. A plan names *more* than is meant where that
//! is simpler; so whoever follows it asks the filter again.

use std::collections::BTreeSet;

use super::filter::{Elements, Seen};
use super::order::{self, ELEMENT};
use super::{Comparison, Direction, Filter, Operand, Query};
use crate::value::{Fields, Path, Value};

/// Stretches of an index that one plan reads at most.
const MAX_STRETCHES: usize = 256;

/// A part of an index: the entries from `low` on and before `high`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stretch {
    pub(crate) low: Vec<u8>,
    /// `None` is the end of the index.
    pub(crate) high: Option<Vec<u8>>,
}

/// What to read of an index, and how its entries come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) stretches: Vec<Stretch>,
    /// How many of the paths are held to be equal to something.
    pub(crate) equal: usize,
    /// Of which path entries are of an element; others are passed over. So no document comes twice.
    pub(crate) element: Option<usize>,
    /// Whether the path after those is bounded.
    pub(crate) bounded: bool,
    /// Which way entries are to be read to come in the order of the query, if they can.
    pub(crate) sorted: Option<Direction>,
    /// What entries begin with where they come in order: the keys of what all have alike.
    fixed: Vec<u8>,
    /// Which of the orders decide, in that order.
    remaining: Vec<usize>,
}

/// What a filter says of one path.
#[derive(Default)]
struct Known {
    equal: Option<BTreeSet<Vec<u8>>>,
    element: Option<Vec<u8>>,
    low: Option<Vec<u8>>,
    high: Option<Vec<u8>>,
}

/// The keys of a document's entries in an index over these paths, each followed by its id.
pub(crate) fn entries(paths: &[Path], id: &str, fields: &Fields) -> BTreeSet<Vec<u8>> {
    let seen = Seen { id, fields, siblings: &[] };
    let whole: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| {
            let mut key = Vec::new();
            seen.put_key_at(path, &mut key);
            key
        })
        .collect();
    let mut entries = BTreeSet::new();
    let mut add = |keys: &[&[u8]]| entries.insert([&keys.concat()[..], id.as_bytes()].concat());
    add(&[&whole.concat()]);
    for (at, path) in paths.iter().enumerate() {
        let (before, behind) = (whole[..at].concat(), whole[at + 1..].concat());
        let mut add = |element: &Value| {
            add(&[&before, &element_key(element), &behind]);
        };
        match seen.elements(path) {
            Elements::None => {}
            Elements::Set(elements) => elements.iter().for_each(&mut add),
            Elements::Array(items) => items.iter().for_each(&mut add),
        }
    }
    entries
}

fn element_key(value: &Value) -> Vec<u8> {
    let mut key = vec![ELEMENT];
    order::put_value(value, &mut key);
    key
}

/// Of which path an entry has an element, if of one, and the id at its end.
pub(crate) fn id_of(paths: usize, entry: &[u8]) -> Option<(Option<usize>, &str)> {
    let (mut rest, mut element) = (entry, None);
    for at in 0..paths {
        if let Some(inner) = rest.strip_prefix(&[ELEMENT]) {
            (rest, element) = (inner, Some(at));
        }
        rest = rest.get(order::len_of_first(rest)?..)?;
    }
    Some((element, std::str::from_utf8(rest).ok()?))
}

impl Plan {
    /// How an index over these paths answers a query; `None` if it does not help.
    pub(crate) fn of(query: &Query, paths: &[Path]) -> Option<Plan> {
        let conditions = match &query.filter {
            Filter::And(all) => &all[..],
            one => std::slice::from_ref(one),
        };
        let mut prefixes: Vec<Vec<u8>> = vec![Vec::new()];
        let (mut equal, mut bounded, mut element) = (0, false, None);
        let mut bounds = (None, None);
        for (at, path) in paths.iter().enumerate() {
            let known = Known::of(conditions, path);
            if let Some(keys) =
                known.equal.filter(|keys| keys.len() * prefixes.len() <= MAX_STRETCHES)
            {
                let with = |prefix: &Vec<u8>| {
                    keys.iter().map(|key| [&prefix[..], key].concat()).collect::<Vec<_>>()
                };
                prefixes = prefixes.iter().flat_map(with).collect();
                equal += 1;
                continue;
            }
            if let Some(key) = known.element.filter(|_| element.is_none()) {
                prefixes.iter_mut().for_each(|prefix| prefix.extend_from_slice(&key));
                element = Some(at);
                equal += 1;
                continue;
            }
            bounded = known.low.is_some() || known.high.is_some();
            bounds = (known.low, known.high);
            break;
        }
        let (low, high) = bounds;
        let stretch = |prefix: &Vec<u8>| Stretch {
            low: [&prefix[..], low.as_deref().unwrap_or_default()].concat(),
            high: match &high {
                Some(high) => Some([&prefix[..], high].concat()),
                None => beyond(prefix),
            },
        };
        let mut stretches: Vec<Stretch> = prefixes.iter().map(stretch).collect();
        stretches.retain(|part| part.high.as_ref().is_none_or(|high| part.low < *high));
        stretches.sort_unstable();
        let mut plan = Plan {
            stretches,
            equal,
            element,
            bounded,
            sorted: None,
            fixed: prefixes.first().cloned().unwrap_or_default(),
            remaining: Vec::new(),
        };
        if prefixes.len() == 1 {
            plan.sort(query, paths);
        }
        (equal > 0 || bounded || plan.sorted.is_some() && query.limit.is_some()).then_some(plan)
    }

    /// Notes whether entries come in the order of the query.
    fn sort(&mut self, query: &Query, paths: &[Path]) {
        let last = query.order.last().map_or(Direction::Ascending, |order| order.direction);
        let element = self.element.map(|at| &paths[at]);
        let fixed = &paths[..self.equal];
        let is_fixed = |path: &Path| fixed.contains(path) && element != Some(path);
        let mut rest = paths[self.equal..].iter();
        for (at, order) in query.order.iter().enumerate() {
            match &order.by {
                // Whatever comes after the id decides nothing.
                Operand::Id if order.direction == last && at + 1 == query.order.len() => break,
                Operand::Id => return,
                // What all have alike does not sort. An element is not what is sorted by.
                Operand::At(path) if is_fixed(path) => {}
                Operand::At(path) if order.direction == last && rest.next() == Some(path) => {
                    self.remaining.push(at);
                }
                Operand::At(_) => return,
            }
        }
        // More paths would come before the id.
        if rest.next().is_none() {
            self.sorted = Some(last);
        }
    }

    /// The entry behind which a page goes on, where entries come in order.
    pub(crate) fn behind(&self, query: &Query) -> Option<Vec<u8>> {
        let place = query.after.as_ref()?.place();
        let mut keys = &place.keys[..];
        let mut entry = self.fixed.clone();
        for at in 0..query.order.len() {
            let (first, rest) = keys.split_at(order::len_of_first(keys)?);
            if self.remaining.contains(&at) {
                entry.extend_from_slice(first);
            }
            keys = rest;
        }
        entry.extend_from_slice(place.id.as_bytes());
        Some(entry)
    }

    /// What makes one plan better than another: fewer documents are read.
    pub(crate) fn rank(&self) -> (usize, bool, bool) {
        (self.equal, self.bounded, self.sorted.is_some())
    }
}

impl Known {
    /// What conditions that all hold say of a path.
    fn of(conditions: &[Filter], path: &Path) -> Known {
        let mut known = Known::default();
        let is_it = |operand: &Operand| matches!(operand, Operand::At(at) if at == path);
        for condition in conditions {
            match condition {
                Filter::Compare(operand, comparison, value) if is_it(operand) => {
                    known.compares(*comparison, &order::key_of(value));
                }
                Filter::In(operand, values) if is_it(operand) => {
                    known.equals(values.iter().map(order::key_of).collect());
                }
                Filter::StartsWith(operand, value) if is_it(operand) => {
                    if let Some(prefix) = order::prefix_of(value) {
                        known.at_least(prefix.clone());
                        known.below(beyond(&prefix).expect("it begins with a kind"));
                    }
                }
                Filter::Contains(operand, value) if is_it(operand) => {
                    known.element.get_or_insert_with(|| element_key(value));
                }
                _ => {}
            }
        }
        known
    }

    fn compares(&mut self, comparison: Comparison, key: &[u8]) {
        let (lowest, next) = order::bounds_of_kind(key);
        // A text that was cut has the key of those that begin alike.
        match comparison {
            Comparison::Equal => self.equals([key.to_vec()].into()),
            Comparison::Less if !order::is_cut(key) => {
                self.at_least(lowest);
                self.below(key.to_vec());
            }
            Comparison::Less | Comparison::AtMost => {
                self.at_least(lowest);
                self.below(beyond(key).expect("it begins with a kind"));
            }
            Comparison::Greater if !order::is_cut(key) => {
                self.at_least(beyond(key).expect("it begins with a kind"));
                self.below(next);
            }
            Comparison::Greater | Comparison::AtLeast => {
                self.at_least(key.to_vec());
                self.below(next);
            }
        }
    }

    fn equals(&mut self, keys: BTreeSet<Vec<u8>>) {
        self.equal = Some(match self.equal.take() {
            None => keys,
            Some(before) => before.intersection(&keys).cloned().collect(),
        });
    }

    fn at_least(&mut self, low: Vec<u8>) {
        self.low = self.low.take().max(Some(low));
    }

    fn below(&mut self, high: Vec<u8>) {
        self.high = Some(self.high.take().map_or(high.clone(), |before| before.min(high)));
    }
}

/// The least that is above all that begin so.
fn beyond(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

//! Queries: which documents are meant, in which order, and which part of them.
//!
//! A [`Query`] is a [`Filter`], [`Order`]s, a limit, and where to go on; a
//! [`Collection`](crate::Collection) answers it (`find`, `count`). This layer is pure: it knows
//! values and documents' fields, and neither where they lie nor how they came there.
//!
//! # Conditions
//! They look at what a reader sees: of a field in conflict at the value that is shown. Paths go
//! through maps, and into arrays and objects that a register holds. Text as `done = false and priority
//! >= 3 and tags contains "urgent"` is one way to write them ([`Filter::parse`]), [`field`] another.
//!
//! # Order
//! missing < null < false < true < numbers < times < texts < bytes < arrays < objects and maps < sets
//! < kinds that this version does not know. `<` and its like hold within one kind only; sorting goes
//! across all of them. Numbers are integers, floats and counters, and compare by what they are
//! worth: 1 and 1.0 are equal here, as they are in JSON, though a store keeps them as two values.
//! Texts compare by code points; when sorting, by their first 512 bytes. Arrays, objects, maps and sets
//! are not sorted among themselves. Documents that are otherwise equal come in the order of their ids,
//! or against it if what is sorted by last is descending.
//!
//! # Pages
//! A [`Cursor`] holds what the last document of a page was sorted by, and its id: the next page
//! begins behind that, whatever was written in between. So nobody who stays where it is sorted comes
//! twice or not at all; who moves may.

mod cursor;
mod filter;
pub(crate) mod order;
mod parse;
pub(crate) mod plan;
#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub(crate) use cursor::Place;
pub(crate) use filter::Seen;
pub use filter::{Comparison, Filter, Operand, Subject, field, id};

use crate::error::{Error, Result};
use crate::limits::MAX_ORDERS;
use crate::value::{Field, Fields, Path};

/// Which way to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// The least first.
    #[default]
    Ascending,
    /// The greatest first; missing fields come last.
    Descending,
}

/// What to sort by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// What of the document.
    pub by: Operand,
    /// Which way.
    pub direction: Direction,
}

/// What is asked of a collection.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use littoral::query::{Query, field};
/// let store = littoral::Store::open(dir.path())?;
/// let notes = store.collection("notes")?;
/// notes.set("n1", "priority", 3)?;
/// notes.set("n2", "priority", 5)?;
/// let query = Query::new(field("priority").at_least(3)).descending("priority").limit(1);
/// let first = notes.find(&query)?;
/// assert_eq!(first.documents[0].id(), "n2");
/// let second = notes.find(&query.after(first.next.unwrap()))?;
/// assert_eq!(second.documents[0].id(), "n1");
/// # Ok::<(), littoral::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which documents.
    pub filter: Filter,
    /// How they are sorted; by their ids where nothing else decides.
    pub order: Vec<Order>,
    /// How many at most; all if there is none.
    pub limit: Option<usize>,
    /// Where to go on: behind the last document of a page before.
    pub after: Option<Cursor>,
    /// Whether conditions look at all sides of a field that is in conflict, and hold if they do for
    /// one of them; else only at what is shown.
    pub siblings: bool,
}

impl Default for Query {
    fn default() -> Query {
        Query::new(Filter::all())
    }
}

impl Query {
    /// All documents for which the filter holds, by id.
    pub fn new(filter: Filter) -> Query {
        Query { filter, order: Vec::new(), limit: None, after: None, siblings: false }
    }

    /// Sorted by the field at a path, the least first; after what it is sorted by already.
    pub fn ascending(self, path: impl Into<Path>) -> Query {
        self.ordered(Order { by: Operand::At(path.into()), direction: Direction::Ascending })
    }

    /// Sorted by the field at a path, the greatest first; after what it is sorted by already.
    pub fn descending(self, path: impl Into<Path>) -> Query {
        self.ordered(Order { by: Operand::At(path.into()), direction: Direction::Descending })
    }

    /// Sorted by this, after what it is sorted by already.
    pub fn ordered(mut self, order: Order) -> Query {
        self.order.push(order);
        self
    }

    /// At most so many documents.
    pub fn limit(mut self, limit: usize) -> Query {
        self.limit = Some(limit);
        self
    }

    /// Those behind the last document of a page before.
    pub fn after(mut self, cursor: Cursor) -> Query {
        self.after = Some(cursor);
        self
    }

    /// Conditions look at all sides of a field that is in conflict.
    pub fn with_siblings(mut self) -> Query {
        self.siblings = true;
        self
    }

    /// Refuses what can't be asked.
    pub(crate) fn check(&self) -> Result<()> {
        self.filter.check()?;
        if self.order.len() > MAX_ORDERS {
            return Err(Error::limit(format!(
                "documents are sorted by at most {MAX_ORDERS} fields"
            )));
        }
        self.order.iter().try_for_each(|order| order.by.check())?;
        match &self.after {
            Some(cursor) => cursor.check(self),
            None => Ok(()),
        }
    }
}

/// The fields at these paths alone, at their places. What is not there is left out.
pub fn project(fields: &Fields, paths: &[Path]) -> Fields {
    let mut out = Fields::new();
    for path in paths {
        if let Some(field) = crate::value::lookup(fields, path) {
            put_at(&mut out, path.names(), field);
        }
    }
    out
}

fn put_at(into: &mut Fields, path: &[String], field: &Field) {
    match path {
        [] => {}
        [name] => drop(into.insert(name.as_str(), field.clone())),
        [name, rest @ ..] => {
            let inner = into.get_or_insert_with(name, || Field::Map(Fields::new()));
            // A whole field that was put there before has it already.
            if let Field::Map(inner) = inner {
                put_at(inner, rest, field);
            }
        }
    }
}

//! Answering queries: which documents of a collection are meant, in their order, a page at a time.
//!
//! A query is answered from one moment. Without an order, documents are looked through by id, and no
//! more of them than the page needs; with one, all are, and the best of them are kept: as many as the
//! page has, so that a limit bounds memory whatever the collection holds.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::collection::{Collection, ScanRange};
use super::document::Document;
use crate::error::Result;
use crate::query::{Comparison, Cursor, Direction, Filter, Operand, Order, Place, Query, Seen};
use crate::value::Value;

/// A page of what a query found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundPage {
    /// The documents, in the order asked for.
    pub documents: Vec<Document>,
    /// Where to go on, if there may be more.
    pub next: Option<Cursor>,
    /// How many documents were looked at.
    pub examined: u64,
}

impl Collection {
    /// The documents that a query means, in its order.
    ///
    /// Errors: [`InvalidInput`](crate::ErrorKind::InvalidInput) of a filter or cursor that can't be;
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded); [`Closed`](crate::ErrorKind::Closed);
    /// I/O.
    pub fn find(&self, query: &Query) -> Result<FoundPage> {
        query.check()?;
        match by_id(&query.order) {
            Some(reverse) => self.find_by_id(query, reverse),
            None => self.find_sorted(query),
        }
    }

    /// How many documents a filter holds for.
    ///
    /// Errors: as of [`Collection::find`].
    pub fn count(&self, filter: &Filter) -> Result<u64> {
        let query = Query::new(filter.clone());
        query.check()?;
        if *filter == Filter::all() {
            return Ok(self.len());
        }
        let mut count = 0;
        for document in self.scan(&range_of(&query, false))? {
            count += u64::from(holds(&query, &document?));
        }
        Ok(count)
    }

    fn find_by_id(&self, query: &Query, reverse: bool) -> Result<FoundPage> {
        let mut page = FoundPage::default();
        let limit = query.limit.unwrap_or(usize::MAX);
        for document in self.scan(&range_of(query, reverse))? {
            let document = document?;
            page.examined += 1;
            if !holds(query, &document) {
                continue;
            }
            if page.documents.len() >= limit {
                page.next = page.documents.last().map(|last| cursor_behind(query, last));
                break;
            }
            page.documents.push(document);
        }
        Ok(page)
    }

    fn find_sorted(&self, query: &Query) -> Result<FoundPage> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut best: BinaryHeap<Ranked<'_>> = BinaryHeap::new();
        let mut page = FoundPage::default();
        let mut is_more = false;
        for document in self.scan(&range_of(query, false))? {
            let document = document?;
            page.examined += 1;
            if !holds(query, &document) {
                continue;
            }
            let ranked = Ranked::of(query, document);
            let begins = query.after.as_ref().map(Cursor::place);
            if begins.is_some_and(|place| ranked.place.compare(place, &query.order).is_le()) {
                continue;
            }
            if best.len() < limit {
                best.push(ranked);
                continue;
            }
            is_more = true;
            if let Some(mut last) = best.peek_mut()
                && ranked < *last
            {
                *last = ranked;
            }
        }
        let mut sorted = best.into_sorted_vec();
        let last = sorted.last().filter(|_| is_more).map(|last| last.place.clone());
        page.next = last.map(|place| Cursor::behind(query, place));
        page.documents = sorted.drain(..).map(|ranked| ranked.document).collect();
        Ok(page)
    }
}

/// A document and where it stands among those found.
struct Ranked<'q> {
    place: Place,
    orders: &'q [Order],
    document: Document,
}

impl<'q> Ranked<'q> {
    fn of(query: &'q Query, document: Document) -> Ranked<'q> {
        Ranked { place: place(query, &document), orders: &query.order, document }
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.compare(&other.place, self.orders)
    }
}

fn holds(query: &Query, document: &Document) -> bool {
    let siblings = if query.siblings { document.siblings() } else { Vec::new() };
    let (id, fields) = (document.id(), document.fields());
    query.filter.holds(Seen { id, fields, siblings: &siblings })
}

fn place(query: &Query, document: &Document) -> Place {
    let (id, fields) = (document.id(), document.fields());
    Place::of(&query.order, Seen { id, fields, siblings: &[] })
}

fn cursor_behind(query: &Query, document: &Document) -> Cursor {
    Cursor::behind(query, place(query, document))
}

/// Whether documents sorted like this are sorted by id, and if so, whether from the last on.
fn by_id(orders: &[Order]) -> Option<bool> {
    match orders.first() {
        None => Some(false),
        Some(Order { by: Operand::Id, direction }) => Some(*direction == Direction::Descending),
        Some(_) => None,
    }
}

/// Where documents that a query means can be.
fn range_of(query: &Query, reverse: bool) -> ScanRange {
    let mut range = ScanRange { reverse, ..ScanRange::default() };
    if let Some(prefix) = prefix_of(&query.filter) {
        range.prefix = prefix.to_owned();
    }
    if let (Some(_), Some(cursor)) = (by_id(&query.order), &query.after) {
        let id = Some(cursor.place().id.clone());
        match reverse {
            false => range.after = id,
            true => range.end = id,
        }
    }
    range
}

/// What the ids of all documents begin with for which a filter holds, as far as that is plain.
fn prefix_of(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::StartsWith(Operand::Id, Value::Text(prefix)) => Some(prefix),
        Filter::Compare(Operand::Id, Comparison::Equal, Value::Text(id)) => Some(id),
        Filter::And(all) => all.iter().find_map(prefix_of),
        _ => None,
    }
}

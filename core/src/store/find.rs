//! Answering queries: which documents of a collection are meant, in their order, a page at a time.
//!
//! A query is answered from one moment. Where an index helps ([`query::plan`](crate::query)) the
//! documents that it names are looked at, else all those whose ids may be meant. If they come in the
//! order that is asked for, no more of them are read than the page needs; if not, all are, and the
//! best of them are kept: as many as the page has, so that a limit bounds memory whatever the
//! collection holds. What an index names is asked of the filter again.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use redb::{OwnedRange, ReadOnlyTable, ReadableDatabase};

use super::collection::{Collection, Scan, ScanRange};
use super::document::Document;
use super::documents::Reader;
use super::tables::{self, db};
use crate::error::{Error, Result};
use crate::query::plan::{self, Plan, Stretch};
use crate::query::{Comparison, Cursor, Direction, Filter, Operand, Order, Place, Query, Seen};
use crate::value::{Path, Value};

/// A page of what a query found, and what that took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundPage {
    /// The documents, in the order asked for.
    pub documents: Vec<Document>,
    /// Where to go on, if there may be more.
    pub next: Option<Cursor>,
    /// How many documents were looked at.
    pub examined: u64,
    /// The paths of the index that was used, if one was.
    pub index: Option<Vec<Path>>,
    /// Whether documents came in the order asked for, so that no more of them were looked at than
    /// the page needs.
    pub in_order: bool,
}

impl Collection {
    /// The documents that a query means, in its order, and what it took to find them.
    ///
    /// Errors: [`InvalidInput`](crate::ErrorKind::InvalidInput) of a filter or cursor that can't be;
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded); [`Closed`](crate::ErrorKind::Closed);
    /// I/O.
    pub fn find(&self, query: &Query) -> Result<FoundPage> {
        query.check()?;
        let candidates = self.candidates(query)?;
        match candidates.in_order {
            true => in_order(query, candidates),
            false => sorted(query, candidates),
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
        for document in self.candidates(&query)?.documents {
            count += u64::from(holds(&query, &document?));
        }
        Ok(count)
    }

    /// What has to be looked at.
    fn candidates(&self, query: &Query) -> Result<Candidates> {
        if let Some(found) = self.by_index(query)? {
            return Ok(found);
        }
        let by_id = match query.order.first() {
            None => Some(Direction::Ascending),
            Some(Order { by: Operand::Id, direction }) => Some(*direction),
            Some(_) => None,
        };
        // What comes after the id decides nothing, but the way in which it is sorted by last does.
        let last = query.order.last().map_or(Direction::Ascending, |order| order.direction);
        let by_id = by_id.filter(|direction| query.order.len() < 2 || *direction == last);
        let documents = Documents::All(Box::new(self.scan(&range_of(query, by_id))?));
        Ok(Candidates { documents, in_order: by_id.is_some(), index: None })
    }

    /// The documents that the best of the collection's indexes names, if one helps.
    fn by_index(&self, query: &Query) -> Result<Option<Candidates>> {
        if names_one(&query.filter) {
            return Ok(None);
        }
        let inner = &self.store().inner;
        let (read, number, reader, best) = {
            let heads = inner.read_heads();
            let Some(head) = heads.named(self.name()) else { return Ok(None) };
            // What is shown of a collection that is held back is in no index.
            if heads.holds.contains_key(&head.number) && !self.is_behind() {
                return Ok(None);
            }
            let Some(indexes) = heads.indexes.get(self.name()) else { return Ok(None) };
            let ready = indexes.iter().filter(|index| index.building.is_none());
            let plans = ready.filter_map(|index| {
                Plan::of(query, &index.paths).map(|plan| (index.number, index.paths.clone(), plan))
            });
            let Some(best) = plans.max_by_key(|(_, _, plan)| plan.rank()) else { return Ok(None) };
            let read = inner.database()?.begin_read().map_err(db)?;
            (read, head.number, inner.reader(&heads)?, best)
        };
        let (index, paths, plan) = best;
        let mut siblings = Vec::new();
        if query.siblings {
            // Of what is in conflict an index has only what is shown.
            let conflicts = read.open_table(tables::CONFLICTS).map_err(db)?;
            let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
            for entry in conflicts.range(&start[..]..&end[..]).map_err(db)? {
                siblings.push(tables::document_id(entry.map_err(db)?.0.value())?.to_owned());
            }
        }
        let sorted = plan.sorted.filter(|_| siblings.is_empty());
        let entries = read.open_table(tables::INDEX_ENTRIES).map_err(db)?;
        let indexed = Indexed {
            entries,
            reader,
            collection: Arc::from(self.name()),
            number,
            index,
            behind: sorted.and_then(|_| plan.behind(query)),
            stretches: plan.stretches,
            reverse: sorted == Some(Direction::Descending),
            paths: paths.len(),
            element: plan.element,
            range: None,
            siblings,
            seen: HashSet::new(),
        };
        let documents = Documents::Indexed(Box::new(indexed));
        Ok(Some(Candidates { documents, in_order: sorted.is_some(), index: Some(paths) }))
    }
}

/// What is to be looked at.
struct Candidates {
    documents: Documents,
    /// Whether they come in the order of the query, from behind where it goes on.
    in_order: bool,
    /// The paths of the index that names them.
    index: Option<Vec<Path>>,
}

enum Documents {
    All(Box<Scan>),
    Indexed(Box<Indexed>),
}

impl Iterator for Documents {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Result<Document>> {
        match self {
            Documents::All(scan) => scan.next(),
            Documents::Indexed(indexed) => indexed.step().transpose(),
        }
    }
}

/// The documents that stretches of an index name, each once.
struct Indexed {
    entries: ReadOnlyTable<&'static [u8], &'static [u8]>,
    reader: Arc<Reader>,
    collection: Arc<str>,
    number: u32,
    index: u32,
    /// The entry behind which to begin.
    behind: Option<Vec<u8>>,
    stretches: Vec<Stretch>,
    reverse: bool,
    paths: usize,
    /// Of which path entries are to be of an element.
    element: Option<usize>,
    range: Option<OwnedRange<&'static [u8], &'static [u8]>>,
    /// Documents to be looked at beside those.
    siblings: Vec<String>,
    seen: HashSet<String>,
}

impl Indexed {
    fn step(&mut self) -> Result<Option<Document>> {
        loop {
            let Some(id) = self.next_id()? else { return Ok(None) };
            // What is in conflict is looked at by itself, and not twice.
            let may_come_twice = !self.siblings.is_empty() || !self.seen.is_empty();
            if may_come_twice && !self.seen.insert(id.clone()) {
                continue;
            }
            // It is shown, since it is in the index; one in conflict may not be.
            if let Some(document) = self.reader.get(&self.collection, self.number, &id)? {
                return Ok(Some(document));
            }
        }
    }

    fn next_id(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(range) = &mut self.range {
                let entry = if self.reverse { range.next_back() } else { range.next() };
                if let Some(entry) = entry {
                    let (key, _) = entry.map_err(db)?;
                    let entry = key.value().get(4..).unwrap_or_default();
                    let (element, id) = plan::id_of(self.paths, entry)
                        .ok_or_else(|| Error::corrupt("an index has a malformed entry"))?;
                    match element == self.element {
                        true => return Ok(Some(id.to_owned())),
                        false => continue,
                    }
                }
                self.range = None;
            }
            let next =
                if self.reverse { self.stretches.pop() } else { take_first(&mut self.stretches) };
            match next {
                Some(stretch) => self.range = self.open(&stretch)?,
                None => return Ok(self.siblings.pop()),
            }
        }
    }

    fn open(&self, stretch: &Stretch) -> Result<Option<OwnedRange<&'static [u8], &'static [u8]>>> {
        let number = self.index.to_be_bytes();
        let key = |rest: &[u8]| [&number[..], rest].concat();
        let mut low = Bound::Included(key(&stretch.low));
        let mut high = Bound::Excluded(match &stretch.high {
            Some(high) => key(high),
            None => (self.index + 1).to_be_bytes().to_vec(),
        });
        if let Some(behind) = &self.behind {
            let behind = key(behind);
            match self.reverse {
                false if *inner(&low) < behind => low = Bound::Excluded(behind),
                true if *inner(&high) > behind => high = Bound::Excluded(behind),
                _ => {}
            }
        }
        if inner(&low) >= inner(&high) {
            return Ok(None);
        }
        let bounds = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
        self.entries.range_owned::<&[u8]>(bounds).map(Some).map_err(db)
    }
}

fn inner(bound: &Bound<Vec<u8>>) -> &Vec<u8> {
    static NONE: Vec<u8> = Vec::new();
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &NONE,
    }
}

fn take_first(stretches: &mut Vec<Stretch>) -> Option<Stretch> {
    (!stretches.is_empty()).then(|| stretches.remove(0))
}

/// The page, of documents that come in the order asked for.
fn in_order(query: &Query, candidates: Candidates) -> Result<FoundPage> {
    let mut page = FoundPage { index: candidates.index, in_order: true, ..FoundPage::default() };
    let limit = query.limit.unwrap_or(usize::MAX);
    for document in candidates.documents {
        let document = document?;
        page.examined += 1;
        if !holds(query, &document) {
            continue;
        }
        if page.documents.len() >= limit {
            let last = page.documents.last();
            page.next = last.map(|last| Cursor::behind(query, place(query, last)));
            break;
        }
        page.documents.push(document);
    }
    Ok(page)
}

/// The page, of documents that come in any order.
fn sorted(query: &Query, candidates: Candidates) -> Result<FoundPage> {
    let mut page = FoundPage { index: candidates.index, ..FoundPage::default() };
    let limit = query.limit.unwrap_or(usize::MAX);
    let mut best: BinaryHeap<Ranked<'_>> = BinaryHeap::new();
    let mut is_more = false;
    let behind = query.after.as_ref().map(Cursor::place);
    for document in candidates.documents {
        let document = document?;
        page.examined += 1;
        if !holds(query, &document) {
            continue;
        }
        let ranked = Ranked { place: place(query, &document), orders: &query.order, document };
        if behind.is_some_and(|place| ranked.place.compare(place, &query.order).is_le()) {
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
    let best = best.into_sorted_vec();
    let last = best.last().filter(|_| is_more).map(|last| last.place.clone());
    page.next = last.map(|place| Cursor::behind(query, place));
    page.documents = best.into_iter().map(|ranked| ranked.document).collect();
    Ok(page)
}

/// A document and where it stands among those found.
struct Ranked<'q> {
    place: Place,
    orders: &'q [Order],
    document: Document,
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

/// Where documents that a query means can be; from behind where it goes on, if they are to come by
/// id.
fn range_of(query: &Query, by_id: Option<Direction>) -> ScanRange {
    let reverse = by_id == Some(Direction::Descending);
    let mut range = ScanRange { reverse, ..ScanRange::default() };
    if let Some(prefix) = prefix_of(&query.filter) {
        range.prefix = prefix.to_owned();
    }
    if let (Some(direction), Some(cursor)) = (by_id, &query.after) {
        let id = Some(cursor.place().id.clone());
        match direction {
            Direction::Ascending => range.after = id,
            Direction::Descending => range.end = id,
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

/// Whether it can hold for one document only.
fn names_one(filter: &Filter) -> bool {
    match filter {
        Filter::Compare(Operand::Id, Comparison::Equal, _) => true,
        Filter::And(all) => all.iter().any(names_one),
        _ => false,
    }
}

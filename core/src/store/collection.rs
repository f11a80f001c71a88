//! A collection: reading its documents, and writing one at a time.

use std::ops::Bound;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase};

use super::document::{self, Conflict, Content, Document};
use super::documents::{self, Documents, Read, Reader};
use super::heads::{Heads, Origins};
use super::tables::{self, db};
use super::tape::{HeldScan, HeldView};
use super::{Inner, Store};
use crate::crdt::{Row, Window};
use crate::error::Result;
use crate::id::check_id;
use crate::txn::edit::Version;
use crate::value::{Field, Fields, Path, Value};

/// A collection of a store. Cheap to clone; any thread may use it.
///
/// Each write here is a transaction of its own, durable when it returns; for several
/// together, or over several collections, see [`Store::write`].
#[derive(Debug, Clone)]
pub struct Collection {
    store: Store,
    name: Arc<str>,
    /// Whether its state is read also while it is held back.
    behind: bool,
}

/// Which documents to scan: ids in a range, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanRange {
    /// Only ids that begin so.
    pub prefix: String,
    /// Only ids from this one on.
    pub start: Option<String>,
    /// Only ids after this one: where an earlier page ended.
    pub after: Option<String>,
    /// Only ids before this one.
    pub end: Option<String>,
    /// At most so many documents.
    pub limit: Option<usize>,
    /// From the last to the first.
    pub reverse: bool,
}

impl Collection {
    pub(super) fn new(store: Store, name: &str) -> Collection {
        Collection { store, name: Arc::from(name), behind: false }
    }

    /// The same collection, of which the state is read also while it is held back
    /// ([`Store::rollback_hold`]): for those who check that nothing is undone.
    #[doc(hidden)]
    pub fn behind(&self) -> Collection {
        Collection { behind: true, ..self.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many documents it has; counted, not computed.
    pub fn len(&self) -> u64 {
        let heads = self.store.inner.read_heads();
        let Some(head) = heads.named(&self.name) else { return 0 };
        let held = heads.holds.get(&head.number).filter(|_| !self.behind);
        held.map_or(head.row.documents, |held| held.documents)
    }

    /// Whether it has no documents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The document with this id, if there is one.
    pub fn get(&self, id: &str) -> Result<Option<Document>> {
        check_id(id)?;
        match self.reader()? {
            Some(View::State(number, reader)) => reader.get(&self.name, number, id),
            Some(View::Held(held)) => held.get(&self.name, id),
            None => Ok(None),
        }
    }

    /// One field of a document, if both exist. Of a large document only what the field needs is
    /// read.
    pub fn get_field(&self, id: &str, path: impl Into<Path>) -> Result<Option<Field>> {
        match self.window(id)? {
            Some(mut window) => window.field(&path.into()),
            None => Ok(None),
        }
    }

    /// Whether the set at `path` of a document has an element. Reads no other elements of a large
    /// one.
    pub fn has(&self, id: &str, path: impl Into<Path>, element: impl Into<Value>) -> Result<bool> {
        match self.window(id)? {
            Some(mut window) => window.has(&path.into(), &element.into()),
            None => Ok(false),
        }
    }

    fn window(&self, id: &str) -> Result<Option<Window>> {
        check_id(id)?;
        Ok(match self.reader()? {
            None => None,
            Some(View::Held(held)) => Some(Window::whole(held.cells(id)?)),
            Some(View::State(number, reader)) => Some(match reader.parts(number, id)? {
                Read::Whole(row) => Window::whole(row),
                Read::Parts(parts) => Window::over(Box::new(parts)),
            }),
        })
    }

    /// Whether there is a document with this id.
    pub fn contains(&self, id: &str) -> Result<bool> {
        check_id(id)?;
        match self.view()? {
            Some(View::State(number, read)) => Ok(documents::flags(&read, number, id)?.shown),
            Some(View::Held(held)) => Ok(held.flags(id)?.shown),
            None => Ok(false),
        }
    }

    /// The documents of a range, in the order of their ids, as they are at this moment.
    pub fn scan(&self, range: &ScanRange) -> Result<Scan> {
        let since = self.store.suspensions();
        let view = self.view()?;
        Scan::over(self, since, view.as_ref(), range)
    }

    /// The same as two scans of one moment: for whoever has to look at all the documents before
    /// going through them.
    pub fn scan_twice(&self, range: &ScanRange) -> Result<[Scan; 2]> {
        let since = self.store.suspensions();
        let view = self.view()?;
        let scan = || Scan::over(self, since, view.as_ref(), range);
        Ok([scan()?, scan()?])
    }

    /// The documents of this collection that are in conflict.
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        let (number, read) = match self.view()? {
            None => return Ok(Vec::new()),
            Some(View::State(number, read)) => (number, read),
            Some(View::Held(held)) => {
                let found = held.in_conflict()?.into_iter();
                let conflicts = found.map(|(id, row)| document::conflicts(&self.name, &id, &row));
                return Ok(conflicts.flatten().collect());
            }
        };
        let table = read.open_table(tables::CONFLICTS).map_err(db)?;
        let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
        let mut found = Vec::new();
        for entry in table.range(&start[..]..&end[..]).map_err(db)? {
            let (key, _) = entry.map_err(db)?;
            let id = tables::document_id(key.value())?;
            if let Some(row) = self.store.inner.read_row(&read, number, id)? {
                found.extend(document::conflicts(&self.name, id, &row));
            }
        }
        Ok(found)
    }

    /// Whether the state is read also while it is held back.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// The documents as they are now, the tables shared with who else reads.
    fn reader(&self) -> Result<Option<View<Arc<Reader>>>> {
        let inner = &self.store.inner;
        let heads = inner.read_heads();
        let Some(head) = heads.named(&self.name) else {
            return inner.database().map(|_| None);
        };
        if let Some(held) = self.held(&heads)? {
            return Ok(Some(View::Held(held)));
        }
        Ok(Some(View::State(head.number, inner.reader(&heads)?)))
    }

    /// The documents at one moment.
    fn view(&self) -> Result<Option<View<ReadTransaction>>> {
        let inner = &self.store.inner;
        let heads = inner.read_heads();
        let database = inner.database()?;
        let Some(head) = heads.named(&self.name) else { return Ok(None) };
        if let Some(held) = self.held(&heads)? {
            return Ok(Some(View::Held(held)));
        }
        Ok(Some(View::State(head.number, database.begin_read().map_err(db)?)))
    }

    fn held(&self, heads: &Heads) -> Result<Option<Arc<HeldView>>> {
        match self.behind {
            true => Ok(None),
            false => Ok(HeldView::open(&self.store.inner, heads, &self.name)?.map(Arc::new)),
        }
    }

    /// Replaces a document; see [`Transaction::put`](super::Transaction::put).
    pub fn put(&self, id: &str, content: impl Content) -> Result<()> {
        self.store.write(|txn| txn.put(&self.name, id, content))
    }

    /// Reads, changes and puts a document in one; one that is not there starts empty.
    pub fn edit<T>(&self, id: &str, edit: impl FnOnce(&mut Fields) -> Result<T>) -> Result<T> {
        self.store.write(|txn| txn.edit(&self.name, id, edit))
    }

    /// Writes the fields given and leaves the others alone.
    pub fn merge(&self, id: &str, fields: &Fields) -> Result<()> {
        self.store.write(|txn| txn.merge(&self.name, id, fields))
    }

    /// Deletes a document. Gives whether it was there.
    pub fn delete(&self, id: &str) -> Result<bool> {
        self.store.write(|txn| txn.delete(&self.name, id))
    }

    /// Deletes what the reader of `version` had seen of a document.
    pub fn delete_version(&self, id: &str, version: &Version) -> Result<bool> {
        self.store.write(|txn| txn.delete_version(&self.name, id, version))
    }

    /// Writes one field; maps on the way to it are created.
    pub fn set(&self, id: &str, path: impl Into<Path>, field: impl Into<Field>) -> Result<()> {
        self.store.write(|txn| txn.set(&self.name, id, path, field))
    }

    /// Removes one field. Gives whether it was there.
    pub fn unset(&self, id: &str, path: impl Into<Path>) -> Result<bool> {
        self.store.write(|txn| txn.unset(&self.name, id, path))
    }

    /// Adds an element to a set, which is created if nothing is there.
    pub fn add(&self, id: &str, path: impl Into<Path>, element: impl Into<Value>) -> Result<()> {
        self.store.write(|txn| txn.add(&self.name, id, path, element))
    }

    /// Removes an element from a set. Gives whether it was there.
    pub fn remove(
        &self,
        id: &str,
        path: impl Into<Path>,
        element: impl Into<Value>,
    ) -> Result<bool> {
        self.store.write(|txn| txn.remove(&self.name, id, path, element))
    }

    /// Adds to a counter, which is created if nothing is there.
    pub fn increment(&self, id: &str, path: impl Into<Path>, by: i64) -> Result<()> {
        self.store.write(|txn| txn.increment(&self.name, id, path, by))
    }

    /// Settles the conflict at `path` for `choice`.
    pub fn resolve(&self, id: &str, path: impl Into<Path>, choice: &Field) -> Result<()> {
        self.store.write(|txn| txn.resolve(&self.name, id, path, choice))
    }
}

impl Store {
    /// All documents in conflict, by collection and id.
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        let mut found = Vec::new();
        for name in self.collections() {
            found.extend(self.collection(&name)?.conflicts()?);
        }
        Ok(found)
    }

    /// Settles the conflict at `path` for `choice`, which is one of its candidates or a new value.
    pub fn resolve(
        &self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        choice: &Field,
    ) -> Result<()> {
        self.write(|txn| txn.resolve(collection, id, path, choice))
    }
}

impl Inner {
    /// A document's row in a read transaction.
    pub(super) fn read_row(
        &self,
        read: &ReadTransaction,
        number: u32,
        id: &str,
    ) -> Result<Option<Row>> {
        documents::read(read, &self.origins(), number, id)
    }

    /// The documents as they are while the heads are held. Readers share what one of them has
    /// opened, until the next commit.
    pub(super) fn reader(&self, heads: &Heads) -> Result<Arc<Reader>> {
        if let Some(reader) = heads.reader.get() {
            return Ok(reader.clone());
        }
        let read = self.database()?.begin_read().map_err(db)?;
        let reader = Reader::open(&read, heads.origins.clone(), heads.meter.clone())?;
        Ok(heads.reader.get_or_init(|| reader).clone())
    }

    /// Origins are numbered before a row that names them is visible, and numbers never change.
    pub(super) fn origins(&self) -> Arc<Origins> {
        self.read_heads().origins.clone()
    }
}

/// The documents of a collection: those of the state, by the collection's number, or what it shows
/// while it is held back.
enum View<R> {
    State(u32, R),
    Held(Arc<HeldView>),
}

/// The documents of a range, one by one. Writes made meanwhile are not seen.
pub struct Scan {
    store: Store,
    /// How often the store had been suspended when it began.
    suspensions: u64,
    collection: Arc<str>,
    documents: Limited<Found>,
    reverse: bool,
}

/// What a scan reads from.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it for each scan, not for each document"
)]
enum Found {
    State(Documents),
    Held(HeldScan),
}

impl Scan {
    fn over(
        collection: &Collection,
        suspensions: u64,
        view: Option<&View<ReadTransaction>>,
        range: &ScanRange,
    ) -> Result<Scan> {
        let store = collection.store.clone();
        let documents = match view {
            None => None,
            Some(View::Held(held)) => Some(Found::Held(HeldView::scan(held, range)?)),
            Some(View::State(number, read)) => {
                let (start, end) = bounds(*number, range);
                match key_of(&start) <= key_of(&end) {
                    false => None,
                    true => {
                        let documents = documents::range(read, store.inner.origins(), start, end);
                        Some(Found::State(documents?))
                    }
                }
            }
        };
        let (reverse, documents) = (range.reverse, Limited::new(documents, range.limit));
        let collection = collection.name.clone();
        Ok(Scan { store, suspensions, collection, documents, reverse })
    }
}

impl Iterator for Scan {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Result<Document>> {
        let inner = &self.store.inner;
        self.documents.next(|found| {
            if let Err(over) = inner.check_since(self.suspensions) {
                return Some(Err(over));
            }
            let documents = match found {
                Found::State(documents) => documents,
                Found::Held(scan) => return scan.step(&self.collection),
            };
            let stored = documents.step(self.reverse)?;
            Some(stored.and_then(|stored| match stored.flags().shown {
                true => documents.document(&self.collection, &stored),
                false => Ok(None),
            }))
        })
    }
}

/// What a scan reads from, as long as it is to give more: at its end and after an error it lets go
/// of it.
pub(super) struct Limited<R> {
    rows: Option<R>,
    left: usize,
}

impl<R> Limited<R> {
    pub(super) fn new(rows: Option<R>, limit: Option<usize>) -> Limited<R> {
        Limited { rows, left: limit.unwrap_or(usize::MAX) }
    }

    /// The next document. `step` gives what comes next: none within it for what shows nothing, and
    /// none at the end.
    pub(super) fn next(
        &mut self,
        mut step: impl FnMut(&mut R) -> Option<Result<Option<Document>>>,
    ) -> Option<Result<Document>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let rows = self.rows.as_mut()?;
        let found = std::iter::from_fn(|| step(rows)).find_map(Result::transpose);
        if !matches!(found, Some(Ok(_))) {
            self.rows = None;
        }
        found
    }
}

/// The keys of a range: the highest lower bound and the lowest upper bound of those asked for.
fn bounds(number: u32, range: &ScanRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let key = |id: &str| tables::document_key(number, id);
    let mut start = key(&range.prefix).max(key(range.start.as_deref().unwrap_or_default()));
    let mut start_excluded = false;
    if let Some(after) = range.after.as_deref().filter(|_| !range.reverse)
        && key(after) >= start
    {
        (start, start_excluded) = (key(after), true);
    }
    let mut end = after_prefix(key(&range.prefix));
    let uppers = [range.end.as_deref(), range.after.as_deref().filter(|_| range.reverse)];
    for upper in uppers.into_iter().flatten() {
        end = end.min(key(upper));
    }
    match start_excluded {
        true => (Bound::Excluded(start), Bound::Excluded(end)),
        false => (Bound::Included(start), Bound::Excluded(end)),
    }
}

/// The same, as the first key of the range and the first one after it.
pub(super) fn key_bounds(number: u32, range: &ScanRange) -> (Vec<u8>, Vec<u8>) {
    let (start, end) = bounds(number, range);
    let start = match start {
        Bound::Excluded(key) => [&key[..], &[0]].concat(),
        start => key_of(&start).to_vec(),
    };
    (start, key_of(&end).to_vec())
}

fn key_of(bound: &Bound<Vec<u8>>) -> &[u8] {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    }
}

/// The first key after all that begin with `prefix`, which has a byte below 255 (a collection
/// number of 4 bytes of 255 is never reached).
fn after_prefix(mut prefix: Vec<u8>) -> Vec<u8> {
    while prefix.last() == Some(&0xff) {
        prefix.pop();
    }
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
}

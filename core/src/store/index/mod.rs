//! Declared indexes: where the documents of a collection are that hold something at some path.
//!
//! An index is of one store, over one or more paths of one collection, and is kept by the waist in
//! the same redb transaction as the documents: whoever reads both at one moment finds that they agree.
//! It holds what documents show; of a field in conflict the winner. What its entries are,
//! [`query::plan`](crate::query) says.
//!
//! # Building
//! An index is declared in one commit, and from then on the waist keeps it. Documents that were there
//! before are gone through by id, a few in a commit, by whoever calls [`Store::build_indexes`] and by
//! a thread that declaring it or opening the store begins. The row of the index says how far that
//! is, in the same commit: so a crash loses nothing, and it goes on where it was. Until it is through,
//! no query uses the index.
//!
//! # Invariants
//! 1. The entries of an index that is ready are those of the documents that are shown, no more and
//!    no less. While it is built, they are those of the documents up to where it is; what is changed
//!    beyond that is there already, or not yet.
//! 2. Nothing else depends on an index: it can be dropped at any moment, and what changes documents
//!    past the waist begins it anew.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | indexes | number of the index, 4 | version `01`; name of the collection; count, each: a path as a JSON Pointer; `00` it is ready, or `01`, the id up to which it is built and how many documents these are, `uint` |
//! | index entries | number of the index, 4; of each path the key of what is there; id | nothing |

mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::Store;
use super::documents;
use super::heads::{Heads, Origins};
use super::tables::{self, LazyTable, Writable, db, set, unset};
use crate::crdt::key;
use crate::error::{Error, ErrorKind, Result};
use crate::id::check_collection;
use crate::limits::{MAX_INDEX_PATHS, MAX_INDEXES};
use crate::query::{Operand, plan};
use crate::value::{Fields, Path};
use crate::wire::{Reader, put_bytes, put_uint};

const VERSION: u8 = 1;

/// An index, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexStatus {
    /// The collection.
    pub collection: String,
    /// The paths, the first decides first.
    pub paths: Vec<Path>,
    /// Whether queries use it.
    pub is_ready: bool,
    /// How many documents it was built over; of one that is ready, all.
    pub built: u64,
    /// How many documents the collection has.
    pub documents: u64,
}

/// What is known of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) number: u32,
    pub(super) paths: Vec<Path>,
    /// Up to which id it is built, and how many documents these are; `None` if it is ready.
    pub(super) building: Option<(String, u64)>,
    /// What the keys of cells begin with that it depends on.
    fields: BTreeSet<Vec<u8>>,
}

/// All indexes, by collection.
pub(super) type Indexes = BTreeMap<String, Arc<Vec<Index>>>;

impl Index {
    fn new(number: u32, paths: Vec<Path>, building: Option<(String, u64)>) -> Index {
        let top = |path: &Path| {
            let mut field = Vec::new();
            key::push_field(&mut field, &path.names()[0]);
            field
        };
        let fields = paths.iter().map(top).collect();
        Index { number, paths, building, fields }
    }

    fn encode(&self, collection: &str) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_bytes(&mut out, collection.as_bytes());
        put_uint(&mut out, self.paths.len() as u64);
        self.paths.iter().for_each(|path| put_bytes(&mut out, path.to_string().as_bytes()));
        match &self.building {
            None => out.push(0),
            Some((id, documents)) => {
                out.push(1);
                put_bytes(&mut out, id.as_bytes());
                put_uint(&mut out, *documents);
            }
        }
        out
    }

    fn decode(number: u32, bytes: &[u8]) -> Result<(String, Index)> {
        let mut reader = Reader::new(bytes, "index");
        let read = |reader: &mut Reader<'_>| -> Result<(String, Index)> {
            if reader.u8()? != VERSION {
                return Err(reader.bad("it has another version"));
            }
            let collection = reader.str()?.to_owned();
            let count = reader.count()?;
            let paths = (0..count).map(|_| Path::parse_pointer(reader.str()?));
            let paths = paths.collect::<Result<Vec<_>>>()?;
            if paths.is_empty() || paths.iter().any(|path| path.depth() == 0) {
                return Err(reader.bad("it has no path"));
            }
            let building = match reader.u8()? {
                0 => None,
                1 => Some((reader.str()?.to_owned(), reader.uint()?)),
                _ => return Err(reader.bad("it is neither ready nor being built")),
            };
            Ok((collection, Index::new(number, paths, building)))
        };
        let index = read(&mut reader).and_then(|index| reader.end().map(|()| index));
        index.map_err(|err| Error::corrupt(err.message()))
    }

    /// The entries of a document, below the number of the index.
    fn entries(&self, id: &str, fields: &Fields) -> BTreeSet<Vec<u8>> {
        let number = self.number.to_be_bytes();
        let entries = plan::entries(&self.paths, id, fields);
        entries.into_iter().map(|entry| [&number[..], &entry].concat()).collect()
    }

    /// Whether a document with this id is in it already.
    fn covers(&self, id: &str) -> bool {
        self.building.as_ref().is_none_or(|(built, _)| id <= built.as_str())
    }
}

/// For fuzzing and golden bytes.
pub(super) fn sample() -> Vec<u8> {
    let building = Some(("n7".to_owned(), 300));
    Index::new(2, vec!["priority".into(), ["a", "b/c"].into()], building).encode("notes")
}

/// For fuzzing: a row of the table reads back as what it says.
pub(super) fn read_back(bytes: &[u8]) {
    if let Ok((collection, index)) = Index::decode(2, bytes) {
        let again = Index::decode(2, &index.encode(&collection)).expect("what was written");
        assert_eq!(again, (collection, index));
    }
}

/// Reads all of them.
pub(super) fn load(read: &ReadTransaction) -> Result<Indexes> {
    let mut all: BTreeMap<String, Vec<Index>> = BTreeMap::new();
    let Some(table) = tables::open_if_there(read, tables::INDEXES)? else {
        return Ok(Indexes::new());
    };
    for (collection, index) in declared(&table)? {
        all.entry(collection).or_default().push(index);
    }
    Ok(all.into_iter().map(|(collection, indexes)| (collection, Arc::new(indexes))).collect())
}

/// Those that a table declares, by their numbers, each with its collection.
fn declared(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
) -> Result<Vec<(String, Index)>> {
    let rows = table.iter().map_err(db)?.map(|entry| {
        let (key, row) = entry.map_err(db)?;
        Index::decode(tables::u32_of(key.value())?, row.value())
    });
    rows.collect()
}

/// What the waist knows of a document that it is about to change: its entries, if there are indexes.
#[derive(Debug, Default)]
pub(super) struct Before(Vec<(usize, BTreeSet<Vec<u8>>)>);

/// The tables that hold documents, in a transaction that writes.
pub(super) struct Rows<'a, 'txn> {
    pub(super) documents: &'a LazyTable<'txn>,
    pub(super) runs: &'a LazyTable<'txn>,
    pub(super) origins: &'a Origins,
    pub(super) number: u32,
}

/// The entries of a document as it is now.
pub(super) fn entries_now(indexes: &[Index], rows: &Rows<'_, '_>, id: &str) -> Result<Before> {
    let fields = || indexes.iter().flat_map(|index| &index.fields).cloned().collect();
    let shown =
        documents::shown_in(rows.documents, rows.runs, rows.origins, (rows.number, id), fields)?;
    let Some(shown) = shown else { return Ok(Before::default()) };
    let those = indexes.iter().enumerate().filter(|(_, index)| index.covers(id));
    Ok(Before(those.map(|(at, index)| (at, index.entries(id, &shown))).collect()))
}

/// Brings the entries of a document in step with what it has become.
pub(super) fn keep(
    table: &mut LazyTable<'_>,
    indexes: &[Index],
    before: Before,
    after: Before,
) -> Result<()> {
    let mut left: BTreeMap<usize, BTreeSet<Vec<u8>>> = before.0.into_iter().collect();
    for (at, now) in after.0 {
        let then = left.remove(&at).unwrap_or_default();
        then.difference(&now).try_for_each(|gone| unset(table, gone))?;
        now.difference(&then).try_for_each(|new| set(table, new, &[]))?;
    }
    debug_assert!(left.keys().all(|at| *at < indexes.len()));
    left.values().flatten().try_for_each(|gone| unset(table, gone))
}

/// The documents of a collection went or are changed past the waist: its indexes are begun anew.
pub(super) fn begin_anew(
    txn: &WriteTransaction,
    collection: &str,
    indexes: &Indexes,
) -> Result<()> {
    let Some(indexes) = indexes.get(collection) else { return Ok(()) };
    let mut rows = txn.open_table(tables::INDEXES).map_err(db)?;
    let mut entries = txn.open_table(tables::INDEX_ENTRIES).map_err(db)?;
    for index in indexes.iter() {
        let index = Index { building: Some(Default::default()), ..index.clone() };
        set(&mut rows, &index.number.to_be_bytes(), &index.encode(collection))?;
        drop_entries(&mut entries, index.number)?;
    }
    Ok(())
}

/// The same for what is known of them.
pub(super) fn note_begun_anew(indexes: &mut Indexes, collection: &str) {
    if let Some(indexes) = indexes.get_mut(collection) {
        let anew = |index: &mut Index| index.building = Some(Default::default());
        Arc::make_mut(indexes).iter_mut().for_each(anew);
    }
}

fn drop_entries<'txn>(table: &mut impl Writable<'txn>, number: u32) -> Result<()> {
    let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
    let all = &start[..]..&end[..];
    table.opened()?.retain_in::<&[u8], _>(all, |_, _| false).map_err(db)
}

/// Holds all entries against the documents; says what is wrong.
pub(super) fn check(read: &ReadTransaction, heads: &Heads, wrong: &mut Vec<String>) -> Result<()> {
    let Some(table) = tables::open_if_there(read, tables::INDEX_ENTRIES)? else { return Ok(()) };
    let mut expected = 0;
    let mut known = BTreeSet::new();
    for (collection, indexes) in &load(read)? {
        known.extend(indexes.iter().map(|index| index.number));
        let Some(head) = heads.named(collection) else { continue };
        let mut documents = documents::scan(read, heads.origins.clone(), head.number, "")?;
        let name: Arc<str> = Arc::from(collection.as_str());
        while let Some(stored) = documents.step(false).transpose()? {
            let Some(document) = documents.document(&name, &stored)? else { continue };
            for index in indexes.iter().filter(|index| index.covers(document.id())) {
                for entry in index.entries(document.id(), document.fields()) {
                    expected += 1;
                    if table.get(&entry[..]).map_err(db)?.is_none() {
                        let paths = names(&index.paths);
                        wrong.push(format!(
                            "a document of {collection} is missing in its index over {paths}"
                        ));
                    }
                }
            }
        }
    }
    let there = table.len().map_err(db)?;
    if there > expected {
        wrong.push(format!("indexes have {} entries of nothing", there - expected));
    }
    for entry in table.iter().map_err(db)? {
        let (key, _) = entry.map_err(db)?;
        let number = key.value().get(..4).map(tables::u32_of).transpose()?;
        if number.is_none_or(|number| !known.contains(&number)) {
            wrong.push("there are entries of an index that is not declared".to_owned());
            break;
        }
    }
    Ok(())
}

fn names(paths: &[Path]) -> String {
    let names: Vec<String> =
        paths.iter().map(|path| Operand::At(path.clone()).to_string()).collect();
    names.join(", ")
}

impl Store {
    /// Declares an index of a collection over some paths, the first of which decides first: queries
    /// that ask for what is at the first path, or at the first few, or want documents in that order,
    /// read no others. Of a set or an array each element is found, too. Gives whether it is new. It
    /// is built in the background, see [`Store::indexes`] and [`Store::build_indexes`], and is of
    /// this store alone.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use littoral::query::{Query, field};
    /// let store = littoral::Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// (0..100).try_for_each(|n| notes.set(&format!("n{n}"), "priority", n))?;
    /// store.create_index("notes", &["priority".into()])?;
    /// store.build_indexes(|_| true)?;
    /// let page = notes.find(&Query::new(field("priority").eq(42)))?;
    /// assert_eq!((page.documents.len(), page.examined), (1, 1));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`InvalidInput`](ErrorKind::InvalidInput) without a path;
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) of more than 8 paths, or more than 64 indexes;
    /// [`Closed`](ErrorKind::Closed); [`Poisoned`](ErrorKind::Poisoned); I/O.
    pub fn create_index(&self, collection: &str, paths: &[Path]) -> Result<bool> {
        check_collection(collection)?;
        check_paths(paths)?;
        let is_new = self.inner.commit_beside_heads_with(
            |txn| {
                let mut rows = txn.open_table(tables::INDEXES).map_err(db)?;
                let declared = declared(&rows)?;
                if declared.iter().any(|(of, index)| of == collection && index.paths == paths) {
                    return Ok(None);
                }
                let number = declared.last().map_or(0, |(_, index)| index.number + 1);
                if declared.len() >= MAX_INDEXES {
                    let what = format!("a store has at most {MAX_INDEXES} indexes");
                    return Err(Error::new(ErrorKind::LimitExceeded, what));
                }
                let index = Index::new(number, paths.to_vec(), Some(Default::default()));
                set(&mut rows, &number.to_be_bytes(), &index.encode(collection))?;
                // Of an index with this number that was dropped nothing is left.
                Ok(Some(index))
            },
            |heads, index| {
                if let Some(index) = index {
                    let of = heads.indexes.entry(collection.to_owned()).or_default();
                    Arc::make_mut(of).push(index.clone());
                }
            },
        )?;
        self.inner.build_in_background();
        Ok(is_new.is_some())
    }

    /// Drops an index. Gives whether it was there.
    ///
    /// Errors: as of [`Store::create_index`].
    pub fn drop_index(&self, collection: &str, paths: &[Path]) -> Result<bool> {
        let dropped = self.inner.commit_beside_heads_with(
            |txn| {
                let mut rows = txn.open_table(tables::INDEXES).map_err(db)?;
                let is_it =
                    |(of, index): &&(String, Index)| of == collection && index.paths == paths;
                let found = declared(&rows)?.iter().find(is_it).map(|(_, index)| index.number);
                if let Some(number) = found {
                    unset(&mut rows, &number.to_be_bytes())?;
                    let mut entries = txn.open_table(tables::INDEX_ENTRIES).map_err(db)?;
                    drop_entries(&mut entries, number)?;
                }
                Ok(found)
            },
            |heads, found| {
                if let (Some(number), Some(of)) = (found, heads.indexes.get_mut(collection)) {
                    Arc::make_mut(of).retain(|index| index.number != *number);
                    if of.is_empty() {
                        heads.indexes.remove(collection);
                    }
                }
            },
        )?;
        Ok(dropped.is_some())
    }

    /// The indexes of this store, and how far they are.
    pub fn indexes(&self) -> Vec<IndexStatus> {
        let heads = self.inner.read_heads();
        let of = |(collection, indexes): (&String, &Arc<Vec<Index>>)| {
            let documents = heads.named(collection).map_or(0, |head| head.row.documents);
            let status = |index: &Index| IndexStatus {
                collection: collection.clone(),
                paths: index.paths.clone(),
                is_ready: index.building.is_none(),
                built: index.building.as_ref().map_or(documents, |(_, built)| *built),
                documents,
            };
            indexes.iter().map(status).collect::<Vec<_>>()
        };
        heads.indexes.iter().flat_map(of).collect()
    }
}

fn check_paths(paths: &[Path]) -> Result<()> {
    if paths.is_empty() || paths.iter().any(|path| path.depth() == 0) {
        return Err(Error::invalid("an index is over one path or more, each of a field"));
    }
    if paths.len() > MAX_INDEX_PATHS {
        return Err(Error::limit(format!("an index is over at most {MAX_INDEX_PATHS} paths")));
    }
    let distinct: BTreeSet<&Path> = paths.iter().collect();
    match distinct.len() == paths.len() {
        true => Ok(()),
        false => Err(Error::invalid("an index has a path twice")),
    }
}

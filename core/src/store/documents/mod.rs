//! Documents: how they lie in the tables of `state.redb`.
//!
//! A small document is one row of the table of documents. A large one
//! ([`layout`](crate::crdt::layout)) has its cells in the table of runs, and in the table of
//! documents a head that says what nobody should have to read all of them for. Whoever reads
//! a document, all or a part of it, comes through here and need not know which; changing one is
//! [`change`]'s.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | documents | collection number, id | a [`Row`]; or a head: flags with bit 2 set, size in the layout, places in conflict |
//! | runs | collection number, id length 2, id, first 1,024 bytes of its first cell's key; of a document's first run nothing | a [`Row`] without flags |

mod change;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{OwnedAccessGuard, OwnedRange, ReadOnlyTable, ReadTransaction, ReadableTable};

use super::document::Document;
use super::heads::Origins;
use super::stats::RowCounts;
use super::tables::{self, db};
use crate::crdt::layout::run_key;
use crate::crdt::{self, Cell, Flags, Row, Source, key, view};
use crate::error::{Error, Result};
use crate::value::Fields;
use crate::wire::{self, put_uint};

pub(super) use change::{Change, Numbers, Writer};

type Guard = OwnedAccessGuard<&'static [u8]>;
type ReadTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Bit of the flags: the cells are in runs.
const IN_RUNS: u8 = 4;

/// How many rows of documents were read and written by changes and by reads of a part, and how
/// many bytes were written, since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Meter {
    read: AtomicU64,
    written: AtomicU64,
    bytes_written: AtomicU64,
    conflicts_arisen: AtomicU64,
    conflicts_ended: AtomicU64,
}

impl Meter {
    pub(super) fn counts(&self) -> RowCounts {
        let [read, written, bytes_written] = [&self.read, &self.written, &self.bytes_written]
            .map(|count| count.load(Ordering::Relaxed));
        RowCounts { read, written, bytes_written }
    }

    /// How often a document came to be in conflict, and how often one ceased to be.
    pub(super) fn conflicts(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.conflicts_arisen), of(&self.conflicts_ended))
    }

    /// Notes whether a document is in conflict now, if it was not or was before.
    pub(super) fn note_conflict(&self, arisen: bool) {
        let count = if arisen { &self.conflicts_arisen } else { &self.conflicts_ended };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn note_read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    fn note_written(&self, bytes: usize) {
        self.written.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What the table of documents holds of a large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) shown: bool,
    /// The size of its cells in the layout.
    pub(super) size: u64,
    /// How many of its places are in conflict.
    pub(super) places: u64,
}

impl Head {
    pub(super) fn flags(&self) -> Flags {
        Flags { shown: self.shown, in_conflict: self.places > 0 }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.flags().to_byte() | IN_RUNS];
        put_uint(&mut out, self.size);
        put_uint(&mut out, self.places);
        out
    }

    /// The head in a value of the table of documents; `None` if that is a row.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Head>> {
        let flags = Flags::of(Some(bytes));
        if bytes.first().is_none_or(|byte| byte & IN_RUNS == 0) {
            return Ok(None);
        }
        let mut reader = wire::Reader::new(&bytes[1..], "head of a large document");
        let head = || -> Result<Head> {
            let (size, places) = (reader.uint()?, reader.uint()?);
            reader.end()?;
            Ok(Head { shown: flags.shown, size, places })
        };
        match head() {
            Ok(head) if bytes[0] == head.flags().to_byte() | IN_RUNS => Ok(Some(head)),
            Ok(_) => Err(Error::corrupt("the head of a large document contradicts itself")),
            Err(err) => Err(Error::corrupt(err.message())),
        }
    }
}

/// What the keys of all runs of a document begin with.
pub(super) fn runs_prefix(number: u32, id: &str) -> Vec<u8> {
    let id_len = (id.len() as u16).to_be_bytes();
    [&number.to_be_bytes()[..], &id_len, id.as_bytes()].concat()
}

/// Whether a value of the table of documents is the head of a large one.
pub(super) fn is_head(value: &[u8]) -> bool {
    value.first().is_some_and(|flags| flags & IN_RUNS != 0)
}

/// The id of the document that a run belongs to, by the run's key.
pub(super) fn id_of_run(key: &[u8]) -> Option<&str> {
    let (len, rest) = key.get(4..)?.split_first_chunk::<2>()?;
    std::str::from_utf8(rest.get(..usize::from(u16::from_be_bytes(*len)))?).ok()
}

/// The document with this id, whole; `None` if nothing of it is there.
pub(super) fn read(
    read: &ReadTransaction,
    origins: &Origins,
    number: u32,
    id: &str,
) -> Result<Option<Row>> {
    let documents = read.open_table(tables::DOCUMENTS).map_err(db)?;
    let Some(bytes) = documents.get(&tables::document_key(number, id)[..]).map_err(db)? else {
        return Ok(None);
    };
    match Head::decode(bytes.value())? {
        None => decode(bytes.value(), origins).map(Some),
        Some(_) => {
            let runs = read.open_table(tables::RUNS).map_err(db)?;
            cells_between(&runs, origins, number, id, &[], None, &Meter::default())
                .map(|cells| Some(Row::of_cells(cells)))
        }
    }
}

/// As [`read`], in a transaction that writes; empty if nothing of it is there.
pub(super) fn read_in(
    documents: &tables::LazyTable<'_>,
    runs: &tables::LazyTable<'_>,
    origins: &Origins,
    number: u32,
    id: &str,
) -> Result<Row> {
    let bytes = documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
    let Some(bytes) = bytes else { return Ok(Row::default()) };
    match Head::decode(bytes.value())? {
        None => decode(bytes.value(), origins),
        Some(_) => cells_between(runs, origins, number, id, &[], None, &Meter::default())
            .map(Row::of_cells),
    }
}

/// What a document shows; of a large one only what lies below some of its fields, given as the
/// beginnings of their keys. `None` if it shows nothing.
pub(super) fn shown_in(
    documents: &tables::LazyTable<'_>,
    runs: &tables::LazyTable<'_>,
    origins: &Origins,
    (number, id): (u32, &str),
    fields: impl FnOnce() -> BTreeSet<Vec<u8>>,
) -> Result<Option<Fields>> {
    let bytes = documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
    let Some(bytes) = bytes else { return Ok(None) };
    let flags = Flags::of(Some(bytes.value()));
    if !flags.shown {
        return Ok(None);
    }
    if Head::decode(bytes.value())?.is_none() && !flags.in_conflict {
        return crdt::shown(bytes.value(), &mut Vec::new(), |number| origins.find(number));
    }
    let (row, _) = read_fields_in(documents, runs, origins, (number, id), &fields())?;
    Ok(Some(view::fields(&row).unwrap_or_default()))
}

/// As [`read_in`], of a large document only what lies below some of its fields, given as the
/// beginnings of their keys. Gives whether that is all of it.
pub(super) fn read_fields_in(
    documents: &tables::LazyTable<'_>,
    runs: &tables::LazyTable<'_>,
    origins: &Origins,
    (number, id): (u32, &str),
    fields: &BTreeSet<Vec<u8>>,
) -> Result<(Row, bool)> {
    let bytes = documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
    let Some(bytes) = bytes else { return Ok((Row::default(), true)) };
    if Head::decode(bytes.value())?.is_none() {
        return Ok((decode(bytes.value(), origins)?, true));
    }
    let (mut cells, meter) = (Vec::new(), Meter::default());
    for field in fields {
        let beyond = key::beyond(field);
        cells.extend(cells_between(runs, origins, number, id, field, Some(&beyond), &meter)?);
    }
    Ok((Row::of_cells(cells), false))
}

fn decode(bytes: &[u8], origins: &Origins) -> Result<Row> {
    Row::decode(bytes, |number| origins.find(number))
}

/// The cells of a large document from the key `from` on and before `to`. Reads the runs that
/// they lie in.
fn cells_between(
    runs: &impl ReadableTable<&'static [u8], &'static [u8]>,
    origins: &Origins,
    number: u32,
    id: &str,
    from: &[u8],
    to: Option<&[u8]>,
    meter: &Meter,
) -> Result<Vec<Cell>> {
    let prefix = runs_prefix(number, id);
    let mut cells = Vec::new();
    for run in runs_between(runs, &prefix, from, to)? {
        let (_, bytes) = run.map_err(db)?;
        meter.note_read();
        let more = Row::decode_between(bytes.value(), from, to, |number| origins.find(number))?;
        match cells.is_empty() {
            true => cells = more,
            false => cells.extend(more),
        }
    }
    Ok(cells)
}

/// The runs that may hold cells from the key `from` on and before `to`.
fn runs_between<'a>(
    runs: &'a impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    from: &[u8],
    to: Option<&[u8]>,
) -> Result<redb::Range<'a, &'static [u8], &'static [u8]>> {
    let at = [prefix, run_key(from)].concat();
    let first = runs.range(prefix..=&at[..]).map_err(db)?.next_back();
    let start = match first.transpose().map_err(db)? {
        Some((key, _)) => key.value().to_vec(),
        // While a document is emptied.
        None => at,
    };
    let end = match to {
        Some(to) => [prefix, to].concat(),
        None => [prefix, &[0xff]].concat(),
    };
    runs.range(&start[..]..&end[..]).map_err(db)
}

fn no_first_run() -> Error {
    Error::corrupt("a large document has no first run")
}

/// The flags of the document with this id, without reading its cells.
pub(super) fn flags(read: &ReadTransaction, number: u32, id: &str) -> Result<Flags> {
    let documents = read.open_table(tables::DOCUMENTS).map_err(db)?;
    let bytes = documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
    Ok(Flags::of(bytes.as_ref().map(|bytes| bytes.value())))
}

/// The documents of a collection from the id `from` on, in order, each whole; also those that
/// hold something and show nothing.
pub(super) fn scan(
    read: &ReadTransaction,
    origins: Arc<Origins>,
    number: u32,
    from: &str,
) -> Result<Documents> {
    let start = Bound::Included(tables::document_key(number, from));
    range(read, origins, start, Bound::Excluded((number + 1).to_be_bytes().to_vec()))
}

/// The documents between two keys of the table of documents.
pub(super) fn range(
    read: &ReadTransaction,
    origins: Arc<Origins>,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
) -> Result<Documents> {
    let documents = read.open_table(tables::DOCUMENTS).map_err(db)?;
    let runs = read.open_table(tables::RUNS).map_err(db)?;
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let rows = documents.range_owned::<&[u8]>(bounds).map_err(db)?;
    Ok(Documents { rows, runs, origins, key: Vec::new() })
}

/// Documents of a collection, one by one, as they are at one moment.
pub(super) struct Documents {
    rows: OwnedRange<&'static [u8], &'static [u8]>,
    runs: ReadTable,
    origins: Arc<Origins>,
    /// Where keys of cells are put together.
    key: Vec<u8>,
}

/// A document of a [`Documents`], not yet read.
pub(super) struct Stored {
    key: Guard,
    head: Guard,
}

impl Stored {
    /// Its id.
    pub(super) fn id(&self) -> Result<&str> {
        tables::document_id(self.key.value())
    }

    /// What is kept beside its cells.
    pub(super) fn flags(&self) -> Flags {
        Flags::of(Some(self.head.value()))
    }

    /// Its head, if it is a large one.
    pub(super) fn head(&self) -> Result<Option<Head>> {
        Head::decode(self.head.value())
    }
}

impl Documents {
    /// The next document, or with `reverse` the last one left.
    pub(super) fn step(&mut self, reverse: bool) -> Option<Result<Stored>> {
        let entry = if reverse { self.rows.next_back() } else { self.rows.next() }?;
        Some(entry.map(|(key, head)| Stored { key, head }).map_err(db))
    }

    /// The cells of a document that [`Documents::step`] gave.
    pub(super) fn row(&self, stored: &Stored) -> Result<Row> {
        if stored.head()?.is_none() {
            return decode(stored.head.value(), &self.origins);
        }
        let number = tables::u32_of(&stored.key.value()[..4])?;
        let (id, meter) = (stored.id()?, Meter::default());
        cells_between(&self.runs, &self.origins, number, id, &[], None, &meter).map(Row::of_cells)
    }

    /// The document that [`Documents::step`] gave, if it shows anything.
    pub(super) fn document(
        &mut self,
        collection: &Arc<str>,
        stored: &Stored,
    ) -> Result<Option<Document>> {
        match stored.head()? {
            None => {
                let bytes = stored.head.value();
                Document::of_stored(collection, stored.id()?, bytes, &mut self.key, &self.origins)
            }
            Some(_) => Ok(Document::of(collection, stored.id()?, self.row(stored)?)),
        }
    }

    /// The runs of a large document that [`Documents::step`] gave: their keys and their cells.
    pub(super) fn runs(&self, stored: &Stored) -> Result<Vec<(Vec<u8>, Row)>> {
        let number = tables::u32_of(&stored.key.value()[..4])?;
        let prefix = runs_prefix(number, stored.id()?);
        runs_between(&self.runs, &prefix, &[], None)?
            .map(|run| {
                let (key, bytes) = run.map_err(db)?;
                Ok((key.value()[prefix.len()..].to_vec(), decode(bytes.value(), &self.origins)?))
            })
            .collect()
    }
}

impl Iterator for Documents {
    type Item = Result<(String, Row)>;

    fn next(&mut self) -> Option<Result<(String, Row)>> {
        let stored = self.step(false)?;
        Some(stored.and_then(|stored| Ok((stored.id()?.to_owned(), self.row(&stored)?))))
    }
}

/// The tables of documents as they are at one moment, open for reading.
pub(super) struct Reader {
    documents: ReadTable,
    runs: ReadTable,
    /// As they were then, or later.
    pub(super) origins: Arc<Origins>,
    meter: Arc<Meter>,
}

impl Reader {
    pub(super) fn open(
        read: &ReadTransaction,
        origins: Arc<Origins>,
        meter: Arc<Meter>,
    ) -> Result<Arc<Reader>> {
        let documents = read.open_table(tables::DOCUMENTS).map_err(db)?;
        let runs = read.open_table(tables::RUNS).map_err(db)?;
        Ok(Arc::new(Reader { documents, runs, origins, meter }))
    }

    /// The document with this id as it is handed out; `None` if it shows nothing.
    pub(super) fn get(
        &self,
        collection: &Arc<str>,
        number: u32,
        id: &str,
    ) -> Result<Option<Document>> {
        let bytes = self.documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
        let Some(bytes) = bytes else { return Ok(None) };
        if Head::decode(bytes.value())?.is_none() {
            let key = &mut Vec::new();
            return Document::of_stored(collection, id, bytes.value(), key, &self.origins);
        }
        let meter = Meter::default();
        let cells = cells_between(&self.runs, &self.origins, number, id, &[], None, &meter)?;
        Ok(Document::of(collection, id, Row::of_cells(cells)))
    }

    /// Opens a document to be read in parts. It need not be there.
    pub(super) fn parts(self: &Arc<Self>, number: u32, id: &str) -> Result<Read> {
        let bytes = self.documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
        let Some(bytes) = bytes else { return Ok(Read::Whole(Row::default())) };
        self.meter.note_read();
        if Head::decode(bytes.value())?.is_none() {
            return decode(bytes.value(), &self.origins).map(Read::Whole);
        }
        Ok(Read::Parts(Parts { reader: self.clone(), number, id: id.to_owned() }))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

/// A document that was opened to be read in parts: a small one is whole at once.
pub(super) enum Read {
    Whole(Row),
    Parts(Parts),
}

/// A large document, to be read in parts.
pub(super) struct Parts {
    reader: Arc<Reader>,
    number: u32,
    id: String,
}

impl Source for Parts {
    fn between(&self, from: &[u8], to: Option<&[u8]>) -> Result<Vec<Cell>> {
        let Reader { runs, origins, meter, .. } = &*self.reader;
        cells_between(runs, origins, self.number, &self.id, from, to, meter)
    }
}

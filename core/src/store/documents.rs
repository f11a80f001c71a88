//! Documents: how they lie in the tables of `state.redb`.
//!
//! Whoever reads a document or replaces it whole comes through here and need not know how
//! many rows it takes. Changing one by operations is the waist's ([`apply`](super::apply)).

use std::ops::Bound;
use std::sync::Arc;

use redb::{OwnedAccessGuard, OwnedRange, ReadTransaction, ReadableTable as _};

use super::heads::Origins;
use super::tables::{self, BytesTable, db};
use crate::crdt::{Flags, Row};
use crate::error::Result;

type Guard = OwnedAccessGuard<&'static [u8]>;

/// The document with this id, whole; `None` if nothing of it is there.
pub(super) fn read(
    read: &ReadTransaction,
    origins: &Origins,
    number: u32,
    id: &str,
) -> Result<Option<Row>> {
    let documents = read.open_table(tables::DOCUMENTS).map_err(db)?;
    let bytes = documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
    bytes.map(|bytes| decode(bytes.value(), origins)).transpose()
}

/// As [`read`], in a transaction that writes; with what is kept beside the cells.
pub(super) fn read_in(
    documents: &BytesTable<'_>,
    origins: &Origins,
    number: u32,
    id: &str,
) -> Result<Option<(Row, Flags)>> {
    let bytes = documents.get(&tables::document_key(number, id)[..]).map_err(db)?;
    let read = |bytes: redb::AccessGuard<'_, &'static [u8]>| {
        Ok((decode(bytes.value(), origins)?, Flags::of(Some(bytes.value()))))
    };
    bytes.map(read).transpose()
}

fn decode(bytes: &[u8], origins: &Origins) -> Result<Row> {
    Row::decode(bytes, |number| origins.find(number))
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
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let rows = documents.range_owned::<&[u8]>(bounds).map_err(db)?;
    Ok(Documents { rows, origins })
}

/// Documents of a collection, one by one, as they are at one moment.
pub(super) struct Documents {
    rows: OwnedRange<&'static [u8], &'static [u8]>,
    origins: Arc<Origins>,
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
}

impl Documents {
    /// The next document, or with `reverse` the last one left.
    pub(super) fn step(&mut self, reverse: bool) -> Option<Result<Stored>> {
        let entry = if reverse { self.rows.next_back() } else { self.rows.next() }?;
        Some(entry.map(|(key, head)| Stored { key, head }).map_err(db))
    }

    /// The cells of a document that [`Documents::step`] gave.
    pub(super) fn row(&self, stored: &Stored) -> Result<Row> {
        decode(stored.head.value(), &self.origins)
    }
}

impl Iterator for Documents {
    type Item = Result<(String, Row)>;

    fn next(&mut self) -> Option<Result<(String, Row)>> {
        let stored = self.step(false)?;
        Some(stored.and_then(|stored| Ok((stored.id()?.to_owned(), self.row(&stored)?))))
    }
}

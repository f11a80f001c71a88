//! What documents held before and after a change, for followers who ask for it.
//!
//! The log tells which documents a transaction wrote, and what it wrote, but not what they held
//! before, and with concurrent writers not even what they held after. So where somebody wants to be
//! told, the waist keeps both, as rows, with the change itself: in the same redb transaction, under
//! the transaction's position in the log. It costs a reading and a writing of each document that is
//! changed; so it is kept only if asked for, within a budget, and the oldest goes first.
//!
//! # Invariants
//! 1. What is told was so: at the moment before and the moment after the transaction was applied
//!    here. If that is not known, nothing is told.
//! 2. Recovery applies what the log has again, at the same positions, and so keeps the same again.
//! 3. What is kept of a collection goes with it, and what the log no longer reaches goes with the log.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | change values | position of the transaction 8, which of its documents 4 | collection number 4; 0 and what follows, or 1, its length and it as one Zstandard frame: length of the row before, that row, the row after; a row of no bytes is a document that is not there |
//! | change values | nothing | bytes of all rows, keys included, 8 |

use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

use super::super::document::Document;
use super::super::documents;
use super::super::heads::{Heads, Origins};
use super::super::tables::{self, BytesTable, LazyTable, Writable, db, set};
use super::super::{Inner, Store};
use super::Change;
use crate::compress::{Packer, decompress};
use crate::crdt::Row;
use crate::error::{Error, Result};
use crate::id::Position;
use crate::limits::MAX_CHANGE_VALUE_BYTES;
use crate::wire::{Reader, put_uint};

/// The key of what is counted.
const TALLY: &[u8] = &[];
/// Rows that are shorter are not packed.
const PACK_BYTES: usize = 256;
/// Two rows and the length of one.
const MAX_CONTENT_BYTES: u64 = 2 * MAX_CHANGE_VALUE_BYTES as u64 + 10;

/// What a document held before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeValues {
    /// The document that the transaction found here; `None` if there was none.
    pub before: Option<Document>,
    /// The document that it left; `None` if there was none any more.
    pub after: Option<Document>,
}

impl Store {
    /// Keeps, for up to so many bytes of changes, what documents held before and after: followers
    /// get it by [`Changes::with_values`](super::Changes::with_values). `None`, as in a new store,
    /// keeps nothing and drops what was kept. It is kept in the store, holds for changes from now on,
    /// and costs each of them a reading of the document and a row of the state.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use std::time::Duration;
    /// let store = littoral::Store::open(dir.path())?;
    /// store.set_change_values(Some(16 << 20))?;
    /// let mut changes = store.changes(None).with_values();
    /// let notes = store.collection("notes")?;
    /// notes.set("n1", "title", "Tides")?;
    /// notes.set("n1", "title", "Spring tides")?;
    /// changes.next(Duration::ZERO)?;
    /// let values = changes.next(Duration::ZERO)?.unwrap().values.unwrap();
    /// assert_eq!(values.before.unwrap()["title"], "Tides".into());
    /// assert_eq!(values.after.unwrap()["title"], "Spring tides".into());
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`Closed`](crate::ErrorKind::Closed), [`Poisoned`](crate::ErrorKind::Poisoned), I/O.
    pub fn set_change_values(&self, bytes: Option<u64>) -> Result<()> {
        let budget = bytes.unwrap_or(0);
        self.inner.commit_beside_heads(
            |txn| {
                let mut meta = txn.open_table(tables::META).map_err(db)?;
                set(&mut meta, tables::META_CHANGE_VALUES, &budget.to_be_bytes())?;
                let mut table = txn.open_table(tables::CHANGE_VALUES).map_err(db)?;
                keep_within(&mut table, budget)
            },
            |heads| heads.change_values = budget,
        )
    }

    /// For how many bytes of changes the values are kept; `None` if they are not.
    pub fn change_values(&self) -> Option<u64> {
        Some(self.inner.read_heads().change_values).filter(|budget| *budget > 0)
    }
}

/// The budget that was set; 0 if none was.
pub(in crate::store) fn load(read: &ReadTransaction) -> Result<u64> {
    let bytes = tables::read(read, tables::META, tables::META_CHANGE_VALUES)?;
    bytes.map_or(Ok(0), |bytes| tables::u64_of(&bytes))
}

/// Keeps what documents held, in a batch being applied.
#[derive(Default)]
pub(in crate::store) struct Recorder {
    packer: Packer,
    /// What was added to the table's bytes.
    added: i64,
}

impl Recorder {
    /// The row of a document as it lies here now; empty if there is none, and `None` if it is too
    /// large to be kept.
    pub(in crate::store) fn row(
        documents: &LazyTable<'_>,
        runs: &LazyTable<'_>,
        origins: &Origins,
        number: u32,
        id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let bytes = tables::get(documents, &tables::document_key(number, id))?;
        let bytes = bytes.unwrap_or_default();
        let Some(head) = documents::Head::decode(&bytes)? else {
            return Ok((bytes.len() <= MAX_CHANGE_VALUE_BYTES).then_some(bytes));
        };
        if head.size > MAX_CHANGE_VALUE_BYTES as u64 {
            return Ok(None);
        }
        let row = documents::read_in(documents, runs, origins, number, id)?;
        let number_of = |origin: &_| origins.number(origin).expect("numbered when it was written");
        let row = row.encode(head.flags(), number_of);
        Ok((row.len() <= MAX_CHANGE_VALUE_BYTES).then_some(row))
    }

    /// Keeps the rows of one document of the transaction at a position.
    pub(in crate::store) fn keep(
        &mut self,
        table: &mut LazyTable<'_>,
        (position, at): (Position, usize),
        number: u32,
        before: &[u8],
        after: &[u8],
    ) -> Result<()> {
        let (key, value) = (key(position, at), encode(&mut self.packer, number, before, after));
        let there = table.opened()?.insert(&key[..], &value[..]).map_err(db)?;
        self.added -= there.map_or(0, |there| row_bytes(&key, there.value())) as i64;
        self.added += row_bytes(&key, &value) as i64;
        Ok(())
    }

    /// The batch is applied: what is too much goes.
    pub(in crate::store) fn finish(self, table: &mut LazyTable<'_>, budget: u64) -> Result<()> {
        if self.added == 0 {
            return Ok(());
        }
        let table = table.opened()?;
        let bytes = tally(table)?.saturating_add_signed(self.added);
        set(table, TALLY, &bytes.to_be_bytes())?;
        keep_within(table, budget)
    }
}

fn key(position: Position, at: usize) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&position.0.to_be_bytes());
    key[8..].copy_from_slice(&(at as u32).to_be_bytes());
    key
}

fn row_bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

fn tally(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<u64> {
    tables::get(table, TALLY)?.map_or(Ok(0), |bytes| tables::u64_of(&bytes))
}

/// The oldest go until there are no more bytes than these.
fn keep_within(table: &mut BytesTable<'_>, budget: u64) -> Result<()> {
    let bytes = tally(table)?;
    if bytes > budget {
        // The oldest ones up to here.
        let (mut left, mut last) = (bytes, None);
        for entry in table.range(&[0][..]..).map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            left = left.saturating_sub(row_bytes(key.value(), value.value()));
            last = Some(key.value().to_vec());
            if left <= budget {
                break;
            }
        }
        if let Some(last) = last {
            table.retain_in::<&[u8], _>(&[0][..]..=&last[..], |_, _| false).map_err(db)?;
        }
        set(table, TALLY, &left.to_be_bytes())?;
    }
    Ok(())
}

/// Removes those that `is_needed` does not need, among those before `end`.
fn drop_some(
    table: &mut LazyTable<'_>,
    end: Position,
    is_needed: impl Fn(&[u8]) -> bool,
) -> Result<()> {
    let table = table.opened()?;
    let mut left = tally(table)?;
    if left == 0 {
        return Ok(());
    }
    let end = key(end, 0);
    let retain = |key: &[u8], value: &[u8]| {
        let keeps = is_needed(value);
        left -= if keeps { 0 } else { row_bytes(key, value).min(left) };
        keeps
    };
    table.retain_in::<&[u8], _>(&[0][..]..&end[..], retain).map_err(db)?;
    set(table, TALLY, &left.to_be_bytes())
}

/// The log begins here from now on.
pub(in crate::store) fn prune(table: &mut LazyTable<'_>, start: Position) -> Result<()> {
    drop_some(table, start, |_| false)
}

/// A collection goes from the store.
pub(in crate::store) fn leave(table: &mut LazyTable<'_>, number: u32) -> Result<()> {
    drop_some(table, Position(u64::MAX), |value| !value.starts_with(&number.to_be_bytes()))
}

fn encode(packer: &mut Packer, number: u32, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(before.len() + after.len() + 4);
    put_uint(&mut content, before.len() as u64);
    content.extend_from_slice(before);
    content.extend_from_slice(after);
    let mut value = number.to_be_bytes().to_vec();
    let packed = match content.len() >= PACK_BYTES {
        true => packer.pack(&content).ok().filter(|frame| frame.len() < content.len()),
        false => None,
    };
    match packed {
        None => {
            value.push(0);
            value.extend_from_slice(&content);
        }
        Some(frame) => {
            value.push(1);
            put_uint(&mut value, content.len() as u64);
            value.extend_from_slice(frame);
        }
    }
    value
}

/// What is kept of a change, as rows: before and after.
fn decode(value: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let malformed = || Error::corrupt("what a document held before a change is malformed");
    let (way, rest) = value.get(4..).and_then(<[u8]>::split_first).ok_or_else(malformed)?;
    let content = match way {
        0 => rest.to_vec(),
        1 => {
            let mut reader = Reader::new(rest, "values of a change");
            let length = reader.uint()?;
            if length > MAX_CONTENT_BYTES {
                return Err(malformed());
            }
            decompress(reader.rest(), length as usize).ok_or_else(malformed)?
        }
        _ => return Err(malformed()),
    };
    let mut reader = Reader::new(&content, "values of a change");
    let length = reader.uint()?;
    let rows = reader.rest();
    let length = usize::try_from(length).ok().filter(|length| *length <= rows.len());
    let (before, after) = rows.split_at(length.ok_or_else(malformed)?);
    Ok((before.to_vec(), after.to_vec()))
}

/// Reads all that is kept, for who wants to know whether it can be read; says what is wrong.
pub(in crate::store) fn check(
    read: &ReadTransaction,
    heads: &Heads,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let Some(table) = tables::open_if_there(read, tables::CHANGE_VALUES)? else { return Ok(()) };
    let mut bytes = 0;
    for entry in table.range(&[0][..]..).map_err(db)? {
        let (key, value) = entry.map_err(db)?;
        let (before, after) = decode(value.value())?;
        for row in [before, after].iter().filter(|row| !row.is_empty()) {
            Row::decode(row, |number| heads.origins.find(number))?;
        }
        bytes += row_bytes(key.value(), value.value());
    }
    if bytes != tally(&table)? {
        wrong.push("the bytes of the table of what changed are counted wrongly".to_owned());
    }
    Ok(())
}

impl Inner {
    /// What is known of a change: the one with this number of the transaction at a position.
    pub(super) fn values_of(
        &self,
        (position, at): (Position, usize),
        change: &Change,
    ) -> Result<Option<ChangeValues>> {
        let read = self.database()?.begin_read().map_err(db)?;
        let Some(bytes) = tables::read(&read, tables::CHANGE_VALUES, &key(position, at))? else {
            return Ok(None);
        };
        let (before, after) = decode(&bytes)?;
        let origins = self.read_heads().origins.clone();
        let document = |row: Vec<u8>| -> Result<Option<Document>> {
            if row.is_empty() {
                return Ok(None);
            }
            let row = Row::decode(&row, |number| origins.find(number))?;
            Ok(Document::of(&change.collection, &change.id, row))
        };
        Ok(Some(ChangeValues { before: document(before)?, after: document(after)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lies_as_the_page_says() {
        assert_eq!(key(Position(0x0102), 3), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
        let mut packer = Packer::default();
        let short = encode(&mut packer, 7, b"before", b"after");
        assert_eq!(short, b"\0\0\0\x07\0\x06beforeafter");
        let long = encode(&mut packer, 7, &[5; 300], &[6; 200]);
        assert!(long.starts_with(&[0, 0, 0, 7, 1]) && long.len() < 100);
        for (bytes, rows) in [
            (short, (b"before".to_vec(), b"after".to_vec())),
            (long, (vec![5; 300], vec![6; 200])),
            (encode(&mut packer, 7, b"", b""), (vec![], vec![])),
        ] {
            assert_eq!(decode(&bytes).unwrap(), rows);
            // Whatever becomes of it, reading it ends and takes no more memory than two rows.
            (0..bytes.len()).for_each(|len| drop(decode(&bytes[..len])));
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0xff;
                drop(decode(&other));
            }
        }
        let mut bomb = vec![0, 0, 0, 7, 1];
        put_uint(&mut bomb, u64::MAX);
        assert!(decode(&bomb).is_err());
    }
}

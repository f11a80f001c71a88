//! Former rows: what rows of the state were, before they were changed.
//!
//! The key of one is: which table, 1; the row's key there, each `00` in it followed by `ff`; `00
//! 01`; the tag of the checkpoint that was the newest then, 8. So the order is that of the rows in
//! their tables, and what was kept of one row lies together, the oldest first. The value is `00` if
//! there was no such row, else `01` and the row as it was.

use redb::ReadableTable;

use super::Recording;
use crate::error::{Error, Result};
use crate::store::tables::{self, LazyTable, Writable, db};

const END: [u8; 2] = [0, 1];
const AFTER_ZERO: u8 = 0xff;
const ABSENT: u8 = 0;
const ROW: u8 = 1;

/// Tables of which former rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::store) enum Part {
    /// Key: a name. In all others it begins with the number of a collection.
    Collections = 0,
    Heads = 1,
    Vectors = 2,
    Branches = 3,
    Documents = 4,
    Runs = 5,
}

impl Part {
    fn of(byte: u8) -> Option<Part> {
        use Part::{Branches, Collections, Documents, Heads, Runs, Vectors};
        [Collections, Heads, Vectors, Branches, Documents, Runs].get(usize::from(byte)).copied()
    }
}

/// What all keys of former rows of the table's row at `key` begin with, but for what ends it; as a
/// bound it is below them and above those of all lower keys.
pub(super) fn prefix(part: Part, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 24);
    out.push(part as u8);
    for byte in key {
        out.push(*byte);
        if *byte == 0 {
            out.push(AFTER_ZERO);
        }
    }
    out
}

/// The key of a former row.
pub(super) fn former_key(part: Part, key: &[u8], tag: u64) -> Vec<u8> {
    let mut out = prefix(part, key);
    out.extend_from_slice(&END);
    out.extend_from_slice(&tag.to_be_bytes());
    out
}

/// Which row it was, and its tag, in the key of a former row.
pub(in crate::store) fn split_key(key: &[u8]) -> Result<(Part, Vec<u8>, u64)> {
    let split = || {
        let (part, rest) = key.split_first()?;
        let (rest, tag) = rest.split_last_chunk::<8>()?;
        let escaped = rest.strip_suffix(&END)?;
        let mut row = Vec::with_capacity(escaped.len());
        let mut bytes = escaped.iter();
        while let Some(byte) = bytes.next() {
            row.push(*byte);
            if *byte == 0 && bytes.next() != Some(&AFTER_ZERO) {
                return None;
            }
        }
        Some((Part::of(*part)?, row, u64::from_be_bytes(*tag)))
    };
    split().ok_or_else(|| Error::corrupt("the table of former rows has a malformed key"))
}

/// Reads a key and writes it again, for fuzzing.
pub(in crate::store) fn read_back_key(bytes: &[u8]) {
    if let Ok((part, row, tag)) = split_key(bytes) {
        assert_eq!(former_key(part, &row, tag), bytes, "key of a former row");
    }
}

/// A key, for fuzzing and golden bytes.
pub(in crate::store) fn sample_key() -> Vec<u8> {
    former_key(Part::Documents, &tables::document_key(1, "n1"), 3)
}

/// The number of the collection that a row belongs to; `None` for a collection's name.
pub(super) fn number_of(part: Part, key: &[u8]) -> Option<u32> {
    match part {
        Part::Collections => None,
        _ => key.first_chunk::<4>().map(|number| u32::from_be_bytes(*number)),
    }
}

pub(super) fn value(before: Option<&[u8]>) -> Vec<u8> {
    match before {
        None => vec![ABSENT],
        Some(row) => [&[ROW][..], row].concat(),
    }
}

/// The row in a former row; `None` if there was none.
pub(super) fn row_of(value: &[u8]) -> Result<Option<&[u8]>> {
    match value.split_first() {
        Some((&ABSENT, [])) => Ok(None),
        Some((&ROW, row)) => Ok(Some(row)),
        _ => Err(Error::corrupt("a former row is malformed")),
    }
}

/// A row as it was at the checkpoint with a tag: the one kept under the lowest tag from that on, or
/// else the row as it is.
pub(super) fn row_at(
    former: &impl ReadableTable<&'static [u8], &'static [u8]>,
    live: &impl ReadableTable<&'static [u8], &'static [u8]>,
    tag: u64,
    part: Part,
    key: &[u8],
) -> Result<Option<Vec<u8>>> {
    let (first, last) = (former_key(part, key, tag), former_key(part, key, u64::MAX));
    let kept = former.range(&first[..]..=&last[..]).map_err(db)?.next();
    match kept.transpose().map_err(db)? {
        Some((_, kept)) => row_of(kept.value()).map(|row| row.map(<[u8]>::to_vec)),
        None => tables::get(live, key),
    }
}

/// Keeps rows as they were, as long as there is a checkpoint.
pub(in crate::store) struct Keeper<'a, 'txn> {
    pub(in crate::store) table: &'a mut LazyTable<'txn>,
    pub(in crate::store) recording: Option<Recording>,
}

impl<'txn> Keeper<'_, 'txn> {
    /// Whether what the row at `key` was has to be kept when it changes.
    fn keeps(&self, part: Part, key: &[u8]) -> bool {
        let covers = |recording: Recording| match number_of(part, key) {
            Some(number) => number < recording.below,
            None => true,
        };
        self.recording.is_some_and(covers)
    }

    /// Sets a row.
    pub(in crate::store) fn set(
        &mut self,
        part: Part,
        table: &mut LazyTable<'txn>,
        key: &[u8],
        row: &[u8],
    ) -> Result<()> {
        if !self.keeps(part, key) {
            return tables::set(table, key, row);
        }
        let before = table.opened()?.insert(key, row).map_err(db)?;
        self.keep(part, key, before.as_ref().map(|before| before.value()))
    }

    /// Removes a row, if it is there.
    pub(in crate::store) fn unset(
        &mut self,
        part: Part,
        table: &mut LazyTable<'txn>,
        key: &[u8],
    ) -> Result<()> {
        if !self.keeps(part, key) {
            return tables::unset(table, key);
        }
        let before = table.opened()?.remove(key).map_err(db)?;
        match before {
            Some(before) => self.keep(part, key, Some(before.value())),
            None => Ok(()),
        }
    }

    /// Keeps a row as it was before it changed, unless what it was at the newest checkpoint is
    /// kept already.
    pub(in crate::store) fn keep(
        &mut self,
        part: Part,
        key: &[u8],
        before: Option<&[u8]>,
    ) -> Result<()> {
        let Some(Recording { tag, .. }) = self.recording.filter(|_| self.keeps(part, key)) else {
            return Ok(());
        };
        let (first, last) = (former_key(part, key, tag), former_key(part, key, u64::MAX));
        let known = self.table.range(&first[..]..=&last[..]).map_err(db)?.next();
        if known.transpose().map_err(db)?.is_some() {
            return Ok(());
        }
        tables::set(self.table, &first, &value(before))
    }

    /// Keeps all rows of a table between two keys, which are about to go.
    pub(in crate::store) fn keep_all(
        &mut self,
        part: Part,
        table: &LazyTable<'txn>,
        start: &[u8],
        end: &[u8],
    ) -> Result<()> {
        if !self.keeps(part, start) {
            return Ok(());
        }
        for entry in table.range(start..end).map_err(db)? {
            let (key, row) = entry.map_err(db)?;
            self.keep(part, key.value(), Some(row.value()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_former_rows_are_in_the_order_of_rows_and_read_back() {
        let keys: [&[u8]; 9] = [
            b"",
            b"\0",
            b"\0\0",
            b"\0\x01",
            b"\0\xff",
            b"a",
            b"a\0",
            b"a\0\x01\0\0\0\0\0\0\0\x05",
            b"a\x01",
        ];
        let mut former = Vec::new();
        for key in keys {
            for tag in [1, 5, 256, u64::MAX] {
                let encoded = former_key(Part::Documents, key, tag);
                assert_eq!(split_key(&encoded).unwrap(), (Part::Documents, key.to_vec(), tag));
                former.push(encoded);
            }
        }
        assert!(former.is_sorted());
        for (at, key) in keys.iter().enumerate() {
            let bound = prefix(Part::Documents, key);
            let below = former.iter().filter(|former| **former < bound).count();
            assert_eq!(below, 4 * at, "{key:?}");
        }
        assert!(split_key(b"\x04a\0\x02\0\0\0\0\0\0\0\x01").is_err());
        assert!(split_key(b"\x09a\0\x01\0\0\0\0\0\0\0\x01").is_err());
    }
}

//! The tally: what is known of a table of numbered rows as a whole, and who has to go.
//!
//! It lies in the table itself, under the key that is nothing, below those of all rows.

use redb::{ReadableTable, ReadableTableMetadata};

use crate::error::{Error, Result};
use crate::store::tables::{self, BytesTable, db};

/// The key of the tally.
pub(super) const TALLY: &[u8] = &[];
/// What a row costs beside its value: its key.
pub(super) const KEY_BYTES: u64 = 8;

/// What is known of such a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Bytes of all rows, keys included.
    pub(super) bytes: u64,
    /// The newest number given.
    pub(super) newest: u64,
    /// The newest number whose row is gone.
    pub(super) dropped: u64,
}

/// How much a table may hold.
pub(super) struct Budget {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn read(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Tally> {
        let Some(bytes) = tables::get(table, TALLY)? else { return Ok(Tally::default()) };
        let number = |at: usize| tables::u64_of(bytes.get(at..at + 8).unwrap_or_default());
        match bytes.len() {
            24 => Ok(Tally { bytes: number(0)?, newest: number(8)?, dropped: number(16)? }),
            _ => Err(Error::corrupt("what is counted of a table of the journal is malformed")),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [self.bytes, self.newest, self.dropped].map(u64::to_be_bytes).concat()
    }

    /// Writes a row, new or in the place of one.
    pub(super) fn put(
        &mut self,
        table: &mut BytesTable<'_>,
        number: u64,
        row: &[u8],
    ) -> Result<()> {
        let before = table.insert(&number.to_be_bytes()[..], row).map_err(db)?;
        let before = before.map(|before| KEY_BYTES + before.value().len() as u64);
        self.bytes = self.bytes.saturating_sub(before.unwrap_or(0));
        self.bytes += KEY_BYTES + row.len() as u64;
        Ok(())
    }

    /// Lets the oldest go that are too many, and writes this.
    pub(super) fn keep_within(&mut self, table: &mut BytesTable<'_>, budget: Budget) -> Result<()> {
        // It is among the rows that are counted.
        tables::set(table, TALLY, &self.encode())?;
        let mut rows = table.len().map_err(db)?;
        while rows > budget.rows + 1 || self.bytes > budget.bytes {
            let first = table.range(&[0][..]..).map_err(db)?.next().transpose().map_err(db)?;
            let first = first.map(|(key, row)| (key.value().to_vec(), row.value().len()));
            let Some((number, bytes)) = first else { break };
            tables::unset(table, &number)?;
            self.bytes = self.bytes.saturating_sub(KEY_BYTES + bytes as u64);
            self.dropped = tables::u64_of(&number)?;
            rows -= 1;
        }
        tables::set(table, TALLY, &self.encode())
    }

    /// Reads all rows by `read`, and says what is wrong with them.
    pub(super) fn check(
        table: &impl ReadableTable<&'static [u8], &'static [u8]>,
        noun: &str,
        wrong: &mut Vec<String>,
        mut read: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<Tally> {
        let tally = Tally::read(table)?;
        let mut bytes = 0;
        for entry in table.range(&[0][..]..).map_err(db)? {
            let (key, row) = entry.map_err(db)?;
            let number = tables::u64_of(key.value())?;
            read(number, row.value())?;
            bytes += KEY_BYTES + row.value().len() as u64;
            if number > tally.newest || number <= tally.dropped {
                wrong.push(format!("{noun} has a number that was not given, or that of one gone"));
            }
        }
        if bytes != tally.bytes {
            wrong.push(format!("the bytes of the table with {noun} are counted wrongly"));
        }
        Ok(tally)
    }
}

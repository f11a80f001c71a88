//! Plain redb: a row of MessagePack for each note and nothing else, durable at each commit. And
//! what the disk itself takes for one small append.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use littoral::Result;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::failed;
use super::notes::{Note, id};

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("notes");

/// redb with rows.
pub(super) struct Plain(Database);

impl Plain {
    /// With as much cache as a store has.
    pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<Plain> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path);
        Ok(Plain(database.map_err(broken)?))
    }

    /// Writes rows in one durable commit.
    pub(super) fn put(&self, notes: &[(String, Note)]) -> Result<()> {
        let txn = self.0.begin_write().map_err(broken)?;
        {
            let mut table = txn.open_table(ROWS).map_err(broken)?;
            for (id, note) in notes {
                table.insert(id.as_bytes(), &encode(note)[..]).map_err(broken)?;
            }
        }
        txn.commit().map_err(broken)
    }

    /// Reads a note, changes one field, writes it, durably.
    pub(super) fn set(&self, n: u64, priority: i64) -> Result<()> {
        let note = self.get(n)?;
        self.put(&[(id(n), Note { priority, ..note })])
    }

    /// One note.
    pub(super) fn get(&self, n: u64) -> Result<Note> {
        let table = self.0.begin_read().map_err(broken)?.open_table(ROWS).map_err(broken)?;
        let row = table.get(id(n).as_bytes()).map_err(broken)?;
        let row = row.ok_or_else(|| broken("a row is missing"))?;
        decode(row.value()).ok_or_else(|| broken("a row is damaged"))
    }

    /// Many, in one read transaction.
    pub(super) fn get_many(&self, numbers: &[u64]) -> Result<()> {
        let table = self.0.begin_read().map_err(broken)?.open_table(ROWS).map_err(broken)?;
        for n in numbers {
            let row = table.get(id(*n).as_bytes()).map_err(broken)?;
            let row = row.ok_or_else(|| broken("a row is missing"))?;
            black_box(decode(row.value()));
        }
        Ok(())
    }

    /// All, and how many there are.
    pub(super) fn scan(&self) -> Result<u64> {
        let table = self.0.begin_read().map_err(broken)?.open_table(ROWS).map_err(broken)?;
        let mut count = 0;
        for row in table.iter().map_err(broken)? {
            let (key, row) = row.map_err(broken)?;
            black_box((String::from_utf8(key.value().to_vec()).ok(), decode(row.value())));
            count += 1;
        }
        Ok(count)
    }

    /// Gives free pages back to the disk.
    pub(super) fn compact(&mut self) -> Result<()> {
        while self.0.compact().map_err(broken)? {}
        Ok(())
    }
}

fn broken(err: impl std::fmt::Display) -> littoral::Error {
    failed("measure redb", err)
}

/// MessagePack: an array of the fields in their order. Writing to memory does not fail.
fn encode(note: &Note) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    let Note { title, body, done, priority, tags } = note;
    let written = (|| -> std::result::Result<(), Box<dyn std::error::Error>> {
        rmp::encode::write_array_len(&mut out, 5)?;
        rmp::encode::write_str(&mut out, title)?;
        rmp::encode::write_str(&mut out, body)?;
        rmp::encode::write_bool(&mut out, *done)?;
        rmp::encode::write_sint(&mut out, *priority)?;
        rmp::encode::write_array_len(&mut out, tags.len() as u32)?;
        tags.iter().try_for_each(|tag| Ok(rmp::encode::write_str(&mut out, tag)?))
    })();
    debug_assert!(written.is_ok());
    out
}

fn decode(mut row: &[u8]) -> Option<Note> {
    let row = &mut row;
    rmp::decode::read_array_len(row).ok()?;
    let (title, body) = (text(row)?, text(row)?);
    let done = rmp::decode::read_bool(row).ok()?;
    let priority = rmp::decode::read_int(row).ok()?;
    let count = rmp::decode::read_array_len(row).ok()?;
    let tags = (0..count).map(|_| text(row)).collect::<Option<_>>()?;
    Some(Note { title, body, done, priority, tags })
}

fn text(row: &mut &[u8]) -> Option<String> {
    let length = rmp::decode::read_str_len(row).ok()? as usize;
    let (text, rest) = row.split_at_checked(length)?;
    *row = rest;
    String::from_utf8(text.to_vec()).ok()
}

/// A file that small records are appended to, each durable.
pub(super) struct Append(File);

impl Append {
    pub(super) fn open(path: &Path) -> Result<Append> {
        File::create(path).map(Append).map_err(|err| failed("make a file", err))
    }

    pub(super) fn append(&mut self) -> Result<()> {
        let written = self.0.write_all(&[7; 256]).and_then(|()| self.0.sync_data());
        written.map_err(|err| failed("append to a file", err))
    }
}

#[cfg(test)]
mod tests {
    use super::super::notes::note;
    use super::*;

    #[test]
    fn rows_hold_the_notes() {
        for n in 0..100 {
            assert_eq!(decode(&encode(&note(n))), Some(note(n)));
        }
        assert_eq!(decode(&encode(&note(1))[..50]), None);
    }
}

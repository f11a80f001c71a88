//! The stores that are measured, each doing the same work in the way that is natural to it.
//!
//! Durable means durable: redb commits with its default, SQLite with WAL and `synchronous=FULL`.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use littoral::{Collection, ScanRange, Store};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use rusqlite::{Connection, params};

use crate::Result;
use crate::work::{Note, id};

/// Bytes of memory for each store's cache of pages.
const CACHE_BYTES: usize = 256 << 20;

/// Littoral.
pub(crate) struct Littoral {
    pub(crate) store: Store,
    pub(crate) notes: Collection,
}

impl Littoral {
    pub(crate) fn open(dir: &Path) -> Result<Littoral> {
        let options = littoral::Options::new().cache_bytes(CACHE_BYTES);
        let store = options.open(dir.join("littoral"))?;
        Ok(Littoral { notes: store.collection("notes")?, store })
    }

    pub(crate) fn load(&self, batch: &[(String, littoral::Fields)]) -> Result<()> {
        Ok(self.store.write(|txn| batch.iter().try_for_each(|(id, f)| txn.put("notes", id, f)))?)
    }

    pub(crate) fn get(&self, id: &str) -> Result<()> {
        black_box(self.notes.get(id)?.ok_or("every note is there")?);
        Ok(())
    }

    pub(crate) fn scan(&self) -> Result<u64> {
        let mut count = 0;
        for document in self.notes.scan(&ScanRange::default())? {
            black_box(document?);
            count += 1;
        }
        Ok(count)
    }

    pub(crate) fn set(&self, id: &str, priority: i64) -> Result<()> {
        Ok(self.notes.set(id, "priority", priority)?)
    }
}

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("notes");

/// redb with a row of MessagePack for each note, and nothing else.
pub(crate) struct Redb(Database);

impl Redb {
    pub(crate) fn open(dir: &Path) -> Result<Redb> {
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create(dir.join("rows.redb"))?;
        Ok(Redb(database))
    }

    pub(crate) fn load(&self, batch: &[(String, Note)]) -> Result<()> {
        let txn = self.0.begin_write()?;
        {
            let mut table = txn.open_table(ROWS)?;
            for (id, note) in batch {
                table.insert(id.as_bytes(), &rmp_serde::to_vec_named(note)?[..])?;
            }
        }
        Ok(txn.commit()?)
    }

    /// All of `ids` in one read transaction.
    pub(crate) fn get_many(&self, ids: &[String]) -> Result<()> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        for id in ids {
            let row = table.get(id.as_bytes())?.ok_or("every note is there")?;
            black_box(rmp_serde::from_slice::<Note>(row.value())?);
        }
        Ok(())
    }

    /// One in a read transaction of its own: sees what was committed just before.
    pub(crate) fn get(&self, id: &str) -> Result<()> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        let row = table.get(id.as_bytes())?.ok_or("every note is there")?;
        black_box(rmp_serde::from_slice::<Note>(row.value())?);
        Ok(())
    }

    pub(crate) fn scan(&self) -> Result<u64> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        let mut count = 0;
        for row in table.iter()? {
            let (key, row) = row?;
            black_box(String::from_utf8(key.value().to_vec())?);
            black_box(rmp_serde::from_slice::<Note>(row.value())?);
            count += 1;
        }
        Ok(count)
    }

    pub(crate) fn set(&self, id: &str, priority: i64) -> Result<()> {
        let txn = self.0.begin_write()?;
        {
            let mut table = txn.open_table(ROWS)?;
            let row = table.get(id.as_bytes())?.ok_or("every note is there")?;
            let mut note: Note = rmp_serde::from_slice(row.value())?;
            drop(row);
            note.priority = priority;
            table.insert(id.as_bytes(), &rmp_serde::to_vec_named(&note)?[..])?;
        }
        Ok(txn.commit()?)
    }
}

/// SQLite with a row for each note: four columns, and the tags as text.
pub(crate) struct Sqlite(Connection);

impl Sqlite {
    pub(crate) fn open(dir: &Path) -> Result<Sqlite> {
        let connection = Connection::open(dir.join("notes.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -(CACHE_BYTES as i64 >> 10))?;
        connection.execute_batch(
            "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, done INTEGER,
             priority INTEGER, tags TEXT) WITHOUT ROWID",
        )?;
        Ok(Sqlite(connection))
    }

    pub(crate) fn load(&mut self, batch: &[(String, Note)]) -> Result<()> {
        let txn = self.0.transaction()?;
        {
            let mut insert =
                txn.prepare_cached("INSERT INTO notes VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (id, note) in batch {
                let tags = note.tags.iter().map(String::as_str).collect::<Vec<_>>().join(",");
                let Note { title, body, done, priority, .. } = note;
                insert.execute(params![id, title, body, done, priority, tags])?;
            }
        }
        Ok(txn.commit()?)
    }

    /// All of `ids` in one read transaction.
    pub(crate) fn get_many(&mut self, ids: &[String]) -> Result<()> {
        let txn = self.0.transaction()?;
        {
            let mut select = txn.prepare_cached("SELECT * FROM notes WHERE id = ?1")?;
            for id in ids {
                black_box(select.query_row([id], read)?);
            }
        }
        Ok(txn.commit()?)
    }

    pub(crate) fn scan(&self) -> Result<u64> {
        let mut select = self.0.prepare("SELECT * FROM notes ORDER BY id")?;
        let mut count = 0;
        for note in select.query_map([], read)? {
            black_box(note?);
            count += 1;
        }
        Ok(count)
    }

    pub(crate) fn set(&self, id: &str, priority: i64) -> Result<()> {
        let mut update = self.0.prepare_cached("UPDATE notes SET priority = ?2 WHERE id = ?1")?;
        update.execute(params![id, priority])?;
        Ok(())
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Note)> {
    let tags: String = row.get(5)?;
    let note = Note {
        title: row.get(1)?,
        body: row.get(2)?,
        done: row.get(3)?,
        priority: row.get(4)?,
        tags: tags.split(',').map(str::to_owned).collect(),
    };
    Ok((row.get(0)?, note))
}

/// What the disk allows: appending as many bytes as a small transaction has, and one fdatasync.
pub(crate) struct Append(File);

impl Append {
    pub(crate) fn open(dir: &Path) -> Result<Append> {
        Ok(Append(File::create(dir.join("append"))?))
    }

    pub(crate) fn append(&mut self) -> Result<()> {
        self.0.write_all(&[7; 256])?;
        Ok(self.0.sync_data()?)
    }
}

/// The ids of these notes.
pub(crate) fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(id).collect()
}

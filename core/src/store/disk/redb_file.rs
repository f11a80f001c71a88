//! redb over a [`File`], so that a simulated disk can carry it too.
//!
//! redb asks for locks on ranges of bytes and, refused, for one on the whole file: only that
//! one is offered, which is what a single writing process needs. redb calls `close` exactly
//! once and syncs before it where it must; closing only gives the lock back.
//!
//! A database that is dropped makes its last commits durable, also those that were not to be.
//! After a failed write of the log that would put the state ahead of the log, and the store
//! would not open again: so its owner can freeze the file.
//!
//! After a read or a write that failed, redb refuses everything until it is opened again: so the
//! owner can ask whether one has.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use redb::{BackendError, StorageBackend};

use super::File;
use crate::error::Shut;

/// A file as redb's storage.
pub struct RedbFile {
    file: Arc<dyn File>,
    locked: AtomicBool,
    frozen: Freeze,
    written: Written,
}

/// Bytes that redb has written to its file since it was opened. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<AtomicU64>);

impl Written {
    /// How many there are.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Once it is set, redb can change its file no more. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Freeze(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    frozen: AtomicBool,
    failed: OnceLock<String>,
}

impl Freeze {
    /// Refuses every change from now on.
    pub fn set(&self) {
        self.0.frozen.store(true, Ordering::Release);
    }

    /// What has failed, if something has: redb is of no use any more.
    pub fn failed(&self) -> Option<&str> {
        self.0.failed.get().map(String::as_str)
    }

    /// The first failure tells. That a store which was suspended has closed the file is none.
    fn note<T>(&self, what: &str, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|err| {
            if !Shut::caused(err) {
                let _ = self.0.failed.set(format!("could not {what} state.redb: {err}"));
            }
        })
    }
}

impl RedbFile {
    /// Lets redb keep its database in `file`, until `frozen` is set.
    pub fn new(file: Arc<dyn File>, frozen: Freeze) -> RedbFile {
        let written = Written::default();
        RedbFile { file, locked: AtomicBool::new(false), frozen, written }
    }

    /// Adds what is written to this count.
    pub fn counting(mut self, written: Written) -> RedbFile {
        self.written = written;
        self
    }

    fn check_thawed(&self) -> io::Result<()> {
        match self.frozen.0.frozen.load(Ordering::Acquire) {
            true => Err(io::Error::other("the store refuses writes after a failed commit")),
            false => Ok(()),
        }
    }

    fn release(&self) -> io::Result<()> {
        match self.locked.swap(false, Ordering::AcqRel) {
            true => self.file.unlock(),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for RedbFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedbFile").field(&self.file).finish()
    }
}

impl StorageBackend for RedbFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.frozen.note("read", self.file.read_at(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_thawed()?;
        self.frozen.note("resize", self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_thawed()?;
        self.frozen.note("sync", self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_thawed()?;
        self.written.0.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.frozen.note("write", self.file.write_at(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.release()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if !is_whole(start, end) {
            return Err(BackendError::Unsupported);
        }
        let locked = self.file.try_lock()?;
        if locked {
            self.locked.store(true, Ordering::Release);
        }
        Ok(locked)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match is_whole(start, end) {
            true => Ok(self.release()?),
            false => Err(BackendError::Unsupported),
        }
    }
}

fn is_whole(start: Bound<u64>, end: Bound<u64>) -> bool {
    matches!(start, Bound::Unbounded | Bound::Included(0)) && end == Bound::Unbounded
}

#[cfg(test)]
mod tests {
    use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition};

    use super::*;
    use crate::store::disk::{Disk, MemDisk, RealDisk};

    const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("t");

    fn open(disk: &dyn Disk) -> Result<Database, DatabaseError> {
        let file = disk.open("state.redb", true).unwrap();
        Database::builder().create_with_backend(RedbFile::new(file, Freeze::default()))
    }

    fn write(db: &Database, key: u64, durable: bool) -> Result<(), redb::Error> {
        let mut txn = db.begin_write()?;
        if !durable {
            txn.set_durability(redb::Durability::None)?;
        } else {
            txn.set_two_phase_commit(true);
            txn.set_quick_repair(true);
        }
        txn.open_table(TABLE)?.insert(key, vec![key as u8; 3000].as_slice())?;
        Ok(txn.commit()?)
    }

    fn keys(db: &Database) -> Vec<u64> {
        use redb::ReadableTable;
        let table = db.begin_read().unwrap().open_table(TABLE).unwrap();
        table
            .iter()
            .unwrap()
            .map(|row| {
                let (key, value) = row.unwrap();
                assert_eq!(value.value(), vec![key.value() as u8; 3000]);
                key.value()
            })
            .collect()
    }

    /// redb says so once, wherever that was, and refuses everything from then on: who has not
    /// heard it must be able to ask.
    #[test]
    fn whatever_failed_is_known_afterwards() {
        let disk = MemDisk::new();
        for fails in [MemDisk::fail_after, MemDisk::full_after, |disk: &MemDisk, calls| {
            disk.fail_one_sync_after(calls, false);
        }] {
            let freeze = Freeze::default();
            let file = RedbFile::new(disk.open("state.redb", true).unwrap(), freeze.clone());
            file.set_len(8).unwrap();
            assert_eq!(freeze.failed(), None);
            fails(&disk, 0);
            let _ = (file.write(0, &[1; 8]), file.sync_data());
            disk.fail_no_more();
            assert!(freeze.failed().is_some());
        }
    }

    #[test]
    fn durable_commits_survive_any_power_cut() {
        let disk = MemDisk::new();
        let db = open(&disk).unwrap();
        disk.sync_dir("").unwrap();
        for key in 0..20 {
            write(&db, key, true).unwrap();
            write(&db, 100 + key, false).unwrap();
        }
        for seed in 0..40 {
            let mut db = open(&disk.power_cut(seed)).unwrap();
            assert!(db.check_integrity().unwrap());
            // Everything but the last transaction, which was not durable, and maybe that too.
            let found = keys(&db);
            assert!(found.len() >= 39, "seed {seed}: {found:?}");
            write(&db, 1000, true).unwrap();
        }
        assert_eq!(keys(&open(&disk.power_cut_all_lost()).unwrap()).len(), 39);
    }

    #[test]
    fn a_failing_disk_fails_the_commit_and_keeps_earlier_ones() {
        for n in 0..12 {
            let disk = MemDisk::new();
            let db = open(&disk).unwrap();
            disk.sync_dir("").unwrap();
            write(&db, 1, true).unwrap();
            disk.fail_after(n);
            let failed = write(&db, 2, true).is_err();
            drop(db);
            for seed in 0..8 {
                let found = keys(&open(&disk.power_cut(seed)).unwrap());
                assert!(found == [1, 2] || failed && found == [1], "n {n} seed {seed}: {found:?}");
            }
        }
    }

    #[test]
    fn a_second_open_is_refused_until_the_first_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let disks: [Box<dyn Disk>; 2] =
            [Box::new(MemDisk::new()), Box::new(RealDisk::new(dir.path().to_owned()))];
        for disk in disks {
            let db = open(&*disk).unwrap();
            write(&db, 1, true).unwrap();
            assert!(matches!(open(&*disk), Err(DatabaseError::DatabaseAlreadyOpen)));
            drop(db);
            assert_eq!(keys(&open(&*disk).unwrap()), [1]);
        }
    }
}

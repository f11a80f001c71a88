//! A disk that can be shut: every file that was opened through it is closed then.
//!
//! A store that is suspended must have nothing open, whoever may still hold a view of it or is in
//! the middle of reading. So its files are opened through a valve. Shutting it waits for the calls
//! that are in a file at that moment, closes the files under their holders' feet, and fails what
//! they try afterwards, also once the valve is open again: who wants a file then opens it anew.
//!
//! Does not know: what the files are, who reads them, and why it is shut.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};

use super::{Disk, File};
use crate::error::Shut;

/// Another disk, behind a valve.
#[derive(Debug)]
pub struct Valve {
    under: Arc<dyn Disk>,
    /// Held by whoever uses the disk.
    shut: RwLock<bool>,
    open: Arc<Mutex<Open>>,
}

/// The files that are open, by number.
#[derive(Debug, Default)]
struct Open {
    last: u64,
    files: BTreeMap<u64, Weak<ValveFile>>,
}

impl Valve {
    /// `under`, behind a valve that is open.
    pub fn new(under: Arc<dyn Disk>) -> Valve {
        Valve { under, shut: RwLock::new(false), open: Arc::default() }
    }

    /// Closes every file, after the calls that are in it, and lets nobody use the disk.
    pub fn shut(&self) {
        *self.shut.write().unwrap_or_else(PoisonError::into_inner) = true;
        let files: Vec<Arc<ValveFile>> =
            lock(&self.open).files.values().filter_map(Weak::upgrade).collect();
        for file in files {
            *file.file.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Lets the disk be used again. What was closed stays closed.
    pub fn reopen(&self) {
        *self.shut.write().unwrap_or_else(PoisonError::into_inner) = false;
    }

    fn pass(&self) -> io::Result<RwLockReadGuard<'_, bool>> {
        let shut = self.shut.read().unwrap_or_else(PoisonError::into_inner);
        if *shut { Err(Shut.into()) } else { Ok(shut) }
    }
}

impl Disk for Valve {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        let _passing = self.pass()?;
        let file = self.under.open(name, create)?;
        let mut open = lock(&self.open);
        open.last += 1;
        let number = open.last;
        let file = RwLock::new(Some(file));
        let file = Arc::new(ValveFile { number, file, open: self.open.clone() });
        open.files.insert(number, Arc::downgrade(&file));
        Ok(file)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let _passing = self.pass()?;
        self.under.list(dir)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let _passing = self.pass()?;
        self.under.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let _passing = self.pass()?;
        self.under.rename(from, to)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let _passing = self.pass()?;
        self.under.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let _passing = self.pass()?;
        self.under.sync_dir(dir)
    }

    fn machine(&self) -> Option<String> {
        self.under.machine()
    }
}

#[derive(Debug)]
struct ValveFile {
    number: u64,
    file: RwLock<Option<Arc<dyn File>>>,
    open: Arc<Mutex<Open>>,
}

impl ValveFile {
    /// Uses the file, which is not closed meanwhile.
    fn with<T>(&self, call: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        call(&**file.as_ref().ok_or(Shut)?)
    }
}

impl Drop for ValveFile {
    fn drop(&mut self) {
        lock(&self.open).files.remove(&self.number);
    }
}

impl File for ValveFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|file| file.read_at(offset, out))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|file| file.write_at(offset, bytes))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|file| file.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|file| file.sync_data())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.with(|file| file.try_lock())
    }

    fn unlock(&self) -> io::Result<()> {
        self.with(|file| file.unlock())
    }

    fn identity(&self) -> Option<u64> {
        self.with(|file| Ok(file.identity())).ok().flatten()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::MemDisk;
    use super::*;

    #[test]
    fn a_file_of_before_stays_closed_and_its_lock_is_free() {
        let disk = MemDisk::new();
        let valve = Valve::new(Arc::new(disk.clone()));
        let before = valve.open("f", true).unwrap();
        before.write_at(0, b"tide").unwrap();
        assert!(before.try_lock().unwrap());
        assert!(!disk.open("f", false).unwrap().try_lock().unwrap());
        valve.shut();
        let failed = before.read_at(0, &mut [0; 4]).unwrap_err();
        assert!(Shut::caused(&failed) && Shut::caused(&valve.list("").unwrap_err()));
        assert!(!Shut::caused(&io::Error::other("something else")));
        assert!(disk.open("f", false).unwrap().try_lock().unwrap());
        valve.reopen();
        assert!(before.len().is_err());
        let mut out = [0; 4];
        let after = valve.open("f", false).unwrap();
        after.read_at(0, &mut out).unwrap();
        assert_eq!(&out, b"tide");
        drop((before, after));
        assert!(lock(&valve.open).files.is_empty());
    }
}

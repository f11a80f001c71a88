//! A disk that is looked at and never changed: what is written stays in memory.
//!
//! A store that is in doubt must not be changed by looking at it: opening one cuts a torn tail
//! and applies what the state has not. Here both happen in memory, over files that are opened
//! for reading alone. What is kept is the pages that were written: after a crash that is what
//! recovery applies, which is bounded (see [`limits`](crate::limits)).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, File};

const PAGE_BYTES: u64 = 4096;

/// Another disk, with changes laid over it that go no further.
#[derive(Debug)]
pub struct LookDisk {
    under: Arc<dyn Disk>,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    opened: BTreeMap<String, Arc<LookFile>>,
    removed: BTreeSet<String>,
}

impl LookDisk {
    /// Looks at `under`.
    pub fn new(under: Arc<dyn Disk>) -> LookDisk {
        LookDisk { under, names: Mutex::default() }
    }
}

impl Disk for LookDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        let mut names = lock(&self.names);
        if let Some(file) = names.opened.get(name) {
            return Ok(file.clone());
        }
        let under = match names.removed.contains(name) {
            true => Err(io::ErrorKind::NotFound.into()),
            false => self.under.open(name, false),
        };
        let file = match under {
            Ok(file) => LookFile::over(file)?,
            Err(err) if create && err.kind() == io::ErrorKind::NotFound => LookFile::default(),
            Err(err) => return Err(err),
        };
        let file = Arc::new(file);
        names.opened.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let names = lock(&self.names);
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut found: BTreeSet<String> = match self.under.list(dir) {
            Ok(found) => found.into_iter().collect(),
            Err(err) if err.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(err) => return Err(err),
        };
        let inside = |name: &String| name.strip_prefix(&prefix).map(str::to_owned);
        found.extend(names.opened.keys().filter_map(inside).filter(|name| !name.contains('/')));
        for name in names.removed.iter().filter_map(inside) {
            found.remove(&name);
        }
        Ok(found.into_iter().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut names = lock(&self.names);
        names.opened.remove(name);
        names.removed.insert(name.to_owned());
        Ok(())
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn machine(&self) -> Option<String> {
        self.under.machine()
    }
}

#[derive(Debug, Default)]
struct LookFile {
    under: Option<Arc<dyn File>>,
    changes: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    len: u64,
    /// What is below counts up to here: the shortest that the file has been.
    under_len: u64,
    written: BTreeMap<u64, Box<[u8]>>,
}

impl LookFile {
    fn over(under: Arc<dyn File>) -> io::Result<LookFile> {
        let len = under.len()?;
        let changes = Mutex::new(Pages { len, under_len: len, written: BTreeMap::new() });
        Ok(LookFile { under: Some(under), changes })
    }

    /// Fills `out` with what lies below, and zeros behind its end.
    fn read_under(&self, pages: &Pages, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = pages.under_len.saturating_sub(offset).min(out.len() as u64) as usize;
        let (below, behind) = out.split_at_mut(there);
        behind.fill(0);
        match &self.under {
            Some(under) if there > 0 => under.read_at(offset, below),
            _ => Ok(()),
        }
    }
}

impl File for LookFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let pages = lock(&self.changes);
        let end = offset.checked_add(out.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > pages.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_under(&pages, offset, out)?;
        for (number, page) in pages.written.range(offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES)) {
            let start = number * PAGE_BYTES;
            let (from, to) = (start.max(offset), (start + PAGE_BYTES).min(end));
            let inside = &page[(from - start) as usize..(to - start) as usize];
            out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(inside);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pages = lock(&self.changes);
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let numbers = match bytes.is_empty() {
            true => 0..0,
            false => offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES),
        };
        for number in numbers {
            let start = number * PAGE_BYTES;
            if !pages.written.contains_key(&number) {
                let mut page = vec![0; PAGE_BYTES as usize].into_boxed_slice();
                self.read_under(&pages, start, &mut page)?;
                pages.written.insert(number, page);
            }
            let page = pages.written.get_mut(&number).expect("it was put there");
            let (from, to) = (start.max(offset), (start + PAGE_BYTES).min(end));
            page[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&bytes[(from - offset) as usize..(to - offset) as usize]);
        }
        pages.len = pages.len.max(end);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.changes).len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut pages = lock(&self.changes);
        if len < pages.len {
            pages.under_len = pages.under_len.min(len);
            pages.written.split_off(&len.div_ceil(PAGE_BYTES));
            if let Some(page) = pages.written.get_mut(&(len / PAGE_BYTES)) {
                page[(len % PAGE_BYTES) as usize..].fill(0);
            }
        }
        pages.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether somebody has the store open is asked elsewhere; here nobody can be disturbed.
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> Option<u64> {
        self.under.as_ref().and_then(|under| under.identity())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::MemDisk;
    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Write(u64, Vec<u8>),
        Cut(u64),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let write = (0u64..20_000, prop::collection::vec(1u8.., 0..9000));
        let act = prop_oneof![
            write.prop_map(|(at, bytes)| Act::Write(at, bytes)),
            (0u64..20_000).prop_map(Act::Cut)
        ];
        prop::collection::vec(act, 0..8)
    }

    proptest! {
        #[test]
        fn a_file_looked_at_reads_like_one_that_was_changed_and_is_not(acts in acts()) {
            let disk = MemDisk::new();
            let before = vec![9; 10_000];
            disk.open("f", true).unwrap().write_at(0, &before).unwrap();
            let plain = MemDisk::new().open("f", true).unwrap();
            plain.write_at(0, &before).unwrap();
            let look = LookDisk::new(Arc::new(disk.clone())).open("f", false).unwrap();
            for act in acts {
                for file in [&look, &plain] {
                    match &act {
                        Act::Write(at, bytes) => file.write_at(*at, bytes).unwrap(),
                        Act::Cut(len) => file.set_len(*len).unwrap(),
                    }
                }
                let len = plain.len().unwrap();
                prop_assert_eq!(look.len().unwrap(), len);
                let (mut a, mut b) = (vec![0; len as usize], vec![0; len as usize]);
                look.read_at(0, &mut a).unwrap();
                plain.read_at(0, &mut b).unwrap();
                prop_assert!(a == b);
                prop_assert!(look.read_at(1, &mut a).is_err() || len == 0);
            }
            let mut now = vec![0; before.len()];
            disk.open("f", false).unwrap().read_at(0, &mut now).unwrap();
            prop_assert!(now == before);
        }
    }

    #[test]
    fn names_made_and_removed_are_so_only_for_who_looks() {
        let disk = MemDisk::new();
        disk.create_dir("log").unwrap();
        disk.open("log/a", true).unwrap();
        let look = LookDisk::new(Arc::new(disk.clone()));
        assert!(look.open("log/b", false).is_err());
        look.open("log/b", true).unwrap();
        look.open("state", true).unwrap();
        look.remove("log/a").unwrap();
        assert_eq!(look.list("log").unwrap(), ["b"]);
        assert_eq!(look.list("").unwrap(), ["state"]);
        assert!(look.open("log/a", false).is_err());
        assert_eq!(disk.list("log").unwrap(), ["a"]);
    }
}

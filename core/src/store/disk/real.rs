//! The disk of the operating system.
//!
//! Reads and writes carry their offset, so that handles are shared between threads without
//! a lock. On Windows a directory can't be synced: NTFS journals names by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, File};

/// The files below a directory of the operating system.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: PathBuf,
    read_only: bool,
}

impl RealDisk {
    /// The files below `root`, which [`Disk::create_dir`] of `""` makes if it is missing.
    pub fn new(root: PathBuf) -> RealDisk {
        RealDisk { root, read_only: false }
    }

    /// The same, opening files for reading alone: for whoever looks at a store that it must not
    /// change, or may not.
    pub fn read_only(root: PathBuf) -> RealDisk {
        RealDisk { root, read_only: true }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &str) -> PathBuf {
        match name {
            "" => self.root.clone(),
            name => self.root.join(name),
        }
    }
}

impl Disk for RealDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        let write = !self.read_only;
        options.read(true).write(write).create(create && write).truncate(false);
        Ok(Arc::new(RealFile(options.open(self.path(name))?)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(dir))? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if let (false, Ok(name)) =
                (entry.file_type()?.is_dir(), entry.file_name().into_string())
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        match fs::create_dir(self.path(dir)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.path(dir).is_dir() => Ok(()),
            other => other,
        }
    }

    #[cfg(not(windows))]
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.path(dir))?.sync_all()
    }

    #[cfg(windows)]
    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn machine(&self) -> Option<String> {
        let name = fs::read_to_string("/etc/machine-id").ok()?;
        let name = name.trim();
        // A container that was never given one has nothing there, or this word.
        (!name.is_empty() && name != "uninitialized").then(|| name.to_owned())
    }
}

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    #[cfg(unix)]
    fn identity(&self) -> Option<u64> {
        Some(std::os::unix::fs::MetadataExt::ino(&self.0.metadata().ok()?))
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, out, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.0, out, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => (offset, out) = (offset + n as u64, &mut out[n..]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => (offset, bytes) = (offset + n as u64, &bytes[n..]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_listed_read_cut_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().join("store"));
        disk.create_dir("").unwrap();
        disk.create_dir("log").unwrap();
        disk.create_dir("log").unwrap();
        assert_eq!(disk.open("log/a", false).unwrap_err().kind(), io::ErrorKind::NotFound);
        let b = disk.open("log/b", true).unwrap();
        disk.open("log/a", true).unwrap();
        b.write_at(3, b"xyz").unwrap();
        b.sync_data().unwrap();
        disk.sync_dir("log").unwrap();
        assert_eq!(disk.list("log").unwrap(), ["a", "b"]);
        assert_eq!(disk.list("").unwrap(), [""; 0]);
        let mut out = [9; 6];
        b.read_at(0, &mut out).unwrap();
        assert_eq!(&out, b"\0\0\0xyz");
        assert_eq!(b.read_at(1, &mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        b.set_len(4).unwrap();
        assert_eq!(b.len().unwrap(), 4);
        disk.rename("log/b", "log/a").unwrap();
        disk.rename("log", "old").unwrap();
        assert_eq!(disk.list("old").unwrap(), ["a"], "in the place of what was there");
        assert_eq!(disk.open("old/a", false).unwrap().len().unwrap(), 4);
        disk.remove("old/a").unwrap();
        assert_eq!(disk.list("old").unwrap(), [""; 0]);
    }

    #[test]
    fn a_lock_excludes_a_second_handle_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().to_owned());
        let (a, b) = (disk.open("x", true).unwrap(), disk.open("x", true).unwrap());
        assert!(a.try_lock().unwrap());
        assert!(!b.try_lock().unwrap());
        a.unlock().unwrap();
        assert!(b.try_lock().unwrap());
        drop(b);
        assert!(a.try_lock().unwrap());
    }
}

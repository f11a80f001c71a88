//! A disk in memory that never fails and keeps nothing apart: fast enough to fuzz whole stores.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use littoral::store::disk::{Disk, File};

/// A disk. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct RamDisk(Arc<Mutex<BTreeMap<String, Arc<RamFile>>>>);

#[derive(Debug, Default)]
struct RamFile(Mutex<Vec<u8>>);

impl RamDisk {
    fn files<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Arc<RamFile>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The names and contents of all files in the log's directory.
    pub(super) fn log(&self) -> Vec<(String, Vec<u8>)> {
        self.files(|files| {
            let log = files.iter().filter(|(name, _)| name.starts_with("log/"));
            log.map(|(name, file)| (name.clone(), file.bytes(|bytes| bytes.clone()))).collect()
        })
    }
}

impl RamFile {
    fn bytes<T>(&self, look: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Disk for RamDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        self.files(|files| {
            if !create && !files.contains_key(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let file: Arc<RamFile> = files.entry(name.to_owned()).or_default().clone();
            Ok(file as Arc<dyn File>)
        })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let inside = |name: &String| Some(name.strip_prefix(dir)?.strip_prefix('/')?.to_owned());
        Ok(self.files(|files| files.keys().filter_map(inside).collect()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files(|files| files.remove(name));
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files(|files| {
            let moved = |name: &str| match name.strip_prefix(from) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
                _ => name.to_owned(),
            };
            *files = std::mem::take(files)
                .into_iter()
                .map(|(name, file)| (moved(&name), file))
                .collect();
        });
        Ok(())
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl File for RamFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes(|bytes| {
            let part = bytes.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
            out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        self.bytes(|bytes| {
            let end = offset as usize + new.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset as usize..end].copy_from_slice(new);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes(|bytes| bytes.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes(|bytes| bytes.resize(len as usize, 0));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}

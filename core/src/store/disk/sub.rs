//! A directory of a disk as a disk of its own.

use std::io;
use std::sync::Arc;

use super::{Disk, File};

/// What lies in a directory of another disk.
#[derive(Debug, Clone)]
pub struct SubDisk {
    of: Arc<dyn Disk>,
    dir: String,
}

impl SubDisk {
    /// The directory `dir` of a disk, which is there.
    pub fn new(of: Arc<dyn Disk>, dir: &str) -> SubDisk {
        SubDisk { of, dir: dir.to_owned() }
    }

    fn at(&self, name: &str) -> String {
        match name {
            "" => self.dir.clone(),
            name => format!("{}/{name}", self.dir),
        }
    }
}

impl Disk for SubDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        self.of.open(&self.at(name), create)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.of.list(&self.at(dir))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.of.remove(&self.at(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.of.rename(&self.at(from), &self.at(to))
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.of.create_dir(&self.at(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.of.sync_dir(&self.at(dir))
    }

    fn machine(&self) -> Option<String> {
        self.of.machine()
    }
}

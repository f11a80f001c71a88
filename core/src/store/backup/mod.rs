//! Backups: all that a store holds at one moment, in a file, and a store made of one.
//!
//! ```text
//!   store                        file                            new store
//!   one read    ── frames ──▶    read back and held   ── as ──▶  another node, which
//!   transaction    beside it     against the moment,  snapshots  holds the same
//!                                then renamed                    documents and vectors
//! ```
//!
//! A backup is a file of the form that bundles have, with a snapshot of every collection; its bytes
//! are in [`txn::bundle`](crate::txn::bundle). What sets it apart from a bundle of snapshots is that
//! they are of *one* moment, with the roster and what the store was told, and that who restores it
//! needs nobody to believe.
//!
//! # Invariants
//! 1. What is written was durable before, and own transactions were marked as handed out (rules 9
//!    and 10): whoever restores it holds them under their names.
//! 2. No secret of the node is in it. A restored store is another node, so that no dot is ever used
//!    twice, whatever becomes of the one that the backup is of, and however often it is restored.
//! 3. What has the name of a backup was read back and found to be that moment; what has the name of
//!    a restored store holds all of the backup, checked as it was read. Both are made beside their
//!    name and get it by one rename, after all of it is durable.
//! 4. Memory is a frame at a time, whatever the size.
//!
//! The log does not go along, and so neither do checkpoints, which hold on to it: what a restored
//! store holds it holds as after a snapshot, and whoever lacks more than a tail of it is sent one.

mod contents;
mod create;
mod restore;
mod settings;

pub use contents::{BackedUp, BackupReport};
pub use create::BackupOptions;
pub use restore::{RestoreOptions, RestoreReport};

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::File;
use crate::error::{Error, Result};

/// Bytes that go to a file, or come from it, at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is written or read from its start on.
struct Stream {
    file: Arc<dyn File>,
    at: u64,
    /// Where it ends, for who reads.
    end: u64,
}

impl Stream {
    fn of(file: Arc<dyn File>) -> io::Result<Stream> {
        let end = file.len()?;
        Ok(Stream { file, at: 0, end })
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        self.file.read_at(self.at, &mut out[..length])?;
        self.at += length as u64;
        Ok(length)
    }
}

/// The directory in which a path lies, and its name there.
fn split(path: &Path) -> Result<(PathBuf, &str)> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::invalid(format!("{} does not end in a name, in UTF-8", path.display()))
    })?;
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    Ok((parent.to_owned(), name))
}

/// What something is called until it is whole.
fn beside(name: &str) -> String {
    format!("{name}.part")
}

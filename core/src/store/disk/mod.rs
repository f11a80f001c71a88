//! The disk: the seam under the log and redb, so that tests can be the disk.
//!
//! Names are relative to the store's directory and use `/`: `log/0000000000000000.log`,
//! `state.redb`; the directory itself is `""`. What a caller may rely on, and no more:
//!
//! 1. What [`File::write_at`] and [`File::set_len`] changed survives a loss of power only
//!    after a later [`File::sync_data`]. Before it, any subset of the changes may.
//! 2. That a file exists, or no longer does, survives only after [`Disk::sync_dir`] of its
//!    directory, also if the file itself was synced.
//! 3. A call that failed may have happened in part. After a failed sync only what is written
//!    again is made durable by the next one.
//!
//! It does not know what the files mean.

mod look;
mod mem;
mod real;
mod redb_file;
mod sub;
mod valve;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use look::LookDisk;
pub use mem::MemDisk;
pub use real::RealDisk;
pub use redb_file::{Freeze, RedbFile, Written};
pub use sub::SubDisk;
pub use valve::Valve;

/// A directory of files: [`RealDisk`] in production, [`MemDisk`] in tests.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file for reading and writing; with `create`, makes an empty one if there is none.
    /// Without it, a missing file is `NotFound`.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>>;

    /// The names of the files directly in `dir`, without the directory, sorted.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Removes a file. Whoever has it open can go on reading it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file, or a directory with all that is in it, another name in the same directory, where
    /// it takes the place of a file. Survives a loss of power as a name does: what was not synced
    /// before may be lost in it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a directory, if it does not exist; its parent must.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes durable which files and directories are directly in `dir`.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// What the machine is called that no other one is, if that is known.
    fn machine(&self) -> Option<String> {
        None
    }
}

/// An open file. Closed, and its lock released, when the last handle is dropped.
pub trait File: Send + Sync + Debug {
    /// Fills `out` from `offset`, or fails with `UnexpectedEof`.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; a gap before it reads as zeros.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes contents and length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes the exclusive lock on the file; `false` if another handle, of this process or
    /// another, has it.
    fn try_lock(&self) -> io::Result<bool>;

    /// Releases the lock.
    fn unlock(&self) -> io::Result<()>;

    /// Which file this is among those of its file system, if that is known: a copy is another.
    fn identity(&self) -> Option<u64> {
        None
    }

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

//! Bundles: changes in a file, for whoever carries it (DESIGN, section 5).
//!
//! ```text
//!   receiver                         maker                            receiver
//!   have    what is held and   ──▶   create  what that lacks,   ──▶   apply  like a peer's
//!           wanted, in a file                in a file                       stream
//! ```
//!
//! The first step may be left out: a bundle then carries all, or what came after an earlier one.
//! Of each collection a bundle has the transactions beyond a vector, in log order, or, where the
//! log no longer reaches back so far, a snapshot. It never has a gap: what its receiver is taken
//! to hold is written in it, and all between that and its end is there.
//!
//! # Invariants
//! 1. What is written was durable before, and own transactions were marked as handed out (rules
//!    9 and 10): transactions come from [`Store::log_read`], snapshots from [`Store::view`].
//! 2. Vectors from files only leave things out; nothing is held because a file says so. A
//!    transaction is believed for its author's signature, a snapshot for that of a node that is
//!    trusted or was named by who applies it.
//! 3. A frame is applied only when its check fits, so a damaged file is applied up to the damage;
//!    of a snapshot nothing shows before all of it is there.
//! 4. Memory is a frame at a time, whatever the size of the file.
//!
//! It does not know who carries files, and keeps nothing of those that it made or applied.

mod apply;
mod contents;
mod create;
pub(super) mod file;
mod have;
mod joining;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Store;
use crate::error::{Error, Result};

pub use apply::{Applied, AppliedCollection, ApplyOptions};
pub use contents::{Authored, BundleCollection, BundleContents};
pub use create::BundleOptions;
pub use have::Have;

/// Bytes that go to a file, or come from it, at once.
const BUFFER_BYTES: usize = 256 << 10;

impl Store {
    /// Writes to a file what this store holds and wants, so that somebody can make a bundle for
    /// it. A few dozen bytes for each author of each collection.
    pub fn bundle_have(&self, path: impl AsRef<Path>) -> Result<Have> {
        let have = self.have()?;
        have.save(path).map(|()| have)
    }

    /// Makes a bundle in a file: the changes that its receiver lacks. A file of that name is
    /// replaced once the bundle is whole and durable, not before.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (stick, a, b) = (dir.path().join("stick"), dir.path().join("a"), dir.path().join("b"));
    /// use littoral::Store;
    /// use littoral::store::{BundleOptions, Have};
    /// let (mine, yours) = (Store::open(&a)?, Store::open(&b)?);
    /// mine.collection("notes")?.set("n1", "title", "Tide table")?;
    /// yours.bundle_have(&stick)?;
    /// let since = Some(Have::open(&stick)?);
    /// mine.bundle_create(&stick, &BundleOptions { since, ..BundleOptions::default() })?;
    /// assert_eq!(yours.bundle_apply(&stick, &Default::default())?.transactions(), 1);
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`NotFound`](crate::ErrorKind::NotFound) if the log does not reach back and
    /// snapshots are not allowed; [`Forked`](crate::ErrorKind::Forked) if the receiver holds other
    /// transactions under the same names; [`Refused`](crate::ErrorKind::Refused) if it belongs to
    /// another network; I/O.
    pub fn bundle_create(
        &self,
        path: impl AsRef<Path>,
        options: &BundleOptions,
    ) -> Result<BundleContents> {
        write_file(path.as_ref(), |out| self.write_bundle(out, options))
    }

    /// Applies a bundle from a file, as what a peer sends is applied. Durable when this returns;
    /// what is here already is passed over, so a bundle may be applied again, and one that was
    /// interrupted goes on.
    ///
    /// Errors, all of which leave what was applied before: [`Corrupt`](crate::ErrorKind::Corrupt)
    /// if the file is damaged; [`MissingDependency`](crate::ErrorKind::MissingDependency) if it
    /// builds on what is not here; [`Refused`](crate::ErrorKind::Refused) for another network, and
    /// for a snapshot of a node that is not trusted; and those of
    /// [`apply_remote`](Store::apply_remote). One collection that can't be applied does not keep
    /// the others from it.
    pub fn bundle_apply(&self, path: impl AsRef<Path>, options: &ApplyOptions) -> Result<Applied> {
        read_file(path.as_ref(), |input| self.read_bundle(input, options))
    }
}

impl BundleContents {
    /// Reads a whole bundle from a file and says what is in it, after checking each frame and
    /// each signature. Needs no store.
    ///
    /// Errors: [`Corrupt`](crate::ErrorKind::Corrupt) if it is damaged,
    /// [`InvalidTransaction`](crate::ErrorKind::InvalidTransaction) if something in it is not
    /// what its author signed, [`FormatTooNew`](crate::ErrorKind::FormatTooNew), I/O.
    pub fn open(path: impl AsRef<Path>) -> Result<BundleContents> {
        read_file(path.as_ref(), |input| BundleContents::read(input))
    }
}

impl Have {
    /// Reads a file that [`Store::bundle_have`] wrote, or an earlier bundle: then what who has
    /// applied that holds.
    ///
    /// Errors: [`Corrupt`](crate::ErrorKind::Corrupt) if it is damaged,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is something else, I/O.
    pub fn open(path: impl AsRef<Path>) -> Result<Have> {
        read_file(path.as_ref(), |input| Have::read(input))
    }

    /// Writes it to a file; one of that name is replaced.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_file(path.as_ref(), |out| self.write(out))
    }
}

fn read_file<T>(path: &Path, read: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let file =
        File::open(path).map_err(|err| Error::io(format_args!("open {}", path.display()), err))?;
    read(&mut BufReader::with_capacity(BUFFER_BYTES, file))
}

/// Writes a file beside `path` and gives it that name when it is whole and durable.
fn write_file<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let part = beside(path)?;
    let written = write_part(&part, write).and_then(|result| {
        fs::rename(&part, path)
            .map_err(|err| Error::io(format_args!("write {}", path.display()), err))?;
        Ok(result)
    });
    if written.is_err() {
        // It is of no use; that it can't be removed is not worse than that it was not written.
        let _ = fs::remove_file(&part);
    }
    written
}

fn write_part<T>(part: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let failed = |err| Error::io(format_args!("write {}", part.display()), err);
    let file = File::create(part).map_err(failed)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &file);
    let result = write(&mut out)?;
    out.flush().map_err(failed)?;
    drop(out);
    // Who pulls out a stick after this has the bundle on it.
    file.sync_all().map_err(failed)?;
    Ok(result)
}

fn beside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(format!("{} does not end in the name of a file", path.display()))
    })?;
    let mut part = name.to_owned();
    part.push(".part");
    Ok(path.with_file_name(part))
}

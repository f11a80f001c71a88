//! Space: how much of `state.redb` is in use, and getting the rest back.
//!
//! redb reuses the pages of what was deleted and hardly ever shrinks its file. What is free in
//! it is not lost: the store grows into it. Compacting moves what is in use to the front and
//! cuts the file, in place: it stays the same file, and a crash at any moment leaves the store
//! as it was (opening it then takes longer, once).

use std::path::Path;
use std::sync::{Arc, PoisonError};

use redb::{ReadableDatabase, ReadableTableMetadata};

use super::journal::{EventKind, NewEvent};
use super::open::Options;
use super::suspend::Phase;
use super::tables::{self, db};
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};

/// How the bytes of `state.redb` are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The file.
    pub file_bytes: u64,
    /// Pages with rows in them. The rest is free, or redb's own: it is used as the store grows,
    /// and compacting gives it back.
    pub live_bytes: u64,
}

/// What compacting did to `state.redb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Its bytes before.
    pub before_bytes: u64,
    /// Its bytes after.
    pub after_bytes: u64,
}

impl Store {
    /// How much of the state's file is in use. Reads all of it; blocks nobody.
    pub fn space(&self) -> Result<Space> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let mut live_bytes = 0;
        for definition in tables::ALL {
            let stats = read.open_table(definition).map_err(db)?.stats().map_err(db)?;
            live_bytes += stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        }
        Ok(Space { file_bytes: self.inner.state_len(), live_bytes })
    }
}

impl Options {
    /// Compacts the store in the directory at `path`, which nobody else may have open. Takes as
    /// long as copying the state.
    ///
    /// Errors: those of opening; [`DiskFull`](ErrorKind::DiskFull), I/O: then nothing is lost.
    pub fn compact(self, path: impl AsRef<Path>) -> Result<Compacted> {
        self.create(false).open(path)?.compact()
    }
}

impl Store {
    /// Compacts the state and closes the store, for all its clones.
    ///
    /// Errors: [`Locked`](ErrorKind::Locked) if somebody is reading; I/O.
    pub fn compact(&self) -> Result<Compacted> {
        let _turn = self.inner.rest.turn();
        if !self.inner.is_running() {
            return Err(self.inner.gone());
        }
        let before_bytes = self.inner.state_len();
        self.inner.note_done(NewEvent::new(EventKind::Compacting));
        self.inner.rest.set(Phase::Closed);
        self.inner.compact().inspect_err(|_| drop(self.inner.close_in_turn()))?;
        let after_bytes = self.inner.state_len();
        self.inner.close_in_turn()?;
        Ok(Compacted { before_bytes, after_bytes })
    }
}

impl Inner {
    fn compact(&self) -> Result<()> {
        self.stop_committing().inspect_err(|_| self.freeze().set())?;
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(self.write_heads());
        let database = database.ok_or_else(|| self.gone())?;
        let mut database = Arc::try_unwrap(database).map_err(|_| in_use())?;
        while database.compact().map_err(|err| match err {
            redb::CompactionError::TransactionInProgress => in_use(),
            err => db(err),
        })? {}
        Ok(())
    }
}

fn in_use() -> Error {
    Error::new(
        ErrorKind::Locked,
        "the store is being read, so it was closed as it is; open it again when nobody reads it",
    )
}

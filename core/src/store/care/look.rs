//! Looking: the files of a store that nobody has open, without changing any of them.
//!
//! Everything is opened for reading alone, and what opening a store does to its files (it
//! cuts a torn tail, applies what the state lacks) happens in memory
//! ([`LookDisk`]). Whoever has the store open keeps it: looking at files that change
//! under one's eyes finds damage that is none.
//!
//! redb checks the sums of its pages when it is asked to, not when it reads them, and it may panic
//! over a damaged one: whoever reads a state that did not pass the check reads it through
//! [`guarded`].

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{Builder, Database};

use super::finding::{Finding, Findings, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::store::disk::{Disk, Freeze, LookDisk, RealDisk, RedbFile};
use crate::store::key_file;
use crate::store::open::{self, Options, STATE};
use crate::store::tables::{self, db};
use crate::txn::{NetworkId, NodeKey};

pub(super) const RESCUE: &str =
    "make a copy of the directory, then run `littoral rescue` from it into a new one";

/// The files of a store, to be looked at.
pub(in crate::store) struct Look {
    under: Arc<dyn Disk>,
    /// The files, with what is changed about them while they are looked at.
    pub(super) disk: Arc<dyn Disk>,
    /// The node's key, if it can be read.
    pub(super) key: Option<NodeKey>,
    /// Held as long as somebody looks.
    _lock: Option<fs::File>,
}

impl Options {
    /// The files of the store in the directory at `path`.
    pub(in crate::store) fn look(&self, path: &Path) -> Result<Look> {
        open::check_directory(path)?;
        let lock = lock_if_there(path)?;
        let key = match &self.key {
            Some(key) => Some(key.clone()),
            None => match key_file::read(path, self.passphrase.as_ref()) {
                Err(err) if err.kind() == ErrorKind::Passphrase => return Err(err),
                read => read.ok(),
            },
        };
        let disk = Arc::new(RealDisk::read_only(path.to_owned()));
        Ok(Look { _lock: lock, ..Look::over(disk, key) })
    }

    /// The files on a disk that may be simulated.
    pub(in crate::store) fn look_on(&self, disk: Arc<dyn Disk>) -> Look {
        Look::over(disk, self.key.clone())
    }
}

impl Look {
    fn over(under: Arc<dyn Disk>, key: Option<NodeKey>) -> Look {
        let disk = Arc::new(LookDisk::new(under.clone()));
        Look { under, disk, key, _lock: None }
    }

    fn open_state(&self, cache_bytes: usize) -> Result<State> {
        guarded(|| {
            let disk = LookDisk::new(self.under.clone());
            let file = disk.open(STATE, false).map_err(|err| Error::io("open state.redb", err))?;
            if file.is_empty().unwrap_or(true) {
                return Err(Error::corrupt("state.redb is empty"));
            }
            let database = Builder::new()
                .set_cache_size(cache_bytes)
                .create_with_backend(RedbFile::new(file, Freeze::default()));
            database.map_err(db).map(|database| State(Some(database)))
        })
    }

    pub(super) fn node(&self) -> Option<NodeId> {
        self.key.as_ref().map(NodeKey::id)
    }

    /// The node; where its key is gone, one that is nobody.
    pub(super) fn node_or_nobody(&self) -> NodeId {
        self.node().unwrap_or_else(|| NodeId::from_bytes([0; 32]))
    }

    /// Opens the state, as far as that is possible, and checks every page of it. Gives whether
    /// all were as they were written.
    pub(super) fn state(
        &self,
        cache_bytes: usize,
        findings: &mut Findings,
    ) -> Result<Option<(State, bool)>> {
        let unreadable =
            |what: String| Finding::new(Level::Damage, "state-unreadable", STATE, what, RESCUE);
        let mut state = match self.open_state(cache_bytes) {
            Ok(state) => state,
            Err(err) => {
                findings.push(unreadable(format!("it can't be opened ({err})")));
                return Ok(None);
            }
        };
        let checked = guarded(|| state.get_mut().check_integrity().map_err(db));
        if checked.as_ref().is_ok_and(|clean| *clean) {
            return Ok(Some((state, true)));
        }
        let why = checked.err().map_or_else(String::new, |err| format!(" ({err})"));
        findings.push(Finding::new(
            Level::Damage,
            "state-pages",
            STATE,
            format!("pages of it are not as they were written{why}: some of what it holds is gone or wrong"),
            RESCUE,
        ));
        // A failed check leaves the database unusable: it is opened anew, to see what is left.
        drop(state);
        Ok(self.open_state(cache_bytes).ok().map(|state| (state, false)))
    }
}

/// A state that may be damaged: closing it must not end the process either.
pub(super) struct State(Option<Database>);

impl State {
    pub(super) fn get(&self) -> &Database {
        self.0.as_ref().expect("it is there until it is dropped")
    }

    fn get_mut(&mut self) -> &mut Database {
        self.0.as_mut().expect("it is there until it is dropped")
    }

    /// The network that the store belongs to.
    pub(super) fn network(&self) -> Result<NetworkId> {
        guarded(|| {
            let read = redb::ReadableDatabase::begin_read(self.get()).map_err(db)?;
            tables::read(&read, tables::META, tables::META_NETWORK)?
                .and_then(|bytes| bytes.try_into().ok())
                .map(NetworkId)
                .ok_or_else(|| Error::corrupt("it does not say which network it belongs to"))
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

/// Runs what reads a state that may be damaged: a panic in it is an error.
pub(in crate::store) fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::corrupt(match text {
            Some(text) => format!("state.redb is damaged: {text}"),
            None => "state.redb is damaged".to_owned(),
        }))
    })
}

/// The store's lock, if its file is there: it is not made, since nothing is.
fn lock_if_there(path: &Path) -> Result<Option<fs::File>> {
    let Ok(lock) = fs::File::open(path.join(open::LOCK)) else { return Ok(None) };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(fs::TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Locked,
            format!(
                "the store in {} is open in another process; stop that one first",
                path.display()
            ),
        )),
        Err(fs::TryLockError::Error(err)) => Err(Error::io("lock the store", err)),
    }
}

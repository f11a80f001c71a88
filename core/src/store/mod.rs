//! The store: documents on this device, in one directory.
//!
//! `log/` is the write-ahead log ([`log`]), `state.redb` the state materialised from it
//! ([`tables`]); one waist ([`apply`]) leads from one to the other, for local writes, for
//! peers' transactions and for recovery alike. [`commit`] is the way in, [`collection`] the way
//! out, [`feed`] tells what changed. This layer knows no network and alone knows redb.

mod activity;
mod admission;
mod apply;
mod backup;
mod branches;
mod budget;
mod bundle;
mod care;
mod checking;
mod collection;
mod commit;
pub mod disk;
mod document;
mod documents;
#[doc(hidden)]
pub mod door;
mod export;
mod feed;
mod find;
mod floor;
mod gate;
mod hashes;
mod heads;
mod incarnation;
mod index;
mod invites;
mod journal;
mod key_file;
mod leave;
pub mod log;
mod once;
mod open;
mod peers;
mod pins;
mod place;
mod prune;
mod queue;
mod replication;
mod roster;
mod rotation;
mod segments;
mod snapshot;
mod space;
mod stats;
mod suspend;
mod tables;
mod tape;
mod transaction;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::Database;

use crate::clock::{HybridClock, WallClock};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{NodeId, check_collection};
use crate::txn::roster::Roster;
use crate::txn::{NetworkId, NodeKey};

pub use activity::{Activity, CacheUse, Flow};
pub use backup::{BackedUp, BackupOptions, BackupReport, RestoreOptions, RestoreReport};
pub use budget::LogBudget;
pub use bundle::{
    Applied, AppliedCollection, ApplyOptions, Authored, BundleCollection, BundleContents,
    BundleOptions, Have,
};
pub use care::{
    Anonymized, Finding, How, LeftOut, Level, Progress, RescueOptions, Rescued, RescuedCollection,
    Verified, VerifyOptions, VerifyStep,
};
pub use collection::{Collection, Scan, ScanRange};
pub use document::{Candidate, Conflict, Content, Document};
pub use feed::{Change, ChangeValues, Changes};
pub use find::FoundPage;
#[doc(hidden)]
pub use hashes::HashRule;
pub use index::IndexStatus;
pub use invites::{Invite, InviteOptions};
pub use journal::{
    ConflictCause, ConflictEnd, ConflictLogFilter, ConflictLogPage, ConflictNote, ConflictOutcome,
    Event, EventKind, EventPage, LoggedCandidate, LoggedConflict, LoggedValue, NewEvent,
};
pub use once::WrittenOnce;
pub use open::Options;
pub use peers::{Collections, TrustedPeer};
pub use pins::{LogPin, PinnedLog};
pub use prune::Pruned;
pub use queue::Outcome;
pub use replication::{LogPage, Subscription};
pub use rotation::KeyChange;
pub use snapshot::{StagingLease, View};
pub use space::{Compacted, Space};
pub use stats::{CollectionStats, Digests, RowCounts, Stats};
pub use suspend::Companion;
pub use tape::{
    AutomaticCheckpoints, Checkpoint, CheckpointCost, CollectionSum, Diff, Difference, FieldChange,
    Hold, Past, PastScan, Replay, ReplayDifferences, ReplayOptions, ReplayOutcome,
    ReplayedCollection, ReplayedDiff, RevertPlan, RevertScope, Reverted, UndoScope, Undone,
    WrittenBy,
};
pub use transaction::{Committing, Transaction};

use commit::Committer;
use disk::{File, Freeze, Valve, Written};
use gate::Gate;
use heads::Heads;
use log::LogReader;
use queue::{Pending, Queue};
use suspend::{Phase, Rest};

/// An open store. Cheap to clone; all clones are the same store, and any thread may use it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What all clones of a store share.
pub(crate) struct Inner {
    path: Option<PathBuf>,
    /// How it was opened, and is opened again after it was suspended.
    options: Options,
    /// Through which its files are opened.
    valve: Arc<Valve>,
    rest: Rest,
    /// `state.redb`.
    state: RwLock<Arc<dyn File>>,
    state_written: Written,
    key: NodeKey,
    node: NodeId,
    network: NetworkId,
    wall: Arc<dyn WallClock>,
    clock: Mutex<HybridClock>,
    database: RwLock<Option<Arc<Database>>>,
    reader: LogReader,
    heads: RwLock<Heads>,
    /// New incarnations: by lot.
    incarnations: Arc<dyn Fn() -> u32 + Send + Sync>,
    gate: Arc<Gate>,
    pending: Mutex<Pending>,
    /// Changed only with the committer held.
    roster: RwLock<Option<Arc<Roster>>>,
    /// Until when somebody may join, by an invitation that is not used up.
    /// The key before this one, as long as somebody knows no other.
    former: Mutex<Option<NodeKey>>,
    open_until_ms: Mutex<u64>,
    readers: Mutex<export::Readers>,
    budgets: Mutex<budget::Budgets>,
    pins: Arc<Mutex<pins::Pins>>,
    pruning: Arc<prune::Pruning>,
    /// What checkpoints hold of the log.
    tape_pins: Mutex<tape::TapePins>,
    sweeping: tape::Sweeping,
    /// Whether a thread builds indexes.
    building: AtomicBool,
    queue: Mutex<Queue>,
    committer: Mutex<Option<Committer>>,
    failure: OnceLock<String>,
    counters: activity::Counters,
    /// Set with the failure. Of the state as it was last opened.
    freeze: RwLock<Freeze>,
    listeners: replication::Listeners,
    /// What followers of changes read last.
    pieces: feed::Pieces,
    /// The collections that a link is staging.
    leased: Arc<Mutex<BTreeSet<String>>>,
    /// Held as long as the directory is ours: until the store is closed.
    lock: Mutex<Option<std::fs::File>>,
}

impl Store {
    /// Opens the store in the directory at `path`, or makes a new one there.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use littoral::{Field, Fields, Store};
    /// let store = Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// notes.put("n1", &Fields::from([("title".to_owned(), Field::from("Tide table"))]))?;
    /// assert_eq!(notes.get("n1")?.unwrap()["title"], Field::from("Tide table"));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`ErrorKind::Locked`] if another process has it open, [`ErrorKind::NotAStore`]
    /// if something else is in the directory, [`ErrorKind::FormatTooNew`],
    /// [`ErrorKind::Corrupt`], I/O.
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Options::new().open(path)
    }

    /// Options for opening.
    pub fn options() -> Options {
        Options::new()
    }

    /// The collection with this name. It need not exist: it begins with its first write, here
    /// or at a peer.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        check_collection(name)?;
        Ok(Collection::new(self.clone(), name))
    }

    /// The collection with this name, which must exist.
    pub fn existing_collection(&self, name: &str) -> Result<Collection> {
        let collection = self.collection(name)?;
        if self.inner.read_heads().named(name).is_some() {
            return Ok(collection);
        }
        let names = self.collections();
        let known = match names.is_empty() {
            true => "the store is empty".to_owned(),
            false => format!("there are: {}", names.join(", ")),
        };
        Err(Error::new(
            ErrorKind::UnknownCollection,
            format!("there is no collection '{name}'; {known}"),
        ))
    }

    /// The names of the collections, in order.
    pub fn collections(&self) -> Vec<String> {
        self.inner.read_heads().iter().map(|head| head.name.clone()).collect()
    }

    /// This node's public key.
    pub fn node_id(&self) -> NodeId {
        self.inner.node
    }

    /// The directory, if the store has one.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Makes everything written so far durable, deferred writes included.
    pub fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    /// Writes everything out and ends the use of the store by all clones. What still reads or
    /// waits gets [`ErrorKind::Closed`]. Closing twice is harmless; dropping the last clone closes too.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?}, {:?})", self.inner.path, self.inner.node)
    }
}

impl Inner {
    fn read_heads(&self) -> RwLockReadGuard<'_, Heads> {
        self.heads.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For changing them, which goes with a commit: whoever reads from now on opens the documents
    /// anew.
    fn write_heads(&self) -> RwLockWriteGuard<'_, Heads> {
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        heads.reader.take();
        heads
    }

    fn database(&self) -> Result<Arc<Database>> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| self.gone())
    }

    /// Bytes of state.redb; 0 if they can't be told.
    fn state_len(&self) -> u64 {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.len().unwrap_or(0)
    }

    /// Refuses writes from now on, for the reason `err`. Gives the error to hand out.
    fn poison(&self, err: &Error) -> Error {
        self.freeze().set();
        if self.failure.set(err.message().to_owned()).is_ok() {
            tracing::error!(reason = err.message(), "a commit failed: the store refuses writes");
        }
        Error::new(
            err.kind(),
            format!("{}; the store refuses writes until it is opened again", err.message()),
        )
    }

    fn check_usable(&self) -> Result<()> {
        self.failure().map_or(Ok(()), |reason| Err(poisoned(&reason)))
    }

    /// Why the store is of no use until it is opened again, if it isn't: a failed commit, or a
    /// failed read or write of the state, after which redb refuses everything.
    fn failure(&self) -> Option<String> {
        self.failure.get().cloned().or_else(|| self.freeze().failed().map(str::to_owned))
    }

    fn freeze(&self) -> RwLockReadGuard<'_, Freeze> {
        self.freeze.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) -> Result<()> {
        let _turn = self.rest.turn();
        self.close_in_turn()
    }

    fn close_in_turn(&self) -> Result<()> {
        self.rest.set(Phase::Closed);
        let stopped = self.stop_committing().inspect_err(|_| self.freeze().set());
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(self.write_heads());
        drop(database);
        // Whoever still reads has the files closed under it, so that they can be opened again.
        self.valve.shut();
        // Whoever waits to write need not wait for a transaction that is open.
        self.gate.reset();
        drop(commit::lock(&self.lock).take());
        self.announce();
        stopped
    }
}

fn poisoned(reason: &str) -> Error {
    Error::new(
        ErrorKind::Poisoned,
        format!(
            "the disk failed earlier ({reason}), so the store refuses writes; close it and open it again"
        ),
    )
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(err) = self.close() {
            tracing::warn!(reason = err.message(), "closing the store failed");
        }
    }
}

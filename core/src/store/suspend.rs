//! Suspending a store: it lets go of its directory for a while, and takes it up again.
//!
//! A phone ends an app that is in the background and holds a lock on a file, and takes its sockets
//! away; and another process of the same app may want the store meanwhile. So a store can be
//! suspended without being closed: whoever holds it, or a collection or a link of it, goes on with
//! the same thing after it was woken.
//!
//! ```text
//!            suspend                 wake
//!   Running ─────────▶ Suspended ─────────▶ Running
//!      │  close, compact    │ close
//!      └──────▶ Closed ◀────┘
//! ```
//!
//! Suspending ends what is being committed, makes all of it durable as closing does, and closes the
//! files ([`Valve`](super::disk::Valve)) under whoever still reads: what was begun before fails
//! from then on, also after the store was woken. Waking is opening: the lock is taken, the state
//! read and recovered, since somebody else may have written to it. What is in memory and belongs
//! to the files is replaced as a whole, under the lock of the heads.
//!
//! Invariants: while it is suspended no file of the directory is open and no lock on one is held;
//! a local write that was begun before it is never committed after it (its names may be somebody
//! else's by then); what happens if the process ends meanwhile is what happens after a close.
//!
//! It does not know what else must rest with the store: a [`Companion`] does.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use redb::Database;

use super::commit::{Committer, lock};
use super::disk::Freeze;
use super::open::{Opened, take_lock};
use super::{Inner, Store, poisoned};
use crate::error::{Error, ErrorKind, Result};

/// How often it looks whether those who are at work are done. Nobody rings a bell for it: that
/// would cost every commit something.
const LOOK: Duration = Duration::from_millis(1);
/// No patience is longer, so that no clock overflows.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What rests while its store is suspended, as a network does.
pub trait Companion: Send + Sync {
    /// Lets go of the store and of what an app in the background may not have. Returns when that
    /// is done, or says what is in the way at the deadline: then [`Companion::wake`] follows.
    fn suspend(&self, deadline: Instant) -> Result<()>;

    /// Goes on as before.
    fn wake(&self);
}

/// What a store is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Running,
    Suspended,
    Closed,
}

/// Whether a store rests, and who rests with it.
pub(super) struct Rest {
    phase: AtomicU8,
    /// How often it was suspended: what began before the last time is over.
    count: AtomicU64,
    /// Held by whoever changes the phase.
    turn: Mutex<()>,
    companions: Mutex<Vec<Weak<dyn Companion>>>,
}

impl Rest {
    pub(super) fn new() -> Rest {
        Rest {
            phase: AtomicU8::new(Phase::Running as u8),
            count: AtomicU64::new(0),
            turn: Mutex::new(()),
            companions: Mutex::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Suspended,
            _ => Phase::Closed,
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// How often the store was suspended so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The right to change the phase.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    fn turn_until(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>> {
        until(deadline, || attempt(&self.turn)).ok_or_else(|| {
            blocked("it is being compacted or closed, or another thread suspends or wakes it")
        })
    }

    fn companions(&self) -> Vec<Arc<dyn Companion>> {
        let mut companions = lock(&self.companions);
        companions.retain(|companion| companion.strong_count() > 0);
        companions.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Store {
    /// Lets go of the directory without closing the store, for an app that goes to the background:
    /// everything written is made durable, links and sockets are closed, and so are all files,
    /// and no lock on any is held when this returns. Another process may then open the store.
    /// [`Store::wake`] takes all of it up again, links included.
    ///
    /// It waits up to `patience` for transactions that are open and for commits that are under way;
    /// it needs no time of its own worth speaking of. What is still open then is over: a transaction
    /// can't be committed any more, and nothing of it is kept.
    ///
    /// Until the store is woken, calls give [`ErrorKind::Suspended`]; those that give no error and
    /// need no disk answer as of this moment. A scan, a past and a diff that were begun before give
    /// it for good: begin them anew. [`Changes`](super::Changes) go on where they were. Suspending
    /// twice is harmless; so is ending the process.
    ///
    /// Errors: [`ErrorKind::Timeout`], with what is in the way: then the store goes on as before,
    /// but for writes that were begun meanwhile, which were refused; [`ErrorKind::Closed`]. If the
    /// disk fails, that error: then everything is let go of all the same, and only opening the store
    /// again finds the truth.
    pub fn suspend(&self, patience: Duration) -> Result<()> {
        self.inner.suspend(Instant::now() + patience.min(LONGEST))
    }

    /// Takes up again what [`Store::suspend`] let go of. Harmless for a store that is not suspended.
    ///
    /// Errors: [`ErrorKind::Locked`] if another process has the store open; those of opening it.
    /// Then the store is still suspended, and this may be tried again. [`ErrorKind::NotAStore`] if
    /// another store is there now, or this one with another key; [`ErrorKind::Poisoned`]
    /// if the disk failed before: close it then, and open it anew.
    pub fn wake(&self) -> Result<()> {
        self.inner.wake()?;
        self.inner.build_in_background();
        Ok(())
    }

    /// Whether it is suspended.
    pub fn is_suspended(&self) -> bool {
        self.inner.rest.phase() == Phase::Suspended
    }

    /// How often it was suspended so far: what began to read under another number is over.
    pub fn suspensions(&self) -> u64 {
        self.inner.rest.count()
    }

    /// Lets somebody rest with the store from now on, as long as it lives; gives whether it is
    /// suspended now, and the companion is to rest until it is woken.
    pub fn accompany(&self, companion: Weak<dyn Companion>) -> bool {
        let _turn = self.inner.rest.turn();
        lock(&self.inner.rest.companions).push(companion);
        self.is_suspended()
    }
}

impl Inner {
    pub(super) fn is_running(&self) -> bool {
        self.rest.phase() == Phase::Running
    }

    /// Why there is no database or no committer.
    pub(super) fn gone(&self) -> Error {
        match self.rest.phase() {
            // It may have been woken since it was looked at.
            Phase::Running | Phase::Suspended => Error::new(
                ErrorKind::Suspended,
                "the store is suspended; wake it before you use it",
            ),
            Phase::Closed => Error::new(ErrorKind::Closed, "the store is closed"),
        }
    }

    /// Whether what began after so many suspensions can still be read.
    pub(super) fn check_since(&self, suspensions: u64) -> Result<()> {
        match (self.is_running(), self.rest.count() == suspensions) {
            (true, true) => Ok(()),
            (false, _) => Err(self.gone()),
            (true, false) => Err(Error::new(
                ErrorKind::Suspended,
                "the store was suspended since this began to read: begin it anew",
            )),
        }
    }

    fn suspend(&self, deadline: Instant) -> Result<()> {
        let _turn = self.rest.turn_until(deadline)?;
        match self.rest.phase() {
            Phase::Running => {}
            Phase::Suspended => return Ok(()),
            Phase::Closed => return Err(self.gone()),
        }
        let companions = self.rest.companions();
        let rested = companions.iter().try_for_each(|companion| companion.suspend(deadline));
        let let_go = rested.and_then(|()| self.let_go(deadline));
        match self.is_running() {
            true => companions.iter().for_each(|companion| companion.wake()),
            false => tracing::info!("the store is suspended"),
        }
        let_go
    }

    fn let_go(&self, deadline: Instant) -> Result<()> {
        self.gate.shut(deadline);
        let Some(mut slot) = self.idle_committer(deadline) else {
            self.gate.unshut();
            return Err(blocked("something is being committed"));
        };
        let failed_before = self.failure().is_some();
        self.rest.count.fetch_add(1, Ordering::AcqRel);
        self.rest.set(Phase::Suspended);
        let stopped = slot.take().map_or(Ok(()), |committer| self.end_committing(committer));
        drop(slot);
        if stopped.is_err() {
            self.freeze().set();
        }
        let database = {
            let _heads = self.write_heads();
            lock(&self.pending).suspend();
            self.database.write().unwrap_or_else(PoisonError::into_inner).take()
        };
        close(database, deadline);
        self.valve.shut();
        drop(lock(&self.lock).take());
        self.announce();
        if failed_before { Ok(()) } else { stopped.map_err(|err| self.poison(&err)) }
    }

    /// The committer, when nothing waits for it; at the deadline, if nobody has it.
    fn idle_committer(&self, deadline: Instant) -> Option<MutexGuard<'_, Option<Committer>>> {
        let idle = || lock(&self.queue).is_idle().then(|| attempt(&self.committer)).flatten();
        until(deadline, idle).or_else(|| attempt(&self.committer))
    }

    fn wake(&self) -> Result<()> {
        let _turn = self.rest.turn();
        match self.rest.phase() {
            Phase::Running => return Ok(()),
            Phase::Suspended => {}
            Phase::Closed => return Err(self.gone()),
        }
        // What redb failed at is over with the files that it had. A failed commit is not.
        if let Some(reason) = self.failure.get() {
            return Err(poisoned(reason));
        }
        let lock_file = self.path.as_deref().map(take_lock).transpose()?;
        self.valve.reopen();
        let opened = self.reopen().inspect_err(|_| self.valve.shut())?;
        *lock(&self.lock) = lock_file;
        self.take_up(opened);
        self.gate.reset();
        let settled = self.settle_in();
        self.announce();
        tracing::info!("the store was woken");
        self.rest.companions().iter().for_each(|companion| companion.wake());
        settled
    }

    fn reopen(&self) -> Result<Opened> {
        let (path, freeze, written) =
            (self.path.as_deref(), Freeze::default(), self.state_written.clone());
        let key = self.options.read_key(path)?;
        let opened = self.options.open_files(path, self.valve.clone(), key, freeze, written)?;
        match (opened.key.id(), opened.network) == (self.node, self.network) {
            true => Ok(opened),
            false => Err(Error::new(
                ErrorKind::NotAStore,
                "another store is in the directory now, or this one with another key: close it \
                 and open it anew",
            )),
        }
    }

    /// What is left to do with a store that was just opened.
    pub(super) fn settle_in(&self) -> Result<()> {
        // It may have heard of a revocation and not have come to that.
        self.vouch()?;
        self.pin_checkpoints();
        self.follow_heirs()
    }

    /// Everything that belongs to the files is that of `opened` from one moment on.
    fn take_up(&self, opened: Opened) {
        let Opened { state, freeze, former, database, heads, committer, .. } = opened;
        let mut slot = lock(&self.committer);
        let mut now = self.write_heads();
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        *self.freeze.write().unwrap_or_else(PoisonError::into_inner) = freeze;
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = opened.roster;
        *lock(&self.former) = former;
        *lock(&self.open_until_ms) = opened.open_until_ms;
        *lock(&self.budgets) = opened.budgets;
        self.sweeping.set(&opened.sweeping);
        self.reader.follow(&committer.log().reader());
        self.pieces.forget();
        let (meter, terms) = (now.meter.clone(), now.terms + 1);
        *now = heads;
        (now.meter, now.terms) = (meter, terms);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        *slot = Some(committer);
        self.rest.set(Phase::Running);
    }
}

/// Closes the database. Who is in the middle of a call holds it for a moment; who holds it longer
/// finds its file closed.
fn close(database: Option<Arc<Database>>, deadline: Instant) {
    let Some(database) = database else { return };
    let alone = || (Arc::strong_count(&database) == 1).then_some(());
    if until(deadline, alone).is_none() {
        tracing::debug!("the store is suspended while something reads it");
    }
}

fn attempt<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Looks until there is something, or for the last time at the deadline.
fn until<T>(deadline: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        let last = Instant::now() >= deadline;
        match look() {
            Some(found) => return Some(found),
            None if last => return None,
            None => thread::sleep(LOOK),
        }
    }
}

fn blocked(what: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("the store can't be suspended yet: {what}"))
}

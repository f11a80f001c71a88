//! The change feed: what changed, to be pulled.

use std::ffi::c_int;
#[cfg(unix)]
use std::sync::OnceLock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(unix)]
use littoral::store::Subscription;
use littoral::{Change, Changes, ErrorKind, Position};

#[cfg(unix)]
use crate::error::LIT_ERR_INTERNAL;
use crate::error::{
    Fault, LIT_OK, LIT_TIMEOUT, Outcome, guard, guard_free, lit_error_t, lit_status_t,
};
use crate::handles::Registry;
#[cfg(unix)]
use crate::signal::Signal;
use crate::slices::{Out, Zeroed, lit_slice_t};
use crate::store::{Shared, lit_store_t, shared};

/// The changes of a store from a position on.
pub struct lit_changes_t(());

/// Follow from now on.
pub const LIT_SINCE_NOW: u64 = u64::MAX;
/// Follow from the oldest change that the log holds.
pub const LIT_SINCE_START: u64 = 0;

/// Wait without a limit.
pub const LIT_FOREVER: i64 = -1;

/// Ten years: no wait is longer, so that no clock overflows.
const LONGEST_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// A document was written by a transaction. What it holds now is to be read; it may be gone.
/// The slices belong to the lit_changes_t: valid until the next call on it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lit_change_t {
    /// Where to resume after this change: keep it, and give it to lit_changes_open. Within a
    /// transaction of several documents resuming repeats some rather than losing one.
    pub position: u64,
    /// When, in milliseconds since 1970, by its author's clock.
    pub time_ms: u64,
    /// The number of the transaction among its author's in the collection.
    pub seq: u64,
    /// The collection's name.
    pub collection: lit_slice_t,
    /// The document's id.
    pub id: lit_slice_t,
    /// Who wrote it: the node's key.
    pub origin: lit_slice_t,
    /// Whether this node wrote it.
    pub local: bool,
}

impl Zeroed for lit_change_t {
    const ZEROED: lit_change_t = lit_change_t {
        position: 0,
        time_ms: 0,
        seq: 0,
        collection: lit_slice_t::ZEROED,
        id: lit_slice_t::ZEROED,
        origin: lit_slice_t::ZEROED,
        local: false,
    };
}

/// A feed, and what it lends to its user.
struct Following {
    shared: Arc<Shared>,
    state: Mutex<Cursor>,
    #[cfg(unix)]
    signal: OnceLock<Signalled>,
}

/// A descriptor, and what sets it.
#[cfg(unix)]
struct Signalled {
    signal: Arc<Signal>,
    _commits: Subscription,
}

impl Following {
    /// Forgets that there was something, before it is looked for.
    #[cfg(unix)]
    fn clear(&self) {
        if let Some(signalled) = self.signal.get() {
            signalled.signal.clear();
        }
    }

    /// Notes that there may be more.
    #[cfg(unix)]
    fn set(&self) {
        if let Some(signalled) = self.signal.get() {
            signalled.signal.set();
        }
    }

    #[cfg(not(unix))]
    fn clear(&self) {}

    #[cfg(not(unix))]
    fn set(&self) {}
}

struct Cursor {
    changes: Changes,
    lent: Option<Lent>,
}

pub(crate) struct Lent {
    collection: Arc<str>,
    id: String,
    origin: String,
}

/// What a change is but for its texts.
pub(crate) struct Figures {
    position: Position,
    time_ms: u64,
    seq: u64,
    local: bool,
}

impl Lent {
    pub(crate) fn of(change: Change) -> (Lent, Figures) {
        let figures = Figures {
            position: change.position,
            time_ms: change.time.millis(),
            seq: change.dot.seq,
            local: change.local,
        };
        let origin = change.dot.origin.node.to_string();
        (Lent { collection: change.collection, id: change.id, origin }, figures)
    }

    /// The change as C sees it, as long as this lives.
    pub(crate) fn lend(&self, figures: &Figures) -> lit_change_t {
        lit_change_t {
            position: figures.position.0,
            time_ms: figures.time_ms,
            seq: figures.seq,
            collection: lit_slice_t::of(self.collection.as_bytes()),
            id: lit_slice_t::of(self.id.as_bytes()),
            origin: lit_slice_t::of(self.origin.as_bytes()),
            local: figures.local,
        }
    }
}

static CHANGES: Registry<lit_changes_t, Following> = Registry::new("changes");

/// Follows the changes of a store after the position `since`: LIT_SINCE_NOW, LIT_SINCE_START,
/// or a position that a change or lit_store_position gave, also before a restart. It costs
/// nothing while nobody asks for the next one.
///
/// `*changes` is yours: free it with lit_changes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_changes_open(
    store: *mut lit_store_t,
    since: u64,
    changes: *mut *mut lit_changes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(changes), Out::new(err)) };
    guard(err, || {
        let out = out.required("changes")?;
        let shared = shared(store)?;
        let since = (since != LIT_SINCE_NOW).then_some(Position(since));
        let changes = shared.open()?.changes(since);
        let state = Mutex::new(Cursor { changes, lent: None });
        out.set(CHANGES.insert(Following {
            shared,
            state,
            #[cfg(unix)]
            signal: OnceLock::new(),
        }));
        Ok(LIT_OK)
    })
}

/// Waits for the next change, at most `timeout_ms` milliseconds: 0 looks without waiting,
/// LIT_FOREVER waits without a limit. LIT_TIMEOUT if none came. Changes come when they are
/// durable, in the order in which they came into this store, this node's own included.
///
/// One thread at a time. Blocks: for the time given. lit_store_close from another thread ends it.
/// Errors: LIT_ERR_NOT_FOUND if the log no longer reaches back to the position: read the
/// documents anew and follow from lit_store_position; LIT_ERR_CLOSED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_changes_next(
    changes: *mut lit_changes_t,
    timeout_ms: i64,
    change: *mut lit_change_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(change), Out::new(err)) };
    guard(err, || {
        let out = out.required("change")?;
        let following = CHANGES.get(changes)?;
        following.shared.open()?;
        let mut cursor = following.state.lock().map_err(|_| Fault::panicked("changes"))?;
        cursor.lent = None;
        // Before it looks: what comes after that sets it again.
        following.clear();
        let next = cursor.changes.next(wait(timeout_ms));
        let over = |err: &littoral::Error| err.kind() == ErrorKind::Suspended;
        if !matches!(&next, Ok(None)) && !next.as_ref().is_err_and(over) {
            following.set();
        }
        let Some(next) = next? else { return Ok(LIT_TIMEOUT) };
        let (lent, figures) = Lent::of(next);
        out.set(cursor.lent.insert(lent).lend(&figures));
        Ok(LIT_OK)
    })
}

/// Goes on from the present moment, after LIT_ERR_NOT_FOUND: read the documents anew after this.
///
/// One thread at a time. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_changes_restart(
    changes: *mut lit_changes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let following = CHANGES.get(changes)?;
        following.shared.open()?;
        let mut cursor = following.state.lock().map_err(|_| Fault::panicked("changes"))?;
        cursor.lent = None;
        cursor.changes.restart();
        Ok(LIT_OK)
    })
}

/// Where it is: after the last change that lit_changes_next gave. To be kept and given to
/// lit_changes_open, also after a restart.
///
/// One thread at a time. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_changes_position(
    changes: *mut lit_changes_t,
    position: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (position, err) = unsafe { (Out::new(position), Out::new(err)) };
    guard(err, || {
        let position = position.required("position")?;
        let following = CHANGES.get(changes)?;
        following.shared.open()?;
        let cursor = following.state.lock().map_err(|_| Fault::panicked("changes"))?;
        position.set(cursor.changes.position().0);
        Ok(LIT_OK)
    })
}

/// A descriptor for poll, select, epoll, kqueue or a main loop: readable while lit_changes_next,
/// with a timeout of 0, may have something to say. It is level-triggered: it stays readable until
/// lit_changes_next has returned LIT_TIMEOUT or LIT_ERR_SUSPENDED, and may be readable with nothing
/// there. After lit_store_close it stays readable, and lit_changes_next gives LIT_ERR_CLOSED.
///
/// `*fd` belongs to `changes`, which has one: don't read from it, write to it or close it. It is
/// closed by lit_changes_free. -1 if this fails.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT where descriptors can't be waited for (Windows): use
/// lit_store_subscribe there; LIT_ERR_IO if there are too many open files.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_changes_fd(
    changes: *mut lit_changes_t,
    fd: *mut c_int,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (fd, err) = unsafe { (Out::new(fd), Out::new(err)) };
    let mut found = -1;
    let status = guard(err, || {
        if !fd.is_wanted() {
            return Err(Fault::null("fd"));
        }
        let following = CHANGES.get(changes)?;
        found = descriptor(&following)?;
        Ok(LIT_OK)
    });
    fd.set(found);
    status
}

#[cfg(unix)]
fn descriptor(following: &Following) -> Outcome<c_int> {
    let store = following.shared.open()?;
    if following.signal.get().is_none() {
        let signal = Arc::new(Signal::new()?);
        let rings = signal.clone();
        let commits = store.on_commit(move || rings.set());
        // Another thread may have been quicker: then this one goes.
        let _ = following.signal.set(Signalled { signal, _commits: commits });
    }
    following
        .signal
        .get()
        .map(|signalled| signalled.signal.fd())
        .ok_or_else(|| Fault::new(LIT_ERR_INTERNAL, "the descriptor is gone; please report it"))
}

#[cfg(not(unix))]
fn descriptor(_: &Following) -> Outcome<c_int> {
    Err(Fault::invalid(
        "there are no descriptors to wait for on this system: use lit_store_subscribe",
    ))
}

/// A time given by C; negative is without a limit.
pub(crate) fn wait(timeout_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(LONGEST_MS).min(LONGEST_MS))
}

/// Frees the handle. A lit_changes_next of another thread that is waiting on it goes on to its
/// end. Harmless for NULL.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_changes_free(changes: *mut lit_changes_t) {
    guard_free(|| drop(CHANGES.remove(changes)));
}

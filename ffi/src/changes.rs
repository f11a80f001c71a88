//! The change feed: what changed, to be pulled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use littoral::{Changes, Position};

use crate::error::{Fault, LIT_OK, LIT_TIMEOUT, guard, guard_free, lit_error_t, lit_status_t};
use crate::handles::Registry;
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
}

struct Cursor {
    changes: Changes,
    lent: Option<Lent>,
}

struct Lent {
    collection: Arc<str>,
    id: String,
    origin: String,
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
        out.set(CHANGES.insert(Following { shared, state }));
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
        let next = cursor.changes.next(wait(timeout_ms))?;
        let Some(next) = next else { return Ok(LIT_TIMEOUT) };
        let lent = cursor.lent.insert(Lent {
            collection: next.collection,
            id: next.id,
            origin: next.dot.origin.node.to_string(),
        });
        out.set(lit_change_t {
            position: next.position.0,
            time_ms: next.time.millis(),
            seq: next.dot.seq,
            collection: lit_slice_t::of(lent.collection.as_bytes()),
            id: lit_slice_t::of(lent.id.as_bytes()),
            origin: lit_slice_t::of(lent.origin.as_bytes()),
            local: next.local,
        });
        Ok(LIT_OK)
    })
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

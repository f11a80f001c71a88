//! Holding collections back to a checkpoint, and resuming them.

use crate::error::{LIT_OK, guard, lit_error_t, lit_status_t};
use crate::json;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t};

/// Holds a collection back, {NULL, 0} for all: it shows what it did at a checkpoint, and what this
/// node itself has written since. Nothing is undone. Until lit_store_rollback_resume what others
/// wrote is kept and not shown, reads and writes go on over what is shown, and the collection is not
/// exchanged with peers. Where somebody else had changed the same field as is written meanwhile, the
/// two are a conflict afterwards. Durable when this returns; the store is held also when it is opened
/// again. Change cursors give LIT_ERR_NOT_FOUND: lit_changes_restart, then read the documents anew.
///
/// `*json` is {"holds": [{"collection", "label", "since", "documents"}]}: what is held by this. It is
/// yours: free it with lit_bytes_free; `json` may be NULL.
/// Thread-safe. Blocks: for as long as laying own writes since the checkpoint over it takes.
/// Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint, or the log no longer holds what was
/// written here since; LIT_ERR_UNKNOWN_COLLECTION; LIT_ERR_INVALID_INPUT if the collection is held
/// already, was left since, or has forked; LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_rollback_hold(
    store: *mut lit_store_t,
    label: lit_slice_t,
    collection: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let one = collection.optional_text("collection")?.map(|name| [name]);
        let (shared, label) = (STORES.get(store)?, label.text("label")?);
        let held = shared.open()?.rollback_hold(label, one.as_ref().map(|one| &one[..]))?;
        if json.is_wanted() {
            json.set(json::holds(&held).into());
        }
        Ok(LIT_OK)
    })
}

/// Ends what lit_store_rollback_hold began, for a collection, or {NULL, 0} for all: it shows its
/// state again, with what was written meanwhile in it, and is exchanged with peers. Durable when this
/// returns.
///
/// `*json` is {"holds": [..]}: what was held, as lit_store_rollback_hold gives it. It is yours: free
/// it with lit_bytes_free; `json` may be NULL.
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_rollback_resume(
    store: *mut lit_store_t,
    collection: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let ended = STORES.get(store)?.open()?.resume(collection.optional_text("collection")?)?;
        if json.is_wanted() {
            json.set(json::holds(&ended).into());
        }
        Ok(LIT_OK)
    })
}

/// The collections that are held back to a checkpoint, as {"holds": [..]}: see
/// lit_store_rollback_hold.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_holds_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::holds(&STORES.get(store)?.open()?.holds()).into());
        Ok(LIT_OK)
    })
}

//! Replay, and the checkpoints that a store makes by itself.

use littoral::store::{AutomaticCheckpoints, ReplayOptions};

use crate::error::{LIT_NOT_FOUND, LIT_OK, guard, lit_error_t, lit_status_t};
use crate::json;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t, shared};
use crate::tape::{self, lit_diff_t};

/// Goes back to a checkpoint and applies the log after it again, beside the store, and compares.
/// What comes out must be what the store holds. Documents whose rows were damaged unnoticed are put
/// right where the digest of their collection proves what was replayed; if anything else differs,
/// the store stays as it was. Reads, writes and sync go on meanwhile. It takes up to 64 MiB of
/// memory; what does not fit goes into a file in the directory `scratch`, {NULL, 0} for the
/// system's.
///
/// `*json` is {"checkpoint", "through", "transactions", "documents", "ms", "outcome", "mended",
/// "differing"}: outcome is "same", "mended" or "differs", mended how many documents were put right,
/// differing of each collection in which anything differs {"collection", "documents", "alike"}. It is
/// yours: free it with lit_bytes_free. `*diff` goes through the documents that differ, or did: what
/// the store shows, "before", and what was replayed, "after". It is yours: free it with
/// lit_diff_free. `diff` may be NULL.
/// Thread-safe. Blocks: disk, for as long as applying the log takes.
/// Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint, or the log no longer reaches back to
/// it; LIT_ERR_INVALID_INPUT if something stands between that replay does not cross;
/// LIT_ERR_ABORTED if a damaged document was written meanwhile; LIT_ERR_CORRUPT; LIT_ERR_DISK_FULL.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_rollback_replay(
    store: *mut lit_store_t,
    label: lit_slice_t,
    scratch: lit_slice_t,
    json: *mut lit_bytes_t,
    diff: *mut *mut lit_diff_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, diff, err) = unsafe { (Out::new(json), Out::new(diff), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let shared = shared(store)?;
        let scratch = scratch.optional_text("scratch")?.map(Into::into);
        let how = ReplayOptions { scratch, ..ReplayOptions::default() };
        let replay = shared.open()?.rollback_replay(label.text("label")?, &how)?;
        let told = json::replay(&replay);
        if diff.is_wanted() {
            let found = replay.into_differences()?;
            diff.set(tape::begin(shared, Vec::new(), found));
        }
        json.set(told.into());
        Ok(LIT_OK)
    })
}

/// Says how many checkpoints the store is to make by itself and keep, and for how many
/// milliseconds: before a revert, a bundle and a snapshot of a link, and when
/// lit_store_automatic_checkpoint asks for one. 0 is none. It is kept in the store, which makes none
/// until it was told. Those made by hand never go by themselves.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_LIMIT_EXCEEDED for more than 256; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_set_automatic_checkpoints(
    store: *mut lit_store_t,
    keep: u32,
    age_ms: u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let rule = AutomaticCheckpoints { keep, age_ms };
        STORES.get(store)?.open()?.set_automatic_checkpoints(rule)?;
        Ok(LIT_OK)
    })
}

/// What lit_store_set_automatic_checkpoints was told last. LIT_NOT_FOUND if it never was.
///
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_automatic_checkpoints(
    store: *mut lit_store_t,
    keep: *mut u32,
    age_ms: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (keep, age_ms, err) = unsafe { (Out::new(keep), Out::new(age_ms), Out::new(err)) };
    guard(err, || {
        let (keep, age_ms) = (keep.required("keep")?, age_ms.required("age_ms")?);
        let Some(rule) = STORES.get(store)?.open()?.automatic_checkpoints()? else {
            return Ok(LIT_NOT_FOUND);
        };
        keep.set(rule.keep);
        age_ms.set(rule.age_ms);
        Ok(LIT_OK)
    })
}

/// Makes a checkpoint as the store does by itself, called "auto: ", `why` and the time, and lets go
/// of those that are too many or too old by then. LIT_NOT_FOUND, and nothing in `*label`, if none is
/// needed: none are to be kept, the store holds nothing, or nothing has changed since the newest.
///
/// `*label` is its label, yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED for what makes no label;
/// LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_automatic_checkpoint(
    store: *mut lit_store_t,
    why: lit_slice_t,
    label: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (label, err) = unsafe { (Out::new(label), Out::new(err)) };
    guard(err, || {
        let label = label.required("label")?;
        let made = STORES.get(store)?.open()?.automatic_checkpoint(why.text("why")?)?;
        let Some(made) = made else { return Ok(LIT_NOT_FOUND) };
        label.set(made.label.into());
        Ok(LIT_OK)
    })
}

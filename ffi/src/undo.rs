//! What is taken back of one node alone: what it did since a checkpoint, or wrote last.

use littoral::NodeId;
use littoral::store::{RevertScope, UndoScope};

use crate::error::{Fault, LIT_OK, Outcome, guard, lit_error_t, lit_status_t};
use crate::json;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t, shared};
use crate::tape::{self, lit_diff_t};

/// Also what others have changed since.
pub const LIT_UNDO_FORCE: u32 = 1;
/// Only say what would be written, and write nothing.
pub const LIT_UNDO_DRY_RUN: u32 = 2;

fn flagged(flags: u32, known: u32) -> Outcome<u32> {
    match flags & !known {
        0 => Ok(flags),
        _ => Err(Fault::invalid("flags: one is set that this function does not know")),
    }
}

/// What one node did, in a scope.
fn scope_by(
    node: &lit_slice_t,
    [collection, id, path]: [&lit_slice_t; 3],
    flags: u32,
) -> Outcome<RevertScope> {
    let force = flagged(flags, LIT_UNDO_FORCE)? & LIT_UNDO_FORCE != 0;
    let by = Some(node.text("node")?.parse::<NodeId>()?);
    Ok(RevertScope { by, force, ..tape::scope(collection, id, path)? })
}

/// As lit_store_revert, of what one node did since the checkpoint alone, under all its
/// incarnations; `node` is its key. What everybody else wrote stays, and what others have changed
/// since is kept as it is and counted in "kept", unless `flags` has LIT_UNDO_FORCE.
///
/// `*json` is as of lit_store_revert; it is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: commit, once for each batch.
/// Errors: those of lit_store_revert; LIT_ERR_NOT_FOUND also if the log no longer holds all since
/// the checkpoint; LIT_ERR_INVALID_INPUT for a text that is no key, if a collection came as a
/// snapshot since, and if the log does not lead to what is there.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_revert_by(
    store: *mut lit_store_t,
    label: lit_slice_t,
    node: lit_slice_t,
    collection: lit_slice_t,
    id: lit_slice_t,
    path: lit_slice_t,
    flags: u32,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let scope = scope_by(&node, [&collection, &id, &path], flags)?;
        let shared = STORES.get(store)?;
        let done = shared.open()?.revert(label.text("label")?, &scope, &mut |_| ())?;
        json.set(json::reverted(&done).into());
        Ok(LIT_OK)
    })
}

/// A dry run of lit_store_revert_by: what it would write, and what it would keep. lit_diff_next
/// goes through it.
///
/// `*diff` is yours: free it with lit_diff_free.
/// Thread-safe. Blocks: disk.
/// Errors: as of lit_store_revert_by, but those of writing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_revert_by_plan(
    store: *mut lit_store_t,
    label: lit_slice_t,
    node: lit_slice_t,
    collection: lit_slice_t,
    id: lit_slice_t,
    path: lit_slice_t,
    flags: u32,
    diff: *mut *mut lit_diff_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(diff), Out::new(err)) };
    guard(err, || {
        let out = out.required("diff")?;
        let scope = scope_by(&node, [&collection, &id, &path], flags)?;
        let shared = shared(store)?;
        let plan = shared.open()?.revert_plan(label.text("label")?, &scope)?;
        out.set(tape::begin(shared, plan.left().to_vec(), plan));
        Ok(LIT_OK)
    })
}

/// Takes back what this node wrote last, by one new transaction: durable when this returns, and
/// there as a whole or not at all. It needs no checkpoint. What others have changed since is kept,
/// unless `flags` has LIT_UNDO_FORCE; to undo again brings back what was undone. With a collection,
/// what was written last to that, and there alone; {NULL, 0} is what was written last, in all
/// collections that it was written to together. With LIT_UNDO_DRY_RUN nothing is written.
///
/// `*json` is {"time", "documents", "changes"}: when it had been written, how many documents
/// change, and of each what lit_diff_next gives. It is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_NOT_FOUND if this node has written nothing, or the log no longer holds it or what
/// it replaced; LIT_ERR_INVALID_INPUT (name); LIT_ERR_LIMIT_EXCEEDED if what it replaced is more than
/// fits into a transaction; LIT_ERR_FORBIDDEN; LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL;
/// LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_undo(
    store: *mut lit_store_t,
    collection: lit_slice_t,
    flags: u32,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let flags = flagged(flags, LIT_UNDO_FORCE | LIT_UNDO_DRY_RUN)?;
        let collection = collection.optional_text("collection")?.map(str::to_owned);
        let scope = UndoScope { collection, force: flags & LIT_UNDO_FORCE != 0 };
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        let undone = match flags & LIT_UNDO_DRY_RUN {
            0 => store.undo(&scope)?,
            _ => store.undo_plan(&scope)?,
        };
        json.set(json::undone(&undone).into());
        Ok(LIT_OK)
    })
}

//! The tape: checkpoints, the past, what differs, and reverting.

use std::sync::{Arc, Mutex};

use littoral::store::{Difference, Past, RevertScope};

use crate::collection::was_there;
use crate::docs::{DOCS, lit_doc_t};
use crate::error::{Fault, LIT_END, LIT_OK, Outcome, guard, guard_free, lit_error_t, lit_status_t};
use crate::handles::Registry;
use crate::json;
use crate::scan::{self, lit_scan_options_t, lit_scan_t};
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, Shared, lit_store_t, shared};

/// A store as it was at a checkpoint, to be read.
pub struct lit_past_t(());

/// Documents that differ, one by one.
pub struct lit_diff_t(());

struct Held {
    shared: Arc<Shared>,
    past: Past,
}

static PASTS: Registry<lit_past_t, Held> = Registry::new("past");

impl Held {
    fn open(&self) -> Outcome<&Past> {
        self.shared.open()?;
        Ok(&self.past)
    }
}

struct Comparing {
    shared: Arc<Shared>,
    suspensions: u64,
    left: Vec<String>,
    state: Mutex<Cursor>,
}

struct Cursor {
    found: Box<dyn Iterator<Item = littoral::Result<Difference>> + Send>,
    json: String,
    /// What ended it before its end.
    failed: Option<Fault>,
}

static DIFFS: Registry<lit_diff_t, Comparing> = Registry::new("diff");

pub(crate) fn begin(
    shared: Arc<Shared>,
    left: Vec<String>,
    found: impl Iterator<Item = littoral::Result<Difference>> + Send + 'static,
) -> *mut lit_diff_t {
    let (found, json) = (Box::new(found), String::new());
    let state = Mutex::new(Cursor { found, json, failed: None });
    let suspensions = shared.suspensions();
    DIFFS.insert(Comparing { shared, suspensions, left, state })
}

/// What is to be brought back. Text that is empty is not taken for all: it is refused.
pub(crate) fn scope(
    collection: &lit_slice_t,
    id: &lit_slice_t,
    path: &lit_slice_t,
) -> Outcome<RevertScope> {
    let text = |slice: &lit_slice_t, what| -> Outcome<Option<String>> {
        Ok(slice.optional_text(what)?.map(str::to_owned))
    };
    let path = path.optional_text("path")?.map(|_| path.path()).transpose()?;
    let (collection, id) = (text(collection, "collection")?, text(id, "id")?);
    Ok(RevertScope { collection, id, path, ..RevertScope::default() })
}

/// Makes a checkpoint: a moment of the store that can be read, compared with and gone back to. It
/// is durable when this returns, and made in one moment, whatever the size of the store. What is
/// changed from then on is kept as it was, until lit_store_delete_checkpoint. A label has 1 to 128
/// bytes and no control characters.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT if there is one with this label; LIT_ERR_LIMIT_EXCEEDED if there
/// are 256, or the label is too long; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_checkpoint(
    store: *mut lit_store_t,
    label: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.open()?.checkpoint(label.text("label")?)?;
        Ok(LIT_OK)
    })
}

/// The checkpoints, in the order in which they were made, and what they cost, as a JSON array of
/// objects: label, made (RFC 3339), position, automatic (a bool), rows and bytes (what was kept
/// between it and the next one), freed_bytes (what would go if it alone were deleted), log_held
/// (whether the log still has all that came after it). Reads all that is kept. Names are only
/// ever added.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_checkpoints_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::checkpoints(&STORES.get(store)?.open()?.checkpoint_costs()?).into());
        Ok(LIT_OK)
    })
}

/// Deletes a checkpoint, and what was kept for it alone.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_NOT_FOUND if there is none with this label; LIT_ERR_DISK_FULL;
/// LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_delete_checkpoint(
    store: *mut lit_store_t,
    label: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.open()?.delete_checkpoint(label.text("label")?)?;
        Ok(LIT_OK)
    })
}

/// The store as it was at a checkpoint, to be read. It stays what it is, whatever is written, and
/// also if the checkpoint is deleted. As long as it is held the disk uses no page again that is
/// replaced, so free it when you are done.
///
/// `*past` is yours: free it with lit_past_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_past_open(
    store: *mut lit_store_t,
    label: lit_slice_t,
    past: *mut *mut lit_past_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(past), Out::new(err)) };
    guard(err, || {
        let out = out.required("past")?;
        let shared = shared(store)?;
        let past = shared.open()?.at(label.text("label")?)?;
        out.set(PASTS.insert(Held { shared, past }));
        Ok(LIT_OK)
    })
}

/// Ends the reading of a past and frees its handle. Scans of it go on. Harmless for NULL.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_past_free(past: *mut lit_past_t) {
    guard_free(|| drop(PASTS.remove(past)));
}

/// The names of the collections that there were, in order, as a JSON array of strings.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_past_collections_json(
    past: *mut lit_past_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::names(&PASTS.get(past)?.open()?.collections()?).into());
        Ok(LIT_OK)
    })
}

/// How many documents a collection had; 0 if it was not there.
///
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT (name).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_past_len(
    past: *mut lit_past_t,
    collection: lit_slice_t,
    len: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (len, err) = unsafe { (Out::new(len), Out::new(err)) };
    guard(err, || {
        let len = len.required("len")?;
        len.set(PASTS.get(past)?.open()?.len(collection.text("collection")?)?);
        Ok(LIT_OK)
    })
}

/// A document as it was. LIT_NOT_FOUND if there was none; then `*doc` is NULL. To put it back, put
/// its JSON with lit_collection_put_json: with its version only the difference to what was then
/// would be written, not to what is now.
///
/// `*doc` is yours: free it with lit_doc_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (name, id).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_past_get(
    past: *mut lit_past_t,
    collection: lit_slice_t,
    id: lit_slice_t,
    doc: *mut *mut lit_doc_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (doc, err) = unsafe { (Out::new(doc), Out::new(err)) };
    guard(err, || {
        let doc = doc.required("doc")?;
        let (held, name) = (PASTS.get(past)?, collection.text("collection")?);
        let found = held.open()?.get(name, id.text("id")?)?;
        let there = found.is_some();
        if let Some(document) = found {
            doc.set(DOCS.insert(document));
        }
        was_there(there)
    })
}

/// Begins a scan of a collection as it was, to be gone on with as one of lit_collection_scan:
/// lit_scan_next, lit_scan_doc.
///
/// `*scan` is yours: free it with lit_scan_free. It outlives the past. `options` may be NULL for
/// all documents.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT (name, options).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_past_scan(
    past: *mut lit_past_t,
    collection: lit_slice_t,
    options: *const lit_scan_options_t,
    scan: *mut *mut lit_scan_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(scan), Out::new(err)) };
    guard(err, || {
        let out = out.required("scan")?;
        // SAFETY: `options` is NULL or points to the bytes that its struct_size says.
        let range = unsafe { scan::range(options) }?;
        let held = PASTS.get(past)?;
        let found = held.open()?.scan(collection.text("collection")?, &range)?;
        out.set(scan::begin(held.shared.clone(), found));
        Ok(LIT_OK)
    })
}

/// What changed between the checkpoint `label` and the checkpoint `other`, or now if that is
/// {NULL, 0}; of one collection, or of all if `collection` is {NULL, 0}. Collection by collection,
/// in the order of names and ids, as it is at this moment. lit_diff_next goes through it.
///
/// `*diff` is yours: free it with lit_diff_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint; LIT_ERR_INVALID_INPUT (name).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_diff(
    store: *mut lit_store_t,
    label: lit_slice_t,
    other: lit_slice_t,
    collection: lit_slice_t,
    diff: *mut *mut lit_diff_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(diff), Out::new(err)) };
    guard(err, || {
        let out = out.required("diff")?;
        let shared = shared(store)?;
        let found = shared.open()?.diff(label.text("label")?, other.optional_text("other")?)?;
        let found = match collection.optional_text("collection")? {
            None => found,
            Some(name) => {
                shared.open()?.collection(name)?;
                found.of_collection(name)
            }
        };
        out.set(begin(shared, Vec::new(), found));
        Ok(LIT_OK)
    })
}

/// Goes to the next document that differs. LIT_END if there is none.
///
/// `*json` is {"collection", "id", "before", "after", "written", "kept"}: what the document showed,
/// each null if it was not there; who wrote what is there now, each {"path", "author",
/// "incarnation", "seq", "time"}; and what a revert keeps, in the same way. It belongs to `diff`: valid until the next call on it.
/// One thread at a time. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_diff_next(
    diff: *mut lit_diff_t,
    json: *mut lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let comparing = DIFFS.get(diff)?;
        comparing.shared.open_since(comparing.suspensions)?;
        let mut cursor = comparing.state.lock().map_err(|_| Fault::panicked("diff"))?;
        if let Some(failed) = &cursor.failed {
            return Err(failed.clone());
        }
        let found = match cursor.found.next() {
            None => return Ok(LIT_END),
            Some(Ok(found)) => found,
            Some(Err(err)) => return Err(cursor.failed.insert(err.into()).clone()),
        };
        cursor.json = json::difference(&found);
        json.set(lit_slice_t::of(cursor.json.as_bytes()));
        Ok(LIT_OK)
    })
}

/// Of a lit_diff_t of lit_store_revert_plan, as a JSON array of names: collections that were left
/// since the checkpoint, and would not be written again. Of any other, [].
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_diff_left_json(
    diff: *mut lit_diff_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::names(&DIFFS.get(diff)?.left).into());
        Ok(LIT_OK)
    })
}

/// Frees the handle. Harmless for NULL.
///
/// One thread at a time. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_diff_free(diff: *mut lit_diff_t) {
    guard_free(|| drop(DIFFS.remove(diff)));
}

/// A dry run of lit_store_revert: what it would write, and nothing is written. Of each document
/// what it shows now, "before", and what it would show, "after"; of a field alone, nothing else is
/// in either. lit_diff_next goes through it.
///
/// `*diff` is yours: free it with lit_diff_free.
/// Thread-safe. Blocks: disk.
/// Errors: as of lit_store_revert, but those of writing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_revert_plan(
    store: *mut lit_store_t,
    label: lit_slice_t,
    collection: lit_slice_t,
    id: lit_slice_t,
    path: lit_slice_t,
    diff: *mut *mut lit_diff_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(diff), Out::new(err)) };
    guard(err, || {
        let out = out.required("diff")?;
        let shared = shared(store)?;
        let scope = scope(&collection, &id, &path)?;
        let plan = shared.open()?.revert_plan(label.text("label")?, &scope)?;
        out.set(begin(shared, plan.left().to_vec(), plan));
        Ok(LIT_OK)
    })
}

/// Brings documents back to what they showed at a checkpoint, by new transactions: durable when
/// this returns, and replicated like any edit. Only what differs is written, field by field; what
/// was not there then is deleted. `collection`, `id` and `path` say how much: one collection, one
/// document of it, one field of that; {NULL, 0} is all. It goes in batches: what was done before an
/// error stays, and doing it again goes on. Make a checkpoint before, to be able to come back.
///
/// `*json` is {"documents", "transactions", "left", "kept"}: how many were changed, by how many
/// transactions, the names of collections that were left since and are not written again, and how
/// many fields were left as they are, since others have changed them. It is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: commit, once for each batch.
/// Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint; LIT_ERR_UNKNOWN_COLLECTION if the
/// collection named was left since; LIT_ERR_INVALID_INPUT for an id without its collection and a
/// path without its id; LIT_ERR_LIMIT_EXCEEDED if more differs in one document than fits into a
/// transaction; LIT_ERR_FORBIDDEN; LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_revert(
    store: *mut lit_store_t,
    label: lit_slice_t,
    collection: lit_slice_t,
    id: lit_slice_t,
    path: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let scope = scope(&collection, &id, &path)?;
        let shared = STORES.get(store)?;
        let done = shared.open()?.revert(label.text("label")?, &scope, &mut |_| ())?;
        json.set(json::reverted(&done).into());
        Ok(LIT_OK)
    })
}

//! Transactions: several writes together, over any collections of a store.

use std::sync::{Arc, Mutex};

use littoral::value::{fields_to_json, fields_to_msgpack, parse_fields, parse_fields_msgpack};
use littoral::{Transaction, Version};

use crate::changes::wait;
use crate::collection::{COLLECTIONS, lit_collection_t, was_there};
use crate::docs::{DOCS, lit_doc_t};
use crate::error::{
    Fault, LIT_NOT_FOUND, LIT_OK, Outcome, guard, guard_free, lit_error_t, lit_status_t,
};
use crate::handles::Registry;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{Shared, lit_store_t, shared};

/// An open transaction: all of it happens, or nothing.
pub struct lit_txn_t(());

/// A transaction until it ends.
struct Writing {
    shared: Arc<Shared>,
    suspensions: u64,
    state: Mutex<Option<Transaction>>,
}

static TXNS: Registry<lit_txn_t, Writing> = Registry::new("txn");

impl Writing {
    /// Uses the open transaction.
    fn with<T>(&self, use_it: impl FnOnce(&mut Transaction) -> Outcome<T>) -> Outcome<T> {
        self.shared.open_since(self.suspensions)?;
        let mut state = self.state.lock().map_err(|_| Fault::panicked("txn"))?;
        use_it(state.as_mut().ok_or_else(ended)?)
    }

    /// Ends the transaction, by giving it out.
    fn end(&self) -> Outcome<Transaction> {
        self.state.lock().map_err(|_| Fault::panicked("txn"))?.take().ok_or_else(ended)
    }
}

fn ended() -> Fault {
    Fault::closed("the transaction has been committed or rolled back")
}

/// Uses the open transaction on a collection of its store, by name.
pub(crate) fn with<T>(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    use_it: impl FnOnce(&mut Transaction, &str) -> Outcome<T>,
) -> Outcome<T> {
    let (writing, held) = (TXNS.get(txn)?, COLLECTIONS.get(collection)?);
    let name = held.open()?.name();
    if !Arc::ptr_eq(&writing.shared, &held.shared) {
        return Err(Fault::invalid("the collection was opened from another store than the txn"));
    }
    writing.with(|txn| use_it(txn, name))
}

/// Begins a transaction. One is open at a time in a store: others, and the single writes of
/// lit_collection_*, wait for it, and give LIT_ERR_TIMEOUT after 30 seconds; so don't use those
/// in the thread that has a transaction open. Reads and sync don't wait. Reads in the
/// transaction (lit_txn_get_json) see what it has written, reads outside don't.
///
/// `timeout_ms` is how long to wait for another write to end, for instance 30000; 0 is not at all.
/// `*txn` is yours: free it with lit_txn_free, which rolls back what was not committed.
/// Thread-safe. Blocks: for another write, for the time given.
/// Errors: LIT_ERR_TIMEOUT, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_begin(
    store: *mut lit_store_t,
    timeout_ms: i64,
    txn: *mut *mut lit_txn_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(txn), Out::new(err)) };
    guard(err, || {
        let out = out.required("txn")?;
        let shared = shared(store)?;
        let suspensions = shared.suspensions();
        let state = Mutex::new(Some(shared.open()?.begin_within(wait(timeout_ms))?));
        out.set(TXNS.insert(Writing { shared, suspensions, state }));
        Ok(LIT_OK)
    })
}

/// Commits: when it returns LIT_OK, all of it is durable and visible. The transaction has ended
/// either way; the handle is still to be freed.
///
/// One thread at a time. Blocks: commit.
/// Errors: LIT_ERR_CLOSED if it has ended before; LIT_ERR_LIMIT_EXCEEDED over 16 MiB;
/// LIT_ERR_DISK_FULL, LIT_ERR_IO, LIT_ERR_POISONED. After any of them nothing of it is visible.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_commit(
    txn: *mut lit_txn_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let writing = TXNS.get(txn)?;
        writing.shared.open()?;
        writing.end()?.commit()?;
        Ok(LIT_OK)
    })
}

/// Commits as lit_txn_commit, but returns when it is visible here. It is durable, and goes to
/// peers, with the next lit_store_flush or durable write; a crash before loses it whole. For
/// bulk loads.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_txn_commit.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_commit_deferred(
    txn: *mut lit_txn_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let writing = TXNS.get(txn)?;
        writing.shared.open()?;
        writing.end()?.commit_deferred()?;
        Ok(LIT_OK)
    })
}

/// Gives up all of it. The handle is still to be freed.
///
/// One thread at a time. Does not block.
/// Errors: LIT_ERR_CLOSED if it has ended before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_rollback(
    txn: *mut lit_txn_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        TXNS.get(txn)?.end()?.rollback();
        Ok(LIT_OK)
    })
}

/// Frees the handle, and rolls back if the transaction has not ended. Harmless for NULL.
///
/// One thread at a time. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_txn_free(txn: *mut lit_txn_t) {
    guard_free(|| drop(TXNS.remove(txn)));
}

/// Reads a document as the transaction leaves it, as lit_collection_get_json.
///
/// `*json` is yours: free it with lit_bytes_free.
/// One thread at a time. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_json(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let id = id.text("id")?;
        with(txn, collection, |txn, name| match txn.get(name, id)? {
            None => Ok(LIT_NOT_FOUND),
            Some(document) => {
                json.set(fields_to_json(document.fields()).to_string().into());
                Ok(LIT_OK)
            }
        })
    })
}

/// Replaces a document, as lit_collection_put_json.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_put_json, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_put_json(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, fields) = (id.text("id")?, parse_fields(json.bytes("json")?)?);
        with(txn, collection, |txn, name| Ok(txn.put(name, id, &fields)?))?;
        Ok(LIT_OK)
    })
}

/// Puts back a document that was read at `version`, as lit_collection_put_json_version.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_put_json_version, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_put_json_version(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: lit_slice_t,
    version: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, fields) = (id.text("id")?, parse_fields(json.bytes("json")?)?);
        let version = Version::from_bytes(version.bytes("version")?);
        with(txn, collection, |txn, name| Ok(txn.put(name, id, (&fields, &version))?))?;
        Ok(LIT_OK)
    })
}

/// Writes the fields given, as lit_collection_merge_json.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_merge_json, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_merge_json(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, fields) = (id.text("id")?, parse_fields(json.bytes("json")?)?);
        with(txn, collection, |txn, name| Ok(txn.merge(name, id, &fields)?))?;
        Ok(LIT_OK)
    })
}

/// Reads a document as the transaction leaves it, as lit_collection_get.
///
/// `*doc` is yours: free it with lit_doc_free. It outlives the transaction.
/// One thread at a time. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    doc: *mut *mut lit_doc_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (doc, err) = unsafe { (Out::new(doc), Out::new(err)) };
    guard(err, || {
        let doc = doc.required("doc")?;
        let id = id.text("id")?;
        with(txn, collection, |txn, name| match txn.get(name, id)? {
            None => Ok(LIT_NOT_FOUND),
            Some(document) => {
                doc.set(DOCS.insert(document));
                Ok(LIT_OK)
            }
        })
    })
}

/// Reads a document as the transaction leaves it, as lit_collection_get_msgpack.
///
/// `*msgpack` is yours: free it with lit_bytes_free.
/// One thread at a time. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_msgpack(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (msgpack, err) = unsafe { (Out::new(msgpack), Out::new(err)) };
    guard(err, || {
        let msgpack = msgpack.required("msgpack")?;
        let id = id.text("id")?;
        with(txn, collection, |txn, name| match txn.get(name, id)? {
            None => Ok(LIT_NOT_FOUND),
            Some(document) => {
                msgpack.set(fields_to_msgpack(document.fields()).into());
                Ok(LIT_OK)
            }
        })
    })
}

/// Replaces a document, as lit_collection_put_msgpack.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_put_msgpack, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_put_msgpack(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, fields) = (id.text("id")?, parse_fields_msgpack(msgpack.bytes("msgpack")?)?);
        with(txn, collection, |txn, name| Ok(txn.put(name, id, &fields)?))?;
        Ok(LIT_OK)
    })
}

/// Puts back a document that was read at `version`, as lit_collection_put_msgpack_version.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_put_msgpack_version, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_put_msgpack_version(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: lit_slice_t,
    version: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, fields) = (id.text("id")?, parse_fields_msgpack(msgpack.bytes("msgpack")?)?);
        let version = Version::from_bytes(version.bytes("version")?);
        with(txn, collection, |txn, name| Ok(txn.put(name, id, (&fields, &version))?))?;
        Ok(LIT_OK)
    })
}

/// Writes the fields given, as lit_collection_merge_msgpack.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_merge_msgpack, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_merge_msgpack(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, fields) = (id.text("id")?, parse_fields_msgpack(msgpack.bytes("msgpack")?)?);
        with(txn, collection, |txn, name| Ok(txn.merge(name, id, &fields)?))?;
        Ok(LIT_OK)
    })
}

/// Deletes a document, as lit_collection_delete. LIT_NOT_FOUND if there was none.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_delete, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_delete(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let id = id.text("id")?;
        with(txn, collection, |txn, name| was_there(txn.delete(name, id)?))
    })
}

/// Deletes what the reader of `version` had seen, as lit_collection_delete_version.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_delete_version, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_delete_version(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    version: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let id = id.text("id")?;
        let version = Version::from_bytes(version.bytes("version")?);
        with(txn, collection, |txn, name| was_there(txn.delete_version(name, id, &version)?))
    })
}

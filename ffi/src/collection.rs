//! Collections: whole documents, as JSON or MessagePack.

use std::sync::Arc;

use littoral::value::{
    fields_to_json, fields_to_msgpack, parse_field, parse_fields, parse_fields_msgpack,
};
use littoral::{Collection, Version};

use crate::docs::{DOCS, lit_doc_t};
use crate::error::{LIT_NOT_FOUND, LIT_OK, Outcome, guard, guard_free, lit_error_t, lit_status_t};
use crate::handles::Registry;
use crate::json;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{Shared, lit_store_t, shared};

/// A collection of a store: documents by id.
pub struct lit_collection_t(());

/// A collection and its store.
pub(crate) struct Held {
    pub(crate) shared: Arc<Shared>,
    collection: Collection,
}

pub(crate) static COLLECTIONS: Registry<lit_collection_t, Held> = Registry::new("collection");

impl Held {
    /// The collection, if its store is open.
    pub(crate) fn open(&self) -> Outcome<&Collection> {
        self.shared.open()?;
        Ok(&self.collection)
    }
}

/// `LIT_OK` for something that was there, `LIT_NOT_FOUND` for something that was not.
pub(crate) fn was_there(there: bool) -> Outcome {
    Ok(if there { LIT_OK } else { LIT_NOT_FOUND })
}

/// The collection `name` of a store. It need not exist: it begins with its first write, here or
/// at a peer. A name has 1 to 128 letters, digits, '_', '-' and '.', and starts with none of
/// '-' and '.'.
///
/// `*collection` is yours: free it with lit_collection_free. It keeps what it needs of the
/// store, but works only until the store is closed.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (name).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_open(
    store: *mut lit_store_t,
    name: lit_slice_t,
    collection: *mut *mut lit_collection_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(collection), Out::new(err)) };
    guard(err, || {
        let out = out.required("collection")?;
        let shared = shared(store)?;
        let collection = shared.open()?.collection(name.text("name")?)?;
        out.set(COLLECTIONS.insert(Held { shared, collection }));
        Ok(LIT_OK)
    })
}

/// Frees a collection's handle; its documents stay. Harmless for NULL.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_collection_free(collection: *mut lit_collection_t) {
    guard_free(|| drop(COLLECTIONS.remove(collection)));
}

/// How many documents there are. Counted, not computed: cheap however many.
///
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_len(
    collection: *mut lit_collection_t,
    len: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (len, err) = unsafe { (Out::new(len), Out::new(err)) };
    guard(err, || {
        let len = len.required("len")?;
        len.set(COLLECTIONS.get(collection)?.open()?.len());
        Ok(LIT_OK)
    })
}

/// Reads a document, with its version. LIT_NOT_FOUND if there is none; then `*doc` is NULL.
///
/// `*doc` is yours: free it with lit_doc_free. It shows this moment for as long as it lives.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    doc: *mut *mut lit_doc_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (doc, err) = unsafe { (Out::new(doc), Out::new(err)) };
    guard(err, || {
        let doc = doc.required("doc")?;
        match COLLECTIONS.get(collection)?.open()?.get(id.text("id")?)? {
            None => Ok(LIT_NOT_FOUND),
            Some(document) => {
                doc.set(DOCS.insert(document));
                Ok(LIT_OK)
            }
        }
    })
}

/// Reads a document as JSON. LIT_NOT_FOUND if there is none; then `*json` is {NULL, 0}.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_json(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        match COLLECTIONS.get(collection)?.open()?.get(id.text("id")?)? {
            None => Ok(LIT_NOT_FOUND),
            Some(document) => {
                json.set(fields_to_json(document.fields()).to_string().into());
                Ok(LIT_OK)
            }
        }
    })
}

/// Replaces the document that is there now, or begins one. Written is the difference only. To
/// put back what you read and changed, see lit_collection_put_json_version.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (id, JSON), LIT_ERR_LIMIT_EXCEEDED, LIT_ERR_WRONG_KIND (a plain
/// number over a counter), LIT_ERR_TIMEOUT, LIT_ERR_DISK_FULL, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_put_json(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (id, fields) = (id.text("id")?, parse_fields(json.bytes("json")?)?);
        held.open()?.put(id, &fields)?;
        Ok(LIT_OK)
    })
}

/// Puts back a document that was read at `version` and changed since: writes the difference
/// between `json` and what was read, so that what came in between, from here or from peers,
/// stays. An empty version means that you saw no document.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json; LIT_ERR_INVALID_INPUT for a version that no
/// lit_doc_version gave.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_put_json_version(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: lit_slice_t,
    version: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (id, fields) = (id.text("id")?, parse_fields(json.bytes("json")?)?);
        let version = Version::from_bytes(version.bytes("version")?);
        held.open()?.put(id, (&fields, &version))?;
        Ok(LIT_OK)
    })
}

/// Writes the fields given in `json`, at every depth, and leaves the others alone.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_merge_json(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (id, fields) = (id.text("id")?, parse_fields(json.bytes("json")?)?);
        held.open()?.merge(id, &fields)?;
        Ok(LIT_OK)
    })
}

/// Reads a document as MessagePack. LIT_NOT_FOUND if there is none; then `*msgpack` is {NULL, 0}.
///
/// `*msgpack` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_msgpack(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (msgpack, err) = unsafe { (Out::new(msgpack), Out::new(err)) };
    guard(err, || {
        let msgpack = msgpack.required("msgpack")?;
        match COLLECTIONS.get(collection)?.open()?.get(id.text("id")?)? {
            None => Ok(LIT_NOT_FOUND),
            Some(document) => {
                msgpack.set(fields_to_msgpack(document.fields()).into());
                Ok(LIT_OK)
            }
        }
    })
}

/// Replaces a document, as lit_collection_put_json, from MessagePack.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json; LIT_ERR_INVALID_INPUT for MessagePack that is malformed, cut
/// short or followed by more.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_put_msgpack(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (id, fields) = (id.text("id")?, parse_fields_msgpack(msgpack.bytes("msgpack")?)?);
        held.open()?.put(id, &fields)?;
        Ok(LIT_OK)
    })
}

/// Puts back a document that was read at `version`, as lit_collection_put_json_version, from
/// MessagePack.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json_version and lit_collection_put_msgpack.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_put_msgpack_version(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: lit_slice_t,
    version: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (id, fields) = (id.text("id")?, parse_fields_msgpack(msgpack.bytes("msgpack")?)?);
        let version = Version::from_bytes(version.bytes("version")?);
        held.open()?.put(id, (&fields, &version))?;
        Ok(LIT_OK)
    })
}

/// Writes the fields given, as lit_collection_merge_json, from MessagePack.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_msgpack.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_merge_msgpack(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    msgpack: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (id, fields) = (id.text("id")?, parse_fields_msgpack(msgpack.bytes("msgpack")?)?);
        held.open()?.merge(id, &fields)?;
        Ok(LIT_OK)
    })
}

/// Whether there is a document with this id: LIT_OK or LIT_NOT_FOUND. Reads less than
/// lit_collection_get.
///
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_contains(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || was_there(COLLECTIONS.get(collection)?.open()?.contains(id.text("id")?)?))
}

/// Forgets the collection on this device, without deleting its documents at peers: it comes back
/// when it is synced or written again. What was written here and never reached a peer is lost;
/// `unsent`, how many transactions that were, may be NULL. LIT_NOT_FOUND if it was not here.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_TIMEOUT, LIT_ERR_DISK_FULL, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_leave(
    collection: *mut lit_collection_t,
    unsent: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (unsent, err) = unsafe { (Out::new(unsent), Out::new(err)) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let (name, store) = (held.open()?.name(), held.shared.open()?);
        let lost = store.unsent(name);
        let there = store.leave(name)?;
        if there {
            unsent.set(lost);
        }
        was_there(there)
    })
}

/// Deletes a document. LIT_NOT_FOUND if there was none. An edit by a peer that had not seen
/// the deletion keeps the document alive with that edit.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_delete(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || was_there(COLLECTIONS.get(collection)?.open()?.delete(id.text("id")?)?))
}

/// Deletes what the reader of `version` had seen of a document; what came in between stays.
/// LIT_NOT_FOUND if nothing was left of that.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json_version.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_delete_version(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    version: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let version = Version::from_bytes(version.bytes("version")?);
        let held = COLLECTIONS.get(collection)?;
        was_there(held.open()?.delete_version(id.text("id")?, &version)?)
    })
}

/// The conflicts of a collection, as a JSON array: fields that several replicas wrote without
/// having seen each other's writes. Each is an object of collection, id, path (a JSON Pointer)
/// and candidates; the first candidate is the one that reads show, everywhere. A candidate has
/// value, author (the node's key) and time (by the author's clock, RFC 3339).
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_conflicts_json(
    collection: *mut lit_collection_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::conflicts(&COLLECTIONS.get(collection)?.open()?.conflicts()?).into());
        Ok(LIT_OK)
    })
}

/// Settles the conflict at `path` for `choice`, JSON: one of the candidates' values or a new one.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_put_json; LIT_ERR_INVALID_INPUT (path).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_resolve(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    choice: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        let path = path.path()?;
        let choice = parse_field(choice.bytes("choice")?, &path)?;
        held.open()?.resolve(id.text("id")?, &path, &choice)?;
        Ok(LIT_OK)
    })
}

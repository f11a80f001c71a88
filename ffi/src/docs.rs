//! Documents as they were read: content, version, conflicts.

use littoral::Document;
use littoral::value::{fields_to_json, fields_to_msgpack};

use crate::error::{LIT_OK, Outcome, guard, guard_free, lit_error_t, lit_status_t};
use crate::fields::{hand_out, to_bool, to_bytes, to_f64, to_i64, to_json, to_text};
use crate::handles::Registry;
use crate::json;
use crate::slices::{Out, Zeroed, lit_bytes_t, lit_slice_t};

/// A document as it was read: it never changes, and lives on when its store is closed.
pub struct lit_doc_t(());

pub(crate) static DOCS: Registry<lit_doc_t, Document> = Registry::new("doc");

fn read<T: Zeroed>(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    out: Out<'_, T>,
    wanted: &str,
    convert: impl FnOnce(&littoral::Field) -> Option<T>,
) -> Outcome {
    let out = out.required("value")?;
    let path = path.text("path")?;
    DOCS.with(doc, |doc| hand_out(doc.get_pointer(path)?, path, out, wanted, convert))
}

/// Frees a document's handle; the document in the store stays. Harmless for NULL.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_doc_free(doc: *mut lit_doc_t) {
    guard_free(|| drop(DOCS.remove(doc)));
}

/// The document's id. `*id` belongs to `doc`: valid until lit_doc_free.
///
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_id(
    doc: *mut lit_doc_t,
    id: *mut lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (id, err) = unsafe { (Out::new(id), Out::new(err)) };
    guard(err, || {
        let id = id.required("id")?;
        id.set(lit_slice_t::of(DOCS.get(doc)?.id().as_bytes()));
        Ok(LIT_OK)
    })
}

/// The document as JSON.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_json(
    doc: *mut lit_doc_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(fields_to_json(DOCS.get(doc)?.fields()).to_string().into());
        Ok(LIT_OK)
    })
}

/// The document as MessagePack.
///
/// `*msgpack` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_msgpack(
    doc: *mut lit_doc_t,
    msgpack: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (msgpack, err) = unsafe { (Out::new(msgpack), Out::new(err)) };
    guard(err, || {
        let msgpack = msgpack.required("msgpack")?;
        msgpack.set(fields_to_msgpack(DOCS.get(doc)?.fields()).into());
        Ok(LIT_OK)
    })
}

/// What its reader has seen, as opaque bytes: hand them to lit_collection_put_json_version or
/// lit_collection_delete_version, now or after a restart. Not for comparing: two readers of the
/// same document may get different bytes.
///
/// `*version` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_version(
    doc: *mut lit_doc_t,
    version: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (version, err) = unsafe { (Out::new(version), Out::new(err)) };
    guard(err, || {
        let version = version.required("version")?;
        version.set(DOCS.get(doc)?.version().as_bytes().to_vec().into());
        Ok(LIT_OK)
    })
}

/// The document's conflicts, as lit_collection_conflicts_json has them, but with an empty
/// collection.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_conflicts_json(
    doc: *mut lit_doc_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::conflicts(&DOCS.get(doc)?.conflicts()).into());
        Ok(LIT_OK)
    })
}

/// One field as JSON. LIT_NOT_FOUND if there is none.
///
/// `*value` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (path).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_get_field_json(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(doc, path, value, "anything", to_json))
}

/// An integer, or the sum of a counter. LIT_NOT_FOUND if there is no such field.
///
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_get_i64(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    value: *mut i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(doc, path, value, "an integer or a counter", to_i64))
}

/// A float, or an integer that a double holds exactly. LIT_NOT_FOUND if there is no such field.
///
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_get_f64(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    value: *mut f64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(doc, path, value, "a number", to_f64))
}

/// A truth value. LIT_NOT_FOUND if there is no such field.
///
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_get_bool(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    value: *mut bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(doc, path, value, "a truth value", to_bool))
}

/// Text. LIT_NOT_FOUND if there is no such field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_get_text(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(doc, path, value, "text", to_text))
}

/// Bytes. LIT_NOT_FOUND if there is no such field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_doc_get_bytes(
    doc: *mut lit_doc_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(doc, path, value, "bytes", to_bytes))
}

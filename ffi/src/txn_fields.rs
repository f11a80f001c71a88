//! Transactions: single fields, sets and counters.

use littoral::value::{parse_field, parse_value};
use littoral::{Field, Value};

use crate::collection::{lit_collection_t, was_there};
use crate::error::{LIT_OK, Outcome, guard, lit_error_t, lit_status_t};
use crate::fields::{hand_out, to_bool, to_bytes, to_f64, to_i64, to_json, to_text};
use crate::slices::{Out, Zeroed, lit_bytes_t, lit_slice_t};
use crate::txn::{lit_txn_t, with};

/// Hands out one field as the transaction leaves it.
fn read<T: Zeroed>(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    (id, path): (lit_slice_t, lit_slice_t),
    out: Out<'_, T>,
    wanted: &str,
    convert: impl FnOnce(&Field) -> Option<T>,
) -> Outcome {
    let out = out.required("value")?;
    let (id, path) = (id.text("id")?, path.path()?);
    let field = with(txn, collection, |txn, name| Ok(txn.get_field(name, id, &path)?))?;
    hand_out(field.as_ref(), &path, out, wanted, convert)
}

/// One field as JSON. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_get_field_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_field_json(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(txn, collection, (id, path), value, "anything", to_json))
}

/// An integer, or the sum of a counter. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_get_i64.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_i64(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(txn, collection, (id, path), value, "an integer or a counter", to_i64))
}

/// A float, or an integer that a double holds exactly. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_get_f64.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_f64(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut f64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(txn, collection, (id, path), value, "a number", to_f64))
}

/// A truth value. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_get_bool.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_bool(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(txn, collection, (id, path), value, "a truth value", to_bool))
}

/// Text. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_get_text.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_text(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(txn, collection, (id, path), value, "text", to_text))
}

/// Bytes. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_get_bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_get_bytes(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(txn, collection, (id, path), value, "bytes", to_bytes))
}

/// Writes one field, from JSON.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_set_json, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_set_json(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let field = parse_field(json.bytes("json")?, &path)?;
        with(txn, collection, |txn, name| Ok(txn.set(name, id, path, field)?))?;
        Ok(LIT_OK)
    })
}

/// Writes an integer.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_set_i64, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_set_i64(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let field = Field::from(value);
        with(txn, collection, |txn, name| Ok(txn.set(name, id, path, field)?))?;
        Ok(LIT_OK)
    })
}

/// Writes a float.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_set_f64, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_set_f64(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: f64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let field = Field::from(value);
        with(txn, collection, |txn, name| Ok(txn.set(name, id, path, field)?))?;
        Ok(LIT_OK)
    })
}

/// Writes a truth value.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_set_bool, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_set_bool(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let field = Field::from(value);
        with(txn, collection, |txn, name| Ok(txn.set(name, id, path, field)?))?;
        Ok(LIT_OK)
    })
}

/// Writes text.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_set_text, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_set_text(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let field = Field::from(value.text("value")?);
        with(txn, collection, |txn, name| Ok(txn.set(name, id, path, field)?))?;
        Ok(LIT_OK)
    })
}

/// Writes bytes.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_set_bytes, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_set_bytes(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let field = Field::Value(Value::Bytes(value.bytes("value")?.to_vec()));
        with(txn, collection, |txn, name| Ok(txn.set(name, id, path, field)?))?;
        Ok(LIT_OK)
    })
}

/// Removes one field. LIT_NOT_FOUND if there was none.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_unset, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_unset(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        with(txn, collection, |txn, name| was_there(txn.unset(name, id, path)?))
    })
}

/// Adds an element, JSON of a scalar, to the set at `path`.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_add, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_add(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let element = parse_value(element.bytes("element")?, &path)?;
        with(txn, collection, |txn, name| Ok(txn.add(name, id, path, element)?))?;
        Ok(LIT_OK)
    })
}

/// Adds text to the set at `path`.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_add_text, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_add_text(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let element = element.text("element")?;
        with(txn, collection, |txn, name| Ok(txn.add(name, id, path, element)?))?;
        Ok(LIT_OK)
    })
}

/// Removes an element, JSON of a scalar, from the set at `path`. LIT_NOT_FOUND if it was not in it.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_remove, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_remove(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let element = parse_value(element.bytes("element")?, &path)?;
        with(txn, collection, |txn, name| was_there(txn.remove(name, id, path, element)?))
    })
}

/// Removes text from the set at `path`. LIT_NOT_FOUND if it was not in it.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_remove_text, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_remove_text(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let element = element.text("element")?;
        with(txn, collection, |txn, name| was_there(txn.remove(name, id, path, element)?))
    })
}

/// Whether the set at `path` has an element, from JSON, as the transaction leaves it: LIT_OK or
/// LIT_NOT_FOUND.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_has.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_has(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let element = parse_value(element.bytes("element")?, &path)?;
        with(txn, collection, |txn, name| was_there(txn.has(name, id, path, element)?))
    })
}

/// Whether the set at `path` has this text, as the transaction leaves it: LIT_OK or LIT_NOT_FOUND.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_has_text.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_has_text(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path, element) = (id.text("id")?, path.path()?, element.text("element")?);
        with(txn, collection, |txn, name| was_there(txn.has(name, id, path, element)?))
    })
}

/// Adds `by` to the counter at `path`.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_increment, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_increment(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    by: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        with(txn, collection, |txn, name| Ok(txn.increment(name, id, path, by)?))?;
        Ok(LIT_OK)
    })
}

/// Settles the conflict at `path` for `choice`, JSON.
///
/// One thread at a time. Blocks: disk.
/// Errors: as lit_collection_resolve, except of committing.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_txn_resolve(
    txn: *mut lit_txn_t,
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    choice: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (id, path) = (id.text("id")?, path.path()?);
        let choice = parse_field(choice.bytes("choice")?, &path)?;
        with(txn, collection, |txn, name| Ok(txn.resolve(name, id, path, &choice)?))?;
        Ok(LIT_OK)
    })
}

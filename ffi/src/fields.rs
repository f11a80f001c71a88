//! Fields: reading and writing one, typed, so that scalars need no JSON.

use std::fmt::Display;

use littoral::value::{field_to_json, parse_field, parse_value};
use littoral::{Field, Path, Value};

use crate::collection::{COLLECTIONS, lit_collection_t, was_there};
use crate::error::{
    Fault, LIT_ERR_WRONG_KIND, LIT_NOT_FOUND, LIT_OK, Outcome, guard, lit_error_t, lit_status_t,
};
use crate::slices::{Out, Zeroed, lit_bytes_t, lit_slice_t};

/// Hands out the field, as what `convert` makes of it; the place stays blank if there is none.
pub(crate) fn hand_out<T: Zeroed>(
    field: Option<&Field>,
    path: impl Display,
    out: Out<'_, T>,
    wanted: &str,
    convert: impl FnOnce(&Field) -> Option<T>,
) -> Outcome {
    let Some(field) = field else { return Ok(LIT_NOT_FOUND) };
    let value = convert(field).ok_or_else(|| {
        let found = field.kind();
        let message = format!("the field at '{path}' is of kind {found}; wanted was {wanted}");
        Fault::new(LIT_ERR_WRONG_KIND, message)
    })?;
    out.set(value);
    Ok(LIT_OK)
}

fn read<T: Zeroed>(
    collection: *mut lit_collection_t,
    (id, path): (lit_slice_t, lit_slice_t),
    out: Out<'_, T>,
    wanted: &str,
    convert: impl FnOnce(&Field) -> Option<T>,
) -> Outcome {
    let out = out.required("value")?;
    let (held, path) = (COLLECTIONS.get(collection)?, path.path()?);
    let field = held.open()?.get_field(id.text("id")?, &path)?;
    hand_out(field.as_ref(), &path, out, wanted, convert)
}

pub(crate) fn to_json(field: &Field) -> Option<lit_bytes_t> {
    Some(field_to_json(field).to_string().into())
}

pub(crate) fn to_i64(field: &Field) -> Option<i64> {
    field.as_counter().or_else(|| field.as_value()?.as_i64())
}

/// A float, or an integer that a float holds exactly.
pub(crate) fn to_f64(field: &Field) -> Option<f64> {
    const EXACT: i64 = 1 << f64::MANTISSA_DIGITS;
    let value = field.as_value()?;
    let integer = || value.as_i64().filter(|n| (-EXACT..=EXACT).contains(n));
    value.as_f64().or_else(|| integer().map(|n| n as f64))
}

pub(crate) fn to_bool(field: &Field) -> Option<bool> {
    field.as_value()?.as_bool()
}

pub(crate) fn to_text(field: &Field) -> Option<lit_bytes_t> {
    Some(field.as_str()?.to_owned().into())
}

pub(crate) fn to_bytes(field: &Field) -> Option<lit_bytes_t> {
    match field.as_value()? {
        Value::Bytes(bytes) => Some(bytes.clone().into()),
        _ => None,
    }
}

/// What a caller writes: the field that `value` makes, and the path that it is for.
fn write(
    collection: *mut lit_collection_t,
    (id, path): (lit_slice_t, lit_slice_t),
    value: impl FnOnce(&Path) -> Outcome<Field>,
) -> Outcome {
    let (held, path) = (COLLECTIONS.get(collection)?, path.path()?);
    let field = value(&path)?;
    held.open()?.set(id.text("id")?, path, field)?;
    Ok(LIT_OK)
}

/// Reads one field of a document as JSON. LIT_NOT_FOUND if there is no such document or field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id, path).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_field_json(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(collection, (id, path), value, "anything", to_json))
}

/// Reads an integer, or the sum of a counter. LIT_NOT_FOUND if there is no such document or field.
///
/// Thread-safe. Blocks: disk.
/// Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND, also for an integer beyond 64
/// bits with sign.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_i64(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(collection, (id, path), value, "an integer or a counter", to_i64))
}

/// Reads a float, or an integer that a double holds exactly. LIT_NOT_FOUND if there is no such
/// document or field.
///
/// Thread-safe. Blocks: disk.
/// Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_f64(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut f64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(collection, (id, path), value, "a number", to_f64))
}

/// Reads a truth value. LIT_NOT_FOUND if there is no such document or field.
///
/// Thread-safe. Blocks: disk.
/// Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_bool(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(collection, (id, path), value, "a truth value", to_bool))
}

/// Reads text. LIT_NOT_FOUND if there is no such document or field. Text may hold NUL: go by
/// its length.
///
/// `*value` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_text(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(collection, (id, path), value, "text", to_text))
}

/// Reads bytes. LIT_NOT_FOUND if there is no such document or field.
///
/// `*value` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_get_bytes(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (value, err) = unsafe { (Out::new(value), Out::new(err)) };
    guard(err, || read(collection, (id, path), value, "bytes", to_bytes))
}

/// Writes one field, from JSON: any kind, null included. Maps on the way to it are made.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (id, path, JSON), LIT_ERR_LIMIT_EXCEEDED, LIT_ERR_WRONG_KIND (a
/// plain number over a counter), LIT_ERR_TIMEOUT, LIT_ERR_DISK_FULL, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_set_json(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || write(collection, (id, path), |path| Ok(parse_field(json.bytes("json")?, path)?)))
}

/// Writes an integer. For counters, see lit_collection_increment.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_set_i64(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || write(collection, (id, path), |_| Ok(Field::from(value))))
}

/// Writes a float. NaN and infinities are refused with LIT_ERR_INVALID_INPUT.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_set_f64(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: f64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || write(collection, (id, path), |_| Ok(Field::from(value))))
}

/// Writes a truth value.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_set_bool(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || write(collection, (id, path), |_| Ok(Field::from(value))))
}

/// Writes text.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json; LIT_ERR_INVALID_INPUT for what is not UTF-8.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_set_text(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || write(collection, (id, path), |_| Ok(Field::from(value.text("value")?))))
}

/// Writes bytes.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_set_bytes(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    value: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        write(collection, (id, path), |_| {
            Ok(Field::Value(Value::Bytes(value.bytes("value")?.to_vec())))
        })
    })
}

/// Removes one field. LIT_NOT_FOUND if there was none.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_unset(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        was_there(COLLECTIONS.get(collection)?.open()?.unset(id.text("id")?, path.path()?)?)
    })
}

/// Adds an element to the set at `path`, which is made if nothing is there. `element` is JSON of
/// a scalar: "\"sea\"", "3". For text there is lit_collection_add_text.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json; LIT_ERR_WRONG_KIND if something else is there.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_add(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (held, path) = (COLLECTIONS.get(collection)?, path.path()?);
        let element = parse_value(element.bytes("element")?, &path)?;
        held.open()?.add(id.text("id")?, &path, element)?;
        Ok(LIT_OK)
    })
}

/// Adds text to the set at `path`, which is made if nothing is there.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_add.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_add_text(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        held.open()?.add(id.text("id")?, path.path()?, element.text("element")?)?;
        Ok(LIT_OK)
    })
}

/// Removes an element, JSON of a scalar, from the set at `path`. LIT_NOT_FOUND if it was not in
/// it. An addition by a peer that had not seen the removal wins over it.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_add.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_remove(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (held, path) = (COLLECTIONS.get(collection)?, path.path()?);
        let element = parse_value(element.bytes("element")?, &path)?;
        was_there(held.open()?.remove(id.text("id")?, &path, element)?)
    })
}

/// Removes text from the set at `path`. LIT_NOT_FOUND if it was not in it.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_add.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_remove_text(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        was_there(held.open()?.remove(id.text("id")?, path.path()?, element.text("element")?)?)
    })
}

/// Whether the set at `path` has an element, from JSON: LIT_OK or LIT_NOT_FOUND. Reads no other
/// elements of a large set.
///
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id, path, JSON).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_has(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (held, path) = (COLLECTIONS.get(collection)?, path.path()?);
        let element = parse_value(element.bytes("element")?, &path)?;
        was_there(held.open()?.has(id.text("id")?, &path, element)?)
    })
}

/// Whether the set at `path` has this text: LIT_OK or LIT_NOT_FOUND.
///
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id, path, text).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_has_text(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    element: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        was_there(held.open()?.has(id.text("id")?, path.path()?, element.text("element")?)?)
    })
}

/// Adds `by`, which may be negative, to the counter at `path`, which is made if nothing is
/// there. Concurrent increments add up.
///
/// Thread-safe. Blocks: commit.
/// Errors: as lit_collection_set_json; LIT_ERR_WRONG_KIND if something else is there.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_increment(
    collection: *mut lit_collection_t,
    id: lit_slice_t,
    path: lit_slice_t,
    by: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let held = COLLECTIONS.get(collection)?;
        held.open()?.increment(id.text("id")?, path.path()?, by)?;
        Ok(LIT_OK)
    })
}

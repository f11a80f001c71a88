//! Documents as JSON.
//!
//! An object is a map of fields; an array is one register value. What JSON has no word for
//! is an object whose *single* name is one of six:
//!
//! | form | is | where |
//! | --- | --- | --- |
//! | `{"$bytes": "aGk="}` | bytes, as standard base64; padding may be missing when read | anywhere |
//! | `{"$time": "2026-11-22T16:00:00Z"}` | a moment, RFC 3339 | anywhere |
//! | `{"$opaque": {"kind": 7, "bytes": "aGk="}}` | a value of a kind that this version does not know | anywhere |
//! | `{"$set": ["a", "b"]}` | a set of scalars | a field |
//! | `{"$counter": 3}` | a counter | a field |
//! | `{"$literal": {"$set": 1}}` | the object inside, whose own name is not special | anywhere |
//!
//! Invariants: what [`fields_to_json`] writes, [`parse_fields`] reads back unchanged, and
//! the output is sorted. Nothing is guessed: a name given twice, an integer beyond 64 bits,
//! text that is not UTF-8 and a special form of the wrong shape are errors that name the
//! place as a JSON Pointer.
//!
//! An object is always read as a map, so a register that holds an object as a whole comes
//! back as a map of the same content; inside arrays objects stay values. How large a value
//! may be is not checked here but when it is written.

mod at;
mod forms;
mod text;

pub(super) use at::At;
pub(super) use forms::{document, is_special};

use super::{Field, Fields, Path, Value};
use crate::error::Result;

pub use forms::{field_to_json, fields_to_json, value_to_json};

/// The fields of a document, from JSON text (UTF-8).
///
/// Errors: `InvalidInput` with the place, `LimitExceeded` for a document nested too deep.
///
/// ```
/// use littoral::value::{Field, parse_fields};
///
/// let fields = parse_fields(br#"{"title": "Tides", "tags": {"$set": ["sea", "moon"]}}"#)?;
/// assert_eq!(fields["title"].as_str(), Some("Tides"));
/// assert_eq!(fields["tags"], Field::set(["moon", "sea"]));
///
/// let twice = parse_fields(br#"{"a": {"b": 1, "b": 2}}"#).unwrap_err();
/// assert!(twice.to_string().contains("'/a/b'"));
/// # Ok::<(), littoral::Error>(())
/// ```
pub fn parse_fields(text: &[u8]) -> Result<Fields> {
    let root = Path::root();
    let at = At::base(&root);
    forms::document(text::parse(text, &at)?, &at)
}

/// One field, from JSON text (UTF-8). `at` is where it will be: for messages and the depth limit.
pub fn parse_field(text: &[u8], at: &Path) -> Result<Field> {
    let at = At::base(at);
    forms::field(text::parse(text, &at)?, &at)
}

/// One register value or element of a set, from JSON text (UTF-8); an object is a value as a whole.
pub fn parse_value(text: &[u8], at: &Path) -> Result<Value> {
    let at = At::base(at);
    forms::value(text::parse(text, &at)?, &at)
}

/// The fields of a document, from JSON that is parsed already.
///
/// A parser that keeps the last of two equal names, or that turns integers beyond 64 bits
/// into floats, has done so before: prefer [`parse_fields`] for text.
pub fn fields_from_json(json: &serde_json::Value) -> Result<Fields> {
    let root = Path::root();
    let at = At::base(&root);
    forms::document(text::plain(json, &at)?, &at)
}

/// One field, from JSON that is parsed already; as [`parse_field`].
pub fn field_from_json(json: &serde_json::Value, at: &Path) -> Result<Field> {
    let at = At::base(at);
    forms::field(text::plain(json, &at)?, &at)
}

/// One register value or element of a set, from JSON that is parsed already; as [`parse_value`].
pub fn value_from_json(json: &serde_json::Value, at: &Path) -> Result<Value> {
    let at = At::base(at);
    forms::value(text::plain(json, &at)?, &at)
}

#[cfg(test)]
mod tests;

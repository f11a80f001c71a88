//! The special forms: what an object with a single `$` name means, in both directions.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::json;

use super::at::At;
use crate::error::{Error, Result};
use crate::limits::MAX_DEPTH;
use crate::value::{Field, Fields, Value, format_time, parse_time};

/// The MessagePack extension type of times: no unknown kind may claim it.
const KIND_OF_TIME: i64 = 1;

/// The names that are special when they are the only one of an object.
#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Time,
    Set,
    Counter,
    Opaque,
    Literal,
}

impl Form {
    fn of(name: &str) -> Option<Form> {
        Some(match name {
            "$bytes" => Form::Bytes,
            "$time" => Form::Time,
            "$set" => Form::Set,
            "$counter" => Form::Counter,
            "$opaque" => Form::Opaque,
            "$literal" => Form::Literal,
            _ => return None,
        })
    }
}

/// Whether an object whose only name this is would be read as something special.
pub(in crate::value) fn is_special(name: &str) -> bool {
    Form::of(name).is_some()
}

/// An object as it is meant.
enum Object {
    /// With the special name that it has.
    Special(Form, String, Value),
    /// Its members; none of its own names is special.
    Plain(BTreeMap<String, Value>),
}

fn object(mut members: BTreeMap<String, Value>, at: &At<'_>) -> Result<Object> {
    if members.len() != 1 {
        return Ok(Object::Plain(members));
    }
    let (name, content) = members.pop_first().expect("it has one member");
    match (Form::of(&name), content) {
        (None, content) => Ok(Object::Plain(BTreeMap::from([(name, content)]))),
        (Some(Form::Literal), Value::Object(members)) => Ok(Object::Plain(members)),
        (Some(Form::Literal), other) => {
            Err(misshapen("$literal", "takes an object", other.kind(), at))
        }
        (Some(form), content) => Ok(Object::Special(form, name, content)),
    }
}

/// The fields of a document from its plain JSON.
pub(in crate::value) fn document(plain: Value, at: &At<'_>) -> Result<Fields> {
    let members = match plain {
        Value::Object(members) => members,
        other => {
            return Err(Error::invalid(format!(
                "a document is a JSON object with its fields, such as {{\"title\": \"..\"}}; found {}",
                found(&other)
            )));
        }
    };
    match object(members, at)? {
        Object::Plain(members) => fields(members, at),
        Object::Special(_, name, _) => Err(Error::invalid(format!(
            "a document is a map of fields, not a '{name}'; a document whose only field has that \
             name is written {{\"$literal\": {{\"{name}\": ..}}}}"
        ))),
    }
}

fn fields(members: BTreeMap<String, Value>, at: &At<'_>) -> Result<Fields> {
    members
        .into_iter()
        .map(|(name, plain)| {
            let field = field(plain, &at.name(&name))?;
            Ok((name, field))
        })
        .collect()
}

/// One field from its plain JSON.
pub(super) fn field(plain: Value, at: &At<'_>) -> Result<Field> {
    check_depth(at)?;
    let members = match plain {
        Value::Object(members) => members,
        other => return value(other, at).map(Field::Value),
    };
    match object(members, at)? {
        Object::Plain(members) => fields(members, at).map(Field::Map),
        Object::Special(Form::Set, _, content) => set(content, at),
        Object::Special(Form::Counter, _, content) => counter(content, at),
        Object::Special(form, name, content) => {
            special_value(form, &name, content, at).map(Field::Value)
        }
    }
}

/// One register value from its plain JSON.
pub(super) fn value(plain: Value, at: &At<'_>) -> Result<Value> {
    check_depth(at)?;
    match plain {
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| value(item, &at.index(index)))
            .collect::<Result<_>>()
            .map(Value::Array),
        Value::Object(members) => match object(members, at)? {
            Object::Plain(members) => values(members, at).map(Value::Object),
            Object::Special(form, name, content) => special_value(form, &name, content, at),
        },
        scalar => Ok(scalar),
    }
}

fn values(members: BTreeMap<String, Value>, at: &At<'_>) -> Result<BTreeMap<String, Value>> {
    members
        .into_iter()
        .map(|(name, plain)| {
            let value = value(plain, &at.name(&name))?;
            Ok((name, value))
        })
        .collect()
}

fn special_value(form: Form, name: &str, content: Value, at: &At<'_>) -> Result<Value> {
    match (form, content) {
        (Form::Bytes, Value::Text(text)) => bytes(&text, at).map(Value::Bytes),
        (Form::Bytes, other) => Err(misshapen(name, "takes base64 text", other.kind(), at)),
        (Form::Time, Value::Text(text)) => parse_time(&text)
            .map(Value::Time)
            .map_err(|error| Error::invalid(format!("the '$time' {at} can't be read: {error}"))),
        (Form::Time, other) => Err(misshapen(name, "takes RFC 3339 text", other.kind(), at)),
        (Form::Opaque, content) => opaque(content, at),
        (Form::Set | Form::Counter | Form::Literal, _) => Err(Error::invalid(format!(
            "a '{name}' {at}, inside a value; sets and counters are fields: put it outside the \
             array, or write {{\"$literal\": {{\"{name}\": ..}}}} for an object with that name"
        ))),
    }
}

fn bytes(text: &str, at: &At<'_>) -> Result<Vec<u8>> {
    BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).map_err(|_| {
        Error::invalid(format!("the bytes {at} are not standard base64 (A-Z a-z 0-9 + /)"))
    })
}

fn opaque(content: Value, at: &At<'_>) -> Result<Value> {
    const SHAPE: &str = "takes exactly \"kind\", an integer from -128 to 127 that is not the \
                         kind of times (1), and \"bytes\", base64 text";
    let Value::Object(mut members) = content else {
        return Err(misshapen("$opaque", SHAPE, content.kind(), at));
    };
    match (members.remove("kind"), members.remove("bytes"), members.is_empty()) {
        (Some(Value::Int(kind)), Some(Value::Text(text)), true) if kind != KIND_OF_TIME => {
            let kind =
                i8::try_from(kind).map_err(|_| misshapen("$opaque", SHAPE, "another kind", at))?;
            Ok(Value::Opaque { kind, bytes: bytes(&text, at)? })
        }
        _ => Err(misshapen("$opaque", SHAPE, "something else", at)),
    }
}

/// A set; elements that are equal are one.
fn set(content: Value, at: &At<'_>) -> Result<Field> {
    let Value::Array(items) = content else {
        return Err(misshapen("$set", "takes an array of scalars", content.kind(), at));
    };
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| element(item, &at.index(index)))
        .collect::<Result<_>>()
        .map(Field::Set)
}

fn element(item: Value, at: &At<'_>) -> Result<Value> {
    match value(item, at)? {
        element if element.is_scalar() => Ok(element),
        other => Err(Error::invalid(format!(
            "an element of a set is null, a bool, a number, text, bytes or a time; found {} {at}",
            found(&other)
        ))),
    }
}

fn counter(content: Value, at: &At<'_>) -> Result<Field> {
    content.as_i64().map(Field::Counter).ok_or_else(|| match content {
        Value::UInt(_) => misshapen("$counter", "takes an integer of 64 bits", "a larger one", at),
        other => misshapen("$counter", "takes an integer", other.kind(), at),
    })
}

fn check_depth(at: &At<'_>) -> Result<()> {
    match at.depth() > MAX_DEPTH {
        true => Err(Error::limit(format!(
            "the document is nested deeper than {MAX_DEPTH} {at}; make it flatter"
        ))),
        false => Ok(()),
    }
}

fn misshapen(name: &str, wanted: &str, found: &str, at: &At<'_>) -> Error {
    Error::invalid(format!(
        "the '{name}' {at} {wanted}; found {found}: correct it, or write {{\"$literal\": \
         {{\"{name}\": ..}}}} if it is an object of yours with that name"
    ))
}

fn found(value: &Value) -> String {
    match value.kind() {
        kind @ ("null" | "text" | "bytes") => kind.to_owned(),
        kind @ ("integer" | "array" | "object" | "opaque") => format!("an {kind}"),
        kind => format!("a {kind}"),
    }
}

/// The JSON of a document, its names sorted; see the [module](super) for the forms.
pub fn fields_to_json(fields: &Fields) -> serde_json::Value {
    members_to_json(fields.iter().map(|(name, field)| (name.as_str(), field_to_json(field))))
}

/// The JSON of one field.
pub fn field_to_json(field: &Field) -> serde_json::Value {
    match field {
        Field::Value(value) => value_to_json(value),
        Field::Map(fields) => fields_to_json(fields),
        Field::Set(elements) => {
            json!({ "$set": elements.iter().map(value_to_json).collect::<Vec<_>>() })
        }
        Field::Counter(sum) => json!({ "$counter": sum }),
    }
}

/// The JSON of one value. NaN and infinities, which are never stored, become null.
pub fn value_to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::UInt(n) => json!(n),
        Value::Float(x) => json!(x + 0.0), // -0.0 is 0.0
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({ "$bytes": BASE64.encode(bytes) }),
        Value::Time(micros) => json!({ "$time": format_time(*micros) }),
        Value::Array(items) => items.iter().map(value_to_json).collect(),
        Value::Object(members) => members_to_json(
            members.iter().map(|(name, value)| (name.as_str(), value_to_json(value))),
        ),
        Value::Opaque { kind, bytes } => {
            json!({ "$opaque": { "kind": kind, "bytes": BASE64.encode(bytes) } })
        }
    }
}

/// An object of these members, wrapped if it would be read as something special.
fn members_to_json<'a>(
    members: impl Iterator<Item = (&'a str, serde_json::Value)>,
) -> serde_json::Value {
    let object: serde_json::Map<_, _> =
        members.map(|(name, json)| (name.to_owned(), json)).collect();
    let special = object.len() == 1 && object.keys().all(|name| Form::of(name).is_some());
    match special {
        true => json!({ "$literal": object }),
        false => serde_json::Value::Object(object),
    }
}

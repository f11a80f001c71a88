//! Values, fields and paths: what a document is made of, as users see it.
//!
//! A [`Value`] is what a register holds or a set contains; its canonical bytes
//! ([`codec`]) decide equality. A [`Field`] is a register, a nested map, a set or a
//! counter; [`Fields`] is a document's content. This layer knows nothing of dots, of
//! conflicts or of storage.

pub mod codec;
mod field;
mod fields;
pub mod json;
pub mod msgpack;
mod path;
mod short;
mod time;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

pub use field::Field;
pub(crate) use field::{lookup, lookup_pointer};
pub use fields::Fields;
pub use json::{
    field_from_json, field_to_json, fields_from_json, fields_to_json, parse_field, parse_fields,
    parse_value, value_from_json, value_to_json,
};
pub use msgpack::{fields_to_msgpack, parse_fields_msgpack};
pub use path::Path;
pub use short::Text;
pub(crate) use time::{format_time, parse_time};

/// What a register holds, or a set contains.
///
/// Integers of either sign are one type; `1`, `1.0` and `true` differ; `-0.0` is `0.0`.
/// NaN and infinities are refused when they are written.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, but present.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of 64 bits with sign.
    Int(i64),
    /// An integer of 64 bits without sign. Equal to [`Value::Int`] where the numbers are.
    UInt(u64),
    /// A finite number of 64 bits.
    Float(f64),
    /// Text; not normalised.
    Text(Text),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment: microseconds since 1970, UTC.
    Time(i64),
    /// A sequence, replaced as a whole.
    Array(Vec<Value>),
    /// An object inside an array, replaced as a whole.
    Object(BTreeMap<String, Value>),
    /// A kind of value that this version does not know: kept and forwarded as it is.
    Opaque {
        /// Its MessagePack extension type.
        kind: i8,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// The name of its kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::UInt(_) => "integer",
            Value::Float(_) => "float",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Time(_) => "time",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Opaque { .. } => "opaque",
        }
    }

    /// Whether it may be an element of a set: everything but arrays, objects and unknown kinds.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Value::Array(_) | Value::Object(_) | Value::Opaque { .. })
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::UInt(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The float, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Value::Int(n) => Some(i128::from(*n)),
            Value::UInt(n) => Some(i128::from(*n)),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) | Value::UInt(_) => 2,
            Value::Float(_) => 3,
            Value::Time(_) => 4,
            Value::Text(_) => 5,
            Value::Bytes(_) => 6,
            Value::Array(_) => 7,
            Value::Object(_) => 8,
            Value::Opaque { .. } => 9,
        }
    }
}

/// Kinds in a fixed order, then by content; two values are equal exactly when their canonical bytes are.
impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            (Value::Object(a), Value::Object(b)) => a.cmp(b),
            (Value::Opaque { kind: a, bytes: x }, Value::Opaque { kind: b, bytes: y }) => {
                a.cmp(b).then_with(|| x.cmp(y))
            }
            _ => self.rank().cmp(&other.rank()).then_with(|| self.integer().cmp(&other.integer())),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Value::Null => {}
            Value::Bool(b) => b.hash(state),
            Value::Int(_) | Value::UInt(_) => self.integer().hash(state),
            Value::Float(x) => (x + 0.0).to_bits().hash(state),
            Value::Time(t) => t.hash(state),
            Value::Text(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::Array(items) => items.hash(state),
            Value::Object(members) => members.hash(state),
            Value::Opaque { kind, bytes } => (kind, bytes).hash(state),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $make:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                #[allow(clippy::redundant_closure_call)]
                ($make)(value)
            }
        })*
    };
}

value_from! {
    bool => Value::Bool,
    i64 => Value::Int,
    i32 => |n| Value::Int(i64::from(n)),
    u32 => |n| Value::Int(i64::from(n)),
    u64 => Value::UInt,
    f64 => Value::Float,
    &str => |text: &str| Value::Text(Text::from(text)),
    String => |text: String| Value::Text(Text::from(text)),
    Text => Value::Text,
    Vec<u8> => Value::Bytes,
    Vec<Value> => Value::Array,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_one_type_and_kinds_differ() {
        assert_eq!(Value::Int(1), Value::UInt(1));
        assert_ne!(Value::Int(1), Value::Float(1.0));
        assert_ne!(Value::Int(1), Value::Bool(true));
        assert_ne!(Value::Int(-1), Value::UInt(u64::MAX));
        assert_eq!(Value::Float(0.0), Value::Float(-0.0));
    }
}

//! Shapes: what the fields of many documents have in common, and the Arrow type for it.
//!
//! | documents hold | column |
//! | --- | --- |
//! | bool, text, bytes | bool, utf8, binary |
//! | integers, counters | int64; uint64 if some are beyond it and none is negative |
//! | floats, with integers or without | float64, unless an integer would not stay exact |
//! | times | timestamp in microseconds, UTC |
//! | sets, arrays | list of what the elements have in common |
//! | maps, objects | struct |
//! | nothing but null | null |
//! | anything else: kinds that differ, a map of very many names | utf8: each as JSON |
//!
//! What is in metadata (`littoral`: `set`, `counter`, `json`) lets a column be read back as what it
//! was. A field that is absent and one that is null are both null.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, FieldRef, TimeUnit};
use littoral::{Field, Fields, Value};

/// The key of a column's metadata that says what it was.
pub(super) const META: &str = "littoral";
pub(super) const JSON: &str = "json";
pub(super) const SET: &str = "set";
pub(super) const COUNTER: &str = "counter";

/// Above so many names, a map is no struct: its names are data.
const MOST_NAMES: usize = 1_000;
/// Integers up to here are exact as floats.
const EXACT: u64 = 1 << 53;

/// What values have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// No value was there, or null.
    Null,
    Bool,
    Number(Numbers),
    Text,
    Bytes,
    Time,
    /// Arrays, or sets if all are.
    List {
        sets: bool,
        items: Box<Shape>,
    },
    Map(BTreeMap<String, Shape>),
    /// They have nothing in common.
    Json,
}

/// What numbers have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// Some are floats.
    floats: bool,
    /// Some are integers.
    integers: bool,
    /// Some are below 0.
    negative: bool,
    /// Some are beyond 64 bits with sign.
    unsigned: bool,
    /// Some would not be exact as floats.
    wide: bool,
    /// All are counters.
    counters: bool,
}

impl Numbers {
    fn integer(negative: bool, size: u64, counters: bool) -> Numbers {
        let (unsigned, wide) = (!negative && size > i64::MAX as u64, size > EXACT);
        Numbers { floats: false, integers: true, negative, unsigned, wide, counters }
    }

    fn join(self, other: Numbers) -> Numbers {
        Numbers {
            floats: self.floats || other.floats,
            integers: self.integers || other.integers,
            negative: self.negative || other.negative,
            unsigned: self.unsigned || other.unsigned,
            wide: self.wide || other.wide,
            counters: self.counters && other.counters,
        }
    }

    fn data_type(self) -> Option<DataType> {
        match self {
            Numbers { floats: true, wide, .. } => (!wide).then_some(DataType::Float64),
            Numbers { negative, unsigned: true, .. } => (!negative).then_some(DataType::UInt64),
            _ => Some(DataType::Int64),
        }
    }
}

impl Shape {
    /// The shape of a document.
    pub(super) fn of_fields(fields: &Fields) -> Shape {
        match fields.len() > MOST_NAMES {
            true => Shape::Json,
            false => Shape::Map(
                fields.iter().map(|(name, field)| (name.into(), Shape::of(field))).collect(),
            ),
        }
    }

    fn of(field: &Field) -> Shape {
        match field {
            Field::Value(value) => Shape::of_value(value),
            Field::Map(fields) => Shape::of_fields(fields),
            Field::Set(elements) => Shape::list(true, elements.iter()),
            Field::Counter(sum) => {
                Shape::Number(Numbers::integer(*sum < 0, sum.unsigned_abs(), true))
            }
        }
    }

    fn of_value(value: &Value) -> Shape {
        match value {
            Value::Null => Shape::Null,
            Value::Bool(_) => Shape::Bool,
            Value::Int(n) => Shape::Number(Numbers::integer(*n < 0, n.unsigned_abs(), false)),
            Value::UInt(n) => Shape::Number(Numbers::integer(false, *n, false)),
            Value::Float(_) => Shape::Number(Numbers { floats: true, ..Numbers::default() }),
            Value::Text(_) => Shape::Text,
            Value::Bytes(_) => Shape::Bytes,
            Value::Time(_) => Shape::Time,
            Value::Array(items) => Shape::list(false, items.iter()),
            Value::Object(members) => match members.len() > MOST_NAMES {
                true => Shape::Json,
                false => Shape::Map(
                    members
                        .iter()
                        .map(|(name, value)| (name.clone(), Shape::of_value(value)))
                        .collect(),
                ),
            },
            Value::Opaque { .. } => Shape::Json,
        }
    }

    fn list<'a>(sets: bool, items: impl Iterator<Item = &'a Value>) -> Shape {
        let items = items.map(Shape::of_value).fold(Shape::Null, Shape::join);
        Shape::List { sets, items: Box::new(items) }
    }

    /// What two shapes have in common.
    pub(super) fn join(self, other: Shape) -> Shape {
        match (self, other) {
            (Shape::Null, shape) | (shape, Shape::Null) => shape,
            (Shape::Number(a), Shape::Number(b)) => match a.join(b) {
                numbers if numbers.data_type().is_none() => Shape::Json,
                numbers => Shape::Number(numbers),
            },
            (Shape::List { sets: a, items: x }, Shape::List { sets: b, items: y }) => {
                Shape::List { sets: a && b, items: Box::new(x.join(*y)) }
            }
            (Shape::Map(mut a), Shape::Map(b)) => {
                for (name, shape) in b {
                    let joined = match a.remove(&name) {
                        Some(before) => before.join(shape),
                        None => shape,
                    };
                    a.insert(name, joined);
                }
                match a.len() > MOST_NAMES {
                    true => Shape::Json,
                    false => Shape::Map(a),
                }
            }
            (a, b) if a == b => a,
            _ => Shape::Json,
        }
    }

    /// The column of this shape.
    pub(super) fn column(&self, name: &str) -> ArrowField {
        let column = ArrowField::new(name, self.data_type(), true);
        let was = match self {
            Shape::Json => JSON,
            Shape::List { sets: true, .. } => SET,
            Shape::Number(Numbers { counters: true, .. }) => COUNTER,
            _ => return column,
        };
        column.with_metadata(HashMap::from([(META.to_owned(), was.to_owned())]))
    }

    fn data_type(&self) -> DataType {
        match self {
            Shape::Null => DataType::Null,
            Shape::Bool => DataType::Boolean,
            Shape::Number(numbers) => numbers.data_type().unwrap_or(DataType::Utf8),
            Shape::Text | Shape::Json => DataType::Utf8,
            Shape::Bytes => DataType::Binary,
            Shape::Time => time_type(),
            Shape::List { items, .. } => DataType::List(Arc::new(items.column("item"))),
            Shape::Map(names) => DataType::Struct(
                names
                    .iter()
                    .map(|(name, shape)| Arc::new(shape.column(name)))
                    .collect::<Vec<_>>()
                    .into(),
            ),
        }
    }
}

/// Times as Arrow has them.
pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// What a column of this type is filled as, or read as, before or after it is cast. None if
/// documents hold nothing like it; then the words say what to do.
pub(super) fn plain(data_type: &DataType) -> Result<DataType, &'static str> {
    use DataType as T;
    Ok(match data_type {
        T::Null | T::Boolean | T::UInt64 => data_type.clone(),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 => T::Int64,
        T::Float16 | T::Float32 | T::Float64 => T::Float64,
        T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Timestamp(_, Some(_)) => time_type(),
        T::Timestamp(_, None) | T::Date32 | T::Date64 => {
            return Err("is no certain moment without a zone; give it one (in pandas \
                        .dt.tz_localize('UTC')), or write it as text");
        }
        T::List(item)
        | T::LargeList(item)
        | T::FixedSizeList(item, _)
        | T::ListView(item)
        | T::LargeListView(item) => T::List(plain_field(item)?),
        T::Struct(members) => {
            T::Struct(members.iter().map(plain_field).collect::<Result<Vec<_>, _>>()?.into())
        }
        T::Dictionary(_, values) => plain(values)?,
        T::RunEndEncoded(_, values) => plain(values.data_type())?,
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
            return Err("is no kind of value here; write it as text, or as float");
        }
        _ => return Err("is no kind of value here; write it as a number or as text"),
    })
}

/// A column in plain types, with what its metadata says.
pub(super) fn plain_field(field: &FieldRef) -> Result<FieldRef, &'static str> {
    Ok(Arc::new(field.as_ref().clone().with_data_type(plain(field.data_type())?)))
}

/// What a column's metadata says that it was.
pub(super) fn was(field: &ArrowField) -> Option<&str> {
    field.metadata().get(META).map(String::as_str)
}

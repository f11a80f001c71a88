//! Columns: documents, one after the other, become arrays of a plain type.
//!
//! A value of another kind than its column is an error with the way to it; nothing is converted
//! but integers to floats, where they stay exact, and what a JSON column takes as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray, NullArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, FieldRef, Fields as ArrowFields};
use littoral::{Field, Fields, Value};

use super::shape::{self, JSON};

/// A column that is being filled.
pub(super) enum Column {
    Null(usize),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    UInt(UInt64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Time(TimestampMicrosecondBuilder),
    Json(StringBuilder),
    List { field: FieldRef, ends: Vec<i32>, there: NullBufferBuilder, items: Box<Column> },
    Struct { fields: ArrowFields, there: NullBufferBuilder, columns: Vec<Column> },
}

/// A value on its way into a column.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Field(&'a Field),
    Value(&'a Value),
}

/// Why a value is not for its column: what is wrong, and the way to it from its end.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) what: String,
    pub(super) way: Vec<String>,
}

impl Misfit {
    fn new(what: impl Into<String>) -> Misfit {
        Misfit { what: what.into(), way: Vec::new() }
    }

    fn under(mut self, name: &str) -> Misfit {
        self.way.push(name.to_owned());
        self
    }
}

impl<'a> Item<'a> {
    /// The register's value, if it is one.
    fn value(self) -> Option<&'a Value> {
        match self {
            Item::Field(field) => field.as_value(),
            Item::Value(value) => Some(value),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Item::Field(field) => field.kind(),
            Item::Value(value) => value.kind(),
        }
    }

    fn json(self) -> String {
        match self {
            Item::Field(field) => littoral::value::field_to_json(field).to_string(),
            Item::Value(value) => littoral::value::value_to_json(value).to_string(),
        }
    }

    fn integer(self) -> Option<i128> {
        match self {
            Item::Field(Field::Counter(sum)) => Some(i128::from(*sum)),
            _ => match self.value()? {
                Value::Int(n) => Some(i128::from(*n)),
                Value::UInt(n) => Some(i128::from(*n)),
                _ => None,
            },
        }
    }
}

impl Column {
    /// An empty column of a plain type.
    pub(super) fn new(field: &ArrowField) -> Column {
        match field.data_type() {
            DataType::Null => Column::Null(0),
            DataType::Boolean => Column::Bool(BooleanBuilder::new()),
            DataType::UInt64 => Column::UInt(UInt64Builder::new()),
            DataType::Float64 => Column::Float(Float64Builder::new()),
            DataType::Utf8 => match shape::was(field) == Some(JSON) {
                true => Column::Json(StringBuilder::new()),
                false => Column::Text(StringBuilder::new()),
            },
            DataType::Binary => Column::Bytes(BinaryBuilder::new()),
            DataType::Timestamp(..) => {
                Column::Time(TimestampMicrosecondBuilder::new().with_data_type(shape::time_type()))
            }
            DataType::List(item) => Column::List {
                field: item.clone(),
                ends: vec![0],
                there: NullBufferBuilder::new(0),
                items: Box::new(Column::new(item)),
            },
            DataType::Struct(fields) => Column::Struct {
                fields: fields.clone(),
                there: NullBufferBuilder::new(0),
                columns: fields.iter().map(|field| Column::new(field)).collect(),
            },
            _ => Column::Int(Int64Builder::new()),
        }
    }

    /// Takes a value; none is null.
    pub(super) fn push(&mut self, item: Option<Item<'_>>) -> Result<(), Misfit> {
        let item = item.filter(|item| !matches!(item.value(), Some(Value::Null)));
        let Some(item) = item else {
            self.push_null();
            return Ok(());
        };
        match self {
            Column::Null(_) => return Err(misfit("null", item)),
            Column::Bool(column) => match item.value() {
                Some(Value::Bool(truth)) => column.append_value(*truth),
                _ => return Err(misfit("bool", item)),
            },
            Column::Int(column) => match item.integer().map(i64::try_from) {
                Some(Ok(n)) => column.append_value(n),
                Some(Err(_)) => return Err(Misfit::new("is beyond 64 bits with sign")),
                None => return Err(misfit("integer", item)),
            },
            Column::UInt(column) => match item.integer().map(u64::try_from) {
                Some(Ok(n)) => column.append_value(n),
                Some(Err(_)) => return Err(Misfit::new("is beyond 64 bits without sign")),
                None => return Err(misfit("integer", item)),
            },
            Column::Float(column) => match (item.value(), item.integer()) {
                (Some(Value::Float(x)), _) => column.append_value(*x),
                (_, Some(n)) if n as f64 as i128 == n => column.append_value(n as f64),
                (_, Some(_)) => {
                    return Err(Misfit::new("is an integer that is not exact as a float"));
                }
                _ => return Err(misfit("float", item)),
            },
            Column::Text(column) => match item.value() {
                Some(Value::Text(text)) => column.append_value(text),
                _ => return Err(misfit("text", item)),
            },
            Column::Bytes(column) => match item.value() {
                Some(Value::Bytes(bytes)) => column.append_value(bytes),
                _ => return Err(misfit("bytes", item)),
            },
            Column::Time(column) => match item.value() {
                Some(Value::Time(micros)) => column.append_value(*micros),
                _ => return Err(misfit("time", item)),
            },
            Column::Json(column) => column.append_value(item.json()),
            Column::List { ends, there, items, .. } => {
                let count = match item {
                    Item::Field(Field::Set(elements)) => push_all(items, elements.iter())?,
                    _ => match item.value() {
                        Some(Value::Array(values)) => push_all(items, values.iter())?,
                        _ => return Err(misfit("list", item)),
                    },
                };
                let end = ends.last().copied().unwrap_or_default();
                let end = i32::try_from(count).ok().and_then(|count| end.checked_add(count));
                ends.push(end.ok_or_else(|| Misfit::new("is too long for a list"))?);
                there.append_non_null();
            }
            Column::Struct { fields, there, columns } => {
                match item {
                    Item::Field(Field::Map(map)) => push_fields(fields, columns, map)?,
                    _ => match item.value() {
                        Some(Value::Object(members)) => push_members(fields, columns, members)?,
                        _ => return Err(misfit("map", item)),
                    },
                }
                there.append_non_null();
            }
        }
        Ok(())
    }

    fn push_null(&mut self) {
        match self {
            Column::Null(count) => *count += 1,
            Column::Bool(column) => column.append_null(),
            Column::Int(column) => column.append_null(),
            Column::UInt(column) => column.append_null(),
            Column::Float(column) => column.append_null(),
            Column::Text(column) | Column::Json(column) => column.append_null(),
            Column::Bytes(column) => column.append_null(),
            Column::Time(column) => column.append_null(),
            Column::List { ends, there, .. } => {
                ends.push(ends.last().copied().unwrap_or_default());
                there.append_null();
            }
            Column::Struct { there, columns, .. } => {
                columns.iter_mut().for_each(Column::push_null);
                there.append_null();
            }
        }
    }

    /// What it holds, as an array; it is empty then.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Column::Null(count) => Arc::new(NullArray::new(std::mem::take(count))),
            Column::Bool(column) => Arc::new(column.finish()),
            Column::Int(column) => Arc::new(column.finish()),
            Column::UInt(column) => Arc::new(column.finish()),
            Column::Float(column) => Arc::new(column.finish()),
            Column::Text(column) | Column::Json(column) => Arc::new(column.finish()),
            Column::Bytes(column) => Arc::new(column.finish()),
            Column::Time(column) => Arc::new(column.finish()),
            Column::List { field, ends, there, items } => {
                let ends = OffsetBuffer::new(std::mem::replace(ends, vec![0]).into());
                Arc::new(ListArray::try_new(field.clone(), ends, items.finish()?, there.finish())?)
            }
            Column::Struct { fields, there, columns } => {
                let count = there.len();
                let arrays = columns.iter_mut().map(Column::finish).collect::<Result<_, _>>()?;
                let (fields, there) = (fields.clone(), there.finish());
                Arc::new(StructArray::try_new_with_length(fields, arrays, there, count)?)
            }
        })
    }
}

fn misfit(wanted: &str, item: Item<'_>) -> Misfit {
    Misfit::new(format!("is of kind {}, and its column is for {wanted}", item.kind()))
}

fn push_all<'a>(
    column: &mut Column,
    items: impl ExactSizeIterator<Item = &'a Value>,
) -> Result<usize, Misfit> {
    let count = items.len();
    for (at, item) in items.enumerate() {
        column.push(Some(Item::Value(item))).map_err(|misfit| misfit.under(&at.to_string()))?;
    }
    Ok(count)
}

/// Takes the fields of a document or map, into the columns of their names.
pub(super) fn push_fields(
    names: &ArrowFields,
    columns: &mut [Column],
    fields: &Fields,
) -> Result<(), Misfit> {
    for (column, name) in columns.iter_mut().zip(names) {
        let item = fields.get(name.name()).map(Item::Field);
        column.push(item).map_err(|misfit| misfit.under(name.name()))?;
    }
    Ok(())
}

fn push_members(
    names: &ArrowFields,
    columns: &mut [Column],
    members: &BTreeMap<String, Value>,
) -> Result<(), Misfit> {
    for (column, name) in columns.iter_mut().zip(names) {
        let item = members.get(name.name()).map(Item::Value);
        column.push(item).map_err(|misfit| misfit.under(name.name()))?;
    }
    Ok(())
}

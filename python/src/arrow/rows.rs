//! Rows: batches of Arrow, from wherever they come, become documents.
//!
//! Nothing is rounded and nothing guessed: a column that is no kind of value, a number that is
//! not finite, a time finer than microseconds is an error that names column and row. A value that
//! is null is a field that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field as ArrowField, Schema, TimeUnit};
use littoral::{Field, Fields, Path, Value};

use super::shape::{COUNTER, JSON, SET, plain, plain_field, was};

/// How rows become documents: the column of ids and the plain types of the others.
pub(super) struct Plan {
    id: usize,
    columns: Vec<(usize, Arc<ArrowField>)>,
}

impl Plan {
    /// For batches of a schema, with ids in the column of this name.
    pub(super) fn new(schema: &Schema, id_column: &str) -> Result<Plan, String> {
        let id = schema.index_of(id_column).map_err(|_| {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            format!(
                "there is no column '{id_column}' with the ids of the documents; \
                 say with id_column which of these has them: {}; or make one, in pandas by \
                 frame.assign({id_column}=frame.index.astype(str))",
                names.join(", ")
            )
        })?;
        let of_ids = schema.field(id).data_type();
        if plain(of_ids) != Ok(DataType::Utf8) {
            return Err(format!("the column '{id_column}' holds {of_ids}, and ids are text"));
        }
        let mut columns = Vec::new();
        for (at, field) in schema.fields().iter().enumerate().filter(|(at, _)| *at != id) {
            if schema.fields()[..at].iter().any(|before| before.name() == field.name()) {
                return Err(format!("there are two columns '{}'", field.name()));
            }
            let plain = plain_field(field).map_err(|what| {
                format!("the column '{}' of type {} {what}", field.name(), field.data_type())
            })?;
            columns.push((at, plain));
        }
        Ok(Plan { id, columns })
    }

    /// The documents of a batch.
    pub(super) fn documents(&self, batch: &RecordBatch) -> Result<Vec<(String, Fields)>, String> {
        let failed = |err: arrow_schema::ArrowError| err.to_string();
        let ids = arrow_cast::cast(batch.column(self.id), &DataType::Utf8).map_err(failed)?;
        let ids = ids.as_string::<i32>();
        let mut columns = Vec::new();
        for (at, field) in &self.columns {
            let given = batch.column(*at);
            check_times(given).map_err(|what| format!("the column '{}' {what}", field.name()))?;
            columns.push((field, arrow_cast::cast(given, field.data_type()).map_err(failed)?));
        }
        let mut documents = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            if ids.is_null(row) {
                return Err(format!("the id in row {row} of a batch is null"));
            }
            let mut fields = Fields::new();
            for (field, column) in &columns {
                let found = field_at(field, column, row).map_err(|what| {
                    format!("the field '{}' of '{}' {what}", field.name(), ids.value(row))
                })?;
                if let Some(found) = found {
                    fields.insert(field.name().clone(), found);
                }
            }
            documents.push((ids.value(row).to_owned(), fields));
        }
        Ok(documents)
    }
}

/// Refuses times that microseconds can't hold, however deep they are.
fn check_times(array: &ArrayRef) -> Result<(), String> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let times = array.as_primitive::<TimestampNanosecondType>();
            match times.iter().flatten().all(|nanos| nanos % 1000 == 0) {
                true => Ok(()),
                false => Err("has times finer than microseconds; round them first".to_owned()),
            }
        }
        DataType::List(_) => check_times(array.as_list::<i32>().values()),
        DataType::LargeList(_) => check_times(array.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => check_times(array.as_fixed_size_list().values()),
        DataType::Struct(_) => array.as_struct().columns().iter().try_for_each(check_times),
        DataType::Dictionary(..) => check_times(array.as_any_dictionary().values()),
        _ => Ok(()),
    }
}

fn field_at(field: &ArrowField, column: &ArrayRef, row: usize) -> Result<Option<Field>, String> {
    if column.is_null(row) || field.data_type() == &DataType::Null {
        return Ok(None);
    }
    Ok(Some(match (field.data_type(), was(field)) {
        (DataType::Utf8, Some(JSON)) => {
            let text = column.as_string::<i32>().value(row);
            littoral::value::parse_field(text.as_bytes(), &Path::root())
                .map_err(|err| format!("is no JSON: {err}"))?
        }
        (DataType::Int64, Some(COUNTER)) => {
            Field::Counter(column.as_primitive::<Int64Type>().value(row))
        }
        (DataType::List(item), Some(SET)) => {
            let mut elements = BTreeSet::new();
            for element in values_of(item, &column.as_list::<i32>().value(row))? {
                if !element.is_scalar() {
                    return Err(format!(
                        "is a set, which can't hold a value of kind {}",
                        element.kind()
                    ));
                }
                elements.insert(element);
            }
            Field::Set(elements)
        }
        (DataType::Struct(members), _) => {
            let columns = column.as_struct().columns();
            let mut fields = Fields::new();
            for (member, column) in members.iter().zip(columns) {
                let found = field_at(member, column, row)
                    .map_err(|what| format!("'{}' {what}", member.name()))?;
                if let Some(found) = found {
                    fields.insert(member.name().clone(), found);
                }
            }
            Field::Map(fields)
        }
        _ => Field::from(value_at(field, column, row)?),
    }))
}

fn values_of(item: &ArrowField, items: &ArrayRef) -> Result<Vec<Value>, String> {
    (0..items.len()).map(|at| value_at(item, items, at)).collect()
}

fn value_at(field: &ArrowField, column: &ArrayRef, row: usize) -> Result<Value, String> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match field.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Value::UInt(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
            number if number.is_finite() => Value::Float(number),
            number => return Err(format!("is {number}, which can't be stored; make it null")),
        },
        DataType::Utf8 => match was(field) {
            Some(JSON) => littoral::value::parse_value(
                column.as_string::<i32>().value(row).as_bytes(),
                &Path::root(),
            )
            .map_err(|err| format!("is no JSON: {err}"))?,
            _ => Value::from(column.as_string::<i32>().value(row)),
        },
        DataType::Binary => Value::Bytes(column.as_binary::<i32>().value(row).to_owned()),
        DataType::Timestamp(..) => {
            Value::Time(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(item) => Value::Array(values_of(item, &column.as_list::<i32>().value(row))?),
        DataType::Struct(members) => {
            let mut object = BTreeMap::new();
            for (member, column) in members.iter().zip(column.as_struct().columns()) {
                if !column.is_null(row) {
                    object.insert(member.name().clone(), value_at(member, column, row)?);
                }
            }
            Value::Object(object)
        }
        _ => Value::Null,
    })
}

//! From a record to a document: its id, its sets and its counters.

use std::collections::BTreeSet;

use littoral::id::check_id;
use littoral::value::{Field, Value};
use littoral::{Error, ErrorKind, Fields, Result};
use uuid::Uuid;

use super::{Raw, invalid};

/// Where ids come from.
#[derive(Debug, Clone)]
pub(crate) enum Ids {
    /// From this field, which is taken out of the document.
    Field(String),
    /// Made up: random, sorted by time (UUID version 7).
    Made,
}

/// How records are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// Where ids come from.
    pub(crate) ids: Ids,
    /// Fields to read as sets.
    pub(crate) sets: Vec<String>,
    /// Fields to read as counters.
    pub(crate) counters: Vec<String>,
}

impl Reading {
    /// The document of a record, with its id. An error names the record's place.
    pub(crate) fn document(&self, raw: Raw) -> Result<(String, Fields)> {
        let (place, cells, mut fields) = (raw.place, raw.cells, raw.fields);
        self.shape(&mut fields, cells).map_err(|err| place.blame(&err))
    }

    fn shape(&self, fields: &mut Fields, cells: bool) -> Result<(String, Fields)> {
        let id = match &self.ids {
            Ids::Made => Uuid::now_v7().to_string(),
            Ids::Field(name) => take_id(fields, name)?,
        };
        for name in &self.sets {
            convert(fields, name, |field| to_set(name, field, cells))?;
        }
        for name in &self.counters {
            convert(fields, name, |field| to_counter(name, field))?;
        }
        Ok((id, std::mem::take(fields)))
    }
}

fn take_id(fields: &mut Fields, name: &str) -> Result<String> {
    let id = match fields.remove(name) {
        Some(Field::Value(Value::Text(text))) => text.into_string(),
        Some(Field::Value(Value::Int(number))) => number.to_string(),
        Some(Field::Value(Value::UInt(number))) => number.to_string(),
        Some(other) => {
            let found = other.kind();
            return Err(invalid(format!(
                "the id in '{name}' is a {found}; ids are text or integers"
            )));
        }
        None => return Err(invalid(format!("has no field '{name}' to take the id from"))),
    };
    check_id(&id)?;
    Ok(id)
}

fn convert(
    fields: &mut Fields,
    name: &str,
    to: impl FnOnce(&Field) -> Result<Field>,
) -> Result<()> {
    if let Some(field) = fields.get_mut(name) {
        *field = to(field)?;
    }
    Ok(())
}

fn to_set(name: &str, field: &Field, cells: bool) -> Result<Field> {
    match field {
        Field::Set(_) => Ok(field.clone()),
        Field::Value(Value::Array(items)) => match items.iter().find(|item| !item.is_scalar()) {
            None => Ok(Field::Set(items.iter().cloned().collect())),
            Some(item) => Err(wrong(name, "a set holds scalars", item.kind())),
        },
        Field::Value(Value::Text(text)) if cells => {
            let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
            Ok(Field::Set(parts.map(Value::from).collect()))
        }
        Field::Value(value) if cells => Ok(Field::Set(BTreeSet::from([value.clone()]))),
        other => Err(wrong(name, "a set is read from an array", other.kind())),
    }
}

fn to_counter(name: &str, field: &Field) -> Result<Field> {
    match field {
        Field::Counter(_) => Ok(field.clone()),
        Field::Value(value) if value.as_i64().is_some() => {
            Ok(Field::Counter(value.as_i64().unwrap_or_default()))
        }
        other => Err(wrong(name, "a counter is read from an integer of 64 bits", other.kind())),
    }
}

fn wrong(name: &str, wanted: &str, found: &str) -> Error {
    Error::new(ErrorKind::WrongKind, format!("in '{name}': {wanted}, and this is a {found}"))
}

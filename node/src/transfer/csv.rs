//! CSV with a header line: each column is a field, named by its header.
//!
//! A cell that is JSON is that value (`3`, `true`, `{"$set": ["a"]}`, `"3"` for the text 3),
//! any other is text, so that `007` stays what it is; an empty cell is no field. What is
//! exported reads back the same.

use std::io::Read;

use littoral::limits::MAX_IMPORT_RECORD_BYTES;
use littoral::value::{Field, Value, field_to_json, parse_field};
use littoral::{Error, ErrorKind, Fields, Path, Result};

use super::bounded::{Bounded, Room, too_large};
use super::{Each, Place, Raw, invalid};

/// Reads all records.
pub(super) fn read(input: impl Read, text: bool, each: &mut Each<'_>) -> Result<()> {
    let (input, room) = Bounded::new(input, MAX_IMPORT_RECORD_BYTES);
    let mut reader = ::csv::ReaderBuilder::new().from_reader(input);
    let header = reader.headers().map_err(|err| broken(&err, &room))?.clone();
    let names: Vec<String> = header.iter().map(str::to_owned).collect();
    check_header(&names)?;
    let mut record = ::csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|err| broken(&err, &room))? {
        room.renew();
        let place = Place::Line(record.position().map_or(0, ::csv::Position::line));
        let fields = names.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty());
        let fields: Result<Fields> =
            fields.map(|(name, cell)| Ok((name.clone(), field(name, cell, text)?))).collect();
        each(Raw { place, fields: fields.map_err(|err| place.blame(&err))?, cells: true })?;
    }
    Ok(())
}

/// The field that a cell holds.
fn field(name: &str, cell: &str, text: bool) -> Result<Field> {
    let json = (!text && is_json(cell)).then(|| parse_field(cell.as_bytes(), &Path::from(name)));
    json.unwrap_or_else(|| Ok(Field::from(cell)))
}

/// The cell that holds a field.
pub(super) fn cell(field: &Field) -> String {
    match field {
        Field::Value(Value::Text(text)) if !text.is_empty() && !is_json(text) => text.to_string(),
        field => field_to_json(field).to_string(),
    }
}

fn is_json(cell: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(cell).is_ok()
}

fn check_header(names: &[String]) -> Result<()> {
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(invalid(format!("line 1: column {} has no name", at + 1)));
        }
        if names[..at].contains(name) {
            return Err(invalid(format!("line 1: two columns have the name of column {}", at + 1)));
        }
    }
    Ok(())
}

fn broken(err: &::csv::Error, room: &Room) -> Error {
    let line = err.position().map(|position| Place::Line(position.line()));
    let error = match err.kind() {
        ::csv::ErrorKind::Io(_) if room.is_used_up() => too_large("is a quote not closed?"),
        ::csv::ErrorKind::Io(err) => super::read_failed(err),
        ::csv::ErrorKind::Utf8 { .. } => invalid("the text is not UTF-8"),
        ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            invalid(format!("has {len} cells, and the header names {expected_len}"))
        }
        _ => Error::new(ErrorKind::InvalidInput, format!("the file is not CSV: {err}")),
    };
    match line {
        Some(line) => line.blame(&error),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_back_as_the_fields_they_were() {
        let fields = [
            Field::from("Tide table"),
            Field::from("3"),
            Field::from("007"),
            Field::from("true"),
            Field::from(""),
            Field::from("{"),
            Field::from("\"quoted\""),
            Field::from(3i64),
            Field::from(0.5),
            Field::from(true),
            Field::from(Value::Null),
            Field::set(["a", "b"]),
            Field::Counter(7),
        ];
        for wanted in fields {
            assert_eq!(field("x", &cell(&wanted), false).unwrap(), wanted, "{}", cell(&wanted));
        }
        assert_eq!(field("x", "3", true).unwrap(), Field::from("3"));
    }
}

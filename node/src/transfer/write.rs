//! Writing documents down, in the formats that can be read.

use std::io::Write;

use littoral::value::{Field, fields_to_json};
use littoral::{Error, Fields, Result};

use super::{csv, invalid};
use crate::cli::Format;
use crate::output::write_failed;

/// Writes documents one by one.
pub(crate) struct DocumentWriter<W: Write> {
    id: String,
    form: Form<W>,
    written: u64,
}

enum Form<W: Write> {
    Lines(W),
    Array(W),
    Csv { columns: Vec<String>, writer: Box<::csv::Writer<W>> },
}

impl<W: Write> DocumentWriter<W> {
    /// To `out`. `columns` are the fields that a CSV file has, besides the one for the id.
    pub(crate) fn new(format: Format, out: W, id: &str, columns: Vec<String>) -> Result<Self> {
        let form = match format {
            Format::Jsonl => Form::Lines(out),
            Format::Json => Form::Array(out),
            Format::Csv => {
                let mut writer = ::csv::Writer::from_writer(out);
                let header = std::iter::once(id).chain(columns.iter().map(String::as_str));
                writer.write_record(header).map_err(csv_failed)?;
                Form::Csv { columns, writer: Box::new(writer) }
            }
        };
        Ok(DocumentWriter { id: id.to_owned(), form, written: 0 })
    }

    /// Writes a document.
    pub(crate) fn write(&mut self, id: &str, mut fields: Fields) -> Result<()> {
        if fields.contains_key(&self.id) {
            return Err(invalid(format!(
                "the document '{id}' has a field '{}' of its own; name another for ids with --id",
                self.id
            )));
        }
        let first = self.written == 0;
        self.written += 1;
        match &mut self.form {
            Form::Csv { columns, writer } => write_record(writer, columns, id, &fields),
            Form::Lines(out) => {
                fields.insert(self.id.as_str(), Field::from(id));
                writeln!(out, "{}", fields_to_json(&fields)).map_err(|err| write_failed(&err))
            }
            Form::Array(out) => {
                fields.insert(self.id.as_str(), Field::from(id));
                let joint = if first { "[\n" } else { ",\n" };
                write!(out, "{joint}{}", fields_to_json(&fields)).map_err(|err| write_failed(&err))
            }
        }
    }

    /// Ends the file; gives how many documents it has.
    pub(crate) fn finish(self) -> Result<u64> {
        let ended = match self.form {
            Form::Lines(mut out) => out.flush(),
            Form::Array(mut out) => {
                let end = if self.written == 0 { "[]\n" } else { "\n]\n" };
                out.write_all(end.as_bytes()).and_then(|()| out.flush())
            }
            Form::Csv { mut writer, .. } => writer.flush(),
        };
        ended.map(|()| self.written).map_err(|err| write_failed(&err))
    }
}

fn write_record(
    writer: &mut ::csv::Writer<impl Write>,
    columns: &[String],
    id: &str,
    fields: &Fields,
) -> Result<()> {
    if let Some(name) = fields.keys().find(|name| !columns.iter().any(|column| *name == column)) {
        return Err(invalid(format!(
            "the field '{name}' of '{id}' came while the export ran; export again"
        )));
    }
    let cells = columns.iter().map(|name| fields.get(name).map(csv::cell).unwrap_or_default());
    let id = csv::cell(&Field::from(id));
    writer.write_record(std::iter::once(id).chain(cells)).map_err(csv_failed)
}

fn csv_failed(err: ::csv::Error) -> Error {
    match err.into_kind() {
        ::csv::ErrorKind::Io(err) => write_failed(&err),
        _ => invalid("the documents can't be written as CSV"),
    }
}

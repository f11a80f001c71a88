//! Documents in files: JSON Lines, a JSON array, CSV.
//!
//! Reading goes from file to [`Raw`] records ([`jsonl`], [`mod@array`], [`csv`]), from those to
//! documents with ids ([`record`]), and from those to transactions (the command `import`).
//! Every record knows its place, so that an error can name it.

mod array;
mod bounded;
mod csv;
mod jsonl;
mod record;
mod write;

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use littoral::{Error, ErrorKind, Fields, Result};

use crate::cli::Format;

pub(crate) use record::{Ids, Reading};
pub(crate) use write::DocumentWriter;

/// Where a record is in its file, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A line, from 1.
    Line(u64),
    /// An element of an array, from 1.
    Element(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(number) => write!(f, "line {number}"),
            Place::Element(number) => write!(f, "element {number}"),
        }
    }
}

impl Place {
    /// An error with the place before its sentence.
    pub(crate) fn blame(self, err: &Error) -> Error {
        Error::new(err.kind(), format!("{self}: {err}"))
    }
}

/// A record as the file has it.
#[derive(Debug)]
pub(crate) struct Raw {
    /// Where it is.
    pub(crate) place: Place,
    /// Its fields; sets and counters are not told apart yet.
    pub(crate) fields: Fields,
    /// Whether its cells were text: then a set may be parts separated by ';'.
    pub(crate) cells: bool,
}

/// Takes records, one by one; an error ends the reading.
pub(crate) type Each<'a> = dyn FnMut(Raw) -> Result<()> + 'a;

impl Format {
    /// The format of a file, by its name.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        let name = path.extension()?.to_str()?.to_ascii_lowercase();
        match name.as_str() {
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "json" => Some(Format::Json),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }
}

/// Reads all records of a file. `text` takes every cell of a CSV file as text.
pub(crate) fn read(
    format: Format,
    input: impl Read,
    text: bool,
    each: &mut Each<'_>,
) -> Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, input);
    skip_mark(&mut input)?;
    match format {
        Format::Jsonl => jsonl::read(input, each),
        Format::Json => array::read(input, each),
        Format::Csv => csv::read(input, text, each),
    }
}

/// Spreadsheets put a byte order mark before UTF-8.
fn skip_mark(input: &mut impl BufRead) -> Result<()> {
    let mark = "\u{feff}".as_bytes();
    if input.fill_buf().map_err(|err| read_failed(&err))?.starts_with(mark) {
        input.consume(mark.len());
    }
    Ok(())
}

fn read_failed(err: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("could not read the input: {err}"))
}

fn invalid(sentence: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, sentence)
}

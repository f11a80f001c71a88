//! JSON Lines: one object a line. Empty lines are skipped.

use std::io::{BufRead, Read};

use littoral::limits::MAX_TXN_BYTES;
use littoral::value::parse_fields;
use littoral::{Error, ErrorKind, Result};

use super::{Each, Place, Raw, read_failed};

/// The longest line: JSON needs at most a few times the bytes of what it says.
const MAX_LINE_BYTES: u64 = 4 * MAX_TXN_BYTES as u64;

/// Reads all lines.
pub(super) fn read(mut input: impl BufRead, each: &mut Each<'_>) -> Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        let place = Place::Line(number);
        line.clear();
        let mut bounded = input.by_ref().take(MAX_LINE_BYTES);
        let length = bounded.read_until(b'\n', &mut line).map_err(|err| read_failed(&err))?;
        if length == 0 {
            break;
        }
        if length as u64 == MAX_LINE_BYTES {
            return Err(place.blame(&too_long()));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let fields = parse_fields(&line).map_err(|err| place.blame(&err))?;
        each(Raw { place, fields, cells: false })?;
    }
    Ok(())
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        format!("has over {MAX_LINE_BYTES} bytes; is this one JSON object a line?"),
    )
}

//! JSON Lines: one object a line. Empty lines are skipped.

use std::io::{BufRead, Read};

use littoral::Result;
use littoral::limits::MAX_IMPORT_RECORD_BYTES;
use littoral::value::parse_fields;

use super::bounded::too_large;
use super::{Each, Place, Raw, read_failed};

/// Reads all lines.
pub(super) fn read(mut input: impl BufRead, each: &mut Each<'_>) -> Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        let place = Place::Line(number);
        line.clear();
        let mut bounded = input.by_ref().take(MAX_IMPORT_RECORD_BYTES + 1);
        let length = bounded.read_until(b'\n', &mut line).map_err(|err| read_failed(&err))?;
        if length == 0 {
            break;
        }
        if length as u64 > MAX_IMPORT_RECORD_BYTES {
            return Err(place.blame(&too_large("is this one JSON object a line?")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let fields = parse_fields(&line).map_err(|err| place.blame(&err))?;
        each(Raw { place, fields, cells: false })?;
    }
    Ok(())
}

//! A JSON array of objects, read element by element: the file need not fit into memory.

use std::fmt;
use std::io::Read;

use littoral::limits::MAX_IMPORT_RECORD_BYTES;
use littoral::value::parse_fields;
use littoral::{Error, Result};
use serde::Deserializer;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::bounded::{Bounded, Room, too_large};
use super::{Each, Place, Raw, invalid};

/// Reads all elements.
pub(super) fn read(input: impl Read, each: &mut Each<'_>) -> Result<()> {
    read_at_most(input, MAX_IMPORT_RECORD_BYTES, each)
}

fn read_at_most(input: impl Read, most: u64, each: &mut Each<'_>) -> Result<()> {
    let (input, room) = Bounded::new(input, most);
    let mut parser = serde_json::Deserializer::from_reader(input);
    let mut failure = None;
    let elements = Elements { each, room: room.clone(), failure: &mut failure };
    let read = parser.deserialize_seq(elements);
    match (failure, read.and_then(|()| parser.end())) {
        (Some(err), _) => Err(err),
        (None, Err(_)) if room.is_used_up() => {
            Err(too_large("is this an array with one object for each document?"))
        }
        (None, read) => {
            read.map_err(|err| invalid(format!("the file is not a JSON array of objects: {err}")))
        }
    }
}

/// Hands over each element; what stops it is kept beside serde's own error.
struct Elements<'a, 'b> {
    each: &'a mut Each<'b>,
    room: Room,
    failure: &'a mut Option<Error>,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> std::result::Result<(), A::Error> {
        let mut number = 0;
        while let Some(text) = elements.next_element::<Box<RawValue>>()? {
            number += 1;
            self.room.renew();
            let place = Place::Element(number);
            let fields = parse_fields(text.get().as_bytes()).map_err(|err| place.blame(&err));
            let taken = fields.and_then(|fields| (self.each)(Raw { place, fields, cells: false }));
            if let Err(err) = taken {
                *self.failure = Some(err);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral::ErrorKind;

    #[test]
    fn an_element_has_a_limit_however_many_there_are() {
        let element = |bytes: usize| format!("{{\"n\": \"{}\"}}", "x".repeat(bytes - 9));
        let read = |text: &str| {
            let mut count = 0;
            let read = read_at_most(text.as_bytes(), 100, &mut |_| {
                count += 1;
                Ok(())
            });
            read.map(|()| count).map_err(|err| err.kind())
        };
        // With the byte before it: a bracket or a comma, and the one after it.
        let many = vec![element(98); 50].join(",");
        assert_eq!(read(&format!("[{many}]")), Ok(50));
        let large = [element(98), element(101)].join(",");
        assert_eq!(read(&format!("[{large}]")), Err(ErrorKind::LimitExceeded));
    }
}

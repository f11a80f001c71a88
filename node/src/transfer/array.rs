//! A JSON array of objects, read element by element: the file need not fit into memory.

use std::fmt;
use std::io::Read;

use littoral::value::parse_fields;
use littoral::{Error, Result};
use serde::Deserializer;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::bounded::{Bounded, Room, too_large};
use super::{Each, Place, Raw, invalid};

/// Reads all elements.
pub(super) fn read(input: impl Read, each: &mut Each<'_>) -> Result<()> {
    let (input, room) = Bounded::new(input);
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

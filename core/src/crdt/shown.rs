//! The fields of a document that is in no conflict, built as the bytes of its row are read.
//!
//! Where nothing is in conflict there is nothing to choose: each place holds one kind, each
//! register one value. So the fields follow from one pass over the cells in the order of keys, and
//! nobody needs the stamps. Says the same as [`view`], which knows how to choose, and refuses what
//! [`Row::decode`](super::Row::decode) refuses; tests hold both.

use std::collections::BTreeSet;

use super::key::{self, Checked, Slot};
use super::row::{check_flags, counter_row, next_key, origin};
use super::view;
use crate::error::{Error, Result};
use crate::id::Origin;
use crate::value::{Field, Fields};
use crate::wire::Reader;

/// What most keys fit into.
const LIKELY_KEY_BYTES: usize = 64;
/// What most maps have at most; room for so many fields is taken with the first.
const LIKELY_FIELDS: usize = 8;

/// The document that the bytes of a row show which is in no conflict: what
/// [`view::fields`] gives for its cells, without making these. `None` if it
/// shows none. The bytes are checked as when they are decoded. Keys are put together in `key`,
/// so that who reads many rows takes memory for it once.
pub fn shown(
    bytes: &[u8],
    key: &mut Vec<u8>,
    origin_of: impl Fn(u32) -> Option<Origin>,
) -> Result<Option<Fields>> {
    read(bytes, key, origin_of).map_err(|err| Error::corrupt(err.message()))
}

fn read(
    bytes: &[u8],
    key: &mut Vec<u8>,
    origin_of: impl Fn(u32) -> Option<Origin>,
) -> Result<Option<Fields>> {
    let mut reader = Reader::new(bytes, "row");
    check_flags(&mut reader)?;
    let stamps = reader.count()?;
    for _ in 0..stamps {
        origin(&mut reader, &origin_of)?;
        reader.uint()?;
        reader.array::<8>()?;
    }
    let left = reader.count()?;
    key.clear();
    key.reserve(LIKELY_KEY_BYTES);
    let mut cells = Cells { reader, origin_of, stamps, left, key, same: 0 };
    let mut root = None;
    if cells.left > 0 {
        cells.next_key()?;
        root = cells.place(0, 0)?;
    }
    cells.reader.end()?;
    Ok(match root {
        Some(Field::Map(fields)) => Some(fields),
        _ => None,
    })
}

/// The cells of a row from one on whose key is read, and no more of it.
struct Cells<'a, 'k, F> {
    reader: Reader<'a>,
    origin_of: F,
    stamps: usize,
    left: usize,
    key: &'k mut Vec<u8>,
    /// So many of the first bytes of the key are those of the key before.
    same: usize,
}

/// What the cells of a place come to so far.
#[derive(Default)]
struct Place {
    field: Option<Field>,
    /// Of a counter the sum; a field of it is made at the end.
    sum: Option<i128>,
}

impl<F: Fn(u32) -> Option<Origin>> Cells<'_, '_, F> {
    fn next_key(&mut self) -> Result<()> {
        let (shared, rest) = next_key(&mut self.reader, self.key.len())?;
        // Whoever wrote the key may have said less than it shares.
        let more = self.key[shared..].iter().zip(rest).take_while(|(a, b)| a == b).count();
        self.same = shared + more;
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        Ok(())
    }

    /// Reads the cells at and below the place whose part of the key ends at `at`: all that come
    /// before a key that leaves it. Gives what they show there.
    fn place(&mut self, at: usize, depth: usize) -> Result<Option<Field>> {
        let mut place = Place::default();
        loop {
            match key::check_step(self.key, at, depth)? {
                Checked::Slot(Slot::Element, content) => {
                    let element = key::checked_element(content)?;
                    place.set().map(|elements| elements.insert(element));
                    self.value()?;
                    self.next_cell()?;
                }
                Checked::Slot(slot, _) => {
                    match slot {
                        Slot::Register => {
                            let value = self.value()?;
                            // Siblings have the same value, or there would be a conflict.
                            place.field.get_or_insert_with(|| Field::Value(view::value(value)));
                        }
                        Slot::Counter => self.count(&mut place)?,
                        Slot::MapMarker => {
                            self.value()?;
                            place.map(self.left);
                        }
                        Slot::SetMarker => {
                            self.value()?;
                            place.set();
                        }
                        Slot::Unknown | Slot::Element => drop(self.value()?),
                    }
                    self.next_cell()?;
                }
                Checked::Field(name) => {
                    let (name, end) = (name.to_name(), name.end);
                    if let Some(field) = self.place(end, depth + 1)? {
                        place.map(self.left).map(|fields| fields.insert(name, field));
                    }
                }
            }
            if self.left == 0 || self.same < at {
                return Ok(place.field.or(place.sum.map(view::sum)));
            }
        }
    }

    /// Ends a cell, and reads the key of the next one.
    #[inline]
    fn next_cell(&mut self) -> Result<()> {
        self.left -= 1;
        if self.left == 0 { Ok(()) } else { self.next_key() }
    }

    #[inline]
    fn check_stamp(&mut self) -> Result<()> {
        match self.reader.uint()? < self.stamps as u64 {
            true => Ok(()),
            false => Err(self.reader.bad("it names a stamp that is not there")),
        }
    }
}

impl<'a, F: Fn(u32) -> Option<Origin>> Cells<'a, '_, F> {
    /// The value of a put.
    #[inline]
    fn value(&mut self) -> Result<&'a [u8]> {
        self.check_stamp()?;
        self.reader.bytes()
    }

    fn count(&mut self, place: &mut Place) -> Result<()> {
        self.check_stamp()?;
        let row = counter_row(&mut self.reader, u64::MAX, &self.origin_of)?;
        if !row.is_settled() {
            place.sum = Some(place.sum.unwrap_or(0).saturating_add(row.value()));
        }
        Ok(())
    }
}

impl Place {
    #[inline]
    fn map(&mut self, left: usize) -> Option<&mut Fields> {
        let room = || Field::Map(Fields::with_room(left.min(LIKELY_FIELDS)));
        match self.field.get_or_insert_with(room) {
            Field::Map(fields) => Some(fields),
            _ => None,
        }
    }

    #[inline]
    fn set(&mut self) -> Option<&mut BTreeSet<crate::value::Value>> {
        match self.field.get_or_insert_with(|| Field::Set(BTreeSet::new())) {
            Field::Set(elements) => Some(elements),
            _ => None,
        }
    }
}

//! Where a page of results ends, and the next one begins.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

use super::filter::Seen;
use super::{Direction, Order, Query, order};
use crate::error::{Error, Result};
use crate::limits::{MAX_CURSOR_BYTES, MAX_ID_BYTES};
use crate::wire::{Reader, put_uint};

const VERSION: u8 = 1;
/// Bytes of the digest of what was sorted by.
const DIGEST_BYTES: usize = 8;

/// What the last document of a page is sorted by, and its id. As text it is opaque, and fits into a
/// URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Of what was sorted by: the cursor of another order has no place in this one.
    digest: [u8; DIGEST_BYTES],
    place: Place,
}

/// Where a document stands among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The keys of what is sorted by, one after the other.
    pub(crate) keys: Vec<u8>,
    pub(crate) id: String,
}

impl Place {
    /// The place of a document.
    pub(crate) fn of(orders: &[Order], seen: Seen<'_>) -> Place {
        let mut keys = Vec::new();
        orders.iter().for_each(|order| seen.put_key(&order.by, &mut keys));
        Place { keys, id: seen.id.to_owned() }
    }

    /// How two places in one order compare.
    pub(crate) fn compare(&self, other: &Place, orders: &[Order]) -> Ordering {
        let (mut ours, mut theirs) = (&self.keys[..], &other.keys[..]);
        for order in orders {
            let ([a, rest_of_ours], [b, rest_of_theirs]) = (split(ours), split(theirs));
            let compared = match order.direction {
                Direction::Ascending => a.cmp(b),
                Direction::Descending => b.cmp(a),
            };
            if compared.is_ne() {
                return compared;
            }
            (ours, theirs) = (rest_of_ours, rest_of_theirs);
        }
        match orders.last().map(|order| order.direction) {
            Some(Direction::Descending) => other.id.cmp(&self.id),
            _ => self.id.cmp(&other.id),
        }
    }
}

/// The first key, and the rest.
fn split(keys: &[u8]) -> [&[u8]; 2] {
    let (first, rest) = keys.split_at(order::len_of_first(keys).unwrap_or(keys.len()));
    [first, rest]
}

impl Cursor {
    /// Behind the document at this place, in the order of a query.
    pub(crate) fn behind(query: &Query, place: Place) -> Cursor {
        Cursor { digest: digest(&query.order), place }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Refuses a cursor that has no place in the order of a query.
    pub(super) fn check(&self, query: &Query) -> Result<()> {
        let mut keys = &self.place.keys[..];
        for _ in &query.order {
            let len = order::len_of_first(keys);
            keys = len.map(|len| &keys[len..]).ok_or_else(malformed)?;
        }
        match self.digest == digest(&query.order) && keys.is_empty() {
            true => Ok(()),
            false => Err(Error::invalid("this cursor is of a query with another order")),
        }
    }
}

fn digest(orders: &[Order]) -> [u8; DIGEST_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key("littoral 2026 order of a query");
    for order in orders {
        let name = order.to_string();
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name.as_bytes());
    }
    let mut digest = [0; DIGEST_BYTES];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

fn malformed() -> Error {
    Error::invalid("this is no cursor: give what a page of results named as its next")
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.digest);
        put_uint(&mut bytes, self.place.keys.len() as u64);
        bytes.extend_from_slice(&self.place.keys);
        bytes.extend_from_slice(self.place.id.as_bytes());
        f.write_str(&BASE64URL_NOPAD.encode(&bytes))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Errors: [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is no cursor.
    fn from_str(text: &str) -> Result<Cursor> {
        if text.len() > MAX_CURSOR_BYTES {
            return Err(malformed());
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| malformed())?;
        let mut reader = Reader::new(&bytes, "cursor");
        let version = reader.array::<1>().map_err(|_| malformed())?;
        let digest = reader.array().map_err(|_| malformed())?;
        let len = reader.uint().map_err(|_| malformed())?;
        let rest = reader.rest();
        let len = usize::try_from(len).ok().filter(|len| *len <= rest.len());
        let (keys, id) = rest.split_at(len.ok_or_else(malformed)?);
        let id = String::from_utf8(id.to_vec()).map_err(|_| malformed())?;
        if version != [VERSION] || id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(malformed());
        }
        Ok(Cursor { digest, place: Place { keys: keys.to_vec(), id } })
    }
}

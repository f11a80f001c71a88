//! Transactions.

use crate::error::Result;
use crate::id::{Dot, Origin};
use crate::wire::Reader;

/// Version of the layout of a transaction.
const VERSION: u8 = 1;

/// The dot of an encoded transaction, without decoding the rest.
pub fn peek_dot(bytes: &[u8]) -> Result<Dot> {
    let mut reader = Reader::new(bytes, "transaction");
    if reader.u8()? != VERSION {
        return Err(reader.bad("a version that this build doesn't know"));
    }
    let origin = Origin::from_bytes(&reader.array()?);
    match u64::from_be_bytes(reader.array()?) {
        0 => Err(reader.bad("a dot numbered 0")),
        seq => Ok(Dot { origin, seq }),
    }
}

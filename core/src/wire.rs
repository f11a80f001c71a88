//! The few encodings that files and streams share: varints and length-prefixed bytes.
//!
//! Numbers are unsigned LEB128 in the shortest form; a longer form is refused, so that
//! one content has one encoding. A reader never takes memory for a length that the input
//! can't hold.

use crate::error::{Error, Result};

/// Appends an unsigned number.
pub(crate) fn put_uint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a signed number of 128 bits, zigzag.
pub(crate) fn put_int(out: &mut Vec<u8>, n: i128) {
    let mut n = ((n << 1) ^ (n >> 127)) as u128;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above wrote. Errors carry the name of what was being read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Reader<'a> {
        Reader { rest: bytes, what }
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// All that is not read yet, taken as it is.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// An error that says what is malformed; its kind is for bytes that came from outside.
    #[cold]
    pub(crate) fn bad(&self, why: &str) -> Error {
        Error::bad_txn(format!("malformed {}: {why}", self.what))
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| self.bad("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(crate) fn uint(&mut self) -> Result<u64> {
        // Nearly all numbers are small.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        u64::try_from(self.varint(64)?).map_err(|_| self.bad("a number is too large"))
    }

    pub(crate) fn int(&mut self) -> Result<i128> {
        let n = self.varint(128)?;
        Ok((n >> 1) as i128 ^ -((n & 1) as i128))
    }

    fn varint(&mut self, bits: u32) -> Result<u128> {
        let (mut n, mut shift) = (0u128, 0u32);
        loop {
            let byte = self.u8()?;
            let part = u128::from(byte & 0x7f);
            if shift >= bits || (part << shift) >> shift != part {
                return Err(self.bad("a number is too large"));
            }
            n |= part << shift;
            if byte & 0x80 == 0 {
                return match byte == 0 && shift > 0 {
                    true => Err(self.bad("a number in a longer form than needed")),
                    false => Ok(n),
                };
            }
            shift += 7;
        }
    }

    /// A count of things of at least one byte each.
    #[inline]
    pub(crate) fn count(&mut self) -> Result<usize> {
        match self.uint()? {
            n if n <= self.rest.len() as u64 => Ok(n as usize),
            _ => Err(self.bad("it ends too early")),
        }
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        // Nearly all are short.
        if let Some((&len, rest)) = self.rest.split_first()
            && len < 0x80
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(len))
        {
            self.rest = rest;
            return Ok(bytes);
        }
        self.any_bytes()
    }

    fn any_bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        self.take(len)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.bad("text that is not UTF-8"))
    }

    pub(crate) fn end(self) -> Result<()> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.bad("bytes after its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(n in any::<u64>(), i in any::<i128>(), small in -300i128..300) {
            let mut out = Vec::new();
            put_uint(&mut out, n);
            put_int(&mut out, i);
            put_int(&mut out, small);
            let mut reader = Reader::new(&out, "test");
            prop_assert_eq!(reader.uint().unwrap(), n);
            prop_assert_eq!(reader.int().unwrap(), i);
            prop_assert_eq!(reader.int().unwrap(), small);
            reader.end().unwrap();
        }

        #[test]
        fn what_decodes_is_canonical(bytes in prop::collection::vec(any::<u8>(), 1..24)) {
            let mut reader = Reader::new(&bytes, "test");
            if let Ok(n) = reader.uint() {
                let mut out = Vec::new();
                put_uint(&mut out, n);
                prop_assert_eq!(&bytes[..out.len()], &out[..]);
            }
            let mut reader = Reader::new(&bytes, "test");
            if let Ok(n) = reader.int() {
                let mut out = Vec::new();
                put_int(&mut out, n);
                prop_assert_eq!(&bytes[..out.len()], &out[..]);
            }
        }
    }
}

//! Frames: a stream of bytes, cut at any place, becomes whole frames again.
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | length of what follows, big-endian; at least 1 |
//! | 1 | type |
//! | rest | body |
//!
//! Invariants:
//! 1. A length above the limit is refused as soon as its four bytes are here.
//! 2. Memory is taken for bytes that have arrived, never for a length that was announced.

use crate::error::{Error, ErrorKind, Result};

/// Bytes before a frame's type.
pub(super) const LENGTH_BYTES: usize = 4;

/// Puts one stream's frames together.
#[derive(Debug)]
pub(super) struct Framer {
    buffer: Vec<u8>,
    start: usize,
    limit: usize,
}

impl Framer {
    /// For frames of at most `limit` bytes, the type included.
    pub(super) fn new(limit: usize) -> Framer {
        Framer { buffer: Vec::new(), start: 0, limit }
    }

    /// From now on, frames of at most `limit` bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes held: those of frames not yet taken.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// More bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, type first, if all of it is here.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let rest = &self.buffer[self.start..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = self.check(u32::from_be_bytes(*length))?;
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let frame = frame.to_vec();
        self.start += LENGTH_BYTES + length;
        Ok(Some(frame))
    }

    fn check(&self, length: u32) -> Result<usize> {
        match usize::try_from(length) {
            Ok(n) if (1..=self.limit).contains(&n) => Ok(n),
            _ => Err(Error::new(
                ErrorKind::Protocol,
                format!("a frame of {length} bytes where 1 to {} are allowed", self.limit),
            )),
        }
    }

    /// Gives back the room of frames already taken, and that of a large frame gone by.
    fn compact(&mut self) {
        const KEEP_BYTES: usize = 64 << 10;
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_BYTES {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: u32) -> Vec<u8> {
        [len.to_be_bytes().as_slice(), &vec![7; len as usize]].concat()
    }

    #[test]
    fn frames_survive_any_chunking() {
        let bytes = [frame(1), frame(5), frame(300)].concat();
        for chunk in [1, 2, 3, 7, 100, 1000] {
            let mut framer = Framer::new(300);
            let mut lengths = Vec::new();
            for part in bytes.chunks(chunk) {
                framer.push(part);
                while let Some(frame) = framer.next().unwrap() {
                    lengths.push(frame.len());
                }
            }
            assert_eq!(lengths, [1, 5, 300], "chunks of {chunk}");
            assert_eq!(framer.len(), 0);
        }
    }

    #[test]
    fn length_limit_is_inclusive_and_needs_only_the_header() {
        for (length, legal) in [(0, false), (1, true), (300, true), (301, false)] {
            let mut framer = Framer::new(300);
            framer.push(&u32::to_be_bytes(length));
            assert_eq!(framer.next().is_ok(), legal, "{length}");
        }
        let mut framer = Framer::new(300);
        framer.push(&u32::MAX.to_be_bytes());
        assert!(framer.next().is_err());
        assert!(framer.buffer.capacity() < 100);
    }
}

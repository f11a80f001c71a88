//! A reader that gives out only so many bytes until it is told that a record has ended: what a
//! parser holds of one record is bounded, however large the file is.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use littoral::limits::MAX_IMPORT_RECORD_BYTES;
use littoral::{Error, ErrorKind};

/// Bytes that the record under way may still have. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Room {
    left: Rc<Cell<u64>>,
    most: u64,
}

/// A reader that ends with an error when there is no room.
pub(super) struct Bounded<R> {
    input: R,
    room: Room,
}

impl<R: Read> Bounded<R> {
    /// For records of at most `most` bytes.
    pub(super) fn new(input: R, most: u64) -> (Bounded<R>, Room) {
        let room = Room { left: Rc::new(Cell::new(most)), most };
        (Bounded { input, room: room.clone() }, room)
    }
}

impl Room {
    /// A record has ended: the next may have as many.
    pub(super) fn renew(&self) {
        self.left.set(self.most);
    }

    /// Whether there is none left.
    pub(super) fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.room.left.get()).unwrap_or(usize::MAX).min(out.len());
        if most == 0 && !out.is_empty() {
            return Err(io::Error::other("a record is too large"));
        }
        let length = self.input.read(&mut out[..most])?;
        self.room.left.set(self.room.left.get() - length as u64);
        Ok(length)
    }
}

/// What is said of a record that is too large.
pub(super) fn too_large(remedy: &str) -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        format!("has over {MAX_IMPORT_RECORD_BYTES} bytes; {remedy}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_limit_and_the_next_one_has_it_again() {
        let (mut reader, room) = Bounded::new(io::repeat(b'x'), 1000);
        let mut piece = vec![0; 1000];
        for _ in 0..2 {
            reader.read_exact(&mut piece).unwrap();
            assert!(room.is_used_up());
            assert!(reader.read(&mut piece[..1]).is_err(), "one more than the limit");
            room.renew();
        }
    }
}

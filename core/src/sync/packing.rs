//! Packing: frames of tails and snapshots, compressed with Zstandard.
//!
//! | bytes of a packed frame | |
//! | --- | --- |
//! | `u8` | type 24 |
//! | `uint` | length of the frame within, type included |
//! | rest | that frame, as one Zstandard frame |
//!
//! Frames of several transactions are packed in a way of their own ([`chain`](super::chain)).
//!
//! Each frame is packed by itself: a stream may be cut after any of them, and nothing is kept
//! between them. A side packs only for a peer whose `Hello` says that it unpacks. Windows and
//! limits count what is within, so packing lets nobody make a peer hold more than it would have
//! held; and no memory is taken for a length above the limit of a frame.

use crate::compress::{compress, decompress};
use crate::error::Result;
use crate::limits::MAX_FRAME_BYTES;
use crate::txn::Scope;
use crate::wire::{Reader, put_uint};

use super::chain::{CHAIN, chain, unchain};
use super::framing::LENGTH_BYTES;
use super::message::{frame, protocol};

/// The type of a packed frame.
const PACKED: u8 = 24;
/// Smaller frames are sent as they are: hashes and signatures don't shrink.
const PACK_FROM_BYTES: usize = 512;

/// Frames as they are sent to a peer that unpacks: each packed, if that makes it smaller. Those of
/// transactions are of `scope`'s collection.
pub(super) fn pack(frames: Vec<u8>, scope: Scope<'_>) -> Vec<u8> {
    if frames.len() < PACK_FROM_BYTES {
        return frames;
    }
    let mut out = Vec::with_capacity(frames.len() / 2);
    let mut rest = frames.as_slice();
    while let Some((length, after)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let (content, later) = after.split_at(u32::from_be_bytes(*length) as usize);
        match packed(content, scope) {
            Some(packed) => out.extend(packed),
            None => out.extend_from_slice(&rest[..LENGTH_BYTES + content.len()]),
        }
        rest = later;
    }
    out
}

/// A frame that is made smaller, with its length before it.
fn packed(content: &[u8], scope: Scope<'_>) -> Option<Vec<u8>> {
    if content.len() < PACK_FROM_BYTES {
        return None;
    }
    let chained = || chain(content, scope);
    let alone = || {
        let small = compress(content)?;
        Some(frame(PACKED, |out| {
            put_uint(out, content.len() as u64);
            out.extend_from_slice(&small);
        }))
    };
    // What barely shrinks is not worth the work at the other side.
    let pays = |packed: &Vec<u8>| packed.len() < content.len() - content.len() / 16;
    chained().or_else(alone).filter(pays)
}

/// A frame of `scope`'s collection, type first, as it was before it was packed, if it was.
///
/// Errors: [`Protocol`](crate::ErrorKind::Protocol) if it can't be unpacked, or is too large.
pub fn unpack(frame: Vec<u8>, scope: Scope<'_>) -> Result<Vec<u8>> {
    match frame.first() {
        Some(&PACKED) => read(&frame).map_err(protocol),
        Some(&CHAIN) => unchain(&frame, scope).map_err(protocol),
        _ => Ok(frame),
    }
}

fn read(frame: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader::new(frame, "packed frame");
    reader.u8()?;
    let length = usize::try_from(reader.uint()?).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(reader.bad("it is larger than a frame may be"));
    }
    decompress(reader.take_rest(), length).ok_or_else(|| reader.bad("it can't be unpacked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::framing::Framer;
    use crate::txn::NetworkId;

    const SCOPE: Scope<'_> = Scope { network: NetworkId([9; 16]), collection: "notes" };

    fn text(bytes: usize) -> Vec<u8> {
        frame(17, |out| out.extend(b"all work and no play ".iter().cycle().take(bytes)))
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut reader = blake3::Hasher::new().finalize_xof();
        let mut noise = vec![0; bytes];
        reader.fill(&mut noise);
        frame(17, |out| out.extend_from_slice(&noise))
    }

    fn unpacked(bytes: &[u8]) -> Vec<u8> {
        let mut framer = Framer::new(MAX_FRAME_BYTES);
        framer.push(bytes);
        let frames = std::iter::from_fn(|| framer.next().unwrap());
        frames.flat_map(|content| frame_of(&unpack(content, SCOPE).unwrap())).collect()
    }

    fn frame_of(content: &[u8]) -> Vec<u8> {
        frame(content[0], |out| out.extend_from_slice(&content[1..]))
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for frames in [
            text(10),
            text(600),
            text(200_000),
            noise(5_000),
            [text(3), text(9_000), noise(9_000), text(700)].concat(),
        ] {
            assert_eq!(unpacked(&pack(frames.clone(), SCOPE)), frames);
        }
    }

    #[test]
    fn only_what_shrinks_is_packed() {
        assert!(pack(text(9_000), SCOPE).len() < 200);
        assert_eq!(pack(text(400), SCOPE), text(400));
        assert_eq!(pack(noise(9_000), SCOPE), noise(9_000));
    }

    #[test]
    fn a_packed_frame_that_lies_is_refused() {
        let honest = pack(text(9_000), SCOPE)[LENGTH_BYTES..].to_vec();
        assert!(unpack(honest.clone(), SCOPE).is_ok());
        for length in 0..honest.len() {
            assert!(unpack(honest[..length].to_vec(), SCOPE).is_err() || length == 0, "{length}");
        }
        let with_length = |length: u64| {
            let content = zstd::bulk::compress(&text(9_000), 1).unwrap();
            let mut lie = vec![PACKED];
            put_uint(&mut lie, length);
            lie.extend(content);
            unpack(lie, SCOPE)
        };
        let whole = text(9_000).len() as u64;
        assert!(with_length(whole).is_ok());
        for lie in [0, 1, whole - 1, whole + 1, MAX_FRAME_BYTES as u64 + 1, u64::MAX] {
            assert!(with_length(lie).is_err(), "{lie}");
        }
    }

    /// A bomb: a frame that says honestly that it is far too large, and one that is much larger
    /// than it says.
    #[test]
    fn a_bomb_takes_no_more_than_a_frame() {
        let zeros = zstd::bulk::compress(&vec![0; 8 * MAX_FRAME_BYTES], 1).unwrap();
        for length in [8 * MAX_FRAME_BYTES as u64, MAX_FRAME_BYTES as u64] {
            let mut bomb = vec![PACKED];
            put_uint(&mut bomb, length);
            bomb.extend_from_slice(&zeros);
            assert!(unpack(bomb, SCOPE).is_err());
        }
    }

    /// What another version of Zstandard has packed: these bytes are unpacked for good.
    #[test]
    fn golden_packed_frame() {
        let golden = include_str!("tests/golden/packed.hex");
        let bytes = data_encoding::HEXLOWER.decode(golden.trim().as_bytes()).unwrap();
        assert_eq!(unpack(bytes, SCOPE).unwrap(), text(600)[LENGTH_BYTES..]);
    }
}

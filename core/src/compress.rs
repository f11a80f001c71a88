//! Compression: what is kept or sent packed, one Zstandard frame at a time.
//!
//! What a frame gives is bounded before memory is taken for it: who unpacks says how long it has to
//! be, and that must be a length that so many packed bytes can have. It knows neither what it packs
//! nor how the frame lies in a file or on a wire: the log and [`sync`](crate::sync) do.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{compress_bound, find_frame_compressed_size};

/// The fastest of those that shrink text: neither a commit nor sending must wait for it.
const LEVEL: i32 = 1;
/// What a block of a frame holds at most,
const MAX_BLOCK_BYTES: usize = 128 << 10;
/// and what it takes at least.
const MIN_BLOCK_BYTES: usize = 4;

/// Bytes as one frame.
pub(crate) fn compress(content: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(content, LEVEL).ok()
}

/// What one frame holds, if that is `length` bytes.
pub(crate) fn decompress(frame: &[u8], length: usize) -> Option<Vec<u8>> {
    Unpacker::default().unpack(frame, length)
}

/// Packs one after the other: setting up its tables takes as long as packing some KiB.
#[derive(Default)]
pub(crate) struct Packer {
    compressor: Option<Compressor<'static>>,
    frame: Vec<u8>,
}

impl Packer {
    /// Bytes as one frame, until the next is packed.
    pub(crate) fn pack(&mut self, content: &[u8]) -> io::Result<&[u8]> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new(LEVEL)?),
        };
        self.frame.clear();
        self.frame.reserve(compress_bound(content.len()));
        compressor.compress_to_buffer(content, &mut self.frame)?;
        Ok(&self.frame)
    }

    /// Gives back the memory for what was packed last; the tables are kept.
    pub(crate) fn rest(&mut self) {
        self.frame = Vec::new();
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

/// Unpacks one after the other.
#[derive(Default)]
pub(crate) struct Unpacker {
    decompressor: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// What one frame holds, if that is `length` bytes.
    pub(crate) fn unpack(&mut self, frame: &[u8], length: usize) -> Option<Vec<u8>> {
        let most = (frame.len() / MIN_BLOCK_BYTES).saturating_mul(MAX_BLOCK_BYTES);
        if length > most || find_frame_compressed_size(frame).ok()? != frame.len() {
            return None;
        }
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().ok()?),
        };
        let content = decompressor.decompress(frame, length).ok()?;
        (content.len() == length).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_at_its_length_only() {
        let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
        for len in [0, 1, 100, 9_000, 300_000, 17 << 20] {
            let content: Vec<u8> = b"sea and moon ".iter().copied().cycle().take(len).collect();
            let frame = packer.pack(&content).unwrap().to_vec();
            assert_eq!(Some(&frame), compress(&content).as_ref());
            assert_eq!(unpacker.unpack(&frame, len).as_ref(), Some(&content));
            for lie in [len.wrapping_sub(1), len + 1, usize::MAX] {
                assert_eq!(unpacker.unpack(&frame, lie), None, "{len} {lie}");
            }
            // It goes on after a refusal.
            assert_eq!(unpacker.unpack(&frame, len), Some(content));
        }
    }

    #[test]
    fn only_one_whole_frame_is_taken() {
        let frame = compress(&[7; 5_000]).unwrap();
        for len in 0..frame.len() {
            assert_eq!(decompress(&frame[..len], 5_000), None, "{len}");
        }
        // Two frames, bytes behind one, and a frame that is to be skipped before it.
        let skipped = [&b"\x50\x2a\x4d\x18\x01\0\0\0x"[..], &frame].concat();
        for more in [[&frame[..], &frame].concat(), [&frame[..], &[0]].concat(), skipped] {
            assert!([5_000, 10_000].iter().all(|length| decompress(&more, *length).is_none()));
        }
    }

    #[test]
    fn no_memory_is_taken_for_what_so_few_bytes_cannot_hold() {
        let frame = compress(&[7; 5_000]).unwrap();
        assert!(frame.len() < 32);
        assert_eq!(decompress(&frame, 8 * MAX_BLOCK_BYTES), None);
        // The densest there is: blocks of one byte over and over.
        let zeros = vec![0; 64 * MAX_BLOCK_BYTES];
        let dense = compress(&zeros).unwrap();
        assert_eq!(decompress(&dense, zeros.len()), Some(zeros));
    }
}

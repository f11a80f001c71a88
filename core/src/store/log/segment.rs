//! A segment: one file of the log, its name and its header.
//!
//! The name is the base position in hexadecimal, so that the order of names is the order of
//! positions. The layout of the header is in [`super`]; it is the same in every format
//! version, so that a newer version is told from damage.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::store::disk::{Disk, File};

/// The directory of the segments.
pub(super) const DIR: &str = "log";
/// The format version that this build writes. It reads those before it, too.
pub(super) const VERSION: u32 = 2;
/// The first version whose segments may hold packed transactions.
pub(super) const PACKS_SINCE: u32 = 2;
/// Bytes of a segment's header; the body follows.
pub(super) const HEADER_BYTES: u64 = 32;
/// No base is above this, so that sums of positions and lengths don't overflow.
const MAX_BASE: u64 = 1 << 62;

const MAGIC: [u8; 8] = *b"LITLOG\r\n";
const CHECKED_BYTES: usize = 28;

/// An open segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The position of the first byte of its body.
    pub(super) base: u64,
    pub(super) file: Arc<dyn File>,
}

impl Segment {
    /// Makes the file, or opens the one of that name.
    pub(super) fn create(disk: &dyn Disk, base: u64) -> Result<Segment> {
        Segment::open_or(disk, base, true)
    }

    pub(super) fn open(disk: &dyn Disk, base: u64) -> Result<Segment> {
        Segment::open_or(disk, base, false)
    }

    fn open_or(disk: &dyn Disk, base: u64, create: bool) -> Result<Segment> {
        let name = name(base);
        match disk.open(&name, create) {
            Ok(file) => Ok(Segment { base, file }),
            Err(e) => Err(Error::io(format_args!("open {name}"), e)),
        }
    }

    pub(super) fn name(&self) -> String {
        name(self.base)
    }

    /// Where in the file a position lies.
    pub(super) fn offset(&self, position: u64) -> u64 {
        HEADER_BYTES + (position - self.base)
    }

    pub(super) fn len(&self) -> Result<u64> {
        self.file.len().map_err(|e| self.io("read the length of", e))
    }

    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, out).map_err(|e| self.io("read", e))
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes).map_err(|e| self.io("write", e))
    }

    pub(super) fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(|e| self.io("set the length of", e))
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| self.io("sync", e))
    }

    pub(super) fn write_header(&self) -> Result<()> {
        self.write_at(0, &header(self.base, VERSION))
    }

    /// The version that the header states; `None` if it is not whole. A newer format is an error.
    pub(super) fn version(&self) -> Result<Option<u32>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        if self.len()? < HEADER_BYTES {
            return Ok(None);
        }
        self.read_at(0, &mut bytes)?;
        let crc = u32::from_le_bytes(bytes[CHECKED_BYTES..].try_into().expect("4 bytes"));
        if bytes[..8] != MAGIC || crc != crc32fast::hash(&bytes[..CHECKED_BYTES]) {
            return Ok(None);
        }
        let version = u32::from_le_bytes(bytes[8..12].try_into().expect("4 bytes"));
        if version > VERSION {
            return Err(too_new(&self.name(), format_args!("format version {version}")));
        }
        Ok((bytes == header(self.base, version) && version > 0).then_some(version))
    }

    /// An error for bytes that were durable once and are not as they were written.
    pub(super) fn damaged(&self, offset: u64, why: &str) -> Error {
        Error::corrupt(format!(
            "{} is damaged at offset {offset}: {why}; nothing was changed: restore the store \
             from a copy, or join its collections again",
            self.name()
        ))
    }

    fn io(&self, doing: &str, source: std::io::Error) -> Error {
        Error::io(format_args!("{doing} {}", self.name()), source)
    }
}

/// An error for a file of a newer build.
pub(super) fn too_new(name: &str, what: std::fmt::Arguments<'_>) -> Error {
    Error::new(
        ErrorKind::FormatTooNew,
        format!(
            "{name} has {what}, and this build reads format version {VERSION}: open the store \
             with a newer littoral"
        ),
    )
}

/// The file name of a segment, relative to the store.
pub(super) fn name(base: u64) -> String {
    format!("{DIR}/{base:016x}.log")
}

/// The base positions of the segments, ascending; files of other names are none of ours.
pub(super) fn list(disk: &dyn Disk) -> Result<Vec<u64>> {
    match disk.list(DIR) {
        Ok(names) => Ok(names.iter().filter_map(|name| parse_name(name)).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("list the segments of the log", e)),
    }
}

fn parse_name(file: &str) -> Option<u64> {
    let base = u64::from_str_radix(file.strip_suffix(".log")?, 16).ok()?;
    (base <= MAX_BASE && name(base).strip_prefix("log/") == Some(file)).then_some(base)
}

fn header(base: u64, version: u32) -> [u8; HEADER_BYTES as usize] {
    let mut out = [0; HEADER_BYTES as usize];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&version.to_le_bytes());
    out[16..24].copy_from_slice(&base.to_le_bytes());
    let crc = crc32fast::hash(&out[..CHECKED_BYTES]);
    out[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_one_form_only() {
        assert_eq!(name(0xab), "log/00000000000000ab.log");
        assert_eq!(parse_name("00000000000000ab.log"), Some(0xab));
        for other in ["ab.log", "00000000000000AB.log", "+0000000000000ab.log", "lock"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
        assert_eq!(parse_name("ffffffffffffffff.log"), None);
    }
}

//! A batch: the records that are appended in one write, and their bytes.
//!
//! The layout is in [`super`]. A batch is valid at one position only, so that bytes moved
//! or left over from elsewhere are never taken for one. A record says how far it lies from
//! the start of its batch, so that a reader that holds only a record's position finds the
//! header with the checksum. For the same reason each transaction is packed by itself.

use super::segment::{Segment, too_new};
use super::{LogRecord, NewRecord, RecordKind};
use crate::compress::{Packer, Unpacker};
use crate::error::{Error, Result};
use crate::id::Position;
use crate::limits::{MAX_COLLECTION_BYTES, MAX_LOG_BATCH_BYTES};

/// Bytes of a batch's header; the records follow.
pub(super) const HEADER_BYTES: usize = 28;
/// Bytes of a record before its collection and contents.
pub(super) const RECORD_HEADER_BYTES: usize = 10;
/// The first byte is never a record's kind: it tells a batch from a record.
pub(super) const MAGIC: [u8; 4] = *b"\xb7LOG";
/// The kind of a transaction that is packed: above this file it is a transaction.
const PACKED: u8 = 4;
/// Bytes of the length that a packed transaction begins with.
const LENGTH_BYTES: usize = 4;
/// Smaller transactions are kept as they are.
///
/// Measured with notes of 250 bytes at level 1, tables kept: of 1.2 KB 7 µs save 0.5 KB, of 2.2 KB
/// 9 µs save 1.1 KB, of 4.2 KB 12 µs save 2.5 KB, of 254 KB 420 µs save 167 KB. Below, the time is
/// that of setting out, and hashes and signatures, which don't shrink, are the larger part.
pub(super) const PACK_FROM_BYTES: usize = 2048;

/// What a batch's header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) position: u64,
    /// Up to here the log was durable when the batch was written.
    pub(super) synced: u64,
    /// Bytes of its records.
    pub(super) len: usize,
    crc: u32,
}

impl Header {
    /// Reads the header of the batch at `position`; `None` if these bytes are none.
    pub(super) fn parse(bytes: &[u8], position: u64) -> Option<Header> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let header = Header {
            len: u32_at(4)? as usize,
            position: u64_at(8)?,
            synced: u64_at(16)?,
            crc: u32_at(24)?,
        };
        let legal = bytes.starts_with(&MAGIC)
            && header.position == position
            && (1..=MAX_LOG_BATCH_BYTES).contains(&header.len);
        legal.then_some(header)
    }

    /// Whether these are the records that the header was written for.
    pub(super) fn fits(&self, records: &[u8]) -> bool {
        self.len == records.len() && self.crc == self.checksum(records)
    }

    /// The position after the batch.
    pub(super) fn end(&self) -> u64 {
        self.position + (HEADER_BYTES + self.len) as u64
    }

    fn checksum(&self, records: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.to_bytes()[4..24]);
        crc.update(records);
        crc.finalize()
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&(self.len as u32).to_le_bytes());
        out[8..16].copy_from_slice(&self.position.to_le_bytes());
        out[16..24].copy_from_slice(&self.synced.to_le_bytes());
        out[24..].copy_from_slice(&self.crc.to_le_bytes());
        out
    }
}

/// The bytes that these records take if none is packed, header included, or why they don't make
/// a batch. What is packed counts unpacked, so that who reads a batch can hold what it holds.
pub(super) fn encoded_len(records: &[NewRecord<'_>]) -> Result<usize> {
    let mut len = 0usize;
    for record in records {
        if record.collection.len() > MAX_COLLECTION_BYTES {
            return Err(Error::limit(format!(
                "a collection's name in the log has at most {MAX_COLLECTION_BYTES} bytes; this one has {}",
                record.collection.len()
            )));
        }
        let own = RECORD_HEADER_BYTES + record.collection.len();
        len = len.saturating_add(own).saturating_add(record.bytes.len());
    }
    if len > MAX_LOG_BATCH_BYTES {
        return Err(Error::limit(format!(
            "records appended together have at most {MAX_LOG_BATCH_BYTES} bytes; these have {len}"
        )));
    }
    Ok(HEADER_BYTES + len)
}

/// Appends the batch to `out`; answers with start and end of each record. With a `packer`,
/// transactions are packed where that pays. The caller has checked the sizes with [`encoded_len`].
pub(super) fn encode(
    records: &[NewRecord<'_>],
    position: u64,
    synced: u64,
    mut packer: Option<&mut Packer>,
    out: &mut Vec<u8>,
) -> Vec<(Position, Position)> {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    let mut positions = Vec::with_capacity(records.len());
    for record in records {
        let back = (out.len() - start) as u32;
        let packed = packer.as_deref_mut().and_then(|packer| pack(record, packer));
        let (kind, length) = match packed {
            Some(frame) => (PACKED, LENGTH_BYTES + frame.len()),
            None => (record.kind as u8, record.bytes.len()),
        };
        out.push(kind);
        out.push(record.collection.len() as u8);
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&back.to_le_bytes());
        out.extend_from_slice(record.collection.as_bytes());
        if packed.is_some() {
            out.extend_from_slice(&(record.bytes.len() as u32).to_be_bytes());
        }
        out.extend_from_slice(packed.unwrap_or(record.bytes));
        let end = position + (out.len() - start) as u64;
        positions.push((Position(position + u64::from(back)), Position(end)));
    }
    let (head, body) = out[start..].split_at_mut(HEADER_BYTES);
    let mut header = Header { position, synced, len: body.len(), crc: 0 };
    header.crc = header.checksum(body);
    head.copy_from_slice(&header.to_bytes());
    positions
}

/// A transaction as one frame, if that is smaller by an eighth at least: what barely shrinks is not
/// worth the work of who reads it.
fn pack<'a>(record: &NewRecord<'_>, packer: &'a mut Packer) -> Option<&'a [u8]> {
    let length = record.bytes.len();
    if record.kind != RecordKind::Txn || length < PACK_FROM_BYTES {
        return None;
    }
    // What can't be packed, for want of memory, is kept as it is.
    let frame = packer.pack(record.bytes).ok()?;
    (LENGTH_BYTES + frame.len() <= length - length / 8).then_some(frame)
}

/// The distance from the start of its batch that the record beginning with `bytes` states.
pub(super) fn distance(bytes: &[u8]) -> Option<u64> {
    Some(u32::from_le_bytes(bytes.get(6..RECORD_HEADER_BYTES)?.try_into().ok()?).into())
}

/// A record inside its batch.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) position: u64,
    pub(super) end: u64,
    pub(super) kind: RecordKind,
    collection: &'a str,
    /// As they lie there.
    bytes: &'a [u8],
    /// The length of what they unpack to, if they are packed.
    packed: Option<usize>,
    segment: &'a Segment,
}

impl Record<'_> {
    /// The bytes that it would take if it were not packed.
    pub(super) fn unpacked_len(&self) -> usize {
        let contents = self.packed.unwrap_or(self.bytes.len());
        RECORD_HEADER_BYTES + self.collection.len() + contents
    }

    /// Whether its contents can be read.
    pub(super) fn check(&self, unpacker: &mut Unpacker) -> Result<()> {
        self.packed.map_or(Ok(()), |length| self.unpack(length, unpacker).map(drop))
    }

    pub(super) fn to_owned(&self, unpacker: &mut Unpacker) -> Result<LogRecord> {
        let bytes = match self.packed {
            Some(length) => self.unpack(length, unpacker)?,
            None => self.bytes.to_vec(),
        };
        Ok(LogRecord {
            position: Position(self.position),
            end: Position(self.end),
            kind: self.kind,
            collection: self.collection.to_owned(),
            bytes,
        })
    }

    fn unpack(&self, length: usize, unpacker: &mut Unpacker) -> Result<Vec<u8>> {
        unpacker.unpack(self.bytes, length).ok_or_else(|| {
            let why = format!("a transaction does not unpack to the {length} bytes it states");
            self.segment.damaged(self.segment.offset(self.position), &why)
        })
    }
}

/// The records of a batch whose checksum has been verified. A record that can't be read
/// after all is of a newer format or a mistake of the writer; it ends the iteration.
pub(super) struct Records<'a> {
    segment: &'a Segment,
    batch: u64,
    body: &'a [u8],
    at: usize,
    /// What the records up to there would take if none were packed.
    unpacked: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(segment: &'a Segment, header: &Header, body: &'a [u8]) -> Records<'a> {
        Records { segment, batch: header.position, body, at: 0, unpacked: 0 }
    }

    fn parse(&mut self) -> Option<Result<Record<'a>>> {
        let rest = &self.body[self.at..];
        let position = self.batch + (HEADER_BYTES + self.at) as u64;
        let (&kind, &name_len) = (rest.first()?, rest.get(1)?);
        let is_packed = kind == PACKED;
        let kind = if is_packed { RecordKind::Txn as u8 } else { kind };
        let Some(kind) = RecordKind::from_u8(kind) else {
            let what = format_args!("a record of kind {kind} at position {position}");
            return Some(Err(too_new(&self.segment.name(), what)));
        };
        let len = u32::from_le_bytes(rest.get(2..6)?.try_into().ok()?) as usize;
        let name_end = RECORD_HEADER_BYTES + usize::from(name_len);
        let collection = std::str::from_utf8(rest.get(RECORD_HEADER_BYTES..name_end)?).ok()?;
        let mut bytes = rest.get(name_end..name_end.checked_add(len)?)?;
        let mut packed = None;
        if is_packed {
            let (length, frame) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
            (packed, bytes) = (Some(u32::from_be_bytes(*length) as usize), frame);
        }
        let (segment, end) = (self.segment, position + (name_end + len) as u64);
        let record = Record { position, end, kind, collection, bytes, packed, segment };
        // All of a batch unpacked was within the limit when it was written.
        self.unpacked = self.unpacked.saturating_add(record.unpacked_len());
        let fits = distance(rest)? == position - self.batch && self.unpacked <= MAX_LOG_BATCH_BYTES;
        fits.then_some(Ok(record))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Result<Record<'a>>> {
        if self.at == self.body.len() {
            return None;
        }
        let parsed = self.parse().unwrap_or_else(|| {
            let offset = self.segment.offset(self.batch) + (HEADER_BYTES + self.at) as u64;
            Err(self.segment.damaged(offset, "a record contradicts its batch"))
        });
        self.at = match &parsed {
            Ok(record) => (record.end - self.batch) as usize - HEADER_BYTES,
            Err(_) => self.body.len(),
        };
        Some(parsed)
    }
}

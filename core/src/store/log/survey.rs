//! Survey: everything of a log that can be read, and what of it can't, however damaged it is.
//!
//! Recovery refuses a damaged log; this goes on behind the damage, at the next batch that is as
//! it was written (a batch is valid at one position only, so nothing else is taken for one). It
//! reads only, one batch at a time. What counts as a torn tail and what as damage is decided
//! as in [`recover`](super::recover): where the state ends, and what later batches say.

use std::sync::Arc;

use super::batch::{self, Header, Records};
use super::segment::{self, Segment};
use super::{LogRecord, RecordKind};
use crate::compress::Unpacker;
use crate::error::{ErrorKind, Result};
use crate::store::disk::Disk;

const READ_BYTES: usize = 256 << 10;
/// What is skipped of a file at a time where the disk can't read it.
const BAD_BLOCK_BYTES: u64 = 4096;

/// What is wrong with a part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Fault {
    pub(in crate::store) kind: FaultKind,
    /// The file, and from which byte of it on.
    pub(in crate::store) segment: String,
    pub(in crate::store) offset: u64,
    /// The positions concerned.
    pub(in crate::store) from: u64,
    pub(in crate::store) to: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum FaultKind {
    /// No file holds these positions.
    Missing,
    /// The header of a segment is not as it was written.
    Header,
    /// Bytes that are no batch as it was written.
    Bytes,
    /// The end of a write that was never synced, nor acknowledged.
    Torn,
    /// A record or file of a later version.
    TooNew(String),
    /// The log ends before the state.
    Short,
}

/// What a survey comes upon.
pub(in crate::store) enum Found {
    Record(LogRecord),
    Fault(Fault),
}

/// What is known of the log beforehand, by the state.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct Bounds {
    /// What was before this is pruned.
    pub(in crate::store) start: Option<u64>,
    /// The state is durable up to here, and so was the log.
    pub(in crate::store) applied: u64,
    /// Everything later is being written now.
    pub(in crate::store) end: Option<u64>,
}

/// A log that is looked at.
pub(in crate::store) struct Survey {
    disk: Arc<dyn Disk>,
    bases: Vec<u64>,
    bounds: Bounds,
}

type Each<'a> = &'a mut dyn FnMut(Found) -> Result<()>;

impl Survey {
    pub(in crate::store) fn new(disk: Arc<dyn Disk>, bounds: Bounds) -> Result<Survey> {
        let mut bases = segment::list(&*disk)?;
        let start = bounds.start.unwrap_or(0);
        let pruned = bases.windows(2).filter(|pair| pair[1] <= start).count();
        bases.drain(..pruned);
        if let Some(end) = bounds.end {
            bases.retain(|base| *base < end);
        }
        Ok(Survey { disk, bases, bounds })
    }

    /// Where the log begins, as far as there is one.
    pub(in crate::store) fn start(&self) -> Option<u64> {
        self.bases.first().copied()
    }

    /// Where the segment begins that holds a position.
    pub(in crate::store) fn segment_of(&self, position: u64) -> u64 {
        let after = self.bases.partition_point(|base| *base <= position);
        self.bases.get(after.wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// The bytes of its files: for telling how far reading has come.
    pub(in crate::store) fn bytes(&self) -> u64 {
        let len = |base: &u64| Segment::open(&*self.disk, *base).and_then(|segment| segment.len());
        self.bases.iter().filter_map(|base| len(base).ok()).sum()
    }

    /// Reads it all, in order.
    pub(in crate::store) fn read(&self, each: Each<'_>) -> Result<()> {
        let expected = self.bounds.start.unwrap_or(0);
        let Some(first) = self.start() else {
            return match self.bounds.applied {
                0 => Ok(()),
                applied => each(Found::Fault(missing(expected, applied))),
            };
        };
        if let (Some(start), true) = (self.bounds.start, first > expected) {
            each(Found::Fault(missing(start, first)))?;
        }
        for (at, base) in self.bases.iter().enumerate() {
            self.segment(*base, self.bases.get(at + 1).copied(), each)?;
        }
        Ok(())
    }

    fn segment(&self, base: u64, next: Option<u64>, each: Each<'_>) -> Result<()> {
        let Ok(segment) = Segment::open(&*self.disk, base) else {
            return each(Found::Fault(missing(base, next.unwrap_or(base))));
        };
        let mut part = Part { name: segment.name(), len: segment.len().unwrap_or(0), segment };
        let limit = next.or(self.bounds.end);
        part.len = limit.map_or(part.len, |limit| part.len.min(part.segment.offset(limit)));
        match part.segment.version() {
            Ok(Some(_)) => {}
            Err(err) if err.kind() == ErrorKind::FormatTooNew => {
                let kind = FaultKind::TooNew(err.message().to_owned());
                return each(Found::Fault(part.fault(kind, base, next.unwrap_or(base))));
            }
            // The header of a segment that was just made may be lost with it: then it is empty.
            _ if next.is_none()
                && part.batch(base).is_none()
                && part.next_batch(base).is_none() =>
            {
                let short = self.bounds.applied > base;
                let kind = if short { FaultKind::Header } else { FaultKind::Torn };
                return each(Found::Fault(part.fault(kind, base, self.bounds.applied.max(base))));
            }
            _ => each(Found::Fault(part.fault(FaultKind::Header, base, base)))?,
        }
        let mut at = base;
        loop {
            at = part.batches(at, each)?;
            let Some((found, _)) = part.next_batch(at) else { break };
            // What lies before batches that no sync separated from it may be lost.
            let last = next.is_none() && self.bounds.end.is_none();
            if last && at >= self.bounds.applied && part.synced_behind(at) <= at {
                return each(Found::Fault(part.fault(FaultKind::Torn, at, part.used(at))));
            }
            each(Found::Fault(part.fault(FaultKind::Bytes, at, found)))?;
            at = found;
        }
        self.end_of(&part, at, next, each)
    }

    /// What comes after the last batch of a segment.
    fn end_of(&self, part: &Part, at: u64, next: Option<u64>, each: Each<'_>) -> Result<()> {
        let used = part.used(at);
        match next.or(self.bounds.end) {
            Some(next) if at == next => Ok(()),
            Some(next) => {
                let whole = part.len >= part.segment.offset(next);
                let kind = if whole || used > at { FaultKind::Bytes } else { FaultKind::Missing };
                each(Found::Fault(part.fault(kind, at, next)))
            }
            None if at < self.bounds.applied => {
                each(Found::Fault(part.fault(FaultKind::Short, at, self.bounds.applied)))
            }
            None if used > at => each(Found::Fault(part.fault(FaultKind::Torn, at, used))),
            None => Ok(()),
        }
    }
}

/// A segment being read.
struct Part {
    segment: Segment,
    name: String,
    len: u64,
}

impl Part {
    fn fault(&self, kind: FaultKind, from: u64, to: u64) -> Fault {
        let offset = match kind {
            FaultKind::Header => 0,
            _ => self.segment.offset(from),
        };
        Fault { kind, segment: self.name.clone(), offset, from, to }
    }

    /// Gives the records of the batches from a position on. Answers with where they end.
    fn batches(&self, mut at: u64, each: Each<'_>) -> Result<u64> {
        let mut unpacker = Unpacker::default();
        while let Some((header, body)) = self.batch(at) {
            for record in Records::new(&self.segment, &header, &body) {
                match record {
                    Ok(record) => each(match record.to_owned(&mut unpacker) {
                        Ok(owned) => Found::Record(owned),
                        Err(_) => {
                            let (from, to) = (record.position, record.end);
                            Found::Fault(self.fault(FaultKind::Bytes, from, to))
                        }
                    })?,
                    Err(err) => {
                        let kind = match err.kind() {
                            ErrorKind::FormatTooNew => FaultKind::TooNew(err.message().to_owned()),
                            _ => FaultKind::Bytes,
                        };
                        each(Found::Fault(self.fault(kind, at, header.end())))?;
                        break;
                    }
                }
            }
            at = header.end();
        }
        Ok(at)
    }

    fn batch(&self, position: u64) -> Option<(Header, Vec<u8>)> {
        let head = self.bytes(self.segment.offset(position), batch::HEADER_BYTES)?;
        let header = Header::parse(&head, position)?;
        let at = self.segment.offset(position) + batch::HEADER_BYTES as u64;
        let body = self.bytes(at, header.len)?;
        header.fits(&body).then_some((header, body))
    }

    /// The first batch as it was written that begins after a position.
    fn next_batch(&self, after: u64) -> Option<(u64, Header)> {
        let mut offset = self.segment.offset(after) + 1;
        while offset < self.len {
            let len = READ_BYTES.min((self.len - offset) as usize);
            let Some(chunk) = self.bytes(offset, len) else {
                offset += BAD_BLOCK_BYTES;
                continue;
            };
            for (at, _) in chunk.iter().enumerate().filter(|(_, byte)| **byte == batch::MAGIC[0]) {
                let at = offset + at as u64;
                let position = self.segment.base + (at - segment::HEADER_BYTES);
                if let Some((header, _)) = self.batch(position) {
                    return Some((position, header));
                }
            }
            offset += len as u64;
        }
        None
    }

    /// Up to where the log was durable when batches after a position were written.
    fn synced_behind(&self, mut after: u64) -> u64 {
        let mut synced = 0;
        while let Some((at, header)) = self.next_batch(after) {
            synced = synced.max(header.synced);
            after = at;
        }
        synced
    }

    /// The position after the last byte that is not zero, from a position on.
    fn used(&self, from: u64) -> u64 {
        let (mut offset, mut used) = (self.segment.offset(from), from);
        while offset < self.len {
            let len = READ_BYTES.min((self.len - offset) as usize);
            let last = self.bytes(offset, len).map(|chunk| chunk.iter().rposition(|b| *b != 0));
            if let Some(Some(last)) = last {
                used = self.segment.base + (offset - segment::HEADER_BYTES) + last as u64 + 1;
            }
            offset += len as u64;
        }
        used
    }

    /// Bytes of the file; `None` if it is too short or the disk can't read them.
    fn bytes(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        if self.len.checked_sub(offset)? < len as u64 {
            return None;
        }
        let mut out = vec![0; len];
        self.segment.read_at(offset, &mut out).ok().map(|()| out)
    }
}

fn missing(from: u64, to: u64) -> Fault {
    let segment = segment::name(from);
    Fault { kind: FaultKind::Missing, segment, offset: 0, from, to }
}

impl LogRecord {
    /// Whether it holds a transaction.
    pub(in crate::store) fn is_txn(&self) -> bool {
        self.kind == RecordKind::Txn
    }
}

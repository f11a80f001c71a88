//! Recovery: where the log ends after a crash.
//!
//! 1. [`find`] only reads. It looks at the headers of all segments and at the batches after
//!    the state, and at the one before them, one at a time: memory is bounded by a batch. What
//!    lies before is not read, whatever its size; only if the batch where the state ends is
//!    not known, or not as it was written, is its whole segment read, to say what is wrong.
//! 2. What is not a valid batch is a **torn tail** if it may be a write that was never
//!    synced, else **damage**. It is damage if a later segment exists (a segment is synced
//!    before the next is made), if it lies below `from` (the state was durable up to there,
//!    so the log was), or if a batch behind it says that the log had been durable beyond it
//!    when that batch was written. Of batches written without a sync between them, a power
//!    cut may keep the later one and lose the earlier: that is a torn tail.
//! 3. [`Found::repair`] cuts the tail to nothing, so that no stale bytes are ever taken for
//!    a batch, and writes again what no later write proves to have been synced. After a
//!    failed sync the page cache may hold bytes that the disk lacks and call them clean;
//!    only writing them again makes the next sync mean something.

use super::Known;
use super::batch::{self, Header, Records};
use super::segment::{self, Segment};
use crate::compress::Unpacker;
use crate::error::{Error, Result};
use crate::store::disk::Disk;

const READ_BYTES: usize = 256 << 10;

/// What recovery found; nothing has been changed yet.
#[derive(Debug)]
pub(super) struct Found {
    /// The base positions of all segments, ascending; the last is the active one.
    pub(super) bases: Vec<u64>,
    pub(super) active: Segment,
    /// The version of the active segment, once it is repaired: an empty one gets a new header.
    pub(super) version: u32,
    /// The position after the last valid batch.
    pub(super) end: u64,
    /// The last valid batch, if one is known.
    pub(super) batch: Option<u64>,
    /// Segments that were pruned, and whose files are still there.
    pub(super) leftovers: Vec<u64>,
    /// Bytes of the torn tail, zeros at its end not counted.
    pub(super) torn: u64,
    /// From here to the end nothing proves that the bytes were synced.
    unproven: u64,
}

impl Found {
    /// Cuts the torn tail and makes everything up to the end durable. Answers with the
    /// length of the active segment's file.
    pub(super) fn repair(&self, disk: &dyn Disk) -> Result<u64> {
        let empty = self.end == self.active.base;
        if empty {
            self.active.write_header()?;
        }
        if self.torn > 0 {
            self.active.set_len(self.active.offset(self.end))?;
        }
        if empty || self.unproven < self.end {
            self.write_again()?;
            self.active.sync()?;
            sync_dir(disk)?;
        } else if self.torn > 0 {
            self.active.sync()?;
        }
        self.active.len()
    }

    fn write_again(&self) -> Result<()> {
        let mut buffer = Vec::new();
        let mut at = self.unproven;
        while at < self.end {
            buffer.resize(READ_BYTES.min((self.end - at) as usize), 0);
            self.active.read_at(self.active.offset(at), &mut buffer)?;
            self.active.write_at(self.active.offset(at), &buffer)?;
            at += buffer.len() as u64;
        }
        Ok(())
    }
}

/// Makes durable which segments exist.
pub(super) fn sync_dir(disk: &dyn Disk) -> Result<()> {
    disk.sync_dir(segment::DIR).map_err(|e| Error::io("sync the directory of the log", e))
}

/// Finds the log's end; `None` if there is no log yet.
pub(super) fn find(disk: &dyn Disk, known: &Known) -> Result<Option<Found>> {
    let from = known.applied.0;
    let (leftovers, bases) = split_pruned(segment::list(disk)?, known.start.0);
    let (Some(&first), Some(&last)) = (bases.first(), bases.last()) else {
        return match from {
            0 => Ok(None),
            _ => Err(ends_early(0, from)),
        };
    };
    if from < first || known.start.0 < first {
        return Err(Error::corrupt(format!(
            "the log begins at {first}, and the state needs it from {} on: segments are missing; \
             nothing was changed: restore the store from a copy, or join its collections again",
            known.start.0.min(from)
        )));
    }
    for pair in bases.windows(2) {
        check_finished(&Segment::open(disk, pair[0])?, pair[1], from)?;
    }
    let active = Segment::open(disk, last)?;
    let tail = check_active(&active, known)?;
    Ok(Some(Found {
        bases,
        leftovers,
        version: if tail.end == active.base { segment::VERSION } else { tail.version },
        batch: tail.batch,
        end: tail.end,
        torn: tail.torn,
        unproven: tail.synced.max(from).max(active.base),
        active,
    }))
}

/// The segments before `start`, whose removal a crash may have undone, and the others.
fn split_pruned(mut bases: Vec<u64>, start: u64) -> (Vec<u64>, Vec<u64>) {
    let pruned = bases.windows(2).filter(|pair| pair[1] <= start).count();
    let kept = bases.split_off(pruned);
    (bases, kept)
}

/// Checks a segment that another follows at `next`.
fn check_finished(segment: &Segment, next: u64, from: u64) -> Result<()> {
    if segment.version()?.is_none() {
        return Err(segment.damaged(0, "its header is not as it was written"));
    }
    if segment.len()? < segment.offset(next) {
        return Err(segment.damaged(
            segment.len()?,
            &format!("it ends before position {next}, where the next segment begins"),
        ));
    }
    if next <= from {
        return Ok(());
    }
    let scan = Scan::run(segment, segment.offset(next))?;
    match scan.end == next {
        true => Ok(()),
        false => {
            Err(segment
                .damaged(segment.offset(scan.end), "a later segment shows that it was whole"))
        }
    }
}

struct Tail {
    version: u32,
    end: u64,
    synced: u64,
    batch: Option<u64>,
    torn: u64,
}

/// Checks the last segment and finds its end.
fn check_active(segment: &Segment, known: &Known) -> Result<Tail> {
    let (from, len) = (known.applied.0, segment.len()?);
    let Some(version) = segment.version()? else {
        return check_headless(segment, len, from);
    };
    let mut scan = Scan::run_from(segment, len, known)?;
    let (end, synced, batch) = (scan.end, scan.synced, scan.last);
    let rest = scan.search(segment.offset(end))?;
    if rest.synced.is_some_and(|synced| synced > end) {
        return Err(
            segment.damaged(segment.offset(end), "batches behind it show that it was whole")
        );
    }
    match from > end {
        true => Err(ends_early(end, from)),
        false => {
            let torn = rest.used.saturating_sub(segment.offset(end));
            Ok(Tail { version, end, synced, batch, torn })
        }
    }
}

/// A header is synced before the first append: without one the segment must be empty.
fn check_headless(segment: &Segment, len: u64, from: u64) -> Result<Tail> {
    let rest = Scan::new(segment, len).search(0)?;
    if rest.synced.is_some() {
        return Err(segment.damaged(0, "its header is not as it was written"));
    }
    match from > segment.base {
        true => Err(ends_early(segment.base, from)),
        false => {
            let (end, synced) = (segment.base, segment.base);
            Ok(Tail { version: segment::VERSION, end, synced, batch: None, torn: rest.used })
        }
    }
}

fn ends_early(end: u64, from: u64) -> Error {
    Error::corrupt(format!(
        "the log ends before the state: it ends at {end}, and the state is durable up to {from}; \
         nothing was changed: restore the store from a copy, or join its collections again"
    ))
}

/// Reads the batches of a segment in order.
struct Scan<'a> {
    segment: &'a Segment,
    /// Bytes of the file that are looked at.
    len: u64,
    /// The position after the last valid batch, and what that batch says of the log.
    end: u64,
    synced: u64,
    /// That batch.
    last: Option<u64>,
    buffer: Vec<u8>,
    buffer_offset: u64,
}

/// What lies behind the last valid batch.
#[derive(Default)]
struct Rest {
    /// The highest durable position that a valid batch there states.
    synced: Option<u64>,
    /// The offset after the last byte that is not zero.
    used: u64,
}

impl<'a> Scan<'a> {
    fn new(segment: &'a Segment, len: u64) -> Scan<'a> {
        let (end, synced) = (segment.base, segment.base);
        Scan { segment, len, end, synced, last: None, buffer: Vec::new(), buffer_offset: 0 }
    }

    /// Reads as many valid batches as there are.
    fn run(segment: &'a Segment, len: u64) -> Result<Scan<'a>> {
        let mut scan = Scan::new(segment, len);
        scan.go_on()?;
        Ok(scan)
    }

    /// The same, beginning with the batch where the state ends, if it is there as it was
    /// written.
    fn run_from(segment: &'a Segment, len: u64, known: &Known) -> Result<Scan<'a>> {
        let from = known.applied.0;
        let batch = known.batch.map(|batch| batch.0);
        if let Some(batch) = batch.filter(|batch| (segment.base..from).contains(batch)) {
            let mut scan = Scan::new(segment, len);
            scan.end = batch;
            scan.go_on()?;
            if scan.end >= from {
                scan.synced = scan.synced.max(from);
                return Ok(scan);
            }
        }
        Scan::run(segment, len)
    }

    fn go_on(&mut self) -> Result<()> {
        while let Some(header) = self.batch(self.end)? {
            self.last = Some(self.end);
            (self.end, self.synced) = (header.end(), header.synced);
        }
        Ok(())
    }

    /// The batch at a position, if there is a valid one. Its records are read, too, to refuse
    /// kinds that this build doesn't know, and packed ones that don't unpack.
    fn batch(&mut self, position: u64) -> Result<Option<Header>> {
        let (segment, offset) = (self.segment, self.segment.offset(position));
        let Some(bytes) = self.bytes(offset, batch::HEADER_BYTES)? else { return Ok(None) };
        let Some(header) = Header::parse(bytes, position) else { return Ok(None) };
        let whole = self.bytes(offset, batch::HEADER_BYTES + header.len)?;
        let Some((_, body)) = whole.map(|bytes| bytes.split_at(batch::HEADER_BYTES)) else {
            return Ok(None);
        };
        if !header.fits(body) {
            return Ok(None);
        }
        let mut unpacker = Unpacker::default();
        Records::new(segment, &header, body).try_for_each(|record| record?.check(&mut unpacker))?;
        Ok(Some(header))
    }

    /// Looks for valid batches, and for anything but zeros, from an offset to the end of the file.
    fn search(&mut self, mut offset: u64) -> Result<Rest> {
        let mut rest = Rest::default();
        while offset < self.len {
            let len = READ_BYTES.min((self.len - offset) as usize);
            let chunk = self.bytes(offset, len)?.unwrap_or_default().to_vec();
            if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
                rest.used = offset + last as u64 + 1;
                self.search_chunk(offset, &chunk, &mut rest)?;
            }
            offset += len as u64;
        }
        Ok(rest)
    }

    fn search_chunk(&mut self, offset: u64, chunk: &[u8], rest: &mut Rest) -> Result<()> {
        for (at, _) in chunk.iter().enumerate().filter(|(_, byte)| **byte == batch::MAGIC[0]) {
            let at = offset + at as u64;
            if at < segment::HEADER_BYTES {
                continue;
            }
            if let Some(header) = self.batch(self.segment.base + (at - segment::HEADER_BYTES))? {
                rest.synced = rest.synced.max(Some(header.synced));
            }
        }
        Ok(())
    }

    /// Bytes of the file, through a buffer; `None` if it is too short.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>> {
        if self.len.saturating_sub(offset) < len as u64 {
            return Ok(None);
        }
        let held = offset >= self.buffer_offset
            && offset + len as u64 <= self.buffer_offset + self.buffer.len() as u64;
        if !held {
            let room = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
            self.buffer.resize(len.max(READ_BYTES).min(room), 0);
            self.buffer_offset = offset;
            self.segment.read_at(offset, &mut self.buffer)?;
        }
        let start = (offset - self.buffer_offset) as usize;
        Ok(Some(&self.buffer[start..start + len]))
    }
}

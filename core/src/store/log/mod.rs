//! The log: the write-ahead log of a store, whole signed transactions in order of arrival.
//!
//! It is one sequence of bytes, cut into segments. A [`Position`] counts the bytes of the
//! segments' bodies over the store's life, and never goes back. Records enter in *batches*:
//! one batch is one write, lies in one segment, and after a crash is there whole or not at
//! all. [`Log`] is the one writer; [`LogReader`]s read what is durable, from any thread.
//!
//! # Invariants
//! 1. A reader sees only records that are durable.
//! 2. After a crash the log is a prefix of the batches appended, and holds at least those
//!    that were synced. A tail that was never synced is cut; anything else that does not
//!    read as it was written is refused, and nothing is changed.
//! 3. A segment is complete and synced before the next one is made. Only the last one grows.
//! 4. Behind the last batch, the active segment holds zeros or nothing.
//! 5. After a failed write or sync nothing more is written until the log is opened again.
//!
//! It does not know what the records mean, which of them the state includes, or who still
//! needs a segment.
//!
//! # Bytes
//! Numbers are little-endian. A segment is the file `log/{base:016x}.log`; the body follows
//! its header, and position `p` is at offset `32 + p - base`. The header's layout and
//! checksum are the same in every version.
//!
//! | segment | bytes | content |
//! | ---: | ---: | --- |
//! | 0 | 8 | magic `LITLOG\r\n` |
//! | 8 | 4 | format version: 2; 1 had no packed transactions |
//! | 12 | 4 | zero |
//! | 16 | 8 | base: the position of the first byte of the body |
//! | 24 | 4 | zero |
//! | 28 | 4 | CRC-32 of bytes 0 to 27 |
//! | 32 | | the body: batches back to back, then zeros (only in the active segment) |
//!
//! | batch | bytes | content |
//! | ---: | ---: | --- |
//! | 0 | 4 | magic `B7 4C 4F 47` |
//! | 4 | 4 | length of the records, 1 to [`MAX_LOG_BATCH_BYTES`](crate::limits::MAX_LOG_BATCH_BYTES) |
//! | 8 | 8 | position of this batch |
//! | 16 | 8 | position up to which the log was durable when the batch was written |
//! | 24 | 4 | CRC-32 of bytes 4 to 23 and the records |
//! | 28 | | the records, back to back |
//!
//! | record | bytes | content |
//! | ---: | ---: | --- |
//! | 0 | 1 | kind: 1 transaction, 2 barrier, 3 export mark, 4 packed transaction; 80 to FF are never used, so that no record begins like a batch |
//! | 1 | 1 | length of the collection's name, 0 to 128 |
//! | 2 | 4 | length of the contents |
//! | 6 | 4 | distance from the start of the batch to this record |
//! | 10 | | the collection's name (UTF-8), then the contents |
//!
//! The contents of a packed transaction are its length, 4 bytes big-endian, and one Zstandard
//! frame of it. Who reads a record gets a transaction and does not see that it was packed.
//! Positions count what lies in the files; limits, of a batch and of what is read at a time,
//! count what is unpacked. A segment of version 1 that is still being written to when a store opens
//! takes no packed ones: its end comes soon enough.

mod batch;
mod reader;
mod recover;
mod segment;
mod survey;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::compress::Packer;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Position};
use crate::store::disk::Disk;
use crate::txn::peek_dot;

pub use reader::LogReader;
use reader::Shared;
use segment::Segment;
pub(super) use survey::{Bounds, Fault, FaultKind, Found, Survey};

/// The active segment is extended by this many zeros at a time.
///
/// Measured on ext4 with an append of 400 to 3,000 bytes and an fdatasync (median of 1,500):
/// a file that grows with each append 0.26 to 0.36 ms, one that was only given its length
/// 0.20 to 0.30 ms, one that was filled with zeros 0.20 to 0.22 ms whatever the append's
/// size. Growing changes the inode, and writing into a hole allocates a block: both cost a
/// journal write at the sync; overwriting costs none. Filling 1 MiB at a time is as good as
/// the whole segment at once, and a small store stays small.
const PREALLOCATE_BYTES: u64 = 1 << 20;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A signed transaction of the collection, verbatim.
    Txn = 1,
    /// The state changed without records here: replay does not cross it.
    Barrier = 2,
    /// Up to where own transactions of the collection may leave this store.
    Mark = 3,
}

impl RecordKind {
    fn from_u8(kind: u8) -> Option<RecordKind> {
        match kind {
            1 => Some(RecordKind::Txn),
            2 => Some(RecordKind::Barrier),
            3 => Some(RecordKind::Mark),
            _ => None,
        }
    }
}

/// A record to append.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// The collection it belongs to; at most 128 bytes.
    pub collection: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it begins.
    pub position: Position,
    /// Where it ends: reading goes on from here.
    pub end: Position,
    /// What it is.
    pub kind: RecordKind,
    /// The collection it belongs to.
    pub collection: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl LogRecord {
    /// The dot of a transaction. It was written by this store: what can't be read is damage.
    pub(in crate::store) fn dot(&self) -> Result<Dot> {
        peek_dot(&self.bytes).map_err(|err| {
            Error::corrupt(format!("the log at position {}: {}", self.position, err.message()))
        })
    }
}

/// Where appended records lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Start and end of each, in the order given; the last end is the log's end.
    pub positions: Vec<(Position, Position)>,
}

/// What the log's owner knows of it when it opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What was before this is pruned; a segment boundary. 0 for a new log.
    pub start: Position,
    /// The state is durable up to here: the end of a record. 0 for a new store.
    pub applied: Position,
    /// The batch with the record that ends there, if that is known: what lies before it is then
    /// not read again.
    pub batch: Option<Position>,
}

/// What was found when the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The first position held.
    pub start: Position,
    /// The end: every record before it is durable. Those after the state are to be applied.
    pub end: Position,
    /// The last batch, if there is one in the active segment.
    pub batch: Option<Position>,
    /// Bytes of a torn tail that were cut; they were never acknowledged.
    pub cut_bytes: u64,
}

/// The log of an open store: its only writer.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    active: Segment,
    /// The version of the active segment.
    version: u32,
    packer: Packer,
    end: u64,
    durable: u64,
    /// Where the last batch begins, if it is known.
    batch: Option<u64>,
    /// Segments that are pruned and whose files may still be there.
    doomed: Vec<u64>,
    /// The length of the active segment's file.
    allocated: u64,
    sizes: Sizes,
    poisoned: bool,
    syncs: u64,
    bytes: u64,
}

/// Sizes that tests make smaller.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    segment_bytes: u64,
    preallocate_bytes: u64,
}

impl Log {
    /// Opens the log, or makes an empty one. Segments are closed at `segment_bytes`. Reads
    /// what lies after the state, however large the log is; removes what is left of segments
    /// that were pruned.
    ///
    /// Errors: [`ErrorKind::Corrupt`] if the log lacks or contradicts what was durable, with
    /// file and offset; [`ErrorKind::FormatTooNew`]; I/O. On the first two nothing is changed.
    pub fn open(disk: Arc<dyn Disk>, known: Known, segment_bytes: u64) -> Result<(Log, Recovered)> {
        let sizes = Sizes { segment_bytes, preallocate_bytes: PREALLOCATE_BYTES };
        Log::open_sized(disk, known, sizes)
    }

    /// Appends records as one batch, in one write. They are not durable, and no reader sees
    /// them, until [`Log::sync`]. No records is no batch.
    ///
    /// Errors: [`ErrorKind::LimitExceeded`] if a name or the whole is too large (nothing was
    /// changed); any other poisons the log.
    pub fn append(&mut self, records: &[NewRecord<'_>]) -> Result<Appended> {
        if records.is_empty() {
            return Ok(Appended { positions: Vec::new() });
        }
        let len = batch::encoded_len(records)?;
        self.guarded(|log| log.write_batch(records, len))
    }

    /// Makes everything appended durable, with one sync of one file, and shows it to readers.
    pub fn sync(&mut self) -> Result<()> {
        self.guarded(|log| match log.durable == log.end {
            true => Ok(()),
            false => log.sync_active(),
        })
    }

    /// Removes the segments that lie wholly before `position`; never the active one. Answers
    /// with how many bytes of positions they held.
    ///
    /// The owner has noted durably that the log now begins there. So no order of removals can
    /// look like damage, and a file that could not be removed is harmless: readers don't see
    /// it, and it is tried again by the next call and when the log is opened.
    pub fn unlink_before(&mut self, position: Position) -> Result<u64> {
        self.check_usable()?;
        let start = self.shared.start();
        while let Some(next) = self.shared.second_base().filter(|next| *next <= position.0) {
            self.doomed.push(self.shared.start());
            // First the readers, then the file: one that fails to open it finds it gone.
            self.shared.unlinked(next);
        }
        self.sweep()?;
        Ok(self.shared.start() - start)
    }

    /// Syncs, gives back the unused room of the active segment, and ends the waiting of readers.
    pub fn close(mut self) -> Result<()> {
        self.guarded(Log::finish)
    }

    /// A handle to read from; cheap, and to be cloned freely.
    pub fn reader(&self) -> LogReader {
        LogReader::new(self.shared.clone())
    }

    /// The first position still held.
    pub fn start(&self) -> Position {
        Position(self.shared.start())
    }

    /// Everything before this is durable.
    pub fn durable(&self) -> Position {
        Position(self.durable)
    }

    /// The position after the last record appended.
    pub fn end(&self) -> Position {
        Position(self.end)
    }

    /// Where the segment begins that is being appended to.
    pub fn active(&self) -> Position {
        Position(self.active.base)
    }

    /// Where the last batch begins, if there is one and it is known.
    pub fn batch(&self) -> Option<Position> {
        self.batch.map(Position)
    }

    /// How many syncs of files this log has made since it was opened.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// How many bytes of batches were appended since it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn open_sized(disk: Arc<dyn Disk>, known: Known, sizes: Sizes) -> Result<(Log, Recovered)> {
        let Some(found) = recover::find(&*disk, &known)? else {
            return Log::create(disk, sizes);
        };
        let allocated = found.repair(&*disk)?;
        let recovered = Recovered {
            start: Position(found.bases[0]),
            end: Position(found.end),
            batch: found.batch.map(Position),
            cut_bytes: found.torn,
        };
        let mut log = Log::new(disk, found.bases, found.active, found.end, allocated, sizes);
        (log.batch, log.doomed, log.version) = (found.batch, found.leftovers, found.version);
        if let Err(err) = log.sweep() {
            tracing::warn!(reason = err.message(), "a pruned segment of the log stays for now");
        }
        Ok((log, recovered))
    }

    fn create(disk: Arc<dyn Disk>, sizes: Sizes) -> Result<(Log, Recovered)> {
        let io = |e| Error::io("create the directory of the log", e);
        disk.create_dir(segment::DIR).map_err(io)?;
        disk.sync_dir("").map_err(io)?;
        let active = create_segment(&*disk, 0)?;
        let log = Log::new(disk, vec![0], active, 0, segment::HEADER_BYTES, sizes);
        let (start, end) = (Position(0), Position(0));
        let recovered = Recovered { start, end, batch: None, cut_bytes: 0 };
        Ok((log, recovered))
    }

    fn new(
        disk: Arc<dyn Disk>,
        bases: Vec<u64>,
        active: Segment,
        end: u64,
        allocated: u64,
        sizes: Sizes,
    ) -> Log {
        let shared = Arc::new(Shared::new(disk, bases, active.clone(), end));
        Log {
            shared,
            active,
            version: segment::VERSION,
            packer: Packer::default(),
            end,
            durable: end,
            batch: None,
            doomed: Vec::new(),
            allocated,
            sizes,
            poisoned: false,
            syncs: 0,
            bytes: 0,
        }
    }

    fn check_usable(&self) -> Result<()> {
        match self.poisoned {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Poisoned,
                "an earlier write to the log failed, and how much of it is kept is not known: \
                 close the store and open it again",
            )),
        }
    }

    /// Runs what changes files: refused once poisoned, and its failure poisons.
    fn guarded<T>(&mut self, change: impl FnOnce(&mut Log) -> Result<T>) -> Result<T> {
        self.check_usable()?;
        let result = change(self);
        self.poisoned = result.is_err();
        result
    }

    fn write_batch(&mut self, records: &[NewRecord<'_>], len: usize) -> Result<Appended> {
        if self.end - self.active.base >= self.sizes.segment_bytes {
            self.roll()?;
        }
        let offset = self.active.offset(self.end);
        let most = self.fill_to(offset + len as u64) - offset;
        let mut bytes = Vec::with_capacity(most as usize);
        let packer = (self.version >= segment::PACKS_SINCE).then_some(&mut self.packer);
        let positions = batch::encode(records, self.end, self.durable, packer, &mut bytes);
        self.packer.rest();
        assert!(bytes.len() <= len, "a batch has at most the length that was checked");
        let len = bytes.len();
        let fill_to = self.fill_to(offset + len as u64);
        bytes.resize((fill_to - offset) as usize, 0);
        self.active.write_at(offset, &bytes)?;
        self.allocated = self.allocated.max(fill_to);
        self.batch = Some(self.end);
        self.end += len as u64;
        self.bytes += len as u64;
        self.shared.appended(self.end);
        Ok(Appended { positions })
    }

    /// Where a write that must reach `offset` ends: beyond what is allocated, it brings zeros along.
    fn fill_to(&self, offset: u64) -> u64 {
        if offset <= self.allocated {
            return offset;
        }
        let full = segment::HEADER_BYTES + self.sizes.segment_bytes;
        offset.next_multiple_of(self.sizes.preallocate_bytes).min(full).max(offset)
    }

    fn sync_active(&mut self) -> Result<()> {
        self.active.sync()?;
        self.syncs += 1;
        self.durable = self.end;
        self.shared.synced(self.end);
        Ok(())
    }

    /// Completes the active segment and begins the next. The order is what recovery relies
    /// on: that a next segment exists says that this one was whole and synced.
    fn roll(&mut self) -> Result<()> {
        self.finish()?;
        self.active = create_segment(&*self.shared.disk, self.end)?;
        self.version = segment::VERSION;
        self.syncs += 1;
        self.allocated = segment::HEADER_BYTES;
        self.shared.rolled(self.active.clone());
        Ok(())
    }

    /// Cuts what was allocated and not used, and syncs if anything is not durable.
    fn finish(&mut self) -> Result<()> {
        let used = self.active.offset(self.end);
        if used < self.allocated {
            self.active.set_len(used)?;
            self.allocated = used;
            return self.sync_active();
        }
        match self.durable == self.end {
            true => Ok(()),
            false => self.sync_active(),
        }
    }

    /// Removes the files of segments that are pruned.
    fn sweep(&mut self) -> Result<()> {
        while let Some(base) = self.doomed.last() {
            let name = segment::name(*base);
            match self.shared.disk.remove(&name) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format_args!("remove {name}"), e));
                }
                _ => self.doomed.pop(),
            };
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.closed();
    }
}

/// Makes a segment durably: its header first, then its name.
fn create_segment(disk: &dyn Disk, base: u64) -> Result<Segment> {
    let segment = Segment::create(disk, base)?;
    segment.write_header()?;
    segment.sync()?;
    recover::sync_dir(disk)?;
    Ok(segment)
}

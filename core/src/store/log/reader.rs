//! Reading the log while its owner appends.
//!
//! A reader sees only what is durable: nothing leaves a replica before that. It keeps no
//! state of its own, so that any `position` or `end` handed out earlier is a place to begin:
//! a batch begins with a magic number, and a record says where its batch begins. Segments
//! that are complete are opened for each call; only the active one is held open.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::batch::{self, Header, Record, Records};
use super::segment::Segment;
use super::{LogRecord, segment};
use crate::compress::Unpacker;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Position;
use crate::store::disk::Disk;

/// A handle to read the log, from any thread.
///
/// Clones read the same log, also when one of them goes on with another one.
#[derive(Debug, Clone)]
pub struct LogReader {
    shared: Arc<RwLock<Arc<Shared>>>,
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>) -> LogReader {
        LogReader { shared: Arc::new(RwLock::new(shared)) }
    }

    /// Goes on with the log that `other` reads: the same one, opened again.
    pub(in crate::store) fn follow(&self, other: &LogReader) {
        let theirs = other.shared();
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = theirs;
    }

    fn shared(&self) -> Arc<Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The durable records from `from` on: a `position` or `end` that the log gave, or 0. Stops
    /// when `limit_bytes` are reached, counted as they are given out, that is unpacked, but not
    /// before the first record; empty at the end.
    ///
    /// Errors: [`ErrorKind::NotFound`] if the log no longer holds `from`;
    /// [`ErrorKind::InvalidInput`] if no record begins or ends there; [`ErrorKind::Corrupt`].
    pub fn read(&self, from: Position, limit_bytes: usize) -> Result<Vec<LogRecord>> {
        let mut at = from.0;
        let mut taken = Taken { room: limit_bytes, ..Taken::default() };
        let shared = self.shared();
        while let Some(part) = shared.part(at)? {
            while at < part.end {
                at = part.read_batch(at, &mut taken)?;
                if taken.is_enough() {
                    return Ok(taken.records);
                }
            }
        }
        Ok(taken.records)
    }

    /// Waits until there is something durable after `after`, the time is over, or the log is
    /// closed. Answers with where the durable part ends.
    pub fn wait(&self, after: Position, timeout: Duration) -> Position {
        let nothing_new = |state: &mut State| state.durable <= after.0 && !state.closed;
        let shared = self.shared();
        let state = shared.state();
        let waited = shared.grown.wait_timeout_while(state, timeout, nothing_new);
        Position(waited.expect(NO_PANIC).0.durable)
    }

    /// The disk that the log lies on.
    pub(in crate::store) fn disk(&self) -> Arc<dyn Disk> {
        self.shared().disk.clone()
    }

    /// The first position still held.
    pub fn start(&self) -> Position {
        Position(self.shared().start())
    }

    /// The first segment, if another follows it: where it begins and where it ends.
    pub fn first_segment(&self) -> Option<(Position, Position)> {
        let shared = self.shared();
        let state = shared.state();
        let mut bases = state.segments.keys();
        let (first, second) = (bases.next()?, bases.next()?);
        Some((Position(*first), Position(*second)))
    }

    /// Where the segment begins that holds a position, if one does.
    pub fn segment_of(&self, position: Position) -> Option<Position> {
        let shared = self.shared();
        let state = shared.state();
        state.segments.range(..=position.0).next_back().map(|(base, _)| Position(*base))
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.shared().state().segments.len()
    }

    /// Everything before this is durable.
    pub fn durable(&self) -> Position {
        Position(self.shared().state().durable)
    }

    /// Whether the log was closed; nothing will be appended any more.
    pub fn is_closed(&self) -> bool {
        self.shared().state().closed
    }
}

/// What the writer and its readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    state: Mutex<State>,
    grown: Condvar,
}

const NO_PANIC: &str = "no one panics while holding the log's state";

#[derive(Debug)]
struct State {
    /// By base; only the active segment, the last, is held open.
    segments: BTreeMap<u64, Option<Segment>>,
    durable: u64,
    end: u64,
    closed: bool,
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, bases: Vec<u64>, active: Segment, end: u64) -> Shared {
        let mut segments: BTreeMap<_, _> = bases.into_iter().map(|base| (base, None)).collect();
        segments.insert(active.base, Some(active));
        let state = State { segments, durable: end, end, closed: false };
        Shared { disk, state: Mutex::new(state), grown: Condvar::new() }
    }

    pub(super) fn start(&self) -> u64 {
        *self.state().segments.keys().next().expect("there is always an active segment")
    }

    /// Where the second segment begins.
    pub(super) fn second_base(&self) -> Option<u64> {
        self.state().segments.keys().nth(1).copied()
    }

    pub(super) fn appended(&self, end: u64) {
        self.state().end = end;
    }

    pub(super) fn synced(&self, durable: u64) {
        self.state().durable = durable;
        self.grown.notify_all();
    }

    pub(super) fn rolled(&self, active: Segment) {
        let mut state = self.state();
        state.segments.values_mut().for_each(|segment| *segment = None);
        state.segments.insert(active.base, Some(active));
    }

    pub(super) fn unlinked(&self, start: u64) {
        let mut state = self.state();
        state.segments = state.segments.split_off(&start);
    }

    pub(super) fn closed(&self) {
        self.state().closed = true;
        self.grown.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NO_PANIC)
    }

    /// The durable part of the segment that holds a position; `None` at the end.
    fn part(&self, at: u64) -> Result<Option<Part>> {
        let state = self.state();
        if at > state.end {
            return Err(Error::invalid(format!(
                "the log ends at {}, before position {at}",
                state.end
            )));
        }
        if at >= state.durable {
            return Ok(None);
        }
        let found = state.segments.range(..=at).next_back();
        let (&base, segment) = found.ok_or_else(|| no_longer_held(at))?;
        let next = state.segments.range((Excluded(at), Unbounded)).next();
        let end = next.map_or(state.durable, |(&next, _)| next);
        let segment = segment.clone();
        drop(state);
        let segment = match segment {
            Some(segment) => segment,
            None => self.open_finished(base, at)?,
        };
        Ok(Some(Part { segment, end }))
    }

    /// Opens a complete segment; its owner may have removed it a moment ago.
    fn open_finished(&self, base: u64, at: u64) -> Result<Segment> {
        Segment::open(&*self.disk, base).map_err(|e| match self.start() > at {
            true => no_longer_held(at),
            false => e,
        })
    }
}

fn no_longer_held(at: u64) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("the log no longer holds position {at}: what was there has been pruned"),
    )
}

/// Records that were read, and room for more.
#[derive(Default)]
struct Taken {
    records: Vec<LogRecord>,
    /// Bytes that may come yet.
    room: usize,
    unpacker: Unpacker,
}

impl Taken {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        self.records.push(record.to_owned(&mut self.unpacker)?);
        self.room = self.room.saturating_sub(record.unpacked_len());
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.room == 0 && !self.records.is_empty()
    }
}

/// A segment and where its durable part ends.
struct Part {
    segment: Segment,
    end: u64,
}

impl Part {
    /// Takes the records from `at` to the end of its batch, or until they are enough. Answers
    /// with where to go on.
    fn read_batch(&self, at: u64, taken: &mut Taken) -> Result<u64> {
        let (header, body) = self.batch_of(at)?;
        let mut next = at;
        for record in Records::new(&self.segment, &header, &body) {
            let record = record?;
            if record.position < at {
                continue;
            }
            if next == at && ![header.position, record.position].contains(&at) {
                break;
            }
            next = record.end;
            taken.take(&record)?;
            if taken.is_enough() {
                break;
            }
        }
        match next == at {
            true => Err(no_boundary(at)),
            false => Ok(next),
        }
    }

    /// The batch that begins at a position or has a record beginning there, verified.
    fn batch_of(&self, at: u64) -> Result<(Header, Vec<u8>)> {
        let head = self.bytes(at, batch::HEADER_BYTES)?;
        if head.starts_with(&batch::MAGIC) || at == self.segment.base {
            return self.batch_at(at, &head);
        }
        let distance = batch::distance(&head).filter(|distance| *distance > 0);
        let start = distance.and_then(|distance| at.checked_sub(distance));
        let start = start.filter(|start| *start >= self.segment.base);
        let start = start.ok_or_else(|| no_boundary(at))?;
        let head = self.bytes(start, batch::HEADER_BYTES)?;
        match Header::parse(&head, start).is_some_and(|header| header.end() > at) {
            true => self.batch_at(start, &head),
            false => Err(no_boundary(at)),
        }
    }

    fn batch_at(&self, start: u64, head: &[u8]) -> Result<(Header, Vec<u8>)> {
        let header = Header::parse(head, start).filter(|header| header.end() <= self.end);
        let header = header.ok_or_else(|| self.damaged(start))?;
        let body = self.bytes(start + batch::HEADER_BYTES as u64, header.len)?;
        match header.fits(&body) {
            true => Ok((header, body)),
            false => Err(self.damaged(start)),
        }
    }

    /// Up to `len` bytes; fewer at the end of the durable part.
    fn bytes(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len.min((self.end - at) as usize)];
        self.segment.read_at(self.segment.offset(at), &mut out)?;
        Ok(out)
    }

    fn damaged(&self, start: u64) -> Error {
        let offset = start - self.segment.base + segment::HEADER_BYTES;
        self.segment.damaged(offset, "the batch there is not as it was written")
    }
}

fn no_boundary(at: u64) -> Error {
    Error::invalid(format!(
        "no record of the log begins or ends at position {at}: use a position that the log gave"
    ))
}

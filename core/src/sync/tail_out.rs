//! The tail that we send: one collection of our log, streamed to the peer.
//!
//! ```text
//!             have, follow          behind, stopped, halt
//!   Unasked ───────────────▶ Open ─────────────────────────▶ Ended
//!                            ▲ │ have                          │
//!                            └─┴─────────────── have ──────────┘
//! ```
//!
//! - `Unasked`: the peer has not yet said what it holds; nothing is sent.
//! - `Open`: `cursor` is the place in our log up to which everything was sent, or the peer
//!   has it. A stream is opened with the first bytes, not before.
//! - `Ended`: the peer needs what our log no longer holds, or has stopped reading. It asks
//!   again with `Have`.
//!
//! Invariants:
//! 1. `peer_has` is never more than the peer will hold when it has applied this tail: what it
//!    said, what it sent us (it sends only what is durable there), and what went over *this*
//!    tail before. A new `Have` forgets the last of the three, and one that is not the first
//!    forgets the second too.
//! 2. Nothing is sent unless the floor, read *after* the page, is covered by `peer_has`
//!    (schedule S1): a snapshot that joins between two sends raises the floor first.
//! 3. At most a window of bytes is unacknowledged; a transaction larger than that goes alone.
//! 4. `acked` claims only what the peer acknowledged or has told to hold.
//!
//! Does not know: frames of the control stream, other collections, who the peer is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Head, Origin, Position, Seq, ShortHash, Vector};
use crate::limits::{MAX_TXN_BYTES, SYNC_BATCH_BYTES, SYNC_SMALL_BYTES, SYNC_WINDOW_BYTES};

use super::message::{Tail, Txn};
use super::{Page, Record, Source};

/// The sending side of one collection on a link.
#[derive(Debug, Default)]
pub(super) struct TailOut {
    phase: Phase,
    stream: Option<u64>,
    cursor: Position,
    /// Our own transactions stay here for now.
    withholds: bool,
    peer_has: BTreeMap<Origin, Seq>,
    heard: BTreeMap<Origin, Seq>,
    have_entries: usize,
    /// The floor that was last compared, if the peer holds all below it.
    covered: Option<Arc<Vector>>,
    flight: VecDeque<Flight>,
    unacked: usize,
    sent_through: Position,
    acked: Position,
    drained: bool,
    told: bool,
    announced: bool,
    txns: u64,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Unasked,
    Open,
    Ended,
}

/// A frame that is not acknowledged.
#[derive(Debug)]
struct Flight {
    end: Position,
    bytes: usize,
    txns: usize,
}

/// What came of an attempt to send.
#[derive(Debug)]
pub(super) enum Step {
    /// These bytes, on this stream; there may be more.
    Send { stream: u64, bytes: Vec<u8> },
    /// There is nothing more to send.
    Drained,
    /// There is more, but the window is used up.
    Full,
    /// The same, and with it the stream is finished: the log no longer reaches back to what
    /// the peer holds.
    Behind { stream: u64, bytes: Vec<u8> },
}

/// What fits into the window just now.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// For a frame.
    bytes: usize,
    /// For a frame of one transaction.
    single: usize,
}

impl TailOut {
    /// The peer holds exactly what we held at `position`: go on from there.
    pub(super) fn follow(&mut self, held: &Vector, position: Position) {
        self.restart(held, position);
        self.told = true;
    }

    /// The peer says what it holds: send the rest from `start` on. Returns the stream to reset.
    pub(super) fn have(&mut self, held: &Vector, start: Position) -> Option<u64> {
        self.have_entries = held.len();
        if self.phase != Phase::Unasked {
            // It asks again: perhaps it has left the collection, and holds nothing of that now.
            self.heard.clear();
        }
        self.restart(held, start)
    }

    /// What the peer holds, as far as is known; without hashes.
    pub(super) fn peer_has(&self) -> Vector {
        let head = |(origin, seq): (&Origin, &Seq)| {
            (*origin, Head { seq: *seq, hash: ShortHash::default() })
        };
        self.peer_has.iter().map(head).collect()
    }

    /// Our own transactions stay here until [`TailOut::release`].
    pub(super) fn withhold(&mut self) {
        self.withholds = true;
    }

    /// Sends also what was withheld, from `start` on, on the stream under way: nothing is
    /// unacknowledged on it, so its positions may go back.
    pub(super) fn release(&mut self, held: &Vector, start: Position) {
        let (phase, stream) = (self.phase, self.stream.take());
        self.restart(held, start);
        (self.phase, self.stream) = (phase, stream);
        self.acked = self.acked.min(start);
    }

    /// Whether nothing that was sent is unacknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.flight.is_empty()
    }

    fn restart(&mut self, held: &Vector, cursor: Position) -> Option<u64> {
        self.phase = Phase::Open;
        self.withholds = false;
        self.covered = None;
        self.cursor = cursor;
        // Built at once it takes half the memory, and of some peers it is large.
        self.peer_has = held.iter().map(|(origin, head)| (*origin, head.seq)).collect();
        for (origin, seq) in &self.heard {
            raise(&mut self.peer_has, Dot { origin: *origin, seq: *seq });
        }
        (self.drained, self.told, self.announced) = (false, false, false);
        self.forget_flight();
        self.stream.take()
    }

    /// The peer sent us this transaction, so it holds it.
    pub(super) fn heard(&mut self, dot: Dot) {
        raise(&mut self.heard, dot);
        raise(&mut self.peer_has, dot);
    }

    /// The peer does not read this stream any more. Whether it was the one under way.
    pub(super) fn stopped(&mut self, stream: u64) -> bool {
        let current = self.stream == Some(stream);
        if current {
            self.halt();
        }
        current
    }

    fn forget_flight(&mut self) {
        self.flight.clear();
        self.unacked = 0;
    }

    /// The peer has durably applied our log through `position`.
    pub(super) fn ack(&mut self, position: Position) -> Result<()> {
        if position > self.sent_through {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "an acknowledgement through {position}; we sent through {}",
                    self.sent_through
                ),
            ));
        }
        while let Some(flight) = self.flight.pop_front_if(|flight| flight.end <= position) {
            self.unacked -= flight.bytes;
        }
        self.acked = self.acked.max(position);
        if self.phase == Phase::Open {
            self.settle();
        }
        Ok(())
    }

    /// With nothing under way, all that lies before the cursor is at the peer.
    fn settle(&mut self) {
        if self.flight.is_empty() {
            self.acked = self.acked.max(self.cursor);
        }
    }

    /// Sends the next frame, if there is one and the window has room. `link_unacked` counts
    /// the unacknowledged bytes of all collections, and `link_room` what the link's window has left;
    /// `next_stream` is where ids come from.
    pub(super) fn step(
        &mut self,
        name: &str,
        link_unacked: usize,
        link_room: usize,
        next_stream: &mut u64,
        source: &dyn Source,
    ) -> Result<Step> {
        if self.phase != Phase::Open {
            return Ok(Step::Drained);
        }
        let room = self.room(link_unacked, link_room);
        if room.single == 0 {
            return Ok(Step::Full);
        }
        loop {
            let from = self.cursor;
            let bytes = room.bytes.clamp(1, SYNC_BATCH_BYTES);
            let page = match self.withholds {
                true => source.read_others(name, from, bytes)?,
                false => source.read(name, from, bytes)?,
            };
            if !self.covers(source.floor(name)?) {
                return Ok(self.behind(name, next_stream));
            }
            self.settle();
            if page.records.is_empty() {
                return Ok(self.drain(page.next, name, next_stream));
            }
            match self.pack(page, room)? {
                Packed::Frame(txns) => return Ok(self.send(txns, name, next_stream)),
                Packed::Nothing if self.cursor > from => continue,
                Packed::Nothing => return Err(stands_still(from)),
                Packed::Full => return Ok(Step::Full),
                Packed::Gap => return Ok(self.behind(name, next_stream)),
            }
        }
    }

    fn room(&self, link_unacked: usize, link: usize) -> Room {
        let own = SYNC_WINDOW_BYTES.saturating_sub(self.unacked);
        if self.unacked > 0 {
            let bytes = own.min(link);
            return Room { bytes, single: bytes };
        }
        let bytes = own.min(link).max(SYNC_SMALL_BYTES);
        let alone = if link_unacked == 0 { MAX_TXN_BYTES } else { link };
        Room { bytes, single: bytes.max(alone) }
    }

    /// Whether the peer holds what the log does not. What it held once it still holds, so the
    /// same floor is compared once.
    fn covers(&mut self, floor: Arc<Vector>) -> bool {
        if self.covered.as_ref().is_some_and(|covered| Arc::ptr_eq(covered, &floor)) {
            return true;
        }
        let covers = floor.iter().all(|(origin, head)| self.peer_seq(origin) >= head.seq);
        self.covered = covers.then_some(floor);
        covers
    }

    fn peer_seq(&self, origin: &Origin) -> Seq {
        self.peer_has.get(origin).copied().unwrap_or(0)
    }

    fn behind(&mut self, name: &str, next_stream: &mut u64) -> Step {
        let (stream, bytes) = self.frame(&Tail::Behind, name, next_stream);
        self.halt();
        Step::Behind { stream, bytes }
    }

    fn drain(&mut self, end: Position, name: &str, next_stream: &mut u64) -> Step {
        self.cursor = self.cursor.max(end);
        self.settle();
        self.drained = true;
        match std::mem::replace(&mut self.told, true) {
            true => Step::Drained,
            false => {
                let (stream, bytes) = self.frame(&Tail::CaughtUp, name, next_stream);
                Step::Send { stream, bytes }
            }
        }
    }

    /// Takes from the page what the peer lacks and the room allows, and moves the cursor
    /// past what was taken or skipped.
    fn pack(&mut self, page: Page, room: Room) -> Result<Packed> {
        let (mut txns, mut total) = (Vec::new(), 0);
        for record in page.records {
            if self.peer_seq(&record.dot.origin) >= record.dot.seq {
                self.cursor = record.end;
                continue;
            }
            if let Some(stop) = self.obstacle(&record, total, room)? {
                return Ok(if txns.is_empty() { stop } else { Packed::Frame(txns) });
            }
            total += record.bytes.len();
            self.cursor = record.end;
            raise(&mut self.peer_has, record.dot);
            txns.push(Txn { dot: record.dot, bytes: record.bytes });
        }
        self.cursor = self.cursor.max(page.next);
        Ok(if txns.is_empty() { Packed::Nothing } else { Packed::Frame(txns) })
    }

    /// What keeps a transaction out of a frame that already has `total` bytes.
    fn obstacle(&self, record: &Record, total: usize, room: Room) -> Result<Option<Packed>> {
        let length = record.bytes.len();
        if length > MAX_TXN_BYTES {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the log holds transaction {} of {length} bytes; {MAX_TXN_BYTES} are allowed",
                    record.dot
                ),
            ));
        }
        if record.dot.seq != self.peer_seq(&record.dot.origin) + 1 {
            return Ok(Some(Packed::Gap));
        }
        let fits = match total {
            0 => length <= room.single,
            _ => total + length <= room.bytes.min(SYNC_BATCH_BYTES),
        };
        Ok((!fits).then_some(Packed::Full))
    }

    fn send(&mut self, txns: Vec<Txn>, name: &str, next_stream: &mut u64) -> Step {
        let bytes: usize = txns.iter().map(|txn| txn.bytes.len()).sum();
        self.txns += txns.len() as u64;
        self.bytes += bytes as u64;
        self.unacked += bytes;
        self.sent_through = self.sent_through.max(self.cursor);
        self.flight.push_back(Flight { end: self.cursor, bytes, txns: txns.len() });
        (self.drained, self.told, self.announced) = (false, false, false);
        let message = Tail::Txns { position: self.cursor, txns };
        let (stream, bytes) = self.frame(&message, name, next_stream);
        Step::Send { stream, bytes }
    }

    /// Puts a message on the stream, opening it if need be.
    fn frame(&mut self, message: &Tail, name: &str, next_stream: &mut u64) -> (u64, Vec<u8>) {
        let mut bytes = Vec::new();
        let stream = *self.stream.get_or_insert_with(|| {
            bytes = Tail::Tail { collection: name.to_owned() }.to_frame();
            let id = *next_stream;
            *next_stream += 1;
            id
        });
        bytes.append(&mut message.to_frame());
        (stream, bytes)
    }

    /// Whether the peer has just come to hold all that we hold: told once per time.
    pub(super) fn newly_caught_up(&mut self) -> bool {
        let caught_up = self.is_caught_up();
        caught_up && !std::mem::replace(&mut self.announced, caught_up)
    }

    /// Whether the peer holds everything that our log held when it was last read.
    pub(super) fn is_caught_up(&self) -> bool {
        self.phase == Phase::Open && self.drained && self.flight.is_empty()
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.is_caught_up() || self.phase == Phase::Ended
    }

    /// Whether the tail runs.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Sends nothing more, unless the peer asks again. Returns the stream under way.
    pub(super) fn halt(&mut self) -> Option<u64> {
        self.phase = Phase::Ended;
        self.forget_flight();
        self.stream.take()
    }

    /// The stream under way.
    pub(super) fn stream(&self) -> Option<u64> {
        self.stream
    }

    /// How many of the transactions `ours` the peer lacks; `None` if it has not said what it holds.
    pub(super) fn lacking(&self, ours: &Vector) -> Option<u64> {
        if self.phase == Phase::Unasked {
            return None;
        }
        let lacking =
            |(origin, head): (&Origin, &Head)| head.seq.saturating_sub(self.peer_seq(origin));
        let unsent: u64 = ours.iter().map(lacking).sum();
        let flying: usize = self.flight.iter().map(|flight| flight.txns).sum();
        Some(unsent + flying as u64)
    }

    /// Bytes sent and not acknowledged.
    pub(super) fn unacked(&self) -> usize {
        self.unacked
    }

    /// Our log is at the peer through this.
    pub(super) fn acked(&self) -> Position {
        self.acked
    }

    /// Entries of the vector that the peer told.
    pub(super) fn have_entries(&self) -> usize {
        self.have_entries
    }

    /// Transactions sent.
    pub(super) fn txns(&self) -> u64 {
        self.txns
    }

    /// Bytes of transactions sent.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What a page gave.
#[derive(Debug)]
enum Packed {
    /// Transactions to send.
    Frame(Vec<Txn>),
    /// The peer has them all.
    Nothing,
    /// The next one doesn't fit.
    Full,
    /// The next one is not the next of its origin at the peer: those between are not in the log.
    Gap,
}

fn stands_still(from: Position) -> Error {
    Error::new(ErrorKind::Internal, format!("reading the log from {from} does not move on"))
}

fn raise(seqs: &mut BTreeMap<Origin, Seq>, dot: Dot) {
    let seq = seqs.entry(dot.origin).or_default();
    *seq = dot.seq.max(*seq);
}

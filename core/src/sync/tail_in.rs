//! The tail that we receive: one collection of the peer's log, applied frame by frame.
//!
//! ```text
//!            follow               missing, next (behind), ended
//!   Unasked ────────▶ Following ────────────────────────────────▶ Waiting
//!      │                  │ ask (missing, but our vector moved on)  ▲ │
//!      │ ask              ▼          missing, next (behind), ended   │ │
//!      └────────────▶  Asked ────────────────────────────────────────┘ │
//!                         ▲                                        ask │
//!                         └────────────────────────────────────────────┘
//!   any ── halt ──▶ Halted
//! ```
//!
//! - `Unasked`: we have not told the peer what we hold.
//! - `Following`: the peer knows from the hellos that we hold what it holds.
//! - `Asked`: we sent `Have`; the peer streams what we lack.
//! - `Waiting`: the peer's tail can't help before our own vector has changed, and not before
//!   `not_before_ms`, if that is set.
//! - `Halted`: the two replicas contradict each other here: nothing is taken any more.
//!
//! Invariants:
//! 1. Frames are applied in the order of the stream, one at a time: what is applied is always
//!    a prefix of a stream, hence causally closed.
//! 2. A position is acknowledged only when its frame, and all before it, are durably applied.
//! 3. `asked` is the digest of what the peer last heard that we hold. `Have` is never sent
//!    twice for one digest, and not before the last one was answered by a stream.
//! 4. What waits to be applied stays below `SYNC_UNAPPLIED_BYTES`.
//!
//! Does not know: streams' bytes, the store, whether a transaction is valid.

use std::collections::VecDeque;

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Position};
use crate::limits::{MAX_INVALID_ANSWERS, RETRY_MAX_MS, RETRY_MIN_MS, SYNC_UNAPPLIED_BYTES};

use super::message::Txn;

/// The receiving side of one collection on a link.
#[derive(Debug, Default)]
pub(super) struct TailIn {
    phase: Phase,
    asked: Hash,
    attempts: u32,
    /// Answers in which a peer that should have known better sent what is not valid.
    invalid_answers: u32,
    /// The newest stream of this collection; older ones are stale.
    bound: Option<u64>,
    /// Whether that stream is still read.
    reading: bool,
    queue: VecDeque<Item>,
    applying: Option<Applying>,
    unapplied: usize,
    caught_up: bool,
    txns: u64,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Unasked,
    Following,
    Asked,
    Waiting {
        not_before_ms: Option<u64>,
    },
    Halted,
}

/// What arrived and is not yet worked off.
#[derive(Debug)]
enum Item {
    Txns { position: Position, txns: Vec<Vec<u8>>, bytes: usize },
    CaughtUp,
    Behind,
}

/// A frame that is being applied.
#[derive(Debug)]
struct Applying {
    ticket: u64,
    position: Position,
    bytes: usize,
    /// The stream it came from; none if that has been dropped since.
    stream: Option<u64>,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Work {
    /// Apply these.
    Apply(Vec<Vec<u8>>),
    /// All that the peer held is here.
    Synced,
    /// The peer's log does not reach back to what we hold.
    Behind,
}

/// What an announced stream means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// It is the tail now; this older one is not read any more.
    Current { replaced: Option<u64> },
    /// It is not wanted.
    Unwanted,
}

/// What unmet dependencies lead to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Say at once what we hold.
    Ask,
    /// Say it later: we did so not long ago.
    Later,
    /// The peer knows what we hold, and still sends what we can't apply.
    Stuck,
}

impl TailIn {
    /// The hellos told the peer that our vector has this digest, like its own.
    pub(super) fn follow(&mut self, digest: Hash) {
        self.phase = Phase::Following;
        self.asked = digest;
        self.caught_up = true;
    }

    /// `Have` goes out, for a vector with this digest. What is under way is dropped: all of
    /// it comes again. Returns the stream to stop.
    pub(super) fn ask(&mut self, digest: Hash) -> Option<u64> {
        self.phase = Phase::Asked;
        self.asked = digest;
        self.drop_stream()
    }

    /// Nothing is taken any more. Returns the stream to stop.
    pub(super) fn halt(&mut self) -> Option<u64> {
        self.phase = Phase::Halted;
        self.drop_stream()
    }

    fn drop_stream(&mut self) -> Option<u64> {
        self.caught_up = false;
        self.queue.clear();
        self.unapplied = self.applying.as_ref().map_or(0, |applying| applying.bytes);
        if let Some(applying) = &mut self.applying {
            applying.stream = None;
        }
        let reading = std::mem::replace(&mut self.reading, false);
        self.bound.filter(|_| reading)
    }

    /// The peer announces a tail of this collection.
    pub(super) fn bind(&mut self, stream: u64) -> Result<Bound> {
        match self.phase {
            Phase::Unasked => Err(Error::new(
                ErrorKind::Protocol,
                "a tail of a collection for which no vector was sent",
            )),
            Phase::Halted | Phase::Waiting { .. } => Ok(Bound::Unwanted),
            _ if self.bound >= Some(stream) => Ok(Bound::Unwanted),
            _ => Ok(self.take_up(stream)),
        }
    }

    fn take_up(&mut self, stream: u64) -> Bound {
        let replaced = self.drop_stream();
        (self.bound, self.reading) = (Some(stream), true);
        Bound::Current { replaced }
    }

    /// The peer has ended this stream. What arrived whole is still applied; if it has not
    /// said why, there is no use in waiting for more.
    pub(super) fn ended(&mut self, stream: u64, now_ms: u64) {
        let current = self.bound == Some(stream) && std::mem::replace(&mut self.reading, false);
        let explained = matches!(self.queue.back(), Some(Item::Behind));
        if current && !explained && !self.is_waiting() && !self.is_halted() {
            self.wait(now_ms);
        }
    }

    /// The peer gives this stream up. If we asked after it was begun, it answers what we asked
    /// before, and the answer to the last is still to come: it must not be taken for unwanted.
    pub(super) fn given_up(&mut self, stream: u64) {
        if self.bound == Some(stream) && self.phase == Phase::Asked {
            self.reading = false;
        }
    }

    /// A frame of transactions arrived.
    pub(super) fn push_txns(&mut self, position: Position, txns: Vec<Txn>) -> Result<()> {
        let bytes: usize = txns.iter().map(|txn| txn.bytes.len()).sum();
        if self.unapplied + bytes > SYNC_UNAPPLIED_BYTES {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "{} bytes of one collection sent without waiting for acknowledgements; \
                     {SYNC_UNAPPLIED_BYTES} are allowed",
                    self.unapplied + bytes
                ),
            ));
        }
        self.unapplied += bytes;
        self.txns += txns.len() as u64;
        self.bytes += bytes as u64;
        self.caught_up = false;
        let txns = txns.into_iter().map(|txn| txn.bytes).collect();
        self.queue.push_back(Item::Txns { position, txns, bytes });
        Ok(())
    }

    /// The peer had nothing more.
    pub(super) fn push_caught_up(&mut self) {
        // Said twice in a row it says nothing new, and must not fill the queue.
        if !matches!(self.queue.back(), Some(Item::CaughtUp)) {
            self.queue.push_back(Item::CaughtUp);
        }
    }

    /// The peer's log no longer reaches back to what we hold.
    pub(super) fn push_behind(&mut self) {
        self.reading = false;
        self.queue.push_back(Item::Behind);
    }

    /// What is to be done now, if anything; `ticket` will name it.
    pub(super) fn next(&mut self, ticket: u64, now_ms: u64) -> Option<Work> {
        if self.applying.is_some() {
            return None;
        }
        match self.queue.pop_front()? {
            Item::Txns { position, txns, bytes } => {
                self.applying = Some(Applying { ticket, position, bytes, stream: self.bound });
                Some(Work::Apply(txns))
            }
            Item::CaughtUp => {
                (self.caught_up, self.attempts) = (!self.is_waiting(), 0);
                Some(Work::Synced)
            }
            Item::Behind => {
                self.caught_up = false;
                self.wait(now_ms);
                Some(Work::Behind)
            }
        }
    }

    /// The frame of this ticket was applied: the position to acknowledge.
    pub(super) fn applied(&mut self, ticket: u64) -> Option<Position> {
        self.finish(ticket).map(|applying| applying.position)
    }

    /// The frame of this ticket was refused for unmet dependencies: whether its stream is
    /// still the one we read from, so that something has to happen.
    pub(super) fn refused(&mut self, ticket: u64) -> bool {
        self.finish(ticket).is_some_and(|applying| applying.stream.is_some())
    }

    fn finish(&mut self, ticket: u64) -> Option<Applying> {
        let applying = self.applying.take_if(|applying| applying.ticket == ticket)?;
        self.unapplied -= applying.bytes;
        Some(applying)
    }

    /// What to do about unmet dependencies, our vector having this digest now.
    pub(super) fn missing(&mut self, digest: Hash, now_ms: u64) -> Missing {
        if digest == self.asked {
            self.wait(now_ms);
            return Missing::Stuck;
        }
        if self.attempts == 0 {
            self.attempts = 1;
            return Missing::Ask;
        }
        self.wait(now_ms);
        Missing::Later
    }

    /// The peer knows all that we know, and sends what is not valid. It may have sent that before it
    /// knew: an answer to what we asked earlier may still be under way. After a while it is asked
    /// again. Whether it has answered so too often.
    pub(super) fn invalid(&mut self) -> bool {
        self.invalid_answers += 1;
        self.asked = Hash::default();
        self.invalid_answers >= MAX_INVALID_ANSWERS
    }

    /// Drops the stream. Returns it, if it is to be stopped.
    pub(super) fn abandon(&mut self) -> Option<u64> {
        self.drop_stream()
    }

    fn wait(&mut self, now_ms: u64) {
        let delay = RETRY_MIN_MS.saturating_mul(1 << self.attempts.min(16)).min(RETRY_MAX_MS);
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Waiting { not_before_ms: Some(now_ms.saturating_add(delay)) };
    }

    /// Whether it is time to see if our vector has changed, and to ask again.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        match self.phase {
            Phase::Waiting { not_before_ms } => {
                self.is_worked_off() && not_before_ms.is_none_or(|time| time <= now_ms)
            }
            _ => false,
        }
    }

    /// Asks again if the vector, with this digest, is not the one told before; else the
    /// next change of it is awaited, without a deadline. Whether to ask.
    pub(super) fn retry(&mut self, digest: Hash) -> bool {
        let changed = digest != self.asked;
        if !changed {
            self.phase = Phase::Waiting { not_before_ms: None };
        }
        changed
    }

    /// When to look again, if that is a matter of time.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match self.phase {
            // With something left to apply, it is the outcome of that which brings us on.
            Phase::Waiting { not_before_ms } if self.is_worked_off() => not_before_ms,
            _ => None,
        }
    }

    /// Whether the peer has never been told what we hold.
    pub(super) fn is_unasked(&self) -> bool {
        self.phase == Phase::Unasked
    }

    /// Whether this collection is given up on this link.
    pub(super) fn is_halted(&self) -> bool {
        self.phase == Phase::Halted
    }

    fn is_worked_off(&self) -> bool {
        self.queue.is_empty() && self.applying.is_none()
    }

    fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Whether all that the peer last said to hold is applied here.
    pub(super) fn is_caught_up(&self) -> bool {
        self.caught_up && self.is_worked_off()
    }

    /// Whether there is nothing to apply and nothing announced.
    pub(super) fn is_idle(&self) -> bool {
        self.is_worked_off() && (self.caught_up || self.is_waiting() || self.is_halted())
    }

    /// Bytes that wait to be applied.
    pub(super) fn unapplied(&self) -> usize {
        self.unapplied
    }

    /// Transactions received.
    pub(super) fn txns(&self) -> u64 {
        self.txns
    }

    /// Bytes of transactions received.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_the_last_question_is_taken_though_the_one_before_was_given_up() {
        let mut tail = TailIn::default();
        assert_eq!(tail.ask(Hash([1; 32])), None);
        // Before anything of the answer is here, we ask again; the peer hears of that later.
        assert_eq!(tail.ask(Hash([2; 32])), None);
        assert_eq!(tail.bind(5).unwrap(), Bound::Current { replaced: None });
        tail.given_up(5);
        tail.ended(5, 0);
        assert_eq!(tail.bind(6).unwrap(), Bound::Current { replaced: None });
        // A stream that ends without a word is another matter: we look again later.
        tail.ended(6, 0);
        assert_eq!(tail.bind(7).unwrap(), Bound::Unwanted);
        assert!(tail.deadline_ms().is_some());
    }
}

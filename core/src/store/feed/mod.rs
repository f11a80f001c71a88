//! The change feed: what changed, in the order in which it came into this store.
//!
//! It is read from the log, so a position taken yesterday still resumes today. It gives
//! which documents a transaction wrote, or a snapshot changed; what they hold now is to be
//! read, or, where the store keeps that, what they held before and after: [`values`]. A change is
//! reported once it is durable and visible.

mod piece;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Store;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Position};

use piece::Reading;

pub(super) use piece::Pieces;
pub use values::ChangeValues;
pub(super) use values::{
    Recorder, check as check_values, leave as leave_values, load as load_values,
    prune as prune_values,
};

/// The very beginning of a log, before any record: what a follower of an empty store resumes at.
/// The default position is another thing, wherever the log begins by now.
pub(super) const BEGINNING: Position = Position(1);

/// A document was written by a transaction, or changed by a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where to resume after this change. Within a transaction of several documents it is the
    /// transaction's start, so that resuming there repeats rather than loses.
    pub position: Position,
    /// The collection.
    pub collection: Arc<str>,
    /// The document.
    pub id: String,
    /// The transaction; its origin is the author. Number 0 stands for a snapshot, of whatever
    /// many transactions; its origin is the node that served it.
    pub dot: Dot,
    /// When, by its author's clock; of a snapshot, zero.
    pub time: Timestamp,
    /// Whether this node wrote it.
    pub local: bool,
    /// What the document held before and after, if this is asked for
    /// ([`Changes::with_values`]) and known: of a snapshot, of a document of more than 256 KiB, while
    /// a collection was held back, and of what came before [`Store::set_change_values`] or is beyond
    /// its budget it is not.
    pub values: Option<Box<ChangeValues>>,
}

/// The changes of a store from a position on. Holds no lock and no memory to speak of.
pub struct Changes {
    store: Store,
    position: Position,
    /// Up to where the feed had been cut when this began, or went on from the present moment.
    cut: Position,
    /// What was read and not yet given.
    reading: Option<Reading>,
    /// Whether what documents held is told.
    with_values: bool,
}

impl Store {
    /// The changes after `since`; `None` is from now on, the default position is from the
    /// oldest that the log holds.
    pub fn changes(&self, since: Option<Position>) -> Changes {
        let cut = self.inner.read_heads().feed;
        let position = since.unwrap_or_else(|| self.position());
        // Who reads from the oldest on has read no documents yet.
        let cut = if position == Position::default() { cut } else { cut.min(position) };
        Changes { store: self.clone(), position, cut, reading: None, with_values: false }
    }

    /// The position of this moment: changes from here on are those that are yet to come, and
    /// those that are shown and not durable yet, which may be lost. Never the default position.
    pub fn position(&self) -> Position {
        let applied = self.inner.read_heads().applied;
        applied.min(self.inner.reader.durable()).max(BEGINNING)
    }
}

impl Changes {
    /// Tells what documents held before and after each change, where the store keeps it
    /// ([`Store::set_change_values`]).
    pub fn with_values(mut self) -> Changes {
        self.with_values = true;
        self
    }

    /// The next change; waits for it up to `timeout`. `None` is "nothing in that time".
    ///
    /// Errors: [`ErrorKind::NotFound`] if the log no longer reaches back to the position, or, of
    /// a store that was restored from an older copy, does not reach it yet, or if a collection was
    /// held back or resumed since: call
    /// [`Changes::restart`] and read the documents anew; [`ErrorKind::Closed`];
    /// [`ErrorKind::Suspended`], after which it goes on where it was when the store was woken.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Change>> {
        let deadline = Instant::now() + timeout;
        loop {
            if !self.store.inner.is_running() {
                return Err(self.store.inner.gone());
            }
            if let Some(reading) = &mut self.reading {
                if let Some((place, mut change)) = reading.change() {
                    if self.with_values && change.dot.seq > 0 {
                        change.values = self.store.inner.values_of(place, &change)?.map(Box::new);
                    }
                    reading.step();
                    return Ok(Some(change));
                }
                self.reading = None;
            }
            if self.fill()? {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.wait(left);
        }
    }

    /// Goes on from the present moment, for one that fell behind the log: what changed before is
    /// found by reading the documents anew *after* this call.
    pub fn restart(&mut self) {
        self.reading = None;
        self.cut = self.store.inner.read_heads().feed;
        self.position = self.store.position();
    }

    /// Where to resume: after the last change that [`Changes::next`] gave.
    pub fn position(&self) -> Position {
        let start = self.reading.as_ref().and_then(Reading::start);
        start.unwrap_or(self.position).max(BEGINNING)
    }

    /// Reads on; gives whether there was anything to read.
    fn fill(&mut self) -> Result<bool> {
        let inner = &self.store.inner;
        let (applied, feed) = {
            let heads = inner.read_heads();
            (heads.applied, heads.feed)
        };
        if self.cut < feed && self.position < feed {
            return Err(self.cut_off());
        }
        if self.position > applied.max(BEGINNING) {
            return Err(self.ahead());
        }
        if self.position >= applied {
            return Ok(false);
        }
        let start = inner.reader.start();
        if self.position == Position::default() {
            self.position = start;
        }
        if self.position < start {
            return Err(self.behind());
        }
        if self.position == BEGINNING {
            self.position = start;
        }
        let piece = match inner.pieces.piece(inner, self.position, applied) {
            Err(_) if self.position < inner.reader.start() => return Err(self.behind()),
            piece => piece?,
        };
        let Some(piece) = piece else { return Ok(false) };
        self.position = piece.next;
        self.reading = Some(Reading::new(piece));
        Ok(true)
    }

    fn behind(&self) -> Error {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "the log no longer reaches back to position {}: go on from the present moment, \
                 and read the documents anew",
                self.position
            ),
        )
    }

    fn cut_off(&self) -> Error {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "what is shown has changed as a whole since position {}, since a collection was \
                 held back or resumed: go on from the present moment, and read the documents anew",
                self.position
            ),
        )
    }

    /// Positions are given for what is durable: so this one is of another store, or of this one
    /// before it was restored.
    fn ahead(&self) -> Error {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "position {} is not in this log: the store was restored from an older copy, so go \
                 on from the present moment, and read the documents anew",
                self.position
            ),
        )
    }

    fn wait(&self, timeout: Duration) {
        let inner = &self.store.inner;
        inner.listeners.wait(timeout, || {
            !inner.is_running()
                || inner.read_heads().applied.min(inner.reader.durable()) > self.position
        });
    }
}

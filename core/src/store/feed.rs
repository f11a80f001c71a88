//! The change feed: what changed, in the order in which it came into this store.
//!
//! It is read from the log, so a position taken yesterday still resumes today. It gives
//! which documents a transaction wrote, or a snapshot changed; what they hold now is to be
//! read. A change is reported once it is durable and visible.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Store;
use super::log::{LogRecord, RecordKind};
use super::snapshot::read_barrier;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Position};
use crate::txn::{Scope, Signed};

/// Bytes of log read at a time.
const READ_BYTES: usize = 256 << 10;
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
}

/// The changes of a store from a position on. Holds no lock and no memory to speak of.
pub struct Changes {
    store: Store,
    position: Position,
    /// Up to where the feed had been cut when this began, or went on from the present moment.
    cut: Position,
    /// Changes read and not yet given, each with the start of its transaction.
    ready: VecDeque<(Position, Change)>,
}

impl Store {
    /// The changes after `since`; `None` is from now on, the default position is from the
    /// oldest that the log holds.
    pub fn changes(&self, since: Option<Position>) -> Changes {
        let cut = self.inner.read_heads().feed;
        let position = since.unwrap_or_else(|| self.position());
        // Who reads from the oldest on has read no documents yet.
        let cut = if position == Position::default() { cut } else { cut.min(position) };
        Changes { store: self.clone(), position, cut, ready: VecDeque::new() }
    }

    /// The position of this moment: changes from here on are those that are yet to come, and
    /// those that are shown and not durable yet, which may be lost. Never the default position.
    pub fn position(&self) -> Position {
        let applied = self.inner.read_heads().applied;
        applied.min(self.inner.reader.durable()).max(BEGINNING)
    }
}

impl Changes {
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
            if let Some((_, change)) = self.ready.pop_front() {
                return Ok(Some(change));
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
        self.ready.clear();
        self.cut = self.store.inner.read_heads().feed;
        self.position = self.store.position();
    }

    /// Where to resume: after the last change that [`Changes::next`] gave.
    pub fn position(&self) -> Position {
        self.ready.front().map_or(self.position, |(start, _)| *start).max(BEGINNING)
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
        let records = match inner.reader.read(self.position, READ_BYTES) {
            Err(_) if self.position < inner.reader.start() => return Err(self.behind()),
            records => records?,
        };
        let mut moved = false;
        for record in records.into_iter().take_while(|record| record.end <= applied) {
            moved = true;
            match record.kind {
                RecordKind::Txn => self.push(&record)?,
                RecordKind::Barrier => self.push_joined(&record)?,
                RecordKind::Mark => {}
            }
            self.position = record.end;
        }
        Ok(moved)
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

    fn push(&mut self, record: &LogRecord) -> Result<()> {
        let inner = &self.store.inner;
        let scope = Scope { network: inner.network, collection: &record.collection };
        let txn = Signed::trusted(record.bytes.clone(), scope)?.txn;
        let local = txn.dot.origin.node == inner.node;
        let ids = txn.docs.iter().map(|doc| doc.id.clone());
        self.push_all(record, ids, txn.dot, txn.time, local);
        Ok(())
    }

    fn push_joined(&mut self, record: &LogRecord) -> Result<()> {
        if let Some((node, ids)) = read_barrier(&record.bytes)? {
            let dot = Dot { origin: Origin { node, incarnation: 0 }, seq: 0 };
            self.push_all(record, ids.into_iter(), dot, Timestamp::default(), false);
        }
        Ok(())
    }

    fn push_all(
        &mut self,
        record: &LogRecord,
        ids: impl ExactSizeIterator<Item = String>,
        dot: Dot,
        time: Timestamp,
        local: bool,
    ) {
        let collection: Arc<str> = Arc::from(record.collection.as_str());
        let last = ids.len().saturating_sub(1);
        for (at, id) in ids.enumerate() {
            let position = if at == last { record.end } else { record.position };
            let change = Change { position, collection: collection.clone(), id, dot, time, local };
            self.ready.push_back((record.position, change));
        }
    }

    fn wait(&self, timeout: Duration) {
        let inner = &self.store.inner;
        inner.listeners.wait(timeout, || {
            !inner.is_running()
                || inner.read_heads().applied.min(inner.reader.durable()) > self.position
        });
    }
}

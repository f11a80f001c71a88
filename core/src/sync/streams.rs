//! The peer's tail streams: which are open, what they carry, which are over.
//!
//! Streams are numbered by the peer, in the order it opens them; they are independent, so
//! that a later one may be heard of first, and bytes may come in after a stream was stopped.
//!
//! Invariants:
//! 1. The id of a stream that is over is never taken for a new stream.
//! 2. Until a stream has said what it carries, only a short frame is accepted on it.
//! 3. At most `MAX_LINK_STREAMS` are open, and as many ends are remembered.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_FRAME_BYTES, MAX_LINK_STREAMS};

use super::framing::Framer;
use super::message::FIRST_FRAME_BYTES;

/// All tail streams of a peer.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<u64, Stream>,
    over: BTreeSet<u64>,
    /// Every id below is over, if it is not open.
    over_below: u64,
    /// Bytes held of all that are open: asked for with every piece that arrives.
    bytes: usize,
}

#[derive(Debug)]
struct Stream {
    framer: Framer,
    carries: Option<Carries>,
    finished: bool,
}

/// What a stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carries {
    /// A tail of this collection.
    Tail(String),
    /// A snapshot of this collection.
    Snapshot(String),
}

impl Streams {
    /// Bytes of a stream arrived; those of a stream that is over are dropped.
    pub(super) fn push(&mut self, id: u64, bytes: &[u8]) -> Result<()> {
        if !self.open.contains_key(&id) {
            if id < self.over_below || self.over.contains(&id) {
                return Ok(());
            }
            self.begin(id)?;
        }
        if let Some(stream) = self.open.get_mut(&id) {
            stream.framer.push(bytes);
            self.bytes += bytes.len();
        }
        Ok(())
    }

    fn begin(&mut self, id: u64) -> Result<()> {
        if self.open.len() >= MAX_LINK_STREAMS {
            return Err(breach(format!("more than {MAX_LINK_STREAMS} streams at once")));
        }
        let stream =
            Stream { framer: Framer::new(FIRST_FRAME_BYTES), carries: None, finished: false };
        self.open.insert(id, stream);
        Ok(())
    }

    /// The next whole frame of a stream.
    pub(super) fn next_frame(&mut self, id: u64) -> Result<Option<Vec<u8>>> {
        let Some(stream) = self.open.get_mut(&id) else { return Ok(None) };
        let before = stream.framer.len();
        let frame = stream.framer.next()?;
        self.bytes -= before - stream.framer.len();
        Ok(frame)
    }

    /// What a stream carries, if it has said so.
    pub(super) fn carries(&self, id: u64) -> Option<&Carries> {
        self.open.get(&id)?.carries.as_ref()
    }

    /// A stream said what it carries.
    pub(super) fn bind(&mut self, id: u64, carries: Carries) {
        if let Some(stream) = self.open.get_mut(&id) {
            stream.carries = Some(carries);
            stream.framer.set_limit(MAX_FRAME_BYTES);
        }
    }

    /// The peer has finished a stream: nothing comes after the bytes that are here.
    pub(super) fn finish(&mut self, id: u64) {
        if let Some(stream) = self.open.get_mut(&id) {
            stream.finished = true;
        }
    }

    /// Whether the peer has finished a stream that is still open here.
    pub(super) fn is_finished(&self, id: u64) -> bool {
        self.open.get(&id).is_some_and(|stream| stream.finished)
    }

    /// A stream is over, from either side. Returns what it carried and the bytes left of
    /// an unfinished frame.
    pub(super) fn end(&mut self, id: u64) -> Result<(Option<Carries>, usize)> {
        let ended = self.open.remove(&id);
        self.bytes -= ended.as_ref().map_or(0, |stream| stream.framer.len());
        if id >= self.over_below {
            self.over.insert(id);
            while self.over.remove(&self.over_below) {
                self.over_below += 1;
            }
        }
        if self.over.len() > MAX_LINK_STREAMS {
            return Err(breach("stream numbers with too many gaps".to_owned()));
        }
        Ok(ended.map_or((None, 0), |stream| (stream.carries, stream.framer.len())))
    }

    /// The ids of the open streams, in order.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn breach(message: String) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

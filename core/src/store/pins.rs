//! Pins: who needs the log from a position on.
//!
//! Whoever serves a snapshot pins the log from its view on, so that the receiver can be sent
//! what came after. A pin is in memory and ends with its [`LogPin`]. It may hold the log beyond
//! its budget, up to as much again; past that it expires, which is told in the log of the
//! process and in [`Stats`](super::Stats): the disk is bounded whatever a receiver does.
//!
//! Invariant: while a pin is held, every record from its position on is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::commit::lock;
use super::prune::Pruning;
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Position;

/// Holds the log from a position on, until it is dropped or expires.
#[derive(Debug)]
pub struct LogPin {
    pins: Arc<Mutex<Pins>>,
    pruning: Arc<Pruning>,
    number: u64,
    from: Position,
}

impl LogPin {
    /// From here on the log is held.
    pub fn from(&self) -> Position {
        self.from
    }

    /// Whether it is still held; false once it has expired.
    pub fn is_held(&self) -> bool {
        lock(&self.pins).held.contains_key(&self.number)
    }
}

impl Drop for LogPin {
    fn drop(&mut self) {
        if lock(&self.pins).held.remove(&self.number).is_some() {
            self.pruning.call_for();
        }
    }
}

/// A pin, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedLog {
    /// The collection it was taken for.
    pub collection: String,
    /// What for.
    pub why: String,
    /// From here on the log is held.
    pub from: Position,
}

/// All pins of a store.
#[derive(Debug, Default)]
pub(super) struct Pins {
    held: BTreeMap<u64, PinnedLog>,
    next: u64,
    /// What is before this is pruned, or about to be.
    going: Position,
    expired: u64,
}

impl Pins {
    /// Lets what is before `next` go, unless a pin holds it: then gives that one.
    pub(super) fn let_go(&mut self, next: Position) -> Option<&PinnedLog> {
        let holding = self.held.values().filter(|pin| pin.from < next).min_by_key(|pin| pin.from);
        if holding.is_none() {
            self.going = self.going.max(next);
        }
        holding
    }

    /// Ends the pins that hold what is before `next`.
    pub(super) fn expire(&mut self, next: Position) {
        let expired = self.held.extract_if(.., |_, pin| pin.from < next);
        for (_, PinnedLog { collection, why, from }) in expired {
            self.expired += 1;
            tracing::warn!(
                collection,
                why,
                from = from.0,
                "a pin on the log has expired: it held twice the log's budget"
            );
        }
    }

    /// Those held, the oldest first.
    pub(super) fn list(&self) -> Vec<PinnedLog> {
        self.held.values().cloned().collect()
    }

    /// How many have expired since the store was opened.
    pub(super) fn expired(&self) -> u64 {
        self.expired
    }
}

impl Store {
    /// Holds the log from `from` on, for a collection and a purpose, as long as the pin lives;
    /// but not beyond twice the log's budget.
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if the log no longer reaches back so far.
    pub fn pin_log(&self, collection: &str, from: Position, why: &str) -> Result<LogPin> {
        self.inner.pin_log(collection, from, why)
    }
}

impl Inner {
    pub(super) fn pin_log(&self, collection: &str, from: Position, why: &str) -> Result<LogPin> {
        let mut pins = lock(&self.pins);
        let start = self.reader.start().max(pins.going);
        if from < start {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the log no longer reaches back to position {from}: it begins at {start}"),
            ));
        }
        let number = pins.next;
        pins.next += 1;
        let (collection, why) = (collection.to_owned(), why.to_owned());
        pins.held.insert(number, PinnedLog { collection, why, from });
        let (pins, pruning) = (self.pins.clone(), self.pruning.clone());
        Ok(LogPin { pins, pruning, number, from })
    }
}

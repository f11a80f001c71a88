//! The journal: what happened to this store and its node, for people.
//!
//! Links that came up and went, conflicts that arose, snapshots that were joined, checkpoints, forks:
//! an event a row, the oldest go when there are too many ([`limits`](crate::limits)). It decides
//! nothing, and there is never anything of a document in it. Beside it the log of [`conflicts`], which
//! has what people need to settle them: paths, ids and values. It is of this store alone: no peer, no
//! bundle, backup or rescue and no anonymized copy has it, and no checkpoint brings it back.
//!
//! # Invariants
//! 1. What happens in a commit is written in that commit's redb transaction, so that one is there
//!    exactly if the other is. Recovery applies what the log has again, and notes it again, at the
//!    time of then. Of one batch there is one event of a kind and collection, with a count: who
//!    brings a million conflicts pushes out no more than who brings one.
//! 2. What happens beside commits ([`Store::note_event`]) costs no sync: a crash may lose the last
//!    few seconds of it.
//! 3. Numbers ascend, and are the wall time in microseconds where that is more than the last: so a
//!    number that a crash has lost is not given again, unless the clock went back as well.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | events | number 8 | see [`event`] |
//! | events | nothing | the [`tally`]: bytes of all rows 8, newest number 8, newest number that went 8 |
//! | conflict log, open conflicts | | see [`conflicts`] |

mod conflict;
pub(super) mod conflicts;
mod event;
mod tally;

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};

use tally::{Budget, Tally};

use super::tables::{self, Writable, db};
use super::{Inner, Store};
use crate::error::Result;
use crate::limits::{MAX_EVENT_PAGE, MAX_EVENTS, MAX_EVENTS_BYTES};

pub(super) use conflict::sample as sample_conflict;
pub use conflict::{
    ConflictCause, ConflictEnd, ConflictNote, ConflictOutcome, LoggedCandidate, LoggedConflict,
    LoggedValue,
};
pub use conflicts::{ConflictLogFilter, ConflictLogPage};
pub(super) use event::sample;
pub use event::{Event, EventKind, NewEvent};

/// Some events, in the order in which they happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// The number to ask after for those that come next.
    pub next: u64,
    /// Whether some between what was asked for and the first are gone, since there were too many.
    pub missed: bool,
    /// Whether there may be more by now.
    pub more: bool,
}

/// Adds events in a transaction, at this wall time. The oldest go if there are too many.
pub(super) fn add<'txn>(
    table: &mut impl Writable<'txn>,
    now_ms: u64,
    events: &[NewEvent],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let table = table.opened()?;
    let mut tally = Tally::read(table)?;
    for event in events {
        tally.newest = (tally.newest + 1).max(now_ms.saturating_mul(1000));
        tally.put(table, tally.newest, &event.encode(now_ms))?;
    }
    tally.keep_within(table, Budget { rows: MAX_EVENTS, bytes: MAX_EVENTS_BYTES })
}

/// Reads all of them, for who wants to know whether they can be read; says what is wrong.
pub(super) fn check(read: &ReadTransaction, wrong: &mut Vec<String>) -> Result<()> {
    let Some(table) = tables::open_if_there(read, tables::EVENTS)? else { return Ok(()) };
    let decode = |number, row: &[u8]| Event::decode(number, row).map(drop);
    Tally::check(&table, "an event", wrong, decode).map(drop)
}

impl Store {
    /// The events after the number `since` (0: from the oldest that is kept), at most `limit` of
    /// them and at most 1,000; of these kinds only, if any are given.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use littoral::store::EventKind;
    /// let store = littoral::Store::open(dir.path())?;
    /// store.checkpoint("before the import")?;
    /// let page = store.events(0, &[EventKind::CheckpointMade], 100)?;
    /// assert_eq!(page.events[0].what, "before the import");
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`Closed`](crate::ErrorKind::Closed), I/O.
    pub fn events(&self, since: u64, kinds: &[EventKind], limit: usize) -> Result<EventPage> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        page(&read, since, kinds, limit.min(MAX_EVENT_PAGE))
    }

    /// The number of the newest event: those after it are yet to come. 0 if there are none.
    ///
    /// Errors: [`Closed`](crate::ErrorKind::Closed), I/O.
    pub fn last_event(&self) -> Result<u64> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        Ok(Tally::read(&read.open_table(tables::EVENTS).map_err(db)?)?.newest)
    }

    /// Notes an event, at this moment. It costs no sync: it is durable with whatever makes the state
    /// durable next, at the latest when the store is closed.
    ///
    /// Errors: [`Closed`](crate::ErrorKind::Closed); [`Poisoned`](crate::ErrorKind::Poisoned); I/O.
    pub fn note_event(&self, event: NewEvent) -> Result<()> {
        self.inner.note_events(&[event])
    }

    /// Notes that a node was started on this store, durably: `what` says with which version. Gives
    /// whether the node before it did not say that it stopped.
    ///
    /// Errors: as of [`Store::note_event`].
    pub fn note_started(&self, what: &str) -> Result<bool> {
        let inner = &self.inner;
        let crashed = inner.commit_beside(|txn| {
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            let crashed = tables::get(&meta, tables::META_RUNNING)?.is_some();
            tables::set(&mut meta, tables::META_RUNNING, &inner.wall.now_ms().to_be_bytes())?;
            let kind = if crashed { EventKind::Crashed } else { EventKind::Started };
            inner.note_in(txn, NewEvent::new(kind).saying(what))?;
            Ok(crashed)
        })?;
        inner.announce();
        Ok(crashed)
    }

    /// Notes that the node stops, and did not crash; durable when this returns.
    ///
    /// Errors: as of [`Store::note_event`].
    pub fn note_stopped(&self) -> Result<()> {
        let inner = &self.inner;
        inner.commit_beside(|txn| {
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            tables::unset(&mut meta, tables::META_RUNNING)?;
            inner.note_in(txn, NewEvent::new(EventKind::Stopped))
        })?;
        inner.announce();
        Ok(())
    }
}

fn page(
    read: &ReadTransaction,
    since: u64,
    kinds: &[EventKind],
    limit: usize,
) -> Result<EventPage> {
    let table = read.open_table(tables::EVENTS).map_err(db)?;
    let tally = Tally::read(&table)?;
    let missed = since > 0 && since < tally.dropped;
    let mut page = EventPage { next: tally.newest, missed, ..EventPage::default() };
    let Some(first) = since.checked_add(1) else { return Ok(page) };
    for entry in table.range(&first.to_be_bytes()[..]..).map_err(db)? {
        let (key, row) = entry.map_err(db)?;
        let event = Event::decode(tables::u64_of(key.value())?, row.value())?;
        if !kinds.is_empty() && !kinds.contains(&event.kind) {
            continue;
        }
        if page.events.len() >= limit {
            page.next = page.events.last().map_or(since, |last| last.number);
            page.more = true;
            break;
        }
        page.events.push(event);
    }
    Ok(page)
}

impl Inner {
    /// Notes an event in a transaction of this store.
    pub(super) fn note_in(&self, txn: &WriteTransaction, event: NewEvent) -> Result<()> {
        let mut table = txn.open_table(tables::EVENTS).map_err(db)?;
        add(&mut table, self.wall.now_ms(), &[event])
    }

    /// Notes events beside any commit: see [`Store::note_event`].
    pub(super) fn note_events(&self, events: &[NewEvent]) -> Result<()> {
        self.commit_loosely(|txn| {
            let mut table = txn.open_table(tables::EVENTS).map_err(db)?;
            add(&mut table, self.wall.now_ms(), events)
        })?;
        self.announce();
        Ok(())
    }

    /// As [`Inner::note_events`], for what was done already: that it could not be noted changes
    /// nothing about it.
    pub(super) fn note_done(&self, event: NewEvent) {
        if let Err(err) = self.note_events(&[event]) {
            tracing::warn!(reason = err.message(), "an event could not be noted");
        }
    }
}

/// What a batch did to conflicts, by collection, to be noted with it.
#[derive(Debug, Default)]
pub(super) struct Tides(BTreeMap<String, [u64; 2]>);

impl Tides {
    pub(super) fn note(&mut self, collection: &str, arisen: u64, ended: u64) {
        if arisen + ended > 0 {
            let counts = self.0.entry(collection.to_owned()).or_default();
            counts[0] += arisen;
            counts[1] += ended;
        }
    }

    pub(super) fn events(self) -> Vec<NewEvent> {
        let kinds = [EventKind::ConflictArose, EventKind::ConflictEnded];
        let of = |(collection, counts): (String, [u64; 2])| {
            kinds
                .into_iter()
                .zip(counts)
                .filter(|(_, count)| *count > 0)
                .map(move |(kind, count)| NewEvent::new(kind).of(&collection).counting(count))
        };
        self.0.into_iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests;

//! Lives: which records of a log count.
//!
//! A collection that was left and taken up again has more than one life in the log, and only the
//! last one counts. A store knows this by its state; here it is told from the log alone, since the
//! state may be gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::store::log::{Found, LogRecord, RecordKind, Survey};
use crate::store::snapshot::read_barrier;

/// Which records count.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// What lies before this does not count, by collection.
    since: BTreeMap<String, u64>,
    /// Collections of which the log can't hold all: a snapshot was joined.
    pub(super) joined: BTreeSet<String>,
}

impl Lives {
    /// Reads the log once.
    pub(super) fn of(survey: &Survey) -> Result<Lives> {
        let mut lives = Lives::default();
        survey.read(&mut |found| {
            let Found::Record(record) = found else { return Ok(()) };
            match record.kind {
                RecordKind::Barrier => lives.barrier(record),
                RecordKind::Txn | RecordKind::Mark => {}
            }
            Ok(())
        })?;
        Ok(lives)
    }

    /// What lies before `position` does not count, as the state says.
    pub(super) fn begin(&mut self, collection: &str, position: u64) {
        let since = self.since.entry(collection.to_owned()).or_default();
        *since = position.max(*since);
    }

    fn barrier(&mut self, record: LogRecord) {
        match read_barrier(&record.bytes) {
            Ok(None) => {
                self.joined.remove(&record.collection);
                self.since.insert(record.collection, record.position.0);
            }
            _ => drop(self.joined.insert(record.collection)),
        }
    }

    /// Whether a record counts.
    pub(super) fn counts(&self, record: &LogRecord) -> bool {
        let since = self.since.get(&record.collection).copied().unwrap_or(0);
        record.position.0 >= since
    }
}

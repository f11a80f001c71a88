//! Lives: which records of a log count.
//!
//! A collection that was left and taken up again has more than one life in the log, and only the
//! last one counts. Own transactions may have been signed again under another name
//! ([`renew`](crate::store::renew)); then only the last of the records of one write counts, though a
//! crash may have left some that nobody uses. A store knows this by its state; here it is told from
//! the log alone, since the state may be gone. What is signed again keeps its time and its
//! documents: so a record does not count if a later one that was signed again has the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::id::Hash;
use crate::store::log::{Found, LogRecord, RecordKind, Survey};
use crate::store::snapshot::read_barrier;
use crate::txn::{Txn, decode, sign::SIGNATURE_BYTES};

/// Which records count.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// What lies before this does not count, by collection.
    since: BTreeMap<String, u64>,
    /// Where writes were signed again, the last time.
    again: BTreeMap<Hash, u64>,
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
                RecordKind::Renewed => {
                    if let Some(txn) = txn_of(&record) {
                        let write = write_of(&record.collection, &txn);
                        lives.again.insert(write, record.position.0);
                    }
                }
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

    /// Whether a record counts that holds this transaction.
    pub(super) fn counts(&self, record: &LogRecord, txn: &Txn) -> bool {
        let since = self.since.get(&record.collection).copied().unwrap_or(0);
        if record.position.0 < since {
            return false;
        }
        let again = || self.again.get(&write_of(&record.collection, txn));
        self.again.is_empty() || again().is_none_or(|last| *last <= record.position.0)
    }
}

fn txn_of(record: &LogRecord) -> Option<Txn> {
    let len = record.bytes.len().checked_sub(SIGNATURE_BYTES)?;
    decode(&record.bytes[..len]).ok()
}

/// What stays the same of a write when it is signed again.
fn write_of(collection: &str, txn: &Txn) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 write signed again");
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    part(collection.as_bytes());
    part(txn.dot.origin.node.as_bytes());
    part(&txn.time.to_bits().to_be_bytes());
    txn.docs.iter().for_each(|doc| part(doc.id.as_bytes()));
    Hash(*hasher.finalize().as_bytes())
}

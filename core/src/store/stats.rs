//! Figures and digests of a store.

use super::Store;
use super::budget::LogBudget;
use super::commit::{Committer, lock};
use super::document::Document;
use super::log::Log;
use super::pins::PinnedLog;
use crate::error::Result;
use crate::id::{Hash, NodeId, Position};
use crate::value::{Fields, fields_to_json};

/// What a store holds and has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// This node.
    pub node: NodeId,
    /// By collection, in the order of names.
    pub collections: Vec<CollectionStats>,
    /// Bytes of `state.redb`.
    pub state_bytes: u64,
    /// Bytes of transactions that the log holds.
    pub log_bytes: u64,
    /// The oldest position that the log holds.
    pub log_start: Position,
    /// What the budgets of all collections allow the log together, in bytes.
    pub log_budget_bytes: u64,
    /// What keeps the log from being pruned to its budget, if anything does.
    pub log_held: Option<String>,
    /// Who holds the log from a position on.
    pub log_pins: Vec<PinnedLog>,
    /// Pins that held too much and have expired since the store was opened.
    pub log_pins_expired: u64,
    /// The end of the log.
    pub position: Position,
    /// Syncs of the log since the store was opened.
    pub log_syncs: u64,
    /// Why the store refuses writes, if it does.
    pub failure: Option<String>,
}

/// What a collection holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionStats {
    /// Its name.
    pub name: String,
    /// Documents.
    pub documents: u64,
    /// Documents in conflict.
    pub conflicts: u64,
    /// Transactions applied.
    pub transactions: u64,
    /// Origins in its vector.
    pub origins: u64,
    /// Own transactions above this were never handed to anyone.
    pub exported: u64,
    /// Transactions applied that the log no longer holds.
    pub pruned: u64,
    /// Bytes of its transactions in the log.
    pub log_bytes: u64,
    /// How much of its history the log keeps.
    pub log_budget: LogBudget,
}

/// Two digests of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Of what readers see: ids and shown values. For people and tests; computed by a scan.
    pub shown: Hash,
    /// Of the cells behind it: kept up to date, and what sync compares.
    pub cells: Hash,
}

/// Rows of documents that changes and reads of a part have read and written since the store was
/// opened: what an edit costs, without a clock.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Rows written.
    pub written: u64,
    /// Bytes of those.
    pub bytes_written: u64,
}

impl Store {
    /// How many rows of documents were read and written so far.
    #[doc(hidden)]
    pub fn row_counts(&self) -> RowCounts {
        self.inner.read_heads().meter.counts()
    }

    /// Figures for operators.
    pub fn stats(&self) -> Result<Stats> {
        if !self.inner.is_running() {
            return Err(self.inner.gone());
        }
        let log_budget_bytes = self.inner.whole_budget();
        let (pins, expired) = {
            let pins = lock(&self.inner.pins);
            (pins.list(), pins.expired())
        };
        let committer = lock(&self.inner.committer);
        let log = committer.as_ref().map(Committer::log);
        let log_start = log.map_or_else(Position::default, Log::start);
        let log_bytes = log.map_or(0, |log| log.end().0 - log_start.0);
        let log_syncs = log.map_or(0, Log::syncs);
        let of_collection =
            |name: &str| committer.as_ref().map_or(0, |committer| committer.segments().total(name));
        let heads = self.inner.read_heads();
        let collections = heads.iter().map(|head| CollectionStats {
            name: head.name.clone(),
            documents: head.row.documents,
            conflicts: head.row.conflicts,
            transactions: head.row.transactions,
            origins: head.vector.len() as u64,
            exported: head.row.exported,
            pruned: head.floor.iter().map(|(_, newest)| newest.seq).sum(),
            log_bytes: of_collection(&head.name),
            log_budget: self.inner.log_budget(&head.name),
        });
        Ok(Stats {
            node: self.inner.node,
            collections: collections.collect(),
            state_bytes: self.inner.state_len(),
            log_bytes,
            log_start,
            log_budget_bytes,
            log_held: self.inner.pruning.held(),
            log_pins: pins,
            log_pins_expired: expired,
            position: heads.applied,
            log_syncs,
            failure: self.inner.failure(),
        })
    }

    /// The digests of a collection at this moment. Reads all of its documents.
    pub fn digests(&self, collection: &str) -> Result<Digests> {
        let cells = match self.inner.read_heads().named(collection) {
            Some(head) => head.row.cells.digest(),
            None => crate::crdt::LtHash::new().digest(),
        };
        let mut shown = ShownHasher::default();
        for document in self.collection(collection)?.scan(&super::ScanRange::default())? {
            shown.push(&document?);
        }
        Ok(Digests { shown: shown.finish(), cells })
    }
}

/// The digest of documents that are shown, one after the other.
pub(super) struct ShownHasher(blake3::Hasher);

impl Default for ShownHasher {
    fn default() -> ShownHasher {
        ShownHasher(blake3::Hasher::new_derive_key("littoral v1 shown"))
    }
}

impl ShownHasher {
    pub(super) fn push(&mut self, document: &Document) {
        let shown = canonical(document.fields());
        self.0.update(&(document.id().len() as u64).to_be_bytes());
        self.0.update(document.id().as_bytes());
        self.0.update(&(shown.len() as u64).to_be_bytes());
        self.0.update(shown.as_bytes());
    }

    pub(super) fn finish(self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}

/// One text for one content: JSON with sorted names, which tells all kinds apart.
fn canonical(fields: &Fields) -> String {
    fields_to_json(fields).to_string()
}

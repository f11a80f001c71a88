//! The log's budget: how much history is kept for peers that were away.
//!
//! Each collection has a budget in bytes and in time: its own, else that of
//! [`Options`](super::Options), else the store's default, else [`LogBudget::default`]. Pruning only ever costs a snapshot: a peer that comes back when
//! the log no longer reaches to where it was is sent the state instead. So a clock that jumps
//! can make the log shorter than meant, and no more.
//!
//! A row of the table `budgets`: key is the name of a collection, which need not exist, or empty
//! for the store's default; value is bytes 8 and age in ms 8, big-endian.

use std::collections::BTreeMap;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::commit::lock;
use super::tables::{self, db};
use super::{Inner, Store};
use crate::error::{Error, Result};
use crate::id::check_collection;
use crate::limits::{LOG_BUDGET_AGE_MS, LOG_BUDGET_BYTES};

/// How much of a collection's history the log keeps: the newest transactions that fill `bytes`,
/// as far as they are not older than `age_ms`. The log goes by whole segments, so it holds
/// somewhat more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBudget {
    /// Bytes of transactions as they lie in the log, where large ones are packed.
    pub bytes: u64,
    /// Milliseconds since they were written here, by this node's clock.
    pub age_ms: u64,
}

impl LogBudget {
    /// Everything, for ever.
    pub const UNLIMITED: LogBudget = LogBudget { bytes: u64::MAX, age_ms: u64::MAX };
}

impl Default for LogBudget {
    /// 64 MiB and 30 days: some 150,000 small transactions.
    fn default() -> LogBudget {
        LogBudget { bytes: LOG_BUDGET_BYTES, age_ms: LOG_BUDGET_AGE_MS }
    }
}

/// The budgets of all collections.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    /// What the options say.
    opened_with: Option<LogBudget>,
    /// By collection; the empty name is the store's default.
    stored: BTreeMap<String, LogBudget>,
}

impl Budgets {
    pub(super) fn load(database: &Database, opened_with: Option<LogBudget>) -> Result<Budgets> {
        let stored = Budgets::stored(&database.begin_read().map_err(db)?)?;
        Ok(Budgets { opened_with, stored })
    }

    /// Reads all rows of the table, for who wants to know whether they can be read.
    pub(super) fn check(txn: &ReadTransaction) -> Result<()> {
        Budgets::stored(txn).map(drop)
    }

    /// What is kept, by collection.
    pub(super) fn stored(txn: &ReadTransaction) -> Result<BTreeMap<String, LogBudget>> {
        let mut stored = BTreeMap::new();
        for entry in txn.open_table(tables::BUDGETS).map_err(db)?.iter().map_err(db)? {
            let (name, row) = entry.map_err(db)?;
            let name = String::from_utf8(name.value().to_vec())
                .map_err(|_| Error::corrupt("the name of a collection is not UTF-8"))?;
            stored.insert(name, decode(row.value())?);
        }
        Ok(stored)
    }

    pub(super) fn of(&self, collection: &str) -> LogBudget {
        let stored = |name: &str| self.stored.get(name).copied();
        stored(collection).or(self.opened_with).or_else(|| stored("")).unwrap_or_default()
    }
}

/// Reads the value of a row of the table.
pub(super) fn decode(row: &[u8]) -> Result<LogBudget> {
    let (bytes, age) = row.split_at(row.len().min(8));
    Ok(LogBudget { bytes: tables::u64_of(bytes)?, age_ms: tables::u64_of(age)? })
}

impl Inner {
    pub(super) fn log_budget(&self, collection: &str) -> LogBudget {
        lock(&self.budgets).of(collection)
    }

    /// Bytes of the budgets of all collections held: what the whole log may take.
    pub(super) fn whole_budget(&self) -> u64 {
        let budgets = lock(&self.budgets);
        let heads = self.read_heads();
        heads.iter().map(|head| budgets.of(&head.name).bytes).fold(0, u64::saturating_add)
    }
}

impl Store {
    /// How much of a collection's history the log keeps.
    pub fn log_budget(&self, collection: &str) -> LogBudget {
        self.inner.log_budget(collection)
    }

    /// Sets how much of a collection's history the log keeps; `None` is the store's default
    /// again. Kept in the store, also for a collection that is not there yet. It takes effect
    /// with the writes that follow, or [`Store::prune`].
    pub fn set_log_budget(&self, collection: &str, budget: Option<LogBudget>) -> Result<()> {
        check_collection(collection)?;
        self.inner.store_budget(collection, budget)
    }

    /// The budget of collections that have none of their own.
    pub fn default_log_budget(&self) -> LogBudget {
        self.inner.log_budget("")
    }

    /// Sets the budget of all collections that have none of their own; `None` is 64 MiB and 30
    /// days again. Kept in the store; [`Options::log_budget`](super::Options::log_budget) goes
    /// before it.
    pub fn set_default_log_budget(&self, budget: Option<LogBudget>) -> Result<()> {
        self.inner.store_budget("", budget)
    }
}

impl Inner {
    fn store_budget(&self, collection: &str, budget: Option<LogBudget>) -> Result<()> {
        let key = collection.as_bytes();
        self.commit_beside(|txn| {
            let mut table = txn.open_table(tables::BUDGETS).map_err(db)?;
            match budget {
                Some(LogBudget { bytes, age_ms }) => {
                    let row = [bytes.to_be_bytes(), age_ms.to_be_bytes()].concat();
                    tables::set(&mut table, key, &row)
                }
                None => tables::unset(&mut table, key),
            }
        })?;
        let stored = &mut lock(&self.budgets).stored;
        match budget {
            Some(budget) => stored.insert(collection.to_owned(), budget),
            None => stored.remove(collection),
        };
        self.pruning.call_for();
        Ok(())
    }
}

//! Sweeping: former rows that no checkpoint needs any more go.
//!
//! Whether one is needed follows from the checkpoints that there are: it must be the first of its
//! row from some checkpoint on, and its collection must have been there by then. So a sweep may be
//! done at any time, by anybody, and from the start again after a crash. A step looks at a bounded
//! number of rows and notes in the same commit how far it has come.

use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::former::{number_of, row_of, split_key};
use super::{Checkpoint, CheckpointCost, Part};
use crate::error::{ErrorKind, Result};
use crate::id::Position;
use crate::limits::SWEEP_ROWS;
use crate::store::tables::{self, db};
use crate::store::{Inner, commit::lock};

/// Whether there is something to sweep.
#[derive(Debug, Default)]
pub(in crate::store) struct Sweeping(AtomicBool);

impl Sweeping {
    /// Whether a sweep was cut short.
    pub(in crate::store) fn load(database: &Database) -> Result<Sweeping> {
        let read = database.begin_read().map_err(db)?;
        let cut_short = tables::read(&read, tables::META, tables::META_SWEPT)?.is_some();
        Ok(Sweeping(AtomicBool::new(cut_short)))
    }

    /// There is as much to sweep as `other` says.
    pub(in crate::store) fn set(&self, other: &Sweeping) {
        self.0.store(other.0.load(Ordering::Acquire), Ordering::Release);
    }

    pub(super) fn call_for(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The former rows of one row, the oldest first, and which checkpoints need each.
struct Group {
    part: Part,
    key: Vec<u8>,
    before: u64,
}

impl Group {
    /// The checkpoints that need the next row of the group, which has this tag.
    fn next<'a>(
        &mut self,
        tag: u64,
        checkpoints: &'a [Checkpoint],
    ) -> impl Iterator<Item = &'a Checkpoint> + use<'a> {
        let (before, number) = (self.before, number_of(self.part, &self.key));
        self.before = tag;
        checkpoints.iter().filter(move |known| {
            before < known.tag && known.tag <= tag && number.is_none_or(|n| n < known.below)
        })
    }
}

/// Follows former rows in their order.
#[derive(Default)]
struct Groups(Option<Group>);

impl Groups {
    /// The group that the row with this key belongs to, its tag, and whether it begins there.
    fn at(&mut self, key: &[u8]) -> Result<(&mut Group, u64, bool)> {
        let (part, row, tag) = split_key(key)?;
        let begins = self.0.as_ref().is_none_or(|group| group.part != part || group.key != row);
        if begins {
            self.0 = Some(Group { part, key: row, before: 0 });
        }
        Ok((self.0.as_mut().expect("just put there"), tag, begins))
    }
}

/// What is wrong with kept rows as such.
pub(super) fn check(
    read: &ReadTransaction,
    checkpoints: &[Checkpoint],
    wrong: &mut Vec<String>,
) -> Result<()> {
    let next = tables::read(read, tables::META, tables::META_NEXT_CHECKPOINT)?;
    let next = next.map_or(Ok(1), |bytes| tables::u64_of(&bytes))?;
    if checkpoints.iter().any(|known| known.tag >= next) {
        wrong.push("the tag of a checkpoint will be given again".to_owned());
    }
    let sweeping = tables::read(read, tables::META, tables::META_SWEPT)?.is_some();
    let table = read.open_table(tables::FORMER).map_err(db)?;
    let (mut groups, mut idle) = (Groups::default(), 0u64);
    for entry in table.iter().map_err(db)? {
        let (key, row) = entry.map_err(db)?;
        row_of(row.value())?;
        let (group, tag, _) = groups.at(key.value())?;
        idle += u64::from(group.next(tag, checkpoints).next().is_none());
    }
    if idle > 0 && !sweeping {
        wrong.push(format!("{idle} former rows are kept that no checkpoint needs"));
    }
    Ok(())
}

impl Inner {
    /// Goes on with a sweep that was cut short, after a commit. What fails here is no failure of
    /// the commit.
    pub(in crate::store) fn sweep_along(&self) {
        if self.sweeping.0.load(Ordering::Acquire)
            && let Err(err) = self.sweep_step()
            && err.kind() != ErrorKind::Suspended
        {
            tracing::warn!(reason = err.message(), "former rows could not be removed");
        }
    }

    /// Sweeps some rows; gives whether there is more to do.
    pub(super) fn sweep_step(&self) -> Result<bool> {
        let more = self.commit_beside(|txn| {
            let checkpoints = self.read_heads().checkpoints.clone();
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            let Some(from) = tables::get(&meta, tables::META_SWEPT)? else { return Ok(false) };
            let mut table = txn.open_table(tables::FORMER).map_err(db)?;
            let (mut groups, mut seen, mut gone, mut next) =
                (Groups::default(), 0, Vec::new(), None);
            for entry in table.range(&from[..]..).map_err(db)? {
                let (key, _) = entry.map_err(db)?;
                let (group, tag, begins) = groups.at(key.value())?;
                if begins && seen >= SWEEP_ROWS {
                    next = Some(key.value().to_vec());
                    break;
                }
                seen += 1;
                if group.next(tag, &checkpoints).next().is_none() {
                    gone.push(key.value().to_vec());
                }
            }
            for key in &gone {
                tables::unset(&mut table, key)?;
            }
            match &next {
                Some(next) => tables::set(&mut meta, tables::META_SWEPT, next)?,
                None => tables::unset(&mut meta, tables::META_SWEPT)?,
            }
            Ok(next.is_some())
        })?;
        // Under the lock of whoever may have deleted another one meanwhile.
        if !more {
            let _committer = lock(&self.committer);
            let read = self.database()?.begin_read().map_err(db)?;
            let open = tables::read(&read, tables::META, tables::META_SWEPT)?.is_some();
            self.sweeping.0.store(open, Ordering::Release);
            return Ok(open);
        }
        Ok(true)
    }

    pub(super) fn checkpoint_costs(&self) -> Result<Vec<CheckpointCost>> {
        let (read, checkpoints) = {
            let heads = self.read_heads();
            (self.database()?.begin_read().map_err(db)?, heads.checkpoints.clone())
        };
        let start: Position = self.reader.start();
        let mut costs: Vec<CheckpointCost> = checkpoints
            .iter()
            .map(|known| CheckpointCost {
                checkpoint: known.clone(),
                rows: 0,
                bytes: 0,
                freed_bytes: 0,
                log_held: known.position >= start,
            })
            .collect();
        let table = read.open_table(tables::FORMER).map_err(db)?;
        let mut groups = Groups::default();
        for entry in table.iter().map_err(db)? {
            let (key, row) = entry.map_err(db)?;
            let (group, tag, _) = groups.at(key.value())?;
            let bytes = (key.value().len() + row.value().len()) as u64;
            let mut needed = group.next(tag, &checkpoints).map(|known| known.tag);
            let (first, another) = (needed.next(), needed.next().is_some());
            let newest = checkpoints.iter().rposition(|known| known.tag <= tag);
            if let Some(cost) = first.and(newest).map(|at| &mut costs[at]) {
                cost.rows += 1;
                cost.bytes += bytes;
            }
            if !another && let Some(alone) = first {
                let cost = costs.iter_mut().find(|cost| cost.checkpoint.tag == alone);
                cost.expect("of the same list").freed_bytes += bytes;
            }
        }
        Ok(costs)
    }
}

//! The tape of a store in this process.

use littoral::store::{AutomaticCheckpoints, Difference, PastScan};
use littoral::{Error, ErrorKind, Result, ScanRange, Store};

use super::local::{Local, not_found};
use super::tape::{Each, Tape};
use super::{Read, Scan};
use crate::tape::{
    CheckpointCostShape, CheckpointShape, Comparing, DoneShape, HoldShape, Holding, ReplayShape,
    Resuming, Reverting, RollingBack, Undoing,
};

impl Tape for Local {
    fn checkpoint(&self, label: &str) -> Result<CheckpointShape> {
        self.store().checkpoint(label).map(|made| CheckpointShape::from(&made))
    }

    fn checkpoint_before(&self, why: &str) -> Result<Option<CheckpointShape>> {
        keep_checkpoints(self.store())?;
        let made = self.store().automatic_checkpoint(why)?;
        Ok(made.as_ref().map(CheckpointShape::from))
    }

    fn checkpoints(&self) -> Result<Vec<CheckpointCostShape>> {
        Ok(self.store().checkpoint_costs()?.iter().map(CheckpointCostShape::from).collect())
    }

    fn delete_checkpoint(&self, label: &str) -> Result<()> {
        self.store().delete_checkpoint(label)
    }

    fn get_at(&self, label: &str, collection: &str, id: &str) -> Result<Read> {
        let missing =
            || not_found(format!("there was no document '{id}' in '{collection}' at '{label}'"));
        self.store().at(label)?.get(collection, id)?.map(Read::from).ok_or_else(missing)
    }

    fn scan_at(&self, label: &str, collection: &str, range: &ScanRange) -> Result<Scan<'_>> {
        let documents = scan_past(self.store(), label, collection, range)?;
        Ok(Box::new(documents.map(|document| {
            document.map(|document| (document.id().to_owned(), document.into_fields()))
        })))
    }

    fn diff(&self, asked: &Comparing, each: Each) -> Result<DoneShape> {
        let mut found = self.store().diff(&asked.from, asked.to.as_deref())?;
        if let Some(name) = &asked.collection {
            littoral::id::check_collection(name)?;
            found = found.of_collection(name);
        }
        Ok(DoneShape { documents: tell(found, each)?, ..DoneShape::default() })
    }

    fn rollback(
        &self,
        asked: &RollingBack,
        told: &mut dyn FnMut(ReplayShape) -> Result<()>,
        each: Each,
    ) -> Result<DoneShape> {
        let last = || self.store().checkpoints().pop().map(|known| known.label);
        let label = asked.label.clone().or_else(last).ok_or_else(|| {
            not_found("there is no checkpoint to go back to; make one first".to_owned())
        })?;
        let replay = self.store().rollback_replay(&label, &Default::default())?;
        told(ReplayShape::from(&replay))?;
        Ok(DoneShape { documents: tell(replay.differences()?, each)?, ..DoneShape::default() })
    }

    fn hold(&self, asked: &Holding) -> Result<Vec<HoldShape>> {
        let one = asked.collection.as_deref().map(|name| [name]);
        let held = self.store().rollback_hold(&asked.label, one.as_ref().map(|one| &one[..]))?;
        Ok(held.iter().map(HoldShape::from).collect())
    }

    fn resume(&self, asked: &Resuming) -> Result<Vec<HoldShape>> {
        let ended = self.store().resume(asked.collection.as_deref())?;
        match (&asked.collection, ended.is_empty()) {
            (Some(name), true) => Err(not_found(format!("collection '{name}' is not held back"))),
            _ => Ok(ended.iter().map(HoldShape::from).collect()),
        }
    }

    fn revert_plan(&self, asked: &Reverting, each: Each) -> Result<DoneShape> {
        let plan = self.store().revert_plan(&asked.label, &asked.scope()?)?;
        let left = plan.left().to_vec();
        let mut kept = 0;
        let documents = tell(plan, &mut |found| {
            kept += fields_kept(&found);
            each(found)
        })?;
        Ok(DoneShape { documents, left, kept, ..DoneShape::default() })
    }

    fn undo(&self, asked: &Undoing, each: Each) -> Result<DoneShape> {
        let undone = match asked.dry_run {
            true => self.store().undo_plan(&asked.scope())?,
            false => self.store().undo(&asked.scope())?,
        };
        let documents = undone.documents();
        let transactions = u64::from(documents > 0 && !asked.dry_run);
        let (kept, time) = (undone.changes.iter().map(fields_kept).sum(), undone.time.to_string());
        tell(undone.changes.into_iter().map(Ok), each)?;
        let left = Vec::new();
        Ok(DoneShape { documents, transactions, left, kept, undone: Some(time) })
    }

    fn revert(&self, asked: &Reverting, progress: &mut dyn FnMut(u64)) -> Result<DoneShape> {
        keep_checkpoints(self.store())?;
        let mut documents = 0;
        let mut each = |_: &_| {
            documents += 1;
            progress(documents);
        };
        self.store().revert(&asked.label, &asked.scope()?, &mut each).map(DoneShape::from)
    }
}

/// A store that nobody has told how many automatic checkpoints to keep keeps some from now on.
pub(crate) fn keep_checkpoints(store: &Store) -> Result<()> {
    match store.automatic_checkpoints()? {
        Some(_) => Ok(()),
        None => store.set_automatic_checkpoints(AutomaticCheckpoints::default()),
    }
}

/// The documents of a range of a collection that there was at a checkpoint.
pub(crate) fn scan_past(
    store: &Store,
    label: &str,
    collection: &str,
    range: &ScanRange,
) -> Result<PastScan> {
    let past = store.at(label)?;
    let documents = past.scan(collection, range)?;
    match past.collections()?.iter().any(|name| name == collection) {
        true => Ok(documents),
        false => Err(Error::new(
            ErrorKind::UnknownCollection,
            format!("there was no collection '{collection}' at the checkpoint '{label}'"),
        )),
    }
}

/// Tells of each, and gives how many there were.
fn tell(found: impl Iterator<Item = Result<Difference>>, each: Each) -> Result<u64> {
    let mut documents = 0;
    for difference in found {
        let difference = difference?;
        documents += u64::from(difference.is_change());
        each(difference)?;
    }
    Ok(documents)
}

/// How many fields of a document are kept, since others have changed them.
pub(crate) fn fields_kept(found: &Difference) -> u64 {
    found.kept.iter().filter(|one| one.path.depth() > 0).count() as u64
}

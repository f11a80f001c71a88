//! What commands ask about the tape, of a store on this disk or of a node.

use littoral::store::Difference;
use littoral::{Result, ScanRange};

use super::{Read, Scan};
use crate::tape::{
    CheckpointCostShape, CheckpointShape, Comparing, DoneShape, HoldShape, Holding, ReplayShape,
    Resuming, Reverting, RollingBack, Undoing,
};

/// Hears of documents that differ, one by one.
pub(crate) type Each<'a> = &'a mut dyn FnMut(Difference) -> Result<()>;

/// The tape of a store, near or far.
pub(crate) trait Tape {
    /// Makes a checkpoint.
    fn checkpoint(&self, label: &str) -> Result<CheckpointShape>;

    /// Makes a checkpoint as the store does by itself, if one is needed.
    fn checkpoint_before(&self, why: &str) -> Result<Option<CheckpointShape>>;

    /// All checkpoints and what they cost, in the order in which they were made.
    fn checkpoints(&self) -> Result<Vec<CheckpointCostShape>>;

    /// Deletes a checkpoint.
    fn delete_checkpoint(&self, label: &str) -> Result<()>;

    /// A document as it was at a checkpoint.
    ///
    /// Errors: `NotFound` if there is no such checkpoint, or was no such document.
    fn get_at(&self, label: &str, collection: &str, id: &str) -> Result<Read>;

    /// The documents of a range as they were at a checkpoint.
    ///
    /// Errors: `NotFound`; `UnknownCollection` if there was no such collection.
    fn scan_at(&self, label: &str, collection: &str, range: &ScanRange) -> Result<Scan<'_>>;

    /// What differs between two moments. An error of `each` ends it.
    fn diff(&self, asked: &Comparing, each: Each) -> Result<DoneShape>;

    /// Replays the log from a checkpoint. `told` hears first what came of it, `each` then of the
    /// documents that differ, or did; an error of either ends the telling.
    fn rollback(
        &self,
        asked: &RollingBack,
        told: &mut dyn FnMut(ReplayShape) -> Result<()>,
        each: Each,
    ) -> Result<DoneShape>;

    /// Holds collections back to a checkpoint. Gives which.
    fn hold(&self, asked: &Holding) -> Result<Vec<HoldShape>>;

    /// Holds collections back no longer. Gives which were.
    fn resume(&self, asked: &Resuming) -> Result<Vec<HoldShape>>;

    /// What a revert would write, and nothing is written. An error of `each` ends it.
    fn revert_plan(&self, asked: &Reverting, each: Each) -> Result<DoneShape>;

    /// Takes back what was written last, or only says what that would change. An error of `each`
    /// ends the telling.
    fn undo(&self, asked: &Undoing, each: Each) -> Result<DoneShape>;

    /// Brings documents back. `progress` hears now and then how many are.
    fn revert(&self, asked: &Reverting, progress: &mut dyn FnMut(u64)) -> Result<DoneShape>;
}

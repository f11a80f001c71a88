//! The tape as JSON: checkpoints, what differs, and what is to be brought back.

use littoral::clock::Timestamp;
use littoral::id::{Dot, Origin};
use littoral::store::{
    Checkpoint, CheckpointCost, Difference, Hold, Replay, ReplayOutcome, ReplayedCollection,
    RevertScope, Reverted, UndoScope, WrittenBy,
};
use littoral::value::parse_fields;
use littoral::{Fields, Path, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::shape::{ErrorShape, raw};

/// A checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CheckpointShape {
    /// Its name.
    pub(crate) label: String,
    /// When it was made, RFC 3339.
    pub(crate) made: String,
    /// Where the change feed stood.
    pub(crate) position: u64,
    /// Whether the store made it by itself.
    pub(crate) automatic: bool,
}

impl From<&Checkpoint> for CheckpointShape {
    fn from(made: &Checkpoint) -> CheckpointShape {
        CheckpointShape {
            label: made.label.clone(),
            made: Timestamp::from_millis(made.made_ms).to_string(),
            position: made.position.0,
            automatic: made.automatic,
        }
    }
}

/// A checkpoint and what it costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CheckpointCostShape {
    /// The checkpoint.
    #[serde(flatten)]
    pub(crate) checkpoint: CheckpointShape,
    /// Rows that were kept between it and the next one.
    pub(crate) rows: u64,
    /// Bytes of those.
    pub(crate) bytes: u64,
    /// Bytes that deleting it alone would free.
    pub(crate) freed_bytes: u64,
    /// Whether the log still holds all that came after it.
    pub(crate) log_held: bool,
}

impl From<&CheckpointCost> for CheckpointCostShape {
    fn from(cost: &CheckpointCost) -> CheckpointCostShape {
        CheckpointCostShape {
            checkpoint: CheckpointShape::from(&cost.checkpoint),
            rows: cost.rows,
            bytes: cost.bytes,
            freed_bytes: cost.freed_bytes,
            log_held: cost.log_held,
        }
    }
}

/// All checkpoints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CheckpointsShape {
    /// In the order in which they were made.
    pub(crate) checkpoints: Vec<CheckpointCostShape>,
}

/// A checkpoint that is to be made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marking {
    /// Its name; of an automatic one, what it is made before.
    pub(crate) label: String,
    /// Made as the store does by itself: if none is needed, none is made.
    #[serde(default)]
    pub(crate) automatic: bool,
}

/// Which moments are compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparing {
    /// A checkpoint.
    pub(crate) from: String,
    /// Another one; none is now.
    pub(crate) to: Option<String>,
    /// Only this collection.
    pub(crate) collection: Option<String>,
}

/// What is to be brought back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reverting {
    /// To what was shown at this checkpoint.
    pub(crate) label: String,
    /// One collection; none is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collection: Option<String>,
    /// One document of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// One field of that, as a JSON Pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Only what the node with this key did since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// With `by`: also what others have changed since.
    #[serde(default)]
    pub(crate) force: bool,
    /// Only say what would be written.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// What is to be undone: what this node wrote last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undoing {
    /// To this collection, and there alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collection: Option<String>,
    /// Also what others have changed since.
    #[serde(default)]
    pub(crate) force: bool,
    /// Only say what would be written.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

impl Undoing {
    /// The same for the store.
    pub(crate) fn scope(&self) -> UndoScope {
        UndoScope { collection: self.collection.clone(), force: self.force }
    }
}

impl Reverting {
    /// The same for the store.
    pub(crate) fn scope(&self) -> Result<RevertScope> {
        Ok(RevertScope {
            collection: self.collection.clone(),
            id: self.id.clone(),
            path: self.path.as_deref().map(Path::parse_pointer).transpose()?,
            by: self.by.as_deref().map(str::parse).transpose()?,
            force: self.force,
        })
    }
}

/// A document that differs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DifferenceShape {
    /// The collection.
    pub(crate) collection: String,
    /// The document.
    pub(crate) id: String,
    /// What it showed before; null if it was not there.
    pub(crate) before: Option<Box<RawValue>>,
    /// What it showed after; null if it was not there.
    pub(crate) after: Option<Box<RawValue>>,
    /// Who wrote, or removed, what differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) written: Vec<WrittenShape>,
    /// What others have changed since, and so is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<WrittenShape>,
}

/// Who wrote a field, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WrittenShape {
    /// The field, as a JSON Pointer; empty for the document.
    pub(crate) path: String,
    /// The key of the node that wrote it.
    pub(crate) author: String,
    /// Which of its incarnations,
    pub(crate) incarnation: u32,
    /// and which transaction of that.
    pub(crate) seq: u64,
    /// When, by its author's clock, RFC 3339.
    pub(crate) time: String,
}

impl From<&WrittenBy> for WrittenShape {
    fn from(written: &WrittenBy) -> WrittenShape {
        let Dot { origin, seq } = written.dot;
        WrittenShape {
            path: written.path.to_string(),
            author: origin.node.to_string(),
            incarnation: origin.incarnation,
            seq,
            time: written.time.to_string(),
        }
    }
}

impl WrittenShape {
    /// What it says.
    fn read(self) -> Result<WrittenBy> {
        let origin = Origin { node: self.author.parse()?, incarnation: self.incarnation };
        Ok(WrittenBy {
            path: Path::parse_pointer(&self.path)?,
            dot: Dot { origin, seq: self.seq },
            time: self.time.parse()?,
        })
    }
}

impl From<&Difference> for DifferenceShape {
    fn from(found: &Difference) -> DifferenceShape {
        DifferenceShape {
            collection: found.collection.clone(),
            id: found.id.clone(),
            before: found.before.as_ref().map(raw),
            after: found.after.as_ref().map(raw),
            written: found.written.iter().map(WrittenShape::from).collect(),
            kept: found.kept.iter().map(WrittenShape::from).collect(),
        }
    }
}

impl DifferenceShape {
    /// What it says.
    pub(crate) fn read(self) -> Result<Difference> {
        let fields = |doc: Option<Box<RawValue>>| -> Result<Option<Fields>> {
            doc.map(|doc| parse_fields(doc.get().as_bytes())).transpose()
        };
        Ok(Difference {
            before: fields(self.before)?,
            after: fields(self.after)?,
            written: self.written.into_iter().map(WrittenShape::read).collect::<Result<_>>()?,
            kept: self.kept.into_iter().map(WrittenShape::read).collect::<Result<_>>()?,
            collection: self.collection,
            id: self.id,
        })
    }
}

/// From where is to be replayed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollingBack {
    /// The checkpoint; none is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
}

/// What is to be held back, and to what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Holding {
    /// The checkpoint.
    pub(crate) label: String,
    /// One collection; none is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collection: Option<String>,
}

/// What is to be held back no longer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resuming {
    /// One collection; none is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collection: Option<String>,
}

/// A collection that is held back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HoldShape {
    /// The collection.
    pub(crate) collection: String,
    /// The checkpoint.
    pub(crate) label: String,
    /// Since when, RFC 3339.
    pub(crate) since: String,
    /// Documents that it shows.
    pub(crate) documents: u64,
}

impl From<&Hold> for HoldShape {
    fn from(hold: &Hold) -> HoldShape {
        HoldShape {
            collection: hold.collection.clone(),
            label: hold.label.clone(),
            since: Timestamp::from_millis(hold.since_ms).to_string(),
            documents: hold.documents,
        }
    }
}

/// Collections that are, or were, held back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HoldsShape {
    /// In the order of names.
    pub(crate) holds: Vec<HoldShape>,
}

/// What came of a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReplayShape {
    /// From where it began.
    pub(crate) checkpoint: CheckpointShape,
    /// Up to here the log was applied.
    pub(crate) through: u64,
    /// Transactions that were applied again.
    pub(crate) transactions: u64,
    /// Documents that were made anew and compared.
    pub(crate) documents: u64,
    /// How long it took, in ms.
    pub(crate) ms: u64,
    /// `same`, `mended` or `differs`.
    pub(crate) outcome: String,
    /// Documents that were put right.
    pub(crate) mended: u64,
    /// The collections of which something differs.
    pub(crate) differing: Vec<ReplayedShape>,
}

/// A collection of which something differs after a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReplayedShape {
    /// Its name.
    pub(crate) collection: String,
    /// Documents that differ.
    pub(crate) documents: u64,
    /// Whether counts, digest and vector are the same.
    pub(crate) alike: bool,
}

impl From<&Replay> for ReplayShape {
    fn from(replay: &Replay) -> ReplayShape {
        let (outcome, mended) = match replay.outcome {
            ReplayOutcome::Same => ("same", 0),
            ReplayOutcome::Mended(documents) => ("mended", documents),
            ReplayOutcome::Differs => ("differs", 0),
        };
        let differs = |known: &&ReplayedCollection| known.differing > 0 || !known.is_alike();
        let shape = |known: &ReplayedCollection| ReplayedShape {
            collection: known.name.clone(),
            documents: known.differing,
            alike: known.is_alike(),
        };
        ReplayShape {
            checkpoint: CheckpointShape::from(&replay.checkpoint),
            through: replay.through.0,
            transactions: replay.transactions,
            documents: replay.documents,
            ms: replay.took.as_millis() as u64,
            outcome: outcome.to_owned(),
            mended,
            differing: replay.collections.iter().filter(differs).map(shape).collect(),
        }
    }
}

/// How a comparison or a revert ended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DoneShape {
    /// Documents that differ, or that were changed.
    pub(crate) documents: u64,
    /// Transactions that it took; 0 if nothing was written.
    pub(crate) transactions: u64,
    /// Collections of the checkpoint that were left since, and are not written again.
    pub(crate) left: Vec<String>,
    /// Fields that are left as they are, since others have changed them.
    #[serde(default)]
    pub(crate) kept: u64,
    /// Of an undo: when it had been written what is undone, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undone: Option<String>,
}

impl From<Reverted> for DoneShape {
    fn from(done: Reverted) -> DoneShape {
        let Reverted { documents, transactions, left, kept } = done;
        DoneShape { documents, transactions, left, kept, undone: None }
    }
}

/// A line of an answer of any length. The last one is `done` or `error`; without it, the answer was
/// cut off.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    /// A document differs, or would be written.
    Change(DifferenceShape),
    /// So many documents are done.
    Progress(u64),
    /// What came of a replay; what differs follows.
    Replay(ReplayShape),
    /// All is told.
    Done(DoneShape),
    /// It ended before.
    Error(ErrorShape),
}

#[cfg(test)]
mod tests {
    use littoral::NodeId;

    use super::*;

    #[test]
    fn a_difference_is_the_same_after_its_way_over_a_line() {
        let before = parse_fields(br#"{"n": 18446744073709551615, "x": {"$set": [1]}}"#).unwrap();
        let origin = Origin { node: NodeId::from_bytes([7; 32]), incarnation: 3 };
        let by = |path| WrittenBy {
            path: Path::parse_pointer(path).unwrap(),
            dot: Dot { origin, seq: 5 },
            time: Timestamp::from_millis(1_795_348_800_123),
        };
        let found = Difference {
            collection: "notes".to_owned(),
            id: "n1".to_owned(),
            before: Some(before),
            after: None,
            written: vec![by("")],
            kept: vec![by("/x")],
        };
        let text = serde_json::to_string(&Line::Change(DifferenceShape::from(&found))).unwrap();
        let Line::Change(shape) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(shape.read().unwrap(), found);
        let text = serde_json::to_string(&Line::Progress(256)).unwrap();
        assert_eq!(text, r#"{"progress":256}"#);
    }
}

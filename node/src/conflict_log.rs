//! The log of conflicts as JSON shapes.

use littoral::Result;
use littoral::clock::Timestamp;
use littoral::store::{
    ConflictCause, ConflictEnd, ConflictLogFilter, ConflictLogPage, ConflictNote, LoggedCandidate,
    LoggedConflict, LoggedValue,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A conflict that arose, whether it is over or not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoggedShape {
    /// Its number.
    pub(crate) number: u64,
    /// The collection.
    pub(crate) collection: String,
    /// The document.
    pub(crate) id: String,
    /// The field, as a JSON Pointer.
    pub(crate) path: String,
    /// When it was noted, by the node's clock, RFC 3339.
    pub(crate) arose: String,
    /// What brought it.
    pub(crate) cause: CauseShape,
    /// What stood against each other.
    pub(crate) candidates: Vec<LoggedCandidateShape>,
    /// How many more there were.
    pub(crate) more: u64,
    /// How it ended; none if it is open.
    pub(crate) ended: Option<EndShape>,
    /// What people said of it.
    pub(crate) notes: Vec<NoteShape>,
}

/// What brought or ended a conflict.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CauseShape {
    /// `written`, `joined` (a snapshot), or `unknown`.
    pub(crate) kind: String,
    /// The key of the node that wrote the transaction, or served the snapshot.
    pub(crate) node: Option<String>,
    /// The number of the transaction among its author's.
    pub(crate) seq: Option<u64>,
    /// When, by its author's clock, RFC 3339.
    pub(crate) time: Option<String>,
}

/// A value, or what is kept of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ValueShape {
    /// The value, if all of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Json>,
    /// Else the beginning of its JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) beginning: Option<String>,
    /// How many bytes its JSON has.
    pub(crate) bytes: u64,
}

/// One side of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoggedCandidateShape {
    /// What it would have shown.
    #[serde(flatten)]
    pub(crate) value: ValueShape,
    /// The key of the node that wrote it.
    pub(crate) author: String,
    /// When, by its author's clock, RFC 3339.
    pub(crate) time: String,
}

/// How it ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EndShape {
    /// When that was noted, by the node's clock, RFC 3339.
    pub(crate) time: String,
    /// `settled`, `removed`, `hidden` or `left`.
    pub(crate) how: String,
    /// What did it.
    pub(crate) cause: CauseShape,
    /// What was shown there then.
    pub(crate) shown: Option<ValueShape>,
}

/// What somebody said of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoteShape {
    /// Who, as given.
    pub(crate) author: String,
    /// When, by the node's clock, RFC 3339.
    pub(crate) time: String,
    /// What.
    pub(crate) text: String,
}

/// A part of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogPageShape {
    /// In the order in which they arose.
    pub(crate) conflicts: Vec<LoggedShape>,
    /// What to give as `after` for the next ones; null after the last.
    pub(crate) next: Option<u64>,
    /// Those with the numbers up to this are gone.
    pub(crate) gone: u64,
}

/// Something to be said of a conflict.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Noting {
    /// By whom.
    #[serde(default)]
    pub(crate) author: String,
    /// What.
    pub(crate) text: String,
}

/// Which part of the log somebody wants.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfLog {
    /// After this number.
    #[serde(default)]
    pub(crate) after: u64,
    /// Of this collection.
    pub(crate) collection: Option<String>,
    /// And of this document.
    pub(crate) id: Option<String>,
    /// Only those that are open, or only those that are over.
    pub(crate) open: Option<bool>,
    /// At most so many.
    pub(crate) limit: Option<usize>,
}

/// Conflicts of a page, if nothing is said.
const PAGE: usize = 100;

impl OfLog {
    /// That part of a store's log.
    pub(crate) fn read(&self, store: &littoral::Store) -> Result<LogPageShape> {
        let wanted = ConflictLogFilter {
            collection: self.collection.clone(),
            id: self.id.clone(),
            open: self.open,
        };
        let limit = self.limit.unwrap_or(PAGE);
        let ConflictLogPage { entries, next, gone } =
            store.conflict_log(self.after, &wanted, limit)?;
        let conflicts = entries.iter().map(LoggedShape::from).collect();
        Ok(LogPageShape { conflicts, next, gone })
    }
}

fn moment(ms: u64) -> String {
    Timestamp::from_millis(ms).to_string()
}

impl From<&LoggedConflict> for LoggedShape {
    fn from(entry: &LoggedConflict) -> LoggedShape {
        LoggedShape {
            number: entry.number,
            collection: entry.collection.clone(),
            id: entry.id.clone(),
            path: entry.path.to_string(),
            arose: moment(entry.arose_ms),
            cause: CauseShape::from(&entry.by),
            candidates: entry.candidates.iter().map(LoggedCandidateShape::from).collect(),
            more: entry.more,
            ended: entry.ended.as_ref().map(EndShape::from),
            notes: entry.notes.iter().map(NoteShape::from).collect(),
        }
    }
}

impl From<&ConflictCause> for CauseShape {
    fn from(cause: &ConflictCause) -> CauseShape {
        let (kind, seq, time) = match cause {
            ConflictCause::Unknown => ("unknown", None, None),
            ConflictCause::Written(dot, time) => ("written", Some(dot.seq), Some(time.to_string())),
            ConflictCause::Joined(_) => ("joined", None, None),
        };
        let node = cause.node().map(|node| node.to_string());
        CauseShape { kind: kind.to_owned(), node, seq, time }
    }
}

impl From<&LoggedValue> for ValueShape {
    fn from(value: &LoggedValue) -> ValueShape {
        let whole = (!value.is_cut()).then(|| serde_json::from_str(&value.json).ok()).flatten();
        let beginning = whole.is_none().then(|| value.json.clone());
        ValueShape { value: whole, beginning, bytes: value.bytes }
    }
}

impl From<&LoggedCandidate> for LoggedCandidateShape {
    fn from(side: &LoggedCandidate) -> LoggedCandidateShape {
        let (author, time) = (side.dot.origin.node.to_string(), side.time.to_string());
        LoggedCandidateShape { value: ValueShape::from(&side.value), author, time }
    }
}

impl From<&ConflictEnd> for EndShape {
    fn from(end: &ConflictEnd) -> EndShape {
        EndShape {
            time: moment(end.time_ms),
            how: end.how.word().to_owned(),
            cause: CauseShape::from(&end.by),
            shown: end.value.as_ref().map(ValueShape::from),
        }
    }
}

impl From<&ConflictNote> for NoteShape {
    fn from(note: &ConflictNote) -> NoteShape {
        let (author, text) = (note.author.clone(), note.text.clone());
        NoteShape { author, time: moment(note.time_ms), text }
    }
}

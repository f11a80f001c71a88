//! The tape: checkpoints, and what was before them.
//!
//! A checkpoint is one row: a label, the time, and where the log stood. Making one copies nothing,
//! however large the store. While there is one, whoever changes a row of the state that the past is
//! read from keeps what the row was ([`former`]), in the same redb transaction, at the first change
//! after the newest checkpoint. So the past at a checkpoint is, for each row, the one kept under
//! the lowest tag from its own on, else today's ([`past`]); what differs between two moments is
//! found among kept rows alone ([`diff`]). Documents, runs of large ones, vectors, heads, branches
//! and names of collections are kept that way, so digests, counts and vectors of a checkpoint need
//! no row of their own. Identity, roster, peers, budgets and the log are outside the tape.
//!
//! # Invariants
//! 1. A row is kept in the transaction that changes it first: whoever sees the change sees what was
//!    before it. All changes of documents go through [`Writer`](super::documents::Writer), all
//!    others through [`apply`](super::apply) and [`leave`](super::leave).
//! 2. Tags ascend and are never given twice. A row kept under a tag says what was at each
//!    checkpoint from its tag downwards to the row kept before it.
//! 3. Deleting a checkpoint takes its own row away, at once and durably; nothing that stays reads
//!    differently by that. Kept rows that no checkpoint needs any more go afterwards, in bounded
//!    steps; what a crash leaves of them goes later ([`sweep`]).
//! 4. A collection that begins after the newest checkpoint keeps nothing: at that checkpoint it was
//!    not there.
//!
//! [`replay`] goes back to a checkpoint and applies the log again, in a state beside the state
//! ([`shadow`]); [`revert`] goes back by new transactions.
//!
//! What a checkpoint holds of the log is a pin ([`pins`](super::pins)): it counts against the
//! budget and may expire; the past does not need the log.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | checkpoints | tag 8 | `01`, label as text, wall time in ms 8, position 8, collection numbers up to here 4, `00`, or `01` if it was made automatically |
//! | former | see [`former`] | `00` absent, or `01` and the row |

mod automatic;
mod blamed;
mod diff;
mod former;
mod hold;
mod past;
mod replay;
mod revert;
mod shadow;
mod sweep;
mod told;
mod undo;
mod without;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use redb::{ReadTransaction, ReadableTable};

use super::commit::lock;
use super::feed::BEGINNING;
use super::journal::{EventKind, NewEvent};
use super::log::{LogReader, LogRecord};
use super::pins::LogPin;
use super::tables::{self, db};
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Position;
use crate::limits::{MAX_CHECKPOINT_LABEL_BYTES, MAX_CHECKPOINTS};
use crate::wire::{Reader, put_bytes};

pub use automatic::AutomaticCheckpoints;
pub use diff::{Diff, Difference, FieldChange};
pub(super) use former::{Keeper, Part, read_back_key, sample_key};
pub use hold::Hold;
pub(super) use hold::{
    HeldRow, HeldScan, HeldView, Holds, Shown, check_holds, forget, load_holds, sample_held,
};
pub(super) use past::check;
pub use past::{Past, PastScan};
pub use replay::{
    CollectionSum, Replay, ReplayDifferences, ReplayOptions, ReplayOutcome, ReplayedCollection,
    ReplayedDiff,
};
pub use revert::{RevertPlan, RevertScope, Reverted};
pub(super) use sweep::Sweeping;
pub use undo::{UndoScope, Undone};
pub use without::WrittenBy;

const VERSION: u8 = 1;

/// A moment of the store that can be gone back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its name.
    pub label: String,
    /// When it was made, by this node's clock, in milliseconds since 1970.
    pub made_ms: u64,
    /// Where the log and the change feed stood.
    pub position: Position,
    /// Whether it was made by the store itself, and goes by itself when newer ones come.
    pub automatic: bool,
    pub(super) tag: u64,
    /// Collections with this number or a higher one began later.
    pub(super) below: u32,
}

/// What a checkpoint costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointCost {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Rows that were kept as they were between it and the next one.
    pub rows: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Bytes of kept rows that would go if this checkpoint alone were deleted.
    pub freed_bytes: u64,
    /// Whether the log still holds all that came after it.
    pub log_held: bool,
}

/// Reads the log between two positions, so many bytes at a time, until it is told to stop.
fn each_batch(
    log: &LogReader,
    (from, to): (Position, Position),
    limit_bytes: usize,
    mut each: impl FnMut(Vec<LogRecord>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut at = if from == BEGINNING { Position::default() } else { from };
    while at < to {
        let mut records = log.read(at, limit_bytes)?;
        records.retain(|record| record.end <= to);
        let Some(last) = records.last() else { break };
        at = last.end;
        if each(records)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Under which tag rows are kept at present, and of which collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) tag: u64,
    pub(super) below: u32,
}

impl Checkpoint {
    pub(super) fn recording(&self) -> Recording {
        Recording { tag: self.tag, below: self.below }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_bytes(&mut out, self.label.as_bytes());
        out.extend_from_slice(&self.made_ms.to_be_bytes());
        out.extend_from_slice(&self.position.0.to_be_bytes());
        out.extend_from_slice(&self.below.to_be_bytes());
        out.push(u8::from(self.automatic));
        out
    }

    pub(super) fn decode(tag: u64, bytes: &[u8]) -> Result<Checkpoint> {
        let read = || -> Result<Checkpoint> {
            let mut reader = Reader::new(bytes, "checkpoint");
            if reader.u8()? != VERSION {
                return Err(reader.bad("it has another version"));
            }
            let label = reader.str()?.to_owned();
            let made_ms = u64::from_be_bytes(reader.array()?);
            let position = Position(u64::from_be_bytes(reader.array()?));
            let below = u32::from_be_bytes(reader.array()?);
            let automatic = match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(reader.bad("it is neither automatic nor not")),
            };
            reader.end()?;
            Ok(Checkpoint { label, made_ms, position, automatic, tag, below })
        };
        read().map_err(|err| Error::corrupt(err.message()))
    }
}

/// A checkpoint, for fuzzing and golden bytes.
pub(super) fn sample() -> Checkpoint {
    Checkpoint {
        label: "before the import".to_owned(),
        made_ms: 1_795_348_800_000,
        position: Position(400),
        automatic: true,
        tag: 3,
        below: 2,
    }
}

/// All checkpoints, in the order in which they were made.
pub(super) fn load(read: &ReadTransaction) -> Result<Vec<Checkpoint>> {
    let table = read.open_table(tables::CHECKPOINTS).map_err(db)?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(db)? {
        let (tag, row) = entry.map_err(db)?;
        found.push(Checkpoint::decode(tables::u64_of(tag.value())?, row.value())?);
    }
    Ok(found)
}

/// Checks a label: 1 to 128 bytes without control characters.
fn check_label(label: &str) -> Result<()> {
    let len = label.len();
    match len {
        0 => Err(Error::invalid("a checkpoint needs a label")),
        _ if len > MAX_CHECKPOINT_LABEL_BYTES => Err(Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "the label of a checkpoint has {len} bytes; {MAX_CHECKPOINT_LABEL_BYTES} are allowed"
            ),
        )),
        _ if label.chars().any(char::is_control) => {
            Err(Error::invalid("the label of a checkpoint must not have control characters"))
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Makes a checkpoint: durable when this returns, and made in one moment, whatever the size of
    /// the store. From then on what is changed is kept as it was, until the checkpoint is deleted;
    /// and the log after it is held, within the limits of a [`LogPin`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// notes.set("n1", "title", "Tide table")?;
    /// store.checkpoint("before the import")?;
    /// notes.set("n1", "title", "wrong")?;
    /// let then = notes.get_at("before the import", "n1")?.unwrap();
    /// assert_eq!(then["title"], littoral::Field::from("Tide table"));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`InvalidInput`](ErrorKind::InvalidInput) if there is one with this label;
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if there are 256; I/O.
    pub fn checkpoint(&self, label: &str) -> Result<Checkpoint> {
        self.inner.checkpoint(label, false)
    }

    /// The checkpoints, in the order in which they were made.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.inner.read_heads().checkpoints.clone()
    }

    /// What each checkpoint costs. Reads all rows that are kept.
    pub fn checkpoint_costs(&self) -> Result<Vec<CheckpointCost>> {
        self.inner.checkpoint_costs()
    }

    /// Deletes a checkpoint. It is gone at once; this returns when the rows that it alone needed
    /// are, too. If that is cut short, the rest goes with what is written later.
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if there is none with this label; I/O.
    pub fn delete_checkpoint(&self, label: &str) -> Result<()> {
        self.inner.delete_checkpoint(label)?;
        while self.inner.sweep_step()? {}
        Ok(())
    }
}

impl Inner {
    fn checkpoint(&self, label: &str, automatic: bool) -> Result<Checkpoint> {
        check_label(label)?;
        let made = self.commit_beside_heads_with(
            |txn| {
                // The committer is held: nothing is applied meanwhile.
                let (position, labels) = {
                    let heads = self.read_heads();
                    let labels: Vec<_> =
                        heads.checkpoints.iter().map(|known| known.label.clone()).collect();
                    (heads.applied.max(BEGINNING), labels)
                };
                if labels.iter().any(|known| known == label) {
                    return Err(Error::invalid(
                        "there is a checkpoint with this label; delete it, or choose another label",
                    ));
                }
                if labels.len() >= MAX_CHECKPOINTS {
                    return Err(Error::limit(format!(
                        "there are {MAX_CHECKPOINTS} checkpoints; delete one"
                    )));
                }
                let mut meta = txn.open_table(tables::META).map_err(db)?;
                let tag = match tables::get(&meta, tables::META_NEXT_CHECKPOINT)? {
                    Some(bytes) => tables::u64_of(&bytes)?,
                    None => 1,
                };
                let below = match tables::get(&meta, tables::META_NEXT_COLLECTION)? {
                    Some(bytes) => tables::u32_of(&bytes)?,
                    None => 0,
                };
                let next = (tag + 1).to_be_bytes();
                tables::set(&mut meta, tables::META_NEXT_CHECKPOINT, &next)?;
                let (label, made_ms) = (label.to_owned(), self.wall.now_ms());
                let made = Checkpoint { label, made_ms, position, automatic, tag, below };
                let mut table = txn.open_table(tables::CHECKPOINTS).map_err(db)?;
                tables::set(&mut table, &tag.to_be_bytes(), &made.encode())?;
                self.note_in(txn, NewEvent::new(EventKind::CheckpointMade).saying(&made.label))?;
                Ok(made)
            },
            |heads, made| heads.checkpoints.push(made.clone()),
        )?;
        self.pin_checkpoints();
        Ok(made)
    }

    /// The checkpoint with this label.
    fn find_checkpoint(&self, label: &str) -> Result<Checkpoint> {
        let heads = self.read_heads();
        find(&heads.checkpoints, label).cloned()
    }

    fn delete_checkpoint(&self, label: &str) -> Result<()> {
        self.commit_beside_heads_with(
            |txn| {
                let tag = self.find_checkpoint(label)?.tag;
                if self.read_heads().holds.values().any(|held| held.tag == tag) {
                    return Err(Error::invalid(
                        "a collection is held back to this checkpoint: resume it first",
                    ));
                }
                let mut table = txn.open_table(tables::CHECKPOINTS).map_err(db)?;
                tables::unset(&mut table, &tag.to_be_bytes())?;
                let mut meta = txn.open_table(tables::META).map_err(db)?;
                tables::set(&mut meta, tables::META_SWEPT, &[])?;
                self.note_in(txn, NewEvent::new(EventKind::CheckpointDeleted).saying(label))?;
                Ok(tag)
            },
            |heads, tag| heads.checkpoints.retain(|known| known.tag != *tag),
        )?;
        self.sweeping.call_for();
        self.pin_checkpoints();
        Ok(())
    }

    /// Holds the log from each checkpoint on, as far as it is still there, and no longer from those
    /// that are gone.
    pub(super) fn pin_checkpoints(&self) {
        let checkpoints = self.read_heads().checkpoints.clone();
        let mut pins = lock(&self.tape_pins);
        let gone: Vec<LogPin> = pins
            .extract_if(.., |tag, _| !checkpoints.iter().any(|known| known.tag == *tag))
            .map(|(_, pin)| pin)
            .collect();
        for checkpoint in checkpoints {
            if pins.contains_key(&checkpoint.tag) {
                continue;
            }
            let why = format!("checkpoint '{}'", checkpoint.label);
            // The log may have been pruned past it, while the store was closed or under a pin
            // that had expired: then there is nothing left to hold.
            if let Ok(pin) = self.pin_log("all collections", checkpoint.position, &why) {
                pins.insert(checkpoint.tag, pin);
            }
        }
        drop(pins);
        drop(gone);
    }
}

/// The checkpoint with this label among those.
fn find<'a>(checkpoints: &'a [Checkpoint], label: &str) -> Result<&'a Checkpoint> {
    checkpoints.iter().find(|known| known.label == label).ok_or_else(|| {
        let known: Vec<_> = checkpoints.iter().map(|known| known.label.as_str()).collect();
        let known = match known.is_empty() {
            true => "there are none".to_owned(),
            false => format!("there are: {}", known.join(", ")),
        };
        Error::new(ErrorKind::NotFound, format!("there is no checkpoint with this label; {known}"))
    })
}

/// The pins of checkpoints, by their tags.
pub(super) type TapePins = BTreeMap<u64, LogPin>;

//! Checkpoints that the store makes by itself, and how long it keeps them.
//!
//! One is made before what changes much at once and is hard to take back: a snapshot that is
//! joined, a bundle, an import, a revert; and by schedule, if somebody keeps one. What keeping them
//! costs is disk, so a store makes none until it was told how many to keep
//! ([`Store::set_automatic_checkpoints`]); that is kept in the store. Those made by hand are never
//! touched by this, and what was to be done is done also where no checkpoint could be made for want
//! of room: then that is said in the log of the process.

use super::Checkpoint;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{JOIN_CHECKPOINT_GAP_MS, MAX_CHECKPOINTS};
use crate::store::feed::BEGINNING;
use crate::store::tables::{self, db};
use crate::store::{Inner, Store};

/// How many checkpoints that the store makes by itself are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutomaticCheckpoints {
    /// The newest so many; 0: none are made.
    pub keep: u32,
    /// Not those that were made longer ago than this, in milliseconds.
    pub age_ms: u64,
}

impl AutomaticCheckpoints {
    /// None are made.
    pub const NONE: AutomaticCheckpoints = AutomaticCheckpoints { keep: 0, age_ms: 0 };
}

impl Default for AutomaticCheckpoints {
    /// The newest 8, for 7 days.
    fn default() -> AutomaticCheckpoints {
        AutomaticCheckpoints { keep: 8, age_ms: 7 * 24 * 3600 * 1000 }
    }
}

impl AutomaticCheckpoints {
    fn encode(&self) -> Vec<u8> {
        [&self.keep.to_be_bytes()[..], &self.age_ms.to_be_bytes()].concat()
    }

    /// Reads the rule as it is kept.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Result<AutomaticCheckpoints> {
        let (keep, age_ms) = bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| Error::corrupt("the rule of automatic checkpoints is malformed"))?;
        let (keep, age_ms) = (u32::from_be_bytes(*keep), tables::u64_of(age_ms)?);
        Ok(AutomaticCheckpoints { keep, age_ms })
    }
}

impl Store {
    /// What is kept of checkpoints that the store makes by itself; `None` if that was never said,
    /// and then it makes none.
    pub fn automatic_checkpoints(&self) -> Result<Option<AutomaticCheckpoints>> {
        self.inner.automatic_rule()
    }

    /// Says how many checkpoints the store is to make by itself and keep, from now on and also when
    /// it is opened again. Those beyond that go at once, but never those made by hand.
    ///
    /// Errors: [`LimitExceeded`](ErrorKind::LimitExceeded) if more are to be kept than there may be
    /// checkpoints; I/O.
    pub fn set_automatic_checkpoints(&self, rule: AutomaticCheckpoints) -> Result<()> {
        if rule.keep as usize > MAX_CHECKPOINTS {
            return Err(Error::limit(format!(
                "{} automatic checkpoints are to be kept; there may be {MAX_CHECKPOINTS}",
                rule.keep
            )));
        }
        self.inner.commit_beside(|txn| {
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            tables::set(&mut meta, tables::META_AUTOMATIC, &rule.encode())
        })?;
        self.inner.retire(rule, 0, None)
    }

    /// Makes a checkpoint as the store does by itself, called `auto: ` with `why` and the time, and
    /// lets go of those that are too many or too old by then. None is made (`None`) if none are to
    /// be kept, if the store holds nothing, if nothing has changed since the newest checkpoint, or
    /// if there is no room for one more.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// store.set_automatic_checkpoints(Default::default())?;
    /// store.collection("notes")?.set("n1", "title", "Tide table")?;
    /// let made = store.automatic_checkpoint("before the migration")?.unwrap();
    /// assert!(made.label.starts_with("auto: before the migration 20"));
    /// assert_eq!(store.automatic_checkpoint("again")?, None);
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: those of [`Store::checkpoint`] about the label; I/O.
    pub fn automatic_checkpoint(&self, why: &str) -> Result<Option<Checkpoint>> {
        self.inner.checkpoint_before(why, None)
    }
}

impl Inner {
    fn automatic_rule(&self) -> Result<Option<AutomaticCheckpoints>> {
        let read = redb::ReadableDatabase::begin_read(&*self.database()?).map_err(db)?;
        let rule = tables::read(&read, tables::META, tables::META_AUTOMATIC)?;
        rule.map(|bytes| AutomaticCheckpoints::decode(&bytes)).transpose()
    }

    /// As [`Store::automatic_checkpoint`]; `spare` stays, however old it is.
    pub(super) fn checkpoint_before(
        &self,
        why: &str,
        spare: Option<&str>,
    ) -> Result<Option<Checkpoint>> {
        let Some(rule) = self.automatic_rule()?.filter(|rule| rule.keep > 0) else {
            return Ok(None);
        };
        let (labels, is_idle) = {
            let heads = self.read_heads();
            let newest = heads.checkpoints.last().map(|known| known.position);
            let same = newest == Some(heads.applied.max(BEGINNING));
            let labels: Vec<String> =
                heads.checkpoints.iter().map(|known| known.label.clone()).collect();
            (labels, same || heads.iter().all(|head| head.vector.is_empty()))
        };
        if is_idle {
            self.retire(rule, 0, spare)?;
            return Ok(None);
        }
        self.retire(rule, 1, spare)?;
        let now = Timestamp::from_millis(self.wall.now_ms());
        let plain = format!("auto: {why} {now}");
        let numbered = (2..).map(|n| format!("{plain} ({n})"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let label = names.find(|name| !labels.contains(name)).expect("there is no last number");
        match self.checkpoint(&label, true) {
            Err(_) if self.read_heads().checkpoints.len() >= MAX_CHECKPOINTS => {
                tracing::warn!(why, "no automatic checkpoint is made: there are too many");
                Ok(None)
            }
            made => made.map(Some),
        }
    }

    /// Before a snapshot is joined to a collection that holds something. Several that come one
    /// after the other have one checkpoint: else those before would soon be pushed out.
    pub(in crate::store) fn checkpoint_before_join(&self, collection: &str) -> Result<()> {
        let now = self.wall.now_ms();
        let is_needed = {
            let heads = self.read_heads();
            let held = heads.named(collection).is_some_and(|head| head.row.documents > 0);
            let is_recent = |known: &Checkpoint| {
                known.automatic && now.saturating_sub(known.made_ms) < JOIN_CHECKPOINT_GAP_MS
            };
            held && !heads.checkpoints.iter().any(is_recent)
        };
        match is_needed {
            true => self.checkpoint_before("before a snapshot", None).map(drop),
            false => Ok(()),
        }
    }

    /// Deletes automatic checkpoints that are too old, or too many with so many to come. What was
    /// kept for them goes with what is written later.
    fn retire(
        &self,
        rule: AutomaticCheckpoints,
        to_come: usize,
        spare: Option<&str>,
    ) -> Result<()> {
        let now = self.wall.now_ms();
        let automatic: Vec<Checkpoint> = {
            let heads = self.read_heads();
            let is_held =
                |known: &Checkpoint| heads.holds.values().any(|held| held.tag == known.tag);
            let goes = |known: &&Checkpoint| known.automatic && !is_held(known);
            heads.checkpoints.iter().filter(goes).cloned().collect()
        };
        let room = (rule.keep as usize).saturating_sub(to_come);
        let surplus = automatic.len().saturating_sub(room);
        for (at, known) in automatic.iter().enumerate() {
            let is_old = now.saturating_sub(known.made_ms) > rule.age_ms;
            if (at < surplus || is_old) && spare != Some(known.label.as_str()) {
                match self.delete_checkpoint(&known.label) {
                    Err(err) if err.kind() == ErrorKind::NotFound => {}
                    deleted => deleted?,
                }
            }
        }
        Ok(())
    }
}

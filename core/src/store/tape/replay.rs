//! Replaying: back to a checkpoint, and the tape again.
//!
//! What the state says now must be what the checkpoint and the log after it give. So the documents
//! that changed are made anew from both in a [`shadow`], up to a moment at which the
//! replay begins; reads, writes and sync go on meanwhile, and nobody waits. Then both are compared:
//! of each collection the vector, the counts and the digest of its cells, and of each document that
//! is in the shadow its bytes.
//!
//! - All of it is the same: there is nothing to write.
//! - What is said of the collections is the same, and documents differ: then rows were damaged
//!   unnoticed, here or among what was kept. If the collection's own digest and counts are those
//!   of its documents *with the ones that were made anew in their place*, these are right, and
//!   take their place in one durable commit. All documents of such a collection are read for that.
//! - Anything else: the difference is told, and the store stays as it was.
//!
//! # Invariants
//! 1. Nothing is written but documents that the digest of their collection proves, all of them in
//!    one commit of redb: a crash leaves the old rows or the new ones. Vector, counts, digest, log
//!    and positions never change, so peers notice nothing.
//! 2. A document that was written after the moment is not touched: then nothing is
//!    ([`Aborted`](ErrorKind::Aborted)), and replaying again finds what is there by then.
//! 3. What was kept of a document for checkpoints stays. If nothing was kept since one, the
//!    document was the same then: it, too, shows from then on what is right.
//! 4. Replay never crosses what changed the state without records of transactions: a barrier (a
//!    snapshot was joined, a collection left) or a fork that was found.
//!
//! Not compared is what says how far things went here, and what peers need not agree on: what own
//! transactions have named of others, what was handed out, and under which name this node writes.
//!
//! It takes memory for 64 MiB of documents and log, beyond that disk in a scratch directory, about
//! as much as the documents that changed; and reads the log after the checkpoint twice.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{OwnedRange, ReadOnlyTable, ReadableDatabase, ReadableTable};

use super::diff::Difference;
use super::past::{Moment, NOW};
use super::shadow::{self, DIFFERING, Shadow, settled_in};
use super::{Checkpoint, Part, each_batch, find};
use crate::crdt::layout::size_of;
use crate::crdt::{Flags, LtHash, Row, places, view};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Position, Vector};
use crate::limits::{COMMIT_BATCH_BYTES, REPLAY_MEMORY_BYTES, SWEEP_ROWS};
use crate::store::Store;
use crate::store::documents::{self, runs_prefix};
use crate::store::heads::{CollectionHead, Heads};
use crate::store::index;
use crate::store::journal::{EventKind, NewEvent, conflicts};
use crate::store::log::RecordKind;
use crate::store::pins::LogPin;
use crate::store::tables::{self, Tables, db, set, unset};

/// How to replay.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Up to how many bytes of documents and log are held in memory: 64 MiB if nothing is said.
    pub memory_bytes: u64,
    /// Where what does not fit into memory goes for the while; the system's directory for such
    /// things, if none is named.
    pub scratch: Option<PathBuf>,
}

impl Default for ReplayOptions {
    fn default() -> ReplayOptions {
        ReplayOptions { memory_bytes: REPLAY_MEMORY_BYTES, scratch: None }
    }
}

/// What came of replaying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The state is what checkpoint and log give, byte by byte.
    Same,
    /// The collections are what checkpoint and log give; so many documents were not what the
    /// digests of their collections say, and are now.
    Mended(u64),
    /// The state is not what checkpoint and log give. It was left as it is.
    Differs,
}

/// A collection after a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedCollection {
    /// Its name.
    pub name: String,
    /// What the state says of it; `None` if it is not there.
    pub state: Option<CollectionSum>,
    /// What checkpoint and log give; `None` if they do not give it.
    pub replayed: Option<CollectionSum>,
    /// Documents that differ.
    pub differing: u64,
}

/// What is kept of a collection as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionSum {
    /// Documents shown.
    pub documents: u64,
    /// Documents in conflict.
    pub conflicts: u64,
    /// Transactions applied.
    pub transactions: u64,
    /// The digest of the cells.
    pub cells: Hash,
    /// What is held of each origin.
    pub vector: Vector,
}

/// A replay that has come to its end.
pub struct Replay {
    /// From where it began.
    pub checkpoint: Checkpoint,
    /// Up to here the log was applied.
    pub through: Position,
    /// Transactions that were applied again.
    pub transactions: u64,
    /// Documents that were made anew and compared.
    pub documents: u64,
    /// How long it took.
    pub took: Duration,
    /// The collections, in the order of their names.
    pub collections: Vec<ReplayedCollection>,
    /// What came of it.
    pub outcome: ReplayOutcome,
    compared: Compared,
}

/// A state and its shadow. Fields are dropped in this order.
struct Compared {
    now: Arc<Moment>,
    then: Arc<Moment>,
    /// The documents in the shadow.
    listed: ReadOnlyTable<&'static [u8], &'static [u8]>,
    shadow: Shadow,
    numbers: BTreeMap<String, Numbers>,
    /// Collections with this number or a higher one began after the checkpoint.
    below: u32,
    store: Store,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replay({:?}, {:?})", self.checkpoint.label, self.outcome)
    }
}

impl Store {
    /// Goes back to a checkpoint and applies the log after it again, beside the state, and compares:
    /// see [`ReplayOutcome`]. The store goes on being used meanwhile; compared is the moment at
    /// which this begins.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use littoral::store::ReplayOutcome;
    /// let store = littoral::Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// store.checkpoint("before")?;
    /// notes.set("n1", "title", "Tide table")?;
    /// let replay = store.rollback_replay("before", &Default::default())?;
    /// assert_eq!((replay.outcome, replay.transactions), (ReplayOutcome::Same, 1));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if there is no such checkpoint, or the log no
    /// longer reaches back to it; [`InvalidInput`](ErrorKind::InvalidInput) if something stands
    /// between that replay does not cross: it names the newest checkpoint that can be replayed;
    /// [`Aborted`](ErrorKind::Aborted) if a damaged document was written meanwhile;
    /// [`Corrupt`](ErrorKind::Corrupt) if what was kept, or the log, can't be read; I/O.
    pub fn rollback_replay(&self, label: &str, how: &ReplayOptions) -> Result<Replay> {
        let begun = Instant::now();
        let (mut replay, heads) = self.replay(label, how)?;
        replay.outcome = replay.settle(&heads)?;
        replay.took = begun.elapsed();
        let mended = match replay.outcome {
            ReplayOutcome::Mended(documents) => documents,
            _ => 0,
        };
        let event = NewEvent::new(EventKind::Replayed).saying(label).counting(mended);
        self.inner.note_done(event);
        Ok(replay)
    }

    /// A replay that was compared, and nothing followed from it; and what was known of the
    /// collections.
    fn replay(&self, label: &str, how: &ReplayOptions) -> Result<(Replay, Heads)> {
        // Records are read once they are durable.
        self.flush()?;
        let (checkpoints, read, layout, hashes, pin) = {
            let heads = self.inner.read_heads();
            let from = find(&heads.checkpoints, label)?.position;
            let pin = self.inner.pin_log("all collections", from, "replay")?;
            let read = self.inner.database()?.begin_read().map_err(db)?;
            (heads.checkpoints.clone(), read, heads.layout, heads.hashes, pin)
        };
        let mut heads = Heads::load_from(&read, self.inner.node)?;
        (heads.layout, heads.hashes) = (layout, hashes);
        let now = Arc::new(Moment::open(&read, heads.origins.clone())?);
        let checkpoint = find(&checkpoints, label)?.clone();
        if self.inner.reader.durable() < heads.applied {
            self.flush()?;
        }
        let transactions = self.passable(&checkpoint, &checkpoints, &heads, &now)?;
        let of = shadow::Origin {
            checkpoint: &checkpoint,
            moment: &now,
            read: &read,
            heads: &heads,
            log: &self.inner.reader,
            node: self.inner.node,
            network: self.inner.network,
        };
        let made = Shadow::make(&of, how);
        let shadow = made.map_err(|err| still_held(&pin, err))?;
        drop(pin);
        let (listed, then) = shadow.moment()?;
        let mut numbers: BTreeMap<String, Numbers> = BTreeMap::new();
        let of = |head: &CollectionHead| (head.name.clone(), head.number);
        for (name, number) in heads.iter().map(of) {
            numbers.entry(name).or_default().now = Some(number);
        }
        for (name, number) in shadow.heads.iter().map(of) {
            numbers.entry(name).or_default().then = Some(number);
        }
        let (below, store) = (checkpoint.below, self.clone());
        let compared = Compared { now, then, listed, shadow, numbers, below, store };
        let (collections, documents) = compared.compare(&heads)?;
        let replay = Replay {
            through: heads.applied,
            checkpoint,
            transactions,
            documents,
            took: Duration::default(),
            collections,
            outcome: ReplayOutcome::Same,
            compared,
        };
        Ok((replay, heads))
    }

    /// Checks that nothing stands between a checkpoint and now that replay does not cross; gives how
    /// many transactions do.
    fn passable(
        &self,
        from: &Checkpoint,
        checkpoints: &[Checkpoint],
        heads: &Heads,
        now: &Moment,
    ) -> Result<u64> {
        let (mut transactions, mut barrier) = (0, None);
        let all = (from.position, heads.applied);
        each_batch(&self.inner.reader, all, COMMIT_BATCH_BYTES, |records| {
            for record in records {
                transactions += u64::from(record.kind == RecordKind::Txn);
                if record.kind == RecordKind::Barrier {
                    barrier = Some((record.end, record.collection.clone()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let fits = |known: &Checkpoint| -> Result<bool> {
            let crossed = barrier.as_ref().is_some_and(|(end, _)| known.position < *end);
            Ok(!crossed && forked_since(known, heads, now)?.is_none())
        };
        if fits(from)? {
            return Ok(transactions);
        }
        let mut newest = None;
        for known in checkpoints.iter().rev() {
            if newest.is_none() && fits(known)? {
                newest = Some(known.label.as_str());
            }
        }
        let why = match (&barrier, forked_since(from, heads, now)?) {
            (Some((end, name)), _) if from.position < *end => format!(
                "after the checkpoint a snapshot of collection '{name}' was joined, or it was left"
            ),
            (_, name) => format!(
                "after the checkpoint a history in collection '{}' was found to have forked",
                name.unwrap_or_default()
            ),
        };
        let instead = match newest {
            Some(label) => format!("the newest checkpoint that can be replayed is '{label}'"),
            None => "no checkpoint was made since that".to_owned(),
        };
        Err(Error::invalid(format!("{why}, and replay does not cross that; {instead}")))
    }
}

/// A collection that was there at a checkpoint and in which a fork was found since.
fn forked_since(known: &Checkpoint, heads: &Heads, now: &Moment) -> Result<Option<String>> {
    for head in heads.iter().filter(|head| !head.branches.is_empty()) {
        let key = head.number.to_be_bytes();
        let then = match head.number < known.below {
            true => now.row(known.tag, Part::Branches, &key)?,
            false => None,
        };
        let then = then.map(|row| crate::txn::Branches::decode(&row, None)).transpose();
        let then = then.map_err(|err| Error::corrupt(err.message()))?.unwrap_or_default();
        if then.len() != head.branches.len() {
            return Ok(Some(head.name.clone()));
        }
    }
    Ok(None)
}

/// What failed, or that the log went meanwhile.
fn still_held(pin: &LogPin, err: Error) -> Error {
    match pin.is_held() {
        true => err,
        false => Error::new(
            ErrorKind::Aborted,
            "so much was written meanwhile that the log was pruned while it was read; replay again \
             when less is written, or from a newer checkpoint",
        ),
    }
}

fn sum(head: &CollectionHead) -> CollectionSum {
    CollectionSum {
        documents: head.row.documents,
        conflicts: head.row.conflicts,
        transactions: head.row.transactions,
        cells: head.row.cells.digest(),
        vector: head.to_vector(),
    }
}

impl ReplayedCollection {
    /// Whether what is said of it as a whole is the same.
    pub fn is_alike(&self) -> bool {
        self.state == self.replayed
    }
}

impl Replay {
    /// The documents that differ, or differed before they were mended: what the state shows, and
    /// what checkpoint and log give. In the order of collections and ids. That what the state has of
    /// one can't be read is an error in its place; the next one follows.
    pub fn differences(&self) -> Result<ReplayDifferences<'_>> {
        Ok(ReplayDifferences { compared: &self.compared, rows: self.compared.differing()? })
    }

    /// The same, without the figures.
    pub fn into_differences(self) -> Result<ReplayedDiff> {
        let Replay { compared, .. } = self;
        Ok(ReplayedDiff { rows: compared.differing()?, compared })
    }

    /// What follows from the comparison.
    fn settle(&self, heads: &Heads) -> Result<ReplayOutcome> {
        if !self.collections.iter().all(ReplayedCollection::is_alike) {
            return Ok(ReplayOutcome::Differs);
        }
        let mut differing = self.collections.iter().filter(|known| known.differing > 0).peekable();
        if differing.peek().is_none() {
            return Ok(ReplayOutcome::Same);
        }
        for known in differing {
            if !self.compared.proves(heads.named(&known.name))? {
                return Ok(ReplayOutcome::Differs);
            }
        }
        self.compared.mend(heads).map(ReplayOutcome::Mended)
    }
}

/// The documents that differ after a [`Replay`].
pub struct ReplayDifferences<'a> {
    compared: &'a Compared,
    rows: OwnedRange<&'static [u8], &'static [u8]>,
}

impl Iterator for ReplayDifferences<'_> {
    type Item = Result<Difference>;

    fn next(&mut self) -> Option<Result<Difference>> {
        self.compared.next(&mut self.rows)
    }
}

/// The documents that differ after a [`Replay`], with all that they are read from.
pub struct ReplayedDiff {
    rows: OwnedRange<&'static [u8], &'static [u8]>,
    compared: Compared,
}

impl Iterator for ReplayedDiff {
    type Item = Result<Difference>;

    fn next(&mut self) -> Option<Result<Difference>> {
        self.compared.next(&mut self.rows)
    }
}

impl Compared {
    fn next(
        &self,
        rows: &mut OwnedRange<&'static [u8], &'static [u8]>,
    ) -> Option<Result<Difference>> {
        let entry = rows.next()?.map_err(db);
        Some(entry.and_then(|(key, _)| {
            let (collection, id) = split(key.value())?;
            let numbers = self.numbers(collection);
            let shown = |moment: &Moment, number: Option<u32>| -> Result<_> {
                let Some(number) = number else { return Ok(None) };
                Ok(moment.document(NOW, number, id)?.map(|document| document.into_fields()))
            };
            let before = shown(&self.now, numbers.now)?;
            let after = shown(&self.then, numbers.then)?;
            let (collection, id) = (collection.to_owned(), id.to_owned());
            // Nobody wrote what differs here.
            let (written, kept) = (Vec::new(), Vec::new());
            Ok(Difference { collection, id, before, after, written, kept })
        }))
    }
}

/// The numbers of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Numbers {
    now: Option<u32>,
    then: Option<u32>,
}

/// The bytes of a document: its row, and what follows the number of the collection in the keys of
/// its runs, with those.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    row: Vec<u8>,
    runs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Stored {
    fn read(moment: &Moment, number: Option<u32>, id: &str) -> Result<Option<Stored>> {
        let Some(number) = number else { return Ok(None) };
        let row = moment.row(NOW, Part::Documents, &tables::document_key(number, id))?;
        let Some(row) = row else { return Ok(None) };
        let start = runs_prefix(number, id);
        let end = [&start[..], &[0xff]].concat();
        let runs = moment.range(NOW, Part::Runs, &start, &end, false)?;
        let runs = runs.map(|run| run.map(|(key, row)| (key[4..].to_vec(), row)));
        Ok(Some(Stored { row, runs: runs.collect::<Result<_>>()? }))
    }

    /// Its cells, part by part.
    fn parts(&self, moment: &Moment) -> Result<Vec<Row>> {
        match documents::is_head(&self.row) {
            true => self.runs.iter().map(|(_, row)| moment.decode(row)).collect(),
            false => Ok(vec![moment.decode(&self.row)?]),
        }
    }
}

impl Stored {
    /// Whether what is kept beside the cells, and is in no digest, is what these say.
    fn says_of_itself(&self, parts: Vec<Row>) -> Result<bool> {
        let row = Row::of_cells(parts.into_iter().flat_map(Row::into_cells).collect());
        let flags = view::flags(&row) == Flags::of(Some(&self.row));
        Ok(match documents::Head::decode(&self.row)? {
            None => flags,
            Some(head) => {
                let places = places::survey(row.cells()).0;
                flags && head.size == size_of(row.cells()) && head.places == places
            }
        })
    }
}

impl Compared {
    fn numbers(&self, collection: &str) -> Numbers {
        self.numbers.get(collection).copied().unwrap_or_default()
    }

    fn differing(&self) -> Result<OwnedRange<&'static [u8], &'static [u8]>> {
        let read = self.shadow.database.begin_read().map_err(db)?;
        let rows = read.open_table(DIFFERING).map_err(db)?;
        rows.range_owned::<&[u8]>(..).map_err(db)
    }

    /// Compares all, and lists the documents that differ. Gives how many are in the shadow.
    fn compare(&self, heads: &Heads) -> Result<(Vec<ReplayedCollection>, u64)> {
        let (mut collections, mut documents) = (Vec::new(), 0);
        let mut list = List { shadow: &self.shadow, keys: Vec::new() };
        for (name, numbers) in &self.numbers {
            let mut differing = 0;
            // What was there at the checkpoint and is not in the shadow, nobody has touched.
            let all = numbers.now != numbers.then || numbers.then.is_none_or(|n| n >= self.below);
            let mut ids = self.ids(*numbers, all)?;
            while let Some((id, in_shadow)) = ids.next()? {
                documents += u64::from(in_shadow);
                let now = Stored::read(&self.now, numbers.now, &id)?;
                if now != Stored::read(&self.then, numbers.then, &id)? {
                    differing += 1;
                    list.push(name, &id)?;
                }
            }
            let (state, replayed) = (heads.named(name), self.shadow.heads.named(name));
            let (name, state, replayed) = (name.clone(), state.map(sum), replayed.map(sum));
            collections.push(ReplayedCollection { name, state, replayed, differing });
        }
        list.write()?;
        Ok((collections, documents))
    }

    /// The documents in the shadow, and with `all` those in the state.
    fn ids(&self, numbers: Numbers, all: bool) -> Result<Ids> {
        let bounds = |number: u32| (number.to_be_bytes(), (number + 1).to_be_bytes());
        let listed = match numbers.then {
            None => None,
            Some(number) => {
                let (start, end) = bounds(number);
                let rows = self.listed.range_owned::<&[u8]>(&start[..]..&end[..]).map_err(db)?;
                Some(rows)
            }
        };
        let state = match numbers.now.filter(|_| all) {
            None => None,
            Some(number) => {
                let (start, end) = bounds(number);
                let documents = self.now.documents();
                Some(documents.range_owned::<&[u8]>(&start[..]..&end[..]).map_err(db)?)
            }
        };
        let mut ids = Ids { listed, state, next: [None, None] };
        ids.next = [advance(&mut ids.listed)?, advance(&mut ids.state)?];
        Ok(ids)
    }

    /// Whether digest and counts of a collection are those of its documents with the ones of the
    /// shadow in their place.
    fn proves(&self, head: Option<&CollectionHead>) -> Result<bool> {
        let Some(head) = head else { return Ok(false) };
        let numbers = self.numbers(&head.name);
        let (mut cells, mut documents, mut conflicts) = (LtHash::new(), 0, 0);
        let mut ids = self.ids(numbers, true)?;
        while let Some((id, in_shadow)) = ids.next()? {
            let stored = match in_shadow {
                true => Stored::read(&self.then, numbers.then, &id)?,
                false => Stored::read(&self.now, numbers.now, &id)?,
            };
            let Some(stored) = stored else { continue };
            let flags = Flags::of(Some(&stored.row));
            documents += u64::from(flags.shown);
            conflicts += u64::from(flags.in_conflict);
            // One that can't be read proves nothing.
            let Ok(parts) = stored.parts(&self.then) else { return Ok(false) };
            parts.iter().for_each(|row| cells.add(&row.digest(&id)));
            if in_shadow && !stored.says_of_itself(parts)? {
                return Ok(false);
            }
        }
        let head = &head.row;
        Ok((&cells, documents, conflicts) == (&head.cells, head.documents, head.conflicts))
    }

    /// Puts the documents of the shadow in the place of those that differ.
    fn mend(&self, heads: &Heads) -> Result<u64> {
        let inner = &self.store.inner;
        let mended = inner.commit_beside_heads(
            |txn| {
                let mut tables = Tables::open(txn)?;
                let mut mended = 0;
                for entry in self.differing()? {
                    let (key, _) = entry.map_err(db)?;
                    let (collection, id) = split(key.value())?;
                    let number = self.numbers(collection).now.ok_or_else(written_meanwhile)?;
                    let held = tables::get(&tables.collections, collection.as_bytes())?;
                    let branches = tables::get(&tables.branches, &number.to_be_bytes())?;
                    let before = self.now.row(NOW, Part::Branches, &number.to_be_bytes())?;
                    if held.as_deref() != Some(&number.to_be_bytes()) || branches != before {
                        return Err(written_meanwhile());
                    }
                    self.replace(&mut tables, heads, collection, id, number)?;
                    let now_ms = inner.wall.now_ms();
                    conflicts::reconcile(&mut tables, heads, (collection, number), id, now_ms)?;
                    mended += 1;
                }
                drop(tables);
                // Nobody knows what damaged documents have in indexes.
                heads
                    .indexes
                    .keys()
                    .try_for_each(|name| index::begin_anew(txn, name, &heads.indexes))?;
                Ok(mended)
            },
            |now| {
                for name in heads.indexes.keys() {
                    index::note_begun_anew(&mut now.indexes, name);
                }
            },
        )?;
        inner.build_in_background();
        tracing::warn!(
            documents = mended,
            "documents were damaged: they were made anew from a checkpoint and the log"
        );
        inner.announce();
        Ok(mended)
    }

    fn replace(
        &self,
        tables: &mut Tables<'_>,
        heads: &Heads,
        collection: &str,
        id: &str,
        number: u32,
    ) -> Result<()> {
        let key = tables::document_key(number, id);
        let (start, mut runs) = (runs_prefix(number, id), Vec::new());
        let end = [&start[..], &[0xff]].concat();
        for entry in tables.runs.range(&start[..]..&end[..]).map_err(db)? {
            let (key, row) = entry.map_err(db)?;
            runs.push((key.value()[4..].to_vec(), row.value().to_vec()));
        }
        let row = tables::get(&tables.documents, &key)?;
        let present = row.map(|row| Stored { row, runs });
        if present != Stored::read(&self.now, Some(number), id)? {
            return Err(written_meanwhile());
        }
        let number_bytes = number.to_be_bytes();
        for (rest, _) in present.iter().flat_map(|present| &present.runs) {
            unset(&mut tables.runs, &[&number_bytes[..], rest].concat())?;
        }
        let right = Stored::read(&self.then, self.numbers(collection).then, id)?;
        match &right {
            None => unset(&mut tables.documents, &key)?,
            Some(right) => set(&mut tables.documents, &key, &right.row)?,
        }
        match Flags::of(right.as_ref().map(|right| &right.row[..])).in_conflict {
            true => set(&mut tables.conflicts, &key, &[])?,
            false => unset(&mut tables.conflicts, &key)?,
        }
        let Some(right) = right else { return Ok(()) };
        for (rest, row) in &right.runs {
            set(&mut tables.runs, &[&number_bytes[..], rest].concat(), row)?;
        }
        for part in right.parts(&self.then)? {
            settled_in(&part, |origin, key, birth| {
                let origin = heads.origins.number(origin).ok_or_else(written_meanwhile)?;
                let key = tables::settled_key(number, origin, id, key, birth);
                set(&mut tables.settled, &key, &[])
            })?;
        }
        Ok(())
    }
}

fn written_meanwhile() -> Error {
    Error::new(
        ErrorKind::Aborted,
        "a document that is damaged was written meanwhile; nothing was changed: replay again",
    )
}

/// Documents that differ, on their way into the list of them.
struct List<'a> {
    shadow: &'a Shadow,
    keys: Vec<Vec<u8>>,
}

impl List<'_> {
    fn push(&mut self, collection: &str, id: &str) -> Result<()> {
        self.keys.push([collection.as_bytes(), &[0], id.as_bytes()].concat());
        if self.keys.len() >= SWEEP_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let txn = self.shadow.begin()?;
        let mut table = txn.open_table(DIFFERING).map_err(db)?;
        self.keys.drain(..).try_for_each(|key| set(&mut table, &key, &[]))?;
        drop(table);
        txn.commit().map_err(db)
    }
}

/// Collection and id in a key of the list. The name of a collection has no zero.
fn split(key: &[u8]) -> Result<(&str, &str)> {
    let split = || std::str::from_utf8(key).ok()?.split_once('\0');
    split().ok_or_else(|| Error::corrupt("the list of documents that differ is malformed"))
}

type Keys = OwnedRange<&'static [u8], &'static [u8]>;

/// Ids of a collection in their order: those in the shadow, and others in the state.
struct Ids {
    listed: Option<Keys>,
    state: Option<Keys>,
    /// The next one of each.
    next: [Option<String>; 2],
}

fn advance(keys: &mut Option<Keys>) -> Result<Option<String>> {
    let Some(entry) = keys.as_mut().and_then(Iterator::next) else { return Ok(None) };
    let (key, _) = entry.map_err(db)?;
    Ok(Some(tables::document_id(key.value())?.to_owned()))
}

impl Ids {
    /// The next id, and whether it is in the shadow.
    fn next(&mut self) -> Result<Option<(String, bool)>> {
        let [listed, state] = &self.next;
        let id = match (listed, state) {
            (Some(listed), Some(state)) => listed.min(state).clone(),
            (one, other) => match one.as_ref().or(other.as_ref()) {
                Some(id) => id.clone(),
                None => return Ok(None),
            },
        };
        let in_shadow = listed.as_ref() == Some(&id);
        if state.as_ref() == Some(&id) {
            self.next[1] = advance(&mut self.state)?;
        }
        if in_shadow {
            self.next[0] = advance(&mut self.listed)?;
        }
        Ok(Some((id, in_shadow)))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;

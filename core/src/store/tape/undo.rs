//! Undo: what this node wrote last is taken back.
//!
//! It needs no checkpoint: what was written is in the log, and what that replaced is named in it by
//! dots, whose transactions the index finds. That is enough where values replaced values. Where
//! more went than the dots name (a document, a map, a set, a counter), the document is followed
//! from the newest checkpoint before, or from the beginning of a log that still has one. If nothing
//! leads there, it is refused, and nothing is changed.
//!
//! What is written is one transaction, over all collections of the one that is undone. So an undo
//! is itself what was written last: undone, it brings back what was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blamed::{self, Beginning, Blamed, Planned};
use super::diff::Difference;
use super::past::Moment;
use super::told::{Place, Told};
use super::{Checkpoint, RevertScope};
use crate::clock::Timestamp;
use crate::crdt::key::{self, Slot};
use crate::crdt::{Body, Cell, Op, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Position, check_collection};
use crate::store::Store;
use crate::store::admission::Index;
use crate::store::feed::BEGINNING;
use crate::store::journal::{EventKind, NewEvent};
use crate::txn::Txn;

/// What is to be undone.
#[derive(Debug, Clone, Default)]
pub struct UndoScope {
    /// What was written last to this collection, and there alone; else what was written last, in
    /// all collections that it was written to together.
    pub collection: Option<String>,
    /// Also what others have changed since.
    pub force: bool,
}

/// What was, or would be, undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Undone {
    /// When it had been written, by this node's clock.
    pub time: Timestamp,
    /// Of each document what it showed (`before`) and what it shows without that (`after`); and
    /// which fields are kept, since others have changed them.
    pub changes: Vec<Difference>,
}

impl Undone {
    /// How many documents change.
    pub fn documents(&self) -> u64 {
        self.changes.iter().filter(|found| found.is_change()).count() as u64
    }
}

/// What was written together.
struct Last {
    time: Timestamp,
    /// By collection: where in the log, and what.
    parts: BTreeMap<String, (Position, Txn)>,
}

impl Last {
    /// Where its first part lies.
    fn position(&self) -> Position {
        self.parts.values().map(|(position, _)| *position).min().unwrap_or_default()
    }

    /// What leads back from it, from one position on and one beginning.
    fn follow(
        &self,
        store: &Store,
        (moment, to): (Arc<Moment>, Position),
        (beginning, from): (Beginning, Position),
        scope: &UndoScope,
    ) -> Result<Vec<Planned>> {
        let told = Told::open(store, from, to)?;
        let dots: BTreeSet<(String, Dot)> =
            self.parts.iter().map(|(name, (_, txn))| (name.clone(), txn.dot)).collect();
        let names: BTreeSet<String> = self.parts.keys().cloned().collect();
        let is_blamed =
            Box::new(move |name: &str, txn: &Txn| dots.contains(&(name.to_owned(), txn.dot)));
        let scope = RevertScope { force: scope.force, ..RevertScope::default() };
        let mut blamed = Blamed::new(moment, beginning, told, scope, is_blamed);
        (blamed.only, blamed.at_first_blamed, blamed.is_own) = (Some(names), true, true);
        blamed.collect()
    }
}

impl Store {
    /// Takes back what this node wrote last, by one new transaction: durable when this returns.
    /// What others have changed since is kept, and told, unless forced. To undo again brings back
    /// what was undone.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// notes.set("n1", "title", "Tide table")?;
    /// notes.set("n1", "title", "wrong")?;
    /// let undone = store.undo(&Default::default())?;
    /// assert_eq!(undone.documents(), 1);
    /// assert_eq!(notes.get("n1")?.unwrap()["title"], littoral::Field::from("Tide table"));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if this node has written nothing, or the log no
    /// longer has it or what it replaced; [`LimitExceeded`](ErrorKind::LimitExceeded) if what it
    /// replaced is more than fits into a transaction; those of writing.
    pub fn undo(&self, scope: &UndoScope) -> Result<Undone> {
        let (time, planned) = self.plan_undo(scope)?;
        if planned.iter().any(|planned| planned.found.is_change()) {
            let changes = planned.iter().filter(|planned| planned.found.is_change());
            self.write(|txn| {
                changes.map(|planned| blamed::write(txn, planned)).sum::<Result<u64>>()
            })?;
        }
        let changes = planned.into_iter().map(|planned| planned.found).collect();
        let undone = Undone { time, changes };
        if undone.documents() > 0 {
            let event = NewEvent::new(EventKind::Undone).counting(undone.documents());
            self.inner.note_done(event);
        }
        Ok(undone)
    }

    /// What [`Store::undo`] would do, and nothing is written.
    ///
    /// Errors: as of [`Store::undo`].
    pub fn undo_plan(&self, scope: &UndoScope) -> Result<Undone> {
        let (time, planned) = self.plan_undo(scope)?;
        let changes = planned.into_iter().map(|planned| planned.found).collect();
        Ok(Undone { time, changes })
    }

    fn plan_undo(&self, scope: &UndoScope) -> Result<(Timestamp, Vec<Planned>)> {
        scope.collection.as_deref().map_or(Ok(()), check_collection)?;
        self.inner.check_not_held(scope.collection.as_deref())?;
        self.flush()?;
        let last = self.last_written(scope)?;
        let (checkpoints, to, moment) = self.moment_of(|all| Ok(all.to_vec()))?;
        for beginning in self.beginnings(&last, &checkpoints)? {
            match last.follow(self, (moment.clone(), to), beginning, scope) {
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                planned => return Ok((last.time, planned?)),
            }
        }
        Err(Error::new(
            ErrorKind::NotFound,
            "the log no longer has what the last transaction replaced, and there is no checkpoint \
             before it: put it right by hand, and make checkpoints (`littoral checkpoint`); nothing \
             was changed",
        ))
    }

    /// From where a transaction can be followed back, the cheapest first.
    fn beginnings(
        &self,
        last: &Last,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<(Beginning, Position)>> {
        let mut found = Vec::new();
        if let Some(parts) = self.replaced(last)? {
            found.push((Beginning::Parts(parts), last.position()));
        }
        let before = checkpoints.iter().rev().find(|known| known.position <= last.position());
        if let Some(known) = before {
            found.push((Beginning::Checkpoint(known.tag), known.position));
        }
        let heads = self.inner.read_heads();
        let is_whole = |name: &String| heads.named(name).is_some_and(|head| head.floor.is_empty());
        if last.parts.keys().all(is_whole) {
            found.push((Beginning::Nothing, self.inner.reader.start().max(BEGINNING)));
        }
        Ok(found)
    }

    /// What this node wrote last.
    fn last_written(&self, scope: &UndoScope) -> Result<Last> {
        let database = self.inner.database()?;
        let mut newest: Vec<(String, Dot, Position)> = Vec::new();
        let mut is_pruned = false;
        {
            let heads = self.inner.read_heads();
            let index = Index::new(&database);
            let wanted = |name: &str| scope.collection.as_deref().is_none_or(|one| one == name);
            for head in heads.iter().filter(|head| wanted(&head.name)) {
                for (origin, row) in &head.vector {
                    let dot = Dot { origin: *origin, seq: row.seq };
                    if origin.node != self.inner.node {
                        continue;
                    }
                    match index.entry(&heads, &head.name, &dot)? {
                        Some(entry) => newest.push((head.name.clone(), dot, entry.position)),
                        None => is_pruned = true,
                    }
                }
            }
        }
        let mut last: Option<Last> = None;
        for (name, _, position) in newest {
            let txn = match self.inner.read_at(&name, position) {
                Err(_) if position < self.inner.reader.start() => {
                    is_pruned = true;
                    continue;
                }
                signed => Arc::unwrap_or_clone(signed?.txn),
            };
            match &mut last {
                Some(last) if last.time > txn.time => {}
                Some(last) if last.time == txn.time => {
                    last.parts.insert(name, (position, txn));
                }
                last => {
                    let time = txn.time;
                    *last = Some(Last { time, parts: BTreeMap::from([(name, (position, txn))]) });
                }
            }
        }
        last.ok_or_else(|| {
            let why = match is_pruned {
                true => "the log no longer has what this node wrote last; nothing was changed",
                false => "this node has written nothing that could be undone",
            };
            Error::new(ErrorKind::NotFound, why)
        })
    }

    /// The cells that a transaction cleared, if its dots name them all; else `None`.
    fn replaced(&self, last: &Last) -> Result<Option<BTreeMap<Place, Row>>> {
        let mut parts = BTreeMap::new();
        for (name, (_, txn)) in &last.parts {
            if self.inner.read_heads().named(name).is_none_or(|head| !head.branches.is_empty()) {
                return Ok(None);
            }
            for doc in &txn.docs {
                let mut cells = Vec::new();
                for op in &doc.ops {
                    match op {
                        Op::Put { .. } | Op::Add { after: None, .. } => {}
                        Op::Clear { prefix, upto } => {
                            for dot in upto {
                                match self.cleared(name, &doc.id, prefix, dot)? {
                                    Some(cell) => cells.push(cell),
                                    None => return Ok(None),
                                }
                            }
                        }
                        // What a row was is not told by what was added to it.
                        Op::Add { .. } | Op::Continue { .. } | Op::Settle { .. } => {
                            return Ok(None);
                        }
                    }
                }
                parts.insert((name.clone(), doc.id.clone()), Row::from_cells(cells));
            }
        }
        Ok(Some(parts))
    }

    /// What a clear of `prefix` that names `dot` cleared of its origin, if that is one cell for
    /// certain: a value at just that field (whoever puts one clears all of its own that was there
    /// before), or what is at just that key.
    fn cleared(&self, name: &str, id: &str, prefix: &[u8], dot: &Dot) -> Result<Option<Cell>> {
        let position = {
            let database = self.inner.database()?;
            let heads = self.inner.read_heads();
            match Index::new(&database).entry(&heads, name, dot)? {
                Some(entry) => entry.position,
                None => return Ok(None),
            }
        };
        let txn = match self.inner.read_at(name, position) {
            Err(_) if position < self.inner.reader.start() => return Ok(None),
            signed => signed?.txn,
        };
        if txn.dot != *dot {
            return Ok(None);
        }
        let register = key::slot(prefix, Slot::Register);
        let doc = txn.docs.iter().find(|doc| doc.id == id);
        let puts = doc.into_iter().flat_map(|doc| &doc.ops).filter_map(|op| match op {
            Op::Put { key, value } if key.starts_with(prefix) => Some((key, value)),
            _ => None,
        });
        let mut puts = puts.collect::<Vec<_>>().into_iter();
        match (puts.next(), puts.next()) {
            (Some((key, value)), None) if *key == register || key == prefix => {
                let (key, body) = (key.clone(), Body::Put(value.clone()));
                Ok(Some(Cell { key, stamp: txn.stamp(), body }))
            }
            _ => Ok(None),
        }
    }
}

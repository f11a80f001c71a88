//! Reverting: documents are brought back to what they showed at a checkpoint, by new transactions.
//!
//! They are edits of this node like any others: they clear what is seen now and put what was shown
//! then, they replicate, and an edit that somebody makes without having seen them stays. What
//! differs is found among kept rows ([`diff`](super::diff)); each batch then looks at its documents
//! again inside its own transaction, so that what came in meanwhile is seen. Batches are bounded;
//! each is whole or not there, and doing it again after it was cut short goes on where it was.
//!
//! Only what differs is written, field by field: a field that shows what it showed then keeps its
//! history, and its conflict if it has one.

use std::mem::discriminant;

use super::blamed::{self, Beginning, Blamed, Planned};
use super::diff::{Diff, Difference, compare};
use super::past::{Moment, NOW};
use super::told::Told;
use super::{Checkpoint, FieldChange, Part, WrittenBy, find};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{NodeId, check_collection, check_id};
use crate::limits::{REVERT_BYTES, REVERT_DOCUMENTS};
use crate::store::journal::{EventKind, NewEvent};
use crate::store::{Store, Transaction};
use crate::txn::Txn;
use crate::value::{Field, Fields, Path, lookup};

/// What is to be brought back: everything, or a part of it.
#[derive(Debug, Clone, Default)]
pub struct RevertScope {
    /// One collection.
    pub collection: Option<String>,
    /// One document of it.
    pub id: Option<String>,
    /// One field of that.
    pub path: Option<Path>,
    /// Only what this node did since, under whatever name. What others have changed after it, or
    /// beside it, is kept; so is all that others wrote.
    pub by: Option<NodeId>,
    /// With `by`: also what others have changed since.
    pub force: bool,
}

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reverted {
    /// Documents that were changed.
    pub documents: u64,
    /// Transactions that it took.
    pub transactions: u64,
    /// Collections of the checkpoint that were left since: they are not written again, since their
    /// peers still have them. Sync them anew, and revert then.
    pub left: Vec<String>,
    /// Of a revert of what one node did: fields that were left as they are, since others have
    /// changed them.
    pub kept: u64,
}

/// What a revert would write: of each document what it shows now (`before`) and what it would
/// show (`after`). Of a field alone, nothing else is in either.
pub struct RevertPlan {
    found: Found,
    scope: RevertScope,
    left: Vec<String>,
}

/// Where what is to be written comes from.
enum Found {
    All(Diff),
    OfOne(Box<Blamed>),
}

impl RevertPlan {
    /// Collections of the checkpoint that were left since, and would not be written again.
    pub fn left(&self) -> &[String] {
        &self.left
    }
}

impl Iterator for RevertPlan {
    type Item = Result<Difference>;

    fn next(&mut self) -> Option<Result<Difference>> {
        self.step().map(|planned| planned.map(|planned| planned.found))
    }
}

impl RevertPlan {
    fn step(&mut self) -> Option<Result<Planned>> {
        loop {
            let planned = match &mut self.found {
                Found::All(diff) => {
                    let plain = |found| Planned { found, zeroings: Vec::new() };
                    diff.next()?.map(plain)
                }
                Found::OfOne(blamed) => blamed.next()?,
            };
            match planned {
                Err(err) => return Some(Err(err)),
                Ok(Planned { found, zeroings }) => {
                    if let Some(found) = self.scope.narrow(found) {
                        return Some(Ok(Planned { found, zeroings }));
                    }
                }
            }
        }
    }
}

impl RevertScope {
    /// One collection.
    pub fn collection(name: &str) -> RevertScope {
        RevertScope { collection: Some(name.to_owned()), ..RevertScope::default() }
    }

    /// One document.
    pub fn document(collection: &str, id: &str) -> RevertScope {
        RevertScope { id: Some(id.to_owned()), ..RevertScope::collection(collection) }
    }

    /// One field.
    pub fn field(collection: &str, id: &str, path: impl Into<Path>) -> RevertScope {
        RevertScope { path: Some(path.into()), ..RevertScope::document(collection, id) }
    }

    /// What one node did.
    pub fn by(node: NodeId) -> RevertScope {
        RevertScope { by: Some(node), ..RevertScope::default() }
    }

    fn check(&self) -> Result<()> {
        self.collection.as_deref().map_or(Ok(()), check_collection)?;
        self.id.as_deref().map_or(Ok(()), check_id)?;
        if self.id.is_some() && self.collection.is_none() {
            return Err(Error::invalid("a document is named without its collection"));
        }
        match &self.path {
            Some(_) if self.id.is_none() => {
                Err(Error::invalid("a field is named without its document"))
            }
            Some(path) if path.names().is_empty() => {
                Err(Error::invalid("the path of a field is empty; leave it out for all of them"))
            }
            _ => Ok(()),
        }
    }

    /// What of a difference is in the scope.
    fn narrow(&self, found: Difference) -> Option<Difference> {
        if self.id.as_ref().is_some_and(|id| *id != found.id) {
            return None;
        }
        let Some(path) = &self.path else { return Some(found) };
        let alone = |fields: &Option<Fields>| {
            fields.as_ref().and_then(|fields| lookup(fields, path)).map(|field| {
                let (last, way) = path.names().split_last().expect("checked before");
                let mut alone = Fields::from([(last.clone(), field.clone())]);
                for name in way.iter().rev() {
                    alone = Fields::from([(name.clone(), Field::Map(alone))]);
                }
                alone
            })
        };
        let (before, after) = (alone(&found.before), alone(&found.after));
        let here = |one: &WrittenBy| one.path.names().starts_with(path.names());
        let [written, kept] =
            [found.written, found.kept].map(|all| all.into_iter().filter(here).collect::<Vec<_>>());
        let found = Difference { before, after, written, kept, ..found };
        (found.is_change() || !found.kept.is_empty()).then_some(found)
    }
}

impl Store {
    /// What [`Store::revert`] would write, and nothing is written.
    ///
    /// Errors: as of [`Store::revert`].
    pub fn revert_plan(&self, label: &str, scope: &RevertScope) -> Result<RevertPlan> {
        scope.check()?;
        if scope.by.is_some() {
            self.flush()?;
        }
        let choose = |all: &[Checkpoint]| {
            let known = find(all, label)?;
            Ok((known.tag, known.position))
        };
        self.inner.check_not_held(scope.collection.as_deref())?;
        let ((tag, position), to, moment) = self.moment_of(choose)?;
        let mut left = left_since(&moment, tag)?;
        if let Some(name) = &scope.collection {
            if left.contains(name) {
                return Err(Error::new(
                    ErrorKind::UnknownCollection,
                    format!(
                        "collection '{name}' was left after the checkpoint: sync it anew, and \
                         revert then; what it showed can still be read"
                    ),
                ));
            }
            left.clear();
        }
        if let Some(by) = scope.by {
            let told = Told::open(self, position, to)?;
            let is_blamed = Box::new(move |_: &str, txn: &Txn| txn.dot.origin.node == by);
            let beginning = Beginning::Checkpoint(tag);
            let mut blamed = Blamed::new(moment, beginning, told, scope.clone(), is_blamed);
            blamed.without = left.clone();
            blamed.is_own = by == self.node_id();
            return Ok(RevertPlan {
                found: Found::OfOne(Box::new(blamed)),
                scope: scope.clone(),
                left,
            });
        }
        let mut diff = Diff::between(self, moment, NOW, tag)?;
        if let Some(name) = &scope.collection {
            diff = diff.of_collection(name);
        }
        for name in &left {
            diff = diff.without_collection(name);
        }
        Ok(RevertPlan { found: Found::All(diff), scope: scope.clone(), left })
    }

    /// Brings documents back to what they showed at a checkpoint, by new transactions: durable
    /// when this returns, and replicated like any edit. What was not there then is deleted. `each`
    /// hears of each document after its transaction. If it is cut short, what was done stays, and
    /// doing it again goes on. Where automatic checkpoints are kept, one is made before.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use littoral::store::RevertScope;
    /// let store = littoral::Store::open(dir.path())?;
    /// let notes = store.collection("notes")?;
    /// notes.set("n1", "title", "Tide table")?;
    /// store.checkpoint("before")?;
    /// notes.set("n1", "title", "wrong")?;
    /// notes.set("n2", "title", "wrong, too")?;
    /// let done = store.revert("before", &RevertScope::default(), &mut |_| ())?;
    /// assert_eq!((done.documents, notes.len()), (2, 1));
    /// assert_eq!(notes.get("n1")?.unwrap()["title"], littoral::Field::from("Tide table"));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if there is no such checkpoint;
    /// [`UnknownCollection`](ErrorKind::UnknownCollection) if the collection named was left since;
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if one document has more that differs than fits
    /// into a transaction; those of writing.
    pub fn revert(
        &self,
        label: &str,
        scope: &RevertScope,
        each: &mut dyn FnMut(&Difference),
    ) -> Result<Reverted> {
        let mut plan = self.revert_plan(label, scope)?;
        let mut done = Reverted { left: plan.left.clone(), ..Reverted::default() };
        loop {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < REVERT_DOCUMENTS && bytes < REVERT_BYTES {
                let Some(planned) = plan.step().transpose()? else { break };
                let found = &planned.found;
                done.kept += found.kept.iter().filter(|one| one.path.depth() > 0).count() as u64;
                if !found.is_change() {
                    continue;
                }
                bytes += found.before.as_ref().map_or(0, Fields::about_bytes);
                bytes += found.after.as_ref().map_or(0, Fields::about_bytes);
                batch.push(planned);
            }
            if batch.is_empty() {
                if done.documents > 0 {
                    let event = NewEvent::new(EventKind::Reverted).saying(label);
                    self.inner.note_done(event.counting(done.documents));
                }
                return Ok(done);
            }
            if done.transactions == 0 {
                self.inner.checkpoint_before("before a revert", Some(label))?;
            }
            self.inner.check_not_held(scope.collection.as_deref())?;
            match self.write(|txn| scope.write(txn, &batch)) {
                Err(err) if err.kind() == ErrorKind::LimitExceeded && batch.len() > 1 => {
                    for planned in &batch {
                        let alone = std::slice::from_ref(planned);
                        done.kept += self.write(|txn| scope.write(txn, alone))?;
                        done.transactions += 1;
                    }
                }
                written => {
                    done.kept += written?;
                    done.transactions += 1;
                }
            }
            done.documents += batch.len() as u64;
            batch.iter().for_each(|planned| each(&planned.found));
        }
    }
}

/// Collections that there were at a checkpoint and that this store no longer holds.
fn left_since(moment: &Moment, tag: u64) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for entry in moment.range(tag, Part::Collections, &[], &[0xff], false)? {
        let name = String::from_utf8_lossy(&entry?.0).into_owned();
        if moment.number(NOW, &name)?.is_none() {
            left.push(name);
        }
    }
    Ok(left)
}

impl RevertScope {
    /// Writes what leads from what each document of a batch shows in the transaction to what it
    /// is to show. Gives how many fields it left alone.
    fn write(&self, txn: &mut Transaction, batch: &[Planned]) -> Result<u64> {
        if self.by.is_some() {
            return batch.iter().map(|planned| blamed::write(txn, planned)).sum();
        }
        let found = batch.iter().map(|planned| &planned.found);
        for Difference { collection, id, after, .. } in found {
            let now = txn.get(collection, id)?.map(|document| document.into_fields());
            match (&self.path, now, after) {
                (Some(path), now, after) => {
                    let before = now.as_ref().and_then(|now| lookup(now, path));
                    let after = after.as_ref().and_then(|after| lookup(after, path));
                    write_field(txn, collection, id, path, before, after)?;
                }
                (None, Some(_), None) => drop(txn.delete(collection, id)?),
                (None, None, Some(after)) => txn.put(collection, id, after)?,
                (None, Some(now), Some(after)) => {
                    write_fields(txn, collection, id, &mut Path::root(), &now, after)?;
                }
                (None, None, None) => {}
            }
        }
        Ok(0)
    }
}

fn write_fields(
    txn: &mut Transaction,
    collection: &str,
    id: &str,
    path: &mut Path,
    before: &Fields,
    after: &Fields,
) -> Result<()> {
    let mut changes = Vec::new();
    compare(path, before, after, &mut changes);
    for FieldChange { path, before, after } in changes {
        write_field(txn, collection, id, &path, before.as_ref(), after.as_ref())?;
    }
    Ok(())
}

/// Makes one field what it was. What is of another kind now is taken away first: an array put over
/// a set would be taken for a change of the set, and a number over a counter is refused.
pub(super) fn write_field(
    txn: &mut Transaction,
    collection: &str,
    id: &str,
    path: &Path,
    before: Option<&Field>,
    after: Option<&Field>,
) -> Result<()> {
    match (before, after) {
        (Some(Field::Map(before)), Some(Field::Map(after))) => {
            write_fields(txn, collection, id, &mut path.clone(), before, after)
        }
        (before, Some(after)) if before != Some(after) => {
            if before.is_some_and(|before| discriminant(before) != discriminant(after)) {
                txn.unset(collection, id, path.clone())?;
            }
            txn.set(collection, id, path.clone(), after.clone())
        }
        (Some(_), None) => txn.unset(collection, id, path.clone()).map(drop),
        _ => Ok(()),
    }
}

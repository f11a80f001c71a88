//! Blamed: the documents that some transactions touched, as they would be without them.
//!
//! [`told`](super::told) says what was done to each since a beginning, [`without`](super::without)
//! what of it stays. What differs from what is there now is told like any difference, and is
//! written field by field, each only if it still shows what it did when it was looked at: what
//! others write meanwhile stays. Sets and counters are changed by what differs alone.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, IntoIter};
use std::sync::Arc;

use super::diff::{Difference, compare};
use super::past::{Moment, NOW};
use super::revert::write_field;
use super::told::{Asked, Deeds, Place, Told};
use super::without::{Trace, Without, WrittenBy, Zeroing};
use super::{FieldChange, RevertScope};
use crate::crdt::{Row, view};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Transaction;
use crate::txn::Txn;
use crate::value::{Field, Fields, Path, lookup};

/// Whether a transaction of a collection is one of those that are to be as if not written.
pub(super) type IsBlamed = Box<dyn Fn(&str, &Txn) -> bool + Send>;

/// What would be different of a document.
pub(super) struct Planned {
    pub(super) found: Difference,
    /// How counters of it come to that.
    pub(super) zeroings: Vec<Zeroing>,
}

/// What documents were where the log begins to tell of them.
pub(super) enum Beginning {
    /// What they were at a checkpoint.
    Checkpoint(u64),
    /// They were not there.
    Nothing,
    /// What is known of them: not all, but what blamed transactions touched.
    Parts(BTreeMap<Place, Row>),
}

/// What would be different without some transactions, document by document.
pub(super) struct Blamed {
    pub(super) moment: Arc<Moment>,
    pub(super) beginning: Beginning,
    pub(super) told: Told,
    pub(super) scope: RevertScope,
    /// Collections that are passed over.
    pub(super) without: Vec<String>,
    /// If there are any, only these.
    pub(super) only: Option<BTreeSet<String>>,
    pub(super) is_blamed: IsBlamed,
    /// What is gone back to is what was there just before the first of them.
    pub(super) at_first_blamed: bool,
    /// Whether they are this node's.
    pub(super) is_own: bool,
    pub(super) ready: IntoIter<Place, Deeds>,
    pub(super) last: Option<Place>,
    pub(super) more: bool,
}

impl Blamed {
    pub(super) fn new(
        moment: Arc<Moment>,
        beginning: Beginning,
        told: Told,
        scope: RevertScope,
        is_blamed: IsBlamed,
    ) -> Blamed {
        Blamed {
            moment,
            beginning,
            told,
            scope,
            without: Vec::new(),
            only: None,
            is_blamed,
            at_first_blamed: false,
            is_own: false,
            ready: BTreeMap::new().into_iter(),
            last: None,
            more: true,
        }
    }

    fn step(&mut self) -> Result<Option<Planned>> {
        loop {
            while let Some((place, deeds)) = self.ready.next() {
                if let Some(found) = self.look(&place, &deeds)? {
                    return Ok(Some(found));
                }
            }
            if !self.more {
                return Ok(None);
            }
            let scope = &self.scope;
            let asked = Asked {
                collections: &|name| {
                    scope.collection.as_deref().is_none_or(|wanted| wanted == name)
                        && !self.without.iter().any(|left| left == name)
                        && self.only.as_ref().is_none_or(|only| only.contains(name))
                },
                is_blamed: &*self.is_blamed,
                is_asked: &|_, id| scope.id.as_deref().is_none_or(|wanted| wanted == id),
            };
            let (deeds, more) = self.told.next(&asked, self.last.as_ref())?;
            self.more = more;
            if let Some((last, _)) = deeds.last_key_value() {
                self.last = Some(last.clone());
            }
            self.ready = deeds.into_iter();
        }
    }

    /// What differs of one document.
    fn look(&self, place: &Place, deeds: &Deeds) -> Result<Option<Planned>> {
        let (name, id) = place;
        let cells = |tag| match self.moment.number(tag, name)? {
            Some(number) => self.moment.cells(tag, number, id),
            None => Ok(Row::default()),
        };
        let then = match &self.beginning {
            Beginning::Checkpoint(tag) => cells(*tag)?,
            Beginning::Nothing => Row::default(),
            Beginning::Parts(parts) => parts.get(place).cloned().unwrap_or_default(),
        };
        let now = cells(NOW)?;
        let in_part = matches!(self.beginning, Beginning::Parts(_));
        let mut trace = Trace::new(then, self.at_first_blamed);
        deeds.iter().for_each(|(stamp, blamed, ops)| trace.apply(ops, stamp, *blamed));
        if !trace.comes_to(&now, in_part) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the log does not tell all that was done to a document of collection '{name}': \
                     a history there has forked. Revert without an author, by document or field"
                ),
            ));
        }
        let Without { row, mut kept, zeroings } = trace.finish(&now, self.scope.force);
        let (before, after) = (view::fields(&now), view::fields(&row));
        let is_new = !in_part && view::fields(trace.then()).is_none();
        if before.is_some() && after.is_some() && is_new {
            // Begun by a blamed one, and others have written into it.
            let other = view::newest(row.cells());
            kept.extend(other.map(|(dot, time)| WrittenBy { path: Path::root(), dot, time }));
        }
        let (collection, id) = (name.clone(), id.clone());
        let mut found = Difference { collection, id, before, after, written: Vec::new(), kept };
        if !found.is_change() && found.kept.is_empty() {
            return Ok(None);
        }
        if found.is_change() {
            let places = found.places().into_iter();
            found.written = places.filter_map(|path| trace.written(&path, &now)).collect();
        }
        // Own additions are taken back by adding: that is blamed, too, if it is done twice.
        let zeroings = if self.is_own { Vec::new() } else { zeroings };
        Ok(Some(Planned { found, zeroings }))
    }
}

impl Iterator for Blamed {
    type Item = Result<Planned>;

    fn next(&mut self) -> Option<Result<Planned>> {
        let found = self.step().transpose();
        if matches!(found, Some(Err(_))) {
            (self.ready, self.more) = (BTreeMap::new().into_iter(), false);
        }
        found
    }
}

/// Writes what differs of a document. Gives how many fields it left alone, since somebody has
/// changed them meanwhile.
pub(super) fn write(txn: &mut Transaction, planned: &Planned) -> Result<u64> {
    let Planned { found, zeroings } = planned;
    let Difference { collection, id, before, after, .. } = found;
    let now = txn.get(collection, id)?.map(|document| document.into_fields());
    match (&now, after) {
        (now, None) if now == before => return txn.delete(collection, id).map(|_| 0),
        (None, Some(after)) if before.is_none() => {
            return txn.put(collection, id, after).map(|()| 0);
        }
        _ => {}
    }
    let none = Fields::new();
    let [before, after, now] = [before, after, &now].map(|side| side.as_ref().unwrap_or(&none));
    let (mut changes, mut skipped) = (Vec::new(), 0);
    compare(&mut Path::root(), before, after, &mut changes);
    for change in changes {
        let there = lookup(now, &change.path);
        let counters = (&change.before, &change.after);
        if let (Some(Field::Counter(_)), Some(Field::Counter(_)) | None) = counters
            && matches!(there, Some(Field::Counter(_)))
            && zeroings.iter().any(|one| one.path == change.path)
        {
            for Zeroing { path, row, seq, total, keep } in zeroings {
                if *path == change.path {
                    txn.zero_counter(collection, id, path, (*row, *seq, *total), *keep)?;
                }
            }
            continue;
        }
        let done = match there == change.before.as_ref() {
            true => {
                let FieldChange { path, before, after } = &change;
                write_field(txn, collection, id, path, before.as_ref(), after.as_ref())?;
                true
            }
            false => write_part(txn, collection, id, there, change)?,
        };
        skipped += u64::from(!done);
    }
    Ok(skipped)
}

/// Writes a change of a field that somebody has changed meanwhile: what can be told apart of it.
/// Gives whether there was any.
fn write_part(
    txn: &mut Transaction,
    collection: &str,
    id: &str,
    there: Option<&Field>,
    change: FieldChange,
) -> Result<bool> {
    let FieldChange { path, before, after } = change;
    match (there, before, after) {
        (Some(Field::Set(_)), Some(Field::Set(before)), Some(Field::Set(after))) => {
            for gone in before.difference(&after) {
                txn.remove(collection, id, path.clone(), gone.clone())?;
            }
            for back in after.difference(&before) {
                txn.add(collection, id, path.clone(), back.clone())?;
            }
            Ok(true)
        }
        (Some(Field::Counter(_)), Some(Field::Counter(before)), Some(Field::Counter(after))) => {
            let Some(by) = after.checked_sub(before) else { return Ok(false) };
            txn.increment(collection, id, path, by).map(|()| true)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::disk::MemDisk;
    use crate::store::{Checkpoint, Store};
    use crate::txn::NodeKey;

    fn all(store: &Store, room: usize) -> Vec<Difference> {
        store.flush().unwrap();
        let choose = |all: &[Checkpoint]| Ok((all[0].tag, all[0].position));
        let ((tag, from), to, moment) = store.moment_of(choose).unwrap();
        let mut told = Told::open(store, from, to).unwrap();
        told.room = room;
        let node = store.node_id();
        let is_blamed = Box::new(move |_: &str, txn: &Txn| txn.dot.origin.node == node);
        let blamed = Blamed::new(
            moment,
            Beginning::Checkpoint(tag),
            told,
            RevertScope::default(),
            is_blamed,
        );
        blamed.map(|planned| planned.unwrap().found).collect()
    }

    /// However little is held at a time, all is found, in order and once.
    #[test]
    fn documents_that_do_not_fit_take_another_pass() {
        let options = Store::options().key(NodeKey::from_seed([1; 32]));
        let store = options.open_on(Arc::new(MemDisk::new())).unwrap();
        let write = |from: i64| {
            for n in 0..40 {
                let name = if n % 3 == 0 { "notes" } else { "plans" };
                store.write(|txn| txn.set(name, &format!("n{n}"), "x", from + n)).unwrap();
            }
        };
        write(0);
        store.checkpoint("L").unwrap();
        write(100);
        write(200);
        let found = all(&store, usize::MAX);
        assert_eq!(found.len(), 40);
        let places: Vec<_> = found.iter().map(|one| (&one.collection, &one.id)).collect();
        assert!(places.is_sorted());
        for room in [0, 1, 300, 1_000, 10_000] {
            assert_eq!(all(&store, room), found, "{room}");
        }
    }
}

//! What writers write: small documents with few names, so that writers meet.

use std::collections::{BTreeMap, BTreeSet};

use littoral::value::Fields;
use littoral::{Document, ErrorKind, Field, Path, Result, Store, Transaction, Value};

use crate::chance::Chance;
use crate::ledger::COLLECTIONS;
use crate::plan::Plan;

const IDS: [&str; 4] = ["d0", "d1", "d2", "d\u{0}\u{7f}é"];
const NAMES: [&str; 6] = ["a", "b", "m", "s", "c", "\u{1}\0é"];

/// Documents that were read earlier, by reader, still to be put back.
pub(crate) type Readings = BTreeMap<usize, Vec<(&'static str, Document)>>;

/// Fills a transaction of the store with this number. Gives the collections that it touches,
/// or `None` if it is to be rolled back.
pub(crate) fn fill(
    txn: &mut Transaction,
    chance: &mut Chance,
    plan: &Plan,
    store: &Store,
    readings: &mut Vec<(&'static str, Document)>,
    mark: i64,
) -> Result<Option<BTreeSet<&'static str>>> {
    let mut touched = BTreeSet::new();
    for _ in 0..1 + chance.below(3) {
        let (name, id) = (*chance.pick(&COLLECTIONS), *chance.pick(&IDS));
        let mut edit = Edit { chance: &mut *chance, long_percent: plan.long_percent };
        let stale = plan.stale_puts && edit.chance.percent(15);
        let written = match stale {
            true => edit.put_back(txn, store, readings),
            false => edit.edit(txn, name, id).map(|()| Some(name)),
        };
        match written {
            Ok(name) => touched.extend(name),
            Err(err) if err.kind() == ErrorKind::WrongKind => return Ok(None),
            Err(err) => return Err(err),
        }
    }
    if touched.len() > 1 {
        // None of the parts may be empty: then one can tell whether all of them are there.
        for name in &touched {
            txn.set(name, "marks", "n", mark)?;
        }
    }
    Ok(Some(touched))
}

struct Edit<'a> {
    chance: &'a mut Chance,
    long_percent: usize,
}

impl Edit<'_> {
    fn edit(&mut self, txn: &mut Transaction, name: &str, id: &str) -> Result<()> {
        let path = self.path();
        match self.chance.below(13) {
            0 | 1 => txn.put(name, id, &self.fields(0)),
            2 => txn.merge(name, id, &self.fields(0)),
            3 => {
                let (key, field) = (self.name(), self.field(1));
                txn.edit(name, id, |fields| {
                    fields.insert(key, field);
                    Ok(())
                })
            }
            4 => txn.delete(name, id).map(drop),
            5 | 6 => {
                let field = self.field(path.depth());
                txn.set(name, id, &path, field)
            }
            7 => txn.unset(name, id, &path).map(drop),
            8 | 9 => {
                let path = self.path_of("s");
                txn.add(name, id, &path, self.scalar())
            }
            10 => {
                let path = self.path_of("s");
                txn.remove(name, id, &path, self.scalar()).map(drop)
            }
            _ => {
                let path = self.path_of("c");
                txn.increment(name, id, &path, *self.chance.pick(&[-2, 1, 5]))
            }
        }
    }

    /// Reads a document for later, settles a conflict, or puts back or deletes a document that
    /// was read a while ago. Gives the collection it wrote to.
    fn put_back(
        &mut self,
        txn: &mut Transaction,
        store: &Store,
        readings: &mut Vec<(&'static str, Document)>,
    ) -> Result<Option<&'static str>> {
        let name = *self.chance.pick(&COLLECTIONS);
        if self.chance.percent(30) {
            let conflicts = store.collection(name)?.conflicts()?;
            if conflicts.is_empty() {
                return Ok(None);
            }
            let conflict = self.chance.pick(&conflicts);
            let choice = self.chance.pick(&conflict.candidates).field.clone();
            let there = txn.get(name, &conflict.id)?.and_then(|d| d.get(&conflict.path).cloned());
            if there.is_none() {
                return Ok(None);
            }
            return txn.resolve(name, &conflict.id, &conflict.path, &choice).map(|()| Some(name));
        }
        if let Some(document) = store.collection(name)?.get(self.chance.pick::<&str>(&IDS))? {
            readings.push((name, document));
        }
        if readings.is_empty() || self.chance.percent(40) {
            return Ok(None);
        }
        let (name, mut document) = readings.remove(self.chance.below(readings.len()));
        let (id, version) = (document.id().to_owned(), document.version());
        if self.chance.percent(25) {
            return txn.delete_version(name, &id, &version).map(|_| Some(name));
        }
        document.fields_mut().insert(self.name(), self.field(1));
        if self.chance.percent(30) {
            let gone = self.name();
            document.fields_mut().remove(&gone);
        }
        match self.chance.percent(50) {
            true => txn.put(name, &id, &document)?,
            false => txn.put(name, &id, (document.fields(), &version))?,
        }
        Ok(Some(name))
    }

    fn name(&mut self) -> String {
        (*self.chance.pick(&NAMES)).to_owned()
    }

    fn path(&mut self) -> Path {
        Path::from((0..1 + self.chance.below(3)).map(|_| self.name()).collect::<Vec<_>>())
    }

    /// A path that mostly holds one kind, and at times anything.
    fn path_of(&mut self, name: &str) -> Path {
        match self.chance.below(4) {
            0 => Path::from(["m", name]),
            1 => self.path(),
            _ => Path::from(name),
        }
    }

    fn scalar(&mut self) -> Value {
        match self.chance.below(4) {
            0 => Value::from(self.chance.below(3) as i64),
            1 => Value::from(true),
            _ => Value::from(*self.chance.pick(&["x", "y", "z"])),
        }
    }

    fn fields(&mut self, depth: usize) -> Fields {
        (0..self.chance.below(4)).map(|_| (self.name(), self.field(depth + 1))).collect()
    }

    /// Anything but an array, which over a set means its elements.
    fn field(&mut self, depth: usize) -> Field {
        match self.chance.below(10) {
            0 | 1 if depth < 4 => Field::Map(self.fields(depth)),
            2 => Field::Set((0..self.chance.below(4)).map(|_| self.scalar()).collect()),
            3 => Field::Counter(self.chance.below(7) as i64 - 3),
            4 => Field::Value(Value::Object([("o".to_owned(), self.scalar())].into())),
            _ if self.chance.percent(self.long_percent) => {
                Field::from("long".repeat(self.chance.below(100_000)).as_str())
            }
            _ => Field::from(*self.chance.pick(&["p", "q", "r", "t"])),
        }
    }
}

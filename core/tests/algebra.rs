//! The replication algebra over real transactions: what stores show is what the oracle of
//! `tests/model.py` says, at every step of random histories.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::oracle::{History, Reading, Seen, Shown};
use common::{Replica, Rng, each_seed, stream};
use littoral::id::{Head, Vector};
use littoral::txn::edit::Version;
use littoral::txn::snapshot::Span;
use littoral::{Document, ErrorKind, Field, Fields, Path, Position, Transaction, Value};

const COLLECTIONS: [&str; 2] = ["notes", "plans"];
const IDS: [&str; 3] = ["d0", "d1", "d2"];

/// Some replicas, everything they wrote, and what each state looked like.
struct World {
    rng: Rng,
    replicas: Vec<Replica>,
    histories: BTreeMap<&'static str, History>,
    /// Up to where each replica's log was read for its own transactions.
    noted: BTreeMap<(usize, &'static str), Position>,
    /// The digest of cells that goes with a vector.
    states: BTreeMap<(&'static str, Vec<u8>), Vec<u8>>,
    /// Documents and versions read earlier, by whom, still to be put back.
    readings: Vec<(usize, &'static str, Document, Version)>,
    stale_puts: bool,
    /// What a replica holds by a snapshot, so that its log lacks it.
    floors: BTreeMap<(usize, &'static str), Vector>,
    /// A snapshot that is being staged: from whom it is, and what of it is staged already.
    staging: BTreeMap<(usize, &'static str), usize>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(5);
        let stale_puts = rng.chance(50);
        World {
            rng,
            replicas: (0..count as u8).map(Replica::new).collect(),
            histories: COLLECTIONS.map(|name| (name, History::default())).into(),
            noted: BTreeMap::new(),
            states: BTreeMap::new(),
            readings: Vec::new(),
            stale_puts,
            floors: BTreeMap::new(),
            staging: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..10 + self.rng.below(50) {
            let at = self.rng.below(self.replicas.len());
            if self.rng.chance(55) {
                self.write(at);
            } else {
                let from = self.rng.below(self.replicas.len());
                self.sync(at, from, true);
            }
            self.check(at);
        }
        self.meet();
        // Everyone has now seen everything, and says so: what was settled goes.
        for at in 0..self.replicas.len() {
            let before: Vec<Seen> = COLLECTIONS.iter().map(|name| self.seen(at, name)).collect();
            let end = |txn: &mut Transaction| {
                COLLECTIONS.iter().try_for_each(|name| txn.set(name, "end", "x", at as i64))
            };
            self.replicas[at].store.write(end).unwrap();
            for (name, before) in COLLECTIONS.into_iter().zip(before) {
                self.note(at, name, &before);
            }
        }
        self.meet();
        for replica in &self.replicas {
            assert_eq!(replica.store.check_rows().unwrap(), 0, "no settled counter row stays");
        }
        for at in 0..self.replicas.len() {
            self.check(at);
        }
        for name in COLLECTIONS {
            for replica in &self.replicas {
                let first = &self.replicas[0].store;
                assert_eq!(common::vector(&replica.store, name), common::vector(first, name));
                assert_eq!(replica.store.digests(name).unwrap(), first.digests(name).unwrap());
            }
        }
    }

    fn meet(&mut self) {
        for _ in 0..2 {
            for target in 0..self.replicas.len() {
                (0..self.replicas.len()).for_each(|source| self.sync(target, source, false));
            }
        }
    }

    // ---- writing

    fn write(&mut self, at: usize) {
        if self.rng.chance(20) {
            let wall = &self.replicas[at].wall;
            wall.set(common::NOON + self.rng.next() % (1 << self.rng.below(40)));
        }
        let store = self.replicas[at].store.clone();
        let before: Vec<Seen> = COLLECTIONS.iter().map(|name| self.seen(at, name)).collect();
        let mut txn = store.begin().unwrap();
        for _ in 0..1 + self.rng.below(3) {
            let (name, id) = (*self.rng.pick(&COLLECTIONS), *self.rng.pick(&IDS));
            match self.edit(at, &mut txn, name, id) {
                Ok(()) => {}
                Err(err) if err.kind() == ErrorKind::WrongKind => return,
                Err(err) => panic!("{err}"),
            }
        }
        txn.commit().unwrap();
        for (name, before) in COLLECTIONS.into_iter().zip(before) {
            self.note(at, name, &before);
        }
    }

    /// Reads what `at` has just written; checks that it depends on exactly what was there.
    fn note(&mut self, at: usize, name: &'static str, before: &Seen) {
        let replica = &self.replicas[at];
        let from = self.noted.get(&(at, name)).copied().unwrap_or_default();
        let (records, next) = common::log_from(&replica.store, name, from);
        self.noted.insert((at, name), next);
        let history = self.histories.get_mut(name).unwrap();
        for txn in records.iter().map(|bytes| common::decode(bytes)) {
            if txn.dot.origin.node == replica.store.node_id()
                && !history.txns.contains_key(&txn.dot)
            {
                let dot = txn.dot;
                history.note(txn);
                assert_eq!(history.txns[&dot].seen, *before, "{dot} depends on what was there");
            }
        }
    }

    fn edit(
        &mut self,
        at: usize,
        txn: &mut Transaction,
        name: &'static str,
        id: &str,
    ) -> littoral::Result<()> {
        let path = self.path();
        match self.rng.below(14) {
            0 | 1 => {
                let fields = self.fields(0);
                txn.put(name, id, &fields)?;
                let shown = txn.get(name, id)?.expect("it was just put");
                assert_eq!(shown.fields(), &fields, "a put shows what was put");
            }
            2 => txn.merge(name, id, &self.fields(0))?,
            3 => {
                let (key, field) = (self.name(), self.field(1));
                txn.edit(name, id, |fields| {
                    fields.insert(key, field);
                    Ok(())
                })?;
            }
            4 => {
                txn.delete(name, id)?;
                assert_eq!(txn.get(name, id)?, None, "a delete removes all that is there");
            }
            5 | 6 => {
                let field = self.field(path.depth());
                txn.set(name, id, &path, field.clone())?;
                assert_eq!(get(txn, name, id, &path)?, Some(field), "a set shows what was set");
            }
            7 => {
                let there = txn.unset(name, id, &path)?;
                assert_eq!(get(txn, name, id, &path)?, None, "an unset removes what is there");
                let parent = Path::from(path.names()[..path.depth() - 1].to_vec());
                if there && parent.depth() > 0 {
                    let parent = get(txn, name, id, &parent)?;
                    assert!(matches!(parent, Some(Field::Map(_))), "and nothing else: {parent:?}");
                }
            }
            8 | 9 => {
                let element = self.scalar();
                let path = self.path_of("s");
                txn.add(name, id, &path, element.clone())?;
                assert!(elements(get(txn, name, id, &path)?).contains(&element));
            }
            10 => {
                let element = self.scalar();
                let path = self.path_of("s");
                let there = txn.remove(name, id, &path, element.clone())?;
                let left = get(txn, name, id, &path)?;
                assert!(!there || matches!(left, Some(Field::Set(_))), "{left:?}");
                assert!(!elements(left).contains(&element));
            }
            11 | 12 => {
                let path = self.path_of("c");
                let by = [-2, 1, 5][self.rng.below(3)];
                let before = get(txn, name, id, &path)?.and_then(|field| field.as_counter());
                // A map that lost to a value on the way comes up, with the counter in it: writing
                // below a path chooses the map, and an increment adds to what is there.
                let hidden = before.is_none()
                    && txn.get(name, id)?.is_some_and(|document| !document.conflicts().is_empty());
                txn.increment(name, id, &path, by)?;
                let after = get(txn, name, id, &path)?.and_then(|field| field.as_counter());
                assert!(after.is_some() && (hidden || after == Some(before.unwrap_or(0) + by)));
            }
            _ => self.resolve_or_put_back(at, txn, name)?,
        }
        Ok(())
    }

    /// Settles a conflict, or puts back or deletes a document that was read a while ago.
    fn resolve_or_put_back(
        &mut self,
        at: usize,
        txn: &mut Transaction,
        name: &'static str,
    ) -> littoral::Result<()> {
        let store = self.replicas[at].store.clone();
        if self.rng.chance(50) {
            let conflicts = store.collection(name)?.conflicts()?;
            if conflicts.is_empty() {
                return Ok(());
            }
            let conflict = self.rng.pick(&conflicts);
            let choice = self.rng.pick(&conflict.candidates).field.clone();
            if get(txn, name, &conflict.id, &conflict.path)?.is_some() {
                txn.resolve(name, &conflict.id, &conflict.path, &choice)?;
            }
            return Ok(());
        }
        if let Some(document) = store.collection(name)?.get(self.rng.pick::<&str>(&IDS))? {
            let version = document.version();
            self.readings.push((at, name, document, version));
        }
        let here = |reading: &(usize, &str, Document, Version)| reading.0 == at;
        let found: Vec<usize> =
            (0..self.readings.len()).filter(|i| here(&self.readings[*i])).collect();
        if found.is_empty() || !self.stale_puts {
            return Ok(());
        }
        let (_, name, mut document, version) = self.readings.remove(*self.rng.pick(&found));
        let id = document.id().to_owned();
        if self.rng.chance(25) {
            return txn.delete_version(name, &id, &version).map(drop);
        }
        document.fields_mut().insert(self.name(), self.field(1));
        if self.rng.chance(30) {
            let gone = self.name();
            document.fields_mut().remove(&gone);
        }
        match self.rng.chance(50) {
            true => txn.put(name, &id, &document),
            false => txn.put(name, &id, (document.fields(), &version)),
        }
    }

    fn name(&mut self) -> String {
        self.rng.pick(&["a", "b", "m", "s", "c", "\u{1}\0é"]).to_string()
    }

    fn path(&mut self) -> Path {
        Path::from((0..1 + self.rng.below(3)).map(|_| self.name()).collect::<Vec<_>>())
    }

    /// A path that mostly holds one kind, and at times anything.
    fn path_of(&mut self, name: &str) -> Path {
        match self.rng.below(4) {
            0 => Path::from(["m", name]),
            1 => self.path(),
            _ => Path::from(name),
        }
    }

    fn scalar(&mut self) -> Value {
        match self.rng.below(4) {
            0 => Value::from(self.rng.below(3) as i64),
            1 => Value::from(true),
            _ => Value::from(*self.rng.pick(&["x", "y", "z"])),
        }
    }

    fn fields(&mut self, depth: usize) -> Fields {
        (0..self.rng.below(4)).map(|_| (self.name(), self.field(depth + 1))).collect()
    }

    /// Anything but an array, which over a set means its elements.
    fn field(&mut self, depth: usize) -> Field {
        match self.rng.below(10) {
            0 | 1 if depth < 4 => Field::Map(self.fields(depth)),
            2 => Field::Set((0..self.rng.below(4)).map(|_| self.scalar()).collect()),
            3 => Field::Counter(self.rng.below(7) as i64 - 3),
            4 => Field::Value(Value::Object([("o".to_owned(), self.scalar())].into())),
            _ => Field::from(*self.rng.pick(&["p", "q", "r", "t"])),
        }
    }

    // ---- exchanging

    /// Brings `target` what it lacks: all, or with `partly` what a link that reorders, repeats,
    /// loses and breaks off lets through.
    fn sync(&mut self, target: usize, source: usize, partly: bool) {
        for name in COLLECTIONS {
            let have = common::vector(&self.replicas[target].store, name);
            let covered =
                self.floors.get(&(source, name)).is_none_or(|floor| have.covers_all(floor));
            if target != source && (!covered || partly && self.rng.chance(25)) {
                self.sync_by_snapshot(target, source, name, partly);
                continue;
            }
            let mut txns = stream(&self.replicas[source].store, name, &have);
            let store = self.replicas[target].store.clone();
            if !partly {
                let txns = txns.into_iter().map(|(_, bytes)| bytes).collect();
                store.apply_remote(name, txns).unwrap();
                continue;
            }
            txns.truncate(self.rng.below(txns.len() + 1));
            let orderly = self.rng.chance(60);
            if !orderly {
                self.rng.shuffle(&mut txns);
            }
            for (dot, bytes) in txns {
                let copies = 1 + usize::from(self.rng.chance(20));
                match store.apply_remote(name, vec![bytes; copies]) {
                    Ok(outcome) => assert_eq!((outcome.new, outcome.duplicates), (1, copies - 1)),
                    Err(err) => {
                        assert_eq!(err.kind(), ErrorKind::MissingDependency, "{dot}: {err}");
                        assert!(!orderly, "any prefix of a log is causally closed: {err}");
                    }
                }
            }
        }
    }

    /// Joins a view; with `partly`, at times only stages some of it, to be gone on with later,
    /// from whomever.
    fn sync_by_snapshot(&mut self, target: usize, source: usize, name: &'static str, partly: bool) {
        let (to, from) = (self.replicas[target].store.clone(), self.replicas[source].store.clone());
        let Ok(view) = from.view(name) else { return };
        let head = common::head_of(&view, name, &from);
        if partly && self.rng.chance(50) {
            let end = self.rng.pick(&IDS).to_string();
            let span = Span { start: String::new(), end: Some(end) };
            common::stage(&to, name, &view, &head, span);
            self.staging.insert((target, name), source);
            if self.rng.chance(20) {
                to.unstage(name).unwrap();
            }
            return;
        }
        if self.rng.chance(50) && self.staging.remove(&(target, name)).is_some() {
            // What is staged now need not be what this view holds: the digest tells.
            if !to.join(name, &head, from.node_id()).unwrap() {
                common::stage(&to, name, &view, &head, Span::default());
                assert!(to.join(name, &head, from.node_id()).unwrap());
            }
        } else {
            common::stage(&to, name, &view, &head, Span::default());
            if partly && self.rng.chance(30) {
                // Local writes and other replicas' transactions go on while it is staged.
                self.write(target);
                let other = self.rng.below(self.replicas.len());
                let have = common::vector(&to, name);
                let floor = self.floors.get(&(other, name));
                if floor.is_none_or(|floor| have.covers_all(floor)) {
                    common::pull_in(&to, &self.replicas[other].store.clone(), name);
                }
            }
            assert!(to.join(name, &head, from.node_id()).unwrap(), "{name} of {target}");
        }
        let floor = self.floors.entry((target, name)).or_default();
        for (origin, newest) in &head.vector {
            floor.advance(*origin, Head { seq: newest.seq, hash: newest.hash.short() });
        }
    }

    // ---- checking

    fn seen(&self, at: usize, name: &str) -> Seen {
        let vector = common::vector(&self.replicas[at].store, name);
        vector.iter().map(|(origin, head)| (*origin, head.seq)).collect()
    }

    fn check(&mut self, at: usize) {
        self.replicas[at].store.check_rows().unwrap();
        for name in COLLECTIONS {
            let (seen, history) = (self.seen(at, name), &self.histories[name]);
            assert!(history.is_causally_closed(&seen), "{name} of {at} is causally closed");
            let expected = history.view(&seen, Reading::Stated);
            if !self.stale_puts {
                assert_eq!(expected, history.view(&seen, Reading::Causal), "clears name all seen");
            }
            let store = &self.replicas[at].store;
            assert_eq!(shown(store, name), expected, "{name} of {at}");
            let (vector, cells, _) = store.summary(name).unwrap();
            let key = (name, vector.digest().0.to_vec());
            let state = self.states.entry(key).or_insert_with(|| cells.0.to_vec());
            assert_eq!(*state, cells.0, "the state of {name} is a function of its vector");
        }
    }
}

fn get(
    txn: &mut Transaction,
    name: &str,
    id: &str,
    path: &Path,
) -> littoral::Result<Option<Field>> {
    Ok(txn.get(name, id)?.and_then(|document| document.get(path).cloned()))
}

fn elements(field: Option<Field>) -> BTreeSet<Value> {
    field.and_then(|field| field.as_set().cloned()).unwrap_or_default()
}

/// What a store shows of a collection, checked against its counts.
fn shown(store: &littoral::Store, name: &str) -> BTreeMap<String, Shown> {
    let collection = store.collection(name).unwrap();
    let mut documents: BTreeMap<String, Shown> = common::snapshot(&collection)
        .into_iter()
        .map(|(id, fields)| (id, Shown { fields, conflicts: BTreeMap::new() }))
        .collect();
    assert_eq!(collection.len(), documents.len() as u64);
    for conflict in collection.conflicts().unwrap() {
        let candidates = conflict.candidates.into_iter().map(|side| side.field).collect();
        let document = documents.get_mut(&conflict.id).expect("a document in conflict is shown");
        document.conflicts.insert(conflict.path.names().to_vec(), candidates);
    }
    documents
}

#[test]
fn stores_show_what_the_oracle_says_at_every_step() {
    each_seed("algebra", 30, |seed| World::new(seed).run());
}

//! A book: everything that was ever written to one collection, and what follows from it.
//!
//! A dot stands for one transaction, unless a store was copied or rolled back: then its node may
//! write another one under a dot that it has used. So each origin's history is a tree. Here a
//! transaction is known by its hash, and lies on a *line*: where one follows another that has a
//! successor already, a new line begins. Of a tree that has not forked there is one line.
//!
//! Stores call the same transaction differently, by what they know of forks. What one calls what
//! it holds is read off its vector, which tells a hash with each name, and the rule for names of
//! branches (rule 11); the store is not asked for its branches. What it ought to show is worked
//! out under the same names, since they decide between values of one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use littoral::crdt::{DocOps, Op};
use littoral::id::{Dot, Hash, NodeId, Origin, Seq, ShortHash, Vector};
use littoral::txn::{Signed, Txn};

use crate::oracle::{History, Past, Reading, Seen, Shown, covers};
use crate::{Checked, ensure};

/// What somebody holds: of each line the newest number, as its author signs it.
pub(crate) type Held = BTreeMap<usize, Seq>;

type Touched = (String, Vec<(Origin, Seq)>);

/// One collection.
#[derive(Default)]
pub(crate) struct Book {
    entries: BTreeMap<ShortHash, Entry>,
    lines: Vec<Line>,
    /// The transaction with which a branch of this name would begin.
    firsts: BTreeMap<Origin, ShortHash>,
    noted: u64,
    views: BTreeMap<Vec<(Origin, usize)>, View>,
    /// The digest of cells that goes with a vector, and the first store that had it.
    states: BTreeMap<[u8; 32], ([u8; 32], usize)>,
}

/// A transaction.
pub(crate) struct Entry {
    pub(crate) bytes: Vec<u8>,
    pub(crate) txn: Arc<Txn>,
    line: usize,
    /// What its operations name, by the names that its author used.
    named: BTreeMap<Dot, Named>,
    /// The order in which transactions were noted.
    serial: u64,
}

/// What goes on without a fork.
struct Line {
    root: Origin,
    parent: Option<usize>,
    /// The number before its first.
    base: Seq,
    txns: Vec<ShortHash>,
}

/// A transaction that is named, and the number before the first that its name goes back to.
#[derive(Clone, Copy)]
struct Named {
    line: usize,
    seq: Seq,
    base: Seq,
}

/// What is shown by those who use the same names.
#[derive(Default)]
struct View {
    history: History,
    names: BTreeMap<ShortHash, Dot>,
    /// What the oracle said, by document and by what of the transactions that touch it is known.
    shown: BTreeMap<Touched, Rc<Option<Shown>>>,
}

impl Entry {
    fn seq(&self) -> Seq {
        self.txn.dot.seq
    }
}

impl Book {
    /// How many transactions there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What a transaction is known by, if it was noted.
    pub(crate) fn find(&self, dot: &Dot, bytes: &[u8]) -> Option<ShortHash> {
        let lines = self.lines.iter().filter(|line| line.root == dot.origin);
        let mut hashes = lines.filter_map(|line| line.at(dot.seq));
        hashes.find(|hash| self.entries[hash].bytes == bytes)
    }

    /// Whether something was noted under a dot.
    pub(crate) fn has(&self, dot: &Dot) -> bool {
        let mut lines = self.lines.iter().filter(|line| line.root == dot.origin);
        lines.any(|line| line.at(dot.seq).is_some())
    }

    pub(crate) fn dot(&self, hash: &ShortHash) -> Dot {
        self.entries[hash].txn.dot
    }

    /// Notes a transaction that is new, whose author held what `vector` says.
    pub(crate) fn note(&mut self, signed: Signed, vector: &Vector) -> Checked<ShortHash> {
        let Signed { bytes, txn, hash, .. } = signed;
        let (root, seq) = (txn.dot.origin, txn.dot.seq);
        let before = match seq {
            1 => None,
            _ => {
                let before = self.entries.get(&txn.prev.short());
                let before =
                    before.filter(|before| before.txn.dot == Dot { origin: root, seq: seq - 1 });
                Some(before.ok_or_else(|| format!("{} follows what nobody wrote", txn.dot))?.line)
            }
        };
        let goes_on = |line: &usize| self.lines[*line].newest() == seq - 1;
        let line = before.filter(goes_on).unwrap_or_else(|| {
            self.lines.push(Line { root, parent: before, base: seq - 1, txns: Vec::new() });
            self.lines.len() - 1
        });
        let named = self.resolve(&txn, vector)?;
        self.lines[line].txns.push(hash.short());
        self.firsts.insert(Origin::of_branch(root, &hash), hash.short());
        self.noted += 1;
        let entry = Entry { bytes, txn, line, named, serial: self.noted };
        self.entries.insert(hash.short(), entry);
        Ok(hash.short())
    }

    /// Forgets a transaction that nobody holds, and nothing follows: it has never been.
    pub(crate) fn forget(&mut self, hash: &ShortHash) {
        if let Some(entry) = self.entries.remove(hash) {
            self.lines[entry.line].txns.retain(|other| other != hash);
            self.views.clear();
        }
    }

    /// The transaction of a line at a number, on that line or before it.
    fn at(&self, mut line: usize, seq: Seq) -> Option<ShortHash> {
        while seq <= self.lines[line].base {
            line = self.lines[line].parent?;
        }
        self.lines[line].at(seq)
    }

    /// The signed number before the first of what is called so.
    fn base(&self, name: &Origin) -> Option<Seq> {
        match name.is_branch() {
            false => Some(0),
            true => self.firsts.get(name).map(|first| self.entries[first].seq() - 1),
        }
    }

    /// What the operations of a transaction name, whose author held what `vector` says.
    fn resolve(&self, txn: &Txn, vector: &Vector) -> Checked<BTreeMap<Dot, Named>> {
        let mut named = BTreeMap::new();
        for op in txn.docs.iter().flat_map(|doc| &doc.ops) {
            let dots = match op {
                Op::Clear { upto, .. } => upto.clone(),
                Op::Settle { row, seq, .. } => vec![*row, Dot { seq: *seq, ..*row }],
                Op::Put { .. } | Op::Add { .. } | Op::Continue { .. } => Vec::new(),
            };
            for dot in dots {
                let found = vector.head(&dot.origin).filter(|head| head.seq >= dot.seq);
                let found = found.and_then(|head| {
                    let (base, line) =
                        (self.base(&dot.origin)?, self.entries.get(&head.hash)?.line);
                    Some(Named { line, seq: base + dot.seq, base })
                });
                let found = found
                    .ok_or_else(|| format!("{} names {dot}, which it has not seen", txn.dot))?;
                named.insert(dot, found);
            }
        }
        Ok(named)
    }

    // ---- what somebody holds

    /// What whoever has this vector holds: each name in it is of what it says.
    pub(crate) fn held(&self, vector: &Vector) -> Checked<Held> {
        let mut held = Held::new();
        for (name, head) in vector.iter() {
            let dot = Dot { origin: *name, seq: head.seq };
            let entry = self.entries.get(&head.hash);
            let entry = entry.ok_or_else(|| format!("it covers {dot}, which nobody wrote"))?;
            let base = self.base(name).ok_or_else(|| format!("{dot}: no branch is called so"))?;
            let first = self.at(entry.line, base + 1);
            let right = match name.is_branch() {
                true => first == self.firsts.get(name).copied(),
                false => entry.txn.dot.origin == *name,
            };
            ensure!(
                right && entry.seq() == base + head.seq,
                "it has {} as {dot}, which is another",
                entry.txn.dot
            );
            let (mut line, mut seq) = (entry.line, entry.seq());
            loop {
                let newest = held.entry(line).or_default();
                *newest = seq.max(*newest);
                let Some(parent) = self.lines[line].parent else { break };
                (line, seq) = (parent, self.lines[line].base);
            }
        }
        Ok(held)
    }

    /// Whether a transaction is among what is held.
    pub(crate) fn holds(&self, held: &Held, hash: &ShortHash) -> bool {
        let entry = self.entries.get(hash);
        entry.is_some_and(|entry| held.get(&entry.line).is_some_and(|seq| *seq >= entry.seq()))
    }

    /// What is held above what was held before.
    pub(crate) fn above(&self, held: &Held, before: &Held) -> Vec<ShortHash> {
        let mut above = Vec::new();
        for (line, newest) in held {
            let first = before.get(line).copied().unwrap_or(0).max(self.lines[*line].base) + 1;
            above.extend((first..=*newest).filter_map(|seq| self.lines[*line].at(seq)));
        }
        above
    }

    /// Adds a transaction, and all of its author before it, to what is owed.
    pub(crate) fn owe(&self, owed: &mut Held, hash: &ShortHash) {
        let Some(entry) = self.entries.get(hash) else { return };
        let newest = owed.entry(entry.line).or_default();
        *newest = entry.seq().max(*newest);
    }

    /// The newest transactions of what is held, of one node.
    pub(crate) fn of_node(&self, held: &Held, node: &NodeId) -> Held {
        let own = held.iter().filter(|(line, _)| self.lines[**line].root.node == *node);
        own.map(|(line, seq)| (*line, *seq)).collect()
    }

    /// A dot under which two have different transactions, if there is one.
    pub(crate) fn mixed(&self, ours: Option<&Vector>, theirs: &Vector) -> Checked<Option<Dot>> {
        for (name, head) in ours.into_iter().flat_map(Vector::iter) {
            let seq = head.seq.min(theirs.seq(name));
            let line = |vector: &Vector| {
                let head = vector.head(name)?;
                Some(self.entries.get(&head.hash)?.line)
            };
            let base = self.base(name).ok_or_else(|| format!("no branch is called {name}"))?;
            let [a, b] = [ours.and_then(line), line(theirs)];
            let at = |line: Option<usize>| self.at(line?, base + seq);
            if seq > 0 && at(a) != at(b) {
                return Ok(Some(Dot { origin: *name, seq }));
            }
        }
        Ok(None)
    }

    /// Of each fork, the transactions after it that are among what is held.
    pub(crate) fn sides(&self, held: &Held) -> Vec<ShortHash> {
        let mut sides = Vec::new();
        for line in self.lines.iter().filter(|line| !line.txns.is_empty()) {
            let first = line.base + 1;
            let others = self.lines.iter().filter(|other| other.root == line.root);
            let same = |hash: &ShortHash| {
                self.entries[hash].txn.prev == self.entries[&line.txns[0]].txn.prev
            };
            let here: BTreeSet<ShortHash> =
                others.filter_map(|other| other.at(first)).filter(same).collect();
            if here.len() > 1 {
                sides.extend(here);
            }
        }
        sides.sort();
        sides.dedup();
        sides.retain(|hash| self.holds(held, hash));
        sides
    }

    /// What is held from a transaction on, to the end of every line that goes on from it.
    pub(crate) fn from(&self, held: &Held, hash: &ShortHash) -> Vec<ShortHash> {
        let first = &self.entries[hash];
        let begins = first.seq();
        let mut found = BTreeSet::new();
        for (line, newest) in held {
            if self.at(*line, first.seq()) == Some(*hash) {
                found.extend((begins..=*newest).filter_map(|seq| self.at(*line, seq)));
            }
        }
        found.into_iter().collect()
    }

    /// The state at a vector is this. Gives the store in which it was another, if it was.
    pub(crate) fn other_state(&mut self, vector: &Vector, cells: Hash, at: usize) -> Option<usize> {
        let (state, first) = *self.states.entry(vector.digest().0).or_insert((cells.0, at));
        (state != cells.0).then_some(first)
    }

    // ---- what is shown

    /// What whoever has this vector calls a transaction that it holds.
    fn name(&self, vector: &Vector, line: usize, seq: Seq) -> Checked<Dot> {
        let (root, hash) = (self.lines[line].root, self.at(line, seq));
        let mut names = vector.iter().filter_map(|(name, head)| {
            let newest = self.entries.get(&head.hash)?;
            let base = self.base(name)?;
            let is_it = newest.txn.dot.origin == root
                && base < seq
                && seq <= newest.seq()
                && self.at(newest.line, seq) == hash;
            is_it.then(|| Dot { origin: *name, seq: seq - base })
        });
        let name = names.next().ok_or_else(|| format!("{root}:{seq} is missing"))?;
        let other = names.next();
        ensure!(other.is_none(), "{root}:{seq} is there twice, as {name} and as {other:?}");
        Ok(name)
    }

    /// Brings what follows from the names in a vector up to it. Gives where it is kept.
    fn view(&mut self, vector: &Vector) -> Checked<Vec<(Origin, usize)>> {
        let line = |hash: &ShortHash| self.entries.get(hash).map_or(usize::MAX, |entry| entry.line);
        let key: Vec<(Origin, usize)> =
            vector.iter().map(|(name, head)| (*name, line(&head.hash))).collect();
        let mut view = self.views.remove(&key).unwrap_or_default();
        let held = self.held(vector)?;
        let mut news: Vec<ShortHash> = self.above(&held, &Held::new());
        news.retain(|hash| !view.names.contains_key(hash));
        news.sort_by_key(|hash| self.entries[hash].serial);
        for hash in news {
            let entry = &self.entries[&hash];
            let dot = self.name(vector, entry.line, entry.seq())?;
            let past = self.past(vector, &view, entry, dot)?;
            for doc in &past.txn.docs {
                view.history.touching.entry(doc.id.clone()).or_default().insert(dot);
            }
            view.history.txns.insert(dot, past);
            view.names.insert(hash, dot);
        }
        self.views.insert(key.clone(), view);
        Ok(key)
    }

    /// A transaction and what its author had seen, by the names in a vector.
    fn past(&self, vector: &Vector, view: &View, entry: &Entry, dot: Dot) -> Checked<Past> {
        let mut seen = Seen::new();
        let prev = (entry.seq() > 1).then(|| entry.txn.prev.short());
        for hash in prev.into_iter().chain(entry.txn.deps.iter().map(|dep| dep.hash)) {
            let name = view.names.get(&hash);
            let name =
                name.ok_or_else(|| format!("{dot} is there without all that it had seen"))?;
            for (origin, seq) in
                view.history.txns[name].seen.iter().chain([(&name.origin, &name.seq)])
            {
                let newest = seen.entry(*origin).or_default();
                *newest = (*newest).max(*seq);
            }
        }
        let mut docs = Vec::new();
        for doc in &entry.txn.docs {
            let mut ops = Vec::new();
            for op in &doc.ops {
                match op {
                    Op::Clear { prefix, upto } => {
                        let mut all = Vec::new();
                        for dot in upto {
                            all.extend(self.called(vector, entry.named[dot])?);
                        }
                        ops.push(Op::Clear { prefix: prefix.clone(), upto: all });
                    }
                    Op::Settle { key, row, seq, total } => {
                        let birth = self.birth(entry.named[row], &doc.id, key)?;
                        let upto = entry.named[&Dot { seq: *seq, ..*row }];
                        for Dot { origin, seq } in self.called(vector, upto)? {
                            // Additions say the number under which their row was begun.
                            let row = Dot { origin, seq: birth };
                            ops.push(Op::Settle { key: key.clone(), row, seq, total: *total });
                        }
                    }
                    op => ops.push(op.clone()),
                }
            }
            docs.push(DocOps { id: doc.id.clone(), ops });
        }
        Ok(Past { txn: Txn { dot, docs, ..Txn::clone(&entry.txn) }, seen })
    }

    /// All that a name goes back to, by the names in a vector: the newest of each.
    fn called(&self, vector: &Vector, named: Named) -> Checked<Vec<Dot>> {
        let mut dots: BTreeMap<Origin, Seq> = BTreeMap::new();
        for seq in (named.base + 1..=named.seq).rev() {
            let dot = self.name(vector, named.line, seq)?;
            dots.entry(dot.origin).or_insert(dot.seq);
        }
        Ok(dots.into_iter().map(|(origin, seq)| Dot { origin, seq }).collect())
    }

    /// The number under which a counter row was begun that is called by one of its additions.
    fn birth(&self, row: Named, id: &str, key: &[u8]) -> Checked<Seq> {
        let begun = self.at(row.line, row.seq).map(|hash| &self.entries[&hash].txn);
        let begun = begun.ok_or("a row that nobody began")?;
        let ops = begun.docs.iter().filter(|doc| doc.id == id).flat_map(|doc| &doc.ops);
        let births = ops.filter_map(|op| match op {
            Op::Add { key: at, birth, .. } if at == key => Some(*birth),
            _ => None,
        });
        births.min().ok_or_else(|| format!("{} began no row", begun.dot))
    }

    /// What a transaction's author had seen, as whoever has this vector calls it.
    pub(crate) fn seen_by(&mut self, vector: &Vector, hash: &ShortHash) -> Checked<Seen> {
        let view = self.view(vector)?;
        let view = &self.views[&view];
        let name = view.names.get(hash).ok_or("a transaction that is not held")?;
        Ok(view.history.txns[name].seen.clone())
    }

    /// The documents that these transactions touch, which are all closed under what they had
    /// seen; all there are if names have changed.
    pub(crate) fn touched(
        &mut self,
        vector: &Vector,
        news: &[ShortHash],
        before: &Vector,
    ) -> Checked<BTreeSet<String>> {
        let renamed = before.iter().any(|(name, head)| vector.seq(name) < head.seq);
        let (key, now) = (self.view(vector)?, seen(vector));
        let view = &self.views[&key];
        let mut ids = BTreeSet::new();
        for hash in news {
            let past = &view.history.txns[&view.names[hash]];
            let closed = past.seen.iter().all(|(o, s)| now.get(o).is_some_and(|n| n >= s));
            ensure!(closed, "it shows {} without all that it had seen", past.txn.dot);
            ids.extend(past.txn.docs.iter().map(|doc| doc.id.clone()));
        }
        if renamed {
            ids.extend(view.history.touching.keys().cloned());
        }
        Ok(ids)
    }

    /// All documents that were ever touched by what is held, which is causally closed.
    pub(crate) fn documents(&mut self, vector: &Vector) -> Checked<BTreeSet<String>> {
        let (key, now) = (self.view(vector)?, seen(vector));
        let history = &self.views[&key].history;
        ensure!(history.is_causally_closed(&now), "it is not causally closed");
        Ok(history.touching.keys().cloned().collect())
    }

    /// What whoever has this vector shows of a document.
    pub(crate) fn expect(&mut self, vector: &Vector, id: &str) -> Checked<Rc<Option<Shown>>> {
        let (key, now) = (self.view(vector)?, seen(vector));
        let view = self.views.get_mut(&key).expect("it was brought up just now");
        let mut known: BTreeMap<Origin, Seq> = BTreeMap::new();
        let touching = view.history.touching.get(id).into_iter().flatten();
        for dot in touching.filter(|dot| covers(&now, dot)) {
            known.insert(dot.origin, dot.seq);
        }
        let key = (id.to_owned(), known.into_iter().collect());
        let history = &view.history;
        let shown = || Rc::new(history.view_of(id, &now, Reading::Stated));
        Ok(Rc::clone(view.shown.entry(key).or_insert_with(shown)))
    }
}

impl Line {
    fn newest(&self) -> Seq {
        self.base + self.txns.len() as Seq
    }

    fn at(&self, seq: Seq) -> Option<ShortHash> {
        let index = seq.checked_sub(self.base + 1)?;
        self.txns.get(index as usize).copied()
    }
}

/// Numbers alone.
pub(crate) fn seen(vector: &Vector) -> Seen {
    vector.iter().map(|(origin, head)| (*origin, head.seq)).collect()
}

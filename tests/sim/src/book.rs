//! A book: everything that was ever written to one collection, and what follows from it.
//!
//! A dot stands for one transaction, unless a store was copied or rolled back: then its node may
//! write another one under a dot that it has used. Each origin's history is a tree, therefore,
//! and a store holds one *line* of it: the first line has number 0, and where a transaction
//! follows one that has a successor already, a new line begins. Of a tree without forks there is
//! one line, and nothing else to know. What a store ought to show is worked out from the lines
//! that its vector names, by the hashes in it.

use std::collections::BTreeMap;
use std::rc::Rc;

use littoral::id::{Dot, Hash, Head, NodeId, Origin, Seq, Vector};
use littoral::txn::{Signed, Txn};

use crate::oracle::{History, Past, Reading, Seen, Shown, covers};
use crate::{Checked, ensure};

type Touched = (String, Vec<(Origin, Seq)>);

/// Of the origins of which a store holds another line than the first, which.
pub(crate) type Lines = BTreeMap<Origin, u32>;

/// One collection.
#[derive(Default)]
pub(crate) struct Book {
    entries: BTreeMap<Dot, Vec<Entry>>,
    /// Of each line but the first: from which one it departs, and its first number.
    departures: BTreeMap<(Origin, u32), (u32, Seq)>,
    noted: u64,
    views: BTreeMap<Lines, View>,
    /// The digest of cells that goes with a vector.
    states: BTreeMap<[u8; 32], [u8; 32]>,
}

/// A transaction.
pub(crate) struct Entry {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) txn: Txn,
    /// It was signed again, under the name that it has here.
    pub(crate) renewed: bool,
    /// Some store has handed it to somebody.
    pub(crate) let_go: bool,
    /// Its author counts it as handed out.
    pub(crate) marked: bool,
    line: u32,
    /// The order in which entries were noted.
    serial: u64,
}

/// What follows from some lines.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) history: History,
    /// What the oracle said, by document and by what of the transactions that touch it is known.
    shown: BTreeMap<Touched, Rc<Option<Shown>>>,
}

impl Book {
    /// How many transactions there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// What is known under a dot.
    pub(crate) fn at(&self, dot: &Dot) -> &[Entry] {
        self.entries.get(dot).map_or(&[], Vec::as_slice)
    }

    /// Notes a transaction that is new. What comes before it was noted before.
    pub(crate) fn note(&mut self, signed: Signed, renewed: bool) -> Checked {
        let Signed { bytes, txn, hash, .. } = signed;
        let (origin, seq) = (txn.dot.origin, txn.dot.seq);
        let mut line = 0;
        if seq > 1 {
            let before = self.at(&Dot { origin, seq: seq - 1 });
            let before = before.iter().find(|entry| entry.hash == txn.prev);
            line = before.ok_or_else(|| format!("{} follows what nobody wrote", txn.dot))?.line;
        }
        if self.at(&txn.dot).iter().any(|entry| entry.line == line) {
            let last = self.departures.range((origin, 0)..=(origin, u32::MAX)).next_back();
            let new = last.map_or(1, |((_, line), _)| line + 1);
            self.departures.insert((origin, new), (line, seq));
            line = new;
        }
        for (lines, view) in &mut self.views {
            let held = lines.get(&origin).copied().unwrap_or(0);
            if line_at(&self.departures, &origin, held, seq) == line {
                view.history.note(txn.clone());
            }
        }
        let serial = self.noted;
        self.noted += 1;
        let dot = txn.dot;
        let (let_go, marked) = (false, false);
        let entry = Entry { bytes, hash, txn, renewed, let_go, marked, line, serial };
        self.entries.entry(dot).or_default().push(entry);
        Ok(())
    }

    /// Forgets a transaction that nobody holds: it has never been.
    pub(crate) fn forget(&mut self, dot: &Dot, hash: Hash) {
        if let Some(entries) = self.entries.get_mut(dot) {
            entries.retain(|entry| entry.hash != hash);
        }
        self.views.clear();
    }

    /// Which lines whoever has this vector holds.
    pub(crate) fn lines(&self, vector: &Vector) -> Checked<Lines> {
        let mut lines = Lines::new();
        for (origin, head) in vector.iter() {
            let dot = Dot { origin: *origin, seq: head.seq };
            ensure!(!self.at(&dot).is_empty(), "it covers {dot}, which nobody wrote");
            let entry = self.at(&dot).iter().find(|entry| entry.hash.short() == head.hash);
            let entry = entry.ok_or_else(|| format!("it has another hash of {dot}"))?;
            if entry.line != 0 {
                lines.insert(*origin, entry.line);
            }
        }
        Ok(lines)
    }

    /// What whoever holds these lines holds under a dot, if he holds it.
    pub(crate) fn entry(&self, lines: &Lines, dot: &Dot) -> Option<&Entry> {
        let line = lines.get(&dot.origin).copied().unwrap_or(0);
        let line = line_at(&self.departures, &dot.origin, line, dot.seq);
        self.at(dot).iter().find(|entry| entry.line == line)
    }

    /// Whether whoever has this vector holds the transaction with this hash.
    pub(crate) fn holds(&self, vector: &Vector, dot: &Dot, hash: Hash) -> bool {
        let lines = || self.lines(vector).unwrap_or_default();
        vector.covers(dot) && self.entry(&lines(), dot).is_some_and(|entry| entry.hash == hash)
    }

    /// A dot under which two vectors have different transactions, if there is one.
    pub(crate) fn contradiction(&self, a: &Vector, b: &Vector) -> Option<Dot> {
        let [x, y] = [a, b].map(|vector| self.lines(vector).unwrap_or_default());
        let differs = |dot: &Dot| {
            let [x, y] = [&x, &y].map(|lines| self.entry(lines, dot).map(|entry| entry.hash));
            x != y
        };
        let common = a.iter().map(|(origin, head)| {
            let seq = head.seq.min(b.seq(origin));
            Dot { origin: *origin, seq }
        });
        common.filter(|dot| dot.seq > 0).find(differs)
    }

    /// Somebody hands out what is held under this dot.
    pub(crate) fn let_go(&mut self, dot: &Dot, hash: Hash) -> bool {
        let entries = self.entries.get_mut(dot).into_iter().flatten();
        let mut entries = entries.filter(|entry| entry.hash == hash && !entry.let_go);
        let first = entries.next();
        first.map(|entry| entry.let_go = true).is_some()
    }

    /// Whoever has this vector counts what it wrote as handed out up to this dot. Gives whether
    /// that is news.
    pub(crate) fn mark(&mut self, vector: &Vector, upto: &Dot) -> bool {
        let lines = self.lines(vector).unwrap_or_default();
        let mut news = false;
        for seq in (1..=upto.seq.min(vector.seq(&upto.origin))).rev() {
            let dot = Dot { origin: upto.origin, seq };
            let Some(hash) = self.entry(&lines, &dot).map(|entry| entry.hash) else { break };
            let entries = self.entries.get_mut(&dot).into_iter().flatten();
            let Some(entry) = entries.into_iter().find(|entry| entry.hash == hash) else { break };
            if std::mem::replace(&mut entry.marked, true) {
                break;
            }
            news = true;
        }
        news
    }

    /// All that a node wrote and some store of it has handed out, or counts as handed out.
    pub(crate) fn handed_out(&self, node: &NodeId) -> impl Iterator<Item = (&Dot, &Entry)> {
        let of_node = self.entries.iter().filter(move |(dot, _)| dot.origin.node == *node);
        let all = of_node.flat_map(|(dot, entries)| entries.iter().map(move |entry| (dot, entry)));
        all.filter(|(_, entry)| entry.let_go || entry.marked)
    }

    /// The state at a vector is this, or is another one than it was.
    pub(crate) fn is_state(&mut self, vector: &Vector, cells: Hash) -> bool {
        *self.states.entry(vector.digest().0).or_insert(cells.0) == cells.0
    }

    /// What follows from some lines.
    pub(crate) fn view(&mut self, lines: &Lines) -> &mut View {
        if !self.views.contains_key(lines) {
            let mut held: Vec<&Entry> = Vec::new();
            for dot in self.entries.keys() {
                held.extend(self.entry(lines, dot));
            }
            held.sort_by_key(|entry| entry.serial);
            let mut view = View::default();
            held.into_iter().for_each(|entry| view.history.note(entry.txn.clone()));
            self.views.insert(lines.clone(), view);
        }
        self.views.get_mut(lines).expect("it was made just now")
    }

    /// The head that a vector has of what is held under a dot.
    pub(crate) fn head(&self, lines: &Lines, dot: &Dot) -> Option<Head> {
        self.entry(lines, dot).map(|entry| Head { seq: dot.seq, hash: entry.hash.short() })
    }
}

impl View {
    /// A transaction and what its author had seen.
    pub(crate) fn past(&self, dot: &Dot) -> Checked<&Past> {
        self.history.txns.get(dot).ok_or_else(|| format!("nobody wrote {dot}"))
    }

    /// What whoever holds so much shows of a document.
    pub(crate) fn expect(&mut self, id: &str, now: &Seen) -> Rc<Option<Shown>> {
        let mut known: BTreeMap<Origin, Seq> = BTreeMap::new();
        let touching = self.history.touching.get(id).into_iter().flatten();
        for dot in touching.filter(|dot| covers(now, dot)) {
            known.insert(dot.origin, dot.seq);
        }
        let key = (id.to_owned(), known.into_iter().collect());
        let view = || Rc::new(self.history.view_of(id, now, Reading::Stated));
        Rc::clone(self.shown.entry(key).or_insert_with(view))
    }
}

/// The line on which a number of an origin lies for whoever holds `line` of it.
fn line_at(
    departures: &BTreeMap<(Origin, u32), (u32, Seq)>,
    origin: &Origin,
    mut line: u32,
    seq: Seq,
) -> u32 {
    while let Some((from, first)) = departures.get(&(*origin, line)).filter(|(_, f)| seq < *f) {
        debug_assert!(seq < *first);
        line = *from;
    }
    line
}

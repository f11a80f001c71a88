//! What a replica must show, from nothing but the transactions and who had seen what.
//!
//! The oracle of `tests/model.py` over real transactions, and on top of it which of several
//! kinds and siblings a reader sees. It shares no code with the rows: it knows the bytes of
//! keys, and keeps no state but the history.
//!
//! Two readings of "a removal kills what its author had seen" are computed: the *stated* one,
//! what the operations name, and the *causal* one of the model, everything in the removal's
//! past. They agree unless an author put back a document that was read earlier: then the
//! removal covers only what that reader saw, and the stated reading is the promise.

use std::collections::{BTreeMap, BTreeSet};

use littoral::clock::Timestamp;
use littoral::crdt::Op;
use littoral::id::{Dot, Origin, Seq};
use littoral::txn::Txn;
use littoral::value::codec;
use littoral::{Field, Fields};

pub(crate) type Seen = BTreeMap<Origin, Seq>;
pub(crate) type Rank = (Timestamp, Origin, Seq);

/// A transaction and everything its author had seen.
pub(crate) struct Past {
    pub(crate) txn: Txn,
    /// What its author has named so far.
    named: Seen,
    pub(crate) seen: Seen,
}

/// Every transaction of one collection that was ever written.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) txns: BTreeMap<Dot, Past>,
    /// Of each document, the transactions that touch it.
    pub(crate) touching: BTreeMap<String, BTreeSet<Dot>>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    Stated,
    Causal,
}

pub(crate) fn covers(seen: &Seen, dot: &Dot) -> bool {
    seen.get(&dot.origin).is_some_and(|&seq| seq >= dot.seq)
}

impl History {
    /// Notes a transaction; its author's earlier ones were noted before.
    pub(crate) fn note(&mut self, txn: Txn) {
        let own = txn.dot.origin;
        let before = Dot { origin: own, seq: txn.dot.seq - 1 };
        let past = self.txns.get(&before);
        let mut named = past.map(|past| past.named.clone()).unwrap_or_default();
        let mut seen = past.map(|past| past.seen.clone()).unwrap_or_default();
        if before.seq > 0 {
            named.insert(own, before.seq);
            seen.insert(own, before.seq);
        }
        for dep in &txn.deps {
            let newest = named.entry(dep.origin).or_default();
            assert!(*newest < dep.seq, "{} names {} again: deps are differences", txn.dot, dep.seq);
            *newest = dep.seq;
            let newest = seen.entry(dep.origin).or_default();
            *newest = (*newest).max(dep.seq);
            // What that one had seen is seen as well. A history that goes on under a new name
            // names the old one, and nothing before it.
            let dot = Dot { origin: dep.origin, seq: dep.seq };
            for (origin, seq) in self.txns.get(&dot).into_iter().flat_map(|past| &past.seen) {
                let newest = seen.entry(*origin).or_default();
                *newest = (*newest).max(*seq);
            }
        }
        for doc in &txn.docs {
            self.touching.entry(doc.id.clone()).or_default().insert(txn.dot);
        }
        self.txns.insert(txn.dot, Past { txn, named, seen });
    }

    /// Forgets a transaction that was lost before anybody but its author had seen it.
    pub(crate) fn forget(&mut self, dot: &Dot) {
        self.txns.remove(dot);
        self.touching.values_mut().for_each(|dots| {
            dots.remove(dot);
        });
    }

    fn known<'a>(&'a self, vv: &'a Seen) -> impl Iterator<Item = &'a Past> {
        self.txns.values().filter(|past| covers(vv, &past.txn.dot))
    }

    /// Whether whoever holds `vv` holds everything that its transactions had seen.
    pub(crate) fn is_causally_closed(&self, vv: &Seen) -> bool {
        self.known(vv).all(|past| past.seen.iter().all(|(o, s)| vv.get(o).is_some_and(|n| n >= s)))
    }

    /// What a replica at `vv` shows of each document.
    pub(crate) fn view(&self, vv: &Seen, reading: Reading) -> BTreeMap<String, Shown> {
        let shown = |id: &String| Some((id.clone(), self.view_of(id, vv, reading)?));
        self.touching.keys().filter_map(shown).collect()
    }

    /// What a replica at `vv` shows of one document, if it is there.
    pub(crate) fn view_of(&self, id: &str, vv: &Seen, reading: Reading) -> Option<Shown> {
        let touching = self.touching.get(id)?.iter().filter(|dot| covers(vv, dot));
        let known: Vec<&Past> = touching.map(|dot| &self.txns[dot]).collect();
        let ops = |past: &'_ Past| -> Vec<Op> {
            let of = past.txn.docs.iter().filter(|doc| doc.id == id);
            of.flat_map(|doc| doc.ops.iter().cloned()).collect()
        };
        let all: Vec<(&Past, Vec<Op>)> = known.iter().map(|past| (*past, ops(past))).collect();
        let removes = |op: &&Op| matches!(op, Op::Clear { .. } | Op::Settle { .. });
        let removals: Vec<(&Past, &Op)> = all
            .iter()
            .flat_map(|(past, ops)| ops.iter().filter(removes).map(|op| (*past, op)))
            .collect();
        let mut node = Node::default();
        for (past, ops) in &all {
            let dead = |key: &[u8], birth: Option<Seq>| {
                let dot = past.txn.dot;
                removals.iter().any(|(by, op)| kills(by, op, key, &dot, birth, reading))
            };
            let rank = (past.txn.time, past.txn.dot.origin, past.txn.dot.seq);
            for op in ops {
                match op {
                    Op::Put { key, value } if !dead(key, None) => {
                        node.at(key, |node, slot, content| node.put(slot, content, value, rank));
                    }
                    Op::Add { key, birth, by, .. } if !dead(key, Some(*birth)) => {
                        node.at(key, |node, _, _| node.add(*by, *birth, rank));
                    }
                    _ => {}
                }
            }
        }
        let mut conflicts = BTreeMap::new();
        let (field, _) = node.show(&mut Vec::new(), &mut conflicts)?;
        let Field::Map(fields) = field else { panic!("a document is a map") };
        Some(Shown { fields, conflicts })
    }
}

/// Whether `op` of `by` kills what the transaction `dot` wrote at `key`, in the counter row
/// that began at `birth` if it is an addition.
fn kills(by: &Past, op: &Op, key: &[u8], dot: &Dot, birth: Option<Seq>, reading: Reading) -> bool {
    match (op, birth, reading) {
        (Op::Clear { prefix, upto }, None, Reading::Stated) => {
            key.starts_with(prefix)
                && upto.iter().any(|d| d.origin == dot.origin && d.seq >= dot.seq)
        }
        (Op::Settle { key: at, row, seq, .. }, Some(birth), Reading::Stated) => {
            at == key && *row == Dot { origin: dot.origin, seq: birth } && *seq >= dot.seq
        }
        (Op::Clear { prefix, .. }, _, Reading::Causal) => {
            key.starts_with(prefix) && covers(&by.seen, dot)
        }
        (Op::Settle { key: at, .. }, Some(_), Reading::Causal) => {
            at == key && covers(&by.seen, dot)
        }
        _ => false,
    }
}

/// What is shown of a document: its fields, and the candidates of each conflict, best first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) fields: Fields,
    pub(crate) conflicts: BTreeMap<Vec<String>, Vec<Field>>,
}

/// A place in a document: what lives there, of each kind.
#[derive(Default)]
struct Node {
    values: BTreeMap<Vec<u8>, Rank>,
    map: Option<Rank>,
    set: Option<(Rank, Vec<Vec<u8>>)>,
    /// The sum, and of each author's row the newest addition: that one is its rank, also if the
    /// author's clock was put back since an earlier one.
    sum: i128,
    rows: BTreeMap<(Origin, Seq), Rank>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn at(&mut self, key: &[u8], then: impl FnOnce(&mut Node, u8, &[u8])) {
        if key[0] != 0x10 {
            return then(self, key[0], &key[1..]);
        }
        let end = key.iter().position(|&byte| byte == 0).unwrap();
        let mut name = Vec::new();
        let mut bytes = key[1..end].iter();
        while let Some(&byte) = bytes.next() {
            name.push(if byte == 1 { bytes.next().unwrap() - 1 } else { byte });
        }
        let name = String::from_utf8(name).unwrap();
        self.children.entry(name).or_default().at(&key[end + 1..], then);
    }

    fn put(&mut self, slot: u8, content: &[u8], value: &[u8], rank: Rank) {
        match slot {
            1 => {
                let highest = self.values.entry(value.to_vec()).or_insert(rank);
                *highest = rank.max(*highest);
            }
            2 => self.map = self.map.max(Some(rank)),
            3 | 4 => {
                let (highest, elements) = self.set.get_or_insert((rank, Vec::new()));
                *highest = rank.max(*highest);
                if slot == 4 {
                    elements.push(content.to_vec());
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, by: i64, birth: Seq, rank: Rank) {
        let newest = self.rows.entry((rank.1, birth)).or_insert(rank);
        if newest.2 < rank.2 {
            *newest = rank;
        }
        self.sum += i128::from(by);
    }

    fn counter_rank(&self) -> Option<Rank> {
        self.rows.values().copied().max()
    }

    /// The highest put at or below this place.
    fn highest(&self) -> Option<Rank> {
        let own = [
            self.values.values().copied().max(),
            self.map,
            self.set.as_ref().map(|set| set.0),
            self.counter_rank(),
        ];
        own.into_iter().chain(self.children.values().map(Node::highest)).flatten().max()
    }

    fn show(
        &self,
        path: &mut Vec<String>,
        conflicts: &mut BTreeMap<Vec<String>, Vec<Field>>,
    ) -> Option<(Field, Rank)> {
        let mut sides: Vec<(Field, Rank)> = Vec::new();
        let (mut below, mut fields) = (BTreeMap::new(), Fields::new());
        for (name, child) in &self.children {
            path.push(name.clone());
            if let Some((field, _)) = child.show(path, &mut below) {
                fields.insert(name.clone(), field);
            }
            path.pop();
        }
        let filled = self.children.values().map(Node::highest).max().flatten();
        sides.extend(self.map.max(filled).map(|rank| (Field::Map(fields), rank)));
        sides.extend(self.set.as_ref().map(|(rank, elements)| {
            let elements = elements.iter().map(|bytes| codec::decode(bytes).unwrap());
            (Field::Set(elements.collect()), *rank)
        }));
        let sum = self.sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        sides.extend(self.counter_rank().map(|rank| (Field::Counter(sum), rank)));
        for (value, rank) in &self.values {
            sides.push((Field::Value(codec::decode(value).unwrap()), *rank));
        }
        sides.sort_by_key(|side| std::cmp::Reverse(side.1));
        if sides.first().is_some_and(|(field, _)| matches!(field, Field::Map(_))) {
            conflicts.append(&mut below);
        }
        if sides.len() > 1 {
            let candidates = sides.iter().map(|(field, _)| field.clone()).collect();
            conflicts.insert(path.clone(), candidates);
        }
        sides.into_iter().next()
    }
}

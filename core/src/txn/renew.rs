//! Signing again: own transactions that nobody else holds, under another origin.
//!
//! When a node finds that its key has written elsewhere under the numbers it was about to use
//! (a backup was restored, a store was copied), what it wrote and never handed out gets new
//! numbers under a new incarnation (rule 10). [`Renewal`] rewrites such transactions one by
//! one, in their order: what they say is the same, only the names change. Number `mark + n` of
//! the old origin becomes number `n` of the fresh one.
//!
//! An addition to a counter row that was begun at or before the mark can't go on in it: a row
//! has one author, and that is now somebody else. It begins a row of its own.

use std::collections::BTreeMap;

use super::{Dep, Txn};
use crate::crdt::{Addition, DocOps, Op};
use crate::id::{Dot, Hash, Origin, Seq};

/// Own transactions above a mark, being given new names.
#[derive(Debug)]
pub struct Renewal {
    old: Origin,
    mark: Seq,
    fresh: Origin,
    /// The transaction at the mark; none if it is 0.
    before: Option<Hash>,
    /// Counter rows of the old origin that went on after the mark, by document, key and birth.
    rows: BTreeMap<(String, Vec<u8>, Seq), Continued>,
}

/// What follows the mark in a counter row of the old origin, as a row of the fresh one.
#[derive(Debug, Clone, Copy)]
struct Continued {
    birth: Seq,
    /// The old row's total at the mark.
    before: i128,
}

impl Renewal {
    /// What `old` wrote after `mark`, whose hash is `before`, is to be `fresh`'s.
    pub fn new(old: Origin, mark: Seq, before: Hash, fresh: Origin) -> Renewal {
        let before = (mark > 0).then_some(before);
        Renewal { old, mark, fresh, before, rows: BTreeMap::new() }
    }

    /// The next transaction under its new name; `prev` is the hash of the one before it.
    pub fn renew(&mut self, txn: &Txn, prev: Hash) -> Txn {
        debug_assert!(txn.dot.origin == self.old && txn.dot.seq > self.mark);
        let dot = self.dot(txn.dot);
        let mut deps = txn.deps.clone();
        if let (1, Some(before)) = (dot.seq, self.before) {
            deps.push(Dep { origin: self.old, seq: self.mark, hash: before.short() });
            deps.sort_by_key(|dep| dep.origin);
        }
        let docs = txn.docs.iter().map(|doc| DocOps {
            id: doc.id.clone(),
            ops: doc.ops.iter().flat_map(|op| self.op(&doc.id, op, dot.seq)).collect(),
        });
        Txn { dot, prev, time: txn.time, deps, docs: docs.collect() }
    }

    fn is_renewed(&self, dot: &Dot) -> bool {
        dot.origin == self.old && dot.seq > self.mark
    }

    fn dot(&self, dot: Dot) -> Dot {
        match self.is_renewed(&dot) {
            true => Dot { origin: self.fresh, seq: dot.seq - self.mark },
            false => dot,
        }
    }

    fn op(&mut self, id: &str, op: &Op, own: Seq) -> Vec<Op> {
        match op {
            Op::Put { .. } => vec![op.clone()],
            Op::Clear { prefix, upto } => {
                let upto = upto.iter().flat_map(|dot| self.both(*dot));
                let mut upto: Vec<Dot> = upto.collect();
                upto.sort_unstable();
                vec![Op::Clear { prefix: prefix.clone(), upto }]
            }
            Op::Add { key, birth, total, by, after } if *birth > self.mark => {
                let birth = birth - self.mark;
                let after = after.map(|after| Addition { seq: after.seq - self.mark, ..after });
                vec![Op::Add { key: key.clone(), birth, total: *total, by: *by, after }]
            }
            Op::Add { key, birth, total, by, after } => {
                let before = total.saturating_sub(i128::from(*by));
                let row = self.rows.entry((id.to_owned(), key.clone(), *birth));
                let row = *row.or_insert(Continued { birth: own, before });
                let total = total.saturating_sub(row.before);
                let after = after.filter(|_| row.birth < own);
                let after = after.map(|after| Addition { seq: after.seq - self.mark, ..after });
                vec![Op::Add { key: key.clone(), birth: row.birth, total, by: *by, after }]
            }
            Op::Continue { .. } => Vec::new(),
            Op::Settle { key, row, seq, total } => self.settle(id, key, *row, *seq, *total),
        }
    }

    /// What a clear has seen up to a dot of the old origin: what was its before the mark, too.
    fn both(&self, dot: Dot) -> impl Iterator<Item = Dot> + use<> {
        let renewed = self.is_renewed(&dot);
        let at_mark = Dot { origin: self.old, seq: self.mark };
        (renewed && self.mark > 0).then_some(at_mark).into_iter().chain([self.dot(dot)])
    }

    fn settle(&self, id: &str, key: &[u8], row: Dot, seq: Seq, total: i128) -> Vec<Op> {
        let settle = |row, seq, total| Op::Settle { key: key.to_vec(), row, seq, total };
        if self.is_renewed(&row) {
            return vec![settle(self.dot(row), seq.saturating_sub(self.mark), total)];
        }
        if row.origin != self.old || seq <= self.mark {
            return vec![settle(row, seq, total)];
        }
        // Seen after the mark: all of the row as it was there, and of what followed it so much.
        match self.rows.get(&(id.to_owned(), key.to_vec(), row.seq)) {
            None => vec![settle(row, self.mark, total)],
            Some(after) => {
                let rest = Dot { origin: self.fresh, seq: after.birth };
                vec![
                    settle(row, self.mark, after.before),
                    settle(rest, seq - self.mark, total.saturating_sub(after.before)),
                ]
            }
        }
    }
}

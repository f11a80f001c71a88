//! Admission: which transactions may enter the log next.
//!
//! Invariant, hence also of the log's order: a transaction is admitted only when its
//! author's one before it is here, with the hash it names, and everything that it depends
//! on. A dot that an operation names counts as a dependency (schedule S6). Admission reads
//! the heads and what the same batch admitted before; it changes nothing.

use std::collections::BTreeMap;

use super::heads::Heads;
use crate::crdt::Op;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Seq};
use crate::txn::{Signed, Txn};

/// Which transactions may enter the log next: what is applied, and what this batch has admitted.
pub(super) struct Admission<'a> {
    heads: &'a Heads,
    admitted: BTreeMap<(String, Origin), (Seq, Hash)>,
}

impl<'a> Admission<'a> {
    pub(super) fn new(heads: &'a Heads) -> Admission<'a> {
        Admission { heads, admitted: BTreeMap::new() }
    }

    /// Admits `signed`; `false` if it is here already. An error admits nothing.
    pub(super) fn admit(&mut self, collection: &str, signed: &Signed) -> Result<bool> {
        let txn = &signed.txn;
        let (seq, hash) = self.newest(collection, txn.dot.origin);
        if txn.dot.seq <= seq {
            return Ok(false);
        }
        if txn.dot.seq != seq + 1 {
            return Err(missing(&txn.dot, &Dot { origin: txn.dot.origin, seq: txn.dot.seq - 1 }));
        }
        if txn.prev != hash {
            return Err(Error::bad_txn(format!(
                "transaction {} does not follow the one before it that is here: its author's history has forked",
                txn.dot
            )));
        }
        self.check_deps(collection, txn)?;
        self.admitted.insert((collection.to_owned(), txn.dot.origin), (txn.dot.seq, signed.hash));
        Ok(true)
    }

    fn newest(&self, collection: &str, origin: Origin) -> (Seq, Hash) {
        if let Some(newest) = self.admitted.get(&(collection.to_owned(), origin)) {
            return *newest;
        }
        let row = self.heads.named(collection).and_then(|head| head.vector.get(&origin));
        row.map_or((0, Hash::default()), |row| (row.seq, row.hash))
    }

    fn check_deps(&self, collection: &str, txn: &Txn) -> Result<()> {
        for dep in &txn.deps {
            let (seq, hash) = self.newest(collection, dep.origin);
            let dot = Dot { origin: dep.origin, seq: dep.seq };
            if seq < dep.seq {
                return Err(missing(&txn.dot, &dot));
            }
            if seq == dep.seq && hash.short() != dep.hash {
                return Err(Error::bad_txn(format!(
                    "transaction {} builds on a {dot} that differs from ours: the history of that origin has forked",
                    txn.dot
                )));
            }
        }
        let named = txn.docs.iter().flat_map(|doc| &doc.ops).flat_map(named_dots);
        for dot in named.filter(|dot| dot.origin != txn.dot.origin) {
            if self.newest(collection, dot.origin).0 < dot.seq {
                return Err(missing(&txn.dot, &dot));
            }
        }
        Ok(())
    }
}

fn named_dots(op: &Op) -> Vec<Dot> {
    match op {
        Op::Clear { upto, .. } => upto.clone(),
        Op::Settle { row, seq, .. } => vec![Dot { origin: row.origin, seq: *seq }],
        Op::Put { .. } | Op::Add { .. } => Vec::new(),
    }
}

fn missing(dot: &Dot, dep: &Dot) -> Error {
    Error::new(
        ErrorKind::MissingDependency,
        format!("transaction {dot} builds on {dep}, which is not here yet"),
    )
}

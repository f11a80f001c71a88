//! Admission: which transactions may enter the log next.
//!
//! Invariant, hence also of the log's order: a transaction is admitted only when its
//! author's one before it is here, with the hash it names, and everything that it depends
//! on. A dot that an operation names counts as a dependency (schedule S6).
//!
//! One name, two transactions: what is held under a dot is told apart by its hash, as far
//! back as the index of transactions goes; what is older counts as the same. A transaction
//! that contradicts what is held, or builds on something that does, is a fork (rule 11), and
//! is never admitted.
//!
//! Admission reads the heads, the index, and what the same batch admitted before; it changes
//! nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use redb::{Database, ReadTransaction, ReadableDatabase};

use super::heads::Heads;
use super::tables::{self, IndexRow, db};
use crate::crdt::Op;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Seq, ShortHash};
use crate::txn::{Signed, Txn};

/// Which transactions may enter the log next: what is applied, and what this batch has admitted.
pub(super) struct Admission<'a> {
    heads: &'a Heads,
    index: Index<'a>,
    /// Of each origin, the hashes of what was admitted: neighbours, the newest last.
    admitted: BTreeMap<(String, Origin), (Seq, Vec<Hash>)>,
}

/// The hashes of held transactions, as far back as they are known.
pub(super) struct Index<'a> {
    database: &'a Database,
    /// Taken at the first question: most batches have none.
    read: OnceCell<ReadTransaction>,
}

impl<'a> Admission<'a> {
    /// `database` is where the heads are at.
    pub(super) fn new(heads: &'a Heads, database: &'a Database) -> Admission<'a> {
        Admission { heads, index: Index::new(database), admitted: BTreeMap::new() }
    }

    /// Admits `signed`; `false` if it is here already. An error admits nothing.
    pub(super) fn admit(&mut self, collection: &str, signed: &Signed) -> Result<bool> {
        let txn = &signed.txn;
        let (seq, hash) = self.newest(collection, txn.dot.origin);
        if txn.dot.seq <= seq {
            return match self.differs(collection, &txn.dot, signed.hash.short())? {
                false => Ok(false),
                true => Err(forked(format!(
                    "another transaction {} is here: the history of its author has forked",
                    txn.dot
                ))),
            };
        }
        if txn.dot.seq != seq + 1 {
            return Err(missing(&txn.dot, &Dot { origin: txn.dot.origin, seq: txn.dot.seq - 1 }));
        }
        if txn.prev != hash {
            return Err(forked(format!(
                "transaction {} does not follow the one before it that is here: the history of its author has forked",
                txn.dot
            )));
        }
        self.check_deps(collection, txn)?;
        let key = (collection.to_owned(), txn.dot.origin);
        self.admitted.entry(key).or_insert((txn.dot.seq, Vec::new())).1.push(signed.hash);
        Ok(true)
    }

    fn newest(&self, collection: &str, origin: Origin) -> (Seq, Hash) {
        if let Some((first, hashes)) = self.admitted.get(&(collection.to_owned(), origin)) {
            let newest = *hashes.last().expect("an entry begins with a transaction");
            return (first + hashes.len() as u64 - 1, newest);
        }
        let row = self.heads.named(collection).and_then(|head| head.vector.get(&origin));
        row.map_or((0, Hash::default()), |row| (row.seq, row.hash))
    }

    /// Whether what is held at `dot` is known to be another transaction than the one with `hash`.
    fn differs(&self, collection: &str, dot: &Dot, hash: ShortHash) -> Result<bool> {
        if let Some((first, hashes)) = self.admitted.get(&(collection.to_owned(), dot.origin))
            && dot.seq >= *first
        {
            return Ok(hashes.get((dot.seq - first) as usize).is_some_and(|h| h.short() != hash));
        }
        let held = self.index.hash_at(self.heads, collection, dot)?;
        Ok(held.is_some_and(|held| held != hash))
    }

    fn check_deps(&self, collection: &str, txn: &Txn) -> Result<()> {
        for dep in &txn.deps {
            let dot = Dot { origin: dep.origin, seq: dep.seq };
            if self.newest(collection, dep.origin).0 < dep.seq {
                return Err(missing(&txn.dot, &dot));
            }
            if self.differs(collection, &dot, dep.hash)? {
                return Err(forked(format!(
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

impl<'a> Index<'a> {
    pub(super) fn new(database: &'a Database) -> Index<'a> {
        Index { database, read: OnceCell::new() }
    }

    /// The hash of the transaction that is held at `dot`; `None` if none is, or if it is older
    /// than the index.
    pub(super) fn hash_at(
        &self,
        heads: &Heads,
        collection: &str,
        dot: &Dot,
    ) -> Result<Option<ShortHash>> {
        let Some(head) = heads.named(collection) else { return Ok(None) };
        match head.vector.get(&dot.origin) {
            None => return Ok(None),
            Some(row) if row.seq < dot.seq => return Ok(None),
            Some(row) if row.seq == dot.seq => return Ok(Some(row.hash.short())),
            Some(_) => {}
        }
        let Some(origin) = heads.origins.number(&dot.origin) else { return Ok(None) };
        let key = tables::transaction_key(head.number, origin, dot.seq);
        let entry = tables::read(self.read()?, tables::TRANSACTIONS, &key)?;
        entry.map(|bytes| IndexRow::decode(&bytes).map(|entry| entry.hash)).transpose()
    }

    fn read(&self) -> Result<&ReadTransaction> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let read = self.database.begin_read().map_err(db)?;
        Ok(self.read.get_or_init(|| read))
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

fn forked(message: String) -> Error {
    Error::new(ErrorKind::Forked, message)
}

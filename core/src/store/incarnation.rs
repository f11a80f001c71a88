//! A new incarnation: this node goes on under a name that nobody else uses.
//!
//! An origin is the node's key and an incarnation. Two things end the present one in a
//! collection (rule 10):
//!
//! - **Proof**: somebody shows a transaction that this node's key has signed and that is not
//!   held here, under the present incarnation. So another store writes under it, or wrote
//!   before this one was rolled back. Numbers alone prove nothing.
//! - **Suspicion**: the store was copied ([`place`](super::place)).
//!
//! If what is shown goes on from all that was written here, the incarnation is given up, and that
//! is all. If not, the history has forked, and both sides are kept
//! ([`branches`](super::branches)), also where this side was never handed out: a clone of this
//! store may hold the same transactions, and whoever signed them again would have them twice. A
//! local write that was begun before fails, with nothing written: it has built on names that are
//! no longer right.

use super::Inner;
use super::admission::{Fork, Index};
use super::commit::{Committer, lock};
use super::heads::CollectionHead;
use super::journal::{EventKind, NewEvent};
use super::tables::{self, Tables, db, set};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Position, Seq};
use crate::txn::snapshot::ViewHead;
use crate::txn::{Scope, Signed};

/// What a view shows of this store's history.
pub(super) struct Shown {
    /// It has more under this node's present name than is held here.
    continues: bool,
    /// Under that name it has the same, up to this number; or another side, and then this is all
    /// of ours.
    own: Seq,
    /// It has another transaction than is held here, at this dot or before it.
    apart: Option<Dot>,
}

impl Inner {
    /// Checks that under the names which a view shares with this store it has the same
    /// transactions, as far as hashes are known: those of its newest, which are proven, and those
    /// of what came before ([`hashes`](super::hashes)). What it has of this node's own was handed
    /// out by somebody, and is marked so: else the same view would come again and again.
    ///
    /// A view has no chain: where own transactions that were not sent stand against more than was
    /// handed out, and the view does not tell which they are, nobody knows whether it has them.
    ///
    /// Errors: [`Forked`](ErrorKind::Forked) if it has others.
    pub(super) fn check_names(&self, collection: &str, view: &ViewHead) -> Result<Shown> {
        let shown = self.compare(collection, view)?;
        self.mark_through(collection, shown.own)?;
        match shown.apart {
            Some(dot) => Err(apart(collection, &dot)),
            None => Ok(shown),
        }
    }

    /// As [`Inner::check_names`], just before a view is joined. If this node's present name is in
    /// it with more than is here, that is proof that another store uses it.
    pub(super) fn compare_names(&self, collection: &str, view: &ViewHead) -> Result<()> {
        match self.check_names(collection, view)?.continues {
            true => self.retreat(collection),
            false => Ok(()),
        }
    }

    fn compare(&self, collection: &str, view: &ViewHead) -> Result<Shown> {
        let database = self.database()?;
        let heads = self.read_heads();
        let mut shown = Shown { continues: false, own: 0, apart: None };
        let Some(head) = heads.named(collection) else {
            // Restored to before the collection began, this store would write under the name that
            // is in the view.
            drop(heads);
            let present = self.present_origin(collection)?;
            shown.continues = view.vector.get(&present).is_some_and(|newest| newest.seq > 0);
            return Ok(shown);
        };
        let present = head.own_origin(self.node);
        let index = Index::new(&database);
        for (origin, newest) in &view.vector {
            let dot = Dot { origin: *origin, seq: newest.seq };
            let held = head.vector.get(origin).map_or(0, |row| row.seq);
            let known = std::iter::once((newest.seq, newest.hash.short()));
            let past = view.past.get(origin).into_iter().flatten().rev();
            let mut is_other = false;
            for (seq, theirs) in known.chain(past.map(|(seq, hash)| (*seq, *hash))) {
                let ours = index.hash_at(&heads, collection, &Dot { seq, ..dot })?;
                is_other |= ours.is_some_and(|ours| ours != theirs);
                if ours == Some(theirs) && dot.origin == present {
                    shown.own = seq;
                }
                // Below this all is the same; of our own it is asked up to where.
                if ours == Some(theirs) || is_other && dot.origin != present {
                    break;
                }
            }
            let untold = dot.origin == present && dot.seq > held && held > head.row.exported;
            if is_other || untold && shown.own < held {
                shown.apart.get_or_insert(dot);
            }
            if is_other && dot.origin == present {
                // Two sides for certain: it is named only where both are shown.
                shown.own = held;
            }
            shown.continues |= dot.origin == present && dot.seq > held;
        }
        Ok(shown)
    }

    /// Ends the present incarnation in a collection, leaving everything as it is.
    pub(super) fn retreat(&self, collection: &str) -> Result<()> {
        self.flush()?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let head = self.read_heads().named(collection).cloned();
        self.set_incarnation(committer, collection, head.as_ref(), self.unused_incarnation())
    }

    /// An incarnation that nothing here was ever written under: drawn by lot, since a copy of
    /// this store, at the same time, would count on in the same way.
    pub(super) fn unused_incarnation(&self) -> u32 {
        let heads = self.read_heads();
        loop {
            let incarnation = (self.incarnations)() & Origin::LAST_INCARNATION;
            let drawn = Origin { node: self.node, incarnation };
            if incarnation != 0 && heads.origins.number(&drawn).is_none() {
                return incarnation;
            }
        }
    }

    /// Collections that begin from now on are written under this incarnation.
    pub(super) fn begin_as(&self, incarnation: u32) -> Result<()> {
        self.commit_beside(|txn| {
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            set(&mut meta, tables::META_INCARNATION, &incarnation.to_be_bytes())
        })
    }

    fn set_incarnation(
        &self,
        committer: &mut Committer,
        collection: &str,
        head: Option<&CollectionHead>,
        incarnation: u32,
    ) -> Result<()> {
        let write = |committer: &mut Committer| -> Result<()> {
            committer.sync()?;
            let txn = self.begin_write(true)?;
            let mut tables = Tables::open(&txn)?;
            match head {
                None => {
                    set(&mut tables.left, collection.as_bytes(), &incarnation.to_be_bytes())?;
                }
                Some(head) => {
                    let mut row = head.row.clone();
                    (row.incarnation, row.exported) = (incarnation, 0);
                    set(&mut tables.heads, &head.number.to_be_bytes(), &row.encode())?;
                }
            }
            drop(tables);
            let mut heads = self.write_heads();
            txn.commit().map_err(db)?;
            if let Some(head) = head.and_then(|head| heads.get_mut(head.number)) {
                head.take_incarnation(incarnation, self.node);
            }
            self.begin_generation();
            Ok(())
        };
        write(committer).map_err(|err| self.poison(&err))?;
        self.note_durable(committer);
        Ok(())
    }

    /// Local writes that were begun before this fail from now on. The caller holds the heads.
    pub(super) fn begin_generation(&self) {
        lock(&self.pending).begin_generation();
    }

    pub(super) fn read_at(&self, collection: &str, position: Position) -> Result<Signed> {
        let scope = Scope { network: self.network, collection };
        let records = self.reader.read(position, 1)?;
        let record = records.into_iter().find(|record| record.position == position);
        Signed::trusted(record.ok_or_else(|| log_too_short(collection))?.bytes, scope)
    }

    /// Remembers that two transactions with one name exist.
    pub(super) fn note_fork(&self, collection: &str, fork: &Fork) -> Result<()> {
        let (number, origin) = {
            let heads = self.read_heads();
            let number = heads.named(collection).map(|head| head.number);
            let Some(numbers) = number.zip(heads.origins.number(&fork.dot.origin)) else {
                return Ok(());
            };
            numbers
        };
        let key = tables::transaction_key(number, origin, fork.dot.seq);
        let mut value = [0; 32];
        value[..16].copy_from_slice(&fork.ours.0);
        value[16..].copy_from_slice(&fork.theirs.0);
        let known = {
            let read = redb::ReadableDatabase::begin_read(&*self.database()?).map_err(db)?;
            tables::read(&read, tables::FORKS, &key)?.is_some()
        };
        if known {
            return Ok(());
        }
        tracing::error!(
            collection,
            transaction = %fork.dot,
            "two transactions have one name: its author's store was copied or rolled back"
        );
        let forked = NewEvent::new(EventKind::Forked).of(collection).about(fork.dot.origin.node);
        self.commit_beside(|txn| {
            self.note_in(txn, forked)?;
            set(&mut txn.open_table(tables::FORKS).map_err(db)?, &key, &value)
        })?;
        self.announce();
        Ok(())
    }
}

fn apart(collection: &str, dot: &Dot) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!(
            "the snapshot holds another {dot} than this store: leave collection '{collection}' on \
             one of the two and sync it anew, unless it ends by itself"
        ),
    )
}

fn log_too_short(collection: &str) -> Error {
    Error::corrupt(format!(
        "the log lacks a transaction of collection '{collection}' that the state says it holds"
    ))
}

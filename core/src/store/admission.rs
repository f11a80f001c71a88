//! Admission: which transactions may enter the log next.
//!
//! Invariant, hence also of the log's order: a transaction is admitted only when its
//! author's one before it is here, with the hash it names, and everything that it depends
//! on. A dot that an operation names counts as a dependency (schedule S6).
//!
//! One name, two transactions: what is held under a dot is told apart by its hash, as far
//! back as hashes are known ([`hashes`]); what is older counts as the same. A transaction
//! that contradicts what is held, or builds on something that does, is a fork (rule 11), and
//! is not admitted until the two sides are called apart ([`branches`](super::branches)).
//!
//! Admission reads the heads, the index, and what the same batch admitted before; it changes
//! nothing.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase};

use super::hashes::{self, Whose};
use super::heads::Heads;
use super::tables::{self, IndexRow, db};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, Origin, Seq, ShortHash};
use crate::limits::MAX_LINK_COLLECTIONS;
use crate::txn::branches::{self, Held, Place};
use crate::txn::roster::Roster;
use crate::txn::{Branches, Signed, Txn};

/// Which transactions may enter the log next: what is applied, and what this batch has admitted.
pub(super) struct Admission<'a> {
    heads: &'a Heads,
    own: NodeId,
    roster: Option<Arc<Roster>>,
    index: Index<'a>,
    /// Of each origin, the hashes of what was admitted: neighbours, the newest last.
    admitted: BTreeMap<(String, Origin), (Seq, Vec<Hash>)>,
    /// How forked origins are named, with what the authors of what was admitted have seen.
    seen: BTreeMap<String, Branches>,
}

/// Where a transaction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// This store has written it, just now or before it wrote it to its log.
    Here,
    /// A peer or a file.
    Elsewhere,
}

/// Why a transaction is not admitted.
#[derive(Debug)]
pub(super) enum Stop {
    /// It builds on what is not here, or on what differs from what is here.
    Refused(Error),
    /// It contradicts what is held under its own name. Both are signed.
    Forked(Box<Fork>, Error),
    /// This node's key has signed it under the present incarnation, and it goes on from all that
    /// this node has written: the incarnation is to be given up, and then it may come again.
    Disowned,
}

/// Two transactions with one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fork {
    pub(super) dot: Dot,
    pub(super) ours: ShortHash,
    pub(super) theirs: ShortHash,
    /// Where the two parted, if that is known: what they go on from, and the external number of
    /// the last transaction that they share.
    pub(super) from: Option<(Origin, Seq)>,
}

/// The hashes of held transactions, as far back as they are known.
pub(super) struct Index<'a> {
    database: &'a Database,
    /// Taken at the first question: most batches have none.
    read: OnceCell<ReadTransaction>,
}

impl<'a> Admission<'a> {
    /// `database` is where the heads are at.
    pub(super) fn new(
        heads: &'a Heads,
        own: NodeId,
        roster: Option<Arc<Roster>>,
        database: &'a Database,
    ) -> Admission<'a> {
        let (admitted, seen) = (BTreeMap::new(), BTreeMap::new());
        Admission { heads, own, roster, index: Index::new(database), admitted, seen }
    }

    /// Admits `signed`; `false` if it is here already. Whatever stops it, nothing is admitted.
    pub(super) fn admit(
        &mut self,
        collection: &str,
        signed: &Signed,
        from: From,
    ) -> Result<bool, Stop> {
        let held = Holding { admission: self, collection };
        let (place, branches) = (held.branches().place(signed, &held)?, held.branches());
        let own = from == From::Elsewhere && self.is_present(collection, &signed.txn.dot.origin)?;
        let dot = match place {
            Place::Held => return Ok(false),
            Place::Missing => {
                let Dot { origin, seq } = signed.txn.dot;
                return Err(missing(&signed.txn.dot, &Dot { origin, seq: seq - 1 }).into());
            }
            Place::Next(_) if own => return Err(Stop::Disowned),
            Place::Next(dot) => dot,
            Place::Fork { instead: at, .. } | Place::Apart(at) => {
                self.check_valid(collection, &signed.txn.dot)?;
                return Err(self.fork(collection, signed, place, &at)?);
            }
        };
        if from == From::Elsewhere {
            self.check_valid(collection, &dot)?;
            self.check_room(collection)?;
        }
        let (txn, seen, named) = match branches.is_empty() {
            true => (None, BTreeMap::new(), branches::named(&signed.txn)),
            false => {
                // What rows hold is not known here; names and dependencies don't need it.
                let translated =
                    branches.translate(&signed.txn, dot, &held, &mut |_, _| Ok(Vec::new()))?;
                (Some(translated.txn), translated.seen, translated.named)
            }
        };
        self.check_deps(collection, txn.as_ref().unwrap_or(&signed.txn), &named)?;
        if !seen.is_empty() {
            let known = held.branches().clone();
            let known = self.seen.entry(collection.to_owned()).or_insert(known);
            for (root, branch) in seen {
                known.note_seen(dot.origin, root, branch);
            }
        }
        let key = (collection.to_owned(), dot.origin);
        self.admitted.entry(key).or_insert((dot.seq, Vec::new())).1.push(signed.hash);
        Ok(true)
    }

    /// Whether a collection is held, or there is room for one more of others. Whoever may write
    /// can begin as many as it likes, and no link carries more.
    fn check_room(&self, collection: &str) -> Result<(), Error> {
        if self.heads.named(collection).is_some() {
            return Ok(());
        }
        let begun = self.admitted.keys().map(|(name, _)| name.as_str());
        let begun: BTreeSet<&str> =
            begun.filter(|name| *name != collection && self.heads.named(name).is_none()).collect();
        room_for_collection(self.heads.iter().count() + begun.len())
    }

    /// Whether the author of a transaction may write, or somebody who may vouches for it.
    fn check_valid(&self, collection: &str, dot: &Dot) -> Result<(), Error> {
        let Some(roster) = &self.roster else { return Ok(()) };
        match roster.valid_through(collection, &dot.origin) >= dot.seq {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "node {} may not write in collection {collection}, and nobody who may has \
                     vouched for its transaction {dot}",
                    dot.origin.node
                ),
            )),
        }
    }

    /// What to say of a transaction that contradicts what is held at `at`.
    fn fork(
        &self,
        collection: &str,
        signed: &Signed,
        place: Place,
        at: &Dot,
    ) -> Result<Stop, Error> {
        let held = Holding { admission: self, collection };
        let dot = held.branches().signed(at).unwrap_or(*at);
        let theirs = match dot.seq == signed.txn.dot.seq {
            true => signed.hash.short(),
            false => signed.txn.prev.short(),
        };
        let ours = held.hash_at(at)?.unwrap_or_default();
        let from = match place {
            Place::Fork { parent, base, .. } => Some((parent, base)),
            _ => None,
        };
        let error = forked(format!(
            "another transaction {dot} is here: the history of its author has forked"
        ));
        Ok(Stop::Forked(Box::new(Fork { dot, ours, theirs, from }), error))
    }

    /// Whether this node writes as `origin` now.
    fn is_present(&self, collection: &str, origin: &Origin) -> Result<bool> {
        if origin.node != self.own {
            return Ok(false);
        }
        let present = match self.heads.named(collection) {
            Some(head) => head.row.incarnation,
            None => tables::next_incarnation(self.index.read()?, collection)?,
        };
        Ok(origin.incarnation == present)
    }

    fn newest(&self, collection: &str, origin: Origin) -> (Seq, Hash) {
        if let Some((first, hashes)) = self.admitted.get(&(collection.to_owned(), origin)) {
            let newest = *hashes.last().expect("an entry begins with a transaction");
            return (first + hashes.len() as u64 - 1, newest);
        }
        let row = self.heads.named(collection).and_then(|head| head.vector.get(&origin));
        row.map_or((0, Hash::default()), |row| (row.seq, row.hash))
    }

    /// The hash of what is held at `dot`, if that is known to be another than `hash`.
    fn differs(&self, collection: &str, dot: &Dot, hash: ShortHash) -> Result<Option<ShortHash>> {
        Ok(self.hash_at(collection, dot)?.filter(|held| *held != hash))
    }

    /// The hash of what is held at `dot`, as far back as that is known.
    fn hash_at(&self, collection: &str, dot: &Dot) -> Result<Option<ShortHash>> {
        Ok(match self.admitted.get(&(collection.to_owned(), dot.origin)) {
            Some((first, hashes)) if dot.seq >= *first => {
                hashes.get((dot.seq - first) as usize).map(Hash::short)
            }
            _ => self.index.hash_at(self.heads, collection, dot)?,
        })
    }

    fn check_deps(&self, collection: &str, txn: &Txn, named: &[Dot]) -> Result<()> {
        for dep in &txn.deps {
            let dot = Dot { origin: dep.origin, seq: dep.seq };
            if self.newest(collection, dep.origin).0 < dep.seq {
                return Err(missing(&txn.dot, &dot));
            }
            if self.differs(collection, &dot, dep.hash)?.is_some() {
                return Err(forked(format!(
                    "transaction {} builds on a {dot} that differs from ours: the history of that origin has forked",
                    txn.dot
                )));
            }
        }
        for dot in named.iter().filter(|dot| dot.origin != txn.dot.origin) {
            if self.newest(collection, dot.origin).0 < dot.seq {
                return Err(missing(&txn.dot, dot));
            }
        }
        Ok(())
    }
}

/// Whether a store that holds so many collections takes one more from elsewhere.
pub(super) fn room_for_collection(held: usize) -> Result<()> {
    match held >= MAX_LINK_COLLECTIONS {
        true => Err(Error::limit(format!(
            "the store holds {held} collections, and takes no more than {MAX_LINK_COLLECTIONS} from \
             others"
        ))),
        false => Ok(()),
    }
}

/// One collection as the batch leaves it so far.
struct Holding<'s, 'a> {
    admission: &'s Admission<'a>,
    collection: &'s str,
}

impl<'s> Holding<'s, '_> {
    fn branches(&self) -> &'s Branches {
        let known = self.admission.heads.named(self.collection).map(|head| &*head.branches);
        self.admission.seen.get(self.collection).or(known).unwrap_or(Branches::none())
    }
}

impl Held for Holding<'_, '_> {
    fn newest(&self, origin: &Origin) -> (Seq, Hash) {
        self.admission.newest(self.collection, *origin)
    }

    fn hash_at(&self, dot: &Dot) -> Result<Option<ShortHash>> {
        self.admission.hash_at(self.collection, dot)
    }
}

impl<'a> Index<'a> {
    pub(super) fn new(database: &'a Database) -> Index<'a> {
        Index { database, read: OnceCell::new() }
    }

    /// The hash of the transaction that is held at `dot`; `None` if none is, or if its hash is
    /// not known any more.
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
        if let Some(entry) = self.entry(heads, collection, dot)? {
            return Ok(Some(entry.hash));
        }
        if let Some(floor) = head.floor.head(&dot.origin).filter(|floor| floor.seq == dot.seq) {
            return Ok(Some(floor.hash));
        }
        let Some(origin) = heads.origins.number(&dot.origin) else { return Ok(None) };
        let table = self.read()?.open_table(tables::HASHES).map_err(db)?;
        hashes::hash_at(&table, Whose(head.number, origin), heads.hashes, dot.seq)
    }

    /// Where the transaction at `dot` lies in the log, as far back as that reaches.
    pub(super) fn entry(
        &self,
        heads: &Heads,
        collection: &str,
        dot: &Dot,
    ) -> Result<Option<IndexRow>> {
        let numbers = heads.named(collection).zip(heads.origins.number(&dot.origin));
        let Some((head, origin)) = numbers else { return Ok(None) };
        let key = tables::transaction_key(head.number, origin, dot.seq);
        let entry = tables::read(self.read()?, tables::TRANSACTIONS, &key)?;
        entry.map(|bytes| IndexRow::decode(&bytes)).transpose()
    }

    fn read(&self) -> Result<&ReadTransaction> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let read = self.database.begin_read().map_err(db)?;
        Ok(self.read.get_or_init(|| read))
    }
}

impl std::convert::From<Error> for Stop {
    fn from(err: Error) -> Stop {
        Stop::Refused(err)
    }
}

impl Stop {
    /// The error, where nothing but an error makes sense of it.
    pub(super) fn into_error(self) -> Error {
        match self {
            Stop::Refused(err) | Stop::Forked(_, err) => err,
            Stop::Disowned => {
                forked("a transaction of this node that is not held here has its name".to_owned())
            }
        }
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

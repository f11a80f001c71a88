//! The ledger: everything that was ever written, what each store owes, and the checks.
//!
//! It knows stores only by what they show, what they put on the wire, and the bytes of their
//! logs; what they ought to show, it works out from the history alone (`book`, `oracle`).
//!
//! What it holds a store to, after every event that touched it:
//! 1. a dot stands for one transaction for ever, and each has the hash that vectors tell; only
//!    where a store was copied or rolled back may its node have used a dot twice, and then no
//!    store holds two under one name, or one under two;
//! 2. the vector is exact: all that it covers was written, all shown is of what it covers;
//! 3. the vector is causally closed, and a transaction depends on what its author had seen;
//! 4. each document shows what the oracle says, so transactions are there whole;
//! 5. a write over several collections is there in all of them or in none, at its author;
//! 6. the state is a function of the vector;
//! 7. what was acknowledged, or went to a peer, is there for ever, whatever it is called. A store
//!    that was rolled back owes what it owed when its image was made; others owe what they owe.

use std::collections::{BTreeMap, BTreeSet};

use littoral::id::{Dot, NodeId, ShortHash, Vector};
use littoral::store::disk::MemDisk;
use littoral::txn::{NetworkId, Scope, Signed, peek_dot};
use littoral::{Document, ErrorKind, Store};

use crate::book::{Book, Held, seen};
use crate::oracle::Shown;
use crate::spy;
use crate::{Checked, ensure};

/// The collections of every schedule.
pub(crate) const COLLECTIONS: [&str; 2] = ["notes", "plans"];

/// How the complaint of a check begins if the store could not be read.
pub(crate) const UNREADABLE: &str = "unreadable: ";

type Txns = Vec<(&'static str, ShortHash)>;
type Logged = BTreeSet<(&'static str, ShortHash)>;

/// Everything that was ever written, and what each store owes.
pub(crate) struct Ledger {
    network: NetworkId,
    pub(crate) books: BTreeMap<&'static str, Book>,
    pub(crate) accounts: Vec<Account>,
    /// Those of images of disks.
    kept: Vec<Account>,
    /// Of whose stores there are images, so that they may have several lives.
    imaged: BTreeSet<NodeId>,
    /// Whether any store was copied or rolled back.
    has_copies: bool,
    /// How often a document was compared with the oracle.
    pub(crate) compared: u64,
}

/// One store.
#[derive(Default, Clone)]
pub(crate) struct Account {
    /// Up to where its log was read.
    logged: u64,
    /// What it held when it was last looked at.
    pub(crate) vectors: BTreeMap<&'static str, Vector>,
    pub(crate) held: BTreeMap<&'static str, Held>,
    /// What it has to hold, whatever happens.
    owes: BTreeMap<&'static str, Held>,
    /// The writes over several collections that may be lost together.
    groups: Vec<Txns>,
    /// The collections that a write with an unknown outcome touches.
    limbo: Option<BTreeSet<&'static str>>,
    /// The collections that it has ever left.
    has_left: BTreeSet<&'static str>,
    /// The collection that it may have left or not.
    leaving: Option<&'static str>,
}

impl Ledger {
    pub(crate) fn new(network: NetworkId) -> Ledger {
        let books = COLLECTIONS.map(|name| (name, Book::default())).into();
        Ledger {
            network,
            books,
            accounts: Vec::new(),
            kept: Vec::new(),
            imaged: BTreeSet::new(),
            has_copies: false,
            compared: 0,
        }
    }

    /// Opens the account of a new store, the next by number.
    pub(crate) fn open_account(&mut self) {
        self.accounts.push(Account::default());
    }

    /// Keeps the account of a store, as its disk is kept. Gives its number.
    pub(crate) fn keep(&mut self, at: usize, node: NodeId) -> usize {
        self.imaged.insert(node);
        self.kept.push(self.accounts[at].clone());
        self.kept.len() - 1
    }

    /// The store has become what it was when this account was kept; or, if it is new, is a copy.
    pub(crate) fn put_back(&mut self, at: usize, kept: usize) {
        self.has_copies = true;
        let account = self.kept[kept].clone();
        match self.accounts.get_mut(at) {
            Some(there) => *there = account,
            None => self.accounts.push(account),
        }
    }

    /// Whether any store was copied or rolled back.
    pub(crate) fn has_copies(&self) -> bool {
        self.has_copies
    }

    /// The network that all stores belong to.
    pub(crate) fn network(&self) -> NetworkId {
        self.network
    }

    /// Transactions in the history.
    pub(crate) fn transactions(&self) -> usize {
        self.books.values().map(Book::len).sum()
    }

    /// Sides of forks that some store holds.
    pub(crate) fn forks(&self) -> u64 {
        let sides = |name: &&str| {
            let held = self.accounts.iter().filter_map(|account| account.held.get(*name));
            held.map(|held| self.books[*name].sides(held).len() as u64).max().unwrap_or(0)
        };
        COLLECTIONS.iter().map(sides).sum()
    }

    /// Whether a store has left a collection, ever.
    pub(crate) fn has_anyone_left(&self) -> bool {
        self.accounts.iter().any(|account| !account.has_left.is_empty())
    }

    // ---- what happens to a store

    /// A local write failed after it had begun to be committed, so its outcome is unknown.
    pub(crate) fn in_limbo(&mut self, at: usize, touched: BTreeSet<&'static str>) {
        self.accounts[at].limbo = Some(touched);
    }

    /// Leaving a collection failed, with an unknown outcome.
    pub(crate) fn may_have_left(&mut self, at: usize, name: &'static str) {
        self.accounts[at].leaving = Some(name);
    }

    /// Everything that the store holds now has been acknowledged as durable.
    pub(crate) fn acknowledged(&mut self, at: usize, store: &Store) -> Checked {
        for name in COLLECTIONS {
            self.told(at, name, &store.held(name).0)?;
            self.accounts[at].groups.clear();
        }
        Ok(())
    }

    /// The store gave a peer this transaction.
    pub(crate) fn sent(&mut self, at: usize, name: &str, bytes: &[u8]) -> Checked {
        let name = known(name)?;
        let book = &self.books[name];
        let dot = peek_dot(bytes).map_err(|err| err.to_string())?;
        let hash = book.find(&dot, bytes);
        let hash = hash.ok_or_else(|| format!("store {at} sent {name} {dot}, which is unknown"))?;
        let account = &mut self.accounts[at];
        match account.held.get(name).is_some_and(|held| book.holds(held, &hash)) {
            true => book.owe(account.owes.entry(name).or_default(), &hash),
            // A tail that began before may go on with what the log still has.
            false => ensure!(account.has_left.contains(name), "store {at} sent {dot}: not held"),
        }
        Ok(())
    }

    /// The store told a peer that it holds this.
    pub(crate) fn told(&mut self, at: usize, name: &str, vector: &Vector) -> Checked {
        let name = known(name)?;
        let told = self.books[name].held(vector).map_err(|what| format!("{name}: {what}"))?;
        join(self.accounts[at].owes.entry(name).or_default(), &told);
        Ok(())
    }

    /// The store left a collection: it owes nothing there any more.
    pub(crate) fn left(&mut self, at: usize, name: &str) -> Checked {
        let name = known(name)?;
        let account = &mut self.accounts[at];
        account.held.remove(name);
        account.vectors.remove(name);
        account.owes.remove(name);
        account.has_left.insert(name);
        account.groups.retain(|group| group.iter().all(|(other, _)| *other != name));
        Ok(())
    }

    // ---- checks

    /// Looks at a store that has been opened again, perhaps after a crash.
    pub(crate) fn reopened(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked {
        let limbo = self.accounts[at].limbo.take();
        let leaving = self.accounts[at].leaving.take();
        if let Some(name) = leaving.filter(|name| store.held(name).0.is_empty()) {
            let before = self.accounts[at].held.remove(name);
            self.left(at, name)?;
            self.accounts[at].held.extend(before.map(|before| (name, before)));
        }
        self.accounts[at].logged = 0;
        let (found, logged) = self.read_log(at, store, disk)?;
        let mut now = BTreeMap::new();
        for name in COLLECTIONS {
            let book = &self.books[name];
            let held = book.held(&store.held(name).0).map_err(|what| format!("{name}: {what}"))?;
            let owes = self.accounts[at].owes.get(name).cloned().unwrap_or_default();
            let lost = book.above(&owes, &held);
            let lost: Vec<Dot> = lost.iter().map(|hash| book.dot(hash)).collect();
            ensure!(lost.is_empty(), "lost: {name} {lost:?} were acknowledged or sent");
            self.forget_lost(at, name, store.node_id(), &held, &logged);
            now.insert(name, held);
        }
        let held = |name: &str, hash: &ShortHash| self.books[name].holds(&now[name], hash);
        for group in &self.accounts[at].groups {
            let there = group.iter().filter(|(name, hash)| held(name, hash)).count();
            ensure!(there == 0 || there == group.len(), "torn apart: a part of {group:?} survived");
        }
        let new: BTreeSet<&str> =
            found.iter().filter(|(name, hash)| held(name, hash)).map(|(name, _)| *name).collect();
        match limbo {
            None => ensure!(new.is_empty(), "the log has {found:?}, which nobody wrote"),
            Some(touched) => ensure!(
                new.is_empty() || new == touched,
                "torn apart: of a write to {touched:?} {new:?} survived"
            ),
        }
        self.accounts[at].groups.clear();
        self.check(at, store, disk)?;
        self.check_whole(at, store)
    }

    /// What was lost before anybody but its author had seen it has never been: its author may
    /// give the same names again.
    fn forget_lost(
        &mut self,
        at: usize,
        name: &'static str,
        node: NodeId,
        held: &Held,
        logged: &Logged,
    ) {
        let before = self.accounts[at].held.remove(name).unwrap_or_default();
        self.accounts[at].vectors.remove(name);
        let book = self.books.get_mut(name).expect("a known collection");
        let lost = book.above(&book.of_node(&before, &node), held);
        let accounts = || self.accounts.iter().chain(&self.kept);
        for hash in lost.into_iter().rev() {
            let elsewhere = accounts()
                .any(|account| account.held.get(name).is_some_and(|h| book.holds(h, &hash)));
            if !logged.contains(&(name, hash)) && !elsewhere {
                book.forget(&hash);
            }
        }
    }

    /// Looks at a store after something may have changed in it.
    pub(crate) fn check(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked {
        let new = self.read_log(at, store, disk)?.0;
        if new.len() > 1 {
            self.accounts[at].groups.push(new.clone());
        }
        for (name, hash) in &new {
            self.check_deps(at, name, hash, store)?;
        }
        for name in COLLECTIONS {
            self.check_collection(at, name, store).map_err(|what| match &what[..] {
                unreadable if unreadable.starts_with(UNREADABLE) => what,
                _ => format!("{name}: {what}"),
            })?;
        }
        Ok(())
    }

    /// Reads on in a store's log. Gives its own transactions that are new, and all there are.
    /// What a failed write left behind is looked at when the store is open again.
    fn read_log(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked<(Txns, Logged)> {
        let failed = store.stats().map_err(|err| err.to_string())?.failure.is_some();
        let account = &mut self.accounts[at];
        let (records, end) = spy::read(disk, account.logged);
        if !failed {
            account.logged = end;
        }
        let (mut new, mut all) = (Txns::new(), Logged::new());
        for record in records.into_iter().filter(|record| record.kind == spy::TXN) {
            let name = known(&record.collection)?;
            let book = self.books.get_mut(name).expect("a known collection");
            let dot = peek_dot(&record.bytes).map_err(|err| err.to_string())?;
            if let Some(hash) = book.find(&dot, &record.bytes) {
                all.insert((name, hash));
                continue;
            }
            if failed && !store.held(name).0.covers(&dot) {
                continue;
            }
            let node = dot.origin.node;
            ensure!(node == store.node_id(), "{name} {dot} comes from nowhere");
            let twice = book.has(&dot) && !self.imaged.contains(&node);
            ensure!(!twice, "{name} {dot} names two transactions");
            let scope = Scope { network: self.network, collection: name };
            let signed = Signed::verify(record.bytes, scope).map_err(|err| err.to_string())?;
            let before = self.accounts[at].vectors.get(name).cloned().unwrap_or_default();
            let hash = book.note(signed, &before).map_err(|what| format!("{name}: {what}"))?;
            all.insert((name, hash));
            new.push((name, hash));
        }
        Ok((new, all))
    }

    /// A transaction depends on exactly what its author held.
    fn check_deps(
        &mut self,
        at: usize,
        name: &'static str,
        hash: &ShortHash,
        store: &Store,
    ) -> Checked {
        let before = self.accounts[at].vectors.get(name).map(seen).unwrap_or_default();
        let book = self.books.get_mut(name).expect("a known collection");
        let past = book.seen_by(&store.held(name).0, hash);
        let past = past.map_err(|what| format!("{name}: {what}"))?;
        let dot = book.dot(hash);
        ensure!(past == before, "{name} {dot} depends on {past:?}; there was {before:?}");
        Ok(())
    }

    fn check_collection(&mut self, at: usize, name: &'static str, store: &Store) -> Checked {
        let (vector, cells) = store.held(name);
        let book = self.books.get_mut(name).expect("a known collection");
        let account = &mut self.accounts[at];
        let vector_before = account.vectors.insert(name, vector.clone()).unwrap_or_default();
        if vector_before == vector {
            let other = book.other_state(&vector, cells, at);
            ensure!(other.is_none(), "two states at one vector, the other in store {other:?}");
            return Ok(());
        }
        let held = book.held(&vector)?;
        let before = account.held.insert(name, held.clone()).unwrap_or_default();
        let lost = book.above(&before, &held);
        let lost: Vec<Dot> = lost.iter().map(|hash| book.dot(hash)).collect();
        ensure!(lost.is_empty(), "the vector lost {lost:?}");
        let news = book.above(&held, &before);
        let collection = store.collection(name).map_err(|err| err.to_string())?.behind();
        for id in book.touched(&vector, &news, &vector_before)? {
            let document = collection.get(&id).map_err(|err| format!("{UNREADABLE}{err}"))?;
            let expected = book.expect(&vector, &id)?;
            self.compared += 1;
            compare(name, &id, document.as_ref(), expected.as_ref().as_ref())?;
        }
        let other = book.other_state(&vector, cells, at);
        ensure!(other.is_none(), "two states at one vector, the other in store {other:?}");
        Ok(())
    }

    /// Reads everything that a store shows.
    pub(crate) fn check_whole(&mut self, at: usize, store: &Store) -> Checked {
        let err = |err: littoral::Error| match err.kind() {
            ErrorKind::Io | ErrorKind::Internal => format!("{UNREADABLE}store {at}: {err}"),
            _ => format!("of store {at}: {err}"),
        };
        store.check_rows().map_err(err)?;
        for name in COLLECTIONS {
            let vector = store.held(name).0;
            let book = self.books.get_mut(name).expect("a known collection");
            let touched = book.documents(&vector).map_err(|what| format!("{name}: {what}"))?;
            let collection = store.collection(name).map_err(err)?.behind();
            let mut shown: BTreeMap<String, Document> = BTreeMap::new();
            for document in collection.scan(&Default::default()).map_err(err)? {
                let document = document.map_err(err)?;
                shown.insert(document.id().to_owned(), document);
            }
            ensure!(collection.len() == shown.len() as u64, "{name}: the count of documents");
            let conflicts: BTreeSet<String> =
                collection.conflicts().map_err(err)?.into_iter().map(|c| c.id).collect();
            let ids: BTreeSet<String> = touched.iter().chain(shown.keys()).cloned().collect();
            for id in ids {
                let expected = book.expect(&vector, &id)?;
                compare(name, &id, shown.get(&id), expected.as_ref().as_ref())?;
                let conflict = expected.as_ref().as_ref().is_some_and(|s| !s.conflicts.is_empty());
                ensure!(conflict == conflicts.contains(&id), "{name} {id}: listed as a conflict");
            }
        }
        Ok(())
    }
}

/// What a reader sees of a document.
pub(crate) fn shown_of(document: &Document) -> Shown {
    let conflicts = document.conflicts().into_iter().map(|conflict| {
        let sides = conflict.candidates.into_iter().map(|side| side.field).collect();
        (conflict.path.names().to_vec(), sides)
    });
    Shown { fields: document.fields().clone(), conflicts: conflicts.collect() }
}

fn compare(name: &str, id: &str, document: Option<&Document>, expected: Option<&Shown>) -> Checked {
    let shown = document.map(shown_of);
    ensure!(shown.as_ref() == expected, "{name} {id} shows {shown:?}, expected {expected:?}");
    Ok(())
}

fn known(name: &str) -> Checked<&'static str> {
    let found = COLLECTIONS.into_iter().find(|known| *known == name);
    found.ok_or_else(|| format!("the collection {name} comes from nowhere"))
}

fn join(all: &mut Held, more: &Held) {
    for (line, seq) in more {
        let newest = all.entry(*line).or_default();
        *newest = (*newest).max(*seq);
    }
}

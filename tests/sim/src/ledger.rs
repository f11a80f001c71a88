//! The ledger: everything that was ever written, what each store owes, and the checks.
//!
//! It knows stores only by what they show, what they put on the wire, and the bytes of their
//! logs; what they ought to show, it works out from the history alone (`oracle`).
//!
//! What it holds a store to, after every event that touched it:
//! 1. a dot stands for one transaction for ever, and each has the hash that vectors tell;
//! 2. the vector is exact: all that it covers was written, all shown is of what it covers;
//! 3. the vector is causally closed, and a transaction depends on what its author had seen;
//! 4. each document shows what the oracle says, so transactions are there whole;
//! 5. a write over several collections is there in all of them or in none, at its author;
//! 6. the state is a function of the vector;
//! 7. what was acknowledged, or went to a peer, is there for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use littoral::id::{Dot, Head, Origin, Seq, Vector};
use littoral::store::disk::MemDisk;
use littoral::txn::{NetworkId, Scope, Signed, peek_dot};
use littoral::{Document, ErrorKind, Store};

use crate::oracle::{History, Reading, Seen, Shown, covers};
use crate::spy;
use crate::{Checked, ensure};

/// The collections of every schedule.
pub(crate) const COLLECTIONS: [&str; 2] = ["notes", "plans"];

/// How the complaint of a check begins if the store could not be read.
pub(crate) const UNREADABLE: &str = "unreadable: ";

type Dots = Vec<(&'static str, Dot)>;
type Logged = BTreeSet<(&'static str, Dot)>;
type Touched = (String, Vec<(Origin, Seq)>);

/// Everything that was ever written, and what each store owes.
pub(crate) struct Ledger {
    network: NetworkId,
    books: BTreeMap<&'static str, Book>,
    accounts: Vec<Account>,
    /// How often a document was compared with the oracle.
    pub(crate) compared: u64,
}

/// One collection.
#[derive(Default)]
struct Book {
    history: History,
    signed: BTreeMap<Dot, Entry>,
    /// The digest of cells that goes with a vector.
    states: BTreeMap<[u8; 32], [u8; 32]>,
    /// What the oracle said, by document and by what of the transactions that touch it is known.
    shown: BTreeMap<Touched, Rc<Option<Shown>>>,
}

struct Entry {
    bytes: Vec<u8>,
    head: Head,
}

/// One store.
#[derive(Default)]
struct Account {
    /// Up to where its log was read.
    logged: u64,
    /// What it held when it was last looked at.
    held: BTreeMap<&'static str, Vector>,
    /// What it has to hold, whatever happens.
    owes: BTreeMap<&'static str, Seen>,
    /// The writes over several collections that may be lost together.
    groups: Vec<Dots>,
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
        Ledger { network, books, accounts: Vec::new(), compared: 0 }
    }

    /// Opens the account of a new store, the next by number.
    pub(crate) fn open_account(&mut self) {
        self.accounts.push(Account::default());
    }

    /// The network that all stores belong to.
    pub(crate) fn network(&self) -> NetworkId {
        self.network
    }

    /// Transactions in the history.
    pub(crate) fn transactions(&self) -> usize {
        self.books.values().map(|book| book.signed.len()).sum()
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
    pub(crate) fn acknowledged(&mut self, at: usize, store: &Store) {
        for name in COLLECTIONS {
            let held = seen(&store.held(name).0);
            let account = &mut self.accounts[at];
            join(account.owes.entry(name).or_default(), &held);
            account.groups.clear();
        }
    }

    /// The store gave a peer this transaction.
    pub(crate) fn sent(&mut self, at: usize, name: &str, dot: Dot, bytes: &[u8]) -> Checked {
        let name = known(name)?;
        let entry = self.books[name].signed.get(&dot);
        ensure!(
            entry.is_some_and(|entry| entry.bytes == bytes),
            "store {at} sent {name} {dot}, which is unknown"
        );
        let account = &mut self.accounts[at];
        match account.held.get(name).is_some_and(|held| held.covers(&dot)) {
            true => join(account.owes.entry(name).or_default(), &[(dot.origin, dot.seq)].into()),
            // A tail that began before may go on with what the log still has.
            false => ensure!(account.has_left.contains(name), "store {at} sent {dot}: not held"),
        }
        Ok(())
    }

    /// The store told a peer that it holds this.
    pub(crate) fn told(&mut self, at: usize, name: &str, vector: &Vector) -> Checked {
        let name = known(name)?;
        join(self.accounts[at].owes.entry(name).or_default(), &seen(vector));
        Ok(())
    }

    /// The store left a collection: it owes nothing there any more.
    pub(crate) fn left(&mut self, at: usize, name: &str) -> Checked {
        let name = known(name)?;
        let account = &mut self.accounts[at];
        account.held.remove(name);
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
        for name in COLLECTIONS {
            let held = store.held(name).0;
            let account = &self.accounts[at];
            for (origin, seq) in account.owes.get(name).into_iter().flatten() {
                ensure!(
                    held.seq(origin) >= *seq,
                    "lost: {name} {origin}:{seq} was acknowledged or sent, now there is {}",
                    held.seq(origin)
                );
            }
            self.forget_lost(at, name, store, &logged);
        }
        let held = |name: &str, dot: &Dot| store.held(name).0.covers(dot);
        for group in &self.accounts[at].groups {
            let there = group.iter().filter(|(name, dot)| held(name, dot)).count();
            ensure!(there == 0 || there == group.len(), "torn apart: a part of {group:?} survived");
        }
        let new: BTreeSet<&str> =
            found.iter().filter(|(name, dot)| held(name, dot)).map(|(name, _)| *name).collect();
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
    fn forget_lost(&mut self, at: usize, name: &'static str, store: &Store, logged: &Logged) {
        let held = store.held(name).0;
        let before = self.accounts[at].held.remove(name).unwrap_or_default();
        let book = self.books.get_mut(name).expect("a known collection");
        let elsewhere = |dot: &Dot| {
            let holds = |account: &Account| account.held.get(name).is_some_and(|v| v.covers(dot));
            self.accounts.iter().any(holds)
        };
        let own = before.iter().filter(|(origin, _)| origin.node == store.node_id());
        for (origin, head) in own {
            for seq in held.seq(origin) + 1..=head.seq {
                let dot = Dot { origin: *origin, seq };
                if !logged.contains(&(name, dot)) && !elsewhere(&dot) {
                    book.signed.remove(&dot);
                    book.history.forget(&dot);
                    book.shown.clear();
                }
            }
        }
    }

    /// Looks at a store after something may have changed in it.
    pub(crate) fn check(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked {
        let new = self.read_log(at, store, disk)?.0;
        if new.len() > 1 {
            self.accounts[at].groups.push(new.clone());
        }
        for dot in &new {
            self.check_deps(at, dot)?;
        }
        for name in COLLECTIONS {
            self.check_collection(at, name, store)?;
        }
        Ok(())
    }

    /// Reads on in a store's log. Gives its own transactions that are new, and all there are.
    /// What a failed write left behind is looked at when the store is open again.
    fn read_log(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked<(Dots, Logged)> {
        let failed = store.stats().map_err(|err| err.to_string())?.failure.is_some();
        let account = &mut self.accounts[at];
        let (records, end) = spy::read(disk, account.logged);
        if !failed {
            account.logged = end;
        }
        let (mut new, mut all) = (Dots::new(), Logged::new());
        for record in records.into_iter().filter(|record| record.kind == spy::TXN) {
            let name = known(&record.collection)?;
            let book = self.books.get_mut(name).expect("a known collection");
            let dot = peek_dot(&record.bytes).map_err(|err| err.to_string())?;
            if failed && !store.held(name).0.covers(&dot) {
                continue;
            }
            all.insert((name, dot));
            match book.signed.get(&dot) {
                Some(entry) => {
                    ensure!(entry.bytes == record.bytes, "{name} {dot} names two transactions");
                    continue;
                }
                None => {
                    let own = dot.origin.node == store.node_id();
                    ensure!(own, "{name} {dot} comes from nowhere");
                }
            }
            let scope = Scope { network: self.network, collection: name };
            let signed = Signed::verify(record.bytes, scope).map_err(|err| err.to_string())?;
            let head = Head { seq: dot.seq, hash: signed.hash.short() };
            book.history.note(signed.txn);
            book.signed.insert(dot, Entry { bytes: signed.bytes, head });
            new.push((name, dot));
        }
        Ok((new, all))
    }

    /// A transaction depends on exactly what its author held.
    fn check_deps(&self, at: usize, (name, dot): &(&'static str, Dot)) -> Checked {
        let before = self.accounts[at].held.get(name).map(seen).unwrap_or_default();
        let past = &self.books[name].history.txns[dot].seen;
        ensure!(*past == before, "{name} {dot} depends on {past:?}; there was {before:?}");
        Ok(())
    }

    fn check_collection(&mut self, at: usize, name: &'static str, store: &Store) -> Checked {
        let (vector, cells) = store.held(name);
        let before = self.accounts[at].held.insert(name, vector.clone()).unwrap_or_default();
        let digest = vector.digest().0;
        let book = self.books.get_mut(name).expect("a known collection");
        let state = *book.states.entry(digest).or_insert(cells.0);
        ensure!(state == cells.0, "{name}: two states at one vector");
        if before == vector {
            return Ok(());
        }
        let now = seen(&vector);
        let mut documents = BTreeSet::new();
        for (origin, head) in vector.iter() {
            ensure!(head.seq >= before.seq(origin), "{name}: the vector went back at {origin}");
            for seq in before.seq(origin) + 1..=head.seq {
                let dot = Dot { origin: *origin, seq };
                let Some(entry) = book.signed.get(&dot) else {
                    return Err(format!("{name} covers {dot}, which nobody wrote"));
                };
                ensure!(seq < head.seq || entry.head == *head, "{name}: the hash of {dot}");
                let past = &book.history.txns[&dot];
                let closed = past.seen.iter().all(|(o, s)| now.get(o).is_some_and(|n| n >= s));
                ensure!(closed, "{name} shows {dot} without all that it had seen");
                documents.extend(past.txn.docs.iter().map(|doc| doc.id.clone()));
            }
        }
        ensure!(vector.covers_all(&before), "{name}: the vector lost an origin");
        let collection = store.collection(name).map_err(|err| err.to_string())?;
        for id in documents {
            let document = collection.get(&id).map_err(|err| format!("{UNREADABLE}{err}"))?;
            let expected = book.expect(&id, &now);
            self.compared += 1;
            compare(name, &id, document.as_ref(), expected.as_ref().as_ref())?;
        }
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
            let now = seen(&store.held(name).0);
            let book = self.books.get_mut(name).expect("a known collection");
            ensure!(book.history.is_causally_closed(&now), "{name} is not causally closed");
            let collection = store.collection(name).map_err(err)?;
            let mut shown: BTreeMap<String, Document> = BTreeMap::new();
            for document in collection.scan(&Default::default()).map_err(err)? {
                let document = document.map_err(err)?;
                shown.insert(document.id().to_owned(), document);
            }
            ensure!(collection.len() == shown.len() as u64, "{name}: the count of documents");
            let conflicts: BTreeSet<String> =
                collection.conflicts().map_err(err)?.into_iter().map(|c| c.id).collect();
            let ids: BTreeSet<String> =
                book.history.touching.keys().chain(shown.keys()).cloned().collect();
            for id in ids {
                let expected = book.expect(&id, &now);
                compare(name, &id, shown.get(&id), expected.as_ref().as_ref())?;
                let conflict = expected.as_ref().as_ref().is_some_and(|s| !s.conflicts.is_empty());
                ensure!(conflict == conflicts.contains(&id), "{name} {id}: listed as a conflict");
            }
        }
        Ok(())
    }
}

impl Book {
    fn expect(&mut self, id: &str, now: &Seen) -> Rc<Option<Shown>> {
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

fn join(all: &mut Seen, more: &Seen) {
    for (origin, seq) in more {
        let newest = all.entry(*origin).or_default();
        *newest = (*newest).max(*seq);
    }
}

fn seen(vector: &Vector) -> Seen {
    vector.iter().map(|(origin, head)| (*origin, head.seq)).collect()
}

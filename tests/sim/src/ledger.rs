//! The ledger: everything that was ever written, what each store owes, and the checks.
//!
//! It knows stores only by what they show, what they put on the wire, and the bytes of their
//! logs; what they ought to show, it works out from the history alone (`book`, `oracle`).
//!
//! What it holds a store to, after every event that touched it:
//! 1. a dot stands for one transaction for ever, and each has the hash that vectors tell; only
//!    where a store was copied or rolled back may its node have used a dot twice, and then each
//!    store stays on the line that it holds;
//! 2. the vector is exact: all that it covers was written, all shown is of what it covers;
//! 3. the vector is causally closed, and a transaction depends on what its author had seen;
//! 4. each document shows what the oracle says, so transactions are there whole;
//! 5. a write over several collections is there in all of them or in none, at its author;
//! 6. the state is a function of the vector;
//! 7. what was acknowledged, or went to a peer, is there for ever, under its own name or, if
//!    nobody was ever given it, word for word under another one (`renewal`).

use std::collections::{BTreeMap, BTreeSet};

use littoral::id::{Dot, Hash, NodeId, Origin, Vector};
use littoral::store::disk::MemDisk;
use littoral::txn::{NetworkId, Scope, Signed, peek_dot};
use littoral::{Document, ErrorKind, Store};

use crate::book::Book;
use crate::oracle::{Seen, Shown};
use crate::spy::{self, Logged};
use crate::{Checked, ensure};

/// The collections of every schedule.
pub(crate) const COLLECTIONS: [&str; 2] = ["notes", "plans"];

/// How the complaint of a check begins if the store could not be read.
pub(crate) const UNREADABLE: &str = "unreadable: ";

type Dots = Vec<(&'static str, Dot)>;
type InLog = BTreeSet<(&'static str, Dot, [u8; 32])>;

/// Everything that was ever written, and what each store owes.
pub(crate) struct Ledger {
    network: NetworkId,
    pub(crate) books: BTreeMap<&'static str, Book>,
    pub(crate) accounts: Vec<Account>,
    /// Those of images of disks.
    kept: Vec<Account>,
    /// How many lives each node may have: one, and one for each image of a store of it.
    lives: BTreeMap<NodeId, usize>,
    /// How often something was handed out that had not been before.
    pub(crate) handed_out: u64,
    /// How often transactions were signed again.
    pub(crate) renewals: u64,
    /// How often a document was compared with the oracle.
    pub(crate) compared: u64,
}

/// One store.
#[derive(Default, Clone)]
pub(crate) struct Account {
    /// Up to where its log was read.
    logged: u64,
    /// What it held when it was last looked at.
    pub(crate) held: BTreeMap<&'static str, Vector>,
    /// What it has to hold, whatever happens.
    pub(crate) owes: BTreeMap<&'static str, Vector>,
    /// The writes over several collections that may be lost together.
    pub(crate) groups: Vec<Dots>,
    /// The collections that a write with an unknown outcome touches.
    limbo: Option<BTreeSet<&'static str>>,
    /// The collections that it has ever left.
    has_left: BTreeSet<&'static str>,
    /// The collection that it may have left or not.
    leaving: Option<&'static str>,
    /// The names under which its log has transactions that were signed again.
    pub(crate) renewed: BTreeSet<(&'static str, Origin)>,
}

impl Ledger {
    pub(crate) fn new(network: NetworkId) -> Ledger {
        let books = COLLECTIONS.map(|name| (name, Book::default())).into();
        Ledger {
            network,
            books,
            accounts: Vec::new(),
            kept: Vec::new(),
            lives: BTreeMap::new(),
            handed_out: 0,
            renewals: 0,
            compared: 0,
        }
    }

    /// Opens the account of a new store, the next by number.
    pub(crate) fn open_account(&mut self, node: NodeId) {
        self.accounts.push(Account::default());
        self.lives.insert(node, 1);
    }

    /// Keeps the account of a store, as its disk is kept. Gives its number.
    pub(crate) fn keep(&mut self, at: usize, node: NodeId) -> usize {
        *self.lives.entry(node).or_default() += 1;
        self.kept.push(self.accounts[at].clone());
        self.kept.len() - 1
    }

    /// The store has become what it was when this account was kept; or, if it is new, is a copy.
    pub(crate) fn put_back(&mut self, at: usize, kept: usize) {
        let account = self.kept[kept].clone();
        match self.accounts.get_mut(at) {
            Some(there) => *there = account,
            None => self.accounts.push(account),
        }
    }

    /// Whether a store of a node was ever kept, and so may have been copied or rolled back.
    pub(crate) fn has_lives(&self, node: &NodeId) -> bool {
        self.lives.get(node).is_some_and(|lives| *lives > 1)
    }

    /// Whether any store may have been copied or rolled back.
    pub(crate) fn has_copies(&self) -> bool {
        self.lives.values().any(|lives| *lives > 1)
    }

    /// The network that all stores belong to.
    pub(crate) fn network(&self) -> NetworkId {
        self.network
    }

    /// Transactions in the history.
    pub(crate) fn transactions(&self) -> usize {
        self.books.values().map(Book::len).sum()
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
            let account = &mut self.accounts[at];
            join(account.owes.entry(name).or_default(), &store.held(name).0);
            account.groups.clear();
        }
    }

    /// The store gave a peer this transaction.
    pub(crate) fn sent(&mut self, at: usize, name: &str, dot: Dot, bytes: &[u8]) -> Checked {
        let name = known(name)?;
        let book = self.books.get_mut(name).expect("a known collection");
        let entry = book.at(&dot).iter().find(|entry| entry.bytes == bytes);
        let hash =
            entry.ok_or_else(|| format!("store {at} sent {name} {dot}, which is unknown"))?;
        let hash = hash.hash;
        self.handed_out += u64::from(book.let_go(&dot, hash));
        let account = &mut self.accounts[at];
        let held = account.held.get(name).cloned().unwrap_or_default();
        match held.covers(&dot) {
            true => {
                ensure!(book.holds(&held, &dot, hash), "store {at} sent {dot} of another line");
                let head = littoral::id::Head { seq: dot.seq, hash: hash.short() };
                account.owes.entry(name).or_default().advance(dot.origin, head);
            }
            // A tail that began before may go on with what the log still has.
            false => ensure!(account.has_left.contains(name), "store {at} sent {dot}: not held"),
        }
        Ok(())
    }

    /// The store told a peer that it holds this.
    pub(crate) fn told(&mut self, at: usize, name: &str, vector: &Vector) -> Checked {
        let name = known(name)?;
        join(self.accounts[at].owes.entry(name).or_default(), vector);
        Ok(())
    }

    /// The store shows a peer all that it holds.
    pub(crate) fn showed(&mut self, at: usize, name: &str, vector: &Vector) -> Checked {
        self.told(at, name, vector)?;
        let book = self.books.get_mut(known(name)?).expect("a known collection");
        let lines = book.lines(vector).map_err(|what| format!("a view of {name}: {what}"))?;
        for (origin, head) in vector.iter() {
            for seq in 1..=head.seq {
                let dot = Dot { origin: *origin, seq };
                if let Some(hash) = book.entry(&lines, &dot).map(|entry| entry.hash) {
                    self.handed_out += u64::from(book.let_go(&dot, hash));
                }
            }
        }
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
            self.settle_renewal(at, name, store)?;
            self.check_owed(at, name, store)?;
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

    /// What was acknowledged or sent is there.
    fn check_owed(&self, at: usize, name: &str, store: &Store) -> Checked {
        let (held, book) = (store.held(name).0, &self.books[name]);
        let lines = book.lines(&held).map_err(|what| format!("{name}: {what}"))?;
        for (origin, owed) in self.accounts[at].owes.get(name).into_iter().flat_map(Vector::iter) {
            let dot = Dot { origin: *origin, seq: owed.seq };
            ensure!(
                held.covers(&dot) && book.head(&lines, &dot) == Some(*owed),
                "lost: {name} {dot} was acknowledged or sent, now there is {}",
                held.seq(origin)
            );
        }
        Ok(())
    }

    /// What was lost before anybody but its author had seen it has never been: its author may
    /// give the same names again.
    fn forget_lost(&mut self, at: usize, name: &'static str, store: &Store, logged: &InLog) {
        let held = store.held(name).0;
        let before = self.accounts[at].held.remove(name).unwrap_or_default();
        let own = before.iter().filter(|(origin, _)| origin.node == store.node_id());
        for (origin, head) in own {
            for seq in held.seq(origin) + 1..=head.seq {
                self.forget_unless_held(name, &Dot { origin: *origin, seq }, &before, logged);
            }
        }
    }

    /// Forgets what was held at this dot before, unless a store, an image or the log still holds
    /// it, or somebody was given it.
    fn forget_unless_held(
        &mut self,
        name: &'static str,
        dot: &Dot,
        before: &Vector,
        logged: &InLog,
    ) {
        let book = self.books.get_mut(name).expect("a known collection");
        let lines = book.lines(before).unwrap_or_default();
        let Some(entry) = book.entry(&lines, dot) else { return };
        let (hash, let_go) = (entry.hash, entry.let_go);
        let holds = |account: &Account| {
            account.held.get(name).is_some_and(|held| book.holds(held, dot, hash))
        };
        let elsewhere = self.accounts.iter().chain(&self.kept).any(holds);
        if !let_go && !elsewhere && !logged.contains(&(name, *dot, hash.0)) {
            book.forget(dot, hash);
        }
    }

    /// Looks at a store after something may have changed in it.
    pub(crate) fn check(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked {
        let new = self.read_log(at, store, disk)?.0;
        if new.len() > 1 {
            self.accounts[at].groups.push(new.clone());
        }
        for dot in &new {
            self.check_deps(at, dot, store)?;
        }
        for name in COLLECTIONS {
            self.settle_renewal(at, name, store)?;
            self.check_collection(at, name, store)?;
        }
        Ok(())
    }

    /// Reads on in a store's log. Gives its own transactions that are new, and all there are.
    /// What a failed write left behind is looked at when the store is open again.
    fn read_log(&mut self, at: usize, store: &Store, disk: &MemDisk) -> Checked<(Dots, InLog)> {
        let failed = store.stats().map_err(|err| err.to_string())?.failure.is_some();
        let account = &mut self.accounts[at];
        let (records, end) = spy::read(disk, account.logged);
        let mut marks = Vec::new();
        if !failed {
            account.logged = end;
        }
        for record in &records {
            let Some((incarnation, seq)) = record.mark() else { continue };
            let (name, origin) =
                (known(&record.collection)?, Origin { node: store.node_id(), incarnation });
            marks.push((name, Dot { origin, seq }));
        }
        let (mut new, mut all) = (Dots::new(), InLog::new());
        for record in records.into_iter().filter(Logged::is_transaction) {
            let name = known(&record.collection)?;
            let dot = peek_dot(&record.bytes).map_err(|err| err.to_string())?;
            if failed && !store.held(name).0.covers(&dot) {
                continue;
            }
            let renewed = record.kind == spy::RENEWED;
            if renewed {
                self.accounts[at].renewed.insert((name, dot.origin));
            }
            let book = self.books.get_mut(name).expect("a known collection");
            let entries = book.at(&dot);
            if let Some(entry) = entries.iter().find(|entry| entry.bytes == record.bytes) {
                all.insert((name, dot, entry.hash.0));
                continue;
            }
            let own = dot.origin.node == store.node_id();
            ensure!(own, "{name} {dot} comes from nowhere");
            let lives = self.lives.get(&dot.origin.node).is_some_and(|lives| *lives > 1);
            ensure!(lives || entries.is_empty(), "{name} {dot} names two transactions");
            let scope = Scope { network: self.network, collection: name };
            let signed = Signed::verify(record.bytes, scope).map_err(|err| err.to_string())?;
            all.insert((name, dot, signed.hash.0));
            book.note(signed, renewed).map_err(|what| format!("{name}: {what}"))?;
            if !renewed {
                new.push((name, dot));
            }
        }
        for (name, upto) in marks {
            let book = self.books.get_mut(name).expect("a known collection");
            self.handed_out += u64::from(book.mark(&store.held(name).0, &upto));
        }
        Ok((new, all))
    }

    /// A transaction depends on exactly what its author held.
    fn check_deps(&mut self, at: usize, new: &(&'static str, Dot), store: &Store) -> Checked {
        let (name, dot) = new;
        let before = self.accounts[at].held.get(name).map(seen).unwrap_or_default();
        let book = self.books.get_mut(name).expect("a known collection");
        let lines = book.lines(&store.held(name).0).map_err(|what| format!("{name}: {what}"))?;
        let past = &book.view(&lines).past(dot)?.seen;
        ensure!(*past == before, "{name} {dot} depends on {past:?}; there was {before:?}");
        Ok(())
    }

    fn check_collection(&mut self, at: usize, name: &'static str, store: &Store) -> Checked {
        let (vector, cells) = store.held(name);
        let before = self.accounts[at].held.insert(name, vector.clone()).unwrap_or_default();
        let book = self.books.get_mut(name).expect("a known collection");
        ensure!(book.is_state(&vector, cells), "{name}: two states at one vector");
        if before == vector {
            return Ok(());
        }
        let lines = book.lines(&vector).map_err(|what| format!("{name}: {what}"))?;
        for (origin, head) in before.iter() {
            let dot = Dot { origin: *origin, seq: head.seq };
            let there = vector.covers(&dot) && book.head(&lines, &dot) == Some(*head);
            ensure!(there, "{name}: the vector went back at {dot}, or to another line");
        }
        let now = seen(&vector);
        let view = book.view(&lines);
        let mut documents = BTreeSet::new();
        for (origin, head) in vector.iter() {
            for seq in before.seq(origin) + 1..=head.seq {
                let dot = Dot { origin: *origin, seq };
                let past = view.past(&dot).map_err(|what| format!("{name}: {what}"))?;
                let closed = past.seen.iter().all(|(o, s)| now.get(o).is_some_and(|n| n >= s));
                ensure!(closed, "{name} shows {dot} without all that it had seen");
                documents.extend(past.txn.docs.iter().map(|doc| doc.id.clone()));
            }
        }
        let collection = store.collection(name).map_err(|err| err.to_string())?;
        for id in documents {
            let document = collection.get(&id).map_err(|err| format!("{UNREADABLE}{err}"))?;
            let expected = view.expect(&id, &now);
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
        store.verify().map_err(err)?;
        for name in COLLECTIONS {
            let vector = store.held(name).0;
            let now = seen(&vector);
            let book = self.books.get_mut(name).expect("a known collection");
            let lines = book.lines(&vector).map_err(|what| format!("{name}: {what}"))?;
            let view = book.view(&lines);
            ensure!(view.history.is_causally_closed(&now), "{name} is not causally closed");
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
                view.history.touching.keys().chain(shown.keys()).cloned().collect();
            for id in ids {
                let expected = view.expect(&id, &now);
                compare(name, &id, shown.get(&id), expected.as_ref().as_ref())?;
                let conflict = expected.as_ref().as_ref().is_some_and(|s| !s.conflicts.is_empty());
                ensure!(conflict == conflicts.contains(&id), "{name} {id}: listed as a conflict");
            }
        }
        Ok(())
    }

    /// Whether an image holds a transaction.
    pub(crate) fn is_kept(&self, name: &str, dot: &Dot, hash: Hash) -> bool {
        let book = &self.books[name];
        let held = self.kept.iter().filter_map(|account| account.held.get(name));
        held.into_iter().any(|held| book.holds(held, dot, hash))
    }

    /// Whether one of these stores holds a transaction.
    pub(crate) fn is_held(&self, name: &str, dot: &Dot, hash: Hash, among: &[usize]) -> bool {
        let book = &self.books[name];
        let holds = |account: &Account| {
            account.held.get(name).is_some_and(|held| book.holds(held, dot, hash))
        };
        among.iter().any(|at| holds(&self.accounts[*at]))
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

pub(crate) fn known(name: &str) -> Checked<&'static str> {
    let found = COLLECTIONS.into_iter().find(|known| *known == name);
    found.ok_or_else(|| format!("the collection {name} comes from nowhere"))
}

fn join(all: &mut Vector, more: &Vector) {
    more.iter().for_each(|(origin, head)| all.advance(*origin, *head));
}

fn seen(vector: &Vector) -> Seen {
    vector.iter().map(|(origin, head)| (*origin, head.seq)).collect()
}

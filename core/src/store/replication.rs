//! What the replica above reads of a store, and how it hands in what peers sent.
//!
//! Everything told to a peer is durable: reads of the log end where it is synced, and
//! summaries are taken after a flush.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use redb::ReadableDatabase;

use super::admission::{Index, Stop};
use super::checking::verify_all;
use super::commit::lock;
use super::queue::{Item, Outcome};
use super::tables::{self, IndexRow, db};
use super::{Inner, Store};
use crate::error::{ErrorKind, Result};
use crate::id::{Dot, Hash, Head, Origin, Position, Vector};
use crate::limits::COMMIT_BATCH_BYTES;
use crate::txn::roster::Roster;
use crate::txn::{NetworkId, NodeKey, Scope};

/// Some transactions of a collection, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Each: its dot, its bytes, and the position after it.
    pub records: Vec<(Dot, Vec<u8>, Position)>,
    /// Where to read on.
    pub next: Position,
}

/// As long as it lives, its callback is called after each commit.
#[derive(Debug)]
pub struct Subscription {
    listeners: std::sync::Weak<ListenersInner>,
    number: u64,
}

/// Who wants to hear of commits.
#[derive(Default)]
pub(super) struct Listeners {
    inner: Arc<ListenersInner>,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct ListenersInner {
    callbacks: Mutex<(u64, BTreeMap<u64, Callback>)>,
    commits: Mutex<u64>,
    moved: Condvar,
}

impl std::fmt::Debug for ListenersInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listeners")
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(listeners) = self.listeners.upgrade() {
            lock(&listeners.callbacks).1.remove(&self.number);
        }
    }
}

impl Listeners {
    /// Calls back after each commit, outside of all locks. It must not block.
    fn subscribe(&self, callback: Callback) -> Subscription {
        let mut callbacks = lock(&self.inner.callbacks);
        callbacks.0 += 1;
        let number = callbacks.0;
        callbacks.1.insert(number, callback);
        Subscription { listeners: Arc::downgrade(&self.inner), number }
    }

    fn announce(&self) {
        *lock(&self.inner.commits) += 1;
        self.inner.moved.notify_all();
        let callbacks: Vec<Callback> = lock(&self.inner.callbacks).1.values().cloned().collect();
        callbacks.iter().for_each(|callback| callback());
    }

    /// Waits until `ready`, which is asked at first and after each commit, or for `timeout`.
    pub(super) fn wait(&self, timeout: Duration, ready: impl Fn() -> bool) {
        let commits = lock(&self.inner.commits);
        let waited = self.inner.moved.wait_timeout_while(commits, timeout, |_| !ready());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Inner {
    pub(super) fn announce(&self) {
        self.listeners.announce();
    }

    /// Under which name this node writes in a collection.
    pub(super) fn present_origin(&self, collection: &str) -> Result<Origin> {
        let held = self.read_heads().named(collection).map(|head| head.own_origin(self.node));
        match held {
            Some(origin) => Ok(origin),
            None => {
                let incarnation = self.left_incarnation(collection)?;
                Ok(Origin { node: self.node, incarnation })
            }
        }
    }
}

impl Store {
    /// Calls back after each commit. The callback must not block or panic.
    pub fn on_commit(&self, callback: impl Fn() + Send + Sync + 'static) -> Subscription {
        self.inner.listeners.subscribe(Arc::new(callback))
    }

    /// The node's secret key, for its links.
    pub fn node_key(&self) -> &NodeKey {
        &self.inner.key
    }

    /// The network the store belongs to.
    pub fn network(&self) -> NetworkId {
        self.inner.network
    }

    /// Of a collection: the digests of vector and cells, the vector, and the position up to
    /// which they go; all of one moment, and durable.
    pub fn summary(&self, collection: &str) -> Result<(Vector, Hash, Position)> {
        loop {
            let heads = self.inner.read_heads();
            if heads.applied > self.inner.reader.durable() {
                drop(heads);
                // Only then: a flush is announced like a commit, and sessions look here when
                // something is announced.
                self.flush()?;
                continue;
            }
            return Ok(match heads.named(collection) {
                Some(head) => (head.to_vector(), head.row.cells.digest(), heads.applied),
                None => (Vector::new(), crate::crdt::LtHash::new().digest(), heads.applied),
            });
        }
    }

    /// What a peer is told to be held of a collection; durable. Of this node's own transactions
    /// only those that may have left: who holds another one under a later number then shows it.
    pub fn told(&self, collection: &str) -> Result<Vector> {
        self.summary(collection)?;
        let database = self.inner.database()?;
        let heads = self.inner.read_heads();
        let Some(head) = heads.named(collection) else { return Ok(Vector::new()) };
        let own = head.own_origin(self.inner.node);
        let mark = Dot { origin: own, seq: head.row.exported };
        if head.vector.get(&own).is_none_or(|row| row.seq <= mark.seq) {
            return Ok(head.to_vector());
        }
        let at_mark = match Index::new(&database).hash_at(&heads, collection, &mark)? {
            Some(hash) => Some(Head { seq: mark.seq, hash }),
            None => head.floor.head(&own).filter(|floor| floor.seq == mark.seq),
        };
        if at_mark.is_none() && mark.seq > 0 {
            return Ok(head.to_vector());
        }
        let others = head.to_vector();
        let others = others.iter().filter(|(origin, _)| **origin != own);
        Ok(others.map(|(o, h)| (*o, *h)).chain(at_mark.map(|head| (own, head))).collect())
    }

    /// Whether a peer with the vector `theirs` says that it holds transactions of this node, under
    /// its present name, that never left this store.
    pub fn doubts(&self, collection: &str, theirs: &Vector) -> Result<bool> {
        let own = self.inner.present_origin(collection)?;
        let Some(claim) = theirs.head(&own) else { return Ok(false) };
        let database = self.inner.database()?;
        let heads = self.inner.read_heads();
        if heads.named(collection).is_some_and(|head| claim.seq <= head.row.exported) {
            return Ok(false);
        }
        let dot = Dot { origin: own, seq: claim.seq };
        let held = Index::new(&database).hash_at(&heads, collection, &dot)?;
        Ok(held != Some(claim.hash))
    }

    /// The dots of the vector `theirs` at which a peer holds another transaction than is held here,
    /// as far back as the index of transactions goes. What never left is no contradiction.
    pub fn contradictions(&self, collection: &str, theirs: &Vector) -> Result<Vec<Dot>> {
        let own = self.inner.present_origin(collection)?;
        let database = self.inner.database()?;
        let heads = self.inner.read_heads();
        let mark = heads.named(collection).map_or(0, |head| head.row.exported);
        let index = Index::new(&database);
        let mut differ = Vec::new();
        for (origin, head) in theirs.iter() {
            let dot = Dot { origin: *origin, seq: head.seq };
            if dot.origin == own && dot.seq > mark {
                continue;
            }
            let held = index.hash_at(&heads, collection, &dot)?;
            if held.is_some_and(|held| held != head.hash) {
                differ.push(dot);
            }
        }
        Ok(differ)
    }

    /// A position at or before the first transaction of the collection that `have` lacks and
    /// the log holds.
    pub fn log_start(&self, collection: &str, have: &Vector) -> Result<Position> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let heads = self.inner.read_heads();
        // Not where the log is durable: its first transaction may be there and not yet be applied.
        let Some(head) = heads.named(collection) else { return Ok(heads.applied) };
        let index = read.open_table(tables::TRANSACTIONS).map_err(db)?;
        let mut start = heads.applied;
        let lacking = head.vector.iter().filter(|(origin, row)| have.seq(origin) < row.seq);
        for (origin, _) in lacking {
            let number = heads.origins.number(origin).unwrap_or_default();
            let first = tables::transaction_key(head.number, number, 0);
            let wanted = tables::transaction_key(head.number, number, have.seq(origin) + 1);
            let entry = index.range(&first[..]..=&wanted[..]).map_err(db)?.next_back();
            let position = match entry.transpose().map_err(db)? {
                Some((_, entry)) => IndexRow::decode(entry.value())?.position,
                None => head.row.since,
            };
            start = start.min(position);
        }
        Ok(start.max(head.row.since).max(self.inner.reader.start()))
    }

    /// The transactions of a collection from `from` on, durable ones only: at least one if there
    /// is one, and not many more bytes than `max_bytes`. They may leave this store: own ones are
    /// marked as handed out before.
    ///
    /// What the log no longer holds is passed over: whoever reads asks for [`Store::floor`]
    /// *afterwards*, and is behind if it holds less.
    pub fn log_read(&self, collection: &str, from: Position, max_bytes: usize) -> Result<LogPage> {
        let page = self.read_page(collection, from, max_bytes, |_| true)?;
        self.export(collection, &page.records)?;
        Ok(page)
    }

    /// As [`Store::log_read`], without what is not valid as far as the roster is known here: who
    /// reads would not take it.
    pub fn log_read_valid(
        &self,
        collection: &str,
        from: Position,
        max_bytes: usize,
    ) -> Result<LogPage> {
        let roster = self.inner.roster();
        let page = self.read_page(collection, from, max_bytes, |dot| {
            is_valid(roster.as_deref(), collection, dot)
        })?;
        self.export(collection, &page.records)?;
        Ok(page)
    }

    /// As [`Store::log_read_valid`], without what this node writes under its present name.
    pub fn log_read_others(
        &self,
        collection: &str,
        from: Position,
        max_bytes: usize,
    ) -> Result<LogPage> {
        let present = self.inner.present_origin(collection)?;
        let roster = self.inner.roster();
        self.read_page(collection, from, max_bytes, |dot| {
            dot.origin != present && is_valid(roster.as_deref(), collection, dot)
        })
    }

    fn read_page(
        &self,
        collection: &str,
        from: Position,
        max_bytes: usize,
        wanted: impl Fn(&Dot) -> bool,
    ) -> Result<LogPage> {
        let mut next = from;
        let mut records = Vec::new();
        let end = self.inner.read_heads().applied.min(self.inner.reader.durable());
        while records.is_empty() && next < end {
            let mut read = match self.inner.reader.read(next, max_bytes) {
                Ok(read) => read,
                Err(_) if next < self.inner.reader.start() => {
                    next = self.inner.reader.start();
                    continue;
                }
                Err(err) => return Err(err),
            };
            // What is durable and could not be applied is not held: nobody is told of it.
            read.retain(|record| record.end <= end);
            let Some(last) = read.last() else { break };
            next = last.end;
            for record in read {
                if record.collection != collection {
                    continue;
                }
                if let Some(dot) = self.inner.name_of(&record)?.filter(&wanted) {
                    records.push((dot, record.bytes, record.end));
                }
            }
        }
        Ok(LogPage { records, next })
    }

    fn export(&self, collection: &str, records: &[(Dot, Vec<u8>, Position)]) -> Result<()> {
        let own = records.iter().map(|(dot, ..)| *dot).filter(|dot| self.is_own(&dot.origin));
        if own.clone().next().is_none() {
            return Ok(());
        }
        self.inner.note_reader(collection);
        match self.inner.are_exported(collection, own) {
            true => Ok(()),
            false => self.inner.mark_exported(collection),
        }
    }

    /// Checks, commits and applies transactions of a collection that came from elsewhere, in the
    /// order given. Durable when this returns.
    ///
    /// Errors: [`InvalidTransaction`](crate::ErrorKind::InvalidTransaction) if one is malformed or its signature wrong: then
    /// nothing is applied; or if one does not continue its author's history as it is here: then
    /// those before it are applied. [`MissingDependency`](crate::ErrorKind::MissingDependency) if
    /// one builds on what is not here: those before it are applied.
    pub fn apply_remote(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<Outcome> {
        let count = txns.len() as i64;
        let span = tracing::info_span!(target: "littoral::trace", "sync.apply", collection, transactions = count);
        let _entered = span.enter();
        let scope = Scope { network: self.inner.network, collection };
        let name: Arc<str> = Arc::from(collection);
        let verified = verify_all(txns, scope).inspect_err(|err| {
            tracing::warn!(collection, reason = err.message(), "a transaction was refused");
        })?;
        let item = |signed| Item { collection: name.clone(), signed: Arc::new(signed) };
        let mut items: Vec<Item> = verified.into_iter().map(item).collect();
        let mut outcome = Outcome::default();
        while !items.is_empty() {
            let rest = items.split_off(within(&items, COMMIT_BATCH_BYTES / 2));
            let mut part = std::mem::replace(&mut items, rest);
            self.inner.note_returned(collection, &part)?;
            while !part.is_empty() {
                let done = self.inner.commit_remote(part.clone())?;
                outcome.new += done.outcome.new;
                outcome.duplicates += done.outcome.duplicates;
                part.drain(..done.outcome.new + done.outcome.duplicates);
                self.go_on(collection, done.stop, part.first())?;
            }
        }
        Ok(outcome)
    }

    /// What stopped a batch at a transaction, if it was not something that is over now.
    fn go_on(&self, collection: &str, stop: Option<Stop>, at: Option<&Item>) -> Result<()> {
        match stop {
            None => Ok(()),
            Some(Stop::Refused(err)) => {
                if let (ErrorKind::MissingDependency, Some(item)) = (err.kind(), at) {
                    self.inner.vouch_for_past(collection, &item.signed)?;
                }
                Err(err)
            }
            // The incarnation goes, and the same transaction is anyone's.
            Some(Stop::Disowned) => self.inner.retreat(collection),
            Some(Stop::Forked(fork, err)) => {
                self.inner.note_fork(collection, &fork)?;
                if let Some((from, item)) = fork.from.zip(at) {
                    match self.inner.part_with(collection, &item.signed, from) {
                        // Both sides have names of their own: it may come again.
                        Ok(true) => return Ok(()),
                        Ok(false) => {}
                        Err(err) if err.kind() != ErrorKind::Forked => return Err(err),
                        Err(why) => tracing::error!(collection, reason = why.message(), "a fork"),
                    }
                }
                if self.inner.present_origin(collection)? == fork.dot.origin {
                    self.inner.retreat(collection)?;
                }
                Err(err)
            }
        }
    }

    /// Whether this node wrote as `origin`, now or in an earlier incarnation.
    pub fn is_own(&self, origin: &Origin) -> bool {
        origin.node == self.inner.node
    }
}

fn is_valid(roster: Option<&Roster>, collection: &str, dot: &Dot) -> bool {
    roster.is_none_or(|roster| roster.valid_through(collection, &dot.origin) >= dot.seq)
}

/// How many of `items` go together within `limit` bytes: at least one.
fn within(items: &[Item], limit: usize) -> usize {
    let mut bytes = 0;
    let fits = |item: &&Item| {
        bytes += item.signed.bytes.len();
        bytes <= limit
    };
    items.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::super::log::{NewRecord, RecordKind};
    use super::*;
    use crate::store::disk::MemDisk;
    use crate::{Field, Fields, Options};

    /// Between its sync and its publication, a batch is in the log and not in the heads.
    #[test]
    fn what_is_durable_and_not_yet_applied_is_not_passed_over() {
        let options = Options::new().key(NodeKey::from_seed([1; 32]));
        let store = options.open_on(Arc::new(MemDisk::new())).unwrap();
        let notes = store.collection("notes").unwrap();
        notes.put("n", &Fields::from([("x".to_owned(), Field::from("y"))])).unwrap();
        let position = {
            let mut committer = lock(&store.inner.committer);
            let committer = committer.as_mut().unwrap();
            let record = NewRecord { kind: RecordKind::Txn, collection: "new", bytes: b"first" };
            let appended = committer.append(&[record]).unwrap();
            committer.sync().unwrap();
            appended.positions[0].0
        };
        assert!(store.inner.reader.durable() > position);
        assert!(store.log_start("new", &Vector::new()).unwrap() <= position);
        let (_, _, held_through) = store.summary("new").unwrap();
        assert!(held_through <= position);
    }
}

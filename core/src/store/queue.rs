//! The queue: what waits to be committed, and who waits for that.
//!
//! A local write enters it before it is signed: whoever builds the next one needs its hash alone,
//! so signing is no part of what only one may do at a time. Its author signs it once the gate is
//! open again; a leader who gets to it first does that instead.
//!
//! Whoever waits has a bell of its own ([`Waiter`]), and is woken when its entry is done or when it
//! is to lead. While there are entries and nobody leads, either one who waits has been woken for
//! it, or the author of an entry is on its way to [`Inner::wait`](super::Inner::wait).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::admission::Stop;
use super::commit::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Seq};
use crate::limits::COMMIT_BATCH_BYTES;
use crate::txn::{NodeKey, Signed, Txn, Unsigned};

/// What came of an entry of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Transactions that were new.
    pub new: usize,
    /// Transactions that were here already.
    pub duplicates: usize,
}

/// A transaction on its way into the store.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) collection: Arc<str>,
    pub(super) signed: Arc<Signed>,
}

/// A transaction of this node, which may not be signed yet.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) collection: Arc<str>,
    pub(super) txn: Arc<Txn>,
    hash: Hash,
    len: usize,
    unsigned: Mutex<Option<Unsigned>>,
    signed: OnceLock<Arc<Signed>>,
}

impl Local {
    pub(super) fn new(collection: &str, unsigned: Unsigned) -> Arc<Local> {
        Arc::new(Local {
            collection: Arc::from(collection),
            txn: unsigned.txn.clone(),
            hash: unsigned.hash,
            len: unsigned.len(),
            unsigned: Mutex::new(Some(unsigned)),
            signed: OnceLock::new(),
        })
    }

    /// The hash that the transaction will have.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes of the signed transaction.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The transaction, signed here and now if it is not yet.
    pub(super) fn sign(&self, key: &NodeKey) -> Item {
        let signed = self.signed.get_or_init(|| {
            let unsigned = lock(&self.unsigned).take().expect("it is taken to be signed, once");
            Arc::new(unsigned.sign(key))
        });
        Item { collection: self.collection.clone(), signed: signed.clone() }
    }
}

/// What is to be committed.
pub(super) enum Work {
    /// All or nothing: a local write, which builds on what was held in this generation.
    Local(Vec<Arc<Local>>, u64),
    /// What came from elsewhere: as many as can be applied, in order.
    Remote(Vec<Item>),
}

impl Work {
    fn bytes(&self) -> usize {
        match self {
            Work::Local(items, _) => items.iter().map(|item| item.len()).sum(),
            Work::Remote(items) => items.iter().map(|item| item.signed.bytes.len()).sum(),
        }
    }
}

/// An entry of the queue.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) durable: bool,
    pub(super) waiter: Arc<Waiter>,
}

impl Job {
    pub(super) fn new(work: Work, durable: bool) -> Job {
        Job { work, durable, waiter: Arc::default() }
    }
}

/// What came of an entry, and what stopped it short.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) stop: Option<Stop>,
}

/// Whoever waits for an entry.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Waiting,
    Done(Result<Done>),
    Taken,
}

impl Waiter {
    /// The entry is done. Whoever waits is woken when the batch is.
    pub(super) fn finish(&self, outcome: Result<Done>) {
        *lock(&self.state) = State::Done(outcome);
    }

    /// What came of the entry, once.
    pub(super) fn take(&self) -> Option<Result<Done>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => Some(outcome),
            before => {
                *state = before;
                None
            }
        }
    }

    fn waits(&self) -> bool {
        matches!(*lock(&self.state), State::Waiting)
    }
}

/// The entries, and whether somebody is committing.
#[derive(Default)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
    waiting: Vec<Arc<Waiter>>,
    busy: bool,
}

impl Queue {
    /// Whether nothing waits and nobody is committing.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && !self.busy
    }

    /// How many entries wait.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn push(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// The entries to be committed next, if nobody leads; the caller does, until it drops a
    /// [`Release`].
    pub(super) fn lead(&mut self) -> Option<Vec<Job>> {
        if self.busy {
            return None;
        }
        self.busy = true;
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(job) = self.jobs.front() {
            bytes += job.work.bytes();
            if !batch.is_empty() && bytes > COMMIT_BATCH_BYTES {
                break;
            }
            batch.extend(self.jobs.pop_front());
        }
        Some(batch)
    }

    /// Waits for the bell of `waiter`.
    pub(super) fn wait<'q>(
        mut queue: MutexGuard<'q, Queue>,
        waiter: &Arc<Waiter>,
    ) -> MutexGuard<'q, Queue> {
        if !queue.waiting.iter().any(|known| Arc::ptr_eq(known, waiter)) {
            queue.waiting.push(waiter.clone());
        }
        waiter.bell.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next leader in, also when a batch panicked.
pub(super) struct Release<'a>(pub(super) &'a Mutex<Queue>);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let mut queue = lock(self.0);
        queue.busy = false;
        let (next, done): (Vec<_>, Vec<_>) =
            std::mem::take(&mut queue.waiting).into_iter().partition(|waiter| waiter.waits());
        let leader = next.first().cloned();
        queue.waiting = next;
        // Whoever is woken needs the lock.
        drop(queue);
        leader.iter().chain(&done).for_each(|waiter| waiter.bell.notify_one());
    }
}

/// Local transactions that are queued and not yet applied, so that the next local write sees them.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) items: VecDeque<Arc<Local>>,
    /// The newest own transaction of each collection among them.
    own: BTreeMap<Arc<str>, (Seq, Hash)>,
    /// Counts how often own transactions got other names, or may have: what was begun before is
    /// void.
    pub(super) generation: u64,
    /// The generation that began when the store was last suspended.
    suspended: u64,
}

impl Pending {
    /// The newest own transaction of a collection that is queued.
    pub(super) fn newest(&self, collection: &str) -> Option<(Seq, Hash)> {
        self.own.get(collection).copied()
    }

    pub(super) fn push(&mut self, item: Arc<Local>) {
        self.own.insert(item.collection.clone(), (item.txn.dot.seq, item.hash));
        self.items.push_back(item);
    }

    /// Nothing is pending any more, and what is being built will not be.
    pub(super) fn begin_generation(&mut self) {
        let (generation, suspended) = (self.generation + 1, self.suspended);
        *self = Pending { generation, suspended, ..Pending::default() };
    }

    /// The same, since the store is suspended.
    pub(super) fn suspend(&mut self) {
        self.begin_generation();
        self.suspended = self.generation;
    }

    /// Why what was begun in a generation is void, if it is.
    pub(super) fn check(&self, generation: u64) -> Result<()> {
        match generation {
            now if now == self.generation => Ok(()),
            before if before < self.suspended => Err(Error::new(
                ErrorKind::Suspended,
                "the store was suspended while this was written; nothing of it was kept: run it \
                 again",
            )),
            _ => Err(Error::new(
                ErrorKind::Aborted,
                "while this was written it turned out that the store was copied or rolled back; \
                 nothing of it was kept: run it again",
            )),
        }
    }

    /// What was applied is pending no more.
    pub(super) fn retire(&mut self, applied: &[Item]) {
        for item in applied {
            let txn = &item.signed.txn;
            if self.items.front().is_some_and(|front| Arc::ptr_eq(&front.txn, txn)) {
                self.items.pop_front();
                if self.own.get(&item.collection).is_some_and(|(seq, _)| *seq == txn.dot.seq) {
                    self.own.remove(&item.collection);
                }
            }
        }
    }
}

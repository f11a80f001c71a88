//! Commit: how finished transactions enter the log and the state.
//!
//! Everything that changes the store goes through one queue. Whoever waits for an entry of
//! it may find itself the leader: it takes what is queued, up to a limit, and commits it
//! together, so that all of them share one fdatasync. The steps of a batch, in order:
//!
//! 1. admit ([`Admission`]): what is here already or can't be applied yet goes no further;
//! 2. append to the log, and sync it if anyone in the batch waits for durability;
//! 3. apply to redb ([`Waist`]), not yet visible;
//! 4. publish: commit in redb, change the heads, and retire what was pending, under one
//!    lock, so that a reader who takes a view under that lock sees one moment.
//!
//! Invariants: nothing is acknowledged before its log record is durable (unless deferred
//! durability was asked for); redb never becomes durable ahead of the log; after any
//! failure from step 2 on the outcome is unknown, so the store refuses writes until it is
//! opened again and finds the truth in the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redb::{Durability, WriteTransaction};

use super::Inner;
use super::admission::{Admission, From, Stop};
use super::apply::{Changes, Waist};
use super::export::Mark;
use super::heads::Heads;
use super::log::{Appended, Log, NewRecord, RecordKind};
use super::queue::{Done, Item, Job, Local, Queue, Release, Waiter, Work};
use super::segments::{Counted, Segments};
use super::tables::{Tables, db};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Position;
use crate::limits::{STATE_DURABLE_BYTES, STATE_DURABLE_MS, STATE_DURABLE_TXNS};

/// What staging some documents counts for towards making redb durable.
const STAGED_BYTES: u64 = 1 << 20;

/// The log, and what redb has not yet made durable of it.
pub(super) struct Committer {
    log: Log,
    undurable: Undurable,
    /// The length of state.redb at its last durable commit.
    durable_len: u64,
    /// Wall time of it.
    durable_ms: u64,
    segments: Segments,
}

/// What redb has applied and not made durable.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Undurable {
    txns: u64,
    bytes: u64,
}

impl Undurable {
    /// Counts transactions of these sizes.
    pub(super) fn note(&mut self, sizes: impl Iterator<Item = usize>) {
        for bytes in sizes {
            self.txns += 1;
            self.bytes += bytes as u64;
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.txns == 0 && self.bytes == 0
    }

    /// Whether it is time to make it durable: what recovery has to apply again is bounded.
    pub(super) fn is_much(&self) -> bool {
        self.txns >= STATE_DURABLE_TXNS || self.bytes >= STATE_DURABLE_BYTES
    }
}

impl Committer {
    /// Of a log, where `undurable` was applied since the state was last durable, at `now_ms` and
    /// with `durable_len` bytes.
    pub(super) fn new(
        log: Log,
        segments: Segments,
        undurable: Undurable,
        durable_len: u64,
        now_ms: u64,
    ) -> Committer {
        Committer { log, undurable, durable_len, durable_ms: now_ms, segments }
    }

    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(super) fn segments_mut(&mut self) -> &mut Segments {
        &mut self.segments
    }

    /// Writes what is known of the log's segments, in a commit that is durable.
    pub(super) fn save_segments(&mut self, txn: &WriteTransaction) -> Result<()> {
        self.segments.save(txn, self.log.start(), self.log.end())
    }

    /// The same, for a log that begins at `start` from this commit on.
    pub(super) fn prune_segments(&mut self, txn: &WriteTransaction, start: Position) -> Result<()> {
        self.segments.prune(start);
        self.segments.save(txn, start, self.log.end())
    }

    /// Removes the log's segments before `position`.
    pub(super) fn unlink_before(&mut self, position: Position) -> Result<()> {
        self.log.unlink_before(position).map(drop)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Appends records, not yet durable.
    pub(super) fn append(&mut self, records: &[NewRecord<'_>]) -> Result<Appended> {
        self.log.append(records)
    }

    /// Makes durable what was appended.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.log.sync()
    }

    /// Appends one record that no transaction goes with and makes it durable; gives the log's end.
    pub(super) fn append_apart(&mut self, record: NewRecord<'_>) -> Result<Position> {
        self.log.append(&[record])?;
        self.log.sync()?;
        Ok(self.log.end())
    }
}

/// Takes a lock; a panic of another holder is not ours to repeat.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Queues `items` of a local write, and notes them as pending. The caller holds the gate.
    /// They were built in `generation`, and need not be signed.
    pub(super) fn enqueue_local(
        &self,
        items: Vec<Arc<Local>>,
        durable: bool,
        generation: u64,
    ) -> Result<Arc<Waiter>> {
        let mut pending = lock(&self.pending);
        pending.check(generation)?;
        items.iter().for_each(|item| pending.push(item.clone()));
        Ok(self.enqueue(Work::Local(items, generation), durable))
    }

    fn enqueue(&self, work: Work, durable: bool) -> Arc<Waiter> {
        let job = Job::new(work, durable);
        let waiter = job.waiter.clone();
        lock(&self.queue).push(job);
        waiter
    }

    /// Queues `items` that came from elsewhere and waits until they are durable and applied.
    pub(super) fn commit_remote(&self, items: Vec<Item>) -> Result<Done> {
        self.wait(&self.enqueue(Work::Remote(items), true))
    }

    /// Makes everything committed so far durable.
    pub(super) fn flush(&self) -> Result<()> {
        self.commit_remote(Vec::new()).map(drop)
    }

    /// Waits for an entry of the queue, leading the commit if nobody else does.
    pub(super) fn wait(&self, waiter: &Arc<Waiter>) -> Result<Done> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(outcome) = waiter.take() {
                return outcome;
            }
            let Some(batch) = queue.lead() else {
                queue = Queue::wait(queue, waiter);
                continue;
            };
            drop(queue);
            // Whatever happens in the batch, the queue must not stay busy.
            let release = Release(&self.queue);
            self.commit_batch(batch);
            drop(release);
            self.prune_along();
            self.sweep_along();
            queue = lock(&self.queue);
        }
    }

    fn commit_batch(&self, jobs: Vec<Job>) {
        let span =
            tracing::info_span!(target: "littoral::trace", "commit", entries = jobs.len() as i64);
        let _entered = span.enter();
        let begun = Instant::now();
        let attempt = || match &mut *lock(&self.committer) {
            None => Err(self.gone()),
            Some(committer) => self.check_usable().and_then(|()| self.run_batch(committer, &jobs)),
        };
        let result = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            Err(self
                .poison(&Error::new(ErrorKind::Internal, "committing panicked; please report it")))
        });
        match result {
            Ok(outcomes) => {
                self.counters.commits.note(begun.elapsed());
                for (job, outcome) in jobs.iter().zip(outcomes) {
                    job.waiter.finish(outcome);
                }
                self.announce();
            }
            Err(err) => {
                for job in &jobs {
                    job.waiter.finish(Err(Error::new(err.kind(), err.message())));
                }
            }
        }
    }

    /// Commits a batch. An error is of the whole batch; from the append on it poisons the store.
    fn run_batch(&self, committer: &mut Committer, jobs: &[Job]) -> Result<Vec<Result<Done>>> {
        let (outcomes, admitted) = self.admit(jobs)?;
        let sync = jobs.iter().any(|job| job.durable);
        if admitted.is_empty() && !(sync && committer.log.durable() < committer.log.end()) {
            return Ok(outcomes);
        }
        // A failure from here on, a full disk included, leaves unknown what reached the disk.
        let marks = if sync { self.marks_along(&admitted) } else { Vec::new() };
        self.write(committer, &admitted, marks, sync).map_err(|err| self.poison(&err))?;
        self.counters.committed(&admitted, self.node, self.wall.now_ms());
        Ok(outcomes)
    }

    fn admit(&self, jobs: &[Job]) -> Result<(Vec<Result<Done>>, Vec<Item>)> {
        let database = self.database()?;
        let heads = self.read_heads();
        let mut admission = Admission::new(&heads, self.node, self.roster(), &database);
        let mut admitted = Vec::new();
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut done = Done::default();
            let (signed, from);
            let items = match &job.work {
                Work::Local(items, generation) => {
                    if let Err(void) = lock(&self.pending).check(*generation) {
                        outcomes.push(Err(void));
                        continue;
                    }
                    signed = items.iter().map(|item| item.sign(&self.key)).collect();
                    from = From::Here;
                    &signed
                }
                Work::Remote(items) => {
                    from = From::Elsewhere;
                    items
                }
            };
            for item in items {
                match admission.admit(&item.collection, &item.signed, from) {
                    Ok(true) => {
                        done.outcome.new += 1;
                        admitted.push(item.clone());
                    }
                    Ok(false) if from == From::Elsewhere => done.outcome.duplicates += 1,
                    Err(stop) if from == From::Elsewhere => {
                        done.stop = Some(stop);
                        break;
                    }
                    stopped => {
                        let why = match stopped {
                            Err(Stop::Refused(error) | Stop::Forked(_, error)) => {
                                error.message().to_owned()
                            }
                            Err(Stop::Disowned) => "its name is another store's".to_owned(),
                            Ok(_) => "it is there already".to_owned(),
                        };
                        return Err(self.poison(&Error::new(
                            ErrorKind::Internal,
                            format!(
                                "a local transaction does not follow the store's own history: {why}"
                            ),
                        )));
                    }
                }
            }
            self.counters.duplicates(done.outcome.duplicates);
            outcomes.push(Ok(done));
        }
        Ok((outcomes, admitted))
    }

    /// Appends, syncs, applies and publishes. The caller poisons the store if it fails. Marks
    /// are published only with `sync`: durable before anyone goes by them.
    pub(super) fn write(
        &self,
        committer: &mut Committer,
        admitted: &[Item],
        marks: Vec<Mark>,
        sync: bool,
    ) -> Result<()> {
        let appended = self.append(committer, admitted, &marks)?;
        self.count(committer, admitted, &appended);
        let make_durable = self.must_make_durable(committer);
        if sync || make_durable {
            let begun = Instant::now();
            committer.log.sync()?;
            self.counters.syncs.note(begun.elapsed());
        }
        if admitted.is_empty() && marks.is_empty() {
            return Ok(());
        }
        let txn = self.begin_write(make_durable)?;
        if make_durable {
            committer.save_segments(&txn)?;
        }
        let changes = self.apply(&txn, admitted, &marks, &appended, committer)?;
        self.publish(txn, changes, admitted)?;
        committer.undurable.txns += admitted.len() as u64;
        if make_durable {
            self.note_durable(committer);
        }
        Ok(())
    }

    fn append(
        &self,
        committer: &mut Committer,
        admitted: &[Item],
        marks: &[Mark],
    ) -> Result<Appended> {
        let contents: Vec<_> = marks.iter().map(Mark::encode).collect();
        let marks = marks.iter().zip(&contents).map(|(mark, bytes)| NewRecord {
            kind: RecordKind::Mark,
            collection: &mark.collection,
            bytes,
        });
        let records: Vec<NewRecord<'_>> = admitted
            .iter()
            .map(|item| NewRecord {
                kind: RecordKind::Txn,
                collection: &item.collection,
                bytes: &item.signed.bytes,
            })
            .chain(marks)
            .collect();
        committer.undurable.bytes +=
            records.iter().map(|record| record.bytes.len() as u64).sum::<u64>();
        committer.log.append(&records)
    }

    /// Counts what was appended to the segment that is written to.
    pub(super) fn count(&self, committer: &mut Committer, admitted: &[Item], appended: &Appended) {
        let (base, now_ms) = (committer.log.active(), self.wall.now_ms());
        for (item, (position, end)) in admitted.iter().zip(&appended.positions) {
            let (dot, bytes) = (item.signed.txn.dot, end.0 - position.0);
            let counted = Counted { collection: &item.collection, bytes, dot };
            committer.segments.count(base, now_ms, self.node, counted);
        }
        if committer.log.batch() == Some(base) {
            self.pruning.call_for();
        }
    }

    /// If many commits that are not durable grew the file past its last durable length, redb
    /// would repair it by a full walk after a crash: so growth, too, calls for durability.
    fn must_make_durable(&self, committer: &Committer) -> bool {
        committer.undurable.is_much()
            || self.wall.now_ms().abs_diff(committer.durable_ms) >= STATE_DURABLE_MS
            || self.state_len() > committer.durable_len
    }

    pub(super) fn note_durable(&self, committer: &mut Committer) {
        committer.undurable = Undurable::default();
        committer.durable_len = self.state_len();
        committer.durable_ms = self.wall.now_ms();
    }

    pub(super) fn begin_write(&self, durable: bool) -> Result<WriteTransaction> {
        let mut txn = self.database()?.begin_write().map_err(db)?;
        // An idle reader would keep pages from being used again.
        drop(self.write_heads());
        set_durability(&mut txn, durable)?;
        Ok(txn)
    }

    fn apply(
        &self,
        txn: &WriteTransaction,
        admitted: &[Item],
        marks: &[Mark],
        appended: &Appended,
        committer: &Committer,
    ) -> Result<Changes> {
        let heads = self.read_heads();
        let now_ms = self.wall.now_ms();
        let mut waist =
            Waist::new(Tables::open(txn)?, &heads, self.node).noting(now_ms).keeping_values();
        for (item, (position, _)) in admitted.iter().zip(&appended.positions) {
            waist.apply(&item.collection, &item.signed, *position)?;
        }
        marks.iter().try_for_each(|mark| waist.mark(mark))?;
        waist.finish(committer.log.end(), committer.log.batch())
    }

    fn publish(&self, txn: WriteTransaction, changes: Changes, admitted: &[Item]) -> Result<()> {
        let mut heads = self.write_heads();
        txn.commit().map_err(db)?;
        changes.publish(&mut heads, self.node);
        lock(&self.pending).retire(admitted);
        let wall = self.wall.now_ms();
        let mut clock = lock(&self.clock);
        admitted.iter().for_each(|item| clock.observe(item.signed.txn.time, wall));
        Ok(())
    }

    /// Commits a change that no log record goes with, durably, between two batches. The log is
    /// synced first: this makes durable in redb all that was applied before.
    pub(super) fn commit_beside<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
    ) -> Result<T> {
        self.commit_beside_heads(change, |_| ())
    }

    /// The same, with a change of the heads that becomes visible in the same moment.
    pub(super) fn commit_beside_heads<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
        publish: impl FnOnce(&mut Heads),
    ) -> Result<T> {
        self.commit_beside_heads_with(change, |heads, _| publish(heads))
    }

    /// The same, where what becomes visible depends on what the change came to.
    pub(super) fn commit_beside_heads_with<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
        publish: impl FnOnce(&mut Heads, &T),
    ) -> Result<T> {
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        committer.log.sync().map_err(|err| self.poison(&err))?;
        let txn = self.begin_write(true)?;
        let result = change(&txn)?;
        committer.save_segments(&txn).map_err(|err| self.poison(&err))?;
        let mut heads = self.write_heads();
        txn.commit().map_err(|err| self.poison(&db(err)))?;
        publish(&mut heads, &result);
        drop(heads);
        self.note_durable(committer);
        Ok(result)
    }

    /// Commits what is staged of a snapshot, between two batches: durable only when redb would
    /// be made durable anyway, since what is lost of it is fetched again.
    pub(super) fn commit_staged(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<()>,
    ) -> Result<()> {
        self.with_committer(|committer| {
            committer.undurable.bytes += STAGED_BYTES;
            self.commit_between(committer, change, |txn, ()| txn.commit())
        })
    }

    /// Commits what may be lost by a crash, between two batches: durable only when redb would be
    /// made durable anyway.
    pub(super) fn commit_loosely(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<()>,
    ) -> Result<()> {
        self.with_committer(|committer| {
            committer.undurable.txns += 1;
            self.commit_between(committer, change, |txn, ()| txn.commit())
        })
    }

    /// The same, where what is done goes by the heads, and changes them.
    pub(super) fn commit_loosely_with<T>(
        &self,
        change: impl FnOnce(&WriteTransaction, &Heads) -> Result<T>,
        publish: impl FnOnce(&mut Heads, &T),
    ) -> Result<T> {
        self.with_committer(|committer| {
            committer.undurable.txns += 1;
            let change = |txn: &WriteTransaction| change(txn, &self.read_heads());
            self.commit_between(committer, change, |txn, done| {
                let mut heads = self.write_heads();
                txn.commit()?;
                publish(&mut heads, done);
                Ok(())
            })
        })
    }

    /// Does something as the one who commits.
    fn with_committer<T>(&self, work: impl FnOnce(&mut Committer) -> Result<T>) -> Result<T> {
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        work(committer)
    }

    /// `commit` makes it visible, and with it what goes by what the change came to.
    fn commit_between<T>(
        &self,
        committer: &mut Committer,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
        commit: impl FnOnce(WriteTransaction, &T) -> Result<(), redb::CommitError>,
    ) -> Result<T> {
        let make_durable = self.must_make_durable(committer);
        if make_durable {
            committer.log.sync().map_err(|err| self.poison(&err))?;
        }
        let txn = self.begin_write(make_durable)?;
        let done = change(&txn)?;
        if make_durable {
            committer.save_segments(&txn).map_err(|err| self.poison(&err))?;
        }
        commit(txn, &done).map_err(|err| self.poison(&db(err)))?;
        if make_durable {
            self.note_durable(committer);
        }
        Ok(done)
    }

    /// Ends all writing: syncs the log, makes redb durable, and gives the committer back.
    pub(super) fn stop_committing(&self) -> Result<()> {
        let committer = lock(&self.committer).take();
        committer.map_or(Ok(()), |committer| self.end_committing(committer))
    }

    /// The same, for who has taken the committer.
    pub(super) fn end_committing(&self, mut committer: Committer) -> Result<()> {
        self.check_usable()?;
        committer.log.sync()?;
        let txn = self.begin_write(true)?;
        committer.save_segments(&txn)?;
        txn.commit().map_err(db)?;
        committer.log.close()
    }
}

/// Whether a commit is to be durable; a crash then leaves a state that opens at once.
pub(super) fn set_durability(txn: &mut WriteTransaction, durable: bool) -> Result<()> {
    match durable {
        true => {
            txn.set_two_phase_commit(true);
            txn.set_quick_repair(true);
            Ok(())
        }
        false => txn
            .set_durability(Durability::None)
            .map_err(|err| Error::new(ErrorKind::Internal, format!("state.redb: {err}"))),
    }
}

//! Pruning: old segments of the log go, and their disk comes back at once.
//!
//! The oldest segment goes when every collection with records in it is over its budget: its
//! newer records fill it, or all in the segment is too old. And it goes, whoever is in it, when
//! what follows it is as large as all budgets together: so that a quiet collection does not hold
//! a busy one's history for ever. Nothing goes that
//!
//! - is in the active segment;
//! - holds own transactions that were never handed to anyone, as long as the store trusts at
//!   least one peer: they are the only copy with their signature (a store without peers has
//!   nobody to give them to);
//! - is pinned ([`pins`](super::pins)).
//!
//! A session that streams the log is no reason to keep it: it finds out by the floor.
//!
//! # A step, and why no crash in it loses anything
//! 1. Choose a segment, and tell pins that it is going.
//! 2. Read it: of each origin the newest transaction in it. No lock is held.
//! 3. Sync the log; raise the floor, drop what points into the segment but for hashes
//!    ([`hashes`]), and note where the log begins, in one durable commit of redb. It makes all that the segment holds durable there.
//!    A crash before it changes nothing; after it, the segment is removed at the next open.
//! 4. Unlink the file.
//!
//! There is no thread for it: who leads a commit takes a step after it has acknowledged, so
//! steps keep up with writes, and a store that nobody writes to keeps what it has until
//! [`Store::prune`].

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::{ReadableDatabase, ReadableTableMetadata};

use super::commit::{Committer, lock};
use super::feed;
use super::floor::Rise;
use super::hashes::{self, Whose};
use super::heads::CollectionHead;
use super::tables::{self, IndexRow, Tables, VectorRow, Writable, db, set};
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Head, Origin, Position, Seq, ShortHash};
use crate::limits::{LOG_PIN_FACTOR, PRUNE_CHECK_MS};
use crate::txn::{Proof, Scope, Signed};

/// Bytes of a segment read at a time.
const READ_BYTES: usize = 1 << 20;

/// What is known of pruning between its steps.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    /// Whoever takes a step.
    step: Mutex<()>,
    called_for: AtomicBool,
    checked_ms: AtomicU64,
    failed: AtomicBool,
    /// What keeps a segment that is over its budget.
    held: Mutex<Option<String>>,
}

impl Pruning {
    /// There may be something to prune.
    pub(super) fn call_for(&self) {
        self.called_for.store(true, Ordering::Release);
    }

    /// What keeps a segment that is over its budget, or why pruning has failed.
    pub(super) fn held(&self) -> Option<String> {
        lock(&self.held).clone()
    }

    /// Whether it is time to look: something called for it, or some time has passed. After a
    /// failure, not until something calls for it again.
    fn is_due(&self, now_ms: u64) -> bool {
        let late = now_ms.abs_diff(self.checked_ms.load(Ordering::Relaxed)) >= PRUNE_CHECK_MS;
        let due = self.called_for.swap(false, Ordering::AcqRel)
            || late && !self.failed.load(Ordering::Relaxed);
        if due {
            self.checked_ms.store(now_ms, Ordering::Relaxed);
        }
        due
    }

    fn note(&self, failure: Option<&Error>) {
        self.failed.store(failure.is_some(), Ordering::Relaxed);
        if let Some(err) = failure {
            *lock(&self.held) = Some(format!("pruning failed: {}", err.message()));
        }
    }
}

/// What pruning removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Segments.
    pub segments: u64,
    /// Bytes of log in them.
    pub bytes: u64,
}

/// A segment that is to go.
struct Victim {
    base: Position,
    next: Position,
}

/// Of each collection and origin the newest transaction in a segment.
type Newest = BTreeMap<String, BTreeMap<Origin, (Head, Proof)>>;

impl Store {
    /// Removes what the log holds beyond its budget and nothing needs. Writing does this as it
    /// goes; for a store that is seldom written to.
    pub fn prune(&self) -> Result<Pruned> {
        self.inner.prune()
    }
}

impl Inner {
    /// Prunes one segment after a commit, if it is time. What fails here is no failure of the
    /// commit.
    pub(super) fn prune_along(&self) {
        if self.reader.segments() < 2 || !self.pruning.is_due(self.wall.now_ms()) {
            return;
        }
        let Ok(step) = self.pruning.step.try_lock() else { return };
        let result = self.prune_step();
        self.pruning.note(result.as_ref().err());
        match result {
            Ok(Some(_)) => self.pruning.call_for(),
            Err(err)
                if ![ErrorKind::Closed, ErrorKind::Suspended, ErrorKind::Poisoned]
                    .contains(&err.kind()) =>
            {
                tracing::error!(reason = err.message(), "pruning the log failed: it grows");
            }
            _ => {}
        }
        drop(step);
    }

    fn prune(&self) -> Result<Pruned> {
        let _step = lock(&self.pruning.step);
        let mut pruned = Pruned::default();
        while let Some(bytes) = self.prune_step()? {
            pruned.segments += 1;
            pruned.bytes += bytes;
        }
        self.pruning.note(None);
        Ok(pruned)
    }

    /// Removes the oldest segment, if it may go; gives its bytes.
    fn prune_step(&self) -> Result<Option<u64>> {
        let Some(victim) = self.choose()? else { return Ok(None) };
        let newest = match self.newest_in(&victim) {
            Err(err) if err.kind() == ErrorKind::Corrupt => self.give_up(&victim, &err)?,
            newest => newest?,
        };
        self.remove(&victim, &newest)?;
        Ok(Some(victim.next.0 - victim.base.0))
    }

    fn choose(&self) -> Result<Option<Victim>> {
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let Some((base, next)) = self.reader.first_segment() else { return Ok(None) };
        let rest = committer.log().end().0 - next.0;
        let whole = self.whole_budget();
        let mut held = None;
        if rest >= whole || self.is_over_budgets(committer, base) {
            let too_much = rest >= whole.saturating_mul(LOG_PIN_FACTOR);
            held = self.holding(committer, base, next, too_much)?;
            if held.is_none() {
                *lock(&self.pruning.held) = None;
                return Ok(Some(Victim { base, next }));
            }
        }
        *lock(&self.pruning.held) = held;
        Ok(None)
    }

    fn is_over_budgets(&self, committer: &Committer, base: Position) -> bool {
        let (segments, now_ms) = (committer.segments(), self.wall.now_ms());
        let tally = segments.tally(base);
        tally.shares.iter().all(|(collection, share)| {
            let budget = self.log_budget(collection);
            let newer = segments.total(collection) - share.bytes;
            newer >= budget.bytes || now_ms.saturating_sub(tally.written_ms) >= budget.age_ms
        })
    }

    /// What keeps the segment, if anything does. Pins that hold more than they may expire.
    fn holding(
        &self,
        committer: &Committer,
        base: Position,
        next: Position,
        too_much: bool,
    ) -> Result<Option<String>> {
        if let Some(collection) = self.never_handed_out(committer, base)? {
            return Ok(Some(format!("own writes to {collection} that no peer was given")));
        }
        let mut pins = lock(&self.pins);
        if too_much {
            pins.expire(next);
        }
        let held = pins.let_go(next);
        Ok(held.map(|pin| format!("{} of {}", pin.why, pin.collection)))
    }

    /// A collection with own transactions in the segment that only this store has.
    fn never_handed_out(&self, committer: &Committer, base: Position) -> Result<Option<String>> {
        let tally = committer.segments().tally(base);
        let heads = self.read_heads();
        let only_here = tally.shares.iter().find(|(collection, share)| {
            let row = heads.named(collection).map(|head| &head.row);
            let newest = share.own.zip(row).filter(|((own, _), row)| *own == row.incarnation);
            newest.is_some_and(|((_, seq), row)| seq > row.exported)
        });
        match only_here {
            Some((collection, _)) if self.has_peers()? => Ok(Some(collection.to_string())),
            _ => Ok(None),
        }
    }

    fn has_peers(&self) -> Result<bool> {
        let read = self.database()?.begin_read().map_err(db)?;
        let peers = read.open_table(tables::PEERS).map_err(db)?;
        Ok(!peers.is_empty().map_err(db)?)
    }

    fn newest_in(&self, victim: &Victim) -> Result<Newest> {
        let mut found: BTreeMap<(String, Origin), (u64, Vec<u8>)> = BTreeMap::new();
        let mut at = victim.base;
        while at < victim.next {
            let records = self.reader.read(at, READ_BYTES)?;
            let Some(last) = records.last() else { break };
            at = last.end;
            for record in records {
                if record.position >= victim.next {
                    continue;
                }
                let Some(dot) = self.name_of(&record)? else { continue };
                let since = self.read_heads().named(&record.collection).map(|head| head.row.since);
                if since.is_none_or(|since| record.position < since) {
                    continue;
                }
                let entry = found.entry((record.collection, dot.origin)).or_default();
                if entry.0 < dot.seq {
                    *entry = (dot.seq, record.bytes);
                }
            }
        }
        let mut newest = Newest::new();
        for ((collection, origin), (seq, bytes)) in found {
            let scope = Scope { network: self.network, collection: &collection };
            let Signed { hash, proof, .. } = Signed::trusted(bytes, scope)?;
            let head = Head { seq, hash: hash.short() };
            newest.entry(collection).or_default().insert(origin, (head, proof));
        }
        Ok(newest)
    }

    /// A segment that can't be read is no use to anyone. What is in it is not known, so for the
    /// collections in it the log counts as empty: their peers are sent snapshots. The state has
    /// it all.
    fn give_up(&self, victim: &Victim, why: &Error) -> Result<Newest> {
        tracing::error!(reason = why.message(), "an old segment of the log is damaged: it goes");
        let mut committer = lock(&self.committer);
        let tally = committer.as_mut().ok_or_else(|| self.gone())?.segments().tally(victim.base);
        let heads = self.read_heads();
        let held = tally.shares.keys().filter_map(|collection| heads.named(collection));
        let vector = |head: &CollectionHead| {
            let row = |row: &VectorRow| (Head { seq: row.seq, hash: row.hash.short() }, row.proof);
            head.vector.iter().map(|(origin, held)| (*origin, row(held))).collect()
        };
        Ok(held.map(|head| (head.name.clone(), vector(head))).collect())
    }

    fn remove(&self, victim: &Victim, newest: &Newest) -> Result<()> {
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        committer.sync().map_err(|err| self.poison(&err))?;
        let txn = self.begin_write(true)?;
        let rises = {
            let mut tables = Tables::open(&txn)?;
            set(&mut tables.meta, tables::META_LOG_START, &victim.next.0.to_be_bytes())?;
            feed::prune_values(&mut tables.change_values, victim.next)?;
            self.raise_floors(&mut tables, newest)?
        };
        committer.prune_segments(&txn, victim.next).map_err(|err| self.poison(&err))?;
        let mut heads = self.write_heads();
        txn.commit().map_err(|err| self.poison(&db(err)))?;
        for rise in rises {
            if let Some(head) = heads.get_mut(rise.number()) {
                rise.publish(head);
            }
        }
        drop(heads);
        self.note_durable(committer);
        committer.unlink_before(victim.next)
    }

    fn raise_floors(&self, tables: &mut Tables<'_>, newest: &Newest) -> Result<Vec<Rise>> {
        let heads = self.read_heads();
        let mut rises = Vec::new();
        for (collection, newest) in newest {
            let Some(head) = heads.named(collection) else { continue };
            let rule = heads.hashes.of(head.vector.len());
            for (origin, (Head { seq, hash }, _)) in newest {
                let Some(number) = heads.origins.number(origin) else { continue };
                let last = head.vector.get(origin).map_or(*seq, |row| row.seq);
                let whose = Whose(head.number, number);
                let mut gone = drop_entries(tables, whose, *seq, |seq| rule.keeps(seq, last))?;
                gone.insert(*seq, *hash);
                hashes::keep(tables.hashes.opened()?, whose, rule, last, &gone)?;
            }
            let newest = newest.iter().map(|(origin, (head, proof))| (*origin, *head, *proof));
            rises.push(Rise::write(tables, &heads.origins, head, newest)?);
        }
        Ok(rises)
    }
}

/// Drops the entries of an origin in the index up to a number; gives the hashes in them that are
/// to be kept.
fn drop_entries(
    tables: &mut Tables<'_>,
    Whose(collection, origin): Whose,
    seq: Seq,
    keeps: impl Fn(Seq) -> bool,
) -> Result<BTreeMap<Seq, ShortHash>> {
    let first = tables::transaction_key(collection, origin, 0);
    let last = tables::transaction_key(collection, origin, seq);
    let (mut kept, mut failed) = (BTreeMap::new(), None);
    let mut take = |key: &[u8], entry: &[u8]| -> Result<()> {
        let seq = tables::u64_of(&key[8..])?;
        if keeps(seq) {
            kept.insert(seq, IndexRow::decode(entry)?.hash);
        }
        Ok(())
    };
    let gone = &first[..]..=&last[..];
    let drop_it = |key: &[u8], entry: &[u8]| {
        failed = failed.take().or(take(key, entry).err());
        false
    };
    tables.transactions.opened()?.retain_in::<&[u8], _>(gone, drop_it).map_err(db)?;
    failed.map_or(Ok(kept), Err)
}

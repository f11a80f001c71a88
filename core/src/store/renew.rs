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
//! Own transactions above the export mark are nobody else's. At a proof they, and only those,
//! are signed again under the new incarnation ([`Renewal`]), so that the names which they had
//! are free for what turns out to have them.
//!
//! The steps of a renewal, under the commit lock:
//! 1. work out what the counter rows of the old incarnation were at the mark: an addition
//!    overwrites that, so it is read from the log;
//! 2. append the transactions, signed again, as records that replay does not apply, and sync;
//! 3. in one durable redb commit: take out what the old ones wrote, apply the new ones, and
//!    note the new incarnation.
//!
//! A crash before 3 leaves the old names and some records that no vector covers and nobody is
//! given. After 3 the old records are no longer in the index, and nobody is given those either.
//! A local write that was begun before fails, with nothing written: it has built on names that
//! are no longer right.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Inner;
use super::admission::{Fork, Index};
use super::apply::Waist;
use super::commit::{Committer, Item, Pending, closed, lock};
use super::documents;
use super::heads::CollectionHead;
use super::log::{NewRecord, RecordKind};
use super::rows_at_mark::RowsAtMark;
use super::tables::{self, IndexRow, Tables, VectorRow, db, set};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Position, Seq};
use crate::limits::COMMIT_BATCH_BYTES;
use crate::txn::snapshot::ViewHead;
use crate::txn::{Renewal, Scope, Signed};

/// Own transactions that are to be signed again.
struct Unsent {
    old: Origin,
    mark: Seq,
    newest: Seq,
    /// What is held at the mark.
    at_mark: VectorRow,
    fresh: Origin,
}

/// The transactions signed again: where they lie, and which documents they write.
#[derive(Default)]
struct Signings {
    positions: Vec<Position>,
    documents: BTreeSet<String>,
}

impl Inner {
    /// Ends the present incarnation in a collection, after a proof that another store uses it.
    /// What was never handed out goes on under the new one.
    pub(super) fn renew(&self, collection: &str) -> Result<()> {
        // What is queued was built on the old names: it comes along.
        self.flush()?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(closed)?;
        self.check_usable()?;
        let fresh = Origin { node: self.node, incarnation: self.unused_incarnation() };
        let Some(head) = self.read_heads().named(collection).cloned() else {
            return self.set_incarnation(committer, collection, None, fresh.incarnation);
        };
        let old = head.own_origin(self.node);
        let newest = head.vector.get(&old).map_or(0, |row| row.seq);
        let mark = head.row.exported.min(newest);
        if mark == newest {
            return self.set_incarnation(committer, collection, Some(&head), fresh.incarnation);
        }
        let at_mark = self.held_at(collection, &Dot { origin: old, seq: mark })?;
        let unsent = Unsent { old, mark, newest, at_mark, fresh };
        let rows = self.rows_at_mark(collection, &head, &unsent)?;
        self.check_possible(collection, &head, &unsent, &rows)?;
        tracing::warn!(
            collection,
            transactions = newest - mark,
            "another store writes under this node's key: what was not sent is signed again"
        );
        self.sign_again(committer, collection, &unsent, &rows).map_err(|err| self.poison(&err))
    }

    /// Checks, before a view is joined, that under the names which it shares with this store it
    /// has the same transactions, as far as hashes are known. Its entries are proven.
    ///
    /// If this node's present name is among them with more than was handed out, that is proof
    /// that another store uses it. But a view has no chain: where own transactions that were
    /// not sent stand against it, it can't be told which of them it has, too.
    pub(super) fn compare_names(&self, collection: &str, view: &ViewHead) -> Result<()> {
        let (present, mark, own) = {
            let heads = self.read_heads();
            let Some(head) = heads.named(collection) else { return Ok(()) };
            let present = head.own_origin(self.node);
            let own = head.vector.get(&present).map_or(0, |row| row.seq);
            (present, head.row.exported.min(own), own)
        };
        let mut continued = false;
        {
            let database = self.database()?;
            let heads = self.read_heads();
            let index = Index::new(&database);
            for (origin, newest) in &view.vector {
                let dot = Dot { origin: *origin, seq: newest.seq };
                let held = index.hash_at(&heads, collection, &dot)?;
                if held.is_some_and(|held| held != newest.hash.short()) {
                    return Err(apart(&dot));
                }
                if dot.origin == present && dot.seq > own {
                    if own > mark {
                        return Err(apart(&dot));
                    }
                    continued = true;
                }
            }
        }
        match continued {
            true => self.retreat(collection),
            false => Ok(()),
        }
    }

    /// Ends the present incarnation in a collection, leaving everything as it is.
    pub(super) fn retreat(&self, collection: &str) -> Result<()> {
        self.flush()?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(closed)?;
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
    fn begin_generation(&self) {
        let mut pending = lock(&self.pending);
        let generation = pending.generation + 1;
        *pending = Pending { generation, ..Pending::default() };
    }

    /// What a vector would say of an own transaction.
    fn held_at(&self, collection: &str, dot: &Dot) -> Result<VectorRow> {
        if dot.seq == 0 {
            return Ok(VectorRow::NOTHING);
        }
        let signed = self.read_own(collection, dot)?;
        Ok(VectorRow { seq: dot.seq, hash: signed.hash, acked: 0, proof: signed.proof })
    }

    fn read_own(&self, collection: &str, dot: &Dot) -> Result<Signed> {
        let entry = {
            let database = self.database()?;
            let heads = self.read_heads();
            Index::new(&database).entry(&heads, collection, dot)?
        };
        let Some(IndexRow { position, .. }) = entry else { return Err(log_too_short(collection)) };
        self.read_at(collection, position)
    }

    fn read_at(&self, collection: &str, position: Position) -> Result<Signed> {
        let scope = Scope { network: self.network, collection };
        let records = self.reader.read(position, 1)?;
        let record = records.into_iter().find(|record| record.position == position);
        Signed::trusted(record.ok_or_else(|| log_too_short(collection))?.bytes, scope)
    }

    fn rows_at_mark(
        &self,
        collection: &str,
        head: &CollectionHead,
        unsent: &Unsent,
    ) -> Result<RowsAtMark> {
        let mut rows = RowsAtMark::new(unsent.old, unsent.mark);
        let scope = Scope { network: self.network, collection };
        let mut at = head.row.since.max(self.reader.start());
        let end = self.read_heads().applied;
        while at < end {
            let records = self.reader.read(at, COMMIT_BATCH_BYTES)?;
            let Some(last) = records.last() else { break };
            at = last.end;
            for record in records.into_iter().filter(|record| record.collection == collection) {
                if matches!(record.kind, RecordKind::Txn | RecordKind::Renewed) {
                    rows.take(&Signed::trusted(record.bytes, scope)?.txn);
                }
            }
        }
        Ok(rows)
    }

    /// Whether everything that is needed is there and nothing gets too large: after this the
    /// log is written to.
    fn check_possible(
        &self,
        collection: &str,
        head: &CollectionHead,
        unsent: &Unsent,
        rows: &RowsAtMark,
    ) -> Result<()> {
        let mut renewal = Renewal::new(unsent.old, unsent.mark, unsent.at_mark.hash, unsent.fresh);
        let mut documents = BTreeSet::new();
        for seq in unsent.mark + 1..=unsent.newest {
            let old = self.read_own(collection, &Dot { origin: unsent.old, seq })?;
            crate::txn::encode(&renewal.renew(&old.txn, Hash::default()))?;
            documents.extend(old.txn.docs.into_iter().map(|doc| doc.id));
        }
        let origins = self.read_heads().origins.clone();
        let read = redb::ReadableDatabase::begin_read(&*self.database()?).map_err(db)?;
        for id in documents.iter().map(String::as_str).chain(rows.documents()) {
            let row = documents::read(&read, &origins, head.number, id)?.unwrap_or_default();
            rows.without(id, &row)?;
        }
        Ok(())
    }

    fn sign_again(
        &self,
        committer: &mut Committer,
        collection: &str,
        unsent: &Unsent,
        rows: &RowsAtMark,
    ) -> Result<()> {
        let signings = self.append_again(committer, collection, unsent)?;
        let end = committer.log().end();
        // The commit lock is held: this is what the transaction below begins with.
        let read = redb::ReadableDatabase::begin_read(&*self.database()?).map_err(db)?;
        let txn = self.begin_write(true)?;
        let before = self.read_heads();
        let number = before.named(collection).map(|head| head.number).unwrap_or_default();
        let mut waist = Waist::new(Tables::open(&txn)?, &before, self.node);
        waist.take_out(collection, unsent.old, &unsent.at_mark, unsent.newest)?;
        let lost = rows.documents().filter(|id| !signings.documents.contains(*id));
        for id in signings.documents.iter().map(String::as_str).chain(lost) {
            let row = documents::read(&read, &before.origins, number, id)?.unwrap_or_default();
            waist.replace(collection, id, &rows.without(id, &row)?)?;
        }
        waist.take_incarnation(collection, unsent.fresh.incarnation)?;
        for position in &signings.positions {
            waist.apply(collection, &self.read_at(collection, *position)?, *position)?;
        }
        let changes = waist.finish(end, committer.log().batch())?;
        drop(before);
        committer.save_segments(&txn)?;
        let mut heads = self.write_heads();
        txn.commit().map_err(db)?;
        changes.publish(&mut heads, self.node);
        self.begin_generation();
        drop(heads);
        self.note_durable(committer);
        self.announce();
        Ok(())
    }

    fn append_again(
        &self,
        committer: &mut Committer,
        collection: &str,
        unsent: &Unsent,
    ) -> Result<Signings> {
        let scope = Scope { network: self.network, collection };
        let mut renewal = Renewal::new(unsent.old, unsent.mark, unsent.at_mark.hash, unsent.fresh);
        let mut signings = Signings::default();
        let mut prev = Hash::default();
        let name: Arc<str> = Arc::from(collection);
        let mut batch: Vec<Item> = Vec::new();
        for seq in unsent.mark + 1..=unsent.newest {
            let old = self.read_own(collection, &Dot { origin: unsent.old, seq })?;
            let signed = Signed::sign(renewal.renew(&old.txn, prev), scope, &self.key)?;
            prev = signed.hash;
            signings.documents.extend(signed.txn.docs.iter().map(|doc| doc.id.clone()));
            let bytes: usize = batch.iter().map(|item| item.signed.bytes.len()).sum();
            if bytes + signed.bytes.len() > COMMIT_BATCH_BYTES {
                signings.positions.extend(self.append_batch(committer, &mut batch)?);
            }
            batch.push(Item { collection: name.clone(), signed: Arc::new(signed) });
        }
        signings.positions.extend(self.append_batch(committer, &mut batch)?);
        committer.sync()?;
        Ok(signings)
    }

    fn append_batch(
        &self,
        committer: &mut Committer,
        batch: &mut Vec<Item>,
    ) -> Result<Vec<Position>> {
        let records: Vec<NewRecord<'_>> = batch
            .iter()
            .map(|item| NewRecord {
                kind: RecordKind::Renewed,
                collection: &item.collection,
                bytes: &item.signed.bytes,
            })
            .collect();
        let appended = committer.append(&records)?;
        drop(records);
        self.count(committer, batch, &appended);
        batch.clear();
        Ok(appended.positions.iter().map(|(start, _)| *start).collect())
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
        self.commit_beside(|txn| set(&mut txn.open_table(tables::FORKS).map_err(db)?, &key, &value))
    }
}

fn apart(dot: &Dot) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!(
            "the snapshot holds another {dot} than this store: the history of its author has forked; see `littoral doctor`"
        ),
    )
}

fn log_too_short(collection: &str) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!(
            "another store writes under this node's key in '{collection}', and the log no longer holds what it takes to sign again what was not sent: see `littoral doctor`"
        ),
    )
}

//! Joining: what is staged becomes part of the state, in one commit.

use redb::WriteTransaction;

use super::staging::{drop_staging, page};
use crate::clock::Timestamp;
use crate::crdt::join::{Side, join};
use crate::crdt::{Body, Cell, LtHash, Row};
use crate::error::{Error, Result};
use crate::id::{Dot, NodeId};
use crate::store::apply::{Changes, Waist};
use crate::store::commit::{Committer, lock};
use crate::store::heads::CollectionHead;
use crate::store::journal::{ConflictCause, EventKind, NewEvent};
use crate::store::log::{NewRecord, RecordKind};
use crate::store::tables::{Tables, db};
use crate::store::{Inner, Store};
use crate::txn::snapshot::ViewHead;
use crate::wire::{Reader, put_bytes, put_uint};

/// Documents that are joined between two barrier records.
const PAGE: usize = 1024;

impl Store {
    /// Joins a view of which all that differs is staged: its documents and its vector become
    /// part of the collection at once, durable when this returns. `server` is who served it.
    /// `false` if the candidates are not what the view's head says: then nothing has changed,
    /// and they are to be compared again. Where automatic checkpoints are kept, one is made before,
    /// unless the collection holds nothing.
    pub fn join(&self, collection: &str, head: &ViewHead, server: NodeId) -> Result<bool> {
        self.inner.checkpoint_before_join(collection)?;
        self.join_now(collection, head, server)
    }

    /// As [`Store::join`], without a checkpoint before it.
    pub(in crate::store) fn join_now(
        &self,
        collection: &str,
        head: &ViewHead,
        server: NodeId,
    ) -> Result<bool> {
        let joined = self.inner.join(collection, head, server)?;
        if joined {
            self.inner.vouch()?;
            self.inner.announce();
        }
        Ok(joined)
    }
}

impl Inner {
    fn join(&self, collection: &str, view: &ViewHead, server: NodeId) -> Result<bool> {
        if !self.names_alike(collection, &view.branches) {
            return Ok(false);
        }
        self.compare_names(collection, view)?;
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        committer.sync().map_err(|err| self.poison(&err))?;
        let txn = self.begin_write(true)?;
        let Some((changes, newest)) = self.apply_join(committer, &txn, collection, view, server)?
        else {
            return Ok(false);
        };
        committer.save_segments(&txn).map_err(|err| self.poison(&err))?;
        let mut heads = self.write_heads();
        txn.commit().map_err(|err| self.poison(&db(err)))?;
        changes.publish(&mut heads, self.node);
        heads.joining.remove(collection);
        drop(heads);
        lock(&self.clock).observe(newest, self.wall.now_ms());
        self.note_durable(committer);
        Ok(true)
    }

    /// Applies all that is staged, with its barrier records in the log; `None` if it is not the view.
    fn apply_join(
        &self,
        committer: &mut Committer,
        txn: &WriteTransaction,
        collection: &str,
        view: &ViewHead,
        server: NodeId,
    ) -> Result<Option<(Changes, Timestamp)>> {
        let heads = self.read_heads();
        let own = heads.named(collection);
        if own.is_some_and(|own| !own.is_named_like(&view.branches)) {
            // A history has forked since this was asked above.
            return Ok(None);
        }
        let mut pass = Pass {
            waist: Waist::new(Tables::open(txn)?, &heads, self.node)
                .noting(self.wall.now_ms())
                .by(ConflictCause::Joined(server)),
            collection,
            own,
            view,
            cells: own.map_or_else(LtHash::new, |head| head.row.cells.clone()),
            newest: Timestamp::default(),
            changed: 0,
        };
        let mut after: Option<String> = None;
        loop {
            let staged = page(&pass.waist.tables, collection, after.as_deref(), PAGE)?;
            let Some((last, _)) = staged.last() else { break };
            after = Some(last.clone());
            let changed = pass.documents(staged)?;
            if !changed.is_empty() {
                let bytes = barrier(&server, &changed);
                let barrier = NewRecord { kind: RecordKind::Barrier, collection, bytes: &bytes };
                committer.append(&[barrier]).map(drop).map_err(|err| self.poison(&err))?;
            }
        }
        if pass.cells.digest() != view.cells {
            // The barriers stay in the log: they say that documents may have changed.
            return Ok(None);
        }
        let bytes = barrier(&server, &[]);
        let last = NewRecord { kind: RecordKind::Barrier, collection, bytes: &bytes };
        let end = committer.append_apart(last).map_err(|err| self.poison(&err))?;
        let Pass { mut waist, newest, changed, .. } = pass;
        let joined = NewEvent::new(EventKind::Joined).of(collection).about(server);
        waist.happened(joined.counting(changed));
        waist.join_vector(collection, view)?;
        waist.drop_ended(collection)?;
        drop_staging(&mut waist.tables.joins, &mut waist.tables.staged, collection)?;
        Ok(Some((waist.finish(end, committer.log().batch())?, newest)))
    }
}

/// The staged documents, one page after the other, in one redb transaction.
struct Pass<'txn, 'h, 'a> {
    waist: Waist<'txn, 'h>,
    collection: &'a str,
    own: Option<&'a CollectionHead>,
    view: &'a ViewHead,
    /// What the candidates' cells add up to, as far as they have been seen.
    cells: LtHash,
    newest: Timestamp,
    /// Documents that changed.
    changed: u64,
}

impl Pass<'_, '_, '_> {
    /// Joins some documents; gives the ids of those that changed.
    fn documents(&mut self, staged: Vec<(String, Option<Row>)>) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for (id, theirs) in staged {
            let theirs = theirs.unwrap_or_default();
            let ours = self.waist.row(self.collection, &id)?;
            let layout = self.waist.layout();
            let digest = |cells: &&[Cell]| Row::digest_of(cells, &id);
            let before = layout.rows(ours.cells());
            before.iter().map(digest).for_each(|digest| self.cells.remove(&digest));
            let after = layout.rows(theirs.cells());
            after.iter().map(digest).for_each(|digest| self.cells.add(&digest));
            let covers = |dot: &Dot| {
                let row = self.own.and_then(|own| own.vector.get(&dot.origin));
                row.is_some_and(|row| row.seq >= dot.seq)
            };
            let joined = join(
                &Side { row: &ours, covers },
                &Side { row: &theirs, covers: |dot: &Dot| self.view.covers(dot) },
            );
            self.newest = joined.cells().iter().map(newest).fold(self.newest, Timestamp::max);
            if joined != ours {
                self.waist.replace(self.collection, &id, &joined)?;
                changed.push(id);
                self.changed += 1;
            }
        }
        Ok(changed)
    }
}

fn newest(cell: &Cell) -> Timestamp {
    match &cell.body {
        Body::Put(_) => cell.stamp.time,
        Body::Counter(row) => row.time,
    }
}

/// What a barrier record of a join begins with; then comes who served the snapshot, 32 bytes,
/// and which documents changed: count; each: length and id.
const JOINED: &[u8] = b"joined";

fn barrier(server: &NodeId, changed: &[String]) -> Vec<u8> {
    let mut out = JOINED.to_vec();
    out.extend_from_slice(server.as_bytes());
    put_uint(&mut out, changed.len() as u64);
    changed.iter().for_each(|id| put_bytes(&mut out, id.as_bytes()));
    out
}

/// Reads a barrier record: who served the snapshot, and which documents changed. `None` if
/// it is of something else.
pub(in crate::store) fn read_barrier(bytes: &[u8]) -> Result<Option<(NodeId, Vec<String>)>> {
    let Some(rest) = bytes.strip_prefix(JOINED) else { return Ok(None) };
    let mut reader = Reader::new(rest, "barrier record");
    let read = |reader: &mut Reader<'_>| -> Result<_> {
        let server = NodeId::from_bytes(reader.array()?);
        let count = reader.count()?;
        let ids = (0..count).map(|_| reader.str().map(str::to_owned)).collect::<Result<_>>()?;
        Ok((server, ids))
    };
    read(&mut reader).map(Some).map_err(|err| Error::corrupt(err.message()))
}

//! Parting: the two sides of a history that has forked get names of their own (rule 11).
//!
//! What they are called is worked out by [`Branches`], without a store. Here is the one step that
//! changes one: what this store holds of a forked origin beyond the fork becomes its branch. The
//! operations are not applied again; the dots in cells, vector and index get their new names, in
//! one durable commit of redb. The log keeps what the author signed, and replay never crosses the
//! commit.
//!
//! A counter row that was begun before the fork and added to after it becomes two. What it was at
//! the fork is said by the branch's first addition to it, which the log holds: who finds a fork
//! holds the transactions from there on. Where the log no longer reaches back, nothing changes,
//! and the collection stays halted between the two sides.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase};

use super::admission::Index;
use super::apply::Waist;
use super::commit::{Committer, lock};
use super::documents;
use super::heads::CollectionHead;
use super::log::{LogRecord, RecordKind};
use super::snapshot::drop_staging;
use super::tables::{self, IndexRow, Tables, VectorRow, db};
use super::{Inner, Store};
use crate::crdt::{Addition, Body, Cell, Continued, CounterRow, Op, Row, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Seq, ShortHash};
use crate::limits::{MAX_BRANCHES, MAX_BRANCHES_OF_ORIGIN};
use crate::txn::snapshot::ViewHead;
use crate::txn::{Branch, Branches, Proof, Scope, Signed, peek_dot};

/// A document's counter row, by the number under which its author began it.
type Counter = (String, Vec<u8>, Seq);

/// What is held of an origin beyond a fork, being given the name of a branch.
#[derive(Debug)]
pub(super) struct Parting {
    parent: Origin,
    /// The external number before the parent's first.
    base: Seq,
    /// The parent's last number before the fork.
    end: Seq,
    /// What follows is called so.
    name: Origin,
    /// The first addition after the fork to each counter row begun before it.
    additions: BTreeMap<Counter, First>,
}

/// The first addition of a branch to a counter row that was begun before the fork.
#[derive(Debug, Clone, Copy)]
struct First {
    stamp: Stamp,
    /// The row's sum before it, as its author counts.
    before: i128,
    /// The addition before it.
    after: Addition,
}

impl Store {
    /// How forked origins of a collection are named here, as a peer is told: see
    /// [`Branches::encode`]. Empty if none has forked.
    pub fn branches(&self, collection: &str) -> Vec<u8> {
        let heads = self.inner.read_heads();
        let known = heads.named(collection).filter(|head| !head.branches.is_empty());
        known.map_or_else(Vec::new, |head| head.branches.encode(false))
    }

    /// How many branches of forked origins are kept apart in a collection.
    pub fn branch_count(&self, collection: &str) -> usize {
        self.inner.read_heads().named(collection).map_or(0, |head| head.branches.len())
    }

    /// Prepares for a view in which forked origins have names. Gives whether they have the same
    /// names here from now on; else the peer does not know of all forks yet.
    ///
    /// Errors: [`Forked`](ErrorKind::Forked) if the view has another history of an author than
    /// this store.
    pub fn learn_view(&self, collection: &str, view: &ViewHead) -> Result<bool> {
        self.inner.learn(collection, &view.branches)?;
        let alike = self.inner.names_alike(collection, &view.branches);
        if alike {
            self.inner.check_names(collection, view)?;
        }
        Ok(alike)
    }

    /// Takes over how a peer names forked origins, as far as what leads to the forks is held here.
    /// Gives whether that is all of them.
    ///
    /// Errors: [`Forked`](ErrorKind::Forked) if this store holds one side and its log no longer
    /// reaches back to the fork, so that it can't tell which;
    /// [`InvalidTransaction`](ErrorKind::InvalidTransaction) if a proof is wrong.
    pub fn learn_branches(&self, collection: &str, told: &[u8]) -> Result<bool> {
        let scope = Scope { network: self.inner.network, collection };
        // A peer that has left the collection since it named some names none.
        let told = match told {
            [] => Branches::default(),
            told => Branches::decode(told, Some(scope))?,
        };
        self.inner.learn(collection, &told)?;
        let heads = self.inner.read_heads();
        let known = heads.named(collection).map_or(Branches::none(), |head| &head.branches);
        Ok(told.iter().all(|branch| known.contains(&branch.name())))
    }

    /// The hashes of what is held of an origin, from its number `from` downwards, as far back as
    /// the index goes and at most `max`: for a peer to find where two histories part.
    pub fn hashes_down(&self, collection: &str, from: &Dot, max: usize) -> Result<Vec<ShortHash>> {
        let database = self.inner.database()?;
        let heads = self.inner.read_heads();
        let index = Index::new(&database);
        let mut hashes = Vec::new();
        for seq in (1..=from.seq).rev().take(max) {
            match index.hash_at(&heads, collection, &Dot { seq, ..*from })? {
                Some(hash) => hashes.push(hash),
                None => break,
            }
        }
        Ok(hashes)
    }

    /// What is told to a peer that holds something else of an origin from the one after `shared`
    /// on, if it can't be sent the transactions: see [`Branches::encode`]. `None` if nothing is
    /// held there, or the log no longer reaches back to it.
    pub fn side(&self, collection: &str, origin: Origin, shared: Seq) -> Result<Option<Vec<u8>>> {
        let side = self.inner.side(collection, origin, shared)?;
        Ok(side.map(|told| told.encode(false)))
    }

    /// The last number of an origin under which this store holds what a peer holds, who tells
    /// its hashes from `from` downwards. `None` if that can't be told.
    pub fn last_shared(
        &self,
        collection: &str,
        from: &Dot,
        theirs: &[ShortHash],
    ) -> Result<Option<Seq>> {
        let database = self.inner.database()?;
        let heads = self.inner.read_heads();
        let index = Index::new(&database);
        let newest = heads.named(collection).and_then(|head| head.vector.get(&from.origin));
        let newest = newest.map_or(0, |row| row.seq);
        for (seq, theirs) in (1..=from.seq).rev().zip(theirs) {
            if seq > newest {
                continue;
            }
            match index.hash_at(&heads, collection, &Dot { seq, ..*from })? {
                Some(ours) if ours == *theirs => return Ok(Some(seq)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        // They differ from the first on.
        Ok((theirs.len() as u64 == from.seq).then_some(0))
    }
}

impl Inner {
    /// Whether a view with these branches can be joined: what has forked here has forked there in
    /// the same way, and of what has forked there only, nothing is held beyond the fork.
    pub(super) fn names_alike(&self, collection: &str, there: &Branches) -> bool {
        match self.read_heads().named(collection) {
            None => true,
            Some(head) => head.is_named_like(there),
        }
    }

    /// The name here of the transaction in a record of the log. `None` if it is none, or if it
    /// belongs to an earlier life of the collection.
    pub(super) fn name_of(&self, record: &LogRecord) -> Result<Option<Dot>> {
        if record.kind != RecordKind::Txn {
            return Ok(None);
        }
        let dot = peek_dot(&record.bytes)?;
        let database = self.database()?;
        let heads = self.read_heads();
        let Some(head) = heads.named(&record.collection) else { return Ok(Some(dot)) };
        let index = Index::new(&database);
        let lies_here = |dot: &Dot| -> Result<bool> {
            let entry = index.entry(&heads, &record.collection, dot)?;
            Ok(entry.is_some_and(|entry| entry.position == record.position))
        };
        if head.branches.cut(&dot.origin).is_some() {
            for origin in head.branches.all_of(&dot.origin) {
                let base = head.branches.base(&origin);
                let seq = dot.seq.checked_sub(base).filter(|seq| *seq > 0);
                let Some(seq) = seq else { continue };
                let name = Dot { origin, seq };
                if lies_here(&name)? {
                    return Ok(Some(name));
                }
            }
            return Ok(None);
        }
        Ok(Some(dot))
    }

    /// Parts with what contradicts a transaction that is held: both are kept from here on.
    pub(super) fn part_with(
        &self,
        collection: &str,
        theirs: &Signed,
        (parent, base): (Origin, Seq),
    ) -> Result<bool> {
        let mut told = Branches::default();
        let known = self.read_heads().named(collection).map(|head| head.branches.clone());
        if let Some(known) = known {
            told = (*known).clone();
        }
        told.add(self.begun_by(collection, &told, theirs, (parent, base))?, false);
        self.learn(collection, &told)
    }

    /// The branch of which a transaction is the first.
    fn begun_by(
        &self,
        collection: &str,
        branches: &Branches,
        signed: &Signed,
        (parent, base): (Origin, Seq),
    ) -> Result<Branch> {
        let last = self.proof_before(collection, branches, parent, base)?;
        let (root, first, proof) = (signed.txn.dot.origin, signed.hash, signed.proof);
        Ok(Branch { root, base, parent, first, proof, last })
    }

    /// How a peer, which holds something else of an origin from the one after `shared` on, is told
    /// what is held here: as a branch, which shows that its author signed it. `None` if nothing is
    /// held there, or the log no longer holds it.
    fn side(&self, collection: &str, parent: Origin, shared: Seq) -> Result<Option<Branches>> {
        let held = self.read_heads().named(collection).map(|head| {
            let newest = head.vector.get(&parent).map_or(0, |row| row.seq);
            (newest, head.branches.clone())
        });
        let Some((newest, branches)) = held else { return Ok(None) };
        if newest <= shared || branches.cut(&parent).is_some_and(|cut| cut <= shared) {
            return Ok(None);
        }
        let begun_at = (parent, branches.base(&parent) + shared);
        let first = self.read_named(collection, &Dot { origin: parent, seq: shared + 1 });
        let branch = first.and_then(|first| self.begun_by(collection, &branches, &first, begun_at));
        let branch = match branch {
            Err(err) if err.kind() == ErrorKind::Forked => return Ok(None),
            branch => branch?,
        };
        let mut told = (*branches).clone();
        told.add(branch, true);
        Ok(Some(told))
    }

    /// Shows that the transaction before a fork was signed: its record does, or the floor, if it
    /// is the newest that the log no longer holds.
    fn proof_before(
        &self,
        collection: &str,
        branches: &Branches,
        parent: Origin,
        base: Seq,
    ) -> Result<Proof> {
        let before = match base - branches.base(&parent) {
            0 if base == 0 => return Ok(Proof::NONE),
            // The first of the parent parts: what is before it belongs to the parent's own parent.
            0 => return Err(too_old(collection)),
            seq => Dot { origin: parent, seq },
        };
        let floor = {
            let heads = self.read_heads();
            let numbers = heads.named(collection).zip(heads.origins.number(&parent));
            let Some((head, origin)) = numbers else { return Err(too_old(collection)) };
            let read = self.database()?.begin_read().map_err(db)?;
            let key = tables::origin_key(head.number, origin);
            let floor = tables::read(&read, tables::FLOOR, &key)?;
            floor.map(|bytes| tables::decode_floor(&bytes)).transpose()?
        };
        match floor {
            Some((floor, proof)) if floor.seq == before.seq => Ok(proof),
            _ => self.read_named(collection, &before).map(|signed| signed.proof),
        }
    }

    fn read_named(&self, collection: &str, dot: &Dot) -> Result<Signed> {
        let entry = {
            let database = self.database()?;
            let heads = self.read_heads();
            Index::new(&database).entry(&heads, collection, dot)?
        };
        let Some(IndexRow { position, .. }) = entry else { return Err(too_old(collection)) };
        self.read_at(collection, position)
    }

    /// Takes over the branches that somebody tells. Gives whether there was news.
    fn learn(&self, collection: &str, told: &Branches) -> Result<bool> {
        let mut points: BTreeMap<(Origin, Seq), Vec<Branch>> = BTreeMap::new();
        {
            let heads = self.read_heads();
            let known = heads.named(collection).map(|head| head.branches.clone());
            for branch in told.iter() {
                if known.as_ref().is_none_or(|known| !known.contains(&branch.name())) {
                    points.entry((branch.root, branch.base)).or_default().push(*branch);
                }
            }
        }
        if points.is_empty() {
            return Ok(false);
        }
        // What is queued was built on the old names: it comes along.
        self.flush()?;
        let mut news = false;
        for ((_, base), branches) in points {
            news |= self.part(collection, base, branches)?;
        }
        self.announce();
        Ok(news)
    }

    /// Parts at one fork.
    fn part(&self, collection: &str, base: Seq, mut told: Vec<Branch>) -> Result<bool> {
        let mut committer = lock(&self.committer);
        let committer = committer.as_mut().ok_or_else(|| self.gone())?;
        self.check_usable()?;
        let head = self.read_heads().named(collection).cloned();
        let known = head.as_ref().map_or_else(Arc::default, |head| head.branches.clone());
        let parent = told[0].parent;
        if parent.is_branch() && !known.contains(&parent) {
            return Ok(false);
        }
        told.retain(|branch| branch.parent == parent && !known.contains(&branch.name()));
        let Some(end) = base.checked_sub(known.base(&parent)) else { return Ok(false) };
        let Some(first) = told.first() else { return Ok(false) };
        let last_hash = first.last_hash(Scope { network: self.network, collection })?;
        let last = first.last;
        // What leads to the fork must be here, or nobody knows whether ours leads there.
        let newest = head.as_ref().and_then(|head| head.vector.get(&parent)).map_or(0, |r| r.seq);
        if newest < end || known.cut(&parent).is_some_and(|cut| cut < end) {
            return Ok(false);
        }
        if end > 0 {
            let database = self.database()?;
            let heads = self.read_heads();
            let at_end = Dot { origin: parent, seq: end };
            let held = Index::new(&database).hash_at(&heads, collection, &at_end)?;
            if held.is_some_and(|held| held != last_hash.short()) {
                return Ok(false);
            }
        }
        let ours = match newest > end {
            true => Some(self.read_named(collection, &Dot { origin: parent, seq: end + 1 })?),
            false => None,
        };
        let mut branches = (*known).clone();
        let rest = ours.map(|signed| Branch {
            root: told[0].root,
            base,
            parent,
            first: signed.hash,
            proof: signed.proof,
            last,
        });
        rest.iter().for_each(|branch| branches.add(*branch, true));
        told.iter().for_each(|branch| branches.add(*branch, false));
        let sides = branches.children(&parent).filter(|(_, child)| child.base == base).count();
        // One side alone is told where what parts from it is held, or was.
        if sides < 2 {
            return Ok(false);
        }
        let of_root = branches.all_of(&told[0].root).len() - 1;
        if branches.len() > MAX_BRANCHES || of_root > MAX_BRANCHES_OF_ORIGIN {
            return Err(Error::new(
                ErrorKind::Forked,
                format!(
                    "histories in collection '{collection}' have forked too often: {MAX_BRANCHES} \
                     branches are kept, {MAX_BRANCHES_OF_ORIGIN} of one origin"
                ),
            ));
        }
        let parting = match &rest {
            Some(rest) => Some(self.parting(collection, &known, rest, end, newest)?),
            None => None,
        };
        tracing::warn!(collection, origin = %parent, after = end, "a history has forked: both sides are kept");
        let root = told[0].root;
        let write = Parted { head: head.as_ref(), root, branches, parting, rest, newest };
        self.write_parted(committer, collection, write).map_err(|err| self.poison(&err))?;
        Ok(true)
    }

    /// What the branch added to counters that were begun before the fork.
    fn parting(
        &self,
        collection: &str,
        known: &Branches,
        rest: &Branch,
        end: Seq,
        newest: Seq,
    ) -> Result<Parting> {
        let mut additions = BTreeMap::new();
        for seq in end + 1..=newest {
            let txn = self.read_named(collection, &Dot { origin: rest.parent, seq })?.txn;
            for doc in &txn.docs {
                for op in &doc.ops {
                    let Op::Add { key, birth, total, by, after: Some(after) } = op else {
                        continue;
                    };
                    if *birth <= rest.base {
                        let before = total.saturating_sub(i128::from(*by));
                        let dot = Dot { origin: rest.name(), seq: seq - end };
                        let stamp = Stamp { dot, time: txn.time };
                        let first = First { stamp, before, after: *after };
                        let row = (doc.id.clone(), key.clone(), *birth);
                        additions.entry(row).or_insert(first);
                    }
                }
            }
        }
        let (parent, base, name) = (rest.parent, known.base(&rest.parent), rest.name());
        Ok(Parting { parent, base, end, name, additions })
    }

    fn write_parted(
        &self,
        committer: &mut Committer,
        collection: &str,
        parted: Parted<'_>,
    ) -> Result<()> {
        committer.sync()?;
        let own = self.present_origin(collection)? == parted.root;
        let anew = own.then(|| self.unused_incarnation());
        // The commit lock is held: this is what the transaction below begins with.
        let read = self.database()?.begin_read().map_err(db)?;
        let txn = self.begin_write(true)?;
        let before = self.read_heads();
        let mut waist =
            Waist::new(Tables::open(&txn)?, &before, self.node).noting(self.wall.now_ms());
        let number = waist.begin(collection)?;
        let mut branches = parted.branches;
        if let (Some(parting), Some(rest), Some(head)) =
            (&parted.parting, &parted.rest, parted.head)
        {
            let authors = head.vector.keys().filter(|author| branches.root(author) != rest.root);
            for author in authors.copied().collect::<Vec<_>>() {
                if branches.seen(&author, &rest.parent).is_none() {
                    branches.note_seen(author, rest.parent, parting.name);
                }
            }
            let scope = Scope { network: self.network, collection };
            let at_end = VectorRow {
                seq: parting.end,
                hash: rest.last_hash(scope)?,
                acked: 0,
                proof: rest.last,
            };
            waist.rename(collection, parting, at_end, parted.newest)?;
            self.rename_cells(&mut waist, &read, collection, number, parting)?;
        }
        // Also if this store has written nothing after the fork: what it writes next would be
        // one more side.
        if let Some(incarnation) = anew {
            waist.take_incarnation(collection, incarnation)?;
        }
        waist.set_branches(collection, branches);
        waist.drop_ended(collection)?;
        drop_staging(&mut waist.tables.joins, &mut waist.tables.staged, collection)?;
        let changes = waist.finish(before.applied, None)?;
        drop(before);
        committer.save_segments(&txn)?;
        let mut heads = self.write_heads();
        txn.commit().map_err(db)?;
        changes.publish(&mut heads, self.node);
        heads.joining.remove(collection);
        self.begin_generation();
        drop(heads);
        self.note_durable(committer);
        Ok(())
    }

    fn rename_cells(
        &self,
        waist: &mut Waist<'_, '_>,
        read: &ReadTransaction,
        collection: &str,
        number: u32,
        parting: &Parting,
    ) -> Result<()> {
        let mut all = documents::scan(read, self.origins(), number, "")?;
        while let Some(stored) = all.step(false).transpose()? {
            let id = stored.id()?;
            if let Some(row) = parting.row(id, &all.row(&stored)?)? {
                waist.replace(collection, id, &row)?;
            }
        }
        Ok(())
    }
}

/// What parting at a fork writes.
struct Parted<'a> {
    head: Option<&'a CollectionHead>,
    root: Origin,
    branches: Branches,
    parting: Option<Parting>,
    rest: Option<Branch>,
    newest: Seq,
}

impl Parting {
    /// What is called so from now on.
    pub(super) fn name(&self) -> Origin {
        self.name
    }

    /// What it was called, and its last number under that name.
    pub(super) fn end(&self) -> Dot {
        Dot { origin: self.parent, seq: self.end }
    }

    fn is_beyond(&self, dot: &Dot) -> bool {
        dot.origin == self.parent && dot.seq > self.end
    }

    fn dot(&self, dot: Dot) -> Dot {
        match self.is_beyond(&dot) {
            true => Dot { origin: self.name, seq: dot.seq - self.end },
            false => dot,
        }
    }

    /// A document by the new names; `None` if it has none of the old ones.
    fn row(&self, id: &str, row: &Row) -> Result<Option<Row>> {
        if !Row::origins_of(row.cells()).any(|origin| origin == self.parent) {
            return Ok(None);
        }
        let mut cells = Vec::with_capacity(row.cells().len());
        for cell in row.cells() {
            let stamp = Stamp { dot: self.dot(cell.stamp.dot), ..cell.stamp };
            match &cell.body {
                Body::Put(_) => cells.push(Cell { stamp, ..cell.clone() }),
                Body::Counter(counter) => self.counter(id, cell, stamp, counter, &mut cells)?,
            }
        }
        let renamed = Row::from_cells(cells);
        Ok((renamed != *row).then_some(renamed))
    }

    fn counter(
        &self,
        id: &str,
        cell: &Cell,
        stamp: Stamp,
        counter: &CounterRow,
        out: &mut Vec<Cell>,
    ) -> Result<()> {
        let mut counter = counter.clone();
        let settled_by = std::mem::take(&mut counter.settled_by);
        counter.settled_by =
            settled_by.into_iter().map(|(dot, upto)| (self.dot(dot), upto)).collect();
        let key = cell.key.clone();
        if cell.stamp.dot.origin != self.parent {
            out.push(Cell { key, stamp, body: Body::Counter(Box::new(counter)) });
        } else if self.is_beyond(&cell.stamp.dot) {
            let counter = self.beyond(counter);
            out.push(Cell { key, stamp, body: Body::Counter(Box::new(counter)) });
        } else if counter.seq <= self.end {
            // Settled rows of an origin that has ended go.
            if !counter.is_settled() {
                out.push(Cell { key, stamp, body: Body::Counter(Box::new(counter)) });
            }
        } else {
            self.split(id, cell, counter, out)?;
        }
        Ok(())
    }

    /// A row whose numbers all lie beyond the fork.
    fn beyond(&self, mut row: CounterRow) -> CounterRow {
        row.seq -= self.end;
        row.settled_seq = row.settled_seq.saturating_sub(self.end);
        row.settled_by.values_mut().for_each(|upto| *upto = upto.saturating_sub(self.end));
        row
    }

    /// A row that goes on beyond the fork becomes two.
    fn split(&self, id: &str, cell: &Cell, row: CounterRow, out: &mut Vec<Cell>) -> Result<()> {
        let earlier = row.continues.map_or(0, |from| from.before);
        let birth = row.continues.map_or(self.base + cell.stamp.dot.seq, |from| from.birth);
        let name = (id.to_owned(), cell.key.clone(), birth);
        let first = self.additions.get(&name).ok_or_else(|| {
            Error::new(ErrorKind::Forked, "the log does not hold what a counter was at a fork")
        })?;
        let zeroed_beyond = row.settled_seq > self.end;
        let before = CounterRow {
            seq: first.after.seq.saturating_sub(self.base),
            time: first.after.time,
            total: first.before.saturating_sub(earlier),
            settled_seq: row.settled_seq,
            base: row.base,
            settled_by: BTreeMap::new(),
            continues: row.continues,
        };
        if !zeroed_beyond && !before.is_settled() {
            out.push(Cell { body: Body::Counter(Box::new(before)), ..cell.clone() });
        }
        let total = row.total.saturating_add(earlier).saturating_sub(first.before);
        let base = row.base.saturating_add(earlier).saturating_sub(first.before);
        let continues = Some(Continued { birth, before: first.before });
        let rest = self.beyond(CounterRow { total, continues, ..row });
        let rest = match zeroed_beyond {
            true => CounterRow { base, ..rest },
            false => CounterRow { settled_seq: 0, base: 0, settled_by: BTreeMap::new(), ..rest },
        };
        let body = Body::Counter(Box::new(rest));
        out.push(Cell { key: cell.key.clone(), stamp: first.stamp, body });
        Ok(())
    }
}

fn too_old(collection: &str) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!(
            "a history in collection '{collection}' has forked, and the log no longer reaches \
             back to where: leave the collection here and sync it anew"
        ),
    )
}

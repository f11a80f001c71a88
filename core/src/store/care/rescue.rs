//! Rescue: whatever is readable of a damaged store, into a new one.
//!
//! The damaged store is looked at ([`look`](super::look)) and not changed. Each collection is
//! brought over by the soundest way that is left:
//!
//! 1. **by its history**, if the log holds all of it that the state says there was: the transactions
//!    are applied again, in their order;
//! 2. **by its state**, if every document of it can be read and together they have the digest that
//!    was kept, and every entry of the vector its proof: it is joined as a snapshot is, and what the
//!    log has after it is applied;
//! 3. **by what is left**: the part of the history that the log gives from the beginning; then
//!    every value that can be read, in the state or in transactions that nothing before them
//!    is left of, and that no transaction held now backs, is written anew
//!    ([`salvage`](super::salvage)).
//!
//! # Why no peer is harmed
//! A vector claims only what was applied, or what a digest proves to be there whole: so replicas
//! with equal vectors still hold equal documents. The node keeps its key, so that its peers go on
//! knowing it, and writes under an incarnation that was never used, drawn by lot; what the
//! damaged store may have sent and is gone here comes back from its peers as anybody's would. If
//! the key is gone, the new store is another node. Nothing is ever cleared.
//!
//! Memory: what of the log could not be applied is held in memory, with the documents that it
//! touches. Disk: two copies of a collection that is brought over by its state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::finding::Findings;
use super::gathered::Gathered;
use super::lives::Lives;
use super::look::Look;
use super::remains::{Collection, Remains};
use super::salvage::{LeftOut, Reach, Salvage};
use crate::crdt::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Seq};
use crate::limits::SYNC_BATCH_BYTES;
use crate::store::disk::Disk;
use crate::store::log::{Bounds, Found, Survey};
use crate::store::{Options, Store};
use crate::store::{key_file, open};
use crate::txn::snapshot::{Newest, Staged, ViewHead, pack};
use crate::txn::{NetworkId, NodeKey, Scope, Signed};

pub use super::rescued::{How, Rescued, RescuedCollection};

/// How a store is rescued.
#[derive(Debug, Clone, Default)]
pub struct RescueOptions {
    /// The network that the store belongs to, if its state can't be read any more and it was made
    /// for another than the default one.
    pub network: Option<String>,
    /// No other store has what this one has: so counters whose history is gone are written anew,
    /// too. They would count twice at whoever has them already.
    pub alone: bool,
}

impl Options {
    /// Brings whatever is readable of the store at `damaged`, which nobody may have open and
    /// which is not changed, into a new store at `new`.
    ///
    /// Errors: those of looking ([`Options::verify`]) and of making a store; nothing is left at
    /// `new` then. What could not be brought over is no error, but told.
    pub fn rescue(
        &self,
        damaged: impl AsRef<Path>,
        new: impl AsRef<Path>,
        how: &RescueOptions,
    ) -> Result<Rescued> {
        let (damaged, new) = (damaged.as_ref(), new.as_ref());
        let look = self.look(damaged)?;
        let key = look.key.clone().map_or_else(key_file::fresh, Ok)?;
        let made = !new.exists();
        let make = |options: Options| {
            open::claim_new(new)?;
            key_file::write(new, &key, self.passphrase.as_ref())?;
            options.open(new)
        };
        let rescued = self.rescue_look(&look, how, key.clone(), make);
        if rescued.is_err() && made {
            let _ = fs::remove_dir_all(new);
        }
        rescued
    }

    /// The same, from one disk that may be simulated to another, which is empty.
    pub fn rescue_on(
        &self,
        damaged: Arc<dyn Disk>,
        new: Arc<dyn Disk>,
        how: &RescueOptions,
    ) -> Result<Rescued> {
        let look = self.look_on(damaged);
        let key = look.key.clone().map_or_else(key_file::fresh, Ok)?;
        self.rescue_look(&look, how, key, |options| options.open_on(new))
    }

    fn rescue_look(
        &self,
        look: &Look,
        how: &RescueOptions,
        key: NodeKey,
        make: impl FnOnce(Options) -> Result<Store>,
    ) -> Result<Rescued> {
        let mut findings = Findings::default();
        let state = look.state(self.cache(), &mut findings)?;
        let remains = state.as_ref().and_then(|(state, _)| Remains::of(state).ok());
        let network = state.as_ref().and_then(|(state, _)| state.network().ok());
        let network = network.unwrap_or_else(|| match &how.network {
            Some(name) => NetworkId::named(name),
            None => NetworkId::named(open::DEFAULT_NETWORK),
        });
        let applied = remains.as_ref().map_or(0, |remains| remains.applied);
        let survey = Survey::new(look.disk.clone(), Bounds { start: None, applied, end: None })?;
        let mut lives = Lives::of(&survey)?;
        for (name, collection) in remains.iter().flat_map(|remains| &remains.collections) {
            if let Some(head) = &collection.head {
                lives.begin(name, head.since.0);
            }
        }
        let mut gathered = Gathered::new(&survey, &lives, network, applied, &mut findings)?;
        gathered.check_network(how)?;
        gathered.name_origins(remains.as_ref());
        let [present, anew] = gathered.unused_incarnations(self, &key);
        let options = self.clone().key(key.clone()).create(true).network_id(network);
        let store = make(options)?;
        store.inner.begin_as(present)?;
        let mut rescue = Rescue {
            store: &store,
            survey: &survey,
            lives: &lives,
            remains: remains.as_ref(),
            network,
            alone: how.alone || gathered.is_alone(remains.as_ref(), &key),
            anew: Origin { node: key.id(), incarnation: anew },
            gathered,
            collections: Vec::new(),
            left_out: Vec::new(),
        };
        let peers = rescue.settings()?;
        rescue.run()?;
        let roster = rescue.roster()?;
        let newest_unknown = rescue.gathered.newest_unknown;
        let (collections, left_out) = (rescue.collections, rescue.left_out);
        let (node, same_node) = (store.node_id(), look.key.is_some());
        store.close()?;
        let (findings, more) = findings.finish();
        Ok(Rescued {
            node,
            same_node,
            peers,
            roster,
            collections,
            left_out,
            newest_unknown,
            findings,
            more,
        })
    }
}

struct Rescue<'a> {
    store: &'a Store,
    survey: &'a Survey,
    lives: &'a Lives,
    remains: Option<&'a Remains>,
    network: NetworkId,
    alone: bool,
    /// The origin that writes anew what nothing backs.
    anew: Origin,
    gathered: Gathered,
    collections: Vec<RescuedCollection>,
    left_out: Vec<LeftOut>,
}

/// What came of the log, by collection.
#[derive(Debug, Default)]
struct Replayed {
    applied: BTreeMap<String, u64>,
    /// Transactions that could not be applied, and their documents as these would have left them.
    refused: BTreeMap<String, u64>,
    loose: BTreeMap<String, BTreeMap<String, Loose>>,
}

/// A document as transactions that could not be applied would have left it.
#[derive(Debug, Default)]
struct Loose {
    row: Row,
    /// It begins with what the state has of it.
    of_state: bool,
}

/// What a store says of a transaction that does not fit.
const REFUSED: [ErrorKind; 3] =
    [ErrorKind::Forked, ErrorKind::MissingDependency, ErrorKind::InvalidTransaction];

impl Rescue<'_> {
    /// Peers, wishes and budgets. Gives how many peers there are, if that could be read.
    fn settings(&self) -> Result<Option<u64>> {
        let Some(remains) = self.remains else { return Ok(None) };
        for (name, budget) in &remains.budgets {
            match name.as_str() {
                "" => self.store.set_default_log_budget(Some(*budget))?,
                name => self.store.set_log_budget(name, Some(*budget))?,
            }
        }
        if let Some(wanted) = &remains.wanted {
            self.store.want(wanted.clone())?;
        }
        for peer in remains.peers.iter().flatten() {
            match &peer.address {
                Some(address) => self.store.trust_at(peer.node, address)?,
                None => self.store.trust(peer.node)?,
            }
            self.store.want_of(peer.node, peer.collections.clone())?;
        }
        Ok(remains.peers.as_ref().map(|peers| peers.len() as u64))
    }

    /// The roster, last: what was taken in before it was, by whatever rights, stays. Gives whether
    /// there is one; nothing, if that can't be read.
    fn roster(&self) -> Result<Option<bool>> {
        let Some(remains) = self.remains else { return Ok(None) };
        let Ok(roster) = remains.roster(self.network) else { return Ok(None) };
        let Some(roster) = roster else { return Ok(Some(false)) };
        self.store.join_roster(roster.scope().founder)?;
        let statements = roster.statements().map(|statement| statement.bytes.clone());
        self.store.add_statements(statements.collect())?;
        Ok(Some(true))
    }

    fn run(&mut self) -> Result<()> {
        let of_state = self.remains.iter().flat_map(|remains| remains.collections.keys());
        let names: BTreeSet<String> =
            of_state.chain(self.gathered.collections.keys()).cloned().collect();
        let mut ways = BTreeMap::new();
        for name in &names {
            let way = match self.by_history(name) {
                true => How::History,
                false if self.by_state(name)? => How::State,
                false => How::Remains,
            };
            ways.insert(name.clone(), way);
        }
        let mut replayed = self.replay(&ways)?;
        for name in &names {
            self.finish(name, ways[name], &mut replayed)?;
        }
        Ok(())
    }

    fn left(&self, name: &str) -> Option<&Collection> {
        self.remains.and_then(|remains| remains.collections.get(name))
    }

    /// Whether the log gives everything that the state says there was.
    fn by_history(&self, name: &str) -> bool {
        let reach = &self.gathered.reach;
        match self.left(name) {
            Some(left) if left.head.is_some() => {
                let transactions: Seq = left.vector.values().map(|row| row.seq).sum();
                let complete = left.head.as_ref().is_some_and(|h| h.transactions == transactions);
                let covers = left.vector.iter().all(|(o, row)| reach.seq(name, o) >= row.seq);
                complete && covers
            }
            _ => {
                let begins = self.survey.start() == Some(0);
                begins && self.gathered.whole && !self.lives.joined.contains(name)
            }
        }
    }

    /// Joins the state of a collection, if it proves to be whole.
    fn by_state(&self, name: &str) -> Result<bool> {
        let Some((remains, left)) = self.remains.zip(self.left(name)) else { return Ok(false) };
        let Some(head) = &left.head else { return Ok(false) };
        let scope = Scope { network: self.network, collection: name };
        let mut view = ViewHead {
            branches: left.branches.clone(),
            vector: BTreeMap::new(),
            past: BTreeMap::new(),
            cells: head.cells.digest(),
            documents: head.documents,
        };
        for (origin, row) in &left.vector {
            let dot = left.branches.signed(&Dot { origin: *origin, seq: row.seq });
            match dot.map_or(Ok(Hash::default()), |dot| row.proof.check(&dot, scope)) {
                Ok(hash) if hash == row.hash => {}
                _ => return Ok(false),
            }
            let newest = Newest { seq: row.seq, hash: row.hash, proof: row.proof };
            view.vector.insert(*origin, newest);
        }
        if head.transactions != view.vector.values().map(|newest| newest.seq).sum::<Seq>() {
            return Ok(false);
        }
        self.store.stage(name)?;
        let joined = self
            .stage_all(remains, left.number, name, &view)
            .and_then(|whole| Ok(whole && self.store.join(name, &view, self.store.node_id())?));
        if !matches!(joined, Ok(true)) {
            self.store.unstage(name)?;
        }
        joined
    }

    /// Stages all documents; `false` if one can't be read or contradicts the vector.
    fn stage_all(
        &self,
        remains: &Remains,
        number: u32,
        name: &str,
        view: &ViewHead,
    ) -> Result<bool> {
        let (mut batch, mut bytes): (Vec<Staged>, usize) = (Vec::new(), 0);
        // What the store itself fails in is told from what can't be read.
        let mut failed = None;
        let read = remains.whole(number, &mut |id, row| {
            let packed = pack(&row);
            bytes += packed.len();
            batch.push(Staged { id, packed: Some(packed) });
            if bytes < SYNC_BATCH_BYTES {
                return Ok(());
            }
            bytes = 0;
            let staged = self.store.stage_documents(name, view, &std::mem::take(&mut batch));
            staged.inspect_err(|err| failed = Some((err.kind(), err.message().to_owned())))
        });
        let read = read.and_then(|()| self.store.stage_documents(name, view, &batch));
        match (read, failed) {
            (Ok(()), _) => Ok(true),
            (Err(_), Some((kind, what))) if kind != ErrorKind::InvalidTransaction => {
                Err(Error::new(kind, what))
            }
            (Err(err), None) if matches!(err.kind(), ErrorKind::DiskFull | ErrorKind::Poisoned) => {
                Err(err)
            }
            _ => Ok(false),
        }
    }

    /// Applies what the log has, in its order.
    fn replay(&self, ways: &BTreeMap<String, How>) -> Result<Replayed> {
        let mut reach = Reach::default();
        for name in ways.keys() {
            for (origin, head) in self.store.summary(name)?.0.iter() {
                let hash = self.left(name).and_then(|left| left.vector.get(origin));
                let hash = hash.filter(|row| row.seq == head.seq).map(|row| row.hash);
                reach.hold(name, *origin, head.seq, hash.unwrap_or_default());
            }
        }
        let mut replayed = Replayed::default();
        let mut batches: BTreeMap<Arc<str>, Vec<(u64, Signed)>> = BTreeMap::new();
        self.survey.read(&mut |found| {
            let Found::Record(record) = found else { return Ok(()) };
            let scope = Scope { network: self.network, collection: &record.collection };
            if !record.is_txn() {
                return Ok(());
            }
            let Ok(signed) = Signed::verify(record.bytes.clone(), scope) else { return Ok(()) };
            let dot = signed.txn.dot;
            if !self.lives.counts(&record) || reach.seq(&record.collection, &dot.origin) >= dot.seq
            {
                return Ok(());
            }
            let name: Arc<str> = Arc::from(record.collection.as_str());
            if !reach.take(&name, &signed) {
                return self.loosen(&mut replayed, &name, record.position.0, &signed);
            }
            let batch = batches.entry(name.clone()).or_default();
            batch.push((record.position.0, signed));
            let bytes: usize = batch.iter().map(|(_, signed)| signed.bytes.len()).sum();
            match bytes >= SYNC_BATCH_BYTES {
                true => self.apply(&mut replayed, &name, std::mem::take(batch)),
                false => Ok(()),
            }
        })?;
        for (name, batch) in batches {
            self.apply(&mut replayed, &name, batch)?;
        }
        Ok(replayed)
    }

    /// Applies transactions that come next; what the store refuses all the same is loose.
    fn apply(
        &self,
        replayed: &mut Replayed,
        name: &Arc<str>,
        batch: Vec<(u64, Signed)>,
    ) -> Result<()> {
        let bytes = batch.iter().map(|(_, signed)| signed.bytes.clone()).collect();
        let applied = replayed.applied.entry(name.to_string()).or_default();
        if self.store.apply_remote(name, bytes).is_ok() {
            *applied += batch.len() as u64;
            return Ok(());
        }
        for (position, signed) in batch {
            match self.store.apply_remote(name, vec![signed.bytes.clone()]) {
                Ok(_) => *replayed.applied.entry(name.to_string()).or_default() += 1,
                Err(err) if REFUSED.contains(&err.kind()) => {
                    self.loosen(replayed, name, position, &signed)?;
                }
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Notes what a transaction that can't be applied does to its documents.
    fn loosen(
        &self,
        replayed: &mut Replayed,
        name: &str,
        position: u64,
        signed: &Signed,
    ) -> Result<()> {
        *replayed.refused.entry(name.to_owned()).or_default() += 1;
        let rows = replayed.loose.entry(name.to_owned()).or_default();
        for doc in &signed.txn.docs {
            let of_state = self
                .remains
                .zip(self.left(name))
                .and_then(|(remains, left)| remains.document(left.number, &doc.id).ok().flatten());
            let loose = rows.entry(doc.id.clone()).or_insert_with(|| Loose {
                of_state: of_state.is_some(),
                row: of_state.unwrap_or_default(),
            });
            let included = self.remains.is_some_and(|remains| position < remains.applied);
            if !(loose.of_state && included) {
                loose.row.apply_all(&doc.ops, &signed.txn.stamp());
            }
        }
        Ok(())
    }

    /// Writes anew what nothing backs, and says what became of the collection.
    fn finish(&mut self, name: &str, how: How, replayed: &mut Replayed) -> Result<()> {
        let mut loose = replayed.loose.remove(name).unwrap_or_default();
        let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or(0);
        let mut salvage = Salvage::new(self.store, name, self.anew, self.alone)?;
        let mut unread = 0;
        if let (How::Remains, Some((remains, left))) = (how, self.remains.zip(self.left(name))) {
            let later = |id: &str| loose.get(id).is_some_and(|loose| loose.of_state);
            unread = remains.pieces(left.number, &mut |id, row| match later(id) {
                true => Ok(()),
                false => salvage.document(id, row.cells()),
            })?;
        }
        while let Some((id, Loose { row, .. })) = loose.pop_first() {
            salvage.document(&id, row.cells())?;
        }
        salvage.flush()?;
        let (written, transactions) = (salvage.written, salvage.transactions());
        self.left_out.append(&mut salvage.left_out);
        let held = self.store.summary(name)?.0;
        let left = self.left(name);
        let missing = left.iter().flat_map(|left| &left.vector).filter_map(|(origin, row)| {
            let here = held.seq(origin);
            (row.seq > here).then_some((*origin, here + 1, row.seq))
        });
        self.collections.push(RescuedCollection {
            name: name.to_owned(),
            how,
            documents: self.store.collection(name)?.len(),
            documents_before: left.and_then(|left| left.head.as_ref()).map(|head| head.documents),
            transactions_applied: count(&replayed.applied),
            transactions_loose: count(&replayed.refused),
            written_documents: written.documents,
            written_values: written.values,
            written_transactions: transactions,
            unread_places: unread,
            missing: missing.collect(),
        });
        Ok(())
    }
}

//! Anonymizing: a store of the same shape and history without anything that was in it.
//!
//! For bug reports. Where the log holds a collection's whole history, each of its transactions is
//! rewritten through the [`mask`](super::mask), signed by the key that stands for its author and
//! chained anew, and applied in the same order: the same conflicts, siblings and clears come
//! about. Where the log does not reach back, the documents are rewritten as they are, and the
//! vector with them, as of a snapshot whose history nobody has. Keys of nodes are others, too;
//! peers, addresses, networks and where the store lies are not brought along, and the secret of the
//! mask is thrown away. What stays: how many, how large, in what order, and what counters add up to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::ReadableDatabase;

use super::finding::Findings;
use super::lives::Lives;
use super::look::Look;
use super::mask::Mask;
use crate::crdt::{DocOps, LtHash, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, Origin, Seq, ShortHash};
use crate::limits::SYNC_BATCH_BYTES;
use crate::store::disk::Disk;
use crate::store::documents;
use crate::store::heads::{CollectionHead, Heads};
use crate::store::log::{Bounds, Found, Survey};
use crate::store::tables::db;
use crate::store::{Options, Store};
use crate::store::{key_file, open};
use crate::txn::snapshot::{Newest, Staged, ViewHead, pack};
use crate::txn::{Branches, Dep, NetworkId, NodeKey, Scope, Signed, Txn};

/// The network of stores that were anonymized.
const NETWORK: &str = "anonymized";

/// What came of anonymizing a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymized {
    /// Collections whose history was rewritten.
    pub by_history: u64,
    /// Collections of which the log no longer has all: their documents were rewritten.
    pub by_state: u64,
    /// Documents shown.
    pub documents: u64,
    /// Transactions rewritten.
    pub transactions: u64,
}

impl Options {
    /// Makes a store at `out` that has the shape and the history of the one at `path` and nothing of
    /// its content. Nobody may have that one open, and it is not changed.
    ///
    /// Errors: those of looking ([`Options::verify`]) and of making a store;
    /// [`Corrupt`](ErrorKind::Corrupt) if it has to be rescued first. Nothing is left at `out` then.
    pub fn anonymize(&self, path: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<Anonymized> {
        let out = out.as_ref();
        let look = self.look(path.as_ref())?;
        let made = !out.exists();
        let mut mask = Mask::new(key_file::fresh()?.seed());
        let key = mask.key(&look.node_or_nobody()).clone();
        let make = |options: Options| {
            open::claim_new(out)?;
            key_file::write(out, &key, None)?;
            options.open(out)
        };
        let done = self.anonymize_look(&look, &mut mask, make);
        if done.is_err() && made {
            let _ = fs::remove_dir_all(out);
        }
        done
    }

    /// The same, from one disk that may be simulated to another, with a mask of this secret. Gives
    /// the new store's key.
    pub fn anonymize_on(
        &self,
        disk: Arc<dyn Disk>,
        out: Arc<dyn Disk>,
        secret: [u8; 32],
    ) -> Result<NodeKey> {
        let look = self.look_on(disk);
        let mut mask = Mask::new(secret);
        self.anonymize_look(&look, &mut mask, |options| options.open_on(out))?;
        Ok(mask.key(&look.node_or_nobody()).clone())
    }

    fn anonymize_look(
        &self,
        look: &Look,
        mask: &mut Mask,
        make: impl FnOnce(Options) -> Result<Store>,
    ) -> Result<Anonymized> {
        let mut findings = Findings::default();
        let revived = self.revive(look, &mut findings)?;
        let damaged = || {
            Error::new(
                ErrorKind::Corrupt,
                "the store is damaged: `littoral rescue` it into a new one first, and anonymize that",
            )
        };
        let (state, known) = revived.filter(|_| findings.count() == 0).ok_or_else(damaged)?;
        let read = state.get().begin_read().map_err(db)?;
        let mut heads = Heads::load_from(&read, look.node_or_nobody())?;
        heads.layout = self.row_layout();
        if let Some(head) = heads.iter().find(|head| !head.branches.is_empty()) {
            return Err(Error::invalid(format!(
                "a history in collection '{}' has forked: the names of its branches come of what is \
                 to be hidden. Leave the collection in a copy of the store, and anonymize that",
                head.name
            )));
        }
        let bounds = Bounds { start: Some(known.start.0), applied: known.applied.0, end: None };
        let survey = Survey::new(look.disk.clone(), bounds)?;
        let mut lives = Lives::of(&survey)?;
        heads.iter().for_each(|head| lives.begin(&head.name, head.row.since.0));
        let key = mask.key(&look.node_or_nobody()).clone();
        let network = NetworkId::named(NETWORK);
        let options = self.clone().key(key).create(true).network_id(network).placeless(true);
        let store = make(options)?;
        store.inner.begin_as(store.inner.unused_incarnation())?;
        let mut rewrite = Rewrite {
            store: &store,
            network: state.network()?,
            mask,
            hashes: BTreeMap::new(),
            batch: BTreeMap::new(),
            done: Anonymized { by_history: 0, by_state: 0, documents: 0, transactions: 0 },
        };
        for head in heads.iter().filter(|head| !head.floor.is_empty()) {
            rewrite.state(&read, &heads, head)?;
            rewrite.done.by_state += 1;
        }
        survey.read(&mut |found| {
            let Found::Record(record) = found else { return Ok(()) };
            let head = heads.named(&record.collection);
            if !record.is_txn() || head.is_none_or(|head| !head.floor.is_empty()) {
                return Ok(());
            }
            let scope = Scope { network: rewrite.network, collection: &record.collection };
            let signed = Signed::trusted(record.bytes.clone(), scope)?;
            match lives.counts(&record) {
                true => rewrite.transaction(&record.collection, &signed),
                false => Ok(()),
            }
        })?;
        rewrite.flush()?;
        let mut done = rewrite.done;
        done.by_history = heads.iter().filter(|head| head.floor.is_empty()).count() as u64;
        done.documents = store.stats()?.collections.iter().map(|found| found.documents).sum();
        store.close()?;
        Ok(done)
    }
}

struct Rewrite<'a> {
    store: &'a Store,
    /// Of the store that is rewritten.
    network: NetworkId,
    mask: &'a mut Mask,
    /// Of transactions rewritten: what they were, and the hashes that they have now.
    hashes: BTreeMap<(Arc<str>, Origin), BTreeMap<Seq, Hash>>,
    batch: BTreeMap<String, (Vec<Vec<u8>>, usize)>,
    done: Anonymized,
}

impl Rewrite<'_> {
    fn hash(&self, collection: &Arc<str>, origin: Origin, seq: Seq) -> Hash {
        let of_origin = self.hashes.get(&(collection.clone(), origin));
        of_origin.and_then(|hashes| hashes.get(&seq)).copied().unwrap_or_default()
    }

    fn transaction(&mut self, collection: &str, signed: &Signed) -> Result<()> {
        let txn = &signed.txn;
        let name: Arc<str> = Arc::from(collection);
        let prev = self.hash(&name, txn.dot.origin, txn.dot.seq - 1);
        let mut deps = Vec::with_capacity(txn.deps.len());
        for dep in &txn.deps {
            let hash: ShortHash = self.hash(&name, dep.origin, dep.seq).short();
            deps.push(Dep { origin: self.mask.origin(dep.origin), seq: dep.seq, hash });
        }
        deps.sort_by_key(|dep| dep.origin);
        let mut docs = Vec::with_capacity(txn.docs.len());
        for doc in &txn.docs {
            let ops = doc.ops.iter().map(|op| self.mask.op(op)).collect();
            docs.push(DocOps { id: self.mask.text(&doc.id), ops });
        }
        docs.sort_by(|a, b| a.id.cmp(&b.id));
        let (dot, time) = (self.mask.dot(txn.dot), self.mask.time(txn.time));
        let other = Txn { dot, prev, time, deps, docs };
        let collection = self.mask.text(collection);
        let scope = Scope { network: self.store.network(), collection: &collection };
        let key = self.mask.key(&txn.dot.origin.node);
        let other = Signed::sign(other, scope, key)?;
        let hashes = self.hashes.entry((name, txn.dot.origin)).or_default();
        hashes.insert(txn.dot.seq, other.hash);
        self.done.transactions += 1;
        let (batch, bytes) = self.batch.entry(collection).or_default();
        *bytes += other.bytes.len();
        batch.push(other.bytes);
        if *bytes >= SYNC_BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        for (collection, (batch, _)) in std::mem::take(&mut self.batch) {
            self.store.apply_remote(&collection, batch)?;
        }
        Ok(())
    }

    /// Rewrites a collection's documents as they are.
    fn state(
        &mut self,
        read: &redb::ReadTransaction,
        heads: &Heads,
        head: &CollectionHead,
    ) -> Result<()> {
        let name = self.mask.text(&head.name);
        let vector = self.vector(&name, head)?;
        let (branches, documents) = (Branches::default(), head.row.documents);
        let mut view =
            ViewHead { branches, vector, past: BTreeMap::new(), cells: Hash::default(), documents };
        let (mut cells, mut batch, mut bytes) = (LtHash::new(), Vec::new(), 0);
        self.store.stage(&name)?;
        for document in documents::scan(read, Arc::clone(&heads.origins), head.number, "")? {
            let (id, row) = document?;
            let (id, row) = (self.mask.text(&id), self.mask.row(&row));
            for part in heads.layout.rows(row.cells()) {
                cells.add(&Row::digest_of(part, &id));
            }
            let packed = pack(&row);
            bytes += packed.len();
            batch.push(Staged { id, packed: Some(packed) });
            if bytes >= SYNC_BATCH_BYTES {
                self.store.stage_documents(&name, &view, &std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        self.store.stage_documents(&name, &view, &batch)?;
        view.cells = cells.digest();
        match self.store.join(&name, &view, self.store.node_id())? {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Internal,
                "rewritten documents have not the digest that was worked out; please report it",
            )),
        }
    }

    /// The vector, each entry signed by the key that stands for its author: of a transaction that
    /// nobody has.
    fn vector(&mut self, name: &str, head: &CollectionHead) -> Result<BTreeMap<Origin, Newest>> {
        let mut vector = BTreeMap::new();
        for (origin, row) in &head.vector {
            let dot = Dot { origin: self.mask.origin(*origin), seq: row.seq };
            let (time, docs) = (self.mask.time(Default::default()), Vec::new());
            let prev = if row.seq > 1 { Hash([1; 32]) } else { Hash::default() };
            let txn = Txn { dot, prev, time, deps: Vec::new(), docs };
            let scope = Scope { network: self.store.network(), collection: name };
            let node: NodeId = origin.node;
            let signed = Signed::sign(txn, scope, self.mask.key(&node))?;
            let newest = Newest { seq: row.seq, hash: signed.hash, proof: signed.proof };
            vector.insert(dot.origin, newest);
        }
        Ok(vector)
    }
}

//! A local write: operations built in memory over a view, then signed and queued.
//!
//! The view is one moment: redb, the heads, and the local transactions that are queued but
//! not yet applied, laid over it. While a transaction is open it holds the gate, so its
//! number and the hash before it are known; it holds nothing else, and blocks no sync. It is
//! queued before it is signed, so that the next one need not wait for that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::commit::lock;
use super::document::{Content, Document};
use super::documents::{Parts, Read, Reader};
use super::gate;
use super::heads::CollectionHead;
use super::queue::{Local, Waiter};
use super::tape::HeldView;
use super::{Inner, Store};
use crate::clock::Timestamp;
use crate::crdt::{Batch, Cell, DocOps, Effects, Op, Row, Source, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, Origin, Seq, check_collection, check_id};
use crate::limits::MAX_TXN_BYTES;
use crate::txn::edit::{Base, Draft, Version};
use crate::txn::{Dep, Scope, Txn, Unsigned};
use crate::value::{Field, Fields, Path, Value};

/// How long a write waits for another local write that is open.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the log's frame around one transaction, at most.
const FRAME_BYTES: usize = 256;

/// A local write over any number of collections: all of it happens, or nothing.
///
/// Reads see what the transaction wrote. Dropping it without [`Transaction::commit`] rolls
/// it back. Only one is open at a time in a store; others wait, sync does not.
pub struct Transaction {
    store: Store,
    /// How often the store had been suspended when it began.
    suspensions: u64,
    documents: Arc<Reader>,
    pending: Vec<Arc<Local>>,
    generation: u64,
    time: Timestamp,
    collections: BTreeMap<String, Open>,
    _gate: gate::Entry,
}

/// A transaction on its way to the disk, from [`Transaction::commit_begun`].
#[must_use = "it is durable and visible when `wait` returns, at some time or never otherwise"]
pub struct Committing {
    store: Store,
    /// `None` if nothing was written.
    waiter: Option<Arc<Waiter>>,
}

impl Committing {
    /// Waits until it is durable and visible, or has failed to be.
    pub fn wait(self) -> Result<()> {
        self.waiter.map_or(Ok(()), |waiter| self.store.inner.wait(&waiter).map(drop))
    }
}

/// A collection that the transaction touches.
struct Open {
    number: Option<u32>,
    dot: Dot,
    prev: Hash,
    deps: Vec<Dep>,
    /// What it shows, if it is held back.
    held: Option<HeldView>,
    drafts: BTreeMap<String, Draft>,
}

impl Store {
    /// Runs `write` in a transaction and commits it: durable when this returns. An error or a
    /// panic in it rolls everything back. It runs once; nothing is retried.
    pub fn write<T>(&self, write: impl FnOnce(&mut Transaction) -> Result<T>) -> Result<T> {
        let mut txn = self.begin()?;
        let result = write(&mut txn)?;
        txn.commit()?;
        Ok(result)
    }

    /// As [`Store::write`], but returns once the write is visible here. It is durable, and goes
    /// to peers, with the next [`Store::flush`] or durable write; a crash before that loses it whole.
    pub fn write_deferred<T>(
        &self,
        write: impl FnOnce(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut txn = self.begin()?;
        let result = write(&mut txn)?;
        txn.commit_deferred()?;
        Ok(result)
    }

    /// Opens a transaction, to be ended by [`Transaction::commit`] or by dropping it. Waits up
    /// to 30 s for another local one that is open.
    pub fn begin(&self) -> Result<Transaction> {
        Transaction::begin(self.clone(), PATIENCE)
    }

    /// As [`Store::begin`], waiting at most `patience`.
    pub fn begin_within(&self, patience: Duration) -> Result<Transaction> {
        Transaction::begin(self.clone(), patience)
    }
}

impl Transaction {
    fn begin(store: Store, patience: Duration) -> Result<Transaction> {
        let inner = store.inner.clone();
        inner.check_usable()?;
        let gate = inner.gate.enter(patience)?;
        let suspensions = store.suspensions();
        let heads = inner.read_heads();
        let documents = inner.reader(&heads)?;
        let (pending, generation): (Vec<Arc<Local>>, u64) = {
            let pending = lock(&inner.pending);
            (pending.items.iter().cloned().collect(), pending.generation)
        };
        let collections = heads
            .iter()
            .filter(|head| head.unnamed(inner.node).next().is_some())
            .map(|head| {
                let deps = deps(head, inner.node, &pending);
                Ok((head.name.clone(), Open { deps, ..open(&inner, &heads, &head.name)? }))
            })
            .collect::<Result<_>>()?;
        drop(heads);
        let time = lock(&inner.clock).tick(inner.wall.now_ms());
        Ok(Transaction {
            store,
            suspensions,
            documents,
            pending,
            generation,
            time,
            collections,
            _gate: gate,
        })
    }

    /// The document with this id, as this transaction leaves it.
    pub fn get(&mut self, collection: &str, id: &str) -> Result<Option<Document>> {
        let row = self.draft(collection, id)?.row()?;
        Ok(Document::of(&Arc::from(collection), id, row))
    }

    /// One field of a document, if both exist, as this transaction leaves it. Of a large document
    /// only what the field needs is read.
    pub fn get_field(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
    ) -> Result<Option<Field>> {
        self.draft(collection, id)?.field(&path.into())
    }

    /// Whether the set at `path` has an element, as this transaction leaves it.
    pub fn has(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        element: impl Into<Value>,
    ) -> Result<bool> {
        self.draft(collection, id)?.has(&path.into(), &element.into())
    }

    /// Replaces a document. Content that was read carries its version: then only the difference
    /// to what was read is written, and what came in between stays.
    pub fn put(&mut self, collection: &str, id: &str, content: impl Content) -> Result<()> {
        let base = content.base(collection, id)?;
        self.draft(collection, id)?.put(content.fields(), base.as_ref())
    }

    /// Reads, changes and puts a document in one; one that is not there starts empty.
    pub fn edit<T>(
        &mut self,
        collection: &str,
        id: &str,
        edit: impl FnOnce(&mut Fields) -> Result<T>,
    ) -> Result<T> {
        let mut document = self.get(collection, id)?.unwrap_or_else(|| Document::absent(id));
        let result = edit(document.fields_mut())?;
        self.put(collection, id, &document)?;
        Ok(result)
    }

    /// Writes the fields given and leaves the others alone.
    pub fn merge(&mut self, collection: &str, id: &str, fields: &Fields) -> Result<()> {
        self.draft(collection, id)?.merge(fields)
    }

    /// Deletes a document. Gives whether it was there.
    pub fn delete(&mut self, collection: &str, id: &str) -> Result<bool> {
        let draft = self.draft(collection, id)?;
        let there = crate::crdt::view::flags(&draft.row()?).shown;
        draft.delete(None)?;
        Ok(there)
    }

    /// Deletes what the reader of `version` had seen of a document; what came in between stays.
    pub fn delete_version(
        &mut self,
        collection: &str,
        id: &str,
        version: &Version,
    ) -> Result<bool> {
        let base = Base::from_version(version)?;
        self.draft(collection, id)?.delete(Some(&base))
    }

    /// Writes one field; maps on the way to it are created.
    pub fn set(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        field: impl Into<Field>,
    ) -> Result<()> {
        self.draft(collection, id)?.set(&path.into(), &field.into())
    }

    /// Removes one field. Gives whether it was there.
    pub fn unset(&mut self, collection: &str, id: &str, path: impl Into<Path>) -> Result<bool> {
        self.draft(collection, id)?.unset(&path.into())
    }

    /// Adds an element to a set, which is created if nothing is there.
    pub fn add(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        element: impl Into<Value>,
    ) -> Result<()> {
        self.draft(collection, id)?.add(&path.into(), &element.into())
    }

    /// Removes an element from a set. Gives whether it was there.
    pub fn remove(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        element: impl Into<Value>,
    ) -> Result<bool> {
        self.draft(collection, id)?.remove(&path.into(), &element.into())
    }

    /// Adds to a counter, which is created if nothing is there.
    pub fn increment(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        by: i64,
    ) -> Result<()> {
        self.draft(collection, id)?.increment(&path.into(), by)
    }

    /// Zeroes a row of a counter, up to the transaction and total that were seen, and adds what of
    /// it is to stay. Nothing happens if the row is no longer there, or zeroed by now.
    pub(super) fn zero_counter(
        &mut self,
        collection: &str,
        id: &str,
        path: &Path,
        seen: (Dot, Seq, i128),
        keep: Option<i128>,
    ) -> Result<()> {
        self.draft(collection, id)?.zero(path, seen, keep)
    }

    /// Settles the conflict at `path` for `choice`, which is one of its candidates or a new value.
    pub fn resolve(
        &mut self,
        collection: &str,
        id: &str,
        path: impl Into<Path>,
        choice: &Field,
    ) -> Result<()> {
        self.draft(collection, id)?.resolve(&path.into(), choice)
    }

    /// Signs and commits; durable and visible when this returns.
    pub fn commit(self) -> Result<()> {
        self.finish(true, |_| Ok(()))
    }

    /// Signs and commits; visible when this returns, durable as [`Store::write_deferred`] says.
    pub fn commit_deferred(self) -> Result<()> {
        self.finish(false, |_| Ok(()))
    }

    /// Gives up everything that was written in the transaction.
    pub fn rollback(self) {}

    /// The first half of [`Transaction::commit`]: signs, and puts it in line for the disk. The next
    /// transaction may begin, and sees what this one wrote; nobody else does before
    /// [`Committing::wait`]. So one thread can build what another one commits. If this one fails to
    /// become durable, none that was begun after it does.
    pub fn commit_begun(self) -> Result<Committing> {
        self.enqueue(true, |_| Ok(()))
    }

    /// As [`Transaction::commit`], after `before` has seen what is about to be written, while no
    /// other local write is built; if that fails, nothing is written.
    pub(super) fn finish_after(
        self,
        before: impl FnOnce(&[Arc<Local>]) -> Result<()>,
    ) -> Result<()> {
        self.finish(true, before)
    }

    fn finish(self, durable: bool, before: impl FnOnce(&[Arc<Local>]) -> Result<()>) -> Result<()> {
        self.enqueue(durable, before)?.wait()
    }

    fn enqueue(
        self,
        durable: bool,
        before: impl FnOnce(&[Arc<Local>]) -> Result<()>,
    ) -> Result<Committing> {
        let Transaction { store, documents, pending, generation, time, collections, _gate, .. } =
            self;
        drop((documents, pending));
        let mut items = Vec::new();
        let mut bytes = 0;
        for (name, open) in collections {
            if let Some(item) = build(&store.inner, &name, open, time)? {
                bytes += item.len() + FRAME_BYTES;
                items.push(item);
            }
        }
        if bytes > MAX_TXN_BYTES {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the transaction has over {MAX_TXN_BYTES} bytes; commit in smaller parts"),
            ));
        }
        before(&items)?;
        if items.is_empty() {
            return Ok(Committing { store, waiter: None });
        }
        let waiter = store.inner.enqueue_local(items.clone(), durable, generation)?;
        drop(_gate);
        items.iter().for_each(|item| drop(item.sign(&store.inner.key)));
        Ok(Committing { store, waiter: Some(waiter) })
    }

    fn draft(&mut self, collection: &str, id: &str) -> Result<&mut Draft> {
        check_id(id)?;
        self.store.inner.check_since(self.suspensions)?;
        if !self.collections.contains_key(collection) {
            check_collection(collection)?;
            let heads = self.store.inner.read_heads();
            // Nothing was fresh there when the view was taken, so there is nothing to depend on.
            let open = open(&self.store.inner, &heads, collection)?;
            drop(heads);
            self.collections.insert(collection.to_owned(), open);
        }
        let open = self.collections.get_mut(collection).expect("just inserted");
        let new = match open.drafts.entry(id.to_owned()) {
            Entry::Occupied(draft) => return Ok(draft.into_mut()),
            Entry::Vacant(new) => new,
        };
        let stamp = Stamp { dot: open.dot, time: self.time };
        let queued = queued(&self.pending, collection, id);
        let draft = match (open.number, &open.held) {
            (Some(number), None) => match self.documents.parts(number, id)? {
                Read::Whole(row) => Draft::new(laid_over(row, queued, id), stamp),
                Read::Parts(parts) => {
                    let id = id.to_owned();
                    Draft::over(Box::new(View { parts, queued, id }), stamp)
                }
            },
            (Some(number), Some(held)) => {
                held.check_writable(collection)?;
                let state = match self.documents.parts(number, id)? {
                    Read::Whole(row) => row,
                    Read::Parts(parts) => Row::of_cells(parts.between(&[], None)?),
                };
                let state = laid_over(state, queued.clone(), id);
                Draft::held(laid_over(held.cells(id)?, queued, id), state, stamp)
            }
            (None, _) => Draft::new(laid_over(Row::default(), queued, id), stamp),
        };
        Ok(new.insert(draft))
    }
}

/// What the next transaction of this node in a collection is called.
fn open(inner: &Inner, heads: &super::heads::Heads, collection: &str) -> Result<Open> {
    let head = heads.named(collection);
    let origin = match head {
        Some(head) => head.own_origin(inner.node),
        None => Origin { node: inner.node, incarnation: inner.left_incarnation(collection)? },
    };
    let applied = head.and_then(|head| head.vector.get(&origin)).map(|row| (row.seq, row.hash));
    let queued = lock(&inner.pending).newest(collection);
    let (seq, prev): (Seq, Hash) = queued.or(applied).unwrap_or_default();
    Ok(Open {
        number: head.map(|head| head.number),
        dot: Dot { origin, seq: seq + 1 },
        prev,
        deps: Vec::new(),
        held: HeldView::open(inner, heads, collection)?,
        drafts: BTreeMap::new(),
    })
}

/// What the view has seen and neither our applied nor our queued transactions have named.
fn deps(head: &CollectionHead, node: NodeId, pending: &[Arc<Local>]) -> Vec<Dep> {
    let named = |origin: &Origin, seq: Seq| {
        pending
            .iter()
            .filter(|item| *item.collection == *head.name)
            .flat_map(|item| &item.txn.deps)
            .any(|dep| dep.origin == *origin && dep.seq >= seq)
    };
    head.unnamed(node)
        .filter(|(origin, head)| !named(origin, head.seq))
        .map(|(origin, head)| Dep { origin, seq: head.seq, hash: head.hash })
        .collect()
}

/// The transactions that are queued and write to a document.
fn queued(pending: &[Arc<Local>], collection: &str, id: &str) -> Vec<Arc<Txn>> {
    let here = |item: &&Arc<Local>| &*item.collection == collection && ops(&item.txn, id).is_some();
    pending.iter().filter(here).map(|item| item.txn.clone()).collect()
}

fn ops<'a>(txn: &'a Txn, id: &str) -> Option<&'a [Op]> {
    let docs = &txn.docs;
    let at = docs.binary_search_by(|doc| doc.id.as_str().cmp(id)).ok()?;
    Some(&docs[at].ops)
}

/// A document's row in the view: redb, with what is queued laid over it.
fn laid_over(mut row: Row, queued: Vec<Arc<Txn>>, id: &str) -> Row {
    for txn in queued {
        row.apply_all(ops(&txn, id).unwrap_or_default(), &txn.stamp());
    }
    row
}

/// A large document in the view.
struct View {
    parts: Parts,
    queued: Vec<Arc<Txn>>,
    id: String,
}

impl Source for View {
    fn between(&self, from: &[u8], to: Option<&[u8]>) -> Result<Vec<Cell>> {
        let mut cells = self.parts.between(from, to)?;
        for txn in &self.queued {
            let stamp = txn.stamp();
            let batch = Batch::of_ops(ops(txn, &self.id).unwrap_or_default(), &stamp);
            cells = batch.apply(cells, from, to, &mut Effects::default(), None);
        }
        Ok(cells)
    }
}

fn build(
    inner: &Inner,
    collection: &str,
    open: Open,
    time: Timestamp,
) -> Result<Option<Arc<Local>>> {
    let docs: Vec<DocOps> = open
        .drafts
        .into_iter()
        .map(|(id, draft)| DocOps { id, ops: draft.into_ops() })
        .filter(|doc| !doc.ops.is_empty())
        .collect();
    if docs.is_empty() {
        return Ok(None);
    }
    inner.check_may_write(collection)?;
    let txn = Txn { dot: open.dot, prev: open.prev, time, deps: open.deps, docs };
    let scope = Scope { network: inner.network, collection };
    Ok(Some(Local::new(collection, Unsigned::new(txn, scope)?)))
}

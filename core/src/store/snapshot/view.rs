//! A view: one collection at one moment, for a peer to compare with and to join.

use std::ops::Bound;

use redb::{ReadTransaction, ReadableDatabase};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Position, Vector};
use crate::limits::VIEW_HOLDS_BYTES;
use crate::store::documents::{self, Documents};
use crate::store::tables::{self, db};
use crate::store::{Inner, LogPin, Store};
use crate::txn::Scope;
use crate::txn::snapshot::{Newest, Span, SpanDigest, SpanHasher, ViewHead, pack};

/// One collection at one moment. Holds a read transaction: redb uses no page again that is
/// replaced meanwhile, so the file grows by what is written, until the view is dropped. Hence a
/// view is spent some time. And it pins the log.
pub struct View {
    store: Store,
    read: ReadTransaction,
    number: u32,
    head: Vec<u8>,
    position: Position,
    /// What had been written to the state when it was taken.
    written: u64,
    /// What comes after the view is to be sent after it.
    _pin: LogPin,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View(at {})", self.position)
    }
}

impl Store {
    /// A view of a collection as it is now, durable in all that it shows. It may leave this
    /// store: own transactions are marked as handed out before.
    ///
    /// Errors: [`ErrorKind::UnknownCollection`] if it is not held; I/O.
    pub fn view(&self, collection: &str) -> Result<View> {
        self.view_for(collection, &Vector::new())
    }

    /// As [`Store::view`], for somebody who holds at least `have`: with the view come hashes of
    /// what it lacks, and as far as they are known of where its history would have to join.
    pub fn view_for(&self, collection: &str, have: &Vector) -> Result<View> {
        let inner = &self.inner;
        loop {
            let heads = inner.read_heads();
            if heads.applied > inner.reader.durable() {
                drop(heads);
                self.flush()?;
                continue;
            }
            let own = heads.named(collection).map(|head| head.exports(inner.node));
            if own.is_some_and(|(newest, exported)| newest > exported) {
                drop(heads);
                inner.mark_exported(collection)?;
                continue;
            }
            let head = heads.named(collection).ok_or_else(|| {
                Error::new(
                    ErrorKind::UnknownCollection,
                    format!("there is no collection '{collection}' to take a view of"),
                )
            })?;
            let read = inner.database()?.begin_read().map_err(db)?;
            let (number, position) = (head.number, heads.applied);
            let newest =
                |row: &tables::VectorRow| Newest { seq: row.seq, hash: row.hash, proof: row.proof };
            let vector = head.vector.iter().map(|(origin, row)| (*origin, newest(row))).collect();
            let branches = (*head.branches).clone();
            let past = inner.past(&read, &heads, head, have)?;
            let (cells, documents) = (head.row.cells.digest(), head.row.documents);
            drop(heads);
            // Refused if the log was pruned in between: then a later view does.
            let Ok(_pin) = self.pin_log(collection, position, "a peer takes in a snapshot") else {
                continue;
            };
            // A reader of what is not durable holds also what is written and replaced after it,
            // up to the next durable commit: so that comes now. A store that fails it replaces
            // nothing any more.
            let _ = inner.commit_beside(|_| Ok(()));
            let scope = Scope { network: inner.network, collection };
            let head = ViewHead { branches, vector, past, cells, documents };
            let head = head.sign(scope, &inner.key);
            let (store, written) = (self.clone(), inner.state_written.bytes());
            return Ok(View { store, read, number, head, position, written, _pin });
        }
    }
}

impl View {
    /// The head, signed by this node.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Where the log stood: everything later is not in the view.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether it keeps so much of the disk from being used again that it should be dropped,
    /// and a new one taken: [`VIEW_HOLDS_BYTES`], or a quarter of the state if that is more, so
    /// that a large state can be walked through.
    pub fn is_spent(&self) -> bool {
        let inner = &self.store.inner;
        let held = inner.state_written.bytes().saturating_sub(self.written);
        held > VIEW_HOLDS_BYTES.max(inner.state_len() / 4)
    }

    /// Cuts a span into pieces of `per` documents, at most `max` pieces from its start. Gives
    /// the end of each, which is the start of the next, and its digest; the last piece ends
    /// where the span does, if all of it was reached.
    pub fn pieces(
        &self,
        span: &Span,
        per: u64,
        max: usize,
    ) -> Result<Vec<(Option<String>, SpanDigest)>> {
        let mut pieces = Vec::new();
        let mut hasher = SpanHasher::default();
        for entry in documents_in(&self.store.inner, &self.read, self.number, span)? {
            let (id, row) = entry?;
            if hasher.rows() == per.max(1) {
                pieces.push((Some(id.clone()), hasher.finish()));
                hasher = SpanHasher::default();
                if pieces.len() >= max.max(1) {
                    return Ok(pieces);
                }
            }
            hasher.push(&row.digest(&id));
        }
        pieces.push((span.end.clone(), hasher.finish()));
        Ok(pieces)
    }

    /// The first documents of a span, at most `max`, each with the digest of its row.
    pub fn list(&self, span: &Span, max: usize) -> Result<Vec<(String, Hash)>> {
        documents_in(&self.store.inner, &self.read, self.number, span)?
            .take(max)
            .map(|entry| entry.map(|(id, row)| (id.clone(), row.digest(&id))))
            .collect()
    }

    /// The first documents of a span, as they travel: at least one if there is one, and not many
    /// more than `max_bytes`. Gives where the rest begins, if there is a rest.
    pub fn documents(&self, span: &Span, max_bytes: usize) -> Result<Page> {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        for entry in documents_in(&self.store.inner, &self.read, self.number, span)? {
            let (id, row) = entry?;
            if bytes >= max_bytes {
                return Ok((documents, Some(id)));
            }
            let packed = pack(&row);
            bytes += packed.len() + id.len();
            documents.push((id, packed));
        }
        Ok((documents, None))
    }

    /// One document as it travels, if it is in the view.
    pub fn document(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let row = self.store.inner.read_row(&self.read, self.number, id)?;
        Ok(row.map(|row| pack(&row)))
    }
}

/// Documents as they travel, and where to go on.
type Page = (Vec<(String, Vec<u8>)>, Option<String>);

/// The documents of a span, in the order of ids.
pub(in crate::store) fn documents_in(
    inner: &Inner,
    read: &ReadTransaction,
    number: u32,
    span: &Span,
) -> Result<Documents> {
    let start = tables::document_key(number, &span.start);
    let end = match &span.end {
        Some(end) => tables::document_key(number, end),
        None => (number + 1).to_be_bytes().to_vec(),
    };
    // A span that ends before it starts is empty; redb would panic.
    let end = end.max(start.clone());
    documents::range(read, inner.origins(), Bound::Included(start), Bound::Excluded(end))
}

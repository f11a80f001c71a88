//! A snapshot in a bundle on its way into the store.
//!
//! It is the walk of a stream (`sync/snapshot_in.rs`) with all documents at hand, in the order of
//! their ids: what equals our candidate is left alone, what differs is staged, and what we have
//! and the snapshot lacks is staged as absent. So at the end the candidates are the view, and the
//! join checks that they are. It does not know where the documents come from.

use std::collections::VecDeque;

use super::apply::concerns_a_collection;
use super::file::malformed;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, NodeId};
use crate::limits::MAX_SNAPSHOT_LIST;
use crate::store::{StagingLease, Store};
use crate::txn::snapshot::{Span, Staged, ViewHead, unpack};

/// A snapshot that is being staged.
pub(super) struct Joining {
    store: Store,
    name: String,
    head: ViewHead,
    server: NodeId,
    /// Transactions that it brings.
    pub(super) brings: u64,
    /// Whether something was staged before, by a link that was cut or an earlier attempt.
    continues: bool,
    /// Before this id everything is compared.
    cursor: String,
    staged: Vec<Staged>,
    _lease: StagingLease,
}

impl Joining {
    /// Begins to stage it; goes on with what is staged already.
    pub(super) fn begin(
        store: &Store,
        name: &str,
        head: ViewHead,
        server: NodeId,
        brings: u64,
    ) -> Result<Joining> {
        let lease = store.staging_lease(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Locked,
                format!("a link is taking in a snapshot of '{name}' just now; apply the bundle again when it is done"),
            )
        })?;
        let continues = store.is_staged(name);
        store.stage(name)?;
        Ok(Joining {
            store: store.clone(),
            name: name.to_owned(),
            head,
            server,
            brings,
            continues,
            cursor: String::new(),
            staged: Vec::new(),
            _lease: lease,
        })
    }

    /// What is staged of a collection that needs no snapshot is of no use.
    pub(super) fn not_needed(store: &Store, name: &str) -> Result<()> {
        if store.is_staged(name)
            && let Some(_lease) = store.staging_lease(name)
        {
            store.unstage(name)?;
        }
        Ok(())
    }

    /// The next documents of the view, by id.
    pub(super) fn documents(&mut self, documents: Vec<(String, Vec<u8>)>) -> Result<()> {
        let Some(((first, _), (last, _))) = documents.first().zip(documents.last()) else {
            return Ok(());
        };
        if *first < self.cursor {
            return Err(malformed("documents out of order"));
        }
        let end = after(last);
        let span = Span { start: std::mem::replace(&mut self.cursor, end.clone()), end: Some(end) };
        let mut ours = Candidates::new(span);
        for (id, packed) in documents {
            while ours.peek(&self.store, &self.name)?.is_some_and(|(ours, _)| *ours < id) {
                self.absent(&mut ours)?;
            }
            let same = match ours.peek(&self.store, &self.name)? {
                Some((ours, digest)) if *ours == id => unpack(&packed)?.digest(&id) == *digest,
                _ => false,
            };
            if ours.peek(&self.store, &self.name)?.is_some_and(|(ours, _)| *ours == id) {
                ours.page.pop_front();
            }
            if !same {
                self.keep(Staged { id, packed: Some(packed) })?;
            }
        }
        self.write()
    }

    /// Our next candidate is not in the view.
    fn absent(&mut self, ours: &mut Candidates) -> Result<()> {
        match ours.page.pop_front() {
            Some((id, _)) => self.keep(Staged { id, packed: None }),
            None => Ok(()),
        }
    }

    fn keep(&mut self, document: Staged) -> Result<()> {
        self.staged.push(document);
        if self.staged.len() >= MAX_SNAPSHOT_LIST { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(());
        }
        self.store.stage_documents(&self.name, &self.head, &staged)
    }

    /// All documents have come: what we have behind them goes, and the view becomes part of the
    /// collection at once.
    pub(super) fn join(mut self) -> Result<()> {
        let joined =
            self.rest().and_then(|()| self.store.join_now(&self.name, &self.head, self.server));
        match joined {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.give_up()?;
                Err(malformed("the documents of its snapshot are not what its head says"))
            }
            Err(err) => {
                if concerns_a_collection(err.kind()) {
                    self.give_up()?;
                }
                Err(err)
            }
        }
    }

    fn rest(&mut self) -> Result<()> {
        let mut ours = Candidates::new(Span { start: self.cursor.clone(), end: None });
        while ours.peek(&self.store, &self.name)?.is_some() {
            self.absent(&mut ours)?;
        }
        self.write()
    }

    /// Leaves everything as it was before.
    pub(super) fn give_up(self) -> Result<()> {
        match self.continues {
            true => Ok(()),
            false => self.store.unstage(&self.name).map(drop),
        }
    }
}

/// What stands here for the documents of a view, in a span, page by page.
struct Candidates {
    span: Option<Span>,
    page: VecDeque<(String, Hash)>,
}

impl Candidates {
    fn new(span: Span) -> Candidates {
        Candidates { span: Some(span), page: VecDeque::new() }
    }

    fn peek(&mut self, store: &Store, name: &str) -> Result<Option<&(String, Hash)>> {
        if self.page.is_empty()
            && let Some(span) = self.span.take()
        {
            self.page = store.candidate_list(name, &span, MAX_SNAPSHOT_LIST)?.into();
            if let Some((last, _)) =
                self.page.back().filter(|_| self.page.len() >= MAX_SNAPSHOT_LIST)
            {
                self.span = Some(Span { start: after(last), end: span.end });
            }
        }
        Ok(self.page.front())
    }
}

/// The smallest text after `id`.
fn after(id: &str) -> String {
    format!("{id}\0")
}

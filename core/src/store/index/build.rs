//! Building indexes: going through the documents that were there before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use redb::ReadableTable;

use super::super::tables::{self, Tables, Writable, db, set};
use super::super::{Inner, Store};
use super::{Index, IndexStatus, Rows, entries_now};
use crate::error::{ErrorKind, Result};
use crate::limits::INDEX_BATCH;

impl Store {
    /// Builds what is to be built of the indexes of this store, in this thread, beside whatever else
    /// is read and written; `go_on` hears how far they are after each step, and ends it by `false`.
    /// What is built already is kept, and gone on from, also after a crash.
    ///
    /// Errors: [`Closed`](ErrorKind::Closed); [`Poisoned`](ErrorKind::Poisoned); I/O.
    pub fn build_indexes(&self, mut go_on: impl FnMut(&[IndexStatus]) -> bool) -> Result<()> {
        while self.inner.build_step()? {
            if !go_on(&self.indexes()) {
                break;
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Begins a thread that builds what is to be built, if there is none. It ends with its work, and
    /// at the latest when the store is closed or fails: whoever opens the store next goes on.
    pub(in crate::store) fn build_in_background(self: &Arc<Self>) {
        let is_needed = self
            .read_heads()
            .indexes
            .values()
            .any(|of| of.iter().any(|one| one.building.is_some()));
        if !is_needed || self.building.swap(true, Ordering::AcqRel) {
            return;
        }
        // The store can be dropped meanwhile.
        let inner = Arc::downgrade(self);
        let build = move || {
            loop {
                let Some(inner) = inner.upgrade() else { return };
                match inner.build_step() {
                    Ok(true) => {}
                    Ok(false) => {
                        inner.building.store(false, Ordering::Release);
                        // One that was declared just before that saw this thread.
                        inner.build_in_background();
                        return;
                    }
                    Err(err) => {
                        inner.building.store(false, Ordering::Release);
                        match err.kind() {
                            // It may have been woken since.
                            ErrorKind::Suspended if inner.is_running() => {
                                inner.build_in_background();
                            }
                            ErrorKind::Closed | ErrorKind::Poisoned | ErrorKind::Suspended => {}
                            _ => {
                                tracing::warn!(reason = err.message(), "an index is not built");
                            }
                        }
                        return;
                    }
                }
            }
        };
        if thread::Builder::new().name("littoral-index".into()).spawn(build).is_err() {
            self.building.store(false, Ordering::Release);
        }
    }

    /// Goes through the next few documents of an index that is being built. Gives whether there is
    /// more to do.
    fn build_step(&self) -> Result<bool> {
        let Some((collection, number)) = self.next_to_build() else { return Ok(false) };
        self.commit_loosely_with(
            |txn, heads| {
                let is_it = |index: &&Index| index.number == number && index.building.is_some();
                let index = heads.indexes.get(&collection).and_then(|of| of.iter().find(is_it));
                let Some(index) = index.cloned() else { return Ok(None) };
                let mut tables = Tables::open(txn)?;
                let index = match heads.named(&collection) {
                    Some(head) => step(&mut tables, index, (head.number, &heads.origins))?,
                    None => Index { building: None, ..index },
                };
                set(&mut tables.indexes, &number.to_be_bytes(), &index.encode(&collection))?;
                Ok(Some(index))
            },
            |heads, built| {
                let of = heads.indexes.get_mut(&collection);
                let (Some(built), Some(of)) = (built, of) else { return };
                let of = Arc::make_mut(of).iter_mut();
                of.filter(|index| index.number == number).for_each(|index| *index = built.clone());
            },
        )?;
        Ok(true)
    }

    fn next_to_build(&self) -> Option<(String, u32)> {
        let heads = self.read_heads();
        heads.indexes.iter().find_map(|(collection, of)| {
            let index = of.iter().find(|index| index.building.is_some())?;
            Some((collection.clone(), index.number))
        })
    }
}

/// The entries of the next documents.
fn step(
    tables: &mut Tables<'_>,
    index: Index,
    (number, origins): (u32, &super::Origins),
) -> Result<Index> {
    let (built, count) = index.building.clone().unwrap_or_default();
    let start = match built.is_empty() {
        true => tables::document_key(number, ""),
        // The next id there can be.
        false => [&tables::document_key(number, &built)[..], &[0]].concat(),
    };
    let end = (number + 1).to_be_bytes();
    let mut ids = Vec::new();
    for entry in tables.documents.range(&start[..]..&end[..]).map_err(db)?.take(INDEX_BATCH) {
        let (key, _) = entry.map_err(db)?;
        ids.push(tables::document_id(key.value())?.to_owned());
    }
    let Some(last) = ids.last().cloned() else { return Ok(Index { building: None, ..index }) };
    let whole = [Index { building: None, ..index.clone() }];
    let mut shown = 0;
    for id in &ids {
        let rows = Rows { documents: &tables.documents, runs: &tables.runs, origins, number };
        let now = entries_now(&whole, &rows, id)?;
        shown += u64::from(!now.0.is_empty());
        let table = tables.index_entries.opened()?;
        now.0
            .iter()
            .flat_map(|(_, entries)| entries)
            .try_for_each(|entry| set(table, entry, &[]))?;
    }
    Ok(Index { building: Some((last, count + shown)), ..index })
}

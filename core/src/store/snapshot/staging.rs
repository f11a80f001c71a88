//! Staging: what a view of another replica holds, where it differs from what we hold.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | joins | collection | wall time in ms when staging began, 8 |
//! | staged | collection, `00`, id | `00`: no such document there; `01`, the packed row |

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::{Arc, Mutex};

use redb::{ReadableDatabase, ReadableTable};

use super::super::admission::room_for_collection;
use super::view::documents_in;
use crate::crdt::Row;
use crate::crdt::join;
use crate::error::{Error, Result};
use crate::id::{Dot, Hash, check_id};
use crate::store::commit::lock;
use crate::store::tables::{self, LazyTable, Tables, Writable, db, set, unset};
use crate::store::{Inner, Store};
use crate::txn::snapshot::{Span, SpanDigest, SpanHasher, Staged, ViewHead, pack, unpack};

const ABSENT: u8 = 0;
const ROW: u8 = 1;

/// As long as it lives, no other one is given for the same collection of the same store.
#[derive(Debug)]
pub struct StagingLease {
    leased: Arc<Mutex<BTreeSet<String>>>,
    collection: String,
}

impl Drop for StagingLease {
    fn drop(&mut self) {
        lock(&self.leased).remove(&self.collection);
    }
}

impl Store {
    /// The right to stage a collection, for one link at a time: two that staged different views
    /// would both have to start over. `None` if it is given already.
    pub fn staging_lease(&self, collection: &str) -> Option<StagingLease> {
        let leased = self.inner.leased.clone();
        let free = lock(&leased).insert(collection.to_owned());
        free.then(|| StagingLease { leased, collection: collection.to_owned() })
    }

    /// Whether a collection is being staged, also by a link that was cut.
    pub fn is_staged(&self, collection: &str) -> bool {
        self.inner.read_heads().joining.contains(collection)
    }

    /// Begins to stage a collection; goes on with what is staged already. From here on every
    /// change of a document keeps the row as it was.
    pub fn stage(&self, collection: &str) -> Result<()> {
        let inner = &self.inner;
        if self.is_staged(collection) {
            return Ok(());
        }
        let since = inner.wall.now_ms().to_be_bytes();
        inner.commit_beside_heads(
            |txn| {
                set(&mut txn.open_table(tables::JOINS).map_err(db)?, collection.as_bytes(), &since)
            },
            |heads| {
                heads.joining.insert(collection.to_owned());
            },
        )
    }

    /// Checks that there is room for a collection of others, if it is not held.
    ///
    /// Errors: [`LimitExceeded`](crate::ErrorKind::LimitExceeded).
    pub fn check_room_for(&self, collection: &str) -> Result<()> {
        let heads = self.inner.read_heads();
        match heads.named(collection) {
            Some(_) => Ok(()),
            None => room_for_collection(heads.iter().count()),
        }
    }

    /// Stages documents of a view with this head, after checking them. What is staged becomes
    /// durable with what is committed later, at the latest with the join.
    ///
    /// Errors: [`InvalidTransaction`](crate::ErrorKind::InvalidTransaction) if one is malformed.
    pub fn stage_documents(
        &self,
        collection: &str,
        head: &ViewHead,
        documents: &[Staged],
    ) -> Result<()> {
        let mut rows = Vec::with_capacity(documents.len());
        for document in documents {
            check_id(&document.id).map_err(|err| Error::bad_txn(err.message()))?;
            let value = match &document.packed {
                Some(packed) => {
                    let row = unpack(packed)?;
                    join::check(&row, |dot: &Dot| head.covers(dot))?;
                    encode(&row)
                }
                None => vec![ABSENT],
            };
            rows.push((key(collection, &document.id), value));
        }
        self.inner.commit_staged(|txn| {
            if !self.is_staged(collection) {
                // It was given up meanwhile.
                return Ok(());
            }
            let mut staged = txn.open_table(tables::STAGED).map_err(db)?;
            rows.iter().try_for_each(|(key, value)| set(&mut staged, key, value))
        })
    }

    /// Gives up what is staged of a collection. Gives whether there was anything.
    pub fn unstage(&self, collection: &str) -> Result<bool> {
        if !self.is_staged(collection) {
            return Ok(false);
        }
        self.inner.commit_beside_heads(
            |txn| {
                let mut tables = Tables::open(txn)?;
                drop_staging(&mut tables.joins, &mut tables.staged, collection)
            },
            |heads| {
                heads.joining.remove(collection);
            },
        )?;
        Ok(true)
    }

    /// The digests of the candidates in spans, and how many there are in each.
    pub fn candidate_digests(&self, collection: &str, spans: &[Span]) -> Result<Vec<SpanDigest>> {
        let digest = |span: &Span| {
            let mut hasher = SpanHasher::default();
            for entry in self.inner.candidates(collection, span)? {
                let (id, row) = entry?;
                hasher.push(&row.digest(&id));
            }
            Ok(hasher.finish())
        };
        spans.iter().map(digest).collect()
    }

    /// The first candidates of a span, at most `max`, each with the digest of its row.
    pub fn candidate_list(
        &self,
        collection: &str,
        span: &Span,
        max: usize,
    ) -> Result<Vec<(String, Hash)>> {
        self.inner
            .candidates(collection, span)?
            .take(max)
            .map(|entry| entry.map(|(id, row)| (id.clone(), row.digest(&id))))
            .collect()
    }
}

impl Inner {
    /// The candidates of a span, in the order of ids.
    fn candidates(
        &self,
        collection: &str,
        span: &Span,
    ) -> Result<impl Iterator<Item = Result<(String, Row)>> + use<>> {
        let (number, read) = {
            let heads = self.read_heads();
            let read = self.database()?.begin_read().map_err(db)?;
            (heads.named(collection).map(|head| head.number), read)
        };
        let own = number.map(|number| documents_in(self, &read, number, span)).transpose()?;
        let staged = read.open_table(tables::STAGED).map_err(db)?;
        let (start, end) = range(collection, span);
        let staged = staged.range_owned::<&[u8]>(&start[..]..&end[..]).map_err(db)?;
        let skip = collection.len() + 1;
        let staged = staged.map(move |entry| {
            let (key, value) = entry.map_err(db)?;
            Ok((id_of(&key.value()[skip..])?.to_owned(), decode(value.value())?))
        });
        Ok(Overlay { own: own.into_iter().flatten().peekable(), staged: staged.peekable() })
    }
}

/// Own rows with staged ones laid over them.
struct Overlay<A: Iterator, B: Iterator> {
    own: Peekable<A>,
    staged: Peekable<B>,
}

impl<A, B> Iterator for Overlay<A, B>
where
    A: Iterator<Item = Result<(String, Row)>>,
    B: Iterator<Item = Result<(String, Option<Row>)>>,
{
    type Item = Result<(String, Row)>;

    fn next(&mut self) -> Option<Result<(String, Row)>> {
        loop {
            let order = match (self.own.peek(), self.staged.peek()) {
                (None, None) => return None,
                (Some(Ok((own, _))), Some(Ok((staged, _)))) => own.cmp(staged),
                (_, None) | (Some(Err(_)), _) => Ordering::Less,
                (None, _) | (_, Some(Err(_))) => Ordering::Greater,
            };
            if order == Ordering::Less {
                return self.own.next();
            }
            if order == Ordering::Equal {
                self.own.next();
            }
            match self.staged.next()? {
                Ok((id, Some(row))) => return Some(Ok((id, row))),
                Ok((_, None)) => {}
                Err(err) => return Some(Err(err)),
            }
        }
    }
}

/// Stages a document's row as it is, before it changes, unless one is staged already.
pub(in crate::store) fn save_before(
    tables: &mut Tables<'_>,
    collection: &str,
    id: &str,
    row: &Row,
) -> Result<()> {
    let key = key(collection, id);
    if tables.staged.get(&key[..]).map_err(db)?.is_some() {
        return Ok(());
    }
    set(&mut tables.staged, &key, &if row.is_empty() { vec![ABSENT] } else { encode(row) })
}

/// Removes all that is staged of a collection.
pub(in crate::store) fn drop_staging(
    joins: &mut LazyTable<'_>,
    staged: &mut LazyTable<'_>,
    collection: &str,
) -> Result<()> {
    unset(joins, collection.as_bytes())?;
    let (start, end) = range(collection, &Span::default());
    staged.opened()?.retain_in::<&[u8], _>(&start[..]..&end[..], |_, _| false).map_err(db)
}

/// Some of what is staged of a collection, after the id `after`.
pub(super) fn page(
    tables: &Tables<'_>,
    collection: &str,
    after: Option<&str>,
    max: usize,
) -> Result<Vec<(String, Option<Row>)>> {
    let (start, end) = range(collection, &Span::default());
    let start = after.map_or(start, |id| [&key(collection, id)[..], &[0]].concat());
    let skip = collection.len() + 1;
    tables
        .staged
        .range::<&[u8]>(&start[..]..&end[..])
        .map_err(db)?
        .take(max)
        .map(|entry| {
            let (key, value) = entry.map_err(db)?;
            Ok((id_of(&key.value()[skip..])?.to_owned(), decode(value.value())?))
        })
        .collect()
}

fn key(collection: &str, id: &str) -> Vec<u8> {
    [collection.as_bytes(), &[0], id.as_bytes()].concat()
}

/// The keys of a span.
fn range(collection: &str, span: &Span) -> (Vec<u8>, Vec<u8>) {
    let start = key(collection, &span.start);
    let end = match &span.end {
        Some(end) => key(collection, end),
        None => [collection.as_bytes(), &[1]].concat(),
    };
    (start.clone(), end.max(start))
}

fn id_of(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::corrupt("the id of a staged document is not UTF-8"))
}

fn encode(row: &Row) -> Vec<u8> {
    [&[ROW][..], &pack(row)].concat()
}

fn decode(value: &[u8]) -> Result<Option<Row>> {
    match value.split_first() {
        Some((&ABSENT, [])) => Ok(None),
        Some((&ROW, packed)) => {
            unpack(packed).map(Some).map_err(|err| Error::corrupt(err.message()))
        }
        _ => Err(Error::corrupt("a staged document is malformed")),
    }
}

//! Following the changes of a store: those that are wanted, in pages, as JSON shapes.
//!
//! A follower takes what it wants from the log, page by page, as fast as it can use it: nothing is
//! kept for it meanwhile, so that a slow one costs what one page does. One that is slower than the
//! log is pruned is told to read the documents anew.
//!
//! **Pages and transactions.** A position within a transaction does not exist: who resumes there
//! gets all of it again. So a page that somebody resumes after ([`Pages::Whole`]) ends where a
//! transaction does, however many documents that has; or else a transaction larger than a page
//! would be given for ever. Who goes on with the same follower ([`Pages::Parts`]) needs no such care.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use littoral::id::Dot;
use littoral::limits::{FEED_LOOKED_AT, FEED_PIECE_BYTES, HTTP_PAGE_BYTES};
use littoral::store::Changes;
use littoral::{Change, ErrorKind, Position, Result, Store};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::shape::{ChangeShape, ValuesShape, raw};

/// What is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Give {
    /// Which document.
    Keys,
    /// And who wrote it, and when.
    #[default]
    Changes,
    /// And what it holds by now.
    Documents,
    /// And what it held before and after that change, as far as the store keeps that.
    Values,
}

/// Which changes somebody wants, and what of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Of these collections; none is all.
    pub(crate) collections: Option<BTreeSet<String>>,
    /// Of documents whose ids begin so.
    pub(crate) prefix: String,
    /// What is told of each.
    pub(crate) give: Give,
}

impl Wanted {
    fn takes(&self, change: &Change) -> bool {
        let named =
            self.collections.as_ref().is_none_or(|names| names.contains(&*change.collection));
        named && change.id.starts_with(&self.prefix)
    }
}

/// Where pages end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// With a transaction.
    Whole,
    /// Anywhere.
    Parts,
}

impl Pages {
    /// Bytes of documents after which one ends.
    fn bytes(self) -> usize {
        match self {
            Pages::Whole => HTTP_PAGE_BYTES,
            Pages::Parts => FEED_PIECE_BYTES,
        }
    }
}

/// A change, as it is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Told {
    /// Which document.
    Key {
        /// Where to resume after it.
        position: u64,
        /// The collection.
        collection: String,
        /// The document.
        id: String,
    },
    /// And who wrote it, and when.
    Change(ChangeShape),
    /// And what it holds by now.
    Document {
        #[serde(flatten)]
        change: ChangeShape,
        /// Null if it is gone. Not there if the page is full within a transaction: it is to be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        doc: Option<Option<Box<RawValue>>>,
    },
}

impl Told {
    /// Where to resume after it.
    pub(crate) fn position(&self) -> u64 {
        match self {
            Told::Key { position, .. } => *position,
            Told::Change(change) | Told::Document { change, .. } => change.position,
        }
    }
}

/// Changes from a position on.
#[derive(Debug, Serialize)]
pub(crate) struct FeedPage {
    /// In the order in which they came into the store.
    pub(crate) changes: Vec<Told>,
    /// Where to resume.
    pub(crate) next: u64,
    /// Whether there may be more by now.
    #[serde(skip)]
    pub(crate) more: bool,
}

/// Somebody who follows the changes.
pub(crate) struct Follower {
    store: Store,
    feed: Changes,
    wanted: Wanted,
    pages: Pages,
}

/// What a page has so far.
struct Begun {
    told: Vec<Told>,
    bytes: usize,
    /// The last change that was looked at, wanted or not: its transaction, and where to resume.
    last: Option<(Arc<str>, Dot, Position)>,
    looked_at: usize,
}

impl Follower {
    /// From after `since`; none is from now on, the default position from the oldest there is.
    pub(crate) fn new(
        store: &Store,
        since: Option<Position>,
        wanted: Wanted,
        pages: Pages,
    ) -> Follower {
        let feed = match wanted.give {
            Give::Values => store.changes(since).with_values(),
            _ => store.changes(since),
        };
        Follower { store: store.clone(), feed, wanted, pages }
    }

    /// Where it resumes.
    pub(crate) fn position(&self) -> Position {
        self.feed.position()
    }

    /// Goes on from the present moment: what changed before is to be read anew.
    pub(crate) fn restart(&mut self) {
        self.feed.restart();
    }

    /// At most `most` changes that are there, but for what [`Pages::Whole`] says; waits up to
    /// `wait` for the first. After it, a follower of whole pages is to be made anew.
    ///
    /// Errors: `NotFound` if the log does not reach back so far: [`Follower::restart`].
    pub(crate) fn page(&mut self, most: usize, wait: Duration) -> Result<FeedPage> {
        let mut begun = Begun { told: Vec::new(), bytes: 0, last: None, looked_at: 0 };
        let mut patience = wait;
        loop {
            let full = begun.is_full(most, self.pages.bytes());
            if full && self.pages == Pages::Parts {
                return Ok(begun.end(self.feed.position(), true));
            }
            let Some(change) = self.feed.next(patience)? else {
                return Ok(begun.end(self.feed.position(), false));
            };
            patience = Duration::ZERO;
            if let Some((collection, dot, position)) = &begun.last
                && full
                && (*dot != change.dot || *collection != change.collection)
            {
                let position = *position;
                return Ok(begun.end(position, true));
            }
            self.take(&mut begun, change)?;
        }
    }

    fn take(&self, begun: &mut Begun, change: Change) -> Result<()> {
        begun.looked_at += 1;
        begun.last = Some((Arc::clone(&change.collection), change.dot, change.position));
        if !self.wanted.takes(&change) {
            return Ok(());
        }
        begun.told.push(match self.wanted.give {
            Give::Keys => Told::Key {
                position: change.position.0,
                collection: change.collection.to_string(),
                id: change.id,
            },
            Give::Changes => Told::Change(ChangeShape::from(&change)),
            Give::Values => {
                let mut told = ChangeShape::from(&change);
                // Within a transaction a page may be longer than it should, but not without end.
                told.values = told.values.filter(|_| begun.bytes <= self.pages.bytes());
                begun.bytes += told.values.iter().map(ValuesShape::bytes).sum::<usize>();
                Told::Change(told)
            }
            Give::Documents => {
                let fits = begun.bytes <= self.pages.bytes();
                let doc = if fits { Some(self.read(&change)?) } else { None };
                begun.bytes += doc.iter().flatten().map(|doc| doc.get().len()).sum::<usize>();
                Told::Document { change: ChangeShape::from(&change), doc }
            }
        });
        Ok(())
    }

    /// What the document holds by now; none if it is gone, or its collection was left.
    fn read(&self, change: &Change) -> Result<Option<Box<RawValue>>> {
        let collection = match self.store.existing_collection(&change.collection) {
            Err(err) if err.kind() == ErrorKind::UnknownCollection => return Ok(None),
            found => found?,
        };
        Ok(collection.get(&change.id)?.map(|document| raw(document.fields())))
    }
}

impl Begun {
    fn is_full(&self, most: usize, bytes: usize) -> bool {
        self.told.len() >= most || self.bytes > bytes || self.looked_at >= FEED_LOOKED_AT
    }

    fn end(self, next: Position, more: bool) -> FeedPage {
        FeedPage { changes: self.told, next: next.0, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &tempfile::TempDir, transactions: &[&[(&str, &str)]]) -> Store {
        let store = Store::open(dir.path()).unwrap();
        for (n, ids) in (1i64..).zip(transactions) {
            let write = |txn: &mut littoral::Transaction| {
                ids.iter().try_for_each(|(collection, id)| txn.set(collection, id, "n", n))
            };
            store.write(write).unwrap();
        }
        store
    }

    fn page(store: &Store, since: u64, most: usize, wanted: &Wanted) -> FeedPage {
        let since = Some(Position(since));
        let mut follower = Follower::new(store, since, wanted.clone(), Pages::Whole);
        follower.page(most, Duration::ZERO).unwrap()
    }

    fn ids(page: &FeedPage) -> Vec<&str> {
        page.changes
            .iter()
            .map(|told| match told {
                Told::Key { id, .. } => id.as_str(),
                Told::Change(change) | Told::Document { change, .. } => change.id.as_str(),
            })
            .collect()
    }

    #[test]
    fn pages_end_with_transactions_and_all_of_them_come_once() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (("x", "a"), ("x", "b"), ("x", "c"));
        let store = store(&dir, &[&[a], &[a, b, c], &[b], &[c, a]]);
        let mut seen = Vec::new();
        let mut since = 0;
        loop {
            let page = page(&store, since, 2, &Wanted::default());
            seen.push(ids(&page).join(""));
            since = page.next;
            if !page.more {
                break;
            }
        }
        // A transaction of three is not cut, nor given twice.
        assert_eq!(seen, ["aabc", "bac"]);
        assert_eq!(ids(&page(&store, since, 2, &Wanted::default())).len(), 0);
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_moves_the_position() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir, &[&[("x", "a1"), ("y", "a2")], &[("y", "b1")], &[("x", "b2")]]);
        let of_y = Wanted { collections: Some(["y".to_owned()].into()), ..Wanted::default() };
        assert_eq!(ids(&page(&store, 0, 9, &of_y)), ["a2", "b1"]);
        let of_b = Wanted { prefix: "b".to_owned(), ..Wanted::default() };
        assert_eq!(ids(&page(&store, 0, 9, &of_b)), ["b1", "b2"]);
        let none = Wanted { prefix: "z".to_owned(), ..Wanted::default() };
        let page = page(&store, 0, 9, &none);
        assert_eq!((page.changes.len(), page.next), (0, store.position().0));
    }

    #[test]
    fn parts_of_a_transaction_come_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir, &[&[("x", "a"), ("x", "b"), ("x", "c")]]);
        let keys = Wanted { give: Give::Keys, ..Wanted::default() };
        let mut follower = Follower::new(&store, Some(Position(0)), keys, Pages::Parts);
        let first = follower.page(2, Duration::ZERO).unwrap();
        assert_eq!((ids(&first), first.more), (vec!["a", "b"], true));
        // Who is cut off here gets the transaction again, whole.
        assert_eq!(first.changes[1].position(), first.changes[0].position());
        let again = page(&store, first.next, 9, &Wanted::default());
        assert_eq!(ids(&again), ["a", "b", "c"]);
        let rest = follower.page(2, Duration::ZERO).unwrap();
        assert_eq!((ids(&rest), rest.next), (vec!["c"], store.position().0));
    }

    #[test]
    fn values_are_told_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir, &[&[("x", "a")]]);
        store.set_change_values(Some(1 << 20)).unwrap();
        store.write(|txn| txn.set("x", "a", "n", 2)).unwrap();
        store.write(|txn| txn.delete("x", "a").map(drop)).unwrap();
        let wanted = Wanted { give: Give::Values, ..Wanted::default() };
        let told = serde_json::to_value(page(&store, 0, 9, &wanted)).unwrap();
        let values: Vec<_> =
            told["changes"].as_array().unwrap().iter().map(|of| of["values"].clone()).collect();
        let (gone, n) = (serde_json::Value::Null, |n: i64| serde_json::json!({"n": n}));
        let of = |before, after| serde_json::json!({"before": before, "after": after});
        assert_eq!(values, [gone.clone(), of(n(1), n(2)), of(n(2), gone)]);
    }

    #[test]
    fn documents_are_told_as_they_are_by_now() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir, &[&[("x", "a"), ("x", "b")]]);
        store.write(|txn| txn.delete("x", "b").map(drop)).unwrap();
        let wanted = Wanted { give: Give::Documents, ..Wanted::default() };
        let told = serde_json::to_value(page(&store, 0, 9, &wanted)).unwrap();
        let docs: Vec<_> =
            told["changes"].as_array().unwrap().iter().map(|of| &of["doc"]).collect();
        let gone = serde_json::Value::Null;
        assert_eq!(docs, [&serde_json::json!({"n": 1}), &gone, &gone]);
        assert!(told["changes"][1].as_object().unwrap().contains_key("doc"));
    }
}

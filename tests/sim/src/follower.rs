//! A follower of a store's change feed, as an app has one: it keeps a position, resumes there
//! whenever it likes, and reads again the documents that it is told of.
//!
//! What it holds the feed to:
//! 1. it gives what the log holds after the position, every document of every transaction and
//!    snapshot, in order, once, and nothing else; what it leaves out is not durable or not
//!    applied yet;
//! 2. whoever reads again what it was told, and nothing else, shows what the store shows;
//! 3. who fell behind the log is told so, and nobody else is;
//! 4. a position that was given is never ahead of a store that has been opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use littoral::id::{Position, Seq};
use littoral::store::Changes;
use littoral::store::disk::MemDisk;
use littoral::txn::{NetworkId, Scope, Signed};
use littoral::{ErrorKind, NodeId, Store};

use crate::ledger::{COLLECTIONS, UNREADABLE, shown_of};
use crate::oracle::Shown;
use crate::spy::{self, BARRIER, Logged, TXN};
use crate::{Checked, ensure};

type Documents = BTreeMap<(&'static str, String), Shown>;
/// Collection, document, who wrote it or served the snapshot, and the transaction's number.
type Told = (String, String, NodeId, Seq);

/// What a follower knows.
#[derive(Clone)]
pub(crate) struct Follower {
    position: Position,
    /// What it has read; `None` if it has to read everything anew.
    known: Option<Documents>,
    /// How many branches of forked origins there were: new names may change which of two values of
    /// one moment comes first, and nobody is told of that.
    branches: usize,
    /// What it was told of and has not read. It reads when it has heard everything: what is shown
    /// before that may be deferred, and be lost without a word.
    unread: BTreeSet<(&'static str, String)>,
    /// What is shown may have changed as a whole, so that it may be told to begin anew.
    cut: bool,
}

impl Follower {
    /// One that begins with what a store shows and writes from now on.
    pub(crate) fn new(store: &Store) -> Follower {
        Follower {
            position: store.changes(None).position(),
            known: None,
            branches: 0,
            unread: BTreeSet::new(),
            cut: false,
        }
    }

    /// A collection was held back or resumed, or may have been.
    pub(crate) fn may_be_cut(&mut self) {
        self.cut = true;
    }

    /// The app has dropped a collection, or may have: it has no use for what it knew.
    pub(crate) fn drop_all(&mut self) {
        self.known = None;
    }

    /// Resumes, hears at most so many changes, and stops again.
    pub(crate) fn follow(
        &mut self,
        store: &Store,
        disk: &MemDisk,
        network: NetworkId,
        most: usize,
    ) -> Checked<String> {
        ensure!(
            self.position <= store.changes(None).position(),
            "the change feed gave position {}, the store is at {}",
            self.position,
            store.position()
        );
        let mut changes = store.changes(Some(self.position));
        let mut told = Vec::new();
        let mut drained = false;
        while told.len() < most && !drained {
            match changes.next(Duration::ZERO) {
                Ok(Some(change)) => {
                    let node = change.dot.origin.node;
                    told.push((change.collection.to_string(), change.id, node, change.dot.seq));
                }
                Ok(None) => drained = true,
                Err(err) if err.kind() == ErrorKind::NotFound => {
                    return self.begin_anew(store, &mut changes);
                }
                Err(err) => return Err(format!("{UNREADABLE}the change feed failed: {err}")),
            }
        }
        let end = changes.position();
        // All that is shown is durable, too.
        let all = drained && end >= store.stats().map_err(unreadable)?.position;
        let until = if all { store.position() } else { end };
        self.check_told(disk, network, &told, until)?;
        self.position = end;
        for (collection, id, ..) in &told {
            let name = COLLECTIONS.into_iter().find(|name| name == collection);
            let name = name.ok_or_else(|| format!("the change feed told of {collection}"))?;
            self.unread.insert((name, id.clone()));
        }
        let branches = COLLECTIONS.iter().map(|name| store.branch_count(name)).sum();
        if std::mem::replace(&mut self.branches, branches) != branches {
            self.known = None;
        }
        if all {
            self.read(store)?;
            self.compare(store)?;
        }
        Ok(format!("{} changes{}", told.len(), if all { ", all there are" } else { "" }))
    }

    fn begin_anew(&mut self, store: &Store, changes: &mut Changes) -> Checked<String> {
        let start = store.stats().map_err(unreadable)?.log_start;
        ensure!(
            self.position < start || std::mem::take(&mut self.cut),
            "the change feed does not go on at {}, the log begins at {start}",
            self.position
        );
        changes.restart();
        self.position = changes.position();
        self.known = None;
        Ok("it begins anew".to_owned())
    }

    /// What was told is what the log holds from the position on, and up to `until` all of it.
    fn check_told(
        &self,
        disk: &MemDisk,
        network: NetworkId,
        told: &[Told],
        until: Position,
    ) -> Checked {
        let (records, _) = spy::read(disk, spy::start(disk));
        let (mut held, mut whole) = (Vec::new(), 0);
        for record in records.iter().filter(|record| record.position >= self.position.0) {
            held.extend(documents(record, network)?);
            if record.position < until.0 {
                whole = held.len();
            }
        }
        // A transaction may have been given in part: then the position is before it.
        let same = (whole..=held.len()).contains(&told.len()) && *told == held[..told.len()];
        ensure!(
            same,
            "from {} to {until} the change feed told {told:?}, the log holds {held:?}",
            self.position
        );
        Ok(())
    }

    fn read(&mut self, store: &Store) -> Checked {
        // What can't be read now is to be read later.
        while let Some((name, id)) = self.unread.first().cloned() {
            let document = store.collection(name).and_then(|collection| collection.get(&id));
            let document = document.map_err(unreadable)?;
            self.unread.pop_first();
            let Some(known) = &mut self.known else { continue };
            match document {
                Some(document) => known.insert((name, id), shown_of(&document)),
                None => known.remove(&(name, id)),
            };
        }
        Ok(())
    }

    /// It knows everything that the store shows.
    fn compare(&mut self, store: &Store) -> Checked {
        let shown = everything(store)?;
        if let Some(known) = &self.known {
            for (key, document) in &shown {
                let read = known.get(key);
                ensure!(
                    read == Some(document),
                    "a follower was not told that {key:?} shows {document:?}; it knows {read:?}"
                );
            }
            let gone = known.keys().find(|key| !shown.contains_key(key));
            ensure!(gone.is_none(), "a follower was not told that {gone:?} is gone");
        }
        self.known = Some(shown);
        Ok(())
    }
}

pub(crate) fn unreadable(err: littoral::Error) -> String {
    format!("{UNREADABLE}{err}")
}

fn everything(store: &Store) -> Checked<Documents> {
    let mut all = Documents::new();
    for name in COLLECTIONS {
        let scan = store.collection(name).and_then(|c| c.scan(&Default::default()));
        for document in scan.map_err(unreadable)? {
            let document = document.map_err(unreadable)?;
            all.insert((name, document.id().to_owned()), shown_of(&document));
        }
    }
    Ok(all)
}

/// What a follower is to be told of a record.
fn documents(record: &Logged, network: NetworkId) -> Checked<Vec<Told>> {
    let name = &record.collection;
    let tell = |id: String, node, seq| (name.clone(), id, node, seq);
    match record.kind {
        TXN => {
            let scope = Scope { network, collection: name };
            let signed = Signed::verify(record.bytes.clone(), scope);
            let txn = signed.map_err(|err| err.to_string())?.txn;
            let (node, seq) = (txn.dot.origin.node, txn.dot.seq);
            Ok(txn.docs.iter().map(|doc| tell(doc.id.clone(), node, seq)).collect())
        }
        BARRIER => {
            let Some(joined) = record.bytes.strip_prefix(b"joined") else { return Ok(Vec::new()) };
            let (node, mut rest) = joined.split_first_chunk().ok_or("a barrier without a node")?;
            let node = NodeId::from_bytes(*node);
            let mut told = Vec::new();
            for _ in 0..uint(&mut rest)? {
                let length = uint(&mut rest)?;
                let (id, after) = rest.split_at_checked(length).ok_or("a barrier that is cut")?;
                told.push(tell(String::from_utf8_lossy(id).into_owned(), node, 0));
                rest = after;
            }
            Ok(told)
        }
        _ => Ok(Vec::new()),
    }
}

/// A small number, as records hold it: one byte below 128.
fn uint(bytes: &mut &[u8]) -> Checked<usize> {
    match bytes.split_first() {
        Some((byte, rest)) if *byte < 0x80 => {
            *bytes = rest;
            Ok(usize::from(*byte))
        }
        _ => Err("a number that no barrier here has".to_owned()),
    }
}

//! Creating a bundle: what a receiver lacks, collection by collection.
//!
//! A collection goes as transactions if the log still holds all that the receiver lacks, else as
//! a snapshot. The floor is asked for after each page of the log, as a tail does (schedule S1),
//! and at the end of a collection its vector must have come together without a gap: a bundle is
//! complete, or it is not made.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::contents::{BundleContents, Tally};
use super::file::FileWriter;
use super::have::{Have, check_collections};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Position, Seq, Vector};
use crate::limits::{BUNDLE_FRAME_BYTES, MAX_SNAPSHOT_DOCUMENT_BYTES, MAX_SNAPSHOT_LIST};
use crate::store::{LogPage, LogPin, Store};
use crate::txn::bundle::{FileKind, Header, Part};
use crate::txn::snapshot::Span;

/// What goes into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleOptions {
    /// What its receiver holds; without it, nothing.
    pub since: Option<Have>,
    /// Only these collections; without it, all that the store wants.
    pub collections: Option<BTreeSet<String>>,
    /// Whether a collection may go as a snapshot where the log no longer reaches back. A snapshot
    /// has all documents, however little differs, and is taken in only by who trusts this node.
    pub snapshots: bool,
}

impl Default for BundleOptions {
    /// Everything, with snapshots where they are needed.
    fn default() -> BundleOptions {
        BundleOptions { since: None, collections: None, snapshots: true }
    }
}

impl Store {
    /// As [`Store::bundle_create`], into a stream of bytes.
    pub fn write_bundle(
        &self,
        out: &mut dyn Write,
        options: &BundleOptions,
    ) -> Result<BundleContents> {
        let names = self.bundle_names(options)?;
        let (kind, made_ms) = (FileKind::Bundle, self.inner.wall.now_ms());
        let header = Header { kind, network: self.network(), maker: self.node_id(), made_ms };
        let mut counted = Counted { out, bytes: 0 };
        let file = FileWriter::new(&mut counted, &header)?;
        let mut maker = Maker { store: self, file, tally: Tally::new(header, false) };
        for name in &names {
            let base = options.since.as_ref().map_or_else(Vector::new, |have| have.vector(name));
            maker.collection(name, &base, options.snapshots)?;
        }
        maker.part(&Part::End { collections: names.len() as u64 })?;
        let contents = maker.tally.finish();
        counted.out.flush().map_err(|err| Error::io("write the bundle", err))?;
        Ok(BundleContents { bytes: counted.bytes, ..contents })
    }

    /// The collections that go into it: those that both sides want, and that were asked for.
    fn bundle_names(&self, options: &BundleOptions) -> Result<Vec<String>> {
        let since = options.since.as_ref();
        if let Some(have) = since {
            self.check_network(have.network, "what the bundle is to be made for")?;
        }
        for name in options.collections.iter().flatten() {
            self.existing_collection(name)?;
        }
        let given = match since.and_then(|have| have.node) {
            Some(receiver) => self.wanted(&receiver),
            None => self.wanted_by_default()?,
        };
        let theirs = since.and_then(|have| have.wanted.as_ref());
        let sets = [given.as_ref(), theirs, options.collections.as_ref()];
        let goes = |name: &String| sets.iter().flatten().all(|set| set.contains(name));
        let names: Vec<String> = self.collections().into_iter().filter(goes).collect();
        check_collections(names.len())?;
        Ok(names)
    }
}

/// A bundle that is being written.
struct Maker<'a, 'f> {
    store: &'a Store,
    file: FileWriter<'f>,
    tally: Tally,
}

impl Maker<'_, '_> {
    fn part(&mut self, part: &Part) -> Result<()> {
        self.tally.note(part)?;
        self.file.part(part)
    }

    fn collection(&mut self, name: &str, base: &Vector, snapshots: bool) -> Result<()> {
        let store = self.store;
        if store.doubts(name, base)? {
            return Err(doubted(name));
        }
        // Where a history has forked, the receiver finds out from what this store's log has of it.
        let floor = store.floor(name)?;
        let differ = store.contradictions(name, base)?;
        let base = &base
            .iter()
            .filter_map(|(origin, head)| match differ.iter().any(|dot| dot.origin == *origin) {
                true => floor.head(origin).map(|head| (*origin, head)),
                false => Some((*origin, *head)),
            })
            .collect::<Vector>();
        // Before the pages are read: all of it is in them, or in the view.
        let (to, _, end) = store.summary(name)?;
        match self.reach(name, base)? {
            Some((start, _pin)) => self.transactions(name, base, &to, start..end)?,
            None if snapshots => self.snapshot(name, base)?,
            None => return Err(out_of_reach(name)),
        }
        self.part(&Part::EndOfCollection { to })
    }

    /// From where the log holds all that `base` lacks, if it does; it is kept from there on.
    fn reach(&self, name: &str, base: &Vector) -> Result<Option<(Position, LogPin)>> {
        let start = self.store.log_start(name, base)?;
        let pin = match self.store.pin_log(name, start, "a bundle is being written") {
            Ok(pin) => pin,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let covered = Reached::new(base).covers(&*self.store.floor(name)?);
        Ok(covered.then_some((start, pin)))
    }

    fn transactions(
        &mut self,
        name: &str,
        base: &Vector,
        to: &Vector,
        span: std::ops::Range<Position>,
    ) -> Result<()> {
        let (collection, branches) = (name.to_owned(), self.store.branches(name));
        self.part(&Part::Transactions { collection, branches, base: base.clone() })?;
        let (mut reached, mut at) = (Reached::new(base), span.start);
        let (mut frame, mut bytes) = (Vec::new(), 0);
        while at < span.end {
            let LogPage { records, next } = self.store.log_read(name, at, BUNDLE_FRAME_BYTES)?;
            if !reached.covers(&*self.store.floor(name)?) {
                return Err(pruned(name));
            }
            if records.is_empty() {
                break;
            }
            at = next;
            for (dot, txn, end) in records {
                if end <= span.end && reached.lacks(&dot) {
                    reached.advance(&dot).ok_or_else(|| pruned(name))?;
                    if bytes > 0 && bytes + txn.len() > BUNDLE_FRAME_BYTES {
                        self.part(&Part::Txns(std::mem::take(&mut frame)))?;
                        bytes = 0;
                    }
                    bytes += txn.len();
                    frame.push(txn);
                }
            }
        }
        if !frame.is_empty() {
            self.part(&Part::Txns(frame))?;
        }
        match reached.covers(to) {
            true => Ok(()),
            false => Err(pruned(name)),
        }
    }

    fn snapshot(&mut self, name: &str, base: &Vector) -> Result<()> {
        let view = self.store.view_for(name, base)?;
        self.part(&Part::Snapshot { collection: name.to_owned(), head: view.head().to_vec() })?;
        let mut span = Some(Span::default());
        while let Some(rest) = span {
            let (mut documents, next) = view.documents(&rest, BUNDLE_FRAME_BYTES)?;
            if let Some((_, row)) =
                documents.iter().find(|(_, row)| row.len() > MAX_SNAPSHOT_DOCUMENT_BYTES)
            {
                return Err(too_large(name, row.len()));
            }
            while !documents.is_empty() {
                let later = documents.split_off(documents.len().min(MAX_SNAPSHOT_LIST));
                self.part(&Part::Documents(std::mem::replace(&mut documents, later)))?;
            }
            span = next.map(|start| Span { start, end: None });
        }
        Ok(())
    }
}

/// What who reads the bundle up to here holds at least.
struct Reached(BTreeMap<Origin, Seq>);

impl Reached {
    fn new(base: &Vector) -> Reached {
        Reached(base.iter().map(|(origin, head)| (*origin, head.seq)).collect())
    }

    fn seq(&self, origin: &Origin) -> Seq {
        self.0.get(origin).copied().unwrap_or(0)
    }

    fn covers(&self, vector: &Vector) -> bool {
        vector.iter().all(|(origin, head)| self.seq(origin) >= head.seq)
    }

    fn lacks(&self, dot: &Dot) -> bool {
        self.seq(&dot.origin) < dot.seq
    }

    /// Goes on by one transaction; `None` if those before it are missing.
    fn advance(&mut self, dot: &Dot) -> Option<()> {
        (dot.seq == self.seq(&dot.origin) + 1).then(|| {
            self.0.insert(dot.origin, dot.seq);
        })
    }
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn out_of_reach(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "the log no longer holds all transactions of '{name}' that the receiver lacks: let the bundle carry a snapshot of it, make it for a receiver that holds more, or leave '{name}' out"
        ),
    )
}

fn pruned(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "while the bundle was written the log let go of transactions of '{name}' that belong into it; make it again"
        ),
    )
}

fn doubted(name: &str) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!(
            "the receiver says that it holds transactions of this node in '{name}' that never left this store: it was copied or restored from a backup, or the file is wrong. Apply a bundle that the receiver makes first, so that it can be told"
        ),
    )
}

fn too_large(name: &str, bytes: usize) -> Error {
    Error::limit(format!(
        "a document of '{name}' has {bytes} bytes; a snapshot carries at most {MAX_SNAPSHOT_DOCUMENT_BYTES}"
    ))
}

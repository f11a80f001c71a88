//! Transactions that come into a store: from peers, and from a log.
//!
//! The bytes of an input are transactions of two authors. Their names, numbers and hashes are
//! made right and they are signed, so that what is tried is what they do.

use std::collections::BTreeMap;
use std::sync::Arc;

use littoral::clock::Timestamp;
use littoral::crdt::{Addition, Op};
use littoral::id::{Dot, Hash, Origin, Position, Seq};
use littoral::store::log::{Known, Log, NewRecord, RecordKind};
use littoral::txn::{self, Dep, Signed, Txn};
use littoral::{ErrorKind, Store};

use super::input::Input;
use super::ram::RamDisk;
use super::stores::{self, NOTES, key, origin, scope};

/// What two authors have written so far.
#[derive(Default)]
struct Authors {
    written: [Vec<Hash>; 2],
}

impl Authors {
    /// A transaction with these bytes, as the next of one of them.
    fn sign(&mut self, author: usize, bytes: &[u8]) -> Option<Signed> {
        let mut txn = txn::decode(bytes).ok()?;
        let seq = self.written[author].len() as Seq + 1;
        txn.dot = Dot { origin: origin(author as u8), seq };
        txn.prev = self.written[author].last().copied().unwrap_or_default();
        self.fit(author, seq, &mut txn);
        let signed = Signed::sign(txn, scope(), &key(author as u8)).ok()?;
        self.written[author].push(signed.hash);
        Some(signed)
    }

    /// Names only what is there.
    fn fit(&self, author: usize, own: Seq, txn: &mut Txn) {
        let other = 1 - author;
        let newest = self.written[other].len() as Seq;
        let seen = txn.deps.first().map_or(newest, |dep| dep.seq.min(newest));
        let seen = if txn.deps.is_empty() { 0 } else { seen.max(1).min(newest) };
        txn.deps.clear();
        if seen > 0 {
            let hash = self.written[other][seen as usize - 1].short();
            txn.deps.push(Dep { origin: origin(other as u8), seq: seen, hash });
        }
        let place = |dot: Dot| {
            let of = usize::from(dot.origin.node.as_bytes()[0] & 1);
            let last = if of == author { own - 1 } else { newest };
            (last > 0).then(|| Dot { origin: origin(of as u8), seq: (dot.seq % last).max(1) })
        };
        for doc in &mut txn.docs {
            doc.ops.retain_mut(|op| match op {
                Op::Put { .. } => true,
                Op::Clear { upto, .. } => {
                    let dots: BTreeMap<Origin, Seq> = upto
                        .iter()
                        .filter_map(|dot| place(*dot))
                        .map(|d| (d.origin, d.seq))
                        .collect();
                    *upto = dots.into_iter().map(|(origin, seq)| Dot { origin, seq }).collect();
                    true
                }
                Op::Add { birth, after, .. } => {
                    *birth = (*birth).clamp(1, own);
                    let before = after.map_or(own - 1, |after| after.seq);
                    let time = after.map_or_else(Timestamp::default, |after| after.time);
                    *after = (*birth < own)
                        .then(|| Addition { seq: before.clamp(*birth, own - 1), time });
                    true
                }
                Op::Continue { .. } => false,
                Op::Settle { row, seq, .. } => match place(*row) {
                    Some(dot) => {
                        let last =
                            if dot.origin == origin(author as u8) { own - 1 } else { newest };
                        (*row, *seq) = (dot, (*seq).clamp(dot.seq, last));
                        true
                    }
                    None => false,
                },
            });
        }
        txn.docs.retain(|doc| !doc.ops.is_empty());
    }
}

/// Transactions, each with the number of its author and its length before it.
///
/// A store takes them one by one, another all at once and in the order of the first one's log:
/// both hold the same, and so do those that are opened again.
pub fn apply(data: &[u8]) {
    let signed = transactions(data);
    if signed.is_empty() {
        return;
    }
    let disk = RamDisk::default();
    let store = stores::open(2, &disk).expect("a new store opens");
    let mut taken = Vec::new();
    for signed in &signed {
        match store.apply_remote(NOTES, vec![signed.bytes.clone()]) {
            Ok(_) => taken.push(signed.bytes.clone()),
            Err(err) => {
                let refused = [ErrorKind::MissingDependency, ErrorKind::LimitExceeded];
                assert!(refused.contains(&err.kind()), "{err}");
            }
        }
    }
    store.check_rows().expect("all that is kept beside the rows fits them");
    let other = stores::new(3);
    other.apply_remote(NOTES, taken).expect("another store took them");
    other.check_rows().expect("all that is kept beside the rows fits them");
    assert_eq!(other.held(NOTES), store.held(NOTES), "the state is a function of the vector");
    write(&store);
    let held = store.held(NOTES);
    drop(store);
    let store = stores::open(2, &disk).expect("it was closed in order");
    assert_eq!(store.held(NOTES), held);
}

/// What honest people then do.
fn write(store: &Store) {
    let notes = store.collection(NOTES).expect("a legal name");
    let scan = notes.scan(&Default::default()).expect("a scan");
    let documents: Vec<_> = scan.take(3).map(|document| document.expect("a document")).collect();
    notes.conflicts().expect("conflicts");
    for document in documents {
        let (id, version) = (document.id().to_owned(), document.version());
        let _ = notes.put(&id, (document.fields(), &version));
        let _ = notes.increment(&id, "n", 1);
        let _ = notes.add(&id, "tags", "x");
        let _ = notes.delete(&id);
    }
    store.check_rows().expect("also after writing");
}

fn transactions(data: &[u8]) -> Vec<Signed> {
    let (mut input, mut authors, mut found) = (Input(data), Authors::default(), Vec::new());
    while !input.is_empty() && found.len() < 16 {
        let author = usize::from(input.byte() & 1);
        found.extend(authors.sign(author, input.chunk()));
    }
    found
}

/// Records of a log that a store finds when it is opened: the kind, a choice of collections, and
/// the contents with their length. Kind 0x41 is a transaction as [`apply`] makes them.
pub fn recover(data: &[u8]) {
    let disk = RamDisk::default();
    let known = Known { start: Position(0), applied: Position(0), batch: None };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), known, 1 << 16).expect("a new log");
    let (mut input, mut authors, mut count) = (Input(data), Authors::default(), 0);
    while !input.is_empty() && count < 32 {
        let (kind, collection) = (input.byte(), input.byte());
        let mut bytes = input.chunk().to_vec();
        if kind & 0x40 != 0 {
            let Some(signed) = authors.sign(usize::from(collection & 1), &bytes) else { continue };
            bytes = signed.bytes;
        }
        let kind = [RecordKind::Txn, RecordKind::Barrier, RecordKind::Mark]
            [usize::from(kind.wrapping_sub(1) & 3) % 3];
        let collection = match collection >> 6 {
            0 | 1 => NOTES,
            2 => "tasks",
            _ => "",
        };
        log.append(&[NewRecord { kind, collection, bytes: &bytes }]).expect("within the limits");
        count += 1;
    }
    log.close().expect("the disk is well");
    match stores::open(2, &disk) {
        Ok(store) => {
            store.check_rows().expect("all that is kept beside the rows fits them");
            write(&store);
            let held = store.held(NOTES);
            drop(store);
            assert_eq!(stores::open(2, &disk).expect("it opened before").held(NOTES), held);
        }
        Err(err) => {
            let refused = [ErrorKind::Corrupt, ErrorKind::FormatTooNew, ErrorKind::Forked];
            assert!(refused.contains(&err.kind()), "{:?} {err}", err.kind());
        }
    }
}

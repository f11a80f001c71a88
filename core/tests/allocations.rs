//! What the hot paths take from the allocator: a write of one field, a read of a document, a
//! batch of new documents, a peer's batch. Counts are the same in every run, where times are
//! not: who adds more than a tenth to one of them hears of it here.
//!
//! If a count went down, lower the figure, so that the gain stays.

use std::alloc::System;
use std::sync::Arc;

use littoral::clock::WallClock;
use littoral::id::Vector;
use littoral::store::disk::MemDisk;
use littoral::txn::NodeKey;
use littoral::{Field, Fields, Options, ScanRange, Store};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: u64 = 100;

struct Still;

impl WallClock for Still {
    fn now_ms(&self) -> u64 {
        1_795_276_800_000
    }
}

fn open(seed: u8) -> Store {
    let options = Options::new().wall_clock(Arc::new(Still)).key(NodeKey::from_seed([seed; 32]));
    options.open_on(Arc::new(MemDisk::new())).unwrap()
}

fn note(n: u64) -> (String, Fields) {
    let tags = [n % 7, 10 + n % 11, 30 + n % 13].map(|tag| format!("tag-{tag:02}"));
    let fields = [
        ("title", Field::from(format!("a title of {n}"))),
        ("body", Field::from("of some length, so that it does not look like a number".to_owned())),
        ("done", Field::from(n.is_multiple_of(2))),
        ("priority", Field::from(n)),
        ("tags", Field::set(tags.iter().map(String::as_str))),
    ];
    let fields = fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect();
    (format!("note-{n:08}"), fields)
}

fn put(store: &Store, first: u64) {
    let batch: Vec<_> = (first..first + BATCH).map(note).collect();
    store.write(|txn| batch.iter().try_for_each(|(id, f)| txn.put("notes", id, f))).unwrap();
}

/// What `work` takes from the allocator, for each of `times`.
fn allocations(times: u64, work: impl FnOnce()) -> f64 {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / times as f64
}

#[track_caller]
fn at_most(what: &str, known: f64, now: f64) {
    println!("{what}: {now:.1}, known {known}");
    assert!(
        now <= known * 1.1,
        "{what}: {now:.1} allocations, over a tenth more than the {known} known: see what was added to this path"
    );
}

/// One test: the allocator is that of the whole process.
#[test]
fn hot_paths_take_no_more_than_they_did() {
    let store = open(1);
    let notes = store.collection("notes").unwrap();
    (0..10).for_each(|n| put(&store, n * BATCH));
    let ids: Vec<String> = (0..BATCH).map(|n| note(n * 7).0).collect();

    let batch: Vec<_> = (1000..1000 + BATCH).map(note).collect();
    let new = allocations(BATCH, || {
        let put = |txn: &mut littoral::Transaction| {
            batch.iter().try_for_each(|(id, fields)| txn.put("notes", id, fields))
        };
        store.write(put).unwrap();
    });

    let set = allocations(BATCH, || {
        for (n, id) in ids.iter().enumerate() {
            notes.set(id, "priority", 1000 + n as u64).unwrap();
        }
    });

    drop(notes.get(&ids[0]));
    let get = allocations(BATCH, || ids.iter().for_each(|id| drop(notes.get(id).unwrap())));

    let scan = allocations(notes.len(), || {
        notes.scan(&ScanRange::default()).unwrap().for_each(|note| drop(note.unwrap()));
    });

    let peer = open(2);
    let start = store.log_start("notes", &Vector::new()).unwrap();
    let page = store.log_read("notes", start, 1 << 20).unwrap();
    let mut txns: Vec<Vec<u8>> = page.records.into_iter().map(|record| record.1).collect();
    let second = txns.split_off(1).into_iter().take(1).collect();
    peer.apply_remote("notes", txns).unwrap();
    let apply =
        allocations(BATCH, || assert_eq!(peer.apply_remote("notes", second).unwrap().new, 1));

    at_most("a new document of a batch", 34.0, new);
    at_most("a durable write of one field", 399.6, set);
    at_most("a read of a document", 6.0, get);
    at_most("a document of a scan", 4.0, scan);
    at_most("a document of a peer's batch", 42.9, apply);
}

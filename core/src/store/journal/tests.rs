//! What the journal promises, against a disk that loses power, an earlier version, and damage.

use std::sync::Arc;

use redb::ReadableTableMetadata;

use super::tally::TALLY;
use super::*;
use crate::limits::MAX_EVENT_TEXT_BYTES;
use crate::store::Options;
use crate::store::disk::{Disk, MemDisk, RedbFile};
use crate::txn::NodeKey;

fn open(disk: &MemDisk) -> Store {
    let options = Options::new().key(NodeKey::from_seed([1; 32]));
    options.open_on(Arc::new(disk.clone())).unwrap()
}

fn kinds(store: &Store) -> Vec<EventKind> {
    store.events(0, &[], 1000).unwrap().events.into_iter().map(|event| event.kind).collect()
}

/// Makes it a store of a version that knew none of the journal's tables.
fn forget_tables(disk: &MemDisk) {
    let file = RedbFile::new(disk.open("state.redb", false).unwrap(), Default::default());
    let database = redb::Database::builder().create_with_backend(file).unwrap();
    let txn = database.begin_write().unwrap();
    for definition in tables::LATER {
        assert!(txn.delete_table(definition).unwrap());
    }
    txn.commit().unwrap();
    drop(database);
}

fn wrong(store: &Store) -> Vec<String> {
    let mut wrong = Vec::new();
    let read = store.inner.database().unwrap().begin_read().unwrap();
    check(&read, &mut wrong).unwrap();
    wrong
}

#[test]
fn the_oldest_go_when_there_are_too_many_or_too_large_ones() {
    let store = open(&MemDisk::new());
    let small = |n: u64| NewEvent::new(EventKind::DiskOk).counting(n);
    let events: Vec<NewEvent> = (0..=MAX_EVENTS).map(small).collect();
    store.inner.note_events(&events).unwrap();
    let read = store.inner.database().unwrap().begin_read().unwrap();
    let rows = read.open_table(tables::EVENTS).unwrap().len().unwrap();
    assert_eq!(rows, MAX_EVENTS + 1, "and the row about all of them");
    let page = store.events(0, &[], 2).unwrap();
    assert_eq!(page.events[0].count, Some(1), "the oldest is gone");
    assert!(page.more && !page.missed, "who asks for the oldest misses none");
    assert_eq!(wrong(&store), [] as [&str; 0]);
    // Who had read as far as the one that went has missed nothing; who had not, has.
    let first = page.events[0].number;
    assert!(!store.events(first - 1, &[], 1).unwrap().missed);
    assert!(store.events(first - 2, &[], 1).unwrap().missed);
    let long = NewEvent::new(EventKind::LinkDown).saying(&"x".repeat(10_000));
    let large = MAX_EVENTS_BYTES / MAX_EVENT_TEXT_BYTES as u64;
    store.inner.note_events(&vec![long; large as usize]).unwrap();
    let page = store.events(0, &[], 1000).unwrap();
    assert!(page.events.iter().all(|event| event.what.len() == MAX_EVENT_TEXT_BYTES));
    assert!(page.missed || page.more);
    let read = store.inner.database().unwrap().begin_read().unwrap();
    assert!(
        Tally::read(&read.open_table(tables::EVENTS).unwrap()).unwrap().bytes <= MAX_EVENTS_BYTES
    );
    assert_eq!(wrong(&store), [] as [&str; 0]);
}

#[test]
fn pages_follow_each_other_and_pass_over_other_kinds() {
    let store = open(&MemDisk::new());
    let of = |kind, n| NewEvent::new(kind).counting(n);
    for n in 0..10 {
        let kind = if n % 3 == 0 { EventKind::LinkUp } else { EventKind::LinkDown };
        store.note_event(of(kind, n)).unwrap();
    }
    let (mut at, mut seen) = (0, Vec::new());
    loop {
        let page = store.events(at, &[EventKind::LinkUp], 2).unwrap();
        seen.extend(page.events.iter().filter_map(|event| event.count));
        at = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [0, 3, 6, 9]);
    assert_eq!(at, store.last_event().unwrap());
    let page = store.events(at, &[], 5).unwrap();
    assert_eq!((page.events.len(), page.next), (0, at));
    // Who comes from after the end, as after a restore, goes on from the end.
    assert_eq!(store.events(u64::MAX, &[], 5).unwrap().next, at);
    assert_eq!(store.events(at + 100, &[], 5).unwrap().next, at);
}

#[test]
fn what_is_noted_with_a_commit_is_there_exactly_if_the_commit_is() {
    let disk = MemDisk::new();
    let store = open(&disk);
    store.collection("notes").unwrap().set("n", "x", 1i64).unwrap();
    store.checkpoint("first").unwrap();
    store.leave("notes").unwrap();
    // The first may grow the file, and is durable then.
    for kind in [EventKind::LinkUp, EventKind::LinkDown] {
        store.note_event(NewEvent::new(kind)).unwrap();
    }
    let all = kinds(&store);
    assert_eq!(all[..2], [EventKind::CheckpointMade, EventKind::Left]);
    assert_eq!(all[2..], [EventKind::LinkUp, EventKind::LinkDown]);
    let newest = store.last_event().unwrap();
    // The last one cost no sync, and so a power cut may take it. Its number is not given again.
    let again = open(&disk.power_cut_all_lost());
    let left = kinds(&again);
    assert!(left.len() >= 2 && left.len() < 4 && all.starts_with(&left), "{left:?}");
    again.note_event(NewEvent::new(EventKind::LinkDown)).unwrap();
    assert!(again.last_event().unwrap() > newest);
    // A store that is closed has all of them.
    let closed = disk.clone();
    store.close().unwrap();
    assert_eq!(kinds(&open(&closed)).last(), Some(&EventKind::LinkDown));
}

#[test]
fn a_node_that_did_not_say_that_it_stopped_has_crashed() {
    let disk = MemDisk::new();
    let store = open(&disk);
    assert!(!store.note_started("1.0").unwrap());
    let cut = disk.power_cut_all_lost();
    store.note_stopped().unwrap();
    store.close().unwrap();
    let after = open(&disk);
    assert!(!after.note_started("1.1").unwrap());
    let crashed = open(&cut);
    assert!(crashed.note_started("1.1").unwrap());
    assert_eq!(kinds(&crashed), [EventKind::Started, EventKind::Crashed]);
    assert_eq!(kinds(&after), [EventKind::Started, EventKind::Stopped, EventKind::Started]);
}

#[test]
fn a_store_of_an_earlier_version_gets_the_table_when_it_is_opened() {
    let disk = MemDisk::new();
    let store = open(&disk);
    store.collection("notes").unwrap().set("n", "x", 1i64).unwrap();
    store.close().unwrap();
    forget_tables(&disk);
    // Who only looks makes none.
    let options = Options::new().key(NodeKey::from_seed([1; 32]));
    let looked = options.verify_on(Arc::new(disk.clone()), &Default::default()).unwrap();
    assert!(looked.is_sound(), "{looked:?}");
    let store = open(&disk);
    assert_eq!(store.last_event().unwrap(), 0);
    store.space().unwrap();
    store.note_event(NewEvent::new(EventKind::DiskLow)).unwrap();
    assert_eq!(kinds(&store), [EventKind::DiskLow]);
    assert!(store.verify(&Default::default()).unwrap().is_sound());
}

#[test]
fn what_a_newer_version_noted_is_passed_on_as_unknown() {
    let event = Event { kind: EventKind::Unknown(200), ..sample() };
    let read = Event::decode(7, &event.encode()).unwrap();
    assert_eq!((read.kind, read.kind.word()), (EventKind::Unknown(200), "unknown"));
    for kind in EventKind::all() {
        let read = Event::decode(7, &Event { kind, ..sample() }.encode()).unwrap();
        assert_eq!(read.kind, kind);
        assert_eq!(kind.word().parse::<EventKind>().unwrap(), kind);
    }
    assert!("unknown".parse::<EventKind>().is_err());
}

#[test]
fn damage_of_the_table_is_found() {
    let store = open(&MemDisk::new());
    store.note_event(NewEvent::new(EventKind::DiskLow)).unwrap();
    for (key, row) in [
        (&9u64.to_be_bytes()[..], sample().encode()),
        (TALLY, vec![0; 23]),
        (TALLY, Tally { bytes: 1, ..Tally::default() }.encode()),
        (&u64::MAX.to_be_bytes()[..], vec![9]),
    ] {
        let txn = store.inner.database().unwrap().begin_write().unwrap();
        tables::set(&mut txn.open_table(tables::EVENTS).unwrap(), key, &row).unwrap();
        txn.commit().unwrap();
        let verified = store.verify(&Default::default()).unwrap();
        assert!(verified.findings.iter().any(|found| found.code == "table"), "{verified:?}");
    }
}

#[test]
fn conflicts_that_were_there_before_the_log_are_open_in_it() {
    let disk = MemDisk::new();
    let (store, other) = (open(&disk), Options::new().key(NodeKey::from_seed([2; 32])));
    let other = other.open_on(Arc::new(MemDisk::new())).unwrap();
    for (store, value) in [(&store, 1i64), (&other, 2)] {
        store.collection("notes").unwrap().set("n", "x", value).unwrap();
    }
    let start = other.log_start("notes", &crate::id::Vector::new()).unwrap();
    let page = other.log_read("notes", start, 1 << 20).unwrap();
    let txns = page.records.into_iter().map(|record| record.1).collect();
    store.apply_remote("notes", txns).unwrap();
    assert_eq!(store.conflicts().unwrap().len(), 1);
    store.close().unwrap();
    forget_tables(&disk);
    let looked = Options::new().key(NodeKey::from_seed([1; 32]));
    assert!(looked.verify_on(Arc::new(disk.clone()), &Default::default()).unwrap().is_sound());
    let store = open(&disk);
    let entry = store.logged_conflict(1).unwrap();
    assert_eq!((entry.by, entry.candidates.len()), (ConflictCause::Unknown, 2));
    assert!(store.verify(&Default::default()).unwrap().is_sound());
    store.collection("notes").unwrap().set("n", "x", 3i64).unwrap();
    assert!(store.logged_conflict(1).unwrap().ended.is_some());
}

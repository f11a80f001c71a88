//! Writes under a key: done once, however often they are asked for, and whatever happens between.

mod common;

use common::{NOTES, Replica, join, pull};
use littoral::limits::*;
use littoral::store::WrittenOnce;
use littoral::{ErrorKind, Field, Result, Store, Transaction};

fn count(store: &Store, key: &str) -> Result<WrittenOnce> {
    store.write_once(key, b"one more", |txn| {
        txn.increment(NOTES, "n", "views", 1)?;
        txn.increment("other", "m", "views", 1)
    })
}

/// How often it was counted, in both collections alike.
fn counted(store: &Store) -> i64 {
    let of = |collection: &str, id: &str| {
        let field = store.collection(collection).unwrap().get_field(id, "views").unwrap();
        field.map_or(0, |field| field.as_counter().unwrap())
    };
    assert_eq!(of(NOTES, "n"), of("other", "m"), "whole or not at all");
    of(NOTES, "n")
}

#[test]
fn the_same_key_writes_once_and_gives_the_same_answer() {
    let a = Replica::new(1);
    let first = count(&a.store, "k1").unwrap();
    assert!(!first.repeated);
    assert_eq!(first.position, a.store.position());
    a.notes().set("n", "x", 1i64).unwrap();
    let again = count(&a.store, "k1").unwrap();
    assert_eq!(again, WrittenOnce { repeated: true, ..first });
    assert_eq!(counted(&a.store), 1);
    assert!(!count(&a.store, "k2").unwrap().repeated);
    assert_eq!(counted(&a.store), 2);
    // Changes from there on are those that came after.
    let mut changes = a.store.changes(Some(first.position));
    let next = changes.next(Default::default()).unwrap().unwrap();
    assert_eq!((next.id.as_str(), next.dot.seq), ("n", 2));
    assert!(a.store.verify(&Default::default()).unwrap().is_sound());
}

#[test]
fn another_write_under_a_key_is_refused_and_a_failed_one_leaves_none() {
    let a = Replica::new(1);
    count(&a.store, "k").unwrap();
    let refused = a.store.write_once("k", b"another", |_| panic!("it is not run")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(refused.message().contains("another write"), "{refused}");
    let failing = |txn: &mut Transaction| {
        txn.increment(NOTES, "n", "views", 1)?;
        txn.set(NOTES, "", "x", 1i64)
    };
    assert!(a.store.write_once("f", b"one more", failing).is_err());
    assert!(!count(&a.store, "f").unwrap().repeated);
    assert_eq!(counted(&a.store), 2);
    // What writes nothing is done as well.
    let nothing = |_: &mut Transaction| Ok(());
    let first = a.store.write_once("nothing", b"", nothing).unwrap();
    a.notes().set("n", "x", 1i64).unwrap();
    let again = a.store.write_once("nothing", b"", nothing).unwrap();
    assert_eq!((again.repeated, again.position), (true, first.position));
}

#[test]
fn keys_have_a_length() {
    let a = Replica::new(1);
    let most = "k".repeat(MAX_REQUEST_KEY_BYTES);
    count(&a.store, &most).unwrap();
    let refused = count(&a.store, &format!("{most}k")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    assert_eq!(count(&a.store, "").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(counted(&a.store), 1);
}

/// The disk dies after so many steps, over and over; whoever asks again gets it once.
#[test]
fn a_disk_that_dies_at_any_step_and_a_retry_come_to_one_write() {
    for steps in 0.. {
        let a = Replica::new(1);
        a.notes().set("n", "x", 1i64).unwrap();
        a.disk.dead_after(steps);
        let first = count(&a.store, "k");
        for fate in [None, Some(steps), Some(steps + 1000)] {
            let again = a.after_power_cut(fate);
            let before = counted(&again.store);
            if let Ok(first) = &first {
                assert_eq!((before, first.repeated), (1, false), "what was acknowledged is there");
            }
            let retried = count(&again.store, "k").unwrap();
            assert_eq!(counted(&again.store), 1, "after {steps} steps, {fate:?}");
            assert_eq!(retried.repeated, before == 1);
            if let Ok(first) = &first {
                assert_eq!(retried.position, first.position);
            }
            // And once more, also when something else was written meanwhile under the same number.
            again.notes().set("n", "x", 2i64).unwrap();
            let last = again.after_power_cut(Some(steps));
            assert_eq!(count(&last.store, "k").unwrap().position, retried.position);
            assert_eq!(counted(&last.store), 1);
            assert!(last.store.verify(&Default::default()).unwrap().is_sound());
        }
        if first.is_ok() {
            assert!(steps > 5, "it died at some steps");
            return;
        }
    }
}

/// A lost write's number is given to another: that is not taken for it.
#[test]
fn a_number_that_another_write_got_is_not_taken_for_the_lost_one() {
    let a = Replica::new(1);
    a.notes().set("n", "x", 1i64).unwrap();
    let mut lost = None;
    for steps in 0.. {
        let b = Replica::on(1, a.disk.power_cut_all_lost()).unwrap();
        b.disk.dead_after(steps);
        if count(&b.store, "k").is_ok() {
            break;
        }
        let again = b.after_power_cut(None);
        if counted(&again.store) == 0 {
            lost = Some(again);
        }
    }
    // The last step at which it was lost: the key is there, and the write is not.
    let lost = lost.unwrap();
    let other = |txn: &mut Transaction| txn.set(NOTES, "n", "x", 7i64);
    lost.store.write(other).unwrap();
    assert!(!count(&lost.store, "k").unwrap().repeated);
    assert_eq!(counted(&lost.store), 1);
    assert_eq!(lost.notes().get_field("n", "x").unwrap(), Some(Field::from(7i64)));
}

#[test]
fn two_at_once_under_one_key_are_one() {
    let a = Replica::new(1);
    let repeated: Vec<bool> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..8).map(|_| scope.spawn(|| count(&a.store, "k").unwrap().repeated)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(repeated.iter().filter(|repeated| !**repeated).count(), 1);
    assert_eq!(counted(&a.store), 1);
}

#[test]
fn keys_are_forgotten_after_a_week() {
    let a = Replica::new(1);
    count(&a.store, "old").unwrap();
    a.wall.set(common::NOON + REQUEST_AGE_MS);
    assert!(count(&a.store, "old").unwrap().repeated);
    a.wall.set(common::NOON + REQUEST_AGE_MS + 1);
    assert!(!count(&a.store, "old").unwrap().repeated);
    assert_eq!(counted(&a.store), 2);
    assert!(a.store.verify(&Default::default()).unwrap().is_sound());
}

#[test]
fn a_collection_that_was_left_or_joined_changes_nothing_about_its_writes() {
    let (a, b) = (Replica::new(1), Replica::new(2));
    let first = count(&a.store, "k").unwrap();
    pull(&b, &a);
    a.store.leave(NOTES).unwrap();
    assert_eq!(count(&a.store, "k").unwrap().position, first.position);
    join(&a.store, &b.store, NOTES);
    assert!(count(&a.store, "k").unwrap().repeated);
    assert_eq!(counted(&a.store), 1);
}

//! Checkpoints that the store makes by itself: before what, and which of them stay.

mod common;

use common::{NOON, NOTES, Replica, fields, join, snapshot};
use littoral::store::{ApplyOptions, AutomaticCheckpoints, BundleOptions, RevertScope};
use littoral::{ErrorKind, Field};

const DAY: u64 = 24 * 3600 * 1000;

fn labels(a: &Replica) -> Vec<String> {
    a.store.checkpoints().into_iter().map(|known| known.label).collect()
}

fn keep(a: &Replica, keep: u32) {
    a.store.set_automatic_checkpoints(AutomaticCheckpoints { keep, age_ms: 3 * DAY }).unwrap();
}

fn bundle(source: &Replica) -> Vec<u8> {
    let mut out = Vec::new();
    source.store.write_bundle(&mut out, &BundleOptions::default()).unwrap();
    out
}

#[test]
fn none_are_made_until_somebody_asks_for_them() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    assert_eq!(a.store.automatic_checkpoints().unwrap(), None);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.checkpoint("L").unwrap();
    a.notes().set("n", "x", 2i64).unwrap();
    a.store.revert("L", &RevertScope::default(), &mut |_| ()).unwrap();
    b.notes().set("m", "x", 1i64).unwrap();
    a.store.read_bundle(&mut &bundle(&b)[..], &ApplyOptions::default()).unwrap();
    b.notes().set("m", "x", 2i64).unwrap();
    join(&a.store, &b.store, NOTES);
    assert_eq!(a.store.automatic_checkpoint("before").unwrap(), None);
    assert_eq!(labels(&a), ["L"]);
    let rule = AutomaticCheckpoints { keep: 257, age_ms: 1 };
    let refused = a.store.set_automatic_checkpoints(rule).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    // Told once, it is known when the store is opened again; and can be told otherwise.
    a.store.set_automatic_checkpoints(AutomaticCheckpoints::default()).unwrap();
    a.store.automatic_checkpoint("before").unwrap().unwrap();
    let a = a.after_power_cut(Some(1));
    assert_eq!(a.store.automatic_checkpoints().unwrap(), Some(AutomaticCheckpoints::default()));
    assert!(a.store.checkpoints()[1].automatic);
    a.store.set_automatic_checkpoints(AutomaticCheckpoints::NONE).unwrap();
    assert_eq!(labels(&a), ["L"]);
}

#[test]
fn one_is_made_before_what_is_hard_to_take_back_and_an_empty_store_costs_nothing() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    keep(&a, 5);
    b.notes().set("m", "x", 1i64).unwrap();
    b.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    assert_eq!(a.store.automatic_checkpoint("before").unwrap(), None);
    join(&a.store, &b.store, NOTES);
    assert!(labels(&a).is_empty(), "a first join keeps nothing");
    b.notes().set("m", "x", 2i64).unwrap();
    let before = snapshot(&a.notes());
    join(&a.store, &b.store, NOTES);
    join(&a.store, &b.store, "plans");
    b.notes().set("m", "x", 3i64).unwrap();
    join(&a.store, &b.store, NOTES);
    assert_eq!(labels(&a), ["auto: before a snapshot 2026-11-22T12:00:00Z"]);
    let shown = |label: &str| {
        let past = a.store.at(label).unwrap();
        let all = past.scan(NOTES, &Default::default()).unwrap().map(Result::unwrap);
        all.map(|doc| (doc.id().to_owned(), doc.into_fields())).collect::<Vec<_>>()
    };
    assert_eq!(shown(&labels(&a)[0]), before);
    a.wall.set(NOON + 120_000);
    b.notes().set("m", "x", 4i64).unwrap();
    let before = snapshot(&a.notes());
    a.store.read_bundle(&mut &bundle(&b)[..], &ApplyOptions::default()).unwrap();
    assert_eq!(labels(&a)[1], "auto: before a bundle 2026-11-22T12:02:00Z");
    assert_eq!(shown(&labels(&a)[1]), before);
    // Nothing in it that is new: nothing has changed, so none is made the second time.
    a.store.read_bundle(&mut &bundle(&b)[..], &ApplyOptions::default()).unwrap();
    a.store.read_bundle(&mut &bundle(&b)[..], &ApplyOptions::default()).unwrap();
    assert_eq!(labels(&a).len(), 3);
    // A revert can be reverted.
    a.notes().set("m", "x", 5i64).unwrap();
    let before = snapshot(&a.notes());
    let first = labels(&a)[0].clone();
    a.store.revert(&first, &RevertScope::default(), &mut |_| ()).unwrap();
    assert_eq!(labels(&a)[3], "auto: before a revert 2026-11-22T12:02:00Z");
    let fourth = labels(&a)[3].clone();
    a.store.revert(&fourth, &RevertScope::collection(NOTES), &mut |_| ()).unwrap();
    assert_eq!(snapshot(&a.notes()), before);
    assert_eq!(labels(&a)[4], "auto: before a revert 2026-11-22T12:02:00Z (2)");
    // Where nothing is to be written none is made.
    a.store.revert(&fourth, &RevertScope::collection(NOTES), &mut |_| ()).unwrap();
    assert_eq!(labels(&a).len(), 5);
    let verified = a.store.verify(&Default::default()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

#[test]
fn the_newest_stay_and_those_made_by_hand_always() {
    let a = Replica::new(0);
    keep(&a, 3);
    a.store.checkpoint("by hand").unwrap();
    let step = |n: u64| {
        a.wall.set(NOON + n * 3_600_000);
        a.notes().set("n", "x", n as i64).unwrap();
        a.store.automatic_checkpoint("by schedule").unwrap()
    };
    let made: Vec<String> = (0..6).map(|n| step(n).unwrap().label).collect();
    assert_eq!(labels(&a), [&["by hand".to_owned()], &made[3..]].concat());
    // The one that is gone back to stays, though it is the oldest.
    a.notes().set("n", "x", 100i64).unwrap();
    a.store.revert(&made[3], &RevertScope::default(), &mut |_| ()).unwrap();
    assert!(labels(&a).contains(&made[3]) && labels(&a).len() == 5);
    assert_eq!(a.notes().get_field("n", "x").unwrap(), Some(Field::from(3i64)));
    // And not for longer than was said, also if nothing has changed since.
    assert_eq!(labels(&a).len(), 5);
    a.wall.set(NOON + 30 * DAY);
    a.store.automatic_checkpoint("by schedule").unwrap().unwrap();
    assert_eq!(labels(&a).len(), 2);
    a.wall.set(NOON + 60 * DAY);
    assert_eq!(a.store.automatic_checkpoint("by schedule").unwrap(), None);
    assert_eq!(labels(&a), ["by hand"]);
    keep(&a, 1);
    // What is to be done is done, also where there is no room.
    (1..256).for_each(|n| drop(a.store.checkpoint(&n.to_string()).unwrap()));
    a.notes().put("n", &fields([("x", Field::from(7i64))])).unwrap();
    let done = a.store.revert("1", &RevertScope::default(), &mut |_| ()).unwrap();
    assert_eq!((done.documents, labels(&a).len()), (1, 256));
    let verified = a.store.verify(&Default::default()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

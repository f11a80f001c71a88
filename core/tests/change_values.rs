//! What documents held before and after a change is told as it was, or not at all.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::link::sync;
use common::{NOTES, Replica, Rng, Small, each_seed, edit, fields, join, meet, write_or_sync};
use littoral::store::{Change, Changes, LogBudget, VerifyOptions};
use littoral::{ErrorKind, Field, Fields, Position, Store};

const PLENTY: u64 = 64 << 20;

/// All changes that are there to be told.
fn rest(changes: &mut Changes) -> Vec<Change> {
    std::iter::from_fn(|| changes.next(Duration::ZERO).unwrap()).collect()
}

fn all(store: &Store) -> Vec<Change> {
    rest(&mut store.changes(Some(Position::default())).with_values())
}

/// What a change tells: the fields before and after.
fn told(change: &Change) -> Option<[Option<Fields>; 2]> {
    let values = change.values.as_ref()?;
    let of = |document: &Option<littoral::store::Document>| {
        document.as_ref().map(|document| document.fields().clone())
    };
    Some([of(&values.before), of(&values.after)])
}

fn keeping(seed: u8) -> Replica {
    let replica = Replica::new(seed);
    replica.store.set_change_values(Some(PLENTY)).unwrap();
    replica
}

fn assert_sound(store: &Store) {
    let report = store.verify(&VerifyOptions::default()).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn values_are_told_to_those_who_ask_where_they_are_kept() {
    let a = Replica::new(1);
    a.notes().set("n", "x", 1).unwrap();
    assert_eq!(a.store.change_values(), None);
    a.store.set_change_values(Some(PLENTY)).unwrap();
    assert_eq!(a.store.change_values(), Some(PLENTY));
    a.notes().set("n", "x", 2).unwrap();
    a.store
        .write(|txn| {
            txn.set(NOTES, "n", "x", 3)?;
            txn.set(NOTES, "m", "y", 1)
        })
        .unwrap();
    a.notes().delete("n").unwrap();

    let x = |n: i64| Some(fields([("x", Field::from(n))]));
    let y = Some(fields([("y", Field::from(1))]));
    let changes = all(&a.store);
    let of: Vec<_> = changes.iter().map(|change| (&*change.id, told(change))).collect();
    let expected = [
        ("n", None),
        ("n", Some([x(1), x(2)])),
        ("m", Some([None, y])),
        ("n", Some([x(2), x(3)])),
        ("n", Some([x(3), None])),
    ];
    let sorted = |mut list: Vec<_>| {
        list[2..4].sort_by_key(|(id, _): &(&str, _)| id.to_string());
        list
    };
    assert_eq!(sorted(of), sorted(expected.to_vec()));
    // Who does not ask is not told.
    let plain = rest(&mut a.store.changes(Some(Position::default())));
    assert!(plain.iter().all(|change| change.values.is_none()));

    // They are those of this store, also after it was opened anew.
    let again = a.after_power_cut(None);
    assert_eq!(all(&again.store), changes);
    again.store.set_change_values(None).unwrap();
    assert!(all(&again.store).iter().all(|change| change.values.is_none()));
    again.notes().set("n", "x", 9).unwrap();
    assert!(all(&again.store).iter().all(|change| change.values.is_none()));
    assert_sound(&again.store);
}

/// A document read from what is told is one of its moment: with its conflicts, and to be put back.
#[test]
fn a_document_before_can_be_put_back() {
    let (a, b) = (keeping(1), keeping(2));
    a.notes().set("n", "x", 1).unwrap();
    b.notes().set("n", "x", 2).unwrap();
    meet(&[&a, &b]);
    let change = all(&a.store).pop().unwrap();
    assert!(!change.local);
    let values = change.values.unwrap();
    let (before, after) = (values.before.unwrap(), values.after.unwrap());
    assert_eq!((before["x"].clone(), before.conflicts().len()), (1.into(), 0));
    assert_eq!((after["x"].clone(), after.conflicts().len()), (2.into(), 1));
    // Through what was seen after, both sides are overwritten.
    a.notes().put("n", &after).unwrap();
    assert_eq!(a.notes().conflicts().unwrap().len(), 1, "nothing was changed in it");
    let mut after = after;
    after.fields_mut().insert("x", 3);
    a.notes().put("n", &after).unwrap();
    assert_eq!(a.notes().conflicts().unwrap().len(), 0);
}

#[test]
fn the_oldest_go_and_nobody_is_told_less_than_the_truth() {
    let a = Replica::new(1);
    let budget = 8 << 10;
    a.store.set_change_values(Some(budget)).unwrap();
    for n in 0..500 {
        a.notes().set("n", "x", n).unwrap();
    }
    let changes = all(&a.store);
    let known = changes.iter().position(|change| change.values.is_some()).unwrap();
    assert!((400..499).contains(&known), "{known}");
    assert!(changes[known..].iter().all(|change| change.values.is_some()));
    assert_sound(&a.store);
    // A smaller budget takes effect at once.
    a.store.set_change_values(Some(budget / 4)).unwrap();
    let fewer = all(&a.store).iter().filter(|change| change.values.is_some()).count();
    assert!(fewer > 0 && fewer < 500 - known, "{fewer}");
    assert_sound(&a.store);
}

#[test]
fn large_documents_are_told_up_to_a_limit() {
    let a = keeping(1);
    let set = |id: &str, count: usize| {
        let text = |n: usize| format!("element {n} of this set");
        a.store
            .write(|txn| (0..count).try_for_each(|n| txn.add(NOTES, id, "tags", text(n))))
            .unwrap();
        a.notes().set(id, "title", "large").unwrap();
    };
    set("runs", 1000);
    set("beyond", 20_000);
    let changes = all(&a.store);
    let [before, after] = told(&changes[1]).unwrap().map(Option::unwrap);
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(Some(after), a.notes().get("runs").unwrap().map(|found| found.into_fields()));
    assert_eq!((told(&changes[2]), told(&changes[3])), (None, None));
    assert_sound(&a.store);
}

#[test]
fn they_go_with_their_collection_and_with_the_log() {
    let small =
        Small { segment_bytes: 4 << 10, budget: LogBudget { bytes: 16 << 10, age_ms: u64::MAX } };
    let a = Replica::small(1, small);
    a.store.set_change_values(Some(PLENTY)).unwrap();
    let other = a.store.collection("other").unwrap();
    other.set("secret", "x", "y").unwrap();
    a.notes().set("n", "x", 1).unwrap();
    assert!(all(&a.store).iter().all(|change| change.values.is_some()));
    a.store.leave("other").unwrap();
    let changes = all(&a.store);
    assert!(changes.iter().all(|change| change.values.is_some() == (&*change.collection == NOTES)));
    assert_sound(&a.store);
    for n in 0..2000 {
        a.notes().set("n", "x", n).unwrap();
    }
    a.store.prune().unwrap();
    assert_sound(&a.store);
    let changes = all(&a.store);
    assert!(changes.len() < 1000 && changes.iter().all(|change| change.values.is_some()));
}

#[test]
fn what_a_snapshot_or_a_hold_changed_is_not_made_up() {
    let (a, b) = (keeping(1), keeping(2));
    a.notes().set("n", "x", 1).unwrap();
    join(&b.store, &a.store, NOTES);
    assert_eq!(all(&b.store).iter().map(told).collect::<Vec<_>>(), [None]);
    a.store.checkpoint("before").unwrap();
    a.notes().set("n", "x", 2).unwrap();
    let mut changes = a.store.changes(None).with_values();
    a.store.rollback_hold("before", None).unwrap();
    a.notes().set("n", "x", 3).unwrap();
    assert_eq!(changes.next(Duration::ZERO).unwrap_err().kind(), ErrorKind::NotFound);
    changes.restart();
    a.notes().set("n", "x", 4).unwrap();
    assert_eq!(told(&changes.next(Duration::ZERO).unwrap().unwrap()), None);
    assert_sound(&a.store);
}

/// Whatever happens, what is told of a document is a chain: each change begins with what the one
/// before it left, and the last leaves what is there.
#[test]
fn what_is_told_is_a_chain() {
    each_seed("what_is_told_is_a_chain", 30, |seed| {
        let mut rng = Rng::new(seed);
        let (mut a, others) = (keeping(1), [keeping(2), Replica::new(3)]);
        let mut held: BTreeMap<String, Option<Fields>> = BTreeMap::new();
        let mut position = Position::default();
        for _ in 0..40 {
            let choice = rng.below(11);
            write_or_sync(choice, &mut rng, &a, &others, |txn, rng| {
                (0..1 + rng.below(3)).for_each(|_| edit(txn, rng));
                Ok(())
            });
            if rng.chance(10) {
                drop(sync(&a.store, &others[0].store));
            }
            if rng.chance(10) {
                a.store.flush().unwrap();
                a = a.after_power_cut(Some(seed));
            }
            let mut changes = a.store.changes(Some(position)).with_values();
            for change in rest(&mut changes) {
                let [before, after] = told(&change).unwrap_or_else(|| panic!("{change:?}"));
                assert_eq!(held.get(&change.id).cloned().flatten(), before, "of {change:?}");
                held.insert(change.id, after);
            }
            position = changes.position();
        }
        a.store.flush().unwrap();
        let mut changes = a.store.changes(Some(position)).with_values();
        for change in rest(&mut changes) {
            held.insert(change.id.clone(), told(&change).unwrap()[1].clone());
        }
        for (id, fields) in held {
            let found = a.notes().get(&id).unwrap().map(|found| found.into_fields());
            assert_eq!(found, fields, "{id}");
        }
        assert_sound(&a.store);
    });
}

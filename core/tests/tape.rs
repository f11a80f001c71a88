//! The tape: what was shown at a checkpoint is read as it was, whatever came after it.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::link::sync;
use common::{NOON, NOTES, Replica, Rng, Small, each_seed, fields, layout, pull};
use littoral::crdt::Layout;
use littoral::id::Vector;
use littoral::store::{Difference, Digests, LogBudget, Past, RevertScope};
use littoral::value::{Path, Value, fields_to_json};
use littoral::{ErrorKind, Field, Fields, ScanRange, Store, Transaction};

/// A collection, as it was shown.
#[derive(Debug, PartialEq)]
struct Shown {
    documents: Vec<(String, String)>,
    len: u64,
    digests: Digests,
    vector: Vector,
}

type All = BTreeMap<String, Shown>;

fn text(id: &str, fields: &Fields) -> (String, String) {
    (id.to_owned(), fields_to_json(fields).to_string())
}

fn now(store: &Store) -> All {
    let of = |name: String| {
        let notes = store.collection(&name).unwrap();
        let scan = notes.scan(&ScanRange::default()).unwrap().map(Result::unwrap);
        let shown = Shown {
            documents: scan.map(|doc| text(doc.id(), doc.fields())).collect(),
            len: notes.len(),
            digests: store.digests(&name).unwrap(),
            vector: common::vector(store, &name),
        };
        (name, shown)
    };
    store.collections().into_iter().map(of).collect()
}

fn then(past: &Past) -> All {
    let of = |name: String| {
        let scan = past.scan(&name, &ScanRange::default()).unwrap().map(Result::unwrap);
        let shown = Shown {
            documents: scan.map(|doc| text(doc.id(), doc.fields())).collect(),
            len: past.len(&name).unwrap(),
            digests: past.digests(&name).unwrap(),
            vector: past.vector(&name).unwrap(),
        };
        for (id, json) in &shown.documents {
            let document = past.get(&name, id).unwrap().expect("a document of the scan");
            assert_eq!(text(id, document.fields()).1, *json);
        }
        let range = ScanRange { reverse: true, ..ScanRange::default() };
        let back = past.scan(&name, &range).unwrap().map(Result::unwrap);
        let mut back: Vec<_> = back.map(|doc| text(doc.id(), doc.fields())).collect();
        back.reverse();
        assert_eq!(back, shown.documents);
        (name, shown)
    };
    past.collections().unwrap().into_iter().map(of).collect()
}

/// Documents of all collections, by collection and id.
fn documents(all: &All) -> BTreeMap<(String, String), String> {
    let of = |(name, shown): (&String, &Shown)| {
        let named = |(id, json): &(String, String)| ((name.clone(), id.clone()), json.clone());
        shown.documents.iter().map(named).collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

/// What was shown at each checkpoint that there is.
#[derive(Default)]
struct Ledger {
    shown: BTreeMap<String, All>,
    made: usize,
}

impl Ledger {
    fn checkpoint(&mut self, store: &Store) {
        let label = format!("L{}", self.made);
        self.made += 1;
        let made = store.checkpoint(&label).unwrap();
        assert_eq!(made.position, store.position());
        self.shown.insert(label, now(store));
    }

    fn check(&self, store: &Store) {
        let labels: BTreeSet<String> =
            store.checkpoints().into_iter().map(|known| known.label).collect();
        assert_eq!(labels, self.shown.keys().cloned().collect());
        let today = now(store);
        for (label, shown) in &self.shown {
            assert_eq!(then(&store.at(label).unwrap()), *shown, "{label}");
            differs(store, label, None, shown, &today);
        }
        if let [first, .., last] = &self.shown.iter().collect::<Vec<_>>()[..] {
            differs(store, first.0, Some(last.0), first.1, last.1);
            differs(store, last.0, Some(first.0), last.1, first.1);
        }
    }
}

/// The difference is exactly what differs, in order, and leads from one to the other.
fn differs(store: &Store, from: &str, to: Option<&str>, before: &All, after: &All) {
    let (before, after) = (documents(before), documents(after));
    let mut expected: BTreeSet<&(String, String)> = before.keys().chain(after.keys()).collect();
    expected.retain(|key| before.get(*key) != after.get(*key));
    let mut found = Vec::new();
    for difference in store.diff(from, to).unwrap() {
        let difference = difference.unwrap();
        let json = |fields: &Fields| fields_to_json(fields).to_string();
        let key = (difference.collection.clone(), difference.id.clone());
        assert_eq!(difference.before.as_ref().map(json), before.get(&key).cloned());
        assert_eq!(difference.after.as_ref().map(json), after.get(&key).cloned());
        let both = difference.before.is_some() && difference.after.is_some();
        assert_eq!(difference.fields().is_empty(), !both);
        found.push(key);
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
}

/// One edit: of small documents, and of large ones that grow and shrink across the size at which
/// they are cut.
fn edit(txn: &mut Transaction, rng: &mut Rng) -> littoral::Result<()> {
    let name = *rng.pick(&[NOTES, NOTES, NOTES, "plans"]);
    let big = *rng.pick(&["big", "big\0", "c"]);
    let element = |n: usize| format!("{n:03} {}", "of some length ".repeat(12));
    match rng.below(10) {
        0 => (0..rng.below(60)).for_each(|_| {
            txn.add(name, big, "tags", element(rng.below(120))).unwrap();
        }),
        1 => (0..rng.below(90)).for_each(|_| {
            txn.remove(name, big, "tags", element(rng.below(120))).unwrap();
        }),
        2 => drop(txn.delete(name, big).unwrap()),
        3 => txn.increment(name, big, "hits", rng.below(9) as i64).unwrap(),
        4 => {
            let content = fields([("title", Field::from(rng.below(9) as i64))]);
            txn.put(name, &format!("n{}", rng.below(12)), &content).unwrap();
        }
        5 => drop(txn.delete(name, &format!("n{}", rng.below(12))).unwrap()),
        _ => common::edit(txn, rng),
    }
    Ok(())
}

#[test]
fn the_past_is_what_was_shown_under_random_histories() {
    each_seed("tape", 14, |seed| {
        let mut rng = Rng::new(seed);
        let mut ledger = Ledger::default();
        let mut a = Replica::new(0);
        let mut others = vec![Replica::new(1), Replica::new(2)];
        let forks = seed % 3 == 0;
        for step in 0..60 {
            match rng.below(16) {
                choice @ 0..=10 => {
                    common::write_or_sync(choice, &mut rng, &a, &others, edit);
                }
                11 if !forks && rng.chance(60) => {
                    let from = rng.pick(&others);
                    if from.store.collections().iter().any(|name| name == NOTES) {
                        common::join(&a.store, &from.store, NOTES);
                    }
                }
                12 if rng.chance(30) => drop(a.store.leave(NOTES).unwrap()),
                12 if forks && others.len() == 2 => {
                    a.store.flush().unwrap();
                    others.push(a.after_power_cut(None));
                }
                13 if rng.chance(50) => {
                    a.store.flush().unwrap();
                    a = a.after_power_cut(Some(rng.next()));
                }
                14 if ledger.made > 1 => {
                    let labels: Vec<String> = ledger.shown.keys().cloned().collect();
                    if !labels.is_empty() {
                        let label = rng.pick(&labels);
                        a.store.delete_checkpoint(label).unwrap();
                        ledger.shown.remove(label);
                    }
                }
                15 => ledger.checkpoint(&a.store),
                _ => {}
            }
            if step % 6 == 5 {
                ledger.check(&a.store);
            }
        }
        ledger.check(&a.store);
        let verified = a.store.verify(&Default::default()).unwrap();
        assert!(verified.is_sound(), "{:?}", verified.findings);
        let labels: Vec<String> = ledger.shown.keys().cloned().collect();
        for label in labels {
            a.store.delete_checkpoint(&label).unwrap();
            ledger.shown.remove(&label);
            ledger.check(&a.store);
        }
        let verified = a.store.verify(&Default::default()).unwrap();
        assert!(verified.is_sound(), "what no checkpoint needs is gone: {:?}", verified.findings);
    });
}

#[test]
fn a_fork_that_is_found_after_a_checkpoint_changes_nothing_about_it() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().increment("n", "hits", 5).unwrap();
    a.store.flush().unwrap();
    let clone = a.after_power_cut(None);
    a.notes().increment("n", "hits", 3).unwrap();
    clone.notes().increment("n", "hits", 20).unwrap();
    pull(&b, &a);
    pull(&c, &clone);
    let mut ledger = Ledger::default();
    ledger.checkpoint(&b.store);
    assert_eq!(sync(&b.store, &c.store), [vec![], vec![]]);
    assert_eq!(b.store.branch_count(NOTES), 2, "it has forked");
    ledger.check(&b.store);
    ledger.checkpoint(&b.store);
    b.notes().delete("n").unwrap();
    ledger.check(&b.store);
    ledger.check(&b.after_power_cut(Some(1)).store);
}

#[test]
fn a_checkpoint_survives_a_disk_that_dies_at_any_call_and_a_deleted_one_is_gone() {
    let script = |a: &Replica, ledger: &mut Ledger, tried: &mut Option<String>| {
        let mut run = || -> littoral::Result<()> {
            for round in 0..3i64 {
                let label = format!("L{round}");
                *tried = Some(label.clone());
                a.store.checkpoint(&label)?;
                ledger.shown.insert(label, now(&a.store));
                *tried = None;
                for n in 0..6i64 {
                    let id = format!("n{}", (n + 3 * round) % 8);
                    a.store.write(|txn| txn.set(NOTES, &id, "x", 10 * round + n))?;
                }
                if round > 0 {
                    let label = format!("L{}", round - 1);
                    let shown = ledger.shown.remove(&label).unwrap();
                    *tried = Some(label.clone());
                    if let Err(err) = a.store.delete_checkpoint(&label) {
                        ledger.shown.insert(label, shown);
                        return Err(err);
                    }
                    *tried = None;
                }
            }
            a.store.close()
        };
        run().is_ok()
    };
    for calls in (0..).step_by(2) {
        let a = Replica::new(0);
        a.notes().set("n1", "x", 1i64).unwrap();
        a.disk.dead_after(calls);
        let (mut ledger, mut tried) = (Ledger::default(), None);
        let done = script(&a, &mut ledger, &mut tried);
        let a = a.after_power_cut(Some(calls));
        // What was under way may have come about, or not.
        if let Some(label) = tried {
            match a.store.at(&label) {
                Ok(past) => drop(ledger.shown.insert(label, then(&past))),
                Err(_) => drop(ledger.shown.remove(&label)),
            }
        }
        ledger.check(&a.store);
        // A sweep that was cut short goes on with what is written.
        a.notes().set("n1", "x", 77i64).unwrap();
        ledger.check(&a.store);
        let verified = a.store.verify(&Default::default()).unwrap();
        assert!(verified.is_sound(), "after {calls} calls: {:?}", verified.findings);
        if done {
            assert!(calls > 100, "{calls}");
            return;
        }
    }
}

#[test]
fn a_checkpoint_costs_what_changes_and_gives_it_back() {
    let a = Replica::new(0);
    let content = |n: i64| fields([("n", Field::from(n)), ("text", Field::from("x".repeat(100)))]);
    let put_all = |n: i64| {
        let put = |txn: &mut Transaction| {
            (0..500).try_for_each(|id| txn.put(NOTES, &format!("n{id:03}"), &content(n)))
        };
        a.store.write(put).unwrap();
    };
    put_all(0);
    a.store.checkpoint("first").unwrap();
    let costs = a.store.checkpoint_costs().unwrap();
    assert_eq!((costs[0].rows, costs[0].bytes, costs[0].log_held), (0, 0, true));
    // Collections that come later cost nothing but to have been absent.
    a.store.collection("later").unwrap().set("n", "x", 1i64).unwrap();
    assert_eq!(a.store.checkpoint_costs().unwrap()[0].rows, 1);
    put_all(1);
    put_all(2);
    let one = a.store.checkpoint_costs().unwrap().remove(0);
    // Each document once, the head and the vector of their collection, the name of the other.
    // A document is one row; where nearly all are cut up, one and the one run of its cells.
    let documents = if layout() == Layout::default() { 500 } else { 2 * 500 };
    assert_eq!(one.rows, documents + 3);
    assert_eq!(one.bytes, one.freed_bytes);
    a.store.checkpoint("second").unwrap();
    put_all(3);
    let both = a.store.checkpoint_costs().unwrap();
    assert_eq!(both[0].rows, documents + 3);
    assert_eq!(both[1].rows, documents + 2, "the other collection did not change");
    assert_eq!(both[0].bytes, both[0].freed_bytes, "a row of its own stands for the second");
    a.store.delete_checkpoint("second").unwrap();
    let first = a.store.checkpoint_costs().unwrap().remove(0);
    assert_eq!(first, one);
    let before = a.store.space().unwrap().live_bytes;
    a.store.delete_checkpoint("first").unwrap();
    let after = a.store.space().unwrap().live_bytes;
    assert!(after + first.bytes <= before, "{after} of {before}");
    assert_eq!(a.store.delete_checkpoint("first").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn labels_are_checked_and_there_are_only_so_many() {
    let a = Replica::new(0);
    for (label, kind) in [
        ("", ErrorKind::InvalidInput),
        ("a\nb", ErrorKind::InvalidInput),
        (&"x".repeat(129), ErrorKind::LimitExceeded),
    ] {
        assert_eq!(a.store.checkpoint(label).unwrap_err().kind(), kind);
    }
    a.wall.set(NOON + 5);
    let made = a.store.checkpoint(&"x".repeat(128)).unwrap();
    assert_eq!((made.made_ms, made.automatic), (NOON + 5, false));
    let again = a.store.checkpoint(&made.label).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput);
    (1..256).for_each(|n| drop(a.store.checkpoint(&n.to_string()).unwrap()));
    assert_eq!(a.store.checkpoint("one more").unwrap_err().kind(), ErrorKind::LimitExceeded);
    a.store.delete_checkpoint("7").unwrap();
    a.store.checkpoint("one more").unwrap();
    assert_eq!(a.store.checkpoints().len(), 256);
    assert_eq!(a.store.at("7").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(a.store.diff("7", None).err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn a_document_of_the_past_is_put_back_whole() {
    let a = Replica::new(0);
    let at_first = fields([("x", Field::from(1i64)), ("tags", Field::set(["a", "b"]))]);
    a.notes().put("n", &at_first).unwrap();
    a.store.checkpoint("L").unwrap();
    a.notes().put("n", &fields([("y", Field::from(2i64)), ("tags", Field::set(["c"]))])).unwrap();
    let document = a.notes().get_at("L", "n").unwrap().unwrap();
    assert_eq!(*document.fields(), at_first);
    a.notes().put("n", &document).unwrap();
    assert_eq!(a.notes().get("n").unwrap().unwrap().into_fields(), at_first);
    // Pages of the past are pages of a scan.
    let range = ScanRange { start: Some("m".into()), limit: Some(1), ..ScanRange::default() };
    assert_eq!(a.notes().scan_at("L", &range).unwrap().count(), 1);
    let range = ScanRange { after: Some("n".into()), ..ScanRange::default() };
    assert_eq!(a.notes().scan_at("L", &range).unwrap().count(), 0);
    assert!(a.store.at("L").unwrap().get("others", "n").unwrap().is_none());
}

/// The past does not need the log; what needs it is told when it is gone.
#[test]
fn a_checkpoint_holds_the_log_up_to_twice_its_budget() {
    let budget = LogBudget { bytes: 16 << 10, ..LogBudget::default() };
    let a = Replica::small(0, Small { segment_bytes: 2 << 10, budget });
    a.notes().set("n", "x", -1i64).unwrap();
    a.store.checkpoint("L").unwrap();
    let mut ledger = Ledger::default();
    ledger.shown.insert("L".into(), now(&a.store));
    let write = |n: i64| a.notes().set("n", "x", n).unwrap();
    let held = |a: &Replica| a.store.checkpoint_costs().unwrap()[0].log_held;
    let bytes = |a: &Replica| a.store.stats().unwrap().log_bytes;
    (0..).take_while(|_| bytes(&a) < 24 << 10).for_each(write);
    a.store.prune().unwrap();
    assert!(held(&a) && bytes(&a) > 20 << 10);
    assert!(a.store.stats().unwrap().log_pins[0].why.contains("checkpoint 'L'"));
    // Also after it was opened again.
    let a = a.after_power_cut(Some(3));
    a.store.prune().unwrap();
    assert!(held(&a));
    (0..400i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
    a.store.prune().unwrap();
    assert!(!held(&a) && bytes(&a) < 24 << 10, "{}", bytes(&a));
    assert_eq!(a.store.stats().unwrap().log_pins_expired, 1);
    ledger.check(&a.store);
    ledger.check(&a.after_power_cut(Some(4)).store);
}

fn revert(a: &Replica, label: &str, scope: &RevertScope) -> Vec<Difference> {
    let plan: Vec<_> = a.store.revert_plan(label, scope).unwrap().map(Result::unwrap).collect();
    let mut heard = Vec::new();
    let done = a.store.revert(label, scope, &mut |found| heard.push(found.clone())).unwrap();
    assert_eq!(done.documents, heard.len() as u64);
    assert_eq!(heard, plan, "what was done is what was planned");
    let left = a.store.revert_plan(label, scope).unwrap().count();
    assert_eq!(left, 0, "nothing is left to do");
    plan
}

#[test]
fn a_revert_brings_back_on_every_replica_what_was_shown() {
    each_seed("revert", 10, |seed| {
        let mut rng = Rng::new(seed);
        let replicas = [Replica::new(0), Replica::new(1), Replica::new(2)];
        let [a, ..] = &replicas;
        let meet = || {
            for _ in 0..2 {
                for (at, one) in replicas.iter().enumerate() {
                    for other in &replicas[at + 1..] {
                        assert_eq!(sync(&one.store, &other.store), [vec![], vec![]]);
                    }
                }
            }
        };
        let work = |rng: &mut Rng, steps: usize| {
            for _ in 0..steps {
                let replica = &replicas[rng.below(3)];
                replica.store.write(|txn| edit(txn, rng)).unwrap();
                if rng.chance(20) {
                    meet();
                }
            }
            meet();
        };
        work(&mut rng, 12);
        let before = now(&a.store);
        a.store.checkpoint("L").unwrap();
        work(&mut rng, 25);
        let after = documents(&now(&a.store));
        // One document, then one collection, then all.
        let plan: Vec<_> = a
            .store
            .revert_plan("L", &RevertScope::default())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        if let Some(one) = plan.first() {
            let (name, id) = (one.collection.clone(), one.id.clone());
            let done = revert(a, "L", &RevertScope::document(&name, &id));
            assert_eq!(&done[..], std::slice::from_ref(one));
            let mut expected = after.clone();
            expected.remove(&(name.clone(), id.clone()));
            let json = |fields: &Fields| fields_to_json(fields).to_string();
            expected.extend(one.after.as_ref().map(|fields| ((name, id), json(fields))));
            assert_eq!(documents(&now(&a.store)), expected, "nothing else changed");
        }
        if rng.chance(50) {
            revert(a, "L", &RevertScope::collection(NOTES));
        }
        revert(a, "L", &RevertScope::default());
        meet();
        for replica in &replicas {
            assert_eq!(documents(&now(&replica.store)), documents(&before));
            replica.store.check_rows().unwrap();
        }
        assert_eq!(then(&a.store.at("L").unwrap()), before);
        // What others write later without having seen it is not undone by it.
        replicas[1].notes().set("d0", "later", 1i64).unwrap();
        meet();
        assert_eq!(a.notes().get_field("d0", "later").unwrap(), Some(Field::from(1i64)));
    });
}

/// Kinds that would be taken for changes of what is there now.
#[test]
fn a_revert_of_fields_whose_kind_has_changed_brings_back_the_kind() {
    let a = Replica::new(0);
    let array = || Field::Value(Value::Array(vec![Value::from(1i64), Value::from(2i64)]));
    let kinds: [Field; 6] = [
        array(),
        Field::set([1i64, 2]),
        Field::Counter(4),
        Field::from(4i64),
        Field::map([("x", 1i64)]),
        Field::Map(Fields::new()),
    ];
    for (at, one) in kinds.iter().enumerate() {
        for (nr, other) in kinds.iter().enumerate() {
            let id = format!("n{at}{nr}");
            a.notes().put(&id, &fields([("f", one.clone()), ("g", Field::from("stays"))])).unwrap();
            a.store.checkpoint(&id).unwrap();
            let before = a.notes().get(&id).unwrap().unwrap().into_fields();
            a.notes().unset(&id, "f").unwrap();
            a.notes().set(&id, "f", other.clone()).unwrap();
            a.notes().set(&id, "h", 1i64).unwrap();
            let scope = RevertScope::field(NOTES, &id, "f");
            assert_eq!(revert(&a, &id, &scope).len(), usize::from(one != other));
            let f = || a.notes().get_field(&id, "f").unwrap();
            assert_eq!(f().as_ref(), Some(one));
            assert_eq!(a.notes().get_field(&id, "h").unwrap(), Some(Field::from(1i64)));
            a.notes().unset(&id, "f").unwrap();
            a.notes().set(&id, "f", other.clone()).unwrap();
            revert(&a, &id, &RevertScope::document(NOTES, &id));
            assert_eq!(a.notes().get(&id).unwrap().unwrap().into_fields(), before);
            a.notes().delete(&id).unwrap();
            revert(&a, &id, &RevertScope::collection(NOTES));
            assert_eq!(a.notes().get(&id).unwrap().unwrap().into_fields(), before);
            a.store.delete_checkpoint(&id).unwrap();
        }
    }
}

#[test]
fn a_revert_of_one_field_leaves_what_is_beside_it() {
    let a = Replica::new(0);
    a.notes().set("n", ("m", "x"), 1i64).unwrap();
    a.store.checkpoint("L").unwrap();
    a.notes().set("n", ("m", "x"), 2i64).unwrap();
    a.notes().set("n", ("m", "y"), 3i64).unwrap();
    revert(&a, "L", &RevertScope::field(NOTES, "n", ("m", "x")));
    let m = || a.notes().get_field("n", "m").unwrap();
    assert_eq!(m(), Some(Field::map([("x", 1i64), ("y", 3)])));
    a.notes().set("n", "m", 7i64).unwrap();
    revert(&a, "L", &RevertScope::field(NOTES, "n", ("m", "x")));
    assert_eq!(m(), Some(Field::map([("x", 1i64)])));
    // What was not there goes; a document that was not there is begun by nothing.
    a.notes().set("n", ("m", "y"), 3i64).unwrap();
    revert(&a, "L", &RevertScope::field(NOTES, "n", ("m", "y")));
    assert_eq!(m(), Some(Field::map([("x", 1i64)])));
    assert!(revert(&a, "L", &RevertScope::field(NOTES, "other", "y")).is_empty());
    for scope in [
        RevertScope { collection: None, ..RevertScope::document(NOTES, "n") },
        RevertScope { id: None, ..RevertScope::field(NOTES, "n", "x") },
        RevertScope::field(NOTES, "n", Path::root()),
        RevertScope::collection("no/good"),
    ] {
        let refused = a.store.revert("L", &scope, &mut |_| ()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    }
}

/// Its counters would count twice when its peers bring it back.
#[test]
fn a_collection_that_was_left_is_not_written_again_by_a_revert() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n", "hits", 5).unwrap();
    a.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]]);
    a.store.checkpoint("L").unwrap();
    a.store.leave(NOTES).unwrap();
    a.store.collection("plans").unwrap().delete("p").unwrap();
    let done = a.store.revert("L", &RevertScope::default(), &mut |_| ()).unwrap();
    assert_eq!((done.documents, done.left), (1, vec![NOTES.to_owned()]));
    let refused = a.store.revert("L", &RevertScope::collection(NOTES), &mut |_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnknownCollection);
    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]]);
    a.notes().increment("n", "hits", 2).unwrap();
    revert(&a, "L", &RevertScope::default());
    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]]);
    assert_eq!(b.notes().get_field("n", "hits").unwrap(), Some(Field::Counter(5)));
}

#[test]
fn a_large_revert_goes_in_batches_and_goes_on_after_it_was_cut_short() {
    let a = Replica::new(0);
    let put_all = |n: i64| {
        let put = |txn: &mut Transaction| {
            (0..1000).try_for_each(|id| txn.set(NOTES, &format!("n{id:03}"), "n", n))
        };
        a.store.write(put).unwrap();
    };
    put_all(1);
    let before = now(&a.store);
    a.store.checkpoint("L").unwrap();
    put_all(2);
    a.disk.dead_after(4);
    let cut = a.store.revert("L", &RevertScope::default(), &mut |_| ());
    assert!(cut.is_err());
    let a = a.after_power_cut(Some(7));
    let left = a.store.revert_plan("L", &RevertScope::default()).unwrap().count() as u64;
    assert!((1..1000).contains(&left), "{left}");
    let done = a.store.revert("L", &RevertScope::default(), &mut |_| ()).unwrap();
    assert_eq!((done.documents, done.transactions), (left, left.div_ceil(256)));
    assert_eq!(documents(&now(&a.store)), documents(&before));
}

#[test]
fn deleting_a_checkpoint_frees_what_it_kept_and_new_rows_go_there() {
    let a = Replica::new(0);
    let put_all = |n: i64| {
        let text = format!("{n} {}", "of some length ".repeat(20));
        let put = |txn: &mut Transaction| {
            (0..1000).try_for_each(|id| txn.set(NOTES, &format!("n{id:03}"), "n", text.as_str()))
        };
        a.store.write(put).unwrap();
    };
    put_all(1);
    let alone = a.store.space().unwrap().live_bytes;
    a.store.checkpoint("L").unwrap();
    put_all(2);
    let kept = a.store.checkpoint_costs().unwrap()[0].freed_bytes;
    assert!(kept > 300_000, "{kept}");
    let with = a.store.space().unwrap().live_bytes;
    assert!(with > alone + kept, "{with} bytes, {alone} without, {kept} kept");
    a.store.delete_checkpoint("L").unwrap();
    let after = a.store.space().unwrap();
    assert!(after.live_bytes + kept <= with, "{after:?}, {with} before");
    // What is free is used again: the file does not grow by what is kept for the next one.
    a.store.checkpoint("M").unwrap();
    put_all(3);
    a.store.delete_checkpoint("M").unwrap();
    let file_bytes = a.store.space().unwrap().file_bytes;
    assert!(file_bytes <= after.file_bytes + kept / 2, "{file_bytes}, {after:?}");
}

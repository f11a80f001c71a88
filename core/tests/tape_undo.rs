//! Undo: what this node wrote last is taken back, and nobody else's.

mod common;

use common::link::sync;
use common::{NOTES, Replica, Rng, Small, assert_same, each_seed, fields, meet, snapshot};
use littoral::store::{LogBudget, UndoScope, Undone};
use littoral::value::Value;
use littoral::{ErrorKind, Field, Fields, Transaction};

const PLANS: &str = "plans";

fn shown(a: &Replica) -> Vec<(String, Vec<(String, Fields)>)> {
    let of = |name: String| {
        let documents = snapshot(&a.store.collection(&name).unwrap());
        (name, documents)
    };
    a.store
        .collections()
        .into_iter()
        .map(of)
        .filter(|(_, documents)| !documents.is_empty())
        .collect()
}

fn field(a: &Replica, id: &str, path: &str) -> Option<Field> {
    a.notes().get_field(id, path).unwrap()
}

/// Undoes, and holds that it is what was planned.
fn undo(a: &Replica, scope: &UndoScope) -> Undone {
    let plan = a.store.undo_plan(scope).unwrap();
    let done = a.store.undo(scope).unwrap();
    assert_eq!(done, plan);
    for found in done.changes.iter().filter(|found| found.is_change()) {
        let there = a.store.collection(&found.collection).unwrap().get(&found.id).unwrap();
        assert_eq!(there.map(|document| document.into_fields()), found.after);
    }
    a.store.check_rows().unwrap();
    done
}

fn all() -> UndoScope {
    UndoScope::default()
}

#[test]
fn what_was_written_last_is_taken_back_and_an_undo_is_undone() {
    let a = Replica::new(0);
    let refused = a.store.undo(&all()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let array = Field::Value(Value::Array(vec![Value::from(1i64)]));
    a.store
        .write(|txn| {
            let map = Field::map([("x", 1i64), ("y", 2)]);
            let content = fields([
                ("f", Field::from(1i64)),
                ("m", map),
                ("tags", Field::set(["a", "b"])),
                ("hits", Field::Counter(4)),
                ("list", array),
            ]);
            txn.put(NOTES, "n", &content)?;
            txn.put(PLANS, "p", &fields([("f", Field::from(1i64))]))
        })
        .unwrap();
    a.notes().set("n", "f", 2i64).unwrap();
    type Write = Box<dyn Fn(&mut Transaction) -> littoral::Result<()>>;
    let writes: Vec<Write> = vec![
        Box::new(|txn| txn.set(NOTES, "n", "f", 3i64)),
        Box::new(|txn| txn.set(NOTES, "n", ("m", "x"), 3i64)),
        Box::new(|txn| txn.set(NOTES, "n", "m", 3i64)),
        Box::new(|txn| txn.set(NOTES, "n", "new", 3i64)),
        Box::new(|txn| txn.set(NOTES, "n", "tags", 3i64)),
        Box::new(|txn| txn.unset(NOTES, "n", "f").map(drop)),
        Box::new(|txn| txn.unset(NOTES, "n", "m").map(drop)),
        Box::new(|txn| txn.unset(NOTES, "n", "hits").map(drop)),
        Box::new(|txn| txn.increment(NOTES, "n", "hits", 3)),
        Box::new(|txn| txn.increment(NOTES, "n", "more", 3)),
        Box::new(|txn| txn.add(NOTES, "n", "tags", "c")),
        Box::new(|txn| txn.remove(NOTES, "n", "tags", "a").map(drop)),
        Box::new(|txn| txn.delete(NOTES, "n").map(drop)),
        Box::new(|txn| txn.put(NOTES, "n", &Fields::new())),
        Box::new(|txn| txn.put(NOTES, "other", &Fields::new())),
        Box::new(|txn| {
            txn.set(NOTES, "n", "f", 9i64)?;
            txn.set(PLANS, "p", "f", 9i64)?;
            txn.put("later", "l", &fields([("f", Field::from(9i64))]))
        }),
    ];
    for checkpoints in [false, true] {
        if checkpoints {
            a.store.checkpoint("L").unwrap();
        }
        for (at, write) in writes.iter().enumerate() {
            let before = shown(&a);
            a.store.write(|txn| write(txn)).unwrap();
            let after = shown(&a);
            assert_ne!(before, after, "{at}");
            let done = undo(&a, &all());
            assert!(done.documents() > 0 && done.changes.iter().all(|one| one.kept.is_empty()));
            assert_eq!(shown(&a), before, "{at}");
            undo(&a, &all());
            assert_eq!(shown(&a), after, "{at}");
            undo(&a, &all());
            assert_eq!(shown(&a), before, "{at}");
        }
    }
    // One collection alone.
    a.store
        .write(|txn| {
            txn.set(NOTES, "n", "f", 9i64)?;
            txn.set(PLANS, "p", "f", 9i64)
        })
        .unwrap();
    a.notes().set("n", "g", 9i64).unwrap();
    let done = undo(&a, &UndoScope { collection: Some(PLANS.into()), force: false });
    assert_eq!(done.documents(), 1);
    assert_eq!(field(&a, "n", "f"), Some(Field::from(9i64)));
    assert_eq!(
        a.store.collection(PLANS).unwrap().get_field("p", "f").unwrap(),
        Some(Field::from(1i64))
    );
    let unknown = a.store.undo(&UndoScope { collection: Some("none".into()), force: false });
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    // What is not durable yet, too.
    a.store.write_deferred(|txn| txn.set(NOTES, "n", "f", 10i64)).unwrap();
    undo(&a, &all());
    assert_eq!(field(&a, "n", "f"), Some(Field::from(9i64)));
}

#[test]
fn what_others_have_changed_since_is_kept_and_told() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let content =
        fields([("f", Field::from(1i64)), ("g", Field::from(1i64)), ("n", Field::Counter(5))]);
    a.notes().put("n", &content).unwrap();
    meet(&[&a, &b]);
    b.notes().set("m", "x", 1i64).unwrap();
    a.store
        .write(|txn| {
            txn.set(NOTES, "n", "f", 2i64)?;
            txn.set(NOTES, "n", "g", 2i64)?;
            txn.increment(NOTES, "n", "n", 100)
        })
        .unwrap();
    meet(&[&a, &b]);
    b.notes().set("n", "f", 3i64).unwrap();
    b.notes().set("n", "h", 3i64).unwrap();
    b.notes().increment("n", "n", 1).unwrap();
    meet(&[&a, &b]);
    let done = undo(&a, &all());
    assert_eq!(done.changes.len(), 1);
    assert_eq!(done.changes[0].kept.len(), 1);
    assert_eq!(done.changes[0].kept[0].dot.origin.node, b.store.node_id());
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    for (name, value) in [("f", 3i64), ("g", 1), ("h", 3)] {
        assert_eq!(field(&b, "n", name), Some(Field::from(value)), "{name}");
    }
    assert_eq!(field(&b, "n", "n"), Some(Field::Counter(6)));
    a.notes().set("n", "f", 7i64).unwrap();
    meet(&[&a, &b]);
    b.notes().set("n", "f", 8i64).unwrap();
    meet(&[&a, &b]);
    let nothing = undo(&a, &all());
    assert_eq!((nothing.documents(), nothing.changes.len()), (0, 1));
    undo(&a, &UndoScope { force: true, ..all() });
    assert_eq!(field(&a, "n", "f"), Some(Field::from(3i64)));
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]]);
}

#[test]
fn any_last_write_is_undone_and_done_again() {
    each_seed("undo", 40, |seed| {
        let mut rng = Rng::new(seed);
        let (a, b) = (Replica::new(0), Replica::new(1));
        for step in 0..25 {
            for _ in 0..rng.below(3) {
                let edit = |txn: &mut Transaction| {
                    common::edit(txn, &mut rng);
                    Ok(())
                };
                b.store.write(edit).unwrap();
            }
            if rng.chance(30) {
                meet(&[&a, &b]);
            }
            if rng.chance(10) {
                a.store.checkpoint(&format!("L{step}")).unwrap();
            }
            let before = shown(&a);
            a.store
                .write(|txn| {
                    for _ in 0..1 + rng.below(4) {
                        common::edit(txn, &mut rng);
                        if rng.chance(10) {
                            txn.delete(NOTES, &format!("d{}", rng.below(3)))?;
                        }
                    }
                    Ok(())
                })
                .unwrap();
            let after = shown(&a);
            if after == before || rng.chance(50) {
                continue;
            }
            if rng.chance(30) {
                b.store.write(|txn| txn.set(NOTES, "elsewhere", "x", step)).unwrap();
                meet(&[&a, &b]);
                continue;
            }
            undo(&a, &all());
            assert_eq!(shown(&a), before);
            if rng.chance(50) {
                undo(&a, &all());
                assert_eq!(shown(&a), after);
            }
        }
        meet(&[&a, &b]);
        assert_same(&[&a, &b]);
    });
}

#[test]
fn what_the_log_no_longer_has_is_not_undone_by_half() {
    let budget = LogBudget { bytes: 16 << 10, ..LogBudget::default() };
    let a = Replica::small(0, Small { segment_bytes: 2 << 10, budget });
    let fill = || {
        (0..300i64).for_each(|n| a.notes().set("m", "x", n).unwrap());
        a.store.prune().unwrap();
    };
    a.notes().put("n", &fields([("f", Field::from(1i64)), ("g", Field::from(1i64))])).unwrap();
    fill();
    for write in [
        (|txn| txn.set(NOTES, "n", "f", 2i64)) as fn(&mut Transaction) -> littoral::Result<()>,
        |txn| txn.delete(NOTES, "n").map(drop),
    ] {
        a.store.write(write).unwrap();
        let after = shown(&a);
        let refused = a.store.undo(&all()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert!(refused.message().contains("nothing was changed"), "{refused}");
        assert_eq!(shown(&a), after);
    }
    // What it replaced is in the log, and the log's beginning is not.
    a.notes().set("n", "f", 3i64).unwrap();
    a.notes().set("n", "f", 4i64).unwrap();
    undo(&a, &all());
    assert_eq!(field(&a, "n", "f"), Some(Field::from(3i64)));
    // A checkpoint before helps with everything.
    a.store.checkpoint("L").unwrap();
    let before = shown(&a);
    a.notes().delete("n").unwrap();
    undo(&a, &all());
    assert_eq!(shown(&a), before);
    a.store.delete_checkpoint("L").unwrap();
    a.store.collection(PLANS).unwrap().set("p", "x", 1i64).unwrap();
    let other = a.store.undo(&all()).unwrap();
    assert_eq!(other.documents(), 1);
}

#[test]
fn an_undo_is_done_or_not_on_a_disk_that_dies_at_any_call() {
    for calls in 0.. {
        let a = Replica::new(0);
        let write = |n: i64| {
            a.store
                .write(|txn| {
                    for id in 0..30 {
                        txn.set(NOTES, &format!("n{id}"), "x", n)?;
                        txn.set(PLANS, &format!("n{id}"), "x", n)?;
                    }
                    Ok(())
                })
                .unwrap();
        };
        write(1);
        let before = shown(&a);
        write(2);
        let after = shown(&a);
        a.disk.dead_after(calls);
        let done = a.store.undo(&all()).is_ok();
        let a = a.after_power_cut(Some(calls));
        let now = shown(&a);
        assert!(now == before || now == after && !done, "{calls}");
        undo(&a, &all());
        assert_eq!(shown(&a), if now == before { after } else { before });
        if done {
            assert!(calls > 1, "{calls}");
            return;
        }
    }
}

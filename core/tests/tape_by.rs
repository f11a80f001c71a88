//! Reverting what one node did: its edits go, everybody else's stay.

mod common;

use std::collections::BTreeMap;

use common::link::sync;
use common::{NOTES, Replica, Rng, Small, assert_same, each_seed, fields, meet, snapshot};
use littoral::store::{Difference, LogBudget, RevertScope, Reverted};
use littoral::value::{Path, fields_to_json};
use littoral::{ErrorKind, Field, Fields, Transaction};

fn field(a: &Replica, id: &str, path: impl Into<Path>) -> Option<Field> {
    a.notes().get_field(id, path).unwrap()
}

fn by(replica: &Replica) -> RevertScope {
    RevertScope::by(replica.store.node_id())
}

fn forced(replica: &Replica) -> RevertScope {
    RevertScope { force: true, ..by(replica) }
}

fn plan(a: &Replica, scope: &RevertScope) -> Vec<Difference> {
    a.store.revert_plan("L", scope).unwrap().map(Result::unwrap).collect()
}

/// Reverts, and holds that it does what was planned, and that there is nothing left to do.
fn revert(a: &Replica, scope: &RevertScope) -> Reverted {
    let mut planned = plan(a, scope);
    planned.retain(Difference::is_change);
    let mut heard = Vec::new();
    let done = a.store.revert("L", scope, &mut |found| heard.push(found.clone())).unwrap();
    assert_eq!(heard, planned);
    for found in planned.iter().filter(|_| scope.path.is_none()) {
        let there = a.store.collection(&found.collection).unwrap().get(&found.id).unwrap();
        let there = there.map(|document| document.into_fields());
        assert_eq!(there, found.after, "{}", found.id);
    }
    let left: Vec<_> = plan(a, scope).into_iter().filter(Difference::is_change).collect();
    assert_eq!(left, [], "doing it twice is doing it once");
    a.store.check_rows().unwrap();
    done
}

/// Each: how a field was, what the bad one does, what another does before, after and beside it,
/// and what it shall be.
#[test]
fn what_nobody_else_has_changed_goes_back_and_the_rest_is_kept_and_told() {
    let (a, bad, other) = (Replica::new(0), Replica::new(1), Replica::new(2));
    let all = [&a, &bad, &other];
    let ids = ["value", "gone", "new", "after", "beside", "before", "kind", "same", "undone"];
    for id in ids {
        a.notes().put(id, &fields([("f", Field::from(5i64)), ("g", Field::from(1i64))])).unwrap();
    }
    a.notes().unset("new", "f").unwrap();
    a.notes().put("doc", &fields([("f", Field::from(5i64)), ("n", Field::Counter(4))])).unwrap();
    meet(&all);
    a.store.checkpoint("L").unwrap();
    other.notes().set("before", "f", 6i64).unwrap();
    meet(&all);
    let wrong = |id: &str| bad.notes().set(id, "f", 99i64).unwrap();
    for id in ["value", "new", "after", "before", "same", "undone"] {
        wrong(id);
    }
    bad.notes().unset("gone", "f").unwrap();
    bad.notes().set("kind", "f", Field::set(["x"])).unwrap();
    bad.notes().delete("doc").unwrap();
    bad.notes().put("made", &fields([("f", Field::from(99i64))])).unwrap();
    bad.notes().put("shared", &fields([("f", Field::from(99i64))])).unwrap();
    // Beside it, without having seen it.
    wrong("beside");
    other.notes().set("beside", "f", 7i64).unwrap();
    meet(&all);
    other.notes().set("after", "f", 8i64).unwrap();
    other.notes().set("same", "f", 5i64).unwrap();
    other.notes().unset("undone", "f").unwrap();
    other.notes().set("value", "g", 2i64).unwrap();
    other.notes().set("shared", "g", 2i64).unwrap();
    meet(&all);
    let beside = field(&a, "beside", "f");

    let planned = plan(&a, &by(&bad));
    let of = |id: &str| planned.iter().find(|found| found.id == id);
    let kept = |id: &str| of(id).map_or(vec![], |found| found.kept.clone());
    for (id, path) in [("after", "/f"), ("beside", "/f"), ("undone", "/f"), ("shared", "")] {
        let told = kept(id);
        assert_eq!(told.len(), 1, "{id}");
        assert_eq!(told[0].path.to_string(), path);
        assert_eq!(told[0].dot.origin.node, other.store.node_id(), "{id}");
    }
    assert!(of("same").is_none() && of("value").unwrap().kept.is_empty());
    let written = &of("value").unwrap().written;
    assert_eq!(written[0].dot.origin.node, bad.store.node_id());
    assert_eq!(of("gone").unwrap().written[0].dot.origin.node, bad.store.node_id());

    let done = revert(&a, &by(&bad));
    assert_eq!((done.documents, done.kept), (8, 3));
    meet(&all);
    assert_same(&all);
    for (id, f) in [
        ("value", Some(5i64)),
        ("gone", Some(5)),
        ("new", None),
        ("after", Some(8)),
        ("before", Some(6)),
        ("kind", Some(5)),
        ("same", Some(5)),
        ("undone", None),
        ("doc", Some(5)),
        ("made", None),
        ("shared", None),
    ] {
        assert_eq!(field(&bad, id, "f"), f.map(Field::from), "{id}");
    }
    assert_eq!(field(&bad, "beside", "f"), beside);
    assert_eq!(field(&a, "value", "g"), Some(Field::from(2i64)));
    assert_eq!(field(&a, "doc", "n"), Some(Field::Counter(4)));
    assert!(a.notes().get("made").unwrap().is_none());
    assert_eq!(a.notes().get("shared").unwrap().unwrap().into_fields().len(), 1);

    // With force also what others have changed, and nothing that they wrote beside it.
    let done = revert(&a, &forced(&bad));
    assert_eq!((done.documents, done.kept), (3, 0));
    for id in ["after", "beside", "undone"] {
        assert_eq!(field(&a, id, "f"), Some(Field::from(5i64)), "{id}");
    }
    assert_eq!(field(&a, "value", "g"), Some(Field::from(2i64)));
    assert_eq!(field(&a, "before", "f"), Some(Field::from(6i64)));
    meet(&all);
    assert_same(&all);
}

#[test]
fn of_a_counter_what_one_node_added_is_taken_away_whatever_others_add() {
    let (a, bad, other) = (Replica::new(0), Replica::new(1), Replica::new(2));
    let all = [&a, &bad, &other];
    a.notes().increment("n", "hits", 10).unwrap();
    meet(&all);
    bad.notes().increment("n", "hits", 3).unwrap();
    bad.notes().increment("zero", "hits", 0).unwrap();
    meet(&all);
    a.store.checkpoint("L").unwrap();
    bad.notes().increment("n", "hits", 1000).unwrap();
    bad.notes().increment("zero", "hits", 7).unwrap();
    bad.notes().increment("new", "hits", 70).unwrap();
    other.notes().increment("n", "hits", 5).unwrap();
    meet(&all);
    bad.notes().increment("n", "hits", 2000).unwrap();
    other.notes().increment("n", "hits", 6).unwrap();
    meet(&all);
    // Goes on adding while it is reverted.
    bad.notes().increment("n", "hits", 20).unwrap();
    let done = revert(&a, &by(&bad));
    assert_eq!((done.documents, done.kept), (3, 0));
    assert_eq!(field(&a, "n", "hits"), Some(Field::Counter(24)));
    assert_eq!(field(&a, "zero", "hits"), Some(Field::Counter(0)));
    assert!(a.notes().get("new").unwrap().is_none());
    meet(&all);
    assert_same(&all);
    assert_eq!(field(&bad, "n", "hits"), Some(Field::Counter(44)));
    revert(&a, &by(&bad));
    bad.notes().increment("n", "hits", 1).unwrap();
    meet(&all);
    assert_same(&all);
    assert_eq!(field(&other, "n", "hits"), Some(Field::Counter(25)));

    // Who removes a counter is undone as of any field: unless others have begun it anew.
    for id in ["p", "q"] {
        a.notes().increment(id, "hits", 4).unwrap();
    }
    meet(&all);
    a.store.delete_checkpoint("L").unwrap();
    a.store.checkpoint("L").unwrap();
    bad.notes().unset("p", "hits").unwrap();
    bad.notes().unset("q", "hits").unwrap();
    meet(&all);
    other.notes().increment("q", "hits", 1).unwrap();
    meet(&all);
    let done = revert(&a, &by(&bad));
    assert_eq!((done.documents, done.kept), (1, 1));
    assert_eq!(field(&a, "p", "hits"), Some(Field::Counter(4)));
    assert_eq!(field(&a, "q", "hits"), Some(Field::Counter(1)));
    // Own additions, too, and twice is once.
    a.notes().increment("p", "hits", 50).unwrap();
    other.notes().increment("p", "hits", 2).unwrap();
    meet(&all);
    a.store.delete_checkpoint("L").unwrap();
    a.store.checkpoint("L").unwrap();
    a.notes().increment("p", "hits", 500).unwrap();
    other.notes().increment("p", "hits", 3).unwrap();
    meet(&all);
    revert(&a, &by(&a));
    assert_eq!(field(&a, "p", "hits"), Some(Field::Counter(59)));
}

#[test]
fn of_a_set_the_elements_of_others_stay() {
    let (a, bad, other) = (Replica::new(0), Replica::new(1), Replica::new(2));
    let all = [&a, &bad, &other];
    a.notes().put("n", &fields([("tags", Field::set(["a", "b"]))])).unwrap();
    meet(&all);
    a.store.checkpoint("L").unwrap();
    bad.notes().add("n", "tags", "wrong").unwrap();
    bad.notes().remove("n", "tags", "a").unwrap();
    meet(&all);
    other.notes().add("n", "tags", "c").unwrap();
    other.notes().remove("n", "tags", "b").unwrap();
    meet(&all);
    revert(&a, &by(&bad));
    meet(&all);
    assert_same(&all);
    assert_eq!(field(&bad, "n", "tags"), Some(Field::set(["a", "c"])));
}

#[test]
fn a_part_of_what_one_node_did_is_reverted_alone() {
    let (a, bad) = (Replica::new(0), Replica::new(1));
    let plans = bad.store.collection("plans").unwrap();
    for id in ["n1", "n2"] {
        bad.notes().put(id, &fields([("f", Field::from(1i64)), ("g", Field::from(1i64))])).unwrap();
        plans.set(id, "f", 1i64).unwrap();
    }
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    a.store.checkpoint("L").unwrap();
    for id in ["n1", "n2"] {
        bad.notes().put(id, &fields([("f", Field::from(9i64)), ("g", Field::from(9i64))])).unwrap();
        plans.set(id, "f", 9i64).unwrap();
    }
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    let node = Some(bad.store.node_id());
    revert(&a, &RevertScope { by: node, ..RevertScope::field(NOTES, "n1", "f") });
    assert_eq!(field(&a, "n1", "f"), Some(Field::from(1i64)));
    assert_eq!(field(&a, "n1", "g"), Some(Field::from(9i64)));
    revert(&a, &RevertScope { by: node, ..RevertScope::document(NOTES, "n1") });
    assert_eq!(field(&a, "n1", "g"), Some(Field::from(1i64)));
    assert_eq!(field(&a, "n2", "g"), Some(Field::from(9i64)));
    revert(&a, &RevertScope { by: node, ..RevertScope::collection("plans") });
    assert_eq!(field(&a, "n2", "g"), Some(Field::from(9i64)));
    assert_eq!(
        a.store.collection("plans").unwrap().get_field("n2", "f").unwrap(),
        Some(Field::from(1i64))
    );
    revert(&a, &by(&bad));
    assert_eq!(field(&a, "n2", "g"), Some(Field::from(1i64)));
}

fn edit(txn: &mut Transaction, rng: &mut Rng) -> littoral::Result<()> {
    let id = format!("x{}", rng.below(4));
    match rng.below(8) {
        0 => drop(txn.delete(NOTES, &id)?),
        1 => {
            let content = fields([
                ("f", Field::from(rng.below(9) as i64)),
                ("m", Field::map([("x", rng.below(3) as i64)])),
            ]);
            txn.put(NOTES, &id, &content)?;
        }
        2 => txn.set(NOTES, &id, ("m", *rng.pick(&["x", "y"])), rng.below(5) as i64)?,
        3 => drop(txn.unset(NOTES, &id, *rng.pick(&["f", "m", "hits", "tags"]))?),
        _ => common::edit(txn, rng),
    }
    Ok(())
}

/// Chance: what is planned is done, once; nobody else's documents change; all replicas agree; and
/// where nobody else wrote since, all is as it was.
#[test]
fn a_revert_of_one_node_holds_under_random_histories() {
    each_seed("tape by", 30, |seed| {
        let mut rng = Rng::new(seed);
        let replicas = [Replica::new(0), Replica::new(1), Replica::new(2)];
        let [a, bad, other] = &replicas;
        let all = [a, bad, other];
        let alone = seed % 3 == 0;
        for _ in 0..rng.below(20) {
            let replica = *rng.pick(&all);
            replica.store.write(|txn| edit(txn, &mut rng)).unwrap();
            if rng.chance(40) {
                meet(&all);
            }
        }
        meet(&all);
        let before: BTreeMap<String, Fields> = snapshot(&a.notes()).into_iter().collect();
        a.store.checkpoint("L").unwrap();
        let mut written = Vec::new();
        for _ in 0..20 {
            let replica = if alone { bad } else { *rng.pick(&all) };
            replica.store.write(|txn| edit(txn, &mut rng)).unwrap();
            if rng.chance(40) {
                meet(&all);
            }
            written.push(replica.store.node_id());
        }
        meet(&all);
        let after: BTreeMap<String, Fields> = snapshot(&a.notes()).into_iter().collect();
        revert(a, &by(bad));
        let now: BTreeMap<String, Fields> = snapshot(&a.notes()).into_iter().collect();
        if alone {
            assert_eq!(now, before);
        }
        if !written.contains(&bad.store.node_id()) {
            assert_eq!(now, after);
        }
        // What follows from somebody else's edits alone is not touched.
        meet(&all);
        assert_same(&all);
        revert(a, &by(a));
        revert(a, &forced(bad));
        meet(&all);
        assert_same(&all);
    });
}

#[test]
fn what_the_log_no_longer_tells_is_refused_with_the_way_out() {
    let budget = LogBudget { bytes: 16 << 10, ..LogBudget::default() };
    let (a, bad) = (Replica::small(0, Small { segment_bytes: 2 << 10, budget }), Replica::new(1));
    bad.notes().set("n", "f", 1i64).unwrap();
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    a.store.checkpoint("L").unwrap();
    bad.notes().set("n", "f", 9i64).unwrap();
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    assert_eq!(plan(&a, &by(&bad)).len(), 1);
    (0..400i64).for_each(|n| a.notes().set("m", "x", n).unwrap());
    a.store.prune().unwrap();
    let shown = snapshot(&a.notes());
    let refused = a.store.revert("L", &by(&bad), &mut |_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.message().contains("name a later checkpoint"), "{refused}");
    assert_eq!(snapshot(&a.notes()), shown);

    // A snapshot does not tell who removed what.
    let (a, b) = (Replica::new(2), Replica::new(3));
    b.notes().set("n", "f", 1i64).unwrap();
    b.store.collection("plans").unwrap().set("n", "f", 1i64).unwrap();
    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]]);
    a.store.checkpoint("L").unwrap();
    b.notes().set("n", "f", 2i64).unwrap();
    b.store.collection("plans").unwrap().set("n", "f", 2i64).unwrap();
    common::join(&a.store, &b.store, NOTES);
    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]]);
    let refused = a.store.revert("L", &by(&b), &mut |_| ()).unwrap_err();
    assert!(refused.message().contains("'notes' came as a snapshot"), "{refused}");
    let rest = RevertScope { by: by(&b).by, ..RevertScope::collection("plans") };
    assert_eq!(plan(&a, &rest).len(), 1);
    let unknown = a.store.revert("K", &by(&b), &mut |_| ()).unwrap_err();
    assert!(unknown.message().contains("there are: L"), "{unknown}");
}

#[test]
fn what_a_node_did_in_all_its_incarnations_is_reverted() {
    let (a, bad) = (Replica::new(0), Replica::new(1));
    bad.notes().set("n", "f", 1i64).unwrap();
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    a.store.checkpoint("L").unwrap();
    bad.notes().set("n", "f", 9i64).unwrap();
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    bad.store.leave(NOTES).unwrap();
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    bad.notes().set("n", "g", 9i64).unwrap();
    assert_eq!(sync(&a.store, &bad.store), [vec![], vec![]]);
    revert(&a, &by(&bad));
    assert_eq!(
        a.notes().get("n").unwrap().unwrap().into_fields(),
        fields([("f", Field::from(1i64))])
    );
}

/// The story for which this is there. `LITTORAL_REVERT` asks for more documents.
#[test]
fn a_bad_import_goes_everywhere_while_others_go_on_editing() {
    let count = std::env::var("LITTORAL_REVERT").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let wrongs: usize = count / 5;
    let (a, bad, other) = (Replica::new(0), Replica::new(1), Replica::new(2));
    let all = [&a, &bad, &other];
    let meet = || {
        for _ in 0..2 {
            for (one, two) in [(&a, &bad), (&a, &other), (&bad, &other)] {
                assert_eq!(sync(&one.store, &two.store), [vec![], vec![]]);
            }
        }
    };
    let ids: Vec<String> = (0..count).map(|n| format!("n{n:06}")).collect();
    for part in ids.chunks(500) {
        let put = |txn: &mut Transaction| {
            part.iter().try_for_each(|id| {
                let content = fields([("depth", Field::from(7i64)), ("name", Field::from(&**id))]);
                txn.put(NOTES, id, &content)
            })
        };
        other.store.write(put).unwrap();
    }
    meet();
    let before: BTreeMap<String, Fields> = snapshot(&a.notes()).into_iter().collect();
    a.store.checkpoint("L").unwrap();
    for part in ids[..wrongs].chunks(500) {
        let import = |txn: &mut Transaction| {
            part.iter().try_for_each(|id| txn.set(NOTES, id, "depth", -9999i64))
        };
        bad.store.write(import).unwrap();
    }
    bad.notes().put("nowhere", &fields([("depth", Field::from(-9999i64))])).unwrap();
    meet();
    let mut expected = before;
    // Others go on: in wrong documents, in others, and one puts a wrong value right by hand.
    let mut go_on = |round: i64, each: &Replica| {
        for n in (0..count).step_by(7) {
            each.notes().set(&ids[n], "seen", round).unwrap();
            expected.get_mut(&ids[n]).unwrap().insert("seen", Field::from(round));
        }
    };
    go_on(1, &other);
    other.notes().set(&ids[0], "depth", 8i64).unwrap();
    meet();
    go_on(2, &other);
    let mut heard = 0;
    let done = a
        .store
        .revert("L", &by(&bad), &mut |_| {
            heard += 1;
            if heard % 97 == 0 {
                a.notes().set("n000001", "seen", 2i64).unwrap();
            }
        })
        .unwrap();
    a.notes().unset("n000001", "seen").unwrap();
    assert_eq!((done.documents, done.kept), (wrongs as u64, 1));
    meet();
    assert_same(&all);
    expected.get_mut(&ids[0]).unwrap().insert("depth", Field::from(8i64));
    let now: BTreeMap<String, Fields> = snapshot(&bad.notes()).into_iter().collect();
    let json = |all: &BTreeMap<String, Fields>| {
        all.iter().map(|(id, f)| (id.clone(), fields_to_json(f).to_string())).collect::<Vec<_>>()
    };
    assert_eq!(json(&now), json(&expected));
}

#[test]
fn a_revert_of_one_node_goes_on_after_a_disk_that_dies_at_any_call() {
    for calls in (0..).step_by(11) {
        let (a, bad, other) = (Replica::new(0), Replica::new(1), Replica::new(2));
        let all = [&a, &bad, &other];
        let put_all = |replica: &Replica, n: i64| {
            let put = |txn: &mut Transaction| {
                (0..600).try_for_each(|id| txn.set(NOTES, &format!("n{id:03}"), "n", n))
            };
            replica.store.write(put).unwrap();
        };
        put_all(&a, 1);
        a.notes().increment("n000", "hits", 5).unwrap();
        meet(&all);
        let before = snapshot(&a.notes());
        a.store.checkpoint("L").unwrap();
        put_all(&bad, 2);
        bad.notes().increment("n000", "hits", 5).unwrap();
        meet(&all);
        a.disk.dead_after(calls);
        let done = a.store.revert("L", &by(&bad), &mut |_| ()).is_ok();
        let a = a.after_power_cut(Some(calls));
        a.store.check_rows().unwrap();
        revert(&a, &by(&bad));
        assert_eq!(snapshot(&a.notes()), before, "{calls}");
        meet(&[&a, &bad, &other]);
        assert_same(&[&a, &bad, &other]);
        if done {
            assert!(calls > 5, "{calls}");
            return;
        }
    }
}

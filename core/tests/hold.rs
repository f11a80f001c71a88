//! Hold: a collection shows a checkpoint and own writes, while nothing is undone.

mod common;

use std::time::Duration;

use common::{NOTES, Replica, Rng, Small, assert_same, each_seed, fields, meet, pull, snapshot};
use littoral::store::{LogBudget, RevertScope, UndoScope, VerifyOptions};
use littoral::value::Value;
use littoral::{ErrorKind, Field, Fields, ScanRange, Store, Transaction};

fn x(replica: &Replica, id: &str) -> Option<i64> {
    replica.notes().get_field(id, "x").unwrap()?.as_value()?.as_i64()
}

fn hits(replica: &Replica) -> Option<i64> {
    replica.notes().get_field("d0", "hits").unwrap()?.as_counter()
}

fn hold(replica: &Replica, label: &str) {
    replica.store.rollback_hold(label, Some(&[NOTES])).unwrap();
}

fn resume(replica: &Replica) {
    assert_eq!(replica.store.resume(None).unwrap().len(), 1);
}

/// All ways to read a collection tell the same, and what is kept beside it is right.
fn check(store: &Store) -> Vec<(String, Fields)> {
    let notes = store.collection(NOTES).unwrap();
    let all = snapshot(&notes);
    assert_eq!(notes.len(), all.len() as u64);
    let range = ScanRange { reverse: true, ..ScanRange::default() };
    let back = notes.scan(&range).unwrap().map(|doc| doc.unwrap().id().to_owned());
    let mut back: Vec<String> = back.collect();
    back.reverse();
    assert_eq!(back, all.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
    let mut conflicts = Vec::new();
    for (id, shown) in &all {
        assert!(notes.contains(id).unwrap());
        let document = notes.get(id).unwrap().unwrap();
        assert_eq!(document.fields(), shown);
        for name in shown.keys() {
            assert_eq!(notes.get_field(id, &**name).unwrap().as_ref(), shown.get(name));
        }
        let mut found = document.conflicts();
        found.iter_mut().for_each(|conflict| conflict.collection = NOTES.to_owned());
        conflicts.extend(found);
    }
    assert_eq!(notes.conflicts().unwrap(), conflicts);
    let verified = store.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
    all
}

#[test]
fn it_shows_the_checkpoint_and_own_writes_and_resuming_shows_all() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n1", "x", 1i64).unwrap();
    a.notes().set("n2", "x", 1i64).unwrap();
    a.notes().set("n3", "x", 1i64).unwrap();
    a.store.checkpoint("before").unwrap();
    meet(&[&a, &b]);
    b.notes().set("n1", "x", 99i64).unwrap();
    b.notes().delete("n2").unwrap();
    b.notes().set("n9", "x", 99i64).unwrap();
    a.notes().set("n3", "x", 2i64).unwrap();
    meet(&[&a, &b]);
    let (vector, cells) = a.store.held(NOTES);

    hold(&a, "before");
    assert_eq!(
        (x(&a, "n1"), x(&a, "n2"), x(&a, "n3"), x(&a, "n9")),
        (Some(1), Some(1), Some(2), None)
    );
    check(&a.store);
    assert_eq!(a.store.held(NOTES), (vector, cells), "nothing is undone");

    // Written over what is shown.
    a.notes().set("n1", "x", 5i64).unwrap();
    a.notes().set("n4", "x", 5i64).unwrap();
    assert!(a.notes().delete("n2").unwrap());
    assert!(!a.notes().contains("n9").unwrap());
    assert_eq!((x(&a, "n1"), x(&a, "n2"), x(&a, "n4")), (Some(5), None, Some(5)));
    assert!(a.store.conflicts().unwrap().is_empty());
    check(&a.store);
    // What arrives meanwhile is kept and not shown.
    b.notes().set("n3", "y", 7i64).unwrap();
    pull(&a, &b);
    assert_eq!(a.notes().get_field("n3", "y").unwrap(), None);
    check(&a.store);

    let a = a.after_power_cut(Some(1));
    assert_eq!(a.store.holds().len(), 1);
    assert_eq!((x(&a, "n1"), x(&a, "n2"), x(&a, "n4")), (Some(5), None, Some(5)));
    check(&a.store);

    resume(&a);
    assert!(a.store.holds().is_empty());
    let conflicts = a.store.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1, "neither had seen the other");
    let sides: Vec<_> = conflicts[0].candidates.iter().map(|side| side.field.clone()).collect();
    assert!(sides.contains(&Field::from(5i64)) && sides.contains(&Field::from(99i64)));
    assert_eq!((x(&a, "n9"), x(&a, "n2"), x(&a, "n3")), (Some(99), None, Some(2)));
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    check(&a.store);
}

/// Schedule S10: what was seen before stays seen, so nothing that was deleted comes back.
#[test]
fn what_was_deleted_before_does_not_come_back() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("other", "x", 0i64).unwrap();
    a.store.checkpoint("before").unwrap();
    b.notes().set("n", "x", 1i64).unwrap();
    pull(&a, &b);
    a.notes().delete("n").unwrap();
    hold(&a, "before");
    a.notes().set("other", "x", 3i64).unwrap();
    resume(&a);
    assert_eq!(x(&a, "n"), None);
    // Whoever gets what was written while it was held needs all that it depends on.
    let lacking = common::stream(&a.store, NOTES, &common::vector(&c.store, NOTES));
    let own: Vec<_> = lacking
        .into_iter()
        .filter(|(dot, _)| dot.origin.node == a.store.node_id())
        .map(|(_, bytes)| bytes)
        .collect();
    // The deletion waits for what it deletes, and what was written while it was held for that.
    let refused = c.store.apply_remote(NOTES, own).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MissingDependency, "{refused}");
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(x(&c, "n"), None);
}

#[test]
fn counters_count_each_addition_once_however_they_are_reset() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("d0", "hits", 7).unwrap();
    a.store.checkpoint("before").unwrap();
    meet(&[&a, &b]);
    // It is reset elsewhere, and added to here: the row of before is gone.
    b.notes().unset("d0", "hits").unwrap();
    pull(&a, &b);
    a.notes().increment("d0", "hits", 1).unwrap();
    assert_eq!(hits(&a), Some(1));
    hold(&a, "before");
    assert_eq!(hits(&a), Some(8), "the reset is of another");
    a.notes().increment("d0", "hits", 2).unwrap();
    a.notes().increment("d0", "hits", 2).unwrap();
    assert_eq!(hits(&a), Some(12));
    check(&a.store);
    resume(&a);
    assert_eq!(hits(&a), Some(5));
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    // Reset while it is held: what is shown goes, and what others have added since stays.
    a.store.checkpoint("again").unwrap();
    b.notes().increment("d0", "hits", 100).unwrap();
    meet(&[&a, &b]);
    hold(&a, "again");
    assert_eq!(hits(&a), Some(5));
    a.notes().unset("d0", "hits").unwrap();
    a.notes().increment("d0", "hits", 3).unwrap();
    assert_eq!(hits(&a), Some(3));
    resume(&a);
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    assert_eq!(hits(&b), Some(103));
}

/// What shows only own writes since the checkpoint shows what the state does.
fn wild(txn: &mut Transaction, rng: &mut Rng) -> littoral::Result<()> {
    let id = *rng.pick(&["d0", "d1", "d2"]);
    let by = rng.below(9) as i64 - 3;
    match rng.below(12) {
        0 => txn.put(
            NOTES,
            id,
            &fields([("x", by.into()), ("m", Field::Map(fields([("y", by.into())])))]),
        ),
        1 => txn.set(NOTES, id, "m", by),
        2 => txn.unset(NOTES, id, "m").map(drop),
        3 => txn.merge(NOTES, id, &fields([("m", Field::Map(fields([("z", by.into())])))])),
        4 => txn.set(NOTES, id, "tags", Field::Set([Value::from(by)].into_iter().collect())),
        5 => txn.delete(NOTES, id).map(drop),
        _ => {
            common::edit(txn, rng);
            Ok(())
        }
    }
}

fn some(replica: &Replica, rng: &mut Rng, most: usize) {
    for _ in 0..rng.below(most) {
        // What is put over another kind may be refused; then nothing of it is written.
        let _ = replica.store.write(|txn| wild(txn, rng));
    }
}

#[test]
fn own_writes_alone_show_what_the_state_does() {
    each_seed("hold own", 60, |seed| {
        let mut rng = Rng::new(seed);
        let (a, b) = (Replica::new(0), Replica::new(1));
        for _ in 0..3 {
            some(&a, &mut rng, 6);
            some(&b, &mut rng, 6);
            pull(&a, &b);
        }
        // So that there is something that was seen.
        a.notes().set("d0", "x", 1i64).unwrap();
        a.store.checkpoint("before").unwrap();
        some(&a, &mut rng, 12);
        let before = check(&a.store);
        let conflicts = a.store.conflicts().unwrap();
        hold(&a, "before");
        assert_eq!(check(&a.store), before);
        assert_eq!(a.store.conflicts().unwrap(), conflicts);
        some(&a, &mut rng, 12);
        let held = check(&a.store);
        resume(&a);
        assert_eq!(check(&a.store), held, "nothing came from elsewhere");
    });
}

/// A store that has nothing but what is shown, and does the same, shows the same.
#[test]
fn writes_over_what_is_shown_do_what_they_do_where_it_is_all_there_is() {
    each_seed("hold twin", 60, |seed| {
        let mut rng = Rng::new(seed);
        let (a, b) = (Replica::new(0), Replica::new(1));
        for _ in 0..2 {
            some(&a, &mut rng, 6);
            some(&b, &mut rng, 6);
            meet(&[&a, &b]);
        }
        a.notes().set("d0", "x", 1i64).unwrap();
        a.store.checkpoint("before").unwrap();
        for _ in 0..3 {
            some(&b, &mut rng, 6);
            if rng.chance(60) {
                pull(&a, &b);
            }
            some(&a, &mut rng, 3);
            if rng.chance(60) {
                pull(&b, &a);
            }
        }
        hold(&a, "before");
        let twin = Replica::new(5);
        if rng.chance(50) {
            pull(&a, &b);
        }
        for (id, shown) in check(&a.store) {
            twin.notes().put(&id, &shown).unwrap();
        }
        let mut again = Rng::new(seed ^ 0xabcd);
        let mut same = Rng::new(seed ^ 0xabcd);
        for n in 0..again.below(14) {
            if n == 0 {
                same.below(14);
            }
            let here = a.store.write(|txn| wild(txn, &mut again)).is_ok();
            let there = twin.store.write(|txn| wild(txn, &mut same)).is_ok();
            if a.store.conflicts().unwrap().is_empty() {
                assert_eq!(here, there);
                assert_eq!(check(&a.store), snapshot(&twin.notes()), "write {n}");
            } else {
                // The twin has the winner alone.
                break;
            }
            if rng.chance(20) {
                some(&b, &mut rng, 3);
                pull(&a, &b);
            }
        }
        let a = if rng.chance(30) { a.after_power_cut(Some(seed)) } else { a };
        resume(&a);
        meet(&[&a, &b]);
        assert_same(&[&a, &b]);
    });
}

#[test]
fn replicas_that_hold_and_resume_at_random_converge_and_count_right() {
    each_seed("hold many", 40, |seed| {
        let mut rng = Rng::new(seed);
        let mut all = [Replica::new(0), Replica::new(1), Replica::new(2)];
        let (mut added, mut label) = ([0; 3], 0);
        for _ in 0..60 {
            let at = rng.below(3);
            match rng.below(12) {
                0..=2 => some(&all[at], &mut rng, 4),
                3 | 4 => {
                    let by = rng.below(9) as i64;
                    all[at].notes().increment("sums", "all", by).unwrap();
                    added[at] += by;
                }
                5 => {
                    label += 1;
                    all[at].notes().increment("sums", "all", 0).unwrap();
                    all[at].store.checkpoint(&label.to_string()).unwrap();
                }
                6 | 7 => {
                    let labels = all[at].store.checkpoints();
                    if labels.is_empty() {
                        continue;
                    }
                    let label = &rng.pick(&labels).label;
                    match all[at].store.rollback_hold(label, None) {
                        Ok(_) => drop(check(&all[at].store)),
                        Err(err) => assert_eq!(err.kind(), ErrorKind::InvalidInput, "{err}"),
                    }
                }
                8 => drop(all[at].store.resume(None).unwrap()),
                9 => all[at] = all[at].after_power_cut(Some(rng.next())),
                _ => drop(pull(&all[at], &all[(at + 1 + rng.below(2)) % 3])),
            }
            if rng.chance(20) {
                check(&all[at].store);
            }
        }
        all.iter().for_each(|replica| drop(replica.store.resume(None).unwrap()));
        let all: Vec<&Replica> = all.iter().collect();
        meet(&all);
        assert_same(&all);
        let sum = all[0].notes().get_field("sums", "all").unwrap();
        let sum = sum.and_then(|sum| sum.as_counter()).unwrap_or(0);
        assert_eq!(sum, added.iter().sum::<i64>(), "each addition once");
    });
}

#[test]
fn a_collection_that_began_later_is_held_empty_but_for_own_writes() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.store.collection("other").unwrap().set("n", "x", 1i64).unwrap();
    a.store.checkpoint("before").unwrap();
    b.notes().set("n1", "x", 1i64).unwrap();
    pull(&a, &b);
    a.notes().set("n2", "x", 2i64).unwrap();
    let held = a.store.rollback_hold("before", None).unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(held[0].collection, "notes");
    assert_eq!((x(&a, "n1"), x(&a, "n2")), (None, Some(2)));
    a.notes().set("n3", "x", 3i64).unwrap();
    assert_eq!(check(&a.store).len(), 2);
    assert_eq!(a.store.resume(Some("notes")).unwrap().len(), 1);
    assert_eq!(check(&a.store).len(), 3);
    assert_eq!(a.store.holds().len(), 1);
    assert_eq!(a.store.resume(Some("notes")).unwrap(), []);
}

/// What was written to a collection of this name that was left is nobody's any more.
#[test]
fn what_was_written_before_a_collection_was_left_is_not_shown() {
    let a = Replica::new(0);
    a.store.checkpoint("before").unwrap();
    a.notes().set("old", "x", 1i64).unwrap();
    a.notes().set("n", "x", 1i64).unwrap();
    assert!(a.store.leave(NOTES).unwrap());
    a.notes().set("n", "x", 2i64).unwrap();
    hold(&a, "before");
    assert_eq!((x(&a, "old"), x(&a, "n")), (None, Some(2)));
    a.notes().set("n", "x", 3i64).unwrap();
    assert!(check(&a.store).len() == 1 && a.store.conflicts().unwrap().is_empty());
    resume(&a);
    assert_eq!(x(&a, "n"), Some(3));
}

/// What was written here and is gone from the log can't be shown, also where the checkpoint is of an
/// empty store.
#[test]
fn a_log_that_no_longer_reaches_back_is_told() {
    let budget = LogBudget { bytes: 2 << 10, age_ms: u64::MAX };
    let a = Replica::small(0, Small { segment_bytes: 1 << 10, budget });
    a.store.checkpoint("empty").unwrap();
    let mut rng = Rng::new(1);
    for n in 0..40 {
        // Nothing that packs.
        let noise: String = (0..64).map(|_| format!("{:016x}", rng.next())).collect();
        a.notes().set(&format!("n{n:02}"), "x", noise.as_str()).unwrap();
    }
    a.store.prune().unwrap();
    assert!(!a.store.checkpoint_costs().unwrap()[0].log_held);
    let refused = a.store.rollback_hold("empty", None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    assert!(a.store.holds().is_empty());
    assert_eq!(check(&a.store).len(), 40);
}

#[test]
fn what_was_written_under_the_key_before_is_shown_too() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.checkpoint("before").unwrap();
    a.notes().set("n", "x", 2i64).unwrap();
    a.store.close().unwrap();
    let disk = a.disk.power_cut_all_lost();
    let options = littoral::Options::new().key(a.key()).layout(common::layout());
    options.rotate_key_on(std::sync::Arc::new(disk.clone()), &common::key(7)).unwrap();
    let a = Replica::on(7, disk).unwrap();
    a.notes().set("n", "y", 3i64).unwrap();
    hold(&a, "before");
    assert_eq!(x(&a, "n"), Some(2));
    assert_eq!(check(&a.store)[0].1.len(), 2);
    resume(&a);
    assert_eq!(x(&a, "n"), Some(2));
}

#[test]
fn large_documents_are_held_whole() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let tag = |n: usize| format!("{n:05} {}", "of some length ".repeat(8));
    a.store
        .write(|txn| (0..1_500).try_for_each(|n| txn.add(NOTES, "big", "tags", tag(n))))
        .unwrap();
    a.store.checkpoint("before").unwrap();
    pull(&b, &a);
    b.store
        .write(|txn| {
            (500..1_000).try_for_each(|n| txn.remove(NOTES, "big", "tags", tag(n)).map(drop))
        })
        .unwrap();
    pull(&a, &b);
    let tags = |replica: &Replica| {
        let field = replica.notes().get_field("big", "tags").unwrap();
        field.map_or(0, |field| field.as_set().unwrap().len())
    };
    assert_eq!(tags(&a), 1_000);
    hold(&a, "before");
    assert_eq!(tags(&a), 1_500);
    a.notes().add("big", "tags", "mine").unwrap();
    assert!(a.notes().has("big", "tags", "mine").unwrap());
    assert!(a.notes().has("big", "tags", tag(700)).unwrap());
    assert!(a.notes().remove("big", "tags", tag(701)).unwrap());
    assert_eq!(tags(&a), 1_500);
    check(&a.store);
    resume(&a);
    assert_eq!(tags(&a), 1_001);
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
}

#[test]
fn what_goes_by_the_state_is_refused_and_says_what_to_do() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.checkpoint("before").unwrap();
    a.notes().set("n", "x", 2i64).unwrap();
    let nothing = a.store.rollback_hold("never", None).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    let nobody = a.store.rollback_hold("before", Some(&["nobody"])).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::UnknownCollection);
    hold(&a, "before");
    let refused = [
        a.store.rollback_hold("before", Some(&[NOTES])).unwrap_err(),
        a.store.rollback_hold("before", None).unwrap_err(),
        a.store.delete_checkpoint("before").unwrap_err(),
        a.store.revert("before", &RevertScope::default(), &mut |_| ()).map(drop).unwrap_err(),
        a.store.undo(&UndoScope::default()).map(drop).unwrap_err(),
    ];
    for err in refused {
        assert_eq!(err.kind(), ErrorKind::InvalidInput, "{err}");
        assert!(err.message().contains("held back"), "{err}");
    }
    assert_eq!(x(&a, "n"), Some(2));
    // Leaving it forgets that it was held.
    assert!(a.store.leave(NOTES).unwrap());
    assert!(a.store.holds().is_empty());
    a.notes().set("n", "x", 3i64).unwrap();
    let left = a.store.rollback_hold("before", Some(&[NOTES])).unwrap_err();
    assert!(left.message().contains("was left"), "{left}");
    assert_eq!(check(&a.store).len(), 1);
}

#[test]
fn a_checkpoint_that_is_needed_outlives_those_made_by_themselves() {
    use littoral::store::AutomaticCheckpoints;
    let a = Replica::new(0);
    a.store.set_automatic_checkpoints(AutomaticCheckpoints { keep: 2, age_ms: 60_000 }).unwrap();
    a.notes().set("n", "x", 1i64).unwrap();
    let made = a.store.automatic_checkpoint("before something").unwrap().unwrap();
    a.notes().set("n", "x", 2i64).unwrap();
    hold(&a, &made.label);
    for n in 0..6i64 {
        a.wall.set(common::NOON + 100_000 * (n as u64 + 1));
        a.notes().set("n", "x", 10 + n).unwrap();
        a.store.automatic_checkpoint("before something").unwrap();
    }
    assert!(a.store.checkpoints().contains(&made));
    assert_eq!(check(&a.store).len(), 1);
    resume(&a);
    a.wall.set(common::NOON + 900_000);
    a.notes().set("n", "x", 30i64).unwrap();
    a.store.automatic_checkpoint("before something").unwrap();
    assert!(!a.store.checkpoints().contains(&made));
}

#[test]
fn who_follows_the_changes_is_told_to_read_anew() {
    let now = Duration::ZERO;
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.checkpoint("before").unwrap();
    b.notes().set("n2", "x", 1i64).unwrap();
    pull(&a, &b);
    let old = a.store.changes(None);
    let kept = old.position();
    let mut follower = a.store.changes(None);
    hold(&a, "before");
    for mut late in [old, a.store.changes(Some(kept))] {
        assert_eq!(late.next(now).unwrap_err().kind(), ErrorKind::NotFound);
        late.restart();
        assert_eq!(late.next(now).unwrap(), None);
        follower = late;
    }
    let kept = follower.position();
    assert_eq!(a.store.changes(Some(kept)).next(now).unwrap(), None, "told once");
    a.notes().set("n3", "x", 1i64).unwrap();
    assert_eq!(follower.next(now).unwrap().unwrap().id, "n3");
    // From the oldest on nothing is missing.
    let mut all = a.store.changes(Some(Default::default()));
    let ids: Vec<String> =
        std::iter::from_fn(|| all.next(now).unwrap()).map(|change| change.id).collect();
    assert_eq!(ids, ["n", "n2", "n3"]);
    let a = a.after_power_cut(None);
    assert_eq!(a.store.changes(Some(Default::default())).next(now).unwrap().unwrap().id, "n");
    let mut follower = a.store.changes(None);
    resume(&a);
    assert_eq!(follower.next(now).unwrap_err().kind(), ErrorKind::NotFound);
    follower.restart();
    a.notes().set("n4", "x", 1i64).unwrap();
    assert_eq!(follower.next(now).unwrap().unwrap().id, "n4");
}

#[test]
fn power_may_go_at_any_call_and_it_is_held_or_not() {
    let write = |store: &Store, n: i64| store.collection(NOTES).unwrap().set("n", "x", n);
    for calls in 0.. {
        let (a, b) = (Replica::new(0), Replica::new(1));
        write(&a.store, 1).unwrap();
        a.store.checkpoint("before").unwrap();
        b.notes().set("n", "y", 9i64).unwrap();
        pull(&a, &b);
        write(&a.store, 2).unwrap();
        a.disk.dead_after(calls);
        let held = a.store.rollback_hold("before", None).is_ok();
        let wrote = held && write(&a.store, 3).is_ok();
        let resumed = wrote && a.store.resume(None).is_ok();
        let done = resumed && write(&a.store, 4).is_ok();
        for fate in [None, Some(calls)] {
            let a = a.after_power_cut(fate);
            let is_held = !a.store.holds().is_empty();
            assert!(
                !wrote || is_held || resumed || a.notes().get_field("n", "y").unwrap().is_some()
            );
            let y = a.notes().get_field("n", "y").unwrap();
            assert_eq!(y.is_none(), is_held, "after {calls} calls");
            if resumed {
                assert!(!is_held);
            }
            if held && !wrote {
                assert!(is_held);
            }
            let least = if done {
                4
            } else if wrote {
                3
            } else {
                2
            };
            assert!(x(&a, "n").unwrap() >= least, "after {calls} calls");
            check(&a.store);
            a.store.resume(None).unwrap();
            meet(&[&a, &b]);
            assert_same(&[&a, &b]);
        }
        if done {
            assert!(calls > 8, "{calls}");
            return;
        }
    }
}

//! Forked histories whose transactions the log no longer holds: clones of one store have written
//! apart, and both sides were sent on and pruned. Hashes are kept for longer than records, so the
//! two sides are never mixed: they are named, or the collection is halted between them.

mod common;

use std::sync::Arc;

use common::link::{Link, sync};
use common::{NOTES, Replica, Small, assert_same, join, pull, pull_in, stream, vector};
use littoral::id::Vector;
use littoral::store::disk::MemDisk;
use littoral::store::{HashRule, LogBudget};
use littoral::sync::door::{Event, Offence};
use littoral::{ErrorKind, Options, Store};

const SHORT: Small =
    Small { segment_bytes: 1 << 10, budget: LogBudget { bytes: 0, age_ms: u64::MAX } };

/// What a machine would be if it had been cloned now, its store running.
fn clone_of(replica: &Replica) -> Replica {
    replica.store.flush().unwrap();
    replica.after_power_cut(None)
}

fn write(replica: &Replica, name: &str, count: i64) {
    (0..count).for_each(|n| replica.notes().set("n", name, n).unwrap());
}

/// Nothing is left in the log of what the notes hold.
fn prune(store: &Store) {
    for _ in 0..3 {
        // Too small to be packed: each fills a segment.
        let filler = format!("{}{}", store.position(), "f".repeat(1500));
        store.collection("filler").unwrap().set("f", "x", filler.as_str()).unwrap();
    }
    store.prune().unwrap();
    assert_eq!(*store.floor(NOTES).unwrap(), vector(store, NOTES), "all of it is pruned");
}

/// A machine that has written so much before it was cloned, and each of the two after that; and
/// two others that have heard one of them each, and no longer have that in their logs.
fn forked(common: i64, of_a: i64, of_clone: i64) -> [Replica; 4] {
    let (a, b, c) = (Replica::new(0), Replica::small(1, SHORT), Replica::small(2, SHORT));
    write(&a, "common", common);
    let clone = clone_of(&a);
    write(&a, "of_a", of_a);
    write(&clone, "of_clone", of_clone);
    for (witness, machine) in [(&b, &a), (&c, &clone)] {
        pull(witness, machine);
        prune(&witness.store);
    }
    [a, clone, b, c]
}

/// Two that hold sides of a fork that can't be named part in peace, and who takes the other's
/// side anew is healed.
fn halted_and_healed(b: &Store, c: &Store) {
    let shown = |store: &Store| common::snapshot(&store.collection(NOTES).unwrap());
    let before = [b, c].map(|store| (shown(store), vector(store, NOTES)));
    let mut link = Link::new(b, c);
    link.settle();
    for end in 0..2 {
        assert_eq!(link.halted(end), [(NOTES.to_owned(), Offence::Forked)]);
        let why = link.events(end).iter().find_map(|event| match event {
            Event::Halted { why, .. } => Some(why.clone()),
            _ => None,
        });
        assert!(why.as_ref().is_some_and(|why| why.contains("sync it anew")), "{why:?}");
    }
    drop(link);
    assert_eq!([b, c].map(|store| (shown(store), vector(store, NOTES))), before, "nothing changed");
    assert!(c.leave(NOTES).unwrap());
    assert_eq!(sync(b, c), [vec![], vec![]]);
    assert_eq!(shown(c), shown(b));
    assert_eq!(vector(c, NOTES), vector(b, NOTES));
}

#[test]
fn a_snapshot_of_one_side_is_never_joined_over_the_other() {
    for (common, of_a, of_clone) in [(1, 1, 2), (1, 2, 1), (0, 1, 3), (3, 5, 2), (2, 70, 200)] {
        for again in [false, true] {
            let [_, _, mut b, mut c] = forked(common, of_a, of_clone);
            if again {
                (b, c) = (b.after_power_cut(None), c.after_power_cut(None));
            }
            halted_and_healed(&b.store, &c.store);
        }
    }
}

/// Here without a session, as by a bundle.
#[test]
fn a_view_that_does_not_go_on_from_what_is_held_is_refused() {
    let [_, _, b, c] = forked(1, 1, 2);
    for (target, source) in [(&b, &c), (&c, &b)] {
        let have = vector(&target.store, NOTES);
        let view = source.store.view_for(NOTES, &have).unwrap();
        let head = common::head_of(&view, NOTES, &source.store);
        let refused = target.store.learn_view(NOTES, &head).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forked);
        assert!(refused.message().contains("sync it anew"), "{refused}");
        common::stage(&target.store, NOTES, &view, &head, Default::default());
        let refused = target.store.join(NOTES, &head, source.store.node_id()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forked);
        assert_eq!(vector(&target.store, NOTES), have);
    }
}

#[test]
fn what_builds_on_one_side_is_not_applied_over_the_other() {
    // B holds number 3 of one side; what C writes has seen number 2 of the other.
    let [_, _, b, c] = forked(1, 2, 1);
    c.notes().set("m", "x", "of C").unwrap();
    let own = stream(&c.store, NOTES, &Vector::new());
    let own = own.into_iter().filter(|(dot, _)| dot.origin.node == c.store.node_id());
    let own: Vec<Vec<u8>> = own.map(|(_, bytes)| bytes).collect();
    assert_eq!(own.len(), 1);
    let refused = b.store.apply_remote(NOTES, own).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forked, "{refused}");
    halted_and_healed(&b.store, &c.store);
}

/// One side has the settling and nothing after the fork, the other what came after the fork and not
/// the settling: neither lets go of the counter row before it joins the other.
#[test]
fn a_counter_that_is_settled_by_a_join_past_a_fork_goes_as_it_would_by_a_stream() {
    let (a, b, d) = (Replica::new(0), Replica::new(1), Replica::new(4));
    let c = Replica::small(2, SHORT);
    a.notes().increment("n", "hits", 10).unwrap();
    a.notes().set("n", "x", "common").unwrap();
    pull(&b, &a);
    b.notes().unset("n", "hits").unwrap();
    let clone = clone_of(&a);
    a.notes().set("n", "of_a", 1i64).unwrap();
    clone.notes().set("n", "of_clone", 1i64).unwrap();
    pull(&c, &a);
    pull(&d, &clone);
    assert_eq!(sync(&c.store, &d.store), [vec![], vec![]]);
    prune(&c.store);
    let mut link = Link::new(&b.store, &c.store);
    link.settle();
    let joined =
        |event: &Event| matches!(event, Event::Joined { collection } if collection == NOTES);
    assert!(link.events(0).iter().any(joined), "B is behind what C's log holds");
    drop(link);
    assert_same(&[&b, &c]);
    assert_eq!(sync(&b.store, &d.store), [vec![], vec![]]);
    assert_same(&[&b, &c, &d]);
    assert_same(&[&b.after_power_cut(None), &c]);
    b.store.check_rows().unwrap();
}

/// Nobody needs what both share to tell the sides apart.
#[test]
fn a_fork_right_after_what_the_log_no_longer_holds_is_named() {
    for by_snapshot in [false, true] {
        let (a, b, c) = (Replica::new(0), Replica::small(1, SHORT), Replica::small(2, SHORT));
        write(&a, "common", 3);
        a.notes().increment("n", "hits", 10).unwrap();
        for witness in [&b, &c] {
            match by_snapshot {
                true => drop(join(&witness.store, &a.store, NOTES)),
                false => {
                    pull(witness, &a);
                    prune(&witness.store);
                }
            }
        }
        let clone = clone_of(&a);
        for (machine, witness, by) in [(&a, &b, 1), (&clone, &c, 100)] {
            machine.notes().set("n", "x", by).unwrap();
            machine.notes().increment("n", "hits", by).unwrap();
            pull(witness, machine);
        }
        assert_eq!(sync(&b.store, &c.store), [vec![], vec![]], "nothing halts");
        assert_same(&[&b, &c]);
        assert_eq!(b.store.branch_count(NOTES), 2);
        let hits = b.notes().get_field("n", "hits").unwrap().unwrap();
        assert_eq!(hits.as_counter().unwrap(), 111, "nothing is lost, and nothing there twice");
        assert_eq!(b.notes().conflicts().unwrap().len(), 1);
        // And further on by the new names, whatever is pruned.
        prune(&b.store);
        let newcomer = Replica::new(9);
        assert_eq!(sync(&b.store, &newcomer.store), [vec![], vec![]]);
        assert_same(&[&b, &c, &newcomer]);
    }
}

#[test]
fn who_joined_a_snapshot_knows_the_history_that_it_stands_for() {
    for known in [0, 1, 2] {
        // Of the history of A it holds a part, or nothing; the rest comes by a snapshot.
        let (a, b, c) = (Replica::new(0), Replica::small(1, SHORT), Replica::small(2, SHORT));
        write(&a, "common", known);
        pull(&b, &a);
        write(&a, "common", 3 - known);
        let clone = clone_of(&a);
        write(&a, "of_a", 5);
        write(&clone, "of_clone", 2);
        pull(&c, &clone);
        prune(&c.store);
        let hub = Replica::small(3, SHORT);
        pull(&hub, &a);
        prune(&hub.store);
        assert_eq!(sync(&b.store, &hub.store), [vec![], vec![]]);
        assert_eq!(vector(&b.store, NOTES), vector(&a.store, NOTES));
        halted_and_healed(&b.store, &c.store);
    }
}

/// The snapshot is needed for something else: what has forked, both logs have.
#[test]
fn what_was_never_sent_and_a_snapshot_of_the_other_side_are_named_apart() {
    for (of_clone, unsent) in [(2, 1), (1, 2), (1, 1)] {
        let hub = Replica::small(1, SHORT);
        write(&hub, "of_hub", 3);
        prune(&hub.store);
        let (a, clone) = (Replica::new(0), Replica::new(0));
        write(&clone, "of_clone", of_clone);
        pull(&hub, &clone);
        write(&a, "of_a", unsent);
        let mut link = Link::new(&a.store, &hub.store);
        link.settle();
        // A view by other names is asked for again later.
        for _ in 0..3 {
            link.later(60_000);
            link.settle();
        }
        assert_eq!([link.halted(0), link.halted(1)], [vec![], vec![]], "nothing halts");
        drop(link);
        assert_same(&[&a, &hub]);
        assert_eq!(a.store.branch_count(NOTES), 2);
        for name in ["of_hub", "of_clone", "of_a"] {
            assert!(a.notes().get_field("n", name).unwrap().is_some(), "{name}");
        }
    }
}

#[test]
fn a_collection_that_was_left_knows_nothing_of_its_former_life() {
    let [a, _, b, c] = forked(1, 2, 2);
    assert!(b.store.leave(NOTES).unwrap());
    assert_eq!(sync(&b.store, &c.store), [vec![], vec![]]);
    assert_same(&[&b, &c]);
    assert!(b.store.leave(NOTES).unwrap());
    pull(&b, &a);
    assert_eq!(vector(&b.store, NOTES), vector(&a.store, NOTES));
}

/// A store that keeps few hashes.
fn sparse(seed: u8) -> Store {
    let options = Options::new().key(common::key(seed)).cache_bytes(1 << 20);
    let options = options.log_segment_bytes(SHORT.segment_bytes).log_budget(SHORT.budget);
    let rule = HashRule { dense: 4, every: 8 };
    options.hashes(rule).open_on(Arc::new(MemDisk::new())).unwrap()
}

/// B holds A's history up to 40, C what its clone wrote after the fork, up to `newest`.
fn sparse_sides(fork: i64, newest: i64) -> [Store; 2] {
    let a = Replica::new(0);
    write(&a, "common", fork);
    let clone = clone_of(&a);
    write(&a, "of_a", 40 - fork);
    write(&clone, "of_clone", newest - fork);
    let [b, c] = [(1, &a), (2, &clone)].map(|(seed, machine)| {
        let witness = sparse(seed);
        pull_in(&witness, &machine.store, NOTES);
        prune(&witness);
        witness
    });
    [b, c]
}

#[test]
fn of_older_transactions_every_so_manieth_tells_a_fork() {
    // Of A's history B knows 8, 16, 24, 32, and 37 to 40.
    for (fork, newest) in [(20, 24), (15, 22), (23, 30), (31, 32), (36, 37), (38, 39), (3, 35)] {
        let [b, c] = sparse_sides(fork, newest);
        halted_and_healed(&b, &c);
    }
}

/// What docs/PROMISES.md says is not noticed: there is no number after the fork that both know.
#[test]
fn a_short_side_of_a_fork_between_two_of_those_is_not_noticed() {
    for (fork, newest) in [(20, 23), (32, 36), (16, 17)] {
        let [b, c] = sparse_sides(fork, newest);
        assert_eq!(sync(&b, &c), [vec![], vec![]]);
        assert_eq!(vector(&b, NOTES).len(), 1);
        assert_eq!(vector(&c, NOTES), vector(&b, NOTES));
    }
}

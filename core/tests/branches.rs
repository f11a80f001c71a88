//! Rule 11 of the replication algebra: two stores with one key have both sent a transaction under
//! one dot. Both branches are kept everywhere, whoever hears of them in whatever order.

mod common;

use std::collections::BTreeSet;

use common::history::by_hashes;
use common::link::{Link, sync};
use common::oracle::Reading;
use common::{NOTES, Replica, Rng, Small, assert_same, each_seed, pull, stream};
use littoral::id::{Head, ShortHash, Vector};
use littoral::store::LogBudget;
use littoral::sync::door::Offence;
use littoral::{Field, Value};

/// What a machine would be if it had been cloned now, its store running.
fn clone_of(replica: &Replica) -> Replica {
    replica.store.flush().unwrap();
    replica.after_power_cut(None)
}

fn field(replica: &Replica, id: &str, name: &str) -> Option<Field> {
    replica.notes().get_field(id, name).unwrap()
}

fn counter(replica: &Replica, id: &str) -> Option<i64> {
    field(replica, id, "hits").map(|field| field.as_counter().unwrap())
}

fn meet_once(a: &Replica, b: &Replica) {
    if a.store.node_id() != b.store.node_id() {
        assert_eq!(sync(&a.store, &b.store), [vec![], vec![]], "nothing halts");
    }
}

/// All meet each other until there is nothing new.
fn meet(replicas: &[&Replica]) {
    for _ in 0..3 {
        for (at, a) in replicas.iter().enumerate() {
            replicas[at + 1..].iter().for_each(|b| meet_once(a, b));
        }
    }
}

fn agree(replicas: &[&Replica]) {
    assert_same(replicas);
    let again: Vec<Replica> = replicas.iter().map(|r| r.after_power_cut(None)).collect();
    assert_same(&replicas.iter().copied().chain(&again).collect::<Vec<_>>());
    for replica in replicas {
        replica.store.check_rows().unwrap();
    }
}

/// A log that is whole has each transaction once, by the name that the vector has for it: else
/// peers would be sent snapshots instead, and nobody would see it.
fn sends_all_it_holds(replica: &Replica) {
    let mut sent = Vector::new();
    for (dot, _) in stream(&replica.store, NOTES, &Vector::new()) {
        assert_eq!(dot.seq, sent.seq(&dot.origin) + 1, "{dot}");
        sent.advance(dot.origin, Head { seq: dot.seq, hash: ShortHash::default() });
    }
    let held = common::vector(&replica.store, NOTES);
    let numbers = |vector: &Vector| {
        vector.iter().map(|(origin, head)| (*origin, head.seq)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&sent), numbers(&held));
}

/// A machine, its clone, and one who heard each of them. What both have sent forks.
fn forked(
    before: impl Fn(&Replica),
    of_a: impl Fn(&Replica),
    of_clone: impl Fn(&Replica),
) -> [Replica; 4] {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    before(&a);
    let clone = clone_of(&a);
    of_a(&a);
    of_clone(&clone);
    pull(&b, &a);
    pull(&c, &clone);
    [a, clone, b, c]
}

#[test]
fn s7_both_branches_of_a_cloned_machine_are_kept_everywhere() {
    let [a, clone, b, c] = forked(
        |a| a.notes().set("n", "x", "common").unwrap(),
        |a| a.notes().set("n", "of_a", 1i64).unwrap(),
        |clone| clone.notes().set("n", "of_clone", 1i64).unwrap(),
    );
    // C deletes the document, of which it has seen the clone's branch.
    assert!(c.notes().delete("n").unwrap());
    meet(&[&b, &c]);
    agree(&[&b, &c]);
    assert_eq!(field(&c, "n", "of_a"), Some(Field::from(1i64)), "what C did not see stays");
    assert_eq!(field(&c, "n", "of_clone"), None);
    assert_eq!(field(&c, "n", "x"), None);
    assert_eq!(b.store.branch_count(NOTES), 2);
    meet(&[&a, &clone, &b, &c]);
    agree(&[&a, &clone, &b, &c]);
    // The two go on under names of their own, and nothing forks again.
    a.notes().set("n", "again", 1i64).unwrap();
    clone.notes().set("n", "again", 2i64).unwrap();
    meet(&[&a, &clone, &b, &c]);
    agree(&[&a, &clone, &b, &c]);
    assert_eq!(c.store.branch_count(NOTES), 2);
    assert_eq!(b.notes().conflicts().unwrap().len(), 1);
    let newcomer = Replica::new(9);
    meet(&[&newcomer, &b]);
    agree(&[&newcomer, &b]);
}

/// A third clone, which has written nothing since, hears that the other two have forked.
#[test]
fn a_clone_that_holds_just_what_the_branches_share_goes_on_under_another_name() {
    for by_log in [true, false] {
        let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
        a.notes().set("n", "x", "common").unwrap();
        let (clone, idle) = (clone_of(&a), clone_of(&a));
        a.notes().set("n", "of_a", 1i64).unwrap();
        clone.notes().set("n", "of_clone", 1i64).unwrap();
        pull(&b, &a);
        pull(&c, &clone);
        meet(&[&b, &c]);
        assert_eq!(b.store.branch_count(NOTES), 2);
        match by_log {
            true => meet(&[&idle, &b]),
            false => {
                idle.store.learn_branches(NOTES, &b.store.branches(NOTES)).unwrap();
            }
        }
        idle.notes().set("n", "of_idle", 1i64).unwrap();
        meet(&[&idle, &b, &c, &a, &clone]);
        agree(&[&idle, &b, &c, &a, &clone]);
        assert_eq!(b.store.branch_count(NOTES), 2, "what it wrote is no third side");
        for name in ["of_a", "of_clone", "of_idle"] {
            assert_eq!(field(&b, "n", name), Some(Field::from(1i64)));
        }
    }
}

#[test]
fn histories_of_any_length_part_where_they_fork() {
    for (common, of_a, of_clone) in
        [(0, 1, 1), (0, 3, 1), (1, 3, 3), (2, 1, 5), (2, 5, 1), (3, 20, 40), (3, 40, 20)]
    {
        let write = |name: &'static str, count: i64| {
            move |r: &Replica| (0..count).for_each(|n| r.notes().set("n", name, n).unwrap())
        };
        let [a, clone, b, c] = forked(write("x", common), write("a", of_a), write("b", of_clone));
        meet(&[&b, &c]);
        agree(&[&b, &c]);
        for replica in [&b, &c] {
            sends_all_it_holds(replica);
            assert_eq!(field(replica, "n", "a"), Some(Field::from(of_a - 1)));
            assert_eq!(field(replica, "n", "b"), Some(Field::from(of_clone - 1)));
            assert_eq!(replica.notes().conflicts().unwrap(), []);
        }
        meet(&[&a, &clone, &b, &c]);
        agree(&[&a, &clone, &b, &c]);
    }
}

#[test]
fn a_counter_begun_before_the_fork_counts_what_both_sides_added() {
    let [a, clone, b, c] = forked(
        |a| a.notes().increment("n", "hits", 10).unwrap(),
        |a| (0..3).for_each(|_| a.notes().increment("n", "hits", 5).unwrap()),
        |clone| (0..2).for_each(|_| clone.notes().increment("n", "hits", 100).unwrap()),
    );
    meet(&[&b, &c]);
    agree(&[&b, &c]);
    assert_eq!(counter(&b, "n"), Some(225));
    meet(&[&a, &clone, &b, &c]);
    agree(&[&a, &clone, &b, &c]);
    a.notes().increment("n", "hits", 1).unwrap();
    meet(&[&a, &clone, &b, &c]);
    assert_eq!(counter(&c, "n"), Some(226));
    c.notes().unset("n", "hits").unwrap();
    meet(&[&a, &clone, &b, &c]);
    agree(&[&a, &clone, &b, &c]);
    assert_eq!(counter(&a, "n"), None);
}

#[test]
fn who_resets_a_counter_on_one_side_keeps_what_the_other_side_added() {
    for resets_on in [0, 1, 2] {
        let [a, clone, b, c] = forked(
            |a| a.notes().increment("n", "hits", 10).unwrap(),
            |a| a.notes().increment("n", "hits", 5).unwrap(),
            |clone| clone.notes().increment("n", "hits", 100).unwrap(),
        );
        if resets_on != 1 {
            b.notes().unset("n", "hits").unwrap();
        }
        if resets_on != 0 {
            c.notes().unset("n", "hits").unwrap();
        }
        // And goes on before anybody hears of the fork.
        a.notes().increment("n", "hits", 1).unwrap();
        clone.notes().increment("n", "hits", 2).unwrap();
        meet(&[&b, &c]);
        agree(&[&b, &c]);
        let expected = [Some(100), Some(5), None][resets_on];
        assert_eq!(counter(&b, "n"), expected, "{resets_on}");
        meet(&[&a, &clone, &b, &c]);
        agree(&[&a, &clone, &b, &c]);
        assert_eq!(counter(&b, "n"), Some(expected.unwrap_or(0) + 3), "{resets_on}");
    }
}

#[test]
fn a_branch_forks_again_and_a_third_one_comes_late() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 0i64).unwrap();
    let [third, clone] = [clone_of(&a), clone_of(&a)];
    a.notes().set("n", "a1", 1i64).unwrap();
    clone.notes().set("n", "b1", 1i64).unwrap();
    clone.notes().increment("n", "hits", 1).unwrap();
    let again = clone_of(&clone);
    clone.notes().set("n", "b2", 1i64).unwrap();
    clone.notes().increment("n", "hits", 10).unwrap();
    again.notes().set("n", "c2", 1i64).unwrap();
    again.notes().increment("n", "hits", 100).unwrap();
    third.notes().set("n", "d1", 1i64).unwrap();
    let [b, c, d, e] = [1, 2, 3, 4].map(Replica::new);
    for (to, from) in [(&b, &a), (&c, &clone), (&d, &again), (&e, &third)] {
        pull(to, from);
    }
    // In every order.
    for order in [[0, 1, 2, 3], [1, 2, 0, 3], [3, 2, 1, 0], [2, 3, 0, 1]] {
        let all = [&b, &c, &d, &e].map(clone_of);
        let mut met = vec![&all[order[0]]];
        for next in &order[1..] {
            met.iter().for_each(|other| meet_once(&all[*next], other));
            met.push(&all[*next]);
        }
        meet(&met);
        agree(&met);
        for name in ["a1", "b1", "b2", "c2", "d1"] {
            assert_eq!(field(&all[0], "n", name), Some(Field::from(1i64)), "{order:?} {name}");
        }
        assert_eq!(counter(&all[0], "n"), Some(111));
        assert_eq!(all[0].store.branch_count(NOTES), 5);
        let machines = [&a, &clone, &again, &third].map(clone_of);
        let everyone: Vec<&Replica> = all.iter().chain(&machines).collect();
        meet(&everyone);
        agree(&everyone);
    }
}

#[test]
fn a_fork_that_the_log_no_longer_reaches_is_halted_and_harms_nothing() {
    let small = Small {
        segment_bytes: 4 << 10,
        budget: LogBudget { bytes: 1 << 10, ..LogBudget::default() },
    };
    let (a, b, c) = (Replica::new(0), Replica::small(1, small), Replica::small(2, small));
    a.notes().set("n", "x", 0i64).unwrap();
    let clone = clone_of(&a);
    for (machine, witness, name) in [(&a, &b, "a"), (&clone, &c, "b")] {
        for n in 0..100i64 {
            machine.notes().set("n", name, n).unwrap();
            pull(witness, machine);
        }
        witness.store.prune().unwrap();
    }
    let before = [&b, &c].map(|r| common::snapshot(&r.notes()));
    let halted = vec![(NOTES.to_owned(), Offence::Forked)];
    assert_eq!(sync(&b.store, &c.store), [halted.clone(), halted]);
    assert_eq!([&b, &c].map(|r| common::snapshot(&r.notes())), before);
    // Who leaves the collection and takes it from the other side is healed.
    assert!(c.store.leave(NOTES).unwrap());
    meet(&[&b, &c]);
    agree(&[&b, &c]);
}

#[test]
fn a_newcomer_and_one_far_behind_join_a_snapshot_of_a_forked_history() {
    let small = Small {
        segment_bytes: 4 << 10,
        budget: LogBudget { bytes: 1 << 10, ..LogBudget::default() },
    };
    let behind = Replica::new(7);
    let [a, clone, b, c] = forked(
        |a| {
            a.notes().increment("n", "hits", 10).unwrap();
            pull(&behind, a);
        },
        |a| a.notes().increment("n", "hits", 5).unwrap(),
        |clone| clone.notes().increment("n", "hits", 100).unwrap(),
    );
    let hub = Replica::small(3, small);
    meet(&[&b, &c, &hub]);
    for n in 0..200i64 {
        hub.notes().set("m", "x", n).unwrap();
    }
    hub.store.prune().unwrap();
    let newcomer = Replica::new(8);
    meet(&[&hub, &newcomer]);
    agree(&[&hub, &newcomer]);
    meet(&[&hub, &behind]);
    agree(&[&hub, &behind, &newcomer]);
    // One side goes on for long without having heard of the fork.
    a.notes().increment("n", "hits", 1).unwrap();
    let witness = Replica::new(9);
    pull(&witness, &a);
    witness.notes().unset("n", "hits").unwrap();
    meet(&[&witness, &newcomer]);
    agree(&[&witness, &newcomer]);
    assert_eq!(counter(&newcomer, "n"), Some(100));
    meet(&[&clone, &hub, &behind, &newcomer, &witness, &a]);
    agree(&[&a, &clone, &hub, &behind, &newcomer, &witness]);
}

#[test]
fn who_leaves_a_forked_collection_goes_on_with_it_over_the_same_link() {
    let [a, clone, b, c] = forked(
        |a| a.notes().set("n", "x", "common").unwrap(),
        |a| a.notes().set("n", "of_a", 1i64).unwrap(),
        |clone| clone.notes().set("n", "of_clone", 1i64).unwrap(),
    );
    meet(&[&a, &clone, &b, &c]);
    for leaves in [&b, &c] {
        let mut link = Link::new(&b.store, &c.store);
        link.settle();
        assert!(leaves.store.leave(NOTES).unwrap());
        link.settle();
        b.notes().set("n", "after", 1i64).unwrap();
        c.notes().set("n", "after", 2i64).unwrap();
        link.settle();
        assert_eq!([link.halted(0), link.halted(1)], [vec![], vec![]]);
        assert_eq!(link.closed(), None);
        drop(link);
        meet(&[&b, &c]);
        agree(&[&b, &c]);
        assert_eq!(field(leaves, "n", "of_a"), Some(Field::from(1i64)));
    }
}

/// It can't take over the names before it holds what leads to the fork, and nothing that comes asks
/// for them.
#[test]
fn a_newcomer_takes_over_names_when_all_has_come() {
    let [_, _, b, c] = forked(
        |a| (0..2i64).for_each(|n| a.notes().set("n", "x", n).unwrap()),
        |a| a.notes().set("n", "of_a", 1i64).unwrap(),
        |clone| clone.notes().set("n", "of_clone", 1i64).unwrap(),
    );
    let witness = Replica::new(5);
    pull(&witness, &b);
    meet(&[&b, &c]);
    assert!(witness.store.learn_branches(NOTES, &b.store.branches(NOTES)).unwrap());
    let newcomer = Replica::new(6);
    meet_once(&witness, &newcomer);
    agree(&[&witness, &newcomer]);
    meet(&[&newcomer, &c]);
    agree(&[&b, &c, &newcomer]);
}

#[test]
fn who_has_only_heard_of_a_fork_holds_what_others_hold_at_that_vector() {
    let (a, b, c, witness) = (Replica::new(0), Replica::new(1), Replica::new(2), Replica::new(3));
    a.notes().increment("n", "hits", 10).unwrap();
    pull(&b, &a);
    b.notes().unset("n", "hits").unwrap();
    pull(&witness, &b);
    let clone = clone_of(&a);
    a.notes().set("n", "of_a", 1i64).unwrap();
    clone.notes().set("n", "of_clone", 1i64).unwrap();
    let d = Replica::new(4);
    pull(&c, &a);
    pull(&d, &clone);
    meet(&[&c, &d]);
    // The names came, and then the link was cut.
    assert!(b.store.learn_branches(NOTES, &c.store.branches(NOTES)).unwrap());
    assert_same(&[&b, &witness]);
    assert_eq!(sync(&b.store, &witness.store), [vec![], vec![]]);
    meet(&[&a, &clone, &b, &c, &d, &witness]);
    agree(&[&a, &clone, &b, &c, &d, &witness]);
}

#[test]
fn who_was_rolled_back_to_where_its_history_forked_goes_on_under_another_name() {
    for shared in [0u64, 1, 2] {
        let a = Replica::new(0);
        (0..shared).for_each(|n| a.notes().set("n", "x", n as i64).unwrap());
        let [clone, backup] = [clone_of(&a), clone_of(&a)];
        a.notes().set("n", "of_a", 1i64).unwrap();
        clone.notes().set("n", "of_clone", 1i64).unwrap();
        let [b, c] = [1, 2].map(Replica::new);
        pull(&b, &a);
        pull(&c, &clone);
        meet(&[&b, &c]);
        // Restored; it hears of both sides by name, and writes before it has either of them.
        let a = backup;
        assert!(a.store.learn_branches(NOTES, &b.store.branches(NOTES)).unwrap());
        a.notes().set("n", "again", 1i64).unwrap();
        let (_, written) = stream(&a.store, NOTES, &Vector::new()).pop().unwrap();
        let had_seen = common::decode(&written).deps.iter().map(|dep| dep.seq).collect::<Vec<_>>();
        assert_eq!(had_seen, [shared].into_iter().filter(|seq| *seq > 0).collect::<Vec<_>>());
        meet(&[&a, &clone, &b, &c]);
        agree(&[&a, &clone, &b, &c]);
        assert_eq!(b.store.branch_count(NOTES), 2, "nothing forks again");
        for name in ["of_a", "of_clone", "again"] {
            assert_eq!(field(&c, "n", name), Some(Field::from(1i64)), "{shared} {name}");
        }
    }
}

/// Its transactions under the former name had seen one side of a fork of somebody else; what it
/// writes next, before it hears of the fork, names dots of that side.
#[test]
fn who_takes_another_name_says_again_what_it_has_seen() {
    let [a, clone, writer, witness] = forked(
        |a| a.notes().set("n", "x", "common").unwrap(),
        |a| (0..2).for_each(|_| a.notes().increment("n", "hits", 5).unwrap()),
        |clone| (0..2).for_each(|_| clone.notes().increment("n", "hits", 100).unwrap()),
    );
    writer.notes().set("m", "x", 1i64).unwrap();
    let double = clone_of(&writer);
    double.notes().set("m", "x", 2i64).unwrap();
    let d = Replica::new(3);
    pull(&d, &double);
    // A clone has gone on under its name: it takes another one, and clears what it sees.
    meet(&[&writer, &d]);
    writer.notes().delete("n").unwrap();
    writer.notes().set("n", "y", 1i64).unwrap();
    meet(&[&writer, &witness]);
    agree(&[&writer, &witness]);
    assert_eq!(counter(&witness, "n"), Some(200), "what it had not seen stays");
    assert_eq!(field(&witness, "n", "x"), None);
    meet(&[&a, &clone, &writer, &double, &witness, &d]);
    agree(&[&a, &clone, &writer, &double, &witness, &d]);
    assert_eq!(counter(&d, "n"), Some(200));
}

/// One side hears of the fork first from a third one's transaction that builds on the other side,
/// and the peer that sent it does not know how far it is ahead.
#[test]
fn a_fork_that_shows_first_in_a_dependency_is_named_like_any_other() {
    for steps in 0.. {
        let [a, clone, b, c] = forked(
            |a| a.notes().set("n", "x", "common").unwrap(),
            |a| a.notes().set("n", "of_a", 1i64).unwrap(),
            |clone| (1..3).for_each(|n| clone.notes().set("n", "of_clone", n).unwrap()),
        );
        b.notes().set("n", "of_b", 1i64).unwrap();
        let between = Replica::new(7);
        let shared = stream(&c.store, NOTES, &Vector::new()).swap_remove(0);
        between.store.apply_remote(NOTES, vec![shared.1]).unwrap();
        let mut link = Link::new(&between.store, &clone.store);
        let done = (0..steps).any(|_| !link.step(usize::MAX));
        meet_once(&between, &b);
        link.settle();
        assert_eq!([link.halted(0), link.halted(1)], [vec![], vec![]], "after {steps} steps");
        assert_eq!(link.closed(), None);
        drop(link);
        agree(&[&between, &clone]);
        meet(&[&a, &clone, &b, &c, &between]);
        agree(&[&a, &clone, &b, &c, &between]);
        if done {
            break;
        }
    }
}

#[test]
fn who_builds_on_a_history_that_forks_twice_is_understood_whichever_fork_is_known_first() {
    for order in [[0, 1, 2], [2, 1, 0], [0, 2, 1]] {
        let a = Replica::new(0);
        let early = clone_of(&a);
        a.notes().set("n", "x", 0i64).unwrap();
        let late = clone_of(&a);
        let [reader, witness] = [1, 2].map(Replica::new);
        pull(&reader, &a);
        reader.notes().set("n", "y", 0i64).unwrap();
        pull(&witness, &reader);
        let sides = [(&a, "a"), (&late, "b"), (&early, "c")].map(|(machine, name)| {
            machine.notes().set("n", name, 1i64).unwrap();
            let heard = Replica::new(3 + name.as_bytes()[0] - b'a');
            pull(&heard, machine);
            heard
        });
        order.into_iter().for_each(|side| meet_once(&witness, &sides[side]));
        // What it knows outlives its process.
        let witness = clone_of(&witness);
        assert_eq!(witness.store.branch_count(NOTES), 4);
        // It has seen one of the sides, and knows of no fork.
        reader.notes().unset("n", "x").unwrap();
        meet(&[&witness, &reader]);
        agree(&[&witness, &reader]);
        assert_eq!(field(&witness, "n", "x"), None, "{order:?}");
        let [s0, s1, s2] = &sides;
        meet(&[&a, &late, &early, s0, s1, s2, &witness, &reader]);
        agree(&[&a, &late, &early, s0, s1, s2, &witness, &reader]);
        for name in ["a", "b", "c"] {
            assert_eq!(field(&reader, "n", name), Some(Field::from(1i64)), "{order:?} {name}");
        }
    }
}

// ---- chance

/// Machines that are cloned while they run, and all go on.
struct World {
    rng: Rng,
    replicas: Vec<Replica>,
    written: i64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(3);
        World { rng, replicas: (0..count as u8).map(Replica::new).collect(), written: 0 }
    }

    fn run(&mut self) {
        for _ in 0..20 + self.rng.below(80) {
            let at = self.rng.below(self.replicas.len());
            match self.rng.below(20) {
                0 if self.replicas.len() < 8 => {
                    let clone = clone_of(&self.replicas[at]);
                    self.replicas.push(clone);
                }
                1 => self.replicas[at] = clone_of(&self.replicas[at]),
                2..=11 => self.write(at),
                _ => self.meet(at),
            }
        }
        let newcomer = Replica::new(99);
        self.replicas.push(newcomer);
        let all: Vec<&Replica> = self.replicas.iter().collect();
        (0..2).for_each(|_| meet(&all));
        self.check();
        // Two who have written nothing since they were cloned can't know of each other; once all
        // have written and met, each has a name of its own, and nothing forks any more.
        let mut branches = 0;
        for _ in 0..2 {
            branches = self.replicas[0].store.branch_count(NOTES);
            (0..self.replicas.len()).for_each(|at| self.write(at));
            let all: Vec<&Replica> = self.replicas.iter().collect();
            (0..2).for_each(|_| meet(&all));
            self.check();
        }
        assert_eq!(self.replicas[0].store.branch_count(NOTES), branches);
    }

    fn write(&mut self, at: usize) {
        let rng = &mut self.rng;
        let replica = &self.replicas[at];
        replica.wall.set(common::NOON + rng.next() % 100_000);
        let mut txn = replica.store.begin().unwrap();
        txn.add(NOTES, "all", "written", self.written).unwrap();
        txn.increment(NOTES, "all", "count", 1).unwrap();
        self.written += 1;
        for _ in 0..rng.below(3) {
            common::edit(&mut txn, rng);
        }
        txn.commit().unwrap();
    }

    fn meet(&mut self, at: usize) {
        let with = self.rng.below(self.replicas.len());
        let (a, b) = (&self.replicas[at].store, &self.replicas[with].store);
        if a.node_id() == b.node_id() {
            return;
        }
        let cut = self.rng.chance(30);
        let most = 1 + self.rng.below(300);
        let mut steps = if cut { self.rng.below(60) } else { usize::MAX };
        let mut link = Link::new(a, b);
        while steps > 0 && link.step(most) {
            steps -= 1;
        }
        if !cut {
            link.settle();
        }
        assert_eq!(link.closed(), None);
        assert_eq!([link.halted(0), link.halted(1)], [vec![], vec![]]);
    }

    /// All hold the same, everything that was ever written and nothing twice, and show what
    /// history says.
    fn check(&self) {
        agree(&self.replicas.iter().collect::<Vec<_>>());
        let first = &self.replicas[0];
        let all: BTreeSet<Value> = (0..self.written).map(Value::from).collect();
        if self.written > 0 {
            assert_eq!(field(first, "all", "written"), Some(Field::Set(all)));
            assert_eq!(field(first, "all", "count"), Some(Field::Counter(self.written)));
        }
        let (history, vv) = by_hashes(first);
        assert!(history.is_causally_closed(&vv));
        let expected = history.view(&vv, Reading::Causal);
        let shown = common::snapshot(&first.notes());
        assert_eq!(shown.len(), expected.len());
        for (id, fields) in shown {
            assert_eq!(fields, expected[&id].fields, "{id}");
        }
    }
}

#[test]
fn machines_that_are_cloned_at_any_time_lose_nothing_and_hold_nothing_twice() {
    each_seed("branches", 12, |seed| World::new(seed).run());
}

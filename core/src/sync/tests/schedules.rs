//! Schedules that break the natural first reading (S1 of the design), and their kin.

use super::store::{Store, dot, txn};
use super::world::World;
use crate::sync::door::{Event, Outcome};

fn notes() -> String {
    "notes".to_owned()
}

/// C holds C:1..4; A and P hold C:1; D holds all of it and D:1, which builds on C:4.
fn snapshot_in_the_middle() -> (World, usize, Store, Vec<u8>) {
    let mut world = World::new(1, 2);
    let mut c = Store::default();
    c.write(3, "notes", b"one");
    world.stores.iter_mut().for_each(|store| store.join("notes", &c));
    let link = world.link(0, 1);
    world.settle();
    (0..3).for_each(|_| {
        c.write(3, "notes", b"more");
    });
    (world, link, c, txn(dot(4, 1), &[dot(3, 4)], b"late"))
}

/// A streams its log to P; in the middle A joins a snapshot that brings C:2..4 without log
/// records, then hears D:1 (deps C:4), which must not go to P.
#[test]
fn s1_sender_checks_the_floor_before_each_send() {
    let (mut world, link, c, late) = snapshot_in_the_middle();
    world.write(0, "notes");
    world.settle();
    assert_eq!(world.crossings(link), 1);
    world.stores[0].join("notes", &c);
    assert_eq!(world.stores[0].apply("notes", &late), Outcome::Applied);
    world.committed(0);
    world.settle();
    assert_eq!(world.crossings(link), 1, "D:1 stays here");
    assert_eq!(world.saw(link, 0, &Event::PeerBehind { collection: notes() }), 1);
    assert_eq!(world.saw(link, 1, &Event::Behind { collection: notes() }), 1);
    assert!(!world.stores[1].held["notes"].txns.contains_key(&dot(4, 1)));
    assert!(world.links.iter().flatten().all(|end| end.closed.is_none()));
    assert!(world.links.iter().flatten().all(|end| end.session.is_idle()));
    world.stores.iter().for_each(Store::check);
}

/// The same without D:1: that there is something which the log can't give is said at once.
#[test]
fn s1_a_snapshot_alone_tells_the_peer_that_it_is_behind() {
    let (mut world, link, c, _) = snapshot_in_the_middle();
    world.stores[0].join("notes", &c);
    world.committed(0);
    world.settle();
    assert_eq!(world.saw(link, 1, &Event::Behind { collection: notes() }), 1);
}

/// When what was missing comes another way, the peer asks again and gets the rest.
#[test]
fn s1_who_was_behind_goes_on_when_the_rest_came_another_way() {
    let (mut world, link, c, late) = snapshot_in_the_middle();
    world.stores[0].join("notes", &c);
    assert_eq!(world.stores[0].apply("notes", &late), Outcome::Applied);
    world.committed(0);
    world.settle();
    world.stores[1].join("notes", &c);
    world.committed(1);
    world.pass(1_000);
    world.assert_converged();
    assert_eq!(world.crossings(link), 1, "D:1, once");
    // And back to work.
    world.write(0, "notes");
    world.write(1, "notes");
    world.settle();
    world.assert_converged();
}

/// The same, but all of it came another way: the peer asks, and hears that this was all.
#[test]
fn s1_who_was_behind_and_caught_up_elsewhere_hears_so() {
    let (mut world, link, c, late) = snapshot_in_the_middle();
    world.stores[0].join("notes", &c);
    assert_eq!(world.stores[0].apply("notes", &late), Outcome::Applied);
    world.committed(0);
    world.settle();
    let all = world.stores[0].clone();
    world.stores[1].join("notes", &all);
    world.committed(1);
    world.pass(1_000);
    world.assert_converged();
    assert_eq!(world.crossings(link), 0);
}

/// A sender that does not check its floor: its log just lacks C:2..4.
#[test]
fn s1_receiver_refuses_unmet_dependencies() {
    let (mut world, link, c, late) = snapshot_in_the_middle();
    forget_floor_and_apply(&mut world.stores[0], &c, &late);
    world.committed(0);
    world.settle();
    assert_eq!(world.crossings(link), 1, "D:1 was sent");
    assert!(!world.stores[1].held["notes"].txns.contains_key(&dot(4, 1)), "and refused");
    world.stores.iter().for_each(Store::check);
    assert!(world.links[link].iter().all(|end| end.closed.is_none()), "it is no offence");
    assert_eq!(world.saw(link, 1, &Event::Stuck { collection: notes() }), 1);
    world.pass(600_000);
    assert_eq!(world.crossings(link), 1, "nothing is asked twice for the same vector");
    world.stores[1].join("notes", &c);
    world.committed(1);
    world.settle();
    assert!(world.stores[1].held["notes"].txns.contains_key(&dot(4, 1)));
    world.pass(1_000);
    world.assert_converged();
}

/// A log with a hole that no floor tells of: the next of an origin is not the next at the peer.
#[test]
fn a_hole_in_the_log_is_not_sent_past() {
    let (mut world, link, mut c, _) = snapshot_in_the_middle();
    world.stores[0].join("notes", &c);
    world.stores[0].forget_floor("notes");
    let fifth = c.write(3, "notes", b"fifth");
    let bytes = c.held["notes"].txns[&fifth].clone();
    assert_eq!(world.stores[0].apply("notes", &bytes), Outcome::Applied);
    world.committed(0);
    world.settle();
    assert_eq!(world.crossings(link), 0);
    assert_eq!(world.saw(link, 1, &Event::Behind { collection: notes() }), 1);
}

/// Our own writes change our vector but don't help: the asking slows down.
#[test]
fn a_stuck_collection_is_asked_for_less_and_less_often() {
    let (mut world, link, c, late) = snapshot_in_the_middle();
    forget_floor_and_apply(&mut world.stores[0], &c, &late);
    world.committed(0);
    world.settle();
    let minutes = 60;
    for _ in 0..minutes * 60 {
        world.write(1, "notes");
        world.pass(1_000);
    }
    let times = world.links[link][0].crossed[&(notes(), dot(4, 1))];
    assert!((minutes..minutes + 15).contains(&times), "D:1 was sent {times} times");
    // The other direction, and other collections, did not suffer.
    assert_eq!(world.stores[0].held["notes"].vector.seq(&dot(2, 1).origin), 3600);
    world.write(0, "tasks");
    world.settle();
    assert_eq!(world.stores[1].held["tasks"].txns.len(), 1);
}

fn forget_floor_and_apply(store: &mut Store, c: &Store, late: &[u8]) {
    store.join("notes", c);
    assert_eq!(store.apply("notes", late), Outcome::Applied);
    store.forget_floor("notes");
}

#[test]
fn a_pruned_log_says_behind_and_other_collections_go_on() {
    let mut world = World::new(5, 2);
    (0..5).for_each(|_| {
        world.write(0, "notes");
    });
    world.stores[0].prune("notes");
    world.write(0, "notes");
    world.write(0, "tasks");
    world.write(1, "notes");
    let link = world.link(0, 1);
    world.settle();
    assert_eq!(world.saw(link, 1, &Event::Behind { collection: notes() }), 1);
    assert_eq!(world.stores[1].content()["tasks"], world.stores[0].content()["tasks"]);
    assert_eq!(world.stores[0].held["notes"].txns.len(), 7, "the other way works");
    assert!(world.links[link].iter().all(|end| end.session.is_idle()));
}

#[test]
fn a_log_pruned_to_what_the_peer_holds_serves_on() {
    let mut world = World::new(6, 2);
    world.write(0, "notes");
    let link = world.link(0, 1);
    world.settle();
    world.stores[0].prune("notes");
    world.write(0, "notes");
    world.settle();
    world.assert_converged();
    assert_eq!(world.crossings(link), 2);
}

/// A snapshot may come at any step of a busy link: nothing is ever applied out of order.
#[test]
fn a_snapshot_at_any_step_never_sends_what_the_peer_cannot_apply() {
    for seed in 0..300 {
        let mut world = World::new(seed, 2);
        let mut c = Store::default();
        (0..4).for_each(|_| {
            c.write(3, "notes", b"more");
        });
        world.write(0, "notes");
        let link = world.link(0, 1);
        for step in 0..40 {
            if step == seed % 40 {
                world.stores[0].join("notes", &c);
                world.committed(0);
            }
            if step % 7 == 0 {
                world.write(0, "notes");
            }
            world.step();
        }
        world.settle();
        world.stores.iter().for_each(Store::check);
        assert_eq!(world.saw(link, 1, &Event::Stuck { collection: notes() }), 0, "seed {seed}");
        assert_eq!(world.saw(link, 1, &Event::Behind { collection: notes() }), 1, "seed {seed}");
        assert!(world.links[link].iter().all(|end| end.session.is_idle()), "seed {seed}");
    }
}

//! Replicas that are linked in any way come to hold the same, and say little for it.

use proptest::prelude::*;

use super::world::World;
use crate::sync::door::{Event, StreamId};

const PAIR: &[(usize, usize)] = &[(0, 1)];
const STAR: &[(usize, usize)] = &[(0, 1), (0, 2), (0, 3), (0, 4)];
const CHAIN: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3), (3, 4)];
const RING: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)];
const MESH: &[(usize, usize)] = &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

/// Writes before the links come up, while they work, and after.
fn busy_world(seed: u64, links: &[(usize, usize)]) -> World {
    let nodes = links.iter().flat_map(|(a, b)| [*a, *b]).max().unwrap() + 1;
    let mut world = World::new(seed, nodes);
    scatter(&mut world, 12);
    for (a, b) in links {
        world.link(*a, *b);
    }
    for _ in 0..25 {
        scatter(&mut world, 1);
        (0..15).for_each(|_| {
            world.step();
        });
    }
    world.settle();
    scatter(&mut world, 5);
    world.settle();
    world
}

fn scatter(world: &mut World, writes: usize) {
    for _ in 0..writes {
        let at = world.rng.below(world.stores.len());
        let collection = ["notes", "tasks", "people"][world.rng.below(3)];
        world.write(at, collection);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_topology_converges_with_live_writes(seed: u64, shape in 0usize..5) {
        busy_world(seed, [PAIR, STAR, CHAIN, RING, MESH][shape]).assert_converged();
    }

    #[test]
    fn same_seed_same_trace(seed: u64) {
        let run = || busy_world(seed, RING).trace.finalize();
        prop_assert_eq!(run(), run());
    }

    /// Without rings a change has one way to each replica, and takes it once.
    #[test]
    fn a_change_crosses_a_link_once(seed: u64, star: bool) {
        let world = busy_world(seed, if star { STAR } else { CHAIN });
        let total = world.stores[0].content().values().map(|txns| txns.len()).sum::<usize>();
        for link in &world.links {
            let both = link.iter().flat_map(|end| end.crossed.iter());
            let mut seen = std::collections::BTreeMap::new();
            for (change, times) in both {
                *seen.entry(change.clone()).or_insert(0) += times;
            }
            prop_assert!(seen.len() <= total);
            prop_assert!(seen.values().all(|times| *times == 1), "{:?}", seen);
        }
    }

    /// In a ring two copies may meet on a link, one from each side; never more.
    #[test]
    fn a_change_crosses_a_link_of_a_ring_at_most_once_each_way(seed: u64) {
        let world = busy_world(seed, RING);
        for end in world.links.iter().flatten() {
            prop_assert!(end.crossed.values().all(|times| *times == 1));
        }
    }
}

#[test]
fn nothing_is_sent_when_nothing_differs() {
    let mut world = World::new(1, 2);
    scatter(&mut world, 20);
    world.link(0, 1);
    world.settle();
    world.cut();
    let link = world.link(0, 1);
    world.settle();
    world.assert_converged();
    for end in &world.links[link] {
        assert_eq!(end.sent.keys().collect::<Vec<_>>(), [&StreamId::Control]);
        // One hello: 4 + 1 + 2 + 16 + 1 + 1 + 1, and of each collection its name and two digests.
        assert_eq!(end.sent[&StreamId::Control].len(), 26 + 3 * 65 + "notestaskspeople".len());
    }
}

/// What is written between our hello and the peer's is in neither: it must be tailed. With
/// luck the tail arrives before the hello, too.
#[test]
fn a_change_between_the_hellos_is_not_forgotten() {
    for seed in 0..60 {
        let mut world = World::new(seed, 2);
        scatter(&mut world, 5);
        world.link(0, 1);
        world.settle();
        world.cut();
        let link = world.link(0, 1);
        (0..seed % 12).for_each(|_| {
            world.step();
        });
        world.write(0, "notes");
        world.write(1, "notes");
        world.settle();
        world.assert_converged();
        assert_eq!(world.crossings(link), 2);
    }
}

#[test]
fn a_live_change_goes_out_once_and_is_not_echoed() {
    let mut world = World::new(2, 3);
    let links = [world.link(0, 1), world.link(1, 2)];
    world.settle();
    world.write(0, "notes");
    world.settle();
    world.assert_converged();
    assert_eq!(links.map(|link| world.crossings(link)), [1, 1]);
}

#[test]
fn a_collection_that_appears_later_is_announced() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        world.link(0, 1);
        world.link(1, 2);
        // Now before, now between, now after the hellos.
        (0..seed).for_each(|_| {
            world.step();
        });
        world.write(0, "late");
        world.write(2, "late");
        world.settle();
        world.assert_converged();
        assert_eq!(world.stores[1].held["late"].txns.len(), 2);
    }
}

#[test]
fn duplicates_from_two_links_do_no_harm() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        (0..10).for_each(|_| {
            world.write(0, "notes");
        });
        world.link(0, 1);
        world.link(0, 2);
        world.settle();
        world.cut();
        world.stores[2] = Default::default();
        world.link(0, 2);
        world.link(1, 2);
        world.settle();
        world.assert_converged();
    }
}

#[test]
fn both_sides_learn_that_they_are_caught_up() {
    let mut world = World::new(3, 2);
    world.write(0, "notes");
    let link = world.link(0, 1);
    world.settle();
    let collection = "notes".to_owned();
    for end in 0..2 {
        assert_eq!(world.saw(link, end, &Event::Ready), 1);
        assert_eq!(world.saw(link, end, &Event::Synced { collection: collection.clone() }), 1);
        let caught_up = Event::PeerCaughtUp { collection: collection.clone() };
        assert_eq!(world.saw(link, end, &caught_up), 1);
    }
    let progress = world.links[link][0].session.progress()["notes"];
    let bytes = world.stores[0].log_end();
    assert_eq!((progress.sent_txns, progress.sent_bytes), (1, bytes));
    assert_eq!((progress.acked.0, progress.unacked_bytes), (bytes, 0));
    let progress = world.links[link][1].session.progress()["notes"];
    assert_eq!((progress.received_txns, progress.received_bytes), (1, bytes));
    // What came from the peer is at the peer: our log holds nothing that it lacks.
    assert_eq!(progress.acked.0, bytes);
}

#[test]
fn text_travels_packed() {
    let mut world = World::new(2, 2);
    world.max_chunk = 1 << 20;
    let text: Vec<u8> = b"all work and no play ".iter().cycle().take(9_000).copied().collect();
    for _ in 0..5 {
        world.write_bytes(0, "notes", &text);
    }
    let link = world.link(0, 1);
    world.settle();
    world.assert_converged();
    let sent: usize = world.links[link][0].sent.values().map(Vec::len).sum();
    assert!(sent < 2_000, "{sent} bytes");
    assert_eq!(world.crossings(link), 5);
}

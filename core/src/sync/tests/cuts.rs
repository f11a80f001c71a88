//! A link may end after any byte and any step: what is held is whole and exact, and the next
//! session goes on from there.

use proptest::prelude::*;

use super::world::World;

/// Two replicas that differ both ways in two collections; each has seen some of the other.
fn apart(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.write(0, "notes");
    world.write(1, "notes");
    world.link(0, 1);
    world.settle();
    world.cut();
    for collection in ["notes", "tasks"] {
        (0..3).for_each(|_| {
            world.write(0, collection);
            world.write(1, collection);
        });
    }
    world
}

fn resume(world: &mut World) {
    world.stores.iter().for_each(|store| store.check());
    world.cut();
    world.stores.iter().for_each(|store| store.check());
    world.link(0, 1);
    world.settle();
    world.assert_converged();
    assert_eq!(world.stores[0].held["notes"].txns.len(), 8);
    assert_eq!(world.stores[0].held["tasks"].txns.len(), 6);
}

#[test]
fn a_cut_after_any_byte_leaves_whole_transactions_and_resumes() {
    for bytes in 0.. {
        let mut world = apart(7);
        world.link(0, 1);
        world.budget = bytes;
        world.settle();
        let left = world.budget;
        resume(&mut world);
        if left > 0 {
            assert!(bytes > 2000, "the whole exchange took {bytes} bytes");
            return;
        }
    }
}

#[test]
fn a_cut_after_any_step_leaves_whole_transactions_and_resumes() {
    for seed in 0..8 {
        for steps in 0.. {
            let mut world = apart(seed);
            world.link(0, 1);
            let went = (0..steps).all(|_| world.step());
            resume(&mut world);
            if !went {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn links_that_keep_breaking_converge_in_the_end(seed: u64) {
        let mut world = World::new(seed, 4);
        for _ in 0..12 {
            let ring: Vec<_> = (0..4).map(|n| (n, (n + 1) % 4)).collect();
            for (a, b) in ring {
                world.link(a, b);
            }
            for _ in 0..6 {
                let at = world.rng.below(4);
                let collection = ["notes", "tasks"][world.rng.below(2)];
                world.write(at, collection);
                let steps = world.rng.below(30);
                (0..steps).for_each(|_| {
                    world.step();
                });
            }
            world.cut();
            world.stores.iter().for_each(|store| store.check());
        }
        (0..3).for_each(|n| {
            world.link(n, n + 1);
        });
        world.settle();
        world.assert_converged();
    }
}

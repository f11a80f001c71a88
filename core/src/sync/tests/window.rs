//! How much may be under way.

use super::world::World;
use crate::limits::{
    MAX_TXN_BYTES, SYNC_BATCH_BYTES, SYNC_LINK_WINDOW_BYTES, SYNC_SMALL_BYTES, SYNC_WINDOW_BYTES,
};
use crate::sync::door::StreamId;
use crate::sync::message::Tail;

use super::world::tail_messages;

fn world() -> (World, usize) {
    let mut world = World::new(1, 2);
    world.max_chunk = 1 << 20;
    let link = world.link(0, 1);
    world.settle();
    (world, link)
}

fn unacked(world: &World, link: usize, collection: &str) -> u64 {
    world.links[link][0].session.progress()[collection].unacked_bytes
}

#[test]
fn a_slow_peer_is_sent_a_window_and_no_more() {
    let (mut world, link) = world();
    world.lazy.insert(1);
    (0..60).for_each(|_| {
        world.write_bytes(0, "notes", &[7; 100_000]);
    });
    world.settle();
    let held = unacked(&world, link, "notes");
    assert!(held <= SYNC_WINDOW_BYTES as u64 && held > (SYNC_WINDOW_BYTES - 101_000) as u64);
    let acked = world.links[link][0].session.progress()["notes"].acked;
    assert_eq!(acked.0, 0, "nothing is claimed that the peer did not acknowledge");
    world.write_bytes(0, "tasks", b"small");
    world.settle();
    assert_eq!(world.links[link][0].session.progress()["tasks"].sent_txns, 1);
    assert!(!world.links[link][0].session.is_idle());
    world.lazy.clear();
    world.settle();
    world.assert_converged();
    assert_eq!(unacked(&world, link, "notes"), 0);
}

#[test]
fn frames_hold_a_batch_or_one_transaction() {
    let (mut world, link) = world();
    world.lazy.insert(0);
    for n in 0..40 {
        world.write_bytes(0, "notes", &vec![7; 1000 + n * 20_000]);
    }
    world.lazy.clear();
    world.settle();
    world.assert_converged();
    let sent = &world.links[link][0].sent[&StreamId::Tail(0)];
    for message in tail_messages(sent, "notes") {
        if let Tail::Txns { txns, .. } = message {
            let bytes: usize = txns.iter().map(|txn| txn.bytes.len()).sum();
            assert!(txns.len() == 1 || bytes <= SYNC_BATCH_BYTES);
        }
    }
}

#[test]
fn a_transaction_larger_than_the_window_goes_alone() {
    let (mut world, link) = world();
    world.lazy.insert(1);
    world.write_bytes(0, "notes", b"small");
    world.write_bytes(0, "notes", &vec![7; MAX_TXN_BYTES - 1000]);
    world.write_bytes(0, "notes", b"small");
    world.settle();
    assert_eq!(world.links[link][0].session.progress()["notes"].sent_txns, 1);
    world.lazy.clear();
    world.settle();
    world.assert_converged();
}

#[test]
fn stalled_collections_do_not_stall_a_small_live_one() {
    let (mut world, link) = world();
    world.lazy.insert(1);
    let stalled = SYNC_LINK_WINDOW_BYTES / SYNC_WINDOW_BYTES + 2;
    for n in 0..stalled {
        (0..6).for_each(|_| {
            world.write_bytes(0, &format!("big{n}"), &vec![7; 900_000]);
        });
    }
    // What is left of the link's window.
    (0..2000).for_each(|_| {
        world.write_bytes(0, "filler", &[7; 1000]);
    });
    world.settle();
    let total = |world: &World| {
        let progress = world.links[link][0].session.progress();
        progress.values().map(|p| p.unacked_bytes).sum::<u64>() as usize
    };
    let held = total(&world);
    assert!(held <= SYNC_LINK_WINDOW_BYTES && held > SYNC_LINK_WINDOW_BYTES - 2000);
    (0..3).for_each(|_| {
        world.write_bytes(0, "live", &[1; SYNC_SMALL_BYTES / 2]);
    });
    world.settle();
    assert_eq!(world.links[link][0].session.progress()["live"].sent_txns, 1);
    world.lazy.clear();
    world.settle();
    world.assert_converged();
}

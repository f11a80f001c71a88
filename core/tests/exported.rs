//! The mark that says which own transactions may have left: it is never behind the truth.

mod common;

use common::link::Link;
use common::{NOTES, Replica, Small, stream};
use littoral::id::Vector;
use littoral::store::LogBudget;
use littoral::sync::door::{Event, Input};
use littoral::{Store, Transaction};

fn exported(store: &Store) -> u64 {
    let stats = store.stats().unwrap();
    stats.collections.iter().find(|of| of.name == NOTES).map_or(0, |of| of.exported)
}

fn own_held(replica: &Replica) -> u64 {
    let node = replica.store.node_id();
    let vector = common::vector(&replica.store, NOTES);
    vector.iter().find(|(origin, _)| origin.node == node).map_or(0, |(_, head)| head.seq)
}

#[test]
fn what_was_handed_out_is_marked_durably_before() {
    let a = Replica::new(0);
    (0..5i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
    assert_eq!(exported(&a.store), 0, "nobody was given anything");
    stream(&a.store, NOTES, &Vector::new());
    assert_eq!(exported(&a.store), 5);
    assert_eq!(exported(&a.after_power_cut(None).store), 5);
    a.store.close().unwrap();
    assert_eq!(exported(&a.after_power_cut(None).store), 5);
}

#[test]
fn what_a_peer_wrote_needs_no_mark() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    b.notes().set("n", "x", 1i64).unwrap();
    common::pull(&a, &b);
    let syncs = a.disk.syncs();
    stream(&a.store, NOTES, &Vector::new());
    assert_eq!((exported(&a.store), a.disk.syncs()), (0, syncs));
}

#[test]
fn a_live_peer_costs_no_further_sync() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 0i64).unwrap();
    stream(&a.store, NOTES, &Vector::new());
    let before = a.store.stats().unwrap().log_syncs;
    for n in 1..=50i64 {
        a.notes().set("n", "x", n).unwrap();
        stream(&a.store, NOTES, &common::vector(&a.store, NOTES));
        stream(&a.store, NOTES, &Vector::new());
        assert_eq!(exported(&a.store), own_held(&a));
    }
    assert_eq!(a.store.stats().unwrap().log_syncs - before, 50);
}

#[test]
fn what_is_written_long_after_the_last_peer_left_is_not_marked() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 0i64).unwrap();
    stream(&a.store, NOTES, &Vector::new());
    (0..100i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
    assert!(exported(&a.store) < 40, "{}", exported(&a.store));
    assert_eq!(exported(&a.after_power_cut(None).store), exported(&a.store));
}

/// Whatever the disk does, nothing was given to a peer that the store does not know of after.
#[test]
fn no_crash_forgets_what_was_handed_out() {
    for calls in 0..1000 {
        let a = Replica::new(0);
        let mut given = 0;
        a.disk.fail_after(calls);
        let mut script = || -> littoral::Result<()> {
            for n in 0..6i64 {
                let both = |txn: &mut Transaction| txn.set(NOTES, "n", "x", n);
                match n % 3 {
                    1 => a.store.write_deferred(both)?,
                    _ => a.store.write(both)?,
                }
                if n % 2 == 0 {
                    let page = a.store.log_read(NOTES, Default::default(), 1 << 20)?;
                    let newest = page.records.iter().map(|(dot, ..)| dot.seq).max();
                    given = given.max(newest.unwrap_or(0));
                }
            }
            a.store.trust(a.store.node_id())
        };
        let done = script().is_ok();
        for fate in [None, Some(1), Some(2), Some(3)] {
            a.disk.fail_no_more();
            let again = a.after_power_cut(fate);
            assert!(exported(&again.store) >= given, "{calls} calls, {fate:?}");
            assert!(own_held(&again) >= given, "{calls} calls, {fate:?}");
            again.store.check_rows().unwrap();
        }
        if done {
            assert!(given >= 4);
            return;
        }
    }
    panic!("the script makes fewer calls");
}

#[test]
fn leaving_begins_a_new_count_of_what_was_handed_out() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    stream(&a.store, NOTES, &Vector::new());
    assert_eq!(exported(&a.store), 1);
    a.store.leave(NOTES).unwrap();
    a.notes().set("n", "x", 1i64).unwrap();
    assert_eq!(exported(&a.store), 0);
    assert_eq!(exported(&a.after_power_cut(Some(1)).store), 0);
}

/// A copy has sent what this store wrote before it was copied, and the log of who got it no longer
/// reaches back: if that did not count as handed out, the peer would be told of less than it needs
/// to send a tail, and so the same snapshot again and again.
#[test]
fn what_a_copy_of_this_store_has_sent_has_left_and_one_snapshot_is_enough() {
    for written_since in [0u64, 2] {
        let a = Replica::new(0);
        (0..3i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
        a.store.flush().unwrap();
        let copy = a.after_power_cut(None);
        (0..written_since).for_each(|n| a.notes().set("m", "x", n as i64).unwrap());
        let budget = LogBudget { bytes: 1 << 10, ..LogBudget::default() };
        let hub = Replica::small(1, Small { segment_bytes: 4 << 10, budget });
        common::pull(&hub, &copy);
        (0..200i64).for_each(|n| hub.notes().set("hub", "x", n).unwrap());
        hub.store.prune().unwrap();
        let joined = |event: &&Event| matches!(event, Event::Joined { .. });
        for joins in [1, 0] {
            let mut link = Link::new(&hub.store, &a.store);
            (0..2).for_each(|end| link.handle(end, Input::Committed));
            link.run(|round| assert!(round < 10_000, "the link comes to rest"));
            assert_eq!(link.closed(), None);
            assert_eq!(link.events(1).iter().filter(joined).count(), joins);
        }
        assert_eq!(exported(&a.store), 3 + written_since);
        common::assert_same(&[&hub, &a]);
    }
}

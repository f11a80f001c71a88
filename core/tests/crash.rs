//! Loss of power, failing disks and full ones, at every call that changes a file.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{NOTES, Replica, Rng, each_seed, stream};
use littoral::id::{Dot, Vector};
use littoral::store::disk::MemDisk;
use littoral::{ErrorKind, Field, NodeId, Options, Store, Transaction};

/// What peers were given, by any life of the store: a dot stands for one content for ever.
#[derive(Default)]
struct Given(BTreeMap<Dot, Vec<u8>>);

impl Given {
    fn note(&mut self, store: &Store) {
        for (dot, bytes) in stream(store, NOTES, &Vector::new()) {
            assert_eq!(*self.0.entry(dot).or_insert_with(|| bytes.clone()), bytes, "{dot}");
        }
    }
}

/// What a store was asked to write, and what of that it acknowledged as durable.
#[derive(Default)]
struct Ledger {
    /// The number written by the newest transaction that may be there.
    tried: i64,
    /// The number that a durable write acknowledged.
    durable: i64,
    /// The same of what came from the peer.
    peer_tried: u64,
    peer_durable: u64,
}

impl Ledger {
    fn check(&self, store: &Store, peer: NodeId) {
        store.check_rows().unwrap();
        let notes = store.collection(NOTES).unwrap();
        let number = |id: &str, name: &str| {
            let field = notes.get_field(id, name).unwrap();
            field.and_then(|field| field.as_value()?.as_i64()).unwrap_or(0)
        };
        let (left, right) = (number("left", "n"), number("right", "n"));
        assert_eq!(left, right, "a transaction is there whole or not at all");
        assert!(
            (self.durable..=self.tried).contains(&left),
            "{left} of {}..{}",
            self.durable,
            self.tried
        );
        let sum = notes.get_field("left", "sum").unwrap().and_then(|sum| sum.as_counter());
        assert_eq!(sum.unwrap_or(0), left, "each counted once");
        let held = common::vector(store, NOTES);
        let held = held.iter().find(|(o, _)| o.node == peer).map_or(0, |(_, head)| head.seq);
        assert!((self.peer_durable..=self.peer_tried).contains(&held));
        assert_eq!(number("peer", "n") as u64, held, "the vector is exact");
    }
}

/// Every third transaction is so large that the log packs it.
fn fill(txn: &mut Transaction, id: &str, n: u64) -> littoral::Result<()> {
    match n % 3 {
        0 => txn.set(NOTES, id, "text", format!("the sea of {n} ").repeat(300)),
        _ => Ok(()),
    }
}

/// Transactions of a peer, each writing its own number.
fn of_peer(count: u64) -> (NodeId, Vec<Vec<u8>>) {
    let peer = Replica::new(9);
    for n in 1..=count {
        let write = |txn: &mut Transaction| {
            txn.set(NOTES, "peer", "n", n)?;
            fill(txn, "peer", n)
        };
        peer.store.write(write).unwrap();
    }
    let txns = stream(&peer.store, NOTES, &Vector::new());
    (peer.store.node_id(), txns.into_iter().map(|(_, bytes)| bytes).collect())
}

/// One more transaction of two documents; durable or deferred.
fn write(store: &Store, ledger: &mut Ledger, durable: bool) -> littoral::Result<()> {
    ledger.tried += 1;
    let n = ledger.tried;
    let both = |txn: &mut Transaction| {
        txn.set(NOTES, "left", "n", n)?;
        txn.set(NOTES, "right", "n", n)?;
        fill(txn, "right", n as u64)?;
        txn.increment(NOTES, "left", "sum", 1)
    };
    match durable {
        true => store.write(both).map(|()| ledger.durable = n),
        false => store.write_deferred(both),
    }
}

fn receive(store: &Store, ledger: &mut Ledger, txns: &[Vec<u8>]) -> littoral::Result<()> {
    let Some(next) = txns.get(ledger.peer_tried as usize) else { return Ok(()) };
    ledger.peer_tried += 1;
    store.apply_remote(NOTES, vec![next.clone()])?;
    ledger.peer_durable = ledger.peer_tried;
    // One commit makes durable all that came before it.
    ledger.durable = ledger.tried;
    Ok(())
}

/// Reopens after power was lost, checks what is there, and that a store that gets the same
/// transactions from this one is the same.
fn reopen(
    replica: &Replica,
    fate: Option<u64>,
    ledger: &mut Ledger,
    peer: NodeId,
    given: &mut Given,
) -> Replica {
    let again = replica.after_power_cut(fate);
    ledger.check(&again.store, peer);
    given.note(&again.store);
    let other = Replica::new(77);
    common::pull(&other, &again);
    common::assert_same(&[&again, &other]);
    let left = again.notes().get_field("left", "n").unwrap();
    ledger.tried = left.and_then(|field| field.as_value()?.as_i64()).unwrap_or(0);
    ledger.durable = ledger.tried;
    let held = common::vector(&again.store, NOTES);
    let held = held.iter().find(|(o, _)| o.node == peer).map_or(0, |(_, head)| head.seq);
    (ledger.peer_tried, ledger.peer_durable) = (held, held);
    again
}

#[test]
fn acknowledged_writes_survive_power_cuts_at_any_moment() {
    let (peer, txns) = of_peer(40);
    each_seed("power cuts", 12, |seed| {
        let mut rng = Rng::new(seed);
        let (mut ledger, mut given) = (Ledger::default(), Given::default());
        let mut replica = Replica::new(0);
        for _ in 0..10 + rng.below(40) {
            match rng.below(10) {
                0..=3 => write(&replica.store, &mut ledger, true).unwrap(),
                4..=6 => write(&replica.store, &mut ledger, false).unwrap(),
                7 => receive(&replica.store, &mut ledger, &txns).unwrap(),
                8 => given.note(&replica.store),
                _ => {
                    match rng.below(4) {
                        0 => replica.store.close().unwrap(),
                        1 => replica.store.trust(peer).unwrap(),
                        _ => {}
                    }
                    let fate = rng.chance(80).then(|| rng.next());
                    replica = reopen(&replica, fate, &mut ledger, peer, &mut given);
                }
            }
        }
        reopen(&replica, Some(seed), &mut ledger, peer, &mut given);
    });
}

#[test]
fn a_write_over_several_collections_survives_a_power_cut_whole_or_not_at_all() {
    let names = ["left", "middle", "right"];
    each_seed("torn writes", 20, |seed| {
        let mut replica = Replica::new(0);
        for n in 1..6i64 {
            let all = |txn: &mut Transaction| {
                names.iter().try_for_each(|name| txn.set(name, "d", "n", n))
            };
            match n % 2 {
                0 => replica.store.write(all).unwrap(),
                _ => replica.store.write_deferred(all).unwrap(),
            }
            replica = replica.after_power_cut(Some(seed * 10 + n as u64));
            let shown = names
                .map(|name| replica.store.collection(name).unwrap().get_field("d", "n").unwrap());
            assert!(shown.iter().all(|n| *n == shown[0]), "a part of a write: {shown:?}");
        }
    });
}

/// redb refuses everything after a read that failed, long after the disk has recovered.
#[test]
fn a_failed_read_is_told_until_the_store_is_opened_again() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    let disk = a.disk.power_cut_all_lost();
    let open = || {
        let options = Options::new().key(a.key()).cache_bytes(0);
        options.open_on(Arc::new(disk.clone())).unwrap()
    };
    let store = open();
    disk.fail_reads_after(0);
    assert!(store.collection(NOTES).unwrap().get("n").is_err());
    disk.fail_no_more();
    let failure = store.stats().unwrap().failure;
    assert!(failure.is_some_and(|why| why.contains("could not read state.redb")));
    let refused = store.collection(NOTES).unwrap().set("n", "x", 2i64).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
    assert!(refused.message().contains("open it again"), "{refused}");
    drop(store);
    let store = open();
    assert_eq!(store.stats().unwrap().failure, None);
    store.collection(NOTES).unwrap().set("n", "x", 2i64).unwrap();
}

#[test]
fn a_failing_read_never_makes_a_store_use_a_name_again() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    let first: Vec<_> = common::vector(&a.store, NOTES).iter().map(|(o, _)| *o).collect();
    assert!(a.store.leave(NOTES).unwrap());
    // Nothing is found in the cache.
    let open = |disk: &MemDisk| {
        let options = Options::new().key(a.key()).cache_bytes(0);
        options.open_on(Arc::new(disk.clone())).unwrap()
    };
    for calls in 0..100 {
        let disk = a.disk.power_cut_all_lost();
        let store = open(&disk);
        disk.fail_reads_after(calls);
        let written = store.collection(NOTES).unwrap().set("n", "x", 2i64).is_ok();
        let struck = disk.struck() > 0;
        disk.fail_no_more();
        drop(store);
        let held = common::vector(&open(&disk.power_cut(calls)), NOTES);
        assert_eq!(held.seq(&first[0]), 0, "after {calls} reads it is written under again");
        if written && !struck {
            assert!(calls > 3);
            return;
        }
    }
    panic!("it reads more often");
}

#[test]
fn a_disk_that_fails_at_any_call_loses_nothing_acknowledged() {
    let (peer, txns) = of_peer(6);
    let script = |store: &Store, ledger: &mut Ledger| -> littoral::Result<()> {
        write(store, ledger, true)?;
        receive(store, ledger, &txns)?;
        write(store, ledger, false)?;
        write(store, ledger, false)?;
        receive(store, ledger, &txns)?;
        write(store, ledger, false)?;
        store.trust(peer)?;
        write(store, ledger, false)?;
        write(store, ledger, true)?;
        write(store, ledger, false)?;
        store.close()
    };
    let mut calls = 0;
    loop {
        let (mut ledger, mut given) = (Ledger::default(), Given::default());
        let replica = Replica::new(0);
        replica.disk.fail_after(calls);
        let failed = script(&replica.store, &mut ledger).is_err();
        if failed {
            let refused = replica.store.write(|txn| txn.set(NOTES, "left", "m", 0i64)).unwrap_err();
            let expected = [ErrorKind::Poisoned, ErrorKind::Closed];
            assert!(expected.contains(&refused.kind()), "after {calls} calls: {refused}");
        }
        // The disk recovers before the store is closed, or never does.
        if calls % 2 == 0 {
            replica.disk.fail_no_more();
        }
        let _ = replica.store.close();
        replica.disk.fail_no_more();
        for fate in [None, Some(calls), Some(calls + 1000)] {
            let tried = (ledger.tried, ledger.durable, ledger.peer_tried, ledger.peer_durable);
            let again = reopen(&replica, fate, &mut ledger, peer, &mut given);
            let after =
                Ledger { tried: ledger.tried, durable: ledger.durable, ..Ledger::default() };
            (ledger.tried, ledger.durable, ledger.peer_tried, ledger.peer_durable) = tried;
            let mut goes_on = Ledger { peer_tried: 0, ..after };
            write(&again.store, &mut goes_on, true).unwrap();
            // Another life may sign the dot again only if nobody was given it.
            given = Given::default();
        }
        if !failed {
            break;
        }
        calls += 1;
    }
    assert!(calls > 20, "the script makes {calls} calls");
}

#[test]
fn a_store_that_loses_power_while_it_is_made_or_recovered_opens_again() {
    let (peer, txns) = of_peer(2);
    for calls in 0.. {
        let disk = MemDisk::new();
        disk.fail_after(calls);
        let made = Replica::on(0, disk.clone());
        let done = made.is_ok();
        drop(made);
        disk.fail_no_more();
        for seed in 0..4 {
            let replica = Replica::on(0, disk.power_cut(seed)).unwrap_or_else(|err| {
                panic!("made with {calls} calls, seed {seed}: {err}");
            });
            write(&replica.store, &mut Ledger::default(), true).unwrap();
        }
        if done {
            break;
        }
    }
    let replica = Replica::new(0);
    let (mut ledger, mut given) = (Ledger::default(), Given::default());
    for _ in 0..3 {
        write(&replica.store, &mut ledger, true).unwrap();
        receive(&replica.store, &mut ledger, &txns).unwrap();
        write(&replica.store, &mut ledger, false).unwrap();
    }
    for calls in 0.. {
        let disk = replica.disk.power_cut(calls);
        disk.fail_after(calls);
        let opened = Replica::on(0, disk.clone());
        let done = opened.is_ok();
        drop(opened);
        disk.fail_no_more();
        let half = Replica::on(0, disk.power_cut(calls)).unwrap();
        let mut ledger = Ledger { ..ledger };
        reopen(&half, None, &mut ledger, peer, &mut given);
        if done {
            break;
        }
    }
}

/// redb makes its last commits durable when it is dropped: not after the log has failed.
#[test]
fn the_state_is_never_durable_ahead_of_the_log() {
    let (peer, _) = of_peer(1);
    for fails in 0..4 {
        let (mut ledger, mut given) = (Ledger::default(), Given::default());
        let replica = Replica::new(0);
        write(&replica.store, &mut ledger, true).unwrap();
        (0..3).for_each(|_| write(&replica.store, &mut ledger, false).unwrap());
        replica.disk.fail_after(fails);
        let failed = match fails {
            0 | 1 => write(&replica.store, &mut ledger, true),
            2 => replica.store.flush(),
            _ => replica.store.close(),
        };
        replica.disk.fail_no_more();
        if failed.is_ok() {
            ledger.durable = ledger.tried;
        }
        let _ = replica.store.close();
        for fate in [None, Some(1), Some(2), Some(3)] {
            let before = (ledger.tried, ledger.durable);
            reopen(&replica, fate, &mut ledger, peer, &mut given);
            (ledger.tried, ledger.durable) = before;
            given = Given::default();
        }
    }
    // Nor by a change that goes beside the log.
    let replica = Replica::new(0);
    replica.store.write_deferred(|txn| txn.set(NOTES, "n", "x", 1i64)).unwrap();
    replica.store.trust(peer).unwrap();
    let again = replica.after_power_cut(None);
    assert!(again.store.is_trusted(&peer));
    again.store.check_rows().unwrap();
}

#[test]
fn a_failed_sync_poisons_the_store_and_reopening_finds_the_truth() {
    let replica = Replica::new(0);
    replica.notes().set("n", "x", 1i64).unwrap();
    // The append passes, its sync does not.
    replica.disk.fail_after(1);
    let failed = replica.notes().set("n", "x", 2i64).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Io);
    replica.disk.fail_no_more();
    for refused in [
        replica.notes().set("n", "x", 3i64),
        replica.store.apply_remote(NOTES, of_peer(1).1).map(drop),
        replica.store.flush(),
        replica.store.trust(replica.store.node_id()),
        replica.store.leave(NOTES).map(drop),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Poisoned);
    }
    assert_eq!(
        replica.notes().get_field("n", "x").unwrap(),
        Some(Field::from(1i64)),
        "reads go on"
    );
    assert!(replica.store.stats().unwrap().failure.is_some());
    drop(replica.store.close());
    let again = replica.after_power_cut(None);
    let found = again.notes().get_field("n", "x").unwrap();
    assert!(found == Some(Field::from(1i64)) || found == Some(Field::from(2i64)), "{found:?}");
    again.notes().set("n", "x", 3i64).unwrap();
    again.store.check_rows().unwrap();
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let (peer, _) = of_peer(1);
    for calls in 0..12 {
        let (mut ledger, mut given) = (Ledger::default(), Given::default());
        let replica = Replica::new(0);
        write(&replica.store, &mut ledger, true).unwrap();
        write(&replica.store, &mut ledger, false).unwrap();
        replica.disk.full_after(calls);
        let mut told = None;
        for _ in 0..20 {
            if let Err(err) = write(&replica.store, &mut ledger, true) {
                told = Some(err);
                break;
            }
        }
        let told = told.expect("a full disk takes no more");
        assert_eq!(told.kind(), ErrorKind::DiskFull, "{told}");
        assert!(told.message().contains("free some space"), "{told}");
        replica.disk.fail_no_more();
        let _ = replica.store.close();
        let mut again = reopen(&replica, Some(calls), &mut ledger, peer, &mut given);
        write(&again.store, &mut ledger, true).unwrap();
        again = reopen(&again, None, &mut ledger, peer, &mut given);
        drop(again);
    }
}

/// Many threads, local and remote, durable and deferred; the power goes at some moment.
#[test]
fn writers_at_once_lose_nothing_acknowledged() {
    let (_, txns) = of_peer(30);
    let replica = Replica::new(0);
    let sums: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (store, txns) = (replica.store.clone(), txns.clone());
                scope.spawn(move || match thread {
                    0 => {
                        for txn in txns {
                            store.apply_remote(NOTES, vec![txn]).unwrap();
                        }
                        0
                    }
                    _ => {
                        let add = |txn: &mut Transaction| txn.increment(NOTES, "all", "sum", 1);
                        for _ in 0..15 {
                            store.write(add).unwrap();
                            store.write_deferred(add).unwrap();
                        }
                        30
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    replica.store.flush().unwrap();
    let again = replica.after_power_cut(None);
    again.store.check_rows().unwrap();
    let sum = again.notes().get_field("all", "sum").unwrap();
    assert_eq!(sum, Some(Field::Counter(sums.iter().sum())));
    assert_eq!(again.notes().get_field("peer", "n").unwrap(), Some(Field::from(30i64)));
    assert_eq!(common::vector(&again.store, NOTES), common::vector(&replica.store, NOTES));
}

/// What reached the log and not the state is not held: peers are not given it.
#[test]
fn what_could_not_be_applied_is_not_sent() {
    let (peer, txns) = of_peer(40);
    let mut ahead = 0;
    for calls in 0..40 {
        let replica = Replica::new(0);
        replica.disk.fail_after(calls);
        let mut ledger = Ledger::default();
        while ledger.peer_tried < 40 && receive(&replica.store, &mut ledger, &txns).is_ok() {}
        let held = replica.store.held(NOTES).0;
        let mut from = Default::default();
        // A store that has failed may refuse; what it gives, it holds.
        while let Ok(page) = replica.store.log_read(NOTES, from, 8 << 10)
            && !page.records.is_empty()
        {
            for (dot, ..) in page.records {
                assert!(held.covers(&dot), "after {calls} calls: {dot} is sent and not held");
            }
            from = page.next;
        }
        let again = replica.after_power_cut(None);
        let found = common::vector(&again.store, NOTES);
        let newest = |(origin, head): (&littoral::id::Origin, &littoral::id::Head)| {
            origin.node == peer && held.seq(origin) < head.seq
        };
        ahead += usize::from(found.iter().any(newest));
    }
    assert!(ahead > 0, "the log was never ahead of the state");
}

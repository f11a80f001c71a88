//! A bounded log: what is pruned, what holds it, and what a peer, a follower or a crash finds
//! afterwards.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::link::Link;
use common::{NOON, NOTES, Replica, Rng, Small, each_seed, stream};
use littoral::id::{Dot, Origin, Vector};
use littoral::store::disk::{Disk, MemDisk};
use littoral::store::{LogBudget, Pruned};
use littoral::sync::door::Event;
use littoral::{ErrorKind, Position, Store};

const SEGMENT: u64 = 4 << 10;
const BUDGET: u64 = 16 << 10;
const SMALL: Small =
    Small { segment_bytes: SEGMENT, budget: LogBudget { bytes: BUDGET, age_ms: u64::MAX } };
/// A record is smaller than this, so a segment ends at most so much later than it should.
const RECORD: u64 = 512;

fn log_files(disk: &MemDisk) -> usize {
    disk.list("log").unwrap().len()
}

/// Bytes of the segments, without what is allocated ahead.
fn log_bytes(store: &Store) -> u64 {
    store.stats().unwrap().log_bytes
}

fn write(replica: &Replica, collection: &str, count: u64) {
    let collection = replica.store.collection(collection).unwrap();
    // To write what is there already is no transaction.
    (0..count).for_each(|_| collection.increment("n", "x", 1).unwrap());
}

/// Writes until so many bytes have gone into the log.
fn fill(replica: &Replica, collection: &str, bytes: u64) {
    let start = replica.store.position().0;
    while replica.store.position().0 < start + bytes {
        write(replica, collection, 1);
    }
}

fn own(replica: &Replica) -> Origin {
    Origin { node: replica.store.node_id(), incarnation: 0 }
}

/// The numbers that the log holds of an origin.
fn held(replica: &Replica, collection: &str, origin: &Origin) -> Vec<u64> {
    let all = stream(&replica.store, collection, &Vector::new());
    all.into_iter().filter(|(dot, _)| dot.origin == *origin).map(|(dot, _)| dot.seq).collect()
}

/// Asserts that the floor says exactly what the log no longer holds.
fn assert_exact_floor(replica: &Replica, collection: &str) {
    let floor = replica.store.floor(collection).unwrap();
    let vector = common::vector(&replica.store, collection);
    let mut found: BTreeMap<Origin, Vec<u64>> = BTreeMap::new();
    for (dot, _) in stream(&replica.store, collection, &Vector::new()) {
        found.entry(dot.origin).or_default().push(dot.seq);
    }
    for (origin, head) in vector.iter() {
        let expected: Vec<u64> = (floor.seq(origin) + 1..=head.seq).collect();
        assert_eq!(found.remove(origin).unwrap_or_default(), expected, "of {origin}");
    }
    assert!(found.is_empty());
    assert!(vector.covers_all(&floor));
}

#[test]
fn a_log_is_bounded_however_much_is_written() {
    let a = Replica::small(0, SMALL);
    fill(&a, NOTES, 50 * BUDGET);
    let bound = BUDGET + 2 * (SEGMENT + RECORD);
    assert!(log_bytes(&a.store) <= bound, "{} of {bound}", log_bytes(&a.store));
    assert!(log_bytes(&a.store) >= BUDGET, "and no less than what the budget promises");
    assert!(log_files(&a.disk) as u64 <= bound / SEGMENT + 1);
    assert_exact_floor(&a, NOTES);
    assert!(a.store.prune().unwrap().segments <= 1, "it keeps up with what is written");
    assert_eq!(a.store.prune().unwrap(), Pruned::default());
    a.store.check_rows().unwrap();
}

#[test]
fn the_floor_is_exact_after_pruning_and_reopening() {
    let (a, b) = (Replica::small(0, SMALL), Replica::new(1));
    for _ in 0..12 {
        write(&b, NOTES, 7);
        common::pull(&a, &b);
        fill(&a, NOTES, BUDGET / 3);
        assert_exact_floor(&a, NOTES);
    }
    let floor = a.store.floor(NOTES).unwrap();
    assert!(floor.seq(&own(&a)) > 0 && floor.seq(&own(&b)) > 0);
    // A row of the floor names the transaction that it stands for.
    let dot = Dot { origin: own(&b), seq: floor.seq(&own(&b)) };
    let bytes = stream(&b.store, NOTES, &Vector::new()).into_iter().find(|(d, _)| *d == dot);
    let scope = littoral::txn::Scope { network: a.store.network(), collection: NOTES };
    let signed = littoral::txn::Signed::verify(bytes.unwrap().1, scope).unwrap();
    assert_eq!(floor.head(&own(&b)).unwrap().hash, signed.hash.short());
    for fate in [None, Some(1), Some(2)] {
        let again = a.after_power_cut(fate);
        assert_eq!(again.store.floor(NOTES).unwrap(), floor);
        assert_exact_floor(&again, NOTES);
    }
}

#[test]
fn a_collection_keeps_its_budget_and_a_quiet_one_does_not_hold_a_busy_one() {
    let a = Replica::small(0, SMALL);
    let of = |bytes| Some(LogBudget { bytes, age_ms: u64::MAX });
    a.store.set_log_budget("small", of(2 * SEGMENT)).unwrap();
    a.store.set_log_budget("large", of(10 * SEGMENT)).unwrap();
    write(&a, "quiet", 1);
    for _ in 0..400 {
        write(&a, "small", 1);
        write(&a, "large", 4);
    }
    // All in one log: what is kept is what the large one needs.
    let whole = 12 * SEGMENT + BUDGET;
    let bound = whole + 2 * (SEGMENT + RECORD);
    assert!(log_bytes(&a.store) <= bound, "{} of {bound}", log_bytes(&a.store));
    let of_large: usize =
        stream(&a.store, "large", &Vector::new()).iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(of_large as u64 >= 9 * SEGMENT, "{of_large}");
    for collection in ["quiet", "small", "large"] {
        assert_exact_floor(&a, collection);
    }
    assert!(a.store.floor("quiet").unwrap().seq(&own(&a)) == 1);
    // Budgets are kept in the store, and can be taken back.
    let again = a.after_power_cut(Some(3));
    assert_eq!(again.store.log_budget("large").bytes, 10 * SEGMENT);
    again.store.set_log_budget("large", None).unwrap();
    assert_eq!(again.store.log_budget("large"), SMALL.budget);
    assert!(again.store.prune().unwrap().segments > 0);
    // The store's own default is for openings that don't name one.
    let tiny = LogBudget { bytes: 1, age_ms: 1 };
    again.store.set_default_log_budget(Some(tiny)).unwrap();
    assert_eq!(again.store.log_budget("quiet"), SMALL.budget);
    let plain = Replica::on(0, again.disk.power_cut_all_lost()).unwrap();
    assert_eq!(plain.store.log_budget("quiet"), tiny);
    plain.store.set_default_log_budget(None).unwrap();
    assert_eq!(plain.store.log_budget("quiet"), LogBudget::default());
}

#[test]
fn many_collections_share_a_log_within_all_their_budgets() {
    let a = Replica::small(0, SMALL);
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    for name in &names {
        let budget = LogBudget { bytes: SEGMENT, age_ms: u64::MAX };
        a.store.set_log_budget(name, Some(budget)).unwrap();
    }
    for round in 0..60 {
        names.iter().skip(round % 3).for_each(|name| write(&a, name, 1));
    }
    assert!(log_bytes(&a.store) <= 20 * SEGMENT + 2 * (SEGMENT + RECORD));
    names.iter().for_each(|name| assert_exact_floor(&a, name));
    let again = a.after_power_cut(Some(9));
    names.iter().for_each(|name| assert_exact_floor(&again, name));
}

#[test]
fn what_is_too_old_goes_whatever_the_clock_has_done() {
    let age_ms = 1_000_000;
    let small = Small { budget: LogBudget { bytes: u64::MAX, age_ms }, ..SMALL };
    let a = Replica::small(0, small);
    fill(&a, NOTES, 5 * SEGMENT);
    assert_eq!(a.store.prune().unwrap().segments, 0);
    a.wall.set(NOON + age_ms);
    assert!(a.store.prune().unwrap().segments >= 4, "all but the one written to");
    assert_exact_floor(&a, NOTES);
    // A clock that jumps into the past prunes nothing; far into the future, what there is.
    fill(&a, NOTES, 5 * SEGMENT);
    a.wall.set(1);
    assert_eq!(a.store.prune().unwrap().segments, 0);
    fill(&a, NOTES, 2 * SEGMENT);
    a.wall.set(u64::MAX / 2);
    write(&a, NOTES, 1);
    a.store.prune().unwrap();
    assert_exact_floor(&a, NOTES);
    let newest = common::vector(&a.store, NOTES).seq(&own(&a));
    assert!(held(&a, NOTES, &own(&a)).contains(&newest));
    a.store.check_rows().unwrap();
}

#[test]
fn own_writes_that_no_peer_was_given_hold_the_log_while_there_are_peers() {
    let (a, b) = (Replica::small(0, SMALL), Replica::new(1));
    a.store.trust(b.store.node_id()).unwrap();
    fill(&a, NOTES, 5 * BUDGET);
    assert!(log_bytes(&a.store) >= 5 * BUDGET);
    assert_eq!(*a.store.floor(NOTES).unwrap(), Vector::new());
    let stats = a.store.stats().unwrap();
    assert!(stats.log_held.unwrap().contains("no peer was given"));
    // What a peer wrote in between is held by them, and no longer than they are.
    common::pull(&b, &a);
    write(&a, NOTES, 1);
    a.store.prune().unwrap();
    assert!(log_bytes(&a.store) <= BUDGET + 2 * (SEGMENT + RECORD));
    assert_eq!(a.store.stats().unwrap().log_held, None);
    assert_exact_floor(&a, NOTES);
    // Without peers there is nobody to keep them for.
    a.store.distrust(b.store.node_id()).unwrap();
    fill(&a, NOTES, 5 * BUDGET);
    assert!(log_bytes(&a.store) <= BUDGET + 2 * (SEGMENT + RECORD));
}

#[test]
fn a_pin_holds_the_log_until_it_is_dropped() {
    let a = Replica::small(0, SMALL);
    write(&a, NOTES, 3);
    let from = a.store.position();
    let pin = a.store.pin_log(NOTES, from, "a snapshot").unwrap();
    fill(&a, NOTES, BUDGET + 3 * SEGMENT);
    assert!(pin.is_held());
    assert_eq!(a.store.log_read(NOTES, from, 1).unwrap().records[0].0.seq, 4);
    let stats = a.store.stats().unwrap();
    assert_eq!(stats.log_pins.len(), 1);
    assert!(stats.log_held.unwrap().contains("a snapshot of notes"));
    drop(pin);
    write(&a, NOTES, 1);
    a.store.prune().unwrap();
    assert!(log_bytes(&a.store) <= BUDGET + 2 * (SEGMENT + RECORD));
    let refused = a.store.pin_log(NOTES, from, "too late").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert_eq!(a.store.stats().unwrap().log_pins_expired, 0);
}

#[test]
fn a_pin_expires_at_twice_the_budget_and_that_is_told() {
    let a = Replica::small(0, SMALL);
    write(&a, NOTES, 3);
    let pin = a.store.pin_log(NOTES, a.store.position(), "a snapshot").unwrap();
    fill(&a, NOTES, 6 * BUDGET);
    assert!(!pin.is_held());
    let stats = a.store.stats().unwrap();
    assert_eq!((stats.log_pins.len(), stats.log_pins_expired), (0, 1));
    assert!(log_bytes(&a.store) <= BUDGET + 2 * (SEGMENT + RECORD));
}

#[test]
fn a_reader_of_what_was_pruned_goes_on_at_the_start_and_the_floor_tells_it() {
    let a = Replica::small(0, SMALL);
    write(&a, NOTES, 1);
    let before = a.store.position();
    fill(&a, NOTES, 5 * BUDGET);
    let page = a.store.log_read(NOTES, before, 1 << 20).unwrap();
    let floor = a.store.floor(NOTES).unwrap().seq(&own(&a));
    assert!(floor > 1);
    assert_eq!(page.records[0].0.seq, floor + 1);
    // Whoever holds the floor misses nothing; the start of its tail is one that can be read.
    let have = a.store.floor(NOTES).unwrap();
    let start = a.store.log_start(NOTES, &have).unwrap();
    assert_eq!(a.store.log_read(NOTES, start, 1).unwrap().records[0].0.seq, floor + 1);
    let start = a.store.log_start(NOTES, &Vector::new()).unwrap();
    a.store.log_read(NOTES, start, 1).unwrap();
}

#[test]
fn a_follower_that_fell_behind_is_told_and_can_go_on() {
    let a = Replica::small(0, SMALL);
    let mut changes = a.store.changes(None);
    write(&a, NOTES, 2);
    assert!(changes.next(Duration::ZERO).unwrap().is_some());
    let behind = changes.position();
    fill(&a, NOTES, 5 * BUDGET);
    // What it has read already is given; then it is told.
    let told = loop {
        match changes.next(Duration::ZERO) {
            Ok(change) => assert!(change.is_some()),
            Err(err) => break err,
        }
    };
    assert_eq!(told.kind(), ErrorKind::NotFound);
    assert!(told.message().contains("read the documents anew"), "{told}");
    assert_eq!(a.store.changes(Some(behind)).next(Duration::ZERO).unwrap_err().kind(), told.kind());
    changes.restart();
    assert_eq!(changes.next(Duration::ZERO).unwrap(), None);
    write(&a, NOTES, 1);
    assert!(changes.next(Duration::ZERO).unwrap().is_some());
    // From the oldest that there is never fails.
    assert!(a.store.changes(Some(Position(0))).next(Duration::ZERO).unwrap().is_some());
}

#[test]
fn a_follower_of_a_store_that_was_empty_misses_nothing_that_was_pruned() {
    let a = Replica::small(0, SMALL);
    let from = [a.store.position(), a.store.changes(None).position()];
    let mut oldest = a.store.changes(Some(Position::default()));
    assert_eq!(oldest.next(Duration::ZERO).unwrap(), None);
    write(&a, NOTES, 1);
    for from in from.into_iter().chain([oldest.position()]) {
        let change = a.store.changes(Some(from)).next(Duration::ZERO).unwrap();
        assert_eq!(change.map(|change| change.dot.seq), Some(1));
    }
    fill(&a, NOTES, 5 * BUDGET);
    for from in from {
        let told = a.store.changes(Some(from)).next(Duration::ZERO).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::NotFound);
    }
    assert!(a.store.changes(Some(Position::default())).next(Duration::ZERO).unwrap().is_some());
}

#[test]
fn a_position_survives_a_crash_that_loses_what_was_shown() {
    let a = Replica::new(0);
    write(&a, NOTES, 1);
    let deferred = |n: i64| a.store.write_deferred(|txn| txn.set(NOTES, "n", "d", n)).unwrap();
    (0..9).for_each(deferred);
    assert!(a.store.position() < a.store.stats().unwrap().position, "some of it may be lost");
    let mut changes = a.store.changes(None);
    changes.restart();
    let from = [a.store.position(), a.store.changes(None).position(), changes.position()];
    let again = a.after_power_cut(None);
    (10..48i64).for_each(|n| again.notes().set("n", "d", n).unwrap());
    for from in from {
        let mut changes = again.store.changes(Some(from));
        let told = std::iter::from_fn(|| changes.next(Duration::ZERO).unwrap());
        assert_eq!(told.count(), 38, "what was lost is not told of, all that came after is");
    }
    // What was not durable when it was asked for is told when it is.
    a.store.flush().unwrap();
    let told = a.store.changes(Some(from[0])).next(Duration::ZERO).unwrap();
    assert!(told.is_some_and(|change| change.dot.seq > 1));
}

#[test]
fn a_follower_that_is_ahead_of_a_restored_store_is_told() {
    let a = Replica::new(0);
    write(&a, NOTES, 1);
    let backup = a.after_power_cut(None);
    write(&a, NOTES, 2);
    let ahead = a.store.position();
    let mut changes = backup.store.changes(Some(ahead));
    let told = changes.next(Duration::ZERO).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::NotFound);
    assert!(told.message().contains("restored"), "{told}");
    changes.restart();
    assert_eq!(changes.next(Duration::ZERO).unwrap(), None);
    write(&backup, NOTES, 1);
    assert!(changes.next(Duration::ZERO).unwrap().is_some());
}

/// Readers in other threads never get a gap, a wrong record, or an error, while segments go.
#[test]
fn prune_under_a_reader() {
    let a = Replica::small(0, SMALL);
    write(&a, NOTES, 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut at, mut last, mut skipped) = (Position(0), 0, 0);
                while !done.load(Ordering::Relaxed) || at < a.store.position() {
                    let page = a.store.log_read(NOTES, at, 2 << 10).unwrap();
                    let floor = a.store.floor(NOTES).unwrap().seq(&own(&a));
                    for (dot, ..) in &page.records {
                        if dot.seq != last + 1 {
                            // A gap is always one that the floor, read afterwards, tells of.
                            assert!(dot.seq > last && floor >= dot.seq - 1, "{last} {dot} {floor}");
                            skipped += 1;
                        }
                        last = dot.seq;
                    }
                    at = page.next;
                }
                (last, skipped)
            });
        }
        scope.spawn(|| {
            let mut changes = a.store.changes(Some(Position(0)));
            while !done.load(Ordering::Relaxed) {
                match changes.next(Duration::from_millis(1)) {
                    Ok(_) => {}
                    Err(err) if err.kind() == ErrorKind::NotFound => changes.restart(),
                    Err(err) => panic!("{err}"),
                }
            }
        });
        fill(&a, NOTES, 30 * BUDGET);
        done.store(true, Ordering::Relaxed);
    });
    a.store.check_rows().unwrap();
    assert_exact_floor(&a, NOTES);
}

/// S1 with the log's own pruning: the page is read, the segment goes, the floor is read.
#[test]
fn s1_a_peer_behind_the_floor_never_gets_a_gap() {
    let (a, p) = (Replica::small(0, SMALL), Replica::new(1));
    write(&a, NOTES, 5);
    common::pull(&p, &a);
    let have = common::vector(&p.store, NOTES);
    let start = a.store.log_start(NOTES, &have).unwrap();
    fill(&a, NOTES, 5 * BUDGET);
    let page = a.store.log_read(NOTES, start, 1 << 20).unwrap();
    assert!(!have.covers_all(&a.store.floor(NOTES).unwrap()), "it is behind");
    // And were the floor not looked at, the receiver refuses the gap.
    let txns = page.records.into_iter().map(|(_, bytes, _)| bytes).collect();
    let refused = p.store.apply_remote(NOTES, txns).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MissingDependency);
}

/// Real sessions while the log goes away under them: whoever falls behind joins a snapshot.
#[test]
fn peers_meet_while_the_log_is_pruned_under_their_sessions() {
    static FELL: AtomicUsize = AtomicUsize::new(0);
    each_seed("pruned under sessions", 8, |seed| {
        let mut rng = Rng::new(seed);
        let replicas: [Replica; 3] = std::array::from_fn(|at| Replica::small(at as u8, SMALL));
        for round in 0..6 {
            let at = rng.below(3);
            let (a, b) = (&replicas[at], &replicas[(at + 1 + rng.below(2)) % 3]);
            fill(a, NOTES, rng.below(3) as u64 * BUDGET);
            let mut link = Link::new(&a.store, &b.store);
            if rng.chance(30) {
                link.cut = Some(1 + rng.below(30_000));
            }
            let mut more = rng.below(400);
            link.run(|_| {
                // Both go on writing, so much that what is being sent is pruned.
                if more > 0 && rng.chance(50) {
                    more -= 1;
                    write(if rng.chance(50) { a } else { b }, NOTES, 1 + rng.below(5) as u64);
                }
            });
            assert_eq!(link.closed(), None, "round {round}");
            let events = link.events(0).iter().chain(link.events(1));
            let behind = events.filter(|event| matches!(event, Event::PeerBehind { .. })).count();
            FELL.fetch_add(behind, Ordering::Relaxed);
        }
        for _ in 0..3 {
            for pair in [(0, 1), (1, 2), (2, 0)] {
                common::link::sync(&replicas[pair.0].store, &replicas[pair.1].store);
            }
        }
        let [a, b, c] = &replicas;
        common::assert_same(&[a, b, c]);
        let sum: u64 =
            replicas.iter().map(|replica| common::vector(&a.store, NOTES).seq(&own(replica))).sum();
        let shown = a.notes().get_field("n", "x").unwrap();
        assert_eq!(shown, Some(littoral::Field::Counter(sum as i64)), "each counted once");
    });
    let fell = FELL.load(Ordering::Relaxed);
    assert!(fell > 3 || std::env::var_os("LITTORAL_SEED").is_some(), "only {fell} fell behind");
}

#[test]
fn a_collection_that_is_left_and_taken_up_again_has_a_floor_of_its_own() {
    let (a, b) = (Replica::small(0, SMALL), Replica::new(1));
    write(&b, NOTES, 20);
    common::pull(&a, &b);
    fill(&a, NOTES, 3 * BUDGET);
    assert!(!a.store.floor(NOTES).unwrap().is_empty());
    a.store.leave(NOTES).unwrap();
    assert!(a.store.floor(NOTES).unwrap().is_empty());
    a.store.prune().unwrap();
    assert!(log_bytes(&a.store) <= SEGMENT + RECORD, "what was left is nobody's");
    common::pull(&a, &b);
    assert!(a.store.floor(NOTES).unwrap().is_empty());
    assert_exact_floor(&a, NOTES);
    fill(&a, NOTES, 3 * BUDGET);
    assert_exact_floor(&a, NOTES);
    assert!(!a.store.floor(NOTES).unwrap().is_empty());
    let again = a.after_power_cut(Some(5));
    assert_exact_floor(&again, NOTES);
    again.store.check_rows().unwrap();
}

/// Every call to the disk while segments are pruned is the last one before the power goes.
#[test]
fn a_crash_at_any_call_while_pruning_loses_nothing() {
    let made = Replica::small(0, SMALL);
    made.store.set_log_budget(NOTES, Some(LogBudget::UNLIMITED)).unwrap();
    fill(&made, NOTES, BUDGET + 4 * SEGMENT);
    let (peer, count) = (Replica::new(1), common::vector(&made.store, NOTES).seq(&own(&made)));
    write(&peer, NOTES, 3);
    common::pull(&made, &peer);
    made.store.close().unwrap();
    for calls in 0.. {
        let a = Replica::open(0, made.disk.power_cut_all_lost(), Some(SMALL)).unwrap();
        a.store.set_log_budget(NOTES, None).unwrap();
        a.disk.fail_after(calls);
        let pruned = a.store.prune();
        let written = a.notes().set("last", "x", 1i64).is_ok();
        let done = pruned.is_ok() && written;
        a.disk.fail_no_more();
        for fate in [None, Some(calls), Some(calls + 1000)] {
            let again = a.after_power_cut(fate);
            again.store.check_rows().unwrap();
            assert_exact_floor(&again, NOTES);
            let vector = common::vector(&again.store, NOTES);
            assert_eq!(vector.seq(&own(&peer)), 3);
            assert!(vector.seq(&own(&again)) >= count + u64::from(written));
            again.store.prune().unwrap();
            assert_exact_floor(&again, NOTES);
            assert!(log_bytes(&again.store) <= BUDGET + 2 * (SEGMENT + RECORD));
            let files = log_files(&again.disk) as u64;
            assert!(files <= BUDGET / SEGMENT + 3, "{files} files after {calls} calls");
        }
        if done {
            assert!(calls > 10, "pruning makes {calls} calls");
            break;
        }
    }
}

/// A disk that fails at any call while the log is pruned as it grows.
#[test]
fn a_failing_disk_loses_nothing_acknowledged_while_the_log_is_pruned() {
    for calls in (0..400).step_by(17) {
        let a = Replica::small(0, SMALL);
        a.disk.fail_after(calls);
        let mut acknowledged = None;
        for n in 0..150u64 {
            match a.notes().set("m", "x", n) {
                Ok(()) => acknowledged = Some(n),
                Err(_) => break,
            }
        }
        a.disk.fail_no_more();
        for fate in [None, Some(calls), Some(calls + 1)] {
            let again = a.after_power_cut(fate);
            again.store.check_rows().unwrap();
            assert_exact_floor(&again, NOTES);
            let found = again.notes().get_field("m", "x").unwrap();
            let found = found.and_then(|field| field.as_value()?.as_i64());
            assert!(found.map(|n| n as u64) >= acknowledged, "{found:?} {acknowledged:?}");
            fill(&again, NOTES, 2 * BUDGET);
            assert_exact_floor(&again, NOTES);
        }
    }
}

#[test]
fn an_old_segment_that_is_damaged_goes_and_counts_as_empty() {
    let a = Replica::small(0, SMALL);
    a.store.set_log_budget(NOTES, Some(LogBudget::UNLIMITED)).unwrap();
    fill(&a, NOTES, BUDGET + 4 * SEGMENT);
    let names = a.disk.list("log").unwrap();
    let first = a.disk.open(&format!("log/{}", names[0]), false).unwrap();
    first.write_at(200, b"rot").unwrap();
    a.store.set_log_budget(NOTES, None).unwrap();
    assert!(a.store.prune().unwrap().segments >= 3);
    assert_eq!(*a.store.floor(NOTES).unwrap(), common::vector(&a.store, NOTES));
    write(&a, NOTES, 3);
    let all = common::vector(&a.store, NOTES).seq(&own(&a));
    assert_eq!(a.store.floor(NOTES).unwrap().seq(&own(&a)), all - 3);
    a.store.check_rows().unwrap();
}

#[test]
fn opening_reads_the_same_however_much_there_is() {
    let a = Replica::new(0);
    let mut figures = Vec::new();
    for round in 0..4u64 {
        for n in 0..600 * round {
            let (doc, x) = (format!("{round}-{n}"), "x".repeat(400));
            a.store.write_deferred(|txn| txn.set(NOTES, &doc, "x", x.as_str())).unwrap();
        }
        a.store.trust(a.store.node_id()).unwrap();
        a.store.distrust(a.store.node_id()).unwrap();
        write(&a, NOTES, 5);
        let again = a.after_power_cut(None);
        figures.push((
            a.store.position().0,
            again.disk.bytes_read("log/"),
            again.disk.bytes_read("state.redb"),
        ));
    }
    let (small, large) = (figures[0], figures[3]);
    assert!(large.0 > 2 << 20 && small.0 < 8 << 10, "{figures:?}");
    // The log is allocated ahead by 1 MiB, which is looked at for what a crash may have left.
    assert!(large.1 < (1 << 20) + (512 << 10), "{figures:?}");
    // A build of redb for debugging walks all pages.
    assert!(cfg!(debug_assertions) || large.2 < small.2 + (128 << 10), "{figures:?}");
}

#[test]
fn a_view_is_marked_as_handed_out_and_pins_the_log() {
    let a = Replica::small(0, SMALL);
    write(&a, NOTES, 5);
    let view = a.store.view(NOTES).unwrap();
    assert_eq!(a.store.stats().unwrap().collections[0].exported, 5);
    assert_eq!(a.after_power_cut(None).store.stats().unwrap().collections[0].exported, 5);
    fill(&a, NOTES, BUDGET + 2 * SEGMENT);
    let next = a.store.log_read(NOTES, view.position(), 1).unwrap();
    assert_eq!(next.records[0].0.seq, 6, "what came after the view is there");
    drop(view);
    assert!(a.store.stats().unwrap().log_pins.is_empty());
}

#[test]
fn compacting_gives_disk_back_and_a_crash_in_it_loses_nothing() {
    let a = Replica::new(0);
    let x = "x".repeat(2000);
    for n in 0..400 {
        let id = format!("{n:03}");
        a.store.write_deferred(|txn| txn.set(NOTES, &id, "x", x.as_str())).unwrap();
    }
    for n in 0..390 {
        a.notes().delete(&format!("{n:03}")).unwrap();
    }
    let space = a.store.space().unwrap();
    assert!(space.live_bytes > 20_000 && space.live_bytes < space.file_bytes / 2, "{space:?}");
    let shown = common::snapshot(&a.notes());
    let vector = common::vector(&a.store, NOTES);
    a.store.close().unwrap();
    for calls in (0..).step_by(9) {
        let b = Replica::on(0, a.disk.power_cut_all_lost()).unwrap();
        b.disk.fail_after(calls);
        let compacted = b.store.compact();
        b.disk.fail_no_more();
        for fate in [None, Some(calls)] {
            let again = b.after_power_cut(fate);
            assert_eq!(common::snapshot(&again.notes()), shown);
            assert_eq!(common::vector(&again.store, NOTES), vector);
            again.store.check_rows().unwrap();
        }
        if let Ok(compacted) = compacted {
            assert!(compacted.after_bytes < compacted.before_bytes / 2, "{compacted:?}");
            break;
        }
    }
}

#[test]
fn a_store_that_is_being_read_is_not_compacted() {
    let a = Replica::new(0);
    write(&a, NOTES, 1);
    let scan = a.notes().scan(&Default::default()).unwrap();
    assert_eq!(a.store.compact().unwrap_err().kind(), ErrorKind::Locked);
    drop(scan);
    assert_eq!(a.store.compact().unwrap_err().kind(), ErrorKind::Closed);
    let again = Replica::on(0, a.disk.clone()).unwrap();
    again.store.compact().unwrap();
    assert_eq!(again.notes().get("n").unwrap_err().kind(), ErrorKind::Closed);
}

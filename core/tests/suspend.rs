//! A store that is suspended has let go of everything, and goes on after it was woken.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::wait::until;
use common::{NOTES, Replica, Small};
use littoral::store::{Companion, LogBudget, VerifyOptions};
use littoral::{ErrorKind, Field, Fields, Options, Result, ScanRange, Store};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn fields(v: i64) -> Fields {
    Fields::from([("v".to_owned(), Field::from(v))])
}

fn put(store: &Store, id: &str, v: i64) {
    store.collection(NOTES).unwrap().put(id, &fields(v)).unwrap();
}

fn has(store: &Store, id: &str, v: i64) -> bool {
    let document = store.collection(NOTES).unwrap().get(id).unwrap();
    document.is_some_and(|document| document["v"] == Field::from(v))
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn verify(store: &Store) {
    let verified = store.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

/// What this process has open below a directory.
#[cfg(target_os = "linux")]
fn open_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let dir = dir.canonicalize().unwrap();
    links.filter(|link| link.starts_with(&dir)).collect()
}

#[cfg(not(target_os = "linux"))]
fn open_below(_: &Path) -> Vec<std::path::PathBuf> {
    Vec::new()
}

#[test]
fn a_suspended_store_has_no_file_open_and_another_may_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    put(&store, "here", 1);
    assert!(cfg!(not(target_os = "linux")) || open_below(dir.path()).len() >= 3);
    assert_eq!(kind(Store::open(dir.path())), ErrorKind::Locked);
    store.suspend(LONG).unwrap();
    assert!(store.is_suspended());
    assert_eq!(open_below(dir.path()), [""; 0].map(std::path::PathBuf::from));
    let other = Store::open(dir.path()).unwrap();
    assert!(has(&other, "here", 1));
    assert_eq!(other.node_id(), store.node_id());
    put(&other, "there", 2);
    assert_eq!(kind(store.wake()), ErrorKind::Locked);
    assert!(store.is_suspended());
    other.close().unwrap();
    drop(other);
    store.wake().unwrap();
    assert!(!store.is_suspended());
    assert!(has(&store, "here", 1) && has(&store, "there", 2));
    put(&store, "here", 3);
    assert!(has(&store, "here", 3));
    verify(&store);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert!(has(&store, "here", 3) && has(&store, "there", 2));
}

#[test]
fn whatever_is_asked_of_a_suspended_store_is_refused_in_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection(NOTES).unwrap();
    put(&store, "n", 1);
    store.checkpoint("then").unwrap();
    store.suspend(LONG).unwrap();
    let kind = |result: Result<()>| result.err().map(|err| err.kind());
    let all = [
        kind(notes.get("n").map(drop)),
        kind(notes.get_field("n", "v").map(drop)),
        kind(notes.contains("n").map(drop)),
        kind(notes.scan(&ScanRange::default()).map(drop)),
        kind(notes.conflicts().map(drop)),
        kind(notes.put("n", &fields(2)).map(drop)),
        kind(store.begin().map(drop)),
        kind(store.write(|_| Ok(())).map(drop)),
        kind(store.write_deferred(|txn| txn.delete(NOTES, "n")).map(drop)),
        kind(store.changes(None).next(LONG).map(drop)),
        kind(store.flush().map(drop)),
        kind(store.stats().map(drop)),
        kind(store.space().map(drop)),
        kind(store.verify(&VerifyOptions::default()).map(drop)),
        kind(store.at("then").map(drop)),
        kind(store.checkpoint("now").map(drop)),
        kind(store.delete_checkpoint("then").map(drop)),
        kind(store.leave(NOTES).map(drop)),
        kind(store.prune().map(drop)),
        kind(store.compact().map(drop)),
        kind(store.apply_remote(NOTES, Vec::new()).and_then(|_| store.flush()).map(drop)),
        kind(store.summary(NOTES).and_then(|_| store.flush()).map(drop)),
        kind(store.trust(store.node_id()).map(drop)),
    ];
    let wrong: Vec<_> =
        all.iter().enumerate().filter(|(_, k)| **k != Some(ErrorKind::Suspended)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    // What needs no disk is told as it was.
    assert_eq!((store.collections(), notes.len()), (vec![NOTES.to_owned()], 1));
    store.wake().unwrap();
    assert!(has(&store, "n", 1));
    store.close().unwrap();
    assert_eq!(kind(notes.get("n").map(drop)), Some(ErrorKind::Closed));
    assert_eq!(kind(store.suspend(LONG)), Some(ErrorKind::Closed));
    assert_eq!(kind(store.wake()), Some(ErrorKind::Closed));
}

#[test]
fn twice_without_a_wake_without_a_suspend_and_closed_meanwhile_are_all_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.wake().unwrap();
    put(&store, "n", 1);
    for _ in 0..3 {
        store.suspend(Duration::ZERO).unwrap();
        store.suspend(Duration::ZERO).unwrap();
        store.wake().unwrap();
        store.wake().unwrap();
        assert!(has(&store, "n", 1));
    }
    store.suspend(LONG).unwrap();
    store.close().unwrap();
    assert!(!store.is_suspended());
    assert_eq!(kind(store.wake()), ErrorKind::Closed);
    assert_eq!(kind(store.begin()), ErrorKind::Closed);
    let again = Store::open(dir.path()).unwrap();
    assert!(has(&again, "n", 1));
    again.suspend(LONG).unwrap();
    drop(again);
    assert!(has(&Store::open(dir.path()).unwrap(), "n", 1));
}

#[test]
fn what_was_begun_before_is_over_and_says_so_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection(NOTES).unwrap();
    store
        .write(|txn| (0..3000).try_for_each(|n| txn.put(NOTES, &format!("{n:05}"), &fields(n))))
        .unwrap();
    store.checkpoint("then").unwrap();
    put(&store, "00000", -1);
    let mut scans: Vec<_> = (0..3).map(|_| notes.scan(&ScanRange::default()).unwrap()).collect();
    scans.iter_mut().skip(1).for_each(|scan| drop(scan.next().unwrap().unwrap()));
    scans[2].by_ref().take(2000).for_each(|document| drop(document.unwrap()));
    let past = store.at("then").unwrap();
    let mut before = past.scan(NOTES, &ScanRange::default()).unwrap();
    before.next().unwrap().unwrap();
    let document = notes.get("00007").unwrap().unwrap();
    store.suspend(LONG).unwrap();
    assert_eq!(open_below(dir.path()), [""; 0].map(std::path::PathBuf::from));
    assert_eq!(kind(scans[0].next().unwrap()), ErrorKind::Suspended);
    store.wake().unwrap();
    for scan in &mut scans[1..] {
        assert_eq!(kind(scan.next().unwrap()), ErrorKind::Suspended);
        assert!(scan.next().is_none(), "an iterator ends after an error");
    }
    assert_eq!(kind(past.get(NOTES, "00000")), ErrorKind::Suspended);
    assert_eq!(kind(before.next().unwrap()), ErrorKind::Suspended);
    // A document is its reader's, and so is its version.
    assert_eq!(document["v"], Field::from(7));
    notes.put("00007", &document).unwrap();
    assert_eq!(notes.scan(&ScanRange::default()).unwrap().count(), 3000);
    let then = store.at("then").unwrap().get(NOTES, "00000").unwrap().unwrap();
    assert_eq!(then["v"], Field::from(0));
}

#[test]
fn an_open_transaction_is_waited_for_and_then_void() {
    let store = Replica::new(1).store;
    put(&store, "n", 1);
    let mut txn = store.begin().unwrap();
    txn.put(NOTES, "n", &fields(2)).unwrap();
    store.suspend(Duration::from_millis(10)).unwrap();
    assert_eq!(kind(txn.get(NOTES, "other")), ErrorKind::Suspended);
    assert_eq!(kind(txn.commit()), ErrorKind::Suspended);
    store.wake().unwrap();
    assert!(has(&store, "n", 1));

    // One that is still open after the store was woken keeps nobody out, and is void as well.
    let mut txn = store.begin().unwrap();
    txn.put(NOTES, "n", &fields(3)).unwrap();
    store.suspend(Duration::ZERO).unwrap();
    store.wake().unwrap();
    put(&store, "n", 4);
    let next = store.begin().unwrap();
    assert_eq!(kind(txn.commit()), ErrorKind::Suspended);
    // It has left a gate that is somebody else's by now.
    assert_eq!(kind(store.begin_within(Duration::ZERO)), ErrorKind::Timeout);
    drop(next);
    assert!(has(&store, "n", 4));
    put(&store, "n", 5);
    verify(&store);
}

#[test]
fn a_transaction_that_ends_in_time_is_kept() {
    let store = Replica::new(1).store;
    let mut txn = store.begin().unwrap();
    txn.put(NOTES, "n", &fields(2)).unwrap();
    let suspending = thread::spawn({
        let store = store.clone();
        move || store.suspend(LONG)
    });
    // From then on nobody else gets in.
    until("writes are refused", || {
        kind(store.begin_within(Duration::ZERO)) == ErrorKind::Suspended
    });
    txn.commit().unwrap();
    suspending.join().unwrap().unwrap();
    store.wake().unwrap();
    assert!(has(&store, "n", 2));
}

/// What each of eight threads was told is kept is kept, and what it was told is not, is not; and
/// all of them go on by themselves.
#[test]
fn eight_writers_lose_nothing_over_many_suspensions() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (stop, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let written: Vec<i64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (store, stop, refused) = (&store, &stop, &refused);
                scope.spawn(move || {
                    let id = format!("w{writer}");
                    let mut kept = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let done = store.write(|txn| {
                            txn.set(NOTES, &id, "v", kept + 1)?;
                            txn.increment(NOTES, &id, "n", 1)
                        });
                        match done {
                            Ok(()) => kept += 1,
                            Err(err) if err.kind() == ErrorKind::Suspended => {
                                refused.fetch_add(1, Ordering::Relaxed);
                                thread::yield_now();
                            }
                            Err(err) => panic!("{err}"),
                        }
                    }
                    kept
                })
            })
            .collect();
        for round in 0..12 {
            store
                .suspend(if round % 2 == 0 { LONG } else { Duration::ZERO })
                .or_else(in_the_way)
                .unwrap();
            if store.is_suspended() {
                assert_eq!(open_below(dir.path()), [""; 0].map(std::path::PathBuf::from));
                let other = Store::open(dir.path()).unwrap();
                put(&other, "visitor", round);
                other.close().unwrap();
            }
            store.wake().unwrap();
            until("somebody writes", || {
                let before = store.position();
                put(&store, "mine", round);
                store.position() > before
            });
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    for (writer, kept) in written.iter().enumerate() {
        assert!(*kept > 0);
        let document =
            store.collection(NOTES).unwrap().get(&format!("w{writer}")).unwrap().unwrap();
        assert_eq!((&document["v"], &document["n"]), (&Field::from(*kept), &Field::Counter(*kept)));
    }
    assert!(refused.load(Ordering::Relaxed) > 0);
    verify(&store);
}

/// With no patience, something that is being committed may be in the way, and is named.
fn in_the_way(err: littoral::Error) -> Result<()> {
    match err.kind() {
        ErrorKind::Timeout if err.message().contains("committed") => Ok(()),
        _ => Err(err),
    }
}

/// Ends the threads of a scope, also where the test fails: else it would wait for them for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_and_followers_of_other_threads_hear_of_it_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::options().cache_bytes(64 << 10).open(dir.path()).unwrap();
    store
        .write(|txn| (0..4000).try_for_each(|n| txn.put(NOTES, &format!("{n:05}"), &fields(n))))
        .unwrap();
    let stop = AtomicBool::new(false);
    let (suspended, followed) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    // From before the first write, whenever its thread begins.
    let mut changes = store.changes(None);
    thread::scope(|scope| {
        let _ends = Ends(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let notes = store.collection(NOTES).unwrap();
                    let counted = notes.scan(&ScanRange::default()).and_then(|scan| {
                        scan.map(|document| document.map(drop))
                            .try_fold(0, |n, d| d.map(|()| n + 1))
                    });
                    match counted {
                        Ok(count) => assert!(count >= 4000, "a scan is whole or an error: {count}"),
                        Err(err) => {
                            assert_eq!(err.kind(), ErrorKind::Suspended, "{err}");
                            suspended.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    match notes.get("00042") {
                        Ok(document) => assert_eq!(document.unwrap()["v"], Field::from(42)),
                        Err(err) => assert_eq!(err.kind(), ErrorKind::Suspended, "{err}"),
                    }
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                match changes.next(Duration::from_millis(20)) {
                    Ok(Some(change)) => {
                        *followed.lock().unwrap().entry(change.id).or_insert(0) += 1;
                    }
                    Ok(None) => {}
                    Err(err) => assert_eq!(err.kind(), ErrorKind::Suspended, "{err}"),
                }
            }
        });
        for round in 0..8 {
            put(&store, &format!("new{round}"), round);
            store.suspend(LONG).unwrap();
            assert_eq!(open_below(dir.path()), [""; 0].map(std::path::PathBuf::from));
            let other = Store::open(dir.path()).unwrap();
            put(&other, &format!("other{round}"), round);
            drop(other);
            store.wake().unwrap();
        }
        until("the follower has all of it, once", || {
            let followed = followed.lock().unwrap();
            let wanted = |round| [format!("new{round}"), format!("other{round}")];
            (0..8).flat_map(wanted).all(|id| followed.get(&id) == Some(&1))
        });
        until("a scan was cut off", || suspended.load(Ordering::Relaxed) > 0);
    });
    verify(&store);
}

#[test]
fn a_follower_that_waits_hears_of_it_and_goes_on_where_it_was() {
    let store = Replica::new(1).store;
    let mut changes = store.changes(None);
    put(&store, "a", 1);
    assert_eq!(changes.next(LONG).unwrap().unwrap().id, "a");
    let waiting = thread::spawn(move || {
        loop {
            match changes.next(LONG) {
                Ok(change) => assert!(change.is_some(), "nobody waits so long"),
                Err(err) => return (err.kind(), changes),
            }
        }
    });
    put(&store, "unread", 1);
    store.suspend(LONG).unwrap();
    let (heard, mut changes) = waiting.join().unwrap();
    assert_eq!(heard, ErrorKind::Suspended);
    assert_eq!(kind(changes.next(Duration::ZERO)), ErrorKind::Suspended);
    store.wake().unwrap();
    put(&store, "b", 2);
    let mut seen = Vec::new();
    while let Some(change) = changes.next(Duration::ZERO).unwrap() {
        seen.push(change.id);
    }
    assert!(seen.ends_with(&["b".to_owned()]), "{seen:?}");
}

#[test]
fn a_store_that_is_suspended_and_loses_power_is_what_it_was() {
    for deferred in [false, true] {
        let replica = Replica::new(1);
        for n in 0..40 {
            replica.notes().put(&format!("n{n}"), &fields(n)).unwrap();
        }
        if deferred {
            replica.store.write_deferred(|txn| txn.put(NOTES, "late", &fields(7))).unwrap();
        }
        replica.store.suspend(LONG).unwrap();
        for fate in [None, Some(1), Some(2), Some(3)] {
            let after = replica.after_power_cut(fate);
            assert_eq!(after.notes().len(), 40 + u64::from(deferred));
            assert!(!deferred || has(&after.store, "late", 7), "it was made durable");
            verify(&after.store);
        }
        replica.store.wake().unwrap();
        let after = replica.after_power_cut(None);
        assert_eq!(after.notes().len(), 40 + u64::from(deferred));
    }
}

/// At each call of the disk that fails while the store is suspended or woken, nothing that was
/// acknowledged is lost, and everything is let go of.
#[test]
fn a_disk_that_fails_meanwhile_costs_nothing_that_was_acknowledged() {
    for calls in 0..40 {
        let replica = Replica::new(1);
        (0..5).for_each(|n| put(&replica.store, &format!("n{n}"), n));
        replica.disk.fail_after(calls);
        let suspended = replica.store.suspend(LONG);
        assert!(replica.store.is_suspended());
        let woken = replica.store.wake();
        replica.disk.fail_no_more();
        if suspended.is_err() {
            assert_eq!(kind(woken), ErrorKind::Poisoned, "after {calls} calls");
        } else if woken.is_err() && replica.store.is_suspended() {
            replica.store.wake().unwrap();
        }
        if let Err(err) = replica.store.flush() {
            assert!(matches!(err.kind(), ErrorKind::Poisoned | ErrorKind::Suspended), "{err}");
        }
        for fate in [None, Some(calls)] {
            let after = replica.after_power_cut(fate);
            assert!((0..5).all(|n| has(&after.store, &format!("n{n}"), n)), "after {calls} calls");
        }
    }
}

#[test]
fn another_process_may_prune_compact_and_checkpoint_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let options = || {
        let budget = LogBudget { bytes: 4096, age_ms: 1 };
        Options::new().log_segment_bytes(2048).log_budget(budget)
    };
    let store = options().open(dir.path()).unwrap();
    (0..200).for_each(|n| put(&store, &format!("n{n}"), n));
    store.checkpoint("mine").unwrap();
    let mut changes = store.changes(Some(littoral::Position::default()));
    changes.next(LONG).unwrap().unwrap();
    let collections = store.collections();
    store.suspend(LONG).unwrap();
    {
        let other = options().open(dir.path()).unwrap();
        other.delete_checkpoint("mine").unwrap();
        (0..400).for_each(|n| put(&other, &format!("m{n}"), n));
        other.collection("another").unwrap().put("x", &fields(1)).unwrap();
        other.checkpoint("theirs").unwrap();
        other.prune().unwrap();
        other.compact().unwrap();
    }
    store.wake().unwrap();
    assert_eq!(collections.len() + 1, store.collections().len());
    assert_eq!(
        store.checkpoints().iter().map(|c| c.label.as_str()).collect::<Vec<_>>(),
        ["theirs"]
    );
    assert_eq!(store.collection(NOTES).unwrap().len(), 600);
    // The log has gone on without the follower, which is told so.
    let mut followed = changes.next(Duration::ZERO);
    while let Ok(Some(_)) = followed {
        followed = changes.next(Duration::ZERO);
    }
    assert_eq!(kind(followed), ErrorKind::NotFound);
    changes.restart();
    put(&store, "last", 1);
    assert_eq!(changes.next(LONG).unwrap().unwrap().id, "last");
    (0..200).for_each(|n| put(&store, &format!("n{n}"), -n));
    verify(&store);
}

#[test]
fn another_store_in_the_directory_is_not_taken_for_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("store");
    let store = Store::open(&at).unwrap();
    put(&store, "mine", 1);
    store.suspend(LONG).unwrap();
    std::fs::rename(&at, dir.path().join("aside")).unwrap();
    drop(Store::open(&at).unwrap());
    assert_eq!(kind(store.wake()), ErrorKind::NotAStore);
    assert!(store.is_suspended());
    assert_eq!(open_below(dir.path()), [""; 0].map(std::path::PathBuf::from));
    std::fs::remove_dir_all(&at).unwrap();
    assert!(store.wake().is_err(), "nothing is there");
    std::fs::rename(dir.path().join("aside"), &at).unwrap();
    store.wake().unwrap();
    assert!(has(&store, "mine", 1));
}

#[test]
fn a_large_document_and_a_held_collection_are_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .write(|txn| {
            (0..20_000i64).try_for_each(|n| txn.add(NOTES, "large", "set", n))?;
            txn.put("held", "h", &fields(1))
        })
        .unwrap();
    store.checkpoint("then").unwrap();
    store.collection("held").unwrap().put("h", &fields(2)).unwrap();
    store.rollback_hold("then", Some(&["held"])).unwrap();
    let shown = store.collection("held").unwrap().get("h").unwrap().unwrap();
    store.suspend(LONG).unwrap();
    store.wake().unwrap();
    let large = store.collection(NOTES).unwrap();
    assert!(large.has("large", "set", 19_999i64).unwrap());
    large.add("large", "set", -1i64).unwrap();
    let held = store.collection("held").unwrap();
    assert_eq!(held.get("h").unwrap().unwrap().fields(), shown.fields());
    assert_eq!(store.holds().len(), 1);
    store.resume(Some("held")).unwrap();
    assert_eq!(held.get("h").unwrap().unwrap()["v"], Field::from(2));
    verify(&store);
}

#[test]
fn a_store_that_is_closed_is_opened_again_whoever_still_reads_or_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (0..100).for_each(|n| put(&store, &format!("n{n}"), n));
    let mut scan = store.collection(NOTES).unwrap().scan(&ScanRange::default()).unwrap();
    scan.next().unwrap().unwrap();
    let mut txn = store.begin().unwrap();
    txn.put(NOTES, "n1", &fields(-1)).unwrap();
    store.close().unwrap();
    assert_eq!(open_below(dir.path()), [""; 0].map(std::path::PathBuf::from));
    let again = Store::open(dir.path()).unwrap();
    assert_eq!(kind(scan.next().unwrap()), ErrorKind::Closed);
    assert_eq!(kind(store.begin()), ErrorKind::Closed);
    assert_eq!(kind(txn.commit()), ErrorKind::Closed);
    assert!(has(&again, "n1", 1));
    put(&again, "n1", 2);
    drop((store, scan));
    assert!(has(&again, "n1", 2));
    verify(&again);
}

/// A companion that counts, and may refuse.
#[derive(Default)]
struct Beside {
    suspended: AtomicU64,
    woken: AtomicU64,
    refuses: AtomicBool,
}

impl Companion for Beside {
    fn suspend(&self, _: Instant) -> Result<()> {
        self.suspended.fetch_add(1, Ordering::Relaxed);
        match self.refuses.load(Ordering::Relaxed) {
            true => Err(littoral::Error::new(ErrorKind::Timeout, "not now")),
            false => Ok(()),
        }
    }

    fn wake(&self) {
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_rests_with_the_store_is_woken_as_often_as_it_was_put_to_rest() {
    let store = Replica::new(1).store;
    let beside = Arc::new(Beside::default());
    let weak: std::sync::Weak<Beside> = Arc::downgrade(&beside);
    assert!(!store.accompany(weak));
    beside.refuses.store(true, Ordering::Relaxed);
    assert_eq!(kind(store.suspend(LONG)), ErrorKind::Timeout);
    put(&store, "goes on", 1);
    beside.refuses.store(false, Ordering::Relaxed);
    store.suspend(LONG).unwrap();
    store.suspend(LONG).unwrap();
    let late = Arc::new(Beside::default());
    let weak: std::sync::Weak<Beside> = Arc::downgrade(&late);
    assert!(store.accompany(weak), "it is told that the store is suspended");
    store.wake().unwrap();
    let counts =
        |b: &Beside| (b.suspended.load(Ordering::Relaxed), b.woken.load(Ordering::Relaxed));
    assert_eq!((counts(&beside), counts(&late)), ((2, 2), (0, 1)));
    drop((beside, late));
    store.suspend(LONG).unwrap();
    store.wake().unwrap();
}

#[test]
fn suspending_waking_and_closing_at_once_ends_in_one_of_those() {
    for _ in 0..20 {
        let replica = Replica::small(
            1,
            Small { segment_bytes: 2048, budget: LogBudget { bytes: 4096, age_ms: 1 } },
        );
        let store = &replica.store;
        let begin = Barrier::new(6);
        let closed = (Mutex::new(false), Condvar::new());
        thread::scope(|scope| {
            for n in 0..2 {
                let (begin, store) = (&begin, store);
                scope.spawn(move || {
                    begin.wait();
                    for m in 0..20 {
                        let done =
                            store.collection(NOTES).unwrap().put(&format!("{n}{m}"), &fields(m));
                        let kinds = [ErrorKind::Suspended, ErrorKind::Closed];
                        done.unwrap_or_else(|err| assert!(kinds.contains(&err.kind()), "{err}"));
                    }
                });
            }
            for what in 0..3 {
                let (begin, store, closed) = (&begin, store, &closed);
                scope.spawn(move || {
                    begin.wait();
                    for _ in 0..10 {
                        let done = match what {
                            0 => store.suspend(Duration::from_millis(1)).or_else(in_the_way),
                            1 => store.wake(),
                            _ => store.flush(),
                        };
                        let kinds = [ErrorKind::Closed, ErrorKind::Suspended, ErrorKind::Timeout];
                        done.unwrap_or_else(|err| assert!(kinds.contains(&err.kind()), "{err}"));
                    }
                    *closed.0.lock().unwrap() = true;
                    closed.1.notify_all();
                });
            }
            begin.wait();
            let waited = closed.0.lock().unwrap();
            drop(closed.1.wait_timeout_while(waited, LONG, |closed| !*closed).unwrap());
            store.close().unwrap();
        });
        assert_eq!(kind(store.wake()), ErrorKind::Closed);
        verify(&replica.after_power_cut(None).store);
    }
}

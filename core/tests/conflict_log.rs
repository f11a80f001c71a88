//! The log of conflicts: at each moment it says as open exactly what is in conflict, however a
//! conflict came and went; and what it says of one that is over.

mod common;

use std::collections::BTreeSet;

use common::link::sync;
use common::{NOTES, Replica, Rng, each_seed, join, pull, pull_in};
use littoral::limits::*;
use littoral::store::{
    ConflictCause, ConflictLogFilter, ConflictOutcome, EventKind, LoggedConflict,
};
use littoral::{ErrorKind, Field, Path, Result, Store, Transaction};

fn log(store: &Store) -> Vec<LoggedConflict> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let page = store.conflict_log(after, &ConflictLogFilter::default(), 7).unwrap();
        entries.extend(page.entries);
        match page.next {
            Some(next) => after = next,
            None => return entries,
        }
    }
}

/// What is open says what is in conflict, and the candidates that stand there are among those kept.
fn check(store: &Store) {
    let entries = log(store);
    let open: Vec<_> = entries.iter().filter(|entry| entry.ended.is_none()).collect();
    let places: BTreeSet<_> =
        open.iter().map(|e| (e.collection.clone(), e.id.clone(), e.path.clone())).collect();
    assert_eq!(places.len(), open.len(), "no conflict is open twice");
    let conflicts = store.conflicts().unwrap();
    let found: BTreeSet<_> =
        conflicts.iter().map(|c| (c.collection.clone(), c.id.clone(), c.path.clone())).collect();
    assert_eq!(places, found);
    for conflict in &conflicts {
        let is_it = |e: &&&LoggedConflict| e.id == conflict.id && e.path == conflict.path;
        let entry = open.iter().find(is_it).unwrap();
        for side in &conflict.candidates {
            let known = entry.candidates.iter().any(|kept| kept.dot == side.dot);
            assert!(known || entry.more > 0, "{side:?} of {entry:?}");
        }
    }
    let verified = store.verify(&Default::default()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

/// An edit that makes and ends conflicts of all kinds, also below and above each other.
fn edit(txn: &mut Transaction, rng: &mut Rng) -> Result<()> {
    let id = *rng.pick(&["d0", "d1", "d2"]);
    let by = rng.below(5) as i64;
    let long = "x".repeat(40);
    let edited = match rng.below(14) {
        0 | 1 => txn.set(NOTES, id, "x", by),
        2 => txn.set(NOTES, id, ("m", "y"), by),
        3 => txn.set(NOTES, id, ("m", "z", "w"), by),
        4 => txn.set(NOTES, id, "m", by),
        5 => txn.add(NOTES, id, "x", by),
        6 => txn.increment(NOTES, id, "x", by),
        7 => txn.unset(NOTES, id, "x").map(drop),
        8 => txn.unset(NOTES, id, "m").map(drop),
        9 if rng.chance(40) => txn.delete(NOTES, id).map(drop),
        // What makes a document large, where documents are cut.
        10 => txn.set(NOTES, id, ["filler", &format!("f{}", rng.below(20))], long),
        11 => {
            let content = common::fields([("x", Field::from(by))]);
            txn.put(NOTES, id, &content)
        }
        _ => {
            let Some(document) = txn.get(NOTES, id)? else { return Ok(()) };
            match document.conflicts().first() {
                Some(found) => txn.resolve(NOTES, id, &found.path, &found.candidates[0].field),
                None => Ok(()),
            }
        }
    };
    match edited {
        // A field that is of another kind by now.
        Err(err) if err.kind() == ErrorKind::WrongKind => Ok(()),
        edited => edited,
    }
}

#[test]
fn what_is_open_is_what_is_in_conflict_whatever_happens() {
    let mut seen = [0; 4];
    each_seed("conflict log", 12, |seed| {
        let mut rng = Rng::new(seed);
        let mut replicas: Vec<Replica> = (1..4).map(Replica::new).collect();
        for step in 0..60 {
            let at = rng.below(3);
            match rng.below(12) {
                0..=5 => replicas[at].store.write(|txn| edit(txn, &mut rng)).unwrap(),
                6 => replicas[at].store.write_deferred(|txn| edit(txn, &mut rng)).unwrap(),
                7..=9 => drop(sync(&replicas[at].store, &replicas[(at + 1) % 3].store)),
                10 if replicas[(at + 1) % 3].store.collections().contains(&NOTES.to_owned()) => {
                    join(&replicas[at].store, &replicas[(at + 1) % 3].store, NOTES);
                }
                10 => {}
                _ if rng.chance(20) => drop(replicas[at].store.leave(NOTES).unwrap()),
                _ => {
                    let fate = rng.chance(60).then(|| rng.next());
                    replicas[at] = replicas[at].after_power_cut(fate);
                }
            }
            check(&replicas[at].store);
            if step == 59 {
                for (a, b) in [(0, 1), (1, 2), (0, 2), (0, 1)] {
                    sync(&replicas[a].store, &replicas[b].store);
                }
                replicas.iter().for_each(|replica| check(&replica.store));
            }
        }
    });
    // Ends of all kinds have been met, or the test says little.
    let ends = Replica::new(1);
    ways_of_ending(&ends, &mut seen);
    assert_eq!(seen, [1, 2, 1, 2], "settled, removed, hidden, left");
}

/// Two replicas, both of which wrote `x` of `n` without having seen the other's.
fn apart(first: i64, second: i64) -> (Replica, Replica) {
    let (a, b) = (Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", first).unwrap();
    b.notes().set("n", "x", second).unwrap();
    (a, b)
}

fn ways_of_ending(a: &Replica, seen: &mut [u64; 4]) {
    let b = Replica::new(2);
    for id in ["settled", "removed", "deleted"] {
        a.notes().set(id, "x", 1i64).unwrap();
        b.notes().set(id, "x", 2i64).unwrap();
    }
    for id in ["hidden", "left"] {
        a.notes().set(id, ("m", "x"), 1i64).unwrap();
        b.notes().set(id, ("m", "x"), 2i64).unwrap();
    }
    pull(a, &b);
    assert_eq!(log(&a.store).len(), 5);
    b.notes().set("hidden", "m", 3i64).unwrap();
    a.notes().set("settled", "x", 3i64).unwrap();
    a.notes().unset("removed", "x").unwrap();
    a.notes().delete("deleted").unwrap();
    b.wall.set(common::NOON + 1000);
    b.notes().set("hidden", "m", 4i64).unwrap();
    pull(a, &b);
    check(&a.store);
    a.store.leave(NOTES).unwrap();
    check(&a.store);
    for entry in log(&a.store) {
        let how = entry.ended.unwrap().how;
        println!("{} {}: {how:?}", entry.id, entry.path);
        match how {
            ConflictOutcome::Settled => seen[0] += 1,
            ConflictOutcome::Removed => seen[1] += 1,
            ConflictOutcome::Hidden => seen[2] += 1,
            _ => seen[3] += 1,
        }
    }
}

#[test]
fn a_conflict_says_who_wrote_what_and_who_ended_it() {
    let (a, b) = apart(1, 2);
    a.wall.set(common::NOON + 500);
    pull(&a, &b);
    let entry = a.store.logged_conflict(1).unwrap();
    assert_eq!((entry.collection.as_str(), entry.id.as_str()), (NOTES, "n"));
    assert_eq!((&entry.path, entry.arose_ms), (&Path::from("x"), common::NOON + 500));
    assert!(
        matches!(entry.by, ConflictCause::Written(dot, _) if dot.origin.node == b.store.node_id())
    );
    let conflict = a.store.conflicts().unwrap().remove(0);
    let sides: Vec<_> = entry.candidates.iter().map(|side| (side.dot, side.time)).collect();
    let found: Vec<_> = conflict.candidates.iter().map(|side| (side.dot, side.time)).collect();
    assert_eq!(sides, found);
    assert!(entry.ended.is_none() && entry.notes.is_empty() && entry.more == 0);
    // A third side comes, and a side is written again by who has not seen the others.
    let c = Replica::new(3);
    c.notes().set("n", "x", 3i64).unwrap();
    pull(&a, &c);
    b.notes().set("n", "x", 4i64).unwrap();
    pull(&a, &b);
    let entry = a.store.logged_conflict(1).unwrap();
    let mut values: Vec<&str> = entry.candidates.iter().map(|c| c.value.json.as_str()).collect();
    values.sort_unstable();
    assert_eq!(values, ["1", "2", "3", "4"]);
    // c sees all, and ends it.
    pull(&c, &a);
    assert_eq!(log(&c.store).len(), 1);
    c.notes().set("n", "x", 7i64).unwrap();
    pull(&a, &c);
    let ended = a.store.logged_conflict(1).unwrap().ended.unwrap();
    assert!(
        matches!(ended.by, ConflictCause::Written(dot, _) if dot.origin.node == c.store.node_id())
    );
    assert_eq!((ended.how, ended.value.unwrap().json.as_str()), (ConflictOutcome::Settled, "7"));
    check(&a.store);
    // One that comes back is another one.
    b.notes().set("n", "x", 8i64).unwrap();
    pull(&a, &b);
    assert_eq!(log(&a.store).len(), 2);
    let events = a.store.events(0, &[], 100).unwrap().events;
    let of =
        |kind| -> u64 { events.iter().filter(|e| e.kind == kind).filter_map(|e| e.count).sum() };
    assert_eq!((of(EventKind::ConflictArose), of(EventKind::ConflictEnded)), (2, 1));
}

#[test]
fn a_snapshot_brings_and_ends_conflicts_and_is_named() {
    let (a, b) = apart(1, 2);
    pull(&a, &b);
    let joined = Replica::new(3);
    join(&joined.store, &a.store, NOTES);
    let entry = joined.store.logged_conflict(1).unwrap();
    assert_eq!(entry.by, ConflictCause::Joined(a.store.node_id()));
    assert_eq!(entry.candidates.len(), 2);
    a.notes().set("n", "x", 3i64).unwrap();
    join(&joined.store, &a.store, NOTES);
    let ended = joined.store.logged_conflict(1).unwrap().ended.unwrap();
    assert_eq!(ended.by, ConflictCause::Joined(a.store.node_id()));
    check(&joined.store);
    let events = joined.store.events(0, &[EventKind::Joined], 9).unwrap().events;
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].node, events[0].count), (Some(a.store.node_id()), Some(1)));
}

#[test]
fn values_are_cut_and_candidates_counted() {
    let a = Replica::new(1);
    a.notes().set("n", "x", "é".repeat(MAX_LOGGED_VALUE_BYTES)).unwrap();
    for n in 0..MAX_LOGGED_CANDIDATES as u8 + 3 {
        let other = Replica::new(10 + n);
        other.notes().set("n", "x", i64::from(n)).unwrap();
        pull(&a, &other);
    }
    let entry = a.store.logged_conflict(1).unwrap();
    assert_eq!(entry.candidates.len(), MAX_LOGGED_CANDIDATES);
    assert_eq!(entry.more, 4);
    let cut = entry.candidates.iter().find(|side| side.value.is_cut()).unwrap();
    assert_eq!(cut.value.bytes, 2 * MAX_LOGGED_VALUE_BYTES as u64 + 2);
    assert!(cut.value.json.len() <= MAX_LOGGED_VALUE_BYTES && cut.value.json.starts_with("\"éé"));
    check(&a.store);
    // A counter that goes on beside a value is one side, however often.
    let (a, b) = (Replica::new(1), Replica::new(2));
    a.notes().increment("n", "x", 1).unwrap();
    b.notes().set("n", "x", "text").unwrap();
    pull(&a, &b);
    let c = Replica::new(3);
    for _ in 0..5 {
        c.notes().increment("n", "x", 1).unwrap();
        pull(&a, &c);
    }
    let entry = a.store.logged_conflict(1).unwrap();
    assert_eq!(entry.candidates.len(), 2, "{entry:?}");
    assert!(entry.candidates.iter().any(|side| side.value.json == "{\"$counter\":6}"));
}

#[test]
fn the_oldest_go_and_what_is_open_stays_known() {
    let (a, b) = (Replica::new(1), Replica::new(2));
    let count = MAX_LOGGED_CONFLICTS as usize + 20;
    for (replica, value) in [(&a, 1i64), (&b, 2)] {
        for batch in (0..count).collect::<Vec<_>>().chunks(2000) {
            let write = |txn: &mut Transaction| {
                batch.iter().try_for_each(|n| txn.set(NOTES, &format!("n{n:06}"), "x", value))
            };
            replica.store.write(write).unwrap();
        }
    }
    pull(&a, &b);
    let page = a.store.conflict_log(0, &ConflictLogFilter::default(), 1).unwrap();
    assert_eq!((page.gone, page.entries[0].number), (20, 21));
    let missing = a.store.logged_conflict(20).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    // One that is gone from the log does not arise again when it is touched, and ends in silence.
    b.notes().set("n000000", "x", 3i64).unwrap();
    pull(&a, &b);
    a.notes().set("n000000", "x", 4i64).unwrap();
    a.notes().set("n000030", "x", 4i64).unwrap();
    assert_eq!(a.store.logged_conflict(31).unwrap().ended.unwrap().how, ConflictOutcome::Settled);
    assert_eq!(a.store.conflict_log(0, &Default::default(), 1).unwrap().gone, 20);
    assert!(a.store.verify(&Default::default()).unwrap().is_sound());
    let arisen = a.store.events(0, &[EventKind::ConflictArose], 99).unwrap().events;
    assert!(arisen.len() < 20, "an event a batch: {}", arisen.len());
    assert_eq!(arisen.iter().filter_map(|event| event.count).sum::<u64>(), count as u64);
}

#[test]
fn people_say_something_of_a_conflict_within_limits() {
    let (a, b) = apart(1, 2);
    pull(&a, &b);
    let noted = a.store.note_conflict(1, "Anna", "asked the harbour").unwrap();
    assert_eq!((noted.notes[0].author.as_str(), noted.notes[0].time_ms), ("Anna", common::NOON));
    a.notes().set("n", "x", 3i64).unwrap();
    a.store.note_conflict(1, &"a".repeat(MAX_CONFLICT_NOTE_AUTHOR_BYTES), "over").unwrap();
    let again = a.after_power_cut(None);
    let entry = again.store.logged_conflict(1).unwrap();
    assert_eq!((entry.notes.len(), entry.notes[0].text.as_str()), (2, "asked the harbour"));
    let refused = |author: &str, text: &str| a.store.note_conflict(1, author, text).unwrap_err();
    let long = "a".repeat(MAX_CONFLICT_NOTE_AUTHOR_BYTES + 1);
    assert_eq!(refused(&long, "x").kind(), ErrorKind::LimitExceeded);
    let most = "x".repeat(MAX_CONFLICT_NOTE_BYTES);
    assert_eq!(refused("a", &format!("{most}x")).kind(), ErrorKind::LimitExceeded);
    assert_eq!(refused("a", "").kind(), ErrorKind::InvalidInput);
    assert_eq!(a.store.note_conflict(2, "a", "x").unwrap_err().kind(), ErrorKind::NotFound);
    for _ in 2..MAX_CONFLICT_NOTES {
        a.store.note_conflict(1, "", &most).unwrap();
    }
    assert_eq!(refused("a", "x").kind(), ErrorKind::LimitExceeded);
    check(&a.store);
}

#[test]
fn the_log_is_filtered() {
    let (a, b) = apart(1, 2);
    a.store.collection("other").unwrap().set("m", "x", 1i64).unwrap();
    b.store.collection("other").unwrap().set("m", "x", 2i64).unwrap();
    pull(&a, &b);
    pull_in(&a.store, &b.store, "other");
    a.notes().set("n", "x", 3i64).unwrap();
    let ids = |wanted: ConflictLogFilter| -> Vec<String> {
        let page = a.store.conflict_log(0, &wanted, 9).unwrap();
        page.entries.into_iter().map(|entry| entry.id).collect()
    };
    let of = |collection: &str| ConflictLogFilter {
        collection: Some(collection.to_owned()),
        ..ConflictLogFilter::default()
    };
    assert_eq!(ids(ConflictLogFilter::default()), ["n", "m"]);
    assert_eq!(ids(of("other")), ["m"]);
    assert_eq!(ids(ConflictLogFilter { open: Some(true), ..Default::default() }), ["m"]);
    assert_eq!(ids(ConflictLogFilter { open: Some(false), ..Default::default() }), ["n"]);
    let document = ConflictLogFilter { id: Some("m".to_owned()), ..of(NOTES) };
    assert_eq!(ids(document), [] as [&str; 0]);
}

/// The disk dies after so many steps, over and over: what is open is right each time.
#[test]
fn a_disk_that_dies_at_any_step_leaves_a_log_that_fits() {
    let (b, c) = (Replica::new(2), Replica::new(3));
    for (replica, n) in [(&b, 1i64), (&c, 2)] {
        for id in ["n1", "n2", "n3"] {
            replica.notes().set(id, "x", n).unwrap();
            replica.notes().set(id, ("m", "y"), n).unwrap();
        }
    }
    for steps in 0.. {
        let a = Replica::new(1);
        pull(&a, &b);
        a.disk.dead_after(steps);
        let run = || -> Result<()> {
            for (_, bytes) in common::stream(&c.store, NOTES, &Default::default()) {
                a.store.apply_remote(NOTES, vec![bytes])?;
            }
            a.notes().set("n1", "x", 3i64)?;
            a.store.note_conflict(2, "Anna", "seen")?;
            a.notes().delete("n2")?;
            a.store.leave(NOTES)?;
            a.store.flush()
        };
        let done = run().is_ok();
        for fate in [None, Some(steps)] {
            check(&a.after_power_cut(fate).store);
        }
        if done {
            assert!(steps > 20, "it died at some steps");
            return;
        }
    }
}

//! `rescue`: whatever is damaged, what is readable comes into a new store that is sound, that
//! holds what the report says, and that syncs with old peers to convergence without harm to theirs.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::link::Link;
use common::{
    NOTES, Replica, Rng, Small, each_seed, fields, files, join, key, meet, pull, snapshot,
};
use littoral::store::disk::{Disk, MemDisk};
use littoral::store::{How, LogBudget, RescueOptions, Rescued, VerifyOptions};
use littoral::txn::roster::{Right, Rights};
use littoral::{Field, Fields, Options, Store};

fn options(seed: u8) -> Options {
    Options::new().key(key(seed)).layout(common::layout())
}

/// Rescues what lies on a disk; holds that the damaged one was not changed and that the new one
/// is sound and holds what the report says.
fn rescue(seed: u8, damaged: &MemDisk, how: &RescueOptions) -> (Store, MemDisk, Rescued) {
    let new = MemDisk::new();
    let before = files(damaged);
    let told = options(seed).rescue_on(Arc::new(damaged.clone()), Arc::new(new.clone()), how);
    let told = told.unwrap();
    assert!(files(damaged) == before, "the damaged store was changed");
    let store = options(seed).open_on(Arc::new(new.clone())).unwrap();
    let verified = store.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
    for found in &told.collections {
        let documents = store.collection(&found.name).unwrap().len();
        assert_eq!(documents, found.documents, "{}", found.name);
        assert!(found.how != How::State || found.documents_before.is_some());
    }
    (store, new, told)
}

fn shown(store: &Store) -> BTreeMap<String, Fields> {
    snapshot(&store.collection(NOTES).unwrap()).into_iter().collect()
}

/// A store and its peer, with a past: shared and unshared edits, and a log that may be short.
fn past(rng: &mut Rng, small: Option<Small>, shared: bool) -> (Replica, Replica) {
    let make = |seed| match small {
        Some(small) => Replica::small(seed, small),
        None => Replica::new(seed),
    };
    let (a, b) = (make(0), make(1));
    if shared {
        a.store.trust_at(b.store.node_id(), "b.example:4433").unwrap();
        b.store.trust(a.store.node_id()).unwrap();
    }
    for step in 0..60 + rng.below(60) {
        edit(&a, rng, "a");
        if step == 30 {
            a.store.checkpoint("L").unwrap();
        }
        if shared {
            edit(&b, rng, "b");
            if step % 20 == 7 {
                Link::new(&a.store, &b.store).settle();
            }
        }
    }
    (a, b)
}

fn edit(replica: &Replica, rng: &mut Rng, who: &str) {
    let id = format!("d{:02}", rng.below(40));
    let notes = replica.notes();
    let _ = match rng.below(8) {
        0 | 1 => notes.put(
            &id,
            &fields([
                ("title", Field::from(format!("{who} {}", rng.next()).as_str())),
                ("tags", Field::set(["sea", who])),
            ]),
        ),
        2 => notes.set(&id, ("map", who), rng.next() as i64),
        3 => notes.add(&id, "tags", rng.below(100) as i64),
        4 => notes.increment("counts", "all", 1 + rng.below(5) as i64),
        5 => notes.delete(&id).map(drop),
        6 => replica.store.write(|txn| {
            (0..60).try_for_each(|n| {
                txn.add(NOTES, "large", "set", format!("{id} {n} of {who}").as_str())
            })
        }),
        _ => notes.set(&id, "title", format!("{who} again {}", rng.next()).as_str()),
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    State,
    Log,
    Both,
}

/// Kills bytes, pages or whole files.
fn strike(disk: &MemDisk, rng: &mut Rng, blow: Blow) {
    let names: Vec<String> = files(disk).into_keys().collect();
    let of_log: Vec<&String> = names.iter().filter(|name| name.starts_with("log/")).collect();
    let state = "state.redb".to_owned();
    let mut targets: Vec<&String> = Vec::new();
    if blow != Blow::Log {
        targets.push(&state);
    }
    if blow != Blow::State {
        targets.push(of_log[rng.below(of_log.len())]);
    }
    for name in targets {
        let file = disk.open(name, false).unwrap();
        let len = file.len().unwrap();
        match rng.below(10) {
            0 => disk.remove(name).unwrap(),
            1 => file.set_len(rng.next() % len.max(1)).unwrap(),
            2..=5 => {
                for _ in 0..1 + rng.below(8) {
                    let at = rng.next() % len.max(1) / 4096 * 4096;
                    let page: Vec<u8> = match rng.chance(50) {
                        true => vec![0; 4096],
                        false => (0..4096).map(|_| rng.next() as u8).collect(),
                    };
                    let room = (len - at).min(4096) as usize;
                    file.write_at(at, &page[..room]).unwrap();
                }
            }
            _ => {
                for _ in 0..1 + rng.below(40) {
                    let at = rng.next() % len.max(1);
                    file.write_at(at, &[rng.next() as u8]).unwrap();
                }
            }
        }
    }
}

fn counter(fields: Option<&Fields>) -> i64 {
    match fields.and_then(|fields| fields.get("all")) {
        Some(Field::Counter(value)) => *value,
        _ => 0,
    }
}

/// What a peer shows must be there afterwards, unless it was changed by what the store wrote.
fn assert_unharmed(
    before: &BTreeMap<String, Fields>,
    peer: &Store,
    all: &BTreeMap<String, Fields>,
) {
    let after = shown(peer);
    for (id, fields) in before {
        // What the damaged store had seen and deleted may be gone, or not.
        let Some(kept) = all.get(id) else { continue };
        let now = after.get(id).unwrap_or_else(|| panic!("the peer lost {id}"));
        for name in fields.keys().filter(|name| kept.contains_key(name)) {
            assert!(now.contains_key(name), "the peer lost {name} of {id}");
        }
    }
}

#[test]
fn whatever_is_killed_the_result_is_sound_and_harms_no_peer() {
    each_seed("rescue", 12, |seed| {
        let mut rng = Rng::new(seed);
        let budget = LogBudget { bytes: 6 << 10, ..LogBudget::UNLIMITED };
        let small = Small { segment_bytes: 3 << 10, budget };
        let whole = Small { budget: LogBudget::UNLIMITED, ..small };
        let prunes = rng.chance(34);
        let small = if prunes { Some(small) } else { *rng.pick(&[None, Some(whole)]) };
        let (a, b) = past(&mut rng, small, true);
        if rng.chance(60) {
            a.store.flush().unwrap();
        }
        let disk = if rng.chance(50) {
            a.disk.copy()
        } else {
            a.store.close().unwrap();
            a.disk.copy()
        };
        // What both would show if nothing had happened.
        let healthy = options(0).moved(true).open_on(Arc::new(disk.copy())).unwrap();
        let other = options(1).moved(true).open_on(Arc::new(b.disk.copy())).unwrap();
        let before_a = shown(&healthy);
        let before_b = shown(&b.store);
        Link::new(&healthy, &other).settle();
        let together = shown(&healthy);
        assert_eq!(together, shown(&other));

        let blow = *rng.pick(&[Blow::State, Blow::Log, Blow::Both]);
        strike(&disk, &mut rng, blow);
        let (store, _, told) = rescue(0, &disk, &RescueOptions::default());
        if told.is_whole()
            && told.findings.iter().all(|f| f.code != "log-short" && f.code != "log-torn")
        {
            let now = shown(&store);
            assert!(now == before_a, "{:?} {:#?}", told.sentences(), told.findings);
        }
        // Nothing is invented.
        for id in shown(&store).keys() {
            assert!(id.starts_with('d') || id == "counts" || id == "large", "{id}");
        }
        // The peer, as it knows the old store, meets the new one.
        store.trust(b.store.node_id()).unwrap();
        let mut link = Link::new(&store, &b.store);
        link.settle();
        assert_eq!(link.closed(), None, "{:?}", told.sentences());
        drop(link);
        assert_eq!(store.summary(NOTES).unwrap().0, b.store.summary(NOTES).unwrap().0);
        assert_eq!(store.digests(NOTES).unwrap(), b.store.digests(NOTES).unwrap());
        for store in [&store, &b.store] {
            let verified = store.verify(&VerifyOptions::default()).unwrap();
            assert!(verified.is_sound(), "{:#?}", verified.findings);
        }
        assert_unharmed(&before_b, &b.store, &together);
        let now = counter(shown(&b.store).get("counts"));
        let (least, most) = (counter(before_b.get("counts")), counter(together.get("counts")));
        assert!((least..=most).contains(&now), "{now} is not within {least}..={most}");
        // It goes on being used, and nothing of it is taken for another's.
        store.collection(NOTES).unwrap().set("after", "x", 1i64).unwrap();
        Link::new(&store, &b.store).settle();
        assert_eq!(shown(&store), shown(&b.store));
    });
}

#[test]
fn a_damaged_state_is_made_anew_from_a_whole_log() {
    each_seed("rescue log", 5, |seed| {
        let mut rng = Rng::new(seed);
        let (a, b) = past(&mut rng, None, true);
        meet(&[&a, &b]);
        a.store.close().unwrap();
        let before = shown(&b.store);
        strike(&a.disk, &mut rng, Blow::State);
        let (store, _, told) = rescue(0, &a.disk, &RescueOptions::default());
        assert_eq!(shown(&store), before);
        assert!(told.is_whole(), "{:?}", told.sentences());
        assert_eq!(store.digests(NOTES).unwrap().cells, b.store.digests(NOTES).unwrap().cells);
        assert!(told.collections.iter().all(|found| found.how != How::Remains));
    });
}

#[test]
fn a_damaged_log_loses_nothing_of_a_whole_state() {
    each_seed("rescue state", 5, |seed| {
        let mut rng = Rng::new(seed);
        let small = Small { segment_bytes: 3 << 10, budget: LogBudget::UNLIMITED };
        let (a, b) = past(&mut rng, Some(small), true);
        a.store.close().unwrap();
        let before = shown(&options(0).moved(true).open_on(Arc::new(a.disk.copy())).unwrap());
        strike(&a.disk, &mut rng, Blow::Log);
        let (store, _, told) = rescue(0, &a.disk, &RescueOptions::default());
        assert_eq!(shown(&store), before, "{:?}", told.sentences());
        // Where the log has lost its end, nobody knows that nothing was there.
        assert!(told.newest_unknown || told.is_whole(), "{:?}", told.sentences());
        assert!(told.collections.iter().all(|found| found.is_whole()));
        assert!(!told.findings.is_empty() || told.collections[0].how == How::History);
        assert_eq!(told.peers, Some(1));
        assert_eq!(store.trusted().unwrap()[0].address.as_deref(), Some("b.example:4433"));
        Link::new(&store, &b.store).settle();
        assert_eq!(shown(&store), shown(&b.store));
    });
}

#[test]
fn the_new_store_reuses_no_name_and_keeps_its_key() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    for n in 0..5i64 {
        a.notes().set("n", "n", n).unwrap();
    }
    pull(&b, &a);
    a.store.close().unwrap();
    // The last write is gone from the log, and the state is gone whole; the peer has it.
    let name = format!("log/{}", a.disk.list("log").unwrap()[0]);
    let file = a.disk.open(&name, false).unwrap();
    let len = file.len().unwrap();
    // A mark of what was handed out is the last record, 55 bytes with its batch.
    file.set_len(len - 65).unwrap();
    a.disk.remove("state.redb").unwrap();
    let (store, _, told) = rescue(0, &a.disk, &RescueOptions::default());
    assert!(told.same_node && told.node == key(0).id());
    store.collection(NOTES).unwrap().set("n", "n", 100i64).unwrap();
    let mut link = Link::new(&store, &b.store);
    link.settle();
    assert_eq!(link.closed(), None);
    drop(link);
    assert_eq!(shown(&store), shown(&b.store));
    let origins: BTreeSet<u32> =
        b.store.summary(NOTES).unwrap().0.iter().map(|(o, _)| o.incarnation).collect();
    assert_eq!(origins.len(), 2, "the old name as the peer had it, and a new one");
    // Both are shown: neither had seen the other.
    let conflicts = b.store.conflicts().unwrap();
    assert_eq!(conflicts[0].candidates.len(), 2);
}

#[test]
fn values_without_transactions_are_written_anew_and_say_so() {
    // The log begins late, the state has a hole.
    let budget = LogBudget { bytes: 2 << 10, ..LogBudget::UNLIMITED };
    let a = Replica::small(0, Small { segment_bytes: 1 << 10, budget });
    for n in 0..60i64 {
        a.notes().put(&format!("n{n:02}"), &fields([("n", Field::from(n))])).unwrap();
    }
    a.notes().increment("n07", "views", 5).unwrap();
    a.notes().delete("n08").unwrap();
    let before = shown(&a.store);
    a.store.close().unwrap();
    assert!(a.disk.list("log").unwrap()[0] != "0000000000000000.log");
    change_documents(&a.disk, |table| {
        let key = [&[0; 4][..], b"n33"].concat();
        table.insert(&key[..], &[9, 9, 9][..]).unwrap();
    });
    let (store, _, told) = rescue(0, &a.disk, &RescueOptions::default());
    let found = &told.collections[0];
    assert_eq!(found.how, How::Remains);
    assert!(found.unread_places == 1 && found.written_values >= 59 && !told.is_whole());
    assert!(told.sentences()[0].contains("written anew"), "{:?}", told.sentences());
    let mut expected = before.clone();
    expected.remove("n33");
    assert_eq!(shown(&store), expected, "nobody else has it, so the counter is there, too");
    assert_eq!(told.left_out, []);
}

fn change_documents(
    disk: &MemDisk,
    change: impl FnOnce(&mut redb::Table<'_, &'static [u8], &'static [u8]>),
) {
    use littoral::store::disk::{Freeze, RedbFile};
    let file = RedbFile::new(disk.open("state.redb", false).unwrap(), Freeze::default());
    let database = redb::Database::builder().create_with_backend(file).unwrap();
    let txn = database.begin_write().unwrap();
    let definition: redb::TableDefinition<'static, &'static [u8], &'static [u8]> =
        redb::TableDefinition::new("documents");
    change(&mut txn.open_table(definition).unwrap());
    txn.commit().unwrap();
}

#[test]
fn counters_that_a_peer_may_have_are_left_out_and_told() {
    let budget = LogBudget { bytes: 2 << 10, ..LogBudget::UNLIMITED };
    let small = Small { segment_bytes: 1 << 10, budget };
    let (a, b) = (Replica::small(0, small), Replica::small(1, small));
    a.store.trust(b.store.node_id()).unwrap();
    a.notes().increment("n", "views", 5).unwrap();
    for n in 0..60i64 {
        a.notes().put(&format!("n{n:02}"), &fields([("n", Field::from(n))])).unwrap();
        if n % 10 == 0 {
            Link::new(&a.store, &b.store).settle();
        }
    }
    a.store.close().unwrap();
    change_documents(&a.disk, |table| {
        let key = [&[0; 4][..], b"n33"].concat();
        table.insert(&key[..], &[9, 9, 9][..]).unwrap();
    });
    let (store, _, told) = rescue(0, &a.disk, &RescueOptions::default());
    assert_eq!(told.left_out.len(), 1);
    assert_eq!((told.left_out[0].path.to_string(), told.left_out[0].value), ("/views".into(), 5));
    Link::new(&store, &b.store).settle();
    assert_eq!(shown(&store), shown(&b.store));
    assert_eq!(shown(&store)["n"]["views"], Field::Counter(5));
    let alone = RescueOptions { alone: true, ..RescueOptions::default() };
    let (store, _, told) = rescue(0, &a.disk, &alone);
    assert_eq!(told.left_out, []);
    assert_eq!(shown(&store)["n"]["views"], Field::Counter(5));
}

#[test]
fn a_history_with_snapshots_forks_and_leavings_is_rescued() {
    each_seed("rescue past", 5, |seed| {
        let mut rng = Rng::new(seed);
        let small = Small { segment_bytes: 3 << 10, budget: LogBudget::UNLIMITED };
        let (mut a, b) = past(&mut rng, Some(small), true);
        for _ in 0..4 {
            match rng.below(4) {
                0 => drop(a.store.leave(NOTES).unwrap()),
                1 => {
                    let disk = a.disk.copy();
                    a = Replica::open(0, disk, Some(small)).unwrap();
                }
                2 => drop(join(&a.store, &b.store, NOTES)),
                _ => {
                    // Rolled back, under the same name, and finds out.
                    let backup = a.disk.copy();
                    edit(&a, &mut rng, "a");
                    Link::new(&a.store, &b.store).settle();
                    let store = options(0).moved(true).open_on(Arc::new(backup.clone())).unwrap();
                    let _ = store.collection(NOTES).unwrap().set("d01", "title", "unsent");
                    let _ = store.collection(NOTES).unwrap().increment("counts", "all", 1);
                    Link::new(&store, &b.store).settle();
                    store.close().unwrap();
                    a = Replica::open(0, backup, Some(small)).unwrap();
                }
            }
            (0..10).for_each(|_| edit(&a, &mut rng, "a"));
        }
        a.store.close().unwrap();
        let healthy = options(0).moved(true).open_on(Arc::new(a.disk.copy())).unwrap();
        let before = shown(&healthy);
        let vector = healthy.summary(NOTES).unwrap().0;
        // The log is whole, the state is gone: what the log gives is told from it alone.
        let disk = a.disk.copy();
        disk.remove("state.redb").unwrap();
        let (store, _, told) = rescue(0, &disk, &RescueOptions::default());
        let held = store.summary(NOTES).unwrap().0;
        if told.collections.iter().all(|found| found.how == How::History) {
            assert_eq!(held, vector);
            assert_eq!(shown(&store), before);
        }
        Link::new(&store, &b.store).settle();
        assert_eq!(shown(&store), shown(&b.store));
        // The state is whole, the log is gone.
        let disk = a.disk.copy();
        for name in disk.list("log").unwrap() {
            disk.remove(&format!("log/{name}")).unwrap();
        }
        let (store, _, told) = rescue(0, &disk, &RescueOptions::default());
        assert_eq!(shown(&store), before, "{:?}", told.sentences());
        assert_eq!(store.summary(NOTES).unwrap().0, vector);
        Link::new(&store, &b.store).settle();
        assert_eq!(shown(&store), shown(&b.store));
    });
}

/// Whoever belongs to a roster still does, and takes from its peers what it took before.
#[test]
fn the_roster_is_taken_over() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "by", "a").unwrap();
    a.store.found_roster("a").unwrap();
    a.store.grant(key(1).id(), "b", Rights::everywhere(Right::Write)).unwrap();
    b.store.join_roster(key(0).id()).unwrap();
    Link::new(&a.store, &b.store).settle();
    b.notes().set("m", "by", "b").unwrap();
    Link::new(&a.store, &b.store).settle();
    a.store.revoke(key(1).id()).unwrap();
    a.store.close().unwrap();
    let (store, _, told) = rescue(0, &a.disk, &RescueOptions::default());
    assert_eq!(told.roster, Some(true));
    assert_eq!(store.members().unwrap().len(), 2);
    assert_eq!(store.right(&key(1).id(), NOTES), Right::None);
    assert!(store.not_valid().is_empty(), "it vouches for what it held");
    assert_eq!(shown(&store).len(), 2);
}

//! Backups: one moment of all collections in a file, and stores made of it.

mod common;

use std::io::{self, Write};
use std::sync::Arc;

use common::carry::{assemble, backup, parts, read_backup};
use common::link::sync;
use common::{NOTES, Replica, Rng, Small, Wall, assert_same, each_seed, fields, key};
use littoral::id::Vector;
use littoral::store::disk::{Disk, File, MemDisk};
use littoral::store::{
    AutomaticCheckpoints, BackupOptions, BackupReport, Collections, LogBudget, RestoreOptions,
};
use littoral::txn::bundle::{CHECK_BYTES, FRAME_HEAD_BYTES, HEADER_BYTES, Part};
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, Field, Options, Store, Value};

const PLANS: &str = "plans";

/// Two authors, two collections; all kinds of fields, a conflict, something deleted.
fn author() -> Replica {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let content = fields([
        ("title", Field::from("Tide table")),
        ("tags", Field::set(["sea", "moon"])),
        ("views", Field::Counter(7)),
        ("place", Field::map([("lat", Value::from(0.5)), ("lon", Value::Null)])),
    ]);
    a.notes().put("n1", &content).unwrap();
    a.notes().put("n2", &content).unwrap();
    a.store.collection(PLANS).unwrap().set("p", "x", 1i64).unwrap();
    sync(&a.store, &b.store);
    a.notes().set("n1", "title", "by a").unwrap();
    b.notes().set("n1", "title", "by b").unwrap();
    b.notes().increment("n1", "views", 5).unwrap();
    b.notes().delete("n2").unwrap();
    sync(&a.store, &b.store);
    a.notes().increment("n1", "views", -2).unwrap();
    a
}

/// They hold the same, to the last cell, of the collections that `of` has.
fn assert_holds(store: &Store, of: &Store) {
    store.check_rows().unwrap();
    assert_eq!(store.collections(), of.collections());
    assert_eq!(store.conflicts().unwrap(), of.conflicts().unwrap());
    for name in of.collections() {
        assert_eq!(store.held(&name), of.held(&name));
        assert_eq!(common::vector(store, &name), common::vector(of, &name));
        assert_eq!(store.digests(&name).unwrap(), of.digests(&name).unwrap());
    }
    let counts = |store: &Store| -> Vec<(String, u64, u64, u64)> {
        let collections = store.stats().unwrap().collections.into_iter();
        collections.map(|one| (one.name, one.documents, one.conflicts, one.transactions)).collect()
    };
    assert_eq!(counts(store), counts(of));
}

fn restored(seed: u8, file: &[u8]) -> Replica {
    Replica::restored(seed, file, &RestoreOptions::default()).unwrap()
}

#[test]
fn a_restored_store_holds_what_was_there_to_the_last_cell() {
    let a = author();
    let before = a.store.digests(NOTES).unwrap();
    let file = backup(&a.store);
    let found = read_backup(&file).unwrap();
    assert_eq!((found.node, found.network), (a.store.node_id(), a.store.network()));
    let names: Vec<_> = found.collections.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, [NOTES, PLANS]);
    assert_eq!((found.documents(), found.collections[0].conflicts), (2, 1));
    assert_eq!(found.collections[0].cells, before.cells);
    assert_eq!(found.collections[0].origins, 2);
    let b = restored(7, &file);
    assert_holds(&b.store, &a.store);
    assert_ne!(b.store.node_id(), a.store.node_id());
    assert_eq!(b.store.collection(PLANS).unwrap().len(), 1);
    // And of a restored one again, whose log has nothing of it.
    b.notes().set("n3", "x", 1i64).unwrap();
    assert_holds(&restored(8, &backup(&b.store)).store, &b.store);
    // An empty store has a backup, too.
    let none = backup(&Replica::new(3).store);
    assert_eq!(read_backup(&none).unwrap().collections, []);
    assert_eq!(restored(9, &none).store.collections(), [""; 0]);
}

/// Writes to the store whenever something of the backup is written.
struct Meanwhile<'a> {
    store: &'a Store,
    out: Vec<u8>,
    n: i64,
}

impl Write for Meanwhile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.n += 1;
        let n = self.n;
        let written = self.store.write(|txn| {
            for name in ["a-first", NOTES, "z-last"] {
                txn.set(name, "n", "n", n)?;
                txn.set(name, &format!("new {n}"), "n", n)?;
                txn.delete(name, &format!("old {n}"))?;
            }
            Ok(())
        });
        written.unwrap();
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn it_is_one_moment_whatever_is_written_meanwhile() {
    let a = Replica::new(0);
    for name in ["a-first", NOTES, "z-last"] {
        for n in 1..=200 {
            a.store.write_deferred(|txn| txn.set(name, &format!("old {n}"), "n", n)).unwrap();
        }
        a.store.write_deferred(|txn| txn.set(name, "n", "n", 0i64)).unwrap();
    }
    let then: Vec<_> = a.store.collections().iter().map(|name| a.store.held(name)).collect();
    let mut out = Meanwhile { store: &a.store, out: Vec::new(), n: 0 };
    let report = a.store.write_backup(&mut out, &BackupOptions::default()).unwrap();
    let (file, written) = (out.out, out.n);
    assert!(written > 10);
    a.store.check_written(&mut &file[..], &report).unwrap();
    let b = restored(7, &file);
    let found: Vec<_> = b.store.collections().iter().map(|name| b.store.held(name)).collect();
    assert_eq!(found, then);
    assert_eq!(a.notes().get_field("n", "n").unwrap(), Some(Field::from(written)));
    // What came after it is a tail.
    sync(&a.store, &b.store);
    assert_same(&[&a, &b]);
}

#[test]
fn what_is_in_a_backup_counts_as_handed_out() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.write_deferred(|txn| txn.set(NOTES, "n", "x", 2i64)).unwrap();
    assert_eq!(a.store.unsent(NOTES), 2);
    let file = backup(&a.store);
    assert_eq!(a.store.unsent(NOTES), 0);
    // Also after all is lost that can be.
    let again = a.after_power_cut(None);
    assert_eq!(again.store.unsent(NOTES), 0);
    assert_holds(&again.store, &restored(7, &file).store);
}

fn edit(one: &Replica, rng: &mut Rng) {
    let edited = one.store.write(|txn| {
        common::edit(txn, rng);
        Ok(())
    });
    edited.unwrap();
}

/// The same backup on two machines, both edited, among themselves and with the original.
#[test]
fn a_backup_restored_twice_converges_and_nothing_is_counted_twice() {
    each_seed("restored twice", 20, |seed| {
        let mut rng = Rng::new(seed);
        let a = author();
        (0..rng.below(9)).for_each(|_| edit(&a, &mut rng));
        a.notes().put("sum", &fields([("n", Field::Counter(100))])).unwrap();
        let file = backup(&a.store);
        let all = [a, restored(7, &file), restored(8, &file)];
        let mut sum = 100;
        for _ in 0..20 {
            let one = rng.below(3);
            match rng.below(4) {
                0 => drop(sync(&all[one].store, &all[(one + 1) % 3].store)),
                1 => {
                    let by = rng.below(9) as i64 - 4;
                    all[one].notes().increment("sum", "n", by).unwrap();
                    sum += by;
                }
                _ => edit(&all[one], &mut rng),
            }
        }
        all[1].notes().set("of seven", "x", 7i64).unwrap();
        all[2].notes().set("of eight", "x", 8i64).unwrap();
        for _ in 0..2 {
            for (one, other) in [(0, 1), (1, 2), (2, 0)] {
                sync(&all[one].store, &all[other].store);
            }
        }
        assert_same(&[&all[0], &all[1], &all[2]]);
        let of = |one: &Replica| one.notes().get_field("sum", "n").unwrap();
        assert_eq!(of(&all[0]), Some(Field::Counter(sum)));
        assert!(all.iter().all(|one| one.notes().get("of seven").unwrap().is_some()));
        assert!(all.iter().all(|one| one.notes().get("of eight").unwrap().is_some()));
    });
}

/// The original is gone, and what it wrote after the backup comes back from a peer.
#[test]
fn a_restored_store_takes_the_place_of_one_that_is_lost() {
    let (a, peer) = (author(), Replica::new(2));
    let file = backup(&a.store);
    a.notes().set("later", "x", 1i64).unwrap();
    sync(&a.store, &peer.store);
    drop(a);
    let b = restored(7, &file);
    b.notes().increment("n1", "views", 1).unwrap();
    sync(&b.store, &peer.store);
    assert_same(&[&b, &peer]);
    assert_eq!(b.notes().get_field("n1", "views").unwrap(), Some(Field::Counter(11)));
    assert!(b.notes().get("later").unwrap().is_some());
    // Who holds nothing is sent a snapshot, whose server it trusts.
    let fresh = Replica::new(3);
    sync(&fresh.store, &b.store);
    assert_same(&[&fresh, &b]);
}

#[test]
fn a_history_that_was_pruned_joined_or_has_forked_goes_along() {
    let budget = LogBudget { bytes: 1, age_ms: u64::MAX };
    let a = Replica::small(0, Small { segment_bytes: 1024, budget });
    (0..60i64).for_each(|n| a.notes().set(&format!("n{n}"), "x", n).unwrap());
    a.store.mark_exported(NOTES).unwrap();
    a.store.prune().unwrap();
    let mut copy = a.after_power_cut(None);
    let joined = Replica::new(1);
    common::join(&joined.store, &a.store, NOTES);
    assert_holds(&restored(7, &backup(&joined.store)).store, &joined.store);
    // Two that write under one name.
    copy.notes().set("n1", "x", "of the copy").unwrap();
    a.notes().set("n2", "x", "of a").unwrap();
    for other in [&copy, &a] {
        sync(&joined.store, &other.store);
        sync(&joined.store, &other.store);
    }
    assert!(joined.store.branch_count(NOTES) > 0);
    let b = restored(8, &backup(&joined.store));
    assert_holds(&b.store, &joined.store);
    copy = restored(9, &backup(&b.store));
    copy.notes().set("n3", "x", "after it").unwrap();
    sync(&copy.store, &joined.store);
    assert_same(&[&copy, &joined]);
}

#[test]
fn large_documents_checkpoints_and_what_was_left_do_not_stand_in_the_way() {
    let a = Replica::new(0);
    let all = (0..20_000).map(|n| Value::from(format!("element {n}"))).collect();
    a.notes().put("large", &fields([("tags", Field::Set(all))])).unwrap();
    a.store.checkpoint("before").unwrap();
    a.notes().add("large", "tags", "more").unwrap();
    a.store.collection("gone").unwrap().set("n", "x", 1i64).unwrap();
    a.store.leave("gone").unwrap();
    let b = restored(7, &backup(&a.store));
    assert_holds(&b.store, &a.store);
    assert!(b.store.checkpoints().is_empty());
}

#[test]
fn what_is_held_back_from_the_view_is_in_it() {
    let a = author();
    a.store.checkpoint("before").unwrap();
    a.notes().set("n1", "title", "after").unwrap();
    let before = a.store.digests(NOTES).unwrap();
    a.store.rollback_hold("before", Some(&[NOTES])).unwrap();
    a.notes().set("n3", "x", 1i64).unwrap();
    let b = restored(7, &backup(&a.store));
    a.store.resume(Some(NOTES)).unwrap();
    assert_holds(&b.store, &a.store);
    assert_ne!(b.store.digests(NOTES).unwrap(), before);
}

#[test]
fn what_the_store_was_told_goes_along_and_no_secret_does() {
    let a = author();
    let budget = LogBudget { bytes: 9, age_ms: 8 };
    a.store.set_log_budget(NOTES, Some(budget)).unwrap();
    a.store.set_default_log_budget(Some(LogBudget::UNLIMITED)).unwrap();
    a.store.set_automatic_checkpoints(AutomaticCheckpoints { keep: 3, age_ms: 4 }).unwrap();
    a.store.want(Collections::only([NOTES]).unwrap()).unwrap();
    a.store.trust_at(key(1).id(), "host:4433").unwrap();
    a.store.want_of(key(1).id(), Collections::All).unwrap();
    a.store.trust(key(7).id()).unwrap();
    let file = backup(&a.store);
    let secret = a.key().seed();
    assert!(!file.windows(32).any(|bytes| bytes == secret));
    let b = restored(7, &file);
    assert_eq!(b.store.log_budget(NOTES), budget);
    assert_eq!(b.store.log_budget("other"), LogBudget::UNLIMITED);
    let rule = AutomaticCheckpoints { keep: 3, age_ms: 4 };
    assert_eq!(b.store.automatic_checkpoints().unwrap(), Some(rule));
    assert_eq!(b.store.wanted_by_default().unwrap().unwrap(), [NOTES.to_owned()].into());
    // Itself it need not trust.
    let ours: Vec<_> =
        a.store.trusted().unwrap().into_iter().filter(|peer| peer.node != key(7).id()).collect();
    assert_eq!(b.store.trusted().unwrap(), ours);
    let mut file = Vec::new();
    let report = a.store.write_backup(&mut file, &BackupOptions { peers: false }).unwrap();
    assert_eq!((report.peers, read_backup(&file).unwrap().peers), (0, 0));
    assert!(restored(7, &file).store.trusted().unwrap().is_empty());
}

#[test]
fn a_key_that_has_a_part_in_the_backup_is_refused() {
    let a = author();
    let file = backup(&a.store);
    for seed in [0, 1] {
        let refused = Replica::restored(seed, &file, &RestoreOptions::default()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        assert!(refused.message().contains("key"), "{refused}");
    }
}

#[test]
fn with_a_roster_the_new_node_is_no_member_until_it_is_let_in() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.store.found_roster("zero").unwrap();
    a.store.grant(key(1).id(), "one", Rights::everywhere(Right::Write)).unwrap();
    a.notes().set("n", "x", 1i64).unwrap();
    b.store.join_roster(key(0).id()).unwrap();
    sync(&a.store, &b.store);
    b.notes().set("n", "y", 2i64).unwrap();
    sync(&a.store, &b.store);
    a.store.revoke(key(1).id()).unwrap();
    let file = backup(&a.store);
    let found = read_backup(&file).unwrap();
    assert_eq!(found.founder, Some(key(0).id()));
    let c = restored(7, &file);
    assert_holds(&c.store, &a.store);
    assert_eq!(c.store.members(), a.store.members());
    assert_eq!(c.store.roster_digest(), a.store.roster_digest());
    let refused = c.notes().set("n", "z", 3i64).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    a.store.grant(key(7).id(), "seven", Rights::everywhere(Right::Write)).unwrap();
    for _ in 0..3 {
        let mut link = common::link::Link::new(&a.store, &c.store);
        link.settle();
    }
    c.notes().set("n", "z", 3i64).unwrap();
    sync(&a.store, &c.store);
    assert_same(&[&a, &c]);
    // Nobody is left who could let it in.
    let alone = Replica::restored(8, &file, &RestoreOptions { roster: false }).unwrap();
    assert_holds(&alone.store, &restored(9, &file).store);
    assert_eq!(alone.store.founder(), None);
    alone.notes().set("n", "z", 3i64).unwrap();
}

// ---- damage

#[test]
fn a_backup_that_was_cut_or_changed_anywhere_leaves_no_store() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.trust(key(1).id()).unwrap();
    let file = backup(&a.store);
    let try_it = |file: &[u8], at: usize| {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
        let options = common::options(7, &Wall::at_noon());
        let how = RestoreOptions::default();
        let refused = options.restore_on(&mut &file[..], &disk, "store", &how).unwrap_err();
        let expected = [ErrorKind::Corrupt, ErrorKind::InvalidInput, ErrorKind::FormatTooNew];
        assert!(expected.contains(&refused.kind()), "{at}: {refused}");
        assert!(disk.list("store").is_err(), "{at}");
        assert!(expected.contains(&read_backup(file).unwrap_err().kind()));
    };
    for at in (0..file.len()).step_by(3) {
        try_it(&file[..at], at);
        let mut other = file.clone();
        other[at] ^= 1 << (at % 8);
        try_it(&other, at);
    }
    try_it(&[&file[..], b"x"].concat(), file.len());
}

#[test]
fn other_files_and_newer_ones_are_told_apart() {
    let a = author();
    let bundle = common::carry::bundle(&a.store, None);
    let refused = read_backup(&bundle).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(refused.message().contains("littoral bundle apply"), "{refused}");
    for other in [&b""[..], b"{}", &[0; 200]] {
        assert_eq!(read_backup(other).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let file = backup(&a.store);
    assert_eq!(common::carry::apply(&a.store, &file).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut newer = file.clone();
    newer[16] = 2;
    let refused = read_backup(&newer).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
    assert!(refused.message().contains("backup has format 2"), "{refused}");
}

/// Files whose checks fit, and which hold something else than a store did.
#[test]
fn what_was_put_together_by_somebody_else_is_not_taken() {
    let a = author();
    let file = backup(&a.store);
    let (header, good) = parts(&file);
    assert_eq!(assemble(&header, &good), file);
    let at = |of: fn(&Part) -> bool| good.iter().position(of).unwrap();
    let documents = at(|part| matches!(part, Part::Documents(_)));
    let counted = at(|part| matches!(part, Part::Counted(_)));
    let mut tries: Vec<(&str, Vec<Part>)> = Vec::new();
    let mut but = |what: &'static str, change: &dyn Fn(&mut Vec<Part>)| {
        let mut parts = good.clone();
        change(&mut parts);
        tries.push((what, parts));
    };
    but("a document is missing", &|parts| {
        let Part::Documents(some) = &mut parts[documents] else { panic!() };
        some.remove(0);
    });
    but("all are", &|parts| drop(parts.remove(documents)));
    but("they are there twice", &|parts| parts.insert(documents, parts[documents].clone()));
    but("one is another", &|parts| {
        let Part::Documents(some) = &mut parts[documents] else { panic!() };
        some[0].0 = "n0".to_owned();
    });
    but("counted wrongly", &|parts| {
        let Part::Counted(counted) = &mut parts[counted] else { panic!() };
        counted.conflicts += 1;
    });
    but("a collection is missing", &|parts| drop(parts.drain(documents - 1..=counted)));
    but("no end", &|parts| drop(parts.pop()));
    but("out of order", &|parts| parts.rotate_right(1));
    but("a part of a bundle", &|parts| {
        parts[counted] = Part::EndOfCollection { to: Vector::new() };
    });
    for (what, parts) in tries {
        let file = assemble(&header, &parts);
        assert_eq!(read_backup(&file).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
        let refused = Replica::restored(7, &file, &RestoreOptions::default()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{what}: {refused}");
    }
    // By another who says that it is of theirs.
    let other = littoral::txn::bundle::Header { maker: key(5).id(), ..header };
    assert_eq!(read_backup(&assemble(&other, &good)).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(file.len() > HEADER_BYTES + FRAME_HEAD_BYTES + CHECK_BYTES);
}

// ---- loss of power, failing disks

fn content(disk: &MemDisk, name: &str) -> Option<Vec<u8>> {
    let file = disk.open(name, false).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn a_backup_that_is_cut_short_at_any_call_leaves_the_old_one_or_the_whole_new_one() {
    let a = author();
    let old = backup(&a.store);
    a.notes().set("later", "x", 1i64).unwrap();
    let options = BackupOptions::default();
    for has_old in [false, true] {
        for calls in 0.. {
            let disk = MemDisk::new();
            if has_old {
                let file = disk.open("it", true).unwrap();
                file.write_at(0, &old).unwrap();
                file.sync_data().unwrap();
                disk.sync_dir("").unwrap();
            }
            disk.dead_after(calls);
            let done = a.store.backup_on(&disk, "it", &options);
            for cut in (0..6).map(|seed| disk.power_cut(seed)).chain([disk.power_cut_all_lost()]) {
                match content(&cut, "it") {
                    None => assert!(!has_old && done.is_err()),
                    Some(found) if found == old => assert!(has_old && done.is_err()),
                    Some(found) => {
                        let found = read_backup(&found).unwrap();
                        assert_eq!(found.documents(), 3);
                    }
                }
            }
            if let Ok(report) = done {
                assert_eq!(report.documents(), 3);
                assert!(calls >= 6, "there were calls to fail");
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_fails_or_is_full_leaves_nothing_and_the_store_goes_on() {
    let a = author();
    let options = BackupOptions::default();
    let arms: [fn(&MemDisk, u64); 3] =
        [MemDisk::fail_after, MemDisk::full_after, MemDisk::fail_reads_after];
    for arm in arms {
        for calls in 0.. {
            let disk = MemDisk::new();
            arm(&disk, calls);
            let done = a.store.backup_on(&disk, "it", &options);
            let left = disk.spared(|| disk.list("").unwrap());
            match done {
                Ok(_) => break,
                // That the last sync of the directory failed says nothing against the file.
                Err(_) if left == ["it"] => drop(read_backup(&content(&disk, "it").unwrap())),
                Err(_) => assert!(left.is_empty() || left == ["it.part"], "{left:?}"),
            }
            // What is left there does not stand in the way.
            disk.fail_no_more();
            a.store.backup_on(&disk, "it", &options).unwrap();
            assert_eq!(disk.list("").unwrap(), ["it"]);
        }
    }
    a.notes().set("n1", "x", 1i64).unwrap();
}

/// A disk that breaks one bit of what is written to it, at this byte of a file.
#[derive(Debug)]
struct Rotten(MemDisk, u64);

#[derive(Debug)]
struct RottenFile(Arc<dyn File>, u64);

impl Disk for Rotten {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RottenFile(self.0.open(name, create)?, self.1)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.0.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
}

impl File for RottenFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        let at = self.1.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 4;
        }
        self.0.write_at(offset, &bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

#[test]
fn what_the_disk_breaks_is_noticed_before_the_file_has_its_name() {
    let a = author();
    let length = backup(&a.store).len() as u64;
    for at in (0..length).step_by(17) {
        let disk = Rotten(MemDisk::new(), at);
        let refused = a.store.backup_on(&disk, "it", &BackupOptions::default()).unwrap_err();
        assert!(refused.message().contains("read back"), "{at}: {refused}");
        assert_eq!(disk.list("").unwrap(), [""; 0]);
    }
    let disk = Rotten(MemDisk::new(), length);
    a.store.backup_on(&disk, "it", &BackupOptions::default()).unwrap();
}

#[test]
fn a_restore_that_is_cut_short_at_any_call_leaves_no_store_or_the_whole_one() {
    let a = author();
    a.store.trust(key(1).id()).unwrap();
    let file = backup(&a.store);
    let (options, how) = (common::options(7, &Wall::at_noon()), RestoreOptions::default());
    for calls in 0.. {
        let disk = MemDisk::new();
        disk.dead_after(calls);
        let all: Arc<dyn Disk> = Arc::new(disk.clone());
        let done = options.restore_on(&mut &file[..], &all, "store", &how);
        for cut in (0..3).map(|seed| disk.power_cut(seed)).chain([disk.power_cut_all_lost()]) {
            let is_there = cut.list("store").is_ok();
            assert!(is_there || done.is_err(), "{calls}");
            if is_there {
                let inside = littoral::store::disk::SubDisk::new(Arc::new(cut), "store");
                let store = options.clone().create(false).open_on(Arc::new(inside)).unwrap();
                assert_holds(&store, &a.store);
            }
        }
        if done.is_ok() {
            assert!(calls > 30, "there were calls to fail");
            break;
        }
        assert!(calls < 10_000);
    }
}

// ---- directories

#[test]
fn a_directory_is_whole_or_not_there_and_what_an_attempt_left_is_cleared() {
    let top = tempfile::tempdir().unwrap();
    let (of, file, dir) =
        (top.path().join("of"), top.path().join("file"), top.path().join("new").join("dir"));
    let a = Store::open(&of).unwrap();
    a.collection(NOTES).unwrap().set("n", "x", 1i64).unwrap();
    let report = a.backup(&file, &BackupOptions::default()).unwrap();
    assert_eq!(BackupReport::open(&file).unwrap(), report);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), report.bytes);
    let (options, how) = (Options::new(), RestoreOptions::default());
    let restored = options.restore(&file, &dir, &how).unwrap();
    assert_eq!(restored.backup, report);
    let names = |dir: &std::path::Path| {
        let names = std::fs::read_dir(dir).unwrap().map(|one| one.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&dir), ["littoral.store", "lock", "log", "node.key", "state.redb"]);
    assert_eq!(names(dir.parent().unwrap()), ["dir"]);
    let b = Options::new().create(false).open(&dir).unwrap();
    assert_eq!(b.node_id(), restored.node);
    assert_holds(&b, &a);
    b.collection(NOTES).unwrap().set("n", "y", 2i64).unwrap();
    let own = common::vector(&b, NOTES);
    let own = own.iter().find(|(origin, _)| origin.node == b.node_id()).unwrap();
    assert_eq!(own.0.incarnation, 0, "it was not taken for a copy");
    // Not into something, nor over something else beside it.
    let full = options.restore(&file, &dir, &how).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::InvalidInput, "{full}");
    let (empty, beside) = (top.path().join("empty"), top.path().join("empty.part"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::create_dir(&beside).unwrap();
    std::fs::write(beside.join("mine"), "keep").unwrap();
    let refused = options.restore(&file, &empty, &how).unwrap_err();
    assert!(refused.message().contains("in the way"), "{refused}");
    assert_eq!(names(&beside), ["mine"]);
    // What a kill has left is told by its mark.
    std::fs::write(beside.join("restoring"), "empty").unwrap();
    options.restore(&file, &empty, &how).unwrap();
    assert!(!beside.exists());
    assert_holds(&Store::open(&empty).unwrap(), &a);
    // Damage leaves nothing, and a directory that was there stays.
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (absent, there) = (top.path().join("absent"), top.path().join("there"));
    std::fs::create_dir(&there).unwrap();
    for dir in [&absent, &there] {
        let refused = options.restore(&file, dir, &how).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    }
    assert!(!absent.exists() && names(&there).is_empty());
    assert_eq!(names(top.path()), ["empty", "file", "new", "of", "there"]);
}

//! Bundles: changes in a file, between stores that need never meet.

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use common::carry::{apply, assemble, bundle, have, parts, try_bundle};
use common::{NOTES, Replica, Rng, Small, assert_same, each_seed, fields, pull};
use littoral::id::{Head, Origin, ShortHash, Vector};
use littoral::store::disk::MemDisk;
use littoral::store::{ApplyOptions, BundleContents, BundleOptions, Collections, Have, LogBudget};
use littoral::txn::bundle::{HEADER_BYTES, Part};
use littoral::{ErrorKind, Field, Options, Store};

const SMALL: Small =
    Small { segment_bytes: 2 << 10, budget: LogBudget { bytes: 4 << 10, age_ms: u64::MAX } };

fn field(replica: &Replica, id: &str, name: &str) -> Option<Field> {
    replica.notes().get_field(id, name).unwrap()
}

fn exported(store: &Store) -> u64 {
    let stats = store.stats().unwrap();
    stats.collections.iter().find(|of| of.name == NOTES).map_or(0, |of| of.exported)
}

fn only(names: &[&str]) -> Option<BTreeSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Writes until the log has let go of the first of what it held.
fn outgrow(replica: &Replica) {
    (0..200i64).for_each(|n| replica.notes().set("n", "x", n).unwrap());
    assert!(!replica.store.floor(NOTES).unwrap().is_empty());
}

// ---- there and back

#[test]
fn stores_that_never_met_show_the_same_after_a_bundle() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let content = fields([("title", Field::from("Low tide")), ("tags", Field::set(["sea"]))]);
    a.notes().put("n1", &content).unwrap();
    a.notes().increment("n1", "hits", 3).unwrap();
    a.notes().put("gone", &content).unwrap();
    a.notes().delete("gone").unwrap();
    a.store
        .write(|txn| {
            txn.set(NOTES, "n2", "x", 1i64)?;
            txn.set("plans", "p", "x", 1i64)
        })
        .unwrap();
    // Not durable yet: it is before it leaves.
    a.store.write_deferred(|txn| txn.set(NOTES, "n3", "x", 1i64)).unwrap();
    let file = bundle(&a.store, None);
    let applied = apply(&b.store, &file).unwrap();
    assert_eq!(
        (applied.transactions(), applied.duplicates(), applied.collections.len()),
        (7, 0, 2)
    );
    assert_same(&[&a, &b]);
    assert_eq!(b.store.collection("plans").unwrap().len(), 1);
    assert_same(&[&b.after_power_cut(None), &a.after_power_cut(None)]);
    // Once more, and as one that comes from another bundle.
    for file in [&file, &bundle(&a.store, None), &bundle(&b.store, None)] {
        let applied = apply(&b.store, file).unwrap();
        assert_eq!((applied.transactions(), applied.duplicates()), (0, 7));
    }
    assert_same(&[&a, &b]);
}

#[test]
fn a_bundle_leaves_out_what_its_receiver_has() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n1", "x", 1i64).unwrap();
    apply(&b.store, &bundle(&a.store, Some(have(&b.store)))).unwrap();
    a.notes().set("n2", "x", 1i64).unwrap();
    b.notes().set("n3", "x", 1i64).unwrap();
    let file = bundle(&a.store, Some(have(&b.store)));
    let contents = BundleContents::read(&file[..]).unwrap();
    assert_eq!(contents.collections[0].transactions, 1);
    assert_eq!(apply(&b.store, &file).unwrap().transactions(), 1);
    assert_eq!(apply(&a.store, &bundle(&b.store, Some(have(&a.store)))).unwrap().transactions(), 1);
    assert_same(&[&a, &b]);
    // When there is nothing new, that is what it says.
    let contents = BundleContents::read(&bundle(&a.store, Some(have(&b.store)))[..]).unwrap();
    assert_eq!((contents.collections[0].transactions, contents.maker), (0, a.store.node_id()));
}

#[test]
fn changes_pass_through_a_chain_of_stores() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    for round in 0..4i64 {
        a.notes().set("n", "x", round).unwrap();
        b.notes().increment("n", "hits", round + 1).unwrap();
        c.notes().add("n", "tags", round).unwrap();
        for (from, to) in [(&a, &b), (&b, &c), (&c, &b), (&b, &a)] {
            apply(&to.store, &bundle(&from.store, Some(have(&to.store)))).unwrap();
        }
        assert_same(&[&a, &b, &c]);
    }
    assert_eq!(field(&c, "n", "hits"), Some(Field::Counter(10)));
}

#[test]
fn bundles_that_go_on_from_one_another_need_no_word_from_the_receiver() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let mut last: Option<Vec<u8>> = None;
    for round in 0..4i64 {
        a.notes().set("n", "x", round).unwrap();
        a.store.collection(&format!("c{round}")).unwrap().set("n", "x", round).unwrap();
        let since = last.as_ref().map(|file| Have::read(&file[..]).unwrap());
        if let Some(since) = &since {
            // It may go through a vector file, too.
            let mut file = Vec::new();
            since.write(&mut file).unwrap();
            assert_eq!((Have::read(&file[..]).unwrap(), since.node), (since.clone(), None));
        }
        let file = bundle(&a.store, since);
        assert_eq!(apply(&b.store, &file).unwrap().transactions(), 2, "no more than is new");
        last = Some(file);
    }
    assert_same(&[&a, &b]);
}

#[test]
fn concurrent_writes_that_a_bundle_brings_are_visible_conflicts() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", "common").unwrap();
    apply(&b.store, &bundle(&a.store, None)).unwrap();
    a.notes().set("n", "x", "a").unwrap();
    b.notes().set("n", "x", "b").unwrap();
    let (of_a, of_b) =
        (bundle(&a.store, Some(have(&b.store))), bundle(&b.store, Some(have(&a.store))));
    apply(&b.store, &of_a).unwrap();
    apply(&a.store, &of_b).unwrap();
    assert_eq!(b.notes().conflicts().unwrap()[0].candidates.len(), 2);
    assert_same(&[&a, &b]);
}

#[test]
fn bundles_converge_whatever_their_order_and_however_often() {
    each_seed("bundles", 10, |seed| {
        let mut rng = Rng::new(seed);
        let stores: Vec<Replica> = (0..3).map(Replica::new).collect();
        let mut files: Vec<Vec<u8>> = Vec::new();
        for step in 0..60i64 {
            let one = rng.pick(&stores);
            match rng.below(5) {
                0 => one.notes().set(&format!("n{}", rng.below(4)), "x", step).unwrap(),
                1 => one.notes().increment("n0", "hits", 1).unwrap(),
                2 => drop(one.notes().delete(&format!("n{}", rng.below(4))).unwrap()),
                3 => {
                    let since = rng.chance(70).then(|| have(&rng.pick(&stores).store));
                    files.push(bundle(&one.store, since));
                }
                _ if files.is_empty() => {}
                _ => {
                    let file: &Vec<u8> = rng.pick(&files);
                    let applied = apply(&one.store, file);
                    if let Err(err) = applied {
                        assert_eq!(err.kind(), ErrorKind::MissingDependency, "{err}");
                    }
                    one.store.check_rows().unwrap();
                }
            }
        }
        for from in &stores {
            let all = bundle(&from.store, None);
            files.push(all);
        }
        for to in &stores {
            // Two passes: a bundle may build on one that comes later in this order.
            rng.shuffle(&mut files);
            files.iter().for_each(|file| drop(apply(&to.store, file)));
            files.iter().for_each(|file| drop(apply(&to.store, file).unwrap()));
        }
        assert_same(&stores.iter().collect::<Vec<_>>());
    });
}

// ---- what is missing

#[test]
fn a_bundle_that_builds_on_what_is_missing_applies_nothing_unsound_and_says_what() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    let first = bundle(&a.store, None);
    a.notes().set("n", "x", 2i64).unwrap();
    a.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    let second = bundle(&a.store, Some(Have::read(&first[..]).unwrap()));
    let contents = BundleContents::read(&second[..]).unwrap();
    let missing: Vec<u64> =
        contents.collections.iter().map(|one| one.missing(&Vector::new())).collect();
    assert_eq!(missing, [1, 0]);
    let refused = apply(&b.store, &second).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MissingDependency);
    for word in ["'notes'", "builds on", "littoral bundle have", "other collection was applied"] {
        assert!(refused.message().contains(word), "{word}: {refused}");
    }
    assert_eq!(b.store.collections(), ["plans"], "what does not build on it is there");
    b.store.check_rows().unwrap();
    apply(&b.store, &first).unwrap();
    apply(&b.store, &second).unwrap();
    assert_same(&[&a, &b]);
}

#[test]
fn numbers_in_a_file_prove_nothing() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    let mut claim = have(&b.store);
    let origin = |replica: &Replica| Origin { node: replica.store.node_id(), incarnation: 0 };
    let head = Head { seq: u64::MAX, hash: ShortHash([1; 16]) };
    // Of somebody else: it is left out, and that is all.
    let lie = [(origin(&b), head)].into_iter().collect();
    claim.vectors.insert(NOTES.to_owned(), lie);
    let file = bundle(&a.store, Some(claim.clone()));
    assert_eq!(apply(&b.store, &file).unwrap().transactions(), 1);
    let held = common::vector(&b.store, NOTES);
    assert_eq!(held.seq(&origin(&b)), 0, "nothing is held because a file says so");
    // Of this node, beyond what ever left: that may be the trace of a life that was rolled back.
    let before = common::vector(&a.store, NOTES);
    claim.vectors.insert(NOTES.to_owned(), [(origin(&a), head)].into_iter().collect());
    let options = BundleOptions { since: Some(claim), ..BundleOptions::default() };
    let refused = try_bundle(&a.store, &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forked, "{refused}");
    a.notes().set("n", "x", 2i64).unwrap();
    assert_eq!(common::vector(&a.store, NOTES).len(), before.len(), "and no more than that");
}

#[test]
fn a_log_that_does_not_reach_back_is_refused_with_the_remedy_or_a_snapshot_is_sent() {
    let (a, b) = (Replica::small(0, SMALL), Replica::new(1));
    a.notes().set("n0", "x", 1i64).unwrap();
    let old = have(&a.store);
    outgrow(&a);
    for since in [None, Some(old), Some(have(&b.store))] {
        let options = BundleOptions { since, snapshots: false, ..BundleOptions::default() };
        let refused = try_bundle(&a.store, &options).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert!(refused.message().contains("snapshot"), "{refused}");
    }
    // Who holds the rest can be given transactions.
    let mut recent = have(&b.store);
    recent.vectors.insert(NOTES.to_owned(), common::vector(&a.store, NOTES));
    bundle(&a.store, None);
    a.notes().set("n1", "x", 1i64).unwrap();
    let options =
        BundleOptions { since: Some(recent), snapshots: false, ..BundleOptions::default() };
    let file = try_bundle(&a.store, &options).unwrap();
    let contents = BundleContents::read(&file[..]).unwrap();
    assert_eq!(contents.collections[0].transactions, 1);
    assert_eq!(apply(&b.store, &file).unwrap_err().kind(), ErrorKind::MissingDependency);
    let file = bundle(&a.store, Some(have(&b.store)));
    assert!(BundleContents::read(&file[..]).unwrap().collections[0].snapshot);
    b.store.trust(a.store.node_id()).unwrap();
    apply(&b.store, &file).unwrap();
    assert_same(&[&a, &b]);
}

// ---- rules 9 and 10

/// Takes what is written, and asks with each write whether all own transactions in it would still
/// be known as handed out if power failed now.
struct Watched<'a> {
    of: &'a Replica,
    file: Vec<u8>,
    seen: Cell<u64>,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.extend_from_slice(bytes);
        let newest = transactions(&self.file);
        if newest > self.seen.replace(newest) {
            let after = self.of.after_power_cut(None);
            assert!(exported(&after.store) >= newest, "{newest} left before they were marked");
            let node = self.of.store.node_id();
            let held = common::vector(&after.store, NOTES);
            assert!(held.seq(&Origin { node, incarnation: 0 }) >= newest, "and were not durable");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How many transactions, or how many of the view, the frames hold that have begun.
fn transactions(file: &[u8]) -> u64 {
    use littoral::txn::bundle::{FRAME_HEAD_BYTES, read_frame_head};
    let (mut at, mut count) = (HEADER_BYTES, 0);
    while let Some(head) = file.get(at..at + FRAME_HEAD_BYTES) {
        let (kind, length) = read_frame_head(head.try_into().unwrap()).unwrap();
        let end = at + FRAME_HEAD_BYTES + length;
        let Some(content) = file.get(at + FRAME_HEAD_BYTES..end) else { break };
        if let Ok(Part::Txns(txns)) = Part::decode(kind, content) {
            count += txns.len() as u64;
        }
        at = end + 16;
    }
    count
}

#[test]
fn nothing_is_in_a_file_before_it_is_durable_and_marked_as_handed_out() {
    let a = Replica::new(0);
    (0..40i64).for_each(|n| {
        let big = "x".repeat(100_000);
        a.store.write_deferred(|txn| txn.set(NOTES, &format!("n{n}"), "x", big)).unwrap();
    });
    assert_eq!(exported(&a.store), 0);
    let mut watched = Watched { of: &a, file: Vec::new(), seen: Cell::new(0) };
    a.store.write_bundle(&mut watched, &BundleOptions::default()).unwrap();
    assert_eq!(watched.seen.get(), 40);
    assert_eq!(exported(&a.after_power_cut(None).store), 40);
}

#[test]
fn a_vector_file_tells_only_what_may_have_left() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    bundle(&a.store, None);
    (0..30i64).for_each(|n| a.notes().set("n", "x", n + 2).unwrap());
    let own = Origin { node: a.store.node_id(), incarnation: 0 };
    assert_eq!(have(&a.store).vector(NOTES).seq(&own), exported(&a.store));
    pull(&a, &b);
}

/// What a replica would be if it had been copied now.
fn image(replica: &Replica) -> Replica {
    replica.store.flush().unwrap();
    replica.after_power_cut(None)
}

#[test]
fn a_restored_store_takes_a_new_name_when_a_bundle_brings_its_own_history_back() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n", "hits", 1).unwrap();
    apply(&b.store, &bundle(&a.store, None)).unwrap();
    let backup = image(&a);
    a.notes().set("n", "sent", true).unwrap();
    a.notes().increment("n", "hits", 10).unwrap();
    apply(&b.store, &bundle(&a.store, Some(have(&b.store)))).unwrap();
    drop(a);
    let a = backup;
    a.notes().increment("n", "hits", 100).unwrap();
    a.notes().set("n", "offline", true).unwrap();
    // The receiver's file shows that something is wrong; only what it holds can prove it.
    let options = BundleOptions { since: Some(have(&b.store)), ..BundleOptions::default() };
    let refused = try_bundle(&a.store, &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forked);
    assert!(refused.message().contains("bundle that the receiver makes"), "{refused}");
    apply(&a.store, &bundle(&b.store, Some(have(&a.store)))).unwrap();
    apply(&b.store, &bundle(&a.store, Some(have(&b.store)))).unwrap();
    assert_same(&[&a, &b]);
    assert_eq!(field(&b, "n", "hits"), Some(Field::Counter(111)), "nothing lost, nothing twice");
    assert_eq!(field(&b, "n", "offline"), Some(Field::from(true)));
    assert_eq!(field(&a, "n", "sent"), Some(Field::from(true)));
    assert_eq!(common::vector(&b.store, NOTES).len(), 3, "what both share, and two branches");
    assert_same(&[&a.after_power_cut(None), &b]);
}

#[test]
fn a_bundle_of_a_forked_history_brings_the_other_branch() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", "common").unwrap();
    let copy = image(&a);
    a.notes().set("n", "x", "a").unwrap();
    copy.notes().set("n", "x", "copy").unwrap();
    copy.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    apply(&b.store, &bundle(&a.store, None)).unwrap();
    apply(&c.store, &bundle(&copy.store, None)).unwrap();
    // For one that is known to hold the other side, and for anyone.
    for since in [Some(have(&b.store)), None] {
        let one = b.after_power_cut(None);
        apply(&one.store, &bundle(&c.store, since)).unwrap();
        assert_eq!(one.notes().conflicts().unwrap().len(), 1, "both are kept");
        let two = Replica::new(3);
        apply(&two.store, &bundle(&one.store, None)).unwrap();
        assert_same(&[&one, &two]);
        let three = c.after_power_cut(None);
        apply(&three.store, &bundle(&one.store, Some(have(&three.store)))).unwrap();
        assert_same(&[&one, &three]);
    }
}

// ---- for whom

#[test]
fn only_what_both_sides_want_is_in_it_and_only_what_is_wanted_is_applied() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    for name in ["diary", "notes", "plans", "tasks"] {
        a.store.collection(name).unwrap().set("d", "x", 1i64).unwrap();
    }
    let names = |file: &[u8]| -> Vec<String> {
        let contents = BundleContents::read(file).unwrap();
        contents.collections.into_iter().map(|one| one.name).collect()
    };
    b.store.want(Collections::only(["notes", "plans", "more"]).unwrap()).unwrap();
    assert_eq!(names(&bundle(&a.store, Some(have(&b.store)))), ["notes", "plans"]);
    // What comes all the same is not looked at.
    let everything = bundle(&a.store, None);
    let applied = apply(&b.store, &everything).unwrap();
    let wanted: Vec<bool> = applied.collections.iter().map(|one| one.wanted).collect();
    assert_eq!((applied.transactions(), wanted), (2, vec![false, true, true, false]));
    assert_eq!(b.store.collections(), ["notes", "plans"]);
    // By whom it is from, and for whom it is.
    b.store.want_of(a.store.node_id(), Collections::All).unwrap();
    let options = ApplyOptions { collections: only(&["tasks"]), ..ApplyOptions::default() };
    b.store.read_bundle(&mut &everything[..], &options).unwrap();
    assert_eq!(b.store.collections(), ["notes", "plans", "tasks"]);
    a.store.want_of(b.store.node_id(), Collections::only(["tasks"]).unwrap()).unwrap();
    b.store.want(Collections::All).unwrap();
    assert_eq!(names(&bundle(&a.store, Some(have(&b.store)))), ["tasks"]);
    a.store.want(Collections::only(["plans"]).unwrap()).unwrap();
    assert_eq!(names(&bundle(&a.store, None)), ["plans"]);
    let options = BundleOptions { collections: only(&["tsaks"]), ..BundleOptions::default() };
    let refused = try_bundle(&a.store, &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnknownCollection);
}

#[test]
fn another_network_is_refused_on_both_sides() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    let other = Options::new().key(common::key(1)).network("elsewhere");
    let other = other.open_on(Arc::new(MemDisk::new())).unwrap();
    let file = bundle(&a.store, None);
    let refused = apply(&other, &file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.message().contains("network"), "{refused}");
    let options = BundleOptions { since: Some(have(&other)), ..BundleOptions::default() };
    assert_eq!(try_bundle(&a.store, &options).unwrap_err().kind(), ErrorKind::Refused);
    // A header that says otherwise helps nobody: signatures are of a network.
    let (mut header, parts) = parts(&file);
    header.network = other.network();
    let refused = apply(&other, &assemble(&header, &parts)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction, "{refused}");
    assert_eq!(other.collections(), [""; 0]);
}

#[test]
fn a_file_that_is_no_bundle_is_told_apart_from_one_of_a_later_version() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    for file in [&b""[..], b"lit", b"{\"id\": \"n1\"}\n{\"id\": \"n2\"}\n"] {
        assert_eq!(apply(&a.store, file).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(Have::read(file).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let mut mine = Vec::new();
    a.store.have().unwrap().write(&mut mine).unwrap();
    let refused = apply(&a.store, &mine).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "a vector file is nothing to apply");
    assert!(BundleContents::read(&mine[..]).is_err());
    let mut later = bundle(&a.store, None);
    later[16] = 2;
    let refused = apply(&a.store, &later).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
    assert!(refused.message().contains("upgrade"), "{refused}");
}

#[test]
fn what_is_in_a_bundle_is_told_without_a_store() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    b.notes().set("n", "y", 1i64).unwrap();
    pull(&a, &b);
    for n in 0..3i64 {
        a.wall.set(common::NOON + 1000 * n as u64);
        a.notes().set("n", "x", n).unwrap();
    }
    let have_b = have(&b.store);
    let contents = BundleContents::read(&bundle(&a.store, Some(have_b))[..]).unwrap();
    assert_eq!((contents.maker, contents.network), (a.store.node_id(), a.store.network()));
    assert_eq!(contents.made_ms, common::NOON + 2000);
    let [notes] = &contents.collections[..] else { panic!("one collection") };
    assert_eq!((notes.name.as_str(), notes.snapshot), (NOTES, false));
    assert_eq!((notes.transactions, notes.documents), (3, 3), "b has its own");
    let (oldest, newest) = notes.times_ms.unwrap();
    assert_eq!((oldest, newest - oldest), (common::NOON, 2000));
    let of_a = Origin { node: a.store.node_id(), incarnation: 0 };
    assert_eq!((notes.authors[&of_a].first, notes.authors[&of_a].last), (1, 3));
    assert_eq!(notes.to, common::vector(&a.store, NOTES));
    assert_eq!(notes.news(&common::vector(&b.store, NOTES)), 3);
    assert_eq!(notes.news(&notes.to), 0);
    assert_eq!((notes.missing(&Vector::new()), notes.missing(&notes.base)), (1, 0));
}

#[test]
fn a_log_that_is_pruned_under_a_bundle_gives_no_gap() {
    let a = Replica::small(0, SMALL);
    (0..20i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
    // Far more than pins may hold, written while the first bytes leave.
    let writing = Cell::new(false);
    struct Busy<'a>(&'a Replica, &'a Cell<bool>, Vec<u8>);
    impl Write for Busy<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // The first part is written after the log was found to reach back.
            if self.2.len() == HEADER_BYTES && !self.1.replace(true) {
                (0..600i64).for_each(|n| self.0.notes().set("m", "x", n).unwrap());
            }
            self.2.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut busy = Busy(&a, &writing, Vec::new());
    let options = BundleOptions { snapshots: false, ..BundleOptions::default() };
    let refused = a.store.write_bundle(&mut busy, &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    assert!(writing.get() && refused.message().contains("make it again"), "{refused}");
    let torn = busy.2;
    assert_eq!(apply(&Replica::new(1).store, &torn).unwrap_err().kind(), ErrorKind::Corrupt);
}

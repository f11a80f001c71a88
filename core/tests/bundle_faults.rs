//! Bundles that are torn, damaged or forged, snapshots in them, and disks that fail under both.

mod common;

use std::io::Read;

use common::carry::{apply, assemble, bundle, have, parts};
use common::{NOTES, Replica, Rng, assert_same, each_seed, fields};
use littoral::id::{Origin, Vector};
use littoral::store::{ApplyOptions, BundleContents, Have};
use littoral::txn::bundle::{CHECK_BYTES, FRAME_HEAD_BYTES, HEADER_BYTES, Part, read_frame_head};
use littoral::{ErrorKind, Field, Store};

/// A replica with some documents, of which its log has the transactions.
fn author(seed: u8, documents: i64) -> Replica {
    let replica = Replica::new(seed);
    for n in 0..documents {
        let content = fields([("title", Field::from(format!("title {n}"))), ("n", Field::from(n))]);
        replica.store.write_deferred(|txn| txn.put(NOTES, &format!("n{n:05}"), &content)).unwrap();
    }
    replica
}

/// A replica with the same, whose log has none of it, so that its bundles hold snapshots.
fn behind_a_floor(seed: u8, of: &Replica) -> Replica {
    let holder = Replica::new(seed);
    common::join(&holder.store, &of.store, NOTES);
    holder
}

/// A replica that believes the snapshots of `of`.
fn trusting(seed: u8, of: &Replica) -> Replica {
    let replica = Replica::new(seed);
    replica.store.trust(of.store.node_id()).unwrap();
    replica
}

fn is_snapshot(file: &[u8]) -> bool {
    BundleContents::read(file).unwrap().collections.iter().all(|one| one.snapshot)
}

fn field(replica: &Replica, id: &str, name: &str) -> Option<Field> {
    replica.notes().get_field(id, name).unwrap()
}

/// What is held is a beginning of what `whole` holds, and nothing else.
fn assert_sound(replica: &Replica, whole: &Replica) {
    replica.store.check_rows().unwrap();
    let (ours, theirs) =
        (common::vector(&replica.store, NOTES), common::vector(&whole.store, NOTES));
    assert!(theirs.covers_all(&ours));
    if ours == theirs {
        assert_eq!(replica.store.held(NOTES), whole.store.held(NOTES));
    }
}

// ---- damage

/// Bundles of a few transactions of two authors, and of the same as a snapshot.
fn two_kinds() -> (Replica, [Vec<u8>; 2]) {
    let (a, b) = (author(0, 2), author(1, 1));
    common::pull(&a, &b);
    a.notes().set("n00000", "title", "other").unwrap();
    let holder = behind_a_floor(2, &a);
    let files = [bundle(&a.store, None), bundle(&holder.store, None)];
    assert!(!is_snapshot(&files[0]) && is_snapshot(&files[1]));
    (a, files)
}

fn receiver() -> Replica {
    let receiver = Replica::new(9);
    receiver.store.trust(common::key(2).id()).unwrap();
    receiver
}

#[test]
fn a_bundle_that_was_cut_anywhere_applies_what_is_whole_and_the_rest_later() {
    let (a, files) = two_kinds();
    for file in &files {
        let mut b = receiver();
        for len in 0..file.len() {
            if !b.store.collections().is_empty() {
                b = receiver();
            }
            let refused = apply(&b.store, &file[..len]).unwrap_err();
            let expected = [ErrorKind::Corrupt, ErrorKind::InvalidInput];
            assert!(expected.contains(&refused.kind()), "{len}: {refused}");
            assert!(
                BundleContents::read(&file[..len]).is_err() && Have::read(&file[..len]).is_err()
            );
            assert_sound(&b, &a);
            assert!(!b.store.is_staged(NOTES), "nothing stays behind");
            if len % 16 == 0 {
                apply(&b.store, file).unwrap();
                assert_same(&[&a, &b]);
            }
        }
    }
}

#[test]
fn a_bundle_with_any_byte_changed_is_noticed_and_nothing_of_it_is_unsound() {
    let (a, files) = two_kinds();
    for file in &files {
        let mut b = receiver();
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= 1 << (at % 8);
            if !b.store.collections().is_empty() {
                b = receiver();
            }
            let refused = apply(&b.store, &other).unwrap_err();
            let expected = [ErrorKind::Corrupt, ErrorKind::InvalidInput, ErrorKind::FormatTooNew];
            assert!(expected.contains(&refused.kind()), "{at}: {refused}");
            assert!(BundleContents::read(&other[..]).is_err());
            assert_sound(&b, &a);
            assert!(!b.store.is_staged(NOTES));
            if at % 16 == 0 {
                apply(&b.store, file).unwrap();
                assert_same(&[&a, &b]);
            }
        }
    }
}

/// The same transactions, each in a frame of its own.
fn one_by_one(file: &[u8]) -> Vec<u8> {
    let (header, good) = parts(file);
    let Part::Txns(txns) = good[1].clone() else { panic!("transactions") };
    let mut cut = vec![good[0].clone()];
    cut.extend(txns.into_iter().map(|txn| Part::Txns(vec![txn])));
    cut.extend_from_slice(&good[2..]);
    assemble(&header, &cut)
}

/// The bytes of the header, and of each frame.
fn frames(file: &[u8]) -> Vec<&[u8]> {
    let (header, mut rest) = file.split_at(HEADER_BYTES);
    let mut frames = vec![header];
    while let Some(head) = rest.first_chunk() {
        let (_, length) = read_frame_head(head).unwrap();
        let (frame, later) = rest.split_at(FRAME_HEAD_BYTES + length + CHECK_BYTES);
        frames.push(frame);
        rest = later;
    }
    frames
}

#[test]
fn frames_that_are_moved_repeated_or_missing_are_noticed() {
    let a = author(0, 5);
    let file = one_by_one(&bundle(&a.store, None));
    let frames = frames(&file);
    assert_eq!(frames.concat(), file);
    let mut wrong = Vec::new();
    for at in 1..frames.len() {
        let mut missing = frames.clone();
        missing.remove(at);
        let mut twice = frames.clone();
        twice.insert(at, frames[at]);
        wrong.extend([missing, twice]);
        if at + 1 < frames.len() {
            let mut moved = frames.clone();
            moved.swap(at, at + 1);
            wrong.push(moved);
        }
    }
    wrong.push([&frames[..], &[b"x"]].concat());
    for frames in wrong {
        let b = Replica::new(1);
        let refused = apply(&b.store, &frames.concat()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        assert_sound(&b, &a);
    }
    // Frames of another file, the same to the byte, are not those of this one.
    a.wall.set(common::NOON + 1);
    let other = one_by_one(&bundle(&a.store, None));
    let mixed = [&other[..HEADER_BYTES], &file[HEADER_BYTES..]].concat();
    let refused = apply(&Replica::new(2).store, &mixed).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
}

#[test]
fn a_bundle_put_together_wrongly_is_refused() {
    let (a, files) = two_kinds();
    for file in &files {
        let (header, good) = parts(file);
        assert_eq!(assemble(&header, &good), *file);
        let (txns, last) = (good[1].clone(), good.len() - 1);
        let with = |at: usize, part: Part| {
            let mut parts = good.clone();
            parts[at] = part;
            parts
        };
        let without = |at: usize| {
            let mut parts = good.clone();
            parts.remove(at);
            parts
        };
        let mut bad = vec![
            with(last, Part::End { collections: 2 }),
            with(last, Part::Wanted(None)),
            with(0, txns.clone()),
            with(0, Part::Held { collection: NOTES.to_owned(), vector: Vector::new() }),
            without(0),
            without(last),
            without(last - 1),
            [&good[..last], &good[..last], &good[last..]].concat(),
        ];
        if let Part::Documents(documents) = &good[1] {
            let mut twice = documents.clone();
            twice.insert(0, documents[0].clone());
            bad.push(with(1, Part::Documents(twice)));
            bad.push([&good[..2], &good[1..]].concat());
        }
        for parts in bad {
            let b = receiver();
            let refused = apply(&b.store, &assemble(&header, &parts)).unwrap_err();
            let expected = [ErrorKind::Corrupt, ErrorKind::InvalidTransaction];
            assert!(expected.contains(&refused.kind()), "{refused}");
            assert_sound(&b, &a);
            assert!(!b.store.is_staged(NOTES));
        }
    }
}

#[test]
fn a_transaction_that_its_author_did_not_sign_stops_its_collection() {
    let (a, files) = two_kinds();
    let (header, good) = parts(&files[0]);
    let Part::Txns(txns) = &good[1] else { panic!("transactions") };
    for at in 0..txns[1].len() {
        let (b, mut parts, mut forged) = (receiver(), good.clone(), txns.clone());
        forged[1][at] ^= 0x10;
        parts[1] = Part::Txns(forged);
        let file = assemble(&header, &parts);
        let refused = apply(&b.store, &file).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction, "{at}: {refused}");
        assert!(BundleContents::read(&file[..]).is_err(), "inspecting checks signatures, too");
        assert_sound(&b, &a);
    }
}

// ---- snapshots

#[test]
fn a_snapshot_joins_exactly_and_edits_of_both_sides_survive() {
    let (a, b) = (author(0, 300), Replica::new(1));
    apply(&b.store, &bundle(&a.store, None)).unwrap();
    a.notes().delete("n00001").unwrap();
    a.notes().set("n00002", "title", "a").unwrap();
    a.notes().increment("n00003", "hits", 5).unwrap();
    b.notes().set("n00002", "title", "b").unwrap();
    b.notes().delete("n00005").unwrap();
    b.notes().increment("n00003", "hits", 2).unwrap();
    for n in 0..50 {
        b.notes().set(&format!("mine{n}"), "x", 1i64).unwrap();
    }
    let holder = behind_a_floor(2, &a);
    b.store.trust(holder.store.node_id()).unwrap();
    let file = bundle(&holder.store, Some(have(&b.store)));
    assert!(is_snapshot(&file));
    let applied = apply(&b.store, &file).unwrap();
    assert_eq!((applied.transactions(), applied.collections[0].snapshot), (3, true));
    assert!(!b.store.is_staged(NOTES));
    b.store.check_rows().unwrap();
    assert_eq!(field(&b, "n00003", "hits"), Some(Field::Counter(7)));
    assert!(field(&b, "n00001", "n").is_none() && field(&b, "n00005", "n").is_none());
    assert_eq!(b.notes().conflicts().unwrap().len(), 1, "both titles of n00002 are kept");
    assert_eq!(b.notes().len(), 348);
    // The way back, and it is as if they had met.
    apply(&a.store, &bundle(&b.store, Some(have(&a.store)))).unwrap();
    assert_same(&[&a, &b]);
    assert_eq!(apply(&b.store, &file).unwrap().transactions(), 0, "once more brings nothing");
    assert_same(&[&b.after_power_cut(None), &a]);
}

#[test]
fn a_snapshot_is_believed_only_of_a_node_that_is_trusted_or_named() {
    let a = author(0, 3);
    let (holder, b) = (behind_a_floor(2, &a), Replica::new(1));
    holder.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    let file = bundle(&holder.store, None);
    let refused = apply(&b.store, &file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let key = holder.store.node_id();
    assert!(refused.message().contains(&key.to_string()), "{refused}");
    assert_eq!(b.store.collections(), ["plans"], "its transactions prove themselves");
    // Somebody else's signature is none.
    let (mut header, parts) = parts(&file);
    header.maker = common::key(7).id();
    b.store.trust(header.maker).unwrap();
    let refused = apply(&b.store, &assemble(&header, &parts)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction, "{refused}");
    let options = ApplyOptions { from: Some(key), ..ApplyOptions::default() };
    assert_eq!(b.store.read_bundle(&mut &file[..], &options).unwrap().transactions(), 3);
    assert_same(&[&a, &b]);
    assert_eq!(
        apply(&b.store, &file).unwrap().transactions(),
        0,
        "what brings nothing needs no trust"
    );
    // A store believes itself.
    let again = Replica::new(2);
    apply(&again.store, &file).unwrap();
    assert_same(&[&a, &again]);
}

type Edit = fn(&mut Vec<(String, Vec<u8>)>);

#[test]
fn a_snapshot_whose_documents_are_not_what_its_head_says_changes_nothing() {
    let a = author(0, 20);
    let holder = behind_a_floor(2, &a);
    let (header, good) = parts(&bundle(&holder.store, None));
    let Part::Documents(documents) = &good[1] else { panic!("documents") };
    let edits: [Edit; 4] = [
        |documents| drop(documents.remove(7)),
        |documents| drop(documents.pop()),
        |documents| documents[3].1 = documents[4].1.clone(),
        |documents| documents[3].0 = "n00003x".to_owned(),
    ];
    for edit in edits {
        let (mut forged, mut documents) = (good.clone(), documents.clone());
        edit(&mut documents);
        forged[1] = Part::Documents(documents);
        let b = trusting(1, &holder);
        b.notes().set("mine", "x", 1i64).unwrap();
        let before = b.store.held(NOTES);
        let refused = apply(&b.store, &assemble(&header, &forged)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction, "{refused}");
        assert_eq!(b.store.held(NOTES), before);
        assert!(!b.store.is_staged(NOTES));
        b.store.check_rows().unwrap();
    }
}

/// Reads a file in small pieces, and does something before each.
struct Slow<'a, F> {
    rest: &'a [u8],
    before: F,
}

impl<F: FnMut()> Read for Slow<'_, F> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        (self.before)();
        let len = out.len().min(self.rest.len()).min(1000);
        let (head, rest) = self.rest.split_at(len);
        out[..len].copy_from_slice(head);
        self.rest = rest;
        Ok(len)
    }
}

#[test]
fn local_writes_and_other_bundles_go_on_while_a_snapshot_is_staged() {
    let (a, c) = (author(0, 900), Replica::new(3));
    let holder = behind_a_floor(2, &a);
    let b = trusting(1, &holder);
    apply(&b.store, &bundle(&holder.store, None)).unwrap();
    apply(&c.store, &bundle(&a.store, None)).unwrap();
    a.notes().set("n00007", "title", "a").unwrap();
    let file = bundle(&behind_a_floor(2, &a).store, None);
    assert!(is_snapshot(&file));
    let mut step = 0;
    let mut slow = Slow {
        rest: &file,
        before: || {
            step += 1;
            if step % 5 == 0 {
                b.notes().increment(&format!("n{:05}", step % 900), "hits", 1).unwrap();
                c.notes().set(&format!("n{:05}", step % 700), "title", "c").unwrap();
                apply(&b.store, &bundle(&c.store, Some(have(&b.store)))).unwrap();
            }
        },
    };
    let options = ApplyOptions::default();
    b.store.read_bundle(&mut slow, &options).unwrap();
    assert!(step > 50);
    for (from, to) in [(&b, &a), (&a, &b), (&b, &c)] {
        to.store.trust(from.store.node_id()).unwrap();
        apply(&to.store, &bundle(&from.store, Some(have(&to.store)))).unwrap();
    }
    assert_same(&[&a, &b, &c]);
}

#[test]
fn a_link_that_stages_is_not_disturbed() {
    let a = author(0, 3);
    let holder = behind_a_floor(2, &a);
    let b = trusting(1, &holder);
    let file = bundle(&holder.store, None);
    let lease = b.store.staging_lease(NOTES).unwrap();
    let refused = apply(&b.store, &file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked, "{refused}");
    drop(lease);
    // What a cut link has staged is gone on with, and kept if that fails.
    b.store.stage(NOTES).unwrap();
    apply(&b.store, &file[..file.len() - 1]).unwrap_err();
    assert!(!b.store.is_staged(NOTES), "it was joined: only the end of the file is missing");
    let (c, half) = (trusting(4, &holder), file.len() / 2);
    c.store.stage(NOTES).unwrap();
    apply(&c.store, &file[..half]).unwrap_err();
    assert!(c.store.is_staged(NOTES));
    apply(&c.store, &file).unwrap();
    assert!(!c.store.is_staged(NOTES));
    assert_same(&[&a, &b, &c]);
}

// ---- restored stores, and snapshots

#[test]
fn a_restored_store_that_joins_a_snapshot_goes_on_under_another_name() {
    let (a, b) = (author(0, 5), Replica::new(1));
    apply(&b.store, &bundle(&a.store, None)).unwrap();
    a.store.flush().unwrap();
    let backup = a.after_power_cut(None);
    a.notes().set("n00001", "sent", true).unwrap();
    apply(&b.store, &bundle(&a.store, Some(have(&b.store)))).unwrap();
    drop(a);
    let holder = behind_a_floor(2, &b);
    backup.store.trust(holder.store.node_id()).unwrap();
    let file = bundle(&holder.store, Some(have(&backup.store)));
    assert!(is_snapshot(&file));
    apply(&backup.store, &file).unwrap();
    assert_eq!(field(&backup, "n00001", "sent"), Some(Field::from(true)));
    backup.notes().set("n00001", "after", true).unwrap();
    apply(&b.store, &bundle(&backup.store, Some(have(&b.store)))).unwrap();
    assert_same(&[&backup, &b]);
    let names = common::vector(&b.store, NOTES);
    let of_a = |origin: &Origin| origin.node == backup.store.node_id();
    assert_eq!(names.iter().filter(|(origin, _)| of_a(origin)).count(), 2);
}

// ---- crashes

/// Applies a bundle on a disk that fails after so many calls, and then, after a power cut, once
/// more. Whether the first attempt came to its end.
fn crash(a: &Replica, files: &[&[u8]], calls: u64, prepare: impl Fn() -> Replica) -> bool {
    let b = prepare();
    b.disk.fail_after(calls);
    let whole = files.iter().try_for_each(|file| apply(&b.store, file).map(drop));
    if let Err(err) = &whole {
        let expected = [ErrorKind::Io, ErrorKind::Poisoned, ErrorKind::DiskFull];
        assert!(expected.contains(&err.kind()), "{calls}: {err}");
    }
    for fate in [None, Some(calls), Some(calls + 7000)] {
        b.disk.fail_no_more();
        let again = b.after_power_cut(fate);
        again.store.check_rows().unwrap();
        if whole.is_ok() {
            assert_sound(&again, a);
            assert_eq!(common::vector(&again.store, NOTES), common::vector(&a.store, NOTES));
        }
        assert!(common::vector(&a.store, NOTES).covers_all(&common::vector(&again.store, NOTES)));
        for file in files {
            apply(&again.store, file).unwrap();
        }
        assert_same(&[a, &again]);
        assert!(!again.store.is_staged(NOTES));
    }
    whole.is_ok()
}

#[test]
fn a_crash_at_any_call_while_a_bundle_is_applied_loses_nothing_and_it_goes_on() {
    let a = author(0, 6);
    let file = one_by_one(&bundle(&a.store, None));
    let calls = (0..).find(|calls| crash(&a, &[&file], *calls, || Replica::new(1))).unwrap();
    assert!(calls > 10, "it makes {calls} calls");
}

#[test]
fn a_crash_at_any_call_while_a_snapshot_is_applied_loses_nothing_and_it_goes_on() {
    let a = author(0, 40);
    let first = bundle(&a.store, None);
    (0..20i64).for_each(|n| a.notes().set(&format!("n{n:05}"), "title", "new").unwrap());
    a.notes().delete("n00030").unwrap();
    let holder = behind_a_floor(2, &a);
    let (header, good) = parts(&bundle(&holder.store, None));
    let Part::Documents(documents) = good[1].clone() else { panic!("documents") };
    let mut cut = vec![good[0].clone()];
    cut.extend(documents.chunks(5).map(|some| Part::Documents(some.to_vec())));
    cut.extend_from_slice(&good[2..]);
    let file = assemble(&header, &cut);
    let prepare = || {
        let b = trusting(1, &holder);
        apply(&b.store, &first).unwrap();
        b
    };
    let calls = (0..).find(|calls| crash(&a, &[&file], *calls, prepare)).unwrap();
    assert!(calls > 5, "it makes {calls} calls");
}

#[test]
fn power_that_fails_at_random_while_bundles_come_and_go_loses_nothing() {
    each_seed("bundle crashes", 6, |seed| {
        let mut rng = Rng::new(seed);
        let (mut a, mut b) = (author(0, 3), Replica::new(1));
        for step in 0..12i64 {
            a.notes().increment("n", "hits", 1).unwrap();
            b.notes().increment("n", "hits", 100).unwrap();
            a.notes().set("n", "x", step).unwrap();
            let (from, to) = if rng.chance(50) { (&a, &b) } else { (&b, &a) };
            let file = bundle(&from.store, Some(have(&to.store)));
            apply(&to.store, &file).unwrap();
            let fate = rng.chance(70).then(|| rng.next());
            match rng.below(4) {
                0 => a = a.after_power_cut(fate),
                1 => b = b.after_power_cut(fate),
                _ => {}
            }
        }
        meet(&a.store, &b.store);
        assert_same(&[&a, &b]);
        assert_eq!(field(&a, "n", "hits"), Some(Field::Counter(1212)));
    });
}

fn meet(a: &Store, b: &Store) {
    for (from, to) in [(a, b), (b, a)] {
        apply(to, &bundle(from, None)).unwrap();
    }
}

//! Rules 10 and 11 of the replication algebra: one key, two writers. What is told apart, which
//! names end, and what can't be traced. What becomes of both branches is in `branches.rs`.

mod common;

use common::history::by_hashes;
use common::link::{Link, sync};
use common::oracle::Reading;
use common::{NOTES, Replica, Rng, Small, assert_same, each_seed, join, pull, stream};
use littoral::id::{Dot, Hash, Origin, Vector};
use littoral::store::LogBudget;
use littoral::sync::door::Offence;
use littoral::txn::{Dep, Scope, Signed, Txn};
use littoral::{ErrorKind, Field, Options};

/// What a replica would be if it had been copied now, or copied back later.
fn image(replica: &Replica) -> Replica {
    replica.store.flush().unwrap();
    replica.after_power_cut(None)
}

fn field(replica: &Replica, id: &str, name: &str) -> Option<Field> {
    replica.notes().get_field(id, name).unwrap()
}

fn all(replica: &Replica) -> Vec<Vec<u8>> {
    stream(&replica.store, NOTES, &Vector::new()).into_iter().map(|(_, bytes)| bytes).collect()
}

// ---- what is held under a dot

#[test]
fn another_transaction_under_a_held_dot_is_a_fork_and_no_duplicate() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    (0..20).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
    let copy = image(&a);
    (20..40).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
    (20..50).for_each(|n| copy.notes().set("n", "y", i64::from(n)).unwrap());
    pull(&b, &a);
    // All of it again is nothing new, however far back.
    assert_eq!(b.store.apply_remote(NOTES, all(&a)).unwrap().duplicates, 40);
    let (of_a, of_copy) = (all(&a), all(&copy));
    for (at, bytes) in of_copy.iter().enumerate().skip(21) {
        let refused = b.store.apply_remote(NOTES, vec![bytes.clone()]).unwrap_err();
        let expected = match at {
            ..41 => ErrorKind::Forked,
            _ => ErrorKind::MissingDependency,
        };
        assert_eq!(refused.kind(), expected, "{at}: {refused}");
    }
    // Also after the log was read again, and in one batch with what is new.
    let again = b.after_power_cut(None);
    assert_eq!(again.store.apply_remote(NOTES, all(&a)).unwrap().duplicates, 40);
    let fresh = Replica::new(2);
    let mixed = [&of_a[..], &of_copy[30..31]].concat();
    assert_eq!(fresh.store.apply_remote(NOTES, mixed).unwrap_err().kind(), ErrorKind::Forked);
    assert_same(&[&a, &b, &again, &fresh]);
    // From where the two part on, it is another branch.
    for replica in [&b, &again, &fresh] {
        let done = replica.store.apply_remote(NOTES, of_copy.clone()).unwrap();
        assert_eq!((done.new, done.duplicates), (30, 20));
        let all = [&of_a[..], &of_copy[..]].concat();
        assert_eq!(replica.store.apply_remote(NOTES, all).unwrap().duplicates, 90);
    }
    assert_same(&[&b, &again, &fresh, &b.after_power_cut(None)]);
}

#[test]
fn what_builds_on_the_other_branch_is_a_fork_also_when_that_lies_far_back() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", "common").unwrap();
    let copy = image(&a);
    (0..30).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
    copy.notes().set("n", "x", "other").unwrap();
    pull(&b, &a);
    pull(&c, &copy);
    assert!(c.notes().delete("n").unwrap());
    // It names A:2, of which B holds another: taken for its own, it would kill what C never saw.
    let of_c = all(&c).pop().unwrap();
    assert_eq!(b.store.apply_remote(NOTES, vec![of_c]).unwrap_err().kind(), ErrorKind::Forked);
    assert_eq!(field(&b, "n", "x"), Some(Field::from(29i64)));
    b.store.check_rows().unwrap();
}

// ---- an offence of one collection

/// A link between stores of which one holds what the other can't take, in the notes alone.
fn one_collection_halts(a: &Replica, b: &Replica, offence: Offence) {
    a.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    b.store.collection("tasks").unwrap().set("t", "x", 1i64).unwrap();
    for round in 0i64..3 {
        let mut link = Link::new(&a.store, &b.store);
        link.settle();
        a.store.collection("plans").unwrap().set("p", "round", round).unwrap();
        link.settle();
        assert_eq!(link.closed(), None);
        assert_eq!(link.halted(0), [(NOTES.to_owned(), offence)]);
        assert_eq!(link.halted(1), [(NOTES.to_owned(), offence)]);
        let round = Some(Field::from(round));
        let plans = b.store.collection("plans").unwrap();
        assert_eq!(plans.get_field("p", "round").unwrap(), round, "the others go on, each time");
        assert_eq!(a.store.collection("tasks").unwrap().len(), 1);
    }
}

#[test]
fn a_fork_that_can_not_be_traced_halts_its_collection_and_the_link_goes_on() {
    let budget = LogBudget { bytes: 1 << 10, ..LogBudget::default() };
    let small = Small { segment_bytes: 4 << 10, budget };
    let a = Replica::new(0);
    a.notes().set("n", "x", "common").unwrap();
    let copy = image(&a);
    let [b, c] = [1, 2].map(|seed| Replica::small(seed, small));
    for (machine, witness, name) in [(&a, &b, "x"), (&copy, &c, "y")] {
        for n in 0..100i64 {
            machine.notes().set("n", name, n).unwrap();
            pull(witness, machine);
        }
        witness.store.prune().unwrap();
    }
    one_collection_halts(&b, &c, Offence::Forked);
    assert_eq!(field(&b, "n", "y"), None);
    assert_eq!(field(&c, "n", "y"), Some(Field::from(99i64)));
}

/// A transaction that says `bytes`, with a good signature, and the store that holds it.
fn signed_bytes(by: &Replica, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let origin = Origin { node: by.store.node_id(), incarnation: 0 };
    let time = littoral::clock::Timestamp::from_millis(1);
    let (dot, prev) = (Dot { origin, seq: 1 }, Hash::default());
    let scope = Scope { network: by.store.network(), collection: NOTES };
    let txn = Txn { dot, prev, time, deps: Vec::<Dep>::new(), docs: Vec::new() };
    let signed = Signed::sign(txn, scope, &by.key()).unwrap();
    let mut body = signed.bytes[..signed.bytes.len() - 64].to_vec();
    change(&mut body);
    common::sign_bytes(&body, by.key().seed())
}

#[test]
fn s13_what_this_version_does_not_know_stops_its_collection_and_is_never_kept() {
    let (author, b) = (Replica::new(0), Replica::new(1));
    // The same bytes of a version to come, and an operation of one: kind 9.
    let newer = signed_bytes(&author, |body| body[0] = 2);
    let operation = signed_bytes(&author, |body| {
        let count = body.pop();
        assert_eq!(count, Some(0), "no documents");
        body.extend([1, 1, b'n', 1, 9, 0]);
    });
    for bytes in [newer, operation] {
        let refused = b.store.apply_remote(NOTES, vec![bytes.clone()]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
        assert!(refused.message().contains("upgrade"), "{refused}");
        // What nobody signed is damage.
        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        let refused = b.store.apply_remote(NOTES, vec![forged]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    }
    assert_eq!(b.store.collections(), [""; 0]);
}

// ---- one's own history comes back

fn meet(replicas: &[&Replica]) {
    for _ in 0..2 {
        for (at, a) in replicas.iter().enumerate() {
            for b in &replicas[at + 1..] {
                if a.store.node_id() != b.store.node_id() {
                    assert_eq!(sync(&a.store, &b.store), [vec![], vec![]], "nothing halts");
                }
            }
        }
    }
}

fn count(replica: &Replica) -> i64 {
    field(replica, "n", "hits").map_or(0, |field| field.as_counter().unwrap())
}

/// Of each name of a replica's node, what a store holds.
fn names(of: &Replica, at: &Replica) -> Vec<(Origin, u64)> {
    let own = |(origin, head): (&Origin, &littoral::id::Head)| {
        (origin.node == of.store.node_id()).then_some((*origin, head.seq))
    };
    common::vector(&at.store, NOTES).iter().filter_map(own).collect()
}

/// Every transaction that a store would send is one that its vector names, and none is there twice.
fn assert_sends_what_it_holds(replica: &Replica) {
    let sent = stream(&replica.store, NOTES, &Vector::new());
    let vector = common::vector(&replica.store, NOTES);
    let total: u64 = vector.iter().map(|(_, head)| head.seq).sum();
    assert_eq!(sent.len() as u64, total);
    for (dot, bytes) in sent {
        assert!(vector.covers(&dot));
        let signed = common::decode(&bytes).dot;
        match dot.origin.is_branch() {
            true => assert_eq!(signed.origin.node, dot.origin.node),
            false => assert_eq!(signed, dot),
        }
    }
}

#[test]
fn s11_what_a_restored_store_wrote_apart_is_kept_and_nothing_is_there_twice() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    a.notes().increment("n", "hits", 10).unwrap();
    meet(&[&a, &b]);
    let backup = image(&a);
    // Sent, and not in the backup.
    a.notes().set("n", "sent", "once").unwrap();
    a.notes().increment("n", "hits", 5).unwrap();
    meet(&[&a, &b]);
    drop(a);
    // Restored, and used before anybody is met.
    let a = backup;
    a.notes().set("n", "x", 2i64).unwrap();
    a.notes().increment("n", "hits", 100).unwrap();
    a.notes().increment("n", "hits", 200).unwrap();
    a.notes().set("n", "offline", true).unwrap();
    let (first, _) = names(&a, &a)[0];
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    assert_eq!(count(&a), 315);
    assert_eq!(field(&b, "n", "sent"), Some(Field::from("once")));
    assert_eq!(field(&b, "n", "x"), Some(Field::from(2i64)));
    assert_eq!(field(&b, "n", "offline"), Some(Field::from(true)));
    assert_eq!(b.notes().conflicts().unwrap(), []);
    let held = names(&a, &b);
    assert_eq!(held.len(), 3, "{held:?}");
    assert!(held.contains(&(first, 2)), "what both share: {held:?}");
    for count in [2, 4] {
        let branch = |(origin, seq): &(Origin, u64)| origin.is_branch() && *seq == count;
        assert!(held.iter().any(branch), "{held:?}");
    }
    assert_sends_what_it_holds(&a);
    // It goes on under the new name, also after a crash.
    let a = a.after_power_cut(None);
    assert_same(&[&a, &b]);
    a.notes().increment("n", "hits", 1000).unwrap();
    meet(&[&a, &b]);
    assert_eq!(count(&b), 1315);
    assert_eq!(names(&a, &b).len(), 4);
    let c = Replica::new(2);
    meet(&[&a, &c]);
    assert_same(&[&a, &b, &c]);
    assert_sends_what_it_holds(&a.after_power_cut(None));
}

#[test]
fn a_restored_store_serves_no_snapshot_before_it_has_heard_what_it_has_sent() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", 1i64).unwrap();
    meet(&[&a, &b]);
    let backup = image(&a);
    a.notes().set("n", "sent", "once").unwrap();
    meet(&[&a, &b]);
    drop(a);
    // Restored; what it has of C it can only give as a snapshot, with what it writes now in it.
    let a = backup;
    (0..5i64).for_each(|n| c.notes().set("m", "x", n).unwrap());
    common::join(&a.store, &c.store, NOTES);
    a.notes().set("n", "kept", "alone").unwrap();
    a.notes().increment("n", "hits", 7).unwrap();
    for (left, right) in [(&a, &b), (&b, &a)] {
        let mut link = Link::new(&left.store, &right.store);
        link.settle();
        assert_eq!([link.halted(0), link.halted(1)], [vec![], vec![]]);
        assert_eq!(link.closed(), None);
    }
    assert_same(&[&a, &b]);
    assert_eq!(field(&a, "n", "sent"), Some(Field::from("once")));
    assert_eq!(field(&b, "n", "kept"), Some(Field::from("alone")));
    assert_eq!(count(&b), 7);
    assert_eq!(names(&a, &b).len(), 3, "what both share, and each one's branch");
}

#[test]
fn a_backup_restored_twice_never_uses_a_name_again() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n", "hits", 1).unwrap();
    meet(&[&a, &b]);
    let backup = image(&a);
    a.notes().increment("n", "hits", 2).unwrap();
    meet(&[&a, &b]);
    for (round, by) in [10, 100, 1000].into_iter().enumerate() {
        let a = image(&backup);
        a.notes().increment("n", "hits", by).unwrap();
        meet(&[&a, &b]);
        assert_same(&[&a, &b]);
        a.notes().increment("n", "hits", by * 2).unwrap();
        meet(&[&a, &b]);
        assert_same(&[&a, &b]);
        assert_eq!(names(&a, &b).len(), 4 + 2 * round);
    }
    assert_eq!(count(&b), 3 + 3330);
}

/// It was restored to before the collection began, so it holds nothing that the snapshot could
/// stand against.
#[test]
fn a_store_that_was_restored_empty_and_joins_its_own_history_goes_on_under_another_name() {
    let (a, witness) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    a.notes().set("n", "x", 2i64).unwrap();
    pull(&witness, &a);
    // The last of it went to somebody else.
    a.notes().set("n", "x", 3i64).unwrap();
    let restored = Replica::new(0);
    join(&restored.store, &witness.store, NOTES);
    restored.notes().set("n", "y", 1i64).unwrap();
    let written = common::vector(&restored.store, NOTES);
    let of_a: Vec<_> = written.iter().filter(|(o, _)| o.node == a.store.node_id()).collect();
    assert_eq!(of_a.len(), 2, "{of_a:?}");
}

#[test]
fn a_restored_store_that_has_written_nothing_goes_on_under_another_name() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    meet(&[&a, &b]);
    let backup = image(&a);
    (2..6i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
    meet(&[&a, &b]);
    let a = backup;
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    a.notes().set("n", "x", 9i64).unwrap();
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    assert_eq!(field(&b, "n", "x"), Some(Field::from(9i64)));
    assert_eq!(b.notes().conflicts().unwrap(), [], "it had seen what came back");
    assert_eq!(names(&a, &b).len(), 2);
}

#[test]
fn a_key_without_its_store_takes_its_history_for_another_ones() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    (0..3i64).for_each(|n| a.notes().set("n", "x", n).unwrap());
    a.notes().increment("n", "hits", 1).unwrap();
    meet(&[&a, &b]);
    for writes_first in [false, true] {
        let again = Replica::new(0);
        if writes_first {
            again.notes().set("m", "y", 1i64).unwrap();
            again.notes().increment("n", "hits", 2).unwrap();
        }
        meet(&[&again, &b]);
        again.notes().set("n", "x", 7i64).unwrap();
        meet(&[&again, &b]);
        assert_same(&[&again, &b]);
        assert_eq!(field(&b, "n", "x"), Some(Field::from(7i64)));
        assert_eq!(count(&b), if writes_first { 3 } else { 1 });
    }
    assert_eq!(names(&a, &b).len(), 3);
}

#[test]
fn a_write_that_is_open_while_the_history_comes_back_fails_cleanly() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "x", 1i64).unwrap();
    meet(&[&a, &b]);
    let backup = image(&a);
    a.notes().set("n", "x", 2i64).unwrap();
    meet(&[&a, &b]);
    let a = backup;
    a.store.write_deferred(|txn| txn.set(NOTES, "n", "deferred", 1i64)).unwrap();
    let mut open = a.store.begin().unwrap();
    open.set(NOTES, "n", "open", 1i64).unwrap();
    meet(&[&a, &b]);
    let refused = open.commit().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Aborted, "{refused}");
    assert_eq!(field(&a, "n", "deferred"), Some(Field::from(1i64)), "what was done is kept");
    assert_eq!(field(&a, "n", "open"), None);
    a.notes().set("n", "open", 2i64).unwrap();
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    assert_same(&[&a.after_power_cut(None), &b]);
}

#[test]
fn what_was_sent_and_contradicted_is_a_fork_and_ends_the_name() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", 1i64).unwrap();
    let copy = image(&a);
    a.notes().set("n", "x", 2i64).unwrap();
    copy.notes().set("n", "x", 3i64).unwrap();
    meet(&[&a, &b]);
    meet(&[&copy, &c]);
    // A sees the other one, signed by its own key; both were sent.
    let of_copy = all(&c).pop().unwrap();
    assert_eq!(a.store.apply_remote(NOTES, vec![of_copy]).unwrap().new, 1);
    a.notes().set("n", "y", 1i64).unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(names(&a, &c).len(), 4, "one before, two branches, and another name");
    assert_eq!(c.notes().conflicts().unwrap().len(), 1);
    // The copy hears of it, too.
    copy.notes().set("n", "z", 1i64).unwrap();
    meet(&[&copy, &b, &c]);
    assert_same(&[&copy, &b, &c]);
    copy.notes().set("n", "z", 2i64).unwrap();
    meet(&[&copy, &b, &c]);
    assert_same(&[&copy, &b, &c]);
    assert_eq!(names(&a, &c).len(), 5);
}

// ---- numbers prove nothing

#[test]
fn s8_a_claim_without_a_signature_changes_no_name_and_mutes_nobody() {
    use littoral::id::{Head, ShortHash};
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", 1i64).unwrap();
    let (own, _) = names(&a, &a)[0];
    let claim = Head { seq: 1 << 63, hash: ShortHash([7; 16]) };
    let vector: Vector = [(own, claim)].into_iter().collect();
    assert!(a.store.doubts(NOTES, &vector).unwrap());
    assert_eq!(a.store.contradictions(NOTES, &vector).unwrap(), []);
    // A liar on a link: it hears nothing of A's, whatever it says afterwards, and harms nobody.
    let mut link = Link::new(&a.store, &c.store);
    link.settle();
    link.claim(1, NOTES, vector);
    link.settle();
    assert_eq!(link.closed(), None);
    a.notes().set("n", "x", 2i64).unwrap();
    link.settle();
    meet(&[&a, &b]);
    assert_same(&[&a, &b]);
    assert_eq!(names(&a, &b), [(own, 2)]);
    assert_eq!(common::vector(&b.store, NOTES).len(), 1);
    drop(link);
    meet(&[&a, &c]);
    assert_same(&[&a, &c]);
}

// ---- chance

/// Stores that are backed up and restored at any time, and write before they meet anybody.
struct World {
    rng: Rng,
    replicas: Vec<Replica>,
    backups: Vec<Option<Replica>>,
    /// Restored, and not yet in touch with whoever holds what was sent before.
    lost: Vec<Option<usize>>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(3);
        World {
            rng,
            replicas: (0..count as u8).map(Replica::new).collect(),
            backups: (0..count).map(|_| None).collect(),
            lost: vec![None; count],
        }
    }

    fn run(&mut self) {
        for _ in 0..20 + self.rng.below(60) {
            let at = self.rng.below(self.replicas.len());
            match self.rng.below(20) {
                0 => self.backups[at] = Some(image(&self.replicas[at])),
                1 => self.restore(at),
                2 => self.replicas[at] = self.replicas[at].after_power_cut(None),
                3..=12 => self.write(at),
                _ => self.meet(at),
            }
        }
        for at in 0..self.replicas.len() {
            if let Some(holder) = self.lost[at].take() {
                self.link(at, holder, false);
            }
        }
        let all: Vec<&Replica> = self.replicas.iter().collect();
        meet(&all);
        self.check();
        // Everyone has seen everything, and says so: what was settled goes, but for rows whose
        // author writes under another name now.
        self.replicas.iter().for_each(|replica| replica.notes().set("end", "x", 1i64).unwrap());
        meet(&self.replicas.iter().collect::<Vec<_>>());
        self.check();
    }

    fn restore(&mut self, at: usize) {
        // Two that forget at once may know nothing of each other: then a fork is what it is.
        if self.backups[at].is_none() || self.lost.iter().any(Option::is_some) {
            return;
        }
        let own = self.replicas[at].store.node_id();
        let held = |replica: &Replica| -> u64 {
            let vector = common::vector(&replica.store, NOTES);
            vector.iter().filter(|(o, _)| o.node == own).map(|(_, head)| head.seq).sum()
        };
        let others = (0..self.replicas.len()).filter(|other| *other != at);
        // Among honest stores, what one holds of an origin is a part of what another one holds.
        let holder = others.max_by_key(|other| held(&self.replicas[*other])).unwrap();
        self.lost[at] = Some(holder);
        self.replicas[at] = image(self.backups[at].as_ref().unwrap());
    }

    fn meet(&mut self, at: usize) {
        let with = self.rng.below(self.replicas.len());
        // A link needs somebody who can be trusted not to be lost, and who is not oneself.
        if with == at || self.lost[with].is_some() {
            return;
        }
        match self.lost[at].take() {
            Some(holder) => self.link(at, holder, false),
            None => {
                let cut = self.rng.chance(30);
                self.link(at, with, cut);
            }
        }
    }

    fn link(&mut self, a: usize, b: usize, cut: bool) {
        let most = 1 + self.rng.below(300);
        let mut steps = if cut { self.rng.below(60) } else { usize::MAX };
        let mut link = Link::new(&self.replicas[a].store, &self.replicas[b].store);
        while steps > 0 && link.step(most) {
            steps -= 1;
        }
        if !cut {
            link.settle();
        }
        assert_eq!(link.closed(), None);
        assert_eq!([link.halted(0), link.halted(1)], [vec![], vec![]]);
    }

    fn write(&mut self, at: usize) {
        let rng = &mut self.rng;
        let replica = &self.replicas[at];
        replica.wall.set(common::NOON + rng.next() % 100_000);
        let mut txn = replica.store.begin().unwrap();
        for _ in 0..1 + rng.below(3) {
            common::edit(&mut txn, rng);
        }
        match rng.chance(20) {
            true => txn.commit_deferred().unwrap(),
            false => txn.commit().unwrap(),
        }
    }

    /// All hold the same, it is what history says, and every name is used once.
    fn check(&self) {
        let all: Vec<&Replica> = self.replicas.iter().collect();
        assert_same(&all);
        let first = &self.replicas[0];
        let (history, vv) = by_hashes(first);
        assert!(history.is_causally_closed(&vv));
        let expected = history.view(&vv, Reading::Causal);
        let shown = common::snapshot(&first.notes());
        assert_eq!(shown.len(), expected.len());
        for (id, fields) in shown {
            assert_eq!(fields, expected[&id].fields, "{id}");
        }
        self.replicas.iter().for_each(assert_sends_what_it_holds);
        // What each would be after losing power is the same.
        let again: Vec<Replica> = self.replicas.iter().map(|r| r.after_power_cut(None)).collect();
        let both: Vec<&Replica> = all.into_iter().chain(&again).collect();
        assert_same(&both);
    }
}

#[test]
fn stores_that_are_restored_at_any_time_lose_nothing_and_hold_nothing_twice() {
    each_seed("forks", 40, |seed| World::new(seed).run());
}

// ---- places

/// A copy of the store's directory, taken while it was open or not, at another place.
fn copied(replica: &Replica) -> Replica {
    replica.store.flush().unwrap();
    Replica::on(0, replica.disk.copy()).unwrap()
}

#[test]
fn a_copied_store_writes_under_another_name_from_the_first_write_on() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", 1i64).unwrap();
    a.notes().increment("n", "hits", 1).unwrap();
    meet(&[&a, &b]);
    let copy = copied(&a);
    let twin = copied(&a);
    for (by, replica) in [(10, &a), (100, &copy), (1000, &twin)] {
        replica.notes().increment("n", "hits", by).unwrap();
        replica.notes().set("n", &format!("by{by}")[..], by).unwrap();
        // A collection that is begun apart.
        replica.store.collection("plans").unwrap().increment("p", "hits", by).unwrap();
    }
    for replica in [&a, &copy, &twin] {
        assert_eq!(sync(&replica.store, &b.store), [vec![], vec![]]);
    }
    for replica in [&a, &copy, &twin, &c] {
        assert_eq!(sync(&replica.store, &b.store), [vec![], vec![]]);
    }
    assert_same(&[&a, &b, &copy, &twin, &c]);
    assert_eq!(count(&c), 1111);
    assert_eq!(names(&a, &c).len(), 3);
    let plans = c.store.collection("plans").unwrap();
    assert_eq!(plans.get_field("p", "hits").unwrap(), Some(Field::Counter(1110)));
    // What one of them sees of the others it takes for anyone's.
    copy.notes().set("n", "x", 2i64).unwrap();
    assert_eq!(sync(&copy.store, &b.store), [vec![], vec![]]);
    assert_eq!(b.notes().conflicts().unwrap(), []);
    // Where it is now is home: opened again, it is not suspected again.
    let again = copy.after_power_cut(None);
    again.notes().set("n", "x", 3i64).unwrap();
    assert_eq!(sync(&again.store, &b.store), [vec![], vec![]]);
    assert_eq!(names(&a, &b).len(), 3);
}

#[test]
fn a_store_that_was_moved_keeps_its_name_if_its_owner_says_so() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.flush().unwrap();
    let disk = a.disk.copy();
    let open = |moved| {
        let options = Options::new().key(a.key()).moved(moved);
        options.open_on(std::sync::Arc::new(disk.clone())).unwrap()
    };
    let moved = open(true);
    moved.collection(NOTES).unwrap().set("n", "x", 2i64).unwrap();
    assert_eq!(common::vector(&moved, NOTES).len(), 1);
    moved.close().unwrap();
    let again = open(false);
    again.collection(NOTES).unwrap().set("n", "x", 3i64).unwrap();
    assert_eq!(common::vector(&again, NOTES).len(), 1);
}

#[test]
fn a_real_directory_that_is_copied_is_told_from_its_original() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (home.path().join("a"), home.path().join("b"));
    let write = |path: &std::path::Path| {
        let store = littoral::Store::open(path).unwrap();
        store.collection(NOTES).unwrap().increment("n", "hits", 1).unwrap();
        let names: Vec<Origin> = common::vector(&store, NOTES).iter().map(|(o, _)| *o).collect();
        store.close().unwrap();
        names
    };
    write(&first);
    assert_eq!(write(&first).len(), 1, "opened again at the same place");
    std::fs::create_dir_all(second.join("log")).unwrap();
    for file in ["littoral.store", "node.key", "state.redb"] {
        std::fs::copy(first.join(file), second.join(file)).unwrap();
    }
    for entry in std::fs::read_dir(first.join("log")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), second.join("log").join(entry.file_name())).unwrap();
    }
    let expected = if cfg!(unix) { 2 } else { 1 };
    assert_eq!(write(&second).len(), expected);
    assert_eq!(write(&second).len(), expected, "and it is at home there");
    assert_eq!(write(&first).len(), 1);
    std::fs::rename(&first, home.path().join("c")).unwrap();
    assert_eq!(write(&home.path().join("c")).len(), 1, "moved within the file system");
}

// ---- crashes

/// Whatever fails while the history comes back: nothing acknowledged is lost, nothing is there
/// twice, and afterwards the two agree.
#[test]
fn no_crash_while_parting_loses_or_doubles_anything() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n", "hits", 1).unwrap();
    meet(&[&a, &b]);
    let backup = image(&a);
    a.notes().increment("n", "hits", 10).unwrap();
    a.notes().add("n", "tags", "sent").unwrap();
    meet(&[&a, &b]);
    backup.notes().increment("n", "hits", 100).unwrap();
    backup.notes().add("n", "tags", "kept").unwrap();
    backup.notes().set("m", "x", 1i64).unwrap();
    let of_b = all(&b);
    for calls in 0..400 {
        let a = image(&backup);
        a.disk.fail_after(calls);
        let done = a.store.apply_remote(NOTES, of_b.clone()).is_ok();
        let struck = a.disk.struck();
        for fate in [None, Some(1), Some(2)] {
            a.disk.fail_no_more();
            let a = a.after_power_cut(fate);
            a.store.check_rows().unwrap();
            assert_eq!(field(&a, "m", "x"), Some(Field::from(1i64)), "{calls} calls, {fate:?}");
            let b = image(&b);
            meet(&[&a, &b]);
            assert_same(&[&a, &b]);
            assert_eq!(count(&a), 111, "{calls} calls, {fate:?}");
            assert_eq!(field(&b, "n", "tags"), Some(Field::set(["kept", "sent"])));
            assert_sends_what_it_holds(&a);
        }
        if done && struck == 0 {
            assert!(calls > 20);
            return;
        }
    }
    panic!("it makes more calls");
}

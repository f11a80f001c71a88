//! Authors with a good key and bad intentions: whatever they sign, replicas neither panic nor part.

mod common;

use std::collections::BTreeMap;

use common::{NOTES, Replica, Rng, each_seed, fields};
use littoral::clock::Timestamp;
use littoral::crdt::{Addition, DocOps, Op, key};
use littoral::id::{Dot, Hash, Origin, Seq, Vector};
use littoral::txn::{self, Dep, NetworkId, NodeKey, Scope, Signed, Txn};
use littoral::{ErrorKind, Field, Path};

fn scope() -> Scope<'static> {
    Scope { network: NetworkId::named("default"), collection: NOTES }
}

/// Hostile authors, and what they have written.
struct Plot {
    rng: Rng,
    keys: Vec<NodeKey>,
    written: Vec<Vec<Signed>>,
}

impl Plot {
    fn new(seed: u64) -> Plot {
        let mut rng = Rng::new(seed);
        let keys = (0..2 + rng.below(3) as u8).map(|n| common::key(100 + n)).collect::<Vec<_>>();
        let written = keys.iter().map(|_| Vec::new()).collect();
        Plot { rng, keys, written }
    }

    fn origin(&self, author: usize) -> Origin {
        Origin { node: self.keys[author].id(), incarnation: 0 }
    }

    /// A transaction in a chain that is right, with dependencies that exist; all else is chance.
    fn write(&mut self) {
        let author = self.rng.below(self.keys.len());
        let seq = self.written[author].len() as Seq + 1;
        let prev = self.written[author].last().map_or(Hash::default(), |signed| signed.hash);
        let mut deps = Vec::new();
        for other in (0..self.keys.len()).filter(|other| *other != author) {
            if !self.written[other].is_empty() && self.rng.chance(50) {
                let at = self.rng.below(self.written[other].len());
                let signed = &self.written[other][at];
                let (origin, hash) = (self.origin(other), signed.hash.short());
                deps.push(Dep { origin, seq: at as Seq + 1, hash });
            }
        }
        deps.sort_by_key(|dep| dep.origin);
        let ids = &["a", "b"][..1 + self.rng.below(2)];
        let docs = ids
            .iter()
            .map(|id| {
                let ops = (0..1 + self.rng.below(4)).map(|_| self.op(author, seq)).collect();
                DocOps { id: (*id).to_owned(), ops }
            })
            .collect();
        let time = match self.rng.below(4) {
            0 => Timestamp::MAX,
            1 => Timestamp::from_bits(0),
            _ => Timestamp::from_millis(self.rng.next() % 1000),
        };
        let txn = Txn { dot: Dot { origin: self.origin(author), seq }, prev, time, deps, docs };
        match Signed::sign(txn, scope(), &self.keys[author]) {
            Ok(signed) => self.written[author].push(signed),
            Err(err) => assert_eq!(err.kind(), ErrorKind::Internal, "{err}"),
        }
    }

    fn op(&mut self, author: usize, own: Seq) -> Op {
        let total = match self.rng.below(4) {
            0 => i128::MAX,
            1 => i128::MIN,
            _ => i128::from(self.rng.below(9) as i8) - 4,
        };
        match self.rng.below(8) {
            0..=2 => {
                let (key, register) = self.key();
                Op::Put {
                    key,
                    value: if register { vec![self.rng.below(3) as u8] } else { vec![] },
                }
            }
            3 | 4 => {
                let mut upto: BTreeMap<Origin, Seq> = BTreeMap::new();
                for _ in 0..self.rng.below(3) {
                    let dot = self.dot(author, own);
                    upto.insert(dot.origin, dot.seq);
                }
                let upto = upto.into_iter().map(|(origin, seq)| Dot { origin, seq }).collect();
                let mut prefix = self.key().0;
                if self.rng.chance(50) {
                    prefix = key::prefix(&self.path());
                }
                Op::Clear { prefix, upto }
            }
            5 | 6 => {
                let birth = match self.rng.chance(50) {
                    true => own,
                    false => 1 + self.rng.next() % own,
                };
                let seq = birth + self.rng.next() % (own - birth).max(1);
                let time = Timestamp::from_millis(self.rng.next() % 1000);
                let after = (birth < own).then_some(Addition { seq, time });
                Op::Add { key: self.counter(), birth, total, by: i64::MAX, after }
            }
            _ => {
                let row = self.dot(author, own);
                let newest = self.dot_of(row.origin, author, own).seq.max(row.seq);
                Op::Settle { key: self.counter(), row, seq: newest, total }
            }
        }
    }

    fn dot(&mut self, author: usize, own: Seq) -> Dot {
        let of = self.rng.below(self.keys.len());
        self.dot_of(self.origin(of), author, own)
    }

    /// A transaction that exists, or, if there is none, one that can't.
    fn dot_of(&mut self, origin: Origin, author: usize, own: Seq) -> Dot {
        let of = (0..self.keys.len()).find(|n| self.origin(*n) == origin).unwrap();
        let last = if of == author { own - 1 } else { self.written[of].len() as Seq };
        Dot { origin, seq: 1 + self.rng.next() % last.max(1) }
    }

    fn path(&mut self) -> Path {
        let names = ["x", "", "y\0\u{1}"];
        Path::from(
            (0..self.rng.below(3)).map(|_| self.rng.pick(&names).to_string()).collect::<Vec<_>>(),
        )
    }

    fn counter(&mut self) -> Vec<u8> {
        key::slot(&key::prefix(&self.path().child("x")), key::Slot::Counter)
    }

    /// A key, and whether it is a register's.
    fn key(&mut self) -> (Vec<u8>, bool) {
        let prefix = key::prefix(&self.path());
        let slots =
            [key::Slot::Register, key::Slot::MapMarker, key::Slot::SetMarker, key::Slot::Unknown];
        match self.rng.below(6) {
            0 => (key::element(&prefix, &[self.rng.below(3) as u8]), false),
            1 => ([&prefix[..], &[0x0a, 0, 0xff]].concat(), false),
            n => (key::slot(&prefix, slots[n - 2]), n == 2),
        }
    }
}

#[test]
fn authors_who_break_every_rule_divide_nobody() {
    each_seed("hostile", 25, |seed| {
        let mut plot = Plot::new(seed);
        (0..10 + plot.rng.below(50)).for_each(|_| plot.write());
        let replicas: Vec<Replica> = (0..3).map(Replica::new).collect();
        let mut states: BTreeMap<Vec<u8>, Hash> = BTreeMap::new();
        for replica in &replicas {
            let mut left: Vec<&Signed> = plot.written.iter().flatten().collect();
            plot.rng.shuffle(&mut left);
            let mut stuck = 0;
            while stuck < left.len() {
                let next = left.remove(0);
                match replica.store.apply_remote(NOTES, vec![next.bytes.clone()]) {
                    Ok(_) => {
                        stuck = 0;
                        let (vector, cells, _) = replica.store.summary(NOTES).unwrap();
                        let state = states.entry(vector.digest().0.to_vec()).or_insert(cells);
                        assert_eq!(*state, cells, "the state is a function of the vector");
                    }
                    Err(err) => {
                        assert_eq!(err.kind(), ErrorKind::MissingDependency, "{err}");
                        left.push(next);
                        stuck += 1;
                    }
                }
            }
            replica.store.check_rows().unwrap();
        }
        // What honest people then do with such documents.
        for (replica, n) in replicas.iter().zip(0..) {
            let notes = replica.notes();
            common::snapshot(&notes);
            notes.conflicts().unwrap();
            for id in ["a", "b"] {
                let _ = notes.increment(id, "x", 1);
                let _ = notes.add(id, ["x", "x"], 1i64);
                if let Some(document) = notes.get(id).unwrap() {
                    notes.put(id, (document.fields(), &document.version())).unwrap();
                }
                match n {
                    0 => drop(notes.delete(id).unwrap()),
                    1 => notes.put(id, &fields([("x", Field::from(1i64))])).unwrap(),
                    _ => notes.set(id, ["x", "y"], true).unwrap(),
                }
            }
        }
        let all: Vec<&Replica> = replicas.iter().collect();
        common::meet(&all);
        common::assert_same(&all);
        common::assert_same(&[&replicas[0].after_power_cut(Some(seed)), &replicas[1]]);
    });
}

#[test]
fn any_bytes_under_a_good_signature_are_applied_alike_or_refused() {
    const SEED: [u8; 32] = [101; 32];
    let key = NodeKey::from_seed(SEED);
    each_seed("bytes", 20, |seed| {
        let mut plot = Plot::new(seed);
        plot.keys.truncate(1);
        plot.written.truncate(1);
        plot.keys[0] = key.clone();
        let [x, y] = [Replica::new(0), Replica::new(1)];
        let (mut prev, mut seq) = (Hash::default(), 1);
        for _ in 0..60 {
            let mut docs = vec![DocOps { id: "a".into(), ops: vec![plot.op(0, seq)] }];
            docs[0].ops.push(plot.op(0, seq));
            let origin = plot.origin(0);
            let time = Timestamp::from_bits(plot.rng.next());
            let txn = Txn { dot: Dot { origin, seq }, prev, time, deps: Vec::new(), docs };
            let mut body = txn::encode(&txn).unwrap();
            // The head of it stays, so that it comes as far as its operations.
            let head = 1 + 36 + 8 + 32 + 8;
            for _ in 0..plot.rng.below(4) {
                let at = head + plot.rng.below(body.len() - head);
                match plot.rng.below(4) {
                    0 => body[at] = [0, 1, 0x7f, 0x80, 0xff][plot.rng.below(5)],
                    1 => body[at] ^= 1 << plot.rng.below(8),
                    2 => drop(body.remove(at)),
                    _ => body.insert(at, plot.rng.next() as u8),
                }
            }
            let bytes = common::sign_bytes(&body, SEED);
            let [one, other] = [&x, &y].map(|r| r.store.apply_remote(NOTES, vec![bytes.clone()]));
            assert_eq!(one.as_ref().ok(), other.as_ref().ok());
            match one {
                Ok(_) => (prev, seq) = (Signed::verify(bytes, scope()).unwrap().hash, seq + 1),
                Err(err) => assert!(
                    matches!(
                        err.kind(),
                        ErrorKind::InvalidTransaction
                            | ErrorKind::FormatTooNew
                            | ErrorKind::MissingDependency
                    ),
                    "{err}"
                ),
            }
        }
        common::assert_same(&[&x, &y, &x.after_power_cut(None)]);
        assert_eq!(common::vector(&x.store, NOTES) == Vector::new(), seq == 1);
    });
}

/// Counts that a transaction can't hold are refused before memory is taken for them.
#[test]
fn huge_counts_take_no_memory() {
    let seed = [101; 32];
    let origin = Origin { node: NodeKey::from_seed(seed).id(), incarnation: 0 };
    let docs =
        vec![DocOps { id: "a".into(), ops: vec![Op::Clear { prefix: vec![], upto: vec![] }] }];
    let (dot, time) = (Dot { origin, seq: 1 }, Timestamp::from_bits(0));
    let txn = Txn { dot, prev: Hash::default(), time, deps: Vec::new(), docs };
    let body = txn::encode(&txn).unwrap();
    let target = Replica::new(0);
    for at in 85..body.len() {
        for huge in [&[0xff, 0xff, 0xff, 0x7f][..], &[0xff; 9], &[0xff, 0xff, 0x03]] {
            let mut forged = [&body[..at], huge, &body[at + 1..]].concat();
            forged.resize(forged.len() + 1000, 0);
            let refused = target.store.apply_remote(NOTES, vec![common::sign_bytes(&forged, seed)]);
            let kinds = [ErrorKind::InvalidTransaction, ErrorKind::FormatTooNew];
            assert!(kinds.contains(&refused.unwrap_err().kind()));
        }
    }
    assert!(target.store.collections().is_empty());
}

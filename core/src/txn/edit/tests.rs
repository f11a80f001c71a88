//! Edits that read only what they concern are the edits of whoever read everything.

use super::*;
use crate::clock::Timestamp;
use crate::id::NodeId;

/// Chance from a seed: splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn name(&mut self) -> String {
        match self.below(10) {
            0 => "\u{1}\0",
            1 | 2 => "a",
            3 | 4 => "b",
            _ => "s",
        }
        .to_owned()
    }

    fn path(&mut self) -> Path {
        let depth = if self.below(2) == 0 { 1 } else { 1 + self.below(3) };
        Path::from((0..depth).map(|_| self.name()).collect::<Vec<_>>())
    }

    fn scalar(&mut self) -> Value {
        match self.below(5) {
            0 => Value::from(true),
            1 => Value::from("x"),
            n => Value::from(n as i64 + self.below(4) as i64),
        }
    }

    fn fields(&mut self, depth: u64) -> Fields {
        (0..self.below(4)).map(|_| (self.name(), self.field(depth + 1))).collect()
    }

    fn field(&mut self, depth: u64) -> Field {
        match self.below(8) {
            0..=2 if depth < 3 => Field::Map(self.fields(depth)),
            3 => Field::Set((0..self.below(5)).map(|_| self.scalar()).collect()),
            4 => Field::Counter(self.below(9) as i64 - 4),
            5 => Field::Value(Value::Array(vec![self.scalar()])),
            _ => Field::Value(self.scalar()),
        }
    }
}

/// One edit, the same for any draft.
#[derive(Debug, Clone)]
enum Edit {
    Put(Fields),
    PutBack(Fields, Version),
    Merge(Fields),
    Delete,
    Set(Path, Field),
    Unset(Path),
    Add(Path, Value),
    Remove(Path, Value),
    Increment(Path, i64),
    Resolve(Path, Field),
    Read(Path, Value),
}

impl Edit {
    fn any(rng: &mut Rng, version: &Version) -> Edit {
        match rng.below(22) {
            0 => Edit::Put(rng.fields(0)),
            1 => Edit::PutBack(rng.fields(0), version.clone()),
            2..=4 => Edit::Merge(rng.fields(0)),
            5 if rng.below(3) == 0 => Edit::Delete,
            6..=8 => Edit::Set(rng.path(), rng.field(1)),
            9 | 10 => Edit::Unset(rng.path()),
            11..=13 => Edit::Add(rng.path(), rng.scalar()),
            14 | 15 => Edit::Remove(rng.path(), rng.scalar()),
            16 | 17 => Edit::Increment(rng.path(), rng.below(7) as i64 - 3),
            18 => Edit::Resolve(rng.path(), rng.field(1)),
            _ => Edit::Read(rng.path(), rng.scalar()),
        }
    }

    /// Does it; gives what the caller is told.
    fn run(&self, draft: &mut Draft) -> String {
        match self {
            Edit::Put(fields) => format!("{:?}", draft.put(fields, None)),
            Edit::PutBack(fields, version) => {
                format!("{:?}", draft.put(fields, Some(&Base::from_version(version).unwrap())))
            }
            Edit::Merge(fields) => format!("{:?}", draft.merge(fields)),
            Edit::Delete => format!("{:?}", draft.delete(None)),
            Edit::Set(path, field) => format!("{:?}", draft.set(path, field)),
            Edit::Unset(path) => format!("{:?}", draft.unset(path)),
            Edit::Add(path, element) => format!("{:?}", draft.add(path, element)),
            Edit::Remove(path, element) => format!("{:?}", draft.remove(path, element)),
            Edit::Increment(path, by) => format!("{:?}", draft.increment(path, *by)),
            Edit::Resolve(path, choice) => format!("{:?}", draft.resolve(path, choice)),
            Edit::Read(path, element) => {
                let has = draft.has(path, element).unwrap();
                format!("{:?} {has}", draft.field(path))
            }
        }
    }
}

fn stamp(rng: &mut Rng, seq: Seq) -> Stamp {
    let node = NodeId::from_bytes([rng.below(3) as u8; 32]);
    let dot = Dot { origin: Origin { node, incarnation: 0 }, seq };
    Stamp { dot, time: Timestamp::from_millis(rng.below(6)) }
}

/// A document that several wrote to, at times without having seen each other: each edits what
/// was there some time ago.
fn document(rng: &mut Rng) -> (Row, Version) {
    let mut past = vec![Row::default()];
    let mut version = Version::default();
    for seq in 1..2 + rng.below(14) {
        let stamp = stamp(rng, seq);
        let seen = past[past.len().saturating_sub(1 + rng.below(4) as usize)].clone();
        let mut draft = Draft::new(seen, stamp);
        for _ in 0..1 + rng.below(2) {
            Edit::any(rng, &version).run(&mut draft);
        }
        let mut now = past.last().unwrap().clone();
        now.apply_all(&draft.into_ops(), &stamp);
        if rng.below(6) == 0 {
            // Something of a later version, and a map without a marker.
            let prefix = key::prefix(&rng.path());
            let value = vec![0xc0];
            let unknown = [&prefix[..], &[0x0b]].concat();
            now.apply(&Op::Put { key: unknown, value: value.clone() }, &stamp);
            now.apply(&Op::Put { key: key::slot(&prefix, Slot::Register), value }, &stamp);
        }
        if rng.below(3) == 0 {
            version = Version::of(&now);
        }
        past.push(now);
    }
    (past.pop().unwrap(), version)
}

struct Stored(Row);

impl Source for Stored {
    fn between(&self, from: &[u8], to: Option<&[u8]>) -> Result<Vec<Cell>> {
        let within = |cell: &&Cell| &cell.key[..] >= from && to.is_none_or(|to| &cell.key[..] < to);
        Ok(self.0.cells().iter().filter(within).cloned().collect())
    }
}

#[test]
fn edits_over_a_part_are_the_edits_over_the_whole() {
    for seed in 0..1500 {
        let mut rng = Rng(seed);
        let (row, version) = document(&mut rng);
        let stamp = stamp(&mut rng, 100);
        let mut whole = Draft::new(row.clone(), stamp);
        whole.now.sees_all = true;
        let mut part = Draft::over(Box::new(Stored(row)), stamp);
        for _ in 0..1 + rng.below(5) {
            let edit = Edit::any(&mut rng, &version);
            assert_eq!(edit.run(&mut whole), edit.run(&mut part), "seed {seed}: {edit:?}");
            if rng.below(4) == 0 {
                assert_eq!(whole.row().unwrap(), part.row().unwrap(), "seed {seed}: {edit:?}");
            }
        }
        assert_eq!(whole.into_ops(), part.into_ops(), "seed {seed}");
    }
}

/// What is read of a part is what is read of the whole, and a draft holds what its operations
/// make of the document.
#[test]
fn what_a_draft_shows_is_what_its_operations_leave() {
    for seed in 0..500 {
        let mut rng = Rng(seed);
        let (mut row, version) = document(&mut rng);
        let stamp = stamp(&mut rng, 100);
        let mut draft = Draft::over(Box::new(Stored(row.clone())), stamp);
        for _ in 0..1 + rng.below(6) {
            Edit::any(&mut rng, &version).run(&mut draft);
        }
        let path = rng.path();
        let field = draft.field(&path).unwrap();
        let now = draft.row().unwrap();
        assert_eq!(field, view::field(&now, &path), "seed {seed}");
        row.apply_all(&draft.into_ops(), &stamp);
        assert_eq!(now, row, "seed {seed}");
    }
}

/// Which of several kinds at a place is shown depends on the newest element of a set, whichever
/// is asked for.
#[test]
fn a_set_beside_a_counter_is_seen_with_all_its_elements() {
    let stamp = |n: u8, seq, ms| Stamp {
        dot: Dot { origin: Origin { node: NodeId::from_bytes([n; 32]), incarnation: 0 }, seq },
        time: Timestamp::from_millis(ms),
    };
    let prefix = key::prefix(&Path::from("s"));
    let mut row = Row::default();
    let put = |key| Op::Put { key, value: Vec::new() };
    row.apply(&put(key::slot(&[], Slot::MapMarker)), &stamp(1, 1, 1));
    row.apply(&put(key::slot(&prefix, Slot::SetMarker)), &stamp(1, 1, 1));
    row.apply(&put(element_key(&prefix, &Value::from("x"))), &stamp(1, 2, 9));
    let counter = key::slot(&prefix, Slot::Counter);
    row.apply(&Op::Add { key: counter, birth: 1, total: 1, by: 1, after: None }, &stamp(2, 1, 5));
    for edit in [
        Edit::Read(Path::from("s"), Value::from("y")),
        Edit::Add(Path::from("s"), Value::from("y")),
        Edit::Remove(Path::from("s"), Value::from("y")),
        Edit::Increment(Path::from("s"), 1),
    ] {
        let mut whole = Draft::new(row.clone(), stamp(3, 1, 10));
        whole.now.sees_all = true;
        let mut part = Draft::over(Box::new(Stored(row.clone())), stamp(3, 1, 10));
        assert_eq!(edit.run(&mut whole), edit.run(&mut part), "{edit:?}");
        assert_eq!(whole.into_ops(), part.into_ops(), "{edit:?}");
    }
}

#[test]
fn the_first_put_of_a_document_is_what_any_put_is() {
    for seed in 0..4000 {
        let mut rng = Rng(seed);
        let origin = Origin { node: NodeId::from_bytes([1; 32]), incarnation: 0 };
        let time = Timestamp::from_millis(5);
        let stamp = Stamp { dot: Dot { origin, seq: 1 + rng.below(3) }, time };
        let mut fields = rng.fields(0);
        if rng.below(8) == 0 {
            fields.insert("bad".to_owned(), Field::Value(Value::Float(f64::NAN)));
        }
        if rng.below(8) == 0 {
            let elements = [Value::Array(Vec::new()), Value::from(1)];
            fields.insert("odd".to_owned(), Field::Set(elements.into()));
        }
        let [mut first, mut any] = [(); 2].map(|()| Draft::new(Row::default(), stamp));
        let base = Base::of_part(&[] as &[&Cell]);
        let told = format!("{:?}", any.put_map(&mut Path::root(), &fields, &base, true));
        assert_eq!(format!("{:?}", first.put(&fields, None)), told, "seed {seed}");
        assert_eq!(first.ops, any.ops, "seed {seed}");
        for _ in 0..rng.below(4) {
            let edit = Edit::any(&mut rng, &Version::default());
            assert_eq!(edit.run(&mut first), edit.run(&mut any), "seed {seed}, {edit:?}");
        }
        assert_eq!(first.row().unwrap(), any.row().unwrap(), "seed {seed}");
        assert_eq!(first.into_ops(), any.into_ops(), "seed {seed}");
    }
}

//! Rows: golden bytes, round trips, and what they show.

use super::key::{self, Slot};
use super::*;
use crate::clock::Timestamp;
use crate::id::{Dot, NodeId, Origin};
use crate::value::{Field, Path, Value, codec};
use proptest::prelude::*;

fn origin(n: u8) -> Origin {
    Origin { node: NodeId::from_bytes([n; 32]), incarnation: 0 }
}

fn stamp(n: u8, seq: u64) -> Stamp {
    let time = Timestamp::from_millis(1_795_276_800_000 + seq);
    Stamp { dot: Dot { origin: origin(n), seq }, time }
}

fn put(path: &str, value: &Value) -> Op {
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes);
    Op::Put { key: key::slot(&key::prefix(&Path::from(path)), Slot::Register), value: bytes }
}

/// Two siblings, a set, a counter with a settled row.
fn sample() -> Row {
    let mut row = Row::default();
    let tags = key::prefix(&Path::from("tags"));
    let views = key::slot(&key::prefix(&Path::from("views")), Slot::Counter);
    let element = key::element(&tags, &[0xa1, b'x']);
    row.apply(&put("title", &Value::from("a")), &stamp(1, 1));
    row.apply(&put("title", &Value::from("b")), &stamp(2, 1));
    row.apply(&Op::Put { key: element, value: Vec::new() }, &stamp(1, 2));
    row.apply(
        &Op::Add { key: views.clone(), birth: 3, total: 7, by: 7, after: None },
        &stamp(1, 3),
    );
    let settle =
        Op::Settle { key: views, row: Dot { origin: origin(1), seq: 3 }, seq: 3, total: 7 };
    row.apply(&settle, &stamp(2, 2));
    row
}

fn encode(row: &Row) -> Vec<u8> {
    row.encode(view::flags(row), |origin| u32::from(origin.node.as_bytes()[0]))
}

#[test]
fn golden_a_row_has_these_bytes_and_this_digest() {
    let hex = data_encoding::HEXLOWER.encode(&encode(&sample()));
    assert_eq!(hex, include_str!("golden/row.hex").trim());
    let digest = data_encoding::HEXLOWER.encode(&sample().digest("n1").0);
    assert_eq!(digest, include_str!("golden/row.digest").trim());
}

#[test]
fn rows_come_back() {
    let bytes = encode(&sample());
    let back = Row::decode(&bytes, |number| Some(origin(number as u8))).unwrap();
    assert_eq!(back, sample());
    assert!(Row::decode(&bytes, |_| None).is_err());
    for len in 0..bytes.len() {
        assert!(Row::decode(&bytes[..len], |number| Some(origin(number as u8))).is_err());
    }
}

#[test]
fn siblings_are_a_conflict_and_the_highest_is_shown() {
    let row = sample();
    let fields = view::fields(&row).unwrap();
    assert_eq!(fields["title"], Field::from("b"));
    assert_eq!(fields["tags"], Field::set(["x"]));
    assert!(!fields.contains_key("views"), "everything in it was zeroed");
    let conflicts = view::conflicts(&row);
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].path, Path::from("title"));
    let sides: Vec<&Field> = conflicts[0].candidates.iter().map(|side| &side.field).collect();
    assert_eq!(sides, [&Field::from("b"), &Field::from("a")]);
    assert_eq!(view::flags(&row), Flags { shown: true, in_conflict: true });
}

#[test]
fn equal_siblings_are_no_conflict_and_kinds_that_clash_are() {
    let mut row = Row::default();
    row.apply(&put("x", &Value::from(1i64)), &stamp(1, 1));
    row.apply(&put("x", &Value::from(1i64)), &stamp(2, 1));
    assert!(!view::flags(&row).in_conflict);
    let deeper = key::slot(&key::prefix(&Path::from(["x", "y"])), Slot::Register);
    row.apply(&Op::Put { key: deeper, value: vec![0xc0] }, &stamp(3, 9));
    assert!(view::flags(&row).in_conflict);
    assert_eq!(view::conflicts(&row)[0].path, Path::from("x"));
    assert_eq!(view::field(&row, &Path::from("x")).unwrap(), Field::map([("y", Value::Null)]));
}

#[test]
fn unknown_slots_are_kept_and_not_shown() {
    let mut row = Row::default();
    let mut unknown = key::prefix(&Path::from("future"));
    unknown.extend([0x0a, 1, 2, 3]);
    row.apply(&Op::Put { key: unknown, value: vec![1, 2] }, &stamp(1, 1));
    assert_eq!(view::fields(&row), None);
    assert_eq!(view::flags(&row), Flags::default());
    assert_eq!(Row::decode(&encode(&row), |number| Some(origin(number as u8))).unwrap(), row);
}

/// Cells of a few places, of two authors: often in conflict, often not.
fn some_cells() -> impl Strategy<Value = Vec<Cell>> {
    let path = prop::sample::select(vec!["a", "b", "m/x", "m/y", "m/n/z", "m"]);
    let cell = (path, 0u8..8, 1u8..3, 1u64..4).prop_map(|(path, kind, author, seq)| {
        let prefix = key::prefix(&Path::parse_pointer(&format!("/{path}")).unwrap());
        let value = |value: &Value| {
            let mut bytes = Vec::new();
            codec::encode(value, &mut bytes);
            bytes
        };
        let row = |total, settled_seq| CounterRow {
            seq,
            time: Timestamp::default(),
            total,
            settled_seq,
            base: 0,
            settled_by: Default::default(),
            continues: None,
        };
        let (key, body) = match kind {
            0 => (key::slot(&prefix, Slot::Register), Body::Put(value(&Value::from("one")))),
            1 => (key::slot(&prefix, Slot::Register), Body::Put(value(&Value::from(2)))),
            2 => (key::slot(&prefix, Slot::MapMarker), Body::Put(Vec::new())),
            3 => (key::slot(&prefix, Slot::SetMarker), Body::Put(Vec::new())),
            4 => (key::element(&prefix, &value(&Value::from(seq))), Body::Put(Vec::new())),
            5 => (
                key::slot(&prefix, Slot::Counter),
                Body::Counter(Box::new(row(i128::from(i64::MAX), 0))),
            ),
            6 => (key::slot(&prefix, Slot::Counter), Body::Counter(Box::new(row(5, seq)))),
            _ => (key::slot(&prefix, Slot::Unknown), Body::Put(Vec::new())),
        };
        Cell { key, stamp: stamp(author, seq), body }
    });
    prop::collection::vec(cell, 0..7)
}

proptest! {
    #[test]
    fn what_is_shown_without_conflicts_is_told_from_the_bytes(cells in some_cells()) {
        let row = Row::from_cells(cells);
        let flags = view::flags(&row);
        if !flags.in_conflict {
            let fields = shown(&encode(&row), &mut Vec::new(), |number| Some(origin(number as u8))).unwrap();
            prop_assert_eq!(fields.is_some(), flags.shown);
            prop_assert_eq!(fields, view::fields(&row));
        }
    }

    #[test]
    fn a_fresh_document_is_what_its_operations_come_to(cells in some_cells()) {
        let stamp = stamp(1, 9);
        let marker = Op::Put { key: key::slot(&[], Slot::MapMarker), value: Vec::new() };
        let mut ops = vec![marker];
        for cell in Row::from_cells(cells).into_cells() {
            let last = match ops.last() {
                Some(Op::Put { key, .. }) => key,
                _ => continue,
            };
            match cell.body {
                Body::Put(value) if *last < cell.key => ops.push(Op::Put { key: cell.key, value }),
                _ => {}
            }
        }
        let mut row = Row::default();
        row.apply_all(&ops, &stamp);
        let flags = view::flags(&row);
        let fresh = Fresh::of(&ops, &stamp).unwrap();
        prop_assert_eq!(fresh.size(), layout::size_of(row.cells()));
        prop_assert_eq!(fresh.flags(), flags);
        let (bytes, digest) = fresh.row("n1", flags, 300);
        prop_assert_eq!(bytes, row.encode(flags, |_| 300));
        prop_assert_eq!(digest, row.digest("n1"));
        prop_assert!(Fresh::of(&ops[1..], &stamp).is_none());
    }

    #[test]
    fn what_is_shown_refuses_the_bytes_that_decoding_does(
        cells in some_cells(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![0u8..0x12, any::<u8>()],
    ) {
        let mut bytes = encode(&Row::from_cells(cells));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let origin_of = |number| (number < 8).then(|| origin(number as u8));
        let [decoded, shown] =
            [Row::decode(&bytes, origin_of).map(drop), shown(&bytes, &mut Vec::new(), origin_of).map(drop)];
        let [decoded, shown] = [decoded, shown].map(|is| is.map_err(|err| err.message().to_owned()));
        prop_assert_eq!(decoded, shown);
    }
}

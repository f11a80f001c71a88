//! Transactions, rows, values, versions: what decodes has one form, and can be shown.

use std::sync::LazyLock;

use littoral::clock::Timestamp;
use littoral::crdt::key::{self, Slot};
use littoral::crdt::{Cell, DocOps, Layout, Op, Row, Stamp, join, view};
use littoral::id::{Dot, Hash};
use littoral::txn::edit::{Base, Draft, Version};
use littoral::txn::{self, Signed, Txn};
use littoral::value::{codec, fields_to_json, parse_fields, parse_value, value_to_json};
use littoral::{ErrorKind, Field, Fields, Path, Value};

use super::input::Input;
use super::stores::{number_of, numbered, origin, scope};

/// A transaction, with or without a signature.
pub fn transaction(data: &[u8]) {
    let _ = txn::peek_dot(data);
    let _ = Signed::verify(data.to_vec(), scope());
    let _ = Signed::trusted(data.to_vec(), scope());
    let Ok(txn) = txn::decode(data) else { return };
    assert_eq!(txn::encode(&txn).expect("what was read can be written"), data);
    for doc in &txn.docs {
        let mut row = Row::default();
        row.apply_all(&doc.ops, &txn.stamp());
        let once = row.clone();
        row.apply_all(&doc.ops, &txn.stamp());
        assert_eq!(row, once, "twice is once");
        join::check(&row, |_| true).expect("what a transaction makes is a row");
        show(&row);
    }
}

/// The bytes of a row as it is stored; the first byte says from where to where it is read.
pub fn row(data: &[u8]) {
    let mut input = Input(data);
    let part = input.byte();
    let Ok(row) = Row::decode(input.0, |number| Some(numbered(number))) else { return };
    let bytes = row.encode(view::flags(&row), number_of);
    let back = Row::decode(&bytes, |number| Some(numbered(number))).expect("its own bytes");
    assert_eq!(back, row);
    // A row that is out of order is damage; it must not end the process.
    let in_order = join::check(&row, |_| true).is_ok();
    show_any(&row);
    if in_order {
        show(&row);
        let from = row.cells().get(usize::from(part >> 4)).map_or(&[][..], |cell| &cell.key);
        let to = row.cells().get(usize::from(part & 15)).map(|cell| &cell.key[..]);
        let within = |cell: &&Cell| &cell.key[..] >= from && to.is_none_or(|to| &cell.key[..] < to);
        let some = Row::decode_between(&bytes, from, to, |number| Some(numbered(number)));
        let wanted: Vec<Cell> = row.cells().iter().filter(within).cloned().collect();
        assert_eq!(some.expect("a part of what reads"), wanted);
    }
}

/// What a reader of a row may ask for.
pub(super) fn show_any(row: &Row) {
    view::flags(row);
    view::conflicts(row);
    let _ = view::fields(row).map(|fields| fields_to_json(&fields).to_string());
    Version::of(row);
    row.digest("n");
    row.settled();
}

/// The same of a row that is as it should be: all agree with each other.
pub(super) fn show(row: &Row) {
    let (flags, fields) = (view::flags(row), view::fields(row));
    assert_eq!(flags.shown, fields.is_some());
    assert_eq!(flags.in_conflict, !view::conflicts(row).is_empty());
    let layout = Layout { row_bytes: 64, run_bytes: 100 };
    assert_eq!(layout.rows(row.cells()).concat(), row.cells(), "runs are the whole");
    let Some(fields) = fields else { return };
    let json = fields_to_json(&fields);
    match parse_fields(json.to_string().as_bytes()) {
        Ok(back) => assert_eq!(fields_to_json(&back), json),
        // Field names and a value may each be as deep as a document.
        Err(err) => assert_eq!(err.kind(), ErrorKind::LimitExceeded, "{err}"),
    }
    let base = Base::of(row);
    assert!(base.is_current(row));
    if !row.is_empty() && fields.len() < 1000 {
        let read = Base::from_version(&base.to_version()).expect("its own version");
        assert!(read.is_current(row));
    }
}

/// The canonical bytes of a value, also as an element of a set and as a key.
pub fn value(data: &[u8]) {
    if let Ok(value) = codec::decode(data) {
        match codec::encode_checked(&value, &Path::root()) {
            Ok(bytes) => assert_eq!(bytes, data),
            Err(err) => assert_eq!(err.kind(), ErrorKind::LimitExceeded, "{err}"),
        }
        match parse_value(value_to_json(&value).to_string().as_bytes(), &Path::root()) {
            Ok(back) => assert_eq!(back, value),
            Err(err) => assert_eq!(err.kind(), ErrorKind::LimitExceeded, "{err}"),
        }
    }
    let _ = key::check_prefix(data);
    let Ok(slot) = key::check(data) else { return };
    let stamp = Stamp { dot: Dot { origin: origin(0), seq: 1 }, time: Timestamp::default() };
    let mut row = Row::default();
    row.apply(&put(data, slot), &stamp);
    show(&row);
    if slot == Slot::Register {
        let path = only_path(&view::fields(&row).expect("a register is shown"));
        assert_eq!(key::slot(&key::prefix(&path), Slot::Register), data, "keys have one form");
    }
}

fn put(key: &[u8], slot: Slot) -> Op {
    let key = key.to_vec();
    match slot {
        Slot::Counter => Op::Add { key, birth: 1, total: 3, by: 3, after: None },
        Slot::Register => Op::Put { key, value: vec![0xc0] },
        _ => Op::Put { key, value: Vec::new() },
    }
}

/// The way to the only value.
fn only_path(fields: &Fields) -> Path {
    let (mut at, mut path) = (fields, Path::root());
    while let Some((name, field)) = at.iter().next() {
        path = path.child(name.as_str());
        match field.as_map() {
            Some(deeper) => at = deeper,
            None => break,
        }
    }
    path
}

/// A document that versions are of.
static DOCUMENT: LazyLock<Row> = LazyLock::new(|| {
    let mut row = Row::default();
    for (author, seq, edit) in [
        (0u8, 1u64, Field::from("a")),
        (1, 1, Field::from("b")),
        (1, 2, Field::set(["x", "y"])),
        (0, 2, Field::Counter(7)),
        (1, 3, Field::map([("deep", Value::from(3i64))])),
    ] {
        let dot = Dot { origin: origin(author), seq };
        let stamp = Stamp { dot, time: Timestamp::from_millis(1000 + seq) };
        let name = format!("f{}", seq + u64::from(author) * 3);
        let mut draft = Draft::new(row.clone(), stamp);
        draft.set(&Path::from(name.as_str()), &edit).expect("an edit");
        row.apply_all(&draft.into_ops(), &stamp);
    }
    // Two that did not see each other: siblings, and two kinds at one place.
    for (author, seq, edit) in [(0, 5, Field::from("one")), (1, 5, Field::set(["two"]))] {
        let dot = Dot { origin: origin(author), seq };
        let stamp = Stamp { dot, time: Timestamp::from_millis(2000 + seq) };
        let mut draft = Draft::new(Row::default(), stamp);
        draft.set(&Path::from("clash"), &edit).expect("an edit");
        row.apply_all(&draft.into_ops(), &stamp);
    }
    row
});

/// The version of [`DOCUMENT`], for the corpus.
pub(super) fn sample_version() -> Vec<u8> {
    Version::of(&DOCUMENT).as_bytes().to_vec()
}

/// A version that a caller hands back with what to write; the first byte says what.
///
/// Whatever it claims, what is written is a transaction that every reader accepts.
pub fn version(data: &[u8]) {
    let mut input = Input(data);
    let what = input.byte();
    let version = Version::from_bytes(input.0);
    let Ok(base) = Base::from_version(&version) else { return };
    let own = Dot { origin: origin(what & 1), seq: 6 };
    let stamp = Stamp { dot: own, time: Timestamp::from_millis(5000) };
    let mut fields = view::fields(&DOCUMENT).expect("it is shown");
    if what & 2 != 0 {
        let first = fields.keys().next().cloned();
        first.map(|name| fields.remove(&name));
    }
    if what & 4 != 0 {
        fields.insert("clash".to_owned(), Field::Counter(i64::from(what)));
    }
    if what & 8 != 0 {
        fields.insert("f2".to_owned(), Field::Counter(i64::MIN));
    }
    let mut draft = Draft::new(DOCUMENT.clone(), stamp);
    let written = match what & 16 {
        0 => draft.put(&fields, Some(&base)),
        _ => draft.delete(Some(&base)).map(drop),
    };
    if written.is_err() {
        return;
    }
    let ops = draft.into_ops();
    if ops.is_empty() {
        return;
    }
    let docs = vec![DocOps { id: "n".to_owned(), ops: ops.clone() }];
    let txn = Txn { dot: own, prev: Hash([7; 32]), time: stamp.time, deps: Vec::new(), docs };
    let bytes = txn::encode(&txn).expect("within the limits");
    assert_eq!(txn::decode(&bytes).expect("every reader accepts it"), txn);
    let mut row = DOCUMENT.clone();
    row.apply_all(&ops, &stamp);
    join::check(&row, |_| true).expect("a row");
    show(&row);
}

/// What lies in the tables of a store's state; the first byte says in which.
pub fn state(data: &[u8]) {
    let mut input = Input(data);
    let table = input.byte();
    littoral::store::door::read_back(table, input.0);
}

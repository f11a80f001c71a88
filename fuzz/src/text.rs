//! Text that people and programs write: JSON, paths, keys and addresses.

use littoral::clock::Timestamp;
use littoral::crdt::{Row, Stamp, view};
use littoral::id::{Dot, NodeId, check_collection, check_id};
use littoral::query::{Cursor, Filter, Order};
use littoral::txn::edit::Draft;
use littoral::value::{
    field_to_json, fields_from_json, fields_to_json, fields_to_msgpack, parse_field, parse_fields,
    parse_fields_msgpack, parse_value, value_to_json,
};
use littoral::{ErrorKind, Field, Fields, Path, Value};

use super::stores::origin;

/// A document, or some of them, one a line, as an import reads them.
pub fn json(data: &[u8]) {
    for line in data.split(|&byte| byte == b'\n') {
        document(line);
        if let Ok(field) = parse_field(line, &Path::from("x")) {
            let text = field_to_json(&field).to_string();
            assert_eq!(
                parse_field(text.as_bytes(), &Path::from("x")).expect("its own JSON"),
                field
            );
        }
        if let Ok(value) = parse_value(line, &Path::root()) {
            let text = value_to_json(&value).to_string();
            assert_eq!(parse_value(text.as_bytes(), &Path::root()).expect("its own JSON"), value);
        }
        if let Ok(plain) = serde_json::from_slice::<serde_json::Value>(line) {
            let _ = fields_from_json(&plain);
        }
    }
}

/// A document as programs write it.
pub fn msgpack(data: &[u8]) {
    let Ok(fields) = parse_fields_msgpack(data) else { return };
    let bytes = fields_to_msgpack(&fields);
    let again = parse_fields_msgpack(&bytes).expect("its own MessagePack");
    // NaN, which no store takes, is unlike itself.
    assert_eq!(fields_to_msgpack(&again), bytes);
    let _ = parse_fields(fields_to_json(&fields).to_string().as_bytes());
}

fn document(text: &[u8]) {
    let Ok(fields) = parse_fields(text) else { return };
    let json = fields_to_json(&fields);
    assert_eq!(parse_fields(json.to_string().as_bytes()).expect("its own JSON"), fields);
    assert_eq!(fields_from_json(&json).expect("its own JSON"), fields);
    let stamp = Stamp { dot: Dot { origin: origin(0), seq: 1 }, time: Timestamp::default() };
    let mut draft = Draft::new(Row::default(), stamp);
    match draft.put(&fields, None) {
        Ok(()) => {
            let mut row = Row::default();
            row.apply_all(&draft.into_ops(), &stamp);
            assert_eq!(view::fields(&row).expect("it was put"), fields);
            // As it was read, it is put back without a change.
            let mut again = Draft::new(row, stamp);
            again.put(&fields, None).expect("it was put before");
            assert!(again.into_ops().is_empty());
        }
        Err(err) => {
            let refused = [ErrorKind::LimitExceeded, ErrorKind::InvalidInput];
            assert!(refused.contains(&err.kind()), "{err}");
        }
    }
    merge(&fields);
}

/// Merging into another document leaves what was given.
fn merge(fields: &Fields) {
    let stamp = Stamp { dot: Dot { origin: origin(0), seq: 1 }, time: Timestamp::default() };
    let mut row = Row::default();
    let mut draft = Draft::new(Row::default(), stamp);
    let before = [("a", Field::from("text")), ("b", Field::map([("c", Value::from(1i64))]))];
    let before = before.map(|(name, field)| (name.to_owned(), field)).into();
    draft.put(&before, None).expect("a document");
    row.apply_all(&draft.into_ops(), &stamp);
    let later = Stamp { dot: Dot { origin: origin(0), seq: 2 }, ..stamp };
    let mut draft = Draft::new(row.clone(), later);
    if draft.merge(fields).is_ok() {
        row.apply_all(&draft.into_ops(), &later);
        let shown = view::fields(&row).expect("a document");
        assert!(fields.keys().all(|name| shown.contains_key(name)));
    }
}

/// Paths, keys of nodes, names, addresses and filters.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = Path::parse_pointer(text) {
        assert_eq!(path.to_string(), text);
        let at = littoral::crdt::key::prefix(&path);
        if littoral::crdt::key::check_prefix(&at).is_err() {
            assert!(path.depth() > 64 || at.len() > 64 << 10, "a path is a prefix");
        }
    }
    if let Ok(node) = text.parse::<NodeId>() {
        assert_eq!(node.to_string().parse::<NodeId>().expect("its own text"), node);
    }
    let _ = (check_collection(text), check_id(text));
    if let Ok(filter) = Filter::parse(text) {
        let again = Filter::parse(&filter.to_string()).expect("its own text");
        assert_eq!(Filter::parse(&again.to_string()).expect("its own text"), again);
    }
    let _ = (Order::parse(text), text.parse::<Cursor>());
    #[cfg(feature = "net")]
    if let Ok(address) = text.parse::<littoral::net::PeerAddress>() {
        let again = address.to_string().parse::<littoral::net::PeerAddress>();
        assert_eq!(again.expect("its own text"), address);
    }
}

//! The order of values, across their kinds, as bytes.
//!
//! One encoding decides how results are sorted, where a page goes on, and how an index lies.
//! Comparing two keys byte by byte compares what they were made of:
//!
//! missing < null < false < true < numbers < times < texts < bytes < arrays < objects and maps < sets
//! < kinds that this version does not know
//!
//! Numbers are integers, floats and counters, by what they are worth: 1, 1.0 and a counter of 1 have
//! one key. (That a store holds 1 and 1.0 as two values is another matter: a person who asks for
//! `priority >= 3` means both, and in JSON they are one.) Of a text or of bytes the first
//! [`MAX_SORT_BYTES`] count, in the order of code points and not by any language's rules. Arrays,
//! objects, maps and sets are all the same within their kind: so keys are short, whatever a field
//! holds.
//!
//! No key is the beginning of another, so that keys can be put one after the other. The key of an
//! *element* of a set or an array is above all others: an index has it beside that of the whole.

use crate::limits::MAX_SORT_BYTES;
use crate::value::{Field, Value};

const MISSING: u8 = 1;
const NULL: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const NUMBER: u8 = 5;
const TIME: u8 = 6;
const TEXT: u8 = 7;
const BYTES: u8 = 8;
const ARRAY: u8 = 9;
const OBJECT: u8 = 10;
const SET: u8 = 11;
const OPAQUE: u8 = 12;
/// Before the key of an element.
pub(crate) const ELEMENT: u8 = 13;

/// Appends the key of a field that is not there.
pub(crate) fn put_missing(out: &mut Vec<u8>) {
    out.push(MISSING);
}

/// Appends the key of a field.
pub(crate) fn put_field(field: &Field, out: &mut Vec<u8>) {
    match field {
        Field::Value(value) => put_value(value, out),
        Field::Counter(sum) => put_integer(i128::from(*sum), out),
        Field::Map(_) => out.push(OBJECT),
        Field::Set(_) => out.push(SET),
    }
}

/// Appends the key of a value.
pub(crate) fn put_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Int(n) => put_integer(i128::from(*n), out),
        Value::UInt(n) => put_integer(i128::from(*n), out),
        Value::Float(x) => put_number(*x, 0, out),
        Value::Time(micros) => {
            out.push(TIME);
            out.extend_from_slice(&(*micros as u64 ^ (1 << 63)).to_be_bytes());
        }
        Value::Text(text) => put_bytes(TEXT, text.as_bytes(), out),
        Value::Bytes(bytes) => put_bytes(BYTES, bytes, out),
        Value::Array(_) => out.push(ARRAY),
        Value::Object(_) => out.push(OBJECT),
        Value::Opaque { .. } => out.push(OPAQUE),
    }
}

/// Appends the key of a text.
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_bytes(TEXT, text.as_bytes(), out);
}

/// The key of a value.
pub(crate) fn key_of(value: &Value) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    put_value(value, &mut key);
    key
}

/// As the nearest float, and then what it is off by: at most half of the distance of two floats
/// below 2^64, which is 2^10.
fn put_integer(n: i128, out: &mut Vec<u8>) {
    let nearest = n as f64;
    let off = i16::try_from(n - nearest as i128).expect("an integer of 64 bits");
    put_number(nearest, off, out);
}

fn put_number(x: f64, off: i16, out: &mut Vec<u8>) {
    // -0.0 is 0.0.
    let bits = (x + 0.0).to_bits();
    let bits = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.push(NUMBER);
    out.extend_from_slice(&bits.to_be_bytes());
    out.extend_from_slice(&(off as u16 ^ (1 << 15)).to_be_bytes());
}

fn put_bytes(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    put_escaped(bytes, out);
}

/// Bytes in their order and with an end: `00` is `00 ff`, the end `00 00`; `00 01` if there would be
/// more.
fn put_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let is_cut = bytes.len() > MAX_SORT_BYTES;
    put_open(bytes, out);
    out.extend_from_slice(&[0, u8::from(is_cut)]);
}

fn put_open(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(MAX_SORT_BYTES)];
    out.reserve(bytes.len() + 2);
    let mut parts = bytes.split(|byte| *byte == 0);
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(&[0, 0xff]);
        out.extend_from_slice(part);
    }
}

/// What the keys of all texts, or of all bytes, that begin with these begin with.
pub(crate) fn prefix_of(value: &Value) -> Option<Vec<u8>> {
    let (kind, bytes) = match value {
        Value::Text(text) => (TEXT, text.as_bytes()),
        Value::Bytes(bytes) => (BYTES, &bytes[..]),
        _ => return None,
    };
    let mut key = vec![kind];
    put_open(bytes, &mut key);
    Some(key)
}

/// The least key of the kind of a key, and the least of the next kind: what `<` looks at.
pub(crate) fn bounds_of_kind(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match key.first() {
        Some(&(FALSE | TRUE)) => (vec![FALSE], vec![NUMBER]),
        Some(kind) => (vec![*kind], vec![kind + 1]),
        None => (vec![0], vec![0]),
    }
}

/// Whether a key is that of many texts, or bytes, that begin alike.
pub(crate) fn is_cut(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(TEXT | BYTES))) && key.ends_with(&[0, 1])
}

/// How many bytes at the beginning of `keys` are the first one.
pub(crate) fn len_of_first(keys: &[u8]) -> Option<usize> {
    let within = |len: usize| (len <= keys.len()).then_some(len);
    match *keys.first()? {
        MISSING | NULL | FALSE | TRUE | ARRAY | OBJECT | SET | OPAQUE => Some(1),
        NUMBER => within(11),
        TIME => within(9),
        TEXT | BYTES => {
            let mut at = 1;
            loop {
                match (*keys.get(at)?, keys.get(at + 1)) {
                    (0, Some(0 | 1)) => return Some(at + 2),
                    (0, Some(0xff)) => at += 2,
                    (0, _) => return None,
                    _ => at += 1,
                }
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn int(n: i64) -> Value {
        Value::Int(n)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// Each below the next.
    fn ascending() -> Vec<Value> {
        vec![
            Value::Null,
            Value::Bool(false),
            Value::Bool(true),
            Value::Float(f64::MIN),
            int(i64::MIN),
            int(i64::MIN + 1),
            Value::Float(-1.5),
            int(-1),
            Value::Float(-f64::MIN_POSITIVE),
            int(0),
            Value::Float(f64::from_bits(1)),
            Value::Float(0.5),
            int(1),
            Value::Float(1.5),
            int((1 << 53) - 1),
            int(1 << 53),
            int((1 << 53) + 1),
            int((1 << 53) + 2),
            int(i64::MAX - 1),
            int(i64::MAX),
            Value::Float(9_223_372_036_854_775_808.0),
            Value::UInt(i64::MAX as u64 + 2),
            Value::UInt(u64::MAX - 1),
            Value::UInt(u64::MAX),
            Value::Float(18_446_744_073_709_551_616.0),
            Value::Float(f64::MAX),
            Value::Time(i64::MIN),
            Value::Time(-1),
            Value::Time(0),
            Value::Time(i64::MAX),
            text(""),
            text("\0"),
            text("\0\0"),
            text("\0a"),
            text("a"),
            text("a\0"),
            text("a\0b"),
            text("aa"),
            text("\u{ffff}"),
            text("\u{10000}"),
            Value::Bytes(vec![]),
            Value::Bytes(vec![0]),
            Value::Bytes(vec![0, 0xff]),
            Value::Bytes(vec![1]),
            Value::Bytes(vec![0xff]),
            Value::Array(vec![int(7)]),
            Value::Object(BTreeMap::new()),
            Value::Opaque { kind: -1, bytes: vec![] },
        ]
    }

    #[test]
    fn keys_have_the_order_that_is_promised() {
        let values = ascending();
        let keys: Vec<Vec<u8>> = values.iter().map(key_of).collect();
        for (a, key) in keys.iter().enumerate() {
            for (b, other) in keys.iter().enumerate() {
                assert_eq!(key.cmp(other), a.cmp(&b), "{:?} and {:?}", values[a], values[b]);
                assert!(a == b || !other.starts_with(key), "{:?}, {:?}", values[a], values[b]);
            }
            assert_eq!(len_of_first(&[&key[..], b"\x01rest"].concat()), Some(key.len()));
            (0..key.len()).for_each(|len| assert_eq!(len_of_first(&key[..len]), None));
        }
        let mut missing = Vec::new();
        put_missing(&mut missing);
        assert!(missing < keys[0]);
    }

    #[test]
    fn what_is_worth_the_same_is_the_same() {
        for (a, b) in [
            (int(1), Value::Float(1.0)),
            (int(0), Value::Float(-0.0)),
            (int(5), Value::UInt(5)),
            (int(1 << 60), Value::Float((1u64 << 60) as f64)),
        ] {
            assert_eq!(key_of(&a), key_of(&b));
        }
        let mut counter = Vec::new();
        put_field(&Field::Counter(-3), &mut counter);
        assert_eq!(counter, key_of(&int(-3)));
        let mut set = Vec::new();
        put_field(&Field::set([1]), &mut set);
        let mut map = Vec::new();
        put_field(&Field::map([("a", 1)]), &mut map);
        assert_eq!((set, map), (vec![SET], vec![OBJECT]));
    }

    #[test]
    fn of_a_long_text_the_beginning_counts() {
        let long = |end: &str| key_of(&text(&("x".repeat(MAX_SORT_BYTES) + end)));
        assert!(long("") < long("a"));
        assert_eq!(long("a"), long("b"));
        assert!(long("b") < key_of(&text(&("x".repeat(MAX_SORT_BYTES - 1) + "y"))));
        assert!(long("b").len() < MAX_SORT_BYTES + 4);
        assert_eq!(len_of_first(&long("a")), Some(long("a").len()));
        let prefix = prefix_of(&text(&"x".repeat(MAX_SORT_BYTES + 9))).unwrap();
        assert!(long("a").starts_with(&prefix) && long("").starts_with(&prefix));
    }

    #[test]
    fn what_begins_with_a_text_is_a_range() {
        let prefix = prefix_of(&text("a\0b")).unwrap();
        assert!(key_of(&text("a\0b")).starts_with(&prefix));
        assert!(key_of(&text("a\0bc")).starts_with(&prefix));
        assert!(!key_of(&text("a\0")).starts_with(&prefix));
        assert!(!key_of(&Value::Bytes(b"a\0b".to_vec())).starts_with(&prefix));
        assert_eq!(prefix_of(&int(1)), None);
        let (low, high) = bounds_of_kind(&key_of(&Value::Bool(true)));
        let is_within = |value: &Value| key_of(value) >= low && key_of(value) < high;
        let within: Vec<Value> = ascending().into_iter().filter(is_within).collect();
        assert_eq!(within, [Value::Bool(false), Value::Bool(true)]);
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_by_what_they_are_worth(a: i64, b: u64, x in proptest::num::f64::NORMAL) {
            let (ka, kb) = (key_of(&Value::Int(a)), key_of(&Value::UInt(b)));
            prop_assert_eq!(ka.cmp(&kb), i128::from(a).cmp(&i128::from(b)));
            let kx = key_of(&Value::Float(x));
            // Exact, where the float has a fraction or not.
            let whole = if x.abs() < 1e30 { (x.trunc() as i128).cmp(&i128::from(a)) }
                else if x > 0.0 { Ordering::Greater } else { Ordering::Less };
            let exact = match whole {
                Ordering::Equal => x.fract().partial_cmp(&0.0).unwrap(),
                other => other,
            };
            prop_assert_eq!(kx.cmp(&ka), exact);
        }
    }
}

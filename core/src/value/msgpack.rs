//! Documents as MessagePack, for programs: exact, and without text in between.
//!
//! A document is a map of fields by name. Integers, floats, text, bytes, null, truth, arrays and
//! maps are those of MessagePack; a moment is its timestamp extension (type -1), microseconds at
//! most. What MessagePack has no word for is a map of one special name, as in [`json`](super::json):
//! `{"$set": [..]}`, `{"$counter": 3}`, `{"$opaque": {"kind": 7, "bytes": "aGk="}}`, and
//! `{"$literal": {..}}` for a map whose own single name is one of these. `$bytes` and `$time` are
//! read as in JSON and never written.
//!
//! Unlike [`codec`](super::codec), which has one form of each value and is what is stored, this
//! reads every form that MessagePack has: integers of any width, floats of 32 bits, timestamps of
//! 32, 64 and 96. A moment is cut to whole microseconds, as in JSON.
//!
//! Invariants: what [`fields_to_msgpack`] writes, [`parse_fields_msgpack`] reads back unchanged; a
//! length is never a reason to take memory; nothing is guessed: a name given twice, one that is no
//! text, another extension type and bytes after the end are errors that name the place.

use std::collections::BTreeMap;

use rmp::Marker;
use rmp::encode as write;

use super::json::{At, document, is_special};
use super::{Field, Fields, Path, Value, value_to_json};
use crate::error::{Error, Result};
use crate::limits::{MAX_DEPTH, MAX_JSON_DEPTH};

/// The extension type that MessagePack has for moments.
const TIMESTAMP: i8 = -1;
const INFALLIBLE: &str = "writing to a Vec does not fail";

/// The MessagePack of a document, its names sorted.
///
/// ```
/// use littoral::value::{Fields, fields_to_msgpack, parse_fields_msgpack};
///
/// let fields = Fields::from([("depth", 7)]);
/// let bytes = fields_to_msgpack(&fields);
/// assert_eq!(bytes, b"\x81\xa5depth\x07");
/// assert_eq!(parse_fields_msgpack(&bytes)?, fields);
/// # Ok::<(), littoral::Error>(())
/// ```
pub fn fields_to_msgpack(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::with_capacity(fields.about_bytes());
    write_fields(fields, &mut out);
    out
}

/// The fields of a document, from MessagePack.
///
/// Errors: `InvalidInput` with the place, `LimitExceeded` for a document nested too deep.
pub fn parse_fields_msgpack(bytes: &[u8]) -> Result<Fields> {
    let root = Path::root();
    let at = At::base(&root);
    let mut reader = Reader { rest: bytes };
    let plain = reader.value(&at)?;
    match reader.rest.len() {
        0 => document(plain, &at),
        more => Err(Error::invalid(format!("{more} bytes follow the end of the MessagePack"))),
    }
}

fn write_fields(fields: &Fields, out: &mut Vec<u8>) {
    let literal = fields.len() == 1 && fields.keys().any(|name| is_special(name));
    open(fields.len(), literal, out);
    for (name, field) in fields {
        write::write_str(out, name).expect(INFALLIBLE);
        match field {
            Field::Value(value) => write_value(value, out),
            Field::Map(fields) => write_fields(fields, out),
            Field::Set(elements) => {
                tag("$set", out);
                write::write_array_len(out, len(elements.len())).expect(INFALLIBLE);
                elements.iter().for_each(|element| write_value(element, out));
            }
            Field::Counter(sum) => {
                tag("$counter", out);
                write::write_sint(out, *sum).expect(INFALLIBLE);
            }
        }
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => write::write_nil(out).expect(INFALLIBLE),
        Value::Bool(b) => write::write_bool(out, *b).expect(INFALLIBLE),
        Value::Int(n) => drop(write::write_sint(out, *n).expect(INFALLIBLE)),
        Value::UInt(n) => drop(write::write_uint(out, *n).expect(INFALLIBLE)),
        Value::Float(x) => write::write_f64(out, x + 0.0).expect(INFALLIBLE), // -0.0 is 0.0
        Value::Text(text) => write::write_str(out, text).expect(INFALLIBLE),
        Value::Bytes(bytes) => write::write_bin(out, bytes).expect(INFALLIBLE),
        Value::Time(micros) => write_time(*micros, out),
        Value::Array(items) => {
            write::write_array_len(out, len(items.len())).expect(INFALLIBLE);
            items.iter().for_each(|item| write_value(item, out));
        }
        Value::Object(members) => {
            let literal = members.len() == 1 && members.keys().any(|name| is_special(name));
            open(members.len(), literal, out);
            for (name, value) in members {
                write::write_str(out, name).expect(INFALLIBLE);
                write_value(value, out);
            }
        }
        Value::Opaque { kind, .. } => {
            tag("$opaque", out);
            write::write_map_len(out, 2).expect(INFALLIBLE);
            let form = value_to_json(value);
            write::write_str(out, "bytes").expect(INFALLIBLE);
            let text = form["$opaque"]["bytes"].as_str().unwrap_or_default();
            write::write_str(out, text).expect(INFALLIBLE);
            write::write_str(out, "kind").expect(INFALLIBLE);
            write::write_sint(out, i64::from(*kind)).expect(INFALLIBLE);
        }
    }
}

/// The shortest of the three forms of a timestamp.
fn write_time(micros: i64, out: &mut Vec<u8>) {
    let (seconds, nanos) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) * 1000);
    let (low, nanos) = (u32::try_from(seconds), nanos as u32);
    match (low, u64::try_from(seconds)) {
        (Ok(seconds), _) if nanos == 0 => {
            write::write_ext_meta(out, 4, TIMESTAMP).expect(INFALLIBLE);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        (_, Ok(seconds)) if seconds < 1 << 34 => {
            write::write_ext_meta(out, 8, TIMESTAMP).expect(INFALLIBLE);
            out.extend_from_slice(&(u64::from(nanos) << 34 | seconds).to_be_bytes());
        }
        _ => {
            write::write_ext_meta(out, 12, TIMESTAMP).expect(INFALLIBLE);
            out.extend_from_slice(&nanos.to_be_bytes());
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

/// Begins a map, inside `$literal` if it would be read as something special.
fn open(members: usize, literal: bool, out: &mut Vec<u8>) {
    if literal {
        tag("$literal", out);
    }
    write::write_map_len(out, len(members)).expect(INFALLIBLE);
}

/// Begins a map of one special name.
fn tag(name: &str, out: &mut Vec<u8>) {
    write::write_map_len(out, 1).expect(INFALLIBLE);
    write::write_str(out, name).expect(INFALLIBLE);
}

/// Documents are far smaller than what MessagePack can count.
fn len(len: usize) -> u32 {
    u32::try_from(len).expect("a document has less than 2^32 of anything")
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next value as it is written, before the special forms are given their meaning; `at` is a
    /// place in the MessagePack, where `$literal` counts as a name.
    fn value(&mut self, at: &At<'_>) -> Result<Value> {
        if at.depth() > MAX_JSON_DEPTH {
            return Err(Error::limit(format!(
                "the document is nested deeper than {MAX_DEPTH} {at}; make it flatter"
            )));
        }
        let marker = Marker::from_u8(self.array::<1>(at)?[0]);
        let int = |n: i64| Ok(Value::Int(n));
        match marker {
            Marker::Null => Ok(Value::Null),
            Marker::False => Ok(Value::Bool(false)),
            Marker::True => Ok(Value::Bool(true)),
            Marker::FixPos(n) => int(n.into()),
            Marker::FixNeg(n) => int(n.into()),
            Marker::U8 => int(self.uint::<1>(at)? as i64),
            Marker::U16 => int(self.uint::<2>(at)? as i64),
            Marker::U32 => int(self.uint::<4>(at)? as i64),
            Marker::U64 => {
                let n = self.uint::<8>(at)?;
                Ok(i64::try_from(n).map_or(Value::UInt(n), Value::Int))
            }
            Marker::I8 => int(i8::from_be_bytes(self.array(at)?).into()),
            Marker::I16 => int(i16::from_be_bytes(self.array(at)?).into()),
            Marker::I32 => int(i32::from_be_bytes(self.array(at)?).into()),
            Marker::I64 => int(i64::from_be_bytes(self.array(at)?)),
            Marker::F32 => Ok(Value::Float(f32::from_be_bytes(self.array(at)?).into())),
            Marker::F64 => Ok(Value::Float(f64::from_be_bytes(self.array(at)?))),
            Marker::FixStr(len) => self.text(len.into(), at).map(Value::from),
            Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let len = self.len_of(marker, at)?;
                self.text(len, at).map(Value::from)
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let len = self.len_of(marker, at)?;
                Ok(Value::Bytes(self.take(len, at)?.to_vec()))
            }
            Marker::FixArray(len) => self.items(len.into(), at),
            Marker::Array16 | Marker::Array32 => {
                let len = self.len_of(marker, at)?;
                self.items(len, at)
            }
            Marker::FixMap(len) => self.members(len.into(), at),
            Marker::Map16 | Marker::Map32 => {
                let len = self.len_of(marker, at)?;
                self.members(len, at)
            }
            Marker::FixExt1 => self.extension(1, at),
            Marker::FixExt2 => self.extension(2, at),
            Marker::FixExt4 => self.extension(4, at),
            Marker::FixExt8 => self.extension(8, at),
            Marker::FixExt16 => self.extension(16, at),
            Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => {
                let len = self.len_of(marker, at)?;
                self.extension(len, at)
            }
            Marker::Reserved => Err(bad("has a byte (C1) that begins nothing", at)),
        }
    }

    /// The length that follows this marker.
    fn len_of(&mut self, marker: Marker, at: &At<'_>) -> Result<usize> {
        let len = match marker {
            Marker::Str8 | Marker::Bin8 | Marker::Ext8 => self.uint::<1>(at)?,
            Marker::Str32 | Marker::Bin32 | Marker::Ext32 | Marker::Array32 | Marker::Map32 => {
                self.uint::<4>(at)?
            }
            _ => self.uint::<2>(at)?,
        };
        usize::try_from(len).map_err(|_| ends_early(at))
    }

    fn items(&mut self, len: usize, at: &At<'_>) -> Result<Value> {
        let mut items = Vec::new();
        for index in 0..len {
            items.push(self.value(&at.index(index))?);
        }
        Ok(Value::Array(items))
    }

    fn members(&mut self, len: usize, at: &At<'_>) -> Result<Value> {
        let mut members = BTreeMap::new();
        for _ in 0..len {
            let Value::Text(name) = self.value(at)? else {
                return Err(bad("has a name that is no text", at));
            };
            let here = at.name(&name);
            if members.contains_key(name.as_str()) {
                return Err(Error::invalid(format!(
                    "the name of a member is given twice {here}; leave one out"
                )));
            }
            let value = self.value(&here)?;
            members.insert(String::from(name.clone()), value);
        }
        Ok(Value::Object(members))
    }

    fn extension(&mut self, len: usize, at: &At<'_>) -> Result<Value> {
        let kind = i8::from_be_bytes(self.array(at)?);
        let bytes = self.take(len, at)?;
        if kind != TIMESTAMP {
            return Err(bad(
                &format!("has an extension of type {kind}; only timestamps (-1) are known"),
                at,
            ));
        }
        let (seconds, nanos) = match *bytes {
            [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
            [a, b, c, d, e, f, g, h] => {
                let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                ((both & ((1 << 34) - 1)) as i64, both >> 34)
            }
            [a, b, c, d, ref seconds @ ..] if seconds.len() == 8 => {
                let seconds = i64::from_be_bytes(seconds.try_into().expect("8 bytes"));
                (seconds, u64::from(u32::from_be_bytes([a, b, c, d])))
            }
            _ => return Err(bad("has a timestamp of another length than 4, 8 or 12 bytes", at)),
        };
        if nanos >= 1_000_000_000 {
            return Err(bad("has a timestamp of a second or more of nanoseconds", at));
        }
        let micros = i128::from(seconds) * 1_000_000 + i128::from(nanos / 1000);
        match i64::try_from(micros) {
            Ok(micros) => Ok(Value::Time(micros)),
            Err(_) => Err(bad("has a timestamp over 290,000 years from 1970", at)),
        }
    }

    fn text(&mut self, len: usize, at: &At<'_>) -> Result<&'a str> {
        let bytes = self.take(len, at)?;
        std::str::from_utf8(bytes).map_err(|_| bad("has text that is not UTF-8; write bytes", at))
    }

    fn uint<const N: usize>(&mut self, at: &At<'_>) -> Result<u64> {
        let mut wide = [0; 8];
        wide[8 - N..].copy_from_slice(&self.array::<N>(at)?);
        Ok(u64::from_be_bytes(wide))
    }

    fn array<const N: usize>(&mut self, at: &At<'_>) -> Result<[u8; N]> {
        Ok(self.take(N, at)?.try_into().expect("took N bytes"))
    }

    fn take(&mut self, len: usize, at: &At<'_>) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| ends_early(at))?;
        self.rest = rest;
        Ok(head)
    }
}

fn ends_early(at: &At<'_>) -> Error {
    bad("ends too early", at)
}

fn bad(what: &str, at: &At<'_>) -> Error {
    Error::invalid(format!("the MessagePack {what} {at}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ErrorKind;
    use crate::value::parse_fields;

    fn from_json(text: &str) -> Fields {
        parse_fields(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_kind_is_there_and_back() {
        let text = r#"{"null": null, "yes": true, "int": -7, "big": 18446744073709551615, "float": 1.5,
            "text": "å", "bytes": {"$bytes": "AAEC"}, "time": {"$time": "2026-11-22T16:00:00.123456Z"},
            "array": [1, {"$literal": {"$set": 1}}, {"$bytes": "/w=="}, {"b": [{"$time": "1969-12-31T23:59:59Z"}]}],
            "map": {"in": {}}, "set": {"$set": [1, "a", {"$bytes": "AA=="}]}, "counter": {"$counter": -3},
            "odd": {"$literal": {"$counter": 1}}, "opaque": {"$opaque": {"kind": -1, "bytes": "aGk="}}}"#;
        let fields = from_json(text);
        let bytes = fields_to_msgpack(&fields);
        assert_eq!(parse_fields_msgpack(&bytes).unwrap(), fields);
        let only = from_json(r#"{"$literal": {"$time": "noon"}}"#);
        assert_eq!(parse_fields_msgpack(&fields_to_msgpack(&only)).unwrap(), only);
        // Bytes are bytes, and a time is what MessagePack has for it.
        let find = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(find(b"\xa5bytes\xc4\x03\x00\x01\x02") && find(b"\xa4time\xd7\xff"));
    }

    #[test]
    fn times_take_the_shortest_form_and_are_read_in_each() {
        for (micros, form) in [
            (0, 0xd6),
            (4_294_967_295_000_000, 0xd6),
            (1, 0xd7),
            (4_294_967_296_000_000, 0xd7),
            (17_179_869_183_999_999, 0xd7),
            (17_179_869_184_000_000, 0xc7),
            (-1, 0xc7),
            (i64::MIN, 0xc7),
            (i64::MAX, 0xc7),
        ] {
            let fields = Fields::from([("t", Field::Value(Value::Time(micros)))]);
            let bytes = fields_to_msgpack(&fields);
            assert_eq!(bytes[3], form, "{micros}");
            assert_eq!(parse_fields_msgpack(&bytes).unwrap(), fields);
        }
        let nanos = b"\x81\xa1t\xc7\x0c\xff\x00\x00\x07\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
        let time = Field::Value(Value::Time(-1_000_000 + 1));
        assert_eq!(parse_fields_msgpack(nanos).unwrap()["t"], time);
    }

    #[test]
    fn numbers_are_read_in_any_width() {
        let seven: [&[u8]; 6] = [
            b"\x07",
            b"\xcc\x07",
            b"\xcd\0\x07",
            b"\xd0\x07",
            b"\xd3\0\0\0\0\0\0\0\x07",
            b"\xce\0\0\0\x07",
        ];
        for form in seven {
            let bytes = [b"\x81\xa1n", form].concat();
            assert_eq!(parse_fields_msgpack(&bytes).unwrap()["n"], Field::from(7));
        }
        let float = parse_fields_msgpack(b"\x81\xa1n\xca\x3f\xc0\0\0").unwrap();
        assert_eq!(float["n"], Field::from(1.5));
    }

    #[test]
    fn what_can_not_be_meant_is_refused_with_its_place() {
        for (bytes, says) in [
            (&b""[..], "ends too early"),
            (b"\x81", "ends too early"),
            (b"\x80\x80", "1 bytes follow"),
            (b"\x90", "a document is a JSON object"),
            (b"\x82\xa1a\x01\xa1a\x02", "twice at '/a'"),
            (b"\x81\x01\x01", "no text"),
            (b"\x81\xa1a\xc1", "C1"),
            (b"\x81\xa1a\xa1\xff", "not UTF-8; write bytes at '/a'"),
            (b"\x81\xa1a\xd4\x07\x00", "type 7"),
            (b"\x81\xa1a\xd5\xff\x00\x00", "another length"),
            (b"\x81\xa1a\xd7\xff\xff\xff\xff\xff\0\0\0\0", "nanoseconds"),
            (b"\x81\xa1a\xdd\xff\xff\xff\xff", "ends too early at '/a/0'"),
            (b"\x81\xa1a\xc6\xff\xff\xff\xff", "ends too early"),
            (b"\xdf\xff\xff\xff\xff", "ends too early"),
        ] {
            let err = parse_fields_msgpack(bytes).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::InvalidInput);
            assert!(err.message().contains(says), "{err}");
        }
        let deep = [b"\x81\xa1a".repeat(100_000), vec![1]].concat();
        assert_eq!(parse_fields_msgpack(&deep).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_read_back_as_they_are_written(
            bytes in prop::collection::vec(any::<u8>(), 0..60)
        ) {
            if let Ok(fields) = parse_fields_msgpack(&bytes)
                && fields_to_msgpack(&fields) != bytes
            {
                let again = fields_to_msgpack(&fields);
                prop_assert_eq!(fields_to_msgpack(&parse_fields_msgpack(&again).unwrap()), again);
            }
        }
    }
}

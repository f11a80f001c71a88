//! MessagePack for JSON: bodies that say the same in fewer bytes, and bytes and times as such.
//!
//! | JSON | MessagePack |
//! | --- | --- |
//! | `{"$bytes": base64}` | bin |
//! | `{"$time": RFC 3339}` | extension -1, the timestamp of the specification |
//! | an integer; a number with `.` or `e` | an integer; a float of 64 bits (when read, also of 32) |
//! | all else, also `$set`, `$counter`, `$opaque` and `$literal` | the same |
//!
//! Handlers know JSON alone: a body becomes JSON before they see it and an answer MessagePack
//! after, so that what a body may say, and how errors name a place in it, is the same in both.
//!
//! Invariants: what [`from_json`] writes of a document, [`to_json`] reads back unchanged. Nothing is
//! guessed: names that are not text, text that is not UTF-8, floats that are no numbers, other
//! extensions and bytes after the end are errors; a name given twice stays there twice, and is
//! refused by whoever reads the JSON. A length is never a reason to take memory.

use std::io::Write as _;

use data_encoding::BASE64;
use littoral::limits::{MAX_HTTP_PACKED_DEPTH, MAX_HTTP_UNPACKED_BYTES};
use littoral::value::parse_value;
use littoral::{Error, ErrorKind, Path, Result, Value};
use rmp::Marker;
use rmp::encode as put;
use serde_json::{Map, Value as Json};

/// The extension of moments.
const TIMESTAMP: i8 = -1;
const MICROS: i64 = 1_000_000;
const INFALLIBLE: &str = "a vector takes all";

/// The JSON text of a body. An empty one is an empty text.
///
/// Errors: `InvalidInput`, `LimitExceeded` if it is nested too deep or large as JSON.
pub(super) fn to_json(packed: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader { packed, at: 0, text: Vec::new() };
    if !packed.is_empty() {
        reader.value(0)?;
    }
    match reader.at == packed.len() {
        true => Ok(reader.text),
        false => Err(reader.bad("there are bytes after the end")),
    }
}

struct Reader<'a> {
    packed: &'a [u8],
    at: usize,
    text: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn bad(&self, what: &str) -> Error {
        let why = format!("the MessagePack of the body is malformed at byte {}: {what}", self.at);
        Error::new(ErrorKind::InvalidInput, why)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let taken =
            self.packed[self.at..].get(..len).ok_or_else(|| self.bad("it ends too early"))?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }

    /// A big-endian number of `N` bytes, without a sign.
    fn uint<const N: usize>(&mut self) -> Result<u64> {
        let mut wide = [0; 8];
        wide[8 - N..].copy_from_slice(&self.array::<N>()?);
        Ok(u64::from_be_bytes(wide))
    }

    fn len<const N: usize>(&mut self) -> Result<usize> {
        Ok(self.uint::<N>()? as usize)
    }

    fn value(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_HTTP_PACKED_DEPTH {
            let why = format!("the body is nested deeper than {MAX_HTTP_PACKED_DEPTH}");
            return Err(Error::new(ErrorKind::LimitExceeded, why));
        }
        match Marker::from_u8(self.array::<1>()?[0]) {
            Marker::Null => self.write(b"null"),
            Marker::True => self.write(b"true"),
            Marker::False => self.write(b"false"),
            Marker::FixPos(n) => self.signed(n.into()),
            Marker::FixNeg(n) => self.signed(n.into()),
            Marker::U8 => self.uint::<1>().and_then(|n| self.unsigned(n)),
            Marker::U16 => self.uint::<2>().and_then(|n| self.unsigned(n)),
            Marker::U32 => self.uint::<4>().and_then(|n| self.unsigned(n)),
            Marker::U64 => self.uint::<8>().and_then(|n| self.unsigned(n)),
            Marker::I8 => self.array().and_then(|n| self.signed(i8::from_be_bytes(n).into())),
            Marker::I16 => self.array().and_then(|n| self.signed(i16::from_be_bytes(n).into())),
            Marker::I32 => self.array().and_then(|n| self.signed(i32::from_be_bytes(n).into())),
            Marker::I64 => self.array().and_then(|n| self.signed(i64::from_be_bytes(n))),
            Marker::F32 => self.array().and_then(|x| self.float(f32::from_be_bytes(x).into())),
            Marker::F64 => self.array().and_then(|x| self.float(f64::from_be_bytes(x))),
            Marker::FixStr(n) => self.text(n.into()),
            Marker::Str8 => self.len::<1>().and_then(|n| self.text(n)),
            Marker::Str16 => self.len::<2>().and_then(|n| self.text(n)),
            Marker::Str32 => self.len::<4>().and_then(|n| self.text(n)),
            Marker::Bin8 => self.len::<1>().and_then(|n| self.bytes(n)),
            Marker::Bin16 => self.len::<2>().and_then(|n| self.bytes(n)),
            Marker::Bin32 => self.len::<4>().and_then(|n| self.bytes(n)),
            Marker::FixArray(n) => self.items(n.into(), depth),
            Marker::Array16 => self.len::<2>().and_then(|n| self.items(n, depth)),
            Marker::Array32 => self.len::<4>().and_then(|n| self.items(n, depth)),
            Marker::FixMap(n) => self.members(n.into(), depth),
            Marker::Map16 => self.len::<2>().and_then(|n| self.members(n, depth)),
            Marker::Map32 => self.len::<4>().and_then(|n| self.members(n, depth)),
            Marker::FixExt1 => self.extension(1),
            Marker::FixExt2 => self.extension(2),
            Marker::FixExt4 => self.extension(4),
            Marker::FixExt8 => self.extension(8),
            Marker::FixExt16 => self.extension(16),
            Marker::Ext8 => self.len::<1>().and_then(|n| self.extension(n)),
            Marker::Ext16 => self.len::<2>().and_then(|n| self.extension(n)),
            Marker::Ext32 => self.len::<4>().and_then(|n| self.extension(n)),
            Marker::Reserved => Err(self.bad("a marker that means nothing")),
        }
    }

    /// Adds to the text, which has a limit: a few bytes of a body may be many of JSON.
    fn write(&mut self, text: &[u8]) -> Result<()> {
        if self.text.len() + text.len() > MAX_HTTP_UNPACKED_BYTES {
            let why = format!(
                "as JSON the body has over {MAX_HTTP_UNPACKED_BYTES} bytes; send smaller parts"
            );
            return Err(Error::new(ErrorKind::LimitExceeded, why));
        }
        self.text.extend_from_slice(text);
        Ok(())
    }

    fn signed(&mut self, n: i64) -> Result<()> {
        self.write(n.to_string().as_bytes())
    }

    fn unsigned(&mut self, n: u64) -> Result<()> {
        self.write(n.to_string().as_bytes())
    }

    fn float(&mut self, x: f64) -> Result<()> {
        // A number in JSON; of others it would be null.
        let text = serde_json::Number::from_f64(x).ok_or_else(|| {
            self.bad("NaN or an infinity, which can't be stored; use null or text")
        })?;
        self.write(text.to_string().as_bytes())
    }

    fn text(&mut self, len: usize) -> Result<()> {
        let bytes = self.take(len)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.bad("text that is not UTF-8; write binary data as bin"))?;
        let text = serde_json::to_vec(text).expect("text is JSON");
        self.write(&text)
    }

    fn bytes(&mut self, len: usize) -> Result<()> {
        let bytes = self.take(len)?;
        self.write(b"{\"$bytes\":\"")?;
        self.write(BASE64.encode(bytes).as_bytes())?;
        self.write(b"\"}")
    }

    fn items(&mut self, count: usize, depth: usize) -> Result<()> {
        self.write(b"[")?;
        for at in 0..count {
            self.write(if at == 0 { b"" } else { b"," })?;
            self.value(depth + 1)?;
        }
        self.write(b"]")
    }

    fn members(&mut self, count: usize, depth: usize) -> Result<()> {
        self.write(b"{")?;
        for at in 0..count {
            self.write(if at == 0 { b"" } else { b"," })?;
            let len = match Marker::from_u8(self.array::<1>()?[0]) {
                Marker::FixStr(n) => n.into(),
                Marker::Str8 => self.len::<1>()?,
                Marker::Str16 => self.len::<2>()?,
                Marker::Str32 => self.len::<4>()?,
                _ => return Err(self.bad("a name in a map that is not text")),
            };
            self.text(len)?;
            self.write(b":")?;
            self.value(depth + 1)?;
        }
        self.write(b"}")
    }

    fn extension(&mut self, len: usize) -> Result<()> {
        let kind = i8::from_be_bytes(self.array()?);
        let bytes = self.take(len)?;
        if kind != TIMESTAMP {
            return Err(self.bad("an extension other than -1, a timestamp"));
        }
        let micros = micros(bytes).ok_or_else(|| self.bad("a timestamp that is none"))?;
        // Exactly, and also beyond the years that RFC 3339 has.
        self.write(format!("{{\"$time\":\"{micros}us\"}}").as_bytes())
    }
}

/// The microseconds since 1970 of a timestamp; what is finer is cut.
fn micros(bytes: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            ((both & 0x3_ffff_ffff) as i64, both >> 34)
        }
        12 => {
            let (nanos, seconds) = bytes.split_at(4);
            let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
            (i64::from_be_bytes(seconds.try_into().ok()?), nanos.into())
        }
        _ => return None,
    };
    let all = i128::from(seconds) * i128::from(MICROS) + i128::from(nanos / 1000);
    i64::try_from(all).ok().filter(|_| nanos < 1_000_000_000)
}

/// The MessagePack of an answer, from its JSON text.
pub(super) fn from_json(text: &[u8]) -> Vec<u8> {
    let mut json = serde_json::Deserializer::from_slice(text);
    // Deep documents are: they were checked when they were written.
    json.disable_recursion_limit();
    let value: Json = serde::Deserialize::deserialize(&mut json).expect("an answer is JSON");
    let mut packed = Vec::with_capacity(text.len());
    pack(&value, &mut packed);
    packed
}

fn pack(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => put::write_nil(out).expect(INFALLIBLE),
        Json::Bool(b) => put::write_bool(out, *b).expect(INFALLIBLE),
        Json::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
            (Some(n), ..) => drop(put::write_uint(out, n).expect(INFALLIBLE)),
            (_, Some(n), _) => drop(put::write_sint(out, n).expect(INFALLIBLE)),
            (.., x) => put::write_f64(out, x.expect("a number of JSON is one")).expect(INFALLIBLE),
        },
        Json::String(text) => put::write_str(out, text).expect(INFALLIBLE),
        Json::Array(items) => {
            put::write_array_len(out, items.len() as u32).expect(INFALLIBLE);
            items.iter().for_each(|item| pack(item, out));
        }
        Json::Object(members) => object(members, out),
    }
}

fn object(members: &Map<String, Json>, out: &mut Vec<u8>) {
    let only = members.iter().next().filter(|_| members.len() == 1);
    match only {
        Some((name, Json::String(text))) if name == "$bytes" => {
            if let Ok(bytes) = BASE64.decode(text.as_bytes()) {
                return put::write_bin(out, &bytes).expect(INFALLIBLE);
            }
        }
        Some((name, Json::String(_))) if name == "$time" => {
            let read =
                parse_value(Json::Object(members.clone()).to_string().as_bytes(), &Path::root());
            if let Ok(Value::Time(micros)) = read {
                return timestamp(micros, out);
            }
        }
        // What is in it is an object whatever its name.
        Some((name, Json::Object(literal))) if name == "$literal" => {
            put::write_map_len(out, 1).expect(INFALLIBLE);
            put::write_str(out, name).expect(INFALLIBLE);
            return map(literal, out);
        }
        _ => {}
    }
    map(members, out);
}

fn map(members: &Map<String, Json>, out: &mut Vec<u8>) {
    put::write_map_len(out, members.len() as u32).expect(INFALLIBLE);
    for (name, value) in members {
        put::write_str(out, name).expect(INFALLIBLE);
        pack(value, out);
    }
}

/// A moment, in the shortest of its three forms.
fn timestamp(micros: i64, out: &mut Vec<u8>) {
    let (seconds, nanos) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS) as u32 * 1000);
    let mut write = |len, bytes: &[&[u8]]| {
        put::write_ext_meta(out, len, TIMESTAMP).expect(INFALLIBLE);
        bytes.iter().for_each(|part| out.write_all(part).expect(INFALLIBLE));
    };
    match (u32::try_from(seconds), nanos) {
        (Ok(seconds), 0) => write(4, &[&seconds.to_be_bytes()]),
        _ if (0..1 << 34).contains(&seconds) => {
            write(8, &[&(u64::from(nanos) << 34 | seconds as u64).to_be_bytes()]);
        }
        _ => write(12, &[&nanos.to_be_bytes(), &seconds.to_be_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral::value::{fields_to_json, parse_fields};
    use littoral::{Field, Fields};
    use serde_json::json;

    /// What comes back of a document that is told and sent again.
    fn there_and_back(fields: &Fields) -> Fields {
        let told = from_json(fields_to_json(fields).to_string().as_bytes());
        parse_fields(&to_json(&told).unwrap()).unwrap()
    }

    fn error(packed: &[u8]) -> (ErrorKind, String) {
        let err = to_json(packed).unwrap_err();
        (err.kind(), err.message().to_owned())
    }

    #[test]
    fn documents_come_back_as_they_were() {
        let times = [0, 1, -1, 1_795_276_800_123_456, 1_795_276_800_000_000, i64::MIN, i64::MAX]
            .map(Value::Time);
        let odd = |name: &str| Value::Object([(name.to_owned(), Value::from("aGk="))].into());
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Float(1.0),
            Value::Float(-1e300),
            Value::Float(5e-324),
            Value::from(""),
            Value::from("\u{0}\"\\ö\u{1f30a}"),
            Value::Bytes(Vec::new()),
            Value::Bytes((0..=255).collect()),
            Value::Opaque { kind: -3, bytes: vec![0, 255] },
            Value::Array(times.to_vec()),
            odd("$bytes"),
            odd("$time"),
            odd("$literal"),
            odd("$opaque"),
            Value::Array(vec![odd("$set"), odd("$counter"), odd("plain")]),
        ];
        let numbers = [0, 1, -1, 127, 128, -32, -33, -128, -129, 65535, 65536, i64::MIN, i64::MAX];
        let mut fields: Fields = Fields::new();
        for (n, value) in values.into_iter().chain(numbers.map(Value::Int)).enumerate() {
            fields.insert(format!("v{n}"), Field::Value(value));
        }
        fields.insert("most".to_owned(), Field::Value(Value::UInt(u64::MAX)));
        let elements = [Value::Bytes(vec![1]), Value::Time(7), Value::from("x"), Value::Int(1)];
        fields.insert("set".to_owned(), Field::Set(elements.into()));
        fields.insert("count".to_owned(), Field::Counter(-7));
        // An object is read as a map.
        let read = parse_fields(fields_to_json(&fields).to_string().as_bytes()).unwrap();
        assert_eq!(there_and_back(&fields), read);
        assert_eq!(there_and_back(&read), read);
        for name in ["$bytes", "$time", "$set", "$literal"] {
            let alone = Fields::from([(name.to_owned(), Field::from("aGk="))]);
            assert_eq!(there_and_back(&alone), alone, "{name}");
        }
        // As deep as a document may be, each level wrapped in a `$literal`.
        let deep = (0..littoral::limits::MAX_DEPTH - 1).fold(Field::from(1), |inner, _| {
            Field::Map(Fields::from([("$set".to_owned(), inner)]))
        });
        let deep = Fields::from([("$set".to_owned(), deep)]);
        assert_eq!(there_and_back(&deep), deep);
    }

    #[test]
    fn bytes_and_times_are_native_and_numbers_short() {
        let told = |json: Json| from_json(json.to_string().as_bytes());
        assert_eq!(told(json!({"$bytes": "aGk="})), [0xc4, 2, b'h', b'i']);
        assert_eq!(told(json!({"$time": "1970-01-01T00:00:01Z"})), [0xd6, 0xff, 0, 0, 0, 1]);
        assert_eq!(
            told(json!([1, -1, 1.0, 300])),
            [0x94, 1, 0xff, 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xcd, 1, 44]
        );
        // Wider forms than needed are read, and floats of 32 bits.
        for (packed, text) in [
            (&[0xd3, 0, 0, 0, 0, 0, 0, 0, 5][..], "5"),
            (&[0xca, 0x3f, 0, 0, 0], "0.5"),
            (&[0xdb, 0, 0, 0, 1, b'a'], "\"a\""),
            (&[0xdd, 0, 0, 0, 1, 0xc0], "[null]"),
            (&[0xdf, 0, 0, 0, 1, 0xd9, 1, b'a', 0xc2], "{\"a\":false}"),
            (&[0xd7, 0xff, 0, 0, 0x0f, 0xa0, 0, 0, 0, 1], "{\"$time\":\"1000001us\"}"),
            (&[], ""),
        ] {
            assert_eq!(String::from_utf8(to_json(packed).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn whatever_comes_is_read_as_json_or_refused() {
        let sample = from_json(
            json!({"a": [1, -300, 1.5, null, true, "x", {"$bytes": "aGk="}], "b": {"$time": "2026-11-22T16:00:00.5Z"}})
                .to_string()
                .as_bytes(),
        );
        for at in 0..sample.len() {
            for byte in 0..=255 {
                let mut packed = sample.clone();
                packed[at] = byte;
                for packed in [&packed[..], &packed[..=at]] {
                    if let Ok(text) = to_json(packed) {
                        assert!(serde_json::from_slice::<Json>(&text).is_ok(), "{packed:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_malformed_or_too_much_is_refused() {
        let bad: &[(&[u8], &str)] = &[
            (&[0xc1], "means nothing"),
            (&[0xc0, 0xc0], "after the end"),
            (&[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'], "too early"),
            (&[0xc6, 0xff, 0xff, 0xff, 0xff], "too early"),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff], "too early"),
            (&[0xdf, 0xff, 0xff, 0xff, 0xff], "too early"),
            (&[0xc9, 0xff, 0xff, 0xff, 0xff, 0xff], "too early"),
            (&[0xa2, 0xff, 0xfe], "not UTF-8"),
            (&[0x81, 0x01, 0x01], "not text"),
            (&[0x81, 0xc4, 1, b'a', 0x01], "not text"),
            (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], "NaN"),
            (&[0xca, 0x7f, 0x80, 0, 0], "infinity"),
            (&[0xd4, 0x05, 0], "extension"),
            (&[0xd4, 0xff, 0], "timestamp"),
            (&[0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1], "timestamp"),
            (&[0xc7, 12, 0xff, 0, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255], "timestamp"),
        ];
        for (packed, why) in bad {
            let (kind, message) = error(packed);
            assert!(
                kind == ErrorKind::InvalidInput && message.contains(why),
                "{packed:x?}: {message}"
            );
        }
        let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
        assert!(to_json(&nested(MAX_HTTP_PACKED_DEPTH)).is_ok());
        assert_eq!(error(&nested(MAX_HTTP_PACKED_DEPTH + 1)).0, ErrorKind::LimitExceeded);
        assert_eq!(error(&nested(1 << 20)).0, ErrorKind::LimitExceeded);
        // One byte each here, five in JSON.
        let nulls = |count: usize| {
            let count_bytes = u32::try_from(count).unwrap().to_be_bytes();
            [&[0xdd], &count_bytes[..], &vec![0xc0; count]].concat()
        };
        let most = (MAX_HTTP_UNPACKED_BYTES - 1) / 5;
        assert_eq!(to_json(&nulls(most)).unwrap().len(), 5 * most + 1);
        assert_eq!(error(&nulls(most + 1)).0, ErrorKind::LimitExceeded);
        // Whoever reads the JSON sees both.
        let twice = to_json(&[0x82, 0xa1, b'a', 1, 0xa1, b'a', 2]).unwrap();
        assert_eq!(twice, b"{\"a\":1,\"a\":2}");
        assert!(parse_fields(&twice).is_err());
    }
}

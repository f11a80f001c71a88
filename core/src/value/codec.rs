//! Canonical bytes of values: MessagePack in its shortest form.
//!
//! Invariants: one value has exactly one encoding, and decoding refuses every other; so
//! equal bytes are equal values, on every replica and in every version. Integers take the
//! shortest form, floats always 64 bits and never NaN, an infinity or -0.0; object
//! keys are text, sorted and unique; a time is extension type 1 with 8 bytes of
//! microseconds, big-endian; other extension types are kept as opaque.

use std::collections::BTreeMap;

use rmp::Marker;

use super::{Path, Value};
use crate::error::{Error, Result};
use crate::limits::{MAX_DEPTH, MAX_VALUE_BYTES};

const EXT_TIME: i8 = 1;

/// Checks that `value` may be stored at `path`: finite, canonical, not too deep, not too large.
/// Returns its canonical bytes.
pub fn encode_checked(value: &Value, path: &Path) -> Result<Vec<u8>> {
    check(value, path, path.depth())?;
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(Error::limit(format!(
            "the value at '{path}' has {} bytes; a value has at most {MAX_VALUE_BYTES}",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// The canonical bytes of `value`, if it may be stored at a place of this depth.
pub(crate) fn encode_at(value: &Value, depth: usize) -> Option<Vec<u8>> {
    check(value, &Path::root(), depth).ok()?;
    let mut bytes = Vec::with_capacity(likely_len(value));
    encode(value, &mut bytes);
    (bytes.len() <= MAX_VALUE_BYTES).then_some(bytes)
}

/// What the bytes of most values fit into.
fn likely_len(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() + 5,
        Value::Bytes(bytes) => bytes.len() + 5,
        Value::Null | Value::Bool(_) => 1,
        _ => 9,
    }
}

fn check(value: &Value, path: &Path, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::limit(format!(
            "the document is nested deeper than {MAX_DEPTH} at '{path}'"
        )));
    }
    match value {
        Value::Float(x) if !x.is_finite() => Err(Error::invalid(format!(
            "the value at '{path}' is NaN or infinite, which can't be stored; use null or text"
        ))),
        Value::Opaque { kind: EXT_TIME, .. } => Err(Error::invalid(format!(
            "the opaque value at '{path}' has the kind of a time; put a time"
        ))),
        Value::Array(items) => items.iter().try_for_each(|item| check(item, path, depth + 1)),
        Value::Object(members) => {
            members.values().try_for_each(|item| check(item, path, depth + 1))
        }
        _ => Ok(()),
    }
}

/// Appends the canonical bytes of `value`. A value that is not finite must have been refused before.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) {
    const INFALLIBLE: &str = "writing to a Vec does not fail";
    match value {
        Value::Null => rmp::encode::write_nil(out).expect(INFALLIBLE),
        Value::Bool(b) => rmp::encode::write_bool(out, *b).expect(INFALLIBLE),
        Value::Int(n) => drop(rmp::encode::write_sint(out, *n).expect(INFALLIBLE)),
        Value::UInt(n) => drop(rmp::encode::write_uint(out, *n).expect(INFALLIBLE)),
        Value::Float(x) => rmp::encode::write_f64(out, x + 0.0).expect(INFALLIBLE),
        Value::Text(text) => rmp::encode::write_str(out, text).expect(INFALLIBLE),
        Value::Bytes(bytes) => rmp::encode::write_bin(out, bytes).expect(INFALLIBLE),
        Value::Time(micros) => {
            rmp::encode::write_ext_meta(out, 8, EXT_TIME).expect(INFALLIBLE);
            out.extend_from_slice(&micros.to_be_bytes());
        }
        Value::Array(items) => {
            rmp::encode::write_array_len(out, items.len() as u32).expect(INFALLIBLE);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Object(members) => {
            rmp::encode::write_map_len(out, members.len() as u32).expect(INFALLIBLE);
            for (name, value) in members {
                rmp::encode::write_str(out, name).expect(INFALLIBLE);
                encode(value, out);
            }
        }
        Value::Opaque { kind, bytes } => {
            rmp::encode::write_ext_meta(out, bytes.len() as u32, *kind).expect(INFALLIBLE);
            out.extend_from_slice(bytes);
        }
    }
}

/// Decodes exactly one value that fills `bytes`; refuses every encoding but the canonical one.
pub fn decode(bytes: &[u8]) -> Result<Value> {
    match short_text(bytes) {
        Some(text) => utf8(text).map(Value::from),
        None => read_all::<Build>(bytes),
    }
}

/// Checks that `bytes` are what [`decode`] accepts, without taking memory. Gives whether the
/// value is a scalar.
pub(crate) fn check_bytes(bytes: &[u8]) -> Result<bool> {
    match short_text(bytes) {
        Some(text) => utf8(text).map(|_| true),
        None => read_all::<Check>(bytes),
    }
}

/// The text in `bytes`, if they are a text of less than 256 bytes and nothing else, as most values
/// are; not checked to be UTF-8.
#[inline]
fn short_text(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [marker @ 0xa0..=0xbf, text @ ..] if text.len() == usize::from(marker & 0x1f) => Some(text),
        [0xd9, len @ 32..=255, text @ ..] if text.len() == usize::from(*len) => Some(text),
        _ => None,
    }
}

#[inline]
fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| bad("text that is not UTF-8"))
}

fn read_all<M: Make>(bytes: &[u8]) -> Result<M::Value> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value::<M>(0)?;
    match reader.rest.is_empty() {
        true => Ok(value),
        false => Err(bad("bytes after the end of a value")),
    }
}

#[cold]
fn bad(what: &str) -> Error {
    Error::bad_txn(format!("malformed value: {what}"))
}

/// What is made of the parts of a value as they are read.
trait Make {
    type Value;
    type Members: Default;
    fn scalar(value: Value) -> Self::Value;
    fn text(text: &str) -> Self::Value;
    fn bytes(bytes: &[u8]) -> Self::Value;
    fn opaque(kind: i8, bytes: &[u8]) -> Self::Value;
    fn array(items: impl Iterator<Item = Result<Self::Value>>) -> Result<Self::Value>;
    fn member(members: &mut Self::Members, name: &str, value: Self::Value);
    fn object(members: Self::Members) -> Self::Value;
}

/// The value.
struct Build;

impl Make for Build {
    type Value = Value;
    type Members = BTreeMap<String, Value>;

    fn scalar(value: Value) -> Value {
        value
    }

    fn text(text: &str) -> Value {
        Value::from(text)
    }

    fn bytes(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }

    fn opaque(kind: i8, bytes: &[u8]) -> Value {
        Value::Opaque { kind, bytes: bytes.to_vec() }
    }

    fn array(items: impl Iterator<Item = Result<Value>>) -> Result<Value> {
        items.collect::<Result<_>>().map(Value::Array)
    }

    fn member(members: &mut Self::Members, name: &str, value: Value) {
        members.insert(name.to_owned(), value);
    }

    fn object(members: Self::Members) -> Value {
        Value::Object(members)
    }
}

/// Nothing but whether it is a scalar.
struct Check;

impl Make for Check {
    type Value = bool;
    type Members = ();

    fn scalar(_: Value) -> bool {
        true
    }

    fn text(_: &str) -> bool {
        true
    }

    fn bytes(_: &[u8]) -> bool {
        true
    }

    fn opaque(_: i8, _: &[u8]) -> bool {
        false
    }

    fn array(mut items: impl Iterator<Item = Result<bool>>) -> Result<bool> {
        items.try_for_each(|item| item.map(drop)).map(|()| false)
    }

    fn member((): &mut (), _: &str, _: bool) {}

    fn object((): ()) -> bool {
        false
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| bad("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }

    /// A number of `N` bytes that must not have fitted in a shorter form.
    fn uint<const N: usize>(&mut self, shorter_max: u64) -> Result<u64> {
        let mut wide = [0; 8];
        wide[8 - N..].copy_from_slice(&self.array::<N>()?);
        match u64::from_be_bytes(wide) {
            n if n > shorter_max => Ok(n),
            _ => Err(bad("a number or length in a longer form than needed")),
        }
    }

    fn value<M: Make>(&mut self, depth: usize) -> Result<M::Value> {
        if depth > MAX_DEPTH {
            return Err(bad("nested too deep"));
        }
        let (&first, rest) = self.rest.split_first().ok_or_else(|| bad("it ends too early"))?;
        self.rest = rest;
        let scalar = match Marker::from_u8(first) {
            Marker::Null => Value::Null,
            Marker::True => Value::Bool(true),
            Marker::False => Value::Bool(false),
            Marker::FixPos(n) => Value::Int(i64::from(n)),
            Marker::FixNeg(n) => Value::Int(i64::from(n)),
            Marker::U8 => Value::Int(self.uint::<1>(0x7f)? as i64),
            Marker::U16 => Value::Int(self.uint::<2>(0xff)? as i64),
            Marker::U32 => Value::Int(self.uint::<4>(0xffff)? as i64),
            Marker::U64 => match self.uint::<8>(0xffff_ffff)? {
                n if n <= i64::MAX as u64 => Value::Int(n as i64),
                n => Value::UInt(n),
            },
            Marker::I8 => negative(i64::from(i8::from_be_bytes(self.array()?)), -32)?,
            Marker::I16 => {
                negative(i64::from(i16::from_be_bytes(self.array()?)), i64::from(i8::MIN))?
            }
            Marker::I32 => {
                negative(i64::from(i32::from_be_bytes(self.array()?)), i64::from(i16::MIN))?
            }
            Marker::I64 => negative(i64::from_be_bytes(self.array()?), i64::from(i32::MIN))?,
            Marker::F64 => match f64::from_be_bytes(self.array()?) {
                x if !x.is_finite() || (x == 0.0 && x.is_sign_negative()) => {
                    return Err(bad("NaN, an infinity or -0.0"));
                }
                x => Value::Float(x),
            },
            Marker::FixStr(n) => return self.str(u64::from(n)).map(M::text),
            Marker::Str8 => return self.uint::<1>(31).and_then(|n| self.str(n)).map(M::text),
            Marker::Str16 => return self.uint::<2>(0xff).and_then(|n| self.str(n)).map(M::text),
            Marker::Str32 => return self.uint::<4>(0xffff).and_then(|n| self.str(n)).map(M::text),
            Marker::Bin8 => {
                let n = usize::from(self.array::<1>()?[0]);
                return self.take(n).map(M::bytes);
            }
            Marker::Bin16 => {
                return self.uint::<2>(0xff).and_then(|n| self.take(n as usize)).map(M::bytes);
            }
            Marker::Bin32 => {
                return self.uint::<4>(0xffff).and_then(|n| self.take(n as usize)).map(M::bytes);
            }
            Marker::FixArray(n) => return self.items::<M>(u64::from(n), depth),
            Marker::Array16 => return self.uint::<2>(15).and_then(|n| self.items::<M>(n, depth)),
            Marker::Array32 => {
                return self.uint::<4>(0xffff).and_then(|n| self.items::<M>(n, depth));
            }
            Marker::FixMap(n) => return self.members::<M>(u64::from(n), depth),
            Marker::Map16 => return self.uint::<2>(15).and_then(|n| self.members::<M>(n, depth)),
            Marker::Map32 => {
                return self.uint::<4>(0xffff).and_then(|n| self.members::<M>(n, depth));
            }
            Marker::FixExt1 => return self.extension::<M>(1),
            Marker::FixExt2 => return self.extension::<M>(2),
            Marker::FixExt4 => return self.extension::<M>(4),
            Marker::FixExt8 => return self.extension::<M>(8),
            Marker::FixExt16 => return self.extension::<M>(16),
            Marker::Ext8 => match u64::from(self.array::<1>()?[0]) {
                1 | 2 | 4 | 8 | 16 => return Err(bad("a length in a longer form than needed")),
                n => return self.extension::<M>(n),
            },
            Marker::Ext16 => return self.uint::<2>(0xff).and_then(|n| self.extension::<M>(n)),
            Marker::Ext32 => return self.uint::<4>(0xffff).and_then(|n| self.extension::<M>(n)),
            Marker::F32 => return Err(bad("a float of 32 bits")),
            Marker::Reserved => return Err(bad("a reserved marker")),
        };
        Ok(M::scalar(scalar))
    }

    #[inline]
    fn str(&mut self, len: u64) -> Result<&'a str> {
        utf8(self.take(len as usize)?)
    }

    fn items<M: Make>(&mut self, count: u64, depth: usize) -> Result<M::Value> {
        self.plausible(count)?;
        M::array((0..count).map(|_| self.value::<M>(depth + 1)))
    }

    fn members<M: Make>(&mut self, count: u64, depth: usize) -> Result<M::Value> {
        self.plausible(count)?;
        let mut members = M::Members::default();
        let mut last: Option<&'a str> = None;
        for _ in 0..count {
            let name = self.name()?;
            if last.is_some_and(|last| last >= name) {
                return Err(bad("object keys that are not sorted and unique"));
            }
            last = Some(name);
            M::member(&mut members, name, self.value::<M>(depth + 1)?);
        }
        Ok(M::object(members))
    }

    fn name(&mut self) -> Result<&'a str> {
        let len = match Marker::from_u8(self.array::<1>()?[0]) {
            Marker::FixStr(n) => u64::from(n),
            Marker::Str8 => self.uint::<1>(31)?,
            Marker::Str16 => self.uint::<2>(0xff)?,
            Marker::Str32 => self.uint::<4>(0xffff)?,
            _ => return Err(bad("an object key that is not text")),
        };
        self.str(len)
    }

    fn extension<M: Make>(&mut self, len: u64) -> Result<M::Value> {
        let kind = i8::from_be_bytes(self.array()?);
        let bytes = self.take(len as usize)?;
        match (kind, <[u8; 8]>::try_from(bytes)) {
            (EXT_TIME, Ok(micros)) => Ok(M::scalar(Value::Time(i64::from_be_bytes(micros)))),
            (EXT_TIME, Err(_)) => Err(bad("a time that has not 8 bytes")),
            _ => Ok(M::opaque(kind, bytes)),
        }
    }

    /// A count larger than the bytes that are left is refused before memory is taken for it.
    fn plausible(&self, count: u64) -> Result<()> {
        match count <= self.rest.len() as u64 {
            true => Ok(()),
            false => Err(bad("it ends too early")),
        }
    }
}

fn negative(n: i64, shorter_min: i64) -> Result<Value> {
    match n < shorter_min {
        true => Ok(Value::Int(n)),
        false => Err(bad("a number in a longer form than needed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let finite = any::<f64>().prop_filter("finite", |x| x.is_finite());
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-200i64..300).prop_map(Value::Int),
            any::<u64>().prop_map(Value::UInt),
            finite.prop_map(Value::Float),
            ".{0,40}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
            any::<i64>().prop_map(Value::Time),
            (2i8..100, prop::collection::vec(any::<u8>(), 0..20))
                .prop_map(|(kind, bytes)| Value::Opaque { kind, bytes }),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map(".{0,8}", inner, 0..6).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_round_trip(value in any_value()) {
            prop_assert_eq!(decode(&bytes_of(&value)).unwrap(), value);
        }

        #[test]
        fn equal_values_are_exactly_those_with_equal_bytes(a in any_value(), b in any_value()) {
            prop_assert_eq!(a == b, bytes_of(&a) == bytes_of(&b));
        }

        #[test]
        fn what_decodes_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = decode(&bytes) {
                prop_assert_eq!(bytes_of(&value), bytes);
            }
        }

        #[test]
        fn checking_accepts_what_decoding_does(
            value in any_value(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = bytes_of(&value);
            prop_assert_eq!(check_bytes(&bytes).unwrap(), value.is_scalar());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let decoded = decode(&bytes).map(|value| value.is_scalar());
            let [checked, decoded] =
                [check_bytes(&bytes), decoded].map(|is| is.map_err(|err| err.message().to_owned()));
            prop_assert_eq!(checked, decoded);
        }
    }

    #[test]
    fn depth_and_numbers_are_checked() {
        let deep = (0..65).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(encode_checked(&deep, &Path::root()).is_err());
        assert!(encode_checked(&Value::Float(f64::NAN), &Path::from("x")).is_err());
        assert!(decode(&bytes_of(&deep)).is_err());
        assert!(decode(&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(decode(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}

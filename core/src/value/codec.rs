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
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    match reader.rest.is_empty() {
        true => Ok(value),
        false => Err(bad("bytes after the end of a value")),
    }
}

fn bad(what: &str) -> Error {
    Error::bad_txn(format!("malformed value: {what}"))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| bad("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

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

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(bad("nested too deep"));
        }
        Ok(match Marker::from_u8(self.array::<1>()?[0]) {
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
            Marker::FixStr(n) => self.text(u64::from(n))?,
            Marker::Str8 => self.uint::<1>(31).and_then(|n| self.text(n))?,
            Marker::Str16 => self.uint::<2>(0xff).and_then(|n| self.text(n))?,
            Marker::Str32 => self.uint::<4>(0xffff).and_then(|n| self.text(n))?,
            Marker::Bin8 => {
                let n = usize::from(self.array::<1>()?[0]);
                Value::Bytes(self.take(n)?.to_vec())
            }
            Marker::Bin16 => self.uint::<2>(0xff).and_then(|n| self.bytes(n))?,
            Marker::Bin32 => self.uint::<4>(0xffff).and_then(|n| self.bytes(n))?,
            Marker::FixArray(n) => self.items(u64::from(n), depth)?,
            Marker::Array16 => self.uint::<2>(15).and_then(|n| self.items(n, depth))?,
            Marker::Array32 => self.uint::<4>(0xffff).and_then(|n| self.items(n, depth))?,
            Marker::FixMap(n) => self.members(u64::from(n), depth)?,
            Marker::Map16 => self.uint::<2>(15).and_then(|n| self.members(n, depth))?,
            Marker::Map32 => self.uint::<4>(0xffff).and_then(|n| self.members(n, depth))?,
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => match u64::from(self.array::<1>()?[0]) {
                1 | 2 | 4 | 8 | 16 => return Err(bad("a length in a longer form than needed")),
                n => self.extension(n)?,
            },
            Marker::Ext16 => self.uint::<2>(0xff).and_then(|n| self.extension(n))?,
            Marker::Ext32 => self.uint::<4>(0xffff).and_then(|n| self.extension(n))?,
            Marker::F32 => return Err(bad("a float of 32 bits")),
            Marker::Reserved => return Err(bad("a reserved marker")),
        })
    }

    fn str(&mut self, len: u64) -> Result<String> {
        let bytes = self.take(len as usize)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| bad("text that is not UTF-8"))
    }

    fn text(&mut self, len: u64) -> Result<Value> {
        self.str(len).map(Value::Text)
    }

    fn bytes(&mut self, len: u64) -> Result<Value> {
        Ok(Value::Bytes(self.take(len as usize)?.to_vec()))
    }

    fn items(&mut self, count: u64, depth: usize) -> Result<Value> {
        self.plausible(count)?;
        (0..count).map(|_| self.value(depth + 1)).collect::<Result<_>>().map(Value::Array)
    }

    fn members(&mut self, count: u64, depth: usize) -> Result<Value> {
        self.plausible(count)?;
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let name = match self.value(MAX_DEPTH)? {
                Value::Text(name) => name,
                _ => return Err(bad("an object key that is not text")),
            };
            if members.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(bad("object keys that are not sorted and unique"));
            }
            members.insert(name, self.value(depth + 1)?);
        }
        Ok(Value::Object(members))
    }

    fn extension(&mut self, len: u64) -> Result<Value> {
        let kind = i8::from_be_bytes(self.array()?);
        let bytes = self.take(len as usize)?;
        match (kind, <[u8; 8]>::try_from(bytes)) {
            (EXT_TIME, Ok(micros)) => Ok(Value::Time(i64::from_be_bytes(micros))),
            (EXT_TIME, Err(_)) => Err(bad("a time that has not 8 bytes")),
            _ => Ok(Value::Opaque { kind, bytes: bytes.to_vec() }),
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
            ".{0,40}".prop_map(Value::Text),
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

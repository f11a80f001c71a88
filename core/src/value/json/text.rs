//! From JSON text to plain values, before the special forms are given their meaning.
//!
//! serde_json does the parsing; what it would let pass is refused here: the last of two
//! equal names would win, and an integer beyond 64 bits would become a float.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::at::At;
use crate::error::{Error, Result};
use crate::limits::{MAX_DEPTH, MAX_JSON_DEPTH};
use crate::value::Value;

/// The name under which serde_json hands out numbers if a program enables its feature
/// `arbitrary_precision`. They would be stored as objects: refused instead.
const FOREIGN_NUMBER: &str = "$serde_json::private::Number";

/// The plain value of a text.
pub(super) fn parse(text: &[u8], at: &At<'_>) -> Result<Value> {
    let mut json = serde_json::Deserializer::from_slice(text);
    json.disable_recursion_limit(); // ours is checked at every level
    let mut state = State::new(Numbers { text, at: 0 });
    let read = Plain { state: &mut state, at }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    read.map_err(|cause| state.failure.unwrap_or_else(|| syntax(text, state.stopped, at, cause)))
}

/// The plain value of JSON that is parsed already.
pub(super) fn plain(json: &serde_json::Value, at: &At<'_>) -> Result<Value> {
    let mut state = State::new(Numbers { text: b"", at: 0 });
    let read = Plain { state: &mut state, at }.deserialize(json);
    read.map_err(|cause| {
        state.failure.unwrap_or_else(|| Error::invalid("the JSON can't be read").with_source(cause))
    })
}

fn syntax(text: &[u8], stopped: Option<String>, at: &At<'_>, cause: serde_json::Error) -> Error {
    let place = stopped.unwrap_or_else(|| at.to_string());
    if let Err(broken) = std::str::from_utf8(text) {
        return Error::invalid(format!(
            "the JSON text is not UTF-8 from byte {} on; reading it stopped {place}: write binary \
             data as {{\"$bytes\": base64}}",
            broken.valid_up_to()
        ));
    }
    if stops_at_nan(text, &cause) {
        return Error::invalid(format!(
            "NaN or an infinity {place}, which can't be stored; use null or text"
        ));
    }
    Error::invalid(format!("the JSON text is malformed {place}: {cause}"))
}

fn stops_at_nan(text: &[u8], cause: &serde_json::Error) -> bool {
    let line = text.split(|&b| b == b'\n').nth(cause.line().saturating_sub(1)).unwrap_or(b"");
    let near = &line[cause.column().saturating_sub(2).min(line.len())..];
    let word: Vec<u8> = near.iter().copied().take(5).collect();
    [&b"NaN"[..], b"Inf", b"nan", b"inf"]
        .iter()
        .any(|name| word.windows(name.len()).any(|part| part == *name))
}

/// What outlives the recursion: why it ended, and where.
struct State<'t> {
    numbers: Numbers<'t>,
    /// Numbers met since the last that was looked up in the text.
    passed: usize,
    failure: Option<Error>,
    stopped: Option<String>,
}

impl<'t> State<'t> {
    fn new(numbers: Numbers<'t>) -> State<'t> {
        State { numbers, passed: 0, failure: None, stopped: None }
    }

    fn fail<E: serde::de::Error>(&mut self, error: Error) -> E {
        self.failure = Some(error);
        E::custom("refused")
    }

    /// Remembers the innermost place at which the parser stopped.
    fn stop_at<T, E>(&mut self, read: Result<T, E>, at: &At<'_>) -> Result<T, E> {
        if read.is_err() && self.failure.is_none() {
            self.stopped.get_or_insert_with(|| at.to_string());
        }
        read
    }
}

/// Reads one value; `at` is a place in the JSON, where `$literal` counts as a name.
struct Plain<'s, 't> {
    state: &'s mut State<'t>,
    at: &'s At<'s>,
}

impl<'de> DeserializeSeed<'de> for Plain<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        if self.at.depth() > MAX_JSON_DEPTH {
            let at = self.at;
            return Err(self.state.fail(Error::limit(format!(
                "the document is nested deeper than {MAX_DEPTH} {at}; make it flatter"
            ))));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        self.state.passed += 1;
        Ok(Value::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        self.state.passed += 1;
        Ok(i64::try_from(n).map_or(Value::UInt(n), Value::Int))
    }

    /// Also meets integers that the parser could not hold otherwise: those beyond 64 bits and `-0`.
    fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<Value, E> {
        let suspect = x.abs() >= -(i64::MIN as f64) || (x == 0.0 && x.is_sign_negative());
        if !suspect {
            self.state.passed += 1;
            return Ok(Value::Float(x));
        }
        let skip = std::mem::take(&mut self.state.passed);
        let token = self.state.numbers.nth(skip).unwrap_or(b".");
        match token.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) {
            true => Ok(Value::Float(x)),
            false if x == 0.0 => Ok(Value::Int(0)),
            false => Err(self.state.fail(Error::invalid(format!(
                "an integer of more than 64 bits {}; write it as text, or as a float such as 1e20",
                self.at
            )))),
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Plain { state, at } = self;
        let mut items = Vec::new();
        loop {
            let here = at.index(items.len());
            let item = seq.next_element_seed(Plain { state: &mut *state, at: &here });
            match state.stop_at(item, &here)? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Plain { state, at } = self;
        let mut members = BTreeMap::new();
        while let Some(name) = state.stop_at(map.next_key::<String>(), at)? {
            let here = at.name(&name);
            if name == FOREIGN_NUMBER {
                return Err(state.fail(Error::invalid(format!(
                    "numbers can't be read {at}: build serde_json without 'arbitrary_precision'"
                ))));
            }
            let value = map.next_value_seed(Plain { state: &mut *state, at: &here });
            let value = state.stop_at(value, &here)?;
            if members.contains_key(&name) {
                return Err(state.fail(Error::invalid(format!(
                    "the name of a member is given twice {here}; leave one out"
                ))));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// The numbers of a JSON text in their order, as they are written.
struct Numbers<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Iterator for Numbers<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        loop {
            match self.text.get(self.at)? {
                b'"' => self.skip_string(),
                b'-' | b'0'..=b'9' => return Some(self.number()),
                _ => self.at += 1,
            }
        }
    }
}

impl<'t> Numbers<'t> {
    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(b) = self.text.get(self.at) {
            self.at += if *b == b'\\' { 2 } else { 1 };
            if *b == b'"' {
                return;
            }
        }
    }

    fn number(&mut self) -> &'t [u8] {
        let rest = &self.text[self.at..];
        let part_of_number = |b: &u8| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let len = rest.iter().take_while(|b| part_of_number(b)).count();
        self.at += len;
        &rest[..len]
    }
}

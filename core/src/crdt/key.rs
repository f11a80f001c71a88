//! Keys of cells: where in a document a cell lies, as bytes.
//!
//! A key is the way down, one component for each field name, and then a slot: what kind
//! of cell it is there. Components are self-delimiting and keep order, so that
//! everything at or below a path is one run of neighbouring keys, and "at or below" is
//! "starts with these bytes".
//!
//! | bytes | meaning |
//! | --- | --- |
//! | `10` name `00` | field; in the name `00` is written `01 01` and `01` is written `01 02` |
//! | `01` | slot: a register |
//! | `02` | slot: marker of a map (or of the document itself) |
//! | `03` | slot: marker of a set |
//! | `04` value | slot: an element of a set, by its canonical bytes |
//! | `05` | slot: a counter |
//! | `06`..`0f` bytes | slots of later versions: kept and forwarded, never shown or cleared by `put` |
//!
//! Slots sort before fields: a node's own cells come before its children's.

use crate::error::{Error, Result};
use crate::limits::{MAX_DEPTH, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::value::{Path, Text, Value, codec};

const REGISTER: u8 = 0x01;
const MAP: u8 = 0x02;
const SET: u8 = 0x03;
const ELEMENT: u8 = 0x04;
const COUNTER: u8 = 0x05;
const LAST_SLOT: u8 = 0x0f;
const FIELD: u8 = 0x10;
const END: u8 = 0x00;
const ESCAPE: u8 = 0x01;

/// Ranges of the byte after a place's own part: where a map, a set and a counter of it lie.
pub(super) const MAP_TAGS: [(u8, u8); 2] = [(MAP, MAP + 1), (FIELD, FIELD + 1)];
pub(super) const SET_TAGS: [(u8, u8); 1] = [(SET, ELEMENT + 1)];
pub(super) const COUNTER_TAGS: [(u8, u8); 1] = [(COUNTER, COUNTER + 1)];

/// What a cell is, at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// A value.
    Register,
    /// "This is a map", even without fields.
    MapMarker,
    /// "This is a set", even without elements.
    SetMarker,
    /// An element of a set.
    Element,
    /// A counter.
    Counter,
    /// Something of a later version.
    Unknown,
}

/// The bytes that all keys at or below `path` start with.
pub fn prefix(path: &Path) -> Vec<u8> {
    let mut out =
        Vec::with_capacity(path.names().iter().map(|name| name.len() + 2).sum::<usize>() + 1);
    path.names().iter().for_each(|name| push_field(&mut out, name));
    out
}

/// Appends one field name to a prefix.
pub fn push_field(out: &mut Vec<u8>, name: &str) {
    out.push(FIELD);
    for &byte in name.as_bytes() {
        match byte {
            0x00 => out.extend([ESCAPE, 0x01]),
            0x01 => out.extend([ESCAPE, 0x02]),
            _ => out.push(byte),
        }
    }
    out.push(END);
}

/// The component of a key's first field; `None` if it is one of the document itself.
pub fn first_field(key: &[u8]) -> Option<&[u8]> {
    match key.first() {
        Some(&FIELD) => key.iter().position(|byte| *byte == END).map(|end| &key[..=end]),
        _ => None,
    }
}

/// What is beyond all keys at or below a prefix of whole components.
pub fn beyond(prefix: &[u8]) -> Vec<u8> {
    let mut out = prefix.to_vec();
    // In names no byte of that value stands there: it would be escaped.
    if let Some(last) = out.last_mut() {
        *last = END + 1;
    }
    out
}

/// The key of a slot without content at `prefix`.
pub fn slot(prefix: &[u8], slot: Slot) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 1);
    key.extend_from_slice(prefix);
    key.push(match slot {
        Slot::Register => REGISTER,
        Slot::MapMarker => MAP,
        Slot::SetMarker => SET,
        Slot::Element => ELEMENT,
        Slot::Counter => COUNTER,
        Slot::Unknown => LAST_SLOT,
    });
    key
}

/// Whether a key is that of the marker of the document itself.
pub(super) fn is_marker_of_document(key: &[u8]) -> bool {
    key == [MAP]
}

/// Where the keys of all that lies below `prefix`, and not at it, begin.
pub fn children(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[FIELD]].concat()
}

/// The key of an element, by its canonical bytes, of the set at `prefix`.
pub fn element(prefix: &[u8], value: &[u8]) -> Vec<u8> {
    let mut key = slot(prefix, Slot::Element);
    key.extend_from_slice(value);
    key
}

/// What follows `at` bytes of a key: a slot with its content, or a field with its escaped name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    Slot(Slot, &'a [u8]),
    /// The component, from its tag to its end, for comparing and for measuring.
    Field(&'a [u8]),
}

/// Reads the component of `key` at `at`. The key must have been checked by [`check`].
pub(crate) fn step(key: &[u8], at: usize) -> Step<'_> {
    let rest = &key[at..];
    match rest[0] {
        FIELD => {
            let end = rest.iter().position(|&byte| byte == END).expect("a checked key");
            Step::Field(&rest[..=end])
        }
        tag => Step::Slot(slot_of(tag), &rest[1..]),
    }
}

/// The slot that a whole key names.
pub(crate) fn slot_of_key(key: &[u8]) -> Slot {
    let mut at = 0;
    loop {
        match step(key, at) {
            Step::Field(component) => at += component.len(),
            Step::Slot(slot, _) => return slot,
        }
    }
}

/// The field that a cell with this checked key lies at.
pub(crate) fn path_of_key(key: &[u8]) -> Path {
    let (mut at, mut names) = (0, Vec::new());
    while let Step::Field(component) = step(key, at) {
        names.push(field_name(component));
        at += component.len();
    }
    Path::from(names)
}

/// The name in a field component.
pub(crate) fn field_name(component: &[u8]) -> String {
    let written = &component[1..component.len() - 1];
    unescape(std::str::from_utf8(written).expect("a checked key"))
}

/// The name that is written so in a checked key.
fn unescape(written: &str) -> String {
    let mut name = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.bytes().position(|byte| byte == ESCAPE) {
        name.push_str(&rest[..at]);
        name.push(char::from(rest.as_bytes()[at + 1] - 1));
        rest = &rest[at + 2..];
    }
    name.push_str(rest);
    name
}

/// The value in an element's key.
pub(crate) fn element_value(content: &[u8]) -> Value {
    codec::decode(content).expect("a checked key")
}

fn slot_of(tag: u8) -> Slot {
    match tag {
        REGISTER => Slot::Register,
        MAP => Slot::MapMarker,
        SET => Slot::SetMarker,
        ELEMENT => Slot::Element,
        COUNTER => Slot::Counter,
        _ => Slot::Unknown,
    }
}

/// Checks the key of one cell; gives its slot.
pub fn check(key: &[u8]) -> Result<Slot> {
    let (mut at, mut depth) = (0, 0);
    loop {
        match check_step(key, at, depth)? {
            Checked::Field(name) => (at, depth) = (name.end, depth + 1),
            Checked::Slot(Slot::Element, content) => {
                check_element(content)?;
                return Ok(Slot::Element);
            }
            Checked::Slot(slot, _) => return Ok(slot),
        }
    }
}

/// What follows some bytes of a key, found to be well formed.
pub(super) enum Checked<'a> {
    /// A slot with its content. That of an element is yet to be checked to be a scalar.
    Slot(Slot, &'a [u8]),
    /// A field.
    Field(Name<'a>),
}

/// A field's name, as it is written in a key.
pub(super) struct Name<'a> {
    /// Where its component ends.
    pub(super) end: usize,
    written: &'a str,
    is_escaped: bool,
}

impl Name<'_> {
    /// The name itself.
    pub(super) fn to_name(&self) -> Text {
        if self.is_escaped { unescape(self.written).into() } else { self.written.into() }
    }
}

/// Reads and checks the component of `key` at `at`, below so many fields.
#[inline]
pub(super) fn check_step(key: &[u8], at: usize, depth: usize) -> Result<Checked<'_>> {
    let rest = &key[at..];
    let Some((&tag, content)) = rest.split_first() else {
        return Err(bad("it names no slot"));
    };
    if tag > LAST_SLOT || tag == END {
        return check_field(key, at, depth).map(Checked::Field);
    }
    let slot = slot_of(tag);
    match slot {
        Slot::Register | Slot::SetMarker | Slot::Element | Slot::Counter if at == 0 => {
            Err(bad("a document itself can only be a map"))
        }
        Slot::Element | Slot::Unknown => Ok(Checked::Slot(slot, content)),
        _ if !content.is_empty() => Err(bad("bytes after its slot")),
        _ => Ok(Checked::Slot(slot, content)),
    }
}

/// Checks the field component at `at`, below so many fields.
fn check_field(key: &[u8], at: usize, depth: usize) -> Result<Name<'_>> {
    let rest = &key[at..];
    if rest[0] != FIELD || depth >= MAX_DEPTH {
        return Err(bad("an unknown component, or nested too deep"));
    }
    let (mut len, mut is_escaped) = (1, false);
    loop {
        match rest.get(len) {
            Some(&END) => break,
            Some(&ESCAPE) if !matches!(rest.get(len + 1), Some(1 | 2)) => {
                return Err(bad("a malformed escape"));
            }
            Some(&ESCAPE) => (len, is_escaped) = (len + 2, true),
            Some(_) => len += 1,
            None => return Err(bad("a name without end")),
        }
    }
    if at + len >= MAX_KEY_BYTES {
        return Err(bad("the names in it are too long"));
    }
    let written =
        std::str::from_utf8(&rest[1..len]).map_err(|_| bad("a name that is not UTF-8"))?;
    Ok(Name { end: at + len + 1, written, is_escaped })
}

fn check_element(value: &[u8]) -> Result<()> {
    match value.len() <= MAX_VALUE_BYTES && codec::check_bytes(value)? {
        true => Ok(()),
        false => Err(no_element()),
    }
}

/// The value in an element's content, which is checked.
pub(super) fn checked_element(content: &[u8]) -> Result<Value> {
    match codec::decode(content)? {
        value if value.is_scalar() && content.len() <= MAX_VALUE_BYTES => Ok(value),
        _ => Err(no_element()),
    }
}

fn no_element() -> Error {
    bad("an element that is too large or not a scalar")
}

/// Checks what a clear names: a path, one slot of it, or all elements of a set.
pub fn check_prefix(prefix: &[u8]) -> Result<()> {
    match check_fields(prefix)? {
        [] | [ELEMENT] => Ok(()),
        _ => check(prefix).map(drop),
    }
}

/// Checks the field components; gives what follows them.
fn check_fields(key: &[u8]) -> Result<&[u8]> {
    let (mut at, mut depth) = (0, 0);
    while key.get(at).is_some_and(|&tag| tag > LAST_SLOT || tag == END) {
        at = check_field(key, at, depth)?.end;
        depth += 1;
    }
    Ok(&key[at..])
}

#[cold]
fn bad(why: &str) -> Error {
    Error::bad_txn(format!("malformed key: {why}"))
}

/// Keys that come one after the other, each told by how much of the one before it begins with:
/// only what is new in a key is checked.
pub(super) struct Keys {
    key: Vec<u8>,
    /// Where the fields on the way end.
    ends: Vec<usize>,
}

/// What most keys fit into.
const LIKELY_KEY_BYTES: usize = 64;

impl Keys {
    pub(super) fn new() -> Keys {
        Keys { key: Vec::with_capacity(LIKELY_KEY_BYTES), ends: Vec::new() }
    }

    /// The key where this is now.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Goes on to the key that has the first `shared` bytes of this one, which it has, and then
    /// `rest`.
    pub(super) fn go_on(&mut self, shared: usize, rest: &[u8]) {
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        while self.ends.last().is_some_and(|end| *end > shared) {
            self.ends.pop();
        }
    }

    /// Checks the key; gives its slot.
    pub(super) fn check(&mut self) -> Result<Slot> {
        loop {
            let at = self.ends.last().copied().unwrap_or_default();
            match check_step(&self.key, at, self.ends.len())? {
                Checked::Field(name) => self.ends.push(name.end),
                Checked::Slot(slot, content) => {
                    if slot == Slot::Element {
                        check_element(content)?;
                    }
                    return Ok(slot);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop_oneof!["[a-c\u{0}\u{1}\u{2}]{0,4}", ".{0,6}"], 0..4)
    }

    proptest! {
        #[test]
        fn keys_keep_the_order_of_paths_and_only_prefixes_are_prefixes(a in names(), b in names()) {
            let (ka, kb) = (prefix(&Path::from(a.clone())), prefix(&Path::from(b.clone())));
            prop_assert_eq!(a.cmp(&b), ka.cmp(&kb));
            prop_assert_eq!(b.starts_with(&a), kb.starts_with(&ka));
            check_prefix(&ka).unwrap();
        }

        #[test]
        fn names_come_back(name in prop_oneof!["[a-c\u{0}\u{1}\u{2}]{0,4}", ".{0,6}"]) {
            let mut key = Vec::new();
            push_field(&mut key, &name);
            key = slot(&key, Slot::Register);
            prop_assert_eq!(check(&key).unwrap(), Slot::Register);
            let Step::Field(component) = step(&key, 0) else { panic!("a field") };
            prop_assert_eq!(field_name(component), name);
        }

        #[test]
        fn checking_never_panics_and_what_passes_can_be_walked(
            key in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..24)
        ) {
            if check(&key).is_ok() {
                let mut at = 0;
                while let Step::Field(component) = step(&key, at) {
                    field_name(component);
                    at += component.len();
                }
            }
        }
    }
}

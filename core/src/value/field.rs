//! A field: what a document holds under a name, as its reader sees it.

use std::collections::BTreeSet;

use super::{Fields, Path, Text, Value};
use crate::error::Result;

/// One field: what it holds decides what concurrent edits do to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A register: concurrent writes become siblings, one of them shown.
    Value(Value),
    /// Nested fields, merged one by one.
    Map(Fields),
    /// A set of scalars: adding wins over a concurrent removing.
    Set(BTreeSet<Value>),
    /// A sum: concurrent increments add up.
    Counter(i64),
}

impl Field {
    /// The name of its kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Field::Value(value) => value.kind(),
            Field::Map(_) => "map",
            Field::Set(_) => "set",
            Field::Counter(_) => "counter",
        }
    }

    /// A set of the values given.
    pub fn set<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Field {
        Field::Set(values.into_iter().map(Into::into).collect())
    }

    /// A map of the fields given.
    pub fn map<K: Into<Text>, F: Into<Field>>(fields: impl IntoIterator<Item = (K, F)>) -> Field {
        Field::Map(fields.into_iter().collect())
    }

    /// The value, if it is a register.
    pub fn as_value(&self) -> Option<&Value> {
        match self {
            Field::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is a register that holds one.
    pub fn as_str(&self) -> Option<&str> {
        self.as_value().and_then(Value::as_str)
    }

    /// The nested fields, if it is a map.
    pub fn as_map(&self) -> Option<&Fields> {
        match self {
            Field::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// The elements, if it is a set.
    pub fn as_set(&self) -> Option<&BTreeSet<Value>> {
        match self {
            Field::Set(elements) => Some(elements),
            _ => None,
        }
    }

    /// The sum, if it is a counter.
    pub fn as_counter(&self) -> Option<i64> {
        match self {
            Field::Counter(sum) => Some(*sum),
            _ => None,
        }
    }
}

impl<T: Into<Value>> From<T> for Field {
    /// A register; an object becomes a map, since a field that is an object merges field by field.
    fn from(value: T) -> Field {
        match value.into() {
            Value::Object(members) => Field::Map(members.into_iter().collect()),
            value => Field::Value(value),
        }
    }
}

/// The field at `path`, if there is one.
pub(crate) fn lookup<'a>(fields: &'a Fields, path: &Path) -> Option<&'a Field> {
    let (last, way) = path.names().split_last()?;
    way.iter().try_fold(fields, |at, name| at.get(name)?.as_map())?.get(last)
}

/// The field at a JSON Pointer; most are walked as they stand, without a [`Path`] of their own.
pub(crate) fn lookup_pointer<'a>(fields: &'a Fields, pointer: &str) -> Result<Option<&'a Field>> {
    match pointer.strip_prefix('/') {
        Some(names) if !names.contains('~') => {
            let (way, last) = names.rsplit_once('/').map_or((None, names), |(w, l)| (Some(w), l));
            let mut way = way.into_iter().flat_map(|way| way.split('/'));
            let map = way.try_fold(fields, |at, name| at.get(name)?.as_map());
            Ok(map.and_then(|map| map.get(last)))
        }
        _ => Ok(lookup(fields, &Path::parse_pointer(pointer)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_what_its_path_finds() {
        let inner =
            Fields::from([("b".to_owned(), Field::from(1)), ("".to_owned(), Field::from(2))]);
        let fields = Fields::from([
            ("a".to_owned(), Field::Map(inner.clone())),
            ("".to_owned(), Field::Map(inner)),
            ("x/y~z".to_owned(), Field::from(3)),
        ]);
        let mut found = 0;
        let odd = ["", "/", "//", "///", "/a", "/a/", "/a/b", "//b", "/a/b/c", "/b", "/x~1y~0z"];
        for pointer in odd.into_iter().chain(["a", "a/b", "~", "/~2", "/none/~", "/x/y~z", "/ä"]) {
            let by_path = Path::parse_pointer(pointer).map(|path| lookup(&fields, &path));
            let by_pointer = lookup_pointer(&fields, pointer);
            match (by_pointer, by_path) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(one, other, "{pointer}");
                    found += usize::from(one.is_some());
                }
                (Err(one), Err(other)) => assert_eq!(one.message(), other.message(), "{pointer}"),
                (one, other) => panic!("{pointer}: {one:?} and {other:?}"),
            }
        }
        assert_eq!(found, 7);
    }
}

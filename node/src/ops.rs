//! Changes of documents as JSON: one transaction of several, of any documents.
//!
//! `[{"put": {"collection": "notes", "id": "n1", "doc": {..}}}, {"increment": {..}}]`: what each
//! says is what the method of that name takes over HTTP.

use littoral::value::{parse_fields, parse_value};
use littoral::{Error, Path, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::target::Write;

/// One change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Op {
    /// Replaces a document.
    Put(Content),
    /// Writes some of its fields.
    Merge(Content),
    /// Deletes it, or the field at `path`.
    Delete(Place),
    /// Adds an element to the set at `path`.
    Add(Element),
    /// Removes an element from the set at `path`.
    Remove(Element),
    /// Adds to the counter at `path`.
    Increment(Step),
}

/// A document and its fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    collection: String,
    id: String,
    doc: Box<RawValue>,
}

/// A document, or a field of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    collection: String,
    id: String,
    #[serde(default)]
    path: String,
}

/// An element of a set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Element {
    collection: String,
    id: String,
    path: String,
    value: Box<RawValue>,
}

/// What a counter goes up by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    collection: String,
    id: String,
    path: String,
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

/// A change of one document of a transaction.
#[derive(Debug)]
pub(crate) struct Change {
    /// The collection.
    pub(crate) collection: String,
    /// The document.
    pub(crate) id: String,
    /// What is written.
    pub(crate) write: Write,
}

/// Reads the changes of a transaction; of one that says nothing sensible the error names the place.
pub(crate) fn changes(ops: Vec<Op>) -> Result<Vec<Change>> {
    let placed = |(at, op): (usize, Op)| {
        change(op).map_err(|err| Error::new(err.kind(), format!("operation {}: {err}", at + 1)))
    };
    ops.into_iter().enumerate().map(placed).collect()
}

fn change(op: Op) -> Result<Change> {
    let of = |collection, id, write| Change { collection, id, write };
    let fields = |doc: &RawValue| parse_fields(doc.get().as_bytes());
    let element = |path: &str, value: &RawValue| {
        let path = Path::parse_pointer(path)?;
        let value = parse_value(value.get().as_bytes(), &path)?;
        Ok::<_, Error>((path, value))
    };
    Ok(match op {
        Op::Put(Content { collection, id, doc }) => of(collection, id, Write::Put(fields(&doc)?)),
        Op::Merge(Content { collection, id, doc }) => {
            of(collection, id, Write::Merge(fields(&doc)?))
        }
        Op::Delete(Place { collection, id, path }) => {
            of(collection, id, Write::Delete(Path::parse_pointer(&path)?))
        }
        Op::Add(Element { collection, id, path, value }) => {
            let (path, value) = element(&path, &value)?;
            of(collection, id, Write::Add(path, value))
        }
        Op::Remove(Element { collection, id, path, value }) => {
            let (path, value) = element(&path, &value)?;
            of(collection, id, Write::Remove(path, value))
        }
        Op::Increment(Step { collection, id, path, by }) => {
            of(collection, id, Write::Increment(Path::parse_pointer(&path)?, by))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_and_what_is_none_is_named_by_its_place() {
        let text = r#"[
            {"put": {"collection": "c", "id": "a", "doc": {"n": 1}}},
            {"merge": {"collection": "c", "id": "a", "doc": {"m": 1}}},
            {"add": {"collection": "c", "id": "a", "path": "/tags", "value": "x"}},
            {"remove": {"collection": "c", "id": "a", "path": "/tags", "value": "x"}},
            {"increment": {"collection": "c", "id": "a", "path": "/views"}},
            {"delete": {"collection": "c", "id": "b"}}
        ]"#;
        let read = changes(serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(read.len(), 6);
        assert!(matches!(&read[4].write, Write::Increment(_, 1)));
        assert!(matches!(&read[5].write, Write::Delete(path) if path.depth() == 0));
        let bad = r#"[{"delete": {"collection": "c", "id": "b"}},
            {"put": {"collection": "c", "id": "b", "doc": []}}]"#;
        let err = changes(serde_json::from_str(bad).unwrap()).unwrap_err();
        assert!(err.message().starts_with("operation 2: "), "{err}");
        for none in [r#"[{"set": {}}]"#, r#"[{"put": {"collection": "c"}}]"#, "{}"] {
            assert!(serde_json::from_str::<Vec<Op>>(none).is_err(), "{none}");
        }
    }
}

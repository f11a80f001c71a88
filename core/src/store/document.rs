//! Documents and conflicts as they are handed out, and what can be put.

use std::borrow::Cow;
use std::ops::Index;
use std::sync::Arc;

use super::heads::Origins;
use crate::clock::Timestamp;
use crate::crdt::{self, Flags, Row, view};
use crate::error::Result;
use crate::id::Dot;
use crate::txn::edit::{Base, Version};
use crate::value::{Field, Fields, Path, Text};

/// A document as it was read: its fields, and what its reader has thereby seen.
///
/// Change [`Document::fields_mut`] and put it back: only the difference to what was read is
/// written, so that what sync brought in between stays. Put under another id or into another
/// collection, it is a copy: all of its fields are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it was read; `None` if it was not there.
    collection: Option<Arc<str>>,
    id: Text,
    fields: Fields,
    seen: Seen,
}

/// What a document's reader has seen: its row, read only when somebody asks for it.
#[derive(Debug, Clone)]
enum Seen {
    Row(Row),
    Stored { bytes: Box<[u8]>, origins: Arc<Origins> },
}

impl Seen {
    fn row(&self) -> Cow<'_, Row> {
        match self {
            Seen::Row(row) => Cow::Borrowed(row),
            Seen::Stored { bytes, origins } => Cow::Owned(
                Row::decode(bytes, |number| origins.find(number))
                    .expect("the same bytes were read when the document was"),
            ),
        }
    }
}

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        self.row() == other.row()
    }
}

impl Eq for Seen {}

impl Document {
    /// The document that `row` shows, if it shows one.
    pub(super) fn of(collection: &Arc<str>, id: &str, row: Row) -> Option<Document> {
        let fields = view::fields(&row)?;
        let (collection, seen) = (Some(collection.clone()), Seen::Row(row));
        Some(Document { collection, id: id.into(), fields, seen })
    }

    /// The document that a stored row shows, if it shows one.
    pub(super) fn of_stored(
        collection: &Arc<str>,
        id: &str,
        bytes: &[u8],
        key: &mut Vec<u8>,
        origins: &Arc<Origins>,
    ) -> Result<Option<Document>> {
        if Flags::of(Some(bytes)).in_conflict {
            let row = Row::decode(bytes, |number| origins.find(number))?;
            return Ok(Document::of(collection, id, row));
        }
        let fields = crdt::shown(bytes, key, |number| origins.find(number))?;
        Ok(fields.map(|fields| Document {
            collection: Some(collection.clone()),
            id: id.into(),
            fields,
            seen: Seen::Stored { bytes: bytes.into(), origins: origins.clone() },
        }))
    }

    /// A document that is not there: putting it begins one.
    pub fn absent(id: &str) -> Document {
        let (fields, seen) = (Fields::new(), Seen::Row(Row::default()));
        Document { collection: None, id: id.into(), fields, seen }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its fields, by name.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Its fields, to be changed and put back.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// Its fields, without the version.
    pub fn into_fields(self) -> Fields {
        self.fields
    }

    /// The field at `path`, if there is one.
    pub fn get(&self, path: impl Into<Path>) -> Option<&Field> {
        crate::value::lookup(&self.fields, &path.into())
    }

    /// As [`Document::get`], by a JSON Pointer, `/address/city`, for those who have it as text:
    /// makes no [`Path`] of it. Fails for what is no pointer.
    pub fn get_pointer(&self, pointer: &str) -> Result<Option<&Field>> {
        crate::value::lookup_pointer(&self.fields, pointer)
    }

    /// What its reader has seen, as opaque bytes for those who can't hand back the document.
    pub fn version(&self) -> Version {
        Version::of(&self.seen.row())
    }

    /// What other replicas wrote to its fields that are in conflict, and is not shown.
    pub(super) fn siblings(&self) -> Vec<(Path, Vec<Field>)> {
        // What was in conflict when it was read came as a row.
        match &self.seen {
            Seen::Stored { .. } => Vec::new(),
            Seen::Row(row) => view::conflicts(row)
                .into_iter()
                .map(|found| {
                    let hidden = found.candidates.into_iter().skip(1);
                    (found.path, hidden.map(|side| side.field).collect())
                })
                .collect(),
        }
    }

    /// Its fields that are in conflict.
    pub fn conflicts(&self) -> Vec<Conflict> {
        conflicts("", &self.id, &self.seen.row())
    }
}

impl Index<&str> for Document {
    type Output = Field;

    /// The top-level field with this name. Panics if there is none; see [`Document::get`].
    fn index(&self, name: &str) -> &Field {
        &self.fields[name]
    }
}

/// What can be put as a document: fields, which replace what is there, or a document that was
/// read, which writes its difference to what was read.
pub trait Content {
    /// The fields to put.
    fn fields(&self) -> &Fields;

    /// What the caller had seen of the document `id` of `collection`; `None` for "what is there now".
    fn base(&self, collection: &str, id: &str) -> Result<Option<Base>>;
}

impl Content for &Fields {
    fn fields(&self) -> &Fields {
        self
    }

    fn base(&self, _: &str, _: &str) -> Result<Option<Base>> {
        Ok(None)
    }
}

impl Content for &Document {
    fn fields(&self) -> &Fields {
        &self.fields
    }

    fn base(&self, collection: &str, id: &str) -> Result<Option<Base>> {
        let here =
            self.collection.as_deref().is_none_or(|name| name == collection && self.id == id);
        Ok(here.then(|| Base::of(&self.seen.row())))
    }
}

/// Fields and the version that they were read at.
impl Content for (&Fields, &Version) {
    fn fields(&self) -> &Fields {
        self.0
    }

    fn base(&self, _: &str, _: &str) -> Result<Option<Base>> {
        Base::from_version(self.1).map(Some)
    }
}

/// A field that replicas wrote without having seen each other's writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The collection.
    pub collection: String,
    /// The document.
    pub id: String,
    /// The field.
    pub path: Path,
    /// What was written, by whom and when; the first is shown, everywhere.
    pub candidates: Vec<Candidate>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it would show.
    pub field: Field,
    /// The transaction that wrote it; its origin is the author.
    pub dot: Dot,
    /// When, by its author's clock.
    pub time: Timestamp,
}

/// The conflicts in `row`.
pub(super) fn conflicts(collection: &str, id: &str, row: &Row) -> Vec<Conflict> {
    view::conflicts(row)
        .into_iter()
        .map(|found| Conflict {
            collection: collection.to_owned(),
            id: id.to_owned(),
            path: found.path,
            candidates: found
                .candidates
                .into_iter()
                .map(|side| Candidate { field: side.field, dot: side.dot, time: side.time })
                .collect(),
        })
        .collect()
}

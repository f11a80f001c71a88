//! What differs between a checkpoint and another one, or now.
//!
//! A document that differs was changed between the two, so it is among the rows kept under tags
//! from the first checkpoint on and before the second: no others are read. A collection that began,
//! or was left, between the two is read whole. Memory is bounded by the two states of one document.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;

use redb::OwnedRange;

use super::former::{number_of, prefix, split_key};
use super::past::{Moment, NOW, Rows};
use super::{Checkpoint, Part, WrittenBy, find};
use crate::crdt::{Row, key, view};
use crate::error::Result;
use crate::store::Store;
use crate::store::tables::{self, db};
use crate::value::{Field, Fields, Path};

/// What is different of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The collection.
    pub collection: String,
    /// The document.
    pub id: String,
    /// What it showed before; `None` if it was not there.
    pub before: Option<Fields>,
    /// What it showed after; `None` if it was not there.
    pub after: Option<Fields>,
    /// Who wrote what the later of the two shows, and when: of each field that differs and is
    /// there, and under the root of a document that is there on one side only. Who removed what
    /// is not there is told only where the log was asked.
    pub written: Vec<WrittenBy>,
    /// Of a revert of what one author did: what others have changed since, and so is kept. Under
    /// the root of a document that this author began: that others have written into it.
    pub kept: Vec<WrittenBy>,
}

/// What is different of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field.
    pub path: Path,
    /// What it was; `None` if it was not there.
    pub before: Option<Field>,
    /// What it is; `None` if it is not there.
    pub after: Option<Field>,
}

impl Difference {
    /// The fields that differ, in the order of their paths; maps that are there on both sides are
    /// compared field by field. None if the document came or went.
    pub fn fields(&self) -> Vec<FieldChange> {
        let mut found = Vec::new();
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            compare(&mut Path::root(), before, after, &mut found);
        }
        found
    }

    /// Whether the two sides differ; else it is there only for what is kept.
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }

    /// The fields of which it is said who wrote them.
    pub(super) fn places(&self) -> Vec<Path> {
        match self.before.is_some() && self.after.is_some() {
            true => self.fields().into_iter().map(|change| change.path).collect(),
            false => vec![Path::root()],
        }
    }
}

pub(super) fn compare(
    path: &mut Path,
    before: &Fields,
    after: &Fields,
    found: &mut Vec<FieldChange>,
) {
    let came = after.keys().filter(|name| !before.contains_key(name));
    let mut names: Vec<_> = before.keys().chain(came).collect();
    names.sort();
    for name in names {
        path.push(name.to_string());
        match (before.get(name), after.get(name)) {
            (Some(Field::Map(before)), Some(Field::Map(after))) => {
                compare(path, before, after, found);
            }
            (before, after) if before != after => found.push(FieldChange {
                path: path.clone(),
                before: before.cloned(),
                after: after.cloned(),
            }),
            _ => {}
        }
        path.pop();
    }
}

/// The documents that differ between two moments: collection by collection, in the order of ids.
pub struct Diff {
    store: Store,
    /// How often the store had been suspended when it began.
    suspensions: u64,
    moment: Arc<Moment>,
    from: u64,
    to: u64,
    names: std::vec::IntoIter<String>,
    at: Option<Within>,
}

/// A collection in which documents are being compared.
struct Within {
    name: String,
    before: Option<u32>,
    after: Option<u32>,
    ids: Ids,
}

/// The ids of documents that may differ.
enum Ids {
    /// Those of which something was kept: rows of former rows.
    Kept { rows: Box<OwnedRange<&'static [u8], &'static [u8]>>, last: Option<String> },
    /// All that there were, and all that there are.
    All(Box<[Option<Peekable<Rows>>; 2]>),
}

impl Store {
    /// What changed between a checkpoint and a later one, or with `None` now; collections in the
    /// order of their names. `to` may also be the earlier one: then it is told the other way round.
    ///
    /// Errors: [`NotFound`](crate::ErrorKind::NotFound) if there is no such checkpoint.
    pub fn diff(&self, from: &str, to: Option<&str>) -> Result<Diff> {
        let choose = |all: &[Checkpoint]| {
            let from = find(all, from)?.tag;
            Ok((from, to.map(|to| find(all, to).map(|to| to.tag)).transpose()?.unwrap_or(NOW)))
        };
        let ((from, to), _, moment) = self.moment_of(choose)?;
        Diff::between(self, moment, from, to)
    }
}

impl Diff {
    pub(super) fn between(store: &Store, moment: Arc<Moment>, from: u64, to: u64) -> Result<Diff> {
        let suspensions = store.suspensions();
        let mut names = BTreeSet::new();
        for tag in [from, to] {
            for entry in moment.range(tag, Part::Collections, &[], &[0xff], false)? {
                names.insert(String::from_utf8_lossy(&entry?.0).into_owned());
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        let (store, names) = (store.clone(), names.into_iter());
        Ok(Diff { store, suspensions, moment, from, to, names, at: None })
    }

    /// Of one collection alone.
    #[must_use]
    pub fn of_collection(self, name: &str) -> Diff {
        self.only(|known| known == name)
    }

    pub(super) fn without_collection(self, name: &str) -> Diff {
        self.only(|known| known != name)
    }

    fn only(mut self, keep: impl Fn(&str) -> bool) -> Diff {
        let names: Vec<String> = self.names.by_ref().filter(|name| keep(name)).collect();
        Diff { names: names.into_iter(), ..self }
    }

    fn enter(&self, name: String) -> Result<Within> {
        let before = self.moment.number(self.from, &name)?;
        let after = self.moment.number(self.to, &name)?;
        let all = |tag, number: Option<u32>| -> Result<Option<Peekable<Rows>>> {
            let Some(number) = number else { return Ok(None) };
            let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
            Ok(Some(self.moment.range(tag, Part::Documents, &start, &end, false)?.peekable()))
        };
        let ids = match before.filter(|number| after == Some(*number)) {
            Some(number) => {
                let start = prefix(Part::Documents, &number.to_be_bytes());
                let end = prefix(Part::Documents, &(number + 1).to_be_bytes());
                let rows = self.moment.former().range_owned::<&[u8]>(&start[..]..&end[..]);
                Ids::Kept { rows: Box::new(rows.map_err(db)?), last: None }
            }
            None => Ids::All(Box::new([all(self.from, before)?, all(self.to, after)?])),
        };
        Ok(Within { name, before, after, ids })
    }

    fn step(&mut self) -> Result<Option<Difference>> {
        self.store.inner.check_since(self.suspensions)?;
        loop {
            if self.at.is_none() {
                let Some(name) = self.names.next() else { return Ok(None) };
                self.at = Some(self.enter(name)?);
            }
            let (from, to) = (self.from, self.to);
            let within = self.at.as_mut().expect("just entered");
            let Some(id) = within.ids.next(from, to)? else {
                self.at = None;
                continue;
            };
            let shown = |tag, number: Option<u32>| -> Result<Option<Fields>> {
                let Some(number) = number else { return Ok(None) };
                let document = self.moment.document(tag, number, &id)?;
                Ok(document.map(|document| document.into_fields()))
            };
            let (before, after) = (shown(from, within.before)?, shown(to, within.after)?);
            if before != after {
                let collection = within.name.clone();
                let (written, kept) = (Vec::new(), Vec::new());
                let mut found = Difference { collection, id, before, after, written, kept };
                let later = if from > to { (from, within.before) } else { (to, within.after) };
                if let (tag, Some(number)) = later {
                    let row = self.moment.cells(tag, number, &found.id)?;
                    found.written = written_in(&row, found.places());
                }
                return Ok(Some(found));
            }
        }
    }
}

/// Who wrote these fields of a document.
fn written_in(row: &Row, places: Vec<Path>) -> Vec<WrittenBy> {
    let written = |path: Path| {
        let (dot, time) = view::newest(row.under(&key::prefix(&path)))?;
        Some(WrittenBy { path, dot, time })
    };
    places.into_iter().filter_map(written).collect()
}

impl Iterator for Diff {
    type Item = Result<Difference>;

    fn next(&mut self) -> Option<Result<Difference>> {
        let found = self.step().transpose();
        if matches!(found, Some(Err(_))) {
            self.names = Vec::new().into_iter();
            self.at = None;
        }
        found
    }
}

impl Ids {
    fn next(&mut self, from: u64, to: u64) -> Result<Option<String>> {
        match self {
            Ids::Kept { rows, last } => {
                let between = from.min(to)..from.max(to);
                for entry in rows {
                    let (key, _) = entry.map_err(db)?;
                    let (part, row, tag) = split_key(key.value())?;
                    debug_assert!(number_of(part, &row).is_some());
                    let id = tables::document_id(&row)?;
                    if between.contains(&tag) && last.as_deref() != Some(id) {
                        *last = Some(id.to_owned());
                        return Ok(last.clone());
                    }
                }
                Ok(None)
            }
            Ids::All(sides) => {
                let mut least: Option<String> = None;
                for side in sides.iter_mut().filter_map(|side| side.as_mut()) {
                    let id = match side.peek() {
                        Some(Ok((key, _))) => tables::document_id(key)?.to_owned(),
                        Some(Err(_)) => return side.next().transpose().map(|_| None),
                        None => continue,
                    };
                    least = Some(least.map_or(id.clone(), |least| least.min(id)));
                }
                for side in sides.iter_mut().filter_map(|side| side.as_mut()) {
                    let here = side.peek().is_some_and(|entry| {
                        entry
                            .as_ref()
                            .is_ok_and(|(key, _)| tables::document_id(key).ok() == least.as_deref())
                    });
                    if here {
                        side.next().transpose()?;
                    }
                }
                Ok(least)
            }
        }
    }
}

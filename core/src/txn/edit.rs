//! Edits of one document: what a caller wants, as operations over what the caller has seen.
//!
//! A [`Draft`] is a document inside a transaction: as much of it as the edits concern, the
//! operations so far, and what they leave of it. A [`Base`] is what the caller had seen; an edit
//! writes the difference to it and clears only that, so that it never undoes what came in
//! between. An edit first holds what it concerns, its *scope*: the places on the way, and all at
//! and below the field; what it sees is worked out from that alone. Invariants: operations touch
//! nothing outside the scope; operations are the net effect (a put that the same transaction
//! takes back is not among them); a clear names only cells that are in the row and that
//! the base has seen; cells of unknown slots are never cleared by a `put`; every map and
//! set that an edit creates has a marker, so that it stays when its content goes; what is put
//! over something of another kind replaces all that was seen there, also the sides of a
//! conflict that were not shown; and a change inside a map, set or counter clears what was
//! seen of other kinds at its place and on the way there, so that taking something out never
//! brings up another side.

mod first;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::version::{element_key, short_hash};
use crate::crdt::key::{self, Slot, Step};
use crate::crdt::{Addition, Body, Cell, Op, Ranges, Row, Source, Stamp, Window, view};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Seq};
use crate::limits::{MAX_DEPTH, MAX_KEY_BYTES};
use crate::value::{Field, Fields, Path, Value, codec};

pub use super::version::{Base, Version};

/// A document inside a transaction.
#[derive(Debug)]
pub struct Draft {
    now: Window,
    /// The document in the state, where that is another thing than what is shown: own rows of
    /// counters go by it.
    state: Option<Row>,
    /// The document was not there, and `ops` make all of it: `now` does not have them yet.
    behind: bool,
    ops: Vec<Op>,
    stamp: Stamp,
}

impl Draft {
    /// A draft of the document that `row` holds, in the transaction at `stamp`.
    pub fn new(row: Row, stamp: Stamp) -> Draft {
        Draft { now: Window::whole(row), state: None, behind: false, ops: Vec::new(), stamp }
    }

    /// A draft of a document that shows `row`, while the state has another: see
    /// [`Store::rollback_hold`](crate::Store::rollback_hold).
    pub fn held(row: Row, state: Row, stamp: Stamp) -> Draft {
        Draft { state: Some(state), ..Draft::new(row, stamp) }
    }

    /// A draft of the document at `source`, of which only what the edits concern is read.
    pub fn over(source: Box<dyn Source + Send + Sync>, stamp: Stamp) -> Draft {
        let now = Window::over(source);
        Draft { now, state: None, behind: false, ops: Vec::new(), stamp }
    }

    /// Whoever looks at the document sees what a first put has left of it.
    fn catch_up(&mut self) {
        if std::mem::take(&mut self.behind) {
            self.ops.iter().for_each(|op| self.now.apply(op, &self.stamp, &[]));
        }
    }

    /// The document as the edits so far leave it, whole.
    pub fn row(&mut self) -> Result<Row> {
        self.catch_up();
        self.now.hold_all()?;
        Ok(self.now.row())
    }

    /// The field at `path` as the edits so far leave it.
    pub fn field(&mut self, path: &Path) -> Result<Option<Field>> {
        self.catch_up();
        self.now.field(path)
    }

    /// Whether the set at `path` has an element, as the edits so far leave it.
    pub fn has(&mut self, path: &Path, element: &Value) -> Result<bool> {
        self.catch_up();
        self.now.has(path, element)
    }

    /// The operations; none if the edits change nothing.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Replaces the document by `fields`: writes the difference to what `base` had seen, or to
    /// what is there now, and clears only that.
    pub fn put(&mut self, fields: &Fields, base: Option<&Base>) -> Result<()> {
        let unseen = base.is_none_or(|base| base.is_current(&Row::default()));
        if unseen && self.ops.is_empty() && self.now.is_empty() {
            // What can't be put is for the way below to say.
            if let Some(ops) = first::put(fields, &self.stamp) {
                (self.ops, self.behind) = (ops, true);
                return Ok(());
            }
        }
        self.catch_up();
        self.now.hold_all()?;
        let now;
        let base = match base {
            Some(base) if !base.is_current(&self.now.row()) => {
                if base.leaves.is_none() {
                    return Err(cant_merge());
                }
                base
            }
            _ => {
                now = Base::of_part(&self.now.all());
                &now
            }
        };
        self.put_map(&mut Path::root(), fields, base, true)
    }

    /// Writes the fields given, map by map, and leaves all others alone.
    pub fn merge(&mut self, fields: &Fields) -> Result<()> {
        self.catch_up();
        let mut scope = Ranges::default();
        self.hold_fields(&mut Vec::new(), fields, &mut scope)?;
        let base = self.seen(&scope);
        self.put_map(&mut Path::root(), fields, &base, false)
    }

    /// Removes what `base` had seen of the document, or what is there now. Gives whether there was anything.
    pub fn delete(&mut self, base: Option<&Base>) -> Result<bool> {
        self.catch_up();
        self.now.hold_all()?;
        let now;
        let base = match base {
            Some(base) if !base.is_mere_print() => base,
            Some(base) if !base.is_current(&self.now.row()) => return Err(cant_merge()),
            _ => {
                now = Base::of_part(&self.now.all());
                &now
            }
        };
        Ok(self.clear(&[], base, true))
    }

    /// Writes one field; maps on the way are created.
    pub fn set(&mut self, path: &Path, field: &Field) -> Result<()> {
        let base = self.see(path)?;
        self.open_way(path, &base)?;
        self.put_field(&mut path.clone(), field, &base, true)
    }

    /// Removes one field with all below it. Gives whether it was there.
    pub fn unset(&mut self, path: &Path) -> Result<bool> {
        let parent = key::prefix(&Path::from(parent_names(path)?));
        let base = self.see(path)?;
        let cleared = self.clear(&key::prefix(path), &base, true);
        if cleared {
            self.open_way(path, &base)?;
            self.keep_container(&parent, Slot::MapMarker);
        }
        Ok(cleared)
    }

    /// Adds an element to the set at `path`, which is created if nothing is there.
    pub fn add(&mut self, path: &Path, element: &Value) -> Result<()> {
        let prefix = key::prefix(path);
        let part = self.part_of_set(path, element)?;
        let base = Base::of_part(&part);
        want_kind(&part, path, "set", "put a set there first", |field| {
            matches!(field, Field::Set(_))
        })?;
        self.open_way(path, &base)?;
        self.clear_others(&prefix, Slot::SetMarker, &base);
        if !base.shows(&prefix, Slot::SetMarker) {
            self.put_cell(key::slot(&prefix, Slot::SetMarker), Vec::new());
        }
        self.put_element(&prefix, element, path, &base)
    }

    /// Removes an element from the set at `path`. Gives whether it was there.
    pub fn remove(&mut self, path: &Path, element: &Value) -> Result<bool> {
        let prefix = key::prefix(path);
        let part = self.part_of_set(path, element)?;
        let base = Base::of_part(&part);
        want_kind(&part, path, "set", "it has no elements to remove", |field| {
            matches!(field, Field::Set(_))
        })?;
        let cleared = self.clear(&element_key(&prefix, element), &base, true);
        if cleared {
            self.open_way(path, &base)?;
            self.clear_others(&prefix, Slot::SetMarker, &base);
            self.keep_container(&prefix, Slot::SetMarker);
        }
        Ok(cleared)
    }

    /// Adds to the counter at `path`, which is created if nothing is there.
    pub fn increment(&mut self, path: &Path, by: i64) -> Result<()> {
        let part = self.part(path)?;
        let base = Base::of_part(&part);
        want_kind(&part, path, "counter", "put {\"$counter\": 0} there first", |field| {
            matches!(field, Field::Counter(_))
        })?;
        self.open_way(path, &base)?;
        let prefix = key::prefix(path);
        self.clear_others(&prefix, Slot::Counter, &base);
        self.add_to_row(key::slot(&prefix, Slot::Counter), by);
        Ok(())
    }

    /// Zeroes a row of the counter at `path`, up to the transaction and total that were seen, and
    /// adds what of it is to stay. Nothing happens if the row is not there, or zeroed further.
    pub fn zero(&mut self, path: &Path, seen: (Dot, Seq, i128), keep: Option<i128>) -> Result<()> {
        let (row, seq, total) = seen;
        let key = key::slot(&key::prefix(path), Slot::Counter);
        let is_there = self.part(path)?.iter().any(|cell| match &cell.body {
            Body::Counter(there) => {
                cell.key == key
                    && cell.stamp.dot == row
                    && there.settled_seq < seq
                    && seq <= there.seq
            }
            Body::Put(_) => false,
        });
        if !is_there {
            return Ok(());
        }
        let keep = keep.map(i64::try_from).transpose().map_err(|_| {
            Error::limit(format!("the counter at '{path}' would change by more than 64 bits"))
        })?;
        self.push(Op::Settle { key: key.clone(), row, seq, total });
        if let Some(keep) = keep {
            self.add_to_row(key, keep);
        }
        Ok(())
    }

    /// Settles the conflict at `path` for one of its candidates, or for something new: all else
    /// that is there is cleared.
    pub fn resolve(&mut self, path: &Path, choice: &Field) -> Result<()> {
        let base = self.see(path)?;
        self.open_way(path, &base)?;
        let prefix = key::prefix(path);
        let keep = match choice {
            Field::Map(_) => Slot::MapMarker,
            Field::Set(_) => Slot::SetMarker,
            Field::Counter(_) => Slot::Counter,
            Field::Value(value) => {
                let bytes = codec::encode_checked(value, path)?;
                self.clear(&prefix, &base, true);
                self.put_cell(key::slot(&prefix, Slot::Register), bytes);
                return Ok(());
            }
        };
        self.clear_others(&prefix, keep, &base);
        // Of a candidate, what is left; of something new, nothing or its difference to that.
        let left = self.see(path)?;
        self.put_field(&mut path.clone(), choice, &left, true)
    }

    /// What the reader of the field at `path` sees; holds it.
    fn see(&mut self, path: &Path) -> Result<Base> {
        Ok(Base::of_part(&self.part(path)?))
    }

    fn seen(&self, scope: &Ranges) -> Base {
        Base::of_part(&self.now.part(scope))
    }

    /// The part of the document that an edit of the field at `path` concerns.
    fn part(&mut self, path: &Path) -> Result<Vec<&Cell>> {
        check_path(path)?;
        self.catch_up();
        self.now.part_of_field(path)
    }

    /// The part of the document that an edit of one element of the set at `path` concerns.
    fn part_of_set(&mut self, path: &Path, element: &Value) -> Result<Vec<&Cell>> {
        check_path(path)?;
        self.catch_up();
        self.now.part_of_set(path, element)
    }

    /// Holds what an edit concerns that writes the fields given and leaves others alone.
    fn hold_fields(
        &mut self,
        prefix: &mut Vec<u8>,
        fields: &Fields,
        scope: &mut Ranges,
    ) -> Result<()> {
        if !self.now.hold_place(prefix, scope)? {
            return Ok(());
        }
        for (name, field) in fields {
            let len = prefix.len();
            key::push_field(prefix, name);
            match field {
                Field::Map(fields) => self.hold_fields(prefix, fields, scope)?,
                _ => self.now.hold_below(prefix, scope)?,
            }
            prefix.truncate(len);
        }
        Ok(())
    }

    /// Makes every node above `path` a map, clearing what else was seen there.
    fn open_way(&mut self, path: &Path, base: &Base) -> Result<()> {
        let names = parent_names(path)?;
        check_path(path)?;
        for depth in 0..=names.len() {
            let prefix = key::prefix(&Path::from(names[..depth].to_vec()));
            self.open_map(&prefix, base);
        }
        Ok(())
    }

    fn open_map(&mut self, prefix: &[u8], base: &Base) {
        self.clear_others(prefix, Slot::MapMarker, base);
        if !base.shows(prefix, Slot::MapMarker)
            && !self.has_put(&key::slot(prefix, Slot::MapMarker))
        {
            self.put_cell(key::slot(prefix, Slot::MapMarker), Vec::new());
        }
    }

    /// Writes the fields of the map at `path`; with `replace`, those that the base showed and
    /// `fields` lacks go.
    fn put_map(
        &mut self,
        path: &mut Path,
        fields: &Fields,
        base: &Base,
        replace: bool,
    ) -> Result<()> {
        check_path(path)?;
        let prefix = key::prefix(path);
        let ops_before = self.ops.len();
        let was_map = base.shows(&prefix, Slot::MapMarker);
        if !was_map {
            self.clear(&prefix, base, false);
            self.put_cell(key::slot(&prefix, Slot::MapMarker), Vec::new());
        }
        if was_map && replace {
            self.remove_absent(&prefix, fields, base);
        }
        for (name, field) in fields {
            path.push(name.as_str().to_owned());
            self.put_field(path, field, base, replace)?;
            path.pop();
        }
        if was_map && self.ops.len() > ops_before {
            self.clear_others(&prefix, Slot::MapMarker, base);
        }
        if was_map && fields.is_empty() && replace {
            self.keep_container(&prefix, Slot::MapMarker);
        }
        Ok(())
    }

    /// Clears the children of the map at `prefix` that the base showed and `fields` lacks.
    fn remove_absent(&mut self, prefix: &[u8], fields: &Fields, base: &Base) {
        let mut gone = BTreeSet::new();
        for cell in self.now.under(&key::children(prefix)) {
            if let Step::Field(component) = key::step(&cell.key, prefix.len())
                && !fields.contains_key(&key::field_name(component))
            {
                gone.insert([prefix, component].concat());
            }
        }
        for child in gone {
            self.clear(&child, base, false);
        }
    }

    fn put_field(
        &mut self,
        path: &mut Path,
        field: &Field,
        base: &Base,
        replace: bool,
    ) -> Result<()> {
        check_path(path)?;
        match field {
            Field::Map(fields) => self.put_map(path, fields, base, replace),
            Field::Set(elements) => self.put_set(path, elements, base),
            Field::Counter(sum) => self.put_counter(path, *sum, base),
            Field::Value(value) => self.put_value(path, value, base),
        }
    }

    fn put_value(&mut self, path: &Path, value: &Value, base: &Base) -> Result<()> {
        let prefix = key::prefix(path);
        if let Value::Array(items) = value
            && base.shows(&prefix, Slot::SetMarker)
            && items.iter().all(Value::is_scalar)
        {
            return self.put_set(path, &items.iter().cloned().collect(), base);
        }
        let number = matches!(value, Value::Int(_) | Value::UInt(_) | Value::Float(_));
        if number && base.shows(&prefix, Slot::Counter) {
            return Err(Error::new(
                ErrorKind::WrongKind,
                format!(
                    "the field '{path}' is a counter; use increment, or put {{\"$counter\": n}} for a new sum"
                ),
            ));
        }
        let bytes = codec::encode_checked(value, path)?;
        let register = key::slot(&prefix, Slot::Register);
        if base.print(&register) != Some(short_hash(&bytes)) {
            self.clear(&prefix, base, false);
            self.put_cell(register, bytes);
        }
        Ok(())
    }

    fn put_set(&mut self, path: &Path, elements: &BTreeSet<Value>, base: &Base) -> Result<()> {
        let prefix = key::prefix(path);
        let was_set = base.shows(&prefix, Slot::SetMarker);
        if !was_set {
            self.clear(&prefix, base, false);
            self.put_cell(key::slot(&prefix, Slot::SetMarker), Vec::new());
        }
        let wanted: BTreeSet<Vec<u8>> = elements.iter().map(|e| element_key(&prefix, e)).collect();
        let gone: BTreeSet<Vec<u8>> = self
            .now
            .under(&key::slot(&prefix, Slot::Element))
            .filter(|cell| {
                was_set && base.print(&cell.key).is_some() && !wanted.contains(&cell.key)
            })
            .map(|cell| cell.key.clone())
            .collect();
        let ops_before = self.ops.len();
        let emptied = elements.is_empty() && !gone.is_empty();
        for element in gone {
            self.clear(&element, base, false);
        }
        for element in elements {
            if !was_set || base.print(&element_key(&prefix, element)).is_none() {
                self.put_element(&prefix, element, path, base)?;
            }
        }
        if was_set && self.ops.len() > ops_before {
            self.clear_others(&prefix, Slot::SetMarker, base);
        }
        if emptied {
            self.keep_container(&prefix, Slot::SetMarker);
        }
        Ok(())
    }

    fn put_element(
        &mut self,
        prefix: &[u8],
        element: &Value,
        path: &Path,
        base: &Base,
    ) -> Result<()> {
        if !element.is_scalar() {
            return Err(Error::invalid(format!(
                "the set at '{path}' can't hold an {}; elements are null, bool, numbers, text, bytes and times",
                element.kind()
            )));
        }
        let key = key::element(prefix, &codec::encode_checked(element, path)?);
        self.clear(&key, base, false);
        self.put_cell(key, Vec::new());
        Ok(())
    }

    fn put_counter(&mut self, path: &Path, sum: i64, base: &Base) -> Result<()> {
        let prefix = key::prefix(path);
        let counter = key::slot(&prefix, Slot::Counter);
        match base.print(&counter).map(|print| print as i64) {
            Some(seen) if seen == sum => {}
            Some(seen) => {
                let by = sum.checked_sub(seen).ok_or_else(|| {
                    Error::limit(format!(
                        "the counter at '{path}' would change by more than 64 bits"
                    ))
                })?;
                self.clear_others(&prefix, Slot::Counter, base);
                self.add_to_row(counter, by);
            }
            None => {
                self.clear(&prefix, base, false);
                self.add_to_row(counter, sum);
            }
        }
        Ok(())
    }

    /// Adds to this origin's row of the counter, or begins a new one.
    fn add_to_row(&mut self, counter: Vec<u8>, by: i64) {
        let own = self.stamp.dot.origin;
        let row_of = |cell: &Cell| match &cell.body {
            Body::Counter(row) if cell.stamp.dot.origin == own && !row.is_settled() => {
                let after = Addition { seq: row.seq, time: row.time };
                Some((cell.stamp.dot.seq, row.total, Some(after)))
            }
            _ => None,
        };
        let row = match &self.state {
            None => self.now.under(&counter).find_map(row_of),
            Some(state) => state.under(&counter).iter().find_map(row_of),
        };
        let (birth, total, after) = row.unwrap_or((self.stamp.dot.seq, 0, None));
        let total = total.saturating_add(i128::from(by));
        let (by, after) = match self.take_add(&counter, birth) {
            Some((earlier, after)) => (by.saturating_add(earlier), after),
            None => (by, after),
        };
        self.push(Op::Add { key: counter, birth, total, by, after });
    }

    /// Takes out this transaction's earlier addition to the row; gives how much it added, and
    /// after which one.
    fn take_add(&mut self, counter: &[u8], row_birth: Seq) -> Option<(i64, Option<Addition>)> {
        let mut earlier = None;
        self.ops.retain(|op| match op {
            Op::Add { key, birth, by, after, .. } if key == counter && *birth == row_birth => {
                earlier = Some((*by, *after));
                false
            }
            _ => true,
        });
        earlier
    }

    fn push(&mut self, op: Op) {
        self.now.apply(&op, &self.stamp, &[]);
        if let Some(state) = &mut self.state {
            state.apply(&op, &self.stamp);
        }
        self.ops.push(op);
    }

    fn has_put(&self, key: &[u8]) -> bool {
        self.now.under(key).any(|cell| cell.key == key)
    }

    fn put_cell(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.take_back(|op| matches!(op, Op::Put { key: earlier, .. } if *earlier == key), &key);
        self.push(Op::Put { key, value });
    }

    /// Puts the marker of a container whose content was cleared, if it has none.
    fn keep_container(&mut self, prefix: &[u8], marker: Slot) {
        let marker = key::slot(prefix, marker);
        if !self.has_put(&marker) {
            self.put_cell(marker, Vec::new());
        }
    }

    /// Clears what the base has seen at or below `prefix`. Gives whether there was anything.
    fn clear(&mut self, prefix: &[u8], base: &Base, with_unknown: bool) -> bool {
        let seen = |cell: &Cell| match &cell.body {
            Body::Put(_) => base.covers(&cell.stamp.dot),
            Body::Counter(row) => !row.is_settled() && base.covers(&cell.stamp.dot),
        };
        if !self.now.under(prefix).any(seen) {
            return false;
        }
        let own = self.stamp.dot;
        if base.covers(&own) {
            self.take_back(
                |op| match op {
                    Op::Put { key, .. } | Op::Add { key, .. } => key.starts_with(prefix),
                    _ => false,
                },
                prefix,
            );
        }
        let spare = |cell: &Cell| !with_unknown && cell.slot() == Slot::Unknown;
        let cells: Vec<&Cell> = self.now.under(prefix).collect();
        let mut clears: BTreeMap<Vec<u8>, BTreeMap<Origin, Seq>> = BTreeMap::new();
        let whole = !cells.iter().copied().any(spare);
        for cell in cells.iter().filter(|cell| matches!(cell.body, Body::Put(_))) {
            let dot = cell.stamp.dot;
            if seen(cell) && !spare(cell) && dot != own {
                let at = if whole { prefix.to_vec() } else { cell.key.clone() };
                let newest = clears.entry(at).or_default().entry(dot.origin).or_default();
                *newest = dot.seq.max(*newest);
            }
        }
        let settles: Vec<Op> = cells.iter().filter_map(|cell| settle(cell, base)).collect();
        for (prefix, upto) in clears {
            let upto = upto.into_iter().map(|(origin, seq)| Dot { origin, seq }).collect();
            self.push(Op::Clear { prefix, upto });
        }
        settles.into_iter().for_each(|op| self.push(op));
        true
    }

    /// Clears what was seen at `prefix` of every kind but that of the marker `keep`.
    fn clear_others(&mut self, prefix: &[u8], keep: Slot, base: &Base) {
        for slot in [Slot::Register, Slot::SetMarker, Slot::Element, Slot::Counter] {
            let kind = if slot == Slot::Element { Slot::SetMarker } else { slot };
            if kind != keep {
                self.clear(&key::slot(prefix, slot), base, false);
            }
        }
        if keep != Slot::MapMarker {
            self.clear(&key::slot(prefix, Slot::MapMarker), base, false);
            self.remove_absent(prefix, &Fields::new(), base);
        }
    }

    /// Takes back operations of this transaction that a later one makes void.
    fn take_back(&mut self, void: impl Fn(&Op) -> bool, prefix: &[u8]) {
        let own = self.stamp.dot;
        let touched = self.now.under(prefix).any(|cell| match &cell.body {
            Body::Put(_) => cell.stamp.dot == own,
            Body::Counter(row) => cell.stamp.dot.origin == own.origin && row.seq == own.seq,
        });
        if !touched {
            return;
        }
        self.ops.retain(|op| !void(op));
        self.now.restore(prefix);
        for op in &self.ops {
            self.now.apply(op, &self.stamp, prefix);
        }
    }
}

fn cant_merge() -> Error {
    Error::new(
        ErrorKind::VersionMismatch,
        "the document changed since it was read, and is too large to merge from its version; read it again",
    )
}

/// Checks that the field at `path` is of one kind, or not there.
fn want_kind(
    part: &[&Cell],
    path: &Path,
    wanted: &str,
    remedy: &str,
    is: impl Fn(&Field) -> bool,
) -> Result<()> {
    parent_names(path)?;
    match view::field_of(part, path) {
        Some(field) if !is(&field) => Err(Error::new(
            ErrorKind::WrongKind,
            format!("the field '{path}' is a {}, not a {wanted}; {remedy}", field.kind()),
        )),
        _ => Ok(()),
    }
}

/// Zeroes a counter row as far as the base has seen it.
fn settle(cell: &Cell, base: &Base) -> Option<Op> {
    let Body::Counter(row) = &cell.body else { return None };
    let &(seq, total) = base.rows.get(&(short_hash(&cell.key), cell.stamp.dot))?;
    let (seq, total) = if seq >= row.seq { (row.seq, row.total) } else { (seq, total) };
    let plausible = seq >= cell.stamp.dot.seq;
    (plausible && seq > row.settled_seq).then(|| Op::Settle {
        key: cell.key.clone(),
        row: cell.stamp.dot,
        seq,
        total,
    })
}

fn parent_names(path: &Path) -> Result<Vec<String>> {
    match path.names().split_last() {
        Some((_, way)) => Ok(way.to_vec()),
        None => Err(Error::invalid(
            "this needs the path of a field, such as '/title'; the path is empty",
        )),
    }
}

/// Checks that a cell may lie at `path`.
fn check_path(path: &Path) -> Result<()> {
    match check_place(path.depth(), key::prefix(path).len()) {
        Ok(()) => Ok(()),
        Err(Misplaced::TooDeep) => {
            Err(Error::limit(format!("the document is nested deeper than {MAX_DEPTH} at '{path}'")))
        }
        Err(Misplaced::TooLong) => Err(Error::limit(format!(
            "the names on the way to a field have over {MAX_KEY_BYTES} bytes together"
        ))),
    }
}

/// Why no cell may lie at a place.
enum Misplaced {
    TooDeep,
    TooLong,
}

fn check_place(depth: usize, prefix_len: usize) -> std::result::Result<(), Misplaced> {
    match (depth > MAX_DEPTH, prefix_len > MAX_KEY_BYTES) {
        (true, _) => Err(Misplaced::TooDeep),
        (_, true) => Err(Misplaced::TooLong),
        _ => Ok(()),
    }
}

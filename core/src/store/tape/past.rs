//! The past: what the store showed at a checkpoint.
//!
//! Each row is the one kept under the lowest tag from the checkpoint's on, else today's; a range of
//! them is today's range with the kept rows laid over it. Reads one moment of the tables, so what is
//! written, swept or deleted meanwhile makes no difference to who is reading.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use redb::{OwnedAccessGuard, OwnedRange, ReadOnlyTable, ReadTransaction, ReadableDatabase};

use super::former::{prefix, row_at, row_of, split_key};
use super::{Checkpoint, Part, find, sweep};
use crate::crdt::{Flags, LtHash, Row};
use crate::error::Result;
use crate::id::{Head, Position, Vector, check_collection, check_id};
use crate::store::collection::{Limited, key_bounds};
use crate::store::document::Document;
use crate::store::documents::{self, runs_prefix};
use crate::store::heads::{Heads, Origins};
use crate::store::stats::{Digests, ShownHasher};
use crate::store::tables::{self, Definition, HeadRow, VectorRow, db};
use crate::store::{Collection, ScanRange, Store};

type Bytes = &'static [u8];
pub(super) type Table = ReadOnlyTable<Bytes, Bytes>;

/// The store as it was at a checkpoint. As long as it is held the disk uses no page again that is
/// replaced.
pub struct Past {
    store: Store,
    /// How often the store had been suspended when it began.
    suspensions: u64,
    checkpoint: Checkpoint,
    moment: Arc<Moment>,
}

impl Store {
    /// The store as it was at a checkpoint.
    ///
    /// Errors: [`NotFound`](crate::ErrorKind::NotFound) if there is none with this label.
    pub fn at(&self, label: &str) -> Result<Past> {
        let suspensions = self.suspensions();
        let (checkpoint, _, moment) = self.moment_of(|all| find(all, label).cloned())?;
        Ok(Past { store: self.clone(), suspensions, checkpoint, moment })
    }

    /// The tables as they are now, up to where the log is applied in them, and what is chosen of
    /// the checkpoints of the same moment.
    pub(super) fn moment_of<T>(
        &self,
        choose: impl FnOnce(&[Checkpoint]) -> Result<T>,
    ) -> Result<(T, Position, Arc<Moment>)> {
        let (chosen, applied, origins, read) = {
            let heads = self.inner.read_heads();
            let chosen = choose(&heads.checkpoints)?;
            let read = self.inner.database()?.begin_read().map_err(db)?;
            (chosen, heads.applied, heads.origins.clone(), read)
        };
        Ok((chosen, applied, Arc::new(Moment::open(&read, origins)?)))
    }
}

/// Examines what is kept: that it can be read and somebody needs it, and, with `whole`, that it
/// is what the checkpoints were made of.
pub(in crate::store) fn check(
    read: &ReadTransaction,
    heads: &Heads,
    whole: bool,
    wrong: &mut Vec<String>,
) -> Result<()> {
    sweep::check(read, &heads.checkpoints, wrong)?;
    if whole {
        let moment = Moment::open(read, heads.origins.clone())?;
        for checkpoint in &heads.checkpoints {
            wrong.extend(moment.examine(checkpoint)?);
        }
    }
    Ok(())
}

impl Collection {
    /// The document with this id as it was at a checkpoint, if there was one. Put back, all of its
    /// fields are written.
    pub fn get_at(&self, label: &str, id: &str) -> Result<Option<Document>> {
        self.store().at(label)?.get(self.name(), id)
    }

    /// The documents of a range as they were at a checkpoint.
    pub fn scan_at(&self, label: &str, range: &ScanRange) -> Result<PastScan> {
        self.store().at(label)?.scan(self.name(), range)
    }
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Past({:?})", self.checkpoint.label)
    }
}

impl Past {
    /// The checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The collections that there were, in the order of their names.
    pub fn collections(&self) -> Result<Vec<String>> {
        self.store.inner.check_since(self.suspensions)?;
        let names = self.moment.range(self.tag(), Part::Collections, &[], &[0xff], false)?;
        names
            .map(|entry| {
                let (name, _) = entry?;
                String::from_utf8(name)
                    .map_err(|_| crate::Error::corrupt("the name of a collection is not UTF-8"))
            })
            .collect()
    }

    /// The document with this id, if there was one. Put back, all of its fields are written.
    pub fn get(&self, collection: &str, id: &str) -> Result<Option<Document>> {
        check_id(id)?;
        match self.number(collection)? {
            Some(number) => self.moment.document(self.tag(), number, id),
            None => Ok(None),
        }
    }

    /// The documents of a range, in the order of their ids.
    pub fn scan(&self, collection: &str, range: &ScanRange) -> Result<PastScan> {
        let rows = match self.number(collection)? {
            None => None,
            Some(number) => {
                let (start, end) = key_bounds(number, range);
                let tag = self.tag();
                Some(self.moment.range(tag, Part::Documents, &start, &end, range.reverse)?)
            }
        };
        let (moment, tag) = (self.moment.clone(), self.tag());
        let rows = Limited::new(rows, range.limit);
        let (store, suspensions) = (self.store.clone(), self.suspensions);
        Ok(PastScan { store, suspensions, moment, tag, rows })
    }

    /// How many documents a collection had.
    pub fn len(&self, collection: &str) -> Result<u64> {
        Ok(self.head(collection)?.map_or(0, |head| head.documents))
    }

    /// What a collection held of each origin.
    pub fn vector(&self, collection: &str) -> Result<Vector> {
        let Some(number) = self.number(collection)? else { return Ok(Vector::new()) };
        let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
        self.moment
            .range(self.tag(), Part::Vectors, &start, &end, false)?
            .map(|entry| {
                let (key, row) = entry?;
                let origin = self.moment.origins.get(tables::u32_of(&key[4..])?)?;
                let row = VectorRow::decode(&row)?;
                Ok((origin, Head { seq: row.seq, hash: row.hash.short() }))
            })
            .collect()
    }

    /// The digests that a collection had. That of what was shown is computed: all documents are
    /// read.
    pub fn digests(&self, collection: &str) -> Result<Digests> {
        let cells = match self.head(collection)? {
            Some(head) => head.cells.digest(),
            None => LtHash::new().digest(),
        };
        let mut shown = ShownHasher::default();
        for document in self.scan(collection, &ScanRange::default())? {
            shown.push(&document?);
        }
        Ok(Digests { shown: shown.finish(), cells })
    }

    fn head(&self, collection: &str) -> Result<Option<HeadRow>> {
        let Some(number) = self.number(collection)? else { return Ok(None) };
        let row = self.moment.row(self.tag(), Part::Heads, &number.to_be_bytes())?;
        row.map(|row| HeadRow::decode(&row)).transpose()
    }

    fn number(&self, collection: &str) -> Result<Option<u32>> {
        check_collection(collection)?;
        self.store.inner.check_since(self.suspensions)?;
        self.moment.number(self.tag(), collection)
    }

    fn tag(&self) -> u64 {
        self.checkpoint.tag
    }
}

/// Documents as they were at a checkpoint, one by one.
pub struct PastScan {
    store: Store,
    suspensions: u64,
    moment: Arc<Moment>,
    tag: u64,
    rows: Limited<Rows>,
}

impl Iterator for PastScan {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Result<Document>> {
        let inner = &self.store.inner;
        self.rows.next(|rows| {
            if let Err(over) = inner.check_since(self.suspensions) {
                return Some(Err(over));
            }
            let shown = |(key, row): (Vec<u8>, Vec<u8>)| {
                if !Flags::of(Some(&row)).shown {
                    return Ok(None);
                }
                let (number, id) = (tables::u32_of(&key[..4])?, tables::document_id(&key)?);
                self.moment.document_of(self.tag, number, id, &row)
            };
            Some(rows.next()?.and_then(shown))
        })
    }
}

/// The tables of one moment, in which the past is read. A tag stands for a checkpoint; the highest
/// one for the moment itself.
pub(super) struct Moment {
    former: Table,
    /// By [`Part`].
    live: Vec<Table>,
    origins: Arc<Origins>,
}

/// Stands for the moment itself: nothing is kept under it.
pub(super) const NOW: u64 = u64::MAX;

impl Moment {
    pub(super) fn open(read: &ReadTransaction, origins: Arc<Origins>) -> Result<Moment> {
        let table = |definition: Definition| read.open_table(definition).map_err(db);
        let live = [
            tables::COLLECTIONS,
            tables::HEADS,
            tables::VECTORS,
            tables::BRANCHES,
            tables::DOCUMENTS,
            tables::RUNS,
        ];
        let live = live.into_iter().map(table).collect::<Result<_>>()?;
        Ok(Moment { former: table(tables::FORMER)?, live, origins })
    }

    pub(super) fn former(&self) -> &Table {
        &self.former
    }

    /// The documents of the moment itself.
    pub(super) fn documents(&self) -> &Table {
        self.live(Part::Documents)
    }

    fn live(&self, part: Part) -> &Table {
        &self.live[part as usize]
    }

    /// The number that a collection had.
    pub(super) fn number(&self, tag: u64, collection: &str) -> Result<Option<u32>> {
        let row = self.row(tag, Part::Collections, collection.as_bytes())?;
        row.map(|number| tables::u32_of(&number)).transpose()
    }

    /// A row as it was.
    pub(super) fn row(&self, tag: u64, part: Part, key: &[u8]) -> Result<Option<Vec<u8>>> {
        row_at(&self.former, self.live(part), tag, part, key)
    }

    /// The rows from one key on and before another, as they were.
    pub(super) fn range(
        &self,
        tag: u64,
        part: Part,
        start: &[u8],
        end: &[u8],
        reverse: bool,
    ) -> Result<Rows> {
        // A range that ends before it starts is empty; redb would panic.
        let end = end.max(start);
        let live = self.live(part).range_owned::<&[u8]>(start..end).map_err(db)?;
        let (first, last) = (prefix(part, start), prefix(part, end));
        let kept = self.former.range_owned::<&[u8]>(&first[..]..&last[..]).map_err(db)?;
        let kept = Kept { rows: Ends::new(kept, reverse).peekable(), tag, reverse };
        Ok(Laid::new(Live { rows: Ends::new(live, reverse) }, kept, reverse))
    }

    /// A document as it was.
    pub(super) fn document(&self, tag: u64, number: u32, id: &str) -> Result<Option<Document>> {
        match self.row(tag, Part::Documents, &tables::document_key(number, id))? {
            Some(row) => self.document_of(tag, number, id, &row),
            None => Ok(None),
        }
    }

    /// The cells that a document had; none if it was not there.
    pub(super) fn cells(&self, tag: u64, number: u32, id: &str) -> Result<Row> {
        match self.row(tag, Part::Documents, &tables::document_key(number, id))? {
            None => Ok(Row::default()),
            Some(row) if documents::is_head(&row) => {
                let runs = self.runs(tag, number, id)?.into_iter();
                Ok(Row::of_cells(runs.flat_map(Row::into_cells).collect()))
            }
            Some(row) => self.decode(&row),
        }
    }

    /// The document whose row this was.
    fn document_of(&self, tag: u64, number: u32, id: &str, row: &[u8]) -> Result<Option<Document>> {
        // No collection has this name: so putting it back writes all of it, not the difference to
        // what was read.
        self.document_at(tag, &Arc::from(""), number, id, row)
    }

    /// The same, as read in a collection.
    pub(super) fn document_at(
        &self,
        tag: u64,
        collection: &Arc<str>,
        number: u32,
        id: &str,
        row: &[u8],
    ) -> Result<Option<Document>> {
        if !documents::is_head(row) {
            return Document::of_stored(collection, id, row, &mut Vec::new(), &self.origins);
        }
        Ok(Document::of(collection, id, self.cells(tag, number, id)?))
    }

    /// The runs that a large document had.
    fn runs(&self, tag: u64, number: u32, id: &str) -> Result<Vec<Row>> {
        let start = runs_prefix(number, id);
        let end = [&start[..], &[0xff]].concat();
        self.range(tag, Part::Runs, &start, &end, false)?.map(|run| self.decode(&run?.1)).collect()
    }

    pub(super) fn decode(&self, row: &[u8]) -> Result<Row> {
        Row::decode(row, |number| self.origins.find(number))
    }

    /// What is wrong with a checkpoint: what its collections held is worked out from the rows
    /// and compared with what was counted then.
    fn examine(&self, checkpoint: &Checkpoint) -> Result<Vec<String>> {
        let (tag, mut wrong) = (checkpoint.tag, Vec::new());
        for entry in self.range(tag, Part::Collections, &[], &[0xff], false)? {
            let number = tables::u32_of(&entry?.1)?;
            let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
            let head = self.row(tag, Part::Heads, &start)?.unwrap_or_default();
            let head = HeadRow::decode(&head)?;
            let (mut cells, mut documents) = (LtHash::new(), 0);
            for entry in self.range(tag, Part::Documents, &start, &end, false)? {
                let (key, row) = entry?;
                let id = tables::document_id(&key)?;
                documents += u64::from(Flags::of(Some(&row)).shown);
                let rows = match documents::is_head(&row) {
                    true => self.runs(tag, number, id)?,
                    false => vec![self.decode(&row)?],
                };
                rows.iter().for_each(|row| cells.add(&row.digest(id)));
            }
            let mut transactions = 0;
            for entry in self.range(tag, Part::Vectors, &start, &end, false)? {
                transactions += VectorRow::decode(&entry?.1)?.seq;
            }
            if (cells, documents, transactions) != (head.cells, head.documents, head.transactions) {
                wrong.push(format!(
                    "the past at the checkpoint of position {} is not what it was",
                    checkpoint.position
                ));
            }
        }
        Ok(wrong)
    }
}

type Guard = OwnedAccessGuard<Bytes>;

/// A range from either end.
pub(super) struct Ends {
    range: OwnedRange<Bytes, Bytes>,
    reverse: bool,
}

impl Ends {
    pub(super) fn new(range: OwnedRange<Bytes, Bytes>, reverse: bool) -> Ends {
        Ends { range, reverse }
    }
}

impl Iterator for Ends {
    type Item = Result<(Guard, Guard)>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = if self.reverse { self.range.next_back() } else { self.range.next() }?;
        Some(entry.map_err(db))
    }
}

/// Of each row that was kept from a tag on, the first.
pub(super) struct Kept {
    rows: Peekable<Ends>,
    tag: u64,
    reverse: bool,
}

/// A row's key, and what it was: `None` if it was not there.
pub(super) type KeptRow = (Vec<u8>, Option<Vec<u8>>);

impl Kept {
    /// The next group; `None` inside if all of it was kept before the tag.
    fn group(&mut self) -> Result<Option<Option<KeptRow>>> {
        let Some((key, value)) = self.rows.next().transpose()? else { return Ok(None) };
        let (part, row, tag) = split_key(key.value())?;
        let mut found = (tag >= self.tag).then_some(value);
        while let Some(Ok((key, _))) = self.rows.peek() {
            let (other_part, other, tag) = split_key(key.value())?;
            if other_part != part || other != row {
                break;
            }
            let (_, value) = self.rows.next().expect("just looked at")?;
            // Tags ascend, or descend: of those that count the lowest is wanted.
            if tag >= self.tag && (self.reverse || found.is_none()) {
                found = Some(value);
            }
        }
        let found = found.map(|value| row_of(value.value()).map(|row| row.map(<[u8]>::to_vec)));
        Ok(Some(found.transpose()?.map(|former| (row, former))))
    }
}

impl Iterator for Kept {
    type Item = Result<KeptRow>;

    fn next(&mut self) -> Option<Result<KeptRow>> {
        loop {
            match self.group().transpose()? {
                Ok(None) => {}
                Ok(Some(found)) => return Some(Ok(found)),
                Err(err) => return Some(Err(err)),
            }
        }
    }
}

/// The rows of today.
pub(super) struct Live {
    rows: Ends,
}

impl Iterator for Live {
    type Item = Result<PlainRow>;

    fn next(&mut self) -> Option<Result<PlainRow>> {
        let entry = self.rows.next()?;
        Some(entry.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())))
    }
}

/// Rows as they were: those of today with the kept ones laid over them.
pub(super) type Rows = Laid<Live, Kept>;

/// A row's key, and the row.
type PlainRow = (Vec<u8>, Vec<u8>);

/// Rows with others laid over them, both in the same order.
pub(super) struct Laid<B: Iterator, O: Iterator> {
    base: Peekable<B>,
    over: Peekable<O>,
    reverse: bool,
}

impl<B, O> Laid<B, O>
where
    B: Iterator<Item = Result<PlainRow>>,
    O: Iterator<Item = Result<KeptRow>>,
{
    pub(super) fn new(base: B, over: O, reverse: bool) -> Laid<B, O> {
        Laid { base: base.peekable(), over: over.peekable(), reverse }
    }
}

impl<B, O> Iterator for Laid<B, O>
where
    B: Iterator<Item = Result<PlainRow>>,
    O: Iterator<Item = Result<KeptRow>>,
{
    type Item = Result<PlainRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.base.peek(), self.over.peek()) {
                (None, None) => return None,
                (Some(Ok((base, _))), Some(Ok((over, _)))) => {
                    let order = base.cmp(over);
                    if self.reverse { order.reverse() } else { order }
                }
                (_, None) | (Some(Err(_)), _) => Ordering::Less,
                (None, _) | (_, Some(Err(_))) => Ordering::Greater,
            };
            if order == Ordering::Less {
                return self.base.next();
            }
            if order == Ordering::Equal {
                self.base.next();
            }
            match self.over.next()? {
                Ok((key, Some(row))) => return Some(Ok((key, row))),
                Ok((_, None)) => {}
                Err(err) => return Some(Err(err)),
            }
        }
    }
}

//! Heads: what is known of each collection as a whole, in memory.
//!
//! Invariant: it says the same as the tables of the last commit. Only the one who commits
//! changes it, in the same step in which the commit becomes visible (see
//! [`commit`](super::commit)), so that whoever reads both under its lock sees one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::documents::{Meter, Reader};
use super::feed;
use super::hashes::HashRule;
use super::index;
use super::tables::{self, HeadRow, VectorRow, db};
use super::tape::{self, Checkpoint, Holds, Recording};
use crate::crdt::Layout;
use crate::error::{Error, Result};
use crate::id::{Head, NodeId, Origin, Position, Seq, Vector};
use crate::txn::{Branch, Branches};

/// Everything known of the collections.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) origins: Arc<Origins>,
    numbers: BTreeMap<String, u32>,
    collections: BTreeMap<u32, CollectionHead>,
    /// Up to where the log is applied.
    pub(super) applied: Position,
    /// The collections, held or not, of which a snapshot is being staged.
    pub(super) joining: BTreeSet<String>,
    /// How documents are laid into rows.
    pub(super) layout: Layout,
    /// Of which transactions hashes are kept.
    pub(super) hashes: HashRule,
    /// The checkpoints, in the order in which they were made.
    pub(super) checkpoints: Vec<Checkpoint>,
    /// The collections that are held back to a checkpoint.
    pub(super) holds: Holds,
    /// Up to where the change feed was cut.
    pub(super) feed: Position,
    /// For how many bytes of changes it is kept what documents held: see [`feed`].
    pub(super) change_values: u64,
    /// The declared indexes.
    pub(super) indexes: index::Indexes,
    /// Counts how often it changed what is exchanged with peers, since the store was opened.
    pub(super) terms: u64,
    /// The documents of the last commit, once somebody has read any. It goes with the next one,
    /// so that redb can use again what that replaces.
    pub(super) reader: OnceLock<Arc<Reader>>,
    /// Counts the rows of documents that are read and written.
    pub(super) meter: Arc<Meter>,
}

/// What is known of one collection.
#[derive(Debug, Clone)]
pub(super) struct CollectionHead {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) row: HeadRow,
    pub(super) vector: BTreeMap<Origin, VectorRow>,
    /// What the log no longer holds: see [`floor`](super::floor).
    pub(super) floor: Arc<Vector>,
    /// How forked origins are named here.
    pub(super) branches: Arc<Branches>,
    /// The origins of which we hold more than our own transactions have named, under whatever name.
    pub(super) fresh: BTreeMap<Origin, Head>,
}

impl CollectionHead {
    /// The origin under which this node writes here.
    pub(super) fn own_origin(&self, node: NodeId) -> Origin {
        Origin { node, incarnation: self.row.incarnation }
    }

    /// Whether what has forked here has forked there in the same way, and of what has forked there
    /// only, nothing is held beyond the fork.
    pub(super) fn is_named_like(&self, there: &Branches) -> bool {
        let newest = |origin: &Origin| self.vector.get(origin).map_or(0, |row| row.seq);
        let as_there = self.branches.iter().all(|here| there.get(&here.name()) == Some(here));
        let fits = |branch: &Branch| {
            let end = branch.base - there.base(&branch.parent);
            self.branches.contains(&branch.name()) || newest(&branch.parent) <= end
        };
        as_there && there.iter().all(fits)
    }

    /// The newest own transaction, and the newest that may have left.
    pub(super) fn exports(&self, node: NodeId) -> (Seq, Seq) {
        let newest = self.vector.get(&self.own_origin(node)).map_or(0, |row| row.seq);
        (newest, self.row.exported)
    }

    /// What the next own transaction names as seen: all that those under the present name have
    /// not named. The first under a name follows none, and so names everything: whoever reads it
    /// can tell from it alone what each name in it means, also where that origin forks
    /// ([`branches`](crate::txn::branches)).
    pub(super) fn unnamed(&self, node: NodeId) -> impl Iterator<Item = (Origin, Head)> {
        let begun = self.vector.contains_key(&self.own_origin(node));
        let fresh = begun.then_some(&self.fresh).into_iter().flatten();
        let all = (!begun).then_some(&self.vector).into_iter().flatten();
        let head = |row: &VectorRow| Head { seq: row.seq, hash: row.hash.short() };
        let all = all.map(move |(origin, row)| (*origin, head(row)));
        fresh.map(|(origin, head)| (*origin, *head)).chain(all)
    }

    /// The vector, as it is compared and sent.
    pub(super) fn to_vector(&self) -> Vector {
        self.vector
            .iter()
            .map(|(origin, row)| (*origin, Head { seq: row.seq, hash: row.hash.short() }))
            .collect()
    }

    /// This node writes under another incarnation from now on, and has handed out none of it.
    pub(super) fn take_incarnation(&mut self, incarnation: u32, own: NodeId) {
        (self.row.incarnation, self.row.exported) = (incarnation, 0);
        let former: Vec<(Origin, VectorRow)> = self
            .vector
            .iter()
            .filter(|(origin, _)| origin.node == own)
            .map(|(origin, row)| (*origin, *row))
            .collect();
        former.into_iter().for_each(|(origin, row)| self.note(origin, row, own));
    }

    /// Notes what is held of `origin`; of one with nothing, that there is nothing.
    pub(super) fn note(&mut self, origin: Origin, row: VectorRow, own: NodeId) {
        if row.seq == 0 {
            self.fresh.remove(&origin);
            self.vector.remove(&origin);
            return;
        }
        if origin.node == own && origin.incarnation == self.row.incarnation || row.acked >= row.seq
        {
            self.fresh.remove(&origin);
        } else {
            self.fresh.insert(origin, Head { seq: row.seq, hash: row.hash.short() });
        }
        self.vector.insert(origin, row);
    }
}

impl Heads {
    /// Reads them all.
    pub(super) fn load(database: &Database, own: NodeId) -> Result<Heads> {
        Heads::load_from(&database.begin_read().map_err(db)?, own)
    }

    /// Reads them all, as they are at the moment of a read transaction.
    pub(super) fn load_from(txn: &ReadTransaction, own: NodeId) -> Result<Heads> {
        let mut origins = Origins::default();
        for entry in txn.open_table(tables::ORIGINS).map_err(db)?.iter().map_err(db)? {
            let (_, origin) = entry.map_err(db)?;
            origins.number_or_add(tables::origin_of(origin.value())?);
        }
        let mut heads = Heads { origins: Arc::new(origins), ..Heads::default() };
        for entry in txn.open_table(tables::COLLECTIONS).map_err(db)?.iter().map_err(db)? {
            let (name, number) = entry.map_err(db)?;
            let name = name_of(name.value())?;
            let number = tables::u32_of(number.value())?;
            let head = load_collection(txn, &heads.origins, name, number, own)?;
            heads.insert(head);
        }
        for entry in txn.open_table(tables::JOINS).map_err(db)?.iter().map_err(db)? {
            let (name, _) = entry.map_err(db)?;
            heads.joining.insert(name_of(name.value())?);
        }
        if let Some(applied) = tables::read(txn, tables::META, tables::META_APPLIED)? {
            heads.applied = Position(tables::u64_of(&applied)?);
        }
        heads.checkpoints = tape::load(txn)?;
        heads.holds = tape::load_holds(txn)?;
        if let Some(feed) = tables::read(txn, tables::META, tables::META_FEED)? {
            heads.feed = Position(tables::u64_of(&feed)?);
        }
        heads.change_values = feed::load_values(txn)?;
        heads.indexes = index::load(txn)?;
        Ok(heads)
    }

    /// For whom rows that change are kept as they were, if for anybody.
    pub(super) fn recording(&self) -> Option<Recording> {
        self.checkpoints.last().map(Checkpoint::recording)
    }

    /// The head of the collection with this name.
    pub(super) fn named(&self, name: &str) -> Option<&CollectionHead> {
        self.collections.get(self.numbers.get(name)?)
    }

    /// Adds the head of a collection that is new here.
    pub(super) fn insert(&mut self, head: CollectionHead) -> &mut CollectionHead {
        self.numbers.insert(head.name.clone(), head.number);
        self.collections.entry(head.number).insert_entry(head).into_mut()
    }

    /// For changing the head of a collection that is there.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut CollectionHead> {
        self.collections.get_mut(&number)
    }

    /// Forgets a collection.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(number) = self.numbers.remove(name) {
            self.collections.remove(&number);
        }
    }

    /// The heads, in the order of names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &CollectionHead> {
        self.numbers.values().map(|number| &self.collections[number])
    }
}

fn name_of(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Error::corrupt("the name of a collection is not UTF-8"))
}

fn load_collection(
    txn: &ReadTransaction,
    origins: &Origins,
    name: String,
    number: u32,
    own: NodeId,
) -> Result<CollectionHead> {
    let row = tables::read(txn, tables::HEADS, &number.to_be_bytes())?
        .ok_or_else(|| Error::corrupt("a collection has no head"))?;
    let mut head = CollectionHead {
        name,
        number,
        row: HeadRow::decode(&row)?,
        vector: BTreeMap::new(),
        floor: Arc::default(),
        branches: Arc::default(),
        fresh: BTreeMap::new(),
    };
    if let Some(bytes) = tables::read(txn, tables::BRANCHES, &number.to_be_bytes())? {
        let branches = Branches::decode(&bytes, None);
        head.branches = Arc::new(branches.map_err(|err| Error::corrupt(err.message()))?);
    }
    let (start, end) = (number.to_be_bytes(), (number + 1).to_be_bytes());
    let vectors = txn.open_table(tables::VECTORS).map_err(db)?;
    for entry in vectors.range(&start[..]..&end[..]).map_err(db)? {
        let (key, value) = entry.map_err(db)?;
        let origin = origins.get(tables::u32_of(&key.value()[4..])?)?;
        head.note(origin, VectorRow::decode(value.value())?, own);
    }
    let floor = txn.open_table(tables::FLOOR).map_err(db)?;
    for entry in floor.range(&start[..]..&end[..]).map_err(db)? {
        let (key, value) = entry.map_err(db)?;
        let origin = origins.get(tables::u32_of(&key.value()[4..])?)?;
        Arc::make_mut(&mut head.floor).advance(origin, tables::decode_floor(value.value())?.0);
    }
    Ok(head)
}

/// Numbers that stand for origins in this store. A number is never given twice.
#[derive(Debug, Default, Clone)]
pub(super) struct Origins {
    by_number: Vec<Origin>,
    numbers: HashMap<Origin, u32>,
}

impl Origins {
    /// The origin with this number.
    pub(super) fn get(&self, number: u32) -> Result<Origin> {
        self.find(number)
            .ok_or_else(|| Error::corrupt("the state names an origin that is not there"))
    }

    /// The origin with this number, if there is one.
    pub(super) fn find(&self, number: u32) -> Option<Origin> {
        self.by_number.get(number as usize).copied()
    }

    /// The number of `origin`, if it has one.
    pub(super) fn number(&self, origin: &Origin) -> Option<u32> {
        self.numbers.get(origin).copied()
    }

    /// The number of `origin`, a new one if it has none.
    pub(super) fn number_or_add(&mut self, origin: Origin) -> u32 {
        *self.numbers.entry(origin).or_insert_with(|| {
            self.by_number.push(origin);
            (self.by_number.len() - 1) as u32
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }
}

//! The tables of `state.redb`, and the bytes of their keys and values.
//!
//! redb sees only our own bytes, never its typed keys, so that its encodings may change.
//! Numbers in keys are big-endian, so that redb's order is ours. A *collection number*
//! and an *origin number* are local to this store: 4 bytes that stand for a name and for
//! 36 bytes.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | meta | name | bytes, by name |
//! | origins | origin number | origin, 36 |
//! | collections | name | collection number |
//! | heads | collection number | [`HeadRow`] |
//! | vectors | collection number, origin number | seq 8, hash 32, acked seq 8, proof 96 |
//! | documents | collection number, id | [`Row`](crate::crdt::Row), or the head of a large one: see [`documents`](super::documents) |
//! | runs | collection number, id length 2, id, start of a cell's key | [`Row`](crate::crdt::Row): a part of a large document |
//! | conflicts | collection number, id | nothing |
//! | settled | collection number, origin number, id length 2, id, key, birth 8 | nothing |
//! | floor | collection number, origin number | seq 8, first 16 bytes of that transaction's hash, its proof 96 |
//! | transactions | collection number, origin number, seq 8 | position 8, first 16 bytes of its hash |
//! | hashes | see [`hashes`](super::hashes) | hashes of what the log no longer holds |
//! | forks | collection number, origin number, seq 8 | first 16 bytes of the hashes of the transaction held and of the other |
//! | branches | collection number | [`Branches`](crate::txn::Branches): how forked origins are named |
//! | segments | position of a segment of the log, 8 | see [`segments`](super::segments) |
//! | budgets | name of a collection | bytes 8, age in ms 8 |
//! | left | name | the incarnation to write under if the collection is taken up again, 4 |
//! | peers | node key, 32 | see [`peers`](super::peers) |
//! | roster | see [`roster`](super::roster) | a statement |
//! | invites | name of an invitation, 32 | see [`invites`](super::invites) |
//! | joins, staged | | see [`staging`](super::snapshot) |
//! | checkpoints, former, held, held rows | | see [`tape`](super::tape) |
//! | requests, request order | | see [`once`](super::once) |
//! | indexes, index entries | | see [`index`](super::index) |
//! | change values | | see [`values`](super::feed) |
//! | events, conflict log, open conflicts | | see [`journal`](super::journal) |

use std::cell::OnceCell;
use std::ops::RangeBounds;

use redb::{
    AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata,
    StorageError, Table, TableDefinition, TableError, TableStats, WriteTransaction,
};

use crate::crdt::LtHash;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Head, Origin, Position, Seq, ShortHash};
use crate::txn::Proof;
use crate::wire::Reader;

pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) type BytesTable<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

pub(super) const META: Definition = TableDefinition::new("meta");
pub(super) const ORIGINS: Definition = TableDefinition::new("origins");
pub(super) const COLLECTIONS: Definition = TableDefinition::new("collections");
pub(super) const HEADS: Definition = TableDefinition::new("heads");
pub(super) const VECTORS: Definition = TableDefinition::new("vectors");
pub(super) const DOCUMENTS: Definition = TableDefinition::new("documents");
pub(super) const RUNS: Definition = TableDefinition::new("runs");
pub(super) const CONFLICTS: Definition = TableDefinition::new("conflicts");
pub(super) const SETTLED: Definition = TableDefinition::new("settled");
pub(super) const FLOOR: Definition = TableDefinition::new("floor");
pub(super) const TRANSACTIONS: Definition = TableDefinition::new("transactions");
pub(super) const HASHES: Definition = TableDefinition::new("hashes");
pub(super) const FORKS: Definition = TableDefinition::new("forks");
pub(super) const BRANCHES: Definition = TableDefinition::new("branches");
pub(super) const SEGMENTS: Definition = TableDefinition::new("segments");
pub(super) const BUDGETS: Definition = TableDefinition::new("budgets");
pub(super) const LEFT: Definition = TableDefinition::new("left");
pub(super) const PEERS: Definition = TableDefinition::new("peers");
pub(super) const ROSTER: Definition = TableDefinition::new("roster");
pub(super) const INVITES: Definition = TableDefinition::new("invites");
pub(super) const JOINS: Definition = TableDefinition::new("joins");
pub(super) const STAGED: Definition = TableDefinition::new("staged");
pub(super) const CHECKPOINTS: Definition = TableDefinition::new("checkpoints");
pub(super) const FORMER: Definition = TableDefinition::new("former");
pub(super) const HELD: Definition = TableDefinition::new("held");
pub(super) const HELD_ROWS: Definition = TableDefinition::new("held rows");
pub(super) const EVENTS: Definition = TableDefinition::new("events");
pub(super) const CONFLICT_LOG: Definition = TableDefinition::new("conflict log");
pub(super) const OPEN_CONFLICTS: Definition = TableDefinition::new("open conflicts");
pub(super) const REQUESTS: Definition = TableDefinition::new("requests");
pub(super) const REQUEST_ORDER: Definition = TableDefinition::new("request order");
pub(super) const CHANGE_VALUES: Definition = TableDefinition::new("change values");
pub(super) const INDEXES: Definition = TableDefinition::new("indexes");
pub(super) const INDEX_ENTRIES: Definition = TableDefinition::new("index entries");

/// All of them, so that a new store has every table.
pub(super) const ALL: [Definition; 34] = [
    META,
    ORIGINS,
    COLLECTIONS,
    HEADS,
    VECTORS,
    DOCUMENTS,
    RUNS,
    CONFLICTS,
    SETTLED,
    FLOOR,
    TRANSACTIONS,
    HASHES,
    FORKS,
    BRANCHES,
    SEGMENTS,
    BUDGETS,
    LEFT,
    PEERS,
    ROSTER,
    INVITES,
    JOINS,
    STAGED,
    CHECKPOINTS,
    FORMER,
    HELD,
    HELD_ROWS,
    EVENTS,
    CONFLICT_LOG,
    OPEN_CONFLICTS,
    REQUESTS,
    REQUEST_ORDER,
    CHANGE_VALUES,
    INDEXES,
    INDEX_ENTRIES,
];

/// Those that stores of earlier versions lack: they are made when such a store is opened.
pub(super) const LATER: [Definition; 10] = [
    HELD,
    HELD_ROWS,
    EVENTS,
    CONFLICT_LOG,
    OPEN_CONFLICTS,
    REQUESTS,
    REQUEST_ORDER,
    CHANGE_VALUES,
    INDEXES,
    INDEX_ENTRIES,
];

pub(super) const META_FORMAT: &[u8] = b"format";
pub(super) const META_APPLIED: &[u8] = b"applied";
/// The batch of the log whose end is the position applied, if it is known.
pub(super) const META_BATCH: &[u8] = b"batch";
/// Where the log begins: what was before is pruned.
pub(super) const META_LOG_START: &[u8] = b"log start";
/// Up to where the records of the log are counted in the table of segments.
pub(super) const META_COUNTED: &[u8] = b"counted";
pub(super) const META_NETWORK: &[u8] = b"network";
pub(super) const META_NEXT_COLLECTION: &[u8] = b"next collection";
/// The incarnation to begin new collections with, 4 bytes; 0 if absent.
pub(super) const META_INCARNATION: &[u8] = b"incarnation";
/// Where the store lies: see [`place`](super::place).
pub(super) const META_PLACE: &[u8] = b"place";
/// When the store was last found to be a copy, in milliseconds since 1970, 8 bytes.
pub(super) const META_COPIED: &[u8] = b"copied";
/// Who founded the roster, 32 bytes; absent if there is none.
pub(super) const META_FOUNDER: &[u8] = b"founder";
pub(super) const META_WANTED: &[u8] = b"wanted";
/// The tag of the next checkpoint, 8 bytes; 1 if absent.
pub(super) const META_NEXT_CHECKPOINT: &[u8] = b"next checkpoint";
/// Up to where former rows were looked through for those that nobody needs any more; absent if
/// there is nothing to look for.
pub(super) const META_SWEPT: &[u8] = b"swept";
/// Up to where the change feed was cut, 8 bytes: who stands before it reads the documents anew.
pub(super) const META_FEED: &[u8] = b"feed";
/// For how many bytes of changes it is kept what documents held, 8 bytes; absent if that was never
/// said.
pub(super) const META_CHANGE_VALUES: &[u8] = b"change values";
/// How many checkpoints the store makes by itself and keeps, 4 bytes, and for how many
/// milliseconds, 8; absent if that was never said.
pub(super) const META_AUTOMATIC: &[u8] = b"automatic checkpoints";
/// The last change of the node's key: see [`rotation`](super::rotation).
pub(super) const META_KEYS: &[u8] = b"keys";
/// When the node that runs on the store was started, in milliseconds since 1970, 8 bytes; absent if
/// it said that it stopped.
pub(super) const META_RUNNING: &[u8] = b"running";

/// The tables that applying a transaction may change, in one write transaction.
pub(super) struct Tables<'txn> {
    pub(super) meta: LazyTable<'txn>,
    pub(super) origins: LazyTable<'txn>,
    pub(super) collections: LazyTable<'txn>,
    pub(super) heads: LazyTable<'txn>,
    pub(super) vectors: LazyTable<'txn>,
    pub(super) documents: LazyTable<'txn>,
    pub(super) runs: LazyTable<'txn>,
    pub(super) conflicts: LazyTable<'txn>,
    pub(super) settled: LazyTable<'txn>,
    pub(super) floor: LazyTable<'txn>,
    pub(super) transactions: LazyTable<'txn>,
    pub(super) hashes: LazyTable<'txn>,
    pub(super) forks: LazyTable<'txn>,
    pub(super) branches: LazyTable<'txn>,
    pub(super) left: LazyTable<'txn>,
    pub(super) joins: LazyTable<'txn>,
    pub(super) staged: LazyTable<'txn>,
    pub(super) former: LazyTable<'txn>,
    pub(super) held: LazyTable<'txn>,
    pub(super) held_rows: LazyTable<'txn>,
    pub(super) events: LazyTable<'txn>,
    pub(super) conflict_log: LazyTable<'txn>,
    pub(super) open_conflicts: LazyTable<'txn>,
    pub(super) change_values: LazyTable<'txn>,
    pub(super) indexes: LazyTable<'txn>,
    pub(super) index_entries: LazyTable<'txn>,
}

impl<'txn> Tables<'txn> {
    /// None of them is opened yet.
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Tables<'txn>> {
        let table = |definition| LazyTable { txn, definition, open: OnceCell::new() };
        Ok(Tables {
            meta: table(META),
            origins: table(ORIGINS),
            collections: table(COLLECTIONS),
            heads: table(HEADS),
            vectors: table(VECTORS),
            documents: table(DOCUMENTS),
            runs: table(RUNS),
            conflicts: table(CONFLICTS),
            settled: table(SETTLED),
            floor: table(FLOOR),
            transactions: table(TRANSACTIONS),
            hashes: table(HASHES),
            forks: table(FORKS),
            branches: table(BRANCHES),
            left: table(LEFT),
            joins: table(JOINS),
            staged: table(STAGED),
            former: table(FORMER),
            held: table(HELD),
            held_rows: table(HELD_ROWS),
            events: table(EVENTS),
            conflict_log: table(CONFLICT_LOG),
            open_conflicts: table(OPEN_CONFLICTS),
            change_values: table(CHANGE_VALUES),
            indexes: table(INDEXES),
            index_entries: table(INDEX_ENTRIES),
        })
    }
}

/// A table that is opened when it is first used. Most batches use few, and to open one costs a
/// commit as much as to change something in it.
pub(super) struct LazyTable<'txn> {
    txn: &'txn WriteTransaction,
    definition: Definition,
    open: OnceCell<BytesTable<'txn>>,
}

impl<'txn> LazyTable<'txn> {
    fn open(&self) -> Result<&BytesTable<'txn>, StorageError> {
        if let Some(table) = self.open.get() {
            return Ok(table);
        }
        let table = self.txn.open_table(self.definition).map_err(|err| match err {
            TableError::Storage(err) => err,
            err => StorageError::Corrupted(err.to_string()),
        })?;
        Ok(self.open.get_or_init(|| table))
    }
}

/// A table that may be changed.
pub(super) trait Writable<'txn> {
    /// The table, open.
    fn opened(&mut self) -> Result<&mut BytesTable<'txn>>;
}

impl<'txn> Writable<'txn> for BytesTable<'txn> {
    fn opened(&mut self) -> Result<&mut BytesTable<'txn>> {
        Ok(self)
    }
}

impl<'txn> Writable<'txn> for LazyTable<'txn> {
    fn opened(&mut self) -> Result<&mut BytesTable<'txn>> {
        self.open().map_err(db)?;
        Ok(self.open.get_mut().expect("just opened"))
    }
}

impl ReadableTableMetadata for LazyTable<'_> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.open()?.stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.open()?.len()
    }
}

type Bytes = &'static [u8];
type Entry<'a> = (AccessGuard<'a, Bytes>, AccessGuard<'a, Bytes>);

impl ReadableTable<Bytes, Bytes> for LazyTable<'_> {
    fn get<'a>(
        &self,
        key: impl std::borrow::Borrow<&'a [u8]>,
    ) -> Result<Option<AccessGuard<'_, Bytes>>, StorageError> {
        self.open()?.get(key)
    }

    fn range<'a, KR>(
        &self,
        range: impl RangeBounds<KR> + 'a,
    ) -> Result<redb::Range<'_, Bytes, Bytes>, StorageError>
    where
        KR: std::borrow::Borrow<&'a [u8]> + 'a,
    {
        self.open()?.range(range)
    }

    fn first(&self) -> Result<Option<Entry<'_>>, StorageError> {
        self.open()?.first()
    }

    fn last(&self) -> Result<Option<Entry<'_>>, StorageError> {
        self.open()?.last()
    }
}

/// The value at `key`, copied.
pub(super) fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>> {
    Ok(table.get(key).map_err(db)?.map(|value| value.value().to_vec()))
}

/// The value at `key` of a table, in a read transaction.
pub(super) fn read(
    txn: &ReadTransaction,
    definition: Definition,
    key: &[u8],
) -> Result<Option<Vec<u8>>> {
    get(&txn.open_table(definition).map_err(db)?, key)
}

/// A table that a store which was not opened since an earlier version wrote it may lack.
pub(super) fn open_if_there(
    txn: &ReadTransaction,
    definition: Definition,
) -> Result<Option<ReadOnlyTable<&'static [u8], &'static [u8]>>> {
    match txn.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => table.map(Some).map_err(db),
    }
}

/// The incarnation to write under in a collection that is not held.
pub(super) fn next_incarnation(txn: &ReadTransaction, collection: &str) -> Result<u32> {
    let bytes = match read(txn, LEFT, collection.as_bytes())? {
        Some(bytes) => Some(bytes),
        None => read(txn, META, META_INCARNATION)?,
    };
    bytes.map_or(Ok(0), |bytes| u32_of(&bytes))
}

/// Sets `key` to `value`.
pub(super) fn set<'txn>(table: &mut impl Writable<'txn>, key: &[u8], value: &[u8]) -> Result<()> {
    table.opened()?.insert(key, value).map(drop).map_err(db)
}

/// Removes `key`, if it is there.
pub(super) fn unset<'txn>(table: &mut impl Writable<'txn>, key: &[u8]) -> Result<()> {
    table.opened()?.remove(key).map(drop).map_err(db)
}

/// A collection number and an id.
pub(super) fn document_key(collection: u32, id: &str) -> Vec<u8> {
    [&collection.to_be_bytes(), id.as_bytes()].concat()
}

/// The id in a [`document_key`].
pub(super) fn document_id(key: &[u8]) -> Result<&str> {
    key.get(4..)
        .and_then(|id| std::str::from_utf8(id).ok())
        .ok_or_else(|| Error::corrupt("the table of documents has a malformed key"))
}

/// A collection number and an origin number.
pub(super) fn origin_key(collection: u32, origin: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&collection.to_be_bytes());
    key[4..].copy_from_slice(&origin.to_be_bytes());
    key
}

/// The key of a transaction in the index.
pub(super) fn transaction_key(collection: u32, origin: u32, seq: Seq) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&origin_key(collection, origin));
    key[8..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Where a transaction lies in the log, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexRow {
    pub(super) position: Position,
    pub(super) hash: ShortHash,
}

impl IndexRow {
    pub(super) fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.position.0.to_be_bytes());
        out[8..].copy_from_slice(&self.hash.0);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<IndexRow> {
        let row = || Some((bytes.get(..8)?, bytes.get(8..)?.try_into().ok()?));
        let (position, hash) =
            row().ok_or_else(|| Error::corrupt("the index of transactions is malformed"))?;
        Ok(IndexRow { position: Position(u64_of(position)?), hash: ShortHash(hash) })
    }
}

/// The key of a settled counter row.
pub(super) fn settled_key(
    collection: u32,
    origin: u32,
    id: &str,
    key: &[u8],
    birth: Seq,
) -> Vec<u8> {
    let id_len = (id.len() as u16).to_be_bytes();
    [&origin_key(collection, origin)[..], &id_len, id.as_bytes(), key, &birth.to_be_bytes()]
        .concat()
}

/// Id, key and birth in a [`settled_key`].
pub(super) fn split_settled_key(key: &[u8]) -> Option<(&str, &[u8], Seq)> {
    let (_, rest) = key.split_at_checked(8)?;
    let (id_len, rest) = rest.split_first_chunk::<2>()?;
    let (id, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*id_len)))?;
    let (cell, birth) = rest.split_last_chunk::<8>()?;
    Some((std::str::from_utf8(id).ok()?, cell, u64::from_be_bytes(*birth)))
}

/// A big-endian number of 4 bytes.
pub(super) fn u32_of(bytes: &[u8]) -> Result<u32> {
    let bytes =
        bytes.try_into().map_err(|_| Error::corrupt("a number in the state has not 4 bytes"))?;
    Ok(u32::from_be_bytes(bytes))
}

/// A big-endian number of 8 bytes.
pub(super) fn u64_of(bytes: &[u8]) -> Result<u64> {
    let bytes =
        bytes.try_into().map_err(|_| Error::corrupt("a number in the state has not 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The origin that 36 bytes are.
pub(super) fn origin_of(bytes: &[u8]) -> Result<Origin> {
    let bytes =
        bytes.try_into().map_err(|_| Error::corrupt("an origin in the state has not 36 bytes"))?;
    Ok(Origin::from_bytes(bytes))
}

/// What is held of one origin in one collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VectorRow {
    /// The newest transaction applied.
    pub(super) seq: Seq,
    /// Its hash.
    pub(super) hash: Hash,
    /// What our own transactions have named as seen so far.
    pub(super) acked: Seq,
    /// Shows that its author signed it.
    pub(super) proof: Proof,
}

impl VectorRow {
    /// Nothing is held of the origin: such a row is not stored.
    pub(super) const NOTHING: VectorRow =
        VectorRow { seq: 0, hash: Hash([0; 32]), acked: 0, proof: Proof::NONE };

    pub(super) fn encode(&self) -> [u8; 48 + Proof::BYTES] {
        let mut out = [0; 48 + Proof::BYTES];
        out[..8].copy_from_slice(&self.seq.to_be_bytes());
        out[8..40].copy_from_slice(&self.hash.0);
        out[40..48].copy_from_slice(&self.acked.to_be_bytes());
        out[48..].copy_from_slice(&self.proof.to_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<VectorRow> {
        let mut reader = Reader::new(bytes, "vector row");
        let read = |reader: &mut Reader<'_>| -> Result<VectorRow> {
            Ok(VectorRow {
                seq: u64::from_be_bytes(reader.array()?),
                hash: Hash(reader.array()?),
                acked: u64::from_be_bytes(reader.array()?),
                proof: Proof::from_bytes(&reader.array()?),
            })
        };
        let row = read(&mut reader).and_then(|row| reader.end().map(|()| row));
        row.map_err(|err| Error::corrupt(err.message()))
    }
}

/// The bytes of a row of the floor.
pub(super) fn encode_floor(head: &Head, proof: &Proof) -> [u8; 24 + Proof::BYTES] {
    let mut out = [0; 24 + Proof::BYTES];
    out[..8].copy_from_slice(&head.seq.to_be_bytes());
    out[8..24].copy_from_slice(&head.hash.0);
    out[24..].copy_from_slice(&proof.to_bytes());
    out
}

/// The transaction that a row of the floor names, and its proof.
pub(super) fn decode_floor(bytes: &[u8]) -> Result<(Head, Proof)> {
    let malformed = || Error::corrupt("a row of the log's floor is malformed");
    let (seq, rest) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
    let (hash, proof) = rest.split_first_chunk::<16>().ok_or_else(malformed)?;
    let proof = Proof::from_bytes(proof.try_into().map_err(|_| malformed())?);
    Ok((Head { seq: u64::from_be_bytes(*seq), hash: ShortHash(*hash) }, proof))
}

/// What is kept of a collection as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeadRow {
    /// Documents shown.
    pub(super) documents: u64,
    /// Documents in conflict.
    pub(super) conflicts: u64,
    /// Transactions applied.
    pub(super) transactions: u64,
    /// The incarnation of this node that writes here.
    pub(super) incarnation: u32,
    /// Transactions of this collection in the log before this belong to an earlier life of it.
    pub(super) since: Position,
    /// Own transactions above this were never handed to anyone. Raised durably before they are.
    pub(super) exported: Seq,
    /// Digest of the cells.
    pub(super) cells: LtHash,
}

impl HeadRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(44 + LtHash::BYTES);
        let numbers =
            [self.documents, self.conflicts, self.transactions, self.since.0, self.exported];
        for n in numbers {
            out.extend_from_slice(&n.to_be_bytes());
        }
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&self.cells.to_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<HeadRow> {
        let number = |at: usize| bytes.get(at..at + 8).map(u64_of);
        let row = || -> Option<Result<HeadRow>> {
            let [documents, conflicts, transactions, since, exported] =
                [number(0)?, number(8)?, number(16)?, number(24)?, number(32)?];
            let incarnation = u32_of(bytes.get(40..44)?);
            let cells = LtHash::from_bytes(bytes.get(44..)?)?;
            Some((|| {
                Ok(HeadRow {
                    documents: documents?,
                    conflicts: conflicts?,
                    transactions: transactions?,
                    incarnation: incarnation?,
                    since: Position(since?),
                    exported: exported?,
                    cells,
                })
            })())
        };
        row().unwrap_or_else(|| Err(Error::corrupt("the head of a collection is malformed")))
    }
}

/// An error of redb as one of ours.
pub(super) fn db(err: impl Into<redb::Error>) -> Error {
    match err.into() {
        redb::Error::Io(err) if err.kind() == std::io::ErrorKind::InvalidData => {
            Error::corrupt(format!("state.redb is damaged: {err}"))
        }
        redb::Error::Io(err) => Error::io("read or write state.redb", err),
        redb::Error::DatabaseAlreadyOpen => {
            Error::new(ErrorKind::Locked, "the store's state.redb is open in another process")
        }
        // Whoever asks a store that is closed hears so before it comes to this.
        redb::Error::DatabaseClosed => Error::new(
            ErrorKind::Suspended,
            "the store was suspended, or closed, since this began to read: begin it anew",
        ),
        redb::Error::Corrupted(what) => Error::corrupt(format!("state.redb is damaged: {what}")),
        err => Error::new(ErrorKind::Internal, format!("state.redb: {err}")).with_source(err),
    }
}

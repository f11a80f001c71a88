//! Messages: what goes over the streams of a link, and its bytes.
//!
//! A message is one frame (see `framing`): length, type, body. Numbers called `uint` are
//! unsigned LEB128 in the shortest form; `u16` and `u64` are big-endian; `bytes` is a `uint`
//! length and the bytes; a `name` is `bytes` that are a legal collection name. One content
//! has one encoding: lists are in strictly ascending order, nothing follows the last field.
//!
//! On the control stream, in any order after `Hello`:
//!
//! | type | message | body |
//! | --- | --- | --- |
//! | 1 | `Hello` | u16 protocol version, 16 network, uint n, n × (name, 32 digest of the vector, 32 digest of the cells), wanted: `00` all, or `01` uint n, n × name; `01` if packed frames are understood, or `00` |
//! | 2 | `Have` | name, uint n, n × (36 origin, u64 seq, 16 hash) |
//! | 3 | `Ack` | name, u64 position in the log of the one who reads this |
//! | 4 | `Bye` | u8 code, bytes reason (UTF-8) |
//! | 5 | `Halt` | name, u8 offence (1 invalid, 2 forked, 3 too new, 4 forbidden, 5 too much), bytes reason (UTF-8) |
//! | 6 | `Ask` | name, u64 number of a snapshot, a question (see [`ask`](super::ask)) |
//! | 7 | `Differs` | name, 36 origin, u64 seq, uint n, n × 16 hash |
//! | 8 | `Shared` | name, 36 origin, u64 seq |
//! | 9 | `Branches` | name, bytes (see [`branches`](crate::txn::branches)) |
//! | 10 | `Roster` | 32 key of its founder, 32 digest of its statements |
//! | 11 | `Known` | uint n, n × 32 hash of a statement |
//! | 12 | `Statements` | uint n ≥ 1, n × bytes (see [`roster`](crate::txn::roster)) |
//! | 20 | `Outline` | name, u64 number of the outline, 32 digest of a vector, uint n = 4, 8, 16 .. 4,096, n × 16 digest of a bucket (see [`outline`]) |
//! | 21 | `Pick` | name, u64 number of that outline, uint n, n × u16 bucket |
//! | 22 | `Picked` | name, u64 number of that outline, uint n, n × (36 origin, u64 seq, 16 hash) |
//!
//! What travels on snapshot streams is in [`ask`](super::ask). On a tail stream, `Tail` first and
//! only first, `Behind` last:
//!
//! | type | message | body |
//! | --- | --- | --- |
//! | 16 | `Tail` | name |
//! | 17 | `Txns` | u64 position in the sender's log, uint n ≥ 1, n × bytes (a transaction as its author made it) |
//! | 18 | `CaughtUp` | nothing |
//! | 19 | `Behind` | nothing |
//!
//! A frame of a tail or snapshot may be packed, and one of transactions chained: see
//! [`packing`](super::packing) and [`chain`](super::chain).
//!
//! `Behind` travels on the tail, not on the control stream, so that it has a place among the
//! transactions before it and names the one `Have` that it answers.
//!
//! The first eighteen bytes of `Hello`'s body, and all of `Bye`, stay the same in every
//! version, so that two versions can tell each other why they part.
//!
//! This module knows no state: whether a message is due is the session's business.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Head, NodeId, Origin, Position, ShortHash, Vector, check_collection};
use crate::limits::{
    MAX_FORK_HASHES, MAX_GRANTS, MAX_LINK_COLLECTIONS, MAX_OUTLINE_BUCKETS, MAX_REASON_BYTES,
    MAX_TXN_BYTES, MAX_VECTOR_ENTRIES, MAX_VOUCHES,
};
use crate::txn::peek_dot;
use crate::wire::{Reader, put_bytes, put_uint};

use super::ask::{Question, put_question, read_question};
use super::door::{Offence, Wanted};
use super::framing::LENGTH_BYTES;
use super::outline::{self, Outline};

/// The version of the protocol that this build speaks.
pub const PROTOCOL_VERSION: u16 = 2;

const HELLO: u8 = 1;
const HAVE: u8 = 2;
const ROSTER: u8 = 10;
const KNOWN: u8 = 11;
const STATEMENTS: u8 = 12;
const ACK: u8 = 3;
const BYE: u8 = 4;
const HALT: u8 = 5;
const ASK: u8 = 6;
const DIFFERS: u8 = 7;
const SHARED: u8 = 8;
const BRANCHES: u8 = 9;
const OUTLINE: u8 = 20;
const PICK: u8 = 21;
const PICKED: u8 = 22;
const TAIL: u8 = 16;
pub(super) const TXNS: u8 = 17;
const CAUGHT_UP: u8 = 18;
const BEHIND: u8 = 19;

/// Longest first frame of a stream: type, length of the name, name, number of a snapshot.
pub(super) const FIRST_FRAME_BYTES: usize = 1 + 2 + crate::limits::MAX_COLLECTION_BYTES + 8;

/// A message on the control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Who speaks, and what it holds, in short. The first message of each side.
    Hello(Hello),
    /// "This is what I hold of it: stream me the rest." Restarts a tail under way.
    Have {
        /// Of which collection.
        collection: String,
        /// What is held.
        vector: Vector,
    },
    /// As `Have`, in short.
    Outline {
        /// Of which collection.
        collection: String,
        /// The first of a collection is 1, and each later one has a higher number.
        number: u64,
        /// What is held.
        outline: Outline,
    },
    /// "Send me these buckets; all others are as mine." Answers `Outline`.
    Pick {
        /// Of which collection.
        collection: String,
        /// Of which outline.
        number: u64,
        /// Numbers of buckets, ascending.
        buckets: Vec<u16>,
    },
    /// What was picked.
    Picked {
        /// Of which collection.
        collection: String,
        /// Of which outline.
        number: u64,
        /// The entries of it that are in the buckets picked.
        vector: Vector,
    },
    /// "I have durably applied your log through this."
    Ack {
        /// Of which collection.
        collection: String,
        /// A position in the log of the one who reads this.
        position: Position,
    },
    /// A question about a snapshot.
    Ask {
        /// Of which collection.
        collection: String,
        /// Which of the asker's snapshots of it.
        number: u64,
        /// The question.
        question: Question,
    },
    /// "Under this name I hold something else than you": the hashes of what is held, from there
    /// downwards, so that the two find where they part.
    Differs {
        /// Of which collection.
        collection: String,
        /// The newest of the names told, as the peer's vector gave it.
        from: Dot,
        /// The hash at that number, at the one before, and so on.
        hashes: Vec<ShortHash>,
    },
    /// "Of this origin we hold the same up to there." Answers `Differs`.
    Shared {
        /// Of which collection.
        collection: String,
        /// The last that both hold; number 0 if they differ from the first on.
        last: Dot,
    },
    /// How forked origins are named. Goes before the `Have` that uses these names.
    Branches {
        /// Of which collection.
        collection: String,
        /// The branches.
        branches: Vec<u8>,
    },
    /// The roster that the speaker belongs to, in short; said when it has one, and when that changes.
    Roster {
        /// Who founded it.
        founder: NodeId,
        /// Digest of its statements.
        digest: Hash,
    },
    /// "These statements are here: send me the others."
    Known {
        /// Their hashes.
        hashes: Vec<Hash>,
    },
    /// Statements of the roster, each after those that it follows.
    Statements {
        /// As their issuers made them.
        statements: Vec<Vec<u8>>,
    },
    /// "I don't take this collection from you, nor send it, on this link."
    Halt {
        /// Which collection.
        collection: String,
        /// Why, for programs.
        offence: Offence,
        /// Why, for people.
        reason: String,
    },
    /// The last message.
    Bye {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for people.
        reason: String,
    },
}

/// The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version of the protocol.
    pub version: u16,
    /// The network that the store belongs to.
    pub network: [u8; 16],
    /// What is held of what is wanted, in short. Empty if the version is not ours: its form is
    /// unknown then.
    pub collections: BTreeMap<String, Digests>,
    /// The collections wanted.
    pub wanted: Wanted,
    /// Whether packed frames are understood.
    pub unpacks: bool,
}

/// A collection in a `Hello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Digest of the vector.
    pub vector: Hash,
    /// Digest of the cells.
    pub cells: Hash,
}

/// A message on a tail stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// What this stream carries. The first message, and only the first.
    Tail {
        /// Of which collection.
        collection: String,
    },
    /// Transactions in the order of the sender's log.
    Txns {
        /// Position after them in the sender's log.
        position: Position,
        /// The transactions; at least one.
        txns: Vec<Txn>,
    },
    /// "That is all that I held when I wrote this."
    CaughtUp,
    /// "My log no longer reaches back to what you hold: you need a snapshot." The last message.
    Behind,
}

/// A transaction under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// Which one.
    pub dot: Dot,
    /// Its bytes, as its author made them.
    pub bytes: Vec<u8>,
}

/// What a node says that leaves in good order, of itself.
pub const GOODBYE: &str = "this node left";

/// Why a link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// One side left on purpose.
    Done,
    /// One side broke the protocol.
    Protocol,
    /// The two speak different versions.
    Version,
    /// The two belong to different networks, or are one and the same node.
    Network,
    /// A store failed.
    StoreFailed,
    /// The other did not answer in time.
    Timeout,
    /// Something is larger than one link carries.
    Limit,
    /// The other ended without a goodbye.
    Gone,
    /// The rights of one side are not, or no longer, what the link was made for.
    Rights,
    /// The ticket lets nobody in, or not with this key.
    Ticket,
    /// The key of the one who reads this is not trusted.
    Stranger,
    /// A code of a newer version.
    Other(u8),
}

impl CloseCode {
    /// The number in a `Bye`.
    pub fn to_byte(self) -> u8 {
        match self {
            CloseCode::Done => 0,
            CloseCode::Protocol => 1,
            CloseCode::Version => 2,
            CloseCode::Network => 3,
            CloseCode::StoreFailed => 5,
            CloseCode::Timeout => 6,
            CloseCode::Limit => 7,
            CloseCode::Gone => 8,
            CloseCode::Rights => 9,
            CloseCode::Ticket => 10,
            CloseCode::Stranger => 11,
            CloseCode::Other(byte) => byte,
        }
    }

    /// The reverse of [`CloseCode::to_byte`].
    pub fn from_byte(byte: u8) -> CloseCode {
        match byte {
            0 => CloseCode::Done,
            1 => CloseCode::Protocol,
            2 => CloseCode::Version,
            3 => CloseCode::Network,
            5 => CloseCode::StoreFailed,
            6 => CloseCode::Timeout,
            7 => CloseCode::Limit,
            8 => CloseCode::Gone,
            9 => CloseCode::Rights,
            10 => CloseCode::Ticket,
            11 => CloseCode::Stranger,
            other => CloseCode::Other(other),
        }
    }
}

impl Offence {
    /// The number in a `Halt`.
    pub fn to_byte(self) -> u8 {
        match self {
            Offence::Invalid => 1,
            Offence::Forked => 2,
            Offence::TooNew => 3,
            Offence::Forbidden => 4,
            Offence::TooMuch => 5,
            Offence::Other(byte) => byte,
        }
    }

    /// The reverse of [`Offence::to_byte`].
    pub fn from_byte(byte: u8) -> Offence {
        match byte {
            1 => Offence::Invalid,
            2 => Offence::Forked,
            3 => Offence::TooNew,
            4 => Offence::Forbidden,
            5 => Offence::TooMuch,
            other => Offence::Other(other),
        }
    }
}

impl Control {
    /// The frame of this message.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Control::Hello(hello) => frame(HELLO, |out| put_hello(out, hello)),
            Control::Have { collection, vector } => frame(HAVE, |out| {
                put_name(out, collection);
                put_vector(out, vector);
            }),
            Control::Outline { collection, number, outline } => frame(OUTLINE, |out| {
                put_name(out, collection);
                out.extend_from_slice(&number.to_be_bytes());
                out.extend_from_slice(&outline.vector.0);
                put_uint(out, outline.buckets.len() as u64);
                outline.buckets.iter().for_each(|digest| out.extend_from_slice(&digest.0));
            }),
            Control::Pick { collection, number, buckets } => frame(PICK, |out| {
                put_name(out, collection);
                out.extend_from_slice(&number.to_be_bytes());
                put_uint(out, buckets.len() as u64);
                buckets.iter().for_each(|bucket| out.extend_from_slice(&bucket.to_be_bytes()));
            }),
            Control::Picked { collection, number, vector } => frame(PICKED, |out| {
                put_name(out, collection);
                out.extend_from_slice(&number.to_be_bytes());
                put_vector(out, vector);
            }),
            Control::Ack { collection, position } => frame(ACK, |out| {
                put_name(out, collection);
                out.extend_from_slice(&position.0.to_be_bytes());
            }),
            Control::Ask { collection, number, question } => frame(ASK, |out| {
                put_name(out, collection);
                out.extend_from_slice(&number.to_be_bytes());
                put_question(out, question);
            }),
            Control::Differs { collection, from, hashes } => frame(DIFFERS, |out| {
                put_name(out, collection);
                put_dot(out, from);
                put_uint(out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.0));
            }),
            Control::Shared { collection, last } => frame(SHARED, |out| {
                put_name(out, collection);
                put_dot(out, last);
            }),
            Control::Branches { collection, branches } => frame(BRANCHES, |out| {
                put_name(out, collection);
                put_bytes(out, branches);
            }),
            Control::Roster { founder, digest } => frame(ROSTER, |out| {
                out.extend_from_slice(founder.as_bytes());
                out.extend_from_slice(&digest.0);
            }),
            Control::Known { hashes } => frame(KNOWN, |out| {
                put_uint(out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.0));
            }),
            Control::Statements { statements } => frame(STATEMENTS, |out| {
                put_uint(out, statements.len() as u64);
                statements.iter().for_each(|statement| put_bytes(out, statement));
            }),
            Control::Halt { collection, offence, reason } => frame(HALT, |out| {
                put_name(out, collection);
                out.push(offence.to_byte());
                put_bytes(out, shorten(reason).as_bytes());
            }),
            Control::Bye { code, reason } => frame(BYE, |out| {
                out.push(code.to_byte());
                put_bytes(out, shorten(reason).as_bytes());
            }),
        }
    }

    /// The message of a frame, type first.
    pub fn from_frame(frame: &[u8]) -> Result<Control> {
        let mut reader = Reader::new(frame, "control message");
        let message = read_control(&mut reader).map_err(protocol)?;
        finish(reader, &message)?;
        Ok(message)
    }
}

impl Tail {
    /// The frame of this message.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Tail::Tail { collection } => frame(TAIL, |out| put_name(out, collection)),
            Tail::Txns { position, txns } => frame(TXNS, |out| {
                out.extend_from_slice(&position.0.to_be_bytes());
                put_uint(out, txns.len() as u64);
                txns.iter().for_each(|txn| put_bytes(out, &txn.bytes));
            }),
            Tail::CaughtUp => frame(CAUGHT_UP, |_| ()),
            Tail::Behind => frame(BEHIND, |_| ()),
        }
    }

    /// The message of a frame, type first.
    pub fn from_frame(frame: &[u8]) -> Result<Tail> {
        let mut reader = Reader::new(frame, "tail message");
        let message = read_tail(&mut reader).map_err(protocol)?;
        reader.end().map_err(protocol)?;
        Ok(message)
    }
}

pub(super) fn frame(kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; LENGTH_BYTES];
    out.push(kind);
    body(&mut out);
    let length = u32::try_from(out.len() - LENGTH_BYTES).expect("limits keep frames below 4 GiB");
    out[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    out
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &str) {
    put_bytes(out, name.as_bytes());
}

fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    out.extend_from_slice(&hello.version.to_be_bytes());
    out.extend_from_slice(&hello.network);
    put_uint(out, hello.collections.len() as u64);
    for (name, digests) in &hello.collections {
        put_name(out, name);
        out.extend_from_slice(&digests.vector.0);
        out.extend_from_slice(&digests.cells.0);
    }
    match &hello.wanted {
        None => out.push(0),
        Some(names) => {
            out.push(1);
            put_uint(out, names.len() as u64);
            names.iter().for_each(|name| put_name(out, name));
        }
    }
    out.push(u8::from(hello.unpacks));
}

fn put_vector(out: &mut Vec<u8>, vector: &Vector) {
    put_uint(out, vector.len() as u64);
    for (origin, head) in vector.iter() {
        out.extend_from_slice(&origin.to_bytes());
        out.extend_from_slice(&head.seq.to_be_bytes());
        out.extend_from_slice(&head.hash.0);
    }
}

fn read_control(reader: &mut Reader<'_>) -> Result<Control> {
    Ok(match reader.u8()? {
        HELLO => Control::Hello(read_hello(reader)?),
        HAVE => Control::Have { collection: read_name(reader)?, vector: read_vector(reader)? },
        OUTLINE => Control::Outline {
            collection: read_name(reader)?,
            number: u64::from_be_bytes(reader.array()?),
            outline: Outline { vector: Hash(reader.array()?), buckets: read_buckets(reader)? },
        },
        PICK => Control::Pick {
            collection: read_name(reader)?,
            number: u64::from_be_bytes(reader.array()?),
            buckets: read_picks(reader)?,
        },
        PICKED => Control::Picked {
            collection: read_name(reader)?,
            number: u64::from_be_bytes(reader.array()?),
            vector: read_vector(reader)?,
        },
        ACK => Control::Ack { collection: read_name(reader)?, position: read_position(reader)? },
        ASK => Control::Ask {
            collection: read_name(reader)?,
            number: u64::from_be_bytes(reader.array()?),
            question: read_question(reader)?,
        },
        BYE => {
            Control::Bye { code: CloseCode::from_byte(reader.u8()?), reason: read_reason(reader)? }
        }
        DIFFERS => Control::Differs {
            collection: read_name(reader)?,
            from: read_dot(reader)?,
            hashes: read_hashes(reader)?,
        },
        SHARED => Control::Shared { collection: read_name(reader)?, last: read_dot(reader)? },
        BRANCHES => {
            Control::Branches { collection: read_name(reader)?, branches: reader.bytes()?.to_vec() }
        }
        ROSTER => Control::Roster {
            founder: NodeId::from_bytes(reader.array()?),
            digest: Hash(reader.array()?),
        },
        KNOWN => Control::Known { hashes: read_known(reader)? },
        STATEMENTS => Control::Statements { statements: read_statements(reader)? },
        HALT => Control::Halt {
            collection: read_name(reader)?,
            offence: Offence::from_byte(reader.u8()?),
            reason: read_reason(reader)?,
        },
        kind => return Err(unknown(kind, "control")),
    })
}

fn read_tail(reader: &mut Reader<'_>) -> Result<Tail> {
    Ok(match reader.u8()? {
        TAIL => Tail::Tail { collection: read_name(reader)? },
        TXNS => Tail::Txns { position: read_position(reader)?, txns: read_txns(reader)? },
        CAUGHT_UP => Tail::CaughtUp,
        BEHIND => Tail::Behind,
        kind => return Err(unknown(kind, "tail")),
    })
}

/// Nothing may follow, save in a hello of another version, of which only the start is read.
fn finish(reader: Reader<'_>, message: &Control) -> Result<()> {
    match message {
        Control::Hello(hello) if hello.version != PROTOCOL_VERSION => Ok(()),
        _ => reader.end().map_err(protocol),
    }
}

fn read_known(reader: &mut Reader<'_>) -> Result<Vec<Hash>> {
    let count = reader.count()?;
    if count > MAX_GRANTS + MAX_VOUCHES {
        return Err(reader.bad("more statements than a roster holds"));
    }
    let mut hashes: Vec<Hash> = Vec::new();
    for _ in 0..count {
        let hash = Hash(reader.array()?);
        if hashes.last() >= Some(&hash) {
            return Err(reader.bad("hashes that are not sorted"));
        }
        hashes.push(hash);
    }
    Ok(hashes)
}

fn read_statements(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let count = reader.count()?;
    if count == 0 {
        return Err(reader.bad("no statement"));
    }
    (0..count).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect()
}

fn read_hello(reader: &mut Reader<'_>) -> Result<Hello> {
    let version = u16::from_be_bytes(reader.array()?);
    let network = reader.array()?;
    let (collections, wanted, unpacks) = match version == PROTOCOL_VERSION {
        true => (read_collections(reader)?, read_wanted(reader)?, read_unpacks(reader)?),
        false => (BTreeMap::new(), None, false),
    };
    Ok(Hello { version, network, collections, wanted, unpacks })
}

fn read_unpacks(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.bad("neither packed frames nor none")),
    }
}

fn read_wanted(reader: &mut Reader<'_>) -> Result<Wanted> {
    match reader.u8()? {
        0 => return Ok(None),
        1 => {}
        _ => return Err(reader.bad("neither all collections nor some")),
    }
    let count = at_most(reader, MAX_LINK_COLLECTIONS, "collections")?;
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let name = read_name(reader)?;
        if names.last().is_some_and(|last| *last >= name) {
            return Err(reader.bad("collections out of order"));
        }
        names.insert(name);
    }
    Ok(Some(names))
}

fn read_collections(reader: &mut Reader<'_>) -> Result<BTreeMap<String, Digests>> {
    let count = at_most(reader, MAX_LINK_COLLECTIONS, "collections")?;
    let mut collections = BTreeMap::new();
    for _ in 0..count {
        let name = read_name(reader)?;
        let digests = Digests { vector: Hash(reader.array()?), cells: Hash(reader.array()?) };
        if collections.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(reader.bad("collections out of order"));
        }
        collections.insert(name, digests);
    }
    Ok(collections)
}

fn read_vector(reader: &mut Reader<'_>) -> Result<Vector> {
    let count = at_most(reader, MAX_VECTOR_ENTRIES, "entries of a vector")?;
    let mut entries: Vec<(Origin, Head)> = Vec::new();
    for _ in 0..count {
        let origin = Origin::from_bytes(&reader.array()?);
        let head = read_head(reader)?;
        if entries.last().is_some_and(|(last, _)| *last >= origin) {
            return Err(reader.bad("origins out of order"));
        }
        entries.push((origin, head));
    }
    Ok(Vector::of_ascending(entries))
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head> {
    match u64::from_be_bytes(reader.array()?) {
        0 => Err(reader.bad("a transaction numbered 0")),
        seq => Ok(Head { seq, hash: ShortHash(reader.array()?) }),
    }
}

fn put_dot(out: &mut Vec<u8>, dot: &Dot) {
    out.extend_from_slice(&dot.origin.to_bytes());
    out.extend_from_slice(&dot.seq.to_be_bytes());
}

fn read_dot(reader: &mut Reader<'_>) -> Result<Dot> {
    let origin = Origin::from_bytes(&reader.array()?);
    Ok(Dot { origin, seq: u64::from_be_bytes(reader.array()?) })
}

fn read_hashes(reader: &mut Reader<'_>) -> Result<Vec<ShortHash>> {
    let count = at_most(reader, MAX_FORK_HASHES, "hashes of an origin")?;
    (0..count).map(|_| reader.array().map(ShortHash)).collect()
}

fn read_buckets(reader: &mut Reader<'_>) -> Result<Vec<ShortHash>> {
    let count = reader.count()?;
    if !outline::is_legal(count) {
        return Err(reader.bad("an outline of so many buckets"));
    }
    (0..count).map(|_| reader.array().map(ShortHash)).collect()
}

fn read_picks(reader: &mut Reader<'_>) -> Result<Vec<u16>> {
    let count = at_most(reader, MAX_OUTLINE_BUCKETS, "buckets of an outline")?;
    let mut picks: Vec<u16> = Vec::new();
    for _ in 0..count {
        let bucket = u16::from_be_bytes(reader.array()?);
        if picks.last() >= Some(&bucket) {
            return Err(reader.bad("buckets that are not sorted"));
        }
        picks.push(bucket);
    }
    Ok(picks)
}

fn read_txns(reader: &mut Reader<'_>) -> Result<Vec<Txn>> {
    let count = reader.count()?;
    if count == 0 {
        return Err(reader.bad("no transactions"));
    }
    // Room is taken as transactions are read: a count alone costs nothing.
    let mut txns = Vec::new();
    for _ in 0..count {
        let bytes = reader.bytes()?;
        if bytes.len() > MAX_TXN_BYTES {
            return Err(reader.bad("a transaction is too large"));
        }
        txns.push(Txn { dot: peek_dot(bytes)?, bytes: bytes.to_vec() });
    }
    Ok(txns)
}

pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<String> {
    let name = reader.str()?;
    check_collection(name)?;
    Ok(name.to_owned())
}

fn read_position(reader: &mut Reader<'_>) -> Result<Position> {
    Ok(Position(u64::from_be_bytes(reader.array()?)))
}

/// A reason goes to logs and terminals: control characters of a peer have no place there.
pub(super) fn read_reason(reader: &mut Reader<'_>) -> Result<String> {
    let reason = reader.str()?;
    if reason.len() > MAX_REASON_BYTES {
        return Err(reader.bad("a reason is too long"));
    }
    Ok(reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

fn at_most(reader: &mut Reader<'_>, limit: usize, of: &str) -> Result<usize> {
    match reader.count()? {
        n if n <= limit => Ok(n),
        n => Err(reader.bad(&format!("{n} {of} where {limit} are allowed"))),
    }
}

pub(super) fn shorten(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)]
}

pub(super) fn unknown(kind: u8, stream: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "message type {kind} on a {stream} stream is unknown in version {PROTOCOL_VERSION} \
             of the sync protocol"
        ),
    )
}

/// Whatever is wrong with a peer's bytes is the peer's breach of the protocol.
pub(super) fn protocol(error: Error) -> Error {
    Error::new(ErrorKind::Protocol, error.message())
}

//! An event: one line of the journal, and its bytes.
//!
//! `01`; kind 1; wall time in ms 8; which of the next three there are, 1 (bit 0, 1, 2); collection as
//! text; node 32; count as uint; what is said of it, as text.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::limits::{MAX_COLLECTION_BYTES, MAX_EVENT_TEXT_BYTES};
use crate::wire::{Reader, put_bytes, put_uint};

const VERSION: u8 = 1;
const HAS_COLLECTION: u8 = 1;
const HAS_NODE: u8 = 2;
const HAS_COUNT: u8 = 4;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A node was started; what is said is its version.
    Started,
    /// A node was started, and the one before it never said that it stopped.
    Crashed,
    /// The node stopped, having written everything out.
    Stopped,
    /// A link with this node came up; what is said is where it is.
    LinkUp,
    /// The last link with this node went; what is said is why, if that is known.
    LinkDown,
    /// A node that was linked before is linked again; the count is for how many milliseconds it was not.
    Healed,
    /// This node knocked and was turned away, since its key is not trusted.
    Refused,
    /// This node does not want us; what is said is why.
    RefusedBy,
    /// The rights or the key of this member changed; with a count, of so many.
    MemberChanged,
    /// So many fields came to be in conflict in a collection, in one batch.
    ConflictArose,
    /// So many fields ceased to be.
    ConflictEnded,
    /// Two transactions of this node have one name.
    Forked,
    /// A snapshot that this node served became part of a collection; the count is of documents that
    /// changed.
    Joined,
    /// A collection was dropped from this store.
    Left,
    /// A checkpoint was made; what is said is its label.
    CheckpointMade,
    /// A checkpoint was deleted.
    CheckpointDeleted,
    /// The log was applied again from a checkpoint; the count is of documents that were mended.
    Replayed,
    /// A collection is held back to a checkpoint, whose label is said.
    Held,
    /// It is no more.
    Resumed,
    /// So many documents were brought back to what they were at a checkpoint.
    Reverted,
    /// What was written here last was taken back, in so many documents.
    Undone,
    /// The state is being compacted.
    Compacting,
    /// The disk is nearly full; the count is of free bytes.
    DiskLow,
    /// It is no more.
    DiskOk,
    /// Something that this version does not know.
    Unknown(u8),
}

impl EventKind {
    /// All that are known, with their bytes and words.
    const ALL: [(EventKind, u8, &'static str); 24] = [
        (EventKind::Started, 1, "started"),
        (EventKind::Crashed, 2, "started-after-crash"),
        (EventKind::Stopped, 3, "stopped"),
        (EventKind::LinkUp, 4, "link-up"),
        (EventKind::LinkDown, 5, "link-down"),
        (EventKind::Healed, 6, "partition-healed"),
        (EventKind::Refused, 7, "peer-refused"),
        (EventKind::RefusedBy, 8, "refused-by-peer"),
        (EventKind::MemberChanged, 9, "member-changed"),
        (EventKind::ConflictArose, 10, "conflict-arose"),
        (EventKind::ConflictEnded, 11, "conflict-ended"),
        (EventKind::Forked, 12, "fork-detected"),
        (EventKind::Joined, 13, "snapshot-joined"),
        (EventKind::Left, 14, "collection-left"),
        (EventKind::CheckpointMade, 15, "checkpoint-made"),
        (EventKind::CheckpointDeleted, 16, "checkpoint-deleted"),
        (EventKind::Replayed, 17, "replayed"),
        (EventKind::Reverted, 18, "reverted"),
        (EventKind::Undone, 19, "undone"),
        (EventKind::Compacting, 20, "compacting"),
        (EventKind::DiskLow, 21, "disk-low"),
        (EventKind::DiskOk, 22, "disk-ok"),
        (EventKind::Held, 23, "held"),
        (EventKind::Resumed, 24, "resumed"),
    ];

    /// All that this version knows.
    pub fn all() -> impl Iterator<Item = EventKind> {
        EventKind::ALL.into_iter().map(|(kind, ..)| kind)
    }

    /// As every door calls it.
    pub fn word(self) -> &'static str {
        let found = EventKind::ALL.into_iter().find(|(kind, ..)| *kind == self);
        found.map_or("unknown", |(.., word)| word)
    }

    fn byte(self) -> u8 {
        let found = EventKind::ALL.into_iter().find(|(kind, ..)| *kind == self);
        match (self, found) {
            (EventKind::Unknown(byte), _) => byte,
            (_, found) => found.map_or(0, |(_, byte, _)| byte),
        }
    }

    fn of(byte: u8) -> EventKind {
        let found = EventKind::ALL.into_iter().find(|(_, known, _)| *known == byte);
        found.map_or(EventKind::Unknown(byte), |(kind, ..)| kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for EventKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<EventKind> {
        let found = EventKind::ALL.into_iter().find(|(.., known)| *known == word);
        found.map(|(kind, ..)| kind).ok_or_else(|| {
            let words: Vec<&str> = EventKind::all().map(EventKind::word).collect();
            Error::invalid(format!("no event is called so; there are: {}", words.join(", ")))
        })
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its number: higher than those of all before.
    pub number: u64,
    /// When it was noted, by this node's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// What happened.
    pub kind: EventKind,
    /// In which collection.
    pub collection: Option<String>,
    /// Which node it is about.
    pub node: Option<NodeId>,
    /// How many, or how long: see [`EventKind`].
    pub count: Option<u64>,
    /// What there is to say about it; often nothing. Never anything of a document.
    pub what: String,
}

/// Something to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent(Event);

impl NewEvent {
    /// Of a kind, and nothing else said.
    pub fn new(kind: EventKind) -> NewEvent {
        let (collection, node, count, what) = (None, None, None, String::new());
        NewEvent(Event { number: 0, time_ms: 0, kind, collection, node, count, what })
    }

    /// In a collection. What can't be the name of one is cut.
    pub fn of(mut self, collection: &str) -> NewEvent {
        self.0.collection = Some(cut(collection, MAX_COLLECTION_BYTES));
        self
    }

    /// About a node.
    pub fn about(mut self, node: NodeId) -> NewEvent {
        self.0.node = Some(node);
        self
    }

    /// So many, or so long.
    pub fn counting(mut self, count: u64) -> NewEvent {
        self.0.count = Some(count);
        self
    }

    /// With this text, of which the first 512 bytes are kept.
    pub fn saying(mut self, what: &str) -> NewEvent {
        self.0.what = cut(what, MAX_EVENT_TEXT_BYTES);
        self
    }

    pub(super) fn encode(&self, time_ms: u64) -> Vec<u8> {
        Event { time_ms, ..self.0.clone() }.encode()
    }
}

/// The beginning of a text that has at most so many bytes.
pub(in crate::store) fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}

impl Event {
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.kind.byte()];
        out.extend_from_slice(&self.time_ms.to_be_bytes());
        let flag = |there: bool, flag: u8| if there { flag } else { 0 };
        out.push(
            flag(self.collection.is_some(), HAS_COLLECTION)
                | flag(self.node.is_some(), HAS_NODE)
                | flag(self.count.is_some(), HAS_COUNT),
        );
        if let Some(collection) = &self.collection {
            put_bytes(&mut out, collection.as_bytes());
        }
        if let Some(node) = &self.node {
            out.extend_from_slice(node.as_bytes());
        }
        if let Some(count) = self.count {
            put_uint(&mut out, count);
        }
        put_bytes(&mut out, self.what.as_bytes());
        out
    }

    pub(in crate::store) fn decode(number: u64, bytes: &[u8]) -> Result<Event> {
        let read = || -> Result<Event> {
            let mut reader = Reader::new(bytes, "event");
            if reader.u8()? != VERSION {
                return Err(reader.bad("it has another version"));
            }
            let kind = EventKind::of(reader.u8()?);
            let time_ms = u64::from_be_bytes(reader.array()?);
            let flags = reader.u8()?;
            if flags & !(HAS_COLLECTION | HAS_NODE | HAS_COUNT) != 0 {
                return Err(reader.bad("it says what is not known"));
            }
            let has = |flag: u8| flags & flag != 0;
            let collection =
                has(HAS_COLLECTION).then(|| reader.str().map(str::to_owned)).transpose()?;
            let node = has(HAS_NODE).then(|| reader.array().map(NodeId::from_bytes)).transpose()?;
            let count = has(HAS_COUNT).then(|| reader.uint()).transpose()?;
            let what = reader.str()?.to_owned();
            reader.end()?;
            Ok(Event { number, time_ms, kind, collection, node, count, what })
        };
        read().map_err(|err| Error::corrupt(err.message()))
    }
}

/// An event, for fuzzing and golden bytes.
pub(in crate::store) fn sample() -> Event {
    Event {
        number: 7,
        time_ms: 1_795_348_800_000,
        kind: EventKind::Healed,
        collection: Some("notes".to_owned()),
        node: Some(NodeId::from_bytes([3; 32])),
        count: Some(300),
        what: "192.0.2.1:4433".to_owned(),
    }
}

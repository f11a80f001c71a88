//! A logged conflict: what stood against what, who ended it and how, and what people said of it.
//!
//! Its bytes: `01`; collection, id and path (JSON Pointer) as text; wall time in ms when it was noted
//! 8; what brought it (below); count of candidates, each: kind 1 (1 value, 2 map, 3 set, 4 counter),
//! value, author's origin 36, number as uint, time 8; how many more there were, as uint; `00`, or `01`
//! and how it ended: wall time in ms 8, how 1, what did it, `00` or `01` and the value shown then;
//! count of notes, each: author as text, wall time in ms 8, text. A *value* is the beginning of its
//! JSON as text, and how many bytes the whole has as uint. *What did it*: `00`; `01`, origin 36, number
//! as uint, time 8; `02`, node 32.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, NodeId, Origin};
use crate::limits::{
    MAX_CONFLICT_NOTE_AUTHOR_BYTES, MAX_CONFLICT_NOTE_BYTES, MAX_CONFLICT_NOTES,
    MAX_LOGGED_CANDIDATES, MAX_LOGGED_VALUE_BYTES,
};
use crate::value::{Field, Path, field_to_json};
use crate::wire::{Reader, put_bytes, put_uint};

use super::event::cut;

const VERSION: u8 = 1;

/// A value, as far as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedValue {
    /// Its JSON, or the first 1,024 bytes of it.
    pub json: String,
    /// How many bytes the whole has.
    pub bytes: u64,
}

/// One side of a logged conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCandidate {
    kind: u8,
    /// What it would have shown.
    pub value: LoggedValue,
    /// The transaction that wrote it; of a map, set or counter, the newest that wrote into it.
    pub dot: Dot,
    /// When, by its author's clock.
    pub time: Timestamp,
}

/// What brought or ended a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictCause {
    /// Nobody can tell: it was there when the log of conflicts began, or an origin forked.
    Unknown,
    /// This transaction, when, by its author's clock.
    Written(Dot, Timestamp),
    /// A snapshot that this node served: of whatever transactions.
    Joined(NodeId),
}

/// How a conflict ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictOutcome {
    /// Somebody who had seen them wrote something there.
    Settled,
    /// The field or the document was deleted.
    Removed,
    /// It lies below something else that is shown now.
    Hidden,
    /// The collection was dropped from this store.
    Left,
}

/// The end of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictEnd {
    /// When it was noted, by this node's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// How.
    pub how: ConflictOutcome,
    /// What did it.
    pub by: ConflictCause,
    /// What was shown there then.
    pub value: Option<LoggedValue>,
}

/// What somebody said of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictNote {
    /// Who, as given.
    pub author: String,
    /// When, by this node's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// What.
    pub text: String,
}

/// A conflict that arose, whether it is over or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedConflict {
    /// Its number in this store, from 1 on.
    pub number: u64,
    /// The collection.
    pub collection: String,
    /// The document.
    pub id: String,
    /// The field.
    pub path: Path,
    /// When it was noted, by this node's clock, in milliseconds since 1970.
    pub arose_ms: u64,
    /// What brought it.
    pub by: ConflictCause,
    /// All that stood against each other in its time, at most 16.
    pub candidates: Vec<LoggedCandidate>,
    /// How many more there were.
    pub more: u64,
    /// How it ended, if it did.
    pub ended: Option<ConflictEnd>,
    /// What people said of it.
    pub notes: Vec<ConflictNote>,
}

impl LoggedValue {
    pub(super) fn of(field: &Field) -> LoggedValue {
        let json = field_to_json(field).to_string();
        LoggedValue { json: cut(&json, MAX_LOGGED_VALUE_BYTES), bytes: json.len() as u64 }
    }

    /// Whether only its beginning is kept.
    pub fn is_cut(&self) -> bool {
        self.json.len() as u64 != self.bytes
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.json.as_bytes());
        put_uint(out, self.bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Result<LoggedValue> {
        Ok(LoggedValue { json: reader.str()?.to_owned(), bytes: reader.uint()? })
    }
}

impl LoggedCandidate {
    pub(super) fn of(side: &crate::crdt::view::Candidate) -> LoggedCandidate {
        let kind = match &side.field {
            Field::Value(_) => 1,
            Field::Map(_) => 2,
            Field::Set(_) => 3,
            Field::Counter(_) => 4,
        };
        LoggedCandidate {
            kind,
            value: LoggedValue::of(&side.field),
            dot: side.dot,
            time: side.time,
        }
    }

    /// Whether both are one side: of a map, set or counter there is one, whatever it holds; and a
    /// value may be written again, or its author get another name.
    fn is(&self, other: &LoggedCandidate) -> bool {
        self.kind == other.kind && (self.kind != 1 || self.value == other.value)
    }
}

impl LoggedConflict {
    /// Takes in what stands against each other now. Gives whether that is another thing than before.
    pub(super) fn stands(&mut self, sides: &[crate::crdt::view::Candidate]) -> bool {
        let before = (self.candidates.clone(), self.more);
        for side in sides.iter().map(LoggedCandidate::of) {
            match self.candidates.iter().position(|known| known.is(&side)) {
                Some(at) => self.candidates[at] = side,
                None if self.candidates.len() < MAX_LOGGED_CANDIDATES => self.candidates.push(side),
                // One that was not kept can't be told from one that comes again.
                None => self.more = self.more.max(sides.len() as u64 - self.kept(sides)),
            }
        }
        before != (self.candidates.clone(), self.more)
    }

    /// How many of these are kept.
    fn kept(&self, sides: &[crate::crdt::view::Candidate]) -> u64 {
        let sides = sides.iter().map(LoggedCandidate::of);
        sides.filter(|side| self.candidates.iter().any(|known| known.is(side))).count() as u64
    }

    /// Adds a note.
    ///
    /// Errors: [`ErrorKind::LimitExceeded`], [`ErrorKind::InvalidInput`].
    pub(super) fn annotate(&mut self, note: ConflictNote) -> Result<()> {
        let limit = |what: &str, most: usize| {
            Err(Error::new(ErrorKind::LimitExceeded, format!("{what}; {most} are allowed")))
        };
        if note.text.is_empty() {
            return Err(Error::invalid("a note needs a text"));
        }
        if note.text.len() > MAX_CONFLICT_NOTE_BYTES {
            let what = format!("the note has {} bytes", note.text.len());
            return limit(&what, MAX_CONFLICT_NOTE_BYTES);
        }
        if note.author.len() > MAX_CONFLICT_NOTE_AUTHOR_BYTES {
            let what = format!("the author of the note has {} bytes", note.author.len());
            return limit(&what, MAX_CONFLICT_NOTE_AUTHOR_BYTES);
        }
        if self.notes.len() >= MAX_CONFLICT_NOTES {
            return limit("the conflict has as many notes as it may have", MAX_CONFLICT_NOTES);
        }
        self.notes.push(note);
        Ok(())
    }

    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_bytes(&mut out, self.collection.as_bytes());
        put_bytes(&mut out, self.id.as_bytes());
        put_bytes(&mut out, self.path.to_string().as_bytes());
        out.extend_from_slice(&self.arose_ms.to_be_bytes());
        self.by.put(&mut out);
        put_uint(&mut out, self.candidates.len() as u64);
        for LoggedCandidate { kind, value, dot, time } in &self.candidates {
            out.push(*kind);
            value.put(&mut out);
            put_written(&mut out, dot, *time);
        }
        put_uint(&mut out, self.more);
        match &self.ended {
            None => out.push(0),
            Some(ConflictEnd { time_ms, how, by, value }) => {
                out.push(1);
                out.extend_from_slice(&time_ms.to_be_bytes());
                out.push(how.byte());
                by.put(&mut out);
                out.push(u8::from(value.is_some()));
                value.iter().for_each(|value| value.put(&mut out));
            }
        }
        put_uint(&mut out, self.notes.len() as u64);
        for ConflictNote { author, time_ms, text } in &self.notes {
            put_bytes(&mut out, author.as_bytes());
            out.extend_from_slice(&time_ms.to_be_bytes());
            put_bytes(&mut out, text.as_bytes());
        }
        out
    }

    pub(in crate::store) fn decode(number: u64, bytes: &[u8]) -> Result<LoggedConflict> {
        let mut reader = Reader::new(bytes, "logged conflict");
        let read = |reader: &mut Reader<'_>| -> Result<LoggedConflict> {
            if reader.u8()? != VERSION {
                return Err(reader.bad("it has another version"));
            }
            let (collection, id) = (reader.str()?.to_owned(), reader.str()?.to_owned());
            let path = read_path(reader)?;
            let arose_ms = u64::from_be_bytes(reader.array()?);
            let by = ConflictCause::read(reader)?;
            let candidate = |reader: &mut Reader<'_>| -> Result<LoggedCandidate> {
                let kind = match reader.u8()? {
                    kind @ 1..=4 => kind,
                    _ => return Err(reader.bad("a candidate of no kind")),
                };
                let value = LoggedValue::read(reader)?;
                let (dot, time) = read_written(reader)?;
                Ok(LoggedCandidate { kind, value, dot, time })
            };
            let count = reader.count()?;
            let candidates = (0..count).map(|_| candidate(reader)).collect::<Result<_>>()?;
            let more = reader.uint()?;
            let ended = match read_flag(reader)? {
                false => None,
                true => Some(ConflictEnd {
                    time_ms: u64::from_be_bytes(reader.array()?),
                    how: ConflictOutcome::read(reader)?,
                    by: ConflictCause::read(reader)?,
                    value: match read_flag(reader)? {
                        false => None,
                        true => Some(LoggedValue::read(reader)?),
                    },
                }),
            };
            let note = |reader: &mut Reader<'_>| -> Result<ConflictNote> {
                let author = reader.str()?.to_owned();
                let time_ms = u64::from_be_bytes(reader.array()?);
                Ok(ConflictNote { author, time_ms, text: reader.str()?.to_owned() })
            };
            let count = reader.count()?;
            let notes = (0..count).map(|_| note(reader)).collect::<Result<_>>()?;
            Ok(LoggedConflict {
                number,
                collection,
                id,
                path,
                arose_ms,
                by,
                candidates,
                more,
                ended,
                notes,
            })
        };
        let entry = read(&mut reader).and_then(|entry| reader.end().map(|()| entry));
        entry.map_err(|err| Error::corrupt(err.message()))
    }
}

/// A path as a JSON Pointer, in the form in which one is written.
pub(super) fn read_path(reader: &mut Reader<'_>) -> Result<Path> {
    let text = reader.str()?;
    let path = Path::parse_pointer(text).ok().filter(|path| path.to_string() == text);
    path.ok_or_else(|| reader.bad("a path that is none"))
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.bad("it is neither there nor not")),
    }
}

fn put_written(out: &mut Vec<u8>, dot: &Dot, time: Timestamp) {
    out.extend_from_slice(&dot.origin.to_bytes());
    put_uint(out, dot.seq);
    out.extend_from_slice(&time.to_bits().to_be_bytes());
}

fn read_written(reader: &mut Reader<'_>) -> Result<(Dot, Timestamp)> {
    let origin = Origin::from_bytes(&reader.array()?);
    let dot = Dot { origin, seq: reader.uint()? };
    Ok((dot, Timestamp::from_bits(u64::from_be_bytes(reader.array()?))))
}

impl ConflictCause {
    /// The node that wrote, or served, what did it.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            ConflictCause::Unknown => None,
            ConflictCause::Written(dot, _) => Some(dot.origin.node),
            ConflictCause::Joined(server) => Some(*server),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            ConflictCause::Unknown => out.push(0),
            ConflictCause::Written(dot, time) => {
                out.push(1);
                put_written(out, dot, *time);
            }
            ConflictCause::Joined(server) => {
                out.push(2);
                out.extend_from_slice(server.as_bytes());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<ConflictCause> {
        match reader.u8()? {
            0 => Ok(ConflictCause::Unknown),
            1 => read_written(reader).map(|(dot, time)| ConflictCause::Written(dot, time)),
            2 => Ok(ConflictCause::Joined(NodeId::from_bytes(reader.array()?))),
            _ => Err(reader.bad("a cause of no kind")),
        }
    }
}

impl ConflictOutcome {
    /// As every door calls it.
    pub fn word(self) -> &'static str {
        match self {
            ConflictOutcome::Settled => "settled",
            ConflictOutcome::Removed => "removed",
            ConflictOutcome::Hidden => "hidden",
            ConflictOutcome::Left => "left",
        }
    }

    fn byte(self) -> u8 {
        match self {
            ConflictOutcome::Settled => 1,
            ConflictOutcome::Removed => 2,
            ConflictOutcome::Hidden => 3,
            ConflictOutcome::Left => 4,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<ConflictOutcome> {
        match reader.u8()? {
            1 => Ok(ConflictOutcome::Settled),
            2 => Ok(ConflictOutcome::Removed),
            3 => Ok(ConflictOutcome::Hidden),
            4 => Ok(ConflictOutcome::Left),
            _ => Err(reader.bad("an end of no kind")),
        }
    }
}

/// A logged conflict, for fuzzing and golden bytes.
pub(in crate::store) fn sample() -> LoggedConflict {
    let node = NodeId::from_bytes([3; 32]);
    let dot = |seq| Dot { origin: Origin { node, incarnation: 1 }, seq };
    let time = Timestamp::from_millis(1_795_348_800_000);
    let value = |json: &str, bytes| LoggedValue { json: json.to_owned(), bytes };
    let side = |kind, value, seq| LoggedCandidate { kind, value, dot: dot(seq), time };
    LoggedConflict {
        number: 7,
        collection: "notes".to_owned(),
        id: "n1".to_owned(),
        path: Path::from(["a/b", "c"]),
        arose_ms: 1_795_348_800_000,
        by: ConflictCause::Joined(node),
        candidates: vec![
            side(1, value("\"low", 300), 5),
            side(4, value("{\"$counter\":3}", 14), 9),
        ],
        more: 0,
        ended: Some(ConflictEnd {
            time_ms: 1_795_348_801_000,
            how: ConflictOutcome::Settled,
            by: ConflictCause::Written(dot(300), time),
            value: Some(value("1", 1)),
        }),
        notes: vec![ConflictNote {
            author: "Anna".to_owned(),
            time_ms: 1_795_348_802_000,
            text: "asked the harbour".to_owned(),
        }],
    }
}

//! Questions and answers of a snapshot: what its receiver asks, what its source answers.
//!
//! Questions go over the control stream of the one who asks, in `Ask`; answers come over
//! one stream of the source's, in the order of the questions. Every answer is a frame of
//! bounded size, and only a few questions may be open: so nobody needs a window.
//!
//! A question, after the collection's name and the u64 number of the snapshot:
//!
//! | kind | question | body |
//! | --- | --- | --- |
//! | 0 | `View` | nothing: take a view and send its head |
//! | 1 | `Pieces` | span, uint documents in a piece |
//! | 2 | `List` | span |
//! | 3 | `Documents` | span |
//! | 4 | `Fetch` | uint n ≥ 1, n × id |
//! | 5 | `Part` | id, uint offset |
//! | 6 | `Done` | nothing: the view is not needed any more; there is no answer |
//!
//! Frames on a snapshot stream, `Snapshot` first and only first, `Gone` last:
//!
//! | type | frame | body |
//! | --- | --- | --- |
//! | 32 | `Snapshot` | name, u64 number of the snapshot |
//! | 33 | `Head` | bytes of the view's [signed head](crate::txn::snapshot) |
//! | 34 | `Pieces` | uint n ≥ 1, n × (end, uint documents, 16 digest); each starts where the one before ends |
//! | 35 | `List` | uint n, n × (id, 32 digest of the row) |
//! | 36 | `Documents` | uint n, n × (id, `00` row as it travels, or `01` uint bytes of one too large for this), then `00`, or `01` id from which on the rest is to be asked for |
//! | 37 | `Part` | bytes |
//! | 38 | `Gone` | bytes reason (UTF-8): there is no view |
//!
//! An id is `bytes`; an end is `00`, or `01` and an id before which it ends; a span is an id
//! to start from (empty: the first), and an end. A bound of a span may be one byte longer than
//! an id: the smallest text after it.

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, ShortHash, check_id};
use crate::limits::{MAX_ID_BYTES, MAX_SNAPSHOT_LIST};
use crate::txn::snapshot::{Span, SpanDigest};
use crate::wire::{Reader, put_bytes, put_uint};

use super::message::{frame, protocol, put_name, read_name, read_reason, shorten, unknown};

pub(super) const SNAPSHOT: u8 = 32;
const HEAD: u8 = 33;
const PIECES: u8 = 34;
const LIST: u8 = 35;
const DOCUMENTS: u8 = 36;
const PART: u8 = 37;
const GONE: u8 = 38;

/// What the receiver of a snapshot asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Take a view, and send its head.
    View,
    /// Digests of the span, cut into pieces of so many documents.
    Pieces {
        /// Which documents.
        span: Span,
        /// Documents in a piece.
        per: u64,
    },
    /// The ids in the span, each with the digest of its row.
    List {
        /// Which documents.
        span: Span,
    },
    /// The documents of the span.
    Documents {
        /// Which documents.
        span: Span,
    },
    /// These documents.
    Fetch {
        /// Which; in order.
        ids: Vec<String>,
    },
    /// Some bytes of a large document.
    Part {
        /// Which document.
        id: String,
        /// From which byte on.
        offset: u64,
    },
    /// The view is not needed any more.
    Done,
}

/// What the source of a snapshot answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What this stream carries. The first frame, and only the first.
    Snapshot {
        /// Of which collection.
        collection: String,
        /// Which of the receiver's snapshots of it.
        number: u64,
    },
    /// The signed head of the view.
    Head(Vec<u8>),
    /// Pieces of the span from its start on; more are to be asked for if its end is not reached.
    Pieces(Vec<(Option<String>, SpanDigest)>),
    /// Ids, each with the digest of its row.
    List(Vec<(String, Hash)>),
    /// Documents.
    Documents {
        /// Id and row of each.
        documents: Vec<(String, Content)>,
        /// From where on the rest is to be asked for.
        rest: Option<String>,
    },
    /// Some bytes of a large document.
    Part(Vec<u8>),
    /// There is no view. The last frame.
    Gone(String),
}

/// A document in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The row as it travels.
    Whole(Vec<u8>),
    /// So many bytes, to be asked for part by part.
    Large(u64),
}

pub(super) fn put_question(out: &mut Vec<u8>, question: &Question) {
    match question {
        Question::View => out.push(0),
        Question::Pieces { span, per } => {
            out.push(1);
            put_span(out, span);
            put_uint(out, *per);
        }
        Question::List { span } => {
            out.push(2);
            put_span(out, span);
        }
        Question::Documents { span } => {
            out.push(3);
            put_span(out, span);
        }
        Question::Fetch { ids } => {
            out.push(4);
            put_uint(out, ids.len() as u64);
            ids.iter().for_each(|id| put_bytes(out, id.as_bytes()));
        }
        Question::Part { id, offset } => {
            out.push(5);
            put_bytes(out, id.as_bytes());
            put_uint(out, *offset);
        }
        Question::Done => out.push(6),
    }
}

pub(super) fn read_question(reader: &mut Reader<'_>) -> Result<Question> {
    Ok(match reader.u8()? {
        0 => Question::View,
        1 => {
            let (span, per) = (read_span(reader)?, reader.uint()?);
            if per == 0 {
                return Err(reader.bad("pieces of no documents"));
            }
            Question::Pieces { span, per }
        }
        2 => Question::List { span: read_span(reader)? },
        3 => Question::Documents { span: read_span(reader)? },
        4 => Question::Fetch { ids: read_ids(reader)? },
        5 => Question::Part { id: read_id(reader)?, offset: reader.uint()? },
        6 => Question::Done,
        _ => return Err(reader.bad("an unknown question")),
    })
}

impl Answer {
    /// The frame of this answer.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Answer::Snapshot { collection, number } => frame(SNAPSHOT, |out| {
                put_name(out, collection);
                out.extend_from_slice(&number.to_be_bytes());
            }),
            Answer::Head(head) => frame(HEAD, |out| put_bytes(out, head)),
            Answer::Pieces(pieces) => frame(PIECES, |out| {
                put_uint(out, pieces.len() as u64);
                for (end, digest) in pieces {
                    put_end(out, end.as_deref());
                    put_uint(out, digest.rows);
                    out.extend_from_slice(&digest.digest.0);
                }
            }),
            Answer::List(list) => frame(LIST, |out| {
                put_uint(out, list.len() as u64);
                for (id, digest) in list {
                    put_bytes(out, id.as_bytes());
                    out.extend_from_slice(&digest.0);
                }
            }),
            Answer::Documents { documents, rest } => frame(DOCUMENTS, |out| {
                put_uint(out, documents.len() as u64);
                for (id, content) in documents {
                    put_bytes(out, id.as_bytes());
                    put_content(out, content);
                }
                put_end(out, rest.as_deref());
            }),
            Answer::Part(bytes) => frame(PART, |out| put_bytes(out, bytes)),
            Answer::Gone(reason) => frame(GONE, |out| put_bytes(out, shorten(reason).as_bytes())),
        }
    }

    /// The answer of a frame, type first.
    pub fn from_frame(frame: &[u8]) -> Result<Answer> {
        let mut reader = Reader::new(frame, "snapshot message");
        let answer = read_answer(&mut reader).map_err(protocol)?;
        reader.end().map_err(protocol)?;
        Ok(answer)
    }
}

fn read_answer(reader: &mut Reader<'_>) -> Result<Answer> {
    Ok(match reader.u8()? {
        SNAPSHOT => {
            let collection = read_name(reader)?;
            Answer::Snapshot { collection, number: u64::from_be_bytes(reader.array()?) }
        }
        HEAD => Answer::Head(reader.bytes()?.to_vec()),
        PIECES => read_pieces(reader)?,
        LIST => {
            let count = limited(reader)?;
            let mut list = Vec::new();
            for _ in 0..count {
                list.push((read_id(reader)?, Hash(reader.array()?)));
            }
            in_order(reader, list.iter().map(|(id, _)| id))?;
            Answer::List(list)
        }
        DOCUMENTS => {
            let count = limited(reader)?;
            let mut documents = Vec::new();
            for _ in 0..count {
                documents.push((read_id(reader)?, read_content(reader)?));
            }
            in_order(reader, documents.iter().map(|(id, _)| id))?;
            Answer::Documents { documents, rest: read_end(reader)? }
        }
        PART => Answer::Part(reader.bytes()?.to_vec()),
        GONE => Answer::Gone(read_reason(reader)?),
        kind => return Err(unknown(kind, "snapshot")),
    })
}

fn read_pieces(reader: &mut Reader<'_>) -> Result<Answer> {
    let count = limited(reader)?;
    let mut pieces: Vec<(Option<String>, SpanDigest)> = Vec::new();
    for _ in 0..count {
        if pieces.last().is_some_and(|(end, _)| end.is_none()) {
            return Err(reader.bad("a piece after the last"));
        }
        let end = read_end(reader)?;
        let rows = reader.uint()?;
        pieces.push((end, SpanDigest { rows, digest: ShortHash(reader.array()?) }));
    }
    if pieces.is_empty() {
        return Err(reader.bad("no pieces"));
    }
    in_order(reader, pieces.iter().filter_map(|(end, _)| end.as_ref()))?;
    Ok(Answer::Pieces(pieces))
}

fn in_order<'a>(reader: &Reader<'_>, ids: impl Iterator<Item = &'a String>) -> Result<()> {
    match ids.is_sorted_by(|a, b| a < b) {
        true => Ok(()),
        false => Err(reader.bad("ids out of order")),
    }
}

fn limited(reader: &mut Reader<'_>) -> Result<usize> {
    match reader.count()? {
        n if n <= MAX_SNAPSHOT_LIST => Ok(n),
        _ => Err(reader.bad("more than one answer may list")),
    }
}

fn put_content(out: &mut Vec<u8>, content: &Content) {
    match content {
        Content::Whole(bytes) => {
            out.push(0);
            put_bytes(out, bytes);
        }
        Content::Large(bytes) => {
            out.push(1);
            put_uint(out, *bytes);
        }
    }
}

fn read_content(reader: &mut Reader<'_>) -> Result<Content> {
    Ok(match reader.u8()? {
        0 => Content::Whole(reader.bytes()?.to_vec()),
        1 => Content::Large(reader.uint()?),
        _ => return Err(reader.bad("an unknown form of a document")),
    })
}

fn put_span(out: &mut Vec<u8>, span: &Span) {
    put_bytes(out, span.start.as_bytes());
    put_end(out, span.end.as_deref());
}

fn read_span(reader: &mut Reader<'_>) -> Result<Span> {
    let start = reader.str()?.to_owned();
    if start.len() > MAX_ID_BYTES + 1 {
        return Err(reader.bad("a span that starts beyond all ids"));
    }
    let end = read_end(reader)?;
    match end.as_ref().is_some_and(|end| *end <= start) {
        true => Err(reader.bad("a span that ends before it starts")),
        false => Ok(Span { start, end }),
    }
}

fn put_end(out: &mut Vec<u8>, end: Option<&str>) {
    match end {
        None => out.push(0),
        Some(id) => {
            out.push(1);
            put_bytes(out, id.as_bytes());
        }
    }
}

fn read_end(reader: &mut Reader<'_>) -> Result<Option<String>> {
    match reader.u8()? {
        0 => Ok(None),
        1 => match reader.str()? {
            "" => Err(reader.bad("an end before all ids")),
            id if id.len() > MAX_ID_BYTES + 1 => Err(reader.bad("an end beyond all ids")),
            id => Ok(Some(id.to_owned())),
        },
        _ => Err(reader.bad("neither an end nor none")),
    }
}

fn read_id(reader: &mut Reader<'_>) -> Result<String> {
    let id = reader.str()?.to_owned();
    check_id(&id).map_err(|err| reader.bad(err.message()))?;
    Ok(id)
}

fn read_ids(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    let count = limited(reader)?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(read_id(reader)?);
    }
    in_order(reader, ids.iter())?;
    match ids.is_empty() {
        true => Err(reader.bad("no documents to fetch")),
        false => Ok(ids),
    }
}

/// The source answered what was not asked.
pub(super) fn unasked() -> Error {
    Error::new(ErrorKind::Protocol, "an answer to no question of a snapshot")
}

//! The snapshot that we serve: one view of one collection, for one peer.
//!
//! ```text
//!            want              answer                ask (Done), drop, idle for too long, spent
//!   Nothing ──────▶ Wanted ─────────▶ Serving ───────────────────────────────────────▶ Nothing
//!                    │  ▲              │   ▲
//!                    └──┘ want, ask    └───┘ ask, answer
//! ```
//!
//! Invariants:
//! 1. Every question is answered once, in order, by one frame; `Done` by none.
//! 2. An answer takes a bounded number of documents and bytes to make, save for one document
//!    that is larger alone; it is kept until all of it was sent.
//! 3. Questions of an earlier snapshot are dropped: the peer has given that one up.
//! 4. A view is taken when its head is about to be sent, so that who asks for many gets the last.
//!
//! Does not know: how a view is read, what the peer does with it.

use std::collections::VecDeque;

use crate::error::{Error, ErrorKind, Result};
use crate::id::{NodeId, Vector};
use crate::limits::{
    MAX_SNAPSHOT_LIST, MAX_SNAPSHOT_QUESTIONS, SNAPSHOT_ANSWER_BYTES, SNAPSHOT_IDLE_MS,
    SNAPSHOT_SCAN_ROWS,
};
use crate::txn::snapshot::Span;

use super::ask::{Answer, Content, Question};
use super::{Source, View};

/// The sending side of a collection's snapshot on a link.
#[derive(Debug, Default)]
pub(super) struct SnapshotOut {
    serving: Option<Serving>,
    /// Bytes of answers, of all views.
    sent_bytes: u64,
}

#[derive(Debug)]
struct Serving {
    number: u64,
    /// Its stream and its view, once it has begun.
    begun: Option<(u64, Box<dyn View>)>,
    questions: VecDeque<Question>,
    /// A document that is sent part by part.
    large: Option<(String, Vec<u8>)>,
    heard_ms: u64,
}

/// Frames to send on a stream, and whether it ends with them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) stream: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) last: bool,
}

impl Reply {
    /// There is no view of `name` for the peer's snapshot `number` now: it may ask again.
    pub(super) fn gone(name: &str, number: u64, stream: u64, why: &str) -> Reply {
        let mut bytes = Answer::Snapshot { collection: name.to_owned(), number }.to_frame();
        bytes.extend(Answer::Gone(why.to_owned()).to_frame());
        Reply { stream, bytes, last: true }
    }
}

impl SnapshotOut {
    /// A question that is not `View`.
    pub(super) fn ask(&mut self, number: u64, question: Question, now_ms: u64) -> Result<()> {
        let Some(serving) = self.serving.as_mut().filter(|serving| serving.number == number) else {
            return Ok(());
        };
        serving.heard_ms = now_ms;
        if serving.questions.len() >= MAX_SNAPSHOT_QUESTIONS {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!("more than {MAX_SNAPSHOT_QUESTIONS} questions of a snapshot at once"),
            ));
        }
        serving.questions.push_back(question);
        Ok(())
    }

    /// The peer wants a view, as its snapshot `number`. Gives the stream of the one before.
    pub(super) fn want(&mut self, number: u64, now_ms: u64) -> Option<u64> {
        let old = self.close();
        let (begun, questions, large) = (None, VecDeque::new(), None);
        self.serving = Some(Serving { number, begun, questions, large, heard_ms: now_ms });
        old
    }

    /// Answers what comes next, if there is anything: takes the view that is wanted, as the node
    /// `us` and for a peer that holds at least `have`, on the stream `next_stream`, or answers a
    /// question about it.
    pub(super) fn answer(
        &mut self,
        name: &str,
        us: &NodeId,
        have: &Vector,
        next_stream: &mut u64,
        source: &dyn Source,
    ) -> Result<Option<Reply>> {
        let Some(serving) = &mut self.serving else { return Ok(None) };
        let Some((stream, view)) = &serving.begun else {
            return self.begin(name, us, have, next_stream, source).map(Some);
        };
        let stream = *stream;
        let Some(question) = serving.questions.pop_front() else { return Ok(None) };
        let answer = answer(view.as_ref(), &mut serving.large, question)?;
        let bytes = answer.to_frame();
        self.sent_bytes += bytes.len() as u64;
        Ok(Some(Reply { stream, bytes, last: false }))
    }

    /// Bytes of answers so far.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    fn begin(
        &mut self,
        name: &str,
        us: &NodeId,
        have: &Vector,
        next_stream: &mut u64,
        source: &dyn Source,
    ) -> Result<Reply> {
        let stream = *next_stream;
        *next_stream += 1;
        let number = self.serving.as_ref().map_or(0, |serving| serving.number);
        let view = match source.signs_views_as(us) {
            true => source.view(name, have)?.ok_or("there is nothing to take a view of"),
            false => Err("the node has another key now"),
        };
        let view = match view {
            Ok(view) => view,
            Err(why) => {
                self.serving = None;
                return Ok(Reply::gone(name, number, stream, why));
            }
        };
        let mut bytes = Answer::Snapshot { collection: name.to_owned(), number }.to_frame();
        bytes.extend(Answer::Head(view.head().to_vec()).to_frame());
        if let Some(serving) = &mut self.serving {
            serving.begun = Some((stream, view));
        }
        Ok(Reply { stream, bytes, last: false })
    }

    /// Bytes of a document that is sent part by part, and kept for that.
    pub(super) fn held(&self) -> usize {
        let large = self.serving.as_ref().and_then(|serving| serving.large.as_ref());
        large.map_or(0, |(_, packed)| packed.len())
    }

    /// Whether a question waits for its answer.
    pub(super) fn is_asked(&self) -> bool {
        let asked = |serving: &Serving| serving.begun.is_none() || !serving.questions.is_empty();
        self.serving.as_ref().is_some_and(asked)
    }

    /// The stream under way.
    pub(super) fn stream(&self) -> Option<u64> {
        self.serving.as_ref().and_then(Serving::stream)
    }

    /// The peer needs its snapshot `number` no more. Gives the stream that ends with that.
    pub(super) fn done(&mut self, number: u64) -> Option<u64> {
        self.serving.take_if(|serving| serving.number == number)?.stream()
    }

    /// Lets go of the view. Gives the stream under way.
    pub(super) fn close(&mut self) -> Option<u64> {
        self.serving.take()?.stream()
    }

    /// When the view is let go of if the peer does not ask on.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let serving = self.serving.as_ref()?;
        Some(serving.heard_ms.saturating_add(SNAPSHOT_IDLE_MS))
    }

    /// Lets go of a view that nobody asks about, or that costs too much to keep: the peer takes
    /// up another one, and what it has staged is skipped. Gives the last words on its stream.
    pub(super) fn expire(&mut self, now_ms: u64) -> Option<Reply> {
        let late = self.deadline_ms().is_some_and(|deadline| deadline <= now_ms);
        let begun = self.serving.as_ref().and_then(|serving| serving.begun.as_ref());
        let spent = begun.is_some_and(|(_, view)| view.is_spent());
        let why = match (late, spent) {
            (true, _) => "nothing was asked for too long",
            (_, true) => "too much was written meanwhile",
            _ => return None,
        };
        let (stream, bytes) = (self.close()?, Answer::Gone(why.to_owned()).to_frame());
        Some(Reply { stream, bytes, last: true })
    }
}

impl Serving {
    fn stream(&self) -> Option<u64> {
        self.begun.as_ref().map(|(stream, _)| *stream)
    }
}

/// A document that is sent part by part.
type Large = Option<(String, Vec<u8>)>;

fn answer(view: &dyn View, large: &mut Large, question: Question) -> Result<Answer> {
    Ok(match question {
        Question::Pieces { span, per } => {
            let per = per.clamp(1, SNAPSHOT_SCAN_ROWS);
            let most = (SNAPSHOT_SCAN_ROWS / per).clamp(1, MAX_SNAPSHOT_LIST as u64) as usize;
            Answer::Pieces(view.pieces(&span, per, most)?)
        }
        Question::List { span } => Answer::List(view.list(&span, MAX_SNAPSHOT_LIST)?),
        Question::Documents { span } => documents(view, large, &span)?,
        Question::Fetch { ids } => fetch(view, large, ids)?,
        Question::Part { id, offset } => part(view, large, &id, offset)?,
        Question::View | Question::Done => {
            return Err(Error::new(ErrorKind::Internal, "a question that has no answer"));
        }
    })
}

fn documents(view: &dyn View, large: &mut Large, span: &Span) -> Result<Answer> {
    let (documents, rest) = view.documents(span, SNAPSHOT_ANSWER_BYTES)?;
    let content = |(id, bytes)| content(large, id, bytes);
    Ok(Answer::Documents { documents: documents.into_iter().map(content).collect(), rest })
}

fn fetch(view: &dyn View, large: &mut Large, ids: Vec<String>) -> Result<Answer> {
    let (mut documents, mut bytes) = (Vec::new(), 0);
    for id in ids {
        if bytes >= SNAPSHOT_ANSWER_BYTES {
            return Ok(Answer::Documents { documents, rest: Some(id) });
        }
        if let Some(packed) = view.document(&id)? {
            bytes += packed.len();
            documents.push(content(large, id, packed));
        }
    }
    Ok(Answer::Documents { documents, rest: None })
}

fn content(large: &mut Large, id: String, packed: Vec<u8>) -> (String, Content) {
    if packed.len() <= SNAPSHOT_ANSWER_BYTES {
        return (id, Content::Whole(packed));
    }
    let content = Content::Large(packed.len() as u64);
    *large = Some((id.clone(), packed));
    (id, content)
}

fn part(view: &dyn View, large: &mut Large, id: &str, offset: u64) -> Result<Answer> {
    if large.as_ref().is_none_or(|(kept, _)| kept != id) {
        let packed = view.document(id)?.unwrap_or_default();
        *large = Some((id.to_owned(), packed));
    }
    let packed = large.as_ref().map_or(&[][..], |(_, packed)| packed);
    let rest = packed.get(offset as usize..).unwrap_or_default();
    let part = rest[..rest.len().min(SNAPSHOT_ANSWER_BYTES)].to_vec();
    if part.len() == rest.len() {
        *large = None;
    }
    Ok(Answer::Part(part))
}

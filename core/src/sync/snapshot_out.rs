//! The snapshot that we serve: one view of one collection, for one peer.
//!
//! ```text
//!            ask (View)              ask (Done), drop, idle for too long, spent
//!   Nothing ────────────▶ Serving ──────────────────────────────────────────────▶ Nothing
//!                          │   ▲
//!                          └───┘ ask (any other), answer
//! ```
//!
//! Invariants:
//! 1. Every question is answered once, in order, by one frame; `Done` by none.
//! 2. An answer takes a bounded number of documents and bytes to make, save for one document
//!    that is larger alone; it is kept until all of it was sent.
//! 3. Questions of an earlier snapshot are dropped: the peer has given that one up.
//!
//! Does not know: how a view is read, what the peer does with it.

use std::collections::VecDeque;

use crate::error::{Error, ErrorKind, Result};
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
}

#[derive(Debug)]
struct Serving {
    number: u64,
    stream: u64,
    view: Box<dyn View>,
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

    /// Takes a view of `name` for the peer's snapshot `number`, to be sent on the new `stream`.
    pub(super) fn open(
        &mut self,
        name: &str,
        number: u64,
        stream: u64,
        now_ms: u64,
        source: &dyn Source,
    ) -> Result<Reply> {
        let carries = Answer::Snapshot { collection: name.to_owned(), number };
        let mut bytes = carries.to_frame();
        let Some(view) = source.view(name)? else {
            bytes.extend(Answer::Gone("there is nothing to take a view of".to_owned()).to_frame());
            return Ok(Reply { stream, bytes, last: true });
        };
        bytes.extend(Answer::Head(view.head().to_vec()).to_frame());
        let questions = VecDeque::new();
        let (large, heard_ms) = (None, now_ms);
        self.serving = Some(Serving { number, stream, view, questions, large, heard_ms });
        Ok(Reply { stream, bytes, last: false })
    }

    /// Answers the next question, if there is one.
    pub(super) fn answer(&mut self) -> Result<Option<Reply>> {
        let Some(serving) = &mut self.serving else { return Ok(None) };
        let Some(question) = serving.questions.pop_front() else { return Ok(None) };
        let answer = serving.answer(question)?;
        Ok(Some(Reply { stream: serving.stream, bytes: answer.to_frame(), last: false }))
    }

    /// Whether a question waits for its answer.
    pub(super) fn is_asked(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| !serving.questions.is_empty())
    }

    /// The stream under way.
    pub(super) fn stream(&self) -> Option<u64> {
        self.serving.as_ref().map(|serving| serving.stream)
    }

    /// The peer needs its snapshot `number` no more. Gives the stream that ends with that.
    pub(super) fn done(&mut self, number: u64) -> Option<u64> {
        let serving = self.serving.take_if(|serving| serving.number == number)?;
        Some(serving.stream)
    }

    /// Lets go of the view. Gives the stream under way.
    pub(super) fn close(&mut self) -> Option<u64> {
        self.serving.take().map(|serving| serving.stream)
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
        let spent = self.serving.as_ref().is_some_and(|serving| serving.view.is_spent());
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
    fn answer(&mut self, question: Question) -> Result<Answer> {
        Ok(match question {
            Question::Pieces { span, per } => {
                let per = per.clamp(1, SNAPSHOT_SCAN_ROWS);
                let most = (SNAPSHOT_SCAN_ROWS / per).clamp(1, MAX_SNAPSHOT_LIST as u64) as usize;
                Answer::Pieces(self.view.pieces(&span, per, most)?)
            }
            Question::List { span } => Answer::List(self.view.list(&span, MAX_SNAPSHOT_LIST)?),
            Question::Documents { span } => self.documents(&span)?,
            Question::Fetch { ids } => self.fetch(ids)?,
            Question::Part { id, offset } => self.part(&id, offset)?,
            Question::View | Question::Done => {
                return Err(Error::new(ErrorKind::Internal, "a question that has no answer"));
            }
        })
    }

    fn documents(&mut self, span: &Span) -> Result<Answer> {
        let (documents, rest) = self.view.documents(span, SNAPSHOT_ANSWER_BYTES)?;
        let content = |(id, bytes)| self.content(id, bytes);
        Ok(Answer::Documents { documents: documents.into_iter().map(content).collect(), rest })
    }

    fn fetch(&mut self, ids: Vec<String>) -> Result<Answer> {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        for id in ids {
            if bytes >= SNAPSHOT_ANSWER_BYTES {
                return Ok(Answer::Documents { documents, rest: Some(id) });
            }
            if let Some(packed) = self.view.document(&id)? {
                let (id, content) = self.content(id, packed);
                if let Content::Whole(packed) = &content {
                    bytes += packed.len();
                }
                documents.push((id, content));
            }
        }
        Ok(Answer::Documents { documents, rest: None })
    }

    fn content(&mut self, id: String, packed: Vec<u8>) -> (String, Content) {
        if packed.len() <= SNAPSHOT_ANSWER_BYTES {
            return (id, Content::Whole(packed));
        }
        let large = Content::Large(packed.len() as u64);
        self.large = Some((id.clone(), packed));
        (id, large)
    }

    fn part(&mut self, id: &str, offset: u64) -> Result<Answer> {
        if self.large.as_ref().is_none_or(|(kept, _)| kept != id) {
            let packed = self.view.document(id)?.unwrap_or_default();
            self.large = Some((id.to_owned(), packed));
        }
        let packed = self.large.as_ref().map_or(&[][..], |(_, packed)| packed);
        let rest = packed.get(offset as usize..).unwrap_or_default();
        let part = rest[..rest.len().min(SNAPSHOT_ANSWER_BYTES)].to_vec();
        if part.len() == rest.len() {
            self.large = None;
        }
        Ok(Answer::Part(part))
    }
}

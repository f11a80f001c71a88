//! The snapshot that we receive: what differs between a peer's view and what we believe it
//! to hold, found by digests, fetched, staged, and joined.
//!
//! ```text
//!          want           start            Head            Begun
//!   Idle ───────▶ Wanted ───────▶ Opening ───────▶ Beginning ───────▶ Walking
//!    ▲               ▲                                                  │ all staged
//!    │ Joined        │ Changed, Gone, the stream ended                  ▼
//!    └───────────────┴───────────────────────────────────────────── Joining
//! ```
//!
//! The walk: digests of pieces of the view are compared with those of our candidates. Equal:
//! done. We have nothing there: fetch the documents. Few documents: compare them one by one.
//! Else: smaller pieces. It goes depth first, so that what is to be done stays short, and
//! needs no memory of what was done: a new walk skips what is staged.
//!
//! Invariants:
//! 1. Few questions are open, and what waits to be staged is bounded, at any size of the view.
//! 2. One step of the store is under way at a time, and steps are taken in order.
//! 3. A join is asked for when the walk has covered every id, and all of it is staged.
//!
//! Does not know: how documents are staged, whether the join fits (the store checks that),
//! other collections.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::id::Hash;
use crate::limits::{
    MAX_SNAPSHOT_DOCUMENT_BYTES, MAX_SNAPSHOT_LIST, MAX_SNAPSHOT_QUESTIONS, RETRY_MAX_MS,
    RETRY_MIN_MS, SNAPSHOT_BACKLOG_BYTES,
};
use crate::txn::snapshot::{Span, SpanDigest, Staged, ViewHead};

use super::Source;
use super::ask::{Answer, Content, Question, unasked};
use super::door::{Offence, SnapshotStep, StepOutcome};

/// Documents in a piece at first, and the factor by which pieces get smaller.
const FIRST_PIECE: u64 = 2048;
const CUT: u64 = 16;
/// A piece of at most so many documents is compared one by one.
const SMALL_PIECE: u64 = 16;

/// The receiving side of a collection's snapshot on a link.
#[derive(Debug, Default)]
pub(super) struct SnapshotIn {
    phase: Phase,
    number: u64,
    stream: Option<u64>,
    head: Option<Arc<ViewHead>>,
    /// What is left of the walk; the last goes first.
    todo: Vec<Todo>,
    asked: VecDeque<Question>,
    backlog: VecDeque<Vec<Staged>>,
    backlog_bytes: usize,
    /// Documents that come part by part, one after the other; of the first, what has come.
    large: VecDeque<(String, u64)>,
    parts: Vec<u8>,
    step: Option<u64>,
    /// Bytes that the step under way stages.
    staging_bytes: usize,
    attempts: u32,
    not_before_ms: u64,
    documents: u64,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Wanted,
    Opening,
    Beginning,
    Walking,
    Joining,
}

/// A piece of the walk that is still to be done.
#[derive(Debug)]
enum Todo {
    Ask(Question),
    /// The view has nothing here.
    Absent(Span),
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// The walk goes on.
    On,
    /// The view is part of our state now.
    Joined,
    /// It did not work out; it is tried again later.
    Again,
    /// The snapshot can't be taken in. Why, for both sides.
    Refused(Offence, String),
    /// Our store failed. Why.
    StoreFailed(String),
}

impl SnapshotIn {
    /// A snapshot is needed. Whether that is news.
    pub(super) fn want(&mut self) -> bool {
        let news = self.phase == Phase::Idle;
        if news {
            self.phase = Phase::Wanted;
        }
        news
    }

    /// Whether one is wanted and may be asked for now.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.phase == Phase::Wanted && self.not_before_ms <= now_ms
    }

    /// When to look again, if that is a matter of time.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        (self.phase == Phase::Wanted).then_some(self.not_before_ms)
    }

    /// Whether nothing is wanted and nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether nothing is under way: one that is wanted waits for its time.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_idle() || self.phase == Phase::Wanted && self.not_before_ms > 0
    }

    /// Another link stages this collection: look again later.
    pub(super) fn put_off(&mut self, now_ms: u64) {
        let delay = RETRY_MIN_MS.saturating_mul(1 << self.attempts.min(16)).min(RETRY_MAX_MS);
        self.attempts = self.attempts.saturating_add(1);
        self.not_before_ms = now_ms.saturating_add(delay);
    }

    /// Asks the peer for a view, under this number.
    pub(super) fn start(&mut self, number: u64) -> Question {
        let (attempts, documents, bytes) = (self.attempts, self.documents, self.bytes);
        *self = SnapshotIn {
            phase: Phase::Opening,
            number,
            attempts,
            documents,
            bytes,
            ..SnapshotIn::default()
        };
        Question::View
    }

    /// The peer's stream says that it carries this snapshot. Whether that is the one we want.
    pub(super) fn bind(&mut self, stream: u64, number: u64) -> bool {
        let wanted = self.phase == Phase::Opening && self.number == number;
        if wanted && self.stream.is_none() {
            self.stream = Some(stream);
            return true;
        }
        false
    }

    /// Whether the peer was asked for a view.
    pub(super) fn is_asked(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Wanted)
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Gives up what is under way and wants it anew, later. Gives the stream to stop.
    pub(super) fn again(&mut self, now_ms: u64) -> Option<u64> {
        let stream = self.reset();
        self.phase = Phase::Wanted;
        self.put_off(now_ms);
        stream
    }

    /// Gives everything up. Gives the stream to stop.
    pub(super) fn reset(&mut self) -> Option<u64> {
        let stream = self.stream;
        let (attempts, documents, bytes) = (self.attempts, self.documents, self.bytes);
        *self = SnapshotIn { attempts, documents, bytes, ..SnapshotIn::default() };
        stream
    }

    /// The stream has ended without a last word. Whether that was the one under way, with
    /// answers still to come.
    pub(super) fn ended(&mut self, stream: u64) -> bool {
        let current = self.stream == Some(stream);
        if current {
            self.stream = None;
        }
        current && self.phase != Phase::Joining && self.phase != Phase::Idle
    }

    /// An answer of the peer.
    pub(super) fn answer(
        &mut self,
        answer: Answer,
        collection: &str,
        source: &dyn Source,
    ) -> Result<()> {
        match (self.phase, answer) {
            (Phase::Opening, Answer::Head(bytes)) => {
                self.phase = Phase::Beginning;
                self.backlog_bytes = bytes.len();
                self.head = None;
                self.parts = bytes;
                Ok(())
            }
            (Phase::Walking, answer) => match (self.asked.pop_front(), answer) {
                (Some(Question::Pieces { span, per }), Answer::Pieces(pieces)) => {
                    self.pieces(&span, per, pieces, collection, source)
                }
                (Some(Question::List { span }), Answer::List(list)) => {
                    self.list(span, list, collection, source)
                }
                (Some(asked @ (Question::Documents { .. } | Question::Fetch { .. })), answer) => {
                    self.documents(asked, answer)
                }
                (Some(Question::Part { .. }), Answer::Part(part)) => self.part(&part),
                _ => Err(unasked()),
            },
            _ => Err(unasked()),
        }
    }

    fn pieces(
        &mut self,
        span: &Span,
        per: u64,
        pieces: Vec<(Option<String>, SpanDigest)>,
        collection: &str,
        source: &dyn Source,
    ) -> Result<()> {
        let mut start = span.start.clone();
        let mut spans = Vec::with_capacity(pieces.len());
        for (end, _) in &pieces {
            let within = end
                .as_ref()
                .is_none_or(|end| *end > start && span.end.as_ref().is_none_or(|last| end <= last));
            if !within || (end.is_none() && span.end.is_some()) {
                return Err(unasked());
            }
            let from = std::mem::replace(&mut start, end.clone().unwrap_or_default());
            spans.push(Span { start: from, end: end.clone() });
        }
        if let Some((Some(end), _)) = pieces.last()
            && span.end.as_ref() != Some(end)
        {
            let rest = Span { start: end.clone(), end: span.end.clone() };
            self.todo.push(Todo::Ask(Question::Pieces { span: rest, per }));
        }
        let ours = source.candidate_digests(collection, &spans)?;
        for ((span, (_, theirs)), ours) in spans.into_iter().zip(pieces).zip(ours).rev() {
            if ours != theirs {
                self.todo.push(compare(span, per, &ours, &theirs)?);
            }
        }
        Ok(())
    }

    /// Compares documents one by one.
    fn list(
        &mut self,
        span: Span,
        theirs: Vec<(String, Hash)>,
        collection: &str,
        source: &dyn Source,
    ) -> Result<()> {
        let outside =
            |id: &String| *id < span.start || span.end.as_ref().is_some_and(|end| id >= end);
        if theirs.iter().any(|(id, _)| outside(id)) {
            return Err(unasked());
        }
        let ours = source.candidate_list(collection, &span, MAX_SNAPSHOT_LIST)?;
        // What lies behind a full list, on either side, is another list.
        let full = [&ours, &theirs].into_iter().filter(|list| list.len() >= MAX_SNAPSHOT_LIST);
        let end = full.filter_map(|list| list.last()).map(|(id, _)| after(id)).min();
        if let Some(end) = &end {
            let rest = Span { start: end.clone(), end: span.end.clone() };
            self.todo.push(Todo::Ask(Question::List { span: rest }));
        }
        let here = |id: &String| end.as_ref().is_none_or(|end| id < end);
        let held = |id: &String| ours.binary_search_by(|(other, _)| other.cmp(id)).ok();
        let differs = |(id, digest): &&(String, Hash)| {
            here(id) && held(id).is_none_or(|at| ours[at].1 != *digest)
        };
        let ids: Vec<String> = theirs.iter().filter(differs).map(|(id, _)| id.clone()).collect();
        if !ids.is_empty() {
            self.todo.push(Todo::Ask(Question::Fetch { ids }));
        }
        let there = |id: &String| theirs.binary_search_by(|(other, _)| other.cmp(id)).is_ok();
        let gone = ours.iter().map(|(id, _)| id).filter(|id| here(id) && !there(id));
        let gone = gone.map(|id| Staged { id: id.clone(), packed: None }).collect();
        self.keep(gone);
        Ok(())
    }

    fn documents(&mut self, asked: Question, answer: Answer) -> Result<()> {
        let Answer::Documents { documents, rest } = answer else { return Err(unasked()) };
        let inside = |id: &String| match &asked {
            Question::Documents { span } => {
                *id >= span.start && span.end.as_ref().is_none_or(|end| id < end)
            }
            Question::Fetch { ids } => ids.binary_search(id).is_ok(),
            _ => false,
        };
        if !documents.iter().map(|(id, _)| id).chain(&rest).all(inside) {
            return Err(unasked());
        }
        if let Some(rest) = rest {
            let question = match asked {
                Question::Fetch { ids } => {
                    if ids[0] == rest {
                        return Err(unasked());
                    }
                    Question::Fetch { ids: ids.into_iter().filter(|id| *id >= rest).collect() }
                }
                Question::Documents { span } if span.start != rest => {
                    Question::Documents { span: Span { start: rest, end: span.end } }
                }
                _ => return Err(unasked()),
            };
            self.todo.push(Todo::Ask(question));
        }
        let mut staged = Vec::with_capacity(documents.len());
        for (id, content) in documents {
            match content {
                Content::Whole(packed) => staged.push(Staged { id, packed: Some(packed) }),
                Content::Large(total) if total > MAX_SNAPSHOT_DOCUMENT_BYTES as u64 => {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        format!(
                            "document '{id}' has {total} bytes; a snapshot carries {MAX_SNAPSHOT_DOCUMENT_BYTES}"
                        ),
                    ));
                }
                Content::Large(total) => self.large.push_back((id, total)),
            }
        }
        self.keep(staged);
        Ok(())
    }

    fn part(&mut self, part: &[u8]) -> Result<()> {
        let Some((_, total)) = self.large.front() else { return Err(unasked()) };
        let whole = (self.parts.len() + part.len()) as u64;
        if part.is_empty() || whole > *total {
            return Err(unasked());
        }
        self.parts.extend_from_slice(part);
        if whole == *total {
            let packed = std::mem::take(&mut self.parts);
            if let Some((id, _)) = self.large.pop_front() {
                self.keep(vec![Staged { id, packed: Some(packed) }]);
            }
        }
        Ok(())
    }

    fn keep(&mut self, staged: Vec<Staged>) {
        if staged.is_empty() {
            return;
        }
        let total: usize = staged.iter().map(size).sum();
        self.documents += staged.len() as u64;
        self.bytes += total as u64;
        self.backlog_bytes += total;
        self.backlog.push_back(staged);
    }

    /// The questions to ask now.
    pub(super) fn questions(
        &mut self,
        collection: &str,
        source: &dyn Source,
    ) -> Result<Vec<Question>> {
        let mut questions = Vec::new();
        while self.phase == Phase::Walking
            && self.backlog_bytes < SNAPSHOT_BACKLOG_BYTES
            && self.asked.len() < MAX_SNAPSHOT_QUESTIONS
        {
            let parting = self.asked.iter().any(|asked| matches!(asked, Question::Part { .. }));
            let question = match self.large.front() {
                Some(_) if parting => break,
                Some((id, _)) => Question::Part { id: id.clone(), offset: self.parts.len() as u64 },
                None => match self.todo.pop() {
                    None => break,
                    Some(Todo::Absent(span)) => {
                        self.absent(span, collection, source)?;
                        continue;
                    }
                    Some(Todo::Ask(question)) => question,
                },
            };
            self.asked.push_back(question.clone());
            questions.push(question);
        }
        Ok(questions)
    }

    /// Stages that the view has none of our candidates in a span.
    fn absent(&mut self, span: Span, collection: &str, source: &dyn Source) -> Result<()> {
        let ours = source.candidate_list(collection, &span, MAX_SNAPSHOT_LIST)?;
        if let Some((last, _)) = ours.last().filter(|_| ours.len() >= MAX_SNAPSHOT_LIST) {
            let rest = Span { start: after(last), end: span.end };
            self.todo.push(Todo::Absent(rest));
        }
        self.keep(ours.into_iter().map(|(id, _)| Staged { id, packed: None }).collect());
        Ok(())
    }

    /// What the store is to do next, if it is not at it already; `ticket` will name it.
    pub(super) fn next_step(&mut self, ticket: u64) -> Option<SnapshotStep> {
        if self.step.is_some() {
            return None;
        }
        let step = match (self.phase, &self.head) {
            (Phase::Beginning, None) => {
                SnapshotStep::Begin { head: std::mem::take(&mut self.parts) }
            }
            (Phase::Walking, Some(head)) => match self.backlog.pop_front() {
                Some(documents) => {
                    self.staging_bytes = documents.iter().map(size).sum();
                    SnapshotStep::Stage { head: head.clone(), documents }
                }
                None if self.is_walked() => {
                    self.phase = Phase::Joining;
                    SnapshotStep::Join { head: head.clone() }
                }
                None => return None,
            },
            _ => return None,
        };
        self.step = Some(ticket);
        Some(step)
    }

    fn is_walked(&self) -> bool {
        self.todo.is_empty() && self.asked.is_empty() && self.large.is_empty()
    }

    /// What became of a step.
    pub(super) fn stepped(&mut self, ticket: u64, outcome: StepOutcome) -> Stepped {
        if self.step.take_if(|step| *step == ticket).is_none() {
            // It belonged to a walk that was given up.
            return Stepped::On;
        }
        match outcome {
            StepOutcome::Begun(head) => {
                self.head = Some(head);
                self.phase = Phase::Walking;
                self.backlog_bytes = 0;
                let all = Question::Pieces { span: Span::default(), per: FIRST_PIECE };
                self.todo.push(Todo::Ask(all));
                Stepped::On
            }
            StepOutcome::Staged => {
                // It gets somewhere, however often it has to begin anew.
                self.attempts = 0;
                self.backlog_bytes -= std::mem::take(&mut self.staging_bytes);
                Stepped::On
            }
            StepOutcome::Joined => {
                self.attempts = 0;
                Stepped::Joined
            }
            StepOutcome::Learnt { .. } => Stepped::On,
            StepOutcome::Changed => Stepped::Again,
            StepOutcome::Refused(offence, why) => Stepped::Refused(offence, why),
            StepOutcome::StoreFailed(why) => Stepped::StoreFailed(why),
        }
    }

    /// Documents received.
    pub(super) fn received_documents(&self) -> u64 {
        self.documents
    }

    /// Bytes of documents received.
    pub(super) fn received_bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.backlog_bytes + self.parts.len()
    }
}

/// What to do about a piece that differs.
fn compare(span: Span, per: u64, ours: &SpanDigest, theirs: &SpanDigest) -> Result<Todo> {
    Ok(match (ours.rows, theirs.rows) {
        (_, 0) => Todo::Absent(span),
        (0, _) => Todo::Ask(Question::Documents { span }),
        (_, rows) if rows <= SMALL_PIECE => Todo::Ask(Question::List { span }),
        // Pieces get smaller whatever the peer says: the walk ends.
        (_, rows) => {
            let smaller = (rows / CUT).clamp(1, (per / 2).max(1));
            match per > 1 {
                true => Todo::Ask(Question::Pieces { span, per: smaller }),
                false => Todo::Ask(Question::List { span }),
            }
        }
    })
}

fn size(document: &Staged) -> usize {
    document.id.len() + document.packed.as_ref().map_or(0, Vec::len)
}

/// The smallest text after `id`.
fn after(id: &str) -> String {
    format!("{id}\0")
}

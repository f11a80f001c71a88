//! The tape of a node elsewhere.
//!
//! What differs may be any number of documents, and a revert takes as long as it takes: the node
//! tells of both line by line, without a limit of time, and says at the end that it was the end.

use std::io::{BufRead, BufReader, Read as _};
use std::time::Duration;

use littoral::limits::MAX_HTTP_ANSWER_BYTES;
use littoral::{Error, ErrorKind, Result, ScanRange};
use ureq::AsSendBody;
use ureq::http::Method;

use super::remote::{Query, Remote, document_path, encode, json_text, not_a_node};
use super::tape::{Each, Tape};
use super::{Read, Scan};
use crate::kinds;
use crate::shape::why_not;
use crate::tape::{
    CheckpointCostShape, CheckpointShape, CheckpointsShape, Comparing, DoneShape, HoldShape,
    Holding, HoldsShape, Line, Marking, ReplayShape, Resuming, Reverting, RollingBack, Undoing,
};

/// How long a node may take for what reads all that is kept.
const PATIENCE: Duration = Duration::from_secs(600);
const JSON_TYPE: &str = "application/json";

impl Tape for Remote {
    fn checkpoint(&self, label: &str) -> Result<CheckpointShape> {
        let body = Some(json_text(&Marking { label: label.to_owned(), automatic: false }));
        self.send(Method::POST, "/checkpoint", &[], body, PATIENCE)?.json()
    }

    fn checkpoint_before(&self, why: &str) -> Result<Option<CheckpointShape>> {
        let body = Some(json_text(&Marking { label: why.to_owned(), automatic: true }));
        let answer = self.send(Method::POST, "/checkpoint", &[], body, PATIENCE)?;
        if answer.is_empty() { Ok(None) } else { answer.json().map(Some) }
    }

    fn checkpoints(&self) -> Result<Vec<CheckpointCostShape>> {
        let answer = self.send(Method::GET, "/checkpoints", &[], None, PATIENCE)?;
        answer.json::<CheckpointsShape>().map(|found| found.checkpoints)
    }

    fn delete_checkpoint(&self, label: &str) -> Result<()> {
        let path = format!("/checkpoints/{}", encode(label));
        self.send(Method::DELETE, &path, &[], None, PATIENCE).map(drop)
    }

    fn get_at(&self, label: &str, collection: &str, id: &str) -> Result<Read> {
        let mut query = Query::new(&document_path(collection, id)?);
        query.add("at", Some(label));
        self.send(Method::GET, &query.path, &[], None, PATIENCE)?.document()
    }

    fn scan_at(&self, label: &str, collection: &str, range: &ScanRange) -> Result<Scan<'_>> {
        self.pages(collection, range, Some(label))
    }

    fn diff(&self, asked: &Comparing, each: Each) -> Result<DoneShape> {
        let mut query = Query::new("/diff");
        query.add("from", Some(&asked.from));
        query.add("to", asked.to.as_deref());
        query.add("collection", asked.collection.as_deref());
        self.lines(Method::GET, &query.path, (), &mut changes(each))
    }

    fn rollback(
        &self,
        asked: &RollingBack,
        told: &mut dyn FnMut(ReplayShape) -> Result<()>,
        each: Each,
    ) -> Result<DoneShape> {
        self.lines(Method::POST, "/rollback", json_text(asked), &mut |line| match line {
            Line::Replay(replay) => told(replay),
            Line::Change(found) => each(found.read()?),
            _ => Ok(()),
        })
    }

    fn hold(&self, asked: &Holding) -> Result<Vec<HoldShape>> {
        let answer = self.send(Method::POST, "/hold", &[], Some(json_text(asked)), PATIENCE)?;
        answer.json::<HoldsShape>().map(|found| found.holds)
    }

    fn resume(&self, asked: &Resuming) -> Result<Vec<HoldShape>> {
        let answer = self.send(Method::POST, "/resume", &[], Some(json_text(asked)), PATIENCE)?;
        answer.json::<HoldsShape>().map(|found| found.holds)
    }

    fn revert_plan(&self, asked: &Reverting, each: Each) -> Result<DoneShape> {
        let body = json_text(&Reverting { dry_run: true, ..asked.clone() });
        self.lines(Method::POST, "/revert", body, &mut changes(each))
    }

    fn undo(&self, asked: &Undoing, each: Each) -> Result<DoneShape> {
        self.lines(Method::POST, "/undo", json_text(asked), &mut changes(each))
    }

    fn revert(&self, asked: &Reverting, progress: &mut dyn FnMut(u64)) -> Result<DoneShape> {
        let body = json_text(&Reverting { dry_run: false, ..asked.clone() });
        self.lines(Method::POST, "/revert", body, &mut |line| {
            if let Line::Progress(documents) = line {
                progress(documents);
            }
            Ok(())
        })
    }
}

/// Hands on what differs.
fn changes(each: Each<'_>) -> impl FnMut(Line) -> Result<()> {
    |line| match line {
        Line::Change(found) => each(found.read()?),
        _ => Ok(()),
    }
}

impl Remote {
    /// Asks, and hears the answer line by line up to its end.
    fn lines(
        &self,
        method: Method,
        path: &str,
        body: impl AsSendBody,
        each: &mut dyn FnMut(Line) -> Result<()>,
    ) -> Result<DoneShape> {
        let mut answer = self.exchange(method, path, JSON_TYPE, body)?;
        let mut reader = BufReader::new(answer.body_mut().as_reader());
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = reader.by_ref().take(MAX_HTTP_ANSWER_BYTES).read_until(b'\n', &mut text);
            if read.is_err() || !text.ends_with(b"\n") {
                return Err(match text.len() as u64 {
                    MAX_HTTP_ANSWER_BYTES => not_a_node("a line that is too long"),
                    _ => self.broke_off(),
                });
            }
            let line = serde_json::from_slice(&text).map_err(|err| not_a_node(&why_not(&err)))?;
            match line {
                Line::Done(done) => return Ok(done),
                Line::Error(said) => {
                    return Err(Error::new(kinds::of_code(&said.code), said.message));
                }
                line => each(line)?,
            }
        }
    }

    fn broke_off(&self) -> Error {
        Error::new(
            ErrorKind::Network,
            format!(
                "the node at {} broke off; what it had begun it may have done in part",
                self.url()
            ),
        )
    }
}

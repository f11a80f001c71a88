//! Answers of any length, line by line: what goes wrong before the first piece is sent is an error
//! with its status, what goes wrong later a line.
//!
//! What is read holds a view of the state, and who reads slowly holds it for longer: so they are
//! few at a time, and who takes nothing for a while is cut off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::IntoResponse;
use futures_core::Stream;
use littoral::limits::MAX_HTTP_STALL_S;
use littoral::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::failure::Answer;
use super::request_id;
use super::service::Service;
use crate::kinds;
use crate::shape::ErrorShape;
use crate::tape::{DoneShape, Line};
use crate::target::Local;

/// What such an answer is called.
pub(super) const LINES_TYPE: &str = "application/x-ndjson";
/// Bytes after which a piece is sent.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces on their way.
const PIECES: usize = 4;

type Piece = Result<Bytes>;

/// Where lines go.
pub(super) struct Lines {
    sender: mpsc::Sender<Piece>,
    piece: Vec<u8>,
    state: State,
    stopping: watch::Receiver<bool>,
    runtime: Handle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    New,
    /// Something was.
    Begun,
    /// Nobody takes it any more.
    Gone,
}

/// Answers with the lines of what runs, beside the async threads, and its end.
pub(super) async fn lines(
    service: &Service,
    work: impl FnOnce(&Local, &mut Lines) -> Result<DoneShape> + Send + 'static,
) -> Answer {
    let room = service.stream().await;
    let (sender, mut receiver) = mpsc::channel(PIECES);
    let (local, stopping) = (service.local(), service.stopping());
    let runtime = Handle::current();
    let request_id = request_id::current();
    let mut out = Lines { sender, piece: Vec::new(), state: State::New, stopping, runtime };
    tokio::task::spawn_blocking(move || {
        let _room = room;
        let end = match work(&local, &mut out) {
            Ok(done) => Line::Done(done),
            Err(err) if out.state == State::New => return drop(out.send(Err(err))),
            Err(err) => {
                let (code, message) =
                    (kinds::code(err.kind()).to_owned(), err.message().to_owned());
                Line::Error(ErrorShape { code, message, request_id })
            }
        };
        // Nobody is left to hear that nobody listens.
        drop(out.push(&end).and_then(|()| out.flush()));
    });
    let broken = || Error::new(ErrorKind::Internal, "the call broke off; please report it");
    let first = receiver.recv().await.ok_or_else(broken)??;
    let body = Body::from_stream(Pieces { first: Some(first), receiver });
    Ok(([(header::CONTENT_TYPE, LINES_TYPE)], body).into_response())
}

impl Lines {
    /// Adds a line. An error means that nobody takes it.
    pub(super) fn push(&mut self, line: &Line) -> Result<()> {
        serde_json::to_writer(&mut self.piece, line).expect("a shape is JSON");
        self.piece.push(b'\n');
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.flush() }
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.send(Ok(piece))
    }

    fn send(&mut self, piece: Piece) -> Result<()> {
        let gone = || Error::new(ErrorKind::Closed, "nobody takes the answer any more");
        if self.state == State::Gone || *self.stopping.borrow() {
            self.state = State::Gone;
            return Err(gone());
        }
        let patience = Duration::from_secs(MAX_HTTP_STALL_S);
        let (sender, stopping) = (&self.sender, &mut self.stopping);
        let sent = self.runtime.block_on(async {
            tokio::select! {
                sent = tokio::time::timeout(patience, sender.send(piece)) => matches!(sent, Ok(Ok(()))),
                _ = stopping.changed() => false,
            }
        });
        self.state = if sent { State::Begun } else { State::Gone };
        if sent { Ok(()) } else { Err(gone()) }
    }
}

/// The pieces on their way out.
struct Pieces {
    first: Option<Bytes>,
    receiver: mpsc::Receiver<Piece>,
}

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.receiver.poll_recv(context),
        }
    }
}

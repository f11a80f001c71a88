//! Following something, as a long poll or as Server-Sent Events.
//!
//! What is followed is pulled, piece by piece: who takes nothing costs a piece, and no more is read
//! for it. Whoever waits holds no thread: a commit wakes it, and it looks again.

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use futures_core::Stream;
use littoral::limits::{HTTP_HEARTBEAT_S, MAX_HTTP_STALL_S, MAX_HTTP_WAIT_S};
use littoral::{Error, ErrorKind, Result};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::failure::{Answer, Refusal};
use super::guard::Asker;
use super::service::Service;
use crate::kinds;
use crate::tokens::Scope;

/// How such a stream is called.
const EVENTS_TYPE: &str = "text/event-stream";

/// Something that is read on, beside the async threads.
pub(super) trait Source: Send + 'static {
    /// Where it resumes.
    fn position(&self) -> u64;

    /// What there is now, as much as one piece holds.
    ///
    /// Errors: `NotFound` if it does not reach back so far: [`Source::restart`].
    fn read(&mut self) -> Result<Piece>;

    /// Goes on from the present moment.
    fn restart(&mut self);
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Each: where to resume after it, what kind it is of, and its JSON.
    pub(super) told: Vec<(u64, &'static str, String)>,
    /// Whether there may be more by now.
    pub(super) more: bool,
}

/// How somebody wants to hear.
pub(super) enum Way {
    /// Once, waiting so long for the first.
    Poll(Duration),
    /// Of all that comes, from there if it was cut off before.
    Stream(Option<String>),
}

/// How somebody wants to hear: as events come, if it accepts events, else once.
pub(super) fn way(headers: &HeaderMap, wait: Option<u64>) -> Answer<Way> {
    if !wants_events(headers) {
        return Ok(Way::Poll(Duration::from_secs(wait.unwrap_or(0).min(MAX_HTTP_WAIT_S))));
    }
    if wait.is_some() {
        return Err(Refusal::malformed("events come whenever there are any: leave out `wait`"));
    }
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    Ok(Way::Stream(last.filter(|id| !id.is_empty()).map(str::to_owned)))
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok());
    let kinds = accepted.unwrap_or_default().split(',');
    kinds
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .any(|kind| kind == EVENTS_TYPE)
}

/// Waits for a commit, the deadline, or the end of the node.
pub(super) struct Patience {
    commits: tokio::sync::watch::Receiver<()>,
    stopping: tokio::sync::watch::Receiver<bool>,
    deadline: Instant,
}

impl Patience {
    pub(super) fn new(service: &Service, wait: Duration) -> Patience {
        let deadline = Instant::now() + wait;
        Patience { commits: service.commits(), stopping: service.stopping(), deadline }
    }

    /// What comes from now on ends the next [`Patience::wait`].
    pub(super) fn look(&mut self) {
        self.commits.borrow_and_update();
    }

    /// Whether there is nothing to wait for any more.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || *self.stopping.borrow()
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            // Whether time is up or not is seen by who looks.
            _ = timeout_at(self.deadline, self.commits.changed()) => {}
            _ = self.stopping.changed() => {}
        }
    }
}

/// Answers with all that comes.
pub(super) fn stream(service: Service, asker: Asker, source: impl Source) -> Answer {
    let room = service.follower_room()?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _room = room;
        follow(&service, &asker, source, &sender).await;
    });
    let headers = [(header::CONTENT_TYPE, EVENTS_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(Pieces(receiver))).into_response())
}

/// Reads on, beside the async threads.
async fn read<S: Source>(service: &Service, mut source: S) -> (S, Result<Piece>) {
    let _room = service.feed_read().await;
    let reading = tokio::task::spawn_blocking(move || {
        let piece = source.read();
        (source, piece)
    });
    // A panic of it is one of ours, and ends this answer as well.
    reading.await.expect("reading on does not panic")
}

/// Sends what comes, until nobody takes it, nobody may, or the node stops.
async fn follow(
    service: &Service,
    asker: &Asker,
    mut source: impl Source,
    sender: &mpsc::Sender<Bytes>,
) {
    let (mut commits, mut stopping) = (service.commits(), service.stopping());
    let heartbeat = Duration::from_secs(HTTP_HEARTBEAT_S);
    let mut told = source.position();
    let mut allowed = Instant::now();
    // Who reconnects waits for so long; and where to go on, also if nothing comes.
    let mut text = format!("retry: 2000\nid: {told}\n\n");
    loop {
        if *stopping.borrow() || (!text.is_empty() && !send(sender, text).await) {
            return;
        }
        text = String::new();
        if allowed.elapsed() >= heartbeat {
            if asker.may(Scope::Read).is_err() {
                return;
            }
            allowed = Instant::now();
        }
        commits.borrow_and_update();
        let (read_on, piece) = read(service, source).await;
        source = read_on;
        match piece {
            Ok(piece) => {
                for (position, kind, data) in piece.told {
                    told = position;
                    push(&mut text, position, kind, &data);
                }
                if piece.more || !text.is_empty() {
                    continue;
                }
            }
            Err(err) if err.kind() == ErrorKind::NotFound => {
                source.restart();
                told = source.position();
                push(&mut text, told, "resync", &json!({"from": told}).to_string());
                continue;
            }
            Err(err) => {
                let error = json!({"code": kinds::code(err.kind()), "message": err.message()});
                let data = json!({"error": error}).to_string();
                send(sender, format!("event: error\ndata: {data}\n\n")).await;
                return;
            }
        }
        tokio::select! {
            _ = commits.changed() => {}
            _ = stopping.changed() => {}
            () = sender.closed() => return,
            () = sleep(heartbeat) => {
                // An event without data is none, but moves on where its reader resumes.
                told = told.max(source.position());
                text = format!("id: {told}\n\n");
            }
        }
    }
}

fn push(text: &mut String, id: u64, event: &str, data: &str) {
    write!(text, "id: {id}\nevent: {event}\ndata: {data}\n\n").expect("a string takes all");
}

/// Whether somebody took it, in reasonable time.
async fn send(sender: &mpsc::Sender<Bytes>, text: String) -> bool {
    let patience = Duration::from_secs(MAX_HTTP_STALL_S);
    matches!(timeout(patience, sender.send(Bytes::from(text))).await, Ok(Ok(())))
}

/// The pieces on their way out.
struct Pieces(mpsc::Receiver<Bytes>);

impl Stream for Pieces {
    type Item = std::result::Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}

//! `GET /changes`: the change feed, as a long poll and as Server-Sent Events.
//!
//! Both are pulled from the log by [`crate::feed`]: who takes nothing costs a piece, and no more is
//! read for it. Whoever waits holds no thread: a commit wakes it, and it looks again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use futures_core::Stream;
use littoral::limits::{
    FEED_PIECE_CHANGES, HTTP_HEARTBEAT_S, MAX_HTTP_PAGE, MAX_HTTP_STALL_S, MAX_HTTP_WAIT_S,
};
use littoral::{Error, ErrorKind, Position, Result};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::failure::{Answer, Asked, Refusal};
use super::guard::Asker;
use super::json::Json;
use super::service::Service;
use crate::feed::{FeedPage, Follower, Give, Pages, Wanted};
use crate::kinds;
use crate::tokens::Scope;

/// How such a stream is called.
const EVENTS_TYPE: &str = "text/event-stream";

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfChanges {
    since: Option<String>,
    wait: Option<u64>,
    collections: Option<String>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    give: Give,
}

/// `GET /changes`: those after `since`, or the first that come within `wait` seconds; or, for who
/// accepts events, all that come.
pub(super) async fn changes(
    State(service): State<Service>,
    Extension(asker): Extension<Asker>,
    Asked(asked): Asked<OfChanges>,
    headers: HeaderMap,
) -> Answer {
    let collections = asked.collections.as_deref().map(names);
    let wanted = Wanted { collections, prefix: asked.prefix, give: asked.give };
    let since = position(asked.since.as_deref())?;
    if !wants_events(&headers) {
        let wait = Duration::from_secs(asked.wait.unwrap_or(0).min(MAX_HTTP_WAIT_S));
        return poll(service, since, wanted, wait).await;
    }
    if asked.wait.is_some() {
        return Err(Refusal::malformed("events come whenever there are any: leave out `wait`"));
    }
    // Where the stream was cut off that this one goes on with.
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    let since = match last.filter(|id| !id.is_empty()) {
        Some(id) => position(Some(id))?,
        None => since,
    };
    events(service, asker, since, wanted)
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok());
    let kinds = accepted.unwrap_or_default().split(',');
    kinds
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .any(|kind| kind == EVENTS_TYPE)
}

fn names(text: &str) -> BTreeSet<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}

/// From the oldest on if nothing is said.
pub(super) fn position(since: Option<&str>) -> Answer<Option<Position>> {
    match since {
        None => Ok(Some(Position::default())),
        Some("now") => Ok(None),
        Some(text) => text.parse().map(|n| Some(Position(n))).map_err(|_| {
            Refusal::malformed(
                "`since` is a position that an earlier answer gave as `next`, or `now`",
            )
        }),
    }
}

async fn poll(
    service: Service,
    mut since: Option<Position>,
    wanted: Wanted,
    wait: Duration,
) -> Answer {
    let deadline = Instant::now() + wait;
    let _room = service.follower_room()?;
    let (mut commits, mut stopping) = (service.commits(), service.stopping());
    loop {
        commits.borrow_and_update();
        let follower = Follower::new(service.store(), since, wanted.clone(), Pages::Whole);
        let page = read(&service, follower, MAX_HTTP_PAGE).await.1?;
        since = Some(Position(page.next));
        let over = Instant::now() >= deadline || *stopping.borrow();
        if !page.changes.is_empty() || (over && !page.more) {
            return Ok(Json(page).into_response());
        }
        if page.more {
            continue;
        }
        tokio::select! {
            // Whether time is up or not is seen above.
            _ = timeout_at(deadline, commits.changed()) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// Reads on for a follower, beside the async threads.
pub(super) async fn read(
    service: &Service,
    mut follower: Follower,
    most: usize,
) -> (Follower, Result<FeedPage>) {
    let _room = service.feed_read().await;
    let reading = tokio::task::spawn_blocking(move || {
        let page = follower.page(most, Duration::ZERO);
        (follower, page)
    });
    // A panic of it is one of ours, and ends this answer as well.
    reading.await.expect("reading changes does not panic")
}

fn events(service: Service, asker: Asker, since: Option<Position>, wanted: Wanted) -> Answer {
    let room = service.follower_room()?;
    let (sender, receiver) = mpsc::channel(1);
    let follower = Follower::new(service.store(), since, wanted, Pages::Parts);
    tokio::spawn(async move {
        let _room = room;
        follow(&service, &asker, follower, &sender).await;
    });
    let headers = [(header::CONTENT_TYPE, EVENTS_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(Pieces(receiver))).into_response())
}

/// Sends what comes, until nobody takes it, nobody may, or the node stops.
async fn follow(
    service: &Service,
    asker: &Asker,
    mut follower: Follower,
    sender: &mpsc::Sender<Bytes>,
) {
    let (mut commits, mut stopping) = (service.commits(), service.stopping());
    let heartbeat = Duration::from_secs(HTTP_HEARTBEAT_S);
    let mut told = follower.position().0;
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
        let (read_on, page) = read(service, follower, FEED_PIECE_CHANGES).await;
        follower = read_on;
        match page {
            Ok(page) => {
                if let Some(last) = page.changes.last() {
                    told = last.position();
                }
                text = page.changes.iter().fold(text, |mut text, change| {
                    let data = serde_json::to_string(change).expect("a shape is JSON");
                    push(&mut text, change.position(), "change", &data);
                    text
                });
                if page.more || !text.is_empty() {
                    continue;
                }
            }
            Err(err) if err.kind() == ErrorKind::NotFound => {
                follower.restart();
                told = follower.position().0;
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
                told = told.max(follower.position().0);
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

//! The change feed as a long poll.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use littoral::Position;
use littoral::limits::MAX_HTTP_WAIT_S;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::failure::{Answer, Asked, Refusal};
use super::json::Json;
use super::service::Service;
use crate::shape::ChangesPage;
use crate::target::Target;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfChanges {
    since: Option<String>,
    #[serde(default)]
    wait: u64,
}

/// `GET /changes`: those after `since`, or the first that come within `wait` seconds.
///
/// Whoever waits holds no thread: a commit wakes it, and it looks again.
pub(super) async fn changes(
    State(service): State<Service>,
    Asked(asked): Asked<OfChanges>,
) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(asked.wait.min(MAX_HTTP_WAIT_S));
    let bell = Arc::new(Notify::new());
    let ringer = Arc::clone(&bell);
    let _subscription = service.store().on_commit(move || ringer.notify_one());
    let mut since = position(asked.since.as_deref())?;
    let mut stopping = service.stopping();
    loop {
        let page = service.call(move |local| local.changes(since, Duration::ZERO)).await?;
        since = Some(Position(page.next));
        if !page.changes.is_empty() || Instant::now() >= deadline || *stopping.borrow() {
            return Ok(answer(page));
        }
        tokio::select! {
            // Whether time is up or not is seen above.
            _ = timeout_at(deadline, bell.notified()) => {}
            _ = stopping.changed() => {}
        }
    }
}

fn answer(page: ChangesPage) -> axum::response::Response {
    Json(page).into_response()
}

/// From the oldest on if nothing is said.
fn position(since: Option<&str>) -> Answer<Option<Position>> {
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

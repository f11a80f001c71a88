//! `GET /changes`: the change feed, as a long poll and as Server-Sent Events.
//!
//! Both are pulled from the log by [`crate::feed`], as [`follow`](super::follow) says.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use littoral::limits::{FEED_PIECE_CHANGES, MAX_HTTP_PAGE};
use littoral::{Position, Result};
use serde::Deserialize;

use super::failure::{Answer, Asked, Refusal};
use super::follow::{Patience, Piece, Source, Way, stream, way};
use super::guard::Asker;
use super::json::Json;
use super::service::Service;
use crate::feed::{FeedPage, Follower, Give, Pages, Wanted};

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
    match way(&headers, asked.wait)? {
        Way::Poll(wait) => poll(service, since, wanted, wait).await,
        Way::Stream(last) => {
            let since = match last {
                Some(id) => position(Some(&id))?,
                None => since,
            };
            let follower = Follower::new(service.store(), since, wanted, Pages::Parts);
            stream(service, asker, follower)
        }
    }
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
    let _room = service.follower_room()?;
    let mut patience = Patience::new(&service, wait);
    loop {
        patience.look();
        let follower = Follower::new(service.store(), since, wanted.clone(), Pages::Whole);
        let page = read(&service, follower, MAX_HTTP_PAGE).await.1?;
        since = Some(Position(page.next));
        if !page.changes.is_empty() || (patience.is_over() && !page.more) {
            return Ok(Json(page).into_response());
        }
        if !page.more {
            patience.wait().await;
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

impl Source for Follower {
    fn position(&self) -> u64 {
        Follower::position(self).0
    }

    fn read(&mut self) -> Result<Piece> {
        let page = self.page(FEED_PIECE_CHANGES, Duration::ZERO)?;
        let told = page.changes.iter().map(|change| {
            let data = serde_json::to_string(change).expect("a shape is JSON");
            (change.position(), "change", data)
        });
        Ok(Piece { told: told.collect(), more: page.more })
    }

    fn restart(&mut self) {
        Follower::restart(self);
    }
}

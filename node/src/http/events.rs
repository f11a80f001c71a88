//! `GET /events`: what happened to the store and its node, as a long poll and as a stream.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use littoral::limits::FEED_PIECE_CHANGES;
use littoral::{Result, Store};
use serde::Deserialize;
use serde_json::json;

use super::failure::{Answer, Asked, Refusal};
use super::follow::{Patience, Piece, Source, Way, stream, way};
use super::guard::Asker;
use super::json::Json;
use super::service::Service;
use crate::events::{EventsPage, WantedEvents};

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfEvents {
    since: Option<String>,
    kind: Option<String>,
    limit: Option<usize>,
    wait: Option<u64>,
}

/// `GET /events`: those after `since`, or the first that come within `wait` seconds; or, for who
/// accepts events, all that come.
pub(super) async fn events(
    State(service): State<Service>,
    Extension(asker): Extension<Asker>,
    Asked(asked): Asked<OfEvents>,
    headers: HeaderMap,
) -> Answer {
    let mut wanted = WantedEvents::of(asked.kind.as_deref())?;
    wanted.limit = asked.limit;
    match way(&headers, asked.wait)? {
        Way::Poll(wait) => {
            let since = number(&service, asked.since.as_deref()).await?;
            poll(service, since, wanted, wait).await
        }
        Way::Stream(last) => {
            let since = last.as_deref().or(asked.since.as_deref());
            let reader = Reader::begin(&service, since, wanted).await?;
            stream(service, asker, reader)
        }
    }
}

/// From the oldest on if nothing is said.
async fn number(service: &Service, since: Option<&str>) -> Answer<u64> {
    match since {
        None => Ok(0),
        Some("now") => service.call(|local| local.store().last_event()).await,
        Some(text) => text.parse().map_err(|_| {
            Refusal::malformed(
                "`since` is a number that an earlier answer gave as `next`, or `now`",
            )
        }),
    }
}

async fn poll(service: Service, mut since: u64, wanted: WantedEvents, wait: Duration) -> Answer {
    let _room = service.follower_room()?;
    let mut patience = Patience::new(&service, wait);
    let mut missed = false;
    loop {
        patience.look();
        let wanted = wanted.clone();
        let mut page = service.call(move |local| wanted.after(local.store(), since)).await?;
        missed |= page.missed;
        if !page.events.is_empty() || patience.is_over() {
            page.missed = missed;
            return Ok(Json(page).into_response());
        }
        since = page.next;
        patience.wait().await;
    }
}

/// Somebody who follows.
pub(super) struct Reader {
    store: Store,
    wanted: WantedEvents,
    at: u64,
}

impl Reader {
    /// From after a number on, or from the next.
    pub(super) async fn begin(
        service: &Service,
        since: Option<&str>,
        wanted: WantedEvents,
    ) -> Answer<Reader> {
        let at = number(service, since).await?;
        let wanted = WantedEvents { limit: Some(FEED_PIECE_CHANGES), ..wanted };
        Ok(Reader { store: service.store().clone(), wanted, at })
    }

    /// What there is, as much as one piece holds.
    fn page(&mut self) -> Result<EventsPage> {
        let page = self.wanted.after(&self.store, self.at)?;
        self.at = page.next;
        Ok(page)
    }

    /// The same, beside the async threads.
    pub(super) async fn read(mut self, service: &Service) -> (Reader, Result<EventsPage>) {
        let _room = service.feed_read().await;
        let reading = tokio::task::spawn_blocking(move || {
            let page = self.page();
            (self, page)
        });
        // A panic of it is one of ours, and ends this answer as well.
        reading.await.expect("reading events does not panic")
    }
}

impl Source for Reader {
    fn position(&self) -> u64 {
        self.at
    }

    fn read(&mut self) -> Result<Piece> {
        let before = self.at;
        let page = self.page()?;
        let mut told = Vec::new();
        if page.missed {
            told.push((before, "missed", json!({"since": before}).to_string()));
        }
        told.extend(page.events.iter().map(|event| {
            let data = serde_json::to_string(event).expect("a shape is JSON");
            (event.number, "event", data)
        }));
        Ok(Piece { told, more: page.more })
    }

    fn restart(&mut self) {
        // What reads a table never has to.
    }
}

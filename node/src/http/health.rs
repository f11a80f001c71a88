//! Whether the node is there, and whether it can do its work.
//!
//! *Live* is whoever answers: restart it if it does not. *Ready* is who can take a write: the
//! store takes a commit in time, and there is room on the disk. Links that are down and clocks
//! that are wrong are told too, and make nobody unready: a node is there to work without others.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use littoral::net::LinkState;
use tokio::time::timeout;

use super::batch::Nothing;
use super::failure::{Answer, Asked};
use super::json::Json;
use super::service::Service;
use crate::disk::{self, LITTLE_BYTES};
use crate::output::bytes;
use crate::shape::{CheckShape, Health, Live};

/// How long the store may take to commit what is queued.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);
/// With less than this the next segment of the log has no room.
const NO_ROOM_BYTES: u64 = 32 << 20;
/// By how much another clock may be ahead.
const CLOCK_LEAD_MS: u64 = 5_000;

/// How good something is; the worst decides about the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Ok,
    Degraded,
    Failing,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Grade::Ok => "ok",
            Grade::Degraded => "degraded",
            Grade::Failing => "failing",
        }
    }
}

/// What was found of one thing, and a sentence about it.
type Found = (&'static str, Grade, String);

/// `GET /health/live`: asks nothing of the store, which may be slow.
pub(super) async fn live(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Response {
    Json(Live {
        status: Grade::Ok.word().to_owned(),
        node: service.store().node_id().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
    .into_response()
}

/// `GET /health`, `GET /health/ready`: 503 if the node can't do its work.
pub(super) async fn ready(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    let store = timeout(COMMIT_WITHIN, service.call(|local| local.store().flush())).await;
    let store = match store {
        Ok(Ok(())) => (Grade::Ok, "it takes writes".to_owned()),
        Ok(Err(refusal)) => (Grade::Failing, refusal.message().to_owned()),
        Err(_) => {
            (Grade::Failing, format!("it took longer than {} s to commit", COMMIT_WITHIN.as_secs()))
        }
    };
    let mut found = vec![("store", store.0, store.1)];
    found.extend(of_disk(&service));
    found.push(of_links(&service));
    found.push(of_clock(&service));
    let worst = found.iter().map(|(_, grade, _)| *grade).max().unwrap_or(Grade::Ok);
    let checks = found.into_iter().map(|(check, grade, what)| CheckShape {
        check: check.to_owned(),
        status: grade.word().to_owned(),
        what,
    });
    let health = Health {
        status: worst.word().to_owned(),
        node: service.store().node_id().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        checks: checks.collect(),
    };
    let status = match worst {
        Grade::Failing => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    Ok((status, Json(health)).into_response())
}

fn of_disk(service: &Service) -> Option<Found> {
    let free = disk::room(service.store().path()?)?.free_bytes;
    let grade = match free {
        0..NO_ROOM_BYTES => Grade::Failing,
        NO_ROOM_BYTES..LITTLE_BYTES => Grade::Degraded,
        _ => Grade::Ok,
    };
    Some(("disk", grade, format!("{} are free", bytes(free))))
}

fn of_links(service: &Service) -> Found {
    let links = service.network().links();
    let wanted = |state: &LinkState| {
        !matches!(state, LinkState::Closed | LinkState::Paused | LinkState::Standby)
    };
    let wanted = links.iter().filter(|link| wanted(&link.state)).count();
    let up = links.iter().filter(|link| link.state == LinkState::Connected).count();
    if !service.network().is_online() {
        let what = "all are cut for now, as was asked for; POST /links/resume takes them up again";
        return ("links", Grade::Degraded, what.to_owned());
    }
    let grade = if up < wanted { Grade::Degraded } else { Grade::Ok };
    ("links", grade, format!("{up} of {wanted} are connected"))
}

fn of_clock(service: &Service) -> Found {
    let lead_ms = service.store().clock_lead_ms();
    let (grade, what) = match lead_ms > CLOCK_LEAD_MS {
        false => (Grade::Ok, "no other clock is ahead".to_owned()),
        true => (
            Grade::Degraded,
            format!(
                "the author of the last transaction that came was {} s ahead: one of the two clocks is wrong",
                lead_ms / 1000
            ),
        ),
    };
    ("clock", grade, what)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use littoral::Store;
    use littoral::net::{Network, NetworkOptions};
    use tokio::sync::watch;

    use super::*;
    use crate::http::{Exposure, Facts, Guard};
    use crate::tokens::{Secret, Tokens};

    #[test]
    fn a_store_that_takes_no_writes_is_live_and_not_ready() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (runtime, dir) = (runtime.unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path()).unwrap();
        let network = Arc::new(Network::start(&store, NetworkOptions::default()).unwrap());
        let (own, tokens) = (Secret::from("own"), Tokens::of(dir.path()));
        let guard = Arc::new(Guard { exposure: Exposure::Loopback, tokens, own });
        let (_stop, stopping) = watch::channel(false);
        let facts = Facts { network, listen: None, guard, stopping };
        let service = Service::new(store.clone(), facts);
        let ask = || {
            let ready = runtime.block_on(ready(State(service.clone()), Asked(Nothing {})));
            let live = runtime.block_on(live(State(service.clone()), Asked(Nothing {})));
            (ready.unwrap().status().as_u16(), live.status().as_u16())
        };
        let room = disk::room(dir.path()).is_none_or(|room| room.free_bytes >= NO_ROOM_BYTES);
        assert_eq!(ask(), (if room { 200 } else { 503 }, 200));
        store.close().unwrap();
        assert_eq!(ask(), (503, 200));
    }
}

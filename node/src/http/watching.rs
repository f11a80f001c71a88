//! Being told how the node is, over a WebSocket: when that has changed, and not too often.
//!
//! Nothing wakes whoever waits when a link goes or a peer falls behind, so it is looked at now and
//! then, and at each commit; who is told seldom or takes slowly is told the latest, and nothing of
//! what was between. All sockets share one look ([`Service::seen`]).

use std::sync::Arc;
use std::time::Duration;

use littoral::limits::{MIN_WS_STATUS_MS, WS_STATUS_LOOK_MS};
use tokio::time::Instant;

use super::failure::Answer;
use super::service::{Seen, Service};
use crate::shape::Status;

/// Somebody who is told.
pub(super) struct Watch {
    /// How often, at most.
    every: Duration,
    /// What was told last, and when.
    told: Option<(Instant, Arc<Seen>)>,
    look_at: Instant,
}

impl Watch {
    /// From now on, at most every so many milliseconds.
    pub(super) fn new(every_ms: Option<u64>) -> Watch {
        let every_ms = every_ms.unwrap_or(WS_STATUS_LOOK_MS).max(MIN_WS_STATUS_MS);
        let every = Duration::from_millis(every_ms.min(u64::from(u32::MAX)));
        Watch { every, told: None, look_at: Instant::now() }
    }

    /// When to look again, if nothing happens before.
    pub(super) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// How the node is, if that is news and may be told by now.
    pub(super) async fn look(&mut self, service: &Service) -> Answer<Option<Box<Status>>> {
        let now = Instant::now();
        let due = self.told.as_ref().map_or(now, |(at, _)| *at + self.every);
        if now < due {
            self.look_at = due;
            return Ok(None);
        }
        let often = self.every.min(Duration::from_millis(WS_STATUS_LOOK_MS));
        let seen = service.seen(often / 2).await?;
        self.look_at = Instant::now() + often;
        if self.told.as_ref().is_some_and(|(_, told)| told.sign == seen.sign) {
            return Ok(None);
        }
        let status = Box::new(seen.status.clone());
        self.told = Some((Instant::now(), seen));
        Ok(Some(status))
    }
}

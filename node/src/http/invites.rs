//! Tickets, and what became of them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use littoral::txn::ticket::InviteId;

use super::body::JsonText;
use super::failure::{Answer, Named};
use super::json::Json;
use super::service::Service;
use crate::here;
use crate::invites::{InvitesShape, Inviting};
use crate::target::Target;

/// `POST /invites`
pub(super) async fn invite(State(service): State<Service>, body: JsonText) -> Answer {
    let mut asked: Inviting = body.parse()?;
    if asked.addresses.is_empty() {
        let listening = service.listening();
        let reached = listening.into_iter().flat_map(here::reached_at);
        asked.addresses = reached.map(|at| at.to_string()).collect();
        asked.addresses.truncate(littoral::limits::MAX_TICKET_ADDRESSES);
    }
    service.call(move |local| Ok(Json(local.invite(&asked)?).into_response())).await
}

/// `GET /invites`
pub(super) async fn list(State(service): State<Service>) -> Answer {
    service.call(|local| Ok(Json(InvitesShape { invites: local.invites()? }).into_response())).await
}

/// `DELETE /invites/{id}`
pub(super) async fn revoke(State(service): State<Service>, Named(id): Named<String>) -> Answer {
    let id: InviteId = id.parse()?;
    service
        .call(move |local| {
            local.revoke_invite(&id)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

//! Tickets, and what became of them.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use littoral::txn::ticket::InviteId;

use super::body::JsonText;
use super::failure::{Answer, Named};
use super::json::Json;
use super::service::Service;
use crate::invites::{InvitesShape, Inviting};
use crate::target::Target;

/// `POST /invites`
pub(super) async fn invite(State(service): State<Service>, body: JsonText) -> Answer {
    let mut asked: Inviting = body.parse()?;
    if asked.addresses.is_empty() {
        asked.addresses = service.reached_at().iter().map(SocketAddr::to_string).collect();
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

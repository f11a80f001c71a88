//! Who belongs, and what each may do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use littoral::NodeId;

use super::body::JsonText;
use super::failure::{Answer, Named};
use super::json::Json;
use super::service::Service;
use crate::members::{Founding, Granting, Joining, rights};
use crate::target::Target;

/// `GET /roster`
pub(super) async fn roster(State(service): State<Service>) -> Answer {
    service.call(|local| Ok(Json(local.roster()?).into_response())).await
}

/// `POST /roster`
pub(super) async fn found(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Founding = body.parse()?;
    service
        .call(move |local| {
            local.found_roster(&asked.name)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `POST /roster/join`
pub(super) async fn join(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Joining = body.parse()?;
    let founder: NodeId = asked.founder.parse()?;
    service
        .call(move |local| {
            local.join_roster(founder)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `PUT /roster/{key}`
pub(super) async fn grant(
    State(service): State<Service>,
    Named(key): Named<String>,
    body: JsonText,
) -> Answer {
    let node: NodeId = key.parse()?;
    let asked: Granting = body.parse()?;
    let rights = rights(&asked.rights)?;
    service
        .call(move |local| {
            local.grant(node, asked.name.as_deref(), &rights)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `DELETE /roster/{key}`
pub(super) async fn revoke(State(service): State<Service>, Named(key): Named<String>) -> Answer {
    let node: NodeId = key.parse()?;
    service
        .call(move |local| {
            local.revoke(node)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

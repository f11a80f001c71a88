//! What the node says about itself and its store.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::body::JsonText;
use super::failure::Answer;
use super::json::Json;
use super::service::Service;
use crate::links;
use crate::shape::{Collections, Findings, Leaving, State as StateShape};
use crate::target::{Target, collections as collections_of};

/// `GET /status`
pub(super) async fn status(State(service): State<Service>) -> Answer {
    let this = service.clone();
    service.call(move |_| Ok(Json(this.status()?).into_response())).await
}

/// `GET /doctor`
pub(super) async fn doctor(State(service): State<Service>) -> Answer {
    let this = service.clone();
    service
        .call(move |local| {
            let mut findings = links::findings(&this.running());
            findings.extend(local.doctor()?);
            Ok(Json(Findings { findings }).into_response())
        })
        .await
}

/// `POST /collections/{c}/leave`
pub(super) async fn leave(
    State(service): State<Service>,
    Path(collection): Path<String>,
    body: JsonText,
) -> Answer {
    let asked: Leaving = body.parse()?;
    service
        .call(move |local| {
            local.leave(&collection, asked.force)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `GET /state`
pub(super) async fn state(State(service): State<Service>) -> Answer {
    service
        .call(|local| {
            let node = local.store().node_id().to_string();
            Ok(Json(StateShape { node, collections: local.state()? }).into_response())
        })
        .await
}

/// `GET /collections`
pub(super) async fn collections(State(service): State<Service>) -> Answer {
    service
        .call(|local| {
            let collections = collections_of(local.store())?;
            Ok(Json(Collections { collections }).into_response())
        })
        .await
}

//! Conflicts and their resolution.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use littoral::Path;
use littoral::value::parse_field;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::JsonText;
use super::failure::{Answer, Asked, Named, Refusal};
use super::json::Json;
use super::service::Service;
use crate::conflict_log::{Noting, OfLog};
use crate::shape::Conflicts;
use crate::target::{Choice, Target};

/// Which conflicts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfConflicts {
    collection: Option<String>,
    id: Option<String>,
}

/// A resolution.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    collection: String,
    id: String,
    path: String,
    take: Option<usize>,
    value: Option<Box<RawValue>>,
}

/// `GET /conflicts`
pub(super) async fn list(
    State(service): State<Service>,
    Asked(asked): Asked<OfConflicts>,
) -> Answer {
    if asked.id.is_some() && asked.collection.is_none() {
        return Err(Refusal::malformed("an id needs its collection"));
    }
    service
        .call(move |local| {
            let conflicts = local.conflicts(asked.collection.as_deref(), asked.id.as_deref())?;
            Ok(Json(Conflicts { conflicts }).into_response())
        })
        .await
}

/// `POST /conflicts/resolve`
pub(super) async fn resolve(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Resolution = body.parse()?;
    let path = Path::parse_pointer(&asked.path)?;
    let choice = match (asked.take, asked.value) {
        (Some(number), None) => Choice::Take(number),
        (None, Some(value)) => Choice::Value(parse_field(value.get().as_bytes(), &path)?),
        _ => return Err(Refusal::malformed("a resolution has either `take` or `value`")),
    };
    service
        .call(move |local| {
            local.resolve(&asked.collection, &asked.id, &path, &choice)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `GET /conflicts/log`
pub(super) async fn log(State(service): State<Service>, Asked(asked): Asked<OfLog>) -> Answer {
    if asked.id.is_some() && asked.collection.is_none() {
        return Err(Refusal::malformed("an id needs its collection"));
    }
    service.call(move |local| Ok(Json(local.conflict_log(&asked)?).into_response())).await
}

/// The conflict in the path.
#[derive(Debug, Deserialize)]
pub(super) struct OfNumber {
    number: u64,
}

/// `POST /conflicts/log/{number}/notes`
pub(super) async fn note(
    State(service): State<Service>,
    Named(of): Named<OfNumber>,
    body: JsonText,
) -> Answer {
    let noting: Noting = body.parse()?;
    service
        .call(move |local| Ok(Json(local.note_conflict(of.number, &noting)?).into_response()))
        .await
}

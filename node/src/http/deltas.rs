//! `POST /deltas`: operations over several documents and collections, in one transaction, and once for
//! each key of a client.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use littoral::store::WrittenOnce;
use littoral::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::Nothing;
use super::body::JsonText;
use super::failure::{Answer, Asked, Refusal};
use super::json::Json;
use super::service::Service;
use crate::ops::{self, Op};
use crate::shape::why_not;
use crate::target::Local;

/// What says that an answer is that of an earlier request.
const REPLAYED: &str = "idempotent-replayed";

/// Operations, and perhaps a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deltas {
    ops: Box<RawValue>,
    key: Option<String>,
}

/// What came of them.
#[derive(Debug, Serialize)]
struct Written {
    /// Changes from there on are those that came after.
    position: u64,
}

/// `POST /deltas`
pub(super) async fn deltas(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let asked: Deltas = body.parse()?;
    let key = match (key_of(&headers)?, asked.key) {
        (Some(one), Some(other)) if one != other => {
            return Err(Refusal::malformed(
                "the header `Idempotency-Key` and the field `key` say different keys",
            ));
        }
        (header, field) => header.or(field),
    };
    let written = service.call(move |local| write(local, key.as_deref(), &asked.ops)).await?;
    let position = written.position.0;
    let answer = Json(Written { position }).into_response();
    Ok(match written.repeated {
        true => replayed(answer),
        false => answer,
    })
}

fn replayed(mut answer: Response) -> Response {
    answer.headers_mut().insert(REPLAYED, "true".parse().expect("a word is a header's value"));
    answer
}

fn key_of(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().map_err(|_| Refusal::malformed("`Idempotency-Key` is not ASCII"))?;
    Ok(Some(key.to_owned()))
}

/// Writes operations in one transaction; under a key once.
pub(super) fn write(local: &Local, key: Option<&str>, ops: &RawValue) -> Result<WrittenOnce> {
    let read: Vec<Op> = serde_json::from_str(ops.get()).map_err(|err| {
        Error::new(
            littoral::ErrorKind::InvalidInput,
            format!("the operations are not of a form that is known: {}", why_not(&err)),
        )
    })?;
    let changes = ops::changes(read)?;
    match key {
        Some(key) => local.write_all_once(key, ops.get().as_bytes(), &changes),
        None => {
            local.write_all(&changes)?;
            Ok(WrittenOnce { position: local.store().position(), repeated: false })
        }
    }
}

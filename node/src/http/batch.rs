//! Many documents at once.

use axum::extract::State;
use axum::response::IntoResponse;
use littoral::value::parse_fields;
use littoral::{Error, Fields, Result};
use serde::Deserialize;

use super::body::{JsonText, Layout};
use super::failure::{Answer, Asked, Named, Refusal};
use super::json::Json;
use super::service::Service;
use crate::shape::{BatchWritten, Entry};
use crate::target::Target;

/// No parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST /collections/{c}/docs`: puts all of them in one transaction, or none.
pub(super) async fn put_all(
    State(service): State<Service>,
    Named(collection): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    body: JsonText,
) -> Answer {
    let entries = entries(&body)?;
    service
        .call(move |local| {
            let documents = entries.iter().enumerate().map(parse).collect::<Result<Vec<_>>>()?;
            local.put_all(&collection, &documents)?;
            Ok(Json(BatchWritten { written: documents.len() }).into_response())
        })
        .await
}

fn entries(body: &JsonText) -> Answer<Vec<Entry>> {
    if body.layout == Layout::One {
        return body.parse();
    }
    serde_json::Deserializer::from_slice(&body.bytes)
        .into_iter()
        .collect::<std::result::Result<_, _>>()
        .map_err(|err| {
            Refusal::malformed(format!("the body is not one {{\"id\", \"doc\"}} a line: {err}"))
        })
}

fn parse((at, entry): (usize, &Entry)) -> Result<(String, Fields)> {
    let fields = parse_fields(entry.doc.get().as_bytes());
    let placed = |err: Error| Error::new(err.kind(), format!("document {}: {err}", at + 1));
    Ok((entry.id.clone(), fields.map_err(placed)?))
}

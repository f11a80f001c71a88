//! Bodies of requests: JSON, or MessagePack that becomes JSON; said to be that, and not too large.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use littoral::limits::MAX_HTTP_BODY_BYTES;
use littoral::{Error, ErrorKind};
use serde::de::DeserializeOwned;

use super::failure::{Answer, Refusal};
use super::forms::PACKED_TYPES;
use super::msgpack;
use crate::shape::why_not;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json(Layout),
    Packed,
}

/// How the JSON of a body is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON text.
    One,
    /// One JSON text a line.
    Lines,
}

/// The text of a body.
pub(super) struct JsonText {
    /// Its bytes; nobody has looked at them yet.
    pub(super) bytes: Vec<u8>,
    /// How it is laid out.
    pub(super) layout: Layout,
}

impl JsonText {
    /// What the body says, for bodies of a fixed shape.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Answer<T> {
        serde_json::from_slice(&self.bytes).map_err(|err| {
            Refusal::malformed(format!("the body is not of the form asked for: {}", why_not(&err)))
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Answer<JsonText> {
        let kind = kind(request.headers())?;
        let bytes = to_bytes(request.into_body(), MAX_HTTP_BODY_BYTES).await.map_err(|_| {
            Refusal::from(Error::new(
                ErrorKind::LimitExceeded,
                format!("the body has over {MAX_HTTP_BODY_BYTES} bytes, or its sender broke off; send smaller parts"),
            ))
        })?;
        match kind {
            Kind::Json(layout) => Ok(JsonText { bytes: bytes.into(), layout }),
            Kind::Packed => Ok(JsonText { bytes: msgpack::to_json(&bytes)?, layout: Layout::One }),
        }
    }
}

/// A page of a browser can't send these types without being allowed to, and nobody allows it.
fn kind(headers: &HeaderMap) -> Answer<Kind> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/json" => Ok(Kind::Json(Layout::One)),
        "application/x-ndjson" | "application/jsonl" => Ok(Kind::Json(Layout::Lines)),
        packed if PACKED_TYPES.contains(&packed) => Ok(Kind::Packed),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "a write is JSON or MessagePack and says so: Content-Type: application/json, or application/msgpack",
        )),
    }
}

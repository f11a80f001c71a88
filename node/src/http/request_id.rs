//! The name of a request: what its sender, its answer, its error and its line in the log call it.
//!
//! A sender, or a proxy before the node, may name it by `X-Request-Id`; a name that could do harm in
//! a log, or none, is replaced. The line in the log tells the route and not the path: ids of
//! documents are content.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use littoral::limits::MAX_REQUEST_ID_BYTES;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::trace;

/// The header that carries it, both ways.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static NAME: String;
}

/// What the request is called that is being answered; none outside of one.
pub(super) fn current() -> Option<String> {
    NAME.try_with(Clone::clone).ok()
}

/// Names a request, and notes it when it is answered.
pub(super) async fn name(request: Request, next: Next) -> Response {
    let name = given(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let span = trace::request(&method, route, &name, request.headers());
    let begun = Instant::now();
    let mut answer = NAME.scope(name.clone(), next.run(request)).instrument(span.clone()).await;
    let status = answer.status().as_u16();
    trace::answered(&span, status);
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    if answer.status().is_server_error() {
        tracing::warn!(request = name, %method, route, status, ms, "answered");
    } else {
        tracing::info!(request = name, %method, route, status, ms, "answered");
    }
    let value = HeaderValue::from_str(&name).expect("a name is plain text");
    answer.headers_mut().insert(HEADER, value);
    answer
}

/// What its sender calls it, if it may be called so.
fn given(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(HEADER)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
    let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&name.len()) && name.bytes().all(plain);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_do_harm_are_not_taken() {
        let taken = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(name.as_bytes()).unwrap());
            given(&headers).is_some()
        };
        let longest = "x".repeat(MAX_REQUEST_ID_BYTES);
        for name in ["a", "0198c1e0-1b2c-7000-8000-0123456789ab", "Root=1-67:x/y+z==", &longest] {
            assert!(taken(name), "{name}");
        }
        let long = "x".repeat(MAX_REQUEST_ID_BYTES + 1);
        for name in ["", "a b", "a\tb", "\"", "{}", "ö", &long] {
            assert!(!taken(name), "{name}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }
}

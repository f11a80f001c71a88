//! The form of answers: JSON, or MessagePack for who prefers it, errors included.
//!
//! Handlers answer in JSON; here that becomes MessagePack ([`msgpack`]). What a route answers in at
//! all, its description says ([`openapi`]): who accepts none of that is told so before anything is
//! done. Answers line by line, events and bytes are what they are, whatever is preferred.

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use littoral::{Error, ErrorKind};

use super::failure::{Answer, Refusal};
use super::{msgpack, openapi};

/// What MessagePack is called, the newest name first.
pub(super) const PACKED_TYPES: [&str; 3] =
    ["application/msgpack", "application/vnd.msgpack", "application/x-msgpack"];
const JSON_TYPE: &str = "application/json";

/// Answers in the form that is asked for.
pub(super) async fn answer(request: Request, next: Next) -> Response {
    let wanted = Wanted::of(request.headers());
    let packed = wanted.packed();
    let answered = match check(&request, &wanted, packed) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    if !is_json(&answered) {
        return answered;
    }
    let formed = match packed {
        Some(name) => pack(answered, name).await,
        None => Ok(answered),
    };
    let mut formed = formed.unwrap_or_else(Refusal::into_response);
    formed.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    formed
}

fn check(request: &Request, wanted: &Wanted, packed: Option<&str>) -> Answer<()> {
    let Some(route) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
    let kinds = openapi::kinds(route.as_str(), request.method());
    let is_wanted =
        |kind: &str| wanted.quality(kind) > 0.0 || (packed.is_some() && kind == JSON_TYPE);
    if kinds.is_empty() || kinds.iter().any(|kind| is_wanted(kind)) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::NOT_ACCEPTABLE,
        "not-acceptable",
        format!("this is answered as {}, and `Accept` names none of it", kinds.join(" or ")),
    ))
}

fn is_json(answer: &Response) -> bool {
    answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == JSON_TYPE)
}

async fn pack(answer: Response, name: &'static str) -> Answer {
    let (mut head, body) = answer.into_parts();
    let broken = || Error::new(ErrorKind::Internal, "the answer broke off; please report it");
    // All of it is in memory already.
    let text = to_bytes(body, usize::MAX).await.map_err(|_| broken())?;
    let packing = tokio::task::spawn_blocking(move || match text.is_empty() {
        // As that of HEAD.
        true => Vec::new(),
        false => msgpack::from_json(&text),
    });
    let packed = packing.await.map_err(|_| broken())?;
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(name));
    Ok(Response::from_parts(head, Body::from(packed)))
}

/// What is accepted, as `Accept` says it: kinds or ranges of kinds, and how much each is wanted.
struct Wanted(Vec<(String, f32)>);

impl Wanted {
    fn of(headers: &HeaderMap) -> Wanted {
        let lists = headers.get_all(header::ACCEPT).into_iter();
        let ranges = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
        let range = |range: &str| {
            let (kind, rest) = range.split_once(';').unwrap_or((range, ""));
            let quality = rest.split(';').find_map(|part| {
                let (name, value) = part.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok())?
            });
            (kind.trim().to_ascii_lowercase(), quality.unwrap_or(1.0))
        };
        Wanted(ranges.map(range).filter(|(kind, _)| !kind.is_empty()).collect())
    }

    /// How much a kind is wanted: by its name, or else by the narrowest range that has it.
    fn quality(&self, kind: &str) -> f32 {
        let group = kind.split('/').next().unwrap_or_default();
        let of = |range: &str| self.0.iter().find(|(name, _)| name == range).map(|(_, q)| *q);
        let said = of(kind).or_else(|| of(&format!("{group}/*"))).or_else(|| of("*/*"));
        said.unwrap_or(if self.0.is_empty() { 1.0 } else { 0.0 })
    }

    /// The name of MessagePack by which it is asked for, if it is, and no less than JSON.
    fn packed(&self) -> Option<&'static str> {
        let place = |kind: &str| self.0.iter().position(|(name, _)| name == kind);
        let name_of = |(at, (name, quality)): (usize, &(String, f32))| {
            let known = PACKED_TYPES.into_iter().find(|known| known == name)?;
            Some((at, known, *quality))
        };
        let named = self.0.iter().enumerate().filter_map(name_of);
        let (at, name, quality) =
            named.reduce(|best, next| if next.2 > best.2 { next } else { best })?;
        let json = self.quality(JSON_TYPE);
        let first = place(JSON_TYPE).is_none_or(|json| at < json);
        (quality > json || (quality > 0.0 && quality == json && first)).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &'static str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Wanted::of(&headers)
    }

    #[test]
    fn who_prefers_it_gets_it_by_the_name_that_was_used() {
        for (accept, name) in [
            ("application/msgpack", Some("application/msgpack")),
            ("Application/Vnd.Msgpack;v=1", Some("application/vnd.msgpack")),
            ("application/x-msgpack, */*;q=0.1", Some("application/x-msgpack")),
            ("application/msgpack, application/json", Some("application/msgpack")),
            ("application/json, application/msgpack", None),
            ("application/json;q=0.5, application/msgpack", Some("application/msgpack")),
            ("application/json, application/msgpack;q=0.9", None),
            ("*/*, application/msgpack", Some("application/msgpack")),
            ("application/msgpack;q=0", None),
            ("*/*", None),
            ("application/*", None),
            ("", None),
            ("text/html", None),
        ] {
            assert_eq!(wanted(accept).packed(), name, "{accept}");
        }
        assert_eq!(Wanted::of(&HeaderMap::new()).packed(), None);
    }

    #[test]
    fn kinds_are_wanted_by_name_before_range() {
        let some = wanted("text/*;q=0.3, text/plain;version=0.0.4;q=0.5, */*;q=0.1, image/png;q=0");
        for (kind, quality) in
            [("text/plain", 0.5), ("text/html", 0.3), (JSON_TYPE, 0.1), ("image/png", 0.0)]
        {
            assert_eq!(some.quality(kind), quality, "{kind}");
        }
        assert_eq!(wanted("text/html").quality(JSON_TYPE), 0.0);
        assert_eq!(wanted("").quality(JSON_TYPE), 1.0);
    }
}

//! Errors as answers, and requests taken apart with errors of that form.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use littoral::{Error, ErrorKind};
use serde::de::DeserializeOwned;

use super::json::Json;
use super::request_id;
use crate::kinds;
use crate::shape::{ErrorShape, Failure};

/// An error, on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// What handlers give.
pub(super) type Answer<T = Response> = Result<T, Refusal>;

impl Refusal {
    /// A refusal by HTTP's own rules, with a status that no kind of error has.
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    /// Its code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What it says.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Its status.
    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The request is malformed.
    pub(super) fn malformed(message: impl Into<String>) -> Refusal {
        Refusal::from(Error::new(ErrorKind::InvalidInput, message))
    }
}

impl From<Error> for Refusal {
    fn from(err: Error) -> Refusal {
        let message = err.message().to_owned();
        Refusal::new(kinds::status(err.kind()), kinds::code(err.kind()), message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let request_id = request_id::current();
        let error = ErrorShape { code: self.code.to_owned(), message: self.message, request_id };
        let mut answer = (self.status, Json(Failure { error })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        answer
    }
}

/// For paths that lead nowhere.
pub(super) async fn no_route() -> Refusal {
    nothing_here()
}

/// The same, for a handler that finds nothing.
pub(super) fn nothing_here() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no-such-route",
        "there is nothing at this path; documents are at /collections/NAME/docs/ID",
    )
}

/// For methods that a path does not have.
pub(super) async fn no_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-such-method",
        "this path does not take this method",
    )
}

/// The query of a request; a parameter that is not known is an error.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Asked<T>> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(asked)| Asked(asked))
            .map_err(|err| Refusal::malformed(format!("in the query: {}", err.body_text())))
    }
}

/// The names in the path of a request, decoded.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Named<T>> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(named)| Named(named))
            .map_err(|err| Refusal::malformed(format!("in the path: {}", err.body_text())))
    }
}

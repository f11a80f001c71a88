//! Answers as JSON, with a line end: people look at them in terminals.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer of JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = serde_json::to_vec(&self.0).expect("a shape is JSON");
        text.push(b'\n');
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}

//! Cutting all links of the node for now, and taking them up again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::batch::Nothing;
use super::body::JsonText;
use super::failure::{Answer, Asked, Refusal};
use super::service::Service;

/// `POST /links/pause`: when it answers, all is cut.
pub(super) async fn pause(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
    body: JsonText,
) -> Answer {
    switch(&service, &body, false).await
}

/// `POST /links/resume`
pub(super) async fn resume(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
    body: JsonText,
) -> Answer {
    switch(&service, &body, true).await
}

async fn switch(service: &Service, body: &JsonText, online: bool) -> Answer {
    // Nothing is to be said; but what is sent by mistake is no switch.
    if !matches!(body.bytes.trim_ascii(), b"" | b"{}") {
        return Err(Refusal::malformed("this takes no body, or {}"));
    }
    let network = service.network();
    service
        .call(move |_| {
            network.set_online(online);
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

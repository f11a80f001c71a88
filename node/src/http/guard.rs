//! Who may ask: on loopback every program of this machine, but no web page.
//!
//! There is no authentication yet, so the node answers on loopback only, unless it is told
//! otherwise. A page in a browser can reach loopback too, in two ways: a name that it points
//! to 127.0.0.1, which the Host header betrays; and a "simple" cross-origin request, whose
//! Origin header betrays it and which can't carry a JSON content type ([`super::body`]).

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use littoral::{Error, ErrorKind, Result};

use super::failure::{Answer, Refusal};

/// Who can reach the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// Programs of this machine.
    Loopback,
    /// Whoever reaches the address: somebody said that this is wanted.
    Unprotected,
}

/// Whether the node may answer at `address`, and to whom.
pub(crate) fn check_address(address: SocketAddr, unprotected: bool) -> Result<Exposure> {
    match (address.ip().is_loopback(), unprotected) {
        (true, _) => Ok(Exposure::Loopback),
        (false, true) => Ok(Exposure::Unprotected),
        (false, false) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "HTTP has no authentication yet (it arrives in a later version), so {address} would let \
                 everybody who reaches it read and write; listen on 127.0.0.1, or say --http-unprotected"
            ),
        )),
    }
}

/// Lets a request in, or not.
pub(super) async fn admit(
    State(exposure): State<Exposure>,
    request: Request,
    next: Next,
) -> Answer<Response> {
    if exposure == Exposure::Loopback {
        check_headers(request.headers())?;
    }
    let mut answer = next.run(request).await;
    let nosniff = header::HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(answer)
}

fn check_headers(headers: &HeaderMap) -> Answer<()> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if !text(header::HOST).is_some_and(is_local) {
        return Err(foreign("the Host header names another machine than this one"));
    }
    let origin = text(header::ORIGIN);
    let local = |origin: &str| origin.split_once("://").is_some_and(|(_, host)| is_local(host));
    if origin.is_some_and(|origin| !local(origin)) {
        return Err(foreign("pages of other origins may not ask"));
    }
    Ok(())
}

/// Whether `host`, perhaps with a port, is this machine by a name that no DNS can give away.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name.to_ascii_lowercase().as_str(), "localhost" | "127.0.0.1" | "[::1]")
}

fn foreign(why: &str) -> Refusal {
    let message = format!("{why}; ask as localhost, 127.0.0.1 or [::1]");
    Refusal::new(StatusCode::FORBIDDEN, "foreign", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_local() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8090", "[::1]", "[::1]:8090"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com:80", "127.0.0.1.nip.io", "::1", "a:b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn other_addresses_need_a_word() {
        let address = |text: &str| text.parse().unwrap();
        assert_eq!(check_address(address("127.0.0.1:1"), false).unwrap(), Exposure::Loopback);
        assert_eq!(check_address(address("[::1]:1"), true).unwrap(), Exposure::Loopback);
        assert!(check_address(address("0.0.0.0:1"), false).is_err());
        assert_eq!(check_address(address("0.0.0.0:1"), true).unwrap(), Exposure::Unprotected);
    }
}

//! Who may ask, and what.
//!
//! On loopback every program of this machine may, without a token, but no web page: a page in a
//! browser can reach loopback in two ways, by a name that it points to 127.0.0.1, which the Host
//! header betrays; and by a "simple" cross-origin request, whose Origin header betrays it and which
//! can't carry a JSON content type ([`super::body`]).
//!
//! On any other address every request needs a bearer token ([`crate::tokens`]), and pages of
//! other origins are refused there, too. Nothing is ever allowed across origins: there are no CORS
//! headers. A token that is given counts on loopback as well.
//!
//! **What is open**: the files of the pages ([`super::web`]). A browser that opens an address sends
//! no token, and they are the same for everybody: the page asks its user for one.
//!
//! **WebSockets of a browser** carry no header of a page's choice but the list of protocols that it
//! speaks. There a token may stand, and only for `/ws`: `littoral, littoral.token.TOKEN`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::failure::{Answer, Refusal};
use crate::tokens::{Scope, Secret, Tokens};

/// The protocol that is spoken over a WebSocket, for who names protocols.
pub(super) const WS_PROTOCOL: &str = "littoral";
/// And what stands before a token that is given as one.
const WS_TOKEN: &str = "littoral.token.";

/// Who can reach the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// Programs of this machine.
    Loopback,
    /// Whoever reaches the address.
    Network,
}

impl Exposure {
    /// That of an address.
    pub(crate) fn of(address: SocketAddr) -> Exposure {
        match address.ip().is_loopback() {
            true => Exposure::Loopback,
            false => Exposure::Network,
        }
    }
}

/// Decides about requests.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Who can reach the node.
    pub(crate) exposure: Exposure,
    /// The tokens of its store.
    pub(crate) tokens: Tokens,
    /// What commands on this machine find in `node.json`, and nobody else.
    pub(crate) own: Secret,
}

/// Lets a request in, or not.
pub(super) async fn admit(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    guard.check(request.method(), request.uri().path(), request.headers())?;
    let token = given(request.uri().path(), request.headers());
    request.extensions_mut().insert(Asker { guard, token });
    let mut answer = next.run(request).await;
    let nosniff = header::HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(answer)
}

/// Who has asked: for answers that go on, and what is asked on the way.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    guard: Arc<Guard>,
    token: Option<HeaderValue>,
}

impl Asker {
    /// Whether what needs this right is still allowed: a token may have been taken back since.
    pub(super) fn may(&self, wanted: Scope) -> Answer<()> {
        self.guard.allow(self.token.as_ref(), wanted)
    }
}

impl Guard {
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer<()> {
        check_origin(self.exposure, headers)?;
        match is_open(method, path) {
            true => Ok(()),
            false => self.allow(given(path, headers).as_ref(), wanted(method, path)),
        }
    }

    fn allow(&self, token: Option<&HeaderValue>, wanted: Scope) -> Answer<()> {
        match self.given(token)? {
            Some(scope) if scope >= wanted => Ok(()),
            Some(scope) => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!(
                    "this token's right is '{}', and the request needs '{}'",
                    scope.word(),
                    wanted.word()
                ),
            )),
            None if self.exposure == Exposure::Loopback => Ok(()),
            None => Err(unauthorized(
                "a token is required: `littoral token create` makes one; send it as Authorization: Bearer TOKEN",
            )),
        }
    }

    /// What the token of a request allows, if it has one.
    fn given(&self, token: Option<&HeaderValue>) -> Answer<Option<Scope>> {
        let Some(value) = token else { return Ok(None) };
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| Secret::from(token.trim()))
        });
        let token =
            token.ok_or_else(|| unauthorized("send a token as Authorization: Bearer TOKEN"))?;
        if token.is(&self.own) {
            return Ok(Some(Scope::Admin));
        }
        let scope = self.tokens.rights(&token);
        scope.map(Some).ok_or_else(|| unauthorized("this token is unknown, or was taken back"))
    }
}

/// What is the same for everybody, and says nothing of the store.
fn is_open(method: &Method, path: &str) -> bool {
    let file = path == "/" || path == "/notes" || path.starts_with("/web/");
    file && matches!(*method, Method::GET | Method::HEAD)
}

/// The token of a request, as an Authorization header has it.
fn given(path: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    let token = headers.get(header::AUTHORIZATION);
    if token.is_some() || path != "/ws" {
        return token.cloned();
    }
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let mut names =
        protocols.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    let token = names.find_map(|name| name.trim().strip_prefix(WS_TOKEN))?;
    HeaderValue::from_str(&format!("Bearer {token}")).ok()
}

/// What a request needs.
fn wanted(method: &Method, path: &str) -> Scope {
    let is_admin = || {
        let first = path.split('/').nth(1).unwrap_or_default();
        matches!(
            first,
            "roster"
                | "invites"
                | "links"
                | "checkpoint"
                | "checkpoints"
                | "rollback"
                | "hold"
                | "resume"
                | "revert"
                | "undo"
        ) || path.ends_with("/leave")
    };
    match *method {
        // It has also whom the store trusts and where they are, and takes the disk's room.
        Method::GET | Method::HEAD if path == "/backup" => Scope::Admin,
        Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
        // It only reads, and takes what the other has in its body.
        Method::POST if path == "/bundle/create" => Scope::Read,
        _ if is_admin() => Scope::Admin,
        _ => Scope::Write,
    }
}

fn check_origin(exposure: Exposure, headers: &HeaderMap) -> Answer<()> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (host, origin) = (text(header::HOST), text(header::ORIGIN));
    let of_origin = origin.map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    match exposure {
        Exposure::Loopback if !host.is_some_and(is_local) => Err(foreign(
            "the Host header names another machine than this one; ask as localhost, 127.0.0.1 or [::1]",
        )),
        Exposure::Loopback if of_origin.is_some_and(|origin| !is_local(origin)) => {
            Err(foreign("pages of other origins may not ask; ask as localhost, 127.0.0.1 or [::1]"))
        }
        Exposure::Network if of_origin.is_some_and(|origin| Some(origin) != host) => {
            Err(foreign("pages of other origins may not ask"))
        }
        _ => Ok(()),
    }
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
    Refusal::new(StatusCode::FORBIDDEN, "foreign", why)
}

fn unauthorized(why: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", why)
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

    fn check(exposure: Exposure, request: (&Method, &str), headers: &[(&str, &str)]) -> u16 {
        let dir = tempfile::tempdir().unwrap();
        let (own, tokens) = (Secret::from("own"), Tokens::of(dir.path()));
        let made = [Scope::Read, Scope::Write].map(|s| (s, tokens.create(s.word(), s).unwrap().1));
        let guard = Guard { exposure, tokens, own };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let mut value = (*value).to_owned();
            for (scope, secret) in &made {
                value = value.replace(&format!("<{}>", scope.word()), secret.reveal());
            }
            let name: header::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        guard.check(request.0, request.1, &map).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:8090");
    const THERE: (&str, &str) = ("host", "node.example:8090");
    const READ: (&Method, &str) = (&Method::GET, "/collections/notes/docs");
    const WRITE: (&Method, &str) = (&Method::PUT, "/collections/notes/docs/n");
    const RULE: (&Method, &str) = (&Method::PUT, "/roster/KEY");

    #[test]
    fn loopback_is_for_programs_of_this_machine() {
        let check = |request, headers: &[_]| check(Exposure::Loopback, request, headers);
        for request in [READ, WRITE, RULE] {
            assert_eq!(check(request, &[HERE]), 200);
            assert_eq!(check(request, &[HERE, ("origin", "http://localhost:8090")]), 200);
            assert_eq!(check(request, &[HERE, ("origin", "https://example.com")]), 403);
            assert_eq!(check(request, &[HERE, ("origin", "null")]), 403);
            assert_eq!(check(request, &[THERE]), 403);
            assert_eq!(check(request, &[]), 403);
        }
        assert_eq!(check(WRITE, &[HERE, ("authorization", "Bearer <read>")]), 403);
        assert_eq!(check(READ, &[HERE, ("authorization", "Bearer nobody")]), 401);
    }

    #[test]
    fn elsewhere_everything_needs_a_token_with_the_right_to_it() {
        let check = |request, headers: &[_]| check(Exposure::Network, request, headers);
        for request in [READ, WRITE, RULE, (&Method::GET, "/health"), (&Method::OPTIONS, "/")] {
            assert_eq!(check(request, &[THERE]), 401);
            assert_eq!(check(request, &[THERE, ("authorization", "Bearer <none>")]), 401);
            assert_eq!(check(request, &[THERE, ("authorization", "Basic <write>")]), 401);
            assert_eq!(check(request, &[THERE, ("authorization", "bearer own")]), 200);
        }
        let with = |token: &'static str| [THERE, ("authorization", token)];
        assert_eq!(check(READ, &with("Bearer <read>")), 200);
        assert_eq!(check((&Method::POST, "/bundle/create"), &with("Bearer <read>")), 200);
        for method in [&Method::GET, &Method::HEAD] {
            assert_eq!(check((method, "/backup"), &with("Bearer <write>")), 403);
            assert_eq!(check((method, "/backup"), &with("Bearer own")), 200);
        }
        assert_eq!(check(WRITE, &with("Bearer <read>")), 403);
        assert_eq!(check(WRITE, &with("Bearer <write>")), 200);
        assert_eq!(check(RULE, &with("Bearer <write>")), 403);
        assert_eq!(check((&Method::POST, "/collections/c/leave"), &with("Bearer <write>")), 403);
        for tape in [
            (&Method::POST, "/checkpoint"),
            (&Method::DELETE, "/checkpoints/monday"),
            (&Method::POST, "/rollback"),
            (&Method::POST, "/hold"),
            (&Method::POST, "/resume"),
            (&Method::POST, "/revert"),
            (&Method::POST, "/undo"),
        ] {
            assert_eq!(check(tape, &with("Bearer <write>")), 403);
        }
        assert_eq!(check((&Method::POST, "/links/pause"), &with("Bearer <write>")), 403);
        assert_eq!(check((&Method::GET, "/checkpoints"), &with("Bearer <read>")), 200);
        assert_eq!(check((&Method::GET, "/diff"), &with("Bearer <read>")), 200);
        let page = [THERE, ("authorization", "Bearer <write>"), ("origin", "https://example.com")];
        assert_eq!(check(WRITE, &page), 403);
        let own =
            [THERE, ("authorization", "Bearer <write>"), ("origin", "http://node.example:8090")];
        assert_eq!(check(WRITE, &own), 200);
    }

    #[test]
    fn the_files_of_the_pages_are_open_and_nothing_else_is() {
        let check = |request, headers: &[_]| check(Exposure::Network, request, headers);
        for path in ["/", "/notes", "/web/dashboard.js"] {
            assert_eq!(check((&Method::GET, path), &[THERE]), 200, "{path}");
            assert_eq!(check((&Method::HEAD, path), &[THERE]), 200, "{path}");
            assert_eq!(check((&Method::POST, path), &[THERE]), 401, "{path}");
        }
        for path in ["/notes/", "/web", "/status", "/api", "//", "/x/web/a", ""] {
            assert_eq!(check((&Method::GET, path), &[THERE]), 401, "{path}");
        }
    }

    #[test]
    fn a_websocket_may_carry_its_token_as_a_protocol_and_nothing_else_may() {
        let check = |request, headers: &[_]| check(Exposure::Network, request, headers);
        let with = |list: &'static str| [THERE, ("sec-websocket-protocol", list)];
        let ws = (&Method::GET, "/ws");
        assert_eq!(check(ws, &with("littoral, littoral.token.<read>")), 200);
        for none in ["littoral", "littoral.token.", "littoral.token.nobody", "<read>"] {
            assert_eq!(check(ws, &with(none)), 401, "{none}");
        }
        assert_eq!(check(READ, &with("littoral, littoral.token.<read>")), 401);
        let both = [with("littoral.token.<read>")[1], THERE, ("authorization", "Bearer nobody")];
        assert_eq!(check(ws, &both), 401);
    }
}

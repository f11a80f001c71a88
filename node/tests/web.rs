//! The pages, the switch that cuts all links, and what a browser needs of the node.
//! What they look like and do is tried in a real browser: `tests/browser/run`.

mod common;

use std::net::TcpStream;

use common::{Running, Sandbox, agent, ask, until};
use serde_json::{Value as Json, json};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

fn page(url: &str, known: Option<&str>) -> ureq::http::Response<ureq::Body> {
    let mut request = agent().get(url);
    if let Some(tag) = known {
        request = request.header("if-none-match", tag);
    }
    request.call().unwrap()
}

#[test]
fn pages_come_with_a_policy_that_lets_nothing_else_run() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    for (path, kind) in
        [("/", "text/html"), ("/notes", "text/html"), ("/web/api.js", "text/javascript")]
    {
        let url = format!("{}{path}", node.url);
        let answer = page(&url, None);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(header("content-type").starts_with(kind), "{path}");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "frame-ancestors 'none'",
            "trusted-types 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let tag = header("etag");
        assert_eq!(page(&url, Some(&tag)).status(), 304, "{path}");
    }
    let none = ask("GET", &format!("{}/web/none.js", node.url), &[], None);
    assert_eq!((none.status, &none.body["error"]["code"]), (404, &json!("no-such-route")));
}

#[test]
fn where_others_reach_the_node_the_pages_are_open_and_what_they_show_is_not() {
    let here = Sandbox::new();
    let mut node = here.run("a", &["--http", "0.0.0.0:0"]);
    node.url = node.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(page(&format!("{}/", node.url), None).status(), 200);
    for path in ["/status", "/health", "/collections", "/api"] {
        assert_eq!(ask("GET", &format!("{}{path}", node.url), &[], None).status, 401, "{path}");
    }
    // A browser's WebSocket has no other place for a token than its protocols.
    let made = here.json(&["--data", "a", "token", "create", "--name", "tab"]);
    let token = made["token"].as_str().unwrap();
    assert!(socket(&node, "littoral").is_none());
    assert!(socket(&node, "littoral, littoral.token.littoral_wrong").is_none());
    let (mut socket, chosen) = socket(&node, &format!("littoral, littoral.token.{token}")).unwrap();
    assert_eq!(chosen.as_deref(), Some("littoral"), "and the token is not said back");
    socket
        .send(Message::text(json!({"subscribe": {"id": 1, "since": "now"}}).to_string()))
        .unwrap();
    let said = socket.read().unwrap().into_text().unwrap();
    assert_eq!(serde_json::from_str::<Json>(&said).unwrap(), json!({"subscribed": {"id": 1}}));
}

type Socket = tungstenite::WebSocket<TcpStream>;

fn socket(node: &Running, protocols: &str) -> Option<(Socket, Option<String>)> {
    let host = node.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(host).unwrap();
    let mut request = format!("ws://{host}/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let (socket, answer) = tungstenite::client(request, stream).ok()?;
    let chosen = answer.headers().get("sec-websocket-protocol");
    Some((socket, chosen.map(|name| name.to_str().unwrap().to_owned())))
}

#[test]
fn all_links_are_cut_and_taken_up_again() {
    let here = Sandbox::new();
    let key = |data: &str| here.json(&["--data", data, "id"])["key"].as_str().unwrap().to_owned();
    let hub = here.run("hub", &["--peer", &key("far")]);
    let far = here.run("far", &["--peer", &hub.address()]);
    let put = |node: &Running, id: &str| {
        let url = format!("{}/collections/notes/docs/{id}", node.url);
        assert_eq!(ask("PUT", &url, &[], Some("{}")).status, 200);
    };
    let has = |node: &Running, id: &str| {
        let url = format!("{}/collections/notes/docs/{id}", node.url);
        ask("GET", &url, &[], None).status == 200
    };
    let running = |node: &Running| {
        ask("GET", &format!("{}/status", node.url), &[], None).body["running"].clone()
    };
    let standing = |node: &Running| running(node)["standings"][0].clone();
    put(&far, "first");
    until("they are linked", || has(&hub, "first") && standing(&hub)["lag_transactions"] == 0);
    assert!(running(&hub)["links"][0]["connected_since"].is_string());

    let switch = |what: &str, body: Option<&str>| {
        ask("POST", &format!("{}/links/{what}", far.url), &[], body).status
    };
    assert_eq!(switch("pause", Some(r#"{"for": 5}"#)), 400, "what is not known is refused");
    assert_eq!(switch("pause", None), 415, "and what a page elsewhere could send");
    assert_eq!(running(&far)["offline"], false);
    assert_eq!(switch("pause", Some("{}")), 204);
    assert_eq!(switch("pause", Some("")), 204, "twice is harmless");
    assert_eq!(running(&far)["offline"], true);
    put(&far, "second");
    put(&hub, "third");
    let health = ask("GET", &format!("{}/health", far.url), &[], None).body;
    assert_eq!(health["status"], "degraded");
    until("the hub knows that it is behind, without a link", || {
        let told = standing(&hub);
        running(&hub)["links"] == json!([])
            && told["lag_transactions"] == 1
            && told["live"] == false
    });
    assert!(!has(&hub, "second") && !has(&far, "third"));
    assert_eq!(switch("resume", Some("{}")), 204);
    until("they are in sync again", || has(&hub, "second") && has(&far, "third"));
    assert_eq!(running(&far)["offline"], false);
}

//! The HTTP service, on the built binary.

mod common;

use common::{Sandbox, ask};
use serde_json::json;

#[test]
fn documents_are_read_and_written_with_their_versions() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let url = format!("{}/collections/notes/docs/n1", node.url);
    let put = ask("PUT", &url, &[], Some(r#"{"a": 1, "b": 1}"#));
    assert_eq!(put.status, 200);
    let read = ask("GET", &url, &[], None);
    assert_eq!((read.status, &read.body), (200, &json!({"a": 1, "b": 1})));
    assert_eq!(read.etag, put.etag);
    let tag = read.etag.unwrap();
    ask("PATCH", &url, &[], Some(r#"{"b": 2}"#));
    // The stale copy is merged: what it did not see stays.
    let merged = ask("PUT", &url, &[("if-match", &tag)], Some(r#"{"a": 9, "b": 1}"#));
    assert_eq!((merged.status, &merged.body), (200, &json!({"a": 9, "b": 2})));
    // Unless it must not be stale.
    let strict = format!("{url}?strict=true");
    let refused = ask("PUT", &strict, &[("if-match", &tag)], Some("{}"));
    assert_eq!((refused.status, &refused.body["error"]["code"]), (412, &json!("version-mismatch")));
    let fresh = merged.etag.unwrap();
    assert_eq!(ask("PUT", &strict, &[("if-match", &fresh)], Some(r#"{"a": 1}"#)).status, 200);
    assert_eq!(ask("PATCH", &url, &[("if-match", &fresh)], Some("{}")).status, 412);
    assert_eq!(ask("PUT", &url, &[("if-none-match", "*")], Some("{}")).status, 412);
    assert_eq!(ask("GET", &format!("{url}?path=/a"), &[], None).body, json!(1));
    assert_eq!(ask("DELETE", &format!("{url}?path=/a"), &[], None).body, json!({}));
    assert_eq!(ask("DELETE", &url, &[], None).status, 204);
    assert_eq!(ask("GET", &url, &[], None).body["error"]["code"], "not-found");
    assert_eq!(ask("DELETE", &url, &[], None).status, 404);
    assert_eq!(ask("PUT", &url, &[("if-match", "*")], Some("{}")).status, 412);
    assert_eq!(ask("PUT", &url, &[("if-none-match", "*")], Some("{}")).status, 200);
}

#[test]
fn fields_batches_and_pages() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let docs = format!("{}/collections/notes/docs", node.url);
    let add = |what: &str, body: &str| ask("POST", &format!("{docs}/n1/{what}"), &[], Some(body));
    assert_eq!(add("add", r#"{"path": "/tags", "value": "x"}"#).status, 200);
    assert_eq!(add("increment", r#"{"path": "/views", "by": 5}"#).status, 200);
    let both = json!({"tags": {"$set": ["x"]}, "views": {"$counter": 6}});
    assert_eq!(add("increment", r#"{"path": "/views"}"#).body, both);
    assert_eq!(add("remove", r#"{"path": "/tags", "value": "x"}"#).status, 200);
    assert_eq!(add("remove", r#"{"path": "/tags", "value": "x"}"#).status, 404);
    assert_eq!(add("add", r#"{"path": "/views", "value": "x"}"#).status, 409);
    assert_eq!(add("add", r#"{"path": "/tags"}"#).status, 400);
    let many = r#"[{"id": "a/ö", "doc": {}}, {"id": "b", "doc": {"n": 1}}]"#;
    assert_eq!(ask("POST", &docs, &[], Some(many)).body["written"], 2);
    let lines = "{\"id\": \"c\", \"doc\": {}}\n{\"id\": \"d\", \"doc\": {\"x\": 1, \"x\": 2}}";
    let ndjson = [("content-type", "application/x-ndjson")];
    let refused = ask("POST", &docs, &ndjson, Some(lines));
    assert_eq!(refused.status, 400);
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("document 2"));
    let page = ask("GET", &format!("{docs}?limit=2&versions=true"), &[], None).body;
    let id = |at: usize| page["documents"][at]["id"].as_str().unwrap().to_owned();
    assert_eq!([id(0), id(1)], ["a/ö", "b"]);
    assert!(page["documents"][0]["version"].is_string());
    let rest = ask("GET", &format!("{docs}?after=b"), &[], None).body;
    assert_eq!((&rest["documents"][0]["id"], &rest["next"]), (&json!("n1"), &json!(null)));
    assert_eq!(ask("GET", &format!("{docs}/a%2F%C3%B6"), &[], None).status, 200);
    assert_eq!(ask("GET", &format!("{docs}?id=a/%C3%B6"), &[], None).status, 200);
    assert_eq!(ask("PUT", &format!("{docs}?id=.."), &[], Some("{}")).status, 200);
    assert_eq!(ask("GET", &format!("{docs}?id="), &[], None).status, 400);
    assert_eq!(ask("GET", &format!("{docs}?id={}", "x".repeat(513)), &[], None).status, 413);
    assert_eq!(ask("GET", &format!("{docs}?prefx=a"), &[], None).status, 400);
    // What would be passed over is refused.
    assert_eq!(ask("GET", &format!("{docs}?path=/n"), &[], None).status, 400);
    assert_eq!(ask("GET", &format!("{docs}?id=b&path=/n"), &[], None).body, json!(1));
    assert_eq!(ask("GET", &format!("{docs}?id=b&limit=1"), &[], None).status, 400);
    let nowhere = format!("{}/collections/.hidden/docs", node.url);
    assert_eq!(ask("POST", &nowhere, &[], Some("[]")).status, 400);
}

#[test]
fn the_node_tells_about_itself() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let get = |path: &str| ask("GET", &format!("{}{path}", node.url), &[], None);
    let health = get("/health").body;
    assert_eq!(&health["node"], &json!(node.key));
    here.ok(&["--url", &node.url, "put", "notes", "n1", "{}"]);
    assert_eq!(get("/collections").body["collections"][0]["name"], "notes");
    assert_eq!(get("/state").body["collections"][0]["documents"], 1);
    assert_eq!(get("/status").body["running"]["listen"], node.listen);
    assert_eq!(get("/conflicts").body["conflicts"], json!([]));
    let changes = get("/changes").body;
    assert_eq!(changes["changes"][0]["id"], "n1");
    assert_eq!(get("/nowhere").body["error"]["code"], "no-such-route");
    let posted = ask("POST", &format!("{}/health", node.url), &[], Some("{}"));
    assert_eq!((posted.status, &posted.body["error"]["code"]), (405, &json!("no-such-method")));
    assert_eq!(get("/collections/none/docs").body["error"]["code"], "unknown-collection");
}

#[test]
fn a_node_without_its_peer_works_and_says_so() {
    let here = Sandbox::new();
    let away = here.json(&["--data", "b", "id"])["key"].as_str().unwrap().to_owned();
    let node = here.run("a", &["--peer", &format!("127.0.0.1:1#{away}")]);
    let get = |path: &str| ask("GET", &format!("{}{path}", node.url), &[], None);
    let found = |health: &common::Answer| -> Vec<(String, String)> {
        let text = |of: &serde_json::Value| of.as_str().unwrap().to_owned();
        let checks = health.body["checks"].as_array().unwrap();
        checks.iter().map(|check| (text(&check["check"]), text(&check["status"]))).collect()
    };
    let health = get("/health");
    let status = |name: &str| found(&health).into_iter().find(|(of, _)| of == name).unwrap().1;
    assert_eq!((status("store"), status("clock")), ("ok".to_owned(), "ok".to_owned()));
    assert_eq!(status("links"), "degraded");
    // The machine of a test may have a full disk.
    assert_eq!(health.status, if status("disk") == "failing" { 503 } else { 200 });
    assert_eq!(get("/health/ready").status, health.status);
    let live = get("/health/live");
    assert_eq!((live.status, &live.body["node"]), (200, &json!(node.key)));
    assert_eq!(get("/health/live?deep=true").status, 400);
}

#[test]
fn the_node_describes_itself() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let described = ask("GET", &format!("{}/openapi.json", node.url), &[], None);
    assert_eq!(described.status, 200);
    assert!(described.body["openapi"].as_str().unwrap().starts_with("3.1."));
    for (path, kind) in
        [("", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")]
    {
        let page = common::agent().get(format!("{}/api{path}", node.url)).call().unwrap();
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with(kind));
        // Nothing is asked for from elsewhere.
        let text = page.into_body().read_to_string().unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
    }
}

#[test]
fn waiting_for_changes_ends_with_the_first() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let url = node.url.clone();
    let next = ask("GET", &format!("{url}/changes?since=now"), &[], None).body["next"].clone();
    let waiting = std::thread::spawn(move || {
        ask("GET", &format!("{url}/changes?since={next}&wait=60"), &[], None)
    });
    here.ok(&["--url", &node.url, "put", "notes", "n1", "{}"]);
    assert_eq!(waiting.join().unwrap().body["changes"][0]["id"], "n1");
}

#[test]
fn no_web_page_can_read_or_write() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let url = format!("{}/collections/notes/docs/n1", node.url);
    let code = |headers: &[(&str, &str)]| {
        let answer = ask("PUT", &url, headers, Some("{}"));
        (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(&[("host", "evil.example")]), (403, "foreign".to_owned()));
    assert_eq!(code(&[("origin", "http://evil.example")]), (403, "foreign".to_owned()));
    assert_eq!(code(&[("origin", "null")]), (403, "foreign".to_owned()));
    assert_eq!(code(&[("content-type", "text/plain")]), (415, "not-json".to_owned()));
    assert_eq!(code(&[("host", "localhost:1"), ("origin", "http://localhost:1")]).0, 200);
    assert_eq!(ask("GET", &url, &[("host", "evil.example")], None).status, 403);
}

#[test]
fn bodies_have_a_limit() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let url = format!("{}/collections/notes/docs/n1", node.url);
    let padded = |bytes: usize| "{\"a\": 1}".to_owned() + &" ".repeat(bytes - 8);
    let large = padded(littoral::limits::MAX_HTTP_BODY_BYTES + 1);
    // The node may close the connection before it has read all of it.
    if let Ok(answer) = common::try_ask("PUT", &url, &[], Some(&large)) {
        assert_eq!(answer.body["error"]["code"], "limit-exceeded");
    }
    assert_eq!(ask("GET", &url, &[], None).status, 404);
    let most = padded(littoral::limits::MAX_HTTP_BODY_BYTES);
    assert_eq!(ask("PUT", &url, &[], Some(&most)).status, 200);
}

#[test]
fn where_others_reach_the_node_a_token_opens_what_it_is_for() {
    let here = Sandbox::new();
    here.ok(&["--data", "a", "put", "notes", "n", r#"{"x": 1}"#]);
    let node = here.run("a", &["--http", "0.0.0.0:0"]);
    let url = node.url.replace("0.0.0.0", "127.0.0.1");
    let refused = ask("GET", &format!("{url}/health"), &[], None);
    assert_eq!(refused.status, 401);
    let made = here.json(&["--data", "a", "token", "create", "--name", "grafana"]);
    let token = made["token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let with = [("authorization", bearer.as_str())];
    assert_eq!(ask("GET", &format!("{url}/health"), &with, None).status, 200);
    let put = format!("{url}/collections/notes/docs/m");
    let refused = ask("PUT", &put, &with, Some("{}"));
    assert_eq!((refused.status, refused.body["error"]["code"].as_str()), (403, Some("forbidden")));
    // Commands of this machine need none, others say theirs.
    here.ok(&["--data", "a", "get", "notes", "n"]);
    here.fails(7, &["--url", &url, "get", "notes", "n"]);
    here.ok(&["--url", &url, "--token", token, "get", "notes", "n"]);
    here.fails(1, &["--url", &url, "--token", token, "put", "notes", "n", "{}"]);
    let writer = here.json(&["--data", "a", "token", "create", "--rights", "write"]);
    let writer = writer["token"].as_str().unwrap();
    here.ok(&["--url", &url, "--token", writer, "put", "notes", "n", "{}"]);
    assert!(here.ok(&["--data", "a", "token", "list"]).contains("grafana"));
    here.ok(&["--data", "a", "token", "revoke", "grafana"]);
    assert_eq!(ask("GET", &format!("{url}/health"), &with, None).status, 401);
    let kept = std::fs::read_to_string(here.path("a/http-tokens.json")).unwrap();
    assert!(!kept.contains(token) && !kept.contains(writer));
}

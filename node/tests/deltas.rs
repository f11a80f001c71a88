//! `POST /deltas`: over any documents, all or none, and once for each key.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Answer, Running, Sandbox, ask};
use serde_json::{Value as Json, json};

fn send(node: &Running, key: Option<&str>, ops: &Json) -> Answer {
    let headers: Vec<(&str, &str)> = key.into_iter().map(|key| ("idempotency-key", key)).collect();
    let body = json!({"ops": ops}).to_string();
    ask("POST", &format!("{}/deltas", node.url), &headers, Some(&body))
}

fn views(node: &Running) -> i64 {
    let url = format!("{}/collections/notes/docs/n1?path=/views", node.url);
    let answer = ask("GET", &url, &[], None);
    match answer.status {
        404 => 0,
        _ => answer.body["$counter"].as_i64().unwrap(),
    }
}

fn one_more() -> Json {
    json!([
        {"increment": {"collection": "notes", "id": "n1", "path": "/views"}},
        {"put": {"collection": "plans", "id": "p1", "doc": {"of": "n1"}}},
    ])
}

#[test]
fn operations_are_all_done_or_none_and_once_for_a_key() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let first = send(&node, Some("4711"), &one_more());
    assert_eq!(first.status, 200, "{}", first.body);
    let again = send(&node, Some("4711"), &one_more());
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(views(&node), 1);
    // The field says the same as the header.
    let body = json!({"ops": one_more(), "key": "4711"}).to_string();
    let url = format!("{}/deltas", node.url);
    assert_eq!(ask("POST", &url, &[], Some(&body)).body, first.body);
    let differ = ask("POST", &url, &[("idempotency-key", "1")], Some(&body));
    assert_eq!(differ.status, 400, "{}", differ.body);
    assert_eq!(views(&node), 1);
    // Without a key each is one.
    assert_eq!(send(&node, None, &one_more()).status, 200);
    assert_eq!(views(&node), 2);
    let other = json!([{"delete": {"collection": "notes", "id": "n1"}}]);
    let refused = send(&node, Some("4711"), &other);
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("invalid-input")));
    // One that fails does nothing at all, and leaves its key free.
    let half = json!([
        {"increment": {"collection": "notes", "id": "n1", "path": "/views"}},
        {"delete": {"collection": "notes", "id": "missing"}},
    ]);
    assert_eq!(send(&node, Some("half"), &half).status, 404);
    assert_eq!(views(&node), 2);
    assert_eq!(send(&node, Some("half"), &one_more()).status, 200);
    let too_long = send(&node, Some(&"k".repeat(129)), &one_more());
    assert_eq!((too_long.status, &too_long.body["error"]["code"]), (413, &json!("limit-exceeded")));
    let unknown = send(&node, None, &json!([{"set": {}}]));
    assert_eq!(unknown.status, 400, "{}", unknown.body);
    let since = first.body["position"].as_u64().unwrap();
    let after = ask("GET", &format!("{}/changes?since={since}", node.url), &[], None).body;
    // A document that is put as it is was not changed.
    assert_eq!(after["changes"].as_array().unwrap().len(), 2, "{after}");
}

/// The node is killed somewhere between the request and its answer, over and over.
#[test]
fn a_retry_after_the_node_was_killed_writes_once() {
    let here = Sandbox::new();
    for n in 0..6u64 {
        let node = here.run("a", &[]);
        let before = views(&node);
        let key = format!("key {n}");
        let host = node.url.strip_prefix("http://").unwrap().to_owned();
        let body = json!({"ops": one_more()}).to_string();
        let mut stream = TcpStream::connect(&host).unwrap();
        write!(
            stream,
            "POST /deltas HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // Nobody reads the answer; the kill meets the write before, in or after its commit.
        let end = Instant::now() + Duration::from_micros(700 * n);
        while Instant::now() < end {}
        node.kill();
        let node = here.run("a", &[]);
        let first = send(&node, Some(&key), &one_more());
        assert_eq!(first.status, 200, "{}", first.body);
        assert_eq!(views(&node), before + 1);
        assert_eq!(send(&node, Some(&key), &one_more()).body, first.body);
        assert_eq!(views(&node), before + 1);
        node.stop();
    }
}

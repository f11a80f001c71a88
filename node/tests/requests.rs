//! What all requests over HTTP have in common: their names, and how answers are packed.

mod common;

use std::io::Read;

use common::{Running, Sandbox, agent};
use serde_json::Value as Json;

fn get(node: &Running, path: &str, headers: &[(&str, &str)]) -> (ureq::http::HeaderMap, Vec<u8>) {
    let mut request = agent().get(format!("{}{path}", node.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.call().unwrap();
    let headers = answer.headers().clone();
    (headers, answer.into_body().read_to_vec().unwrap())
}

fn named(headers: &ureq::http::HeaderMap) -> String {
    headers["x-request-id"].to_str().unwrap().to_owned()
}

#[test]
fn a_request_has_one_name_in_its_answer_its_error_and_the_log() {
    let here = Sandbox::new();
    let log = std::fs::File::create(here.path("log")).unwrap();
    let node = here.run_with("a", &[], |command| {
        command.env("LITTORAL_LOG", "info").env("NO_COLOR", "1").stderr(log);
    });
    let (headers, _) = get(&node, "/health/live", &[("x-request-id", "tide-7")]);
    assert_eq!(named(&headers), "tide-7");
    let (headers, body) = get(&node, "/collections/notes/docs/private-id", &[]);
    let made = named(&headers);
    assert_eq!(made.len(), 36, "{made}");
    let body: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["request_id"], made.as_str());
    let (again, _) = get(&node, "/nowhere", &[("x-request-id", "not a name")]);
    assert!(named(&again) != made && named(&again).len() == 36);
    // Also where the guard turns somebody away.
    let (turned, body) = get(&node, "/status", &[("host", "evil.example")]);
    let body: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["request_id"], named(&turned).as_str());
    node.stop();
    let log = std::fs::read_to_string(here.path("log")).unwrap();
    let line = log.lines().find(|line| line.contains(&made)).expect("it is in the log");
    assert!(line.contains("/collections/{collection}/docs/{id}"), "{line}");
    assert!(line.contains("404") && line.contains("GET"), "{line}");
    assert!(log.contains("tide-7") && !log.contains("not a name"));
    assert!(!log.contains("private-id"), "ids are content");
}

#[test]
fn large_answers_are_packed_for_those_who_take_it() {
    let here = Sandbox::new();
    let long = format!(r#"{{"text": "{}"}}"#, "tide ".repeat(20_000));
    here.ok(&["--data", "a", "put", "notes", "n", &long]);
    here.ok(&["--data", "a", "put", "notes", "small", "{}"]);
    let node = here.run("a", &[]);
    let path = "/collections/notes/docs/n";
    let (plain, text) = get(&node, path, &[]);
    assert!(!plain.contains_key("content-encoding"));
    let gzip = [("accept-encoding", "gzip")];
    let (packed, bytes) = get(&node, path, &gzip);
    assert_eq!(packed["content-encoding"], "gzip");
    assert_eq!(packed["etag"], plain["etag"], "it is the version of the document");
    let vary: Vec<_> = packed.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept", "accept-encoding"], "a cache keeps each form apart");
    assert!(bytes.len() < text.len() / 10, "{} of {}", bytes.len(), text.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    let (small, _) = get(&node, "/collections/notes/docs/small", &gzip);
    assert!(!small.contains_key("content-encoding"));
    let (bundle, _) = get(&node, "/bundle/have", &gzip);
    assert!(!bundle.contains_key("content-encoding"));
    let (refused, _) = get(&node, path, &[("accept-encoding", "gzip;q=0")]);
    assert!(!refused.contains_key("content-encoding"));
}

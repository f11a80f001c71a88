//! MessagePack over HTTP: wherever JSON is, by somebody else's encoder and decoder.

mod common;

use common::{Running, Sandbox, agent, ask};
use littoral::limits::MAX_HTTP_BODY_BYTES;
use rmpv::Value;
use serde_json::json;
use ureq::http::Request;

const PACKED: &str = "application/msgpack";

/// What was answered: status, kind and body.
struct Answer {
    status: u16,
    kind: String,
    body: Vec<u8>,
}

impl Answer {
    /// The body, which has to be one value and nothing more.
    fn value(&self) -> Value {
        assert_eq!(self.kind, PACKED, "{:?}", String::from_utf8_lossy(&self.body));
        let mut rest = &self.body[..];
        let value = rmpv::decode::read_value(&mut rest).unwrap();
        assert!(rest.is_empty());
        value
    }

    fn code(&self) -> String {
        text(&self.value()["error"]["code"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

fn packed(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn send(node: &Running, request: (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let (method, path) = request;
    let mut request = Request::builder().method(method).uri(format!("{}{path}", node.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body.is_empty() && matches!(method, "GET" | "HEAD" | "DELETE") {
        true => agent().run(request.body(()).unwrap()),
        false => agent().run(request.body(body.to_vec()).unwrap()),
    };
    let mut answer = answer.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    Answer { status, kind: kind.unwrap_or_default(), body }
}

/// Sends MessagePack, and wants it.
fn say(node: &Running, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", PACKED), ("accept", PACKED)];
    send(node, (method, path), &headers, &packed(body))
}

fn get(node: &Running, path: &str) -> Answer {
    send(node, ("GET", path), &[("accept", PACKED)], b"")
}

fn one_second() -> Value {
    Value::Ext(-1, vec![0, 0, 0, 1])
}

#[test]
fn documents_travel_in_both_forms_and_are_the_same() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let docs = "/collections/notes/docs";
    let doc = map([
        ("bytes", Value::Binary(vec![0, 255])),
        ("time", one_second()),
        ("tags", map([("$set", Value::Array(vec![Value::Binary(vec![1]), Value::from("sea")]))])),
        ("views", map([("$counter", Value::from(3))])),
        ("own", map([("$literal", map([("$bytes", Value::from("aGk="))]))])),
        ("whole", Value::F64(1.0)),
        ("most", Value::from(u64::MAX)),
    ]);
    let put = say(&node, "PUT", &format!("{docs}/n1"), &doc);
    assert_eq!(put.status, 200);
    let as_json = ask("GET", &format!("{}{docs}/n1", node.url), &[], None);
    let wanted = json!({
        "bytes": {"$bytes": "AP8="},
        "time": {"$time": "1970-01-01T00:00:01Z"},
        "tags": {"$set": ["sea", {"$bytes": "AQ=="}]},
        "views": {"$counter": 3},
        "own": {"$literal": {"$bytes": "aGk="}},
        "whole": 1.0,
        "most": u64::MAX,
    });
    assert_eq!(as_json.body, wanted);
    let told = get(&node, &format!("{docs}/n1"));
    assert_eq!(told.value()["bytes"], Value::Binary(vec![0, 255]));
    assert_eq!(told.value()["time"], one_second());
    assert_eq!(told.value()["own"]["$literal"]["$bytes"], Value::from("aGk="));
    assert_eq!(told.value()["most"].as_u64(), Some(u64::MAX));
    assert_eq!(told.value()["whole"], Value::F64(1.0));
    // What was read may be put again, and is the same.
    let again = say(&node, "PUT", &format!("{docs}/n2"), &told.value());
    assert_eq!(again.value(), told.value());
    assert_eq!(get(&node, &format!("{docs}/n1?path=/time")).value(), one_second());
    let head = send(&node, ("HEAD", &format!("{docs}/n1")), &[("accept", PACKED)], b"");
    assert_eq!((head.status, head.kind.as_str(), head.body.len()), (200, PACKED, 0));

    // Each name of it is known, and answered by.
    for name in ["application/vnd.msgpack", "application/x-msgpack"] {
        let headers = [("content-type", name), ("accept", name)];
        let body = packed(&map([("path", "/tags".into()), ("value", one_second())]));
        let added = send(&node, ("POST", &format!("{docs}/n2/add")), &headers, &body);
        assert_eq!((added.status, added.kind.as_str()), (200, name));
    }
    // Either may be sent, and the other wanted.
    let json = send(
        &node,
        ("PATCH", &format!("{docs}/n2")),
        &[("content-type", PACKED), ("accept", "application/json")],
        &packed(&map([("bytes", Value::Binary(vec![7]))])),
    );
    assert!(
        json.kind == "application/json"
            && json.body.starts_with(b"{\"bytes\":{\"$bytes\":\"Bw==\"}")
    );
    let mixed = send(
        &node,
        ("PATCH", &format!("{docs}/n2")),
        &[("content-type", "application/json"), ("accept", PACKED)],
        b"{\"bytes\": {\"$bytes\": \"CA==\"}}",
    );
    assert_eq!(mixed.value()["bytes"], Value::Binary(vec![8]));
}

#[test]
fn every_body_of_json_may_be_messagepack() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let many = Value::Array(vec![
        map([("id", "a".into()), ("doc", map([("at", one_second())]))]),
        map([("id", "b".into()), ("doc", map([]))]),
    ]);
    let written = say(&node, "POST", "/collections/notes/docs", &many);
    assert_eq!(written.value()["written"].as_u64(), Some(2));
    let page = get(&node, "/collections/notes/docs?limit=1");
    assert_eq!(page.value()["documents"][0]["doc"]["at"], one_second());
    assert_eq!(page.value()["next"], Value::from("a"));
    let ops = |n: u64| {
        let put = map([
            ("collection", "notes".into()),
            ("id", "c".into()),
            ("doc", map([("n", n.into()), ("raw", Value::Binary(vec![9]))])),
        ]);
        map([("ops", Value::Array(vec![map([("put", put)])])), ("key", "4711".into())])
    };
    let first = say(&node, "POST", "/deltas", &ops(1));
    assert_eq!(first.status, 200, "{:?}", first.value());
    assert_eq!(say(&node, "POST", "/deltas", &ops(1)).value(), first.value());
    assert_eq!(say(&node, "POST", "/deltas", &ops(2)).code(), "invalid-input");
    let changes = get(&node, "/changes?give=documents&collections=notes").value();
    let last = changes["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["doc"]["raw"], Value::Binary(vec![9]));
    assert!(changes["next"].as_u64().unwrap() > 0);
    for path in ["/status", "/state", "/health", "/doctor", "/collections", "/conflicts", "/events"]
    {
        let told = get(&node, path);
        assert!(told.status == 200 && told.value().is_map(), "{path}");
    }
    assert_eq!(say(&node, "POST", "/conflicts/resolve", &map([])).code(), "invalid-input");
    // Nothing is nothing, as with JSON.
    let headers = [("content-type", PACKED), ("accept", PACKED)];
    assert_eq!(send(&node, ("POST", "/resume"), &headers, b"").status, 200);
}

#[test]
fn what_is_wrong_is_told_in_the_form_that_is_wanted() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let one = "/collections/notes/docs/n1";
    assert_eq!(get(&node, one).code(), "unknown-collection");
    assert_eq!(get(&node, "/nowhere").code(), "no-such-route");
    let foreign = send(&node, ("GET", one), &[("accept", PACKED), ("origin", "http://x.y")], b"");
    assert_eq!((foreign.status, foreign.code()), (403, "foreign".to_owned()));
    let wants = [("accept", PACKED), ("content-type", "text/plain")];
    let unknown = send(&node, ("PUT", one), &wants, b"{}");
    assert_eq!((unknown.status, unknown.code()), (415, "not-json".to_owned()));
    let bundle = send(&node, ("POST", "/bundle/apply"), &[("content-type", PACKED)], b"\x80");
    assert_eq!(bundle.status, 415);
    // Nothing is done for who would not take the answer.
    let sent = [("accept", "text/html"), ("content-type", PACKED)];
    let refused = send(&node, ("PUT", one), &sent, &packed(&map([])));
    assert_eq!((refused.status, refused.kind.as_str()), (406, "application/json"));
    assert_eq!(get(&node, one).status, 404);
    for path in ["/metrics", "/diff?from=x", "/backup", "/bundle/have", "/"] {
        let refused = get(&node, path);
        assert_eq!((refused.status, refused.code()), (406, "not-acceptable".to_owned()), "{path}");
    }
    for (path, accept) in [("/metrics", "text/plain;version=0.0.4"), ("/", "text/html,*/*;q=0.8")] {
        assert_eq!(send(&node, ("GET", path), &[("accept", accept)], b"").status, 200, "{path}");
    }

    let twice = Value::Map(vec![("a".into(), 1.into()), ("a".into(), 2.into())]);
    let said = say(&node, "PUT", one, &map([("m", twice)]));
    assert_eq!(said.status, 400);
    assert!(text(&said.value()["error"]["message"]).contains("'/m/a'"));
    let deep = |levels: usize| (0..levels).fold(Value::Nil, |inner, _| map([("d", inner)]));
    assert_eq!(say(&node, "PUT", one, &deep(64)).status, 200);
    assert_eq!(say(&node, "PUT", one, &deep(66)).status, 413);
    assert_eq!(say(&node, "PUT", one, &deep(200)).status, 413);
    let headers = [("content-type", PACKED), ("accept", PACKED)];
    let raw = |body: &[u8]| send(&node, ("PUT", one), &headers, body);
    assert_eq!(raw(&[vec![0x91; 15 << 20], vec![0xc0]].concat()).status, 413);
    let bad: [&[u8]; 8] = [
        b"",
        b"\xc1",
        b"\x80\x80",
        b"{}",
        b"\x81\x01\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\xa1x\xcb\x7f\xf0\0\0\0\0\0\0",
    ];
    for body in bad {
        assert_eq!(raw(body).status, 400, "{body:x?}");
    }
    // As much as a body may have, and more.
    let bytes = |count: usize| map([("x", Value::Binary(vec![0; count - 8]))]);
    let many = |count: usize| {
        let docs =
            (0..count).map(|n| map([("id", format!("d{n}").into()), ("doc", bytes(1 << 20))]));
        packed(&Value::Array(docs.collect()))
    };
    let headers = [("content-type", PACKED)];
    let docs = ("POST", "/collections/large/docs");
    assert!(many(15).len() < MAX_HTTP_BODY_BYTES);
    let most = send(&node, docs, &headers, &many(15));
    assert_eq!(most.status, 200, "{}", String::from_utf8_lossy(&most.body));
    assert_eq!(send(&node, docs, &headers, &many(17)).status, 413);
    let large = get(&node, "/collections/large/docs/d14");
    assert_eq!(large.value(), bytes(1 << 20));
}

//! The WebSocket: subscriptions, writes, and who may.

mod common;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask, metric};
use serde_json::{Value as Json, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn open(node: &Running) -> Socket {
        Socket::with(node, &[]).unwrap()
    }

    /// The status and body of a refusal, if it is refused.
    fn with(node: &Running, headers: &[(&'static str, &str)]) -> Result<Socket, (u16, Json)> {
        let host = node.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut request = format!("ws://{host}/ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err((answer.status().as_u16(), serde_json::from_slice(body).unwrap_or_default()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn say(&mut self, what: &Json) {
        self.0.send(Message::text(what.to_string())).unwrap();
    }

    /// The next thing that is said.
    fn next(&mut self) -> Json {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn ask(&mut self, what: &Json) -> Json {
        self.say(what);
        self.next()
    }

    /// The next change of a subscription, by collection and id.
    fn change(&mut self, of: u64) -> String {
        let said = self.next();
        let change = &said["change"];
        assert_eq!(change["subscription"], of, "{said}");
        format!("{}/{}", change["collection"].as_str().unwrap(), change["id"].as_str().unwrap())
    }
}

fn put(collection: &str, id: &str, doc: &Json) -> Json {
    json!({"put": {"collection": collection, "id": id, "doc": doc}})
}

#[test]
fn what_happens_is_told_over_the_same_socket_and_a_write_with_a_key_is_done_once() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let mut socket = Socket::open(&node);
    let follow = json!({"follow": {"id": 1, "kinds": ["checkpoint-made", "started"]}});
    assert_eq!(socket.ask(&follow), json!({"followed": {"id": 1}}));
    let started = socket.next();
    assert_eq!(
        (&started["event"]["subscription"], &started["event"]["kind"]),
        (&json!(1), &json!("started"))
    );
    let twice = socket.ask(&json!({"subscribe": {"id": 1, "since": "now"}}));
    assert_eq!(twice["failed"]["id"], 1, "{twice}");
    let unknown = socket.ask(&json!({"follow": {"id": 2, "kinds": ["storm"]}}));
    assert_eq!(unknown["failed"]["code"], "invalid-input", "{unknown}");
    let step = json!({"increment": {"collection": "notes", "id": "n1", "path": "/views"}});
    let write = |id: u64| json!({"write": {"id": id, "ops": [step], "key": "k1"}});
    let first = socket.ask(&write(7))["written"]["position"].clone();
    assert!(first.as_u64().unwrap() > 0);
    assert_eq!(socket.ask(&write(8)), json!({"written": {"id": 8, "position": first}}));
    let read = ask("GET", &format!("{}/collections/notes/docs/n1", node.url), &[], None).body;
    assert_eq!(read, json!({"views": {"$counter": 1}}));
    let body = json!({"label": "now"}).to_string();
    ask("POST", &format!("{}/checkpoint", node.url), &[], Some(&body));
    assert_eq!(socket.next()["event"]["what"], "now");
    assert_eq!(socket.ask(&json!({"unsubscribe": {"id": 1}})), json!({"unsubscribed": {"id": 1}}));
    let now = json!({"follow": {"id": 1, "since": "now"}});
    assert_eq!(socket.ask(&now), json!({"followed": {"id": 1}}));
}

#[test]
fn writes_are_acknowledged_and_changes_come_to_whoever_wants_them() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let (mut a, mut b) = (Socket::open(&node), Socket::open(&node));
    let all = json!({"subscribe": {"id": 1, "since": "now"}});
    assert_eq!(b.ask(&all), json!({"subscribed": {"id": 1}}));
    let notes = json!({"subscribe":
        {"id": 2, "since": "now", "collections": ["notes"], "prefix": "n", "give": "documents"}});
    assert_eq!(a.ask(&notes), json!({"subscribed": {"id": 2}}));

    let ops = [
        put("notes", "n1", &json!({"title": "Low tide", "tags": {"$set": ["sea"]}})),
        put("notes", "x1", &json!({})),
        json!({"increment": {"collection": "counts", "id": "all", "path": "/notes", "by": 2}}),
        json!({"add": {"collection": "notes", "id": "n1", "path": "/tags", "value": "moon"}}),
    ];
    let written = a.ask(&json!({"write": {"id": 7, "ops": ops}}));
    assert_eq!(written["written"]["id"], 7, "{written}");
    assert!(written["written"]["position"].as_u64().unwrap() > 0);
    let told = a.next();
    let doc = json!({"title": "Low tide", "tags": {"$set": ["moon", "sea"]}});
    assert_eq!((&told["change"]["id"], &told["change"]["doc"]), (&json!("n1"), &doc));
    let of_b: Vec<String> = (0..3).map(|_| b.change(1)).collect();
    assert_eq!(of_b, ["counts/all", "notes/n1", "notes/x1"]);

    // What others write comes as well, and what was unsubscribed does not.
    assert_eq!(b.ask(&json!({"unsubscribe": {"id": 1}})), json!({"unsubscribed": {"id": 1}}));
    ask("PUT", &format!("{}/collections/notes/docs/n2", node.url), &[], Some("{}"));
    assert_eq!(a.change(2), "notes/n2");
    // Who was away goes on after what it saw last.
    let position = written["written"]["position"].clone();
    b.say(&json!({"subscribe": {"id": 1, "since": position, "give": "keys"}}));
    assert_eq!(b.next(), json!({"subscribed": {"id": 1}}));
    assert_eq!(b.change(1), "notes/n2");
    node.stop();
    assert!(matches!(b.0.read().unwrap(), Message::Close(Some(_))));
}

#[test]
fn what_fails_is_told_and_the_socket_goes_on() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let mut socket = Socket::open(&node);
    let code = |said: Json| said["failed"]["code"].as_str().unwrap_or_default().to_owned();
    for none in ["", "{", "[]", "{\"subscribe\": {}}", "{\"write\": {\"id\": 1}}", "{\"x\": {}}"] {
        socket.0.send(Message::text(none)).unwrap();
        let said = socket.next();
        assert_eq!(said["failed"]["id"], Json::Null);
        assert_eq!(code(said), "invalid-input", "{none}");
    }
    socket.0.send(Message::binary(b"{}".to_vec())).unwrap();
    assert_eq!(code(socket.next()), "invalid-input");
    // A transaction of which a part fails is not written at all.
    let missing = json!({"delete": {"collection": "notes", "id": "none"}});
    let ops = json!([put("notes", "n1", &json!({"n": 1})), missing]);
    let said = socket.ask(&json!({"write": {"id": 3, "ops": ops}}));
    assert_eq!(said["failed"]["id"], 3);
    assert_eq!(code(said), "not-found");
    let gone = format!("{}/collections/notes/docs/n1", node.url);
    assert_eq!(ask("GET", &gone, &[], None).status, 404);
    assert_eq!(code(socket.ask(&json!({"unsubscribe": {"id": 9}}))), "not-found");
    assert_eq!(code(socket.ask(&json!({"subscribe": {"id": 1, "since": "x"}}))), "invalid-input");
    for id in 0..64 {
        let said = socket.ask(&json!({"subscribe": {"id": id, "since": "now"}}));
        assert_eq!(said["subscribed"]["id"], id);
    }
    let twice = socket.ask(&json!({"subscribe": {"id": 5}}));
    assert_eq!(code(twice), "invalid-input");
    assert_eq!(code(socket.ask(&json!({"subscribe": {"id": 64}}))), "limit-exceeded");
    // A position beyond the log is one of another store, or of one that was restored.
    assert_eq!(socket.ask(&json!({"unsubscribe": {"id": 0}}))["unsubscribed"]["id"], 0);
    socket.say(&json!({"subscribe": {"id": 0, "since": 1u64 << 40}}));
    assert_eq!(socket.next()["subscribed"]["id"], 0);
    assert_eq!(socket.next()["resync"]["subscription"], 0);
    let plain = ask("GET", &format!("{}/ws", node.url), &[], None);
    assert_eq!((plain.status, plain.body["error"]["code"].as_str()), (426, Some("no-websocket")));
}

#[test]
fn pages_of_other_origins_and_tokens_without_the_right_are_kept_out() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let foreign = Socket::with(&node, &[("origin", "https://example.com")]);
    assert_eq!(foreign.err().unwrap().0, 403);
    assert!(Socket::with(&node, &[("origin", &node.url)]).is_ok());
    assert_eq!(Socket::with(&node, &[("authorization", "Bearer none")]).err().unwrap().0, 401);
    let made = here.json(&["--data", "a", "token", "create", "--name", "reader"]);
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let mut reader = Socket::with(&node, &[("authorization", &bearer)]).unwrap();
    let ops = json!([put("notes", "n1", &json!({}))]);
    let said = reader.ask(&json!({"write": {"id": 1, "ops": ops}}));
    assert_eq!(said["failed"]["code"], "forbidden");
    assert_eq!(reader.ask(&json!({"subscribe": {"id": 1, "since": "now"}}))["subscribed"]["id"], 1);
    // A token that is taken back counts no more, on sockets that are open as well.
    here.ok(&["--data", "a", "token", "revoke", "reader"]);
    ask("PUT", &format!("{}/collections/notes/docs/n1", node.url), &[], Some("{}"));
    assert_eq!(reader.next()["failed"]["code"], "unauthorized");
}

/// Whoever does not read is cut off, and costs next to nothing until then; others go on.
#[test]
fn who_does_not_read_is_cut_off() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let mut slow = Socket::open(&node);
    assert_eq!(
        slow.ask(&json!({"subscribe": {"id": 1, "since": "now", "give": "documents"}}))["subscribed"]
            ["id"],
        1
    );
    let mut quick = Socket::open(&node);
    assert_eq!(
        quick.ask(&json!({"subscribe": {"id": 1, "since": "now", "give": "keys"}}))["subscribed"]["id"],
        1
    );
    let large = json!({"text": "x".repeat(256 << 10)});
    for n in 0..96 {
        let id = format!("n{n}");
        quick.say(&json!({"write": {"id": n, "ops": [put("notes", &id, &large)]}}));
        let (mut written, mut told) = (false, false);
        while !(written && told) {
            let said = quick.next();
            assert!(said["failed"].is_null(), "{said}");
            written |= said["written"]["id"] == n;
            told |= said["change"]["id"] == id;
        }
    }
    let end = Instant::now() + Duration::from_secs(90);
    while metric(&node, "littoral_http_followers") > 1.0 {
        assert!(Instant::now() < end, "who takes nothing is cut off");
        std::thread::sleep(Duration::from_millis(500));
    }
    let told = std::iter::from_fn(|| slow.0.read().ok()).filter(Message::is_text).count();
    assert!(told < 96, "all {told} came: it was not cut off");
    assert_eq!(quick.ask(&json!({"unsubscribe": {"id": 1}}))["unsubscribed"]["id"], 1);
}

#[test]
fn whoever_watches_is_told_how_the_node_is_when_that_changes() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let mut socket = Socket::open(&node);
    assert_eq!(
        socket.ask(&json!({"watch": {"id": 3, "every_ms": 1}})),
        json!({"watched": {"id": 3}})
    );
    let first = socket.next();
    let told = &first["status"];
    assert_eq!((&told["subscription"], &told["node"]), (&json!(3), &json!(node.key)));
    assert_eq!((&told["collections"], &told["running"]["offline"]), (&json!([]), &json!(false)));
    let twice = socket.ask(&json!({"follow": {"id": 3}}));
    assert_eq!(twice["failed"]["code"], "invalid-input", "{twice}");
    // Nothing is told until something changes, and then the latest.
    let written = socket.ask(&json!({"write": {"id": 7, "ops": [put("notes", "n1", &json!({}))]}}));
    assert!(written["written"].is_object(), "{written}");
    let documents = |said: &Json| said["status"]["collections"][0]["documents"].as_u64();
    let said = socket.next();
    assert_eq!(documents(&said), Some(1), "{said}");
    // A burst is told in few words, the last of which says how it ended.
    let mut other = Socket::open(&node);
    for n in 0..50 {
        let ops = [put("notes", &format!("m{n}"), &json!({"n": n}))];
        other.ask(&json!({"write": {"id": n, "ops": ops}}));
    }
    let mut count = 0;
    while documents(&socket.next()) != Some(51) {
        count += 1;
    }
    assert!(count < 50, "{count}");
    // A link that is cut is told as well.
    ask("POST", &format!("{}/links/pause", node.url), &[], Some("{}"));
    while socket.next()["status"]["running"]["offline"] != json!(true) {}
    assert_eq!(socket.ask(&json!({"unsubscribe": {"id": 3}})), json!({"unsubscribed": {"id": 3}}));
    assert_eq!(socket.ask(&json!({"watch": {"id": 4}})), json!({"watched": {"id": 4}}));
    assert_eq!(socket.next()["status"]["subscription"], 4);
}

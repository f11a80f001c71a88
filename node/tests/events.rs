//! What happened to a node, over HTTP and in the terminal.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask};
use serde_json::{Value as Json, json};

/// Far longer than anything here needs, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(300);

fn get(node: &Running, query: &str) -> Json {
    let answer = ask("GET", &format!("{}/events{query}", node.url), &[], None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn kinds(page: &Json) -> Vec<&str> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

/// The first event of a kind after a number, when it comes.
fn first(node: &Running, kind: &str, since: u64) -> Json {
    let end = Instant::now() + LONG;
    loop {
        let page = get(node, &format!("?since={since}&kind={kind}&wait=5&limit=1"));
        if let Some(event) = page["events"].as_array().unwrap().first() {
            return event.clone();
        }
        assert!(Instant::now() < end, "waited too long for {kind}");
    }
}

fn put(node: &Running, id: &str, doc: &str) {
    let url = format!("{}/collections/notes/docs/{id}", node.url);
    assert_eq!(ask("PUT", &url, &[], Some(doc)).status, 200);
}

#[test]
fn links_partitions_conflicts_and_ends_are_told() {
    let here = Sandbox::new();
    let keys = ["a", "b"].map(|name| here.ok(&["--data", name, "id"]).trim().to_owned());
    let a = here.run("a", &["--peer", &keys[1]]);
    let to_a = format!("{}#{}", a.address().split('#').next().unwrap(), keys[0]);
    let b = here.run("b", &["--peer", &to_a]);
    assert_eq!(kinds(&get(&a, ""))[0], "started");
    let up = first(&a, "link-up", 0);
    assert_eq!(up["node"], json!(keys[1]));
    put(&a, "n1", "{\"x\": 0}");
    // While b is away, both write one field.
    b.kill();
    let down = first(&a, "link-down", up["number"].as_u64().unwrap());
    assert_eq!(down["node"], json!(keys[1]));
    put(&a, "n2", "{\"x\": \"here\"}");
    here.ok(&["--data", "b", "put", "notes", "n2", "{\"x\": \"there\"}"]);
    let b = here.run("b", &["--peer", &to_a]);
    let healed = first(&a, "partition-healed", down["number"].as_u64().unwrap());
    assert_eq!(healed["node"], json!(keys[1]));
    assert!(healed["seconds"].as_f64().unwrap() > 0.0, "{healed}");
    let arose = first(&a, "conflict-arose", 0);
    assert_eq!((&arose["collection"], &arose["count"]), (&json!("notes"), &json!(1)));
    // Nothing of a document is in it.
    let all = get(&a, "").to_string();
    assert!(!all.contains("there") && !all.contains("n2"), "{all}");
    let resolved = json!({"collection": "notes", "id": "n2", "path": "/x", "take": 1}).to_string();
    let url = format!("{}/conflicts/resolve", a.url);
    assert_eq!(ask("POST", &url, &[], Some(&resolved)).status, 204);
    first(&a, "conflict-ended", arose["number"].as_u64().unwrap());
    let log = ask("GET", &format!("{}/conflicts/log?collection=notes", a.url), &[], None).body;
    let entry = &log["conflicts"][0];
    let place = [&entry["number"], &entry["id"], &entry["path"]];
    assert_eq!(place, [&json!(1), &json!("n2"), &json!("/x")]);
    let mut values: Vec<_> = (0..2).map(|n| entry["candidates"][n]["value"].to_string()).collect();
    values.sort_unstable();
    assert_eq!(values, ["\"here\"", "\"there\""]);
    assert_eq!(
        (&entry["cause"]["kind"], &entry["cause"]["node"]),
        (&json!("written"), &json!(keys[1]))
    );
    assert_eq!(
        (&entry["ended"]["how"], &entry["ended"]["cause"]["node"]),
        (&json!("settled"), &json!(keys[0]))
    );
    let noting = json!({"author": "Anna", "text": "asked the harbour"}).to_string();
    let noted = ask("POST", &format!("{}/conflicts/log/1/notes", a.url), &[], Some(&noting));
    assert_eq!(noted.body["notes"][0]["text"], "asked the harbour", "{}", noted.body);
    let none = ask("POST", &format!("{}/conflicts/log/9/notes", a.url), &[], Some(&noting));
    assert_eq!((none.status, &none.body["error"]["code"]), (404, &json!("not-found")));
    let open = ask("GET", &format!("{}/conflicts/log?open=true", a.url), &[], None).body;
    assert_eq!(open, json!({"conflicts": [], "next": null, "gone": 0}));
    let through = here.ok(&["--url", &a.url, "conflicts", "--log"]);
    assert!(
        through.contains("settled") && through.contains("Anna: asked the harbour"),
        "{through}"
    );
    // b was killed, and says so; the end of a is none of that kind.
    assert!(kinds(&get(&b, "")).contains(&"started-after-crash"));
    a.stop();
    b.stop();
    let told = here.ok(&["--data", "a", "events"]);
    assert!(told.lines().last().unwrap().contains("stopped"), "{told}");
    assert!(told.contains("partition-healed") && told.contains(" s\n"), "{told}");
    let only = here.ok(&["--json", "--data", "a", "events", "--kind", "link-up,stopped"]);
    assert!(only.lines().all(|line| {
        let event: Json = serde_json::from_str(line).unwrap();
        ["link-up", "stopped"].contains(&event["kind"].as_str().unwrap())
    }));
    here.ok(&["--data", "a", "conflicts", "--note", "1", "it was so", "--author", "Ben"]);
    let told = here.ok(&["--json", "--data", "a", "conflicts", "--log", "notes", "n2"]);
    let entry: Json = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&entry["notes"][1]["author"], &entry["notes"][1]["text"]),
        (&json!("Ben"), &json!("it was so"))
    );
    let refused = here.fails(5, &["--data", "a", "events", "--kind", "link-sideways"]);
    assert!(refused.contains("link-up"), "{refused}");
}

#[test]
fn events_are_streamed_and_resume_where_they_were_cut_off() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let stream = |headers: &str| {
        let host = node.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "GET /events?since=now&kind=checkpoint-made HTTP/1.0\r\nHost: {host}\r\nAccept: text/event-stream\r\n{headers}\r\n"
        )
        .unwrap();
        BufReader::new(stream)
    };
    let next = |stream: &mut BufReader<TcpStream>| -> (String, Json) {
        let (mut id, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "the stream goes on");
            if let Some(said) = line.strip_prefix("id: ") {
                said.trim().clone_into(&mut id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).unwrap());
            }
        }
    };
    let mark = |label: &str| {
        let body = json!({"label": label}).to_string();
        let answer = ask("POST", &format!("{}/checkpoint", node.url), &[], Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let mut events = stream("");
    let mut line = String::new();
    while !line.starts_with("id: ") {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0);
    }
    put(&node, "n1", "{}");
    mark("one");
    let (id, event) = next(&mut events);
    assert_eq!((&event["what"], event["number"].to_string()), (&json!("one"), id.clone()));
    drop(events);
    mark("two");
    mark("three");
    let mut events = stream(&format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(next(&mut events).1["what"], "two");
    assert_eq!(next(&mut events).1["what"], "three");
    let refused = ask("GET", &format!("{}/events?kind=storm", node.url), &[], None);
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("invalid-input")));
    let none = get(&node, "?since=now&wait=0");
    assert_eq!((kinds(&none).len(), &none["missed"]), (0, &json!(false)));
}

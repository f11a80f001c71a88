//! The change feed over HTTP: pages, events, and many who follow.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask, metric};
use serde_json::{Value as Json, json};

/// A stream of events. HTTP 1.0, so that it comes as it is.
struct Events(BufReader<TcpStream>);

#[derive(Debug)]
struct Event {
    id: Option<u64>,
    name: String,
    data: Json,
}

impl Events {
    fn of(node: &Running, query: &str, headers: &str) -> Events {
        let host = node.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "GET /changes{query} HTTP/1.0\r\nHost: {host}\r\nAccept: text/event-stream\r\n{headers}\r\n"
        )
        .unwrap();
        Events(BufReader::new(stream))
    }

    /// The head of the answer.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        head
    }

    /// The next block, an event or not; none at the end.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: None, name: String::new(), data: Json::Null };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                None => return Some(event),
                Some(("id", id)) => event.id = Some(id.parse().unwrap()),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(_) => {}
            }
        }
    }

    fn named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().expect("it goes on");
            if event.name == name {
                return event;
            }
            assert_eq!(event.name, "", "{event:?}");
        }
    }
}

fn put(node: &Running, place: &str, doc: &str) {
    let (collection, id) = place.split_once('/').unwrap();
    let url = format!("{}/collections/{collection}/docs/{id}", node.url);
    assert_eq!(ask("PUT", &url, &[], Some(doc)).status, 200);
}

#[test]
fn events_come_as_they_happen_and_resume_where_they_were_cut_off() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    put(&node, "notes/early", "{}");
    let mut events = Events::of(&node, "?since=now", "");
    let head = events.head();
    assert!(head.contains(" 200 ") && head.contains("text/event-stream"), "{head}");
    let begins = events.next().unwrap();
    assert!(begins.id.is_some() && begins.name.is_empty());
    put(&node, "notes/n1", "{}");
    let first = events.named("change");
    assert_eq!((&first.data["id"], &first.data["local"]), (&json!("n1"), &json!(true)));
    assert_eq!(first.data["position"], first.id.unwrap());
    drop(events);
    put(&node, "notes/n2", "{}");
    put(&node, "other/n3", "{}");
    // What the request says at first counts no more.
    let resumed = format!("Last-Event-ID: {}\r\n", first.id.unwrap());
    let mut events = Events::of(&node, "?since=now", &resumed);
    events.head();
    assert_eq!(events.named("change").data["id"], "n2");
    assert_eq!(events.named("change").data["id"], "n3");
    // A node that stops ends the streams.
    node.stop();
    while events.next().is_some() {}
}

#[test]
fn a_feed_is_filtered_and_tells_as_much_as_is_asked_for() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    put(&node, "notes/a1", "{\"n\": 1}");
    put(&node, "other/a2", "{}");
    put(&node, "notes/b1", "{}");
    ask("DELETE", &format!("{}/collections/notes/docs/b1", node.url), &[], None);
    let get = |query: &str| ask("GET", &format!("{}/changes{query}", node.url), &[], None);
    let ids = |query: &str| -> Vec<String> {
        let changes = get(query).body["changes"].as_array().unwrap().clone();
        changes.iter().map(|of| of["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("?collections=notes"), ["a1", "b1", "b1"]);
    assert_eq!(ids("?collections=other,none&prefix=a"), ["a2"]);
    assert_eq!(ids("?prefix=b&since=0"), ["b1", "b1"]);
    let keys = get("?give=keys").body["changes"][0].clone();
    assert_eq!(keys.as_object().unwrap().len(), 3, "{keys}");
    let docs = get("?give=documents&collections=notes").body;
    assert_eq!(
        (&docs["changes"][0]["doc"], &docs["changes"][1]["doc"]),
        (&json!({"n": 1}), &Json::Null)
    );
    // What is passed over moves on.
    let (passed, all) = (get("?prefix=zzz").body, get("").body);
    assert_eq!((&passed["changes"], &passed["next"]), (&json!([]), &all["next"]));
    let mut events = Events::of(&node, "?prefix=b&give=keys", "");
    events.head();
    let event = events.named("change");
    assert_eq!(event.data, json!({"position": event.id, "collection": "notes", "id": "b1"}));
    for bad in ["?give=all", "?since=yesterday", "?since=-1", "?wait=x", "?colections=a"] {
        assert_eq!(get(bad).status, 400, "{bad}");
    }
    for (query, headers) in [("?wait=3", ""), ("", "Last-Event-ID: x\r\n"), ("?give=x", "")] {
        assert!(Events::of(&node, query, headers).head().contains(" 400 "), "{query}");
    }
    let foreign = Events::of(&node, "", "Origin: http://evil.example\r\n").head();
    assert!(foreign.contains(" 403 "), "{foreign}");
}

#[test]
fn who_is_beyond_the_log_is_told_to_resync() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    put(&node, "notes/n1", "{}");
    let url = format!("{}/changes?since=999999999", node.url);
    assert_eq!(ask("GET", &url, &[], None).status, 404);
    let mut events = Events::of(&node, "?since=999999999", "");
    events.head();
    let resync = events.named("resync");
    assert_eq!(resync.data["from"], resync.id.unwrap());
    put(&node, "notes/n2", "{}");
    assert_eq!(events.named("change").data["id"], "n2");
}

#[test]
fn a_transaction_larger_than_a_page_comes_once() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let entries: Vec<Json> = (0..2500).map(|n| json!({"id": format!("n{n}"), "doc": {}})).collect();
    let docs = format!("{}/collections/notes/docs", node.url);
    assert_eq!(ask("POST", &docs, &[], Some(&json!(entries).to_string())).status, 200);
    put(&node, "notes/last", "{}");
    let page = ask("GET", &format!("{}/changes", node.url), &[], None).body;
    assert_eq!(page["changes"].as_array().unwrap().len(), 2500);
    let rest = ask("GET", &format!("{}/changes?since={}", node.url, page["next"]), &[], None).body;
    assert_eq!(rest["changes"][0]["id"], "last");
    let mut events = Events::of(&node, "?give=keys", "");
    events.head();
    let seen: std::collections::BTreeSet<String> =
        (0..2501).map(|_| events.named("change").data["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen.len(), 2501);
}

#[test]
fn a_token_that_is_taken_back_ends_the_stream() {
    let here = Sandbox::new();
    let mut node = here.run("a", &["--http", "0.0.0.0:0"]);
    node.url = node.url.replace("0.0.0.0", "127.0.0.1");
    assert!(Events::of(&node, "", "").head().contains(" 401 "));
    let made = here.json(&["--data", "a", "token", "create", "--name", "screen"]);
    let token = format!("Authorization: Bearer {}\r\n", made["token"].as_str().unwrap());
    let mut events = Events::of(&node, "", &token);
    assert!(events.head().contains(" 200 "));
    here.ok(&["--data", "a", "token", "revoke", "screen"]);
    while events.next().is_some() {}
}

/// Memory of its process, in KiB.
fn resident_kib(node: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_hundred_follow_and_those_who_read_nothing_cost_little_and_are_cut_off() {
    const READERS: usize = 80;
    const SLEEPERS: usize = 20;
    const DOCS: usize = 120;
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let doc = json!({"text": "x".repeat(64 << 10)}).to_string();
    put(&node, "notes/first", &doc);
    // Each would be sent 8 MiB.
    let sleepers: Vec<Events> =
        (0..SLEEPERS).map(|_| Events::of(&node, "?since=now&give=documents", "")).collect();
    let mut readers: Vec<Events> =
        (0..READERS).map(|_| Events::of(&node, "?since=now&give=keys", "")).collect();
    for reader in &mut readers {
        reader.head();
        reader.next().unwrap();
    }
    let all = (READERS + SLEEPERS) as f64;
    assert_eq!(metric(&node, "littoral_http_followers"), all);
    let before = resident_kib(&node);
    let reading = std::thread::scope(|scope| {
        let threads: Vec<_> = readers
            .iter_mut()
            .map(|reader| {
                scope.spawn(|| {
                    for n in 0..DOCS {
                        assert_eq!(reader.named("change").data["id"], format!("n{n}"));
                    }
                })
            })
            .collect();
        let begun = Instant::now();
        for n in 0..DOCS {
            put(&node, &format!("notes/n{n}"), &doc);
        }
        println!("{DOCS} writes took {:?}", begun.elapsed());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        begun.elapsed()
    });
    let grown = resident_kib(&node).saturating_sub(before);
    println!("all was read after {reading:?}; {grown} KiB more memory");
    assert!(grown < 128 << 10, "{grown} KiB");
    let end = Instant::now() + Duration::from_secs(90);
    while metric(&node, "littoral_http_followers") > READERS as f64 {
        assert!(Instant::now() < end, "those who take nothing are cut off");
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(sleepers);
    put(&node, "notes/after", "{}");
    assert_eq!(readers[0].named("change").data["id"], "after");
}

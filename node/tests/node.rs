//! Nodes that run: commands go through them, links carry documents, nothing acknowledged is lost.

mod common;

use common::{Sandbox, ask, stations, until};
use serde_json::json;

#[test]
fn commands_go_through_the_node_and_end_alike() {
    let here = Sandbox::new();
    let far = ["--data", "a"];
    let node = here.run("a", &[]);
    let ok = |args: &[&str]| here.ok(&[&far[..], args].concat());
    let fails = |code, args: &[&str]| here.fails(code, &[&far[..], args].concat());
    let said = here.output(&["--data", "a", "put", "notes", "n1", r#"{"a": 1}"#], b"").stderr;
    assert!(
        String::from_utf8(said).unwrap().contains(&format!("through the node at {}", node.url))
    );
    ok(&["merge", "notes", "n1", r#"{"b": 1.0}"#]);
    ok(&["add", "notes", "n1", "/tags", "x"]);
    ok(&["remove", "notes", "n1", "/tags", "x"]);
    assert_eq!(ok(&["increment", "notes", "n1", "/views", "-2"]), "-2\n");
    let read = here.json(&["--data", "a", "get", "notes", "n1"]);
    assert_eq!(
        read["doc"],
        json!({"a": 1, "b": 1.0, "tags": {"$set": []}, "views": {"$counter": -2}})
    );
    let version = read["version"].as_str().unwrap();
    ok(&["merge", "notes", "n1", r#"{"b": 2}"#]);
    fails(4, &["put", "notes", "n1", "{}", "--version", version, "--strict"]);
    fails(4, &["put", "notes", "n1", "{}", "--new"]);
    ok(&["put", "notes", "n1", "{}", "--version", version]);
    assert_eq!(ok(&["get", "notes", "n1", "/b"]), "2\n");
    ok(&["delete", "notes", "n1", "/b"]);
    fails(3, &["get", "notes", "n1", "/b"]);
    for odd in ["a/b?c=%20&d#e", ".", "..", "ü\u{1b}", " "] {
        ok(&["put", "odd", odd, r#"{"x": 1}"#]);
        ok(&["increment", "odd", odd, "/n"]);
        assert_eq!(ok(&["get", "odd", odd, "/x"]), "1\n", "{odd:?}");
        ok(&["rm", "odd", odd]);
    }
    fails(5, &["put", "notes", "", "{}"]);
    fails(5, &["put", "notes", &"x".repeat(513), "{}"]);
    fails(5, &["put", "no/tes", "x", "{}"]);
    fails(3, &["ls", "nope"]);
    fails(3, &["get", "notes", "none"]);
    fails(3, &["resolve", "notes", "n1", "/title", "--take", "1"]);
    let file = stations().display().to_string();
    ok(&["import", "stations", &file, "--id", "id", "--set", "tags"]);
    assert_eq!(ok(&["--json", "ls", "stations"]).lines().count(), 3161);
    assert_eq!(ok(&["ls", "stations", "--reverse", "--limit", "1"]).lines().count(), 1);
    let out = here.path("out.csv").display().to_string();
    ok(&["export", "stations", &out]);
    assert!(ok(&["status", "--digests"]).contains("3,161"));
    assert_eq!(ok(&["id"]).trim(), node.address());
    assert!(ok(&["changes"]).contains("notes/n1"));
    fails(6, &["run", "--http", "127.0.0.1:0"]);
    node.stop();
    assert!(!here.path("a/node.json").exists());
    assert_eq!(here.json(&["--data", "a", "status"])["collections"][1]["documents"], 0);
}

#[test]
fn a_follower_sees_each_change_as_it_comes() {
    use std::io::{BufRead, BufReader};
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let mut follower = here
        .command(&["--url", &node.url, "--json", "changes", "--follow", "--since", "0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for id in ["n1", "n2", "n3"] {
        here.ok(&["--data", "a", "put", "notes", id, "{}"]);
        assert!(lines.next().unwrap().unwrap().contains(id));
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn two_nodes_sync_and_a_conflict_is_resolved_for_both() {
    let here = Sandbox::new();
    let key = here.ok(&["--data", "b", "id"]).trim().to_owned();
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"title": "from a"}"#]);
    here.ok(&["--data", "b", "put", "notes", "n1", r#"{"title": "from b"}"#]);
    let node = here.run("a", &["--peer", &key]);
    let synced = here.json(&["--data", "b", "sync", &node.address()]);
    assert_eq!((&synced["sent"], &synced["received"]), (&json!(1), &json!(1)));
    let conflicts = |data: &str| here.json(&["--data", data, "conflicts"])["conflicts"].clone();
    assert_eq!(conflicts("a"), conflicts("b"));
    assert_eq!(conflicts("a")[0]["candidates"].as_array().unwrap().len(), 2);
    let text = here.ok(&["--data", "a", "conflicts", "notes", "n1"]);
    assert!(text.contains("\"from a\"") && text.contains("\"from b\"") && text.contains("shown"));
    here.fails(3, &["--data", "a", "resolve", "notes", "n1", "/title", "--take", "3"]);
    here.ok(&["--data", "a", "resolve", "notes", "n1", "/title", "--take", "2"]);
    let title = here.ok(&["--data", "a", "get", "notes", "n1", "/title"]);
    here.ok(&["--data", "b", "sync", &node.address()]);
    assert_eq!(conflicts("b"), json!([]));
    assert_eq!(here.ok(&["--data", "b", "get", "notes", "n1", "/title"]), title);
    here.ok(&["--data", "b", "resolve", "notes", "n1", "/title", "--value", "both"]);
    assert_eq!(here.ok(&["--data", "b", "get", "notes", "n1", "/title"]), "both\n");
    here.fails(6, &["--data", "a", "sync", &node.address()]);
}

#[test]
fn an_unknown_key_is_turned_away_and_named() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let key = here.ok(&["--data", "b", "id"]).trim().to_owned();
    here.fails(7, &["--data", "b", "sync", &node.address(), "--timeout", "20"]);
    let status = here.json(&["--data", "a", "status"]);
    assert_eq!(status["running"]["refused"][0]["node"], key);
    assert!(here.ok(&["--data", "a", "status"]).contains(&key));
}

#[test]
fn acknowledged_documents_survive_kill_during_an_import() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let url = format!("{}/collections/notes/docs", node.url);
    let (told, acknowledged) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        for batch in 0.. {
            let entry = |n: u32| format!("{{\"id\": \"{batch}-{n}\", \"doc\": {{\"n\": {n}}}}}");
            let body: Vec<String> = (0..100).map(entry).collect();
            match common::try_ask("POST", &url, &[], Some(&format!("[{}]", body.join(",")))) {
                Ok(answer) if answer.status == 200 => told.send(batch).unwrap(),
                _ => break,
            }
        }
    });
    let first: Vec<u32> = acknowledged.iter().take(10).collect();
    node.kill();
    writer.join().unwrap();
    let all: Vec<u32> = first.into_iter().chain(acknowledged.try_iter()).collect();
    let store = littoral::Store::open(here.path("a")).unwrap();
    let notes = store.collection("notes").unwrap();
    for batch in &all {
        for n in 0..100 {
            assert!(notes.contains(&format!("{batch}-{n}")).unwrap(), "{batch}-{n}");
        }
    }
    assert_eq!(notes.len() % 100, 0, "a batch is there as a whole or not at all");
    drop((notes, store));
    // What the killed node left behind does no harm.
    assert!(here.path("a/node.json").exists());
    here.ok(&["--data", "a", "put", "notes", "n1", "{}"]);
    let again = here.run("a", &[]);
    assert_eq!(ask("GET", &format!("{}/health", again.url), &[], None).status, 200);
}

#[test]
fn the_links_of_a_node_are_cut_and_taken_up_by_a_command() {
    let here = Sandbox::new();
    let key = here.json(&["--data", "b", "id"])["key"].as_str().unwrap().to_owned();
    let a = here.run("a", &["--peer", &key]);
    here.fails(3, &["--data", "b", "links"]);
    let b = here.run("b", &["--peer", &a.address()]);
    let state = || here.json(&["--data", "b", "links"])["links"][0]["state"].clone();
    until("they are linked", || state() == "connected");
    assert_eq!(here.json(&["--data", "b", "links", "pause"]), json!({"online": false}));
    assert_eq!(state(), "paused");
    here.ok(&["--data", "b", "put", "notes", "n1", "{}"]);
    here.fails(3, &["--data", "a", "get", "notes", "n1"]);
    here.ok(&["--data", "b", "links", "resume"]);
    until("it is there", || {
        here.output(&["--data", "a", "get", "notes", "n1"], b"").status.success()
    });
    assert!(here.ok(&["--url", &b.url, "links"]).contains("connected"));
}

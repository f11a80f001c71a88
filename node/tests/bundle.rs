//! Changes carried in a file, from the command line.

mod common;

use common::{Sandbox, ask, stations};
use serde_json::json;

fn shown(here: &Sandbox, data: &str) -> serde_json::Value {
    here.json(&["--data", data, "status", "--digests"])["state"].clone()
}

fn key(here: &Sandbox, data: &str) -> String {
    here.ok(&["--data", data, "id"]).split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_stick_carries_changes_between_stores_that_never_meet() {
    let here = Sandbox::new();
    let file = stations().display().to_string();
    here.ok(&["--data", "a", "import", "stations", &file, "--id", "id", "--set", "tags"]);
    here.ok(&["--data", "b", "put", "notes", "n1", r#"{"title": "Low tide"}"#]);
    // The whole way: what b has, what it lacks, into b.
    here.ok(&["--data", "b", "bundle", "have", "need"]);
    let made = here.json(&["--data", "a", "bundle", "create", "stick", "--since", "need"]);
    assert_eq!(made["collections"][0]["name"], "stations");
    let applied = here.json(&["--data", "b", "bundle", "apply", "stick"]);
    assert_eq!(applied["collections"][0]["new"], made["collections"][0]["transactions"]);
    here.ok(&["--data", "b", "bundle", "create", "back"]);
    here.ok(&["--data", "a", "bundle", "apply", "back"]);
    assert_eq!(shown(&here, "a"), shown(&here, "b"));
    // And on from the bundle before.
    here.ok(&["--data", "a", "delete", "notes", "n1"]);
    let next = here.json(&["--data", "a", "bundle", "create", "next", "--since", "stick"]);
    assert_eq!(next["collections"][1]["transactions"], 0);
    here.ok(&["--data", "b", "bundle", "apply", "next"]);
    let again = here.ok(&["--data", "b", "bundle", "apply", "next"]);
    assert!(again.contains("0 new transactions"), "{again}");
    assert_eq!(shown(&here, "a"), shown(&here, "b"));
    let left = std::fs::read_dir(here.dir.path()).unwrap();
    let parts = left
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 0);
}

#[test]
fn what_is_in_a_bundle_is_told_with_and_without_a_store() {
    let here = Sandbox::new();
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"x": 1}"#]);
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"x": 2}"#]);
    here.ok(&["--data", "a", "bundle", "create", "stick"]);
    let told = here.json(&["--data", "nowhere", "bundle", "inspect", "stick"]);
    let one = &told["collections"][0];
    assert_eq!(told["maker"], key(&here, "a").as_str());
    assert_eq!((&one["transactions"], &one["since"]), (&json!(2), &json!(0)));
    assert_eq!(one["authors"][0]["last"], 2);
    assert_eq!(one.get("new"), None);
    let text = here.ok(&["bundle", "inspect", "stick"]);
    for words in ["notes: 2 transactions", "complete", "1 to 2"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    here.fails(6, &["--data", "nowhere", "bundle", "inspect", "stick", "--new"]);
    here.ok(&["--data", "b", "put", "plans", "p1", "{}"]);
    let new = |data: &str| {
        let told = here.json(&["--data", data, "bundle", "inspect", "stick", "--new"]);
        told["collections"][0]["new"].clone()
    };
    assert_eq!((new("b"), new("a")), (json!(2), json!(0)));
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_a_sentence() {
    let here = Sandbox::new();
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"x": 1}"#]);
    here.ok(&["--data", "a", "bundle", "create", "stick"]);
    let whole = std::fs::read(here.path("stick")).unwrap();
    let torn = here.file("torn", &whole[..whole.len() - 20]);
    for step in ["apply", "inspect"] {
        let sentence = here.fails(6, &["--data", "b", "bundle", step, &torn]);
        assert!(sentence.contains("cut short") && sentence.contains("copy it again"), "{sentence}");
    }
    let other = here.file("other", "what is this");
    assert!(here.fails(5, &["bundle", "apply", &other]).contains("not a bundle"));
    here.fails(5, &["--data", "a", "bundle", "create", "new", "--since", &other]);
    assert!(!here.path("new").exists(), "nothing is left of what failed");
    here.fails(1, &["--data", "c", "bundle", "apply", "missing"]);
    assert!(!here.path("c").exists(), "no store is made for what is not there");
    here.fails(3, &["--data", "a", "bundle", "create", "new", "--collections", "plans"]);
    // A bundle that goes on from another one.
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"x": 2}"#]);
    here.ok(&["--data", "a", "bundle", "create", "second", "--since", "stick"]);
    let sentence = here.fails(1, &["--data", "c", "bundle", "apply", "second"]);
    assert!(sentence.contains("littoral bundle have"), "{sentence}");
    here.ok(&["--data", "c", "bundle", "apply", "stick"]);
    here.ok(&["--data", "c", "bundle", "apply", "second"]);
    assert_eq!(shown(&here, "c"), shown(&here, "a"));
}

#[test]
fn a_running_node_makes_and_applies_bundles() {
    let here = Sandbox::new();
    here.ok(&["--data", "b", "put", "notes", "n1", r#"{"x": 1}"#]);
    let node = here.run("a", &[]);
    let file = stations().display().to_string();
    here.ok(&["--data", "a", "import", "stations", &file, "--id", "id"]);
    here.ok(&["--data", "b", "bundle", "have", "need"]);
    let made = here.json(&["--data", "a", "bundle", "create", "stick", "--since", "need"]);
    assert_eq!(made["collections"][0]["documents"], 3161);
    here.ok(&["--data", "b", "bundle", "apply", "stick"]);
    here.ok(&["--url", &node.url, "bundle", "have", "have"]);
    here.ok(&["--data", "b", "bundle", "create", "back", "--since", "have"]);
    let told = here.json(&["--data", "a", "bundle", "inspect", "back", "--new"]);
    assert_eq!(told["collections"][0]["new"], 1);
    let applied = here.json(&["--data", "a", "bundle", "apply", "back"]);
    assert_eq!(applied["collections"][0]["new"], 1);
    assert_eq!(shown(&here, "a"), shown(&here, "b"));
    // Errors come back as they are.
    let whole = std::fs::read(here.path("stick")).unwrap();
    let torn = here.file("torn", &whole[..whole.len() / 2]);
    assert!(here.fails(6, &["--data", "a", "bundle", "apply", &torn]).contains("copy it again"));
    here.fails(3, &["--data", "a", "bundle", "create", "new", "--collections", "plans"]);
    let refused = here.file("other", vec![b'x'; 3 << 20]);
    here.fails(5, &["--data", "a", "bundle", "apply", &refused]);
    // What a web page could send is refused.
    let answer = ask(
        "POST",
        &format!("{}/bundle/apply", node.url),
        &[("content-type", "text/plain")],
        Some("x"),
    );
    assert_eq!((answer.status, &answer.body["error"]["code"]), (415, &json!("not-bytes")));
    node.stop();
    assert!(here.json(&["--data", "a", "get", "notes", "n1"])["doc"]["x"] == 1);
}

#[test]
fn a_snapshot_asks_for_the_word_that_its_maker_is_known() {
    let here = Sandbox::new();
    // A budget of 1 MiB, and much more than that, which can't be packed.
    let node = here.run("a", &["--log-budget", "1", "--log-days", "0"]);
    let mut noise = vec![0; 600_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let big = data_encoding::BASE64.encode(&noise);
    for n in 0..40 {
        let document = format!(r#"{{"n": {n}, "big": "{n}{big}"}}"#);
        here.ok_with(&["--url", &node.url, "put", "notes", "n1", "-"], document.as_bytes());
    }
    node.stop();
    let sentence = here.fails(3, &["--data", "a", "bundle", "create", "stick", "--no-snapshots"]);
    assert!(sentence.contains("--no-snapshots"), "{sentence}");
    let made = here.json(&["--data", "a", "bundle", "create", "stick"]);
    assert_eq!(made["collections"][0]["snapshot"], true);
    let sentence = here.fails(7, &["--data", "b", "bundle", "apply", "stick"]);
    assert!(sentence.contains("--from KEY"), "{sentence}");
    let key = key(&here, "a");
    here.ok(&["--data", "b", "bundle", "apply", "stick", "--from", &key]);
    assert_eq!(shown(&here, "a"), shown(&here, "b"));
}

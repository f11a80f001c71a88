//! Backups from the command line and over HTTP, and kills in the middle of them.

mod common;

use std::process::Stdio;

use common::{Sandbox, ask, stations};
use serde_json::json;

fn shown(here: &Sandbox, data: &str) -> serde_json::Value {
    here.json(&["--data", data, "status", "--digests"])["state"].clone()
}

fn names(here: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(here.dir.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_store_is_backed_up_checked_and_restored() {
    let here = Sandbox::new();
    let file = stations().display().to_string();
    here.ok(&["--data", "a", "import", "stations", &file, "--id", "id", "--set", "tags"]);
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"views": {"$counter": 7}}"#]);
    let made = here.json(&["--data", "a", "backup", "it"]);
    assert_eq!((&made["documents"], &made["peers"]), (&json!(3162), &json!(0)));
    assert_eq!(made["collections"][1]["name"], "stations");
    assert_eq!(made["bytes"], std::fs::metadata(here.path("it")).unwrap().len());
    assert_eq!(here.json(&["--data", "nowhere", "backup", "--check", "it"]), made);
    let text = here.ok(&["backup", "it", "--check"]);
    for words in ["3,162 documents in 2 collections", "stations: 3,161 documents", "whole"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let restored = here.json(&["restore", "it", "b"]);
    assert_eq!(restored["backup"], made);
    let id = here.ok(&["--data", "b", "id"]);
    assert_eq!(id.split_whitespace().next().unwrap(), restored["node"].as_str().unwrap());
    assert_ne!(made["node"], restored["node"]);
    assert_eq!(shown(&here, "a"), shown(&here, "b"));
    assert!(here.ok(&["--data", "b", "verify"]).contains("the store is sound"));
    let text = here.ok(&["restore", "it", "c"]);
    assert!(text.contains("all of it is in c now") && text.contains("trust"), "{text}");
    // All three count, and none counts what another has.
    for data in ["a", "b", "c"] {
        here.ok(&["--data", data, "increment", "notes", "n1", "/views"]);
    }
    for (from, to) in [("b", "a"), ("c", "a"), ("a", "b"), ("a", "c")] {
        here.ok(&["--data", from, "bundle", "create", "stick"]);
        let key = here.ok(&["--data", from, "id"]).split_whitespace().next().unwrap().to_owned();
        here.ok(&["--data", to, "bundle", "apply", "stick", "--from", &key]);
    }
    for data in ["a", "b", "c"] {
        let views = here.json(&["--data", data, "get", "notes", "n1"])["doc"]["views"].clone();
        assert_eq!(views, json!({"$counter": 10}), "{data}");
    }
    assert_eq!(names(&here), ["a", "b", "c", "it", "stick"]);
}

#[test]
fn what_is_wrong_is_said_in_a_sentence_and_leaves_nothing() {
    let here = Sandbox::new();
    here.ok(&["--data", "a", "put", "notes", "n1", r#"{"x": 1}"#]);
    here.ok(&["--data", "a", "backup", "it"]);
    let whole = std::fs::read(here.path("it")).unwrap();
    let torn = here.file("torn", &whole[..whole.len() - 20]);
    for command in [&["backup", "--check", &torn][..], &["restore", &torn, "b"]] {
        let sentence = here.fails(6, command);
        assert!(sentence.contains("cut short"), "{sentence}");
    }
    let other = here.file("other", "what is this");
    assert!(here.fails(5, &["restore", &other, "b"]).contains("not a backup"));
    assert!(here.fails(5, &["restore", "it", "a"]).contains("not empty"));
    here.fails(1, &["restore", "missing", "b"]);
    here.fails(6, &["--data", "nowhere", "backup", "new"]);
    assert_eq!(names(&here), ["a", "it", "other", "torn"]);
    // In an empty directory, with a key that has a passphrase.
    std::fs::create_dir(here.path("b")).unwrap();
    let mut command = here.command(&["restore", "it", "b"]);
    assert!(command.env("LITTORAL_PASSPHRASE", "open").output().unwrap().status.success());
    let key = std::fs::read_to_string(here.path("b/node.key")).unwrap();
    assert!(key.contains("ENCRYPTED"), "{key}");
}

#[test]
fn a_running_node_is_backed_up_while_it_is_written_to() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let file = stations().display().to_string();
    here.ok(&["--data", "a", "import", "stations", &file, "--id", "id"]);
    let mut import = here
        .command(&["--data", "a", "import", "more", &file, "--id", "id", "--batch", "50"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for n in 0..3 {
        let name = format!("it{n}");
        let made = here.json(&["--url", &node.url, "backup", &name, "--no-peers"]);
        assert_eq!(here.json(&["backup", "--check", &name]), made);
        let dir = format!("b{n}");
        here.ok(&["restore", &name, &dir]);
        here.ok(&["--data", &dir, "verify", "--quick"]);
        let more = here.json(&["--data", &dir, "status"])["collections"].clone();
        let more = more.as_array().unwrap().iter().find(|one| one["name"] == "more").cloned();
        let documents = more.map_or(0, |one| one["documents"].as_u64().unwrap());
        // Whole transactions of the import.
        assert!(documents % 50 == 0 || documents == 3161, "{documents}");
    }
    assert!(import.wait().unwrap().success());
    here.ok(&["--data", "a", "backup", "last"]);
    here.ok(&["restore", "last", "c"]);
    assert_eq!(shown(&here, "a"), shown(&here, "c"));
    let answer = ask("GET", &format!("{}/backup?what=1", node.url), &[], None);
    assert_eq!(answer.status, 400);
}

/// Killed again and again, later each time: there is a whole one, or none.
#[test]
fn backups_and_restores_that_are_killed_leave_a_whole_one_or_none() {
    let here = Sandbox::new();
    let file = stations().display().to_string();
    for name in ["a", "b", "c"] {
        here.ok(&["--data", "a", "import", name, &file, "--id", "id"]);
    }
    here.ok(&["--data", "a", "backup", "it"]);
    let whole = std::fs::metadata(here.path("it")).unwrap().len();
    let size = |name: &str| {
        let found = std::fs::metadata(here.path(name));
        found.map_or(0, |found| found.len())
    };
    let state = size("a/state.redb");
    for quarter in 0..4 {
        for (args, part, enough) in [
            (&["--data", "a", "backup", "new"][..], "new.part", whole * quarter / 4),
            (&["restore", "it", "r"], "r.part/state.redb", state * quarter / 4),
        ] {
            let mut child = here.command(args).stdout(Stdio::null()).spawn().unwrap();
            while size(part) <= enough && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            let _ = child.kill();
            child.wait().unwrap();
        }
        if here.path("new").exists() {
            here.ok(&["backup", "--check", "new"]);
            std::fs::remove_file(here.path("new")).unwrap();
        }
        if here.path("r").exists() {
            assert_eq!(shown(&here, "r"), shown(&here, "a"));
            std::fs::remove_dir_all(here.path("r")).unwrap();
        }
    }
    // What they have left does not stand in the way.
    here.ok(&["--data", "a", "backup", "new"]);
    here.ok(&["restore", "new", "r"]);
    assert_eq!(shown(&here, "r"), shown(&here, "a"));
    assert_eq!(names(&here), ["a", "it", "new", "r"]);
}

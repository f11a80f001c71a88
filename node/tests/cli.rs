//! Commands on a store directory, end to end.

mod common;

use common::Sandbox;
use serde_json::json;

#[test]
fn a_document_lives_through_every_command() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", r#"{"title": "Low tide", "tags": {"$set": ["sea"]}}"#]);
    here.ok_with(&["merge", "notes", "n1"], br#"{"place": {"lat": 32.5}}"#);
    here.ok(&["add", "notes", "n1", "/tags", "moon"]);
    here.ok(&["add", "notes", "n1", "/tags", "7"]);
    here.ok(&["remove", "notes", "n1", "/tags", "sea"]);
    assert_eq!(here.ok(&["increment", "notes", "n1", "/views"]), "1\n");
    assert_eq!(here.ok(&["increment", "notes", "n1", "/views", "-3"]), "-2\n");
    let read = here.json(&["get", "notes", "n1"]);
    assert_eq!(
        read["doc"],
        json!({
            "title": "Low tide",
            "tags": {"$set": [7, "moon"]},
            "place": {"lat": 32.5},
            "views": {"$counter": -2},
        })
    );
    assert_eq!(here.ok(&["get", "notes", "n1", "/title"]), "Low tide\n");
    assert_eq!(here.json(&["get", "notes", "n1", "/place/lat"]), json!(32.5));
    here.ok(&["delete", "notes", "n1", "/place"]);
    here.fails(3, &["get", "notes", "n1", "/place"]);
    here.ok(&["rm", "notes", "n1"]);
    here.fails(3, &["get", "notes", "n1"]);
    here.fails(3, &["rm", "notes", "n1"]);
    here.fails(3, &["remove", "notes", "n1", "/tags", "sea"]);
}

#[test]
fn a_scan_is_ordered_and_ranged() {
    let here = Sandbox::new();
    for id in ["b1", "a1", "b2", "c"] {
        here.ok(&["put", "notes", id, "{}"]);
    }
    let ids = |args: &[&str]| {
        let text = here.ok(&[&["--json", "scan", "notes"], args].concat());
        let id = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            entry["id"].as_str().unwrap().to_owned()
        };
        text.lines().map(id).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(&[]), "a1 b1 b2 c");
    assert_eq!(ids(&["--prefix", "b"]), "b1 b2");
    assert_eq!(ids(&["--start", "b1", "--end", "c"]), "b1 b2");
    assert_eq!(ids(&["--reverse", "--limit", "2"]), "c b2");
    assert!(here.ok(&["ls"]).contains("notes"));
    assert_eq!(here.ok(&["ls", "notes", "--limit", "1"]), "a1  {}\n");
}

#[test]
fn a_version_overwrites_only_what_it_saw_or_fails_when_strict() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", r#"{"a": 1, "b": 1}"#]);
    let version = here.json(&["get", "notes", "n1"])["version"].as_str().unwrap().to_owned();
    here.ok(&["merge", "notes", "n1", r#"{"b": 2}"#]);
    let stale = ["put", "notes", "n1", r#"{"a": 9, "b": 1}"#, "--version", &version];
    here.fails(4, &[&stale[..], &["--strict"]].concat());
    here.ok(&stale);
    assert_eq!(here.json(&["get", "notes", "n1"])["doc"], json!({"a": 9, "b": 2}));
    here.fails(4, &["put", "notes", "n1", "{}", "--new"]);
    here.fails(4, &["delete", "notes", "n1", "--version", &version, "--strict"]);
    here.fails(5, &["put", "notes", "n1", "{}", "--version", "?"]);
}

#[cfg(unix)]
#[test]
fn edit_writes_what_the_editor_leaves_and_keeps_what_it_cannot_read() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", r#"{"title": "Low tide"}"#]);
    let edit = |editor: &str| {
        here.command(&["edit", "notes", "n1"]).env("EDITOR", editor).output().unwrap()
    };
    assert_eq!(edit("sed -i s/Low/High/").status.code(), Some(0));
    assert_eq!(here.ok(&["get", "notes", "n1", "/title"]), "High tide\n");
    assert_eq!(String::from_utf8(edit("true").stdout).unwrap(), "nothing changed\n");
    assert_eq!(edit("false").status.code(), Some(1));
    let broken = edit("sed -i s/[{]//");
    assert_eq!(broken.status.code(), Some(5));
    let sentence = String::from_utf8(broken.stderr).unwrap();
    let kept = sentence.trim().rsplit(' ').next().unwrap();
    assert!(std::fs::read_to_string(kept).unwrap().contains("High tide"));
    std::fs::remove_file(kept).unwrap();
    std::fs::remove_dir(std::path::Path::new(kept).parent().unwrap()).unwrap();
    assert_eq!(here.ok(&["get", "notes", "n1", "/title"]), "High tide\n");
}

#[test]
fn changes_resume_where_they_ended() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", "{}"]);
    let first = here.json(&["changes"]);
    assert_eq!(first["id"], "n1");
    assert_eq!(first["local"], true);
    here.ok(&["put", "notes", "n2", "{}"]);
    let next = here.json(&["changes", "--since", &first["position"].to_string()]);
    assert_eq!(next["id"], "n2");
    assert!(here.fails(5, &["changes", "--follow"]).contains("littoral run"));
}

#[test]
fn status_id_conflicts_and_completions_answer() {
    let here = Sandbox::new();
    let key = here.ok(&["id"]).trim().to_owned();
    assert_eq!(key.len(), 52);
    here.ok(&["put", "notes", "n1", "{}"]);
    let status = here.json(&["status", "--digests"]);
    assert_eq!(status["node"], key);
    assert_eq!(status["collections"][0]["documents"], 1);
    assert_eq!(status["state"][0]["shown"].as_str().unwrap().len(), 64);
    assert!(here.ok(&["status"]).contains("notes"));
    assert_eq!(status["log_budget_bytes"], 64 << 20);
    assert!(here.ok(&["compact", "--dry-run"]).contains("in use"));
    let compacted = here.json(&["compact"]);
    assert!(compacted["after_bytes"].as_u64() <= compacted["before_bytes"].as_u64());
    assert!(here.ok(&["status"]).contains("notes"));
    assert_eq!(here.ok(&["conflicts"]), "no conflicts\n");
    here.fails(3, &["resolve", "notes", "n1", "/title", "--take", "1"]);
    here.fails(2, &["resolve", "notes", "n1", "/title"]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(here.ok(&["completions", shell]).contains("littoral"));
    }
    assert!(here.ok(&["--help"]).contains("Exit codes"));
}

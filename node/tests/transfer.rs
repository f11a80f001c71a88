//! Import and export.

mod common;

use common::{Sandbox, stations};
use serde_json::json;

fn shown(here: &Sandbox, collection: &str) -> String {
    let status = here.json(&["status", "--digests"]);
    let state = status["state"].as_array().unwrap();
    let found = state.iter().find(|state| state["name"] == collection).unwrap();
    found["shown"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_exported_reads_back_the_same_in_every_format() {
    let here = Sandbox::new();
    let file = stations().display().to_string();
    here.ok(&["import", "first", &file, "--id", "id", "--set", "tags"]);
    here.ok(&["put", "first", "odd", r#"{"n": "3", "t": "true", "e": "", "c": {"$counter": 4}}"#]);
    let wanted = shown(&here, "first");
    for format in ["jsonl", "json", "csv"] {
        let out = here.path(&format!("out.{format}")).display().to_string();
        let exported = here.json(&["export", "first", &out]);
        assert_eq!(exported["exported"], 3162);
        here.ok(&["import", format, &out, "--id", "id"]);
        assert_eq!(shown(&here, format), wanted, "{format}");
    }
    let text = here.ok(&["export", "first"]);
    here.ok_with(&["import", "piped", "-", "--format", "jsonl", "--id", "id"], text.as_bytes());
    assert_eq!(shown(&here, "piped"), wanted);
}

#[test]
fn importing_again_changes_nothing() {
    let here = Sandbox::new();
    let file = stations().display().to_string();
    let args = ["import", "stations", &file, "--id", "id", "--set", "tags"];
    here.ok(&args);
    let before = here.json(&["status"])["position"].clone();
    here.ok(&args);
    assert_eq!(here.json(&["status"])["position"], before);
}

#[test]
fn a_bad_line_is_named_and_its_batch_is_not_applied_in_part() {
    let here = Sandbox::new();
    let mut lines: Vec<String> = (1..=25).map(|n| format!("{{\"id\": \"d{n:02}\"}}")).collect();
    let bad = ["{\"id\": 1.5}", "{\"id\": \"\"}", "{}", "[1]", "{\"id\": \"x\", \"a\": NaN}"];
    for bad in bad {
        let _ = std::fs::remove_dir_all(here.path("littoral-data"));
        lines[17] = bad.to_owned();
        let file = here.file("bad.jsonl", lines.join("\n"));
        let sentence = here.fails(5, &["import", "notes", &file, "--id", "id", "--batch", "10"]);
        assert!(sentence.contains("line 18:"), "{sentence}");
        assert!(sentence.contains("10 documents before it"), "{sentence}");
        assert_eq!(here.json(&["status"])["collections"][0]["documents"], 10);
    }
    let array = here.file("bad.json", "[{\"id\": \"a\"}, {\"id\": 3, \"id\": 4}]");
    assert!(here.fails(5, &["import", "a", &array, "--id", "id"]).contains("element 2:"));
    let cut = here.file("cut.json", "[{\"id\": \"a\"}, ");
    here.fails(5, &["import", "a", &cut, "--id", "id"]);
    let csv = here.file("bad.csv", "id,n\na,1\nb,1,2\n");
    assert!(here.fails(5, &["import", "a", &csv, "--id", "id"]).contains("line 3"));
    let latin = here.file("latin.csv", b"id,n\na,\xe9\n");
    assert!(here.fails(5, &["import", "a", &latin, "--id", "id"]).contains("UTF-8"));
    let latin = here.file("latin.jsonl", b"{\"a\": 1}\n{\"a\": \"\xe9\"}\n");
    assert!(here.fails(5, &["import", "a", &latin]).contains("line 2:"));
    here.fails(3, &["ls", "a"]);
    here.fails(5, &["import", "a", &here.file("what.txt", "")]);
    here.fails(1, &["import", "a", "missing.jsonl"]);
}

#[test]
fn fields_are_read_as_sets_and_counters() {
    let here = Sandbox::new();
    let args = ["--id", "id", "--set", "tags", "--counter", "views"];
    let lines = here.file("a.jsonl", "{\"id\": 7, \"tags\": [\"x\", \"x\", 1], \"views\": 3}\n\n");
    here.ok(&[&["import", "a", &lines][..], &args].concat());
    let wanted = json!({"tags": {"$set": [1, "x"]}, "views": {"$counter": 3}});
    assert_eq!(here.json(&["get", "a", "7"])["doc"], wanted);
    let cells = here.file("b.csv", "\u{feff}id,tags,views,zip\nk,y; x,3,007\n");
    here.ok(&[&["import", "b", &cells][..], &args].concat());
    let wanted = json!({"tags": {"$set": ["x", "y"]}, "views": {"$counter": 3}, "zip": "007"});
    assert_eq!(here.json(&["get", "b", "k"])["doc"], wanted);
    for bad in [
        "{\"id\": 1, \"tags\": \"x\"}",
        "{\"id\": 1, \"tags\": [[1]]}",
        "{\"id\": 1, \"views\": 0.5}",
    ] {
        let bad = here.file("bad.jsonl", bad);
        here.fails(5, &[&["import", "c", &bad][..], &args].concat());
    }
}

/// What is held of one record is bounded: here a quote that is not closed. (Of arrays, and at the
/// limit and one beyond it: beside the readers.)
#[test]
fn a_record_without_end_is_refused_with_its_place() {
    let here = Sandbox::new();
    let most = littoral::limits::MAX_IMPORT_RECORD_BYTES as usize;
    for (format, begin) in [("csv", "n\n1\n\""), ("jsonl", "{\"n\": 1}\n\"")] {
        let mut text = begin.as_bytes().to_vec();
        text.resize(begin.len() + most + (64 << 10), b'x');
        let output = here.output(&["import", "c", "-", "--format", format, "--id", "n"], &text);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{format}: {said}");
        assert!(said.contains(&format!("over {most} bytes")), "{format}: {said}");
    }
}

#[test]
fn made_ids_differ_and_sort_in_the_order_of_the_file() {
    let here = Sandbox::new();
    let lines: String = (0..500).map(|n| format!("{{\"n\": {n}}}\n")).collect();
    here.ok_with(&["import", "notes", "-", "--format", "jsonl", "--batch", "64"], lines.as_bytes());
    let listed = here.ok(&["--json", "ls", "notes"]);
    let number = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["doc"]["n"].as_u64().unwrap()
    };
    assert_eq!(listed.lines().map(number).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
}

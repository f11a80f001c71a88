//! What is wrong is refused with a sentence and an exit code, and nothing is lost.

mod common;

use common::Sandbox;

#[test]
fn malformed_documents_and_names_change_nothing() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", r#"{"views": {"$counter": 1}, "tags": {"$set": []}}"#]);
    let before = here.ok(&["get", "notes", "n1"]);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65));
    let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(1 << 20));
    let cases: &[(&str, &str)] = &[
        ("", "not JSON"),
        ("[]", "an array"),
        (r#"{"a": NaN}"#, "NaN"),
        (r#"{"a": 1e999}"#, "infinity"),
        (r#"{"a": 1, "a": 2}"#, "a name twice"),
        (r#"{"a": {"$set": 1}}"#, "a set that is none"),
        (r#"{"a": {"$counter": "x"}}"#, "a counter that is none"),
        (r#"{"a": {"$bytes": "?"}}"#, "bytes that are none"),
        (r#"{"a": {"$time": "yesterday"}}"#, "a time that is none"),
        (r#"{"views": 3}"#, "a number over a counter"),
        (&deep, "too deep"),
        (&large, "too large"),
    ];
    for (text, what) in cases {
        for verb in ["put", "merge"] {
            let output = here.output(&[verb, "notes", "n1"], text.as_bytes());
            assert_eq!(output.status.code(), Some(5), "{verb}: {what}");
            let sentence = String::from_utf8(output.stderr).unwrap();
            assert!(sentence.starts_with("littoral: "), "{what}: {sentence}");
        }
    }
    let output = here.output(&["put", "notes", "n1"], b"{\"a\": \"\xff\"}");
    assert_eq!(output.status.code(), Some(5), "text that is not UTF-8");
    assert!(here.fails(5, &["put", "notes", "", "{}"]).contains("empty"));
    assert!(here.fails(5, &["put", "notes", &"x".repeat(513), "{}"]).contains("512"));
    here.ok(&["put", "notes", &"x".repeat(512), "{}"]);
    here.fails(5, &["put", "no/tes", "n1", "{}"]);
    here.fails(2, &["add", "notes", "n1", "tags", "x"]);
    here.fails(5, &["add", "notes", "n1", "/tags", "[1]"]);
    here.fails(5, &["add", "notes", "n1", "/views", "x"]);
    here.fails(5, &["increment", "notes", "n1", "/tags"]);
    here.fails(2, &["increment", "notes", "n1", "/views", "1.5"]);
    here.fails(2, &["nonsense"]);
    assert_eq!(here.ok(&["get", "notes", "n1"]), before);
}

#[test]
fn a_transaction_over_the_limit_is_refused_whole() {
    let here = Sandbox::new();
    let chunk = "x".repeat(1_000_000);
    let lines: String = (0..18).map(|n| format!("{{\"id\": {n}, \"a\": \"{chunk}\"}}\n")).collect();
    let file = here.file("large.jsonl", lines);
    // Batches also end by bytes, so that this is imported all the same.
    here.ok(&["import", "notes", &file, "--id", "id"]);
    let fields: Vec<String> = (0..18).map(|n| format!("\"f{n}\": \"{chunk}\"")).collect();
    let large = here.file("one.jsonl", format!("{{{}}}", fields.join(",")));
    assert!(here.fails(5, &["import", "other", &large]).contains("16777216"));
    here.fails(3, &["ls", "other"]);
}

#[test]
fn unknown_collections_are_named_with_those_there_are() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", "{}"]);
    for args in [&["get", "nope", "n1"][..], &["ls", "nope"], &["export", "nope"]] {
        assert!(here.fails(3, args).contains("notes"), "{args:?}");
    }
    here.fails(3, &["conflicts", "nope"]);
    here.fails(3, &["resolve", "nope", "n1", "/a", "--take", "1"]);
    here.fails(3, &["rm", "nope", "n1"]);
}

#[test]
fn what_is_no_store_is_left_alone() {
    let here = Sandbox::new();
    assert!(here.fails(6, &["get", "notes", "n1"]).contains("no store"));
    assert!(!here.path("littoral-data").exists());
    std::fs::create_dir(here.path("mine")).unwrap();
    here.file("mine/photo.jpg", "mine");
    for args in [&["get", "a", "b"][..], &["put", "a", "b", "{}"], &["run"]] {
        here.fails(6, &[&["--data", "mine"], args].concat());
    }
    assert_eq!(std::fs::read_dir(here.path("mine")).unwrap().count(), 1);
    here.fails(6, &["--data", "mine/photo.jpg", "get", "a", "b"]);
}

#[test]
fn a_store_of_a_newer_format_says_what_to_do() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n1", "{}"]);
    let mark = here.path("littoral-data/littoral.store");
    std::fs::write(&mark, "littoral store, format 99\n").unwrap();
    assert!(here.fails(6, &["get", "notes", "n1"]).contains("newer"));
    std::fs::write(&mark, "littoral store, format 1\n").unwrap();
    here.ok(&["get", "notes", "n1"]);
}

#[test]
fn a_store_locked_by_another_program_is_reported_also_with_a_stale_node_file() {
    let here = Sandbox::new();
    let data = here.path("littoral-data");
    let store = littoral::Store::open(&data).unwrap();
    assert!(here.fails(6, &["get", "notes", "n1"]).contains("open in another process"));
    let stale = r#"{"pid": 1, "http": "http://127.0.0.1:9", "listen": null, "key": "x"}"#;
    here.file("littoral-data/node.json", stale);
    here.fails(6, &["get", "notes", "n1"]);
    drop(store);
    here.ok(&["put", "notes", "n1", "{}"]);
}

#[test]
fn a_node_that_is_not_there_or_none_is_a_network_error() {
    let here = Sandbox::new();
    here.fails(7, &["--url", "http://127.0.0.1:9", "get", "notes", "n1"]);
    here.fails(5, &["--url", "https://127.0.0.1:9", "get", "notes", "n1"]);
    let text = here.output(&["--json", "--url", "http://127.0.0.1:9", "status"], b"").stderr;
    let failure: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(failure["error"]["code"], "network");
}

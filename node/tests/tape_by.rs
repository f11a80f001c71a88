//! Taking back what one node did, on nodes that run and sync.

mod common;

use common::{Running, Sandbox, ask};
use serde_json::{Value as Json, json};

fn sync(node: &Running) {
    let url = format!("{}/sync", node.url);
    let done = ask("POST", &url, &[], Some(&json!({"wait": 60}).to_string()));
    assert_eq!(done.status, 200, "{}", done.body);
    let all = done.body["peers"].as_array().unwrap();
    assert!(all.iter().all(|one| one["synced"] == true), "{}", done.body);
}

fn shown(here: &Sandbox, node: &Running) -> Json {
    let status = here.json(&["--url", &node.url, "status", "--digests"]);
    let of = |one: &Json| (one["name"].clone(), one["shown"].clone());
    status["state"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(name, shown)| json!([name, shown]))
        .collect()
}

/// `LITTORAL_REVERT` asks for more documents.
#[test]
fn a_bad_import_by_one_node_is_taken_back_on_another_while_others_edit() {
    let count = std::env::var("LITTORAL_REVERT").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let wrongs = count / 5;
    let here = Sandbox::new();
    let key = |data: &str| here.json(&["--data", data, "id"])["key"].as_str().unwrap().to_owned();
    let (bad, other) = (key("bad"), key("other"));
    let a = here.run("a", &["--peer", &bad, "--peer", &other]);
    let b = here.run("bad", &["--peer", &a.address()]);
    let c = here.run("other", &["--peer", &a.address()]);
    let lines = |count: usize, depth: i64| {
        let line = |n| format!("{}\n", json!({"id": format!("s{n:06}"), "depth": depth}));
        (0..count).map(line).collect::<String>()
    };
    let good = here.file("good.jsonl", lines(count, 7));
    let wrong = here.file("wrong.jsonl", lines(wrongs, -9999));
    here.ok(&["--url", &c.url, "import", "stations", &good, "--id", "id"]);
    for node in [&a, &b, &c] {
        sync(node);
    }
    let depth = |node: &Running, n: usize| {
        let id = format!("s{n:06}");
        here.ok(&["--url", &node.url, "get", "stations", &id, "/depth"]).trim().to_owned()
    };
    here.ok(&["--url", &a.url, "checkpoint", "before"]);
    here.ok(&["--url", &b.url, "import", "stations", &wrong, "--id", "id"]);
    here.ok(&["--url", &b.url, "put", "stations", "nowhere", r#"{"depth": -9999}"#]);
    for node in [&b, &c, &a, &c] {
        sync(node);
    }
    assert_eq!(depth(&c, 0), "-9999");
    // One is put right by hand, and others write beside the wrong values.
    here.ok(&["--url", &c.url, "merge", "stations", "s000000", r#"{"depth": 8}"#]);
    let seen = |n: usize, value: i64| {
        let (id, fields) = (format!("s{n:06}"), json!({"seen": value}).to_string());
        here.ok(&["--url", &c.url, "merge", "stations", &id, &fields])
    };
    (0..wrongs).step_by(wrongs / 4).for_each(|n| drop(seen(n, 1)));
    sync(&c);

    let plan = here.ok(&["--url", &a.url, "--json", "revert", "before", "--by", &bad, "--dry-run"]);
    let plan: Vec<Json> = plan.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(plan.len(), wrongs + 1);
    let of = |id: &str| plan.iter().find(|one| one["id"] == id).unwrap();
    assert_eq!(of("s000000")["kept"][0]["author"], json!(other));
    assert_eq!(of("s000002")["written"][0]["author"], json!(bad));
    let text = here.ok(&["--url", &a.url, "revert", "before", "--by", &bad[..12], "--dry-run"]);
    assert!(text.contains("/depth is kept  (by "), "{text}");

    let going = std::thread::scope(|scope| {
        let edited = (1..wrongs).step_by(wrongs / 4);
        let editing = scope.spawn(|| edited.inspect(|n| drop(seen(*n, 2))).count());
        let done = here.json(&["--url", &a.url, "revert", "before", "--by", &bad, "--yes"]);
        assert_eq!((&done["documents"], &done["kept"]), (&json!(wrongs), &json!(1)));
        editing.join().unwrap()
    });
    assert!(going >= 4);
    for node in [&c, &a, &b, &c] {
        sync(node);
    }
    for node in [&a, &b, &c] {
        assert_eq!(depth(node, 0), "8");
        assert!((1..count).step_by(count / 10).all(|n| depth(node, n) == "7"));
        let at = |n: usize| {
            let id = format!("s{n:06}");
            here.json(&["--url", &node.url, "get", "stations", &id])["doc"]["seen"].clone()
        };
        assert_eq!((at(0), at(1)), (json!(1), json!(2)));
        assert_eq!(shown(&here, node), shown(&here, &a));
        let scan = here.ok(&["--url", &node.url, "--json", "scan", "stations"]);
        assert_eq!(scan.lines().count(), count);
        assert!(!scan.contains("-9999"));
    }
    let again = here.ok(&["--url", &a.url, "revert", "before", "--by", &bad, "--yes"]);
    assert!(again.contains("nothing is left to take back"), "{again}");
    let sentence = here.fails(3, &["--url", &a.url, "revert", "before", "--by", "nobody", "--yes"]);
    assert!(sentence.contains("no member is called so"), "{sentence}");
}

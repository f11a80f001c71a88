//! Nodes as processes, with many documents: first sync, edits on both sides, and kills.

mod common;

use std::fmt::Write;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask};
use littoral::{ScanRange, Store};

/// Far longer than anything here needs, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(300);

/// Asks again until `ready` holds: another process can't be waited for otherwise.
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !ready() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A figure of the collection `notes` at a node; 0 before the collection is there.
fn figure(node: &Running, name: &str) -> u64 {
    let status = ask("GET", &format!("{}/status", node.url), &[], None).body;
    let collections = status["collections"].as_array().unwrap();
    collections.iter().find(|c| c["name"] == "notes").map_or(0, |c| c[name].as_u64().unwrap())
}

fn documents(count: usize) -> String {
    let mut lines = String::new();
    for n in 0..count {
        let tags = ["sea", "moon", "tide"][n % 3];
        writeln!(
            lines,
            r#"{{"id":"n{n:06}","title":"note {n}","tags":["{tags}"],"rank":{}}}"#,
            n % 7
        )
        .unwrap();
    }
    lines
}

fn import(here: &Sandbox, data: &str, count: usize, batch: &str) {
    let file = here.file("notes.jsonl", documents(count));
    let args = ["import", "notes", &file, "--id", "id", "--set", "tags", "--batch", batch];
    here.ok(&[&["--data", data][..], &args].concat());
}

fn patch(node: &Running, n: usize, body: &str) {
    let url = format!("{}/collections/notes/docs/n{n:06}", node.url);
    assert_eq!(ask("PATCH", &url, &[], Some(body)).status, 200);
}

/// Stops both, and checks in their stores that they hold the same.
fn assert_same(here: &Sandbox, count: u64, nodes: [Running; 2]) -> [Store; 2] {
    for node in nodes {
        node.stop();
    }
    let stores = ["a", "b"].map(|name| Store::open(here.path(name)).unwrap());
    let [a, b] = stores.each_ref().map(|store| store.digests("notes").unwrap());
    assert_eq!(a, b);
    for store in &stores {
        let notes = store.collection("notes").unwrap();
        assert_eq!(notes.len(), count);
        assert_eq!(notes.scan(&ScanRange::default()).unwrap().count() as u64, count);
        store.check_rows().unwrap();
    }
    stores
}

#[test]
fn a_hundred_thousand_documents_sync_and_then_both_sides_edit() {
    let here = Sandbox::new();
    import(&here, "a", 100_000, "1000");
    let key = here.ok(&["--data", "b", "id"]).trim().to_owned();
    let a = here.run("a", &["--peer", &key]);
    let b = here.run("b", &["--peer", &a.address()]);
    until("the first sync", || figure(&b, "transactions") == 100);
    assert_eq!(figure(&b, "documents"), 100_000);

    std::thread::scope(|scope| {
        scope.spawn(|| (0..1000).for_each(|n| patch(&a, n, &format!(r#"{{"title":"a {n}"}}"#))));
        scope
            .spawn(|| (900..1900).for_each(|n| patch(&b, n, &format!(r#"{{"rank":{}}}"#, n + 10))));
    });
    let all = |node: &Running| figure(node, "transactions") == 2100;
    until("the edits of both sides", || all(&a) && all(&b));
    let [store, _] = assert_same(&here, 100_000, [a, b]);
    let both = store.collection("notes").unwrap().get("n000950").unwrap().unwrap();
    assert_eq!(both["title"].as_str(), Some("a 950"));
    assert_eq!(both["rank"].as_value().unwrap().as_i64(), Some(960));
}

#[test]
fn nodes_killed_in_the_middle_of_a_sync_converge_after_restart() {
    let here = Sandbox::new();
    import(&here, "a", 40_000, "20");
    let key = here.ok(&["--data", "b", "id"]).trim().to_owned();
    let mut a = here.run("a", &["--peer", &key]);
    for part in 1..=3u64 {
        let b = here.run("b", &["--peer", &a.address()]);
        until("a part of the sync", || figure(&b, "documents") > part * 3_000);
        if part == 2 {
            a.kill();
            a = here.run("a", &["--peer", &key]);
        }
        b.kill();
        let store = Store::open(here.path("b")).unwrap();
        let notes = store.collection("notes").unwrap();
        assert!(notes.len() > part * 3_000, "what was shown is still there");
        assert!(notes.len().is_multiple_of(20), "whole transactions");
        store.check_rows().unwrap();
    }
    let b = here.run("b", &["--peer", &a.address()]);
    until("the rest", || figure(&b, "transactions") == 2_000);
    assert_same(&here, 40_000, [a, b]);
}

#[test]
fn an_import_that_is_killed_leaves_whole_batches_and_can_be_done_again() {
    let here = Sandbox::new();
    // Text that does not pack: the log is looked at while it grows.
    let mut chance = 1u64;
    let mut noise = || {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", chance >> 32)
    };
    let mut note = |n: usize| {
        let text: String = (0..16).map(|_| noise()).collect();
        format!("{{\"id\":\"n{n:05}\",\"text\":\"{text}\"}}\n")
    };
    let file = here.file("notes.jsonl", (0..60_000).map(&mut note).collect::<String>());
    let args = ["--data", "a", "import", "notes", &file, "--id", "id", "--batch", "500"];
    let mut import = here.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
    // Its log grows with each batch that is durable.
    let written = || -> u64 {
        let log = std::fs::read_dir(here.path("a").join("log")).into_iter().flatten();
        log.map(|file| file.unwrap().metadata().map_or(0, |data| data.len())).sum()
    };
    until("some of the import", || written() > 2 << 20);
    import.kill().unwrap();
    import.wait().unwrap();
    let store = Store::open(here.path("a")).unwrap();
    let notes = store.collection("notes").unwrap();
    assert!(!notes.is_empty() && notes.len().is_multiple_of(500), "{}", notes.len());
    store.check_rows().unwrap();
    drop((notes, store));
    here.ok(&args);
    let store = Store::open(here.path("a")).unwrap();
    assert_eq!(store.collection("notes").unwrap().len(), 60_000);
    store.check_rows().unwrap();
}

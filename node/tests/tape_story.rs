//! The story that the tape is for: somebody sees a replica lag, marks the moment, applies a batch,
//! finds that something is wrong with it, goes back, and applies it again as it should be.

mod common;

use common::{Running, Sandbox, ask, until};
use serde_json::{Value as Json, json};

const COUNT: usize = 400;

/// What each collection shows, in the order of names.
fn shown(here: &Sandbox, node: &Running) -> Vec<Json> {
    let status = here.json(&["--url", &node.url, "status", "--digests"]);
    let state = status["state"].as_array().unwrap().iter();
    state.map(|one| json!([one["name"], one["shown"]])).collect()
}

/// How many transactions a node knows that its peers lack.
fn lag(here: &Sandbox, node: &Running) -> u64 {
    let status = here.json(&["--url", &node.url, "status"]);
    let standings = status["running"]["standings"].as_array().unwrap().iter();
    standings.map(|one| one["lag_transactions"].as_u64().unwrap()).sum()
}

#[test]
fn an_operator_goes_back_and_applies_the_batch_again() {
    let here = Sandbox::new();
    let key = |data: &str| here.json(&["--data", data, "id"])["key"].as_str().unwrap().to_owned();
    let edge_key = key("edge");
    let hub = here.run("hub", &["--peer", &edge_key]);
    let edge = here.run("edge", &["--peer", &hub.address()]);
    let lines = |depth: &dyn Fn(usize) -> i64| {
        let line = |n| format!("{}\n", json!({"id": format!("s{n:04}"), "depth": depth(n)}));
        (0..COUNT).map(line).collect::<String>()
    };
    let begin = here.file("begin.jsonl", lines(&|n| n as i64));
    let in_feet = here.file("feet.jsonl", lines(&|n| 3 * n as i64 + 1000));
    let right = here.file("right.jsonl", lines(&|n| n as i64 + 1));
    let sync = |node: &Running| {
        let url = format!("{}/sync", node.url);
        let done = ask("POST", &url, &[], Some(&json!({"wait": 60}).to_string()));
        assert_eq!(done.status, 200, "{}", done.body);
    };
    here.ok(&["--url", &hub.url, "import", "stations", &begin, "--id", "id"]);
    sync(&edge);
    until("the edge has all of it", || shown(&here, &edge) == shown(&here, &hub));
    until("nothing lags", || lag(&here, &hub) == 0);

    // The edge goes away, and somebody at the hub sees it lag.
    edge.stop();
    here.ok(&["--url", &hub.url, "put", "notes", "n1", r#"{"title": "Low tide"}"#]);
    here.ok(&["--url", &hub.url, "merge", "stations", "s0001", r#"{"name": "Quay"}"#]);
    until("the lag is seen", || lag(&here, &hub) > 0);
    // A moment to come back to, and the batch.
    here.ok(&["--url", &hub.url, "checkpoint", "before the batch"]);
    let before = shown(&here, &hub);
    here.ok(&["--url", &hub.url, "import", "stations", &in_feet, "--id", "id"]);
    here.ok(&["--url", &hub.url, "put", "notes", "n2", r#"{"title": "High tide"}"#]);

    // Something is wrong: what has changed, and is it the store?
    let found = here.ok(&["--url", &hub.url, "diff", "before the batch"]);
    assert!(found.contains("401 documents differ"), "{found}");
    let replayed = here.ok(&["--url", &hub.url, "rollback", "before the batch", "--replay"]);
    assert!(replayed.contains("the store is the same"), "{replayed}");
    // It is the batch. What others did beside it stays.
    let args = ["revert", "before the batch", "--collection", "stations", "--yes"];
    here.ok(&[&["--url", &hub.url[..]], &args[..]].concat());
    let after = shown(&here, &hub);
    assert_eq!(after[1], before[1], "the stations are what they were");
    assert_ne!(after[0], before[0], "and the note is there");
    // Again, as it should be.
    here.ok(&["--url", &hub.url, "import", "stations", &right, "--id", "id"]);

    // The edge comes back, and gets all of it.
    let edge = here.run("edge", &["--peer", &hub.address()]);
    sync(&edge);
    until("the edge has all of it", || shown(&here, &edge) == shown(&here, &hub));
    until("nothing lags any more", || lag(&here, &hub) == 0);
    let depth = |node: &Running, n: usize| {
        here.ok(&["--url", &node.url, "get", "stations", &format!("s{n:04}"), "/depth"])
    };
    for n in (0..COUNT).step_by(57) {
        assert_eq!(
            (depth(&edge, n), depth(&hub, n)),
            (format!("{}\n", n + 1), format!("{}\n", n + 1))
        );
    }
    assert_eq!(here.ok(&["--url", &edge.url, "get", "notes", "n2", "/title"]), "High tide\n");
}

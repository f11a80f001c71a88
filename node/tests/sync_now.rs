//! `POST /sync` on built binaries.

mod common;

use common::{Answer, Running, Sandbox, ask};
use serde_json::json;

fn sync(node: &Running, body: serde_json::Value) -> Answer {
    ask("POST", &format!("{}/sync", node.url), &[], Some(&body.to_string()))
}

fn put(node: &Running, id: &str) {
    let url = format!("{}/collections/notes/docs/{id}", node.url);
    assert_eq!(ask("PUT", &url, &[], Some("{\"a\": 1}")).status, 200);
}

#[test]
fn a_sync_tells_what_it_did_and_why_it_could_not() {
    let here = Sandbox::new();
    let key = here.json(&["--data", "a", "id"])["key"].as_str().unwrap().to_owned();
    here.ok(&["--data", "a", "put", "notes", "early", "{}"]);
    let b = here.run("b", &["--peer", &key]);
    let a = here.run("a", &["--peer", &b.address()]);
    // From the side that dialled and from the one that was dialled.
    for (node, peer) in [(&a, &b), (&b, &a)] {
        put(node, &node.key);
        let done = sync(node, json!({"peer": peer.key, "wait": 30}));
        assert_eq!(done.status, 200, "{}", done.body);
        let of = &done.body["peers"][0];
        assert_eq!((&of["peer"], &of["synced"]), (&json!(peer.key), &json!(true)));
        assert_eq!((&of["error"], &of["troubles"]), (&json!(null), &json!({})));
        assert!(done.body["seconds"].as_f64().unwrap() < 30.0);
        let there = format!("{}/collections/notes/docs/{}", peer.url, node.key);
        assert_eq!(ask("GET", &there, &[], None).status, 200);
    }
    let all = sync(&a, json!({"wait": 30}));
    assert_eq!((all.status, &all.body["peers"][0]["synced"]), (200, &json!(true)));
    let begun = sync(&a, json!({"wait": 0}));
    assert_eq!((begun.status, &begun.body["peers"][0]["error"]), (200, &json!(null)));

    let code = |answer: &Answer| answer.body["error"]["code"].as_str().unwrap().to_owned();
    let stranger = here.json(&["--data", "c", "id"])["key"].as_str().unwrap().to_owned();
    let unknown = sync(&a, json!({"peer": stranger}));
    assert_eq!((unknown.status, code(&unknown)), (404, "not-found".to_owned()));
    let own = sync(&a, json!({"peer": a.key}));
    assert_eq!((own.status, code(&own)), (400, "invalid-input".to_owned()));
    for bad in [json!({"peer": "nobody"}), json!({"wait": -1}), json!({"pear": key}), json!([])] {
        assert_eq!(sync(&a, bad.clone()).status, 400, "{bad}");
    }
    b.kill();
    put(&a, "late");
    let gone = sync(&a, json!({"peer": a_peer(&a), "wait": 1}));
    // Whether the link is known to be dead yet is a matter of time.
    assert!(matches!(gone.status, 502 | 504), "{}", gone.body);
    assert!(matches!(code(&gone).as_str(), "network" | "timeout"), "{}", gone.body);
    let all = sync(&a, json!({"wait": 1}));
    assert_eq!((all.status, &all.body["peers"][0]["synced"]), (200, &json!(false)));
    assert!(all.body["peers"][0]["error"]["code"].is_string());
}

fn a_peer(node: &Running) -> String {
    let status = ask("GET", &format!("{}/status", node.url), &[], None).body;
    status["running"]["links"][0]["peer"].as_str().unwrap().to_owned()
}

#[test]
fn a_peer_that_comes_back_is_dialled_at_once() {
    let here = Sandbox::new();
    let key = here.json(&["--data", "a", "id"])["key"].as_str().unwrap().to_owned();
    let b = here.run("b", &["--peer", &key]);
    let (listen, address) = (b.listen.clone(), b.address());
    b.stop();
    let a = here.run("a", &["--peer", &address]);
    put(&a, "n");
    let away = sync(&a, json!({"wait": 1}));
    assert_eq!((away.status, &away.body["peers"][0]["synced"]), (200, &json!(false)));
    let b = here.run_at("b", &listen, &["--peer", &key]);
    let done = sync(&a, json!({"peer": b.key, "wait": 30}));
    assert_eq!(
        (done.status, &done.body["peers"][0]["synced"]),
        (200, &json!(true)),
        "{}",
        done.body
    );
    assert!(done.body["peers"][0]["sent"].as_u64().unwrap() >= 1, "{}", done.body);
    assert!(done.body["peers"][0]["sent_bytes"].as_u64().unwrap() > 0, "{}", done.body);
    let there = format!("{}/collections/notes/docs/n", b.url);
    assert_eq!(ask("GET", &there, &[], None).status, 200);
    // One that only dials us and is away can't be reached from here.
    a.stop();
    let gone = sync(&b, json!({"peer": key, "wait": 1}));
    let code = gone.body["error"]["code"].as_str().unwrap();
    assert_eq!((gone.status, code), (502, "network"), "{}", gone.body);
}

#[test]
fn a_reader_may_not_sync() {
    let here = Sandbox::new();
    let node = here.run("a", &["--http", "0.0.0.0:0"]);
    let url = format!("{}/sync", node.url.replace("0.0.0.0", "127.0.0.1"));
    for (rights, status) in [("read", 403), ("write", 200)] {
        let made = here.json(&["--data", "a", "token", "create", "--rights", rights]);
        let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
        let with = [("authorization", bearer.as_str())];
        assert_eq!(ask("POST", &url, &with, Some("{}")).status, status, "{rights}");
    }
    assert_eq!(ask("POST", &url, &[], Some("{}")).status, 401);
}

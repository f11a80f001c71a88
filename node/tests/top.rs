//! `littoral top` where it prints once: what a node does, for people and for programs.

mod common;

use common::{Sandbox, ask};

#[test]
fn a_node_is_watched_and_a_store_alone_is_not() {
    let here = Sandbox::new();
    let node = here
        .run("a", &["--peer", "127.0.0.1:9#k5fhmkfhdwcyhkhz6wqhpvbqrzb6ux57cjtzpuqrnfpcfvvcl6ga"]);
    let put = |id: &str| {
        let url = format!("{}/collections/notes/docs/{id}", node.url);
        assert_eq!(ask("PUT", &url, &[], Some("{}")).status, 200);
    };
    put("one");
    let shown = here.ok(&["--data", "a", "top", "--every", "0.1"]);
    for part in ["runs for", "transactions applied", "notes", "in 0 documents", "state", "peer"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "nothing steers a terminal that is none: {shown:?}");
    // From afar, and for programs.
    let told = here.json(&["--url", &node.url, "top", "--every", "0.1"]);
    assert_eq!(told["status"]["node"], node.key);
    assert_eq!(told["per_second"]["collections"]["notes"], 0.0);
    here.fails(2, &["--data", "a", "top", "--every", "0"]);
    node.stop();
    let why = here.fails(3, &["--data", "a", "top"]);
    assert!(why.contains("no node runs"), "{why}");
}

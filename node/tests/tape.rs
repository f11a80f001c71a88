//! Checkpoints, the past and the way back: on a store, and through a node that runs.

mod common;

use std::fmt::Write as _;

use common::{Running, Sandbox, ask, stations};
use serde_json::{Value as Json, json};

/// Where commands go.
enum Door {
    Store(Sandbox),
    Node(Sandbox, Running),
}

impl Door {
    /// The same twice: on a store, and through the node on one.
    fn both() -> [Door; 2] {
        let (near, far) = (Sandbox::new(), Sandbox::new());
        let node = far.run("far", &[]);
        [Door::Store(near), Door::Node(far, node)]
    }

    fn here(&self) -> &Sandbox {
        match self {
            Door::Store(here) | Door::Node(here, _) => here,
        }
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        match self {
            Door::Store(_) => [&["--data", "near"], args].concat(),
            Door::Node(_, node) => [&["--url", &node.url], args].concat(),
        }
    }

    fn ok(&self, args: &[&str]) -> String {
        self.here().ok(&self.args(args))
    }

    fn json(&self, args: &[&str]) -> Json {
        self.here().json(&self.args(args))
    }

    /// JSON of each line.
    fn lines(&self, args: &[&str]) -> Vec<Json> {
        let text = self.ok(&[&["--json"], args].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn fails(&self, code: i32, args: &[&str]) -> String {
        self.here().fails(code, &self.args(args))
    }

    fn shown(&self) -> Json {
        self.json(&["status", "--digests"])["state"].clone()
    }
}

/// Stations of which some have a wrong name, one is new, and no other field.
fn bad_batch(count: usize) -> String {
    let file = std::fs::read_to_string(stations()).unwrap();
    let mut bad = String::new();
    for line in file.lines().take(count) {
        let mut station: Json = serde_json::from_str(line).unwrap();
        station["name"] = json!("WRONG");
        writeln!(bad, "{station}").unwrap();
    }
    writeln!(bad, "{}", json!({"id": "nowhere", "name": "WRONG"})).unwrap();
    bad
}

#[test]
fn an_operator_takes_back_a_bad_import() {
    for door in Door::both() {
        let good = stations().display().to_string();
        let bad = door.here().file("bad.jsonl", bad_batch(1000));
        door.ok(&["import", "stations", &good, "--id", "id", "--set", "tags"]);
        door.ok(&["put", "notes", "n1", r#"{"title": "Low tide", "views": {"$counter": 3}}"#]);
        let before = door.shown();

        let made = door.json(&["checkpoint", "before the import"]);
        assert_eq!(
            (&made["label"], &made["automatic"]),
            (&json!("before the import"), &json!(false))
        );
        door.ok(&["import", "stations", &bad, "--id", "id"]);
        door.ok(&["delete", "notes", "n1"]);
        assert_ne!(door.shown(), before);

        // Something is wrong: what changed?
        let found = door.lines(&["diff", "before the import"]);
        assert_eq!(found.len(), 1002);
        assert_eq!((&found[0]["id"], &found[0]["after"]), (&json!("n1"), &json!(null)));
        assert_eq!(found[0]["before"]["views"], json!({"$counter": 3}));
        let new = found.iter().find(|one| one["id"] == "nowhere").unwrap();
        assert_eq!((&new["before"], &new["after"]["name"]), (&json!(null), &json!("WRONG")));
        let text = door.ok(&["diff", "before the import", "--collection", "stations"]);
        for words in
            ["+ stations/nowhere  {", "~ stations/", "→ \"WRONG\"", "1,001 documents differ"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }

        // It is looked at before it is done, and nobody does it by accident.
        let plan = door.lines(&["revert", "before the import", "--dry-run"]);
        assert_eq!(plan.len(), 1002);
        let new = plan.iter().find(|one| one["id"] == "nowhere").unwrap();
        assert_eq!((&new["before"]["name"], &new["after"]), (&json!("WRONG"), &json!(null)));
        let sentence = door.fails(5, &["revert", "before the import"]);
        assert!(sentence.contains("--dry-run") && sentence.contains("--yes"), "{sentence}");
        assert_eq!(door.lines(&["diff", "before the import"]).len(), 1002);

        let done = door.json(&["revert", "before the import", "--yes"]);
        assert_eq!((&done["documents"], &done["left"]), (&json!(1002), &json!([])));
        assert!(done["transactions"].as_u64().unwrap() >= 4, "{done}");
        let shown = |state: &Json| {
            let digests = state.as_array().unwrap().iter();
            digests.map(|one| (one["name"].clone(), one["shown"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(shown(&door.shown()), shown(&before));
        assert!(door.ok(&["diff", "before the import"]).contains("nothing differs"));
        let again = door.ok(&["revert", "before the import", "--yes"]);
        assert!(again.contains("nothing differs"), "{again}");
    }
}

#[test]
fn the_past_is_read_and_checkpoints_come_and_go() {
    for door in Door::both() {
        door.ok(&["put", "notes", "n1", r#"{"title": "one", "tags": {"$set": ["sea"]}}"#]);
        door.ok(&["put", "notes", "n2", r#"{"title": "two"}"#]);
        assert!(door.ok(&["checkpoints"]).contains("no checkpoints"));
        door.ok(&["checkpoint", "a/b c%?."]);
        door.ok(&["merge", "notes", "n1", r#"{"title": "changed"}"#]);
        door.ok(&["delete", "notes", "n2"]);
        door.ok(&["put", "notes", "n3", "{}"]);
        door.ok(&["put", "later", "l1", "{}"]);
        door.ok(&["checkpoint", "second"]);
        door.ok(&["put", "notes", "n3", r#"{"title": "three"}"#]);

        let at = |args: &[&str]| door.ok(&[args, &["--at", "a/b c%?."]].concat());
        assert_eq!(at(&["get", "notes", "n1", "/title"]), "one\n");
        assert!(at(&["get", "notes", "n2"]).contains("two"));
        let ids = |range: &[&str]| {
            let found = door.lines(&[&["scan", "notes", "--at", "a/b c%?."], range].concat());
            found.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[]), ["n1", "n2"]);
        assert_eq!(ids(&["--reverse", "--limit", "1"]), ["n2"]);
        assert_eq!(door.lines(&["diff", "a/b c%?.", "second"]).len(), 4);
        assert_eq!(door.lines(&["diff", "second", "a/b c%?."])[0]["before"], json!({}));
        assert_eq!(door.lines(&["diff", "second"]).len(), 1);
        for missing in [
            &["get", "notes", "n3", "--at", "a/b c%?."][..],
            &["get", "notes", "n1", "--at", "no such"],
            &["scan", "later", "--at", "a/b c%?."],
            &["scan", "notes", "--at", "no such"],
            &["diff", "no such"],
            &["diff", "second", "no such"],
            &["revert", "no such", "--yes"],
            &["checkpoints", "--delete", "no such"],
        ] {
            door.fails(3, missing);
        }
        assert!(door.fails(5, &["checkpoint", "second"]).contains("label"));
        door.fails(5, &["checkpoint", "a\nb"]);
        door.fails(5, &["checkpoint", &"x".repeat(129)]);
        door.fails(2, &["checkpoint", ""]);
        door.fails(2, &["scan", "--at", "second"]);

        let found = door.json(&["checkpoints"])["checkpoints"].clone();
        let labels: Vec<&str> =
            found.as_array().unwrap().iter().map(|one| one["label"].as_str().unwrap()).collect();
        assert_eq!(labels, ["a/b c%?.", "second"]);
        assert!(found[0]["rows"].as_u64().unwrap() >= 2, "{found}");
        assert!(found[0]["freed_bytes"].as_u64() <= found[0]["bytes"].as_u64(), "{found}");
        assert_eq!(found[0]["log_held"], true);
        assert!(door.ok(&["checkpoints"]).contains("deleting frees"));
        door.ok(&["checkpoints", "--delete", "a/b c%?."]);
        door.fails(3, &["get", "notes", "n1", "--at", "a/b c%?."]);
        assert_eq!(door.lines(&["diff", "second"]).len(), 1);
    }
}

#[test]
fn a_revert_is_of_as_much_as_is_asked_for() {
    for door in Door::both() {
        for (collection, id) in [("notes", "n1"), ("notes", "n2"), ("plans", "p1")] {
            door.ok(&["put", collection, id, r#"{"a": 1, "b": {"c": 1}}"#]);
        }
        door.ok(&["checkpoint", "good"]);
        for (collection, id) in [("notes", "n1"), ("notes", "n2"), ("plans", "p1")] {
            door.ok(&["put", collection, id, r#"{"a": 2, "b": {"c": 2}}"#]);
        }
        let field = |collection: &str, id: &str, path: &str| {
            door.ok(&["get", collection, id, path]).trim().to_owned()
        };
        let of = ["revert", "good", "--yes", "--collection", "notes", "--id", "n1"];
        door.fails(2, &["revert", "good", "--yes", "--id", "n1"]);
        let text = door.ok(&["revert", "good", "--dry-run", "--collection", "plans"]);
        assert!(text.contains("/b/c  2 → 1") && text.contains("nothing was changed"), "{text}");
        let done = door.json(&[&of[..], &["--path", "/b/c"]].concat());
        assert_eq!(done, json!({"documents": 1, "transactions": 1, "left": [], "kept": 0}));
        assert_eq!(
            (field("notes", "n1", "/b/c"), field("notes", "n1", "/a")),
            ("1".into(), "2".into())
        );
        door.ok(&of);
        assert_eq!(
            (field("notes", "n1", "/a"), field("notes", "n2", "/a")),
            ("1".into(), "2".into())
        );
        door.ok(&["revert", "good", "--yes", "--collection", "notes"]);
        assert_eq!(
            (field("notes", "n2", "/a"), field("plans", "p1", "/a")),
            ("1".into(), "2".into())
        );
        // What was left is not written again, and that is said.
        door.ok(&["leave", "notes", "--force"]);
        door.fails(3, &["revert", "good", "--yes", "--collection", "notes"]);
        let done = door.json(&["revert", "good", "--yes"]);
        assert_eq!(done, json!({"documents": 1, "transactions": 1, "left": ["notes"], "kept": 0}));
    }
}

#[test]
fn a_node_tells_of_its_tape_over_http() {
    let here = Sandbox::new();
    let node = here.run("a", &[]);
    let url = |path: &str| format!("{}{path}", node.url);
    let put = |body: &str| ask("PUT", &url("/collections/notes/docs/n1"), &[], Some(body));
    put(r#"{"x": 1}"#);
    let made = ask("POST", &url("/checkpoint"), &[], Some(r#"{"label": "good"}"#));
    assert_eq!((made.status, &made.body["label"]), (200, &json!("good")));
    put(r#"{"x": 2}"#);
    let then = ask("GET", &url("/collections/notes/docs/n1?at=good"), &[], None);
    assert_eq!((then.status, &then.body), (200, &json!({"x": 1})));
    let then = ask("GET", &url("/collections/notes/docs?id=n1&at=good&path=/x"), &[], None);
    assert_eq!(then.body, json!(1));
    let page = ask("GET", &url("/collections/notes/docs?at=good&versions=true"), &[], None);
    assert_eq!(page.body["documents"][0]["doc"], json!({"x": 1}));
    // The last line says that it is the last.
    let text = |path: &str| common::agent().get(url(path)).call().unwrap();
    let mut answer = text("/diff?from=good");
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let body = answer.body_mut().read_to_string().unwrap();
    let mut lines: Vec<Json> =
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = lines[0]["change"].as_object_mut().unwrap().remove("written").unwrap();
    assert_eq!((&written[0]["path"], &written[0]["author"]), (&json!("/x"), &json!(node.key)));
    assert_eq!(
        lines,
        [
            json!({"change": {"collection": "notes", "id": "n1", "before": {"x": 1}, "after": {"x": 2}}}),
            json!({"done": {"documents": 1, "transactions": 0, "left": [], "kept": 0}}),
        ]
    );
    for (method, path, body, status) in [
        ("GET", "/diff", None, 400),
        ("GET", "/diff?from=nothing", None, 404),
        ("GET", "/diff?from=good&collection=%20", None, 400),
        ("PUT", "/collections/notes/docs/n1?at=good", Some("{}"), 400),
        ("GET", "/collections/notes/docs/n1?at=nothing", None, 404),
        ("POST", "/checkpoint", Some(r#"{"label": "good"}"#), 400),
        ("POST", "/checkpoint", Some(r#"{"label": "x", "y": 1}"#), 400),
        ("DELETE", "/checkpoints/nothing", None, 404),
        ("POST", "/rollback", Some(r#"{"label": "nothing"}"#), 404),
        ("POST", "/rollback", Some(r#"{"label": "good", "hold": true}"#), 400),
        ("POST", "/revert", Some("{}"), 400),
        ("POST", "/revert", Some(r#"{"label": "nothing"}"#), 404),
        ("POST", "/revert", Some(r#"{"label": "good", "id": "n1"}"#), 400),
        ("POST", "/revert", Some(r#"{"label": "good", "path": "x"}"#), 400),
        ("POST", "/revert", Some(r#"{"label": "good", "by": "x"}"#), 400),
    ] {
        let answer = ask(method, &url(path), &[], body);
        assert_eq!(answer.status, status, "{method} {path} {body:?}");
        assert!(answer.body["error"]["code"].is_string());
    }
    // Without a body it is from the last checkpoint.
    for body in ["", "{}", r#"{"label": "good"}"#] {
        let mut answer = common::agent()
            .post(url("/rollback"))
            .header("content-type", "application/json")
            .send(body)
            .unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        let lines: Vec<Json> =
            body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{body}");
        let replay = &lines[0]["replay"];
        assert_eq!((&replay["outcome"], &replay["documents"]), (&json!("same"), &json!(1)));
        assert_eq!(lines[1]["done"]["documents"], 0);
    }
    let done = ask("POST", &url("/revert"), &[], Some(r#"{"label": "good"}"#));
    assert_eq!(done.body["done"]["documents"], 1);
    assert_eq!(ask("GET", &url("/collections/notes/docs/n1"), &[], None).body, json!({"x": 1}));
    assert_eq!(ask("DELETE", &url("/checkpoints/good"), &[], None).status, 204);
    let left = ask("GET", &url("/checkpoints"), &[], None).body["checkpoints"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1, "the one before the revert: {left}");
    node.stop();
}

#[test]
fn what_was_written_last_is_undone_at_each_door() {
    for door in Door::both() {
        door.ok(&["put", "notes", "n1", r#"{"title": "one", "x": 1}"#]);
        let sentence = door.fails(3, &["undo", "--collection", "plans"]);
        assert!(sentence.contains("nothing that could be undone"), "{sentence}");
        door.ok(&["put", "plans", "p1", r#"{"x": 1}"#]);
        door.ok(&["merge", "notes", "n1", r#"{"x": 2}"#]);
        let title = || door.ok(&["get", "notes", "n1", "/x"]).trim().to_owned();
        let text = door.ok(&["undo", "--dry-run"]);
        assert!(text.contains("/x  2 → 1") && text.contains("nothing was changed"), "{text}");
        let text = door.ok(&["undo"]);
        assert!(
            text.contains("undid what was written at") && text.contains("1 document"),
            "{text}"
        );
        assert_eq!(title(), "1");
        let lines = door.lines(&["undo"]);
        assert_eq!((&lines[0]["after"]["x"], lines.len()), (&json!(2), 1));
        assert_eq!(title(), "2");
        door.ok(&["delete", "plans", "p1"]);
        door.ok(&["merge", "notes", "n1", r#"{"x": 3}"#]);
        door.ok(&["undo", "--collection", "plans"]);
        assert_eq!((title(), door.ok(&["get", "plans", "p1", "/x"]).trim()), ("3".into(), "1"));
    }
}

#[test]
fn a_replay_finds_that_the_store_is_what_checkpoint_and_log_give() {
    for door in Door::both() {
        door.ok(&["put", "notes", "n1", "{\"x\": 1}"]);
        door.fails(3, &["rollback", "--replay"]);
        door.ok(&["checkpoint", "start"]);
        door.ok(&["import", "stations", stations().to_str().unwrap(), "--id", "id"]);
        door.ok(&["checkpoint", "imported"]);
        door.ok(&["put", "notes", "n1", "{\"x\": 2}"]);
        let before = door.shown();
        let said = door.ok(&["rollback", "--replay"]);
        assert!(said.contains("1 transactions and 1 document from 'imported'"), "{said}");
        assert!(said.contains("the store is the same"), "{said}");
        let lines = door.lines(&["rollback", "--replay", "start"]);
        assert_eq!(lines.len(), 1);
        let replay = &lines[0]["replay"];
        assert_eq!((&replay["outcome"], &replay["mended"]), (&json!("same"), &json!(0)));
        assert_eq!(replay["checkpoint"]["label"], "start");
        assert!(replay["documents"].as_u64().unwrap() > 1);
        assert_eq!(door.shown(), before);
        door.ok(&["leave", "stations", "--force"]);
        let said = door.fails(5, &["rollback", "--replay", "start"]);
        assert!(said.contains("replay does not cross that"), "{said}");
    }
}

#[test]
fn a_collection_is_held_back_and_resumed_at_each_door() {
    for door in Door::both() {
        door.ok(&["put", "notes", "n1", r#"{"title": "one"}"#]);
        door.ok(&["put", "plans", "p1", "{}"]);
        door.ok(&["checkpoint", "then"]);
        door.ok(&["merge", "notes", "n1", r#"{"title": "mine"}"#]);
        let sentence = door.fails(2, &["rollback", "--hold"]);
        assert!(sentence.contains("LABEL"), "{sentence}");
        door.fails(3, &["rollback", "never", "--hold"]);
        let held = door.json(&["rollback", "then", "--hold", "--collection", "notes"]);
        assert_eq!(held["holds"].as_array().unwrap().len(), 1);
        let hold = &held["holds"][0];
        assert_eq!((&hold["collection"], &hold["label"]), (&json!("notes"), &json!("then")));
        assert_eq!(door.json(&["status"])["holds"], held["holds"]);
        let status = door.ok(&["status"]);
        assert!(status.contains("notes shows checkpoint 'then'"), "{status}");
        assert_eq!(door.json(&["get", "notes", "n1"])["doc"]["title"], json!("mine"));
        door.ok(&["put", "notes", "n2", "{}"]);
        let sentence = door.fails(5, &["undo"]);
        assert!(sentence.contains("resume"), "{sentence}");
        door.fails(5, &["checkpoints", "--delete", "then"]);
        let all = door.ok(&["rollback", "then", "--hold"]);
        assert!(all.contains("plans shows checkpoint 'then'") && !all.contains("notes"), "{all}");
        let ended = door.ok(&["resume", "--collection", "plans"]);
        assert!(ended.contains("plans shows everything again"), "{ended}");
        door.fails(3, &["resume", "--collection", "plans"]);
        assert_eq!(door.json(&["resume"])["holds"].as_array().unwrap().len(), 1);
        assert!(door.ok(&["resume"]).contains("nothing was held back"));
        assert_eq!(door.json(&["status"])["holds"], json!([]));
        door.json(&["get", "notes", "n2"]);
        if let Door::Node(_, node) = &door {
            let holds = ask("GET", &format!("{}/holds", node.url), &[], None);
            assert_eq!(holds.body, json!({"holds": []}));
        }
    }
}

#[test]
fn checkpoints_are_made_before_an_import_and_a_revert_and_by_schedule() {
    for door in Door::both() {
        let labels = || {
            let found = door.json(&["checkpoints"])["checkpoints"].clone();
            let of = |one: &Json| {
                let label = one["label"].as_str().unwrap().to_owned();
                assert_eq!(one["automatic"], json!(label.starts_with("auto: ")));
                label
            };
            found.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        };
        let file = stations().display().to_string();
        let import = ["import", "stations", &file, "--id", "id"];
        door.ok(&import);
        assert!(labels().is_empty(), "there was nothing to keep");
        door.ok(&["put", "stations", "extra", "{}"]);
        door.ok(&[&import[..], &["--no-checkpoint"]].concat());
        assert!(labels().is_empty());
        door.ok(&import);
        assert_eq!(labels().len(), 1);
        assert!(labels()[0].starts_with("auto: before an import 20"), "{:?}", labels());
        door.ok(&["delete", "stations", "extra"]);
        door.ok(&["revert", &labels()[0], "--yes"]);
        assert!(labels()[1].starts_with("auto: before a revert 20"), "{:?}", labels());
        assert_eq!(door.ok(&["get", "stations", "extra"]).trim(), "{}");
    }
    let here = Sandbox::new();
    let args = ["--checkpoint-every", "1s", "--checkpoints", "2"];
    let node = here.run("far", &args);
    let count = || {
        let found = ask("GET", &format!("{}/checkpoints", node.url), &[], None).body;
        let all = found["checkpoints"].as_array().unwrap().clone();
        assert!(all.iter().all(|one| one["label"].as_str().unwrap().contains("by schedule")));
        all.len()
    };
    let mut most = 0;
    for n in 0.. {
        here.ok(&["--url", &node.url, "put", "notes", "n1", &json!({"x": n}).to_string()]);
        most = most.max(count());
        if most == 2 && n > 20 {
            break;
        }
    }
    assert_eq!(most, 2);
    node.stop();
}

//! Who belongs, by commands and over HTTP.

mod common;

use common::{Running, Sandbox, ask};
use serde_json::{Value as Json, json};

fn member(told: &Json, key: &str) -> Json {
    let members = told["members"].as_array().unwrap();
    members.iter().find(|member| member["node"] == key).cloned().unwrap_or(Json::Null)
}

#[test]
fn a_roster_is_founded_and_says_who_may_do_what() {
    let here = Sandbox::new();
    here.fails(6, &["peers"]);
    here.ok(&["put", "notes", "a", r#"{"x": 1}"#]);
    assert!(here.ok(&["peers"]).contains("there is no roster"));
    here.fails(5, &["grant", &key(&here, "b"), "read"]);
    here.ok(&["found-roster", "--name", "quay"]);
    here.fails(5, &["found-roster"]);
    let other = key(&here, "b");
    here.ok(&["grant", &other, "read", "--name", "pier"]);
    assert!(
        here.ok(&["grant", "pier", "write", "--collections", "notes,plans"]).starts_with("pier (")
    );
    let told = here.json(&["peers"]);
    assert_eq!(told["founder"], key(&here, "littoral-data"));
    assert_eq!(
        member(&told, &other)["rights"],
        json!({"*": "read", "notes": "write", "plans": "write"})
    );
    let table = here.ok(&["peers"]);
    assert!(table.contains("write in notes, plans; read elsewhere"), "{table}");
    assert_eq!(here.json(&["revoke", &other[..8]])["rights"], json!({"*": "none"}));
    here.fails(3, &["revoke", "nobody"]);
    here.fails(1, &["grant", "quay", "read"]);
    here.fails(2, &["grant", "pier", "everything"]);
}

#[test]
fn a_running_node_takes_and_gives_rights_and_ends_links() {
    let here = Sandbox::new();
    let (a, b) = (here.run("a", &[]), key(&here, "b"));
    let to = |node: &Running, path: &str| format!("{}{path}", node.url);
    let said = ask("POST", &to(&a, "/roster"), &[], Some(r#"{"name": "quay"}"#));
    assert_eq!(said.status, 204);
    let grant = |rights: Json| {
        let body = json!({"name": "pier", "rights": rights}).to_string();
        let path = format!("/roster/{b}");
        let said = ask("PUT", &to(&a, &path), &[], Some(&body));
        assert_eq!(said.status, 204, "{}", said.body);
    };
    grant(json!({"notes": "write"}));
    here.ok(&["--data", "b", "join-roster", &a.key]);
    here.ok(&["--data", "a", "put", "notes", "n", r#"{"from": "a"}"#]);
    here.ok(&["--data", "a", "put", "plans", "p", r#"{"from": "a"}"#]);
    here.ok(&["--data", "b", "sync", &a.address()]);
    assert_eq!(here.json(&["--data", "b", "get", "notes", "n"])["doc"], json!({"from": "a"}));
    here.fails(3, &["--data", "b", "get", "plans", "p"]);
    let refused = here.fails(1, &["--data", "b", "put", "plans", "p", "{}"]);
    assert!(refused.contains("may not write in collection plans"), "{refused}");
    here.ok(&["--data", "b", "put", "notes", "m", r#"{"from": "b"}"#]);
    here.ok(&["--data", "b", "sync", &a.address()]);
    here.ok(&["--data", "a", "get", "notes", "m"]);
    let told = here.json(&["--data", "b", "peers"]);
    assert_eq!(member(&told, &b)["name"], "pier", "the roster is told to members");
    let revoked = ask("DELETE", &to(&a, &format!("/roster/{b}")), &[], None);
    assert_eq!(revoked.status, 204);
    let refused = here.fails(7, &["--data", "b", "sync", &a.address()]);
    assert!(refused.contains("grant it rights"), "{refused}");
    let body = json!({"rights": {"notes": "everything"}}).to_string();
    let odd = ask("PUT", &to(&a, &format!("/roster/{b}")), &[], Some(&body));
    assert_eq!(odd.status, 400);
}

fn key(here: &Sandbox, data: &str) -> String {
    here.json(&["--data", data, "id"])["key"].as_str().unwrap().to_owned()
}

//! Joining with a ticket, as processes: from nothing to synced with one command on each side.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask};
use serde_json::{Value as Json, json};

/// Far longer than anything here needs, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !ready() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn put(node: &Running, collection: &str, id: &str) {
    let url = format!("{}/collections/{collection}/docs/{id}", node.url);
    assert_eq!(ask("PUT", &url, &[], Some(r#"{"x": 1}"#)).status, 200);
}

fn has(node: &Running, id: &str) -> bool {
    ask("GET", &format!("{}/collections/notes/docs/{id}", node.url), &[], None).status == 200
}

fn invite(here: &Sandbox, args: &[&str]) -> String {
    here.ok(&[&["--data", "hub", "invite"], args].concat()).trim().to_owned()
}

fn joins(node: &Running) -> Json {
    ask("GET", &format!("{}/status", node.url), &[], None).body["running"]["joins"].clone()
}

#[test]
fn one_command_on_each_side_and_they_are_in_sync() {
    let here = Sandbox::new();
    let hub = here.run("hub", &[]);
    put(&hub, "notes", "by-hub");
    put(&hub, "plans", "p");
    let ticket = invite(&here, &["--collections", "notes", "--rights", "write", "--expires", "1h"]);
    assert!(ticket.starts_with("littoral1") && ticket.lines().count() == 1, "{ticket}");

    let told = here.json(&["--data", "phone", "join", &ticket, "--name", "phone"]);
    assert_eq!((&told["inviter"], &told["founder"]), (&json!(hub.key), &json!(hub.key)));
    assert_eq!(told["rights"], json!({"notes": "write"}));
    assert_eq!(told["transactions"], 1);
    assert_eq!(here.json(&["--data", "phone", "get", "notes", "by-hub"])["doc"], json!({"x": 1}));
    here.fails(3, &["--data", "phone", "ls", "plans"]);
    let invites = here.json(&["--data", "hub", "invites"]);
    assert_eq!(invites["invites"][0]["state"], "used");
    let peers = here.ok(&["--data", "hub", "peers"]);
    assert!(peers.contains("phone") && peers.contains("write in notes"), "{peers}");
    assert_eq!(joins(&hub), json!({"joined": 1, "refused": {}}));

    // From then on a node needs no word about whom to sync with.
    let phone = here.run("phone", &[]);
    put(&phone, "notes", "by-phone");
    put(&hub, "notes", "later");
    until("both have both", || has(&hub, "by-phone") && has(&phone, "later"));
    phone.stop();
    hub.stop();
}

#[test]
fn join_can_go_on_as_a_node() {
    let here = Sandbox::new();
    let hub = here.run("hub", &[]);
    let ticket = invite(&here, &[]);
    let run = ["--run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut command =
        here.command(&[&["--json", "--data", "phone", "join", &ticket], &run[..]].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = || -> Json { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(told()["rights"], json!({"*": "write"}));
    let node = told();
    let text = |name: &str| node[name].as_str().unwrap().to_owned();
    let phone = Running { child, key: text("key"), listen: text("listen"), url: text("http") };
    put(&hub, "notes", "later");
    until("it comes", || has(&phone, "later"));
    put(&phone, "notes", "back");
    until("and goes", || has(&hub, "back"));
    phone.stop();
}

#[test]
fn a_ticket_that_is_no_good_says_what_to_do() {
    let here = Sandbox::new();
    let hub = here.run("hub", &[]);
    let used = invite(&here, &[]);
    here.ok(&["--data", "a", "join", &used]);
    let sentence = here.fails(7, &["--data", "b", "join", &used]);
    assert!(sentence.contains("ask for a new one"), "{sentence}");
    let revoked = here.json(&["--data", "hub", "invite"]);
    let id = revoked["id"].as_str().unwrap();
    here.ok(&["--data", "hub", "invites", "--revoke", &id[..8]]);
    let open = invite(&here, &["--uses", "2"]);
    let told = here.fails(7, &["--data", "b", "join", revoked["ticket"].as_str().unwrap()]);
    assert_eq!(told, sentence, "why is not for strangers to know");
    assert_eq!(joins(&hub)["refused"], json!({"revoked": 1}));

    let mut typed = open.clone();
    typed.replace_range(20..21, if &open[20..21] == "a" { "b" } else { "a" });
    assert!(here.fails(5, &["--data", "b", "join", &typed]).contains("mistyped"));
    assert!(here.fails(5, &["--data", "b", "join", "hello"]).contains("begins with littoral1"));
    assert_eq!(here.json(&["--data", "b", "peers"])["founder"], Json::Null);
    here.fails(3, &["--data", "hub", "invites", "--revoke", "nothing"]);
    here.fails(5, &["--data", "hub", "invite", "--address", "nowhere"]);
    here.fails(2, &["--data", "hub", "invite", "--expires", "soon"]);
    here.fails(2, &["--data", "hub", "invite", "--uses", "3", "--reusable"]);
    // In any case, from standard input, and by the store that failed before.
    here.ok_with(&["--data", "b", "join", "-"], format!("{}\n", open.to_uppercase()).as_bytes());
}

#[test]
fn a_store_without_a_node_makes_tickets_for_when_it_runs() {
    let here = Sandbox::new();
    let output = here.output(&["--data", "hub", "invite", "--qr", "--address", "boat:4433"], b"");
    let (out, note) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    let note = String::from_utf8(note).unwrap();
    let (code, ticket) = out.trim_end().rsplit_once('\n').unwrap();
    assert!(code.contains('█') && ticket.starts_with("littoral1"));
    assert!(note.contains("boat:4433") && note.contains("start `littoral run`"), "{note}");
    let told = here.json(&["--data", "hub", "invite"]);
    let addresses = told["addresses"].as_array().unwrap();
    assert!(addresses.iter().all(|at| !at.as_str().unwrap().starts_with("0.0.0.0")));
    let table = here.ok(&["--data", "hub", "invites"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("open") && table.contains("write"), "{table}");
    // One that has peers, but no roster, is told to found one.
    here.ok(&["--data", "other", "put", "notes", "a", "{}"]);
    let peer = here.json(&["--data", "hub", "id"])["key"].as_str().unwrap().to_owned();
    here.run("other", &["--peer", &peer]).stop();
    let sentence = here.fails(5, &["--data", "other", "invite"]);
    assert!(sentence.contains("found-roster"), "{sentence}");
}

/// What the log of either side says, at its most talkative, does not let anybody in.
#[test]
fn no_log_has_the_ticket_in_it() {
    let here = Sandbox::new();
    let fixed = ["--json", "--data", "hub", "run", "--listen", "127.0.0.1:0"];
    let mut hub = here.command(&[&fixed[..], &["--http", "127.0.0.1:0"]].concat());
    hub.env("LITTORAL_LOG", "trace").stdout(Stdio::piped());
    hub.stderr(std::fs::File::create(here.path("hub.log")).unwrap());
    let mut child = hub.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Json = serde_json::from_str(&line).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let hub = Running { child, key: text("key"), listen: text("listen"), url: text("http") };
    let ticket = invite(&here, &["--uses", "2"]);
    let mut join = here.command(&["--data", "phone", "join", &ticket]);
    let joined = join.env("LITTORAL_LOG", "trace").output().unwrap();
    assert_eq!(joined.status.code(), Some(0));
    hub.stop();
    let logs = [joined.stderr, joined.stdout, std::fs::read(here.path("hub.log")).unwrap()];
    let secret = ticket.parse::<littoral::txn::ticket::Ticket>().unwrap().secret;
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{bytes:?}");
    let inside = list.trim_matches(|c| c == '[' || c == ']');
    assert!(logs[2].len() > 1000, "the log of the hub says something");
    for log in logs {
        let log = String::from_utf8_lossy(&log).to_lowercase();
        for shown in [&ticket[60..], &hex, inside] {
            assert!(!log.contains(shown), "{shown} is in a log");
        }
    }
}

//! What an operator is told: is the node healthy, what is behind, why and since when, what
//! conflicts, who is connected.

mod common;

use common::{Running, Sandbox, ask, until};
use serde_json::{Value as Json, json};

/// A hub and one that joined it with a ticket, both running, in sync.
fn hub_and_laptop(here: &Sandbox) -> (Running, Running) {
    let hub = here.run("hub", &[]);
    put(&hub, "n1", "Low tide");
    let ticket = here.json(&["--data", "hub", "invite", "--rights", "write"])["ticket"].clone();
    here.ok(&["--data", "laptop", "join", ticket.as_str().unwrap(), "--name", "laptop"]);
    let laptop = here.run("laptop", &[]);
    until("they are in sync", || {
        here.ok(&["--url", &hub.url, "status"]).contains("connected, synced")
    });
    // A link that comes and goes between two looks is no event.
    until("the link is noted", || {
        here.ok(&["--url", &hub.url, "events", "--kind", "link-up"]).contains("laptop")
    });
    (hub, laptop)
}

fn put(node: &Running, id: &str, title: &str) {
    let url = format!("{}/collections/notes/docs/{id}", node.url);
    let body = json!({"title": title}).to_string();
    assert_eq!(ask("PUT", &url, &[], Some(&body)).status, 200);
}

/// The line of a text that begins so.
fn line<'a>(text: &'a str, begins: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("{begins}: {text}"))
}

#[test]
fn status_says_who_is_away_since_when_and_why_and_what_is_behind() {
    let here = Sandbox::new();
    let (hub, laptop) = hub_and_laptop(&here);
    let status = |node: &Running| here.ok(&["--url", &node.url, "status"]);

    let told = status(&hub);
    assert!(line(&told, "health").contains("ok ("), "{told}");
    assert!(line(&told, "conflicts").contains("none"), "{told}");
    assert!(line(&told, "from laptop").contains("connected, synced"), "{told}");
    assert!(told.contains("nobody is behind"), "{told}");
    assert!(!told.contains("offline"), "{told}");

    here.ok(&["--url", &laptop.url, "links", "pause"]);
    put(&laptop, "n1", "Low tide at noon");
    put(&hub, "n1", "Low tide at one");
    put(&hub, "n2", "High tide");

    // The one that is cut knows that it is, since when, and how to end it.
    let told = status(&laptop);
    assert!(line(&told, "health").contains("degraded (links: "), "{told}");
    let offline = line(&told, "offline");
    assert!(offline.contains("all links are cut since 20"), "{told}");
    assert!(offline.contains("`littoral links resume`"), "{told}");
    assert!(line(&told, "to ").contains("paused"), "{told}");
    here.fails(1, &["--url", &laptop.url, "doctor"]);
    assert_eq!(here.json(&["--url", &laptop.url, "status"])["health"]["status"], "degraded");

    // The other one knows who is away, though of its link nothing is left.
    until("the hub knows what the laptop lacks", || status(&hub).contains("up to 2"));
    let told = status(&hub);
    let away = line(&told, "laptop  dials this node");
    assert!(away.contains("away") && away.contains("20"), "{told}");
    assert!(line(&told, "  laptop, why: ").contains("the peer left"), "{told}");
    let behind = told.split("behind  collection").nth(1).expect("what is behind is told");
    assert!(line(behind, "laptop").contains("notes"), "{told}");
    let links = here.ok(&["--url", &hub.url, "links"]);
    assert!(links.contains("  laptop, why: ") && links.contains("up to 2"), "{links}");
    let parting = here.json(&["--url", &hub.url, "links"])["partings"][0].clone();
    assert_eq!(parting["peer"], laptop.key);
    let doctor = here.ok(&["--url", &hub.url, "doctor"]);
    assert!(doctor.contains("its last link ended at 20"), "{doctor}");
    until("the event says why", || {
        let events = here.ok(&["--url", &hub.url, "events", "--kind", "link-down"]);
        events.contains("laptop  the peer left")
    });

    // Back again: what conflicts is told, and nothing is left of the rest.
    here.ok(&["--url", &laptop.url, "links", "resume"]);
    until("they are in sync again", || status(&hub).contains("nobody is behind"));
    let told = status(&hub);
    assert!(line(&told, "conflicts").contains("in 1 document"), "{told}");
    assert!(!told.contains("why: "), "{told}");
    let conflicts = here.ok(&["--url", &hub.url, "conflicts"]);
    assert!(conflicts.contains("laptop") && conflicts.contains("Low tide at noon"), "{conflicts}");
    let told = here.json(&["--url", &laptop.url, "status"]);
    assert_eq!(told["running"]["offline_since"], Json::Null);
    assert_eq!(told["running"]["partings"], json!([]));
}

#[test]
fn who_was_never_linked_is_named_and_a_store_alone_has_no_health() {
    let here = Sandbox::new();
    let (hub, laptop) = hub_and_laptop(&here);
    laptop.stop();
    until("it is seen to be gone", || {
        here.ok(&["--url", &hub.url, "status"]).contains("laptop  dials this node")
    });
    here.ok(&["--data", "hub", "status", "--running"]);
    hub.stop();
    let why = here.fails(3, &["--data", "hub", "status", "--running"]);
    assert!(why.contains("no node runs"), "{why}");
    let told = here.ok(&["--data", "hub", "status"]);
    assert!(!told.contains("health") && told.contains("`littoral run`"), "{told}");
    let hub = here.run("hub", &[]);
    let told = here.ok(&["--url", &hub.url, "status"]);
    let never = line(&told, "not linked with this node since its start: ");
    assert!(never.contains("laptop"), "{told}");
}

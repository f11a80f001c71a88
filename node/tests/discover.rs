//! `run --discover`: nodes that find each other on a LAN, as processes, without `--peer`.

mod common;

use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask};

/// Far longer than anything here needs, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !ready() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn put(node: &Running, id: &str) {
    let url = format!("{}/collections/notes/docs/{id}", node.url);
    assert_eq!(ask("PUT", &url, &[], Some(r#"{"x": 1}"#)).status, 200);
}

fn has(node: &Running, id: &str) -> bool {
    ask("GET", &format!("{}/collections/notes/docs/{id}", node.url), &[], None).status == 200
}

#[test]
fn nodes_of_one_roster_find_each_other_wherever_they_are() {
    if !has_multicast() {
        return;
    }
    let here = Sandbox::new();
    let hub = here.run("hub", &[]);
    let ticket = here.ok(&["--data", "hub", "invite", "--uses", "2"]).trim().to_owned();
    for data in ["phone", "tablet"] {
        here.ok(&["--data", data, "join", &ticket, "--name", data]);
    }
    let (before, key) = (hub.address(), hub.key.clone());
    hub.stop();
    // The hub is at another port now; the two others never heard of each other's.
    let hub = here.run("hub", &["--discover"]);
    assert!(hub.address() != before && hub.key == key);
    let phone = here.run("phone", &["--discover"]);
    let tablet = here.run("tablet", &["--discover"]);
    put(&hub, "by-hub");
    until("the hub is found", || has(&phone, "by-hub") && has(&tablet, "by-hub"));
    hub.stop();
    put(&phone, "by-phone");
    until("the two find each other", || has(&tablet, "by-phone"));
}

/// Whether multicast reaches this machine itself, as it does where nothing forbids it.
fn has_multicast() -> bool {
    use std::net::{Ipv4Addr, UdpSocket};
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let heard = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let works = heard
        .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .and_then(|()| socket.send_to(b"x", (group, heard.local_addr()?.port())))
        .and_then(|_| heard.recv(&mut [0; 8]));
    if works.is_err() {
        eprintln!("skipped discovery: there is no multicast on the loopback here");
    }
    works.is_ok()
}

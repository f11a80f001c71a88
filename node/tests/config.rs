//! A node that runs by a file, and tells who supervises it.

mod common;

use common::Sandbox;
#[cfg(unix)]
use common::{ask, until};
#[cfg(unix)]
use serde_json::Value as Json;

#[test]
fn a_file_is_checked_and_an_example_is_printed() {
    let here = Sandbox::new();
    let example = here.ok(&["config", "example"]);
    let file = here.file("littoral.toml", &example);
    let told = here.ok(&["config", "check", &file]);
    for words in ["0.0.0.0:4433", "127.0.0.1:8090", "as kept in the store", "It is good."] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let file =
        here.file("some.toml", "http = \"127.0.0.1:99\"\ncollections = [\"*\"]\n[log]\ndays = 3\n");
    let told = here.json(&["config", "check", &file]);
    assert_eq!((&told["http"], &told["log"]["days"]), (&"127.0.0.1:99".into(), &3.into()));
    assert_eq!(told["collections"][0], "*");
    let file = here.file("bad.toml", "listen = \"0.0.0.0:1\"\nhttps = true\n");
    let told = here.fails(5, &["config", "check", &file]);
    assert!(told.contains("bad.toml") && told.contains("line 2"), "{told}");
    let told = here.fails(5, &["--data", "d", "run", "--config", &file]);
    assert!(told.contains("https"), "{told}");
    let nowhere = here.path("nowhere.toml").display().to_string();
    assert!(here.fails(1, &["run", "--config", &nowhere]).contains("could not read"));
}

/// What a supervisor hears.
#[cfg(unix)]
struct Supervisor(std::os::unix::net::UnixDatagram);

#[cfg(unix)]
impl Supervisor {
    fn hears(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let len = self.0.recv(&mut buffer).unwrap_or_else(|err| panic!("no {wanted}: {err}"));
            let told = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if told.lines().any(|line| line == wanted) {
                return told;
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_node_goes_by_its_file_reads_it_again_and_tells_its_supervisor() {
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    let here = Sandbox::new();
    let socket = here.path("notify");
    let supervisor = Supervisor(UnixDatagram::bind(&socket).unwrap());
    supervisor.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let peer = here.run("peer", &[]);
    let config = |peers: &str| {
        let text = format!(
            "data = {:?}\nlisten = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\npeers = [{peers}]\n[checkpoints]\nkeep = 3\n",
            here.path("by-file")
        );
        here.file("littoral.toml", text)
    };
    let file = config("");
    let mut command: Command = here.command(&["--json", "run", "--config", &file]);
    command.env_remove("LITTORAL_DATA");
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "300000");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let signal = |name: &str, pid: u32| {
        let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
        assert!(sent.success());
    };
    supervisor.hears("READY=1");
    supervisor.hears("WATCHDOG=1");
    let node: Json = {
        use std::io::{BufRead, BufReader};
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let url = node["http"].as_str().unwrap().to_owned();
    let links = || {
        let status = ask("GET", &format!("{url}/status"), &[], None).body;
        status["running"]["links"].as_array().unwrap().clone()
    };
    assert!(links().is_empty());

    // A peer is added, and taken away again; a file that is wrong changes nothing.
    config(&format!("{:?}", peer.address()));
    signal("-HUP", child.id());
    let told = supervisor.hears("RELOADING=1");
    assert!(told.contains("MONOTONIC_USEC="), "{told}");
    supervisor.hears("READY=1");
    until("the peer is dialled", || links().len() == 1);
    here.file("littoral.toml", "peers = 3");
    signal("-HUP", child.id());
    supervisor.hears("RELOADING=1");
    supervisor.hears("READY=1");
    assert_eq!(links().len(), 1);
    config("");
    signal("-HUP", child.id());
    supervisor.hears("RELOADING=1");
    until("the link is paused", || links().iter().all(|link| link["state"] == "paused"));

    signal("-TERM", child.id());
    supervisor.hears("STOPPING=1");
    assert!(child.wait().unwrap().success());
    assert!(here.path("by-file").join("state.redb").exists());
}

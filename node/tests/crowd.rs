//! A crowd: hundreds that follow changes, some of whom take nothing, and a thousand that write.
//!
//! What it prints is of this machine and moment; what it asserts does not depend on either.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, agent, ask};
use serde_json::json;

const FOLLOWERS: usize = 400;
const DEAD_SLOW: usize = 100;
const WRITERS: usize = 1000;
/// Documents that are too much for the buffers of who takes nothing.
const LARGE: usize = 4000;
const LARGE_BYTES: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(300);
/// A node with its cache, a thread for each of many who write at once, and for each that follows one
/// piece of changes and a connection; what was read of the log they share.
const MOST_MIB: u64 = 512;

fn connect(node: &Running, request: &str) -> TcpStream {
    let host = node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request}\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    stream
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn syncs(node: &Running) -> u64 {
    let text = agent().get(format!("{}/metrics", node.url)).call().unwrap();
    let text = text.into_body().read_to_string().unwrap();
    let line = text.lines().find(|line| line.starts_with("littoral_log_syncs_total ")).unwrap();
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

/// Puts a document. Gives the code of the answer.
fn put(url: &str, n: usize) -> std::io::Result<String> {
    let (host, body) = (url.strip_prefix("http://").unwrap(), r#"{"title": "Low tide"}"#);
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "PUT /collections/notes/docs/w{n} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).map(str::to_owned);
    code.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// Counts the changes up to the document `last`.
fn follow(stream: TcpStream) -> usize {
    let (mut seen, mut line) = (0, String::new());
    let mut reader = BufReader::new(stream);
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended after {seen}");
        if !line.starts_with("data: ") || !line.contains("\"collection\"") {
            continue;
        }
        seen += 1;
        if line.contains("\"last\"") {
            return seen;
        }
    }
}

#[test]
fn hundreds_follow_some_take_nothing_a_thousand_write_and_memory_is_bounded() {
    let here = Sandbox::new();
    let node = here.run("crowd", &[]);
    let status = ask("GET", &format!("{}/status", node.url), &[], None).body;
    let pid = u32::try_from(status["running"]["pid"].as_u64().unwrap()).unwrap();
    here.ok(&["--url", &node.url, "put", "notes", "first", "{}"]);
    let since = ask("GET", &format!("{}/status", node.url), &[], None).body["position"].clone();
    let request = |give: &str| format!("GET /changes?since={since}&give={give} HTTP/1.1");
    let dead: Vec<TcpStream> =
        (0..DEAD_SLOW).map(|_| connect(&node, &request("documents"))).collect();
    let small = || thread::Builder::new().stack_size(128 << 10);
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            let stream = connect(&node, &request("keys"));
            small().spawn(move || follow(stream)).unwrap()
        })
        .collect();

    // A thousand at once, each its own document, durable when it is answered.
    let (before, begin) = (syncs(&node), Arc::new(Barrier::new(WRITERS + 1)));
    let url: Arc<str> = Arc::from(&node.url[..]);
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let (begin, url) = (Arc::clone(&begin), Arc::clone(&url));
            let write = move || {
                begin.wait();
                // Where the system lets few wait to be heard, some are sent away; the same may be
                // put again.
                for _ in 0..20 {
                    match put(&url, n) {
                        Ok(code) => return code,
                        Err(_) => thread::sleep(Duration::from_millis(50)),
                    }
                }
                panic!("the node does not answer");
            };
            small().spawn(write).unwrap()
        })
        .collect();
    begin.wait();
    let begun = Instant::now();
    let answers: Vec<String> = writers.into_iter().map(|one| one.join().unwrap()).collect();
    let took = begun.elapsed();
    let written = answers.iter().filter(|code| code.starts_with('2')).count();
    // Who comes when all is taken is told to come again, and nothing else.
    let busy = answers.iter().filter(|code| *code == "503").count();
    assert_eq!(written + busy, WRITERS, "{answers:?}");
    let shared = syncs(&node) - before;
    assert!(shared * 2 <= written as u64, "{shared} syncs for {written} writes");

    // More than fits into the buffers of who takes nothing.
    let text = "tide ".repeat(LARGE_BYTES / 5);
    let begun = Instant::now();
    for first in (0..LARGE).step_by(500) {
        let docs: Vec<_> = (first..first + 500)
            .map(|n| json!({"id": format!("l{n}"), "doc": {"text": format!("{n} {text}")}}))
            .collect();
        let url = format!("{}/collections/large/docs", node.url);
        let put = ask("POST", &url, &[], Some(&json!(docs).to_string()));
        assert!(put.status < 300, "{}", put.body);
    }
    let large = begun.elapsed();
    here.ok(&["--url", &node.url, "put", "notes", "last", "{}"]);
    let seen: Vec<usize> = followers.into_iter().map(|one| one.join().unwrap()).collect();
    let mib = resident_mib(pid);
    println!(
        "crowd: {written} of {WRITERS} writes at once took {:.2} s with {shared} syncs, {busy} were \
         told to come again; {LARGE} documents took {:.2} s, and {FOLLOWERS} followers had heard of all \
         {:.2} s after that began, beside {DEAD_SLOW} that took nothing; {mib} MiB \
         resident",
        took.as_secs_f64(),
        large.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    assert!(seen.iter().all(|seen| *seen == written + LARGE + 1), "{seen:?}");
    assert!(mib < MOST_MIB, "{mib} MiB");
    drop(dead);
}

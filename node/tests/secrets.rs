//! What nobody must read in a log, a status or an error: keys, tickets, tokens, passphrases and what
//! documents hold. The node is the program itself, and tells as much as it ever does.
#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Running, Sandbox, ask};
use serde_json::{Value as Json, json};

/// Far longer than anything here needs, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);

/// Texts that are in documents, in names of fields and documents, and in requests that are refused.
/// Each is a word that nothing else here has.
const VALUES: [&str; 7] = [
    "plovervalue",
    "dunlinvalue",
    "malformedwhimbrel",
    "refusedgodwit",
    "untypedcurlew",
    "concurrentknot",
    "batchedsanderling",
];
const NAMES: [&str; 4] = ["ternfield", "skuaid", "gullkey", "petrelpath"];
const PASSPHRASES: [&str; 2] = ["avocet at low tide", "avocet at high tide"];

/// All that is told, by whoever, at the most verbose.
struct Told<'a> {
    here: &'a Sandbox,
    logs: Vec<String>,
}

impl Told<'_> {
    fn command(&mut self, args: &[&str]) -> Command {
        let mut command = self.here.command(args);
        let log = format!("log-{}", self.logs.len());
        let file = std::fs::File::create(self.here.path(&log)).unwrap();
        command.env("LITTORAL_LOG", "trace").stderr(file).stdin(Stdio::piped());
        self.logs.push(log);
        command
    }

    /// What a command prints, and whether it succeeded. What it prints is its answer to whoever
    /// asked, and no log.
    fn runs(&mut self, args: &[&str], input: &str) -> (String, bool) {
        let mut child = self.command(args).stdout(Stdio::piped()).spawn().unwrap();
        // A command that does not read its input closes it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.success())
    }

    fn ok(&mut self, args: &[&str], input: &str) -> String {
        let (printed, succeeded) = self.runs(args, input);
        assert!(succeeded, "{args:?}: {}", self.logs().pop().unwrap().1);
        printed
    }

    fn node(&mut self, data: &str, http: &str, env: &[(&str, &str)]) -> Running {
        let args = ["--json", "--data", data, "run", "--listen", "127.0.0.1:0", "--http", http];
        let mut command = self.command(&args);
        command.envs(env.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let told: Json = serde_json::from_str(&line).unwrap_or_else(|err| {
            panic!("{err}: {line}: {}", self.logs().pop().unwrap().1);
        });
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        // Whatever else it prints is for the log.
        let (log, rest) = (format!("out-{}", self.logs.len()), self.here.dir.path().to_owned());
        let mut file = std::fs::File::create(rest.join(&log)).unwrap();
        std::thread::spawn(move || std::io::copy(&mut lines, &mut file));
        self.logs.push(log);
        Running { child, key: text("key"), listen: text("listen"), url: text("http") }
    }

    /// Each log, by name.
    fn logs(&self) -> Vec<(String, String)> {
        let read = |name: &String| {
            let bytes = std::fs::read(self.here.path(name)).unwrap();
            (name.clone(), String::from_utf8_lossy(&bytes).into_owned())
        };
        self.logs.iter().map(read).collect()
    }
}

/// The ways in which bytes may be written: as they are, in hexadecimal, in base32 and base64, and as
/// Rust shows a list of them.
fn writings(bytes: &[u8]) -> Vec<String> {
    use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut all = vec![
        HEXLOWER.encode(bytes),
        BASE32_NOPAD.encode(bytes).to_ascii_lowercase(),
        list.join(", "),
        list.join(","),
    ];
    // Where bytes go before or after these, the ends are others.
    let inner =
        |text: String| text.get(4..text.len() - 4).map(str::to_owned).filter(|t| t.len() > 7);
    all.extend(
        [BASE64_NOPAD.encode(bytes), BASE64URL_NOPAD.encode(bytes)].into_iter().flat_map(inner),
    );
    all.extend(std::str::from_utf8(bytes).ok().map(str::to_lowercase));
    all
}

fn must_not_tell(what: &str, text: &str, secrets: &[(String, Vec<u8>)]) {
    let lower = text.to_lowercase();
    for (name, secret) in secrets {
        for written in writings(secret) {
            let Some(at) = lower.find(&written.to_lowercase()) else { continue };
            let line = lower[..at].matches('\n').count() + 1;
            let told = text.lines().nth(line - 1).unwrap_or_default();
            panic!("{what} tells {name}, in line {line}: {told:.600}");
        }
    }
}

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !ready() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// What an HTTP client can't send: bytes that are no HTTP, or less than a request.
fn raw(url: &str, bytes: &str) {
    let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let _ = socket.write_all(bytes.as_bytes());
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = std::io::copy(&mut socket, &mut std::io::sink());
}

/// The secret part of a store's key, as its file holds it.
fn seed(here: &Sandbox, data: &str) -> Vec<u8> {
    let key = std::fs::read_to_string(here.path(data).join("node.key")).unwrap();
    let seed = data_encoding::BASE32_NOPAD.decode(key.trim().to_ascii_uppercase().as_bytes());
    let seed = seed.unwrap();
    assert_eq!(seed.len(), 32);
    seed
}

/// What a page of a node says, whatever it is written in.
fn page(url: &str) -> String {
    let mut answer = common::agent().get(url).call().unwrap();
    answer.body_mut().read_to_string().unwrap()
}

#[test]
fn no_key_ticket_token_passphrase_or_content_is_told() {
    let here = Sandbox::new();
    let mut told = Told { here: &here, logs: Vec::new() };
    let [value, other, malformed, refused, untyped, concurrent, batched] = VALUES;
    let [field, id, key, path] = NAMES;

    let hub = told.node("hub", "127.0.0.1:0", &[]);
    let docs = format!("{}/collections/notes/docs", hub.url);
    let doc = format!("{docs}/{id}");
    let body = json!({field: value, key: {"tags": {"$set": [other]}, "n": {"$counter": 3}}});
    assert_eq!(ask("PUT", &doc, &[], Some(&body.to_string())).status, 200);
    let tag = ask("GET", &doc, &[], None).etag.unwrap();
    ask("PATCH", &doc, &[], Some(&json!({path: other}).to_string()));
    // The bodies of errors: to whoever asked, and still nothing of what they or others wrote.
    let bodies = std::cell::RefCell::new(Vec::new());
    let fails = |method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>| {
        let answer = ask(method, url, headers, body);
        assert!(answer.status >= 400, "{method} {url}: {}", answer.status);
        bodies.borrow_mut().push((format!("{method} {url}"), answer.body.to_string()));
    };
    let stale = [("if-match", tag.as_str())];
    let bad = format!("{{\"{field}\": \"{malformed}\", \"{field}\": \"{malformed}\"}}");
    let deep = format!("{}\"{malformed}\"{}", "[".repeat(80), "]".repeat(80));
    let strict = format!("{doc}?strict=true");
    fails("PUT", &strict, &stale, Some(&json!({field: refused}).to_string()));
    fails("PUT", &doc, &[], Some(&bad));
    fails("PUT", &doc, &[], Some(&format!("{{\"{field}\": \"{malformed}")));
    fails("PUT", &doc, &[], Some(&format!("\"{malformed}\"")));
    fails("PUT", &doc, &[], Some(&format!("{{\"{field}\": {malformed}}}")));
    fails("PUT", &doc, &[], Some(&format!("{{\"{field}\": {{\"$time\": \"{malformed}\"}}}}")));
    fails("PUT", &doc, &[], Some(&format!("{{\"{field}\": {{\"$bytes\": \"{malformed}!\"}}}}")));
    fails("PUT", &doc, &[], Some(&format!("{{\"{field}\": {deep}}}")));
    fails("PUT", &doc, &[("content-type", "text/plain")], Some(untyped));
    fails("PUT", &doc, &[("origin", "http://evil.example")], Some(untyped));
    fails(
        "POST",
        &format!("{doc}/add"),
        &[],
        Some(&json!({"path": format!("/{field}"), "value": refused}).to_string()),
    );
    fails(
        "POST",
        &format!("{doc}/increment"),
        &[],
        Some(&json!({"path": format!("/{field}"), "by": refused}).to_string()),
    );
    fails(
        "POST",
        &docs,
        &[("content-type", "application/x-ndjson")],
        Some(&format!("{{\"id\": \"x\", \"doc\": {{\"a\": \"{batched}\"}}}}\n{{{malformed}")),
    );
    raw(&hub.url, &format!("PUT {malformed}\r\n{untyped}\r\n\r\n"));
    raw(
        &hub.url,
        &format!(
            "PUT /collections/notes/docs/{id} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{{\"{field}\": \"{malformed}"
        ),
    );

    // Another joins by a ticket, syncs, and writes the same concurrently.
    let args = ["--data", "hub", "invite", "--rights", "write", "--expires", "1h"];
    let ticket = told.ok(&args, "").trim().to_owned();
    told.ok(&["--data", "phone", "join", &ticket, "--name", "phone"], "");
    assert!(!told.runs(&["--data", "thief", "join", &ticket], "").1, "it was used");
    let another = if &ticket[60..61] == "a" { "b" } else { "a" };
    let mistyped = format!("{}{another}{}", &ticket[..60], &ticket[61..]);
    assert!(!told.runs(&["--data", "thief", "join", &mistyped], "").1);
    let revoked = told.ok(&args, "").trim().to_owned();
    for change in [&[field, concurrent][..], &[key, other]] {
        told.ok(
            &["--data", "phone", "merge", "notes", id],
            &json!({change[0]: change[1]}).to_string(),
        );
        let change = json!({change[0]: refused}).to_string();
        assert_eq!(ask("PATCH", &doc, &[], Some(&change)).status, 200);
    }
    let phone = told.node("phone", "127.0.0.1:0", &[]);
    until("the conflict is everywhere", || {
        let conflicts = |node: &Running| {
            ask("GET", &format!("{}/conflicts", node.url), &[], None).body.to_string()
        };
        [&hub, &phone].iter().all(|node| conflicts(node).contains(concurrent))
    });
    // What a peer that is not known, and bytes that are no QUIC, leave in the log.
    told.ok(&["--data", "stranger", "put", "notes", "x", "{}"], "");
    let args = ["--data", "stranger", "sync", &hub.address(), "--timeout", "1"];
    assert!(!told.runs(&args, "").1);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(malformed.repeat(80).as_bytes(), &hub.listen).unwrap();

    // Where others reach it: tokens, right and wrong ones.
    let open = told.node("open", "0.0.0.0:0", &[]);
    let url = open.url.replace("0.0.0.0", "127.0.0.1");
    let make = ["--data", "open", "token", "create", "--rights", "write"];
    let token = told
        .ok(&make, "")
        .split_whitespace()
        .find(|word| word.starts_with("littoral_"))
        .unwrap()
        .to_owned();
    let put = format!("{url}/collections/notes/docs/{id}");
    let bearer = format!("Bearer {token}");
    let with = [("authorization", bearer.as_str())];
    assert_eq!(ask("PUT", &put, &with, Some(&body.to_string())).status, 200);
    let wrong = "littoral_oystercatcheroystercatcher";
    fails("PUT", &put, &[("authorization", &format!("Bearer {wrong}"))], Some(&body.to_string()));
    fails("PUT", &put, &[("authorization", wrong)], Some(&body.to_string()));
    told.ok(&["--url", &url, "--token", &token, "get", "notes", id], "");
    assert!(!told.runs(&["--url", &url, "--token", wrong, "get", "notes", id], "").1);
    let own: Json =
        serde_json::from_slice(&std::fs::read(here.path("open/node.json")).unwrap()).unwrap();
    let own = own["token"].as_str().unwrap().to_owned();

    // A key under a passphrase, given rightly and wrongly.
    told.ok(&["--data", "locked", "put", "notes", id, &body.to_string()], "");
    let locked_seed = seed(&here, "locked");
    told.ok(&["--data", "locked", "key", "encrypt"], &format!("{}\n", PASSPHRASES[0]));
    for (passphrase, opens) in [(PASSPHRASES[1], false), (PASSPHRASES[0], true)] {
        let mut command = told.command(&["--data", "locked", "id"]);
        command.env("LITTORAL_PASSPHRASE", passphrase).stdout(Stdio::null());
        assert_eq!(command.status().unwrap().success(), opens);
    }
    let locked = told.node("locked", "127.0.0.1:0", &[("LITTORAL_PASSPHRASE", PASSPHRASES[0])]);

    let mut secrets: Vec<(String, Vec<u8>)> = ["hub", "phone", "open", "stranger"]
        .iter()
        .map(|data| (format!("the key of {data}"), seed(&here, data)))
        .collect();
    secrets.push(("the key of locked".to_owned(), locked_seed));
    for (name, text) in [("the ticket", &ticket), ("the open ticket", &revoked)] {
        secrets.push((name.to_owned(), text.clone().into_bytes()));
        let bytes = text.strip_prefix("littoral1").unwrap().to_ascii_uppercase();
        let bytes = data_encoding::BASE32_NOPAD.decode(bytes.as_bytes()).unwrap();
        // After its version, the network and the inviter: see docs/FORMAT.md.
        secrets.push((format!("the secret of {name}"), bytes[49..65].to_vec()));
    }
    secrets.push(("the mistyped ticket".to_owned(), mistyped.into_bytes()));
    for (name, text) in
        [("a token", token.as_str()), ("a wrong token", wrong), ("the node's token", &own)]
    {
        secrets.push((name.to_owned(), text.as_bytes().to_vec()));
    }
    for passphrase in PASSPHRASES {
        secrets.push(("a passphrase".to_owned(), passphrase.as_bytes().to_vec()));
    }
    let content = |words: &[&str]| -> Vec<(String, Vec<u8>)> {
        words.iter().map(|word| (format!("content, {word:?},"), word.as_bytes().to_vec())).collect()
    };

    // What nodes tell of themselves, and what tells of errors, names no secret and no value.
    let mut told_to_people = secrets.clone();
    told_to_people.extend(content(&VALUES));
    for node in [&hub, &phone, &locked] {
        for name in
            ["status", "health", "doctor", "roster", "invites", "state", "collections", "metrics"]
        {
            let url = format!("{}/{name}", node.url);
            must_not_tell(&url, &page(&url), &told_to_people);
        }
    }
    for (request, body) in bodies.borrow().iter() {
        must_not_tell(&format!("the answer to {request}"), body, &told_to_people);
    }
    // A log names no document and no field, either.
    let phone_key = phone.key.clone();
    for node in [hub, phone, open, locked] {
        node.stop();
    }
    told_to_people.extend(content(&NAMES));
    for (name, log) in told.logs() {
        must_not_tell(&name, &log, &told_to_people);
    }
    // What may be told is there and found: the key by which the other node is known.
    assert!(told.logs().iter().any(|(_, log)| log.contains(&phone_key)));
    let all: usize = told.logs().iter().map(|(_, log)| log.lines().count()).sum();
    assert!(all > 200, "that is not all that a node says: {all} lines");
}

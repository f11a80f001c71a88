//! The binary under test: commands in a directory of their own, and nodes that run there.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;
use ureq::http::{Request, Response};

pub struct Sandbox {
    pub dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        Sandbox { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_littoral"));
        command.args(args).current_dir(self.dir.path());
        for name in [
            "LITTORAL_DATA",
            "LITTORAL_LOG",
            "LITTORAL_PASSPHRASE",
            "LITTORAL_PASSPHRASE_FILE",
            "LITTORAL_TOKEN",
            "VISUAL",
            "EDITOR",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub fn output(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input closes it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed; gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        self.ok_with(args, b"")
    }

    pub fn ok_with(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.output(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must succeed, with `--json`.
    pub fn json(&self, args: &[&str]) -> Json {
        let text = self.ok(&[&["--json"], args].concat());
        serde_json::from_str(&text).unwrap_or_else(|err| panic!("{args:?}: {err}: {text}"))
    }

    /// Runs a command that must fail with this exit code; gives its sentence.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        self.fails_with(code, args, b"")
    }

    pub fn fails_with(&self, code: i32, args: &[&str], input: &[u8]) -> String {
        let output = self.output(args, input);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}{stdout}");
        stderr
    }

    /// A node on `data`, ready.
    pub fn run(&self, data: &str, args: &[&str]) -> Running {
        self.run_with(data, args, |_| ())
    }

    /// The same, at this address for links.
    pub fn run_at(&self, data: &str, listen: &str, args: &[&str]) -> Running {
        self.run(data, &[&["--listen", listen], args].concat())
    }

    /// The same, with a command that is changed before it runs.
    pub fn run_with(
        &self,
        data: &str,
        args: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Running {
        let fixed = ["--json", "--data", data, "run"];
        let mut all = [&fixed[..], args].concat();
        if !args.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        if !args.contains(&"--http") {
            all.extend(["--http", "127.0.0.1:0"]);
        }
        let mut command = self.command(&all);
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Json = serde_json::from_str(&line).expect("a node tells where it is");
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Running { child, key: text("key"), listen: text("listen"), url: text("http") }
    }
}

/// A node that runs; killed when dropped.
pub struct Running {
    pub child: Child,
    pub key: String,
    pub listen: String,
    pub url: String,
}

impl Running {
    pub fn address(&self) -> String {
        format!("{}#{}", self.listen, self.key)
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what comes in its own time, and gives up only after far longer than it needs.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An answer over HTTP.
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Json,
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

/// Asks over HTTP; a body is sent as JSON unless the headers say otherwise.
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    try_ask(method, url, headers, body).unwrap()
}

pub fn try_ask(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<Answer, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    let typed = headers.iter().any(|(name, _)| *name == "content-type");
    if body.is_some() && !typed {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer: Response<ureq::Body> = match body {
        Some(text) => agent().run(request.body(text.to_owned()).unwrap())?,
        None => agent().run(request.body(()).unwrap())?,
    };
    let status = answer.status().as_u16();
    let etag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    let text = answer.into_body().read_to_string()?;
    let body = if text.is_empty() { Json::Null } else { serde_json::from_str(&text).unwrap() };
    Ok(Answer { status, etag, body })
}

pub fn stations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tide-stations.jsonl")
}

/// A figure that the node tells, one without labels.
pub(crate) fn metric(node: &Running, name: &str) -> f64 {
    let text = agent().get(format!("{}/metrics", node.url)).call().unwrap();
    let text = text.into_body().read_to_string().unwrap();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name)).expect("it is told");
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

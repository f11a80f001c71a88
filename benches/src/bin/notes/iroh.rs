//! iroh-docs, which is a program of its own (`benches/iroh`) that answers lines: what it brings
//! is more than all the rest of what has to be built here.

use std::io::{BufRead, BufReader, Write};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::Result;

/// Notes, where nothing else is said and iroh-docs takes part: it is slow.
pub(crate) const DOCS: u64 = 10_000;

/// Where the program is.
#[derive(Debug, Clone)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// What follows `--iroh`: the program, or nothing, and then it is built.
    pub(crate) fn from_args(args: &mut Peekable<impl Iterator<Item = String>>) -> Result<Program> {
        if let Some(path) = args.next_if(|arg| !arg.starts_with("--")) {
            return Ok(Program(path.into()));
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("iroh/Cargo.toml");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "--message-format", "json", "--manifest-path"])
            .arg(manifest)
            .stderr(Stdio::inherit())
            .output()?;
        if !built.status.success() {
            return Err("benches/iroh cannot be built".into());
        }
        let messages = String::from_utf8(built.stdout)?;
        let told = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut programs = told
            .filter_map(|told: serde_json::Value| told["executable"].as_str().map(PathBuf::from));
        Ok(Program(programs.next_back().ok_or("cargo tells no program")?))
    }

    /// As an argument.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Starts it with a role and its arguments.
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<Running> {
        let mut process = Command::new(&self.0)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.0.display()))?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("it has an output")?);
        Ok(Running { process, input, output })
    }
}

/// The program at work.
pub(crate) struct Running {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// What it answers to a line.
    pub(crate) fn ask<T: for<'a> Deserialize<'a>>(&mut self, line: &str) -> Result<T> {
        let input = self.input.as_mut().ok_or("its input is open")?;
        writeln!(input, "{line}").and_then(|()| input.flush())?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// The next thing that it says.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("iroh-docs failed".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Lets it come to its end.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.input.take());
        match self.process.wait()?.success() {
            true => Ok(()),
            false => Err("iroh-docs failed".into()),
        }
    }
}

/// What a piece of work took, in seconds; the processor's are of all its threads.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Spent {
    pub(crate) wall: f64,
    pub(crate) processor: f64,
    /// Notes of it.
    pub(crate) count: u64,
}

/// How long one change took, in seconds, until the insert had returned and until it was durable.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Changed {
    pub(crate) returned: f64,
    pub(crate) durable: f64,
}

/// The first sync, as far as it came.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Received {
    pub(crate) seconds: f64,
    pub(crate) processor: f64,
    /// UDP bytes in both directions.
    pub(crate) bytes: u64,
    pub(crate) peak_kib: u64,
    pub(crate) entries: u64,
    pub(crate) contents: u64,
}

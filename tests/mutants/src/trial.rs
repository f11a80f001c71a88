//! A trial: tests run over the copy of the sources, and what came of them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::scratch::Scratch;

/// A test that takes longer has been caught waiting for ever.
const PATIENCE: Duration = Duration::from_secs(900);
/// The first schedule that the simulator tries.
const FIRST_SEED: u64 = 1;

/// What came of some tests.
pub(crate) enum Came {
    /// All passed.
    Passed,
    /// This failed.
    Failed(String),
    /// It does not build, or not even the tests could be run: the end of what was said.
    Broken(String),
}

impl Scratch {
    /// Runs `cargo test` with these arguments.
    pub(crate) fn test(&self, args: &[String]) -> Came {
        let build: Vec<&str> = args.iter().map(String::as_str).chain(["--no-run"]).collect();
        if let Ended::Badly(said) = self.cargo(&[&["test", "--locked"], &build[..]].concat()) {
            return Came::Broken(said);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match self.cargo(&[&["test", "--locked"], &args[..]].concat()) {
            Ended::Well(said) if ran_none(&said) => {
                Came::Broken(format!("no test is called so: {args:?}"))
            }
            Ended::Well(_) => Came::Passed,
            Ended::Badly(said) => Came::Failed(failed_test(&said)),
            Ended::Never => Came::Failed(format!("waiting for ever in {}", args.join(" "))),
        }
    }

    /// Runs schedules of the simulator until one fails.
    pub(crate) fn simulate(&self, schedules: u64) -> Came {
        let build = ["build", "--locked", "-p", "littoral-sim"];
        if let Ended::Badly(said) = self.cargo(&build) {
            return Came::Broken(said);
        }
        let (first, count) = (FIRST_SEED.to_string(), schedules.to_string());
        let run = ["run", "--locked", "-p", "littoral-sim", "--", "--forget"];
        match self.cargo(&[&run[..], &["--seed", &first, "--seeds", &count]].concat()) {
            Ended::Well(_) => Came::Passed,
            Ended::Badly(said) => Came::Failed(failed_seed(&said)),
            Ended::Never => Came::Failed("simulator, waiting for ever".to_owned()),
        }
    }

    fn cargo(&self, args: &[&str]) -> Ended {
        let said = self.target.join("said");
        let started = Instant::now();
        let spawned = fs::create_dir_all(&self.target).and_then(|()| {
            let out = File::create(&said)?;
            Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args(args)
                .current_dir(&self.tree)
                .env("CARGO_TARGET_DIR", &self.target)
                .env("CARGO_TERM_COLOR", "never")
                .env_remove("CARGO_MANIFEST_DIR")
                .stdin(Stdio::null())
                .stderr(out.try_clone()?)
                .stdout(out)
                .process_group(0)
                .spawn()
        });
        let mut child = match spawned {
            Ok(child) => child,
            Err(err) => return Ended::Badly(format!("cargo could not be run: {err}")),
        };
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if started.elapsed() < PATIENCE => sleep(Duration::from_millis(50)),
                _ => {
                    // Cargo and the test that it runs: the group that was made for them.
                    let group = format!("-{}", child.id());
                    drop(Command::new("kill").args(["-KILL", "--", &group]).status());
                    drop(child.wait());
                    return Ended::Never;
                }
            }
        };
        let said = fs::read(&said).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        if status.success() { Ended::Well(said) } else { Ended::Badly(said) }
    }
}

/// How a command ended, and what it said.
enum Ended {
    Well(String),
    Badly(String),
    Never,
}

fn ran_none(said: &str) -> bool {
    let results: Vec<&str> = said.lines().filter(|line| line.starts_with("test result:")).collect();
    results.iter().all(|line| line.contains(" 0 passed;"))
}

fn failed_test(said: &str) -> String {
    let failed = |line: &str| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(name.to_owned())
    };
    said.lines().find_map(failed).unwrap_or_else(|| "a test that ended at once".to_owned())
}

fn failed_seed(said: &str) -> String {
    let failed = |line: &str| {
        let (seed, _) = line.strip_prefix("seed ")?.split_once(" failed after act")?;
        Some(format!("simulator, seed {seed}"))
    };
    said.lines().find_map(failed).unwrap_or_else(|| "the simulator, which ended at once".to_owned())
}

/// The last lines of what was said.
pub(crate) fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

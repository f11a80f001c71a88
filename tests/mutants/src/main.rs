//! The mutation check: bugs that are easily made are put back, one at a time, and each must be
//! caught by a test.
//!
//! A test that never fails promises nothing. So here are bugs (`mutants/`), each of which
//! would break a promise without a sound; a copy of the sources is built with one of them in it,
//! and the tests named in its file are run, then schedules of the simulator, until something
//! fails. First everything is run over the code as it is: what fails there catches nothing.
#![forbid(unsafe_code)]

mod mutant;
mod scratch;
mod trial;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use mutant::Mutant;
use scratch::{Planted, Scratch};
use trial::{Came, end_of};

/// Schedules that the simulator tries for each mutant, at most.
const SCHEDULES: u64 = 200;

struct Settings {
    names: Vec<String>,
    list: bool,
    /// Whether the simulator tries each mutant, caught or not.
    simulator: bool,
}

fn main() -> ExitCode {
    match check() {
        Ok((passed, failed)) => {
            println!("\n{passed} passed, {failed} failed");
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(what) => {
            println!("{what}\n\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Result<Settings, String> {
    let mut settings = Settings { names: Vec::new(), list: false, simulator: false };
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--list" => settings.list = true,
            "--simulator" => settings.simulator = true,
            name if !name.starts_with('-') => settings.names.push(name.to_owned()),
            other => return Err(format!("unknown option {other}: see tests/mutants/run")),
        }
    }
    Ok(settings)
}

fn check() -> Result<(usize, usize), String> {
    let settings = settings()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().map_err(|err| err.to_string())?;
    let mut mutants = mutant::all(&root.join("tests/mutants/mutants"))?;
    if let Some(unknown) =
        settings.names.iter().find(|name| !mutants.iter().any(|m| m.name == **name))
    {
        return Err(format!("no mutant is called {unknown}"));
    }
    mutants.retain(|mutant| settings.names.is_empty() || settings.names.contains(&mutant.name));
    // All must apply before anything is built.
    for mutant in &mutants {
        mutant.changes(&root)?;
    }
    if settings.list {
        mutants.iter().for_each(|mutant| println!("{:<26} {}", mutant.name, mutant.what));
        return Ok((mutants.len(), 0));
    }
    let scratch = Scratch::of(&root, &home(&root))?;
    let started = Instant::now();
    check_unchanged(&scratch, &mutants, &settings)?;
    say("ok", "the code as it is", "passes all that is run below", started);
    let caught = mutants.iter().map(|mutant| try_mutant(&scratch, mutant, &settings));
    let caught = caught.filter(|caught| *caught).count();
    Ok((caught, mutants.len() - caught))
}

/// Where the copy is: beside what else is built here.
fn home(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.map_or_else(|| root.join("target"), |target| root.join(target)).join("mutants")
}

fn check_unchanged(
    scratch: &Scratch,
    mutants: &[Mutant],
    settings: &Settings,
) -> Result<(), String> {
    let tests: BTreeSet<&Vec<String>> = mutants.iter().flat_map(|mutant| &mutant.tests).collect();
    let mut came: Vec<Came> = tests.into_iter().map(|args| scratch.test(args)).collect();
    if settings.simulator {
        came.push(scratch.simulate(SCHEDULES));
    }
    for came in came {
        match came {
            Came::Passed => {}
            Came::Failed(by) => return Err(format!("the code as it is fails: {by}")),
            Came::Broken(said) => return Err(format!("the code as it is:\n{}", end_of(&said))),
        }
    }
    Ok(())
}

/// Whether the mutant was caught.
fn try_mutant(scratch: &Scratch, mutant: &Mutant, settings: &Settings) -> bool {
    let started = Instant::now();
    let planted = mutant.changes(&scratch.tree).and_then(Planted::new);
    let caught = planted.and_then(|_planted| {
        let mut caught = first_caught(mutant.tests.iter().map(|args| scratch.test(args)))?;
        if settings.simulator || caught.is_none() {
            let seed = first_caught(std::iter::once_with(|| scratch.simulate(SCHEDULES)))?;
            let seed = seed.or_else(|| {
                caught.is_some().then(|| format!("no simulator in {SCHEDULES} schedules"))
            });
            let both: Vec<String> = caught.into_iter().chain(seed).collect();
            caught = (!both.is_empty()).then(|| both.join("; "));
        }
        Ok(caught)
    });
    match caught {
        Ok(Some(by)) => {
            say("caught", &mutant.name, &format!("by {by}"), started);
            true
        }
        Ok(None) => {
            say("FAILED", &mutant.name, "caught by nothing", started);
            false
        }
        Err(what) => {
            say("FAILED", &mutant.name, "could not be tried", started);
            println!("{}", end_of(&what));
            false
        }
    }
}

/// What failed first, if anything did.
fn first_caught(came: impl Iterator<Item = Came>) -> Result<Option<String>, String> {
    for came in came {
        match came {
            Came::Passed => {}
            Came::Failed(by) => return Ok(Some(by)),
            Came::Broken(said) => return Err(said),
        }
    }
    Ok(None)
}

fn say(how: &str, name: &str, what: &str, since: Instant) {
    println!("{how:<7} {name:<26} {:>5} s  {what}", since.elapsed().as_secs());
}

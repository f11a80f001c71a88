//! The simulator: replicas on disks that fail, with clocks that jump, over links that break,
//! all driven by one seed.
//!
//! A schedule runs real stores and real sessions in one thread and in virtual time. Nothing
//! in it is left to chance but by the seed, so a failure is a number. After every event the
//! ledger compares each store that was touched with what it owes and with an oracle that
//! knows nothing but the history; at the end faults cease, and all must converge.
//!
//! | file | noun |
//! | --- | --- |
//! | `plan` | what a seed decides at the start: who is there, what happens how often |
//! | `world` | the events, in the order of virtual time |
//! | `acts` | what is done to stores, disks, clocks and the network |
//! | `edits` | what writers write |
//! | `images` | disks that are kept, put back and copied |
//! | `machine` | a store, its disk, its clock |
//! | `driver` | what sessions want, carried out; what leaves a store, witnessed |
//! | `link` | two sessions and the bytes under way between them |
//! | `ledger`, `book`, `oracle`, `spy` | what was written, what must be shown, what lies on disks |
//! | `forks` | what may come of stores that were copied |
//! | `rights` | a roster, what admins say in it, and what must come of that |
//! | `tape` | checkpoints and the ways back to them |
//! | `follower` | an app that follows a store's changes |
//! | `finale` | convergence |
#![forbid(unsafe_code)]

mod acts;
mod book;
mod chance;
mod driver;
mod edits;
mod finale;
mod follower;
mod forks;
mod images;
mod keys;
mod ledger;
mod link;
mod machine;
#[path = "../../../core/tests/common/oracle.rs"]
#[allow(dead_code, reason = "the core's own tests use the rest")]
mod oracle;
mod plan;
mod rights;
mod spy;
mod tape;
mod trace;
mod world;

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use tape::Tapes;

/// What a check has to say: nothing, or what is broken.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Ends the schedule unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}
pub(crate) use ensure;

/// Which schedule to run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The seed.
    pub seed: u64,
    /// How many acts, instead of what the seed says.
    pub steps: Option<usize>,
    /// How many replicas to begin with, instead of what the seed says.
    pub replicas: Option<usize>,
    /// Acts that are left out, by number.
    pub skip: BTreeSet<usize>,
    /// Whether disks and power hold.
    pub calm: bool,
    /// Whether to print everything that happens.
    pub trace: bool,
}

/// What came of a schedule that kept all promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Digest of everything that happened, every byte on the wire included.
    pub digest: [u8; 32],
    /// Acts.
    pub steps: usize,
    /// Events.
    pub events: u64,
    /// Transactions written.
    pub transactions: usize,
    /// How often a store was opened.
    pub starts: u64,
    /// Snapshots joined.
    pub joins: u64,
    /// How often an app looked what had changed.
    pub followed: u64,
    /// How often a document was compared with the oracle.
    pub compared: u64,
    /// How often a store was rolled back.
    pub rolled_back: u64,
    /// How often a store was copied.
    pub copied: u64,
    /// Sides of forks that somebody holds at the end.
    pub forks: u64,
    /// How often a link ended a collection because a fork could not be named.
    pub halts: u64,
    /// How often such a collection was taken anew.
    pub healed: u64,
    /// Whether logs kept everything.
    pub whole_logs: bool,
    /// Whether there was a roster.
    pub rights: bool,
    /// What admins said in it.
    pub grants: u64,
    /// How often a reader left a collection because it held what others did not take.
    pub set_aside: u64,
    /// How often a reader was let write, since it alone had what its log has no more.
    pub let_write: u64,
    /// Transactions that somebody wrote, and that nobody takes.
    pub refused: u64,
    /// How often a node changed its key.
    pub keys: u64,
    /// What was done with the tape.
    pub tapes: Tapes,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How many acts had been done.
    pub step: usize,
    /// What is broken.
    pub what: String,
    /// What happened before, the last lines.
    pub last: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.last {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} failed after act {}: {}", self.seed, self.step, self.what)?;
        write!(
            f,
            "replay it with: cargo run --release -p littoral-sim -- --seed {} --trace",
            self.seed
        )
    }
}

/// Whether stores are copied in a schedule, and all logs keep everything: then every fork can be
/// named, and nothing may halt.
pub fn copies_with_whole_logs(settings: &Settings) -> bool {
    plan::Plan::new(settings).whole_logs
}

/// Whether the replicas of a schedule belong to a roster.
pub fn has_rights(settings: &Settings) -> bool {
    plan::Plan::new(settings).rights
}

/// Runs a schedule.
pub fn run(settings: &Settings) -> Result<Report, Failure> {
    let mut world = world::World::new(settings);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let what = match ran {
        Ok(Ok(())) => return Ok(world.report()),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("panic: {}", text.unwrap_or("without a word"))
        }
    };
    let (step, last) = (world.steps_done(), world.last_lines());
    let what = match world.plan.whole_logs {
        true => format!("with whole logs: {what}"),
        false => what,
    };
    // What a panic left of a store may not survive being closed.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(world)));
    Err(Failure { seed: settings.seed, step, what, last })
}

/// The same schedule with as few acts as still fail: those left out, and the failure.
pub fn shrink(settings: &Settings, failure: Failure) -> (Settings, Failure) {
    let (mut smallest, mut failure) = (settings.clone(), failure);
    smallest.steps = Some(failure.step);
    let steps = failure.step;
    let mut chunk = steps.next_power_of_two();
    while chunk > 0 {
        for start in (0..steps).step_by(chunk) {
            let mut fewer = smallest.clone();
            fewer.skip.extend(start..(start + chunk).min(steps));
            if fewer.skip == smallest.skip {
                continue;
            }
            if let Err(again) = run(&fewer) {
                (smallest, failure) = (fewer, again);
            }
        }
        chunk /= 2;
    }
    (smallest, failure)
}

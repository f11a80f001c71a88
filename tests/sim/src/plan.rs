//! The plan: what a seed decides before anything happens.
//!
//! Each seed lets only some kinds of acts happen, each as often as it likes: a schedule in
//! which everything happens a little finds less than one in which few things happen a lot.

use std::collections::BTreeSet;

use littoral::crdt::Layout;
use littoral::store::LogBudget;

use crate::Settings;
use crate::acts::Act;
use crate::chance::Chance;

/// The stream of chance that the plan and the network draw from; acts have one each.
const PLAN_STREAM: u64 = 1;
/// The stream that decides of copies. One of its own: schedules without copies are what they were.
const COPY_STREAM: u64 = 17;
/// The stream that decides how vectors are told. One of its own, likewise.
const OUTLINE_STREAM: u64 = 18;
/// The stream that decides of rights.
const RIGHTS_STREAM: u64 = 23;
/// Of so many seeds one has a roster: schedules of the others are what they were.
const RIGHTS_EVERY: u64 = 6;
/// From here on seeds were in use before there were rosters, and have none.
const RIGHTS_BELOW: u64 = 30_000_000;
/// The stream that decides how often keys are changed.
const KEYS_STREAM: u64 = 29;
/// From here on there are rosters again, and in those schedules nodes change their keys.
const KEYS_FROM: u64 = 60_000_000;

/// The stream that decides how often something of the tape is done.
const TAPE_STREAM: u64 = 31;
/// From here on there are tapes: schedules of the others are what they were.
const TAPE_FROM: u64 = 90_000_000;

/// A log that is never pruned.
pub(crate) const WHOLE: LogBudget = LogBudget { bytes: u64::MAX, age_ms: u64::MAX };

/// What a seed decides.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: usize,
    pub(crate) replicas: usize,
    pub(crate) skip: BTreeSet<usize>,
    /// Whether disks and power hold.
    pub(crate) calm: bool,
    /// How often each act happens, in proportion.
    pub(crate) weights: Vec<u64>,
    /// Time between two acts, at most.
    pub(crate) pause_ms: u64,
    /// How many of a hundred local writes are durable.
    pub(crate) durable_percent: usize,
    /// How many of a hundred pairs of replicas have a link.
    pub(crate) link_percent: usize,
    /// How long bytes are under way, at most.
    pub(crate) delay_ms: u64,
    /// How many bytes arrive at once, at most.
    pub(crate) chunk_bytes: usize,
    /// Whether documents read a while ago are put back.
    pub(crate) stale_puts: bool,
    /// Where documents are cut into runs: the same in all stores of a network.
    pub(crate) layout: Layout,
    /// At this size a segment of the log is closed.
    pub(crate) segment_bytes: u64,
    /// How much history logs keep.
    pub(crate) budget: LogBudget,
    /// Whether stores trust somebody from the start, and so keep for them what they wrote.
    pub(crate) trusting: bool,
    /// How many of a hundred texts are long.
    pub(crate) long_percent: usize,
    /// How many times of a hundred an app looks what has changed.
    pub(crate) follow_percent: usize,
    /// Before how many acts of a hundred something is kept, rolled back or copied: in most
    /// schedules none.
    pub(crate) copy_percent: usize,
    /// Whether logs keep everything, whatever budgets say: then any fork can be named.
    pub(crate) whole_logs: bool,
    /// Entries of a vector above which it is told in short.
    pub(crate) outline_above: usize,
    /// Whether the replicas belong to a roster.
    pub(crate) rights: bool,
    /// Before how many acts of a hundred an admin says something of a member.
    pub(crate) rights_percent: usize,
    /// Before how many acts of a hundred a member changes its key: in most schedules none.
    pub(crate) keys_percent: usize,
    /// Before how many acts of a hundred something of the tape is done: in most schedules none.
    pub(crate) tape_percent: usize,
}

impl Plan {
    pub(crate) fn new(settings: &Settings) -> Plan {
        let chance = &mut Chance::new(settings.seed, PLAN_STREAM);
        let weights = Act::ALL.map(|act| {
            let often = [0, 0, 1, 3][chance.below(4)];
            match act {
                Act::Write => 20,
                _ if settings.calm && act.breaks() => 0,
                _ => often * act.weight(),
            }
        });
        let copies = &mut Chance::new(settings.seed, COPY_STREAM);
        let keys = settings.seed.is_multiple_of(RIGHTS_EVERY) && settings.seed >= KEYS_FROM;
        let rights = settings.seed.is_multiple_of(RIGHTS_EVERY) && settings.seed < RIGHTS_BELOW;
        let rights = rights || keys;
        let copy_percent = match *copies.pick(&[0, 0, 0, 0, 0, 0, 3, 6, 12]) {
            _ if rights => 0,
            percent => percent,
        };
        let whole_logs = copy_percent > 0 && copies.percent(60);
        let (replicas, steps) = (2 + chance.below(4), 20 + chance.below(140));
        let plan = Plan {
            seed: settings.seed,
            steps: settings.steps.unwrap_or(steps),
            replicas: settings.replicas.unwrap_or(replicas),
            skip: settings.skip.clone(),
            calm: settings.calm,
            weights: weights.to_vec(),
            pause_ms: *chance.pick(&[2, 50, 500, 5_000]),
            durable_percent: *chance.pick(&[10, 50, 90]),
            link_percent: *chance.pick(&[20, 50, 100]),
            delay_ms: *chance.pick(&[1, 30, 400]),
            chunk_bytes: *chance.pick(&[50, 400, 5_000, 1 << 20]),
            stale_puts: chance.percent(50),
            layout: layout(chance),
            segment_bytes: *chance.pick(&[1 << 10, 1 << 10, 2 << 10, 16 << 10]),
            budget: match budget(chance) {
                _ if whole_logs => WHOLE,
                budget => budget,
            },
            trusting: chance.percent(50),
            long_percent: *chance.pick(&[0, 0, 0, 0, 0, 0, 0, 3]),
            follow_percent: *chance.pick(&[0, 3, 20, 100]),
            copy_percent,
            whole_logs,
            outline_above: *Chance::new(settings.seed, OUTLINE_STREAM).pick(&[usize::MAX, 3, 0]),
            rights,
            rights_percent: *Chance::new(settings.seed, RIGHTS_STREAM).pick(&[4, 12, 30]),
            keys_percent: match keys {
                true => *Chance::new(settings.seed, KEYS_STREAM).pick(&[2, 5, 12]),
                false => 0,
            },
            tape_percent: match settings.seed >= TAPE_FROM {
                true => *Chance::new(settings.seed, TAPE_STREAM).pick(&[5, 15, 40]),
                false => 0,
            },
        };
        // Long texts in very small pieces are too many events.
        let least = if plan.long_percent > 0 { 5_000 } else { 0 };
        Plan { chunk_bytes: plan.chunk_bytes.max(least), ..plan }
    }

    /// The chance of what is copied before the act with this number.
    pub(crate) fn copies_of(&self, step: usize) -> Chance {
        Chance::new(self.seed, 1_000_000 + step as u64)
    }

    /// The chance of what is said in the roster before the act with this number.
    pub(crate) fn rights_of(&self, step: usize) -> Chance {
        Chance::new(self.seed, 2_000_000 + step as u64)
    }

    /// The chance of a change of a key before the act with this number.
    pub(crate) fn keys_of(&self, step: usize) -> Chance {
        Chance::new(self.seed, 4_000_000 + step as u64)
    }

    /// The chance of what is done with the tape before the act with this number.
    pub(crate) fn tape_of(&self, step: usize) -> Chance {
        Chance::new(self.seed, 5_000_000 + step as u64)
    }

    /// The chance of the act with this number: whether others are left out changes nothing.
    pub(crate) fn chance_of(&self, step: usize) -> Chance {
        Chance::new(self.seed, 1_000 + step as u64)
    }
}

/// As it is in use, or so small that even these documents are cut.
fn layout(chance: &mut Chance) -> Layout {
    match chance.percent(50) {
        true => Layout::default(),
        false => {
            let run_bytes = *chance.pick(&[1, 30, 100]);
            Layout { row_bytes: run_bytes * chance.between(1, 3), run_bytes }
        }
    }
}

/// Mostly so little that who was away needs a snapshot.
pub(crate) fn budget(chance: &mut Chance) -> LogBudget {
    let bytes = *chance.pick(&[0, 1 << 10, 3 << 10, 10 << 10, u64::MAX]);
    let age_ms = *chance.pick(&[5_000, u64::MAX, u64::MAX]);
    LogBudget { bytes, age_ms }
}

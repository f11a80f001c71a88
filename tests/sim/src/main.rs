//! Runs schedules of the simulator: one by its seed, or many.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use littoral_sim::{Failure, Report, Settings, copies_with_whole_logs, has_rights, run, shrink};

/// Where failed seeds are kept: the tests run them first.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");

/// Runs schedules: real stores and sessions over simulated disks, clocks and links.
#[derive(Debug, Parser)]
struct Cli {
    /// The schedule to run, or the first of several.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many schedules to run, one seed after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many acts, instead of what the seed says.
    #[arg(long)]
    steps: Option<usize>,
    /// How many replicas to begin with, instead of what the seed says.
    #[arg(long)]
    replicas: Option<usize>,
    /// Acts to leave out, by number.
    #[arg(long, value_delimiter = ',')]
    skip: Vec<usize>,
    /// Without failing disks and loss of power.
    #[arg(long)]
    calm: bool,
    /// Pass over seeds in which no store is copied, or logs are not whole.
    #[arg(long)]
    forks: bool,
    /// Pass over seeds in which there is no roster.
    #[arg(long)]
    rights: bool,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    /// Look for fewer acts that fail as well.
    #[arg(long)]
    shrink: bool,
    /// Go on after a failure, up to so many.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Don't keep failed seeds.
    #[arg(long)]
    forget: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (start, mut total, mut failures) = (Instant::now(), Total::default(), 0);
    for seed in cli.seed..cli.seed.saturating_add(cli.seeds) {
        let settings = settings(&cli, seed);
        if cli.forks && !copies_with_whole_logs(&settings) {
            continue;
        }
        if cli.rights && !has_rights(&settings) {
            continue;
        }
        match quietly(|| run(&settings)) {
            Ok(report) => total.add(&report),
            Err(failure) => {
                failures += 1;
                tell(&cli, settings, failure);
                if failures == cli.failures {
                    break;
                }
            }
        }
    }
    total.print(start);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn settings(cli: &Cli, seed: u64) -> Settings {
    Settings {
        seed,
        steps: cli.steps,
        replicas: cli.replicas,
        skip: cli.skip.iter().copied().collect::<BTreeSet<usize>>(),
        calm: cli.calm,
        trace: cli.trace,
    }
}

/// A panic is a failure like any other, reported once.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        if let Some(place) = info.location() {
            eprintln!("panicked at {place}");
        }
    }));
    let result = run();
    std::panic::set_hook(hook);
    result
}

fn tell(cli: &Cli, settings: Settings, failure: Failure) {
    println!("{failure}");
    if cli.shrink {
        let (smallest, failure) = quietly(|| shrink(&settings, failure));
        let skip: Vec<String> = smallest.skip.iter().map(usize::to_string).collect();
        println!("{failure}");
        println!(
            "as small as it gets: --steps {} --skip {}",
            smallest.steps.unwrap_or_default(),
            skip.join(",")
        );
    }
    if !cli.forget && cli.steps.is_none() && cli.replicas.is_none() && cli.skip.is_empty() {
        let file = OpenOptions::new().create(true).append(true).open(SEEDS);
        let kept = file.and_then(|mut file| writeln!(file, "{}", settings.seed));
        match kept {
            Ok(()) => println!("seed {} is kept in {SEEDS}", settings.seed),
            Err(err) => println!("seed {} could not be kept in {SEEDS}: {err}", settings.seed),
        }
    }
}

#[derive(Default)]
struct Total {
    schedules: u64,
    steps: usize,
    events: u64,
    transactions: usize,
    starts: u64,
    joins: u64,
    followed: u64,
    compared: u64,
    with_copies: u64,
    rolled_back: u64,
    copied: u64,
    with_forks: u64,
    forks: u64,
    with_halts: u64,
    halts: u64,
    healed: u64,
    with_whole_logs: u64,
    with_rights: u64,
    grants: u64,
    set_aside: u64,
    let_write: u64,
    refused: u64,
    keys: u64,
    with_tape: u64,
    tapes: littoral_sim::Tapes,
    digest: Option<[u8; 32]>,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.schedules += 1;
        self.steps += report.steps;
        self.events += report.events;
        self.transactions += report.transactions;
        self.starts += report.starts;
        self.joins += report.joins;
        self.followed += report.followed;
        self.compared += report.compared;
        self.with_copies += u64::from(report.rolled_back + report.copied > 0);
        self.rolled_back += report.rolled_back;
        self.copied += report.copied;
        self.with_forks += u64::from(report.forks > 0);
        self.forks += report.forks;
        self.with_halts += u64::from(report.halts > 0);
        self.halts += report.halts;
        self.healed += report.healed;
        let copies = report.rolled_back + report.copied > 0;
        self.with_whole_logs += u64::from(report.whole_logs && copies);
        self.with_rights += u64::from(report.rights);
        self.grants += report.grants;
        self.set_aside += report.set_aside;
        self.let_write += report.let_write;
        self.refused += report.refused;
        self.keys += report.keys;
        self.with_tape += u64::from(report.tapes.checkpoints > 0);
        self.tapes.add(&report.tapes);
        self.digest = Some(report.digest);
    }

    fn print(&self, start: Instant) {
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{} schedules kept every promise ({:.0} a second): {} acts, {} events, {} transactions, \
             {} starts of a store, {} snapshots joined, changes followed {} times, \
             {} documents compared",
            self.schedules,
            self.schedules as f64 / seconds,
            self.steps,
            self.events,
            self.transactions,
            self.starts,
            self.joins,
            self.followed,
            self.compared
        );
        println!(
            "with copies {}, {} of them with whole logs: {} stores rolled back, {} copied; with forks {}: {} sides; \
             {} with collections that a link ended, {} times, {} healed",
            self.with_copies,
            self.with_whole_logs,
            self.rolled_back,
            self.copied,
            self.with_forks,
            self.forks,
            self.with_halts,
            self.halts,
            self.healed
        );
        println!(
            "with a roster {}: {} grants, {} transactions that nobody takes, {} collections set aside, \
             {} readers let write, {} keys changed",
            self.with_rights, self.grants, self.refused, self.set_aside, self.let_write, self.keys
        );
        println!(
            "with a tape {}: {} checkpoints, {} looks at the past, {} reverts, {} replays, {} collections held, {} backups restored",
            self.with_tape,
            self.tapes.checkpoints,
            self.tapes.looked,
            self.tapes.reverted,
            self.tapes.replayed,
            self.tapes.held,
            self.tapes.restored
        );
        if let (1, Some(digest)) = (self.schedules, self.digest) {
            let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            println!("trace {hex}");
        }
    }
}

//! Schedules that once failed, a few fresh ones, and the promise that a seed is a schedule.
//!
//! `LITTORAL_SCHEDULES` asks for more fresh ones, `LITTORAL_SEED` says where they begin.

use littoral_sim::{Report, Settings, run};

fn keeps_every_promise(seed: u64) -> Report {
    let settings = Settings { seed, ..Settings::default() };
    run(&settings).unwrap_or_else(|failure| panic!("{failure}"))
}

fn number(name: &str, usually: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usually)
}

#[test]
fn seeds_that_once_failed_keep_every_promise() {
    let seeds = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for line in seeds.filter(|line| !line.trim().is_empty()) {
        let seed = line.split_whitespace().next().and_then(|seed| seed.parse().ok());
        keeps_every_promise(seed.unwrap_or_else(|| panic!("seeds.txt: no seed in {line:?}")));
    }
}

#[test]
fn fresh_seeds_keep_every_promise() {
    let first = number("LITTORAL_SEED", 1_000_000);
    for seed in first..first + number("LITTORAL_SCHEDULES", 12) {
        keeps_every_promise(seed);
    }
}

#[test]
fn keys_are_changed_and_every_promise_is_kept() {
    let seeds = (60_000_000..).step_by(6).take(number("LITTORAL_SCHEDULES", 12) as usize);
    let changed: u64 = seeds.map(|seed| keeps_every_promise(seed).keys).sum();
    assert!(changed > 0);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let reports: Vec<Report> = (3..6).map(keeps_every_promise).collect();
    for (seed, report) in (3..6).zip(&reports) {
        assert_eq!(keeps_every_promise(seed), *report, "seed {seed}");
    }
    assert_ne!(reports[0].digest, reports[1].digest);
}

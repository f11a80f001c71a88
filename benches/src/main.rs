//! `cargo run --release --manifest-path benches/Cargo.toml`: what an edit costs, in a small
//! document and in a large one, through the whole path, in one run.
//!
//! Figures of one machine and one moment: compare columns, not runs.

use std::time::{Duration, Instant};

use littoral::{Field, Fields, Store, Value};

/// Elements of the small set and of the large one.
const SIZES: [u64; 2] = [10, 1_000];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path())?;
    puts(&store)?;
    for size in SIZES {
        build(&store, size)?;
    }
    store.flush()?;
    println!("{:<34}{:>12}{:>12}{:>8}", "one edit", "10", "100,000", "ratio");
    for (name, deferred) in [("deferred", true), ("durable", false)] {
        edits(&store, name, deferred)?;
    }
    Ok(())
}

/// Small documents put one by one: the path that large documents must not slow down.
fn puts(store: &Store) -> littoral::Result<()> {
    let notes = store.collection("puts")?;
    const COUNT: u64 = 20_000;
    let start = Instant::now();
    for n in 0..COUNT {
        let fields = Fields::from([
            ("title".to_owned(), Field::from(format!("note {n}"))),
            ("done".to_owned(), Field::from(n % 2 == 0)),
            ("rank".to_owned(), Field::from(n)),
        ]);
        store.write_deferred(|txn| txn.put(notes.name(), &format!("n{n}"), &fields))?;
    }
    println!("put of a small document, deferred: {:.1} us", micros(start.elapsed(), COUNT));
    Ok(())
}

fn id(size: u64) -> String {
    format!("set{size}")
}

fn build(store: &Store, size: u64) -> littoral::Result<()> {
    let start = Instant::now();
    let all = (0..size).map(|n| Value::from(format!("element {n}"))).collect();
    let fields = Fields::from([("tags".to_owned(), Field::Set(all))]);
    store.write(|txn| txn.put("sets", &id(size), &fields))?;
    println!("put of a set of {size}: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Adds and removes, in turn on the small and the large document, so that both see the same load.
fn edits(store: &Store, name: &str, deferred: bool) -> littoral::Result<()> {
    const ROUNDS: u64 = 20;
    const EACH: u64 = 50;
    let mut taken = [[Duration::ZERO; 2]; 2];
    for round in 0..ROUNDS {
        for (at, size) in SIZES.into_iter().enumerate() {
            for (kind, taken) in taken[at].iter_mut().enumerate() {
                let start = Instant::now();
                for n in 0..EACH {
                    let element = Value::from(format!("new {name} {round} {n}"));
                    let edit = |txn: &mut littoral::Transaction| match kind {
                        0 => txn.add("sets", &id(size), "tags", element),
                        _ => txn.remove("sets", &id(size), "tags", element).map(drop),
                    };
                    match deferred {
                        true => store.write_deferred(edit)?,
                        false => store.write(edit)?,
                    }
                }
                *taken += start.elapsed();
            }
        }
    }
    for (kind, what) in ["add", "remove"].into_iter().enumerate() {
        let [small, large] = [0, 1].map(|at| micros(taken[at][kind], ROUNDS * EACH));
        line(&format!("{what}, {name}, us"), small, large);
    }
    Ok(())
}

fn line(what: &str, small: f64, large: f64) {
    println!("{what:<34}{small:>12.1}{large:>12.1}{:>8.2}", large / small);
}

fn micros(taken: Duration, count: u64) -> f64 {
    taken.as_secs_f64() * 1e6 / count as f64
}

//! `cargo run --release --manifest-path benches/Cargo.toml --bin edits`: what an edit costs in a small
//! document and in a large one, through the whole path from the call to the state, in one run.
//!
//! Figures of one machine and one moment: compare columns, not runs. Processor time is that of
//! the thread that writes, so that other load tells less; wall time has the syncs in it.

#[allow(dead_code)]
#[path = "../process.rs"]
mod process;

use std::error::Error;
use std::time::{Duration, Instant};

use littoral::store::RowCounts;
use littoral::{Field, Fields, Store, Transaction, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Elements of the small set and of the large one.
const SIZES: [u64; 2] = [10, 100_000];
const MAP_KEYS: u64 = 50_000;
/// Each round adds and removes so many elements, so that the small set stays small.
const EACH: u64 = 10;
const ROUNDS: u64 = 200;
const READS: u64 = 50;

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path())?;
    puts(&store)?;
    for size in SIZES {
        build(&store, size)?;
    }
    store.flush()?;
    let [small, large] = SIZES.map(|size| format!("of {size}"));
    println!("\n{:<36}{small:>12}{large:>12}{:>8}", "one edit of a set", "ratio");
    for (name, durable) in [("deferred", false), ("durable", true)] {
        edits(&store, name, durable)?;
    }
    one_field(&store)
}

/// Small documents put one by one: the path that large documents must not slow down.
fn puts(store: &Store) -> Result<()> {
    const COUNT: u64 = 20_000;
    let start = Clock::start();
    for n in 0..COUNT {
        let fields = Fields::from([
            ("title".to_owned(), Field::from(format!("note {n}"))),
            ("done".to_owned(), Field::from(n % 2 == 0)),
            ("rank".to_owned(), Field::from(n)),
        ]);
        store.write_deferred(|txn| txn.put("puts", &format!("n{n}"), &fields))?;
    }
    let spent = start.spent();
    let [cpu, wall] = [spent.cpu, spent.wall].map(|time| micros(time, COUNT));
    println!("put of a small document, deferred: {cpu:.1} us of processor, {wall:.1} us");
    Ok(())
}

fn id(size: u64) -> String {
    format!("set{size}")
}

fn build(store: &Store, size: u64) -> Result<()> {
    let start = Instant::now();
    let all = (0..size).map(|n| Value::from(format!("element {n}"))).collect();
    let fields = Fields::from([("tags".to_owned(), Field::Set(all))]);
    store.write(|txn| txn.put("sets", &id(size), &fields))?;
    println!("put of a set of {size}: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Adds and removes, in turn on the small and the large document, so that both see the same load.
fn edits(store: &Store, name: &str, durable: bool) -> Result<()> {
    let mut spent = [[Spent::default(); 2]; 2];
    for round in 0..ROUNDS {
        for (at, size) in SIZES.into_iter().enumerate() {
            for (kind, spent) in spent[at].iter_mut().enumerate() {
                let counts = store.row_counts();
                let start = Clock::start();
                for n in 0..EACH {
                    // Beside an element that is there, each time in another part of the set.
                    let beside = (round * EACH + n) * 7919 % size;
                    let element = Value::from(format!("element {beside} {n}"));
                    let edit = |txn: &mut Transaction| match kind {
                        0 => txn.add("sets", &id(size), "tags", element),
                        _ => txn.remove("sets", &id(size), "tags", element).map(drop),
                    };
                    match durable {
                        true => store.write(edit)?,
                        false => store.write_deferred(edit)?,
                    }
                }
                spent.add(start.spent(), counts, store.row_counts());
            }
        }
    }
    for (kind, what) in ["add", "remove"].into_iter().enumerate() {
        let line = |unit: &str, of: &dyn Fn(&Spent) -> f64| {
            line(&format!("{what}, {name}: {unit}"), of(&spent[0][kind]), of(&spent[1][kind]));
        };
        let each = (ROUNDS * EACH) as f64;
        line("processor, us", &|spent| micros(spent.cpu, ROUNDS * EACH));
        line("wall, us", &|spent| micros(spent.wall, ROUNDS * EACH));
        line("rows read", &|spent| spent.read as f64 / each);
        line("rows written", &|spent| spent.written as f64 / each);
        line("bytes of rows written", &|spent| spent.bytes as f64 / each);
        line("peak memory over idle, KiB", &|spent| spent.memory_kib as f64);
    }
    Ok(())
}

/// Reads of one field of a large map, and of all of it.
fn one_field(store: &Store) -> Result<()> {
    let map = store.collection("maps")?;
    let fields: Fields =
        (0..MAP_KEYS).map(|n| (format!("key {n}"), Field::from(format!("value {n}")))).collect();
    map.put("m", &fields)?;
    let start = Instant::now();
    for n in 0..READS {
        map.get_field("m", format!("key {}", n * 997))?.ok_or("a field is there")?;
    }
    let one = micros(start.elapsed(), READS);
    let start = Instant::now();
    map.get("m")?.ok_or("the document is there")?;
    let all = micros(start.elapsed(), 1);
    println!("\nread of one field of {MAP_KEYS}: {one:.1} us, of all: {all:.0} us");
    Ok(())
}

/// What some edits cost.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    wall: Duration,
    read: u64,
    written: u64,
    bytes: u64,
    memory_kib: u64,
}

impl Spent {
    fn add(&mut self, more: Spent, before: RowCounts, after: RowCounts) {
        self.cpu += more.cpu;
        self.wall += more.wall;
        self.read += after.read - before.read;
        self.written += after.written - before.written;
        self.bytes += after.bytes_written - before.bytes_written;
        self.memory_kib = self.memory_kib.max(more.memory_kib);
    }
}

/// What is spent from now on.
struct Clock {
    wall: Instant,
    cpu: Duration,
    idle_kib: u64,
}

impl Clock {
    fn start() -> Clock {
        let idle_kib = process::forget_peak();
        Clock { wall: Instant::now(), cpu: process::thread_time(), idle_kib }
    }

    fn spent(&self) -> Spent {
        Spent {
            cpu: process::thread_time() - self.cpu,
            wall: self.wall.elapsed(),
            memory_kib: process::peak_kib().saturating_sub(self.idle_kib),
            ..Spent::default()
        }
    }
}

fn line(what: &str, small: f64, large: f64) {
    let ratio = if small > 0.0 { format!("{:.2}", large / small) } else { "-".to_owned() };
    println!("{what:<36}{small:>12.1}{large:>12.1}{ratio:>8}");
}

fn micros(taken: Duration, count: u64) -> f64 {
    taken.as_secs_f64() * 1e6 / count as f64
}

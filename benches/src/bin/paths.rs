//! `cargo build --release --manifest-path benches/Cargo.toml --bin paths`, then
//! `valgrind --tool=callgrind --toggle-collect='*measured*' paths get 10000`: one hot path of
//! Littoral alone, over and over, on a disk in memory, for instruction counts and profiles. These
//! are the same in every run, where times are not.
//!
//! Paths: load (notes in batches of 1,000), set (one field, durable), get, scan.

#[path = "notes/work.rs"]
mod work;

use std::hint::black_box;
use std::sync::Arc;

use littoral::store::disk::MemDisk;
use littoral::txn::NodeKey;
use littoral::{Collection, Options, ScanRange, Store};
use work::{BATCH, Seeded, id, note};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SEED: u64 = 20_261_124;
/// Notes that are there before get, set and scan.
const DOCS: u64 = 10_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(times)) = (args.next(), args.next()) else {
        return Err("paths load|set|get|scan TIMES".into());
    };
    let times: u64 = times.parse()?;
    let key = NodeKey::from_seed([1; 32]);
    let store = Options::new().key(key).open_on(Arc::new(MemDisk::new()))?;
    let notes = store.collection("notes")?;
    if path == "load" {
        return load(&store, times, measured);
    }
    load(&store, DOCS, |store, batch| write(store, batch))?;
    for time in 0..times {
        measured_path(&path, &notes, time)?;
    }
    Ok(())
}

type Batch = Vec<(String, littoral::Fields)>;

fn load(store: &Store, docs: u64, write: impl Fn(&Store, &Batch) -> Result<()>) -> Result<()> {
    for first in (0..docs).step_by(BATCH as usize) {
        let batch: Batch =
            (first..first + BATCH).map(|n| (id(n), note(SEED, n).to_fields())).collect();
        write(store, &batch)?;
    }
    Ok(())
}

fn write(store: &Store, batch: &Batch) -> Result<()> {
    Ok(store.write(|txn| batch.iter().try_for_each(|(id, f)| txn.put("notes", id, f)))?)
}

/// What is to be counted of a load.
#[inline(never)]
fn measured(store: &Store, batch: &Batch) -> Result<()> {
    write(store, batch)
}

/// What is to be counted of the others.
#[inline(never)]
fn measured_path(path: &str, notes: &Collection, time: u64) -> Result<()> {
    let id = id(Seeded(time).below(DOCS));
    match path {
        "get" => drop(black_box(notes.get(&id)?.ok_or("every note is there")?)),
        "set" => notes.set(&id, "priority", time as i64 + 10)?,
        "scan" => {
            for document in notes.scan(&ScanRange::default())? {
                black_box(document?);
            }
        }
        _ => return Err(format!("no path {path}").into()),
    }
    Ok(())
}

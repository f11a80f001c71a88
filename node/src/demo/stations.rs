//! The demo's data: tide stations, carried in the binary; see `node/data/README.md`.

use littoral::Result;

use super::COLLECTION;
use crate::cli::Format;
use crate::target::{Local, Target};
use crate::transfer::{self, Ids, Reading};

/// One JSON document a line.
const STATIONS: &str = include_str!("../../data/tide-stations.jsonl");
/// Documents of a transaction.
const BATCH: usize = 250;

/// How many there are.
pub(super) fn count() -> u64 {
    STATIONS.lines().count() as u64
}

/// Imports all of them; tells after each batch how many it has. Again is as good as once.
pub(super) fn import(local: &Local, mut progress: impl FnMut(u64)) -> Result<()> {
    let reading = Reading {
        ids: Ids::Field("id".to_owned()),
        sets: vec!["tags".to_owned()],
        counters: vec![],
    };
    let mut batch = Vec::new();
    let mut imported = 0;
    let mut write = |batch: &mut Vec<_>| -> Result<()> {
        local.put_all(COLLECTION, batch)?;
        imported += batch.len() as u64;
        batch.clear();
        progress(imported);
        Ok(())
    };
    transfer::read(Format::Jsonl, STATIONS.as_bytes(), false, &mut |raw| {
        batch.push(reading.document(raw)?);
        if batch.len() == BATCH { write(&mut batch) } else { Ok(()) }
    })?;
    write(&mut batch)
}

//! D1 and D2: what a store takes on the disk.

use std::path::Path;

use littoral::store::LogBudget;
use littoral::{Field, Fields, Options, Store, Value};

use crate::plain::Redb;
use crate::process::disk_bytes;
use crate::table::{Goal, Series, Table};
use crate::work::{BATCH, Seeded, id, note};
use crate::{CACHE_BYTES, NOTES, Plan, Result, SEED, fill};

/// Of D2.
const EDITED: u64 = 1000;
/// Segments of a log that is to be pruned to nothing: the one that is written to stays.
const SMALL_BYTES: usize = 64 << 10;
/// How often D2 looks at the disk, in edits.
const LOOK_EVERY: u64 = 10_000;

/// D1: bytes a document, compacted, with and without the log.
pub(crate) fn documents(plan: &Plan, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (dir, rows) = (home.path().join("store"), home.path().join("rows.redb"));
    let mut redb = Redb::open(&rows, CACHE_BYTES)?;
    redb.fill(SEED, plan.docs)?;
    redb.compact()?;
    drop(redb);
    let docs = plan.docs as f64;
    let plain = disk_bytes(&rows)? as f64 / docs;
    let all = LogBudget { bytes: u64::MAX, ..LogBudget::default() };
    let options = || Options::new().cache_bytes(CACHE_BYTES).log_segment_bytes(1 << 20);
    fill(options().log_budget(all), &dir, plan.docs, BATCH)?.close()?;
    let state = options().log_budget(all).compact(&dir)?.after_bytes as f64 / docs;
    let whole = disk_bytes(&dir)? as f64 / docs;
    let none = options().log_budget(LogBudget { bytes: 0, ..all });
    forget(&none.log_segment_bytes(SMALL_BYTES as u64).open(&dir)?)?;
    options().compact(&dir)?;
    let pruned = disk_bytes(&dir)? as f64 / docs;
    table.row(
        "D1",
        "disk bytes a document, log pruned",
        &Series::pair(pruned, plain),
        Goal::Ratio(1.3),
    );
    table.row("", "   with full log", &Series::pair(whole, plain), Goal::Ratio(2.2));
    table.row("", "   the state alone", &Series::pair(state, plain), Goal::None);
    Ok(())
}

/// Prunes the whole log: the segment that is written to is not pruned, so others are filled.
fn forget(store: &Store) -> Result<()> {
    for n in 0..3 {
        // What can't be packed.
        let mut random = Seeded(n);
        let noise: Vec<u8> = (0..SMALL_BYTES).map(|_| random.below(256) as u8).collect();
        store.write(|txn| txn.set("filler", "f", "x", Value::Bytes(noise)))?;
    }
    store.leave("filler")?;
    store.prune()?;
    Ok(store.close()?)
}

/// D2: many edits of few documents, each its own transaction.
pub(crate) fn history(plan: &Plan, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path().join("store");
    let store = Options::new().cache_bytes(CACHE_BYTES).open(&dir)?;
    for n in 0..EDITED {
        let small = Fields::from([("title".to_owned(), Field::from(note(SEED, n).title))]);
        store.write_deferred(|txn| txn.put(NOTES, &id(n), &small))?;
    }
    let mut peak = 0;
    for n in 0..plan.edits {
        let at = n.wrapping_mul(7919) % EDITED;
        store.write_deferred(|txn| txn.set(NOTES, &id(at), "priority", n))?;
        if n % LOOK_EVERY == 0 {
            peak = peak.max(disk_bytes(&dir)?);
        }
    }
    store.flush()?;
    let written = store.stats()?.position.0;
    let (budget, live) = (store.stats()?.log_budget_bytes, store.space()?.live_bytes);
    let segment = littoral::limits::LOG_SEGMENT_BYTES;
    let taken = peak.max(disk_bytes(&dir)?);
    store.close()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let what = format!("{} edits of {EDITED} documents: disk at most, MiB", plan.edits);
    // A log is pruned by segments: the one that is written to, and one that is about to go.
    let allowed = mib(budget + 2 * segment + state_bytes(&dir)?);
    table.row("D2", what, &Series::of(mib(taken)), Goal::Figure(allowed.round()));
    table.row("", "   history written, MiB", &Series::of(mib(written)), Goal::None);
    table.row("", "   budget of the log, MiB", &Series::of(mib(budget)), Goal::None);
    table.row("", "   live rows of the state, MiB", &Series::of(mib(live)), Goal::None);
    Ok(())
}

fn state_bytes(dir: &Path) -> Result<u64> {
    Ok(disk_bytes(&dir.join("state.redb"))?)
}

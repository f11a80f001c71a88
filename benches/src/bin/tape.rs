//! `cargo run --release --manifest-path benches/Cargo.toml --bin tape [DOCUMENTS]`: what
//! checkpoints and the ways back to them cost, beside the same without them.
//!
//! Two stores on disk with the same notes: one of them has a checkpoint. A tenth of the notes is
//! edited in both, a hundred a transaction, durably. The time of one run each; compare what stands
//! side by side.

#[allow(dead_code)]
#[path = "notes/work.rs"]
mod work;

use std::path::Path;
use std::time::{Duration, Instant};

use littoral::store::{ReplayOptions, ReplayOutcome, RevertScope};
use littoral::{Options, ScanRange, Store};
use work::{BATCH, id, note};

const NOTES: &str = "notes";
const SEED: u64 = 20_261_124;
const LABEL: &str = "before";
/// Edits of one transaction.
const EDITS: u64 = 100;
/// Documents that one node has got wrong, and that are brought back.
const WRONG: u64 = 10_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let (edits, wrong) = (count / 10, WRONG.min(count / 10));
    let (plain_dir, tape_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (plain, tape) = (load(plain_dir.path(), count)?, load(tape_dir.path(), count)?);
    println!("{count} notes, {edits} edits\n");

    tell("make a checkpoint", timed(|| tape.checkpoint(LABEL))?.1);
    let before = [state(plain_dir.path())?, state(tape_dir.path())?];
    let (_, alone) = timed(|| edit(&plain, count, edits, "plain"))?;
    let (_, with) = timed(|| edit(&tape, count, edits, "plain"))?;
    beside("the edits, with a checkpoint and without", with, alone);
    let grown = [state(plain_dir.path())? - before[0], state(tape_dir.path())? - before[1]];
    println!(
        "{:<52} {:>10.1} MiB  beside {:.1} MiB",
        "grown by them: state.redb",
        mib(grown[1]),
        mib(grown[0])
    );
    let (costs, time) = timed(|| tape.checkpoint_costs())?;
    println!(
        "{:<52} {:>10.1} MiB  {} rows, {} bytes a row; told in {:.0} ms",
        "kept for the checkpoint",
        mib(costs[0].bytes),
        costs[0].rows,
        costs[0].bytes / costs[0].rows.max(1),
        ms(time)
    );
    let (found, time) = timed(|| -> Result<usize> { Ok(tape.diff(LABEL, None)?.count()) })?;
    println!("{:<52} {:>10.0} ms   {found} documents", "what differs", ms(time));
    let past = tape.at(LABEL)?;
    let (_, then) = timed(|| (0..1000).try_for_each(|n| past.get(NOTES, &id(n)).map(drop)))?;
    let notes = tape.collection(NOTES)?;
    let (_, now) = timed(|| (0..1000).try_for_each(|n| notes.get(&id(n)).map(drop)))?;
    drop(past);
    beside("1,000 documents read of the past, and of now", then, now);

    let (replay, time) = timed(|| tape.rollback_replay(LABEL, &ReplayOptions::default()))?;
    assert_eq!(replay.outcome, ReplayOutcome::Same);
    println!("{:<52} {:>10.0} ms   {} transactions", "replay", ms(time), replay.transactions);

    let (_, time) = timed(|| tape.rollback_hold(LABEL, None))?;
    println!("{:<52} {:>10.0} ms   {edits} own edits laid over it", "hold", ms(time));
    let (_, held) = timed(|| (0..1000).try_for_each(|n| notes.get(&id(n)).map(drop)))?;
    beside("1,000 documents read while it is held, and before", held, now);
    let all = ScanRange::default();
    let (shown, scanned) = timed(|| -> Result<usize> { Ok(notes.scan(&all)?.count()) })?;
    tell("a scan of all while it is held", scanned);
    assert_eq!(shown as u64, count);
    let write = |store: &Store, n: u64| store.collection(NOTES)?.set(&id(n), "title", "held");
    let (_, held) = timed(|| (0..200).try_for_each(|n| write(&tape, n)))?;
    let (_, alone) = timed(|| (0..200).try_for_each(|n| write(&plain, n)))?;
    beside("200 fields written while it is held, and not", held, alone);
    tell("resume", timed(|| tape.resume(None))?.1);

    tape.checkpoint("before the import")?;
    edit(&tape, count, wrong, "WRONG")?;
    let scope = RevertScope::by(tape.node_id());
    let (reverted, time) =
        timed(|| tape.revert("before the import", &RevertScope::default(), &mut |_| ()))?;
    println!("{:<52} {:>10.0} ms   {} documents", "revert", ms(time), reverted.documents);
    edit(&tape, count, wrong, "WRONG")?;
    let (reverted, time) = timed(|| tape.revert("before the import", &scope, &mut |_| ()))?;
    println!("{:<52} {:>10.0} ms   {} documents", "revert --by", ms(time), reverted.documents);
    tell("delete both checkpoints", {
        let begun = Instant::now();
        tape.delete_checkpoint("before the import")?;
        tape.delete_checkpoint(LABEL)?;
        begun.elapsed()
    });
    Ok(())
}

fn load(dir: &Path, count: u64) -> Result<Store> {
    let store = Options::new().cache_bytes(256 << 20).open(dir)?;
    for first in (0..count).step_by(BATCH as usize) {
        store.write_deferred(|txn| {
            (first..count.min(first + BATCH)).try_for_each(|n| txn.put(NOTES, &id(n), &note(SEED, n).to_fields()))
        })?;
    }
    store.flush()?;
    Ok(store)
}

/// Sets a field of so many notes, spread over all of them.
fn edit(store: &Store, count: u64, edits: u64, title: &str) -> littoral::Result<()> {
    let apart = count / edits;
    for first in (0..edits).step_by(EDITS as usize) {
        store.write(|txn| {
            let some = first..edits.min(first + EDITS);
            some.into_iter().try_for_each(|n| {
                txn.set(NOTES, &id(n * apart), "title", format!("{title} {n}"))
            })
        })?;
    }
    Ok(())
}

fn state(dir: &Path) -> Result<u64> {
    Ok(std::fs::metadata(dir.join("state.redb"))?.len())
}

fn timed<T, E>(what: impl FnOnce() -> std::result::Result<T, E>) -> Result<(T, Duration)>
where
    E: Into<Box<dyn std::error::Error>>,
{
    let begun = Instant::now();
    let done = what().map_err(Into::into)?;
    Ok((done, begun.elapsed()))
}

fn tell(what: &str, time: Duration) {
    println!("{what:<52} {:>10.1} ms", ms(time));
}

fn beside(what: &str, time: Duration, other: Duration) {
    let ratio = time.as_secs_f64() / other.as_secs_f64();
    println!("{what:<52} {:>10.1} ms   beside {:.1} ms: {ratio:.2}", ms(time), ms(other));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

//! W8: from opening a store to having read a document, after it was closed and after `kill -9`.

use std::path::Path;

use crate::child::Child;
use crate::plain::Redb;
use crate::sync::{none, utf8};
use crate::table::{Goal, Table};
use crate::{CACHE_BYTES, Plan, Result, SEED, fill_batches};

pub(crate) fn open(plan: &Plan, table: &mut Table) -> Result<()> {
    for docs in [plan.docs, plan.large] {
        let home = tempfile::tempdir()?;
        let (dir, rows) = (home.path().join("store"), home.path().join("rows.redb"));
        fill_batches(&dir, docs)?.close()?;
        Redb::open(&rows, CACHE_BYTES)?.fill(SEED, docs)?;
        let [mut clean, mut crashed] = none();
        for run in 0..plan.runs as u64 + 2 {
            let read = (docs / 3 + run).to_string();
            for (times, crash) in [(&mut clean, false), (&mut crashed, true)] {
                times.ours(time("open", crash.then_some("crash"), &dir, docs, &read)?);
                times.theirs(time(
                    "plain-open",
                    crash.then_some("plain-crash"),
                    &rows,
                    docs,
                    &read,
                )?);
            }
        }
        table.row("W8", format!("open and read one of {docs}, ms"), &clean, Goal::Ratio(1.5));
        let what = format!("   after kill -9, 999 transactions to apply again, ms");
        table.row("", what, &crashed, Goal::Figure(20.0));
    }
    Ok(())
}

/// Milliseconds; after a process with that role was killed, if one is named.
fn time(open: &str, crash: Option<&str>, path: &Path, docs: u64, read: &str) -> Result<f64> {
    if let Some(crash) = crash {
        let mut child = Child::start(crash, &[utf8(path)?, &docs.to_string()])?;
        child.line()?;
        child.kill()?;
    }
    let mut child = Child::start(open, &[utf8(path)?, read])?;
    let millis = child.line()?.parse()?;
    child.end()?;
    Ok(millis)
}

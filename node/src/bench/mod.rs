//! `bench`: how fast this machine and its disk are with Littoral, beside plain redb.
//!
//! The same notes go into a store and into redb rows with nothing else beside them, in turn, so
//! that other load meets both; a ratio says more than a figure. What each figure means stands
//! beside it. All files are in a directory that is removed at the end.
//!
//! Architecture invariant: here alone the node knows redb, as what is measured against, in files
//! of its own; a store's files it never opens with it.

mod figures;
mod notes;
mod plain;
mod stores;
mod synced;

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use crate::cli::BenchArgs;
use crate::command::Context;
use crate::output::{number, table};
use figures::Row;
use stores::Stores;

/// The works, in the order in which they are measured.
const WORKS: [(&str, Measure); 9] = [
    ("W1", Stores::load),
    ("W2", Stores::set),
    ("W3", Stores::get),
    ("W4", Stores::scan),
    ("W5", Stores::first_sync),
    ("W6", Stores::differences),
    ("W7", Stores::live),
    ("W8", Stores::open_again),
    ("D1", Stores::disk),
];

type Measure = fn(&mut Stores) -> Result<Vec<Row>>;

/// `littoral bench`
pub(crate) fn bench(context: &Context, args: &BenchArgs) -> Result<()> {
    let wanted = wanted(&args.work)?;
    let dir = tempfile::Builder::new()
        .prefix("littoral-bench-")
        .tempdir_in(&args.dir)
        .map_err(|err| failed("make a directory to measure in", err))?;
    let bar = bar(wanted.len() as u64, context.output.json);
    let rows = measure(dir.path(), args.docs, &wanted, &bar);
    bar.finish_and_clear();
    let rows = rows?;
    match context.output.json {
        true => context.output.json(&json!({"docs": args.docs, "rows": rows})),
        false => context.output.line(told(args.docs, &rows)),
    }
}

/// Those that are asked for; the first is there whatever is, since the others need its notes.
fn wanted(names: &[String]) -> Result<Vec<(&'static str, Measure)>> {
    let known = WORKS.map(|(name, _)| name).join(", ");
    match names.iter().find(|name| !WORKS.iter().any(|(known, _)| known == name)) {
        Some(unknown) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("there is no work '{unknown}'; there are {known}"),
        )),
        None => {
            let all = names.is_empty();
            Ok(WORKS
                .into_iter()
                .filter(|(name, _)| all || names.iter().any(|n| n == name))
                .collect())
        }
    }
}

fn measure(
    dir: &Path,
    docs: u64,
    wanted: &[(&'static str, Measure)],
    bar: &ProgressBar,
) -> Result<Vec<Row>> {
    let mut stores = Stores::open(dir, docs)?;
    let mut rows = Vec::new();
    bar.set_message("W1");
    if wanted.first().is_none_or(|(name, _)| *name != "W1") {
        stores.load()?;
    }
    for (name, measure) in wanted {
        bar.set_message(*name);
        rows.extend(measure(&mut stores)?);
        bar.inc(1);
    }
    stores.close()?;
    Ok(rows)
}

/// The table, and below it what each figure means.
fn told(docs: u64, rows: &[Row]) -> String {
    let head = ["", "", "Littoral", "plain redb", "ratio"].map(str::to_owned).to_vec();
    let cells = rows.iter().map(Row::cells);
    let figures = table(&std::iter::once(head).chain(cells).collect::<Vec<_>>());
    let meanings: Vec<String> =
        rows.iter().map(|row| format!("{}  {}: {}", row.work, row.what, row.meaning)).collect();
    format!(
        "{} notes, on this machine and this disk, now\n\n{figures}\n\n{}",
        number(docs),
        meanings.join("\n")
    )
}

fn bar(works: u64, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("measuring {msg}  {bar:30} {pos}/{len}");
    ProgressBar::new(works).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn failed(what: &str, err: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, format!("could not {what}: {err}"))
}

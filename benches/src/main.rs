//! `cargo run --release --manifest-path benches/Cargo.toml -- --docs 100000`: everything that
//! Littoral promises of its speed, each beside the same work without any CRDT, in one run.
//!
//! W1 to W4 are those of `--bin notes`, whose table comes first. Each figure is a median of several
//! runs; a ratio is the median of the ratios of each run, Littoral's figure divided by the other's.
//! `--iroh`, or `--iroh PROGRAM` if `benches/iroh` is built already, adds iroh-docs to W1 to W5, and
//! makes 10,000 notes the default.
//! Compare ratios of one run, not figures of two. `--work W5,S1` runs some, `--docs`, `--large`,
//! `--edits`, `--idle-docs` and `--origins` set sizes, `--json FILE` keeps the table. `-- scale` makes
//! the tables of `docs/SCALE.md` instead.

mod child;
mod disk;
#[path = "bin/notes/iroh.rs"]
mod iroh;
mod memory;
mod open;
mod plain;
#[allow(dead_code)]
mod process;
mod relay;
mod scale;
mod sync;
mod table;
#[allow(dead_code)]
#[path = "bin/notes/work.rs"]
mod work;
#[allow(dead_code)]
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use littoral::{Options, Store};
use table::Table;
use work::{BATCH, id, note};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SEED: u64 = 20_261_124;
const NOTES: &str = "notes";
/// Bytes of memory for the cache of pages, of redb too: what a node has unless told otherwise.
const CACHE_BYTES: usize = 32 << 20;
/// How long something may take before the run has failed.
const PATIENCE: Duration = Duration::from_secs(900);
const ALL: [&str; 11] = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "D1", "D2", "S1"];

/// What to run, and how large.
struct Plan {
    docs: u64,
    /// Documents of the larger store of W8.
    large: u64,
    /// Edits of D2.
    edits: u64,
    /// Documents of M1.
    idle_docs: u64,
    /// Origins of S1.
    origins: u64,
    runs: usize,
    work: Vec<String>,
    json: Option<PathBuf>,
    iroh: Option<iroh::Program>,
}

impl Plan {
    fn from_args(args: impl Iterator<Item = String>) -> Result<Plan> {
        let (mut args, mut iroh) = (args.peekable(), None);
        let (mut docs, mut large, mut edits, mut idle_docs, mut origins) =
            (None, None, None, None, 10_000);
        let (mut runs, mut work, mut json) = (3, Vec::new(), None);
        while let Some(arg) = args.next() {
            if arg == "--iroh" {
                iroh = Some(iroh::Program::from_args(&mut args)?);
                continue;
            }
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match &arg[..] {
                "--docs" => docs = Some(value()?.parse()?),
                "--large" => large = Some(value()?.parse()?),
                "--edits" => edits = Some(value()?.parse()?),
                "--idle-docs" => idle_docs = Some(value()?.parse()?),
                "--origins" => origins = value()?.parse()?,
                "--runs" => runs = value()?.parse()?,
                "--work" => work = value()?.split(',').map(str::to_owned).collect(),
                "--json" => json = Some(value()?.into()),
                _ => return Err(format!("unknown argument {arg}").into()),
            }
        }
        let docs = docs.unwrap_or(if iroh.is_some() { iroh::DOCS } else { 100_000 });
        Ok(Plan {
            docs,
            large: large.unwrap_or(10 * docs),
            edits: edits.unwrap_or(10 * docs),
            idle_docs: idle_docs.unwrap_or(docs),
            origins,
            runs,
            work,
            json,
            iroh,
        })
    }

    fn has(&self, work: &str) -> bool {
        self.work.is_empty() || self.work.iter().any(|wanted| wanted == work)
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|arg| arg == "child").is_some() {
        return child::run(args);
    }
    if args.next_if(|arg| arg == "scale").is_some() {
        return scale::run(args);
    }
    let plan = Plan::from_args(args)?;
    if let Some(unknown) = plan.work.iter().find(|work| !ALL.contains(&&work[..]) && *work != "M1")
    {
        return Err(format!("no work {unknown}; there are {} and M1", ALL.join(", ")).into());
    }
    notes(&plan)?;
    let before = process::load();
    let mut table = Table::default();
    let measured: [(&str, fn(&Plan, &mut Table) -> Result<()>); 8] = [
        ("W5", sync::first),
        ("W6", sync::differences),
        ("W7", sync::live),
        ("W8", open::open),
        ("D1", disk::documents),
        ("D2", disk::history),
        ("M1", memory::idle),
        ("S1", memory::origins),
    ];
    for (work, measure) in measured {
        if plan.has(work) {
            measure(&plan, &mut table)?;
        }
    }
    println!(
        "\n{} notes, {} runs, medians; load {before} at the beginning, {} at the end\n",
        plan.docs,
        plan.runs,
        process::load()
    );
    table.print();
    if let Some(path) = &plan.json {
        std::fs::write(path, table.to_json())?;
    }
    Ok(())
}

/// W1 to W4 have a program of their own, beside this one.
fn notes(plan: &Plan) -> Result<()> {
    let work: Vec<&str> = ALL[..4].iter().copied().filter(|work| plan.has(work)).collect();
    if work.is_empty() {
        return Ok(());
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let iroh = plan.iroh.as_ref().map(|program| ["--iroh".as_ref(), program.path().as_os_str()]);
    let done = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--locked", "--bin", "notes", "--manifest-path"])
        .arg(manifest)
        .args(["--", "--docs", &plan.docs.to_string(), "--runs", &plan.runs.to_string()])
        .args(["--work", &work.join(",")])
        .args(iroh.into_iter().flatten())
        .status()?;
    match done.success() {
        true => Ok(()),
        false => Err("W1 to W4 failed".into()),
    }
}

/// A store with `docs` notes, `each` to a transaction.
fn fill(options: Options, dir: &Path, docs: u64, each: u64) -> Result<Store> {
    let store = options.open(dir)?;
    for first in (0..docs).step_by(each as usize) {
        let numbers = first..docs.min(first + each);
        store.write_deferred(|txn| {
            numbers.clone().try_for_each(|n| txn.put(NOTES, &id(n), &note(SEED, n).to_fields()))
        })?;
    }
    store.flush()?;
    Ok(store)
}

/// The same, in the batches that all loads have.
fn fill_batches(dir: &Path, docs: u64) -> Result<Store> {
    fill(Options::new().cache_bytes(CACHE_BYTES), dir, docs, BATCH)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

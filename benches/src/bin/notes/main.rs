//! `cargo run --release --manifest-path benches/Cargo.toml --bin notes -- --docs 100000 --work W1,W2,W3,W4`:
//! the same notes in Littoral, in raw redb and in SQLite, in one process and in turn, so that
//! other load on the machine meets all of them. Medians of several rounds; ratios to raw redb.
//!
//! `--iroh` (which builds `benches/iroh`) or `--iroh PROGRAM` adds iroh-docs, and 10,000 notes are
//! enough then.
//!
//! Below 1 is slower than redb for rates (W1, W4, W2 of 64 writers), faster for times (W2, W3).
//! Compare ratios of one run, not figures of two.

#[allow(dead_code)]
mod iroh;
mod stores;
mod work;

use std::path::Path;
use std::time::{Duration, Instant};

use stores::{Append, Littoral, Redb, Sqlite, ids};
use work::{BATCH, Note, Seeded, id, note};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SEED: u64 = 20_261_124;
/// Notes that each store reads in its turn.
const GETS: u64 = 1000;
const WRITERS: u64 = 64;

/// What to run.
struct Plan {
    docs: u64,
    runs: usize,
    work: Vec<String>,
    /// Leave the others out: for profiles.
    alone: bool,
    iroh: Option<iroh::Program>,
}

impl Plan {
    fn from_args() -> Result<Plan> {
        let mut plan = Plan { docs: 0, runs: 3, work: Vec::new(), alone: false, iroh: None };
        let mut args = std::env::args().skip(1).peekable();
        while let Some(arg) = args.next() {
            if arg == "--iroh" {
                plan.iroh = Some(iroh::Program::from_args(&mut args)?);
                continue;
            }
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match &arg[..] {
                "--docs" => plan.docs = value()?.parse()?,
                "--runs" => plan.runs = value()?.parse()?,
                "--work" => plan.work = value()?.split(',').map(str::to_owned).collect(),
                "--alone" => plan.alone = true,
                _ => return Err(format!("unknown argument {arg}").into()),
            }
        }
        if plan.docs == 0 {
            plan.docs = if plan.iroh.is_some() { iroh::DOCS } else { 100_000 };
        }
        Ok(plan)
    }

    fn has(&self, work: &str) -> bool {
        self.work.is_empty() || self.work.iter().any(|wanted| wanted == work)
    }
}

/// All stores, in one directory.
struct Stores {
    littoral: Littoral,
    redb: Redb,
    sqlite: Sqlite,
    append: Append,
    iroh: Option<iroh::Running>,
}

impl Stores {
    fn open(dir: &Path, plan: &Plan) -> Result<Stores> {
        let iroh = dir.join("iroh");
        let args = ["notes".as_ref(), iroh.as_os_str()];
        Ok(Stores {
            littoral: Littoral::open(dir)?,
            redb: Redb::open(dir)?,
            sqlite: Sqlite::open(dir)?,
            append: Append::open(dir)?,
            iroh: plan.iroh.as_ref().map(|program| program.start(&args)).transpose()?,
        })
    }
}

/// The figures of one row of the table, by store, one a run.
#[derive(Default)]
struct Figures {
    columns: Vec<(&'static str, Vec<f64>)>,
}

impl Figures {
    fn note(&mut self, store: &'static str, figure: f64) {
        match self.columns.iter_mut().find(|(name, _)| *name == store) {
            Some((_, figures)) => figures.push(figure),
            None => self.columns.push((store, vec![figure])),
        }
    }

    fn median(&self, store: &str) -> Option<f64> {
        self.columns.iter().find(|(name, _)| *name == store).map(|(_, all)| median(all.clone()))
    }

    /// The median of the ratios of each run of `of` to what `other` took in it.
    fn ratio(&self, of: &str, other: &str) -> Option<f64> {
        let column = |name| self.columns.iter().find(|(column, _)| *column == name);
        let ((_, ours), (_, theirs)) = (column(of)?, column(other)?);
        Some(median(ours.iter().zip(theirs).map(|(a, b)| a / b).collect()))
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[derive(Default)]
struct Rows {
    load: Figures,
    load_processor: Figures,
    set: Figures,
    set_p99: Figures,
    set_returned: Figures,
    set_many: Figures,
    txns_per_sync: Figures,
    get: Figures,
    get_processor: Figures,
    scan: Figures,
    scan_processor: Figures,
}

fn main() -> Result<()> {
    let plan = Plan::from_args()?;
    let mut rows = Rows::default();
    for run in 1..=plan.runs {
        let dir = tempfile::tempdir()?;
        let mut stores = Stores::open(dir.path(), &plan)?;
        load(&plan, &mut stores, &mut rows)?;
        if plan.has("W3") {
            get(&plan, &mut stores, &mut rows)?;
        }
        if plan.has("W4") {
            scan(&plan, &mut stores, &mut rows)?;
        }
        if plan.has("W2") {
            set(&plan, &mut stores, &mut rows)?;
            set_many(&plan, &mut stores, &mut rows)?;
        }
        stores.iroh.take().map_or(Ok(()), iroh::Running::end)?;
        eprintln!("run {run} of {}", plan.runs);
    }
    print(&plan, &rows);
    Ok(())
}

fn print(plan: &Plan, rows: &Rows) {
    println!("{} notes, {} runs, medians\n", plan.docs, plan.runs);
    println!(
        "{:<34}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{}",
        "",
        "littoral",
        "redb",
        "sqlite",
        "append",
        "to redb",
        "goal",
        plan.iroh
            .as_ref()
            .map_or(String::new(), |_| format!("{:>12}{:>10}", "iroh-docs", "to redb"))
    );
    let line = |what: &str, figures: &Figures, goal: &str| {
        let cell = |store| match figures.median(store) {
            Some(figure) => format!("{figure:.2}"),
            None => "-".to_owned(),
        };
        let cells = ["littoral", "redb", "sqlite", "append", "iroh-docs"].map(cell);
        let [ratio, of_iroh] = ["littoral", "iroh-docs"].map(|of| {
            figures.ratio(of, "redb").map_or("-".to_owned(), |ratio| match ratio < 0.1 {
                true => format!("{ratio:.4}"),
                false => format!("{ratio:.2}"),
            })
        });
        let iroh = plan.iroh.as_ref().map(|_| format!("{:>12}{of_iroh:>10}", cells[4]));
        if !figures.columns.is_empty() {
            println!(
                "{what:<34}{:>10}{:>10}{:>10}{:>10}{ratio:>10}{goal:>10}{}",
                cells[0],
                cells[1],
                cells[2],
                cells[3],
                iroh.unwrap_or_default()
            );
        }
    };
    line("W1 load, 1000 notes/s", &rows.load, ">= 0.6");
    line("   processor, us a note", &rows.load_processor, "<= 1.67");
    line("W2 set one field, p50 us", &rows.set, "<= 0.8");
    line("   p99 us", &rows.set_p99, "");
    line("   until it returns, not durable", &rows.set_returned, "");
    line("W2 of 64 writers, 1000 txns/s", &rows.set_many, ">= 0.4");
    line("   transactions a sync", &rows.txns_per_sync, ">= 16");
    line("W3 get, us", &rows.get, "<= 1.5");
    line("   processor, us", &rows.get_processor, "<= 1.5");
    line("W4 scan, 1000 notes/s", &rows.scan, ">= 0.5");
    line("   processor, us a note", &rows.scan_processor, "<= 2");
    if let Some(ratio) = rows.get.ratio("littoral", "redb, a transaction each") {
        println!("\nW3 to redb with a read transaction for each get: {ratio:.2}");
    }
    if let Some(ratio) = rows.set.ratio("littoral", "append") {
        println!("W2 to one append and fdatasync: {ratio:.2} (goal <= 1.5)");
    }
}

/// Batches of 1,000, in turn. What the disk makes of it is in the rates alone; the processor time
/// of the thread says what the store's work is, whatever the disk does.
fn load(plan: &Plan, stores: &mut Stores, rows: &mut Rows) -> Result<()> {
    let mut spent = [[Duration::ZERO; 2]; 3];
    let mut of_iroh = [0.0; 2];
    for first in (0..plan.docs).step_by(BATCH as usize) {
        let numbers = first..plan.docs.min(first + BATCH);
        let batch: Vec<(String, Note)> = numbers.map(|n| (id(n), note(SEED, n))).collect();
        let fields: Vec<_> =
            batch.iter().map(|(id, note)| (id.clone(), note.to_fields())).collect();
        for (store, [wall, processor]) in spent.iter_mut().enumerate() {
            if plan.alone && store > 0 {
                continue;
            }
            let before = thread_time();
            *wall += time(|| match store {
                0 => stores.littoral.load(&fields),
                1 => stores.redb.load(&batch),
                _ => stores.sqlite.load(&batch),
            })?;
            *processor += thread_time() - before;
        }
        if let Some(iroh) = &mut stores.iroh {
            let end = plan.docs.min(first + BATCH);
            let spent: iroh::Spent = iroh.ask(&format!("load {first} {end}"))?;
            of_iroh = [of_iroh[0] + spent.wall, of_iroh[1] + spent.processor];
        }
    }
    if stores.iroh.is_some() {
        rows.load.note("iroh-docs", plan.docs as f64 / of_iroh[0] / 1e3);
        rows.load_processor.note("iroh-docs", of_iroh[1] * 1e6 / plan.docs as f64);
    }
    for (store, [wall, processor]) in ["littoral", "redb", "sqlite"].into_iter().zip(spent) {
        if !wall.is_zero() {
            rows.load.note(store, plan.docs as f64 / wall.as_secs_f64() / 1e3);
            rows.load_processor.note(store, processor.as_secs_f64() * 1e6 / plan.docs as f64);
        }
    }
    Ok(())
}

/// Random notes, a thousand at a time, in turn; each reads others, so that none finds in the
/// processor's caches what the one before it has read.
fn get(plan: &Plan, stores: &mut Stores, rows: &mut Rows) -> Result<()> {
    let mut random = Seeded(SEED);
    let mut rounds = [const { [Vec::new(), Vec::new()] }; 4];
    let mut of_iroh = [Vec::new(), Vec::new()];
    for _ in 0..plan.docs.div_ceil(GETS) {
        for (store, rounds) in rounds.iter_mut().enumerate() {
            let ids = ids((0..GETS).map(|_| random.below(plan.docs)));
            let (littoral, redb) = (&stores.littoral, &stores.redb);
            let before = thread_time();
            let spent = match store {
                0 => time(|| ids.iter().try_for_each(|id| littoral.get(id)))?,
                _ if plan.alone => continue,
                1 => time(|| redb.get_many(&ids))?,
                2 => time(|| ids.iter().try_for_each(|id| redb.get(id)))?,
                _ => time(|| stores.sqlite.get_many(&ids))?,
            };
            for (each, spent) in rounds.iter_mut().zip([spent, thread_time() - before]) {
                each.push(spent.as_secs_f64() * 1e6 / GETS as f64);
            }
        }
        if let Some(iroh) = &mut stores.iroh {
            let numbers: Vec<_> = (0..GETS).map(|_| random.below(plan.docs).to_string()).collect();
            let spent: iroh::Spent = iroh.ask(&format!("get {}", numbers.join(" ")))?;
            for (each, spent) in of_iroh.iter_mut().zip([spent.wall, spent.processor]) {
                each.push(spent * 1e6 / GETS as f64);
            }
        }
    }
    if stores.iroh.is_some() {
        let [wall, processor] = of_iroh;
        rows.get.note("iroh-docs", median(wall));
        rows.get_processor.note("iroh-docs", median(processor));
    }
    let names = ["littoral", "redb", "redb, a transaction each", "sqlite"];
    for (store, [wall, processor]) in names.into_iter().zip(rounds) {
        if !wall.is_empty() {
            rows.get.note(store, median(wall));
            rows.get_processor.note(store, median(processor));
        }
    }
    Ok(())
}

fn scan(plan: &Plan, stores: &mut Stores, rows: &mut Rows) -> Result<()> {
    const ROUNDS: usize = 5;
    let mut rounds = [const { [Vec::new(), Vec::new()] }; 3];
    let mut of_iroh = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (store, [rates, processor]) in rounds.iter_mut().enumerate() {
            if plan.alone && store > 0 {
                continue;
            }
            let (start, before) = (Instant::now(), thread_time());
            let count = match store {
                0 => stores.littoral.scan()?,
                1 => stores.redb.scan()?,
                _ => stores.sqlite.scan()?,
            };
            let (spent, worked) = (start.elapsed(), thread_time() - before);
            whole(count, plan)?;
            rates.push(count as f64 / spent.as_secs_f64() / 1e3);
            processor.push(worked.as_secs_f64() * 1e6 / count as f64);
        }
        if let Some(iroh) = &mut stores.iroh {
            let spent: iroh::Spent = iroh.ask("scan")?;
            whole(spent.count, plan)?;
            of_iroh[0].push(spent.count as f64 / spent.wall / 1e3);
            of_iroh[1].push(spent.processor * 1e6 / spent.count as f64);
        }
    }
    if stores.iroh.is_some() {
        let [rates, processor] = of_iroh;
        rows.scan.note("iroh-docs", median(rates));
        rows.scan_processor.note("iroh-docs", median(processor));
    }
    for (store, [rates, processor]) in ["littoral", "redb", "sqlite"].into_iter().zip(rounds) {
        if !rates.is_empty() {
            rows.scan.note(store, median(rates));
            rows.scan_processor.note(store, median(processor));
        }
    }
    Ok(())
}

fn whole(count: u64, plan: &Plan) -> Result<()> {
    match count == plan.docs {
        true => Ok(()),
        false => Err(format!("a scan gave {count} notes of {}", plan.docs).into()),
    }
}

/// One durable change after the other, in turn.
fn set(plan: &Plan, stores: &mut Stores, rows: &mut Rows) -> Result<()> {
    const CHANGES: i64 = 500;
    let mut random = Seeded(SEED);
    let mut each = [const { Vec::new() }; 5];
    let mut returned = Vec::new();
    for change in 0..CHANGES {
        let number = random.below(plan.docs);
        let id = id(number);
        let priority = 10 + change;
        each[0].push(time(|| stores.littoral.set(&id, priority))?);
        if !plan.alone {
            each[1].push(time(|| stores.redb.set(&id, priority))?);
            each[2].push(time(|| stores.sqlite.set(&id, priority))?);
            each[3].push(time(|| stores.append.append())?);
        }
        if let Some(iroh) = &mut stores.iroh {
            let changed: iroh::Changed = iroh.ask(&format!("set {number} {priority}"))?;
            each[4].push(Duration::from_secs_f64(changed.durable));
            returned.push(changed.returned * 1e6);
        }
    }
    let names = ["littoral", "redb", "sqlite", "append", "iroh-docs"];
    for (store, each) in names.into_iter().zip(each) {
        if !each.is_empty() {
            let mut micros: Vec<f64> = each.iter().map(|spent| spent.as_secs_f64() * 1e6).collect();
            micros.sort_by(f64::total_cmp);
            rows.set_p99.note(store, micros[micros.len() * 99 / 100]);
            rows.set.note(store, median(micros));
        }
    }
    if !returned.is_empty() {
        rows.set_returned.note("iroh-docs", median(returned));
    }
    Ok(())
}

/// 64 threads that each change one field after the other; redb writes the same rows, 64 a commit.
fn set_many(plan: &Plan, stores: &mut Stores, rows: &mut Rows) -> Result<()> {
    const CHANGES: u64 = 100;
    const ROUNDS: u64 = 3;
    let mut spent = [Duration::ZERO; 2];
    let mut syncs = 0;
    for round in 0..ROUNDS {
        let number = |writer: u64, change: u64| (writer * 7919 + change * 64 + round) % plan.docs;
        let before = stores.littoral.store.stats()?.log_syncs;
        spent[0] += time(|| {
            let littoral = &stores.littoral;
            std::thread::scope(|scope| {
                let writers: Vec<_> = (0..WRITERS)
                    .map(|writer| {
                        scope.spawn(move || {
                            (0..CHANGES).try_for_each(|change| {
                                let priority = (1000 + round * CHANGES + change) as i64;
                                littoral.set(&id(number(writer, change)), priority)
                            })
                        })
                    })
                    .collect();
                writers.into_iter().try_for_each(|writer| writer.join().expect("no panic"))
            })
        })?;
        syncs += stores.littoral.store.stats()?.log_syncs - before;
        for change in 0..CHANGES {
            let batch: Vec<_> = (0..WRITERS)
                .map(|writer| number(writer, change))
                .map(|n| (id(n), Note { priority: change as i64, ..note(SEED, n) }))
                .collect();
            if !plan.alone {
                spent[1] += time(|| stores.redb.load(&batch))?;
            }
        }
    }
    let txns = (ROUNDS * WRITERS * CHANGES) as f64;
    for (store, spent) in ["littoral", "redb"].into_iter().zip(spent) {
        if !spent.is_zero() {
            rows.set_many.note(store, txns / spent.as_secs_f64() / 1e3);
        }
    }
    rows.txns_per_sync.note("littoral", txns / syncs as f64);
    Ok(())
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

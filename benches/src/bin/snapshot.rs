//! `cargo run --release --manifest-path benches/Cargo.toml --bin snapshot [DOCUMENTS]`: what it
//! takes to bring a peer up to date whose differences no log holds any more.
//!
//! Two stores on disk, the real sessions between them, no network: bytes are those that the
//! sessions hand to each other, time is that of one core doing the work of both sides.

#[allow(dead_code)]
#[path = "../process.rs"]
mod process;
#[allow(dead_code)]
#[path = "notes/work.rs"]
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use littoral::replica::{self, Replica};
use littoral::store::LogBudget;
use littoral::sync::door::{Config, Event, Input, Output, SnapshotStep, StreamId};
use littoral::sync::session::Session;
use littoral::{Field, Fields, Options, Store, Value};

const NOTES: &str = "notes";
const DIFFERENCES: u64 = 100;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let count = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let (dir_a, dir_b) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let budget = LogBudget { bytes: 0, ..LogBudget::default() };
    let options = Options::new().log_segment_bytes(1 << 20).log_budget(budget);
    let open = |dir: &tempfile::TempDir| options.clone().open(dir.path());
    let (a, b) = (open(&dir_a)?, open(&dir_b)?);
    let start = Instant::now();
    for first in (0..count).step_by(1000) {
        a.write_deferred(|txn| {
            (first..count.min(first + 1000)).try_for_each(|n| txn.put(NOTES, &id(n), &note(n, "")))
        })?;
    }
    a.flush()?;
    println!("{count} documents written in {:.1} s", start.elapsed().as_secs_f64());
    forget(&a)?;
    report("the first join, of everything", &a, &b, count)?;
    let mut size = 0;
    for n in 0..DIFFERENCES {
        let at = n * (count / DIFFERENCES);
        let changed = note(at, " changed while the peer was away");
        size += format!("{changed:?}").len();
        a.write_deferred(|txn| match n % 10 {
            0 => txn.delete(NOTES, &id(at)).map(drop),
            _ => txn.put(NOTES, &id(at), &changed),
        })?;
    }
    a.flush()?;
    forget(&a)?;
    println!("{DIFFERENCES} differences, about {size} bytes as text");
    report("the join of the differences", &a, &b, DIFFERENCES)?;
    assert_eq!(a.digests(NOTES)?, b.digests(NOTES)?);
    println!("both show and hold the same");
    Ok(())
}

fn id(n: u64) -> String {
    format!("note-{:08x}", n.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

fn note(n: u64, more: &str) -> Fields {
    Fields::from([
        ("title".to_owned(), Field::from(format!("Note number {n}"))),
        ("text".to_owned(), Field::from(format!("what one writes into a note, {n} times{more}"))),
        ("rank".to_owned(), Field::from(n)),
    ])
}

/// Prunes the whole log, so that whoever lacks anything is behind its floor.
fn forget(store: &Store) -> littoral::Result<()> {
    // The active segment is not pruned: fill it, with what can't be packed.
    for n in 0..3 {
        let mut random = work::Seeded(n);
        let noise: Vec<u8> = (0..900_000).map(|_| random.below(256) as u8).collect();
        store.write(|txn| txn.set("filler", "f", "x", Value::Bytes(noise)))?;
    }
    store.prune()?;
    store.leave("filler").map(drop)
}

fn report(what: &str, a: &Store, b: &Store, differences: u64) -> Result<()> {
    let (start, cpu, idle_kib) = (Instant::now(), process::thread_time(), process::forget_peak());
    let mut link = Link::new(a, b);
    link.run()?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = (process::thread_time() - cpu).as_secs_f64();
    let more_mib = process::peak_kib().saturating_sub(idle_kib) as f64 / 1024.0;
    assert!(link.joined, "it came by a snapshot");
    println!(
        "{what}: {} bytes, {:.0} for each difference; {seconds:.2} s, of which the last commit \
         {:.2} s; {cpu_seconds:.2} s of processor; at most {more_mib:.0} MiB over the {:.0} MiB before",
        link.bytes,
        link.bytes as f64 / differences as f64,
        link.join_seconds,
        idle_kib as f64 / 1024.0
    );
    Ok(())
}

/// Two sessions and what is under way between them.
struct Link<'a> {
    stores: [&'a Store; 2],
    sessions: [Session; 2],
    sent: [BTreeMap<StreamId, VecDeque<Vec<u8>>>; 2],
    work: VecDeque<(usize, Work)>,
    bytes: u64,
    joined: bool,
    join_seconds: f64,
}

enum Work {
    Apply(u64, String, Vec<Vec<u8>>),
    Step(u64, String, SnapshotStep),
}

impl<'a> Link<'a> {
    fn new(a: &'a Store, b: &'a Store) -> Link<'a> {
        let session = |us: &Store, peer: &Store| {
            let (us, peer, network) = (us.node_id(), peer.node_id(), us.network().0);
            Session::new(Config { network, us, peer, wanted: None }, 0)
        };
        Link {
            stores: [a, b],
            sessions: [session(a, b), session(b, a)],
            sent: Default::default(),
            work: VecDeque::new(),
            bytes: 0,
            joined: false,
            join_seconds: 0.0,
        }
    }

    fn run(&mut self) -> Result<()> {
        loop {
            (0..2).for_each(|end| self.drain(end));
            if let Some((end, work)) = self.work.pop_front() {
                self.work(end, work);
            } else if !self.deliver() {
                let idle = self.sessions.iter().all(Session::is_idle);
                return if idle { Ok(()) } else { Err("the link stalls".into()) };
            }
        }
    }

    fn deliver(&mut self) -> bool {
        for from in 0..2 {
            let waiting = self.sent[from].iter_mut().find(|(_, frames)| !frames.is_empty());
            let Some((&stream, frames)) = waiting else { continue };
            let bytes = frames.pop_front().unwrap_or_default();
            self.bytes += bytes.len() as u64;
            self.handle(1 - from, Input::Received { stream, bytes: &bytes });
            return true;
        }
        false
    }

    fn work(&mut self, end: usize, work: Work) {
        let store = self.stores[end];
        match work {
            Work::Apply(ticket, collection, txns) => {
                let outcome = replica::outcome(Replica::apply(store, &collection, txns));
                self.handle(end, Input::Applied { ticket, outcome });
            }
            Work::Step(ticket, collection, step) => {
                let (start, last) = (Instant::now(), matches!(step, SnapshotStep::Join { .. }));
                let peer = self.stores[1 - end].node_id();
                let outcome = replica::step_outcome(store.step(&collection, &peer, step));
                if last {
                    self.join_seconds = start.elapsed().as_secs_f64();
                }
                self.handle(end, Input::Stepped { ticket, outcome });
            }
        }
        (0..2).for_each(|end| self.handle(end, Input::Committed));
    }

    fn handle(&mut self, end: usize, input: Input<'_>) {
        self.sessions[end].handle(input, 0, self.stores[end]);
        self.drain(end);
    }

    fn drain(&mut self, end: usize) {
        while let Some(output) = self.sessions[end].poll(self.stores[end]) {
            match output {
                Output::Send { stream, bytes } => {
                    self.sent[end].entry(stream).or_default().push_back(bytes);
                }
                Output::Apply { ticket, collection, txns } => {
                    self.work.push_back((end, Work::Apply(ticket, collection, txns)));
                }
                Output::Hear { .. } => panic!("statements, and there is no roster"),
                Output::Snapshot { ticket, collection, step } => {
                    self.work.push_back((end, Work::Step(ticket, collection, step)));
                }
                Output::Event(Event::Joined { .. }) => self.joined = true,
                Output::Close { reason, .. } => panic!("the link ended: {reason}"),
                Output::Event(_)
                | Output::Finish { .. }
                | Output::Reset { .. }
                | Output::StopReading { .. } => {}
            }
        }
    }
}

//! The work of `benches` on iroh-docs: notes as entries, each with its content, in a store on disk.
//!
//! The benchmark of Littoral starts this program with a role and a directory, and asks it in turn
//! with the other stores (`--iroh`); whoever runs it alone writes the same lines. It answers each
//! line with one line of JSON, and its own input's end is its end.
//!
//! - `notes DIR`: `load FIRST END`, `get N N ..`, `scan`, `set N PRIORITY`.
//! - `fill DIR DOCS`: makes a replica for `serve`.
//! - `serve DIR`: says the ticket of that replica, and serves it.
//! - `receive DIR TICKET DOCS SECONDS`: the first sync to an empty replica, over loopback.
//!
//! iroh-docs has no batches and no durable write: an insert returns when it is in a transaction that
//! is committed within half a second. What is called durable here is followed by a query, which
//! commits, and by `sync_db`, which does so with the contents.

#[allow(dead_code)]
#[path = "../../src/bin/notes/note.rs"]
mod made;
mod node;
#[allow(dead_code)]
#[path = "../../src/process.rs"]
mod process;

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use iroh_docs::DocTicket;
use iroh_docs::engine::LiveEvent;
use made::{BATCH, id, note};
use n0_future::StreamExt;
use node::Node;
use serde::Serialize;
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SEED: u64 = 20_261_124;

/// What a piece of work took, in seconds; of all threads, where it is the processor's.
#[derive(Debug, Serialize)]
struct Spent {
    wall: f64,
    processor: f64,
    /// Notes of it.
    count: u64,
}

/// How long one change took, in seconds.
#[derive(Debug, Serialize)]
struct Changed {
    /// Until the insert had returned.
    returned: f64,
    /// Until it was durable too.
    durable: f64,
}

/// The first sync, as far as it came.
#[derive(Debug, Serialize)]
struct Received {
    seconds: f64,
    processor: f64,
    /// UDP bytes in both directions.
    bytes: u64,
    peak_kib: u64,
    entries: u64,
    contents: u64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let at = |n: usize| args.get(n).map(String::as_str).ok_or("an argument is missing");
    let dir = Path::new(at(1)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match at(0)? {
        "notes" => answer(&runtime, dir),
        "fill" => runtime.block_on(fill(dir, at(2)?.parse()?)),
        "serve" => serve(&runtime, dir),
        "receive" => {
            let patience = Duration::from_secs(at(4)?.parse()?);
            runtime.block_on(receive(dir, at(2)?.parse()?, at(3)?.parse()?, patience))
        }
        role => Err(format!("no role {role}").into()),
    }
}

/// Does what each line says, and tells what it took.
fn answer(runtime: &Runtime, dir: &Path) -> Result<()> {
    let (node, notes) = runtime.block_on(async {
        let node = Node::start(dir).await?;
        let notes = node.create().await?;
        Result::Ok((node, notes))
    })?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let work = words.next().unwrap_or_default();
        let numbers = words.map(str::parse).collect::<std::result::Result<Vec<u64>, _>>()?;
        let answer = runtime.block_on(async {
            match (work, &numbers[..]) {
                ("load", &[first, end]) => {
                    let batch: Vec<_> = (first..end).map(|n| (id(n), note(SEED, n))).collect();
                    told(async { notes.load(batch).await.map(|()| end - first) }).await
                }
                ("get", numbers) => {
                    let ids: Vec<_> = numbers.iter().map(|n| id(*n)).collect();
                    told(async {
                        for id in &ids {
                            std::hint::black_box(notes.get(id).await?);
                        }
                        Ok(ids.len() as u64)
                    })
                    .await
                }
                ("scan", []) => told(notes.scan()).await,
                ("set", &[n, priority]) => {
                    let (id, start) = (id(n), Instant::now());
                    notes.set(&id, priority as i64).await?;
                    let returned = start.elapsed().as_secs_f64();
                    notes.make_durable(&id).await?;
                    let durable = start.elapsed().as_secs_f64();
                    Ok(serde_json::to_string(&Changed { returned, durable })?)
                }
                _ => Err(format!("no work {line}").into()),
            }
        })?;
        say(&answer)?;
    }
    runtime.block_on(node.end())
}

async fn told(work: impl Future<Output = Result<u64>>) -> Result<String> {
    let (start, before) = (Instant::now(), process::process_time());
    let count = work.await?;
    let wall = start.elapsed().as_secs_f64();
    let processor = (process::process_time() - before).as_secs_f64();
    Ok(serde_json::to_string(&Spent { wall, processor, count })?)
}

async fn fill(dir: &Path, docs: u64) -> Result<()> {
    let node = Node::start(dir).await?;
    let notes = node.create().await?;
    for first in (0..docs).step_by(BATCH as usize) {
        let numbers = first..docs.min(first + BATCH);
        notes.load(numbers.map(|n| (id(n), note(SEED, n))).collect()).await?;
    }
    node.end().await
}

fn serve(runtime: &Runtime, dir: &Path) -> Result<()> {
    let node = runtime.block_on(async {
        let node = Node::start(dir).await?;
        say(&node.share().await?.to_string())?;
        Result::Ok(node)
    })?;
    while std::io::stdin().lock().read_line(&mut String::new())? > 0 {}
    runtime.block_on(node.end())
}

/// Ends when all entries and all contents are there and durable, or when patience does: contents
/// may be given up without another try (n0-computer/iroh-docs#82, #88).
async fn receive(dir: &Path, from: DocTicket, docs: u64, patience: Duration) -> Result<()> {
    let node = Node::start(dir).await?;
    let (start, before) = (Instant::now(), process::process_time());
    let (notes, mut events) = node.import(from).await?;
    let (mut entries, mut contents) = (0, 0);
    let arriving = async {
        while entries < docs || contents < docs {
            match events.next().await.ok_or("the events have ended")?? {
                LiveEvent::InsertRemote { content_status, .. } => {
                    entries += 1;
                    contents += u64::from(content_status == iroh_docs::ContentStatus::Complete);
                }
                LiveEvent::ContentReady { .. } => contents += 1,
                _ => {}
            }
        }
        Result::Ok(())
    };
    if let Ok(ended) = tokio::time::timeout(patience, arriving).await {
        ended?;
        notes.make_durable(&id(0)).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let processor = (process::process_time() - before).as_secs_f64();
    let (bytes, peak_kib) = (node.bytes(), process::peak_kib());
    // What is there, whatever the events have said.
    let (entries, contents) = match entries == docs && contents == docs {
        true => {
            let count = notes.scan().await?;
            (count, count)
        }
        false => notes.count().await?,
    };
    let received = Received { seconds, processor, bytes, peak_kib, entries, contents };
    say(&serde_json::to_string(&received)?)?;
    // A node whose downloads hang may not end either.
    match contents == docs {
        true => node.end().await,
        false => std::process::exit(0),
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{text}").and_then(|()| out.flush())?)
}

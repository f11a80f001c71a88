//! What runs in a process of its own: so that its memory and its death are its own.
//!
//! A child is this program, called with `child`, a role and its arguments. It says what it has to
//! say in lines of standard output, and those that serve do so until their standard input ends.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use littoral::net::{Network, NetworkOptions, PeerAddress};
use littoral::txn::NodeKey;
use littoral::{Options, Store};
use serde::{Deserialize, Serialize};

use crate::plain::{self, Redb};
use crate::work::id;
use crate::{CACHE_BYTES, NOTES, PATIENCE, Result, process, runtime};

/// Transactions that a crash leaves to be applied again: one less than what makes the state
/// durable.
const PENDING: u64 = 999;

/// How long to wait for a peer that has got all to close its connection.
const CLOSING: Duration = Duration::from_secs(1);

/// A process that is at work.
pub(crate) struct Child {
    process: Process,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(role: &str, args: &[&str]) -> Result<Child> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["child", role])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("it has an output")?);
        Ok(Child { process, input, output })
    }

    /// The next thing that it says.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a process of the benchmark failed".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Asks it to say the next thing.
    pub(crate) fn ask(&mut self) -> Result<()> {
        let input = self.input.as_mut().ok_or("its input is open")?;
        Ok(writeln!(input).and_then(|()| input.flush())?)
    }

    /// Lets it come to its end.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.input.take());
        match self.process.wait()?.success() {
            true => Ok(()),
            false => Err("a process of the benchmark failed".into()),
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

/// What a receiver has to say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) seconds: f64,
    /// Processor time of the process.
    pub(crate) processor: f64,
    /// UDP bytes in both directions.
    pub(crate) bytes: u64,
    pub(crate) peak_kib: u64,
}

/// Runs a role.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let role = args.next().ok_or("a child has a role")?;
    let args: Vec<String> = args.collect();
    let at = |n: usize| args.get(n).map(String::as_str).ok_or("an argument is missing");
    match &role[..] {
        "serve" => serve(at(0)?.as_ref()),
        "receive" => receive(at(0)?.as_ref(), at(1)?.parse()?, at(2)?.parse()?),
        "plain-serve" => plain_serve(at(0)?.as_ref()),
        "plain-receive" => plain_receive(at(0)?.as_ref(), at(1)?, at(2)?, at(3)?.parse()?),
        "open" => open(at(0)?.as_ref(), at(1)?.parse()?),
        "plain-open" => plain_open(at(0)?.as_ref(), at(1)?.parse()?),
        "crash" => crash(at(0)?.as_ref(), at(1)?.parse()?),
        "plain-crash" => plain_crash(at(0)?.as_ref(), at(1)?.parse()?),
        "idle" => idle(at(0)?.as_ref(), at(1)?.parse()?),
        "hold" => hold(at(0)?.as_ref()),
        _ => Err(format!("no role {role}").into()),
    }
}

/// The key of a node that is dialling.
pub(crate) fn key(n: u8) -> NodeKey {
    NodeKey::from_seed([n; 32])
}

fn serve(dir: &Path) -> Result<()> {
    let store = Options::new().cache_bytes(CACHE_BYTES).open(dir)?;
    store.trust(key(1).id())?;
    let network = Network::start(&store, NetworkOptions::listen("127.0.0.1:0".parse()?))?;
    say(format!("{}#{}", network.listening()[0], store.node_id()))?;
    wait()?;
    network.close();
    Ok(store.close()?)
}

fn receive(dir: &Path, from: PeerAddress, docs: u64) -> Result<()> {
    let store = Options::new().cache_bytes(CACHE_BYTES).key(key(1)).open(dir)?;
    let network = Network::start(&store, NetworkOptions::default())?;
    let (start, processor) = (Instant::now(), process::process_time());
    let link = network.connect(from)?;
    link.wait_synced(PATIENCE)?;
    let seconds = start.elapsed().as_secs_f64();
    let processor = (process::process_time() - processor).as_secs_f64();
    check(store.collection(NOTES)?.len(), docs)?;
    let (status, peak_kib) = (link.status(), process::peak_kib());
    let bytes = status.received_bytes + status.sent_bytes;
    say(serde_json::to_string(&Received { seconds, processor, bytes, peak_kib })?)?;
    network.close();
    Ok(store.close()?)
}

fn plain_serve(file: &Path) -> Result<()> {
    let redb = Arc::new(Redb::open(file, CACHE_BYTES)?);
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let (endpoint, certificate) = plain::listen()?;
    let certificate: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
    say(format!("{} {certificate}", endpoint.local_addr()?))?;
    runtime.block_on(async {
        let connection = endpoint.accept().await.ok_or("nobody came")?.await?;
        plain::serve(redb, connection.clone()).await?;
        // That it is closed may be lost with the process that has closed it.
        let _ = tokio::time::timeout(CLOSING, connection.closed()).await;
        Ok(())
    })
}

fn plain_receive(file: &Path, from: &str, certificate: &str, docs: u64) -> Result<()> {
    let redb = Arc::new(Redb::open(file, CACHE_BYTES)?);
    let certificate: Vec<u8> = (0..certificate.len() / 2)
        .map(|at| u8::from_str_radix(&certificate[2 * at..2 * at + 2], 16))
        .collect::<std::result::Result<_, _>>()?;
    let (from, last) = (from.parse()?, docs - 1);
    let (start, processor) = (Instant::now(), process::process_time());
    let fetched = Arc::clone(&redb);
    let stats = runtime()?.block_on(async {
        let connection = plain::dial(from, certificate.into()).await?;
        tokio::spawn(plain::fetch(fetched, connection.clone())).await??;
        let stats = connection.stats();
        connection.close(0u8.into(), b"");
        Result::Ok(stats)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let processor = (process::process_time() - processor).as_secs_f64();
    redb.get(last)?;
    let (bytes, peak_kib) = (stats.udp_rx.bytes + stats.udp_tx.bytes, process::peak_kib());
    say(serde_json::to_string(&Received { seconds, processor, bytes, peak_kib })?)
}

/// Says how long it took, in milliseconds, from before opening to having read a document.
fn open(dir: &Path, n: u64) -> Result<()> {
    let start = Instant::now();
    let store = Options::new().create(false).open(dir)?;
    store.collection(NOTES)?.get(&id(n))?.ok_or("the document is there")?;
    say(format!("{}", start.elapsed().as_secs_f64() * 1e3))?;
    Ok(store.close()?)
}

fn plain_open(file: &Path, n: u64) -> Result<()> {
    let start = Instant::now();
    Redb::open(file, CACHE_BYTES)?.get(n)?;
    say(format!("{}", start.elapsed().as_secs_f64() * 1e3))
}

/// Leaves transactions in the log that the state has not made durable, and waits to be killed.
fn crash(dir: &Path, docs: u64) -> Result<()> {
    let store = Options::new().create(false).open(dir)?;
    let change = |n: u64, value: u64| {
        store.write_deferred(|txn| txn.set(NOTES, &id(n * 7919 % docs), "priority", value))
    };
    // With these the state becomes durable, and its file as long as it gets.
    (0..2 * PENDING).try_for_each(|n| change(n, n))?;
    store.flush()?;
    let batch = |txn: &mut littoral::Transaction| txn.set(NOTES, &id(0), "priority", 1000u64);
    // The state is made durable with the first commit after five seconds.
    std::thread::sleep(Duration::from_millis(littoral::limits::STATE_DURABLE_MS + 100));
    store.write(batch)?;
    (0..PENDING).try_for_each(|n| change(n, 2000 + n))?;
    store.flush()?;
    say("ready".to_owned())?;
    loop {
        std::thread::park();
    }
}

fn plain_crash(file: &Path, docs: u64) -> Result<()> {
    let redb = Redb::open(file, CACHE_BYTES)?;
    for n in 0..PENDING {
        let n = n * 7919 % docs;
        redb.put(vec![plain::row(n, &redb.get(n)?)?])?;
    }
    say("ready".to_owned())?;
    loop {
        std::thread::park();
    }
}

/// A node whose peers are all in sync; says what is resident each time that it is asked.
fn idle(dir: &Path, peers: u8) -> Result<()> {
    let store = Options::new().cache_bytes(CACHE_BYTES).open(dir)?;
    (1..=peers).try_for_each(|n| store.trust(key(n).id()))?;
    let network = Network::start(&store, NetworkOptions::listen("127.0.0.1:0".parse()?))?;
    say(format!("{}#{}", network.listening()[0], store.node_id()))?;
    while asked()? {
        say(process::resident_kib().to_string())?;
    }
    network.close();
    Ok(store.close()?)
}

/// Opens a store and says what is resident then, and how much that is more than before.
fn hold(dir: &Path) -> Result<()> {
    let before = process::resident_kib();
    let store = Store::open(dir)?;
    let resident = process::resident_kib();
    say(format!("{resident} {}", resident.saturating_sub(before)))?;
    Ok(store.close()?)
}

fn check(found: u64, wanted: u64) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{found} documents of {wanted} are there").into()),
    }
}

fn say(text: String) -> Result<()> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{text}").and_then(|()| out.flush())?)
}

/// Waits until nobody needs this process any more.
fn wait() -> Result<()> {
    while asked()? {}
    Ok(())
}

/// Whether somebody asks; not if the input has ended.
fn asked() -> Result<bool> {
    Ok(std::io::stdin().lock().read_line(&mut String::new())? > 0)
}

//! W5 to W7: how long syncing takes and how many bytes it moves, over real QUIC on loopback and,
//! for exact bytes, between sessions without sockets.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use littoral::net::{Link, Network, NetworkOptions, PeerAddress};
use littoral::{Options, Store};
use quinn::{Connection, ReadError, ReadExactError, RecvStream, SendStream};

use crate::child::{Child, Received};
use crate::iroh;
use crate::plain::{self, Redb, Row};
use crate::relay::{Crossed, Relay};
use crate::table::{Goal, Series, Table};
use crate::work::{BATCH, Note, id, note};
use crate::world::{Said, World};
use crate::{CACHE_BYTES, NOTES, PATIENCE, Plan, Result, SEED, fill, fill_batches, runtime};

/// Changes on each side.
const CHANGES: u64 = 100;
/// Live changes that are timed.
const LIVE: u64 = 300;
/// By then a peer has acknowledged what it got.
const QUIET: Duration = Duration::from_millis(60);

/// W5: the first sync to an empty replica, each end in a process of its own.
pub(crate) fn first(plan: &Plan, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    let rows = home.path().join("rows.redb");
    Redb::open(&rows, CACHE_BYTES)?.fill(SEED, plan.docs)?;
    let docs = plan.docs as f64;
    for (each, what, most) in
        [(BATCH, "1,000 a transaction", 100.0), (1, "each its own transaction", 170.0)]
    {
        let source = home.path().join(format!("source-{each}"));
        let store = fill(Options::new().cache_bytes(CACHE_BYTES), &source, plan.docs, each)?;
        let pruned = store.stats()?.collections.iter().any(|notes| notes.pruned > 0);
        store.close()?;
        let how = if pruned { "by snapshot" } else { "by log" };
        // It signs each entry.
        let iroh = plan.iroh.as_ref().filter(|_| each == 1);
        let of_iroh = home.path().join("iroh");
        if let Some(program) = iroh {
            program.start(&["fill", utf8(&of_iroh)?, &plan.docs.to_string()])?.end()?;
        }
        let [mut seconds, mut processor, mut bytes, mut peak] = none();
        for _ in 0..plan.runs {
            let into = tempfile::tempdir_in(home.path())?;
            let ours = receive(&source, &into.path().join("ours"), plan.docs)?;
            let theirs = receive_plain(&rows, &into.path().join("theirs"), plan.docs)?;
            let note = |series: &mut Series, of: fn(&Received) -> f64| {
                series.ours(of(&ours));
                series.theirs(of(&theirs));
            };
            note(&mut seconds, |received| received.seconds);
            note(&mut processor, |received| received.processor);
            note(&mut bytes, |received| received.bytes as f64);
            note(&mut peak, |received| received.peak_kib as f64 / 1024.0);
            if let Some(program) = iroh {
                let got = receive_iroh(program, &of_iroh, &into.path().join("iroh"), plan.docs)?;
                seconds.iroh(got.map(|got| got.seconds));
                processor.iroh(got.map(|got| got.processor));
                bytes.iroh(got.map(|got| got.bytes as f64));
                peak.iroh(got.map(|got| got.peak_kib as f64 / 1024.0));
            }
        }
        let row = |what: &str, unit: &str| format!("first sync, {what}, {how}: {unit}");
        table.row("W5", row(what, "s"), &seconds, Goal::Ratio(1.5));
        table.row("", "   processor of the receiver, s", &processor, Goal::None);
        table.row("", "   UDP bytes a document", &bytes.divided_by(docs), Goal::Figure(most));
        table.row("", "   peak memory of the receiver, MiB", &peak, Goal::Figure(64.0));
        std::fs::remove_dir_all(&source)?;
    }
    Ok(())
}

fn receive(source: &Path, into: &Path, docs: u64) -> Result<Received> {
    let mut server = Child::start("serve", &[utf8(source)?])?;
    let address = server.line()?;
    let mut receiver = Child::start("receive", &[utf8(into)?, &address, &docs.to_string()])?;
    let received = serde_json::from_str(&receiver.line()?)?;
    receiver.end()?;
    server.end()?;
    Ok(received)
}

fn receive_plain(rows: &Path, into: &Path, docs: u64) -> Result<Received> {
    let mut server = Child::start("plain-serve", &[utf8(rows)?])?;
    let line = server.line()?;
    let (address, certificate) = line.split_once(' ').ok_or("an address and a certificate")?;
    let args = [utf8(into)?, address, certificate, &docs.to_string()];
    let mut receiver = Child::start("plain-receive", &args)?;
    let received = serde_json::from_str(&receiver.line()?)?;
    receiver.end()?;
    server.end()?;
    Ok(received)
}

/// None if it did not finish in time, which is told at once.
fn receive_iroh(
    program: &iroh::Program,
    source: &Path,
    into: &Path,
    docs: u64,
) -> Result<Option<iroh::Received>> {
    let patience = (60 + docs * 6 / 1000).to_string();
    let mut server = program.start(&["serve", utf8(source)?])?;
    let ticket = server.line()?;
    let args = ["receive", utf8(into)?, &ticket, &docs.to_string(), &patience];
    let mut receiver = program.start(&args)?;
    let got: iroh::Received = serde_json::from_str(&receiver.line()?)?;
    receiver.end()?;
    server.end()?;
    if got.contents == docs {
        return Ok(Some(got));
    }
    let (entries, contents) = (got.entries, got.contents);
    eprintln!(
        "iroh-docs did not finish within {patience} s: {entries} entries of {docs}, {contents} contents"
    );
    Ok(None)
}

/// As many series as are wanted, without figures.
pub(crate) fn none<const N: usize>() -> [Series; N] {
    std::array::from_fn(|_| Series::default())
}

pub(crate) fn utf8(path: &Path) -> Result<&str> {
    Ok(path.to_str().ok_or("the path is UTF-8")?)
}

/// Two replicas that hold the same notes, and two of plain rows beside them.
struct Pair {
    docs: u64,
    stores: [Store; 2],
    plain: [Arc<Redb>; 2],
    /// Each round changes other notes.
    round: u64,
    _home: tempfile::TempDir,
}

impl Pair {
    fn new(docs: u64) -> Result<Pair> {
        let home = tempfile::tempdir()?;
        let a = fill_batches(&home.path().join("a"), docs)?;
        let b = Options::new().cache_bytes(CACHE_BYTES).open(home.path().join("b"))?;
        a.trust(b.node_id())?;
        b.trust(a.node_id())?;
        World::pair(&a, &b).run()?;
        let plain = ["a.redb", "b.redb"].map(|name| -> Result<Arc<Redb>> {
            let redb = Redb::open(&home.path().join(name), CACHE_BYTES)?;
            redb.fill(SEED, docs)?;
            Ok(Arc::new(redb))
        });
        let [plain_a, plain_b] = plain;
        let plain = [plain_a?, plain_b?];
        Ok(Pair { docs, stores: [a, b], plain, round: 0, _home: home })
    }

    /// The notes that a side changes in this round: no note is changed by both.
    fn numbers(&self, side: u64) -> impl Iterator<Item = u64> + use<> {
        let (docs, round) = (self.docs, self.round);
        (0..CHANGES).map(move |n| (2 * (n * 997 + round * 31) + side) % docs)
    }

    /// Changes a field of 100 notes on each side, durably.
    fn change(&mut self, one_transaction: bool) -> Result<()> {
        self.round += 1;
        let value = 100 + self.round;
        for (side, store) in self.stores.iter().enumerate() {
            let mut ids = self.numbers(side as u64).map(id);
            match one_transaction {
                true => store
                    .write(|txn| ids.try_for_each(|id| txn.set(NOTES, &id, "priority", value)))?,
                false => {
                    ids.try_for_each(|id| {
                        store.write_deferred(|txn| txn.set(NOTES, &id, "priority", value))
                    })?;
                    store.flush()?;
                }
            }
        }
        Ok(())
    }

    /// The rows of plain redb that a side has changed.
    fn rows(&self, side: u64) -> Result<Vec<Row>> {
        let priority = 100 + self.round as i64;
        self.numbers(side).map(|n| plain::row(n, &Note { priority, ..note(SEED, n) })).collect()
    }

    /// Connects and waits until both hold the same; gives how long that took in milliseconds, and
    /// what crossed if it went through a relay.
    fn meet(&self, relayed: bool) -> Result<(f64, Option<Crossed>)> {
        let [a, b] = &self.stores;
        let hub = Network::start(a, NetworkOptions::listen("127.0.0.1:0".parse()?))?;
        let node = Network::start(b, NetworkOptions::default())?;
        let relay = match relayed {
            true => Some(Relay::to(hub.listening()[0])?),
            false => None,
        };
        let at = relay.as_ref().map_or(hub.listening()[0], |relay| relay.address);
        let address: PeerAddress = format!("{at}#{}", a.node_id()).parse()?;
        let start = Instant::now();
        node.connect(address)?.wait_synced(PATIENCE)?;
        hub.wait_synced(PATIENCE)?;
        let millis = start.elapsed().as_secs_f64() * 1e3;
        let crossed = relay.map(|relay| {
            std::thread::sleep(4 * QUIET);
            relay.crossed()
        });
        node.close();
        hub.close();
        Ok((millis, crossed))
    }

    /// The same of plain rows: each side knows what the other lacks, sends it, writes what it
    /// gets, and waits until the other has it. Gives milliseconds and UDP bytes.
    fn meet_plain(&self, runtime: &tokio::runtime::Runtime) -> Result<(f64, f64)> {
        let (ours, theirs) = (self.rows(0)?, self.rows(1)?);
        let [a, b] = self.plain.clone();
        runtime.block_on(async {
            let (endpoint, certificate) = plain::listen()?;
            let to = endpoint.local_addr()?;
            let listening = tokio::spawn(async move {
                let connection = endpoint.accept().await.ok_or("nobody came")?.await?;
                let (send, receive) = connection.accept_bi().await?;
                exchange(a, &ours, send, receive).await?;
                connection.closed().await;
                Result::Ok(())
            });
            let start = Instant::now();
            let connection = plain::dial(to, certificate).await?;
            let (send, receive) = connection.open_bi().await?;
            exchange(b, &theirs, send, receive).await?;
            let millis = start.elapsed().as_secs_f64() * 1e3;
            let stats = connection.stats();
            connection.close(0u8.into(), b"");
            listening.await??;
            Ok((millis, (stats.udp_rx.bytes + stats.udp_tx.bytes) as f64))
        })
    }

    /// Lets two sessions bring the changes over; gives what they said.
    fn meet_in_memory(&self) -> Result<Said> {
        let mut world = World::pair(&self.stores[0], &self.stores[1]);
        world.run()?;
        match world.joined() {
            true => Err("a snapshot was taken in where the log should do".into()),
            false => Ok(world.said()),
        }
    }
}

async fn exchange(
    redb: Arc<Redb>,
    rows: &[Row],
    mut send: SendStream,
    mut receive: RecvStream,
) -> Result<()> {
    plain::send(&mut send, rows).await?;
    let theirs = plain::receive(&mut receive).await?.ok_or("rows come")?;
    tokio::task::block_in_place(|| redb.put(theirs))?;
    send.write_all(b"!").await?;
    match receive.read_exact(&mut [0; 1]).await {
        // Whoever closes has what it wants.
        Ok(()) | Err(ReadExactError::ReadError(ReadError::ConnectionLost(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// W6: differences between replicas that both hold many documents.
pub(crate) fn differences(plan: &Plan, table: &mut Table) -> Result<()> {
    let runtime = runtime()?;
    let [mut one, mut own, mut connection, mut probes] = none();
    for docs in [plan.docs.div_ceil(10).max(4 * CHANGES), plan.docs] {
        let mut pair = Pair::new(docs)?;
        let [mut together, mut apart, mut udp] = none();
        for _ in 0..plan.runs.max(5) {
            pair.change(true)?;
            together.ours(pair.meet(false)?.0);
            let (millis, bytes) = pair.meet_plain(&runtime)?;
            together.theirs(millis);
            udp.theirs(bytes);
            pair.change(false)?;
            apart.ours(pair.meet(false)?.0);
            apart.theirs(pair.meet_plain(&runtime)?.0);
            pair.change(true)?;
            let said = pair.meet_in_memory()?;
            one.ours(said.bytes() as f64 / (2 * CHANGES) as f64);
            pair.change(false)?;
            own.ours(pair.meet_in_memory()?.bytes() as f64 / (2 * CHANGES) as f64);
            pair.change(true)?;
            let crossed = pair.meet(true)?.1.unwrap_or_default();
            udp.ours(crossed.bytes as f64);
            let cost = crossed.bytes - crossed.probes;
            connection.ours(cost as f64 - said.bytes() as f64);
            probes.ours(crossed.probes as f64);
        }
        let of = format!("of {docs}");
        table.row(
            "W6",
            format!("100 + 100 changes {of}, one transaction, ms"),
            &together,
            Goal::None,
        );
        table.row("", format!("   each its own {of}, ms"), &apart, Goal::None);
        table.row("", format!("   UDP bytes {of}, all"), &udp, Goal::None);
        if docs == plan.docs {
            open_link(plan, table, &mut pair, &runtime)?;
        }
    }
    table.row("W6", "stream bytes a change, 100 a transaction", &one, Goal::Figure(60.0));
    table.row("", "   each its own transaction", &own, Goal::Figure(130.0));
    table.row(
        "",
        "   bytes of the connection itself, without probes",
        &connection,
        Goal::Figure(8192.0),
    );
    table.row("", "   bytes of probes for the path's datagrams", &probes, Goal::None);
    Ok(())
}

/// W6b: on a link that is open, one change among many, and nothing.
fn open_link(
    plan: &Plan,
    table: &mut Table,
    pair: &mut Pair,
    runtime: &tokio::runtime::Runtime,
) -> Result<()> {
    let [a, b] = &pair.stores;
    let (docs, of) = (pair.docs, format!("of {}", pair.docs));
    let mut world = World::pair(a, b);
    world.run()?;
    let [mut bytes, mut pieces, mut hello, mut work] = none();
    for n in 0..plan.runs as u64 * 3 {
        let before = world.said();
        a.collection(NOTES)?.set(&id(n * 7919 % docs), "priority", 5000 + n)?;
        world.committed(0);
        world.run()?;
        let said = world.said().since(before);
        bytes.ours(said.bytes() as f64);
        pieces.ours(said.pieces as f64);
        let mut fresh = World::pair(a, b);
        let processor = fresh.timed()?.1;
        hello.ours(fresh.said().bytes() as f64);
        work.ours(processor.as_secs_f64() * 1e3);
    }
    drop(world);
    let live = Live::start(pair, runtime)?;
    let mut udp = Series::default();
    for n in 0..plan.runs as u64 * 3 {
        std::thread::sleep(QUIET);
        let before = live.bytes();
        a.collection(NOTES)?.set(&id(n * 7919 % docs), "priority", 6000 + n)?;
        live.hub.wait_synced(PATIENCE)?;
        std::thread::sleep(QUIET);
        udp.ours(live.bytes() - before);
    }
    let mut quiet = Series::default();
    let start = Instant::now();
    live.hub.wait_synced(PATIENCE)?;
    quiet.ours(start.elapsed().as_secs_f64() * 1e3);
    live.stop();
    table.row(
        "W6b",
        format!("1 change {of}, open link: stream bytes"),
        &bytes,
        Goal::Figure(500.0),
    );
    table.row(
        "",
        "   messages: the change, that it is all, the answer",
        &pieces,
        Goal::Figure(3.0),
    );
    table.row("", "   UDP bytes, acknowledgements of QUIC included", &udp, Goal::Figure(500.0));
    table.row(
        "W6b",
        format!("nothing changed {of}, new session: stream bytes"),
        &hello,
        Goal::Figure(300.0),
    );
    table.row("", "   processor of both sides, ms", &work, Goal::Figure(1.0));
    table.row(
        "",
        "   asked again on an open link, which says nothing, ms",
        &quiet,
        Goal::Figure(1.0),
    );
    Ok(())
}

/// Links that are open, of both kinds.
struct Live {
    hub: Network,
    node: Network,
    link: Link,
    /// Of plain rows: hands a row to the writer's side, which makes it durable and sends it.
    rows: mpsc::Sender<Row>,
    /// When the other side had made a row durable.
    seen: mpsc::Receiver<Instant>,
    writer: std::thread::JoinHandle<Result<()>>,
}

impl Live {
    fn start(pair: &Pair, runtime: &tokio::runtime::Runtime) -> Result<Live> {
        let [a, b] = &pair.stores;
        let hub = Network::start(a, NetworkOptions::listen("127.0.0.1:0".parse()?))?;
        let node = Network::start(b, NetworkOptions::default())?;
        let address: PeerAddress = format!("{}#{}", hub.listening()[0], a.node_id()).parse()?;
        let link = node.connect(address)?;
        link.wait_synced(PATIENCE)?;
        let (from, to): (Connection, Connection) = runtime.block_on(async {
            let (endpoint, certificate) = plain::listen()?;
            let to = endpoint.local_addr()?;
            let accepting = tokio::spawn(async move {
                Result::Ok(endpoint.accept().await.ok_or("nobody came")?.await?)
            });
            let from = plain::dial(to, certificate).await?;
            Result::Ok((from, accepting.await??))
        })?;
        let (rows, to_send) = mpsc::channel::<Row>();
        let (tell, seen) = mpsc::channel();
        let [plain_a, plain_b] = pair.plain.clone();
        let mut reading = runtime.spawn(async move {
            let mut stream = to.accept_uni().await?;
            while let Some(rows) = plain::receive(&mut stream).await? {
                tokio::task::block_in_place(|| plain_b.put(rows))?;
                tell.send(Instant::now()).map_err(|_| "nobody waits")?;
            }
            Result::Ok(())
        });
        let handle = runtime.handle().clone();
        let writer = std::thread::spawn(move || {
            let mut stream = handle.block_on(from.open_uni())?;
            for row in to_send {
                plain_a.put(vec![row.clone()])?;
                handle.block_on(plain::send(&mut stream, &[row]))?;
            }
            stream.finish()?;
            handle.block_on(&mut reading)??;
            from.close(0u8.into(), b"");
            Ok(())
        });
        Ok(Live { hub, node, link, rows, seen, writer })
    }

    /// UDP bytes of Littoral's link so far, in both directions.
    fn bytes(&self) -> f64 {
        let status = self.link.status();
        (status.received_bytes + status.sent_bytes) as f64
    }

    fn stop(self) {
        drop(self.rows);
        if !matches!(self.writer.join(), Ok(Ok(()))) {
            eprintln!("the link of plain rows did not end well");
        }
        self.node.close();
        self.hub.close();
    }
}

/// W7: from the beginning of a durable local write to its being visible, and durable, on a peer.
pub(crate) fn live(plan: &Plan, table: &mut Table) -> Result<()> {
    let runtime = runtime()?;
    let pair = Pair::new(plan.docs)?;
    let live = Live::start(&pair, &runtime)?;
    let notes = pair.stores[0].collection(NOTES)?;
    let there = pair.stores[1].collection(NOTES)?;
    let (tell, committed) = mpsc::channel();
    let _subscription = pair.stores[1].on_commit(move || {
        // Nobody listens any more at the end.
        let _ = tell.send(Instant::now());
    });
    let [mut p50, mut p99] = none();
    for run in 0..plan.runs as u64 {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for n in 0..LIVE {
            let (number, value) = ((run * LIVE + n) * 7919 % plan.docs, 9000 + run * LIVE + n);
            let name = id(number);
            committed.try_iter().for_each(drop);
            let start = Instant::now();
            notes.set(&name, "priority", value)?;
            let mut at = committed.recv_timeout(PATIENCE)?;
            while there.get_field(&name, "priority")? != Some(value.into()) {
                at = committed.recv_timeout(PATIENCE)?;
            }
            ours.push((at - start).as_secs_f64() * 1e6);
            let note = Note { priority: value as i64, ..note(SEED, number) };
            let row = plain::row(number, &note)?;
            let start = Instant::now();
            live.rows.send(row)?;
            theirs.push((live.seen.recv_timeout(PATIENCE)? - start).as_secs_f64() * 1e6);
        }
        for (series, percent) in [(&mut p50, 50), (&mut p99, 99)] {
            series.ours(percentile(&mut ours, percent));
            series.theirs(percentile(&mut theirs, percent));
        }
    }
    live.stop();
    table.row(
        "W7",
        "a local write until durable and visible on the peer, p50 us",
        &p50,
        Goal::Ratio(1.5),
    );
    table.row("", "   p99 us", &p99, Goal::None);
    Ok(())
}

pub(crate) fn percentile(all: &mut [f64], percent: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() * percent / 100).copied().unwrap_or(f64::NAN)
}

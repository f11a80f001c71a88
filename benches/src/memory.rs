//! M1 and S1: what a node holds in memory, and what a long list of authors costs.

use std::sync::Arc;

use littoral::id::{Dot, Hash, NodeId, Origin, Position, Seq, ShortHash, Vector};
use littoral::net::{Network, NetworkOptions, PeerAddress};
use littoral::replica::{Replica, Watching};
use littoral::store::disk::MemDisk;
use littoral::sync::door::{SnapshotStep, StepOutcome, Wanted};
use littoral::sync::{Lease, Page, Source, Summary, View};
use littoral::txn::joining::Welcome;
use littoral::txn::roster::Rights;
use littoral::txn::sign::SIGNATURE_BYTES;
use littoral::txn::snapshot::{Span, SpanDigest};
use littoral::txn::{self, NetworkId, NodeKey, Scope, Signed};
use littoral::{Options, Store};

use crate::child::{Child, key};
use crate::sync::{none, utf8};
use crate::table::{Goal, Series, Table};
use crate::world::World;
use crate::{CACHE_BYTES, NOTES, PATIENCE, Plan, Result, fill_batches, process};

/// Peers of an idle node.
const PEERS: u8 = 8;
/// Links of S1 whose memory is measured together.
const LINKS: u32 = 16;
/// Edits that are timed together.
const EDITS: u64 = 500;

/// M1: a node in a process of its own, with peers that hold the same.
pub(crate) fn idle(plan: &Plan, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (dir, copy) = (home.path().join("node"), home.path().join("peer"));
    let node = fill_batches(&dir, plan.idle_docs)?;
    let peer = Options::new().cache_bytes(CACHE_BYTES).key(key(1)).open(&copy)?;
    node.trust(peer.node_id())?;
    peer.trust(node.node_id())?;
    World::pair(&node, &peer).run()?;
    node.close()?;
    let mut child = Child::start("idle", &[utf8(&dir)?, &PEERS.to_string()])?;
    let address: PeerAddress = child.line()?.parse()?;
    let mut networks = Vec::new();
    for n in 1..=PEERS {
        let mask = Mask { store: peer.clone(), key: key(n) };
        let network = Network::over(Arc::new(mask), NetworkOptions::default())?;
        network.connect(address.clone())?.wait_synced(PATIENCE)?;
        networks.push(network);
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    child.ask()?;
    let resident = child.line()?.parse::<u64>()? as f64 / 1024.0;
    networks.iter().for_each(Network::close);
    child.end()?;
    // How much of its cache a node that has only compared itself has filled is not known, so it
    // counts as empty: all that is resident has to be within the goal and the cache.
    let what = format!("idle node, {} documents, {PEERS} peers: resident, MiB", plan.idle_docs);
    let cache = CACHE_BYTES as f64 / f64::from(1 << 20);
    table.row("M1", what, &Series::of(resident), Goal::Figure(24.0));
    table.row("", "   its cache may have, MiB", &Series::of(cache), Goal::None);
    Ok(())
}

/// S1: a history of many origins, beside one of a single origin.
pub(crate) fn origins(plan: &Plan, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    let dirs = ["many", "few", "peer"].map(|name| home.path().join(name));
    let open = |at: usize| Options::new().cache_bytes(CACHE_BYTES).open(&dirs[at]);
    let [many, few, peer] = [open(0)?, open(1)?, open(2)?];
    for first in (0..plan.origins).step_by(1000) {
        let signed = authors(first..plan.origins.min(first + 1000), many.network())?;
        for store in [&many, &peer] {
            store.apply_remote(NOTES, signed.clone())?;
        }
    }
    few.apply_remote(NOTES, authors(0..1, few.network())?)?;
    let end = many.stats()?.position.0;
    let set = |store: &Store, n: u64| {
        store.write_deferred(|txn| txn.set(NOTES, &format!("doc-{}", n % 100), "x", n))
    };
    (0..100).try_for_each(|n| set(&many, n).and_then(|()| set(&few, n)))?;
    many.flush()?;
    let first = many.stats()?.position.0 - end;
    World::pair(&many, &peer).run()?;
    let mut equal = World::pair(&many, &peer);
    let processor = equal.timed()?.1;
    let idle = process::resident_kib();
    let mut links = Vec::new();
    for _ in 0..LINKS {
        let mut link = World::pair(&many, &peer);
        link.run()?;
        links.push(link);
    }
    let end_kib = process::resident_kib().saturating_sub(idle) as f64 / f64::from(2 * LINKS);
    drop(links);
    let [mut cost, mut bytes] = none();
    for run in 0..plan.runs as u64 {
        for (store, ours) in [(&many, true), (&few, false)] {
            let (cpu, end) = (process::thread_time(), store.stats()?.position.0);
            (0..EDITS).try_for_each(|n| set(store, run * EDITS + n))?;
            let micros = (process::thread_time() - cpu).as_secs_f64() * 1e6 / EDITS as f64;
            store.flush()?;
            let each = (store.stats()?.position.0 - end) as f64 / EDITS as f64;
            match ours {
                true => (cost.ours(micros), bytes.ours(each)),
                false => (cost.theirs(micros), bytes.theirs(each)),
            };
        }
    }
    let mut apart = World::pair(&many, &peer);
    apart.run()?;
    let control = apart.said().control as f64;
    [&many, &few, &peer].into_iter().try_for_each(Store::close)?;
    let mut held = Series::default();
    for _ in 0..plan.runs {
        held.ours(hold(utf8(&dirs[0])?)?);
        held.theirs(hold(utf8(&dirs[1])?)?);
    }
    let what = format!("{} origins: stream bytes of hello when equal", plan.origins);
    table.row("S1", what, &Series::of(equal.said().bytes() as f64), Goal::Figure(1024.0));
    let millis = Series::of(processor.as_secs_f64() * 1e3);
    table.row("", "   processor of both sides, ms", &millis, Goal::None);
    table.row("", "   an edit, processor us (beside: with 1 origin)", &cost, Goal::Ratio(1.1));
    table.row("", "   an edit, bytes of log (beside: with 1 origin)", &bytes, Goal::None);
    table.row(
        "",
        "   the first 100 edits after hearing of all, bytes of log",
        &Series::of(first as f64),
        Goal::None,
    );
    table.row(
        "",
        "   control bytes of a session when they differ",
        &Series::of(control),
        Goal::None,
    );
    table.row("", "   resident for one end of a link, KiB", &Series::of(end_kib), Goal::None);
    table.row("", "   resident for an open store, MiB (beside: with 1 origin)", &held, Goal::None);
    Ok(())
}

fn hold(dir: &str) -> Result<f64> {
    let mut child = Child::start("hold", &[dir])?;
    let line = child.line()?;
    child.end()?;
    let (_, more) = line.split_once(' ').ok_or("two figures")?;
    Ok(more.parse::<u64>()? as f64 / 1024.0)
}

/// The first transactions of as many authors, each of a document of its own.
fn authors(numbers: std::ops::Range<u64>, network: NetworkId) -> Result<Vec<Vec<u8>>> {
    let store = Options::new().key(key(9)).open_on(Arc::new(MemDisk::new()))?;
    store.write(|txn| txn.set(NOTES, "document", "x", 1))?;
    let page = store.log_read(NOTES, Position::default(), 1 << 20)?;
    let (_, bytes, _) = page.records.first().ok_or("a transaction was written")?;
    let model = txn::decode(&bytes[..bytes.len() - SIGNATURE_BYTES])?;
    let scope = Scope { network, collection: NOTES };
    let sign = |n: u64| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(n + 1).to_be_bytes());
        let key = NodeKey::from_seed(seed);
        let mut txn = model.clone();
        txn.dot = Dot { origin: Origin { node: key.id(), incarnation: 0 }, seq: 1 };
        txn.docs[0].id = format!("origin-{n:08}");
        Ok(Signed::sign(txn, scope, &key)?.bytes.to_vec())
    };
    numbers.map(sign).collect()
}

/// A store under another key: a peer that holds the same as another one, without its disk.
struct Mask {
    store: Store,
    key: NodeKey,
}

impl Source for Mask {
    fn collections(&self) -> littoral::Result<Vec<String>> {
        Source::collections(&self.store)
    }

    fn summary(&self, collection: &str) -> littoral::Result<Summary> {
        Source::summary(&self.store, collection)
    }

    fn vector(&self, collection: &str) -> littoral::Result<Vector> {
        Source::vector(&self.store, collection)
    }

    fn contradictions(&self, collection: &str, theirs: &Vector) -> littoral::Result<Vec<Dot>> {
        Source::contradictions(&self.store, collection, theirs)
    }

    fn hashes_down(&self, name: &str, from: &Dot, max: usize) -> littoral::Result<Vec<ShortHash>> {
        Source::hashes_down(&self.store, name, from, max)
    }

    fn last_shared(
        &self,
        collection: &str,
        from: &Dot,
        theirs: &[ShortHash],
    ) -> littoral::Result<Option<Seq>> {
        Source::last_shared(&self.store, collection, from, theirs)
    }

    fn roster(&self) -> Option<(NodeId, Hash)> {
        Source::roster(&self.store)
    }

    fn rights(&self, node: &NodeId) -> Option<Rights> {
        Source::rights(&self.store, node)
    }

    fn floor(&self, collection: &str) -> littoral::Result<Arc<Vector>> {
        Source::floor(&self.store, collection)
    }

    fn start(&self, collection: &str, have: &Vector) -> littoral::Result<Position> {
        Source::start(&self.store, collection, have)
    }

    fn read(&self, name: &str, from: Position, max_bytes: usize) -> littoral::Result<Page> {
        Source::read(&self.store, name, from, max_bytes)
    }

    fn view(&self, name: &str, have: &Vector) -> littoral::Result<Option<Box<dyn View>>> {
        Source::view(&self.store, name, have)
    }

    fn is_staged(&self, collection: &str) -> bool {
        Source::is_staged(&self.store, collection)
    }

    fn lease(&self, collection: &str) -> Option<Box<dyn Lease>> {
        Source::lease(&self.store, collection)
    }

    fn candidate_digests(&self, name: &str, spans: &[Span]) -> littoral::Result<Vec<SpanDigest>> {
        Source::candidate_digests(&self.store, name, spans)
    }

    fn candidate_list(
        &self,
        name: &str,
        span: &Span,
        max: usize,
    ) -> littoral::Result<Vec<(String, Hash)>> {
        Source::candidate_list(&self.store, name, span, max)
    }
}

impl Replica for Mask {
    fn node_key(&self) -> &NodeKey {
        &self.key
    }

    fn network(&self) -> NetworkId {
        Store::network(&self.store)
    }

    fn is_trusted(&self, node: &NodeId) -> bool {
        Store::is_trusted(&self.store, node)
    }

    fn wanted(&self, node: &NodeId) -> Wanted {
        Store::wanted(&self.store, node)
    }

    fn on_commit(&self, callback: Box<dyn Fn() + Send + Sync>) -> Watching {
        Replica::on_commit(&self.store, callback)
    }

    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> littoral::Result<()> {
        Replica::apply(&self.store, collection, txns)
    }

    fn hear(&self, statements: Vec<Vec<u8>>) -> littoral::Result<()> {
        Replica::hear(&self.store, statements)
    }

    fn step(
        &self,
        collection: &str,
        peer: &NodeId,
        step: SnapshotStep,
    ) -> littoral::Result<StepOutcome> {
        Replica::step(&self.store, collection, peer, step)
    }

    fn enter(&self, welcome: &Welcome, inviter: NodeId, places: &str) -> littoral::Result<()> {
        Replica::enter(&self.store, welcome, inviter, places)
    }

    fn flush(&self) -> littoral::Result<()> {
        Store::flush(&self.store)
    }
}

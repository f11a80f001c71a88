//! The whole stack in virtual time: real stores, QUIC and TLS, on a bad wire in memory.
//!
//! Three stores dial each other in a ring. While all are written to, ways are cut, some in one
//! direction, some for longer than a link waits for an answer, and packets are lost, late and
//! doubled. One runtime with one thread, whose time goes on only when nothing is left to do, so
//! minutes pass in a moment, and the same seed takes the same course.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep};

use super::wire::{PORT, Traffic, Weather, Wire, ip};
use crate::clock::WallClock;
use crate::net::{LinkState, LinkStatus, Network, PeerAddress};
use crate::store::disk::MemDisk;
use crate::txn::NodeKey;
use crate::{Field, Fields, Options, Store};

const NODES: u8 = 3;
/// Rounds of writes and cuts, half a second each.
const ROUNDS: u64 = 120;
/// 2026-11-22, in milliseconds.
const NOON: u64 = 1_795_348_800_000;

/// The wall clock of all nodes: virtual time.
struct Wall(Instant);

impl WallClock for Wall {
    fn now_ms(&self) -> u64 {
        NOON + self.0.elapsed().as_millis() as u64
    }
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
struct Course {
    /// From the end of all trouble until all stores held the same.
    converged_ms: u64,
    traffic: BTreeMap<(IpAddr, IpAddr), Traffic>,
    documents: u64,
    conflicts: usize,
    /// In how many rounds a link was down, of all links together.
    down: u64,
}

/// A store and its network.
struct Node {
    store: Store,
    network: Network,
}

impl Node {
    fn start(number: u8, wire: &Wire, wall: &Arc<Wall>) -> Node {
        let drawn = u32::from(number) << 16;
        let options = Options::new()
            .key(key(number))
            .wall_clock(Arc::clone(wall) as Arc<dyn WallClock>)
            .incarnations(move || drawn)
            .cache_bytes(1 << 20);
        let store = options.open_on(Arc::new(MemDisk::new())).unwrap();
        let network = Network::on(Arc::new(store.clone()), wire.of(number), Handle::current());
        (1..=NODES).for_each(|other| network.trust(key(other).id()));
        network.listen((ip(number), PORT).into()).unwrap();
        Node { store, network }
    }
}

fn key(number: u8) -> NodeKey {
    NodeKey::from_seed([number; 32])
}

/// Runs a seed.
fn course(seed: u64) -> Course {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let weather = Weather {
            lost_percent: seed % 4 * 5,
            doubled_percent: seed % 3,
            jitter_us: seed % 5 * 10_000,
        };
        let (wire, wall) = (Wire::new(seed, weather), Arc::new(Wall(Instant::now())));
        let nodes: Vec<Node> = (1..=NODES).map(|n| Node::start(n, &wire, &wall)).collect();
        for (node, next) in (0..NODES).map(|n| (n, (n + 1) % NODES + 1)) {
            let peer = PeerAddress::new(ip(next).to_string(), PORT, key(next).id()).unwrap();
            nodes[usize::from(node)].network.connect(peer).unwrap();
        }
        let (written, down) = trouble(seed, &wire, &nodes).await;
        let begun = Instant::now();
        converge(&nodes, written).await;
        let notes = nodes[0].store.collection("notes").unwrap();
        Course {
            converged_ms: begun.elapsed().as_millis() as u64,
            traffic: wire.traffic(),
            documents: notes.len(),
            conflicts: notes.conflicts().unwrap().len(),
            down,
        }
    })
}

/// Writes and cuts; at the end nothing is cut any more. Gives how many documents there are, and
/// in how many rounds links were down.
async fn trouble(seed: u64, wire: &Wire, nodes: &[Node]) -> (u64, u64) {
    let mut chance = Pcg64::new(seed.into(), 1);
    let mut below = |n: u64| chance.next_u64() % n;
    let mut cut: BTreeMap<(u8, u8), u64> = BTreeMap::new();
    let (mut written, mut down) = (0, 0);
    for round in 0..ROUNDS {
        sleep(Duration::from_millis(500)).await;
        cut.retain(|(from, to), end| {
            let goes_on = *end > round;
            wire.cut(*from, *to, goes_on);
            goes_on
        });
        if below(4) == 0 {
            let from = below(3) as u8;
            let way = (from + 1, (from + 1) % 3 + 1);
            // Up to 25 seconds: a link waits for 15.
            let end = round + 1 + below(50);
            cut.insert(way, end);
            if below(3) > 0 {
                cut.insert((way.1, way.0), end);
            }
        }
        for (node, number) in nodes.iter().zip(0u64..) {
            let fields = |text: String| Fields::from([("text".to_owned(), Field::from(text))]);
            let length = below(3000) as usize;
            let notes = node.store.collection("notes").unwrap();
            notes.put(&format!("own {number} {round}"), &fields("x".repeat(length))).unwrap();
            notes
                .put(&format!("shared {}", round % 7), &fields(format!("{number} {round}")))
                .unwrap();
            written += 1;
            let is_down = |link: &LinkStatus| link.state != LinkState::Connected;
            down += node.network.links().iter().filter(|link| is_down(link)).count() as u64;
        }
    }
    cut.keys().for_each(|(from, to)| wire.cut(*from, *to, false));
    (written + 7, down)
}

/// Waits until all hold the same, and all of it.
async fn converge(nodes: &[Node], documents: u64) {
    let end = Instant::now() + Duration::from_secs(600);
    loop {
        sleep(Duration::from_millis(10)).await;
        let held = |node: &Node| {
            let (vector, cells, _) = node.store.summary("notes").unwrap();
            (vector, cells)
        };
        if nodes.iter().all(|node| held(node) == held(&nodes[0])) {
            break;
        }
        let links: Vec<_> = nodes.iter().map(|node| node.network.links()).collect();
        assert!(Instant::now() < end, "not in sync: {links:#?}");
    }
    for node in nodes {
        assert_eq!(node.store.collection("notes").unwrap().len(), documents);
        node.store.check_rows().unwrap();
    }
}

/// So many seeds, or as many as `LITTORAL_SCHEDULES` asks for.
fn seeds(few: u64) -> std::ops::RangeInclusive<u64> {
    let asked = std::env::var("LITTORAL_SCHEDULES").ok().and_then(|n| n.parse().ok());
    1..=asked.unwrap_or(few)
}

#[test]
fn stores_on_a_bad_wire_converge() {
    for seed in seeds(4) {
        println!("seed {seed}: {:?}", course(seed));
    }
}

#[test]
fn the_same_seed_takes_the_same_course() {
    for seed in seeds(2) {
        let first = course(seed);
        assert!(first.down > 0, "seed {seed} cuts no link: {first:?}");
        assert_eq!(first, course(seed), "seed {seed}");
    }
}

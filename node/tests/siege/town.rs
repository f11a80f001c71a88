//! What is besieged: a node in a process of its own, and two honest ones that sync through it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use littoral::net::{Network, NetworkOptions, PeerAddress};
use littoral::store::Collections;
use littoral::txn::NodeKey;
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, Field, Fields, NodeId, Store};
use serde_json::Value as Json;

use super::common::{Running, Sandbox, ask};
use super::quic::LONG;

/// Documents that each of the two writes in a round.
const ROUND: i64 = 30;

pub(crate) struct Town {
    pub(crate) here: Sandbox,
    pub(crate) node: Running,
    pub(crate) at: SocketAddr,
    pub(crate) hub: NodeId,
    honest: [Honest; 2],
    rounds: AtomicU32,
}

/// An honest node, in this process.
pub(crate) struct Honest {
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
    _network: Network,
}

/// The keys of members with bad intentions. Each may write everywhere, but the last, which reads.
pub(crate) fn member(n: u8) -> NodeKey {
    NodeKey::from_seed([100 + n; 32])
}

pub(crate) const MEMBERS: u8 = 52;
pub(crate) const READER: u8 = MEMBERS - 1;
/// From here on they are honest.
pub(crate) const NEWCOMER: u8 = MEMBERS - 4;

impl Town {
    pub(crate) fn found() -> Town {
        let here = Sandbox::new();
        let store = Store::open(here.path("hub")).unwrap();
        let hub = store.node_id();
        store.found_roster("hub").unwrap();
        let keys = [NodeKey::from_seed([1; 32]), NodeKey::from_seed([2; 32])];
        for key in &keys {
            store.grant(key.id(), "honest", Rights::everywhere(Right::Write)).unwrap();
        }
        for n in 0..MEMBERS {
            let right = if n == READER { Right::Read } else { Right::Write };
            store.grant(member(n).id(), "hostile", Rights::everywhere(right)).unwrap();
        }
        let bulk = store.collection("bulk").unwrap();
        for n in 0..60 {
            bulk.put(&format!("b{n}"), &fields(&"tide ".repeat(40_000))).unwrap();
        }
        store.close().unwrap();
        drop((bulk, store));
        let log = std::fs::File::create(here.path("log")).unwrap();
        let node = here.run_with("hub", &[], |command| {
            command.env("LITTORAL_LOG", "littoral=info").stderr(log);
        });
        let at: SocketAddr = node.listen.parse().unwrap();
        let honest = keys.map(|key| Honest::joins(key, hub, at));
        let town = Town { here, node, at, hub, honest, rounds: AtomicU32::new(0) };
        town.until("both may write", || {
            let may = |one: &Honest| one.store.right(&one.store.node_id(), "notes") == Right::Write;
            town.honest.iter().all(may)
        });
        town
    }

    /// The two honest nodes write, both until they hold what the other wrote. How long it took.
    pub(crate) fn round(&self) -> Duration {
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for (place, one) in self.honest.iter().enumerate() {
                scope.spawn(move || {
                    let notes = one.store.collection("notes").unwrap();
                    for n in 0..ROUND {
                        // A fork that is noticed meanwhile has a write done again.
                        let id = format!("{place}-{round}-{n}");
                        while let Err(error) = notes.put(&id, &fields("ebb")) {
                            assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
                        }
                    }
                });
            }
        });
        self.until("both hold what the other wrote", || {
            let all =
                || (0..2).flat_map(|place| (0..ROUND).map(move |n| format!("{place}-{round}-{n}")));
            self.honest.iter().all(|one| {
                let notes = one.store.collection("notes").unwrap();
                all().all(|id| notes.get(&id).unwrap().is_some())
            })
        });
        begun.elapsed()
    }

    /// Another honest node joins and has all; how many documents that are.
    pub(crate) fn newcomer(&self, n: u8) -> usize {
        let one = Honest::joins(member(NEWCOMER + n), self.hub, self.at);
        let held = || self.honest[0].store.collection("notes").unwrap().len();
        self.until("a newcomer has all", || {
            let known = one.store.collections().contains(&"notes".to_owned());
            known && one.store.collection("notes").unwrap().len() == held()
        });
        held() as usize
    }

    /// What the node said when links with somebody ended, and the lines before the last.
    pub(crate) fn endings(&self, peer: &NodeId) -> Vec<String> {
        let log = std::fs::read_to_string(self.here.path("log")).unwrap();
        let short = peer.short();
        let of = |line: &&str| line.contains("link ended") && line.contains(&short);
        log.lines().filter(of).map(str::to_owned).collect()
    }

    /// What the node tells of itself.
    pub(crate) fn status(&self) -> Json {
        ask("GET", &format!("{}/status", self.node.url), &[], None).body
    }

    /// What the honest two hold.
    pub(crate) fn stores(&self) -> [Store; 2] {
        std::array::from_fn(|n| self.honest[n].store.clone())
    }

    /// The most memory that the node has had, in MiB, and its open files. Linux tells.
    pub(crate) fn memory_and_files(&self) -> Option<(u64, usize)> {
        let process = PathBuf::from(format!("/proc/{}", self.node.child.id()));
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        let files = std::fs::read_dir(process.join("fd")).ok()?.count();
        Some((kib / 1024, files))
    }

    /// The seconds of a processor that the node has taken. Linux tells.
    pub(crate) fn cpu(&self) -> f64 {
        let told = std::fs::read_to_string(format!("/proc/{}/stat", self.node.child.id()));
        let told = told.unwrap_or_default();
        let after = told.rsplit(')').next().unwrap_or_default();
        let ticks = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
        ticks.sum::<f64>() / 100.0
    }

    /// Begins to measure the most memory anew, where that is allowed.
    pub(crate) fn forget_memory(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.node.child.id()), "5");
    }

    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds() {
            assert!(Instant::now() < deadline, "still not so: {what}\n{:#}", self.status());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Whether the two honest nodes and the besieged one hold the same.
    pub(crate) fn agree(&self) {
        let digest = |store: &Store| store.digests("notes").unwrap();
        self.until("all hold the same", || {
            digest(&self.honest[0].store) == digest(&self.honest[1].store)
        });
    }
}

impl Honest {
    fn joins(key: NodeKey, hub: NodeId, at: SocketAddr) -> Honest {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::options().key(key).open(dir.path()).unwrap();
        store.want(Collections::only(["notes"]).unwrap()).unwrap();
        store.join_roster(hub).unwrap();
        store.trust(hub).unwrap();
        let network = Network::start(&store, NetworkOptions::default()).unwrap();
        network.connect(PeerAddress::new("127.0.0.1", at.port(), hub).unwrap()).unwrap();
        Honest { _dir: dir, store, _network: network }
    }
}

fn fields(text: &str) -> Fields {
    Fields::from([("text".to_owned(), Field::from(text))])
}

//! A siege: every attack that we can think of on a node through which two honest ones sync.
//!
//! The node is the program itself, in a process of its own; the attackers speak the protocol by
//! hand over real QUIC on the loopback. During each attack the two honest nodes write and wait
//! until both hold all; that they do is asserted, and how an attack ends and how it is counted, and
//! what memory and how many files the node takes. How long anything takes is printed, and no more.
//!
//! It is part of all tests, in a form that ends soon: each attack is tried as often as it needs to
//! show something, while the honest nodes write one round. `LITTORAL_SIEGE=all` has floods go on for
//! many rounds; other words choose the attacks whose names they are in.
#![allow(missing_docs, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod members;
mod quic;
mod speaker;
mod strangers;
mod town;
mod writers;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use littoral::txn::NodeKey;
use littoral::{NodeId, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use quic::Manner;
use town::{NEWCOMER, READER, Town, member};

/// The most memory that the node may ever have had, in MiB: what all links may hold, what QUIC may
/// hold of what they send, and the store; see docs/SECURITY.md.
const MEMORY_MIB: u64 = 640;
/// Rounds of the honest during each attack, in the long form and the short.
const ROUNDS: [usize; 2] = [8, 1];
/// The most open files.
const FILES: usize = 64;

/// One attack, as the attacker sees it.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) at: SocketAddr,
    pub(crate) hub: NodeId,
    pub(crate) honest: [NodeId; 2],
    /// What the honest two hold.
    pub(crate) stores: [Store; 2],
    url: String,
    member: u8,
    tries: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    /// What the node had counted before.
    before: BTreeMap<String, u64>,
}

impl Attack {
    pub(crate) fn key(&self) -> NodeKey {
        member(self.member)
    }

    pub(crate) fn manner(&self) -> Manner {
        Manner::with(self.key())
    }

    /// Counts a try; gives how many there were before.
    pub(crate) fn tried(&self) -> u64 {
        self.tries.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of the last try.
    pub(crate) fn last(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }

    /// Whether a flood goes on: at least so many times, and as long as the honest are at work; in
    /// the short form not many more, or the node is at work on them for long.
    pub(crate) fn goes_on(&self, least: u64) -> bool {
        let most = if is_long() { u64::MAX } else { 4 * least };
        self.last() < least || (self.last() < most && !self.enough.load(Ordering::Relaxed))
    }

    /// Members who attack at once.
    pub(crate) const CROWD: u8 = 4;

    /// The same attack by so many members.
    pub(crate) fn crowd(&self) -> impl Iterator<Item = Attack> {
        let of = |n| Attack { member: self.member + n, ..self.clone() };
        (0..Attack::CROWD).map(of)
    }

    /// Waits until the node has counted something of a kind.
    pub(crate) async fn is_counted(&self, kind: &'static str) {
        let (this, before) = (self.clone(), self.before.get(kind).copied().unwrap_or(0));
        wait_until(move || kept_off(&this.url).get(kind).is_some_and(|count| *count > before))
            .await;
    }

    /// Looks at the node's status: as long as that takes, for who does something slowly.
    pub(crate) async fn looks(&self) {
        let url = format!("{}/status", self.url);
        let told = tokio::task::spawn_blocking(move || common::ask("GET", &url, &[], None));
        assert_eq!(told.await.unwrap().status, 200);
    }

    /// What the node's doctor says.
    pub(crate) fn doctor(&self) -> String {
        common::ask("GET", &format!("{}/doctor", self.url), &[], None).body.to_string()
    }

    /// Has the node itself write a document.
    pub(crate) async fn put_at_the_node(&self, id: &str) {
        let url = format!("{}/collections/notes/docs/{id}", self.url);
        let put = move || common::ask("PUT", &url, &[], Some(r#"{"v": "by the node"}"#)).status;
        assert_eq!(tokio::task::spawn_blocking(put).await.unwrap(), 200);
    }

    /// Whether the node shows a document.
    pub(crate) async fn node_shows(&self, id: &str) -> bool {
        let url = format!("{}/collections/notes/docs/{id}", self.url);
        let get = move || common::ask("GET", &url, &[], None).status;
        tokio::task::spawn_blocking(get).await.unwrap() == 200
    }
}

/// How often the node has kept somebody off, by kind.
fn kept_off(url: &str) -> BTreeMap<String, u64> {
    let status = common::ask("GET", &format!("{url}/status"), &[], None).body;
    serde_json::from_value(status["running"]["kept_off"].clone()).expect("counts by kind")
}

/// How an attack is counted.
#[derive(Debug, Clone, Copy)]
enum Counted {
    /// It is no offence: nobody is harmed.
    No,
    /// Each try, as this kind.
    Each(&'static str),
    /// Some tries.
    Some(&'static str),
}

impl Counted {
    fn kind(self) -> &'static str {
        match self {
            Counted::No => "(no offence)",
            Counted::Each(kind) | Counted::Some(kind) => kind,
        }
    }

    /// Waits until it is counted.
    fn holds(self, name: &str, town: &Town, attack: &Attack) {
        let (Counted::Each(kind) | Counted::Some(kind)) = self else { return };
        let least = if matches!(self, Counted::Each(_)) { attack.last() } else { 1 };
        let least = least + attack.before.get(kind).copied().unwrap_or(0);
        let enough = || kept_off(&town.node.url).get(kind).is_some_and(|count| *count >= least);
        town.until(&format!("{name} is counted as {kind}, {least} in all"), enough);
    }
}

/// Waits for a condition, without holding up the runtime.
pub(crate) async fn wait_until(mut holds: impl FnMut() -> bool + Send + 'static) {
    let waited = tokio::task::spawn_blocking(move || {
        let deadline = std::time::Instant::now() + quic::LONG;
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "the node has not come to that");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    });
    waited.await.unwrap();
}

/// The siege so far.
struct Siege {
    town: Town,
    runtime: Runtime,
    next_member: u8,
    peaceful: Vec<Duration>,
    besieged: Vec<Duration>,
    tries: u64,
    passed: usize,
    /// The most memory that the node has had, in MiB.
    memory: u64,
    /// Attacks that are not over yet.
    lasting: Vec<(String, Attack, JoinHandle<String>, Counted)>,
}

impl Siege {
    fn lay() -> Siege {
        let town = Town::found();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let peaceful = (0..4).map(|_| town.round()).skip(1).collect();
        println!(
            "share: honest throughput against that without an attack; CPU s and MiB: of the node,\n\
             seconds and the most memory\n\n\
             {:<30} {:<8} {:>7}  {:<18} {:>5} {:>6} {:>5}  how it ended",
            "attack", "by", "tries", "counted as", "share", "CPU s", "MiB"
        );
        let (besieged, lasting) = Default::default();
        let (next_member, tries, passed, memory) = Default::default();
        Siege { town, runtime, next_member, peaceful, besieged, tries, passed, memory, lasting }
    }

    /// An attack by the next so many members.
    fn members(&mut self, count: u8) -> Attack {
        self.next_member += count;
        assert!(self.next_member <= NEWCOMER, "more attacks than members");
        self.attack(self.next_member - count)
    }

    fn attack(&self, member: u8) -> Attack {
        Attack {
            at: self.town.at,
            hub: self.town.hub,
            honest: [1, 2].map(|n| NodeKey::from_seed([n; 32]).id()),
            stores: self.town.stores(),
            url: self.town.node.url.clone(),
            member,
            tries: Arc::default(),
            enough: Arc::default(),
            before: kept_off(&self.town.node.url),
        }
    }

    /// A stranger's attack, during a round of the honest and while a newcomer joins.
    fn by_stranger<F: Future<Output = String> + Send + 'static>(
        &mut self,
        name: &str,
        counted: Counted,
        how: impl FnOnce(Attack) -> F,
    ) {
        let attack = self.attack(0);
        let newcomer = self.next_member % 3;
        self.during(name, "stranger", attack, counted, how, Some(newcomer));
    }

    /// A member's attack, during a round of the honest.
    fn by_member<F: Future<Output = String> + Send + 'static>(
        &mut self,
        name: &str,
        counted: Counted,
        how: impl FnOnce(Attack) -> F,
    ) {
        let attack = self.members(1);
        self.during(name, "member", attack, counted, how, None);
    }

    /// An attack by many members at once, during a round of the honest.
    fn by_members<F: Future<Output = String> + Send + 'static>(
        &mut self,
        name: &str,
        counted: Counted,
        how: impl FnOnce(Attack) -> F,
    ) {
        let attack = self.members(Attack::CROWD);
        self.during(name, "members", attack, counted, how, None);
    }

    fn during<F: Future<Output = String> + Send + 'static>(
        &mut self,
        name: &str,
        by: &str,
        attack: Attack,
        counted: Counted,
        how: impl FnOnce(Attack) -> F,
        newcomer: Option<u8>,
    ) {
        if !is_chosen(name) {
            return;
        }
        self.town.forget_memory();
        let before = self.town.cpu();
        let begun = self.runtime.spawn(how(attack.clone()));
        self.town.until("the attack has begun", || attack.last() > 0 || begun.is_finished());
        let rounds = if is_long() { ROUNDS[0] } else { ROUNDS[1] };
        let took = (0..rounds).map(|_| self.town.round()).sum::<Duration>() / rounds as u32;
        if let Some(n) = newcomer {
            self.town.newcomer(n);
        }
        attack.enough.store(true, Ordering::Relaxed);
        let ended = self.runtime.block_on(begun).unwrap_or_else(|err| panic!("{name}: {err}"));
        counted.holds(name, &self.town, &attack);
        self.besieged.push(took);
        self.row(name, by, &attack, counted, Some((took, self.town.cpu() - before)), &ended);
    }

    /// An attack that takes its time, while others go on.
    fn meanwhile<F: Future<Output = String> + Send + 'static>(
        &mut self,
        name: &str,
        counted: Counted,
        how: impl FnOnce(Attack) -> F,
    ) {
        if !is_chosen(name) {
            return;
        }
        let attack = self.members(1);
        let task = self.runtime.spawn(how(attack.clone()));
        self.lasting.push((name.to_owned(), attack, task, counted));
    }

    fn row(
        &mut self,
        name: &str,
        by: &str,
        attack: &Attack,
        counted: Counted,
        took: Option<(Duration, f64)>,
        ended: &str,
    ) {
        let tries = attack.last();
        self.tries += tries;
        let share = took.map(|(took, all)| format!("{:.2} {all:>6.1}", self.share(took)));
        let share = share.unwrap_or_default();
        let counted = counted.kind();
        let memory = self.town.memory_and_files().map_or(0, |(mib, _)| mib);
        self.memory = self.memory.max(memory);
        println!(
            "{name:<30} {by:<8} {tries:>7}  {counted:<18} {share:>12} {memory:>5}  {ended:.70}"
        );
        assert!(memory <= MEMORY_MIB, "the node has had {memory} MiB of memory");
        self.passed += 1;
    }

    /// How fast the honest were, as a share of how fast they are in peace.
    fn share(&self, took: Duration) -> f64 {
        median(&self.peaceful).as_secs_f64() / took.as_secs_f64()
    }

    fn end(mut self) -> usize {
        for (name, attack, task, counted) in std::mem::take(&mut self.lasting) {
            attack.enough.store(true, Ordering::Relaxed);
            let ended = self.runtime.block_on(task).unwrap_or_else(|err| panic!("{name}: {err}"));
            counted.holds(&name, &self.town, &attack);
            self.row(&name, "member", &attack, counted, None, &ended);
        }
        self.town.round();
        self.town.agree();
        // Nobody's attack has the node end a link with an honest one.
        for honest in self.town.stores() {
            let endings = self.town.endings(&honest.node_id());
            assert!(endings.is_empty(), "the node ended links with an honest one: {endings:#?}");
        }
        let kept_off = kept_off(&self.town.node.url);
        let shown = self.town.here.ok(&["--url", &self.town.node.url, "status"]);
        assert!(
            kept_off.values().all(|count| *count == 0) || shown.contains("kept off: "),
            "{shown}"
        );
        let worst = self.besieged.iter().max().copied().unwrap_or_default();
        let files = self.town.memory_and_files().map_or(0, |(_, files)| files);
        assert!(files <= FILES, "the node has {files} files open");
        println!(
            "\nsiege: {} attacks, {} tries; kept off: {kept_off:?}\n\
             siege: peak memory of the node {} MiB (bound {MEMORY_MIB}), open files at the end {files} \
             (bound {FILES})\n\
             siege: honest throughput during an attack against without: median {:.2}, lowest {:.2}",
            self.passed,
            self.tries,
            self.memory,
            self.share(median(&self.besieged)),
            self.share(worst)
        );
        self.passed
    }
}

/// Whether floods go on for long.
fn is_long() -> bool {
    std::env::var_os("LITTORAL_SIEGE").is_some()
}

/// `LITTORAL_SIEGE` names the attacks to try, for who looks into one, or is `all`.
fn is_chosen(name: &str) -> bool {
    let chosen = std::env::var("LITTORAL_SIEGE").unwrap_or("all".to_owned());
    chosen == "all" || chosen.split(',').any(|one| name.contains(one))
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// One check, which counts its parts. As other tests it runs if it is named, or none is.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let named = |arg: &String| "a_hostile_peer_gets_nowhere".contains(arg.as_str());
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if args.iter().any(|arg| arg == "--list")
        || !(filters.is_empty() || filters.into_iter().any(named))
    {
        return ExitCode::SUCCESS;
    }
    match std::panic::catch_unwind(a_hostile_peer_gets_nowhere) {
        Ok(passed) => {
            println!("{passed} passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(_) => {
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn a_hostile_peer_gets_nowhere() -> usize {
    use Counted::{Each, No, Some};
    let mut siege = Siege::lay();
    siege.meanwhile("a hello byte by byte", Each("silent"), members::says_nothing);
    siege.by_stranger("packets that are no QUIC", No, strangers::noise);
    siege.by_stranger("handshakes left", Some("crowded_handshakes"), strangers::unfinished);
    siege.by_stranger("unknown keys", Each("unknown_keys"), strangers::unknown);
    let failed = Some("failed_handshakes");
    siege.by_stranger("no key, other protocols", failed, strangers::other_protocols);
    siege.by_member("connections with one key", Some("turned_away"), members::connections);
    siege.by_member("a second hello", Each("breaches"), members::second_hello);
    siege.by_member("giant frames", Each("breaches"), members::giant_frames);
    siege.by_member("giant frames on tails", Each("breaches"), members::giant_frames_on_tails);
    siege.by_member("bombs: packed frames", Each("breaches"), members::bombs);
    siege.by_member("bombs: counts that promise", Each("breaches"), members::promises);
    siege.by_member("ten million origins", Each("breaches"), members::forged_vectors);
    siege.by_member("vectors of a million in all", Each("over_limit"), members::many_vectors);
    siege.by_member("claims to hold all", No, members::claims_all);
    siege.by_member("outlines without end", No, members::outlines);
    siege.by_member("acks of what was not sent", Each("breaches"), members::acks_the_unsent);
    siege.by_member("half a frame and the end", Each("breaches"), members::half_closed);
    siege.by_member("control stream ended", No, members::ends_control);
    siege.by_member("tiny frames", No, members::tiny_frames);
    siege.by_member("a frame byte by byte", No, members::slow_tail);
    siege.by_member("streams", No, members::streams);
    siege.by_members("frames without end", Some("over_limit"), members::unfinished_frames);
    siege.by_member("views and questions", No, members::asks);
    siege.by_member("5,000 questions at once", Each("breaches"), members::asks_too_much);
    siege.by_member("hashes where histories differ", No, members::differs);
    siege.by_member("names of branches", Some("halted_invalid"), members::branches);
    siege.by_members("never read", No, members::never_reads);
    siege.by_member("permits no streams", Each("over_limit"), members::gives_no_streams);
    siege.by_member("forged dots", Each("halted_invalid"), writers::forged_dots);
    siege.by_member("clocks of the far future", No, writers::future);
    siege.by_member("replays", No, writers::replays);
    siege.by_member("two transactions of one name", No, writers::equivocates);
    siege.by_member("a writer that floods", No, writers::writes);
    siege.by_member("grants of one who is no admin", Each("breaches"), writers::grants);
    siege.by_member("forged successions", Each("breaches"), writers::successions);
    siege.by_member("statements that are none", Each("breaches"), writers::no_statements);
    siege.by_member("other rosters", No, writers::rosters);
    siege.by_member("vouches without end", No, writers::vouches);
    siege.by_member("5,000 collections", No, members::collections);
    let (reader, forbidden) = (siege.attack(READER), Each("halted_forbidden"));
    let how = writers::reader_writes;
    siege.during("a reader writes", "member", reader, forbidden, how, Option::None);
    siege.end()
}

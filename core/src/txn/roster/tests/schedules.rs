//! Random schedules: honest and lying nodes that write, relay, grant, revoke, vouch and change their
//! keys over a network that is mostly cut; and keys that were given up and are in wrong hands. A
//! model of replicas: what each holds is a prefix of every origin.

use std::collections::BTreeMap;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::*;

const NODES: u8 = 8;
/// Nodes from here on lie.
const LIARS: u8 = 6;
/// Keys are changed so often.
const MOST_HEIRS: u8 = 12;

/// A transaction: its author, its number, and what its author held.
#[derive(Clone, Debug)]
struct Written {
    author: u8,
    seq: Seq,
    deps: BTreeMap<u8, Seq>,
}

#[derive(Clone)]
struct Site {
    node: u8,
    /// The key that it has now; those of nodes that have changed theirs are above all others.
    key: u8,
    /// Keys that it had before, or a liar has stolen.
    former: Vec<u8>,
    roster: Roster,
    log: Vec<Written>,
    held: BTreeMap<u8, Seq>,
}

struct Chance {
    random: Pcg64,
    /// How often a key was changed.
    heirs: u8,
}

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance { random: Pcg64::seed_from_u64(seed), heirs: 0 }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n as u64) as usize
    }

    /// A key that somebody has or had.
    fn key(&mut self) -> u8 {
        match self.below(3) {
            0 if self.heirs > 0 => NODES + 1 + self.below(usize::from(self.heirs)) as u8,
            _ => self.below(usize::from(NODES)) as u8,
        }
    }

    fn right(&mut self) -> Right {
        [Right::None, Right::None, Right::Read, Right::Write, Right::Write, Right::Admin]
            [self.below(6)]
    }

    fn rights(&mut self) -> Rights {
        match self.below(4) {
            0 => Rights { elsewhere: self.right(), ..Rights::only(self.right(), ["notes"]) },
            1 => Rights::only(self.right(), ["notes", "tasks"]),
            _ => Rights::everywhere(self.right()),
        }
    }
}

fn id_is(n: u8, node: &NodeId) -> bool {
    thread_local!(static IDS: Vec<NodeId> = (0..=NODES + MOST_HEIRS).map(id).collect());
    IDS.with(|ids| ids.get(usize::from(n)) == Some(node))
}

fn is_liar(node: u8) -> bool {
    node >= LIARS
}

fn origin(node: u8) -> Origin {
    Origin { node: id(node), incarnation: 0 }
}

impl Site {
    fn new(node: u8) -> Site {
        let (roster, log, held) = (Roster::new(scope()), Vec::new(), BTreeMap::new());
        Site { node, key: node, former: Vec::new(), roster, log, held }
    }

    fn may_write(&self) -> bool {
        right(&self.roster, self.key) >= Right::Write
    }

    fn write(&mut self) {
        self.write_as(self.key);
    }

    fn write_as(&mut self, key: u8) {
        let seq = self.held.get(&key).copied().unwrap_or(0) + 1;
        self.log.push(Written { author: key, seq, deps: self.held.clone() });
        self.held.insert(key, seq);
    }

    /// Any key that it has.
    fn any_key(&self, chance: &mut Chance) -> u8 {
        match chance.below(2) {
            0 if !self.former.is_empty() => self.former[chance.below(self.former.len())],
            _ => self.key,
        }
    }

    /// What it knows, or a part of that, as a liar says.
    fn known_or_less(&self, chance: &mut Chance) -> BTreeSet<Hash> {
        let all: Vec<Hash> = self.roster.grants.iter().map(|g| g.statement.hash).collect();
        match is_liar(self.node) && chance.below(2) == 0 && !all.is_empty() {
            true => [all[chance.below(all.len())]].into(),
            false => self.roster.heads().clone(),
        }
    }

    /// Changes its key, as a store does: an admin names the new one, which vouches for all.
    fn change_key(&mut self, heir: u8, chance: &mut Chance) {
        let issuer = if is_liar(self.node) { self.any_key(chance) } else { self.key };
        if !is_liar(self.node) {
            let Ok(rights) = self.roster.check_may_succeed(&id(issuer)) else { return };
            if self.roster.is_admin_anywhere(&id(issuer)) {
                let grant = grant_by(issuer, &self.roster, heir, rights);
                self.roster.add(grant).unwrap();
            }
        }
        let after = self.known_or_less(chance);
        let succession = Succession::new(after, 0, scope(), id(issuer), &key(heir));
        let said = Statement::sign(Says::Succession(succession), scope(), &key(issuer)).unwrap();
        let added = self.roster.add(said);
        if !is_liar(self.node) {
            assert!(added.unwrap(), "{} could not change its key", self.node);
        }
        self.former.push(self.key);
        self.key = heir;
        if !is_liar(self.node) {
            self.vouch();
        }
    }

    /// Whether another would speak with it, by its present key or one that it had.
    fn is_known_to(&self, other: &Roster) -> bool {
        self.former.iter().chain([&self.key]).any(|key| other.is_member(&id(*key)))
    }

    /// Takes the statements of another, and vouches for what it then holds too much.
    fn hear(&mut self, other: &Roster) {
        for statement in other.statements() {
            self.roster.add(statement.clone()).expect("statements come in order");
        }
        if !is_liar(self.node) {
            self.vouch();
        }
    }

    fn excess(&self) -> Vec<(u8, Seq)> {
        let held = self.held.iter().map(|(node, seq)| (*node, *seq));
        held.filter(|(node, seq)| self.roster.valid_through("notes", &origin(*node)) < *seq)
            .collect()
    }

    fn vouch(&mut self) {
        if self.may_write() {
            for (node, seq) in self.excess() {
                self.roster.add(vouch_by(self.key, node, seq)).unwrap();
            }
        }
    }

    /// Takes what another's log has, up to the first that can't be taken.
    fn pull(&mut self, log: &[Written]) {
        for txn in log {
            let held = self.held.get(&txn.author).copied().unwrap_or(0);
            if held >= txn.seq {
                continue;
            }
            let met = txn.deps.iter().all(|(node, seq)| self.held.get(node) >= Some(seq));
            let next = held + 1 == txn.seq && met;
            let valid = self.roster.valid_through("notes", &origin(txn.author)) >= txn.seq;
            if !next || !(valid || is_liar(self.node)) {
                return;
            }
            self.held.insert(txn.author, txn.seq);
            self.log.push(txn.clone());
        }
    }

    /// Says something of a member; a liar says it over any part of what it knows.
    fn grant(&mut self, chance: &mut Chance) {
        let (mut member, rights) = (chance.key(), chance.rights());
        let by = if is_liar(self.node) { self.any_key(chance) } else { self.key };
        if !is_liar(self.node) {
            // A store names the last key of a member.
            let last = self.roster.last_key(&id(member));
            let Some(last) = last.and_then(|last| (0..=u8::MAX).find(|n| id_is(*n, &last))) else {
                return;
            };
            member = last;
        }
        let grant = Grant {
            after: self.known_or_less(chance),
            time_ms: 0,
            member: id(member),
            name: format!("node {member}"),
            rights,
        };
        let statement = Statement::sign(Says::Grant(grant), scope(), &key(by)).unwrap();
        // A liar may not have been a member by what it says to have known.
        let _ = self.roster.add(statement);
        if !is_liar(self.node) {
            self.vouch();
        }
    }
}

/// A link from one site to another, statements first; honest sites link with members alone.
fn link(sites: &mut [Site], from: usize, to: usize) {
    let (sender, receiver) = (sites[from].clone(), &mut sites[to]);
    if !sender.is_known_to(&receiver.roster) && !is_liar(receiver.node) {
        return;
    }
    receiver.hear(&sender.roster);
    if receiver.roster.is_member(&id(sender.key)) || is_liar(receiver.node) {
        receiver.pull(&sender.log);
    }
}

fn begin(chance: &mut Chance) -> Vec<Site> {
    let mut sites: Vec<Site> = (0..NODES).map(Site::new).collect();
    for member in 1..NODES {
        let right = if member < 3 { Right::Admin } else { chance.right().max(Right::Read) };
        let grant = everywhere(0, &sites[0].roster, member, right);
        sites[0].roster.add(grant).unwrap();
    }
    for to in 1..usize::from(NODES) {
        let roster = sites[0].roster.clone();
        sites[to].hear(&roster);
    }
    sites
}

/// A node changes its key, and perhaps a liar has a copy of the one that it gives up.
fn change_key(sites: &mut [Site], at: usize, chance: &mut Chance) {
    if chance.heirs == MOST_HEIRS {
        return;
    }
    chance.heirs += 1;
    let (before, heir) = (sites[at].key, NODES + chance.heirs);
    sites[at].change_key(heir, chance);
    let thief = usize::from(LIARS) + chance.below(usize::from(NODES - LIARS));
    if sites[at].key == heir && thief != at && chance.below(2) == 0 {
        sites[thief].former.push(before);
        // What is signed with it must not be two things of one name: the model has no forks.
        let log = sites[at].log.clone();
        sites[thief].pull(&log);
    }
}

fn step(sites: &mut [Site], chance: &mut Chance) {
    let at = chance.below(sites.len());
    match chance.below(10) {
        0 if is_liar(sites[at].node) => {
            let key = sites[at].any_key(chance);
            let newest = |site: &Site| site.held.get(&key).copied().unwrap_or(0);
            // Two things of one name would be a fork, and the model has none.
            if sites.iter().all(|site| newest(site) <= newest(&sites[at])) {
                sites[at].write_as(key);
            }
        }
        0..=3 if sites[at].may_write() => sites[at].write(),
        6 if chance.below(4) == 0 => change_key(sites, at, chance),
        4 if chance.below(3) == 0 => {
            let admin = right(&sites[at].roster, sites[at].key) == Right::Admin;
            if admin || is_liar(sites[at].node) {
                sites[at].grant(chance);
            }
        }
        5 if is_liar(sites[at].node) => {
            let (of, seq) = (chance.key(), 1 + chance.below(30) as u64);
            // Nobody can hold what was never written: the model has no forgeries of others.
            let seq = seq.min(sites[at].held.get(&of).copied().unwrap_or(0));
            if seq > 0 {
                let by = sites[at].any_key(chance);
                let _ = sites[at].roster.add(vouch_by(by, of, seq));
            }
        }
        _ => {
            let to = chance.below(sites.len());
            if at != to {
                link(sites, at, to);
            }
        }
    }
}

/// Honest sites meet until nothing changes; who may only read and holds too much begins anew.
fn meet(sites: &mut [Site]) {
    for round in 0..3 * sites.len() {
        for from in 0..sites.len() {
            for to in 0..sites.len() {
                let other = sites[from].roster.clone();
                sites[to].hear(&other);
            }
        }
        for from in 0..sites.len() {
            for to in 0..sites.len() {
                let log = sites[from].log.clone();
                sites[to].pull(&log);
            }
        }
        for site in sites.iter_mut().filter(|site| !site.may_write()) {
            if round >= sites_needed() && !site.excess().is_empty() {
                (site.log, site.held) = (Vec::new(), BTreeMap::new());
            }
        }
    }
}

/// After so many rounds all statements are everywhere.
const fn sites_needed() -> usize {
    3
}

pub(super) fn run(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut sites = begin(&mut chance);
    for _ in 0..120 {
        step(&mut sites, &mut chance);
    }
    let liars = sites.split_off(usize::from(LIARS));
    meet(&mut sites);
    let first = sites[0].clone();
    for site in &sites {
        assert_eq!(site.roster.digest(), first.roster.digest(), "statements of {}", site.node);
        assert_eq!(site.held, first.held, "what {} holds, against {}", site.node, first.node);
        assert!(site.excess().is_empty(), "{} holds what is not valid", site.node);
    }
    // A key that was given up may do nothing, and who did so goes on if nobody objects.
    for n in 0..=NODES + MOST_HEIRS {
        let former = first.roster.successions.is_former(&id(n));
        assert!(!former || right(&first.roster, n) == Right::None, "{n} was given up");
    }
    // What a revoked one writes now is nowhere, nor what is written with a key that was given up.
    for mut liar in liars {
        liar.hear(&first.roster);
        for key in liar.former.clone().into_iter().chain([liar.key]) {
            let newest = |site: &Site| site.held.get(&key).copied().unwrap_or(0);
            let before = newest(&liar).max(sites.iter().map(newest).max().unwrap_or(0));
            if newest(&liar) < before {
                continue;
            }
            (0..3).for_each(|_| liar.write_as(key));
            for site in &mut sites {
                let allowed = right(&site.roster, key) >= Right::Write;
                site.pull(&liar.log);
                let held = site.held.get(&key).copied().unwrap_or(0);
                assert!(allowed || held <= before, "{} took what {key} wrote", site.node);
            }
        }
    }
}

/// Statements of one schedule, in an order in which each follows those that it names.
pub(super) fn many_statements(seed: u64) -> Vec<Statement> {
    let mut chance = Chance::new(seed);
    let mut sites = begin(&mut chance);
    for _ in 0..60 {
        let at = chance.below(sites.len());
        match chance.below(3) {
            0 => step(&mut sites, &mut chance),
            1 if chance.below(3) == 0 => change_key(&mut sites, at, &mut chance),
            1 => sites[at].grant(&mut chance),
            _ => {
                let to = chance.below(sites.len());
                link(&mut sites, at, to);
            }
        }
    }
    let mut all = Roster::new(scope());
    for site in &sites {
        for statement in site.roster.statements() {
            all.add(statement.clone()).unwrap();
        }
    }
    all.statements().cloned().collect()
}

/// A roster that took them in another order.
pub(super) fn in_any_order(statements: &[Statement], order: u64) -> Roster {
    let mut chance = Chance::new(order);
    let mut roster = Roster::new(scope());
    let mut waiting = statements.to_vec();
    while !waiting.is_empty() {
        let statement = waiting.swap_remove(chance.below(waiting.len()));
        match roster.add(statement.clone()) {
            Ok(_) => {}
            Err(err) if err.kind() == ErrorKind::MissingDependency => waiting.push(statement),
            Err(err) => panic!("{err}"),
        }
    }
    // What came before that by which it counts is told again, as replicas do while they differ.
    let mut before = None;
    while before != Some(roster.digest()) {
        before = Some(roster.digest());
        statements.iter().for_each(|one| {
            roster.add(one.clone()).unwrap();
        });
    }
    roster
}

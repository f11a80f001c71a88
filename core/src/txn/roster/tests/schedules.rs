//! Random schedules: honest and lying nodes that write, relay, grant, revoke and vouch over a
//! network that is mostly cut. A model of replicas: what each holds is a prefix of every origin.

use std::collections::BTreeMap;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::*;

const NODES: u8 = 8;
/// Nodes from here on lie.
const LIARS: u8 = 6;

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
    roster: Roster,
    log: Vec<Written>,
    held: BTreeMap<u8, Seq>,
}

struct Chance(Pcg64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(Pcg64::seed_from_u64(seed))
    }

    fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    fn node(&mut self) -> u8 {
        self.below(usize::from(NODES)) as u8
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

fn is_liar(node: u8) -> bool {
    node >= LIARS
}

fn origin(node: u8) -> Origin {
    Origin { node: id(node), incarnation: 0 }
}

impl Site {
    fn new(node: u8) -> Site {
        Site { node, roster: Roster::new(scope()), log: Vec::new(), held: BTreeMap::new() }
    }

    fn may_write(&self) -> bool {
        right(&self.roster, self.node) >= Right::Write
    }

    fn write(&mut self) {
        let seq = self.held.get(&self.node).copied().unwrap_or(0) + 1;
        self.log.push(Written { author: self.node, seq, deps: self.held.clone() });
        self.held.insert(self.node, seq);
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
                self.roster.add(vouch_by(self.node, node, seq)).unwrap();
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
        let (member, rights) = (chance.node(), chance.rights());
        let mut grant = Grant {
            after: self.roster.heads().clone(),
            time_ms: 0,
            member: id(member),
            name: format!("node {member}"),
            rights,
        };
        if is_liar(self.node) && chance.below(2) == 0 {
            let all: Vec<Hash> = self.roster.grants.iter().map(|g| g.statement.hash).collect();
            if !all.is_empty() {
                grant.after = [all[chance.below(all.len())]].into();
            }
        }
        let statement = Statement::sign(Says::Grant(grant), scope(), &key(self.node)).unwrap();
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
    if !receiver.roster.is_member(&id(sender.node)) && !is_liar(receiver.node) {
        return;
    }
    receiver.hear(&sender.roster);
    if receiver.roster.is_member(&id(sender.node)) || is_liar(receiver.node) {
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

fn step(sites: &mut [Site], chance: &mut Chance) {
    let at = chance.below(sites.len());
    match chance.below(10) {
        0..=3 if sites[at].may_write() || is_liar(sites[at].node) => sites[at].write(),
        4 if chance.below(3) == 0 => {
            let admin = right(&sites[at].roster, sites[at].node) == Right::Admin;
            if admin || is_liar(sites[at].node) {
                sites[at].grant(chance);
            }
        }
        5 if is_liar(sites[at].node) => {
            let (of, seq) = (chance.node(), 1 + chance.below(30) as u64);
            // Nobody can hold what was never written: the model has no forgeries of others.
            let seq = seq.min(sites[at].held.get(&of).copied().unwrap_or(0));
            if seq > 0 {
                let _ = sites[at].roster.add(vouch_by(sites[at].node, of, seq));
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
    // An honest writer's own is everywhere; and what a revoked one writes now is nowhere.
    for mut liar in liars {
        liar.hear(&first.roster);
        let before = liar.held.get(&liar.node).copied().unwrap_or(0);
        (0..3).for_each(|_| liar.write());
        for site in &mut sites {
            let allowed = right(&site.roster, liar.node) >= Right::Write;
            site.pull(&liar.log);
            let held = site.held.get(&liar.node).copied().unwrap_or(0);
            assert!(allowed || held <= before, "{} took what {} wrote", site.node, liar.node);
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
    roster
}

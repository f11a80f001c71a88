//! The world: machines, links, and what happens next, in the order of virtual time.
//!
//! Nothing but an event changes anything, and each event is followed by a check of every
//! store that it touched.

use std::collections::{BTreeMap, BTreeSet};

use littoral::NodeId;
use littoral::id::Vector;
use littoral::limits::IDLE_TIMEOUT_MS;
use littoral::replica::Replica;
use littoral::sync::door::Config;
use littoral::sync::session::Session;
use littoral::txn::NetworkId;

use crate::chance::Chance;
use crate::edits::Readings;
use crate::follower::Follower;
use crate::images::Image;
use crate::ledger::{Ledger, UNREADABLE};
use crate::link::{End, Link, Task};
use crate::machine::{Down, Machine};
use crate::plan::Plan;
use crate::rights::{FOUNDER, Said};
use crate::tape::Tapes;
use crate::trace::Trace;
use crate::{Checked, Report, Settings, ensure};

/// The stream of chance that the network draws from.
const NETWORK_STREAM: u64 = 2;
/// The stream of chance that apps draw from which follow changes.
const FOLLOWER_STREAM: u64 = 3;
/// More events than any schedule needs.
const MOST_EVENTS: u64 = 400_000;

/// Something that happens at its time. A link is named by number and end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// The next act of the plan.
    Act(usize),
    /// Something sent by this end may arrive at the other.
    Deliver(u64, usize),
    /// A store does something that a session wants done.
    Work(u64, usize),
    /// A session hears of commits.
    Hear(u64, usize),
    Tick(u64, usize),
    /// This end notices that the link is gone.
    Lose(u64, usize),
    Dial(usize, usize),
    /// Nothing has come from the first to the second for too long.
    Idle(usize, usize),
    /// A machine goes down and up again, or, if it is down, up.
    Restart(usize, Down),
    /// A fault of its disk is over.
    Mend(usize),
}

/// All there is.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now_ms: u64,
    pub(crate) chance: Chance,
    following: Chance,
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) machines: Vec<Machine>,
    pub(crate) readings: Readings,
    pub(crate) images: Vec<Image>,
    pub(crate) links: BTreeMap<u64, Link>,
    next_link: u64,
    /// Pairs that keep up a link.
    wanted: BTreeSet<(usize, usize)>,
    /// From whom to whom nothing gets through.
    pub(crate) blocked: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(u64, u64), Event>,
    serial: u64,
    /// Machines that may have changed since they were last looked at.
    touched: BTreeSet<usize>,
    pub(crate) step: usize,
    pub(crate) events: u64,
    starts: u64,
    pub(crate) joins: u64,
    changes_followed: u64,
    pub(crate) rolled_back: u64,
    pub(crate) copied: u64,
    /// Collections that links have ended, and how often one was healed.
    pub(crate) halts: u64,
    pub(crate) healed: u64,
    /// What was said in the roster.
    pub(crate) said: Said,
    /// What was done with the tape.
    pub(crate) tapes: Tapes,
    /// No faults happen any more.
    pub(crate) peace: bool,
}

impl World {
    pub(crate) fn new(settings: &Settings) -> World {
        World {
            plan: Plan::new(settings),
            now_ms: 0,
            chance: Chance::new(settings.seed, NETWORK_STREAM),
            following: Chance::new(settings.seed, FOLLOWER_STREAM),
            trace: Trace::new(settings.trace),
            ledger: Ledger::new(NetworkId::named("default")),
            machines: Vec::new(),
            readings: Readings::new(),
            images: Vec::new(),
            links: BTreeMap::new(),
            next_link: 0,
            wanted: BTreeSet::new(),
            blocked: BTreeSet::new(),
            queue: BTreeMap::new(),
            serial: 0,
            touched: BTreeSet::new(),
            step: 0,
            events: 0,
            starts: 0,
            joins: 0,
            changes_followed: 0,
            rolled_back: 0,
            copied: 0,
            halts: 0,
            healed: 0,
            said: Said::default(),
            tapes: Tapes::default(),
            peace: false,
        }
    }

    pub(crate) fn run(&mut self) -> Checked {
        for _ in 0..self.plan.replicas {
            self.add_machine()?;
        }
        self.schedule(0, Event::Act(0));
        while self.step < self.plan.steps {
            ensure!(self.happen()?, "nothing more happens");
        }
        self.finale()
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            digest: self.trace.digest(),
            steps: self.step,
            events: self.events,
            transactions: self.ledger.transactions(),
            starts: self.starts,
            joins: self.joins,
            followed: self.changes_followed,
            compared: self.ledger.compared,
            rolled_back: self.rolled_back,
            copied: self.copied,
            forks: self.ledger.forks(),
            halts: self.halts,
            healed: self.healed,
            whole_logs: self.plan.whole_logs,
            rights: self.plan.rights,
            grants: self.said.count(),
            set_aside: self.said.set_aside,
            let_write: self.said.let_write,
            refused: self.said.refused,
            keys: self.said.keys,
            tapes: self.tapes,
        }
    }

    pub(crate) fn steps_done(&self) -> usize {
        self.step
    }

    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.trace.last()
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.trace.line(self.now_ms, line);
    }

    // ---- time

    pub(crate) fn schedule(&mut self, in_ms: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now_ms + in_ms, self.serial), event);
    }

    /// Lets the next event happen, and looks at what it touched. Whether there was one.
    pub(crate) fn happen(&mut self) -> Checked<bool> {
        let Some(((time, _), event)) = self.queue.pop_first() else { return Ok(false) };
        self.now_ms = time;
        self.events += 1;
        ensure!(self.events < MOST_EVENTS, "it goes on for ever");
        self.machines.iter().for_each(|machine| machine.set_clock(time));
        self.take_place(event)?;
        self.look()?;
        Ok(true)
    }

    /// When the next event happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((time, _), _)| *time)
    }

    fn take_place(&mut self, event: Event) -> Checked {
        match event {
            Event::Act(number) => {
                self.step = number + 1;
                if !self.plan.skip.contains(&number) {
                    self.perhaps_copy(number)?;
                    self.perhaps_say(number)?;
                    self.perhaps_change_key(number)?;
                    self.perhaps_tape(number)?;
                    self.act(number)?;
                }
                let pause = self.plan.chance_of(number).between(0, self.plan.pause_ms);
                if self.step < self.plan.steps {
                    self.schedule(pause, Event::Act(number + 1));
                }
                Ok(())
            }
            Event::Deliver(link, end) => self.deliver(link, end),
            Event::Work(link, end) => self.work(link, end),
            Event::Hear(link, end) => self.hear(link, end),
            Event::Tick(link, end) => self.tick(link, end),
            Event::Lose(link, end) => {
                self.lose(link, end);
                Ok(())
            }
            Event::Dial(a, b) => self.dial(a, b),
            Event::Idle(from, to) => {
                self.idle(from, to);
                Ok(())
            }
            Event::Restart(at, down) => self.restart(at, down),
            Event::Mend(at) => {
                self.say(&format!("{at} mends"));
                self.machines[at].disk.fail_no_more();
                Ok(())
            }
        }
    }

    /// Checks all stores that were touched; restarts those that have failed.
    pub(crate) fn look(&mut self) -> Checked {
        for at in std::mem::take(&mut self.touched) {
            let Some(store) = self.machines[at].up() else { continue };
            let disk = self.machines[at].disk.clone();
            let checked = disk.spared(|| self.ledger.check(at, &store, &disk));
            let checked = checked.and_then(|()| self.perhaps_follow(at));
            let unreadable = self.excuse(at, checked)?;
            if (unreadable || !self.machines[at].is_sound()) && !self.machines[at].restarting {
                self.machines[at].restarting = true;
                let (delay, down) = (self.chance.between(0, 4_000), Down::draw(&mut self.chance));
                self.say(&format!("{at} has failed, to be restarted: {down:?}"));
                self.schedule(delay, Event::Restart(at, down));
            }
            self.check_terms(at, &store);
            self.spread_word(at);
        }
        Ok(())
    }

    /// After a fault of its disk a store may be unreadable until it is opened again; all of it
    /// is compared then. Whether it is.
    pub(crate) fn excuse(&self, at: usize, checked: Checked) -> Checked<bool> {
        match checked {
            Err(what) if what.starts_with(UNREADABLE) && self.machines[at].has_excuse() => Ok(true),
            checked => checked.map(|()| false).map_err(|what| format!("store {at}: {what}")),
        }
    }

    fn perhaps_follow(&mut self, at: usize) -> Checked {
        let most = *self.following.pick(&[1, 3, 20, usize::MAX]);
        match self.following.percent(self.plan.follow_percent) {
            true => self.follow(at, most),
            false => Ok(()),
        }
    }

    /// An app looks what has changed since it last did, and hears at most so many changes.
    pub(crate) fn follow(&mut self, at: usize, most: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let disk = self.machines[at].disk.clone();
        let Some(follower) = &mut self.machines[at].follower else { return Ok(()) };
        let network = self.ledger.network();
        let heard = disk.spared(|| follower.follow(&store, &disk, network, most))?;
        self.changes_followed += 1;
        self.say(&format!("a follower of {at} heard {heard}"));
        Ok(())
    }

    pub(crate) fn touch(&mut self, at: usize) {
        self.touched.insert(at);
    }

    /// The store said that all it holds is durable.
    pub(crate) fn acknowledge(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let disk = self.machines[at].disk.clone();
        let checked = disk.spared(|| self.ledger.check(at, &store, &disk));
        if self.excuse(at, checked)? {
            self.touch(at);
        }
        self.ledger.acknowledged(at, &store).map_err(|what| format!("store {at}: {what}"))
    }

    // ---- machines

    pub(crate) fn add_machine(&mut self) -> Checked {
        let at = self.machines.len();
        self.say(&format!("{at} joins"));
        self.machines.push(Machine::new(at, &self.plan));
        self.ledger.open_account();
        self.boot(at)?;
        self.enroll(at)?;
        if let Some(store) = self.machines[at].up().filter(|_| self.plan.trusting) {
            let peer = self.machines[at.saturating_sub(1)].id();
            store.trust(peer).map_err(|err| format!("store {at} could not trust: {err}"))?;
        }
        self.meet_others(at);
        Ok(())
    }

    /// A new machine keeps up links with some others.
    pub(crate) fn meet_others(&mut self, at: usize) {
        for other in (0..at).filter(|other| !self.machines[*other].gone).collect::<Vec<_>>() {
            if self.chance.percent(self.plan.link_percent) {
                self.want(other, at);
            }
        }
    }

    /// Whether two machines can have a link: nobody has one with whoever has its key.
    pub(crate) fn can_meet(&self, a: usize, b: usize) -> bool {
        self.machines[a].id() != self.machines[b].id()
    }

    /// Goes down if it is up, and comes up.
    fn restart(&mut self, at: usize, down: Down) -> Checked {
        if self.machines[at].gone {
            return Ok(());
        }
        self.go_down(at, down)?;
        if !self.peace && !self.plan.calm && self.chance.percent(10) {
            // Power may go while it recovers.
            let calls = self.chance.between(0, 12);
            self.machines[at].disk.dead_after(calls);
        }
        self.boot(at)
    }

    pub(crate) fn go_down(&mut self, at: usize, down: Down) -> Checked {
        let struck = self.machines[at].disk.struck();
        let sound = self.machines[at].is_sound();
        if sound && down == Down::Closed && self.machines[at].store.is_some() {
            // Closing makes everything durable, if it says so.
            let store = self.machines[at].up().ok_or("it is up")?;
            let held = [store.clone()];
            match self.machines[at].stop(down) {
                Ok(()) => self.ledger.acknowledged(at, &held[0])?,
                Err(err) => ensure!(
                    self.machines[at].disk.struck() > struck,
                    "closing failed on a sound disk: {err}"
                ),
            }
        } else {
            // What closing a failed store says is of no use.
            drop(self.machines[at].stop(down));
        }
        self.machines[at].disk.fail_no_more();
        self.say(&format!("{at} is down: {down:?}"));
        let ends: Vec<(u64, usize)> = self.ends_of(at).collect();
        for (link, end) in ends {
            self.lose(link, end);
        }
        Ok(())
    }

    pub(crate) fn boot(&mut self, at: usize) -> Checked {
        self.machines[at].set_clock(self.now_ms);
        let before = self.machines[at].disk.struck();
        let opened = self.machines[at].start();
        let struck = self.machines[at].disk.struck() > before;
        if let Err(err) = opened {
            ensure!(struck, "store {at} does not open: {err}");
            self.starts += 1;
            let seed = self.chance.next();
            self.say(&format!("{at} lost power while it opened: {err}"));
            self.machines[at].disk = self.machines[at].disk.power_cut(seed);
            self.machines[at].restarting = true;
            let delay = self.chance.between(0, 2_000);
            self.schedule(delay, Event::Restart(at, Down::CutAllLost));
            return Ok(());
        }
        self.starts += 1;
        self.machines[at].restarting = false;
        let store = self.machines[at].up().ok_or("it was opened")?;
        let disk = self.machines[at].disk.clone();
        let reopened = disk.spared(|| self.ledger.reopened(at, &store, &disk));
        reopened.map_err(|what| format!("store {at}: {what}"))?;
        self.check_statements(at, &store)?;
        self.machines[at].terms = store.terms();
        self.check_marks(at, &store)?;
        let left = std::mem::take(&mut self.machines[at].leaving);
        let follower = self.machines[at].follower.get_or_insert_with(|| Follower::new(&store));
        if left {
            follower.drop_all();
        }
        self.say(&format!("{at} is up"));
        Ok(())
    }

    /// Tells the sessions of a machine of commits that they have not heard of.
    fn spread_word(&mut self, at: usize) {
        let commits = self.machines[at].commits();
        for (link, end) in self.ends_of(at).collect::<Vec<_>>() {
            let Some(there) = self.end(link, end) else { continue };
            if there.heard < commits && !there.hearing_due && !there.parting {
                there.hearing_due = true;
                let delay = self.chance.between(0, 5);
                self.schedule(delay, Event::Hear(link, end));
            }
        }
    }

    // ---- links

    pub(crate) fn want(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if self.can_meet(a, b) && self.wanted.insert(pair) {
            self.schedule(0, Event::Dial(pair.0, pair.1));
        }
    }

    pub(crate) fn link_numbers(&self) -> Vec<u64> {
        self.links.keys().copied().collect()
    }

    pub(crate) fn ends_of(&self, at: usize) -> impl Iterator<Item = (u64, usize)> + use<> {
        let mut found = Vec::new();
        for (number, link) in &self.links {
            for end in 0..2 {
                if link.machines[end] == at && link.ends[end].is_some() {
                    found.push((*number, end));
                }
            }
        }
        found.into_iter()
    }

    pub(crate) fn end(&mut self, link: u64, end: usize) -> Option<&mut End> {
        self.links.get_mut(&link)?.ends[end].as_mut()
    }

    /// The ends of links between these two, if any.
    pub(crate) fn linked(&self, a: usize, b: usize) -> bool {
        let between = |link: &&Link| link.machines == [a, b] || link.machines == [b, a];
        self.links.values().filter(between).any(|link| link.ends.iter().all(Option::is_some))
    }

    fn dial(&mut self, a: usize, b: usize) -> Checked {
        if self.machines[a].gone || self.machines[b].gone {
            self.wanted.remove(&(a, b));
            return Ok(());
        }
        let blocked = self.blocked.contains(&(a, b)) || self.blocked.contains(&(b, a));
        if blocked || !self.may_meet(a, b) {
            let delay = self.chance.between(200, 3_000);
            self.schedule(delay, Event::Dial(a, b));
            return Ok(());
        }
        match self.linked(a, b) {
            true => Ok(()),
            false => self.connect(a, b),
        }
    }

    /// A link comes up, perhaps beside others.
    pub(crate) fn connect(&mut self, a: usize, b: usize) -> Checked {
        let number = self.next_link;
        self.next_link += 1;
        self.say(&format!("link {number} of {a} and {b}"));
        let shown = [self.shown(a, b), self.shown(b, a)];
        let end = |at: usize, us: NodeId, peer: NodeId| {
            let at = &self.machines[at];
            let network = NetworkId::named("default").0;
            let wanted = at.up().and_then(|store| store.wanted(&peer));
            let config = Config { network, us, peer, wanted: wanted.clone() };
            let session = Session::new(config, self.now_ms);
            let session = session.outline_above(self.plan.outline_above);
            let unheard = at.up().is_some_and(|store| store.rights(&peer).is_none());
            Some(End::new(session, at.commits(), wanted, unheard))
        };
        let ends = [end(a, shown[0], shown[1]), end(b, shown[1], shown[0])];
        let link = Link { ends, machines: [a, b], shown };
        self.links.insert(number, link);
        self.drain(number, 0)?;
        self.drain(number, 1)
    }

    /// A link is cut: each end notices in its own time.
    pub(crate) fn cut(&mut self, link: u64) {
        for end in 0..2 {
            let delay = *self.chance.pick(&[0, 10, 1_000, IDLE_TIMEOUT_MS]);
            // Until it notices, it goes on talking, to nobody.
            self.schedule(delay, Event::Lose(link, end));
        }
        self.say(&format!("link {link} is cut"));
        if let Some(link) = self.links.get_mut(&link) {
            link.ends.iter_mut().flatten().for_each(End::cut);
        }
    }

    /// An end is over, without a word to the other side.
    pub(crate) fn lose(&mut self, number: u64, end: usize) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(lost) = link.ends[end].take() else { return };
        let [a, b] = link.machines;
        let (at, peer) = (link.machines[end], link.shown[1 - end]);
        let other = link.ends[1 - end].is_some();
        self.say(&format!("link {number} is over at {at}"));
        // What was being done goes on without the link.
        for work in lost.works {
            if self.chance.percent(50)
                && let Some(store) = self.machines[at].up()
            {
                let name = &work.collection;
                let done = match work.task {
                    Task::Apply(txns) => store.apply_remote(name, txns).map(|_| "applied"),
                    Task::Step(step) => store.step(name, &peer, step).map(|_| "did"),
                    Task::Hear(statements) => store.hear(statements).map(|()| "heard"),
                };
                let what = done.map_or_else(|err| err.to_string(), str::to_owned);
                self.say(&format!("{at} had this left of link {number} for {name}: {what}"));
                self.touch(at);
            }
        }
        if other {
            let delay = *self.chance.pick(&[0, 10, 1_000, IDLE_TIMEOUT_MS]);
            self.schedule(delay, Event::Lose(number, 1 - end));
        } else {
            self.links.remove(&number);
            let pair = (a.min(b), a.max(b));
            if self.wanted.contains(&pair) {
                let delay = self.chance.between(100, 3_000);
                self.schedule(delay, Event::Dial(pair.0, pair.1));
            }
        }
    }

    /// Nothing gets from one to the other any more, or again.
    pub(crate) fn block(&mut self, from: usize, to: usize, blocked: bool) {
        self.say(&format!("{from} to {to}: {}", if blocked { "blocked" } else { "open" }));
        match blocked {
            true if self.blocked.insert((from, to)) => {
                self.schedule(IDLE_TIMEOUT_MS, Event::Idle(from, to));
            }
            false => drop(self.blocked.remove(&(from, to))),
            true => {}
        }
    }

    pub(crate) fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    fn idle(&mut self, from: usize, to: usize) {
        if !self.blocked.contains(&(from, to)) {
            return;
        }
        let ends: Vec<(u64, usize)> = self.ends_of(to).collect();
        for (link, end) in ends {
            let other = self.links.get(&link).map(|link| link.machines[1 - end]);
            if other == Some(from) {
                self.lose(link, end);
            }
        }
    }

    /// What keeps the world from being quiet, for a report.
    pub(crate) fn unsettled(&self) -> String {
        let unlinked: Vec<_> = self.wanted.iter().filter(|(a, b)| !self.linked(*a, *b)).collect();
        let mut said = format!("pairs without a link: {unlinked:?}");
        for (number, link) in &self.links {
            for (machine, end) in link.machines.iter().zip(&link.ends) {
                let Some(end) = end else { continue };
                for (name, p) in end.session.progress() {
                    let still = p.caught_up && p.peer_caught_up && end.session.is_idle();
                    let over = end.halted.contains(&name) || self.waits_for_ever(link, end);
                    if !still && !over {
                        said += &format!("; link {number} at {machine}: {name} {p:?}");
                    }
                }
            }
        }
        said
    }

    /// Whether nothing more happens on a link by itself: where there is a roster, one may have what
    /// it can't give to the other. Two of whom the founder never heard may be behind each other, and
    /// ask again from time to time whether one may give the other a snapshot by now.
    fn waits_for_ever(&self, link: &Link, end: &End) -> bool {
        let founder = self.machines[FOUNDER].up();
        let is_stranger = |at: &usize| {
            founder.as_ref().is_some_and(|founder| !founder.is_trusted(&self.machines[*at].id()))
        };
        self.plan.rights
            && end.session.is_idle()
            && (end.session.deadline_ms().is_none() || link.machines.iter().all(is_stranger))
    }

    /// Whether every pair that wants a link has one on which all is said and applied.
    pub(crate) fn is_quiet(&self) -> bool {
        let still = |(link, end): (&Link, &Option<End>)| {
            end.as_ref().is_some_and(|end| {
                !end.has_mail()
                    && !end.hearing_due
                    && end.works.is_empty()
                    && end.session.is_idle()
                    && end.session.progress().iter().all(|(name, p)| {
                        let still = p.caught_up && p.peer_caught_up;
                        still || end.halted.contains(name) || self.waits_for_ever(link, end)
                    })
            })
        };
        self.links.values().flat_map(|link| link.ends.iter().map(move |end| (link, end))).all(still)
            && self.wanted.iter().all(|(a, b)| self.linked(*a, *b) || !self.may_meet(*a, *b))
    }

    /// What a store holds of a collection.
    pub(crate) fn vector(&self, at: usize, name: &str) -> Vector {
        self.machines[at].up().map(|store| store.held(name).0).unwrap_or_default()
    }
}

//! Rights: a roster, what is said in it under way, and what must come of it (schedule S12).
//!
//! The first machine founds a roster, and is never lost; whoever comes joins it. From time to time
//! somebody who believes to be an admin grants something to a member, or revokes it, perhaps for a
//! new node. All that is said is kept here, so that some of what must hold can be told without the
//! roster's algebra: whoever never could read a collection never hears its name, who is spoken of
//! by the founder alone may do what it said last, and who was never brought down may write on.
//!
//! What a member writes that may not write (any more, as others have heard) is lost, unless
//! somebody who may write holds it. In the end
//! 1. all members know the same statements;
//! 2. all who may write hold and show the same, and nothing that is not valid;
//! 3. who may only read holds the same beside what it knows that others don't take, and exactly
//!    the same when it has left that collection and taken it anew;
//! 4. no link has given a collection up.
//!
//! One thing needs an admin: what a writer that is gone gave to readers alone, and what their logs
//! have no more, they can't give to anybody. Somebody lets one of them write.

use std::collections::{BTreeMap, BTreeSet};

use littoral::id::{Hash, Head, Origin, Seq};
use littoral::replica::{Replica, hear_outcome};
use littoral::sync::door::HearOutcome;
use littoral::sync::message::Control;
use littoral::txn::roster::{Right, Rights, RosterScope, Says, Statement};
use littoral::{Error, ErrorKind, NodeId, Store};

use crate::acts::MOST_REPLICAS;
use crate::chance::Chance;
use crate::ledger::COLLECTIONS;
use crate::world::World;
use crate::{Checked, ensure};

/// The machine that founds the roster.
pub(crate) const FOUNDER: usize = 0;

/// What was said in the roster.
#[derive(Default)]
pub(crate) struct Said {
    all: Vec<Saying>,
    /// The grants that a store has durably taken.
    owed: BTreeMap<usize, BTreeSet<Hash>>,
    pub(crate) set_aside: u64,
    pub(crate) let_write: u64,
    pub(crate) refused: u64,
    /// How often a key was changed.
    pub(crate) keys: u64,
}

struct Saying {
    by: NodeId,
    /// The machine, whichever key it has.
    of: usize,
    rights: Rights,
    /// Whether it was said; a disk that fails leaves that open.
    sure: bool,
}

impl Said {
    pub(crate) fn count(&self) -> u64 {
        self.all.len() as u64
    }

    fn of(&self, at: usize) -> impl Iterator<Item = &Saying> {
        self.all.iter().filter(move |saying| saying.of == at)
    }

    /// An admin that changes its key may say of the new one what it believes to have.
    pub(crate) fn of_itself(&mut self, at: usize, by: NodeId, rights: Rights) {
        self.all.push(Saying { by, of: at, rights, sure: false });
    }
}

impl World {
    fn founder(&self) -> NodeId {
        self.machines[FOUNDER].id()
    }

    /// A new machine founds the roster, or joins it. Those that are there from the start have
    /// mostly heard by then what they may do.
    pub(crate) fn enroll(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up().filter(|_| self.plan.rights) else {
            return Ok(());
        };
        let failed = |err: Error| format!("store {at} could not enroll: {err}");
        if at == FOUNDER {
            return store.found_roster("founder").map_err(failed);
        }
        store.join_roster(self.founder()).map_err(failed)?;
        if self.step > 0 {
            return Ok(());
        }
        let mut chance = Chance::new(self.plan.seed, 3_000_000 + at as u64);
        let rights = match chance.percent(80) {
            true => draw(&mut chance, &[Right::Write, Right::Write, Right::Read, Right::Admin]),
            false => draw(&mut chance, &ANY),
        };
        self.say_of(FOUNDER, at, rights)?;
        if let Some(founder) = self.machines[FOUNDER].up().filter(|_| chance.percent(70)) {
            store.add_statements(founder.statements_beyond(&[])).map_err(failed)?;
            self.note_statements(at, &store)?;
        }
        Ok(())
    }

    /// In a schedule with a roster, from time to time an admin changes what somebody may do.
    pub(crate) fn perhaps_say(&mut self, number: usize) -> Checked {
        let mut chance = self.plan.rights_of(number);
        if !self.plan.rights || !chance.percent(self.plan.rights_percent) {
            return Ok(());
        }
        let by = match chance.percent(40) {
            true => FOUNDER,
            false => chance.below(self.machines.len()),
        };
        let of = chance.below(self.machines.len());
        match chance.below(8) {
            0 | 1 => self.say_of(by, of, Rights::default()),
            // Its owner goes on with a new node.
            2 if self.machines.len() < MOST_REPLICAS => {
                self.say_of(by, of, Rights::default())?;
                let new = self.machines.len();
                self.add_machine()?;
                self.say_of(by, new, draw(&mut chance, &[Right::Write, Right::Admin]))
            }
            _ => self.say_of(by, of, draw(&mut chance, &ANY)),
        }
    }

    fn say_of(&mut self, by: usize, of: usize, rights: Rights) -> Checked {
        let Some(store) = self.machines[by].up() else { return Ok(()) };
        let (sound, member) = (self.machines[by].is_sound(), self.machines[of].id());
        let said = store.grant(member, Some(&*format!("node {of}")), rights.clone());
        let what = said.as_ref().err().map(Error::kind);
        self.say(&format!("{by} grants {of} {:?}: {what:?}", rights.words().collect::<Vec<_>>()));
        self.touch(by);
        let sure = match &said {
            Ok(()) => true,
            Err(err) if err.kind() == ErrorKind::Forbidden => return Ok(()),
            Err(err) => {
                ensure!(!sound || self.may_fail(by), "store {by} could not grant: {err}");
                false
            }
        };
        self.said.all.push(Saying { by: store.node_id(), of, rights, sure });
        match sure {
            true => self.note_statements(by, &store),
            false => Ok(()),
        }
    }

    /// What peers said of the roster is kept.
    pub(crate) fn hear_statements(
        &mut self,
        at: usize,
        number: u64,
        statements: Vec<Vec<u8>>,
        store: &Store,
    ) -> Checked<HearOutcome> {
        let (count, sound) = (statements.len(), self.machines[at].is_sound());
        let outcome = hear_outcome(store.hear(statements));
        self.say(&format!("{at} hears {count} statements from link {number}: {outcome:?}"));
        self.touch(at);
        match &outcome {
            HearOutcome::Kept => self.note_statements(at, store)?,
            HearOutcome::StoreFailed(why) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not keep statements: {why}");
            }
            HearOutcome::Refused(why) => {
                return Err(format!("store {at} refused statements of an honest node: {why}"));
            }
        }
        Ok(outcome)
    }

    /// The grants and successions that a store knows are durable: it knows them for ever. Vouches
    /// may make room for others.
    pub(crate) fn note_statements(&mut self, at: usize, store: &Store) -> Checked {
        let grants = self.grants_of(store)?;
        self.said.owed.entry(at).or_default().extend(grants);
        Ok(())
    }

    fn grants_of(&self, store: &Store) -> Checked<BTreeSet<Hash>> {
        let scope = RosterScope { network: self.ledger.network(), founder: self.founder() };
        let mut grants = BTreeSet::new();
        for bytes in store.statements_beyond(&[]) {
            let one = Statement::trusted(bytes, scope).map_err(|err| err.to_string())?;
            if matches!(one.says, Says::Grant(_) | Says::Succession(_)) {
                grants.insert(one.hash);
            }
        }
        Ok(grants)
    }

    /// A store that was opened again has lost nothing that it had been told.
    pub(crate) fn check_statements(&self, at: usize, store: &Store) -> Checked {
        let Some(owed) = self.said.owed.get(&at) else { return Ok(()) };
        let lost = owed.difference(&self.grants_of(store)?).count();
        ensure!(lost == 0, "store {at} has lost {lost} grants that it had kept");
        Ok(())
    }

    /// Whether two machines that are up would link: each believes the other to be a member, or
    /// was told of it by hand and has heard nothing of the roster yet.
    pub(crate) fn may_meet(&self, a: usize, b: usize) -> bool {
        let accepts = |store: &Store, peer: NodeId| {
            !self.plan.rights || store.rights(&peer).is_none() || store.is_trusted(&peer)
        };
        let (Some(one), Some(other)) = (self.machines[a].up(), self.machines[b].up()) else {
            return false;
        };
        accepts(&one, self.shown(b, a)) && accepts(&other, self.shown(a, b))
    }

    /// Whether a write failed because the store's node may not write, as far as it has heard.
    pub(crate) fn is_without_right(&self, store: &Store, err: &Error) -> bool {
        let lacks = |name: &&str| store.right(&store.node_id(), name) < Right::Write;
        let lacking = self.plan.rights && COLLECTIONS.iter().any(lacks);
        lacking && err.kind() == ErrorKind::Forbidden
    }

    // ---- what goes over a link

    /// What a message names, the peer may read.
    pub(crate) fn check_names(&self, number: u64, e: usize, message: &Control) -> Checked {
        if !self.plan.rights {
            return Ok(());
        }
        let mut names: Vec<&str> = Vec::new();
        match message {
            Control::Hello(hello) => {
                names.extend(hello.collections.keys().map(String::as_str));
                names.extend(hello.wanted.iter().flatten().map(String::as_str));
            }
            Control::Have { collection, .. }
            | Control::Ack { collection, .. }
            | Control::Ask { collection, .. }
            | Control::Outline { collection, .. }
            | Control::Pick { collection, .. }
            | Control::Picked { collection, .. }
            | Control::Differs { collection, .. }
            | Control::Shared { collection, .. }
            | Control::Branches { collection, .. }
            | Control::Halt { collection, .. } => names.push(collection),
            // Who belongs to a roster knows all that is said in it.
            Control::Roster { .. }
            | Control::Known { .. }
            | Control::Statements { .. }
            | Control::Bye { .. } => {}
        }
        names.into_iter().try_for_each(|name| self.check_may_hear(number, e, name))
    }

    /// The peer at the other end may read a collection: as far as the sender has heard and told
    /// its session; and somebody said so once.
    pub(crate) fn check_may_hear(&self, number: u64, e: usize, name: &str) -> Checked {
        let Some(link) = self.links.get(&number).filter(|_| self.plan.rights) else {
            return Ok(());
        };
        let (at, peer) = (link.machines[e], link.machines[1 - e]);
        let (Some(end), Some(store)) = (&link.ends[e], self.machines[at].up()) else {
            return Ok(());
        };
        let Some(rights) = store.rights(&link.shown[1 - e]) else { return Ok(()) };
        if name.is_empty() {
            return Ok(());
        }
        let news = end.heard < self.machines[at].commits();
        if news && end.unheard {
            return Ok(());
        }
        ensure!(
            self.ever_had(peer, name, Right::Read)
                && (news || rights.of(Some(name)) >= Right::Read),
            "{at} tells {peer} of {name}, which it may not read"
        );
        Ok(())
    }

    /// Whether anybody has ever said that a machine may do so much.
    fn ever_had(&self, at: usize, name: &str, right: Right) -> bool {
        let had = |saying: &Saying| saying.rights.of(Some(name)) >= right;
        at == FOUNDER || self.said.of(at).any(had)
    }

    // ---- the end

    /// All hold and show what they ought to, by their rights.
    pub(crate) fn compare_by_rights(&mut self) -> Checked {
        for at in self.present() {
            self.follow(at, usize::MAX)?;
            let store = self.machines[at].up().ok_or_else(|| format!("{at} is down"))?;
            self.ledger.check_whole(at, &store).map_err(|what| format!("store {at}: {what}"))?;
        }
        self.check_rights()?;
        for _ in 0..self.machines.len() {
            let Some((at, name)) = self.sole_holder()? else { break };
            self.let_write(at, name)?;
        }
        let aside = self.compare_members()?;
        if aside.is_empty() {
            return Ok(());
        }
        for link in self.link_numbers() {
            self.lose(link, 0);
            self.lose(link, 1);
        }
        for (at, name) in &aside {
            self.take_anew(*at, name)?;
        }
        self.said.set_aside += aside.len() as u64;
        self.look()?;
        self.settle()?;
        let aside = self.compare_members()?;
        ensure!(aside.is_empty(), "{aside:?} hold more than others after taking it anew");
        Ok(())
    }

    /// Who may only read and holds what is valid and the founder does not: it can't be in its log.
    fn sole_holder(&self) -> Checked<Option<(usize, &'static str)>> {
        let founder = self.machines[FOUNDER].up().ok_or("the founder is down")?;
        for (at, name) in self.present().into_iter().flat_map(|at| COLLECTIONS.map(|n| (at, n))) {
            let Some(store) = self.machines[at].up() else { continue };
            if founder.right(&store.node_id(), name) != Right::Read {
                continue;
            }
            let held = self.vector(FOUNDER, name);
            let floor = store.floor_for_peers(name).map_err(|err| err.to_string())?;
            let sole = |(origin, head): (&Origin, &Head)| head.seq > held.seq(origin);
            if floor.iter().any(sole) {
                return Ok(Some((at, name)));
            }
        }
        Ok(None)
    }

    fn let_write(&mut self, at: usize, name: &str) -> Checked {
        // Not kept: the store may be opened again meanwhile.
        let founder = self.machines[FOUNDER].up().ok_or("the founder is down")?;
        let rights = founder.rights(&self.machines[at].id()).unwrap_or_default();
        drop(founder);
        self.say_of(FOUNDER, at, rights.or_higher(&Rights::only(Right::Write, [name])))?;
        self.said.let_write += 1;
        self.look()?;
        self.settle()
    }

    /// What members may do is what was said, where that is plain.
    fn check_rights(&self) -> Checked {
        let founder = self.machines[FOUNDER].up().ok_or("the founder is down")?;
        let by_founder = |saying: &Saying| saying.sure && saying.by == self.founder();
        for at in self.present().into_iter().skip(1) {
            for name in COLLECTIONS {
                let now = founder.right(&self.machines[at].id(), name);
                ensure!(
                    now == Right::None || self.ever_had(at, name, now),
                    "{at} may {now:?} {name}, which nobody said"
                );
                let last = self.said.of(at).last().map(|saying| saying.rights.of(Some(name)));
                let plain = self.said.of(at).all(by_founder);
                let last = last.unwrap_or_default();
                // What was said of a key that was given up meanwhile makes the next one no admin.
                let changed = self.machines[at].former_ids().next().is_some();
                ensure!(
                    !plain || now == last || changed && now == last.min(Right::Write),
                    "{at} may {now:?} {name}; the founder alone spoke of it, and said {last:?}"
                );
                let low = |saying: &Saying| saying.rights.of(Some(name)) < Right::Write;
                ensure!(
                    self.said.of(at).any(low)
                        || !self.said.of(at).any(by_founder)
                        || now >= Right::Write,
                    "{at} may {now:?} {name}; nobody ever brought it down"
                );
            }
        }
        Ok(())
    }

    /// Compares all members. Gives who may only read a collection and holds more than others take.
    fn compare_members(&mut self) -> Checked<Vec<(usize, &'static str)>> {
        let founder = self.machines[FOUNDER].up().ok_or("the founder is down")?;
        let halted = self.halted();
        ensure!(halted.is_empty(), "a link has given {halted:?} up");
        let mut members = self.present();
        members.retain(|at| founder.is_trusted(&self.machines[*at].id()));
        for at in &members {
            let digest = self.machines[*at].up().map(|store| store.roster_digest());
            ensure!(
                digest == Some(founder.roster_digest()),
                "{at} knows other statements than the founder"
            );
        }
        let (mut aside, mut refused) = (Vec::new(), 0);
        self.check_former_keys(&members)?;
        for name in COLLECTIONS {
            let digests = founder.digests(name).map_err(|err| err.to_string())?;
            let held = self.vector(FOUNDER, name);
            let of = |at: usize| founder.right(&self.machines[at].id(), name);
            for at in members.iter().copied().filter(|at| of(*at) >= Right::Read) {
                let Some(store) = self.machines[at].up() else { continue };
                let beyond: BTreeMap<Origin, Seq> = store
                    .not_valid()
                    .into_iter()
                    .filter(|(of, ..)| of == name)
                    .map(|(_, origin, valid, _)| (origin, valid))
                    .collect();
                ensure!(
                    beyond.is_empty() || of(at) == Right::Read,
                    "{name}: {at} may write and has not vouched for {beyond:?}"
                );
                let ours = self.vector(at, name);
                let valid = ours.iter().map(|(origin, head)| {
                    (*origin, beyond.get(origin).copied().unwrap_or(head.seq))
                });
                let valid: BTreeMap<Origin, Seq> = valid.filter(|(_, seq)| *seq > 0).collect();
                let all = held.iter().map(|(origin, head)| (*origin, head.seq)).collect();
                ensure!(valid == all, "{name}: {at} holds {valid:?}, the founder {all:?}");
                if beyond.is_empty() {
                    let other = store.digests(name).map_err(|err| err.to_string())?;
                    ensure!(
                        other == digests,
                        "{name}: {at} has {other:?}, the founder {digests:?}"
                    );
                } else {
                    aside.push((at, name));
                }
            }
            let book = &self.ledger.books[name];
            let taken = book.above(&book.held(&held)?, &Default::default()).len();
            refused += (book.len() - taken) as u64;
        }
        self.said.refused = refused;
        Ok(aside)
    }
}

const ANY: [Right; 6] =
    [Right::None, Right::Read, Right::Write, Right::Write, Right::Write, Right::Admin];

/// Rights of these: everywhere, or in each collection others.
fn draw(chance: &mut Chance, of: &[Right]) -> Rights {
    let elsewhere = *chance.pick(of);
    let named = match chance.below(4) {
        0 => Rights::only(*chance.pick(of), [*chance.pick(&COLLECTIONS)]),
        1 => Rights {
            named: COLLECTIONS.map(|name| (name.to_owned(), *chance.pick(of))).into(),
            ..Rights::default()
        },
        _ => Rights::default(),
    };
    Rights { elsewhere, ..named }
}

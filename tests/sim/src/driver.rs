//! The driver: what `net::driver` does over QUIC, over simulated links.
//!
//! It hands sessions what arrives, carries out what they want, lets stores do what sessions
//! ask for outside of them, and tells them of commits. And it is the witness: whatever a
//! store lets go, the ledger hears of.

use littoral::id::{Head, Origin, Vector};
use littoral::limits::{
    GOODBYE_TIMEOUT_MS, SYNC_LINK_WINDOW_BYTES, SYNC_UNAPPLIED_BYTES, SYNC_WINDOW_BYTES,
};
use littoral::replica::{self, Replica};
use littoral::sync::ask::Answer;
use littoral::sync::door::{
    Event as News, Input, Offence, Outcome, Output, SnapshotStep, StepOutcome, StreamId,
};
use littoral::sync::message::{CloseCode, Control, Tail};
use littoral::sync::packing::unpack;
use littoral::txn::snapshot::{Newest, ViewHead};
use littoral::txn::{NetworkId, Scope};
use littoral::{Error, ErrorKind, NodeId, Store};

use crate::link::{Task, Work};
use crate::world::{Event, World};
use crate::{Checked, ensure};

impl World {
    pub(crate) fn deliver(&mut self, number: u64, from: usize) -> Checked {
        let most = self.plan.chunk_bytes;
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let direction = (link.machines[from], link.machines[1 - from]);
        let Some(end) = link.ends[from].as_mut() else { return Ok(()) };
        end.delivery_due = false;
        if self.blocked.contains(&direction) {
            end.delivery_due = true;
            self.schedule(400, Event::Deliver(number, from));
            return Ok(());
        }
        let arrival = end.take(&mut self.chance, most);
        let parted = end.parting && !end.has_mail();
        self.ask_delivery(number, from);
        if let Some(arrival) = arrival {
            let Some(there) = self.end(number, 1 - from) else { return Ok(()) };
            if !there.parting && !there.deaf.contains(&arrival.stream()) {
                self.handle(number, 1 - from, arrival.input())?;
            }
        }
        if parted {
            self.lose(number, from);
        }
        Ok(())
    }

    pub(crate) fn ask_delivery(&mut self, number: u64, from: usize) {
        let delay = self.chance.between(0, self.plan.delay_ms);
        let Some(end) = self.end(number, from) else { return };
        if end.has_mail() && !end.delivery_due {
            end.delivery_due = true;
            self.schedule(delay, Event::Deliver(number, from));
        }
    }

    pub(crate) fn work(&mut self, number: u64, e: usize) -> Checked {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let (at, peer) = (link.machines[e], link.shown[1 - e]);
        let Some(end) = link.ends[e].as_mut() else { return Ok(()) };
        let Some(work) = end.take_work(&mut self.chance) else { return Ok(()) };
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let Work { ticket, collection, task } = work;
        match task {
            Task::Apply(txns) => {
                let outcome = self.apply(at, number, &collection, txns, &store)?;
                self.handle(number, e, Input::Applied { ticket, outcome })
            }
            Task::Step(step) => {
                let outcome = self.take_step(at, number, &collection, &peer, step, &store)?;
                self.handle(number, e, Input::Stepped { ticket, outcome })
            }
            Task::Hear(statements) => {
                let outcome = self.hear_statements(at, number, statements, &store)?;
                self.handle(number, e, Input::Heard { outcome })
            }
        }
    }

    fn apply(
        &mut self,
        at: usize,
        number: u64,
        collection: &str,
        txns: Vec<Vec<u8>>,
        store: &Store,
    ) -> Checked<Outcome> {
        let (count, sound) = (txns.len(), self.machines[at].is_sound());
        let applied = store.apply_remote(collection, txns).map(drop);
        let what = applied.as_ref().err().map_or_else(|| "done".to_owned(), Error::to_string);
        self.say(&format!("{at} applies {count} of {collection} from link {number}: {what}"));
        self.touch(at);
        match &applied {
            Ok(()) => self.acknowledge(at)?,
            Err(err) => ensure!(
                err.kind() == ErrorKind::MissingDependency
                    || (err.kind() == ErrorKind::Forked && self.ledger.has_copies())
                    || (err.kind() == ErrorKind::Forbidden && self.plan.rights)
                    || !sound
                    || self.may_fail(at),
                "store {at} could not apply: {err}"
            ),
        }
        Ok(replica::outcome(applied))
    }

    fn take_step(
        &mut self,
        at: usize,
        number: u64,
        collection: &str,
        peer: &NodeId,
        step: SnapshotStep,
        store: &Store,
    ) -> Checked<StepOutcome> {
        let sound = self.machines[at].is_sound();
        let what = match &step {
            SnapshotStep::Begin { .. } => "begins".to_owned(),
            SnapshotStep::Stage { documents, .. } => format!("stages {} of", documents.len()),
            SnapshotStep::Join { .. } => "joins".to_owned(),
            SnapshotStep::Discard => "discards".to_owned(),
            SnapshotStep::Learn { .. } => "names forked origins as in".to_owned(),
        };
        let view = match &step {
            SnapshotStep::Join { head } => Some(head.clone()),
            _ => None,
        };
        let outcome = replica::step_outcome(store.step(collection, peer, step));
        self.say(&format!(
            "{at} {what} a snapshot of {collection} from link {number}: {}",
            outcome_word(&outcome)
        ));
        self.touch(at);
        match &outcome {
            StepOutcome::Joined => {
                self.joins += 1;
                if let Some(view) = view {
                    self.check_join(at, collection, &newest(&view))?;
                }
                self.acknowledge(at)?;
            }
            // The link ends the collection then, if it may.
            StepOutcome::Refused(Offence::Forked, _) if self.ledger.has_copies() => {}
            StepOutcome::Refused(Offence::Forbidden, _) if self.plan.rights => {}
            StepOutcome::Refused(..) => {
                return Err(format!("store {at} refused a snapshot: {outcome:?}"));
            }
            StepOutcome::StoreFailed(why) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not take a step: {why}");
            }
            _ => {}
        }
        Ok(outcome)
    }

    /// Whether the store of this machine has an excuse for failing.
    pub(crate) fn may_fail(&self, at: usize) -> bool {
        self.machines[at].has_excuse()
    }

    pub(crate) fn hear(&mut self, number: u64, e: usize) -> Checked {
        let Some(link) = self.links.get(&number) else { return Ok(()) };
        let commits = self.machines[link.machines[e]].commits();
        let Some(end) = self.end(number, e) else { return Ok(()) };
        (end.hearing_due, end.heard) = (false, commits);
        self.handle(number, e, Input::Committed)
    }

    pub(crate) fn tick(&mut self, number: u64, e: usize) -> Checked {
        let now = self.now_ms;
        let Some(end) = self.end(number, e) else { return Ok(()) };
        if end.tick_at != Some(now) {
            return Ok(());
        }
        end.tick_at = None;
        self.handle(number, e, Input::Tick)
    }

    pub(crate) fn leave_link(&mut self, number: u64, e: usize) -> Checked {
        self.say(&format!("an end of link {number} leaves"));
        self.handle(number, e, Input::Leave)
    }

    pub(crate) fn handle(&mut self, number: u64, e: usize, input: Input<'_>) -> Checked {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let at = link.machines[e];
        let Some(end) = link.ends[e].as_mut().filter(|end| !end.parting) else { return Ok(()) };
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let commits = self.machines[at].commits();
        end.session.handle(input, self.now_ms, &store);
        self.drain(number, e)?;
        // A session writes nothing, but it may make what was written durable.
        let machine = &self.machines[at];
        if machine.commits() != commits || machine.has_excuse() {
            self.touch(at);
        }
        Ok(())
    }

    pub(crate) fn drain(&mut self, number: u64, e: usize) -> Checked {
        loop {
            let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
            let at = link.machines[e];
            let Some(end) = link.ends[e].as_mut().filter(|end| !end.parting) else { break };
            let Some(store) = self.machines[at].up() else { break };
            let Some(output) = end.session.poll(&store) else { break };
            self.carry_out(number, e, at, output)?;
        }
        self.ask_delivery(number, e);
        let now = self.now_ms;
        let Some(end) = self.end(number, e) else { return Ok(()) };
        let deadline = end.session.deadline_ms().map(|time| time.max(now + 1));
        if deadline != end.tick_at {
            end.tick_at = deadline;
            if let Some(time) = deadline {
                self.schedule(time - now, Event::Tick(number, e));
            }
        }
        self.check_memory(number, e)
    }

    fn check_memory(&mut self, number: u64, e: usize) -> Checked {
        if !self.events.is_multiple_of(16) {
            return Ok(());
        }
        let Some(end) = self.end(number, e) else { return Ok(()) };
        let progress = end.session.progress();
        let unacked: u64 = progress.values().map(|p| p.unacked_bytes).sum();
        ensure!(unacked <= SYNC_LINK_WINDOW_BYTES as u64, "{unacked} bytes unacknowledged");
        for (name, p) in progress {
            // One transaction larger than the window may go alone; none here is.
            ensure!(p.unacked_bytes <= SYNC_WINDOW_BYTES as u64, "{name}: the window: {p:?}");
            ensure!(p.unapplied_bytes <= SYNC_UNAPPLIED_BYTES as u64, "{name}: unapplied: {p:?}");
        }
        Ok(())
    }

    fn carry_out(&mut self, number: u64, e: usize, at: usize, output: Output) -> Checked {
        match output {
            Output::Send { stream, bytes } => {
                self.witness(at, (number, e), stream, &bytes)?;
                match self.end(number, e) {
                    Some(end) => end.send(stream, &bytes),
                    None => Ok(()),
                }
            }
            Output::Finish { stream } => {
                self.end(number, e).into_iter().for_each(|end| end.finish(stream));
                Ok(())
            }
            Output::Reset { stream } => {
                self.end(number, e).into_iter().for_each(|end| end.reset(stream));
                Ok(())
            }
            Output::StopReading { stream } => {
                let Some(end) = self.end(number, e) else { return Ok(()) };
                ensure!(end.deaf.insert(stream), "{stream:?} stopped twice");
                if let Some(other) = self.end(number, 1 - e) {
                    other.stopped(stream);
                    self.ask_delivery(number, 1 - e);
                }
                Ok(())
            }
            Output::Apply { ticket, collection, txns } => {
                self.set_to_work(number, e, Work { ticket, collection, task: Task::Apply(txns) })
            }
            Output::Hear { statements } => {
                ensure!(self.plan.rights, "store {at}: statements, and there is no roster");
                let (ticket, collection) = (0, String::new());
                let task = Task::Hear(statements);
                self.set_to_work(number, e, Work { ticket, collection, task })
            }
            Output::Snapshot { ticket, collection, step } => {
                self.set_to_work(number, e, Work { ticket, collection, task: Task::Step(step) })
            }
            Output::Event(news) => {
                self.say(&format!("link {number} at {at}: {news:?}"));
                match news {
                    News::Diverged { .. } => Err(format!("store {at}: {news:?}")),
                    News::Halted { collection, offence, why, by_peer } => {
                        self.check_halt(number, &collection, (offence, &why), by_peer)?;
                        self.end(number, e).map(|end| end.halted.insert(collection));
                        Ok(())
                    }
                    News::Ready => self.note_told(number, e),
                    _ => Ok(()),
                }
            }
            Output::Close { code, reason, by_peer } => {
                self.say(&format!("link {number} closed at {at}: {code:?}: {reason}"));
                let fine =
                    [CloseCode::Done, CloseCode::Gone, CloseCode::StoreFailed, CloseCode::Timeout];
                let fine = fine.contains(&code) || (self.plan.rights && code == CloseCode::Rights);
                ensure!(fine, "{at} closed link {number}: {code:?}: {reason}");
                ensure!(
                    code != CloseCode::StoreFailed || by_peer || self.may_fail(at),
                    "the store of {at} failed: {reason}"
                );
                match self.end(number, e) {
                    Some(end) if !by_peer => {
                        end.part();
                        self.schedule(GOODBYE_TIMEOUT_MS, Event::Lose(number, e));
                    }
                    _ => self.lose(number, e),
                }
                Ok(())
            }
        }
    }

    fn set_to_work(&mut self, number: u64, e: usize, work: Work) -> Checked {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let at = link.machines[e];
        let Some(end) = link.ends[e].as_mut() else { return Ok(()) };
        let busy = |other: &&Work| other.collection == work.collection;
        let (same, both) = (end.works.iter().filter(busy), matches!(work.task, Task::Apply(_)));
        let applies = same.filter(|other| matches!(other.task, Task::Apply(_))).count();
        ensure!(!both || applies == 0, "two frames of {} at once", work.collection);
        end.works.push(work);
        let delay = self.chance.between(0, self.machines[at].apply_ms);
        self.schedule(delay, Event::Work(number, e));
        Ok(())
    }

    /// A session makes durable what was applied before, and sends it at once: what a lost link
    /// left behind may show here first.
    fn look_at_what_is_sent(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let disk = self.machines[at].disk.clone();
        let checked = disk.spared(|| self.ledger.check(at, &store, &disk));
        self.excuse(at, checked).map(drop)
    }

    /// Notes what a store lets go: from now on it owes it.
    fn witness(
        &mut self,
        at: usize,
        (number, e): (u64, usize),
        stream: StreamId,
        bytes: &[u8],
    ) -> Checked {
        self.trace.bytes(bytes);
        for frame in frames(bytes) {
            let malformed = |err: Error| format!("store {at} sent nonsense: {err}");
            if stream == StreamId::Control {
                let message = Control::from_frame(frame).map_err(malformed)?;
                self.check_names(number, e, &message)?;
                match message {
                    Control::Have { collection, vector }
                    | Control::Picked { collection, vector, .. } => {
                        self.check_wanted(number, &collection)?;
                        self.ledger.told(at, &collection, &vector)?;
                    }
                    // What it tells of is durable; a hello may tell of nothing.
                    Control::Hello(hello) if !hello.collections.is_empty() => {
                        self.acknowledge(at)?;
                    }
                    _ => {}
                }
                continue;
            }
            let Some(end) = self.end(number, e) else { return Ok(()) };
            let carried = end.carries.get(&stream).cloned().unwrap_or_default();
            let scope = Scope { network: NetworkId::named("default"), collection: &carried };
            let frame = &unpack(frame.to_vec(), scope).map_err(malformed)?;
            self.check_may_hear(number, e, &carried)?;
            let Some(end) = self.end(number, e) else { return Ok(()) };
            match Tail::from_frame(frame) {
                Ok(Tail::Tail { collection }) => {
                    drop(end.carries.insert(stream, collection.clone()));
                    self.check_wanted(number, &collection)?;
                    self.check_may_hear(number, e, &collection)?;
                }
                Ok(Tail::Txns { txns, .. }) => {
                    self.look_at_what_is_sent(at)?;
                    for txn in txns {
                        self.ledger.sent(at, &carried, &txn.bytes)?;
                    }
                }
                Ok(_) => {}
                Err(_) => match Answer::from_frame(frame).map_err(malformed)? {
                    Answer::Snapshot { collection, .. } => {
                        drop(end.carries.insert(stream, collection.clone()));
                        self.check_may_hear(number, e, &collection)?;
                    }
                    Answer::Head(head) => self.witness_view(at, &carried, &head)?,
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// What either end does not want does not travel.
    fn check_wanted(&self, number: u64, collection: &str) -> Checked {
        let wanted = self.links.get(&number).is_none_or(|link| link.wants(collection));
        ensure!(wanted, "{collection} travels on link {number}, where it is not wanted");
        Ok(())
    }

    /// What a store shows of itself in a snapshot, it owes as well.
    fn witness_view(&mut self, at: usize, collection: &str, head: &[u8]) -> Checked {
        let scope = Scope { network: NetworkId::named("default"), collection };
        let head = ViewHead::verify(head, scope, &self.machines[at].id());
        let head = head.map_err(|err| format!("store {at} serves a broken view: {err}"))?;
        self.ledger.told(at, collection, &newest(&head))
    }
}

/// What a view holds.
fn newest(view: &ViewHead) -> Vector {
    let entry = |(origin, newest): (&Origin, &Newest)| {
        (*origin, Head { seq: newest.seq, hash: newest.hash.short() })
    };
    view.vector.iter().map(entry).collect()
}

/// The frames that these bytes are.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (frame, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        Some(frame)
    })
}

fn outcome_word(outcome: &StepOutcome) -> &str {
    match outcome {
        StepOutcome::Begun(_) => "begun",
        StepOutcome::Staged | StepOutcome::Learnt { .. } => "done",
        StepOutcome::Joined => "joined",
        StepOutcome::Changed => "changed",
        StepOutcome::Refused(_, why) | StepOutcome::StoreFailed(why) => why,
    }
}

//! The finale: faults cease, everyone who is still there meets, and all must be the same.

use littoral::txn::roster::Right;

use crate::ledger::COLLECTIONS;
use crate::link::End;
use crate::machine::Down;
use crate::world::{Event, World};
use crate::{Checked, ensure};

/// Longer than any wait of a session or a link.
const PATIENCE_MS: u64 = 30 * 60_000;

impl World {
    /// Lets all that can still happen happen, and looks at what came of it.
    pub(crate) fn finale(&mut self) -> Checked {
        self.say("peace");
        self.peace = true;
        (self.plan.chunk_bytes, self.plan.delay_ms) = (1 << 20, 30);
        self.images.clear();
        self.unblock_all();
        for at in self.present() {
            self.machines[at].disk.fail_no_more();
            self.machines[at].apply_ms = 20;
            if !self.machines[at].is_sound() {
                let down = Down::draw(&mut self.chance);
                self.schedule(0, Event::Restart(at, down));
            }
        }
        self.resume_all()?;
        if self.machines.iter().any(|machine| machine.choosy) {
            self.compare_what_is_wanted()?;
        }
        let mut write_first = false;
        if self.ledger.has_anyone_left() {
            // What was left comes back with the next hello, now or after something new was written.
            match self.chance.percent(50) {
                true => self.link_numbers().into_iter().for_each(|link| self.lose(link, 0)),
                false => write_first = true,
            }
        }
        self.look()?;
        self.connect_all();
        if write_first {
            self.wait_for_all()?;
            self.epilogue()?;
            self.link_numbers().into_iter().for_each(|link| self.lose(link, 0));
        }
        self.settle()?;
        if !self.plan.rights {
            self.heal_all()?;
        }
        // What was written deferred goes to peers when it is durable.
        for at in self.present() {
            self.flush(at)?;
        }
        self.look()?;
        self.settle()?;
        self.compare()?;
        if self.chance.percent(30) {
            self.say("everyone writes once more");
            self.epilogue()?;
            self.settle()?;
            // Two with one key have just written the same number.
            if !self.plan.rights {
                self.heal_all()?;
            }
            self.compare()?;
            for at in self.present() {
                let store = self.machines[at].up().ok_or_else(|| format!("{at} is down"))?;
                store.check_rows().map_err(|err| err.to_string())?;
            }
        }
        Ok(())
    }

    fn heal_all(&mut self) -> Checked {
        for round in 0..4 {
            if !self.heal(round > 0)? {
                break;
            }
        }
        Ok(())
    }

    /// Who wants only some of the collections has those and no others from its peers; then
    /// everybody wants everything.
    fn compare_what_is_wanted(&mut self) -> Checked {
        self.look()?;
        self.wait_for_all()?;
        // What was left comes back with the next hello only; who may only read may hold more.
        if !self.ledger.has_anyone_left() && !self.plan.rights {
            self.connect_all();
            self.settle()?;
            for at in self.present() {
                self.flush(at)?;
            }
            self.look()?;
            self.settle()?;
            for link in self.links.values() {
                let goes_on = |name: &&str| {
                    let halted = |end: &End| end.halted.contains(*name);
                    link.wants(name) && !link.ends.iter().flatten().any(halted)
                };
                for name in COLLECTIONS.into_iter().filter(goes_on) {
                    let [a, b] = link.machines.map(|at| self.vector(at, name));
                    ensure!(a == b, "{name} of {:?}: {a:?} and {b:?}", link.machines);
                }
            }
        }
        for at in self.present() {
            self.want_all(at)?;
        }
        self.link_numbers().into_iter().for_each(|link| self.lose(link, 0));
        Ok(())
    }

    /// The machines that are not gone.
    pub(crate) fn present(&self) -> Vec<usize> {
        (0..self.machines.len()).filter(|at| !self.machines[*at].gone).collect()
    }

    /// Adds links until all can hear of each other: in a line, a star, or all with all.
    fn connect_all(&mut self) {
        let present = self.present();
        // Whoever has a double can't meet it.
        let shape = match self.ledger.has_copies() {
            true => 2,
            // Whom the one before it refuses is not cut off: all meet the founder.
            false if self.plan.rights => 1 + self.chance.below(2),
            false => self.chance.below(3),
        };
        for (index, at) in present.iter().enumerate().skip(1) {
            match shape {
                0 => self.want(present[index - 1], *at),
                1 => self.want(present[0], *at),
                _ => present[..index].iter().for_each(|other| self.want(*other, *at)),
            }
        }
    }

    fn all_are_up(&self) -> bool {
        self.present().iter().all(|at| self.machines[*at].is_sound())
    }

    pub(crate) fn wait_for_all(&mut self) -> Checked {
        while !self.all_are_up() {
            ensure!(self.happen()?, "nothing more happens");
        }
        Ok(())
    }

    /// Until nothing is under way.
    pub(crate) fn settle(&mut self) -> Checked {
        let until = self.now_ms + PATIENCE_MS;
        for round in 0.. {
            // Looking costs more than an event.
            let look = round % 8 == 0 || self.next_at().is_none();
            if look && self.is_quiet() && self.all_are_up() {
                break;
            }
            ensure!(
                self.now_ms < until && self.next_at().is_some(),
                "it does not settle: {}",
                self.unsettled()
            );
            self.happen()?;
        }
        Ok(())
    }

    fn epilogue(&mut self) -> Checked {
        for at in self.present() {
            let Some(store) = self.machines[at].up() else { continue };
            let mut names = COLLECTIONS.to_vec();
            names.retain(|name| store.right(&store.node_id(), name) >= Right::Write);
            let write = |txn: &mut littoral::Transaction| {
                names.iter().try_for_each(|name| txn.set(name, "end", "x", at as i64))
            };
            store.write(write).map_err(|err| format!("store {at} could not write: {err}"))?;
            self.touch(at);
            self.acknowledge(at)?;
        }
        self.look()
    }

    /// All hold and show the same.
    fn compare(&mut self) -> Checked {
        if self.plan.rights {
            return self.compare_by_rights();
        }
        let present = self.present();
        for at in &present {
            self.follow(*at, usize::MAX)?;
            let store = self.machines[*at].up().ok_or_else(|| format!("{at} is down"))?;
            self.ledger.check_whole(*at, &store).map_err(|what| format!("store {at}: {what}"))?;
        }
        let halted = self.halted();
        ensure!(halted.is_empty(), "{halted:?} are still apart");
        for name in COLLECTIONS {
            let first = self.vector(present[0], name);
            let digests = self.machines[present[0]].up().map(|store| store.digests(name));
            let digests = digests.transpose().map_err(|err| err.to_string())?;
            for at in &present {
                let vector = self.vector(*at, name);
                ensure!(vector == first, "{name}: {at} holds {vector:?}, the first {first:?}");
                let other = self.machines[*at].up().map(|store| store.digests(name));
                let other = other.transpose().map_err(|err| err.to_string())?;
                ensure!(other == digests, "{name}: {at} has {other:?}, the first {digests:?}");
            }
        }
        Ok(())
    }
}

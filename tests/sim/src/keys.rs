//! Keys: a member's node changes its key, while its store is closed, and the power may go then.
//!
//! Nobody else has to be there: those who are away, or on the other side of a partition, hear of it
//! when they link with the node, which shows them the key that they know as long as it may. So
//! two machines can meet if one of the keys is one that the other knows.
//!
//! What must hold, beside all that holds without: what was written with a key that was given up
//! is kept as everything else, and in the end that key may do nothing with any member.

use littoral::txn::roster::Right;
use littoral::{ErrorKind, NodeId};

use crate::ledger::COLLECTIONS;
use crate::machine::Down;
use crate::rights::FOUNDER;
use crate::world::World;
use crate::{Checked, ensure};

impl World {
    /// In schedules where keys are changed, a member changes its own from time to time.
    pub(crate) fn perhaps_change_key(&mut self, number: usize) -> Checked {
        let mut chance = self.plan.keys_of(number);
        if !chance.percent(self.plan.keys_percent) {
            return Ok(());
        }
        let at = chance.below(self.machines.len());
        let machine = &self.machines[at];
        if at == FOUNDER || machine.gone || machine.store.is_none() {
            return Ok(());
        }
        // What going down loses is lost before.
        let down = if self.plan.calm { Down::Closed } else { Down::draw(&mut chance) };
        self.go_down(at, down)?;
        self.boot(at)?;
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let (old, rights) = (store.node_id(), store.rights(&store.node_id()).unwrap_or_default());
        drop(store);
        let before = self.machines[at].disk.struck();
        self.go_down(at, Down::Closed)?;
        if self.machines[at].disk.struck() > before {
            return self.boot(at);
        }
        if !self.plan.calm && chance.percent(50) {
            let calls = 1 << chance.below(8);
            self.machines[at].disk.dead_after(chance.below(calls) as u64);
        }
        let changed = self.machines[at].change_key();
        let struck = self.machines[at].disk.struck() > before;
        let what = changed.as_ref().map(|change| change.untold.len()).map_err(ToString::to_string);
        self.say(&format!("{at} changes its key: {what:?}"));
        match &changed {
            Ok(_) => self.said.keys += 1,
            Err(err) => {
                let refused = [ErrorKind::Forbidden, ErrorKind::InvalidInput].contains(&err.kind());
                ensure!(struck || refused, "store {at} could not change its key: {err}");
            }
        }
        if (changed.is_ok() || struck)
            && COLLECTIONS.iter().any(|n| rights.of(Some(n)) >= Right::Admin)
        {
            self.said.of_itself(at, old, rights);
        }
        self.machines[at].disk.fail_no_more();
        if struck {
            self.machines[at].disk = self.machines[at].disk.power_cut(chance.next());
        }
        self.boot(at)?;
        match self.machines[at].up() {
            Some(store) => self.note_statements(at, &store),
            None => Ok(()),
        }
    }

    /// The key that a machine shows another: its own, or the one that it had before to who knows
    /// no other.
    pub(crate) fn shown(&self, at: usize, to: usize) -> NodeId {
        let id = self.machines[at].id();
        let (Some(us), Some(peer)) = (self.machines[at].up(), self.machines[to].up()) else {
            return id;
        };
        let unknown = peer.rights(&id).is_some() && !peer.is_trusted(&id);
        match us.former_key().map(|key| key.id()) {
            Some(former) if unknown && peer.is_trusted(&former) => former,
            _ => id,
        }
    }

    /// A link is ready: who has let a machine in with its present key need not be told of it.
    pub(crate) fn note_told(&mut self, number: u64, e: usize) -> Checked {
        let Some(link) = self.links.get(&number) else { return Ok(()) };
        let (at, us, peer) = (link.machines[e], link.shown[e], link.shown[1 - e]);
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        if us != store.node_id() || store.former_key().is_none() {
            return Ok(());
        }
        let sound = self.machines[at].is_sound();
        let noted = store.note_told(&peer);
        self.touch(at);
        if let Err(err) = noted {
            ensure!(!sound || self.may_fail(at), "store {at} could not note who was told: {err}");
        }
        Ok(())
    }

    /// A key that was given up may do nothing, with whoever is a member.
    pub(crate) fn check_former_keys(&self, members: &[usize]) -> Checked {
        for (at, former) in members
            .iter()
            .flat_map(|at| self.machines[*at].former_ids().map(move |former| (*at, former)))
        {
            for other in members {
                let Some(store) = self.machines[*other].up() else { continue };
                let may = COLLECTIONS.map(|name| store.right(&former, name));
                ensure!(
                    may == [Right::None; 2] && !store.is_trusted(&former),
                    "{other} lets the key that {at} has given up do {may:?}"
                );
                ensure!(
                    store.heir_of(&former) == Some(self.machines[at].id()),
                    "{other} does not know the key that stands for {at}"
                );
            }
        }
        Ok(())
    }
}

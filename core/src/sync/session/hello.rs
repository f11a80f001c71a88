//! The part of a session that says hello and compares the two hellos.

use super::{Outcomes, Session, State, digests, failure};
use crate::id::Vector;
use crate::limits::MAX_LINK_COLLECTIONS;
use crate::sync::door::{Config, Event, Wanted};
use crate::sync::message::{CloseCode, Control, Digests, Hello, PROTOCOL_VERSION};
use crate::sync::{Source, Summary};

impl Session {
    pub(super) fn greet(&mut self, source: &dyn Source) -> Outcomes {
        self.state = State::Greeting;
        self.begin_roster(source)?;
        let mut names = source.collections()?;
        names.retain(|name| self.wants(name));
        names.truncate(MAX_LINK_COLLECTIONS);
        for name in names {
            let summary = source.summary(&name)?;
            self.greeted.insert(name, summary);
        }
        let collections = self.greeted.iter().map(|(n, s)| (n.clone(), digests(s))).collect();
        let Config { network, wanted, .. } = self.config.clone();
        let version = PROTOCOL_VERSION;
        let wanted = self.wanted_openly(wanted);
        let unpacks = true;
        self.say(&Control::Hello(Hello { version, network, collections, wanted, unpacks }));
        self.say_roster(source);
        Ok(())
    }

    pub(super) fn meet(&mut self, hello: Hello, source: &dyn Source) -> Outcomes {
        self.check_hello(&hello)?;
        self.state = State::Ready;
        self.event(Event::Ready);
        self.roster_changed(source)?;
        self.peer_wants = hello.wanted;
        self.peer_unpacks = hello.unpacks;
        let greeted = std::mem::take(&mut self.greeted);
        let theirs = hello.collections.keys().filter(|name| !greeted.contains_key(*name));
        let mut names: Vec<&String> = greeted.keys().chain(theirs).collect();
        names.retain(|name| self.wants(name));
        // Ours go first: a peer that holds many others keeps none of them from being exchanged.
        let room = names.len().min(MAX_LINK_COLLECTIONS);
        names.split_off(room).into_iter().for_each(|name| self.turn_down(name));
        for name in names {
            self.compare(name, greeted.get(name), hello.collections.get(name), source)?;
        }
        self.discover(source)?;
        self.streams.ids().into_iter().try_for_each(|id| self.drain_stream(id, source))
    }

    /// Whether both sides want this collection and may read it; before the peer's hello, whether
    /// we want it.
    pub(super) fn wants(&self, name: &str) -> bool {
        let wants = |wanted: &Wanted| wanted.as_ref().is_none_or(|names| names.contains(name));
        let both_want = wants(&self.config.wanted) && wants(&self.peer_wants);
        both_want && self.peer_may_read(name) && self.may_read(name)
    }

    fn check_hello(&self, hello: &Hello) -> Outcomes {
        let (ours, theirs) = (PROTOCOL_VERSION, hello.version);
        if theirs != ours {
            let (us, peer) = (self.config.us.short(), self.config.peer.short());
            let older = if theirs > ours { us.clone() } else { peer.clone() };
            return Err(failure(
                CloseCode::Version,
                format!(
                    "node {peer} speaks version {theirs} of the sync protocol and node {us} \
                     version {ours}: upgrade littoral on node {older}"
                ),
            ));
        }
        if hello.network != self.config.network {
            return Err(failure(
                CloseCode::Network,
                format!(
                    "nodes {} and {} belong to different networks: join one of them to the \
                     other's with a ticket",
                    self.config.us.short(),
                    self.config.peer.short()
                ),
            ));
        }
        match self.config.us == self.config.peer {
            true => Err(failure(CloseCode::Network, "this node connected to itself")),
            false => Ok(()),
        }
    }

    /// Compares one collection as both hellos tell it; who does not name it holds nothing.
    fn compare(
        &mut self,
        name: &str,
        ours: Option<&Summary>,
        theirs: Option<&Digests>,
        source: &dyn Source,
    ) -> Outcomes {
        let nothing = Vector::new();
        let vector = ours.map_or(&nothing, |summary| &summary.vector);
        let digest = vector.digest();
        let lane = self.lanes.entry(name.to_owned()).or_default();
        if theirs.map_or(nothing.digest(), |digests| digests.vector) != digest {
            return self.ask(name, source);
        }
        if ours.zip(theirs).is_some_and(|(ours, theirs)| ours.cells != theirs.cells) {
            self.halt(name)?;
            self.event(Event::Diverged { collection: name.to_owned() });
            return Ok(());
        }
        let position = match ours {
            Some(summary) => summary.position,
            None => source.start(name, &nothing)?,
        };
        lane.out.follow(vector, position);
        lane.told = vector.clone();
        let held = self.held(name, source)?;
        self.lane(name)?.tail.follow(held);
        self.ready.insert(name.to_owned());
        self.named_alike(name, source)?;
        self.event(Event::Synced { collection: name.to_owned() });
        Ok(())
    }
}

//! The part of a session that speaks of the roster: first so that both sides know the same
//! statements, and then of what the peer may do.
//!
//! Who has a roster says so after its hello, and again when it has changed. Whose differs answers
//! with what it knows, and gets the rest. What a peer may not read it does not hear of; what it
//! may do no more ends the link, and the next one begins with what it may.
//!
//! Does not know: how rights come about.

use crate::id::{Hash, NodeId};
use crate::limits::{MAX_STATEMENT_BYTES, SYNC_BATCH_BYTES};
use crate::sync::Source;
use crate::sync::door::{HearOutcome, Output, Wanted};
use crate::sync::failure::{breach, failure, store_failed};
use crate::sync::message::{CloseCode, Control};
use crate::txn::roster::{Right, Rights};

use super::{Outcomes, Session};

/// What a statement that waits takes beside its bytes.
const EXTRA_BYTES: usize = 64;

/// What was said of the roster on this link.
#[derive(Debug, Default)]
pub(super) struct RosterTalk {
    /// The digest that the peer was told last.
    told: Option<Hash>,
    /// The digest that the peer told last.
    heard: Option<Hash>,
    /// What the peer may do; everything, if there is no roster.
    peer: Option<Rights>,
    /// What we may do, as far as is known; everything, if there is no roster.
    own: Option<Rights>,
    /// The peer knows other statements, and is to be told which are known here.
    differs: bool,
    /// What the peer knows, if it is to get the rest.
    knows: Option<Vec<Hash>>,
    /// What the peer knows has changed, and it is to hear again what is held here. As the two above,
    /// this is done when the peer takes what it was sent before, and once for all that it said until
    /// then: so much for so little must not pile up.
    again: bool,
    /// Bytes of statements of the peer that are being kept, while they are.
    hearing: Option<usize>,
    /// Statements of the peer that wait for that: they are kept together.
    waiting: Vec<Vec<u8>>,
    waiting_bytes: usize,
}

impl RosterTalk {
    /// Bytes of statements that are held. Each counts for more than its bytes, as it takes more.
    pub(super) fn held(&self) -> usize {
        let knows = self.knows.as_ref().map_or(0, |known| size_of_val(known.as_slice()));
        self.hearing.unwrap_or(0) + self.waiting_bytes + knows
    }

    /// The peer says what it knows: it gets the rest.
    pub(super) fn knows(&mut self, known: Vec<Hash>) {
        self.knows = Some(known);
    }

    /// Whether the peer waits for an answer.
    pub(super) fn is_asked(&self) -> bool {
        self.differs || self.again || self.knows.is_some()
    }
}

impl Session {
    pub(super) fn begin_roster(&mut self, source: &dyn Source) -> Outcomes {
        self.roster.peer = source.rights(&self.config.peer);
        self.roster.own = source.rights(&self.config.us);
        match &self.roster.peer {
            Some(rights) if *rights == Rights::default() => Err(self.no_member()),
            _ => Ok(()),
        }
    }

    pub(super) fn say_roster(&mut self, source: &dyn Source) {
        if let Some((founder, digest)) = source.roster()
            && self.roster.told != Some(digest)
        {
            self.roster.told = Some(digest);
            self.say(&Control::Roster { founder, digest });
        }
    }

    /// Whether the peer may hear of a collection.
    pub(super) fn peer_may_read(&self, name: &str) -> bool {
        self.peer_right(name) >= Right::Read
    }

    /// Whether we may read a collection, as far as we have heard.
    pub(super) fn may_read(&self, name: &str) -> bool {
        may_read(&self.roster.own, Some(name))
    }

    /// Whether the peer may write in a collection.
    pub(super) fn peer_may_write(&self, name: &str) -> bool {
        self.peer_right(name) >= Right::Write
    }

    fn peer_right(&self, name: &str) -> Right {
        self.roster.peer.as_ref().map_or(Right::Admin, |rights| rights.of(Some(name)))
    }

    /// What we want, as the peer is told: no names of what it may not read.
    pub(super) fn wanted_openly(&self, wanted: Wanted) -> Wanted {
        wanted.map(|names| names.into_iter().filter(|name| self.peer_may_read(name)).collect())
    }

    /// The peer says to which roster it belongs.
    pub(super) fn told_roster(
        &mut self,
        founder: NodeId,
        digest: Hash,
        source: &dyn Source,
    ) -> Outcomes {
        let before = self.roster.heard.replace(digest);
        let (us, peer) = (self.config.us.short(), self.config.peer.short());
        match source.roster() {
            None => Err(failure(
                CloseCode::Network,
                format!(
                    "node {peer} belongs to the roster that node {founder} founded, and node {us} to \
                     none: it has to join that roster first"
                ),
            )),
            Some((ours, _)) if ours != founder => Err(failure(
                CloseCode::Network,
                format!("nodes {peer} and {us} belong to different rosters"),
            )),
            Some((_, ours)) => {
                self.roster.differs = ours != digest;
                self.roster.again |= before.is_some_and(|before| before != digest);
                Ok(())
            }
        }
    }

    /// Answers what the peer last said of its roster, if that differs.
    pub(super) fn say_what_is_known(&mut self, source: &dyn Source) -> Outcomes {
        if std::mem::take(&mut self.roster.differs) {
            self.say(&Control::Known { hashes: source.statements_held() });
        }
        if let Some(known) = self.roster.knows.take() {
            self.send_statements(&known, source);
        }
        match std::mem::take(&mut self.roster.again) {
            true => self.ask_again(source),
            false => Ok(()),
        }
    }

    /// The peer knows these statements: it gets the others.
    fn send_statements(&mut self, known: &[Hash], source: &dyn Source) {
        let mut statements = Vec::new();
        let mut bytes = 0;
        for statement in source.statements_beyond(known) {
            if bytes + statement.len() > SYNC_BATCH_BYTES.max(MAX_STATEMENT_BYTES) {
                let statements = std::mem::take(&mut statements);
                self.say(&Control::Statements { statements });
                bytes = 0;
            }
            bytes += statement.len();
            statements.push(statement);
        }
        if !statements.is_empty() {
            self.say(&Control::Statements { statements });
        }
    }

    /// Statements of the peer.
    pub(super) fn hear_statements(&mut self, statements: Vec<Vec<u8>>) -> Outcomes {
        if self.roster.told.is_none() {
            return Err(breach("statements of a roster to one who has none"));
        }
        self.roster.waiting_bytes +=
            statements.iter().map(|one| one.len() + EXTRA_BYTES).sum::<usize>();
        self.roster.waiting.extend(statements);
        self.check_room(0)?;
        self.hear_next();
        Ok(())
    }

    /// Has all that waits kept, one time after the other: however many a peer says, it has the
    /// store at work for one of them at a time.
    fn hear_next(&mut self) {
        if self.roster.hearing.is_some() || self.roster.waiting.is_empty() {
            return;
        }
        self.roster.hearing = Some(std::mem::take(&mut self.roster.waiting_bytes));
        let statements = std::mem::take(&mut self.roster.waiting);
        self.output.push_back(Output::Hear { statements });
    }

    pub(super) fn heard(&mut self, outcome: HearOutcome) -> Outcomes {
        self.roster.hearing = None;
        match outcome {
            HearOutcome::Kept => {
                self.hear_next();
                Ok(())
            }
            HearOutcome::Refused(why) => Err(breach(why)),
            HearOutcome::StoreFailed(why) => Err(store_failed(why)),
        }
    }

    /// Whether both know the same statements, or one has none to know.
    pub(super) fn is_roster_settled(&self) -> bool {
        let same = self.roster.heard.zip(self.roster.told).is_none_or(|(a, b)| a == b);
        self.roster.hearing.is_none() && same
    }

    /// Something was committed: perhaps the roster has changed.
    pub(super) fn roster_changed(&mut self, source: &dyn Source) -> Outcomes {
        self.say_roster(source);
        self.may_write_now(source)?;
        let now = source.rights(&self.config.peer);
        if now == self.roster.peer {
            return Ok(());
        }
        if now.as_ref().is_some_and(|rights| *rights == Rights::default()) {
            return Err(self.no_member());
        }
        let before = std::mem::replace(&mut self.roster.peer, now);
        match before {
            // Nothing was known yet: what the peer may read is found below, as what is new is.
            None if self.lanes.keys().all(|name| self.peer_may_read(name)) => Ok(()),
            _ => Err(failure(
                CloseCode::Rights,
                format!("the rights of node {} have changed", self.config.peer.short()),
            )),
        }
    }

    /// What we wrote before we knew that we may was passed over by our tails, which have gone on
    /// since: the link is made again, and begins with all that the peer lacks.
    fn may_write_now(&mut self, source: &dyn Source) -> Outcomes {
        let now = source.rights(&self.config.us);
        let before = std::mem::replace(&mut self.roster.own, now);
        if before == self.roster.own {
            return Ok(());
        }
        if self.reads_otherwise(&before) {
            let why = format!("node {} has heard what it may read", self.config.us.short());
            return Err(failure(CloseCode::Rights, why));
        }
        let could = |rights: &Option<Rights>, name: &str| {
            rights.as_ref().is_some_and(|rights| rights.of(Some(name)) >= Right::Write)
        };
        for name in self.lanes.keys() {
            if could(&before, name) || !could(&self.roster.own, name) {
                continue;
            }
            let held = source.summary(name)?.vector;
            if held.iter().any(|(origin, _)| origin.node == self.config.us) {
                let why = format!("node {} has heard that it may write", self.config.us.short());
                return Err(failure(CloseCode::Rights, why));
            }
        }
        Ok(())
    }

    /// Whether we may read other collections than before: some are exchanged that must not be, or
    /// the peer has spoken of some that we did not listen to.
    fn reads_otherwise(&self, before: &Option<Rights>) -> bool {
        let now = &self.roster.own;
        let differs = |name: Option<&str>| may_read(before, name) != may_read(now, name);
        let named = [before, now].into_iter().flatten().flat_map(|rights| rights.named.keys());
        let known = named.map(String::as_str).map(Some).chain([None]);
        // With nothing known, we spoke and listened as if we might read everything.
        let known = known.filter(|_| before.is_some());
        self.lanes.keys().map(|name| Some(name.as_str())).chain(known).any(differs)
    }

    /// The peer knows more: what it passed over because it was not valid may be so now.
    fn ask_again(&mut self, source: &dyn Source) -> Outcomes {
        let asked = |lane: &&mut super::Lane| !lane.tail.is_halted() && !lane.tail.is_unasked();
        let names = self.lanes.iter_mut().filter(|(_, lane)| asked(lane));
        let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        names.iter().try_for_each(|name| self.ask(name, source))
    }

    /// A digest of what decides which transactions of the peer can be applied: what is held, and
    /// what both know of the roster.
    pub(super) fn held(&self, name: &str, source: &dyn Source) -> Outcomes<Hash> {
        let vector = source.summary(name)?.vector.digest();
        let Some((_, ours)) = source.roster() else { return Ok(vector) };
        let theirs = self.roster.heard.unwrap_or_default();
        Ok(Hash(blake3::derive_key("littoral held", &[vector.0, ours.0, theirs.0].concat())))
    }

    fn no_member(&self) -> super::Failure {
        let peer = self.config.peer.short();
        failure(CloseCode::Rights, format!("node {peer} is not, or no longer, a member"))
    }
}

/// Whether these rights, or everything if none are known, are enough to read a collection, or
/// those that nobody names.
fn may_read(rights: &Option<Rights>, name: Option<&str>) -> bool {
    rights.as_ref().is_none_or(|rights| rights.of(name) >= Right::Read)
}

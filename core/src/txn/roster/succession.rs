//! Successions: which key stands for a member, when its key was changed.
//!
//! A succession is said by the key that stood for a member until then, and signed by its heir as
//! well. From then on the old key may do nothing, for good, and the heir what the member may:
//! by the grants that speak of any of the member's keys, and never more. See the rules in
//! [`super`].
//!
//! They stand beside the grants, as vouches do: no grant follows one, so none is ever needed to
//! understand a grant, and what a member says of its own keys takes nobody's room. Kept are:
//! those of a key that a grant names, and of its heirs, as far as [`MAX_SUCCESSIONS`] go; of one
//! key the two with the lowest hashes, since two are as good as many, and beside those such
//! whose heir a grant names. If a key has two heirs nobody knows which one its owner wanted: then
//! none of them stands for the member, nor speaks, unless a grant names it.
//!
//! Invariant: which are kept is a function of all that were ever held and of the grants, so all
//! replicas come to keep the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Says, Statement, Succession};
use crate::id::{Hash, NodeId};
use crate::limits::MAX_SUCCESSIONS;

/// As many of one key are as good as more.
const ENOUGH: usize = 2;

/// The successions of a roster.
#[derive(Debug, Clone, Default)]
pub(super) struct Successions {
    by_issuer: BTreeMap<NodeId, BTreeMap<Hash, Statement>>,
    /// Whom each heir succeeds.
    issuers: BTreeMap<NodeId, BTreeSet<NodeId>>,
}

impl Successions {
    /// Those of one key.
    pub(super) fn of(&self, issuer: &NodeId) -> impl Iterator<Item = &Succession> {
        self.by_issuer.get(issuer).into_iter().flat_map(BTreeMap::values).filter_map(said)
    }

    /// Whether a key was given up.
    pub(super) fn is_former(&self, node: &NodeId) -> bool {
        self.by_issuer.contains_key(node)
    }

    /// Whether two keys would succeed this one.
    pub(super) fn is_contested(&self, issuer: &NodeId) -> bool {
        self.by_issuer.get(issuer).is_some_and(|all| all.len() > 1)
    }

    /// The keys that this one succeeds.
    pub(super) fn issuers(&self, heir: &NodeId) -> impl Iterator<Item = &NodeId> {
        self.issuers.get(heir).into_iter().flatten()
    }

    /// The keys that succeed others.
    pub(super) fn heirs(&self) -> impl Iterator<Item = &NodeId> {
        self.issuers.keys()
    }

    /// Whether a key succeeds another that no third one does.
    pub(super) fn is_heir(&self, node: &NodeId) -> bool {
        self.issuers(node).any(|issuer| !self.is_contested(issuer))
    }

    /// All keys that stood for a member before this one.
    pub(super) fn lineage(&self, node: &NodeId) -> BTreeSet<NodeId> {
        let mut before = BTreeSet::new();
        let mut next: Vec<NodeId> = self.issuers(node).copied().collect();
        while let Some(issuer) = next.pop() {
            if before.insert(issuer) {
                next.extend(self.issuers(&issuer));
            }
        }
        before
    }

    /// The key that stands for a member, of which this is one: itself, if it was not given up;
    /// none, if several would.
    pub(super) fn last(&self, node: &NodeId) -> Option<NodeId> {
        let mut last = *node;
        let mut seen = BTreeSet::new();
        while self.is_former(&last) {
            let heir = self.of(&last).next().map(|succession| succession.heir);
            match heir.filter(|_| !self.is_contested(&last) && seen.insert(last)) {
                Some(heir) => last = heir,
                None => return None,
            }
        }
        Some(last)
    }

    /// All, each after that of whom its issuer succeeds.
    pub(super) fn in_order(&self, is_named: impl Fn(&NodeId) -> bool) -> Vec<&Statement> {
        self.kept(None, is_named)
    }

    pub(super) fn holds(&self, statement: &Statement) -> bool {
        let of = self.by_issuer.get(&statement.issuer);
        of.is_some_and(|all| all.contains_key(&statement.hash))
    }

    /// Whether one that is not here would be kept.
    pub(super) fn has_room(
        &self,
        statement: &Statement,
        is_named: impl Fn(&NodeId) -> bool,
    ) -> bool {
        self.kept(Some(statement), is_named).iter().any(|kept| kept.hash == statement.hash)
    }

    /// Adds one; gives those that are not kept any more.
    pub(super) fn add(
        &mut self,
        statement: Statement,
        is_named: impl Fn(&NodeId) -> bool,
    ) -> Vec<Statement> {
        self.insert(statement);
        let kept: BTreeSet<Hash> = self.kept(None, is_named).iter().map(|one| one.hash).collect();
        let all = std::mem::take(self).by_issuer;
        let mut gone = Vec::new();
        for one in all.into_values().flat_map(BTreeMap::into_values) {
            match kept.contains(&one.hash) {
                true => self.insert(one),
                false => gone.push(one),
            }
        }
        gone
    }

    fn insert(&mut self, statement: Statement) {
        let Some(succession) = said(&statement) else { return };
        self.issuers.entry(succession.heir).or_default().insert(statement.issuer);
        self.by_issuer.entry(statement.issuer).or_default().insert(statement.hash, statement);
    }

    /// Those to be kept, of these and one more, from the keys that grants name on.
    fn kept<'a>(
        &'a self,
        more: Option<&'a Statement>,
        is_named: impl Fn(&NodeId) -> bool,
    ) -> Vec<&'a Statement> {
        let mut all: BTreeMap<NodeId, BTreeMap<Hash, &Statement>> = BTreeMap::new();
        for one in self.by_issuer.values().flat_map(BTreeMap::values).chain(more) {
            all.entry(one.issuer).or_default().insert(one.hash, one);
        }
        let named = all.keys().filter(|issuer| is_named(issuer));
        let mut next: VecDeque<(NodeId, usize)> = named.map(|issuer| (*issuer, 0)).collect();
        let mut kept = Vec::new();
        while let Some((issuer, depth)) = next.pop_front() {
            // Each key once: the first time is the nearest to one that is named.
            let Some(of) = all.remove(&issuer) else { continue };
            let is_contested = of.len() > 1;
            for (number, one) in of.into_values().enumerate() {
                let Some(Succession { heir, .. }) = said(one) else { continue };
                let is_named = is_named(heir);
                if number >= ENOUGH && !is_named {
                    continue;
                }
                kept.push(one);
                if !is_named && !is_contested && depth + 1 < MAX_SUCCESSIONS {
                    next.push_back((*heir, depth + 1));
                }
            }
        }
        kept
    }
}

fn said(statement: &Statement) -> Option<&Succession> {
    match &statement.says {
        Says::Succession(succession) => Some(succession),
        Says::Grant(_) | Says::Vouch(_) => None,
    }
}

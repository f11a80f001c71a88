//! What follows from the grants of a roster: see the rules in [`super`].
//!
//! Everything is asked for one *scope*: a collection that some grant names, or all those that
//! none does; and in one *view*: all grants, or those that one grant follows. What holds in the
//! view of a grant never changes, and is remembered.
//!
//! Successions are looked at with all grants only: what an heir may do now depends on them, what
//! somebody could say once does not.
//!
//! Why it ends: what a grant's issuer could do is asked in the view of that grant, which is
//! smaller; and whether a grant counts depends only on such whose issuers stand higher: those that
//! cut it off, and those by which its issuer came to stand where it did.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use super::{Right, Roster};
use crate::id::NodeId;

/// How far below the founder: it is 0, whom it makes an admin 1, and so on.
pub(super) type Level = u32;

/// What a node may do, and how far below the founder it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) right: Right,
    pub(super) level: Level,
}

const NOBODY: Standing = Standing { right: Right::None, level: Level::MAX };

type Scope<'a> = Option<&'a str>;

/// The grants that are looked at.
#[derive(Debug, Clone, Copy)]
enum View {
    All,
    /// All, as the next one will follow them: no succession is looked at.
    Next,
    /// Those that this one follows.
    Before(u32),
}

/// How the issuer of a grant stood by what it knew.
#[derive(Debug, Clone)]
struct Issued {
    level: Level,
    /// The grants by which it stood so; none of the founder.
    by: Arc<[u32]>,
}

/// What was worked out before.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By scope and grant: how its issuer stood, if it could say that.
    issued: HashMap<(Option<String>, u32), Option<Issued>>,
    /// By scope and grant: whether it counts, with all grants.
    counting: HashMap<(Option<String>, u32), bool>,
    /// By scope and node, with all grants.
    present: HashMap<(Option<String>, NodeId), Standing>,
}

impl Known {
    /// Another statement has come.
    pub(super) fn forget_present(&mut self) {
        self.present.clear();
        self.counting.clear();
    }
}

impl Roster {
    /// What a node may do now in a collection, or in those that no grant names.
    pub(super) fn standing_now(&self, node: &NodeId, scope: Scope<'_>) -> Standing {
        let scope = scope.filter(|name| self.named.contains(*name));
        let key = (scope.map(str::to_owned), *node);
        if let Some(standing) = self.known().present.get(&key) {
            return *standing;
        }
        let standing = self.present(node, scope);
        self.known().present.insert(key, standing);
        standing
    }

    /// Whether a grant has a say in what its member may do now, anywhere.
    pub(super) fn decides_anything(&self, number: u32) -> bool {
        let scopes = self.named.iter().map(|name| Some(name.as_str())).chain([None]);
        scopes.into_iter().any(|scope| self.counts(number, scope, View::All))
    }

    /// Whether a node was an admin anywhere by what the issuer of a grant knew.
    pub(super) fn was_admin(&self, node: &NodeId, by: u32) -> bool {
        let scopes = [None].into_iter().chain(self.named.iter().map(|name| Some(name.as_str())));
        scopes
            .into_iter()
            .any(|scope| self.standing(node, scope, View::Before(by)).right == Right::Admin)
    }

    /// Whether a node is an admin now, and what it said next would be taken as an admin's: what a
    /// key that was given up had said of it counts no more, but did for whoever looks back.
    pub(super) fn may_say(&self, node: &NodeId, scope: Scope<'_>) -> bool {
        self.standing_now(node, scope).right == Right::Admin
            && self.standing(node, scope, View::Next).right == Right::Admin
    }

    /// What a node may do now.
    fn present(&self, node: &NodeId, scope: Scope<'_>) -> Standing {
        match self.successions.is_former(node) && *node != self.scope.founder {
            true => NOBODY,
            false => self.inherited(node, scope, &mut HashMap::new()),
        }
    }

    /// What a key may do if it was not given up.
    fn inherited(
        &self,
        node: &NodeId,
        scope: Scope<'_>,
        known: &mut HashMap<NodeId, Standing>,
    ) -> Standing {
        if let Some(standing) = known.get(node) {
            return *standing;
        }
        // Keys that succeed each other in a circle stand for nobody.
        known.insert(*node, NOBODY);
        let own = self.standing(node, scope, View::All);
        let is_named = self.about(node).any(|grant| self.counts(grant, scope, View::All));
        let standing = match self.successions.issuers(node).next() {
            None => own,
            _ if *node == self.scope.founder => own,
            Some(_) if is_named => {
                let lineage = self.successions.lineage(node);
                let about: Vec<u32> =
                    lineage.iter().chain([node]).flat_map(|key| self.about(key)).collect();
                let all = self.decide(&about, scope, View::All);
                Standing { right: own.right.min(all.right), level: own.level }
            }
            Some(_) => {
                let of = |issuer: &NodeId| match self.successions.is_contested(issuer) {
                    true => NOBODY,
                    false => self.inherited(issuer, scope, known),
                };
                let right = self.successions.issuers(node).map(of).map(|of| of.right).min();
                let right = right.unwrap_or_default().min(Right::Write);
                Standing { right, level: Level::MAX }
            }
        };
        known.insert(*node, standing);
        standing
    }

    fn standing(&self, node: &NodeId, scope: Scope<'_>, view: View) -> Standing {
        if *node == self.scope.founder {
            return Standing { right: Right::Admin, level: 0 };
        }
        let about: Vec<u32> = self.about(node).collect();
        self.decide(&about, scope, view)
    }

    /// What those of these grants say that count and that no other of them follows.
    fn decide(&self, about: &[u32], scope: Scope<'_>, view: View) -> Standing {
        let lowest = |a: Standing, b: Standing| Standing {
            right: a.right.min(b.right),
            level: a.level.min(b.level),
        };
        let newest = self.newest(about, scope, view);
        newest.iter().map(|grant| self.says(*grant, scope)).reduce(lowest).unwrap_or(NOBODY)
    }

    fn newest(&self, about: &[u32], scope: Scope<'_>, view: View) -> Vec<u32> {
        let says = |grant: &u32| self.sees(view, *grant) && self.counts(*grant, scope, view);
        let counting: Vec<u32> = about.iter().copied().filter(says).collect();
        let newest = |one: &u32| !counting.iter().any(|later| self.follows(*later, *one));
        counting.iter().copied().filter(newest).collect()
    }

    fn says(&self, grant: u32, scope: Scope<'_>) -> Standing {
        let right = self.grants[grant as usize].grant.rights.of(scope);
        let level = self.issued(grant, scope).map_or(Level::MAX, |issued| issued.level);
        Standing { right, level: level.saturating_add(1) }
    }

    /// Whether a grant that is in the view has a say there.
    fn counts(&self, grant: u32, scope: Scope<'_>, view: View) -> bool {
        let View::All = view else { return self.weigh(grant, scope, view) };
        let key = (scope.map(str::to_owned), grant);
        if let Some(counts) = self.known().counting.get(&key) {
            return *counts;
        }
        let counts = !self.is_sealed(grant) && self.weigh(grant, scope, view);
        self.known().counting.insert(key, counts);
        counts
    }

    fn weigh(&self, grant: u32, scope: Scope<'_>, view: View) -> bool {
        let Some(Issued { level, by }) = self.issued(grant, scope) else { return false };
        let issuer = &self.grants[grant as usize].statement.issuer;
        let cuts = |other: &u32| {
            let other = *other;
            self.sees(view, other)
                && self.grants[other as usize].grant.rights.of(scope) < Right::Admin
                && !self.follows(grant, other)
                && !self.follows(other, grant)
                && self.issued(other, scope).is_some_and(|above| above.level < level)
                && self.counts(other, scope, view)
        };
        let stood = level == 0 || by.iter().any(|by| self.counts(*by, scope, view));
        stood && !self.about(issuer).any(|other| cuts(&other))
    }

    /// Whether the issuer of a grant has given its key up without having known it.
    fn is_sealed(&self, grant: u32) -> bool {
        let issuer = &self.grants[grant as usize].statement.issuer;
        self.successions.of(issuer).any(|last| {
            let mut known = last.after.iter().filter_map(|hash| self.numbers.get(hash));
            !known.any(|known| *known == grant || self.follows(*known, grant))
        })
    }

    /// How the issuer of a grant stood by what it knew, if it could say that of the member.
    fn issued(&self, grant: u32, scope: Scope<'_>) -> Option<Issued> {
        let key = (scope.map(str::to_owned), grant);
        if let Some(issued) = self.known().issued.get(&key) {
            return issued.clone();
        }
        let entry = &self.grants[grant as usize];
        let (issuer, member) = (entry.statement.issuer, entry.grant.member);
        let view = View::Before(grant);
        let by = self.standing(&issuer, scope, view);
        let of = self.standing(&member, scope, view);
        let above = of.right < Right::Admin || of.level > by.level || member == issuer;
        let issued = (by.right == Right::Admin && above).then(|| {
            let about: Vec<u32> = self.about(&issuer).collect();
            let mut newest = self.newest(&about, scope, view);
            newest.retain(|grant| self.says(*grant, scope).level == by.level);
            let by_founder = by.level == 0;
            Issued { level: by.level, by: if by_founder { [].into() } else { newest.into() } }
        });
        self.known().issued.insert(key, issued.clone());
        issued
    }

    pub(super) fn about(&self, node: &NodeId) -> impl Iterator<Item = u32> {
        self.about.get(node).into_iter().flatten().copied()
    }

    fn sees(&self, view: View, grant: u32) -> bool {
        match view {
            View::All | View::Next => true,
            View::Before(later) => self.follows(later, grant),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics while holding it")
    }
}

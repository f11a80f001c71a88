//! What follows from the grants of a roster: see the rules in [`super`].
//!
//! Everything is asked for one *scope*: a collection that some grant names, or all those that
//! none does; and in one *view*: all grants, or those that one grant follows. What holds in the
//! view of a grant never changes, and is remembered.
//!
//! Why it ends: what a grant's issuer could do is asked in the view of that grant, which is
//! smaller; and a grant is cut off only by one whose issuer stands higher.

use std::collections::HashMap;
use std::sync::MutexGuard;

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
    /// Those that this one follows.
    Before(u32),
}

/// What was worked out before.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By scope and grant: how far below the founder its issuer stood, if it could say that.
    issued: HashMap<(Option<String>, u32), Option<Level>>,
    /// By scope and node, with all grants.
    present: HashMap<(Option<String>, NodeId), Standing>,
}

impl Known {
    /// Another statement has come.
    pub(super) fn forget_present(&mut self) {
        self.present.clear();
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
        let standing = self.standing(node, scope, View::All);
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

    fn standing(&self, node: &NodeId, scope: Scope<'_>, view: View) -> Standing {
        if *node == self.scope.founder {
            return Standing { right: Right::Admin, level: 0 };
        }
        let counting: Vec<u32> = self
            .about(node)
            .filter(|grant| self.sees(view, *grant) && self.counts(*grant, scope, view))
            .collect();
        let newest = |one: &&u32| !counting.iter().any(|later| self.follows(*later, **one));
        let says = |grant: &u32| {
            let right = self.grants[*grant as usize].grant.rights.of(scope);
            let level = self.issued(*grant, scope).unwrap_or(Level::MAX);
            Standing { right, level: level.saturating_add(1) }
        };
        let lowest = |a: Standing, b: Standing| Standing {
            right: a.right.min(b.right),
            level: a.level.min(b.level),
        };
        counting.iter().filter(newest).map(says).reduce(lowest).unwrap_or(NOBODY)
    }

    /// Whether a grant that is in the view has a say there.
    fn counts(&self, grant: u32, scope: Scope<'_>, view: View) -> bool {
        let Some(level) = self.issued(grant, scope) else { return false };
        let issuer = &self.grants[grant as usize].statement.issuer;
        let cuts = |other: &u32| {
            let other = *other;
            self.sees(view, other)
                && self.grants[other as usize].grant.rights.of(scope) < Right::Admin
                && !self.follows(grant, other)
                && !self.follows(other, grant)
                && self.issued(other, scope).is_some_and(|above| above < level)
                && self.counts(other, scope, view)
        };
        !self.about(issuer).any(|other| cuts(&other))
    }

    /// How far below the founder the issuer of a grant stood by what it knew, if it could say
    /// that of the member.
    fn issued(&self, grant: u32, scope: Scope<'_>) -> Option<Level> {
        let key = (scope.map(str::to_owned), grant);
        if let Some(level) = self.known().issued.get(&key) {
            return *level;
        }
        let entry = &self.grants[grant as usize];
        let (issuer, member) = (entry.statement.issuer, entry.grant.member);
        let view = View::Before(grant);
        let by = self.standing(&issuer, scope, view);
        let of = self.standing(&member, scope, view);
        let above = of.right < Right::Admin || of.level > by.level || member == issuer;
        let level = (by.right == Right::Admin && above).then_some(by.level);
        self.known().issued.insert(key, level);
        level
    }

    fn about(&self, node: &NodeId) -> impl Iterator<Item = u32> {
        self.about.get(node).into_iter().flatten().copied()
    }

    fn sees(&self, view: View, grant: u32) -> bool {
        match view {
            View::All => true,
            View::Before(later) => self.follows(later, grant),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics while holding it")
    }
}

//! What the doctor says of the roster: what this node may not do, and what it holds that others
//! will not take.

use super::super::finding::Level;
use super::Doctor;
use crate::error::Result;
use crate::store::heads::CollectionHead;
use crate::store::roster;
use crate::store::rotation;
use crate::txn::roster::{Right, Roster};

impl Doctor<'_> {
    pub(super) fn rights(&mut self, heads: &[&CollectionHead]) -> Result<()> {
        let Some(roster) = roster::check(self.subject.read, self.subject.network)? else {
            return Ok(());
        };
        if roster.grants() == 0 {
            self.tell(
                Level::Note,
                "roster-unheard",
                "the roster",
                format!("the store belongs to the roster that node {} founded, and has heard nothing of it yet", roster.scope().founder),
                "nothing: it comes with the first link to a member",
            );
            return Ok(());
        }
        self.change_of_key(&roster)?;
        if self.subject.node.is_some_and(|node| !roster.is_member(&node)) {
            self.tell(
                Level::Warning,
                "no-rights",
                "the roster",
                "this node may do nothing in this network (any more), as far as it has heard: its links are refused".to_owned(),
                "ask an admin for rights: `littoral grant` there, with the key that `littoral id` prints here",
            );
        }
        for head in heads {
            self.not_valid(head, &roster);
        }
        Ok(())
    }

    /// Whether somebody has yet to hear that this node has another key.
    fn change_of_key(&mut self, roster: &Roster) -> Result<()> {
        let Some(change) = rotation::load(self.subject.read)? else { return Ok(()) };
        let untold = change.untold.iter().filter(|node| roster.is_member(node));
        let names: Vec<String> = untold.map(|node| node.short()).collect();
        if self.subject.node == Some(change.to) && !names.is_empty() {
            self.tell(
                Level::Note,
                "key-half-known",
                "the node's key",
                format!("it was changed, and these members have not linked with the new one yet: {}; until they have, the former key is kept beside it to tell them", names.join(", ")),
                "nothing: they hear of it when they link; revoke those that are gone",
            );
        }
        Ok(())
    }

    fn not_valid(&mut self, head: &CollectionHead, roster: &Roster) {
        let beyond = |(origin, row): (&_, &crate::store::tables::VectorRow)| {
            let valid = roster.valid_through(&head.name, origin);
            row.seq.saturating_sub(valid)
        };
        let counts: Vec<u64> = head.vector.iter().map(beyond).filter(|count| *count > 0).collect();
        let may_write =
            self.subject.node.is_some_and(|node| roster.right(&node, &head.name) >= Right::Write);
        if counts.is_empty() || may_write {
            return;
        }
        let transactions: u64 = counts.iter().sum();
        self.tell(
            Level::Warning,
            "not-valid",
            &head.name,
            format!("{transactions} transactions are here whose authors may not write, and nobody who may has taken them: others do not take them, so this store shows other documents than they do"),
            "drop the collection with `littoral leave` and sync it again from a writer; if the author should have been allowed to write, an admin can grant it that",
        );
    }
}

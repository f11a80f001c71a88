//! What a rescue has brought over, what it has not, and what that means.

use std::fmt::Write as _;

use super::finding::Finding;
use super::salvage::LeftOut;
use crate::id::{NodeId, Origin, Seq};

/// How a collection was brought over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Its whole history was in the log and has been applied again.
    History,
    /// Its state proved to be whole and was taken as it was.
    State,
    /// What was left was put together, and partly written anew.
    Remains,
}

impl How {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            How::History => "history",
            How::State => "state",
            How::Remains => "remains",
        }
    }
}

/// What came of rescuing a store.
#[must_use = "what could not be brought over is told here"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// The new store's node.
    pub node: NodeId,
    /// Whether that is the node of the damaged store; else its key was gone.
    pub same_node: bool,
    /// Peers that the new store trusts, as the damaged one did; none if that can't be read.
    pub peers: Option<u64>,
    /// Whether the store belongs to a roster, which was taken over; `None` if that can't be read.
    pub roster: Option<bool>,
    /// By collection.
    pub collections: Vec<RescuedCollection>,
    /// Counters that were not written anew, with what nothing backs of them.
    pub left_out: Vec<LeftOut>,
    /// The log can't be read to its end: whether there were newer writes is not known.
    pub newest_unknown: bool,
    /// What was found wrong with the damaged store's files.
    pub findings: Vec<Finding>,
    /// Findings that are not listed, since there are many of their kind.
    pub more: u64,
}

/// What came of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescuedCollection {
    /// Its name.
    pub name: String,
    /// How it was brought over.
    pub how: How,
    /// Documents that the new store shows.
    pub documents: u64,
    /// Documents that the damaged store counted, if that can be read.
    pub documents_before: Option<u64>,
    /// Transactions of the log that were applied.
    pub transactions_applied: u64,
    /// Transactions of the log that could not be applied, since something before them is gone;
    /// their values were written anew.
    pub transactions_loose: u64,
    /// Documents with values that were written anew.
    pub written_documents: u64,
    /// Those values.
    pub written_values: u64,
    /// The transactions that it took.
    pub written_transactions: u64,
    /// Places in the state that can't be read: what was there is not known.
    pub unread_places: u64,
    /// Transactions that the damaged store had and the new one has not, by author: from, to.
    pub missing: Vec<(Origin, Seq, Seq)>,
}

impl RescuedCollection {
    /// Whether all of it is there, with its history's authors and order.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
            && self.transactions_loose == 0
            && self.written_values == 0
            && self.unread_places == 0
    }

    fn sentence(&self) -> String {
        let mut text = format!("{}: {} documents", self.name, self.documents);
        if let Some(before) = self.documents_before.filter(|before| *before != self.documents) {
            let _ = write!(text, " (there were {before})");
        }
        text += match self.how {
            How::History => ", by its history from the log",
            How::State => ", by its state, which is whole",
            How::Remains => ", put together from what is left",
        };
        if self.written_values > 0 {
            let _ = write!(
                text,
                "; {} values in {} of them have no transaction left to back them and were written anew: a peer that has changed or deleted them since will show both",
                self.written_values, self.written_documents
            );
        }
        if self.unread_places > 0 {
            let _ = write!(text, "; {} places of the state can't be read", self.unread_places);
        }
        let missing: u64 = self.missing.iter().map(|(_, from, to)| to + 1 - from).sum();
        if missing > 0 {
            let _ = write!(
                text,
                "; {missing} transactions of {} authors that were held are not: peers that have them will send them",
                self.missing.len()
            );
        }
        text
    }
}

impl Rescued {
    /// Whether everything is there.
    pub fn is_whole(&self) -> bool {
        !self.newest_unknown
            && self.left_out.is_empty()
            && self.collections.iter().all(RescuedCollection::is_whole)
    }

    /// What people should know, one sentence a line.
    pub fn sentences(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.collections.iter().map(RescuedCollection::sentence).collect();
        lines.extend(self.left_out.iter().map(|left| {
            format!(
                "{}: the counter at '{}' of a document had {} that no transaction backs; it was left out, since it would count twice at a peer that has it",
                left.collection, left.path, left.value
            )
        }));
        if self.newest_unknown {
            lines.push(
                "the log can't be read to its end: if there were newer writes, they are gone here, and come back if a peer has them"
                    .to_owned(),
            );
        }
        lines.push(match self.same_node {
            true => "the new store is the same node and writes under a new incarnation: its peers know it; never use the damaged one beside it".to_owned(),
            false => format!("the node's key was gone: the new store is another node, {}, and its peers must be told to trust it", self.node),
        });
        lines.push(match self.peers {
            Some(count) => format!("{count} trusted peers were taken over"),
            None => "which peers were trusted can't be read: name them again".to_owned(),
        });
        lines.extend(match self.roster {
            Some(true) => Some("the roster was taken over".to_owned()),
            Some(false) => None,
            None => {
                Some("whether there was a roster can't be read: if so, join it again".to_owned())
            }
        });
        lines
    }

    /// As JSON, for programs.
    pub fn to_json(&self) -> String {
        let missing = |missing: &(Origin, Seq, Seq)| {
            let (origin, from, to) = missing;
            serde_json::json!({
                "node": origin.node.to_string(),
                "incarnation": origin.incarnation,
                "from": from,
                "to": to,
            })
        };
        let collections = self.collections.iter().map(|found| {
            serde_json::json!({
                "name": found.name,
                "how": found.how.as_str(),
                "whole": found.is_whole(),
                "documents": found.documents,
                "documents_before": found.documents_before,
                "transactions_applied": found.transactions_applied,
                "transactions_loose": found.transactions_loose,
                "written_documents": found.written_documents,
                "written_values": found.written_values,
                "written_transactions": found.written_transactions,
                "unread_places": found.unread_places,
                "missing": found.missing.iter().map(missing).collect::<Vec<_>>(),
            })
        });
        let left_out = self.left_out.iter().map(|left| {
            serde_json::json!({
                "collection": left.collection,
                "id": left.id,
                "path": left.path.to_string(),
                "value": left.value.to_string(),
            })
        });
        serde_json::json!({
            "whole": self.is_whole(),
            "node": self.node.to_string(),
            "same_node": self.same_node,
            "peers": self.peers,
            "roster": self.roster,
            "collections": collections.collect::<Vec<_>>(),
            "left_out": left_out.collect::<Vec<_>>(),
            "newest_unknown": self.newest_unknown,
            "findings": self.findings.iter().map(Finding::json).collect::<Vec<_>>(),
            "more": self.more,
        })
        .to_string()
    }
}

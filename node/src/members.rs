//! The roster as JSON: who belongs to the network, and what each may do.
//!
//! Rights are words by collection, `*` being all that are not named: `{"*": "read", "notes":
//! "write"}`. A member is known by its key; commands also take its name, or the beginning of its
//! key, where that names one and no other.

use std::collections::BTreeMap;

use littoral::clock::Timestamp;
use littoral::store::TrustedPeer;
use littoral::txn::roster::{Member, Rights};
use littoral::{Error, ErrorKind, NodeId, Result};
use serde::{Deserialize, Serialize};

/// Fewer characters of a key name nobody.
const MIN_PREFIX: usize = 4;

/// Who belongs to the network of a store, and whom it trusts by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RosterShape {
    /// The key of this node.
    pub(crate) node: String,
    /// The key of the node that founded the roster; none if the store has no roster.
    pub(crate) founder: Option<String>,
    /// All that the roster speaks of, in the order of their keys.
    pub(crate) members: Vec<MemberShape>,
    /// The peers that were named to this store, in the order of their keys. Without a roster, they
    /// may do everything.
    pub(crate) trusted: Vec<TrustedShape>,
}

/// A member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MemberShape {
    /// Its key.
    pub(crate) node: String,
    /// The key that it had before, if that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) was: Option<String>,
    /// What people call it; may be empty.
    pub(crate) name: String,
    /// By collection: none, read, write, admin.
    pub(crate) rights: BTreeMap<String, String>,
    /// The key of the node that said so last; none of the founder.
    pub(crate) by: Option<String>,
    /// When, by that node's clock, RFC 3339.
    pub(crate) since: Option<String>,
}

/// A peer that was named to a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TrustedShape {
    /// Its key.
    pub(crate) node: String,
    /// Where it was last reached.
    pub(crate) address: Option<String>,
}

/// What a roster is founded with.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Founding {
    /// What people call this node.
    #[serde(default)]
    pub(crate) name: String,
}

/// Which roster to belong to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Joining {
    /// The key of the node that founded it.
    pub(crate) founder: String,
}

/// What a member may do from now on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Granting {
    /// What people call it; without it, as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// By collection: none, read, write, admin.
    pub(crate) rights: BTreeMap<String, String>,
}

/// Rights as words by collection.
pub(crate) fn words(rights: &Rights) -> BTreeMap<String, String> {
    rights.words().map(|(name, word)| (name.to_owned(), word.to_owned())).collect()
}

/// The rights that words say.
pub(crate) fn rights(words: &BTreeMap<String, String>) -> Result<Rights> {
    Rights::from_words(words.iter().map(|(name, word)| (name.as_str(), word.as_str())))
}

impl From<&Member> for MemberShape {
    fn from(member: &Member) -> MemberShape {
        let said = member.by.map(|_| Timestamp::from_millis(member.since_ms).to_string());
        MemberShape {
            node: member.node.to_string(),
            was: member.was.map(|node| node.to_string()),
            name: member.name.clone(),
            rights: words(&member.rights),
            by: member.by.map(|node| node.to_string()),
            since: said,
        }
    }
}

impl From<&TrustedPeer> for TrustedShape {
    fn from(peer: &TrustedPeer) -> TrustedShape {
        TrustedShape { node: peer.node.to_string(), address: peer.address.clone() }
    }
}

impl RosterShape {
    /// Whom `text` names: a key, a member's name, or the beginning of a key that is known here.
    pub(crate) fn find(&self, text: &str) -> Result<NodeId> {
        if let Ok(node) = text.parse() {
            return Ok(node);
        }
        let members =
            self.members.iter().map(|member| (member.node.as_str(), member.name.as_str()));
        let trusted = self.trusted.iter().map(|peer| (peer.node.as_str(), ""));
        let mut found: Vec<&str> = members
            .chain(trusted)
            .filter(|(node, name)| {
                *name == text || text.len() >= MIN_PREFIX && node.starts_with(text)
            })
            .map(|(node, _)| node)
            .collect();
        found.sort_unstable();
        found.dedup();
        match found[..] {
            [node] => node.parse(),
            [] => Err(Error::new(
                ErrorKind::NotFound,
                format!("'{text}' is no key, and no member is called so; see `littoral peers`"),
            )),
            _ => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("'{text}' names {} members; give the key", found.len()),
            )),
        }
    }

    /// What the roster says of a node.
    pub(crate) fn member(&self, node: &NodeId) -> Option<&MemberShape> {
        let key = node.to_string();
        self.members.iter().find(|member| member.node == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(members: &[(u8, &str)]) -> RosterShape {
        let member = |(n, name): &(u8, &str)| MemberShape {
            node: key(*n),
            was: None,
            name: (*name).to_owned(),
            rights: BTreeMap::new(),
            by: None,
            since: None,
        };
        let members = members.iter().map(member).collect();
        RosterShape { node: key(0), founder: Some(key(0)), members, trusted: Vec::new() }
    }

    fn key(n: u8) -> String {
        littoral::txn::NodeKey::from_seed([n; 32]).id().to_string()
    }

    #[test]
    fn a_member_is_found_by_key_by_name_and_by_how_its_key_begins() {
        let roster = roster(&[(1, "quay"), (2, "pier"), (3, "pier")]);
        for text in [&key(1), "quay", &key(1)[..6]] {
            assert_eq!(roster.find(text).unwrap().to_string(), key(1), "{text}");
        }
        assert_eq!(roster.find("pier").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(roster.find("").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(roster.find(&key(1)[..3]).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(roster.find(&key(9)).unwrap().to_string(), key(9), "a key need not be known");
    }
}

//! How far each peer is behind and how it was lost, for who asks: what links have told, and what is
//! exchanged with peers that are away.

use std::collections::BTreeMap;

use super::network::{Network, Shared};
use super::standing::{Parting, Standing};
use crate::id::NodeId;
use crate::sync::door::Wanted;
use crate::txn::roster::Right;

impl Network {
    /// How far each peer is behind that a link has told of since the network was started, by peer
    /// and collection; also of those with whom there is no link now. Peers that are trusted no
    /// more are left out.
    pub fn standings(&self) -> Vec<Standing> {
        let (site, trust) = (&self.shared.site, &self.shared.trust);
        let away = site.standings.away().into_iter().filter(|(peer, _)| trust.is_trusted(peer));
        let exchanged = away.map(|(peer, wants)| (peer, self.shared.exchanged(&peer, &wants)));
        site.standings.read(
            tokio::time::Instant::now(),
            |peer| trust.is_trusted(peer),
            |name| site.replica.applied_count(name),
            &exchanged.collect::<BTreeMap<_, _>>(),
        )
    }
}

impl Network {
    /// The peers that were linked since the network was started and are not now, in order.
    pub fn partings(&self) -> Vec<Parting> {
        let (site, trust) = (&self.shared.site, &self.shared.trust);
        let mut partings = site.standings.partings();
        partings.retain(|parting| trust.is_trusted(&parting.peer));
        partings
    }
}

impl Shared {
    /// The collections held here that a peer would be told of, if a link came up.
    fn exchanged(&self, peer: &NodeId, wants: &Wanted) -> Vec<String> {
        let replica = &self.site.replica;
        // What can't be read is found out by who writes.
        let mut names = replica.collections().unwrap_or_default();
        let (ours, rights) = (replica.wanted(peer), replica.rights(peer));
        let wanted =
            |by: &Wanted, name: &String| by.as_ref().is_none_or(|names| names.contains(name));
        names.retain(|name| {
            let may_read = rights.as_ref().is_none_or(|of| of.of(Some(name)) >= Right::Read);
            may_read && wanted(&ours, name) && wanted(wants, name)
        });
        names
    }
}

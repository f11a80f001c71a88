//! What a store was told, in a backup: rows of its state, as they lie there.

use redb::{ReadTransaction, ReadableTable};

use crate::error::{Error, Result};
use crate::id::{NodeId, check_collection};
use crate::store::budget;
use crate::store::peers;
use crate::store::tables::{self, db};
use crate::store::{AutomaticCheckpoints, Store};
use crate::txn::bundle::{Setting, SettingKind};

/// All of it, at the moment of a read transaction, in the order in which it is written.
pub(super) fn of(read: &ReadTransaction) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (kind, key) in [
        (SettingKind::Wanted, tables::META_WANTED),
        (SettingKind::Automatic, tables::META_AUTOMATIC),
    ] {
        if let Some(value) = tables::read(read, tables::META, key)? {
            settings.push(Setting { kind, key: Vec::new(), value });
        }
    }
    for (kind, table) in
        [(SettingKind::Budget, tables::BUDGETS), (SettingKind::Peer, tables::PEERS)]
    {
        for entry in read.open_table(table).map_err(db)?.iter().map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            let (key, value) = (key.value().to_vec(), value.value().to_vec());
            settings.push(Setting { kind, key, value });
        }
    }
    Ok(settings)
}

/// Checks that a row can be read.
pub(super) fn check(setting: &Setting) -> Result<()> {
    read(setting).map(drop)
}

/// Tells a store what another was told.
pub(super) fn apply(store: &Store, setting: &Setting) -> Result<()> {
    match read(setting)? {
        Told::Wanted(collections) => store.want(collections),
        Told::Automatic(rule) => store.set_automatic_checkpoints(rule),
        Told::Budget(name, budget) => match name.as_str() {
            "" => store.set_default_log_budget(Some(budget)),
            name => store.set_log_budget(name, Some(budget)),
        },
        Told::Peer(peer) if peer.node == store.node_id() => Ok(()),
        Told::Peer(peer) => {
            match &peer.address {
                Some(address) => store.trust_at(peer.node, address)?,
                None => store.trust(peer.node)?,
            }
            store.want_of(peer.node, peer.collections)
        }
    }
}

enum Told {
    Wanted(peers::Collections),
    Automatic(AutomaticCheckpoints),
    Budget(String, budget::LogBudget),
    Peer(peers::TrustedPeer),
}

fn read(setting: &Setting) -> Result<Told> {
    let Setting { kind, key, value } = setting;
    Ok(match kind {
        SettingKind::Wanted => Told::Wanted(peers::Collections::decode(value)?),
        SettingKind::Automatic => Told::Automatic(AutomaticCheckpoints::decode(value)?),
        SettingKind::Budget => {
            let name = std::str::from_utf8(key).map_err(|_| malformed("a budget's name"))?;
            if !name.is_empty() {
                check_collection(name).map_err(|_| malformed("a budget's name"))?;
            }
            Told::Budget(name.to_owned(), budget::decode(value)?)
        }
        SettingKind::Peer => {
            let key = key.as_slice().try_into().map_err(|_| malformed("a peer's key"))?;
            Told::Peer(peers::read_row(NodeId::from_bytes(key), value)?)
        }
    })
}

fn malformed(what: &str) -> Error {
    Error::corrupt(format!("{what} is malformed"))
}

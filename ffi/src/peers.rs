//! Whom this store trusts.

use littoral::NodeId;
use littoral::store::Collections;
use serde_json::{Value, json};

use crate::collection::was_there;
use crate::error::{Fault, LIT_OK, Outcome, guard, lit_error_t, lit_status_t};
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t};

pub(crate) fn key(key: &lit_slice_t) -> Outcome<NodeId> {
    Ok(key.text("key")?.parse()?)
}

/// Trusts the node with this public key (as lit_store_node_id gives it there) from now on: its
/// links are accepted, and what it sends is checked and applied. Remembered by the store.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (key).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_trust(
    store: *mut lit_store_t,
    key: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (shared, node) = (STORES.get(store)?, self::key(&key)?);
        shared.open()?.trust(node)?;
        #[cfg(feature = "net")]
        shared.net.trust(node);
        Ok(LIT_OK)
    })
}

/// Trusts a node no longer, and closes its links. LIT_NOT_FOUND if it was not trusted. What it
/// wrote stays.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (key).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_distrust(
    store: *mut lit_store_t,
    key: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let (shared, node) = (STORES.get(store)?, self::key(&key)?);
        let there = shared.open()?.distrust(node)?;
        #[cfg(feature = "net")]
        shared.net.distrust(node);
        was_there(there)
    })
}

/// Which collections to exchange with the node `peer`, which is trusted from now on, or, if that
/// is empty, with every peer for which nothing else was said. `collections_json` is an array of
/// names, or null for all. Others neither travel nor cost; what is here stays. Links that are up
/// go by it when they are made again. Remembered by the store.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (names, peer).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_want_json(
    store: *mut lit_store_t,
    collections_json: lit_slice_t,
    peer: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let shared = STORES.get(store)?;
        let names: Option<Vec<String>> =
            serde_json::from_str(collections_json.text("collections")?)
                .map_err(|_| Fault::invalid("collections are a JSON array of names, or null"))?;
        let wanted = match names {
            Some(names) => Collections::only(names)?,
            None => Collections::All,
        };
        match peer.text("peer")?.is_empty() {
            true => shared.open()?.want(wanted)?,
            false => shared.open()?.want_of(key(&peer)?, wanted)?,
        }
        Ok(LIT_OK)
    })
}

/// The nodes that are trusted, as a JSON array of objects of node (the key) and address (where
/// it was last reached, or null).
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_trusted_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let out = out.required("json")?;
        let peers = STORES.get(store)?.open()?.trusted()?;
        let peers = peers
            .into_iter()
            .map(|peer| json!({"node": peer.node.to_string(), "address": peer.address}));
        out.set(Value::from_iter(peers).to_string().into());
        Ok(LIT_OK)
    })
}

//! Who belongs to the network, and what each may do.

use littoral::txn::roster::{Member, Rights};
use serde_json::{Map, Value, json};

use crate::error::{Fault, LIT_OK, Outcome, guard, lit_error_t, lit_status_t};
use crate::peers::key;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t};

/// Founds a roster: from now on, rights decide who may do what. This node is its founder, and may
/// always do everything; people call it `name`. Peers that are trusted now may read and write
/// everything, until they are granted something else.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (name; the store belongs to a roster).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_found_roster(
    store: *mut lit_store_t,
    name: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        store.found_roster(name.text("name")?)?;
        Ok(LIT_OK)
    })
}

/// Belongs to the roster that the node with the key `founder` founded, from now on. What it says
/// comes with the first link to a member.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (founder; the store belongs to another roster).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_join_roster(
    store: *mut lit_store_t,
    founder: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        store.join_roster(key(&founder)?)?;
        Ok(LIT_OK)
    })
}

/// Who belongs, as a JSON object of founder (a key, or null if the store has no roster) and
/// members, an array of objects of node (the key), name, rights, by (the key of the node that said
/// so last; null of the founder) and since_ms (when, by that node's clock, in Unix milliseconds).
/// Rights are an object of words (none, read, write, admin) by collection, "*" being all that are
/// not named.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_roster_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let out = out.required("json")?;
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        let members = store.members().unwrap_or_default();
        let shape = json!({
            "founder": store.founder().map(|node| node.to_string()),
            "members": members.iter().map(member).collect::<Vec<_>>(),
        });
        out.set(shape.to_string().into());
        Ok(LIT_OK)
    })
}

/// Says what the node with the key `member` may do from now on, in the form that
/// lit_store_roster_json gives: {"notes": "write", "*": "read"}. It replaces all that it could do
/// before. `name` is what people call it; empty is as before. It spreads like any change.
///
/// A key that was lost to somebody else should never be granted anything again: what that one
/// wrote with it would be taken, too.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (member, name, rights; the store has no roster);
/// LIT_ERR_FORBIDDEN if this node is not an admin where a right would change, or the member is an
/// admin beside or above it there.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_grant_json(
    store: *mut lit_store_t,
    member: lit_slice_t,
    name: lit_slice_t,
    rights_json: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        let (node, name) = (key(&member)?, name.text("name")?);
        let rights = rights(rights_json.text("rights")?)?;
        store.grant(node, Some(name).filter(|name| !name.is_empty()), rights)?;
        Ok(LIT_OK)
    })
}

/// Takes all rights from the node with the key `member`: every node that hears of it ends its
/// links with it. What it wrote that somebody who may write holds stays.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_FORBIDDEN, as lit_store_grant_json.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_revoke(
    store: *mut lit_store_t,
    member: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        store.revoke(key(&member)?)?;
        Ok(LIT_OK)
    })
}

fn member(member: &Member) -> Value {
    let rights = member.rights.words().map(|(name, word)| (name.to_owned(), word.into()));
    json!({
        "node": member.node.to_string(),
        "name": member.name,
        "rights": rights.collect::<Map<String, Value>>(),
        "by": member.by.map(|node| node.to_string()),
        "since_ms": member.by.map(|_| member.since_ms),
    })
}

fn rights(text: &str) -> Outcome<Rights> {
    let wrong = || Fault::invalid("rights are a JSON object of words by collection");
    let words: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let words: Vec<(&str, &str)> = words
        .iter()
        .map(|(name, word)| Ok((name.as_str(), word.as_str().ok_or_else(wrong)?)))
        .collect::<Outcome<_>>()?;
    Ok(Rights::from_words(words)?)
}

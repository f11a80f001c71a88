//! Bundles: changes in a file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use littoral::NodeId;
use littoral::store::{ApplyOptions, BundleContents, BundleOptions, Have};

use crate::error::{Fault, LIT_OK, Outcome, guard, lit_error_t, lit_status_t};
use crate::json;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t};

/// Fail rather than carry all documents of a collection whose log no longer reaches back.
pub const LIT_BUNDLE_NO_SNAPSHOTS: u32 = 1;

pub(crate) fn path(path: &lit_slice_t, what: &str) -> Outcome<PathBuf> {
    match path.text(what)? {
        "" => Err(Fault::invalid(format!("{what} is empty"))),
        path => Ok(PathBuf::from(path)),
    }
}

fn names(collections: &lit_slice_t) -> Outcome<Option<BTreeSet<String>>> {
    match collections.text("collections")? {
        "" => Ok(None),
        text => serde_json::from_str(text)
            .map_err(|_| Fault::invalid("collections are a JSON array of names, or null")),
    }
}

/// Writes to the file `path` what this store has: so that lit_bundle_create elsewhere, given that
/// file as `since`, leaves it out. A file of that name is replaced.
///
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_bundle_have(
    store: *mut lit_store_t,
    path: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let path = self::path(&path, "path")?;
        STORES.get(store)?.open()?.bundle_have(path)?;
        Ok(LIT_OK)
    })
}

/// Makes a bundle: a file with the changes that its receiver lacks, to be carried there by any
/// means and applied with lit_bundle_apply. A file of that name is replaced when the bundle is
/// whole.
///
/// `since` is a file that lit_bundle_have wrote at the receiver, or an earlier bundle that was
/// given to it; empty is everything. `collections_json` is an array of names, or empty for all
/// that the store wants. Where the log no longer reaches back a collection goes as a snapshot,
/// unless `flags` has LIT_BUNDLE_NO_SNAPSHOTS. `*json` says what is in the bundle, as
/// lit_bundle_inspect_json does; it is yours: free it with lit_bytes_free.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_NOT_FOUND if the log does not reach back and snapshots are not allowed;
/// LIT_ERR_FORKED if the receiver has other transactions under the same names; LIT_ERR_REFUSED
/// if it belongs to another network; LIT_ERR_UNKNOWN_COLLECTION; LIT_ERR_CORRUPT if `since` is
/// damaged; LIT_ERR_DISK_FULL.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_bundle_create(
    store: *mut lit_store_t,
    path: lit_slice_t,
    since: lit_slice_t,
    collections_json: lit_slice_t,
    flags: u32,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let (json, path) = (json.required("json")?, self::path(&path, "path")?);
        if flags & !LIT_BUNDLE_NO_SNAPSHOTS != 0 {
            return Err(Fault::invalid("flags: one is set that this library does not know"));
        }
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        let since = match since.text("since")? {
            "" => None,
            path => Some(Have::open(path)?),
        };
        let options = BundleOptions {
            since,
            collections: names(&collections_json)?,
            snapshots: flags & LIT_BUNDLE_NO_SNAPSHOTS == 0,
        };
        json.set(json::bundle(&store.bundle_create(path, &options)?, None).into());
        Ok(LIT_OK)
    })
}

/// Applies the bundle in the file `path` as what a peer sends is applied. What is here already is
/// passed over, so a bundle may be applied again, and one that was interrupted goes on.
///
/// `from` is the key of the node that made it, for its snapshots to be believed although that
/// node is not trusted; empty otherwise. `collections_json` is an array of names, or empty for all
/// that the store wants. `*json` is {"collections": [{"name", "snapshot", "wanted", "new",
/// "duplicates"}]}, in transactions; it is yours: free it with lit_bytes_free.
///
/// Thread-safe. Blocks: commit.
/// Errors, which leave what was applied before: LIT_ERR_CORRUPT if the file is damaged or cut
/// short; LIT_ERR_MISSING_DEPENDENCY if it builds on what is not here; LIT_ERR_REFUSED for another
/// network and for a snapshot of a node that is not trusted; LIT_ERR_INVALID_TRANSACTION;
/// LIT_ERR_FORKED; LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_LOCKED if a link takes in a snapshot just now;
/// LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_bundle_apply(
    store: *mut lit_store_t,
    path: lit_slice_t,
    from: lit_slice_t,
    collections_json: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let (json, path) = (json.required("json")?, self::path(&path, "path")?);
        let from = match from.text("from")? {
            "" => None,
            key => Some(key.parse::<NodeId>()?),
        };
        let options = ApplyOptions { collections: names(&collections_json)?, from };
        let applied = STORES.get(store)?.open()?.bundle_apply(path, &options)?;
        json.set(json::applied(&applied).into());
        Ok(LIT_OK)
    })
}

/// Says what is in the bundle in the file `path`, after checking each frame and each signature:
/// an object of network, maker, made, bytes, and of each of collections its name, snapshot, since
/// (how many transactions its receiver was taken to have), transactions, documents, bytes, oldest,
/// newest (RFC 3339, or null) and authors: [{"author", "incarnation", "first", "last"}]. With a
/// store also new and missing: how many transactions of what it brings, and of what it leaves out,
/// that store lacks. Names are only ever added.
///
/// `store` may be NULL. `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_CORRUPT if the file is damaged or cut short; LIT_ERR_INVALID_TRANSACTION;
/// LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_REFUSED if it belongs to another network than the store.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_bundle_inspect_json(
    path: lit_slice_t,
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let (json, path) = (json.required("json")?, self::path(&path, "path")?);
        let contents = BundleContents::open(path)?;
        let have = match store.is_null() {
            true => None,
            false => Some(STORES.get(store)?.open()?.have_for(&contents)?),
        };
        json.set(json::bundle(&contents, have.as_ref()).into());
        Ok(LIT_OK)
    })
}

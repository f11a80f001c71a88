//! The key of a node.

use littoral::Options;
use serde_json::json;

use crate::error::{Fault, LIT_OK, guard, lit_error_t, lit_status_t};
use crate::slices::{Out, lit_bytes_t, lit_slice_t};

/// Gives the store in the directory `path`, which nobody may have open, a new key, under the
/// passphrase of the old one (empty: none). It goes on with its history, and as the member that it
/// was. Members of its roster hear of the new key when they link with it; without a roster, peers
/// have to be told. Cut short at any moment, it is finished or forgotten when the store is opened
/// next.
///
/// `*json` is {"from", "to", "untold"}: the keys, and those of the nodes that have yet to hear; it is
/// yours: free it with lit_bytes_free.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_FORBIDDEN if the node founded its roster, or is no member of it;
/// LIT_ERR_INVALID_INPUT if some have not heard of the last change yet; LIT_ERR_LOCKED,
/// LIT_ERR_NOT_A_STORE, LIT_ERR_PASSPHRASE.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_key_rotate(
    path: lit_slice_t,
    passphrase: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let path = match path.text("path")? {
            "" => return Err(Fault::invalid("path is empty")),
            path => path,
        };
        let options = match passphrase.text("passphrase")? {
            "" => Options::new(),
            text => Options::new().passphrase(text),
        };
        let change = options.rotate_key(path)?;
        let untold: Vec<String> = change.untold.iter().map(ToString::to_string).collect();
        let (from, to) = (change.from.to_string(), change.to.to_string());
        json.set(json!({"from": from, "to": to, "untold": untold}).to_string().into_bytes().into());
        Ok(LIT_OK)
    })
}

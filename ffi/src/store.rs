//! Stores: opening, closing, and what concerns the store as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use littoral::store::{Compacted, VerifyOptions};
use littoral::{Options, Store};

use crate::changes::wait;
use crate::error::{Fault, LIT_OK, Outcome, guard, guard_free, lit_error_t, lit_status_t};
use crate::handles::Registry;
use crate::invites;
use crate::json;
use crate::slices::{Grows, Out, Zeroed, lit_bytes_t, lit_slice_t, options};
use crate::subscribe::Calls;

/// An open store: documents on this device, in one directory.
pub struct lit_store_t(());

/// Open only a store that is there; without it a new one is made in an empty directory.
pub const LIT_OPEN_EXISTING: u32 = 1;

/// How to open a store. Initialise it with lit_options_init, then set what you need; all zero
/// but struct_size are the defaults. Fields are only ever added, at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lit_options_t {
    /// Bytes of this struct in the header that you compiled with; lit_options_init sets it.
    pub struct_size: usize,
    /// LIT_OPEN_EXISTING, or 0.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// How much of the state to keep in memory, in bytes; 0 is 32 MiB.
    pub cache_bytes: u64,
    /// The name of the network that a new store belongs to: only stores of one network sync.
    /// Empty is "default". A store keeps its network; opening it for another one is an error.
    pub network: lit_slice_t,
    /// What the node's key is encrypted with; a new store encrypts its key with it. Empty is
    /// none. LIT_ERR_PASSPHRASE if it is missing or wrong.
    pub passphrase: lit_slice_t,
    /// A ticket: a new store belongs to its network, so that lit_store_join can join with it.
    /// A store that is there keeps its network. Empty is none. Not together with `network`.
    pub ticket: lit_slice_t,
}

impl Zeroed for lit_options_t {
    const ZEROED: lit_options_t = lit_options_t {
        struct_size: 0,
        flags: 0,
        reserved: 0,
        cache_bytes: 0,
        network: lit_slice_t::ZEROED,
        passphrase: lit_slice_t::ZEROED,
        ticket: lit_slice_t::ZEROED,
    };
}

// SAFETY: it is repr(C), begins with its size, and is made of integers and a raw pointer.
unsafe impl Grows for lit_options_t {
    const FIRST_BYTES: usize = std::mem::offset_of!(lit_options_t, passphrase);
}

/// A store and what depends on it: all handles of one lit_store_t share it.
pub(crate) struct Shared {
    store: Store,
    closed: AtomicBool,
    pub(crate) calls: Calls,
    #[cfg(feature = "net")]
    pub(crate) net: crate::link::Net,
}

pub(crate) static STORES: Registry<lit_store_t, Shared> = Registry::new("store");

impl Shared {
    /// The store, if it is open and not suspended.
    pub(crate) fn open(&self) -> Outcome<&Store> {
        match self.present()? {
            store if store.is_suspended() => Err(Fault::suspended(
                "the store is suspended; lit_store_resume it before you use it",
            )),
            store => Ok(store),
        }
    }

    /// The store, if it is open.
    fn present(&self) -> Outcome<&Store> {
        match self.closed.load(Ordering::Acquire) {
            false => Ok(&self.store),
            true => Err(Fault::closed("the store is closed")),
        }
    }

    /// How often the store was suspended so far: what began before is over.
    pub(crate) fn suspensions(&self) -> u64 {
        self.store.suspensions()
    }

    /// Refuses what began before the store was last suspended.
    pub(crate) fn open_since(&self, suspensions: u64) -> Outcome<()> {
        match self.open()?.suspensions() == suspensions {
            true => Ok(()),
            false => Err(Fault::suspended(
                "the store was suspended since this began: free it, and begin anew",
            )),
        }
    }

    /// Where others may reach it, `host:port`, the likeliest first; empty if it does not listen.
    pub(crate) fn reached_at(&self) -> Vec<String> {
        #[cfg(feature = "net")]
        return self.net.reached_at();
        #[cfg(not(feature = "net"))]
        Vec::new()
    }

    fn close(&self) -> Outcome<()> {
        match self.end() {
            true => Ok(self.store.close()?),
            false => Ok(()),
        }
    }

    fn compact(&self) -> Outcome<Compacted> {
        self.open()?;
        match self.end() {
            true => Ok(self.store.compact()?),
            false => Err(Fault::closed("the store is closed")),
        }
    }

    /// Ends the use of the store by all handles; gives whether it was not ended yet.
    fn end(&self) -> bool {
        let ends = !self.closed.swap(true, Ordering::AcqRel);
        #[cfg(feature = "net")]
        if ends {
            self.net.close();
        }
        ends
    }
}

/// The store behind a handle, for those who keep it.
pub(crate) fn shared(store: *mut lit_store_t) -> Outcome<Arc<Shared>> {
    let shared = STORES.get(store)?;
    shared.open()?;
    Ok(shared)
}

/// Opens the store in the directory `path`, or makes a new one there; missing directories on
/// the way are made too.
///
/// `*store` is yours: free it with lit_store_free. `options` may be NULL for the defaults.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_LOCKED if it is open already, here or in another process;
/// LIT_ERR_NOT_A_STORE if something else is in the directory, or nothing with
/// LIT_OPEN_EXISTING; LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_CORRUPT; LIT_ERR_INVALID_INPUT for
/// options of an impossible size, for a store of another network, and for what is no ticket.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_open(
    path: lit_slice_t,
    options: *const lit_options_t,
    store: *mut *mut lit_store_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (store, err) = unsafe { (Out::new(store), Out::new(err)) };
    guard(err, || {
        let store = store.required("store")?;
        // SAFETY: `options` is NULL or points to the bytes that its struct_size says.
        let options = unsafe { self::options(options, "lit_options") }?;
        let path = PathBuf::from(path.text("path")?);
        if path.as_os_str().is_empty() {
            return Err(Fault::invalid("path is empty; '.' is the current directory"));
        }
        let shared = Shared {
            store: configure(&options)?.open(&path)?,
            closed: AtomicBool::new(false),
            calls: Calls::default(),
            #[cfg(feature = "net")]
            net: crate::link::Net::default(),
        };
        store.set(STORES.insert(shared));
        Ok(LIT_OK)
    })
}

fn configure(options: &lit_options_t) -> Outcome<Options> {
    if options.flags & !LIT_OPEN_EXISTING != 0 || options.reserved != 0 {
        return Err(Fault::invalid("lit_options: a flag is set that this library does not know"));
    }
    let mut configured = Options::new().create(options.flags & LIT_OPEN_EXISTING == 0);
    if options.cache_bytes > 0 {
        configured =
            configured.cache_bytes(usize::try_from(options.cache_bytes).unwrap_or(usize::MAX));
    }
    match options.passphrase.text("passphrase")? {
        "" => {}
        passphrase => configured = configured.passphrase(passphrase),
    }
    match (options.network.text("network")?, options.ticket.text("ticket")?) {
        ("", "") => Ok(configured),
        (name, "") => Ok(configured.network(name)),
        ("", _) => Ok(configured.network_id(invites::ticket(&options.ticket)?.network)),
        _ => Err(Fault::invalid("lit_options: a ticket has a network; don't name another one")),
    }
}

/// Ends the use of a store: links end, everything is written out. The handle stays yours and
/// is still to be freed; it and all handles that came from it give LIT_ERR_CLOSED from now on,
/// and who waits in lit_changes_next gets it at once. Closing twice is harmless.
///
/// The directory can be opened again when this has returned. Subscriptions are called once more,
/// with LIT_ERR_CLOSED, and are still to be freed.
/// Thread-safe. Blocks: commit. `store` stays yours.
/// Errors: of the last write to disk. The store is closed all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_close(
    store: *mut lit_store_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.close()?;
        Ok(LIT_OK)
    })
}

/// Closes the store if it is open, and frees the handle. Whoever wants to hear of errors calls
/// lit_store_close before; nothing that was acknowledged is lost either way. Harmless for NULL.
///
/// Thread-safe. Blocks: commit.
#[unsafe(no_mangle)]
pub extern "C" fn lit_store_free(store: *mut lit_store_t) {
    guard_free(|| {
        if let Some(shared) = STORES.remove(store) {
            // As documented, errors of closing are for lit_store_close.
            let _ = shared.close();
        }
    });
}

/// Makes everything written so far durable, deferred writes included.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_DISK_FULL, LIT_ERR_IO, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_flush(
    store: *mut lit_store_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.open()?.flush()?;
        Ok(LIT_OK)
    })
}

/// Lets go of the directory without closing the store, for an app that goes to the background,
/// where the system ends who holds a lock on a file, or for another process that wants the store
/// (an extension of the app). What is being committed is committed, everything written is made
/// durable, links say goodbye, sockets are closed, and when this returns LIT_OK no file of the
/// store is open and no lock on one is held. lit_store_resume takes all of it up again. If the
/// process ends meanwhile, that is as good as a close.
///
/// `patience_ms` is how long to wait for transactions that are open and commits that are under way,
/// for instance 2000. A transaction that is still open then is over: lit_txn_commit gives
/// LIT_ERR_SUSPENDED, and nothing of it is kept.
///
/// Until lit_store_resume, every call gives LIT_ERR_SUSPENDED but lit_store_close, lit_store_suspend,
/// lit_link_status_json, lit_link_close, the functions that free, and those that need no store
/// (lit_doc_*, lit_diff_left_json). Then stores, collections, documents, changes, subscriptions and
/// links go on where they were: a lit_changes_t at its position, a link with the same peer, a
/// listener at the same port, or at another one if that was taken. Scans, transactions, pasts and
/// diffs that were begun before give LIT_ERR_SUSPENDED for good: free them and begin anew, a scan
/// with lit_scan_options_t.after. Suspending twice is harmless.
///
/// Thread-safe. Blocks: for the time given, and commit; with links for a goodbye, a tenth of a
/// second, or a few seconds where a peer does not answer.
/// Errors: LIT_ERR_TIMEOUT if something is in the way, which `err` names: then the store goes on as
/// before. After LIT_ERR_IO, LIT_ERR_DISK_FULL and LIT_ERR_POISONED everything is let go of all the
/// same, and lit_store_resume says whether to open the store anew.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_suspend(
    store: *mut lit_store_t,
    patience_ms: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.present()?.suspend(wait(patience_ms))?;
        Ok(LIT_OK)
    })
}

/// Takes up again what lit_store_suspend let go of. Harmless for a store that is not suspended.
///
/// Thread-safe. Blocks: disk, as opening does.
/// Errors, after which the store is still suspended: LIT_ERR_LOCKED if another process has it open:
/// try again; LIT_ERR_NOT_A_STORE if another store is there now, LIT_ERR_POISONED if the disk failed
/// before: close this one then, and open it anew; those of lit_store_open.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_resume(
    store: *mut lit_store_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.present()?.wake()?;
        Ok(LIT_OK)
    })
}

/// Gives back to the disk what the store no longer uses, and closes it: open it again after this.
/// Nobody may read meanwhile. It takes as long as copying the documents; a crash on the way loses
/// nothing.
///
/// `before` and `after` may each be NULL; they tell the bytes of the state's file.
/// Thread-safe. Blocks: disk, for long.
/// Errors, after which the store is closed as it is: LIT_ERR_LOCKED if somebody reads;
/// LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_compact(
    store: *mut lit_store_t,
    before: *mut u64,
    after: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (before, after, err) = unsafe { (Out::new(before), Out::new(after), Out::new(err)) };
    guard(err, || {
        let compacted = STORES.get(store)?.compact()?;
        before.set(compacted.before_bytes);
        after.set(compacted.after_bytes);
        Ok(LIT_OK)
    })
}

/// Removes what the logs hold beyond their budgets and nothing needs. Writing does that as it goes;
/// for a store that is seldom written to. `bytes`, how many were removed, may be NULL.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_IO, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_prune(
    store: *mut lit_store_t,
    bytes: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (bytes, err) = unsafe { (Out::new(bytes), Out::new(err)) };
    guard(err, || {
        bytes.set(STORES.get(store)?.open()?.prune()?.bytes);
        Ok(LIT_OK)
    })
}

/// Sets how much of a collection's history the log keeps for peers that were away: bytes of
/// transactions, and milliseconds since they were written here. Who was away for longer is sent
/// a snapshot. 0 for both: the store's default, which is 64 MiB and 30 days.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_DISK_FULL, LIT_ERR_IO, LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_set_log_budget(
    store: *mut lit_store_t,
    collection: lit_slice_t,
    bytes: u64,
    age_ms: u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let name = collection.text("collection")?;
        let budget = (bytes, age_ms) != (0, 0);
        let budget = budget.then_some(littoral::store::LogBudget { bytes, age_ms });
        STORES.get(store)?.open()?.set_log_budget(name, budget)?;
        Ok(LIT_OK)
    })
}

/// This node's public key, as text of 52 letters and digits: what peers trust and connect to.
///
/// `*key` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_node_id(
    store: *mut lit_store_t,
    key: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (key, err) = unsafe { (Out::new(key), Out::new(err)) };
    guard(err, || {
        let key = key.required("key")?;
        key.set(STORES.get(store)?.open()?.node_id().to_string().into());
        Ok(LIT_OK)
    })
}

/// Figures of the store as a JSON object: node, position, state_bytes, log_bytes,
/// log_budget_bytes, log_start, log_held (what keeps the log beyond its budget, or null),
/// log_pins_expired, log_syncs, failure (a sentence, or null), and of each of collections its
/// name, documents, conflicts, transactions, origins, exported, pruned, log_bytes,
/// log_budget_bytes and log_budget_ms. Besides, null as long as there is no network: kept_off, how
/// often somebody was kept off since the network was started, by kind (unknown_keys,
/// failed_handshakes, breaches, ..), and joins, what became of those who showed a ticket: joined,
/// a number, and refused, numbers by why (unknown, expired, used, ..). Names are only ever added.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_stats_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let shared = STORES.get(store)?;
        let stats = json::stats(&shared.open()?.stats()?);
        #[cfg(feature = "net")]
        let stats = shared.net.added_to(stats);
        json.set(stats.to_string().into());
        Ok(LIT_OK)
    })
}

/// Verifies the store while it is in use: every invariant but the sums of the state's pages, which
/// `littoral verify` checks of a store that is closed. That something is wrong is no error, but in
/// the answer, a JSON object: sound (a bool), findings (an array of objects of level, code, place,
/// document (its id, or null), what and advice; level is "note", "warning" or "damage"), more
/// (findings that are not listed), collections, documents, transactions, log_bytes, rebuilt.
/// With `quick` the state is not made anew from the log for comparison, which takes the longest
/// and needs room for files of a while. Names are only ever added.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_verify_json(
    store: *mut lit_store_t,
    quick: bool,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let how = VerifyOptions { quick, ..VerifyOptions::default() };
        json.set(STORES.get(store)?.open()?.verify(&how)?.to_json().into());
        Ok(LIT_OK)
    })
}

/// Explains the state of the store as it is at this moment, the worst first: states that are legal
/// and puzzling, such as peers that were not heard of for long. A JSON array of findings, as
/// lit_store_verify_json has them; empty if all is well.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: commit.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_doctor_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::findings(&STORES.get(store)?.open()?.doctor()?).into());
        Ok(LIT_OK)
    })
}

/// The names of the collections, in order, as a JSON array of strings.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_collections_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::names(&STORES.get(store)?.open()?.collections()).into());
        Ok(LIT_OK)
    })
}

/// All conflicts of the store, as lit_collection_conflicts_json has those of one collection.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_conflicts_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::conflicts(&STORES.get(store)?.open()?.conflicts()?).into());
        Ok(LIT_OK)
    })
}

/// The position of this moment in the store's log: lit_changes_open with it gives what is yet
/// to come. Positions grow, and mean something in this store only.
///
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_position(
    store: *mut lit_store_t,
    position: *mut u64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (position, err) = unsafe { (Out::new(position), Out::new(err)) };
    guard(err, || {
        let position = position.required("position")?;
        position.set(STORES.get(store)?.open()?.position().0);
        Ok(LIT_OK)
    })
}

//! Backups: all that a store holds at one moment, in a file, and a store made of it.

use littoral::Options;
use littoral::store::{BackupOptions, BackupReport, RestoreOptions};

use crate::bundle::path;
use crate::error::{Fault, LIT_OK, guard, lit_error_t, lit_status_t};
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, lit_store_t};

/// Leave out the peers that the store trusts, and their addresses.
pub const LIT_BACKUP_NO_PEERS: u32 = 1;
/// The new store belongs to no roster, and may write at once.
pub const LIT_RESTORE_NO_ROSTER: u32 = 1;

/// Writes all that the store holds at this moment to the file `path`: of every collection the
/// documents, their conflicts and the vector, the roster, and what the store was told. Reads, writes
/// and sync go on meanwhile. The file is made beside its name and read back; then it takes the
/// place of one of that name. The node's secret key, the log and checkpoints are not in it, and it
/// is not encrypted.
///
/// `flags` may have LIT_BACKUP_NO_PEERS. `*json` says what is in it, as lit_backup_check_json does;
/// it is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk, for as long as writing and reading all of it takes.
/// Errors, after which there is no new file: LIT_ERR_CORRUPT if the documents are not those that the
/// store has counted, or the disk gives back something else; LIT_ERR_LIMIT_EXCEEDED for a document
/// that is too large to sync; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_backup(
    store: *mut lit_store_t,
    path: lit_slice_t,
    flags: u32,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let (json, path) = (json.required("json")?, self::path(&path, "path")?);
        if flags & !LIT_BACKUP_NO_PEERS != 0 {
            return Err(Fault::invalid("flags: one is set that this library does not know"));
        }
        let options = BackupOptions { peers: flags & LIT_BACKUP_NO_PEERS == 0 };
        json.set(STORES.get(store)?.open()?.backup(path, &options)?.to_json().into());
        Ok(LIT_OK)
    })
}

/// Says what is in the backup in the file `path`, after checking every byte of it: an object of
/// network, node, made (RFC 3339), bytes, founder (of the roster, or null), statements (of it),
/// peers, documents, transactions, and of each of collections its name, documents, conflicts,
/// transactions, origins and cells (its digest). Needs no store. Names are only ever added.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_CORRUPT if it is damaged or cut short; LIT_ERR_INVALID_INPUT if it is something
/// else; LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_IO.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_backup_check_json(
    path: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(BackupReport::open(self::path(&path, "path")?)?.to_json().into());
        Ok(LIT_OK)
    })
}

/// Makes a store in the directory `dir`, which is empty or absent, of the backup in the file `path`.
/// It is another node, with a key of its own, encrypted if `passphrase` is not empty, and holds the
/// same documents; a backup may be restored as often as one likes. At the end there is a whole store
/// at `dir`, or nothing new. lit_store_open opens it.
///
/// With the roster that the backup has, the new node is no member until an admin lets it in. With
/// LIT_RESTORE_NO_ROSTER in `flags` it belongs to none. `*json` is {"node", "roster", "backup"}: the
/// new node's key, whether it belongs to a roster, and what lit_backup_check_json gives; it is
/// yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk, for as long as reading all of it and writing it takes.
/// Errors: those of lit_backup_check_json; LIT_ERR_INVALID_INPUT also if `dir` is not empty;
/// LIT_ERR_DISK_FULL.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_restore(
    path: lit_slice_t,
    dir: lit_slice_t,
    passphrase: lit_slice_t,
    flags: u32,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let (file, dir) = (self::path(&path, "path")?, self::path(&dir, "dir")?);
        if flags & !LIT_RESTORE_NO_ROSTER != 0 {
            return Err(Fault::invalid("flags: one is set that this library does not know"));
        }
        let options = match passphrase.text("passphrase")? {
            "" => Options::new(),
            text => Options::new().passphrase(text),
        };
        let how = RestoreOptions { roster: flags & LIT_RESTORE_NO_ROSTER == 0 };
        json.set(options.restore(file, dir, &how)?.to_json().into());
        Ok(LIT_OK)
    })
}

/*
 * Littoral: an edge-replicated document store.
 * Generated from ffi/src: do not edit; tests/header.rs in ffi/ tells how to make it anew.
 *
 * Documents live in a directory on this device. Reading and writing never wait for a network;
 * stores that are linked converge. A store has collections, a collection has documents by id
 * (UTF-8, 1 to 512 bytes), a document is a tree of fields: registers (any value), maps, sets of
 * scalars and counters.
 *
 * JSON     An object is a map of fields, an array one value. What JSON has no word for is an object
 *          of one special name: {"$bytes": base64}, {"$time": RFC 3339}, {"$set": [..]},
 *          {"$counter": 3}; {"$literal": {..}} is the object inside, whose name is not special.
 * MessagePack  The same with less: integers, floats, text, bytes, arrays and maps are those of
 *          MessagePack, a time is its timestamp extension (-1), cut to microseconds. Sets, counters
 *          and $literal are maps of one name, as in JSON: {"$set": [..]}. Names are text, each once.
 *          What is put back as it was read is the same, of the same type.
 * Paths    JSON Pointers: "/address/city", with ~0 for ~ and ~1 for /.
 *
 * OWNERSHIP
 *  - What you pass in stays yours, and is read during the call only.
 *  - A handle (lit_store_t *, lit_doc_t *, ...) that a function puts in an out-parameter is yours.
 *    Free it with the one function of its kind: lit_store_free, lit_doc_free, ... Order does not
 *    matter. NULL is harmless.
 *  - A lit_bytes_t in an out-parameter is yours: free it with lit_bytes_free, never with free().
 *  - A lit_slice_t in an out-parameter belongs to the handle that gave it, for as long as the
 *    function says. Copy what you need longer.
 *  - Out-parameters are overwritten without being freed, and are NULL or zero when the status is
 *    not LIT_OK. They may not be NULL where nothing else is said.
 *  - A handle is a number, not an address: using one after it was freed, freeing it twice, or
 *    giving one of another kind is LIT_ERR_HANDLE in every build, never undefined behaviour.
 *
 * THREADS
 *  - "Thread-safe": any number of threads may call it at the same time, on the same handle.
 *  - "One thread at a time": from any thread, but not from two at the same time on the same handle.
 *  - The library has no thread-local state, so a handle may move between threads at will. It calls
 *    no function of yours but those of a lit_callback_t, on a thread of its own, with no lock held.
 *    After fork(), the child must not use handles of the parent.
 *
 * BLOCKING
 *  - "Does not block": memory only.
 *  - "Blocks: disk": may read or write files.
 *  - "Blocks: commit": waits for other writes of this store, for 30 seconds at most, and until the
 *    disk has taken the write. Many threads that write share one sync of the disk.
 *
 * ERRORS
 *  - Functions that can fail return a lit_status_t: 0 is success, positive is an answer that is not
 *    an error (nothing there, at the end, time is over), negative is an error.
 *  - The last argument, `err`, is a lit_error_t of yours with code and sentence, or NULL.
 *  - Any function may return LIT_ERR_NULL, LIT_ERR_HANDLE, LIT_ERR_INVALID_INPUT (text that is not
 *    UTF-8), LIT_ERR_CLOSED, LIT_ERR_SUSPENDED (see lit_store_suspend), and those that block
 *    LIT_ERR_IO and LIT_ERR_CORRUPT. Each names those
 *    that are its own. LIT_ERR_PANIC and LIT_ERR_INTERNAL are mistakes of the library.
 *  - After any error nothing was changed, unless the function says otherwise.
 *
 * VERSIONS
 *  - Statuses, constants and functions are never renumbered or changed, only added. Structs of
 *    options begin with their size and grow at the end. What breaks a compiled program raises
 *    LIT_ABI_VERSION and the number in the name liblittoral.so.N.
 *  - The functions of the network are declared where LIT_NET is defined: everywhere, unless you
 *    define LIT_NO_NET, for a library that was built without it.
 *
 * A program:
 *
 *     #include <littoral.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         lit_error_t err;
 *         lit_store_t *store = NULL;
 *         lit_collection_t *notes = NULL;
 *         lit_bytes_t json = {0};
 *         int ok = lit_store_open(LIT_STR("data"), NULL, &store, &err) == LIT_OK
 *             && lit_collection_open(store, LIT_STR("notes"), &notes, &err) == LIT_OK
 *             && lit_collection_put_json(notes, LIT_STR("n1"), LIT_STR("{\"x\": 1}"), &err) == LIT_OK
 *             && lit_collection_get_json(notes, LIT_STR("n1"), &json, &err) == LIT_OK;
 *         puts(ok ? (const char *)json.ptr : err.message);
 *         lit_bytes_free(&json);
 *         lit_collection_free(notes);
 *         lit_store_free(store);
 *         return ok ? 0 : 1;
 *     }
 */

#ifndef LITTORAL_H
#define LITTORAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------
 * Versions of this header
 */

/** The version of this header. */
#define LIT_VERSION "0.1.0"
#define LIT_VERSION_MAJOR 0
#define LIT_VERSION_MINOR 1
#define LIT_VERSION_PATCH 0
#define LIT_VERSION_NUMBER (LIT_VERSION_MAJOR * 1000000 + LIT_VERSION_MINOR * 1000 + LIT_VERSION_PATCH)

#if !defined(LIT_NO_NET) && !defined(LIT_NET)
#define LIT_NET
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LIT_MUST_USE __attribute__((warn_unused_result))
#else
#define LIT_MUST_USE
#endif

/* ---------------------------------------------------------------------------------------------
 * Constants
 */

/** The number of the binary interface that this header describes; also the library's SONAME. */
#define LIT_ABI_VERSION 0

/** Bytes of the message in a lit_error_t, the final NUL included. */
#define LIT_ERROR_MESSAGE_BYTES 256

/** Open only a store that is there; without it a new one is made in an empty directory. */
#define LIT_OPEN_EXISTING 1

/** From the last id to the first. */
#define LIT_SCAN_REVERSE 1

/** Follow from now on. */
#define LIT_SINCE_NOW UINT64_MAX

/** Follow from the oldest change that the log holds. */
#define LIT_SINCE_START 0

/** Wait without a limit. */
#define LIT_FOREVER (-1)

/** Also what others have changed since. */
#define LIT_UNDO_FORCE 1

/** Only say what would be written, and write nothing. */
#define LIT_UNDO_DRY_RUN 2

/** Fail rather than carry all documents of a collection whose log no longer reaches back. */
#define LIT_BUNDLE_NO_SNAPSHOTS 1

/** Leave out the peers that the store trusts, and their addresses. */
#define LIT_BACKUP_NO_PEERS 1

/** The new store belongs to no roster, and may write at once. */
#define LIT_RESTORE_NO_ROSTER 1

/* ---------------------------------------------------------------------------------------------
 * Types
 */

/** The changes of a store from a position on. */
typedef struct lit_changes_t lit_changes_t;

/** A collection of a store: documents by id. */
typedef struct lit_collection_t lit_collection_t;

/** Documents that differ, one by one. */
typedef struct lit_diff_t lit_diff_t;

/** A document as it was read: it never changes, and lives on when its store is closed. */
typedef struct lit_doc_t lit_doc_t;

#if defined(LIT_NET)
/** A link to a peer, which the library keeps up: it reconnects by itself after every cut. */
typedef struct lit_link_t lit_link_t;
#endif

/** A store as it was at a checkpoint, to be read. */
typedef struct lit_past_t lit_past_t;

/** A scan in progress, over the documents as they were when it began. */
typedef struct lit_scan_t lit_scan_t;

/** An open store: documents on this device, in one directory. */
typedef struct lit_store_t lit_store_t;

/** A function of yours that is called with changes, until it is freed. */
typedef struct lit_subscription_t lit_subscription_t;

/** An open transaction: all of it happens, or nothing. */
typedef struct lit_txn_t lit_txn_t;

/**
 * What a call came to. 0 is success, a positive number is an answer that is not an error, a
 * negative number is an error. The numbers never change; new ones may be added, so treat an
 * unknown negative number as an error.
 */
typedef int32_t lit_status_t;

/**
 * Bytes of yours, made by the library: free them with lit_bytes_free.
 *
 * `ptr[len]` is always a NUL that does not count, so JSON can be printed as a C string.
 */
typedef struct lit_bytes_t {
    /** The first byte. NULL after a call that failed, and after lit_bytes_free. */
    uint8_t *ptr;
    /** How many bytes, without the final NUL. */
    size_t len;
} lit_bytes_t;

/**
 * Bytes of somebody else: text (UTF-8, need not end with NUL, may hold NUL) or data.
 *
 * As an argument it is yours and is read during the call only. As a result it belongs to
 * the handle that gave it, for as long as the function says. {NULL, 0} is empty. See
 * LIT_STR, lit_cstr and lit_slice at the end of this header.
 */
typedef struct lit_slice_t {
    /** The first byte. */
    const uint8_t *ptr;
    /** How many bytes. */
    size_t len;
} lit_slice_t;

/**
 * How to open a store. Initialise it with lit_options_init, then set what you need; all zero
 * but struct_size are the defaults. Fields are only ever added, at the end.
 */
typedef struct lit_options_t {
    /** Bytes of this struct in the header that you compiled with; lit_options_init sets it. */
    size_t struct_size;
    /** LIT_OPEN_EXISTING, or 0. */
    uint32_t flags;
    /** Must be 0. */
    uint32_t reserved;
    /** How much of the state to keep in memory, in bytes; 0 is 32 MiB. */
    uint64_t cache_bytes;
    /**
     * The name of the network that a new store belongs to: only stores of one network sync.
     * Empty is "default". A store keeps its network; opening it for another one is an error.
     */
    struct lit_slice_t network;
    /**
     * What the node's key is encrypted with; a new store encrypts its key with it. Empty is
     * none. LIT_ERR_PASSPHRASE if it is missing or wrong.
     */
    struct lit_slice_t passphrase;
    /**
     * A ticket: a new store belongs to its network, so that lit_store_join can join with it.
     * A store that is there keeps its network. Empty is none. Not together with `network`.
     */
    struct lit_slice_t ticket;
} lit_options_t;

/**
 * What went wrong, for programs and for people. Yours: put it on the stack and give its
 * address, or NULL if the status is enough. Each call that takes one fills it: after a call
 * without error `code` is the status (0 or positive) and `message` is empty, or tells more.
 */
typedef struct lit_error_t {
    /** The status that the call returned. */
    lit_status_t code;
    /**
     * A sentence: what was wanted, what was found, what to do. UTF-8, ended by NUL, cut at
     * a character if it is too long. Never holds data of the documents.
     */
    char message[LIT_ERROR_MESSAGE_BYTES];
} lit_error_t;

/**
 * Which documents to scan: those for which all of it holds, in the order of the bytes of their
 * ids. Initialise it with lit_scan_options_init. A slice of {NULL, 0} asks for nothing.
 */
typedef struct lit_scan_options_t {
    /**
     * Bytes of this struct in the header that you compiled with; lit_scan_options_init sets it.
     */
    size_t struct_size;
    /** LIT_SCAN_REVERSE, or 0. */
    uint32_t flags;
    /** Must be 0. */
    uint32_t reserved;
    /** At most so many documents; 0 is all. */
    uint64_t limit;
    /** Only ids that begin so. */
    struct lit_slice_t prefix;
    /** Only ids from this one on. */
    struct lit_slice_t start;
    /** Only ids after this one, in the direction of the scan: where an earlier page ended. */
    struct lit_slice_t after;
    /** Only ids before this one. */
    struct lit_slice_t end;
} lit_scan_options_t;

/**
 * A document was written by a transaction. What it holds now is to be read; it may be gone.
 * The slices belong to the lit_changes_t: valid until the next call on it.
 */
typedef struct lit_change_t {
    /**
     * Where to resume after this change: keep it, and give it to lit_changes_open. Within a
     * transaction of several documents resuming repeats some rather than losing one.
     */
    uint64_t position;
    /** When, in milliseconds since 1970, by its author's clock. */
    uint64_t time_ms;
    /** The number of the transaction among its author's in the collection. */
    uint64_t seq;
    /** The collection's name. */
    struct lit_slice_t collection;
    /** The document's id. */
    struct lit_slice_t id;
    /** Who wrote it: the node's key. */
    struct lit_slice_t origin;
    /** Whether this node wrote it. */
    bool local;
} lit_change_t;

/** What to be called with. Initialise it with lit_subscribe_options_init. */
typedef struct lit_subscribe_options_t {
    /**
     * Bytes of this struct in the header that you compiled with; lit_subscribe_options_init sets it.
     */
    size_t struct_size;
    /** Must be 0. */
    uint32_t flags;
    /** Must be 0. */
    uint32_t reserved;
    /**
     * The position after which to begin, as of lit_changes_open; LIT_SINCE_NOW after
     * lit_subscribe_options_init.
     */
    uint64_t since;
    /** Only changes of this collection; {NULL, 0} is all. */
    struct lit_slice_t collection;
} lit_subscribe_options_t;

/**
 * A function of yours, and what it works on.
 *
 * `call` and `drop` run on a thread of the library, one for each store, and never two at a time for
 * one store. No lock of the library is held: they may call it, lit_store_close and
 * lit_subscription_free included. While `call` runs, other subscriptions of the store wait. They
 * must return: no longjmp, no exception.
 */
typedef struct lit_callback_t {
    /** Handed to `call` and `drop`; the library does not look at it. */
    void *context;
    /**
     * Called with each change, and LIT_OK; `change` and its slices are valid during the call.
     *
     * With another status `change` is NULL. LIT_ERR_NOT_FOUND: the log no longer reached back to
     * where the subscription was, so it goes on from the present moment: read the documents anew.
     * Any other is the last call: LIT_ERR_CLOSED after lit_store_close, or an error of the disk.
     */
    void (*call)(void *context, lit_status_t status, const struct lit_change_t *change);
    /** Called once, after the last call. May be NULL. */
    void (*drop)(void *context);
} lit_callback_t;

/* ---------------------------------------------------------------------------------------------
 * Statuses
 */

/** Done. */
#define LIT_OK 0

/** Not an error: there is no such document, field or element. Nothing was read or removed. */
#define LIT_NOT_FOUND 1

/** Not an error: the iterator is at its end. */
#define LIT_END 2

/** Not an error: the time allowed ran out and what was waited for has not come yet. */
#define LIT_TIMEOUT 3

/**
 * An argument is not of the required form: id, path, value, JSON, UTF-8. Nothing was changed.
 */
#define LIT_ERR_INVALID_INPUT (-1)

/** An argument is larger or deeper than a limit allows. Nothing was changed. */
#define LIT_ERR_LIMIT_EXCEEDED (-2)

/** The field holds another kind than asked for. Nothing was changed. */
#define LIT_ERR_WRONG_KIND (-3)

/** The store has no such collection. Nothing was changed. */
#define LIT_ERR_UNKNOWN_COLLECTION (-4)

/** What the call builds on is not there, for instance a log position that is pruned. */
#define LIT_ERR_NOT_FOUND (-5)

/** The document is no longer at the version that the caller requires. Nothing was changed. */
#define LIT_ERR_VERSION_MISMATCH (-6)

/** Another process, or another handle of this one, has the store open. */
#define LIT_ERR_LOCKED (-10)

/** The directory holds something that is not a store. */
#define LIT_ERR_NOT_A_STORE (-11)

/** A file or a peer speaks a newer format than this library. */
#define LIT_ERR_FORMAT_TOO_NEW (-12)

/**
 * The files contradict themselves: the store does not open; nothing was changed. Or a bundle is
 * damaged or cut short: what came before the damage was applied.
 */
#define LIT_ERR_CORRUPT (-13)

/** The disk is full. The transaction was not committed. */
#define LIT_ERR_DISK_FULL (-14)

/** The operating system refused a file operation. */
#define LIT_ERR_IO (-15)

/**
 * An earlier commit failed with an unknown outcome, or the disk could not be read: the store refuses writes until it is opened again.
 */
#define LIT_ERR_POISONED (-16)

/** The store, transaction or link has ended. */
#define LIT_ERR_CLOSED (-17)

/** Another write has been open for too long. Nothing was changed. */
#define LIT_ERR_TIMEOUT (-18)

/**
 * The store is suspended; or it was suspended since what was asked began: a scan, a transaction,
 * a past. Nothing was changed.
 */
#define LIT_ERR_SUSPENDED (-19)

/** A transaction of a peer or a file is invalid. Nothing of it was applied. */
#define LIT_ERR_INVALID_TRANSACTION (-20)

/** A transaction builds on others that are not here. Nothing of it was applied. */
#define LIT_ERR_MISSING_DEPENDENCY (-21)

/**
 * Two different transactions have one name: a copy of a store wrote beside it, or it was
 * rolled back. Nothing of the second one was applied.
 */
#define LIT_ERR_FORKED (-22)

/**
 * A right is missing: this node, or the author of what it was given, may not do that there.
 * Nothing was changed.
 */
#define LIT_ERR_FORBIDDEN (-23)

/** The node's key is encrypted, and the passphrase is missing or wrong. */
#define LIT_ERR_PASSPHRASE (-24)

/** The peer is not known, or it refused us. */
#define LIT_ERR_REFUSED (-30)

/** The network failed: address, connection, handshake. */
#define LIT_ERR_NETWORK (-31)

/** The peer broke the protocol. */
#define LIT_ERR_PROTOCOL (-32)

/** A write gave up; it was rolled back. */
#define LIT_ERR_ABORTED (-40)

/** A required pointer is NULL. Nothing was changed. */
#define LIT_ERR_NULL (-60)

/** A handle is not live: it was freed before, or it is of another kind. Nothing was changed. */
#define LIT_ERR_HANDLE (-61)

/**
 * A mistake of ours was caught at the border: please report it. Free the handles of the call.
 */
#define LIT_ERR_PANIC (-98)

/** A mistake of ours: please report it. */
#define LIT_ERR_INTERNAL (-99)

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---------------------------------------------------------------------------------------------
 * Versions and statuses
 */

/**
 * The version of the library that is running, for instance "0.1.0". Static: do not free it.
 *
 * Thread-safe. Does not block.
 */
const char *lit_version(void);

/**
 * The same as a number that can be compared with LIT_VERSION_NUMBER of the header:
 * major * 1000000 + minor * 1000 + patch.
 *
 * Thread-safe. Does not block.
 */
uint32_t lit_version_number(void);

/**
 * The binary interface of the library that is running. A program may use a library whose
 * number equals the LIT_ABI_VERSION that it was compiled with, and no other.
 *
 * Thread-safe. Does not block.
 */
uint32_t lit_abi_version(void);

/**
 * The name of a status, for instance "LIT_ERR_LOCKED"; "LIT_ERR_UNKNOWN" for a number that
 * this library does not know. Static: do not free it.
 *
 * Thread-safe. Does not block.
 */
const char *lit_status_name(lit_status_t status);

/* ---------------------------------------------------------------------------------------------
 * Bytes
 */

/**
 * Frees bytes that the library made, and sets `*bytes` to {NULL, 0}. Harmless for NULL, for
 * {NULL, 0}, and when called again on the same lit_bytes_t. A copy of it dangles.
 *
 * Thread-safe for different bytes. Does not block.
 */
void lit_bytes_free(struct lit_bytes_t *bytes);

/* ---------------------------------------------------------------------------------------------
 * Stores
 */

/**
 * Opens the store in the directory `path`, or makes a new one there; missing directories on
 * the way are made too.
 *
 * `*store` is yours: free it with lit_store_free. `options` may be NULL for the defaults.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_LOCKED if it is open already, here or in another process;
 * LIT_ERR_NOT_A_STORE if something else is in the directory, or nothing with
 * LIT_OPEN_EXISTING; LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_CORRUPT; LIT_ERR_INVALID_INPUT for
 * options of an impossible size, for a store of another network, and for what is no ticket.
 */
LIT_MUST_USE
lit_status_t lit_store_open(struct lit_slice_t path,
                            const struct lit_options_t *options,
                            struct lit_store_t **store,
                            struct lit_error_t *err);

/**
 * Ends the use of a store: links end, everything is written out. The handle stays yours and
 * is still to be freed; it and all handles that came from it give LIT_ERR_CLOSED from now on,
 * and who waits in lit_changes_next gets it at once. Closing twice is harmless.
 *
 * The directory can be opened again when this has returned. Subscriptions are called once more,
 * with LIT_ERR_CLOSED, and are still to be freed.
 * Thread-safe. Blocks: commit. `store` stays yours.
 * Errors: of the last write to disk. The store is closed all the same.
 */
lit_status_t lit_store_close(struct lit_store_t *store, struct lit_error_t *err);

/**
 * Closes the store if it is open, and frees the handle. Whoever wants to hear of errors calls
 * lit_store_close before; nothing that was acknowledged is lost either way. Harmless for NULL.
 *
 * Thread-safe. Blocks: commit.
 */
void lit_store_free(struct lit_store_t *store);

/**
 * Makes everything written so far durable, deferred writes included.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_DISK_FULL, LIT_ERR_IO, LIT_ERR_POISONED.
 */
LIT_MUST_USE lit_status_t lit_store_flush(struct lit_store_t *store, struct lit_error_t *err);

/**
 * Lets go of the directory without closing the store, for an app that goes to the background,
 * where the system ends who holds a lock on a file, or for another process that wants the store
 * (an extension of the app). What is being committed is committed, everything written is made
 * durable, links say goodbye, sockets are closed, and when this returns LIT_OK no file of the
 * store is open and no lock on one is held. lit_store_resume takes all of it up again. If the
 * process ends meanwhile, that is as good as a close.
 *
 * `patience_ms` is how long to wait for transactions that are open and commits that are under way,
 * for instance 2000. A transaction that is still open then is over: lit_txn_commit gives
 * LIT_ERR_SUSPENDED, and nothing of it is kept.
 *
 * Until lit_store_resume, every call gives LIT_ERR_SUSPENDED but lit_store_close, lit_store_suspend,
 * lit_link_status_json, lit_link_close, the functions that free, and those that need no store
 * (lit_doc_*, lit_diff_left_json). Then stores, collections, documents, changes, subscriptions and
 * links go on where they were: a lit_changes_t at its position, a link with the same peer, a
 * listener at the same port, or at another one if that was taken. Scans, transactions, pasts and
 * diffs that were begun before give LIT_ERR_SUSPENDED for good: free them and begin anew, a scan
 * with lit_scan_options_t.after. Suspending twice is harmless.
 *
 * Thread-safe. Blocks: for the time given, and commit; with links for a goodbye, a tenth of a
 * second, or a few seconds where a peer does not answer.
 * Errors: LIT_ERR_TIMEOUT if something is in the way, which `err` names: then the store goes on as
 * before. After LIT_ERR_IO, LIT_ERR_DISK_FULL and LIT_ERR_POISONED everything is let go of all the
 * same, and lit_store_resume says whether to open the store anew.
 */
LIT_MUST_USE
lit_status_t lit_store_suspend(struct lit_store_t *store,
                               int64_t patience_ms,
                               struct lit_error_t *err);

/**
 * Takes up again what lit_store_suspend let go of. Harmless for a store that is not suspended.
 *
 * Thread-safe. Blocks: disk, as opening does.
 * Errors, after which the store is still suspended: LIT_ERR_LOCKED if another process has it open:
 * try again; LIT_ERR_NOT_A_STORE if another store is there now, LIT_ERR_POISONED if the disk failed
 * before: close this one then, and open it anew; those of lit_store_open.
 */
LIT_MUST_USE lit_status_t lit_store_resume(struct lit_store_t *store, struct lit_error_t *err);

/**
 * Gives back to the disk what the store no longer uses, and closes it: open it again after this.
 * Nobody may read meanwhile. It takes as long as copying the documents; a crash on the way loses
 * nothing.
 *
 * `before` and `after` may each be NULL; they tell the bytes of the state's file.
 * Thread-safe. Blocks: disk, for long.
 * Errors, after which the store is closed as it is: LIT_ERR_LOCKED if somebody reads;
 * LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_compact(struct lit_store_t *store,
                               uint64_t *before,
                               uint64_t *after,
                               struct lit_error_t *err);

/**
 * Removes what the logs hold beyond their budgets and nothing needs. Writing does that as it goes;
 * for a store that is seldom written to. `bytes`, how many were removed, may be NULL.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_IO, LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_prune(struct lit_store_t *store,
                             uint64_t *bytes,
                             struct lit_error_t *err);

/**
 * Sets how much of a collection's history the log keeps for peers that were away: bytes of
 * transactions, and milliseconds since they were written here. Who was away for longer is sent
 * a snapshot. 0 for both: the store's default, which is 64 MiB and 30 days.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_DISK_FULL, LIT_ERR_IO, LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_set_log_budget(struct lit_store_t *store,
                                      struct lit_slice_t collection,
                                      uint64_t bytes,
                                      uint64_t age_ms,
                                      struct lit_error_t *err);

/**
 * This node's public key, as text of 52 letters and digits: what peers trust and connect to.
 *
 * `*key` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_store_node_id(struct lit_store_t *store,
                               struct lit_bytes_t *key,
                               struct lit_error_t *err);

/**
 * Figures of the store as a JSON object: node, position, state_bytes, log_bytes,
 * log_budget_bytes, log_start, log_held (what keeps the log beyond its budget, or null),
 * log_pins_expired, log_syncs, failure (a sentence, or null), and of each of collections its
 * name, documents, conflicts, transactions, origins, exported, pruned, log_bytes,
 * log_budget_bytes and log_budget_ms. Besides, null as long as there is no network: kept_off, how
 * often somebody was kept off since the network was started, by kind (unknown_keys,
 * failed_handshakes, breaches, ..), and joins, what became of those who showed a ticket: joined,
 * a number, and refused, numbers by why (unknown, expired, used, ..). Names are only ever added.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_stats_json(struct lit_store_t *store,
                                  struct lit_bytes_t *json,
                                  struct lit_error_t *err);

/**
 * Verifies the store while it is in use: every invariant but the sums of the state's pages, which
 * `littoral verify` checks of a store that is closed. That something is wrong is no error, but in
 * the answer, a JSON object: sound (a bool), findings (an array of objects of level, code, place,
 * document (its id, or null), what and advice; level is "note", "warning" or "damage"), more
 * (findings that are not listed), collections, documents, transactions, log_bytes, rebuilt.
 * With `quick` the state is not made anew from the log for comparison, which takes the longest
 * and needs room for files of a while. Names are only ever added.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_verify_json(struct lit_store_t *store,
                                   bool quick,
                                   struct lit_bytes_t *json,
                                   struct lit_error_t *err);

/**
 * Explains the state of the store as it is at this moment, the worst first: states that are legal
 * and puzzling, such as peers that were not heard of for long. A JSON array of findings, as
 * lit_store_verify_json has them; empty if all is well.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: commit.
 */
LIT_MUST_USE
lit_status_t lit_store_doctor_json(struct lit_store_t *store,
                                   struct lit_bytes_t *json,
                                   struct lit_error_t *err);

/**
 * The names of the collections, in order, as a JSON array of strings.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_store_collections_json(struct lit_store_t *store,
                                        struct lit_bytes_t *json,
                                        struct lit_error_t *err);

/**
 * All conflicts of the store, as lit_collection_conflicts_json has those of one collection.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_conflicts_json(struct lit_store_t *store,
                                      struct lit_bytes_t *json,
                                      struct lit_error_t *err);

/**
 * The position of this moment in the store's log: lit_changes_open with it gives what is yet
 * to come. Positions grow, and mean something in this store only.
 *
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_store_position(struct lit_store_t *store,
                                uint64_t *position,
                                struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Collections: whole documents
 */

/**
 * The collection `name` of a store. It need not exist: it begins with its first write, here or
 * at a peer. A name has 1 to 128 letters, digits, '_', '-' and '.', and starts with none of
 * '-' and '.'.
 *
 * `*collection` is yours: free it with lit_collection_free. It keeps what it needs of the
 * store, but works only until the store is closed.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (name).
 */
LIT_MUST_USE
lit_status_t lit_collection_open(struct lit_store_t *store,
                                 struct lit_slice_t name,
                                 struct lit_collection_t **collection,
                                 struct lit_error_t *err);

/**
 * Frees a collection's handle; its documents stay. Harmless for NULL.
 *
 * Thread-safe. Does not block.
 */
void lit_collection_free(struct lit_collection_t *collection);

/**
 * How many documents there are. Counted, not computed: cheap however many.
 *
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_collection_len(struct lit_collection_t *collection,
                                uint64_t *len,
                                struct lit_error_t *err);

/**
 * Reads a document, with its version. LIT_NOT_FOUND if there is none; then `*doc` is NULL.
 *
 * `*doc` is yours: free it with lit_doc_free. It shows this moment for as long as it lives.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
 */
LIT_MUST_USE
lit_status_t lit_collection_get(struct lit_collection_t *collection,
                                struct lit_slice_t id,
                                struct lit_doc_t **doc,
                                struct lit_error_t *err);

/**
 * Reads a document as JSON. LIT_NOT_FOUND if there is none; then `*json` is {NULL, 0}.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
 */
LIT_MUST_USE
lit_status_t lit_collection_get_json(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_bytes_t *json,
                                     struct lit_error_t *err);

/**
 * Replaces the document that is there now, or begins one. Written is the difference only. To
 * put back what you read and changed, see lit_collection_put_json_version.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (id, JSON), LIT_ERR_LIMIT_EXCEEDED, LIT_ERR_WRONG_KIND (a plain
 * number over a counter), LIT_ERR_TIMEOUT, LIT_ERR_DISK_FULL, LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_collection_put_json(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t json,
                                     struct lit_error_t *err);

/**
 * Puts back a document that was read at `version` and changed since: writes the difference
 * between `json` and what was read, so that what came in between, from here or from peers,
 * stays. An empty version means that you saw no document.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json; LIT_ERR_INVALID_INPUT for a version that no
 * lit_doc_version gave.
 */
LIT_MUST_USE
lit_status_t lit_collection_put_json_version(struct lit_collection_t *collection,
                                             struct lit_slice_t id,
                                             struct lit_slice_t json,
                                             struct lit_slice_t version,
                                             struct lit_error_t *err);

/**
 * Writes the fields given in `json`, at every depth, and leaves the others alone.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_merge_json(struct lit_collection_t *collection,
                                       struct lit_slice_t id,
                                       struct lit_slice_t json,
                                       struct lit_error_t *err);

/**
 * Reads a document as MessagePack. LIT_NOT_FOUND if there is none; then `*msgpack` is {NULL, 0}.
 *
 * `*msgpack` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
 */
LIT_MUST_USE
lit_status_t lit_collection_get_msgpack(struct lit_collection_t *collection,
                                        struct lit_slice_t id,
                                        struct lit_bytes_t *msgpack,
                                        struct lit_error_t *err);

/**
 * Replaces a document, as lit_collection_put_json, from MessagePack.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json; LIT_ERR_INVALID_INPUT for MessagePack that is malformed, cut
 * short or followed by more.
 */
LIT_MUST_USE
lit_status_t lit_collection_put_msgpack(struct lit_collection_t *collection,
                                        struct lit_slice_t id,
                                        struct lit_slice_t msgpack,
                                        struct lit_error_t *err);

/**
 * Puts back a document that was read at `version`, as lit_collection_put_json_version, from
 * MessagePack.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json_version and lit_collection_put_msgpack.
 */
LIT_MUST_USE
lit_status_t lit_collection_put_msgpack_version(struct lit_collection_t *collection,
                                                struct lit_slice_t id,
                                                struct lit_slice_t msgpack,
                                                struct lit_slice_t version,
                                                struct lit_error_t *err);

/**
 * Writes the fields given, as lit_collection_merge_json, from MessagePack.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_msgpack.
 */
LIT_MUST_USE
lit_status_t lit_collection_merge_msgpack(struct lit_collection_t *collection,
                                          struct lit_slice_t id,
                                          struct lit_slice_t msgpack,
                                          struct lit_error_t *err);

/**
 * Whether there is a document with this id: LIT_OK or LIT_NOT_FOUND. Reads less than
 * lit_collection_get.
 *
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id).
 */
LIT_MUST_USE
lit_status_t lit_collection_contains(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_error_t *err);

/**
 * Forgets the collection on this device, without deleting its documents at peers: it comes back
 * when it is synced or written again. What was written here and never reached a peer is lost;
 * `unsent`, how many transactions that were, may be NULL. LIT_NOT_FOUND if it was not here.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_TIMEOUT, LIT_ERR_DISK_FULL, LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_collection_leave(struct lit_collection_t *collection,
                                  uint64_t *unsent,
                                  struct lit_error_t *err);

/**
 * Deletes a document. LIT_NOT_FOUND if there was none. An edit by a peer that had not seen
 * the deletion keeps the document alive with that edit.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_delete(struct lit_collection_t *collection,
                                   struct lit_slice_t id,
                                   struct lit_error_t *err);

/**
 * Deletes what the reader of `version` had seen of a document; what came in between stays.
 * LIT_NOT_FOUND if nothing was left of that.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json_version.
 */
LIT_MUST_USE
lit_status_t lit_collection_delete_version(struct lit_collection_t *collection,
                                           struct lit_slice_t id,
                                           struct lit_slice_t version,
                                           struct lit_error_t *err);

/**
 * The conflicts of a collection, as a JSON array: fields that several replicas wrote without
 * having seen each other's writes. Each is an object of collection, id, path (a JSON Pointer)
 * and candidates; the first candidate is the one that reads show, everywhere. A candidate has
 * value, author (the node's key) and time (by the author's clock, RFC 3339).
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_collection_conflicts_json(struct lit_collection_t *collection,
                                           struct lit_bytes_t *json,
                                           struct lit_error_t *err);

/**
 * Settles the conflict at `path` for `choice`, JSON: one of the candidates' values or a new one.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_put_json; LIT_ERR_INVALID_INPUT (path).
 */
LIT_MUST_USE
lit_status_t lit_collection_resolve(struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t path,
                                    struct lit_slice_t choice,
                                    struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Collections: single fields, sets and counters
 */

/**
 * Reads one field of a document as JSON. LIT_NOT_FOUND if there is no such document or field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id, path).
 */
LIT_MUST_USE
lit_status_t lit_collection_get_field_json(struct lit_collection_t *collection,
                                           struct lit_slice_t id,
                                           struct lit_slice_t path,
                                           struct lit_bytes_t *value,
                                           struct lit_error_t *err);

/**
 * Reads an integer, or the sum of a counter. LIT_NOT_FOUND if there is no such document or field.
 *
 * Thread-safe. Blocks: disk.
 * Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND, also for an integer beyond 64
 * bits with sign.
 */
LIT_MUST_USE
lit_status_t lit_collection_get_i64(struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t path,
                                    int64_t *value,
                                    struct lit_error_t *err);

/**
 * Reads a float, or an integer that a double holds exactly. LIT_NOT_FOUND if there is no such
 * document or field.
 *
 * Thread-safe. Blocks: disk.
 * Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_collection_get_f64(struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t path,
                                    double *value,
                                    struct lit_error_t *err);

/**
 * Reads a truth value. LIT_NOT_FOUND if there is no such document or field.
 *
 * Thread-safe. Blocks: disk.
 * Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_collection_get_bool(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     bool *value,
                                     struct lit_error_t *err);

/**
 * Reads text. LIT_NOT_FOUND if there is no such document or field. Text may hold NUL: go by
 * its length.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_collection_get_text(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     struct lit_bytes_t *value,
                                     struct lit_error_t *err);

/**
 * Reads bytes. LIT_NOT_FOUND if there is no such document or field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: as lit_collection_get_field_json; LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_collection_get_bytes(struct lit_collection_t *collection,
                                      struct lit_slice_t id,
                                      struct lit_slice_t path,
                                      struct lit_bytes_t *value,
                                      struct lit_error_t *err);

/**
 * Writes one field, from JSON: any kind, null included. Maps on the way to it are made.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (id, path, JSON), LIT_ERR_LIMIT_EXCEEDED, LIT_ERR_WRONG_KIND (a
 * plain number over a counter), LIT_ERR_TIMEOUT, LIT_ERR_DISK_FULL, LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_collection_set_json(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     struct lit_slice_t json,
                                     struct lit_error_t *err);

/**
 * Writes an integer. For counters, see lit_collection_increment.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_set_i64(struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t path,
                                    int64_t value,
                                    struct lit_error_t *err);

/**
 * Writes a float. NaN and infinities are refused with LIT_ERR_INVALID_INPUT.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_set_f64(struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t path,
                                    double value,
                                    struct lit_error_t *err);

/**
 * Writes a truth value.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_set_bool(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     bool value,
                                     struct lit_error_t *err);

/**
 * Writes text.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json; LIT_ERR_INVALID_INPUT for what is not UTF-8.
 */
LIT_MUST_USE
lit_status_t lit_collection_set_text(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     struct lit_slice_t value,
                                     struct lit_error_t *err);

/**
 * Writes bytes.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_set_bytes(struct lit_collection_t *collection,
                                      struct lit_slice_t id,
                                      struct lit_slice_t path,
                                      struct lit_slice_t value,
                                      struct lit_error_t *err);

/**
 * Removes one field. LIT_NOT_FOUND if there was none.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json.
 */
LIT_MUST_USE
lit_status_t lit_collection_unset(struct lit_collection_t *collection,
                                  struct lit_slice_t id,
                                  struct lit_slice_t path,
                                  struct lit_error_t *err);

/**
 * Adds an element to the set at `path`, which is made if nothing is there. `element` is JSON of
 * a scalar: "\"sea\"", "3". For text there is lit_collection_add_text.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json; LIT_ERR_WRONG_KIND if something else is there.
 */
LIT_MUST_USE
lit_status_t lit_collection_add(struct lit_collection_t *collection,
                                struct lit_slice_t id,
                                struct lit_slice_t path,
                                struct lit_slice_t element,
                                struct lit_error_t *err);

/**
 * Adds text to the set at `path`, which is made if nothing is there.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_add.
 */
LIT_MUST_USE
lit_status_t lit_collection_add_text(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     struct lit_slice_t element,
                                     struct lit_error_t *err);

/**
 * Removes an element, JSON of a scalar, from the set at `path`. LIT_NOT_FOUND if it was not in
 * it. An addition by a peer that had not seen the removal wins over it.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_add.
 */
LIT_MUST_USE
lit_status_t lit_collection_remove(struct lit_collection_t *collection,
                                   struct lit_slice_t id,
                                   struct lit_slice_t path,
                                   struct lit_slice_t element,
                                   struct lit_error_t *err);

/**
 * Removes text from the set at `path`. LIT_NOT_FOUND if it was not in it.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_add.
 */
LIT_MUST_USE
lit_status_t lit_collection_remove_text(struct lit_collection_t *collection,
                                        struct lit_slice_t id,
                                        struct lit_slice_t path,
                                        struct lit_slice_t element,
                                        struct lit_error_t *err);

/**
 * Whether the set at `path` has an element, from JSON: LIT_OK or LIT_NOT_FOUND. Reads no other
 * elements of a large set.
 *
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id, path, JSON).
 */
LIT_MUST_USE
lit_status_t lit_collection_has(struct lit_collection_t *collection,
                                struct lit_slice_t id,
                                struct lit_slice_t path,
                                struct lit_slice_t element,
                                struct lit_error_t *err);

/**
 * Whether the set at `path` has this text: LIT_OK or LIT_NOT_FOUND.
 *
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (id, path, text).
 */
LIT_MUST_USE
lit_status_t lit_collection_has_text(struct lit_collection_t *collection,
                                     struct lit_slice_t id,
                                     struct lit_slice_t path,
                                     struct lit_slice_t element,
                                     struct lit_error_t *err);

/**
 * Adds `by`, which may be negative, to the counter at `path`, which is made if nothing is
 * there. Concurrent increments add up.
 *
 * Thread-safe. Blocks: commit.
 * Errors: as lit_collection_set_json; LIT_ERR_WRONG_KIND if something else is there.
 */
LIT_MUST_USE
lit_status_t lit_collection_increment(struct lit_collection_t *collection,
                                      struct lit_slice_t id,
                                      struct lit_slice_t path,
                                      int64_t by,
                                      struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Documents as they were read
 */

/**
 * Frees a document's handle; the document in the store stays. Harmless for NULL.
 *
 * Thread-safe. Does not block.
 */
void lit_doc_free(struct lit_doc_t *doc);

/**
 * The document's id. `*id` belongs to `doc`: valid until lit_doc_free.
 *
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_doc_id(struct lit_doc_t *doc,
                        struct lit_slice_t *id,
                        struct lit_error_t *err);

/**
 * The document as JSON.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_doc_json(struct lit_doc_t *doc,
                          struct lit_bytes_t *json,
                          struct lit_error_t *err);

/**
 * The document as MessagePack.
 *
 * `*msgpack` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_doc_msgpack(struct lit_doc_t *doc,
                             struct lit_bytes_t *msgpack,
                             struct lit_error_t *err);

/**
 * What its reader has seen, as opaque bytes: hand them to lit_collection_put_json_version or
 * lit_collection_delete_version, now or after a restart. Not for comparing: two readers of the
 * same document may get different bytes.
 *
 * `*version` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_doc_version(struct lit_doc_t *doc,
                             struct lit_bytes_t *version,
                             struct lit_error_t *err);

/**
 * The document's conflicts, as lit_collection_conflicts_json has them, but with an empty
 * collection.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_doc_conflicts_json(struct lit_doc_t *doc,
                                    struct lit_bytes_t *json,
                                    struct lit_error_t *err);

/**
 * One field as JSON. LIT_NOT_FOUND if there is none.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (path).
 */
LIT_MUST_USE
lit_status_t lit_doc_get_field_json(struct lit_doc_t *doc,
                                    struct lit_slice_t path,
                                    struct lit_bytes_t *value,
                                    struct lit_error_t *err);

/**
 * An integer, or the sum of a counter. LIT_NOT_FOUND if there is no such field.
 *
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_doc_get_i64(struct lit_doc_t *doc,
                             struct lit_slice_t path,
                             int64_t *value,
                             struct lit_error_t *err);

/**
 * A float, or an integer that a double holds exactly. LIT_NOT_FOUND if there is no such field.
 *
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_doc_get_f64(struct lit_doc_t *doc,
                             struct lit_slice_t path,
                             double *value,
                             struct lit_error_t *err);

/**
 * A truth value. LIT_NOT_FOUND if there is no such field.
 *
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_doc_get_bool(struct lit_doc_t *doc,
                              struct lit_slice_t path,
                              bool *value,
                              struct lit_error_t *err);

/**
 * Text. LIT_NOT_FOUND if there is no such field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_doc_get_text(struct lit_doc_t *doc,
                              struct lit_slice_t path,
                              struct lit_bytes_t *value,
                              struct lit_error_t *err);

/**
 * Bytes. LIT_NOT_FOUND if there is no such field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT (path), LIT_ERR_WRONG_KIND.
 */
LIT_MUST_USE
lit_status_t lit_doc_get_bytes(struct lit_doc_t *doc,
                               struct lit_slice_t path,
                               struct lit_bytes_t *value,
                               struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Scans
 */

/**
 * Begins a scan of a collection, over the documents as they are at this moment. It holds up
 * nobody; the disk space of what is deleted meanwhile is kept for it.
 *
 * `*scan` is yours: free it with lit_scan_free. `options` may be NULL for all documents.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT (options).
 */
LIT_MUST_USE
lit_status_t lit_collection_scan(struct lit_collection_t *collection,
                                 const struct lit_scan_options_t *options,
                                 struct lit_scan_t **scan,
                                 struct lit_error_t *err);

/**
 * Goes to the next document. LIT_END if there is none. After an error it gives the same one again.
 *
 * `id` and `json` may each be NULL if you don't want it. They belong to `scan`: valid until
 * the next call on it.
 * One thread at a time. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_scan_next(struct lit_scan_t *scan,
                           struct lit_slice_t *id,
                           struct lit_slice_t *json,
                           struct lit_error_t *err);

/**
 * The document that the scan is at, to read typed fields or its version. LIT_NOT_FOUND before
 * the first lit_scan_next and after the last.
 *
 * `*doc` is yours: free it with lit_doc_free. It outlives the scan.
 * One thread at a time. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_scan_doc(struct lit_scan_t *scan,
                          struct lit_doc_t **doc,
                          struct lit_error_t *err);

/**
 * Ends a scan and frees its handle. Harmless for NULL.
 *
 * One thread at a time. Does not block.
 */
void lit_scan_free(struct lit_scan_t *scan);

/* ---------------------------------------------------------------------------------------------
 * Transactions
 */

/**
 * Begins a transaction. One is open at a time in a store: others, and the single writes of
 * lit_collection_*, wait for it, and give LIT_ERR_TIMEOUT after 30 seconds; so don't use those
 * in the thread that has a transaction open. Reads and sync don't wait. Reads in the
 * transaction (lit_txn_get_json) see what it has written, reads outside don't.
 *
 * `timeout_ms` is how long to wait for another write to end, for instance 30000; 0 is not at all.
 * `*txn` is yours: free it with lit_txn_free, which rolls back what was not committed.
 * Thread-safe. Blocks: for another write, for the time given.
 * Errors: LIT_ERR_TIMEOUT, LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_txn_begin(struct lit_store_t *store,
                           int64_t timeout_ms,
                           struct lit_txn_t **txn,
                           struct lit_error_t *err);

/**
 * Commits: when it returns LIT_OK, all of it is durable and visible. The transaction has ended
 * either way; the handle is still to be freed.
 *
 * One thread at a time. Blocks: commit.
 * Errors: LIT_ERR_CLOSED if it has ended before; LIT_ERR_LIMIT_EXCEEDED over 16 MiB;
 * LIT_ERR_DISK_FULL, LIT_ERR_IO, LIT_ERR_POISONED. After any of them nothing of it is visible.
 */
LIT_MUST_USE lit_status_t lit_txn_commit(struct lit_txn_t *txn, struct lit_error_t *err);

/**
 * Commits as lit_txn_commit, but returns when it is visible here. It is durable, and goes to
 * peers, with the next lit_store_flush or durable write; a crash before loses it whole. For
 * bulk loads.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_txn_commit.
 */
LIT_MUST_USE lit_status_t lit_txn_commit_deferred(struct lit_txn_t *txn, struct lit_error_t *err);

/**
 * Gives up all of it. The handle is still to be freed.
 *
 * One thread at a time. Does not block.
 * Errors: LIT_ERR_CLOSED if it has ended before.
 */
lit_status_t lit_txn_rollback(struct lit_txn_t *txn, struct lit_error_t *err);

/**
 * Frees the handle, and rolls back if the transaction has not ended. Harmless for NULL.
 *
 * One thread at a time. Does not block.
 */
void lit_txn_free(struct lit_txn_t *txn);

/**
 * Reads a document as the transaction leaves it, as lit_collection_get_json.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * One thread at a time. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_json(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_bytes_t *json,
                              struct lit_error_t *err);

/**
 * Replaces a document, as lit_collection_put_json.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_put_json, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_put_json(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t json,
                              struct lit_error_t *err);

/**
 * Puts back a document that was read at `version`, as lit_collection_put_json_version.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_put_json_version, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_put_json_version(struct lit_txn_t *txn,
                                      struct lit_collection_t *collection,
                                      struct lit_slice_t id,
                                      struct lit_slice_t json,
                                      struct lit_slice_t version,
                                      struct lit_error_t *err);

/**
 * Writes the fields given, as lit_collection_merge_json.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_merge_json, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_merge_json(struct lit_txn_t *txn,
                                struct lit_collection_t *collection,
                                struct lit_slice_t id,
                                struct lit_slice_t json,
                                struct lit_error_t *err);

/**
 * Reads a document as the transaction leaves it, as lit_collection_get.
 *
 * `*doc` is yours: free it with lit_doc_free. It outlives the transaction.
 * One thread at a time. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_txn_get(struct lit_txn_t *txn,
                         struct lit_collection_t *collection,
                         struct lit_slice_t id,
                         struct lit_doc_t **doc,
                         struct lit_error_t *err);

/**
 * Reads a document as the transaction leaves it, as lit_collection_get_msgpack.
 *
 * `*msgpack` is yours: free it with lit_bytes_free.
 * One thread at a time. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_msgpack(struct lit_txn_t *txn,
                                 struct lit_collection_t *collection,
                                 struct lit_slice_t id,
                                 struct lit_bytes_t *msgpack,
                                 struct lit_error_t *err);

/**
 * Replaces a document, as lit_collection_put_msgpack.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_put_msgpack, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_put_msgpack(struct lit_txn_t *txn,
                                 struct lit_collection_t *collection,
                                 struct lit_slice_t id,
                                 struct lit_slice_t msgpack,
                                 struct lit_error_t *err);

/**
 * Puts back a document that was read at `version`, as lit_collection_put_msgpack_version.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_put_msgpack_version, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_put_msgpack_version(struct lit_txn_t *txn,
                                         struct lit_collection_t *collection,
                                         struct lit_slice_t id,
                                         struct lit_slice_t msgpack,
                                         struct lit_slice_t version,
                                         struct lit_error_t *err);

/**
 * Writes the fields given, as lit_collection_merge_msgpack.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_merge_msgpack, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_merge_msgpack(struct lit_txn_t *txn,
                                   struct lit_collection_t *collection,
                                   struct lit_slice_t id,
                                   struct lit_slice_t msgpack,
                                   struct lit_error_t *err);

/**
 * Deletes a document, as lit_collection_delete. LIT_NOT_FOUND if there was none.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_delete, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_delete(struct lit_txn_t *txn,
                            struct lit_collection_t *collection,
                            struct lit_slice_t id,
                            struct lit_error_t *err);

/**
 * Deletes what the reader of `version` had seen, as lit_collection_delete_version.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_delete_version, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_delete_version(struct lit_txn_t *txn,
                                    struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t version,
                                    struct lit_error_t *err);

/**
 * One field as JSON. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_get_field_json.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_field_json(struct lit_txn_t *txn,
                                    struct lit_collection_t *collection,
                                    struct lit_slice_t id,
                                    struct lit_slice_t path,
                                    struct lit_bytes_t *value,
                                    struct lit_error_t *err);

/**
 * An integer, or the sum of a counter. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_get_i64.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_i64(struct lit_txn_t *txn,
                             struct lit_collection_t *collection,
                             struct lit_slice_t id,
                             struct lit_slice_t path,
                             int64_t *value,
                             struct lit_error_t *err);

/**
 * A float, or an integer that a double holds exactly. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_get_f64.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_f64(struct lit_txn_t *txn,
                             struct lit_collection_t *collection,
                             struct lit_slice_t id,
                             struct lit_slice_t path,
                             double *value,
                             struct lit_error_t *err);

/**
 * A truth value. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_get_bool.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_bool(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              bool *value,
                              struct lit_error_t *err);

/**
 * Text. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_get_text.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_text(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              struct lit_bytes_t *value,
                              struct lit_error_t *err);

/**
 * Bytes. As the transaction leaves it. LIT_NOT_FOUND if there is no such document or field.
 *
 * `*value` is yours: free it with lit_bytes_free.
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_get_bytes.
 */
LIT_MUST_USE
lit_status_t lit_txn_get_bytes(struct lit_txn_t *txn,
                               struct lit_collection_t *collection,
                               struct lit_slice_t id,
                               struct lit_slice_t path,
                               struct lit_bytes_t *value,
                               struct lit_error_t *err);

/**
 * Writes one field, from JSON.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_set_json, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_set_json(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              struct lit_slice_t json,
                              struct lit_error_t *err);

/**
 * Writes an integer.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_set_i64, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_set_i64(struct lit_txn_t *txn,
                             struct lit_collection_t *collection,
                             struct lit_slice_t id,
                             struct lit_slice_t path,
                             int64_t value,
                             struct lit_error_t *err);

/**
 * Writes a float.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_set_f64, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_set_f64(struct lit_txn_t *txn,
                             struct lit_collection_t *collection,
                             struct lit_slice_t id,
                             struct lit_slice_t path,
                             double value,
                             struct lit_error_t *err);

/**
 * Writes a truth value.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_set_bool, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_set_bool(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              bool value,
                              struct lit_error_t *err);

/**
 * Writes text.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_set_text, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_set_text(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              struct lit_slice_t value,
                              struct lit_error_t *err);

/**
 * Writes bytes.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_set_bytes, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_set_bytes(struct lit_txn_t *txn,
                               struct lit_collection_t *collection,
                               struct lit_slice_t id,
                               struct lit_slice_t path,
                               struct lit_slice_t value,
                               struct lit_error_t *err);

/**
 * Removes one field. LIT_NOT_FOUND if there was none.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_unset, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_unset(struct lit_txn_t *txn,
                           struct lit_collection_t *collection,
                           struct lit_slice_t id,
                           struct lit_slice_t path,
                           struct lit_error_t *err);

/**
 * Adds an element, JSON of a scalar, to the set at `path`.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_add, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_add(struct lit_txn_t *txn,
                         struct lit_collection_t *collection,
                         struct lit_slice_t id,
                         struct lit_slice_t path,
                         struct lit_slice_t element,
                         struct lit_error_t *err);

/**
 * Adds text to the set at `path`.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_add_text, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_add_text(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              struct lit_slice_t element,
                              struct lit_error_t *err);

/**
 * Removes an element, JSON of a scalar, from the set at `path`. LIT_NOT_FOUND if it was not in it.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_remove, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_remove(struct lit_txn_t *txn,
                            struct lit_collection_t *collection,
                            struct lit_slice_t id,
                            struct lit_slice_t path,
                            struct lit_slice_t element,
                            struct lit_error_t *err);

/**
 * Removes text from the set at `path`. LIT_NOT_FOUND if it was not in it.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_remove_text, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_remove_text(struct lit_txn_t *txn,
                                 struct lit_collection_t *collection,
                                 struct lit_slice_t id,
                                 struct lit_slice_t path,
                                 struct lit_slice_t element,
                                 struct lit_error_t *err);

/**
 * Whether the set at `path` has an element, from JSON, as the transaction leaves it: LIT_OK or
 * LIT_NOT_FOUND.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_has.
 */
LIT_MUST_USE
lit_status_t lit_txn_has(struct lit_txn_t *txn,
                         struct lit_collection_t *collection,
                         struct lit_slice_t id,
                         struct lit_slice_t path,
                         struct lit_slice_t element,
                         struct lit_error_t *err);

/**
 * Whether the set at `path` has this text, as the transaction leaves it: LIT_OK or LIT_NOT_FOUND.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_has_text.
 */
LIT_MUST_USE
lit_status_t lit_txn_has_text(struct lit_txn_t *txn,
                              struct lit_collection_t *collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              struct lit_slice_t element,
                              struct lit_error_t *err);

/**
 * Adds `by` to the counter at `path`.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_increment, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_increment(struct lit_txn_t *txn,
                               struct lit_collection_t *collection,
                               struct lit_slice_t id,
                               struct lit_slice_t path,
                               int64_t by,
                               struct lit_error_t *err);

/**
 * Settles the conflict at `path` for `choice`, JSON.
 *
 * One thread at a time. Blocks: disk.
 * Errors: as lit_collection_resolve, except of committing.
 */
LIT_MUST_USE
lit_status_t lit_txn_resolve(struct lit_txn_t *txn,
                             struct lit_collection_t *collection,
                             struct lit_slice_t id,
                             struct lit_slice_t path,
                             struct lit_slice_t choice,
                             struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Changes
 */

/**
 * Follows the changes of a store after the position `since`: LIT_SINCE_NOW, LIT_SINCE_START,
 * or a position that a change or lit_store_position gave, also before a restart. It costs
 * nothing while nobody asks for the next one.
 *
 * `*changes` is yours: free it with lit_changes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_changes_open(struct lit_store_t *store,
                              uint64_t since,
                              struct lit_changes_t **changes,
                              struct lit_error_t *err);

/**
 * Waits for the next change, at most `timeout_ms` milliseconds: 0 looks without waiting,
 * LIT_FOREVER waits without a limit. LIT_TIMEOUT if none came. Changes come when they are
 * durable, in the order in which they came into this store, this node's own included.
 *
 * One thread at a time. Blocks: for the time given. lit_store_close from another thread ends it.
 * Errors: LIT_ERR_NOT_FOUND if the log no longer reaches back to the position: read the
 * documents anew and follow from lit_store_position; LIT_ERR_CLOSED.
 */
LIT_MUST_USE
lit_status_t lit_changes_next(struct lit_changes_t *changes,
                              int64_t timeout_ms,
                              struct lit_change_t *change,
                              struct lit_error_t *err);

/**
 * Goes on from the present moment, after LIT_ERR_NOT_FOUND: read the documents anew after this.
 *
 * One thread at a time. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_changes_restart(struct lit_changes_t *changes,
                                 struct lit_error_t *err);

/**
 * Where it is: after the last change that lit_changes_next gave. To be kept and given to
 * lit_changes_open, also after a restart.
 *
 * One thread at a time. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_changes_position(struct lit_changes_t *changes,
                                  uint64_t *position,
                                  struct lit_error_t *err);

/**
 * A descriptor for poll, select, epoll, kqueue or a main loop: readable while lit_changes_next,
 * with a timeout of 0, may have something to say. It is level-triggered: it stays readable until
 * lit_changes_next has returned LIT_TIMEOUT or LIT_ERR_SUSPENDED, and may be readable with nothing
 * there. After lit_store_close it stays readable, and lit_changes_next gives LIT_ERR_CLOSED.
 *
 * `*fd` belongs to `changes`, which has one: don't read from it, write to it or close it. It is
 * closed by lit_changes_free. -1 if this fails.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT where descriptors can't be waited for (Windows): use
 * lit_store_subscribe there; LIT_ERR_IO if there are too many open files.
 */
LIT_MUST_USE
lit_status_t lit_changes_fd(struct lit_changes_t *changes,
                            int *fd,
                            struct lit_error_t *err);

/**
 * Frees the handle. A lit_changes_next of another thread that is waiting on it goes on to its
 * end. Harmless for NULL.
 *
 * Thread-safe. Does not block.
 */
void lit_changes_free(struct lit_changes_t *changes);

/**
 * Has `callback.call` called with each change from now on, or from where `options` say: those of
 * this node and those of peers, when they are durable, in the order in which they came. While the
 * store is suspended there are no calls; then it goes on where it was.
 *
 * `*subscription` is yours: free it with lit_subscription_free. `options` may be NULL: all
 * collections, from now on. `callback.context` must live until `callback.drop` is called, or
 * lit_subscription_free has returned outside of the callback. If this fails, nothing is called.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_NULL if `callback.call` is NULL; LIT_ERR_INVALID_INPUT (options).
 */
LIT_MUST_USE
lit_status_t lit_store_subscribe(struct lit_store_t *store,
                                 const struct lit_subscribe_options_t *options,
                                 struct lit_callback_t callback,
                                 struct lit_subscription_t **subscription,
                                 struct lit_error_t *err);

/**
 * Ends a subscription and frees its handle. When it returns `callback.call` is not running and is
 * not called again, and `callback.drop` has been called: so don't hold a lock that your callback
 * waits for. Called inside that callback it returns at once, the present call is the last, and
 * `callback.drop` is called after it. Harmless for NULL.
 *
 * Thread-safe. Blocks: for a callback that is running.
 */
void lit_subscription_free(struct lit_subscription_t *subscription);

/* ---------------------------------------------------------------------------------------------
 * The tape: checkpoints, the past, reverting
 */

/**
 * Makes a checkpoint: a moment of the store that can be read, compared with and gone back to. It
 * is durable when this returns, and made in one moment, whatever the size of the store. What is
 * changed from then on is kept as it was, until lit_store_delete_checkpoint. A label has 1 to 128
 * bytes and no control characters.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT if there is one with this label; LIT_ERR_LIMIT_EXCEEDED if there
 * are 256, or the label is too long; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_checkpoint(struct lit_store_t *store,
                                  struct lit_slice_t label,
                                  struct lit_error_t *err);

/**
 * The checkpoints, in the order in which they were made, and what they cost, as a JSON array of
 * objects: label, made (RFC 3339), position, automatic (a bool), rows and bytes (what was kept
 * between it and the next one), freed_bytes (what would go if it alone were deleted), log_held
 * (whether the log still has all that came after it). Reads all that is kept. Names are only
 * ever added.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_checkpoints_json(struct lit_store_t *store,
                                        struct lit_bytes_t *json,
                                        struct lit_error_t *err);

/**
 * Deletes a checkpoint, and what was kept for it alone.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_NOT_FOUND if there is none with this label; LIT_ERR_DISK_FULL;
 * LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_delete_checkpoint(struct lit_store_t *store,
                                         struct lit_slice_t label,
                                         struct lit_error_t *err);

/**
 * The store as it was at a checkpoint, to be read. It stays what it is, whatever is written, and
 * also if the checkpoint is deleted. As long as it is held the disk uses no page again that is
 * replaced, so free it when you are done.
 *
 * `*past` is yours: free it with lit_past_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint.
 */
LIT_MUST_USE
lit_status_t lit_past_open(struct lit_store_t *store,
                           struct lit_slice_t label,
                           struct lit_past_t **past,
                           struct lit_error_t *err);

/**
 * Ends the reading of a past and frees its handle. Scans of it go on. Harmless for NULL.
 *
 * Thread-safe. Does not block.
 */
void lit_past_free(struct lit_past_t *past);

/**
 * The names of the collections that there were, in order, as a JSON array of strings.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_past_collections_json(struct lit_past_t *past,
                                       struct lit_bytes_t *json,
                                       struct lit_error_t *err);

/**
 * How many documents a collection had; 0 if it was not there.
 *
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT (name).
 */
LIT_MUST_USE
lit_status_t lit_past_len(struct lit_past_t *past,
                          struct lit_slice_t collection,
                          uint64_t *len,
                          struct lit_error_t *err);

/**
 * A document as it was. LIT_NOT_FOUND if there was none; then `*doc` is NULL. To put it back, put
 * its JSON with lit_collection_put_json: with its version only the difference to what was then
 * would be written, not to what is now.
 *
 * `*doc` is yours: free it with lit_doc_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED (name, id).
 */
LIT_MUST_USE
lit_status_t lit_past_get(struct lit_past_t *past,
                          struct lit_slice_t collection,
                          struct lit_slice_t id,
                          struct lit_doc_t **doc,
                          struct lit_error_t *err);

/**
 * Begins a scan of a collection as it was, to be gone on with as one of lit_collection_scan:
 * lit_scan_next, lit_scan_doc.
 *
 * `*scan` is yours: free it with lit_scan_free. It outlives the past. `options` may be NULL for
 * all documents.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_INVALID_INPUT (name, options).
 */
LIT_MUST_USE
lit_status_t lit_past_scan(struct lit_past_t *past,
                           struct lit_slice_t collection,
                           const struct lit_scan_options_t *options,
                           struct lit_scan_t **scan,
                           struct lit_error_t *err);

/**
 * What changed between the checkpoint `label` and the checkpoint `other`, or now if that is
 * {NULL, 0}; of one collection, or of all if `collection` is {NULL, 0}. Collection by collection,
 * in the order of names and ids, as it is at this moment. lit_diff_next goes through it.
 *
 * `*diff` is yours: free it with lit_diff_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint; LIT_ERR_INVALID_INPUT (name).
 */
LIT_MUST_USE
lit_status_t lit_store_diff(struct lit_store_t *store,
                            struct lit_slice_t label,
                            struct lit_slice_t other,
                            struct lit_slice_t collection,
                            struct lit_diff_t **diff,
                            struct lit_error_t *err);

/**
 * Goes to the next document that differs. LIT_END if there is none.
 *
 * `*json` is {"collection", "id", "before", "after", "written", "kept"}: what the document showed,
 * each null if it was not there; who wrote what is there now, each {"path", "author",
 * "incarnation", "seq", "time"}; and what a revert keeps, in the same way. It belongs to `diff`: valid until the next call on it.
 * One thread at a time. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_diff_next(struct lit_diff_t *diff,
                           struct lit_slice_t *json,
                           struct lit_error_t *err);

/**
 * Of a lit_diff_t of lit_store_revert_plan, as a JSON array of names: collections that were left
 * since the checkpoint, and would not be written again. Of any other, [].
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_diff_left_json(struct lit_diff_t *diff,
                                struct lit_bytes_t *json,
                                struct lit_error_t *err);

/**
 * Frees the handle. Harmless for NULL.
 *
 * One thread at a time. Does not block.
 */
void lit_diff_free(struct lit_diff_t *diff);

/**
 * A dry run of lit_store_revert: what it would write, and nothing is written. Of each document
 * what it shows now, "before", and what it would show, "after"; of a field alone, nothing else is
 * in either. lit_diff_next goes through it.
 *
 * `*diff` is yours: free it with lit_diff_free.
 * Thread-safe. Blocks: disk.
 * Errors: as of lit_store_revert, but those of writing.
 */
LIT_MUST_USE
lit_status_t lit_store_revert_plan(struct lit_store_t *store,
                                   struct lit_slice_t label,
                                   struct lit_slice_t collection,
                                   struct lit_slice_t id,
                                   struct lit_slice_t path,
                                   struct lit_diff_t **diff,
                                   struct lit_error_t *err);

/**
 * Brings documents back to what they showed at a checkpoint, by new transactions: durable when
 * this returns, and replicated like any edit. Only what differs is written, field by field; what
 * was not there then is deleted. `collection`, `id` and `path` say how much: one collection, one
 * document of it, one field of that; {NULL, 0} is all. It goes in batches: what was done before an
 * error stays, and doing it again goes on. Make a checkpoint before, to be able to come back.
 *
 * `*json` is {"documents", "transactions", "left", "kept"}: how many were changed, by how many
 * transactions, the names of collections that were left since and are not written again, and how
 * many fields were left as they are, since others have changed them. It is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: commit, once for each batch.
 * Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint; LIT_ERR_UNKNOWN_COLLECTION if the
 * collection named was left since; LIT_ERR_INVALID_INPUT for an id without its collection and a
 * path without its id; LIT_ERR_LIMIT_EXCEEDED if more differs in one document than fits into a
 * transaction; LIT_ERR_FORBIDDEN; LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_revert(struct lit_store_t *store,
                              struct lit_slice_t label,
                              struct lit_slice_t collection,
                              struct lit_slice_t id,
                              struct lit_slice_t path,
                              struct lit_bytes_t *json,
                              struct lit_error_t *err);

/**
 * As lit_store_revert, of what one node did since the checkpoint alone, under all its
 * incarnations; `node` is its key. What everybody else wrote stays, and what others have changed
 * since is kept as it is and counted in "kept", unless `flags` has LIT_UNDO_FORCE.
 *
 * `*json` is as of lit_store_revert; it is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: commit, once for each batch.
 * Errors: those of lit_store_revert; LIT_ERR_NOT_FOUND also if the log no longer holds all since
 * the checkpoint; LIT_ERR_INVALID_INPUT for a text that is no key, if a collection came as a
 * snapshot since, and if the log does not lead to what is there.
 */
LIT_MUST_USE
lit_status_t lit_store_revert_by(struct lit_store_t *store,
                                 struct lit_slice_t label,
                                 struct lit_slice_t node,
                                 struct lit_slice_t collection,
                                 struct lit_slice_t id,
                                 struct lit_slice_t path,
                                 uint32_t flags,
                                 struct lit_bytes_t *json,
                                 struct lit_error_t *err);

/**
 * A dry run of lit_store_revert_by: what it would write, and what it would keep. lit_diff_next
 * goes through it.
 *
 * `*diff` is yours: free it with lit_diff_free.
 * Thread-safe. Blocks: disk.
 * Errors: as of lit_store_revert_by, but those of writing.
 */
LIT_MUST_USE
lit_status_t lit_store_revert_by_plan(struct lit_store_t *store,
                                      struct lit_slice_t label,
                                      struct lit_slice_t node,
                                      struct lit_slice_t collection,
                                      struct lit_slice_t id,
                                      struct lit_slice_t path,
                                      uint32_t flags,
                                      struct lit_diff_t **diff,
                                      struct lit_error_t *err);

/**
 * Takes back what this node wrote last, by one new transaction: durable when this returns, and
 * there as a whole or not at all. It needs no checkpoint. What others have changed since is kept,
 * unless `flags` has LIT_UNDO_FORCE; to undo again brings back what was undone. With a collection,
 * what was written last to that, and there alone; {NULL, 0} is what was written last, in all
 * collections that it was written to together. With LIT_UNDO_DRY_RUN nothing is written.
 *
 * `*json` is {"time", "documents", "changes"}: when it had been written, how many documents
 * change, and of each what lit_diff_next gives. It is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_NOT_FOUND if this node has written nothing, or the log no longer holds it or what
 * it replaced; LIT_ERR_INVALID_INPUT (name); LIT_ERR_LIMIT_EXCEEDED if what it replaced is more than
 * fits into a transaction; LIT_ERR_FORBIDDEN; LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL;
 * LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_undo(struct lit_store_t *store,
                            struct lit_slice_t collection,
                            uint32_t flags,
                            struct lit_bytes_t *json,
                            struct lit_error_t *err);

/**
 * Goes back to a checkpoint and applies the log after it again, beside the store, and compares.
 * What comes out must be what the store holds. Documents whose rows were damaged unnoticed are put
 * right where the digest of their collection proves what was replayed; if anything else differs,
 * the store stays as it was. Reads, writes and sync go on meanwhile. It takes up to 64 MiB of
 * memory; what does not fit goes into a file in the directory `scratch`, {NULL, 0} for the
 * system's.
 *
 * `*json` is {"checkpoint", "through", "transactions", "documents", "ms", "outcome", "mended",
 * "differing"}: outcome is "same", "mended" or "differs", mended how many documents were put right,
 * differing of each collection in which anything differs {"collection", "documents", "alike"}. It is
 * yours: free it with lit_bytes_free. `*diff` goes through the documents that differ, or did: what
 * the store shows, "before", and what was replayed, "after". It is yours: free it with
 * lit_diff_free. `diff` may be NULL.
 * Thread-safe. Blocks: disk, for as long as applying the log takes.
 * Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint, or the log no longer reaches back to
 * it; LIT_ERR_INVALID_INPUT if something stands between that replay does not cross;
 * LIT_ERR_ABORTED if a damaged document was written meanwhile; LIT_ERR_CORRUPT; LIT_ERR_DISK_FULL.
 */
LIT_MUST_USE
lit_status_t lit_store_rollback_replay(struct lit_store_t *store,
                                       struct lit_slice_t label,
                                       struct lit_slice_t scratch,
                                       struct lit_bytes_t *json,
                                       struct lit_diff_t **diff,
                                       struct lit_error_t *err);

/**
 * Says how many checkpoints the store is to make by itself and keep, and for how many
 * milliseconds: before a revert, a bundle and a snapshot of a link, and when
 * lit_store_automatic_checkpoint asks for one. 0 is none. It is kept in the store, which makes none
 * until it was told. Those made by hand never go by themselves.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_LIMIT_EXCEEDED for more than 256; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_set_automatic_checkpoints(struct lit_store_t *store,
                                                 uint32_t keep,
                                                 uint64_t age_ms,
                                                 struct lit_error_t *err);

/**
 * What lit_store_set_automatic_checkpoints was told last. LIT_NOT_FOUND if it never was.
 *
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_automatic_checkpoints(struct lit_store_t *store,
                                             uint32_t *keep,
                                             uint64_t *age_ms,
                                             struct lit_error_t *err);

/**
 * Makes a checkpoint as the store does by itself, called "auto: ", `why` and the time, and lets go
 * of those that are too many or too old by then. LIT_NOT_FOUND, and nothing in `*label`, if none is
 * needed: none are to be kept, the store holds nothing, or nothing has changed since the newest.
 *
 * `*label` is its label, yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_LIMIT_EXCEEDED for what makes no label;
 * LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_automatic_checkpoint(struct lit_store_t *store,
                                            struct lit_slice_t why,
                                            struct lit_bytes_t *label,
                                            struct lit_error_t *err);

/**
 * Holds a collection back, {NULL, 0} for all: it shows what it did at a checkpoint, and what this
 * node itself has written since. Nothing is undone. Until lit_store_rollback_resume what others
 * wrote is kept and not shown, reads and writes go on over what is shown, and the collection is not
 * exchanged with peers. Where somebody else had changed the same field as is written meanwhile, the
 * two are a conflict afterwards. Durable when this returns; the store is held also when it is opened
 * again. Change cursors give LIT_ERR_NOT_FOUND: lit_changes_restart, then read the documents anew.
 *
 * `*json` is {"holds": [{"collection", "label", "since", "documents"}]}: what is held by this. It is
 * yours: free it with lit_bytes_free; `json` may be NULL.
 * Thread-safe. Blocks: for as long as laying own writes since the checkpoint over it takes.
 * Errors: LIT_ERR_NOT_FOUND if there is no such checkpoint, or the log no longer holds what was
 * written here since; LIT_ERR_UNKNOWN_COLLECTION; LIT_ERR_INVALID_INPUT if the collection is held
 * already, was left since, or has forked; LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_rollback_hold(struct lit_store_t *store,
                                     struct lit_slice_t label,
                                     struct lit_slice_t collection,
                                     struct lit_bytes_t *json,
                                     struct lit_error_t *err);

/**
 * Ends what lit_store_rollback_hold began, for a collection, or {NULL, 0} for all: it shows its
 * state again, with what was written meanwhile in it, and is exchanged with peers. Durable when this
 * returns.
 *
 * `*json` is {"holds": [..]}: what was held, as lit_store_rollback_hold gives it. It is yours: free
 * it with lit_bytes_free; `json` may be NULL.
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_TIMEOUT; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_rollback_resume(struct lit_store_t *store,
                                       struct lit_slice_t collection,
                                       struct lit_bytes_t *json,
                                       struct lit_error_t *err);

/**
 * The collections that are held back to a checkpoint, as {"holds": [..]}: see
 * lit_store_rollback_hold.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_store_holds_json(struct lit_store_t *store,
                                  struct lit_bytes_t *json,
                                  struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Trust
 */

/**
 * Trusts the node with this public key (as lit_store_node_id gives it there) from now on: its
 * links are accepted, and what it sends is checked and applied. Remembered by the store.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (key).
 */
LIT_MUST_USE
lit_status_t lit_store_trust(struct lit_store_t *store,
                             struct lit_slice_t key,
                             struct lit_error_t *err);

/**
 * Trusts a node no longer, and closes its links. LIT_NOT_FOUND if it was not trusted. What it
 * wrote stays.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (key).
 */
LIT_MUST_USE
lit_status_t lit_store_distrust(struct lit_store_t *store,
                                struct lit_slice_t key,
                                struct lit_error_t *err);

/**
 * Which collections to exchange with the node `peer`, which is trusted from now on, or, if that
 * is empty, with every peer for which nothing else was said. `collections_json` is an array of
 * names, or null for all. Others neither travel nor cost; what is here stays. Links that are up
 * go by it when they are made again. Remembered by the store.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (names, peer).
 */
LIT_MUST_USE
lit_status_t lit_store_want_json(struct lit_store_t *store,
                                 struct lit_slice_t collections_json,
                                 struct lit_slice_t peer,
                                 struct lit_error_t *err);

/**
 * The nodes that are trusted, as a JSON array of objects of node (the key) and address (where
 * it was last reached, or null).
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_trusted_json(struct lit_store_t *store,
                                    struct lit_bytes_t *json,
                                    struct lit_error_t *err);

/**
 * Founds a roster: from now on, rights decide who may do what. This node is its founder, and may
 * always do everything; people call it `name`. Peers that are trusted now may read and write
 * everything, until they are granted something else.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (name; the store belongs to a roster).
 */
LIT_MUST_USE
lit_status_t lit_store_found_roster(struct lit_store_t *store,
                                    struct lit_slice_t name,
                                    struct lit_error_t *err);

/**
 * Belongs to the roster that the node with the key `founder` founded, from now on. What it says
 * comes with the first link to a member.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (founder; the store belongs to another roster).
 */
LIT_MUST_USE
lit_status_t lit_store_join_roster(struct lit_store_t *store,
                                   struct lit_slice_t founder,
                                   struct lit_error_t *err);

/**
 * Who belongs, as a JSON object of founder (a key, or null if the store has no roster) and
 * members, an array of objects of node (the key), name, rights, by (the key of the node that said
 * so last; null of the founder) and since_ms (when, by that node's clock, in Unix milliseconds).
 * Rights are an object of words (none, read, write, admin) by collection, "*" being all that are
 * not named.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_store_roster_json(struct lit_store_t *store,
                                   struct lit_bytes_t *json,
                                   struct lit_error_t *err);

/**
 * Says what the node with the key `member` may do from now on, in the form that
 * lit_store_roster_json gives: {"notes": "write", "*": "read"}. It replaces all that it could do
 * before. `name` is what people call it; empty is as before. It spreads like any change.
 *
 * A key that was lost to somebody else should never be granted anything again: what that one
 * wrote with it would be taken, too.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (member, name, rights; the store has no roster);
 * LIT_ERR_FORBIDDEN if this node is not an admin where a right would change, or the member is an
 * admin beside or above it there.
 */
LIT_MUST_USE
lit_status_t lit_store_grant_json(struct lit_store_t *store,
                                  struct lit_slice_t member,
                                  struct lit_slice_t name,
                                  struct lit_slice_t rights_json,
                                  struct lit_error_t *err);

/**
 * Takes all rights from the node with the key `member`: every node that hears of it ends its
 * links with it. What it wrote that somebody who may write holds stays.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT, LIT_ERR_FORBIDDEN, as lit_store_grant_json.
 */
LIT_MUST_USE
lit_status_t lit_store_revoke(struct lit_store_t *store,
                              struct lit_slice_t member,
                              struct lit_error_t *err);

/**
 * Gives the store in the directory `path`, which nobody may have open, a new key, under the
 * passphrase of the old one (empty: none). It goes on with its history, and as the member that it
 * was. Members of its roster hear of the new key when they link with it; without a roster, peers
 * have to be told. Cut short at any moment, it is finished or forgotten when the store is opened
 * next.
 *
 * `*json` is {"from", "to", "untold"}: the keys, and those of the nodes that have yet to hear; it is
 * yours: free it with lit_bytes_free.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_FORBIDDEN if the node founded its roster, or is no member of it;
 * LIT_ERR_INVALID_INPUT if some have not heard of the last change yet; LIT_ERR_LOCKED,
 * LIT_ERR_NOT_A_STORE, LIT_ERR_PASSPHRASE.
 */
LIT_MUST_USE
lit_status_t lit_key_rotate(struct lit_slice_t path,
                            struct lit_slice_t passphrase,
                            struct lit_bytes_t *json,
                            struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Tickets
 */

/**
 * Makes a ticket: one line of text, and whoever has it can join this store's network with it, by
 * lit_store_join, `littoral join` or in any other language. A store without a roster, that trusts
 * nobody yet, founds one by that.
 *
 * `invitation_json` is an object of rights, as lit_store_grant_json takes them:
 * {"rights": {"notes": "write"}}, and, if you like, of name (what people call the new member; else
 * it is called as it says), seconds (for how long the ticket is good; 3600), uses (how many may
 * join with it; 1), addresses (where this node is reached, an array of "host:port", the likeliest
 * first; else where it listens, so call lit_store_listen before) and own_name (what people call
 * this node, if it founds the roster now).
 *
 * `*ticket_json` is an object of what lit_ticket_inspect_json gives, and yours: free it with
 * lit_bytes_free. Hand its "ticket" over as you would a key: it is kept nowhere.
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (a member of the object; there are peers, and no roster);
 * LIT_ERR_FORBIDDEN if this node may not give these rights; LIT_ERR_LIMIT_EXCEEDED for too many
 * open invitations.
 */
LIT_MUST_USE
lit_status_t lit_store_invite_json(struct lit_store_t *store,
                                   struct lit_slice_t invitation_json,
                                   struct lit_bytes_t *ticket_json,
                                   struct lit_error_t *err);

/**
 * All invitations that are remembered, in the order in which they were made, as a JSON array of
 * objects of id, state ("open", "used", "expired", "revoked"), name, rights, made_ms, expires_ms
 * (Unix milliseconds), uses_left, and used_by, an array of objects of node (the key of who joined)
 * and time_ms. None of them has the ticket. Names are only ever added.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_store_invites_json(struct lit_store_t *store,
                                    struct lit_bytes_t *json,
                                    struct lit_error_t *err);

/**
 * Lets nobody join any more with the ticket of the invitation `id`. Who has joined with it stays
 * a member: see lit_store_revoke. Harmless if it let nobody in any more.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_INVALID_INPUT (id); LIT_ERR_NOT_FOUND if there is no such invitation.
 */
LIT_MUST_USE
lit_status_t lit_store_revoke_invite(struct lit_store_t *store,
                                     struct lit_slice_t id,
                                     struct lit_error_t *err);

/**
 * What a ticket says, as a JSON object of ticket (the text again, without white space and in
 * lower case), id (the name of the invitation), network, inviter (the key of the node that made
 * it), expires_ms (Unix milliseconds, by that node's clock) and addresses. Whether it is still
 * good, only that node knows.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 * Errors: LIT_ERR_INVALID_INPUT if it is no ticket, or was mistyped; LIT_ERR_FORMAT_TOO_NEW.
 */
LIT_MUST_USE
lit_status_t lit_ticket_inspect_json(struct lit_slice_t ticket,
                                     struct lit_bytes_t *json,
                                     struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Bundles: changes in a file
 */

/**
 * Writes to the file `path` what this store has: so that lit_bundle_create elsewhere, given that
 * file as `since`, leaves it out. A file of that name is replaced.
 *
 * Thread-safe. Blocks: disk.
 */
LIT_MUST_USE
lit_status_t lit_bundle_have(struct lit_store_t *store,
                             struct lit_slice_t path,
                             struct lit_error_t *err);

/**
 * Makes a bundle: a file with the changes that its receiver lacks, to be carried there by any
 * means and applied with lit_bundle_apply. A file of that name is replaced when the bundle is
 * whole.
 *
 * `since` is a file that lit_bundle_have wrote at the receiver, or an earlier bundle that was
 * given to it; empty is everything. `collections_json` is an array of names, or empty for all
 * that the store wants. Where the log no longer reaches back a collection goes as a snapshot,
 * unless `flags` has LIT_BUNDLE_NO_SNAPSHOTS. `*json` says what is in the bundle, as
 * lit_bundle_inspect_json does; it is yours: free it with lit_bytes_free.
 *
 * Thread-safe. Blocks: commit.
 * Errors: LIT_ERR_NOT_FOUND if the log does not reach back and snapshots are not allowed;
 * LIT_ERR_FORKED if the receiver has other transactions under the same names; LIT_ERR_REFUSED
 * if it belongs to another network; LIT_ERR_UNKNOWN_COLLECTION; LIT_ERR_CORRUPT if `since` is
 * damaged; LIT_ERR_DISK_FULL.
 */
LIT_MUST_USE
lit_status_t lit_bundle_create(struct lit_store_t *store,
                               struct lit_slice_t path,
                               struct lit_slice_t since,
                               struct lit_slice_t collections_json,
                               uint32_t flags,
                               struct lit_bytes_t *json,
                               struct lit_error_t *err);

/**
 * Applies the bundle in the file `path` as what a peer sends is applied. What is here already is
 * passed over, so a bundle may be applied again, and one that was interrupted goes on.
 *
 * `from` is the key of the node that made it, for its snapshots to be believed although that
 * node is not trusted; empty otherwise. `collections_json` is an array of names, or empty for all
 * that the store wants. `*json` is {"collections": [{"name", "snapshot", "wanted", "new",
 * "duplicates"}]}, in transactions; it is yours: free it with lit_bytes_free.
 *
 * Thread-safe. Blocks: commit.
 * Errors, which leave what was applied before: LIT_ERR_CORRUPT if the file is damaged or cut
 * short; LIT_ERR_MISSING_DEPENDENCY if it builds on what is not here; LIT_ERR_REFUSED for another
 * network and for a snapshot of a node that is not trusted; LIT_ERR_INVALID_TRANSACTION;
 * LIT_ERR_FORKED; LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_LOCKED if a link takes in a snapshot just now;
 * LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_bundle_apply(struct lit_store_t *store,
                              struct lit_slice_t path,
                              struct lit_slice_t from,
                              struct lit_slice_t collections_json,
                              struct lit_bytes_t *json,
                              struct lit_error_t *err);

/**
 * Says what is in the bundle in the file `path`, after checking each frame and each signature:
 * an object of network, maker, made, bytes, and of each of collections its name, snapshot, since
 * (how many transactions its receiver was taken to have), transactions, documents, bytes, oldest,
 * newest (RFC 3339, or null) and authors: [{"author", "incarnation", "first", "last"}]. With a
 * store also new and missing: how many transactions of what it brings, and of what it leaves out,
 * that store lacks. Names are only ever added.
 *
 * `store` may be NULL. `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_CORRUPT if the file is damaged or cut short; LIT_ERR_INVALID_TRANSACTION;
 * LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_REFUSED if it belongs to another network than the store.
 */
LIT_MUST_USE
lit_status_t lit_bundle_inspect_json(struct lit_slice_t path,
                                     struct lit_store_t *store,
                                     struct lit_bytes_t *json,
                                     struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Backups
 */

/**
 * Writes all that the store holds at this moment to the file `path`: of every collection the
 * documents, their conflicts and the vector, the roster, and what the store was told. Reads, writes
 * and sync go on meanwhile. The file is made beside its name and read back; then it takes the
 * place of one of that name. The node's secret key, the log and checkpoints are not in it, and it
 * is not encrypted.
 *
 * `flags` may have LIT_BACKUP_NO_PEERS. `*json` says what is in it, as lit_backup_check_json does;
 * it is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk, for as long as writing and reading all of it takes.
 * Errors, after which there is no new file: LIT_ERR_CORRUPT if the documents are not those that the
 * store has counted, or the disk gives back something else; LIT_ERR_LIMIT_EXCEEDED for a document
 * that is too large to sync; LIT_ERR_DISK_FULL; LIT_ERR_POISONED.
 */
LIT_MUST_USE
lit_status_t lit_store_backup(struct lit_store_t *store,
                              struct lit_slice_t path,
                              uint32_t flags,
                              struct lit_bytes_t *json,
                              struct lit_error_t *err);

/**
 * Says what is in the backup in the file `path`, after checking every byte of it: an object of
 * network, node, made (RFC 3339), bytes, founder (of the roster, or null), statements (of it),
 * peers, documents, transactions, and of each of collections its name, documents, conflicts,
 * transactions, origins and cells (its digest). Needs no store. Names are only ever added.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk.
 * Errors: LIT_ERR_CORRUPT if it is damaged or cut short; LIT_ERR_INVALID_INPUT if it is something
 * else; LIT_ERR_FORMAT_TOO_NEW; LIT_ERR_IO.
 */
LIT_MUST_USE
lit_status_t lit_backup_check_json(struct lit_slice_t path,
                                   struct lit_bytes_t *json,
                                   struct lit_error_t *err);

/**
 * Makes a store in the directory `dir`, which is empty or absent, of the backup in the file `path`.
 * It is another node, with a key of its own, encrypted if `passphrase` is not empty, and holds the
 * same documents; a backup may be restored as often as one likes. At the end there is a whole store
 * at `dir`, or nothing new. lit_store_open opens it.
 *
 * With the roster that the backup has, the new node is no member until an admin lets it in. With
 * LIT_RESTORE_NO_ROSTER in `flags` it belongs to none. `*json` is {"node", "roster", "backup"}: the
 * new node's key, whether it belongs to a roster, and what lit_backup_check_json gives; it is
 * yours: free it with lit_bytes_free.
 * Thread-safe. Blocks: disk, for as long as reading all of it and writing it takes.
 * Errors: those of lit_backup_check_json; LIT_ERR_INVALID_INPUT also if `dir` is not empty;
 * LIT_ERR_DISK_FULL.
 */
LIT_MUST_USE
lit_status_t lit_restore(struct lit_slice_t path,
                         struct lit_slice_t dir,
                         struct lit_slice_t passphrase,
                         uint32_t flags,
                         struct lit_bytes_t *json,
                         struct lit_error_t *err);

/* ---------------------------------------------------------------------------------------------
 * Network
 */

#if defined(LIT_NET)
/**
 * Listens for trusted peers at `address`, "host:port" with an IP address as host, IPv6 in
 * brackets: "0.0.0.0:4433", "[::]:4433"; port 0 takes any. Listens at each address it is called
 * with. What peers connect to is such an address, '#' and this node's key.
 *
 * `*bound` is the address taken, as text, and yours: free it with lit_bytes_free.
 * Thread-safe. Does not block. Starts the threads of the network, which end with the store.
 * Errors: LIT_ERR_INVALID_INPUT (address); LIT_ERR_NETWORK if it is in use or not of this device.
 */
LIT_MUST_USE
lit_status_t lit_store_listen(struct lit_store_t *store,
                              struct lit_slice_t address,
                              struct lit_bytes_t *bound,
                              struct lit_error_t *err);

/**
 * Keeps up a link to the peer at "host:port#KEY", whose key is trusted from now on: dials, and
 * dials again with growing waits, until lit_link_close or the store is closed. It does not wait
 * for the connection: see lit_link_wait_synced and lit_link_status_json. The peer has to trust
 * this node's key too. For an address that is dialled already it gives that link.
 *
 * `*link` is yours: free it with lit_link_free; the link goes on without it.
 * Thread-safe. Does not block. Starts the threads of the network, which end with the store.
 * Errors: LIT_ERR_INVALID_INPUT (address, this node's own key); LIT_ERR_LIMIT_EXCEEDED.
 */
LIT_MUST_USE
lit_status_t lit_store_connect(struct lit_store_t *store,
                               struct lit_slice_t address,
                               struct lit_link_t **link,
                               struct lit_error_t *err);

/**
 * Keeps up a link, as lit_store_connect does, to each peer whose address the store knows, as of
 * those whom it joined by a ticket, and that is not dialled yet: so a store that has joined needs
 * no more than this when it is opened again. See lit_store_links_json.
 *
 * Thread-safe. Blocks: disk. Starts the threads of the network, which end with the store.
 * Errors: LIT_ERR_LIMIT_EXCEEDED.
 */
LIT_MUST_USE
lit_status_t lit_store_connect_known(struct lit_store_t *store,
                                     struct lit_error_t *err);

/**
 * Finds peers on the LAN by mDNS from now on, and is found by them: members of the same roster, or
 * peers that are trusted where there is none, and only those. Links with those that it finds, up to
 * 64, and follows peers to other addresses. Whoever answers has to prove the peer's key. To be
 * found, the store has to listen. IPv4 only. Twice is harmless; it ends with the store. Phones ask
 * the user before an app may do so, and some need an entitlement.
 *
 * Thread-safe. Does not block. Starts the threads of the network, which end with the store.
 * Errors: LIT_ERR_NETWORK if this machine can't listen for it (UDP 5353).
 */
LIT_MUST_USE lit_status_t lit_store_discover(struct lit_store_t *store, struct lit_error_t *err);

/**
 * Becomes a member with a ticket of lit_store_invite_json or `littoral invite`: dials whoever made
 * it, proves this node's key, shows the ticket, takes the rights that it gives, and keeps up a
 * link from then on, as lit_store_connect does. It tries again until it is answered or
 * `timeout_ms` is over (LIT_FOREVER: no limit); LIT_TIMEOUT then, and nothing has changed. Joining
 * again with the same ticket does no harm. `name` is what people call this node, if the ticket
 * does not say; may be empty.
 *
 * The store has to belong to the ticket's network: open a new one with lit_options_t.ticket. When
 * it returns this node is a member, and the first sync begins: lit_link_wait_synced waits for it.
 * lit_store_roster_json tells who belongs, and what this node may do.
 *
 * `*link` is yours: free it with lit_link_free; the link goes on without it.
 * Thread-safe. Blocks: for the time given, and commit. lit_store_close in another thread ends it
 * with LIT_ERR_CLOSED. Starts the threads of the network, which end with the store.
 * Errors: LIT_ERR_REFUSED if the ticket was used, revoked, has expired or never was, or lets this
 * node not in; LIT_ERR_INVALID_INPUT (ticket, name; the store belongs to another network or
 * roster); LIT_ERR_FORMAT_TOO_NEW for a ticket of a newer version.
 */
LIT_MUST_USE
lit_status_t lit_store_join(struct lit_store_t *store,
                            struct lit_slice_t ticket,
                            struct lit_slice_t name,
                            int64_t timeout_ms,
                            struct lit_link_t **link,
                            struct lit_error_t *err);

/**
 * Waits until this store and all peers that it is linked with hold the same, at most
 * `timeout_ms`: all that was written here before this call is durable there, and all that they
 * have told to hold is durable here. At least one link must be connected; links that are cut or
 * refused are not waited for. LIT_TIMEOUT if it did not come to that; then `err` tells what is
 * missing.
 *
 * Thread-safe. Blocks: for the time given.
 */
LIT_MUST_USE
lit_status_t lit_store_wait_synced(struct lit_store_t *store,
                                   int64_t timeout_ms,
                                   struct lit_error_t *err);

/**
 * Goes offline (false): cuts all links, makes none and takes in nobody, also links that are made
 * meanwhile; or comes back (true) to what it was. When it returns all is cut, after at most some
 * seconds: what is written after that stays here until the store is online again. Peers that
 * were cut by lit_link_set_enabled stay so. A store that is opened is online.
 *
 * Thread-safe. Blocks: when it goes offline, for some seconds at most.
 */
LIT_MUST_USE
lit_status_t lit_store_set_online(struct lit_store_t *store,
                                  bool online,
                                  struct lit_error_t *err);

/**
 * Syncs at this moment: dials every peer now whose next attempt waits for its turn, and then waits
 * as lit_store_wait_synced does.
 *
 * Thread-safe. Blocks: for the time given.
 */
LIT_MUST_USE
lit_status_t lit_store_sync_now(struct lit_store_t *store,
                                int64_t timeout_ms,
                                struct lit_error_t *err);

/**
 * All links of the store, those that peers made included, as a JSON array of what
 * lit_link_status_json gives.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_store_links_json(struct lit_store_t *store,
                                  struct lit_bytes_t *json,
                                  struct lit_error_t *err);

/**
 * How a link stands, as a JSON object: id, peer (its key), address, direction ("outgoing",
 * "incoming"), state ("connecting", "connected", "waiting" for the next attempt, "refused",
 * "standby" while a link that the peer made serves, "paused", "closed"), reason (why it is
 * refused, or null), last_error, connected_since_ms, rtt_ms, received_bytes, sent_bytes, synced,
 * and by name of collections: sent_txns, sent_bytes, received_txns, received_bytes,
 * unacked_bytes, unapplied_bytes, caught_up, peer_caught_up and trouble (null, or a word).
 * Names are only ever added.
 *
 * `*json` is yours: free it with lit_bytes_free.
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_link_status_json(struct lit_link_t *link,
                                  struct lit_bytes_t *json,
                                  struct lit_error_t *err);

/**
 * As lit_store_wait_synced, for the peer of this link only.
 *
 * Thread-safe. Blocks: for the time given.
 */
LIT_MUST_USE
lit_status_t lit_link_wait_synced(struct lit_link_t *link,
                                  int64_t timeout_ms,
                                  struct lit_error_t *err);

/**
 * Cuts all connections with this peer and turns its own away (false), or takes them up again
 * (true), for tests and for apps that sync when they choose to.
 *
 * Thread-safe. Does not block.
 */
LIT_MUST_USE
lit_status_t lit_link_set_enabled(struct lit_link_t *link,
                                  bool enabled,
                                  struct lit_error_t *err);

/**
 * Ends a link for good, with a goodbye. What was not sent yet is sent by the next link with
 * that peer. The handle is still to be freed. Closing twice is harmless.
 *
 * Thread-safe. Blocks: for the goodbye, some seconds at most.
 */
lit_status_t lit_link_close(struct lit_link_t *link, struct lit_error_t *err);

/**
 * Frees the handle. The link goes on until the store is closed; to end it, lit_link_close.
 * Harmless for NULL.
 *
 * Thread-safe. Does not block.
 */
void lit_link_free(struct lit_link_t *link);
#endif

/* ---------------------------------------------------------------------------------------------
 * For tests
 */

/**
 * How many handles are live in this process: 0 when everything was freed. For tests.
 *
 * Thread-safe. Does not block.
 */
uint64_t lit_debug_live_handles(void);

/**
 * How many times a handle was freed that was not live: 0 in a program without mistakes. For
 * tests; debug builds of the library also say so on standard error.
 *
 * Thread-safe. Does not block.
 */
uint64_t lit_debug_stale_frees(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* ---------------------------------------------------------------------------------------------
 * Small things for C and C++, all inline.
 */

/** `len` bytes at `ptr` as a slice. */
static inline lit_slice_t lit_slice(const void *ptr, size_t len) {
    lit_slice_t slice;
    slice.ptr = (const uint8_t *)ptr;
    slice.len = len;
    return slice;
}

/** A C string as a slice; NULL is empty. */
static inline lit_slice_t lit_cstr(const char *text) {
    return lit_slice(text, text == NULL ? 0 : strlen(text));
}

/** Bytes that the library gave, as a slice to pass back in. */
static inline lit_slice_t lit_bytes_slice(lit_bytes_t bytes) {
    return lit_slice(bytes.ptr, bytes.len);
}

/** A string literal as a slice; it may hold NUL. */
#define LIT_STR(literal) lit_slice("" literal "", sizeof(literal) - 1)

/** The defaults: all zero but struct_size, which is that of your header. */
static inline void lit_options_init(lit_options_t *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

/** The defaults: changes of all collections, from now on. */
static inline void lit_subscribe_options_init(lit_subscribe_options_t *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->since = LIT_SINCE_NOW;
}

/** The defaults: all documents, in order. */
static inline void lit_scan_options_init(lit_scan_options_t *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

#endif  /* LITTORAL_H */

//! Statuses and errors: the core's kinds as stable numbers, and the guard of every call.

use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use littoral::Error;

use crate::slices::Out;

/// What a call came to. 0 is success, a positive number is an answer that is not an error, a
/// negative number is an error. The numbers never change; new ones may be added, so treat an
/// unknown negative number as an error.
pub type lit_status_t = i32;

/// Done.
pub const LIT_OK: lit_status_t = 0;
/// Not an error: there is no such document, field or element. Nothing was read or removed.
pub const LIT_NOT_FOUND: lit_status_t = 1;
/// Not an error: the iterator is at its end.
pub const LIT_END: lit_status_t = 2;
/// Not an error: the time allowed ran out and what was waited for has not come yet.
pub const LIT_TIMEOUT: lit_status_t = 3;

/// An argument is not of the required form: id, path, value, JSON, UTF-8. Nothing was changed.
pub const LIT_ERR_INVALID_INPUT: lit_status_t = -1;
/// An argument is larger or deeper than a limit allows. Nothing was changed.
pub const LIT_ERR_LIMIT_EXCEEDED: lit_status_t = -2;
/// The field holds another kind than asked for. Nothing was changed.
pub const LIT_ERR_WRONG_KIND: lit_status_t = -3;
/// The store has no such collection. Nothing was changed.
pub const LIT_ERR_UNKNOWN_COLLECTION: lit_status_t = -4;
/// What the call builds on is not there, for instance a log position that is pruned.
pub const LIT_ERR_NOT_FOUND: lit_status_t = -5;
/// The document is no longer at the version that the caller requires. Nothing was changed.
pub const LIT_ERR_VERSION_MISMATCH: lit_status_t = -6;
/// Another process, or another handle of this one, has the store open.
pub const LIT_ERR_LOCKED: lit_status_t = -10;
/// The directory holds something that is not a store.
pub const LIT_ERR_NOT_A_STORE: lit_status_t = -11;
/// A file or a peer speaks a newer format than this library.
pub const LIT_ERR_FORMAT_TOO_NEW: lit_status_t = -12;
/// The files contradict themselves: the store does not open; nothing was changed. Or a bundle is
/// damaged or cut short: what came before the damage was applied.
pub const LIT_ERR_CORRUPT: lit_status_t = -13;
/// The disk is full. The transaction was not committed.
pub const LIT_ERR_DISK_FULL: lit_status_t = -14;
/// The operating system refused a file operation.
pub const LIT_ERR_IO: lit_status_t = -15;
/// An earlier commit failed with an unknown outcome, or the disk could not be read: the store refuses writes until it is opened again.
pub const LIT_ERR_POISONED: lit_status_t = -16;
/// The store, transaction or link has ended.
pub const LIT_ERR_CLOSED: lit_status_t = -17;
/// Another write has been open for too long. Nothing was changed.
pub const LIT_ERR_TIMEOUT: lit_status_t = -18;
/// The store is suspended; or it was suspended since what was asked began: a scan, a transaction,
/// a past. Nothing was changed.
pub const LIT_ERR_SUSPENDED: lit_status_t = -19;
/// A transaction of a peer or a file is invalid. Nothing of it was applied.
pub const LIT_ERR_INVALID_TRANSACTION: lit_status_t = -20;
/// A transaction builds on others that are not here. Nothing of it was applied.
pub const LIT_ERR_MISSING_DEPENDENCY: lit_status_t = -21;
/// Two different transactions have one name: a copy of a store wrote beside it, or it was
/// rolled back. Nothing of the second one was applied.
pub const LIT_ERR_FORKED: lit_status_t = -22;
/// A right is missing: this node, or the author of what it was given, may not do that there.
/// Nothing was changed.
pub const LIT_ERR_FORBIDDEN: lit_status_t = -23;
/// The node's key is encrypted, and the passphrase is missing or wrong.
pub const LIT_ERR_PASSPHRASE: lit_status_t = -24;
/// The peer is not known, or it refused us.
pub const LIT_ERR_REFUSED: lit_status_t = -30;
/// The network failed: address, connection, handshake.
pub const LIT_ERR_NETWORK: lit_status_t = -31;
/// The peer broke the protocol.
pub const LIT_ERR_PROTOCOL: lit_status_t = -32;
/// A write gave up; it was rolled back.
pub const LIT_ERR_ABORTED: lit_status_t = -40;
/// A required pointer is NULL. Nothing was changed.
pub const LIT_ERR_NULL: lit_status_t = -60;
/// A handle is not live: it was freed before, or it is of another kind. Nothing was changed.
pub const LIT_ERR_HANDLE: lit_status_t = -61;
/// A mistake of ours was caught at the border: please report it. Free the handles of the call.
pub const LIT_ERR_PANIC: lit_status_t = -98;
/// A mistake of ours: please report it.
pub const LIT_ERR_INTERNAL: lit_status_t = -99;

/// Bytes of the message in a lit_error_t, the final NUL included.
pub const LIT_ERROR_MESSAGE_BYTES: usize = 256;

/// What went wrong, for programs and for people. Yours: put it on the stack and give its
/// address, or NULL if the status is enough. Each call that takes one fills it: after a call
/// without error `code` is the status (0 or positive) and `message` is empty, or tells more.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lit_error_t {
    /// The status that the call returned.
    pub code: lit_status_t,
    /// A sentence: what was wanted, what was found, what to do. UTF-8, ended by NUL, cut at
    /// a character if it is too long. Never holds data of the documents.
    pub message: [c_char; LIT_ERROR_MESSAGE_BYTES],
}

/// The name of a status, for instance "LIT_ERR_LOCKED"; "LIT_ERR_UNKNOWN" for a number that
/// this library does not know. Static: do not free it.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_status_name(status: lit_status_t) -> *const c_char {
    let name = match status {
        LIT_OK => c"LIT_OK",
        LIT_NOT_FOUND => c"LIT_NOT_FOUND",
        LIT_END => c"LIT_END",
        LIT_TIMEOUT => c"LIT_TIMEOUT",
        LIT_ERR_INVALID_INPUT => c"LIT_ERR_INVALID_INPUT",
        LIT_ERR_LIMIT_EXCEEDED => c"LIT_ERR_LIMIT_EXCEEDED",
        LIT_ERR_WRONG_KIND => c"LIT_ERR_WRONG_KIND",
        LIT_ERR_UNKNOWN_COLLECTION => c"LIT_ERR_UNKNOWN_COLLECTION",
        LIT_ERR_NOT_FOUND => c"LIT_ERR_NOT_FOUND",
        LIT_ERR_VERSION_MISMATCH => c"LIT_ERR_VERSION_MISMATCH",
        LIT_ERR_LOCKED => c"LIT_ERR_LOCKED",
        LIT_ERR_NOT_A_STORE => c"LIT_ERR_NOT_A_STORE",
        LIT_ERR_FORMAT_TOO_NEW => c"LIT_ERR_FORMAT_TOO_NEW",
        LIT_ERR_CORRUPT => c"LIT_ERR_CORRUPT",
        LIT_ERR_DISK_FULL => c"LIT_ERR_DISK_FULL",
        LIT_ERR_IO => c"LIT_ERR_IO",
        LIT_ERR_POISONED => c"LIT_ERR_POISONED",
        LIT_ERR_CLOSED => c"LIT_ERR_CLOSED",
        LIT_ERR_TIMEOUT => c"LIT_ERR_TIMEOUT",
        LIT_ERR_SUSPENDED => c"LIT_ERR_SUSPENDED",
        LIT_ERR_INVALID_TRANSACTION => c"LIT_ERR_INVALID_TRANSACTION",
        LIT_ERR_MISSING_DEPENDENCY => c"LIT_ERR_MISSING_DEPENDENCY",
        LIT_ERR_FORKED => c"LIT_ERR_FORKED",
        LIT_ERR_FORBIDDEN => c"LIT_ERR_FORBIDDEN",
        LIT_ERR_PASSPHRASE => c"LIT_ERR_PASSPHRASE",
        LIT_ERR_REFUSED => c"LIT_ERR_REFUSED",
        LIT_ERR_NETWORK => c"LIT_ERR_NETWORK",
        LIT_ERR_PROTOCOL => c"LIT_ERR_PROTOCOL",
        LIT_ERR_ABORTED => c"LIT_ERR_ABORTED",
        LIT_ERR_NULL => c"LIT_ERR_NULL",
        LIT_ERR_HANDLE => c"LIT_ERR_HANDLE",
        LIT_ERR_PANIC => c"LIT_ERR_PANIC",
        LIT_ERR_INTERNAL => c"LIT_ERR_INTERNAL",
        _ => c"LIT_ERR_UNKNOWN",
    };
    name.as_ptr()
}

/// An error on its way to C.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    status: lit_status_t,
    message: String,
}

/// What the body of an exported function gives: a status of 0 or more, or a fault.
pub(crate) type Outcome<T = lit_status_t> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(status: lit_status_t, message: impl Into<String>) -> Fault {
        Fault { status, message: message.into() }
    }

    pub(crate) fn null(what: &str) -> Fault {
        Fault::new(LIT_ERR_NULL, format!("{what} is NULL"))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(LIT_ERR_INVALID_INPUT, message)
    }

    pub(crate) fn closed(message: &str) -> Fault {
        Fault::new(LIT_ERR_CLOSED, message)
    }

    /// What is asked of a store that is suspended, or was since it began.
    pub(crate) fn suspended(message: &str) -> Fault {
        Fault::new(LIT_ERR_SUSPENDED, message)
    }

    /// A handle whose lock a panic left behind.
    pub(crate) fn panicked(what: &str) -> Fault {
        Fault::new(LIT_ERR_PANIC, format!("an earlier call on this {what} panicked; free it"))
    }
}

impl From<Error> for Fault {
    /// A kind's C code is its number, negative: an addition to the kinds needs none here.
    fn from(err: Error) -> Fault {
        Fault::new(-(err.kind() as lit_status_t), err.message())
    }
}

/// Runs the body of an exported function: no panic leaves it, and `err` tells what came of it.
pub(crate) fn guard(err: Out<'_, lit_error_t>, body: impl FnOnce() -> Outcome) -> lit_status_t {
    let outcome = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(Fault::new(LIT_ERR_PANIC, describe(panic))));
    match outcome {
        Ok(status) => {
            err.set_status(status);
            status
        }
        Err(fault) => {
            err.set(lit_error_t { code: fault.status, message: message(&fault.message) });
            fault.status
        }
    }
}

/// As [`guard`] for functions that can't fail: after a panic there is simply nothing more done.
pub(crate) fn guard_free(body: impl FnOnce()) {
    guard(Out::none(), || {
        body();
        Ok(LIT_OK)
    });
}

fn describe(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => *text,
        (_, Some(text)) => text.as_str(),
        _ => "without a message",
    };
    let text = format!("a mistake of Littoral, please report it: {text}");
    // Dropping what was thrown could throw again.
    std::mem::forget(panic);
    text
}

/// The message cut at a character, with its NUL. A NUL inside would end it early: it becomes a space.
fn message(text: &str) -> [c_char; LIT_ERROR_MESSAGE_BYTES] {
    let mut out = [0; LIT_ERROR_MESSAGE_BYTES];
    let end = text.floor_char_boundary(LIT_ERROR_MESSAGE_BYTES - 1);
    for (to, &byte) in out.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = if byte == 0 { b' ' as c_char } else { byte as c_char };
    }
    out
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use littoral::ErrorKind;

    use super::*;
    use crate::slices::Zeroed;

    fn text(error: &lit_error_t) -> &str {
        // SAFETY: `message` always ends with NUL and lives as long as `error`.
        unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_str().unwrap()
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let mut error = lit_error_t::ZEROED;
        // SAFETY: `error` outlives the call.
        let out = unsafe { Out::new(&mut error) };
        let status = guard(out, || panic!("planted"));
        assert_eq!((status, error.code), (LIT_ERR_PANIC, LIT_ERR_PANIC));
        assert!(text(&error).ends_with("planted"));
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let cut = lit_error_t { code: 0, message: message(&"ä".repeat(200)) };
        assert_eq!(text(&cut), "ä".repeat(127));
    }

    #[test]
    fn every_kind_has_a_named_code() {
        use ErrorKind::*;
        let kinds = [
            InvalidInput,
            LimitExceeded,
            WrongKind,
            UnknownCollection,
            NotFound,
            VersionMismatch,
            Locked,
            NotAStore,
            FormatTooNew,
            Corrupt,
            DiskFull,
            Io,
            Poisoned,
            Closed,
            Timeout,
            InvalidTransaction,
            MissingDependency,
            Forked,
            Forbidden,
            Passphrase,
            Refused,
            Network,
            Protocol,
            Aborted,
            Internal,
        ];
        for kind in kinds {
            let fault = Fault::from(Error::new(kind, "why"));
            // SAFETY: status names are static and end with NUL.
            let name = unsafe { CStr::from_ptr(lit_status_name(fault.status)) }.to_str().unwrap();
            let words = name.trim_start_matches("LIT_ERR_").replace('_', "").to_lowercase();
            assert_eq!(words, format!("{kind:?}").to_lowercase());
        }
    }
}

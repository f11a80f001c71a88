//! Handles: numbers that C sees as pointers, and what they stand for.
//!
//! A handle is never dereferenced: it is looked up. So a handle that was freed, or one of
//! another kind, is an error in every build, and freeing in one thread what another is
//! using ends the handle, not the object under that thread's feet. Numbers are multiples of
//! 16, never 0, and come back only after the address space has been gone through once.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Fault, LIT_ERR_HANDLE, Outcome};

const SHARDS: usize = 16;
const STEP: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(STEP);
static LIVE: AtomicU64 = AtomicU64::new(0);
static STALE: AtomicU64 = AtomicU64::new(0);

type Shard<T> = RwLock<BTreeMap<usize, Arc<T>>>;

/// All live handles of one kind: `H` is the name that C has for it, `T` what is behind it.
pub(crate) struct Registry<H, T> {
    what: &'static str,
    shards: [Shard<T>; SHARDS],
    kind: PhantomData<fn(H)>,
}

impl<H, T> Registry<H, T> {
    pub(crate) const fn new(what: &'static str) -> Registry<H, T> {
        Registry {
            what,
            shards: [const { RwLock::new(BTreeMap::new()) }; SHARDS],
            kind: PhantomData,
        }
    }

    /// A new handle for `object`.
    pub(crate) fn insert(&self, object: T) -> *mut H {
        let object = Arc::new(object);
        loop {
            let number = NEXT.fetch_add(STEP, Ordering::Relaxed);
            let mut shard = self.write(number);
            if number != 0 && !shard.contains_key(&number) {
                shard.insert(number, object);
                LIVE.fetch_add(1, Ordering::Relaxed);
                return std::ptr::without_provenance_mut(number);
            }
        }
    }

    /// What `handle` stands for; lives on while the caller uses it, freed or not.
    pub(crate) fn get(&self, handle: *mut H) -> Outcome<Arc<T>> {
        let number = handle.addr();
        self.read(number).get(&number).cloned().ok_or_else(|| self.not_live(number))
    }

    /// Gives `read` what `handle` stands for. Cheaper than [`Registry::get`], and for what is over
    /// at once: while it reads no handle of this kind can be made or freed.
    pub(crate) fn with<R>(
        &self,
        handle: *mut H,
        read: impl FnOnce(&T) -> Outcome<R>,
    ) -> Outcome<R> {
        let number = handle.addr();
        read(self.read(number).get(&number).ok_or_else(|| self.not_live(number))?)
    }

    #[cold]
    fn not_live(&self, number: usize) -> Fault {
        let what = self.what;
        match number {
            0 => Fault::null(what),
            _ => Fault::new(
                LIT_ERR_HANDLE,
                format!("{what} is no live handle: it was freed, or is of another kind"),
            ),
        }
    }

    /// Ends a handle and gives what it stood for. NULL is harmless; a stale one is counted, and
    /// told on standard error in debug builds.
    pub(crate) fn remove(&self, handle: *mut H) -> Option<Arc<T>> {
        let number = handle.addr();
        let removed = self.write(number).remove(&number);
        if removed.is_some() {
            LIVE.fetch_sub(1, Ordering::Relaxed);
        } else if number != 0 {
            STALE.fetch_add(1, Ordering::Relaxed);
            if cfg!(debug_assertions) {
                eprintln!("littoral: a {} was freed that is not live: freed twice?", self.what);
            }
        }
        removed
    }

    fn read(&self, number: usize) -> RwLockReadGuard<'_, BTreeMap<usize, Arc<T>>> {
        self.shard(number).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, number: usize) -> RwLockWriteGuard<'_, BTreeMap<usize, Arc<T>>> {
        self.shard(number).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, number: usize) -> &Shard<T> {
        &self.shards[number / STEP % SHARDS]
    }
}

/// How many handles are live in this process: 0 when everything was freed. For tests.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_debug_live_handles() -> u64 {
    LIVE.load(Ordering::Relaxed)
}

/// How many times a handle was freed that was not live: 0 in a program without mistakes. For
/// tests; debug builds of the library also say so on standard error.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_debug_stale_frees() -> u64 {
    STALE.load(Ordering::Relaxed)
}

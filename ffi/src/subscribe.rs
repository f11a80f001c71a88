//! Subscriptions: changes that are handed to a function of the caller, on one thread of ours.
//!
//! Each store has one thread for that as long as it has subscriptions. It pulls from the change feed,
//! as lit_changes_next does, so that a slow callback holds up nobody and takes no memory. No lock of
//! ours is held during a call, so a callback may use the library as anybody does.
//!
//! Invariants: after the function that unsubscribes has returned there is no call; if it is called
//! inside the callback, there is none after that one. `drop` is called once, after the last call.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use littoral::store::Subscription;
use littoral::{Change, Changes, ErrorKind, Position, Store};

use crate::changes::{LIT_SINCE_NOW, Lent, lit_change_t};
use crate::error::{
    Fault, LIT_ERR_IO, LIT_ERR_NOT_FOUND, LIT_OK, Outcome, guard, guard_free, lit_error_t,
    lit_status_t,
};
use crate::handles::Registry;
use crate::slices::{Grows, Out, Zeroed, lit_slice_t, options};
use crate::store::{Shared, lit_store_t, shared};

/// A function of yours that is called with changes, until it is freed.
pub struct lit_subscription_t(());

/// A function of yours, and what it works on.
///
/// `call` and `drop` run on a thread of the library, one for each store, and never two at a time for
/// one store. No lock of the library is held: they may call it, lit_store_close and
/// lit_subscription_free included. While `call` runs, other subscriptions of the store wait. They
/// must return: no longjmp, no exception.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lit_callback_t {
    /// Handed to `call` and `drop`; the library does not look at it.
    pub context: *mut c_void,
    /// Called with each change, and LIT_OK; `change` and its slices are valid during the call.
    ///
    /// With another status `change` is NULL. LIT_ERR_NOT_FOUND: the log no longer reached back to
    /// where the subscription was, so it goes on from the present moment: read the documents anew.
    /// Any other is the last call: LIT_ERR_CLOSED after lit_store_close, or an error of the disk.
    pub call: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            status: lit_status_t,
            change: *const lit_change_t,
        ),
    >,
    /// Called once, after the last call. May be NULL.
    pub drop: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

/// What to be called with. Initialise it with lit_subscribe_options_init.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lit_subscribe_options_t {
    /// Bytes of this struct in the header that you compiled with; lit_subscribe_options_init sets it.
    pub struct_size: usize,
    /// Must be 0.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// The position after which to begin, as of lit_changes_open; LIT_SINCE_NOW after
    /// lit_subscribe_options_init.
    pub since: u64,
    /// Only changes of this collection; {NULL, 0} is all.
    pub collection: lit_slice_t,
}

impl Zeroed for lit_subscribe_options_t {
    const ZEROED: lit_subscribe_options_t = lit_subscribe_options_t {
        struct_size: 0,
        flags: 0,
        reserved: 0,
        since: 0,
        collection: lit_slice_t::ZEROED,
    };
}

// SAFETY: it is repr(C), begins with its size, and is made of integers and a raw pointer.
unsafe impl Grows for lit_subscribe_options_t {
    const FIRST_BYTES: usize = size_of::<lit_subscribe_options_t>();
}

/// So many changes are handed to one subscription before others have their turn.
const TURN: usize = 64;

/// The callback as the thread may have it.
struct Callback(lit_callback_t);

// SAFETY: the header asks that `call` and `drop` can run on a thread of ours with this context.
unsafe impl Send for Callback {}
// SAFETY: the same; only one thread of ours calls, and `drop` after the last call.
unsafe impl Sync for Callback {}

/// Somebody who is called with changes.
struct Listener {
    callback: Callback,
    collection: Option<String>,
    changes: Mutex<Changes>,
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// The thread that is in `call` now.
    calling: Option<ThreadId>,
    /// Whether there is to be no more call.
    over: bool,
    /// Whether the thread that is calling is to call `drop` as well.
    drops: bool,
}

impl Listener {
    /// Hands over what there is, one turn at most. Gives whether there may be more.
    fn deliver(&self) -> bool {
        for _ in 0..TURN {
            let next = lock(&self.changes).next(Duration::ZERO);
            let goes_on = match next {
                Ok(None) => return false,
                Ok(Some(change)) if self.is_wanted(&change) => self.hand(change),
                Ok(Some(_)) => true,
                Err(err) if err.kind() == ErrorKind::Suspended => return false,
                Err(err) if err.kind() == ErrorKind::NotFound => {
                    lock(&self.changes).restart();
                    self.call(LIT_ERR_NOT_FOUND, ptr::null())
                }
                Err(err) => {
                    self.call(-(err.kind() as lit_status_t), ptr::null());
                    lock(&self.state).over = true;
                    false
                }
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn is_wanted(&self, change: &Change) -> bool {
        self.collection.as_deref().is_none_or(|name| name == &*change.collection)
    }

    fn hand(&self, change: Change) -> bool {
        let (lent, figures) = Lent::of(change);
        let change = lent.lend(&figures);
        self.call(LIT_OK, &raw const change)
    }

    /// Calls, unless it is over. Gives whether it goes on.
    fn call(&self, status: lit_status_t, change: *const lit_change_t) -> bool {
        {
            let mut state = lock(&self.state);
            if state.over {
                return false;
            }
            state.calling = Some(thread::current().id());
        }
        if let Some(call) = self.callback.0.call {
            // SAFETY: the header asks for a function that can be called so; `change` is NULL or
            // lives until this returns.
            unsafe { call(self.callback.0.context, status, change) };
        }
        let mut state = lock(&self.state);
        state.calling = None;
        let (over, drops) = (state.over, state.drops);
        drop(state);
        self.idle.notify_all();
        if drops {
            self.drop_context();
        }
        !over
    }

    /// Ends it: no call from now on, and `drop`.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.over = true;
        if state.calling == Some(thread::current().id()) {
            state.drops = true;
            return;
        }
        let calling = |state: &mut State| state.calling.is_some();
        drop(self.idle.wait_while(state, calling).unwrap_or_else(PoisonError::into_inner));
        self.drop_context();
    }

    fn drop_context(&self) {
        if let Some(drop) = self.callback.0.drop {
            // SAFETY: the header asks for a function that can be called so, once, after the last call.
            unsafe { drop(self.callback.0.context) };
        }
    }
}

/// Rings when there may be something to hand over.
#[derive(Default)]
struct Bell {
    state: Mutex<Rung>,
    rung: Condvar,
}

#[derive(Default)]
struct Rung {
    rung: bool,
    over: bool,
}

impl Bell {
    fn ring(&self) {
        lock(&self.state).rung = true;
        self.rung.notify_one();
    }

    fn end(&self) {
        lock(&self.state).over = true;
        self.rung.notify_one();
    }

    /// Waits until it rings; gives whether to go on.
    fn wait(&self) -> bool {
        let quiet = |state: &mut Rung| !state.rung && !state.over;
        let waited = self.rung.wait_while(lock(&self.state), quiet);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        !state.over
    }
}

/// The subscriptions of one store.
#[derive(Default)]
pub(crate) struct Calls(Arc<Mutex<Dispatch>>);

#[derive(Default)]
struct Dispatch {
    last: u64,
    listeners: BTreeMap<u64, Arc<Listener>>,
    thread: Option<Running>,
}

/// The thread that calls.
struct Running {
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
    _commits: Subscription,
}

impl Calls {
    fn add(&self, store: &Store, listener: Arc<Listener>) -> Outcome<u64> {
        let mut dispatch = lock(&self.0);
        dispatch.last += 1;
        let number = dispatch.last;
        if dispatch.thread.is_none() {
            dispatch.thread = Some(self.start(store)?);
        }
        dispatch.listeners.insert(number, listener);
        if let Some(running) = &dispatch.thread {
            running.bell.ring();
        }
        Ok(number)
    }

    fn start(&self, store: &Store) -> Outcome<Running> {
        let bell = Arc::new(Bell::default());
        let (dispatch, heard) = (self.0.clone(), bell.clone());
        let run = move || {
            while heard.wait() {
                while deliver_all(&dispatch) {}
            }
        };
        let thread = thread::Builder::new().name("littoral-calls".to_owned()).spawn(run);
        let thread = thread
            .map_err(|err| Fault::new(LIT_ERR_IO, format!("could not start a thread: {err}")))?;
        let rings = bell.clone();
        let commits = store.on_commit(move || rings.ring());
        Ok(Running { bell, thread, _commits: commits })
    }

    /// Ends a subscription, and the thread with the last one.
    fn remove(&self, number: u64) {
        let (listener, last) = {
            let mut dispatch = lock(&self.0);
            let listener = dispatch.listeners.remove(&number);
            let last = dispatch.listeners.is_empty().then(|| dispatch.thread.take()).flatten();
            (listener, last)
        };
        if let Some(running) = &last {
            running.bell.end();
        }
        if let Some(listener) = listener {
            listener.end();
        }
        if let Some(running) = last
            && running.thread.thread().id() != thread::current().id()
        {
            // It panics only if a callback of the caller did.
            let _ = running.thread.join();
        }
    }
}

/// A turn of each; gives whether one may have more.
fn deliver_all(dispatch: &Mutex<Dispatch>) -> bool {
    let listeners: Vec<Arc<Listener>> = lock(dispatch).listeners.values().cloned().collect();
    let mut more = false;
    for listener in listeners.iter() {
        more |= listener.deliver();
    }
    more
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A subscription, and its store.
struct Subscribed {
    shared: Arc<Shared>,
    number: u64,
}

static SUBSCRIPTIONS: Registry<lit_subscription_t, Subscribed> = Registry::new("subscription");

/// Has `callback.call` called with each change from now on, or from where `options` say: those of
/// this node and those of peers, when they are durable, in the order in which they came. While the
/// store is suspended there are no calls; then it goes on where it was.
///
/// `*subscription` is yours: free it with lit_subscription_free. `options` may be NULL: all
/// collections, from now on. `callback.context` must live until `callback.drop` is called, or
/// lit_subscription_free has returned outside of the callback. If this fails, nothing is called.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_NULL if `callback.call` is NULL; LIT_ERR_INVALID_INPUT (options).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_subscribe(
    store: *mut lit_store_t,
    options: *const lit_subscribe_options_t,
    callback: lit_callback_t,
    subscription: *mut *mut lit_subscription_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(subscription), Out::new(err)) };
    guard(err, || {
        let out = out.required("subscription")?;
        let given = !options.is_null();
        // SAFETY: `options` is NULL or points to the bytes that its struct_size says.
        let options = unsafe { self::options(options, "lit_subscribe_options") }?;
        if options.flags != 0 || options.reserved != 0 {
            return Err(Fault::invalid(
                "lit_subscribe_options: a flag is set that this library does not know",
            ));
        }
        if callback.call.is_none() {
            return Err(Fault::null("callback.call"));
        }
        let shared = shared(store)?;
        let store = shared.open()?;
        let collection = options.collection.optional_text("collection")?;
        if let Some(name) = collection {
            store.collection(name)?;
        }
        let since = given.then_some(options.since).filter(|since| *since != LIT_SINCE_NOW);
        let listener = Arc::new(Listener {
            callback: Callback(callback),
            collection: collection.map(str::to_owned),
            changes: Mutex::new(store.changes(since.map(Position))),
            state: Mutex::default(),
            idle: Condvar::new(),
        });
        let number = shared.calls.add(store, listener)?;
        out.set(SUBSCRIPTIONS.insert(Subscribed { shared, number }));
        Ok(LIT_OK)
    })
}

/// Ends a subscription and frees its handle. When it returns `callback.call` is not running and is
/// not called again, and `callback.drop` has been called: so don't hold a lock that your callback
/// waits for. Called inside that callback it returns at once, the present call is the last, and
/// `callback.drop` is called after it. Harmless for NULL.
///
/// Thread-safe. Blocks: for a callback that is running.
#[unsafe(no_mangle)]
pub extern "C" fn lit_subscription_free(subscription: *mut lit_subscription_t) {
    guard_free(|| {
        if let Some(subscribed) = SUBSCRIPTIONS.remove(subscription) {
            subscribed.shared.calls.remove(subscribed.number);
        }
    });
}

//! Memory that crosses the border: borrowed slices in, owned bytes out, out-parameters.
//!
//! The only place that reads and writes memory of the caller.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::{mem, ptr, slice};

use littoral::Path;

use crate::error::{
    Fault, LIT_ERROR_MESSAGE_BYTES, LIT_OK, Outcome, guard_free, lit_error_t, lit_status_t,
};

/// Bytes of somebody else: text (UTF-8, need not end with NUL, may hold NUL) or data.
///
/// As an argument it is yours and is read during the call only. As a result it belongs to
/// the handle that gave it, for as long as the function says. {NULL, 0} is empty. See
/// LIT_STR, lit_cstr and lit_slice at the end of this header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lit_slice_t {
    /// The first byte.
    ptr: *const u8,
    /// How many bytes.
    len: usize,
}

impl lit_slice_t {
    /// What a handle lends to the caller.
    pub(crate) fn of(bytes: &[u8]) -> lit_slice_t {
        lit_slice_t { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes; `what` names the argument in an error.
    pub(crate) fn bytes(&self, what: &str) -> Outcome<&[u8]> {
        match (self.ptr.is_null(), self.len) {
            (_, 0) => Ok(&[]),
            (true, _) => Err(Fault::null(what)),
            (_, len) if isize::try_from(len).is_err() => {
                Err(Fault::invalid(format!("{what} has an impossible length")))
            }
            // SAFETY: a slice that is not NULL has `len` bytes that can be read during the call:
            // the header asks this of every lit_slice_t, which only C can make (private fields).
            (_, len) => Ok(unsafe { slice::from_raw_parts(self.ptr, len) }),
        }
    }

    /// The bytes as text.
    pub(crate) fn text(&self, what: &str) -> Outcome<&str> {
        str::from_utf8(self.bytes(what)?).map_err(|err| {
            Fault::invalid(format!("{what} is not UTF-8 from byte {} on", err.valid_up_to()))
        })
    }

    /// The text, or nothing if the pointer is NULL and the length 0.
    pub(crate) fn optional_text(&self, what: &str) -> Outcome<Option<&str>> {
        match self.ptr.is_null() && self.len == 0 {
            true => Ok(None),
            false => self.text(what).map(Some),
        }
    }

    /// The text as a path.
    pub(crate) fn path(&self) -> Outcome<Path> {
        Ok(Path::parse_pointer(self.text("path")?)?)
    }
}

/// Bytes of yours, made by the library: free them with lit_bytes_free.
///
/// `ptr[len]` is always a NUL that does not count, so JSON can be printed as a C string.
#[repr(C)]
#[derive(Debug)]
pub struct lit_bytes_t {
    /// The first byte. NULL after a call that failed, and after lit_bytes_free.
    ptr: *mut u8,
    /// How many bytes, without the final NUL.
    len: usize,
}

impl From<Vec<u8>> for lit_bytes_t {
    fn from(mut bytes: Vec<u8>) -> lit_bytes_t {
        let len = bytes.len();
        bytes.reserve_exact(1);
        bytes.push(0);
        let ptr = Box::into_raw(bytes.into_boxed_slice()).cast();
        lit_bytes_t { ptr, len }
    }
}

impl From<String> for lit_bytes_t {
    fn from(text: String) -> lit_bytes_t {
        text.into_bytes().into()
    }
}

/// Frees bytes that the library made, and sets `*bytes` to {NULL, 0}. Harmless for NULL, for
/// {NULL, 0}, and when called again on the same lit_bytes_t. A copy of it dangles.
///
/// Thread-safe for different bytes. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_bytes_free(bytes: *mut lit_bytes_t) {
    if bytes.is_null() {
        return;
    }
    // SAFETY: `bytes` is not NULL, so it is a lit_bytes_t of the caller.
    let freed = unsafe { bytes.replace(lit_bytes_t::ZEROED) };
    if freed.ptr.is_null() {
        return;
    }
    guard_free(|| {
        let all = ptr::slice_from_raw_parts_mut(freed.ptr, freed.len + 1);
        // SAFETY: `From<Vec<u8>>` made these as a box of `len` bytes and a NUL, and the caller
        // has changed neither pointer nor length, as the header asks.
        drop(unsafe { Box::from_raw(all) });
    });
}

/// A value that all its bytes zero is: what an out-parameter holds after an error.
pub(crate) trait Zeroed: Sized {
    const ZEROED: Self;

    /// Makes the place at `place` blank.
    ///
    /// # Safety
    /// A value can be written at `place`.
    unsafe fn blank(place: *mut Self) {
        // SAFETY: as the caller promises.
        unsafe { place.write(Self::ZEROED) };
    }
}

impl Zeroed for i32 {
    const ZEROED: i32 = 0;
}
impl Zeroed for i64 {
    const ZEROED: i64 = 0;
}
impl Zeroed for u32 {
    const ZEROED: u32 = 0;
}
impl Zeroed for u64 {
    const ZEROED: u64 = 0;
}
impl Zeroed for f64 {
    const ZEROED: f64 = 0.0;
}
impl Zeroed for bool {
    const ZEROED: bool = false;
}
impl Zeroed for lit_slice_t {
    const ZEROED: lit_slice_t = lit_slice_t { ptr: ptr::null(), len: 0 };
}
impl Zeroed for lit_bytes_t {
    const ZEROED: lit_bytes_t = lit_bytes_t { ptr: ptr::null_mut(), len: 0 };
}
impl<T> Zeroed for *mut T {
    const ZEROED: *mut T = ptr::null_mut();
}
impl Zeroed for lit_error_t {
    const ZEROED: lit_error_t = lit_error_t { code: LIT_OK, message: [0; LIT_ERROR_MESSAGE_BYTES] };

    /// An empty message is one that begins with NUL: writing all of it takes longer than many a read.
    unsafe fn blank(place: *mut lit_error_t) {
        // SAFETY: the caller promises a place of a lit_error_t, and both are fields of it.
        unsafe {
            (&raw mut (*place).code).write(LIT_OK);
            (&raw mut (*place).message).cast::<c_char>().write(0);
        }
    }
}

/// An out-parameter: a place of the caller, or NULL.
pub(crate) struct Out<'a, T> {
    place: *mut T,
    life: PhantomData<&'a mut T>,
}

impl<T: Zeroed> Out<'_, T> {
    /// The place at `place`, blank from now on until it is set.
    ///
    /// # Safety
    /// `place` is NULL, or a T can be written there as long as this lives.
    pub(crate) unsafe fn new(place: *mut T) -> Self {
        if !place.is_null() {
            // SAFETY: not NULL, so a T can be written there.
            unsafe { T::blank(place) };
        }
        Out { place, life: PhantomData }
    }

    /// No place: what is set is dropped.
    pub(crate) fn none() -> Self {
        Out { place: ptr::null_mut(), life: PhantomData }
    }

    /// Whether the caller wants it.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.place.is_null()
    }

    /// Refuses NULL; called before anything is done.
    pub(crate) fn required(self, what: &str) -> Outcome<Self> {
        match self.is_wanted() {
            true => Ok(self),
            false => Err(Fault::null(what)),
        }
    }

    /// Hands `value` to the caller.
    pub(crate) fn set(self, value: T) {
        if self.is_wanted() {
            // SAFETY: `new` was promised that a T can be written there as long as this lives.
            unsafe { self.place.write(value) };
        }
    }
}

impl Out<'_, lit_error_t> {
    /// Tells a status that is no error, without a message.
    pub(crate) fn set_status(self, status: lit_status_t) {
        if self.is_wanted() {
            // SAFETY: `new` was promised that a lit_error_t can be written there, and made it blank.
            unsafe { (&raw mut (*self.place).code).write(status) };
        }
    }
}

/// A struct of options, which begins with its size and may grow at its end.
///
/// # Safety
/// `repr(C)`, its first field is `struct_size: usize`, and any bytes are a legal value.
pub(crate) unsafe trait Grows: Zeroed {
    /// The size that it had when it was first published.
    const FIRST_BYTES: usize;
}

/// No struct of options is larger; what claims to be was not initialised.
const MAX_OPTIONS_BYTES: usize = 4096;

/// The options at `place`, those that the caller's older header lacks as zero; NULL is all zero.
///
/// # Safety
/// `place` is NULL or points to as many bytes as its first field, a `usize`, says.
pub(crate) unsafe fn options<T: Grows>(place: *const T, what: &str) -> Outcome<T> {
    let mut options = T::ZEROED;
    if place.is_null() {
        return Ok(options);
    }
    // SAFETY: not NULL, so there are at least the bytes of its first field, a usize.
    let size = unsafe { place.cast::<usize>().read() };
    if !(T::FIRST_BYTES..=MAX_OPTIONS_BYTES).contains(&size) {
        return Err(Fault::invalid(format!(
            "{what}: struct_size is {size}; initialise it with {what}_init"
        )));
    }
    // SAFETY: the first field says that there are `size` bytes.
    let given = unsafe { slice::from_raw_parts(place.cast::<u8>(), size) };
    let known = size.min(mem::size_of::<T>());
    if given[known..].iter().any(|&byte| byte != 0) {
        return Err(Fault::invalid(format!(
            "{what}: a field is set that this library, version {}, does not know",
            env!("CARGO_PKG_VERSION")
        )));
    }
    // SAFETY: `known` bytes fit both, and any bytes are a legal T, as the trait promises.
    unsafe {
        ptr::copy_nonoverlapping(given.as_ptr(), (&raw mut options).cast::<u8>(), known);
    }
    Ok(options)
}

//! Scans: the documents of a range, one by one.

use std::sync::{Arc, Mutex};

use littoral::value::fields_to_json;
use littoral::{Document, ScanRange};

use crate::collection::{COLLECTIONS, lit_collection_t};
use crate::docs::{DOCS, lit_doc_t};
use crate::error::{
    Fault, LIT_END, LIT_NOT_FOUND, LIT_OK, Outcome, guard, guard_free, lit_error_t, lit_status_t,
};
use crate::handles::Registry;
use crate::slices::{Grows, Out, Zeroed, lit_slice_t, options};
use crate::store::Shared;

/// A scan in progress, over the documents as they were when it began.
pub struct lit_scan_t(());

/// From the last id to the first.
pub const LIT_SCAN_REVERSE: u32 = 1;

/// Which documents to scan: those for which all of it holds, in the order of the bytes of their
/// ids. Initialise it with lit_scan_options_init. A slice of {NULL, 0} asks for nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lit_scan_options_t {
    /// Bytes of this struct in the header that you compiled with; lit_scan_options_init sets it.
    pub struct_size: usize,
    /// LIT_SCAN_REVERSE, or 0.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// At most so many documents; 0 is all.
    pub limit: u64,
    /// Only ids that begin so.
    pub prefix: lit_slice_t,
    /// Only ids from this one on.
    pub start: lit_slice_t,
    /// Only ids after this one, in the direction of the scan: where an earlier page ended.
    pub after: lit_slice_t,
    /// Only ids before this one.
    pub end: lit_slice_t,
}

impl Zeroed for lit_scan_options_t {
    const ZEROED: lit_scan_options_t = lit_scan_options_t {
        struct_size: 0,
        flags: 0,
        reserved: 0,
        limit: 0,
        prefix: lit_slice_t::ZEROED,
        start: lit_slice_t::ZEROED,
        after: lit_slice_t::ZEROED,
        end: lit_slice_t::ZEROED,
    };
}

// SAFETY: it is repr(C), begins with its size, and is made of integers and raw pointers.
unsafe impl Grows for lit_scan_options_t {
    const FIRST_BYTES: usize = size_of::<lit_scan_options_t>();
}

/// A scan, and what it lends to its user.
struct Scanning {
    shared: Arc<Shared>,
    suspensions: u64,
    state: Mutex<Cursor>,
}

struct Cursor {
    scan: Box<dyn Iterator<Item = littoral::Result<Document>> + Send>,
    at: Option<Document>,
    json: String,
    /// What ended it before its end.
    failed: Option<Fault>,
}

static SCANS: Registry<lit_scan_t, Scanning> = Registry::new("scan");

impl Scanning {
    fn with(&self, use_it: impl FnOnce(&mut Cursor) -> Outcome) -> Outcome {
        self.shared.open_since(self.suspensions)?;
        use_it(&mut *self.state.lock().map_err(|_| Fault::panicked("scan"))?)
    }
}

/// A handle for a scan, of the present or the past.
pub(crate) fn begin(
    shared: Arc<Shared>,
    scan: impl Iterator<Item = littoral::Result<Document>> + Send + 'static,
) -> *mut lit_scan_t {
    let (scan, json) = (Box::new(scan), String::new());
    let state = Mutex::new(Cursor { scan, at: None, json, failed: None });
    let suspensions = shared.suspensions();
    SCANS.insert(Scanning { shared, suspensions, state })
}

/// The range that C asks for.
///
/// # Safety
/// `options` is NULL or points to the bytes that its struct_size says.
pub(crate) unsafe fn range(options: *const lit_scan_options_t) -> Outcome<ScanRange> {
    // SAFETY: as the caller promises.
    let options = unsafe { self::options(options, "lit_scan_options") }?;
    if options.flags & !LIT_SCAN_REVERSE != 0 || options.reserved != 0 {
        return Err(Fault::invalid(
            "lit_scan_options: a flag is set that this library does not know",
        ));
    }
    let id = |slice: &lit_slice_t, what| -> Outcome<Option<String>> {
        Ok(slice.optional_text(what)?.map(str::to_owned))
    };
    Ok(ScanRange {
        prefix: options.prefix.text("prefix")?.to_owned(),
        start: id(&options.start, "start")?,
        after: id(&options.after, "after")?,
        end: id(&options.end, "end")?,
        limit: (options.limit > 0).then(|| usize::try_from(options.limit).unwrap_or(usize::MAX)),
        reverse: options.flags & LIT_SCAN_REVERSE != 0,
    })
}

/// Begins a scan of a collection, over the documents as they are at this moment. It holds up
/// nobody; the disk space of what is deleted meanwhile is kept for it.
///
/// `*scan` is yours: free it with lit_scan_free. `options` may be NULL for all documents.
/// Thread-safe. Blocks: disk.
/// Errors: LIT_ERR_INVALID_INPUT (options).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_collection_scan(
    collection: *mut lit_collection_t,
    options: *const lit_scan_options_t,
    scan: *mut *mut lit_scan_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(scan), Out::new(err)) };
    guard(err, || {
        let out = out.required("scan")?;
        // SAFETY: `options` is NULL or points to the bytes that its struct_size says.
        let range = unsafe { range(options) }?;
        let held = COLLECTIONS.get(collection)?;
        let scan = held.open()?.scan(&range)?;
        out.set(begin(held.shared.clone(), scan));
        Ok(LIT_OK)
    })
}

/// Goes to the next document. LIT_END if there is none. After an error it gives the same one again.
///
/// `id` and `json` may each be NULL if you don't want it. They belong to `scan`: valid until
/// the next call on it.
/// One thread at a time. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_scan_next(
    scan: *mut lit_scan_t,
    id: *mut lit_slice_t,
    json: *mut lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (id, json, err) = unsafe { (Out::new(id), Out::new(json), Out::new(err)) };
    guard(err, || {
        SCANS.get(scan)?.with(|cursor| {
            cursor.at = None;
            if let Some(failed) = &cursor.failed {
                return Err(failed.clone());
            }
            let document = match cursor.scan.next() {
                None => return Ok(LIT_END),
                Some(Ok(document)) => document,
                Some(Err(err)) => return Err(cursor.failed.insert(err.into()).clone()),
            };
            let document = cursor.at.insert(document);
            id.set(lit_slice_t::of(document.id().as_bytes()));
            if json.is_wanted() {
                cursor.json = fields_to_json(document.fields()).to_string();
                json.set(lit_slice_t::of(cursor.json.as_bytes()));
            }
            Ok(LIT_OK)
        })
    })
}

/// The document that the scan is at, to read typed fields or its version. LIT_NOT_FOUND before
/// the first lit_scan_next and after the last.
///
/// `*doc` is yours: free it with lit_doc_free. It outlives the scan.
/// One thread at a time. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_scan_doc(
    scan: *mut lit_scan_t,
    doc: *mut *mut lit_doc_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (doc, err) = unsafe { (Out::new(doc), Out::new(err)) };
    guard(err, || {
        let doc = doc.required("doc")?;
        SCANS.get(scan)?.with(|cursor| {
            let Some(document) = &cursor.at else { return Ok(LIT_NOT_FOUND) };
            doc.set(DOCS.insert(document.clone()));
            Ok(LIT_OK)
        })
    })
}

/// Ends a scan and frees its handle. Harmless for NULL.
///
/// One thread at a time. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_scan_free(scan: *mut lit_scan_t) {
    guard_free(|| drop(SCANS.remove(scan)));
}

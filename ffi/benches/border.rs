//! What a read costs through C beside the same read in Rust, in one process and in turn.
//!
//!     ffi/install.sh /tmp/littoral
//!     cargo bench -p littoral-ffi --bench border -- /tmp/littoral/lib/liblittoral.so
//!
//! C calls go through the shared library, found at run time, as any C program's do; it has a store
//! of its own with the same documents. Each figure is the median of the rounds; the ratio is that
//! of the rounds' ratios. The goal is 1.2. Figures of one machine and one moment: compare columns.

use std::cell::UnsafeCell;
use std::error::Error;
use std::ffi::c_char;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use std::{env, ptr};

use libloading::{Library, Symbol};
use littoral::{Collection, Document, Field, Fields, Store};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DOCUMENTS: usize = 10_000;
const READS: usize = 20_000;
const ROUNDS: usize = 41;
/// Steps through the documents out of order, each of them once.
const STRIDE: usize = 7_919;

fn main() -> Result<()> {
    let given = env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let path = given.ok_or("give the path of liblittoral.so, as ffi/install.sh installs it")?;
    let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
    for dir in &dirs {
        fill(dir.path())?;
    }
    let store = Store::open(dirs[0].path())?;
    let notes = store.collection("notes")?;
    let document = notes.get(&id(0))?.ok_or("the first note")?;
    // SAFETY: the library's initialisers are those of Rust's standard library.
    let library = unsafe { Library::new(&path) }?;
    let c = C::open(&library, dirs[1].path())?;

    let ids: Vec<String> = (0..DOCUMENTS).map(id).collect();
    println!("{:<44}{:>9}{:>9}{:>8}", "a read, ns", "Rust", "C", "ratio");
    row(
        "collection, integer",
        |n| rust_integer(&notes, &ids[n], "rank"),
        |n| c.collection_integer(&ids[n], "/rank"),
    )?;
    row(
        "collection, integer in a map",
        |n| rust_integer(&notes, &ids[n], ("place", "depth")),
        |n| c.collection_integer(&ids[n], "/place/depth"),
    )?;
    row("collection, text", |n| rust_text(&notes, &ids[n]), |n| c.collection_text(&ids[n]))?;
    row("document, integer", |_| of_document(&document, "rank"), |_| c.doc_integer("/rank"))?;
    row(
        "document, integer in a map",
        |_| of_document(&document, ("place", "depth")),
        |_| c.doc_integer("/place/depth"),
    )?;
    c.close();
    Ok(())
}

fn id(n: usize) -> String {
    format!("note-{n:08}")
}

fn fill(dir: &Path) -> Result<()> {
    let store = Store::open(dir)?;
    store.write(|txn| {
        for n in 0..DOCUMENTS {
            let place = Fields::from([("depth".to_owned(), Field::from(n as i64 % 50))]);
            let note = Fields::from([
                ("title".to_owned(), Field::from(format!("the title of note {n:06}"))),
                ("body".to_owned(), Field::from("tide ".repeat(20))),
                ("done".to_owned(), Field::from(n % 2 == 0)),
                ("rank".to_owned(), Field::from(n as i64)),
                ("place".to_owned(), Field::Map(place)),
            ]);
            txn.put("notes", &id(n), &note)?;
        }
        Ok(())
    })?;
    Ok(store.close()?)
}

/// Times both in turn and prints what came of it; both have to read the same.
fn row(
    name: &str,
    mut rust: impl FnMut(usize) -> Result<i64>,
    mut c: impl FnMut(usize) -> Result<i64>,
) -> Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (of_rust, sum) = time(&mut rust)?;
        let (of_c, other) = time(&mut c)?;
        assert_eq!(sum, other, "{name}: C reads something else");
        rounds.push((of_rust, of_c, of_c / of_rust));
    }
    let rust = median(rounds.iter().map(|round| round.0));
    let c = median(rounds.iter().map(|round| round.1));
    let ratio = median(rounds.iter().map(|round| round.2));
    println!("{name:<44}{rust:>9.1}{c:>9.1}{ratio:>8.2}");
    Ok(())
}

/// Nanoseconds a read, and the sum of what was read.
fn time(read: &mut impl FnMut(usize) -> Result<i64>) -> Result<(f64, i64)> {
    let (mut sum, mut at) = (0, 0);
    let start = Instant::now();
    for _ in 0..READS {
        sum += black_box(read(black_box(at))?);
        at = (at + STRIDE) % DOCUMENTS;
    }
    Ok((start.elapsed().as_nanos() as f64 / READS as f64, sum))
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn rust_integer(notes: &Collection, id: &str, path: impl Into<littoral::Path>) -> Result<i64> {
    let field = notes.get_field(id, path)?;
    Ok(field
        .as_ref()
        .and_then(Field::as_value)
        .and_then(|value| value.as_i64())
        .ok_or("no rank")?)
}

fn rust_text(notes: &Collection, id: &str) -> Result<i64> {
    let field = notes.get_field(id, "title")?;
    Ok(field.as_ref().and_then(Field::as_str).ok_or("no title")?.len() as i64)
}

fn of_document(document: &Document, path: impl Into<littoral::Path>) -> Result<i64> {
    let field = document.get(path);
    Ok(field.and_then(Field::as_value).and_then(|value| value.as_i64()).ok_or("no rank")?)
}

/// What the header has of this, written again: nothing of the Rust crate is used.
#[repr(C)]
#[derive(Clone, Copy)]
struct Slice {
    ptr: *const u8,
    len: usize,
}

#[repr(C)]
struct Bytes {
    ptr: *mut u8,
    len: usize,
}

#[repr(C)]
struct Fault {
    code: i32,
    message: [c_char; 256],
}

type Handle = *mut u8;
type Open = unsafe extern "C" fn(Slice, Handle, *mut Handle, *mut Fault) -> i32;
type Within = unsafe extern "C" fn(Handle, Slice, *mut Handle, *mut Fault) -> i32;
type Integer = unsafe extern "C" fn(Handle, Slice, Slice, *mut i64, *mut Fault) -> i32;
type Text = unsafe extern "C" fn(Handle, Slice, Slice, *mut Bytes, *mut Fault) -> i32;
type OfDoc = unsafe extern "C" fn(Handle, Slice, *mut i64, *mut Fault) -> i32;
type Free = unsafe extern "C" fn(Handle);

fn slice(text: &str) -> Slice {
    Slice { ptr: text.as_ptr(), len: text.len() }
}

fn failed(fault: &Fault) -> Box<dyn Error> {
    let message = fault.message.iter().take_while(|&&c| c != 0);
    message.map(|&c| c as u8 as char).collect::<String>().into()
}

/// A C program's view of a store.
struct C<'l> {
    store: Handle,
    notes: Handle,
    doc: Handle,
    /// Made once, as C programs do it.
    fault: UnsafeCell<Fault>,
    integer: Symbol<'l, Integer>,
    text: Symbol<'l, Text>,
    of_doc: Symbol<'l, OfDoc>,
    free: [Symbol<'l, Free>; 3],
    free_bytes: Symbol<'l, unsafe extern "C" fn(*mut Bytes)>,
}

impl<'l> C<'l> {
    fn open(library: &'l Library, dir: &Path) -> Result<C<'l>> {
        let (mut store, mut notes, mut doc) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let mut fault = Fault { code: 0, message: [0; 256] };
        let path = dir.to_str().ok_or("a path of text")?;
        // SAFETY: the types are those of include/littoral.h, and the places outlive the calls.
        unsafe {
            let open: Symbol<Open> = library.get(b"lit_store_open")?;
            let collection: Symbol<Within> = library.get(b"lit_collection_open")?;
            let get: Symbol<Within> = library.get(b"lit_collection_get")?;
            if open(slice(path), ptr::null_mut(), &mut store, &mut fault) != 0
                || collection(store, slice("notes"), &mut notes, &mut fault) != 0
                || get(notes, slice(&id(0)), &mut doc, &mut fault) != 0
            {
                return Err(failed(&fault));
            }
            Ok(C {
                store,
                notes,
                doc,
                fault: UnsafeCell::new(fault),
                integer: library.get(b"lit_collection_get_i64")?,
                text: library.get(b"lit_collection_get_text")?,
                of_doc: library.get(b"lit_doc_get_i64")?,
                free: [
                    library.get(b"lit_doc_free")?,
                    library.get(b"lit_collection_free")?,
                    library.get(b"lit_store_free")?,
                ],
                free_bytes: library.get(b"lit_bytes_free")?,
            })
        }
    }

    fn collection_integer(&self, id: &str, path: &str) -> Result<i64> {
        let mut value = 0;
        // SAFETY: as in `open`; the texts live during the call.
        match unsafe {
            (self.integer)(self.notes, slice(id), slice(path), &mut value, self.fault.get())
        } {
            0 => Ok(value),
            _ => Err(self.failed()),
        }
    }

    fn collection_text(&self, id: &str) -> Result<i64> {
        let mut value = Bytes { ptr: ptr::null_mut(), len: 0 };
        // SAFETY: as in `open`; the bytes are freed once, after their length was read.
        unsafe {
            let title = slice("/title");
            if (self.text)(self.notes, slice(id), title, &mut value, self.fault.get()) != 0 {
                return Err(self.failed());
            }
            let len = value.len as i64;
            (self.free_bytes)(&mut value);
            Ok(len)
        }
    }

    fn doc_integer(&self, path: &str) -> Result<i64> {
        let mut value = 0;
        // SAFETY: as in `open`; the path lives during the call.
        match unsafe { (self.of_doc)(self.doc, slice(path), &mut value, self.fault.get()) } {
            0 => Ok(value),
            _ => Err(self.failed()),
        }
    }

    fn failed(&self) -> Box<dyn Error> {
        // SAFETY: no call is under way that could write there.
        failed(unsafe { &*self.fault.get() })
    }

    fn close(self) {
        for (free, handle) in self.free.iter().zip([self.doc, self.notes, self.store]) {
            // SAFETY: each handle is freed once, by the function of its kind.
            unsafe { free(handle) };
        }
    }
}

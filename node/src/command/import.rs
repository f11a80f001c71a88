//! `import`: the documents of a file, batch by batch.
//!
//! A batch is one transaction. A record that can't be read ends the import and takes its
//! batch with it; the batches before it stay, and the error says how far it came.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use littoral::{Error, ErrorKind, Fields, Result};
use serde_json::json;

use super::{Context, invalid};
use crate::cli::{Format, ImportArgs};
use crate::output::{number, plain};
use crate::target::{Target, Wanted};
use crate::transfer::{self, Ids, Reading};

/// Bytes of the file that a batch has, at most: a node takes no larger ones at once.
const BATCH_BYTES: u64 = 4 << 20;

/// Makes a checkpoint before, where the store wants one. A token for writing alone may not, and
/// an import does not need it.
fn mark(target: &dyn Target) {
    if let Err(err) = target.checkpoint_before("before an import") {
        eprintln!("littoral: no checkpoint is made before the import: {}", plain(err.message()));
    }
}

/// `littoral import`
pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<()> {
    littoral::id::check_collection(&args.collection)?;
    let format = args.format.or_else(|| Format::of(&args.file)).ok_or_else(|| {
        invalid(
            "the file's name does not say how it is written down; say --format jsonl, json or csv",
        )
    })?;
    let input = Input::open(&args.file)?;
    let reading = Reading {
        ids: args.id.clone().map_or(Ids::Made, Ids::Field),
        sets: args.set.clone(),
        counters: args.counter.clone(),
    };
    let target = context.target(Wanted::Made)?;
    if !args.no_checkpoint {
        mark(&*target);
    }
    let bar = bar(input.length, context.output.json);
    let started = Instant::now();
    let read = Rc::clone(&input.read);
    let batch = Batch::new(&*target, args, &read, &bar);
    let imported = batch.import(format, input, &reading, args.text);
    bar.finish_and_clear();
    let count = imported?;
    let seconds = started.elapsed().as_secs_f64();
    let sentence =
        format!("imported {} documents into {} in {seconds:.1} s", number(count), args.collection);
    context.output.done(sentence, &json!({"collection": args.collection, "imported": count}))
}

/// The documents that are written next.
struct Batch<'a> {
    target: &'a dyn Target,
    collection: &'a str,
    size: usize,
    documents: Vec<(String, Fields)>,
    imported: u64,
    /// Bytes of the file read so far, and when the last batch was written.
    read: &'a Cell<u64>,
    written_at: u64,
    bar: &'a ProgressBar,
}

impl<'a> Batch<'a> {
    fn new(
        target: &'a dyn Target,
        args: &'a ImportArgs,
        read: &'a Cell<u64>,
        bar: &'a ProgressBar,
    ) -> Batch<'a> {
        Batch {
            target,
            collection: &args.collection,
            size: args.batch as usize,
            documents: Vec::new(),
            imported: 0,
            read,
            written_at: 0,
            bar,
        }
    }

    fn import(
        mut self,
        format: Format,
        input: Input,
        reading: &Reading,
        text: bool,
    ) -> Result<u64> {
        transfer::read(format, input, text, &mut |raw| self.push(reading.document(raw)?))
            .and_then(|()| self.write())
            .map_err(|err| self.stopped(&err))?;
        Ok(self.imported)
    }

    fn push(&mut self, document: (String, Fields)) -> Result<()> {
        self.documents.push(document);
        let large = self.read.get() - self.written_at >= BATCH_BYTES;
        if self.documents.len() >= self.size || large { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        if !self.documents.is_empty() {
            self.target.put_all(self.collection, &self.documents)?;
            self.imported += self.documents.len() as u64;
            self.documents.clear();
        }
        self.written_at = self.read.get();
        self.bar.set_position(self.written_at);
        self.bar.set_message(number(self.imported));
        Ok(())
    }

    fn stopped(&self, err: &Error) -> Error {
        let advice = match err.kind() {
            ErrorKind::LimitExceeded if !self.documents.is_empty() => " (see also --batch)",
            _ => "",
        };
        Error::new(
            err.kind(),
            format!(
                "{err}{advice}; {} documents before it were imported, nothing of its batch was",
                number(self.imported)
            ),
        )
    }
}

/// A file or standard input, and how much of it was read.
struct Input {
    from: Box<dyn Read>,
    length: Option<u64>,
    read: Rc<Cell<u64>>,
}

impl Input {
    fn open(path: &Path) -> Result<Input> {
        let read = Rc::new(Cell::new(0));
        if path == Path::new("-") {
            return Ok(Input { from: Box::new(io::stdin().lock()), length: None, read });
        }
        let failed = |err: io::Error| {
            Error::new(ErrorKind::Io, format!("could not read {}: {err}", path.display()))
        };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Input { from: Box::new(file), length: Some(length), read })
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// Progress on standard error, if that is a terminal.
fn bar(length: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match length {
        Some(_) => "{bar:40.cyan/dim} {percent:>3} %  {msg} documents  {elapsed}",
        None => "{spinner} {bytes}  {msg} documents  {elapsed}",
    };
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_style(ProgressStyle::with_template(template).expect("the template is legal"));
    bar
}

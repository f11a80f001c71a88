//! `export`: all documents of a collection to a file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use littoral::{Error, ErrorKind, Result, ScanRange};
use serde_json::json;

use super::Context;
use crate::cli::{ExportArgs, Format};
use crate::output::number;
use crate::target::{Target, Wanted};
use crate::transfer::DocumentWriter;

/// `littoral export`
pub(super) fn export(context: &Context, args: &ExportArgs) -> Result<()> {
    let format = args.format.or_else(|| Format::of(&args.file)).unwrap_or(Format::Jsonl);
    let target = context.target(Wanted::Existing)?;
    let columns = match format {
        Format::Csv => columns(&*target, &args.collection)?,
        _ => Vec::new(),
    };
    // Before the file is made: an error must not cost the one that is there.
    let mut documents = target.scan(&args.collection, &ScanRange::default())?;
    let to_stdout = args.file == Path::new("-");
    let out: Box<dyn Write> = match to_stdout {
        true => Box::new(BufWriter::new(io::stdout().lock())),
        false => Box::new(BufWriter::new(create(&args.file)?)),
    };
    let mut writer = DocumentWriter::new(format, out, &args.id, columns)?;
    documents.try_for_each(|found| {
        let (id, fields) = found?;
        writer.write(&id, fields)
    })?;
    let count = writer.finish()?;
    if to_stdout {
        return Ok(());
    }
    let sentence = format!("exported {} documents of {}", number(count), args.collection);
    context.output.done(sentence, &json!({"collection": args.collection, "exported": count}))
}

/// The fields that any document has, in order.
fn columns(target: &dyn Target, collection: &str) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for found in target.scan(collection, &ScanRange::default())? {
        names.extend(found?.1.into_keys());
    }
    Ok(names.into_iter().map(String::from).collect())
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|err| {
        Error::new(ErrorKind::Io, format!("could not write {}: {err}", path.display()))
    })
}

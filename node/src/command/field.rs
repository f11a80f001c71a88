//! `add`, `remove`, `increment`: sets and counters.

use littoral::value::{Value, parse_value};
use littoral::{Path, Result};

use super::document::shown;
use super::{Context, entry, is_json};
use crate::cli::{Document, Element, IncrementArgs};
use crate::target::{Condition, Wanted, Write, field_at};

/// `littoral add`
pub(super) fn add(context: &Context, args: &Element) -> Result<()> {
    let write = Write::Add(args.path.clone(), element(args)?);
    written(context, &args.document, &args.path, Wanted::Made, &write)
}

/// `littoral remove`
pub(super) fn remove(context: &Context, args: &Element) -> Result<()> {
    let write = Write::Remove(args.path.clone(), element(args)?);
    written(context, &args.document, &args.path, Wanted::Existing, &write)
}

/// `littoral increment`
pub(super) fn increment(context: &Context, args: &IncrementArgs) -> Result<()> {
    let write = Write::Increment(args.path.clone(), args.by);
    written(context, &args.document, &args.path, Wanted::Made, &write)
}

/// Writes, and shows the field as it then is.
fn written(
    context: &Context,
    document: &Document,
    path: &Path,
    wanted: Wanted,
    write: &Write,
) -> Result<()> {
    let (collection, id) = (&document.collection, &document.id);
    let target = context.target(wanted)?;
    let left = target.write(collection, id, write, &Condition::Always)?;
    match &left {
        Some(read) => {
            let field = field_at((collection, id), &read.fields, path)?;
            context.output.done(shown(field), &entry(id, read))
        }
        None => context.written("changed", document, None),
    }
}

/// What is JSON is that value, anything else is text.
fn element(args: &Element) -> Result<Value> {
    match is_json(&args.value) {
        true => parse_value(args.value.as_bytes(), &args.path),
        false => Ok(Value::from(args.value.as_str())),
    }
}

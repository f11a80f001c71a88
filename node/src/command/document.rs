//! `put`, `merge`, `get`, `delete`: one document.

use littoral::value::{Value, field_to_json, fields_to_json};
use littoral::{Field, Path, Result};

use super::{Context, entry, fields_of};
use crate::cli::{DeleteArgs, GetArgs, MergeArgs, PutArgs, VersionArgs};
use crate::output::plain;
use crate::target::{Condition, Wanted, Write, field_at, parse_version};

/// `littoral put`
pub(super) fn put(context: &Context, args: &PutArgs) -> Result<()> {
    let fields = fields_of(&args.json_text)?;
    let condition = if args.new { Condition::Absent } else { condition(&args.version)? };
    let document = &args.document;
    let target = context.target(Wanted::Made)?;
    let left = target.write(&document.collection, &document.id, &Write::Put(fields), &condition)?;
    context.written("put", document, left.as_ref())
}

/// `littoral merge`
pub(super) fn merge(context: &Context, args: &MergeArgs) -> Result<()> {
    let write = Write::Merge(fields_of(&args.json_text)?);
    let document = &args.document;
    let target = context.target(Wanted::Made)?;
    let left = target.write(&document.collection, &document.id, &write, &Condition::Always)?;
    context.written("merged", document, left.as_ref())
}

/// `littoral get`
pub(super) fn get(context: &Context, args: &GetArgs) -> Result<()> {
    let (collection, id) = (&args.field.document.collection, &args.field.document.id);
    let target = context.target(Wanted::Existing)?;
    let read = match &args.at {
        Some(label) => target.get_at(label, collection, id)?,
        None => target.get(collection, id)?,
    };
    let output = context.output;
    match args.field.path.as_ref().filter(|path| path.depth() > 0) {
        Some(path) => {
            let field = field_at((collection, id), &read.fields, path)?;
            output.done(shown(field), &field_to_json(field))
        }
        None => output.done(pretty(&fields_to_json(&read.fields)), &entry(id, &read)),
    }
}

/// `littoral delete`
pub(super) fn delete(context: &Context, args: &DeleteArgs) -> Result<()> {
    let document = &args.field.document;
    let condition = condition(&args.version)?;
    let write = Write::Delete(args.field.path.clone().unwrap_or_else(Path::root));
    let target = context.target(Wanted::Existing)?;
    let left = target.write(&document.collection, &document.id, &write, &condition)?;
    context.written("deleted", document, left.as_ref())
}

fn condition(args: &VersionArgs) -> Result<Condition> {
    let version = args.version.as_deref().map(parse_version).transpose()?;
    Ok(match version {
        None => Condition::Always,
        Some(version) if args.strict => Condition::Exactly(version),
        Some(version) => Condition::Based(version),
    })
}

/// A field for people: bare text and numbers, JSON for the rest.
pub(super) fn shown(field: &Field) -> String {
    match field {
        Field::Value(Value::Text(text)) => plain(text),
        Field::Counter(sum) => sum.to_string(),
        field => pretty(&field_to_json(field)),
    }
}

pub(super) fn pretty(json: &serde_json::Value) -> String {
    plain(&serde_json::to_string_pretty(json).expect("JSON is JSON"))
}

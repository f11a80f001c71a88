//! `conflicts` and `resolve`.

use littoral::value::parse_field;
use littoral::{Field, Result};
use serde_json::Value as Json;
use serde_json::json;

use super::standing::Names;
use super::{Context, conflict_log, is_json};
use crate::cli::{ConflictsArgs, ResolveArgs};
use crate::output::{cut, moment, plain, table};
use crate::shape::{CandidateShape, ConflictShape, Conflicts};
use crate::target::{Choice, Wanted};

/// Characters of a value that are shown.
const VALUE_WIDTH: usize = 60;

/// `littoral conflicts`
pub(super) fn conflicts(context: &Context, args: &ConflictsArgs) -> Result<()> {
    if let Some(note) = &args.note {
        return conflict_log::note(context, args, note);
    }
    if args.log {
        return conflict_log::log(context, args);
    }
    let target = context.target(Wanted::Existing)?;
    let conflicts = target.conflicts(args.collection.as_deref(), args.id.as_deref())?;
    if context.output.json {
        return context.output.json(&Conflicts { conflicts });
    }
    if conflicts.is_empty() {
        return context.output.line("no conflicts");
    }
    let names = Names::of(&*target)?;
    let name = |key: &str| names.name(key).to_owned();
    let texts: Vec<String> = conflicts.iter().map(|conflict| describe(conflict, name)).collect();
    context.output.line(texts.join("\n\n"))
}

/// `littoral resolve`
pub(super) fn resolve(context: &Context, args: &ResolveArgs) -> Result<()> {
    let choice = match (&args.choice.take, &args.choice.value) {
        (Some(number), _) => Choice::Take(*number),
        (None, Some(text)) if is_json(text) => {
            Choice::Value(parse_field(text.as_bytes(), &args.path)?)
        }
        (None, text) => Choice::Value(Field::from(text.clone().unwrap_or_default())),
    };
    let (collection, id) = (&args.document.collection, &args.document.id);
    context.target(Wanted::Existing)?.resolve(collection, id, &args.path, &choice)?;
    let sentence = plain(&format!("resolved {collection}/{id} {}", args.path));
    let path = args.path.to_string();
    context.output.done(sentence, &json!({"collection": collection, "id": id, "path": path}))
}

/// A conflict for people: the place, and its sides by number; the first is shown by reads.
pub(crate) fn describe(conflict: &ConflictShape, name: impl Fn(&str) -> String) -> String {
    let row = |(at, side): (usize, &CandidateShape)| {
        let shown = if at == 0 { "shown" } else { "" };
        let value = cut(&plain(&text(&side.value)), VALUE_WIDTH);
        let number = format!("  {}", at + 1);
        vec![number, value, name(&side.author), moment(&side.time), shown.to_owned()]
    };
    let rows: Vec<_> = conflict.candidates.iter().enumerate().map(row).collect();
    let place = format!("{}/{}  {}", conflict.collection, conflict.id, conflict.path);
    format!("{}\n{}", plain(&place), table(&rows))
}

fn text(value: &Json) -> String {
    value.to_string()
}

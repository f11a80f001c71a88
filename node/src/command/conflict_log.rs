//! `conflicts --log` and `conflicts --note`: what was in conflict, and what people said of it.

use littoral::Result;

use super::standing::Names;
use super::{Context, invalid};
use crate::cli::ConflictsArgs;
use crate::conflict_log::{CauseShape, LoggedShape, NoteShape, Noting, OfLog, ValueShape};
use crate::output::{cut, moment, plain, table};
use crate::target::Wanted;

/// Characters of a value that are shown.
const VALUE_WIDTH: usize = 60;

/// `littoral conflicts --log`
pub(super) fn log(context: &Context, args: &ConflictsArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let mut asked = OfLog {
        collection: args.collection.clone(),
        id: args.id.clone(),
        open: args.open.then_some(true),
        limit: Some(1000),
        ..OfLog::default()
    };
    let names = Names::of(&*target)?;
    let mut any = false;
    loop {
        let page = target.conflict_log(&asked)?;
        if page.gone > 0 && asked.after == 0 {
            eprintln!("littoral: the first {} are gone, since there were too many", page.gone);
        }
        any |= !page.conflicts.is_empty();
        page.conflicts.iter().try_for_each(|entry| print(context, entry, &names))?;
        match page.next {
            Some(next) => asked.after = next,
            None if any || context.output.json => return Ok(()),
            None => return context.output.line("no conflict that is remembered"),
        }
    }
}

/// `littoral conflicts --note N TEXT`
pub(super) fn note(context: &Context, args: &ConflictsArgs, note: &[String]) -> Result<()> {
    let [number, text] = note else { return Err(invalid("--note takes a number and a text")) };
    let number = number
        .parse()
        .map_err(|_| invalid("--note takes the number of a conflict, as --log shows it"))?;
    let somebody = || std::env::var("USER").or_else(|_| std::env::var("USERNAME"));
    let author = args.author.clone().or_else(|| somebody().ok()).unwrap_or_default();
    let noting = Noting { author, text: text.clone() };
    let target = context.target(Wanted::Existing)?;
    let entry = target.note_conflict(number, &noting)?;
    print(context, &entry, &Names::of(&*target)?)
}

fn print(context: &Context, entry: &LoggedShape, names: &Names) -> Result<()> {
    if context.output.json {
        return context.output.json(entry);
    }
    let place = format!("{}/{}  {}", entry.collection, entry.id, entry.path);
    let arose = format!("{}  {}", moment(&entry.arose), plain(&place));
    let mut lines = vec![format!("{:>5}  {arose}{}", entry.number, by(&entry.cause, names))];
    let rows: Vec<Vec<String>> = entry
        .candidates
        .iter()
        .map(|side| {
            let value = format!("       {}", shown(&side.value));
            vec![value, plain(names.name(&side.author)), moment(&side.time)]
        })
        .collect();
    lines.push(table(&rows));
    if entry.more > 0 {
        lines.push(format!("       and {} more", entry.more));
    }
    match &entry.ended {
        None => lines.push("       open".to_owned()),
        Some(end) => {
            let value = end.shown.as_ref().map_or(String::new(), |it| format!(": {}", shown(it)));
            let (time, by) = (moment(&end.time), by(&end.cause, names));
            lines.push(format!("       {} {time}{by}{value}", end.how));
        }
    }
    for NoteShape { author, time, text } in &entry.notes {
        lines.push(plain(&format!("       {} {author}: {text}", moment(time))));
    }
    context.output.line(lines.join("\n"))
}

fn by(cause: &CauseShape, names: &Names) -> String {
    let node = cause.node.as_deref().map(|key| plain(names.name(key)));
    match (cause.kind.as_str(), node) {
        ("joined", Some(node)) => format!(", by a snapshot of {node}"),
        (_, Some(node)) => format!(", by {node}"),
        _ => String::new(),
    }
}

fn shown(value: &ValueShape) -> String {
    let text = match (&value.value, &value.beginning) {
        (Some(value), _) => value.to_string(),
        (None, Some(beginning)) => format!("{beginning}.. ({} bytes)", value.bytes),
        (None, None) => String::new(),
    };
    cut(&plain(&text), VALUE_WIDTH)
}

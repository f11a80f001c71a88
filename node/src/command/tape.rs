//! `checkpoint`, `checkpoints`, `diff`, `rollback`, `revert`: moments of the store, and the way back.

use std::io::{self, IsTerminal, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use littoral::store::{Difference, WrittenBy};
use littoral::value::{field_to_json, fields_to_json};
use littoral::{Error, ErrorKind, Field, Fields, Path, Result};
use serde_json::json;

use super::{Context, invalid};
use crate::cli::{
    CheckpointArgs, CheckpointsArgs, DiffArgs, ResumeArgs, RevertArgs, RollbackArgs, UndoArgs,
};
use crate::kinds::{EXIT_FAILED, EXIT_OK};
use crate::output::{bytes, cut, moment, number, plain, table};
use crate::tape::{
    CheckpointCostShape, CheckpointsShape, Comparing, DifferenceShape, DoneShape, HoldShape,
    Holding, ReplayShape, Resuming, Reverting, RollingBack, Undoing,
};
use crate::target::{Target, Wanted};

/// Characters of a value that are shown.
const VALUE_WIDTH: usize = 40;
/// And of a document.
const DOCUMENT_WIDTH: usize = 100;
/// Documents that are shown before it is asked whether to revert them.
const SHOWN: u64 = 20;

/// `littoral checkpoint`
pub(super) fn checkpoint(context: &Context, args: &CheckpointArgs) -> Result<()> {
    let made = context.target(Wanted::Existing)?.checkpoint(&args.label)?;
    let sentence = format!("made the checkpoint '{}' at {} UTC", made.label, moment(&made.made));
    context.output.done(plain(&sentence), &made)
}

/// `littoral checkpoints`
pub(super) fn checkpoints(context: &Context, args: &CheckpointsArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    if let Some(label) = &args.delete {
        target.delete_checkpoint(label)?;
        let sentence = format!("deleted the checkpoint '{label}'");
        return context.output.done(plain(&sentence), &json!({"deleted": label}));
    }
    let found = CheckpointsShape { checkpoints: target.checkpoints()? };
    if context.output.json {
        return context.output.json(&found);
    }
    if found.checkpoints.is_empty() {
        return context.output.line("no checkpoints; `littoral checkpoint LABEL` makes one");
    }
    let header = ["checkpoint", "made (UTC)", "rows kept", "bytes kept", "deleting frees", "log"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(found.checkpoints.iter().map(row));
    context.output.line(plain(&table(&rows)))
}

fn row(cost: &CheckpointCostShape) -> Vec<String> {
    vec![
        cost.checkpoint.label.clone(),
        moment(&cost.checkpoint.made),
        number(cost.rows),
        bytes(cost.bytes),
        bytes(cost.freed_bytes),
        if cost.log_held { "held" } else { "gone" }.to_owned(),
    ]
}

/// `littoral diff`
pub(super) fn diff(context: &Context, args: DiffArgs) -> Result<()> {
    let DiffArgs { from, to, collection } = args;
    let target = context.target(Wanted::Existing)?;
    let asked = Comparing { from, to, collection };
    let done = target.diff(&asked, &mut |found| show(context, &found))?;
    match context.output.json {
        true => Ok(()),
        false => context.output.line(differ(done.documents)),
    }
}

fn differ(documents: u64) -> String {
    match documents {
        0 => "nothing differs".to_owned(),
        1 => "1 document differs".to_owned(),
        many => format!("{} documents differ", number(many)),
    }
}

/// Prints one that differs.
fn show(context: &Context, found: &Difference) -> Result<()> {
    match context.output.json {
        true => context.output.json(&DifferenceShape::from(found)),
        false => context.output.line(plain(&describe(found))),
    }
}

/// A difference for people: `+` is there only after, `-` only before, `~` on both sides.
fn describe(found: &Difference) -> String {
    let place = format!("{}/{}", found.collection, found.id);
    let whole = |fields: &Fields| cut(&fields_to_json(fields).to_string(), DOCUMENT_WIDTH);
    let value = |field: &Option<Field>| match field {
        Some(field) => cut(&field_to_json(field).to_string(), VALUE_WIDTH),
        None => "nothing".to_owned(),
    };
    let by = |path: &Path| {
        let written = found.written.iter().find(|one| one.path == *path);
        written.map_or_else(String::new, |one| format!("  ({})", who(one)))
    };
    let mut text = match (&found.before, &found.after) {
        (None, Some(after)) => format!("+ {place}  {}{}", whole(after), by(&Path::root())),
        (Some(before), None) => format!("- {place}  {}{}", whole(before), by(&Path::root())),
        _ => {
            let mut text = format!("~ {place}");
            for change in found.fields() {
                let (before, after) = (value(&change.before), value(&change.after));
                let by = by(&change.path);
                text.push_str(&format!("\n    {}  {before} → {after}{by}", change.path));
            }
            text
        }
    };
    for kept in &found.kept {
        let what = match kept.path.depth() {
            0 => "others have written into it".to_owned(),
            _ => format!("{} is kept", kept.path),
        };
        text.push_str(&format!("\n    {what}  ({})", who(kept)));
    }
    text
}

/// Who wrote something, and when.
fn who(written: &WrittenBy) -> String {
    let time = written.time.to_string();
    format!("by {}, {}", written.dot.origin.node.short(), moment(&time))
}

/// `littoral rollback`
pub(super) fn rollback(context: &Context, args: RollbackArgs) -> Result<u8> {
    let target = context.target(Wanted::Existing)?;
    if let (true, Some(label)) = (args.hold, &args.label) {
        let asked = Holding { label: label.clone(), collection: args.collection };
        let held = target.hold(&asked)?;
        let told = "shows checkpoint";
        holds(context, &held, |hold| {
            let shown = documents(hold.documents);
            format!("{} {told} '{}' and own writes since: {shown}", hold.collection, hold.label)
        })?;
        return Ok(EXIT_OK);
    }
    let (asked, mut outcome) = (RollingBack { label: args.label }, String::new());
    let mut told = |replay: ReplayShape| {
        outcome.clone_from(&replay.outcome);
        match context.output.json {
            true => context.output.json(&json!({"replay": replay})),
            false => context.output.line(plain(&replayed(&replay))),
        }
    };
    target.rollback(&asked, &mut told, &mut |found| show(context, &found))?;
    if outcome != "differs" {
        return Ok(EXIT_OK);
    }
    eprintln!("littoral: the store was left as it is; `littoral verify` says what else is wrong");
    Ok(EXIT_FAILED)
}

/// `littoral resume`
pub(super) fn resume(context: &Context, args: ResumeArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let ended = target.resume(&Resuming { collection: args.collection })?;
    if ended.is_empty() && !context.output.json {
        return context.output.line("nothing was held back");
    }
    holds(context, &ended, |hold| format!("{} shows everything again", hold.collection))
}

/// Collections that are, or were, held back.
fn holds(
    context: &Context,
    holds: &[HoldShape],
    line: impl Fn(&HoldShape) -> String,
) -> Result<()> {
    match context.output.json {
        true => context.output.json(&json!({"holds": holds})),
        false => holds.iter().try_for_each(|hold| context.output.line(plain(&line(hold)))),
    }
}

/// What came of a replay, for people.
fn replayed(replay: &ReplayShape) -> String {
    let label = &replay.checkpoint.label;
    let done = format!(
        "replayed {} transactions and {} from '{label}' in {} ms",
        number(replay.transactions),
        documents(replay.documents),
        number(replay.ms)
    );
    let mut text = match replay.outcome.as_str() {
        "same" => return format!("{done}: the store is the same"),
        "mended" => {
            let mended = documents(replay.mended);
            format!("{done}: {mended} had been damaged, and what was replayed is in their place")
        }
        _ => format!("{done}: the store differs (- what it shows, + what was replayed)"),
    };
    for known in replay.differing.iter().filter(|known| !known.alike) {
        let line = "counts, digest or vector are not those of the store";
        text.push_str(&format!("\n  {}: {line}", known.collection));
    }
    text
}

/// `littoral revert`
pub(super) fn revert(context: &Context, args: &RevertArgs) -> Result<()> {
    let can_ask = io::stdin().is_terminal() && !context.output.json;
    if !args.yes && !args.dry_run && !can_ask {
        return Err(invalid(
            "there is nobody to ask: look with --dry-run, then say --yes; nothing was changed",
        ));
    }
    let target = context.target(Wanted::Existing)?;
    let by = args.by.as_deref().map(|by| target.roster()?.find(by)).transpose()?;
    let asked = Reverting {
        label: args.label.clone(),
        collection: args.collection.clone(),
        id: args.id.clone(),
        path: args.path.as_ref().map(ToString::to_string),
        by: by.map(|by| by.to_string()),
        force: args.force,
        dry_run: args.dry_run,
    };
    if args.dry_run {
        let plan = target.revert_plan(&asked, &mut |found| show(context, &found))?;
        note_left(&plan);
        return match context.output.json {
            true => Ok(()),
            false => {
                context.output.line(format!("{}; nothing was changed", differ(plan.documents)))
            }
        };
    }
    if !args.yes && !agreed(context, &*target, &asked)? {
        return context.output.line("nothing was changed");
    }
    let bar = bar(context.output.json);
    let done = target.revert(&asked, &mut |documents| bar.set_position(documents));
    bar.finish_and_clear();
    let done = done.map_err(|err| stopped(&err, bar.position()))?;
    note_left(&done);
    let sentence = match done.documents {
        0 if args.by.is_some() => "nothing is left to take back".to_owned(),
        _ if args.by.is_some() => format!(
            "took back what that node did since '{}' in {}, in {} transactions",
            args.label,
            documents(done.documents),
            number(done.transactions)
        ),
        0 => format!("nothing differs from '{}'", args.label),
        _ => format!(
            "brought {} back to '{}', in {} transactions",
            documents(done.documents),
            args.label,
            number(done.transactions)
        ),
    };
    context.output.done(plain(&sentence), &done)
}

/// `littoral undo`
pub(super) fn undo(context: &Context, args: &UndoArgs) -> Result<()> {
    let (collection, force) = (args.collection.clone(), args.force);
    let asked = Undoing { collection, force, dry_run: args.dry_run };
    let target = context.target(Wanted::Existing)?;
    let done = target.undo(&asked, &mut |found| show(context, &found))?;
    note_left(&done);
    if context.output.json {
        return Ok(());
    }
    let what = format!("what was written at {} UTC", moment(&done.undone.unwrap_or_default()));
    context.output.line(match (done.documents, args.dry_run) {
        (0, _) => format!("{what} is no longer there: nothing was changed"),
        (count, true) => {
            format!("undoing {what} changes {}; nothing was changed", documents(count))
        }
        (count, false) => format!("undid {what}, in {}", documents(count)),
    })
}

fn documents(count: u64) -> String {
    match count {
        1 => "1 document".to_owned(),
        many => format!("{} documents", number(many)),
    }
}

/// Shows the plan and asks.
fn agreed(context: &Context, target: &dyn Target, asked: &Reverting) -> Result<bool> {
    let mut seen = 0;
    let plan = target.revert_plan(asked, &mut |found| {
        seen += 1;
        if seen <= SHOWN { show(context, &found) } else { Ok(()) }
    })?;
    if plan.documents == 0 {
        // Nothing to agree to; what there is to say is said after it.
        return Ok(true);
    }
    if plan.documents > SHOWN {
        let more = documents(plan.documents - SHOWN);
        context.output.line(format!("and {more} more (all: --dry-run)"))?;
    }
    eprint!("write {} back to '{}'? [y/N] ", documents(plan.documents), plain(&asked.label));
    let mut answer = String::new();
    io::stderr()
        .flush()
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|err| Error::new(ErrorKind::Io, format!("could not read the answer: {err}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Says which collections are not written again.
fn note_left(done: &DoneShape) {
    if !done.left.is_empty() {
        eprintln!(
            "littoral: left since the checkpoint, and so not written again: {} (sync anew, then revert)",
            plain(&done.left.join(", "))
        );
    }
    if done.kept > 0 {
        eprintln!(
            "littoral: {} fields were changed by others since, and are kept (--dry-run names them, --force takes them back, too)",
            number(done.kept)
        );
    }
}

/// An error, with how far it came.
fn stopped(err: &Error, done: u64) -> Error {
    match done {
        0 => Error::new(err.kind(), err.message()),
        _ => Error::new(
            err.kind(),
            format!(
                "{} (at least {} are back by then, and stay so; the same command goes on)",
                err.message(),
                documents(done)
            ),
        ),
    }
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} documents, {elapsed}");
    ProgressBar::new_spinner().with_style(style.expect("the template is legal"))
}

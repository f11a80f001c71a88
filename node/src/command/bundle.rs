//! `bundle`: changes in a file.

use std::collections::BTreeSet;

use littoral::store::{ApplyOptions, BundleContents, BundleOptions, Have};
use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use super::Context;
use crate::cli::{BundleApplyArgs, BundleCreateArgs, BundleStep};
use crate::output::{bytes, moment, number, plain, short};
use crate::shape::{BundleCollectionShape, BundleShape};
use crate::target::Wanted;

/// `littoral bundle`
pub(super) fn bundle(context: &Context, step: &BundleStep) -> Result<()> {
    match step {
        BundleStep::Have { file } => have(context, file),
        BundleStep::Create(args) => create(context, args),
        BundleStep::Apply(args) => apply(context, args),
        BundleStep::Inspect { file, new } => inspect(context, file, *new),
    }
}

fn have(context: &Context, file: &std::path::Path) -> Result<()> {
    let have = context.target(Wanted::Made)?.have()?;
    have.save(file)?;
    let transactions: u64 =
        have.vectors.values().flat_map(|vector| vector.iter().map(|(_, head)| head.seq)).sum();
    let sentence = format!(
        "wrote what this store has, {} transactions of {} collections; elsewhere: littoral bundle create FILE --since {}",
        number(transactions),
        number(have.vectors.len() as u64),
        plain(&file.display().to_string())
    );
    let shape = json!({"collections": have.vectors.len(), "transactions": transactions});
    context.output.done(sentence, &shape)
}

fn create(context: &Context, args: &BundleCreateArgs) -> Result<()> {
    let options = BundleOptions {
        since: args.since.as_ref().map(Have::open).transpose()?,
        collections: names(args.collections.as_ref()),
        snapshots: !args.no_snapshots,
    };
    let contents =
        context.target(Wanted::Existing)?.bundle_create(&args.file, &options).map_err(|err| {
            match err.kind() {
                ErrorKind::NotFound if args.no_snapshots => Error::new(
                    err.kind(),
                    format!("{err} (leave out --no-snapshots, or see --since, --collections)"),
                ),
                _ => err,
            }
        })?;
    show(context, &BundleShape::from(&contents))
}

fn apply(context: &Context, args: &BundleApplyArgs) -> Result<()> {
    let options = ApplyOptions { collections: names(args.collections.as_ref()), from: args.from };
    // Before a store is made for it.
    std::fs::metadata(&args.file).map_err(|err| {
        Error::new(ErrorKind::Io, format!("could not read {}: {err}", args.file.display()))
    })?;
    let applied = context.target(Wanted::Made)?.bundle_apply(&args.file, &options)?;
    let count = |of: fn(&crate::shape::AppliedCollectionShape) -> u64| {
        number(applied.collections.iter().map(of).sum())
    };
    let passed: Vec<&str> =
        applied.collections.iter().filter(|one| !one.wanted).map(|one| one.name.as_str()).collect();
    let passed = match passed.is_empty() {
        true => String::new(),
        false => format!("; not wanted here: {}", passed.join(", ")),
    };
    let sentence = format!(
        "applied {} new transactions; {} were here already{passed}",
        count(|one| one.new),
        count(|one| one.duplicates),
    );
    context.output.done(sentence, &applied)
}

fn inspect(context: &Context, file: &std::path::Path, new: bool) -> Result<()> {
    let contents = BundleContents::open(file)?;
    let mut shape = BundleShape::from(&contents);
    if new {
        let have = context.target(Wanted::Existing)?.have()?;
        if have.network != contents.network {
            return Err(Error::new(
                ErrorKind::Refused,
                "the bundle belongs to another network than this store: nothing of it can be applied here",
            ));
        }
        let compared = contents
            .collections
            .iter()
            .map(|one| BundleCollectionShape::compared(one, &have.vector(&one.name)));
        shape.collections = compared.collect();
    }
    show(context, &shape)
}

/// Prints what is in a bundle.
fn show(context: &Context, shape: &BundleShape) -> Result<()> {
    if context.output.json {
        return context.output.json(shape);
    }
    let (maker, made) = (short(&shape.maker), moment(&shape.made));
    context
        .output
        .line(format!("a bundle of {}, made by {maker} at {made}", bytes(shape.bytes)))?;
    for one in &shape.collections {
        context.output.line(what(one))?;
        for line in details(one) {
            context.output.line(format!("  {line}"))?;
        }
    }
    Ok(())
}

fn what(one: &BundleCollectionShape) -> String {
    let (name, size) = (plain(&one.name), bytes(one.bytes));
    match one.snapshot {
        true => format!("{name}: a snapshot of {} documents, {size}", number(one.documents)),
        false => format!(
            "{name}: {} transactions, which write {} documents, {size}",
            number(one.transactions),
            number(one.documents)
        ),
    }
}

fn details(one: &BundleCollectionShape) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(new), Some(missing)) = (one.new, one.missing) {
        let builds = match missing {
            0 => String::new(),
            missing => format!(
                "; it may build on {} that are missing here: apply earlier bundles first",
                number(missing)
            ),
        };
        lines.push(format!("{} transactions of it are new here{builds}", number(new)));
    }
    lines.push(match one.since {
        0 => "complete: for who has nothing as well".to_owned(),
        since => format!("for who has {} transactions before them", number(since)),
    });
    if let (Some(oldest), Some(newest)) = (&one.oldest, &one.newest) {
        lines.push(format!("written from {} to {}", moment(oldest), moment(newest)));
    }
    let verb = if one.snapshot { "with" } else { "by" };
    let authors = one.authors.iter().map(|author| {
        let life = match author.incarnation {
            0 => String::new(),
            life => format!(".{life}"),
        };
        let (author, first, last) = (short(&author.author), author.first, author.last);
        format!("{verb} {author}{life}: {} to {}", number(first), number(last))
    });
    lines.extend(authors);
    lines
}

fn names(given: Option<&Vec<String>>) -> Option<BTreeSet<String>> {
    given.map(|names| names.iter().map(|name| name.trim().to_owned()).collect())
}

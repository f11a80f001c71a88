//! `scan`: the documents of a collection, or the collections.

use littoral::value::fields_to_json;
use littoral::{Fields, Result, ScanRange};

use super::Context;
use crate::cli::ScanArgs;
use crate::output::{columns, cut, number, plain, table};
use crate::shape::{Collections, Entry};
use crate::target::{Target, Wanted};

/// Documents that are aligned together.
const TOGETHER: usize = 100;

/// `littoral scan`
pub(super) fn scan(context: &Context, args: ScanArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let Some(collection) = args.collection else {
        return collections(context, &*target);
    };
    let range = ScanRange {
        prefix: args.prefix,
        start: args.start,
        after: None,
        end: args.end,
        limit: args.limit,
        reverse: args.reverse,
    };
    let mut documents = match &args.at {
        Some(label) => target.scan_at(label, &collection, &range)?,
        None => target.scan(&collection, &range)?,
    };
    if context.output.json {
        return documents.try_for_each(|found| {
            let (id, fields) = found?;
            context.output.json(&Entry::new(&id, &fields))
        });
    }
    let width = columns();
    loop {
        let some = documents.by_ref().take(TOGETHER).collect::<Result<Vec<_>>>()?;
        if some.is_empty() {
            return Ok(());
        }
        context.output.line(lines(&some, width))?;
    }
}

fn lines(documents: &[(String, Fields)], width: Option<usize>) -> String {
    let row = |(id, fields): &(String, Fields)| {
        vec![plain(id), plain(&fields_to_json(fields).to_string())]
    };
    let rows: Vec<_> = documents.iter().map(row).collect();
    let text = table(&rows);
    match width {
        Some(width) => text.lines().map(|line| cut(line, width)).collect::<Vec<_>>().join("\n"),
        None => text,
    }
}

fn collections(context: &Context, target: &dyn Target) -> Result<()> {
    let collections = target.status()?.collections;
    if context.output.json {
        return context.output.json(&Collections { collections });
    }
    let head = ["collection", "documents", "conflicts"].map(str::to_owned).to_vec();
    let rows = collections
        .into_iter()
        .map(|found| vec![found.name, number(found.documents), number(found.conflicts)]);
    context.output.line(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

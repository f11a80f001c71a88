//! `changes`: what changed, in the order in which it came into the store.

use std::time::Duration;

use littoral::{Position, Result};

use super::{Context, invalid};
use crate::cli::ChangesArgs;
use crate::output::{moment, plain, short};
use crate::shape::ChangeShape;
use crate::target::Wanted;

/// How long one question waits for changes.
const WAIT: Duration = Duration::from_secs(30);

/// `littoral changes`
pub(super) fn changes(context: &Context, args: &ChangesArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    if args.follow && !target.is_shared() {
        return Err(invalid(
            "no node runs on this store, so nothing can change while this waits; start `littoral run` first, \
             or leave out --follow",
        ));
    }
    let mut since = match args.since {
        None if args.follow => None,
        since => Some(Position(since.unwrap_or(0))),
    };
    loop {
        let wait = if args.follow { WAIT } else { Duration::ZERO };
        let page = target.changes(since, wait, args.values)?;
        page.changes.iter().try_for_each(|change| print(context, change))?;
        if page.changes.is_empty() && !args.follow {
            return Ok(());
        }
        since = Some(Position(page.next));
    }
}

fn print(context: &Context, change: &ChangeShape) -> Result<()> {
    if context.output.json {
        return context.output.json(change);
    }
    let author = if change.local { "this node " } else { short(&change.author) };
    let (time, place) = (moment(&change.time), format!("{}/{}", change.collection, change.id));
    context.output.line(format!("{:>9}  {time}  {author}  {}", change.position, plain(&place)))?;
    let Some(values) = &change.values else { return Ok(()) };
    for (sign, document) in [('-', &values.before), ('+', &values.after)] {
        if let Some(document) = document {
            context.output.line(format!("{:>9}  {sign} {}", "", plain(document.get())))?;
        }
    }
    Ok(())
}

//! `events`: what happened to the store and its node.

use std::time::Duration;

use littoral::Result;

use super::standing::Names;
use super::{Context, invalid};
use crate::cli::EventsArgs;
use crate::events::{EventShape, WantedEvents};
use crate::output::{moment, plain};
use crate::target::Wanted;

/// How long one question waits for events.
const WAIT: Duration = Duration::from_secs(30);

/// `littoral events`
pub(super) fn events(context: &Context, args: &EventsArgs) -> Result<()> {
    let wanted = WantedEvents::of(args.kind.as_deref())?;
    let target = context.target(Wanted::Existing)?;
    if args.follow && !target.is_shared() {
        return Err(invalid(
            "no node runs on this store, so nothing can happen while this waits; start `littoral run` first, \
             or leave out --follow",
        ));
    }
    let mut since = match args.since {
        None if args.follow => None,
        since => Some(since.unwrap_or(0)),
    };
    loop {
        let wait = if args.follow { WAIT } else { Duration::ZERO };
        let page = target.events(since, &wanted, wait)?;
        if page.missed {
            eprintln!("littoral: some events are gone, since there were too many");
        }
        // Asked anew for each page: somebody may have joined.
        let names = if page.events.is_empty() { Names::default() } else { Names::of(&*target)? };
        page.events.iter().try_for_each(|event| print(context, event, &names))?;
        if page.events.is_empty() && !args.follow {
            return Ok(());
        }
        since = Some(page.next);
    }
}

fn print(context: &Context, event: &EventShape, names: &Names) -> Result<()> {
    if context.output.json {
        return context.output.json(event);
    }
    let mut text = format!("{}  {:<19}", moment(&event.time), event.kind);
    let parts = [
        event.node.as_deref().map(|node| plain(names.name(node))),
        event.collection.clone(),
        event.count.map(|count| count.to_string()),
        event.seconds.map(|seconds| format!("after {seconds:.1} s")),
        (!event.what.is_empty()).then(|| plain(&event.what)),
    ];
    for part in parts.into_iter().flatten() {
        text.push_str("  ");
        text.push_str(&part);
    }
    context.output.line(text.trim_end())
}

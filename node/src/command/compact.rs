//! `compact`: gives back what is free in the state's file.

use littoral::Result;
use serde_json::json;

use super::Context;
use crate::cli::CompactArgs;
use crate::output::bytes;
use crate::target::Wanted;

/// `littoral compact`
pub(super) fn compact(context: &Context, args: &CompactArgs) -> Result<()> {
    let store = context.opening.open_store(Wanted::Existing)?;
    if args.dry_run {
        let space = store.space()?;
        let (file, live) = (space.file_bytes, space.live_bytes);
        let shape = json!({"file_bytes": file, "live_bytes": live});
        let sentence = format!("of the state's {}, {} are in use", bytes(file), bytes(live));
        return context.output.done(sentence, &shape);
    }
    let compacted = store.compact()?;
    let (before, after) = (compacted.before_bytes, compacted.after_bytes);
    let shape = json!({"before_bytes": before, "after_bytes": after});
    context
        .output
        .done(format!("the state took {} and takes {}", bytes(before), bytes(after)), &shape)
}

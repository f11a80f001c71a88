//! `doctor`: what is going on with a store and its node, in sentences. `leave`: drops a collection.

use littoral::{ErrorKind, Options, Result};

use super::Context;
use super::verify::quietly;
use crate::cli::LeaveArgs;
use crate::disk;
use crate::kinds::{EXIT_FAILED, EXIT_OK};
use crate::output::plain;
use crate::shape::{FindingShape, Findings};
use crate::target::{Target, Wanted, running_node};

/// `littoral doctor`. Gives the exit code: whether somebody should do something.
pub(super) fn doctor(context: &Context) -> Result<u8> {
    let findings = findings(context)?;
    let is_bad = |finding: &FindingShape| finding.level != "note";
    let code = if findings.iter().any(is_bad) { EXIT_FAILED } else { EXIT_OK };
    if context.output.json {
        context.output.json(&Findings { findings })?;
        return Ok(code);
    }
    if findings.is_empty() {
        context.output.line("all is well")?;
    }
    for FindingShape { level, place, what, advice, .. } in findings {
        context.output.line(plain(&format!("{level}: {place}: {what}; {advice}")))?;
    }
    Ok(code)
}

/// Of the node that runs on the store, if one does; else of the files, which are not touched.
fn findings(context: &Context) -> Result<Vec<FindingShape>> {
    if let Some(node) = context.opening.remote()? {
        return node.doctor();
    }
    let data = context.opening.directory()?;
    let options = context.opening.unlocked(Options::new())?;
    match quietly(|| options.doctor(data)) {
        Err(err) if err.kind() == ErrorKind::Locked => match running_node(data) {
            Some(node) => node.doctor(),
            None => Err(err),
        },
        found => {
            let mut found: Vec<FindingShape> = found?.iter().map(FindingShape::from).collect();
            found.extend(disk::check(data));
            Ok(found)
        }
    }
}

/// `littoral leave`
pub(super) fn leave(context: &Context, args: &LeaveArgs) -> Result<()> {
    context.target(Wanted::Existing)?.leave(&args.collection, args.force)?;
    let sentence = format!(
        "left {}: its documents are gone from this store, and only from here",
        args.collection
    );
    context.output.done(sentence, &serde_json::json!({"left": args.collection}))
}

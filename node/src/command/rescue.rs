//! `rescue`: whatever is readable of a damaged store, into a new one.

use littoral::store::{RescueOptions, Rescued};
use littoral::{Error, ErrorKind, Options, Result};

use super::Context;
use super::verify::{progress, quietly};
use crate::cli::RescueArgs;
use crate::kinds::{EXIT_FAILED, EXIT_OK};
use crate::output::plain;

/// The report, beside the new store.
const REPORT: &str = "rescue.json";

/// `littoral rescue`. Gives the exit code: whether everything is there.
pub(super) fn rescue(context: &Context, args: &RescueArgs) -> Result<u8> {
    let how = RescueOptions { network: args.network.clone(), alone: args.alone };
    let progress = progress(context.output.json);
    progress.set_message("reading what is left");
    let options = context.opening.of(&args.damaged).unlocked(Options::new())?;
    let rescued = quietly(|| options.rescue(&args.damaged, &args.new, &how));
    progress.finish_and_clear();
    let rescued = rescued?;
    let report = args.new.join(REPORT);
    std::fs::write(&report, rescued.to_json() + "\n").map_err(|err| {
        Error::new(ErrorKind::Io, format!("could not write {}: {err}", report.display()))
    })?;
    match context.output.json {
        true => context.output.line(rescued.to_json())?,
        false => show(context, args, &rescued)?,
    }
    Ok(if rescued.is_whole() { EXIT_OK } else { EXIT_FAILED })
}

fn show(context: &Context, args: &RescueArgs, rescued: &Rescued) -> Result<()> {
    for finding in &rescued.findings {
        context.output.line(plain(&finding.to_string()))?;
    }
    for sentence in rescued.sentences() {
        context.output.line(plain(&sentence))?;
    }
    let what = if rescued.is_whole() { "everything" } else { "what could be read" };
    let (new, damaged) = (args.new.display(), args.damaged.display());
    context.output.line(format!(
        "{what} is in {new}, and this report in {new}/{REPORT}; {damaged} was not changed"
    ))
}

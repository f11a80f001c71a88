//! `verify`: every invariant of a store's files, looked at and not touched.

use std::io::{self, IsTerminal};

use indicatif::ProgressBar;
use littoral::store::{Verified, VerifyOptions, VerifyStep};
use littoral::{Options, Result};

use super::Context;
use crate::cli::VerifyArgs;
use crate::kinds::{EXIT_FAILED, EXIT_OK};
use crate::output::{bytes, number, plain};

/// `littoral verify`. Gives the exit code: whether the store is sound.
pub(super) fn verify(context: &Context, args: &VerifyArgs) -> Result<u8> {
    let data = context.opening.directory()?;
    let options = context.opening.unlocked(Options::new())?;
    let how = VerifyOptions { quick: args.quick, scratch: args.scratch.clone() };
    let progress = progress(context.output.json);
    let verified =
        quietly(|| options.verify(data, &how, &mut |step| progress.set_message(told(step))));
    progress.finish_and_clear();
    let verified = verified?;
    match context.output.json {
        true => context.output.line(verified.to_json())?,
        false => show(context, &verified)?,
    }
    Ok(if verified.is_sound() { EXIT_OK } else { EXIT_FAILED })
}

fn show(context: &Context, verified: &Verified) -> Result<()> {
    context.output.line(format!(
        "{} documents in {} collections, {} transactions in {} of log; {} collections made anew from the log",
        number(verified.documents),
        number(verified.collections),
        number(verified.transactions),
        bytes(verified.log_bytes),
        number(verified.rebuilt),
    ))?;
    for finding in &verified.findings {
        context.output.line(plain(&finding.to_string()))?;
    }
    if verified.more > 0 {
        context.output.line(format!("and {} more of these kinds", number(verified.more)))?;
    }
    match verified.is_sound() {
        true => context.output.line("the store is sound"),
        false => context.output.line("the store is damaged; nothing about it was changed"),
    }
}

/// Where it has come to, on standard error, if that is a terminal.
pub(super) fn progress(quiet: bool) -> ProgressBar {
    match quiet || !io::stderr().is_terminal() {
        true => ProgressBar::hidden(),
        false => ProgressBar::new_spinner(),
    }
}

fn told(step: VerifyStep) -> String {
    match step {
        VerifyStep::Pages => "checking the pages of the state".to_owned(),
        VerifyStep::Documents(count) => format!("{} documents", number(count)),
        VerifyStep::Log(at, all) => format!("log: {} of {}", bytes(at), bytes(all)),
        VerifyStep::Rebuild => "making the state anew from the log".to_owned(),
    }
}

/// Runs what reads files that may be damaged: a panic over one of them is caught and reported,
/// and need not be told twice.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = run();
    std::panic::set_hook(told);
    result
}

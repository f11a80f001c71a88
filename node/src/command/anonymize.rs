//! `anonymize`: a store of the same shape and history without its content, for bug reports.

use littoral::{Options, Result};
use serde_json::json;

use super::Context;
use super::verify::{progress, quietly};
use crate::cli::AnonymizeArgs;
use crate::output::number;

/// `littoral anonymize`
pub(super) fn anonymize(context: &Context, args: &AnonymizeArgs) -> Result<()> {
    let progress = progress(context.output.json);
    progress.set_message("rewriting");
    let options = context.opening.of(&args.dir).unlocked(Options::new())?;
    let done = quietly(|| options.anonymize(&args.dir, &args.out));
    progress.finish_and_clear();
    let done = done?;
    let shape = json!({
        "documents": done.documents,
        "transactions": done.transactions,
        "collections_by_history": done.by_history,
        "collections_by_state": done.by_state,
    });
    let sentence = format!(
        "{} documents and {} transactions have other content and other authors in {}; what was left as it is: how many and how large they are, their order, true, false and null, and what counters add up to. Look at it before you send it: littoral --data {} export COLLECTION",
        number(done.documents),
        number(done.transactions),
        args.out.display(),
        args.out.display(),
    );
    context.output.done(sentence, &shape)
}

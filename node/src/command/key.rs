//! `key`: the secret key of a store, and its passphrase.

use littoral::store::KeyChange;
use littoral::{Options, Result};
use serde_json::json;

use super::Context;
use crate::cli::KeyStep;
use crate::passphrase;

/// `littoral key ..`
pub(super) fn key(context: &Context, step: &KeyStep) -> Result<()> {
    let data = context.opening.directory()?;
    let options = context.opening.unlocked(Options::new())?;
    match step {
        KeyStep::Encrypt => {
            options.encrypt_key(data, Some(passphrase::choose()?.reveal()))?;
            let sentence = "the key is encrypted: opening the store takes the passphrase from now \
                            on; a node that starts by itself finds it in the file that \
                            LITTORAL_PASSPHRASE_FILE names";
            context.output.done(sentence, &json!({"encrypted": true}))
        }
        KeyStep::Decrypt => {
            options.encrypt_key(data, None)?;
            context.output.done("the key lies in the clear", &json!({"encrypted": false}))
        }
        KeyStep::Rotate => {
            let change = options.clone().rotate_key(data)?;
            let is_member = options.create(false).open(data)?.members().is_some();
            let untold: Vec<String> = change.untold.iter().map(ToString::to_string).collect();
            let shape = json!({
                "from": change.from.to_string(),
                "to": change.to.to_string(),
                "untold": untold,
                "roster": is_member,
            });
            context.output.done(rotated(&change, is_member, &untold), &shape)
        }
    }
}

/// What has happened, and what is to be done.
fn rotated(change: &KeyChange, is_member: bool, untold: &[String]) -> String {
    let (from, to) = (change.from, change.to);
    let mut said = format!("this node has a new key, {to}; it was {from}");
    let also = match (is_member, untold) {
        (_, []) => "nobody else knows this node, so there is nobody to tell".to_owned(),
        (true, _) => format!(
            "other members hear of it by themselves when they link with this node ({} have yet \
             to; `littoral doctor` says who). Keep it running until they have",
            untold.len()
        ),
        (false, _) => format!(
            "there is no roster, so these peers have to be told the new key, and must trust it in \
             the old one's place:\n{}",
            untold.join("\n")
        ),
    };
    said.push('\n');
    said.push_str(&also);
    said.push_str("\nTickets that this node made before are of no use any more: make new ones");
    said
}

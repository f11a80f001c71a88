//! `key`: the secret key of a store, and its passphrase.

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
    }
}

//! `token`: who may ask a node over HTTP from another machine.

use littoral::Result;
use serde_json::json;

use super::Context;
use crate::cli::TokenStep;
use crate::output::{moment, plain, table};
use crate::target::Wanted;
use crate::tokens::{Token, Tokens};

/// `littoral token ..`: works on a file beside the store, whether or not a node runs on it.
pub(super) fn token(context: &Context, step: &TokenStep) -> Result<()> {
    let data = context.opening.directory()?;
    let tokens = Tokens::of(data);
    match step {
        TokenStep::Create { name, rights } => {
            // The directory has to be a store's.
            drop(context.target(Wanted::Made)?);
            let (token, secret) = tokens.create(name, *rights)?;
            let shape = json!({
                "id": token.id(),
                "name": token.name,
                "rights": token.rights,
                "token": secret.reveal(),
            });
            let note = "it is shown this once; send it as `Authorization: Bearer TOKEN`, or give it to commands in LITTORAL_TOKEN";
            context.output.done(format!("{}\n{note}", secret.reveal()), &shape)
        }
        TokenStep::List => list(context, &tokens.list()?),
        TokenStep::Revoke { called } => {
            let token = tokens.revoke(called)?;
            let sentence =
                format!("the token {} ({}) opens nothing any more", token.id(), token.name);
            context.output.done(plain(&sentence), &json!({"revoked": token.id()}))
        }
    }
}

fn list(context: &Context, tokens: &[Token]) -> Result<()> {
    if context.output.json {
        let shape = |token: &Token| json!({"id": token.id(), "name": token.name, "rights": token.rights, "made": token.made});
        return context.output.json(&tokens.iter().map(shape).collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        return context.output.line("no tokens; `littoral token create` makes one");
    }
    let mut rows = vec![["id", "name", "rights", "made"].map(str::to_owned).to_vec()];
    rows.extend(tokens.iter().map(|token| {
        let cells = [token.id(), &token.name, token.rights.word(), &moment(&token.made)];
        cells.map(str::to_owned).to_vec()
    }));
    context.output.line(plain(&table(&rows)))
}

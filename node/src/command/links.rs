//! `links`: how the links of a running node are, cutting them all for now, and taking them up again.

use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use super::{Context, status};
use crate::cli::{LinksArgs, LinksStep};
use crate::target::Remote;

/// `littoral links`
pub(super) fn links(context: &Context, args: &LinksArgs) -> Result<()> {
    let node = node(context)?;
    let (sentence, online) = match args.step {
        None => return status::links(context, &node),
        Some(LinksStep::Pause) => ("all links are cut, until `littoral links resume`", false),
        Some(LinksStep::Resume) => ("the links are being made again", true),
    };
    node.set_online(online)?;
    context.output.done(sentence, &json!({"online": online}))
}

/// The node that runs on the store, or that --url names.
pub(super) fn node(context: &Context) -> Result<Remote> {
    context.opening.node()?.ok_or_else(|| {
        let why = "no node runs on this store; `littoral run` starts one";
        Error::new(ErrorKind::NotFound, why)
    })
}

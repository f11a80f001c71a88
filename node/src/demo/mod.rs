//! Demo stub.
use crate::cli::DemoArgs;
use crate::command::Context;
use littoral::Result;
/// `littoral demo`
pub(crate) fn demo(_: &Context, _: &DemoArgs) -> Result<()> {
    Ok(())
}

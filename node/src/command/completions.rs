//! `completions`: a script that teaches a shell the commands.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use littoral::Result;

use crate::cli::Cli;
use crate::output::write_failed;

/// `littoral completions`
pub(super) fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "littoral", &mut script);
    io::stdout().write_all(&script).map_err(|err| write_failed(&err))
}

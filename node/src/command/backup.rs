//! `backup` and `restore`: all that a store holds, in a file, and a store made of it.

use littoral::clock::Timestamp;
use littoral::store::{BackedUp, BackupOptions, BackupReport, RestoreOptions};
use littoral::{Options, Result};

use super::Context;
use super::verify::progress;
use crate::cli::{BackupArgs, RestoreArgs};
use crate::output::{bytes, moment, number, plain, short};
use crate::target::Wanted;

/// `littoral backup`
pub(super) fn backup(context: &Context, args: &BackupArgs) -> Result<()> {
    let progress = progress(context.output.json);
    let report = if args.check {
        progress.set_message("reading all of it");
        BackupReport::open(&args.file)
    } else {
        progress.set_message("writing it, and reading it back");
        let options = BackupOptions { peers: !args.no_peers };
        context.target(Wanted::Existing).and_then(|target| target.backup(&args.file, &options))
    };
    progress.finish_and_clear();
    let report = report?;
    if context.output.json {
        return context.output.line(report.to_json());
    }
    show(context, &report)?;
    context.output.line(match args.check {
        true => "every byte was checked: it is whole",
        false => "read back, and held against what the store held at that moment",
    })
}

/// `littoral restore`
pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<()> {
    let how = RestoreOptions { roster: !args.no_roster };
    // A passphrase that is given is for the key of the new node.
    let options = context.opening.of(&args.dir).unlocked(Options::new())?;
    let progress = progress(context.output.json);
    progress.set_message("making the store");
    let restored = options.restore(&args.file, &args.dir, &how);
    progress.finish_and_clear();
    let restored = restored?;
    if context.output.json {
        return context.output.line(restored.to_json());
    }
    show(context, &restored.backup)?;
    let dir = plain(&args.dir.display().to_string());
    context
        .output
        .line(format!("all of it is in {dir} now, which is node {}, a new one", restored.node))?;
    context.output.line(match restored.roster {
        true => format!(
            "it can't write before an admin of its network lets it in: there, littoral grant {} write",
            restored.node
        ),
        false => "its peers must be told to trust it: it is not the node that it is a backup of"
            .to_owned(),
    })
}

fn show(context: &Context, report: &BackupReport) -> Result<()> {
    let made = Timestamp::from_millis(report.made_ms).to_string();
    context.output.line(format!(
        "a backup of {}, of node {} at {}: {} documents in {} collections",
        bytes(report.bytes),
        short(&report.node.to_string()),
        moment(&made),
        number(report.documents()),
        number(report.collections.len() as u64),
    ))?;
    for one in &report.collections {
        context.output.line(format!("  {}", told(one)))?;
    }
    if let Some(founder) = &report.founder {
        let founder = short(&founder.to_string()).to_owned();
        context.output.line(format!("  the roster that {founder} founded"))?;
    }
    match report.peers {
        0 => Ok(()),
        peers => context.output.line(format!("  {} trusted peers", number(peers))),
    }
}

fn told(one: &BackedUp) -> String {
    let conflicts = match one.conflicts {
        0 => String::new(),
        conflicts => format!(", {} of them in conflict", number(conflicts)),
    };
    format!(
        "{}: {} documents{conflicts}, of {} transactions by {} authors",
        plain(&one.name),
        number(one.documents),
        number(one.transactions),
        number(one.origins)
    )
}

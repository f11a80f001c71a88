//! The commands: one file for each group, all over [`Target`].

mod anonymize;
mod backup;
mod bundle;
mod changes;
mod compact;
mod completions;
mod config;
mod conflict_log;
mod conflicts;
mod doctor;
mod document;
mod edit;
mod events;
mod export;
mod field;
mod id;
mod import;
mod invite;
mod join;
mod key;
mod links;
mod peers;
mod rescue;
mod run;
mod scan;
mod standing;
mod status;
mod sync;
mod tape;
mod token;
mod top;
mod verify;

use std::io::Read as _;

use littoral::{Error, ErrorKind, Fields, Result};

pub(crate) use conflicts::describe;

use crate::cli::{Cli, Command, DATA, Document};
use crate::kinds::EXIT_OK;
use crate::output::Output;
use crate::shape::{Entry, raw};
use crate::target::{Opening, Read, Target, Wanted, version_text};
use crate::{bench, demo};

/// What every command gets.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where the documents are.
    pub(crate) opening: Opening,
    /// Where results go.
    pub(crate) output: Output,
}

/// Carries out a command. Gives the exit code.
pub(crate) fn run(cli: Cli) -> Result<u8> {
    let data = cli.data.clone().unwrap_or_else(|| DATA.into());
    let opening = Opening { data, url: cli.url, token: cli.token };
    let context = Context { opening, output: Output { json: cli.json } };
    let done = match cli.command {
        Command::Verify(args) => return verify::verify(&context, &args),
        Command::Anonymize(args) => anonymize::anonymize(&context, &args),
        Command::Doctor => return doctor::doctor(&context),
        Command::Rollback(args) => return tape::rollback(&context, args),
        Command::Resume(args) => tape::resume(&context, args),
        Command::Leave(args) => doctor::leave(&context, &args),
        Command::Invite(args) => invite::invite(&context, &args),
        Command::Invites(args) => invite::invites(&context, &args),
        Command::Join(args) => join::join(&context, &args),
        Command::Peers => peers::peers(&context),
        Command::FoundRoster(args) => peers::found_roster(&context, &args),
        Command::JoinRoster(args) => peers::join_roster(&context, &args),
        Command::Grant(args) => peers::grant(&context, &args),
        Command::Revoke(args) => peers::revoke(&context, &args),
        Command::Rescue(args) => return rescue::rescue(&context, &args),
        Command::Run(args) => run::run(context, &args, cli.data.is_some()),
        Command::Config(args) => config::config(&context, &args),
        Command::Id => id::id(&context),
        Command::Put(args) => document::put(&context, &args),
        Command::Merge(args) => document::merge(&context, &args),
        Command::Edit(args) => edit::edit(&context, &args),
        Command::Get(args) => document::get(&context, &args),
        Command::Scan(args) => scan::scan(&context, args),
        Command::Delete(args) => document::delete(&context, &args),
        Command::Add(args) => field::add(&context, &args),
        Command::Remove(args) => field::remove(&context, &args),
        Command::Increment(args) => field::increment(&context, &args),
        Command::Import(args) => import::import(&context, &args),
        Command::Export(args) => export::export(&context, &args),
        Command::Changes(args) => changes::changes(&context, &args),
        Command::Events(args) => events::events(&context, &args),
        Command::Conflicts(args) => conflicts::conflicts(&context, &args),
        Command::Resolve(args) => conflicts::resolve(&context, &args),
        Command::Checkpoint(args) => tape::checkpoint(&context, &args),
        Command::Checkpoints(args) => tape::checkpoints(&context, &args),
        Command::Diff(args) => tape::diff(&context, args),
        Command::Revert(args) => tape::revert(&context, &args),
        Command::Undo(args) => tape::undo(&context, &args),
        Command::Status(args) => return status::status(&context, &args),
        Command::Links(args) => links::links(&context, &args),
        Command::Top(args) => top::top(&context, &args),
        Command::Compact(args) => compact::compact(&context, &args),
        Command::Sync(args) => sync::sync(&context, &args),
        Command::Bundle { step } => bundle::bundle(&context, &step),
        Command::Backup(args) => backup::backup(&context, &args),
        Command::Restore(args) => backup::restore(&context, &args),
        Command::Key { step } => key::key(&context, &step),
        Command::Token { step } => token::token(&context, &step),
        Command::Completions { shell } => completions::completions(shell),
        Command::Demo(args) => demo::demo(&context, &args),
        Command::Bench(args) => bench::bench(&context, &args),
    };
    done.map(|()| EXIT_OK)
}

impl Context {
    fn target(&self, wanted: Wanted) -> Result<Box<dyn Target>> {
        self.opening.open(wanted)
    }

    /// Prints that a document was written.
    fn written(&self, verb: &str, document: &Document, left: Option<&Read>) -> Result<()> {
        let place = crate::output::plain(&format!("{}/{}", document.collection, document.id));
        match left {
            Some(read) => self.output.done(format!("{verb} {place}"), &entry(&document.id, read)),
            None => self.output.done(
                format!("{verb} {place}"),
                &serde_json::json!({"id": document.id, "doc": null}),
            ),
        }
    }
}

/// A document that was read, with its version.
fn entry(id: &str, read: &Read) -> Entry {
    Entry { id: id.to_owned(), version: Some(version_text(&read.version)), doc: raw(&read.fields) }
}

/// The fields of a document given as an argument, or `-` for standard input.
fn fields_of(argument: &str) -> Result<Fields> {
    if argument != "-" {
        return littoral::value::parse_fields(argument.as_bytes());
    }
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).map_err(|err| {
        Error::new(ErrorKind::Io, format!("could not read standard input: {err}"))
    })?;
    littoral::value::parse_fields(&text)
}

/// Whether a text is JSON; what is not is taken as text where a value is wanted.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn invalid(sentence: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, sentence)
}

//! Passphrases: where they come from. None is ever an argument, which other users could see.

use std::io::{self, IsTerminal};
use std::path::Path;

use littoral::{Error, ErrorKind, Result};

use crate::tokens::Secret;

/// The passphrase that the environment gives: in `LITTORAL_PASSPHRASE`, or in the file that
/// `LITTORAL_PASSPHRASE_FILE` names.
pub(crate) fn given() -> Result<Option<Secret>> {
    if let Ok(text) = std::env::var("LITTORAL_PASSPHRASE") {
        return Ok(Some(Secret::from(text.as_str())));
    }
    let Some(file) = std::env::var_os("LITTORAL_PASSPHRASE_FILE") else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(|err| {
        let sentence = format!("could not read {}: {err}", Path::new(&file).display());
        Error::new(ErrorKind::Io, sentence)
    })?;
    Ok(Some(Secret::from(text.trim_end_matches(['\r', '\n']))))
}

/// Whether there is somebody to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks on the terminal, without showing what is typed.
pub(crate) fn ask(prompt: &str) -> Result<Secret> {
    let terminal = console::Term::stderr();
    terminal.write_str(prompt).map_err(|err| failed(&err))?;
    let line = terminal.read_secure_line().map_err(|err| failed(&err))?;
    Ok(Secret::from(line.as_str()))
}

/// A new one: asked for twice on a terminal; else the first line of standard input.
pub(crate) fn choose() -> Result<Secret> {
    let passphrase = if can_ask() {
        let first = ask("new passphrase: ")?;
        match first.reveal() == ask("once more: ")?.reveal() {
            true => first,
            false => return Err(invalid("the two are not the same; nothing was changed")),
        }
    } else {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(|err| failed(&err))?;
        Secret::from(line.trim_end_matches(['\r', '\n']))
    };
    match passphrase.reveal().is_empty() {
        true => Err(invalid("a passphrase must not be empty; nothing was changed")),
        false => Ok(passphrase),
    }
}

fn invalid(sentence: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, sentence)
}

fn failed(err: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("could not read the passphrase: {err}"))
}

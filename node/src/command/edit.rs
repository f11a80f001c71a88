//! `edit`: a document in the user's editor, put back with the version that was read.

use std::path::Path;
use std::process::Command;

use littoral::value::{fields_to_json, parse_fields};
use littoral::{Error, ErrorKind, Fields, Result, Version};

use super::Context;
use super::document::pretty;
use crate::cli::Document;
use crate::target::{Condition, Read, Wanted, Write};

/// `littoral edit`
pub(super) fn edit(context: &Context, document: &Document) -> Result<()> {
    let (collection, id) = (&document.collection, &document.id);
    let read = match context.target(Wanted::Made)?.get(collection, id) {
        Ok(read) => read,
        Err(err) if is_missing(err.kind()) => absent(),
        Err(err) => return Err(err),
    };
    let Some(fields) = edited(&read.fields)? else {
        return context.output.line("nothing changed");
    };
    // The store is not held open while somebody thinks.
    let condition = Condition::Based(read.version);
    let target = context.target(Wanted::Made)?;
    let left = target.write(collection, id, &Write::Put(fields), &condition)?;
    context.written("put", document, left.as_ref())
}

fn is_missing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::UnknownCollection)
}

fn absent() -> Read {
    Read { fields: Fields::new(), version: Version::from_bytes(&[]) }
}

/// The fields as the user left them; none if they are the same. What can't be read is kept.
fn edited(fields: &Fields) -> Result<Option<Fields>> {
    let failed =
        |err| Error::new(ErrorKind::Io, format!("could not hand over to the editor: {err}"));
    let dir = tempfile::Builder::new().prefix("littoral-").tempdir().map_err(failed)?;
    let path = dir.path().join("document.json");
    std::fs::write(&path, pretty(&fields_to_json(fields)) + "\n").map_err(failed)?;
    run_editor(&path)?;
    let text = std::fs::read(&path).map_err(failed)?;
    match parse_fields(&text) {
        Ok(new) => Ok((new != *fields).then_some(new)),
        Err(err) => {
            let kept = dir.keep().join("document.json");
            let sentence =
                format!("{err}; nothing was written, your text is kept in {}", kept.display());
            Err(Error::new(err.kind(), sentence))
        }
    }
}

fn run_editor(path: &Path) -> Result<()> {
    let named = |name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    // Through a shell, since people put arguments there: "code --wait".
    let script = format!("{editor} \"$1\"");
    let ended = Command::new("sh").args(["-c", &script, "sh"]).arg(path).status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::Aborted,
            "the editor ended with an error, so nothing was written; $EDITOR names another",
        )),
        Err(err) => Err(Error::new(ErrorKind::Io, format!("could not start the editor: {err}"))),
    }
}

//! A copy of the sources to plant bugs in: the working tree is never touched.
//!
//! It holds what git would: what is tracked, and what is new and not ignored. A file that is the
//! same keeps its time, so that a second run builds little. It has a target directory of its own,
//! so that nothing that was built with a bug in it lies where anybody would run it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::mutant::Change;

/// A copy of the sources.
pub(crate) struct Scratch {
    /// Where the sources are.
    pub(crate) tree: PathBuf,
    /// Where they are built.
    pub(crate) target: PathBuf,
}

impl Scratch {
    /// Copies the sources under `root` to `home`, or brings a copy that is there up to date.
    pub(crate) fn of(root: &Path, home: &Path) -> Result<Scratch, String> {
        let scratch = Scratch { tree: home.join("tree"), target: home.join("target") };
        let files = sources(root)?;
        for file in &files {
            copy(&root.join(file), &scratch.tree.join(file))?;
        }
        remove_others(&scratch.tree, &scratch.tree, &files)?;
        Ok(scratch)
    }
}

/// Makes the sources a mutant until it is dropped.
pub(crate) struct Planted(Vec<Change>);

impl Planted {
    pub(crate) fn new(changes: Vec<Change>) -> Result<Planted, String> {
        let planted = Planted(changes);
        for change in &planted.0 {
            write(&change.path, change.after.as_bytes())?;
        }
        Ok(planted)
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        for change in &self.0 {
            if let Err(what) = write(&change.path, change.before.as_bytes()) {
                eprintln!("a bug stays in the copy: {what}");
            }
        }
    }
}

fn sources(root: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").current_dir(root).args(args).output();
    let listed = listed.map_err(|err| format!("git could not be run: {err}"))?;
    if !listed.status.success() {
        return Err("git could not list the sources: a clone is needed".to_owned());
    }
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|err| format!("{}: {err}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
    write(to, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|err| format!("{}: {err}", path.display()))
}

/// Removes what the sources no longer have.
fn remove_others(tree: &Path, folder: &Path, files: &BTreeSet<PathBuf>) -> Result<(), String> {
    let failed = |err: std::io::Error| format!("{}: {err}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let inside = path.strip_prefix(tree).unwrap_or(&path);
        if path.is_dir() {
            remove_others(tree, &path, files)?;
        } else if !files.contains(inside) {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

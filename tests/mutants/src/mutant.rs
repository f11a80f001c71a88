//! A mutant: a plausible bug, as the change that brings it about, and the tests that are to
//! catch it.
//!
//! Its file says in the first line what is wrong. Then, each on a line: `test:` and the arguments
//! of a `cargo test` that ought to fail, the cheapest first; then one or more edits:
//! `file:` and a path, `--- original`, whole lines, `--- mutant`, whole lines, `--- end`.
//! The original must be in the file exactly once. Where it is not, the code has changed, and that
//! is an error: a mutant that changes nothing would be caught by nothing, or pass for caught.

use std::fs;
use std::path::{Path, PathBuf};

/// A plausible bug.
pub(crate) struct Mutant {
    /// The name of its file.
    pub(crate) name: String,
    /// What is wrong.
    pub(crate) what: String,
    /// The arguments of each `cargo test` that ought to fail, the cheapest first.
    pub(crate) tests: Vec<Vec<String>>,
    edits: Vec<Edit>,
}

struct Edit {
    file: String,
    original: String,
    mutant: String,
}

/// A file of the sources with another text.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) before: String,
    pub(crate) after: String,
}

/// All mutants in a folder, by name.
pub(crate) fn all(folder: &Path) -> Result<Vec<Mutant>, String> {
    let entries = fs::read_dir(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "mutant"));
    paths.sort();
    paths.iter().map(|path| Mutant::read(path)).collect()
}

impl Mutant {
    fn read(path: &Path) -> Result<Mutant, String> {
        let text = fs::read_to_string(path).map_err(|err| format!("{}: {err}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Mutant::parse(name, &text).map_err(|what| format!("{}: {what}", path.display()))
    }

    fn parse(name: String, text: &str) -> Result<Mutant, String> {
        let mut lines = text.lines();
        let what = lines.next().unwrap_or_default().to_owned();
        let (mut tests, mut edits) = (Vec::new(), Vec::new());
        while let Some(line) = lines.next() {
            match line.split_once(": ") {
                Some(("test", args)) => {
                    tests.push(args.split_whitespace().map(str::to_owned).collect());
                }
                Some(("file", file)) => {
                    expect(lines.next(), "--- original")?;
                    let original = until(&mut lines, "--- mutant")?;
                    let mutant = until(&mut lines, "--- end")?;
                    edits.push(Edit { file: file.to_owned(), original, mutant });
                }
                _ => return Err(format!("`test:` or `file:` was expected, not {line:?}")),
            }
        }
        match what.is_empty() || tests.is_empty() || edits.is_empty() {
            true => Err("what is wrong, a test and an edit are needed".to_owned()),
            false => Ok(Mutant { name, what, tests, edits }),
        }
    }

    /// The files that make the sources under `root` this mutant.
    pub(crate) fn changes(&self, root: &Path) -> Result<Vec<Change>, String> {
        let mut changes: Vec<Change> = Vec::new();
        for edit in &self.edits {
            let path = root.join(&edit.file);
            let at = match changes.iter().position(|change| change.path == path) {
                Some(at) => at,
                None => {
                    let before = fs::read_to_string(&path)
                        .map_err(|err| format!("{}: {}: {err}", self.name, edit.file))?;
                    changes.push(Change { path, after: before.clone(), before });
                    changes.len() - 1
                }
            };
            let after = edit.apply(&changes[at].after);
            changes[at].after = after.map_err(|what| format!("{}: {what}", self.name))?;
        }
        Ok(changes)
    }
}

impl Edit {
    fn apply(&self, text: &str) -> Result<String, String> {
        let whole = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
        let found: Vec<usize> =
            text.match_indices(&self.original).map(|(at, _)| at).filter(whole).collect();
        match found[..] {
            [at] if self.original != self.mutant => {
                let (before, rest) = text.split_at(at);
                Ok(format!("{before}{}{}", self.mutant, &rest[self.original.len()..]))
            }
            [_] => Err(format!("{}: the mutant is the original", self.file)),
            _ => Err(format!(
                "{}: the original is there {} times, not once: the code has changed, and the mutant must follow it",
                self.file,
                found.len()
            )),
        }
    }
}

fn expect(line: Option<&str>, expected: &str) -> Result<(), String> {
    match line {
        Some(line) if line == expected => Ok(()),
        _ => Err(format!("{expected:?} was expected, not {line:?}")),
    }
}

/// The lines before the one that is `end`.
fn until<'a>(lines: &mut impl Iterator<Item = &'a str>, end: &str) -> Result<String, String> {
    let mut text = String::new();
    for line in lines {
        if line == end {
            return Ok(text);
        }
        text += line;
        text.push('\n');
    }
    Err(format!("no {end:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn mutants() -> Vec<Mutant> {
        all(&root().join("tests/mutants/mutants")).unwrap()
    }

    #[test]
    fn all_mutants_apply_to_the_code_as_it_is() {
        let mutants = mutants();
        assert!(mutants.len() >= 21, "none gets lost");
        for mutant in mutants {
            let changes = mutant.changes(&root()).unwrap_or_else(|what| panic!("{what}"));
            assert!(changes.iter().all(|change| change.before != change.after));
        }
    }

    #[test]
    fn the_tests_that_are_to_catch_them_exist() {
        for mutant in mutants() {
            for args in &mutant.tests {
                let ["-p", "littoral", rest @ ..] =
                    &args.iter().map(String::as_str).collect::<Vec<_>>()[..]
                else {
                    panic!("{}: tests of the core, not {args:?}", mutant.name)
                };
                let (file, test) = match rest {
                    ["--test", file] => (format!("core/tests/{file}.rs"), None),
                    ["--test", file, test] => (format!("core/tests/{file}.rs"), Some(*test)),
                    ["--lib", ..] => ("core/src/lib.rs".to_owned(), None),
                    _ => panic!("{}: {args:?}", mutant.name),
                };
                let text = fs::read_to_string(root().join(&file)).unwrap();
                let there = test.is_none_or(|test| text.contains(&format!("fn {test}(")));
                assert!(there, "{}: no test {test:?} in {file}", mutant.name);
            }
        }
    }

    #[test]
    fn an_original_that_is_not_there_exactly_once_is_an_error() {
        let text = |original: &str| {
            format!("w\ntest: x\nfile: f\n--- original\n{original}\n--- mutant\nb\n--- end\n")
        };
        let apply = |original: &str, to: &str| {
            let mutant = Mutant::parse("m".to_owned(), &text(original)).unwrap();
            mutant.edits[0].apply(to)
        };
        assert_eq!(apply("a", "x\na\ny\n").unwrap(), "x\nb\ny\n");
        assert_eq!(apply("a\nc", "a\nc\n").unwrap(), "b\n");
        assert!(apply("a", "x\n").unwrap_err().contains("0 times"));
        assert!(apply("a", "a\na\n").unwrap_err().contains("2 times"));
        assert!(apply("a", " a\n").unwrap_err().contains("0 times"), "lines are whole");
        assert!(apply("b", "b\n").unwrap_err().contains("is the original"));
        for broken in ["", "w\n", "w\ntest: x\n", "w\nfile: f\n--- original\na\n--- mutant\nb\n"] {
            assert!(Mutant::parse("m".to_owned(), broken).is_err(), "{broken:?}");
        }
    }
}

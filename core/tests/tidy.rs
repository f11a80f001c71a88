//! The house rules, held by a test: layers, who may know what, and the shape of files.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, and the ones it may import. What all may import is in `COMMON`.
const LAYERS: [(&str, &[&str]); 9] = [
    ("clock", &["value"]),
    ("value", &[]),
    ("query", &["value"]),
    ("crdt", &["clock", "value"]),
    ("txn", &["clock", "value", "crdt"]),
    ("store", &["clock", "value", "query", "crdt", "txn"]),
    ("sync", &["clock", "value", "crdt", "txn"]),
    ("replica", &["clock", "value", "crdt", "txn", "store", "sync"]),
    ("net", &["clock", "value", "crdt", "txn", "store", "sync", "replica"]),
];
const COMMON: [&str; 6] = ["compress", "durations", "error", "id", "limits", "wire"];

/// What only some layers may name, and why.
const RESERVED: [(&str, &[&str], &str); 6] = [
    ("redb::", &["store"], "the store alone knows redb"),
    ("quinn", &["net"], "net alone knows quinn"),
    ("tokio", &["net"], "net alone knows tokio"),
    ("std::fs", &["store"], "the store alone touches files; elsewhere bytes are arguments"),
    ("std::net", &["net"], "net alone knows sockets and addresses"),
    (
        "SystemTime",
        &["clock"],
        "wall time comes from clock::WallClock; elsewhere time is an argument",
    ),
];

const LONGEST_FILE: usize = 850;

#[test]
fn layers_import_only_what_is_below_them() {
    for (file, layer, line) in lines() {
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == layer) else { continue };
        for imported in modules_named(&line) {
            let known = LAYERS.iter().any(|(name, _)| *name == imported);
            let allowed = imported == layer || below.contains(&imported.as_str());
            assert!(
                !known || allowed || COMMON.contains(&imported.as_str()),
                "{}: `{layer}` must not import `{imported}`: {line}\nmove the code, or write the new arrow with its reason into ARCHITECTURE.md",
                file.display()
            );
        }
    }
}

#[test]
fn each_outside_world_has_one_layer_that_knows_it() {
    for (file, layer, line) in lines() {
        for (word, layers, why) in RESERVED {
            assert!(
                !line.contains(word) || layers.contains(&layer.as_str()),
                "{}: {why}: {line}",
                file.display()
            );
        }
    }
}

#[test]
fn files_are_one_noun_with_a_header() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//!"),
            "{}: begin with `//!`: what it is, what it keeps, what it does not know",
            file.display()
        );
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{}: {lines} lines; does a part want a file of its own?",
            file.display()
        );
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            assert!(!text.contains(word), "{}: {word}..) is not finished work", file.display());
        }
    }
}

/// Every line of code outside tests, with its file and its layer.
fn lines() -> impl Iterator<Item = (PathBuf, String, String)> {
    sources().into_iter().filter(|file| !is_test(file)).flat_map(|file| {
        let layer = layer_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        let lines: Vec<String> = code
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.starts_with("//"))
            .collect();
        lines.into_iter().map(move |line| (file.clone(), layer.clone(), line))
    })
}

/// The tests that `docs/PROMISES.md` names exist.
#[test]
fn promises_are_held_by_tests_that_exist() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(core.join("../docs/PROMISES.md")).unwrap();
    let head = |line: &&str| line.ends_with("| file | test |") || line.starts_with("| --- |");
    let rows = page.lines().filter(|line| line.starts_with('|') && !head(line));
    let mut named = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (file, test) = (cells[2], cells[3]);
        let path = match file.strip_suffix(" (node)") {
            Some(file) => core.join(format!("../node/tests/{file}.rs")),
            None => core.join(format!("tests/{file}.rs")),
        };
        let source = fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {}", path.display()));
        assert!(source.contains(&format!("fn {test}(")), "no test {test} in {file}");
        named += 1;
    }
    assert!(named > 30);
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests")
        || file.file_name().is_some_and(|name| name == "tests.rs")
}

/// The module right under `src` that a file belongs to.
fn layer_of(file: &Path) -> String {
    let inside = file.strip_prefix(root()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that follow `crate::` in a line.
fn modules_named(line: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    line.split("crate::").skip(1).map(name).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

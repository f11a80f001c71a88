//! The committed header is what the sources say, and the library exports what it declares.
//!
//! After a change of the interface, make the header anew with
//! `LITTORAL_UPDATE=1 cargo test -p littoral-ffi --test header`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where each section of the functions begins, and what it is called.
const SECTIONS: &[(&str, &str)] = &[
    ("lit_version", "Versions and statuses"),
    ("lit_bytes_free", "Bytes"),
    ("lit_store_open", "Stores"),
    ("lit_collection_open", "Collections: whole documents"),
    ("lit_collection_get_field_json", "Collections: single fields, sets and counters"),
    ("lit_doc_free", "Documents as they were read"),
    ("lit_collection_scan", "Scans"),
    ("lit_txn_begin", "Transactions"),
    ("lit_changes_open", "Changes"),
    ("lit_store_trust", "Trust"),
    ("lit_store_listen", "Network"),
    ("lit_debug_live_handles", "For tests"),
];

const RULE: &str =
    "---------------------------------------------------------------------------------------------";

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn committed() -> PathBuf {
    here().join("../include/littoral.h")
}

fn generate() -> String {
    let mut config = cbindgen::Config::from_file(here().join("cbindgen.toml")).unwrap();
    config.after_includes = Some(macros());
    let bindings =
        cbindgen::Builder::new().with_crate(here()).with_config(config).generate().unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    sections(String::from_utf8(text).unwrap())
}

/// What depends on the version, and what makes C and C++ compilers of all kinds content.
fn macros() -> String {
    let [major, minor, patch] = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    format!(
        r#"
/** The version of this header. */
#define LIT_VERSION "{}"
#define LIT_VERSION_MAJOR {major}
#define LIT_VERSION_MINOR {minor}
#define LIT_VERSION_PATCH {patch}
#define LIT_VERSION_NUMBER (LIT_VERSION_MAJOR * 1000000 + LIT_VERSION_MINOR * 1000 + LIT_VERSION_PATCH)

#if !defined(LIT_NO_NET) && !defined(LIT_NET)
#define LIT_NET
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LIT_MUST_USE __attribute__((warn_unused_result))
#else
#define LIT_MUST_USE
#endif
"#,
        env!("CARGO_PKG_VERSION")
    )
}

/// Puts a heading before each section, and lays the text out.
fn sections(header: String) -> String {
    let mut blocks: Vec<String> = header.split("\n\n").map(str::to_owned).collect();
    for (first, title) in SECTIONS {
        let call = format!("{first}(");
        let place = blocks
            .iter_mut()
            .find(|block| !block.contains("static inline") && declared(block).contains(first))
            .unwrap_or_else(|| panic!("no declaration of {call}"));
        let (guard, rest) = match place.split_once('\n') {
            Some((line, rest)) if line.starts_with("#if") => (format!("{line}\n"), rest.to_owned()),
            _ => (String::new(), place.clone()),
        };
        *place = format!("/* {RULE}\n * {title}\n */\n\n{guard}{rest}");
    }
    let mut text = blocks.join("\n\n");
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text.trim().to_owned() + "\n"
}

/// The functions that C code declares and does not define: names before '(' outside of comments.
fn declared(code: &str) -> BTreeSet<&str> {
    let code_lines = code.lines().filter(|line| {
        let line = line.trim_start();
        !["*", "/*", "#", "static"].iter().any(|start| line.starts_with(start))
            && !line.contains(" = ")
            && !line.starts_with("return")
            && !line.contains("memset")
    });
    code_lines
        .filter_map(|line| {
            let name = line.split_once('(')?.0.rsplit([' ', '*']).next()?;
            name.starts_with("lit_").then_some(name)
        })
        .collect()
}

#[test]
fn the_header_is_what_the_sources_say() {
    let (made, path) = (generate(), committed());
    if env::var_os("LITTORAL_UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(there.lines()).position(|(made, there)| made != there);
    assert!(
        made == there,
        "include/littoral.h is not what ffi/src says, from line {} on; make it anew with\n\
         LITTORAL_UPDATE=1 cargo test -p littoral-ffi --test header",
        differs.unwrap_or(0) + 1
    );
}

/// The shared library that cargo has built along with this test.
fn library() -> Option<PathBuf> {
    let deps = env::current_exe().unwrap();
    let path = deps.parent()?.parent()?.join("liblittoral_ffi.so");
    path.exists().then_some(path)
}

fn exported(library: &Path) -> BTreeSet<String> {
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output().unwrap();
    assert!(nm.status.success());
    let symbols = String::from_utf8(nm.stdout).unwrap();
    symbols.lines().filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect()
}

/// A function made by a macro would be exported and missing in the header; what is exported and
/// not ours could clash with an app's own.
#[cfg(all(target_os = "linux", feature = "net"))]
#[test]
fn exactly_what_the_header_declares_is_exported() {
    let library = library().expect("cargo builds the shared library before its tests");
    let header = fs::read_to_string(committed()).unwrap();
    let declared: BTreeSet<String> = declared(&header).into_iter().map(str::to_owned).collect();
    assert_eq!(exported(&library), declared);
    assert!(declared.len() > 60, "the header was read wrong: {declared:?}");
}

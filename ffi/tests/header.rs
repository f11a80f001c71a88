//! The committed header is what the sources say, and the library exports what it declares.
//!
//! After a change of the interface, make the header anew with
//! `LITTORAL_UPDATE=1 cargo test -p littoral-ffi --test header`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};

/// Where each section begins, and what it is called.
const SECTIONS: &[(&str, &str)] = &[
    ("LIT_VERSION", "Versions of this header"),
    ("LIT_ABI_VERSION", "Constants"),
    ("lit_changes_t", "Types"),
    ("LIT_OK", "Statuses"),
    ("lit_version", "Versions and statuses"),
    ("lit_bytes_free", "Bytes"),
    ("lit_store_open", "Stores"),
    ("lit_collection_open", "Collections: whole documents"),
    ("lit_collection_get_field_json", "Collections: single fields, sets and counters"),
    ("lit_doc_free", "Documents as they were read"),
    ("lit_collection_scan", "Scans"),
    ("lit_txn_begin", "Transactions"),
    ("lit_changes_open", "Changes"),
    ("lit_store_checkpoint", "The tape: checkpoints, the past, reverting"),
    ("lit_store_trust", "Trust"),
    ("lit_store_invite_json", "Tickets"),
    ("lit_bundle_have", "Bundles: changes in a file"),
    ("lit_store_backup", "Backups"),
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
    lay_out(String::from_utf8(text).unwrap())
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

/// Puts headings and the inline functions in, and lays the text out.
fn lay_out(header: String) -> String {
    let end = header.rfind("#endif").expect("the include guard ends");
    let inline = include_str!("../inline.h");
    let header = format!("{}{inline}\n{}", &header[..end], &header[end..]);
    let mut blocks: Vec<String> = header.split("\n\n").map(str::to_owned).collect();
    for (first, title) in SECTIONS {
        let block = blocks
            .iter_mut()
            .find(|block| block.lines().any(|line| begins(line, first)))
            .unwrap_or_else(|| panic!("nothing declares {first}"));
        *block = format!("/* {RULE}\n * {title}\n */\n\n{block}");
    }
    let mut text = blocks.join("\n\n").replace("#endif\n\n#if defined(LIT_NET)\n", "\n");
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    parenthesised(&one_lined(&text)).trim().to_owned() + "\n"
}

/// Whether `line` declares or defines `name`.
fn begins(line: &str, name: &str) -> bool {
    let declares = declared(line).contains(name) || line.starts_with(&format!("#define {name} "));
    declares || line == format!("typedef struct {name} {name};")
}

/// Comments of one line on one line.
fn one_lined(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let line = lines[at];
        let short = line.len() + lines.get(at + 1).map_or(0, |next| next.trim().len()) < 96;
        if line.trim() == "/**" && short && lines[at + 2].trim() == "*/" {
            out.push(format!("{line}{} */", lines[at + 1].trim().trim_start_matches('*')));
            at += 3;
        } else {
            out.push(line.to_owned());
            at += 1;
        }
    }
    out.join("\n")
}

/// Negative constants in parentheses, as in any macro.
fn parenthesised(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(" -") {
        Some((name, number)) if line.starts_with("#define ") && number.parse::<u32>().is_ok() => {
            format!("{name} (-{number})")
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
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

#[cfg(all(target_os = "linux", feature = "net"))]
/// The shared library that cargo has built along with this test.
fn library() -> Option<PathBuf> {
    let deps = env::current_exe().unwrap();
    let path = deps.parent()?.join("liblittoral_ffi.so");
    path.exists().then_some(path)
}

#[cfg(all(target_os = "linux", feature = "net"))]
fn exported(library: &std::path::Path) -> BTreeSet<String> {
    let nm = std::process::Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library)
        .output()
        .unwrap();
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

//! What is built in: licenses that allow it, nothing banned, nothing with a known hole.
//!
//! The same as `cargo deny check` with `deny.toml`, for those who don't have it.

use std::process::Command;

use serde_json::Value as Json;

const LICENSES: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "MPL-2.0",
    "CC0-1.0",
    "Unlicense",
    "MIT-0",
];
const BANNED: [&str; 4] = ["openssl", "openssl-sys", "native-tls", "aws-lc-sys"];
/// The first version without a known hole.
const AT_LEAST: [(&str, [u64; 3]); 1] = [("quinn-proto", [0, 11, 19])];

fn packages() -> Vec<Json> {
    let ask = |how: &[&str]| {
        let asked = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(how)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        asked.unwrap()
    };
    // What only other platforms need is not here unless somebody has fetched it.
    let told = Some(ask(&["--offline"])).filter(|told| told.status.success());
    let told = told.unwrap_or_else(|| ask(&[]));
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Json = serde_json::from_slice(&told.stdout).unwrap();
    told["packages"].as_array().unwrap().clone()
}

/// Whether one of the alternatives is allowed; of what is joined by AND, all have to be.
fn is_allowed(license: &str) -> bool {
    let plain = license.replace(['(', ')'], "").replace('/', " OR ");
    let known = |one: &str| LICENSES.contains(&one.trim());
    plain.split(" AND ").all(|all| all.split(" OR ").any(known))
}

#[test]
fn licenses_are_on_the_list() {
    for package in packages() {
        let license = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(license), "{}: license {license}", package["name"]);
    }
}

#[test]
fn nothing_banned_and_nothing_with_a_known_hole_is_built_in() {
    for package in packages() {
        let (name, version) =
            (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        assert!(!BANNED.contains(&name), "{name} is banned");
        let numbers: Vec<u64> =
            version.split(['.', '-', '+']).map_while(|n| n.parse().ok()).collect();
        for (of, least) in AT_LEAST {
            assert!(name != of || numbers >= least.to_vec(), "{name} {version} has a known hole");
        }
    }
}

//! The tools for bad days, end to end.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::Sandbox;

/// Every file below a directory, with what is in it.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    drop(found.insert(path.display().to_string(), std::fs::read(path).unwrap()))
                }
            }
        }
    }
    found
}

fn damage(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x55;
    std::fs::write(path, bytes).unwrap();
}

fn segment(here: &Sandbox, data: &str) -> std::path::PathBuf {
    here.path(data).join("log/0000000000000000.log")
}

fn some_documents(here: &Sandbox) {
    for n in 0..20 {
        let doc = format!(r#"{{"title": "note number {n}", "tags": {{"$set": ["sea"]}}}}"#);
        here.ok(&["put", "notes", &format!("n{n}"), &doc]);
    }
    here.ok(&["increment", "notes", "n1", "/views", "7"]);
}

#[test]
fn verify_tells_a_sound_store_from_a_damaged_one_and_changes_neither() {
    let here = Sandbox::new();
    some_documents(&here);
    let before = files(&here.path("littoral-data"));
    assert!(here.ok(&["verify"]).ends_with("the store is sound\n"));
    let told = here.json(&["verify"]);
    assert_eq!(
        (&told["sound"], &told["documents"], &told["rebuilt"]),
        (&true.into(), &20.into(), &1.into())
    );
    assert_eq!(files(&here.path("littoral-data")), before);
    damage(&segment(&here, "littoral-data"), 400);
    let before = files(&here.path("littoral-data"));
    let output = here.output(&["verify"], b"");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("damage: log/0000000000000000.log at offset "), "{told}");
    assert!(told.contains("littoral rescue"), "{told}");
    let output = here.output(&["--json", "verify", "--quick"], b"");
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["findings"][0]["code"], "log-bytes");
    assert_eq!(files(&here.path("littoral-data")), before);
    here.fails(6, &["--data", "nowhere", "verify"]);
    here.fails(5, &["--url", "http://127.0.0.1:1", "verify"]);
}

#[test]
fn verify_leaves_a_running_node_alone() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n", "{}"]);
    let node = here.run("littoral-data", &[]);
    assert!(here.fails(6, &["verify"]).contains("stop that one first"));
    node.stop();
    here.ok(&["verify"]);
}

#[test]
fn rescue_brings_a_damaged_store_into_a_new_one() {
    let here = Sandbox::new();
    some_documents(&here);
    let before = here.ok(&["scan", "notes"]);
    let key = here.ok(&["id"]);
    let state = here.path("littoral-data/state.redb");
    for at in (0..std::fs::metadata(&state).unwrap().len() as usize).step_by(997) {
        damage(&state, at);
    }
    here.fails(6, &["get", "notes", "n1"]);
    let old = files(&here.path("littoral-data"));
    let told = here.ok(&["rescue", "littoral-data", "new"]);
    assert!(told.contains("notes: 20 documents, by its history from the log"), "{told}");
    assert!(told.contains("never use the damaged one beside it"), "{told}");
    assert_eq!(files(&here.path("littoral-data")), old);
    assert_eq!(here.ok(&["--data", "new", "scan", "notes"]), before);
    assert_eq!(here.ok(&["--data", "new", "id"]), key);
    here.ok(&["--data", "new", "verify"]);
    let report = std::fs::read_to_string(here.path("new/rescue.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["whole"], true);
    here.fails(5, &["rescue", "littoral-data", "new"]);
    here.fails(6, &["rescue", "nowhere", "newer"]);
    assert!(!here.path("newer").exists());
    // Both halves are damaged: what is left is told, with an exit code that says so.
    let log = segment(&here, "littoral-data");
    for at in (1500..std::fs::metadata(&log).unwrap().len() as usize).step_by(200) {
        damage(&log, at);
    }
    let output = here.output(&["--json", "rescue", "littoral-data", "less"], b"");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["whole"].as_bool(), Some(output.status.code() == Some(0)), "{told}");
    here.ok(&["--data", "less", "verify"]);
}

#[test]
fn doctor_explains_and_says_when_all_is_well() {
    let here = Sandbox::new();
    some_documents(&here);
    assert_eq!(here.ok(&["doctor"]), "all is well\n");
    let node = here.run("littoral-data", &["--peer", &format!("127.0.0.1:9#{}", "a".repeat(52))]);
    // What a running node knows of its links is told by it.
    let told = here.output(&["--json", "doctor"], b"");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(told["findings"].is_array(), "{told}");
    node.stop();
    let copy = here.path("copy");
    copy_store(&here.path("littoral-data"), &copy);
    let told = here.ok(&["--data", "copy", "doctor"]);
    assert!(told.contains("it will be taken for a copy"), "{told}");
    damage(&segment(&here, "copy"), 100);
    let output = here.output(&["--data", "copy", "--json", "doctor"], b"");
    assert_eq!(output.status.code(), Some(1));
}

fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("log")).unwrap();
    for (name, bytes) in files(from) {
        let name = Path::new(&name).strip_prefix(from).unwrap();
        std::fs::write(to.join(name), bytes).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(to.join("node.key"), private).unwrap();
    }
}

#[test]
fn a_key_under_a_passphrase_opens_with_it_and_for_a_node_that_starts_by_itself() {
    let here = Sandbox::new();
    some_documents(&here);
    let id = here.ok(&["id"]);
    here.fails_with(5, &["key", "encrypt"], b"\n");
    here.ok_with(&["key", "encrypt"], b"low tide\n");
    let refused = here.fails(6, &["get", "notes", "n1"]);
    assert!(refused.contains("is encrypted: give its passphrase"), "{refused}");
    let file = here.file("passphrase", "low tide\n");
    let with = |args: &[&str]| {
        let mut command = here.command(args);
        command.env("LITTORAL_PASSPHRASE_FILE", &file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(with(&["id"]), id);
    assert!(with(&["verify"]).ends_with("the store is sound\n"));
    with(&["key", "decrypt"]);
    assert_eq!(here.ok(&["id"]), id);
}

#[test]
fn leave_drops_a_collection_and_no_unsent_writes_unless_told_so() {
    let here = Sandbox::new();
    here.ok(&["put", "notes", "n", "{}"]);
    here.ok(&["put", "plans", "p", "{}"]);
    assert!(here.fails(5, &["leave", "notes"]).contains("1 writes to 'notes' were never given"));
    here.ok(&["leave", "notes", "--force"]);
    assert!(!here.ok(&["ls"]).contains("notes"));
    here.fails(3, &["leave", "notes"]);
    let node = here.run("littoral-data", &[]);
    here.fails(5, &["leave", "plans"]);
    here.ok(&["leave", "plans", "--force"]);
    node.stop();
    here.ok(&["put", "notes", "n", "{}"]);
    here.ok(&["verify"]);
}

#[test]
fn anonymize_leaves_nothing_of_the_content() {
    let here = Sandbox::new();
    some_documents(&here);
    let key = here.ok(&["id"]);
    here.ok(&["anonymize", "littoral-data", "out"]);
    here.ok(&["--data", "out", "verify"]);
    let status = |data: &str| {
        let status = here.json(&["--data", data, "status"]);
        let found = &status["collections"][0];
        (found["documents"].clone(), found["transactions"].clone(), found["conflicts"].clone())
    };
    assert_eq!(status("out"), status("littoral-data"));
    assert_ne!(here.ok(&["--data", "out", "id"]), key);
    let secret = std::fs::read(here.path("littoral-data/node.key")).unwrap();
    for (name, bytes) in files(&here.path("out")) {
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        for word in ["note number", "title", "views", key.trim()] {
            assert!(!holds(word.as_bytes()), "{word} in {name}");
        }
        assert!(!holds(&secret[..20]));
    }
    here.fails(5, &["anonymize", "littoral-data", "out"]);
}

#[test]
fn a_node_gets_a_new_key_and_says_who_has_to_hear_of_it() {
    let here = Sandbox::new();
    some_documents(&here);
    let id = here.ok(&["id"]);
    let told = here.ok(&["key", "rotate"]);
    let new = here.ok(&["id"]);
    assert!(new != id && told.contains(new.trim()) && told.contains(id.trim()), "{told}");
    assert!(told.contains("nobody to tell"), "{told}");
    assert!(here.ok(&["get", "notes", "n1"]).contains("note number"));
    here.ok(&["put", "notes", "later", r#"{"x": 1}"#]);
    assert!(here.ok(&["verify"]).ends_with("the store is sound\n"));
    here.ok(&["found-roster", "--name", "quay"]);
    let refused = here.fails(1, &["key", "rotate"]);
    assert!(refused.contains("littoral grant NAME admin"), "{refused}");
    assert_eq!(here.ok(&["id"]), new);
}

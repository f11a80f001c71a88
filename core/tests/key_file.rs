//! The node's key: private, encrypted if wanted, and never replaced by accident.

use std::fs;
use std::path::Path;

use littoral::store::{RescueOptions, VerifyOptions};
use littoral::{ErrorKind, NodeId, Options, Store};

const KEY: &str = "node.key";

fn open(path: &Path, passphrase: Option<&str>) -> littoral::Result<Store> {
    let options = Options::new();
    passphrase.map_or(options.clone(), |text| options.passphrase(text)).open(path)
}

fn id(path: &Path, passphrase: Option<&str>) -> littoral::Result<NodeId> {
    open(path, passphrase).map(|store| store.node_id())
}

fn kind<T: std::fmt::Debug>(result: littoral::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let node = id(path, None).unwrap();
    assert!(!Store::is_key_encrypted(path).unwrap());
    let clear = fs::read_to_string(path.join(KEY)).unwrap();
    Options::new().encrypt_key(path, Some("low tide")).unwrap();
    assert!(Store::is_key_encrypted(path).unwrap());
    let kept = fs::read_to_string(path.join(KEY)).unwrap();
    assert!(
        kept.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") && !kept.contains(clear.trim())
    );
    assert_eq!(kind(id(path, None)), ErrorKind::Passphrase);
    assert_eq!(kind(id(path, Some("high tide"))), ErrorKind::Passphrase);
    assert_eq!(id(path, Some("low tide")).unwrap(), node);
    let other = Options::new().passphrase("low tide");
    assert_eq!(kind(Options::new().encrypt_key(path, None)), ErrorKind::Passphrase);
    other.encrypt_key(path, Some("ebb")).unwrap();
    assert_eq!(kind(id(path, Some("low tide"))), ErrorKind::Passphrase);
    Options::new().passphrase("ebb").encrypt_key(path, None).unwrap();
    assert_eq!(fs::read_to_string(path.join(KEY)).unwrap(), clear);
    assert_eq!(id(path, None).unwrap(), node);
}

#[test]
fn a_store_made_with_a_passphrase_never_has_its_key_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let node = id(dir.path(), Some("ebb")).unwrap();
    assert!(Store::is_key_encrypted(dir.path()).unwrap());
    assert_eq!(id(dir.path(), Some("ebb")).unwrap(), node);
}

/// A tool that can't read the key must not go on as somebody else.
#[test]
fn tools_ask_for_the_passphrase_too() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = id(dir.path(), Some("ebb")).unwrap();
    let (options, how) = (Options::new(), VerifyOptions::default());
    let rescued = other.path().join("rescued");
    assert_eq!(kind(options.verify(dir.path(), &how, &mut |_| ())), ErrorKind::Passphrase);
    assert_eq!(kind(options.doctor(dir.path())), ErrorKind::Passphrase);
    let rescue = RescueOptions::default();
    assert_eq!(kind(options.rescue(dir.path(), &rescued, &rescue)), ErrorKind::Passphrase);
    assert!(!rescued.exists());
    let options = options.passphrase("ebb");
    assert!(options.verify(dir.path(), &how, &mut |_| ()).unwrap().is_sound());
    assert!(options.rescue(dir.path(), &rescued, &rescue).unwrap().is_whole());
    assert!(Store::is_key_encrypted(&rescued).unwrap());
    assert_eq!(id(&rescued, Some("ebb")).unwrap(), node);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), None).unwrap());
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(dir.path().join(KEY), fs::Permissions::from_mode(mode)).unwrap();
        let refused = open(dir.path(), None).unwrap_err();
        assert!(refused.message().contains("chmod 600"), "{refused}");
    }
    fs::set_permissions(dir.path().join(KEY), fs::Permissions::from_mode(0o600)).unwrap();
    Options::new().encrypt_key(dir.path(), Some("ebb")).unwrap();
    let mode = fs::metadata(dir.path().join(KEY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_key_of_a_store_that_is_open_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let _open = open(dir.path(), None).unwrap();
    assert_eq!(kind(Options::new().encrypt_key(dir.path(), Some("ebb"))), ErrorKind::Locked);
    assert_eq!(kind(Options::new().encrypt_key("nowhere", Some("ebb"))), ErrorKind::NotAStore);
}

/// The form is a standard one: a key that openssl encrypted opens, with parameters of its own.
#[test]
fn a_key_of_another_program_in_the_same_form_opens() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), None).unwrap());
    let path = dir.path().join(KEY);
    fs::write(&path, include_str!("golden/openssl.key")).unwrap();
    let node = id(dir.path(), Some("low tide")).unwrap();
    assert_eq!(node.to_string(), include_str!("golden/openssl.id").trim());
}

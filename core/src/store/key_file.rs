//! The key of a node: the file `node.key` in its store's directory, of mode 0600 and refused if
//! others may read it.
//!
//! In the clear it is 32 secret bytes as base32, like a node key, and a line feed. With a
//! passphrase it is PEM, `ENCRYPTED PRIVATE KEY` (PKCS #8, RFC 5958; PBES2 with scrypt and
//! AES-256-CBC), which `openssl pkey` reads as well. A file is replaced as a whole.

use std::fs;
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;

use super::open::{check_directory, sync_directory, take_lock};
use super::{Options, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::txn::NodeKey;

/// Its name.
pub(super) const KEY: &str = "node.key";
/// The new key, until it is in force: see [`rotation`](super::rotation).
pub(super) const NEXT: &str = "node.key.next";
/// The key before, as long as somebody knows no other.
pub(super) const FORMER: &str = "node.key.former";
/// What replaces it, until it does.
const DRAFT: &str = "node.key.new";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// A passphrase. Never shown by `Debug`.
#[derive(Clone)]
pub(super) struct Passphrase(Arc<str>);

impl Passphrase {
    /// From its text.
    pub(super) fn new(text: &str) -> Passphrase {
        Passphrase(text.into())
    }
}

impl Options {
    /// What the node's key is encrypted with; a store that is made now encrypts its key so.
    pub fn passphrase(mut self, passphrase: &str) -> Options {
        self.passphrase = Some(Passphrase::new(passphrase));
        self
    }

    /// Encrypts the key of the store in a directory, which nobody may have open, with another
    /// passphrase; with none, it lies there in the clear. These options have to know the present
    /// one. Copies of the file stay as they are.
    ///
    /// Errors: [`Passphrase`](ErrorKind::Passphrase) if the present one is missing or wrong;
    /// [`Locked`](ErrorKind::Locked), [`NotAStore`](ErrorKind::NotAStore), I/O.
    pub fn encrypt_key(&self, path: impl AsRef<Path>, with: Option<&str>) -> Result<()> {
        let path = path.as_ref();
        check_directory(path)?;
        let _lock = take_lock(path)?;
        let with = with.map(Passphrase::new);
        // The key in force comes last: if this is cut short, the others are needed less.
        for name in [FORMER, NEXT, KEY] {
            if name == KEY || path.join(name).exists() {
                let key = read_named(path, name, self.passphrase.as_ref())?;
                replace(path, name, &key, with.as_ref())?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// Whether the key of the store in a directory is encrypted; not if there is none.
    pub fn is_key_encrypted(path: impl AsRef<Path>) -> Result<bool> {
        let file = path.as_ref().join(KEY);
        match fs::read_to_string(&file) {
            Ok(text) => Ok(text.starts_with(ENCRYPTED)),
            Err(err) if matches!(err.kind(), IoKind::NotFound | IoKind::NotADirectory) => Ok(false),
            Err(err) => Err(reading(&file, err)),
        }
    }
}

/// Reads the key of the store in a directory. One that others can read is refused.
pub(super) fn read(directory: &Path, passphrase: Option<&Passphrase>) -> Result<NodeKey> {
    read_named(directory, KEY, passphrase)
}

/// The same, of a key in another file.
pub(super) fn read_named(
    directory: &Path,
    name: &str,
    passphrase: Option<&Passphrase>,
) -> Result<NodeKey> {
    let path = directory.join(name);
    let text = fs::read_to_string(&path).map_err(|err| reading(&path, err))?;
    check_private(&path)?;
    parse(&path, &text, passphrase)
}

/// The same, or makes a key if there is none.
pub(super) fn read_or_make(directory: &Path, passphrase: Option<&Passphrase>) -> Result<NodeKey> {
    match directory.join(KEY).exists() {
        true => read(directory, passphrase),
        false => {
            let key = fresh()?;
            write(directory, &key, passphrase).map(|()| key)
        }
    }
}

/// A key that nobody has.
pub(super) fn fresh() -> Result<NodeKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|err| {
        Error::new(ErrorKind::Io, format!("the system gave no random bytes: {err}"))
    })?;
    Ok(NodeKey::from_seed(seed))
}

/// Writes the key of the store in a directory that has none.
pub(super) fn write(
    directory: &Path,
    key: &NodeKey,
    passphrase: Option<&Passphrase>,
) -> Result<()> {
    write_named(directory, KEY, key, passphrase)
}

/// The same, of a key in another file, which must not be there.
pub(super) fn write_named(
    directory: &Path,
    name: &str,
    key: &NodeKey,
    passphrase: Option<&Passphrase>,
) -> Result<()> {
    create(&directory.join(name), key, passphrase)
}

fn replace(
    directory: &Path,
    name: &str,
    key: &NodeKey,
    passphrase: Option<&Passphrase>,
) -> Result<()> {
    let (draft, path) = (directory.join(DRAFT), directory.join(name));
    let replaced = |err| Error::io(format!("replace {}", path.display()), err);
    match fs::remove_file(&draft) {
        Err(err) if err.kind() != IoKind::NotFound => return Err(replaced(err)),
        _ => {}
    }
    create(&draft, key, passphrase)?;
    fs::rename(&draft, &path).map_err(replaced)?;
    sync_directory(directory).map_err(replaced)
}

fn create(path: &PathBuf, key: &NodeKey, passphrase: Option<&Passphrase>) -> Result<()> {
    let doing = |err| Error::io(format!("write {}", path.display()), err);
    let text = match passphrase {
        None => BASE32_NOPAD.encode(&key.seed()).to_ascii_lowercase() + "\n",
        Some(passphrase) => key.encrypted(&passphrase.0)?,
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(doing)?;
    file.write_all(text.as_bytes()).map_err(doing)?;
    file.sync_all().map_err(doing)
}

fn parse(path: &Path, text: &str, passphrase: Option<&Passphrase>) -> Result<NodeKey> {
    if text.starts_with(ENCRYPTED) {
        let passphrase = passphrase.ok_or_else(|| {
            Error::new(
                ErrorKind::Passphrase,
                format!("{} is encrypted: give its passphrase", path.display()),
            )
        })?;
        return NodeKey::decrypted(text, &passphrase.0).ok_or_else(|| {
            Error::new(
                ErrorKind::Passphrase,
                format!("the passphrase does not open {}", path.display()),
            )
        });
    }
    BASE32_NOPAD
        .decode(text.trim().to_ascii_uppercase().as_bytes())
        .ok()
        .and_then(|seed| seed.try_into().ok())
        .map(NodeKey::from_seed)
        .ok_or_else(|| Error::corrupt(format!("{} does not hold a key", path.display())))
}

fn reading(path: &Path, err: std::io::Error) -> Error {
    Error::io(format!("read {}", path.display()), err)
}

#[cfg(unix)]
fn check_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)
        .map_err(|err| Error::io(format!("look at {}", path.display()), err))?
        .permissions()
        .mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Io,
            format!(
                "{0} can be read by others; take that away with: chmod 600 {0}",
                path.display()
            ),
        )),
    }
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<()> {
    Ok(())
}

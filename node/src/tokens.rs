//! Tokens: who may ask a node over HTTP from another machine, and what.
//!
//! `http-tokens.json` in the data directory, mode 0600, lists them by what they are called; of the
//! tokens themselves it holds hashes, so that whoever reads the file can't use them. A token is
//! shown once, when it is made. A running node reads the file again when it has changed.
//!
//! Does not know: requests. What a request needs is decided by [`crate::http`].

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use data_encoding::BASE32_NOPAD;
use littoral::clock::Timestamp;
use littoral::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::shape::why_not;

const FILE: &str = "http-tokens.json";
/// What every token begins with, so that one that leaked is recognised.
const PREFIX: &str = "littoral_";
const SECRET_BYTES: usize = 20;
/// Digits of a hash by which people name a token.
const ID_DIGITS: usize = 8;

/// A token, or another text that nobody should read in a log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// One that nobody has.
    pub(crate) fn draw() -> Result<Secret> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|err| {
            Error::new(ErrorKind::Io, format!("the system gave no random bytes: {err}"))
        })?;
        Ok(Secret(format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())))
    }

    /// The text itself, for the one place that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the two are one; takes as long wherever they differ.
    pub(crate) fn is(&self, other: &Secret) -> bool {
        self.hash() == other.hash()
    }

    fn hash(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex().to_string()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a token lets its holder do. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// To read everything.
    Read,
    /// To write documents, and apply bundles.
    Write,
    /// To change who belongs to the network, and to drop collections.
    Admin,
}

impl Scope {
    /// Its word: read, write, admin.
    pub(crate) fn word(self) -> &'static str {
        ["read", "write", "admin"][self as usize]
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(word: &str) -> Result<Scope> {
        let found =
            [Scope::Read, Scope::Write, Scope::Admin].into_iter().find(|s| s.word() == word);
        found.ok_or_else(|| {
            let sentence =
                format!("'{word}' is no right of a token; there are read, write and admin");
            Error::new(ErrorKind::InvalidInput, sentence)
        })
    }
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// How people call it.
    pub(crate) name: String,
    /// What its holder may do.
    pub(crate) rights: Scope,
    /// When it was made, RFC 3339.
    pub(crate) made: String,
    /// BLAKE3 of its text, hexadecimal.
    hash: String,
}

impl Token {
    /// By what it is named where names are not unique.
    pub(crate) fn id(&self) -> &str {
        self.hash.get(..ID_DIGITS).unwrap_or(&self.hash)
    }
}

/// The tokens of a data directory.
#[derive(Debug)]
pub(crate) struct Tokens {
    path: PathBuf,
    /// What was read, and when the file had been changed.
    read: Mutex<(Option<SystemTime>, Vec<Token>)>,
}

impl Tokens {
    /// Those of the store in `data`.
    pub(crate) fn of(data: &Path) -> Tokens {
        Tokens { path: data.join(FILE), read: Mutex::default() }
    }

    /// All of them, in the order in which they were made.
    pub(crate) fn list(&self) -> Result<Vec<Token>> {
        match fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|err| {
                let sentence = format!("{} makes no sense: {}", self.path.display(), why_not(&err));
                Error::new(ErrorKind::Corrupt, sentence)
            }),
            Err(err) if err.kind() == IoKind::NotFound => Ok(Vec::new()),
            Err(err) => Err(self.failed("read", &err)),
        }
    }

    /// Makes one. The secret is known to nobody but the caller.
    pub(crate) fn create(&self, name: &str, rights: Scope) -> Result<(Token, Secret)> {
        let secret = Secret::draw()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let made = Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let token =
            Token { name: name.to_owned(), rights, made: made.to_string(), hash: secret.hash() };
        let mut all = self.list()?;
        all.push(token.clone());
        self.write(&all)?;
        Ok((token, secret))
    }

    /// Takes back the one that is called so, by name or id.
    pub(crate) fn revoke(&self, called: &str) -> Result<Token> {
        let mut all = self.list()?;
        let is_it = |token: &Token| token.name == called || token.id() == called;
        let mut found = all.iter().enumerate().filter(|(_, token)| is_it(token)).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (Some(at), None) => {
                let token = all.remove(at);
                self.write(&all)?;
                Ok(token)
            }
            (None, _) => Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no token '{called}'; see `littoral token list`"),
            )),
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("there are several tokens '{called}'; name one by its id"),
            )),
        }
    }

    /// What the holder of a text may do, if it is a token.
    pub(crate) fn rights(&self, secret: &Secret) -> Option<Scope> {
        let hash = secret.hash();
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != changed || changed.is_none() {
            // A file that can't be read lets nobody in.
            *read = (changed, self.list().unwrap_or_default());
        }
        read.1.iter().find(|token| token.hash == hash).map(|token| token.rights)
    }

    fn write(&self, all: &[Token]) -> Result<()> {
        let text = serde_json::to_string_pretty(all).expect("a shape is JSON") + "\n";
        replace_private(&self.path, &text).map_err(|err| self.failed("write", &err))
    }

    fn failed(&self, what: &str, err: &std::io::Error) -> Error {
        let sentence = format!("could not {what} {}: {err}", self.path.display());
        Error::new(ErrorKind::Io, sentence)
    }
}

/// Writes a JSON file that nobody else may read, as a whole: nobody reads half of it.
pub(crate) fn replace_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("json.new");
    if let Err(err) = fs::remove_file(&draft)
        && err.kind() != IoKind::NotFound
    {
        return Err(err);
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, running) = (Tokens::of(dir.path()), Tokens::of(dir.path()));
        assert_eq!(running.rights(&Secret::draw().unwrap()), None);
        let (reader, secret) = tokens.create("grafana", Scope::Read).unwrap();
        let (_, other) = tokens.create("app", Scope::Write).unwrap();
        assert_eq!(running.rights(&secret), Some(Scope::Read));
        assert_eq!(running.rights(&other), Some(Scope::Write));
        assert_eq!(running.rights(&Secret::from("littoral_")), None);
        assert_eq!(tokens.revoke(reader.id()).unwrap(), reader);
        assert_eq!(tokens.revoke("grafana").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(Tokens::of(dir.path()).rights(&secret), None);
    }

    #[test]
    fn what_is_kept_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::of(dir.path());
        let (_, secret) = tokens.create("app", Scope::Admin).unwrap();
        let kept = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!kept.contains(secret.reveal()));
        let row = &tokens.list().unwrap()[0];
        assert_eq!(tokens.rights(&Secret::from(row.hash.as_str())), None);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Tokens::of(dir.path()).create("app", Scope::Read).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

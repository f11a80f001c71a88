//! Which target a command gets: the store in the data directory, or the node on it.
//!
//! A store is open in one process only. When it is locked and `node.json` names a node that
//! answers with the store's key, the command goes through that node and says so.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use littoral::{Error, ErrorKind, Options, Result, Store};

use super::{Local, Remote, Target};
use crate::node_file::NodeFile;
use crate::passphrase;
use crate::tokens::Secret;

/// How long to wait for another command to finish with the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether a store is made where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It must be there: for reading.
    Existing,
    /// It is made if need be: for writing.
    Made,
}

/// Where the command line says the documents are.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// The node to talk to instead.
    pub(crate) url: Option<String>,
    /// What that node asks for.
    pub(crate) token: Option<Secret>,
}

impl Opening {
    /// The target.
    pub(crate) fn open(&self, wanted: Wanted) -> Result<Box<dyn Target>> {
        if let Some(node) = self.remote()? {
            return Ok(Box::new(node));
        }
        let options = self.unlocked(Store::options())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let locked = match open_store(&self.data, options.clone(), wanted) {
                Ok(store) => return Ok(Box::new(Local::new(store))),
                Err(err) if err.kind() == ErrorKind::Locked => err,
                Err(err) => return Err(err),
            };
            if let Some(node) = running_node(&self.data) {
                eprintln!("littoral: through the node at {}", node.url());
                return Ok(Box::new(node));
            }
            if Instant::now() >= deadline {
                return Err(locked);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The same, of another directory.
    pub(crate) fn of(&self, data: &Path) -> Opening {
        Opening { data: data.to_owned(), url: None, token: None }
    }

    /// The node that --url names, if it does.
    pub(crate) fn remote(&self) -> Result<Option<Remote>> {
        self.url.as_ref().map(|url| Remote::connect(url, self.token.clone())).transpose()
    }

    /// The node that --url names, or that runs on the store; none if there is none.
    pub(crate) fn node(&self) -> Result<Option<Remote>> {
        Ok(self.remote()?.or_else(|| running_node(&self.data)))
    }

    /// Options that know the passphrase of the store's key, if it has one: from
    /// `LITTORAL_PASSPHRASE`, from the file that `LITTORAL_PASSPHRASE_FILE` names, or asked for on a
    /// terminal. A store that is made then encrypts its key with it.
    pub(crate) fn unlocked(&self, options: Options) -> Result<Options> {
        let passphrase = match passphrase::given()? {
            None if passphrase::can_ask()
                && Store::is_key_encrypted(&self.data)?
                && running_node(&self.data).is_none() =>
            {
                Some(passphrase::ask("passphrase of this store's key: ")?)
            }
            given => given,
        };
        Ok(match passphrase {
            Some(passphrase) => options.passphrase(passphrase.reveal()),
            None => options,
        })
    }

    /// The store's directory, for commands that work on its files.
    pub(crate) fn directory(&self) -> Result<&Path> {
        match self.url {
            None => Ok(&self.data),
            Some(_) => Err(not_through_url()),
        }
    }

    /// The store itself, for commands that a running node can't do for another.
    pub(crate) fn open_store(&self, wanted: Wanted) -> Result<Store> {
        self.open_store_with(Store::options(), wanted)
    }

    /// The same, with options.
    pub(crate) fn open_store_with(&self, options: Options, wanted: Wanted) -> Result<Store> {
        match self.url {
            None => open_store(&self.data, self.unlocked(options)?, wanted),
            Some(_) => Err(not_through_url()),
        }
    }
}

fn not_through_url() -> Error {
    Error::new(ErrorKind::InvalidInput, "this command works on a data directory, not through --url")
}

/// The node that runs on the store in `data`, if one answers there with that store's key.
pub(crate) fn running_node(data: &Path) -> Option<Remote> {
    let file = NodeFile::read(data)?;
    let node = Remote::connect(&file.http, Some(file.token)).ok()?;
    (node.live().ok()?.node == file.key).then_some(node)
}

fn open_store(data: &Path, options: Options, wanted: Wanted) -> Result<Store> {
    let opened = options.create(wanted == Wanted::Made).open(data);
    opened.map_err(|err| match err.kind() == ErrorKind::NotAStore && !data.exists() {
        true => Error::new(
            ErrorKind::NotAStore,
            format!(
                "there is no store in {}; name one with --data, or make one with `littoral put`, `import` or `run`",
                data.display()
            ),
        ),
        false => err,
    })
}

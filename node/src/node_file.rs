//! `node.json` in the data directory: that a node runs on the store, and where it answers.
//!
//! Written when the node is ready, removed when it ends. One that a killed node left behind
//! does no harm: it is only looked at when the store is locked, and only believed when the
//! node that answers there has the key it names. Mode 0600: it holds a token.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use littoral::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::tokens::{Secret, replace_private};

const NAME: &str = "node.json";

/// Where a running node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeFile {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it answers HTTP, `http://127.0.0.1:8090`.
    pub(crate) http: String,
    /// Where it accepts links, if it does.
    pub(crate) listen: Option<String>,
    /// Its key.
    pub(crate) key: String,
    /// A token for commands on this machine, as long as it runs.
    pub(crate) token: Secret,
}

impl NodeFile {
    /// Reads it; none if there is none, or one that makes no sense.
    pub(crate) fn read(data: &Path) -> Option<NodeFile> {
        let text = std::fs::read(data.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes it, as a whole: nobody reads half of it.
    pub(crate) fn write(&self, data: &Path) -> Result<Written> {
        let path = data.join(NAME);
        let text = serde_json::to_string_pretty(self).expect("a shape is JSON") + "\n";
        replace_private(&path, &text).map_err(|err| {
            Error::new(ErrorKind::Io, format!("could not write {}: {err}", path.display()))
        })?;
        Ok(Written(path))
    }
}

/// The file of this process; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(err) if err.kind() != IoKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %err, "the file could not be removed");
            }
            _ => {}
        }
    }
}

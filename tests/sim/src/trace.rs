//! The trace: what happened, in order, and a digest of all of it.
//!
//! Everything that could differ between two runs of one seed enters the digest, also every
//! byte on the wire. Only the last lines are kept, unless all are to be printed.

use std::collections::VecDeque;

/// Lines kept for the report of a failure.
const KEPT: usize = 60;

/// What happened so far.
pub(crate) struct Trace {
    digest: blake3::Hasher,
    last: VecDeque<String>,
    printing: bool,
}

impl Trace {
    pub(crate) fn new(printing: bool) -> Trace {
        Trace { digest: blake3::Hasher::new(), last: VecDeque::new(), printing }
    }

    /// Notes a line.
    pub(crate) fn line(&mut self, now_ms: u64, line: &str) {
        let line = format!("{now_ms:>8} ms  {line}");
        if self.printing {
            println!("{line}");
        }
        self.digest.update(line.as_bytes());
        self.digest.update(b"\n");
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Notes bytes that are not for reading.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.digest.update(&(bytes.len() as u64).to_le_bytes());
        self.digest.update(bytes);
    }

    /// The digest of everything so far.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *self.digest.finalize().as_bytes()
    }

    /// The last lines.
    pub(crate) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

//! The gate: one local write builds its operations at a time.
//!
//! A write in progress holds up other local writes, and nothing else: transactions of
//! peers are committed beside it. The gate is open again before the write waits for the
//! disk, so that many writers share a sync.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::commit::lock;
use crate::error::{Error, ErrorKind, Result};

/// Lets one writer in at a time.
#[derive(Debug, Default)]
pub(super) struct Gate {
    taken: Mutex<bool>,
    freed: Condvar,
}

/// Whoever holds this is in.
#[derive(Debug)]
pub(super) struct Entry(Arc<Gate>);

impl Gate {
    /// Enters, or gives up after `patience`.
    pub(super) fn enter(self: &Arc<Gate>, patience: Duration) -> Result<Entry> {
        let deadline = Instant::now() + patience;
        let mut taken = lock(&self.taken);
        while *taken {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "another write has been open for over {} s; commit it or roll it back",
                        patience.as_secs()
                    ),
                ));
            }
            taken = self.freed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        Ok(Entry(self.clone()))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        *lock(&self.0.taken) = false;
        self.0.freed.notify_one();
    }
}

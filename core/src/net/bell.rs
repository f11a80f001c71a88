//! The bell: rings when anything about the links has changed.
//!
//! The public calls are blocking and wait for conditions over what the tasks tell. They look
//! again whenever it rings, and never sleep for a guessed time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Wakes those who wait for a condition.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Something has changed.
    pub(super) fn ring(&self) {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.rung.notify_all();
    }

    /// Waits until `look` gives something; `None` if it did not until `deadline`.
    pub(super) fn wait<T>(
        &self,
        deadline: Instant,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        loop {
            let heard = *self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = look() {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.rung.wait_timeout_while(rings, left, |rings| *rings == heard);
            drop(waited);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_wakes_the_one_who_waits() {
        let (bell, value) = (Bell::default(), Mutex::new(0));
        let far = Instant::now() + Duration::from_secs(60);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                *value.lock().unwrap() = 7;
                bell.ring();
            });
            let seen = bell.wait(far, || Some(*value.lock().unwrap()).filter(|n| *n == 7));
            assert_eq!(seen, Some(7));
        });
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        assert_eq!(Bell::default().wait(Instant::now(), || None::<()>), None);
        assert_eq!(Bell::default().wait(Instant::now(), || Some(1)), Some(1));
    }
}

//! Ctrl-C and polite kills, as something to wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use littoral::{Error, ErrorKind, Result};

/// Whether somebody wants this process to end, and a bell for whoever waits for something.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    rings: u64,
}

impl Signals {
    /// From now on signals no longer end the process; whoever waits here hears of them.
    pub(crate) fn catch() -> Result<Arc<Signals>> {
        let failed = |err| Error::new(ErrorKind::Io, format!("could not wait for signals: {err}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let signals = Arc::new(Signals::default());
        let caught = Arc::clone(&signals);
        let entered = runtime.enter();
        let wait = signal().map_err(failed)?;
        drop(entered);
        std::thread::spawn(move || {
            runtime.block_on(wait);
            caught.change(|state| state.stop = true);
        });
        Ok(signals)
    }

    /// Waits until the process is to end.
    pub(crate) fn wait(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.moved.wait_while(state, |state| !state.stop));
    }

    /// Rings the bell.
    pub(crate) fn ring(&self) {
        self.change(|state| state.rings += 1);
    }

    /// How often it rang.
    pub(crate) fn rings(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rings
    }

    /// Waits until it has rung more often than `heard`, or for `timeout`.
    ///
    /// Errors: `Aborted` if the process is to end.
    pub(crate) fn wait_for_ring(&self, heard: u64, timeout: Duration) -> Result<()> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut State| !state.stop && state.rings <= heard;
        let waited = self.moved.wait_timeout_while(state, timeout, quiet);
        match waited.unwrap_or_else(PoisonError::into_inner).0.stop {
            true => Err(Error::new(ErrorKind::Aborted, "interrupted")),
            false => Ok(()),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
    }
}

/// Ends with the first signal. Signals are caught from the call on, not only from the first poll.
#[cfg(unix)]
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // If signals can't be caught, they end the process as ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

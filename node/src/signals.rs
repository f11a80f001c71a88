//! Ctrl-C, polite kills and SIGHUP, as something to wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use littoral::{Error, ErrorKind, Result};

/// What shells see of a process that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// Whether somebody wants this process to end, and a bell for whoever waits for something.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// How often somebody asked to read the configuration again, and was not heard yet.
    reloads: u64,
    rings: u64,
}

impl Signals {
    /// From now on signals no longer end the process; whoever waits here hears of them.
    /// Who has a configuration reads it again at SIGHUP; for others that is the end of a terminal.
    pub(crate) fn catch(has_configuration: bool) -> Result<Arc<Signals>> {
        let failed = |err| Error::new(ErrorKind::Io, format!("could not wait for signals: {err}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let signals = Arc::new(Signals::default());
        let caught = Arc::clone(&signals);
        let entered = runtime.enter();
        let mut caught_signals = Caught::new().map_err(failed)?;
        drop(entered);
        std::thread::spawn(move || {
            while runtime.block_on(caught_signals.next()) == Asked::Reload && has_configuration {
                caught.change(|state| state.reloads += 1);
            }
            caught.change(|state| state.stop = true);
            while runtime.block_on(caught_signals.next()) == Asked::Reload {}
            // Somebody who asks twice does not want to wait for goodbyes.
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(signals)
    }

    /// Waits until the configuration is to be read again, which is true, or the process is to end.
    pub(crate) fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut State| !state.stop && state.reloads == 0;
        let waited = self.moved.wait_while(state, quiet);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.reloads = 0;
        !state.stop
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

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Reload,
}

/// The signals that end a process, or let it read its configuration again, caught from the making
/// of this on.
#[cfg(unix)]
struct Caught {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Caught {
    fn new() -> std::io::Result<Caught> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Caught {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

/// The signals that end a process.
#[cfg(not(unix))]
struct Caught;

#[cfg(not(unix))]
impl Caught {
    fn new() -> std::io::Result<Caught> {
        Ok(Caught)
    }

    async fn next(&mut self) -> Asked {
        // If signals can't be caught, they end the process as ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Asked::Stop
    }
}

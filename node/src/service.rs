//! What a node tells who supervises it: systemd, if it was started by it. Elsewhere nothing.

use littoral::Store;

/// Says that the node is there. As long as the answer lives, the supervisor is told that the node
/// is alive, if it asks for that; not once the store refuses writes, so that it is started anew.
#[cfg(unix)]
pub(crate) fn ready(store: &Store) -> Option<Watchdog> {
    use sd_notify::NotifyState;
    tell(&[NotifyState::Ready]);
    let every = sd_notify::watchdog_enabled()? / 3;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let store = store.clone();
    std::thread::spawn(move || {
        while matches!(stopped.recv_timeout(every), Err(std::sync::mpsc::RecvTimeoutError::Timeout))
        {
            if store.stats().is_ok_and(|stats| stats.failure.is_none()) {
                tell(&[NotifyState::Watchdog]);
            }
        }
    });
    Some(Watchdog { _stop: stop })
}

/// Says that the configuration is being read again.
#[cfg(unix)]
pub(crate) fn reloading() {
    use sd_notify::NotifyState;
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    tell(&states);
}

/// Says that it was.
#[cfg(unix)]
pub(crate) fn ready_again() {
    tell(&[sd_notify::NotifyState::Ready]);
}

/// Says that the node ends.
#[cfg(unix)]
pub(crate) fn stopping() {
    tell(&[sd_notify::NotifyState::Stopping]);
}

#[cfg(unix)]
fn tell(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(states) {
        tracing::warn!(%err, "the supervisor could not be told");
    }
}

/// Tells the supervisor that the node is alive.
#[cfg(unix)]
pub(crate) struct Watchdog {
    /// The thread ends when this goes.
    _stop: std::sync::mpsc::Sender<()>,
}

#[cfg(not(unix))]
pub(crate) fn ready(_: &Store) -> Option<()> {
    None
}

#[cfg(not(unix))]
pub(crate) fn reloading() {}

#[cfg(not(unix))]
pub(crate) fn ready_again() {}

#[cfg(not(unix))]
pub(crate) fn stopping() {}

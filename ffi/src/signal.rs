//! A signal that a main loop can wait for: two sockets, one byte between them, or none.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Fault, LIT_ERR_IO, Outcome};

/// Set, or not: its descriptor is readable while it is. Neither setting nor clearing blocks.
pub(crate) struct Signal {
    reader: UnixStream,
    writer: UnixStream,
    set: Mutex<bool>,
}

impl Signal {
    /// One that is set.
    pub(crate) fn new() -> Outcome<Signal> {
        let made = UnixStream::pair().and_then(|(reader, writer)| {
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Signal { reader, writer, set: Mutex::new(false) })
        });
        let signal = made.map_err(|err| {
            Fault::new(LIT_ERR_IO, format!("could not open a descriptor to wait for: {err}"))
        })?;
        signal.set();
        Ok(signal)
    }

    /// What to wait for.
    pub(crate) fn fd(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    pub(crate) fn set(&self) {
        let mut set = self.state();
        if !*set {
            *set = uninterrupted(|| (&self.writer).write(&[1])).is_ok();
        }
    }

    pub(crate) fn clear(&self) {
        let mut set = self.state();
        if *set {
            // Nothing is there only if somebody has read from a descriptor that is not theirs.
            let _ = uninterrupted(|| (&self.reader).read(&mut [0]));
            *set = false;
        }
    }

    fn state(&self) -> MutexGuard<'_, bool> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uninterrupted(mut call: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

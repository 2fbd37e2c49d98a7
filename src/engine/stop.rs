//! How an engine learns that it is time to stop: a flag to look at, and a socket to sleep on.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::limits::ignored_at_start;

/// The exit status after a second signal, which ends the process at once.
const INTERRUPTED: i32 = 130;

/// A request to stop, made by a signal or by [`Stop::request`], and seen by one engine.
///
/// The socket pair is the self-pipe trick: a signal handler may do little more than write a byte,
/// and a byte wakes a thread asleep in `read` as well as one asleep in `epoll_wait`.
#[derive(Debug)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    writer: UnixStream,
    reader: UnixStream,
}

impl Stop {
    /// Nothing requested yet. Fails when no socket pair can be had.
    pub fn new() -> io::Result<Stop> {
        let (writer, reader) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        Ok(Stop { requested: Arc::default(), writer, reader })
    }

    /// Requests the stop, as SIGTERM does.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        // A full pair has woken the engine already.
        let _ = (&self.writer).write(&[0]);
    }

    /// Whether the stop was requested.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Lets SIGINT and SIGTERM request the stop; a second one ends the process at once with status
    /// 130.
    pub fn on_signals(&self) -> io::Result<()> {
        [SIGINT, SIGTERM].into_iter().try_for_each(|signal| self.on(signal))
    }

    /// Lets SIGHUP do the same, unless it was ignored at the start, as nohup(1) arranges.
    pub fn on_hangup(&self) -> io::Result<()> {
        if ignored_at_start(SIGHUP) { Ok(()) } else { self.on(SIGHUP) }
    }

    fn on(&self, signal: i32) -> io::Result<()> {
        // In this order: the first signal arms what the second one finds armed.
        flag::register_conditional_shutdown(signal, INTERRUPTED, self.requested.clone())?;
        flag::register(signal, self.requested.clone())?;
        low_level::pipe::register(signal, self.writer.try_clone()?)?;
        Ok(())
    }

    /// Sleeps until the stop is requested.
    pub(super) fn wait(&self) -> io::Result<()> {
        while !self.requested() {
            match (&self.reader).read(&mut [0; 16]) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What becomes readable when the stop is requested.
    pub(super) fn reader(&self) -> impl AsFd + '_ {
        self.reader.as_fd()
    }
}

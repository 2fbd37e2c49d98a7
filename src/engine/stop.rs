//! How an engine learns that it is time to stop, or to tell what it has counted: flags to look at, and
//! a socket to sleep on.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::socket::{MsgFlags, recv};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

use super::counters::Counters;
use super::limits::ignored_at_start;

/// The exit status after a second signal, which ends the process at once.
const INTERRUPTED: i32 = 130;

/// What is asked of one engine while it runs: to stop, by a signal or by [`Stop::request`], and what
/// it has counted so far.
///
/// The socket pair is the self-pipe trick: a signal handler may do little more than write a byte,
/// and a byte wakes a thread asleep in `read` as well as one asleep in `epoll_wait`.
#[derive(Debug)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    /// What was counted is to be logged.
    asked: Arc<AtomicBool>,
    counters: OnceLock<Arc<Counters>>,
    writer: UnixStream,
    reader: UnixStream,
}

impl Stop {
    /// Nothing requested yet. Fails when no socket pair can be had.
    pub fn new() -> io::Result<Stop> {
        let (writer, reader) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        let (requested, asked) = Default::default();
        Ok(Stop { requested, asked, counters: OnceLock::new(), writer, reader })
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

    /// Lets SIGUSR1 have the engine log what it has counted.
    pub fn log_counters_on_signal(&self) -> io::Result<()> {
        flag::register(SIGUSR1, self.asked.clone())?;
        low_level::pipe::register(SIGUSR1, self.writer.try_clone()?)?;
        Ok(())
    }

    /// What the engine has counted; `None` until it runs.
    pub fn counters(&self) -> Option<&Counters> {
        self.counters.get().map(|counters| &**counters)
    }

    /// The engine begins to count.
    pub(super) fn show(&self, counters: Arc<Counters>) {
        let _ = self.counters.set(counters);
    }

    /// Logs what was counted, if that was asked for. Whether it was.
    pub(super) fn log_if_asked(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed);
        if asked && let Some(counters) = self.counters() {
            counters.log();
        }
        asked
    }

    /// Takes from the pair what has woken the engine, or it would fill up and wake nobody any more.
    pub(super) fn hear(&self) {
        let reader = self.reader.as_raw_fd();
        while recv(reader, &mut [0; 64], MsgFlags::MSG_DONTWAIT).is_ok_and(|n| n > 0) {}
    }

    fn on(&self, signal: i32) -> io::Result<()> {
        // In this order: the first signal arms what the second one finds armed.
        flag::register_conditional_shutdown(signal, INTERRUPTED, self.requested.clone())?;
        flag::register(signal, self.requested.clone())?;
        low_level::pipe::register(signal, self.writer.try_clone()?)?;
        Ok(())
    }

    /// Sleeps until the stop is requested. Meanwhile it logs what was counted when it is asked to.
    pub(super) fn wait(&self) -> io::Result<()> {
        while !self.requested() {
            self.log_if_asked();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_makes_room_for_what_comes() {
        let stop = Stop::new().unwrap();
        let is_full = || (&stop.writer).write(&[0]).is_err();
        while !is_full() {}
        stop.hear();
        assert!(!is_full());
    }
}

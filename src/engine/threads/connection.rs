//! A connection of the thread engine, as its threads share it.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::pthread::{Pthread, pthread_kill};
use nix::sys::signal::Signal::SIGURG;

use super::mailbox::Mailbox;
use crate::engine::journal::End;
use crate::session::{ConnectionId, Output, Session, Want};

/// No session waits that long.
pub const NEVER: u64 = u64::MAX;

/// A tenant of the table.
pub struct Connection {
    pub id: ConnectionId,
    pub peer: SocketAddr,
    pub stream: TcpStream,
    pub opened: Instant,
    /// The place of its service.
    pub service: usize,
    pub talk: Mutex<Talk>,
    pub mailbox: Option<Mailbox>,
    pub sent: AtomicU64,
    /// Its thread, once that runs, and alive while the table has it: it leaves before it ends.
    pub thread: OnceLock<Pthread>,
    /// Its thread knows that the server is stopping, and need not be woken for it.
    pub noticed: AtomicBool,
    /// When its session wants to be woken, in nanoseconds after `opened`; [`NEVER`] if it does not.
    pub wake_at: AtomicU64,
    /// Its conversation is over.
    pub over: AtomicBool,
    /// Why it was cut off from outside, if it was.
    pub cut: OnceLock<End>,
    /// When it ends, having taken its mail or not, if it was given up.
    pub given_up: OnceLock<Instant>,
}

/// A session, and what it has to say.
pub struct Talk {
    pub session: Box<dyn Session>,
    pub output: Output,
    pub want: Want,
    /// The session was told that the server is stopping.
    pub drained: bool,
    /// It was told that its mail is too much.
    pub overflowed: bool,
}

impl Connection {
    /// Ends the connection from outside: whatever its threads sleep in returns.
    pub fn cut_off(&self, end: End) {
        let _ = self.cut.set(end);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sleeps for this time, though its peer may have something to say, and not though it has gone.
    pub fn sleep(&self, time: Duration) -> io::Result<()> {
        let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::empty())], time)? {
            0 => Ok(()),
            _ => Err(self.stream.take_error()?.unwrap_or(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Whether it was cut off, or is about to be, whatever its peer says: an end that is read is ours.
    pub fn is_cut_off(&self) -> bool {
        matches!(self.cut.get(), Some(End::Slow | End::Grace))
    }

    /// It does not read its mail: it has until then to take what waits.
    pub fn give_up(&self, until: Instant) {
        let _ = self.cut.set(End::Slow);
        let _ = self.given_up.set(until);
    }

    /// Whether it was given up, and the time it had is over.
    pub fn is_overdue(&self) -> bool {
        self.given_up.get().is_some_and(|until| *until <= Instant::now())
    }

    /// Whether it was given up, and has taken all its mail.
    pub fn has_overflowed(&self) -> bool {
        self.mailbox.as_ref().is_some_and(Mailbox::has_overflowed)
    }

    /// What its session has asked of the engine besides: to be woken, to say why it ends.
    pub fn hear_wishes(&self, output: &mut Output) {
        if let Some(at) = output.take_wake() {
            self.set_wake(at);
        }
        if let Some(why) = output.take_failure() {
            let _ = self.cut.set(End::Failed(why));
        }
    }

    /// Makes its thread look up from its sleep.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            let _ = pthread_kill(*thread, SIGURG);
        }
        if let Some(mailbox) = &self.mailbox {
            mailbox.disturb();
        }
    }

    fn set_wake(&self, at: Instant) {
        let nanos = at.saturating_duration_since(self.opened).as_nanos() as u64;
        self.wake_at.store(nanos, Ordering::Relaxed);
    }

    /// When its session wants to be woken.
    pub fn wake_time(&self) -> Option<Instant> {
        let nanos = Some(self.wake_at.load(Ordering::Relaxed)).filter(|&nanos| nanos != NEVER);
        nanos.map(|nanos| self.opened + Duration::from_nanos(nanos))
    }

    /// Whether that time has come.
    pub fn is_due(&self) -> bool {
        self.wake_time().is_some_and(|at| at <= Instant::now())
    }

    /// The same, for whoever tells it, which is done once.
    pub fn take_wake(&self) -> bool {
        let due = self.is_due();
        if due {
            self.wake_at.store(NEVER, Ordering::Relaxed);
        }
        due
    }

    pub fn is_drained(&self) -> bool {
        self.talk().drained
    }

    pub fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

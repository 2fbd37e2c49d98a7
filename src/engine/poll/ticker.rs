//! A clock for the idle time, which nobody reads per message: a tick is an eighth of that time, and
//! a connection that moves something notes the number of the tick it did so in.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Ticks in the idle time, which a connection may therefore exceed by one.
const TICKS: u32 = 8;

/// A timer that epoll tells of, like any socket. A timeout of `poll` would do as well, but the
/// kernel sets that up anew for each sleep: with one client 5 % more CPU per message.
pub struct Ticker {
    timer: TimerFd,
    idle_timeout: Option<Duration>,
    ticking: bool,
    now: u8,
}

impl Ticker {
    pub fn new(
        idle_timeout: Option<Duration>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Ticker> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let source = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&source), token, Interest::READABLE)?;
        Ok(Ticker { timer, idle_timeout, ticking: false, now: 0 })
    }

    /// The number of this tick. It wraps; only differences count.
    pub fn now(&self) -> u8 {
        self.now
    }

    /// Whether nothing has moved since tick `progress` for the idle time.
    pub fn is_idle(&self, progress: u8) -> bool {
        u32::from(self.now.wrapping_sub(progress)) > TICKS
    }

    /// The timer has told that a tick is over.
    pub fn advance(&mut self) {
        self.now = self.now.wrapping_add(1);
        self.ticking = false;
    }

    /// Lets the next tick begin, unless one has, or no idle time is set.
    pub fn start(&mut self) {
        let Some(timeout) = self.idle_timeout.filter(|_| !self.ticking) else {
            return;
        };
        // Zero would be never.
        let tick = (timeout / TICKS).max(Duration::from_millis(1));
        let once = Expiration::OneShot(TimeSpec::from_duration(tick));
        self.ticking = self.timer.set(once, TimerSetTimeFlags::empty()).is_ok();
    }
}

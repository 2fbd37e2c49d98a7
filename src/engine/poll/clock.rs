//! Time in the loop: one timer for whatever is due next, and ticks for the idle time, which nobody
//! reads a clock for per message.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::session::ConnectionId;

/// Ticks in the idle time, which a connection may therefore exceed by one.
const TICKS: u32 = 8;

/// A timer that epoll tells of, like any socket. A timeout of `poll` would do as well, but the
/// kernel sets that up anew for each sleep: with one client 5 % more CPU per message.
pub struct Clock {
    timer: TimerFd,
    /// When the timer will go off.
    set: Option<Instant>,
    /// An eighth of the idle time. A connection that moves something notes the number of the tick
    /// it did so in.
    tick: Option<Duration>,
    number: u8,
    next_tick: Option<Instant>,
}

impl Clock {
    pub fn new(
        idle_timeout: Option<Duration>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Clock> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let source = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&source), token, Interest::READABLE)?;
        let tick = idle_timeout.map(|timeout| (timeout / TICKS).max(Duration::from_millis(1)));
        Ok(Clock { timer, set: None, tick, number: 0, next_tick: None })
    }

    /// The number of this tick. It wraps; only differences count.
    pub fn tick(&self) -> u8 {
        self.number
    }

    /// Whether nothing has moved since tick `progress` for the idle time.
    pub fn is_idle(&self, progress: u8) -> bool {
        u32::from(self.number.wrapping_sub(progress)) > TICKS
    }

    /// Whether a tick has ended by `now`.
    pub fn is_tick_over(&mut self, now: Instant) -> bool {
        let over = self.next_tick.is_some_and(|at| at <= now);
        if over {
            self.number = self.number.wrapping_add(1);
            self.next_tick = None;
        }
        over
    }

    /// Lets the next tick begin, unless one has, or no idle time is set.
    pub fn start_tick(&mut self, now: Instant) {
        if self.next_tick.is_none() {
            self.next_tick = self.tick.map(|tick| now + tick);
        }
    }

    /// Before the loop falls asleep: it is to be woken at the end of the tick, and when something
    /// else is `due`. A timer that goes off too early does no harm, so it is not set back.
    pub fn wake_at(&mut self, due: Option<Instant>, now: Instant) {
        let Some(at) = due.into_iter().chain(self.next_tick).min() else {
            return;
        };
        if self.set.is_none_or(|set| at < set) {
            // Zero would be never.
            let left = at.saturating_duration_since(now).max(Duration::from_nanos(1));
            let once = Expiration::OneShot(TimeSpec::from_duration(left));
            self.set = self.timer.set(once, TimerSetTimeFlags::empty()).is_ok().then_some(at);
        }
    }

    /// The timer has gone off.
    pub fn rang(&mut self) {
        self.set = None;
    }
}

/// Connections that are to be looked at, each at its time.
#[derive(Default)]
pub struct Queue {
    /// When each is due.
    due: HashMap<ConnectionId, Instant>,
    /// The same in order, and times that do not count any more: twice as many at most.
    order: BinaryHeap<Reverse<(Instant, ConnectionId)>>,
}

impl Queue {
    /// `id` is to be looked at then, and not when it was before.
    pub fn set(&mut self, id: ConnectionId, at: Instant) {
        self.due.insert(id, at);
        if self.order.len() >= 64.max(2 * self.due.len()) {
            self.order.retain(|Reverse((at, id))| self.due.get(id) == Some(at));
        }
        self.order.push(Reverse((at, id)));
    }

    /// When `id` is to be looked at.
    pub fn time(&self, id: ConnectionId) -> Option<Instant> {
        self.due.get(&id).copied()
    }

    /// `id` need not be looked at.
    pub fn remove(&mut self, id: ConnectionId) {
        self.due.remove(&id);
    }

    /// When the first one is due.
    pub fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, id))) = self.order.peek() {
            if self.due.get(id) == Some(at) {
                return Some(*at);
            }
            self.order.pop();
        }
        None
    }

    /// Takes one that is due by `now`.
    pub fn take(&mut self, now: Instant) -> Option<ConnectionId> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, id)) = self.order.pop()?;
        self.due.remove(&id);
        Some(id)
    }
}

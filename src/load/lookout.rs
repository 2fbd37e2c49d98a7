//! Where a thread of the load generator sleeps: until a socket has news, or until a message is due.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{
    ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags,
};
use nix::time::{ClockId, clock_gettime};

use super::tally::Tally;
use super::watch::Watch;

/// A message that is due within this time is waited for awake: waking up takes as long.
const AWAKE: u64 = 50_000;

/// Sockets whose news one `poll` can bring. The kernel looks at each of them to tell it; with a
/// thousand at once, the first ones have left the cache again when their turn comes, and a message
/// of 1,000 clients costs 6 % more.
const EVENTS: usize = 64;

const TIMER: Token = Token(usize::MAX);

/// An epoll and a timer.
pub struct Lookout {
    poll: Poll,
    /// What the last wait brought. The timer's news is among it, under a token that no client has.
    pub events: Events,
    timer: TimerFd,
    watch: Arc<Watch>,
    /// Whether to wait awake for what is due in a moment.
    awake: bool,
    /// How long it sleeps at most.
    glance: Duration,
    /// CPU time spent waiting awake.
    spent: Duration,
    /// When the slice began, and the thread's CPU time then.
    began: (u64, Duration),
}

impl Lookout {
    /// Fails where epoll or a timer cannot be had.
    pub fn new(watch: Arc<Watch>, awake: bool, glance: Duration) -> io::Result<Lookout> {
        let poll = Poll::new()?;
        let timer = TimerFd::new(TimerClock::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let source = timer.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&source), TIMER, Interest::READABLE)?;
        let events = Events::with_capacity(EVENTS);
        let (spent, began) = (Duration::ZERO, (0, Duration::ZERO));
        Ok(Lookout { poll, events, timer, watch, awake, glance, spent, began })
    }

    /// Where sockets are registered.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// How long it sleeps at most.
    pub fn glance(&self) -> Duration {
        self.glance
    }

    /// A slice begins.
    pub fn begin(&mut self) {
        self.began = (self.watch.now(), thread_cpu());
        self.spent = Duration::ZERO;
    }

    /// A slice has ended: says how long it took, and how busy this thread was.
    pub fn end(&self, tally: &mut Tally) {
        let (began, cpu) = self.began;
        let busy = thread_cpu().saturating_sub(cpu);
        tally.span = Duration::from_nanos(self.watch.now().saturating_sub(began));
        tally.driver = busy.saturating_sub(self.spent);
        tally.busiest = tally.driver;
    }

    /// Sleeps until there is news, or until a message is `due`; not at all if somebody `goes_on`
    /// without news.
    pub fn wait(&mut self, due: Option<u64>, goes_on: bool) -> io::Result<()> {
        let ahead = due.map_or(u64::MAX, |due| due.saturating_sub(self.watch.now()));
        let awake = ahead == 0 || (ahead < AWAKE && self.awake);
        let patience = match awake || goes_on {
            true => Duration::ZERO,
            false => self.glance,
        };
        if !patience.is_zero() && ahead < self.glance.as_nanos() as u64 {
            let early = if self.awake { AWAKE } else { 0 };
            let sleep = Duration::from_nanos(ahead.saturating_sub(early).max(1));
            let once = Expiration::OneShot(TimeSpec::from_duration(sleep));
            self.timer.set(once, TimerSetTimeFlags::empty())?;
        }
        let waits_awake = awake && ahead > 0;
        let cpu = if waits_awake { thread_cpu() } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Err(_) => self.events.clear(),
            Ok(()) => {}
        }
        if waits_awake && self.events.is_empty() {
            self.spent += thread_cpu().saturating_sub(cpu);
        }
        Ok(())
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock").into()
}

//! The journal of who came and who left: all are counted, and listed at level info, but never more
//! than a screenful a second: ten thousand bad clients must not write ten thousand lines.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::{Level, info, log_enabled, warn};

use super::admission::Turnaway;
use super::counters::Counters;
use crate::failure::cause;
use crate::session::ConnectionId;

/// Lines of arrivals and departures per second; the others are counted.
const LINES_PER_SECOND: u32 = 64;

/// Shortages that follow each other within this time are one episode and get one line.
const EPISODE: Duration = Duration::from_secs(5);

/// Why a connection ended.
pub(super) enum End {
    /// Both sides had said their last word.
    Finished,
    /// No progress for the idle time.
    Idle,
    /// Did not read, and too much waited for it.
    Slow,
    /// Still busy when the grace period was over.
    Grace,
    /// The connection broke.
    Broken(io::Error),
    /// What its session said of it.
    Failed(Cow<'static, str>),
}

impl End {
    /// As the log has it.
    pub fn why(&self) -> Cow<'_, str> {
        match self {
            End::Finished => "finished".into(),
            End::Idle => "idle too long".into(),
            End::Slow => "did not read, and its backlog was full".into(),
            End::Grace => "still busy when the grace period was over".into(),
            End::Broken(error) => format!("broken: {}", cause(error)).into(),
            End::Failed(why) => why.as_ref().into(),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Broken(error)
    }
}

/// What is known of a connection at its end.
pub(super) struct Departure<'a> {
    pub id: ConnectionId,
    pub peer: SocketAddr,
    pub received: u64,
    pub sent: u64,
    pub stayed: Duration,
    pub end: &'a End,
    pub why: &'a str,
    /// The index of its service.
    pub service: usize,
}

/// Shared by all threads of an engine, without a lock.
pub(super) struct Journal {
    counters: Arc<Counters>,
    start: Instant,
    second: AtomicU64,
    lines: AtomicU32,
    unlisted: AtomicU64,
    shortage: AtomicU64,
    /// The second, from 1, in which a refused datagram was last told.
    refusal: AtomicU64,
    /// The same of a caller who was turned away.
    turnaway: AtomicU64,
}

impl Journal {
    pub fn new(counters: Arc<Counters>) -> Journal {
        Journal {
            counters,
            start: Instant::now(),
            second: AtomicU64::new(0),
            lines: AtomicU32::new(0),
            unlisted: AtomicU64::new(0),
            shortage: AtomicU64::new(u64::MAX),
            refusal: AtomicU64::new(0),
            turnaway: AtomicU64::new(0),
        }
    }

    pub fn arrived(&self, id: ConnectionId, peer: SocketAddr, service: usize) {
        self.counters.services[service].accepted.add(1);
        if self.has_room() {
            info!("{id} {peer} connected");
        }
    }

    /// A datagram is not answered: one line a second at most; the others show in the sum at the end.
    pub fn refused(&self, from: SocketAddr, why: &dyn fmt::Display) {
        if self.is_first(&self.refusal) {
            info!("a datagram from {from} is not answered: {why}");
        }
    }

    /// A caller is not let in: one line a second at most.
    pub fn turned_away(&self, peer: SocketAddr, why: Turnaway, service: usize) {
        self.counters.services[service].turn_away(why);
        if self.is_first(&self.turnaway) {
            info!("{peer} is refused: {why}");
        }
    }

    pub fn departed(&self, d: &Departure) {
        self.counters.services[d.service].end(d.end);
        if self.has_room() {
            let Departure { id, peer, received, sent, stayed, why, .. } = d;
            let seconds = stayed.as_secs_f64();
            info!("{id} {peer} left after {seconds:.3} s: {received} B in, {sent} B out; {why}");
        }
    }

    /// One line per episode, however often the same shortage is met again while it lasts.
    pub fn shortage(&self, of: &dyn fmt::Display) {
        self.counters.shortages.add(1);
        let now = self.start.elapsed().as_millis() as u64;
        let last = self.shortage.swap(now, Ordering::Relaxed);
        if last == u64::MAX || now.saturating_sub(last) > EPISODE.as_millis() as u64 {
            warn!("{of}; callers wait, and accepting goes on when it has passed");
        }
    }

    /// Whether nothing else was told in this second. Such lines are not among those of arrivals: they
    /// may be a flood, and meant to hide them.
    fn is_first(&self, told: &AtomicU64) -> bool {
        let second = self.start.elapsed().as_secs() + 1;
        told.swap(second, Ordering::Relaxed) != second
    }

    /// Whether this second has room for another line.
    fn has_room(&self) -> bool {
        if !log_enabled!(Level::Info) {
            return false;
        }
        let second = self.start.elapsed().as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
            self.tell_unlisted();
        }
        let room = self.lines.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND;
        if !room {
            self.unlisted.fetch_add(1, Ordering::Relaxed);
        }
        room
    }

    /// Tells of those that were only counted since the last line that did.
    pub fn tell_unlisted(&self) {
        let unlisted = self.unlisted.swap(0, Ordering::Relaxed);
        if unlisted > 0 {
            info!("and {unlisted} more arrivals and departures, too many to list");
        }
    }
}

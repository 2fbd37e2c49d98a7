//! Who calls whom, and for how long: what every kind of clients is told.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::pace::Schedule;
use super::secure::Secure;

/// The clients of one thread.
#[derive(Clone, Debug)]
pub struct Callers {
    /// The server.
    pub server: SocketAddr,
    /// How they speak TLS with it; plain TCP where there is none.
    pub secure: Option<Secure>,
    /// Clients of this thread.
    pub clients: usize,
    /// The number of its first client, or of its first room, and the distance to the next: other
    /// threads have the others.
    pub first: usize,
    /// See `first`.
    pub step: usize,
    /// Clients of all threads.
    pub of: usize,
    /// Local addresses to call from, in turn; the kernel chooses where there are none.
    pub sources: Vec<IpAddr>,
    /// Connects per second of this thread; as fast as they are answered if `None`.
    pub connect_rate: Option<f64>,
    /// How long answers are waited for before they count as lost.
    pub patience: Duration,
    /// Whether to wait awake for a message that is due in a moment. Not where the server needs the
    /// same CPU.
    pub awake: bool,
}

impl Callers {
    /// The number of the client that is here at `index`, among those of all threads, where there are
    /// no rooms.
    pub fn number(&self, index: usize) -> usize {
        self.first + index * self.step
    }

    /// The address that the client at `index` calls from, if one was given.
    pub fn source(&self, index: usize) -> Option<IpAddr> {
        self.sources.get(index % self.sources.len().max(1)).copied()
    }

    /// When the `n`th message of this thread's schedule is due, and whose it is, where there are no
    /// rooms.
    pub fn due(&self, schedule: &Schedule, n: u64) -> (u64, usize) {
        let clients = self.clients as u64;
        let (round, index) = (n / clients, (n % clients) as usize);
        (schedule.due(self.number(index), round), index)
    }
}

/// When a slice is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until {
    /// At this time of the watch.
    pub time: Option<u64>,
    /// When these clients have begun so many messages.
    pub messages: Option<u64>,
}

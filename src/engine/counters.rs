//! What an engine has counted since it started, for whoever asks (`--metrics`, SIGUSR1).
//!
//! Counting is cheaper than what is counted: an addition without a lock, no clock and no memory. The
//! loop's thread is the only one that counts there (`Counter::count`); threads share their counters
//! (`Counter::add`). Who reads them sees each figure as it is, but not all of one moment.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use log::info;

use super::admission::Turnaway;
use super::guard::Refusal;
use super::journal::End;
use super::{Endpoint, Engine, Limits};
use crate::session::Service;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Where several threads count.
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Where one thread counts, and others only look: without the bus lock of `add`.
    pub(super) fn count(&self, n: u64) {
        self.0.store(self.value().wrapping_add(n), Ordering::Relaxed);
    }

    /// How far it has come.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All that is counted.
#[derive(Debug)]
pub struct Counters {
    /// Who counts.
    pub engine: Engine,
    /// Clients served at once.
    pub seats: usize,
    /// By service: those of the clients, and that of those who watch.
    pub services: Vec<Served>,
    /// By socket, with the name of its service.
    pub sockets: Vec<(&'static str, Arc<Datagrams>)>,
    /// The last free seat was taken.
    pub full: Counter,
    /// Something could not be had: descriptors, memory, threads.
    pub shortages: Counter,
    /// Letters from session to session.
    pub letters: Counter,
    /// Letters that wait.
    held: AtomicI64,
    /// The loop's passes, and how long they took (poll engine).
    pub passes: Passes,
    /// Passes that took longer than [`Limits::slow_pass`] (poll engine).
    pub slow_passes: Counter,
}

/// What is counted of one service.
#[derive(Debug)]
pub struct Served {
    /// As the command line has it.
    pub name: &'static str,
    /// Connections that were let in.
    pub accepted: Counter,
    /// Connections that have ended, by [`REASONS`].
    pub ended: [Counter; REASONS.len()],
    /// Callers that were turned away, by [`TURNAWAYS`].
    pub refused: [Counter; TURNAWAYS.len()],
    /// Bytes from clients.
    pub received: Counter,
    /// Bytes that the kernel took for clients.
    pub sent: Counter,
    /// Times that a connection was attended to: a turn of the loop, or news for a thread's session.
    pub turns: Counter,
}

/// What is counted of one socket for datagrams.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// Those that came.
    pub received: Counter,
    /// Answers that were sent.
    pub answered: Counter,
    /// Answers that could not be sent.
    pub unsent: Counter,
    /// Those that get no answer, by [`REFUSALS`].
    pub refused: [Counter; REFUSALS.len()],
}

/// Why connections end.
pub const REASONS: [&str; 6] = ["finished", "idle", "slow", "grace", "broken", "failed"];

/// Why callers are turned away.
pub const TURNAWAYS: [&str; 2] = ["denied", "share"];

/// Why datagrams get no answer.
pub const REFUSALS: [&str; 7] =
    ["answering", "nobody", "ourselves", "hops", "many", "rate", "denied"];

impl Counters {
    /// Nothing has happened yet, to these services and at these endpoints.
    pub(super) fn new(
        engine: Engine,
        services: &[Arc<dyn Service>],
        endpoints: &[Endpoint],
        limits: &Limits,
    ) -> Counters {
        let sockets = endpoints.iter().filter_map(|endpoint| match endpoint {
            Endpoint::Stream { .. } => None,
            Endpoint::Datagram { responder, .. } => Some((responder.name(), Arc::default())),
        });
        Counters {
            engine,
            seats: limits.max_clients,
            services: services.iter().map(|service| Served::new(service.name())).collect(),
            sockets: sockets.collect(),
            full: Counter::default(),
            shortages: Counter::default(),
            letters: Counter::default(),
            held: AtomicI64::new(0),
            passes: Passes::default(),
            slow_passes: Counter::default(),
        }
    }

    /// Logs them, in a few lines.
    pub(super) fn log(&self) {
        for served in &self.services {
            let Served { name, accepted, received, sent, turns, .. } = served;
            info!(
                "{name}: {} open of {} accepted, {} refused{}; {} B in, {} B out, {} turns; ended: {}",
                served.open(),
                accepted.value(),
                sum(&served.refused),
                Listed(&TURNAWAYS, &values(&served.refused), " (", ")"),
                received.value(),
                sent.value(),
                turns.value(),
                Listed(&REASONS, &values(&served.ended), "", ""),
            );
        }
        if let Some((name, _)) = self.sockets.first() {
            let refused = self.datagrams_refused();
            info!(
                "{name} (UDP): datagrams received {}, answered {}, unsent {}, refused {}{}",
                self.datagrams(|socket| &socket.received),
                self.datagrams(|socket| &socket.answered),
                self.datagrams(|socket| &socket.unsent),
                refused.iter().sum::<u64>(),
                Listed(&REFUSALS, &refused, " (", ")"),
            );
        }
        info!(
            "{} engine: {} seats, the last one taken {} times; {} shortages; {} letters, {} of them wait",
            self.engine,
            self.seats,
            self.full.value(),
            self.shortages.value(),
            self.letters.value(),
            self.letters_held(),
        );
        if self.engine == Engine::Poll {
            let passes = self.passes.total();
            info!(
                "loop: {passes} passes in {:.3} s awake, {} of them slow",
                self.passes.time().as_secs_f64(),
                self.slow_passes.value()
            );
        }
    }

    /// A figure of all sockets for datagrams together.
    pub fn datagrams(&self, figure: impl Fn(&Datagrams) -> &Counter) -> u64 {
        self.sockets.iter().map(|(_, socket)| figure(socket).value()).sum()
    }

    /// Datagrams that get no answer, at all sockets, by [`REFUSALS`].
    pub fn datagrams_refused(&self) -> [u64; REFUSALS.len()] {
        array::from_fn(|place| self.datagrams(|socket| &socket.refused[place]))
    }

    /// Letters that wait: in mailboxes, or for the pass of the loop that sends them.
    pub fn letters_held(&self) -> u64 {
        self.held.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// So many letters more wait, or fewer.
    pub(super) fn hold(&self, letters: i64) {
        self.held.fetch_add(letters, Ordering::Relaxed);
    }

    /// No letters wait any more.
    pub(super) fn hold_none(&self) {
        self.held.store(0, Ordering::Relaxed);
    }
}

impl Served {
    fn new(name: &'static str) -> Served {
        Served {
            name,
            accepted: Counter::default(),
            ended: Default::default(),
            refused: Default::default(),
            received: Counter::default(),
            sent: Counter::default(),
            turns: Counter::default(),
        }
    }

    /// Connections there are.
    pub fn open(&self) -> u64 {
        // In this order: none has ended that had not come.
        let ended = sum(&self.ended);
        self.accepted.value().saturating_sub(ended)
    }

    pub(super) fn turn_away(&self, why: Turnaway) {
        self.refused[match why {
            Turnaway::Denied => 0,
            Turnaway::Share => 1,
        }]
        .add(1);
    }

    pub(super) fn end(&self, why: &End) {
        self.ended[match why {
            End::Finished => 0,
            End::Idle => 1,
            End::Slow => 2,
            End::Grace => 3,
            End::Broken(_) => 4,
            End::Failed(_) => 5,
        }]
        .add(1);
    }
}

impl Datagrams {
    pub(super) fn refuse(&self, why: Refusal) {
        self.refused[match why {
            Refusal::Answering => 0,
            Refusal::Nobody => 1,
            Refusal::Ourselves => 2,
            Refusal::Hops => 3,
            Refusal::Many => 4,
            Refusal::Rate => 5,
            Refusal::Denied => 6,
        }]
        .add(1);
    }
}

/// Figures with their names, those that are not zero, between two texts.
struct Listed<'a>(&'a [&'a str], &'a [u64], &'a str, &'a str);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listed(names, figures, before, after) = self;
        let listed = names.iter().zip(*figures).filter(|(_, figure)| **figure > 0);
        let listed: Vec<String> = listed.map(|(name, figure)| format!("{figure} {name}")).collect();
        match (listed.is_empty(), before.is_empty()) {
            (true, true) => f.write_str("none"),
            (true, false) => Ok(()),
            (false, _) => write!(f, "{before}{}{after}", listed.join(", ")),
        }
    }
}

fn values<const N: usize>(counters: &[Counter; N]) -> [u64; N] {
    array::from_fn(|place| counters[place].value())
}

/// What several counters have together.
pub fn sum(counters: &[Counter]) -> u64 {
    counters.iter().map(Counter::value).sum()
}

/// A histogram of how long passes of the loop took.
#[derive(Debug)]
pub struct Passes {
    /// By the first of [`Passes::BOUNDS`] that was not exceeded; the last has the others.
    counts: [Counter; Passes::BOUNDS.len() + 1],
    nanoseconds: Counter,
}

impl Default for Passes {
    fn default() -> Passes {
        Passes { counts: array::from_fn(|_| Counter::default()), nanoseconds: Counter::default() }
    }
}

impl Passes {
    /// From what a message takes to what a person waits for, three to a decade, in microseconds.
    pub const BOUNDS: [u64; 14] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000,
    ];

    pub(super) fn count(&self, took: Duration) {
        let nanoseconds = took.as_nanos() as u64;
        // Most are found at once.
        let place = Passes::BOUNDS.iter().position(|bound| nanoseconds <= bound * 1000);
        self.counts[place.unwrap_or(Passes::BOUNDS.len())].count(1);
        self.nanoseconds.count(nanoseconds);
    }

    /// How many took so long at most, for each of [`Passes::BOUNDS`], and how many there were.
    pub fn cumulated(&self) -> [u64; Passes::BOUNDS.len() + 1] {
        let mut sum = 0;
        array::from_fn(|place| {
            sum += self.counts[place].value();
            sum
        })
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        sum(&self.counts)
    }

    /// How long all took together.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_counted_where_it_belongs() {
        let passes = Passes::default();
        for micros in [1, 50, 51, 100_000, 2_000_000] {
            passes.count(Duration::from_micros(micros));
        }
        let cumulated = passes.cumulated();
        assert_eq!(cumulated[..3], [2, 3, 3]);
        let place = Passes::BOUNDS.iter().position(|bound| *bound == 100_000).unwrap();
        assert_eq!(cumulated[place - 1..=place], [3, 4]);
        assert_eq!(cumulated[Passes::BOUNDS.len() - 1..], [4, 5]);
        assert_eq!((passes.total(), passes.time()), (5, Duration::from_micros(2_100_102)));
    }
}

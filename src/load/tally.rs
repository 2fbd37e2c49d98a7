//! How it is counted.

use std::ops::AddAssign;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::document::{Datagrams, Handshakes};

/// Longer than any message is waited for. What is longer counts as this.
const LONGEST: u64 = 3_600_000_000_000;

/// Significant digits of a recorded time: it is right to a thousandth.
const DIGITS: u8 = 3;

/// What happened in a slice, on one thread or on several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Messages answered in full and right; taken, where nothing is answered; heard, where nothing
    /// is asked.
    pub messages: u64,
    /// Messages begun.
    pub begun: u64,
    /// In rooms: lines that all have heard. Messages are deliveries there, one for each who hears a
    /// line, and those begun are lines.
    pub lines: u64,
    /// Messages begun more than [`LATE`] after their time, though the socket had room.
    pub late: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// How long it took: of several threads, the longest.
    pub elapsed: Duration,
    /// How long the driver was at it, waiting in vain included: of several threads, the longest.
    pub span: Duration,
    /// CPU time of the driver's threads. Waiting in a loop for the next message's time is not
    /// counted.
    pub driver: Duration,
    /// Of several threads, that of the busiest.
    pub busiest: Duration,
    /// What became of datagrams.
    pub datagrams: Datagrams,
    /// TLS handshakes.
    pub handshakes: Handshakes,
    /// Connections that the server has closed between two answers, as it had said (HTTP).
    pub closes: u64,
}

/// A message sent later than this after its time is called late: much more than a timer needs.
pub const LATE: u64 = 1_000_000;

/// Near enough to all of the time: a thread that works so much of it sets the rate.
pub const FULL: f64 = 0.95;

impl Tally {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The share of the time that the busiest thread of the driver worked. Near 1, it is the driver
    /// that sets the rate.
    pub fn driver_load(&self) -> f64 {
        self.busiest.as_secs_f64() / self.span.as_secs_f64().max(1e-9)
    }
}

impl AddAssign for Tally {
    /// Adds what another thread counted at the same time.
    fn add_assign(&mut self, other: Tally) {
        self.messages += other.messages;
        self.begun += other.begun;
        self.lines += other.lines;
        self.late += other.late;
        self.sent += other.sent;
        self.received += other.received;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.span = self.span.max(other.span);
        self.driver += other.driver;
        self.busiest = self.busiest.max(other.busiest);
        self.datagrams += other.datagrams;
        self.handshakes += other.handshakes;
        self.closes += other.closes;
    }
}

/// How long things took, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Times {
    /// From the intended send time to the last byte of the answer.
    pub latency: Histogram<u64>,
    /// From the actual send time.
    pub service: Histogram<u64>,
    /// In rooms, from the intended send time until the last of all has it.
    pub last: Histogram<u64>,
    /// From connect(2) until the connection was established.
    pub connect: Histogram<u64>,
    /// From then until the TLS handshake was finished.
    pub handshake: Histogram<u64>,
    /// From connect(2) to the first byte of the first answer.
    pub first_byte: Histogram<u64>,
}

impl Times {
    /// Nothing recorded yet.
    pub fn new() -> Times {
        Times {
            latency: histogram(),
            service: histogram(),
            last: histogram(),
            connect: histogram(),
            handshake: histogram(),
            first_byte: histogram(),
        }
    }

    /// Forgets the messages of a slice, but not how connections came about.
    pub fn clear_messages(&mut self) {
        self.latency.reset();
        self.service.reset();
        self.last.reset();
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::new()
    }
}

impl AddAssign<&Times> for Times {
    fn add_assign(&mut self, other: &Times) {
        for (to, from) in [
            (&mut self.latency, &other.latency),
            (&mut self.service, &other.service),
            (&mut self.last, &other.last),
            (&mut self.connect, &other.connect),
            (&mut self.handshake, &other.handshake),
            (&mut self.first_byte, &other.first_byte),
        ] {
            to.add(from).expect("all have the same bounds");
        }
    }
}

/// An empty histogram of times in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("the bounds are in order")
}

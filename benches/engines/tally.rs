//! How it is counted.

use std::iter::Sum;
use std::time::Duration;

/// What happened in a slice, or in many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Answers that came back complete and correct.
    pub messages: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// CPU time of the server.
    pub server: Duration,
    /// CPU time of the driver.
    pub driver: Duration,
}

impl Tally {
    /// Server CPU time per message, in nanoseconds.
    pub fn cost(&self) -> f64 {
        self.server.as_nanos() as f64 / self.messages as f64
    }

    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }

    /// How much of the time the driver was busy. Near 1, it is the driver that sets the rate.
    pub fn driver_load(&self) -> f64 {
        self.driver.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |a, b| Tally {
            messages: a.messages + b.messages,
            elapsed: a.elapsed + b.elapsed,
            server: a.server + b.server,
            driver: a.driver + b.driver,
        })
    }
}

//! A good client beside a hostile one: each of its messages has to come back, byte for byte, and it
//! notes how long that took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::arena::Arena;
use super::peer::Peer;
use super::verdict::Breach;
use crate::load::tally::histogram;
use crate::report::distribution::percentile;
use crate::report::numbers::duration;

/// Bytes of a message.
const MESSAGE: usize = 64;

/// Between an answer and the next message: it is a person who types fast, not a load.
const PAUSE: Duration = Duration::from_millis(1);

/// What a good client has seen.
#[derive(Clone, Debug)]
pub struct Testimony {
    /// Nanoseconds from each message to its answer.
    pub latency: Histogram<u64>,
}

impl Testimony {
    /// "p50 80.1 µs, p99 1.20 ms, at most 3.40 ms".
    pub fn told(&self) -> String {
        // There is no percentile of too few answers.
        let at = |percent| percentile(&self.latency, percent).map_or(f64::NAN, |ns| ns as f64);
        format!(
            "p50 {}, p99 {}, at most {}",
            duration(at(50.0)),
            duration(at(99.0)),
            duration(self.latency.max() as f64)
        )
    }
}

impl Arena {
    /// Runs `hostile` while a good client is served beside it, and gives what both have to say.
    /// Only of servers that echo.
    pub fn beside_a_witness<T>(
        &self,
        hostile: impl FnOnce() -> Result<T, Breach>,
    ) -> Result<(T, Testimony), Breach> {
        let over = AtomicBool::new(false);
        let mut witness = self.call().map_err(|breach| breach.of("a neighbour"))?;
        thread::scope(|scope| {
            let watched: ScopedJoinHandle<Result<Testimony, Breach>> =
                scope.spawn(|| self.converse(&mut witness, &over));
            let done = hostile();
            over.store(true, Ordering::Relaxed);
            let testimony = watched.join().expect("it does not panic");
            let done = done?;
            Ok((done, testimony.map_err(|breach| breach.of("a neighbour"))?))
        })
    }

    fn converse(&self, witness: &mut Peer, over: &AtomicBool) -> Result<Testimony, Breach> {
        let mut latency = histogram();
        let mut round = 0;
        // Once at least, or it has nothing to say.
        while round == 0 || !over.load(Ordering::Relaxed) {
            let message = self.pattern(round, MESSAGE);
            let since = Instant::now();
            witness.echoes(&message)?;
            latency.saturating_record(since.elapsed().as_nanos() as u64);
            round += 1;
            thread::sleep(PAUSE);
        }
        witness.finish(&[])?;
        Ok(Testimony { latency })
    }
}

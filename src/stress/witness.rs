//! A good client beside a hostile one: each of its messages has to come back, byte for byte, and it
//! notes how long that took.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::arena::{Arena, Protocol};
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
    /// "p50 80.1 µs, p99 1.20 ms, at most 3.40 ms", with the percentiles that so many answers give.
    pub fn told(&self) -> String {
        let percentiles =
            [("p50", 50.0), ("p99", 99.0)].into_iter().filter_map(|(name, percent)| {
                let nanos = percentile(&self.latency, percent)?;
                Some(format!("{name} {}, ", duration(nanos as f64)))
            });
        let most = duration(self.latency.max() as f64);
        format!("{}at most {most}", percentiles.collect::<String>())
    }
}

/// What is seen of a good client while it talks.
#[derive(Debug, Default)]
pub struct Company {
    answered: AtomicU64,
    over: AtomicBool,
    lost: AtomicBool,
}

impl Company {
    /// How often it was answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Its conversation has gone wrong: that decides, and nothing else is to be waited for.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Arena {
    /// Runs `hostile` while a good client is served beside it, and gives what both have to say.
    /// Only of servers that echo.
    pub fn beside_a_witness<T>(
        &self,
        hostile: impl FnOnce() -> Result<T, Breach>,
    ) -> Result<(T, Testimony), Breach> {
        self.in_company(|_| hostile())
    }

    /// The same, and what is to be said of the good client at the end of a sentence; of servers that
    /// do not echo, nothing.
    pub fn beside_anybody<T>(
        &self,
        hostile: impl FnOnce() -> Result<T, Breach>,
    ) -> Result<(T, String), Breach> {
        if self.protocol != Protocol::Echo {
            return Ok((hostile()?, String::new()));
        }
        let (done, neighbour) = self.beside_a_witness(hostile)?;
        Ok((done, format!("; a neighbour was answered in {}", neighbour.told())))
    }

    /// The same for one who looks at the good client meanwhile.
    pub fn in_company<T>(
        &self,
        hostile: impl FnOnce(&Company) -> Result<T, Breach>,
    ) -> Result<(T, Testimony), Breach> {
        let company = Company::default();
        let mut witness = self.call().map_err(|breach| breach.of("a neighbour"))?;
        thread::scope(|scope| {
            let watched: ScopedJoinHandle<Result<Testimony, Breach>> = scope.spawn(|| {
                let testimony = self.converse(&mut witness, &company);
                company.lost.store(testimony.is_err(), Ordering::Relaxed);
                testimony
            });
            let done = hostile(&company);
            company.over.store(true, Ordering::Relaxed);
            let testimony = watched.join().expect("it does not panic");
            let done = done?;
            Ok((done, testimony.map_err(|breach| breach.of("a neighbour"))?))
        })
    }

    fn converse(&self, witness: &mut Peer, company: &Company) -> Result<Testimony, Breach> {
        let mut latency = histogram();
        let mut round = 0;
        // Once at least, or it has nothing to say.
        while round == 0 || !company.over.load(Ordering::Relaxed) {
            let message = self.pattern(round, MESSAGE);
            let since = Instant::now();
            witness.echoes(&message)?;
            latency.saturating_record(since.elapsed().as_nanos() as u64);
            round += 1;
            company.answered.store(round, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
        witness.finish(&[])?;
        Ok(Testimony { latency })
    }
}

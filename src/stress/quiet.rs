//! A server that nobody asks anything of has nothing to do: whether its process sees it so, too.

use std::fs;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::verdict::Breach;

/// Part of the time from which on it is busy. A loop that spins is so all the time; who looks at a
/// clock now and then, less than a hundredth.
const BUSY: f64 = 0.2;

/// What is looked at, and how often if it was busy: it may have been about to finish something.
const STRETCH: Duration = Duration::from_millis(250);
const STRETCHES: usize = 8;

/// A server that was at rest when nobody was there.
#[derive(Clone, Copy, Debug)]
pub struct Quiet(());

impl Arena {
    /// Whether the server is at rest before anybody comes; not known without its process.
    pub fn is_quiet(&self) -> Result<Option<Quiet>, Breach> {
        let busy = self.least_busy()?;
        Ok(busy.filter(|busy| *busy < BUSY).map(|_| Quiet(())))
    }

    /// The same, or why it cannot be tried.
    pub fn must_be_quiet(&self) -> Result<Quiet, Breach> {
        self.needed_usage()?;
        let quiet = self.is_quiet()?;
        quiet.ok_or_else(|| Breach::skipped("the server is busy without anybody's doing"))
    }

    /// Whether one that was at rest `before` is so again while its peers only wait: how busy it is,
    /// as the end of a sentence.
    pub fn stays_quiet(&self, before: Option<Quiet>, meanwhile: &str) -> Result<String, Breach> {
        let busy = match before {
            Some(_) => self.least_busy()?,
            None => None,
        };
        match busy {
            None => Ok(String::new()),
            Some(busy) if busy < BUSY => {
                Ok(format!("; busy {:.1} % of the time {meanwhile}", busy * 100.0))
            }
            Some(busy) => Err(Breach::broken(format!(
                "the server is busy {:.0} % of the time {meanwhile}, and nobody asks anything of it",
                busy * 100.0
            ))),
        }
    }

    /// The part of a stretch of time in which the server is busy: the first one in which it is at
    /// rest, or the least. More than 1 where several of its threads are.
    fn least_busy(&self) -> Result<Option<f64>, Breach> {
        let Some(mut before) = self.busy()? else { return Ok(None) };
        let mut least = f64::INFINITY;
        for _ in 0..STRETCHES {
            let since = Instant::now();
            self.pause(STRETCH)?;
            let Some(after) = self.busy()? else { return Ok(None) };
            let busy = after.saturating_sub(before);
            least = least.min(busy.as_secs_f64() / since.elapsed().as_secs_f64());
            if least < BUSY {
                break;
            }
            before = after;
        }
        Ok(Some(least))
    }

    /// How long the threads alive have had something to do so far: on a CPU, or waiting for one
    /// (/proc/PID/schedstat, Linux's sched-stats.rst). CPU time alone is little for one who spins on a machine where all do.
    fn busy(&self) -> Result<Option<Duration>, Breach> {
        let Some(process) = &self.process else { return Ok(None) };
        let mut tree = process.lock().unwrap_or_else(PoisonError::into_inner);
        tree.refresh()?;
        let mut nanos = 0;
        for pid in tree.pids() {
            // It may have ended meanwhile.
            let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for thread in threads.flatten() {
                let times = fs::read_to_string(thread.path().join("schedstat"));
                let times = times.unwrap_or_default();
                let times = times.split_whitespace().take(2);
                nanos += times.filter_map(|time| time.parse::<u64>().ok()).sum::<u64>();
            }
        }
        // A kernel without these figures has none for anybody.
        Ok((nanos > 0).then_some(Duration::from_nanos(nanos)))
    }
}

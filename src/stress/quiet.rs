//! A server that nobody asks anything of has nothing to do: whether its process sees it so, too.

use std::time::{Duration, Instant};

use super::arena::Arena;
use super::verdict::Breach;

/// Part of a CPU from which on it is busy. A loop that spins gets more of the busiest machine; who
/// looks at a clock now and then needs less than a hundredth.
const BUSY: f64 = 0.05;

/// What is looked at, and how often if it was busy: it may have been about to finish something.
const STRETCH: Duration = Duration::from_millis(250);
const STRETCHES: usize = 8;

/// A server that was at rest when nobody was there.
#[derive(Clone, Copy, Debug)]
pub struct Quiet(());

impl Arena {
    /// Whether the server is at rest before anybody comes; not known without its process.
    pub fn is_quiet(&self) -> Result<Option<Quiet>, Breach> {
        let share = self.share_at_rest()?;
        Ok(share.filter(|share| *share < BUSY).map(|_| Quiet(())))
    }

    /// The same, or why it cannot be tried.
    pub fn must_be_quiet(&self) -> Result<Quiet, Breach> {
        self.needed_usage()?;
        let quiet = self.is_quiet()?;
        quiet.ok_or_else(|| Breach::skipped("the server is busy without anybody's doing"))
    }

    /// Whether one that was at rest `before` is so again while its peers only wait: what part of a
    /// CPU it uses, as the end of a sentence.
    pub fn stays_quiet(&self, before: Option<Quiet>, meanwhile: &str) -> Result<String, Breach> {
        let share = match before {
            Some(_) => self.share_at_rest()?,
            None => None,
        };
        match share {
            None => Ok(String::new()),
            Some(share) if share < BUSY => {
                Ok(format!("; {:.1} % of a CPU {meanwhile}", share * 100.0))
            }
            Some(share) => Err(Breach::broken(format!(
                "the server uses {:.0} % of a CPU {meanwhile}, and nobody asks anything of it",
                share * 100.0
            ))),
        }
    }

    /// The part of a CPU that the server uses in a stretch of time: the first one in which it is at
    /// rest, or the least.
    fn share_at_rest(&self) -> Result<Option<f64>, Breach> {
        let Some(mut before) = self.usage()? else { return Ok(None) };
        let mut least = f64::INFINITY;
        for _ in 0..STRETCHES {
            let since = Instant::now();
            self.pause(STRETCH)?;
            let Some(after) = self.usage()? else { return Ok(None) };
            let used = after.cpu.saturating_sub(before.cpu);
            least = least.min(used.as_secs_f64() / since.elapsed().as_secs_f64());
            if least < BUSY {
                break;
            }
            before = after;
        }
        Ok(Some(least))
    }
}

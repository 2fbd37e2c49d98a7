//! How fast a client may talk: a bucket of tokens that fills with time.

use std::time::{Duration, Instant};

use super::settings::Flood;

/// A bucket that was full at the start.
pub struct Bucket {
    flood: Flood,
    /// What was in it at `since`. Below zero, it was taken in advance.
    tokens: f64,
    since: Instant,
}

impl Bucket {
    pub fn new(flood: Flood, now: Instant) -> Bucket {
        Bucket { flood, tokens: flood.burst.into(), since: now }
    }

    /// Whether there is a token, and otherwise when there will be.
    pub fn look(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.tokens = (self.tokens + passed * self.flood.per_second).min(self.flood.burst.into());
        self.since = self.since.max(now);
        if self.tokens >= 1.0 {
            return Ok(());
        }
        let wait = (1.0 - self.tokens) / self.flood.per_second;
        Err(now + Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX / 4))
    }

    /// Takes what a line costs, in advance if need be.
    pub fn charge(&mut self, cost: u32) {
        self.tokens -= f64::from(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_time_has_to_pass() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Flood { burst: 3, per_second: 2.0 }, start);
        let mut take = |cost, now| bucket.look(now).map(|()| bucket.charge(cost));
        assert_eq!([1, 1, 1].map(|cost| take(cost, start)), [Ok(()); 3]);
        assert_eq!(take(1, start), Err(start + Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(take(3, later), Ok(()));
        // What was taken in advance is waited for, too.
        assert_eq!(take(1, later), Err(later + Duration::from_millis(1500)));
        let much_later = later + Duration::from_secs(3600);
        assert_eq!([1, 1, 1].map(|cost| take(cost, much_later)), [Ok(()); 3]);
        assert!(take(1, much_later).is_err());
    }
}

//! What a pass of the loop that took long was busy with. One thread serves everybody, so a session
//! that waits for something, or computes for long, holds up all others: this tells which it was.
//!
//! The clock that is read after each step is the coarse one, which the kernel sets a hundred times a
//! second and more (clock_gettime(2)): reading it takes some 5 ns and no system call whatever the
//! hardware, and a pass that is worth a line takes much longer than it is coarse.

use std::mem;
use std::time::{Duration, Instant};

use log::warn;
use nix::time::{ClockId, clock_gettime};

use crate::session::ConnectionId;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at the loop.
pub struct Watch {
    /// A pass that takes longer is slow.
    bound: Option<Duration>,
    /// When the last step ended.
    last: Duration,
    longest: Duration,
    step: Step,
    /// When the last line was written.
    told: Option<Instant>,
    /// Slow passes since.
    untold: u32,
}

/// What the loop does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A connection's session is told something.
    Tell(ConnectionId, &'static str),
    /// What waited for a connection's peer is offered to the kernel again.
    Flush(ConnectionId),
    /// Something that is not one connection's.
    Do(&'static str),
}

/// What a pass was.
pub struct Pass {
    pub began: Instant,
    pub took: Duration,
    pub events: usize,
    pub turns: usize,
}

impl Watch {
    pub fn new(bound: Option<Duration>) -> Watch {
        Watch {
            bound,
            last: Duration::ZERO,
            longest: Duration::ZERO,
            step: Step::Do("nothing"),
            told: None,
            untold: 0,
        }
    }

    /// A pass begins.
    pub fn begin(&mut self) {
        if self.bound.is_some() {
            self.last = coarse();
            self.longest = Duration::ZERO;
        }
    }

    /// That was this.
    pub fn end_step(&mut self, step: Step) {
        if self.bound.is_none() {
            return;
        }
        let now = coarse();
        let took = now.saturating_sub(self.last);
        self.last = now;
        if took > self.longest {
            (self.longest, self.step) = (took, step);
        }
    }

    /// The pass is over. Whether it was slow, which is logged.
    pub fn end(&mut self, pass: &Pass, whose: impl FnOnce(ConnectionId) -> String) -> bool {
        let Some(bound) = self.bound.filter(|bound| pass.took > *bound) else {
            return false;
        };
        if let Some(line) = self.line(pass, bound, whose) {
            warn!("{line}");
        }
        true
    }

    /// What is said of a slow pass, unless something was a moment ago.
    fn line(
        &mut self,
        pass: &Pass,
        bound: Duration,
        whose: impl FnOnce(ConnectionId) -> String,
    ) -> Option<String> {
        let Pass { began, took, events, turns } = *pass;
        let now = began + took;
        if self.told.is_some_and(|told| now - told < PAUSE) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        // The coarse clock may be ahead of the other.
        let longest = self.longest.min(took).as_millis();
        let step = match self.step {
            _ if longest == 0 => "no step of it alone".into(),
            Step::Tell(id, news) => format!("{longest} ms to tell {}: {news}", whose(id)),
            Step::Flush(id) => format!("{longest} ms to send what waited for {}", whose(id)),
            Step::Do(what) => format!("{longest} ms {what}"),
        };
        let more = match mem::take(&mut self.untold) {
            0 => String::new(),
            more => format!("; {more} more such passes since the last line"),
        };
        Some(format!(
            "a pass of the loop took {} ms, more than {} ms (--slow-pass), and everybody waited: \
             {step}, among {events} events and {turns} turns{more}",
            took.as_millis(),
            bound.as_millis()
        ))
    }
}

fn coarse() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_passes_are_told_once_a_second_and_the_others_are_counted() {
        let mut watch = Watch::new(Some(Duration::from_millis(100)));
        let start = Instant::now();
        let mut line = |millis| {
            let began = start + Duration::from_millis(millis);
            let pass = Pass { began, took: Duration::from_millis(150), events: 3, turns: 2 };
            watch.longest = Duration::from_millis(140);
            watch.step = Step::Tell(ConnectionId::new(4, 7), "receive");
            watch.line(&pass, Duration::from_millis(100), |id| format!("{id} (echo)"))
        };
        let first = line(0).unwrap();
        let what = "took 150 ms, more than 100 ms (--slow-pass), and everybody waited: 140 ms to tell \
                    #7 (echo): receive, among 3 events and 2 turns";
        assert!(first.ends_with(what), "{first}");
        assert_eq!([line(200), line(500), line(999)], [None, None, None]);
        assert!(line(1000).unwrap().ends_with("; 3 more such passes since the last line"));
        assert!(line(2100).unwrap().ends_with("turns"));
    }

    #[test]
    fn each_step_is_told_in_words() {
        for (step, words) in [
            (Step::Tell(ConnectionId::new(4, 7), "idle"), "140 ms to tell #7 (echo): idle"),
            (Step::Flush(ConnectionId::new(4, 7)), "140 ms to send what waited for #7 (echo)"),
            (Step::Do("to accept callers"), "140 ms to accept callers"),
        ] {
            let mut watch = Watch::new(Some(Duration::from_millis(100)));
            (watch.longest, watch.step) = (Duration::from_millis(140), step);
            let took = Duration::from_millis(150);
            let pass = Pass { began: Instant::now(), took, events: 3, turns: 2 };
            let line = watch.line(&pass, Duration::from_millis(100), |id| format!("{id} (echo)"));
            assert!(line.unwrap().ends_with(&format!(": {words}, among 3 events and 2 turns")));
        }
    }

    #[test]
    fn a_pass_within_the_bound_is_not_slow() {
        let whose = |_| unreachable!("nobody is told on");
        let pass = |millis| Pass {
            began: Instant::now(),
            took: Duration::from_millis(millis),
            events: 0,
            turns: 0,
        };
        assert!(!Watch::new(Some(Duration::from_millis(100))).end(&pass(100), whose));
        assert!(!Watch::new(None).end(&pass(10_000), whose));
        assert!(Watch::new(Some(Duration::from_millis(100))).end(&pass(101), |_| String::new()));
    }
}

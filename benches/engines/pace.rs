//! When it is sent: in closed loops, in which an answer makes room for the next message.

/// How far a client may be ahead of its answers, and when it leaves.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Messages in flight per client.
    pub depth: u64,
    /// Messages after which a client leaves and another comes; `None` if they all stay.
    pub leaves_after: Option<u64>,
}

impl Pace {
    /// Messages that a client with `answered` ones may have sent in all.
    pub fn goal(&self, answered: u64) -> u64 {
        let goal = answered + self.depth;
        self.leaves_after.map_or(goal, |last| goal.min(last))
    }
}

//! When it is sent: whenever an answer makes room (closed loop), or at its time (open loop).
//!
//! In a closed loop a slow answer delays the next question, so the slowest moments are sampled
//! least ("coordinated omission"). On a schedule they are sampled like all others.

/// How far a client may be ahead of its answers, and when it leaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Messages in flight per client at most.
    pub depth: Option<u64>,
    /// When messages are due; at once where there is none.
    pub schedule: Option<Schedule>,
    /// Messages after which a client leaves and another comes; `None` if they all stay.
    pub leaves_after: Option<u64>,
}

impl Pace {
    /// Each answer makes room for one message.
    pub fn closed(depth: u64) -> Pace {
        Pace { depth: Some(depth), ..Pace::default() }
    }

    /// Messages that a client with `answered` ones, of which `due` are due, may have begun in all.
    pub fn goal(&self, answered: u64, due: u64) -> u64 {
        let room = self.depth.map_or(u64::MAX, |depth| answered.saturating_add(depth));
        let due = self.schedule.map_or(u64::MAX, |_| due);
        room.min(due).min(self.leaves_after.unwrap_or(u64::MAX))
    }

    /// When a slice begins that a thread takes up `now`: with its schedule, though that be past. A
    /// thread that wakes late finds messages that are late; the time they are sent in is the same.
    pub fn beginning(&self, now: u64) -> u64 {
        self.schedule.map_or(now, |schedule| schedule.start)
    }
}

/// A fixed schedule: message k of all is sent by client k modulo `clients`, and each comes the same
/// time after the one before.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When the first message is due, in nanoseconds of the crowd's clock.
    pub start: u64,
    /// Messages per second, over all clients.
    pub rate: f64,
    /// All clients that send anything, those of other threads included.
    pub clients: usize,
}

impl Schedule {
    /// When the message `index` (from 0) of client `number` is due.
    pub fn due(&self, number: usize, index: u64) -> u64 {
        let message = index * self.clients as u64 + number as u64;
        self.start.saturating_add((message as f64 * 1e9 / self.rate) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_spaces_all_messages_evenly() {
        let schedule = Schedule { start: 5, rate: 1000.0, clients: 3 };
        let due: Vec<u64> =
            (0..7).map(|message| schedule.due(message % 3, message as u64 / 3)).collect();
        assert_eq!(due, [0, 1, 2, 3, 4, 5, 6].map(|k| 5 + k * 1_000_000));
    }

    #[test]
    fn a_slice_begins_with_its_schedule() {
        assert_eq!(Pace::closed(1).beginning(7), 7);
        for start in [5, 9] {
            let schedule = Schedule { start, rate: 1.0, clients: 1 };
            let open = Pace { schedule: Some(schedule), ..Pace::default() };
            assert_eq!(open.beginning(7), start);
        }
    }

    #[test]
    fn a_goal_is_what_every_rule_allows() {
        assert_eq!(Pace::closed(4).goal(10, 0), 14);
        let churn = Pace { leaves_after: Some(12), ..Pace::closed(4) };
        assert_eq!([5, 10, 12].map(|answered| churn.goal(answered, 0)), [9, 12, 12]);
        let schedule = Schedule { start: 0, rate: 1.0, clients: 1 };
        let open = Pace { schedule: Some(schedule), ..Pace::default() };
        assert_eq!(open.goal(0, 9), 9);
        let bounded = Pace { depth: Some(2), ..open };
        assert_eq!(bounded.goal(3, 9), 5);
    }
}

//! The workloads: who sends what, and when.

use std::time::Duration;

use crate::pace::Pace;

/// A crowd of clients and what they do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub clients: usize,
    /// Bytes of a message.
    pub message: u64,
    pub pace: Pace,
    /// Driver and contestants share one CPU.
    pub one_cpu: bool,
    /// Pairs of slices in a duel, and how long each slice is.
    pub pairs: usize,
    pub slice: Duration,
}

/// Short enough that what disturbs one slice disturbs its neighbour, too.
const SLICE: Duration = Duration::from_millis(20);

/// Enough for intervals of one or two per cent on a machine that does other things as well.
const PAIRS: usize = 50;

// A single client and its server are never busy at the same time, so one CPU is enough for both;
// with two of them, what is measured is how the scheduler moves them about.
const PING_PONG: Workload = Workload {
    name: "ping-pong-1",
    clients: 1,
    one_cpu: true,
    message: 64,
    pace: Pace { depth: 1, leaves_after: None },
    pairs: PAIRS,
    slice: SLICE,
};

const CROWD: Workload = Workload { one_cpu: false, ..PING_PONG };

/// All of them.
pub const WORKLOADS: [Workload; 7] = [
    PING_PONG,
    Workload { name: "ping-pong-64", clients: 64, ..CROWD },
    Workload { name: "ping-pong-1000", clients: 1000, ..CROWD },
    // Two such crowds must fit into 20,000 descriptors. A slice has to be longer than one round of
    // all clients.
    Workload {
        name: "ping-pong-9000",
        clients: 9000,
        slice: Duration::from_millis(160),
        pairs: 16,
        ..CROWD
    },
    Workload {
        name: "pipelined-64",
        clients: 64,
        pace: Pace { depth: 16, leaves_after: None },
        ..CROWD
    },
    Workload { name: "bulk-8", clients: 8, message: 64 * 1024, ..CROWD },
    Workload {
        name: "churn-16",
        clients: 16,
        pace: Pace { depth: 1, leaves_after: Some(1) },
        ..CROWD
    },
];

impl Workload {
    /// The same in a moment, to see that it works.
    pub fn smoke(self) -> Workload {
        Workload {
            clients: self.clients.min(100),
            pairs: 2,
            slice: Duration::from_millis(5),
            ..self
        }
    }
}

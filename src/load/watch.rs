//! What the threads of a run share: their clock, their counts, and the wish to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

/// What all threads of a run share.
#[derive(Debug)]
pub struct Watch {
    /// Ends the run: no new message is begun, and the answers still to come are waited for.
    pub stop: Arc<AtomicBool>,
    /// Messages answered so far.
    pub messages: AtomicU64,
    /// Clients connected so far.
    pub connected: AtomicU64,
    /// Where every clock of the run starts.
    pub epoch: Instant,
}

impl Watch {
    /// A run begins now.
    pub fn new() -> Watch {
        Watch {
            stop: Arc::default(),
            messages: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    /// Nanoseconds since the run began: the clock of its schedules.
    pub fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}

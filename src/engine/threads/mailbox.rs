//! Where mail for a connection of the thread engine waits for its second thread.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::counters::Counters;

/// A bounded queue of letters between the threads that post and the one that delivers.
pub struct Mailbox {
    counters: Arc<Counters>,
    letters: Mutex<Letters>,
    changed: Condvar,
}

#[derive(Default)]
struct Letters {
    queue: Vec<Arc<[u8]>>,
    bytes: usize,
    closed: bool,
    /// When it first had no room, since it was last emptied.
    refused: Option<Instant>,
    /// It stayed full, and nothing is taken any more.
    overflowed: bool,
    disturbed: bool,
}

impl Mailbox {
    /// An empty one.
    pub fn new(counters: Arc<Counters>) -> Mailbox {
        Mailbox { counters, letters: Mutex::default(), changed: Condvar::new() }
    }

    /// Puts a letter in, unless more than `limit` bytes wait. `false`: the letter was not taken.
    pub fn try_put(&self, letter: &Arc<[u8]>, limit: usize) -> bool {
        let mut letters = self.lock();
        let taken = !letters.is_full_for(letter, limit);
        if taken {
            letters.add(letter);
            self.counters.hold(1);
            self.changed.notify_all();
        } else {
            letters.refused.get_or_insert_with(Instant::now);
        }
        taken
    }

    /// The same, but while the box is full, it sleeps, until it has been full for `patience`: who
    /// waits for several waits no longer than for one. `false`: the box stayed full, and has taken
    /// its last letter.
    pub fn put(&self, letter: &Arc<[u8]>, limit: usize, patience: Duration) -> bool {
        let mut letters = self.lock();
        while letters.is_full_for(letter, limit) {
            let until = *letters.refused.get_or_insert_with(Instant::now) + patience;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || letters.overflowed {
                letters.overflowed = true;
                self.changed.notify_all();
                return false;
            }
            // Asleep here until the other peer has read: the backpressure between two clients.
            letters = self.wait(letters, left);
        }
        letters.add(letter);
        self.counters.hold(1);
        self.changed.notify_all();
        true
    }

    /// Sleeps until there is a letter. `false`: there will be none, for the box was closed, or has
    /// overflowed and given its last letters.
    pub fn wait_for_letters(&self) -> bool {
        let mut letters = self.lock();
        while letters.queue.is_empty() && !letters.closed && !letters.overflowed {
            letters = self.changed.wait(letters).unwrap_or_else(PoisonError::into_inner);
        }
        !letters.closed && !letters.queue.is_empty()
    }

    /// Takes all letters there are.
    pub fn take(&self) -> Vec<Arc<[u8]>> {
        let mut letters = self.lock();
        letters.refused = None;
        if !letters.queue.is_empty() {
            self.counters.hold(-(letters.queue.len() as i64));
        }
        if letters.bytes > 0 {
            letters.bytes = 0;
            self.changed.notify_all();
        }
        mem::take(&mut letters.queue)
    }

    /// No more letters: wakes whoever sleeps here.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether it stayed full once, and all that it had taken by then was delivered.
    pub fn has_overflowed(&self) -> bool {
        let letters = self.lock();
        letters.overflowed && letters.closed
    }

    /// Wakes the thread that only waits for the end.
    pub fn disturb(&self) {
        self.lock().disturbed = true;
        self.changed.notify_all();
    }

    /// Sleeps until the box is closed or its owner disturbed, for `patience` at most.
    pub fn wait_for_close(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut letters = self.lock();
        while !letters.closed && !mem::take(&mut letters.disturbed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            letters = self.wait(letters, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        letters: MutexGuard<'a, Letters>,
        left: Duration,
    ) -> MutexGuard<'a, Letters> {
        let waited = self.changed.wait_timeout(letters, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Mailbox {
    /// Letters that nobody took.
    fn drop(&mut self) {
        self.counters.hold(-(self.lock().queue.len() as i64));
    }
}

impl Letters {
    /// An empty box takes any letter, or one longer than the limit would never arrive; a closed one
    /// takes everything, for nobody will miss it.
    fn is_full_for(&self, letter: &Arc<[u8]>, limit: usize) -> bool {
        let full = self.bytes > 0 && self.bytes + letter.len() > limit;
        (self.overflowed || full) && !self.closed
    }

    fn add(&mut self, letter: &Arc<[u8]>) {
        self.bytes += letter.len();
        self.queue.push(letter.clone());
    }
}

//! Where mail for a connection of the thread engine waits for its second thread.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bounded queue of letters between the threads that post and the one that delivers.
#[derive(Default)]
pub struct Mailbox {
    letters: Mutex<Letters>,
    changed: Condvar,
}

#[derive(Default)]
struct Letters {
    queue: Vec<Arc<[u8]>>,
    bytes: usize,
    closed: bool,
    /// It stayed full, and nothing is taken any more.
    overflowed: bool,
    disturbed: bool,
}

impl Mailbox {
    /// Puts a letter in. While more than `limit` bytes wait, it sleeps, for `patience` at most.
    /// `false`: the box stayed full, and has taken its last letter. A closed box takes everything,
    /// for nobody will miss it.
    pub fn put(&self, letter: Arc<[u8]>, limit: usize, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut letters = self.lock();
        // An empty box takes any letter, or one longer than the limit would never arrive.
        let is_full = |letters: &Letters| {
            letters.overflowed || letters.bytes > 0 && letters.bytes + letter.len() > limit
        };
        while !letters.closed && is_full(&letters) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || letters.overflowed {
                letters.overflowed = true;
                return false;
            }
            // Asleep here until the other peer has read: the backpressure between two clients.
            letters = self.wait(letters, left);
        }
        letters.bytes += letter.len();
        letters.queue.push(letter);
        self.changed.notify_all();
        true
    }

    /// Takes all letters, asleep until there is one. `None`: the box was closed, or has overflowed
    /// and given its last letters.
    pub fn take(&self) -> Option<Vec<Arc<[u8]>>> {
        let mut letters = self.lock();
        while letters.queue.is_empty() && !letters.closed && !letters.overflowed {
            letters = self.changed.wait(letters).unwrap_or_else(PoisonError::into_inner);
        }
        if letters.closed || letters.queue.is_empty() {
            return None;
        }
        letters.bytes = 0;
        self.changed.notify_all();
        Some(mem::take(&mut letters.queue))
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

//! What did not come: when it is lost, whether to go on, and whose fault it was.

use super::{STRAGGLERS, Until, Volley, overflow};

/// A number of messages is not waited for any longer when so many of each client were lost in a row,
/// and nobody was answered for as many times the patience.
const IN_VAIN: u64 = 3;

impl Volley {
    /// Whether it is time to look what did not come.
    pub(super) fn glances(&mut self) -> bool {
        let is_time = self.now >= self.glanced + self.lookout.glance().as_nanos() as u64;
        if is_time {
            self.glanced = self.now;
        }
        is_time
    }

    /// What no answer has come for is lost, and makes room for more.
    pub(super) fn sweep(&mut self) {
        if !self.glances() {
            return;
        }
        let before = self.now.saturating_sub(self.patience());
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let lost = client.flights.give_up(before);
            if lost > 0 {
                client.settled += lost;
                self.flying -= lost as usize;
                self.tally.datagrams.lost += lost;
                self.in_a_row += lost;
                self.say(index);
            }
        }
    }

    /// Hears what has come already, and no more. Who goes on and on is not listened to for ever.
    pub(super) fn drain(&mut self) {
        self.tick();
        let latest = self.now + STRAGGLERS.as_nanos() as u64;
        self.draining = true;
        for index in 0..self.clients.len() {
            self.clients[index].readable = self.clients[index].socket.is_some();
            while self.clients[index].readable && self.now < latest {
                self.hear(index);
            }
        }
        self.draining = false;
    }

    /// Looks for its own fault, where anything was lost at all.
    pub(super) fn count_overflow(&mut self) {
        if self.tally.datagrams.lost == 0 {
            return;
        }
        let sockets = self.clients.iter().filter_map(|client| client.socket.as_ref());
        if let Some(dropped) = overflow::dropped(sockets) {
            let new = dropped.saturating_sub(self.overflowed);
            self.tally.datagrams.overflowed += new.min(self.tally.datagrams.lost);
            self.overflowed = dropped;
        }
    }

    /// Whether a number of messages is waited for, and nobody answers any more.
    pub(super) fn waits_in_vain(&self, until: &Until) -> bool {
        until.time.is_none()
            && self.in_a_row >= IN_VAIN * self.clients.len() as u64
            && self.now > self.answered + IN_VAIN * self.patience()
    }
}

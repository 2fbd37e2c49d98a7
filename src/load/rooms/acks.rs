//! When a talker lets the server's machine know what it has received.
//!
//! The kernel expects that whoever talks will do so again soon, and waits up to 40 ms for words that can
//! carry the news (delayed acknowledgements, RFC 1122, 4.2.3.2). A server that has not set TCP_NODELAY
//! says no more until it has the news (Nagle, RFC 896). Who only listens is not waited for.
//!
//! An acknowledgement of its own is a packet, and costs as much as a line. So one is sent only when
//! nothing else is to be done, or when it was owed for long enough to be missed.

use rustix::net::sockopt;

use super::{Member, Rooms};

/// How long one is owed at most where there is always something else to do.
const OWED: u64 = 1_000_000;

impl Rooms {
    /// Something has come.
    pub(super) fn owe(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.place >= self.talkers || !self.chat.quick_acks || member.owes {
            return;
        }
        member.owes = true;
        if self.owing.is_empty() {
            self.owing_since = self.now;
        }
        self.owing.push(index);
    }

    /// Sends those that are owed, if nothing else is to be done or it is time.
    pub(super) fn acknowledge(&mut self, idle: bool) {
        if !idle && self.now < self.owing_since + OWED {
            return;
        }
        for index in self.owing.drain(..) {
            let Member { line, owes, .. } = &mut self.members[index];
            // Who has talked since then has said it with that.
            if std::mem::take(owes)
                && let Some(stream) = &line.stream
            {
                // Where it cannot be had, the server waits: that is all.
                let _ = sockopt::set_tcp_quickack(stream, true);
            }
        }
    }
}

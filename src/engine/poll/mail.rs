//! Mail between connections of the poll engine: handed over at once, for there is one thread.

use std::{mem, slice};

use super::watch::Step;
use super::{Server, tenant};
use crate::engine::journal::End;
use crate::engine::{News, explain};
use crate::session::Mail;

/// Letters for which there is always room.
const LETTERS: usize = 16 * 1024;

/// What it is called where that took long.
const SENDING: &str = "to send mail";

impl Server {
    /// Hands on all mail that was posted. Whoever is cut off by it may post some more.
    pub(super) fn deliver_all(&mut self) {
        let mut letters = 0;
        while let Some(mail) = self.letters.pop_front() {
            self.deliver(&mail);
            letters += 1;
        }
        if letters > 0 {
            self.counters.letters.count(letters);
            self.counters.hold(letters as i64);
            self.watch.end_step(Step::Do("to hand on mail"));
        }
    }

    /// Hands mail to the session it is for. What that says is sent when there is no more news,
    /// so that many letters cost one write.
    fn deliver(&mut self, mail: &Mail) {
        let Some(connection) = tenant(&mut self.connections, mail.to) else {
            return;
        };
        if connection.is_over() {
            return;
        }
        self.output.clear();
        let letter = News::Deliver(slice::from_ref(&mail.bytes));
        connection.state = letter.tell(&mut *connection.session, &mut self.output).into();
        debug_assert!(self.output.take_mail().is_empty(), "deliver posts no mail");
        debug_assert!(self.output.take_wake().is_none(), "deliver asks for no wake");
        let blocked = connection.is_blocked();
        connection.hold(self.output.bytes(), self.limits.backlog_bytes);
        if !blocked && connection.has_new_mail() {
            self.mailed.push(mail.to);
        }
        if let Some(why) = self.output.take_failure() {
            self.fail(mail.to, End::Failed(why));
        }
        let Some(connection) = tenant(&mut self.connections, mail.to) else {
            return;
        };
        if connection.is_over() {
            // It may have nothing to send.
            self.queue(mail.to);
            return;
        }
        if connection.waiting() > self.limits.backlog_bytes {
            match connection.flush(self.clock.tick(), &self.counters) {
                Err(error) => self.close(mail.to, End::Broken(error)),
                Ok(()) if connection.waiting() > self.limits.backlog_bytes => {
                    self.overflow(mail.to);
                }
                Ok(()) => {}
            }
        }
    }

    /// Sends the mail that was held, and what those say of it who leave over it.
    pub(super) fn send_mail(&mut self) {
        loop {
            self.deliver_all();
            if self.mailed.is_empty() {
                self.letters.shrink_to(LETTERS);
                self.counters.hold_none();
                self.watch.end_step(Step::Do(SENDING));
                return;
            }
            let mut mailed = mem::take(&mut self.mailed);
            for id in mailed.drain(..) {
                let Some(connection) = tenant(&mut self.connections, id) else {
                    continue;
                };
                explain!("mail: {} bytes for {id}, one write for all", connection.waiting());
                match connection.flush(self.clock.tick(), &self.counters) {
                    Ok(()) => self.settle(id),
                    Err(error) => {
                        self.watch.end_step(Step::Do(SENDING));
                        self.close(id, End::Broken(error));
                    }
                }
            }
            self.mailed = mailed;
        }
    }
}

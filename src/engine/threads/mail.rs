//! Mail between connections of the thread engine: a thread can sleep in one place only, so whoever
//! gets mail has a second one, asleep on the mailbox.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Server, WAKE_AGAIN};
use crate::engine::News;
use crate::engine::journal::End;
use crate::session::{Mail, Want};

/// How long a full mailbox may hold up the client that posts to it, before its owner is given up.
const MAIL_PATIENCE: Duration = Duration::from_secs(1);

impl Server {
    /// Runs the conversation, with a second thread beside it where the session takes mail.
    pub(super) fn with_mail_thread(
        self: &Arc<Server>,
        connection: &Arc<Connection>,
        conversation: impl FnOnce() -> Result<End, End>,
    ) -> Result<End, End> {
        let Some(mailbox) = &connection.mailbox else {
            return conversation();
        };
        let (server, addressee) = (self.clone(), connection.clone());
        let name = format!("mail {}", connection.id);
        let mail_thread = self.spawn(name, move || server.deliver_mail(&addressee))?;
        let end = conversation();
        connection.over.store(true, Ordering::Relaxed);
        mailbox.close();
        // It may be asleep in `write`.
        let _ = connection.stream.shutdown(Shutdown::Both);
        let _ = mail_thread.join();
        end
    }

    /// Puts mail into mailboxes that have room. What is for the others comes back: they have to be
    /// waited for.
    pub(super) fn post(&self, mut mail: Vec<Mail>) -> Vec<Mail> {
        if !mail.is_empty() {
            self.counters.letters.add(mail.len() as u64);
        }
        let limit = self.limits.backlog_bytes;
        let mut full = Vec::new();
        mail.retain(|mail| {
            // What follows must not overtake what waits.
            let waits = full.contains(&mail.to)
                || self.receiver(mail).is_some_and(|receiver| {
                    let mailbox = receiver.mailbox.as_ref();
                    mailbox.is_some_and(|mailbox| !mailbox.try_put(&mail.bytes, limit))
                });
            if waits && !full.contains(&mail.to) {
                full.push(mail.to);
            }
            waits
        });
        mail
    }

    /// Puts mail into mailboxes, and waits for those that are full. Whoever does not make room in
    /// time is given up: it may have what waits, and its session's last words, if it takes them soon.
    pub(super) fn deliver(&self, mail: Vec<Mail>) {
        for mail in mail {
            let Some(receiver) = self.receiver(&mail) else {
                continue;
            };
            if let Some(mailbox) = &receiver.mailbox
                && !mailbox.put(&mail.bytes, self.limits.backlog_bytes, MAIL_PATIENCE)
            {
                receiver.give_up(Instant::now() + self.limits.linger);
            }
        }
    }

    /// Whom it is for; nobody where that one has left.
    fn receiver(&self, mail: &Mail) -> Option<Arc<Connection>> {
        let receiver = self.table().connections.get(mail.to.slot()).cloned();
        receiver.filter(|receiver| receiver.id == mail.to)
    }

    /// The second thread of a session that takes mail.
    fn deliver_mail(&self, connection: &Connection) {
        let Some(mailbox) = &connection.mailbox else {
            return;
        };
        // Asleep here until somebody posts.
        while mailbox.wait_for_letters() {
            // Its other thread may take them first, on its way to something else.
            match self.tell(connection, News::Deliver(&[])) {
                Ok(Want::Close) => break,
                Ok(_) => {}
                Err(end) => connection.cut_off(end),
            }
        }
        mailbox.close();
        // Its other thread may be asleep in `read`, or about to be.
        while !connection.over.load(Ordering::Relaxed) {
            connection.wake();
            thread::sleep(WAKE_AGAIN);
        }
    }
}

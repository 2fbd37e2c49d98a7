//! Mail between connections of the thread engine: a thread can sleep in one place only, so whoever
//! gets mail has a second one, asleep on the mailbox.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Server, WAKE_AGAIN};
use crate::engine::journal::End;
use crate::engine::{News, explain};
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

    /// Puts mail into the mailboxes of those it is for. Whoever has left gets none, and whoever
    /// does not make room in time is given up: it may have what waits, and its session's last words,
    /// if it takes them soon.
    pub(super) fn deliver(&self, mail: Vec<Mail>) {
        for Mail { to, bytes } in mail {
            let receiver = self.table().connections.get(to.slot()).cloned();
            let Some(receiver) = receiver.filter(|receiver| receiver.id == to) else {
                continue;
            };
            let Some(mailbox) = &receiver.mailbox else {
                continue;
            };
            if !mailbox.put(bytes, self.limits.backlog_bytes, MAIL_PATIENCE) {
                receiver.give_up(Instant::now() + self.limits.linger);
            }
        }
    }

    /// The second thread of a session that takes mail.
    fn deliver_mail(&self, connection: &Connection) {
        let Some(mailbox) = &connection.mailbox else {
            return;
        };
        // Asleep here until somebody posts.
        while let Some(letters) = mailbox.take() {
            explain!("{}: {} letters to deliver, one write for all", connection.id, letters.len());
            match self.tell(connection, News::Deliver(&letters)) {
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

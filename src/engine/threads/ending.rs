//! How connections of the thread engine end: finished, or because the server is stopping.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal::SIGURG;

use super::connection::{Connection, Talk};
use super::{Door, Server, Socket, WAKE_AGAIN};
use crate::engine::journal::{Departure, End};
use crate::engine::{LINGER_STOPPING, News, all_sent, explain};
use crate::session::Want;

/// How long threads may take to leave once their sockets were shut.
const LEAVE: Duration = Duration::from_secs(1);

/// The longest sleep while draining: the signal that has the figures logged wakes nobody there.
const LOOK_UP: Duration = Duration::from_secs(1);

impl Server {
    /// All is said, and the peer may still be sending: our end closes first, and what still comes
    /// is thrown away until its end does.
    pub(super) fn finish(
        &self,
        connection: &Connection,
        input: &mut [u8],
        received: &mut u64,
    ) -> Result<(), End> {
        // A peer with which its session has given up is not waited for when it takes nothing more.
        let linger = self.limits.linger;
        let most = if connection.cut.get().is_some() { linger.min(self.idle) } else { self.idle };
        let patience = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        loop {
            connection.noticed.store(self.stop.requested(), Ordering::Relaxed);
            // Asleep here until the kernel has sent what it took.
            match all_sent(&connection.stream, patience) {
                Ok(true) => break,
                Ok(false) => return Err(End::Idle),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        connection.stream.shutdown(Shutdown::Write)?;
        let since = Instant::now();
        loop {
            let stopping = self.stop.requested();
            connection.noticed.store(stopping, Ordering::Relaxed);
            let most = if stopping { LINGER_STOPPING } else { linger };
            explain!("{}: done: our end is closed, its end has {most:?}", connection.id);
            let left = most.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            connection.stream.set_read_timeout(Some(left))?;
            match (&connection.stream).read(input) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(n) => self.count_received(connection, received, n),
            }
        }
    }

    /// The only place where a connection ends: its session is told, mail no longer finds it, its
    /// socket is closed, its seat is free.
    pub(super) fn close(&self, connection: Arc<Connection>, received: u64, end: End) {
        let end = connection.cut.get().unwrap_or(&end);
        let why = end.why();
        let mail = {
            let Talk { session, output, want, overflowed, .. } = &mut *connection.talk();
            output.clear();
            if matches!(end, End::Slow) && *want != Want::Close && !*overflowed {
                // Its last words reach nobody, but others may have to hear of it.
                News::Overflow.tell(&mut **session, output);
            }
            News::End(&why).tell(&mut **session, output);
            output.take_mail()
        };
        self.counters.letters.add(mail.len() as u64);
        self.deliver(mail);
        self.table().connections.remove(connection.id.slot());
        self.journal.departed(&Departure {
            id: connection.id,
            peer: connection.peer,
            received,
            sent: connection.sent.load(Ordering::Relaxed),
            stayed: connection.opened.elapsed(),
            end,
            why: &why,
            service: connection.service,
        });
        explain!(
            "{}: its thread ends; slot {} is free for the next caller",
            connection.id,
            connection.id.slot()
        );
        drop(why);
        let (peer, watches) =
            (connection.peer, self.services[connection.service].is_for_watchers());
        drop(connection);
        let mut table = self.table();
        table.seats -= 1;
        match watches {
            true => table.watchers -= 1,
            false => table.admission.leave(peer.ip()),
        }
        drop(table);
        self.left.notify_all();
    }

    /// The stop was requested: serve what has arrived, refuse what comes, let everybody finish.
    pub(super) fn drain(&self, doors: Vec<Door>) {
        // An acceptor takes who is in the queue already, then finds that nobody is.
        for door in &doors {
            let _ = match &door.socket {
                Socket::Stream(listener) => listener.set_nonblocking(true),
                Socket::Datagram(socket) => socket.set_nonblocking(true),
            };
        }
        let mut acceptors: Vec<JoinHandle<()>> =
            doors.into_iter().flat_map(|door| door.threads).collect();
        let deadline = Instant::now() + self.limits.grace;
        let mut look_again = Instant::now();
        let mut table = self.table();
        loop {
            self.stop.log_if_asked();
            let now = Instant::now();
            let over = now >= deadline;
            if look_again <= now {
                acceptors.retain(|acceptor| !acceptor.is_finished());
                for acceptor in &acceptors {
                    let _ = pthread_kill(acceptor.as_pthread_t(), SIGURG);
                }
                // Those that wait for a seat.
                self.left.notify_all();
                let mut asleep = !acceptors.is_empty();
                for (_, connection) in table.connections.iter() {
                    if over {
                        connection.cut_off(End::Grace);
                    } else if !connection.noticed.load(Ordering::Relaxed) {
                        connection.wake();
                        asleep = true;
                    }
                }
                look_again = match asleep {
                    true => now + WAKE_AGAIN,
                    false if over => now + LEAVE,
                    false => deadline,
                };
            }
            if acceptors.is_empty() && table.seats == 0 || now >= deadline + LEAVE {
                return;
            }
            let waited = self.left.wait_timeout(table, LOOK_UP.min(look_again - now));
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

//! How connections of the poll engine end: finished, idle, or because the server is stopping.

use std::net::Shutdown;
use std::time::Duration;

use nix::poll::PollTimeout;

use super::connection::{Connection, State};
use super::watch::Step;
use super::{ACCEPT_BATCH, Server, tenant};
use crate::engine::journal::{Departure, End};
use crate::engine::{LINGER_STOPPING, News, QUEUE, all_sent, explain};
use crate::session::ConnectionId;

impl Server {
    /// All is said. Where the peer may still be sending, our end closes first, once the kernel has
    /// sent what it took.
    pub(super) fn finish(&mut self, id: ConnectionId) {
        let linger = if self.deadline.is_some() { LINGER_STOPPING } else { self.limits.linger };
        let Some(connection) = tenant(&mut self.connections, id) else {
            return;
        };
        if connection.eof {
            return self.close(id, End::Finished);
        }
        match all_sent(&connection.stream, PollTimeout::ZERO) {
            Ok(true) => {}
            // Looked at again when epoll tells that it is writable.
            Ok(false) => return,
            Err(error) => return self.close(id, End::Broken(error)),
        }
        explain!("{id} is done: our end closes, its end has {linger:?}");
        if let Err(error) = connection.stream.shutdown(Shutdown::Write) {
            return self.close(id, End::Broken(error));
        }
        connection.state = State::Linger;
        connection.readable = true;
        self.linger(id, linger);
        self.queue(id);
    }

    /// Its session gives up, and says why. A peer that takes nothing more is not waited for.
    pub(super) fn fail(&mut self, id: ConnectionId, why: End) {
        self.failures.insert(id, why);
        if tenant(&mut self.connections, id).is_some_and(|connection| !connection.eof) {
            self.linger(id, self.limits.linger);
        }
    }

    /// It does not read its mail. It may have what waits, and its session's last words, if it takes
    /// them soon.
    pub(super) fn overflow(&mut self, id: ConnectionId) {
        let Some(connection) = tenant(&mut self.connections, id) else {
            return;
        };
        self.output.clear();
        connection.state = News::Overflow.tell(&mut *connection.session, &mut self.output).into();
        connection.hold(self.output.bytes(), 0);
        self.output.move_mail(&mut self.letters);
        self.failures.insert(id, End::Slow);
        self.linger(id, self.limits.linger);
    }

    /// It ends when its peer does, and after this time in any case.
    fn linger(&mut self, id: ConnectionId, time: Duration) {
        let end = self.now + time;
        let end = self.lingering.time(id).map_or(end, |earlier| earlier.min(end));
        self.lingering.set(id, end);
    }

    /// The only place where a connection ends.
    pub(super) fn close(&mut self, id: ConnectionId, end: End) {
        if tenant(&mut self.connections, id).is_none() {
            return;
        }
        let mut connection = self.connections.remove(id.slot());
        self.lingering.remove(id);
        self.alarms.remove(id);
        let service = usize::from(connection.service);
        match self.services[service].is_for_watchers() {
            true => self.watchers -= 1,
            false => self.admission.leave(connection.peer.ip()),
        }
        let end = self.failures.remove(&id).unwrap_or(end);
        self.output.clear();
        let why = end.why();
        News::End(&why).tell(&mut *connection.session, &mut self.output);
        self.output.move_mail(&mut self.letters);
        explain!("{id} is closed; slot {} is free for the next caller", id.slot());
        let opened = Duration::from_millis(connection.opened);
        self.journal.departed(&Departure {
            id,
            peer: connection.peer,
            received: connection.received,
            sent: connection.sent,
            stayed: (self.now - self.start).saturating_sub(opened),
            end: &end,
            why: &why,
            service,
        });
        drop(connection);
        self.watch.end_step(Step::Tell(id, "end"));
    }

    /// Whatever is due by now. Ticks begin only while there are connections to look at.
    pub(super) fn expire(&mut self) {
        if self.rest.is_some_and(|until| until <= self.now) {
            self.rest = None;
        }
        while let Some(id) = self.lingering.take(self.now) {
            self.close(id, End::Finished);
        }
        while let Some(id) = self.alarms.take(self.now) {
            if tenant(&mut self.connections, id).is_some_and(|connection| !connection.is_over()) {
                explain!("{id} asked to be woken now; its session is told");
                self.tell(id, News::Wake);
            }
        }
        if self.clock.is_tick_over(self.now) {
            self.look_for_idle();
        }
        if !self.connections.is_empty() {
            self.clock.start_tick(self.now);
        }
    }

    fn look_for_idle(&mut self) {
        let is_looked_at = |connection: &Connection| {
            connection.is_blocked() || self.clock.is_idle(connection.progress)
        };
        for id in self.ids(is_looked_at) {
            // It may have been cut off by what another one posted.
            let Some(connection) = tenant(&mut self.connections, id) else {
                continue;
            };
            // A slow reader makes room long before epoll tells of it: a third of the send buffer. That
            // is looked for in each tick, or room made at the beginning would pass for new at the end.
            let before = connection.sent;
            let flushed = connection.flush(self.clock.tick(), &self.counters);
            self.watch.end_step(Step::Flush(id));
            if let Err(error) = flushed {
                self.close(id, End::Broken(error));
                continue;
            }
            if connection.sent > before {
                self.settle(id);
                continue;
            }
            if !self.clock.is_idle(connection.progress) {
                continue;
            }
            explain!("{id} has moved nothing for the idle time; its session is told");
            connection.progress = self.clock.tick();
            if !connection.is_over() {
                self.tell(id, News::Idle);
            }
            if tenant(&mut self.connections, id).is_some_and(|connection| connection.is_over()) {
                self.close(id, End::Idle);
            }
        }
    }

    pub(super) fn ids(&self, which: impl Fn(&Connection) -> bool) -> Vec<ConnectionId> {
        self.connections
            .iter()
            .filter(|(_, connection)| which(connection))
            .map(|(slot, connection)| ConnectionId::new(slot as u32, connection.serial))
            .collect()
    }

    /// The stop was requested: serve what has arrived, refuse what comes, let everybody finish.
    pub(super) fn drain(&mut self) {
        for listener in &mut self.listeners {
            listener.waiting = true;
        }
        // Who is in the queue now was there before the stop, or nearly so.
        for _ in 0..QUEUE as usize / ACCEPT_BATCH {
            self.accept();
        }
        self.listeners.clear();
        self.drain_datagrams();
        self.deadline = Some(self.now + self.limits.grace);
        explain!("stopping: {} connections finish what is in flight", self.connections.len());
        for id in self.ids(|_| true) {
            let connection = &mut self.connections[id.slot()];
            // What arrived before the stop may not have been told yet.
            connection.readable = !connection.eof;
            connection.hidden = true;
            if connection.state == State::Linger {
                self.linger(id, LINGER_STOPPING);
            }
            self.queue(id);
        }
    }
}

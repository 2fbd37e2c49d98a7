//! Datagrams have no connections, so there is no thread per client: a socket has one thread, or a
//! few, and each sleeps until something comes from anybody.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use log::debug;
use nix::sys::socket::MsgFlags;

use super::{Door, Server, Socket};
use crate::engine::exchange::Exchange;
use crate::engine::guard::Guard;
use crate::engine::{ACCEPT_PAUSE, AcceptFailure, accept_failure, explain};
use crate::session::Responder;

/// Batches that a thread still takes once the server is stopping, though datagrams keep coming: as
/// many as empty the largest receive buffer of small ones.
const LAST_BATCHES: usize = 512;

impl Server {
    /// Spawns the threads that take datagrams from `socket`.
    pub(super) fn receive(
        self: &Arc<Server>,
        socket: UdpSocket,
        responder: Arc<dyn Responder>,
        guard: Guard,
    ) -> io::Result<Door> {
        let (guard, socket) = (Arc::new(guard), Arc::new(socket));
        let receivers = (0..self.limits.receivers).map(|_| {
            let (server, shared) = (self.clone(), socket.clone());
            let (responder, guard) = (responder.clone(), guard.clone());
            thread::Builder::new()
                .name("receiver".into())
                .spawn(move || server.answer_datagrams(&shared, Exchange::new(responder, guard)))
        });
        let threads = receivers.collect::<io::Result<_>>()?;
        Ok(Door { socket: Socket::Datagram(socket), threads })
    }

    /// A receiver's thread.
    fn answer_datagrams(&self, socket: &UdpSocket, mut exchange: Exchange) {
        let mut last = LAST_BATCHES;
        while last > 0 {
            if self.stop.requested() {
                // What has arrived by now was there before the stop, or nearly so.
                last -= 1;
            }
            explain!("receiver: asleep in recvmmsg until datagrams come, from anybody");
            // Asleep here until there is one; those behind it come along.
            match exchange.turn(socket.as_fd(), MsgFlags::MSG_WAITFORONE, &self.journal) {
                Ok(_) => {}
                Err(error) => match accept_failure(&error) {
                    AcceptFailure::Caller => debug!("cannot take a datagram: {error}"),
                    // Only when stopping does the socket not block: it is empty.
                    AcceptFailure::Nobody => return,
                    AcceptFailure::Exhausted if self.stop.requested() => return,
                    AcceptFailure::Exhausted => {
                        self.journal.shortage(&format_args!("cannot take datagrams: {error}"));
                        thread::sleep(ACCEPT_PAUSE);
                    }
                },
            }
        }
    }
}

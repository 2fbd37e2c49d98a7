//! Datagrams beside connections, in the same loop: a bounded number of them, then the others' turns.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use log::debug;
use mio::{Interest, Registry, Token};
use nix::sys::socket::MsgFlags;

use super::Server;
use super::watch::Step;
use crate::engine::exchange::{BATCH, Exchange};
use crate::engine::guard::Guard;
use crate::engine::{ACCEPT_PAUSE, AcceptFailure, accept_failure};
use crate::session::Responder;

/// Batches of one socket before the connected clients get their turns again: a flood of datagrams
/// starves nobody.
const BATCHES: usize = 4;

/// Batches that a socket still gets once the server is stopping, though datagrams keep coming: as
/// many as empty the largest receive buffer of small ones.
const LAST_BATCHES: usize = 512;

/// A socket for datagrams.
pub struct Datagrams {
    socket: mio::net::UdpSocket,
    exchange: Exchange,
    /// Some may be waiting: the news of them was told, and will not be told again.
    pub waiting: bool,
    /// Taking them rests until then. Not while accepting does: a datagram needs no descriptor.
    pub rest: Option<Instant>,
}

impl Datagrams {
    pub fn new(
        socket: UdpSocket,
        responder: Arc<dyn Responder>,
        guard: Guard,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Datagrams> {
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::UdpSocket::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE)?;
        let exchange = Exchange::new(responder, Arc::new(guard));
        Ok(Datagrams { socket, exchange, waiting: false, rest: None })
    }

    /// Whether there may be something to take, and nothing forbids it.
    pub fn may_go_on(&self) -> bool {
        self.waiting && self.rest.is_none()
    }
}

impl Server {
    /// Takes and answers datagrams, some batches from each socket.
    pub(super) fn answer_datagrams(&mut self) {
        self.take_batches(BATCHES);
    }

    /// Answers what had arrived before the stop, or nearly so; from here on nobody is listening.
    pub(super) fn drain_datagrams(&mut self) {
        for datagrams in &mut self.datagrams {
            datagrams.waiting = true;
            datagrams.rest = None;
        }
        self.take_batches(LAST_BATCHES);
        self.datagrams.clear();
    }

    fn take_batches(&mut self, most: usize) {
        for datagrams in &mut self.datagrams {
            datagrams.rest = datagrams.rest.filter(|&until| until > self.now);
            for _ in 0..most {
                if !datagrams.may_go_on() {
                    break;
                }
                let socket = datagrams.socket.as_fd();
                match datagrams.exchange.turn(socket, MsgFlags::empty(), &self.journal) {
                    Ok(taken) => {
                        // Fewer, and the socket is empty.
                        datagrams.waiting = taken == BATCH;
                        self.watch.end_step(Step::Do("to answer datagrams"));
                    }
                    Err(error) => match accept_failure(&error) {
                        AcceptFailure::Caller => debug!("cannot take a datagram: {error}"),
                        AcceptFailure::Nobody => datagrams.waiting = false,
                        AcceptFailure::Exhausted => {
                            self.journal.shortage(&format_args!("cannot take datagrams: {error}"));
                            datagrams.rest = Some(self.now + ACCEPT_PAUSE);
                        }
                    },
                }
            }
        }
    }
}

//! Echo (RFC 862): everything comes back, in order, until the peer has said its last word.

use std::net::SocketAddr;

use crate::session::{ConnectionId, Output, Reply, Responder, Service, Session, Want};

/// The echo service. It keeps nothing between two calls, so it is its own session, and boxing it
/// allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Service for Echo {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Echo)
    }

    fn name(&self) -> &'static str {
        "echo"
    }
}

impl Session for Echo {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.repeat();
        Want::Read
    }
}

impl Responder for Echo {
    fn respond(&self, _from: SocketAddr, _datagram: &[u8], _reply: &mut Vec<u8>) -> Reply {
        Reply::Repeat
    }

    fn name(&self) -> &'static str {
        "echo"
    }
}

//! Discard (RFC 863): everything is read, nothing is answered.

use std::net::SocketAddr;

use crate::session::{ConnectionId, Output, Reply, Responder, Service, Session, Want};

/// The discard service, which is its own session.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl Service for Discard {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Discard)
    }

    fn name(&self) -> &'static str {
        "discard"
    }
}

impl Session for Discard {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want {
        Want::Read
    }
}

impl Responder for Discard {
    fn respond(&self, _from: SocketAddr, _datagram: &[u8], _reply: &mut Vec<u8>) -> Reply {
        Reply::None
    }

    fn reflects(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "discard"
    }
}

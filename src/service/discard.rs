//! Discard (RFC 863): everything is read, nothing is answered.

use std::net::SocketAddr;

use crate::session::{ConnectionId, Output, Service, Session, Want};

/// The discard service, which is its own session.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl Service for Discard {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Discard)
    }
}

impl Session for Discard {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want {
        Want::Read
    }
}

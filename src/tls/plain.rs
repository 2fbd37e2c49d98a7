//! The other way round: a service without TLS, called by somebody who believes it has it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::words::HANDSHAKE;
use crate::session::{ConnectionId, Output, Service, Session, Want};

/// A service on a port without TLS. A peer that begins with a TLS hello is let go, and the log says
/// why; otherwise an echo would look like a broken server to it, and discard like a silent one.
pub struct Plain(pub Arc<dyn Service>);

impl Service for Plain {
    fn accept(&self, peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        Box::new(Watched { inside: self.0.accept(peer, id), begun: false })
    }

    fn takes_mail(&self) -> bool {
        self.0.takes_mail()
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is_for_watchers(&self) -> bool {
        self.0.is_for_watchers()
    }

    fn refusal(&self) -> &'static [u8] {
        self.0.refusal()
    }
}

struct Watched {
    inside: Box<dyn Session>,
    /// The first words were looked at.
    begun: bool,
}

impl Session for Watched {
    fn open(&mut self, out: &mut Output) -> Want {
        self.inside.open(out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        if !self.begun {
            self.begun = true;
            if is_hello(input) {
                out.fail("a TLS hello, and this port has no TLS");
                return Want::Close;
            }
        }
        self.inside.receive(input, out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        self.inside.produce(out)
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        self.inside.deliver(mail, out)
    }

    fn eof(&mut self, out: &mut Output) -> Want {
        self.inside.eof(out)
    }

    fn idle(&mut self, out: &mut Output) -> Want {
        self.inside.idle(out)
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        self.inside.wake(out)
    }

    fn drain(&mut self, out: &mut Output) -> Want {
        self.inside.drain(out)
    }

    fn overflow(&mut self, out: &mut Output) {
        self.inside.overflow(out);
    }

    fn end(&mut self, why: &str, out: &mut Output) {
        self.inside.end(why, out);
    }
}

/// Whether it begins with a record that is a ClientHello and nothing else (RFC 8446, 4 and 5.1): by
/// chance, other bytes look like that once in 2^50 times.
fn is_hello(input: &[u8]) -> bool {
    let &[HANDSHAKE, 3, 0..=4, high, low, 1, 0, middle, last, ..] = input else {
        return false;
    };
    u32::from_be_bytes([0, 0, high, low]) == u32::from_be_bytes([0, 0, middle, last]) + 4
}

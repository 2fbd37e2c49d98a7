//! Chargen (RFC 864): an endless pattern of printable characters until the peer leaves; to a
//! datagram, as much of it as the datagram was long.
//!
//! The peer's own words are never read, for the session always wants to write: what it sends stays
//! in the kernel's buffer until the connection ends, as with inetd.

use std::net::SocketAddr;

use crate::session::{ConnectionId, Output, Reply, Responder, Service, Session, Want};

/// A line as RFC 864 suggests: 72 characters, CR, LF.
const LINE: usize = 74;
/// The printable ASCII characters, space to tilde. Each line starts one character further on.
const PRINTABLE: usize = 95;

/// The longest answer to a datagram (RFC 864).
const LONGEST: usize = 512;

/// All different lines, after which the pattern repeats.
static PATTERN: [u8; LINE * PRINTABLE] = pattern();

const fn pattern() -> [u8; LINE * PRINTABLE] {
    let mut bytes = [0; LINE * PRINTABLE];
    let mut at = 0;
    while at < bytes.len() {
        let (line, column) = (at / LINE, at % LINE);
        bytes[at] = match column {
            72 => b'\r',
            73 => b'\n',
            _ => b' ' + ((line + column) % PRINTABLE) as u8,
        };
        at += 1;
    }
    bytes
}

/// The chargen service.
#[derive(Clone, Copy, Debug)]
pub struct Chargen;

impl Service for Chargen {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Generator { at: 0 })
    }

    fn name(&self) -> &'static str {
        "chargen"
    }
}

impl Responder for Chargen {
    /// RFC 864 wants a random length of up to 512 characters. That made it a weapon: one byte with a
    /// forged sender sent him hundreds.
    fn respond(&self, _from: SocketAddr, datagram: &[u8], reply: &mut Vec<u8>) -> Reply {
        reply.extend_from_slice(&PATTERN[..datagram.len().min(LONGEST)]);
        Reply::Written
    }

    fn name(&self) -> &'static str {
        "chargen"
    }
}

/// One endless conversation.
struct Generator {
    /// Where in the pattern the next chunk starts.
    at: usize,
}

impl Session for Generator {
    fn open(&mut self, out: &mut Output) -> Want {
        self.produce(out)
    }

    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want {
        Want::Write
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        while !out.is_full() {
            let rest = &PATTERN[self.at..];
            let piece = &rest[..rest.len().min(out.room())];
            out.write(piece);
            self.at = (self.at + piece.len()) % PATTERN.len();
        }
        Want::Write
    }
}

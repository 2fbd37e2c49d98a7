//! Who falls out of its part in the middle.

use rustls::ContentType;

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const GARBAGE: Hostile = Hostile {
    name: "garbage-record",
    fault: "a server that passes on what it could not check, or goes on behind it, takes anybody's \
            words for its peer's",
    does: "comes through the handshake, and then sends random bytes, a record of the right form with \
           the wrong key, a record in the clear, and a second hello (renegotiation)",
    holds: "the connection ends, nothing of it comes through, and neighbours are untouched",
    seen_in: "renegotiation that was joined to what came before (CVE-2009-3555)",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

fn visit(arena: &Arena) -> Outcome {
    let mut random = arena.pattern(10, 4096);
    random[0] |= 0x80;
    let wrong_key = [[23, 3, 3, 0, 64].as_slice(), &arena.pattern(11, 64)].concat();
    let in_the_clear = [[23, 3, 3, 0, 5].as_slice(), b"hello"].concat();
    let (mut alerts, all) = (0, 3);
    let (renegotiated, neighbour) = arena.beside_a_witness(|| {
        for (what, record) in [
            ("random bytes", &random),
            ("a record with a wrong key", &wrong_key),
            ("a record in the clear", &in_the_clear),
        ] {
            let mut peer = arena.call()?;
            let words = arena.pattern(12, 100);
            if arena.protocol == Protocol::Echo {
                peer.echoes(&words)?;
            }
            // Past its side of TLS. All of it fits into an empty socket.
            std::io::Write::write_all(&mut &peer.socket, record)?;
            let heard = peer.outlast().map_err(|fault| Breach::from(fault).of(what))?;
            if arena.protocol == Protocol::Echo && !heard.is_empty() {
                return Err(Breach::broken(format!("{what} came through")));
            }
            alerts += usize::from(peer.broken() == Some(std::io::ErrorKind::InvalidData));
        }
        match arena.forger() {
            Ok(mut forger) => {
                // Without the head of its record.
                let hello = forger.record(ContentType::Handshake, &arena.hello()?[5..]);
                forger.peer.begin(&hello);
                let end = forger.peer.outlast();
                end.map_err(|fault| Breach::from(fault).of("a second hello"))?;
                Ok("and so did a second hello")
            }
            Err(Breach::Skipped(_)) => Ok("a second hello needs TLS 1.3"),
            Err(breach) => Err(breach),
        }
    })?;
    arena.serves()?;
    Ok(format!(
        "{all} kinds of garbage ended the connection, {alerts} with an alert, {renegotiated}; a \
         neighbour was answered in {}",
        neighbour.told()
    ))
}

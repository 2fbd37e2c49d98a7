//! Who leaves without the word for it.

use std::net::Shutdown;

use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const TRUNCATION: Hostile = Hostile {
    name: "truncation",
    fault: "a server that waits for close_notify waits for ever where only FIN comes",
    does: "closes its sending half (FIN) without close_notify: before the hello, behind it, behind the \
           handshake, and behind words",
    holds: "the connection ends each time, and what was said before was heard",
    seen_in: "clients that are killed; OpenSSL 3 reports it as \"unexpected eof while reading\"",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

fn visit(arena: &Arena) -> Outcome {
    let before = arena.is_quiet()?;
    let hello = arena.hello()?;
    for (what, words) in [("before the hello", &[][..]), ("behind the hello", &hello)] {
        let mut peer = arena.connect_plainly()?;
        peer.say(words)?;
        peer.end();
        peer.outlast().map_err(|fault| Breach::from(fault).of(what))?;
    }
    for (what, length) in [("behind the handshake", 0), ("behind words", 1000)] {
        let mut peer = arena.call()?;
        let words = arena.pattern(8, length);
        peer.say(&words)?;
        // It may have left by itself.
        let _ = peer.socket.shutdown(Shutdown::Write);
        let heard = peer.outlast().map_err(|fault| Breach::from(fault).of(what))?;
        if arena.protocol == Protocol::Echo {
            compare(&words, &heard)?;
            if heard.len() < length {
                return Err(Breach::broken(format!("{} of {length} bytes came", heard.len())));
            }
        }
    }
    let quiet = arena.stays_quiet(before, "afterwards")?;
    arena.serves()?;
    Ok(format!("4 connections ended behind FIN without close_notify{quiet}"))
}

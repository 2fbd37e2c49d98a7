//! Who speaks something else than TLS.

use crate::stress::arena::Arena;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const NO_TLS: Hostile = Hostile {
    name: "no-tls",
    fault: "a server that waits for the rest of a record which is none never answers; one that tries \
            the same bytes again spins",
    does: "says HTTP, zeros, 0xff, random bytes, a record that is too long, and records of unknown \
           kinds to the port of TLS",
    holds: "each is refused, and the connection ends; the server is quiet afterwards",
    seen_in: "people who write http:// for https://; port scanners",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

fn visit(arena: &Arena) -> Outcome {
    let before = arena.is_quiet()?;
    let mut garbage = arena.pattern(7, 16 * 1024);
    // None of the kinds of record that there are, 20 to 24.
    garbage[0] |= 0x80;
    let mut kinds = 0;
    for (what, words) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]),
        ("a greeting", b"EHLO localhost\r\n"),
        ("zeros", &[0; 4096]),
        ("0xff", &[0xff; 4096]),
        ("random bytes", &garbage),
        ("a record of 65,535 bytes", &[[22, 3, 1, 255, 255, 1].as_slice(), &[1; 600]].concat()),
        ("words before hello", &[[23, 3, 3, 0, 16].as_slice(), &[1; 16]].concat()),
        ("a hello of no sense", &[[22, 3, 1, 0, 16, 1, 0, 0, 12].as_slice(), &[9; 12]].concat()),
    ] {
        let mut peer = arena.connect_plainly()?;
        peer.begin(words);
        peer.outlast().map_err(|fault| Breach::from(fault).of(what))?;
        kinds += 1;
    }
    let quiet = arena.stays_quiet(before, "afterwards")?;
    arena.serves()?;
    Ok(format!("{kinds} kinds of words that are no TLS were refused{quiet}"))
}

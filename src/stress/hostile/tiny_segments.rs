//! Who sends a message byte by byte.

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const TINY_SEGMENTS: Hostile = Hostile {
    name: "tiny-segments",
    fault: "a server that takes what one read gives for what one write has sent",
    does: "sends a message in segments of one byte, then of 2, 3 and 7; over TLS the handshake and \
           the records, too",
    holds: "it comes back whole",
    seen_in: "telnet in character mode; whoever writes byte by byte with TCP_NODELAY",
    needs: Needs::of(Protocol::Echo),
    visit,
};

const PIECES: [usize; 4] = [1, 2, 3, 7];

/// Bytes of a message: no multiple of anything that a server may wait for.
const LENGTH: usize = 2003;

fn visit(arena: &Arena) -> Outcome {
    for piece in PIECES {
        let what = format!("pieces of {piece}");
        let mut peer = arena.connect()?.in_pieces_of(piece);
        let bytes = arena.pattern(piece as u64, LENGTH);
        let echoed = peer.shake_hands().and_then(|()| peer.echoes(&bytes));
        let ended = echoed.and_then(|()| peer.finish(&[]));
        ended.map_err(|fault| Breach::from(fault).of(&what))?;
    }
    Ok(format!("{} bytes came back from pieces of 1, 2, 3 and 7", count(LENGTH as u64)))
}

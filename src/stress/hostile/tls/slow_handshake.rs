//! Who shakes hands a byte at a time.

use crate::stress::arena::Arena;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SLOW_HANDSHAKE: Hostile = Hostile {
    name: "slow-handshake",
    fault: "a server that takes what one read brings for a whole record, or a whole hello, refuses \
            who comes over a slow path",
    does: "says each byte of the handshake, and of its first words, in a segment of its own",
    holds: "it comes through as others do, or is let go",
    seen_in: "middleboxes that a hello in two segments does not pass (tldr.fail, since post-quantum \
              hellos are that long)",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

/// Who comes so, one after the other.
const TIMES: usize = 3;

fn visit(arena: &Arena) -> Outcome {
    let mut let_go = 0;
    for number in 0..TIMES {
        let mut peer = arena.connect()?.in_pieces_of(1);
        match peer.shake_hands() {
            Ok(()) => arena.serves_over(peer, number as u64)?,
            Err(_) if peer.has_ended() => let_go += 1,
            Err(fault) => return Err(Breach::from(fault)),
        }
    }
    arena.serves()?;
    Ok(match let_go {
        0 => format!("{TIMES} came through in segments of a byte, and were served"),
        _ => format!("{let_go} of {TIMES} were let go, the others served"),
    })
}

//! Who begins to shake hands.

use crate::stress::arena::Arena;
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const UNFINISHED_HANDSHAKE: Hostile = Hostile {
    name: "unfinished-handshake",
    fault: "a server whose deadlines begin when somebody has come through the handshake lets others \
            hold their seats before it",
    does: "many at once say nothing, half a hello, or a hello and nothing more; a server of ours is \
           one whose --handshake-timeout is 3 s",
    holds: "each is let go, and others are served meanwhile",
    seen_in: "Go's net/http as it comes: ReadTimeout is not set, and ReadHeaderTimeout begins later",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

/// Who comes at once.
const SLOW: usize = 24;

fn visit(arena: &Arena) -> Outcome {
    let own = arena.own_if_ours("--handshake-timeout 3s")?;
    let arena = own.as_ref().map_or(arena, |own| &own.arena);
    let hello = arena.hello()?;
    let (released, neighbour) = arena.beside_a_witness(|| {
        let mut holders = Vec::new();
        for number in 0..SLOW {
            let mut peer = arena.connect_plainly()?;
            peer.say([&b""[..], &hello[..hello.len() / 2], &hello][number % 3])?;
            holders.push(peer);
        }
        arena.release(holders, b"")
    })?;
    arena.serves()?;
    Ok(format!("{}; a neighbour was answered in {}", released.shown(), neighbour.told()))
}

//! Who takes a seat and never says who it is.

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const NEVER_REGISTERS: Hostile = Hostile {
    name: "never-registers",
    fault: "a server that asks only who has registered whether it is there lets all others hold their \
            seats",
    does: "takes all seats of a small server of ours (--registration-timeout 1s), and says nothing, \
           half of its name, or a nick only; whoever comes then waits outside",
    holds: "the seats are free after that time, and who waits is served",
    seen_in: "servers that ping only who has registered",
    needs: Needs::of(Protocol::Chat),
    visit,
};

/// Seats of the server.
const SEATS: usize = 12;

fn visit(arena: &Arena) -> Outcome {
    let options = format!("--registration-timeout 1s --max-clients {SEATS}");
    let own = arena.own("", &options)?;
    let arena = &own.arena;
    let mut holders = Vec::new();
    for number in 0..SEATS {
        let mut peer = arena.call()?;
        peer.say([&b""[..], b"NI", b"NICK nobody\r\n"][number % 3])?;
        holders.push(peer);
    }
    // Nobody takes part in TLS before there is a seat.
    let mut outside = arena.connect()?;
    let released = arena.release(holders, b"")?;
    outside.shake_hands()?;
    arena.member_over(outside).map_err(|breach| breach.of("who waited outside"))?.leave()?;
    Ok(format!("{}, and who waited outside was served", released.shown()))
}

//! Who has left before anybody has looked who it is.

use std::time::Instant;

use crate::report::numbers::count;
use crate::stress::arena::Arena;
use crate::stress::peer::Peer;
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const IMMEDIATE_CLOSE: Hostile = Hostile {
    name: "immediate-close",
    fault: "accept, getpeername or the first option fails for one caller, and the server takes it \
            for its own failure",
    does: "connects and closes at once, connects and resets at once, one by one and by the score, so \
           that they wait in the queue and have left when they are accepted",
    holds: "who comes next is served, and nothing is left of them",
    seen_in: "nmap -sT; Stevens, UNIX Network Programming, section 5.11: connection abort before \
              accept returns",
    needs: Needs::ANYBODY,
    visit,
};

/// How many come together.
const BURSTS: [usize; 3] = [1, 20, 100];

/// How often they come.
const ROUNDS: usize = 10;

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let quiet = arena.is_quiet()?;
    let since = Instant::now();
    let (callers, neighbour) = arena.beside_anybody(|| {
        let mut callers = 0;
        for burst in BURSTS {
            for _ in 0..ROUNDS {
                for leave in [drop, Peer::reset] {
                    let burst = arena.gather(burst, |_| arena.connect())?;
                    callers += burst.len() as u64;
                    burst.into_iter().for_each(leave);
                }
                if arena.is_late(since) {
                    break;
                }
            }
        }
        Ok(callers)
    })?;
    arena.settles_to(before)?;
    arena.serves()?;
    let rest = arena.stays_quiet(quiet, "afterwards")?;
    Ok(format!("{} came and left at once{rest}{neighbour}", count(callers)))
}

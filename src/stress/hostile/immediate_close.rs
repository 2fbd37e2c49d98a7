//! Who has left before anybody has looked who it is.

use crate::report::numbers::count;
use crate::stress::arena::Arena;
use crate::stress::verdict::{Breach, Outcome};
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
    let (callers, neighbour) = arena.beside_anybody(|| {
        let mut callers = 0;
        for burst in BURSTS {
            for _ in 0..ROUNDS {
                let closing: Result<Vec<_>, Breach> = (0..burst).map(|_| arena.connect()).collect();
                drop(closing?);
                let resetting: Result<Vec<_>, Breach> =
                    (0..burst).map(|_| arena.connect()).collect();
                resetting?.into_iter().for_each(|peer| peer.reset());
                callers += 2 * burst as u64;
            }
        }
        Ok(callers)
    })?;
    arena.settles_to(before)?;
    arena.serves()?;
    let rest = arena.stays_quiet(quiet, "afterwards")?;
    Ok(format!("{} came and left at once{rest}{neighbour}", count(callers)))
}

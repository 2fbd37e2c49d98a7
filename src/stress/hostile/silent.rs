//! Who comes, sits down, and says nothing.

use crate::report::numbers::count;
use crate::stress::arena::Arena;
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const SILENT: Hostile = Hostile {
    name: "silent",
    fault: "a server that waits for one caller's first words serves nobody else",
    does: "connects many clients that never say a word, over TLS half of them not even hello, and \
           calls again and again beside them",
    holds: "who speaks is served, nothing spins, and when they leave their seats are free",
    seen_in: "Chrome, which connects ahead of requests that never come: Python's http.server hung on \
              it before 3.7 (bpo-31639)",
    needs: Needs::ANYBODY,
    visit,
};

/// How many sit there at most. They come one by one.
const MOST: usize = 400;

/// How many call beside them.
const CALLERS: u64 = 50;

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let quiet = arena.is_quiet()?;
    let (silent, neighbour) = arena.beside_anybody(|| {
        let come = |number: usize| match number % 2 {
            0 => arena.connect(),
            _ => arena.call(),
        };
        let silent = arena.gather(arena.clients.min(MOST), come)?;
        for number in 0..CALLERS {
            let served = arena.call().and_then(|mut peer| arena.speak(&mut peer, number));
            served.map_err(|breach| breach.of("who came after them"))?;
        }
        Ok(silent)
    })?;
    let rest = arena.stays_quiet(quiet, "while they sit there")?;
    let seats = count(silent.len() as u64);
    drop(silent);
    arena.settles_to(before)?;
    arena.serves()?;
    Ok(format!("beside {seats} who said nothing {CALLERS} were served{rest}{neighbour}"))
}

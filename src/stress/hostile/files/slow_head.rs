//! Who asks a letter at a time (Slowloris).

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SLOW_HEAD: Hostile = Hostile {
    name: "slow-head",
    fault: "a server that counts silence, and not the time of a whole head, lets a few slow askers \
            keep its seats for ever",
    does: "many at once say the head of a request, a letter every tenth of a second, and never its \
           empty line; a server of ours is a small one whose --head-timeout is a second",
    holds: "each is let go, with 408 or without a word, and others are served meanwhile",
    seen_in: "Slowloris (2009): Apache httpd before mod_reqtimeout",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Who comes at once: fewer than a small server has seats.
const SLOW: usize = 24;

fn visit(arena: &Arena) -> Outcome {
    let own = arena.own_if_ours("--head-timeout 1s")?;
    let arena = own.as_ref().map_or(arena, |own| &own.arena);
    let head = format!("{}X-Slow: {}", start(arena)?, "x".repeat(1 << 16));
    let (released, neighbour) = arena.beside_a_witness(|| {
        let holders = (0..SLOW).map(|_| arena.call()).collect::<Result<_, _>>()?;
        arena.release(holders, head.as_bytes())
    })?;
    for told in &released.told {
        let is_refused = told.is_empty() || told.starts_with(b"HTTP/1.1 408");
        if !is_refused && !told.starts_with(b"HTTP/1.1 4") {
            return Err(Breach::broken("a request was answered that had no end"));
        }
    }
    let told = released.told.iter().filter(|told| told.starts_with(b"HTTP/1.1 408")).count();
    arena.serves()?;
    Ok(format!(
        "{}, {told} of them with 408; a neighbour was answered in {}",
        released.shown(),
        neighbour.told()
    ))
}

fn start(arena: &Arena) -> Result<String, Breach> {
    let (host, path) = arena.known_page()?;
    Ok(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"))
}

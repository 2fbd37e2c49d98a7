//! Who comes, says one thing and leaves, again and again.

use std::time::Instant;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const CHURN: Hostile = Hostile {
    name: "churn",
    fault: "what a connection took is not given back on every way out: the server runs dry in a day",
    does: "connects, sends a message, hears it and closes; connects, sends one and resets; for as \
           long as --duration says",
    holds: "each is served, and afterwards no descriptor and no thread is left",
    seen_in: "health checks of load balancers (HAProxy's option tcp-check), which come every other \
              second for ever; ab without -k",
    needs: Needs::ANYBODY,
    visit,
};

/// Rounds at least, and at most: each leaves a port of this machine in TIME-WAIT.
const LEAST: u64 = 50;
const MOST: u64 = 500;

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let since = Instant::now();
    let (rounds, neighbour) = arena.beside_anybody(|| {
        let mut round = 0;
        let goes_on = |round| round < LEAST || (round < MOST && since.elapsed() < arena.duration);
        while goes_on(round) && (round == 0 || !arena.is_late(since)) {
            let mut closes = arena.call()?;
            arena.speak(&mut closes, round)?;
            if arena.protocol == Protocol::Echo {
                closes.finish(&[])?;
            }
            drop(closes);
            let mut resets = arena.call()?;
            arena.speak(&mut resets, round)?;
            resets.reset();
            round += 1;
        }
        Ok(round)
    })?;
    arena.settles_to(before)?;
    arena.serves()?;
    let left = if before.is_some() { ", and nothing is left of them" } else { "" };
    let rounds = count(rounds);
    Ok(format!("{rounds} came and closed, {rounds} came and reset{left}{neighbour}"))
}

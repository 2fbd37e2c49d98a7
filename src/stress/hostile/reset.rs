//! Who hangs up in the middle of anything.

use std::time::{Duration, Instant};

use crate::report::numbers::count;
use crate::stress::arena::Arena;
use crate::stress::peer::Peer;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const RESET: Hostile = Hostile {
    name: "reset",
    fault: "an error of one connection ends the server, or is not seen while it waits to write, and \
            its descriptor stays open",
    does: "sends RST before a byte, after a message, after an answer, with answers unread, with more \
           than the server can send, and after its own end",
    holds: "a neighbour does not notice, and afterwards no descriptor and no thread is left",
    seen_in: "whoever closes with data unread (RFC 1122, section 4.2.2.13): browsers, curl with \
              --max-filesize, every process that is killed",
    needs: Needs::ANYBODY,
    visit,
};

/// How often each is done: at once, and a moment later, when the server is further.
const ROUNDS: u64 = 20;

/// More than the server's kernel takes of its answers through a straw.
const MUCH: usize = 1 << 20;

type Stage = (&'static str, fn(&Arena, u64) -> Result<(), Breach>);

const STAGES: [Stage; 7] = [
    ("before a byte", |arena, round| {
        let peer = arena.connect()?;
        wait(arena, round)?;
        peer.reset();
        Ok(())
    }),
    ("before a message", |arena, round| {
        let peer = arena.call()?;
        wait(arena, round)?;
        peer.reset();
        Ok(())
    }),
    ("after a message", |arena, round| {
        let mut peer = arena.call()?;
        peer.begin(&arena.pattern(round, 64));
        wait(arena, round)?;
        peer.reset();
        Ok(())
    }),
    ("after an answer", |arena, round| {
        let mut peer = arena.call()?;
        arena.speak(&mut peer, round)?;
        wait(arena, round)?;
        peer.reset();
        Ok(())
    }),
    ("with more than the server can send", |arena, round| {
        let mut peer = arena.call_through_a_straw()?;
        peer.begin(&arena.pattern(round, MUCH));
        push_on(&mut peer, arena, round)?;
        peer.reset();
        Ok(())
    }),
    ("after its own end", |arena, round| {
        let mut peer = arena.call()?;
        peer.begin(&arena.pattern(round, 64));
        peer.end();
        wait(arena, round)?;
        peer.reset();
        Ok(())
    }),
    ("after its own end, with answers unread", |arena, round| {
        let mut peer = arena.call_through_a_straw()?;
        peer.begin(&arena.pattern(round, 64 * 1024));
        peer.end();
        push_on(&mut peer, arena, round)?;
        peer.reset();
        Ok(())
    }),
];

fn wait(arena: &Arena, round: u64) -> Result<(), Breach> {
    arena.pause(Duration::from_millis(round % 2))
}

fn push_on(peer: &mut Peer, arena: &Arena, round: u64) -> Result<(), Breach> {
    for _ in 0..10 * (round % 2) {
        arena.pause(Duration::from_millis(1))?;
        peer.begin(&[]);
    }
    Ok(())
}

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let quiet = arena.is_quiet()?;
    let since = Instant::now();
    let (resets, neighbour) = arena.beside_anybody(|| {
        let mut rounds = 0;
        while rounds < ROUNDS && (rounds < 2 || !arena.is_late(since)) {
            for (when, stage) in STAGES {
                stage(arena, rounds).map_err(|breach| breach.of(when))?;
            }
            rounds += 1;
        }
        Ok(rounds * STAGES.len() as u64)
    })?;
    arena.settles_to(before)?;
    arena.serves()?;
    let rest = arena.stays_quiet(quiet, "afterwards")?;
    let stages = STAGES.len();
    Ok(format!("{} resets at {stages} stages{rest}{neighbour}", count(resets)))
}

//! Who sends as fast as it can, and reads as fast as it is answered.

use std::time::Instant;

use crate::report::numbers::bytes;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const FLOOD: Hostile = Hostile {
    name: "flood",
    fault: "a server that reads one client until it has no more to say starves all others",
    does: "sends without a pause, and reads all that comes, while a neighbour sends a message now \
           and then",
    holds: "the neighbour is answered; the figure is how soon",
    seen_in: "loops that read until EAGAIN, as edges invite them to: epoll(7), on starvation",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// What it is ahead of its answers.
const WINDOW: usize = 1 << 20;

/// Answers to the neighbour without which it does not end: one who waits for the flood's end would
/// pass for slow otherwise.
const ANSWERS: u64 = 10;

fn visit(arena: &Arena) -> Outcome {
    let chunk = arena.pattern(1, 64 * 1024);
    let since = Instant::now();
    let (flooded, neighbour) = arena.in_company(|company| {
        let mut peer = arena.call()?;
        let (mut said, mut heard) = (0, 0);
        let before = company.answered();
        let is_over =
            || since.elapsed() >= arena.duration && company.answered() >= before + ANSWERS;
        while !is_over() && !company.is_lost() {
            while said - heard < WINDOW {
                peer.begin(&chunk);
                said += chunk.len();
            }
            let back =
                peer.hear(chunk.len()).map_err(|fault| Breach::from(fault).of("who floods"))?;
            compare(&chunk, &back)?;
            heard += back.len();
        }
        let owed: Vec<u8> = chunk.repeat((said - heard) / chunk.len());
        peer.finish(&owed)?;
        Ok(said)
    })?;
    let rate = flooded as f64 / since.elapsed().as_secs_f64();
    Ok(format!("beside {}/s a neighbour was answered in {}", bytes(rate), neighbour.told()))
}

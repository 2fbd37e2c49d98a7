//! Who does not come to an end.

use crate::report::numbers::bytes;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const HUGE_MESSAGE: Hostile = Hostile {
    name: "huge-message",
    fault: "a server that gathers a message before it answers, or forgets to forget what it has \
            answered, needs as much memory as anybody cares to send",
    does: "sends one message of 64 MiB, and reads what comes back meanwhile",
    holds: "all of it comes back, and the server's memory does not grow with it",
    seen_in: "curl -T - of a stream without end; servers that collect a body before they look at it",
    needs: Needs::of(Protocol::Echo),
    visit,
};

const CHUNK: usize = 256 * 1024;
const CHUNKS: u64 = 64 * 4;

/// How far the sender is ahead of what it has read, in chunks.
const AHEAD: u64 = 8;

/// What the server may hold for it.
const MEMORY: u64 = 16 << 20;

/// Chunks between two looks at the server's memory.
const LOOK: u64 = 64;

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let mut peer = arena.call()?;
    let mut most = 0;
    for number in 0..CHUNKS + AHEAD {
        if number < CHUNKS {
            peer.begin(&arena.pattern(number, CHUNK));
        }
        let Some(number) = number.checked_sub(AHEAD) else { continue };
        let back = peer.hear(CHUNK)?;
        let offset = number as usize * CHUNK;
        compare(&arena.pattern(number, CHUNK), &back).map_err(|fault| fault.after(offset))?;
        if let Some(before) = before
            && number % LOOK == LOOK - 1
            && let Some(now) = arena.usage()?
        {
            most = most.max(now.memory.saturating_sub(before.memory));
            if most > MEMORY {
                return Err(Breach::broken(format!(
                    "after {} of a message the server holds {} more than before it",
                    bytes((offset + CHUNK) as f64),
                    bytes(most as f64)
                )));
            }
        }
    }
    peer.finish(&[])?;
    let held = match before {
        Some(_) => format!(", and the server held {} for it", bytes(most as f64)),
        None => String::new(),
    };
    Ok(format!("{} came back{held}", bytes((CHUNKS as usize * CHUNK) as f64)))
}

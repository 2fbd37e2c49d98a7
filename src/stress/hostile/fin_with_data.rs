//! Who says it and leaves in one breath.

use std::time::Instant;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const FIN_WITH_DATA: Hostile = Hostile {
    name: "fin-with-data",
    fault: "a server that hears of the data and the end at once acts on the end",
    does: "sends a message and its end in one segment (MSG_MORE, then shutdown); over TLS record, \
           close_notify and FIN",
    holds: "the message comes back, and then the server's own end",
    seen_in: "nginx with tcp_nopush, whose last bytes and FIN share a segment; loops that look at \
              EPOLLRDHUP before EPOLLIN",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// Up to what fits into a segment of the loopback; on other ways the last of several has the FIN.
const LENGTHS: [usize; 4] = [1, 64, 1300, 32 * 1024];

/// How often each is sent: the server may hear of data and end together, or just not.
const ROUNDS: u64 = 25;

fn visit(arena: &Arena) -> Outcome {
    let since = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS && (rounds == 0 || !arena.is_late(since)) {
        for length in LENGTHS {
            let mut peer = arena.call()?;
            let bytes = arena.pattern(rounds, length);
            peer.end_with(&bytes);
            let ended = peer.ends_after(&bytes).map_err(Breach::from);
            ended
                .map_err(|breach| breach.of(&format!("{} bytes with FIN", count(length as u64))))?;
        }
        rounds += 1;
    }
    arena.serves()?;
    let messages = count(rounds * LENGTHS.len() as u64);
    Ok(format!("{messages} messages of 1 to {} bytes came back", count(LENGTHS[3] as u64)))
}

//! Who gets the place of one who has left in the middle.

use std::time::Instant;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::Peer;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SLOT_REUSE: Hostile = Hostile {
    name: "slot-reuse",
    fault: "late news, or bytes, of a former tenant reach the one who has its slot or descriptor now",
    does: "several send much and read nothing, reset all at once, and at once others connect; for as \
           long as --duration says",
    holds: "each newcomer hears its own bytes and no others, and is not hung up on",
    seen_in: "event loops with the descriptor as their token: epoll(7), questions and answers, on \
              event caches",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// How many leave and come at once.
const PEERS: u64 = 8;

/// What those who leave have not read: more than a kernel holds for them.
const MUCH: usize = 512 * 1024;

/// What newcomers send.
const MESSAGE: usize = 1000;

/// Rounds at least.
const LEAST: u64 = 10;

fn visit(arena: &Arena) -> Outcome {
    let since = Instant::now();
    let mut rounds = 0;
    let goes_on = |rounds| rounds < LEAST || since.elapsed() < arena.duration;
    while goes_on(rounds) && (rounds == 0 || !arena.is_late(since)) {
        let mut former = (0..PEERS)
            .map(|_| arena.call_through_a_straw())
            .collect::<Result<Vec<Peer>, Breach>>()?;
        for (number, peer) in (0..).zip(&mut former) {
            peer.begin(&arena.pattern(number, MUCH));
        }
        // Until the server has something to say that it cannot.
        for peer in &mut former {
            peer.hear(1)?;
            peer.begin(&[]);
        }
        former.into_iter().for_each(Peer::reset);
        let mut newcomers =
            (0..PEERS).map(|_| arena.call()).collect::<Result<Vec<Peer>, Breach>>()?;
        for (number, peer) in (PEERS..).zip(&mut newcomers) {
            let own = arena.pattern(number, MESSAGE);
            let heard = peer.echoes(&own).and_then(|()| peer.finish(&[]));
            heard.map_err(|fault| Breach::from(fault).of("a newcomer"))?;
        }
        rounds += 1;
    }
    Ok(format!("{} newcomers heard their own bytes only", count(rounds * PEERS)))
}

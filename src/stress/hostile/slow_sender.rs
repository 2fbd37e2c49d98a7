//! Who types a letter a second.

use std::time::Duration;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::{Peer, compare};
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const SLOW_SENDER: Hostile = Hostile {
    name: "slow-sender",
    fault: "a server that waits until it has enough for a read keeps what is short, and everybody \
            behind it; one that counts a byte as silence hangs up",
    does: "several at once send a byte a second, for as long as --duration says",
    holds: "each byte comes back before the next one is sent, and a neighbour is served meanwhile",
    seen_in: "telnet in character mode; Slowloris",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// How many type.
const SENDERS: u64 = 8;

/// Bytes of each at least.
const LEAST: usize = 2;

fn visit(arena: &Arena) -> Outcome {
    let bytes = LEAST.max(arena.duration.as_secs() as usize);
    let typed: Vec<Vec<u8>> = (0..SENDERS).map(|number| arena.pattern(number, bytes)).collect();
    let ((), neighbour) = arena.in_company(|company| {
        let mut peers = (0..SENDERS).map(|_| arena.call()).collect::<Result<Vec<Peer>, _>>()?;
        for place in 0..bytes {
            for (number, peer) in peers.iter_mut().enumerate() {
                peer.begin(&typed[number][place..=place]);
            }
            for (number, peer) in peers.iter_mut().enumerate() {
                compare(&typed[number][place..=place], &peer.hear(1)?)?;
            }
            // A second, in which the user may have had enough.
            for _ in 0..10 {
                arena.pause(Duration::from_millis(100))?;
            }
            if company.is_lost() {
                break;
            }
        }
        peers.iter_mut().try_for_each(|peer| peer.finish(&[]))?;
        Ok(())
    })?;
    Ok(format!(
        "{} bytes of each of {SENDERS}, one a second, came back one by one; a neighbour was answered \
         in {}",
        count(bytes as u64),
        neighbour.told()
    ))
}

//! Who calls some of its bytes urgent.

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::fault::Fault;
use crate::stress::peer::{Peer, compare};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const URGENT: Hostile = Hostile {
    name: "urgent",
    fault: "a read stops short of an urgent byte, and the server takes that for all there was; or the \
            byte is taken out of the stream (no SO_OOBINLINE); or the news of it never ends",
    does: "sends messages with an urgent byte (MSG_OOB) at the beginning, in the middle and at the \
           end, and one right before FIN",
    holds: "every byte comes back in its place (RFC 6093, section 6), and the server does not spin",
    seen_in: "telnet's Synch (RFC 854), ABOR of FTP (RFC 959)",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// Bytes of a message, and how many of it leave until the urgent one has.
const LENGTH: usize = 200;
const STAGES: [usize; 3] = [1, 100, 200];

const ROUNDS: u64 = 20;

fn visit(arena: &Arena) -> Outcome {
    let quiet = arena.is_quiet()?;
    let mut peer = arena.call()?;
    for round in 0..ROUNDS {
        for until in STAGES {
            // Behind what was urgent comes a byte at least: it tells whether that is missing.
            let bytes = arena.pattern(round, LENGTH + 1);
            let (urgent, rest) = bytes.split_at(until);
            peer.urge(urgent)?;
            peer.begin(rest);
            hear(&mut peer, &bytes, until)?;
        }
    }
    let rest = arena.stays_quiet(quiet, "while it waits for more")?;
    let bytes = arena.pattern(ROUNDS, LENGTH);
    peer.urge(&bytes)?;
    peer.finish(&bytes).map_err(|fault| Breach::from(fault).of("an urgent byte before FIN"))?;
    arena.serves()?;
    let urgent = count(ROUNDS * STAGES.len() as u64 + 1);
    Ok(format!("{urgent} urgent bytes came back in their places{rest}"))
}

/// All but the last byte come, whether the urgent one was left in the stream or not.
fn hear(peer: &mut Peer, due: &[u8], until: usize) -> Result<(), Breach> {
    let back = peer.hear(due.len() - 1)?;
    let without = [&due[..until - 1], &due[until..]].concat();
    if back == without && back != due[..back.len()] {
        return Err(Breach::broken(format!(
            "byte {} was urgent, and was taken out of the stream",
            count(until as u64 - 1)
        )));
    }
    compare(due, &back)?;
    let last = peer.hear(1)?;
    compare(&due[back.len()..], &last).map_err(|fault: Fault| fault.after(back.len()).into())
}

//! The signal to stop, in the middle of conversations.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::report::numbers::{count, duration};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SIGTERM: Hostile = Hostile {
    name: "sigterm",
    fault: "a server that is told to stop drops what has arrived, or takes new callers all the while",
    does: "halts a server of its own (SIGSTOP), has some say something, in the clear also callers whom \
           it has not accepted yet, sends SIGTERM, and lets it go on",
    holds: "newcomers are refused, all that had arrived is answered, idle peers get an end, and the \
            exit status is 0",
    seen_in: "nginx, whose fast shutdown SIGTERM is; Go and Node, where nothing catches it",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

const TALKERS: usize = 20;
const IDLE: usize = 20;

/// Who is in the listener's queue: as many as the shortest queues hold. Over TLS they could not have
/// said anything.
const QUEUED: usize = 4;

/// Bytes of what they have said; and of one whose answer is more than its kernel takes, so that the
/// server cannot be done before it reads.
const WORDS: usize = 50_000;
const MANY: usize = 1 << 20;

fn visit(arena: &Arena) -> Outcome {
    arena.on_own("", "", |own| {
        let mut peers = own.arena.seated(TALKERS)?;
        let mut idle = own.arena.seated(IDLE)?;
        let mut late = own.arena.talkers(own.arena.seated(1)?, MANY)?;
        let (mut talkers, since) = own.halted(|own| {
            for _ in 0..if own.arena.secure.is_some() { 0 } else { QUEUED } {
                peers.push(own.arena.connect()?);
            }
            let talkers = own.arena.talkers(peers, WORDS)?;
            Ok((talkers, own.signal(Signal::SIGTERM)?))
        })?;
        let refused = own.arena.refuses_newcomers()?;
        let mut answered = 0;
        for talker in talkers.iter_mut().chain(&mut late) {
            let came = talker.is_answered();
            answered += came.map_err(|fault| Breach::from(fault).of("who had said something"))?;
        }
        for peer in &mut idle {
            peer.ends_after(&[]).map_err(|fault| Breach::from(fault).of("an idle peer"))?;
        }
        let took = own.ends_with(0, since, Duration::ZERO)?;
        let ns = |time: Duration| duration(time.as_nanos() as f64);
        Ok(format!(
            "all that had arrived came back, {} bytes, {IDLE} idle peers were told, newcomers refused \
             after {}; exit status 0 after {}",
            count(answered as u64),
            ns(refused),
            ns(took)
        ))
    })
}

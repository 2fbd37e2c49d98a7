//! The signal to stop, with a crowd in the house.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::failure::time;
use crate::load::preflight;
use crate::report::numbers::{count, duration};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const DRAIN_OF_A_CROWD: Hostile = Hostile {
    name: "drain-of-a-crowd",
    fault: "a server that stops waits for clients who have nothing to say",
    does: "connects as many as --clients says to a server of its own, halts it (SIGSTOP), has a few \
           say something, sends SIGTERM, lets it go on, and has nobody leave",
    holds: "each gets an end, the few their answers before it, and the exit status is 0",
    seen_in: "Node's server.close() before version 19, which waited for idle keep-alive connections",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

const BUSY: usize = 8;

/// What each busy one has said and not heard yet: as much as a server's kernel takes while it is halted.
const WORDS: usize = 50_000;

/// What a connection may take, handshake and all, beyond the patience for all of them.
const EACH: Duration = Duration::from_millis(20);

/// Descriptors beside those of the crowd.
const BESIDE: usize = 64;

fn visit(arena: &Arena) -> Outcome {
    let room = preflight::room(BESIDE).map_err(Breach::skipped)?;
    if room < arena.clients {
        return Err(Breach::skipped(format!(
            "the limit on open files (ulimit -n) leaves room for {room} clients; lower --clients"
        )));
    }
    arena.on_own("", "", |own| {
        let mut idle = Vec::new();
        let (began, bound) = (Instant::now(), arena.patience + EACH * arena.clients as u32);
        for _ in 0..arena.clients {
            idle.push(own.arena.call().map_err(|breach| breach.of("one of the crowd"))?);
            if began.elapsed() > bound {
                return Err(Breach::skipped(format!(
                    "only {} of {} clients were in after {}; lower --clients",
                    count(idle.len() as u64),
                    count(arena.clients as u64),
                    time(bound)
                )));
            }
        }
        let peers = own.arena.seated(BUSY)?;
        let (mut busy, since) =
            own.halted(|own| Ok((own.arena.talkers(peers, WORDS)?, own.signal(Signal::SIGTERM)?)))?;
        let mut answered = 0;
        for talker in &mut busy {
            let came = talker.is_answered();
            answered += came.map_err(|fault| Breach::from(fault).of("who had said something"))?;
        }
        for peer in &mut idle {
            peer.ends_after(&[]).map_err(|fault| Breach::from(fault).of("an idle peer"))?;
        }
        let took = own.ends_with(0, since, Duration::ZERO)?;
        Ok(format!(
            "{} idle clients got an end, and {BUSY} busy ones {} bytes before it; exit status 0 after {}",
            count(arena.clients as u64),
            count(answered as u64),
            duration(took.as_nanos() as f64)
        ))
    })
}

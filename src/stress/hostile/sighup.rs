//! The signal that a closed terminal sends, and that some servers reload by.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SIGHUP: Hostile = Hostile {
    name: "sighup",
    fault: "SIGHUP, which nobody thought of, ends the server with answers on their way",
    does: "halts a server of its own (SIGSTOP), has some say something, sends SIGHUP, and lets it go on",
    holds: "all that had arrived is answered; then it goes on and serves everybody, or has stopped in \
            order: each peer gets an end, and the exit status is 0",
    seen_in: "every program that does not catch it: its default ends a process (signal(7))",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

const TALKERS: usize = 8;
const WORDS: usize = 50_000;

/// A server that has not begun to stop by then goes on.
const GOES_ON: Duration = Duration::from_secs(3);

fn visit(arena: &Arena) -> Outcome {
    arena.on_own("", "", |own| {
        let peers = own.arena.seated(TALKERS)?;
        let (mut talkers, since) =
            own.halted(|own| Ok((own.arena.talkers(peers, WORDS)?, own.signal(Signal::SIGHUP)?)))?;
        for talker in &mut talkers {
            let answer = talker.peer.hear(talker.said.len());
            answer
                .and_then(|answer| compare(&talker.said, &answer))
                .map_err(|fault| Breach::from(fault).of("who had said something"))?;
        }
        let heard = Instant::now();
        let stops = loop {
            talkers[0].peer.turn();
            match talkers[0].peer.has_ended() || own.started.status().is_some() {
                true => break true,
                false if heard.elapsed() > GOES_ON => break false,
                false => own.arena.pause(Duration::from_millis(2))?,
            }
        };
        let mut peers: Vec<_> = talkers.into_iter().map(|talker| talker.peer).collect();
        if !stops {
            own.arena.still_served(&mut peers)?;
            own.arena.serves()?;
            return Ok(format!("{TALKERS} conversations went on"));
        }
        for peer in &mut peers {
            peer.ends_after(&[])
                .map_err(|fault| Breach::from(fault).of("one of those connected"))?;
        }
        let took = duration(own.ends_with(0, since, Duration::ZERO)?.as_nanos() as f64);
        Ok(format!("{TALKERS} conversations were answered and ended; exit status 0 after {took}"))
    })
}

//! Who holds a seat and does nothing with it.

use std::time::{Duration, Instant};

use crate::failure::time;
use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const IDLE: Hostile = Hostile {
    name: "idle",
    fault: "who is silent, or has vanished with answers on their way, keeps a seat for ever",
    does: "takes the three seats of a server of its own: one peer is silent, one reads nothing of what \
           it is sent, one speaks; two others wait",
    holds: "the first two lose their seats to the others after --idle-timeout, and the third keeps it",
    seen_in: "MySQL's wait_timeout of eight hours; sockets without keepalive, for ever",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

const OPTIONS: &str = "--max-clients 3 --idle-timeout 2s";

/// What the second one says again and again.
const CHUNK: usize = 64 * 1024;

/// Between two words of the one who speaks: a small part of the idle time.
const PAUSE: Duration = Duration::from_millis(100);

/// An eighth of the idle time, by which an engine may be late, and as much again.
const LITTLE: Duration = Duration::from_millis(500);

/// Who was kept from speaking for so long, by a busy machine, may have been idle.
const STOOD_STILL: Duration = Duration::from_secs(1);

fn visit(arena: &Arena) -> Outcome {
    arena.on_own("", OPTIONS, |own| {
        let arena = &own.arena;
        let mut speaks = arena.call()?;
        let silent = arena.seated(1)?;
        let vanished = arena.stuck(&arena.pattern(1, CHUNK))?;
        let mut waiting = arena.callers(2)?;
        let since = Instant::now();
        let (mut said, mut longest) = (Instant::now(), Duration::ZERO);
        // Until both have seats, and a while longer: it must not lose its own a little later.
        let mut until = None;
        while until.is_none_or(|until| Instant::now() < until) {
            longest = longest.max(said.elapsed());
            said = Instant::now();
            if let Err(fault) = speaks.echoes(b"still here") {
                return Err(match longest > STOOD_STILL {
                    true => Breach::skipped(format!(
                        "this machine stood still for {}, which looks like an idle peer",
                        time(longest)
                    )),
                    false => Breach::from(fault).of("who was not idle"),
                });
            }
            waiting.look()?;
            if waiting.waiting() == 0 && until.is_none() {
                until = Some(Instant::now() + LITTLE);
                // They leave at once, or they would be idle themselves.
                waiting.served.clear();
            }
            if since.elapsed() > arena.patience && until.is_none() {
                return Err(Breach::broken(format!(
                    "{} of two idle peers had their seats after {}, with {OPTIONS}",
                    waiting.waiting(),
                    time(since.elapsed())
                )));
            }
            arena.pause(PAUSE)?;
        }
        drop((silent, vanished));
        speaks.finish(&[])?;
        let took = duration(since.elapsed().as_nanos() as f64);
        Ok(format!(
            "a silent peer and one that reads nothing lost their seats; in {took} a third did not"
        ))
    })
}

//! Who has told a server to stop, and does not want to wait.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const SECOND_SIGNAL: Hostile = Hostile {
    name: "second-signal",
    fault: "a server that drains cannot be ended but by SIGKILL",
    does: "sends SIGTERM to a server of its own that a peer which does not read holds for a minute, and \
           then SIGTERM again",
    holds: "the second one ends it at once, with exit status 130",
    seen_in: "every handler that only sets a flag",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

/// What it says again and again.
const CHUNK: usize = 64 * 1024;

fn visit(arena: &Arena) -> Outcome {
    arena.on_own("", "--grace 60s", |own| {
        let holds_it = own.arena.stuck(&own.arena.pattern(1, CHUNK))?;
        own.signal(Signal::SIGTERM)?;
        // Two signals in one moment are one to the kernel.
        own.arena.refuses_newcomers()?;
        let since = own.signal(Signal::SIGTERM)?;
        let took = duration(own.ends_with(130, since, Duration::ZERO)?.as_nanos() as f64);
        drop(holds_it);
        Ok(format!("exit status 130, {took} after the second signal"))
    })
}

//! A server that runs out of descriptors.

use std::time::Duration;

use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::shortage::Shortage;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const FILES_EXHAUSTED: Hostile = Hostile {
    name: "files-exhausted",
    fault: "EMFILE on accept ends the server, or makes it try again and again without a rest",
    does: "lowers the server's limit on open files (prlimit) to what it has, calls, looks at its CPU \
           time, has some leave, and puts the limit back",
    holds: "it lives and rests, those connected are served, and who waits is served once others leave",
    seen_in: "level-triggered loops, as libev's manual warns: \"accept()ing when you can't\"",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

/// Who has a connection before, and how many of them leave.
const SEATED: usize = 8;
const LEAVE: usize = 4;

/// As many as the shortest queues of listeners hold.
pub(super) const WAITING: usize = 4;

/// How long nothing happens while they wait, and the share of a CPU that is no rest. One that tries
/// again ten times a second needs a hundredth of that.
pub(super) const QUIET: Duration = Duration::from_millis(500);
pub(super) const SPINS: f64 = 0.1;

fn visit(arena: &Arena) -> Outcome {
    let before = arena.needed_usage()?;
    let mut seated = arena.seated(SEATED)?;
    let shortage = Shortage::of_files(arena)?;
    let callers = WAITING + shortage.left;
    let mut waiting = arena.callers(callers)?;
    let cpu = rests(arena)?;
    arena.still_served(&mut seated)?;
    waiting.look()?;
    if waiting.served.len() == callers {
        return Err(Breach::skipped("it needs no descriptor of its own for a caller"));
    }
    for mut peer in seated.drain(..LEAVE) {
        peer.finish(&[])?;
    }
    let took = waiting.until_all_are_served("others had left")?;
    let refused = waiting.refused;
    drop(shortage);
    arena.still_served(&mut seated)?;
    arena.serves()?;
    drop(seated);
    arena.settles_to(Some(before))?;
    let sent_away = match refused {
        0 => String::new(),
        n => format!("; {n} were sent away and called again"),
    };
    Ok(format!(
        "without a descriptor left it used {:.1} % of a CPU; who waited was served {} after others \
         had left{sent_away}",
        cpu * 100.0,
        duration(took.as_nanos() as f64)
    ))
}

/// The server's share of a CPU while callers wait whom it cannot have.
pub(super) fn rests(arena: &Arena) -> Result<f64, Breach> {
    let share = arena.cpu_share(QUIET)?;
    match share > SPINS {
        true => Err(Breach::broken(format!(
            "it used {:.0} % of a CPU while all it had to do was to wait",
            share * 100.0
        ))),
        false => Ok(share),
    }
}

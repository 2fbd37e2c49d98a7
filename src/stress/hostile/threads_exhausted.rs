//! A server that cannot have another thread.

use std::fs;

use rustix::process::geteuid;

use super::files_exhausted::{WAITING, rests};
use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::shortage::Shortage;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const THREADS_EXHAUSTED: Hostile = Hostile {
    name: "threads-exhausted",
    fault: "a thread or process that cannot be had for a caller ends the server, or is tried for \
            without a rest",
    does: "lowers the server's limit on processes (prlimit), calls, looks at its CPU time, and puts \
           the limit back",
    holds: "it lives and rests, those connected are served, and who waits is served afterwards",
    seen_in: "std::thread::spawn of Rust, which panics where the thread cannot be had",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

/// The limit does not hold root, so root's servers run as somebody else. All that is kept is the right
/// to look into every folder: the program may be in one that is not for others.
const SOMEBODY: &str = "setpriv --reuid=64321 --regid=64321 --clear-groups \
                        --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search";

const SEATED: usize = 4;

fn visit(arena: &Arena) -> Outcome {
    if arena.starter.is_none() {
        return run_out(arena);
    }
    let prefix = if geteuid().is_root() { SOMEBODY } else { "" };
    arena.on_own(prefix, "", |own| run_out(&own.arena))
}

fn run_out(arena: &Arena) -> Outcome {
    for pid in arena.pids()? {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        if line.and_then(|line| line.split_whitespace().next()) == Some("0") {
            return Err(Breach::skipped(format!(
                "a limit on processes does not hold root, whose process {pid} is; start the server \
                 as somebody else"
            )));
        }
    }
    let mut seated = arena.seated(SEATED)?;
    let threads = arena.needed_usage()?.threads;
    let shortage = Shortage::of_threads(arena)?;
    let mut waiting = arena.callers(WAITING)?;
    let cpu = 100.0 * rests(arena)?;
    arena.still_served(&mut seated)?;
    waiting.look()?;
    let at_once = waiting.served.len();
    drop(shortage);
    let took = waiting.until_all_are_served("threads could be had again")?;
    arena.still_served(&mut seated)?;
    arena.serves()?;
    let served = match (at_once, waiting.refused) {
        (WAITING, _) => "all were served all the same: it needs none for a caller".into(),
        (_, 0) => format!(
            "who waited was served {} after they could be had",
            duration(took.as_nanos() as f64)
        ),
        (_, n) => format!("{n} were sent away, and served when they called again"),
    };
    Ok(format!("with its {threads} threads and none more it used {cpu:.1} % of a CPU; {served}"))
}

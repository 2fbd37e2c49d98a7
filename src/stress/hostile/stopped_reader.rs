//! Who asks for more and more, and reads none of it.

use std::fs;
use std::time::{Duration, Instant};

use crate::report::numbers::bytes;
use crate::stress::arena::{Arena, Protocol, Usage};
use crate::stress::peer::Peer;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const STOPPED_READER: Hostile = Hostile {
    name: "stopped-reader",
    fault: "a server that reads on keeps in memory what it cannot send: one client eats all of it",
    does: "several send without a pause and never read, until the server takes no more",
    holds: "the server stops reading from them, or hangs up; it holds a bounded amount for each, does \
            not spin, and serves a neighbour meanwhile",
    seen_in: "a terminal that was stopped with Ctrl-S; node's write(), which buffers without bound \
              when its answer is ignored",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// How many never read.
const READERS: u64 = 4;

/// What a server may hold in memory for each. Buffers of servers are some hundred kilobytes; 1,000
/// who do not read would make gigabytes of more.
const MEMORY: u64 = 8 << 20;

/// What a server may take of each besides what kernels hold: more than any buffer that has a bound.
const BESIDES: usize = 64 << 20;

/// Its memory is looked at when it has taken so much more of one.
const LOOK: usize = 4 << 20;

/// It takes no more when nothing has moved for so long, and a neighbour was answered so often
/// meanwhile.
const STILL: Duration = Duration::from_millis(500);
const ANSWERS: u64 = 50;

struct Reader {
    peer: Peer,
    taken: usize,
    /// How often memory was looked at for it.
    looked: usize,
    moved: Instant,
    answered: u64,
    cut: bool,
}

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let quiet = arena.is_quiet()?;
    let (readers, neighbour) = arena.in_company(|company| {
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let peer = arena.call_through_a_straw()?;
            let (moved, answered) = (Instant::now(), 0);
            readers.push(Reader { peer, taken: 0, looked: 0, moved, answered, cut: false });
        }
        let chunk = arena.pattern(1, 64 * 1024);
        let most = BESIDES + kernels_share();
        while !company.is_lost() {
            let (now, answered) = (Instant::now(), company.answered());
            let mut moved = false;
            for reader in readers.iter_mut().filter(|reader| !reader.cut) {
                let taken = reader.peer.offer(&chunk);
                reader.cut = taken.is_err();
                if taken.as_ref().is_ok_and(|taken| *taken > 0) {
                    reader.taken += taken.unwrap_or(0);
                    (reader.moved, reader.answered, moved) = (now, answered, true);
                }
                if reader.taken / LOOK != reader.looked {
                    reader.looked = reader.taken / LOOK;
                    held(arena, before)?;
                }
                if reader.taken > most {
                    return Err(Breach::broken(format!(
                        "the server took {} from one who never read, and would have taken more",
                        bytes(reader.taken as f64)
                    )));
                }
            }
            let is_still = |reader: &Reader| {
                now - reader.moved > STILL && answered >= reader.answered + ANSWERS
            };
            if readers.iter().all(|reader| reader.cut || is_still(reader)) {
                break;
            }
            if !moved {
                arena.pause(Duration::from_millis(1))?;
            }
        }
        Ok(readers)
    })?;
    let held = held(arena, before)?;
    let rest = arena.stays_quiet(quiet, "while they do not read")?;
    let taken = readers.iter().map(|reader| reader.taken).max().unwrap_or(0);
    let cut = readers.iter().filter(|reader| reader.cut).count();
    readers.into_iter().for_each(|reader| reader.peer.reset());
    arena.settles_to(before)?;
    arena.serves()?;
    let cut = if cut > 0 { format!(", then hung up on {cut}") } else { String::new() };
    let held = held.map(|held| format!(", {} in memory for each", bytes(held as f64)));
    Ok(format!(
        "took {} at most of {READERS} who never read{cut}{}{rest}; a neighbour was answered in {}",
        bytes(taken as f64),
        held.unwrap_or_default(),
        neighbour.told()
    ))
}

/// What the server's process holds for each, which is not too much.
fn held(arena: &Arena, before: Option<Usage>) -> Result<Option<u64>, Breach> {
    let (Some(before), Some(now)) = (before, arena.usage()?) else { return Ok(None) };
    let held = now.memory.saturating_sub(before.memory) / READERS;
    match held > MEMORY {
        true => Err(Breach::broken(format!(
            "the server holds {} in memory for each of {READERS} who do not read",
            bytes(held as f64)
        ))),
        false => Ok(Some(held)),
    }
}

/// What the kernels of both sides may hold on the way, if the server's is set up as ours: the largest
/// buffers for receiving and sending (tcp(7), tcp_rmem and tcp_wmem).
fn kernels_share() -> usize {
    let most = |name: &str| -> Option<usize> {
        let sizes = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
        sizes.split_whitespace().last()?.parse().ok()
    };
    most("tcp_rmem").unwrap_or(6 << 20) + most("tcp_wmem").unwrap_or(4 << 20)
}

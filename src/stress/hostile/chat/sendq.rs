//! Who is in a busy room and stops reading.

use std::ops::Range;
use std::time::Instant;

use crate::failure::time;
use crate::report::numbers::{bytes, count};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::irc::Member;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SENDQ: Hostile = Hostile {
    name: "sendq",
    fault: "a server that waits for who does not read stops the room; one that does not wait holds \
            all of it in memory, or drops lines of others",
    does: "a member of a busy room stops reading, until it is let go; a server of ours is one that \
           lets talk as fast as anybody can (--flood off) and has a SendQ of 64 KiB",
    holds: "the room hears all lines, in order and unchanged, and then that it left (SendQ exceeded, \
            or as the server calls it)",
    seen_in: "every IRC server has a SendQ for this",
    needs: Needs::of(Protocol::Chat),
    visit,
};

/// Lines between two looks whether everybody has heard them: of one who may talk as fast as it can,
/// and of one whose lines may have to wait, in a queue that is no larger than that on some servers.
const BATCH: usize = 50;
const FEW: usize = 5;

/// Bytes of the text of a line: some servers cut what is longer than that.
const TEXT: usize = 380;

/// With less than this it cannot be told: kernels and queues may keep it.
const LEAST: usize = 16 << 20;

fn visit(arena: &Arena) -> Outcome {
    let own = arena.own_if_ours("--flood off --backlog-bytes 64KiB")?;
    let batch = if own.is_some() { BATCH } else { FEW };
    let arena = own.as_ref().map_or(arena, |own| &own.arena);
    let (mut members, room) = arena.room(3, 3)?;
    let mut stuck = arena.member_over(arena.call_through_a_straw()?)?;
    stuck.begin(&format!("JOIN {room}"));
    stuck.until(|line| line.command == "366")?;
    for member in &mut members {
        member.until(|line| line.is(&stuck.nick, "JOIN"))?;
    }
    let mut speaker = members.remove(0);
    let (since, mut said, mut left) = (Instant::now(), 0, None);
    while left.is_none() {
        if since.elapsed() > arena.patience {
            let enough = said * TEXT > LEAST;
            let (said, time) = (bytes((said * TEXT) as f64), time(arena.patience));
            return Err(match enough {
                true => Breach::broken(format!(
                    "{said} were said in the room in {time}, and who does not read is there still"
                )),
                false => Breach::skipped(format!(
                    "the server hears {said} in {time}: too little to fill a queue"
                )),
            });
        }
        for number in said..said + batch {
            speaker.begin(&format!("PRIVMSG {room} :{}", text(number)));
        }
        // Nobody is further behind than this, so nobody else is let go.
        speaker.settle()?;
        for listener in &mut members {
            let reason = hear(listener, &speaker.nick, &stuck.nick, said..said + batch)
                .map_err(|breach| breach.of("who listens"))?;
            left = left.or(reason);
        }
        said += batch;
    }
    arena.serves()?;
    Ok(format!(
        "all {} lines came in order to each of {}; who did not read left within {} ({:?})",
        count(said as u64),
        members.len(),
        bytes((said * TEXT) as f64),
        left.unwrap_or_default()
    ))
}

fn text(number: usize) -> String {
    format!("{number:0>TEXT$}")
}

/// Hears the lines of a batch, and why somebody left meanwhile.
fn hear(
    listener: &mut Member,
    speaker: &str,
    stuck: &str,
    lines: Range<usize>,
) -> Result<Option<String>, Breach> {
    let (mut left, mut number) = (None, lines.start);
    while number < lines.end {
        let line = listener.hear()?;
        if line.is(stuck, "QUIT") {
            left = Some(line.last().to_owned());
        } else if line.is(speaker, "PRIVMSG") && line.last() == text(number) {
            number += 1;
        } else {
            let (due, came) = (count(number as u64), line.shown());
            return Err(Breach::broken(format!("{came} in place of line {due}")));
        }
    }
    Ok(left)
}

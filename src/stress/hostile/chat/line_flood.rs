//! Who talks as fast as it can.

use std::time::Instant;

use crate::failure::time;
use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::irc::unique;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const LINE_FLOOD: Hostile = Hostile {
    name: "line-flood",
    fault: "a server that hears each client until it is silent hears only the one who never is",
    does: "says lines to a room of its own, and asks who somebody is, without a pause",
    holds: "a neighbour is answered; the flood may be let go, slowed down, or heard",
    seen_in: "every IRC server has a flood control for this (RFC 1459, 8.10)",
    needs: Needs::of(Protocol::Chat),
    visit,
};

/// Lines that are said at once.
const BATCH: usize = 100;

fn visit(arena: &Arena) -> Outcome {
    let ((taken, took, end), neighbour) = arena.beside_a_witness(|| {
        let mut member = arena.member()?;
        let room = format!("#{}", unique('s'));
        member.begin(&format!("JOIN {room}"));
        member.until(|line| line.command == "366")?;
        let nick = member.nick.clone();
        let line = format!("PRIVMSG {room} :{}\r\nWHOIS {nick}\r\n", "x".repeat(100));
        let batch = line.repeat(BATCH / 2);
        let peer = &mut member.peer;
        let (since, mut taken, mut end) = (Instant::now(), 0, None);
        while since.elapsed() < arena.duration && end.is_none() {
            while peer.sip(65_536) > 0 {}
            peer.take_heard();
            match peer.offer(batch.as_bytes()) {
                _ if peer.has_ended() => end = Some("and then it was let go"),
                Ok(0) => arena.pause(std::time::Duration::from_millis(5))?,
                Ok(n) => taken += n,
                Err(_) => end = Some("and then it was let go"),
            }
        }
        Ok((taken * BATCH / batch.len(), since.elapsed(), end))
    })?;
    if taken == 0 {
        return Err(Breach::broken("nothing of it was taken at all"));
    }
    arena.serves()?;
    Ok(format!(
        "{} lines went out in {}, {}; a neighbour was answered in {}",
        count(taken as u64),
        time(took),
        end.unwrap_or("and it could stay"),
        neighbour.told()
    ))
}

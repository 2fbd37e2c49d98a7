//! A room that leaves at one moment.

use std::collections::BTreeMap;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const DISCONNECT_STORM: Hostile = Hostile {
    name: "disconnect-storm",
    fault: "a server that tells each of those who leave of all the others does the square of the work, \
            or tells who is gone already; one that loses count keeps ghosts",
    does: "two hundred members of a room leave by a reset (RST) at the same moment",
    holds: "those who stay hear of each that it left, once, and NAMES has them only",
    seen_in: "netsplits; ghosts whose nick is still in use",
    needs: Needs::of(Protocol::Chat),
    visit,
};

/// Members of the room.
const MEMBERS: usize = 202;

fn visit(arena: &Arena) -> Outcome {
    let (mut members, room) = arena.room(MEMBERS.min(arena.clients + 2), 4)?;
    let mut staying = members.split_off(members.len() - 2);
    let mut gone: Vec<String> = members.iter().map(|member| member.nick.clone()).collect();
    gone.sort_unstable();
    members.into_iter().for_each(|member| member.peer.reset());
    let mut stay: Vec<String> = staying.iter().map(|member| member.nick.clone()).collect();
    stay.sort_unstable();
    for member in &mut staying {
        let mut heard: BTreeMap<String, usize> = BTreeMap::new();
        while heard.len() < gone.len() {
            let line = member.until(|line| line.command == "QUIT").map_err(|breach| {
                breach.of(&format!("behind {} of {} departures", heard.len(), gone.len()))
            })?;
            *heard.entry(line.who).or_default() += 1;
        }
        for line in member.settle()? {
            if line.command == "QUIT" {
                *heard.entry(line.who).or_default() += 1;
            }
        }
        if let Some((nick, times)) = heard.iter().find(|(_, times)| **times > 1) {
            return Err(Breach::broken(format!("{nick} left {times} times")));
        }
        if !heard.keys().eq(&gone) {
            return Err(Breach::broken("others left than did"));
        }
        let names = member.names(&room)?;
        if names != stay {
            return Err(Breach::broken(format!("NAMES has {names:?} in place of {stay:?}")));
        }
    }
    arena.serves()?;
    Ok(format!("{} left at one moment, and both who stayed heard each once", {
        count(gone.len() as u64)
    }))
}

//! Many who come and go.

use std::collections::BTreeMap;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const JOIN_STORM: Hostile = Hostile {
    name: "join-storm",
    fault: "a server whose list of members and whose news of them are two things tells the room other \
            members than it has",
    does: "a dozen clients join and leave a room (JOIN, PART) without waiting for any answer, and stay \
           or go in the end as it comes",
    holds: "who stays in the room hears each one come and go in turns, as often as it did, and NAMES \
            agrees",
    seen_in: "desyncs, a classic of IRC networks",
    needs: Needs::of(Protocol::Chat),
    visit,
};

const MEMBERS: usize = 12;

/// How often each comes, and goes.
const TIMES: usize = 12;

fn visit(arena: &Arena) -> Outcome {
    let (mut watching, room) = arena.room(1, 1)?;
    let mut observer = watching.pop().expect("there is one");
    let mut members = Vec::new();
    while members.len() < MEMBERS {
        match arena.member() {
            Ok(member) => members.push(member),
            Err(Breach::Interrupted) => return Err(Breach::Interrupted),
            Err(_) if members.len() > 1 => break,
            Err(breach) => return Err(breach),
        }
    }
    let fate = arena.pattern(5, members.len());
    let mut due = BTreeMap::new();
    for (member, fate) in members.iter_mut().zip(fate) {
        let stays = fate % 2 == 0;
        let mut words = format!("JOIN {room}\r\nPART {room}\r\n").repeat(TIMES);
        if stays {
            words += &format!("JOIN {room}\r\n");
        }
        member.peer.begin(words.as_bytes());
        due.insert(member.nick.clone(), 2 * TIMES + usize::from(stays));
    }
    let mut own = 0;
    for member in &mut members {
        let nick = member.nick.clone();
        let is_own = |who: &str| who == nick;
        let lines = member.settle()?;
        let moves = lines
            .iter()
            .filter(|line| is_own(&line.who) && matches!(&line.command[..], "JOIN" | "PART"));
        let count = moves.count();
        if count != due[&nick] {
            return Err(Breach::broken(format!(
                "a member was told of {count} of its {} comings and goings",
                due[&nick]
            )));
        }
        own += count;
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    while seen != due {
        let line = observer.hear()?;
        if !matches!(&line.command[..], "JOIN" | "PART" | "QUIT") {
            continue;
        }
        let (comes, moves) = (line.command == "JOIN", seen.entry(line.who.clone()).or_default());
        let most = due.get(&line.who).copied().unwrap_or_default();
        if comes != moves.is_multiple_of(2) || *moves >= most {
            return Err(Breach::broken(format!(
                "the room heard {} behind {moves} of {most} comings and goings",
                line.shown()
            )));
        }
        *moves += 1;
    }
    let mut here: Vec<String> =
        due.iter().filter(|(_, moves)| *moves % 2 == 1).map(|(nick, _)| nick.clone()).collect();
    here.push(observer.nick.clone());
    here.sort_unstable();
    let names = observer.names(&room)?;
    if names != here {
        return Err(Breach::broken(format!("NAMES has {names:?} in place of {here:?}")));
    }
    arena.serves()?;
    Ok(format!(
        "{} comings and goings of {} members were heard in turns, and NAMES agrees",
        count(own as u64),
        members.len()
    ))
}

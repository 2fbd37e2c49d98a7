//! Many who want to be called the same.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::irc::{Line, Member, unique};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const NICK_STORM: Hostile = Hostile {
    name: "nick-storm",
    fault: "a server that looks whether a nick is free and takes it in two steps gives it to two; one \
            that frees the old one first loses somebody",
    does: "a room full of clients wants the same nicks at the same time, again and again",
    holds: "each nick has one owner at most at any time, nobody is lost, and NAMES agrees with what \
            was heard",
    seen_in: "nick collisions, for which IRC had to kill both (RFC 1459, 4.1.2)",
    needs: Needs::of(Protocol::Chat),
    visit,
};

const MEMBERS: usize = 12;
const ROUNDS: usize = 20;

/// Nicks that are wanted in turns, so that some have an owner already.
const PRIZES: usize = 3;

fn visit(arena: &Arena) -> Outcome {
    let (mut members, room) = arena.room(MEMBERS + 1, 3)?;
    let mut observer = members.pop().expect("there are three at least");
    observer.settle()?;
    let prizes: Vec<String> = (0..PRIZES).map(|_| unique('p')).collect();
    let mut owners: BTreeSet<String> = members.iter().map(|member| member.nick.clone()).collect();
    let (since, mut rounds, mut given, mut refused) = (Instant::now(), 0, 0, 0);
    while rounds < ROUNDS && (rounds == 0 || since.elapsed() < arena.duration) {
        let prize = &prizes[rounds % PRIZES];
        let tokens = members.iter_mut().map(|member| {
            member.begin(&format!("NICK {prize}"));
            member.ask()
        });
        let tokens: Vec<String> = tokens.collect();
        for (member, token) in members.iter_mut().zip(&tokens) {
            let lines = member.lines_until(token)?;
            refused +=
                lines.iter().filter(|line| matches!(&line.command[..], "433" | "436")).count();
            follow(member, &lines)?;
        }
        for line in observer.settle()? {
            given += usize::from(watch(&line, &mut owners)?);
        }
        rounds += 1;
    }
    let mut called: Vec<String> = members.iter().map(|member| member.nick.clone()).collect();
    called.sort_unstable();
    // What was posted to the observer may be behind what it has asked for.
    while !called.iter().eq(&owners) {
        given += usize::from(watch(&observer.hear()?, &mut owners).map_err(|breach| {
            breach.of("what was heard does not agree with what each is called")
        })?);
    }
    called.push(observer.nick.clone());
    called.sort_unstable();
    let names = observer.names(&room)?;
    if names != called {
        return Err(Breach::broken(format!("NAMES has {names:?} in place of {called:?}")));
    }
    for member in members {
        member.leave()?;
    }
    Ok(format!(
        "{} members wanted a nick {rounds} times: {} changes, {} refused, one owner each",
        called.len() - 1,
        count(given as u64),
        count(refused as u64)
    ))
}

/// What a member is called after these lines.
fn follow(member: &mut Member, lines: &[Line]) -> Result<(), Breach> {
    for line in lines {
        if line.is(&member.nick, "NICK") {
            member.nick = line.parameter(0).to_owned();
        } else if line.command == "ERROR" || line.is(&member.nick, "KILL") {
            return Err(Breach::broken(format!("a member is lost: {}", line.shown())));
        }
    }
    Ok(())
}

/// Whether a nick has changed its owner, as who wants none sees it.
fn watch(line: &Line, owners: &mut BTreeSet<String>) -> Result<bool, Breach> {
    match line.command.as_str() {
        "NICK" => {
            let new = line.parameter(0);
            if !owners.remove(&line.who) {
                return Err(Breach::broken(format!("nobody was called {}, who changes", line.who)));
            }
            if !owners.insert(new.to_owned()) {
                return Err(Breach::broken(format!("{new} was given to two")));
            }
            Ok(true)
        }
        "QUIT" | "KILL" | "PART" | "ERROR" => {
            Err(Breach::broken(format!("a member is lost: {}", line.shown())))
        }
        _ => Ok(false),
    }
}

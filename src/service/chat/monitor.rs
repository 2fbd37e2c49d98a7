//! MONITOR (IRCv3): who wants to know when somebody comes and goes.

use super::hall::fold;
use super::numeric::{
    ERR_MONLISTFULL, RPL_ENDOFMONLIST, RPL_MONLIST, RPL_MONOFFLINE, RPL_MONONLINE,
};
use super::registration::is_nick;
use super::rooms::targets;
use super::turn::Turn;

/// Nicknames that one client may watch (MONITOR).
pub const MOST_WATCHED: usize = 100;

/// Bytes of the list in one line.
const LIST_LENGTH: usize = 350;

pub fn monitor(turn: &mut Turn, parameters: &[&str]) {
    let Some(&subcommand) = parameters.first() else {
        return turn.needs_more("MONITOR");
    };
    let list = parameters.get(1).copied().unwrap_or_default();
    match subcommand {
        "+" => watch(turn, list),
        "-" => {
            for nick in targets(list).map(fold) {
                turn.client_mut().watched.remove(&nick);
                turn.state.unwatch(turn.me, &nick);
            }
        }
        "C" | "c" => {
            for nick in std::mem::take(&mut turn.client_mut().watched).into_keys() {
                turn.state.unwatch(turn.me, &nick);
            }
        }
        "L" | "l" => {
            let watched: Vec<String> = turn.client().watched.values().cloned().collect();
            tell(turn, RPL_MONLIST, &watched);
            turn.numeric(RPL_ENDOFMONLIST, &[], "End of MONITOR list");
        }
        "S" | "s" => {
            let watched: Vec<String> = turn.client().watched.values().cloned().collect();
            tell_presence(turn, &watched);
        }
        _ => turn.needs_more("MONITOR"),
    }
}

fn watch(turn: &mut Turn, list: &str) {
    let mut watched = Vec::new();
    let mut wanted = targets(list).filter(|nick| is_nick(nick, turn.hall.settings.nick_length));
    while let Some(nick) = wanted.next() {
        let folded = fold(nick);
        let me = turn.me;
        let client = turn.state.clients.get_mut(&me).expect("strangers are heard elsewhere");
        let known = client.watched.contains_key(&folded);
        if !known && client.watched.len() >= MOST_WATCHED {
            let rest: Vec<&str> = [nick].into_iter().chain(wanted).collect();
            let limit = MOST_WATCHED.to_string();
            turn.numeric(ERR_MONLISTFULL, &[&limit, &rest.join(",")], "Monitor list is full");
            break;
        }
        client.watched.insert(folded.clone(), nick.into());
        turn.state.watchers.entry(folded).or_default().insert(me);
        watched.push(nick.to_owned());
    }
    tell_presence(turn, &watched);
}

fn tell_presence(turn: &mut Turn, nicks: &[String]) {
    let mut here = Vec::new();
    let mut absent = Vec::new();
    for nick in nicks {
        match turn.state.named(nick) {
            Some((_, client)) => here.push(client.source.clone()),
            None => absent.push(nick.clone()),
        }
    }
    tell(turn, RPL_MONONLINE, &here);
    tell(turn, RPL_MONOFFLINE, &absent);
}

fn tell(turn: &mut Turn, code: u16, names: &[String]) {
    let mut line = String::new();
    for name in names {
        if !line.is_empty() && line.len() + 1 + name.len() > LIST_LENGTH {
            turn.numeric(code, &[], std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(',');
        }
        line += name;
    }
    if !line.is_empty() {
        turn.numeric(code, &[], line);
    }
}

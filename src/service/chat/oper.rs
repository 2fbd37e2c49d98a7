//! Operators of the server: OPER, KILL and WALLOPS.

use super::capability::Capabilities;
use super::letter::Letter;
use super::numeric::{ERR_NOPRIVILEGES, ERR_PASSWDMISMATCH, RPL_YOUREOPER};
use super::turn::Turn;

pub fn oper(turn: &mut Turn, parameters: &[&str]) {
    let &[name, password, ..] = parameters else {
        return turn.needs_more("OPER");
    };
    let operators = &turn.hall.settings.operators;
    let known = |operator: &&super::settings::Operator| {
        operator.name == name && operator.password.is(password)
    };
    if operators.iter().find(known).is_none() {
        return turn.numeric(ERR_PASSWDMISMATCH, &[], "Password incorrect");
    }
    turn.numeric(RPL_YOUREOPER, &[], "You are now an IRC operator");
    if !std::mem::replace(&mut turn.client_mut().operator, true) {
        let nick = turn.nick().to_owned();
        let line = turn.mine(format_args!("MODE {nick} +o"));
        turn.say_line("", &line);
    }
}

/// Whether he is an operator of the server, or an answer that he is not.
fn may(turn: &mut Turn) -> bool {
    if !turn.client().operator {
        turn.numeric(ERR_NOPRIVILEGES, &[], "Permission Denied- You're not an IRC operator");
    }
    turn.client().operator
}

/// What only operators of servers in networks can do.
pub fn refuse(turn: &mut Turn, command: &str) {
    if may(turn) {
        super::command::unknown(turn, command);
    }
}

pub fn kill(turn: &mut Turn, parameters: &[&str]) {
    let Some(&nick) = parameters.first().filter(|nick| !nick.is_empty()) else {
        return turn.needs_more("KILL");
    };
    if !may(turn) {
        return;
    }
    let Some(victim) = turn.somebody(nick) else {
        return;
    };
    let reason = parameters.get(1).copied().filter(|reason| !reason.is_empty());
    let killer = turn.nick().to_owned();
    let reason = format!("Killed ({killer} ({}))", reason.unwrap_or("No reason given"));
    if victim == turn.me {
        return turn.leave(&reason, &reason);
    }
    let client = &turn.state.clients[&victim];
    let line = turn.mine(format_args!("KILL {} :{reason}", client.nick));
    let error = format!("ERROR :Closing Link: {} ({reason})", client.host);
    turn.post([victim], Capabilities::default(), &line);
    let last = Letter { last: true, ..Letter::new(&error) };
    turn.state.post([victim], Capabilities::default(), &last, turn.out);
    for line in turn.state.quit(victim, turn.me, &reason, turn.out) {
        turn.voice.say_after("", &line);
    }
}

pub fn wallops(turn: &mut Turn, parameters: &[&str]) {
    let Some(&text) = parameters.first().filter(|text| !text.is_empty()) else {
        return turn.needs_more("WALLOPS");
    };
    if !may(turn) {
        return;
    }
    let line = turn.mine(format_args!("WALLOPS :{text}"));
    let me = turn.me;
    let clients = turn.state.clients.iter();
    let to: Vec<_> = clients.filter(|(_, client)| client.wallops).map(|(id, _)| *id).collect();
    if to.contains(&me) {
        turn.say_line("", &line);
    }
    turn.post(to.into_iter().filter(|id| *id != me), Capabilities::default(), &line);
}

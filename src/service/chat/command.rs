//! Which command is heard where.

use super::capability::Capabilities;
use super::numeric::ERR_UNKNOWNCOMMAND;
use super::rooms::targets;
use super::talk::Kind;
use super::turn::Turn;
use super::{about, help, listing, modes, monitor, oper, registration, rooms, talk, who};

/// Hears one command, whose name is in upper case.
pub fn hear(turn: &mut Turn, name: &str, parameters: &[&str]) {
    if turn.entry.is_some() {
        return registration::hear(turn, name, parameters);
    }
    if !turn.state.clients.contains_key(&turn.me) {
        // An operator has ended it, and its last line is on its way.
        return;
    }
    match name {
        "ADMIN" => about::admin(turn, parameters),
        "AWAY" => talk::away(turn, parameters),
        "CAP" => registration::cap(turn, parameters),
        "CONNECT" | "DIE" | "REHASH" | "RESTART" | "SQUIT" => oper::refuse(turn, name),
        "HELP" | "HELPOP" => help::help(turn, parameters),
        "INFO" => about::info(turn, parameters),
        "INVITE" => rooms::invite(turn, parameters),
        "ISON" => who::ison(turn, parameters),
        "JOIN" => rooms::join(turn, parameters),
        "KICK" => rooms::kick(turn, parameters),
        "KILL" => oper::kill(turn, parameters),
        "LINKS" => about::links(turn),
        "LIST" => listing::list(turn, parameters),
        "LUSERS" => about::lusers(turn),
        "MODE" => modes::mode(turn, parameters),
        "MONITOR" => monitor::monitor(turn, parameters),
        "MOTD" => about::motd(turn, parameters),
        "NAMES" => rooms::names(turn, parameters),
        "NICK" => registration::change_nick(turn, parameters),
        "NOTICE" => talk::talk(turn, Kind::Notice, parameters),
        "OPER" => oper::oper(turn, parameters),
        "PART" => rooms::part(turn, parameters),
        "PASS" | "USER" => registration::too_late(turn),
        "PING" => about::ping(turn, parameters),
        "PONG" => {}
        "PRIVMSG" => talk::talk(turn, Kind::Privmsg, parameters),
        "QUIT" => about::quit(turn, parameters),
        "SETNAME" => registration::setname(turn, parameters),
        "STATS" => about::stats(turn, parameters),
        "TAGMSG" if turn.voice.capabilities.have(Capabilities::MESSAGE_TAGS) => {
            talk::talk(turn, Kind::Tagmsg, parameters);
        }
        "TIME" => about::time(turn, parameters),
        "TOPIC" => rooms::topic(turn, parameters),
        "USERHOST" => who::userhost(turn, parameters),
        "VERSION" => about::version(turn, parameters),
        "WALLOPS" => oper::wallops(turn, parameters),
        "WHO" => who::who(turn, parameters),
        "WHOIS" => who::whois(turn, parameters),
        "WHOWAS" => who::whowas(turn, parameters),
        _ => unknown(turn, name),
    }
}

pub fn unknown(turn: &mut Turn, name: &str) {
    turn.numeric(ERR_UNKNOWNCOMMAND, &[name], "Unknown command");
}

/// What a line takes from the bucket: one token, and one more for each further target; nothing where
/// it concerns nobody else.
pub fn cost(name: &str, parameters: &[&str]) -> u32 {
    let count = |list: Option<&&str>| list.map_or(1, |list| (targets(list).count() as u32).max(1));
    match name {
        "PING" | "PONG" => 0,
        "JOIN" | "NAMES" | "NOTICE" | "PART" | "PRIVMSG" | "TAGMSG" => count(parameters.first()),
        "KICK" => count(parameters.get(1)),
        _ => 1,
    }
}

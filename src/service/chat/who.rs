//! Who is who: WHO (with WHOX), WHOIS, WHOWAS, USERHOST and ISON.

use super::capability::Capabilities;
use super::hall::{Client, fold};
use super::listing::Listing;
use super::mask;
use super::numeric::{
    ERR_NONICKNAMEGIVEN, ERR_NOSUCHNICK, ERR_NOSUCHSERVER, ERR_WASNOSUCHNICK, RPL_AWAY,
    RPL_ENDOFWHOIS, RPL_ENDOFWHOWAS, RPL_ISON, RPL_USERHOST, RPL_WHOISCHANNELS, RPL_WHOISHOST,
    RPL_WHOISIDLE, RPL_WHOISOPERATOR, RPL_WHOISSECURE, RPL_WHOISSERVER, RPL_WHOISUSER,
    RPL_WHOREPLY, RPL_WHOSPCRPL, RPL_WHOWASUSER,
};
use super::registration::signon_and_idle;
use super::rooms::targets;
use super::turn::Turn;
use crate::session::ConnectionId;

/// Nicknames in one USERHOST (RFC 1459, 5.7).
const MOST_USERHOSTS: usize = 5;

/// Bytes of the channels in one line of WHOIS.
const CHANNELS_LENGTH: usize = 300;

/// What a WHO has asked.
pub struct Asked {
    /// As it was written.
    pub mask: String,
    /// The channel (folded), if it was one.
    channel: Option<String>,
    operators_only: bool,
    /// WHOX: the fields, and the token that marks the answers.
    fields: Option<(String, String)>,
}

pub fn who(turn: &mut Turn, parameters: &[&str]) {
    let mask = parameters.first().copied().filter(|mask| !mask.is_empty()).unwrap_or("*");
    let options = parameters.get(1).copied().unwrap_or_default();
    let (flags, fields) = match options.split_once('%') {
        Some((flags, fields)) => {
            let (fields, token) = fields.split_once(',').unwrap_or((fields, ""));
            let known = fields.contains(|field| "tcuihsnfdlaor".contains(field));
            (flags, known.then(|| (fields.to_owned(), token.to_owned())))
        }
        None => (options, None),
    };
    let folded = fold(mask);
    let me = turn.me;
    let mut channel = None;
    let ids: Vec<ConnectionId> = if mask.starts_with(['#', '&']) {
        let found = turn.state.channels.get(&folded).filter(|found| found.is_visible_to(me));
        let ids = found.map(|found| {
            let inside = found.members.contains_key(&me);
            let seen = |id: &&ConnectionId| {
                let client = turn.state.clients.get(*id);
                inside || client.is_some_and(|client| !client.invisible)
            };
            found.members.keys().filter(seen).copied().collect()
        });
        channel = Some(folded);
        ids.unwrap_or_default()
    } else if let Some(id) = turn.state.nicks.get(&folded) {
        vec![*id]
    } else {
        let matches = |client: &Client| {
            let parts = [&client.nick, &client.user, &client.host, &client.realname];
            mask == "0" || parts.iter().any(|part| mask::matches(mask.as_bytes(), part.as_bytes()))
        };
        let seen = |(id, client): &(&ConnectionId, &Client)| {
            **id == me || !client.invisible || turn.state.share_channel(me, client)
        };
        let found = turn.state.clients.iter().filter(|(_, client)| matches(client)).filter(seen);
        found.map(|(id, _)| *id).collect()
    };
    let operators_only = flags.contains('o');
    let asked = Asked { mask: mask.into(), channel, operators_only, fields };
    *turn.listing = Some(Listing::Who(ids.into_iter(), asked));
}

/// One line of WHO.
pub fn tell(turn: &mut Turn, id: ConnectionId, asked: &Asked) {
    let Some(client) = turn.state.clients.get(&id) else {
        return;
    };
    if asked.operators_only && !client.operator {
        return;
    }
    let mut flags = String::from(if client.away.is_some() { "G" } else { "H" });
    if client.operator {
        flags.push('*');
    }
    let mut shown = "*";
    if let Some(folded) = &asked.channel {
        let Some(channel) = turn.state.channels.get(folded) else {
            return;
        };
        let Some(member) = channel.member(id) else {
            return;
        };
        flags += member.signs(turn.voice.capabilities.have(Capabilities::MULTI_PREFIX));
        shown = &channel.name;
    }
    let server = &turn.hall.settings.name;
    let Some((fields, token)) = &asked.fields else {
        let line = [shown, &client.user, &client.host, server, &client.nick, &flags];
        let line = line.map(str::to_owned);
        let realname = client.realname.clone();
        let parameters: Vec<&str> = line.iter().map(String::as_str).collect();
        return turn.numeric(RPL_WHOREPLY, &parameters, format_args!("0 {realname}"));
    };
    let idle = signon_and_idle(client, turn.now).1.to_string();
    let all = [
        ('t', token.as_str()),
        ('c', shown),
        ('u', &client.user),
        ('i', &client.host),
        ('h', &client.host),
        ('s', server),
        ('n', &client.nick),
        ('f', &flags),
        ('d', "0"),
        ('l', &idle),
        ('a', "0"),
        ('o', "n/a"),
    ];
    let wanted = all.into_iter().filter(|(letter, _)| fields.contains(*letter));
    let parameters: Vec<String> = wanted.map(|(_, value)| value.to_owned()).collect();
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    if fields.contains('r') {
        let realname = client.realname.clone();
        turn.numeric(RPL_WHOSPCRPL, &parameters, realname);
    } else {
        turn.bare_numeric(RPL_WHOSPCRPL, &parameters);
    }
}

pub fn whois(turn: &mut Turn, parameters: &[&str]) {
    // With two parameters the first one is a server to ask: this one, or whoever is on it.
    let nicks = match parameters {
        [] | [""] => return turn.numeric(ERR_NONICKNAMEGIVEN, &[], "No nickname given"),
        [nicks] => *nicks,
        [server, nicks, ..] => {
            if !turn.is_here(server) {
                return turn.numeric(ERR_NOSUCHSERVER, &[server], "No such server");
            }
            nicks
        }
    };
    let nick = targets(nicks).next().unwrap_or_default();
    match turn.state.named(nick).map(|(id, _)| id) {
        Some(id) => whois_one(turn, id),
        None => turn.numeric(ERR_NOSUCHNICK, &[nick], "No such nick/channel"),
    }
    turn.numeric(RPL_ENDOFWHOIS, &[nicks], "End of /WHOIS list");
}

fn whois_one(turn: &mut Turn, id: ConnectionId) {
    let me = turn.me;
    let client = &turn.state.clients[&id];
    let Client { nick, user, host, realname, away, operator, invisible, .. } = client;
    let [nick, user, host, realname] = [nick, user, host, realname].map(String::clone);
    let (away, operator) = (away.clone(), *operator);
    let (signed_on, idle) = signon_and_idle(client, turn.now);
    // What is hidden is where those who are invisible are, and who is on secret channels.
    let shown = client.channels.iter().filter_map(|name| {
        let channel = turn.state.channels.get(name)?;
        let common = channel.members.contains_key(&me);
        let member = channel.member(id)?;
        let seen = id == me || common || !*invisible && channel.is_visible_to(me);
        let all = turn.voice.capabilities.have(Capabilities::MULTI_PREFIX);
        seen.then(|| format!("{}{}", member.signs(all), channel.name))
    });
    let mut lines: Vec<String> = Vec::new();
    for name in shown {
        match lines.last_mut() {
            Some(line) if line.len() + name.len() < CHANNELS_LENGTH => {
                line.push(' ');
                line.push_str(&name);
            }
            _ => lines.push(name),
        }
    }
    let settings = &turn.hall.settings;
    turn.numeric(RPL_WHOISUSER, &[&nick, &user, &host, "*"], realname);
    turn.numeric(RPL_WHOISSERVER, &[&nick, &settings.name], &settings.description);
    if operator {
        turn.numeric(RPL_WHOISOPERATOR, &[&nick], "is an IRC operator");
    }
    for line in lines {
        turn.numeric(RPL_WHOISCHANNELS, &[&nick], line);
    }
    if let Some(away) = away {
        turn.numeric(RPL_AWAY, &[&nick], away);
    }
    if settings.secure {
        turn.numeric(RPL_WHOISSECURE, &[&nick], "is using a secure connection");
    }
    turn.numeric(RPL_WHOISHOST, &[&nick, &host], "is connecting from");
    let times = [idle.to_string(), signed_on.to_string()];
    turn.numeric(RPL_WHOISIDLE, &[&nick, &times[0], &times[1]], "seconds idle, signon time");
}

pub fn whowas(turn: &mut Turn, parameters: &[&str]) {
    let Some(&nick) = parameters.first().filter(|nick| !nick.is_empty()) else {
        return turn.numeric(ERR_NONICKNAMEGIVEN, &[], "No nickname given");
    };
    let most = parameters.get(1).and_then(|count| count.parse::<i64>().ok());
    let most = most.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
    let past = turn.state.past.iter().filter(|past| past.nick.eq_ignore_ascii_case(nick));
    let found: Vec<_> = past
        .take(most.unwrap_or(usize::MAX))
        .map(|past| {
            let left = humantime::format_rfc3339_seconds(past.left).to_string();
            let names = [&past.nick, &past.user, &past.host, &past.realname].map(String::clone);
            (names, left)
        })
        .collect();
    if found.is_empty() {
        turn.numeric(ERR_WASNOSUCHNICK, &[nick], "There was no such nickname");
    }
    let server = &turn.hall.settings.name;
    for ([nick, user, host, realname], left) in found {
        turn.numeric(RPL_WHOWASUSER, &[&nick, &user, &host, "*"], realname);
        turn.numeric(RPL_WHOISSERVER, &[&nick, server], left);
    }
    turn.numeric(RPL_ENDOFWHOWAS, &[nick], "End of WHOWAS");
}

pub fn userhost(turn: &mut Turn, parameters: &[&str]) {
    if parameters.is_empty() {
        return turn.needs_more("USERHOST");
    }
    let found = parameters.iter().take(MOST_USERHOSTS).filter_map(|nick| {
        let (_, Client { nick, user, host, away, operator, .. }) = turn.state.named(nick)?;
        let star = if *operator { "*" } else { "" };
        let sign = if away.is_some() { '-' } else { '+' };
        Some(format!("{nick}{star}={sign}{user}@{host}"))
    });
    let found: Vec<String> = found.collect();
    turn.numeric(RPL_USERHOST, &[], found.join(" "));
}

pub fn ison(turn: &mut Turn, parameters: &[&str]) {
    if parameters.is_empty() {
        return turn.needs_more("ISON");
    }
    let asked = parameters.iter().flat_map(|nicks| nicks.split(' '));
    let here = asked.filter_map(|nick| turn.state.named(nick));
    let here: Vec<&str> = here.map(|(_, client)| client.nick.as_str()).collect();
    let here = here.join(" ");
    turn.numeric(RPL_ISON, &[], here);
}

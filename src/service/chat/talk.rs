//! Talking: PRIVMSG, NOTICE and TAGMSG, to channels and to people; AWAY.

use super::capability::Capabilities;
use super::channel::Member;
use super::hall::fold;
use super::letter::Letter;
use super::lines::cut;
use super::message::Tags;
use super::numeric::{
    ERR_CANNOTSENDTOCHAN, ERR_NORECIPIENT, ERR_NOSUCHCHANNEL, ERR_NOSUCHNICK, ERR_NOTEXTTOSEND,
    ERR_TOOMANYTARGETS, RPL_AWAY, RPL_NOWAWAY, RPL_UNAWAY,
};
use super::rooms::targets;
use super::turn::Turn;

/// Targets of one message (TARGMAX).
pub const MOST_TARGETS: usize = 4;

/// How something is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Privmsg,
    /// It is never answered, not even if it fails, so that programs cannot talk in circles.
    Notice,
    /// Tags without a text.
    Tagmsg,
}

impl Kind {
    fn command(self) -> &'static str {
        match self {
            Kind::Privmsg => "PRIVMSG",
            Kind::Notice => "NOTICE",
            Kind::Tagmsg => "TAGMSG",
        }
    }

    fn needed(self) -> Capabilities {
        match self {
            Kind::Tagmsg => Capabilities::MESSAGE_TAGS,
            Kind::Privmsg | Kind::Notice => Capabilities::default(),
        }
    }
}

pub fn talk(turn: &mut Turn, kind: Kind, parameters: &[&str]) {
    let command = kind.command();
    let Some(&list) = parameters.first().filter(|list| targets(list).next().is_some()) else {
        let why = format_args!("No recipient given ({command})");
        return complain(turn, kind, ERR_NORECIPIENT, &[], why);
    };
    let text = parameters.get(1).copied().unwrap_or_default();
    if text.is_empty() && kind != Kind::Tagmsg {
        return complain(turn, kind, ERR_NOTEXTTOSEND, &[], format_args!("No text to send"));
    }
    let now = turn.now;
    turn.client_mut().spoke = now;
    for (count, target) in targets(list).enumerate() {
        if count == MOST_TARGETS {
            let why = format_args!("Too many recipients");
            return complain(turn, kind, ERR_TOOMANYTARGETS, &[target], why);
        }
        let (sign, name) = match target.strip_prefix(['@', '+']) {
            Some(name) if name.starts_with(['#', '&']) => (target.chars().next(), name),
            _ => (None, target),
        };
        if name.starts_with(['#', '&']) {
            to_channel(turn, kind, sign, name, text);
        } else {
            to_person(turn, kind, name, text);
        }
    }
}

fn complain(
    turn: &mut Turn,
    kind: Kind,
    code: u16,
    parameters: &[&str],
    why: std::fmt::Arguments<'_>,
) {
    if kind != Kind::Notice {
        turn.numeric(code, parameters, why);
    }
}

fn to_channel(turn: &mut Turn, kind: Kind, sign: Option<char>, name: &str, text: &str) {
    let folded = fold(name);
    let Some(channel) = turn.state.channels.get(&folded) else {
        return complain(turn, kind, ERR_NOSUCHCHANNEL, &[name], format_args!("No such channel"));
    };
    if !channel.hears(turn.me, &turn.client().source) {
        let why = format_args!("Cannot send to channel");
        return complain(turn, kind, ERR_CANNOTSENDTOCHAN, &[name], why);
    }
    let target = format!("{}{}", sign.map(String::from).unwrap_or_default(), channel.name);
    let (line, tags) = compose(turn, kind, &target, text);
    let letter = Letter { tags: &tags, ..Letter::new(&line) };
    if kind == Kind::Tagmsg || sign.is_some() {
        let me = turn.me;
        let may = |member: &Member| match sign {
            Some('@') => member.operator,
            Some(_) => member.operator || member.voice,
            None => true,
        };
        let members = &turn.state.channels[&folded].members;
        let members = members.iter().filter(|(id, member)| **id != me && may(member));
        let to: Vec<_> = members.map(|(id, _)| *id).collect();
        turn.state.post(to, kind.needed(), &letter, turn.out);
    } else {
        turn.state.post_to_channel(&folded, turn.me, &letter, turn.out);
    }
    echo(turn, kind, &tags, &line);
}

fn to_person(turn: &mut Turn, kind: Kind, nick: &str, text: &str) {
    let Some((id, person)) = turn.state.named(nick) else {
        return complain(turn, kind, ERR_NOSUCHNICK, &[nick], format_args!("No such nick/channel"));
    };
    let (nick, away) = (person.nick.clone(), person.away.clone());
    let (line, tags) = compose(turn, kind, &nick, text);
    if id == turn.me {
        // What one hears of oneself is no part of the answer; the echo is.
        let deaf = kind == Kind::Tagmsg && !turn.voice.capabilities.have(kind.needed());
        if !deaf {
            turn.voice.say_after(&tags, &line);
        }
    } else {
        let letter = Letter { tags: &tags, ..Letter::new(&line) };
        turn.state.post([id], kind.needed(), &letter, turn.out);
    }
    echo(turn, kind, &tags, &line);
    if let (Kind::Privmsg, Some(away)) = (kind, away) {
        turn.numeric(RPL_AWAY, &[&nick], away);
    }
}

/// The line as others hear it, and its tags.
fn compose(turn: &Turn, kind: Kind, target: &str, text: &str) -> (String, String) {
    let command = kind.command();
    let line = match kind {
        Kind::Tagmsg => turn.mine(format_args!("{command} {target}")),
        Kind::Privmsg | Kind::Notice => turn.mine(format_args!("{command} {target} :{text}")),
    };
    let mut tags = format!("msgid={}", turn.hall.message_id());
    if !turn.tags.is_empty() {
        tags.push(';');
        tags += turn.tags;
    }
    (line, tags)
}

fn echo(turn: &mut Turn, kind: Kind, tags: &str, line: &str) {
    if turn.voice.capabilities.have(Capabilities::ECHO_MESSAGE.with(kind.needed())) {
        turn.say_line(tags, line);
    }
}

/// What of a client's tags is passed on: those that are between clients, which begin with `+`.
pub fn client_only(tags: Tags<'_>) -> String {
    let wanted = tags.iter().filter(|(key, _)| key.first() == Some(&b'+') && key.len() > 1);
    let mut text = String::new();
    for (key, value) in wanted {
        let parts = [key, value].map(str::from_utf8);
        if let [Ok(key), Ok(value)] = parts {
            if !text.is_empty() {
                text.push(';');
            }
            text += key;
            if !value.is_empty() {
                text.push('=');
                text += value;
            }
        }
    }
    text
}

pub fn away(turn: &mut Turn, parameters: &[&str]) {
    let text =
        cut(parameters.first().copied().unwrap_or_default(), turn.hall.settings.topic_length);
    let away = (!text.is_empty()).then(|| text.to_owned());
    let changed = turn.client().away != away;
    turn.client_mut().away = away;
    if changed {
        let line = match text {
            "" => turn.mine("AWAY"),
            text => turn.mine(format_args!("AWAY :{text}")),
        };
        let peers = turn.state.peers(turn.me);
        turn.post(peers, Capabilities::AWAY_NOTIFY, &line);
    }
    match text {
        "" => turn.numeric(RPL_UNAWAY, &[], "You are no longer marked as being away"),
        _ => turn.numeric(RPL_NOWAWAY, &[], "You have been marked as being away"),
    }
}

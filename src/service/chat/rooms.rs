//! Channels, as one comes and goes: JOIN, PART, KICK, INVITE, TOPIC and NAMES.

use std::time::SystemTime;

use super::capability::Capabilities;
use super::channel::{Channel, Flags, Member, Topic, seconds};
use super::hall::{State, fold};
use super::letter::Letter;
use super::lines::{LONGEST, cut};
use super::listing::Listing;
use super::numeric::{
    ERR_BADCHANNELKEY, ERR_BANNEDFROMCHAN, ERR_CHANNELISFULL, ERR_INVITEONLYCHAN,
    ERR_NOSUCHCHANNEL, ERR_NOTONCHANNEL, ERR_TOOMANYCHANNELS, ERR_USERNOTINCHANNEL,
    ERR_USERONCHANNEL, RPL_AWAY, RPL_ENDOFINVITELIST, RPL_ENDOFNAMES, RPL_INVITELIST, RPL_INVITING,
    RPL_NAMREPLY, RPL_NOTOPIC, RPL_TOPIC, RPL_TOPICWHOTIME,
};
use super::turn::Turn;
use crate::session::ConnectionId;

/// The parts of a list: `#a,#b`.
pub fn targets(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|target| !target.is_empty())
}

pub fn join(turn: &mut Turn, parameters: &[&str]) {
    let Some(&names) = parameters.first() else {
        return turn.needs_more("JOIN");
    };
    if names == "0" {
        for channel in turn.client().channels.clone() {
            part_one(turn, &channel, "Left all channels");
        }
        return;
    }
    let mut keys = parameters.get(1).copied().unwrap_or_default().split(',');
    for name in targets(names) {
        join_one(turn, name, keys.next().unwrap_or_default());
    }
}

fn is_channel_name(name: &str, most: usize) -> bool {
    let is_plain = |character: char| !character.is_control() && character != ' ';
    name.starts_with(['#', '&'])
        && name.len() > 1
        && name.len() <= most
        && name.chars().all(is_plain)
}

fn join_one(turn: &mut Turn, name: &str, key: &str) {
    let settings = &turn.hall.settings;
    if !is_channel_name(name, settings.channel_length) {
        return turn.numeric(ERR_NOSUCHCHANNEL, &[name], "No such channel");
    }
    let folded = fold(name);
    if turn.client().channels.contains(&folded) {
        return;
    }
    if turn.client().channels.len() >= settings.channels_per_client {
        return turn.numeric(ERR_TOOMANYCHANNELS, &[name], "You have joined too many channels");
    }
    if let Some(channel) = turn.state.channels.get(&folded)
        && let Some((code, why)) = refusal(channel, turn.me, &turn.client().source, key)
    {
        let name = channel.name.clone();
        return turn.numeric(code, &[&name], why);
    }
    turn.client_mut().invited.remove(&folded);
    turn.client_mut().channels.insert(folded.clone());
    let me = turn.me;
    let channel = turn.state.channels.entry(folded.clone()).or_insert_with(|| Channel::new(name));
    let first = channel.members.is_empty();
    channel.members.insert(me, Member { operator: first, voice: false });
    channel.invited.remove(&me);
    let name = channel.name.clone();

    let plain = turn.mine(format_args!("JOIN {name}"));
    let extended = format!("{plain} * :{}", turn.client().realname);
    let letter = Letter { plain: plain.len(), ..Letter::new(&extended) };
    turn.state.post_to_channel(&folded, me, &letter, turn.out);
    let own = turn.voice.capabilities.have(Capabilities::EXTENDED_JOIN);
    turn.say_line("", if own { &extended } else { &plain });
    if let Some(away) = &turn.client().away {
        let line = turn.mine(format_args!("AWAY :{away}"));
        let others: Vec<ConnectionId> =
            turn.state.channels[&folded].members.keys().copied().filter(|id| *id != me).collect();
        turn.post(others, Capabilities::AWAY_NOTIFY, &line);
    }
    tell_topic(turn, &folded);
    names_of(turn, &folded);
    turn.numeric(RPL_ENDOFNAMES, &[&name], "End of /NAMES list");
}

/// Why somebody may not join. An invitation opens every door but that of the key.
fn refusal(
    channel: &Channel,
    id: ConnectionId,
    source: &str,
    key: &str,
) -> Option<(u16, &'static str)> {
    let invited = channel.invited.contains(&id);
    if channel.key.as_ref().is_some_and(|wanted| wanted != key) {
        return Some((ERR_BADCHANNELKEY, "Cannot join channel (+k)"));
    }
    if invited {
        return None;
    }
    if channel.bans(source) {
        return Some((ERR_BANNEDFROMCHAN, "Cannot join channel (+b)"));
    }
    if channel.flags.have(Flags::INVITE_ONLY) && !channel.welcomes(source) {
        return Some((ERR_INVITEONLYCHAN, "Cannot join channel (+i)"));
    }
    if channel.limit.is_some_and(|limit| channel.members.len() >= limit) {
        return Some((ERR_CHANNELISFULL, "Cannot join channel (+l)"));
    }
    None
}

pub fn part(turn: &mut Turn, parameters: &[&str]) {
    let Some(&names) = parameters.first() else {
        return turn.needs_more("PART");
    };
    let reason = parameters.get(1).copied().unwrap_or_default();
    for name in targets(names) {
        if let Some(folded) = turn.joined(name) {
            part_one(turn, &folded, reason);
        }
    }
}

fn part_one(turn: &mut Turn, folded: &str, reason: &str) {
    let name = turn.state.channels[folded].name.clone();
    let line = match reason {
        "" => turn.mine(format_args!("PART {name}")),
        reason => turn.mine(format_args!("PART {name} :{reason}")),
    };
    turn.tell_channel(folded, &line);
    turn.state.leave(turn.me, folded);
}

pub fn kick(turn: &mut Turn, parameters: &[&str]) {
    let &[names, nicks, ..] = parameters else {
        return turn.needs_more("KICK");
    };
    let reason = parameters.get(2).copied().filter(|reason| !reason.is_empty());
    let reason = reason.unwrap_or(turn.nick()).to_owned();
    let reason = cut(&reason, turn.hall.settings.topic_length);
    let names: Vec<&str> = targets(names).collect();
    for (at, nick) in targets(nicks).enumerate() {
        // One channel for all, or one for each.
        let Some(name) = names.get(at).or(names.first().filter(|_| names.len() == 1)) else {
            return turn.needs_more("KICK");
        };
        kick_one(turn, name, nick, reason);
    }
}

fn kick_one(turn: &mut Turn, name: &str, nick: &str, reason: &str) {
    let Some(folded) = turn.joined(name).filter(|folded| turn.is_operator(folded)) else {
        return;
    };
    let Some(victim) = turn.somebody(nick) else {
        return;
    };
    let channel = &turn.state.channels[&folded];
    if !channel.members.contains_key(&victim) {
        let name = channel.name.clone();
        return turn.numeric(ERR_USERNOTINCHANNEL, &[nick, &name], "They aren't on that channel");
    }
    let victim_nick = &turn.state.clients[&victim].nick;
    let line = turn.mine(format_args!("KICK {} {victim_nick} :{reason}", channel.name));
    turn.tell_channel(&folded, &line);
    turn.state.leave(victim, &folded);
}

pub fn invite(turn: &mut Turn, parameters: &[&str]) {
    if parameters.is_empty() {
        let channels = turn.client().invited.iter().filter_map(|name| turn.state.channel(name));
        let names: Vec<String> = channels.map(|channel| channel.name.clone()).collect();
        for name in names {
            turn.bare_numeric(RPL_INVITELIST, &[&name]);
        }
        return turn.numeric(RPL_ENDOFINVITELIST, &[], "End of /INVITE list");
    }
    let &[nick, name, ..] = parameters else {
        return turn.needs_more("INVITE");
    };
    let Some(guest) = turn.somebody(nick) else {
        return;
    };
    let Some(folded) = turn.joined(name) else {
        return;
    };
    let channel = &turn.state.channels[&folded];
    let name = channel.name.clone();
    if channel.flags.have(Flags::INVITE_ONLY) && !turn.is_operator(&folded) {
        return;
    }
    let channel = &turn.state.channels[&folded];
    let guest_nick = turn.state.clients[&guest].nick.clone();
    if channel.members.contains_key(&guest) {
        return turn.numeric(ERR_USERONCHANNEL, &[&guest_nick, &name], "is already on channel");
    }
    let me = turn.me;
    let members: Vec<ConnectionId> =
        channel.members.keys().copied().filter(|id| *id != me).collect();
    // Only an operator's word opens doors that operators have closed.
    if channel.has_operator(me) {
        turn.channel_mut(&folded).invited.insert(guest);
        if let Some(client) = turn.state.clients.get_mut(&guest) {
            client.invited.insert(folded);
        }
    }
    let line = turn.mine(format_args!("INVITE {guest_nick} {name}"));
    turn.bare_numeric(RPL_INVITING, &[&guest_nick, &name]);
    if guest != me {
        turn.post([guest], Capabilities::default(), &line);
    }
    turn.post(members, Capabilities::INVITE_NOTIFY, &line);
    if let Some(away) = turn.state.clients[&guest].away.clone() {
        turn.numeric(RPL_AWAY, &[&guest_nick], away);
    }
}

pub fn topic(turn: &mut Turn, parameters: &[&str]) {
    let Some(&name) = parameters.first() else {
        return turn.needs_more("TOPIC");
    };
    let Some(&text) = parameters.get(1) else {
        let Some(folded) = turn.existing(name) else {
            return;
        };
        let channel = &turn.state.channels[&folded];
        let name = channel.name.clone();
        if !channel.is_visible_to(turn.me) {
            return turn.numeric(ERR_NOTONCHANNEL, &[&name], "You're not on that channel");
        }
        if !tell_topic(turn, &folded) {
            turn.numeric(RPL_NOTOPIC, &[&name], "No topic is set");
        }
        return;
    };
    let Some(folded) = turn.joined(name) else {
        return;
    };
    let guarded = turn.state.channels[&folded].flags.have(Flags::TOPIC);
    if guarded && !turn.is_operator(&folded) {
        return;
    }
    let text = cut(text, turn.hall.settings.topic_length);
    let setter = turn.client().source.clone();
    let channel = turn.channel_mut(&folded);
    channel.topic =
        (!text.is_empty()).then(|| Topic { text: text.into(), setter, time: SystemTime::now() });
    let name = channel.name.clone();
    let line = turn.mine(format_args!("TOPIC {name} :{text}"));
    turn.tell_channel(&folded, &line);
}

/// Answers with the topic, if there is one.
fn tell_topic(turn: &mut Turn, folded: &str) -> bool {
    let channel = &turn.state.channels[folded];
    let Some(Topic { text, setter, time }) = &channel.topic else {
        return false;
    };
    let (text, setter, time) = (text.clone(), setter.clone(), seconds(*time).to_string());
    let name = channel.name.clone();
    turn.numeric(RPL_TOPIC, &[&name], text);
    turn.bare_numeric(RPL_TOPICWHOTIME, &[&name, &setter, &time]);
    true
}

pub fn names(turn: &mut Turn, parameters: &[&str]) {
    let asked = parameters.first().copied().unwrap_or_default();
    let names: Vec<String> = match asked {
        "" => turn.state.channels.keys().cloned().collect(),
        list => targets(list).map(fold).collect(),
    };
    *turn.listing = Some(Listing::Names(names.into_iter(), asked.into()));
}

/// Answers who is on a channel. Those who are invisible are seen by its members only.
pub fn names_of(turn: &mut Turn, folded: &str) {
    let Some(channel) = turn.state.channels.get(folded) else {
        return;
    };
    let sign = if channel.flags.have(Flags::SECRET) { "@" } else { "=" };
    let head = format!("{RPL_NAMREPLY} {} {sign} {}", turn.nick(), channel.name);
    let most = LONGEST.saturating_sub(format!(":{} {head} :", turn.hall.settings.name).len());
    let capabilities = turn.voice.capabilities;
    let member = channel.members.contains_key(&turn.me);
    let mut names = String::new();
    let mut lines = Vec::new();
    for (id, signs) in &channel.members {
        let Some(name) = shown_name(turn.state, *id, *signs, member, capabilities) else {
            continue;
        };
        if !names.is_empty() && names.len() + 1 + name.len() > most {
            lines.push(std::mem::take(&mut names));
        }
        if !names.is_empty() {
            names.push(' ');
        }
        names += &name;
    }
    if !names.is_empty() {
        lines.push(names);
    }
    for names in lines {
        turn.say(format_args!("{head} :{names}"));
    }
}

fn shown_name(
    state: &State,
    id: ConnectionId,
    signs: Member,
    to_member: bool,
    capabilities: Capabilities,
) -> Option<String> {
    let client = state.clients.get(&id).filter(|client| to_member || !client.invisible)?;
    let signs = signs.signs(capabilities.have(Capabilities::MULTI_PREFIX));
    let name = match capabilities.have(Capabilities::USERHOST_IN_NAMES) {
        true => &client.source,
        false => &client.nick,
    };
    Some(format!("{signs}{name}"))
}

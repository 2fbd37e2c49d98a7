//! MODE: of channels and of oneself.

use std::time::SystemTime;

use super::channel::{Channel, Entry, Flags, List, MOST_MASKS, seconds};
use super::lines::{LONGEST, cut};
use super::numeric::{
    ERR_BANLISTFULL, ERR_INVALIDMODEPARAM, ERR_NOTONCHANNEL, ERR_UMODEUNKNOWNFLAG, ERR_UNKNOWNMODE,
    ERR_USERNOTINCHANNEL, ERR_USERSDONTMATCH, RPL_BANLIST, RPL_CHANNELMODEIS, RPL_CREATIONTIME,
    RPL_ENDOFBANLIST, RPL_ENDOFEXCEPTLIST, RPL_ENDOFINVEXLIST, RPL_EXCEPTLIST, RPL_INVEXLIST,
    RPL_UMODEIS,
};
use super::turn::Turn;

/// Letters of the modes of users.
pub const USER_MODES: &str = "iow";

/// Letters of the modes of channels.
pub const CHANNEL_MODES: &str = "Ibeiklmnostv";

/// Changes with a parameter in one command (MODES).
pub const MOST_CHANGES: usize = 12;

/// Bytes of a key (KEYLEN).
pub const KEY_LENGTH: usize = 32;

/// Bytes of a mask in a list.
const MASK_LENGTH: usize = 128;

pub fn mode(turn: &mut Turn, parameters: &[&str]) {
    match parameters.first() {
        None => turn.needs_more("MODE"),
        Some(name) if name.starts_with(['#', '&']) => of_channel(turn, name, &parameters[1..]),
        Some(nick) => of_user(turn, nick, &parameters[1..]),
    }
}

fn of_user(turn: &mut Turn, nick: &str, parameters: &[&str]) {
    let Some(id) = turn.somebody(nick) else {
        return;
    };
    if id != turn.me {
        return turn.numeric(ERR_USERSDONTMATCH, &[], "Can't change mode for other users");
    }
    let Some(&changes) = parameters.first() else {
        let modes = turn.client().modes();
        return turn.bare_numeric(RPL_UMODEIS, &[&modes]);
    };
    let mut on = true;
    let mut shown = Shown::default();
    let mut unknown = false;
    for letter in changes.chars() {
        let client = turn.client_mut();
        let flag = match letter {
            '+' | '-' => {
                on = letter == '+';
                continue;
            }
            'i' => &mut client.invisible,
            'w' => &mut client.wallops,
            // One becomes an operator by OPER only.
            'o' if !on => &mut client.operator,
            'o' => continue,
            _ => {
                unknown = true;
                continue;
            }
        };
        if std::mem::replace(flag, on) != on {
            shown.add(on, letter, None);
        }
    }
    if !shown.letters.is_empty() {
        let nick = turn.nick().to_owned();
        let line = turn.mine(format_args!("MODE {nick} {}", shown.letters));
        turn.say_line("", &line);
    }
    if unknown {
        turn.numeric(ERR_UMODEUNKNOWNFLAG, &[], "Unknown MODE flag");
    }
}

/// Changes that were made, as they are told: `+ov-b nick nick mask`.
#[derive(Default)]
struct Shown {
    letters: String,
    parameters: String,
    sign: Option<bool>,
}

impl Shown {
    fn add(&mut self, on: bool, letter: char, parameter: Option<&str>) {
        if self.sign.replace(on) != Some(on) {
            self.letters.push(if on { '+' } else { '-' });
        }
        self.letters.push(letter);
        if let Some(parameter) = parameter {
            self.parameters.push(' ');
            self.parameters.push_str(parameter);
        }
    }
}

fn of_channel(turn: &mut Turn, name: &str, parameters: &[&str]) {
    let Some(folded) = turn.existing(name) else {
        return;
    };
    let Some((&changes, parameters)) = parameters.split_first() else {
        return tell_modes(turn, &folded);
    };
    let mut parameters = parameters.iter().copied();
    let mut on = true;
    let mut complained = false;
    let mut told = Vec::new();
    let mut taken = 0;
    let mut shown = Shown::default();
    for letter in changes.chars() {
        if letter == '+' || letter == '-' {
            on = letter == '+';
            continue;
        }
        let wants_parameter = match letter {
            'o' | 'v' | 'k' => true,
            'l' => on,
            letter => List::of_letter(letter).is_some(),
        };
        let parameter = if wants_parameter { parameters.next() } else { None };
        if let (Some(list), None) = (List::of_letter(letter), parameter) {
            if !told.contains(&list) {
                told.push(list);
                tell_list(turn, &folded, list);
            }
            continue;
        }
        if !wants_parameter && letter != 'l' && Flags::of_letter(letter).is_none() {
            turn.numeric(ERR_UNKNOWNMODE, &[&letter.to_string()], "is unknown mode char to me");
            continue;
        }
        if complained || !may_change(turn, &folded) {
            complained = true;
            continue;
        }
        if parameter.is_some() {
            taken += 1;
            if taken > MOST_CHANGES {
                continue;
            }
        }
        if let Some(told) = change(turn, &folded, on, letter, parameter) {
            let length =
                shown.letters.len() + shown.parameters.len() + told.as_deref().map_or(0, str::len);
            if turn.mine("MODE  ").len() + name.len() + length + 4 > LONGEST {
                tell_changes(turn, &folded, std::mem::take(&mut shown));
            }
            shown.add(on, letter, told.as_deref());
        }
    }
    tell_changes(turn, &folded, shown);
}

fn may_change(turn: &mut Turn, folded: &str) -> bool {
    let channel = &turn.state.channels[folded];
    if channel.members.contains_key(&turn.me) {
        return turn.is_operator(folded);
    }
    let name = channel.name.clone();
    turn.numeric(ERR_NOTONCHANNEL, &[&name], "You're not on that channel");
    false
}

fn tell_changes(turn: &mut Turn, folded: &str, shown: Shown) {
    if !shown.letters.is_empty() {
        let name = &turn.state.channels[folded].name;
        let line = turn.mine(format_args!("MODE {name} {}{}", shown.letters, shown.parameters));
        turn.tell_channel(folded, &line);
    }
}

/// Makes one change. `Some` where it changed anything: with what is told as its parameter.
fn change(
    turn: &mut Turn,
    folded: &str,
    on: bool,
    letter: char,
    parameter: Option<&str>,
) -> Option<Option<String>> {
    match (letter, parameter) {
        ('o' | 'v', Some(nick)) => change_member(turn, folded, on, letter, nick),
        ('o' | 'v', None) => None,
        ('k' | 'l', None) if on => None,
        ('k', parameter) => change_key(turn, folded, on, parameter),
        ('l', parameter) => change_limit(turn, folded, on, parameter),
        (letter, Some(mask)) => change_list(turn, folded, on, letter, mask),
        (letter, None) => {
            let flag = Flags::of_letter(letter)?;
            turn.channel_mut(folded).flags.set(flag, on).then_some(None)
        }
    }
}

fn change_member(
    turn: &mut Turn,
    folded: &str,
    on: bool,
    letter: char,
    nick: &str,
) -> Option<Option<String>> {
    let id = turn.somebody(nick)?;
    let nick = turn.state.clients[&id].nick.clone();
    let channel = turn.channel_mut(folded);
    let Some(member) = channel.members.get_mut(&id) else {
        let name = channel.name.clone();
        turn.numeric(ERR_USERNOTINCHANNEL, &[&nick, &name], "They aren't on that channel");
        return None;
    };
    let flag = if letter == 'o' { &mut member.operator } else { &mut member.voice };
    (std::mem::replace(flag, on) != on).then_some(Some(nick))
}

fn change_key(
    turn: &mut Turn,
    folded: &str,
    on: bool,
    parameter: Option<&str>,
) -> Option<Option<String>> {
    let channel = turn.channel_mut(folded);
    if !on {
        // Whoever may take it away need not know it.
        return channel.key.take().map(|_| Some("*".into()));
    }
    let key = parameter.unwrap_or_default();
    let is_plain = |character: char| !character.is_control() && !" ,".contains(character);
    if key.is_empty()
        || key.len() > KEY_LENGTH
        || key.starts_with(':')
        || !key.chars().all(is_plain)
    {
        let name = channel.name.clone();
        turn.numeric(ERR_INVALIDMODEPARAM, &[&name, "k", "*"], "Invalid key");
        return None;
    }
    let changed = channel.key.as_deref() != Some(key);
    channel.key = Some(key.into());
    changed.then(|| Some(key.into()))
}

fn change_limit(
    turn: &mut Turn,
    folded: &str,
    on: bool,
    parameter: Option<&str>,
) -> Option<Option<String>> {
    let channel = turn.channel_mut(folded);
    if !on {
        return channel.limit.take().map(|_| None);
    }
    let text = parameter.unwrap_or_default();
    let Some(limit) = text.parse::<u32>().ok().filter(|limit| *limit > 0) else {
        let name = channel.name.clone();
        turn.numeric(ERR_INVALIDMODEPARAM, &[&name, "l", text], "Invalid limit");
        return None;
    };
    let limit = limit as usize;
    (channel.limit.replace(limit) != Some(limit)).then(|| Some(limit.to_string()))
}

fn change_list(
    turn: &mut Turn,
    folded: &str,
    on: bool,
    letter: char,
    mask: &str,
) -> Option<Option<String>> {
    let list = List::of_letter(letter)?;
    let mask = complete(cut(mask, MASK_LENGTH))?;
    let setter = turn.client().source.clone();
    let channel = turn.channel_mut(folded);
    let entries = &mut channel.lists[list as usize];
    let at = entries.iter().position(|entry| entry.mask.eq_ignore_ascii_case(&mask));
    match (on, at) {
        (true, None) if entries.len() >= MOST_MASKS => {
            let name = channel.name.clone();
            let letter = letter.to_string();
            turn.numeric(ERR_BANLISTFULL, &[&name, &letter], "Channel list is full");
            None
        }
        (true, None) => {
            entries.push(Entry { mask: mask.clone(), setter, time: SystemTime::now() });
            Some(Some(mask))
        }
        (false, Some(at)) => Some(Some(entries.remove(at).mask)),
        (true, Some(_)) | (false, None) => None,
    }
}

/// `nick`, `user@host` and what else people write for masks, as `nick!user@host`.
fn complete(mask: &str) -> Option<String> {
    let is_plain = |character: char| !character.is_control() && character != ' ';
    if mask.is_empty() || mask.starts_with(':') || !mask.chars().all(is_plain) {
        return None;
    }
    let or_any = |part: &str| if part.is_empty() { "*".to_owned() } else { part.to_owned() };
    let (nick, user, host) = match (mask.split_once('!'), mask.split_once('@')) {
        (Some((nick, rest)), _) => {
            let (user, host) = rest.split_once('@').unwrap_or((rest, ""));
            (nick, user, host)
        }
        (None, Some((user, host))) => ("", user, host),
        (None, None) => (mask, "", ""),
    };
    Some(format!("{}!{}@{}", or_any(nick), or_any(user), or_any(host)))
}

fn tell_modes(turn: &mut Turn, folded: &str) {
    let channel = &turn.state.channels[folded];
    let name = channel.name.clone();
    if !channel.is_visible_to(turn.me) {
        return turn.numeric(ERR_NOTONCHANNEL, &[&name], "You're not on that channel");
    }
    let modes = channel.modes(channel.members.contains_key(&turn.me));
    let created = seconds(channel.created).to_string();
    let mut parameters = vec![name.as_str()];
    parameters.extend(modes.iter().map(String::as_str));
    turn.bare_numeric(RPL_CHANNELMODEIS, &parameters);
    turn.bare_numeric(RPL_CREATIONTIME, &[&name, &created]);
}

/// Answers what is in a list. Of a secret channel only its members are told.
fn tell_list(turn: &mut Turn, folded: &str, list: List) {
    let (entry, end, text) = match list {
        List::Ban => (RPL_BANLIST, RPL_ENDOFBANLIST, "End of channel ban list"),
        List::Exception => (RPL_EXCEPTLIST, RPL_ENDOFEXCEPTLIST, "End of channel exception list"),
        List::Invitation => (RPL_INVEXLIST, RPL_ENDOFINVEXLIST, "End of channel invite list"),
    };
    let channel: &Channel = &turn.state.channels[folded];
    let name = channel.name.clone();
    let mut lines = Vec::new();
    if channel.is_visible_to(turn.me) {
        lines.extend(channel.list(list).iter().map(|entry| {
            [entry.mask.clone(), entry.setter.clone(), seconds(entry.time).to_string()]
        }));
    }
    for [mask, setter, time] in lines {
        turn.bare_numeric(entry, &[&name, &mask, &setter, &time]);
    }
    turn.numeric(end, &[&name], text);
}

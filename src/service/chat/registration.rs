//! Coming in: PASS, NICK, USER and CAP, until the server knows who it is (and NICK later on).

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use super::capability::Capabilities;
use super::channel::seconds;
use super::hall::{Client, Past, fold};
use super::lines::cut;
use super::numeric::{
    ERR_ALREADYREGISTERED, ERR_ERRONEUSNICKNAME, ERR_INVALIDCAPCMD, ERR_INVALIDUSERNAME,
    ERR_NICKNAMEINUSE, ERR_NONICKNAMEGIVEN, ERR_NOTREGISTERED, ERR_PASSWDMISMATCH, RPL_CREATED,
    RPL_MONOFFLINE, RPL_MONONLINE, RPL_MYINFO, RPL_WELCOME, RPL_YOURHOST,
};
use super::turn::Turn;
use super::{about, modes};

/// Bytes of a user name (USERLEN).
pub const USER_LENGTH: usize = 18;

/// Bytes of a real name (NAMELEN).
pub const NAME_LENGTH: usize = 150;

/// What somebody has said of himself so far.
pub struct Entry {
    pub nick: Option<String>,
    pub host: String,
    /// User name and real name.
    user: Option<(String, String)>,
    password: Option<String>,
    /// Capabilities are being talked about: nobody is let in meanwhile.
    negotiates: bool,
}

impl Entry {
    pub fn new(peer: SocketAddr) -> Entry {
        Entry { nick: None, host: host(peer.ip()), user: None, password: None, negotiates: false }
    }
}

/// An address as a host. One of IPv4 reads as such however it came, and one that begins with a colon
/// would end the line's parameters.
fn host(address: IpAddr) -> String {
    let host = address.to_canonical().to_string();
    if host.starts_with(':') { format!("0{host}") } else { host }
}

/// A line of somebody whom the server does not know yet.
pub fn hear(turn: &mut Turn, command: &str, parameters: &[&str]) {
    match command {
        "PASS" => pass(turn, parameters),
        "NICK" => nick(turn, parameters),
        "USER" => user(turn, parameters),
        "CAP" => cap(turn, parameters),
        "PING" => about::ping(turn, parameters),
        "PONG" => {}
        "QUIT" => about::quit(turn, parameters),
        _ => turn.numeric(ERR_NOTREGISTERED, &[], "You have not registered"),
    }
}

fn entry<'a>(turn: &'a mut Turn) -> &'a mut Entry {
    turn.entry.as_mut().expect("only strangers are heard here")
}

fn pass(turn: &mut Turn, parameters: &[&str]) {
    match parameters.first() {
        Some(password) if !password.is_empty() => {
            entry(turn).password = Some((*password).into());
        }
        _ => turn.needs_more("PASS"),
    }
}

fn nick(turn: &mut Turn, parameters: &[&str]) {
    let Some(nick) = wanted_nick(turn, parameters) else {
        return;
    };
    if turn.state.nicks.contains_key(&fold(&nick)) {
        return turn.numeric(ERR_NICKNAMEINUSE, &[&nick], "Nickname is already in use");
    }
    entry(turn).nick = Some(nick);
    try_to_enter(turn);
}

/// The nickname asked for, if it may be one.
pub fn wanted_nick(turn: &mut Turn, parameters: &[&str]) -> Option<String> {
    let nick = parameters.first().copied().unwrap_or_default();
    if nick.is_empty() {
        turn.numeric(ERR_NONICKNAMEGIVEN, &[], "No nickname given");
        return None;
    }
    if !is_nick(nick, turn.hall.settings.nick_length) {
        turn.numeric(ERR_ERRONEUSNICKNAME, &[nick], "Erroneous nickname");
        return None;
    }
    Some(nick.into())
}

/// Letters, digits, and the signs of RFC 2812, 2.3.1; neither a digit nor `-` at the beginning.
pub fn is_nick(nick: &str, most: usize) -> bool {
    let is_special = |byte: u8| b"[]\\`_^{|}".contains(&byte);
    let begins =
        nick.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || is_special(byte));
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || is_special(byte) || byte == b'-';
    begins && nick.bytes().all(goes_on) && nick.len() <= most
}

fn user(turn: &mut Turn, parameters: &[&str]) {
    let &[user, _, _, realname, ..] = parameters else {
        return turn.needs_more("USER");
    };
    if user.is_empty() || realname.is_empty() {
        return turn.needs_more("USER");
    }
    // What would change the meaning of nick!user@host.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"!@:*?".contains(&byte);
    if !user.bytes().all(is_plain) {
        return turn.numeric(
            ERR_INVALIDUSERNAME,
            &[],
            "Your user name has characters it may not have",
        );
    }
    let user = cut(user, USER_LENGTH).into();
    entry(turn).user = Some((user, cut(realname, NAME_LENGTH).into()));
    try_to_enter(turn);
}

/// CAP: of strangers and of clients.
pub fn cap(turn: &mut Turn, parameters: &[&str]) {
    let Some(&subcommand) = parameters.first() else {
        return turn.needs_more("CAP");
    };
    let nick = turn.nick().to_owned();
    let argument = parameters.get(1).copied().unwrap_or_default();
    match subcommand.to_ascii_uppercase().as_str() {
        "LS" => {
            negotiate(turn);
            if argument.parse::<u32>().is_ok_and(|version| version >= 302) {
                turn.voice.lasting = Capabilities::CAP_NOTIFY;
                set(turn, turn.voice.capabilities.with(Capabilities::CAP_NOTIFY));
            }
            turn.say(format_args!("CAP {nick} LS :{}", Capabilities::all()));
        }
        "LIST" => {
            let capabilities = turn.voice.capabilities;
            turn.say(format_args!("CAP {nick} LIST :{capabilities}"));
        }
        "REQ" => {
            negotiate(turn);
            let lasting = turn.voice.lasting;
            match requested(turn.voice.capabilities, argument) {
                Some(capabilities) if capabilities.have(lasting) => {
                    turn.say(format_args!("CAP {nick} ACK :{argument}"));
                    set(turn, capabilities);
                }
                _ => turn.say(format_args!("CAP {nick} NAK :{argument}")),
            }
        }
        "END" => {
            if turn.entry.is_some() {
                entry(turn).negotiates = false;
                try_to_enter(turn);
            }
        }
        _ => turn.numeric(ERR_INVALIDCAPCMD, &[subcommand], "Invalid CAP command"),
    }
}

fn negotiate(turn: &mut Turn) {
    if let Some(entry) = turn.entry {
        entry.negotiates = true;
    }
}

/// `present` changed as the list wants it: all of it, or nothing.
fn requested(present: Capabilities, list: &str) -> Option<Capabilities> {
    list.split(' ').filter(|name| !name.is_empty()).try_fold(present, |all, name| {
        Some(match name.strip_prefix('-') {
            Some(name) => all.without(Capabilities::named(name)?),
            None => all.with(Capabilities::named(name)?),
        })
    })
}

fn set(turn: &mut Turn, capabilities: Capabilities) {
    turn.voice.capabilities = capabilities;
    if let Some(client) = turn.state.clients.get_mut(&turn.me) {
        client.capabilities = capabilities;
    }
}

/// Lets somebody in who has said all that is needed. Until now nobody owned the nickname, so
/// somebody else may have come in under it since it was asked for.
fn try_to_enter(turn: &mut Turn) {
    let Some(Entry { nick: Some(nick), user: Some(_), negotiates: false, password, .. }) =
        turn.entry
    else {
        return;
    };
    if let Some(secret) = &turn.hall.settings.password
        && !password.as_ref().is_some_and(|password| secret.is(password))
    {
        turn.numeric(ERR_PASSWDMISMATCH, &[], "Password incorrect");
        return turn.leave("", "Bad password");
    }
    if turn.state.nicks.contains_key(&fold(nick)) {
        let taken = nick.clone();
        entry(turn).nick = None;
        return turn.numeric(ERR_NICKNAMEINUSE, &[&taken], "Nickname is already in use");
    }
    enter(turn);
}

fn enter(turn: &mut Turn) {
    let Some(Entry { nick: Some(nick), user: Some((user, realname)), host, .. }) =
        turn.entry.take()
    else {
        return;
    };
    let source = format!("{nick}!{user}@{host}");
    let state = &mut *turn.state;
    state.nicks.insert(fold(&nick), turn.me);
    state.strangers -= 1;
    let client = Client {
        nick: nick.clone(),
        user,
        host,
        realname,
        source: source.clone(),
        away: None,
        invisible: false,
        operator: false,
        wallops: false,
        capabilities: turn.voice.capabilities,
        signed_on: SystemTime::now(),
        spoke: turn.now,
        channels: BTreeSet::new(),
        invited: BTreeSet::new(),
        watched: HashMap::new(),
    };
    state.clients.insert(turn.me, client);
    state.most = state.most.max(state.clients.len());
    let settings = &turn.hall.settings;
    turn.numeric(
        RPL_WELCOME,
        &[],
        format_args!("Welcome to the {} Network, {source}", settings.network),
    );
    turn.numeric(
        RPL_YOURHOST,
        &[],
        format_args!("Your host is {}, running version {}", settings.name, about::VERSION),
    );
    let started = humantime::format_rfc3339_seconds(turn.hall.started);
    turn.numeric(RPL_CREATED, &[], format_args!("This server was created {started}"));
    let with_parameter = "Ibeklov";
    turn.bare_numeric(
        RPL_MYINFO,
        &[&settings.name, about::VERSION, modes::USER_MODES, modes::CHANNEL_MODES, with_parameter],
    );
    about::isupport(turn);
    about::lusers(turn);
    about::motd(turn, &[]);
    turn.state.tell_watchers(turn.me, RPL_MONONLINE, &nick, &source, turn.out);
}

/// NICK of a client: everybody who sees him hears of it once.
pub fn change_nick(turn: &mut Turn, parameters: &[&str]) {
    let Some(new) = wanted_nick(turn, parameters) else {
        return;
    };
    let old = turn.nick().to_owned();
    if new == old {
        return;
    }
    if turn.state.nicks.get(&fold(&new)).is_some_and(|owner| *owner != turn.me) {
        return turn.numeric(ERR_NICKNAMEINUSE, &[&new], "Nickname is already in use");
    }
    let line = turn.mine(format_args!("NICK :{new}"));
    let peers = turn.state.peers(turn.me);
    turn.say_line("", &line);
    turn.post(peers, Capabilities::default(), &line);
    let past = Past::of(turn.client());
    let client = turn.client_mut();
    client.source = format!("{new}!{}@{}", client.user, client.host);
    client.nick = new.clone();
    let source = client.source.clone();
    let state = &mut *turn.state;
    state.nicks.remove(&fold(&old));
    state.nicks.insert(fold(&new), turn.me);
    if fold(&old) != fold(&new) {
        state.remember(past);
        state.tell_watchers(turn.me, RPL_MONOFFLINE, &old, &old, turn.out);
        state.tell_watchers(turn.me, RPL_MONONLINE, &new, &source, turn.out);
    }
}

/// PASS and USER of somebody who is in.
pub fn too_late(turn: &mut Turn) {
    turn.numeric(ERR_ALREADYREGISTERED, &[], "You may not reregister");
}

/// SETNAME (IRCv3): another real name.
pub fn setname(turn: &mut Turn, parameters: &[&str]) {
    let name = parameters.first().copied().unwrap_or_default();
    if name.is_empty() || name.len() > NAME_LENGTH {
        return turn.say("FAIL SETNAME INVALID_REALNAME :Realname is not valid");
    }
    turn.client_mut().realname = name.into();
    let line = turn.mine(format_args!("SETNAME :{name}"));
    let peers = turn.state.peers(turn.me);
    turn.post(peers, Capabilities::SETNAME, &line);
    if turn.voice.capabilities.have(Capabilities::SETNAME) {
        turn.say_line("", &line);
    }
}

/// When somebody has signed on, as WHOIS tells it, and how long he has been silent: both in seconds.
pub fn signon_and_idle(client: &Client, now: Instant) -> (u64, u64) {
    let idle = now.saturating_duration_since(client.spoke).as_secs();
    (seconds(client.signed_on), idle)
}

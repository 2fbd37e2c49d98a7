//! What the server says of itself: ISUPPORT, LUSERS, MOTD, VERSION, TIME, ADMIN, INFO, LINKS, STATS;
//! and PING and QUIT.

use std::time::SystemTime;

use super::channel::MOST_MASKS;
use super::mask;
use super::modes::{KEY_LENGTH, MOST_CHANGES};
use super::monitor::MOST_WATCHED;
use super::numeric::{
    ERR_NOMOTD, ERR_NOORIGIN, ERR_NOSUCHSERVER, RPL_ADMINEMAIL, RPL_ADMINLOC1, RPL_ADMINLOC2,
    RPL_ADMINME, RPL_ENDOFINFO, RPL_ENDOFLINKS, RPL_ENDOFMOTD, RPL_ENDOFSTATS, RPL_GLOBALUSERS,
    RPL_INFO, RPL_ISUPPORT, RPL_LINKS, RPL_LOCALUSERS, RPL_LUSERCHANNELS, RPL_LUSERCLIENT,
    RPL_LUSERME, RPL_LUSEROP, RPL_LUSERUNKNOWN, RPL_MOTD, RPL_MOTDSTART, RPL_STATSCONN,
    RPL_STATSUPTIME, RPL_TIME, RPL_VERSION,
};
use super::registration::{NAME_LENGTH, USER_LENGTH};
use super::talk::MOST_TARGETS;
use super::turn::Turn;

/// What runs here.
pub const VERSION: &str = concat!("socklab-", env!("CARGO_PKG_VERSION"));

/// Tokens in one line of ISUPPORT: with the nickname and the text they make fifteen parameters.
const TOKENS: usize = 13;

impl Turn<'_> {
    /// Whether `server` is what this server is called, or somebody on it.
    pub fn is_here(&self, server: &str) -> bool {
        let name = &self.hall.settings.name;
        mask::matches(server.as_bytes(), name.as_bytes()) || self.state.named(server).is_some()
    }

    /// Whether a question is for this server, or an answer that it knows no other.
    fn asks_here(&mut self, parameters: &[&str]) -> bool {
        match parameters.first().filter(|server| !server.is_empty() && !self.is_here(server)) {
            Some(server) => {
                self.numeric(ERR_NOSUCHSERVER, &[server], "No such server");
                false
            }
            None => true,
        }
    }
}

/// What this server can do, and how much of it (005).
pub fn isupport(turn: &mut Turn) {
    let settings = &turn.hall.settings;
    let text = settings.topic_length;
    let mut tokens = vec![
        format!("AWAYLEN={text}"),
        "CASEMAPPING=ascii".into(),
        format!("CHANLIMIT=#&:{}", settings.channels_per_client),
        "CHANMODES=beI,k,l,imnst".into(),
        format!("CHANNELLEN={}", settings.channel_length),
        "CHANTYPES=#&".into(),
        "ELIST=MNU".into(),
        "EXCEPTS=e".into(),
        "INVEX=I".into(),
        format!("KEYLEN={KEY_LENGTH}"),
        format!("KICKLEN={text}"),
        format!("MAXLIST=b:{MOST_MASKS},e:{MOST_MASKS},I:{MOST_MASKS}"),
        format!("MODES={MOST_CHANGES}"),
        format!("MONITOR={MOST_WATCHED}"),
        format!("NAMELEN={NAME_LENGTH}"),
        format!("NETWORK={}", settings.network),
        format!("NICKLEN={}", settings.nick_length),
        "PREFIX=(ov)@+".into(),
        "SAFELIST".into(),
        "STATUSMSG=@+".into(),
    ];
    let talk = ["PRIVMSG", "NOTICE", "TAGMSG"].map(|command| format!("{command}:{MOST_TARGETS}"));
    tokens.push(format!(
        "TARGMAX=JOIN:,KICK:,LIST:,MONITOR:,NAMES:,PART:,WHOIS:1,WHOWAS:1,{}",
        talk.join(",")
    ));
    tokens.push(format!("TOPICLEN={text}"));
    tokens.push(format!("USERLEN={USER_LENGTH}"));
    tokens.push("UTF8ONLY".into());
    tokens.push("WHOX".into());
    for line in tokens.chunks(TOKENS) {
        let tokens: Vec<&str> = line.iter().map(String::as_str).collect();
        turn.numeric(RPL_ISUPPORT, &tokens, "are supported by this server");
    }
}

pub fn lusers(turn: &mut Turn) {
    let clients = turn.state.clients.values();
    let (mut all, mut invisible, mut operators) = (0, 0, 0);
    for client in clients {
        all += 1;
        invisible += usize::from(client.invisible);
        operators += usize::from(client.operator);
    }
    let (strangers, channels) = (turn.state.strangers, turn.state.channels.len());
    let most = turn.state.most;
    let users = all - invisible;
    turn.numeric(
        RPL_LUSERCLIENT,
        &[],
        format_args!("There are {users} users and {invisible} invisible on 1 servers"),
    );
    turn.numeric(RPL_LUSEROP, &[&operators.to_string()], "operator(s) online");
    turn.numeric(RPL_LUSERUNKNOWN, &[&strangers.to_string()], "unknown connection(s)");
    turn.numeric(RPL_LUSERCHANNELS, &[&channels.to_string()], "channels formed");
    turn.numeric(RPL_LUSERME, &[], format_args!("I have {all} clients and 0 servers"));
    let numbers = [all.to_string(), most.to_string()];
    let numbers = [numbers[0].as_str(), &numbers[1]];
    for (code, whose) in [(RPL_LOCALUSERS, "local"), (RPL_GLOBALUSERS, "global")] {
        let text = format_args!("Current {whose} users {all}, max {most}");
        turn.numeric(code, &numbers, text);
    }
    turn.numeric(RPL_STATSCONN, &[], format_args!("Highest connection count: {most}"));
}

pub fn motd(turn: &mut Turn, parameters: &[&str]) {
    if !turn.asks_here(parameters) {
        return;
    }
    let settings = &turn.hall.settings;
    let Some(motd) = &settings.motd else {
        return turn.numeric(ERR_NOMOTD, &[], "MOTD File is missing");
    };
    turn.numeric(RPL_MOTDSTART, &[], format_args!("- {} Message of the day - ", settings.name));
    for line in motd {
        turn.numeric(RPL_MOTD, &[], format_args!("- {line}"));
    }
    turn.numeric(RPL_ENDOFMOTD, &[], "End of /MOTD command");
}

pub fn version(turn: &mut Turn, parameters: &[&str]) {
    if turn.asks_here(parameters) {
        let name = &turn.hall.settings.name;
        turn.numeric(RPL_VERSION, &[VERSION, name], "a laboratory for sockets");
        isupport(turn);
    }
}

pub fn time(turn: &mut Turn, parameters: &[&str]) {
    if turn.asks_here(parameters) {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        turn.numeric(RPL_TIME, &[&turn.hall.settings.name], now);
    }
}

pub fn admin(turn: &mut Turn, parameters: &[&str]) {
    if turn.asks_here(parameters) {
        let settings = &turn.hall.settings;
        turn.numeric(RPL_ADMINME, &[&settings.name], "Administrative info");
        let codes = [RPL_ADMINLOC1, RPL_ADMINLOC2, RPL_ADMINEMAIL];
        for (code, text) in codes.into_iter().zip(&settings.admin) {
            turn.numeric(code, &[], text);
        }
    }
}

pub fn info(turn: &mut Turn, parameters: &[&str]) {
    if turn.asks_here(parameters) {
        let started = humantime::format_rfc3339_seconds(turn.hall.started);
        turn.numeric(RPL_INFO, &[], format_args!("{VERSION}, a laboratory for sockets"));
        turn.numeric(RPL_INFO, &[], format_args!("Online since {started}"));
        turn.numeric(RPL_ENDOFINFO, &[], "End of INFO list");
    }
}

pub fn links(turn: &mut Turn) {
    let settings = &turn.hall.settings;
    let name = &settings.name;
    turn.numeric(RPL_LINKS, &[name, name], format_args!("0 {}", settings.description));
    turn.numeric(RPL_ENDOFLINKS, &["*"], "End of /LINKS list");
}

pub fn stats(turn: &mut Turn, parameters: &[&str]) {
    let Some(&query) = parameters.first().filter(|query| !query.is_empty()) else {
        return turn.needs_more("STATS");
    };
    if query == "u" {
        let up = turn.hall.started.elapsed().unwrap_or_default().as_secs();
        let (days, hours, minutes) = (up / 86_400, up / 3600 % 24, up / 60 % 60);
        let text = format_args!("Server Up {days} days {hours}:{minutes:02}:{:02}", up % 60);
        turn.numeric(RPL_STATSUPTIME, &[], text);
    }
    turn.numeric(RPL_ENDOFSTATS, &[query], "End of /STATS report");
}

pub fn ping(turn: &mut Turn, parameters: &[&str]) {
    match parameters.first() {
        None | Some(&"") => turn.numeric(ERR_NOORIGIN, &[], "No origin specified"),
        Some(token) => {
            let name = &turn.hall.settings.name;
            turn.say(format_args!("PONG {name} :{token}"));
        }
    }
}

pub fn quit(turn: &mut Turn, parameters: &[&str]) {
    // So that nobody can say that it was the server who let him go.
    let reason = format!("Quit: {}", parameters.first().unwrap_or(&""));
    turn.leave(&reason, &reason);
}

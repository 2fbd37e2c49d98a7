//! HELP: what each command wants, in a line or two.

use super::numeric::{ERR_HELPNOTFOUND, RPL_ENDOFHELP, RPL_HELPSTART, RPL_HELPTXT};
use super::turn::Turn;

/// Commands, each with its parameters and what it does.
const TOPICS: &[(&str, &str, &str)] = &[
    ("ADMIN", "[server]", "tells who runs the server"),
    ("AWAY", "[:text]", "says that you are away and why, or that you are back"),
    ("CAP", "LS|LIST|REQ|END [:capabilities]", "settles what you understand (IRCv3)"),
    ("HELP", "[command]", "tells this"),
    ("INFO", "", "tells what the server is"),
    ("INVITE", "[nick channel]", "asks somebody in, or lists where you were asked in"),
    ("ISON", "nick …", "tells which of them are here"),
    ("JOIN", "#a,#b [key,key] | 0", "goes onto channels, or leaves all of them"),
    ("KICK", "channel nick,nick [:reason]", "throws somebody out"),
    ("KILL", "nick [:reason]", "ends somebody's connection (operators)"),
    ("LINKS", "", "tells the servers of the network, of which there is one"),
    ("LIST", "[channel|mask|>users|<users],…", "tells which channels there are"),
    ("LUSERS", "", "tells how many are here"),
    ("MODE", "nick|channel [+-letters] [parameter …]", "shows modes and changes them"),
    ("MONITOR", "+|-|C|L|S [nick,nick]", "tells when somebody comes and goes"),
    ("MOTD", "[server]", "tells the message of the day"),
    ("NAMES", "[channel,channel]", "tells who is on a channel"),
    ("NICK", "nick", "changes what you are called"),
    ("NOTICE", "target,target :text", "says something that no program answers"),
    ("OPER", "name password", "makes you an operator of the server"),
    ("PART", "#a,#b [:reason]", "leaves channels"),
    ("PASS", "password", "comes before NICK and USER where the server wants one"),
    ("PING", "token", "is answered with PONG and the token"),
    ("PRIVMSG", "target,target :text", "says something to channels and people"),
    ("QUIT", "[:reason]", "leaves the server"),
    ("SETNAME", ":real name", "changes your real name"),
    ("STATS", "u", "tells how long the server has been running"),
    ("TAGMSG", "target,target", "passes tags on without a text"),
    ("TIME", "[server]", "tells the time of the server"),
    ("TOPIC", "channel [:text]", "shows a topic, sets it, or takes it away"),
    ("USER", "name 0 * :real name", "says who you are, with NICK"),
    ("USERHOST", "nick …", "tells where they come from"),
    ("VERSION", "[server]", "tells what runs here, and what it can do"),
    ("WALLOPS", ":text", "says something to all who want to hear operators (+w)"),
    ("WHO", "[channel|nick|mask] [o][%fields,token]", "tells who is there"),
    ("WHOIS", "nick", "tells about somebody who is here"),
    ("WHOWAS", "nick [count]", "tells about somebody who was"),
];

pub fn help(turn: &mut Turn, parameters: &[&str]) {
    let subject = parameters.first().copied().unwrap_or_default();
    if subject.is_empty() {
        turn.numeric(RPL_HELPSTART, &["*"], "Commands of this server; HELP COMMAND tells of one");
        let names: Vec<&str> = TOPICS.iter().map(|(name, ..)| *name).collect();
        for line in names.chunks(10) {
            turn.numeric(RPL_HELPTXT, &["*"], line.join(" "));
        }
        return turn.numeric(RPL_ENDOFHELP, &["*"], "End of HELP");
    }
    let known = TOPICS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(subject));
    match known {
        Some((name, usage, text)) => {
            turn.numeric(RPL_HELPSTART, &[name], format!("{name} {usage}").trim_end());
            turn.numeric(RPL_HELPTXT, &[name], text);
            turn.numeric(RPL_ENDOFHELP, &[name], "End of HELP");
        }
        None => turn.numeric(ERR_HELPNOTFOUND, &[subject], "There is no help on this"),
    }
}

//! How a server lets us in: capabilities, password, nick and user (RFC 2812, 3.1; IRCv3 capability
//! negotiation). Servers that know no capabilities let us in without.

use std::collections::VecDeque;

use super::event::Event;
use super::numerics::refusal;
use super::speech::command;

/// Capabilities that we know what to do with.
const WANTED: [&str; 3] = ["message-tags", "multi-prefix", "server-time"];

/// How many other nicks are tried when one is taken.
const ATTEMPTS: usize = 4;

/// Who we are.
pub struct Credentials {
    /// The nick to begin with.
    pub nick: String,
    /// The name of the user.
    pub user: String,
    /// For servers that want one.
    pub password: Option<Vec<u8>>,
}

/// How far it has come.
pub struct Registration {
    /// The nick that was tried last, and how many others were before.
    nick: String,
    attempts: usize,
    offered: Vec<&'static str>,
}

impl Registration {
    /// Says everything that needs no answer at once.
    pub fn begin(credentials: Credentials, out: &mut VecDeque<Vec<u8>>) -> Registration {
        let Credentials { nick, user, password } = credentials;
        out.push_back(command("CAP", &[b"LS", b"302"], None));
        if let Some(password) = password {
            out.push_back(command("PASS", &[], Some(&password)));
        }
        out.push_back(command("NICK", &[nick.as_bytes()], None));
        out.push_back(command("USER", &[user.as_bytes(), b"0", b"*"], Some(user.as_bytes())));
        Registration { nick, attempts: 0, offered: Vec::new() }
    }

    /// Takes the parameters of a CAP.
    pub fn hear_cap(&mut self, parameters: &[String], out: &mut VecDeque<Vec<u8>>) {
        match parameters {
            [_, what, rest @ ..] if what == "LS" => {
                let list = rest.last().map(String::as_str).unwrap_or_default();
                let names = list.split(' ').filter_map(|offer| offer.split('=').next());
                let known = names.filter_map(|name| WANTED.into_iter().find(|ours| *ours == name));
                self.offered.extend(known);
                let more_follows = rest.len() > 1;
                match (more_follows, self.offered.is_empty()) {
                    (true, _) => {}
                    (false, true) => out.push_back(command("CAP", &[b"END"], None)),
                    (false, false) => {
                        let asked = self.offered.join(" ");
                        out.push_back(command("CAP", &[b"REQ"], Some(asked.as_bytes())));
                    }
                }
            }
            [_, what, ..] if what == "ACK" || what == "NAK" => {
                out.push_back(command("CAP", &[b"END"], None));
            }
            _ => {}
        }
    }

    /// Takes a refusal: tries another nick, or tells that we are not let in.
    pub fn hear_refusal(
        &mut self,
        number: u16,
        about: &[String],
        out: &mut VecDeque<Vec<u8>>,
        events: &mut Vec<Event>,
    ) {
        let why = || refusal(number, about);
        match number {
            // The nick is taken; or the next one tried is longer than the server has them.
            433 | 436 | 437 => self.try_next(number, why, out, events),
            432 if self.attempts > 0 => self.try_next(number, why, out, events),
            431 | 432 => {
                let advice = "choose another one with --nick";
                events.push(Event::Denied(format!("{}; {advice}", why())));
            }
            464 => {
                let advice = "give it with --password-file";
                events.push(Event::Denied(format!("{}; {advice}", why())));
            }
            463 | 465 | 466 => {
                let advice = "ask those who run the server";
                events.push(Event::Denied(format!("{}; {advice}", why())));
            }
            // It knows no capabilities, so it needs no end of them.
            410 | 421 | 451 => {}
            _ => events.push(Event::Told(why())),
        }
    }

    fn try_next(
        &mut self,
        number: u16,
        why: impl Fn() -> String,
        out: &mut VecDeque<Vec<u8>>,
        events: &mut Vec<Event>,
    ) {
        if self.attempts == ATTEMPTS {
            let told = format!("{}, and so are {} like it", why(), self.attempts);
            events.push(Event::Denied(format!("{told}; choose another one with --nick")));
            return;
        }
        self.attempts += 1;
        let next = match number {
            // Too long, so the mark takes the place of the last letter.
            432 => {
                let kept = self.nick.trim_end_matches('_');
                let marks = self.nick.len() - kept.len();
                let kept: String = kept.chars().take(kept.chars().count().max(2) - 1).collect();
                kept + &"_".repeat(marks.max(1))
            }
            _ => format!("{}_", self.nick),
        };
        out.push_back(command("NICK", &[next.as_bytes()], None));
        let nick = std::mem::replace(&mut self.nick, next.clone());
        events.push(Event::NickTaken { nick, next });
    }
}

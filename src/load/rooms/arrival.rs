//! How a client comes into its room, and what else a server says: everything but the lines of the
//! chat.

use std::io;
use std::sync::atomic::Ordering;

use mio::{Interest, Token};

use super::Rooms;
use super::line::CALLS;
use super::member::Stage;
use super::names::NICK;
use crate::load::crowd::client::State;
use crate::load::crowd::secure::Tls;
use crate::load::fault::{self, Kind};
use crate::load::secure::Agreed;
use crate::service::chat::message::{Message, Source};

/// What a server says before it has welcomed somebody, without saying who it is.
const UNSIGNED: [&[u8]; 5] = [b"PING", b"NOTICE", b"ERROR", b"CAP", b"AUTHENTICATE"];

/// Nicks that are tried: one run has another tag than the next.
const NICKS: u8 = 36;

impl Rooms {
    pub(super) fn call(&mut self, index: usize) {
        self.progress = self.now;
        let source = self.callers.source(self.calls);
        self.calls += 1;
        self.line_up(index);
        let line = &mut self.members[index].line;
        let called = line.call(self.callers.server, source, self.now).and_then(|()| {
            let stream = line.stream.as_mut().expect("it has just called");
            let both = Interest::READABLE | Interest::WRITABLE;
            self.lookout.registry().register(stream, Token(index), both)
        });
        match called {
            Ok(()) => self.answer_the_call(index),
            Err(error) => self.refused(index, &error),
        }
        self.settle(index);
    }

    /// Calls again, if the connection was lost before anything came and it has not tried too often.
    pub(super) fn calls_again(&mut self, index: usize, error: &io::Error) -> bool {
        let member = &mut self.members[index];
        let is_unheard = member.stage == Stage::Registering && member.line.heard == 0;
        if !is_unheard
            || error.kind() != io::ErrorKind::ConnectionReset
            || member.missed + 1 == CALLS
        {
            return false;
        }
        member.missed += 1;
        member.owes = false;
        member.partial.clear();
        member.backlog.clear();
        self.call(index);
        true
    }

    /// A connection that has come about is talked on at once.
    pub(super) fn answer_the_call(&mut self, index: usize) {
        match self.members[index].line.established() {
            Ok(false) => {}
            Err(error) => self.refused(index, &error),
            Ok(true) => {
                self.tick();
                self.progress = self.now;
                let line = &mut self.members[index].line;
                self.times.connect.saturating_record(self.now - line.called);
                let Some(secure) = &self.callers.secure else {
                    line.state = State::Talking;
                    return self.register(index);
                };
                match self.connectors[index].connection(&secure.host) {
                    Ok(connection) => {
                        line.greet(Tls::new(connection, self.now));
                        self.flush(index);
                    }
                    Err(why) => self.lose(index, Kind::Refused, why),
                }
            }
        }
    }

    /// If hands are shaken, it talks.
    pub(super) fn greeted(&mut self, index: usize) {
        let line = &mut self.members[index].line;
        let Some(tls) = line.tls.as_ref().filter(|tls| tls.is_finished()) else {
            return;
        };
        line.state = State::Talking;
        match tls.is_resumed() {
            true => self.tally.handshakes.resumed += 1,
            false => self.tally.handshakes.full += 1,
        }
        Agreed::merge(&mut self.agreed, tls.agreed());
        let since = tls.since;
        self.tick();
        self.times.handshake.saturating_record(self.now - since);
        self.progress = self.now;
        self.register(index);
    }

    fn register(&mut self, index: usize) {
        let mut words = Vec::new();
        if let Some(password) = &self.chat.password {
            words.extend_from_slice(format!("PASS :{password}\r\n").as_bytes());
        }
        words.extend_from_slice(&self.introduction(index));
        words.extend_from_slice(b"USER s 0 * :socklab load\r\n");
        self.send(index, &words);
    }

    fn introduction(&self, index: usize) -> Vec<u8> {
        [b"NICK ", &self.nick(index)[..], b"\r\n"].concat()
    }

    pub(super) fn nick(&self, index: usize) -> [u8; NICK] {
        self.chat.names.nick(self.number(index), self.members[index].attempt)
    }

    /// Whether a server may say this to it now. What follows from it is done.
    pub(super) fn is_right(&mut self, index: usize, line: &[u8]) -> bool {
        let Some(message) = Message::parse(line) else {
            return true;
        };
        let stage = self.members[index].stage;
        let words = message.parameters();
        match message.command {
            b"PRIVMSG" if stage != Stage::Registering => return self.is_due(index, &message, line),
            b"PING" => {
                let token = words.first().copied().unwrap_or_default();
                self.send(index, &[b"PONG :", token, b"\r\n"].concat());
            }
            b"ERROR" => self.dismissed(index, line),
            _ if stage == Stage::Registering && !is_signed(&message) => {
                let detail = format!("it does not speak IRC, but said {}", fault::text(line));
                self.lose(index, Kind::Refused, detail);
            }
            b"001" => self.welcomed(index, words.first().copied().unwrap_or_default()),
            b"433" | b"436" | b"437" if stage == Stage::Registering => self.rename(index, line),
            b"353" if stage == Stage::Joining => {
                for name in words.last().into_iter().flat_map(|names| names.split(is_space)) {
                    self.saw(index, name);
                }
            }
            b"366" if stage == Stage::Joining => {
                self.has_come(index);
                self.watch.connected.fetch_add(1, Ordering::Relaxed);
            }
            b"JOIN" if stage != Stage::Registering => {
                self.saw(index, Source::parse(message.source.unwrap_or_default()).nick);
            }
            b"PONG" => self.answered(index, words.last().copied().unwrap_or_default()),
            b"KICK" | b"KILL" => {
                let nick = self.nick(index);
                if words.iter().take(2).any(|word| *word == nick) {
                    self.dismissed(index, line);
                }
            }
            // No message of the day: some say so as if it were an error.
            b"422" => {}
            [b'4' | b'5', b'0'..=b'9', b'0'..=b'9'] => self.refused_by_number(index, line),
            _ => {}
        }
        true
    }

    /// It was told that somebody is in its room. In lists a sign may stand before a name.
    fn saw(&mut self, index: usize, name: &[u8]) {
        let nick = &name[name.len().saturating_sub(NICK)..];
        let Some(number) = self.chat.names.number(nick) else {
            return;
        };
        let member = &mut self.members[index];
        let place = number.wrapping_sub(self.rooms[member.room].number * self.size);
        if place < self.size {
            member.seen.add(place);
        }
    }

    fn welcomed(&mut self, index: usize, name: &[u8]) {
        if self.members[index].stage != Stage::Registering {
            return;
        }
        let nick = self.nick(index);
        if name != nick {
            let (name, nick) = (name.escape_ascii(), nick.escape_ascii());
            let detail = format!("the server calls it {name:?}, though it is {nick:?}");
            return self.lose(index, Kind::Refused, detail.replace('"', ""));
        }
        let member = &mut self.members[index];
        member.stage = Stage::Joining;
        let join = [b"JOIN ", &self.rooms[member.room].name[..], b"\r\n"].concat();
        self.send(index, &join);
    }

    /// Its nick is taken.
    fn rename(&mut self, index: usize, line: &[u8]) {
        self.members[index].attempt += 1;
        if self.members[index].attempt == NICKS {
            return self.refused_by_number(index, line);
        }
        let introduction = self.introduction(index);
        self.send(index, &introduction);
    }

    /// The server does not do what it was asked for.
    fn refused_by_number(&mut self, index: usize, line: &[u8]) {
        let said = fault::text(line);
        match self.members[index].stage {
            Stage::Registering | Stage::Joining => {
                let advice = if line.windows(5).any(|word| word == b" 464 ") {
                    "; give it --password"
                } else {
                    ""
                };
                self.lose(index, Kind::Refused, format!("the server said {said}{advice}"));
            }
            // The others say nothing but what the protocol wants.
            Stage::There if self.members[index].place < self.talkers => {
                self.lose(index, Kind::Lost, format!("the server did not take its line: {said}"));
            }
            Stage::There | Stage::Done => {}
        }
    }

    /// The server has ended it, and said why.
    fn dismissed(&mut self, index: usize, line: &[u8]) {
        let flood = line.to_ascii_lowercase().windows(5).any(|word| word == b"flood");
        let advice = match flood {
            true => {
                "; the server limits how fast clients may talk: raise its limits, or start \
                 `socklab server chat --flood off`"
            }
            false => "",
        };
        let is_in = matches!(self.members[index].stage, Stage::There | Stage::Done);
        let kind = if is_in { Kind::Short } else { Kind::Refused };
        self.lose(index, kind, format!("the server said {}{advice}", fault::text(line)));
    }
}

fn is_space(byte: &u8) -> bool {
    *byte == b' '
}

/// Whether a message says that it is a server's, as all but a few do.
fn is_signed(message: &Message) -> bool {
    message.source.is_some_and(|source| !Source::parse(source).nick.is_empty())
        || UNSIGNED.contains(&message.command)
}

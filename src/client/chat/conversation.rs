//! A conversation with a server as a state machine: its lines and ours in, events and lines to send
//! out. It knows no socket, no clock and no screen.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::event::{Event, Manner, Place, Said};
use super::numerics::{is_about_joining, refusal};
use super::pace::Pace;
use super::registration::{Credentials, Registration};
use super::rooms::Rooms;
use super::server::Server;
use super::speech::{Prefix, command};
use super::typed::{HELP, Typed, understand, word};
use super::{Settings, plain};
use crate::service::chat::message::{Message, Source, unescape};

/// One conversation.
pub struct Conversation {
    nick: String,
    /// The lengths of our user's and host's names, as others see them.
    address: Option<(usize, usize)>,
    /// Being let in; `None` once that is done.
    registration: Option<Registration>,
    to_join: Vec<(String, Option<String>)>,
    server: Server,
    rooms: Rooms,
    /// Names in a room that we are not in.
    listed: Vec<String>,
    /// What is not held back: answers, and what is said before we are in.
    urgent: VecDeque<Vec<u8>>,
    pace: Pace,
}

/// What became of a line that was typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// It was said, or needed no server.
    Done,
    /// The server was asked for something that changes what the next line means.
    Asked,
    /// It asks to leave, with these last words.
    Quit(Vec<u8>),
}

impl Conversation {
    /// Begins with what a client says first.
    pub fn new(settings: &Settings) -> Conversation {
        let credentials = Credentials {
            nick: settings.nick.clone(),
            user: settings.user.clone(),
            password: settings.password.clone(),
        };
        let mut urgent = VecDeque::new();
        let registration = Registration::begin(credentials, &mut urgent);
        Conversation {
            nick: settings.nick.clone(),
            address: None,
            registration: Some(registration),
            to_join: settings.rooms.clone(),
            server: Server::default(),
            rooms: Rooms::default(),
            listed: Vec::new(),
            urgent,
            pace: Pace::default(),
        }
    }

    /// What we are called.
    pub fn nick(&self) -> &str {
        &self.nick
    }

    /// The rooms we are in.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// The next line is about to be asked for: it goes to the room that is current now, or nowhere.
    pub fn prompt(&mut self) {
        self.rooms.prompt();
    }

    /// Whether the server has let us in.
    pub fn is_in(&self) -> bool {
        self.registration.is_none()
    }

    /// How fast we may be.
    pub fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// Whether the server has taken all that was to be sent.
    pub fn is_settled(&self) -> bool {
        self.urgent.is_empty() && self.pace.is_settled()
    }

    /// The next line to send.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        self.urgent.pop_front().or_else(|| self.pace.next())
    }

    /// Takes a line of the server, without its end.
    pub fn hear(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let Some(message) = Message::parse(line) else { return };
        let parameters: Vec<String> = message.parameters().iter().map(|text| plain(text)).collect();
        let parameter = |at: usize| parameters.get(at).cloned().unwrap_or_default();
        let source = Source::parse(message.source.unwrap_or_default());
        let who = plain(source.nick);
        let number = std::str::from_utf8(message.command).ok().filter(|word| word.len() == 3);
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            return self.hear_number(number, &parameters, events);
        }
        match message.command.to_ascii_uppercase().as_slice() {
            b"PING" => {
                let token = message.parameters().last().copied().unwrap_or_default();
                self.urgent.push_back(command("PONG", &[], Some(token)));
            }
            b"PONG" => {
                self.pace.answered(&parameters.last().cloned().unwrap_or_default());
            }
            b"ERROR" => events.push(Event::Ended(parameter(0))),
            b"CAP" => {
                if let Some(registration) = &mut self.registration {
                    registration.hear_cap(&parameters, &mut self.urgent);
                }
            }
            b"PRIVMSG" | b"NOTICE" => events.extend(self.said(&message, &source, who)),
            _ if who.is_empty() => {}
            b"JOIN" => {
                let room = parameter(0);
                if self.is_me(&who) {
                    if !source.user.is_empty() {
                        self.address = Some((source.user.len(), source.host.len()));
                    }
                    self.rooms.enter(&self.server, &room);
                } else if let Some(room) = self.rooms.find_mut(&self.server, &room) {
                    room.add(&self.server, &who);
                }
                events.push(Event::Joined { who, room });
            }
            b"PART" => {
                let (room, reason) = (parameter(0), parameter(1));
                self.gone(&who, &room);
                events.push(Event::Left { who, room, reason });
            }
            b"KICK" => {
                let (room, kicked, reason) = (parameter(0), parameter(1), parameter(2));
                let me = self.is_me(&kicked);
                self.gone(&kicked, &room);
                events.push(Event::Kicked { who: kicked, room, by: who, reason, me });
            }
            b"QUIT" => {
                self.rooms.forget(&self.server, &who);
                // How servers mark reasons that are the person's own, even where there is none.
                let reason = Some(parameter(0)).filter(|reason| reason.trim_end() != "Quit:");
                events.push(Event::Quit { who, reason: reason.unwrap_or_default() });
            }
            b"NICK" => {
                let to = parameter(0);
                if self.is_me(&who) {
                    self.nick.clone_from(&to);
                }
                self.rooms.rename(&self.server, &who, &to);
                events.push(Event::Renamed { from: who, to });
            }
            b"TOPIC" => {
                events.push(Event::TopicChanged { room: parameter(0), who, text: parameter(1) });
            }
            b"MODE" if self.server.is_room(&parameter(0)) => {
                let what = parameters[1..].join(" ");
                events.push(Event::Told(format!("{who} sets {what} for {}", parameter(0))));
            }
            b"INVITE" => {
                let room = parameter(1);
                let told = format!("{who} invites you to {room}; /join {room} enters it");
                events.push(Event::Told(told));
            }
            _ => {}
        }
    }

    /// Does what somebody typed.
    pub fn obey(&mut self, line: &[u8], events: &mut Vec<Event>) -> Act {
        let typed = match understand(line) {
            Ok(typed) => typed,
            Err(wrong) => {
                events.push(Event::Refused(wrong));
                return Act::Done;
            }
        };
        let asked = match typed {
            Typed::Nothing => return Act::Done,
            Typed::Say(text) => {
                self.say(text, events);
                return Act::Done;
            }
            Typed::Help => {
                events.push(Event::Help(HELP));
                return Act::Done;
            }
            Typed::Quit(why) => return Act::Quit(why.to_vec()),
            Typed::Me(text) => {
                self.say_in_room(text, Manner::Action, events);
                return Act::Done;
            }
            Typed::Msg(to, text) => {
                let to = String::from_utf8_lossy(to);
                self.say_to(&to, text, Manner::Speech, events);
                return Act::Done;
            }
            Typed::Join(room, key) => {
                let room = room_name(&String::from_utf8_lossy(room));
                if self.rooms.turn_to(&self.server, &room) {
                    events.push(Event::Told(format!("lines go to {} now", plain(room.as_bytes()))));
                    return Act::Done;
                }
                let parameters: Vec<&[u8]> = [room.as_bytes()].into_iter().chain(key).collect();
                self.rooms.ask(&room);
                command("JOIN", &parameters, None)
            }
            Typed::Nick(nick) => command("NICK", &[nick], None),
            Typed::Part(rest) => match self.room_and_text(rest) {
                Some((room, why)) => command("PART", &[&room], why),
                None => return self.nowhere(events),
            },
            Typed::Names(room) => match self.room_and_text(room) {
                Some((room, _)) => command("NAMES", &[&room], None),
                None => return self.nowhere(events),
            },
            Typed::Topic(rest) => match self.room_and_text(rest) {
                Some((room, text)) => command("TOPIC", &[&room], text),
                None => return self.nowhere(events),
            },
        };
        self.pace.push(asked);
        Act::Asked
    }

    /// Says `text` in the current room, whatever it begins with.
    pub fn say(&mut self, text: &[u8], events: &mut Vec<Event>) {
        self.say_in_room(text, Manner::Speech, events);
    }

    /// The last words; nothing is sent after them.
    pub fn quit(&mut self, why: &[u8]) {
        self.pace.give_up();
        self.urgent.push_back(command("QUIT", &[], (!why.is_empty()).then_some(why)));
    }

    fn hear_number(&mut self, number: u16, parameters: &[String], events: &mut Vec<Event>) {
        // The first one is our nick.
        let about = parameters.get(1..).unwrap_or_default();
        let first = about.first().map(String::as_str).unwrap_or_default();
        let last = about.last().map(String::as_str).unwrap_or_default();
        if let Some(registration) = &mut self.registration
            && number >= 400
        {
            return registration.hear_refusal(number, about, &mut self.urgent, events);
        }
        match number {
            1 => {
                self.registration = None;
                if let Some(nick) = parameters.first() {
                    self.nick.clone_from(nick);
                }
                events.push(Event::Welcome { nick: self.nick.clone() });
                for (room, key) in &self.to_join {
                    let key = key.as_deref().map(str::as_bytes);
                    let parameters: Vec<&[u8]> = [room.as_bytes()].into_iter().chain(key).collect();
                    self.rooms.ask(room);
                    self.pace.push(command("JOIN", &parameters, None));
                }
            }
            5 => about.iter().for_each(|parameter| self.server.learn(parameter)),
            // Who runs it, how many there are, and the marks around the message of the day.
            2..=4 | 250..=255 | 265 | 266 | 375 | 376 | 422 => {}
            372 => events.push(Event::Told(last.strip_prefix("- ").unwrap_or(last).into())),
            331 => events.push(Event::Topic { room: first.into(), text: String::new() }),
            332 => events.push(Event::Topic { room: first.into(), text: last.into() }),
            333 => {
                let setter = about.get(1).map(String::as_str).unwrap_or_default();
                let who = plain(Source::parse(setter.as_bytes()).nick);
                let at = about.get(2).and_then(|seconds| seconds.parse().ok());
                let at = at.and_then(|seconds| Timestamp::from_second(seconds).ok());
                events.push(Event::TopicSet { room: first.into(), who, at });
            }
            353 => {
                let room = about.get(1).map(String::as_str).unwrap_or_default();
                match self.rooms.find_mut(&self.server, room) {
                    Some(room) => room.list(last),
                    None => self.listed.extend(last.split_whitespace().map(String::from)),
                }
            }
            366 => {
                let names = match self.rooms.find_mut(&self.server, first) {
                    Some(room) => room.listed(&self.server),
                    None => {
                        let mut names = std::mem::take(&mut self.listed);
                        let key = |name: &String| self.server.fold(self.server.nick_of(name));
                        names.sort_by_cached_key(key);
                        names
                    }
                };
                events.push(Event::Names { room: first.into(), names });
            }
            396 => {
                if let Some((user, _)) = self.address {
                    self.address = Some((user, first.len()));
                }
            }
            400..=599 => {
                let why = refusal(number, about);
                self.rooms.answered(&self.server, first);
                let to_enter =
                    is_about_joining(number) && self.rooms.find(&self.server, first).is_none();
                events.push(match to_enter {
                    true => Event::NotJoined { room: first.into(), why },
                    false => Event::Refused(why),
                });
            }
            _ => events.push(Event::Told(about.join(" "))),
        }
    }

    /// What a PRIVMSG or NOTICE means.
    fn said(&self, message: &Message<'_>, source: &Source<'_>, who: String) -> Option<Event> {
        let [target, .., text] = message.parameters() else { return None };
        let notice = message.command.eq_ignore_ascii_case(b"NOTICE");
        // Servers have neither users nor, as a rule, nicks.
        let of_server = source.user.is_empty() && (notice || source.nick.is_empty());
        if of_server || !self.is_in() {
            return Some(Event::Told(plain(text)));
        }
        let at = message.tags.value(b"time").and_then(|time| {
            std::str::from_utf8(&unescape(time)).ok().and_then(|time| time.parse().ok())
        });
        let target = plain(target);
        let place = match self.server.room_of(&target) {
            Some(room) => Place::Room(match self.rooms.find(&self.server, room) {
                Some(room) => room.name.clone(),
                None => room.into(),
            }),
            None => Place::Private,
        };
        let (manner, text) = match text.strip_prefix(b"\x01") {
            None if notice => (Manner::Notice, *text),
            None => (Manner::Speech, *text),
            Some(between) => {
                let between = between.strip_suffix(b"\x01").unwrap_or(between);
                let (what, rest) = word(between);
                if notice || !what.eq_ignore_ascii_case(b"ACTION") {
                    let told = format!("{who}'s client says {} to ours", plain(between));
                    return Some(Event::Told(told));
                }
                (Manner::Action, rest)
            }
        };
        Some(Event::Said(Said { at, who, place, manner, text: plain(text), own: false }))
    }

    fn say_in_room(&mut self, text: &[u8], manner: Manner, events: &mut Vec<Event>) {
        match self.rooms.current().map(|room| room.name.clone()) {
            Some(room) => self.say_to(&room, text, manner, events),
            None => drop(self.nowhere(events)),
        }
    }

    fn say_to(&mut self, to: &str, text: &[u8], manner: Manner, events: &mut Vec<Event>) {
        let address = self.address.map(|(user, host)| user + "@".len() + host);
        let prefix = Prefix { nick: &self.nick, address };
        let place = match self.server.room_of(to) {
            Some(_) => Place::Room(plain(to.as_bytes())),
            None => Place::To(plain(to.as_bytes())),
        };
        for (line, part) in prefix.say(to, text, manner == Manner::Action) {
            self.pace.push(line);
            events.push(Event::Said(Said {
                at: None,
                who: self.nick.clone(),
                place: place.clone(),
                manner,
                text: plain(part),
                own: true,
            }));
        }
    }

    /// The room that a line begins with, or the current one, and what else is in the line.
    fn room_and_text<'a>(&self, rest: &'a [u8]) -> Option<(Vec<u8>, Option<&'a [u8]>)> {
        let (first, after) = word(rest);
        let text = |text: &'a [u8]| (!text.is_empty()).then_some(text);
        if self.server.is_room(&String::from_utf8_lossy(first)) {
            return Some((first.to_vec(), text(after)));
        }
        let current = self.rooms.current()?;
        Some((current.name.clone().into_bytes(), text(rest)))
    }

    fn nowhere(&self, events: &mut Vec<Event>) -> Act {
        events.push(Event::Refused(match self.rooms.lost() {
            _ if self.rooms.is_empty() => "you are in no room; /join #ROOM enters one".into(),
            Some(lost) => format!("you are not in {lost} any more; /join goes to another room"),
            None => "lines go to no room yet; /join #ROOM chooses one".into(),
        }));
        Act::Done
    }

    fn gone(&mut self, who: &str, room: &str) {
        if self.is_me(who) {
            self.rooms.leave(&self.server, room);
        } else if let Some(room) = self.rooms.find_mut(&self.server, room) {
            room.remove(&self.server, who);
        }
    }

    fn is_me(&self, nick: &str) -> bool {
        self.server.same(nick, &self.nick)
    }
}

/// A room's name, which begins with a mark; `#` is the one that people mean who forget it.
pub fn room_name(typed: &str) -> String {
    match typed.starts_with(['#', '&', '+', '!']) {
        true => typed.into(),
        false => format!("#{typed}"),
    }
}

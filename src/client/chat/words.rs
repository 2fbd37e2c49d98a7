//! What happened, as a line to read: the time, the room where that is needed, and who says what.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::event::{Event, Manner, Place, Said};

/// How lines look.
pub struct Words {
    /// Whose wall clock the times are of.
    pub zone: TimeZone,
    /// With seconds, or without.
    pub seconds: bool,
}

impl Words {
    /// Lines for `event`, each with its end. Messages name their room where there are `several`, so
    /// that one room has one format: `18:02 <nick> text`. Nobody's message begins with `--`, which
    /// is what everything else does.
    pub fn lines(&self, event: &Event, now: Timestamp, several: bool) -> String {
        if let Event::Said(said) = event {
            let time = self.time(said.at.unwrap_or(now));
            return format!("{time} {}\n", message(said, several));
        }
        let time = self.time(now);
        let line = |line: &str| format!("{time} -- {line}\n");
        match event {
            // Its lines are for people who read them at once.
            Event::Help(text) => text.lines().map(|line| format!("{line}\n")).collect(),
            event => line(&self.told(event)),
        }
    }

    fn told(&self, event: &Event) -> String {
        match event {
            Event::Said(said) => message(said, true),
            Event::Welcome { nick } => format!("the server has let you in as {nick}"),
            Event::NickTaken { nick, next } => {
                format!("the nick {nick} is not to be had; trying {next}")
            }
            Event::Joined { who, room } => format!("{who} has entered {room}"),
            Event::Left { who, room, reason } => {
                format!("{who} has left {room}{}", because(reason))
            }
            Event::Kicked { who, room, by, reason, .. } => {
                format!("{by} has thrown {who} out of {room}{}", because(reason))
            }
            Event::Quit { who, reason } => format!("{who} is gone{}", because(reason)),
            Event::Renamed { from, to } => format!("{from} is called {to} now"),
            Event::Topic { room, text } if text.is_empty() => format!("{room} has no topic"),
            Event::Topic { room, text } => format!("the topic of {room}: {text}"),
            Event::TopicSet { room, who, at } => {
                let when = match at {
                    Some(at) => format!(" on {}", self.date(*at)),
                    None => String::new(),
                };
                format!("{who} has set the topic of {room}{when}")
            }
            Event::TopicChanged { room, who, text } if text.is_empty() => {
                format!("{who} has removed the topic of {room}")
            }
            Event::TopicChanged { room, who, text } => {
                format!("{who} has changed the topic of {room}: {text}")
            }
            Event::Names { room, names } => format!("in {room}: {}", names.join(" ")),
            Event::NotJoined { room, why } => format!("cannot enter {room}: {why}"),
            Event::Help(text) => (*text).into(),
            Event::Told(text) | Event::Refused(text) | Event::Denied(text) => text.clone(),
            Event::Ended(why) => format!("the server ends the connection: {why}"),
        }
    }

    fn time(&self, at: Timestamp) -> String {
        let format = if self.seconds { "%H:%M:%S" } else { "%H:%M" };
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    fn date(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }
}

fn message(said: &Said, several: bool) -> String {
    let Said { who, text, .. } = said;
    let place = match &said.place {
        Place::Room(room) if several => format!("{room} "),
        Place::Room(_) => String::new(),
        Place::Private => "(private) ".into(),
        Place::To(nick) => format!("(to {nick}) "),
    };
    match said.manner {
        Manner::Speech => format!("{place}<{who}> {text}"),
        Manner::Action => format!("{place}* {who} {text}"),
        Manner::Notice => format!("{place}-{who}- {text}"),
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(event: &Event, several: bool) -> String {
        let now = Timestamp::from_second(1_000_000_000).expect("it is in range");
        let words = Words { zone: TimeZone::UTC, seconds: false };
        words.lines(event, now, several)
    }

    fn said(place: Place, manner: Manner) -> Event {
        let (who, text) = ("nadia".into(), "hello".into());
        Event::Said(Said { at: None, who, place, manner, text, own: false })
    }

    #[test]
    fn messages_have_one_format_in_one_room() {
        let room = || Place::Room("#lab".into());
        let cases = [
            (said(room(), Manner::Speech), false, "01:46 <nadia> hello\n"),
            (said(room(), Manner::Speech), true, "01:46 #lab <nadia> hello\n"),
            (said(room(), Manner::Action), false, "01:46 * nadia hello\n"),
            (said(room(), Manner::Notice), true, "01:46 #lab -nadia- hello\n"),
            (said(Place::Private, Manner::Speech), false, "01:46 (private) <nadia> hello\n"),
            (said(Place::To("bob".into()), Manner::Speech), true, "01:46 (to bob) <nadia> hello\n"),
        ];
        for (event, several, line) in cases {
            assert_eq!(shown(&event, several), line);
        }
    }

    #[test]
    fn the_servers_time_counts_where_it_is_told() {
        let at = Some(Timestamp::from_second(1_000_000_000 + 3600).expect("it is in range"));
        let (who, text, place) = ("nadia".into(), "hello".into(), Place::Private);
        let event = Event::Said(Said { at, who, place, manner: Manner::Speech, text, own: false });
        assert_eq!(shown(&event, false), "02:46 (private) <nadia> hello\n");
    }

    #[test]
    fn what_is_no_message_begins_with_two_dashes() {
        let (room, who) = ("#lab".to_owned(), "bob".to_owned());
        let at = Timestamp::from_second(999_999_960).ok();
        let events = [
            (Event::Joined { who: who.clone(), room: room.clone() }, "bob has entered #lab"),
            (Event::Quit { who: who.clone(), reason: "tired".into() }, "bob is gone (tired)"),
            (Event::Quit { who: who.clone(), reason: String::new() }, "bob is gone"),
            (
                Event::TopicSet { room, who, at },
                "bob has set the topic of #lab on 2001-09-09 01:46",
            ),
        ];
        for (event, text) in events {
            assert_eq!(shown(&event, true), format!("01:46 -- {text}\n"));
        }
    }
}

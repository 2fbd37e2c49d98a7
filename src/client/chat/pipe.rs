//! A script that talks: one line in is one message, one message is one line out.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::mpsc::{self, Sender};
use std::thread;

use std::fs::File;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use log::{Level, log_enabled};

use super::conversation::Conversation;
use super::event::Event;
use super::talk::{Face, News, Outcome, Tell, talk};
use super::words::Words;
use super::{Error, Settings};
use crate::client::stream::Stream;
use crate::client::{printed, stdout};

/// What is read as one line at most. A longer one is several messages in any case.
const LONGEST: u64 = 64 * 1024;

/// Sends each line of standard input, once the rooms are entered, and prints each message that comes.
/// Everything else goes to standard error. At the end of the input it leaves when the server has
/// taken all.
pub fn pipe(stream: Stream, settings: &Settings) -> Result<Outcome, Error> {
    let (outcome, script) = talk(stream, settings, |tell| Script::new(settings, tell))?;
    match script.refused {
        Some((lines, why)) if outcome == Outcome::Left => Err(Error::Refused(lines, why)),
        _ => Ok(outcome),
    }
}

struct Script {
    out: File,
    words: Words,
    /// Whether several rooms were asked for.
    several: bool,
    read_on: Sender<()>,
    /// How often, and why the first time.
    refused: Option<(usize, String)>,
    /// A room was entered.
    was_in: bool,
    /// Whose refusal is the end of it.
    rooms: Vec<String>,
}

impl Script {
    fn new(settings: &Settings, tell: Tell) -> Result<Script, Error> {
        let (read_on, may_read) = mpsc::channel();
        thread::spawn(move || read(&may_read, &tell));
        Ok(Script {
            out: stdout()?,
            words: Words { zone: TimeZone::system(), seconds: true },
            several: settings.rooms.len() > 1,
            read_on,
            refused: None,
            was_in: false,
            rooms: settings.rooms.iter().map(|(room, _)| room.to_lowercase()).collect(),
        })
    }

    fn refuse(&mut self, why: &str) {
        let (lines, _) = self.refused.get_or_insert_with(|| (0, why.into()));
        *lines += 1;
    }
}

impl Face for Script {
    const MOST_UNSENT: usize = 64;

    fn show(&mut self, events: &[Event], conversation: &Conversation) -> Result<bool, Error> {
        let now = Timestamp::now();
        let rooms = conversation.rooms();
        let several = self.several || rooms.are_several();
        self.was_in |= rooms.current().is_some();
        let (mut messages, mut status) = (String::new(), String::new());
        for event in events {
            match event {
                Event::Said(said) if said.own => {}
                Event::Said(_) => messages += &self.words.lines(event, now, several),
                event => status += &self.words.lines(event, now, several),
            }
        }
        if !status.is_empty() && log_enabled!(Level::Info) {
            // Nobody is left to tell when standard error is gone.
            let _ = io::stderr().write_all(status.as_bytes());
        }
        let heard = messages.is_empty() || printed(self.out.write_all(messages.as_bytes()))?;
        for event in events {
            match event {
                Event::Refused(why) => self.refuse(why),
                Event::NotJoined { room, why } if self.rooms.contains(&room.to_lowercase()) => {
                    let (room, why) = (room.clone(), why.clone());
                    return Err(Error::NotJoined { room, why });
                }
                Event::NotJoined { room, why } => self.refuse(&format!("{room}: {why}")),
                Event::Kicked { room, by, reason, me: true, .. } if rooms.is_empty() => {
                    return Err(Error::Kicked(format!(
                        "{by} has thrown us out of {room} ({reason})"
                    )));
                }
                _ => {}
            }
        }
        Ok(heard)
    }

    fn read_on(&mut self, _: &Conversation) {
        // It has read its last line otherwise, and said so.
        let _ = self.read_on.send(());
    }
}

/// Reads a line whenever it may.
fn read(may_read: &mpsc::Receiver<()>, tell: &Tell) {
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    while may_read.recv().is_ok() {
        line.clear();
        let news = loop {
            match input.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) if line.is_empty() => break News::Over,
                Ok(_) => {
                    break News::Typed(line.strip_suffix(b"\n").unwrap_or(&line).to_vec());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break News::Unread(error),
            }
        };
        let over = !matches!(news, News::Typed(_));
        if tell.send(news).is_err() || over {
            return;
        }
    }
}

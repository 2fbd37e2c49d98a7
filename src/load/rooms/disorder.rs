//! What a member heard instead of what was due, in words: lost, duplicated, reordered, corrupted, of
//! another sender, or in another room.

use super::names::{Names, Texts};
use super::room::Room;
use crate::load::fault::{self, Kind};
use crate::service::chat::message::{Message, Source};

/// Who heard it, and what it knows.
pub struct Hearer<'a> {
    pub names: &'a Names,
    pub texts: &'a Texts,
    /// Its number among all clients, and its place among the `size` members of its room.
    pub number: usize,
    pub place: usize,
    pub size: usize,
    pub room: &'a Room,
}

/// What came from the first wrong line on, which somebody has said to somebody.
pub fn diagnose(hearer: &Hearer, evidence: &[u8]) -> (Kind, String) {
    let mut lines = evidence.split(|&byte| byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some((source, to, text)) = parts(line) else {
        return (Kind::Wrong, format!("{} came, which nobody says", fault::text(line)));
    };
    let nick = Source::parse(source).nick;
    let Some((number, line)) = hearer.texts.read(text) else {
        let nth = hearer.names.number(nick).and_then(|number| hearer.talker(number));
        return hearer.garbled(nth, source, text);
    };
    let what = format!("line {line} of client {number}");
    if hearer.names.number(nick) != Some(number) {
        return (Kind::Wrong, format!("{what} came from {}", fault::text(source)));
    }
    if to != hearer.room.name {
        let (to, room) = (to.escape_ascii(), hearer.room.name.escape_ascii());
        return (Kind::Wrong, format!("{what} came to {to}, not to {room}"));
    }
    if number == hearer.number {
        return (Kind::Extra, format!("its own line {line} came back"));
    }
    let Some(nth) = hearer.talker(number) else {
        return (Kind::Wrong, format!("{what} came, who is in another room"));
    };
    let talker = &hearer.room.talkers[nth];
    let due = hearer.room.due(hearer.place, nth);
    if line >= talker.begun {
        return (Kind::Extra, format!("{what} came, which was not sent"));
    }
    if line < due {
        return (Kind::Extra, format!("{what} duplicated"));
    }
    if line == due {
        let known = fault::text(&talker.source);
        let detail = format!("{what} came from {}, not from {known}", fault::text(source));
        return (Kind::Wrong, detail);
    }
    let is_late = lines.any(|later| {
        let later = later.strip_suffix(b"\r").unwrap_or(later);
        parts(later).is_some_and(|(_, _, text)| hearer.texts.read(text) == Some((number, due)))
    });
    let fate = match is_late {
        true => format!("reordered: it came after line {line}"),
        false => format!("lost: line {line} came instead"),
    };
    (Kind::Wrong, format!("line {due} of client {number} {fate}"))
}

impl Hearer<'_> {
    /// Which of its room's talkers the client `number` is.
    fn talker(&self, number: usize) -> Option<usize> {
        let nth = number.wrapping_sub(self.room.number * self.size);
        (nth < self.room.talkers.len()).then_some(nth)
    }

    /// Nobody has said this. `nth` is the talker whose name stands before it.
    fn garbled(&self, nth: Option<usize>, source: &[u8], text: &[u8]) -> (Kind, String) {
        let due = |nth: &usize| self.room.due(self.place, *nth) < self.room.talkers[*nth].begun;
        let Some(nth) = nth.filter(due) else {
            let (source, text) = (fault::text(source), fault::text(text));
            return (Kind::Extra, format!("{text} came from {source}, though nothing was due"));
        };
        let number = self.room.number * self.size + nth;
        let line = self.room.due(self.place, nth);
        let what = format!("line {line} of client {number}");
        let due = self.texts.text(number, line);
        let differing: Vec<usize> =
            (0..text.len().min(due.len())).filter(|&at| text[at] != due[at]).collect();
        let detail = match differing[..] {
            [] if text.len() < due.len() => {
                format!("{what} corrupted: only {} of {} bytes came", text.len(), due.len())
            }
            [] => format!("{what} corrupted: {} bytes more came", text.len() - due.len()),
            [at, ..] if text.len() == due.len() && differing.len() * 2 <= due.len() => format!(
                "{what} corrupted in {} of {} bytes: 0x{:02x} came where 0x{:02x} was due",
                differing.len(),
                due.len(),
                text[at],
                due[at]
            ),
            _ => format!("{} came where {what} was due", fault::text(text)),
        };
        (Kind::Wrong, detail)
    }
}

/// Who said what, and to whom.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let message = Message::parse(line).filter(|message| message.command == b"PRIVMSG")?;
    // The parts lie in the line, not in the message.
    match (message.source, message.parameters()) {
        (Some(source), &[to, text]) => Some((source, to, text)),
        _ => None,
    }
}

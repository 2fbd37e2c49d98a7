//! What a member hears: pieces of bytes, in which most lines are those that are due.

use std::io;

use super::member::Stage;
use super::names::NICK;
use super::{Member, PIECES_PER_TURN, Rooms};
use crate::load::crowd::client::State;
use crate::load::fault::{EVIDENCE, Kind};
use crate::service::chat::message::{Message, Source};

/// The longest line: 512 bytes (RFC 1459, 2.3) and 8191 of tags before them (IRCv3 message-tags).
const LONGEST: usize = 8191 + 512;

impl Rooms {
    /// Reads until the socket is empty, and compares.
    pub(super) fn hear(&mut self, index: usize) {
        let mut input = self.input.take().expect("nobody else hears meanwhile");
        for _ in 0..PIECES_PER_TURN {
            let Member { line, partial, .. } = &mut self.members[index];
            if line.stream.is_none() || !line.readable {
                break;
            }
            let kept = partial.len();
            let bytes = input.bytes();
            bytes[..kept].copy_from_slice(partial);
            let received = line.receive(self.wire.bytes(), &mut bytes[kept..]);
            if line.state == State::Greeting {
                self.greeted(index);
            }
            match received {
                Ok(0) => self.hung_up(index),
                Ok(n) => {
                    self.now = self.watch.now();
                    self.progress = self.now;
                    self.tally.received += n as u64;
                    self.owe(index);
                    self.heard(index, &input.bytes()[..kept + n]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.members[index].line.readable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.broken(index, &error),
            }
        }
        self.input = Some(input);
        let line = &self.members[index].line;
        if line.readable && line.stream.is_some() {
            self.queue(index);
        }
    }

    /// `bytes` have come, with what was left of the ones before.
    fn heard(&mut self, index: usize, bytes: &[u8]) {
        let member = &mut self.members[index];
        let before = member.line.heard;
        member.partial.clear();
        if before == 0 {
            self.times.first_byte.saturating_record(self.now - member.line.called);
        }
        let mut at = 0;
        while at < bytes.len() {
            if self.members[index].is_there() {
                at += self.take_what_is_due(index, &bytes[at..]);
            }
            self.members[index].line.heard = before + at as u64;
            match self.members[index].line.state {
                State::Suspecting => return self.suspect(index, &bytes[at..]),
                State::Talking | State::Leaving => {}
                _ => return,
            }
            let rest = &bytes[at..];
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                if rest.len() > LONGEST {
                    let detail = format!("{} bytes came without the end of a line", rest.len());
                    return self.lose(index, Kind::Wrong, detail);
                }
                self.members[index].partial.extend_from_slice(rest);
                return;
            };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            if !self.is_right(index, line) {
                return self.suspect(index, rest);
            }
            at += end + 1;
        }
    }

    /// Takes the lines at the beginning of `bytes` that are due and as they should be, to the last
    /// byte, and says how long they are. This is the hot path.
    fn take_what_is_due(&mut self, index: usize, bytes: &[u8]) -> usize {
        let Member { room, place, .. } = self.members[index];
        let number = self.rooms[room].number * self.size;
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let nth = match self.talkers {
                1 => 0,
                _ => {
                    let nick = rest.get(1..1 + NICK).and_then(|nick| self.chat.names.number(nick));
                    nick.map_or(usize::MAX, |one| one.wrapping_sub(number))
                }
            };
            let (talkers, next) = self.rooms[room].heard(place);
            let Some(talker) = talkers.get_mut(nth) else {
                return taken;
            };
            match talker.line(next[nth]) {
                Some(line) if line.head > 0 && rest.starts_with(&line.bytes) => {
                    taken += line.bytes.len();
                }
                _ => return taken,
            }
            self.delivered(room, place, nth);
        }
    }

    /// The member at `place` has heard its next line of this talker.
    fn delivered(&mut self, room: usize, place: usize, nth: usize) {
        let (talkers, next) = self.rooms[room].heard(place);
        let talker = &mut talkers[nth];
        let line = talker.line(next[nth]).expect("it was compared");
        next[nth] += 1;
        line.waiting -= 1;
        self.awaited -= 1;
        self.tally.messages += 1;
        self.times.service.saturating_record(self.now.saturating_sub(line.sent));
        if self.pace.schedule.is_some() {
            self.times.latency.saturating_record(self.now.saturating_sub(line.due));
        }
        if line.waiting == 0 {
            self.finish(room, nth);
        }
    }

    /// Forgets lines that nobody is to hear any more, and counts those that all have heard. Their talker
    /// may go on.
    pub(super) fn finish(&mut self, room: usize, nth: usize) {
        let talker = &mut self.rooms[room].talkers[nth];
        while let Some(line) = talker.lines.pop_front_if(|line| line.waiting == 0) {
            talker.done += 1;
            if !line.missed {
                self.tally.lines += 1;
                // Without a schedule it was due when it was sent.
                self.times.last.saturating_record(self.now.saturating_sub(line.due));
            }
            self.spare.push(line.bytes);
        }
        self.ready.push(room * self.size + nth);
    }

    /// Whether somebody's line that is not as expected is right all the same. The first of each
    /// talker is, for only then it is known what the server puts in front of it; and a server may put
    /// there what it likes, such as tags.
    pub(super) fn is_due(&mut self, index: usize, message: &Message, raw: &[u8]) -> bool {
        let Member { room, place, .. } = self.members[index];
        let source = message.source.unwrap_or_default();
        let number = self.chat.names.number(Source::parse(source).nick);
        let to_room = message.parameters().first() == Some(&&self.rooms[room].name[..]);
        let Some(number) = number else {
            // Services and operators may speak to whom they like, but nobody else is in the room.
            return !to_room;
        };
        let nth = number.wrapping_sub(self.rooms[room].number * self.size);
        let (talkers, next) = self.rooms[room].heard(place);
        let Some(talker) = talkers.get_mut(nth) else {
            return false;
        };
        if talker.gone {
            return true;
        }
        let is_new = talker.source.is_empty();
        let is_known = is_new || talker.source == source;
        let Some(line) = talker.line(next[nth]).filter(|_| to_room && is_known) else {
            return false;
        };
        let text = line.text();
        if message.parameters()[1..] != [text] {
            return false;
        }
        if is_new {
            let head = raw.strip_suffix(text).filter(|_| message.tags.0.is_empty());
            talker.learn(source, head);
        }
        self.delivered(room, place, nth);
        true
    }

    /// Keeps what should not have come, until there is enough of it. Nothing is due to it any more.
    fn suspect(&mut self, index: usize, came: &[u8]) {
        self.members[index].line.state = State::Suspecting;
        self.excuse(index);
        let evidence = self.suspects.entry(index).or_default();
        let room = EVIDENCE.saturating_sub(evidence.len());
        evidence.extend(came.iter().take(room));
        if evidence.len() >= EVIDENCE {
            self.conclude(index);
        }
    }

    /// Whether everybody was let in, and has seen all others.
    pub(super) fn everybody_is_there(&self) -> bool {
        self.members.iter().all(|member| {
            member.stage == Stage::There && member.seen.count() >= self.rooms[member.room].present
        })
    }
}

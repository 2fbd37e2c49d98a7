//! What a member says: lines of a chat if it is a talker, and what the protocol wants.

use std::io;

use super::room::{END, Line};
use super::{Member, Rooms};

/// Bytes that a talker says in one turn, so that a fast one cannot starve the others.
const TURN: usize = 16 * 1024;

impl Rooms {
    /// Says what the pace allows, if it is a talker.
    pub(super) fn say(&mut self, index: usize) {
        let member = &self.members[index];
        let Member { room, place, .. } = *member;
        if place >= self.talkers || !member.is_there() {
            return;
        }
        // The server has not taken what was said before.
        if member.line.blocked || !member.backlog.is_empty() {
            return;
        }
        let (number, turn) = (self.number(index), self.turn_of(index));
        let room = &mut self.rooms[room];
        let hearers = room.present - 1;
        if hearers == 0 {
            return;
        }
        let talker = &mut room.talkers[place];
        if self.open {
            let goal = self.pace.goal(talker.done, talker.before + talker.due);
            let granted = goal.saturating_sub(talker.goal).min(self.left);
            talker.goal += granted;
            self.left -= granted;
        }
        if talker.begun == talker.goal {
            return;
        }
        let mut output = std::mem::take(&mut self.output);
        output.clear();
        let begun = talker.begun;
        while talker.begun < talker.goal && output.len() < TURN {
            output.extend_from_slice(b"PRIVMSG ");
            output.extend_from_slice(&room.name);
            output.extend_from_slice(b" :");
            let text = output.len();
            self.texts.write(number, talker.begun, &mut output);
            output.extend_from_slice(END);
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(&talker.head);
            bytes.extend_from_slice(&output[text..]);
            let nth = talker.begun - talker.before;
            let due = self.pace.schedule.map_or(self.now, |schedule| schedule.due(turn, nth));
            let head = talker.head.len();
            talker.lines.push_back(Line {
                bytes,
                head,
                due,
                sent: self.now,
                waiting: hearers,
                missed: false,
            });
            talker.begun += 1;
        }
        let (lines, more) = (talker.begun - begun, talker.begun < talker.goal);
        self.tally.begun += lines;
        self.awaited += lines * hearers as u64;
        self.send(index, &output);
        self.output = output;
        if more {
            self.queue(index);
        }
    }

    /// Sends `bytes`, behind all that was to be sent before.
    pub(super) fn send(&mut self, index: usize, bytes: &[u8]) {
        let member = &mut self.members[index];
        if member.line.stream.is_none() {
            return;
        }
        member.owes = false;
        let waits = member.line.blocked || !member.backlog.is_empty();
        member.backlog.extend_from_slice(if waits { bytes } else { &[] });
        if !waits {
            match member.line.send(bytes) {
                Ok(n) => member.backlog.extend_from_slice(&bytes[n..]),
                Err(error) if is_patient(&error) => {
                    member.line.blocked = error.kind() == io::ErrorKind::WouldBlock;
                    member.backlog.extend_from_slice(bytes);
                    self.queue(index);
                }
                Err(error) => return self.not_taken(index, &error),
            }
        }
        self.tally.sent += bytes.len() as u64;
        self.progress = self.now;
    }

    /// Sends what the kernel had no room for.
    pub(super) fn flush(&mut self, index: usize) {
        let Member { line, backlog, .. } = &mut self.members[index];
        if let Err(error) = line.flush() {
            return self.not_taken(index, &error);
        }
        if backlog.is_empty() || line.blocked || line.stream.is_none() {
            return;
        }
        match line.send(backlog) {
            Ok(n) => {
                backlog.drain(..n);
                self.progress = self.now;
            }
            Err(error) if is_patient(&error) => {
                line.blocked = error.kind() == io::ErrorKind::WouldBlock;
            }
            Err(error) => self.not_taken(index, &error),
        }
    }
}

fn is_patient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

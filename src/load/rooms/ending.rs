//! How a member is lost, and what becomes of what was due to it and of what it had said.

use std::io;

use super::disorder::{Hearer, diagnose};
use super::line::LAST;
use super::member::Stage;
use super::{Member, Rooms};
use crate::failure::cause;
use crate::load::crowd::client::State;
use crate::load::fault::{Fault, Kind};
use crate::load::secure;

impl Rooms {
    /// The server has closed its side.
    pub(super) fn hung_up(&mut self, index: usize) {
        let member = &mut self.members[index];
        match member.line.state {
            State::Suspecting => self.conclude(index),
            State::Leaving => {
                member.line.hang_up();
                member.line.state = State::Away;
            }
            _ if speaks_tls(&member.partial) => {
                let detail = "an alert of TLS came: the server speaks TLS; use ircs:// or --tls";
                self.lose(index, Kind::Refused, detail.into());
            }
            _ if member.stage != Stage::There => {
                let detail = "the server closed before it had let it in".into();
                self.lose(index, Kind::Refused, detail);
            }
            _ => {
                let detail = match self.due_to(index) {
                    0 => "the server closed between two lines".into(),
                    n => format!("the server closed with {n} {} due", lines(n)),
                };
                self.lose(index, Kind::Short, detail);
            }
        }
    }

    pub(super) fn broken(&mut self, index: usize, error: &io::Error) {
        if self.calls_again(index, error) {
            return;
        }
        let member = &self.members[index];
        match member.line.state {
            State::Suspecting => return self.conclude(index),
            // It was told that nobody listens any more.
            State::Leaving => return self.hung_up(index),
            _ => {}
        }
        let tls = secure::inner(error);
        let why = match (tls, &self.callers.secure) {
            (Some(error), Some(secure)) => secure.explain(error),
            _ => cause(error),
        };
        let cut_off = error.kind() == io::ErrorKind::UnexpectedEof;
        let is_alert = matches!(tls, Some(rustls::Error::AlertReceived(_)));
        let (kind, detail) = match member.stage {
            _ if member.line.state == State::Greeting && tls.is_none() => {
                (Kind::Refused, format!("the TLS handshake failed: {why}"))
            }
            Stage::Registering | Stage::Joining => (Kind::Refused, why),
            _ if cut_off => (Kind::Short, "the server closed without close_notify".into()),
            _ if tls.is_some() && !is_alert => (Kind::Wrong, why),
            _ => (Kind::Reset, why),
        };
        self.lose(index, kind, detail);
    }

    /// The server's socket takes nothing more.
    pub(super) fn not_taken(&mut self, index: usize, error: &io::Error) {
        let calls = self.calls;
        // What the server said last says more than that it no longer listens. Nobody hears while
        // somebody else does.
        if error.kind() == io::ErrorKind::BrokenPipe && self.input.is_some() {
            self.members[index].line.readable = true;
            self.hear(index);
        }
        // Who has heard that it was not let in may have called again by now.
        if self.members[index].line.stream.is_some() && self.calls == calls {
            self.broken(index, error);
        }
    }

    pub(super) fn refused(&mut self, index: usize, error: &io::Error) {
        if self.calls_again(index, error) {
            return;
        }
        let detail = match error.kind() {
            io::ErrorKind::AddrNotAvailable => {
                format!("{}: no local port is free; `--source` gives more of them", cause(error))
            }
            _ => cause(error),
        };
        self.lose(index, Kind::Refused, detail);
    }

    /// Whoever still waits has waited too long.
    pub(super) fn give_up(&mut self) {
        let patience = self.callers.patience;
        // Those first that others miss.
        let mut all: Vec<usize> = (0..self.members.len()).collect();
        all.sort_by_key(|&index| self.members[index].stage == Stage::There);
        for index in all {
            let Member { line, stage, seen, room, .. } = &self.members[index];
            let detail = match (line.state, stage) {
                (State::Calling, _) => format!("no answer within {patience:?}"),
                (State::Greeting, _) => {
                    format!("the TLS handshake was not finished within {patience:?}")
                }
                (State::Talking, Stage::Registering) => {
                    format!("no welcome (001) within {patience:?}; does it speak IRC?")
                }
                (State::Talking, Stage::Joining) => {
                    format!("it was not let into its room within {patience:?}")
                }
                (State::Talking, Stage::There) if seen.count() < self.rooms[*room].present => {
                    let of = self.rooms[*room].present;
                    let seen = seen.count();
                    format!("it saw {seen} of {of} members of its room within {patience:?}")
                }
                (State::Talking, Stage::There) if self.due_to(index) > 0 => {
                    let (talker, line) = self.oldest_due_to(index);
                    let detail = format!(
                        "line {line} of client {talker} lost: it did not come within {patience:?}"
                    );
                    self.lose(index, Kind::Lost, detail);
                    continue;
                }
                _ => continue,
            };
            self.lose(index, Kind::Refused, detail);
        }
        // Nothing more is due to who is left alone.
        for index in 0..self.members.len() {
            let member = &self.members[index];
            if self.size > 1 && member.is_there() && self.rooms[member.room].present == 1 {
                let detail = "all others of its room are lost, and it hears nobody".into();
                self.lose(index, Kind::Lost, detail);
            }
        }
    }

    /// Lines that are due to a member.
    fn due_to(&self, index: usize) -> u64 {
        let Member { room, place, excused, .. } = self.members[index];
        match excused {
            true => 0,
            false => self.rooms[room].due_to(place).map(|(_, due)| due.end - due.start).sum(),
        }
    }

    /// The first of those of the first talker, if there is one: whose, and which.
    fn oldest_due_to(&self, index: usize) -> (usize, u64) {
        let Member { room, place, .. } = self.members[index];
        let room = &self.rooms[room];
        room.due_to(place)
            .next()
            .map_or((0, 0), |(nth, due)| (room.number * self.size + nth, due.start))
    }

    /// Nothing is due to it any more, and nobody waits for it.
    pub(super) fn excuse(&mut self, index: usize) {
        let Member { room: at, place, excused, .. } = self.members[index];
        if excused {
            return;
        }
        self.members[index].excused = true;
        self.rooms[at].present -= 1;
        let due: Vec<_> = self.rooms[at].due_to(place).collect();
        for (nth, due) in due {
            for number in due {
                let talker = &mut self.rooms[at].talkers[nth];
                let line = talker.line(number).expect("what is due is on its way");
                line.waiting -= 1;
                line.missed = true;
                self.awaited -= 1;
                self.faults.unanswered += 1;
            }
            self.finish(at, nth);
        }
    }

    /// It has left: its lines may have been delivered or not.
    fn withdraw(&mut self, index: usize) {
        let Member { room, place, .. } = self.members[index];
        if let Some(talker) = self.rooms[room].talkers.get_mut(place) {
            let awaited: usize = talker.lines.drain(..).map(|line| line.waiting).sum();
            self.awaited -= awaited as u64;
            self.faults.unanswered += awaited as u64;
            talker.done = talker.begun;
            talker.goal = talker.begun;
            talker.gone = true;
        }
    }

    pub(super) fn conclude_suspicions(&mut self) {
        while let Some((&index, _)) = self.suspects.first_key_value() {
            self.conclude(index);
        }
    }

    /// Says what the evidence shows.
    pub(super) fn conclude(&mut self, index: usize) {
        let Some(evidence) = self.suspects.remove(&index) else {
            return;
        };
        let hearer = Hearer {
            names: &self.chat.names,
            texts: &self.texts,
            number: self.number(index),
            place: self.members[index].place,
            size: self.size,
            room: &self.rooms[self.members[index].room],
        };
        let (kind, detail) = diagnose(&hearer, &evidence);
        self.lose(index, kind, detail);
    }

    /// The client is out.
    pub(super) fn lose(&mut self, index: usize, kind: Kind, detail: String) {
        self.excuse(index);
        self.withdraw(index);
        let client = self.number(index);
        let line = &mut self.members[index].line;
        let offset = line.heard;
        line.hang_up();
        line.state = State::Out;
        self.faults.add(Fault { kind, client, offset, detail });
        self.settle(index);
    }

    /// Asks for an answer, which comes after all that the server has for it.
    pub(super) fn ask(&mut self, index: usize) {
        if self.members[index].is_there() {
            self.members[index].line.state = State::Leaving;
            self.send(index, &[b"PING :", LAST, b"\r\n"].concat());
            self.settle(index);
        }
    }

    /// Leaves, whatever is still said.
    pub(super) fn quit(&mut self, index: usize) {
        if self.members[index].line.state == State::Leaving {
            self.send(index, b"QUIT\r\n");
            let line = &mut self.members[index].line;
            // Whoever does not listen any more need not be told.
            let _ = line.stream.is_some().then(|| line.say_goodbye());
        }
    }
}

/// The beginning of an alert: what a server says to whom does not speak TLS.
fn speaks_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [21, 3, 0..=4, 0, 2, 1 | 2, ..])
}

fn lines(n: u64) -> &'static str {
    if n == 1 { "line" } else { "lines" }
}

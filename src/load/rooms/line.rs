//! The queue of callers before a server, which may be short: ngircd's has ten places, and what does not
//! fit is lost, or comes back seconds later.
//!
//! Who has heard a word is not in it any more. Some servers say nothing for a second, and then let in all
//! who wait; so somebody who is in asks the server again and again whether it is there. Between two of
//! its answers it takes one caller at least.

use std::collections::VecDeque;

use super::Rooms;
use super::member::Stage;
use crate::load::crowd::client::State;

/// Callers that may wait, one place left for others.
const PLACES: usize = 9;

/// A server that does not say whether it is there takes callers all the same.
const LONG: u64 = 1_000_000_000;

/// How often a client calls whose connection is reset before it has heard anything.
pub const CALLS: u8 = 3;

/// What the server is asked by somebody who is in.
const PROBE: &[u8] = b"PING :are-you-there\r\n";

/// What it is asked by everybody at the end.
pub const LAST: &[u8] = b"is-that-all";

/// Callers in the order of their calls.
#[derive(Default)]
pub struct Line {
    callers: VecDeque<Caller>,
    /// Who asks the server, and whether it has not answered yet.
    prober: Option<usize>,
    probing: bool,
    /// Its answers so far.
    answers: u64,
}

struct Caller {
    index: usize,
    since: u64,
    /// Answers that the server had given before.
    answers: u64,
}

impl Rooms {
    /// When somebody may call: now, or at that time at the latest.
    pub(super) fn queue_is_free(&mut self) -> u64 {
        let Line { callers, answers, .. } = &mut self.line;
        let (now, members) = (self.now, &self.members);
        let is_taken = |caller: &Caller| {
            let line = &members[caller.index].line;
            line.heard > 0
                || line.stream.is_none()
                || *answers > caller.answers + PLACES as u64
                || now > caller.since + LONG
        };
        callers.retain(|caller| !is_taken(caller));
        match callers.front().filter(|_| callers.len() >= PLACES) {
            Some(first) => first.since + LONG,
            None => now,
        }
    }

    /// A client has called.
    pub(super) fn line_up(&mut self, index: usize) {
        let (since, answers) = (self.now, self.line.answers);
        self.line.callers.push_back(Caller { index, since, answers });
        self.probe();
    }

    /// Asks the server whether it is there, if somebody is in who can and somebody waits.
    pub(super) fn probe(&mut self) {
        let Line { callers, prober, probing, .. } = &mut self.line;
        if let Some(index) = *prober
            && !callers.is_empty()
            && !*probing
        {
            *probing = true;
            self.send(index, PROBE);
        }
    }

    /// A client is in its room.
    pub(super) fn has_come(&mut self, index: usize) {
        self.members[index].stage = Stage::There;
        self.line.prober.get_or_insert(index);
        self.probe();
    }

    /// The server has answered to this word.
    pub(super) fn answered(&mut self, index: usize, word: &[u8]) {
        if self.members[index].line.state == State::Leaving {
            if word == LAST {
                self.members[index].stage = Stage::Done;
            }
        } else if self.line.prober == Some(index) {
            self.line.probing = false;
            self.line.answers += 1;
            self.queue_is_free();
            self.probe();
        }
    }
}

//! A room: who talks there, which lines are on their way, and who has heard how much of them.

use std::collections::VecDeque;
use std::ops::Range;

/// A room and its talkers.
pub struct Room {
    /// Its number among those of all threads.
    pub number: usize,
    pub name: Vec<u8>,
    /// The first members.
    pub talkers: Vec<Talker>,
    /// Members to whom something may be due.
    pub present: usize,
    /// For each member, the line that it hears next of each talker.
    heard: Vec<u64>,
}

/// A member that talks.
#[derive(Default)]
pub struct Talker {
    /// Its name in full, as the server has it: known from its first line on.
    pub source: Vec<u8>,
    /// What stands before the text of its lines, where that is always the same.
    pub head: Vec<u8>,
    /// Lines that were begun and not delivered to all, the first of which has the number `done`.
    pub lines: VecDeque<Line>,
    pub done: u64,
    /// Lines begun, and those that it may begin.
    pub begun: u64,
    pub goal: u64,
    /// Lines that were begun before this slice, and those due in it (open loop).
    pub before: u64,
    pub due: u64,
    /// It has left: what still comes of it may come or not.
    pub gone: bool,
}

/// A line on its way.
pub struct Line {
    /// The text and its end; in front of it the head, where that was known in time.
    pub bytes: Vec<u8>,
    /// How long the head is in there.
    pub head: usize,
    pub due: u64,
    pub sent: u64,
    /// Members that have not heard it.
    pub waiting: usize,
    /// Somebody was lost who should have heard it.
    pub missed: bool,
}

/// What ends a line.
pub const END: &[u8] = b"\r\n";

impl Room {
    pub fn new(number: usize, name: Vec<u8>, size: usize, talkers: usize) -> Room {
        let mut heard = vec![0; size * talkers];
        for talker in 0..talkers {
            // What a talker says is never due to itself.
            heard[talker * talkers + talker] = u64::MAX;
        }
        let talkers = (0..talkers).map(|_| Talker::default()).collect();
        Room { number, name, talkers, present: size, heard }
    }

    /// The talkers, and the lines that the member at `place` hears next of them.
    pub fn heard(&mut self, place: usize) -> (&mut [Talker], &mut [u64]) {
        let many = self.talkers.len();
        (&mut self.talkers, &mut self.heard[place * many..][..many])
    }

    /// The line that the member at `place` hears next of a talker.
    pub fn due(&self, place: usize, nth: usize) -> u64 {
        self.heard[place * self.talkers.len() + nth]
    }

    /// What is due to the member at `place`, for each talker.
    pub fn due_to(&self, place: usize) -> impl Iterator<Item = (usize, Range<u64>)> {
        let is_due = move |(nth, talker): (usize, &Talker)| {
            let due = self.due(place, nth)..talker.begun;
            (!talker.gone && !due.is_empty()).then_some((nth, due))
        };
        self.talkers.iter().enumerate().filter_map(is_due)
    }
}

impl Talker {
    /// The line with this number, if it is on its way.
    pub fn line(&mut self, number: u64) -> Option<&mut Line> {
        self.lines.get_mut(usize::try_from(number.wrapping_sub(self.done)).ok()?)
    }

    /// From here on lines are compared as a whole.
    pub fn learn(&mut self, source: &[u8], head: Option<&[u8]>) {
        self.source = source.to_vec();
        let Some(head) = head else {
            return;
        };
        self.head = head.to_vec();
        for line in &mut self.lines {
            if line.head == 0 {
                line.bytes.splice(..0, head.iter().copied());
                line.head = head.len();
            }
        }
    }
}

impl Line {
    /// What was said.
    pub fn text(&self) -> &[u8] {
        &self.bytes[self.head..self.bytes.len() - END.len()]
    }
}

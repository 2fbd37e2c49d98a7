//! One member of a room: a client of the crowd that also has a name, and hears lines.

use crate::load::crowd::client::{Client, State};

/// A client and its place.
pub struct Member {
    /// The connection. What it counts in messages is not used: a room counts them.
    pub line: Client,
    pub stage: Stage,
    /// Nothing is due to it any more.
    pub excused: bool,
    /// It has received something, and the server's machine may not know.
    pub owes: bool,
    /// Calls that came to nothing.
    pub missed: u8,
    /// Nicks that were taken already.
    pub attempt: u8,
    /// Which room of this thread, and which of its members.
    pub room: usize,
    pub place: usize,
    /// Members it has been told of, itself included.
    pub seen: Seen,
    /// The beginning of a line whose end has not come yet.
    pub partial: Vec<u8>,
    /// What the kernel has not taken yet.
    pub backlog: Vec<u8>,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has said who it is, and waits for 001.
    Registering,
    /// It waits for the end of the list of names (366).
    Joining,
    /// It is in its room.
    There,
    /// All that was said to it has come, and it may leave.
    Done,
}

impl Member {
    pub fn new(room: usize, place: usize, size: usize) -> Member {
        Member {
            line: Client::default(),
            stage: Stage::Registering,
            excused: false,
            owes: false,
            missed: 0,
            attempt: 0,
            room,
            place,
            seen: Seen { places: vec![0; size.div_ceil(64)], count: 0 },
            partial: Vec::new(),
            backlog: Vec::new(),
        }
    }

    /// Whether it takes part.
    pub fn is_there(&self) -> bool {
        self.line.state == State::Talking && self.stage == Stage::There
    }
}

/// Places of a room, each counted once however often it is told.
pub struct Seen {
    places: Vec<u64>,
    count: usize,
}

impl Seen {
    /// Takes note of one. What is no place of the room is not counted.
    pub fn add(&mut self, place: usize) {
        if let Some(places) = self.places.get_mut(place / 64) {
            let bit = 1 << (place % 64);
            self.count += usize::from(*places & bit == 0);
            *places |= bit;
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }
}

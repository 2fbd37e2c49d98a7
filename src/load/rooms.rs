//! Rooms full of clients on one thread and one epoll: what the crowd is for echoes, for IRC.
//!
//! In a crowd each client hears what it has said itself, so that its place in one stream of bytes is
//! all there is to know of it. Here it hears what others say, in lines between which the server may
//! say what it likes. So connections, TLS, pace and tally are those of the crowd, and the conversation
//! is not.
//!
//! 1. A room is on one thread: who waits for whom is counted, not told.
//! 2. A line is due once to each member but its talker, and in order for each talker. There is no
//!    order between talkers.
//! 3. A slice ends when every line was delivered to all who are still there.
//! 4. A member that hears what it should not is out, and nothing is due to it any more. The others go
//!    on.

mod acks;
mod arrival;
mod delivery;
mod disorder;
mod ending;
mod line;
mod member;
pub mod names;
mod room;
mod talk;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use line::Line;
use member::Member;
use names::Texts;
use room::Room;

use super::callers::{Callers, Until};
use super::crowd::secure::WIRE;
use super::fault::Faults;
use super::lookout::Lookout;
use super::pace::{Pace, Schedule};
use super::secure::Agreed;
use super::tally::{Tally, Times};
use super::watch::Watch;
use super::work::{Chat, PIECE, Work};
use crate::engine::Buffer;
use crate::report::document::Handshakes;
use crate::tls::Connector;

/// Pieces that a client hears in one turn, so that a fast one cannot starve the others.
const PIECES_PER_TURN: usize = 16;

/// How often the loop looks whether it should stop, if nothing else happens.
const GLANCE: Duration = Duration::from_millis(50);

/// How long deliveries are waited for once the run was stopped.
const STOPPING: u64 = 2_000_000_000;

/// How long the server may take to say that it has nothing more for anybody.
const FAREWELL: Duration = Duration::from_secs(1);

/// Members of rooms, on one thread.
pub struct Rooms {
    lookout: Lookout,
    callers: Callers,
    chat: Chat,
    watch: Arc<Watch>,
    texts: Texts,
    rooms: Vec<Room>,
    /// Room by room, talkers first.
    members: Vec<Member>,
    /// Members of a room, and those of them that talk.
    size: usize,
    talkers: usize,
    /// One for each client that speaks TLS, for each remembers sessions of its own.
    connectors: Vec<Connector>,
    /// One each for all, for what stays of a piece is less than a line. It is away while a client
    /// hears.
    input: Option<Buffer>,
    wire: Buffer,
    output: Vec<u8>,
    /// Memory of lines that were delivered.
    spare: Vec<Vec<u8>>,
    /// Clients that go on without news.
    again: VecDeque<usize>,
    /// Talkers whose line was delivered to all.
    ready: Vec<usize>,
    /// Talkers that have received something and have not said so, and since when there are any.
    owing: Vec<usize>,
    owing_since: u64,
    /// What those have received who should not have received it.
    suspects: BTreeMap<usize, Vec<u8>>,
    /// Calls made so far.
    calls: usize,
    /// Who has called and may be in the server's queue.
    line: Line,
    /// Clients that are not where they should be: not in their room yet, or not done with leaving.
    busy: usize,
    /// Deliveries that are due.
    awaited: u64,
    /// New lines may be begun.
    open: bool,
    /// Lines that may still be begun.
    left: u64,
    pace: Pace,
    /// The next line of the schedule.
    next: u64,
    tally: Tally,
    /// When something was last received or sent.
    progress: u64,
    now: u64,
    /// How long things took.
    pub times: Times,
    /// What went wrong.
    pub faults: Faults,
    /// Deliveries in all slices.
    pub messages_in_all: u64,
    /// TLS handshakes in all slices, and while connecting.
    pub handshakes_in_all: Handshakes,
    /// What was agreed in them.
    pub agreed: Vec<Agreed>,
}

impl Rooms {
    /// Clients that have not called yet. Fails where epoll or a timer cannot be had.
    pub fn new(callers: Callers, work: &Work, chat: &Chat, watch: Arc<Watch>) -> io::Result<Rooms> {
        let size = (callers.of / chat.rooms).max(1);
        let talkers = chat.talkers.min(size);
        let numbers = (0..callers.clients / size).map(|nth| callers.first + nth * callers.step);
        let rooms = numbers.map(|number| Room::new(number, chat.names.room(number), size, talkers));
        let places = (0..callers.clients).map(|index| (index / size, index % size));
        let secure = callers.secure.iter();
        let connectors =
            secure.flat_map(|secure| (0..callers.clients).map(|_| secure.one_client())).collect();
        Ok(Rooms {
            lookout: Lookout::new(watch.clone(), callers.awake, GLANCE)?,
            rooms: rooms.collect(),
            members: places.map(|(room, place)| Member::new(room, place, size)).collect(),
            connectors,
            wire: Buffer::new(if callers.secure.is_some() { WIRE } else { 0 }),
            texts: Texts::new(work.sent.clone(), work.message as usize),
            callers,
            chat: chat.clone(),
            watch,
            size,
            talkers,
            input: Some(Buffer::new(PIECE)),
            output: Vec::new(),
            spare: Vec::new(),
            again: VecDeque::new(),
            ready: Vec::new(),
            owing: Vec::new(),
            owing_since: 0,
            suspects: BTreeMap::new(),
            calls: 0,
            line: Line::default(),
            busy: 0,
            awaited: 0,
            open: false,
            left: 0,
            pace: Pace::default(),
            next: 0,
            tally: Tally::default(),
            progress: 0,
            now: 0,
            times: Times::new(),
            faults: Faults::default(),
            messages_in_all: 0,
            handshakes_in_all: Handshakes::default(),
            agreed: Vec::new(),
        })
    }

    /// Lets everybody in, and waits until each has seen all others of its room. The first who is not
    /// let in ends it, for a room with somebody missing is another room.
    pub fn connect(&mut self) -> io::Result<()> {
        self.begin(Pace::default(), 0);
        let start = self.now;
        let gap = self.callers.connect_rate.map_or(0.0, |rate| 1e9 / rate);
        let mut called = 0;
        while !self.stopped() && self.faults.total() == 0 {
            let mut due = None;
            let all = self.members.len();
            while called < all {
                self.tick();
                let scheduled = start.saturating_add((called as f64 * gap) as u64);
                due = Some(scheduled.max(self.queue_is_free())).filter(|&due| due > self.now);
                if due.is_some() {
                    break;
                }
                self.call(called);
                called += 1;
            }
            if called == all && self.everybody_is_there() {
                break;
            }
            self.wait(due)?;
            self.turns();
            // Who is not due yet is not late.
            let waits = self.busy > 0 || called == all;
            if waits && self.now > self.progress + self.patience() {
                self.give_up();
            }
        }
        self.handshakes_in_all += self.tally.handshakes;
        Ok(())
    }

    /// Talks and hears until the end of the slice, then waits for the deliveries still to come.
    pub fn slice(&mut self, pace: Pace, until: Until) -> io::Result<Tally> {
        self.lookout.begin();
        self.begin(pace, until.messages.unwrap_or(u64::MAX));
        let start = pace.beginning(self.now);
        if pace.schedule.is_none() {
            for talker in 0..self.rooms.len() * self.talkers {
                self.tick();
                self.turn(self.talker(talker));
            }
        }
        let mut closed = start;
        let mut stopped = None;
        let mut told = 0;
        let end = loop {
            if self.open && self.is_over(&until) {
                closed = self.now;
                if self.waits_in_vain(&until) {
                    self.give_up();
                }
                self.close();
            }
            if !self.open {
                if self.awaited == 0 {
                    break self.progress;
                }
                if self.stopped() {
                    stopped.get_or_insert(self.now);
                }
                let patient = self.progress.max(start) + self.patience();
                let latest = stopped.map_or(patient, |stopped| patient.min(stopped + STOPPING));
                if self.now > latest {
                    let end = self.progress;
                    self.give_up();
                    break end;
                }
            }
            let schedule = self.pace.schedule.filter(|_| self.open);
            self.wait(schedule.map(|schedule| self.due(&schedule, self.next).0))?;
            self.turns();
            if let Some(schedule) = self.pace.schedule.filter(|_| self.open) {
                self.send_what_is_due(schedule);
            }
            self.watch.messages.fetch_add(self.tally.messages - told, Ordering::Relaxed);
            told = self.tally.messages;
        };
        self.conclude_suspicions();
        // A slice that ran its full time has that length, though its last delivery may have come
        // earlier.
        let length = until.time.filter(|&time| time <= closed).unwrap_or(0);
        self.tally.elapsed = Duration::from_nanos(end.max(length).saturating_sub(start));
        self.lookout.end(&mut self.tally);
        self.messages_in_all += self.tally.messages;
        self.handshakes_in_all += self.tally.handshakes;
        Ok(self.tally)
    }

    /// Everybody asks for an answer and hears all that comes before it, so that what came too much is
    /// seen; then all leave.
    pub fn leave(&mut self) -> io::Result<()> {
        self.begin(Pace::default(), 0);
        self.open = false;
        for index in 0..self.members.len() {
            self.ask(index);
        }
        let deadline = self.now + self.callers.patience.min(FAREWELL).as_nanos() as u64;
        while self.busy > 0 && self.now < deadline && !self.stopped() {
            self.wait(None)?;
            self.turns();
        }
        self.conclude_suspicions();
        for index in 0..self.members.len() {
            self.quit(index);
        }
        self.members.clear();
        Ok(())
    }

    /// Clients that are in their rooms.
    pub fn connected(&self) -> usize {
        self.members.iter().filter(|member| member.is_there()).count()
    }

    fn begin(&mut self, pace: Pace, lines: u64) {
        self.tick();
        self.tally = Tally::default();
        self.progress = self.now;
        self.open = true;
        self.left = lines;
        self.pace = pace;
        self.next = 0;
        for talker in self.rooms.iter_mut().flat_map(|room| &mut room.talkers) {
            talker.before = talker.begun;
            talker.due = 0;
        }
    }

    fn is_over(&self, until: &Until) -> bool {
        let time_is_up = until.time.is_some_and(|time| time <= self.now);
        let enough = until.messages.is_some_and(|lines| self.tally.begun >= lines);
        time_is_up || enough || self.stopped() || self.waits_in_vain(until) || self.is_deserted()
    }

    /// Whether a number of lines is waited for, and nothing comes any more.
    fn waits_in_vain(&self, until: &Until) -> bool {
        until.time.is_none() && self.awaited > 0 && self.now > self.progress + self.patience()
    }

    /// Whether no talker is left who has somebody to talk to.
    fn is_deserted(&self) -> bool {
        let all = &self.members;
        let talks = |index: usize| all[index].is_there() && self.rooms[all[index].room].present > 1;
        self.awaited == 0 && !(0..self.rooms.len() * self.talkers).any(|n| talks(self.talker(n)))
    }

    /// No new line is begun from here on.
    fn close(&mut self) {
        self.open = false;
        for talker in self.rooms.iter_mut().flat_map(|room| &mut room.talkers) {
            talker.goal = talker.begun;
        }
    }

    fn stopped(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    fn patience(&self) -> u64 {
        self.callers.patience.as_nanos() as u64
    }

    /// The number of a client among those of all threads.
    fn number(&self, index: usize) -> usize {
        let member = &self.members[index];
        self.rooms[member.room].number * self.size + member.place
    }

    /// Where this thread's `n`th talker stands: one of each room, then the next of each.
    fn talker(&self, n: usize) -> usize {
        n % self.rooms.len() * self.size + n / self.rooms.len()
    }

    /// Its place in the schedule of all threads.
    fn turn_of(&self, index: usize) -> usize {
        let member = &self.members[index];
        member.place * self.chat.rooms + self.rooms[member.room].number
    }

    /// When the `n`th line of this thread's schedule is due, and whose it is.
    fn due(&self, schedule: &Schedule, n: u64) -> (u64, usize) {
        let talkers = (self.rooms.len() * self.talkers) as u64;
        let index = self.talker((n % talkers) as usize);
        (schedule.due(self.turn_of(index), n / talkers), index)
    }

    fn tick(&mut self) {
        self.now = self.watch.now();
    }
}

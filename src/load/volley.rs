//! A volley of datagrams from many clients on one thread and one epoll: what the crowd is for
//! streams.
//!
//! It works in slices, too. A slice ends when every datagram is answered or lost. Nothing that can
//! befall a datagram is an error: it is counted, each kind apart, and the client goes on.
//!
//! 1. A datagram is answered if the right bytes come within the patience, for the first time.
//! 2. One that is not is lost, and its place in the window is free again. What comes for it later is
//!    late, and it stays lost; it has no latency.
//! 3. An answer that is wrong settles its datagram if most of it is right: else its number may be
//!    what is wrong, and the datagram is waited for.
//! 4. What comes for an earlier slice is not counted in this one.

mod client;
pub mod datagram;
mod exchange;
mod flights;
mod loss;
mod overflow;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};

use client::{Client, State};

use super::callers::{Callers, Until};
use super::fault::Faults;
use super::lookout::Lookout;
use super::pace::{Pace, Schedule};
use super::tally::{LATE, Tally, Times};
use super::watch::Watch;
use super::work::Work;
use crate::engine::Buffer;

/// Clients that have called and not been answered yet: a server's socket has room for a few hundred
/// datagrams, and what does not fit is lost.
const CALLERS: usize = 64;

/// How often a client calls until it is answered, all within the patience: one datagram may be lost.
const CALLS: u64 = 5;

/// Datagrams that a client sends or hears in one turn, so that a fast one cannot starve the others.
const DATAGRAMS_PER_TURN: usize = 16;

/// How often the loop looks whether it should stop, and what is lost, if nothing else happens.
const GLANCE: Duration = Duration::from_millis(50);

/// It looks this often within the patience at least.
const GLANCES: u32 = 10;

/// How long answers are waited for once the run was stopped: nobody should wait long for what he has
/// ended.
const STOPPING: u64 = 2_000_000_000;

/// How long is waited at the end for what comes twice or late.
const STRAGGLERS: Duration = Duration::from_millis(100);

/// More than any datagram has.
const LONGEST: usize = 65_536;

/// Clients that send datagrams, on one thread.
pub struct Volley {
    lookout: Lookout,
    callers: Callers,
    work: Work,
    watch: Arc<Watch>,
    clients: Vec<Client>,
    /// One each for all, for nothing stays in them.
    input: Buffer,
    output: Buffer,
    /// Clients that go on without news.
    again: VecDeque<usize>,
    /// Clients that wait for their first answer.
    calling: usize,
    /// Datagrams in flight.
    flying: usize,
    /// Everybody calls, until answered once.
    ramping: bool,
    /// New datagrams may be begun.
    open: bool,
    /// What comes is read to the end, even where nothing is due.
    draining: bool,
    /// Datagrams that may still be begun.
    left: u64,
    pace: Pace,
    /// The next message of the schedule.
    next: u64,
    tally: Tally,
    /// When something was last received or sent, and when last answered.
    progress: u64,
    answered: u64,
    /// Lost since then.
    in_a_row: u64,
    /// When was last looked what did not come.
    glanced: u64,
    /// What its sockets had no room for until now.
    overflowed: u64,
    now: u64,
    /// How long things took.
    pub times: Times,
    /// What went wrong: sockets that failed, and answers that were wrong.
    pub faults: Faults,
    /// Messages answered in all slices, and while connecting.
    pub messages_in_all: u64,
}

impl Volley {
    /// Clients that have no socket yet. Fails where epoll or a timer cannot be had.
    pub fn new(callers: Callers, work: Work, watch: Arc<Watch>) -> io::Result<Volley> {
        let glance = GLANCE.min(callers.patience / GLANCES).max(Duration::from_millis(1));
        Ok(Volley {
            lookout: Lookout::new(watch.clone(), callers.awake, glance)?,
            clients: (0..callers.clients).map(|_| Client::default()).collect(),
            callers,
            work,
            watch,
            input: Buffer::new(LONGEST),
            output: Buffer::new(LONGEST),
            again: VecDeque::new(),
            calling: 0,
            flying: 0,
            ramping: false,
            open: false,
            draining: false,
            left: 0,
            pace: Pace::default(),
            next: 0,
            tally: Tally::default(),
            progress: 0,
            answered: 0,
            in_a_row: 0,
            glanced: 0,
            overflowed: 0,
            now: 0,
            times: Times::new(),
            faults: Faults::default(),
            messages_in_all: 0,
        })
    }

    /// Opens everybody's socket, and lets each be answered once; where nothing is answered, each
    /// sends once. Says what became of those datagrams.
    pub fn connect(&mut self) -> io::Result<Tally> {
        self.begin(Pace::default(), u64::MAX);
        self.ramping = true;
        let start = self.now;
        let gap = self.callers.connect_rate.map_or(0.0, |rate| 1e9 / rate);
        let mut called = 0;
        while (called < self.clients.len() || self.calling > 0) && !self.stopped() {
            let mut due = None;
            while called < self.clients.len() && self.calling < CALLERS {
                self.tick();
                due = Some(start.saturating_add((called as f64 * gap) as u64))
                    .filter(|&due| due > self.now);
                if due.is_some() {
                    break;
                }
                self.call(called);
                called += 1;
            }
            self.wait(due)?;
            self.turns();
            if !self.glances() {
                continue;
            }
            self.call_again();
            let silent = self.clients.iter().any(|client| client.state == State::Unheard);
            if silent && self.connected() == 0 {
                // Nobody is answered: the others need not try.
                break;
            }
        }
        self.open = false;
        self.ramping = false;
        self.forget_flights();
        self.messages_in_all += self.tally.messages;
        Ok(self.tally)
    }

    /// Sends and hears until the end of the slice, then until all is answered or lost.
    pub fn slice(&mut self, pace: Pace, until: Until) -> io::Result<Tally> {
        self.lookout.begin();
        self.begin(pace, until.messages.unwrap_or(u64::MAX));
        let start = pace.beginning(self.now);
        if pace.schedule.is_none() {
            for index in 0..self.clients.len() {
                self.tick();
                self.turn(index);
            }
        }
        let mut closed = start;
        let mut stopped = None;
        let mut told = 0;
        loop {
            if self.open && self.is_over(&until) {
                closed = self.now;
                self.close();
            }
            if !self.open {
                if self.stopped() {
                    stopped.get_or_insert(self.now);
                }
                if self.flying == 0 || stopped.is_some_and(|at| self.now > at + STOPPING) {
                    break;
                }
            }
            let schedule = self.pace.schedule.filter(|_| self.open);
            self.wait(schedule.map(|schedule| self.callers.due(&schedule, self.next).0))?;
            self.turns();
            self.sweep();
            if let Some(schedule) = self.pace.schedule.filter(|_| self.open) {
                self.send_what_is_due(schedule);
            }
            self.watch.messages.fetch_add(self.tally.messages - told, Ordering::Relaxed);
            told = self.tally.messages;
        }
        // A slice that ran its full time has that length, though its last answer may have come
        // earlier.
        let length = until.time.filter(|&time| time <= closed).unwrap_or(0);
        self.tally.elapsed = Duration::from_nanos(self.progress.max(length).saturating_sub(start));
        self.lookout.end(&mut self.tally);
        self.drain();
        self.count_overflow();
        self.messages_in_all += self.tally.messages;
        Ok(self.tally)
    }

    /// Hears what comes twice or late, and says what that was.
    pub fn leave(&mut self) -> io::Result<Tally> {
        self.tally = Tally::default();
        self.tick();
        let deadline = self.now + STRAGGLERS.as_nanos() as u64;
        self.draining = true;
        while self.now < deadline && !self.stopped() {
            self.wait(Some(deadline))?;
            self.turns();
        }
        self.drain();
        self.clients.clear();
        Ok(self.tally)
    }

    /// Clients that were answered while connecting.
    pub fn connected(&self) -> usize {
        self.clients.iter().filter(|client| client.state == State::Heard).count()
    }

    fn begin(&mut self, pace: Pace, messages: u64) {
        self.tick();
        self.tally = Tally::default();
        self.progress = self.now;
        self.answered = self.now;
        self.in_a_row = 0;
        self.open = !self.stopped();
        self.left = messages;
        self.pace = pace;
        self.next = 0;
        self.forget_flights();
        for client in &mut self.clients {
            client.before = client.begun;
            client.due = 0;
        }
    }

    /// What is still on its way is not waited for.
    fn forget_flights(&mut self) {
        for client in &mut self.clients {
            client.settled += client.flights.clear() as u64;
            client.goal = client.begun;
        }
        self.flying = 0;
    }

    fn is_over(&self, until: &Until) -> bool {
        let time_is_up = until.time.is_some_and(|time| time <= self.now);
        let enough = until.messages.is_some_and(|messages| self.tally.begun >= messages);
        time_is_up || enough || self.stopped() || self.waits_in_vain(until) || self.is_deserted()
    }

    /// Whether nobody is left who could send anything.
    fn is_deserted(&self) -> bool {
        self.flying == 0 && self.clients.iter().all(|client| client.socket.is_none())
    }

    /// No new datagram is begun from here on.
    fn close(&mut self) {
        self.open = false;
        for client in &mut self.clients {
            client.goal = client.begun;
        }
    }

    fn stopped(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    fn patience(&self) -> u64 {
        self.callers.patience.as_nanos() as u64
    }

    fn number(&self, index: usize) -> usize {
        self.callers.number(index)
    }

    fn tick(&mut self) {
        self.now = self.watch.now();
    }

    /// Sleeps until there is news, or until a message is due.
    fn wait(&mut self, due: Option<u64>) -> io::Result<()> {
        self.lookout.wait(due, !self.again.is_empty())?;
        self.tick();
        Ok(())
    }

    /// Gives everybody who has news a turn, and everybody who was not done.
    fn turns(&mut self) {
        let waiting = self.again.len();
        let events = std::mem::replace(&mut self.lookout.events, Events::with_capacity(0));
        for event in &events {
            self.note(event);
        }
        self.lookout.events = events;
        for _ in 0..waiting {
            if let Some(index) = self.again.pop_front() {
                self.clients[index].queued = false;
                self.turn(index);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        let Token(index) = event.token();
        if let Some(client) = self.clients.get_mut(index) {
            client.readable |= event.is_readable() || event.is_error();
            client.blocked &= !event.is_writable();
            self.turn(index);
        }
    }

    fn queue(&mut self, index: usize) {
        if !self.clients[index].queued {
            self.clients[index].queued = true;
            self.again.push_back(index);
        }
    }

    fn send_what_is_due(&mut self, schedule: Schedule) {
        // A pass sends each client's next message at most, so that answers are not left waiting.
        for _ in 0..self.clients.len() {
            let (due, index) = self.callers.due(&schedule, self.next);
            if self.left == 0 || due > self.now {
                return;
            }
            self.tick();
            let late = self.now > due + LATE;
            self.next += 1;
            let client = &mut self.clients[index];
            let at_rest = client.begun == client.before + client.due;
            client.due += 1;
            self.say(index);
            let client = &self.clients[index];
            // What a full window held back is not the driver's fault.
            let sent = at_rest && client.begun == client.before + client.due;
            self.tally.late += u64::from(late && sent);
        }
    }
}

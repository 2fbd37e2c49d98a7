//! A crowd of clients on one thread and one epoll: an engine with a stopwatch.
//!
//! It works in slices. A slice ends when every answer is in, so that no work of one slice is left
//! over for the next. Every byte that comes back is compared with what was due.

pub(super) mod client;
mod conversation;
mod ending;
mod page;
pub(super) mod secure;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};

use client::{Client, State};

use super::callers::{Callers, Until};
use super::fault::Faults;
use super::http::Answer;
use super::http::framing::Known;
use super::lookout::Lookout;
use super::pace::{Pace, Schedule};
use super::secure::Agreed;
use super::tally::{LATE, Tally, Times};
use super::watch::Watch;
use super::work::{PIECE, Work};
use crate::engine::Buffer;
use crate::report::document::Handshakes;
use crate::tls::Connector;
use secure::WIRE;

/// Clients that have called and not been answered yet. std's listeners have a queue of 128 callers,
/// and one who does not fit calls again a whole second later.
const CALLERS: usize = 64;

/// Pieces that a client sends or hears in one turn, so that a fast one cannot starve the others.
const PIECES_PER_TURN: usize = 16;

/// How often the loop looks whether it should stop, if nothing else happens.
const GLANCE: Duration = Duration::from_millis(50);

/// How long answers still due are waited for once the run was stopped: nobody should wait long for
/// what he has ended.
const STOPPING: u64 = 2_000_000_000;

/// How long the server may take to close once a client has said its last word. Some never do, which
/// is no fault.
const FAREWELL: Duration = Duration::from_secs(1);

/// A crowd of clients on one thread.
pub struct Crowd {
    lookout: Lookout,
    callers: Callers,
    work: Work,
    watch: Arc<Watch>,
    clients: Vec<Client>,
    /// One for each client that speaks TLS, for each remembers sessions of its own.
    connectors: Vec<Connector>,
    /// One for each client that fetches a file.
    answers: Vec<Answer>,
    /// The head that their server has sent last.
    known: Known,
    /// One for all, for nothing stays in it.
    input: Buffer,
    /// The same for what is to be decrypted into it.
    wire: Buffer,
    /// Clients that go on without news.
    again: VecDeque<usize>,
    /// What those have received who should not have received it.
    suspects: BTreeMap<usize, Vec<u8>>,
    /// Calls made so far.
    calls: usize,
    /// Clients that wait for something.
    busy: usize,
    /// Everybody is being connected, and says one message.
    ramping: bool,
    /// New messages may be begun.
    open: bool,
    /// Messages that may still be begun.
    left: u64,
    pace: Pace,
    /// The next message of the schedule.
    next: u64,
    tally: Tally,
    /// When something was last received or sent.
    progress: u64,
    now: u64,
    /// How long things took.
    pub times: Times,
    /// What went wrong.
    pub faults: Faults,
    /// Messages answered in all slices, and while connecting.
    pub messages_in_all: u64,
    /// TLS handshakes in all slices, and while connecting.
    pub handshakes_in_all: Handshakes,
    /// TLS connections that ended as they should but for the server's close_notify.
    pub unannounced: u64,
    /// What was agreed in them.
    pub agreed: Vec<Agreed>,
}

impl Crowd {
    /// Clients that have not called yet. Fails where epoll or a timer cannot be had.
    pub fn new(callers: Callers, work: Work, watch: Arc<Watch>) -> io::Result<Crowd> {
        let secure = callers.secure.iter();
        let connectors =
            secure.flat_map(|secure| (0..callers.clients).map(|_| secure.one_client())).collect();
        let fetching = if work.fetched().is_some() { callers.clients } else { 0 };
        Ok(Crowd {
            lookout: Lookout::new(watch.clone(), callers.awake, GLANCE)?,
            clients: (0..callers.clients).map(|_| Client::default()).collect(),
            connectors,
            answers: (0..fetching).map(|_| Answer::default()).collect(),
            known: Known::default(),
            wire: Buffer::new(if callers.secure.is_some() { WIRE } else { 0 }),
            callers,
            work,
            watch,
            input: Buffer::new(PIECE),
            again: VecDeque::new(),
            suspects: BTreeMap::new(),
            calls: 0,
            busy: 0,
            ramping: false,
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
            unannounced: 0,
            agreed: Vec::new(),
        })
    }

    /// Connects everybody who stays, and lets each be answered once, so that each has been accepted.
    /// Those who cannot connect are among the faults.
    pub fn connect(&mut self) -> io::Result<()> {
        self.begin(Pace::default(), u64::MAX);
        self.ramping = true;
        let start = self.now;
        let gap = self.callers.connect_rate.map_or(0.0, |rate| 1e9 / rate);
        let mut called = 0;
        while (called < self.clients.len() || self.busy > 0) && !self.stopped() {
            let mut due = None;
            while called < self.clients.len() && self.busy < CALLERS {
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
            if self.busy > 0 && self.now > self.progress + self.patience() {
                // Nobody is answered any more: the others need not try.
                self.give_up();
                break;
            }
        }
        self.open = false;
        self.ramping = false;
        self.conclude_suspicions();
        self.messages_in_all += self.tally.messages;
        self.handshakes_in_all += self.tally.handshakes;
        Ok(())
    }

    /// Sends and hears until the end of the slice, then waits for the answers still to come.
    pub fn slice(&mut self, pace: Pace, until: Until) -> io::Result<Tally> {
        self.lookout.begin();
        self.begin(pace, until.messages.unwrap_or(u64::MAX));
        let start = pace.beginning(self.now);
        for index in 0..self.clients.len() {
            if pace.schedule.is_none() || self.clients[index].state == State::Away {
                self.tick();
                self.turn(index);
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
                if self.busy == 0 {
                    break self.progress;
                }
                // Who gives one byte at a time is not listened to for ever.
                let longest = closed + 2 * (self.patience() + closed.saturating_sub(start));
                if self.stopped() {
                    stopped.get_or_insert(self.now);
                }
                let latest = stopped.map_or(longest, |stopped| longest.min(stopped + STOPPING));
                if self.now > (self.progress.max(start) + self.patience()).min(latest) {
                    let end = self.progress;
                    self.give_up();
                    break end;
                }
            }
            let schedule = self.pace.schedule.filter(|_| self.open);
            self.wait(schedule.map(|schedule| self.callers.due(&schedule, self.next).0))?;
            self.turns();
            if let Some(schedule) = self.pace.schedule.filter(|_| self.open) {
                self.send_what_is_due(schedule);
            }
            self.watch.messages.fetch_add(self.tally.messages - told, Ordering::Relaxed);
            told = self.tally.messages;
        };
        self.conclude_suspicions();
        // A slice that ran its full time has that length, though its last answer may have come
        // earlier.
        let length = until.time.filter(|&time| time <= closed).unwrap_or(0);
        self.tally.elapsed = Duration::from_nanos(end.max(length).saturating_sub(start));
        self.lookout.end(&mut self.tally);
        self.messages_in_all += self.tally.messages;
        self.handshakes_in_all += self.tally.handshakes;
        Ok(self.tally)
    }

    /// Everybody says goodbye and listens to the end, so that what came too much is seen.
    pub fn leave(&mut self) -> io::Result<()> {
        self.begin(Pace::default(), 0);
        self.open = false;
        for index in 0..self.clients.len() {
            if self.clients[index].state == State::Talking && !self.work.listens_only() {
                self.say_goodbye(index);
                self.settle(index);
            }
        }
        let deadline = self.now + self.callers.patience.min(FAREWELL).as_nanos() as u64;
        while self.busy > 0 && self.now < deadline && !self.stopped() {
            self.wait(None)?;
            self.turns();
        }
        self.conclude_suspicions();
        self.clients.clear();
        Ok(())
    }

    /// Clients that are connected.
    pub fn connected(&self) -> usize {
        self.clients.iter().filter(|client| client.state == State::Talking).count()
    }

    fn begin(&mut self, pace: Pace, messages: u64) {
        self.tick();
        self.tally = Tally::default();
        self.progress = self.now;
        self.open = true;
        self.left = messages;
        self.pace = pace;
        self.next = 0;
        for client in &mut self.clients {
            client.before = client.begun;
            client.due = 0;
        }
    }

    fn is_over(&self, until: &Until) -> bool {
        let time_is_up = until.time.is_some_and(|time| time <= self.now);
        let enough = match until.messages {
            Some(messages) if self.work.listens_only() => self.tally.messages >= messages,
            Some(messages) => self.left == 0 && (self.tally.begun >= messages || self.busy == 0),
            None => false,
        };
        time_is_up || enough || self.stopped() || self.waits_in_vain(until) || self.is_deserted()
    }

    /// Whether a number of messages is waited for, and nothing comes any more.
    fn waits_in_vain(&self, until: &Until) -> bool {
        until.time.is_none() && self.busy > 0 && self.now > self.progress + self.patience()
    }

    /// Whether nobody is left who could say or hear anything.
    fn is_deserted(&self) -> bool {
        self.busy == 0
            && self.again.is_empty()
            && !self.clients.iter().any(|client| client.state == State::Talking)
    }

    /// What a server does that serves them well.
    pub fn promise(&self) -> &'static str {
        if self.work.fetched().is_some() { "serve the file" } else { "echo" }
    }

    /// No new message is begun from here on. Who is being connected is not waited for once the run
    /// was stopped.
    fn close(&mut self) {
        self.open = false;
        let stopped = self.stopped();
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            client.goal = client.begun;
            if stopped && matches!(client.state, State::Calling | State::Greeting) {
                client.hang_up();
                client.state = State::Away;
            }
            self.settle(index);
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
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        client.hidden |= event.is_read_closed() || event.is_error();
        client.readable |= client.hidden || event.is_readable();
        client.blocked &= !event.is_writable();
        if client.stream.is_some() {
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
            // What the server held back is not the driver's fault.
            let sent = at_rest && client.begun == client.before + client.due;
            self.tally.late += u64::from(late && sent);
            self.settle(index);
        }
    }
}

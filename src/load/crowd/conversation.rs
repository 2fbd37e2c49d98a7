//! What a client does in its turn: call, hear what there is, say what it may.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use mio::{Interest, Token};

use super::client::{Client, State};
use super::secure::Tls;
use super::{Crowd, PIECES_PER_TURN};
use crate::load::fault::{EVIDENCE, Kind};
use crate::load::http::Answer;
use crate::load::pace::Schedule;
use crate::load::tally::{Tally, Times};
use crate::load::work::{Expected, PIECE};

impl Crowd {
    /// Lets a client hear what there is and send what it may.
    pub(super) fn turn(&mut self, index: usize) {
        match self.clients[index].state {
            State::Out => return,
            State::Away if self.may_call(index) => self.call(index),
            State::Away => {}
            State::Calling => {
                self.answer_the_call(index);
                // What came with the connection is told once, with it.
                self.hear(index);
                self.say(index);
            }
            State::Greeting | State::Talking | State::Leaving | State::Suspecting => {
                self.hear(index);
                self.say(index);
            }
        }
        self.settle(index);
    }

    /// Whether somebody who has left is followed by another, or comes again.
    pub(super) fn may_call(&self, index: usize) -> bool {
        let Client { returns, goal, answered, .. } = self.clients[index];
        let more = self.open && self.left > 0 && (returns || self.pace.leaves_after.is_some());
        more || (returns && answered < goal && !self.stopped())
    }

    /// Counts it among those who wait for something, or not.
    pub(super) fn settle(&mut self, index: usize) {
        let client = &self.clients[index];
        let busy = match client.state {
            State::Calling | State::Greeting | State::Leaving => true,
            State::Away | State::Out | State::Suspecting => false,
            State::Talking if self.work.listens_only() => {
                if self.ramping {
                    client.heard == 0
                } else {
                    self.open
                }
            }
            State::Talking => {
                client.answered < client.goal || client.sent < client.goal * self.work.message
            }
        };
        if busy != client.busy {
            self.clients[index].busy = busy;
            if busy {
                self.busy += 1;
            } else {
                self.busy -= 1;
            }
        }
    }

    pub(super) fn call(&mut self, index: usize) {
        self.progress = self.now;
        let source = self.callers.source(self.calls);
        self.calls += 1;
        if let Some(answer) = self.answers.get_mut(index) {
            *answer = Answer::default();
        }
        let client = &mut self.clients[index];
        let called = client.call(self.callers.server, source, self.now).and_then(|()| {
            let stream = client.stream.as_mut().expect("it has just called");
            let both = Interest::READABLE | Interest::WRITABLE;
            self.lookout.registry().register(stream, Token(index), both)
        });
        match called {
            Ok(()) => self.answer_the_call(index),
            Err(error) => self.refused(index, &error),
        }
        self.settle(index);
    }

    /// A connection that has come about is talked on at once.
    fn answer_the_call(&mut self, index: usize) {
        match self.clients[index].established() {
            Ok(false) => {}
            Err(error) => self.refused(index, &error),
            Ok(true) => {
                self.tick();
                self.progress = self.now;
                let client = &mut self.clients[index];
                self.times.connect.saturating_record(self.now - client.called);
                if let Some(secure) = &self.callers.secure {
                    match self.connectors[index].connection(&secure.host) {
                        Ok(connection) => client.greet(Tls::new(connection, self.now)),
                        Err(why) => return self.lose(index, Kind::Refused, why),
                    }
                } else {
                    client.state = State::Talking;
                    self.watch.connected.fetch_add(1, Ordering::Relaxed);
                }
                self.say(index);
            }
        }
    }

    /// Reads until the socket is empty, and compares.
    fn hear(&mut self, index: usize) {
        // What a source says between two slices waits in the kernel.
        if self.work.listens_only() && !self.open {
            return;
        }
        for _ in 0..PIECES_PER_TURN {
            let client = &mut self.clients[index];
            if client.stream.is_none() || !client.readable {
                return;
            }
            let received = client.receive(self.wire.bytes(), self.input.bytes());
            if client.state == State::Greeting {
                self.greeted(index);
            }
            match received {
                Ok(0) => return self.hung_up(index),
                Ok(n) => {
                    self.now = self.watch.now();
                    self.heard(index, n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.clients[index].readable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.broken(index, &error),
            }
        }
        if self.clients[index].readable {
            self.queue(index);
        }
    }

    /// `n` bytes have come.
    fn heard(&mut self, index: usize, n: usize) {
        let number = self.number(index);
        let client = &mut self.clients[index];
        self.progress = self.now;
        self.tally.received += n as u64;
        let came = &self.input.bytes()[..n];
        if client.state == State::Suspecting {
            return self.suspect(index, 0..n);
        }
        if client.heard == 0 {
            self.times.first_byte.saturating_record(self.now - client.called);
        }
        if let Expected::Page(_) = self.work.expected {
            return self.heard_page(index, n);
        }
        let room =
            self.work.allowed(client.sent).saturating_sub(client.heard).min(n as u64) as usize;
        let right = match self.work.expected() {
            Some(stream) => matching(&came[..room], stream.piece(number, client.heard)),
            None => room,
        };
        client.heard += right as u64;
        let reply = self.work.reply;
        if self.work.listens_only() {
            let answered = client.heard / reply;
            self.tally.messages += answered - client.answered;
            client.answered = answered;
        }
        // Multiplied, for a division takes as long as all the rest.
        let answerable = if reply > 0 { client.begun } else { 0 };
        while client.answered < answerable && (client.answered + 1) * reply <= client.heard {
            let (times, tally) = (&mut self.times, &mut self.tally);
            answered(client, number, self.now, self.pace.schedule.as_ref(), times, tally);
        }
        if right < n {
            self.suspect(index, right..n);
        }
    }

    /// Keeps what should not have come, until there is enough of it.
    fn suspect(&mut self, index: usize, came: Range<usize>) {
        self.clients[index].state = State::Suspecting;
        let evidence = self.suspects.entry(index).or_default();
        let room = EVIDENCE - evidence.len();
        evidence.extend(self.input.bytes()[came].iter().take(room));
        if evidence.len() == EVIDENCE {
            self.conclude(index);
        }
    }

    /// Sends what the pace allows. Who has heard its last answer says so and waits for the end.
    pub(super) fn say(&mut self, index: usize) {
        let number = self.number(index);
        let client = &mut self.clients[index];
        if let Err(error) = client.flush() {
            return self.not_taken(index, &error);
        }
        if client.state != State::Talking || self.work.listens_only() {
            return;
        }
        if self.open {
            let due = client.before + client.due;
            let goal = if self.ramping { 1 } else { self.pace.goal(client.answered, due) };
            let granted = goal.saturating_sub(client.goal).min(self.left);
            client.goal += granted;
            self.left -= granted;
        }
        let message = self.work.message;
        let goal = client.goal * message;
        let mut pieces = 0;
        while client.sent < goal && !client.blocked {
            if pieces == PIECES_PER_TURN {
                return self.queue(index);
            }
            pieces += 1;
            let piece = (PIECE as u64).min(goal - client.sent) as usize;
            match client.send(&self.work.sent.piece(number, client.sent)[..piece]) {
                Ok(n) => {
                    client.sent += n as u64;
                    self.tally.sent += n as u64;
                    self.progress = self.now;
                    let begun = client.begun;
                    if self.work.reply > 0 {
                        while client.begun * message < client.sent {
                            client.begin(self.now);
                        }
                    } else {
                        let taken = client.sent / message;
                        self.tally.messages += taken - client.answered;
                        client.answered = taken;
                        client.begun = client.sent.div_ceil(message);
                    }
                    self.tally.begun += client.begun - begun;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => client.blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.not_taken(index, &error),
            }
        }
        let (answered, blocked) = (client.answered, client.blocked);
        if self.pace.leaves_after.is_some_and(|last| answered >= last) {
            self.say_goodbye(index);
        } else if self.work.reply == 0 && self.asks_at_once() && !blocked {
            // No answer will make room for the next message: there is room.
            self.queue(index);
        }
    }

    /// The server's socket takes nothing more.
    fn not_taken(&mut self, index: usize, error: &io::Error) {
        let calls = self.calls;
        // The end of the server's words says more than that it no longer listens. Over HTTP it may
        // have said that it will close, and left unread what came then.
        let is_reset = error.kind() == io::ErrorKind::ConnectionReset;
        if error.kind() == io::ErrorKind::BrokenPipe || (is_reset && self.work.fetched().is_some())
        {
            self.clients[index].readable = true;
            self.hear(index);
        }
        // Who has heard that end in peace may have called again by now.
        if self.clients[index].stream.is_some() && self.calls == calls {
            self.broken(index, error);
        }
    }

    pub(super) fn say_goodbye(&mut self, index: usize) {
        if let Err(error) = self.clients[index].say_goodbye() {
            self.not_taken(index, &error);
        }
    }

    /// Whether nothing but room in the socket is needed for the next message.
    fn asks_at_once(&self) -> bool {
        self.open && !self.ramping && self.pace.schedule.is_none() && self.left > 0
    }
}

/// The oldest message in flight of client `number` is answered in full.
#[inline]
pub(super) fn answered(
    client: &mut Client,
    number: usize,
    now: u64,
    schedule: Option<&Schedule>,
    times: &mut Times,
    tally: &mut Tally,
) {
    let nth = client.answered.saturating_sub(client.before);
    times.service.saturating_record(now - client.answer());
    if let Some(schedule) = schedule {
        times.latency.saturating_record(now.saturating_sub(schedule.due(number, nth)));
    }
    tally.messages += 1;
}

/// How many bytes at the beginning of `came` are those of `due`.
fn matching(came: &[u8], due: &[u8]) -> usize {
    if *came == due[..came.len()] {
        return came.len();
    }
    came.iter().zip(due).take_while(|(came, due)| came == due).count()
}

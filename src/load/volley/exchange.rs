//! What a client does in its turn: call, hear what there is, say what it may.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use mio::net::UdpSocket;
use mio::{Interest, Token};
use rustix::net::{RecvFlags, SendFlags};

use super::client::State;
use super::datagram::Form;
use super::{CALLS, DATAGRAMS_PER_TURN, LONGEST, Volley};
use crate::failure::cause;
use crate::load::fault::{Fault, Kind};
use crate::load::work::Expected;

impl Volley {
    /// Lets a client hear what there is and send what it may.
    pub(super) fn turn(&mut self, index: usize) {
        self.hear(index);
        self.say(index);
    }

    /// Opens a client's socket, and lets it send once.
    pub(super) fn call(&mut self, index: usize) {
        let source = self.callers.source(index);
        let client = &mut self.clients[index];
        client.called = self.now;
        let opened = client.open(self.callers.server, source).and_then(|()| {
            let socket = client.socket.as_mut().expect("it was just opened");
            let both = Interest::READABLE | Interest::WRITABLE;
            self.lookout.registry().register(socket, Token(index), both)
        });
        if let Err(error) = opened {
            return self.fail(index, Kind::Refused, &error);
        }
        client.state = State::Calling;
        client.goal = 1;
        self.calling += 1;
        self.say(index);
        if self.work.reply == 0 && self.clients[index].state == State::Calling {
            // No answer will come, but this machine's refusal is there at once.
            let refused = self.tally.datagrams.refused;
            self.clients[index].readable = true;
            self.hear(index);
            let state = match self.tally.datagrams.refused == refused {
                true => State::Heard,
                false => State::Unheard,
            };
            self.met(index, state);
        }
    }

    /// Whoever has called in vain calls again, or is silent from here on.
    pub(super) fn call_again(&mut self) {
        let patience = self.patience();
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let next = client.called + patience / CALLS * client.goal;
            if client.state != State::Calling || self.now < next {
                continue;
            }
            if client.goal == CALLS {
                self.met(index, State::Unheard);
            } else {
                client.goal += 1;
                self.say(index);
            }
        }
    }

    /// Calling has come to an end.
    fn met(&mut self, index: usize, state: State) {
        let client = &mut self.clients[index];
        if client.state == State::Calling {
            client.state = state;
            self.calling -= 1;
            if state == State::Heard {
                self.watch.connected.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Reads until there is no more, or until nothing more is due: to look for what is not costs a
    /// system call for each message.
    pub(super) fn hear(&mut self, index: usize) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let client = &mut self.clients[index];
            let due = self.draining || self.work.reply == 0 || !client.flights.is_empty();
            let Some(socket) = client.socket.as_ref().filter(|_| client.readable && due) else {
                return;
            };
            match receive(socket, &mut self.input.bytes()[..LONGEST]) {
                Ok(n) => self.heard(index, n),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => client.readable = false,
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionRefused => self.tally.datagrams.refused += 1,
                    _ => return self.fail(index, Kind::Reset, &error),
                },
            }
        }
        if self.clients[index].readable && !self.draining {
            self.queue(index);
        }
    }

    /// A datagram of `n` bytes has come.
    fn heard(&mut self, index: usize, n: usize) {
        self.tick();
        let client = self.number(index);
        self.tally.received += n as u64;
        let number = match &self.work.expected {
            Expected::Nothing => {
                let detail = "a datagram came, though nothing should".into();
                return self.wrong(index, 0, Kind::Extra, detail);
            }
            // Nothing tells which one it answers: it is the oldest.
            Expected::Anything => match self.clients[index].flights.oldest() {
                Some(oldest) => oldest,
                None => return,
            },
            Expected::Same | Expected::Other(_) | Expected::Page(_) | Expected::Others(_) => {
                let form = Form { stream: &self.work.sent, size: self.work.message as usize };
                let begun = self.clients[index].begun;
                let came = &self.input.bytes()[..n];
                let number = Form::number(came).filter(|&number| number < begun);
                match number.filter(|&number| form.is_right(client, number, came)) {
                    Some(number) => number,
                    None => {
                        let (at, detail) = form.diagnose(client, begun, came);
                        let settles = number.filter(|&n| form.is_mostly_right(client, n, came));
                        if let Some(number) = settles {
                            self.land(index, number);
                        }
                        return self.wrong(index, at, Kind::Wrong, detail);
                    }
                }
            }
        };
        if number < self.clients[index].before {
            return;
        }
        match self.land(index, number) {
            Some(begun) if self.now - begun <= self.patience() => {
                self.answered(index, number, begun)
            }
            // It is lost already, though nobody has looked yet.
            Some(_) => {
                self.tally.datagrams.lost += 1;
                self.tally.datagrams.late += 1;
            }
            None if self.clients[index].flights.was_lost(number) => self.tally.datagrams.late += 1,
            None => self.tally.datagrams.duplicated += 1,
        }
    }

    fn land(&mut self, index: usize, number: u64) -> Option<u64> {
        let client = &mut self.clients[index];
        let begun = client.flights.land(number)?;
        client.settled += 1;
        self.flying -= 1;
        Some(begun)
    }

    /// The right answer has come in time.
    fn answered(&mut self, index: usize, number: u64, begun: u64) {
        self.met(index, State::Heard);
        self.progress = self.now;
        self.answered = self.now;
        self.in_a_row = 0;
        self.tally.messages += 1;
        let nth = self.callers.number(index);
        let client = &mut self.clients[index];
        if client.beyond == 0 {
            self.times.first_byte.saturating_record(self.now - client.called);
        }
        if number < client.beyond {
            self.tally.datagrams.reordered += 1;
        }
        client.beyond = client.beyond.max(number + 1);
        self.times.service.saturating_record(self.now - begun);
        if let Some(schedule) = &self.pace.schedule {
            let due = schedule.due(nth, number - client.before);
            self.times.latency.saturating_record(self.now.saturating_sub(due));
        }
    }

    /// Something came that should not have come. The client goes on.
    fn wrong(&mut self, index: usize, offset: u64, kind: Kind, detail: String) {
        self.progress = self.now;
        self.tally.datagrams.corrupted += 1;
        self.faults.add(Fault { kind, client: self.number(index), offset, detail });
    }

    /// Sends what the pace allows.
    pub(super) fn say(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.socket.is_none() {
            return;
        }
        if self.open && !self.ramping {
            let goal = self.pace.goal(client.settled, client.before + client.due);
            let granted = goal.saturating_sub(client.goal).min(self.left);
            client.goal += granted;
            self.left -= granted;
        }
        for _ in 0..DATAGRAMS_PER_TURN {
            let client = &self.clients[index];
            if client.begun >= client.goal || client.blocked {
                break;
            }
            match self.send(index) {
                Ok(()) => self.begun(index),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.clients[index].blocked = true,
                    ErrorKind::Interrupted => {}
                    // That was an earlier one; this one was not sent.
                    ErrorKind::ConnectionRefused => self.tally.datagrams.refused += 1,
                    _ => return self.fail(index, Kind::Reset, &error),
                },
            }
        }
        let client = &self.clients[index];
        // Where nothing is answered, nothing but room in the socket is needed for the next one.
        let at_once = self.work.reply == 0
            && self.open
            && !self.ramping
            && self.pace.schedule.is_none()
            && self.left > 0;
        if !client.blocked && (client.begun < client.goal || at_once) {
            self.queue(index);
        }
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let number = self.clients[index].begun;
        let client = self.number(index);
        let form = Form { stream: &self.work.sent, size: self.work.message as usize };
        let datagram = form.write(client, number, self.output.bytes());
        let socket = self.clients[index].socket.as_ref().expect("it was opened");
        match rustix::net::send(socket, datagram, SendFlags::NOSIGNAL) {
            // The network's queue was full, and the kernel has dropped it: a loss like any other.
            Ok(_) | Err(rustix::io::Errno::NOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A datagram is on its way.
    fn begun(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let number = client.begun;
        client.begun += 1;
        self.progress = self.now;
        self.tally.begun += 1;
        self.tally.datagrams.sent += 1;
        self.tally.sent += self.work.message;
        if self.work.reply > 0 {
            client.flights.begin(number, self.now);
            self.flying += 1;
        } else {
            client.settled += 1;
            self.tally.messages += 1;
        }
    }

    /// The socket is of no use any more. What its client did not begin is left to the others.
    fn fail(&mut self, index: usize, kind: Kind, error: &io::Error) {
        let client = self.number(index);
        self.met(index, State::Out);
        let failed = &mut self.clients[index];
        failed.state = State::Out;
        failed.socket = None;
        failed.readable = false;
        let given_back = failed.goal - failed.begun;
        failed.goal = failed.begun;
        self.left = self.left.saturating_add(given_back);
        self.flying -= failed.flights.clear();
        let detail = match error.kind() {
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
                format!("{}: no local port is free; `--source` gives more of them", cause(error))
            }
            _ => cause(error),
        };
        self.faults.unanswered += failed.begun - failed.settled;
        self.faults.add(Fault { kind, client, offset: 0, detail });
        if given_back > 0 {
            (0..self.clients.len()).for_each(|other| self.queue(other));
        }
    }
}

/// recv(2), without what the C library does around it (see the crowd).
fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<usize> {
    let (n, _) = rustix::net::recv(socket, into, RecvFlags::empty())?;
    Ok(n)
}

//! The driver: all clients of one contestant, on one thread and one epoll.
//!
//! It works in slices, and a slice ends when every answer is in, so that no work of one contestant
//! is left over for the slice of another. Every answer is compared with what was sent.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::time::{ClockId, clock_gettime};

use crate::contestant::Contestant;
use crate::pace::Pace;
use crate::tally::Tally;
use crate::work::{PIECE, Work};

/// A server that is silent for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// All clients of one contestant.
pub struct Crowd {
    poll: Poll,
    address: SocketAddr,
    clients: Vec<Client>,
    work: Work,
    pace: Pace,
    input: Box<Input>,
    /// Clients with answers still to come.
    busy: usize,
    /// Answers of this slice.
    answered: u64,
    /// Whether new messages are sent: the slice has not yet ended.
    open: bool,
}

/// Large blocks of malloc start 16 bytes into a page, where Zen 3 copies from the kernel at half the
/// speed.
#[repr(align(64))]
struct Input([u8; PIECE]);

/// Counts bytes of its present connection.
#[derive(Default)]
struct Client {
    stream: Option<TcpStream>,
    /// How much it may send, and will hear.
    goal: u64,
    sent: u64,
    heard: u64,
    /// It has said that it will send no more.
    leaving: bool,
}

impl Crowd {
    /// `clients` clients of the server at `address`. Those who stay are connected and have been
    /// answered once, so that each has been accepted.
    pub fn connect(address: SocketAddr, clients: usize, work: Work, pace: Pace) -> Crowd {
        let mut crowd = Crowd {
            poll: Poll::new().expect("epoll can be had"),
            address,
            clients: (0..clients).map(|_| Client::default()).collect(),
            work,
            pace,
            input: Box::new(Input([0; PIECE])),
            busy: 0,
            answered: 0,
            open: false,
        };
        if crowd.pace.leaves_after.is_none() {
            for index in 0..clients {
                crowd.open = true;
                crowd.turn(index);
                // One after the other, for not every server has a long queue of callers.
                crowd.finish(Instant::now());
            }
        }
        crowd
    }

    /// Sends and hears for `length`, then waits for the answers still to come.
    pub fn slice(&mut self, length: Duration, contestant: &Contestant) -> Tally {
        self.answered = 0;
        self.open = true;
        let cpu = contestant.cpu();
        let own_cpu = own_cpu_now();
        let start = Instant::now();
        for index in 0..self.clients.len() {
            self.turn(index);
        }
        self.finish(start + length);
        Tally {
            messages: self.answered,
            elapsed: start.elapsed(),
            server: contestant.cpu() - cpu,
            driver: own_cpu_now() - own_cpu,
        }
    }

    /// Goes on until `deadline`, and from then until all clients rest.
    fn finish(&mut self, deadline: Instant) {
        let mut events = Events::with_capacity(1024);
        while self.busy > 0 {
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.expect("epoll works"),
            }
            assert!(!events.is_empty(), "{} has not answered", self.address);
            self.open = self.open && Instant::now() < deadline;
            for event in &events {
                self.turn(event.token().0);
            }
        }
        self.open = false;
    }

    /// Lets a client hear what there is and send what it may.
    fn turn(&mut self, index: usize) {
        let rested = self.rests(index);
        if self.clients[index].stream.is_some() {
            self.hear(index);
        }
        if self.clients[index].stream.is_none() && self.open {
            self.call(index);
        }
        self.say(index);
        match (rested, self.rests(index)) {
            (true, false) => self.busy += 1,
            (false, true) => self.busy -= 1,
            _ => {}
        }
    }

    /// Whether it waits for nothing.
    fn rests(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let stays = self.pace.leaves_after.is_none();
        client.stream.is_none() || (stays && client.heard == client.goal)
    }

    fn call(&mut self, index: usize) {
        let mut stream = TcpStream::connect(self.address).expect("there is a free port");
        stream.set_nodelay(true).expect("it is a TCP connection");
        self.poll
            .registry()
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
            .expect("epoll takes it");
        self.clients[index] = Client { stream: Some(stream), ..Client::default() };
    }

    /// Reads until the socket is empty, and compares.
    fn hear(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let stream = client.stream.as_mut().expect("it is connected");
        while client.heard < client.goal || self.pace.leaves_after.is_some() {
            match stream.read(&mut self.input.0) {
                Ok(0) => {
                    assert!(client.heard == client.goal, "{} hung up", self.address);
                    client.stream = None;
                    return;
                }
                Ok(n) => {
                    let right = &self.work.stream(index, client.heard)[..n];
                    assert!(
                        self.input.0[..n] == *right && client.heard + n as u64 <= client.sent,
                        "{} did not answer what it was sent",
                        self.address
                    );
                    let before = client.heard / self.work.message;
                    client.heard += n as u64;
                    self.answered += client.heard / self.work.message - before;
                    if n < self.input.0.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{} broke a connection: {error}", self.address),
            }
        }
    }

    /// Sends what the pace allows. Who has heard its last answer says so and waits for the end.
    fn say(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(stream) = client.stream.as_mut() else {
            return;
        };
        if self.open {
            let answered = client.heard / self.work.message;
            client.goal = self.pace.goal(answered) * self.work.message;
        }
        while client.sent < client.goal {
            let piece = PIECE.min((client.goal - client.sent) as usize);
            match stream.write(&self.work.stream(index, client.sent)[..piece]) {
                Ok(n) => client.sent += n as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{} broke a connection: {error}", self.address),
            }
        }
        let last = self.pace.leaves_after.map(|last| last * self.work.message);
        if last == Some(client.heard) && !client.leaving {
            client.leaving = true;
            stream
                .shutdown(Shutdown::Write)
                .unwrap_or_else(|error| panic!("{} broke a connection: {error}", self.address));
        }
    }
}

fn own_cpu_now() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every process has this clock").into()
}

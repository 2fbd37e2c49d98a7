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
use socket2::{Domain, Socket, Type};

use super::contestant::Contestant;
use super::pace::Pace;
use super::tally::Tally;
use super::work::{PIECE, Work};

/// A server that is silent for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Addresses from which clients call, in turn. A connection that was closed keeps its port busy for
/// a minute; each address has 28,000 of them.
const CALLERS: usize = 64;

/// All clients of one contestant.
pub struct Crowd {
    poll: Poll,
    address: SocketAddr,
    clients: Vec<Client>,
    work: Work,
    pace: Pace,
    input: Vec<u8>,
    /// Clients with answers still to come.
    busy: usize,
    /// Answers of this slice.
    answered: u64,
    /// Whether new messages are sent: the slice has not yet ended.
    open: bool,
    /// Connections opened so far.
    calls: usize,
}

#[derive(Default)]
struct Client {
    stream: Option<TcpStream>,
    /// Bytes of its connection that it will send and hear before it rests.
    goal: u64,
    sent: u64,
    heard: u64,
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
            input: vec![0; PIECE],
            busy: 0,
            answered: 0,
            open: false,
            calls: 0,
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
        let own_cpu = own_cpu();
        let start = Instant::now();
        for index in 0..self.clients.len() {
            self.turn(index);
        }
        self.finish(start + length);
        Tally {
            messages: self.answered,
            elapsed: start.elapsed(),
            server: contestant.cpu() - cpu,
            driver: self::own_cpu() - own_cpu,
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
        let rested = self.clients[index].rests();
        if self.clients[index].stream.is_some() {
            self.hear(index);
        }
        if self.clients[index].stream.is_none() && self.open {
            self.call(index);
        }
        self.say(index);
        match (rested, self.clients[index].rests()) {
            (true, false) => self.busy += 1,
            (false, true) => self.busy -= 1,
            _ => {}
        }
    }

    fn call(&mut self, index: usize) {
        let mut stream = caller(self.address, self.calls).expect("a connection can be had");
        self.calls += 1;
        self.poll
            .registry()
            .register(
                &mut stream,
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )
            .expect("epoll takes it");
        self.clients[index] = Client {
            stream: Some(stream),
            ..Client::default()
        };
    }

    /// Reads until the socket is empty, and compares.
    fn hear(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let stream = client.stream.as_mut().expect("it is connected");
        while client.heard < client.goal || self.pace.leaves_after.is_some() {
            match stream.read(&mut self.input) {
                Ok(0) => {
                    assert!(client.heard == client.goal, "{} hung up", self.address);
                    client.stream = None;
                    return;
                }
                Ok(n) => {
                    let right = &self.work.stream(index, client.heard)[..n];
                    assert!(
                        self.input[..n] == *right && client.heard + n as u64 <= client.sent,
                        "{} did not answer what it was sent",
                        self.address
                    );
                    let before = client.heard / self.work.message;
                    client.heard += n as u64;
                    self.answered += client.heard / self.work.message - before;
                    if n < self.input.len() {
                        return;
                    }
                }
                Err(error) if is_pending(&error) => return,
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
        let fresh = client.goal == 0;
        if self.open || fresh {
            let answered = client.heard / self.work.message;
            client.goal = self.pace.goal(answered) * self.work.message;
        }
        while client.sent < client.goal {
            let piece = PIECE.min((client.goal - client.sent) as usize);
            match stream.write(&self.work.stream(index, client.sent)[..piece]) {
                Ok(n) => client.sent += n as u64,
                Err(error) if is_pending(&error) => return,
                Err(error) => panic!("{} broke a connection: {error}", self.address),
            }
        }
        let last = self.pace.leaves_after.map(|last| last * self.work.message);
        if last == Some(client.heard) {
            stream
                .shutdown(Shutdown::Write)
                .unwrap_or_else(|error| panic!("{} broke a connection: {error}", self.address));
        }
    }
}

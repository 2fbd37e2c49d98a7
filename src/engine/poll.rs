//! One thread, one loop, all clients: readiness instead of blocking.
//!
//! The thread sleeps in one place only, `poll`. It wakes with a list of sockets that have news,
//! notes the news, and then gives each of those connections a turn. Connections live in a slab.
//!
//! 1. Edges are news told once: note them, act in turns. Register once for both directions; never
//!    reregister.
//! 2. One turn is one read and one write at most (a second write only where a session both repeats
//!    and writes, or a file follows), so that a fast sender cannot starve the others.
//! 3. A short read has emptied the socket, *unless* an end or an urgent mark hides behind it. A
//!    full read queues another turn.
//! 4. One queue of turns without duplicates; `poll` with timeout zero while it is not empty.
//! 5. A token is slot and serial: late news for a former tenant reaches nobody.
//! 6. All closing happens in one place.
//! 7. Datagrams have no connections and so no turns: some batches of them, then everybody's turns.
//! 8. Time is read when a pass begins and when it ends, not per message, and one timer wakes the loop
//!    for whatever is due next.
//! 9. Mail is sent when there is no more news, or after some passes: one write for many letters.

mod clock;
mod connection;
mod datagrams;
mod ending;
mod mail;
mod readiness;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::{Clock, Queue};
use connection::{Connection, State};
use datagrams::Datagrams;
use log::debug;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use readiness::Readiness;
use slab::Slab;
use watch::{Pass, Step, Watch};

use super::admission::Admission;
use super::buffer::Buffer;
use super::counters::Counters;
use super::guard::Guard;
use super::journal::{End, Journal};
use super::{
    ACCEPT_PAUSE, AcceptFailure, Endpoint, Engine, Limits, News, Stop, accept_failure,
    datagram_addresses, explain, place, services,
};
use crate::session::{ConnectionId, Files, Mail, Output, Service};

/// What one `read` takes at most. At 64 KiB and less, a client that sends 64 KiB messages costs a
/// second, empty read for each; above 256 KiB the buffer falls out of the cache.
const READ_BYTES: usize = 128 * 1024;

/// Sockets whose news one `poll` can bring. Those left over are told by the next one.
const EVENTS: usize = 1024;

/// Callers accepted from one listener before the connected clients get their turns again.
const ACCEPT_BATCH: usize = 128;

/// What it is called where that took long: whoever is told something next is not to blame.
const ACCEPTING: &str = "to accept callers";

/// Passes for which mail is held while there is news: others who talk at the same time add to it, and
/// a write for several lines costs hardly more than one for each.
const MOST_HELD: u32 = 4;

/// Serves `endpoints` until `stop` is requested and every connection has ended, or has been ended
/// when the grace period was over. Fails when epoll or the registration of a listener does.
pub fn run(endpoints: Vec<Endpoint>, limits: Limits, stop: Arc<Stop>) -> io::Result<()> {
    let mut server = Server::new(endpoints, limits)?;
    stop.show(server.counters.clone());
    server.poll.registry().register(
        &mut SourceFd(&stop.reader().as_fd().as_raw_fd()),
        STOP,
        Interest::READABLE,
    )?;
    let served = server.serve(&stop);
    server.journal.tell_unlisted();
    served
}

/// A listener and what is known of the queue behind it.
struct Listener {
    socket: TcpListener,
    /// The place of its service.
    service: usize,
    /// Callers may be waiting: the news of them was told, and will not be told again.
    waiting: bool,
}

/// A token has room for slot and serial.
const _: () = assert!(usize::BITS == 64);

const STOP: Token = Token(u32::MAX as usize);
const CLOCK: Token = Token(u32::MAX as usize - 1);

/// Tokens from here on are sockets for datagrams, by index.
const DATAGRAMS: usize = 1 << 16;

/// Serial 0 is no connection: such tokens are listeners by index, sockets for datagrams, [`STOP`]
/// and [`CLOCK`].
fn token(id: ConnectionId) -> Token {
    Token((id.serial() as usize) << 32 | id.slot())
}

fn connection_id(Token(token): Token) -> ConnectionId {
    ConnectionId::new(token as u32, (token >> 32) as u32)
}

struct Server {
    poll: Poll,
    listeners: Vec<Listener>,
    first_listener: usize,
    datagrams: Vec<Datagrams>,
    services: Vec<Arc<dyn Service>>,
    admission: Admission,
    connections: Slab<Connection>,
    /// How many of them only watch.
    watchers: usize,
    serial: u32,
    turns: VecDeque<ConnectionId>,
    /// What every read reads into: one buffer serves all, for nothing stays in it.
    input: Buffer,
    /// What every session writes to. What the kernel does not take moves to the backlog.
    output: Output,
    /// Those that wait for their peer's end, until when.
    lingering: Queue,
    /// Those whose sessions want to be woken.
    alarms: Queue,
    /// Mail that was posted and not handed on yet.
    letters: VecDeque<Mail>,
    /// Who was handed mail that was not sent yet.
    mailed: Vec<ConnectionId>,
    /// Passes since mail was sent.
    held: u32,
    /// Why sessions have ended their conversations, until the connections end.
    failures: HashMap<ConnectionId, End>,
    limits: Limits,
    counters: Arc<Counters>,
    journal: Journal,
    watch: Watch,
    start: Instant,
    /// When the pass began. Not read per message.
    now: Instant,
    clock: Clock,
    /// Accepting rests until then.
    rest: Option<Instant>,
    /// Set while the server is stopping.
    deadline: Option<Instant>,
}

impl Server {
    fn new(endpoints: Vec<Endpoint>, limits: Limits) -> io::Result<Server> {
        let poll = Poll::new()?;
        let mut listeners = Vec::new();
        let mut datagrams = Vec::new();
        let own = datagram_addresses(&endpoints)?;
        let services = services(&endpoints);
        let counters = Arc::new(Counters::new(Engine::Poll, &services, &endpoints, &limits));
        if services.len() > 1 << u8::BITS {
            return Err(io::Error::other("a loop has 256 services at most"));
        }
        for endpoint in endpoints {
            match endpoint {
                Endpoint::Stream { listener, service } => {
                    listener.set_nonblocking(true)?;
                    let mut socket = TcpListener::from_std(listener);
                    let token = Token(listeners.len());
                    poll.registry().register(&mut socket, token, Interest::READABLE)?;
                    let service = place(&services, &service);
                    listeners.push(Listener { socket, service, waiting: false });
                }
                Endpoint::Datagram { socket, responder } => {
                    let token = Token(DATAGRAMS + datagrams.len());
                    let (registry, local) = (poll.registry(), socket.local_addr()?);
                    let (_, counters) = &counters.sockets[datagrams.len()];
                    let guard = Guard::new(local, own.clone(), &limits, counters.clone());
                    datagrams.push(Datagrams::new(socket, responder, guard, registry, token)?);
                }
            }
        }
        let clock = Clock::new(limits.idle_timeout, poll.registry(), CLOCK)?;
        let now = Instant::now();
        Ok(Server {
            poll,
            listeners,
            first_listener: 0,
            datagrams,
            services,
            admission: Admission::new(limits.access.clone(), limits.clients_per_address),
            connections: Slab::new(),
            watchers: 0,
            serial: 0,
            turns: VecDeque::new(),
            input: Buffer::new(limits.read_bytes(READ_BYTES)),
            output: Output::new(limits.chunk()).with_files(Files::SendAtOnce),
            lingering: Queue::default(),
            alarms: Queue::default(),
            letters: VecDeque::new(),
            mailed: Vec::new(),
            held: 0,
            failures: HashMap::new(),
            watch: Watch::new(limits.slow_pass),
            limits,
            journal: Journal::new(counters.clone()),
            counters,
            start: now,
            now,
            clock,
            rest: None,
            deadline: None,
        })
    }

    fn serve(&mut self, stop: &Stop) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while self.deadline.is_none() || !self.connections.is_empty() {
            let busy = self.is_busy();
            if !busy {
                explain!("nothing left to do: asleep in epoll_wait until there is news");
                let due = self.due();
                self.clock.wake_at(due, self.now);
            }
            // Asleep here, and nowhere else.
            match self.poll.poll(&mut events, busy.then_some(Duration::ZERO)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = Instant::now();
            self.output.set_now(self.now);
            self.watch.begin();
            for event in &events {
                self.note(event, stop);
            }
            if stop.log_if_asked() {
                self.watch.end_step(Step::Do("to log what was counted"));
            }
            if stop.requested() && self.deadline.is_none() {
                self.drain();
            }
            self.expire();
            self.accept();
            self.answer_datagrams();
            let turns = self.turns.len();
            for _ in 0..turns {
                if let Some(id) = self.turns.pop_front() {
                    self.turn(id);
                    // Of one that has left.
                    self.deliver_all();
                }
            }
            // After the turns: even without any grace, what has arrived is answered once.
            if self.deadline.is_some_and(|deadline| deadline <= self.now) {
                for id in self.ids(|_| true) {
                    self.close(id, End::Grace);
                }
            }
            let quiet = events.is_empty() && self.turns.is_empty();
            self.held = if quiet { MOST_HELD } else { self.held + 1 };
            self.deliver_all();
            if self.held >= MOST_HELD || self.deadline.is_some() {
                self.held = 0;
                self.send_mail();
            }
            self.look_back(events.iter().count(), turns);
        }
        Ok(())
    }

    /// After a pass: how long it took, and with what where that was too long.
    fn look_back(&mut self, events: usize, turns: usize) {
        let pass = Pass { began: self.now, took: self.now.elapsed(), events, turns };
        self.counters.passes.count(pass.took);
        let whose = |id| match tenant(&mut self.connections, id) {
            Some(Connection { peer, service, .. }) => {
                format!("{id} {peer} ({})", self.services[usize::from(*service)].name())
            }
            None => format!("{id} (which has left)"),
        };
        if self.watch.end(&pass, whose) {
            self.counters.slow_passes.count(1);
        }
    }

    /// Whether something can be done without news.
    fn is_busy(&self) -> bool {
        let seated = |listener: &Listener| listener.waiting && self.has_seat(listener.service);
        let accepting = self.rest.is_none() && self.listeners.iter().any(seated);
        accepting
            || self.datagrams.iter().any(Datagrams::may_go_on)
            || !self.turns.is_empty()
            || !self.mailed.is_empty()
    }

    /// When something is to be done though there is no news; ticks not counted.
    fn due(&mut self) -> Option<Instant> {
        let rest = self.datagrams.iter().filter_map(|datagrams| datagrams.rest).min();
        let queues = [self.lingering.next(), self.alarms.next()];
        queues.into_iter().chain([self.rest, rest, self.deadline]).flatten().min()
    }

    /// Takes down what epoll tells once.
    fn note(&mut self, event: &Event, stop: &Stop) {
        let id = connection_id(event.token());
        if id.serial() == 0 {
            if event.token() == CLOCK {
                self.clock.rang();
            }
            if event.token() == STOP {
                stop.hear();
            }
            if let Some(listener) = self.listeners.get_mut(id.slot()) {
                explain!("epoll_wait: callers are waiting at listener {}", id.slot());
                listener.waiting = true;
            }
            let socket = id.slot().checked_sub(DATAGRAMS);
            if let Some(datagrams) = socket.and_then(|index| self.datagrams.get_mut(index)) {
                explain!("epoll_wait: datagrams have come");
                datagrams.waiting = true;
            }
            return;
        }
        let Some(connection) = tenant(&mut self.connections, id) else {
            explain!("epoll_wait: late news for {id}, which has left: nobody is told");
            return;
        };
        explain!("epoll_wait: {id} {}", Readiness(event));
        let broken = event.is_error() || event.is_write_closed();
        connection.hidden |= broken || event.is_read_closed() || event.is_priority();
        connection.readable |= broken || (event.is_readable() && !connection.eof);
        // Only writable is no news for those who have nothing to send.
        let sending = connection.backlog.is_some() || connection.state == State::Close;
        if connection.readable || sending {
            self.queue(id);
        }
    }

    /// Accepts callers, a batch from each listener, while there are seats for them. The others wait
    /// in the kernel's queue.
    fn accept(&mut self) {
        // Whoever was first last time is not first again, or it would get every free seat.
        self.first_listener = self.first_listener.wrapping_add(1);
        for turn in 0..self.listeners.len() {
            let index = self.first_listener.wrapping_add(turn) % self.listeners.len();
            for _ in 0..ACCEPT_BATCH {
                let Listener { waiting, service, .. } = self.listeners[index];
                if !waiting || self.rest.is_some() || !self.has_seat(service) {
                    break;
                }
                match self.listeners[index].socket.accept() {
                    Ok((stream, peer)) => self.seat(stream, peer, service),
                    Err(error) => match accept_failure(&error) {
                        AcceptFailure::Caller => debug!("accept: {error}"),
                        AcceptFailure::Nobody => self.listeners[index].waiting = false,
                        AcceptFailure::Exhausted => {
                            self.journal.shortage(&format_args!("cannot accept: {error}"));
                            self.rest = Some(self.now + ACCEPT_PAUSE);
                        }
                    },
                }
                self.watch.end_step(Step::Do(ACCEPTING));
            }
        }
    }

    /// Whether there is a seat for a caller of this service. Those who watch have their own.
    fn has_seat(&self, service: usize) -> bool {
        match self.services[service].is_for_watchers() {
            true => self.watchers < Limits::WATCHERS,
            false => self.connections.len() - self.watchers < self.limits.max_clients,
        }
    }

    /// Gives a caller a slot in the slab, a session, and its place in epoll's set; or lets him go.
    fn seat(&mut self, mut stream: TcpStream, peer: SocketAddr, place: usize) {
        let service = &self.services[place];
        let watches = service.is_for_watchers();
        if !watches && let Err(why) = self.admission.admit(peer.ip()) {
            explain!("accepted {peer}, who is refused: {why}");
            why.tell(&stream, &**service);
            self.journal.turned_away(peer, why, place);
            return;
        }
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        let slot = self.connections.vacant_entry();
        let id = ConnectionId::new(slot.key() as u32, self.serial);
        let both = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        if let Err(error) = self.poll.registry().register(&mut stream, token(id), both) {
            self.journal.shortage(&format_args!("cannot watch {peer}: {error}; it is left"));
            self.rest = Some(self.now + ACCEPT_PAUSE);
            if !watches {
                self.admission.leave(peer.ip());
            }
            return;
        }
        explain!("accepted {peer} as {id} into slot {}; registered once", id.slot());
        self.journal.arrived(id, peer, place);
        slot.insert(Connection {
            stream,
            serial: self.serial,
            session: service.accept(peer, id),
            backlog: None,
            peer,
            received: 0,
            sent: 0,
            opened: (self.now - self.start).as_millis() as u64,
            progress: self.clock.tick(),
            state: State::Read,
            readable: false,
            hidden: false,
            eof: false,
            service: place as u8,
            last_reads: u8::MAX,
            queued: false,
        });
        self.watchers += usize::from(watches);
        if !watches && !self.has_seat(place) {
            explain!("that was the last seat: further callers wait in the kernel's queue");
            self.counters.full.count(1);
        }
        self.watch.end_step(Step::Do(ACCEPTING));
        self.tell(id, News::Open);
    }

    fn queue(&mut self, id: ConnectionId) {
        if let Some(connection) = tenant(&mut self.connections, id)
            && !connection.queued
        {
            connection.queued = true;
            self.turns.push_back(id);
        }
    }

    /// One turn: send what waits, or let the session go on, or read once.
    fn turn(&mut self, id: ConnectionId) {
        let Some(connection) = tenant(&mut self.connections, id) else {
            return;
        };
        connection.queued = false;
        self.counters.services[usize::from(connection.service)].turns.count(1);
        let drains = self.deadline.is_some() && connection.last_reads > 0;
        if connection.is_blocked() {
            let flushed = connection.flush(self.clock.tick(), &self.counters);
            self.watch.end_step(Step::Flush(id));
            match flushed {
                Ok(()) => self.settle(id),
                Err(error) => self.close(id, End::Broken(error)),
            }
            return;
        }
        match connection.state {
            State::Read if connection.readable && !(drains && connection.last_reads == 1) => {
                self.receive(id);
            }
            State::Linger if connection.readable => self.receive(id),
            State::Read | State::Write | State::Wait if drains => {
                connection.last_reads = 0;
                explain!("turn: {id} has nothing more to read; its session is told to finish");
                self.tell(id, News::Drain);
            }
            State::Write => self.tell(id, News::Produce),
            State::Read | State::Wait | State::Close | State::Linger => self.settle(id),
        }
    }

    fn receive(&mut self, id: ConnectionId) {
        let Some(connection) = tenant(&mut self.connections, id) else {
            return;
        };
        let lingering = connection.state == State::Linger;
        if self.deadline.is_some() {
            connection.last_reads = connection.last_reads.saturating_sub(1);
        }
        match connection.stream.read(self.input.bytes()) {
            // A second end is epoll's news of a hang-up: nobody is there.
            Ok(0) if lingering || connection.eof => self.close(id, End::Finished),
            Ok(0) => {
                explain!("turn: {id} read 0 bytes: its peer has closed its sending half (FIN)");
                connection.eof = true;
                connection.readable = false;
                self.tell(id, News::Eof);
            }
            Ok(n) => {
                connection.received += n as u64;
                self.counters.services[usize::from(connection.service)].received.count(n as u64);
                connection.progress = self.clock.tick();
                connection.readable = connection.hidden || n == self.input.bytes().len();
                explain!(
                    "turn: {id} read {n} bytes: {}",
                    match (connection.readable, connection.hidden) {
                        (false, _) => "fewer than asked for, so the socket is empty",
                        (true, false) => "as many as asked for, so it gets another turn",
                        (true, true) => "something may hide behind them, so it gets another turn",
                    }
                );
                if lingering {
                    self.settle(id);
                } else {
                    let mut input = mem::take(&mut self.input);
                    self.tell(id, News::Receive(&input.bytes()[..n]));
                    self.input = input;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                explain!("turn: {id} has nothing more to read");
                connection.readable = false;
                connection.hidden = false;
                self.settle(id);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.settle(id),
            Err(error) => self.close(id, End::Broken(error)),
        }
    }

    /// Tells the session what happened, sends what it says, hands on its mail.
    fn tell(&mut self, id: ConnectionId, news: News) {
        let Some(connection) = tenant(&mut self.connections, id) else {
            return;
        };
        self.output.clear();
        let want = news.tell(&mut *connection.session, &mut self.output);
        connection.state = want.into();
        let excerpt = self.output.take_excerpt();
        let (repeated, written) = (self.output.repeated(news.input()), self.output.bytes());
        explain!("turn: {id} says {} bytes and wants {want:?}", repeated.len() + written.len());
        let (tick, counters) = (self.clock.tick(), &*self.counters);
        let sent = connection.send(repeated, tick, counters).and_then(|()| match excerpt {
            None => connection.send(written, tick, counters),
            Some(excerpt) => connection.send_with(written, excerpt, tick, counters),
        });
        self.watch.end_step(Step::Tell(id, news.name()));
        if connection.backlog.is_some() {
            explain!(
                "turn: {} bytes wait until {id} reads; nothing is read from it meanwhile",
                connection.waiting()
            );
        }
        self.hear_wishes(id);
        // Its own socket may be broken; its mail was posted all the same.
        self.output.move_mail(&mut self.letters);
        self.deliver_all();
        match sent {
            Ok(()) => self.settle(id),
            Err(error) => self.close(id, End::Broken(error)),
        }
    }

    /// What a session has asked of the loop besides: to be woken, to say why it ends.
    fn hear_wishes(&mut self, id: ConnectionId) {
        if let Some(at) = self.output.take_wake() {
            self.alarms.set(id, at);
        }
        if let Some(why) = self.output.take_failure() {
            self.fail(id, End::Failed(why));
        }
    }

    /// After anything was done: queues the next turn, or ends what is finished.
    fn settle(&mut self, id: ConnectionId) {
        let stopping = self.deadline.is_some();
        let Some(connection) = tenant(&mut self.connections, id) else {
            return;
        };
        if connection.backlog.is_some() {
            // Nothing is read while it lasts: this `if` is the backpressure. Epoll tells when the
            // peer has made room.
            return;
        }
        let drains = stopping && connection.last_reads > 0;
        let takes_mail = || self.services[usize::from(connection.service)].takes_mail();
        match connection.state {
            State::Read if connection.eof && !takes_mail() => self.finish(id),
            State::Read if connection.readable || drains => self.queue(id),
            State::Wait if drains => self.queue(id),
            State::Linger if connection.readable => self.queue(id),
            State::Write => self.queue(id),
            State::Read | State::Wait | State::Linger => {}
            State::Close => self.finish(id),
        }
    }
}

/// The connection `id`, if it is still the tenant of its slot.
fn tenant(connections: &mut Slab<Connection>, id: ConnectionId) -> Option<&mut Connection> {
    connections.get_mut(id.slot()).filter(|connection| connection.serial == id.serial())
}

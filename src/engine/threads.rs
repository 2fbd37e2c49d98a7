//! One blocking thread per client: each conversation reads like a conversation.
//!
//! Each thread sleeps in whatever call it makes, and the kernel wakes it when that call can go on.
//! A thread can sleep in one place only, and that shapes everything here:
//!
//! 1. An acceptor per listener sleeps in `accept`; a client's thread sleeps in `read`. Datagrams
//!    have no connections: their socket has a receiver, asleep until one comes from anybody.
//! 2. A client's thread sends all of an answer before it reads again. When the peer does not read,
//!    it sleeps in `write`, and that sleep is the backpressure.
//! 3. A session that takes mail has a second thread, asleep on its mailbox. Both share the session
//!    behind a lock, which is private to the connection, and released before a full mailbox of
//!    somebody else is waited for. What was posted is heard before what came after it.
//! 4. The seat is taken before the thread is spawned, and `spawn` can fail.
//! 5. Only its socket or a signal wakes a thread asleep in `read`. Stopping sends SIGURG, which
//!    means nothing to anybody else, again and again until each thread has noticed: one that was
//!    about to fall asleep misses the first.
//! 6. All leaving happens in one place.
//! 7. A sleep has an end: the idle time, or when the session wants to be woken.

mod connection;
mod ending;
mod mail;
mod mailbox;
mod patience;
mod receiver;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use connection::{Connection, NEVER, Talk};
use log::debug;
use mailbox::Mailbox;
use nix::sys::pthread::pthread_self;
use nix::sys::signal::Signal::SIGURG;
use nix::sys::socket::{MsgFlags, recv};
use patience::{Patience, SHORTEST};
use signal_hook::{flag, low_level};
use slab::Slab;

use super::admission::Admission;
use super::buffer::Buffer;
use super::counters::Counters;
use super::guard::Guard;
use super::journal::{End, Journal};
use super::{
    ACCEPT_PAUSE, AcceptFailure, Endpoint, Engine, Limits, News, QUEUE, Stop, accept_failure,
    datagram_addresses, explain, place, services,
};
use crate::file::{Excerpt, before_more};
use crate::session::{ConnectionId, Files, Mail, Output, Service, Want};

/// What the first read takes. An idle client pins one page of it.
const READ_FIRST: usize = 4096;

/// What a read of a busy client takes: the buffer grows to this while reads come back full.
const READ_MOST: usize = 64 * 1024;

/// Reads a client still gets once the server is stopping, though it never stops sending: as many as
/// empty the largest receive buffer.
const LAST_READS: u32 = 512;

/// How often threads that have not noticed the stop are woken again.
const WAKE_AGAIN: Duration = Duration::from_millis(25);

/// Sleeps in the idle time, which a peer that takes nothing may therefore exceed by two.
const NAPS: u32 = 8;

/// What "for ever" is to setsockopt(2). A sleep without any timeout would be resumed after a
/// signal instead of returning EINTR (signal(7)), and the stop could not wake it.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// Serves `endpoints` until `stop` is requested and every connection has ended, or has been ended
/// when the grace period was over. Fails when no thread can be had for a listener.
pub fn run(endpoints: Vec<Endpoint>, limits: Limits, stop: Arc<Stop>) -> io::Result<()> {
    let own = datagram_addresses(&endpoints)?;
    let services = services(&endpoints);
    let counters = Arc::new(Counters::new(Engine::Threads, &services, &endpoints, &limits));
    stop.show(counters.clone());
    let server = Arc::new(Server {
        idle: limits.idle_timeout.unwrap_or(FOR_EVER),
        services,
        journal: Journal::new(counters.clone()),
        table: Mutex::new(Table {
            connections: Slab::new(),
            admission: Admission::new(limits.access.clone(), limits.clients_per_address),
            seats: 0,
            watchers: 0,
            serial: 0,
        }),
        limits,
        stop,
        counters,
        left: Condvar::new(),
    });
    let mut sockets = server.counters.sockets.iter();
    let noticed = flag::register(SIGURG as i32, Arc::default())?;
    let mut doors = Vec::new();
    let opened = endpoints.into_iter().try_for_each(|endpoint| {
        doors.push(match endpoint {
            Endpoint::Stream { listener, service } => {
                server.listen(listener, place(&server.services, &service))?
            }
            Endpoint::Datagram { socket, responder } => {
                let local = socket.local_addr()?;
                let (_, counters) = sockets.next().expect("there are counters for each socket");
                let guard = Guard::new(local, own.clone(), &server.limits, counters.clone());
                server.receive(socket, responder, guard)?
            }
        });
        Ok(())
    });
    // Asleep here, while the other threads serve.
    let served = opened.and_then(|()| server.stop.wait());
    server.drain(doors);
    // Not when the journal is dropped: a thread may still hold it that has nothing to say any more.
    server.journal.tell_unlisted();
    low_level::unregister(noticed);
    served
}

/// A socket of an endpoint, and the threads that sleep there until somebody comes.
struct Door {
    socket: Socket,
    threads: Vec<JoinHandle<()>>,
}

enum Socket {
    Stream(Arc<TcpListener>),
    Datagram(Arc<UdpSocket>),
}

struct Server {
    limits: Limits,
    idle: Duration,
    stop: Arc<Stop>,
    services: Vec<Arc<dyn Service>>,
    counters: Arc<Counters>,
    journal: Journal,
    table: Mutex<Table>,
    /// Somebody has left, or everybody should look whether it is time to.
    left: Condvar,
}

struct Table {
    connections: Slab<Arc<Connection>>,
    admission: Admission,
    /// Seats taken. One is free again when its socket is closed, a moment after the table has
    /// forgotten its tenant.
    seats: usize,
    /// How many of them are those of callers who only watch.
    watchers: usize,
    serial: u32,
}

impl Server {
    fn listen(self: &Arc<Server>, listener: TcpListener, service: usize) -> io::Result<Door> {
        let listener = Arc::new(listener);
        let (server, shared) = (self.clone(), listener.clone());
        let acceptor = thread::Builder::new()
            .name("acceptor".into())
            .spawn(move || server.accept(&shared, service))?;
        Ok(Door { socket: Socket::Stream(listener), threads: vec![acceptor] })
    }

    /// Accepts callers while there are seats for them. The others wait in the kernel's queue.
    fn accept(self: &Arc<Server>, listener: &TcpListener, service: usize) {
        let mut queue = QUEUE;
        while queue > 0 {
            drop(self.wait_for_seat(self.table(), service));
            if self.stop.requested() {
                // Who is in the queue now was there before the stop, or nearly so.
                queue -= 1;
            }
            explain!("acceptor: asleep in accept until somebody calls");
            match listener.accept() {
                Ok((stream, address)) => self.seat(stream, address, service),
                Err(error) => match accept_failure(&error) {
                    AcceptFailure::Caller => debug!("accept: {error}"),
                    // Only when stopping does the listener not block: its queue is empty.
                    AcceptFailure::Nobody => return,
                    AcceptFailure::Exhausted if self.stop.requested() => return,
                    AcceptFailure::Exhausted => {
                        self.journal.shortage(&format_args!("cannot accept: {error}"));
                        thread::sleep(ACCEPT_PAUSE);
                    }
                },
            }
        }
    }

    /// Whether there is a seat for a caller of this service. Those who watch have their own.
    fn has_seat(&self, table: &Table, service: usize) -> bool {
        match self.services[service].is_for_watchers() {
            true => table.watchers < Limits::WATCHERS,
            false => table.seats - table.watchers < self.limits.max_clients,
        }
    }

    /// Sleeps until a seat is free, or the server is stopping.
    fn wait_for_seat<'a>(
        &'a self,
        table: MutexGuard<'a, Table>,
        service: usize,
    ) -> MutexGuard<'a, Table> {
        let full = |table: &mut Table| !self.has_seat(table, service) && !self.stop.requested();
        self.left.wait_while(table, full).unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a caller a slot in the slab, a session, and a thread; or lets him go.
    fn seat(self: &Arc<Server>, stream: TcpStream, address: SocketAddr, place: usize) {
        let service = &self.services[place];
        let watches = service.is_for_watchers();
        let mut table = self.table();
        if !watches && let Err(why) = table.admission.admit(address.ip()) {
            drop(table);
            explain!("acceptor: {address} is refused: {why}");
            why.tell(&stream, &**service);
            self.journal.turned_away(address, why, place);
            return;
        }
        // Another acceptor may have taken the last seat since: wait with the caller in hand.
        table = self.wait_for_seat(table, place);
        if !self.has_seat(&table, place) {
            if !watches {
                table.admission.leave(address.ip());
            }
            return;
        }
        table.seats += 1;
        table.watchers += usize::from(watches);
        if !watches && !self.has_seat(&table, place) {
            explain!("that was the last seat: further callers wait in the kernel's queue");
            self.counters.full.add(1);
        }
        table.serial = table.serial.checked_add(1).unwrap_or(1);
        let serial = table.serial;
        let slot = table.connections.vacant_entry();
        let id = ConnectionId::new(slot.key() as u32, serial);
        let connection = Arc::new(Connection {
            id,
            peer: address,
            stream,
            opened: Instant::now(),
            talk: Mutex::new(Talk {
                session: service.accept(address, id),
                output: Output::new(self.limits.chunk()).with_files(Files::Send),
                want: Want::Read,
                drained: false,
                overflowed: false,
            }),
            service: place,
            mailbox: service.takes_mail().then(|| Mailbox::new(self.counters.clone())),
            sent: AtomicU64::new(0),
            thread: OnceLock::new(),
            noticed: AtomicBool::new(false),
            wake_at: AtomicU64::new(NEVER),
            over: AtomicBool::new(false),
            cut: OnceLock::new(),
            given_up: OnceLock::new(),
        });
        slot.insert(connection.clone());
        drop(table);
        explain!("acceptor: {address} is {id}; a thread is spawned for it");
        self.journal.arrived(id, address, place);
        let (server, tenant) = (self.clone(), connection.clone());
        if let Err(error) = self.spawn(format!("client {id}"), move || server.serve(tenant)) {
            self.close(connection, 0, End::Broken(error));
        }
    }

    /// A thread for `body`, asleep until one can be had. Fails when the server is stopping.
    fn spawn<F>(&self, name: String, body: F) -> io::Result<JoinHandle<()>>
    where
        F: FnOnce() + Clone + Send + 'static,
    {
        loop {
            let thread = thread::Builder::new().name(name.clone());
            match thread.stack_size(self.limits.stack_bytes).spawn(body.clone()) {
                Err(error) if !self.stop.requested() => {
                    self.journal.shortage(&format_args!("cannot spawn a thread: {error}"));
                    thread::sleep(ACCEPT_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// A client's thread, from its first word to its last.
    fn serve(self: Arc<Server>, connection: Arc<Connection>) {
        let _ = connection.thread.set(pthread_self());
        let mut received = 0;
        let end = self
            .with_mail_thread(&connection, || self.converse(&connection, &mut received))
            .unwrap_or_else(|end| end);
        self.close(connection, received, end);
    }

    /// Reads and answers until the session is done.
    fn converse(&self, connection: &Connection, received: &mut u64) -> Result<End, End> {
        connection.stream.set_write_timeout(Some(self.nap()))?;
        let most = self.limits.read_bytes(READ_MOST);
        let mut input = Buffer::new(most.min(READ_FIRST));
        let mut eof = false;
        let mut last_reads = LAST_READS;
        let mut patience = Patience::new(self.idle);
        let mut want = self.tell(connection, News::Open)?;
        while want != Want::Close {
            if connection.has_overflowed() {
                explain!(
                    "{}: it did not read its mail in time; its session is told",
                    connection.id
                );
                want = self.tell(connection, News::Overflow)?;
                continue;
            }
            if connection.is_due() {
                explain!("{}: its session asked to be woken now, and is told", connection.id);
                let sent = connection.sent.load(Ordering::Relaxed);
                want = self.tell(connection, News::Wake)?;
                if sent != connection.sent.load(Ordering::Relaxed) {
                    patience.renew();
                }
                continue;
            }
            let stopping = self.stop.requested();
            if stopping {
                connection.noticed.store(true, Ordering::Relaxed);
            }
            let drains = stopping && !connection.is_drained();
            let sent = connection.sent.load(Ordering::Relaxed);
            let mut slept = Duration::ZERO;
            let read = match &connection.mailbox {
                None if eof && want == Want::Read => return Ok(End::Finished),
                // What has arrived is served; that there is no more is the sign to finish.
                _ if drains && (eof || last_reads == 0 || want == Want::Wait) => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                _ if want == Want::Wait => {
                    explain!("{}: asleep until its session is to be woken", connection.id);
                    slept = patience.left(connection.wake_time());
                    connection.sleep(slept).and(Err(io::ErrorKind::WouldBlock.into()))
                }
                _ if drains => {
                    last_reads -= 1;
                    recv(connection.stream.as_raw_fd(), input.bytes(), MsgFlags::MSG_DONTWAIT)
                        .map_err(io::Error::from)
                }
                Some(mailbox) if eof => {
                    slept = patience.left(connection.wake_time());
                    mailbox.wait_for_close(slept);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                _ => {
                    explain!(
                        "{}: asleep in read until its peer says something or leaves",
                        connection.id
                    );
                    slept = patience.set(&connection.stream, connection.wake_time())?;
                    // Asleep here, and this is the thread's place for most of its life.
                    (&connection.stream).read(input.bytes())
                }
            };
            want = match read {
                Ok(0) if connection.is_cut_off() => return Ok(End::Finished),
                Ok(0) => {
                    explain!(
                        "{}: read 0 bytes: its peer has closed its sending half (FIN)",
                        connection.id
                    );
                    eof = true;
                    self.tell(connection, News::Eof)?
                }
                Ok(n) => {
                    explain!("{}: awake, read {n} bytes; its session is told", connection.id);
                    self.count_received(connection, received, n);
                    patience.renew();
                    let want = self.tell(connection, News::Receive(&input.bytes()[..n]))?;
                    if n == input.bytes().len() && n < most {
                        input = Buffer::new(most);
                    }
                    want
                }
                // A signal: the server is stopping, or the other thread has heard the last word.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => connection.talk().want,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let disturbed = self.stop.requested() != stopping;
                    let still = connection.talk().want;
                    // Mail that went out meanwhile is progress, too.
                    let moved = sent != connection.sent.load(Ordering::Relaxed);
                    if moved {
                        patience.renew();
                    }
                    let idle = !moved && patience.is_over_after(slept);
                    if drains {
                        explain!(
                            "{}: nothing more to read; its session is told to finish",
                            connection.id
                        );
                        self.tell(connection, News::Drain)?
                    } else if still == Want::Close || disturbed || !idle {
                        still
                    } else if self.tell(connection, News::Idle)? == Want::Close {
                        return Ok(End::Idle);
                    } else {
                        patience.renew();
                        Want::Read
                    }
                }
                Err(error) => return Err(error.into()),
            };
        }
        connection.over.store(true, Ordering::Relaxed);
        if !eof {
            self.finish(connection, input.bytes(), received)?;
        }
        Ok(End::Finished)
    }

    fn count_received(&self, connection: &Connection, received: &mut u64, n: usize) {
        *received += n as u64;
        self.counters.services[connection.service].received.add(n as u64);
    }

    /// Tells the session what happened, sends what it says, hands on its mail; and again while it
    /// has more to say.
    fn tell(&self, connection: &Connection, mut news: News) -> Result<Want, End> {
        loop {
            let mut talk = connection.talk();
            // What was posted before it is heard before it.
            let letters = connection.mailbox.as_ref().map(Mailbox::take).unwrap_or_default();
            if !letters.is_empty() && talk.want != Want::Close {
                explain!("{}: mail ({}), one write for all", connection.id, letters.len());
                self.say(connection, &mut talk, News::Deliver(&letters)).1?;
            }
            // After its last word, which the other thread may have heard, nothing is told; and what
            // is to be said after mail, the other thread says.
            if talk.want == Want::Close || matches!(news, News::Deliver(_)) {
                return Ok(talk.want);
            }
            if matches!(news, News::Wake) && !connection.take_wake() {
                // It was told while the other thread was asleep in `write`.
                return Ok(talk.want);
            }
            talk.drained |= matches!(news, News::Drain);
            talk.overflowed |= matches!(news, News::Overflow);
            let (mail, sent) = self.say(connection, &mut talk, news);
            let (want, drained) = (talk.want, talk.drained);
            // The lock goes before it sleeps: a receiver may be posting to this one.
            drop(talk);
            self.deliver(mail);
            sent?;
            if want != Want::Write {
                return Ok(want);
            }
            news = match self.stop.requested() && !drained {
                true => News::Drain,
                false => News::Produce,
            };
        }
    }

    /// Tells the session one thing, hands on its mail and sends what it says. Mail whose receivers
    /// have to be waited for comes back.
    fn say(
        &self,
        connection: &Connection,
        talk: &mut Talk,
        news: News,
    ) -> (Vec<Mail>, Result<(), End>) {
        self.counters.services[connection.service].turns.add(1);
        let Talk { session, output, want, .. } = talk;
        output.clear();
        *want = news.tell(&mut **session, output);
        connection.hear_wishes(output);
        // Mail goes first: whoever hears the answer may count on what went before it. And its own
        // socket may be broken.
        let mail = self.post(output.take_mail());
        (mail, self.send(connection, talk, news.input()))
    }

    /// Sends all that was said. The session is told when the peer takes nothing for the idle time.
    fn send(&self, connection: &Connection, talk: &mut Talk, input: &[u8]) -> Result<(), End> {
        let mut excerpt = talk.output.take_excerpt();
        let repeated = talk.output.repeated(input);
        let mut taken: usize = 0;
        let mut quiet = Duration::ZERO;
        loop {
            let rest = match taken.checked_sub(repeated.len()) {
                None => &repeated[taken..],
                Some(taken) => &talk.output.bytes()[taken..],
            };
            let from_file = excerpt.as_ref().map_or(0, Excerpt::length);
            if rest.is_empty() && from_file == 0 {
                return Ok(());
            }
            explain!(
                "{}: writes {} bytes; if its peer does not read, it sleeps",
                connection.id,
                rest.len() as u64 + from_file
            );
            // Asleep here while the peer does not read: this is the backpressure.
            let written = match &mut excerpt {
                Some(excerpt) if rest.is_empty() => excerpt.send(&connection.stream),
                Some(_) => before_more(&connection.stream, rest),
                None => (&connection.stream).write(rest),
            };
            match written {
                Ok(n) => {
                    taken += n.min(rest.len());
                    quiet = Duration::ZERO;
                    connection.sent.fetch_add(n as u64, Ordering::Relaxed);
                    self.counters.services[connection.service].sent.add(n as u64);
                }
                Err(_) if connection.is_overdue() => return Err(End::Slow),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    // It will look for itself before it reads again.
                    connection.noticed.store(self.stop.requested(), Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    quiet += self.nap();
                    let news = match quiet >= self.idle {
                        true => News::Idle,
                        false if connection.take_wake() => News::Wake,
                        false => continue,
                    };
                    if matches!(news, News::Idle) {
                        quiet = Duration::ZERO;
                    }
                    // What it posts leaves with its next words, or when it has ended.
                    let Talk { session, output, want, .. } = talk;
                    *want = news.tell(&mut **session, output);
                    connection.hear_wishes(output);
                    if talk.want == Want::Close {
                        return Err(End::Idle);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The longest sleep in `write`: after it, it looks whether it was given up meanwhile. A sleep in
    /// which the kernel took something counts as none, so it is short for the idle time, too.
    fn nap(&self) -> Duration {
        (self.idle / NAPS).min(self.limits.linger).max(SHORTEST)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! One blocking thread per client: each conversation reads like a conversation.
//!
//! Each thread sleeps in whatever call it makes, and the kernel wakes it when that call can go on.
//! A thread can sleep in one place only, and that shapes everything here:
//!
//! 1. An acceptor per listener sleeps in `accept`; a client's thread sleeps in `read`.
//! 2. A client's thread sends all of an answer before it reads again. When the peer does not read,
//!    it sleeps in `write`, and that sleep is the backpressure.
//! 3. A session that takes mail has a second thread, asleep on its mailbox. Both share the session
//!    behind a lock, which is private to the connection, and released before mail is posted.
//! 4. The seat is taken before the thread is spawned, and `spawn` can fail.
//! 5. Only its socket or a signal wakes a thread asleep in `read`. Stopping sends SIGURG, which
//!    means nothing to anybody else, again and again until each thread has noticed: one that was
//!    about to fall asleep misses the first.
//! 6. All leaving happens in one place.

mod mailbox;
mod peer;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::debug;
use mailbox::Mailbox;
use nix::poll::PollTimeout;
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal::SIGURG;
use nix::sys::socket::{MsgFlags, recv};
use peer::{Peer, Talk};
use signal_hook::{flag, low_level};
use slab::Slab;

use super::buffer::Buffer;
use super::journal::{Departure, End, Journal};
use super::{
    ACCEPT_PAUSE, AcceptFailure, Endpoint, LINGER, LINGER_STOPPING, Limits, News, QUEUE, Stop,
    accept_failure, all_sent, explain,
};
use crate::session::{ConnectionId, Mail, Output, Service, Want};

/// What the first read takes. An idle client pins one page of it.
const READ_FIRST: usize = 4096;

/// What a read of a busy client takes: the buffer grows to this while reads come back full.
const READ_MOST: usize = 64 * 1024;

/// How long a full mailbox may hold up the client that posts to it, before its owner is cut off.
const MAIL_PATIENCE: Duration = Duration::from_secs(1);

/// Reads a client still gets once the server is stopping, though it never stops sending: as many as
/// empty the largest receive buffer.
const LAST_READS: u32 = 512;

/// How often threads that have not noticed the stop are woken again.
const WAKE_AGAIN: Duration = Duration::from_millis(25);

/// How long threads may take to leave once their sockets were shut.
const LEAVE: Duration = Duration::from_secs(1);

/// What "for ever" is to setsockopt(2). A sleep without any timeout would be resumed after a
/// signal instead of returning EINTR (signal(7)), and the stop could not wake it.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// Serves `endpoints` until `stop` is requested and every connection has ended, or has been ended
/// when the grace period was over. Fails when no thread can be had for a listener.
pub fn run(endpoints: Vec<Endpoint>, limits: Limits, stop: Arc<Stop>) -> io::Result<()> {
    let server = Arc::new(Server {
        idle: limits.idle_timeout.unwrap_or(FOR_EVER),
        limits,
        stop,
        journal: Journal::new(),
        peers: Mutex::default(),
        left: Condvar::new(),
    });
    let noticed = flag::register(SIGURG as i32, Arc::default())?;
    let mut doors = Vec::new();
    let opened = endpoints.into_iter().try_for_each(|endpoint| {
        doors.push(server.open(endpoint)?);
        Ok(())
    });
    // Asleep here, while the other threads serve.
    let served = opened.and_then(|()| server.stop.wait());
    server.drain(doors);
    low_level::unregister(noticed);
    served
}

/// A listener and the thread that sleeps in its `accept`.
struct Door {
    listener: Arc<TcpListener>,
    acceptor: JoinHandle<()>,
}

struct Server {
    limits: Limits,
    idle: Duration,
    stop: Arc<Stop>,
    journal: Journal,
    peers: Mutex<Peers>,
    /// Somebody has left, or everybody should look whether it is time to.
    left: Condvar,
}

#[derive(Default)]
struct Peers {
    table: Slab<Arc<Peer>>,
    /// Seats taken. One is free again when its socket is closed, a moment after the table has
    /// forgotten its tenant.
    seats: usize,
    serial: u32,
}

impl Server {
    fn open(self: &Arc<Server>, endpoint: Endpoint) -> io::Result<Door> {
        let listener = Arc::new(endpoint.listener);
        let (server, at_the_door) = (self.clone(), listener.clone());
        let acceptor = thread::Builder::new()
            .name("acceptor".into())
            .spawn(move || server.accept(&at_the_door, &*endpoint.service))?;
        Ok(Door { listener, acceptor })
    }

    /// Accepts callers while there are seats for them. The others wait in the kernel's queue.
    fn accept(self: &Arc<Server>, listener: &TcpListener, service: &dyn Service) {
        let mut queue = QUEUE;
        while queue > 0 {
            drop(self.wait_for_seat());
            if self.stop.requested() {
                // Who is in the queue now was there before the stop, or nearly so.
                queue -= 1;
            }
            explain!("acceptor: asleep in accept until somebody calls");
            match listener.accept() {
                Ok((stream, address)) => self.seat(stream, address, service),
                Err(error) => match accept_failure(&error) {
                    AcceptFailure::Caller => debug!("a caller left before accept: {error}"),
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

    /// Sleeps until a seat is free, or the server is stopping.
    fn wait_for_seat(&self) -> MutexGuard<'_, Peers> {
        let full =
            |peers: &mut Peers| peers.seats >= self.limits.max_clients && !self.stop.requested();
        self.left.wait_while(self.peers(), full).unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a caller a slot in the slab, a session, and a thread.
    fn seat(self: &Arc<Server>, stream: TcpStream, address: SocketAddr, service: &dyn Service) {
        // Another acceptor may have taken the last seat since: wait with the caller in hand.
        let mut peers = self.wait_for_seat();
        if peers.seats >= self.limits.max_clients {
            return;
        }
        peers.seats += 1;
        peers.serial = peers.serial.checked_add(1).unwrap_or(1);
        let serial = peers.serial;
        let slot = peers.table.vacant_entry();
        let id = ConnectionId::new(slot.key() as u32, serial);
        let peer = Arc::new(Peer {
            id,
            address,
            stream,
            opened: Instant::now(),
            talk: Mutex::new(Talk {
                session: service.accept(address, id),
                output: Output::new(self.limits.chunk()),
                want: Want::Read,
                drained: false,
            }),
            mailbox: service.takes_mail().then(Mailbox::default),
            sent: AtomicU64::new(0),
            thread: OnceLock::new(),
            noticed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            cut: OnceLock::new(),
        });
        slot.insert(peer.clone());
        drop(peers);
        explain!("acceptor: {address} is {id}; a thread is spawned for it");
        self.journal.arrived(id, address);
        let (server, tenant) = (self.clone(), peer.clone());
        if let Err(error) = self.spawn(format!("client {id}"), move || server.serve(tenant)) {
            self.leave(peer, 0, End::Broken(error));
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
    fn serve(self: Arc<Server>, peer: Arc<Peer>) {
        let _ = peer.thread.set(pthread_self());
        let mut received = 0;
        let end = self
            .with_postman(&peer, || self.converse(&peer, &mut received))
            .unwrap_or_else(|end| end);
        self.leave(peer, received, end);
    }

    /// Runs the conversation, with a second thread beside it where the session takes mail.
    fn with_postman(
        self: &Arc<Server>,
        peer: &Arc<Peer>,
        conversation: impl FnOnce() -> Result<End, End>,
    ) -> Result<End, End> {
        let Some(mailbox) = &peer.mailbox else {
            return conversation();
        };
        let (server, addressee) = (self.clone(), peer.clone());
        let name = format!("mail {}", peer.id);
        let postman = self.spawn(name, move || server.carry_mail(&addressee))?;
        let end = conversation();
        peer.over.store(true, Ordering::Relaxed);
        mailbox.close();
        // It may be asleep in `write`.
        let _ = peer.stream.shutdown(Shutdown::Both);
        let _ = postman.join();
        end
    }

    /// Reads and answers until the session is done.
    fn converse(&self, peer: &Peer, received: &mut u64) -> Result<End, End> {
        peer.stream.set_read_timeout(Some(self.idle))?;
        peer.stream.set_write_timeout(Some(self.idle))?;
        let mut input = Buffer::new(READ_FIRST);
        let mut eof = false;
        let mut last_reads = LAST_READS;
        let mut want = self.tell(peer, News::Open)?;
        while want != Want::Close {
            let stopping = self.stop.requested();
            peer.noticed.store(stopping, Ordering::Relaxed);
            let drains = stopping && !peer.is_drained();
            let sent = peer.sent.load(Ordering::Relaxed);
            let read = match &peer.mailbox {
                None if eof => return Ok(End::Finished),
                // What has arrived is served; that there is no more is the sign to finish.
                _ if drains && (eof || last_reads == 0) => Err(io::ErrorKind::WouldBlock.into()),
                _ if drains => {
                    last_reads -= 1;
                    recv(peer.stream.as_raw_fd(), input.bytes(), MsgFlags::MSG_DONTWAIT)
                        .map_err(io::Error::from)
                }
                Some(mailbox) if eof => {
                    mailbox.wait_for_close(self.idle);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                _ => {
                    explain!("{}: asleep in read until its peer says something or leaves", peer.id);
                    // Asleep here, and this is the thread's place for most of its life.
                    (&peer.stream).read(input.bytes())
                }
            };
            want = match read {
                Ok(0) => {
                    explain!("{}: read 0 bytes: its peer's last word was said", peer.id);
                    eof = true;
                    self.tell(peer, News::Eof)?
                }
                Ok(n) => {
                    explain!("{}: awake, read {n} bytes; its session is told", peer.id);
                    *received += n as u64;
                    let want = self.tell(peer, News::Receive(&input.bytes()[..n]))?;
                    if n == READ_FIRST && input.bytes().len() == n {
                        input = Buffer::new(READ_MOST);
                    }
                    want
                }
                // A signal: the server is stopping, or the other thread has heard the last word.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => peer.talk().want,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let disturbed = self.stop.requested() != stopping;
                    let still = peer.talk().want;
                    if drains {
                        explain!(
                            "{}: nothing more to read; its session is told to finish",
                            peer.id
                        );
                        self.tell(peer, News::Drain)?
                    } else if still == Want::Close
                        || disturbed
                        || sent != peer.sent.load(Ordering::Relaxed)
                    {
                        // Mail that went out meanwhile is progress, too.
                        still
                    } else if self.tell(peer, News::Idle)? == Want::Close {
                        return Ok(End::Idle);
                    } else {
                        Want::Read
                    }
                }
                Err(error) => return Err(error.into()),
            };
        }
        peer.over.store(true, Ordering::Relaxed);
        if !eof {
            self.linger(peer, input.bytes())?;
        }
        Ok(End::Finished)
    }

    /// Tells the session what happened, sends what it says, hands on its mail; and again while it
    /// has more to say.
    fn tell(&self, peer: &Peer, mut news: News) -> Result<Want, End> {
        loop {
            let mut talk = peer.talk();
            if talk.want == Want::Close {
                // The other thread has heard its last word.
                return Ok(Want::Close);
            }
            talk.drained |= matches!(news, News::Drain);
            let Talk { session, output, .. } = &mut *talk;
            output.clear();
            talk.want = news.tell(&mut **session, output);
            // Its own socket may be broken; its mail was posted all the same.
            let sent = self.send(peer, &mut talk, news.input());
            let mail = talk.output.take_mail();
            let (want, drained) = (talk.want, talk.drained);
            // The lock goes before mail does: its receiver may be posting to this one.
            drop(talk);
            self.post(mail);
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

    /// Sends all that was said. The session is told when the peer takes nothing for the idle time.
    fn send(&self, peer: &Peer, talk: &mut Talk, input: &[u8]) -> Result<(), End> {
        let repeated = talk.output.repeated(input);
        let mut taken: usize = 0;
        loop {
            let rest = match taken.checked_sub(repeated.len()) {
                None => &repeated[taken..],
                Some(taken) => &talk.output.bytes()[taken..],
            };
            if rest.is_empty() {
                return Ok(());
            }
            explain!(
                "{}: writes {} bytes; if its peer does not read, it sleeps",
                peer.id,
                rest.len()
            );
            // Asleep here while the peer does not read: this is the backpressure.
            match (&peer.stream).write(rest) {
                Ok(n) => {
                    taken += n;
                    peer.sent.fetch_add(n as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    // It will look for itself before it reads again.
                    peer.noticed.store(self.stop.requested(), Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    talk.want = talk.session.idle(&mut talk.output);
                    if talk.want == Want::Close {
                        return Err(End::Idle);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Puts mail into the mailboxes of those it is for. Whoever has left gets none, and whoever
    /// does not make room in time is cut off.
    fn post(&self, mail: Vec<Mail>) {
        for Mail { to, bytes } in mail {
            let receiver = self.peers().table.get(to.slot()).cloned();
            let Some(receiver) = receiver.filter(|receiver| receiver.id == to) else {
                continue;
            };
            let Some(mailbox) = &receiver.mailbox else {
                continue;
            };
            if !mailbox.put(bytes, self.limits.backlog_bytes, MAIL_PATIENCE) {
                receiver.cut_off(End::Slow);
            }
        }
    }

    /// The second thread of a session that takes mail.
    fn carry_mail(&self, peer: &Peer) {
        let Some(mailbox) = &peer.mailbox else {
            return;
        };
        // Asleep here until somebody posts.
        while let Some(letters) = mailbox.take() {
            explain!("{}: {} letters to deliver, one write for all", peer.id, letters.len());
            match self.tell(peer, News::Deliver(&letters)) {
                Ok(Want::Close) => break,
                Ok(_) => {}
                Err(end) => peer.cut_off(end),
            }
        }
        mailbox.close();
        // Its other thread may be asleep in `read`, or about to be.
        while !peer.over.load(Ordering::Relaxed) {
            peer.wake();
            thread::sleep(WAKE_AGAIN);
        }
    }

    /// All is said, and the peer may still be sending: our end closes first, and what still comes
    /// is thrown away until its end does.
    fn linger(&self, peer: &Peer, input: &mut [u8]) -> Result<(), End> {
        let patience = PollTimeout::try_from(self.idle).unwrap_or(PollTimeout::MAX);
        loop {
            peer.noticed.store(self.stop.requested(), Ordering::Relaxed);
            // Asleep here until the kernel has sent what it took.
            match all_sent(&peer.stream, patience) {
                Ok(true) => break,
                Ok(false) => return Err(End::Idle),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        peer.stream.shutdown(Shutdown::Write)?;
        let since = Instant::now();
        loop {
            let stopping = self.stop.requested();
            peer.noticed.store(stopping, Ordering::Relaxed);
            let most = if stopping { LINGER_STOPPING } else { LINGER };
            explain!("{}: done: our end is closed, its end has {most:?}", peer.id);
            let left = most.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            peer.stream.set_read_timeout(Some(left))?;
            match (&peer.stream).read(input) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
    }

    /// The only place where a connection ends: mail no longer finds it, its socket is closed, its
    /// seat is free.
    fn leave(&self, peer: Arc<Peer>, received: u64, end: End) {
        self.peers().table.remove(peer.id.slot());
        self.journal.departed(&Departure {
            id: peer.id,
            peer: peer.address,
            received,
            sent: peer.sent.load(Ordering::Relaxed),
            stayed: peer.opened.elapsed(),
            end: peer.cut.get().unwrap_or(&end),
        });
        explain!(
            "{}: its thread ends; slot {} is free for the next caller",
            peer.id,
            peer.id.slot()
        );
        drop(peer);
        self.peers().seats -= 1;
        self.left.notify_all();
    }

    /// The stop was requested: serve what has arrived, refuse what comes, let everybody finish.
    fn drain(&self, doors: Vec<Door>) {
        // An acceptor takes who is in the queue already, then finds that nobody is.
        for door in &doors {
            let _ = door.listener.set_nonblocking(true);
        }
        let mut acceptors: Vec<JoinHandle<()>> = doors.into_iter().map(|d| d.acceptor).collect();
        let deadline = Instant::now() + self.limits.grace;
        let mut look_again = Instant::now();
        let mut peers = self.peers();
        loop {
            let now = Instant::now();
            let over = now >= deadline;
            if look_again <= now {
                acceptors.retain(|acceptor| !acceptor.is_finished());
                for acceptor in &acceptors {
                    let _ = pthread_kill(acceptor.as_pthread_t(), SIGURG);
                }
                // Those that wait for a seat.
                self.left.notify_all();
                let mut asleep = !acceptors.is_empty();
                for (_, peer) in peers.table.iter() {
                    if over {
                        peer.cut_off(End::Grace);
                    } else if !peer.noticed.load(Ordering::Relaxed) {
                        peer.wake();
                        asleep = true;
                    }
                }
                look_again = match asleep {
                    true => now + WAKE_AGAIN,
                    false if over => now + LEAVE,
                    false => deadline,
                };
            }
            if acceptors.is_empty() && peers.seats == 0 || now >= deadline + LEAVE {
                return;
            }
            let waited = self.left.wait_timeout(peers, look_again - now);
            peers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
